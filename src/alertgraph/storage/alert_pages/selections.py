"""Which alerts come into question, found by an index before a list of them is read."""

# ruff: noqa: S608 - statements are put together from constant fragments; values are numbered parameters

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from alertgraph.core.alert import AlertStatus
from alertgraph.core.ids import uuid7_floor
from alertgraph.core.query import AlertOrder, AlertOrderField
from alertgraph.core.search import alert_words
from alertgraph.storage.alert_pages.conditions import OPEN_STATUSES, TIME_MAX, TIME_MIN, Conditions
from alertgraph.storage.alert_pages.reading import READ_TIME_MAX
from alertgraph.storage.alert_pages.scans import (
    AHEAD_MAX,
    FEW_MAX,
    ID_MAX,
    ID_MIN,
    INDEXED,
    MISSED,
    Scan,
    bounds_of,
    page_statement,
    residual_of,
    tail_of,
)
from alertgraph.storage.reader import Reader
from alertgraph.storage.search import FOUND_MAX, find_alerts
from alertgraph.storage.statement import Parameters, Statement

# More closed alerts than this are not found and sorted by an index alone, of which only a page is looked up.
SORTED_MAX = 30_000
_MONTHS_TIME_MAX = timedelta(milliseconds=250)
# What the indexes of closed alerts tell of each find (by_… in the migrations).
_TOLD_ORDERS = frozenset({AlertOrderField.TRIGGERED_AT, AlertOrderField.LAST_SEEN_AT, AlertOrderField.SEVERITY})


async def selected(reader: Reader, scan: Scan, length: int | None) -> Scan:
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
    if conditions.statuses & OPEN_STATUSES:
        scan = await _selected_open(reader, scan)
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


async def _selected_open(reader: Reader, scan: Scan) -> Scan:
    """Return a scan of only those open alerts that an index finds, where they are few."""
    for statement in _open_selections(scan, reader.tenant_id):
        rows = await reader.run_in_order(READ_TIME_MAX, statement)
        if rows is not None and len(rows) <= FEW_MAX:
            return replace(scan, open_ids=[row["id"] for row in rows])
    return scan


def _open_selections(scan: Scan, tenant_id: UUID) -> Iterator[Statement]:
    """Yield what finds open alerts by what the list's own order does not; each stops once they are not few."""
    conditions, order = scan.conditions, scan.order.field
    if conditions.probability_min is not None and order is not AlertOrderField.INCIDENT_PROBABILITY:
        text = (
            "SELECT id FROM alert_open WHERE tenant_id = $1 AND incident_probability >= $2"
            f" AND incident_probability IS NOT NULL ORDER BY incident_probability, id LIMIT {FEW_MAX + 1}"
        )
        yield Statement(text, [tenant_id, conditions.probability_min], is_keyed=False)
    by_time = order is AlertOrderField.TRIGGERED_AT
    if conditions.incidents is not None:
        if not by_time:
            text = (
                "SELECT id FROM alert_open WHERE tenant_id = $1 AND incident_id = ANY ($2::uuid[])"
                f" AND incident_id IS NOT NULL LIMIT {FEW_MAX + 1}"
            )
            yield Statement(text, [tenant_id, sorted(conditions.incidents)], is_keyed=False)
        return
    is_timed = conditions.triggered_after is not None or conditions.triggered_before is not None
    if by_time or (order is AlertOrderField.SEVERITY and not is_timed):
        return
    # The index by their begin also knows these.
    known = Conditions(
        conditions.statuses & OPEN_STATUSES,
        severities=conditions.severities,
        services=conditions.named_services,
        sources=conditions.sources,
        verdicts=conditions.verdicts,
        rules=conditions.rules,
        assignees=conditions.assignees,
        level_min=conditions.level_min,
        triggered_after=conditions.triggered_after,
        triggered_before=conditions.triggered_before,
    )
    if known != Conditions(OPEN_STATUSES):
        probe = Scan(known, AlertOrder(), scan.now, None, None, downward=True)
        yield page_statement(probe, "id, triggered_at", FEW_MAX + 1, tenant_id)


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


def _findings(conditions: Conditions, parameters: Parameters) -> Iterator[_Finding]:
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
            guard = (INDEXED[column],) if column in INDEXED else ()
            yield _Finding((name,), drive, (f"{column} = one.value", *guard), "triggered_at")
    if conditions.levels is not None:
        least = f"escalation_level >= {parameters.named('level_min', conditions.level_min)}"
        at_least = (least, INDEXED["escalation_level"])
        yield _Finding(("level_min",), nothing, at_least, "escalation_level, triggered_at")
    if conditions.probability_min is not None:
        likely = f"incident_probability >= {parameters.named('probability_min', conditions.probability_min)}"
        yield _Finding(("probability_min",), nothing, (likely,), "incident_probability")
    if conditions.resolved_after is not None or conditions.resolved_before is not None:
        since, until = conditions.resolved_after or TIME_MIN, conditions.resolved_before or TIME_MAX
        low, high = parameters.named("resolved_after", since), parameters.named("resolved_before", until)
        where = (f"resolved_at >= {low}", f"resolved_at < {high}")
        yield _Finding(("resolved_after", "resolved_before"), nothing, where, "resolved_at")


def _sorting(scan: Scan, length: int, tenant_id: UUID) -> Statement | None:
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
    if residual_of(replace(conditions, **told), frozenset(), frozenset(), scan.now, Parameters(), "alert_closed"):
        return None
    where: list[str] = ["tenant_id = $1", *finding.where]
    asked: list[str] = []
    for comparison, value in ((">=", conditions.triggered_after), ("<", conditions.triggered_before)):
        if value is not None:
            # Behind one value entries are in the order of their begin; else all that are found are looked at.
            narrowed = where if finding.in_order == "triggered_at" else asked
            narrowed.append(f"triggered_at {comparison} {parameters.add(value)}")
    if conditions.triggered_after is not None:
        where.append(f"id >= {parameters.add(uuid7_floor(conditions.triggered_after - AHEAD_MAX))}")
    if conditions.severities is not None:
        asked.append(f"severity = ANY ({parameters.add(sorted(conditions.severities))}::smallint[])")
    limit = SORTED_MAX + 1
    tables = " UNION ALL ".join(
        f"(SELECT id, triggered_at, last_seen_at, severity FROM {table}"
        f" WHERE {' AND '.join(where)} ORDER BY {finding.in_order}, id LIMIT {limit})"
        for table in ("alert_closed", "alert_closed_late")
    )
    entries = f"SELECT each.* FROM {finding.drive} CROSS JOIN LATERAL ({tables}) AS each LIMIT {limit}"
    page = [*asked, *bounds_of(scan, parameters)]
    return Statement(
        f"WITH found AS MATERIALIZED ({entries}) SELECT (SELECT count(*) FROM found) AS examined,"
        f" (SELECT count(*) FROM found WHERE {' AND '.join(asked) or 'true'}) AS count,"
        f" ARRAY(SELECT id FROM found WHERE {' AND '.join(page) or 'true'} {tail_of(scan, length)}) AS ids",
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


async def _months(reader: Reader, conditions: Conditions, order: AlertOrder) -> tuple[UUID, UUID] | None:
    """Return between which ids closed alerts of the times asked for lie; None for any."""
    low, high = ID_MIN, ID_MAX
    for column, since, until in (
        ("resolved_at", conditions.resolved_after, conditions.resolved_before),
        ("triggered_at", conditions.triggered_after, conditions.triggered_before),
    ):
        is_order = column == "triggered_at" and order.field is AlertOrderField.TRIGGERED_AT
        if (since is None and until is None) or is_order:
            continue
        values = [reader.tenant_id, since or TIME_MIN, until or TIME_MAX]
        statement = Statement(_MONTHS.format(column), values, is_keyed=False)
        rows = await reader.run_in_order(_MONTHS_TIME_MAX, statement)
        if rows:
            # Where no month has any, none is read.
            low, high = max(low, rows[0]["low"] or ID_MAX), min(high, rows[0]["high"] or ID_MIN)
    return (low, high) if (low, high) != (ID_MIN, ID_MAX) else None


def _title_words(title: str) -> frozenset[str]:
    return alert_words(title, "")


def _selections(conditions: Conditions, order: AlertOrder, tenant_id: UUID) -> Iterator[tuple[int, Statement]]:
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
        ("incident_id = ANY ($2::uuid[]) AND incident_id IS NOT NULL", conditions.incidents),
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
        since, until = conditions.resolved_after or TIME_MIN, conditions.resolved_before or TIME_MAX
        # Past months in which hardly any was resolved then, a list would read all the way: so more are looked up.
        text = "resolved_at >= $2 AND resolved_at < $3"
        yield FOUND_MAX, _few_closed(text, [tenant_id, since, until], FOUND_MAX)
    if not by_time and (conditions.triggered_after is not None or conditions.triggered_before is not None):
        since, until = conditions.triggered_after or TIME_MIN, conditions.triggered_before or TIME_MAX
        text = "triggered_at >= $2 AND triggered_at < $3"
        yield FOUND_MAX, _few_closed(text, [tenant_id, since, until], FOUND_MAX)
    if conditions.sla_breached and order.field is AlertOrderField.LAST_SEEN_AT:
        # By begin and by severity an index has those alone.
        yield FEW_MAX, _few_closed(MISSED, [tenant_id], FEW_MAX)


def _few_closed(condition: str, values: Sequence[object], limit: int) -> Statement:
    tables = " UNION ALL ".join(
        f"(SELECT id FROM {table} WHERE tenant_id = $1 AND {condition} LIMIT {limit + 1})"
        for table in ("alert_closed", "alert_closed_late")
    )
    return Statement(f"SELECT id FROM ({tables}) AS few LIMIT {limit + 1}", values, is_keyed=False)
