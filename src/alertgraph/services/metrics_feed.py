"""Figures, live: computed once for everybody who watches the same window of the same tenant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
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
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
# This long before its turn a watcher may join those who have it, too.
TURN_LEAD = timedelta(milliseconds=50)


@dataclass(frozen=True, slots=True)
class MetricsFigures:
    """The figures of a window.

    Attributes:
        tally: What happened in it.
        open_counts: How many were open at its end, by group, in `opened`.
        feed: The same object for all who watch the same window, as long as somebody does.
        version: Grows with each change of a feed's figures.
        number: Of the last event that they hold for certain.
    """

    window: MetricsWindow
    tally: Tally
    open_counts: Tally
    feed: object
    version: int
    number: int


@dataclass(frozen=True, slots=True)
class MetricsStep:
    """What a watcher is told, or where it stands.

    Attributes:
        figures: Those it was told last, or is told now.
        is_new: Whether it is told of them now.
        is_due: Whether it may be told of others from now on.
    """

    figures: MetricsFigures
    is_new: bool
    is_due: bool


@dataclass(frozen=True, slots=True)
class _Wanted:
    tenant_id: TenantId
    window: timedelta
    severities: frozenset[Severity]
    monitored_services: frozenset[str]


@dataclass(slots=True, eq=False)
class _Shared:
    """One window that somebody watches."""

    lock: asyncio.Lock
    watchers: int = 0
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
    ) -> AsyncGenerator[MetricsFigures, None]:
        """Yield figures at once, and again whenever they have changed, at most once per `every`.

        They change with the log and with time: what leaves the window is noticed within 15 seconds.

        Raises:
            Exception: As `steps`.
        """
        async with aclosing(self.steps(principal, window, every, severities, monitored_services)) as steps:
            async for step in steps:
                if step.is_new:
                    yield step.figures

    async def steps(
        self,
        principal: Principal,
        window: timedelta,
        every: timedelta,
        severities: frozenset[Severity],
        monitored_services: frozenset[str],
    ) -> AsyncGenerator[MetricsStep, None]:
        """Yield the same, and where it stands when the time has come to be told again.

        Whenever somebody came: all with the same pace have their turns at the same time, at multiples of it.

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
        turn: datetime | None = None
        try:
            async with aclosing(cast("AsyncGenerator[int, None]", self._streams.growth(principal))) as growth:
                async for number in growth:
                    held = -1
                    # Where those of a moment ago were good enough, what they lack is looked for at the next turn.
                    while held < number:
                        figures = await self._figures(wanted, shared, number, last)
                        held = figures.number
                        if last is None or not _same(figures, last):
                            last = figures
                            yield MetricsStep(last, is_new=True, is_due=False)
                        turn = _next_turn(turn, self._clock.now(), every)
                        await self._until(turn - TURN_LEAD)
                        yield MetricsStep(last, is_new=False, is_due=True)
                        await self._until(turn)
        finally:
            shared.watchers -= 1
            if shared.watchers == 0 and self._shared.get(wanted) is shared:
                del self._shared[wanted]

    async def _until(self, at: datetime) -> None:
        await self._clock.sleep(max(timedelta(0), at - self._clock.now()))

    async def _figures(
        self, wanted: _Wanted, shared: _Shared, number: int, last: MetricsFigures | None
    ) -> MetricsFigures:
        """Return figures that hold all events up to a number; who has some waits while the store is away."""
        while True:
            try:
                return await self._shared_figures(wanted, shared, number, is_first=last is None)
            except DependencyError as error:
                if last is None or not error.retryable:
                    raise
            await self._clock.sleep(EVERY_MIN)

    async def _shared_figures(
        self, wanted: _Wanted, shared: _Shared, number: int, *, is_first: bool
    ) -> MetricsFigures:
        async with shared.lock:
            # A clock that was set back must not make anybody wait: an age has no sign.
            age = abs(self._clock.now() - shared.computed_at) if shared.computed_at is not None else None
            if shared.figures is not None and age is not None and age < EVERY_MIN:
                # Those whose turn it is are told the same, however many events there are between them.
                if shared.figures.number >= number or (not is_first and age <= TURN_LEAD):
                    return shared.figures
                # Once per second at most, but who comes is told of all that was committed before.
                await self._clock.sleep(EVERY_MIN - age)
            now = self._clock.now()
            window = MetricsWindow(now - wanted.window, now, wanted.severities, wanted.monitored_services)
            async with self._snapshots.snapshot(wanted.tenant_id) as snapshot:
                tally = await snapshot.tally(window)
                open_counts = await snapshot.open_counts(window)
            figures, last = MetricsFigures(window, tally, open_counts, shared, 1, number), shared.figures
            if last is not None:
                version = last.version if _same(figures, last) else last.version + 1
                figures = replace(figures, version=version)
            shared.figures = figures
            shared.computed_at = now
            return shared.figures


def _next_turn(turn: datetime | None, now: datetime, every: timedelta) -> datetime:
    """Return when somebody has its next turn.

    Args:
        turn: Its last one; None where it was told for the first time.
        now: When it was told, or would have been.
        every: Its pace.
    """
    if turn is not None and now - turn <= every / 10:
        # About in time; a loop is never exact.
        return turn + every
    sooner = now + every
    return sooner + (EPOCH - sooner) % every


def _same(one: MetricsFigures, other: MetricsFigures) -> bool:
    return (one.tally, one.open_counts) == (other.tally, other.open_counts)
