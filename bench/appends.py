"""What appending costs PostgreSQL: flushes of one to a hundred alerts, each in a transaction or six in one.

And what it costs to write down what the model says of as many alerts, and to end those afterwards.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from alertgraph.core.action import Action, ById, Fire, Predict, Resolve
from alertgraph.core.actor import MODEL, Actor, ActorKind
from alertgraph.core.alert import Alert, Draft
from alertgraph.core.batch import Batch, Request
from alertgraph.core.flush import Flush, Loaded, TenantConfig
from alertgraph.core.ids import AlertId, FlushId, TenantId, uuid7
from alertgraph.core.prediction import DurationEstimate, Prediction
from alertgraph.core.severity import Severity
from alertgraph.core.value import replace
from alertgraph.storage.database import Connection, Database
from alertgraph.storage.log import PostgresLog, append
from bench import plots, report
from bench.installation import Installation
from bench.words import alert_input

TENANT_COUNT = 20
LENGTHS = (1, 3, 10, 100)
TOGETHER = 6
_SENDER = Actor(ActorKind.SENDER, "prometheus", "key:bench")
# What the model looks at of an alert, as it writes it.
_FEATURES_LENGTH = 300
_WHAT = {"new": "new", "predicted": "predicted", "ended": "ended, half of them predicted"}
_HEAD = ("what", "alerts of a flush", "µs a flush", "µs an alert", f"µs a flush, {TOGETHER} in a transaction")


@dataclass(frozen=True)
class Scale:
    """How long it may take.

    Attributes:
        alerts: Of each measurement, at least.
    """

    rounds: int
    alerts: int


QUICK = Scale(rounds=2, alerts=120)
FULL = Scale(rounds=7, alerts=1200)


class Appends:
    """Appends new alerts of 20 tenants on one connection and reads what its server process used."""

    def __init__(self, installation: Installation, scale: Scale, seed: int) -> None:
        self._installation = installation
        self._scale = scale
        self._random = random.Random(seed)
        self._number = 0
        self._used: dict[tuple[int, int], list[float]] = {}
        self._later: dict[tuple[str, int], list[float]] = {}

    def run(self) -> None:
        """Measure every length both ways, in a shuffled order in each round; the first is not counted."""
        tenants = [each.id for each in self._installation.tenants("appends", TENANT_COUNT)]
        asyncio.run(self._run(tenants))

    async def _run(self, tenants: Sequence[TenantId]) -> None:
        database = await Database.connect(self._installation.url, pool_size=2)
        try:
            log = PostgresLog(database)
            configs = {tenant_id: await log.config(tenant_id) for tenant_id in tenants}
            async with database.connection() as connection:
                process: int = await connection.fetchval("SELECT pg_backend_pid()")
                for number in range(self._scale.rounds + 1):
                    cases = [(length, together) for length in LENGTHS for together in (1, TOGETHER)]
                    self._random.shuffle(cases)
                    for case in cases:
                        used = await self._measured(connection, process, configs, *case)
                        if number:
                            self._used.setdefault(case, []).append(used)
                    for length in LENGTHS:
                        for what, used in await self._life(connection, process, configs, length):
                            if number:
                                self._later.setdefault((what, length), []).append(used)
        finally:
            await database.close()

    async def _measured(
        self,
        connection: Connection,
        process: int,
        configs: dict[TenantId, TenantConfig | None],
        length: int,
        together: int,
    ) -> float:
        """Return the microseconds of processor time that a flush took."""
        tenants = list(configs)
        count = max(2 * together, self._scale.alerts // length // together * together)
        flushes = []
        for index in range(count):
            tenant_id = tenants[index % len(tenants)]
            config = configs[tenant_id]
            assert config is not None, "the tenant was made just now"
            flushes.append((tenant_id, self._flush(config, length)))
        before = _used_us(process)
        for begin in range(0, count, together):
            if together > 1:
                await connection.execute("BEGIN")
            for tenant_id, flush in flushes[begin : begin + together]:
                await append(connection, tenant_id, flush)
            if together > 1:
                await connection.execute("COMMIT")
        # Its last answer is on its way before it has put its things away.
        await asyncio.sleep(0.01)
        return (_used_us(process) - before) / count

    async def _life(
        self, connection: Connection, process: int, configs: dict[TenantId, TenantConfig | None], length: int
    ) -> list[tuple[str, float]]:
        """Return the microseconds that it takes to predict alerts, and to end as many, half of them predicted."""
        kept: list[tuple[TenantId, TenantConfig, list[Alert], list[Alert]]] = []
        for index in range(max(2, self._scale.alerts // length)):
            tenant_id = list(configs)[index % len(configs)]
            config = configs[tenant_id]
            assert config is not None, "the tenant was made just now"
            first = await self._made(connection, tenant_id, config, length)
            second = await self._made(connection, tenant_id, config, length)
            kept.append((tenant_id, config, first, second))
        took = []
        for what in ("predicted", "ended"):
            flushes = []
            for tenant_id, config, first, second in kept:
                actions: list[Action] = [
                    Predict(ById(alert.id), self._prediction(), self._random.randbytes(_FEATURES_LENGTH))
                    if what == "predicted"
                    else Resolve(ById(alert.id))
                    for alert in (first if what == "predicted" else [*first[::2], *second[1::2]])
                ]
                flushes.append((tenant_id, first, self._decided(config, [*first, *second], actions)))
            before = _used_us(process)
            numbers = [
                (await append(connection, tenant_id, flush)).first_number for tenant_id, _, flush in flushes
            ]
            await asyncio.sleep(0.01)
            took.append((what, (_used_us(process) - before) / len(flushes)))
            for (_, alerts, flush), first_number in zip(flushes, numbers, strict=True):
                alerts[:] = _written(flush, first_number)
        return took

    async def _made(
        self, connection: Connection, tenant_id: TenantId, config: TenantConfig, length: int
    ) -> list[Alert]:
        flush = self._flush(config, length)
        appended = await append(connection, tenant_id, flush)
        return _written(flush, appended.first_number)

    def _decided(self, config: TenantConfig, alerts: Sequence[Alert], actions: Sequence[Action]) -> Flush:
        batch = Batch(Loaded({}, {alert.id: alert for alert in alerts}, {}), config, datetime.now(UTC), 5)
        for action in actions:
            batch.apply(Request((action,), (AlertId(UUID(int=0)),), MODEL))
        return batch.flush(FlushId(UUID(int=self._random.getrandbits(128))))

    def _prediction(self) -> Prediction:
        incident, breach, itself = (self._random.random() for _ in range(3))
        times = DurationEstimate(timedelta(minutes=9), timedelta(minutes=1), timedelta(hours=3))
        return Prediction("torch_v1", datetime.now(UTC), incident, breach, itself, times, times)

    def _flush(self, config: TenantConfig, length: int) -> Flush:
        now = datetime.now(UTC)
        batch = Batch(Loaded({}, {}, {}), config, now, 5)
        for _ in range(length):
            self._number += 1
            said = alert_input(self._number % 20)
            draft = Draft(
                title=said["title"],
                severity=Severity[said["severity"]],
                source="prometheus",
                description=said["description"],
                monitored_service=said["monitoredService"],
                dedup_key=f"appended-{self._number}",
                labels=said["labels"],
                annotations=said["annotations"],
            )
            new_id = AlertId(uuid7(now, self._random.getrandbits(74)))
            batch.apply(Request((Fire(draft),), (new_id,), _SENDER))
        return batch.flush(FlushId(UUID(int=self._random.getrandbits(128))))

    # --------------------------------------------------------------------------------------- telling

    def told(self) -> dict[str, Any]:
        """Return everything, for the file."""
        bars = [
            plots.Bar(_label(length, together), report.spread(used))
            for (length, together), used in sorted(self._used.items())
        ]
        panel = plots.Panel("PostgreSQL's processor time for a flush", "µs", bars, better="less")
        return {
            "plot": plots.told("What appending costs", [panel]),
            "cases": [
                {"alerts": length, "together": together, "us_a_flush": report.spread(used)}
                for (length, together), used in sorted(self._used.items())
            ],
            "later": [
                {"what": what, "alerts": length, "us_a_flush": report.spread(used)}
                for (what, length), used in sorted(self._later.items())
            ],
        }

    def table(self) -> str:
        """Return the table."""
        rows = []
        for length in LENGTHS:
            alone, six = self._used[length, 1], self._used[length, TOGETHER]
            an_alert = report.median(alone) / length
            shown = (report.shown(report.spread(alone)), f"{an_alert:.0f}", report.shown(report.spread(six)))
            rows.append([_WHAT["new"], str(length), *shown])
        for (what, length), used in sorted(
            self._later.items(), key=lambda item: (item[0][0] == "ended", item[0][1])
        ):
            an_alert = report.median(used) / length
            rows.append([_WHAT[what], str(length), report.shown(report.spread(used)), f"{an_alert:.0f}", ""])
        notes = (f"New alerts of {TENANT_COUNT} tenants in turn, durable; processor time of one server process.",)
        return report.table("Appends", notes, _HEAD, rows)


def _label(length: int, together: int) -> str:
    alerts = "1 alert" if length == 1 else f"{length} alerts"
    return alerts if together == 1 else f"{alerts}, {together} flushes in a transaction"


def _written(flush: Flush, first_number: int) -> list[Alert]:
    """Return the alerts of a flush as they are once it is written."""
    return [replace(write.alert, version=first_number + write.event_index) for write in flush.writes]


def _used_us(process: int) -> float:
    """Return the processor time that a process has used, to the microsecond: one flush is less than a tick."""
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1000
