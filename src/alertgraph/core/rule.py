"""Escalation rules: which alerts they are for, whom they notify, and when they go one level up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from alertgraph.core.ids import ChannelId, ResponderId, RuleId, ScheduleId
from alertgraph.core.labels import Matcher, matches_all
from alertgraph.core.severity import Severity


@dataclass(frozen=True, slots=True)
class ResponderTarget:
    """A person."""

    responder_id: ResponderId


@dataclass(frozen=True, slots=True)
class ScheduleTarget:
    """Whoever is on call on a schedule when the level is reached."""

    schedule_id: ScheduleId


@dataclass(frozen=True, slots=True)
class ChannelTarget:
    """A channel, at its own address."""

    channel_id: ChannelId


EscalationTarget: TypeAlias = ResponderTarget | ScheduleTarget | ChannelTarget


@dataclass(frozen=True, slots=True)
class Level:
    """One rung: its targets are notified, and after the delay the next rung is reached unless somebody reacts."""

    delay: timedelta
    targets: tuple[EscalationTarget, ...]


@dataclass(frozen=True, slots=True)
class Ladder:
    """What an alert climbs, frozen when it triggered: editing the rule does not bend an escalation under way.

    Attributes:
        rule_id: The rule it comes from.
        repeat_count: How often the whole ladder is climbed again.
        escalate_on_sla: Whether an SLA time at risk or missed brings the next level at once.
    """

    rule_id: RuleId
    levels: tuple[Level, ...]
    repeat_count: int = 0
    escalate_on_sla: bool = False


@dataclass(frozen=True, slots=True)
class EscalationRule:
    """A rule as it stands today.

    Attributes:
        position: Rules are tried from the lowest up; the first that matches is used.
        severities: Empty for any.
        incident_probability_min: Only alerts predicted at this chance or more; None for all.
        version: Number of the last event that changed it.
    """

    id: RuleId
    name: str
    position: int
    levels: tuple[Level, ...]
    enabled: bool = True
    matchers: tuple[Matcher, ...] = ()
    severities: tuple[Severity, ...] = ()
    incident_probability_min: float | None = None
    repeat_count: int = 0
    escalate_on_sla: bool = False
    version: int = 0

    @property
    def ladder(self) -> Ladder:
        """What an alert takes along from the rule."""
        return Ladder(self.id, self.levels, self.repeat_count, self.escalate_on_sla)

    def matches(self, values: Mapping[str, str], severity: Severity, probability: float | None = None) -> bool:
        """Say whether the rule is for an alert.

        Args:
            values: What matchers look at, as `core.alert.match_values` returns it.
            severity: Of the alert.
            probability: Predicted chance that it needs a person; None where there is no prediction.
        """
        if not self.enabled or (self.severities and severity not in self.severities):
            return False
        if self.incident_probability_min is not None and (
            probability is None or probability < self.incident_probability_min
        ):
            return False
        return matches_all(self.matchers, values)


def match_rule(
    rules: Iterable[EscalationRule],
    values: Mapping[str, str],
    severity: Severity,
    probability: float | None = None,
) -> EscalationRule | None:
    """Return the first rule that is for an alert, by position; None where none is."""
    in_order = sorted(rules, key=lambda rule: (rule.position, rule.id))
    return next((rule for rule in in_order if rule.matches(values, severity, probability)), None)
