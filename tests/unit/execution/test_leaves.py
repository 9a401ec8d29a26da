"""What a plan's expressions write is what the scalars' own serialisers write."""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import orjson
import pytest
import strawberry
from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLString,
)
from hypothesis import given
from hypothesis import strategies as st

from alertgraph.execution.leaves import ORJSON_OPTIONS, Leaf, Names, OddValueError
from resolvers.schema import schema as real

NATIVE = pytest.mark.parametrize("native", [False, True], ids=["data", "json"])


def written(type_: GraphQLLeafType, *, native: bool, nullable: bool = False) -> Callable[[Any], Any]:
    """Return the function that an expression makes."""
    names = Names()
    expression = Leaf(type_, native=native).expression("given", names, nullable=nullable)
    return eval(f"lambda given: {expression}", names.globals)  # type: ignore[no-any-return]


def as_planned(type_: GraphQLLeafType, value: object, *, native: bool) -> object:
    """Return what a plan writes, one way or the other."""
    try:
        return written(type_, native=native)(value)
    except OddValueError:
        return Leaf(type_, native=native).exact(value)


def real_type(name: str) -> Any:
    return real._schema.type_map[name]


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=2)), timezone(timedelta(0))])))
def test_instants_become_the_same_text(at: datetime) -> None:
    type_ = real_type("DateTime")

    native = as_planned(type_, at, native=True)

    assert orjson.loads(orjson.dumps(native, option=ORJSON_OPTIONS)) == type_.coerce_output_value(at)
    assert written(type_, native=False)(at) == type_.coerce_output_value(at)


def test_an_instant_in_utc_is_left_to_orjson() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)

    assert written(real_type("DateTime"), native=True)(at) is at


@NATIVE
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Long", 2**53),
        ("Cursor", "c"),
        ("JSON", {"a": [1, None]}),
        ("JSON", "text"),
        ("JSON", 1.5),
        ("Duration", timedelta(minutes=5)),
        ("LocalTime", 510),
        ("Severity", next(iter(real_type("Severity").wrapped_cls))),
        ("EventKind", next(iter(real_type("EventKind").wrapped_cls))),
        ("ID", "id"),
    ],
)
def test_every_scalar_of_the_api_is_written_by_its_own_rules(name: str, value: object, native: bool) -> None:
    type_ = real_type(name)

    assert written(type_, native=native)(value) == type_.coerce_output_value(value)


@NATIVE
@pytest.mark.parametrize(
    ("type_", "odd"),
    [
        (GraphQLString, 1),
        (GraphQLString, None),
        (GraphQLID, 7),
        (GraphQLBoolean, 1),
        (GraphQLInt, True),
        (GraphQLInt, 2**31),
        (GraphQLInt, -(2**31) - 1),
        (GraphQLInt, 1.0),
        (GraphQLFloat, float("nan")),
        (GraphQLFloat, float("inf")),
        (GraphQLFloat, -float("inf")),
        (GraphQLFloat, 1),
        (GraphQLString, ValueError("a value")),
        (real_type("Cursor"), ValueError("a value")),
        (real_type("Long"), "5"),
        (real_type("Severity"), 1),
        (real_type("DateTime"), "2026-01-01T00:00:00Z"),
    ],
    ids=repr,
)
def test_what_is_not_of_the_class_is_left_to_the_exact_way(
    type_: GraphQLLeafType, odd: object, native: bool
) -> None:
    try:
        result = written(type_, native=native)(odd)
    except (OddValueError, AttributeError, AssertionError):
        return
    # Only a serialiser that takes the value is let through.
    assert result == type_.coerce_output_value(odd)
    assert not isinstance(odd, Exception)


@NATIVE
def test_null_is_written_only_where_it_may_be(native: bool) -> None:
    for type_ in (GraphQLString, GraphQLInt, real_type("DateTime"), real_type("Severity"), real_type("Duration")):
        assert written(type_, native=native, nullable=True)(None) is None
        with pytest.raises(OddValueError):
            written(type_, native=native)(None)


def test_boundaries_of_whole_numbers_are_let_through() -> None:
    assert [written(GraphQLInt, native=True)(edge) for edge in (2**31 - 1, -(2**31))] == [2**31 - 1, -(2**31)]


class Access(enum.Flag):
    READ = 1
    WRITE = 2


def test_combined_flags_have_no_name_of_their_own() -> None:
    strawberry.enum(Access)

    @strawberry.type
    class Query:
        access: Access

    type_ = strawberry.Schema(Query)._schema.type_map["Access"]
    assert isinstance(type_, GraphQLEnumType)

    assert as_planned(type_, Access.READ, native=True) == "READ"
    with pytest.raises(ValueError, match="Invalid value"):
        as_planned(type_, Access.READ | Access.WRITE, native=True)


def test_ids_of_the_library_are_written_as_text() -> None:
    @strawberry.type
    class Query:
        id: UUID
        day: date

    types = strawberry.Schema(Query)._schema.type_map
    key = UUID(int=7)

    assert orjson.dumps(written(types["UUID"], native=True)(key)) == orjson.dumps(str(key))  # type: ignore[arg-type]
    assert as_planned(types["UUID"], key, native=False) == str(key)  # type: ignore[arg-type]
    assert written(types["Date"], native=True)(date(2026, 1, 2)) == "2026-01-02"  # type: ignore[arg-type]
