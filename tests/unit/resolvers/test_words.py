"""The enums of the API are the core's own."""

from enum import EnumMeta

import pytest
from graphql import GraphQLEnumType

from alertgraph.core.event import EventKind
from resolvers import words
from resolvers.schema import schema

# INCIDENT_PROBABILITY and others of later parts are values the core does not have either.
ENUMS = [getattr(words, name) for name in words.__all__]


@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: enum.__name__)
def test_every_value_goes_out_and_comes_in_by_its_name(enum: EnumMeta) -> None:
    published = schema._schema.type_map[enum.__name__]
    assert isinstance(published, GraphQLEnumType)

    assert {member.name for member in enum} == set(published.values)
    for member in enum:
        assert published.coerce_output_value(member) == member.name
        assert published.coerce_input_value(member.name) is member


def test_a_number_is_no_name_of_a_value() -> None:
    published = schema._schema.type_map["EventKind"]
    assert isinstance(published, GraphQLEnumType)

    with pytest.raises(Exception, match="cannot represent"):
        published.coerce_input_value(EventKind.TRIGGERED.value)


def test_severities_come_worst_first() -> None:
    published = schema._schema.type_map["Severity"]
    assert isinstance(published, GraphQLEnumType)

    assert list(published.values) == ["CRITICAL", "HIGH", "MEDIUM", "LOW", "INFO"]
