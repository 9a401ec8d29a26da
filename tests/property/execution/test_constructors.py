"""Inputs made by compiled code are those that Strawberry makes, of every type and of any value."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import pytest
import strawberry
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    coerce_input_value,
    is_list_type,
    is_non_null_type,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from strawberry.exceptions import StrawberryInputCoercionError
from strawberry.relay import GlobalID
from strawberry.scalars import JSON
from strawberry.types.arguments import convert_argument
from strawberry.types.base import StrawberryObjectDefinition

import resolvers.schema
from alertgraph.execution.constructors import compile_inputs
from alertgraph.execution.inputs import is_one_of
from tests.thoroughness import examples


@strawberry.enum
class Colour(enum.Enum):
    RED = "red"
    BLUE = strawberry.enum_value("blue", name="AZURE")  # type: ignore[assignment]


@strawberry.input
class Leaf:
    """The plain things."""

    number: int
    some_text: str | None = None
    renamed: float | None = strawberry.field(name="other", default=1.5)
    colour: Colour = Colour.RED
    at: dt.datetime | None = None
    anything: JSON | None = None
    node: GlobalID | None = None


@strawberry.input
class Tree:
    """The nested ones, with everything that a field can be."""

    leaf: Leaf
    may_be_null: Leaf | None
    leaves: list[Leaf]
    holes: list[Leaf | None] | None = None
    numbers: list[int] = strawberry.field(default_factory=lambda: [1, 2])
    table: list[list[int | None]] | None = None
    leafy_table: list[list[Leaf] | None] | None = None
    nodes: list[GlobalID] | None = None
    trees: list[Annotated[Tree, strawberry.lazy("tests.property.execution.test_constructors")]] | None = None
    maybe_text: strawberry.Maybe[str]
    maybe_null: strawberry.Maybe[str | None]
    maybe_leaf: strawberry.Maybe[Leaf | None]
    maybe_leaves: strawberry.Maybe[list[Leaf]]
    colours: list[Colour] | None = strawberry.UNSET


@strawberry.type
class Query:
    @strawberry.field
    def same(self, tree: Tree) -> bool:
        return bool(tree)


@strawberry.input
class Own:
    number: int


@strawberry.type
class OwnQuery:
    @strawberry.field
    def same(self, own: Own) -> int:
        return own.number


TRAPS = strawberry.Schema(query=Query)
COMPILED_COUNT = compile_inputs(TRAPS)
PRODUCT = resolvers.schema.schema
INPUTS = [
    pytest.param(schema, name, id=name)
    for schema in (TRAPS, PRODUCT)
    for name, type_ in schema._schema.type_map.items()
    if isinstance(type_, GraphQLInputObjectType)
]
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "Int": st.integers(-(2**31), 2**31 - 1),
    "Float": st.floats(allow_nan=False, allow_infinity=False),
    "Boolean": st.booleans(),
    "JSON": st.none() | st.integers() | st.dictionaries(st.text(max_size=2), st.integers()),
    "DateTime": st.just("2026-11-23T12:00:00Z"),
    "Duration": st.sampled_from(["PT0S", "PT5M", "P1D"]),
    "LocalTime": st.just("08:30"),
    "Long": st.integers(0, 2**53 - 1),
    # One that is its type's name and key, in base 64, and one that is nothing.
    "ID": st.sampled_from(["TGVhZjox", "x"]),
}


def values(type_: GraphQLInputType, depth: int = 0) -> st.SearchStrategy[Any]:
    """Return JSON values that the type takes."""
    if is_non_null_type(type_):
        return non_null_values(type_.of_type, depth)
    return st.none() | non_null_values(type_, depth)


def non_null_values(type_: GraphQLInputType, depth: int) -> st.SearchStrategy[Any]:
    if is_list_type(type_):
        return st.lists(values(type_.of_type, depth + 1), max_size=3 if depth < 2 else 0)
    if isinstance(type_, GraphQLEnumType):
        return st.sampled_from(list(type_.values))
    if isinstance(type_, GraphQLInputObjectType):
        if is_one_of(type_):
            return st.one_of(
                st.fixed_dictionaries({name: non_null_values(field.type, depth + 1)})
                for name, field in type_.fields.items()
            )
        required, optional = {}, {}
        for name, field in type_.fields.items():
            if is_non_null_type(field.type):
                required[name] = values(field.type, depth + 1)
            elif depth < 3:
                optional[name] = st.deferred(lambda field=field: values(field.type, depth + 1))  # type: ignore[misc]
        return st.fixed_dictionaries(required, optional=optional)
    return SCALARS.get(type_.name, st.text("ab:-1", max_size=4))  # type: ignore[union-attr]


def definitions(schema: strawberry.Schema) -> Iterator[StrawberryObjectDefinition]:
    for type_ in schema.schema_converter.type_map.values():
        if isinstance(type_.definition, StrawberryObjectDefinition) and type_.definition.is_input:
            yield type_.definition


@contextmanager
def not_compiled(schema: strawberry.Schema) -> Iterator[None]:
    """Have Strawberry do it."""
    kept = [(definition, definition.from_input) for definition in definitions(schema)]
    for definition, _ in kept:
        definition.from_input = None
    try:
        yield
    finally:
        for definition, constructor in kept:
            definition.from_input = constructor


def made(schema: strawberry.Schema, name: str, coerced: Mapping[str, Any]) -> object:
    """Return the object, or what there is to say of the value."""
    definition = next(one for one in definitions(schema) if schema.config.name_converter.from_type(one) == name)
    registry = schema.schema_converter.scalar_registry
    try:
        return convert_argument(coerced, definition.origin, registry, schema.config)
    except StrawberryInputCoercionError:
        return StrawberryInputCoercionError
    except ValueError as error:
        # Of a GlobalID.
        return type(error), str(error)


@pytest.mark.parametrize(("schema", "name"), INPUTS)
@given(data=st.data())
@settings(max_examples=examples(25))
def test_makes_what_strawberry_makes(schema: strawberry.Schema, name: str, data: st.DataObject) -> None:
    type_ = schema._schema.type_map[name]
    assert isinstance(type_, GraphQLInputObjectType)
    value = data.draw(non_null_values(type_, 0))
    coerced = coerce_input_value(value, type_)
    assert isinstance(coerced, dict)

    with not_compiled(schema):
        expected = made(schema, name, coerced)

    assert made(schema, name, coerced) == expected


def test_every_input_of_the_product_is_compiled() -> None:
    assert all(definition.from_input is not None for definition in definitions(PRODUCT))
    assert len(list(definitions(PRODUCT))) > 40
    assert COMPILED_COUNT == len(list(definitions(TRAPS))) == 2


def test_a_list_that_is_a_default_is_not_shared() -> None:
    registry = TRAPS.schema_converter.scalar_registry
    coerced = {"leaf": {"number": 1}, "mayBeNull": None, "leaves": [], "numbers": [1]}

    first = convert_argument(coerced, Tree, registry, TRAPS.config)
    assert isinstance(first, Tree)
    first.numbers.append(5)

    assert coerced["numbers"] == [1]
    second = convert_argument({**coerced, "numbers": [1]}, Tree, registry, TRAPS.config)
    assert isinstance(second, Tree)
    assert second.numbers == [1]


def test_a_type_that_makes_its_own_objects_goes_on_doing_so() -> None:
    Own.__strawberry_definition__.from_input = lambda type_, value, _: type_(number=value["number"] + 1)  # type: ignore[attr-defined]
    schema = strawberry.Schema(query=OwnQuery)

    assert compile_inputs(schema) == 0
    assert schema.execute_sync("{ same(own: {number: 1}) }").data == {"same": 2}
