"""Equal subscriptions, followed together: one execution and one encoding for each event, however many there are.

A subscriber begins by itself, from wherever it wants to begin. Where its source stands still at the live end, it
joins those that ask for the same with the same right to see it, and gives its own source up; the first one's
source becomes that of the group. Whoever can't take answers as fast as they come falls behind, and takes them
when it can from what the group remembers; where that is not enough, it goes on by itself from where it stood.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Hashable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Protocol

import orjson

from alertgraph.execution.executor import Answer, GraphQLExecutor, OpenContext, PreparedOperation
from alertgraph.execution.sharing import Standstill

PARCEL_COUNT_MAX: Final = 64
"""Answers that are handed over at once, at most."""
PARCEL_SIZE_MAX: Final = 256 * 1024
PATIENCE_S: Final = 0.005
"""How long an answer may wait for those that come with it."""
KEPT_COUNT_MAX: Final = 1_024
"""Answers that a group keeps for those who are behind, at most."""
KEPT_SIZE_MAX: Final = 1 << 20
MAILBOX_SIZE_MAX: Final = 256 * 1024
TURN_LENGTH: Final = 512
"""Subscribers that are served before anything else gets a turn."""


@dataclass(frozen=True, slots=True)
class EncodedAnswer:
    """An answer of a subscription, as JSON.

    Attributes:
        body: A JSON object, UTF-8.
        cursor: From which the subscription may be resumed behind it; None where its source does not say.
    """

    body: bytes
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Parcel:
    """Answers that go to many at once.

    Attributes:
        answers: In order.
        frames: What transports make of them, by what it depends on besides: made once, sent to all alike.
    """

    answers: Sequence[EncodedAnswer]
    frames: dict[Hashable, bytes] = field(default_factory=dict)


class Outlet(Protocol):
    """Where a subscriber's share of a group's answers goes."""

    def offer(self, parcel: Parcel) -> bool:
        """Take all of it or nothing, at once; say which.

        After a refusal the outlet calls `catch_up` of its subscriber once it can take more.
        """

    def parted(self) -> None:
        """Learn that the group has ended, or has forgotten what was not taken yet: go on alone."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Somebody who subscribes.

    Attributes:
        open_context: Makes contexts in their own name.
        request_id: Put into each error.
        extensions: Put into the first answer.
        visibility: Equal for those who may be told the same; None for somebody who shares with nobody.
        open_shared_context: Makes contexts in the name of all of them.
    """

    open_context: OpenContext
    request_id: str
    extensions: Mapping[str, object] | None = None
    visibility: Hashable = None
    open_shared_context: OpenContext | None = None


@dataclass(slots=True)
class GroupFigures:
    """What all groups did.

    Attributes:
        executed: Events executed for groups.
        delivered: Answers that came of them, to each subscriber.
    """

    executed: int = 0
    delivered: int = 0


class Groups:
    """The groups of one process.

    Args:
        executor: Runs the subscriptions.
        encode: Makes JSON of an answer.
        make_request_id: Under which a group's failures are told and reported.
    """

    def __init__(
        self, executor: GraphQLExecutor, encode: Callable[[Answer, str], bytes], make_request_id: Callable[[], str]
    ) -> None:
        self.executor = executor
        self.encode = encode
        self.make_request_id = make_request_id
        self.figures = GroupFigures()
        self._groups: dict[Hashable, _Group] = {}
        self._endings: set[asyncio.Task[None]] = set()

    @property
    def group_count(self) -> int:
        """How many groups there are."""
        return len(self._groups)

    @property
    def member_count(self) -> int:
        """How many subscribers are in groups."""
        return sum(len(group.members) for group in self._groups.values())

    def subscriber(self, prepared: PreparedOperation, asker: Asker, outlet: Outlet) -> Subscriber:
        """Return a new subscriber, which has not begun."""
        return Subscriber(self, prepared, asker, outlet)

    def admit(
        self,
        subscriber: Subscriber,
        key: Hashable,
        place: Standstill,
        source: AsyncGenerator[object, None],
        opened: AsyncExitStack,
        prepared: PreparedOperation,
    ) -> bool:
        """Have a subscriber go on with its group, if it can from this place; its source may become the group's."""
        group = self._groups.get(key)
        if group is not None:
            return group.join(subscriber, place)
        open_context = subscriber.asker.open_shared_context
        assert open_context is not None
        group = _Group(self, key, prepared, open_context, place)
        self._groups[key] = group
        group.begin(source, opened.pop_all())
        return group.join(subscriber, place)

    def forget(self, group: _Group) -> None:
        """Let no one join a group any more."""
        if self._groups.get(group.key) is group:
            del self._groups[group.key]

    def finish(self, task: asyncio.Task[None]) -> None:
        """End the work of a group that nobody follows."""
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)
        task.cancel()


class Subscriber:
    """One who subscribes: alone, or with a group.

    Attributes:
        asker: Whose it is.
        outlet: Where a group's answers go.
        extensions: For its first answer; None once they were told.
        group: None while it is alone.
        joined_at: How many answers its group had made when it joined, or when it was last told by itself.
        at: How many of them it has, or had no need of.
        is_behind: Whether the group keeps answers for it.
        is_over: Whether its source has ended.
    """

    __slots__ = (
        "_begun",
        "_cursor",
        "_groups",
        "_prepared",
        "_said",
        "asker",
        "at",
        "extensions",
        "group",
        "is_behind",
        "is_over",
        "joined_at",
        "outlet",
    )

    def __init__(self, groups: Groups, prepared: PreparedOperation, asker: Asker, outlet: Outlet) -> None:
        self._groups = groups
        self._prepared = prepared
        self._begun = False
        # Of the last answer that was made for it alone; of a group's, the group knows.
        self._cursor: str | None = None
        self._said = 0
        self.asker = asker
        self.outlet = outlet
        self.extensions = asker.extensions or None
        self.group: _Group | None = None
        self.joined_at = self.at = 0
        self.is_behind = False
        self.is_over = False

    @property
    def cursor(self) -> str | None:
        """From which to resume behind the last answer that it has; None where none said."""
        if self.group is not None and self.at > self.joined_at:
            return self.group.cursor_behind(self.at) or self._cursor
        return self._cursor

    @property
    def answer_count(self) -> int:
        """How many answers it was given."""
        return self._said + self.at - self.joined_at

    async def alone(self) -> AsyncGenerator[EncodedAnswer, None]:
        """Yield answers made for it alone, until it has joined a group or its source has ended.

        Raises:
            FailedStreamError: The source could not be opened, or ended in an error.
        """
        executor, asker, prepared = self._groups.executor, self.asker, self._prepared
        key = self._key()
        try:
            if self._begun:
                prepared = executor.resumed(prepared, self._cursor)
            self._begun = True
            async with AsyncExitStack() as opened:
                source = await opened.enter_async_context(
                    executor.source(prepared, asker.open_context, asker.request_id)
                )
                async for event in source:
                    if isinstance(event, Standstill):
                        if key is not None and event.is_live:
                            self._cursor = event.cursor
                            if self._groups.admit(self, key, event, source, opened, prepared):
                                return
                        continue
                    answer = await executor.event_answer(prepared, event, asker.open_context, asker.request_id)
                    yield self._told(answer)
            self.is_over = True
        except Exception as error:
            raise executor.stream_failure(prepared, error, asker.request_id) from error

    def catch_up(self) -> None:
        """Take what the group has kept for it, now that there is room."""
        if self.group is not None and self.is_behind:
            self.group.serve_behind(self)

    def leave(self) -> None:
        """Want nothing more of the group."""
        if self.group is not None:
            self.group.leave(self)

    def join(self, group: _Group, prepared: PreparedOperation) -> None:
        """Go on with a group; its operation differs from the own one in where it began, at most."""
        self.group = group
        # The own one holds on to all that its source was opened with.
        self._prepared = prepared

    def note(self) -> None:
        """Remember what the group knows of it."""
        self._cursor, self._said = self.cursor, self.answer_count
        self.joined_at = self.at

    def part(self) -> None:
        """Be alone again."""
        self.note()
        self.group = None
        self.joined_at = self.at = 0
        self.is_behind = False

    def first(self, parcel: Parcel) -> Parcel:
        """Return what it is sent of its first parcel: the same, and its extensions."""
        if self.extensions is None:
            return parcel
        first, *others = parcel.answers
        return Parcel([EncodedAnswer(_with(first.body, orjson.dumps(self.extensions)), first.cursor), *others])

    def _told(self, answer: Answer) -> EncodedAnswer:
        body = self._groups.encode(answer, self.asker.request_id)
        if self.extensions is not None:
            body, self.extensions = _with(body, orjson.dumps(self.extensions)), None
        self._cursor = answer.cursor or self._cursor
        self._said += 1
        return EncodedAnswer(body, answer.cursor)

    def _key(self) -> Hashable:
        common = self._prepared.shareable
        if common is None or self.asker.visibility is None or self.asker.open_shared_context is None:
            return None
        return (common.key, self.asker.visibility)


class _Group:
    """Those who follow one source together.

    Attributes:
        members: All of them.
        prepared: The operation, of the one who came first.
    """

    def __init__(
        self,
        groups: Groups,
        key: Hashable,
        prepared: PreparedOperation,
        open_context: OpenContext,
        place: Standstill,
    ) -> None:
        self.key = key
        self.members: dict[Subscriber, None] = {}
        self._groups = groups
        self.prepared = prepared
        self._open_context = open_context
        self._request_id = groups.make_request_id()
        self._place = place
        # Whether answers from behind that place were handed over already.
        self._is_past = False
        self._waiting: dict[Subscriber, Standstill] = {}
        self._unsent: list[EncodedAnswer] = []
        self._unsent_size = 0
        self._unsent_since = 0.0
        # Answers kept for those who are behind, and what they weigh; how many were made of all.
        self._kept: deque[EncodedAnswer] = deque()
        self._kept_size = 0
        self._made = 0
        self._behind: dict[Subscriber, None] = {}
        self._task: asyncio.Task[None] | None = None

    def begin(self, source: AsyncGenerator[object, None], opened: AsyncExitStack) -> None:
        """Follow a source, which is given up when the group ends."""
        self._task = asyncio.create_task(self._run(source, opened))

    def join(self, subscriber: Subscriber, place: Standstill) -> bool:
        """Take a subscriber in that has all up to a place, if nothing would be lost or told twice by that."""
        if place.line is not self._place.line or place.number < self._place.number:
            return False
        if place.number > self._place.number:
            # The group is still on its way there; whatever it says before is known to this one.
            place.hold()
            self._waiting[subscriber] = place
        elif self._is_past:
            return False
        subscriber.join(self, self.prepared)
        subscriber.joined_at = subscriber.at = self._made
        self.members[subscriber] = None
        return True

    def leave(self, subscriber: Subscriber) -> None:
        """Let a subscriber go; the last one ends the group."""
        self._let_go(subscriber)
        if not self.members and self._task is not None:
            self._groups.forget(self)
            self._groups.finish(self._task)

    def cursor_behind(self, number: int) -> str | None:
        """Return the cursor of the answer with this number, counted from 1; None where it is not kept any more."""
        at = number - 1 - (self._made - len(self._kept))
        return self._kept[at].cursor if 0 <= at < len(self._kept) else None

    def serve_behind(self, subscriber: Subscriber) -> None:
        """Hand a subscriber what it has not taken yet."""
        while subscriber.at < self._made:
            start = subscriber.at - (self._made - len(self._kept))
            if start < 0:
                self._part(subscriber)
                return
            if not self._offer(subscriber, Parcel(list(islice(self._kept, start, start + PARCEL_COUNT_MAX)))):
                return
        subscriber.is_behind = False
        self._behind.pop(subscriber, None)

    async def _run(self, source: AsyncGenerator[object, None], opened: AsyncExitStack) -> None:
        executor = self._groups.executor
        try:
            async with opened:
                async for event in source:
                    if isinstance(event, Standstill):
                        await self._send()
                        self._stand(event)
                        continue
                    answer = await executor.event_answer(
                        self.prepared, event, self._open_context, self._request_id
                    )
                    self._groups.figures.executed += 1
                    self._add(EncodedAnswer(self._groups.encode(answer, self._request_id), answer.cursor))
                    if self._is_due():
                        await self._send()
        except Exception as error:  # noqa: BLE001 - whoever follows hears of it when it goes on alone
            executor.stream_failure(self.prepared, error, self._request_id)
        finally:
            self._groups.forget(self)
            for subscriber in tuple(self.members):
                self._part(subscriber)

    def _stand(self, place: Standstill) -> None:
        self._place, self._is_past = place, False
        for subscriber, waited in tuple(self._waiting.items()):
            if waited.number <= place.number:
                del self._waiting[subscriber]
                waited.release()
                subscriber.joined_at = subscriber.at = self._made
                if waited.number < place.number:
                    # It was held, so this does not happen; if it did, nothing would be missed.
                    self._part(subscriber)

    def _add(self, answer: EncodedAnswer) -> None:
        if not self._unsent:
            self._unsent_since = asyncio.get_running_loop().time()
        self._unsent.append(answer)
        self._unsent_size += len(answer.body)

    def _is_due(self) -> bool:
        return (
            len(self._unsent) >= PARCEL_COUNT_MAX
            or self._unsent_size >= PARCEL_SIZE_MAX
            or asyncio.get_running_loop().time() - self._unsent_since >= PATIENCE_S
        )

    async def _send(self) -> None:
        """Hand what was made to all who are not behind."""
        if not self._unsent:
            return
        parcel = Parcel(self._unsent)
        self._unsent, self._unsent_size = [], 0
        self._is_past = True
        before = self._made
        self._made += len(parcel.answers)
        self._kept.extend(parcel.answers)
        self._kept_size += sum(len(answer.body) for answer in parcel.answers)
        served = 0
        for subscriber in tuple(self.members):
            if subscriber.group is not self or subscriber.at != before or subscriber in self._waiting:
                continue
            self._offer(subscriber, parcel)
            served += 1
            if served % TURN_LENGTH == 0:
                await asyncio.sleep(0)
        self._forget_old()

    def _offer(self, subscriber: Subscriber, parcel: Parcel) -> bool:
        if subscriber.outlet.offer(subscriber.first(parcel)):
            subscriber.extensions = None
            subscriber.at += len(parcel.answers)
            self._groups.figures.delivered += len(parcel.answers)
            return True
        # Noted now: the group may have forgotten by the time it is asked.
        subscriber.note()
        subscriber.is_behind = True
        self._behind[subscriber] = None
        return False

    def _forget_old(self) -> None:
        # The last one is kept for its cursor.
        while len(self._kept) > 1 and (
            not self._behind or len(self._kept) > KEPT_COUNT_MAX or self._kept_size > KEPT_SIZE_MAX
        ):
            self._kept_size -= len(self._kept.popleft().body)

    def _part(self, subscriber: Subscriber) -> None:
        self._let_go(subscriber)
        subscriber.outlet.parted()

    def _let_go(self, subscriber: Subscriber) -> None:
        self.members.pop(subscriber, None)
        self._behind.pop(subscriber, None)
        waited = self._waiting.pop(subscriber, None)
        if waited is not None:
            waited.release()
        subscriber.part()


class Letterbox(Outlet, Protocol):
    """Where a subscriber's share goes when there is somebody who waits for it."""

    async def fetch(self, subscriber: Subscriber) -> EncodedAnswer | None:
        """Return the next answer; None once, where the subscriber has to go on alone."""


class Mailbox:
    """Keeps a subscriber's share until it is fetched: for transports that can't write at once.

    Args:
        size_max: Bytes; with more than that in it, no more is taken in.
    """

    def __init__(self, size_max: int = MAILBOX_SIZE_MAX) -> None:
        self._size_max = size_max
        self._answers: deque[EncodedAnswer] = deque()
        self._size = 0
        self._is_parted = False
        self._changed = asyncio.Event()

    def offer(self, parcel: Parcel) -> bool:
        """Take answers in, unless it is full."""
        if self._size > self._size_max:
            return False
        self._answers.extend(parcel.answers)
        self._size += sum(len(answer.body) for answer in parcel.answers)
        self._changed.set()
        return True

    def parted(self) -> None:
        """Let whoever fetches know that there is no more to come."""
        self._is_parted = True
        self._changed.set()

    async def fetch(self, subscriber: Subscriber) -> EncodedAnswer | None:
        """Return the next answer; None once, where the subscriber has to go on alone."""
        while not self._answers:
            subscriber.catch_up()
            if self._answers:
                break
            if self._is_parted:
                self._is_parted = False
                return None
            self._changed.clear()
            await self._changed.wait()
        answer = self._answers.popleft()
        self._size -= len(answer.body)
        return answer


async def followed(subscriber: Subscriber, mailbox: Letterbox) -> AsyncGenerator[EncodedAnswer, None]:
    """Yield a subscriber's answers, whether it is alone or in a group.

    Args:
        subscriber: Has not begun.
        mailbox: Its outlet.

    Raises:
        FailedStreamError: The source could not be opened, or ended in an error.
    """
    try:
        while not subscriber.is_over:
            async with aclosing(subscriber.alone()) as answers:
                async for answer in answers:
                    yield answer
            while not subscriber.is_over and (shared := await mailbox.fetch(subscriber)) is not None:
                yield shared
    finally:
        subscriber.leave()


def _with(body: bytes, extensions: bytes) -> bytes:
    """Return a JSON object with its extensions, which it has none of yet."""
    return b'%b,"extensions":%b}' % (body[:-1], extensions)
