"""What resolvers seldom return, by name: a plan gives what graphql-core gives, as JSON, and never falls back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated, Any

import pytest
import strawberry

from alertgraph.execution.batch import Batch
from alertgraph.execution.executor import GraphQLExecutor
from alertgraph.execution.request import GraphQLRequest
from tests.unit.execution.test_plans import Noted


class Later:
    """An attribute that has to be awaited, and may be so again and again."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __await__(self) -> Any:
        async def give() -> Any:
            await asyncio.sleep(0)
            if isinstance(self._value, Exception):
                raise self._value
            return self._value

        return give().__await__()


class Streamed:
    """An async iterable; it ends in an exception where there is one among its items."""

    def __init__(self, *items: Any) -> None:
        self._items = items

    async def __aiter__(self) -> AsyncIterator[Any]:
        for item in self._items:
            await asyncio.sleep(0)
            if isinstance(item, Exception):
                raise item
            yield item


async def loaded(info: Any, keys: Sequence[int]) -> Mapping[int, Any]:
    return {key: ValueError("not this one") if key == 2 else key for key in keys if key != 3}


def made(info: Any, key: int) -> Owner:
    if key == 4:
        raise ValueError("nothing to be made of it")
    return Owner(number=key)


async def one_loaded(info: Any, key: int) -> Any:
    found = (await loaded(info, [key])).get(key)
    if isinstance(found, Exception):
        raise found
    return made(info, found) if found is not None else None


@strawberry.interface
class Named:
    name: str


@strawberry.type
class Owner(Named):
    number: int
    name: str = "owner"


@strawberry.type
class Robot(Named):
    name: str
    model: int | None = None

    @strawberry.field
    async def tuned(self) -> int:
        await asyncio.sleep(0)
        return 7


def told_type(value: Any, info: Any, type_: Any) -> Any:
    async def later() -> str:
        await asyncio.sleep(0)
        return "Cat"

    return later() if value.n % 2 else "Dog"


@strawberry.interface
class Animal:
    n: int

    @classmethod
    def resolve_type(cls, value: Any, info: Any, type_: Any) -> Any:
        return told_type(value, info, type_)


@strawberry.type
class Cat(Animal):
    claws: int = 18


@strawberry.type
class Dog(Animal):
    tail: bool = True


Either = Annotated[Owner | Robot, strawberry.union("Either")]


@strawberry.type
class Item:
    key: strawberry.Private[int]
    text: str
    words: list[str]
    loose: list[str | None] | None

    @strawberry.field(metadata={"batch": Batch(key=lambda item: item.key, load=loaded, make=made)})
    async def owner(self, info: strawberry.Info) -> Owner:
        return await one_loaded(info, self.key)  # type: ignore[no-any-return]

    @strawberry.field(metadata={"batch": Batch(key=lambda item: item.key, load=loaded, make=made)})
    async def maybe(self, info: strawberry.Info) -> Owner | None:
        return await one_loaded(info, self.key)  # type: ignore[no-any-return]


def item(key: int = 1, text: Any = "t", words: Any = (), loose: Any = None) -> Item:
    return Item(key=key, text=text, words=words, loose=loose)


@strawberry.type
class Query:
    @strawberry.field
    def awaitables(self) -> list[Item | None]:
        return [
            item(text=Later("later")), item(text=Later(None)), item(text=Later(ValueError("late"))),
            item(words=[Later("a"), "b"]), item(loose=Later([Later(None), "c"])),
        ]  # fmt: skip

    @strawberry.field
    def streams(self) -> list[Item | None]:
        return [
            item(words=Streamed("a", "b")), item(words=Streamed("a", None)), item(loose=Streamed("a", None)),
            item(loose=Streamed("a", ValueError("broke off"))), item(words=Later(Streamed("z"))),
        ]  # fmt: skip

    @strawberry.field
    def items(self) -> list[Item | None]:
        return [item(key) for key in (1, 2, 3, 4, 1, 2)]

    @strawberry.field
    def sure(self) -> list[Item]:
        return [item(1), item(2)]

    @strawberry.field
    def named(self) -> list[Named]:
        return [Owner(number=1), Robot(name="r", model=2), Later(Robot(name="s"))]  # type: ignore[list-item]

    @strawberry.field
    def either(self) -> list[Either | None]:
        return [Robot(name="r"), Owner(number=3), None, 5]  # type: ignore[list-item]

    @strawberry.field
    async def animals(self) -> list[Animal]:
        return [Cat(n=1), Dog(n=2), Cat(n=3)]


SCHEMA = strawberry.Schema(Query, types=[Cat, Dog, Owner, Robot])

CASES: dict[str, tuple[str, Any, list[list[Any]]]] = {
    "attributes that are awaited": (
        "{ awaitables { text words loose } }",
        [
            {"text": "later", "words": [], "loose": None}, None, None,
            {"text": "t", "words": ["a", "b"], "loose": None}, {"text": "t", "words": [], "loose": [None, "c"]},
        ],
        [["awaitables", 1, "text"], ["awaitables", 2, "text"]],
    ),
    "async iterables as lists": (
        "{ streams { words loose } }",
        [
            {"words": ["a", "b"], "loose": None}, None, {"words": [], "loose": ["a", None]},
            {"words": [], "loose": None}, {"words": ["z"], "loose": None},
        ],
        [["streams", 1, "words", 1], ["streams", 3, "loose"]],
    ),
    "relations that may not be null, and fail": (
        "{ items { owner { number } } }",
        [{"owner": {"number": 1}}, None, None, None, {"owner": {"number": 1}}, None],
        [["items", at, "owner"] for at in (1, 2, 3, 5)],
    ),
    "relations that may be null, and fail": (
        "{ items { maybe { number } } }",
        [{"maybe": {"number": 1} if at in (0, 4) else None} for at in range(6)],
        [["items", at, "maybe"] for at in (1, 3, 5)],
    ),
    "a relation that fails where nothing above may be null": (
        "{ sure { owner { number } } }",
        None,
        [["sure", 1, "owner"]],
    ),
    "an interface": (
        "{ named { __typename name ...on Owner { number } ...on Robot { model tuned } } }",
        [
            {"__typename": "Owner", "name": "owner", "number": 1},
            {"__typename": "Robot", "name": "r", "model": 2, "tuned": 7},
            {"__typename": "Robot", "name": "s", "model": None, "tuned": 7},
        ],
        [],
    ),
    "a union": (
        "{ either { ...on Named { name } ...on Owner { number } } }",
        [{"name": "r"}, {"name": "owner", "number": 3}, None, None],
        [["either", 3]],
    ),
    "an interface whose types are found out, some of them later": (
        "{ animals { __typename n ...on Cat { claws } ...on Dog { tail } } }",
        [
            {"__typename": "Cat", "n": 1, "claws": 18}, {"__typename": "Dog", "n": 2, "tail": True},
            {"__typename": "Cat", "n": 3, "claws": 18},
        ],
        [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("compiled", [True, False], ids=["plan", "graphql-core"])
async def test_odd_values_are_completed_alike(name: str, compiled: bool) -> None:
    text, data, paths = CASES[name]
    noted = Noted()
    executor = GraphQLExecutor(SCHEMA, report=lambda *_: None, compiled_plans=compiled, plan_observer=noted)

    prepared = executor.prepare(GraphQLRequest(text))
    answer = await executor.execute(prepared, None, "r")

    payload: Any = answer.payload
    assert payload["data"] == ({text.split()[1]: data} if data is not None else None)
    assert sorted(error["path"] for error in payload.get("errors", ())) == paths
    assert answer.encode().startswith(b"{")
    assert (prepared.plan is not None) == compiled
    assert (noted.compiled, noted.missing) == ((1, []) if compiled else (0, ["switched_off"]))
