"""Creates and repeats: alertgraph beside one transaction per request, and beside asyncpg alone."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from alertgraph.storage.migrate import dsn_of, owner_settings
from bench import report
from bench.alone import SETUP, AloneJob
from bench.installation import (
    Installation,
    Measured,
    Server,
    TenantWithKey,
    Watch,
    alertgraph_server,
    bench_server,
    measure,
    run_module,
)
from bench.load import Job, Load, Target
from bench.words import compact, keyed_input, prometheus_alert

TENANT_COUNT = 20
BATCH = 100
SINGLE_CONNECTIONS = 64
BATCH_CONNECTIONS = 16
# The flushes that alertgraph has under way at once, and so the writers that asyncpg is given.
LANE_COUNT = 4
VARIANT_COUNT = 20
# More open alerts of one tenant than this process remembers would be another measurement.
TENANT_ALERT_COUNT_MAX = 18_000
REPEATED_KEY_COUNT = 20
# So that hardly a repeat reaches the next power of two, which is worth an entry in the log.
REPEATED_BEFORE = 100_000
SETTLE_SECONDS = 30.0

CREATE_ALERT = (
    "mutation($input: CreateAlertInput!) "
    "{ createAlert(input: $input) { created alert { id version } errors { code message } } }"
)
CREATE_ALERTS = (
    "mutation($input: [CreateAlertInput!]!) "
    "{ createAlerts(input: $input) { createdCount foldedCount errors { code message path } } }"
)


@dataclass(frozen=True)
class Scale:
    """How long it may take.

    Attributes:
        seconds: Of one measurement.
    """

    rounds: int
    seconds: float


QUICK = Scale(rounds=1, seconds=0.7)
FULL = Scale(rounds=4, seconds=2.0)


@dataclass(frozen=True)
class Case:
    """One thing measured.

    Attributes:
        name: In tables and files.
        group: What it is compared within.
        server: "alertgraph", "one_transaction" or "alone".
        tenants: 20 or 1.
        items: Alerts of one request.
        targets: Makes the requests from tenants.
        repeats: Whether the alerts are open already.
    """

    name: str
    group: str
    server: str
    tenants: int
    items: int
    connections: int
    expect: str = ""
    targets: Callable[[Sequence[TenantWithKey], str], list[Target]] | None = None
    repeats: bool = False


@dataclass
class Figures:
    """What the rounds of a case gave."""

    alerts_per_second: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    server_cpu_us: list[float] = field(default_factory=list)
    postgres_cpu_us: list[float] = field(default_factory=list)
    client_cpu_us: list[float] = field(default_factory=list)
    others_share: list[float] = field(default_factory=list)

    def add(self, measured: Measured, items: int) -> None:
        """Take one round."""
        load = measured.load
        self.alerts_per_second.append(load.per_second * items)
        self.p50_ms.append(load.p50_ms)
        self.p99_ms.append(load.p99_ms)
        self.server_cpu_us.append(measured.server_cpu_us / items)
        self.postgres_cpu_us.append(measured.postgres_cpu_us / items)
        self.others_share.append(measured.others_share)
        self.client_cpu_us.append(load.client_cpu_s * 1e6 / max(1, load.count) / items)

    def told(self) -> dict[str, dict[str, float]]:
        """Return medians and spreads."""
        return {name: report.spread(values) for name, values in asdict(self).items()}


# ------------------------------------------------------------------------------------------ requests


def _rest(tenants: Sequence[TenantWithKey], prefix: str) -> list[Target]:
    return [
        Target(
            "/api/v1/critical-alerts",
            compact(keyed_input(n, prefix)),
            1,
            headers=tenants[n % len(tenants)].headers,
        )
        for n in range(VARIANT_COUNT)
    ]


def _graphql(tenants: Sequence[TenantWithKey], prefix: str) -> list[Target]:
    return [
        Target(
            "/graphql",
            compact({"query": CREATE_ALERT, "variables": {"input": keyed_input(n, prefix)}}),
            1,
            headers=tenants[n % len(tenants)].headers,
        )
        for n in range(VARIANT_COUNT)
    ]


def _bulk(
    path: str, body: Callable[[list[Any]], object], item: Callable[[int, str], Any]
) -> Callable[..., list[Target]]:
    def targets(tenants: Sequence[TenantWithKey], prefix: str) -> list[Target]:
        items = [item(n, prefix) for n in range(BATCH)]
        return [Target(path, compact(body(items)), BATCH, headers=tenant.headers) for tenant in tenants]

    return targets


_rest_bulk = _bulk("/api/v1/critical-alerts/bulk", lambda items: {"alerts": items}, keyed_input)
_graphql_bulk = _bulk(
    "/graphql", lambda items: {"query": CREATE_ALERTS, "variables": {"input": items}}, keyed_input
)
_alertmanager = _bulk("/api/v2/alerts", lambda items: items, prometheus_alert)


def cases() -> list[Case]:
    """Return everything that is measured, in the order of the table."""
    found: list[Case] = []
    for tenants in (TENANT_COUNT, 1):
        group = f"single creates, {_of(tenants)}"
        found += [
            Case("alertgraph, REST", group, "alertgraph", tenants, 1, SINGLE_CONNECTIONS, "", _rest),
            Case(
                "alertgraph, GraphQL",
                group,
                "alertgraph",
                tenants,
                1,
                SINGLE_CONNECTIONS,
                '"created":true',
                _graphql,
            ),
            Case(
                "one transaction per request, REST",
                group,
                "one_transaction",
                tenants,
                1,
                SINGLE_CONNECTIONS,
                "",
                _rest,
            ),
            Case("asyncpg alone, single rows", group, "alone", tenants, 1, SINGLE_CONNECTIONS),
        ]
    for tenants in (TENANT_COUNT, 1):
        group = f"batches of {BATCH}, {_of(tenants)}"
        whole = f'"createdCount":{BATCH}'
        writers = min(LANE_COUNT, tenants)
        found += [
            Case(
                "alertgraph, REST bulk", group, "alertgraph", tenants, BATCH, BATCH_CONNECTIONS, whole, _rest_bulk
            ),
            Case(
                "alertgraph, GraphQL createAlerts",
                group,
                "alertgraph",
                tenants,
                BATCH,
                BATCH_CONNECTIONS,
                whole,
                _graphql_bulk,
            ),
            Case(
                "alertgraph, Alertmanager API",
                group,
                "alertgraph",
                tenants,
                BATCH,
                BATCH_CONNECTIONS,
                "",
                _alertmanager,
            ),
            Case(f"asyncpg alone, {_writers(writers)}", group, "alone", tenants, BATCH, writers),
        ]
    group = f"unchanged repeats, {_of(TENANT_COUNT)}"
    found += [
        Case(
            "alertgraph, REST, single",
            group,
            "alertgraph",
            TENANT_COUNT,
            1,
            SINGLE_CONNECTIONS,
            "",
            _rest,
            repeats=True,
        ),
        Case(
            f"alertgraph, Alertmanager API, {BATCH} at once",
            group,
            "alertgraph",
            TENANT_COUNT,
            BATCH,
            BATCH_CONNECTIONS,
            "",
            _alertmanager,
            repeats=True,
        ),
        Case(
            "one transaction per request, single",
            group,
            "one_transaction",
            TENANT_COUNT,
            1,
            SINGLE_CONNECTIONS,
            "",
            _rest,
            repeats=True,
        ),
    ]
    return found


def _of(tenants: int) -> str:
    return "1 tenant" if tenants == 1 else f"{tenants} tenants"


def _writers(count: int) -> str:
    return "1 writer" if count == 1 else f"{count} writers"


# ------------------------------------------------------------------------------------------ measuring


class Writes:
    """The measurement: servers over one database, cases in rounds, each round in an order of its own."""

    def __init__(self, installation: Installation, directory: Path, scale: Scale, seed: int) -> None:
        self._installation = installation
        self._directory = directory
        self._scale = scale
        self._random = random.Random(seed)
        self._servers: dict[str, Server] = {}
        self._figures: dict[Case, Figures] = {case: Figures() for case in cases()}
        self._number = 0
        self._half: list[dict[str, float]] = []

    def run(self) -> None:
        """Measure every case in every round, and then the latency at half of peak."""
        asyncio.run(_execute(self._installation.url, SETUP))
        self._servers = {
            "alertgraph": alertgraph_server(self._installation, self._directory),
            "one_transaction": bench_server(self._installation, "one_transaction", self._directory),
        }
        try:
            for number in range(self._scale.rounds):
                order = cases()
                self._random.shuffle(order)
                print(f"  writes: round {number + 1} of {self._scale.rounds}", flush=True)
                for case in order:
                    self._figures[case].add(self._measured(case), case.items)
                    self._settle()
            for _ in range(self._scale.rounds):
                self._half.append(self._at_half_of_peak())
                self._settle()
        finally:
            for server in self._servers.values():
                server.stop()

    def _measured(self, case: Case) -> Measured:
        self._number += 1
        if case.server == "alone":
            return self._alone(case)
        tenants = self._installation.tenants(f"w{self._number}", case.tenants)
        assert case.targets is not None, "every server is asked something"
        prefix = f"w{self._number}"
        targets = case.targets(tenants, prefix)
        server = self._servers[case.server]
        modulo = None
        if case.repeats:
            modulo = REPEATED_KEY_COUNT if case.items == 1 else BATCH
            self._make_old(tenants, targets, case, modulo)
        count_max = self._count_max(case)
        job = Job(
            server.port, case.connections, targets, self._scale.seconds, count_max, None, modulo, case.expect
        )
        return measure(job, server, self._installation)

    def _count_max(self, case: Case) -> int:
        return 1_000_000 if case.repeats else TENANT_ALERT_COUNT_MAX * case.tenants // case.items

    def _make_old(self, tenants: Sequence[TenantWithKey], targets: list[Target], case: Case, modulo: int) -> None:
        """Make the alerts that will be repeated, as if they had fired for weeks."""
        server = self._servers["alertgraph"]
        # Each connection goes through all numbers, each time at another tenant: so every tenant gets each of them.
        once = modulo if case.items == 1 else 1
        measure(Job(server.port, len(targets), targets, 1, 0, None, modulo, "", once), server, self._installation)
        statement = "UPDATE alert_open SET occurrence_count = $1 WHERE tenant_id = ANY ($2)"
        ids = [tenant.id for tenant in tenants]
        asyncio.run(_execute(self._installation.url, statement, REPEATED_BEFORE, ids, as_owner=True))

    def _alone(self, case: Case) -> Measured:
        seconds = self._scale.seconds
        rows = int(seconds * (60_000 if case.items > 1 else 12_000))
        job = AloneJob(
            self._installation.url, case.connections, case.tenants, case.items, seconds, rows // case.items
        )
        watch = Watch(self._installation, None)
        return watch.measured(Load(**json.loads(run_module("bench.alone", job.as_json(), seconds + 90))))

    def _at_half_of_peak(self) -> dict[str, float]:
        case = next(case for case in self._figures if case.name == "alertgraph, REST")
        rate = report.median(self._figures[case].alerts_per_second) / 2
        self._number += 1
        tenants = self._installation.tenants(f"w{self._number}", TENANT_COUNT)
        targets = _rest(tenants, f"w{self._number}")
        server = self._servers["alertgraph"]
        seconds = self._scale.seconds * 2
        load = measure(
            Job(server.port, SINGLE_CONNECTIONS, targets, seconds, rate=rate), server, self._installation
        ).load
        return {"rate": rate, "p50_ms": load.p50_ms, "p99_ms": load.p99_ms, "max_ms": load.max_ms}

    def _settle(self) -> None:
        """Let the search index catch up, so that the next case does not pay for this one."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            if not asyncio.run(_behind(self._installation.url)):
                return
            time.sleep(0.1)

    # --------------------------------------------------------------------------------------- telling

    def told(self) -> dict[str, Any]:
        """Return everything, for the file."""
        told = []
        for case, figures in self._figures.items():
            ratios = {
                name: report.ratio_of(figures.alerts_per_second, other)
                for name, other in self._others(case).items()
            }
            told.append({"group": case.group, "name": case.name, "ratios": ratios, **figures.told()})
        half = {name: report.spread([each[name] for each in self._half]) for name in self._half[0]}
        return {"cases": told, "single creates over REST at half of peak, 20 tenants": half}

    def table(self) -> str:
        """Return the table."""
        head = (
            "per second, median (lowest–highest)",
            "× one tx/request",
            "× asyncpg",
            "alerts/s",
            "p50 ms",
            "p99 ms",
            "CPU µs server",
            "CPU µs PostgreSQL",
        )
        rows: list[list[str]] = []
        group = ""
        for case, figures in self._figures.items():
            if case.group != group:
                group = case.group
                rows.append([group.upper(), *[""] * 7])
            others = self._others(case)
            ratios = [
                f"{report.ratio_of(figures.alerts_per_second, others[name])['median']:.2f}"
                if name in others
                else ""
                for name in ("one transaction per request", "asyncpg alone")
            ]
            rows.append(
                [
                    f"  {case.name}",
                    *ratios,
                    report.shown(report.spread(figures.alerts_per_second)),
                    f"{report.median(figures.p50_ms):.1f}",
                    f"{report.median(figures.p99_ms):.1f}",
                    f"{report.median(figures.server_cpu_us):.0f}",
                    f"{report.median(figures.postgres_cpu_us):.0f}",
                ]
            )
        half = self.told()["single creates over REST at half of peak, 20 tenants"]
        notes = (
            "All on the same two cores, load generator and PostgreSQL included; p50 and p99 are of requests.",
            f"At half of peak ({half['rate']['median']:,.0f} single creates a second over REST, open loop): "
            f"p50 {report.shown(half['p50_ms'])} ms, p99 {report.shown(half['p99_ms'])} ms.",
        )
        return report.table("Creates and repeats, durable", notes, head, rows)

    def _others(self, case: Case) -> Mapping[str, list[float]]:
        """Return what a case of alertgraph's is compared with."""
        if case.server != "alertgraph":
            return {}
        found: dict[str, list[float]] = {}
        for other, figures in self._figures.items():
            same_tenants = other.tenants == case.tenants
            if other.server == "one_transaction" and same_tenants and other.repeats == case.repeats:
                found["one transaction per request"] = figures.alerts_per_second
            if other.server == "one_transaction" and same_tenants and not other.repeats and case.repeats:
                found["one transaction per new alert"] = figures.alerts_per_second
            if other.group == case.group and other.server == "alone":
                found["asyncpg alone"] = figures.alerts_per_second
        return found


async def _execute(url: str, statement: str, *parameters: object, as_owner: bool = False) -> None:
    connection = await asyncpg.connect(dsn_of(url), server_settings=owner_settings() if as_owner else None)
    try:
        await connection.execute(statement, *parameters)
    finally:
        await connection.close()


async def _behind(url: str) -> bool:
    connection = await asyncpg.connect(
        dsn_of(url), server_settings={"role": "ag_api", "search_path": "alertgraph"}
    )
    try:
        return bool(await connection.fetchval("SELECT count(*) FROM tenants_to_index(1)"))
    finally:
        await connection.close()
