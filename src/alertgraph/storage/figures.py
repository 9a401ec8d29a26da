"""Figures of a window, exact to the event: whole days and minutes from counters, the edges from the log itself."""

# ruff: noqa: S608 - statements are put together from constant fragments; values are numbered parameters

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from asyncpg import Record

from alertgraph.core.actor import ENGINE
from alertgraph.core.errors import DependencyError
from alertgraph.core.event import Event, EventKind
from alertgraph.core.ids import EPOCH, AlertId
from alertgraph.core.metrics import (
    COUNT_NAMES,
    GAMMA,
    MINUTES_KEPT,
    Counts,
    DurationKind,
    Group,
    MetricsWindow,
    Tally,
    bucket_of,
    tally,
)
from alertgraph.core.severity import Severity
from alertgraph.storage.database import DEPENDENCY
from alertgraph.storage.reader import Reader, Rows
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
# Under this group stands what is told of all the groups that were asked for, together.
_TOGETHER = Group(min(Severity), "")
_SPAN_DAY, _SPAN_MONTH, _SPAN_GROUP_MONTH = 1, 2, 3


def _counters_statement(
    reader: Reader, unit: str, parts: Sequence[tuple[date, date, int]], window: MetricsWindow, *, by_group: bool
) -> Statement:
    """Return what sums up counters of whole days or minutes, by bucket and, if it shall, by group."""
    table, column, kind = _COUNTERS[unit]
    parameters = Parameters(reader.tenant_id, *_columns(parts))
    where = [f"tenant_id = $1 AND {column} >= part.low AND {column} < part.high", *_asked(window, parameters)]
    keys, groups = "part.bucket AS part", "1"
    if by_group:
        keys, groups = f"{keys}, severity, monitored_service", "1, 2, 3"
    text = (
        f"SELECT {keys}, {_SUMS}"
        f" FROM unnest($2::{kind}[], $3::{kind}[], $4::integer[]) AS part (low, high, bucket)"
        f" CROSS JOIN LATERAL (SELECT * FROM {table} WHERE {' AND '.join(where)} OFFSET 0) AS counter"
        f" GROUP BY {groups}"
    )
    return Statement(text, parameters.values, is_keyed=False)


def _asked(window: MetricsWindow, parameters: Parameters) -> list[str]:
    where = []
    if window.severities:
        where.append(f"severity = ANY ({parameters.add(sorted(window.severities))}::smallint[])")
    if window.monitored_services:
        services = sorted(service for service in window.monitored_services if is_storable(service))
        where.append(f"monitored_service = ANY ({parameters.add(services)}::text[])")
    return where


def _durations_statement(reader: Reader, unit: str, low: date, high: date, window: MetricsWindow) -> Statement:
    """Return what sums up the durations of whole days or minutes of all groups that are asked for."""
    table, column, _ = _COUNTERS[unit]
    parameters = Parameters(reader.tenant_id, low, high)
    where = ["tenant_id = $1", *_asked(window, parameters)]
    if unit == "day" and (window.severities or window.monitored_services):
        # A day's groups stand together in the index: those that are asked for are looked up in each day.
        severities = parameters.add(sorted(window.severities or Severity))
        source = (
            f"generate_series($2::date, $3::date - 1, interval '1 day') AS one (day)"
            f" CROSS JOIN unnest({severities}::smallint[]) AS each (severity) CROSS JOIN LATERAL ("
            f"SELECT kind, bucket, count FROM {table}_duration AS d"
            f" WHERE d.day = one.day::date AND d.severity = each.severity AND {' AND '.join(where)} OFFSET 0"
            ") AS counted"
        )
    else:
        where.append(f"{column} >= $2 AND {column} < $3")
        source = f"{table}_duration WHERE {' AND '.join(where)}"
    return Statement(
        f"SELECT kind, bucket, sum(count)::bigint FROM {source} GROUP BY 1, 2", parameters.values, is_keyed=False
    )


def _spans_statement(reader: Reader, span: int, low: date, high: date, window: MetricsWindow) -> Statement:
    """Return what sums up folded durations: of all groups, or where something is asked of them, of some."""
    parameters = Parameters(reader.tenant_id, span, low, high)
    if span == _SPAN_GROUP_MONTH:
        severities = parameters.add(sorted(window.severities or Severity))
        services = _asked(
            MetricsWindow(window.since, window.until, frozenset(), window.monitored_services), parameters
        )
        where = ["severity = each.severity", *services]
        source = f"unnest({severities}::smallint[]) AS each (severity) CROSS JOIN LATERAL"
    else:
        where = ["severity = 0", "monitored_service = ''"]
        source = "(SELECT) AS each CROSS JOIN LATERAL"
    where += ["tenant_id = $1", "span = $2", "since >= $3", "since < $4"]
    return Statement(
        f"SELECT kind, bucket, sum(count)::bigint FROM {source}"
        f" (SELECT kind, bucket, count FROM metric_span_duration WHERE {' AND '.join(where)} OFFSET 0) AS counted"
        " GROUP BY 1, 2",
        parameters.values,
        is_keyed=False,
    )


# What `core.metrics.tally` looks at, alike events counted together, and those whose lengths share a bucket. The
# few facts that no column holds stand at the end of the canonical form, whose keys are in order: to parse all of
# it takes many times as long. Only a note, which may be long, stands in between. A label of such a name has a text
# as its value, in quotes.
_RAW = f"""
    SELECT kind, severity_before, severity_after, service_before, service_after, min(elapsed_ms) AS elapsed_ms,
           sla_met, self_resolved, count(*) AS times, sum(elapsed_ms)::bigint AS total_ms
    FROM (
        SELECT kind, severity_before, severity_after, service_before, service_after,
               CASE WHEN strpos(ended, '"note":"') > 0 OR strpos(ended, '"kind":"') = 0
                        THEN (content::jsonb ->> 'elapsedMs')::bigint
                    WHEN strpos(ended, '"elapsedMs":') > 0
                        AND ascii(split_part(ended, '"elapsedMs":', -1)) BETWEEN 48 AND 57
                        THEN split_part(split_part(ended, '"elapsedMs":', -1), ',', 1)::bigint
               END AS elapsed_ms,
               CASE WHEN strpos(ended, '"slaMet":true') > 0 THEN true
                    WHEN strpos(ended, '"slaMet":false') > 0 THEN false END AS sla_met,
               CASE WHEN strpos(ended, '"selfResolved":true') > 0 THEN true
                    WHEN strpos(ended, '"selfResolved":false') > 0 THEN false END AS self_resolved
        FROM (
            SELECT kind, severity_before, severity_after, service_before, service_after, content,
                   CASE WHEN kind IN ({EventKind.ACKNOWLEDGED:d}, {EventKind.RESOLVED:d}) THEN right(content, 200)
                   END AS ended
            FROM event
            WHERE tenant_id = $1 AND recorded_at >= $2 AND recorded_at < $3 AND alert_id IS NOT NULL
                AND (kind IN ({EventKind.TRIGGERED:d}, {EventKind.ACKNOWLEDGED:d}, {EventKind.ESCALATED:d},
                              {EventKind.RESOLVED:d}, {EventKind.REOPENED:d})
                     OR severity_before <> severity_after OR service_before IS DISTINCT FROM service_after)
            OFFSET 0
        ) AS told
    ) AS event
    GROUP BY kind, severity_before, severity_after, service_before, service_after, sla_met, self_resolved,
             CASE WHEN elapsed_ms >= 1 THEN floor(ln(elapsed_ms::float8) / {math.log(GAMMA)!r})
                  WHEN elapsed_ms IS NOT NULL THEN -1 END
"""
# Far more than any of these takes: an edge is less than a day.
_READ_TIME_MAX = timedelta(seconds=10)


def _columns(parts: Sequence[tuple[date, date, int]]) -> Iterator[list[object]]:
    for place in range(3):
        yield [part[place] for part in parts]


# --------------------------------------------------------------------------------------- figures


async def read_tally(reader: Reader, window: MetricsWindow) -> Tally:
    """Return the counters of a window by group, and its durations of all groups together, under one."""
    return (await _tallies(reader, window, [(window.since, window.until)], durations=True))[0]


async def read_series(reader: Reader, window: MetricsWindow, bucket: timedelta) -> list[tuple[datetime, Tally]]:
    """Return a window's counters cut into buckets, zeros included, by start.

    Buckets begin on whole hours, or days for buckets of whole days, so that counters can answer them: the first
    one is shorter where the window begins in between, and the last one where it ends so. Durations are left out,
    and all groups are told together, under one.
    """
    unit = HOUR if bucket % DAY else DAY
    starts = [window.since]
    while (start := _floor(window.since, unit) + bucket * len(starts)) < window.until:
        starts.append(start)
    spans = list(zip(starts, [*starts[1:], window.until], strict=True))
    tallies = await _tallies(reader, window, spans, durations=False, by_group=False)
    return list(zip(starts, tallies, strict=True))


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
    reader: Reader,
    window: MetricsWindow,
    spans: Sequence[tuple[datetime, datetime]],
    *,
    durations: bool,
    by_group: bool = True,
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
        for row in await _run(reader, _counters_statement(reader, unit, counted, window, by_group=by_group)):
            counts = Counts(*(row[name] for name in COUNT_NAMES))
            results[row["part"]].group(_group(row) if by_group else _TOGETHER).add(counts)
        if durations:
            for low, high, part in counted:
                for statement in await _durations(reader, unit, low, high, window):
                    for kind, bucket, count in await _run(reader, statement):
                        results[part].durations[_TOGETHER, DurationKind(kind), bucket] += count
    for low, high, part in parts.raw:
        # Planned for these very instants: of a year's partitions it reads one or two.
        statement = Statement(_RAW, [reader.tenant_id, low, high], is_keyed=False)
        _add_raw(results[part], await _run(reader, statement), window)
    return results


async def _durations(
    reader: Reader, unit: str, low: date, high: date, window: MetricsWindow
) -> Sequence[Statement]:
    """Return what reads the durations of whole days or minutes, from as few rows as there are."""
    plain = [(low, high)]
    statements = []
    if unit == "day":
        rows = await reader.fetch(_FOLDED_UNTIL, reader.tenant_id)
        folded = max(low, min(high, rows[0]["until"])) if rows else low
        first, last = low if low.day == 1 else _month_after(low), _month(folded)
        is_filtered = bool(window.severities or window.monitored_services)
        days = [(low, folded)]
        if first < last:
            span = _SPAN_GROUP_MONTH if is_filtered else _SPAN_MONTH
            statements.append(_spans_statement(reader, span, first, last, window))
            days = [(low, first), (last, folded)]
        if is_filtered:
            plain = [*days, (folded, high)]
        else:
            statements += [
                _spans_statement(reader, _SPAN_DAY, *each, window) for each in days if each[0] < each[1]
            ]
            plain = [(folded, high)]
    return [
        *statements,
        *(_durations_statement(reader, unit, *each, window) for each in plain if each[0] < each[1]),
    ]


_FOLDED_UNTIL = "SELECT until FROM metric_fold WHERE tenant_id = $1"


def _month(day: date) -> date:
    return day.replace(day=1)


def _month_after(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


async def _run(reader: Reader, statement: Statement) -> Rows:
    rows = await reader.run_in_order(_READ_TIME_MAX, statement)
    if rows is None:
        raise DependencyError(DEPENDENCY, retryable=True)
    return rows


def _group(row: Record) -> Group:
    return Group(Severity(row["severity"]), row["monitored_service"])


def _add_raw(result: Tally, rows: Iterable[Record], window: MetricsWindow) -> None:
    """Add events that were counted together: what one of them adds, as often as there were."""
    alike: dict[tuple[Any, ...], tuple[Tally, list[int]]] = {}
    for *facts, elapsed_ms, sla_met, self_resolved, times, total_ms in rows:
        key = (*facts, sla_met, self_resolved, elapsed_ms is None)
        if key not in alike:
            alike[key] = _only(tally([_event(*key)]), window), [0, 0]
        one, sums = alike[key]
        sums[0] += times
        sums[1] += total_ms or 0
        for _, kind, _ in one.durations:
            result.durations[_TOGETHER, kind, bucket_of(elapsed_ms)] += times
    for one, (times, total_ms) in alike.values():
        for group, counts in one.counts.items():
            whole = Counts(*(getattr(counts, name) * times for name in COUNT_NAMES))
            whole.acknowledge_ms = total_ms if counts.acknowledged else 0
            whole.resolve_ms = total_ms if counts.resolved else 0
            result.group(group).add(whole)


def _event(
    kind: int,
    severity_before: int | None,
    severity_after: int | None,
    service_before: str | None,
    service_after: str | None,
    sla_met: bool | None,  # noqa: FBT001  (as a row has it)
    self_resolved: bool | None,  # noqa: FBT001
    is_timeless: bool,  # noqa: FBT001
) -> Event:
    """Return an event that says as much as `tally` looks at, and took no time if it took any."""
    return Event(
        kind=EventKind(kind),
        actor=ENGINE,
        decided_at=EPOCH,
        alert_id=_SOME_ALERT,
        severity_before=None if severity_before is None else Severity(severity_before),
        severity_after=None if severity_after is None else Severity(severity_after),
        service_before=service_before,
        service_after=service_after,
        elapsed_ms=None if is_timeless else 0,
        sla_met=sla_met,
        self_resolved=self_resolved,
    )


def _only(result: Tally, window: MetricsWindow) -> Tally:
    """Return the part of a tally that a window's filter asks for."""

    def is_asked(group: Group) -> bool:
        return (not window.severities or group.severity in window.severities) and (
            not window.monitored_services or group.monitored_service in window.monitored_services
        )

    kept = Tally({group: counts for group, counts in result.counts.items() if is_asked(group)})
    kept.durations.update({key: count for key, count in result.durations.items() if is_asked(key[0])})
    return kept
