"""Alerts by id, and pages of alerts: keyset scans over the open and the closed ones, merged in order.

What columns can tell is asked in SQL. EQUAL matchers on labels and search words come as ids from the search
index; matchers that no index knows are judged row by row, in rounds and within bounds.

Who covers an alert now is in no column: an acknowledged one is not held by the silence that covers it, and a
hold is looked at when it falls due, not when its silence is over. So it is judged row by row, too, by the silences
whose window it is and by the open sources of inhibition. Where few of them are there, SQL leaves out the alerts
that none of them can cover; where none is, nothing is judged at all. A silence of exactly one alert is as good as
a filter by its dedup key, and one silence alone as good as its matchers.

By predicted chance those of which nothing was said come last, whichever way: they are read apart, by their ids.
"""

# ruff: noqa: S608 - statements are put together from constant fragments; values are numbered parameters

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

from asyncpg import Record

from alertgraph.core.actor import ActorKind
from alertgraph.core.alert import FUTURE_MAX, Alert, AlertStatus, match_values
from alertgraph.core.catalog import Catalog
from alertgraph.core.errors import InputError
from alertgraph.core.ids import (
    AlertId,
    IncidentId,
    NodeKind,
    ResponderId,
    encode_id,
    from_microseconds,
    pack,
    to_microseconds,
    unpack,
    uuid7_floor,
)
from alertgraph.core.inhibition import InhibitionRule
from alertgraph.core.labels import Matcher, MatcherIndex, MatchOperator, matches_all
from alertgraph.core.query import (
    TOTAL_COUNT_MAX,
    AlertFilter,
    AlertOrder,
    AlertOrderField,
    AlertQuery,
    Page,
    PageRequest,
)
from alertgraph.core.search import alert_words, label_term, search_words
from alertgraph.core.severity import Severity
from alertgraph.core.silence import window_at
from alertgraph.storage.inhibitors import load_inhibitors
from alertgraph.storage.reader import Reader, Rows
from alertgraph.storage.rows import ALERT_SELECT, AlertPart, alert_of, part_with
from alertgraph.storage.search import FOUND_MAX, find_alerts
from alertgraph.storage.statement import Parameters, Statement, is_storable

# More branches than this are one scan with a condition instead.
BRANCH_COUNT_MAX = 16
OPEN_BRANCH_COUNT_MAX = 4
# No ladder is higher, whatever an installation allows.
LEVEL_MAX = 100
COUNT_TIME_MAX = timedelta(milliseconds=500)
# More closed alerts than this are no selection by a column: to look them up takes longer than to come upon them.
FEW_MAX = 1_500
# The same of closed alerts that are found and sorted by an index alone, of which only a page is looked up.
SORTED_MAX = 30_000
# One statement's worth of reading in order, past rows that a filter leaves out.
READ_TIME_MAX = timedelta(seconds=2)
_MONTHS_TIME_MAX = timedelta(milliseconds=250)
# How far rows are judged one by one: for a page that has something on it, and for one that is empty yet.
EXAMINED_MAX, EXAMINE_TIME_MAX = 20_000, timedelta(seconds=1)
EMPTY_EXAMINED_MAX, EMPTY_EXAMINE_TIME_MAX = 200_000, timedelta(seconds=5)
_CHUNK = 1000
# A LIMIT that is a parameter would be planned as a tenth of the table: so it is one of these.
_LIMITS = (11, 26, 51, 101, _CHUNK, TOTAL_COUNT_MAX + 1)

_CURSOR = struct.Struct(">BBBq16s")
_CURSOR_VERSION = 1
_ID_MIN, _ID_MAX = UUID(int=0), UUID(int=(1 << 128) - 1)
_TIME_MIN, _TIME_MAX = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
_OPEN_STATUSES = frozenset({AlertStatus.TRIGGERED, AlertStatus.ACKNOWLEDGED})
_TAKEN_STATUSES = frozenset({AlertStatus.ACKNOWLEDGED, AlertStatus.RESOLVED})
_MATCHED_COLUMNS = (
    "id, title, description, severity, status, source, monitored_service, dedup_key, labels, triggered_at,"
    " last_seen_at, incident_probability"
)
# As the index of closed alerts that is limited to these has it.
_MISSED = "(LEAST(first_acknowledged_at, resolved_at) > acknowledge_by OR resolved_at > resolve_by)"
# Columns whose indexes know only of some alerts, and of which.
_INDEXED: Final[Mapping[str, str]] = {
    "assignee": "assignee IS NOT NULL",
    "incident_id": "incident_id IS NOT NULL",
    "rule_id": "rule_id IS NOT NULL",
    "verdict": "verdict IS NOT NULL",
    "escalation_level": "escalation_level >= 1",
}
# What the indexes of open alerts know behind what they are in the order of.
_OPEN_KNOWN = frozenset({"severity", "assignee", "verdict", "rule_id", "source", "monitored_service"})
# How far an alert's begin may lie ahead of its id: what a sender's clock may be ahead, and a day for ours.
_AHEAD_MAX = FUTURE_MAX + timedelta(days=1)
_ORDER_COLUMNS: Final[Mapping[AlertOrderField, str]] = {
    AlertOrderField.TRIGGERED_AT: "triggered_at",
    AlertOrderField.LAST_SEEN_AT: "last_seen_at",
    AlertOrderField.SEVERITY: "severity",
    AlertOrderField.INCIDENT_PROBABILITY: "incident_probability",
}
# What stands for the chance of an alert of which nothing was said, where the largest comes first, and where the
# smallest does: behind all others.
_UNSAID: Final[Mapping[bool, float]] = {True: -1.0, False: 2.0}

# What the indexes of closed alerts tell of each find (by_… in the migrations).
_TOLD_ORDERS = frozenset({AlertOrderField.TRIGGERED_AT, AlertOrderField.LAST_SEEN_AT, AlertOrderField.SEVERITY})

# What conditions are called in a filter.
_FILTER_NAMES: Final[Mapping[str, str]] = {
    "matchers": "matchers",
    "equals": "matchers",
    "words": "search",
    "titles": "matchers",
    "takers": "acknowledgedById",
    "assignees": "assigneeId",
    "incidents": "incidentId",
    "verdicts": "verdict",
    "rules": "escalationRuleId",
    "level_min": "escalationLevelMin",
    "sources": "source",
    "services": "monitoredService",
    "resolved_after": "resolvedAfter",
    "resolved_before": "resolvedBefore",
    "sla_breached": "slaBreached",
    "probability_min": "incidentProbabilityMin",
    "triggered_before": "triggeredBefore",
    "triggered_after": "triggeredAfter",
    "severities": "severity",
}

T = TypeVar("T")


# --------------------------------------------------------------------------------------- by id

_ALERTS_BY_ID = f"""
    SELECT found.* FROM unnest($2::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
        SELECT {ALERT_SELECT} FROM alert_open WHERE tenant_id = $1 AND id = wanted.id
        UNION ALL
        SELECT {ALERT_SELECT} FROM alert_closed WHERE tenant_id = $1 AND id = wanted.id
        UNION ALL
        SELECT {ALERT_SELECT} FROM alert_closed_late WHERE tenant_id = $1 AND id = wanted.id
        LIMIT 1
    ) AS found
"""


async def load_alerts(reader: Reader, ids: Collection[AlertId]) -> dict[AlertId, Alert]:
    """Return the alerts that exist among the ids, open and closed."""
    if not ids:
        return {}
    rows = await reader.fetch(_ALERTS_BY_ID, reader.tenant_id, list(ids))
    return {alert.id: alert for alert in map(alert_of, rows)}


# --------------------------------------------------------------------------------------- places


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    """Where a row stands in an order: what is ordered by, and its id."""

    value: datetime | float
    id: UUID


def _cursor_text(place: _Place, order: AlertOrder) -> str:
    match place.value:
        case int():
            value = place.value
        case float():
            [value] = struct.unpack(">q", struct.pack(">d", place.value))
        case _:
            value = to_microseconds(place.value)
    return pack(_CURSOR.pack(_CURSOR_VERSION, order.field, order.descending, value, place.id.bytes))


def _place_of_cursor(text: str, order: AlertOrder, name: str) -> _Place:
    raw = unpack(text)
    if raw is None or len(raw) != _CURSOR.size or raw[0] != _CURSOR_VERSION:
        raise InputError("This is not a cursor of a list of alerts.", name)
    _, order_field, descending, value, id_bytes = _CURSOR.unpack(raw)
    if order_field != order.field or descending != order.descending:
        raise InputError("This cursor is of another order than the one asked for.", name)
    place_id = UUID(bytes=id_bytes)
    if order.field is AlertOrderField.SEVERITY:
        if not 0 <= value <= max(Severity):
            raise InputError("This is not a cursor of a list of alerts.", name)
        return _Place(value, place_id)
    if order.field is AlertOrderField.INCIDENT_PROBABILITY:
        [chance] = struct.unpack(">d", struct.pack(">q", value))
        if not (math.isfinite(chance) and (0 <= chance <= 1 or chance == _UNSAID[order.descending])):
            raise InputError("This is not a cursor of a list of alerts.", name)
        return _Place(chance, place_id)
    try:
        return _Place(from_microseconds(value), place_id)
    except OverflowError:
        raise InputError("This is not a cursor of a list of alerts.", name) from None


# --------------------------------------------------------------------------------------- conditions


@dataclass(frozen=True, slots=True)
class _Conditions:
    """A filter and a scope, sorted by who can judge them. A set of columns' values is None where any will do.

    Attributes:
        services: None in the set stands for alerts that name none.
        terms: Words and labels that the search index knows; all must hold.
        words: The words among the terms.
        equals: The matchers that became terms.
        takers: The actors, by reference, one of whom must have taken it.
        covers: For each sort of cover that is asked for, the matchers of each that there is: of one of them, all
            must hold.
        matchers: What only a look at each row can tell.
        silences: The matchers of each silence whose window it is, where a look at each row must tell.
        inhibitions: The rules that are applied, the same.
    """

    statuses: frozenset[AlertStatus]
    severities: frozenset[Severity] | None = None
    services: frozenset[str | None] | None = None
    sources: frozenset[str] | None = None
    dedup_keys: frozenset[str] | None = None
    titles: frozenset[str] | None = None
    verdicts: frozenset[int] | None = None
    rules: frozenset[UUID] | None = None
    takers: frozenset[str] | None = None
    assignees: frozenset[UUID] | None = None
    incidents: frozenset[UUID] | None = None
    triggered_after: datetime | None = None
    triggered_before: datetime | None = None
    resolved_after: datetime | None = None
    resolved_before: datetime | None = None
    level_min: int | None = None
    probability_min: float | None = None
    sla_breached: bool | None = None
    terms: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    equals: tuple[Matcher, ...] = ()
    covers: tuple[tuple[tuple[Matcher, ...], ...], ...] = ()
    matchers: tuple[Matcher, ...] = ()
    silenced: bool | None = None
    silences: tuple[tuple[Matcher, ...], ...] = ()
    inhibited: bool | None = None
    inhibitions: tuple[InhibitionRule, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What rows are looked at for one by one, as the filter calls it; what there is least of comes first."""
        asked = (
            name for field, name in _FILTER_NAMES.items() if getattr(self, field) not in (None, (), frozenset())
        )
        return tuple(dict.fromkeys(asked))

    @property
    def satisfiable(self) -> bool:
        """Whether any alert at all could satisfy these."""
        sets = (
            self.severities,
            self.services,
            self.sources,
            self.dedup_keys,
            self.titles,
            self.verdicts,
            self.rules,
            self.takers,
            self.assignees,
            self.incidents,
            self.levels,
        )
        return bool(self.statuses) and all(values is None or values for values in sets)

    @property
    def named_services(self) -> frozenset[str] | None:
        """The services asked for; None where alerts that name none are asked for, too."""
        if self.services is None or None in self.services:
            return None
        return frozenset(service for service in self.services if service is not None)

    @property
    def levels(self) -> frozenset[int] | None:
        """The levels asked for, where some do not come into question; none is beyond the highest there can be."""
        if not self.level_min or self.level_min < 1:
            return None
        return frozenset(range(self.level_min, LEVEL_MAX + 1))

    @property
    def judged(self) -> bool:
        """Whether a look at each row is needed."""
        return bool(self.matchers or self.words) or self.silenced is not None or self.inhibited is not None


def _either(before: frozenset[T] | None, now: Collection[T] | None) -> frozenset[T] | None:
    if now is None:
        return before
    return frozenset(now) if before is None else before & frozenset(now)


def _storable(values: Collection[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(value for value in values if is_storable(value))


def _clamped(at: datetime | None) -> datetime | None:
    # Beyond these nothing is kept, and the driver has no room for time zones at the ends of time.
    return None if at is None else min(max(at, _TIME_MIN), _TIME_MAX)


def _conditions(wanted: AlertFilter, scope: Sequence[Matcher]) -> _Conditions:
    words = frozenset() if wanted.search is None else search_words(wanted.search, "filter", "search")
    conditions = _Conditions(
        statuses=frozenset(AlertStatus if wanted.status is None else wanted.status),
        severities=_either(None, wanted.severity),
        services=_either(None, _storable(wanted.monitored_service)),
        sources=_storable(wanted.source),
        dedup_keys=_storable(wanted.dedup_key),
        verdicts=_either(None, wanted.verdict),
        rules=_either(None, wanted.escalation_rule),
        takers=_either(None, _references(wanted.acknowledged_by)),
        assignees=_either(None, wanted.assignee),
        incidents=_either(None, wanted.incident),
        triggered_after=_clamped(wanted.triggered_after),
        triggered_before=_clamped(wanted.triggered_before),
        resolved_after=_clamped(wanted.resolved_after),
        resolved_before=_clamped(wanted.resolved_before),
        # Levels are small: beyond this no alert ever climbs, and the column could not hold the number.
        level_min=None if wanted.escalation_level_min is None else min(wanted.escalation_level_min, 1_000_000),
        probability_min=None
        if wanted.incident_probability_min is None
        else float(wanted.incident_probability_min),
        sla_breached=wanted.sla_breached,
        terms=words,
        words=words,
    )
    if wanted.acknowledged_by is not None:
        conditions = replace(conditions, statuses=conditions.statuses & _TAKEN_STATUSES)
    for matcher in (*wanted.matchers, *scope):
        conditions = _with_matcher(conditions, matcher)
    if conditions.resolved_before is not None:
        # No alert ends before it begins, so a list in order of that need not look at what began later.
        known = conditions.triggered_before or conditions.resolved_before
        conditions = replace(conditions, triggered_before=min(known, conditions.resolved_before))
    if conditions.resolved_after is not None or conditions.resolved_before is not None:
        conditions = replace(conditions, statuses=conditions.statuses & {AlertStatus.RESOLVED})
    return conditions


def _references(people: Sequence[ResponderId] | None) -> list[str] | None:
    return None if people is None else [encode_id(NodeKind.RESPONDER, person) for person in people]


def _with_covers(conditions: _Conditions, wanted: AlertFilter, catalog: Catalog, now: datetime) -> _Conditions:
    """Return the conditions with what a filter asks of who covers an alert now."""
    if wanted.silenced is not None:
        silences = tuple(each.matchers for each in catalog.silences if window_at(each, now) is not None)
        conditions = _with_cover(conditions, silences, wanted=wanted.silenced)
        # Of one silence alone, its matchers have told all there is to tell.
        if len(silences) > 1 or (silences and not wanted.silenced):
            conditions = replace(conditions, silenced=wanted.silenced, silences=silences)
    if wanted.inhibited is not None:
        rules = tuple(rule for rule in catalog.inhibitions if rule.enabled)
        conditions = _with_cover(
            conditions, tuple(rule.target_matchers for rule in rules), wanted=wanted.inhibited
        )
        if rules:
            conditions = replace(conditions, inhibited=wanted.inhibited, inhibitions=rules)
    return conditions


def _with_cover(
    conditions: _Conditions, alternatives: tuple[tuple[Matcher, ...], ...], *, wanted: bool
) -> _Conditions:
    """Return the conditions for alerts that one of these can cover, as far as that can be told beforehand."""
    if not wanted:
        return conditions
    # What is resolved is covered by nothing.
    conditions = replace(
        conditions, statuses=conditions.statuses & _OPEN_STATUSES if alternatives else frozenset()
    )
    if len(alternatives) == 1:
        for matcher in alternatives[0]:
            conditions = _with_matcher(conditions, matcher)
        return conditions
    keys = [_asked_key(matchers) for matchers in alternatives]
    if None not in keys:
        return replace(
            conditions, dedup_keys=_either(conditions.dedup_keys, {key for key in keys if key is not None})
        )
    if _is_few(alternatives) and all(_asked_key(each) or _asked_labels(each) for each in alternatives):
        return replace(conditions, covers=(*conditions.covers, alternatives))
    return conditions


def _asked_key(matchers: Sequence[Matcher]) -> str | None:
    """Return the dedup key that matchers ask for; None where they let several pass."""
    return next((value for label, value in _asked(matchers) if label == "@dedup_key"), None)


def _asked_labels(matchers: Sequence[Matcher]) -> dict[str, str]:
    """Return labels that any alert has of which the matchers hold."""
    return {label: value for label, value in _asked(matchers) if not label.startswith("@")}


def _asked(matchers: Sequence[Matcher]) -> list[tuple[str, str]]:
    return [(each.label, each.value) for each in matchers if each.operator is MatchOperator.EQUAL and each.value]


def _with_matcher(conditions: _Conditions, matcher: Matcher) -> _Conditions:
    if matcher.operator is not MatchOperator.EQUAL:
        return replace(conditions, matchers=(*conditions.matchers, matcher))
    if not is_storable(matcher.value) or not is_storable(matcher.label):
        return replace(conditions, statuses=frozenset())
    value = {matcher.value}
    match matcher.label:
        case "@severity":
            severities = {severity for severity in Severity if severity.name == matcher.value}
            return replace(conditions, severities=_either(conditions.severities, severities))
        case "@service":
            services: set[str | None] = {matcher.value or None}
            return replace(conditions, services=_either(conditions.services, services))
        case "@source":
            return replace(conditions, sources=_either(conditions.sources, value))
        case "@dedup_key":
            return replace(conditions, dedup_keys=_either(conditions.dedup_keys, value))
        case "@title":
            return replace(conditions, titles=_either(conditions.titles, value))
        case _ if matcher.value:
            return replace(
                conditions,
                terms=conditions.terms | {label_term(matcher.label, matcher.value)},
                equals=(*conditions.equals, matcher),
            )
        case _:
            # An absent label reads as empty text, and no index knows what is absent.
            return replace(conditions, matchers=(*conditions.matchers, matcher))


# --------------------------------------------------------------------------------------- statements


@dataclass(frozen=True, slots=True)
class _Scan:
    """A part of a list to read.

    Attributes:
        low: Only what stands behind it in ascending order; None for the beginning.
        high: Only what stands before it in ascending order; None for the end.
        downward: Whether it is read from high to low.
        ids: Only these; None for any.
        closed_ids: Of the closed ones only these; None for any.
        closed_count: How many closed ones there are, where `closed_ids` are only the first of them.
        months: Of the closed ones that are not late only those from the first id and before the second.
        is_predicted: Only those of which the model said something, or nothing; None for any.
    """

    conditions: _Conditions
    order: AlertOrder
    now: datetime
    low: _Place | None
    high: _Place | None
    downward: bool
    ids: Sequence[UUID] | None = None
    closed_ids: Sequence[UUID] | None = None
    closed_count: int | None = None
    months: tuple[UUID, UUID] | None = None
    is_predicted: bool | None = None

    def behind(self, place: _Place) -> _Scan:
        """Return what is left to read behind a place."""
        return replace(self, high=place) if self.downward else replace(self, low=place)

    @property
    def parts(self) -> Sequence[_Scan]:
        """What is read one after the other: where it is by chance, those of which nothing was said apart."""
        if self.order.field is not AlertOrderField.INCIDENT_PROBABILITY:
            return (self,)
        said, unsaid = replace(self, is_predicted=True), self._unsaid
        if unsaid is None:
            return (said,)
        return (said, unsaid) if self.downward is self.order.descending else (unsaid, said)

    @property
    def _unsaid(self) -> _Scan | None:
        """The part of which nothing was said, bounded by ids alone; None where nothing of it is asked for."""
        if self.conditions.probability_min is not None:
            return None
        here = _UNSAID[self.order.descending]
        low, high = self.low, self.high
        if (low is not None and low.value > here) or (high is not None and high.value < here):  # type: ignore[operator]  # both are chances
            return None
        return replace(
            self,
            is_predicted=False,
            low=low if low is not None and low.value == here else None,
            high=high if high is not None and high.value == here else None,
        )

    @property
    def tables(self) -> tuple[str, ...]:
        """Where its alerts are kept."""
        opened = ("alert_open",) if self.conditions.statuses & _OPEN_STATUSES else ()
        closed = ("alert_closed", "alert_closed_late") if AlertStatus.RESOLVED in self.conditions.statuses else ()
        return opened + closed


def _page_statement(scan: _Scan, columns: str, limit: int, tenant_id: UUID) -> Statement:
    """Return what reads the first rows of a scan: `limit` of them or some more.

    Scans of the same shape give the same text, so that its plan is kept.
    """
    parameters = Parameters(tenant_id)
    scan = _narrowed(scan)
    tail, bounds = _tail(scan, limit), _bounds(scan, parameters)
    branches = [_branch(scan, table, columns, bounds, tail, parameters) for table in scan.tables]
    united = " UNION ALL ".join(f"({branch.text})" for branch in branches)
    source = united if len(branches) == 1 else f"({united})"
    return Statement(
        f"SELECT * FROM {source} AS page {tail}", parameters.values, all(branch.is_keyed for branch in branches)
    )


def _tail(scan: _Scan, limit: int) -> str:
    """Return what puts rows in a scan's order and stops where there are enough."""
    column, way = _ORDER_COLUMNS[scan.order.field], "DESC" if scan.downward else "ASC"
    sorts = f"id {way}" if scan.is_predicted is False else f"{column} {way}, id {way}"
    return f"ORDER BY {sorts} LIMIT {next(size for size in _LIMITS if size >= limit)}"


def _bounds(scan: _Scan, parameters: Parameters) -> list[str]:
    """Return the conditions of the places between which a scan is read."""
    column = _ORDER_COLUMNS[scan.order.field]
    bounds = [] if scan.is_predicted is None else [f"{column} IS {'NOT NULL' if scan.is_predicted else 'NULL'}"]
    for comparison, place in ((">", scan.low), ("<", scan.high)):
        if place is None:
            continue
        if scan.is_predicted is False:
            bounds.append(f"id {comparison} {parameters.add(place.id)}")
        else:
            bounds.append(
                f"({column}, id) {comparison} ({parameters.add(place.value)}, {parameters.add(place.id)})"
            )
    return bounds


def _narrowed(scan: _Scan) -> _Scan:
    """Return the same scan with the time it is about among its bounds, where it is ordered by that time."""
    conditions = scan.conditions
    if scan.order.field is not AlertOrderField.TRIGGERED_AT:
        return scan
    low, high = scan.low, scan.high
    if conditions.triggered_after is not None:
        after = _Place(conditions.triggered_after - timedelta(microseconds=1), _ID_MAX)
        low = after if low is None else max(low, after)
    if conditions.triggered_before is not None:
        before = _Place(conditions.triggered_before, _ID_MIN)
        high = before if high is None else min(high, before)
    without = replace(conditions, triggered_after=None, triggered_before=None)
    return replace(scan, conditions=without, low=low, high=high)


def _count_statement(scan: _Scan, tenant_id: UUID) -> Statement:
    """Return what counts those of a scan's alerts that are not counted yet, up to one more than the cap."""
    parameters = Parameters(tenant_id)
    tables = scan.tables if scan.closed_count is None else scan.tables[:1]
    branches = [_branch(scan, table, "1", (), "", parameters) for table in tables]
    united = " UNION ALL ".join(f"({branch.text})" for branch in branches)
    counted = f"SELECT 1 FROM ({united}) AS found LIMIT {TOTAL_COUNT_MAX + 1}"
    return Statement(f"SELECT count(*) FROM ({counted}) AS counted", parameters.values, is_keyed=False)


def _branch(
    scan: _Scan, table: str, columns: str, bounds: Sequence[str], tail: str, parameters: Parameters
) -> Statement:
    """Return the part of a statement that reads one table: one index scan, or one for each of some values."""
    conditions = scan.conditions
    statuses = conditions.statuses & _OPEN_STATUSES if table == "alert_open" else frozenset()
    drive, driven = _drive(scan, table, parameters)
    where = ["tenant_id = $1", *(f"{table}.{name} = one.{name}" for name in sorted(driven)), *bounds]
    # What an index is limited to is said, so that the planner sees that it may be used.
    where += [_INDEXED[name] for name in sorted(driven & set(_INDEXED))]
    if conditions.triggered_after is not None:
        # An alert begins at most a day after it is taken in: so its id tells which months there is nothing in.
        where.append(f"id >= {parameters.named('id_floor', uuid7_floor(conditions.triggered_after - _AHEAD_MAX))}")
        if scan.order.field is AlertOrderField.LAST_SEEN_AT:
            where.append(f"last_seen_at >= {parameters.named('seen', conditions.triggered_after - _AHEAD_MAX)}")
    if table == "alert_closed" and scan.months is not None:
        first, end = scan.months
        where += [f"id >= {parameters.named('first', first)}", f"id < {parameters.named('end', end)}"]
    residual = _residual(conditions, statuses, driven, scan.now, parameters, table)
    conditions_text = " AND ".join([*where, *residual])
    if "id" in driven:
        # There is one of each id; asked for in order, it would be looked for in that order.
        tail = ""
    text = f"SELECT {columns} FROM {table} WHERE {conditions_text} {tail}"
    is_sorted = scan.order.field is AlertOrderField.LAST_SEEN_AT and not driven & {"id", "dedup_key"}
    if table == "alert_open" and tail and is_sorted:
        # No index is in this order: what is open is sorted, by little more than what it is sorted by.
        text = (
            f"SELECT whole.* FROM (SELECT id AS wanted FROM {table} WHERE {conditions_text} {tail}) AS few"
            f" CROSS JOIN LATERAL (SELECT {columns} FROM {table} WHERE tenant_id = $1 AND id = wanted) AS whole"
        )
    if drive:
        text = f"SELECT found.* FROM {drive} CROSS JOIN LATERAL ({text}) AS found"
    # Each id or key is looked up by itself: what else must hold of it makes no difference to the plan.
    is_looked_up = bool(driven & {"id", "dedup_key"})
    # What is open has to be gone through: a plan for any values would scan what all tenants have.
    in_order = scan.order.field in (AlertOrderField.TRIGGERED_AT, AlertOrderField.SEVERITY)
    is_gone_through = table == "alert_open" and (bool(driven & _OPEN_KNOWN) or not in_order)
    return Statement(text, parameters.values, is_looked_up or not (residual or is_gone_through))


def _drive(scan: _Scan, table: str, parameters: Parameters) -> tuple[str, frozenset[str]]:
    """Return the values each of which is read by itself, and the columns that they are of; empty for none."""
    conditions = scan.conditions
    by_time = scan.order.field is AlertOrderField.TRIGGERED_AT
    by_grade = by_time or scan.order.field is AlertOrderField.SEVERITY
    is_closed = table != "alert_open"
    if scan.ids is not None:
        return f"unnest({parameters.named('ids', scan.ids)}::uuid[]) AS one (id)", frozenset({"id"})
    if conditions.dedup_keys is not None:
        keys = parameters.named("dedup_keys", sorted(conditions.dedup_keys))
        return f"unnest({keys}::text[]) AS one (dedup_key)", frozenset({"dedup_key"})
    if is_closed and scan.closed_ids is not None:
        ids = parameters.named("closed_ids", scan.closed_ids)
        return f"unnest({ids}::uuid[]) AS one (id)", frozenset({"id"})
    if conditions.incidents is not None:
        incidents = parameters.named("incidents", list(conditions.incidents))
        return f"unnest({incidents}::uuid[]) AS one (incident_id)", frozenset({"incident_id"})
    # Closed alerts have an index for each of these; of open ones, those that lists are read by know them.
    count_max = OPEN_BRANCH_COUNT_MAX if not is_closed else BRANCH_COUNT_MAX if by_time else 0
    for name, column, kind, values in (
        ("assignees", "assignee", "uuid", conditions.assignees),
        ("verdicts", "verdict", "smallint", conditions.verdicts),
        ("rules", "rule_id", "uuid", conditions.rules),
        ("sources", "source", "text", conditions.sources),
        ("named_services", "monitored_service", "text", conditions.named_services),
    ):
        if values and len(values) <= count_max:
            given = parameters.named(name, sorted(values))
            return f"unnest({given}::{kind}[]) AS one ({column})", frozenset({column})
    if by_grade and conditions.severities is not None:
        grades = parameters.named("severities", sorted(conditions.severities))
        return f"unnest({grades}::smallint[]) AS one (severity)", frozenset({"severity"})
    return "", frozenset()


def _is_few(values: Collection[object]) -> bool:
    return len(values) <= BRANCH_COUNT_MAX


def _residual(
    conditions: _Conditions,
    statuses: frozenset[AlertStatus],
    driven: frozenset[str],
    now: datetime,
    parameters: Parameters,
    table: str,
) -> list[str]:
    """Return the conditions that are not served by the branches themselves."""
    where = []
    if 0 < len(statuses) < len(_OPEN_STATUSES) and "status" not in driven:
        # Of two there is one left.
        where.append(f"status = {parameters.named('status', next(iter(statuses)))}")
    if conditions.severities is not None and "severity" not in driven:
        grades = sorted(conditions.severities)
        where.append(
            f"severity = {parameters.named('severity', grades[0])}"
            if len(grades) == 1
            else f"severity = ANY ({parameters.named('severities', grades)}::smallint[])"
        )
    if conditions.services is not None and "monitored_service" not in driven:
        named = [service for service in conditions.services if service is not None]
        either = [f"monitored_service = ANY ({parameters.named('services', named)}::text[])"] if named else []
        either += ["monitored_service IS NULL"] if None in conditions.services else []
        where.append(f"({' OR '.join(either)})")
    if conditions.dedup_keys is not None and "dedup_key" not in driven:
        where.append(f"dedup_key = ANY ({parameters.named('dedup_keys', sorted(conditions.dedup_keys))}::text[])")
    if conditions.sources is not None and "source" not in driven:
        where.append(f"source = ANY ({parameters.named('sources', sorted(conditions.sources))}::text[])")
    if conditions.titles is not None:
        where.append(f"title = ANY ({parameters.named('titles', sorted(conditions.titles))}::text[])")
    if conditions.rules is not None and "rule_id" not in driven:
        where.append(f"rule_id = ANY ({parameters.named('rules', list(conditions.rules))}::uuid[])")
    if conditions.incidents is not None and "incident_id" not in driven:
        incidents = parameters.named("incidents", list(conditions.incidents))
        where.append(f"incident_id = ANY ({incidents}::uuid[])")
    if conditions.assignees is not None and "assignee" not in driven:
        where.append(f"assignee = ANY ({parameters.named('assignees', list(conditions.assignees))}::uuid[])")
    if conditions.takers is not None:
        takers = parameters.named("takers", sorted(conditions.takers))
        where.append(
            f"(acknowledged_by ->> 'kind')::smallint = {ActorKind.PERSON:d}"
            f" AND acknowledged_by ->> 'reference' = ANY ({takers}::text[])"
        )
    for place, alternatives in enumerate(conditions.covers):
        keys = [key for each in alternatives if (key := _asked_key(each)) is not None]
        labels = [_asked_labels(each) for each in alternatives if _asked_key(each) is None]
        where.append(
            f"(labels @> ANY ({parameters.named(f'covered_labels_{place}', labels)}::jsonb[])"
            f" OR dedup_key = ANY ({parameters.named(f'covered_keys_{place}', keys)}::text[]))"
        )
    if conditions.verdicts is not None and "verdict" not in driven:
        where.append(f"verdict = ANY ({parameters.named('verdicts', sorted(conditions.verdicts))}::smallint[])")
    for name, comparison, value in (
        ("triggered_after", "triggered_at >=", conditions.triggered_after),
        ("triggered_before", "triggered_at <", conditions.triggered_before),
        ("resolved_after", "resolved_at >=", conditions.resolved_after),
        ("resolved_before", "resolved_at <", conditions.resolved_before),
        ("level_min", "escalation_level >=", conditions.level_min),
        ("probability_min", "incident_probability >=", conditions.probability_min),
    ):
        if value is not None:
            where.append(f"{comparison} {parameters.named(name, value)}")
    if conditions.sla_breached is not None:
        at = f"{parameters.named('now', now)}::timestamptz"
        # core.slo in SQL: LEAST passes over NULL as the core passes over None.
        breached = (
            f"(LEAST(first_acknowledged_at, resolved_at, {at}) > acknowledge_by"
            f" OR COALESCE(resolved_at, {at}) > resolve_by)"
        )
        if conditions.sla_breached and table != "alert_open":
            # The clocks of what is closed stand still: so an index knows.
            where.append(_MISSED)
        where.append(breached if conditions.sla_breached else f"NOT {breached}")
    return where


# --------------------------------------------------------------------------------------- pages


async def alert_page(reader: Reader, query: AlertQuery, catalog: Catalog) -> Page[Alert]:
    """Return a page of alerts.

    Where rows had to be judged one by one and a bound was reached, the page is what was found until then, there
    is a next page, and the last edge's cursor says where the judging goes on.

    Args:
        reader: Whose alerts.
        query: Which.
        catalog: What is set up; looked at only where the filter asks who covers an alert.

    Raises:
        InputError: A cursor is not of this order, a search names no word, or nothing at all was found among
            as many alerts as are judged one by one.
    """
    page, order = query.page, query.order
    after = _place_of_cursor(page.after, order, "after") if page.after is not None else None
    before = _place_of_cursor(page.before, order, "before") if page.before is not None else None
    as_of = await reader.as_of() if query.with_as_of else None
    asked = _with_covers(_conditions(query.filter, query.scope), query.filter, catalog, query.now)
    low, high = (before, after) if order.descending else (after, before)
    downward = order.descending is not page.backward
    scan = await _selected(reader, _Scan(asked, order, query.now, low, high, downward), page.size + 1)
    if not scan.conditions.satisfiable or scan.ids == []:
        return Page((), has_next=False, has_previous=False, as_of=as_of, total_count=0)
    judged = scan.conditions.judged
    if judged:
        found = await _judged(reader, scan, page.size)
    else:
        by_chance = order.field is AlertOrderField.INCIDENT_PROBABILITY
        looked_at = query.fields | {"advice"} if by_chance and query.fields is not None else query.fields
        part = part_with(looked_at) if looked_at is not None else None
        found = await _scanned(reader, scan, page.size, part)
    more = found.more
    total: int | None = None
    if query.with_total:
        if not more and after is None and before is None:
            total = min(len(found.alerts), TOTAL_COUNT_MAX)
        elif not judged:
            total = await _counted(reader, scan)
    return Page(
        _with_cursors(found, query),
        has_next=before is not None if page.backward else more or before is not None,
        has_previous=more or after is not None if page.backward else after is not None,
        as_of=as_of,
        total_count=total,
    )


def _with_cursors(found: _Found, query: AlertQuery) -> list[tuple[str, Alert]]:
    """Return alerts in the list's order with the text of their cursors; empty ones where nobody wants them."""
    count = len(found.alerts)
    texts = [""] * count
    # Where the page begins and ends is told with every page.
    for number in range(count) if query.with_cursors else {0, count - 1} if count else ():
        texts[number] = _cursor_text(found.place(number), query.order)
    items = list(zip(texts, found.alerts, strict=True))
    return items[::-1] if query.page.backward else items


async def _selected(reader: Reader, scan: _Scan, length: int | None) -> _Scan:
    """Return a scan of only those alerts that come into question, and with what is left to be judged.

    Args:
        reader: Whose alerts.
        scan: The list as it was asked for.
        length: How many rows are wanted; None for more than can be told.
    """
    conditions = scan.conditions
    if conditions.satisfiable and conditions.terms:
        ids = await find_alerts(reader, conditions.terms)
        if ids is not None:
            return replace(scan, conditions=replace(conditions, words=frozenset()), ids=ids)
        # So common that a look at each row finds them soon.
        conditions = replace(conditions, matchers=(*conditions.equals, *conditions.matchers))
        scan = replace(scan, conditions=conditions)
    if not conditions.satisfiable or conditions.dedup_keys is not None:
        return scan
    if conditions.titles is not None and (words := frozenset().union(*map(_title_words, conditions.titles))):
        # Whatever else they have: who has the title has its words.
        ids = await find_alerts(reader, words) if len(conditions.titles) == 1 else None
        if ids is not None:
            return replace(scan, ids=ids)
    if AlertStatus.RESOLVED not in conditions.statuses:
        return scan
    sorting = _sorting(scan, length, reader.tenant_id) if length is not None else None
    if sorting is not None:
        rows = await reader.run_in_order(READ_TIME_MAX, sorting)
        if rows is not None and rows[0]["examined"] <= SORTED_MAX:
            return replace(scan, closed_ids=rows[0]["ids"], closed_count=rows[0]["count"])
    else:
        for limit, statement in _selections(conditions, scan.order, reader.tenant_id):
            rows = await reader.run_in_order(READ_TIME_MAX, statement)
            if rows is not None and len(rows) <= limit:
                return replace(scan, closed_ids=[row["id"] for row in rows])
    return replace(scan, months=await _months(reader, conditions, scan.order))


@dataclass(frozen=True, slots=True)
class _Finding:
    """How closed alerts are found by one index that also tells by what lists are sorted.

    Attributes:
        fields: What is found by, of the conditions.
        drive: The values each of which is looked up by itself, as `one (value)`.
        where: What holds of what is found.
        in_order: The columns behind the tenant and the value, in the index's order.
    """

    fields: tuple[str, ...]
    drive: str
    where: tuple[str, ...]
    in_order: str


def _findings(conditions: _Conditions, parameters: Parameters) -> Iterator[_Finding]:
    """Yield how closed alerts can be found, for each condition that has an index."""
    nothing = "(SELECT) AS one"
    for name, column, kind, values in (
        ("verdicts", "verdict", "smallint", conditions.verdicts),
        ("assignees", "assignee", "uuid", conditions.assignees),
        ("rules", "rule_id", "uuid", conditions.rules),
        ("incidents", "incident_id", "uuid", conditions.incidents),
        ("sources", "source", "text", conditions.sources),
        ("services", "monitored_service", "text", conditions.named_services),
    ):
        if values is not None:
            drive = f"unnest({parameters.named(name, sorted(values))}::{kind}[]) AS one (value)"
            guard = (_INDEXED[column],) if column in _INDEXED else ()
            yield _Finding((name,), drive, (f"{column} = one.value", *guard), "triggered_at")
    if conditions.levels is not None:
        least = f"escalation_level >= {parameters.named('level_min', conditions.level_min)}"
        at_least = (least, _INDEXED["escalation_level"])
        yield _Finding(("level_min",), nothing, at_least, "escalation_level, triggered_at")
    if conditions.probability_min is not None:
        likely = f"incident_probability >= {parameters.named('probability_min', conditions.probability_min)}"
        yield _Finding(("probability_min",), nothing, (likely,), "incident_probability")
    if conditions.resolved_after is not None or conditions.resolved_before is not None:
        since, until = conditions.resolved_after or _TIME_MIN, conditions.resolved_before or _TIME_MAX
        low, high = parameters.named("resolved_after", since), parameters.named("resolved_before", until)
        where = (f"resolved_at >= {low}", f"resolved_at < {high}")
        yield _Finding(("resolved_after", "resolved_before"), nothing, where, "resolved_at")


def _sorting(scan: _Scan, length: int, tenant_id: UUID) -> Statement | None:
    """Return what finds closed alerts by an index and sorts them by what it tells; None where no index can.

    The statement says how many entries were looked at, at most one more than are sorted, how many of them are
    asked for, and the ids of those that stand first in the scan.
    """
    conditions = scan.conditions
    by_time = scan.order.field is AlertOrderField.TRIGGERED_AT
    if conditions.judged or scan.order.field not in _TOLD_ORDERS:
        return None
    parameters = Parameters(tenant_id)
    findings = list(_findings(conditions, parameters))
    if not findings and (conditions.triggered_after is not None or conditions.triggered_before is not None):
        findings = [_Finding((), "(SELECT) AS one", (), "triggered_at")]
    # A list that an index finds in its own order is read in it.
    if len(findings) != 1 or (by_time and findings[0].in_order == "triggered_at"):
        return None
    finding = findings[0]
    told: dict[str, Any] = dict.fromkeys((*finding.fields, "severities", "triggered_after", "triggered_before"))
    if _residual(replace(conditions, **told), frozenset(), frozenset(), scan.now, Parameters(), "alert_closed"):
        return None
    where: list[str] = ["tenant_id = $1", *finding.where]
    asked: list[str] = []
    for comparison, value in ((">=", conditions.triggered_after), ("<", conditions.triggered_before)):
        if value is not None:
            # Behind one value entries are in the order of their begin; else all that are found are looked at.
            narrowed = where if finding.in_order == "triggered_at" else asked
            narrowed.append(f"triggered_at {comparison} {parameters.add(value)}")
    if conditions.triggered_after is not None:
        where.append(f"id >= {parameters.add(uuid7_floor(conditions.triggered_after - _AHEAD_MAX))}")
    if conditions.severities is not None:
        asked.append(f"severity = ANY ({parameters.add(sorted(conditions.severities))}::smallint[])")
    limit = SORTED_MAX + 1
    tables = " UNION ALL ".join(
        f"(SELECT id, triggered_at, last_seen_at, severity FROM {table}"
        f" WHERE {' AND '.join(where)} ORDER BY {finding.in_order}, id LIMIT {limit})"
        for table in ("alert_closed", "alert_closed_late")
    )
    entries = f"SELECT each.* FROM {finding.drive} CROSS JOIN LATERAL ({tables}) AS each LIMIT {limit}"
    page = [*asked, *_bounds(scan, parameters)]
    return Statement(
        f"WITH found AS MATERIALIZED ({entries}) SELECT (SELECT count(*) FROM found) AS examined,"
        f" (SELECT count(*) FROM found WHERE {' AND '.join(asked) or 'true'}) AS count,"
        f" ARRAY(SELECT id FROM found WHERE {' AND '.join(page) or 'true'} {_tail(scan, length)}) AS ids",
        parameters.values,
        is_keyed=False,
    )


# A merge of months needs the first of each: in one that has nothing of the time that is asked for, it would be
# looked for all the way. So each month is asked, which takes some milliseconds, or is not worth it. It is asked in
# the order of that time, or another index would be taken.
_MONTHS = """
    SELECT min(month.low::text)::uuid AS low, max(month.high::text)::uuid AS high
    FROM (
        SELECT uuid7_floor(m) AS low, uuid7_floor(m + interval '1 month') AS high FROM (
            SELECT to_date(right(c.relname::text, 7), 'YYYY"m"MM')::timestamp AT TIME ZONE 'UTC' AS m
            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'alert_closed'::regclass
        ) AS begun
    ) AS month CROSS JOIN LATERAL (
        SELECT FROM alert_closed
        WHERE tenant_id = $1 AND id >= month.low AND id < month.high AND {0} >= $2 AND {0} < $3
        ORDER BY {0} LIMIT 1
    ) AS found
"""


async def _months(reader: Reader, conditions: _Conditions, order: AlertOrder) -> tuple[UUID, UUID] | None:
    """Return between which ids closed alerts of the times asked for lie; None for any."""
    low, high = _ID_MIN, _ID_MAX
    for column, since, until in (
        ("resolved_at", conditions.resolved_after, conditions.resolved_before),
        ("triggered_at", conditions.triggered_after, conditions.triggered_before),
    ):
        is_order = column == "triggered_at" and order.field is AlertOrderField.TRIGGERED_AT
        if (since is None and until is None) or is_order:
            continue
        values = [reader.tenant_id, since or _TIME_MIN, until or _TIME_MAX]
        statement = Statement(_MONTHS.format(column), values, is_keyed=False)
        rows = await reader.run_in_order(_MONTHS_TIME_MAX, statement)
        if rows:
            # Where no month has any, none is read.
            low, high = max(low, rows[0]["low"] or _ID_MAX), min(high, rows[0]["high"] or _ID_MIN)
    return (low, high) if (low, high) != (_ID_MIN, _ID_MAX) else None


def _title_words(title: str) -> frozenset[str]:
    return alert_words(title, "")


def _selections(conditions: _Conditions, order: AlertOrder, tenant_id: UUID) -> Iterator[tuple[int, Statement]]:
    """Yield statements that find closed alerts by one column each, and how many of them are a selection.

    They are told as far as the list's own order does not find them. Each stops where there are more: then they are
    so many that the list, read in its order, soon comes upon them.
    """
    by_time = order.field is AlertOrderField.TRIGGERED_AT
    columns: list[tuple[str, object]] = []
    if conditions.takers is not None:
        columns.append(("", sorted(conditions.takers)))
    for condition, values in (
        ("verdict = ANY ($2::smallint[]) AND verdict IS NOT NULL", conditions.verdicts),
        ("assignee = ANY ($2::uuid[]) AND assignee IS NOT NULL", conditions.assignees),
        ("rule_id = ANY ($2::uuid[]) AND rule_id IS NOT NULL", conditions.rules),
        ("source = ANY ($2::text[])", conditions.sources),
        ("monitored_service = ANY ($2::text[])", conditions.named_services),
    ):
        if values is not None:
            columns.append((condition, sorted(values)))
    if conditions.levels is not None:
        columns.append(("escalation_level >= $2 AND escalation_level >= 1", conditions.level_min))
    if by_time and len(columns) == 1 and columns[0][0] and not conditions.judged:
        # The list is read by that column, in its order.
        columns = []
    for condition, chosen in columns:
        if condition:
            yield FEW_MAX, _few_closed(condition, [tenant_id, chosen], FEW_MAX)
        else:
            text = f"SELECT id FROM taken_alerts($1::text[], {FEW_MAX + 1}) AS id"
            yield FEW_MAX, Statement(text, [chosen], is_keyed=True)
    if conditions.probability_min is not None and order.field is not AlertOrderField.INCIDENT_PROBABILITY:
        text, chosen = "incident_probability >= $2", conditions.probability_min
        yield FOUND_MAX, _few_closed(text, [tenant_id, chosen], FOUND_MAX)
    if conditions.resolved_after is not None or conditions.resolved_before is not None:
        since, until = conditions.resolved_after or _TIME_MIN, conditions.resolved_before or _TIME_MAX
        # Past months in which hardly any was resolved then, a list would read all the way: so more are looked up.
        text = "resolved_at >= $2 AND resolved_at < $3"
        yield FOUND_MAX, _few_closed(text, [tenant_id, since, until], FOUND_MAX)
    if not by_time and (conditions.triggered_after is not None or conditions.triggered_before is not None):
        since, until = conditions.triggered_after or _TIME_MIN, conditions.triggered_before or _TIME_MAX
        text = "triggered_at >= $2 AND triggered_at < $3"
        yield FOUND_MAX, _few_closed(text, [tenant_id, since, until], FOUND_MAX)
    if conditions.sla_breached and order.field is AlertOrderField.LAST_SEEN_AT:
        # By begin and by severity an index has those alone.
        yield FEW_MAX, _few_closed(_MISSED, [tenant_id], FEW_MAX)


def _few_closed(condition: str, values: Sequence[object], limit: int) -> Statement:
    tables = " UNION ALL ".join(
        f"(SELECT id FROM {table} WHERE tenant_id = $1 AND {condition} LIMIT {limit + 1})"
        for table in ("alert_closed", "alert_closed_late")
    )
    return Statement(f"SELECT id FROM ({tables}) AS few LIMIT {limit + 1}", values, is_keyed=False)


@dataclass(frozen=True, slots=True)
class _Found:
    """Alerts in reading order, and whether there may be more.

    Attributes:
        place: Takes the number of an alert and returns the place to go on from behind it.
    """

    alerts: Sequence[Alert]
    place: Callable[[int], _Place]
    more: bool


def _place(order: AlertOrder) -> Callable[[Record], _Place]:
    column = _ORDER_COLUMNS[order.field]
    if order.field is AlertOrderField.INCIDENT_PROBABILITY:
        unsaid = _UNSAID[order.descending]
        return lambda row: _Place(unsaid if row[column] is None else row[column], row["id"])
    return lambda row: _Place(row[column], row["id"])


async def _scanned(reader: Reader, scan: _Scan, size: int, part: AlertPart | None) -> _Found:
    columns = ALERT_SELECT if part is None else part.select
    rows = await _first_rows(reader, scan, columns, size + 1)
    more, rows = len(rows) > size, rows[:size]
    place_of = _place(scan.order)
    alerts = list(map(alert_of, rows)) if part is None else part.alerts_of(rows)
    return _Found(alerts, lambda number: place_of(rows[number]), more)


async def _first_rows(reader: Reader, scan: _Scan, columns: str, limit: int) -> list[Record]:
    """Return the first rows of a scan; errors as `_read` says."""
    rows: list[Record] = []
    for part in scan.parts:
        statement = _page_statement(part, columns, limit - len(rows), reader.tenant_id)
        rows += (await _read(reader, statement, scan.conditions))[: limit - len(rows)]
        if len(rows) == limit:
            break
    return rows


async def _read(reader: Reader, statement: Statement, conditions: _Conditions) -> Rows:
    """Return the rows of a page's statement.

    Raises:
        InputError: Reading on past what a filter leaves out took too long; the message names what it asks for.
    """
    if statement.is_keyed:
        return await reader.run(statement)
    rows = await reader.run_in_order(READ_TIME_MAX, statement)
    if rows is None:
        names = ", ".join(conditions.names)
        raise InputError(
            f"Alerts with this filter ({names}) are too few among too many to be read in this order within"
            f" {READ_TIME_MAX.total_seconds():g} s; narrow it, for instance by triggeredAfter, or order by"
            " TRIGGERED_AT.",
            "filter",
            *conditions.names[:1],
        )
    return rows


async def _judged(reader: Reader, scan: _Scan, size: int) -> _Found:
    """Return alerts that satisfy what only a look at each row can judge."""
    loop = asyncio.get_running_loop()
    begun_at, examined, chunk = loop.time(), 0, size + 1
    silences = MatcherIndex((each, each) for each in scan.conditions.silences)
    columns = f"{_MATCHED_COLUMNS}, description" if scan.conditions.words else _MATCHED_COLUMNS
    place_of = _place(scan.order)
    places: list[_Place] = []
    while True:
        rows = await _first_rows(reader, scan, columns, chunk)
        for row in await _satisfying(reader, rows, scan.conditions, silences):
            if len(places) == size:
                return await _found(reader, places, more=True)
            places.append(place_of(row))
        if len(rows) < chunk:
            return await _found(reader, places, more=False)
        scan = scan.behind(place_of(rows[-1]))
        examined, chunk = examined + len(rows), _CHUNK
        elapsed = timedelta(seconds=loop.time() - begun_at)
        if places and (examined >= EXAMINED_MAX or elapsed > EXAMINE_TIME_MAX):
            found = await _found(reader, places, more=True)
            # Nothing between the last find and here satisfies the filter: the next page need not look again.
            places[-1] = place_of(rows[-1])
            return found
        if examined >= EMPTY_EXAMINED_MAX or elapsed > EMPTY_EXAMINE_TIME_MAX:
            raise InputError(
                f"Nothing was found among {examined:,} alerts; narrow the filter, for instance by"
                " triggeredAfter, severity or a matcher with EQUAL.",
                "filter",
                "matchers",
            )


async def _found(reader: Reader, places: Sequence[_Place], *, more: bool) -> _Found:
    # What was judged was read in the same snapshot, so it is there.
    ids = [AlertId(place.id) for place in places]
    alerts = await load_alerts(reader, ids)
    return _Found([alerts[alert_id] for alert_id in ids], places.__getitem__, more)


async def _satisfying(
    reader: Reader, rows: Sequence[Record], conditions: _Conditions, silences: MatcherIndex[tuple[Matcher, ...]]
) -> list[Record]:
    """Return those of the rows that satisfy what only a look at each can judge."""
    found = []
    targets: dict[AlertId, Mapping[str, str]] = {}
    for row in rows:
        values = _match_values(row)
        is_open = row["status"] != AlertStatus.RESOLVED
        if not _satisfies(row, values, conditions):
            continue
        if conditions.silenced is not None:
            silenced = is_open and next(silences.matching(values), None) is not None
            if silenced is not conditions.silenced:
                continue
        found.append(row)
        if is_open:
            targets[AlertId(row["id"])] = values
    if conditions.inhibited is None:
        return found
    # All at once: it takes a look at the sources, which are as many as they are.
    covered = await load_inhibitors(reader, conditions.inhibitions, targets, 1)
    return [row for row in found if (row["id"] in covered) is conditions.inhibited]


def _match_values(row: Record) -> dict[str, str]:
    return match_values(
        title=row["title"],
        severity=Severity(row["severity"]),
        source=row["source"],
        monitored_service=row["monitored_service"],
        dedup_key=row["dedup_key"],
        labels=row["labels"],
    )


def _satisfies(row: Record, values: Mapping[str, str], conditions: _Conditions) -> bool:
    return matches_all(conditions.matchers, values) and (
        not conditions.words or conditions.words <= alert_words(row["title"], row["description"])
    )


async def _counted(reader: Reader, scan: _Scan) -> int | None:
    counted = scan.closed_count or 0
    if scan.closed_count is None or scan.tables[0] == "alert_open":
        rows = await reader.run_in_order(COUNT_TIME_MAX, _count_statement(scan, reader.tenant_id))
        if rows is None:
            return None
        counted += rows[0]["count"]
    return min(counted, TOTAL_COUNT_MAX)


# ------------------------------------------------------------------------------------- by matchers


async def matching_alerts(
    reader: Reader, matchers: Sequence[Matcher], since: datetime | None, limit: int
) -> list[Alert]:
    """Return open alerts, or with `since` all triggered since then, that match; worst first, then newest.

    They are read a thousand at a time, the worst first, or with `since` the newest, and no more of them are judged
    than for a page that is empty yet: what would be read after that is left out.

    Args:
        reader: Whose alerts.
        matchers: All must hold.
        since: The earliest begin; None for the open ones, whenever they began.
        limit: How many at most; with `since` these are the newest that match.
    """
    if since is None:
        wanted = AlertFilter(status=tuple(_OPEN_STATUSES), matchers=tuple(matchers))
        order = AlertOrder(AlertOrderField.SEVERITY)
    else:
        wanted = AlertFilter(matchers=tuple(matchers), triggered_after=since)
        order = AlertOrder(AlertOrderField.TRIGGERED_AT)
    scan = await _selected(reader, _Scan(_conditions(wanted, ()), order, _TIME_MAX, None, None, True), None)
    conditions = scan.conditions
    if limit <= 0 or not conditions.satisfiable or scan.ids == []:
        return []
    loop = asyncio.get_running_loop()
    begun_at, examined = loop.time(), 0
    place_of = _place(order)
    found: list[AlertId] = []
    while True:
        rows = await _read(reader, _page_statement(scan, _MATCHED_COLUMNS, _CHUNK, reader.tenant_id), conditions)
        rows = rows[:_CHUNK]
        found += [AlertId(row["id"]) for row in rows if _satisfies(row, _match_values(row), conditions)]
        examined += len(rows)
        elapsed = timedelta(seconds=loop.time() - begun_at)
        if (
            len(rows) < _CHUNK
            or len(found) >= limit
            or examined >= EMPTY_EXAMINED_MAX
            or elapsed > EMPTY_EXAMINE_TIME_MAX
        ):
            break
        scan = scan.behind(place_of(rows[-1]))
    alerts = await load_alerts(reader, found[:limit])
    return sorted(alerts.values(), key=lambda alert: (alert.severity, alert.id), reverse=True)


_OPEN_BY_KEY = f"SELECT {ALERT_SELECT} FROM alert_open WHERE tenant_id = $1 AND dedup_key = ANY ($2::text[])"


def _of_incidents(columns: str, bounds: str, tail: str) -> str:
    """Return what reads alerts of the incident that `one` names, wherever they are kept."""
    return " UNION ALL ".join(
        f"(SELECT {columns} FROM {table} WHERE tenant_id = $1 AND {table}.incident_id = one.incident_id"
        f" AND incident_id IS NOT NULL{bounds} {tail})"
        for table in ("alert_open", "alert_closed", "alert_closed_late")
    )


async def alerts_by_incident(
    reader: Reader, ids: Collection[IncidentId], page: PageRequest
) -> dict[IncidentId, Page[Alert]]:
    """Return the same page of several incidents' alerts, newest first, with their total counts.

    All are read by one statement, and those that have more than a page counted by another.

    Raises:
        InputError: A cursor is not of such a list.
    """
    order = AlertOrder()
    parameters = Parameters(reader.tenant_id, list(dict.fromkeys(ids)))
    bounds = ""
    for name, cursor, comparison in (("after", page.after, "<"), ("before", page.before, ">")):
        if cursor is not None:
            place = _place_of_cursor(cursor, order, name)
            bounds += (
                f" AND (triggered_at, id) {comparison} ({parameters.add(place.value)}, {parameters.add(place.id)})"
            )
    way = "ASC" if page.backward else "DESC"
    tail = f"ORDER BY triggered_at {way}, id {way} LIMIT {next(size for size in _LIMITS if size > page.size)}"
    text = (
        "SELECT found.* FROM unnest($2::uuid[]) WITH ORDINALITY AS one (incident_id, number) CROSS JOIN LATERAL ("
        f"SELECT * FROM ({_of_incidents(ALERT_SELECT, bounds, tail)}) AS page {tail}"
        f") AS found ORDER BY one.number, found.triggered_at {way}, found.id {way}"
    )
    found: dict[IncidentId, list[Alert]] = {incident_id: [] for incident_id in ids}
    for alert in map(alert_of, await reader.run(Statement(text, parameters.values, is_keyed=True))):
        assert alert.incident_id is not None, "the statement asks for alerts of incidents"
        found[alert.incident_id].append(alert)
    begins = page.after is None and page.before is None
    counts = {key: len(alerts) for key, alerts in found.items() if begins and len(alerts) <= page.size}
    uncounted = [key for key in found if key not in counts]
    if uncounted:
        counted = _of_incidents("1", "", "")
        rows = await reader.fetch(
            "SELECT one.incident_id, (SELECT count(*) FROM ("
            f"SELECT 1 FROM ({counted}) AS found LIMIT {TOTAL_COUNT_MAX}) AS counted) AS count"
            " FROM unnest($2::uuid[]) AS one (incident_id)",
            reader.tenant_id,
            uncounted,
        )
        counts.update((IncidentId(row["incident_id"]), row["count"]) for row in rows)
    as_of = await reader.as_of()
    pages = {}
    for key, alerts in found.items():
        more, shown = len(alerts) > page.size, alerts[: page.size]
        items = [(_cursor_text(_Place(alert.triggered_at, alert.id), order), alert) for alert in shown]
        pages[key] = Page(
            items[::-1] if page.backward else items,
            has_next=page.before is not None if page.backward else more or page.before is not None,
            has_previous=more or page.after is not None if page.backward else page.after is not None,
            as_of=as_of,
            total_count=counts[key],
        )
    return pages


async def load_open_alerts_by_key(reader: Reader, keys: Collection[str]) -> dict[str, Alert]:
    """Return the open alerts with these dedup keys."""
    storable = [key for key in keys if is_storable(key)]
    if not storable:
        return {}
    rows = await reader.fetch(_OPEN_BY_KEY, reader.tenant_id, storable)
    return {alert.dedup_key: alert for alert in map(alert_of, rows)}
