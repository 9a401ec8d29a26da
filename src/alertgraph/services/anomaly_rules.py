"""Anomaly rules: made, changed, deleted. Whoever watches ends the alerts of a rule that is gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from alertgraph.core.action import UNSET, Unset
from alertgraph.core.alert import Link
from alertgraph.core.anomaly import (
    AnomalyDirection,
    AnomalyRule,
    AnomalySensitivity,
    AnomalyTarget,
    check_anomaly_rule,
)
from alertgraph.core.duration import duration_text
from alertgraph.core.flush import TenantConfig
from alertgraph.core.ids import AnomalyRuleId
from alertgraph.core.labels import Matcher
from alertgraph.core.severity import Severity
from alertgraph.core.tenant import Principal, Role
from alertgraph.services.catalog_changes import (
    CatalogChanges,
    Decided,
    require_unscoped,
    told_matchers,
)


class AnomalyRuleService:
    """Changes anomaly rules. Every method needs ADMIN, and raises RefusedError for what the caller can mend."""

    def __init__(self, changes: CatalogChanges) -> None:
        self._changes = changes

    async def create(
        self,
        principal: Principal,
        *,
        name: str,
        target: AnomalyTarget = AnomalyTarget.SERIES,
        matchers: tuple[Matcher, ...] = (),
        severity: Severity = Severity.MEDIUM,
        monitored_service: str | None = None,
        service_label: str | None = None,
        sensitivity: AnomalySensitivity = AnomalySensitivity.NORMAL,
        direction: AnomalyDirection = AnomalyDirection.BOTH,
        min_duration: timedelta = timedelta(0),
        links: tuple[Link, ...] = (),
        enabled: bool = True,
        idempotency_key: str | None = None,
    ) -> AnomalyRule:
        """Return a new rule."""
        principal.require(Role.ADMIN)
        require_unscoped(principal)
        rule = check_anomaly_rule(
            AnomalyRule(
                AnomalyRuleId(self._changes.new_id()),
                name,
                target,
                matchers,
                severity,
                monitored_service,
                service_label,
                sensitivity,
                direction,
                min_duration,
                links,
                enabled,
            )
        )
        return await self._changes.create(
            principal,
            rule,
            operation="createAnomalyRule",
            contents=_told(rule),
            told=_told,
            idempotency_key=idempotency_key,
        )

    async def update(
        self,
        principal: Principal,
        rule_id: AnomalyRuleId,
        *,
        name: str | Unset = UNSET,
        enabled: bool | Unset = UNSET,
        matchers: tuple[Matcher, ...] | Unset = UNSET,
        severity: Severity | Unset = UNSET,
        monitored_service: str | Unset | None = UNSET,
        service_label: str | Unset | None = UNSET,
        sensitivity: AnomalySensitivity | Unset = UNSET,
        direction: AnomalyDirection | Unset = UNSET,
        min_duration: timedelta | Unset = UNSET,
        links: tuple[Link, ...] | Unset = UNSET,
        expected_version: int | None = None,
    ) -> AnomalyRule:
        """Return a rule after a patch; what it watches, series or alert rates, stays."""
        principal.require(Role.ADMIN)
        require_unscoped(principal)
        patch = {
            "name": name,
            "enabled": enabled,
            "matchers": matchers,
            "severity": severity,
            "monitored_service": monitored_service,
            "service_label": service_label,
            "sensitivity": sensitivity,
            "direction": direction,
            "min_duration": min_duration,
            "links": links,
        }
        given: dict[str, Any] = {field: value for field, value in patch.items() if value is not UNSET}

        def decide(_: TenantConfig, before: AnomalyRule) -> Decided[AnomalyRule]:
            return Decided(check_anomaly_rule(replace(before, **given)))

        return await self._changes.update(
            principal, AnomalyRule, rule_id, told=_told, decide=decide, expected_version=expected_version
        )

    async def delete(
        self, principal: Principal, rule_id: AnomalyRuleId, *, expected_version: int | None = None
    ) -> None:
        """Delete a rule."""
        principal.require(Role.ADMIN)
        require_unscoped(principal)
        await self._changes.delete(principal, AnomalyRule, rule_id, told=_told, expected_version=expected_version)


def _told(rule: AnomalyRule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "target": rule.target.name,
        "matchers": told_matchers(rule.matchers),
        "severity": rule.severity.name,
        "monitoredService": rule.monitored_service,
        "serviceLabel": rule.service_label,
        "sensitivity": rule.sensitivity.name,
        "direction": rule.direction.name,
        "minDuration": duration_text(rule.min_duration),
        "links": [{"href": link.href, "text": link.text} for link in rule.links],
        "enabled": rule.enabled,
    }
