"""How costs grow: ingest with what is stored, fan-out and memory with sockets, memory with ever new documents.

Each claim has a bound, and the table says whether it holds. Sizes are measured side by side: an installation for
each, all running at once, asked in shuffled order.
"""

from __future__ import annotations

import contextlib
import json
import math
import random
import re
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from alertgraph.core.tenant import Role
from bench import fanout, fill, plots, report, writes
from bench.installation import Installation, Server, TenantWithKey, alertgraph_server, measure, run_module
from bench.load import Job, Target
from bench.machine import resident_kib
from bench.sockets import FannedOut, SocketJob
from bench.words import compact, keyed_input

RATE = 150.0
"""Single creates a second: far below the peak, so that a latency is not that of a queue."""

SINGLE_CONNECTIONS, BATCH_CONNECTIONS, BATCH_COUNT = 16, 2, 20
BURST = 10
STEP_COUNT = 10

FLAT_MAX = 1.5
"""How many times that of the smallest size a latency may be at the largest, to be called flat."""
EXPONENT_MAX = 1.1
"""Of sockets in the time of a burst: 1 is linear; what an event costs once makes it less."""
IDLE_KIB_MAX = 20.0
LATE_GROWTH_MAX = 0.1
"""How much of all growth of memory may be in the second half of the documents, where it is bounded."""
# With fewer, what the first of them cost, or what waits for a rare full collection of garbage, is most of it.
SOCKET_COUNT_MIN, DOCUMENT_COUNT_MIN = 1000, 16_000

_METRICS = {
    "plans": "alertgraph_graphql_plans_kept",
    "plan_bytes": "alertgraph_graphql_plan_bytes",
    "documents": "alertgraph_graphql_documents_kept",
    "document_bytes": "alertgraph_graphql_document_bytes",
    "compiled": "alertgraph_graphql_plan_compile_duration_seconds_count",
}
_SCALARS = (
    "id version dedupKey title description severity status source monitoredService labels annotations "
    "occurrenceCount triggeredAt lastSeenAt acknowledgedAt acknowledgedUntil resolvedAt escalationLevel "
    "nextEscalationAt holdReason verdict"
)
# Each is another document every time: the number is in a name, which no normal form takes away.
_HOSTILE = (
    "{ s%010d: alerts(first: 1) { nodes { id } } }",
    "{ w%010d: alerts(first: 1) { nodes { "
    + _SCALARS
    + " "
    + " ".join(f"x{n}: title" for n in range(25))
    + " } } }",
    "query F%010d { alerts(first: 1) { nodes { ...A } } } fragment A on CriticalAlert { ...B id } "
    "fragment B on CriticalAlert { ...C title } fragment C on CriticalAlert { sla { acknowledgeBy resolveBy } }",
    "query S%010d($a: Boolean! = true, $b: Boolean! = false) "
    "{ alerts(first: 1) { nodes { id title @skip(if: $a) status @include(if: $b) } } }",
    "{ nothingOfThisName%010d }",
    "{ alerts(first: 1) { nodes { id } } # %010d\n}",
)


@dataclass(frozen=True)
class Scale:
    """How much of it.

    Attributes:
        sizes: Stored alerts.
        seconds: Of one measurement of single creates.
        documents: How many different ones are sent.
    """

    rounds: int
    sizes: tuple[int, ...]
    seconds: float
    sockets: tuple[int, ...]
    events: int
    documents: int


QUICK = Scale(rounds=1, sizes=(10_000, 30_000), seconds=1.0, sockets=(100, 300), events=2, documents=3_000)
FULL = Scale(
    rounds=5,
    sizes=(10_000, 100_000, 1_000_000),
    seconds=2.0,
    sockets=(100, 300, 1000, 3000),
    events=5,
    documents=20_000,
)


@dataclass(frozen=True)
class Verdict:
    """Whether costs grow as they should.

    Attributes:
        bound: The most that `value` may be.
    """

    claim: str
    value: float
    bound: float

    @property
    def holds(self) -> bool:
        """Whether it is so."""
        return self.value <= self.bound

    def told(self) -> dict[str, object]:
        """Return what stands in the file."""
        return {"claim": self.claim, "value": report.short(self.value), "at most": self.bound, "holds": self.holds}


@dataclass
class Ingest:
    """What the rounds gave for one size."""

    single_p50_ms: list[float] = field(default_factory=list)
    single_p99_ms: list[float] = field(default_factory=list)
    single_server_cpu_us: list[float] = field(default_factory=list)
    single_postgres_cpu_us: list[float] = field(default_factory=list)
    batch_p50_ms: list[float] = field(default_factory=list)
    batch_postgres_cpu_us: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Step:
    """What a service holds after so many different documents."""

    documents: int
    resident_mib: float
    metrics: Mapping[str, float]


def flat(name: str, by_size: Mapping[int, Sequence[float]]) -> Verdict:
    """Return whether a latency at the largest size is about that at the smallest, round by round."""
    small, large = min(by_size), max(by_size)
    value = report.ratio_of(by_size[large], by_size[small])["median"]
    return Verdict(f"{name}: {large:,} stored against {small:,}, times", value, FLAT_MAX)


def linear(by_count: Mapping[int, Sequence[float]]) -> Verdict:
    """Return whether the time of a burst grows no faster than the number of sockets."""
    few, many = min(by_count), max(by_count)
    grown = report.median(by_count[many]) / report.median(by_count[few])
    value = math.log(grown) / math.log(many / few)
    return Verdict(
        f"time of a burst, {few:,} to {many:,} sockets, as a power of their number", value, EXPONENT_MAX
    )


def light(by_count: Mapping[int, Sequence[float]]) -> Verdict:
    """Return whether an idle socket takes little memory, where there are most of them."""
    most = max(by_count)
    return Verdict(f"KiB for each of {most:,} idle sockets", report.median(by_count[most]), IDLE_KIB_MAX)


def bounded(steps: Sequence[Step]) -> Verdict:
    """Return whether memory has stopped growing halfway through ever new documents."""
    first, half, last = steps[0], steps[len(steps) // 2], steps[-1]
    grown = last.resident_mib - first.resident_mib
    value = (last.resident_mib - half.resident_mib) / grown if grown > 0 else 0.0
    claim = f"growth of memory from {half.documents:,} to {last.documents:,} documents, of all growth"
    return Verdict(claim, max(0.0, value), LATE_GROWTH_MAX)


class Growth:
    """The measurement.

    Args:
        kept: A folder with a filled database, which is one more size, and how many alerts are in it.
        only_ingest: Whether sockets and documents are left out.
    """

    def __init__(
        self,
        directory: Path,
        kept: tuple[Path, int] | None,
        scale: Scale,
        seed: int,
        *,
        only_ingest: bool = False,
    ) -> None:
        self._only_ingest = only_ingest
        self._directory = directory
        self._kept = kept
        self._scale = scale
        self._seed = seed
        self._random = random.Random(seed)
        self._ingest: dict[int, Ingest] = {}
        self._fanned: dict[int, list[FannedOut]] = {} if only_ingest else {count: [] for count in scale.sockets}
        self._steps: list[Step] = []
        self._facts: dict[str, object] = {}
        self._number = 0

    def run(self) -> None:
        """Measure ingest at all sizes, fan-out at all numbers of sockets, and documents."""
        with contextlib.ExitStack() as stack:
            self._measure_ingest(stack)
        if self._only_ingest:
            return
        # Alone on the machine from here on.
        with Installation(self._directory / "sockets") as installation:
            self._facts = installation.facts()
            self._measure_sockets(installation)
            self._measure_documents(installation)

    def facts(self) -> dict[str, object]:
        """Return which PostgreSQL it was."""
        return self._facts

    # ---------------------------------------------------------------------------------------- ingest

    def _measure_ingest(self, stack: contextlib.ExitStack) -> None:
        sizes = {size: (self._directory / f"d{size}", size) for size in self._scale.sizes}
        if self._kept is not None:
            sizes[self._kept[1]] = self._kept
        running: dict[int, tuple[Installation, Server, list[TenantWithKey]]] = {}
        for size, (folder, count) in sizes.items():
            print(f"  growth: {size:,} alerts stored", flush=True)
            installation = stack.enter_context(Installation(folder))
            self._facts = self._facts or installation.facts()
            slugs = [tenant.slug for tenant in fill.filled(installation, count, self._seed).tenants]
            own = self._directory / f"s{size}"
            own.mkdir()
            server = alertgraph_server(installation, own)
            stack.callback(server.stop)
            running[size] = (installation, server, installation.keys(slugs, Role.INGEST))
            self._ingest[size] = Ingest()
        for number in range(self._scale.rounds + 1):
            order = list(running)
            self._random.shuffle(order)
            for size in order:
                # The first round is to warm up: what a service learns of its tenants once is not what grows.
                self._measure_size(*running[size], Ingest() if number == 0 else self._ingest[size])

    def _measure_size(
        self, installation: Installation, server: Server, tenants: list[TenantWithKey], found: Ingest
    ) -> None:
        self._number += 1
        prefix = f"g{self._number}"
        singles = [
            Target("/api/v1/critical-alerts", compact(keyed_input(n, prefix)), 1, headers=tenant.headers)
            for n, tenant in enumerate(tenants)
        ]
        job = Job(server.port, SINGLE_CONNECTIONS, singles, self._scale.seconds, rate=RATE)
        single = measure(job, server, installation)
        found.single_p50_ms.append(single.load.p50_ms)
        found.single_p99_ms.append(single.load.p99_ms)
        found.single_server_cpu_us.append(single.server_cpu_us)
        found.single_postgres_cpu_us.append(single.postgres_cpu_us)
        body = compact({"alerts": [keyed_input(n, f"{prefix}b") for n in range(writes.BATCH)]})
        batches = [
            Target("/api/v1/critical-alerts/bulk", body, writes.BATCH, headers=tenant.headers)
            for tenant in tenants
        ]
        whole = f'"createdCount":{writes.BATCH}'
        job = Job(server.port, BATCH_CONNECTIONS, batches, 30.0, BATCH_COUNT, expect=whole)
        batch = measure(job, server, installation)
        found.batch_p50_ms.append(batch.load.p50_ms)
        found.batch_postgres_cpu_us.append(batch.postgres_cpu_us / writes.BATCH)

    # --------------------------------------------------------------------------------------- sockets

    def _measure_sockets(self, installation: Installation) -> None:
        for number in range(self._scale.rounds):
            order = list(self._scale.sockets)
            self._random.shuffle(order)
            print(f"  growth: sockets, round {number + 1} of {self._scale.rounds}", flush=True)
            for count in order:
                server = alertgraph_server(installation, self._directory)
                try:
                    self._fanned[count].append(self._fan_out(installation, server, count, f"s{number}n{count}"))
                finally:
                    server.stop()

    def _fan_out(self, installation: Installation, server: Server, count: int, slug: str) -> FannedOut:
        tenant = installation.tenants(slug, 1, Role.RESPONDER)[0]
        trigger = Target("/api/v1/critical-alerts", compact(keyed_input(1, slug)), 1, headers=tenant.headers)
        burst = Target(
            "/api/v1/critical-alerts/bulk",
            compact([keyed_input(n, slug) for n in range(BURST)]),
            BURST,
            headers=tenant.headers,
        )
        job = SocketJob(
            server.port,
            server.pid,
            count,
            tenant.headers["authorization"],
            fanout.PLAIN,
            trigger,
            burst,
            BURST,
            self._scale.events,
        )
        return FannedOut(**json.loads(run_module("bench.sockets", job.as_json(), 240)))

    # ------------------------------------------------------------------------------------- documents

    def _measure_documents(self, installation: Installation) -> None:
        print(f"  growth: {self._scale.documents:,} different documents", flush=True)
        tenant = installation.tenants("documents", 1, Role.VIEWER)[0]
        server = alertgraph_server(installation, self._directory)
        try:
            self._steps.append(self._step(server, tenant, 0))
            each = self._scale.documents // STEP_COUNT
            for number in range(STEP_COUNT):
                # Numbers begin anew in each process that sends.
                texts = [text.replace("%010d", f"{number}x%010d") for text in _HOSTILE]
                targets = [
                    Target("/graphql", compact({"query": text}), 1, headers=tenant.headers) for text in texts
                ]
                job = Job(server.port, 8, targets, 300.0, each)
                measure(job, server, installation)
                self._steps.append(self._step(server, tenant, each * (number + 1)))
        finally:
            server.stop()

    def _step(self, server: Server, tenant: TenantWithKey, documents: int) -> Step:
        request = urllib.request.Request(f"http://127.0.0.1:{server.port}/metrics", headers=tenant.headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read().decode()
        found = {}
        for key, name in _METRICS.items():
            match = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
            assert match is not None, f"the service has no metric {name}"
            found[key] = float(match[1])
        return Step(documents, resident_kib(server.pid) / 1024, found)

    # --------------------------------------------------------------------------------------- telling

    def verdicts(self) -> list[Verdict]:
        """Return what is claimed, and whether it holds; a quick run says nothing of memory."""
        found = [
            flat("single create, median", {size: each.single_p50_ms for size, each in self._ingest.items()}),
            flat(
                f"batch of {writes.BATCH}, median",
                {size: each.batch_p50_ms for size, each in self._ingest.items()},
            ),
            flat(
                "processor time of PostgreSQL for a single create",
                {size: each.single_postgres_cpu_us for size, each in self._ingest.items()},
            ),
        ]
        if self._only_ingest:
            return found
        found.append(linear(self._of_sockets(lambda each: each.burst_seconds)))
        if max(self._scale.sockets) >= SOCKET_COUNT_MIN:
            found.append(light(self._of_sockets(lambda each: each.idle_kib)))
        if self._scale.documents >= DOCUMENT_COUNT_MIN:
            found.append(bounded(self._steps))
        return found

    def _of_sockets(self, of: Any) -> dict[int, list[float]]:
        return {count: [of(each) for each in found] for count, found in self._fanned.items()}

    def told(self) -> dict[str, Any]:
        """Return everything, for the file."""
        ingest = {
            str(size): {name: report.spread(values) for name, values in asdict(each).items()}
            for size, each in sorted(self._ingest.items())
        }
        sockets = {
            str(count): {
                "burst_ms": report.spread([each.burst_seconds * 1000 for each in found]),
                "last_ms": report.spread([report.median(each.last_ms) for each in found]),
                "messages_per_second": report.spread([each.messages_per_second for each in found]),
                "cpu_us": report.spread([each.cpu_us for each in found]),
                "idle_kib": report.spread([each.idle_kib for each in found]),
                "client_share": report.spread([each.client_share for each in found]),
            }
            for count, found in self._fanned.items()
        }
        return {
            "verdicts": [verdict.told() for verdict in self.verdicts()],
            "ingest": ingest,
            "sockets": sockets,
            "documents": [asdict(step) for step in self._steps],
            "plot": plots.told("How costs grow", self._panels(ingest, sockets)),
        }

    def _panels(self, ingest: Mapping[str, Any], sockets: Mapping[str, Any]) -> list[plots.Panel]:
        def line(of: Mapping[str, Any], key: str) -> list[tuple[float, Mapping[str, float]]]:
            return [(float(x), figures[key]) for x, figures in of.items()]

        def of_steps(values: Sequence[float]) -> list[tuple[float, Mapping[str, float]]]:
            return [
                (float(step.documents), report.spread([value]))
                for step, value in zip(self._steps, values, strict=True)
            ]

        panels = [
            plots.Panel(
                "Ingest",
                "ms",
                lines={
                    "single create, median": line(ingest, "single_p50_ms"),
                    "single create, 99th percentile": line(ingest, "single_p99_ms"),
                    f"batch of {writes.BATCH}, median": line(ingest, "batch_p50_ms"),
                },
                x_label="alerts stored",
                better="less",
            ),
            plots.Panel(
                "Fan-out",
                "ms until the last socket has it",
                lines={
                    f"a burst of {BURST} events": line(sockets, "burst_ms"),
                    "a single event": line(sockets, "last_ms"),
                },
                x_label="websockets",
                better="less",
            ),
            plots.Panel(
                "Memory of an idle socket",
                "KiB",
                lines={"each socket": line(sockets, "idle_kib")},
                x_label="websockets",
                better="less",
            ),
            plots.Panel(
                "Memory of the service",
                "MiB",
                lines={
                    "resident": of_steps([step.resident_mib for step in self._steps]),
                    "plans, as counted": of_steps([step.metrics["plan_bytes"] / 2**20 for step in self._steps]),
                    "documents, as counted": of_steps(
                        [step.metrics["document_bytes"] / 2**20 for step in self._steps]
                    ),
                },
                x_label="documents never seen before",
                better="less",
            ),
        ]
        return panels[:1] if self._only_ingest else panels

    def table(self) -> str:
        """Return three tables, and what follows from them."""
        told = self.told()
        ingest = report.table(
            "Ingest as alerts are stored",
            (
                f"Single creates over REST, {RATE:.0f} a second; batches of {writes.BATCH} over "
                f"{BATCH_CONNECTIONS} connections; all sizes run at once and are asked in shuffled order.",
            ),
            (
                "stored",
                "single p50 ms",
                "p99 ms",
                "CPU µs server",
                "CPU µs PostgreSQL",
                "batch p50 ms",
                "µs/alert",
            ),
            [
                [
                    f"{int(size):,}",
                    report.shown(figures["single_p50_ms"]),
                    report.shown(figures["single_p99_ms"]),
                    f"{figures['single_server_cpu_us']['median']:.0f}",
                    f"{figures['single_postgres_cpu_us']['median']:.0f}",
                    report.shown(figures["batch_p50_ms"]),
                    f"{figures['batch_postgres_cpu_us']['median']:.0f}",
                ]
                for size, figures in told["ingest"].items()
            ],
        )
        sockets = report.table(
            "Fan-out as sockets are added",
            (f"alertEvents over graphql-transport-ws; a burst is {BURST} events.",),
            (
                "sockets",
                "burst ms",
                "single event ms",
                "messages/s",
                "a socket",
                "CPU µs/message",
                "idle KiB",
                "client",
            ),
            [
                [
                    f"{int(count):,}",
                    report.shown(figures["burst_ms"]),
                    report.shown(figures["last_ms"]),
                    report.shown(figures["messages_per_second"]),
                    f"{figures['messages_per_second']['median'] / int(count):,.0f}",
                    f"{figures['cpu_us']['median']:.1f}",
                    report.shown(figures["idle_kib"]),
                    report.client([figures["client_share"]["median"]]),
                ]
                for count, figures in told["sockets"].items()
            ],
        )
        documents = report.table(
            "Documents never seen before",
            ("Small and wide, with fragments, variables in directives, comments, and such as are not valid.",),
            ("sent", "resident MiB", "plans kept", "MiB counted", "documents kept", "MiB counted", "compiled"),
            [
                [
                    f"{step.documents:,}",
                    f"{step.resident_mib:.0f}",
                    f"{step.metrics['plans']:,.0f}",
                    f"{step.metrics['plan_bytes'] / 2**20:.1f}",
                    f"{step.metrics['documents']:,.0f}",
                    f"{step.metrics['document_bytes'] / 2**20:.1f}",
                    f"{step.metrics['compiled']:,.0f}",
                ]
                for step in self._steps
            ],
        )
        verdicts = report.table(
            "Costs grow as they should",
            (),
            ("claim", "measured", "at most", "holds"),
            [
                [each.claim, f"{each.value:.3g}", f"{each.bound:g}", "yes" if each.holds else "NO"]
                for each in self.verdicts()
            ],
        )
        tables = (ingest, verdicts) if self._only_ingest else (ingest, sockets, documents, verdicts)
        return "\n".join(tables)
