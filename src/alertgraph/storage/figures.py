"""Figures of a window, exact to the event: whole days and minutes from counters, the edges from the log itself."""

# ruff: noqa: S608 - statements are put together from constant fragments; values are numbered parameters

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from uuid import UUID

from asyncpg import Record

from alertgraph.core.actor import ENGINE
from alertgraph.core.errors import DependencyError
from alertgraph.core.event import Event, EventKind
from alertgraph.core.ids import EPOCH, AlertId
from alertgraph.core.metrics import (
    COUNT_NAMES,
    MINUTES_KEPT,
    Counts,
    DurationKind,
    Group,
    MetricsWindow,
    Tally,
    tally,
)
from alertgraph.core.severity import Severity
from alertgraph.storage.database import DEPENDENCY
from alertgraph.storage.reader import Reader
from alertgraph.storage.statement import Parameters, Statement, is_storable

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_TIME_MIN, _TIME_MAX = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
# Which alert an event is about makes no difference to figures, only that it is about one.
_SOME_ALERT = AlertId(UUID(int=0))


# --------------------------------------------------------------------------------------- parts of a window


def _floor(at: datetime, unit: timedelta) -> datetime:
    return at - (at - EPOCH) % unit


def _ceiling(at: datetime, unit: timedelta) -> datetime:
    return at + (EPOCH - at) % unit


@dataclass(slots=True)
class _Parts:
    """Spans of time by what answers them, each with the number of its bucket; ends are not included."""

    days: list[tuple[date, date, int]] = field(default_factory=list)
    minutes: list[tuple[datetime, datetime, int]] = field(default_factory=list)
    raw: list[tuple[datetime, datetime, int]] = field(default_factory=list)

    def add(self, since: datetime, until: datetime, bucket: int, horizon: datetime) -> None:
        """Add a bucket: as many whole days as it holds, then whole minutes, then what is left.

        Args:
            since: Included.
            until: Not included.
            bucket: Its number.
            horizon: From this whole minute on, counters by the minute are there.
        """
        first, last = _ceiling(since, DAY), _floor(until, DAY)
        if first < last:
            self.days.append((first.date(), last.date(), bucket))
            self._add_edge(since, first, bucket, horizon)
            self._add_edge(last, until, bucket, horizon)
        else:
            self._add_edge(since, until, bucket, horizon)

    def _add_edge(self, since: datetime, until: datetime, bucket: int, horizon: datetime) -> None:
        first, last = max(_ceiling(since, MINUTE), horizon), _floor(until, MINUTE)
        if first < last:
            self.minutes.append((first, last, bucket))
            spans = [(since, first), (last, until)]
        else:
            spans = [(since, until)]
        self.raw += [(low, high, bucket) for low, high in spans if low < high]


# --------------------------------------------------------------------------------------- statements

_COUNTERS = {"day": ("metric_day", "day", "date"), "minute": ("metric_minute", "at", "timestamptz")}
_SUMS = ", ".join(f"sum({name})::bigint AS {name}" for name in COUNT_NAMES)


def _counters_statement(
    reader: Reader, unit: str, parts: Sequence[tuple[date, date, int]], window: MetricsWindow, *, durations: bool
) -> tuple[str, Sequence[object]]:
    """Return what sums up counters, or durations, of whole days or minutes, by bucket and group."""
    table, column, kind = _COUNTERS[unit]
    parameters = Parameters(reader.tenant_id, *_columns(parts))
    where = [f"tenant_id = $1 AND {column} >= part.low AND {column} < part.high"]
    if window.severities:
        where.append(f"severity = ANY ({parameters.add(sorted(window.severities))}::smallint[])")
    if window.monitored_services:
        services = sorted(service for service in window.monitored_services if is_storable(service))
        where.append(f"monitored_service = ANY ({parameters.add(services)}::text[])")
    keys = "part.bucket AS part, severity, monitored_service"
    sums, groups = _SUMS, "1, 2, 3"
    if durations:
        table, groups = f"{table}_duration", "1, 2, 3, 4, 5"
        keys, sums = f"{keys}, kind, counter.bucket", "sum(count)::bigint AS count"
    return (
        f"SELECT {keys}, {sums} FROM unnest($2::{kind}[], $3::{kind}[], $4::integer[]) AS part (low, high, bucket)"
        f" CROSS JOIN LATERAL (SELECT * FROM {table} WHERE {' AND '.join(where)}) AS counter GROUP BY {groups}",
        parameters.values,
    )


# What `core.metrics.tally` looks at, alike events counted together. The canonical form is parsed only for the
# few facts that no column holds.
_RAW = f"""
    SELECT event.*, count(*) AS times FROM (
        SELECT kind, severity_before, severity_after, service_before, service_after,
               (said ->> 'elapsedMs')::bigint AS elapsed_ms, (said ->> 'slaMet')::boolean AS sla_met,
               (said ->> 'selfResolved')::boolean AS self_resolved
        FROM event CROSS JOIN LATERAL (
            SELECT CASE WHEN kind IN ({EventKind.ACKNOWLEDGED:d}, {EventKind.RESOLVED:d}) THEN content::jsonb END
        ) AS judged (said)
        WHERE tenant_id = $1 AND recorded_at >= $2 AND recorded_at < $3 AND alert_id IS NOT NULL
            AND (kind IN ({EventKind.TRIGGERED:d}, {EventKind.ACKNOWLEDGED:d}, {EventKind.ESCALATED:d},
                          {EventKind.RESOLVED:d}, {EventKind.REOPENED:d})
                 OR severity_before <> severity_after OR service_before IS DISTINCT FROM service_after)
    ) AS event
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
"""
# An edge is less than a day; whoever reads more has no counters.
_RAW_TIME_MAX = timedelta(seconds=10)


def _columns(parts: Sequence[tuple[date, date, int]]) -> Iterator[list[object]]:
    for place in range(3):
        yield [part[place] for part in parts]


# --------------------------------------------------------------------------------------- figures


async def read_tally(reader: Reader, window: MetricsWindow) -> Tally:
    """Return the counters and durations of a window."""
    return (await _tallies(reader, window, [(window.since, window.until)], durations=True))[0]


async def read_series(reader: Reader, window: MetricsWindow, bucket: timedelta) -> list[tuple[datetime, Tally]]:
    """Return a window's counters cut into buckets, zeros included, by start.

    Buckets begin on whole hours, or days for buckets of whole days, so that counters can answer them: the first
    one is shorter where the window begins in between, and the last one where it ends so. Durations are left out.
    """
    unit = HOUR if bucket % DAY else DAY
    starts = [window.since]
    while (start := _floor(window.since, unit) + bucket * len(starts)) < window.until:
        starts.append(start)
    spans = list(zip(starts, [*starts[1:], window.until], strict=True))
    return list(zip(starts, await _tallies(reader, window, spans, durations=False), strict=True))


async def read_open_counts(reader: Reader, window: MetricsWindow) -> Tally:
    """Return how many were open at the window's end, by group: what is open now less what happened since."""
    result = Tally()
    rows = await reader.fetch(
        "SELECT severity, monitored_service, count FROM open_count WHERE tenant_id = $1", reader.tenant_id
    )
    for row in rows:
        result.group(_group(row)).opened = row["count"]
    end = (await reader.head()).recorded_at + timedelta(microseconds=1)
    if window.until < end:
        since = MetricsWindow(window.until, end, window.severities, window.monitored_services)
        [happened] = await _tallies(reader, since, [(window.until, end)], durations=False)
        for group, counts in happened.counts.items():
            result.group(group).opened -= counts.opened
    return _only(result, window)


async def read_open_alert_count(reader: Reader) -> int:
    """Return how many alerts are open now."""
    rows = await reader.fetch(
        "SELECT COALESCE(sum(count), 0)::bigint AS count FROM open_count WHERE tenant_id = $1", reader.tenant_id
    )
    count: int = rows[0]["count"]
    return count


async def _tallies(
    reader: Reader, window: MetricsWindow, spans: Sequence[tuple[datetime, datetime]], *, durations: bool
) -> list[Tally]:
    """Return the figures of each span of time; spans do not overlap."""
    [[now]] = await reader.fetch("SELECT now()")
    # A transaction's now() stands still while old minutes are cleared away: hence two minutes less.
    horizon = _ceiling(now - MINUTES_KEPT, MINUTE) + MINUTE
    parts = _Parts()
    for bucket, (since, until) in enumerate(spans):
        parts.add(max(since, _TIME_MIN), min(until, _TIME_MAX), bucket, horizon)
    results = [Tally() for _ in spans]
    for unit, counted in (("day", parts.days), ("minute", parts.minutes)):
        if not counted:
            continue
        text, values = _counters_statement(reader, unit, counted, window, durations=False)
        for row in await reader.fetch(text, *values):
            counts = Counts(*(row[name] for name in COUNT_NAMES))
            results[row["part"]].group(_group(row)).add(counts)
        if durations:
            text, values = _counters_statement(reader, unit, counted, window, durations=True)
            for part, severity, service, kind, bucket, count in await reader.fetch(text, *values):
                results[part].durations[_duration_key(severity, service, kind, bucket)] += count
    for low, high, bucket in parts.raw:
        # Planned for these very instants: of a year's partitions it reads one or two.
        statement = Statement(_RAW, [reader.tenant_id, low, high], is_keyed=False)
        rows = await reader.run_in_order(_RAW_TIME_MAX, statement)
        if rows is None:
            raise DependencyError(DEPENDENCY, retryable=True)
        for row in rows:
            results[bucket].add(_only(_times(tally([_event(row)]), row["times"]), window))
    return results


@lru_cache(maxsize=100_000)
def _duration_key(severity: int, service: str, kind: int, bucket: int) -> tuple[Group, DurationKind, int]:
    # A window of a busy tenant has some ten thousand of them, the same each time.
    return Group(Severity(severity), service), DurationKind(kind), bucket


def _group(row: Record) -> Group:
    return Group(Severity(row["severity"]), row["monitored_service"])


def _event(row: Record) -> Event:
    """Return an event that says as much as `tally` looks at."""

    def severity(code: int | None) -> Severity | None:
        return None if code is None else Severity(code)

    return Event(
        kind=EventKind(row["kind"]),
        actor=ENGINE,
        decided_at=EPOCH,
        alert_id=_SOME_ALERT,
        severity_before=severity(row["severity_before"]),
        severity_after=severity(row["severity_after"]),
        service_before=row["service_before"],
        service_after=row["service_after"],
        elapsed_ms=row["elapsed_ms"],
        sla_met=row["sla_met"],
        self_resolved=row["self_resolved"],
    )


def _times(one: Tally, times: int) -> Tally:
    """Return a tally that many times."""
    if times > 1:
        for counts in one.counts.values():
            for name in COUNT_NAMES:
                setattr(counts, name, getattr(counts, name) * times)
        for key in one.durations:
            one.durations[key] *= times
    return one


def _only(result: Tally, window: MetricsWindow) -> Tally:
    """Return the part of a tally that a window's filter asks for."""

    def is_asked(group: Group) -> bool:
        return (not window.severities or group.severity in window.severities) and (
            not window.monitored_services or group.monitored_service in window.monitored_services
        )

    kept = Tally({group: counts for group, counts in result.counts.items() if is_asked(group)})
    kept.durations.update({key: count for key, count in result.durations.items() if is_asked(key[0])})
    return kept
