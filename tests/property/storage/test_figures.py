"""Figures: whatever the window and the groups, they are the fold of the events in it, to the event."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertgraph.core.event import Event, EventKind
from alertgraph.core.ids import TenantId
from alertgraph.core.metrics import MINUTES_KEPT, DurationKind, Group, MetricsWindow, Tally, tally
from alertgraph.core.severity import Severity
from alertgraph.storage.database import Database
from alertgraph.storage.snapshot import PostgresSnapshotSource
from tests.factories import DAY, HOUR, MINUTE, a_config_event, an_event
from tests.kept import Keeper, keeping
from tests.servers import DatabaseServer
from tests.thoroughness import examples

SERVICES = ("checkout", "payments", None)
MICROSECOND = timedelta(microseconds=1)
# At least one whole month is in it.
AGE = 80 * DAY


def some_events(dice: random.Random, count: int) -> list[Event]:
    """Return events of every kind that figures look at, and some that they do not."""
    events = []
    for _ in range(count):
        kind = dice.choice(list(EventKind)[:12])
        begins = kind in (EventKind.TRIGGERED, EventKind.REOPENED)
        severity, service = dice.choice(list(Severity)), dice.choice(SERVICES)
        changes = kind is EventKind.UPDATED and dice.random() < 0.7
        ends = kind is EventKind.RESOLVED
        events.append(
            a_config_event()
            if dice.random() < 0.05
            else an_event(
                kind=kind,
                severity_before=None if begins else severity,
                severity_after=dice.choice(list(Severity)) if changes else severity,
                service_before=None if begins else service,
                service_after=dice.choice(SERVICES) if changes else service,
                elapsed_ms=dice.choice((None, 0, 5, 60_000, 3_600_000))
                if ends or kind is EventKind.ACKNOWLEDGED
                else None,
                sla_met=dice.choice((None, True, False)) if ends else None,
                self_resolved=dice.choice((None, True, False)) if ends else None,
            )
        )
    return events


def some_instants(dice: random.Random, now: datetime, count: int) -> list[datetime]:
    """Return instants over 80 days, denser in the last ones, and many at the very ends of minutes and days."""
    instants = []
    for _ in range(count):
        age = dice.choice((3, 3, 15, AGE // DAY)) * dice.random() * DAY
        at = now - age
        match dice.randrange(4):
            case 0:
                at = at.replace(second=0, microsecond=0)
            case 1:
                at = at.replace(second=59, microsecond=999_999)
            case 2:
                at = at.replace(hour=0, minute=0, second=0, microsecond=0)
            case _:
                pass
        instants.append(max(at, now - AGE))
    return sorted(instants)


def plain(figures: Tally) -> tuple[dict[Group, dict[str, Any]], dict[Any, int]]:
    """Return figures without the zeros and durations of all groups together, so that two can be compared."""
    counts = {group: asdict(counts) for group, counts in figures.counts.items()}
    durations: Counter[tuple[DurationKind, int]] = Counter()
    for (_, kind, bucket), count in figures.durations.items():
        durations[kind, bucket] += count
    return ({group: values for group, values in counts.items() if any(values.values())}, +durations)


def together(figures: Tally) -> Tally:
    """Return the counters of all groups together, under one."""
    result = Tally()
    for counts in figures.counts.values():
        result.group(Group(Severity.INFO, "")).add(counts)
    return result


def asked(figures: Tally, window: MetricsWindow) -> Tally:
    """Return what a window's filter leaves of figures."""

    def is_asked(group: Group) -> bool:
        return (not window.severities or group.severity in window.severities) and (
            not window.monitored_services or group.monitored_service in window.monitored_services
        )

    result = Tally({group: counts for group, counts in figures.counts.items() if is_asked(group)})
    result.durations.update({key: count for key, count in figures.durations.items() if is_asked(key[0])})
    return result


async def fold(keeper: Keeper, tenant_id: UUID, hours_since: datetime, *ends: datetime) -> None:
    """Fold figures each time the log has come so far, and clear away what is older than minutes are kept.

    Args:
        keeper: Writes it.
        tenant_id: Whose; its minutes are all there.
        hours_since: Since when hours are folded.
        ends: Where the log ended when it was folded.
    """
    execute = keeper.connection.execute
    await execute(
        "INSERT INTO metric_fold SELECT $1, min(day), $2, $2 FROM metric_day WHERE tenant_id = $1",
        tenant_id,
        hours_since,
    )
    recorded_at = await keeper.connection.fetchval(
        "SELECT recorded_at FROM tenant_head WHERE tenant_id = $1", tenant_id
    )
    for end in ends:
        await execute("UPDATE tenant_head SET recorded_at = $2 WHERE tenant_id = $1", tenant_id, end)
        await execute("SELECT fold_figures($1)", tenant_id)
    await execute("UPDATE tenant_head SET recorded_at = $2 WHERE tenant_id = $1", tenant_id, recorded_at)
    for table in ("metric_minute", "metric_minute_duration"):
        await execute(
            f"DELETE FROM {table} m USING metric_fold f WHERE f.tenant_id = $1 AND m.tenant_id = $1"
            " AND m.at < f.hours_until AND m.at < $2",
            tenant_id,
            keeper.now - MINUTES_KEPT,
        )


@pytest.mark.both_servers
def test_figures_are_the_fold_of_the_windows_events(database_server: DatabaseServer, database_url: str) -> None:
    with asyncio.Runner() as runner:
        database = runner.run(Database.connect(database_url))
        source = PostgresSnapshotSource(database)
        dice = random.Random(11)

        async def prepare() -> tuple[dict[str, TenantId], list[tuple[datetime, Event]], datetime]:
            async with keeping(database_server, database_url) as keeper:
                now = keeper.now
                await keeper.connection.execute("SELECT ensure_partitions($1, $2)", now - AGE, now)
                other_id = await keeper.tenant()
                events, instants = some_events(dice, 50), some_instants(dice, now, 50)
                await keeper.events(other_id, events, recorded_at=instants)
                await keeper.figures(other_id, events, instants)
                events, instants = some_events(dice, 1500), some_instants(dice, now, 1500)
                last = instants[-1]
                tenants: dict[str, TenantId] = {}
                for state, hours_since, ends in (
                    ("not folded", now, ()),
                    ("folded", now - AGE - DAY, (last,)),
                    ("folded long ago", now - AGE - DAY, (last - 40 * DAY, last - 20 * DAY - HOUR)),
                    (
                        "folded step by step",
                        now - AGE - DAY,
                        [last - days * DAY / 2 for days in range(99, -1, -1)],
                    ),
                    ("hours known since some days", now - 6 * DAY, (last - 2 * DAY, last - HOUR)),
                    ("hours not known yet", now, (last,)),
                ):
                    tenants[state] = await keeper.tenant()
                    await keeper.events(tenants[state], events, recorded_at=instants)
                    kept = AGE + DAY if ends else MINUTES_KEPT
                    await keeper.figures(tenants[state], events, instants, minutes_kept=kept)
                    if ends:
                        since = hours_since.replace(minute=0, second=0, microsecond=0)
                        await fold(keeper, tenants[state], since, *ends)
                await keeper.analyze()
                return tenants, list(zip(instants, events, strict=True)), now

        tenants, log, now = runner.run(prepare())
        instants = st.one_of(
            st.sampled_from([at for at, _ in log]).flatmap(
                lambda at: st.sampled_from([at - MICROSECOND, at, at + MICROSECOND])
            ),
            st.integers(0, 82).map(lambda days: now.replace(hour=0, minute=0) - days * DAY),
            st.integers(0, 80).map(lambda hours: now - hours * HOUR),
            st.timedeltas(-HOUR, 16 * DAY).map(lambda age: now - age),
            st.timedeltas(-HOUR, AGE + DAY).map(lambda age: now - age),
        )

        def told(since: datetime | None, until: datetime, window: MetricsWindow) -> Tally:
            inside: Iterable[Event] = (event for at, event in log if (since is None or at >= since) and at < until)
            return asked(tally(inside), window)

        @settings(max_examples=examples(60), suppress_health_check=list(HealthCheck))
        @given(
            state=st.sampled_from(sorted(tenants)),
            ends=st.tuples(instants, instants).map(sorted),
            severities=st.sampled_from([frozenset(), frozenset({Severity.HIGH, Severity.INFO})]),
            services=st.sampled_from([frozenset(), frozenset({"checkout", ""}), frozenset({"\x00"})]),
            bucket=st.sampled_from([HOUR, 6 * HOUR, DAY, 3 * DAY]),
        )
        def check(
            state: str,
            ends: list[datetime],
            severities: frozenset[Severity],
            services: frozenset[str],
            bucket: timedelta,
        ) -> None:
            since, until = ends[0], max(ends[1], ends[0] + MICROSECOND)
            window = MetricsWindow(since, until, severities, services)

            async def read() -> None:
                async with source.snapshot(tenants[state]) as snapshot:
                    assert plain(await snapshot.tally(window)) == plain(told(since, until, window))

                    opened = {g: c.opened for g, c in told(None, until, window).counts.items() if c.opened}
                    counts = (await snapshot.open_counts(window)).counts
                    assert {group: one.opened for group, one in counts.items() if one.opened} == opened

                    series = await snapshot.tally_series(window, bucket)
                    starts = [start for start, _ in series]
                    assert starts[0] == since
                    unit = HOUR if bucket < DAY else DAY
                    for start, later in pairwise(starts):
                        assert start < later <= start + bucket
                        assert later == later.replace(
                            hour=later.hour if unit is HOUR else 0, minute=0, second=0, microsecond=0
                        )
                    assert starts[-1] < until <= starts[-1] + bucket
                    for start, end, (_, figures) in zip(starts, [*starts[1:], until], series, strict=True):
                        assert plain(together(figures))[0] == plain(together(told(start, end, window)))[0]

            runner.run(read())

        check()

        async def read_open() -> int:
            async with source.snapshot(tenants["folded"]) as snapshot:
                return await snapshot.open_alert_count()

        whole = told(None, now + DAY, MetricsWindow(now, now + MINUTE))
        assert runner.run(read_open()) == sum(counts.opened for counts in whole.counts.values())
        runner.run(database.close())
