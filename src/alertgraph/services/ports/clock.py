"""Time and chance: the only ones there are."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """The one clock."""

    def now(self) -> datetime:
        """Return the present instant, aware and in UTC."""
        ...

    async def sleep(self, duration: timedelta) -> None:
        """Return after that long, by this clock."""
        ...


class Dice(Protocol):
    """The one source of randomness."""

    def bits(self, count: int) -> int:
        """Return that many random bits, fit for secrets."""
        ...

    def fraction(self) -> float:
        """Return a number from 0 to 1, 1 not included."""
        ...
