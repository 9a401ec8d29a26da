"""Laws of matchers."""

from __future__ import annotations

import re

import re2
from hypothesis import given
from hypothesis import strategies as st

from alertgraph.core.errors import InputError
from alertgraph.core.labels import Matcher, MatchOperator, check_matcher, matches_all
from tests.strategies import labels, plain_texts, wild_texts

operators = st.sampled_from(MatchOperator)
matchers = st.builds(
    Matcher, st.sampled_from(["job", "zone", "none"]), operators, st.sampled_from(["", "a", "a|b", ".*"])
)
OPPOSITE = {
    MatchOperator.EQUAL: MatchOperator.NOT_EQUAL,
    MatchOperator.NOT_EQUAL: MatchOperator.EQUAL,
    MatchOperator.REGEX: MatchOperator.NOT_REGEX,
    MatchOperator.NOT_REGEX: MatchOperator.REGEX,
}
# Patterns that RE2 and Python read alike.
patterns = st.recursive(
    st.sampled_from(["a", "b", "ab", ".", "[ab]", "[^a]", ""]),
    lambda inner: st.one_of(
        st.builds("({}|{})".format, inner, inner),
        st.builds("({})*".format, inner),
        st.builds("({})?".format, inner),
        st.builds("{}{}".format, inner, inner),
    ),
    max_leaves=5,
)


@given(patterns, st.text("abc", max_size=6))
def test_a_pattern_matches_the_whole_value_or_not_at_all(pattern: str, value: str) -> None:
    matcher = Matcher("l", MatchOperator.REGEX, pattern)

    assert matcher.matches({"l": value}) is (re.fullmatch(pattern, value) is not None)


@given(plain_texts, plain_texts)
def test_an_escaped_value_matches_like_an_equal_one(value: str, actual: str) -> None:
    values = {"l": actual}

    escaped = Matcher("l", MatchOperator.REGEX, re2.escape(value))
    assert escaped.matches(values) is Matcher("l", MatchOperator.EQUAL, value).matches(values)
    assert escaped.matches({"l": value})


@given(matchers, labels)
def test_the_opposite_operator_says_the_opposite(matcher: Matcher, values: dict[str, str]) -> None:
    opposite = Matcher(matcher.label, OPPOSITE[matcher.operator], matcher.value)

    assert matcher.matches(values) is not opposite.matches(values)


@given(matchers, labels)
def test_an_absent_label_is_an_empty_one(matcher: Matcher, values: dict[str, str]) -> None:
    filled = {"job": "", "zone": "", "none": "", **values}

    assert matcher.matches(values) is matcher.matches(filled)


@given(st.lists(matchers, max_size=4), labels)
def test_all_must_hold_in_any_order(several: list[Matcher], values: dict[str, str]) -> None:
    expected = all(matcher.matches(values) for matcher in several)

    assert matches_all(tuple(several), values) is expected
    assert matches_all(tuple(reversed(several)), values) is expected


@given(wild_texts, operators, wild_texts | st.text("()[]{}*+?|\\.^$a1,", max_size=12), plain_texts)
def test_a_matcher_is_refused_in_words_or_can_be_used(
    label: str, operator: MatchOperator, value: str, actual: str
) -> None:
    try:
        matcher = check_matcher(Matcher(label, operator, value))
    except InputError:
        return
    assert matcher.matches({label: actual}) in (True, False)
