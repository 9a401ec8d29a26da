"""The real clock and the real dice: the only places where time and chance enter."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present instant in UTC."""
        return datetime.now(UTC)

    async def sleep(self, duration: timedelta) -> None:
        """Return after that long."""
        await asyncio.sleep(max(0.0, duration.total_seconds()))


class SystemDice:
    """The operating system's randomness."""

    def bits(self, count: int) -> int:
        """Return that many random bits."""
        return secrets.randbits(count)

    def fraction(self) -> float:
        """Return a number from 0 to 1, 1 not included."""
        return secrets.randbits(53) / (1 << 53)
