"""Relations that are read for a whole list at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import strawberry

from alertgraph.execution.asked import asked_fields
from alertgraph.execution.batch import Batch
from alertgraph.execution.executor import Answer, GraphQLExecutor
from alertgraph.execution.request import GraphQLRequest

calls: list[tuple[list[int], dict[str, Any]]] = []
made: list[int] = []
asked: list[object] = []


async def owners(info: Any, keys: Sequence[int], **arguments: Any) -> Mapping[int, int]:
    calls.append((list(keys), arguments))
    await asyncio.sleep(0)
    return {key: key for key in keys if key != 3}


def make(info: Any, key: int) -> Owner:
    made.append(key)
    return Owner(number=key)


def check(info: Any) -> None:
    asked.append(info.field_name)
    if info.context == "nobody":
        raise PermissionError


@strawberry.type
class Owner:
    number: int

    @strawberry.field
    def checked(self) -> int:
        if self.number == 1:
            raise ValueError("one is wrong")
        return self.number


@strawberry.type
class Item:
    owner_number: strawberry.Private[int | None]

    @strawberry.field(
        metadata={"batch": Batch(key=attrgetter("owner_number"), load=owners, make=make, authorise=check)}
    )
    async def owner(self, size: int = 1) -> Owner | None:
        raise AssertionError("a plan asks for all of them at once")

    @strawberry.field(metadata={"batch": Batch(key=attrgetter("owner_number"), load=owners, missing=lambda: -1)})
    async def number(self) -> int:
        raise AssertionError("a plan asks for all of them at once")


@strawberry.type
class Query:
    @strawberry.field
    def items(self, info: strawberry.Info) -> list[Item]:
        asked.append(asked_fields(info))
        asked.append(asked_fields(info, "owner"))
        asked.append(asked_fields(info, "nothing"))
        return [Item(owner_number=number) for number in (1, 2, None, 1, 3, 2)]


def an_executor(**options: Any) -> GraphQLExecutor:
    calls.clear()
    made.clear()
    asked.clear()
    return GraphQLExecutor(strawberry.Schema(Query), report=lambda *_: None, **options)


async def run(text: str, context: object = "somebody") -> Answer:
    executor = an_executor()
    return await executor.execute(executor.prepare(GraphQLRequest(text)), context, "r")


async def test_a_key_is_loaded_and_made_once() -> None:
    answer = await run("{items{owner(size:4){number} number}}")

    numbers = [1, 2, None, 1, None, 2]
    assert answer.payload["data"] == {
        "items": [{"owner": {"number": n} if n else None, "number": n or -1} for n in numbers]
    }
    assert calls == [([1, 2, 3], {"size": 4}), ([1, 2, 3], {})]
    assert made == [1, 2]


async def test_who_may_read_is_asked_once_for_a_list() -> None:
    await run("{items{owner{number}}}")

    assert asked[3:] == ["owner"]


async def test_who_may_not_read_is_told_so_for_each() -> None:
    answer = await run("{items{owner{number}}}", "nobody")

    assert answer.payload["data"] == {"items": [{"owner": None}] * 6}
    errors: Any = answer.payload["errors"]
    assert sorted(error["path"] for error in errors) == [["items", n, "owner"] for n in range(6)]
    assert calls == []


async def test_what_fails_in_a_shared_object_fails_for_each_who_shares_it() -> None:
    answer = await run("{items{owner{checked}}}")

    numbers = [None, 2, None, None, None, 2]
    assert answer.payload["data"] == {"items": [{"owner": {"checked": n} if n else None} for n in numbers]}
    errors: Any = answer.payload["errors"]
    assert [error["path"] for error in errors] == [["items", n, "owner", "checked"] for n in (0, 3)]


async def test_a_resolver_learns_what_is_asked_for() -> None:
    await run("{items{a:number owner{number} __typename}}")

    assert asked[:3] == [frozenset({"number", "owner"}), frozenset({"number"}), frozenset()]


async def test_without_a_plan_anything_may_be_asked_for() -> None:
    executor = an_executor(compiled_plans=False)
    await executor.execute(executor.prepare(GraphQLRequest("{items{__typename}}")), "somebody", "r")

    assert asked == [None, None, None]
