"""Creates and repeats: alertgraph beside one transaction per request, asyncpg alone, Alertmanager and Alerta."""

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
from bench import plots, report
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
from bench.peers.absent import AbsentError
from bench.peers.alerta import peer as alerta
from bench.peers.alerta.words import alerta_alert, alerta_webhook_alert
from bench.peers.alertmanager import peer as alertmanager
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
# More requests than come in one measurement.
REPEATS_MAX = 1_000_000
# So that hardly a repeat reaches the next power of two, which is worth an entry in the log.
REPEATED_BEFORE = 100_000
SETTLE_SECONDS = 30.0
# Over one database and of one form: the alerts that repeat are made for both.
_OURS = ("alertgraph", "one_transaction")
_NAMES = {"alone": "asyncpg alone", "alertmanager": "Alertmanager", "alerta": "Alerta"}
_VERSIONS = {"alertmanager": alertmanager.version, "alerta": alerta.version}
_HALF = "single creates over REST at half of peak, 20 tenants"

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


QUICK = Scale(rounds=1, seconds=0.5)
FULL = Scale(rounds=3, seconds=2.0)


@dataclass(frozen=True)
class Case:
    """One thing measured.

    Attributes:
        name: In tables and files.
        group: What it is compared within.
        server: "alertgraph", "one_transaction", "alone", "alertmanager" or "alerta".
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
    client_share: list[float] = field(default_factory=list)
    others_share: list[float] = field(default_factory=list)

    def add(self, measured: Measured, items: int) -> None:
        """Take one round."""
        load = measured.load
        self.client_share.append(measured.client_share)
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


def _single(path: str, body: Callable[[int, str], object], *, keys: bool = True) -> Callable[..., list[Target]]:
    def targets(tenants: Sequence[TenantWithKey], prefix: str) -> list[Target]:
        return [
            Target(
                path,
                compact(body(n, prefix)),
                1,
                headers=tenants[n % len(tenants)].headers if keys else {},
            )
            for n in range(VARIANT_COUNT)
        ]

    return targets


def _bulk(
    path: str, body: Callable[[list[Any]], object], item: Callable[[int, str], Any], *, keys: bool = True
) -> Callable[..., list[Target]]:
    def targets(tenants: Sequence[TenantWithKey], prefix: str) -> list[Target]:
        items = [item(n, prefix) for n in range(BATCH)]
        return [
            Target(path, compact(body(items)), BATCH, headers=tenant.headers if keys else {}) for tenant in tenants
        ]

    return targets


_rest = _single("/api/v1/critical-alerts", keyed_input)
_graphql = _single("/graphql", lambda n, p: {"query": CREATE_ALERT, "variables": {"input": keyed_input(n, p)}})
_alertmanager_one = _single("/api/v2/alerts", lambda n, p: [prometheus_alert(n, p)])
# Neither knows keys as they are set up here, and Alerta refuses one that it does not know.
_alerta_one = _single("/alert", alerta_alert, keys=False)
_rest_bulk = _bulk("/api/v1/critical-alerts/bulk", lambda items: {"alerts": items}, keyed_input)
_graphql_bulk = _bulk(
    "/graphql", lambda items: {"query": CREATE_ALERTS, "variables": {"input": items}}, keyed_input
)
_alertmanager = _bulk("/api/v2/alerts", lambda items: items, prometheus_alert)
_alerta_webhook = _bulk("/webhooks/prometheus", lambda items: {"alerts": items}, alerta_webhook_alert, keys=False)

ALERTMANAGER = "Debian's Alertmanager, in memory"
ALERTA = "Alerta"


def cases() -> list[Case]:
    """Return everything that is measured, in the order of the table."""
    return [
        *_single_creates(TENANT_COUNT),
        *_single_creates(1),
        *_batches(TENANT_COUNT),
        *_batches(1),
        *_repeats(),
    ]


def _single_creates(tenants: int) -> list[Case]:
    group = f"single creates, {_of(tenants)}"

    def case(name: str, server: str, targets: Callable[..., list[Target]] | None, expect: str = "") -> Case:
        return Case(name, group, server, tenants, 1, SINGLE_CONNECTIONS, expect, targets)

    found = [
        case("alertgraph, REST", "alertgraph", _rest),
        case("alertgraph, GraphQL", "alertgraph", _graphql, '"created":true'),
        case("one transaction per request, REST", "one_transaction", _rest),
        case("asyncpg alone, single rows", "alone", None),
    ]
    if tenants == TENANT_COUNT:
        # They know no tenants: once is enough.
        found += [
            case("alertgraph, Alertmanager API, one at a time", "alertgraph", _alertmanager_one),
            case(f"{ALERTMANAGER}, one at a time", "alertmanager", _alertmanager_one),
            case(f"{ALERTA}, POST /alert", "alerta", _alerta_one, '"status": "ok"'),
        ]
    return found


def _batches(tenants: int) -> list[Case]:
    group = f"batches of {BATCH}, {_of(tenants)}"
    whole = f'"createdCount":{BATCH}'
    writers = min(LANE_COUNT, tenants)

    def case(
        name: str,
        server: str,
        targets: Callable[..., list[Target]] | None,
        expect: str = "",
        connections: int = BATCH_CONNECTIONS,
    ) -> Case:
        return Case(name, group, server, tenants, BATCH, connections, expect, targets)

    found = [
        case("alertgraph, REST bulk", "alertgraph", _rest_bulk, whole),
        case("alertgraph, GraphQL createAlerts", "alertgraph", _graphql_bulk, whole),
        case("alertgraph, Alertmanager API", "alertgraph", _alertmanager),
        case(f"asyncpg alone, {_writers(writers)}", "alone", None, connections=writers),
    ]
    if tenants == TENANT_COUNT:
        found += [
            case(ALERTMANAGER, "alertmanager", _alertmanager),
            # One for each of its processes: more only wait, for half a second a batch.
            case(
                f"{ALERTA}, Prometheus webhook",
                "alerta",
                _alerta_webhook,
                '"status": "ok"',
                connections=alerta.WORKER_COUNT,
            ),
        ]
    return found


def _repeats() -> list[Case]:
    group = f"unchanged repeats, {_of(TENANT_COUNT)}"
    single, many = (1, SINGLE_CONNECTIONS), (BATCH, BATCH_CONNECTIONS)

    def case(name: str, server: str, size: tuple[int, int], targets: Callable[..., list[Target]]) -> Case:
        return Case(name, group, server, TENANT_COUNT, *size, "", targets, repeats=True)

    return [
        case("alertgraph, REST, single", "alertgraph", single, _rest),
        case(f"alertgraph, Alertmanager API, {BATCH} at once", "alertgraph", many, _alertmanager),
        case("one transaction per request, single", "one_transaction", single, _rest),
        case(f"{ALERTMANAGER}, {BATCH} at once", "alertmanager", many, _alertmanager),
    ]


def _of(tenants: int) -> str:
    return "1 tenant" if tenants == 1 else f"{tenants} tenants"


def _writers(count: int) -> str:
    return "1 writer" if count == 1 else f"{count} writers"


# ------------------------------------------------------------------------------------------ measuring


def make_old(
    installation: Installation,
    server: Server,
    tenants: Sequence[TenantWithKey],
    targets: list[Target],
    modulo: int,
    items: int,
) -> None:
    """Make the alerts that will be repeated, as if they had fired for weeks."""
    # Each connection goes through all numbers, each time at another tenant: so every tenant gets each of them.
    once = modulo if items == 1 else 1
    measure(Job(server.port, len(targets), targets, 1, 0, None, modulo, "", once), server, installation)
    statement = "UPDATE alert_open SET occurrence_count = $1 WHERE tenant_id = ANY ($2)"
    ids = [tenant.id for tenant in tenants]
    asyncio.run(_execute(installation.url, statement, REPEATED_BEFORE, ids, as_owner=True))


class Writes:
    """The measurement: servers over one database, cases in rounds, each round in an order of its own."""

    def __init__(self, installation: Installation, directory: Path, scale: Scale, seed: int) -> None:
        self._installation = installation
        self._directory = directory
        self._scale = scale
        self._random = random.Random(seed)
        self._servers: dict[str, Server] = {}
        self._absent: dict[str, str] = {}
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
            self._start_peers()
            for number in range(self._scale.rounds):
                order = [case for case in cases() if case.server not in self._absent]
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

    def _start_peers(self) -> None:
        starts: dict[str, Callable[[], Server]] = {
            "alertmanager": lambda: alertmanager.start(self._directory),
            "alerta": lambda: alerta.start(self._installation, self._directory),
        }
        for name, start in starts.items():
            try:
                self._servers[name] = start()
            except AbsentError as error:
                self._absent[name] = str(error)
                print(f"  writes: no {_NAMES[name]}: {error}", flush=True)

    def _renew_alertmanager(self) -> None:
        """Begin with an empty one: what it has in memory is what it has at all."""
        self._servers.pop("alertmanager").stop()
        self._servers["alertmanager"] = alertmanager.start(self._directory)

    def _measured(self, case: Case) -> Measured:
        self._number += 1
        if case.server == "alone":
            return self._alone(case)
        if case.server == "alertmanager":
            self._renew_alertmanager()
        tenants = self._installation.tenants(f"w{self._number}", case.tenants)
        assert case.targets is not None, "every server is asked something"
        prefix = f"w{self._number}"
        targets = case.targets(tenants, prefix)
        server = self._servers[case.server]
        modulo = None
        if case.repeats:
            modulo = REPEATED_KEY_COUNT if case.items == 1 else BATCH
            if case.server in _OURS:
                make_old(self._installation, self._servers["alertgraph"], tenants, targets, modulo, case.items)
        count_max = self._count_max(case)
        job = Job(
            server.port, case.connections, targets, self._scale.seconds, count_max, None, modulo, case.expect
        )
        return measure(job, server, self._installation)

    def _count_max(self, case: Case) -> int:
        return REPEATS_MAX if case.repeats else TENANT_ALERT_COUNT_MAX * case.tenants // case.items

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
        told: list[dict[str, Any]] = []
        for case, figures in self._figures.items():
            if case.server in self._absent:
                told.append({"group": case.group, "name": case.name, "absent": self._absent[case.server]})
                continue
            ratios = {
                name: report.ratio_of(figures.alerts_per_second, other)
                for name, other in self._others(case).items()
            }
            told.append({"group": case.group, "name": case.name, "ratios": ratios, **figures.told()})
        return {
            "peers": {name: version() for name, version in _VERSIONS.items() if name not in self._absent},
            "absent": self._absent,
            "cases": told,
            _HALF: self._half_told(),
            "plot": plots.told("Creates and repeats, durable", self._panels()),
        }

    def _half_told(self) -> dict[str, dict[str, float]]:
        return {name: report.spread([each[name] for each in self._half]) for name in self._half[0]}

    def _panels(self) -> list[plots.Panel]:
        groups: dict[str, list[plots.Bar]] = {}
        for case, figures in self._figures.items():
            absent = self._absent.get(case.server, "")
            bar = plots.Bar(case.name, None if absent else report.spread(figures.alerts_per_second), absent)
            groups.setdefault(case.group, []).append(bar)
        return [plots.Panel(group, "alerts a second", bars) for group, bars in groups.items()]

    def table(self) -> str:
        """Return the table."""
        head = (
            "per second, median (lowest–highest)",
            "× one tx/request",
            "× asyncpg",
            "× Alertmanager",
            "× Alerta",
            "alerts/s",
            "p50 ms",
            "p99 ms",
            "CPU µs server",
            "CPU µs PostgreSQL",
            "client",
        )
        rows: list[list[str]] = []
        group = ""
        for case, figures in self._figures.items():
            if case.group != group:
                group = case.group
                rows.append([group.upper(), *[""] * (len(head) - 1)])
            if case.server in self._absent:
                rows.append([f"  {case.name}: absent, {self._absent[case.server]}"[:110], *[""] * (len(head) - 1)])
                continue
            others = self._others(case)
            ratios = [
                f"{report.ratio_of(figures.alerts_per_second, others[name])['median']:.2f}"
                if name in others
                else ""
                for name in ("one transaction per request", "asyncpg alone", "Alertmanager", "Alerta")
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
                    "" if case.server == "alone" else report.client(figures.client_share),
                ]
            )
        half = self._half_told()
        notes = (
            "All on the same two cores, load generator and PostgreSQL included; p50 and p99 are of requests.",
            "client: how much of one core the load generator took; from 80 % on it may be what limits a figure.",
            f"At half of peak ({half['rate']['median']:,.0f} single creates a second over REST, open loop): "
            f"p50 {report.shown(half['p50_ms'])} ms, p99 {report.shown(half['p99_ms'])} ms.",
            "Alertmanager keeps alerts in memory only, Alerta has five processes; neither asks for keys here.",
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
            if other.group == case.group and other.server in _NAMES and other.server not in self._absent:
                found[_NAMES[other.server]] = figures.alerts_per_second
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
