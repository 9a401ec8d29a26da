"""Incidents by id, pages of incidents, and which alerts are in them."""

# ruff: noqa: S608 - statements are put together from constant fragments; values are numbered parameters

from __future__ import annotations

import struct
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from uuid import UUID

from alertgraph.core.alert import AlertStatus
from alertgraph.core.errors import InputError
from alertgraph.core.ids import AlertId, IncidentId, from_microseconds, pack, to_microseconds, unpack
from alertgraph.core.incident import Incident, IncidentStatus
from alertgraph.core.query import TOTAL_COUNT_MAX, IncidentFilter, IncidentQuery, Page
from alertgraph.storage.reader import Reader
from alertgraph.storage.rows import INCIDENT_SELECT, incident_of
from alertgraph.storage.statement import Parameters, Statement, is_storable

COUNT_TIME_MAX = timedelta(milliseconds=500)
# A LIMIT that is a parameter would be planned as a tenth of the table: so it is one of these.
_LIMITS = (11, 26, 51, 101)
# Of no length that cursors of other lists have.
_CURSOR = struct.Struct(">HBq16s")
_CURSOR_VERSION = 1
_LIST = int.from_bytes(b"in", "big")
_UNRESOLVED = f"status <> {IncidentStatus.RESOLVED:d}"
_TIME_MIN, _TIME_MAX = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)

# --------------------------------------------------------------------------------------- by id

_BY_ID = f"""
    SELECT found.* FROM unnest($2::uuid[]) AS one (id) CROSS JOIN LATERAL (
        SELECT {INCIDENT_SELECT} FROM incident WHERE tenant_id = $1 AND id = one.id LIMIT 1) AS found
"""


async def load_incidents(reader: Reader, ids: Collection[IncidentId]) -> dict[IncidentId, Incident]:
    """Return the incidents that exist among the ids."""
    if not ids:
        return {}
    rows = await reader.fetch(_BY_ID, reader.tenant_id, list(ids))
    return {incident.id: incident for incident in map(incident_of, rows)}


# --------------------------------------------------------------------------------------- pages


def _cursor_text(incident: Incident) -> str:
    return pack(_CURSOR.pack(_LIST, _CURSOR_VERSION, to_microseconds(incident.opened_at), incident.id.bytes))


def _place(cursor: str, name: str) -> tuple[datetime, UUID]:
    raw = unpack(cursor)
    if raw is None or len(raw) != _CURSOR.size or _CURSOR.unpack(raw)[:2] != (_LIST, _CURSOR_VERSION):
        raise InputError("This is not a cursor of a list of incidents.", name)
    _, _, microseconds, id_bytes = _CURSOR.unpack(raw)
    try:
        opened_at = from_microseconds(microseconds)
    except OverflowError:
        raise InputError("This is not a cursor of a list of incidents.", name) from None
    return min(max(opened_at, _TIME_MIN), _TIME_MAX), UUID(bytes=id_bytes)


def _where(wanted: IncidentFilter, parameters: Parameters) -> list[str]:
    where = []
    if wanted.status is not None:
        where.append(f"status = ANY ({parameters.add(sorted(set(wanted.status)))}::smallint[])")
        if IncidentStatus.RESOLVED not in wanted.status:
            # Said so that the index of these may be used: they are few, however many there have been.
            where.append(_UNRESOLVED)
    if wanted.severity is not None:
        where.append(f"severity = ANY ({parameters.add(sorted(set(wanted.severity)))}::smallint[])")
    if wanted.monitored_service is not None:
        services = sorted({name for name in wanted.monitored_service if is_storable(name)})
        where.append(f"services && {parameters.add(services)}::text[]")
    if wanted.opened_after is not None:
        where.append(f"opened_at >= {parameters.add(max(wanted.opened_after, _TIME_MIN))}")
    if wanted.opened_before is not None:
        where.append(f"opened_at < {parameters.add(min(wanted.opened_before, _TIME_MAX))}")
    return where


async def incident_page(reader: Reader, query: IncidentQuery) -> Page[Incident]:
    """Return a page of incidents, newest first.

    Raises:
        InputError: A cursor is not of this list.
    """
    page = query.page
    parameters = Parameters(reader.tenant_id)
    where = ["tenant_id = $1"]
    for name, cursor, comparison in (("after", page.after, "<"), ("before", page.before, ">")):
        if cursor is not None:
            opened_at, incident_id = _place(cursor, name)
            where.append(
                f"(opened_at, id) {comparison} ({parameters.add(opened_at)}, {parameters.add(incident_id)})"
            )
    residual = _where(query.filter, parameters)
    way = "ASC" if page.backward else "DESC"
    limit = next(size for size in _LIMITS if size > page.size)
    text = (
        f"SELECT {INCIDENT_SELECT} FROM incident WHERE {' AND '.join([*where, *residual])}"
        f" ORDER BY opened_at {way}, id {way} LIMIT {limit}"
    )
    rows = await reader.run(Statement(text, parameters.values, is_keyed=not residual))
    found = [incident_of(row) for row in rows[: page.size]]
    more = len(rows) > page.size
    total: int | None = None
    if query.with_total:
        if not more and page.after is None and page.before is None:
            total = len(found)
        else:
            total = await _counted(reader, query.filter)
    items = found[::-1] if page.backward else found
    return Page(
        [(_cursor_text(incident), incident) for incident in items],
        has_next=page.before is not None if page.backward else more or page.before is not None,
        has_previous=more or page.after is not None if page.backward else page.after is not None,
        as_of=await reader.as_of(),
        total_count=total,
    )


async def _counted(reader: Reader, wanted: IncidentFilter) -> int | None:
    parameters = Parameters(reader.tenant_id)
    where = " AND ".join(["tenant_id = $1", *_where(wanted, parameters)])
    counted = f"SELECT 1 FROM incident WHERE {where} LIMIT {TOTAL_COUNT_MAX + 1}"
    statement = Statement(f"SELECT count(*) FROM ({counted}) AS counted", parameters.values, is_keyed=False)
    rows = await reader.run_in_order(COUNT_TIME_MAX, statement)
    return None if rows is None else min(rows[0]["count"], TOTAL_COUNT_MAX)


# --------------------------------------------------------------------------------------- alerts


def _alerts_of(table: str) -> str:
    return (
        f"(SELECT {table}.id FROM unnest($2::uuid[]) AS one (incident_id) CROSS JOIN LATERAL ("
        f"SELECT id FROM {table} WHERE tenant_id = $1 AND {table}.incident_id = one.incident_id"
        f" AND incident_id IS NOT NULL AND status = ANY ($3::smallint[]) ORDER BY triggered_at, id LIMIT $4"
        f") AS {table} LIMIT $4)"
    )


_OPEN = _alerts_of("alert_open")
_CLOSED = " UNION ALL ".join(map(_alerts_of, ("alert_closed", "alert_closed_late")))


async def alerts_in(
    reader: Reader, ids: Collection[IncidentId], statuses: Collection[AlertStatus], limit: int
) -> list[AlertId]:
    """Return up to `limit` alerts of these incidents that stand so, open ones first."""
    wanted = frozenset(statuses)
    parts = [_OPEN] if wanted - {AlertStatus.RESOLVED} else []
    if AlertStatus.RESOLVED in wanted:
        parts.append(_CLOSED)
    text = f"SELECT id FROM ({' UNION ALL '.join(parts)}) AS found LIMIT $4"
    values = [reader.tenant_id, list(ids), sorted(wanted), limit]
    rows = await reader.run(Statement(text, values, is_keyed=False))
    return [AlertId(row["id"]) for row in rows]
