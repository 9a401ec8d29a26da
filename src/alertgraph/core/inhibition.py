"""Inhibition rules: while a bigger alert is open, smaller ones with the same labels are not paged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from alertgraph.core.alert import LABEL_NAME_LENGTH_MAX, check_text
from alertgraph.core.errors import InputError, RefusedError
from alertgraph.core.ids import InhibitionRuleId
from alertgraph.core.labels import BUILT_INS, Matcher, check_matcher, matches_all

MATCHER_COUNT_MAX = 20
EQUAL_LABEL_COUNT_MAX = 20


@dataclass(frozen=True, slots=True)
class InhibitionRule:
    """While a source alert is open, target alerts with the same labels are not paged.

    Attributes:
        source_matchers: Which alerts cover others; at least one.
        target_matchers: Which alerts are covered; at least one.
        equal_labels: Labels and built-ins in which both must be equal; an absent one reads as empty.
        version: Number of the last event that changed it.
    """

    id: InhibitionRuleId
    name: str
    source_matchers: tuple[Matcher, ...]
    target_matchers: tuple[Matcher, ...]
    equal_labels: tuple[str, ...] = ()
    enabled: bool = True
    version: int = 0


@dataclass(frozen=True, slots=True)
class InhibitionKey:
    """What a source and its targets share under one rule.

    Attributes:
        digest: SHA-256 of the values of the rule's equal labels, and of whether the source is a target, too.
    """

    rule_id: InhibitionRuleId
    digest: bytes


# Marks a source that is a target of the same rule, too: no length of a value begins so.
_TWO_SIDED = b"\xff"


def source_keys(rules: Iterable[InhibitionRule], values: Mapping[str, str]) -> frozenset[InhibitionKey]:
    """Return what an alert is a source of while it is open.

    Args:
        rules: All there are.
        values: What matchers look at, as `core.alert.match_values` returns it.
    """
    return frozenset(
        _key(rule, values, two_sided=matches_all(rule.target_matchers, values))
        for rule in rules
        if rule.enabled and matches_all(rule.source_matchers, values)
    )


def target_keys(rules: Iterable[InhibitionRule], values: Mapping[str, str]) -> frozenset[InhibitionKey]:
    """Return what an alert is a target of: it is covered while another that is open is a source of any.

    Alerts that match both sides of a rule do not cover one another: nobody would be paged for any. So such an
    alert looks only for sources that match one side.

    Args:
        rules: All there are.
        values: What matchers look at, as `core.alert.match_values` returns it.
    """
    keys = set()
    for rule in rules:
        if rule.enabled and matches_all(rule.target_matchers, values):
            keys.add(_key(rule, values, two_sided=False))
            if not matches_all(rule.source_matchers, values):
                keys.add(_key(rule, values, two_sided=True))
    return frozenset(keys)


def _key(rule: InhibitionRule, values: Mapping[str, str], *, two_sided: bool) -> InhibitionKey:
    # Each value with its length in front, so that no two lists of values read the same.
    values_written = [values.get(label, "").encode() for label in rule.equal_labels]
    written = b"".join(len(value).to_bytes(4, "big") + value for value in values_written)
    return InhibitionKey(rule.id, hashlib.sha256((_TWO_SIDED if two_sided else b"") + written).digest())


def check_inhibition_rule(rule: InhibitionRule) -> InhibitionRule:
    """Return a rule if it can be kept; its name is checked where names are.

    Raises:
        RefusedError: It can't; paths are the names of the API's fields.
    """
    for name, matchers in (("sourceMatchers", rule.source_matchers), ("targetMatchers", rule.target_matchers)):
        if not 1 <= len(matchers) <= MATCHER_COUNT_MAX:
            raise InputError(f"There are 1 to {MATCHER_COUNT_MAX} matchers; these are {len(matchers):,}.", name)
        for index, matcher in enumerate(matchers):
            check_matcher(matcher, name, str(index))
    if len(rule.equal_labels) > EQUAL_LABEL_COUNT_MAX:
        raise InputError(f"There are at most {EQUAL_LABEL_COUNT_MAX} equal labels.", "equalLabels")
    if len(set(rule.equal_labels)) < len(rule.equal_labels):
        raise InputError("A label stands in it twice.", "equalLabels")
    for index, label in enumerate(rule.equal_labels):
        problems = check_text(label, "label", LABEL_NAME_LENGTH_MAX, length_min=1, one_line=True)
        if problems:
            raise RefusedError([problem.below("equalLabels", str(index)) for problem in problems])
        if label.startswith("@") and label not in BUILT_INS:
            raise InputError(
                f"{label} is no built-in; there are {', '.join(BUILT_INS)}.", "equalLabels", str(index)
            )
    return rule
