"""One execution of a plan: what went wrong in it, and what turned up that has to be awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from graphql import FieldNode, GraphQLField, GraphQLObjectType
from graphql.execution import Executor
from graphql.execution.collect_fields import FieldDetails

if TYPE_CHECKING:
    from alertgraph.execution.completion import Node

T = TypeVar("T")

Keys = tuple[str | int, ...]
"""A place in a response: response keys and indexes from its root."""

Where = Callable[[int], Keys]
"""Tells where the value at an index of a column stands; asked only where somebody wants to know."""


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """One response key of a selection on one object type.

    Attributes:
        key: In the response.
        name: In the schema.
        parent: The object type.
        definition: In the schema.
        details: Where the document selects it.
        nodes: The same places, for errors and for resolvers.
    """

    key: str
    name: str
    parent: GraphQLObjectType
    definition: GraphQLField
    details: list[FieldDetails]
    nodes: list[FieldNode]


@dataclass(frozen=True, slots=True, eq=False)
class Position:
    """A place in every response of a plan: a field, or the items of a list.

    Attributes:
        field: Whose value, or whose items, stand there.
        above: What null is handed on to; None for the response itself.
        is_required: Whether null may not stand there.
    """

    field: Field
    above: Position | None
    is_required: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception at a place of a response.

    Attributes:
        position: Of the plan.
        keys: The place.
        error: What was raised, or found there.
    """

    position: Position
    keys: Keys
    error: BaseException


@dataclass(frozen=True, slots=True)
class Pending:
    """A value that must be awaited where none was expected.

    Attributes:
        node: Completes it.
        keys: Its place.
        awaitable: Gives it.
    """

    node: Node
    keys: Keys
    awaitable: Awaitable[object]


@dataclass(slots=True)
class Run:
    """What the parts of a plan share while it is executed.

    Attributes:
        executor: Graphql-core's state of the same execution.
        failures: In the order in which they happened.
        pending: To be awaited before the response is done.
    """

    executor: Executor[Any]
    failures: list[Failure] = field(default_factory=list)
    pending: list[Pending] = field(default_factory=list)

    def fail(self, position: Position, keys: Keys, error: BaseException) -> None:
        """Note that no value can stand at a place."""
        self.failures.append(Failure(position, keys, error))

    def part(self) -> Run:
        """Return a run with notes of its own, of the same execution."""
        return Run(self.executor)

    async def settle(self, put: Callable[[Keys, object], None]) -> None:
        """Await and complete what is pending, and what turns up in it, until nothing is.

        Args:
            put: Takes a place and the value for it.
        """
        while self.pending:
            pending, self.pending = self.pending, []
            values = await awaited(self.executor, [each.awaitable for each in pending])
            for each, value in zip(pending, values, strict=True):
                put(each.keys, await complete_one(each.node, self, value, each.keys))


class Settled:
    """A value that was awaited already, though it could be awaited again: it is taken as it is.

    Attributes:
        value: What came of awaiting it once.
    """

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


def settled(executor: Executor[Any], value: object) -> object:
    """Return a value that was awaited, marked where it could be awaited again."""
    return Settled(value) if executor.is_awaitable(value) else value


async def complete_one(node: Node, run: Run, value: object, keys: Keys) -> object:
    """Return the completed form of one value."""

    def where(_: int) -> Keys:
        return keys

    if node.is_async:
        return (await node.complete_async(run, [value], where))[0]
    return node.complete(run, [value], where)[0]


async def awaited(executor: Executor[Any], values: Sequence[object]) -> list[object]:
    """Return the values, those that can be awaited awaited together; where one raises, its exception.

    Raises:
        BaseException: What is no Exception ends the operation, a cancellation above all.
    """
    done = list(values)
    indexes = [index for index, value in enumerate(done) if executor.is_awaitable(value)]
    if len(indexes) == 1:
        # No task is needed for one, which is what most fields at the root are.
        try:
            done[indexes[0]] = settled(executor, await done[indexes[0]])  # type: ignore[misc]
        except Exception as error:  # noqa: BLE001 - becomes a located error of the response
            done[indexes[0]] = error
    elif indexes:
        results = await asyncio.gather(*(done[index] for index in indexes), return_exceptions=True)  # type: ignore[call-overload]
        for index, result in zip(indexes, results, strict=True):
            if isinstance(result, BaseException) and not isinstance(result, Exception):
                raise result
            done[index] = settled(executor, result)
    return done


async def together(works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Return what coroutines return that run at the same time.

    Raises:
        BaseException: What the first of them raised, or a cancellation; none of them is left running then.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def put_at(container: object, keys: Keys, value: object) -> None:
    """Put a value at a place below a container; where something above it is null, nothing can be put."""
    for key in keys[:-1]:
        if container is None:
            return
        container = container[key]  # type: ignore[index]
    if container is not None:
        container[keys[-1]] = value  # type: ignore[index]
