"""The published schema keeps the contract, but for what later parts of the product bring."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import (
    BreakingChangeType,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    build_client_schema,
    build_schema,
    introspection_from_schema,
    is_introspection_type,
    is_specified_scalar_type,
)
from graphql.utilities import find_breaking_changes, find_dangerous_changes

from resolvers.schema import print_sdl, schema

HERE = Path(__file__).parent
REMOVALS = {
    BreakingChangeType.TYPE_REMOVED,
    BreakingChangeType.FIELD_REMOVED,
    BreakingChangeType.VALUE_REMOVED_FROM_ENUM,
}


def elements(graphql: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    """Yield every element of a schema by its coordinate, with its description."""
    for type_ in graphql.type_map.values():
        if is_introspection_type(type_) or is_specified_scalar_type(type_):
            continue
        yield type_.name, type_.description
        if isinstance(type_, GraphQLEnumType):
            for name, value in type_.values.items():
                yield f"{type_.name}.{name}", value.description
        if isinstance(type_, GraphQLInputObjectType):
            for name, input_field in type_.fields.items():
                yield f"{type_.name}.{name}", input_field.description
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            for name, field in type_.fields.items():
                yield f"{type_.name}.{name}", field.description
                for argument_name, argument in field.args.items():
                    yield f"{type_.name}.{name}({argument_name}:)", argument.description


@pytest.fixture(scope="module")
def contract() -> GraphQLSchema:
    return build_schema((HERE.parent / "contract.graphql").read_text())


@pytest.fixture(scope="module")
def published() -> GraphQLSchema:
    return build_schema(print_sdl())


def test_the_published_schema_is_the_one_in_the_repository() -> None:
    assert print_sdl() == (HERE.parent.parent / "schema.graphql").read_text(), "run `make schema`"


def test_introspection_tells_what_is_published(published: GraphQLSchema) -> None:
    read = build_client_schema(introspection_from_schema(schema._schema, input_value_deprecation=True))

    assert find_breaking_changes(published, read) == []
    assert find_breaking_changes(read, published) == []
    assert find_dangerous_changes(published, read) == []
    assert dict(elements(read)) == dict(elements(published))
    assert read.description == published.description


def test_nothing_of_the_contract_is_broken(contract: GraphQLSchema, published: GraphQLSchema) -> None:
    broken = [
        change.description for change in find_breaking_changes(contract, published) if change.type not in REMOVALS
    ]

    assert broken == []


def test_no_default_means_anything_else(contract: GraphQLSchema, published: GraphQLSchema) -> None:
    changes = [change.description for change in find_dangerous_changes(contract, published)]

    assert changes == [
        "An optional field WebhookConfigInput.preset was added.",
        # The same length of time, as the scalar writes it.
        'RotateApiKeyInput.overlap has changed defaultValue from "PT24H" to "P1D".',
    ]


def test_only_later_parts_are_missing(contract: GraphQLSchema, published: GraphQLSchema) -> None:
    expected = (HERE / "later_parts.txt").read_text().split()
    here = {coordinate for coordinate, _ in elements(published)}
    missing = {
        coordinate
        for coordinate, _ in elements(contract)
        # Of a thing that is missing altogether, the thing itself is enough.
        if coordinate not in here and all(parent in here for parent in parents(coordinate))
    }

    assert missing == set(expected)
    assert expected == sorted(set(expected))


def parents(coordinate: str) -> list[str]:
    """Return what an element stands in: its type, and its field where it is an argument."""
    field = coordinate.partition("(")[0]
    return [parent for parent in (field.partition(".")[0], field) if parent != coordinate]


def test_everything_says_what_it_is(published: GraphQLSchema) -> None:
    silent = [coordinate for coordinate, description in elements(published) if not (description or "").strip()]

    assert silent == []
    assert published.description


def test_descriptions_are_those_of_the_contract(contract: GraphQLSchema, published: GraphQLSchema) -> None:
    promised = dict(elements(contract))
    other = {
        coordinate: description
        for coordinate, description in elements(published)
        if coordinate in promised and promised[coordinate] != description
    }

    assert other == {}


def test_scalars_name_the_same_specifications(contract: GraphQLSchema, published: GraphQLSchema) -> None:
    def specified(graphql: GraphQLSchema) -> dict[str, str | None]:
        return {
            name: type_.specified_by_url
            for name, type_ in graphql.type_map.items()
            if isinstance(type_, GraphQLScalarType) and name != "LocalTime"
        }

    assert specified(published) == specified(contract)


def test_an_alert_is_selected_in_exactly_one_way(published: GraphQLSchema) -> None:
    selector = published.type_map["AlertSelector"]

    assert isinstance(selector, GraphQLInputObjectType)
    assert selector.is_one_of
