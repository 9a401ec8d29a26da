"""Figures of a window, exact to the event: whole spans of time from counters, the edges from the log itself.

Housekeeping folds what was counted into hours, days and months (`fold_figures` in the migrations), so that any
window is made of few rows.
"""

# ruff: noqa: S608 - statements are put together from constant fragments; values are numbered parameters

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias
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


def _nearest(at: datetime, unit: timedelta) -> datetime:
    low = _floor(at, unit)
    return low if at - low <= unit / 2 else low + unit


def _month(at: datetime) -> datetime:
    return at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _nearest_month(at: datetime) -> datetime:
    low = _month(at)
    high = _month(low + timedelta(days=32))
    return low if at - low <= high - at else high


# Spans of time by what answers them, each with whether it counts (1) or is taken away (-1), and its bucket.
_Part: TypeAlias = tuple[datetime, datetime, int, int]


class Span(IntEnum):
    """A sort of folded span; the numbers are stored."""

    HOUR = 1
    DAY = 2
    MONTH = 3


@dataclass(frozen=True, slots=True)
class _Folded:
    """What counters there are of a tenant.

    Attributes:
        days_until: Days before are folded, and months that ended before; of later days there are counters by
            the day.
        hours_since: Hours from here on are folded.
        hours_until: Hours before are.
        minutes_since: From this whole minute on, counters by the minute are there.
    """

    days_until: datetime
    hours_since: datetime
    hours_until: datetime
    minutes_since: datetime

    def ends(self, span: int, since: datetime, until: datetime) -> tuple[datetime | None, datetime | None]:
        """Return where the spans of one sort that are nearest to a window begin and end; None for nowhere.

        What lies between here and there is told by smaller spans, added or taken away: so these must be there.
        """
        match span:
            case Span.MONTH:
                last = _month(self.days_until)
                return min(_nearest_month(since), last), min(_nearest_month(until), last)
            case Span.DAY:
                # What is left of the day in which the log ends is no whole hours yet.
                return self._day(since, _ceiling), self._day(until, _floor)
            case _:
                return self._hour(since), self._hour(until)

    def _day(self, at: datetime, inwards: Callable[[datetime, timedelta], datetime]) -> datetime:
        is_told_by_hours = self.hours_since <= _floor(at, DAY) and at < self.days_until
        return _nearest(at, DAY) if is_told_by_hours else inwards(at, DAY)

    def _hour(self, at: datetime) -> datetime | None:
        return min(_nearest(at, HOUR), self.hours_until) if at >= self.hours_since else None

    def has_hours(self, low: datetime, high: datetime) -> bool:
        """Return whether all hours from `low` to `high` are folded."""
        return self.hours_since <= low and high <= self.hours_until


_LENGTHS = {Span.MONTH: timedelta(days=31), Span.DAY: DAY, Span.HOUR: HOUR}


@dataclass(slots=True)
class _Parts:
    """What is added up for some windows: ends are not included.

    A window is what was until its end less what was until its begin. Each of the two is made of months up to the
    nearest one, then days from there forth or back to the nearest one, then hours: so that no more is read than
    half of each. What both have is read for neither.
    """

    folded: list[tuple[Span, _Part]] = field(default_factory=list)
    days: list[_Part] = field(default_factory=list)
    minutes: list[_Part] = field(default_factory=list)
    raw: list[_Part] = field(default_factory=list)

    def add(self, since: datetime, until: datetime, bucket: int, there: _Folded) -> None:
        """Add a window.

        Args:
            since: Included.
            until: Not included.
            bucket: Its number.
            there: Of what there are counters.
        """
        if since >= until:
            return
        places: tuple[datetime, datetime] | None = None
        for span, length in _LENGTHS.items():
            begin, end = there.ends(span, since, until)
            steps: list[tuple[datetime, int]] = []
            if places is None:
                if begin is None or end is None or begin > end or until - since < length:
                    continue
                steps = [(end, 1), (begin, -1)]
                places = begin, end
            else:
                moved = [
                    place if at is None or not self._reaches(span, place, at, there) else at
                    for place, at in zip(places, (begin, end), strict=True)
                ]
                steps = [(moved[1], 1), (places[1], -1), (moved[0], -1), (places[0], 1)]
                places = moved[0], moved[1]
            for low, high, sign in _swept(steps):
                self._add_folded(span, (low, high, sign, bucket), there)
        steps = [(until, 1), (since, -1)]
        if places is not None:
            steps += [(places[1], -1), (places[0], 1)]
        for low, high, sign in _swept(steps):
            self._add_rest((low, high, sign, bucket), there)

    @staticmethod
    def _reaches(span: Span, place: datetime, at: datetime, there: _Folded) -> bool:
        return span is not Span.HOUR or there.has_hours(min(place, at), max(place, at))

    def _add_folded(self, span: Span, part: _Part, there: _Folded) -> None:
        low, high, sign, bucket = part
        if span is not Span.DAY:
            self.folded.append((span, part))
            return
        if low < there.days_until:
            self.folded.append((span, (low, min(high, there.days_until), sign, bucket)))
        if high > there.days_until:
            self.days.append((max(low, there.days_until), high, sign, bucket))

    def _add_rest(self, part: _Part, there: _Folded) -> None:
        since, until, sign, bucket = part
        first, last = max(_ceiling(since, MINUTE), there.minutes_since), _floor(until, MINUTE)
        if first < last:
            self.minutes.append((first, last, sign, bucket))
            spans = [(since, first), (last, until)]
        else:
            spans = [(since, until)]
        self.raw += [(low, high, sign, bucket) for low, high in spans if low < high]


def _swept(steps: Iterable[tuple[datetime, int]]) -> Iterator[tuple[datetime, datetime, int]]:
    """Yield the spans of which a sum of beginnings of time consists, each with how often it counts.

    Args:
        steps: Ends of spans that all begin with time itself, and how often each of them counts.
    """
    ordered = sorted(steps, reverse=True)
    times = 0
    for (high, count), (low, _) in pairwise(ordered):
        times += count
        if times and low < high:
            yield low, high, times


# --------------------------------------------------------------------------------------- statements

_COUNTERS = {"day": ("metric_day", "day", "date"), "minute": ("metric_minute", "at", "timestamptz")}
_SUMS = ", ".join(f"sum(part.sign * counter.{name})::bigint AS {name}" for name in COUNT_NAMES)
# Under this group stands what is told of all the groups that were asked for, together.
_TOGETHER = Group(min(Severity), "")
_ONE_BY_ONE = 0


def _division(window: MetricsWindow) -> int:
    """Return by what folded figures must be divided to tell only what is asked for: as GROUPING() says it."""
    return (0 if window.severities else 2) + (0 if window.monitored_services else 1)


def _folded_statement(
    reader: Reader,
    parts: Sequence[tuple[Span, _Part]],
    window: MetricsWindow,
    *,
    durations: bool,
    by_group: bool,
) -> Statement:
    """Return what sums up folded counters, or histograms, by bucket and, if it shall, by group."""
    parameters = Parameters(reader.tenant_id, [span for span, _ in parts], *_columns([part for _, part in parts]))
    division = _ONE_BY_ONE if by_group else _division(window)
    where = [
        "tenant_id = $1",
        "span = part.span",
        f"division = {division:d}",
        "since >= part.low",
        "since < part.high",
        *_asked(window, parameters),
    ]
    read = (
        " FROM unnest($2::smallint[], $3::timestamptz[], $4::timestamptz[], $5::integer[], $6::integer[])"
        " AS part (span, low, high, sign, bucket) CROSS JOIN LATERAL"
        f" (SELECT * FROM metric_span WHERE {' AND '.join(where)} OFFSET 0) AS counter"
    )
    if durations:
        text = (
            "SELECT part.bucket AS part, one.kind, one.bucket, sum(part.sign * one.count)::bigint AS count"
            f"{read} CROSS JOIN LATERAL unnest(counter.kinds, counter.buckets, counter.lengths)"
            " AS one (kind, bucket, count) GROUP BY 1, 2, 3"
        )
    else:
        text = f"SELECT {_keys(by_group=by_group)}, {_SUMS}{read} GROUP BY {_groups(by_group=by_group)}"
    return Statement(text, parameters.values, is_keyed=False)


def _keys(*, by_group: bool) -> str:
    return "part.bucket AS part" + (", counter.severity, counter.monitored_service" if by_group else "")


def _groups(*, by_group: bool) -> str:
    return "1, 2, 3" if by_group else "1"


def _counters_statement(
    reader: Reader, unit: str, parts: Sequence[_Part], window: MetricsWindow, *, durations: bool, by_group: bool
) -> Statement:
    """Return what sums up counters, or histograms, of whole days or minutes, as `_folded_statement` does."""
    table, column, kind = _COUNTERS[unit]
    cut = [(low.date(), high.date(), *rest) for low, high, *rest in parts] if unit == "day" else parts
    parameters = Parameters(reader.tenant_id, *_columns(cut))
    where = [
        "tenant_id = $1",
        f"{column} >= part.low",
        f"{column} < part.high",
        *_asked(window, parameters),
    ]
    if durations:
        table = f"{table}_duration"
        keys, groups = "part.bucket AS part, counter.kind, counter.bucket", "1, 2, 3"
        sums = "sum(part.sign * counter.count)::bigint AS count"
    else:
        keys, groups, sums = _keys(by_group=by_group), _groups(by_group=by_group), _SUMS
    text = (
        f"SELECT {keys}, {sums}"
        f" FROM unnest($2::{kind}[], $3::{kind}[], $4::integer[], $5::integer[]) AS part (low, high, sign, bucket)"
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


def _raw_statement(reader: Reader, low: datetime, high: datetime) -> Statement:
    return Statement(_RAW, [reader.tenant_id, low, high], is_keyed=False)


# Far more than any of these takes: what is read from the log is less than a day.
_READ_TIME_MAX = timedelta(seconds=10)


def _columns(parts: Sequence[Sequence[object]]) -> Iterator[list[object]]:
    for place in range(4):
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
    there = await _folded(reader)
    parts = _Parts()
    for bucket, (since, until) in enumerate(spans):
        parts.add(max(since, _TIME_MIN).astimezone(UTC), min(until, _TIME_MAX).astimezone(UTC), bucket, there)
    results = [Tally() for _ in spans]
    statements = [
        *([partial(_folded_statement, reader, parts.folded, window)] if parts.folded else []),
        *([partial(_counters_statement, reader, "day", parts.days, window)] if parts.days else []),
        *([partial(_counters_statement, reader, "minute", parts.minutes, window)] if parts.minutes else []),
    ]
    for statement in statements:
        for row in await _run(reader, statement(durations=False, by_group=by_group)):
            counts = Counts(*(row[name] for name in COUNT_NAMES))
            results[row["part"]].group(_group(row) if by_group else _TOGETHER).add(counts)
        if durations:
            for part, kind, bucket, count in await _run(reader, statement(durations=True, by_group=False)):
                results[part].durations[_TOGETHER, DurationKind(kind), bucket] += count
    for low, high, sign, part in parts.raw:
        # Planned for these very instants: of a year's partitions it reads one or two.
        _add_raw(results[part], await _run(reader, _raw_statement(reader, low, high)), window, sign)
    return [_without_zeros(result) for result in results]


_FOLDED = "SELECT now(), f.* FROM (SELECT) AS one LEFT JOIN metric_fold f ON f.tenant_id = $1"


async def _folded(reader: Reader) -> _Folded:
    """Return what counters there are."""
    [row] = await reader.fetch(_FOLDED, reader.tenant_id)
    # A transaction's now() stands still while old minutes are cleared away: hence two minutes less.
    minutes_since = _ceiling(row["now"] - MINUTES_KEPT, MINUTE) + MINUTE
    if row["days_until"] is None:
        return _Folded(_TIME_MIN, minutes_since, minutes_since, minutes_since)
    # Minutes do not go before they are folded.
    return _Folded(
        datetime.combine(row["days_until"], datetime.min.time(), UTC),
        row["hours_since"],
        row["hours_until"],
        min(minutes_since, row["hours_until"]),
    )


def _without_zeros(result: Tally) -> Tally:
    """Return a tally without lengths of time that were counted and taken away again."""
    for key in [key for key, count in result.durations.items() if not count]:
        del result.durations[key]
    return result


async def _run(reader: Reader, statement: Statement) -> Rows:
    rows = await reader.run_in_order(_READ_TIME_MAX, statement)
    if rows is None:
        raise DependencyError(DEPENDENCY, retryable=True)
    return rows


def _group(row: Record) -> Group:
    return Group(Severity(row["severity"]), row["monitored_service"])


def _add_raw(result: Tally, rows: Iterable[Record], window: MetricsWindow, sign: int) -> None:
    """Add events that were counted together, or take them away: what one of them adds, as often as there were."""
    alike: dict[tuple[Any, ...], tuple[Tally, list[int]]] = {}
    for *facts, elapsed_ms, sla_met, self_resolved, times, total_ms in rows:
        key = (*facts, sla_met, self_resolved, elapsed_ms is None)
        if key not in alike:
            alike[key] = _only(tally([_event(*key)]), window), [0, 0]
        one, sums = alike[key]
        sums[0] += sign * times
        sums[1] += sign * (total_ms or 0)
        for _, kind, _ in one.durations:
            result.durations[_TOGETHER, kind, bucket_of(elapsed_ms)] += sign * times
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
