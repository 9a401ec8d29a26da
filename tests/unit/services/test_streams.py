"""Following a log: what every follower sees, whatever hints, reads and readers do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import pairwise

import pytest

from alertgraph.core.cursor import LogCursor, log_start
from alertgraph.core.errors import (
    AccessDeniedError,
    AlertGraphError,
    CursorExpiredError,
    DependencyError,
    InputError,
    NotFoundError,
)
from alertgraph.core.event import Event, EventKind, StoredEvent, seal
from alertgraph.core.flush import Flush, Head, Reliance
from alertgraph.core.ids import TenantId
from alertgraph.core.query import EventFilter
from alertgraph.core.severity import Severity
from alertgraph.core.tenant import Principal, Role, Tenant
from alertgraph.core.tier import Tier
from alertgraph.services import streams
from alertgraph.services.lanes import stored_events
from alertgraph.services.ports import CommittedEvents
from alertgraph.services.streams import Place, StreamBatch, StreamService, event_cursor
from tests.factories import ADA, TENANT, a_config_event, a_flush_id, a_matcher, an_event, an_id
from tests.memory_log import MemoryLog, random_pauses
from tests.virtual import VirtualClock

EVERYTHING = EventFilter()
START = log_start(1)


@dataclass
class Watcher:
    """Remembers what an operator would see."""

    read: dict[str, int] = field(default_factory=lambda: {"memory": 0, "table": 0})
    failures: list[BaseException] = field(default_factory=list)

    def flushed(self, *, commands: int, events: int, seconds: float, outcome: str) -> None:
        raise AssertionError("streams do not write")

    def queued(self, seconds: float) -> None:
        raise AssertionError("streams do not write")

    def streamed(self, *, events: int, source: str) -> None:
        self.read[source] += events

    def failed(self, part: str, error: BaseException) -> None:
        assert part == "streams"
        self.failures.append(error)


class Hints:
    """Wake-ups in the hands of a test: what is announced is kept, and what is heard is what the test says."""

    healthy = True

    def __init__(self) -> None:
        self.announced: list[tuple[TenantId, int]] = []
        self.heard: asyncio.Queue[tuple[TenantId, int] | BaseException] = asyncio.Queue()

    async def announce(self, tenant_id: TenantId, number: int) -> None:
        self.announced.append((tenant_id, number))

    async def listen(self) -> AsyncIterator[tuple[TenantId, int]]:
        while True:
            hint = await self.heard.get()
            if isinstance(hint, BaseException):
                raise hint
            yield hint


class Table(MemoryLog):
    """A log that can be away, slow to read, cut by retention, or put back from a backup.

    Attributes:
        away: Whether reads fail.
        failing: The share of reads that fail, by lot.
        pruned_number: What retention has removed.
        epoch: Of the log.
        reading_max: How many reads of events were under way at once, at most.
    """

    def __init__(self, clock: VirtualClock, dice: random.Random | None = None) -> None:
        super().__init__(clock, TENANT)
        self._dice = dice or random.Random(0)
        self.away = False
        self.failing = 0.0
        self.pruned_number = 0
        self.epoch = 1
        self.reading = self.reading_max = 0

    @property
    def number(self) -> int:
        """Where the log ends."""
        return self.tenants[TENANT].number

    def add(self, *events: Event) -> CommittedEvents:
        """Write one flush, as some process does."""
        flush_id = a_flush_id(self.number + 1)
        flush = Flush(flush_id, Reliance(), events=tuple(seal(event) for event in events))
        return CommittedEvents(TENANT, flush_id, stored_events(flush, self.write(TENANT, flush)))

    def restore(self, number: int) -> None:
        """Put the log back to how it was, and call it another one."""
        rows = self.tenants[TENANT]
        rows.number = number
        del rows.events[number:]
        rows.leaf = rows.events[-1].leaf
        self.epoch += 1

    async def head(self, tenant_id: TenantId) -> Head | None:
        await self._reach()
        head = await super().head(tenant_id)
        return replace(head, log_epoch=self.epoch, pruned_number=self.pruned_number) if head is not None else None

    async def heads(self, tenant_ids: object) -> dict[TenantId, int]:
        await self._reach()
        self.calls["heads"] += 1
        return {TENANT: self.number}

    async def events_after(self, tenant_id: TenantId, after: LogCursor, limit: int) -> Sequence[StoredEvent]:
        self.calls["events_after"] += 1
        self.reading += 1
        self.reading_max = max(self.reading_max, self.reading)
        try:
            await self._reach()
            if after.number < self.pruned_number:
                raise CursorExpiredError("The log behind this cursor is gone.")
            return await super().events_after(tenant_id, after, limit)
        finally:
            self.reading -= 1

    async def check_cursor(self, tenant_id: TenantId, cursor: LogCursor) -> None:
        await self._reach()
        if cursor.number < self.pruned_number:
            raise CursorExpiredError("The log behind this cursor is gone.")
        await super().check_cursor(tenant_id, replace(cursor, log_epoch=cursor.log_epoch - self.epoch + 1))

    async def _reach(self) -> None:
        await self.pause()
        if self.away or self._dice.random() < self.failing:
            raise DependencyError("memory", retryable=True)


class Process:
    """One process that follows a log, with the loops that a service runs."""

    def __init__(self, table: Table, clock: VirtualClock) -> None:
        self.table = table
        self.clock = clock
        self.watcher = Watcher()
        self.hints = Hints()
        self.elsewhere: list[int] = []
        self.streams = StreamService(table, self.hints, clock, self.watcher, self._appended_elsewhere)

    def _appended_elsewhere(self, tenant_id: TenantId, events: Sequence[StoredEvent]) -> None:
        assert tenant_id == TENANT
        self.elsewhere += [stored.number for stored in events]

    def write(self, *events: Event) -> None:
        """Have this process write, and follow what it wrote."""
        self.streams.offer(self.table.add(*events))

    def follow(
        self,
        wanted: EventFilter = EVERYTHING,
        after: LogCursor | None = None,
        principal: Principal | None = None,
    ) -> Follower:
        """Follow, in a task that reads as fast as it can."""
        return Follower(self, wanted, after, principal or a_principal())


class Follower:
    """Somebody who follows, and remembers what was said when.

    Attributes:
        batches: With the seconds at which they came.
        error: What the stream ended in.
    """

    def __init__(
        self, process: Process, wanted: EventFilter, after: LogCursor | None, principal: Principal
    ) -> None:
        self.batches: list[tuple[float, StreamBatch]] = []
        self.error: BaseException | None = None
        self._clock = process.clock
        self._began_at = process.clock.now()
        self._may_read = asyncio.Event()
        self._may_read.set()
        encoded = after.encode() if after is not None else None
        self._task = asyncio.create_task(self._run(process.streams.follow(principal, wanted, encoded)))

    @property
    def numbers(self) -> list[int]:
        """The events that were seen, in the order in which they came."""
        return [stored.number for _, batch in self.batches for stored in batch.events]

    @property
    def last(self) -> StreamBatch:
        """What was said last."""
        return self.batches[-1][1]

    @property
    def said_at(self) -> list[float]:
        """When something was said."""
        return [at for at, _ in self.batches]

    def stall(self) -> None:
        """Read nothing until told."""
        self._may_read.clear()

    def go_on(self) -> None:
        """Read again."""
        self._may_read.set()

    async def stop(self) -> None:
        """Leave."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self, batches: AsyncIterator[StreamBatch]) -> None:
        try:
            async for batch in batches:
                self.batches.append(((self._clock.now() - self._began_at).total_seconds(), batch))
                await self._may_read.wait()
        except AlertGraphError as error:
            self.error = error
        finally:
            await batches.aclose()  # type: ignore[attr-defined]


def a_principal(role: Role = Role.ADMIN, **fields: object) -> Principal:
    tenant = Tenant(TENANT, "acme", "Acme", Tier.STANDARD)
    return replace(Principal(tenant, role, "key:1", ADA), **fields)  # type: ignore[arg-type]


def numbered(count: int) -> list[Event]:
    return [an_event(title=str(number)) for number in range(count)]


async def settle() -> None:
    """Let everything happen that needs no time."""
    for _ in range(60):
        await asyncio.sleep(0)


async def pass_time(clock: VirtualClock, seconds: float, step: float = 1.0) -> None:
    """Let time pass in steps, so that loops get their turns."""
    for _ in range(round(seconds / step)):
        clock.advance(timedelta(seconds=step))
        await settle()


@asynccontextmanager
async def loops(*processes: Process) -> AsyncIterator[None]:
    """Run what a service runs beside its followers."""
    tasks = [
        asyncio.create_task(loop)
        for process in processes
        for loop in (process.streams.listen(), process.streams.sweep(), process.streams.beat())
    ]
    await settle()
    try:
        yield
    finally:
        for task in tasks:
            assert not task.done(), "a loop ended"
            task.cancel()
        await asyncio.wait(tasks)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def table(clock: VirtualClock) -> Table:
    return Table(clock)


@pytest.fixture
def process(table: Table, clock: VirtualClock) -> Process:
    return Process(table, clock)


async def test_without_a_cursor_what_is_new_is_followed(table: Table, process: Process) -> None:
    table.add(*numbered(3))
    follower = process.follow()
    await settle()

    process.write(*numbered(2))
    await settle()

    assert follower.numbers == [4, 5]
    assert follower.last.live
    assert follower.last.cursor == event_cursor(table.tenants[TENANT].events[4], 1)
    assert process.watcher.read == {"memory": 2, "table": 0}
    assert process.elsewhere == []
    await follower.stop()


async def test_from_a_cursor_all_behind_it_is_read_then_followed(table: Table, process: Process) -> None:
    committed = table.add(*numbered(250))
    follower = process.follow(after=event_cursor(committed.events[29], 1))
    await settle()
    process.write(*numbered(1))
    await settle()

    assert follower.numbers == list(range(31, 252))
    assert [len(batch.events) for _, batch in follower.batches] == [100, 100, 20, 1]
    assert [batch.live for _, batch in follower.batches] == [False, False, True, True]
    assert all(batch.cursor.number == batch.events[-1].number for _, batch in follower.batches)
    await follower.stop()


async def test_the_start_of_the_log_is_a_cursor(table: Table, process: Process) -> None:
    table.add(*numbered(2))
    follower = process.follow(after=START)
    await settle()

    assert follower.numbers == [1, 2]
    await follower.stop()


async def test_what_is_written_while_a_follower_reads_the_table_is_neither_lost_nor_seen_twice(
    clock: VirtualClock,
) -> None:
    table = Table(clock)
    process = Process(table, clock)
    table.add(*numbered(1200))
    gate = asyncio.Event()

    async def wait_at_the_gate() -> None:
        await gate.wait()

    table.pause = wait_at_the_gate
    follower = process.follow(after=START)
    await settle()
    gate.set()
    await asyncio.sleep(0)
    for _ in range(20):
        process.write(*numbered(3))
        await asyncio.sleep(0)
    await settle()

    async with loops(process):
        await pass_time(clock, 1)
    assert follower.numbers == list(range(1, 1261))
    await follower.stop()


async def test_a_filter_answers_live_as_in_a_replay(table: Table, process: Process) -> None:
    wanted = EventFilter(severity=frozenset({Severity.CRITICAL}), matchers=(a_matcher("job", "api"),))
    live = process.follow(wanted)
    await settle()
    for number in range(60):
        process.write(
            an_event(
                severity_after=Severity.CRITICAL if number % 3 else Severity.LOW,
                severity_before=Severity.CRITICAL if number % 9 == 0 else None,
                labels={"job": "api" if number % 2 else "web"},
            )
        )
    await settle()
    replayed = process.follow(wanted, START)
    await settle()

    assert live.numbers == replayed.numbers
    assert live.numbers == [s.number for s in table.tenants[TENANT].events if wanted.matches(s)]
    assert 0 < len(live.numbers) < 60
    for follower in (live, replayed):
        await follower.stop()


async def test_a_caller_sees_only_what_its_role_and_scope_allow(process: Process) -> None:
    viewer = process.follow(principal=a_principal(Role.VIEWER))
    responder = process.follow(principal=a_principal(Role.RESPONDER))
    admin = process.follow(principal=a_principal(Role.ADMIN))
    scoped = process.follow(principal=a_principal(Role.VIEWER, scope=(a_matcher("job", "web"),)))
    await settle()
    process.write(an_event(), a_config_event(), a_config_event(subject_type="ApiKey"))
    process.write(an_event(alert_id=an_id(2), labels={"job": "web"}))
    await settle()

    assert (viewer.numbers, responder.numbers, admin.numbers) == ([1, 4], [1, 2, 4], [1, 2, 3, 4])
    assert scoped.numbers == [4]
    for follower in (viewer, responder, admin, scoped):
        await follower.stop()


async def test_what_cannot_be_followed_is_refused(table: Table, process: Process) -> None:
    stranger = replace(a_principal(), tenant=Tenant(TenantId(an_id(7)), "other", "Other", Tier.STANDARD))
    table.add(*numbered(2))
    beyond = replace(event_cursor(table.tenants[TENANT].events[1], 1), number=3)
    refusals = [
        (a_principal(Role.INGEST), EVERYTHING, None, AccessDeniedError),
        (a_principal(), EVERYTHING, "nonsense", InputError),
        (a_principal(), EventFilter(matchers=(a_matcher("", "x"),)), None, InputError),
        (a_principal(), EVERYTHING, beyond.encode(), CursorExpiredError),
        (a_principal(), EVERYTHING, replace(START, log_epoch=2).encode(), CursorExpiredError),
        (stranger, EVERYTHING, None, NotFoundError),
    ]
    for principal, wanted, after, expected in refusals:
        with pytest.raises(expected):
            await anext(process.streams.follow(principal, wanted, after))
    assert process.streams.follower_count == 0


# ------------------------------------------------------------------------------------ signs of life


async def test_a_quiet_stream_gives_a_sign_of_life_at_least_every_15_seconds(
    process: Process, clock: VirtualClock
) -> None:
    async with loops(process):
        await pass_time(clock, 2)
        follower = process.follow(EventFilter(kinds=frozenset({EventKind.RESOLVED})))
        await settle()
        for _ in range(100):
            process.write(*numbered(1))
            await pass_time(clock, 1)

        assert follower.numbers == []
        gaps = [later - earlier for earlier, later in pairwise([0.0, *follower.said_at])]
        assert max(gaps) <= 15
        assert min(gaps) >= 10
        # It keeps the cursor fresh: who resumes from there reads nothing again.
        assert [batch.cursor.number for _, batch in follower.batches] == follower.said_at
        assert all(batch.live for _, batch in follower.batches)
        await follower.stop()


async def test_a_busy_stream_needs_no_sign_of_life(process: Process, clock: VirtualClock) -> None:
    async with loops(process):
        follower = process.follow()
        await settle()
        for _ in range(60):
            process.write(*numbered(1))
            await pass_time(clock, 1)

        assert [len(batch.events) for _, batch in follower.batches] == [1] * 60
        await follower.stop()


async def test_a_stream_that_waits_for_the_store_gives_signs_of_life_and_then_goes_on(
    table: Table, process: Process, clock: VirtualClock
) -> None:
    table.add(*numbered(700))
    async with loops(process):
        follower = process.follow(after=START)
        follower.stall()
        await settle()
        table.away = True
        follower.go_on()
        await settle()
        await pass_time(clock, 40)
        assert follower.error is None
        assert follower.numbers == list(range(1, streams.READ_LENGTH_MAX + 1))
        assert [(at, batch.live) for at, batch in follower.batches if at] == [
            (10, False),
            (20, False),
            (30, False),
            (40, False),
        ]

        table.away = False
        await pass_time(clock, 3)
        assert follower.numbers == list(range(1, 701))
        assert follower.last.live
        assert any(isinstance(failure, DependencyError) for failure in process.watcher.failures)
        await follower.stop()


async def test_who_was_told_that_more_is_to_come_is_told_at_once_when_it_has(
    table: Table, process: Process
) -> None:
    table.add(*numbered(10), *(an_event(kind=EventKind.RESOLVED) for _ in range(streams.READ_LENGTH_MAX)))
    follower = process.follow(EventFilter(kinds=frozenset({EventKind.TRIGGERED})), START)
    await settle()

    assert [(len(b.events), b.live, b.cursor.number) for _, b in follower.batches] == [
        (10, False, 500),
        (0, True, 510),
    ]
    await follower.stop()


# -------------------------------------------------------------------------------------------- hints


async def test_a_hint_of_another_process_is_followed_at_once(
    table: Table, process: Process, clock: VirtualClock
) -> None:
    async with loops(process):
        follower = process.follow()
        await settle()
        table.add(*numbered(3))
        process.hints.heard.put_nowait((TENANT, 3))
        await settle()

        assert follower.numbers == [1, 2, 3]
        assert process.elsewhere == [1, 2, 3]
        await follower.stop()


async def test_without_hints_the_sweep_finds_events_within_a_second(
    table: Table, process: Process, clock: VirtualClock
) -> None:
    async with loops(process):
        follower = process.follow()
        await settle()
        table.add(*numbered(3))
        await pass_time(clock, 1)

        assert follower.numbers == [1, 2, 3]
        await follower.stop()


async def test_hints_that_lie_come_late_or_again_change_nothing(
    table: Table, process: Process, clock: VirtualClock
) -> None:
    async with loops(process):
        follower = process.follow()
        await settle()
        process.hints.heard.put_nowait((TENANT, 99))
        await settle()
        table.add(*numbered(5))
        for number in (3, 5, 1, 5, 4, 1 << 60):
            process.hints.heard.put_nowait((TENANT, number))
        process.hints.heard.put_nowait((TenantId(an_id(7)), 3))
        await settle()
        assert follower.numbers == [1, 2, 3, 4, 5]

        process.write(*numbered(2))
        await settle()
        assert follower.numbers == [1, 2, 3, 4, 5, 6, 7]
        # A lie is forgotten: nobody goes on looking for what is not there.
        table.calls.clear()
        await pass_time(clock, 5)
        assert table.calls == {"heads": 5}
        await follower.stop()


async def test_an_own_flush_behind_one_of_another_process_waits_for_it(table: Table, process: Process) -> None:
    follower = process.follow()
    await settle()
    table.add(*numbered(2))
    process.write(*numbered(2))
    await settle()

    assert follower.numbers == [1, 2, 3, 4]
    await follower.stop()


async def test_a_cursor_of_another_process_may_be_ahead_of_this_one(table: Table, process: Process) -> None:
    first = process.follow()
    await settle()
    ahead = event_cursor(table.add(*numbered(3)).events[2], 1)
    follower = process.follow(after=ahead)
    table.add(*numbered(2))
    await settle()

    assert follower.numbers == [4, 5]
    assert first.numbers == [1, 2, 3, 4, 5]
    for each in (first, follower):
        await each.stop()


async def test_other_processes_are_told_of_what_this_one_writes(process: Process) -> None:
    process.write(*numbered(2))
    process.streams.changed(TENANT, 3)
    await settle()

    assert process.hints.announced == [(TENANT, 2), (TENANT, 3)]


async def test_a_change_that_is_no_flush_is_read_from_the_table(table: Table, process: Process) -> None:
    follower = process.follow()
    await settle()
    table.add(a_config_event())
    process.streams.changed(TENANT, 1)
    await settle()

    assert follower.numbers == [1]
    await follower.stop()


async def test_listening_begins_again_after_a_failure(table: Table, process: Process, clock: VirtualClock) -> None:
    async with loops(process):
        follower = process.follow()
        await settle()
        for _ in range(3):
            process.hints.heard.put_nowait(ConnectionResetError("gone"))
        await settle()
        assert len(process.watcher.failures) == 1, "it is not tried without a pause"
        table.add(*numbered(1))
        await pass_time(clock, 3)
        assert follower.numbers == [1]

        table.add(*numbered(1))
        process.hints.heard.put_nowait((TENANT, 2))
        await settle()
        assert follower.numbers == [1, 2]
        await follower.stop()


async def test_while_the_store_is_away_own_events_go_on_and_others_come_when_it_is_back(
    table: Table, process: Process, clock: VirtualClock
) -> None:
    async with loops(process):
        follower = process.follow()
        await settle()
        table.away = True
        process.write(*numbered(1))
        await settle()
        assert follower.numbers == [1]

        table.add(*numbered(2))
        process.hints.heard.put_nowait((TENANT, 3))
        await pass_time(clock, 5)
        assert follower.numbers == [1]
        assert process.watcher.failures

        table.away = False
        await pass_time(clock, 1)
        assert follower.numbers == [1, 2, 3]
        await follower.stop()


# --------------------------------------------------------------------------------- memory and table


async def test_a_herd_that_comes_back_is_served_from_memory(table: Table, process: Process) -> None:
    first = process.follow()
    await settle()
    for _ in range(10):
        process.write(*numbered(10))
    await settle()
    cursor = event_cursor(table.tenants[TENANT].events[19], 1)

    herd = [process.follow(after=cursor) for _ in range(50)]
    await settle()

    assert all(follower.numbers == list(range(21, 101)) for follower in herd)
    assert table.calls["events_after"] == 0
    for follower in (first, *herd):
        await follower.stop()


async def test_who_falls_behind_the_ring_reads_the_table(
    table: Table, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "RING_LENGTH", 32)
    quick, slow = process.follow(), process.follow()
    await settle()
    slow.stall()
    for _ in range(100):
        process.write(*numbered(5))
        await asyncio.sleep(0)
    await settle()
    assert slow.numbers == [1, 2, 3, 4, 5]
    assert quick.numbers == list(range(1, 501))

    slow.go_on()
    await settle()
    assert slow.numbers == list(range(1, 501))
    assert process.watcher.read["table"] > 0
    (feed,) = process.streams._feeds.values()
    assert len(feed.ring) == 32
    for follower in (quick, slow):
        await follower.stop()


async def test_at_most_four_read_the_table_at_once(table: Table, process: Process) -> None:
    table.pause = random_pauses(random.Random(1), 40)
    table.add(*numbered(40))
    herd = [process.follow(after=START) for _ in range(30)]
    for _ in range(20):
        await settle()

    assert all(follower.numbers == list(range(1, 41)) for follower in herd)
    assert table.reading_max == streams.CATCH_UP_COUNT_MAX
    for follower in herd:
        await follower.stop()


async def test_a_tenant_nobody_follows_is_forgotten(table: Table, process: Process, clock: VirtualClock) -> None:
    async with loops(process):
        followers = [process.follow() for _ in range(3)]
        await settle()
        assert process.streams.follower_count == 3
        for follower in followers:
            await follower.stop()
        assert process.streams.follower_count == 0
        assert process.streams._feeds == {}
        table.calls.clear()
        await pass_time(clock, 3)
        process.write(*numbered(2))
        await settle()
        assert table.calls == {}

        again = process.follow()
        await settle()
        process.write(*numbered(1))
        await settle()
        assert again.numbers == [3]
        await again.stop()


# ----------------------------------------------------------------------------------- another log


async def test_a_follower_that_retention_passes_is_told(table: Table, process: Process) -> None:
    table.add(*numbered(600))
    follower = process.follow(after=START)
    follower.stall()
    await settle()
    table.pruned_number = 550
    follower.go_on()
    await settle()

    assert isinstance(follower.error, CursorExpiredError)
    assert follower.numbers == list(range(1, streams.READ_LENGTH_MAX + 1))
    assert process.streams.follower_count == 0


async def test_followers_of_a_log_that_was_put_back_are_told(
    table: Table, process: Process, clock: VirtualClock
) -> None:
    async with loops(process):
        table.add(*numbered(10))
        follower = process.follow()
        await settle()
        table.restore(6)
        await pass_time(clock, 1)
        assert isinstance(follower.error, CursorExpiredError)

        # Who comes now follows the log that there is.
        again = process.follow()
        await settle()
        process.write(*numbered(1))
        await settle()
        assert again.numbers == [7]
        assert again.last.cursor.log_epoch == 2
        await again.stop()


async def test_followers_whose_end_retention_has_passed_are_told(
    table: Table, process: Process, clock: VirtualClock
) -> None:
    async with loops(process):
        table.add(*numbered(2))
        follower = process.follow()
        await settle()
        table.add(*numbered(5))
        table.pruned_number = 5
        await pass_time(clock, 1)

        assert isinstance(follower.error, CursorExpiredError)
        assert process.streams.follower_count == 0


# ------------------------------------------------------------------------------------------ growth


async def test_growth_is_told_at_once_again_when_there_is_more_and_when_it_is_quiet(
    table: Table, process: Process, clock: VirtualClock
) -> None:
    said: list[int] = []

    async def watch() -> None:
        async for number in process.streams.growth(a_principal()):
            said.append(number)  # noqa: PERF401  (an extend would keep it all to itself until the end)

    async with loops(process):
        table.add(*numbered(3))
        task = asyncio.create_task(watch())
        await settle()
        assert said == [3]
        process.write(*numbered(2))
        await settle()
        assert said == [3, 5]
        await pass_time(clock, 9)
        assert said == [3, 5]
        await pass_time(clock, 6)
        assert said == [3, 5, 5]
        # Of a log that is put back, the new end is told.
        table.restore(4)
        await pass_time(clock, 1)
        assert said == [3, 5, 5, 4]
        task.cancel()
        await asyncio.wait([task])
    assert process.streams.follower_count == 0


# ------------------------------------------------------------------------------------ standing still


async def test_a_follower_says_where_it_stands(table: Table, process: Process) -> None:
    table.add(*numbered(250))
    steps = process.streams.steps(a_principal(), EventFilter(severity=frozenset({Severity.LOW})), START.encode())
    async with aclosing(steps):
        first = await anext(steps)
        assert isinstance(first, Place)
        assert (first.number, first.is_live) == (250, True)
        assert first.cursor == event_cursor(table.tenants[TENANT].events[249], 1)
        coming = asyncio.create_task(anext(steps))
        process.write(*numbered(1), an_event(severity_after=Severity.LOW), *numbered(1))
        batch, place = await coming, await anext(steps)
    assert isinstance(batch, StreamBatch)
    assert ([each.number for each in batch.events], batch.cursor.number) == ([252], 253)
    assert isinstance(place, Place)
    assert (place.number, place.feed is first.feed) == (253, True)


async def test_nobody_steps_over_a_place_that_is_held(table: Table, process: Process) -> None:
    table.add(*numbered(4))
    events = table.tenants[TENANT].events
    live = process.streams.steps(a_principal(), EVERYTHING, None)
    behind = process.streams.steps(a_principal(), EVERYTHING, START.encode())
    async with aclosing(live), aclosing(behind):
        here = await anext(live)
        assert isinstance(here, Place)
        process.write(*numbered(6))
        held = [Place(here.feed, event_cursor(events[number - 1], 1), is_live=True) for number in (6, 7, 7)]
        for each in held:
            each.hold()
        process.write(*numbered(1))

        async def until_number(steps: AsyncIterator[StreamBatch | Place], last: int) -> list[int]:
            stood: list[int] = []
            seen: list[int] = []
            while not stood or stood[-1] < last:
                step = await anext(steps)
                if isinstance(step, Place):
                    assert seen == list(range(seen[0], step.number + 1)) if seen else True
                    stood.append(step.number)
                else:
                    seen += [each.number for each in step.events]
            return stood

        assert await until_number(live, 11) == [6, 7, 11]
        held[1].release()
        assert await until_number(behind, 11) == [6, 7, 11]
        held[0].release()
        held[2].release()
        assert here.feed.stops == {}


async def test_an_event_is_handed_only_to_those_who_may_want_it(table: Table, process: Process) -> None:
    one, other = (process.follow(EventFilter(alert_ids=frozenset({an_id(number)}))) for number in (1, 2))
    await settle()
    for number in (1, 1, 2, 3):
        process.write(an_event(alert_id=an_id(number)))
    await settle()

    assert (one.numbers, other.numbers) == ([1, 2], [3])
    assert process.watcher.read == {"memory": 3, "table": 0}
    for follower in (one, other):
        await follower.stop()


async def test_a_cursor_that_is_remembered_is_not_looked_up(table: Table, process: Process) -> None:
    first = process.follow()
    await settle()
    process.write(*numbered(3))
    await settle()
    table.calls.clear()
    cursors = [event_cursor(each, 1) for each in table.tenants[TENANT].events]
    herd = [process.follow(after=cursor) for cursor in cursors]
    liar = process.follow(after=replace(cursors[1], hash_start=b"\xff" * 4))
    await settle()

    assert [follower.numbers for follower in herd] == [[2, 3], [3], []]
    assert isinstance(liar.error, CursorExpiredError)
    assert table.calls["check_cursor"] <= 1
    for follower in (first, *herd):
        await follower.stop()


# -------------------------------------------------------------------------------------- simulation


@dataclass
class Reader:
    """Somebody who follows at an own pace, leaves at any moment and comes back with the last cursor."""

    wanted: EventFilter
    begin: int
    cursor: LogCursor
    seen: list[int] = field(default_factory=list)
    said_at: float = 0.0


class Simulation:
    """Two processes, a third one that nobody hears of, and readers, under everything that may go wrong."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.clock = VirtualClock()
        self.table = Table(self.clock, self.dice)
        self.table.pause = random_pauses(self.dice, 4)
        self.processes = [Process(self.table, self.clock) for _ in range(2)]
        self.readers: list[Reader] = []
        self.in_the_air: list[tuple[Process, tuple[TenantId, int]]] = []
        self.over = False

    async def run(self) -> None:
        for _ in range(self.dice.randint(0, 3)):
            self.table.add(*self.events())
        async with loops(*self.processes):
            tasks = [asyncio.create_task(self.read(self.reader())) for _ in range(8)]
            for _ in range(120):
                self.step()
                for _ in range(self.dice.randint(0, 8)):
                    await asyncio.sleep(0)
            self.over = True
            self.table.failing = 0.0
            await pass_time(self.clock, 6)
            for task in tasks:
                assert not task.done(), task.exception()
                task.cancel()
            await asyncio.wait(tasks)

    def events(self) -> list[Event]:
        severities = list(Severity)
        return [
            an_event(severity_after=self.dice.choice(severities), labels={"job": self.dice.choice("ab")})
            for _ in range(self.dice.randint(1, 6))
        ]

    def reader(self) -> Reader:
        wanted = self.dice.choice(
            [
                EVERYTHING,
                EventFilter(severity=frozenset({Severity.CRITICAL})),
                EventFilter(matchers=(a_matcher("job", "a"),)),
                EventFilter(kinds=frozenset({EventKind.RESOLVED})),
            ]
        )
        begin = self.dice.randint(0, self.table.number)
        events = self.table.tenants[TENANT].events
        return Reader(wanted, begin, event_cursor(events[begin - 1], 1) if begin else START)

    def step(self) -> None:
        match self.dice.randint(0, 9):
            case 0 | 1 | 2:
                writer = self.dice.choice(self.processes)
                writer.write(*self.events())
            case 3:
                self.table.add(*self.events())
            case 4 | 5:
                self.carry()
            case 6:
                self.table.failing = self.dice.choice([0.0, 0.0, 0.2, 0.9])
            case 7:
                process = self.dice.choice(self.processes)
                lie = self.dice.randint(0, self.table.number + 3)
                process.hints.heard.put_nowait((TENANT, lie))
                if self.dice.random() < 0.2:
                    process.hints.heard.put_nowait(ConnectionResetError("cut"))
            case _:
                self.clock.advance(timedelta(milliseconds=self.dice.choice([1, 50, 400, 1500])))

    def carry(self) -> None:
        """Bring hints from one process to the other: late, in any order, twice, or not at all."""
        for here, there in (self.processes, self.processes[::-1]):
            self.in_the_air += [(there, hint) for hint in here.hints.announced]
            here.hints.announced.clear()
        self.dice.shuffle(self.in_the_air)
        for _ in range(self.dice.randint(0, len(self.in_the_air))):
            there, hint = self.in_the_air.pop()
            for _ in range(self.dice.choice([0, 1, 1, 1, 2])):
                there.hints.heard.put_nowait(hint)

    async def read(self, reader: Reader) -> None:
        while True:
            process = self.dice.choice(self.processes)
            batches = process.streams.follow(a_principal(), reader.wanted, reader.cursor.encode())
            seen = len(reader.seen)
            try:
                await self.read_on(reader, batches)
            except DependencyError:
                assert len(reader.seen) == seen, "only at its begin may a stream say that the store is away"
                await self.clock.sleep(timedelta(milliseconds=100))
            finally:
                await batches.aclose()

    async def read_on(self, reader: Reader, batches: AsyncIterator[StreamBatch]) -> None:
        stays = self.dice.randint(1, 12)
        async for batch in batches:
            assert len(batch.events) <= streams.BATCH_LENGTH_MAX
            assert batch.cursor.number >= reader.cursor.number
            assert all(stored.number <= batch.cursor.number for stored in batch.events)
            reader.seen += [stored.number for stored in batch.events]
            reader.cursor = batch.cursor
            for _ in range(0 if self.over else self.dice.choice([0, 0, 1, 30])):
                await asyncio.sleep(0)
            stays -= not self.over
            if stays == 0:
                return

    def expected(self, reader: Reader) -> list[int]:
        events = self.table.tenants[TENANT].events[reader.begin :]
        return [stored.number for stored in events if reader.wanted.matches(stored)]


@pytest.mark.parametrize("seed", range(30))
async def test_every_follower_sees_every_matching_event_once_and_in_order(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small, so that every way of reading is taken often.
    monkeypatch.setattr(streams, "RING_LENGTH", 24)
    monkeypatch.setattr(streams, "READ_LENGTH_MAX", 10)
    monkeypatch.setattr(streams, "BATCH_LENGTH_MAX", 4)
    simulation = Simulation(seed)
    readers: list[Reader] = []
    begin = simulation.reader

    def reader() -> Reader:
        readers.append(begin())
        return readers[-1]

    simulation.reader = reader  # type: ignore[method-assign]
    await simulation.run()

    assert simulation.table.number > 100
    for each in readers:
        assert each.seen == simulation.expected(each)
    for process in simulation.processes:
        assert process.streams.follower_count == 0
        assert process.streams._feeds == {}
    unexpected = [
        failure
        for process in simulation.processes
        for failure in process.watcher.failures
        if not isinstance(failure, DependencyError | ConnectionResetError)
    ]
    assert unexpected == []
