"""Matchers: RE2, the whole value, and what is absent."""

from __future__ import annotations

import pytest

from alertgraph.core.errors import InputError
from alertgraph.core.labels import Matcher, MatchOperator, check_matcher, matches_all
from tests.factories import a_matcher

VALUES = {"job": "api", "zone": "eu-1\nb", "@severity": "HIGH", "ä": "ö"}


@pytest.mark.parametrize(
    ("label", "operator", "value"),
    [
        ("job", MatchOperator.EQUAL, "api"),
        ("job", MatchOperator.NOT_EQUAL, "ap"),
        ("job", MatchOperator.REGEX, "a.i"),
        ("job", MatchOperator.REGEX, "a|ap|api"),
        ("job", MatchOperator.REGEX, "(?i)API"),
        ("job", MatchOperator.NOT_REGEX, "ap"),
        ("job", MatchOperator.NOT_REGEX, "pi"),
        ("zone", MatchOperator.NOT_REGEX, "eu-1"),
        ("zone", MatchOperator.NOT_REGEX, "eu.*"),
        ("zone", MatchOperator.REGEX, "(?s)eu.*"),
        ("ä", MatchOperator.REGEX, "[ö]"),
        ("@severity", MatchOperator.REGEX, "HIGH|CRITICAL"),
        ("absent", MatchOperator.EQUAL, ""),
        ("absent", MatchOperator.NOT_EQUAL, "x"),
        ("absent", MatchOperator.REGEX, ""),
        ("absent", MatchOperator.REGEX, ".*"),
        ("absent", MatchOperator.NOT_REGEX, ".+"),
    ],
)
def test_a_matcher_holds(label: str, operator: MatchOperator, value: str) -> None:
    matcher = check_matcher(a_matcher(label, value, operator))

    assert matcher.matches(VALUES)


@pytest.mark.parametrize(
    "operator", [(MatchOperator.EQUAL, MatchOperator.NOT_EQUAL), (MatchOperator.REGEX, MatchOperator.NOT_REGEX)]
)
@pytest.mark.parametrize("value", ["api", "ap", "a.i", "", ".*", "x|api"])
@pytest.mark.parametrize("label", ["job", "absent"])
def test_a_negated_matcher_says_the_opposite(
    label: str, value: str, operator: tuple[MatchOperator, MatchOperator]
) -> None:
    plain, negated = (Matcher(label, one, value).matches(VALUES) for one in operator)

    assert plain is not negated


def test_all_must_hold_and_none_holds_always() -> None:
    assert matches_all((), VALUES)
    assert matches_all((a_matcher("job", "api"), a_matcher("absent", "")), VALUES)
    assert not matches_all((a_matcher("job", "api"), a_matcher("absent", "x")), VALUES)


@pytest.mark.parametrize(
    ("matcher", "path"),
    [
        (a_matcher("", "a"), "label"),
        (a_matcher("l" * 257, "a"), "label"),
        (a_matcher("@team", "a"), "label"),
        (a_matcher("a\x00", "a"), "label"),
        (a_matcher("a\ud800", "a"), "label"),
        (a_matcher("a", "\x00"), "value"),
        (a_matcher("a", "\udfff"), "value"),
        (a_matcher("a", "\udfff", MatchOperator.REGEX), "value"),
        (a_matcher("a", "v" * 1025), "value"),
        (a_matcher("a", "(", MatchOperator.REGEX), "value"),
        (a_matcher("a", "(?=b)", MatchOperator.REGEX), "value"),
        (a_matcher("a", r"(a)\1", MatchOperator.NOT_REGEX), "value"),
        (a_matcher("a", "(a{1000}){1000}", MatchOperator.REGEX), "value"),
        (a_matcher("a", "((((a{100}){100}){100}){100}){100}", MatchOperator.REGEX), "value"),
    ],
)
def test_a_matcher_that_cannot_be_used_is_refused(matcher: Matcher, path: str) -> None:
    with pytest.raises(InputError) as refused:
        check_matcher(matcher, "matchers", "0")

    assert refused.value.problems[0].path == ("matchers", "0", path)


@pytest.mark.parametrize("label", ["@title", "@severity", "@source", "@service", "@dedup_key", "a b", "ä"])
def test_built_ins_and_any_text_can_be_matched(label: str) -> None:
    assert check_matcher(a_matcher(label, "(")).label == label


def test_a_long_value_is_matched_in_linear_time() -> None:
    matcher = check_matcher(a_matcher("a", "(x+x+)+y", MatchOperator.REGEX))

    assert not matcher.matches({"a": "x" * 4096})
