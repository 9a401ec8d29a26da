"""Following logs under hardship: kills, stores that fail, leases that change hands, clocks that jump.

Whatever happens, each reading ends as if nothing had, and every state that is saved is that of its place.
A failure is a seed: make simulate SEED=n.
"""

from __future__ import annotations

import asyncio
import os
import random
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from alertgraph.core.ids import TenantId
from alertgraph.services.following import LEASE, Follower
from tests.memory_learning import Digests, Hints, MemoryLogs, MemoryStates, MemoryStore, Told, expected, failing
from tests.virtual import SeededDice, VirtualClock

SEED_COUNT = int(os.environ.get("SEEDS", "24"))
PART_COUNT = 6
TENANTS = [TenantId(UUID(int=number)) for number in range(1, 6)]
STEP_COUNT = 60


class JumpingClock:
    """A process's own clock: time passes as it does everywhere, but what it shows may jump."""

    def __init__(self, true: VirtualClock) -> None:
        self._true = true
        self.offset = timedelta(0)

    def now(self) -> datetime:
        return self._true.now() + self.offset

    async def sleep(self, duration: timedelta) -> None:
        await self._true.sleep(max(timedelta(0), duration))


class Process:
    """A learning process, which can be killed."""

    def __init__(self, world: World) -> None:
        self.clock = JumpingClock(world.clock)
        self.readers = [Digests("one", fail=world.spoil), Digests("two", fail=world.spoil)]
        self.follower = Follower(
            self.readers,
            world.logs,  # type: ignore[arg-type]
            MemoryStates(world.store, object()),
            world.hints,
            self.clock,
            SeededDice(world.dice.randrange(1000)),
            world.told,
        )
        self.task = asyncio.create_task(self.follower.run())

    async def kill(self) -> None:
        """End it at once: nothing is saved, nothing is released."""
        tasks = [self.task, *(tenant.task for tenant in self.follower._tenants.values() if tenant.task)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def stop(self) -> None:
        """End it as an operator does."""
        self.task.cancel()
        await asyncio.wait({self.task})
        await self.follower.settle()


class World:
    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.clock = VirtualClock()
        self.logs = MemoryLogs(self.clock.now)
        self.store = MemoryStore(self.logs)
        self.hints = Hints()
        self.told = Told()
        self.processes: list[Process] = []
        self.spoilt = 0.0

    def spoil(self, _: TenantId, __: int) -> None:
        if self.dice.random() < self.spoilt:
            raise ValueError("a reader failed half way")

    async def let(self, seconds: float) -> None:
        """Let everybody work while time passes."""
        left = seconds
        while left > 0:
            for _ in range(30):
                await asyncio.sleep(0)
            step = min(left, 0.5)
            self.clock.advance(timedelta(seconds=step))
            left -= step
            self.check()
        for _ in range(30):
            await asyncio.sleep(0)

    def check(self) -> None:
        """Every saved state is that of its place, whoever saved it."""
        for state in self.store.states.values():
            number = int.from_bytes(state.content[1:9], "big")
            assert number in (state.cursor.number, 0)
            if number:
                assert state.content[9:] == expected(1, number)


async def play(seed: int) -> None:
    world = World(seed)
    dice = world.dice
    for tenant_id in TENANTS:
        world.logs.append(tenant_id, dice.randrange(0, 30))
    world.processes.append(Process(world))
    for _ in range(STEP_COUNT):
        match dice.randrange(12):
            case 0 | 1 | 2 | 3:
                tenant_id = dice.choice(TENANTS)
                number = world.logs.append(tenant_id, dice.choice([1, 1, 5, 1200]))
                if dice.random() < 0.7:
                    await world.hints.announce(tenant_id, number)
            case 4 if world.processes:
                await world.processes.pop(dice.randrange(len(world.processes))).kill()
            case 5 if world.processes:
                await world.processes.pop(dice.randrange(len(world.processes))).stop()
            case 6 if len(world.processes) < 3:
                world.processes.append(Process(world))
            case 7:
                share = dice.choice([0.0, 0.0, 0.3, 1.0])
                world.logs.fault = world.store.fault = failing(dice, share)
            case 8:
                world.spoilt = dice.choice([0.0, 0.0, 0.05])
            case 9 if world.processes:
                jump = dice.choice([timedelta(hours=-1), timedelta(hours=2), timedelta(seconds=-3)])
                dice.choice(world.processes).clock.offset += jump
        await world.let(dice.choice([0.1, 1.0, 1.0, 5.0, 30.0]))
    # From here on nothing goes wrong any more.
    world.logs.fault = world.store.fault = lambda _: None
    world.spoilt = 0.0
    if not world.processes:
        world.processes.append(Process(world))
    for _ in range(40):
        await world.let(LEASE.total_seconds())
        if is_done(world):
            break
    assert is_done(world)
    assert world.told.anew == []
    for process in world.processes:
        await process.stop()
    for tenant_id, length in world.logs.lengths.items():
        for name in ("one", "two"):
            state = world.store.states[tenant_id, name]
            assert (state.cursor.number, state.content[9:]) == (length, expected(1, length))
    assert world.store.leases == {}


def is_done(world: World) -> bool:
    return all(
        any(
            (reading := process.follower.reading(tenant_id, name)) is not None and (reading.number or 0) == length  # type: ignore[attr-defined]
            for process in world.processes
        )
        for tenant_id, length in world.logs.lengths.items()
        for name in ("one", "two")
    )


@pytest.mark.parametrize("part", range(PART_COUNT))
async def test_a_reading_ends_as_if_nothing_had_happened(part: int) -> None:
    only = os.environ.get("SEED")
    seeds = range(part, SEED_COUNT, PART_COUNT) if only is None else [int(only)] if part == 0 else []
    for seed in seeds:
        try:
            await play(seed)
        except BaseException as error:
            error.add_note(f"make simulate SEED={seed}")
            raise
