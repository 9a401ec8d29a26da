"""Filters: what they come to, and what they refuse."""

from typing import Any

import pytest

from alertgraph.core.errors import InputError
from alertgraph.core.event import EventKind
from alertgraph.core.ids import NodeKind, encode_id
from alertgraph.core.labels import Matcher, MatchOperator
from alertgraph.core.query import AlertFilter as CoreAlertFilter
from alertgraph.core.query import AlertOrder as CoreAlertOrder
from alertgraph.core.query import AlertOrderField
from alertgraph.core.query import EventFilter as CoreEventFilter
from alertgraph.core.severity import Severity
from resolvers.alert import AlertFilter, AlertOrder
from resolvers.event import EventFilter
from resolvers.matcher import LabelMatcherInput, matchers_of, texts_of
from resolvers.metrics import MetricsFilter
from resolvers.saved_view import as_json
from resolvers.words import OrderDirection
from tests.factories import T0, an_id


def filled(type_: Any, **fields: Any) -> Any:
    """Return an input with the rest of its fields left out, as Strawberry makes it."""
    names = [field.python_name for field in type_.__strawberry_definition__.fields]
    return type_(**{name: fields.get(name) for name in names})


def refused_at(attempt: Any) -> tuple[str, ...]:
    with pytest.raises(InputError) as refused:
        attempt()
    return refused.value.problems[0].path


def equal(label: str, value: str = "x") -> LabelMatcherInput:
    return LabelMatcherInput(label=label, operator=MatchOperator.EQUAL, value=value)


def test_an_empty_filter_is_the_core_s() -> None:
    assert filled(AlertFilter).to_core("filter") == CoreAlertFilter()
    assert filled(EventFilter).to_core("filter") == CoreEventFilter()


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"status": [None] * 101}, ("filter", "status")),
        ({"source": ["x"] * 101}, ("filter", "source")),
        ({"monitored_service": ["ok", "a\x00"]}, ("filter", "monitoredService", "1")),
        ({"dedup_key": ["x" * 1025]}, ("filter", "dedupKey", "0")),
        ({"search": "!"}, ("filter", "search")),
        ({"search": "x" * 2000}, ("filter", "search")),
        ({"matchers": [equal("@nothing")]}, ("filter", "matchers", "0", "label")),
        ({"matchers": [equal("ok")] * 21}, ("filter", "matchers")),
    ],
)
def test_a_filter_that_can_not_be_used_is_named(fields: dict[str, Any], path: tuple[str, ...]) -> None:
    wanted = filled(AlertFilter, **fields)

    assert refused_at(lambda: wanted.to_core("filter")) == path


def test_a_pattern_that_is_no_re2_is_named() -> None:
    wrong = LabelMatcherInput(label="host", operator=MatchOperator.REGEX, value="(?<=a)b")

    assert refused_at(lambda: matchers_of([equal("ok"), wrong], "matchers")) == ("matchers", "1", "value")


def test_matchers_keep_their_order() -> None:
    assert matchers_of([equal("a"), equal("@title", "b")], "matchers") == (
        Matcher("a", MatchOperator.EQUAL, "x"),
        Matcher("@title", MatchOperator.EQUAL, "b"),
    )
    assert matchers_of(None) == ()


def test_texts_that_are_not_asked_for_stay_none() -> None:
    assert texts_of(None) is None
    assert texts_of([]) == ()


def test_an_event_filter_drops_ids_that_name_nothing() -> None:
    wanted = filled(EventFilter, alert_ids=[encode_id(NodeKind.ALERT, an_id()), "nonsense"])
    nobody = filled(EventFilter, alert_ids=["nonsense"])

    assert wanted.to_core().alert_ids == {an_id()}
    assert nobody.to_core().alert_ids == frozenset()


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"alert_ids": ["x"] * 101}, ("filter", "alertIds")),
        ({"kinds": [EventKind.NOTED] * 101}, ("filter", "kinds")),
        ({"subject_id": "a\x00"}, ("filter", "subjectId")),
        ({"subject_type": ["a" * 2000]}, ("filter", "subjectType", "0")),
    ],
)
def test_an_event_filter_that_can_not_be_used_is_named(fields: dict[str, Any], path: tuple[str, ...]) -> None:
    wanted = filled(EventFilter, **fields)

    assert refused_at(lambda: wanted.to_core("filter")) == path


def test_an_order_says_which_way() -> None:
    up = AlertOrder(field=AlertOrderField.SEVERITY, direction=OrderDirection.ASC)

    assert up.to_core() == CoreAlertOrder(AlertOrderField.SEVERITY, descending=False)
    assert AlertOrder().to_core() == CoreAlertOrder()


def test_figures_of_nothing_are_refused_rather_than_of_everything() -> None:
    assert filled(MetricsFilter).to_core("filter") == (frozenset(), frozenset())
    for name in ("severity", "monitored_service"):
        wanted = filled(MetricsFilter, **{name: []})
        with pytest.raises(InputError, match="matches nothing"):
            wanted.to_core("filter")


def test_a_saved_filter_is_the_variable_it_was_sent_as() -> None:
    wanted = filled(
        AlertFilter,
        severity=[Severity.CRITICAL],
        matchers=[equal("host", "a")],
        triggered_after=T0,
        escalation_level_min=0,
        sla_breached=False,
        source=[],
    )

    assert as_json(wanted) == {
        "severity": ["CRITICAL"],
        "matchers": [{"label": "host", "operator": "EQUAL", "value": "a"}],
        "triggeredAfter": "2026-11-23T12:00:00Z",
        "escalationLevelMin": 0,
        "slaBreached": False,
        "source": [],
    }
    assert as_json(AlertOrder()) == {"field": "TRIGGERED_AT", "direction": "DESC"}
