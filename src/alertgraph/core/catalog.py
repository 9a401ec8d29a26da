"""Everything that people set up for paging in one tenant: what decisions are made by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from alertgraph.core.anomaly import AnomalyRule
from alertgraph.core.channel import Channel
from alertgraph.core.event import SealedEvent
from alertgraph.core.ids import AnomalyRuleId, ChannelId, MonitorId, NodeKind, ResponderId, RuleId, ScheduleId
from alertgraph.core.inhibition import InhibitionRule
from alertgraph.core.monitor import HeartbeatMonitor
from alertgraph.core.responder import Responder
from alertgraph.core.rule import EscalationRule
from alertgraph.core.schedule import Schedule, ShiftOverride
from alertgraph.core.silence import Silence
from alertgraph.core.tenant import TenantSettings

Item: TypeAlias = (
    EscalationRule
    | InhibitionRule
    | Silence
    | Channel
    | Responder
    | Schedule
    | ShiftOverride
    | HeartbeatMonitor
    | AnomalyRule
)
# They raise alerts of their own, and decide about no other.
_RAISING = HeartbeatMonitor | AnomalyRule

# What an item's id begins with, and how the log names its type.
KIND_OF: Mapping[type[Item], NodeKind] = {
    EscalationRule: NodeKind.ESCALATION_RULE,
    InhibitionRule: NodeKind.INHIBITION_RULE,
    Silence: NodeKind.SILENCE,
    Channel: NodeKind.CHANNEL,
    Responder: NodeKind.RESPONDER,
    Schedule: NodeKind.SCHEDULE,
    ShiftOverride: NodeKind.OVERRIDE,
    HeartbeatMonitor: NodeKind.MONITOR,
    AnomalyRule: NodeKind.ANOMALY_RULE,
}
SUBJECT_TYPE_OF: Mapping[type[Item], str] = {
    EscalationRule: "EscalationRule",
    InhibitionRule: "InhibitionRule",
    Silence: "Silence",
    Channel: "NotificationChannel",
    Responder: "Responder",
    Schedule: "OnCallSchedule",
    ShiftOverride: "ShiftOverride",
    HeartbeatMonitor: "HeartbeatMonitor",
    AnomalyRule: "AnomalyRule",
}
ITEM_COUNT_MAX = 1000
"""Of each type in a tenant; silences and overrides that are over do not count."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """What is set up, as of one configuration version.

    Attributes:
        rules: In the order in which they are tried.
        silences: Those that are not over, and those that were over for less than a day when this was read.
        overrides: The same, by begin.
    """

    rules: tuple[EscalationRule, ...] = ()
    inhibitions: tuple[InhibitionRule, ...] = ()
    silences: tuple[Silence, ...] = ()
    channels: Mapping[ChannelId, Channel] = field(default_factory=dict)
    responders: Mapping[ResponderId, Responder] = field(default_factory=dict)
    schedules: Mapping[ScheduleId, Schedule] = field(default_factory=dict)
    overrides: tuple[ShiftOverride, ...] = ()
    monitors: Mapping[MonitorId, HeartbeatMonitor] = field(default_factory=dict)
    anomaly_rules: Mapping[AnomalyRuleId, AnomalyRule] = field(default_factory=dict)

    def rule(self, rule_id: RuleId | None) -> EscalationRule | None:
        """Return the rule with this id; None where there is none."""
        return next((rule for rule in self.rules if rule.id == rule_id), None)

    def overrides_of(self, schedule_id: ScheduleId) -> tuple[ShiftOverride, ...]:
        """Return the overrides of one schedule, by begin."""
        return tuple(override for override in self.overrides if override.schedule_id == schedule_id)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of what is set up, told by one event.

    Attributes:
        written: Items as they are afterwards; the version of each becomes the event's number, whatever it says.
        deleted: Items that are gone.
        settings: The tenant's settings as they are afterwards; None where they stay.
    """

    event: SealedEvent
    written: tuple[Item, ...] = ()
    deleted: tuple[Item, ...] = ()
    settings: TenantSettings | None = None

    def may_free(self, before: TenantSettings) -> bool:
        """Say whether another decision about an alert may follow: then those that are held are looked at again.

        Monitors raise alerts of their own; of the settings the default rule and the rules against noise are asked
        for an open one.
        """
        return any(not isinstance(item, _RAISING) for item in (*self.written, *self.deleted)) or (
            self.settings is not None
            and (self.settings.default_rule_id, self.settings.noise) != (before.default_rule_id, before.noise)
        )
