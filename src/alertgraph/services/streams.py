"""The log, followed live: from a cursor, first from the table, then from memory, without a gap."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from alertgraph.core.cursor import LogCursor, decode_log_cursor, log_start
from alertgraph.core.errors import AlertGraphError, CursorExpiredError, DependencyError, NotFoundError
from alertgraph.core.event import StoredEvent
from alertgraph.core.flush import Head
from alertgraph.core.ids import TenantId
from alertgraph.core.interest import InterestIndex
from alertgraph.core.labels import check_matcher
from alertgraph.core.query import EventFilter, EventVisibility
from alertgraph.core.tenant import Principal, Role
from alertgraph.services.ports import Clock, CommittedEvents, Observer, TenantLog, Wakeups

RING_LENGTH = 4096
BATCH_LENGTH_MAX = 100
READ_LENGTH_MAX = 500
CATCH_UP_COUNT_MAX = 4
# After this long the next beat has followers say something: at least every 15 seconds, as the API promises.
SIGN_OF_LIFE_AFTER = timedelta(seconds=10)
BEAT_EVERY = timedelta(seconds=4)
SWEEP_EVERY = timedelta(seconds=1)
FAILURE_PAUSE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class StreamBatch:
    """Some events in commit order, and how far the stream has come.

    Attributes:
        events: 0 to 100 that match; empty as a sign of life.
        cursor: Everything that matches up to here has been given.
        live: False while catching up.
    """

    events: Sequence[StoredEvent]
    cursor: LogCursor
    live: bool


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a follower stands between two batches: all that matches up to there was given.

    Followers of the same feed with equal filters are given the same from equal places on.

    Attributes:
        feed: Places can be compared where this is the same object.
        cursor: The place.
        is_live: There is nothing more at present, and the follower knows.
    """

    feed: _Feed
    cursor: LogCursor
    is_live: bool

    @property
    def number(self) -> int:
        """Of the last event before the place."""
        return self.cursor.number

    def hold(self) -> None:
        """Have every follower of the feed that is still before this place stand there, too."""
        self.feed.stops[self.number] = self.feed.stops.get(self.number, 0) + 1

    def release(self) -> None:
        """Take one `hold` back."""
        left = self.feed.stops.get(self.number, 0) - 1
        if left > 0:
            self.feed.stops[self.number] = left
        else:
            self.feed.stops.pop(self.number, None)


class _Reader:
    """One follower of a feed.

    Attributes:
        woken: Set when there is something to look at: events, the next beat, or the end of the feed.
        inbox: While attached: what may match of all events behind the follower's position.
        after: While attached: what is at or before this number is not for the inbox.
    """

    __slots__ = ("_detach", "after", "inbox", "scope", "wanted", "woken")

    def __init__(self, wanted: EventFilter, visibility: EventVisibility) -> None:
        self.wanted = wanted
        self.scope = visibility.scope
        self.woken = asyncio.Event()
        self.inbox: deque[StoredEvent] = deque()
        self.after = 0
        self._detach: Callable[[], None] | None = None

    @property
    def is_attached(self) -> bool:
        """Whether events come by the inbox; else they are read from memory or the table."""
        return self._detach is not None

    def attach(self, index: InterestIndex[_Reader], after: int) -> None:
        """Have events behind a number come by the inbox."""
        self.after = after
        self._detach = index.add(self, self.wanted, self.scope)

    def detach(self) -> None:
        """Stop that; what is in the inbox is forgotten."""
        if self._detach is not None:
            self._detach()
            self._detach = None
            self.inbox.clear()

    def take(self, until: int) -> list[StoredEvent]:
        """Return and forget what has come up to a number."""
        inbox = self.inbox
        taken: list[StoredEvent] = []
        while inbox and inbox[0].number <= until:
            taken.append(inbox.popleft())
        return taken


class _Feed:
    """What this process knows of the end of one tenant's log, for everybody who follows it."""

    __slots__ = (
        "broken",
        "epoch",
        "followers",
        "index",
        "pulling",
        "readers",
        "ring",
        "stops",
        "tail",
        "wanted",
        "woken",
    )

    def __init__(self, head: Head) -> None:
        self.epoch = head.log_epoch
        self.tail = head_cursor(head)
        self.ring: deque[StoredEvent] = deque(maxlen=RING_LENGTH)
        # Set when the log has grown, at the next beat, and at the end of the feed.
        self.woken = asyncio.Event()
        # Why it ended: the log is not the one that was followed any more.
        self.broken: str | None = None
        self.wanted = head.number
        self.pulling = False
        self.followers = 0
        self.readers: set[_Reader] = set()
        self.index: InterestIndex[_Reader] = InterestIndex()
        # Places that no reader may step over, with how many ask for it.
        self.stops: dict[int, int] = {}

    def extend(self, events: Sequence[StoredEvent]) -> bool:
        """Take events that follow the tail; False where there is a gap, and then none is taken."""
        fresh = [stored for stored in events if stored.number > self.tail.number]
        if not fresh:
            return True
        if fresh[0].number != self.tail.number + 1:
            return False
        self.ring.extend(fresh)
        self.tail = event_cursor(fresh[-1], self.epoch)
        self.wanted = max(self.wanted, self.tail.number)
        for stored in fresh:
            for reader in self.index.candidates(stored):
                if stored.number > reader.after:
                    self._hand(reader, stored)
        woken, self.woken = self.woken, asyncio.Event()
        woken.set()
        return True

    def wake(self) -> None:
        """Have everybody look."""
        woken, self.woken = self.woken, asyncio.Event()
        woken.set()
        for reader in self.readers:
            reader.woken.set()

    def slice(self, after: int, length: int) -> list[StoredEvent] | None:
        """Return the ring's events behind a number; None where the ring does not reach back so far."""
        if not self.ring or self.ring[0].number > after + 1:
            return None
        start = after + 1 - self.ring[0].number
        return list(islice(self.ring, start, start + length))

    def cursor_at(self, number: int) -> LogCursor | None:
        """Return the position behind an event; None where neither the tail nor the ring tells."""
        if number == self.tail.number:
            return self.tail
        found = self.slice(number - 1, 1)
        return event_cursor(found[0], self.epoch) if found else None

    def stop_after(self, number: int) -> int:
        """Return how far a reader at a number may go at once: the next place to stand at, else the tail."""
        return min((stop for stop in self.stops if stop > number), default=max(number, self.tail.number))

    def _hand(self, reader: _Reader, stored: StoredEvent) -> None:
        if len(reader.inbox) >= RING_LENGTH:
            # Whoever is so slow reads the table, and keeps nothing in memory until it has caught up.
            reader.detach()
        else:
            reader.inbox.append(stored)
        reader.woken.set()


class StreamService:
    """Gives callers the events of their tenant as they are committed, by this process or another.

    Args:
        elsewhere: Called with events that another process appended, so that what is remembered of the
            tenant can be mended.
    """

    def __init__(
        self,
        log: TenantLog,
        wakeups: Wakeups,
        clock: Clock,
        observer: Observer,
        elsewhere: Callable[[TenantId, Sequence[StoredEvent]], None],
    ) -> None:
        self._log = log
        self._wakeups = wakeups
        self._clock = clock
        self._observer = observer
        self._elsewhere = elsewhere
        self._feeds: dict[TenantId, _Feed] = {}
        self._openings: dict[TenantId, asyncio.Lock] = {}
        self._catch_ups = asyncio.Semaphore(CATCH_UP_COUNT_MAX)
        self._tasks: set[asyncio.Task[None]] = set()

    # ---------------------------------------------------------------------------------- writers

    def offer(self, committed: CommittedEvents) -> None:
        """Take the events of a flush of this process, and tell other processes."""
        last = committed.events[-1].number
        feed = self._feeds.get(committed.tenant_id)
        if feed is not None and not feed.extend(committed.events):
            self._want(committed.tenant_id, feed, last)
        self._spawn(self._wakeups.announce(committed.tenant_id, last))

    def changed(self, tenant_id: TenantId, number: int) -> None:
        """Learn that this process has appended up to `number` by another way than a flush."""
        feed = self._feeds.get(tenant_id)
        if feed is not None:
            self._want(tenant_id, feed, number)
        self._spawn(self._wakeups.announce(tenant_id, number))

    # ---------------------------------------------------------------------------------- readers

    async def follow(
        self, principal: Principal, wanted: EventFilter, after: str | None
    ) -> AsyncGenerator[StreamBatch, None]:
        """Yield what the caller may see and the filter lets through, from behind `after`, else from now.

        Raises:
            InputError: `after` is no cursor, or a matcher can't be used.
            CursorExpiredError: What is behind `after` is gone, or it is of another log.
            AccessDeniedError: Below VIEWER.
        """
        async with aclosing(self.steps(principal, wanted, after)) as steps:
            async for step in steps:
                if isinstance(step, StreamBatch):
                    yield step

    async def steps(
        self, principal: Principal, wanted: EventFilter, after: str | None
    ) -> AsyncGenerator[StreamBatch | Place, None]:
        """Yield the same, and where it stands whenever all up to there was given; at its begin, too.

        Raises:
            Exception: As `follow`.
        """
        principal.require(Role.VIEWER)
        for index, matcher in enumerate(wanted.matchers):
            check_matcher(matcher, "filter", "matchers", str(index))
        position = decode_log_cursor(after, "after") if after is not None else None
        tenant_id = principal.tenant.id
        if position is not None and not self._remembers(tenant_id, position):
            await self._log.check_cursor(tenant_id, position)
        visibility = EventVisibility(principal.role, principal.scope)
        feed = await self._open(tenant_id)
        reader = _Reader(wanted, visibility)
        feed.readers.add(reader)
        try:
            steps = self._steps(tenant_id, feed, reader, visibility, position or feed.tail)
            async with aclosing(steps):
                async for step in steps:
                    yield step
        finally:
            reader.detach()
            feed.readers.discard(reader)
            self._close(tenant_id, feed)

    async def growth(self, principal: Principal) -> AsyncIterator[int]:
        """Yield the number the tenant's log ends at, at once and again whenever it has grown.

        Numbers are skipped where the caller is slower than the log, and one is repeated at least every 15
        seconds.
        """
        principal.require(Role.VIEWER)
        tenant_id = principal.tenant.id
        while True:
            feed = await self._open(tenant_id)
            try:
                while feed.broken is None:
                    number, said_at = feed.tail.number, self._clock.now()
                    yield number
                    while feed.tail.number == number and feed.broken is None and not self._is_due(said_at):
                        await feed.woken.wait()
            finally:
                self._close(tenant_id, feed)

    @property
    def follower_count(self) -> int:
        """How many streams are open."""
        return sum(feed.followers for feed in self._feeds.values())

    async def _steps(
        self, tenant_id: TenantId, feed: _Feed, reader: _Reader, visibility: EventVisibility, position: LogCursor
    ) -> AsyncGenerator[StreamBatch | Place, None]:
        if position.number > feed.tail.number:
            # The cursor was checked against the table, so this process is merely behind.
            self._want(tenant_id, feed, position.number)
        wanted = reader.wanted
        said_at = self._clock.now()
        said_live = True
        while True:
            reader.woken.clear()
            if feed.broken is not None:
                raise CursorExpiredError(feed.broken)
            if not reader.is_attached and position.number >= feed.tail.number:
                reader.attach(feed.index, position.number)
            was_attached = reader.is_attached
            events, position = await self._next(tenant_id, feed, reader, position)
            matching = [e for e in events if visibility.sees(e) and wanted.matches(e)]
            for start in range(0, len(matching), BATCH_LENGTH_MAX):
                chunk = matching[start : start + BATCH_LENGTH_MAX]
                is_last = start + BATCH_LENGTH_MAX >= len(matching)
                cursor = position if is_last else event_cursor(chunk[-1], feed.epoch)
                said_live = is_last and (was_attached or position.number >= feed.tail.number)
                yield StreamBatch(chunk, cursor, said_live)
                said_at = self._clock.now()
            is_live = reader.is_attached or position.number >= feed.tail.number
            # Who was told that more is to come is told at once that it has: what came then may not match.
            if self._is_due(said_at) or (is_live and not said_live):
                said_live = is_live
                yield StreamBatch((), position, is_live)
                said_at = self._clock.now()
            is_at_end = position.number >= feed.tail.number
            yield Place(feed, position, is_live=is_at_end and said_live)
            if reader.is_attached and not reader.inbox:
                await reader.woken.wait()

    async def _next(
        self, tenant_id: TenantId, feed: _Feed, reader: _Reader, position: LogCursor
    ) -> tuple[Sequence[StoredEvent], LogCursor]:
        """Return the next events that may match, and the position behind them and all others before it."""
        if reader.is_attached:
            until = feed.stop_after(position.number)
            if until <= position.number:
                return (), position
            reached = feed.cursor_at(until)
            if reached is not None:
                events: Sequence[StoredEvent] = reader.take(until)
                if events:
                    self._observer.streamed(events=len(events), source="memory")
                return events, reached
            reader.detach()
        events = await self._read(tenant_id, feed, position)
        return events, event_cursor(events[-1], feed.epoch) if events else position

    async def _read(self, tenant_id: TenantId, feed: _Feed, position: LogCursor) -> Sequence[StoredEvent]:
        """Return the next events, which there are; none where the store is away at present."""
        length = min(READ_LENGTH_MAX, feed.stop_after(position.number) - position.number)
        events: Sequence[StoredEvent] | None = feed.slice(position.number, length)
        if events:
            self._observer.streamed(events=len(events), source="memory")
            return events
        try:
            async with self._catch_ups:
                events = await self._log.events_after(tenant_id, position, length)
        except DependencyError as error:
            if not error.retryable:
                raise
            # Whoever follows has time: the stream goes on where it stood once the store is back.
            self._observer.failed("streams", error)
            await self._clock.sleep(FAILURE_PAUSE)
            return ()
        if not events:
            # The head said there is more: what is missing was removed by retention, or another log came.
            await self._log.check_cursor(tenant_id, position)
            raise NotFoundError("The log ends before its own head; run `alertgraph audit verify`.")
        self._observer.streamed(events=len(events), source="table")
        return events

    def _remembers(self, tenant_id: TenantId, position: LogCursor) -> bool:
        """Say whether a cursor is known to be good without asking the store: a herd comes back with such."""
        feed = self._feeds.get(tenant_id)
        return feed is not None and feed.cursor_at(position.number) == position

    # ------------------------------------------------------------------------------------ feeds

    async def _open(self, tenant_id: TenantId) -> _Feed:
        """Return the tenant's feed with one follower more, beginning it where nobody followed yet."""
        async with self._openings.setdefault(tenant_id, asyncio.Lock()):
            feed = self._feeds.get(tenant_id)
            if feed is None:
                head = await self._log.head(tenant_id)
                if head is None:
                    raise NotFoundError("There is no such tenant.")
                feed = self._feeds[tenant_id] = _Feed(head)
            feed.followers += 1
        return feed

    def _close(self, tenant_id: TenantId, feed: _Feed) -> None:
        feed.followers -= 1
        if feed.followers == 0 and self._feeds.get(tenant_id) is feed:
            del self._feeds[tenant_id]

    def _break(self, tenant_id: TenantId, feed: _Feed, reason: str) -> None:
        """End a feed and all who follow it; who comes next begins a new one."""
        if self._feeds.get(tenant_id) is feed:
            del self._feeds[tenant_id]
        feed.broken = reason
        feed.wake()

    def _is_due(self, said_at: datetime) -> bool:
        """Say whether it is time for a sign of life."""
        # Also where the clock was set back meanwhile.
        return abs(self._clock.now() - said_at) >= SIGN_OF_LIFE_AFTER

    def _want(self, tenant_id: TenantId, feed: _Feed, number: int) -> None:
        feed.wanted = max(feed.wanted, number)
        if feed.wanted > feed.tail.number and not feed.pulling:
            feed.pulling = True
            self._spawn(self._pull(tenant_id, feed))

    async def _pull(self, tenant_id: TenantId, feed: _Feed) -> None:
        """Read from the table what the feed is missing."""
        try:
            while feed.wanted > feed.tail.number and self._feeds.get(tenant_id) is feed:
                async with self._catch_ups:
                    events = await self._log.events_after(tenant_id, feed.tail, READ_LENGTH_MAX)
                if not events:
                    # A hint may run ahead of what can be read, or lie: the sweep will tell.
                    feed.wanted = feed.tail.number
                    return
                self._elsewhere(tenant_id, events)
                feed.extend(events)
        except CursorExpiredError as error:
            self._break(tenant_id, feed, error.message)
        except AlertGraphError as error:
            # The sweep tries again.
            self._observer.failed("streams", error)
        finally:
            feed.pulling = False

    async def listen(self) -> None:
        """Take hints of other processes, for as long as it runs."""
        while True:
            try:
                async for tenant_id, number in self._wakeups.listen():
                    feed = self._feeds.get(tenant_id)
                    if feed is not None:
                        self._want(tenant_id, feed, number)
            except Exception as error:  # noqa: BLE001  (a loop outlives any failure; the sweep finds events meanwhile)
                self._observer.failed("streams", error)
            await self._clock.sleep(FAILURE_PAUSE)

    async def sweep(self) -> None:
        """Find what hints have missed, each second, for as long as it runs."""
        while True:
            try:
                await self._clock.sleep(SWEEP_EVERY)
                known = {tenant_id: (feed, feed.tail.number) for tenant_id, feed in self._feeds.items()}
                if known:
                    heads = await self._log.heads(list(known))
                    for tenant_id, number in heads.items():
                        feed, number_before = known[tenant_id]
                        if number < number_before:
                            # A log only grows: this is another one, put back from a backup.
                            self._break(tenant_id, feed, "The log is another one: the database was restored.")
                        else:
                            self._want(tenant_id, feed, number)
            except Exception as error:  # noqa: BLE001  (a loop outlives any failure)
                self._observer.failed("streams", error)

    async def beat(self) -> None:
        """Have followers give signs of life, for as long as it runs."""
        while True:
            await self._clock.sleep(BEAT_EVERY)
            for feed in self._feeds.values():
                feed.wake()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def event_cursor(stored: StoredEvent, log_epoch: int) -> LogCursor:
    """Return the position behind an event."""
    return LogCursor(log_epoch, stored.number, stored.recorded_at, stored.leaf[:4])


def head_cursor(head: Head) -> LogCursor:
    """Return the position behind the last event."""
    if head.number == 0:
        return log_start(head.log_epoch)
    return LogCursor(head.log_epoch, head.number, head.recorded_at, head.leaf[:4])
