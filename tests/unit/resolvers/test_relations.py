"""Scalars lie in their objects, and relations of lists are read at once: what waits for each object costs most."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from graphql import GraphQLObjectType, get_named_type, is_leaf_type

from alertgraph.execution.batch import batch_of
from resolvers.schema import schema

ONE_OBJECT = "there is one of it in an answer, and its figures share one read"
SECRET = "it is opened with the tenant's key, for who may see it, where it is asked for"
COUNTED = "it is counted where it is asked for, which is dear, and has its price"

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
    "LogEvent.note": SECRET,
    "Responder.email": SECRET,
    "Responder.calendarUrl": SECRET,
    "OnCallSchedule.calendarUrl": SECRET,
    "Silence.matchedCount": COUNTED,
    "HeartbeatMonitor.lastBeatAt": "it changes with each beat, and is kept apart from the monitor",
}  # fmt: skip

RELATIONS_OF_LISTS = {
    "Actor.responder",
    "CriticalAlert.assignee",
    "CriticalAlert.escalationRule",
    "CriticalAlert.inhibitedBy",
    "CriticalAlert.deliveries",
    "CriticalAlert.events",
    "Delivery.alert",
    "Delivery.attempts",
    "Delivery.channel",
    "Delivery.responder",
    "LogEvent.alert",
    "LogEvent.delivery",
}


def fields() -> Iterator[tuple[str, Any, Any]]:
    """Yield each field that is written by Strawberry: its name, and both of its definitions."""
    for type_ in schema._schema.type_map.values():
        if isinstance(type_, GraphQLObjectType) and type_ is not schema._schema.subscription_type:
            for name, definition in type_.fields.items():
                field = definition.extensions.get("strawberry-definition")
                if field is not None:
                    yield f"{type_.name}.{name}", definition, field


def test_no_scalar_is_waited_for_without_a_reason() -> None:
    waiting = {
        name
        for name, definition, field in fields()
        if field.is_async and is_leaf_type(get_named_type(definition.type))
    }

    assert waiting == set(WAITING_SCALARS)


def test_relations_of_what_stands_in_lists_are_read_at_once() -> None:
    assert {name for name, _, field in fields() if batch_of(field.metadata)} == RELATIONS_OF_LISTS


def test_a_relation_has_a_resolver_that_waits_and_takes_the_same_arguments() -> None:
    for name, _, field in fields():
        batch = batch_of(field.metadata)
        if batch is None:
            continue
        assert field.is_async, name
        # relation() stands around the read that is given to it.
        load = inspect.getclosurevars(batch.load).nonlocals["load"]
        _info, _keys, *arguments = inspect.signature(load).parameters
        assert arguments == [argument.python_name for argument in field.arguments], name
