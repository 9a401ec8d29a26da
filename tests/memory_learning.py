"""What learning processes keep, in memory, with logs that only grow; leases and faults as the store has them."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from alertgraph.core.cursor import LogCursor, log_start
from alertgraph.core.errors import CursorExpiredError, DependencyError
from alertgraph.core.event import StoredEvent
from alertgraph.core.flush import Head
from alertgraph.core.ids import TenantId
from alertgraph.services.following import StateMismatch
from alertgraph.services.ports import LeaseLostError, SavedState
from alertgraph.services.streams import event_cursor
from tests.factories import an_event, stored

EPOCH_OF_LOG = 1
ZEROS = bytes(32)
_EVENT = stored(an_event())


def digest(number: int, before: bytes) -> bytes:
    """Return what a reading comes to that has taken one event more."""
    return hashlib.sha256(before + number.to_bytes(8, "big")).digest()


@dataclass
class MemoryLogs:
    """Logs of tenants, as `TenantLog` lets one read them."""

    now: Callable[[], datetime]
    lengths: dict[TenantId, int] = field(default_factory=dict)
    times: dict[TenantId, list[datetime]] = field(default_factory=dict)
    pruned: dict[TenantId, int] = field(default_factory=dict)
    log_epoch: int = EPOCH_OF_LOG
    fault: Callable[[str], None] = lambda _: None
    read_lengths: list[int] = field(default_factory=list)

    def append(self, tenant_id: TenantId, count: int = 1) -> int:
        """Let a tenant's log grow; return its new end."""
        self.lengths[tenant_id] = self.lengths.get(tenant_id, 0) + count
        self.times.setdefault(tenant_id, []).extend([self.now()] * count)
        return self.lengths[tenant_id]

    def event(self, tenant_id: TenantId, number: int) -> StoredEvent:
        """Return an event; all are alike but for their place."""
        return StoredEvent(
            number,
            self.times[tenant_id][number - 1],
            _EVENT.flush_id,
            _EVENT.event,
            _EVENT.content,
            number.to_bytes(32, "big"),
            None,
        )

    async def head(self, tenant_id: TenantId) -> Head | None:
        self.fault("head")
        number = self.lengths.get(tenant_id)
        if number is None:
            return None
        recorded_at = self.times[tenant_id][-1] if number else self.now()
        return Head(
            number,
            recorded_at,
            number.to_bytes(32, "big"),
            ZEROS,
            1,
            self.log_epoch,
            self._pruned(tenant_id),
            ZEROS,
        )

    async def heads(self, tenant_ids: Collection[TenantId]) -> Mapping[TenantId, int]:
        self.fault("heads")
        return {one: self.lengths[one] for one in tenant_ids if one in self.lengths}

    async def events_after(self, tenant_id: TenantId, after: LogCursor, limit: int) -> Sequence[StoredEvent]:
        self.fault("events_after")
        await asyncio.sleep(0)
        if after.number < self._pruned(tenant_id):
            raise CursorExpiredError("retention has passed it")
        end = min(self.lengths[tenant_id], after.number + limit)
        self.read_lengths.append(max(0, end - after.number))
        return [self.event(tenant_id, number) for number in range(after.number + 1, end + 1)]

    def _pruned(self, tenant_id: TenantId) -> int:
        return self.pruned.get(tenant_id, 0)


@dataclass
class MemoryStore:
    """What the database keeps: states, leases, and which processes claim."""

    logs: MemoryLogs
    states: dict[tuple[TenantId, str], SavedState] = field(default_factory=dict)
    leases: dict[TenantId, tuple[object, datetime]] = field(default_factory=dict)
    claimed_at: dict[object, datetime] = field(default_factory=dict)
    fault: Callable[[str], None] = lambda _: None
    save_count: int = 0


class MemoryStates:
    """One process's states and leases. Fulfils `services.ports.LearningStates`."""

    def __init__(self, store: MemoryStore, holder: object) -> None:
        self._store = store
        self._holder = holder

    async def claim(self, lease: timedelta) -> tuple[Sequence[TenantId], int]:
        store, now = self._store, self._store.logs.now()
        store.fault("claim")
        store.claimed_at[self._holder] = now
        others = sum(
            now - at < timedelta(seconds=15)
            for holder, at in store.claimed_at.items()
            if holder is not self._holder
        )
        share = -(-len(store.logs.lengths) // (others + 1))
        mine = sum(holder is self._holder and until > now for holder, until in store.leases.values())
        free = [one for one in store.logs.lengths if one not in store.leases or store.leases[one][1] <= now]
        claimed = free[: max(0, share + max(1, share // 10) - mine)]
        for tenant_id in claimed:
            store.leases[tenant_id] = (self._holder, now + lease)
        return claimed, share

    async def renew(self, lease: timedelta) -> Collection[TenantId]:
        store = self._store
        store.fault("renew")
        mine = [one for one, (holder, _) in store.leases.items() if holder is self._holder]
        for tenant_id in mine:
            store.leases[tenant_id] = (self._holder, store.logs.now() + lease)
        return mine

    async def release(self, tenant_ids: Collection[TenantId]) -> None:
        store = self._store
        store.fault("release")
        for tenant_id in tenant_ids:
            if store.leases.get(tenant_id, (None,))[0] is self._holder:
                del store.leases[tenant_id]

    async def load(self, tenant_id: TenantId) -> Mapping[str, SavedState]:
        store = self._store
        store.fault("load")
        return {name: state for (owner, name), state in store.states.items() if owner == tenant_id}

    async def save(self, tenant_id: TenantId, states: Mapping[str, SavedState]) -> None:
        store = self._store
        store.fault("save")
        await asyncio.sleep(0)
        if store.leases.get(tenant_id, (None,))[0] is not self._holder:
            raise LeaseLostError("another process has it")
        for name, state in states.items():
            store.states[tenant_id, name] = state
        store.save_count += 1
        # The answer may get lost although it was written.
        store.fault("saved")

    async def start_of(self, tenant_id: TenantId, since: datetime, length_max: int) -> LogCursor:
        logs = self._store.logs
        self._store.fault("start_of")
        end = logs.lengths[tenant_id]
        after = max(logs.pruned.get(tenant_id, 0), end - length_max)
        first = next((n for n in range(after + 1, end + 1) if logs.times[tenant_id][n - 1] >= since), None)
        if first == 1 or end == 0:
            return log_start(logs.log_epoch)
        if first is None:
            return event_cursor(logs.event(tenant_id, end), logs.log_epoch)
        return LogCursor(logs.log_epoch, first - 1, logs.times[tenant_id][first - 1], bytes(4))


@dataclass
class Digests:
    """A reader whose state is a digest of every event in order: one missed, or twice, and it is another.

    Attributes:
        effects: What was done about each event, by tenant and number: once, however often it was taken.
        fail: Called before and after each half of a batch.
        format: In front of the state; states of others are refused.
    """

    name: str = "digests"
    effects: set[tuple[TenantId, int]] = field(default_factory=set)
    fail: Callable[[TenantId, int], None] = lambda *_: None
    format: bytes = b"1"
    hang: dict[TenantId, asyncio.Event] = field(default_factory=dict)
    opened: list[tuple[TenantId, int]] = field(default_factory=list)
    ticks: dict[TenantId, int] = field(default_factory=dict)
    begun: dict[TenantId, int] = field(default_factory=dict)

    async def open(self, tenant_id: TenantId, state: bytes | None, now: datetime) -> DigestReading:
        if state is not None and not state.startswith(self.format):
            raise StateMismatch("its format is another")
        number = int.from_bytes(state[1:9], "big") if state is not None else None
        self.opened.append((tenant_id, -1 if number is None else number))
        return DigestReading(self, tenant_id, number, state[9:] if state is not None else ZEROS)


class DigestReading:
    """One tenant's digest; it refuses events out of order. Where it begins is part of what it is."""

    def __init__(self, reader: Digests, tenant_id: TenantId, number: int | None, value: bytes) -> None:
        self._reader = reader
        self._tenant_id = tenant_id
        self.number = number
        self.value = value

    async def take(self, events: Sequence[StoredEvent]) -> None:
        reader, tenant_id = self._reader, self._tenant_id
        if tenant_id in reader.hang:
            await reader.hang[tenant_id].wait()
        for index, one in enumerate(events):
            if self.number is None:
                reader.begun[tenant_id] = one.number
            else:
                assert one.number == self.number + 1, f"{one.number} after {self.number}"
            if index == len(events) // 2:
                # Others have their turn while this one is half done.
                await asyncio.sleep(0)
                reader.fail(tenant_id, one.number)
            self.number = one.number
            self.value = digest(one.number, self.value)
            reader.effects.add((tenant_id, one.number))
        reader.fail(tenant_id, events[-1].number)

    async def tick(self, now: datetime) -> None:
        self._reader.ticks[self._tenant_id] = self._reader.ticks.get(self._tenant_id, 0) + 1

    def state(self) -> bytes:
        return self._reader.format + (self.number or 0).to_bytes(8, "big") + self.value


_FROM_ONE = [ZEROS]


def expected(first: int, last: int) -> bytes:
    """Return the digest of all events of these numbers, both included."""
    if first == 1:
        while len(_FROM_ONE) <= last:
            _FROM_ONE.append(digest(len(_FROM_ONE), _FROM_ONE[-1]))
        return _FROM_ONE[last]
    value = ZEROS
    for number in range(first, last + 1):
        value = digest(number, value)
    return value


class Hints:
    """Wake-ups between processes of a test. Fulfils `services.ports.Wakeups`."""

    def __init__(self) -> None:
        self._queues: list[asyncio.Queue[tuple[TenantId, int]]] = []

    async def announce(self, tenant_id: TenantId, number: int) -> None:
        for queue in self._queues:
            queue.put_nowait((tenant_id, number))

    async def listen(self) -> AsyncIterator[tuple[TenantId, int]]:
        queue: asyncio.Queue[tuple[TenantId, int]] = asyncio.Queue()
        self._queues.append(queue)
        while True:
            yield await queue.get()

    @property
    def healthy(self) -> bool:
        return True


@dataclass
class Told:
    """What an observer of learning is told."""

    taken: int = 0
    put_offs: list[tuple[TenantId, str, BaseException, timedelta]] = field(default_factory=list)
    anew: list[tuple[TenantId, str, str]] = field(default_factory=list)
    failures: list[tuple[str, BaseException]] = field(default_factory=list)

    def took(self, reader: str, *, events: int, seconds: float) -> None:
        self.taken += events

    def put_off(self, tenant_id: TenantId, reader: str, error: BaseException, pause: timedelta) -> None:
        self.put_offs.append((tenant_id, reader, error, pause))

    def begun_anew(self, tenant_id: TenantId, reader: str, why: str) -> None:
        self.anew.append((tenant_id, reader, why))

    def failed(self, part: str, error: BaseException) -> None:
        self.failures.append((part, error))


def failing(dice: random.Random, share: float) -> Callable[[str], None]:
    """Return a fault that strikes by chance, as a store that goes away and comes back."""

    def fault(_: str) -> None:
        if dice.random() < share:
            raise DependencyError("postgresql", retryable=True)

    return fault
