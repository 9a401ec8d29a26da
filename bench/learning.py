"""What learning costs those who only send: creates with the learning process at work, and without it.

Two installations, equal but for `CRITICAL_ALERT_ML_ENABLED`, asked in shuffled order; the one that is not asked
has nothing to do. The learning process shares the two cores with everything else, and comes after it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from alertgraph.storage.migrate import dsn_of, owner_settings
from bench import plots, report, writes
from bench.installation import Installation, Measured, Server, TenantWithKey, alertgraph_server, measure
from bench.load import Job

WITH, WITHOUT = "with learning", "without"
CASES = ("alertgraph, REST", "alertgraph, REST bulk")
REACH = 0.8
"""How much of the rate without learning is to be left with it."""

SETTLE_SECONDS, START_SECONDS = 90.0, 60.0
# What is sent before a measurement, so that tenants are known: requests, and no longer than this.
FIRST_SECONDS, FIRST_COUNT = 2.0, 100
_HEAD = (
    *("case", "without", "with learning", "ratio", "CPU without, µs", "CPU with, µs"),
    *("predicted when the load ended", "after, p50 s", "p95 s"),
)

_PREDICTED = """
SELECT count(p.alert_id)::int AS predicted, count(*)::int AS alerts,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY p.predicted_at - a.last_seen_at) AS p50,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY p.predicted_at - a.last_seen_at) AS p95
FROM alert_open a LEFT JOIN prediction p ON p.tenant_id = a.tenant_id AND p.alert_id = a.id
WHERE a.tenant_id = ANY ($1)
"""


@dataclass(frozen=True)
class Scale:
    """How long it may take.

    Attributes:
        seconds: Of one measurement.
    """

    rounds: int
    seconds: float


QUICK = Scale(rounds=1, seconds=2.0)
FULL = Scale(rounds=5, seconds=6.0)


@dataclass
class Figures:
    """What the rounds gave for one case.

    Attributes:
        rates: Alerts a second, by side.
        cpu_us: Of service, learning process and PostgreSQL for each alert while it was sent, by side.
        predicted: Share of the alerts that had a prediction when the load ended.
        after: Seconds until half and until 95 of 100 were predicted, from when they came in.
        unpredicted: Alerts without a prediction once it had settled.
    """

    rates: dict[str, list[float]] = field(default_factory=lambda: {WITH: [], WITHOUT: []})
    cpu_us: dict[str, list[float]] = field(default_factory=lambda: {WITH: [], WITHOUT: []})
    predicted: list[float] = field(default_factory=list)
    after: list[tuple[float, float]] = field(default_factory=list)
    unpredicted: int = 0


@dataclass(frozen=True)
class _Predicted:
    alerts: int
    predicted: int
    p50: float
    p95: float

    @property
    def share(self) -> float:
        return self.predicted / self.alerts if self.alerts else 0.0


class Learning:
    """The measurement.

    Raises:
        SystemExit: What learns is not installed: there is nothing to measure.
    """

    def __init__(self, directory: Path, scale: Scale, seed: int) -> None:
        if importlib.util.find_spec("torch") is None:
            raise SystemExit("torch is not installed: pip install -r requirements-ml.txt")
        self._directory = directory
        self._scale = scale
        self._random = random.Random(seed)
        self._number = 0
        self._cases = [
            case
            for case in writes.cases()
            if case.name in CASES and case.tenants == writes.TENANT_COUNT and not case.repeats
        ]
        self._figures = {case: Figures() for case in self._cases}
        self.facts: Mapping[str, object] = {}

    def run(self) -> None:
        """Measure each case on each side in every round."""
        for side in (WITH, WITHOUT):
            (self._directory / side).mkdir()
        with (
            Installation(self._directory / WITH / "data") as learning,
            Installation(self._directory / WITHOUT / "data") as plain,
        ):
            self.facts = learning.facts()
            installations = {WITH: learning, WITHOUT: plain}
            servers: dict[str, Server] = {}
            try:
                for side, installation in installations.items():
                    more = {"CRITICAL_ALERT_ML_ENABLED": str(side == WITH).lower()}
                    servers[side] = alertgraph_server(installation, self._directory / side, more)
                self._await_first(learning, servers[WITH])
                for number in range(self._scale.rounds):
                    print(f"  learning: round {number + 1} of {self._scale.rounds}", flush=True)
                    work = [(case, side) for case in self._cases for side in (WITH, WITHOUT)]
                    self._random.shuffle(work)
                    for case, side in work:
                        self._measure(case, side, installations[side], servers[side])
            finally:
                for server in servers.values():
                    server.stop()

    def _measure(self, case: writes.Case, side: str, installation: Installation, server: Server) -> None:
        self._number += 1
        tenants = installation.tenants(f"l{self._number}", case.tenants)
        # Each is known by then, as tenants are that send: what opening costs is no part of what sending costs.
        self._load(case, installation, server, tenants, FIRST_SECONDS, FIRST_COUNT)
        if side == WITH:
            _settled(installation, tenants)
        measured = self._load(case, installation, server, tenants, self._scale.seconds)
        figures = self._figures[case]
        figures.rates[side].append(measured.load.per_second * case.items)
        figures.cpu_us[side].append((measured.server_cpu_us + measured.postgres_cpu_us) / case.items)
        if side == WITH:
            figures.predicted.append(_predicted(installation, tenants).share)
            settled = _settled(installation, tenants)
            figures.after.append((settled.p50, settled.p95))
            figures.unpredicted += settled.alerts - settled.predicted

    def _load(
        self,
        case: writes.Case,
        installation: Installation,
        server: Server,
        tenants: Sequence[TenantWithKey],
        seconds: float,
        count_max: int = 0,
    ) -> Measured:
        self._number += 1
        assert case.targets is not None, "it has requests"
        count_max = count_max or writes.TENANT_ALERT_COUNT_MAX * case.tenants // case.items
        targets = case.targets(tenants, f"l{self._number}")
        return measure(Job(server.port, case.connections, targets, seconds, count_max), server, installation)

    def _await_first(self, installation: Installation, server: Server) -> None:
        """Wait until a prediction is made at all: the process that learns starts after the one that answers."""
        case = self._cases[0]
        tenants = installation.tenants("first", case.tenants)
        self._load(case, installation, server, tenants, FIRST_SECONDS, FIRST_COUNT)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if _predicted(installation, tenants).predicted:
                return
            time.sleep(0.2)
        raise SystemExit(f"nothing was predicted within {START_SECONDS:g} s: {server.complaints()}")

    # --------------------------------------------------------------------------------------- telling

    def told(self) -> dict[str, Any]:
        """Return everything, for the file."""
        panels = [
            plots.Panel(
                case.group,
                "alerts a second",
                [plots.Bar(side, report.spread(figures.rates[side])) for side in (WITHOUT, WITH)],
            )
            for case, figures in self._figures.items()
        ]
        return {
            "plot": plots.told("Creates with the learning process at work", panels),
            "reach": REACH,
            "cases": [
                {
                    "group": case.group,
                    "name": case.name,
                    "rates": {side: report.spread(rates) for side, rates in figures.rates.items()},
                    "ratio": self._ratio(figures),
                    "cpu_us": {side: report.spread(values) for side, values in figures.cpu_us.items()},
                    "predicted_at_the_end": report.spread(figures.predicted),
                    "after_p50_s": report.spread([half for half, _ in figures.after]),
                    "after_p95_s": report.spread([most for _, most in figures.after]),
                    "unpredicted": figures.unpredicted,
                }
                for case, figures in self._figures.items()
            ],
        }

    def table(self) -> str:
        """Return the table."""
        rows = [
            [
                case.group,
                report.shown(report.spread(figures.rates[WITHOUT])),
                report.shown(report.spread(figures.rates[WITH])),
                report.shown(self._ratio(figures)),
                f"{report.median(figures.cpu_us[WITHOUT]):.0f}",
                f"{report.median(figures.cpu_us[WITH]):.0f}",
                f"{report.median(figures.predicted) * 100:.0f} %",
                f"{report.median([half for half, _ in figures.after]):.1f}",
                f"{report.median([most for _, most in figures.after]):.1f}",
            ]
            for case, figures in self._figures.items()
        ]
        missing = sum(figures.unpredicted for figures in self._figures.values())
        notes = (
            f"Alerts a second over REST; to reach: {REACH:g} of the rate without learning. Both share two cores.",
            f"{missing} alerts had no prediction {SETTLE_SECONDS:g} s after the load."
            if missing
            else "All were predicted.",
        )
        return report.table("Creates with the learning process at work", notes, _HEAD, rows)

    def _ratio(self, figures: Figures) -> dict[str, float]:
        return report.ratio_of(figures.rates[WITH], figures.rates[WITHOUT])


def _predicted(installation: Installation, tenants: Sequence[TenantWithKey]) -> _Predicted:
    return asyncio.run(_counted(installation.url, [tenant.id for tenant in tenants]))


def _settled(installation: Installation, tenants: Sequence[TenantWithKey]) -> _Predicted:
    """Return what was predicted once everything is, or nothing more comes."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        found = _predicted(installation, tenants)
        if found.predicted == found.alerts or time.monotonic() > deadline:
            return found
        time.sleep(0.5)


async def _counted(url: str, tenant_ids: Sequence[object]) -> _Predicted:
    connection = await asyncpg.connect(dsn_of(url), server_settings=owner_settings())
    try:
        row = await connection.fetchrow(_PREDICTED, tenant_ids)
    finally:
        await connection.close()
    p50, p95 = (value.total_seconds() if value is not None else 0.0 for value in (row["p50"], row["p95"]))
    return _Predicted(row["alerts"], row["predicted"], p50, p95)
