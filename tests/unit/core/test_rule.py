"""Escalation rules: which one an alert gets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from alertgraph.core.ids import ResponderId, RuleId
from alertgraph.core.rule import EscalationRule, Level, ResponderTarget, match_rule
from alertgraph.core.severity import Severity
from tests.factories import a_matcher

LEVELS = (Level(timedelta(minutes=5), (ResponderTarget(ResponderId(UUID(int=9))),)),)
VALUES = {"team": "db", "@severity": "HIGH"}


def a_rule(number: int = 1, **fields: Any) -> EscalationRule:
    return EscalationRule(
        RuleId(UUID(int=number)), f"rule {number}", fields.pop("position", number), LEVELS, **fields
    )


def test_the_first_that_matches_is_used_whatever_the_order_given() -> None:
    rules = [
        a_rule(1, position=30),
        a_rule(2, position=20, matchers=(a_matcher("team", "db"),)),
        a_rule(3, position=10, matchers=(a_matcher("team", "web"),)),
    ]

    assert match_rule(rules, VALUES, Severity.HIGH) == rules[1]
    assert match_rule(rules, {"team": "other"}, Severity.HIGH) == rules[0]
    assert match_rule(rules[1:], {"team": "other"}, Severity.HIGH) is None


@pytest.mark.parametrize(
    ("fields", "matches"),
    [
        ({}, True),
        ({"enabled": False}, False),
        ({"severities": (Severity.HIGH, Severity.LOW)}, True),
        ({"severities": (Severity.LOW,)}, False),
        ({"matchers": (a_matcher("team", "db"), a_matcher("@severity", "HIGH"))}, True),
        ({"matchers": (a_matcher("team", "db"), a_matcher("@severity", "LOW"))}, False),
        ({"incident_probability_min": 0.5}, False),
    ],
)
def test_a_rule_is_for_alerts_that_satisfy_all_it_says(fields: dict[str, Any], matches: bool) -> None:
    assert a_rule(**fields).matches(VALUES, Severity.HIGH) is matches


@pytest.mark.parametrize(("probability", "matches"), [(None, False), (0.49, False), (0.5, True), (1.0, True)])
def test_a_chance_is_needed_where_one_is_asked_for(probability: float | None, matches: bool) -> None:
    assert a_rule(incident_probability_min=0.5).matches(VALUES, Severity.HIGH, probability) is matches


def test_an_alert_takes_the_ladder_along() -> None:
    ladder = a_rule(repeat_count=2, escalate_on_sla=True).ladder

    assert (ladder.rule_id, ladder.levels, ladder.repeat_count, ladder.escalate_on_sla) == (
        RuleId(UUID(int=1)),
        LEVELS,
        2,
        True,
    )
