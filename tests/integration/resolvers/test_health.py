"""How the engine does, as an operator of a tenant asks it."""

from __future__ import annotations

import pytest

from alertgraph.core.tenant import Principal, Role, Tenant
from alertgraph.services.engine import Engine
from tests.factories import a_matcher
from tests.integration.resolvers.api import Api, a_caller
from tests.integration.resolvers.setting_up import a_webhook, worked

FIRE = """mutation($input: CreateAlertInput!) { createAlert(input: $input) { alert { id } errors { code } } }"""
RULE = """mutation($input: EscalationRuleInput!) { createEscalationRule(input: $input) {
  escalationRule { id } errors { code path message } } }"""
HEALTH = """{ engineHealth { healthy oldestDueEscalation oldestPendingDelivery pendingDeliveryCount
  violations { invariant text count alert { id title } } } }"""


@pytest.fixture
def api_url(database_url: str) -> str:
    """A database of its own: an engine works on everybody's alerts."""
    return database_url


async def test_a_quiet_tenant_is_healthy(api: Api, viewer: Principal) -> None:
    assert (await api.data(viewer, HEALTH))["engineHealth"] == {
        "healthy": True,
        "oldestDueEscalation": None,
        "oldestPendingDelivery": None,
        "pendingDeliveryCount": 0,
        "violations": [],
    }


async def test_an_alert_that_no_rule_is_for_makes_it_unhealthy_until_one_is_made(
    api: Api, engine: Engine, admin: Principal, viewer: Principal
) -> None:
    fired = await api.data(admin, FIRE, input={"title": "Disk full", "severity": "HIGH"})
    await worked(engine)

    health = (await api.data(viewer, HEALTH))["engineHealth"]

    assert not health["healthy"]
    (violation,) = health["violations"]
    assert (violation["invariant"], violation["count"]) == ("HELD_NO_MATCHING_RULE", 1)
    assert violation["alert"] == {"id": fired["createAlert"]["alert"]["id"], "title": "Disk full"}
    assert "no escalation rule" in violation["text"]

    levels = [{"delay": "PT5M", "targets": [{"channelId": await a_webhook(api, admin)}]}]
    made = await api.data(admin, RULE, input={"name": "all", "levels": levels})
    assert made["createEscalationRule"]["errors"] == []
    await worked(engine)

    health = (await api.data(viewer, HEALTH))["engineHealth"]
    assert health["healthy"], health
    assert health["violations"] == []
    assert health["pendingDeliveryCount"] == 1
    assert health["oldestPendingDelivery"] is not None


async def test_what_waits_and_is_not_late_is_healthy(api: Api, admin: Principal, viewer: Principal) -> None:
    levels = [{"delay": "PT5M", "targets": [{"channelId": await a_webhook(api, admin)}]}]
    await api.data(admin, RULE, input={"name": "all", "levels": levels})
    await api.data(admin, FIRE, input={"title": "Disk full", "severity": "HIGH"})

    health = (await api.data(viewer, HEALTH))["engineHealth"]

    assert health["healthy"], health
    # Told at once, or due to be judged: either is work that waits.
    assert health["pendingDeliveryCount"] == 1 or health["oldestDueEscalation"] is not None


async def test_it_is_told_to_whoever_sees_the_whole_tenant(api: Api, tenant: Tenant, sender: Principal) -> None:
    scoped = a_caller(tenant, Role.VIEWER, "scoped", a_matcher("team", "db"))

    assert await api.codes(sender, HEALTH) == ["FORBIDDEN"]
    assert await api.codes(scoped, HEALTH) == ["FORBIDDEN"]
    assert await api.codes(scoped, HEALTH) == await api.codes(scoped, "{ deliveries { nodes { id } } }")


async def test_other_tenants_troubles_are_their_own(
    api: Api, engine: Engine, admin: Principal, viewer: Principal
) -> None:
    other = a_caller(await api.tenant("other"), Role.ADMIN)
    await api.data(other, FIRE, input={"title": "Theirs", "severity": "LOW"})
    await worked(engine)

    assert not (await api.data(other, HEALTH))["engineHealth"]["healthy"]
    assert (await api.data(viewer, HEALTH))["engineHealth"]["healthy"]
