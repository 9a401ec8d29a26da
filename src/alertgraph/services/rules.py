"""Escalation rules: made, changed, put in order, deleted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, assert_never

from alertgraph.core.action import UNSET, Unset
from alertgraph.core.catalog import Catalog
from alertgraph.core.duration import duration_text
from alertgraph.core.errors import NotFoundError
from alertgraph.core.flush import TenantConfig
from alertgraph.core.ids import NodeKind, RuleId, encode_id
from alertgraph.core.labels import Matcher
from alertgraph.core.rule import (
    ChannelTarget,
    EscalationRule,
    EscalationTarget,
    Level,
    ResponderTarget,
    ScheduleTarget,
    check_rule,
    move,
)
from alertgraph.core.severity import Severity
from alertgraph.core.tenant import Principal, Role
from alertgraph.services.catalog_changes import (
    CatalogChanges,
    Decided,
    check_name,
    refuse_use,
    require_unscoped,
    told_matchers,
)


class EscalationRuleService:
    """Changes escalation rules. Every method needs ADMIN, and raises RefusedError for what the caller can mend.

    Args:
        level_count_max: A rule with more levels is refused.
    """

    def __init__(self, changes: CatalogChanges, *, level_count_max: int) -> None:
        self._changes = changes
        self._level_count_max = level_count_max

    async def create(
        self,
        principal: Principal,
        *,
        name: str,
        levels: tuple[Level, ...],
        enabled: bool = True,
        position: int | None = None,
        matchers: tuple[Matcher, ...] = (),
        severities: tuple[Severity, ...] = (),
        incident_probability_min: float | None = None,
        repeat_count: int = 0,
        escalate_on_sla: bool = False,
        idempotency_key: str | None = None,
    ) -> EscalationRule:
        """Return a new rule, last where no position is given."""
        principal.require(Role.ADMIN)
        require_unscoped(principal)
        check_name(name)
        rule = self._checked(
            EscalationRule(
                RuleId(self._changes.new_id()),
                name,
                position if position is not None else 0,
                levels,
                enabled,
                matchers,
                tuple(dict.fromkeys(severities)),
                incident_probability_min,
                repeat_count,
                escalate_on_sla,
            )
        )

        def decide(config: TenantConfig, wanted: EscalationRule) -> Decided[EscalationRule]:
            _check_targets(config.catalog, wanted)
            placed, moved = move(config.catalog.rules, wanted, position)
            return Decided(placed, moved)

        return await self._changes.create(
            principal,
            rule,
            operation="createEscalationRule",
            contents=[_told(rule), position],
            told=_told,
            decide=decide,
            idempotency_key=idempotency_key,
        )

    async def update(
        self,
        principal: Principal,
        rule_id: RuleId,
        *,
        name: str | Unset = UNSET,
        enabled: bool | Unset = UNSET,
        position: int | Unset = UNSET,
        matchers: tuple[Matcher, ...] | Unset = UNSET,
        severities: tuple[Severity, ...] | Unset = UNSET,
        incident_probability_min: float | Unset | None = UNSET,
        levels: tuple[Level, ...] | Unset = UNSET,
        repeat_count: int | Unset = UNSET,
        escalate_on_sla: bool | Unset = UNSET,
        expected_version: int | None = None,
    ) -> EscalationRule:
        """Return a rule after a patch; alerts under way keep the ladder they began with."""
        principal.require(Role.ADMIN)
        require_unscoped(principal)
        if name is not UNSET:
            check_name(name)
        patch = {
            "name": name,
            "enabled": enabled,
            "position": position,
            "matchers": matchers,
            "severities": UNSET if severities is UNSET else tuple(dict.fromkeys(severities)),
            "incident_probability_min": incident_probability_min,
            "levels": levels,
            "repeat_count": repeat_count,
            "escalate_on_sla": escalate_on_sla,
        }
        given: dict[str, Any] = {field: value for field, value in patch.items() if value is not UNSET}

        def decide(config: TenantConfig, before: EscalationRule) -> Decided[EscalationRule]:
            after = self._checked(replace(before, **given))
            if after.levels != before.levels:
                _check_targets(config.catalog, after)
            if after.position == before.position:
                return Decided(after)
            placed, moved = move(config.catalog.rules, after, after.position)
            return Decided(placed, moved)

        return await self._changes.update(
            principal, EscalationRule, rule_id, told=_told, decide=decide, expected_version=expected_version
        )

    async def delete(self, principal: Principal, rule_id: RuleId, *, expected_version: int | None = None) -> None:
        """Delete a rule that is not the tenant's default one."""
        principal.require(Role.ADMIN)
        require_unscoped(principal)

        def decide(config: TenantConfig, before: EscalationRule) -> Decided[EscalationRule]:
            if config.settings.default_rule_id == before.id:
                refuse_use(before, ["the tenant's settings as defaultEscalationRule"])
            return Decided(before)

        await self._changes.delete(
            principal, EscalationRule, rule_id, told=_told, decide=decide, expected_version=expected_version
        )

    def _checked(self, rule: EscalationRule) -> EscalationRule:
        return check_rule(rule, level_count_max=self._level_count_max)


def told_target(target: EscalationTarget) -> dict[str, str]:
    """Return whom a level notifies, as events tell it and as the API takes it."""
    match target:
        case ResponderTarget(responder_id):
            return {"responderId": encode_id(NodeKind.RESPONDER, responder_id)}
        case ScheduleTarget(schedule_id):
            return {"scheduleId": encode_id(NodeKind.SCHEDULE, schedule_id)}
        case ChannelTarget(channel_id):
            return {"channelId": encode_id(NodeKind.CHANNEL, channel_id)}
        case _:
            assert_never(target)


def _check_targets(catalog: Catalog, rule: EscalationRule) -> None:
    for index, level in enumerate(rule.levels):
        for place, target in enumerate(level.targets):
            path = ("levels", str(index), "targets", str(place))
            match target:
                case ResponderTarget(responder_id):
                    if responder_id not in catalog.responders:
                        raise NotFoundError("There is no such responder.", *path, "responderId")
                case ScheduleTarget(schedule_id):
                    if schedule_id not in catalog.schedules:
                        raise NotFoundError("There is no such schedule.", *path, "scheduleId")
                case ChannelTarget(channel_id):
                    if channel_id not in catalog.channels:
                        raise NotFoundError("There is no such channel.", *path, "channelId")
                case _:
                    assert_never(target)


def _told(rule: EscalationRule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "enabled": rule.enabled,
        "position": rule.position,
        "matchers": told_matchers(rule.matchers),
        "severities": [severity.name for severity in rule.severities],
        "incidentProbabilityMin": rule.incident_probability_min,
        "levels": [
            {"delay": duration_text(level.delay), "targets": [told_target(target) for target in level.targets]}
            for level in rule.levels
        ],
        "repeatCount": rule.repeat_count,
        "escalateOnSla": rule.escalate_on_sla,
    }
