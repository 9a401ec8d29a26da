"""Following logs: where readings begin, how they fail, and that nobody waits for anybody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from uuid import UUID

import pytest

from alertgraph.core.errors import DependencyError
from alertgraph.core.ids import TenantId
from alertgraph.services import following
from alertgraph.services.following import (
    ATTEMPT_COUNT_MAX,
    BATCH_LENGTH,
    LEASE,
    LOOK_BACK,
    LOOK_BACK_LENGTH,
    PAUSE_MAX,
    PLACE_COUNT,
    Follower,
)
from tests.memory_learning import Digests, Hints, MemoryLogs, MemoryStates, MemoryStore, Told, expected
from tests.virtual import SeededDice, VirtualClock

ONE, TWO = TenantId(UUID(int=1)), TenantId(UUID(int=2))
SECOND = timedelta(seconds=1)


class World:
    """One store, and as many processes as a test wants."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.logs = MemoryLogs(self.clock.now)
        self.store = MemoryStore(self.logs)
        self.hints = Hints()
        self.told = Told()
        self.reader = Digests()
        self.seen: list[tuple[TenantId, int]] = []

    def follower(self, *readers: Digests) -> Follower:
        return Follower(
            readers or (self.reader,),
            self.logs,  # type: ignore[arg-type]
            MemoryStates(self.store, object()),
            self.hints,
            self.clock,
            SeededDice(),
            self.told,
            lambda tenant_id, events: self.seen.append((tenant_id, len(events))),
        )

    @asynccontextmanager
    async def running(self, *readers: Digests) -> AsyncIterator[Follower]:
        """Yield a follower at work; at the end it is stopped as an operator stops it."""
        follower = self.follower(*readers)
        task = asyncio.create_task(follower.run())
        await self.turn()
        try:
            yield follower
        finally:
            task.cancel()
            await asyncio.wait({task})
            await follower.settle()

    async def turn(self) -> None:
        """Let everybody do what can be done at this moment."""
        for _ in range(80):
            await asyncio.sleep(0)

    async def let(self, duration: timedelta) -> None:
        """Let time pass, in steps that the shortest sleep fits in."""
        left = duration
        while left > timedelta(0):
            await self.turn()
            step = min(left, SECOND)
            self.clock.advance(step)
            left -= step
        await self.turn()

    def number(self, follower: Follower, tenant_id: TenantId = ONE, name: str = "digests") -> int | None:
        reading = follower.reading(tenant_id, name)
        return reading.number if reading is not None else None  # type: ignore[attr-defined]


@pytest.fixture
def world() -> World:
    return World()


async def test_events_come_in_order_in_batches(world: World) -> None:
    world.logs.append(ONE, 2 * BATCH_LENGTH + 1)

    async with world.running() as follower:
        assert world.number(follower) == 2 * BATCH_LENGTH + 1

    assert [count for _, count in world.seen] == [BATCH_LENGTH, BATCH_LENGTH, 1]
    assert world.store.states[ONE, "digests"].content[9:] == expected(1, 2 * BATCH_LENGTH + 1)


async def test_a_hint_wakes_at_once_and_the_sweep_within_a_second(world: World) -> None:
    world.logs.append(ONE, 1)
    async with world.running() as follower:
        # Looks in between, at nothing, keep what comes after a quiet from nothing.
        await world.let(2.5 * SECOND)
        await world.hints.announce(ONE, world.logs.append(ONE))
        await world.turn()
        assert world.number(follower) == 2

        world.logs.append(ONE)
        await world.turn()
        assert world.number(follower) == 2
        await world.let(SECOND)
        assert world.number(follower) == 3


async def test_of_a_stream_of_events_those_of_a_moment_are_taken_together(world: World) -> None:
    world.logs.append(ONE, 1)
    async with world.running() as follower:
        for _ in range(100):
            await world.hints.announce(ONE, world.logs.append(ONE))
            await world.let(SECOND / 50)
        await world.let(SECOND)

        assert world.number(follower) == 101
    assert 3 <= len(world.seen) <= 5


async def test_a_new_tenant_is_found_within_two_seconds(world: World) -> None:
    async with world.running() as follower:
        world.logs.append(ONE, 3)
        await world.let(2 * SECOND)

        assert world.number(follower) == 3


async def test_who_begins_reads_a_week_and_so_many_events_at_most(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LOOK_BACK_LENGTH", 50)
    world.logs.append(ONE, 10)
    world.logs.append(TWO, 70)
    world.clock.advance(LOOK_BACK + SECOND)
    world.logs.append(ONE, 5)
    world.logs.append(TWO, 30)
    assert LOOK_BACK_LENGTH == 100_000

    async with world.running() as follower:
        assert (world.number(follower, ONE), world.number(follower, TWO)) == (15, 100)

    assert world.reader.begun == {ONE: 11, TWO: 71}


async def test_time_is_told_about_once_a_second_also_where_nothing_happens(world: World) -> None:
    world.logs.append(ONE, 0)
    async with world.running():
        await world.let(10 * SECOND)

    assert 8 <= world.reader.ticks[ONE] <= 11


async def test_who_comes_next_goes_on_where_it_was_saved(world: World) -> None:
    world.logs.append(ONE, 5)
    async with world.running():
        pass
    world.logs.append(ONE, 2)

    async with world.running() as follower:
        assert world.number(follower) == 7

    assert world.reader.opened == [(ONE, -1), (ONE, 5)]
    assert world.store.states[ONE, "digests"].content[9:] == expected(1, 7)


async def test_what_was_taken_is_saved_within_seconds_and_not_again(world: World) -> None:
    world.logs.append(ONE, 5)
    async with world.running():
        await world.let(6 * SECOND)
        assert world.store.states[ONE, "digests"].cursor.number == 5
        await world.let(300 * SECOND)
        assert world.store.save_count == 1


async def test_a_failing_tenant_is_tried_ever_less_often_and_keeps_nobody_waiting(world: World) -> None:
    def fail(tenant_id: TenantId, number: int) -> None:
        if tenant_id == ONE and number >= 3:
            raise ValueError("poison")

    world.reader.fail = fail
    world.logs.append(ONE, 5)
    world.logs.append(TWO, 1)
    async with world.running() as follower:
        for count in range(2, 30):
            world.logs.append(TWO)
            await world.let(SECOND)
            assert world.number(follower, TWO) == count

        pauses = [pause for _, _, _, pause in world.told.put_offs]
        assert 4 <= len(pauses) <= 6
        assert all(later > earlier for earlier, later in pairwise(pauses))
        assert max(pauses) <= PAUSE_MAX
        assert {tenant_id for tenant_id, *_ in world.told.put_offs} == {ONE}


async def test_what_fails_over_the_same_events_begins_anew_behind_them(world: World) -> None:
    def fail(tenant_id: TenantId, number: int) -> None:
        if 3 <= number <= 5:
            raise ValueError("poison")

    world.logs.append(ONE, 2)
    async with world.running() as follower:
        world.reader.fail = fail
        world.logs.append(ONE, 3)
        await world.let(timedelta(minutes=20))
        assert [why for _, _, why in world.told.anew] == [
            f"it failed {ATTEMPT_COUNT_MAX} times over events up to 5"
        ]
        world.logs.append(ONE, 2)
        await world.let(2 * SECOND)

        assert world.number(follower) == 7
    assert world.reader.begun[ONE] == 6


async def test_what_passes_by_itself_makes_nobody_begin_anew(world: World) -> None:
    is_away = True

    def fail(tenant_id: TenantId, number: int) -> None:
        if is_away:
            raise DependencyError("postgresql", retryable=True)

    world.reader.fail = fail
    world.logs.append(ONE, 5)
    async with world.running() as follower:
        await world.let(timedelta(minutes=5))
        assert len(world.told.put_offs) > ATTEMPT_COUNT_MAX
        is_away = False
        await world.let(5 * SECOND)

        assert world.number(follower) == 5
    assert world.told.anew == []


async def test_who_fails_half_way_takes_the_same_events_again(world: World) -> None:
    failures = [3]

    def fail(tenant_id: TenantId, number: int) -> None:
        if number in failures:
            failures.remove(number)
            raise ValueError("once")

    world.reader.fail = fail
    world.logs.append(ONE, 5)
    async with world.running() as follower:
        await world.let(3 * SECOND)

        assert world.number(follower) == 5
    assert world.store.states[ONE, "digests"].content[9:] == expected(1, 5)
    assert world.reader.effects == {(ONE, number) for number in range(1, 6)}


async def test_those_that_hang_leave_others_their_places(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PATIENCE", timedelta(milliseconds=20))
    hanging = [TenantId(UUID(int=number)) for number in range(10, 10 + PLACE_COUNT)]
    for tenant_id in (*hanging, ONE):
        world.logs.append(tenant_id, 1)
    world.reader.hang = {tenant_id: asyncio.Event() for tenant_id in hanging}

    async with world.running() as follower:
        assert world.number(follower) is None
        await asyncio.sleep(0.1)
        await world.turn()
        assert world.number(follower) == 1
        for released in world.reader.hang.values():
            released.set()
        await world.turn()
        assert {world.number(follower, tenant_id) for tenant_id in hanging} == {1}


async def test_one_reader_that_fails_keeps_no_other_one_waiting(world: World) -> None:
    def fail(tenant_id: TenantId, number: int) -> None:
        raise ValueError("always")

    sound, broken = Digests("sound"), Digests("broken", fail=fail)
    world.logs.append(ONE, 5)
    async with world.running(sound, broken) as follower:
        await world.let(3 * SECOND)

        assert (world.number(follower, ONE, "sound"), world.number(follower, ONE, "broken")) == (5, None)
        figures = follower.figures()
        assert (figures["sound"].failing_count, figures["broken"].failing_count) == (0, 1)
        assert (figures["sound"].behind, figures["broken"].behind) == (0, 5)
        assert follower.behind()[0] == 5


async def test_a_place_that_retention_has_passed_is_given_up_and_it_is_said(world: World) -> None:
    world.logs.append(ONE, 5)
    async with world.running():
        pass
    world.logs.append(ONE, 5)
    world.logs.pruned[ONE] = 8

    async with world.running() as follower:
        assert world.number(follower) == 10

    assert [why for _, _, why in world.told.anew] == ["the log behind its place is gone: retention has passed it"]
    assert world.reader.begun[ONE] == 9


async def test_retention_that_passes_while_it_reads_is_seen(world: World) -> None:
    world.logs.append(ONE, 5)
    async with world.running() as follower:
        world.logs.append(ONE, 5)
        world.logs.pruned[ONE] = 8
        await world.let(2 * SECOND)

        assert world.number(follower) == 10
    assert [why for _, _, why in world.told.anew] == ["retention has passed it"]


async def test_a_state_of_another_form_is_forgotten_and_it_is_said(world: World) -> None:
    world.logs.append(ONE, 5)
    async with world.running():
        pass
    world.reader.format = b"2"

    async with world.running() as follower:
        assert world.number(follower) == 5

    assert [why for _, _, why in world.told.anew] == ["its format is another"]
    assert world.store.states[ONE, "digests"].content[:1] == b"2"


async def test_another_log_is_begun_anew(world: World) -> None:
    world.logs.append(ONE, 5)
    async with world.running():
        pass
    world.logs.log_epoch += 1

    async with world.running():
        pass

    assert [why for _, _, why in world.told.anew] == ["its log is another one: the database was restored"]


async def test_a_backlog_that_is_too_long_is_not_worked_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "BACKLOG_LENGTH_MAX", 100)
    monkeypatch.setattr(following, "LOOK_BACK_LENGTH", 10)
    world.logs.append(ONE, 5)
    async with world.running():
        pass
    world.logs.append(ONE, 101)

    async with world.running() as follower:
        assert world.number(follower) == 106

    assert [why for _, _, why in world.told.anew] == ["it is 101 events behind, more than 100"]
    assert world.reader.begun[ONE] == 97


async def test_a_state_that_is_too_large_is_not_saved(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "STATE_SIZE_MAX", 10)
    world.logs.append(ONE, 5)
    async with world.running():
        await world.let(8 * SECOND)

    assert world.store.states == {}
    assert "bytes" in str(world.told.put_offs[0][2])


async def test_who_has_lost_the_tenant_saves_nothing(world: World) -> None:
    world.logs.append(ONE, 5)
    async with world.running() as follower:
        world.store.leases[ONE] = (object(), world.clock.now() + LEASE)
        await world.let(8 * SECOND)

        assert follower.tenant_count == 0
    assert world.store.states == {}
    assert ONE in world.store.leases


async def test_the_tenants_of_who_dies_are_taken_over_when_the_lease_has_run_out(world: World) -> None:
    world.logs.append(ONE, 5)
    first = world.follower()
    task = asyncio.create_task(first.run())
    await world.let(6 * SECOND)
    tasks = [task, *(tenant.task for tenant in first._tenants.values() if tenant.task is not None)]
    for one in tasks:
        one.cancel()
    await asyncio.wait(tasks)
    world.logs.append(ONE, 2)

    async with world.running() as second:
        assert world.number(second) is None
        await world.let(LEASE + 2 * SECOND)

        assert world.number(second) == 7
    assert world.store.states[ONE, "digests"].content[9:] == expected(1, 7)


async def test_who_slept_past_the_lease_begins_with_what_is_saved(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "RENEW_EVERY", timedelta(hours=1))
    world.logs.append(ONE, 5)
    async with world.running() as follower:
        await world.let(6 * SECOND)
        assert world.reader.opened == [(ONE, -1)]
        await world.let(LEASE)

        # Somebody else may have had it meanwhile, and have come further.
        assert world.reader.opened == [(ONE, -1), (ONE, 5)]
        assert world.number(follower) == 5


async def test_processes_share_the_tenants(world: World) -> None:
    tenants = [TenantId(UUID(int=number)) for number in range(20, 40)]
    for tenant_id in tenants:
        world.logs.append(tenant_id, 1)

    async with world.running() as first:
        assert first.tenant_count == 20
        async with world.running() as second:
            await world.let(10 * SECOND)
            counts = (first.tenant_count, second.tenant_count)
            assert sum(counts) == 20
            assert abs(counts[0] - counts[1]) <= 2
        await world.let(30 * SECOND)
        assert first.tenant_count == 20


async def test_an_erased_tenant_is_let_go(world: World) -> None:
    world.logs.append(ONE, 5)
    world.logs.append(TWO, 5)
    async with world.running() as follower:
        del world.logs.lengths[ONE]
        world.reader.fail = lambda *_: None
        follower._tenants[ONE].seats[0].reading = None
        await world.let(2 * SECOND)

        assert (follower.reading(ONE, "digests"), world.number(follower, TWO)) == (None, 5)
        await world.let(10 * SECOND)
        assert set(world.store.leases) == {TWO}
        assert follower.tenant_count == 1


async def test_who_reads_on_while_heads_are_read_is_not_ahead_of_its_log(world: World) -> None:
    world.logs.append(ONE, 1)
    async with world.running() as follower:
        read = world.logs.heads

        async def slowly(tenant_ids: Collection[TenantId]) -> Mapping[TenantId, int]:
            heads = await read(tenant_ids)
            await world.hints.announce(ONE, world.logs.append(ONE))
            for _ in range(20):
                await asyncio.sleep(0)
            return heads

        world.logs.heads = slowly  # type: ignore[method-assign]
        await world.let(5 * SECOND)
        assert world.number(follower) == 6
    assert world.reader.opened == [(ONE, -1)]


async def test_a_log_that_became_shorter_is_another_one(world: World) -> None:
    world.logs.append(ONE, 5)
    async with world.running() as follower:
        world.logs.lengths[ONE] = 3
        world.logs.log_epoch += 1
        await world.let(6 * SECOND)

        assert world.number(follower) == 3
    assert world.store.states[ONE, "digests"].cursor.log_epoch == 2


async def test_how_long_events_wait_is_told(world: World) -> None:
    world.logs.append(ONE, 1)
    world.reader.hang[ONE] = asyncio.Event()
    async with world.running() as follower:
        await world.let(30 * SECOND)
        behind, seconds = follower.behind()
        assert behind == 1
        assert seconds == pytest.approx(30, abs=2)
        world.reader.hang[ONE].set()
        await world.turn()

        assert follower.behind() == (0, 0.0)
