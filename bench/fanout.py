"""One event to a thousand websockets: alertgraph beside stock Strawberry's own websocket view."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alertgraph.core.tenant import Role
from bench import plots, report
from bench.installation import Installation, Server, alertgraph_server, bench_server, run_module
from bench.load import Target
from bench.sockets import FannedOut, SocketJob
from bench.words import compact, keyed_input

FIELDS = "cursor number kind occurredAt summary actor { kind name }"
STOCK = f"subscription {{ alertEvents {{ {FIELDS} }} }}"
# An alert that no rule is for is held as well, which is another event.
ONE_KIND = "alertEvents(filter: {kinds: [TRIGGERED]})"
PLAIN = f"subscription {{ {ONE_KIND} {{ {FIELDS} }} }}"
WITH_ALERT = f"subscription {{ {ONE_KIND} {{ {FIELDS} alert {{ id title severity status }} }} }}"
BURST = 10
# With the alert, each message needs a look at the database: one event at a time is enough of that.
CASES = {
    "alertgraph": (PLAIN, BURST),
    "alertgraph, with the alert as it is now": (WITH_ALERT, 1),
    "stock Strawberry": (STOCK, BURST),
}


@dataclass(frozen=True)
class Scale:
    """How much of it."""

    rounds: int
    sockets: int
    events: int


QUICK = Scale(rounds=1, sockets=1000, events=3)
FULL = Scale(rounds=5, sockets=1000, events=10)


class Fanout:
    """The measurement: each round every case once, with a server that has just started."""

    def __init__(self, installation: Installation, directory: Path, scale: Scale, seed: int) -> None:
        self._installation = installation
        self._directory = directory
        self._scale = scale
        self._random = random.Random(seed)
        self._found: dict[str, list[FannedOut]] = {name: [] for name in CASES}

    def run(self) -> None:
        """Measure every case in every round."""
        for number in range(self._scale.rounds):
            order = list(CASES)
            self._random.shuffle(order)
            print(f"  fan-out: round {number + 1} of {self._scale.rounds}", flush=True)
            for name in order:
                # A fresh server, so that its memory before and after the sockets can be compared.
                stock = name == "stock Strawberry"
                server = (
                    bench_server(self._installation, "stock_stream", self._directory)
                    if stock
                    else alertgraph_server(self._installation, self._directory)
                )
                try:
                    self._found[name].append(self._measured(name, server, f"f{number}{len(name)}"))
                finally:
                    server.stop()

    def _measured(self, name: str, server: Server, slug: str) -> FannedOut:
        query, burst_count = CASES[name]
        authorization = ""
        if name == "stock Strawberry":
            trigger, burst = Target("/publish?count=1"), Target(f"/publish?count={burst_count}")
        else:
            tenant = self._installation.tenants(slug, 1, Role.RESPONDER)[0]
            authorization = tenant.headers["authorization"]
            trigger = Target("/api/v1/critical-alerts", compact(keyed_input(1, slug)), 1, headers=tenant.headers)
            bodies = [keyed_input(n, slug) for n in range(burst_count)]
            burst = Target("/api/v1/critical-alerts/bulk", compact(bodies), burst_count, headers=tenant.headers)
        job = SocketJob(
            server.port,
            server.pid,
            self._scale.sockets,
            authorization,
            query,
            trigger,
            burst,
            burst_count,
            self._scale.events,
        )
        return FannedOut(**json.loads(run_module("bench.sockets", job.as_json(), 180)))

    # -------------------------------------------------------------------------------------- telling

    def _figures(self, name: str) -> dict[str, list[float]]:
        found = self._found[name]
        return {
            "last_ms": [report.median(each.last_ms) for each in found],
            "first_ms": [report.median(each.first_ms) for each in found],
            "messages_per_second": [each.messages_per_second for each in found],
            "cpu_us": [each.cpu_us for each in found],
            "idle_kib": [each.idle_kib for each in found],
            "message_bytes": [float(each.message_bytes) for each in found],
            "connect_seconds": [each.connect_seconds for each in found],
            "client_share": [each.client_share for each in found],
        }

    def _ratios(self, name: str) -> dict[str, dict[str, float]]:
        ours, stock = self._figures(name), self._figures("stock Strawberry")
        return {
            "faster to the last socket": report.ratio_of(stock["last_ms"], ours["last_ms"]),
            "more messages per second": report.ratio_of(ours["messages_per_second"], stock["messages_per_second"]),
        }

    def told(self) -> dict[str, Any]:
        """Return everything, for the file."""
        cases = []
        for name in CASES:
            figures = {key: report.spread(values) for key, values in self._figures(name).items()}
            ratios = {} if name == "stock Strawberry" else self._ratios(name)
            cases.append({"name": name, "ratios to stock": ratios, **figures})
        return {
            "sockets": self._scale.sockets,
            "burst": BURST,
            "cases": cases,
            "plot": plots.told(f"One event to {self._scale.sockets} websockets", self._panels()),
        }

    def _panels(self) -> list[plots.Panel]:
        def panel(title: str, unit: str, key: str, better: str) -> plots.Panel:
            bars = [plots.Bar(name, report.spread(self._figures(name)[key])) for name in CASES]
            return plots.Panel(title, unit, bars, better=better)

        return [
            panel("until the last socket has a single event", "ms", "last_ms", "less"),
            panel("a burst", "messages a second", "messages_per_second", "more"),
            panel("processor time of the server", "µs a message", "cpu_us", "less"),
            panel("memory of the server", "KiB for each idle socket", "idle_kib", "less"),
        ]

    def table(self) -> str:
        """Return the table."""
        head = (
            "1 event to all sockets",
            "× stock",
            "ms to the last",
            "ms to the first",
            "burst: × stock",
            "messages/s",
            "CPU µs/message",
            "KiB per idle socket",
            "bytes",
            "client",
        )
        rows: list[list[str]] = []
        for name in CASES:
            figures = self._figures(name)
            ratios = {} if name == "stock Strawberry" else self._ratios(name)
            shown = [f"{ratio['median']:.2f}" for ratio in ratios.values()] or ["", ""]
            rows.append(
                [
                    name,
                    shown[0],
                    report.shown(report.spread(figures["last_ms"])),
                    f"{report.median(figures['first_ms']):.1f}",
                    shown[1],
                    report.shown(report.spread(figures["messages_per_second"])),
                    f"{report.median(figures['cpu_us']):.3g}",
                    f"{report.median(figures['idle_kib']):.1f}",
                    f"{report.median(figures['message_bytes']):.0f}",
                    report.client(figures["client_share"]),
                ]
            )
        notes = (
            f"{self._scale.sockets} sockets, graphql-transport-ws; a burst is {BURST} events, with the alert 1.",
            "alertgraph's time includes the create: request, decision, commit; stock's events come from memory.",
            "All on the same two cores, with the client of all sockets; client: what it took of one in a burst.",
        )
        return report.table("Fan-out", notes, head, rows)
