"""Gives the alerts of a list a channel each, as alerts have them that climb an escalation rule's ladder."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from alertgraph.core.ids import ChannelId, NodeKind, RuleId, TenantId, decode_key
from alertgraph.core.rule import ChannelTarget, Ladder, Level
from alertgraph.storage.database import owner_connection
from alertgraph.storage.rows import ladder_json
from bench.installation import Installation, Server, TenantWithKey

CHANNEL_COUNT = 5
# More than a page, so that there is one after it.
ALERT_COUNT = 150
JUDGED_SECONDS = 120.0

_NAMES = "query { notificationChannels(first: 100) { nodes { id name } } }"
_CREATE = """
    mutation ($input: NotificationChannelInput!) {
      createNotificationChannel(input: $input) { notificationChannel { id } errors { message path } } }
"""
_LATEST = """
    SELECT id FROM (
        (SELECT id, triggered_at FROM alert_open WHERE tenant_id = $1 ORDER BY triggered_at DESC, id DESC LIMIT $2)
        UNION ALL
        (SELECT id, triggered_at FROM alert_closed WHERE tenant_id = $1
         ORDER BY triggered_at DESC, id DESC LIMIT $2)
    ) AS latest ORDER BY triggered_at DESC, id DESC LIMIT $2
"""
# The rule of an alert is the ladder it climbs; that none of this name is left changes nothing of it.
_CLIMB = "UPDATE {table} SET ladder = $3 WHERE tenant_id = $1 AND id = ANY ($2)"
_UNJUDGED = """
    SELECT count(*) FROM tenant_head h LEFT JOIN engine_position p ON p.tenant_id = h.tenant_id
    WHERE h.tenant_id = $1 AND h.config_version > COALESCE(p.judged_version, 0)
"""


def give_channels(installation: Installation, server: Server, admin: TenantWithKey) -> None:
    """Have the latest alerts of a tenant climb to one of five channels each; again is as good as once.

    Returns once the service has looked again at what the tenant's alerts wait for, as it does after every change
    of what is set up.
    """
    channels = _channels(server, admin)
    asyncio.run(_climb(installation.url, admin.id, channels))


def _channels(server: Server, admin: TenantWithKey) -> list[UUID]:
    known = {
        node["name"]: node["id"] for node in _call(server, admin, _NAMES, {})["notificationChannels"]["nodes"]
    }
    for number in range(CHANNEL_COUNT):
        name = f"bench {number}"
        if name not in known:
            config = {"webhook": {"url": f"http://127.0.0.1:9/{number}"}}
            made = _call(server, admin, _CREATE, {"input": {"name": name, "config": config}})
            payload = made["createNotificationChannel"]
            assert not payload["errors"], payload["errors"]
            known[name] = payload["notificationChannel"]["id"]
    decoded = [decode_key(known[f"bench {number}"], NodeKind.CHANNEL) for number in range(CHANNEL_COUNT)]
    return [key for key in decoded if key is not None]


async def _climb(url: str, tenant_id: TenantId, channels: Sequence[UUID]) -> None:
    async with owner_connection(url) as connection:
        ids = [row[0] for row in await connection.fetch(_LATEST, tenant_id, ALERT_COUNT)]
        for number, channel in enumerate(channels):
            levels = (Level(timedelta(minutes=15), (ChannelTarget(ChannelId(channel)),)),)
            ladder = ladder_json(Ladder(RuleId(UUID(int=number + 1)), levels))
            for table in ("alert_open", "alert_closed"):
                await connection.execute(
                    _CLIMB.format(table=table), tenant_id, ids[number :: len(channels)], ladder
                )
        deadline = time.monotonic() + JUDGED_SECONDS
        while await connection.fetchval(_UNJUDGED, tenant_id):
            if time.monotonic() > deadline:
                raise TimeoutError("the service did not look at the alerts again")
            await asyncio.sleep(0.2)


def _call(server: Server, tenant: TenantWithKey, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/graphql", body, {**tenant.headers, "content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        told: dict[str, Any] = json.load(answer)
    assert "errors" not in told, told
    found: dict[str, Any] = told["data"]
    return found
