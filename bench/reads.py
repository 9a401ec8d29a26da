"""Queries over a year of alerts: alertgraph beside one by hand, stock Strawberry, PostGraphile and Alerta."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

import httpx2

from alertgraph.core.alert import AlertStatus
from alertgraph.core.channel import ChannelKind
from alertgraph.core.ids import NodeKind, decode_alert_id, encode_id
from alertgraph.core.severity import Severity
from alertgraph.core.tenant import Role
from bench import plots, report
from bench.channels import give_channels
from bench.fill import MONTHS, Filled
from bench.installation import Installation, Measured, Server, alertgraph_server, bench_server, measure
from bench.load import Job, Target
from bench.peers.absent import AbsentError
from bench.peers.alerta import peer as alerta
from bench.peers.postgraphile import peer as postgraphile
from bench.words import alert_input, compact

PEERS = ("postgraphile", "alerta")
SERVERS = ("alertgraph", "handwritten", "stock_queries", *PEERS)
SHOWN = {
    "alertgraph": "alertgraph",
    "handwritten": "hand-written endpoint",
    "stock_queries": "stock Strawberry",
    "postgraphile": "PostGraphile 5",
    "alerta": "Alerta",
}
_VERSIONS = {"postgraphile": postgraphile.version, "alerta": alerta.version}
BUSY_CONNECTIONS = 16
REQUEST_COUNT = 100

FIELDS = "id title severity status source monitoredService triggeredAt lastSeenAt occurrenceCount escalationLevel"
CHANNEL = "escalationLevels { targets { ... on NotificationChannel { id name kind enabled } } }"


def _list_of(fields: str) -> str:
    return (
        f"query($filter: AlertFilter, $after: String) {{ alerts(first: 100, filter: $filter, after: $after) "
        f"{{ nodes {{ {fields} }} pageInfo {{ hasNextPage endCursor }} }} }}"
    )


LIST, LIST_WITH_CHANNELS = _list_of(FIELDS), _list_of(f"{FIELDS} {CHANNEL}")
LIST_BEFORE = (
    "query($before: DateTime) { alerts(first: 1, filter: {triggeredBefore: $before}) "
    "{ nodes { id triggeredAt } pageInfo { endCursor } } }"
)
TIMELINE = (
    "query($id: ID!) { alert(id: $id) { id events(first: 50) "
    "{ nodes { number kind occurredAt summary actor { kind name } } } } }"
)
_GRAPHILE_FIELDS = FIELDS.replace("id ", "rowId ", 1)


def _graphile_list(fields: str) -> str:
    return f"query {{ latestAlerts(first: 100) {{ nodes {{ {fields} }} pageInfo {{ hasNextPage endCursor }} }} }}"


GRAPHILE_LIST = _graphile_list(_GRAPHILE_FIELDS)
GRAPHILE_LIST_WITH_CHANNELS = _graphile_list(
    f"{_GRAPHILE_FIELDS} channelByChannelId {{ rowId name kind enabled }}"
)
# Newest first: what Alerta sorts by is backwards unless it has a minus sign.
_ALERTA_GRADED = "/alerts?status=open&severity=critical&severity=major&page-size=100&sort-by=createTime"


@dataclass(frozen=True)
class Scale:
    """How long it may take.

    Attributes:
        seconds: Of one measurement; there are two for each query and server.
    """

    rounds: int
    seconds: float


QUICK = Scale(rounds=1, seconds=0.3)
FULL = Scale(rounds=3, seconds=1.2)


@dataclass(frozen=True)
class Query:
    """One query, as it is put to each of the servers that can answer it.

    Attributes:
        asked: For each server several requests, for the same contents in the same order.
        in_order: Whether the order of the answer is promised.
    """

    name: str
    asked: Mapping[str, Sequence[Target]]
    in_order: bool = True


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
    client_share: list[float] = field(default_factory=list)

    def add(self, alone: Measured, busy: Measured) -> None:
        """Take one round."""
        self.client_share.append(busy.client_share)
        self.p50_ms.append(alone.load.p50_ms)
        self.p99_ms.append(alone.load.p99_ms)
        self.per_second.append(busy.load.per_second)
        self.busy_p99_ms.append(busy.load.p99_ms)
        self.server_cpu_us.append(busy.server_cpu_us)
        self.postgres_cpu_us.append(busy.postgres_cpu_us)
        self.others_share.append(busy.others_share)
        self.answer_bytes.append(float(busy.load.answer_bytes))


class Reads:
    """The measurement: servers over one database, queries in rounds, each round in an order of its own."""

    def __init__(
        self, installation: Installation, directory: Path, filled: Filled, scale: Scale, seed: int
    ) -> None:
        self._installation = installation
        self._directory = directory
        self._filled = filled
        self._scale = scale
        self._random = random.Random(seed)
        self._servers: dict[str, Server] = {}
        self._absent: dict[str, str] = {}
        self._queries: list[Query] = []
        self._figures: dict[tuple[str, str], Figures] = {}
        self._wrk: dict[str, float] = {}

    def run(self) -> None:
        """Measure every query on every server in every round."""
        self._servers["alertgraph"] = alertgraph_server(self._installation, self._directory)
        try:
            for name in ("handwritten", "stock_queries"):
                self._servers[name] = bench_server(self._installation, name, self._directory)
            admin = self._installation.keys([self._filled.tenants[0].slug], Role.ADMIN)[0]
            give_channels(self._installation, self._servers["alertgraph"], admin)
            self._start_peers()
            self._queries = self._made_queries()
            self._check_same()
            work = [
                (query, server) for query in self._queries for server in query.asked if server in self._servers
            ]
            self._figures = {(query.name, server): Figures() for query, server in work}
            for number in range(self._scale.rounds):
                self._random.shuffle(work)
                print(f"  reads: round {number + 1} of {self._scale.rounds}", flush=True)
                for query, server in work:
                    self._figures[query.name, server].add(
                        self._measured(query, server, 1), self._measured(query, server, BUSY_CONNECTIONS)
                    )
            self._wrk = self._cross_check()
        finally:
            for running in self._servers.values():
                running.stop()

    def _start_peers(self) -> None:
        tenant = self._filled.tenants[0]
        starts: dict[str, Callable[[], Server]] = {
            "postgraphile": lambda: postgraphile.start(self._installation, self._directory, [tenant]),
            "alerta": lambda: alerta.start(self._installation, self._directory, tenant.id),
        }
        for name, start in starts.items():
            try:
                self._servers[name] = start()
            except AbsentError as error:
                self._absent[name] = str(error)
                print(f"  reads: no {SHOWN[name]}: {error}", flush=True)

    # -------------------------------------------------------------------------------------- requests

    def _measured(self, query: Query, server: str, connections: int) -> Measured:
        running = self._servers[server]
        job = Job(
            running.port,
            connections,
            list(query.asked[server]),
            self._scale.seconds,
            expect=_EXPECTED.get(server, ""),
            warm_up=3,
        )
        return measure(job, running, self._installation)

    def _query(
        self,
        name: str,
        operation: str,
        variables: Sequence[dict[str, Any]],
        paths: Sequence[str],
        *,
        graphile: str | None = None,
        alerta_path: str | None = None,
        in_order: bool = True,
    ) -> Query:
        headers = self._filled.tenants[0].headers
        posted = [
            Target("/graphql", compact({"query": operation, "variables": each}), headers=headers)
            for each in variables
        ]
        asked: dict[str, Sequence[Target]] = {
            "alertgraph": posted,
            "handwritten": [Target(path, method="GET", headers=headers) for path in paths],
            "stock_queries": posted,
        }
        if graphile is not None:
            asked["postgraphile"] = [Target("/graphql", compact({"query": graphile}), headers=headers)]
        if alerta_path is not None:
            asked["alerta"] = [Target(alerta_path, method="GET")]
        return Query(name, asked, in_order)

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
            self._query(
                "default list, with each alert's channel",
                LIST_WITH_CHANNELS,
                [{}],
                ["/alerts?channels=1"],
                graphile=GRAPHILE_LIST_WITH_CHANNELS,
            ),
            self._query("default list", LIST, [{}], ["/alerts"], graphile=GRAPHILE_LIST),
            self._query(
                "open, CRITICAL or HIGH",
                LIST,
                [{"filter": {"status": ["TRIGGERED"], "severity": ["CRITICAL", "HIGH"]}}],
                ["/alerts?status=TRIGGERED&severity=CRITICAL,HIGH"],
                alerta_path=_ALERTA_GRADED,
            ),
            self._query(
                "search for three words",
                LIST,
                [{"filter": {"search": words}} for words in searches],
                [f"/alerts?search={quote(words)}" for words in searches],
                in_order=False,
            ),
            self._query(
                "label matcher",
                LIST,
                [{"filter": {"matchers": [{"label": "host", "value": host}]}} for host in hosts],
                [f"/alerts?label={quote(f'host={host}')}" for host in hosts],
                in_order=False,
            ),
            self._query(
                "page at a random cursor",
                LIST,
                [{"after": cursor} for cursor, _, _ in places],
                [f"/alerts?{urlencode({'after': f'{at}_{key}'})}" for _, at, key in places],
            ),
            self._query(
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
        """See to it that all answer the same, field by field, or the comparison says nothing."""
        for query in self._queries:
            ours = self._answer(query, "alertgraph")
            if not ours:
                raise RuntimeError(f"{query.name}: nothing was found")
            for server in query.asked:
                if server == "alertgraph" or server not in self._servers:
                    continue
                theirs = self._answer(query, server)
                differing = first_difference(ours, theirs, in_order=query.in_order)
                if differing:
                    raise RuntimeError(f"{query.name}: alertgraph and {SHOWN[server]} differ: {differing}")

    def _answer(self, query: Query, server: str) -> list[dict[str, Any]]:
        """Return the rows of a server's answer to the last of a query's requests, as alertgraph writes them."""
        target = query.asked[server][-1]
        url = f"http://127.0.0.1:{self._servers[server].port}{target.path}"
        headers = {**target.headers, "content-type": "application/json"}
        answer = httpx2.request(
            target.method, url, content=target.body.encode() or None, headers=headers, timeout=60
        ).json()
        if answer.get("errors"):
            raise RuntimeError(f"{SHOWN[server]} refused a query: {answer['errors'][:1]}")
        return rows_of(server, answer)

    # -------------------------------------------------------------------------------------- cross-check

    def _cross_check(self) -> dict[str, float]:
        """Return the rate of the default list as `wrk` sees it, where it is installed."""
        program = shutil.which("wrk")
        if program is None:
            return {}
        found: dict[str, float] = {}
        query = next(query for query in self._queries if query.name == "default list")
        for name in query.asked:
            if name not in self._servers:
                continue
            server, target = self._servers[name], query.asked[name][0]
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

    def _ratios(self, query: Query) -> dict[str, dict[str, float]]:
        ours = self._figures[query.name, "alertgraph"].per_second
        return {
            SHOWN[name]: report.ratio_of(ours, self._figures[query.name, name].per_second)
            for name in query.asked
            if name != "alertgraph" and name in self._servers
        }

    def told(self) -> dict[str, Any]:
        """Return everything, for the file."""
        cases = []
        for query in self._queries:
            servers: dict[str, Any] = {}
            for name in query.asked:
                if name in self._absent:
                    servers[SHOWN[name]] = {"absent": self._absent[name]}
                    continue
                figures = asdict(self._figures[query.name, name])
                servers[SHOWN[name]] = {key: report.spread(values) for key, values in figures.items()}
            cases.append({"query": query.name, "rate_ratios": self._ratios(query), **servers})
        return {
            "peers": {SHOWN[name]: version() for name, version in _VERSIONS.items() if name not in self._absent},
            "absent": {SHOWN[name]: reason for name, reason in self._absent.items()},
            "cases": cases,
            "wrk, default list, requests/s": self._wrk,
            "plot": plots.told("Queries from PostgreSQL over HTTP, warm", self._panels()),
        }

    def _panels(self) -> list[plots.Panel]:
        panels = []
        for query in self._queries:
            bars = []
            for name in query.asked:
                absent = self._absent.get(name, "")
                spread = None if absent else report.spread(self._figures[query.name, name].per_second)
                bars.append(plots.Bar(SHOWN[name], spread, absent))
            panels.append(plots.Panel(query.name, f"requests a second over {BUSY_CONNECTIONS} connections", bars))
        return panels

    def table(self) -> str:
        """Return the table."""
        head = (
            "alertgraph's rate is × theirs",
            "×",
            f"req/s, {BUSY_CONNECTIONS} connections",
            "p99 ms",
            "p50 ms alone",
            "p99 ms alone",
            "CPU µs server",
            "CPU µs PostgreSQL",
            "kB",
            "client",
        )
        rows: list[list[str]] = []
        for query in self._queries:
            rows.append([query.name.upper(), *[""] * (len(head) - 1)])
            ratios = self._ratios(query)
            for name in query.asked:
                if name in self._absent:
                    rows.append([f"  {SHOWN[name]}: absent, {self._absent[name]}"[:110], *[""] * (len(head) - 1)])
                    continue
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
                        report.client(figures.client_share),
                    ]
                )
        wrk = ", ".join(f"{SHOWN[name]} {rate:,.0f}" for name, rate in self._wrk.items())
        notes = (
            f"{self._filled.alert_count:,} alerts over {MONTHS} months, {len(self._filled.tenants)} tenants; "
            "asked is the largest, which has 30 %.",
            "100 alerts of 10 fields, as a VIEWER, row-level security on; a channel is that of an alert's ladder.",
            "All on the same two cores, load generator and PostgreSQL included.",
            "Alerta answers whole alerts of some 30 fields, of those alone that are open; it has five processes.",
            f"wrk, default list, requests/s: {wrk}" if wrk else "wrk is not installed: no check of the generator.",
        )
        return report.table("Queries from PostgreSQL over HTTP, warm", notes, head, rows)


# What the answer to each request must hold, of servers that answer errors with 200.
_EXPECTED = {"alertgraph": '{"data":{', "stock_queries": '{"data":{', "postgraphile": '{"data":{'}
_INSTANTS = ("triggeredAt", "lastSeenAt", "occurredAt")
_ALERTA_SEVERITIES = {name: severity.name for severity, name in alerta.SEVERITY_NAMES.items()}
_ALERTA_STATUSES = {name: status.name for status, name in alerta.STATUS_NAMES.items()}


def rows_of(server: str, answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of an answer with the names and values that alertgraph has for them."""
    if server == "alerta":
        return [_alerta_row(row) for row in answer["alerts"]]
    if server == "postgraphile":
        return [_graphile_row(row) for row in answer["data"]["latestAlerts"]["nodes"]]
    if server == "handwritten":
        rows = answer["events"] if "events" in answer else answer["nodes"]
    else:
        data = answer["data"]
        rows = (data["alert"]["events"] if "alert" in data else data["alerts"])["nodes"]
    return [_row(row) for row in rows]


def first_difference(
    ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]], *, in_order: bool
) -> str | None:
    """Return the first thing in which two answers differ, in the fields that both have; None where they agree."""
    if len(ours) != len(theirs):
        return f"{len(ours)} and {len(theirs)} rows"
    if not in_order:
        ours, theirs = (sorted(rows, key=lambda row: str(row["id"])) for rows in (ours, theirs))
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        common = mine.keys() & other.keys()
        if not common:
            return f"row {number} has no field in common"
        for name in sorted(common):
            if mine[name] != other[name]:
                return f"row {number}, {name}: {mine[name]!r} and {other[name]!r}"
    return None


def _row(row: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {name: _instant(value) if name in _INSTANTS else value for name, value in row.items()}
    levels: Any = shown.pop("escalationLevels", None)
    if levels is not None:
        shown["channel"] = levels[0]["targets"][0] if levels else None
    # Each server finds words of its own for what happened.
    shown.pop("summary", None)
    return shown


def _graphile_row(row: dict[str, Any]) -> dict[str, Any]:
    shown = {
        **row,
        "id": encode_id(NodeKind.ALERT, UUID(row["rowId"])),
        "severity": Severity(row["severity"]).name,
        "status": AlertStatus(row["status"]).name,
    }
    del shown["rowId"]
    if "channelByChannelId" in shown:
        channel = shown.pop("channelByChannelId")
        shown["channel"] = channel and {
            "id": encode_id(NodeKind.CHANNEL, UUID(channel["rowId"])),
            "name": channel["name"],
            "kind": ChannelKind(channel["kind"]).name,
            "enabled": channel["enabled"],
        }
    return _row(shown)


def _alerta_row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": encode_id(NodeKind.ALERT, UUID(row["id"])),
        "severity": _ALERTA_SEVERITIES[row["severity"]],
        "status": _ALERTA_STATUSES[row["status"]],
        "occurrenceCount": row["duplicateCount"] + 1,
    }


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
