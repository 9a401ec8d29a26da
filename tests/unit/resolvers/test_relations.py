"""Nothing is waited for object by object: scalars lie in their objects, relations of lists are read at once."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import strawberry
from graphql import (
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
)
from strawberry.types.field import StrawberryField

from alertgraph.execution.batch import Batch, batch_of
from resolvers.schema import schema

ONE_OBJECT = "there is one of it in an answer, and its figures share one read"

WAITING_SCALARS = {
    "Query.labelSuggestions": ONE_OBJECT,
    "SilencePreview.openCount": ONE_OBJECT,
    "SilencePreview.lastWeekCount": ONE_OBJECT,
    **{
        f"AlertMetrics.{name}": ONE_OBJECT
        for name in (
            "createdCount", "acknowledgedCount", "resolvedCount", "escalatedCount", "openCount", "mtta", "mttr",
            "acknowledgeP50", "acknowledgeP95", "resolveP50", "resolveP95", "slaCompliance", "noiseRatio",
        )
    },
}  # fmt: skip
"""Scalars with a resolver that waits, and why that is no harm."""


def fields(of: GraphQLSchema) -> Iterator[tuple[GraphQLObjectType, str, Any, StrawberryField]]:
    """Yield each field that is written by Strawberry: its type, its name, and both of its definitions."""
    for type_ in of.type_map.values():
        if isinstance(type_, GraphQLObjectType) and type_ is not of.subscription_type:
            for name, definition in type_.fields.items():
                field = definition.extensions.get("strawberry-definition")
                if field is not None:
                    yield type_, f"{type_.name}.{name}", definition, field


def has_list(type_: GraphQLOutputType) -> bool:
    """Return whether a value of this type is a list."""
    return isinstance(type_.of_type if isinstance(type_, GraphQLNonNull) else type_, GraphQLList)


def in_lists(of: GraphQLSchema) -> set[str]:
    """Return the object types of which there may be many in one answer: in a list, or below one."""

    def concrete(type_: GraphQLNamedType) -> list[GraphQLObjectType]:
        if isinstance(type_, GraphQLInterfaceType | GraphQLUnionType):
            return list(of.get_possible_types(type_))
        return [type_] if isinstance(type_, GraphQLObjectType) else []

    found: set[str] = set()
    waiting = [
        each
        for _, _, definition, _ in fields(of)
        if has_list(definition.type)
        for each in concrete(get_named_type(definition.type))
    ]
    while waiting:
        type_ = waiting.pop()
        if type_.name not in found:
            found.add(type_.name)
            waiting += [each for field in type_.fields.values() for each in concrete(get_named_type(field.type))]
    return found


def waiting_scalars(of: GraphQLSchema) -> set[str]:
    """Return the scalars that are waited for, one resolver for each object."""
    return {
        name
        for _, name, definition, field in fields(of)
        if field.is_async and is_leaf_type(get_named_type(definition.type)) and batch_of(field.metadata) is None
    }


def waited_for_each(of: GraphQLSchema) -> set[str]:
    """Return the fields that are waited for once for each object of a list."""
    many = in_lists(of)
    return {
        name
        for type_, name, _, field in fields(of)
        if type_.name in many and field.is_async and batch_of(field.metadata) is None
    }


def guarded_for_each(of: GraphQLSchema) -> set[str]:
    """Return the fields that ask once for each object who may see it, or run something else around each."""
    return {name for _, name, _, field in fields(of) if field.permission_classes or field.extensions}


def test_no_scalar_is_waited_for_without_a_reason() -> None:
    assert waiting_scalars(schema._schema) == set(WAITING_SCALARS)


def test_of_what_stands_in_lists_everything_is_in_memory_or_read_at_once() -> None:
    many = in_lists(schema._schema)

    # Did this look at too little, it would find nothing.
    assert {"CriticalAlert", "LogEvent", "Delivery", "Responder", "EscalationLevel", "WebhookConfig"} <= many
    assert not {"Query", "AlertMetrics", "EngineHealth"} & many
    assert waited_for_each(schema._schema) == set()


def test_who_may_see_something_is_never_asked_for_each_object() -> None:
    assert guarded_for_each(schema._schema) == set()


async def numbers(info: object, keys: list[int]) -> Mapping[int, int]:
    return {key: key for key in keys}


class Guard(strawberry.BasePermission):
    message = "no"

    def has_permission(self, source: object, info: object, **kwargs: object) -> bool:
        return False


@strawberry.type
class Part:
    kept: strawberry.Private[int]

    @strawberry.field
    async def waits(self) -> int:
        return self.kept

    @strawberry.field
    async def whole(self) -> Whole | None:
        return None

    @strawberry.field(permission_classes=[Guard])
    def guarded(self) -> int:
        return self.kept

    @strawberry.field(metadata={"batch": Batch(key=lambda part: part.kept, load=numbers)})
    async def together(self) -> int:
        return self.kept

    @strawberry.field
    def ready(self) -> int:
        return self.kept


@strawberry.type
class Between:
    part: Part


@strawberry.type
class Whole:
    between: list[Between]

    @strawberry.field
    async def alone(self) -> int:
        return 1


@strawberry.type
class Beside:
    @strawberry.field
    async def one(self) -> int:
        return 1


@strawberry.type
class Query:
    between: list[Between]
    beside: Beside


def test_what_these_tests_forbid_they_find() -> None:
    bad = strawberry.Schema(Query)._schema

    assert waiting_scalars(bad) == {"Part.waits", "Whole.alone", "Beside.one"}
    # Whole is below a part of a list, and so there may be many.
    assert waited_for_each(bad) == {"Part.waits", "Part.whole", "Whole.alone"}
    assert guarded_for_each(bad) == {"Part.guarded"}


@pytest.mark.parametrize(
    "name", [name for _, name, _, field in fields(schema._schema) if batch_of(field.metadata) is not None]
)
def test_a_relation_has_a_resolver_that_waits_and_takes_the_same_arguments(name: str) -> None:
    [field] = [field for _, each, _, field in fields(schema._schema) if each == name]
    batch = batch_of(field.metadata)
    assert batch is not None
    assert field.is_async
    # relation() stands around the read that is given to it.
    load = inspect.getclosurevars(batch.load).nonlocals["load"]
    # What a name alone tells is given beforehand, by keyword.
    by_name = [
        it.name for it in inspect.signature(load).parameters.values() if it.kind is it.POSITIONAL_OR_KEYWORD
    ]
    _info, _keys, *arguments = by_name
    assert arguments == [argument.python_name for argument in field.arguments]
