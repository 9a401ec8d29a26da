"""Metrics in and anomalies out: points a second from remote write to their verdicts, and what one costs.

The service and its learning process share one core, which is nobody else's if the machine has another for
PostgreSQL and the sender. A round is over when the last of its points has been scored. The sender's messages are
made before.
"""

from __future__ import annotations

import asyncio
import http.client
import importlib.util
import json
import os
import random
import struct
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import cramjam

from alertgraph.core.ids import TenantId
from alertgraph.core.tenant import Role
from alertgraph.storage.migrate import dsn_of, owner_settings
from bench import plots, report
from bench.installation import Installation, Server, alertgraph_server
from bench.machine import cpu_seconds, resident_kib

REACH = 20_000
"""Points a second on one core."""

BATCH = 2_000
"""Points of one request, as Prometheus sends them by default."""
STEP_SECONDS = 15
CONNECTIONS = 2
SETTLE_SECONDS = 120.0
_HEAD = ("series", "points a second", "µs a point: service", "learning", "PostgreSQL", "all on one core, a second")
_ALERTS = "{ alerts { totalCount } }"
_FAR = """{ alerts(filter: {matchers: [{label: "@title", operator: REGEX, value: ".*: 1,000,000 .*"}]}) {
  totalCount } }"""
_RULE = """mutation { createAnomalyRule(input: {name: "all", matchers: [{label: "job", value: "node"}]}) {
  errors { message } } }"""


@dataclass(frozen=True)
class Scale:
    """How long it may take.

    Attributes:
        series: That points are sent of.
        warm_up: Points of each series before the clock starts.
        steps: Points of each series in one round.
    """

    rounds: int
    series: int
    warm_up: int
    steps: int


QUICK = Scale(rounds=2, series=4_000, warm_up=150, steps=30)
FULL = Scale(rounds=5, series=10_000, warm_up=150, steps=60)


@dataclass
class Figures:
    """What the rounds gave, processor time in µs a point."""

    rates: list[float] = field(default_factory=list)
    service_us: list[float] = field(default_factory=list)
    learning_us: list[float] = field(default_factory=list)
    postgres_us: list[float] = field(default_factory=list)


class Metrics:
    """The measurement.

    Raises:
        SystemExit: What scores is not installed: there is nothing to measure.
    """

    def __init__(self, installation: Installation, directory: Path, scale: Scale, seed: int) -> None:
        if importlib.util.find_spec("numpy") is None:
            raise SystemExit("numpy is not installed: pip install -r requirements-ml.txt")
        self._installation = installation
        self._directory = directory
        self._scale = scale
        self._random = random.Random(seed)
        self._figures = Figures()
        self._labels = [_labels(number) for number in range(scale.series)]
        self._values = [self._random.uniform(10, 100) for _ in range(scale.series)]
        self._at = int(time.time()) - STEP_SECONDS * (scale.warm_up + scale.rounds * scale.steps)
        self._resends = 0
        self._bytes_of_series = 0.0
        self._alert_seconds = 0.0
        self._noise_count = 0

    def run(self) -> None:
        """Measure every round, then how long one point that is far off takes to be an alert."""
        [tenant] = self._installation.tenants("metrics", 1, Role.ADMIN)
        with _on_one_core():
            variables = {"CRITICAL_ALERT_ML_ENABLED": "true"}
            server = alertgraph_server(self._installation, self._directory, variables)
        try:
            _asked(server, tenant.headers, _RULE)
            learner = _child_of(server.pid)
            before = _settled_kib(learner)
            self._round(server, learner, tenant.id, tenant.headers, self._scale.warm_up)
            for number in range(self._scale.rounds):
                print(f"  metrics: round {number + 1} of {self._scale.rounds}", flush=True)
                rate, service, learning, postgres = self._round(
                    server, learner, tenant.id, tenant.headers, self._scale.steps
                )
                self._figures.rates.append(rate)
                self._figures.service_us.append(service)
                self._figures.learning_us.append(learning)
                self._figures.postgres_us.append(postgres)
            self._bytes_of_series = 1024 * (resident_kib(learner) - before) / self._scale.series
            self._noise_count = _asked(server, tenant.headers, _ALERTS)["alerts"]["totalCount"]
            self._alert_seconds = self._alert(server, tenant.headers)
        finally:
            server.stop()

    def _round(
        self, server: Server, learner: int, tenant_id: TenantId, headers: dict[str, str], steps: int
    ) -> tuple[float, float, float, float]:
        """Send that many points of each series; return the rate and the processor time of one point."""
        # A series stays with its connection, as with Prometheus: what overtakes a point would be later than it.
        messages: list[list[bytes]] = [[] for _ in range(CONNECTIONS)]
        for _ in range(steps):
            for number, message in enumerate(self._step()):
                messages[number % CONNECTIONS].append(message)
        count = steps * self._scale.series
        pids = (server.pid, learner, self._installation.pid)
        used = [cpu_seconds(pid, children=pid == self._installation.pid) for pid in pids]
        started = time.monotonic()
        with ThreadPoolExecutor(CONNECTIONS) as senders:
            for resends in senders.map(lambda part: _send(server.port, headers, part), messages):
                self._resends += resends
        asyncio.run(_settled(self._installation.url, tenant_id))
        seconds = time.monotonic() - started
        now = [cpu_seconds(pid, children=pid == self._installation.pid) for pid in pids]
        service, learning, postgres = (
            1e6 * (after - before) / count for before, after in zip(used, now, strict=True)
        )
        return count / seconds, service, learning, postgres

    def _step(self) -> Iterator[bytes]:
        """Yield the messages of one point of each series."""
        self._at += STEP_SECONDS
        at = _varint(self._at * 1000)
        for start in range(0, self._scale.series, BATCH):
            parts = []
            for labels, level in zip(
                self._labels[start : start + BATCH], self._values[start : start + BATCH], strict=True
            ):
                sample = b"\x09" + struct.pack("<d", level + self._random.gauss(0, 1)) + b"\x10" + at
                parts.append(_part(1, labels + _part(2, sample)))
            yield bytes(cramjam.snappy.compress_raw(b"".join(parts)))

    def _alert(self, server: Server, headers: dict[str, str]) -> float:
        """Return how long after it was sent a point that is far off is an alert."""
        sample = b"\x09" + struct.pack("<d", 1e6) + b"\x10" + _varint(int(time.time() * 1000))
        message = bytes(cramjam.snappy.compress_raw(_part(1, self._labels[0] + _part(2, sample))))
        started = time.monotonic()
        _send(server.port, headers, [message])
        while time.monotonic() < started + SETTLE_SECONDS:
            found = _asked(server, headers, _FAR)
            if found["alerts"]["totalCount"]:
                return time.monotonic() - started
            time.sleep(0.02)
        raise RuntimeError(f"no alert came: {server.complaints()}")

    # --------------------------------------------------------------------------------------- telling

    def told(self) -> dict[str, Any]:
        """Return everything, for the file."""
        figures = self._figures
        parts = {
            "service": figures.service_us,
            "learning": figures.learning_us,
            "postgresql": figures.postgres_us,
        }
        panel = plots.Panel(
            "points a second, service and learning on one core",
            "points a second",
            [plots.Bar("remote write", report.spread(figures.rates))],
        )
        return {
            "plot": plots.told("Metrics in, verdicts out", [panel]),
            "reach": REACH,
            "series": self._scale.series,
            "batch": BATCH,
            "rate": report.spread(figures.rates),
            "cpu_us": {name: report.spread(values) for name, values in parts.items()},
            "rate_of_one_core": report.spread(self._all_on_one()),
            "bytes_of_series": report.short(self._bytes_of_series),
            "alert_seconds": round(self._alert_seconds, 2),
            "alerts_of_noise": self._noise_count,
            "resends": self._resends,
        }

    def table(self) -> str:
        """Return the table."""
        figures = self._figures
        row = [
            f"{self._scale.series:,}",
            *(
                report.shown(report.spread(values))
                for values in (figures.rates, figures.service_us, figures.learning_us, figures.postgres_us)
            ),
            report.shown(report.spread(self._all_on_one())),
        ]
        notes = (
            f"Remote write 1.0, {BATCH:,} points a request; to reach: {REACH:,} a second on one core.",
            f"{self._bytes_of_series / 1024:.0f} KiB of the learning process for each series; an alert "
            f"{self._alert_seconds:.1f} s after its point; {self._resends} requests were sent again.",
            f"{self._noise_count} alerts were raised of points that are ordinary noise.",
        )
        return report.table("Metrics in, verdicts out", notes, _HEAD, [row])

    def _all_on_one(self) -> Sequence[float]:
        figures = self._figures
        used = zip(figures.service_us, figures.learning_us, figures.postgres_us, strict=True)
        return [1e6 / sum(each) for each in used]


@contextmanager
def _on_one_core() -> Iterator[None]:
    """Have what is started meanwhile run on the last core, where there is more than one."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _settled_kib(pid: int) -> int:
    """Return what a process holds once it has loaded what it needs."""
    before, now = -1, resident_kib(pid)
    while now != before:
        time.sleep(2)
        before, now = now, resident_kib(pid)
    return now


def _child_of(pid: int) -> int:
    """Return the learning process of a service, once it is there."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in tasks.read_text().split():
                if b"predictor" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
        time.sleep(0.1)
    raise RuntimeError("the service runs no learning process")


def _send(port: int, headers: dict[str, str], messages: Sequence[bytes]) -> int:
    """Send messages one after the other on one connection; return how often one had to be sent again."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    told = {**headers, "Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
    resends = 0
    try:
        for message in messages:
            while True:
                connection.request("POST", "/ingest/metrics", message, told)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status == 204:
                    break
                if answer.status != 503:
                    raise RuntimeError(f"{answer.status}: {text.decode()}")
                resends += 1
                time.sleep(0.2)
    finally:
        connection.close()
    return resends


def _asked(server: Server, headers: dict[str, str], query: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request(
            "POST", "/graphql", json.dumps({"query": query}), {**headers, "Content-Type": "application/json"}
        )
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    if "errors" in answer:
        raise RuntimeError(str(answer["errors"]))
    return answer["data"]


async def _settled(url: str, tenant_id: TenantId) -> None:
    """Return once all points that were given are taken."""
    connection = await asyncpg.connect(dsn_of(url), server_settings=owner_settings())
    try:
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            if not await connection.fetchval(
                "SELECT given - taken FROM metric_feed WHERE tenant_id = $1", tenant_id
            ):
                return
            await asyncio.sleep(0.05)
    finally:
        await connection.close()
    raise RuntimeError(f"points were not taken within {SETTLE_SECONDS:g} s")


def _labels(number: int) -> bytes:
    """Return the labels of a series as Prometheus writes them: ten, as an exporter of machines has."""
    labels = {
        "__name__": f"node_metric_{number % 200}",
        "cluster": "eu-1",
        "container": "node-exporter",
        "device": f"sd{number % 7}",
        "endpoint": "metrics",
        "instance": f"10.0.{number // 200 // 250}.{number // 200 % 250}:9100",
        "job": "node",
        "mode": "idle",
        "namespace": "monitoring",
        "pod": f"node-exporter-{number // 200:05d}",
    }
    return b"".join(
        _part(1, _part(1, name.encode()) + _part(2, value.encode())) for name, value in sorted(labels.items())
    )


def _part(number: int, contents: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(contents)) + contents


def _varint(value: int) -> bytes:
    raw = bytearray()
    while value >= 0x80:
        raw.append(value & 0x7F | 0x80)
        value >>= 7
    raw.append(value)
    return bytes(raw)
