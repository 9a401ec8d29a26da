"""A schema full of traps: everything that a resolver or an attribute may do wrong, decided by a number alone."""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import enum
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Annotated, Any, NewType

import strawberry
from strawberry.extensions import FieldExtension
from strawberry.permission import BasePermission
from strawberry.scalars import JSON
from strawberry.schema.config import StrawberryConfig

from alertgraph.execution.batch import Batch
from alertgraph.execution.leaves import serializes_to_itself, written_by_orjson


@dataclass
class Context:
    """What resolvers of one operation share."""

    may_read: bool = True
    log: list[tuple[str, int]] = field(default_factory=list)


Info = strawberry.Info[Context, None]


@strawberry.enum
class Severity(enum.Enum):
    LOW = "low"
    HIGH = "high"


@strawberry.enum
class Renamed(enum.IntEnum):
    A = strawberry.enum_value(1, name="ALPHA")  # type: ignore[assignment]
    B = 2


Instant = NewType("Instant", dt.datetime)
Anything = NewType("Anything", object)
Picky = NewType("Picky", int)


@written_by_orjson(dt.datetime, tzinfo=dt.UTC)
def instant_text(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat().removesuffix("+00:00") + "Z"


@serializes_to_itself(dict, list, str, int)
def same(value: object) -> object:
    return value


def picky_text(value: int) -> str | None:
    if value % 5 == 4:
        raise ValueError(f"picky about {value}")
    return None if value % 5 == 3 else f"#{value}"


class Deny(BasePermission):
    message = "denied"

    def has_permission(self, source: Any, info: Any, **kwargs: Any) -> bool:
        return getattr(source, "n", 0) % 3 != 0


class DenyLater(BasePermission):
    message = "denied later"

    async def has_permission(self, source: Any, info: Any, **kwargs: Any) -> bool:
        await asyncio.sleep(0)
        return getattr(source, "n", 0) % 4 != 0


class Upper(FieldExtension):
    def resolve(self, next_: Callable[..., Any], source: Any, info: Any, **kwargs: Any) -> Any:
        return str(next_(source, info, **kwargs)).upper()

    async def resolve_async(self, next_: Callable[..., Any], source: Any, info: Any, **kwargs: Any) -> Any:
        return str(await next_(source, info, **kwargs)).upper()


async def later(value: Any) -> Any:
    """Return a value, or raise it, when it is awaited."""
    await asyncio.sleep(0)
    if isinstance(value, Exception):
        raise value
    return value


class Often:
    """Can be awaited more than once, as a future can, so that it may be an attribute."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __await__(self) -> Any:
        return later(self._value).__await__()


class Streamed:
    """An async iterable that ends in an exception now and then."""

    def __init__(self, items: Sequence[Any], error: Exception | None = None) -> None:
        self._items = items
        self._error = error

    async def __aiter__(self) -> AsyncIterator[Any]:
        for item in self._items:
            await asyncio.sleep(0)
            yield item
        if self._error is not None:
            raise self._error


def broken(items: Sequence[Any]) -> Iterator[Any]:
    yield from items
    raise ValueError("the items ended badly")


# ----------------------------------------------------------------------------------------- values that are traps


def text(n: int) -> Any:
    odd: dict[int, Any] = {
        1: None, 3: Often(f"t{n}"), 5: ["list"], 6: Often(ValueError("awaited text")), 7: ValueError("a value"),
        8: 42, 9: object, 10: Often(None), 11: b"bytes", 12: True, 13: float("nan"),
    }  # fmt: skip
    return odd.get(n % 29, f"t{n}")


def whole(n: int) -> Any:
    odd: dict[int, Any] = {
        2: None, 4: 2**33, 6: -(2**40), 7: "12", 8: "x", 9: 3.0, 10: 3.5, 11: True, 12: Often(n), 13: [n],
        14: float("inf"), 15: decimal.Decimal(7), 16: Often(2**40),
    }  # fmt: skip
    return odd.get(n % 31, n)


def real(n: int) -> Any:
    odd: dict[int, Any] = {
        1: float("nan"), 3: float("inf"), 5: n, 7: "1.5", 9: None, 11: True, 13: "x", 15: decimal.Decimal("1.5"),
        17: Often(1.5), 19: -float("inf"), 21: 10**400,
    }  # fmt: skip
    return odd.get(n % 37, n / 3)


def truth(n: int) -> Any:
    return {1: None, 3: 0, 5: "true", 7: 1.0, 9: float("nan"), 11: Often(True), 13: []}.get(n % 23, n % 2 == 0)


def severity(n: int) -> Any:
    odd: dict[int, Any] = {
        1: None, 4: "low", 6: "HIGH", 8: 77, 10: Often(Severity.LOW), 12: [Severity.LOW], 14: Renamed.A,
    }  # fmt: skip
    return odd.get(n % 27, Severity.LOW if n % 2 else Severity.HIGH)


def instant(n: int) -> Any:
    zones = [dt.UTC, dt.timezone(dt.timedelta(hours=2)), None]
    at = dt.datetime(2026, 1, 1 + n % 28, n % 24, 5, 6, (n % 3) * 1000, tzinfo=zones[(n // 3) % 3])
    return {2: None, 5: "2026", 7: dt.date(2026, 1, 1), 9: Often(at)}.get(n % 33, at)


def listed(n: int) -> Any:
    items = [f"x{n}", "y"]
    odd: dict[int, Any] = {
        1: None, 2: tuple(items), 3: ["x", None], 4: Streamed(items), 5: Streamed(items, ValueError("streamed")),
        6: "text", 7: {"a": 1}, 8: iter(items), 9: broken(items), 10: 5, 11: [Often("x"), "y", Often(None)],
        12: [ValueError("an item")], 13: Often(items), 14: {"set"}, 15: [["nested"]], 16: Often(Streamed(items)),
        17: [Often(KeyError("k")), Often("z")], 18: [],
    }  # fmt: skip
    return odd.get(n % 39, items)


def grid(n: int) -> Any:
    odd: dict[int, Any] = {
        1: None, 2: [None], 3: [[1, None], [2]], 4: [[1], None, [2**40]], 5: [Streamed([1, 2])], 6: [[Often(1)]],
        7: [5], 8: [], 9: [[], [1], []], 10: [iter([1, 2]), (3,)],
    }  # fmt: skip
    return odd.get(n % 21, [[1, n], [3]])


def child(n: int, depth: int) -> Any:
    found = thing(n + 1, depth - 1)
    odd: dict[int, Any] = {
        1: None, 2: Often(found), 3: ValueError("no child"), 4: Often(ValueError("no child later")), 5: 7,
        6: as_sub(SubThing, found), 7: Often(None), 8: channel(n), 9: [found], 10: Bag(found),
    }  # fmt: skip
    return odd.get(n % 25, found)


def children(n: int) -> Any:
    made = [channel(n), channel(n + 1)]
    odd: dict[int, Any] = {
        1: None, 2: tuple(made), 3: [made[0], None], 4: Streamed(made), 5: [Often(made[0])],
        6: [ValueError("kid")], 7: broken(made), 8: [], 9: [5], 10: [Often(None), made[1]],
        11: [as_sub(SubChannel, made[0])],
    }  # fmt: skip
    return odd.get(n % 23, made)


def as_sub(cls: type[Any], found: Any) -> Any:
    """Return the same as an object of a subclass."""
    names = [each.name for each in fields(cls) if each.init and each.name != "looked"]
    return cls(**{name: getattr(found, name) for name in names})


class Bag:
    """Something that is not of the declared class but has the attributes."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._inner, name)


# ------------------------------------------------------------------------------------------------------- the types


@strawberry.interface
class Node:
    id: strawberry.ID


async def channels(info: Info, keys: Sequence[int], **_: Any) -> Mapping[int, Any]:
    await asyncio.sleep(0)
    assert len(set(keys)) == len(keys), "a key is loaded once"
    return {key: _loaded(key) for key in keys if key % 5}


def _loaded(key: int) -> Any:
    return ValueError(f"load of {key}") if key % 7 == 3 else key


def channel_of(info: Info, key: int) -> Any:
    if key % 11 == 4:
        raise ValueError(f"make of {key}")
    return {9: Often(channel(key)), 6: 5}.get(key % 17, channel(key))


async def one(info: Info, key: int | None, make: Callable[[Info, int], Any], missing: Any = None) -> Any:
    """Return what a batch gives for one key alone, as an ordinary resolver would."""
    if key is None:
        return missing
    await asyncio.sleep(0)
    found = _loaded(key) if key % 5 else None
    if isinstance(found, Exception):
        raise found
    return make(info, found) if found is not None else missing


def key_of(parent: Thing) -> int | None:
    if parent.n % 19 == 7:
        raise KeyError("no key")
    return None if parent.n % 6 == 5 else parent.n % 9


def never_alone(parent: Thing) -> int | None:
    """Return a key of which there are few, so that parents share."""
    return None if parent.n % 6 == 5 else parent.n % 4


def check(info: Info) -> None:
    if not info.context.may_read:
        raise PermissionError("not for you")


async def many(info: Info, keys: Sequence[int], **given: Any) -> Mapping[int, Any]:
    await asyncio.sleep(0)
    return {key: _many(key, **given) for key in keys}


def _many(key: int, count: int = 2, labels: list[str] | None = None, filter: Filter | None = None) -> list[Any]:
    low = filter.low if filter is not None else 0
    return [channel(key + low + number) for number in range(count)] + [None] * (key % 3 == 2 and bool(labels))


@strawberry.type
class Channel(Node):
    n: strawberry.Private[int]
    name: str
    rank: int | None
    kept: strawberry.Private[Any] = None

    @strawberry.field
    def loud(self) -> str:
        if self.n % 4 == 0:
            raise ValueError("loud broke")
        return f"{self.name}!"

    @strawberry.field
    async def slow(self, by: int = 1) -> int | None:
        await asyncio.sleep(0)
        if self.n % 5 == by:
            raise ValueError("slow broke")
        return self.n

    @strawberry.field(metadata={"batch": Batch(key=lambda parent: parent.n % 3, load=channels, make=channel_of)})
    async def next(self, info: Info) -> Channel | None:
        return await one(info, self.n % 3, channel_of)

    @strawberry.field
    def owner(self) -> Thing | None:
        return thing(self.n, 0) if self.n % 2 else None


class SubChannel(Channel):
    pass


@strawberry.input
class Filter:
    low: int = 0
    high: int | None = 5
    names: list[str] = strawberry.field(default_factory=list)


@strawberry.type
class Oops:
    message: str
    code: int | None = 3


Both = Annotated[Channel | Oops, strawberry.union("Both")]


def resolved(value: Any, info: Any, type_: Any) -> Any:
    name = {0: "Circle", 1: "Square", 2: "Nothing", 3: None, 4: "Channel"}.get(value.n % 7, "Circle")
    if value.n % 7 == 6:
        raise ValueError("no shape")
    return later(name) if value.n % 2 else name


@strawberry.interface
class Shape:
    n: int

    @classmethod
    def resolve_type(cls, value: Any, info: Any, type_: Any) -> Any:
        return resolved(value, info, type_)


@strawberry.type
class Circle(Shape):
    radius: float = 1.0


@strawberry.type
class Square(Shape):
    @strawberry.field
    async def side(self) -> int:
        return self.n


@strawberry.type
class Thing(Node):
    n: strawberry.Private[int]
    depth: strawberry.Private[int]
    title: str
    maybe: str | None
    count: int
    rank: int | None
    score: float
    ratio: float | None
    flag: bool
    hint: bool | None
    severity: Severity
    shade: Severity | None
    renamed: Renamed | None
    at: Instant | None
    when: Instant
    made: dt.datetime | None
    uid: uuid.UUID
    price: decimal.Decimal | None
    raw: JSON | None
    anything: Anything | None
    picky: Picky | None
    picky_too: Picky
    tags: list[str]
    words: list[str | None] | None
    grid: list[list[int] | None] | None
    deep: list[list[list[Channel | None]]] | None
    inner: Thing | None
    needed: Thing | None
    kids: list[Channel]
    loose: list[Channel | None] | None
    either: Both | None
    pairs: list[Both]
    nodes: list[Node | None] | None
    shape: Shape | None
    shapes: list[Shape]

    @property
    def computed(self) -> Any:
        return text(self.n + 2)

    looked: str | None = strawberry.field(default=None)

    @strawberry.field
    def with_arguments(self, x: int = 3, s: str | None = None, names: list[str] | None = None) -> str | None:
        if (self.n + x) % 5 == 0:
            raise RuntimeError("with_arguments broke")
        # Whoever changes what it was given must not change it for others.
        (names or []).append("mine")
        return f"{self.n}{x}{s}{names}"

    @strawberry.field
    def filtered(self, filter: Filter | None = None) -> int:
        if filter is None:
            return -1
        filter.names.append("x")
        return filter.low + (filter.high or 0) + len(filter.names)

    @strawberry.field
    async def required_later(self, k: int) -> int:
        await asyncio.sleep(0)
        if (self.n + k) % 6 == 0:
            return None  # type: ignore[return-value]
        return self.n * k

    @strawberry.field
    def where(self, info: Info) -> str:
        path, steps = info.path, []
        while path is not None:
            steps.append(f"{path.key}:{path.typename}")
            path = path.prev
        variables = sorted(info.variable_values)
        return f"{steps} {info.field_name} {info.return_type!r} {variables} {len(info.selected_fields)}"

    @strawberry.field(permission_classes=[Deny])
    def secret(self) -> str | None:
        return "s"

    @strawberry.field(permission_classes=[DenyLater])
    async def secret_later(self) -> str:
        return "s"

    @strawberry.field(permission_classes=[Deny])
    def secret_thing(self) -> Channel:
        return channel(self.n)

    @strawberry.field(extensions=[Upper()])
    def upper(self) -> str:
        return f"up{self.n}"

    @strawberry.field(extensions=[Upper()])
    async def upper_later(self) -> str:
        if self.n % 4 == 1:
            raise ValueError("upper broke")
        return f"up{self.n}"

    @strawberry.field
    def both(self) -> Both:
        return channel(self.n) if self.n % 2 else Oops(message="no")

    @strawberry.field
    def wrong(self) -> Both | None:
        return Circle(n=1) if self.n % 2 else 5  # type: ignore[return-value]

    @strawberry.field
    async def others(self) -> list[Node | None]:
        await asyncio.sleep(0)
        return [thing(self.n + 1, 0), channel(self.n), None, *([Oops(message="x")] * (self.n % 4 == 0))]  # type: ignore[list-item]

    @strawberry.field
    def future(self) -> int | None:
        return Often(self.n) if self.n % 3 else None  # type: ignore[return-value]

    @strawberry.field(metadata={"batch": Batch(key=key_of, load=channels, make=channel_of)})
    async def channel(self, info: Info) -> Channel | None:
        return await one(info, key_of(self), channel_of)

    @strawberry.field(metadata={"batch": Batch(key=never_alone, load=channels, make=channel_of)})
    async def channel_needed(self, info: Info) -> Channel:
        return await one(info, never_alone(self), channel_of)  # type: ignore[no-any-return]

    @strawberry.field(
        metadata={"batch": Batch(key=attrgetter("n"), load=channels, make=channel_of, authorise=check)}
    )
    async def guarded(self, info: Info) -> Channel | None:
        check(info)
        return await one(info, self.n, channel_of)

    @strawberry.field(metadata={"batch": Batch(key=never_alone, load=many, missing=list)})
    async def several(
        self,
        info: Info,
        count: int = 2,
        labels: list[str] | None = None,
        filter: Filter | None = None,
    ) -> list[Channel]:
        key = never_alone(self)
        if key is None:
            return []
        return _many(key, count, labels, filter)

    @strawberry.field(metadata={"batch": Batch(key=lambda parent: parent.n % 2, load=channels)})
    async def number(self, info: Info) -> int | None:
        return await one(info, self.n % 2, lambda _, key: key)  # type: ignore[no-any-return]

    @strawberry.field(
        metadata={"batch": Batch(key=attrgetter("n"), load=channels, make=channel_of)}, permission_classes=[Deny]
    )
    async def permitted(self, info: Info) -> Channel | None:
        return await one(info, self.n, channel_of)


class SubThing(Thing):
    pass


# What a property computes is no plain attribute: it must be read once only, and may raise.
Thing.looked = property(  # type: ignore[assignment]
    lambda self: text(self.n + 2) if self.n % 5 else 1 / 0, lambda self, value: None
)


def channel(n: int) -> Any:
    made = Channel(id=f"c{n}", n=n, name=None if n % 17 == 7 else f"n{n}", rank=2**40 if n % 13 == 5 else n)  # type: ignore[arg-type]
    if n % 23 == 11:
        return strawberry.cast(Thing, made)
    return made


def thing(n: int, depth: int = 1) -> Thing:
    return Thing(
        id=strawberry.ID(f"a{n}") if n % 8 else 88,  # type: ignore[arg-type]
        n=n, depth=depth, title=text(n), maybe=text(n + 3), count=whole(n), rank=whole(n + 5), score=real(n),
        ratio=real(n + 4), flag=truth(n), hint=truth(n + 2), severity=severity(n), shade=severity(n + 5),
        renamed=[Renamed.A, Renamed.B, None, 1, 7][n % 5],  # type: ignore[arg-type]
        at=instant(n), when=instant(n + 4), made=[None, dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "x"][n % 3],  # type: ignore[arg-type]
        uid=uuid.UUID(int=n) if n % 9 else f"u{n}",  # type: ignore[arg-type]
        price=decimal.Decimal(n) / 7 if n % 4 else None,
        raw={"a": [n, None]}, anything=[{"a": n}, [n], "s", n, (n, 1), None, Often({"b": n})][n % 7],
        picky=n, picky_too=n + 1, tags=listed(n), words=listed(n + 6), grid=grid(n),
        deep=[[children(n + 3)], []] if n % 3 else None,
        inner=child(n, depth) if depth > 0 else None, needed=thing(n + 2, depth - 1) if depth > 0 else None,
        kids=children(n), loose=children(n + 5),
        either=[channel(n), Oops(message="e"), None, Often(channel(n)), 5][n % 5],
        pairs=[channel(n), Oops(message=None if n % 7 == 1 else "p")],  # type: ignore[arg-type]
        nodes=[channel(n), None, Often(channel(n + 1)), *([Circle(n=1)] * (n % 6 == 1))],  # type: ignore[list-item]
        shape=Circle(n=n) if n % 4 else None, shapes=[Circle(n=n), Square(n=n + 1)],
    )  # fmt: skip


@strawberry.type
class Query:
    @strawberry.field
    async def things(self, first: int = 4, start: int = 0) -> list[Thing]:
        return [thing(start + number) for number in range(first)]

    @strawberry.field
    def maybe_things(self, filter: Filter | None = None, start: int = 0) -> list[Thing | None] | None:
        filter = filter or Filter()
        last = min(filter.high or 3, 20)
        return [thing(start + n) if n % 4 != 2 else None for n in range(filter.low, last)]

    @strawberry.field
    def one(self, n: int) -> Thing | None:
        return thing(n) if n % 5 else None

    @strawberry.field
    async def needed(self, n: int) -> Thing:
        return thing(n) if n % 3 else None  # type: ignore[return-value]

    @strawberry.field
    async def boom(self) -> Thing | None:
        raise ValueError("boom")

    @strawberry.field
    def any(self, n: int = 0) -> list[Both]:
        return [channel(n + 1), Oops(message="x"), channel(n + 4)]

    @strawberry.field
    async def node(self, n: int) -> Node | None:
        return [thing(n, 0), channel(n), None, Circle(n=n)][n % 4]  # type: ignore[return-value]

    @strawberry.field
    def nodes(self, n: int) -> list[Node]:
        return [thing(n, 0), channel(n), *([None] * (n % 5 == 3))]  # type: ignore[list-item]

    plain: str | None = None


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def bump(self, info: Info, n: int) -> Thing | None:
        info.context.log.append(("begun", n))
        await asyncio.sleep(0.0002 * (5 - n % 5))
        info.context.log.append(("ended", n))
        if n % 6 == 2:
            raise ValueError("bump broke")
        return thing(n)

    @strawberry.mutation
    def bump_now(self, info: Info, n: int) -> Thing:
        info.context.log.append(("now", n))
        return thing(n) if n % 4 else None  # type: ignore[return-value]

    @strawberry.mutation
    async def bump_needed(self, info: Info, n: int) -> Channel:
        info.context.log.append(("needed", n))
        await asyncio.sleep(0)
        return channel(n)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ticks(self, start: int = 0) -> AsyncIterator[Thing]:
        for number in range(3):
            yield thing(start + number)


def make_schema(**options: Any) -> strawberry.Schema:
    return strawberry.Schema(
        Query,
        Mutation,
        Subscription,
        types=[Circle, Square],
        config=StrawberryConfig(
            scalar_map={
                Instant: strawberry.scalar(name="Instant", serialize=instant_text),
                Anything: strawberry.scalar(name="Anything", serialize=same),
                Picky: strawberry.scalar(name="Picky", serialize=picky_text),
            }
        ),
        **options,
    )
