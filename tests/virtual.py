"""The clock and the dice of tests: time passes when a test says so, and chance follows a seed."""

from __future__ import annotations

import asyncio
import heapq
import random
from datetime import datetime, timedelta
from itertools import count

from tests.factories import T0


class VirtualClock:
    """A clock that stands still until it is told to go on.

    Args:
        now: Where it begins.
        tick: How much goes by each time it is read, so that no two instants are the same.
    """

    def __init__(self, now: datetime = T0, tick: timedelta = timedelta(0)) -> None:
        self._now = now
        self._tick = tick
        self._order = count()
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """Return the present instant of the test."""
        self._now += self._tick
        return self._now

    async def sleep(self, duration: timedelta) -> None:
        """Return once the test has let that much time pass."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + duration, next(self._order), woken))
        await woken

    def next_wake_at(self) -> datetime | None:
        """Return when somebody sleeps until who has not given up."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def advance(self, duration: timedelta) -> None:
        """Let time pass and wake who slept until then."""
        self._now += duration
        while self._sleepers and self._sleepers[0][0] <= self._now:
            woken = heapq.heappop(self._sleepers)[2]
            if not woken.done():
                woken.set_result(None)


class SeededDice:
    """Randomness that comes out the same for the same seed."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)

    def bits(self, count: int) -> int:
        """Return that many bits."""
        return self._random.getrandbits(count)

    def fraction(self) -> float:
        """Return a number from 0 to 1, 1 not included."""
        return self._random.random()
