"""Inhibition rules: while a bigger alert is open, smaller ones with the same labels are not paged."""

from __future__ import annotations

from dataclasses import dataclass

from alertgraph.core.ids import InhibitionRuleId
from alertgraph.core.labels import Matcher


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
        digest: SHA-256 of the values of the rule's equal labels.
    """

    rule_id: InhibitionRuleId
    digest: bytes
