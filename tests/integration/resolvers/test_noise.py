"""Holding likely noise through the API: asked for, foretold, told on the timeline, and ended by a person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from alertgraph.core.ids import AlertId, NodeKind, decode_key
from alertgraph.core.noise import History, NoisePolicy, is_spared, kind_of
from alertgraph.core.tenant import Principal
from alertgraph.edge.clock import SystemDice
from alertgraph.edge.telemetry import Telemetry
from alertgraph.services.engine import Engine
from alertgraph.services.open_alerts import OpenAlerts
from alertgraph.storage.database import Database
from alertgraph.storage.due import PostgresDueWork
from alertgraph.storage.noise import PostgresNoiseBook
from resolvers.scalars import parse_instant
from tests.integration.resolvers.api import Api
from tests.integration.resolvers.setting_up import a_webhook, done, refused, worked

KEY = b"k" * 32
SETTINGS = """mutation($input: UpdateTenantSettingsInput!) { updateTenantSettings(input: $input) {
  settings { noiseMode noiseHoldMax noiseRegretBudget } errors { code path message } } }"""
CREATE_RULE = """mutation($input: EscalationRuleInput!) { createEscalationRule(input: $input) {
  escalationRule { id } errors { code path message } } }"""
FIRE = """mutation($input: CreateAlertInput!) { createAlert(input: $input) {
  alert { id source title } errors { code path message } } }"""
ESCALATE = """mutation($input: EscalateAlertInput!) { escalateAlert(input: $input) {
  alert { id } errors { code path } } }"""
ALERT = """query($id: ID!) { alert(id: $id) { holdReason escalationLevel createdAt: triggeredAt
  events(first: 20) { nodes { kind holdReason summary } } } }"""
FORECAST = """query($alertId: ID) { escalationForecast(alertId: $alertId) { holdReason steps { at level } } }"""
STATUS = "{ predictionStatus { noiseHoldingArmed heldCount regretCount regret } }"


@pytest.fixture
def api_url(api_url: str, database_url: str) -> str:
    """An engine works here, on everybody's alerts."""
    return database_url


@dataclass(frozen=True)
class Desk:
    """A tenant with a ladder, an engine that may hold, and what it goes by."""

    api: Api
    admin: Principal
    engine: Engine
    book: PostgresNoiseBook

    async def ask(self, mode: str) -> dict[str, Any]:
        return (await done(self.api, self.admin, SETTINGS, noiseMode=mode))["settings"]

    async def fires(self, severity: str = "HIGH", *, spared: bool = False) -> str:
        """Raise alerts until one is told all the same or not; the engine has judged it."""
        for number in range(1000):
            fired = await done(
                self.api, self.admin, FIRE, title="Flapping", severity=severity, dedupKey=f"{severity} {number}"
            )
            key = decode_key(fired["alert"]["id"], NodeKind.ALERT)
            assert key is not None
            if is_spared(AlertId(key), KEY) is spared:
                break
        now = self.api.clock.now()
        policy = NoisePolicy(KEY, None, 0.6, predicts=False, fresh_until=now + timedelta(minutes=5))
        history = History(0.95, 40, 38, timedelta(seconds=90))
        kind = kind_of(fired["alert"]["source"], "Flapping")
        await self.book.keep(self.admin.tenant.id, policy, {kind: history}, (), now, anew=True)
        await worked(self.engine)
        alert_id: str = fired["alert"]["id"]
        return alert_id

    async def alert(self, alert_id: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.api.data(self.admin, ALERT, id=alert_id))["alert"]
        return found


@pytest_asyncio.fixture(loop_scope="session")
async def desk(api: Api, api_url: str, admin: Principal) -> AsyncIterator[Desk]:
    database = await Database.connect(api_url, pool_size=4)
    book = PostgresNoiseBook(database)
    engine = Engine(
        PostgresDueWork(database), api.lanes, OpenAlerts(), api.clock, SystemDice(), Telemetry(), noise=book
    )
    channel = await a_webhook(api, admin)
    levels = [{"delay": "PT5M", "targets": [{"channelId": channel}]}]
    await done(api, admin, CREATE_RULE, name="everything", levels=levels)
    yield Desk(api, admin, engine, book)
    await database.close()


async def test_nothing_is_held_until_somebody_asks(desk: Desk) -> None:
    alert = await desk.alert(await desk.fires())

    assert (alert["holdReason"], alert["escalationLevel"]) == (None, 1)
    assert (await desk.api.data(desk.admin, STATUS))["predictionStatus"]["noiseHoldingArmed"] is False


async def test_likely_noise_is_held_and_the_timeline_says_why(desk: Desk) -> None:
    assert await desk.ask("HOLD") == {"noiseMode": "HOLD", "noiseHoldMax": "PT5M", "noiseRegretBudget": "PT1H"}
    alert_id = await desk.fires()

    alert = await desk.alert(alert_id)

    assert (alert["holdReason"], alert["escalationLevel"]) == ("PREDICTED_NOISE", 0)
    last = alert["events"]["nodes"][-1]
    assert (last["kind"], last["holdReason"]) == ("HELD", "PREDICTED_NOISE")
    assert last["summary"].startswith("Likely noise (95%), so its page waits for 1 min ")
    assert "95% ended with nobody acting, half of those within 1 min 30 s" in last["summary"]
    [step] = (await desk.api.data(desk.admin, FORECAST, alertId=alert_id))["escalationForecast"]["steps"]
    wait = parse_instant(step["at"]) - parse_instant(alert["createdAt"])
    assert timedelta(seconds=89) < wait <= timedelta(seconds=90)
    assert (await desk.api.data(desk.admin, STATUS))["predictionStatus"]["noiseHoldingArmed"] is True


async def test_critical_and_spared_alerts_are_told(desk: Desk) -> None:
    await desk.ask("SUPPRESS")

    for alert_id in (await desk.fires("CRITICAL"), await desk.fires(spared=True)):
        alert = await desk.alert(alert_id)
        assert (alert["holdReason"], alert["escalationLevel"]) == (None, 1)


async def test_what_is_suppressed_is_told_when_somebody_escalates_it(desk: Desk) -> None:
    await desk.ask("SUPPRESS")
    alert_id = await desk.fires()
    foretold = (await desk.api.data(desk.admin, FORECAST, alertId=alert_id))["escalationForecast"]
    assert foretold == {"holdReason": "PREDICTED_NOISE", "steps": []}

    await done(desk.api, desk.admin, ESCALATE, alertId=alert_id)

    alert = await desk.alert(alert_id)
    assert (alert["holdReason"], alert["escalationLevel"]) == (None, 1)


async def test_what_is_held_is_told_once_the_tenant_has_changed_its_mind(desk: Desk) -> None:
    await desk.ask("SUPPRESS")
    alert_id = await desk.fires()
    await desk.ask("ANNOTATE")

    await worked(desk.engine)

    assert (await desk.alert(alert_id))["escalationLevel"] == 1


async def test_lengths_out_of_their_bounds_are_refused(desk: Desk) -> None:
    for input in ({"noiseHoldMax": "PT2H"}, {"noiseRegretBudget": "P31D"}):
        assert await refused(desk.api, desk.admin, SETTINGS, **input) == (
            "INVALID_INPUT",
            f"input.{next(iter(input))}",
        )
