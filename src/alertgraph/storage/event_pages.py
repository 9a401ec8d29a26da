"""Pages of the log: the audit list, timelines of alerts, and single events."""

# ruff: noqa: S608 - statements are put together from constant fragments; values are numbered parameters

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import orjson

from alertgraph.core.cursor import LogCursor, decode_log_cursor
from alertgraph.core.errors import CursorExpiredError, InputError
from alertgraph.core.event import ADMIN_SUBJECT_TYPES, CONFIG_KINDS, EventKind, StoredEvent
from alertgraph.core.ids import AlertId, EventKey, IncidentId
from alertgraph.core.labels import Matcher, MatchOperator
from alertgraph.core.query import EventFilter, EventQuery, EventVisibility, Page, PageRequest, TimelineQuery
from alertgraph.core.severity import Severity
from alertgraph.core.tenant import Role
from alertgraph.storage.reader import Reader
from alertgraph.storage.rows import EVENT_SELECT, event_of
from alertgraph.storage.statement import Parameters, Statement, is_storable

# How far events are judged one by one, for matchers that no column tells.
EXAMINED_MAX, EXAMINE_TIME_MAX = 20_000, timedelta(seconds=1)
EMPTY_EXAMINED_MAX, EMPTY_EXAMINE_TIME_MAX = 100_000, timedelta(seconds=5)
# One statement's worth of reading in order, past events that a filter leaves out.
READ_TIME_MAX = timedelta(seconds=2)
_WINDOW_MIN, _WINDOW_MAX = 10_000, 1_000_000
_CHUNK = 500
# A LIMIT that is a parameter would be planned as a tenth of the log: so it is one of these.
_LIMITS = (11, 26, 51, 101, _CHUNK)
# Kinds that nearly every alert brings along; the others have an index: see event_rare_kind in the migrations.
_FREQUENT_KINDS = frozenset({EventKind.TRIGGERED, EventKind.REPEATED, EventKind.UPDATED, EventKind.RESOLVED})
_IS_RARE_KIND = "kind <> ALL ('{1,2,3,8}'::smallint[])"
_NUMBER_MAX = (1 << 63) - 1
_TIME_MIN, _TIME_MAX = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


def event_cursor(stored: StoredEvent, log_epoch: int) -> LogCursor:
    """Return the position behind an event."""
    return LogCursor(log_epoch, stored.number, stored.recorded_at, stored.leaf[:4])


# --------------------------------------------------------------------------------------- positions


@dataclass(frozen=True, slots=True)
class _Span:
    """Which part of the log: numbers and instants, both ends not included but for the instants."""

    low: int = 0
    high: int = _NUMBER_MAX
    since: datetime | None = None
    until: datetime | None = None
    downward: bool = False

    def behind(self, number: int) -> _Span:
        """Return what is left to read behind an event."""
        return replace(self, high=number) if self.downward else replace(self, low=number)

    def after(self, part: _Span) -> _Span | None:
        """Return what is left once its first part has been read; None where that was all."""
        if self.downward:
            return replace(self, high=part.low + 1) if part.low > self.low else None
        return replace(self, low=part.high - 1) if part.high < self.high else None

    def where(self, parameters: Parameters) -> list[str]:
        """Return the conditions of the span."""
        conditions = []
        if self.low > 0:
            conditions.append(f"number > {parameters.named('low', self.low)}")
        if self.high < _NUMBER_MAX:
            conditions.append(f"number < {parameters.named('high', self.high)}")
        # Instants only spare partitions: within one, numbers say the same.
        if self.since is not None:
            conditions.append(f"recorded_at >= {parameters.named('since', self.since)}")
        if self.until is not None:
            conditions.append(f"recorded_at <= {parameters.named('until', self.until)}")
        return conditions


_LEAF = "SELECT leaf FROM event WHERE tenant_id = $1 AND number = $2 AND recorded_at = $3"


async def _check_position(reader: Reader, text: str, name: str) -> LogCursor:
    """Return the position that a cursor names, where one can still read on from it.

    Raises:
        InputError: It is not the text of a log cursor.
        CursorExpiredError: What is behind it is gone, or it is of another log.
    """
    cursor = decode_log_cursor(text, name)
    head = await reader.head()
    if cursor.log_epoch != head.log_epoch or cursor.number > head.number:
        raise CursorExpiredError("The cursor is of another log; begin again without it.")
    # Behind the last event that was removed everything is still there; before it, nothing is.
    if cursor.number < head.pruned_number or (name == "before" and 0 < cursor.number <= head.pruned_number):
        raise CursorExpiredError("The log is not kept that far back any more; begin again without the cursor.")
    if cursor.number > head.pruned_number:
        rows = await reader.fetch(_LEAF, reader.tenant_id, cursor.number, cursor.recorded_at)
        if not rows or rows[0]["leaf"][:4] != cursor.hash_start:
            raise CursorExpiredError("The cursor is of another log; begin again without it.")
    return cursor


async def _span_of_page(reader: Reader, page: PageRequest) -> _Span:
    span = _Span(downward=page.backward)
    if page.after is not None:
        after = await _check_position(reader, page.after, "after")
        span = replace(span, low=after.number, since=after.recorded_at if after.number else None)
    if page.before is not None:
        before = await _check_position(reader, page.before, "before")
        span = replace(span, high=before.number, until=before.recorded_at if before.number else None)
    return span


_LAST_BEFORE = """
    SELECT number FROM event WHERE tenant_id = $1 AND recorded_at < $2
    ORDER BY recorded_at DESC, number DESC LIMIT 1
"""


async def _last_before(reader: Reader, at: datetime) -> int:
    """Return the number of the last event recorded before an instant; 0 where there is none.

    Instants never go backwards in a log, so a range of instants is a range of numbers.
    """
    rows = await reader.fetch(_LAST_BEFORE, reader.tenant_id, at)
    return rows[0]["number"] if rows else 0


async def _narrowed(reader: Reader, span: _Span, wanted: EventFilter) -> _Span:
    if wanted.occurred_after is not None:
        since = min(max(wanted.occurred_after, _TIME_MIN), _TIME_MAX)
        low = max(span.low, await _last_before(reader, since))
        span = replace(span, low=low, since=since if span.since is None else max(span.since, since))
    if wanted.occurred_before is not None:
        until = min(max(wanted.occurred_before, _TIME_MIN), _TIME_MAX)
        high = min(span.high, await _last_before(reader, until) + 1)
        span = replace(span, high=high, until=until if span.until is None else min(span.until, until))
    return span


# --------------------------------------------------------------------------------------- conditions


def _codes(values: Collection[int]) -> list[int]:
    return sorted(int(value) for value in values)


def _texts(values: Collection[str]) -> list[str]:
    return sorted(value for value in values if is_storable(value))


def _filter_where(wanted: EventFilter, parameters: Parameters) -> list[str]:
    """Return what columns can tell of a filter: every event that matches satisfies it, and few others do."""
    where = []
    if wanted.severity is not None:
        severities = parameters.named("severities", _codes(wanted.severity))
        where.append(f"(severity_after = ANY ({severities}::smallint[]) OR severity_before = ANY ({severities}))")
    if wanted.monitored_service is not None:
        services = parameters.named("services", _texts(wanted.monitored_service))
        where.append(f"(service_after = ANY ({services}::text[]) OR service_before = ANY ({services}))")
    if wanted.source is not None:
        where.append("alert_id IS NOT NULL")
        where.append(f"source = ANY ({parameters.named('sources', _texts(wanted.source))}::text[])")
    if wanted.subject_id is not None or wanted.subject_type is not None:
        where.append("subject_type IS NOT NULL")
    if wanted.subject_id is not None:
        subject = [wanted.subject_id] if is_storable(wanted.subject_id) else []
        where.append(f"subject_id = ANY ({parameters.named('subject', subject)}::text[])")
    if wanted.subject_type is not None:
        types = parameters.named("subject_types", _texts(wanted.subject_type))
        where.append(f"subject_type = ANY ({types}::text[])")
    if wanted.actor_kind is not None:
        actors = parameters.named("actor_kinds", _codes(wanted.actor_kind))
        where.append(f"actor_kind = ANY ({actors}::smallint[])")
    return where


def _matcher_where(matchers: Sequence[Matcher], parameters: Parameters) -> list[str]:
    """Return what can be told of matchers without parsing an event; a look at each decides."""
    if not matchers:
        return []
    where = ["alert_id IS NOT NULL"]
    needles = []
    for matcher in matchers:
        if matcher.operator is not MatchOperator.EQUAL:
            continue
        if not is_storable(matcher.value) or not is_storable(matcher.label):
            return ["false"]
        match matcher.label:
            case "@severity":
                codes = [severity for severity in Severity if severity.name == matcher.value]
                severity = parameters.add(codes)
                where.append(f"COALESCE(severity_after, severity_before) = ANY ({severity}::smallint[])")
            case "@service":
                service = parameters.add(matcher.value)
                where.append(f"COALESCE(service_after, service_before, '') = {service}")
            case "@source":
                where.append(f"source = {parameters.add(matcher.value)}")
            case "@title" | "@dedup_key":
                pass  # Few would be left out: these are looked for one at a time, by alertIds or dedupKey.
            case _ if matcher.value:
                # The canonical form spells a label in one way only.
                needles.append(orjson.dumps({matcher.label: matcher.value}).decode()[1:-1])
    if needles:
        # One is enough to leave out most; the longest is the rarest.
        where.append(f"strpos(content, {parameters.add(max(needles, key=len))}) > 0")
    return where


def _visibility_where(visibility: EventVisibility, parameters: Parameters) -> list[str]:
    """Return what a role may see, as far as columns tell; `EventVisibility.sees` decides."""
    if visibility.scope:
        return _matcher_where(visibility.scope, parameters)
    if visibility.role >= Role.ADMIN:
        return []
    hidden = {EventKind.PERSONAL_DATA_READ}
    if visibility.role < Role.RESPONDER:
        hidden |= CONFIG_KINDS
    kinds = parameters.add(_codes(hidden))
    types = parameters.add(sorted(ADMIN_SUBJECT_TYPES))
    config = parameters.add(_codes(CONFIG_KINDS))
    return [
        f"(alert_id IS NOT NULL OR (kind <> ALL ({kinds}::smallint[])"
        f" AND (kind <> ALL ({config}::smallint[]) OR COALESCE(subject_type, '') <> ALL ({types}::text[]))))"
    ]


def _statement(
    span: _Span, wanted: EventFilter, visibility: EventVisibility, limit: int, reader: Reader
) -> Statement:
    """Return what reads the first events of a span, `limit` of them or some more; same shape, same text."""
    parameters = Parameters(reader.tenant_id)
    drive, driven = "", ""
    kinds = wanted.kinds
    where = span.where(parameters)
    if wanted.alert_ids is not None:
        drive = f"unnest({parameters.add(list(wanted.alert_ids))}::uuid[]) AS one (alert_id)"
        driven = "event.alert_id = one.alert_id"
    elif wanted.incident_ids is not None:
        drive = f"unnest({parameters.add(list(wanted.incident_ids))}::uuid[]) AS one (incident_id)"
        driven = "event.incident_id = one.incident_id"
    elif kinds is not None and not kinds & _FREQUENT_KINDS:
        drive = f"unnest({parameters.add(_codes(kinds))}::smallint[]) AS one (kind)"
        driven = f"event.kind = one.kind AND {_IS_RARE_KIND}"
        kinds = None
    residual = []
    if wanted.incident_ids is not None and wanted.alert_ids is not None:
        residual.append(f"incident_id = ANY ({parameters.add(list(wanted.incident_ids))}::uuid[])")
    residual += _filter_where(wanted, parameters) + _matcher_where(wanted.matchers, parameters)
    if kinds is not None:
        residual.append(f"kind = ANY ({parameters.add(_codes(kinds))}::smallint[])")
    # What a role may not see is little, what a scope lets through may be little.
    visible = _visibility_where(visibility, parameters)
    # Between two numbers, a plan for any values would collect all that is there.
    is_keyed = not residual and not visibility.scope and not (span.low > 0 and span.high < _NUMBER_MAX)
    where += residual + visible
    way = "DESC" if span.downward else "ASC"
    tail = f"ORDER BY number {way} LIMIT {next(size for size in _LIMITS if size >= limit)}"
    conditions = " AND ".join(["tenant_id = $1", *([driven] if driven else []), *where])
    text = f"SELECT {EVENT_SELECT} FROM event WHERE {conditions} {tail}"
    if drive:
        text = f"SELECT found.* FROM {drive} CROSS JOIN LATERAL ({text}) AS found {tail}"
    return Statement(text, parameters.values, is_keyed)


# --------------------------------------------------------------------------------------- pages


async def event_page(reader: Reader, query: EventQuery) -> Page[StoredEvent]:
    """Return a page of the log, oldest first.

    Where events had to be judged one by one and a bound was reached, the page is what was found until then and
    there is a next page.

    Raises:
        InputError: A cursor is none of the log's, or nothing at all was found among as many events as are
            judged one by one.
        CursorExpiredError: What is behind a cursor is gone, or it is of another log.
    """
    page, wanted = query.page, query.filter
    span = await _narrowed(reader, await _span_of_page(reader, page), wanted)
    found, more = await _judged(reader, query, span)
    return await _page(reader, page, found, more=more)


async def _judged(reader: Reader, query: EventQuery, span: _Span) -> tuple[list[StoredEvent], bool]:
    loop = asyncio.get_running_loop()
    begun_at, examined, chunk, size = loop.time(), 0, query.page.size + 1, query.page.size
    window = _WINDOW_MIN
    found: list[StoredEvent] = []
    while True:
        part, statement = span, _statement(span, query.filter, query.visibility, chunk, reader)
        if not statement.is_keyed and not _is_keyed(query):
            # Numbers have no gaps: so a range of them says how many events are looked at where no key says which.
            part = await _window(reader, span, window)
            statement = _statement(part, query.filter, query.visibility, chunk, reader)
        answer = (
            await reader.run(statement)
            if statement.is_keyed
            else await reader.run_in_order(READ_TIME_MAX, statement)
        )
        rows = (answer or ())[:chunk]
        for stored in map(event_of, rows):
            if query.filter.matches(stored) and query.visibility.sees(stored):
                if len(found) == size:
                    return found, True
                found.append(stored)
        if answer is not None:
            if len(rows) == chunk:
                span = span.behind(rows[-1]["number"])
            elif (rest := span.after(part)) is None:
                return found, False
            else:
                span, window = rest, min(4 * window, _WINDOW_MAX)
        examined, chunk = examined + len(rows), _CHUNK
        elapsed = timedelta(seconds=loop.time() - begun_at)
        if found and (answer is None or examined >= EXAMINED_MAX or elapsed > EXAMINE_TIME_MAX):
            return found, True
        if answer is None or examined >= EMPTY_EXAMINED_MAX or elapsed > EMPTY_EXAMINE_TIME_MAX:
            names = _asked_names(query.filter)
            raise InputError(
                f"Nothing was found within {elapsed.total_seconds():.0f} s by what events have to be looked at for"
                f" ({', '.join(names) or 'the scope of the key'}); narrow the filter, for instance by"
                " occurredAfter, kinds or alertIds.",
                "filter",
                *names[:1],
            )


def _is_keyed(query: EventQuery) -> bool:
    """Say whether the events that come into question are looked up, rather than looked for."""
    wanted = query.filter
    keys = (wanted.alert_ids, wanted.incident_ids, wanted.subject_id, wanted.subject_type)
    if any(key is not None for key in keys):
        return True
    return wanted.kinds is not None and not wanted.kinds & _FREQUENT_KINDS


async def _window(reader: Reader, span: _Span, length: int) -> _Span:
    """Return the part of a span that is read first, at most `length` events of it."""
    head = await reader.head()
    if span.downward:
        high = min(span.high, head.number + 1)
        low = high - 1 - length
        return replace(span, high=high, low=low if low > max(span.low, head.pruned_number) else span.low)
    low = max(span.low, head.pruned_number)
    high = low + 1 + length
    return replace(span, low=low, high=high if high < min(span.high, head.number + 1) else span.high)


def _asked_names(wanted: EventFilter) -> list[str]:
    """Return what is asked for that no index knows, as the filter calls it."""
    return [
        name
        for name, value in (
            ("matchers", wanted.matchers),
            ("source", wanted.source),
            ("monitoredService", wanted.monitored_service),
            ("severity", wanted.severity),
            ("actorKind", wanted.actor_kind),
            ("kinds", wanted.kinds),
        )
        if value
    ]


async def _page(
    reader: Reader, page: PageRequest, found: Sequence[StoredEvent], *, more: bool
) -> Page[StoredEvent]:
    as_of = await reader.as_of()
    ordered = found[::-1] if page.backward else found
    return Page(
        [(event_cursor(stored, as_of.log_epoch).encode(), stored) for stored in ordered],
        has_next=page.before is not None if page.backward else more or page.before is not None,
        has_previous=more or page.after is not None if page.backward else page.after is not None,
        as_of=as_of,
    )


async def timelines(reader: Reader, query: TimelineQuery) -> dict[AlertId, Page[StoredEvent]]:
    """Return the same page of several alerts' timelines, all read by one statement.

    Raises:
        InputError: A cursor is none of the log's.
        CursorExpiredError: What is behind a cursor is gone, or it is of another log.
    """
    if query.visibility.scope:
        # No column tells what a scope lets through, so a page takes as many looks as it takes, each by itself.
        return {alert_id: await _timeline(reader, query, alert_id) for alert_id in query.alert_ids}
    size = query.page.size
    span = await _span_of_page(reader, query.page)
    text, values = _timelines_statement(span, query, size + 1, reader)
    found: Mapping[AlertId, list[StoredEvent]] = defaultdict(list)
    if query.alert_ids:
        for stored in map(event_of, await reader.fetch(text, *values)):
            assert stored.event.alert_id is not None, "the statement asks for events about alerts"
            found[stored.event.alert_id].append(stored)
    return {
        alert_id: await _page(reader, query.page, found[alert_id][:size], more=len(found[alert_id]) > size)
        for alert_id in query.alert_ids
    }


async def incident_timelines(
    reader: Reader,
    ids: Collection[IncidentId],
    kinds: frozenset[EventKind] | None,
    page: PageRequest,
    visibility: EventVisibility,
) -> dict[IncidentId, Page[StoredEvent]]:
    """Return the same page of several incidents' timelines, of their alerts' too, all read by one statement.

    Raises:
        InputError: A cursor is none of the log's.
        CursorExpiredError: What is behind a cursor is gone, or it is of another log.
    """
    assert not visibility.scope, "a key that is limited by matchers sees no incident"
    size = page.size
    span = await _span_of_page(reader, page)
    parameters = Parameters(reader.tenant_id, list(dict.fromkeys(ids)))
    where = ["tenant_id = $1", "event.incident_id = one.incident_id", "incident_id IS NOT NULL"]
    where += span.where(parameters)
    if kinds is not None:
        where.append(f"kind = ANY ({parameters.add(_codes(kinds))}::smallint[])")
    where += _visibility_where(visibility, parameters)
    way = "DESC" if span.downward else "ASC"
    tail = f"ORDER BY number {way} LIMIT {next(each for each in _LIMITS if each > size)}"
    text = (
        "SELECT found.* FROM unnest($2::uuid[]) WITH ORDINALITY AS one (incident_id, place) CROSS JOIN LATERAL ("
        f"SELECT {EVENT_SELECT} FROM event WHERE {' AND '.join(where)} {tail}"
        f") AS found ORDER BY one.place, found.number {way}"
    )
    found: dict[IncidentId, list[StoredEvent]] = {incident_id: [] for incident_id in ids}
    for stored in map(event_of, await reader.fetch(text, *parameters.values)):
        assert stored.event.incident_id is not None, "the statement asks for events of incidents"
        found[stored.event.incident_id].append(stored)
    return {
        incident_id: await _page(reader, page, stored[:size], more=len(stored) > size)
        for incident_id, stored in found.items()
    }


async def _timeline(reader: Reader, query: TimelineQuery, alert_id: AlertId) -> Page[StoredEvent]:
    wanted = EventFilter(kinds=query.kinds, alert_ids=frozenset((alert_id,)))
    return await event_page(reader, EventQuery(wanted, query.page, query.visibility))


def _timelines_statement(
    span: _Span, query: TimelineQuery, limit: int, reader: Reader
) -> tuple[str, Sequence[object]]:
    parameters = Parameters(reader.tenant_id, list(dict.fromkeys(query.alert_ids)))
    where = ["tenant_id = $1", "event.alert_id = one.alert_id", *span.where(parameters)]
    if query.kinds is not None:
        where.append(f"kind = ANY ({parameters.add(_codes(query.kinds))}::smallint[])")
    way = "DESC" if span.downward else "ASC"
    tail = f"ORDER BY number {way} LIMIT {next(size for size in _LIMITS if size >= limit)}"
    # Each row says itself which alert it is about, and comes in its alert's order.
    return (
        "SELECT found.* FROM unnest($2::uuid[]) WITH ORDINALITY AS one (alert_id, place) CROSS JOIN LATERAL ("
        f"SELECT {EVENT_SELECT} FROM event WHERE {' AND '.join(where)} {tail}"
        f") AS found ORDER BY one.place, found.number {way}",
        parameters.values,
    )


_EVENTS_BY_KEY = f"""
    SELECT found.* FROM unnest($2::bigint[], $3::timestamptz[]) AS one (number, recorded_at)
    CROSS JOIN LATERAL (
        SELECT {EVENT_SELECT} FROM event
        WHERE tenant_id = $1 AND event.number = one.number AND event.recorded_at = one.recorded_at LIMIT 1
    ) AS found
"""


async def load_events(reader: Reader, keys: Collection[EventKey]) -> dict[EventKey, StoredEvent]:
    """Return the events that exist among the keys."""
    if not keys:
        return {}
    numbers, instants = [key.number for key in keys], [key.recorded_at for key in keys]
    rows = await reader.fetch(_EVENTS_BY_KEY, reader.tenant_id, numbers, instants)
    return {EventKey(stored.number, stored.recorded_at): stored for stored in map(event_of, rows)}
