"""Figures, live: computed once for everybody who watches the same window of the same tenant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import cast

from alertgraph.core.errors import AccessDeniedError, DependencyError, InputError
from alertgraph.core.ids import TenantId
from alertgraph.core.metrics import LIVE_WINDOW_MAX, MetricsWindow, Tally
from alertgraph.core.severity import Severity
from alertgraph.core.tenant import Principal, Role
from alertgraph.services.ports import Clock, SnapshotSource
from alertgraph.services.streams import StreamService

EVERY_MIN = timedelta(seconds=1)
WINDOW_MIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class MetricsFigures:
    """The figures of a window.

    Attributes:
        tally: What happened in it.
        open_counts: How many were open at its end, by group, in `opened`.
        feed: The same object for all who watch the same window, as long as somebody does.
        version: Grows with each change of a feed's figures.
    """

    window: MetricsWindow
    tally: Tally
    open_counts: Tally
    feed: object
    version: int


@dataclass(frozen=True, slots=True)
class _Wanted:
    tenant_id: TenantId
    window: timedelta
    severities: frozenset[Severity]
    monitored_services: frozenset[str]


@dataclass(slots=True, eq=False)
class _Shared:
    """One window that somebody watches.

    Attributes:
        number: Of the last event that the figures hold for certain.
    """

    lock: asyncio.Lock
    watchers: int = 0
    number: int = -1
    computed_at: datetime | None = None
    figures: MetricsFigures | None = None


class MetricsFeed:
    """Gives callers the figures of the last so many minutes, again whenever they change."""

    def __init__(self, streams: StreamService, snapshots: SnapshotSource, clock: Clock) -> None:
        self._streams = streams
        self._snapshots = snapshots
        self._clock = clock
        self._shared: dict[_Wanted, _Shared] = {}

    async def follow(
        self,
        principal: Principal,
        window: timedelta,
        every: timedelta,
        severities: frozenset[Severity],
        monitored_services: frozenset[str],
    ) -> AsyncIterator[MetricsFigures]:
        """Yield figures at once, and again whenever they have changed, at most once per `every`.

        They change with the log and with time: what leaves the window is noticed within 15 seconds.

        Raises:
            InputError: The window is not PT1M to P7D, or `every` is below PT1S.
            AccessDeniedError: Below VIEWER, or a key that is limited by matchers.
        """
        principal.require(Role.VIEWER)
        if principal.scope:
            raise AccessDeniedError("A key that is limited by matchers can't read figures of all alerts.")
        if not WINDOW_MIN <= window <= LIVE_WINDOW_MAX:
            raise InputError(f"window is PT1M to P{LIVE_WINDOW_MAX.days}D.", "window")
        if every < EVERY_MIN:
            raise InputError("every is PT1S or more.", "every")
        wanted = _Wanted(principal.tenant.id, window, severities, monitored_services)
        shared = self._shared.setdefault(wanted, _Shared(asyncio.Lock()))
        shared.watchers += 1
        last: MetricsFigures | None = None
        try:
            async with aclosing(cast("AsyncGenerator[int, None]", self._streams.growth(principal))) as growth:
                async for number in growth:
                    figures = await self._figures(wanted, shared, number, last)
                    if last is None or not _same(figures, last):
                        last = figures
                        yield figures
                    await self._clock.sleep(every)
        finally:
            shared.watchers -= 1
            if shared.watchers == 0 and self._shared.get(wanted) is shared:
                del self._shared[wanted]

    async def _figures(
        self, wanted: _Wanted, shared: _Shared, number: int, last: MetricsFigures | None
    ) -> MetricsFigures:
        """Return figures that hold all events up to a number; who has some waits while the store is away."""
        while True:
            try:
                return await self._shared_figures(wanted, shared, number)
            except DependencyError as error:
                if last is None or not error.retryable:
                    raise
            await self._clock.sleep(EVERY_MIN)

    async def _shared_figures(self, wanted: _Wanted, shared: _Shared, number: int) -> MetricsFigures:
        async with shared.lock:
            # A clock that was set back must not make anybody wait: an age has no sign.
            age = abs(self._clock.now() - shared.computed_at) if shared.computed_at is not None else None
            if shared.figures is not None and age is not None and age < EVERY_MIN:
                if shared.number >= number:
                    return shared.figures
                # Once per second at most, but never without what has been told already.
                await self._clock.sleep(EVERY_MIN - age)
            now = self._clock.now()
            window = MetricsWindow(now - wanted.window, now, wanted.severities, wanted.monitored_services)
            async with self._snapshots.snapshot(wanted.tenant_id) as snapshot:
                tally = await snapshot.tally(window)
                open_counts = await snapshot.open_counts(window)
            figures, last = MetricsFigures(window, tally, open_counts, shared, 1), shared.figures
            if last is not None:
                version = last.version if _same(figures, last) else last.version + 1
                figures = replace(figures, version=version)
            shared.figures = figures
            shared.number, shared.computed_at = number, now
            return shared.figures


def _same(one: MetricsFigures, other: MetricsFigures) -> bool:
    return (one.tally, one.open_counts) == (other.tally, other.open_counts)
