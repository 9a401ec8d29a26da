"""Queries over a year of alerts: alertgraph beside a hand-written endpoint and beside stock Strawberry."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx2

from alertgraph.core.ids import NodeKind, decode_alert_id, encode_id
from bench import report
from bench.fill import MONTHS, Filled
from bench.installation import Installation, Measured, Server, alertgraph_server, bench_server, measure
from bench.load import Job, Target
from bench.words import alert_input, compact

SERVERS = ("alertgraph", "handwritten", "stock_queries")
SHOWN = {"alertgraph": "alertgraph", "handwritten": "hand-written endpoint", "stock_queries": "stock Strawberry"}
BUSY_CONNECTIONS = 16
REQUEST_COUNT = 100

FIELDS = "id title severity status source monitoredService triggeredAt lastSeenAt occurrenceCount escalationLevel"
PAGE = f"nodes {{ {FIELDS} }} pageInfo {{ hasNextPage endCursor }}"
LIST = (
    f"query($filter: AlertFilter, $after: String) "
    f"{{ alerts(first: 100, filter: $filter, after: $after) {{ {PAGE} }} }}"
)
LIST_BEFORE = (
    "query($before: DateTime) { alerts(first: 1, filter: {triggeredBefore: $before}) "
    "{ nodes { id triggeredAt } pageInfo { endCursor } } }"
)
TIMELINE = (
    "query($id: ID!) { alert(id: $id) { id events(first: 50) "
    "{ nodes { number kind occurredAt summary actor { kind name } } } } }"
)


@dataclass(frozen=True)
class Scale:
    """How long it may take.

    Attributes:
        seconds: Of one measurement; there are two for each query and server.
    """

    rounds: int
    seconds: float


QUICK = Scale(rounds=1, seconds=0.3)
FULL = Scale(rounds=3, seconds=1.5)


@dataclass(frozen=True)
class Query:
    """One query, as it is put to each of the servers.

    Attributes:
        graphql: Variables of the operation, one for each of several different requests.
        by_hand: Paths for the hand-written endpoint, for the same contents.
    """

    name: str
    operation: str
    graphql: Sequence[dict[str, Any]]
    by_hand: Sequence[str]


@dataclass
class Figures:
    """What the rounds gave for one query on one server: alone, and under load."""

    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)
    busy_p99_ms: list[float] = field(default_factory=list)
    server_cpu_us: list[float] = field(default_factory=list)
    postgres_cpu_us: list[float] = field(default_factory=list)
    answer_bytes: list[float] = field(default_factory=list)
    others_share: list[float] = field(default_factory=list)

    def add(self, alone: Measured, busy: Measured) -> None:
        """Take one round."""
        self.p50_ms.append(alone.load.p50_ms)
        self.p99_ms.append(alone.load.p99_ms)
        self.per_second.append(busy.load.per_second)
        self.busy_p99_ms.append(busy.load.p99_ms)
        self.server_cpu_us.append(busy.server_cpu_us)
        self.postgres_cpu_us.append(busy.postgres_cpu_us)
        self.others_share.append(busy.others_share)
        self.answer_bytes.append(float(busy.load.answer_bytes))


class Reads:
    """The measurement: three servers over one database, queries in rounds, each round in an order of its own."""

    def __init__(
        self, installation: Installation, directory: Path, filled: Filled, scale: Scale, seed: int
    ) -> None:
        self._installation = installation
        self._directory = directory
        self._filled = filled
        self._scale = scale
        self._random = random.Random(seed)
        self._servers: dict[str, Server] = {}
        self._queries: list[Query] = []
        self._figures: dict[tuple[str, str], Figures] = {}
        self._wrk: dict[str, float] = {}

    def run(self) -> None:
        """Measure every query on every server in every round."""
        self._servers["alertgraph"] = alertgraph_server(self._installation, self._directory)
        try:
            for name in SERVERS[1:]:
                self._servers[name] = bench_server(self._installation, name, self._directory)
            self._queries = self._made_queries()
            self._check_same()
            self._figures = {(query.name, server): Figures() for query in self._queries for server in SERVERS}
            for number in range(self._scale.rounds):
                order = [(query, server) for query in self._queries for server in SERVERS]
                self._random.shuffle(order)
                print(f"  reads: round {number + 1} of {self._scale.rounds}", flush=True)
                for query, server in order:
                    self._figures[query.name, server].add(
                        self._measured(query, server, 1), self._measured(query, server, BUSY_CONNECTIONS)
                    )
            self._wrk = self._cross_check()
        finally:
            for running in self._servers.values():
                running.stop()

    # -------------------------------------------------------------------------------------- requests

    def _targets(self, query: Query, server: str) -> list[Target]:
        headers = self._filled.tenants[0].headers
        if server == "handwritten":
            return [Target(path, method="GET", headers=headers) for path in query.by_hand]
        bodies = [compact({"query": query.operation, "variables": variables}) for variables in query.graphql]
        return [Target("/graphql", body, headers=headers) for body in bodies]

    def _measured(self, query: Query, server: str, connections: int) -> Measured:
        expect = "" if server == "handwritten" else '{"data":{'
        running = self._servers[server]
        job = Job(
            running.port, connections, self._targets(query, server), self._scale.seconds, expect=expect, warm_up=3
        )
        return measure(job, running, self._installation)

    def _made_queries(self) -> list[Query]:
        dice = self._random
        told = [alert_input(dice.randrange(1200)) for _ in range(REQUEST_COUNT)]
        hosts = [said["labels"]["host"] for said in told]
        # A word of the symptom, the service, and the number of the host.
        searches = [
            f"{said['title'].split()[0]} {host.replace('-', ' ')}" for said, host in zip(told, hosts, strict=True)
        ]
        places = self._places()
        ids = [encode_id(NodeKind.ALERT, alert_id) for alert_id in self._filled.logged[:REQUEST_COUNT]]
        return [
            Query("default list", LIST, [{}], ["/alerts"]),
            Query(
                "open, CRITICAL or HIGH",
                LIST,
                [{"filter": {"status": ["TRIGGERED"], "severity": ["CRITICAL", "HIGH"]}}],
                ["/alerts?status=TRIGGERED&severity=CRITICAL,HIGH"],
            ),
            Query(
                "search for three words",
                LIST,
                [{"filter": {"search": words}} for words in searches],
                [f"/alerts?search={quote(words)}" for words in searches],
            ),
            Query(
                "label matcher",
                LIST,
                [{"filter": {"matchers": [{"label": "host", "value": host}]}} for host in hosts],
                [f"/alerts?label={quote(f'host={host}')}" for host in hosts],
            ),
            Query(
                "page at a random cursor",
                LIST,
                [{"after": cursor} for cursor, _, _ in places],
                [f"/alerts?{urlencode({'after': f'{at}_{key}'})}" for _, at, key in places],
            ),
            Query(
                "timeline of one alert",
                TIMELINE,
                [{"id": id_} for id_ in ids],
                [f"/alerts/{id_}/events" for id_ in ids],
            ),
        ]

    def _places(self) -> list[tuple[str, str, str]]:
        """Return places all over the year in the default list: as alertgraph's cursors, and as time and id."""
        found: list[tuple[str, str, str]] = []
        for _ in range(REQUEST_COUNT):
            before = datetime.now(UTC) - timedelta(days=self._random.uniform(1, 30 * MONTHS - 20))
            alerts = self._ask("alertgraph", LIST_BEFORE, {"before": before.isoformat()})["alerts"]
            node = alerts["nodes"][0]
            at = datetime.fromisoformat(node["triggeredAt"].replace("Z", "+00:00")).isoformat()
            found.append((alerts["pageInfo"]["endCursor"], at, str(decode_alert_id(node["id"]))))
        return found

    def _ask(self, server: str, operation: str, variables: dict[str, Any]) -> Any:
        url = f"http://127.0.0.1:{self._servers[server].port}/graphql"
        body = {"query": operation, "variables": variables}
        answer = httpx2.post(url, json=body, headers=self._filled.tenants[0].headers, timeout=30).json()
        if "errors" in answer:
            raise RuntimeError(f"{server} refused a query: {answer['errors'][:1]}")
        return answer["data"]

    def _check_same(self) -> None:
        """See to it that all three answer the same alerts, or the comparison says nothing."""
        for query in self._queries:
            url = f"http://127.0.0.1:{self._servers['handwritten'].port}{query.by_hand[-1]}"
            by_hand = httpx2.get(url, headers=self._filled.tenants[0].headers, timeout=30).json()
            for server in ("alertgraph", "stock_queries"):
                data = self._ask(server, query.operation, query.graphql[-1])
                if query.operation is TIMELINE:
                    theirs, ours = by_hand["events"], data["alert"]["events"]["nodes"]
                    same = [e["number"] for e in theirs] == [e["number"] for e in ours]
                else:
                    theirs, ours = (
                        sorted(n["id"] for n in by_hand["nodes"]),
                        sorted(n["id"] for n in data["alerts"]["nodes"]),
                    )
                    same = theirs == ours
                if not (same and ours):
                    raise RuntimeError(
                        f"{query.name}: {server} and the hand-written endpoint differ, or found nothing"
                    )

    # -------------------------------------------------------------------------------------- cross-check

    def _cross_check(self) -> dict[str, float]:
        """Return the rate of the default list as `wrk` sees it, where it is installed."""
        program = shutil.which("wrk")
        if program is None:
            return {}
        found: dict[str, float] = {}
        for name, server in self._servers.items():
            target = self._targets(self._queries[0], name)[0]
            lines = [f'wrk.method = "{target.method}"', f"wrk.body = {json.dumps(target.body)}"]
            lines += [f'wrk.headers["{key}"] = "{value}"' for key, value in target.headers.items()]
            lines.append('wrk.headers["content-type"] = "application/json"')
            with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
                script.write("\n".join(lines))
                script.flush()
                seconds = max(1, round(self._scale.seconds))
                url = f"http://127.0.0.1:{server.port}{target.path}"
                command = [program, "-t1", f"-c{BUSY_CONNECTIONS}", f"-d{seconds}s", "-s", script.name, url]
                said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
            match = re.search(r"Requests/sec:\s+([\d.]+)", said)
            if match and "Non-2xx" not in said:
                found[name] = round(float(match[1]), 1)
        return found

    # -------------------------------------------------------------------------------------- telling

    def _ratios(self, query: Query, of: Callable[[Figures], list[float]]) -> dict[str, dict[str, float]]:
        ours = of(self._figures[query.name, "alertgraph"])
        return {SHOWN[name]: report.ratio_of(ours, of(self._figures[query.name, name])) for name in SERVERS[1:]}

    def told(self) -> dict[str, Any]:
        """Return everything, for the file."""
        cases = []
        for query in self._queries:
            servers = {
                SHOWN[name]: {
                    key: report.spread(values) for key, values in asdict(self._figures[query.name, name]).items()
                }
                for name in SERVERS
            }
            cases.append(
                {
                    "query": query.name,
                    "rate_ratios": self._ratios(query, lambda figures: figures.per_second),
                    **servers,
                }
            )
        return {"cases": cases, "wrk, default list, requests/s": self._wrk}

    def table(self) -> str:
        """Return the table."""
        head = (
            "alertgraph's rate is × theirs",
            "×",
            "req/s, 16 connections",
            "p99 ms",
            "p50 ms alone",
            "p99 ms alone",
            "CPU µs server",
            "CPU µs PostgreSQL",
            "kB",
        )
        rows: list[list[str]] = []
        for query in self._queries:
            rows.append([query.name.upper(), *[""] * 8])
            ratios = self._ratios(query, lambda figures: figures.per_second)
            for name in SERVERS:
                figures = self._figures[query.name, name]
                ratio = ratios.get(SHOWN[name])
                rows.append(
                    [
                        f"  {SHOWN[name]}",
                        f"{ratio['median']:.2f}" if ratio else "",
                        report.shown(report.spread(figures.per_second)),
                        f"{report.median(figures.busy_p99_ms):.1f}",
                        f"{report.median(figures.p50_ms):.2f}",
                        f"{report.median(figures.p99_ms):.2f}",
                        f"{report.median(figures.server_cpu_us):,.0f}",
                        f"{report.median(figures.postgres_cpu_us):,.0f}",
                        f"{report.median(figures.answer_bytes) / 1000:.1f}",
                    ]
                )
        wrk = ", ".join(f"{SHOWN[name]} {rate:,.0f}" for name, rate in self._wrk.items())
        notes = (
            f"{self._filled.alert_count:,} alerts over {MONTHS} months, {len(self._filled.tenants)} tenants; "
            "asked is the largest, which has 30 %.",
            "100 alerts of 10 fields, as a VIEWER, row-level security on; channels do not exist yet.",
            "All on the same two cores, load generator and PostgreSQL included.",
            *([f"wrk, default list, requests/s: {wrk}"] if wrk else []),
        )
        return report.table("Queries from PostgreSQL over HTTP, warm", notes, head, rows)
