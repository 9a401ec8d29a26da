"""Following together: everybody is told everything once and in order, however they come, go and read."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
import pytest
import strawberry

from alertgraph.execution import groups
from alertgraph.execution.errors import FailedStreamError
from alertgraph.execution.executor import GraphQLExecutor
from alertgraph.execution.groups import Asker, EncodedAnswer, Groups, Mailbox, Parcel, Subscriber, followed
from alertgraph.execution.request import GraphQLRequest
from alertgraph.execution.sharing import Standstill

QUERY = "subscription($after: String) { items(after: $after) { number } }"


class GoneError(Exception):
    """What is behind a cursor can't be told any more."""

    code = "CURSOR_EXPIRED"
    message = "It is gone."


@dataclass
class Line:
    """What is followed: numbers from 1 on, as far as they were added.

    Attributes:
        pause: Awaited wherever a source might wait.
        opened: How many sources were opened.
        resolved: How many items were resolved, for whomever.
        breaks: Sources raise this at their next turn.
        gate: Items that are slow wait for it.
        claims_live: Whether sources say that there is nothing more where there is, too.
    """

    pause: Callable[[], Any]
    tail: int = 0
    opened: int = 0
    resolved: int = 0
    breaks: Exception | None = None
    grown: asyncio.Event = field(default_factory=asyncio.Event)
    stops: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    claims_live: bool = False

    def __post_init__(self) -> None:
        self.gate.set()

    def add(self, count: int = 1) -> None:
        self.tail += count
        self.wake()

    def wake(self) -> None:
        grown, self.grown = self.grown, asyncio.Event()
        grown.set()

    def stand(self, number: int) -> Standstill:
        return Standstill(
            self,
            number,
            str(number),
            self.claims_live or number == self.tail,
            lambda: self.stops.append(number),
            lambda: self.stops.remove(number),
        )

    async def follow(self, after: str | None) -> AsyncGenerator[Item | Standstill, None]:
        self.opened += 1
        await self.pause()
        at = self.tail if after is None else int(after)
        while True:
            if self.breaks is not None:
                raise self.breaks
            yield self.stand(at)
            if at == self.tail:
                await self.grown.wait()
                continue
            until = min([self.tail, *(stop for stop in self.stops if stop > at)])
            for number in range(at + 1, until + 1):
                yield Item(number=number)
            at = until
            await self.pause()


@dataclass
class Seen:
    """The context of a source, or of one item."""

    line: Line
    name: str


@strawberry.type
class Item:
    number: int

    @strawberry.field(metadata={"personal": True})
    def mine(self, info: strawberry.Info) -> str:
        return f"{info.context.name} {self.number}"

    @strawberry.field
    async def slow(self, info: strawberry.Info) -> int:
        info.context.line.resolved += 1
        info.context.line.names.append(info.context.name)
        await info.context.line.gate.wait()
        return self.number

    @property
    def resume_cursor(self) -> str:
        return str(self.number)


@strawberry.type
class Query:
    ok: bool = True


@strawberry.type
class Subscription:
    @strawberry.subscription(metadata={"resume_argument": "after"})
    async def items(
        self, info: strawberry.Info, after: str | None = None, tag: str = ""
    ) -> AsyncGenerator[Item, None]:
        async with aclosing(info.context.line.follow(after)) as steps:
            async for step in steps:
                yield step

    @strawberry.subscription(metadata={"resume_argument": None})
    async def latest(self, info: strawberry.Info, tag: str = "") -> AsyncGenerator[Item, None]:
        """Yield the last item, and again whenever there is a newer one; those between may be left out."""
        line = info.context.line
        line.opened += 1
        while True:
            if line.breaks is not None:
                raise line.breaks
            at = line.tail
            yield Item(number=at)
            yield Standstill(line, at, None, is_live=True)  # type: ignore[misc]  # for the executor
            while line.tail == at and line.breaks is None:
                await line.grown.wait()

    @strawberry.subscription
    async def plain(self, info: strawberry.Info) -> AsyncGenerator[int, None]:
        for number in range(3):
            yield number


schema = strawberry.Schema(Query, subscription=Subscription)


class House:
    """An executor with its groups over one line."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.reported: list[BaseException] = []
        executor = GraphQLExecutor(schema, report=lambda error, _: self.reported.append(error))
        self.groups = Groups(executor, lambda answer, _: answer.encode(), lambda: "group")

    def asker(self, name: str, visibility: str | None = "all", **extensions: object) -> Asker:
        return Asker(
            lambda: self.context(name), name, extensions, visibility, lambda: self.context(f"all of {visibility}")
        )

    @asynccontextmanager
    async def context(self, name: str) -> AsyncIterator[Seen]:
        yield Seen(self.line, name)

    def subscriber(
        self, outlet: groups.Outlet, query: str = QUERY, asker: Asker | None = None, **variables: object
    ) -> Subscriber:
        prepared = self.groups.executor.prepare(GraphQLRequest(query, None, variables))
        return self.groups.subscriber(prepared, asker or self.asker("ada"), outlet)


class Reader:
    """Reads a subscription through a mailbox in a task of its own."""

    def __init__(self, house: House, query: str = QUERY, asker: Asker | None = None, **variables: object) -> None:
        self.mailbox = Mailbox()
        self.subscriber = house.subscriber(self.mailbox, query, asker, **variables)
        self.told: list[EncodedAnswer] = []
        self.error: FailedStreamError | None = None
        self.may_read = asyncio.Event()
        self.may_read.set()
        self._task = asyncio.create_task(self._read())

    @property
    def payloads(self) -> list[Any]:
        return [orjson.loads(answer.body) for answer in self.told]

    @property
    def numbers(self) -> list[int]:
        return [item["number"] for payload in self.payloads for item in payload["data"].values()]

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _read(self) -> None:
        try:
            async with aclosing(followed(self.subscriber, self.mailbox)) as answers:
                async for answer in answers:
                    self.told.append(answer)
                    await self.may_read.wait()
        except FailedStreamError as failed:
            self.error = failed


async def settle() -> None:
    for _ in range(80):
        await asyncio.sleep(0)


@pytest.fixture
def house() -> House:
    async def at_once() -> None:
        return

    return House(Line(at_once))


async def test_equal_subscriptions_share_one_source_one_execution_and_the_bytes(house: House) -> None:
    query = "subscription { items { number slow } }"
    readers = [Reader(house, query) for _ in range(50)]
    await settle()
    assert (house.groups.group_count, house.groups.member_count) == (1, 50)
    house.line.add()
    await settle()
    house.line.add(3)
    await settle()

    assert all(reader.numbers == [1, 2, 3, 4] for reader in readers)
    assert house.line.resolved == 4
    assert house.groups.figures == groups.GroupFigures(executed=4, delivered=200)
    assert len({id(reader.told[3].body) for reader in readers}) == 1
    assert [reader.subscriber.answer_count for reader in readers] == [4] * 50
    assert {reader.subscriber.cursor for reader in readers} == {"4"}
    for reader in readers:
        await reader.stop()
    await settle()
    assert (house.groups.group_count, house.groups.member_count, house.line.stops) == (0, 0, [])
    assert house.reported == []


async def test_only_equals_share(house: House) -> None:
    slow = "subscription($after: String, $tag: String) { items(after: $after, tag: $tag) { slow } }"
    readers = [
        Reader(house, slow),
        Reader(house, slow, tag="a"),
        Reader(house, slow, tag="a", after="0"),
        Reader(house, slow, tag="a", ignored=1),
        Reader(house, slow, asker=house.asker("bob", "some")),
        Reader(house, slow, asker=house.asker("carl", None)),
        Reader(house, slow, asker=house.asker("dora", None)),
        Reader(house, slow.replace("slow", "slow number")),
        Reader(house, "subscription { plain }"),
    ]
    await settle()
    house.line.add()
    await settle()

    assert house.groups.group_count == 4
    assert house.groups.member_count == 6
    assert sorted(house.line.names) == ["all of all"] * 3 + ["all of some", "carl", "dora"]
    assert len(readers[-1].told) == 3
    for reader in readers:
        await reader.stop()


async def test_what_depends_on_who_asks_is_told_in_the_name_of_the_visibility_class(house: House) -> None:
    mine = "subscription { items { ...all } } fragment all on Item { number mine }"
    prepared = house.groups.executor.prepare(GraphQLRequest(mine, None, {}))
    assert prepared.shareable is not None
    assert prepared.shareable.is_personal
    plain = house.groups.executor.prepare(GraphQLRequest(QUERY, None, {}))
    assert plain.shareable is not None
    assert not plain.shareable.is_personal


async def test_who_comes_with_a_cursor_catches_up_alone_and_joins(house: House) -> None:
    house.line.add(5)
    early = Reader(house)
    await settle()
    late = [Reader(house, after=str(number)) for number in (0, 2, 5)]
    await settle()
    house.line.add()
    await settle()

    assert early.numbers == [6]
    assert [reader.numbers for reader in late] == [[1, 2, 3, 4, 5, 6], [3, 4, 5, 6], [6]]
    assert (house.groups.group_count, house.groups.member_count) == (1, 4)
    for reader in (early, *late):
        await reader.stop()


async def test_the_extensions_are_told_once(house: House) -> None:
    house.line.add(2)
    readers = [Reader(house, asker=house.asker("ada", cost=number), after="1") for number in range(2)]
    readers += [Reader(house, asker=house.asker("ada", cost=number)) for number in (2, 3)]
    await settle()
    house.line.add(2)
    await settle()

    for number, reader in enumerate(readers):
        told = [payload.get("extensions") for payload in reader.payloads]
        assert told == [{"cost": number}, *[None] * (len(told) - 1)]
    for reader in readers:
        await reader.stop()


async def test_who_comes_while_the_group_is_busy_waits_for_it(house: House) -> None:
    query = "subscription { items { number slow } }"
    first = Reader(house, query)
    await settle()
    house.line.gate.clear()
    house.line.add()
    await settle()
    second = Reader(house, query)
    leaving = Reader(house, query)
    await settle()
    assert (house.groups.member_count, house.line.stops) == (3, [1, 1])
    await leaving.stop()
    house.line.add(2)
    house.line.gate.set()
    await settle()
    third = Reader(house, query)
    await settle()
    house.line.add()
    await settle()

    assert (first.numbers, second.numbers, third.numbers) == ([1, 2, 3, 4], [2, 3, 4], [4])
    assert house.line.stops == []
    assert house.groups.group_count == 1
    for reader in (first, second, third):
        await reader.stop()


async def test_when_the_source_fails_each_is_told_by_itself(house: House) -> None:
    readers = [Reader(house, asker=house.asker(f"reader {number}")) for number in range(3)]
    await settle()
    house.line.add()
    await settle()
    house.line.breaks = GoneError()
    house.line.add()
    await settle()

    assert [reader.numbers for reader in readers] == [[1]] * 3
    for number, reader in enumerate(readers):
        assert reader.error is not None
        assert reader.error.code == "CURSOR_EXPIRED"
        extensions = cast("dict[str, object]", reader.error.errors[0]["extensions"])
        assert extensions["requestId"] == f"reader {number}"
    assert house.groups.group_count == 0
    assert house.reported == []


LATEST = "subscription { latest { number slow } }"


async def test_what_is_told_anew_needs_no_cursor_to_be_shared(house: House) -> None:
    readers = [Reader(house, LATEST) for _ in range(3)]
    await settle()
    late = Reader(house, LATEST)
    await settle()
    other = Reader(house, LATEST, house.asker("eve", "others"))
    await settle()
    # Each was told at once by itself, and joined those who had been told the same.
    assert house.line.resolved == 5
    assert (house.groups.group_count, house.groups.member_count) == (2, 5)

    house.line.add(3)
    await settle()

    assert [reader.numbers for reader in (*readers, late, other)] == [[0, 3]] * 5
    assert house.line.resolved == 5 + 2
    assert house.groups.figures.delivered == 5
    assert [reader.told[-1].cursor for reader in readers] == ["3"] * 3

    house.line.breaks = ValueError("the source broke")
    house.line.wake()
    await settle()
    assert house.groups.group_count == 0
    # Each began anew, and was told by itself what went wrong.
    assert [reader.error is not None for reader in (*readers, late, other)] == [True] * 5


async def test_who_begins_anew_after_its_group_is_told_how_it_stands(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "KEPT_COUNT_MAX", 3)
    slow, quick = Reader(house, LATEST), Reader(house, LATEST)
    await settle()
    slow.may_read.clear()
    for _ in range(50):
        house.line.add()
        await settle()
    slow.may_read.set()
    await settle()

    assert quick.numbers == list(range(51))
    assert slow.numbers[-1] == 50
    assert slow.numbers == sorted(slow.numbers)
    for reader in (slow, quick):
        await reader.stop()


async def test_a_group_outlives_who_founded_it(house: House) -> None:
    first, second = Reader(house), Reader(house)
    await settle()
    await first.stop()
    house.line.add()
    await settle()

    assert second.numbers == [1]
    assert house.line.opened == 2
    await second.stop()


async def test_who_does_not_read_is_kept_behind_and_then_goes_on_alone(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "KEPT_COUNT_MAX", 8)
    quick, slow = Reader(house), Reader(house)
    await settle()
    slow.may_read.clear()
    slow.mailbox._size_max = 100
    for _ in range(5):
        house.line.add()
        await settle()
    slow.may_read.set()
    await settle()
    assert quick.numbers == slow.numbers == [1, 2, 3, 4, 5]
    assert house.line.opened == 2, "what was kept was enough"

    slow.may_read.clear()
    for _ in range(30):
        house.line.add()
        await settle()
    cursor = slow.subscriber.cursor
    assert cursor is not None
    assert int(cursor) < 20
    slow.may_read.set()
    await settle()
    house.line.add()
    await settle()

    assert quick.numbers == slow.numbers == list(range(1, 37))
    assert house.line.opened == 3, "it went on alone from its cursor"
    assert house.groups.member_count == 2
    for reader in (quick, slow):
        await reader.stop()


# -------------------------------------------------------------------------------------- simulation


class Moody:
    """An outlet that takes something or not, by lot, and a reader that leaves and comes back with its cursor."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.begin = world.dice.randint(0, world.house.line.tail)
        self.seen: list[int] = []
        self.cursor: str | None = str(self.begin)
        self.subscriber: Subscriber | None = None
        self.is_parted = asyncio.Event()
        self.is_deaf = False
        self.tasks: set[asyncio.Task[None]] = set()
        self.alone_count = 0

    def come(self) -> None:
        self.subscriber = self.world.house.subscriber(self, after=self.cursor)
        self.spawn(self.alone(self.subscriber))

    def go(self) -> None:
        assert self.subscriber is not None
        self.subscriber.leave()
        for task in self.tasks:
            task.cancel()
        told = self.subscriber.cursor
        assert told is None or not self.seen or int(told) >= self.seen[-1]
        self.cursor = str(self.seen[-1]) if self.seen else str(self.begin)
        self.subscriber = None
        self.is_deaf = False

    def offer(self, parcel: Parcel) -> bool:
        dice = self.world.dice
        if not self.world.over and (self.is_deaf or dice.random() < 0.2):
            if not self.is_deaf:
                self.is_deaf = True
                self.spawn(self.hear_again(self.subscriber))
            return False
        self.take(list(parcel.answers))
        return True

    def parted(self) -> None:
        self.spawn(self.alone(self.subscriber))

    def take(self, answers: list[EncodedAnswer]) -> None:
        self.seen += [orjson.loads(answer.body)["data"]["items"]["number"] for answer in answers]

    async def hear_again(self, subscriber: Subscriber | None) -> None:
        for _ in range(self.world.dice.randint(1, 60)):
            await asyncio.sleep(0)
        self.is_deaf = False
        if subscriber is not None and subscriber is self.subscriber:
            subscriber.catch_up()

    async def alone(self, subscriber: Subscriber | None) -> None:
        self.alone_count += 1
        if subscriber is None or subscriber is not self.subscriber:
            return
        try:
            async with aclosing(subscriber.alone()) as answers:
                async for answer in answers:
                    if subscriber is not self.subscriber:
                        return
                    self.take([answer])
                    for _ in range(self.world.dice.choice([0, 0, 1, 4])):
                        await asyncio.sleep(0)
        except FailedStreamError:
            if subscriber is self.subscriber:
                self.cursor = str(self.seen[-1]) if self.seen else str(self.begin)
                self.come()

    def spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


class World:
    """A line under load, and readers who come, go, fall behind, and lose their groups."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.house = House(Line(self.pause))
        self.over = False
        self.readers: list[Moody] = []

    async def pause(self) -> None:
        for _ in range(self.dice.choice([0, 0, 1, 3])):
            await asyncio.sleep(0)

    async def run(self) -> None:
        line = self.house.line
        # That it is live saves work; nothing may depend on it.
        line.claims_live = self.dice.random() < 0.5
        line.add(self.dice.randint(0, 5))
        self.readers = [Moody(self) for _ in range(8)]
        for reader in self.readers:
            reader.come()
        for _ in range(250):
            match self.dice.randint(0, 11):
                case 0 | 1 | 2 | 3:
                    line.add(self.dice.randint(1, 4))
                case 4:
                    reader = self.dice.choice(self.readers)
                    reader.go()
                    reader.come()
                case 5:
                    line.wake()
                case 6 if self.dice.random() < 0.2:
                    line.breaks = GoneError()
                    line.wake()
                    await asyncio.sleep(0)
                    line.breaks = None
                case _:
                    pass
            for _ in range(self.dice.randint(0, 6)):
                await asyncio.sleep(0)
        self.over = True
        for _ in range(40):
            line.wake()
            await settle()


@pytest.mark.parametrize("seed", range(40))
async def test_everybody_is_told_everything_once_and_in_order(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Small, so that every way of being served is taken often.
    monkeypatch.setattr(groups, "KEPT_COUNT_MAX", 6)
    monkeypatch.setattr(groups, "PARCEL_COUNT_MAX", 3)
    monkeypatch.setattr(groups, "TURN_LENGTH", 2)
    world = World(seed)
    await world.run()

    line = world.house.line
    assert line.tail > 100
    for reader in world.readers:
        assert reader.seen == list(range(reader.begin + 1, line.tail + 1))
        assert reader.subscriber is not None
        assert reader.subscriber.group is not None, "all have joined in the end"
    assert world.house.groups.group_count == 1
    assert world.house.groups.figures.delivered > world.house.groups.figures.executed
    for reader in world.readers:
        reader.go()
    await settle()
    assert world.house.groups.group_count == 0
    assert line.stops == []
    assert world.house.reported == []
