"""A clock that goes on as soon as nobody is at work, so that a week takes as long as the work in it.

Time stands still while anything is under way: a statement on its way to the database, work in a thread, a task
that can run. So what is measured on this clock is waiting that was decided on, and never how slow a machine is.
"""

from __future__ import annotations

import asyncio
import heapq
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from datetime import datetime, timedelta
from itertools import count
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class ReplayClock:
    """Fulfils `services.ports.Clock`.

    Args:
        now: Where it begins.
    """

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._order = count()
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """Return the present instant of the replay."""
        return self._now

    async def sleep(self, duration: timedelta) -> None:
        """Return once that much time has gone by in the replay."""
        if duration <= timedelta(0):
            await asyncio.sleep(0)
            return
        await self.sleep_until(self._now + duration)

    async def sleep_until(self, at: datetime) -> None:
        """Return once it is that late."""
        if at <= self._now:
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (at, next(self._order), woken))
        await woken

    def go_on(self) -> bool:
        """Go to when the next one wakes; return whether there is one."""
        while self._sleepers:
            at, _, woken = heapq.heappop(self._sleepers)
            if woken.done():
                continue  # given up
            self._now = max(self._now, at)
            woken.set_result(None)
            return True
        return False


class _IdleSelector(selectors.DefaultSelector):
    """Waits for what comes from outside; where nothing can come, it says so instead."""

    def __init__(self) -> None:
        super().__init__()
        self.idle: Callable[[], bool] = lambda: False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready. A loop that has work of its own asks with a time-out of zero."""
        if timeout is not None and timeout <= 0:
            return super().select(timeout)
        ready = super().select(0)
        if ready or self.idle():
            return ready
        return super().select(timeout)


class ReplayLoop(asyncio.SelectorEventLoop):
    """A loop by which a replay's clock knows that nobody is at work.

    Attributes:
        busy: Says whether anything is under way outside the loop, besides work in threads.
        clock: Goes on where nothing is; None for real time.
    """

    def __init__(self) -> None:
        selector = _IdleSelector()
        super().__init__(selector)
        selector.idle = self._idle
        self.busy: Callable[[], bool] = lambda: False
        self.clock: ReplayClock | None = None
        self._in_threads = 0

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Have something done in a thread, and know that it is under way."""
        found = super().run_in_executor(executor, func, *args)
        self._in_threads += 1
        found.add_done_callback(self._done)
        return found

    def _done(self, _: asyncio.Future[Any]) -> None:
        self._in_threads -= 1

    def _idle(self) -> bool:
        return self.clock is not None and not self._in_threads and not self.busy() and self.clock.go_on()


def run(work: Callable[[ReplayLoop], Coroutine[Any, Any, T]]) -> T:
    """Return what comes of work on a loop of this kind."""
    loop = ReplayLoop()
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(work(loop))
    finally:
        asyncio.set_event_loop(None)
        loop.close()
