"""Parts of lists, and the statements that read them: one index scan a table, or one for each of some values.

By predicted chance those of which nothing was said come last, whichever way: they are read apart, by their ids.
"""

# ruff: noqa: S608 - statements are put together from constant fragments; values are numbered parameters

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from alertgraph.core.actor import ActorKind
from alertgraph.core.alert import FUTURE_MAX, AlertStatus
from alertgraph.core.ids import uuid7_floor
from alertgraph.core.query import TOTAL_COUNT_MAX, AlertOrder, AlertOrderField
from alertgraph.storage.alert_pages.conditions import OPEN_STATUSES, Conditions, asked_key, asked_labels
from alertgraph.storage.alert_pages.places import ORDER_COLUMNS, UNSAID, Place
from alertgraph.storage.statement import Parameters, Statement

ID_MIN, ID_MAX = UUID(int=0), UUID(int=(1 << 128) - 1)
# How many rows are read at a time where each is looked at.
CHUNK = 1000
# More alerts than this are no selection by a column: to look them up takes longer than to come upon them.
FEW_MAX = 1_500
# More branches than this are one scan with a condition instead.
BRANCH_COUNT_MAX = 16
OPEN_BRANCH_COUNT_MAX = 4
# A LIMIT that is a parameter would be planned as a tenth of the table: so it is one of these.
LIMITS = (11, 26, 51, 101, CHUNK, FEW_MAX + 1, TOTAL_COUNT_MAX + 1)
# As the index of closed alerts that is limited to these has it.
MISSED = "(LEAST(first_acknowledged_at, resolved_at) > acknowledge_by OR resolved_at > resolve_by)"
# Columns whose indexes know only of some alerts, and of which.
INDEXED: Final[Mapping[str, str]] = {
    "assignee": "assignee IS NOT NULL",
    "incident_id": "incident_id IS NOT NULL",
    "rule_id": "rule_id IS NOT NULL",
    "verdict": "verdict IS NOT NULL",
    "escalation_level": "escalation_level >= 1",
}
# What the indexes of open alerts know behind what they are in the order of.
_OPEN_KNOWN = frozenset({"severity", "assignee", "verdict", "rule_id", "source", "monitored_service"})
# How far an alert's begin may lie ahead of its id: what a sender's clock may be ahead, and a day for ours.
AHEAD_MAX = FUTURE_MAX + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Scan:
    """A part of a list to read.

    Attributes:
        low: Only what stands behind it in ascending order; None for the beginning.
        high: Only what stands before it in ascending order; None for the end.
        downward: Whether it is read from high to low.
        ids: Only these; None for any.
        open_ids: Of the open ones only these; None for any.
        closed_ids: Of the closed ones only these; None for any.
        closed_count: How many closed ones there are, where `closed_ids` are only the first of them.
        months: Of the closed ones that are not late only those from the first id and before the second.
        is_predicted: Only those of which the model said something, or nothing; None for any.
    """

    conditions: Conditions
    order: AlertOrder
    now: datetime
    low: Place | None
    high: Place | None
    downward: bool
    ids: Sequence[UUID] | None = None
    open_ids: Sequence[UUID] | None = None
    closed_ids: Sequence[UUID] | None = None
    closed_count: int | None = None
    months: tuple[UUID, UUID] | None = None
    is_predicted: bool | None = None

    def behind(self, place: Place) -> Scan:
        """Return what is left to read behind a place."""
        return replace(self, high=place) if self.downward else replace(self, low=place)

    @property
    def parts(self) -> Sequence[Scan]:
        """What is read one after the other: where it is by chance, those of which nothing was said apart."""
        if self.order.field is not AlertOrderField.INCIDENT_PROBABILITY:
            return (self,)
        said, unsaid = replace(self, is_predicted=True), self._unsaid
        if unsaid is None:
            return (said,)
        return (said, unsaid) if self.downward is self.order.descending else (unsaid, said)

    @property
    def _unsaid(self) -> Scan | None:
        """The part of which nothing was said, bounded by ids alone; None where nothing of it is asked for."""
        if self.conditions.probability_min is not None:
            return None
        here = UNSAID[self.order.descending]
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
        opened = ("alert_open",) if self.conditions.statuses & OPEN_STATUSES else ()
        closed = ("alert_closed", "alert_closed_late") if AlertStatus.RESOLVED in self.conditions.statuses else ()
        return opened + closed


def page_statement(scan: Scan, columns: str, limit: int, tenant_id: UUID) -> Statement:
    """Return what reads the first rows of a scan: `limit` of them or some more.

    Scans of the same shape give the same text, so that its plan is kept.
    """
    parameters = Parameters(tenant_id)
    scan = _narrowed(scan)
    tail, bounds = tail_of(scan, limit), bounds_of(scan, parameters)
    branches = [_branch(scan, table, columns, bounds, tail, parameters) for table in scan.tables]
    united = " UNION ALL ".join(f"({branch.text})" for branch in branches)
    source = united if len(branches) == 1 else f"({united})"
    return Statement(
        f"SELECT * FROM {source} AS page {tail}", parameters.values, all(branch.is_keyed for branch in branches)
    )


def tail_of(scan: Scan, limit: int) -> str:
    """Return what puts rows in a scan's order and stops where there are enough."""
    column, way = ORDER_COLUMNS[scan.order.field], "DESC" if scan.downward else "ASC"
    sorts = f"id {way}" if scan.is_predicted is False else f"{column} {way}, id {way}"
    return f"ORDER BY {sorts} LIMIT {next(size for size in LIMITS if size >= limit)}"


def bounds_of(scan: Scan, parameters: Parameters) -> list[str]:
    """Return the conditions of the places between which a scan is read."""
    column = ORDER_COLUMNS[scan.order.field]
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


def _narrowed(scan: Scan) -> Scan:
    """Return the same scan with the time it is about among its bounds, where it is ordered by that time."""
    conditions = scan.conditions
    if scan.order.field is not AlertOrderField.TRIGGERED_AT:
        return scan
    low, high = scan.low, scan.high
    if conditions.triggered_after is not None:
        after = Place(conditions.triggered_after - timedelta(microseconds=1), ID_MAX)
        low = after if low is None else max(low, after)
    if conditions.triggered_before is not None:
        before = Place(conditions.triggered_before, ID_MIN)
        high = before if high is None else min(high, before)
    without = replace(conditions, triggered_after=None, triggered_before=None)
    return replace(scan, conditions=without, low=low, high=high)


def count_statement(scan: Scan, tenant_id: UUID) -> Statement:
    """Return what counts those of a scan's alerts that are not counted yet, up to one more than the cap."""
    parameters = Parameters(tenant_id)
    tables = scan.tables if scan.closed_count is None else scan.tables[:1]
    branches = [_branch(scan, table, "1", (), "", parameters) for table in tables]
    united = " UNION ALL ".join(f"({branch.text})" for branch in branches)
    counted = f"SELECT 1 FROM ({united}) AS found LIMIT {TOTAL_COUNT_MAX + 1}"
    return Statement(f"SELECT count(*) FROM ({counted}) AS counted", parameters.values, is_keyed=False)


def tally_statement(
    scan: Scan, columns: Sequence[str], where: Sequence[str], limit: int, parameters: Parameters
) -> Statement:
    """Return what counts the alerts of a scan by what some columns say of them.

    Args:
        scan: Which alerts.
        columns: Expressions over a row, named v0, v1 and so on in the answer, beside `count`.
        where: Further conditions; their values are among the parameters.
        limit: Of so many alerts at most.
        parameters: The tenant's id, and those of the columns and conditions.
    """
    names = [f"v{place}" for place in range(len(columns))]
    shown = ", ".join(f"{column} AS {name}" for column, name in zip(columns, names, strict=True)) or "1"
    branches = [_branch(scan, table, shown, where, "", parameters) for table in scan.tables]
    united = " UNION ALL ".join(f"({branch.text})" for branch in branches)
    counted = f"SELECT * FROM ({united}) AS found LIMIT {limit:d}"
    groups = f" GROUP BY {', '.join(names)}" if names else ""
    text = f"SELECT {', '.join([*names, 'count(*) AS count'])} FROM ({counted}) AS counted{groups}"
    return Statement(text, parameters.values, is_keyed=False)


def _branch(
    scan: Scan, table: str, columns: str, bounds: Sequence[str], tail: str, parameters: Parameters
) -> Statement:
    """Return the part of a statement that reads one table: one index scan, or one for each of some values."""
    conditions = scan.conditions
    is_open, by_seen = table == "alert_open", scan.order.field is AlertOrderField.LAST_SEEN_AT
    statuses = conditions.statuses & OPEN_STATUSES if is_open else frozenset()
    drive, driven = _drive(scan, table, parameters)
    where = ["tenant_id = $1", *(f"{table}.{name} = one.{name}" for name in sorted(driven)), *bounds]
    # What an index is limited to is said, so that the planner sees that it may be used.
    where += [INDEXED[name] for name in sorted(driven & set(INDEXED))]
    if conditions.triggered_after is not None:
        # An alert begins at most a day after it is taken in: so its id tells which months there is nothing in.
        where.append(f"id >= {parameters.named('id_floor', uuid7_floor(conditions.triggered_after - AHEAD_MAX))}")
        if by_seen:
            seen = conditions.triggered_after - AHEAD_MAX
            where.append(f"last_seen_at >= {parameters.named('seen', seen)}")
            if is_open:
                where.append(f"seen_hour >= {parameters.named('seen_hour', _hour(seen))}")
    if table == "alert_closed" and scan.months is not None:
        first, end = scan.months
        where += [f"id >= {parameters.named('first', first)}", f"id < {parameters.named('end', end)}"]
    residual = residual_of(conditions, statuses, driven, scan.now, parameters, table)
    conditions_text = " AND ".join([*where, *residual])
    if "id" in driven:
        # There is one of each id; asked for in order, it would be looked for in that order.
        tail = ""
    text = f"SELECT {columns} FROM {table} WHERE {conditions_text} {tail}"
    if is_open and by_seen and tail and not driven:
        # An index is in the order of the hour: of each that is read all are sorted, by little more than they are
        # sorted by.
        hours = "".join(
            f" AND seen_hour {comparison} {parameters.add(_hour(place.value))}"
            for comparison, place in ((">=", scan.low), ("<=", scan.high))
            if place is not None and isinstance(place.value, datetime)
        )
        way = "DESC" if scan.downward else "ASC"
        by_hour = tail.replace("ORDER BY ", f"ORDER BY seen_hour {way}, ")
        text = (
            "SELECT whole.* FROM ("
            f"SELECT id AS wanted FROM {table} WHERE {conditions_text}{hours} {by_hour}) AS few"
            f" CROSS JOIN LATERAL (SELECT {columns} FROM {table} WHERE tenant_id = $1 AND id = wanted) AS whole"
        )
    if drive:
        text = f"SELECT found.* FROM {drive} CROSS JOIN LATERAL ({text}) AS found"
    # Each id or key is looked up by itself: what else must hold of it makes no difference to the plan.
    is_looked_up = bool(driven & {"id", "dedup_key"})
    # What is open has to be gone through: a plan for any values would scan what all tenants have.
    in_order = scan.order.field in (AlertOrderField.TRIGGERED_AT, AlertOrderField.SEVERITY)
    is_gone_through = is_open and (bool(driven & _OPEN_KNOWN) or not in_order)
    return Statement(text, parameters.values, is_looked_up or not (residual or is_gone_through))


def _hour(at: datetime) -> datetime:
    """Return the hour that an instant is in, as the database has it."""
    return at.replace(minute=0, second=0, microsecond=0)


def _drive(scan: Scan, table: str, parameters: Parameters) -> tuple[str, frozenset[str]]:
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
    name, few = ("closed_ids", scan.closed_ids) if is_closed else ("open_ids", scan.open_ids)
    if few is not None:
        return f"unnest({parameters.named(name, few)}::uuid[]) AS one (id)", frozenset({"id"})
    if conditions.incidents is not None:
        incidents = parameters.named("incidents", list(conditions.incidents))
        return f"unnest({incidents}::uuid[]) AS one (incident_id)", frozenset({"incident_id"})
    # Closed alerts have an index for each of these, in the order of their begin; of open ones, the two that lists
    # by begin and by severity are read by know them.
    count_max = (
        BRANCH_COUNT_MAX if by_time and is_closed else OPEN_BRANCH_COUNT_MAX if by_grade and not is_closed else 0
    )
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


def residual_of(
    conditions: Conditions,
    statuses: frozenset[AlertStatus],
    driven: frozenset[str],
    now: datetime,
    parameters: Parameters,
    table: str,
) -> list[str]:
    """Return the conditions that are not served by the branches themselves."""
    where = []
    if 0 < len(statuses) < len(OPEN_STATUSES) and "status" not in driven:
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
        keys = [key for each in alternatives if (key := asked_key(each)) is not None]
        labels = [asked_labels(each) for each in alternatives if asked_key(each) is None]
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
            where.append(MISSED)
        where.append(breached if conditions.sla_breached else f"NOT {breached}")
    return where
