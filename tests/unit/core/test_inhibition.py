"""Inhibition rules: which are refused, and what two alerts must share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from alertgraph.core.errors import RefusedError
from alertgraph.core.ids import InhibitionRuleId
from alertgraph.core.inhibition import InhibitionRule, check_inhibition_rule, source_keys, target_keys
from alertgraph.core.labels import MatchOperator
from tests.factories import a_matcher

RULE = InhibitionRule(
    InhibitionRuleId(UUID(int=1)),
    "cluster down",
    (a_matcher("severity", "critical"),),
    (a_matcher("severity", "critical|warning", MatchOperator.REGEX),),
    ("cluster", "@service"),
)
CRITICAL = {"severity": "critical", "cluster": "a", "@service": "db"}
WARNING = {**CRITICAL, "severity": "warning"}


def covers(source: dict[str, str], target: dict[str, str], rule: InhibitionRule = RULE) -> bool:
    return bool(source_keys([rule], source) & target_keys([rule], target))


def test_a_bigger_alert_covers_a_smaller_one() -> None:
    assert covers(CRITICAL, WARNING)
    assert not covers(WARNING, CRITICAL)


def test_what_matches_both_sides_covers_only_what_matches_one() -> None:
    assert not covers(CRITICAL, {**CRITICAL, "host": "b"})


def test_equal_labels_must_be_equal_and_absent_ones_are_empty() -> None:
    assert not covers(CRITICAL, {**WARNING, "cluster": "b"})
    assert not covers(CRITICAL, {**WARNING, "@service": "web"})
    assert covers({"severity": "critical"}, {"severity": "warning", "cluster": ""})


def test_values_are_not_strung_together() -> None:
    rule = replace(RULE, equal_labels=("a", "b"))

    assert not covers(
        {"severity": "critical", "a": "x", "b": "yz"}, {"severity": "warning", "a": "xy", "b": "z"}, rule
    )


def test_a_rule_that_is_off_covers_nothing() -> None:
    assert not covers(CRITICAL, WARNING, replace(RULE, enabled=False))


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"source_matchers": ()}, ("sourceMatchers",)),
        ({"target_matchers": ()}, ("targetMatchers",)),
        ({"target_matchers": (a_matcher("a", "b"),) * 21}, ("targetMatchers",)),
        (
            {"source_matchers": (a_matcher("a", "b"), a_matcher("a", "(", MatchOperator.REGEX))},
            ("sourceMatchers", "1", "value"),
        ),
        ({"equal_labels": ("a", "a")}, ("equalLabels",)),
        ({"equal_labels": tuple(f"l{index}" for index in range(21))}, ("equalLabels",)),
        ({"equal_labels": ("a", "")}, ("equalLabels", "1", "label")),
        ({"equal_labels": ("@host",)}, ("equalLabels", "0")),
        ({"equal_labels": ("a\x00",)}, ("equalLabels", "0", "label")),
    ],
)
def test_what_cannot_be_used_is_refused(changes: dict[str, Any], path: tuple[str, ...]) -> None:
    with pytest.raises(RefusedError) as refused:
        check_inhibition_rule(replace(RULE, **changes))

    assert refused.value.problems[0].path == path


def test_a_good_rule_passes() -> None:
    assert check_inhibition_rule(RULE) is RULE
