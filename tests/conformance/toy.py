"""A toy schema with one of everything that the execution library and the transports must cope with."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count as numbers
from typing import Any, NewType

import strawberry
from strawberry.permission import BasePermission
from strawberry.schema.config import StrawberryConfig

from alertgraph.execution.executor import Answer, GraphQLExecutor
from alertgraph.execution.request import GraphQLRequest
from alertgraph.execution.sharing import Standstill


class ToyError(Exception):
    """Meant for the caller, as the application's own errors are."""

    def __init__(self, code: str, message: str, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after


@dataclass
class ToyLine:
    """What several may follow together: texts, in order.

    Attributes:
        source_count: How many sources were opened.
    """

    texts: list[str] = field(default_factory=list)
    grown: asyncio.Event = field(default_factory=asyncio.Event)
    source_count: int = 0

    async def tell(self, *texts: str) -> None:
        """Add texts; on the loop of those who follow."""
        self.texts += texts
        self.grown.set()
        self.grown = asyncio.Event()

    async def follow(self, after: str | None) -> AsyncGenerator[Told | Standstill, None]:
        at = len(self.texts) if after is None else int(after)
        while True:
            yield Standstill(self, at, str(at), is_live=at == len(self.texts))
            if at == len(self.texts):
                await self.grown.wait()
            for text in self.texts[at:]:
                at += 1
                yield Told(number=at, text=text)


@dataclass
class ToyWorld:
    """What the resolvers share, and tests look into."""

    opened: int = 0
    closed: int = 0
    sources_closed: int = 0
    bumps: int = 0
    bump_may_finish: asyncio.Event = field(default_factory=asyncio.Event)
    line: ToyLine = field(default_factory=ToyLine)


@dataclass
class ToyContext:
    """The context of one operation or one event."""

    world: ToyWorld
    number: int
    request_id: str = ""
    cost: int = 0
    subject: str = ""
    is_closed: bool = False


_contexts = numbers(1)


@asynccontextmanager
async def toy_context(world: ToyWorld, **known: Any) -> AsyncIterator[ToyContext]:
    world.opened += 1
    context = ToyContext(world, next(_contexts), **known)
    try:
        yield context
    finally:
        context.is_closed = True
        world.closed += 1


@strawberry.enum
class Colour(enum.Enum):
    RED = 1
    GREEN = 2


Span = NewType("Span", timedelta)


def _span(value: object) -> timedelta:
    if value == "crash":
        raise KeyError("secret of the parser")
    if not isinstance(value, int):
        raise ValueError("a span is a number of seconds")
    return timedelta(seconds=value)


class Forbidden(BasePermission):
    message = "Not for you."
    error_extensions = {"code": "FORBIDDEN"}  # noqa: RUF012 - Strawberry's own name

    async def has_permission(self, source: Any, info: strawberry.Info, **kwargs: Any) -> bool:
        return False


@strawberry.input
class Part:
    number: int
    name: strawberry.Maybe[str]
    note: strawberry.Maybe[str | None]
    parts: strawberry.Maybe[list[Part]]


@strawberry.input(one_of=True)
class Choice:
    by_name: strawberry.Maybe[str]
    by_part: strawberry.Maybe[Part]


@strawberry.type
class PageInfo:
    has_next_page: bool = False


@strawberry.type
class ItemEdge:
    cursor: str
    node: Item


@strawberry.type
class ItemConnection:
    edges: list[ItemEdge]
    nodes: list[Item]
    page_info: PageInfo
    total_count: int = strawberry.field(default=0, metadata={"cost": 5})


def _page(first: int | None, last: int | None) -> ItemConnection:
    items = [Item(number=n) for n in range(min(first or last or 3, 3))]
    return ItemConnection(
        edges=[ItemEdge(cursor=str(i.number), node=i) for i in items], nodes=items, page_info=PageInfo()
    )


@strawberry.type
class Item:
    number: int
    colour: Colour = Colour.RED

    @strawberry.field
    def parent(self) -> Item:
        return Item(number=self.number + 1)

    @strawberry.field
    def kids(self, first: int = 2) -> list[Item]:
        return [Item(number=n) for n in range(min(first, 3))]

    @strawberry.field
    def tags(self) -> list[Item]:
        return []

    @strawberry.field(metadata={"page_size_default": 3})
    def few(self) -> list[Item]:
        return []

    @strawberry.field
    def items(self, first: int | None = None, last: int | None = None) -> ItemConnection:
        return _page(first, last)

    @strawberry.field
    def wrong_colour(self) -> Colour | None:
        return 77  # type: ignore[return-value]

    @strawberry.field
    def none(self) -> int | None:
        raise RuntimeError("secret of a field")

    @property
    def resume_cursor(self) -> str:
        return f"cursor-{self.number}"


@strawberry.type
class Told:
    number: int
    text: str

    @property
    def resume_cursor(self) -> str:
        return str(self.number)


@strawberry.type
class Query:
    @strawberry.field
    def hello(self, name: str = "world") -> str:
        return f"hi {name}"

    @strawberry.field
    def boom(self) -> str | None:
        raise ValueError("secret db password")

    @strawberry.field
    async def coded(self, code: str = "NOT_FOUND") -> str | None:
        raise ToyError(code, "No such thing.", timedelta(seconds=1.2))

    @strawberry.field
    async def coded_required(self, code: str = "NOT_FOUND") -> str:
        raise ToyError(code, "No such thing.", timedelta(seconds=1.2))

    @strawberry.field(permission_classes=[Forbidden])
    async def vault(self) -> str | None:
        return "gold"

    @strawberry.field
    def item(self) -> Item:
        return Item(number=0)

    @strawberry.field
    def items(self, first: int | None = None, last: int | None = None) -> ItemConnection:
        return _page(first, last)

    @strawberry.field
    def nodes(self, ids: list[strawberry.ID]) -> list[Item | None]:
        return [None for _ in ids]

    @strawberry.field(metadata={"cost": 10})
    def dear(self) -> Item | None:
        return None

    @strawberry.field
    def part(self, input: Part) -> str:
        return f"{input.number} {input.name and input.name.value} {input.note and input.note.value!r}"

    @strawberry.field
    def choose(self, choice: Choice) -> str:
        return "name" if choice.by_name else "part"

    @strawberry.field
    def span(self, of: Span | None = None, times: float = 1.0, count: int = 1) -> str:
        return f"{of} {times} {count}"

    @strawberry.field
    def colour(self, of: Colour = Colour.GREEN) -> Colour:
        return of

    @strawberry.field
    async def slow(self) -> str:
        await asyncio.sleep(30)
        return "late"

    @strawberry.field
    def context_number(self, info: strawberry.Info) -> int:
        assert not info.context.is_closed
        return int(info.context.number)

    @strawberry.field
    def big(self) -> str:
        return "x" * 100_000

    @strawberry.field
    def unwritable(self) -> strawberry.scalars.JSON:
        return {"n": 2**70}  # type: ignore[return-value]


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def bump(self, info: strawberry.Info) -> int:
        info.context.world.bumps += 1
        return int(info.context.world.bumps)

    @strawberry.mutation
    async def slow_bump(self, info: strawberry.Info) -> int:
        await info.context.world.bump_may_finish.wait()
        info.context.world.bumps += 1
        return int(info.context.world.bumps)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, info: strawberry.Info, to: int = 3) -> AsyncGenerator[int, None]:
        for number in range(to):
            assert not info.context.is_closed
            yield number

    @strawberry.subscription
    async def forever(self, info: strawberry.Info) -> AsyncGenerator[int, None]:
        try:
            for number in numbers():
                yield number
                await asyncio.sleep(0.01)
        finally:
            info.context.world.sources_closed += 1

    @strawberry.subscription
    async def silent(self, info: strawberry.Info) -> AsyncGenerator[int, None]:
        try:
            await asyncio.sleep(3600)
            yield 0
        finally:
            info.context.world.sources_closed += 1

    @strawberry.subscription
    async def items(self, to: int = 3) -> AsyncGenerator[Item, None]:
        for number in range(to):
            yield Item(number=number)

    @strawberry.subscription
    async def flood(self, info: strawberry.Info) -> AsyncGenerator[Big, None]:
        try:
            for number in numbers():
                yield Big(number=number)
        finally:
            info.context.world.sources_closed += 1

    @strawberry.subscription(metadata={"resume_argument": "after"})
    async def told(self, info: strawberry.Info, after: str | None = None) -> AsyncGenerator[Told, None]:
        line = info.context.world.line
        line.source_count += 1
        try:
            async for each in line.follow(after):
                yield each  # type: ignore[misc]  # a Standstill is for the executor
        finally:
            info.context.world.sources_closed += 1

    @strawberry.subscription
    async def ends_badly(self, code: str = "CURSOR_EXPIRED", after: int = 1) -> AsyncGenerator[Item, None]:
        for number in range(after):
            yield Item(number=number)
        raise ToyError(code, "The log before this cursor is gone.")

    @strawberry.subscription
    async def crashes(self) -> AsyncGenerator[int, None]:
        yield 1
        raise RuntimeError("secret of the source")

    @strawberry.subscription
    async def context_numbers(self) -> AsyncGenerator[Seen, None]:
        for _ in range(3):
            yield Seen()


@strawberry.type
class Big:
    number: int

    @strawberry.field
    def text(self) -> str:
        return "x" * 100_000

    @property
    def resume_cursor(self) -> str:
        return f"cursor-{self.number}"


@strawberry.type
class Seen:
    @strawberry.field
    def context(self, info: strawberry.Info) -> int:
        assert not info.context.is_closed
        return int(info.context.number)


schema = strawberry.Schema(
    Query,
    Mutation,
    Subscription,
    config=StrawberryConfig(
        scalar_map={Span: strawberry.scalar(name="Span", parse_value=_span, serialize=str)},
    ),
)


def request(query: str, operation_name: str | None = None, **variables: object) -> GraphQLRequest:
    return GraphQLRequest(query, operation_name, variables)


def executor(reported: list[tuple[BaseException, str]] | None = None, **options: Any) -> GraphQLExecutor:
    kept = reported if reported is not None else []
    return GraphQLExecutor(schema, report=lambda error, request_id: kept.append((error, request_id)), **options)


async def run(executor: GraphQLExecutor, query: str, **variables: object) -> Answer:
    prepared = executor.prepare(request(query, **variables))
    async with toy_context(ToyWorld()) as context:
        return await executor.execute(prepared, context, "r-1")
