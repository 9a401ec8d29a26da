"""Escalation rules: which alerts they are for, whom they notify, and when they go one level up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeAlias

from alertgraph.core.errors import InputError
from alertgraph.core.ids import ChannelId, ResponderId, RuleId, ScheduleId
from alertgraph.core.labels import Matcher, check_matcher, matches_all
from alertgraph.core.severity import Severity

DELAY_MAX = timedelta(days=7)
REPEAT_COUNT_MAX = 100
TARGET_COUNT_MAX = 50
MATCHER_COUNT_MAX = 20
POSITION_MAX = 1_000_000


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

    def __hash__(self) -> int:
        # Each alert of a list has one, and few of a rule's differ: going through all levels would tell no more.
        return hash(self.rule_id)


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


def move(
    rules: Iterable[EscalationRule], rule: EscalationRule, position: int | None
) -> tuple[EscalationRule, tuple[EscalationRule, ...]]:
    """Return a rule at a position, and the others as far as they move for it.

    Positions are those that people gave: no two are the same, but there may be gaps. A rule that was in the list
    leaves its place first, and those behind it move up by one; then those at or behind the new position move
    back by one.

    Args:
        rules: All there are, perhaps with the rule itself.
        rule: As it shall be, but for its position.
        position: Where it shall be; None for last, which is 1 for the only one.
    """
    rules = tuple(rules)
    others = {other.id: other.position for other in rules if other.id != rule.id}
    left = next((other.position for other in rules if other.id == rule.id), None)
    if left is not None:
        others = {id: at - 1 if at > left else at for id, at in others.items()}
    if position is None:
        position = max(others.values(), default=0) + 1
    others = {id: at + 1 if at >= position else at for id, at in others.items()}
    moved = (replace(other, position=others[other.id]) for other in rules if other.id in others)
    before = {other.id: other.position for other in rules}
    return replace(rule, position=position), tuple(other for other in moved if other.position != before[other.id])


def check_rule(rule: EscalationRule, *, level_count_max: int) -> EscalationRule:
    """Return a rule if it can be kept; its name and targets are checked where those are known.

    Args:
        rule: As wanted.
        level_count_max: The installation's bound.

    Raises:
        InputError: It can't; the path is made of the names of the API's fields.
    """
    if not 0 <= rule.position <= POSITION_MAX:
        raise InputError(f"position is 0 to {POSITION_MAX:,}.", "position")
    if len(rule.matchers) > MATCHER_COUNT_MAX:
        raise InputError(f"There are at most {MATCHER_COUNT_MAX} matchers.", "matchers")
    for index, matcher in enumerate(rule.matchers):
        check_matcher(matcher, "matchers", str(index))
    if rule.incident_probability_min is not None and not 0 <= rule.incident_probability_min <= 1:
        raise InputError("incidentProbabilityMin is 0 to 1.", "incidentProbabilityMin")
    if not 1 <= len(rule.levels) <= level_count_max:
        raise InputError(f"A rule has 1 to {level_count_max} levels; this has {len(rule.levels):,}.", "levels")
    for index, level in enumerate(rule.levels):
        if not timedelta(0) <= level.delay <= DELAY_MAX:
            raise InputError(f"delay is PT0S to P{DELAY_MAX.days}D.", "levels", str(index), "delay")
        if not 1 <= len(level.targets) <= TARGET_COUNT_MAX:
            raise InputError(
                f"A level has 1 to {TARGET_COUNT_MAX} targets; this has {len(level.targets):,}.",
                "levels",
                str(index),
                "targets",
            )
    if not 0 <= rule.repeat_count <= REPEAT_COUNT_MAX:
        raise InputError(f"repeatCount is 0 to {REPEAT_COUNT_MAX}.", "repeatCount")
    return rule
