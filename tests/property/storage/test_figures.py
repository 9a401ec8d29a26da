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
from alertgraph.core.metrics import DurationKind, Group, MetricsWindow, Tally, tally
from alertgraph.core.severity import Severity
from alertgraph.storage.database import Database
from alertgraph.storage.snapshot import PostgresSnapshotSource
from tests.factories import DAY, HOUR, MINUTE, a_config_event, an_event
from tests.kept import keeping
from tests.servers import DatabaseServer
from tests.thoroughness import examples

SERVICES = ("checkout", "payments", None)
MICROSECOND = timedelta(microseconds=1)


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
    """Return instants over 15 days, denser in the last three, and many at the very ends of minutes and days."""
    instants = []
    for _ in range(count):
        age = dice.choice((3, 3, 15)) * dice.random() * DAY
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
        instants.append(max(at, now - 15 * DAY))
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


@pytest.mark.both_servers
def test_figures_are_the_fold_of_the_windows_events(database_server: DatabaseServer, database_url: str) -> None:
    with asyncio.Runner() as runner:
        database = runner.run(Database.connect(database_url))
        source = PostgresSnapshotSource(database)
        dice = random.Random(11)

        async def prepare() -> tuple[UUID, list[tuple[datetime, Event]], datetime]:
            async with keeping(database_server, database_url) as keeper:
                tenant_id, other_id = await keeper.tenant(), await keeper.tenant()
                for one, count in ((other_id, 50), (tenant_id, 1500)):
                    events, instants = some_events(dice, count), some_instants(dice, keeper.now, count)
                    await keeper.events(one, events, recorded_at=instants)
                    await keeper.figures(one, events, instants)
                await keeper.analyze()
                return tenant_id, list(zip(instants, events, strict=True)), keeper.now

        tenant_id, log, now = runner.run(prepare())
        instants = st.one_of(
            st.sampled_from([at for at, _ in log]).flatmap(
                lambda at: st.sampled_from([at - MICROSECOND, at, at + MICROSECOND])
            ),
            st.integers(0, 16).map(lambda days: now.replace(hour=0, minute=0) - days * DAY),
            st.integers(0, 80).map(lambda hours: now - hours * HOUR),
            st.timedeltas(-HOUR, 16 * DAY).map(lambda age: now - age),
        )

        def fold(since: datetime | None, until: datetime, window: MetricsWindow) -> Tally:
            inside: Iterable[Event] = (event for at, event in log if (since is None or at >= since) and at < until)
            return asked(tally(inside), window)

        @settings(max_examples=examples(40), suppress_health_check=list(HealthCheck))
        @given(
            ends=st.tuples(instants, instants).map(sorted),
            severities=st.sampled_from([frozenset(), frozenset({Severity.HIGH, Severity.INFO})]),
            services=st.sampled_from([frozenset(), frozenset({"checkout", ""}), frozenset({"\x00"})]),
            bucket=st.sampled_from([HOUR, 6 * HOUR, DAY, 3 * DAY]),
        )
        def check(
            ends: list[datetime],
            severities: frozenset[Severity],
            services: frozenset[str],
            bucket: timedelta,
        ) -> None:
            since, until = ends[0], max(ends[1], ends[0] + MICROSECOND)
            window = MetricsWindow(since, until, severities, services)

            async def read() -> None:
                async with source.snapshot(tenant_id) as snapshot:
                    assert plain(await snapshot.tally(window)) == plain(fold(since, until, window))

                    opened = {g: c.opened for g, c in fold(None, until, window).counts.items() if c.opened}
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
                        assert plain(together(figures))[0] == plain(together(fold(start, end, window)))[0]

            runner.run(read())

        check()

        async def read_open() -> int:
            async with source.snapshot(tenant_id) as snapshot:
                return await snapshot.open_alert_count()

        whole = fold(None, now + DAY, MetricsWindow(now, now + MINUTE))
        assert runner.run(read_open()) == sum(counts.opened for counts in whole.counts.values())
        runner.run(database.close())
