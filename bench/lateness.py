"""How late pages are: a million open alerts, ten thousand of them due at the same instant."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from alertgraph.core.ids import decode_id
from alertgraph.core.rule import ChannelTarget, Ladder, Level
from alertgraph.core.tenant import Role
from alertgraph.storage.database import owner_connection
from alertgraph.storage.rows import ladder_json
from bench import plots
from bench.installation import Installation, Server, TenantWithKey, alertgraph_server
from bench.machine import cpu_seconds
from bench.report import spread, table

TENANT_COUNT = 20
CHANNEL_COUNT = 5
"""Of each tenant: a hundred targets in all, each of which is told of its storm in bundles."""
PATIENCE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Scale:
    """How many alerts are open, and how many of them fall due at once.

    Attributes:
        lead: From when those that fall due are made until they do, since making them takes a while.
        idle: How long the service is watched while nothing is due.
    """

    open_count: int
    due_count: int
    lead: timedelta
    idle: timedelta


FULL = Scale(1_000_000, 10_000, lead=timedelta(seconds=20), idle=timedelta(seconds=10))
QUICK = Scale(50_000, 2_000, lead=timedelta(seconds=8), idle=timedelta(seconds=3))

# Ids as the service makes them; the rest of the row is an ordinary alert that climbs its rule's ladder.
_OPEN = """
INSERT INTO alert_open (
    tenant_id, id, version, dedup_key, title, description, severity, status, source, monitored_service, labels,
    annotations, links, occurrence_count, triggered_at, last_seen_at, escalation_level, acknowledge_by, resolve_by,
    resolve_by_timeout, due_at, rule_id, ladder, next_escalation_at, hold_reason)
SELECT $1, (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '7'
            || substr(md5(n::text || $2), 1, 3) || '8' || substr(md5($2 || n::text), 1, 15))::uuid,
       1, $2 || n, 'CPU above 90 % on host-' || n, '', 4, 1, 'bench', 'service-' || (n % 100),
       jsonb_build_object('alertname', 'HighCpu', 'host', 'host-' || n), '{}', '[]', 1, now(), now(), 0,
       $4::timestamptz + interval '1 day', $4::timestamptz + interval '2 days', false, $4, $5, $6, $4, NULL
FROM generate_series(1, $3) n
"""
_COUNTED = """
INSERT INTO open_count (tenant_id, severity, monitored_service, count)
SELECT tenant_id, severity, monitored_service, count(*) FROM alert_open GROUP BY 1, 2, 3
ON CONFLICT (tenant_id, severity, monitored_service) DO UPDATE SET count = excluded.count
"""
_BEGUN = """
SELECT extract(epoch FROM a.started_at - $1) FROM delivery_attempt a WHERE a.number = 1 ORDER BY 1
"""


class _Sink(BaseHTTPRequestHandler):
    """A provider that takes everything at once."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Take a message."""
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.taken += 1  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Lateness:
    """The measurement, once: from the instant at which pages are due to the begin of each first attempt."""

    def __init__(self, installation: Installation, directory: Path, scale: Scale) -> None:
        self._installation = installation
        self._directory = directory
        self._scale = scale
        self._late: list[float] = []
        self._idle_cpu = 0.0
        self._messages = 0
        self._fill_seconds = 0.0

    def run(self) -> None:
        """Fill, wait for the instant, and read when each page began to be sent."""
        sink = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
        sink.taken = 0  # type: ignore[attr-defined]
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        tenants = self._installation.tenants("late", TENANT_COUNT, Role.ADMIN)
        server = alertgraph_server(self._installation, self._directory)
        try:
            ladders = [_set_up(server, tenant, sink.server_port) for tenant in tenants]
            asyncio.run(self._measured(server, tenants, ladders))
            self._messages = sink.taken  # type: ignore[attr-defined]
        finally:
            server.stop()
            sink.shutdown()

    async def _measured(
        self, server: Server, tenants: Sequence[TenantWithKey], ladders: Sequence[Sequence[Ladder]]
    ) -> None:
        scale, started = self._scale, time.monotonic()
        far = datetime.now(UTC) + timedelta(days=30)
        async with owner_connection(self._installation.url) as connection:
            # Autovacuum looks at the filled table at the same time, and gives way only after a second.
            await connection.execute("SET lock_timeout = '60s'")
            print(f"  lateness: opening {scale.open_count:,} alerts", flush=True)
            for tenant, ladder in zip(tenants, ladders, strict=True):
                rest = (scale.open_count - scale.due_count) // TENANT_COUNT
                await _open(connection, tenant, ladder[0], "rest-", rest, far)
            await connection.execute(_COUNTED)
            await connection.execute("ANALYZE alert_open")
            self._fill_seconds = time.monotonic() - started
            busy = cpu_seconds(server.pid)
            idle = scale.idle.total_seconds()
            await asyncio.sleep(idle)
            self._idle_cpu = (cpu_seconds(server.pid) - busy) / idle
            due_at = datetime.now(UTC) + scale.lead
            for tenant, of_tenant in zip(tenants, ladders, strict=True):
                for number, ladder in enumerate(of_tenant):
                    count = scale.due_count // TENANT_COUNT // CHANNEL_COUNT
                    await _open(connection, tenant, ladder, f"due-{number}-", count, due_at)
            assert datetime.now(UTC) < due_at, "filling took longer than was allowed for"
            print(f"  lateness: {scale.due_count:,} fall due at once", flush=True)
            deadline = time.monotonic() + scale.lead.total_seconds() + PATIENCE_SECONDS
            while time.monotonic() < deadline:
                await asyncio.sleep(1)
                rows = await connection.fetch(_BEGUN, due_at)
                if len(rows) >= scale.due_count:
                    break
            self._late = [float(row[0]) for row in rows]

    def told(self) -> dict[str, object]:
        """Return the figures."""
        return {
            "open": self._scale.open_count,
            "due_at_once": self._scale.due_count,
            "attempted": len(self._late),
            "messages": self._messages,
            "late_seconds": {
                name: round(_share(self._late, share), 3)
                for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
            },
            "idle_cpu_share": round(self._idle_cpu, 4),
            "fill_seconds": round(self._fill_seconds, 1),
            "plot": plots.told("Lateness of pages", [self._panel()]),
        }

    def _panel(self) -> plots.Panel:
        shares = {"half of them": 0.5, "95 %": 0.95, "99 %": 0.99, "all": 1.0}
        bars = [
            plots.Bar(f"{plots.OURS}: {name}", spread([_share(self._late, share)]))
            for name, share in shares.items()
        ]
        title = f"{self._scale.due_count:,} due at once, of {self._scale.open_count:,} open alerts"
        return plots.Panel(title, "seconds from due to the begin of the first attempt", bars, better="less")

    def table(self) -> str:
        """Return the figures for people."""
        seconds = [f"{_share(self._late, share):.2f}" for share in (0.5, 0.95, 0.99, 1.0)]
        row = [
            f"{self._scale.open_count:,} open, {self._scale.due_count:,} due at once",
            f"{len(self._late):,}",
            f"{self._messages:,}",
            *seconds,
            f"{self._idle_cpu * 100:.1f} %",
        ]
        return table(
            "Lateness of pages",
            [
                f"{TENANT_COUNT} tenants of {CHANNEL_COUNT} webhooks; from due to the begin of the first attempt.",
                "GoAlert documents a tick of 5 s and about 100 escalations a second: 10,000 take it 100 s.",
            ],
            ["", "attempted", "messages", "p50 s", "p95 s", "p99 s", "last s", "idle CPU"],
            [row],
        )


def _share(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


async def _open(
    connection: Any, tenant: TenantWithKey, ladder: Ladder, prefix: str, count: int, due_at: datetime
) -> None:
    await connection.execute(
        _OPEN, tenant.id, prefix, count, due_at, ladder.rule_id, ladder_json(ladder), timeout=600
    )


def _set_up(server: Server, tenant: TenantWithKey, port: int) -> list[Ladder]:
    """Return the ladders of rules made through the API, each telling a webhook of its own."""
    ladders = []
    for number in range(CHANNEL_COUNT):
        channel = _call(
            server,
            tenant,
            """mutation ($input: NotificationChannelInput!) { createNotificationChannel(input: $input) {
                 notificationChannel { id } errors { message path } } }""",
            {
                "name": f"hook {number}",
                "config": {"webhook": {"url": f"http://127.0.0.1:{port}/{tenant.slug}/{number}"}},
            },
        )["createNotificationChannel"]
        assert not channel["errors"], channel["errors"]
        channel_id = channel["notificationChannel"]["id"]
        rule = _call(
            server,
            tenant,
            """mutation ($input: EscalationRuleInput!) {
                 createEscalationRule(input: $input) { escalationRule { id } errors { message path } } }""",
            {"name": f"rule {number}", "levels": [{"delay": "PT1H", "targets": [{"channelId": channel_id}]}]},
        )["createEscalationRule"]
        assert not rule["errors"], rule["errors"]
        made, told = decode_id(rule["escalationRule"]["id"]), decode_id(channel_id)
        assert made is not None
        assert told is not None
        target: Any = ChannelTarget(told[1])  # type: ignore[arg-type]
        ladders.append(Ladder(made[1], (Level(timedelta(hours=1), (target,)),)))  # type: ignore[arg-type]
    return ladders


def _call(server: Server, tenant: TenantWithKey, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps({"query": query, "variables": {"input": variables}}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/graphql",
        body,
        {**tenant.headers, "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        told = json.load(answer)
    assert told.get("data") is not None, told
    return told["data"]  # type: ignore[no-any-return]
