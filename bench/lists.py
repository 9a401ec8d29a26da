"""Every list, filter, order and figure on a filled database, each by itself and warm, through the storage layer.

One connection, one read at a time, from BEGIN to ROLLBACK; rows are made into what services are given. What HTTP
and GraphQL add is measured by `bench/reads.py`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alertgraph.core.errors import AlertGraphError
from alertgraph.core.ids import TenantId
from alertgraph.storage.database import Database
from alertgraph.storage.reader import Reader
from bench import fill, plots, report
from bench.cases import Case, all_cases, known_of
from bench.installation import Installation

LIMIT_MS = 50.0
# About 0.4 % of all alerts, where the largest has 30 %.
SMALL_PLACE = 12
# What is read again and again as the database grows.
GROWING = (
    "none | TRIGGERED_AT DESC, first",
    "none | LAST_SEEN_AT DESC, first",
    "none | SEVERITY DESC, first",
    "open, critical | TRIGGERED_AT DESC, first",
    "service | TRIGGERED_AT DESC, first",
    "label, rare | TRIGGERED_AT DESC, first",
    "search, three words | TRIGGERED_AT DESC, first",
    "dedup key | TRIGGERED_AT DESC, first",
    "triggered half a year ago | TRIGGERED_AT DESC, first",
    "two pages, half a year ago",
    "none | last",
    "timelines of a page of alerts | last",
    "30 d",
    "none | first",
    "100 alerts by id",
)


@dataclass(frozen=True)
class Scale:
    """How long it may take.

    Attributes:
        runs: Of each case, at most.
        seconds: For each case, unless fewer than `runs_min` were done by then.
        sizes: Of the databases that growth is looked at on.
    """

    runs: int
    seconds: float
    sizes: Sequence[int]
    runs_min: int = 5


QUICK = Scale(runs=10, seconds=0.2, sizes=(10_000, 30_000), runs_min=2)
FULL = Scale(runs=100, seconds=1.5, sizes=(10_000, 100_000, 1_000_000))


@dataclass
class Figures:
    """What one case took on one tenant, in milliseconds, shortest first.

    Attributes:
        refused: What was said where the read was given up.
    """

    took_ms: list[float] = field(default_factory=list)
    refused: str = ""

    def at(self, share: float) -> float:
        """Return the time that this share of the reads stayed within."""
        return self.took_ms[min(len(self.took_ms) - 1, int(share * len(self.took_ms)))]

    def told(self) -> dict[str, object]:
        """Return what stands in the file of results."""
        figures: dict[str, object] = {
            "p50_ms": report.short(self.at(0.5)),
            "p99_ms": report.short(self.at(0.99)),
            "runs": len(self.took_ms),
        }
        return figures | ({"refused": self.refused} if self.refused else {})


async def timed(database: Database, tenant_id: TenantId, case: Case, scale: Scale) -> Figures:
    """Return how long a case takes once it was read before."""
    figures = Figures()
    deadline = time.monotonic() + scale.seconds
    for number in range(scale.runs + 1):
        started = time.perf_counter()
        try:
            async with Reader.open(database, tenant_id) as reader:
                await case.read(reader)
        except AlertGraphError as error:
            figures.refused = error.message
        # The first one makes it warm.
        if number:
            figures.took_ms.append((time.perf_counter() - started) * 1000)
            if number >= scale.runs_min and time.monotonic() > deadline:
                break
    figures.took_ms.sort()
    return figures


async def _cases(database: Database, tenant_id: TenantId) -> list[Case]:
    async with Reader.open(database, tenant_id) as reader:
        return all_cases(await known_of(reader, datetime.now(UTC)))


class Lists:
    """The measurement: every case on the largest tenant and on a small one, in shuffled order."""

    def __init__(
        self, installation: Installation, filled: fill.Filled, scale: Scale, seed: int, only: str = ""
    ) -> None:
        self._installation = installation
        self._filled = filled
        self._scale = scale
        self._random = random.Random(seed)
        self._only = only
        self._tenants = {
            "largest": filled.tenants[0].id,
            "small": filled.tenants[min(SMALL_PLACE, len(filled.tenants) - 1)].id,
        }
        self._cases: list[Case] = []
        self._figures: dict[tuple[str, str], Figures] = {}

    def run(self) -> None:
        """Measure every case on both tenants."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        database = await Database.connect(self._installation.url, pool_size=1)
        try:
            for tenant, tenant_id in self._tenants.items():
                cases = [
                    case for case in await _cases(database, tenant_id) if self._only in f"{case.part}: {case.name}"
                ]
                self._cases = cases
                order = list(cases)
                self._random.shuffle(order)
                for number, case in enumerate(order):
                    if number % 50 == 0:
                        print(f"  lists: {tenant} tenant, {number} of {len(order)}", flush=True)
                    self._figures[case.name, tenant] = await timed(database, tenant_id, case, self._scale)
        finally:
            await database.close()

    @property
    def slow(self) -> list[Case]:
        """The cases above the limit on one tenant at least."""
        return [
            case
            for case in self._cases
            if any(self._figures[case.name, tenant].at(0.99) > LIMIT_MS for tenant in self._tenants)
        ]

    def told(self) -> dict[str, Any]:
        """Return everything, for the file."""
        return {
            "plot": plots.told("Lists, filters, orders and figures from PostgreSQL, warm", self._panels()),
            "limit_ms": LIMIT_MS,
            "above": [case.name for case in self.slow],
            "cases": [
                {
                    "part": case.part,
                    "case": case.name,
                    "unbounded": case.unbounded,
                    **{tenant: self._figures[case.name, tenant].told() for tenant in self._tenants},
                }
                for case in self._cases
            ],
        }

    def _panels(self) -> list[plots.Panel]:
        """Return of each part and tenant the p99 of its cases: their median, the best and the worst."""
        return [
            plots.Panel(
                f"p99 of the cases of each part, {tenant} tenant",
                "ms",
                [
                    plots.Bar(
                        part,
                        report.spread(
                            [
                                self._figures[case.name, tenant].at(0.99)
                                for case in self._cases
                                if case.part == part
                            ]
                        ),
                    )
                    for part in dict.fromkeys(case.part for case in self._cases)
                ],
                better="less",
            )
            for tenant in self._tenants
        ]

    def table(self) -> str:
        """Return the tables: one line for each part, and one for each case above the limit."""
        parts = list(dict.fromkeys(case.part for case in self._cases))
        rows = []
        for part in parts:
            cases = [case for case in self._cases if case.part == part]
            row = [part, str(len(cases))]
            for tenant in self._tenants:
                p99s = sorted(self._figures[case.name, tenant].at(0.99) for case in cases)
                p50s = sorted(self._figures[case.name, tenant].at(0.5) for case in cases)
                row += [
                    f"{report.median(p50s):.1f}",
                    f"{p99s[int(0.95 * (len(p99s) - 1))]:.1f}",
                    f"{p99s[-1]:.1f}",
                    str(sum(p99 > LIMIT_MS for p99 in p99s)),
                ]
            rows.append(row)
        tenant_head = ("median p50 ms", "95 % of p99 ms", "worst p99 ms", f"> {LIMIT_MS:.0f} ms")
        head = ("part", "cases", *(f"{tenant}: {name}" for tenant in self._tenants for name in tenant_head))
        notes = (
            f"{self._filled.alert_count:,} alerts; one connection, warm; the largest tenant has 30 %, "
            "the small one 0.4 %.",
        )
        slow = [
            [
                case.name,
                case.part,
                *(
                    f"{figures.at(share):,.1f}"
                    for tenant in self._tenants
                    for figures in (self._figures[case.name, tenant],)
                    for share in (0.5, 0.99)
                ),
                case.unbounded
                + "".join(
                    f" [{tenant}: {self._figures[case.name, tenant].refused}]"
                    for tenant in self._tenants
                    if self._figures[case.name, tenant].refused
                ),
            ]
            for case in self.slow
        ]
        text = report.table("Lists, filters, orders and figures, by parts", notes, head, rows)
        slow_head = ("case", "part", "largest p50", "p99", "small p50", "p99", "why")
        if slow:
            text += "\n" + report.table(f"Above {LIMIT_MS:.0f} ms at p99", (), slow_head, slow)
        return text


class Growth:
    """The same reads on databases of growing size: what is read by an index takes as long on each.

    Args:
        directory: Where databases are made.
        kept: A filled one that is there, and how many alerts it has; the last to be measured.
    """

    def __init__(self, directory: Path, kept: tuple[Path, int] | None, scale: Scale, seed: int) -> None:
        self._directory = directory
        self._kept = kept
        self._scale = scale
        self._seed = seed
        self._figures: dict[int, dict[str, Figures]] = {}
        self.facts: dict[str, object] = {}

    def run(self) -> None:
        """Fill a database of each size, and measure on its largest tenant."""
        places = [(self._directory / f"size-{size}", size) for size in self._scale.sizes]
        if self._kept is not None:
            places.append(self._kept)
        for path, size in places:
            with Installation(path) as installation:
                self._measure(installation, size)
                self.facts = installation.facts()

    def _measure(self, installation: Installation, size: int) -> None:
        print(f"  growth: {size:,} alerts", flush=True)
        filled = fill.filled(installation, size, self._seed)
        self._figures[size] = asyncio.run(self._timed(installation.url, filled.tenants[0].id))

    async def _timed(self, url: str, tenant_id: TenantId) -> dict[str, Figures]:
        database = await Database.connect(url, pool_size=1)
        try:
            cases = {case.name: case for case in await _cases(database, tenant_id)}
            return {name: await timed(database, tenant_id, cases[name], self._scale) for name in GROWING}
        finally:
            await database.close()

    def told(self) -> dict[str, Any]:
        """Return everything, for the file."""
        return {
            "plot": plots.told("The same reads as the database grows", [self._panel()]),
            "sizes": list(self._figures),
            "cases": [
                {"case": name, **{str(size): figures[name].told() for size, figures in self._figures.items()}}
                for name in GROWING
            ],
        }

    def _panel(self) -> plots.Panel:
        """Return the median of each read over the number of alerts."""
        lines = {
            name: [
                (float(size), report.spread([figures[name].at(0.5)])) for size, figures in self._figures.items()
            ]
            for name in GROWING[:5]
        }
        return plots.Panel("p50 of a read", "ms", lines=lines, x_label="alerts", better="less")

    def table(self) -> str:
        """Return the table."""
        sizes = list(self._figures)
        rows = [
            [
                name,
                *(
                    f"{figures[name].at(0.5):.1f} / {figures[name].at(0.99):.1f}"
                    for figures in self._figures.values()
                ),
                f"{self._figures[sizes[-1]][name].at(0.5) / self._figures[sizes[0]][name].at(0.5):.1f}",
            ]
            for name in GROWING
        ]
        head = ("p50 / p99 ms", *(f"{size:,} alerts" for size in sizes), "largest / smallest")
        notes = ("The largest tenant of each, which has 30 %; one connection, warm.",)
        return report.table("The same reads as the database grows", notes, head, rows)
