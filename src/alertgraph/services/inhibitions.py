"""Inhibition rules: made, changed, deleted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from alertgraph.core.action import UNSET, Unset
from alertgraph.core.flush import TenantConfig
from alertgraph.core.ids import InhibitionRuleId
from alertgraph.core.inhibition import InhibitionRule, check_inhibition_rule
from alertgraph.core.labels import Matcher
from alertgraph.core.tenant import Principal, Role
from alertgraph.services.catalog_changes import (
    CatalogChanges,
    Decided,
    check_name,
    require_unscoped,
    told_matchers,
)


class InhibitionService:
    """Changes inhibition rules. Every method needs ADMIN, and raises RefusedError for what the caller can mend."""

    def __init__(self, changes: CatalogChanges) -> None:
        self._changes = changes

    async def create(
        self,
        principal: Principal,
        *,
        name: str,
        source_matchers: tuple[Matcher, ...],
        target_matchers: tuple[Matcher, ...],
        equal_labels: tuple[str, ...] = (),
        enabled: bool = True,
        idempotency_key: str | None = None,
    ) -> InhibitionRule:
        """Return a new rule."""
        principal.require(Role.ADMIN)
        require_unscoped(principal)
        check_name(name)
        rule = check_inhibition_rule(
            InhibitionRule(
                InhibitionRuleId(self._changes.new_id()),
                name,
                source_matchers,
                target_matchers,
                equal_labels,
                enabled,
            )
        )
        return await self._changes.create(
            principal,
            rule,
            operation="createInhibitionRule",
            contents=_told(rule),
            told=_told,
            idempotency_key=idempotency_key,
        )

    async def update(
        self,
        principal: Principal,
        rule_id: InhibitionRuleId,
        *,
        name: str | Unset = UNSET,
        enabled: bool | Unset = UNSET,
        source_matchers: tuple[Matcher, ...] | Unset = UNSET,
        target_matchers: tuple[Matcher, ...] | Unset = UNSET,
        equal_labels: tuple[str, ...] | Unset = UNSET,
        expected_version: int | None = None,
    ) -> InhibitionRule:
        """Return a rule after a patch."""
        principal.require(Role.ADMIN)
        require_unscoped(principal)
        if name is not UNSET:
            check_name(name)
        patch = {
            "name": name,
            "enabled": enabled,
            "source_matchers": source_matchers,
            "target_matchers": target_matchers,
            "equal_labels": equal_labels,
        }
        given: dict[str, Any] = {field: value for field, value in patch.items() if value is not UNSET}

        def decide(_: TenantConfig, before: InhibitionRule) -> Decided[InhibitionRule]:
            return Decided(check_inhibition_rule(replace(before, **given)))

        return await self._changes.update(
            principal, InhibitionRule, rule_id, told=_told, decide=decide, expected_version=expected_version
        )

    async def delete(
        self, principal: Principal, rule_id: InhibitionRuleId, *, expected_version: int | None = None
    ) -> None:
        """Delete a rule."""
        principal.require(Role.ADMIN)
        require_unscoped(principal)
        await self._changes.delete(
            principal, InhibitionRule, rule_id, told=_told, expected_version=expected_version
        )


def _told(rule: InhibitionRule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "enabled": rule.enabled,
        "sourceMatchers": told_matchers(rule.source_matchers),
        "targetMatchers": told_matchers(rule.target_matchers),
        "equalLabels": list(rule.equal_labels),
    }
