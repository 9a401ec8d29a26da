"""Laws of the log: whatever is appended, it has no gaps, its links can be computed again, figures are its fold."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertgraph.core.action import (
    Acknowledge,
    Action,
    ByKey,
    Escalate,
    Fire,
    GiveFeedback,
    Resolve,
    Unacknowledge,
    Update,
)
from alertgraph.core.alert import AlertVerdict
from alertgraph.core.cursor import log_start
from alertgraph.core.event import GENESIS_LINK, StoredEvent, leaf_hash, next_link
from alertgraph.core.flush import Appended, Flush
from alertgraph.core.ids import TenantId
from alertgraph.core.metrics import COUNT_NAMES, Counts, DurationKind, Group, Tally, tally
from alertgraph.core.severity import Severity
from tests.factories import T0, a_draft
from tests.integration.storage.world import World, a_world

KEYS = st.sampled_from(["a", "b", "c"])
SEVERITIES = st.sampled_from(list(Severity))
SERVICES = st.sampled_from([None, "checkout", "search"])

FIRES = st.builds(
    lambda key, severity, service: Fire(a_draft(dedup_key=key, severity=severity, monitored_service=service)),
    KEYS,
    SEVERITIES,
    SERVICES,
)
ACTIONS = st.one_of(
    FIRES,
    FIRES,
    KEYS.map(lambda key: Resolve(ByKey(key))),
    KEYS.map(lambda key: Acknowledge(ByKey(key))),
    KEYS.map(lambda key: Unacknowledge(ByKey(key))),
    KEYS.map(lambda key: Escalate(ByKey(key))),
    KEYS.map(lambda key: GiveFeedback(ByKey(key), AlertVerdict.NOISE)),
    st.builds(lambda key, severity: Update(ByKey(key), severity=severity), KEYS, SEVERITIES),
)
FLUSHES = st.lists(st.lists(ACTIONS, min_size=1, max_size=6), min_size=1, max_size=8)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(flushes=FLUSHES)
@pytest.mark.both_servers
def test_the_log_keeps_its_laws(database_url: str, flushes: list[list[Action]]) -> None:
    asyncio.run(_check(database_url, flushes))


async def _check(url: str, flushes: list[list[Action]]) -> None:
    async with a_world(url) as world:
        count = await world.value("SELECT count(*) FROM tenant")
        tenant_id = await world.tenant(f"t{count}")
        appended: list[tuple[Flush, Appended]] = []
        for index, actions in enumerate(flushes):
            flush = await _decided(world, tenant_id, actions, index)
            appended.append((flush, await world.log.append(tenant_id, flush)))
        events = await world.log.events_after(tenant_id, log_start(1), 10_000)
        _check_chain(events, appended)
        await _check_figures(world, tenant_id, events)
        await _check_alerts(world, tenant_id, events)


async def _decided(world: World, tenant_id: TenantId, actions: list[Action], index: int) -> Flush:
    # What the present state does not allow is left out by deciding it alone first.
    now = T0 + timedelta(minutes=index)
    allowed: list[Action] = []
    for action in actions:
        try:
            await world.decided(tenant_id, *allowed, action, now=now)
        except AssertionError:
            continue
        allowed.append(action)
    return await world.decided(tenant_id, *allowed, now=now)


def _check_chain(events: Sequence[StoredEvent], appended: list[tuple[Flush, Appended]]) -> None:
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert [event.event for event in events] == [sealed.event for flush, _ in appended for sealed in flush.events]
    link = GENESIS_LINK
    recorded_at = None
    for flush, result in appended:
        if not flush.events:
            continue
        stored = events[result.first_number - 1 : result.first_number - 1 + len(flush.events)]
        link = next_link(
            link, result.first_number, stored[0].recorded_at, flush.id, [leaf_hash(e.content) for e in stored]
        )
        assert stored[-1].link == result.link == link
        assert all(event.link is None for event in stored[:-1])
        assert {event.recorded_at for event in stored} == {result.recorded_at}
        assert recorded_at is None or recorded_at <= result.recorded_at
        recorded_at = result.recorded_at


async def _check_figures(world: World, tenant_id: TenantId, events: Sequence[StoredEvent]) -> None:
    expected = tally(event.event for event in events)
    for period in ("minute", "day"):
        found = Tally()
        for row in await world.rows(
            f"SELECT severity, monitored_service, {', '.join(COUNT_NAMES)} FROM metric_{period} "
            f"WHERE tenant_id = $1",
            tenant_id,
        ):
            found.group(Group(Severity(row[0]), row[1])).add(Counts(*row[2:]))
        for row in await world.rows(
            f"SELECT severity, monitored_service, kind, bucket, count FROM metric_{period}_duration "
            f"WHERE tenant_id = $1",
            tenant_id,
        ):
            found.durations[Group(Severity(row[0]), row[1]), DurationKind(row[2]), row[3]] += row[4]
        assert found == expected


async def _check_alerts(world: World, tenant_id: TenantId, events: Sequence[StoredEvent]) -> None:
    by_group: dict[Group, int] = {}
    open_alerts, complete = await world.log.open_alerts(tenant_id, 1000)
    assert complete
    for alert in open_alerts:
        group = Group(alert.severity, alert.monitored_service or "")
        by_group[group] = by_group.get(group, 0) + 1
    counted = {
        Group(Severity(row[0]), row[1]): row[2]
        for row in await world.rows(
            "SELECT severity, monitored_service, count FROM open_count WHERE tenant_id = $1 AND count <> 0",
            tenant_id,
        )
    }
    assert counted == by_group
    last = {event.event.alert_id: event.number for event in events if event.event.alert_id is not None}
    loaded = await world.log.load(tenant_id, [], list(last), [])
    assert {alert.id: alert.version for alert in loaded.by_id.values()} == last
