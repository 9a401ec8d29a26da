"""A hand-written endpoint for each query: Starlette, asyncpg and orjson, over the same tables and policies.

What somebody would write who needs exactly these lists and nothing else: SQL by hand, rows straight to JSON.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from alertgraph.core.alert import AlertStatus
from alertgraph.core.channel import ChannelKind
from alertgraph.core.event import EventKind
from alertgraph.core.ids import NodeKind, TenantId, decode_alert_id, encode_id
from alertgraph.core.search import label_term, search_words
from alertgraph.core.severity import Severity
from alertgraph.storage.items import ItemKind
from bench.apps.common import Ground, ready

_COLUMNS = (
    "id, title, severity, status, source, monitored_service, triggered_at, last_seen_at, occurrence_count, "
    "escalation_level"
)
_TAIL = "ORDER BY triggered_at DESC, id DESC LIMIT 101"
_TABLES = ("alert_open", "alert_closed", "alert_closed_late")


def _union(where: str, columns: str = _COLUMNS) -> str:
    branches = " UNION ALL ".join(
        f"(SELECT {columns} FROM {table} WHERE tenant_id = $1 {where} {_TAIL})" for table in _TABLES
    )
    return f"SELECT * FROM ({branches}) AS page {_TAIL}"


_LIST = _union("")
# The channel that the first rung of an alert's ladder tells.
_WITH_CHANNEL = _union("", f"{_COLUMNS}, (ladder #>> '{{levels,0,targets,0,1}}')::uuid AS channel_id")
_CHANNELS = """
    SELECT id, name, (body ->> 'kind')::integer, (body ->> 'enabled')::boolean FROM config_item
    WHERE tenant_id = $1 AND kind = $2 AND id = ANY ($3::uuid[])
"""
_AFTER = _union("AND (triggered_at, id) < ($2, $3)")
_BY_IDS = _union("AND id = ANY ($2::uuid[])")
# One ordered scan for each pair, merged: an IN list would read and sort all of them.
_GRADED = f"""
    SELECT page.* FROM unnest($2::smallint[], $3::smallint[]) AS one (status, severity)
    CROSS JOIN LATERAL (
        SELECT {_COLUMNS} FROM alert_open
        WHERE tenant_id = $1 AND status = one.status AND severity = one.severity {_TAIL}
    ) AS page {_TAIL}
"""
_FOUND = "SELECT id FROM search_alerts($1::text[], $2, $3, true, 5001) AS id"
_TIMELINE = """
    SELECT number, kind, recorded_at, content FROM event WHERE tenant_id = $1 AND alert_id = $2
    ORDER BY number LIMIT 51
"""
_ID_MIN, _ID_MAX = UUID(int=0), UUID(int=(1 << 128) - 1)


class _Lists:
    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self.pool: Any = None

    async def alerts(self, request: Request) -> Response:
        """Answer one of the lists, 100 alerts of 10 fields each."""
        tenant_id = (await self._ground.principal(request)).tenant.id
        query = request.query_params
        if "after" in query:
            at, _, alert_id = query["after"].partition("_")
            rows = await self._rows(tenant_id, _AFTER, datetime.fromisoformat(at), UUID(alert_id))
        elif "severity" in query:
            grades = [Severity[name] for name in query["severity"].split(",")]
            pairs = [(AlertStatus[query["status"]], grade) for grade in grades]
            rows = await self._rows(tenant_id, _GRADED, [s for s, _ in pairs], [g for _, g in pairs])
        elif "search" in query:
            rows = await self._found(tenant_id, sorted(search_words(query["search"])))
        elif "label" in query:
            name, _, value = query["label"].partition("=")
            rows = await self._found(tenant_id, [label_term(name, value)])
        elif "channels" in query:
            return _answer(await self._with_channels(tenant_id))
        else:
            rows = await self._rows(tenant_id, _LIST)
        return _answer(_page(rows))

    async def _with_channels(self, tenant_id: TenantId) -> dict[str, object]:
        async with self.pool.acquire() as connection:
            await connection.execute(f"BEGIN READ ONLY; SET LOCAL app.tenant_id = '{UUID(int=tenant_id.int)}'")
            rows: Sequence[Any] = await connection.fetch(_WITH_CHANNEL, tenant_id)
            wanted = list({row[10] for row in rows[:100] if row[10] is not None})
            found = await connection.fetch(_CHANNELS, tenant_id, ItemKind.CHANNEL, wanted)
            await connection.execute("ROLLBACK")
        shown = {
            row[0]: {
                "id": encode_id(NodeKind.CHANNEL, row[0]),
                "name": row[1],
                "kind": _CHANNEL_KINDS[row[2]],
                "enabled": row[3],
            }
            for row in found
        }
        page = _page(rows)
        for node, row in zip(page["nodes"], rows, strict=False):
            node["channel"] = shown.get(row[10])
        return page

    async def timeline(self, request: Request) -> Response:
        """Answer the timeline of one alert."""
        tenant_id = (await self._ground.principal(request)).tenant.id
        rows = await self._rows(tenant_id, _TIMELINE, decode_alert_id(request.path_params["id"]))
        events = []
        for number, kind, recorded_at, content in rows[:50]:
            said = orjson.loads(content)
            actor = {"kind": said["actor"]["kind"], "name": said["actor"]["name"]}
            shown = {"number": number, "kind": EventKind(kind).name, "occurredAt": recorded_at, "actor": actor}
            events.append({**shown, "summary": said["alert"]["title"]})
        return _answer({"events": events})

    async def _rows(self, tenant_id: TenantId, statement: str, *parameters: object) -> Sequence[Any]:
        async with self.pool.acquire() as connection:
            await connection.execute(f"BEGIN READ ONLY; SET LOCAL app.tenant_id = '{UUID(int=tenant_id.int)}'")
            rows: Sequence[Any] = await connection.fetch(statement, tenant_id, *parameters)
            await connection.execute("ROLLBACK")
            return rows

    async def _found(self, tenant_id: TenantId, terms: list[str]) -> Sequence[Any]:
        async with self.pool.acquire() as connection:
            await connection.execute(f"BEGIN READ ONLY; SET LOCAL app.tenant_id = '{UUID(int=tenant_id.int)}'")
            found = await connection.fetch(_FOUND, terms, _ID_MIN, _ID_MAX)
            rows: Sequence[Any] = await connection.fetch(_BY_IDS, tenant_id, [row[0] for row in found])
            await connection.execute("ROLLBACK")
            return rows


_SEVERITIES = {int(severity): severity.name for severity in Severity}
_STATUSES = {int(status): status.name for status in AlertStatus}
_CHANNEL_KINDS = {int(kind): kind.name for kind in ChannelKind}


def _page(rows: Sequence[Any]) -> dict[str, Any]:
    nodes = [
        {
            "id": encode_id(NodeKind.ALERT, row[0]),
            "title": row[1],
            "severity": _SEVERITIES[row[2]],
            "status": _STATUSES[row[3]],
            "source": row[4],
            "monitoredService": row[5],
            "triggeredAt": row[6],
            "lastSeenAt": row[7],
            "occurrenceCount": row[8],
            "escalationLevel": row[9],
        }
        for row in rows[:100]
    ]
    last = rows[min(len(rows), 100) - 1] if rows else None
    cursor = f"{last[6].isoformat()}_{last[0]}" if last is not None else None
    return {"nodes": nodes, "pageInfo": {"hasNextPage": len(rows) > 100, "endCursor": cursor}}


def _answer(value: object) -> Response:
    return Response(orjson.dumps(value, option=orjson.OPT_UTC_Z), media_type="application/json")


def build() -> Starlette:
    """Return the application."""
    ground = Ground()
    lists = _Lists(ground)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await ground.open()
        # Planned once: asyncpg's defaults plan this statement anew each time, which costs more than to run it.
        settings = {
            "role": "ag_api",
            "search_path": "alertgraph",
            "jit": "off",
            "plan_cache_mode": "force_generic_plan",
        }
        async with asyncpg.create_pool(
            ground.url, min_size=2, max_size=ground.pool_size, server_settings=settings
        ) as pool:
            lists.pool = pool
            yield
        await ground.close()

    routes = [Route("/ready", ready), Route("/alerts", lists.alerts), Route("/alerts/{id}/events", lists.timeline)]
    return Starlette(routes=routes, lifespan=lifespan)
