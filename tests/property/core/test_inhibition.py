"""Who covers whom: keys that are met find the same as looking at every pair."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from alertgraph.core.ids import InhibitionRuleId
from alertgraph.core.inhibition import InhibitionRule, source_keys, target_keys
from alertgraph.core.labels import Matcher, MatchOperator, matches_all

labels = st.sampled_from(["a", "b", "c"])
# Values that would read the same where they were only strung together.
values = st.dictionaries(labels, st.sampled_from(["", "x", "xx", "y"]), max_size=3)
matchers = st.lists(
    st.builds(
        Matcher,
        labels,
        st.sampled_from([MatchOperator.EQUAL, MatchOperator.NOT_EQUAL]),
        st.sampled_from(["", "x", "y"]),
    ),
    min_size=1,
    max_size=2,
).map(tuple)
rules = st.lists(
    st.builds(
        InhibitionRule,
        st.integers(1, 2**64).map(lambda number: InhibitionRuleId(UUID(int=number))),
        st.just("rule"),
        matchers,
        matchers,
        st.lists(labels, max_size=3, unique=True).map(tuple),
        st.booleans(),
    ),
    max_size=3,
    unique_by=lambda rule: rule.id,
)


def covers(rule: InhibitionRule, source: dict[str, str], target: dict[str, str]) -> bool:
    """Say the same as the rule says, of two alerts."""
    if not (rule.enabled and matches_all(rule.source_matchers, source)):
        return False
    if not matches_all(rule.target_matchers, target):
        return False
    both = matches_all(rule.target_matchers, source) and matches_all(rule.source_matchers, target)
    return not both and all(source.get(label, "") == target.get(label, "") for label in rule.equal_labels)


@given(rules, values, values)
def test_keys_meet_where_a_rule_covers(
    rules: list[InhibitionRule], source: dict[str, str], target: dict[str, str]
) -> None:
    met = source_keys(rules, source) & target_keys(rules, target)

    assert {key.rule_id for key in met} == {rule.id for rule in rules if covers(rule, source, target)}


@given(rules, values)
def test_nothing_covers_itself(rules: list[InhibitionRule], alert: dict[str, str]) -> None:
    assert not source_keys(rules, alert) & target_keys(rules, alert)


@given(rules, values, values)
def test_no_two_cover_one_another_by_one_rule(
    rules: list[InhibitionRule], one: dict[str, str], other: dict[str, str]
) -> None:
    there = {key.rule_id for key in source_keys(rules, one) & target_keys(rules, other)}
    back = {key.rule_id for key in source_keys(rules, other) & target_keys(rules, one)}

    assert not there & back
