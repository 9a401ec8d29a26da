"""Has what learns take every tenant's log, event by event and in order, whatever ends in between.

A *reader* is a kind of learning, such as correlation; a *reading* is one tenant's of a kind. A tenant belongs to
one process at a time, by a lease. A reading's state is saved together with how far it has come, so that whoever
takes the tenant over goes on from there; what was taken since is taken again, and must have the same effect.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NoReturn, Protocol

from alertgraph.core.cursor import LogCursor
from alertgraph.core.errors import CursorExpiredError, DependencyError, NotFoundError
from alertgraph.core.event import StoredEvent
from alertgraph.core.flush import Head
from alertgraph.core.hint import pause_before
from alertgraph.core.ids import EPOCH, TenantId
from alertgraph.services.ports import (
    Clock,
    Dice,
    LearningObserver,
    LearningStates,
    LeaseLostError,
    SavedState,
    TenantLog,
    Wakeups,
)
from alertgraph.services.streams import event_cursor, head_cursor

BATCH_LENGTH = 1000
# Who begins anew begins at most this far back.
LOOK_BACK = timedelta(days=7)
LOOK_BACK_LENGTH = 100_000
# Who is further behind than this will never be useful again by going on: it begins anew, and it is said.
BACKLOG_LENGTH_MAX = 1_000_000

TICK_EVERY = timedelta(seconds=1)
# One event after a while is taken at once; of a stream of them, those of this long together: a turn costs the
# database the same for one event as for hundreds, and the model nearly so.
TURN_EVERY = timedelta(seconds=1)
CLAIM_EVERY = timedelta(seconds=2)
RENEW_EVERY = timedelta(seconds=5)
# Whoever dies costs his tenants this long, unless the one who comes in his place has his name.
LEASE = timedelta(seconds=20)

SAVE_EVERY = timedelta(seconds=5)
SAVE_LENGTH = 20_000
# What time alone has changed is looked for this often: to find it, the state is made.
SAVE_IDLE_EVERY = timedelta(minutes=1)
STATE_SIZE_MAX = 64 * 1024 * 1024

# Tenants that have a turn at once; one whose turn takes longer than this counts no more, so that those that hang
# leave the others their places.
PLACE_COUNT = 8
PATIENCE = timedelta(seconds=2)
TAKE_TIMEOUT = timedelta(seconds=60)
PAUSE_MIN = timedelta(seconds=1)
PAUSE_MAX = timedelta(minutes=5)
# So many failures over the same events, some minutes of them, and the reading begins anew behind them.
ATTEMPT_COUNT_MAX = 8
CLOSE_TIMEOUT = timedelta(seconds=8)


class StateMismatch(Exception):  # noqa: N818  (what it says is no fault: another release made the state)
    """A saved state is of another form than the reader knows; the message says what differs."""


class Reading(Protocol):
    """What one tenant's log has come to. Its methods are called one after the other, never two at once.

    Where `take` or `tick` raises, the reading is dropped and opened again from its saved state: the same events
    come again. `DependencyError` is for what will pass; anything else is counted, and after some tries over the
    same events it begins anew behind them.
    """

    async def take(self, events: Sequence[StoredEvent]) -> None:
        """Take the next events, 1 to 1,000, in order and without a gap. Their effects may be asked for twice."""
        ...

    async def tick(self, now: datetime) -> None:
        """Do what time asks for: called about once a second, also where nothing happened; clocks may jump."""
        ...

    def state(self) -> bytes:
        """Return all that is needed to go on from here; in a few milliseconds, for others wait."""
        ...


class Reader(Protocol):
    """A kind of reading.

    Attributes:
        name: Keys the saved state; never changes.
    """

    name: str

    async def open(self, tenant_id: TenantId, state: bytes | None, now: datetime) -> Reading:
        """Return a tenant's reading as its state says; None begins anew.

        Raises:
            StateMismatch: It is of another form; the reader is asked again without one.
        """
        ...


@dataclass(slots=True)
class _Seat:
    """One reader's place in a tenant's log."""

    reader: Reader
    reading: Reading | None = None
    cursor: LogCursor | None = None
    saved: SavedState | None = None
    is_unsaved: bool = False
    unsaved_length: int = 0
    saved_at: datetime = EPOCH
    ticked_at: datetime = EPOCH
    behind_since: datetime | None = None
    failed_count: int = 0
    failed_at: datetime = EPOCH
    # Failures over events, up to this number, that no later batch has got past.
    spoilt_count: int = 0
    spoilt_number: int = 0
    pause: timedelta = timedelta(0)

    @property
    def number(self) -> int:
        """How far it has come."""
        return self.cursor.number if self.cursor is not None else 0

    @property
    def state_size(self) -> int:
        """Bytes of what is saved."""
        return len(self.saved.content) if self.saved is not None else 0


@dataclass(slots=True)
class _Tenant:
    """A tenant that is ours at present.

    Attributes:
        wanted: How far its log goes, as far as is known.
        is_lost: Another process has it now.
    """

    id: TenantId
    seats: list[_Seat]
    wanted: int = 0
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    is_lost: bool = False

    @property
    def number(self) -> int:
        """How far its furthest reading has come."""
        return max((seat.number for seat in self.seats if seat.reading is not None), default=0)


@dataclass(frozen=True, slots=True)
class ReaderFigures:
    """How one reader does, over all tenants of this process.

    Attributes:
        tenant_count: How many tenants it reads.
        failing_count: How many of these are put off after a failure.
        behind: Events that it has not taken.
        behind_seconds: How long the tenant furthest behind has been waiting.
        state_size: Bytes of saved states.
    """

    tenant_count: int
    failing_count: int
    behind: int
    behind_seconds: float
    state_size: int


class Follower:
    """Follows the log of every tenant that no other process follows, and has each reader take it.

    Tenants take turns, one batch each: a long way to go keeps nobody waiting, and neither does one that fails or
    hangs, which is tried again ever less often.

    Args:
        readers: Each at its own pace.
        log: What is read.
        states: Where states and leases are kept.
        wakeups: Hints that logs have grown; what they miss is found within a second.
        clock: May jump; leases are the store's, by its own clock.
        dice: For pauses.
        observer: Told of every failure, and of every reading that begins anew.
        seen: Called with events before they are taken, once or more often.
    """

    def __init__(
        self,
        readers: Sequence[Reader],
        log: TenantLog,
        states: LearningStates,
        wakeups: Wakeups,
        clock: Clock,
        dice: Dice,
        observer: LearningObserver,
        seen: Callable[[TenantId, Sequence[StoredEvent]], None] = lambda *_: None,
    ) -> None:
        assert len({reader.name for reader in readers}) == len(readers), "a name keys a state"
        self._readers = tuple(readers)
        self._log = log
        self._states = states
        self._wakeups = wakeups
        self._clock = clock
        self._dice = dice
        self._observer = observer
        self._seen = seen
        self._tenants: dict[TenantId, _Tenant] = {}
        self._places = asyncio.Semaphore(PLACE_COUNT)
        self._is_closing = False

    def hint(self, tenant_id: TenantId, number: int) -> None:
        """Learn that a tenant's log goes up to a number."""
        tenant = self._tenants.get(tenant_id)
        if tenant is not None and number > tenant.wanted:
            tenant.wanted = number
            tenant.woken.set()

    def reading(self, tenant_id: TenantId, name: str) -> Reading | None:
        """Return a tenant's reading as it is now; None where this process has none. It may be in work."""
        tenant = self._tenants.get(tenant_id)
        if tenant is None:
            return None
        return next((seat.reading for seat in tenant.seats if seat.reader.name == name), None)

    def figures(self) -> dict[str, ReaderFigures]:
        """Return how each reader does, by its name."""
        return {reader.name: self._figures_of(reader.name) for reader in self._readers}

    @property
    def tenant_count(self) -> int:
        """How many tenants this process follows."""
        return len(self._tenants)

    def behind(self) -> tuple[int, float]:
        """Return how many events wait for the slowest reader, and for how many seconds the first of all waits."""
        figures = self.figures().values()
        return max((one.behind for one in figures), default=0), max(
            (one.behind_seconds for one in figures), default=0.0
        )

    async def run(self) -> NoReturn:
        """Follow, for as long as it runs; `settle` afterwards."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_leases())
            group.create_task(self._beat())
            group.create_task(self._listen())
        raise AssertionError("loops end by being cancelled")

    async def settle(self) -> None:
        """Save what was taken and let other processes go on with it."""
        self._is_closing = True
        tenants = list(self._tenants.values())
        await asyncio.gather(*(self._let_go(tenant) for tenant in tenants))
        await self._release([tenant for tenant in tenants if not tenant.is_lost])

    # ----------------------------------------------------------------------------------- tenants

    async def _keep_leases(self) -> NoReturn:
        renewed_at = self._clock.now()
        while True:
            try:
                if _has_passed(renewed_at, RENEW_EVERY, self._clock.now()):
                    renewed_at = self._clock.now()
                    held = await self._states.renew(LEASE)
                    for tenant in [one for one in self._tenants.values() if one.id not in held]:
                        self._lose(tenant)
                    # Such as were let go of, but for the word that was to say so.
                    for tenant_id in held:
                        if tenant_id not in self._tenants:
                            self._begin(tenant_id)
                claimed, share = await self._states.claim(LEASE)
                for tenant_id in claimed:
                    self._begin(tenant_id)
                await self._give_up_beyond(share)
            except Exception as error:  # noqa: BLE001  (the loop outlives any failure; leases run out by themselves)
                self._observer.failed("leases", error)
            await self._clock.sleep(CLAIM_EVERY)

    def _begin(self, tenant_id: TenantId) -> None:
        known = self._tenants.get(tenant_id)
        if known is not None:
            # Our lease had run out, unnoticed, and somebody may have had it since: what is saved may be newer.
            self._lose(known)
        tenant = self._tenants[tenant_id] = _Tenant(tenant_id, [_Seat(reader) for reader in self._readers])
        tenant.task = asyncio.create_task(self._follow(tenant), name=f"follow {tenant_id}")

    def _lose(self, tenant: _Tenant) -> None:
        """Forget a tenant that another process has now."""
        tenant.is_lost = True
        if self._tenants.get(tenant.id) is tenant:
            del self._tenants[tenant.id]
        if tenant.task is not None and tenant.task is not asyncio.current_task():
            tenant.task.cancel()

    async def _give_up_beyond(self, share: int) -> None:
        """Let other processes have what is beyond this one's share; small differences are nobody's trouble."""
        excess = len(self._tenants) - share - max(1, share // 10)
        if excess <= 0:
            return
        leaving = list(self._tenants.values())[-excess:]
        await asyncio.gather(*(self._let_go(tenant) for tenant in leaving))
        await self._release([tenant for tenant in leaving if not tenant.is_lost])

    async def _release(self, tenants: Sequence[_Tenant]) -> None:
        if not tenants:
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT.total_seconds()):
                await self._states.release([tenant.id for tenant in tenants])
        except (DependencyError, TimeoutError) as error:
            # They are free when the lease runs out, or taken up again where it does not.
            self._observer.failed("leases", error)

    async def _let_go(self, tenant: _Tenant) -> None:
        """End a tenant's work and save it, in bounded time."""
        if self._tenants.get(tenant.id) is tenant:
            del self._tenants[tenant.id]
        if tenant.task is not None:
            tenant.task.cancel()
            await asyncio.wait({tenant.task}, timeout=CLOSE_TIMEOUT.total_seconds())
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT.total_seconds()):
                if not tenant.is_lost:
                    await self._save(tenant, [seat for seat in tenant.seats if seat.is_unsaved])
        except Exception as error:  # noqa: BLE001  (what is not saved is taken again)
            self._observer.failed("saving", error)

    async def _follow(self, tenant: _Tenant) -> None:
        """Give a tenant its turns, for as long as it is ours."""
        failed_count = 0
        took_at = EPOCH
        while not tenant.is_lost:
            tenant.woken.clear()
            began_at, number = self._clock.now(), tenant.number
            try:
                async with self._place():
                    has_more = await self._turn(tenant)
                failed_count = 0
            except LeaseLostError:
                self._lose(tenant)
                return
            except NotFoundError:
                # It was erased, and so is what there was of it.
                self._lose(tenant)
                await self._release([tenant])
                return
            except Exception as error:  # noqa: BLE001  (one tenant's trouble is nobody else's)
                self._observer.failed("following", error)
                failed_count += 1
                await self._clock.sleep(
                    pause_before(failed_count, self._dice.fraction(), PAUSE_MIN, timedelta(seconds=30))
                )
                continue
            if tenant.number != number:
                # A turn in which nothing came keeps the next event from nothing.
                took_at = began_at
            if not has_more:
                await tenant.woken.wait()
                pause = took_at + TURN_EVERY - self._clock.now()
                if timedelta(0) < pause <= TURN_EVERY:
                    await self._clock.sleep(pause)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """Wait for a place; one that is held for too long is given to somebody else all the same."""
        await self._places.acquire()
        is_held = True

        def release() -> None:
            nonlocal is_held
            if is_held:
                is_held = False
                self._places.release()

        timer = asyncio.get_running_loop().call_later(PATIENCE.total_seconds(), release)
        try:
            yield
        finally:
            timer.cancel()
            release()

    # ------------------------------------------------------------------------------------- turns

    async def _turn(self, tenant: _Tenant) -> bool:
        """Have each reader take a batch, and return whether there is more."""
        now = self._clock.now()
        await self._open_seats(tenant, now)
        for seats in _by_number(tenant.seats, tenant.wanted):
            events = await self._read(tenant, seats)
            if events:
                self._seen(tenant.id, events)
                await asyncio.gather(*(self._take(tenant, seat, events) for seat in seats))
        await self._tick(tenant)
        await self._save_due(tenant)
        return (
            any(seat.reading is not None and seat.number < tenant.wanted for seat in tenant.seats)
            and not self._is_closing
        )

    async def _open_seats(self, tenant: _Tenant, now: datetime) -> None:
        closed = [
            seat
            for seat in tenant.seats
            if seat.reading is None and (seat.failed_count == 0 or _has_passed(seat.failed_at, seat.pause, now))
        ]
        if not closed:
            return
        head = await self._log.head(tenant.id)
        if head is None:
            raise NotFoundError("There is no such tenant.")
        tenant.wanted = max(tenant.wanted, head.number)
        saved = await self._states.load(tenant.id)
        for seat in closed:
            seat.saved = saved.get(seat.reader.name)
            try:
                async with asyncio.timeout(TAKE_TIMEOUT.total_seconds()):
                    await self._open(tenant, seat, head, now)
            except Exception as error:  # noqa: BLE001  (a reader that can't begin keeps no other one waiting)
                self._put_off(tenant, seat, error)

    async def _open(self, tenant: _Tenant, seat: _Seat, head: Head, now: datetime) -> None:
        saved, why = seat.saved, None
        if seat.spoilt_count >= ATTEMPT_COUNT_MAX:
            why = f"it failed {seat.spoilt_count} times over events up to {seat.spoilt_number}"
            await self._open_at(tenant, seat, head_cursor(head), why, now)
            seat.spoilt_count = 0
            return
        if saved is not None:
            why = _unusable(saved.cursor, head)
            if why is None:
                try:
                    seat.reading = await seat.reader.open(tenant.id, saved.content, now)
                except StateMismatch as error:
                    why = str(error)
                else:
                    seat.cursor = saved.cursor
                    seat.saved_at = seat.ticked_at = now
                    seat.is_unsaved = False
                    seat.unsaved_length = 0
                    self._note_behind(seat, tenant, now)
                    return
        start = await self._states.start_of(tenant.id, now - LOOK_BACK, LOOK_BACK_LENGTH)
        await self._open_at(tenant, seat, start, why, now)

    async def _open_at(
        self, tenant: _Tenant, seat: _Seat, start: LogCursor, why: str | None, now: datetime
    ) -> None:
        """Begin anew at a position; `why` where there was something before."""
        seat.reading = await seat.reader.open(tenant.id, None, now)
        seat.cursor = start
        seat.saved_at = seat.ticked_at = now
        # What it begins with replaces what is kept, before or with the first events.
        seat.is_unsaved = True
        seat.unsaved_length = 0
        if why is not None:
            self._observer.begun_anew(tenant.id, seat.reader.name, why)
        self._note_behind(seat, tenant, now)

    async def _read(self, tenant: _Tenant, seats: Sequence[_Seat]) -> Sequence[StoredEvent]:
        """Return the next events of readers that stand at the same place."""
        cursor = seats[0].cursor
        assert cursor is not None, "who has a reading stands somewhere"
        try:
            events = await self._log.events_after(tenant.id, cursor, BATCH_LENGTH)
        except CursorExpiredError as error:
            for seat in seats:
                await self._begin_anew(tenant, seat, error.message)
            return ()
        if not events:
            # The hint lied, or ran ahead of what can be read.
            tenant.wanted = max(seat.number for seat in tenant.seats)
        return events

    async def _begin_anew(self, tenant: _Tenant, seat: _Seat, why: str) -> None:
        now = self._clock.now()
        seat.reading = None
        try:
            start = await self._states.start_of(tenant.id, now - LOOK_BACK, LOOK_BACK_LENGTH)
            async with asyncio.timeout(TAKE_TIMEOUT.total_seconds()):
                await self._open_at(tenant, seat, start, why, now)
        except Exception as error:  # noqa: BLE001  (as in _open_seats)
            self._put_off(tenant, seat, error)

    async def _take(self, tenant: _Tenant, seat: _Seat, events: Sequence[StoredEvent]) -> None:
        reading, cursor = seat.reading, seat.cursor
        assert reading is not None, "only who has a reading takes"
        assert cursor is not None, "who has a reading stands somewhere"
        began_at = self._clock.now()
        last = events[-1]
        try:
            async with asyncio.timeout(TAKE_TIMEOUT.total_seconds()):
                await reading.take(events)
        except Exception as error:  # noqa: BLE001  (its state may be half of it: it is opened anew)
            self._put_off(tenant, seat, error, last.number)
            return
        now = self._clock.now()
        seat.cursor = event_cursor(last, cursor.log_epoch)
        seat.is_unsaved = True
        seat.unsaved_length += len(events)
        if last.number >= seat.spoilt_number:
            seat.failed_count = seat.spoilt_count = 0
        seat.behind_since = last.recorded_at if last.number < tenant.wanted else None
        self._observer.took(seat.reader.name, events=len(events), seconds=max(0.0, _seconds(now - began_at)))

    def _put_off(self, tenant: _Tenant, seat: _Seat, error: BaseException, number: int | None = None) -> None:
        """Have a reading that failed be opened again later, as it was saved last.

        Args:
            tenant: Whose reading.
            seat: Its place.
            error: What it raised.
            number: Of the last event that it failed over; None where it was not about events.
        """
        seat.reading = None
        seat.is_unsaved = False
        is_passing = isinstance(error, DependencyError) and error.retryable
        if number is not None and not is_passing:
            seat.spoilt_count += 1
            seat.spoilt_number = max(number, seat.spoilt_number)
        # What passes by itself is tried again at the pace at which it was.
        if not is_passing or seat.failed_count == 0:
            seat.failed_count += 1
        seat.failed_at = self._clock.now()
        seat.pause = pause_before(seat.failed_count, self._dice.fraction(), PAUSE_MIN, PAUSE_MAX)
        self._observer.put_off(tenant.id, seat.reader.name, error, seat.pause)

    async def _tick(self, tenant: _Tenant) -> None:
        now = self._clock.now()
        for seat in tenant.seats:
            if seat.reading is None or not _has_passed(seat.ticked_at, TICK_EVERY, now):
                continue
            seat.ticked_at = now
            try:
                async with asyncio.timeout(TAKE_TIMEOUT.total_seconds()):
                    await seat.reading.tick(now)
            except Exception as error:  # noqa: BLE001  (as in _take)
                self._put_off(tenant, seat, error, seat.number)

    # ------------------------------------------------------------------------------------ saving

    async def _save_due(self, tenant: _Tenant) -> None:
        now = self._clock.now()
        due = [
            seat
            for seat in tenant.seats
            if seat.reading is not None
            and (
                seat.unsaved_length >= SAVE_LENGTH
                or (seat.is_unsaved and _has_passed(seat.saved_at, SAVE_EVERY, now))
                or _has_passed(seat.saved_at, SAVE_IDLE_EVERY, now)
            )
        ]
        await self._save(tenant, due)

    async def _save(self, tenant: _Tenant, seats: Sequence[_Seat]) -> None:
        """Save readings with how far they have come, in one transaction."""
        now = self._clock.now()
        states: dict[str, SavedState] = {}
        saving: list[tuple[_Seat, SavedState]] = []
        for seat in seats:
            if seat.reading is None or seat.cursor is None:
                continue
            try:
                content = seat.reading.state()
                if len(content) > STATE_SIZE_MAX:
                    raise ValueError(f"its state has {len(content)} bytes, more than {STATE_SIZE_MAX}")
            except Exception as error:  # noqa: BLE001  (as in _take)
                self._put_off(tenant, seat, error, seat.number)
                continue
            seat.saved_at = now
            state = SavedState(seat.cursor, content)
            if state != seat.saved:
                states[seat.reader.name] = state
                saving.append((seat, state))
        if not states:
            return
        await self._states.save(tenant.id, states)
        for seat, state in saving:
            seat.saved = state
            seat.is_unsaved = False
            seat.unsaved_length = 0

    # ------------------------------------------------------------------------------------- hints

    async def _listen(self) -> NoReturn:
        while True:
            try:
                async for tenant_id, number in self._wakeups.listen():
                    self.hint(tenant_id, number)
            except Exception as error:  # noqa: BLE001  (the sweep finds what is missed meanwhile)
                self._observer.failed("hints", error)
            await self._clock.sleep(TICK_EVERY)

    async def _beat(self) -> NoReturn:
        """Find what hints have missed and give everybody a turn, each second."""
        while True:
            await self._clock.sleep(TICK_EVERY)
            try:
                # As they stood before: who reads on meanwhile is not ahead of its log.
                known = {tenant.id: tenant.number for tenant in self._tenants.values()}
                heads = await self._log.heads(list(known)) if known else {}
                for tenant_id, number in heads.items():
                    self._learn_head(tenant_id, number, known[tenant_id])
            except Exception as error:  # noqa: BLE001  (the loop outlives any failure)
                self._observer.failed("sweep", error)
            for tenant in self._tenants.values():
                tenant.woken.set()

    def _learn_head(self, tenant_id: TenantId, number: int, known: int) -> None:
        tenant = self._tenants.get(tenant_id)
        if tenant is None:
            return
        now = self._clock.now()
        if number < known:
            # A log only grows: this is another one, put back from a backup, and so is what is saved.
            for seat in tenant.seats:
                seat.reading = None
                seat.is_unsaved = False
            tenant.wanted = number
        tenant.wanted = max(tenant.wanted, number)
        for seat in tenant.seats:
            self._note_behind(seat, tenant, now)

    def _note_behind(self, seat: _Seat, tenant: _Tenant, now: datetime) -> None:
        if seat.number >= tenant.wanted:
            seat.behind_since = None
        elif seat.behind_since is None:
            seat.behind_since = now

    def _figures_of(self, name: str) -> ReaderFigures:
        now = self._clock.now()
        tenant_count = failing_count = behind = size = 0
        longest = timedelta(0)
        for tenant, seat in self._seats_of(name):
            tenant_count += 1
            failing_count += seat.failed_count > 0
            behind += max(0, tenant.wanted - seat.number)
            size += seat.state_size
            if seat.behind_since is not None:
                longest = max(longest, now - seat.behind_since)
        return ReaderFigures(tenant_count, failing_count, behind, _seconds(longest), size)

    def _seats_of(self, name: str) -> Iterator[tuple[_Tenant, _Seat]]:
        for tenant in self._tenants.values():
            for seat in tenant.seats:
                if seat.reader.name == name:
                    yield tenant, seat


def _by_number(seats: Sequence[_Seat], wanted: int) -> list[list[_Seat]]:
    """Return who has something to take, those that stand at the same place together."""
    groups: dict[int, list[_Seat]] = {}
    for seat in seats:
        if seat.reading is not None and seat.number < wanted:
            groups.setdefault(seat.number, []).append(seat)
    return list(groups.values())


def _unusable(cursor: LogCursor, head: Head) -> str | None:
    """Return why one can't go on from a position; None where one can."""
    if cursor.log_epoch != head.log_epoch or cursor.number > head.number:
        return "its log is another one: the database was restored"
    if cursor.number < head.pruned_number:
        return "the log behind its place is gone: retention has passed it"
    if head.number - cursor.number > BACKLOG_LENGTH_MAX:
        return f"it is {head.number - cursor.number} events behind, more than {BACKLOG_LENGTH_MAX}"
    return None


def _has_passed(since: datetime, duration: timedelta, now: datetime) -> bool:
    """Say whether so much time has passed, also where the clock was set back meanwhile."""
    return not timedelta(0) <= now - since < duration


def _seconds(duration: timedelta) -> float:
    return duration.total_seconds()
