"""What this process remembers of tenants: their configuration, their open alerts and their incidents.

It may be wrong at any time: whatever is decided on it is checked by the append, and a refusal mends it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from alertgraph.core.alert import Alert
from alertgraph.core.flush import TenantConfig
from alertgraph.core.ids import AlertId, IncidentId, TenantId
from alertgraph.core.incident import Incident

# A full alert takes one or two kilobytes: together at most about 200 MB.
ALERT_COUNT_MAX = 100_000
# Of one tenant; a storm is one incident, and not to remember one costs a round trip.
TENANT_INCIDENT_COUNT_MAX = 1000
TENANT_ALERT_COUNT_MAX = 20_000


@dataclass(slots=True)
class TenantMemory:
    """What is remembered of one tenant.

    Attributes:
        complete: Whether a dedup key that is not here has no open alert, as far as this process knows.
        changed: Keys of which it does not, since another process changed their alert.
        read_at: When the configuration was read.
    """

    config: TenantConfig
    read_at: datetime
    complete: bool
    by_key: dict[str, Alert] = field(default_factory=dict)
    by_id: dict[AlertId, Alert] = field(default_factory=dict)
    incidents: dict[IncidentId, Incident] = field(default_factory=dict)
    groups: dict[bytes, IncidentId] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)

    def lacks(self, key: str) -> bool:
        """Say whether it is not known what alert is open under a dedup key."""
        return key not in self.by_key and (not self.complete or key in self.changed)

    def keep_incident(self, incident: Incident) -> None:
        """Remember an incident that is not resolved, as it is now; forget one that is."""
        known = self.incidents.pop(incident.id, None)
        if known is not None:
            self._forget_group(known)
        if not incident.takes_in:
            return
        if len(self.incidents) >= TENANT_INCIDENT_COUNT_MAX:
            self._forget_group(self.incidents.pop(next(iter(self.incidents))))
        self.incidents[incident.id] = incident
        if incident.group_key is not None:
            self.groups[incident.group_key] = incident.id

    def forget_incidents(self) -> None:
        """Know nothing of incidents."""
        self.incidents.clear()
        self.groups.clear()

    def _forget_group(self, incident: Incident) -> None:
        if incident.group_key is not None and self.groups.get(incident.group_key) == incident.id:
            del self.groups[incident.group_key]

    def keep(self, alert: Alert) -> None:
        """Remember an alert as it is now: an open one, or that it is not open any more."""
        self.forget(alert.id)
        self.changed.discard(alert.dedup_key)
        if alert.is_open:
            if len(self.by_id) >= TENANT_ALERT_COUNT_MAX:
                # The one remembered longest goes; from now on absence says nothing.
                self.forget(next(iter(self.by_id)))
                self.complete = False
            self.by_id[alert.id] = alert
            self.by_key[alert.dedup_key] = alert

    def forget(self, alert_id: AlertId) -> None:
        """Know nothing of an alert."""
        known = self.by_id.pop(alert_id, None)
        if known is not None and self.by_key.get(known.dedup_key) is known:
            del self.by_key[known.dedup_key]

    def forget_changed(self, alert_id: AlertId) -> None:
        """Know nothing of an alert that another process has changed, but that there may well be one of its key."""
        known = self.by_id.get(alert_id)
        if known is not None:
            self.forget(alert_id)
            self.changed.add(known.dedup_key)
            if len(self.changed) > TENANT_ALERT_COUNT_MAX:
                self.changed.clear()
                self.complete = False

    def doubt(self, keys: Iterable[str], alert_ids: Iterable[AlertId]) -> None:
        """Forget what a refusal showed to be doubtful."""
        for key in keys:
            known = self.by_key.get(key)
            if known is not None:
                self.forget(known.id)
        for alert_id in alert_ids:
            self.forget(alert_id)


class OpenAlerts:
    """The memory of all tenants, bounded; the tenant used longest ago is forgotten first."""

    def __init__(self) -> None:
        self._tenants: OrderedDict[TenantId, TenantMemory] = OrderedDict()
        # How many alerts each tenant had when it was last looked at, and all of them together.
        self._counted: dict[TenantId, int] = {}
        self._count = 0

    def get(self, tenant_id: TenantId) -> TenantMemory | None:
        """Return what is remembered of a tenant."""
        memory = self._tenants.get(tenant_id)
        if memory is not None:
            self._tenants.move_to_end(tenant_id)
            self._recount(tenant_id, len(memory.by_id))
        return memory

    def put(self, tenant_id: TenantId, memory: TenantMemory) -> None:
        """Remember a tenant, and forget others where it gets too much."""
        self._tenants[tenant_id] = memory
        self._tenants.move_to_end(tenant_id)
        self._recount(tenant_id, len(memory.by_id))

    def drop(self, tenant_id: TenantId) -> None:
        """Know nothing of a tenant."""
        self._tenants.pop(tenant_id, None)
        self._count -= self._counted.pop(tenant_id, 0)

    def _recount(self, tenant_id: TenantId, count: int) -> None:
        self._count += count - self._counted.get(tenant_id, 0)
        self._counted[tenant_id] = count
        while self._count > ALERT_COUNT_MAX and len(self._tenants) > 1:
            self.drop(next(iter(self._tenants)))
