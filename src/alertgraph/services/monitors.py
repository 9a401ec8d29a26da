"""Heartbeat monitors: set up, beaten by senders, watched for beats that stay out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from alertgraph.core.action import UNSET, Action, ByKey, Clear, Fire, Resolve, Unset
from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.alert import check_labels, draft_match_values
from alertgraph.core.batch import Request
from alertgraph.core.duration import duration_text
from alertgraph.core.errors import AlertGraphError, ErrorCode, InputError, NotFoundError, Problem, RefusedError
from alertgraph.core.flush import TenantConfig
from alertgraph.core.ids import AlertId, MonitorId, TenantId, uuid7
from alertgraph.core.labels import matches_all
from alertgraph.core.monitor import INTERVAL_MAX, INTERVAL_MIN, HeartbeatMonitor
from alertgraph.core.severity import Severity
from alertgraph.core.tenant import Principal, Role
from alertgraph.services.catalog_changes import CatalogChanges, Decided, check_name, require_unscoped
from alertgraph.services.lanes import Lanes
from alertgraph.services.ports import Clock, Dice, Monitors, Observer, SnapshotSource

WATCH = Actor(ActorKind.ENGINE, "heartbeat watch")
DUE_COUNT_MAX = 100
# A label of its own on the alert says which monitor it is of.
LABEL_COUNT_MAX = 63


class MonitorService:
    """Changes monitors and takes their beats. Raises RefusedError for what the caller can mend."""

    def __init__(
        self,
        changes: CatalogChanges,
        monitors: Monitors,
        snapshots: SnapshotSource,
        lanes: Lanes,
        clock: Clock,
        dice: Dice,
    ) -> None:
        self._changes = changes
        self._monitors = monitors
        self._snapshots = snapshots
        self._lanes = lanes
        self._clock = clock
        self._dice = dice

    async def create(
        self,
        principal: Principal,
        *,
        name: str,
        interval: timedelta,
        severity: Severity = Severity.HIGH,
        labels: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> HeartbeatMonitor:
        """Return a new monitor; it watches from its first beat on. ADMIN."""
        principal.require(Role.ADMIN)
        require_unscoped(principal)
        monitor = _checked(
            HeartbeatMonitor(MonitorId(self._changes.new_id()), name, interval, severity, labels or {})
        )
        return await self._changes.create(
            principal,
            monitor,
            operation="createHeartbeatMonitor",
            contents=_told(monitor),
            told=_told,
            idempotency_key=idempotency_key,
        )

    async def update(
        self,
        principal: Principal,
        monitor_id: MonitorId,
        *,
        name: str | Unset = UNSET,
        interval: timedelta | Unset = UNSET,
        severity: Severity | Unset = UNSET,
        labels: Mapping[str, str] | Unset = UNSET,
        expected_version: int | None = None,
    ) -> HeartbeatMonitor:
        """Return a monitor after a patch; another interval holds from the next beat on. ADMIN."""
        principal.require(Role.ADMIN)
        require_unscoped(principal)
        patch = {"name": name, "interval": interval, "severity": severity, "labels": labels}
        given: dict[str, Any] = {field: value for field, value in patch.items() if value is not UNSET}

        def decide(_: TenantConfig, before: HeartbeatMonitor) -> Decided[HeartbeatMonitor]:
            return Decided(_checked(replace(before, **given)))

        return await self._changes.update(
            principal, HeartbeatMonitor, monitor_id, told=_told, decide=decide, expected_version=expected_version
        )

    async def delete(
        self, principal: Principal, monitor_id: MonitorId, *, expected_version: int | None = None
    ) -> None:
        """Delete a monitor and resolve its alert. ADMIN."""
        principal.require(Role.ADMIN)
        require_unscoped(principal)
        gone = await self._changes.delete(
            principal, HeartbeatMonitor, monitor_id, told=_told, expected_version=expected_version
        )
        # That none is open is no matter.
        await self._submit(principal.tenant.id, principal.actor, Resolve(ByKey(gone.dedup_key)))

    async def beat(self, principal: Principal, name: str) -> HeartbeatMonitor:
        """Keep a sign of life, end the alert of one that stayed out, and return the monitor. INGEST.

        Raises:
            NotFoundError: The caller may send for no monitor of this name.
            DependencyError: It may or may not have been kept: beat again.
        """
        principal.require(Role.INGEST)
        async with self._snapshots.snapshot(principal.tenant.id) as snapshot:
            config = await snapshot.config()
        monitor = next((one for one in config.catalog.monitors.values() if one.name == name), None)
        if monitor is None or not matches_all(principal.scope, draft_match_values(monitor.draft)):
            raise NotFoundError("There is no such heartbeat monitor.", "name")
        now = self._clock.now()
        await self._monitors.beat(principal.tenant.id, monitor.id, now, now + monitor.interval)
        # Each beat ends it, not only the first after it was raised: that one may have met an alert that was
        # just about to be raised, or have died right here.
        sender = replace(principal.actor, kind=ActorKind.SENDER)
        await self._submit(principal.tenant.id, sender, Clear(monitor.dedup_key, now))
        return monitor

    async def _submit(self, tenant_id: TenantId, actor: Actor, action: Action) -> None:
        await self._lanes.submit(tenant_id, _request(actor, self._clock.now(), self._dice, action))


class MonitorWatch:
    """Raises the alerts of beats that stayed out. Any number may watch: an alert is raised once per key."""

    def __init__(
        self,
        monitors: Monitors,
        snapshots: SnapshotSource,
        lanes: Lanes,
        clock: Clock,
        dice: Dice,
        observer: Observer,
    ) -> None:
        self._monitors = monitors
        self._snapshots = snapshots
        self._lanes = lanes
        self._clock = clock
        self._dice = dice
        self._observer = observer

    async def turn(self) -> int:
        """Raise what is due, of all tenants; return how many are settled. One tenant's failure is its own."""
        now = self._clock.now()
        found = sorted(await self._monitors.due(now, DUE_COUNT_MAX), key=lambda due: due[0])
        settled = 0
        for tenant_id, due in groupby(found, key=lambda due: due[0]):
            try:
                settled += await self._raise(tenant_id, {monitor_id: due_at for _, monitor_id, due_at in due}, now)
            except AlertGraphError as error:
                self._observer.failed("heartbeat watch", error)
        return settled

    async def _raise(self, tenant_id: TenantId, due: Mapping[MonitorId, datetime], now: datetime) -> int:
        async with self._snapshots.snapshot(tenant_id) as snapshot:
            config = await snapshot.config()
        known = config.catalog.monitors
        raised = [monitor_id for monitor_id in due if monitor_id in known]
        if raised:
            fires = [Fire(known[monitor_id].draft) for monitor_id in raised]
            outcomes = await self._lanes.submit(tenant_id, _request(WATCH, now, self._dice, *fires))
            problems = [outcome.problem for outcome in outcomes if outcome.problem is not None]
            if problems:
                raise RefusedError(problems)
        # Only now that they are raised: after a crash in between they are raised again, which is folded.
        for monitor_id, due_at in due.items():
            await self._monitors.raised(tenant_id, monitor_id, due_at)
        return len(due)


def _request(actor: Actor, now: datetime, dice: Dice, *actions: Action) -> Request:
    return Request(actions, tuple(AlertId(uuid7(now, dice.bits(74))) for _ in actions), actor)


def _checked(monitor: HeartbeatMonitor) -> HeartbeatMonitor:
    check_name(monitor.name)
    if not INTERVAL_MIN <= monitor.interval <= INTERVAL_MAX:
        raise InputError(
            f"interval is {duration_text(INTERVAL_MIN)} to {duration_text(INTERVAL_MAX)}.", "interval"
        )
    problems = check_labels(monitor.labels)
    if len(monitor.labels) > LABEL_COUNT_MAX:
        problems = [
            Problem(ErrorCode.INVALID_INPUT, f"labels has at most {LABEL_COUNT_MAX} entries.", ("labels",))
        ]
    if problems:
        raise RefusedError(problems)
    return monitor


def _told(monitor: HeartbeatMonitor) -> dict[str, Any]:
    return {
        "name": monitor.name,
        "interval": duration_text(monitor.interval),
        "severity": monitor.severity.name,
        "labels": dict(monitor.labels),
    }
