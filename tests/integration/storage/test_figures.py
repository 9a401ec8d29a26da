"""Figures over a log that was written by appends, as the service writes it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest

from alertgraph.core.action import Acknowledge, ByKey, Clear, Escalate, Fire, Resolve, Update
from alertgraph.core.cursor import log_start
from alertgraph.core.event import StoredEvent
from alertgraph.core.ids import TenantId
from alertgraph.core.metrics import MetricsWindow, Tally, tally
from alertgraph.core.query import EventFilter, EventQuery, PageRequest
from alertgraph.core.severity import Severity
from alertgraph.storage.snapshot import PostgresSnapshotSource
from tests.factories import DAY, HOUR, MINUTE, T0, a_draft
from tests.integration.storage.world import World, a_world

pytestmark = pytest.mark.both_servers

MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with a_world(database_url) as world:
        yield world


async def a_day_of_work(world: World, tenant_id: TenantId) -> list[StoredEvent]:
    """Let alerts come and go in several flushes, and return the whole log."""
    for number in range(6):
        severity = Severity.HIGH if number % 2 else Severity.CRITICAL
        service = "checkout" if number % 3 else None
        draft = a_draft(dedup_key=f"k{number}", severity=severity, monitored_service=service)
        await world.act(tenant_id, Fire(draft), now=T0 + number * MINUTE)
    await world.act(tenant_id, Fire(a_draft(dedup_key="k0", severity=Severity.LOW)), now=T0 + HOUR)
    await world.act(tenant_id, Acknowledge(ByKey("k1")), Escalate(ByKey("k2")), now=T0 + HOUR)
    await world.act(tenant_id, Update(ByKey("k1"), severity=Severity.INFO), now=T0 + HOUR)
    await world.act(tenant_id, Resolve(ByKey("k1")), Clear("k3", T0 + HOUR), now=T0 + 2 * HOUR)
    return list(await world.log.events_after(tenant_id, log_start(1), 1000))


def plain(figures: Tally) -> object:
    """Return figures without the zeros."""
    counts = {group: asdict(counts) for group, counts in figures.counts.items()}
    return (
        {group: values for group, values in counts.items() if any(values.values())},
        {key: count for key, count in figures.durations.items() if count},
    )


async def test_what_appends_count_is_what_is_told(world: World) -> None:
    tenant_id, other_id = await world.tenant(), await world.tenant("other")
    log = await a_day_of_work(world, tenant_id)
    await a_day_of_work(world, other_id)
    begun, ended = log[0].recorded_at, log[-1].recorded_at + MICROSECOND
    instants = sorted({stored.recorded_at for stored in log})
    async with PostgresSnapshotSource(world.database).snapshot(tenant_id) as snapshot:
        for since, until in (
            (begun - 400 * DAY, ended + HOUR),
            (begun, ended),
            (begun + MICROSECOND, ended),
            (begun, ended - MICROSECOND),
            (instants[2], instants[5]),
            (begun.replace(second=0, microsecond=0), ended + MINUTE),
        ):
            window = MetricsWindow(since, until)
            inside = [stored.event for stored in log if since <= stored.recorded_at < until]
            before = tally(stored.event for stored in log if stored.recorded_at < until)
            assert plain(await snapshot.tally(window)) == plain(tally(inside))
            open_counts = (await snapshot.open_counts(window)).counts
            for group, counts in before.counts.items():
                assert open_counts[group].opened == counts.opened
        assert await snapshot.open_alert_count() == 4


async def test_a_tenant_without_events_has_zeros(world: World) -> None:
    tenant_id = await world.tenant()
    window = MetricsWindow(T0 - 3 * DAY, T0)
    async with PostgresSnapshotSource(world.database).snapshot(tenant_id) as snapshot:
        assert plain(await snapshot.tally(window)) == plain(Tally())
        assert plain(await snapshot.open_counts(window)) == plain(Tally())
        assert await snapshot.open_alert_count() == 0
        series = await snapshot.tally_series(window, DAY)
    assert [start for start, _ in series] == [
        T0 - 3 * DAY,
        *(T0.replace(hour=0) - days * DAY for days in (2, 1, 0)),
    ]


async def test_a_window_at_the_ends_of_time(world: World) -> None:
    tenant_id = await world.tenant()
    await a_day_of_work(world, tenant_id)
    window = MetricsWindow(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    async with PostgresSnapshotSource(world.database).snapshot(tenant_id) as snapshot:
        figures = await snapshot.tally(window)
        assert sum(counts.created for counts in figures.counts.values()) == 6
        page = await snapshot.event_page(EventQuery(EventFilter(), PageRequest(1)))
    assert page.as_of.number == len(await world.log.events_after(tenant_id, log_start(1), 1000))
