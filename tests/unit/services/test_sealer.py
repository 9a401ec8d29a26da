"""The loop that seals the logs: fair, bounded, and not to be stopped by an error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from alertgraph.core.checkpoint import Checkpoint, SignedCheckpoint, Tree
from alertgraph.core.errors import DependencyError
from alertgraph.core.ids import TenantId
from alertgraph.core.sealing import Growth, Refusal, TreeState
from alertgraph.services.ports import AuditLag, LostCommitError, SealingTurn
from alertgraph.services.sealer import PAUSE, SWEEP_INTERVAL, TURN_COUNT_MAX, Sealer
from alertgraph.storage.secrets import MasterKey, is_signature
from tests.factories import T0
from tests.virtual import VirtualClock

ONE, TWO = TenantId(UUID(int=1)), TenantId(UUID(int=2))
KEY = MasterKey(bytes(32))


class Backlog:
    """Trees whose logs are numbers of turns that are left."""

    def __init__(self, waiting: dict[TenantId, int]) -> None:
        self.waiting = waiting
        self.turns: list[TenantId] = []
        self.swept = 0
        self.failing: dict[TenantId, BaseException] = {}
        self.away: BaseException | None = None

    async def due(self, now: datetime, limit: int) -> Sequence[TenantId]:
        self.swept += 1
        if self.away is not None:
            raise self.away
        return [tenant_id for tenant_id, count in self.waiting.items() if count][:limit]

    async def keys(self, first_public_key: bytes) -> Sequence[tuple[int, bytes]]:
        return [(1, first_public_key)]

    async def lag(self) -> AuditLag:
        return AuditLag(0, 0)

    async def turn(
        self,
        tenant_id: TenantId,
        kept_size: int | None,
        now: datetime,
        decide: Callable[[TreeState], Growth | Refusal | None],
        sign: Callable[[Checkpoint], SignedCheckpoint],
    ) -> SealingTurn | None:
        if tenant_id in self.failing:
            raise self.failing[tenant_id]
        self.turns.append(tenant_id)
        self.waiting[tenant_id] -= 1
        signed = sign(Checkpoint(Tree(tenant_id, 1), len(self.turns), bytes(32), T0))
        return SealingTurn(signed, 10, has_more=self.waiting[tenant_id] > 0)


class Quiet:
    """A witness that keeps what it is told, or can't."""

    def __init__(self) -> None:
        self.notes: dict[TenantId, str] = {}
        self.failing: OSError | None = None

    def newest(self, tenant_id: TenantId) -> str | None:
        return self.notes.get(tenant_id)

    def keep(self, tenant_id: TenantId, note: str) -> None:
        if self.failing is not None:
            raise self.failing
        self.notes[tenant_id] = note


class Told:
    """What an observer is told."""

    def __init__(self) -> None:
        self.events = 0
        self.failures: list[str] = []

    def sealed(self, *, events: int) -> None:
        self.events += events

    def seal_refused(self, tenant_id: TenantId, *, why: str) -> None:
        self.failures.append(why)

    def failed(self, part: str, error: BaseException) -> None:
        self.failures.append(part)


class Bench:
    """A sealer with all that it uses."""

    def __init__(self, waiting: dict[TenantId, int]) -> None:
        self.backlog, self.witness, self.told, self.clock = Backlog(waiting), Quiet(), Told(), VirtualClock()
        self.sealer = Sealer(self.backlog, KEY.signing_key, is_signature, self.witness, self.clock, self.told)

    async def while_running(self, duration: timedelta) -> None:
        """Let the loop run for that long."""
        task = asyncio.create_task(self.sealer.run())
        until = self.clock.now() + duration
        while self.clock.now() < until:
            # The witness works in a thread.
            await asyncio.sleep(0.001)
            self.clock.advance(PAUSE)
        task.cancel()
        await asyncio.wait({task})


async def test_logs_take_turns_and_all_is_sealed_in_one_sweep() -> None:
    bench = Bench({ONE: 3, TWO: 2})

    await bench.while_running(PAUSE * 40)

    assert bench.backlog.turns == [ONE, TWO, ONE, TWO, ONE]
    assert bench.told.events == 50
    assert bench.backlog.swept == 1
    assert {note.splitlines()[0] for note in bench.witness.notes.values()} == {
        Tree(tenant_id, 1).origin for tenant_id in (ONE, TWO)
    }


async def test_it_looks_every_few_seconds() -> None:
    bench = Bench({})

    await bench.while_running(SWEEP_INTERVAL * 3 + PAUSE)

    assert bench.backlog.swept == 4


@pytest.mark.parametrize("error", [DependencyError("postgresql", retryable=True), LostCommitError("gone")])
async def test_one_tenants_trouble_is_nobody_elses(error: BaseException) -> None:
    bench = Bench({ONE: 1, TWO: 1})
    bench.backlog.failing[ONE] = error

    await bench.while_running(PAUSE * 10)

    assert bench.backlog.turns == [TWO]
    assert bench.told.failures == ["sealing"]
    bench.backlog.failing.clear()
    await bench.while_running(PAUSE * 10)
    assert bench.backlog.turns == [TWO, ONE]


async def test_the_loop_outlives_a_store_that_is_away() -> None:
    bench = Bench({ONE: 1})
    bench.backlog.away = DependencyError("postgresql", retryable=True)
    task = asyncio.create_task(bench.sealer.run())
    await asyncio.sleep(0.01)
    bench.backlog.away = None
    bench.clock.advance(SWEEP_INTERVAL)
    await asyncio.sleep(0.05)
    task.cancel()

    assert bench.told.failures == ["sealing"]
    assert bench.backlog.turns == [ONE]


async def test_a_sweep_is_bounded() -> None:
    bench = Bench({ONE: TURN_COUNT_MAX * 2})
    sweep = asyncio.create_task(bench.sealer.sweep())
    while not sweep.done():
        await asyncio.sleep(0)
        bench.clock.advance(PAUSE)

    assert await sweep == TURN_COUNT_MAX * 10
    assert bench.backlog.waiting[ONE] == TURN_COUNT_MAX


async def test_what_can_not_be_kept_outside_is_told_and_sealed() -> None:
    bench = Bench({ONE: 1})
    bench.witness.failing = PermissionError("read-only")

    await bench.while_running(PAUSE * 10)

    assert bench.told.events == 10
    assert bench.told.failures == ["witness"]
