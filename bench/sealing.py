"""What sealing costs those who send: creates while the sealer works behind them, and while it is kept from it.

One service on one installation; in the rounds without, the rows that a sealer takes its turns by are held by
somebody else, so that it passes by as if another process was at work.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from alertgraph.storage.migrate import dsn_of, owner_settings
from bench import plots, report, writes
from bench.installation import Installation, Measured, Server, TenantWithKey, alertgraph_server, measure
from bench.load import Job
from bench.machine import cpu_seconds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WITH, WITHOUT = "with the sealer", "without"
CASES = ("alertgraph, REST", "alertgraph, REST bulk")
_HEAD = (
    *("case", "without", "with the sealer", "ratio", "CPU without, µs", "CPU with, µs", "ratio"),
    *("p99 without, ms", "p99 with, ms", "sealed meanwhile", "an event, µs"),
)

IDLE_SECONDS, SETTLE_SECONDS, POLL_SECONDS = 3.0, 15.0, 0.5

_BEGIN = """
INSERT INTO audit_tree (tenant_id, log_epoch, first_number)
SELECT tenant_id, log_epoch, pruned_number + 1 FROM tenant_head WHERE tenant_id = ANY ($1) ON CONFLICT DO NOTHING
"""
_HOLD = "SELECT FROM audit_tree WHERE tenant_id = ANY ($1) FOR UPDATE"
_SEALED = """
SELECT coalesce(sum(t.size), 0)::bigint AS sealed, sum(h.number)::bigint AS events FROM tenant_head h
LEFT JOIN audit_tree t ON t.tenant_id = h.tenant_id WHERE h.tenant_id = ANY ($1)
"""


@dataclass(frozen=True)
class Scale:
    """How long it may take.

    Attributes:
        seconds: Of one measurement; a sealer looks every five.
    """

    rounds: int
    seconds: float


QUICK = Scale(rounds=1, seconds=6.0)
FULL = Scale(rounds=5, seconds=12.0)


@dataclass
class Figures:
    """What the rounds gave for one case.

    Attributes:
        rates: Alerts a second, by side.
        p99: Milliseconds, by side.
        cpu_us: Of service and PostgreSQL for each alert, by side; it says something also where others work beside.
        each_us: Microseconds of processor time that sealing an event took, after the load.
        sealed: Share of the events that were signed when the load ended.
    """

    rates: dict[str, list[float]] = field(default_factory=lambda: {WITH: [], WITHOUT: []})
    p99: dict[str, list[float]] = field(default_factory=lambda: {WITH: [], WITHOUT: []})
    cpu_us: dict[str, list[float]] = field(default_factory=lambda: {WITH: [], WITHOUT: []})
    each_us: list[float] = field(default_factory=list)
    sealed: list[float] = field(default_factory=list)


class Sealing:
    """The measurement."""

    def __init__(self, installation: Installation, directory: Path, scale: Scale, seed: int) -> None:
        self._installation = installation
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
        # Seconds of processor time that everything takes in a second in which nothing happens.
        self._idle = 0.0

    def run(self) -> None:
        """Measure each case on each side in every round."""
        more = {"CRITICAL_ALERT_ML_ENABLED": "false"}
        server = alertgraph_server(self._installation, self._directory, more)
        try:
            before = self._cpu(server)
            time.sleep(IDLE_SECONDS)
            self._idle = (self._cpu(server) - before) / IDLE_SECONDS
            for number in range(self._scale.rounds):
                print(f"  sealing: round {number + 1} of {self._scale.rounds}", flush=True)
                work = [(case, side) for case in self._cases for side in (WITH, WITHOUT)]
                self._random.shuffle(work)
                for case, side in work:
                    asyncio.run(self._measure(case, side, server))
        finally:
            server.stop()

    async def _measure(self, case: writes.Case, side: str, server: Server) -> None:
        self._number += 1
        prefix = f"s{self._number}"
        tenants = await asyncio.to_thread(self._installation.tenants, prefix, case.tenants)
        async with self._kept(tenants, side):
            sealed_before, events_before = await self._sealed(tenants)
            measured: Measured = await asyncio.to_thread(self._load, case, tenants, prefix, server)
            sealed_after, events_after = await self._sealed(tenants)
        sealed = (sealed_after - sealed_before) / max(1, events_after - events_before)
        figures = self._figures[case]
        figures.rates[side].append(measured.load.per_second * case.items)
        figures.cpu_us[side].append((measured.server_cpu_us + measured.postgres_cpu_us) / case.items)
        figures.p99[side].append(measured.load.p99_ms)
        if side == WITH:
            figures.sealed.append(sealed)
        else:
            assert sealed == 0, "nobody was to seal"
        cost = await self._settled(tenants, server)
        if side == WITHOUT:
            figures.each_us.append(cost)

    async def _settled(self, tenants: Sequence[TenantWithKey], server: Server) -> float:
        """Let what is due be signed, or the next measurement would have it; return microseconds for each event.

        Of each tenant less than a thousand events may be left, which would be due after a minute.
        """
        began, cpu, taken, count = time.monotonic(), self._cpu(server), 0.0, 0
        sealed, events = await self._sealed(tenants)
        while sealed < events and time.monotonic() - began < SETTLE_SECONDS:
            await asyncio.sleep(POLL_SECONDS)
            before, cpu_before = sealed, cpu
            sealed, events = await self._sealed(tenants)
            cpu = self._cpu(server)
            if sealed > before:
                count += sealed - before
                taken += max(0.0, cpu - cpu_before - self._idle * POLL_SECONDS)
        return taken * 1e6 / max(1, count)

    def _cpu(self, server: Server) -> float:
        return cpu_seconds(server.pid, children=True) + cpu_seconds(self._installation.pid, children=True)

    def _load(self, case: writes.Case, tenants: Sequence[TenantWithKey], prefix: str, server: Server) -> Measured:
        assert case.targets is not None, "it has requests"
        count_max = writes.TENANT_ALERT_COUNT_MAX * case.tenants // case.items
        job = Job(server.port, case.connections, case.targets(tenants, prefix), self._scale.seconds, count_max)
        return measure(job, server, self._installation)

    def _kept(self, tenants: Sequence[TenantWithKey], side: str) -> AbstractAsyncContextManager[None]:
        return self._held(tenants, holds=side == WITHOUT)

    @asynccontextmanager
    async def _held(self, tenants: Sequence[TenantWithKey], *, holds: bool) -> AsyncIterator[None]:
        """Keep the sealer from these tenants, or let it work; what is asked of the server is the same."""
        connection = await self._connected()
        try:
            ids = [tenant.id for tenant in tenants]
            await connection.execute(_BEGIN, ids)
            if not holds:
                yield
                return
            async with connection.transaction():
                await connection.fetch(_HOLD, ids)
                yield
        finally:
            await connection.close()

    async def _sealed(self, tenants: Sequence[TenantWithKey]) -> tuple[int, int]:
        """Return how many events of these tenants are signed, and how many there are."""
        connection = await self._connected()
        try:
            row = await connection.fetchrow(_SEALED, [tenant.id for tenant in tenants])
        finally:
            await connection.close()
        return row["sealed"], row["events"]

    async def _connected(self) -> Any:
        return await asyncpg.connect(dsn_of(self._installation.url), server_settings=owner_settings())

    # --------------------------------------------------------------------------------------- telling

    def told(self) -> Mapping[str, Any]:
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
            "plot": plots.told("Creates with the sealer at work", panels),
            "cases": [
                {
                    "group": case.group,
                    "name": case.name,
                    "rates": {side: report.spread(rates) for side, rates in figures.rates.items()},
                    "p99_ms": {side: report.spread(values) for side, values in figures.p99.items()},
                    "ratio": self._ratio(figures),
                    "cpu_us": {side: report.spread(values) for side, values in figures.cpu_us.items()},
                    "cpu_ratio": report.ratio_of(figures.cpu_us[WITH], figures.cpu_us[WITHOUT]),
                    "cpu_us_each_event": report.spread(figures.each_us),
                    "sealed_at_the_end": report.spread(figures.sealed),
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
                report.shown(report.ratio_of(figures.cpu_us[WITH], figures.cpu_us[WITHOUT])),
                f"{report.median(figures.p99[WITHOUT]):.0f}",
                f"{report.median(figures.p99[WITH]):.0f}",
                f"{report.median(figures.sealed) * 100:.0f} %",
                f"{report.median(figures.each_us):.1f}",
            ]
            for case, figures in self._figures.items()
        ]
        notes = (f"Alerts a second over REST, {writes.TENANT_COUNT} tenants; both share two cores.",)
        return report.table("Creates with the sealer at work", notes, _HEAD, rows)

    def _ratio(self, figures: Figures) -> dict[str, float]:
        return report.ratio_of(figures.rates[WITH], figures.rates[WITHOUT])
