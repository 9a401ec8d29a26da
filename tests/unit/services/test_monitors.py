"""Heartbeat monitors: beats that come, beats that stay out, and the alerts of both."""

from __future__ import annotations

from typing import Any

import pytest

from alertgraph.core.actor import ActorKind
from alertgraph.core.alert import Alert
from alertgraph.core.errors import AccessDeniedError, ErrorCode, RefusedError
from alertgraph.core.event import Event, EventKind
from alertgraph.core.monitor import HeartbeatMonitor
from alertgraph.core.severity import Severity
from alertgraph.core.tenant import Role
from alertgraph.services.lanes import Lanes
from alertgraph.services.monitors import MonitorService, MonitorWatch
from alertgraph.services.open_alerts import OpenAlerts
from tests.factories import HOUR, MINUTE, SECOND, TENANT, a_matcher
from tests.memory_catalog import CatalogSnapshots, MemoryMonitors, SetUp, a_caller
from tests.memory_log import Fault
from tests.unit.services.test_lanes import Watcher
from tests.virtual import SeededDice

ADMIN = a_caller(Role.ADMIN)
SENDER = a_caller(Role.INGEST)


class Heartbeats(SetUp):
    """Monitors of a tenant, and one process that watches them."""

    def __init__(self) -> None:
        super().__init__()
        self.monitors = MemoryMonitors()
        self.memory, self.watcher, dice = OpenAlerts(), Watcher(), SeededDice(3)
        lanes = Lanes(
            self.log, self.memory, self.clock, dice, self.watcher, lambda _: None, lambda _: None, level_max=5
        )
        snapshots = CatalogSnapshots(self.log)
        self.service = MonitorService(self.changes, self.monitors, snapshots, lanes, self.clock, dice)
        self.watch = MonitorWatch(self.monitors, snapshots, lanes, self.clock, dice, self.watcher)

    async def make(self, **fields: Any) -> HeartbeatMonitor:
        wanted = {"name": "backup", "interval": HOUR, **fields}
        made = await self.service.create(wanted.pop("caller", ADMIN), **wanted)
        self.memory.drop(TENANT)  # as the process does when it hears of a change
        return made

    @property
    def open(self) -> list[Alert]:
        return list(self.log.tenants[TENANT].open.values())

    @property
    def alert_events(self) -> list[Event]:
        return [event for event in self.events if event.alert_id is not None]


async def test_a_beat_that_stays_out_is_an_alert_and_the_next_one_ends_it() -> None:
    heartbeats = Heartbeats()
    monitor = await heartbeats.make(severity=Severity.CRITICAL, labels={"team": "db"})

    assert await heartbeats.watch.turn() == 0
    assert await heartbeats.service.beat(SENDER, "backup") == monitor
    heartbeats.clock.advance(HOUR - SECOND)
    assert await heartbeats.watch.turn() == 0
    heartbeats.clock.advance(SECOND)
    assert await heartbeats.watch.turn() == 1

    [alert] = heartbeats.open
    assert (alert.dedup_key, alert.severity) == (monitor.dedup_key, Severity.CRITICAL)
    assert alert.labels == {"team": "db", "heartbeat": "backup"}
    assert await heartbeats.watch.turn() == 0
    heartbeats.clock.advance(MINUTE)
    await heartbeats.service.beat(SENDER, "backup")
    assert heartbeats.open == []
    kinds = [(event.kind, event.actor.kind) for event in heartbeats.alert_events]
    assert kinds[0] == (EventKind.TRIGGERED, ActorKind.ENGINE)
    assert kinds[-1] == (EventKind.RESOLVED, ActorKind.SENDER)


async def test_a_monitor_that_never_beat_raises_nothing() -> None:
    heartbeats = Heartbeats()
    await heartbeats.make()
    heartbeats.clock.advance(1000 * HOUR)

    assert await heartbeats.watch.turn() == 0
    assert heartbeats.open == []


async def test_beats_that_come_leave_no_trace_in_the_log() -> None:
    heartbeats = Heartbeats()
    await heartbeats.make()
    for _ in range(3):
        heartbeats.clock.advance(MINUTE)
        await heartbeats.service.beat(SENDER, "backup")

    assert len(heartbeats.events) == 1


async def test_a_beat_that_overtakes_the_alert_is_made_good_by_the_next() -> None:
    heartbeats = Heartbeats()
    await heartbeats.make()
    await heartbeats.service.beat(SENDER, "backup")
    heartbeats.clock.advance(HOUR)
    due = await heartbeats.monitors.due(heartbeats.clock.now(), 10)
    heartbeats.clock.advance(SECOND)
    await heartbeats.service.beat(SENDER, "backup")

    async def as_read_before(now: Any, limit: int) -> Any:
        return due

    heartbeats.monitors.due = as_read_before  # type: ignore[method-assign]
    await heartbeats.watch.turn()
    assert len(heartbeats.open) == 1
    heartbeats.clock.advance(MINUTE)
    await heartbeats.service.beat(SENDER, "backup")

    assert heartbeats.open == []


async def test_an_alert_that_could_not_be_raised_is_raised_later() -> None:
    heartbeats = Heartbeats()
    await heartbeats.make()
    await heartbeats.service.beat(SENDER, "backup")
    heartbeats.clock.advance(HOUR)
    heartbeats.log.faults = [Fault.AWAY]

    assert await heartbeats.watch.turn() == 0
    assert (heartbeats.open, len(heartbeats.watcher.failures)) == ([], 1)
    assert await heartbeats.watch.turn() == 1
    assert len(heartbeats.open) == 1


async def test_deleting_one_resolves_its_alert_and_ends_the_watch() -> None:
    heartbeats = Heartbeats()
    monitor = await heartbeats.make()
    other = await heartbeats.make(name="report")
    for name in ("backup", "report"):
        await heartbeats.service.beat(SENDER, name)
    heartbeats.clock.advance(HOUR)
    await heartbeats.watch.turn()
    await heartbeats.service.delete(ADMIN, monitor.id, expected_version=monitor.version)

    assert [alert.dedup_key for alert in heartbeats.open] == [other.dedup_key]
    assert heartbeats.alert_events[-1].actor == ADMIN.actor
    with pytest.raises(RefusedError):
        await heartbeats.service.beat(SENDER, "backup")
    # Its beats are still kept, and come to nothing once.
    await heartbeats.make(name="third")
    assert await heartbeats.watch.turn() == 0


async def test_one_deleted_before_its_beat_stayed_out_raises_nothing() -> None:
    heartbeats = Heartbeats()
    monitor = await heartbeats.make()
    await heartbeats.service.beat(SENDER, "backup")
    await heartbeats.service.delete(ADMIN, monitor.id)
    heartbeats.clock.advance(HOUR)

    assert await heartbeats.watch.turn() == 1
    assert await heartbeats.watch.turn() == 0
    assert heartbeats.open == []


async def test_who_may_beat_what() -> None:
    heartbeats = Heartbeats()
    await heartbeats.make(labels={"team": "db"})

    for name, scope in (("nightly", ()), ("backup", (a_matcher("team", "web"),))):
        with pytest.raises(RefusedError) as refused:
            await heartbeats.service.beat(a_caller(Role.INGEST, *scope), name)
        assert (refused.value.code, refused.value.problems[0].path) == (ErrorCode.NOT_FOUND, ("name",))
    assert (
        await heartbeats.service.beat(a_caller(Role.INGEST, a_matcher("team", "db")), "backup")
    ).name == "backup"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"name": ""}, ("name",)),
        ({"interval": 9 * SECOND}, ("interval",)),
        ({"interval": 367 * 24 * HOUR}, ("interval",)),
        ({"labels": {"@team": "db"}}, ("labels", "@team")),
        ({"labels": {str(number): "x" for number in range(64)}}, ("labels",)),
    ],
)
async def test_what_cannot_be_used_is_refused(fields: dict[str, Any], path: tuple[str, ...]) -> None:
    heartbeats = Heartbeats()
    made = await heartbeats.make()

    for attempt in (
        heartbeats.make(**{"name": "other", **fields}),
        heartbeats.service.update(ADMIN, made.id, **fields),
    ):
        with pytest.raises(RefusedError) as refused:
            await attempt
        assert refused.value.problems[0].path == path
    changed = await heartbeats.service.update(ADMIN, made.id, interval=MINUTE, severity=Severity.LOW)
    assert (changed.interval, changed.severity, changed.name) == (MINUTE, Severity.LOW, "backup")


async def test_only_an_admin_of_all_alerts_changes_them() -> None:
    heartbeats = Heartbeats()
    made = await heartbeats.make()
    for caller in (a_caller(Role.RESPONDER), a_caller(Role.ADMIN, a_matcher("team", "db"))):
        with pytest.raises(AccessDeniedError):
            await heartbeats.make(caller=caller, name="other")
        with pytest.raises(AccessDeniedError):
            await heartbeats.service.update(caller, made.id, interval=MINUTE)
        with pytest.raises(AccessDeniedError):
            await heartbeats.service.delete(caller, made.id)
