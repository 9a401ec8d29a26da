"""Figures over a log that was written by appends, as the service writes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta

import pytest

from alertgraph.core.action import Acknowledge, ByKey, Clear, Escalate, Fire, Resolve, Update
from alertgraph.core.cursor import log_start
from alertgraph.core.event import StoredEvent
from alertgraph.core.ids import TenantId
from alertgraph.core.metrics import DurationKind, MetricsWindow, Tally, tally
from alertgraph.core.query import EventFilter, EventQuery, PageRequest
from alertgraph.core.severity import Severity
from alertgraph.storage.partitions import Housekeeper
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
    """Return figures without the zeros, and durations of all groups together."""
    counts = {group: asdict(counts) for group, counts in figures.counts.items()}
    durations: Counter[tuple[DurationKind, int]] = Counter()
    for (_, kind, bucket), count in figures.durations.items():
        durations[kind, bucket] += count
    return ({group: values for group, values in counts.items() if any(values.values())}, +durations)


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


async def keep_days(world: World, tenant_id: TenantId, first: date, last: date) -> None:
    """Write histograms of the days from first to last, both included, as appends would have done."""
    await world.execute(
        """
        INSERT INTO metric_day (
            tenant_id, day, severity, monitored_service, created, acknowledged, resolved, escalated, opened,
            acknowledge_ms, resolve_ms, sla_total, sla_met, self_resolved)
        SELECT $1, day, severity, service, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0
        FROM generate_series($2::date, $3::date, '1 day') AS day, unnest(ARRAY[1, 3, 5]) AS severity,
            unnest(ARRAY['', 'checkout', 'search']) AS service
        """,
        tenant_id,
        first,
        last,
    )
    await world.execute(
        """
        INSERT INTO metric_day_duration (tenant_id, day, severity, monitored_service, kind, bucket, count)
        SELECT $1, day, severity, service, kind, 10 * severity + extract(day FROM day) / 7,
               1 + severity + length(service) + extract(doy FROM day)
        FROM generate_series($2::date, $3::date, '1 day') AS day, unnest(ARRAY[1, 3, 5]) AS severity,
            unnest(ARRAY['', 'checkout', 'search']) AS service, unnest(ARRAY[1, 2]) AS kind
        """,
        tenant_id,
        first,
        last,
    )
    await world.execute(
        "UPDATE tenant_head SET recorded_at = $2 WHERE tenant_id = $1",
        tenant_id,
        datetime.combine(last, datetime.min.time(), UTC) + HOUR,
    )


async def fold(world: World, tenant_id: TenantId) -> int:
    return int(await world.value("SELECT fold_figures($1)", tenant_id))


async def test_folded_days_tell_what_they_told_before(world: World) -> None:
    tenant_id, other_id = await world.tenant(), await world.tenant("other")
    first, last = date(2025, 11, 12), date(2026, 3, 20)
    middle = date(2026, 1, 15)
    await keep_days(world, tenant_id, first, middle)
    await keep_days(world, other_id, first, last)
    begin = datetime.combine(first, datetime.min.time(), UTC)
    windows = [
        MetricsWindow(begin + since * DAY, begin + until * DAY, severities, services)
        for since, until in (
            (0, 1),
            (0, 19),
            (0, 64),
            (0, 128),
            (0, 129),
            (19, 50),
            (19, 128),
            (19, 129),
            (20, 49),
            (18, 51),
            (50, 60),
            (63, 66),
            (64, 65),
            (100, 128),
            (127, 129),
            (128, 129),
            (-100, 300),
        )
        for severities in (frozenset(), frozenset({Severity.INFO, Severity.CRITICAL}), frozenset({Severity.LOW}))
        for services in (frozenset[str](), frozenset({"checkout"}), frozenset({"", "search"}))
    ]

    async def told() -> list[object]:
        async with PostgresSnapshotSource(world.database).snapshot(tenant_id) as snapshot:
            return [plain(await snapshot.tally(window)) for window in windows]

    assert await fold(world, tenant_id) == (middle - first).days
    assert await fold(world, tenant_id) == 0
    await keep_days(world, tenant_id, middle + timedelta(days=1), last)
    partly = await told()
    assert await fold(world, tenant_id) == (last - middle).days
    wholly = await told()
    spans = await world.rows(
        "SELECT span, division, count(DISTINCT since) FROM metric_span GROUP BY 1, 2 ORDER BY 1, 2"
    )
    assert [tuple(row) for row in spans] == [
        (span, division, count) for span, count in ((2, 128), (3, 4)) for division in range(4)
    ]
    await world.execute("DELETE FROM metric_span WHERE tenant_id = $1", tenant_id)
    await world.execute("DELETE FROM metric_fold WHERE tenant_id = $1", tenant_id)
    plainly = await told()

    assert partly == plainly
    assert wholly == plainly
    assert any(durations for _, durations in plainly)  # type: ignore[misc]


async def test_the_last_day_of_a_log_is_not_folded(world: World) -> None:
    tenant_id = await world.tenant()
    assert await fold(world, tenant_id) == 0

    await a_day_of_work(world, tenant_id)
    day = await world.value("SELECT recorded_at::date FROM tenant_head WHERE tenant_id = $1", tenant_id)
    await fold(world, tenant_id)

    assert await world.value("SELECT count(*) FROM metric_span WHERE span > 1 AND since >= $1", day) == 0


async def test_housekeeping_folds(world: World) -> None:
    tenant_id = await world.tenant()
    today = datetime.now(UTC).date()
    await keep_days(world, tenant_id, today - timedelta(days=5), today)

    retired = await Housekeeper(world.database, world.url).retire()

    assert retired.folded_days == 5
    assert (await Housekeeper(world.database, world.url).retire()).folded_days == 0
