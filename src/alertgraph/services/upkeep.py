"""What keeps a database usable for years: partitions made ahead, and what is old enough let go."""

from __future__ import annotations

from datetime import timedelta
from typing import NoReturn, Protocol

from alertgraph.services.ports import Clock, Observer

EVERY = timedelta(minutes=10)
DAYS_AHEAD_MIN = 14


class Partitions(Protocol):
    """The months that the log and what follows from it are kept in."""

    async def ensure_ahead(self) -> int:
        """Make the partitions of this month and the two after it where they are missing; return how many."""
        ...

    async def days_ahead(self) -> int:
        """Return for how many more days there are partitions."""
        ...

    async def retire(self) -> object:
        """Let go of what its tenant's retention has passed, in small steps; return what that was."""
        ...


class Upkeep:
    """Looks after the partitions, a few times an hour."""

    def __init__(self, partitions: Partitions, clock: Clock, observer: Observer) -> None:
        self._partitions = partitions
        self._clock = clock
        self._observer = observer

    async def prepare(self) -> None:
        """Make sure that what is written now has a place; before anything is served."""
        await self._partitions.ensure_ahead()

    async def fault(self) -> str | None:
        """Return what is wrong with the partitions; None where they reach far enough ahead."""
        days = await self._partitions.days_ahead()
        if days >= DAYS_AHEAD_MIN:
            return None
        return f"there are partitions for {days} more days only; see the log for why none are made"

    async def run(self) -> NoReturn:
        """Work, for as long as it runs."""
        while True:
            try:
                await self._partitions.ensure_ahead()
                await self._partitions.retire()
            except Exception as error:  # noqa: BLE001  (the loop outlives any failure; /readyz warns weeks ahead)
                self._observer.failed("upkeep", error)
            await self._clock.sleep(EVERY)
