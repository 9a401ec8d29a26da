"""Predictions as a client has them: of 1, 64 and 1,024 alerts in one request, kept ones and missing ones.

Kept ones are read with their alerts. Missing ones are of alerts that came in a moment ago: they are scored by the
learning process while the request waits, as many as can be had in a tenth of a second, and the others are null.
So that they stay missing, the table that predictions are written to is locked meanwhile.
"""

from __future__ import annotations

import asyncio
import http.client
import importlib.util
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from alertgraph.core.ids import NodeKind, encode_id
from alertgraph.core.tenant import Role
from alertgraph.storage.migrate import dsn_of, owner_settings
from bench import plots, report
from bench.installation import Installation, Server, TenantWithKey, alertgraph_server
from bench.words import alert_input, compact

KEPT, MISSING = "kept", "missing"
# Milliseconds that 95 of 100 requests for so many predictions may take.
LIMITS = {1: 2.0, 64: 15.0, 1_024: 100.0}
PAGE = 100
# Alerts of one request to the bulk interface.
BULK = 1_000
START_SECONDS, SETTLE_SECONDS = 60.0, 60.0
TAKE_SECONDS = 3.0
# An alert that came in longer ago is not scored any more while somebody waits.
FRESH_SECONDS = 45.0
_HEAD = ("predictions", "of", "p50 ms", "p95 ms", "may take ms", "had")
_FIELDS = (
    "incidentProbability slaBreachProbability selfResolveProbability modelVersion abstained "
    "timeToResolve { median low high }"
)
_IDS = "SELECT id FROM alert_open WHERE tenant_id = $1 ORDER BY id DESC LIMIT $2"
_COUNTED = "SELECT count(*) FROM prediction WHERE tenant_id = $1"
_DELAYS = """
SELECT percentile_cont(ARRAY[0.5, 0.95])
    WITHIN GROUP (ORDER BY extract(epoch FROM p.predicted_at - a.last_seen_at))
FROM (SELECT id, last_seen_at FROM alert_open WHERE tenant_id = $1 ORDER BY id DESC LIMIT $2) AS a
JOIN prediction p ON p.tenant_id = $1 AND p.alert_id = a.id
"""


@dataclass(frozen=True)
class Scale:
    """How long it may take.

    Attributes:
        requests: Of each size and side in one round.
    """

    rounds: int
    requests: Mapping[int, int]


QUICK = Scale(rounds=1, requests={1: 50, 64: 20, 1_024: 10})
FULL = Scale(rounds=5, requests={1: 200, 64: 100, 1_024: 40})


@dataclass
class Figures:
    """What requests for so many predictions gave.

    Attributes:
        took_ms: Of each request, from sending it until its answer was there.
        had: Share of the alerts that had a prediction in the answer.
    """

    took_ms: list[float] = field(default_factory=list)
    had: list[float] = field(default_factory=list)


class Predictions:
    """The measurement.

    Raises:
        SystemExit: What learns is not installed, or predicts nothing.
    """

    def __init__(self, installation: Installation, directory: Path, scale: Scale) -> None:
        if importlib.util.find_spec("torch") is None:
            raise SystemExit("torch is not installed: pip install -r requirements-ml.txt")
        self._installation = installation
        self._directory = directory
        self._scale = scale
        self._number = 0
        self._figures = {(side, size): Figures() for side in (KEPT, MISSING) for size in LIMITS}
        # Seconds until 1,024 alerts that came in at once were predicted.
        self._delays: list[tuple[float, float]] = []

    def run(self) -> None:
        """Measure each size on each side in every round."""
        more = {"CRITICAL_ALERT_ML_ENABLED": "true"}
        server = alertgraph_server(self._installation, self._directory, more)
        try:
            for number in range(self._scale.rounds):
                print(f"  predictions: round {number + 1} of {self._scale.rounds}", flush=True)
                tenant = self._tenant(f"p{number}")
                client = Client(server, tenant)
                # The first one proves that the tenant is followed by now.
                client.create(1)
                self._await_predicted(tenant, 1, START_SECONDS, server)
                self._measure_missing(tenant, client)
                self._measure_kept(tenant, client, server)
                client.close()
        finally:
            server.stop()

    def _tenant(self, slug: str) -> TenantWithKey:
        (tenant,) = self._installation.tenants(slug, 1, Role.ADMIN)
        return tenant

    def _measure_missing(self, tenant: TenantWithKey, client: Client) -> None:
        for size, count in self._scale.requests.items():
            left = count
            while left:
                with asyncio.Runner() as runner, self._unwritten(runner):
                    client.create(max(LIMITS))
                    ids = runner.run(self._ids(tenant, size))
                    # Until it has taken them in, and waits to write down what it says.
                    time.sleep(TAKE_SECONDS)
                    until = time.monotonic() + FRESH_SECONDS
                    while left and time.monotonic() < until:
                        self._ask(client, MISSING, size, ids)
                        left -= 1
                self._await_settled(tenant)

    def _measure_kept(self, tenant: TenantWithKey, client: Client, server: Server) -> None:
        before = asyncio.run(self._counted(tenant))
        client.create(max(LIMITS))
        self._await_predicted(tenant, before + max(LIMITS), SETTLE_SECONDS, server)
        self._delays.append(asyncio.run(self._delay(tenant)))
        for size, count in self._scale.requests.items():
            ids = asyncio.run(self._ids(tenant, size))
            for _ in range(count):
                self._ask(client, KEPT, size, ids)

    def _ask(self, client: Client, side: str, size: int, ids: Sequence[str]) -> None:
        took, had = client.ask(ids)
        figures = self._figures[side, size]
        figures.took_ms.append(took * 1e3)
        figures.had.append(had / size)

    # ------------------------------------------------------------------------------------ the store

    @contextmanager
    def _unwritten(self, runner: asyncio.Runner) -> Iterator[None]:
        """Keep predictions from being written; who would write them tries again."""
        connection = runner.run(self._connected())
        runner.run(connection.execute("BEGIN; LOCK TABLE prediction IN SHARE MODE"))
        try:
            yield
        finally:
            runner.run(connection.close())

    async def _ids(self, tenant: TenantWithKey, count: int) -> list[str]:
        connection = await self._connected()
        try:
            rows = await connection.fetch(_IDS, tenant.id, count)
        finally:
            await connection.close()
        return [encode_id(NodeKind.ALERT, row["id"]) for row in rows]

    async def _counted(self, tenant: TenantWithKey) -> int:
        connection = await self._connected()
        try:
            return int(await connection.fetchval(_COUNTED, tenant.id))
        finally:
            await connection.close()

    def _await_predicted(self, tenant: TenantWithKey, count: int, seconds: float, server: Server) -> None:
        deadline = time.monotonic() + seconds
        while asyncio.run(self._counted(tenant)) < count:
            if time.monotonic() > deadline:
                raise SystemExit(f"not all was predicted within {seconds:g} s: {server.complaints()}")
            time.sleep(0.1)

    def _await_settled(self, tenant: TenantWithKey) -> None:
        """Wait until what could not be written is, so that the next turn finds the learning process idle."""
        deadline, known = time.monotonic() + SETTLE_SECONDS, -1
        while time.monotonic() < deadline:
            counted = asyncio.run(self._counted(tenant))
            if counted == known:
                return
            known = counted
            time.sleep(2.0)

    async def _delay(self, tenant: TenantWithKey) -> tuple[float, float]:
        """Return within how many seconds half and 95 of 100 of the alerts that came in together were predicted."""
        connection = await self._connected()
        try:
            half, most = await connection.fetchval(_DELAYS, tenant.id, max(LIMITS))
        finally:
            await connection.close()
        return float(half), float(most)

    async def _connected(self) -> Any:
        return await asyncpg.connect(dsn_of(self._installation.url), server_settings=owner_settings())

    # -------------------------------------------------------------------------------------- telling

    def told(self) -> dict[str, Any]:
        """Return everything, for the file."""
        panels = [
            plots.Panel(
                f"{side} predictions",
                "ms, 95 of 100",
                [
                    plots.Bar(f"{size:,} alerts", report.spread([quantile(figures.took_ms, 0.95)]))
                    for (its_side, size), figures in self._figures.items()
                    if its_side == side
                ],
            )
            for side in (KEPT, MISSING)
        ]
        return {
            "plot": plots.told("Predictions over HTTP", panels),
            "cases": [
                {
                    "predictions": side,
                    "alerts": size,
                    "p50_ms": report.short(quantile(figures.took_ms, 0.5)),
                    "p95_ms": report.short(quantile(figures.took_ms, 0.95)),
                    "limit_ms": LIMITS[size],
                    "had": report.spread(figures.had),
                    "requests": len(figures.took_ms),
                }
                for (side, size), figures in self._figures.items()
            ],
            "predicted_after_p50_s": report.spread([half for half, _ in self._delays]),
            "predicted_after_p95_s": report.spread([most for _, most in self._delays]),
        }

    def table(self) -> str:
        """Return the table."""
        rows = []
        for (side, size), figures in self._figures.items():
            slow = quantile(figures.took_ms, 0.95)
            rows.append(
                [
                    side,
                    f"{size:,}",
                    f"{quantile(figures.took_ms, 0.5):.1f}",
                    f"{slow:.1f}",
                    f"{LIMITS[size]:g}: {'within' if slow <= LIMITS[size] else 'MISSED'}",
                    f"{report.median(figures.had) * 100:.0f} %",
                ]
            )
        notes = (
            "One connection, one request after the other; ids in, three chances and a range of time out.",
            "Missing ones are scored while the request waits, for a tenth of a second at most.",
            f"{max(LIMITS):,} alerts that came in with one request were predicted within "
            f"{report.median([half for half, _ in self._delays]):.2f} s (half) and "
            f"{report.median([most for _, most in self._delays]):.2f} s (95 of 100).",
        )
        return report.table("Predictions over HTTP", notes, _HEAD, rows)


class Client:
    """One connection of a tenant's, kept open."""

    def __init__(self, server: Server, tenant: TenantWithKey) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        self._headers = {**tenant.headers, "content-type": "application/json"}
        self._created = 0

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def create(self, count: int) -> None:
        """Send so many new alerts, in as few requests as the service takes."""
        numbers = range(self._created, self._created + count)
        self._created += count
        items = [{**alert_input(number), "dedupKey": f"alert-{number}"} for number in numbers]
        for start in range(0, count, BULK):
            self._post("/api/v1/critical-alerts/bulk", compact({"alerts": items[start : start + BULK]}))

    def ask(self, ids: Sequence[str]) -> tuple[float, int]:
        """Return how many seconds it took until the predictions of alerts were there, and how many there were."""
        parts = [ids[start : start + PAGE] for start in range(0, len(ids), PAGE)]
        names = [f"p{place}" for place in range(len(parts))]
        heads = ", ".join(f"${name}: [ID!]!" for name in names)
        fields = " ".join(f"{name}: nodes(ids: ${name}) {{ ...said }}" for name in names)
        document = f"query({heads}) {{ {fields} }} fragment said on CriticalAlert {{ prediction {{ {_FIELDS} }} }}"
        body = compact({"query": document, "variables": dict(zip(names, parts, strict=True))})
        began = time.perf_counter()
        answer = self._post("/graphql", body)
        took = time.perf_counter() - began
        told = json.loads(answer)
        if "errors" in told:
            raise SystemExit(f"the service refuses the question: {told['errors'][0]}")
        had = sum(
            node is not None and node["prediction"] is not None for name in names for node in told["data"][name]
        )
        return took, had

    def _post(self, path: str, body: str) -> bytes:
        self._connection.request("POST", path, body, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{path} answered {answer.status}: {content[:500]!r}")
        return content


def quantile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank quantile; 0 where there is nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
