"""Live figures: at once, again whenever they change, computed once for all who watch the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from itertools import pairwise

import pytest

from alertgraph.core.errors import AccessDeniedError, DependencyError, InputError
from alertgraph.core.ids import TenantId
from alertgraph.core.metrics import Group, MetricsWindow, Tally
from alertgraph.core.severity import Severity
from alertgraph.core.tenant import Principal, Role, Tenant
from alertgraph.core.tier import Tier
from alertgraph.services.metrics_feed import MetricsFeed
from alertgraph.services.ports import CommittedEvents
from alertgraph.services.streams import StreamService
from tests.factories import ADA, MINUTE, SECOND, TENANT, a_flush_id, a_matcher, an_event, stored
from tests.memory_log import MemoryLog
from tests.virtual import VirtualClock

EVERYTHING: tuple[frozenset[Severity], frozenset[str]] = (frozenset(), frozenset())


class Figures:
    """What a database would count: one alert for each event there is, of which all are open."""

    def __init__(self) -> None:
        self.created = 0
        self.away = False
        self.windows: list[MetricsWindow] = []

    @asynccontextmanager
    async def snapshot(self, tenant_id: TenantId) -> AsyncIterator[Figures]:
        assert tenant_id == TENANT
        yield self

    async def tally(self, window: MetricsWindow) -> Tally:
        if self.away:
            raise DependencyError("memory", retryable=True)
        self.windows.append(window)
        tally = Tally()
        tally.group(Group(Severity.HIGH, "")).created = self.created
        return tally

    async def open_counts(self, window: MetricsWindow) -> Tally:
        tally = Tally()
        tally.group(Group(Severity.HIGH, "")).opened = self.created
        return tally


class Quiet:
    """Hints that nobody gives, and an observer that nobody asks."""

    healthy = True

    async def announce(self, tenant_id: TenantId, number: int) -> None:
        return None

    async def listen(self) -> AsyncIterator[tuple[TenantId, int]]:
        await asyncio.Event().wait()
        yield TENANT, 0

    def flushed(self, *, commands: int, events: int, seconds: float, outcome: str) -> None:
        return None

    def queued(self, seconds: float) -> None:
        return None

    def streamed(self, *, events: int, source: str) -> None:
        return None

    def failed(self, part: str, error: BaseException) -> None:
        return None


class World:
    """Figures that change, and watchers that remember what they were told and when."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.figures = Figures()
        self._log = MemoryLog(self.clock, TENANT)
        quiet = Quiet()
        self.streams = StreamService(self._log, quiet, self.clock, quiet, lambda *_: None)
        self.feed = MetricsFeed(self.streams, self.figures, self.clock)  # type: ignore[arg-type]
        self._began_at = self.clock.now()
        self._tasks: list[asyncio.Task[None]] = []

    def happen(self) -> None:
        """Have one more alert."""
        self.figures.created += 1
        event = stored(an_event(), number=self.figures.created, recorded_at=self.clock.now())
        self.streams.offer(CommittedEvents(TENANT, a_flush_id(), [event]))

    def watch(self, every: timedelta = SECOND, window: timedelta = MINUTE) -> list[tuple[float, int]]:
        """Return what a new watcher is told from now on: seconds, and how many were created."""
        told: list[tuple[float, int]] = []

        async def run() -> None:
            async for figures in self.feed.follow(a_principal(), window, every, *EVERYTHING):
                at = (self.clock.now() - self._began_at).total_seconds()
                told.append((at, sum(counts.created for counts in figures.tally.counts.values())))

        self._tasks.append(asyncio.create_task(run()))
        return told

    async def pass_time(self, seconds: float, step: float = 0.1) -> None:
        """Let time pass in steps, by which everybody may be late."""
        for _ in range(round(seconds / step)):
            await settle()
            self.clock.advance(timedelta(seconds=step))
        await settle()

    async def close(self) -> None:
        """End all watchers."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task


def a_principal(role: Role = Role.VIEWER) -> Principal:
    return Principal(Tenant(TENANT, "acme", "Acme", Tier.STANDARD), role, "key:1", ADA)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    beat = asyncio.create_task(world.streams.beat())
    yield world
    await world.close()
    beat.cancel()


async def test_figures_come_at_once_and_again_when_they_change(world: World) -> None:
    told = world.watch()
    await world.pass_time(5)
    assert told == [(0.0, 0)]

    world.happen()
    await world.pass_time(5)
    assert told == [(0.0, 0), (5.0, 1)]


async def test_they_come_once_per_period_at_most(world: World) -> None:
    told = world.watch(every=timedelta(seconds=5))
    await world.pass_time(6)
    for _ in range(100):
        world.happen()
        await world.pass_time(0.1)

    await world.pass_time(6)
    assert [count for _, count in told][-1] == 100
    assert all(later - earlier >= 5 for (earlier, _), (later, _) in pairwise(told))
    assert len(told) == 4


async def test_a_change_is_told_within_a_period_to_everybody_who_watches_the_same(world: World) -> None:
    quick = world.watch(every=SECOND)
    await world.pass_time(0.3)
    slow = world.watch(every=timedelta(seconds=2))
    await world.pass_time(4.7)
    # The quick one has figures computed; half a second later, these are not those any more.
    world.happen()
    await world.pass_time(0.5)
    world.happen()
    await world.pass_time(3)

    assert quick[-1][1] == 2
    assert slow[-1][1] == 2
    later = world.watch(every=SECOND)
    world.happen()
    await world.pass_time(0.1)
    world.happen()
    await world.pass_time(2.2)
    assert {told[-1][1] for told in (quick, slow, later)} == {4}


@pytest.mark.parametrize("every", [1.0, 2.0, 5.0, 7.5])
async def test_watchers_with_the_same_pace_have_their_turns_together(world: World, every: float) -> None:
    watchers = [world.watch(timedelta(seconds=every))]
    for _ in range(6):
        await world.pass_time(0.7, step=0.02)
        world.happen()
        watchers.append(world.watch(timedelta(seconds=every)))
    for _ in range(300):
        world.happen()
        await world.pass_time(0.1, step=0.02)

    # Each was told at once, and after that they are told together, none sooner than it wanted.
    assert len({told[0][0] for told in watchers}) == 7
    gaps = [later - earlier for told in watchers for (earlier, _), (later, _) in pairwise(told)]
    assert min(gaps) >= every * 0.9
    assert len({tuple(told[-3:]) for told in watchers}) == 1
    (before, _), (last, _) = watchers[0][-2:]
    assert last - before == pytest.approx(every, abs=0.2)


async def test_where_a_watcher_stands_is_told_before_its_turn_without_any_change(world: World) -> None:
    steps = world.feed.steps(a_principal(), MINUTE, SECOND, *EVERYTHING)
    first = await anext(steps)
    coming = asyncio.ensure_future(anext(steps))
    await world.pass_time(2)
    second = await coming

    assert [(step.is_new, step.is_due) for step in (first, second)] == [(True, False), (False, True)]
    assert first.figures is second.figures
    await steps.aclose()


async def test_a_thousand_watchers_cost_one_computation(world: World) -> None:
    everybody = [world.watch() for _ in range(1000)]
    await world.pass_time(0.1)
    assert len(world.figures.windows) == 1

    other = world.watch(window=timedelta(minutes=5))
    await world.pass_time(3)
    world.happen()
    await world.pass_time(1)
    assert all(told[-1][1] == 1 for told in (*everybody, other))
    assert len(world.figures.windows) == 4


async def test_figures_that_are_the_same_for_all_say_so(world: World) -> None:
    watchers = [world.feed.follow(a_principal(), MINUTE, SECOND, *EVERYTHING) for _ in range(2)]
    first, second = [await anext(watcher) for watcher in watchers]
    later = []
    for _ in range(2):
        coming = [asyncio.ensure_future(anext(watcher)) for watcher in watchers]
        world.happen()
        await world.pass_time(2)
        later.append([await each for each in coming])

    assert first.feed is second.feed
    assert [first.version, second.version] == [1, 1]
    assert [[figures.version for figures in each] for each in later] == [[2, 2], [3, 3]]
    assert {figures.feed for each in later for figures in each} == {first.feed}
    other = await anext(world.feed.follow(a_principal(), 2 * MINUTE, SECOND, *EVERYTHING))
    assert other.feed is not first.feed


async def test_what_leaves_the_window_is_noticed_without_any_event(world: World) -> None:
    world.happen()
    told = world.watch()
    await world.pass_time(3)
    world.figures.created = 0
    await world.pass_time(15)

    assert [count for _, count in told] == [1, 0]
    window = world.figures.windows[-1]
    assert window.until - window.since == MINUTE


async def test_figures_wait_for_a_store_that_is_away(world: World) -> None:
    told = world.watch()
    await world.pass_time(2)
    world.figures.away = True
    world.happen()
    await world.pass_time(20)
    assert told == [(0.0, 0)]
    world.figures.away = False
    await world.pass_time(2)

    assert [count for _, count in told] == [0, 1]


async def test_where_the_store_is_away_at_the_begin_it_is_said(world: World) -> None:
    world.figures.away = True
    with pytest.raises(DependencyError):
        await anext(world.feed.follow(a_principal(), MINUTE, SECOND, *EVERYTHING))
    assert world.streams.follower_count == 0
    assert world.feed._shared == {}


async def test_what_cannot_be_watched_is_refused(world: World) -> None:
    scoped = Principal(
        Tenant(TENANT, "acme", "Acme", Tier.STANDARD), Role.ADMIN, "key:1", ADA, scope=(a_matcher("job", "api"),)
    )
    for principal, window, every, expected in [
        (a_principal(Role.INGEST), MINUTE, SECOND, AccessDeniedError),
        (scoped, MINUTE, SECOND, AccessDeniedError),
        (a_principal(), timedelta(seconds=59), SECOND, InputError),
        (a_principal(), timedelta(days=7, seconds=1), SECOND, InputError),
        (a_principal(), MINUTE, timedelta(milliseconds=999), InputError),
    ]:
        with pytest.raises(expected):
            await anext(world.feed.follow(principal, window, every, *EVERYTHING))
    assert world.feed._shared == {}
