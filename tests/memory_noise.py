"""What holding likely noise goes by, in memory, and the part of configuration that may end it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from alertgraph.core.alert import Alert, AlertStatus
from alertgraph.core.catalog import Change
from alertgraph.core.flush import Appended, Flush, Reliance, TenantConfig
from alertgraph.core.ids import AlertId, FlushId, TenantId
from alertgraph.core.noise import (
    History,
    HoldRecord,
    NoiseEvidence,
    NoiseFigures,
    NoisePolicy,
    key_of,
    kind_of,
)
from alertgraph.core.value import replace
from tests.memory_log import MemoryLog
from tests.memory_pager import Outage


class MemoryNoiseBook:
    """Fulfils `services.ports.NoiseBook`."""

    def __init__(self, log: MemoryLog, outage: Outage) -> None:
        self._log = log
        self._outage = outage
        self.policies: dict[TenantId, NoisePolicy] = {}
        self.histories: dict[tuple[TenantId, bytes], History] = {}
        self.holds: dict[tuple[TenantId, AlertId], HoldRecord] = {}

    async def policy(self, tenant_id: TenantId) -> NoisePolicy | None:
        """Return what is kept of a tenant."""
        self._outage.check()
        return self.policies.get(tenant_id)

    async def evidence(self, tenant_id: TenantId, alerts: Sequence[Alert]) -> Mapping[AlertId, NoiseEvidence]:
        """Return what is known of alerts besides themselves."""
        await self._log.pause()
        self._outage.check()
        policy = self.policies.get(tenant_id)
        if policy is None:
            return {}
        opened = self._log.tenants[tenant_id].open.values()
        in_hand = {
            one.incident_id
            for one in opened
            if one.incident_id is not None and (one.escalation_level > 0 or one.status is AlertStatus.ACKNOWLEDGED)
        }
        return {
            alert.id: NoiseEvidence(
                policy,
                self.histories.get((tenant_id, key_of(alert.dedup_key)))
                or self.histories.get((tenant_id, kind_of(alert.source, alert.title))),
                in_hand=alert.incident_id in in_hand,
            )
            for alert in alerts
        }

    async def figures(self, tenant_id: TenantId, since: datetime) -> NoiseFigures:
        """Return what holding has come to."""
        self._outage.check()
        held = [one for (id_, _), one in self.holds.items() if id_ == tenant_id and one.held_at > since]
        regrets = [one.regret for one in held if one.regret is not None]
        return NoiseFigures(len(held), len(regrets), sum(regrets, timedelta(0)))

    async def keep(
        self,
        tenant_id: TenantId,
        policy: NoisePolicy,
        histories: Mapping[bytes, History | None],
        holds: Sequence[HoldRecord],
        now: datetime,
        *,
        anew: bool,
    ) -> None:
        """Write what has changed."""
        await self._log.pause()
        self._outage.check()
        known = self.policies.get(tenant_id)
        key = known.spare_key if known is not None else policy.spare_key
        self.policies[tenant_id] = replace(policy, spare_key=key)
        if anew:
            self.histories = {at: one for at, one in self.histories.items() if at[0] != tenant_id}
        for sort, one in histories.items():
            if one is None:
                self.histories.pop((tenant_id, sort), None)
            else:
                self.histories[tenant_id, sort] = one
        for hold in holds:
            before = self.holds.get((tenant_id, hold.alert_id))
            held_at = before.held_at if before is not None else hold.held_at
            self.holds[tenant_id, hold.alert_id] = replace(hold, held_at=held_at)


class MemoryNoiseConfiguration:
    """Fulfils `change` of `services.ports.Configuration`, all that noise asks of it."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._number = 0

    async def change(
        self, tenant_id: TenantId, decide: Callable[[TenantConfig], Change | None], **_: Any
    ) -> tuple[TenantConfig, Appended | None]:
        """Change what is set up, with the event that tells of it."""
        rows = self._log.tenants[tenant_id]
        async with rows.lock:
            change = decide(rows.config)
            if change is None:
                return rows.config, None
            assert change.settings is not None, "noise changes nothing else"
            self._number += 1
            flush = Flush(FlushId(UUID(int=2**100 + self._number)), Reliance(), events=(change.event,))
            appended = self._log.write(tenant_id, flush)
            self._log.change_config(tenant_id, replace(rows.config, settings=change.settings))
        return rows.config, appended
