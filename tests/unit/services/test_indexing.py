"""The loop that keeps the search index up to date: fair, and not to be stopped by an error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from uuid import UUID

from alertgraph.core.errors import DependencyError
from alertgraph.core.ids import TenantId
from alertgraph.services.indexing import BATCH_LENGTH, PATIENCE, PAUSE, SWEEP_INTERVAL, IndexingService
from tests.virtual import VirtualClock

ONE, TWO = TenantId(UUID(int=1)), TenantId(UUID(int=2))


class Backlog:
    """An index whose logs are numbers of events that wait to be read."""

    def __init__(self) -> None:
        self.waiting: dict[TenantId, int] = {}
        self.advanced: list[TenantId] = []
        self.swept = 0
        self.failing: BaseException | None = None

    async def tenants_behind(self, limit: int) -> Sequence[TenantId]:
        self.swept += 1
        return [tenant_id for tenant_id, count in self.waiting.items() if count][:limit]

    async def advance(self, tenant_id: TenantId, limit: int) -> int:
        if self.failing is not None:
            raise self.failing
        self.advanced.append(tenant_id)
        count = min(self.waiting.get(tenant_id, 0), limit)
        self.waiting[tenant_id] = self.waiting.get(tenant_id, 0) - count
        return count


class Failures:
    """What an observer is told of failures."""

    def __init__(self) -> None:
        self.told: list[tuple[str, BaseException]] = []

    def failed(self, part: str, error: BaseException) -> None:
        self.told.append((part, error))


Act = Callable[[Backlog, IndexingService, VirtualClock, Failures], Coroutine[None, None, None]]


async def run(act: Act) -> None:
    """Run the loop while `act`, a coroutine function, lets time pass."""
    backlog, clock, failures = Backlog(), VirtualClock(), Failures()
    service = IndexingService(backlog, clock, failures)  # type: ignore[arg-type]
    task = asyncio.create_task(service.run())
    try:
        await act(backlog, service, clock, failures)
    finally:
        task.cancel()
        await asyncio.wait({task})


async def pass_time(clock: VirtualClock, duration: timedelta = PAUSE) -> None:
    """Let the loop do what it does in that time."""
    for _ in range(max(1, duration // PAUSE)):
        for _ in range(50):
            await asyncio.sleep(0)
        clock.advance(PAUSE)
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_hinted_tenant_is_read_within_a_second_and_once() -> None:
    async def act(backlog: Backlog, service: IndexingService, clock: VirtualClock, _: Failures) -> None:
        await pass_time(clock)
        backlog.waiting[ONE] = 3
        service.hint(ONE)
        await pass_time(clock)
        service.hint(ONE, 2)
        await pass_time(clock)
        assert backlog.advanced == []
        await pass_time(clock, timedelta(seconds=1) - 2 * PAUSE)
        assert (backlog.waiting[ONE], backlog.advanced) == (0, [ONE])
        assert timedelta(seconds=1) >= PATIENCE + PAUSE

    await run(act)


async def test_a_whole_batch_waits_for_nothing() -> None:
    async def act(backlog: Backlog, service: IndexingService, clock: VirtualClock, _: Failures) -> None:
        await pass_time(clock)
        backlog.waiting[ONE] = BATCH_LENGTH
        service.hint(ONE, BATCH_LENGTH - 1)
        service.hint(ONE)
        await pass_time(clock)
        assert backlog.waiting[ONE] == 0

    await run(act)


async def test_a_lost_hint_costs_a_second() -> None:
    async def act(backlog: Backlog, service: IndexingService, clock: VirtualClock, _: Failures) -> None:
        await pass_time(clock)
        backlog.waiting[ONE] = 3
        await pass_time(clock, SWEEP_INTERVAL)
        assert backlog.waiting[ONE] == 0

    await run(act)


async def test_a_long_backlog_keeps_nobody_waiting() -> None:
    async def act(backlog: Backlog, service: IndexingService, clock: VirtualClock, _: Failures) -> None:
        backlog.waiting = {ONE: 20 * BATCH_LENGTH, TWO: 2 * BATCH_LENGTH - 1}
        await pass_time(clock)
        assert backlog.advanced[:4] == [ONE, TWO, ONE, TWO]
        assert backlog.waiting == {ONE: 0, TWO: 0}

    await run(act)


async def test_a_storm_is_read_by_the_batch() -> None:
    async def act(backlog: Backlog, service: IndexingService, clock: VirtualClock, _: Failures) -> None:
        advance = backlog.advance

        async def advance_in_a_storm(tenant_id: TenantId, limit: int) -> int:
            # Whatever is read, there is a new flush by then.
            service.hint(tenant_id)
            backlog.waiting[tenant_id] += 1
            return await advance(tenant_id, limit)

        backlog.advance = advance_in_a_storm  # type: ignore[method-assign]
        backlog.waiting[ONE] = 3
        service.hint(ONE)
        await pass_time(clock, timedelta(seconds=4))
        assert 3 <= len(backlog.advanced) <= 6

    await run(act)


async def test_the_loop_outlives_a_failure() -> None:
    async def act(backlog: Backlog, service: IndexingService, clock: VirtualClock, failures: Failures) -> None:
        backlog.waiting[ONE] = 3
        backlog.failing = DependencyError("postgresql", retryable=True)
        await pass_time(clock, SWEEP_INTERVAL)
        assert failures.told
        assert failures.told[0] == ("indexing", backlog.failing)
        # Once a sweep, not as fast as it can.
        assert len(failures.told) <= 3
        backlog.failing = None
        await pass_time(clock, 2 * SWEEP_INTERVAL)
        assert backlog.waiting[ONE] == 0

    await run(act)
