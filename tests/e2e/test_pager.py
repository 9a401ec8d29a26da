"""A page's way from the alert to the person, and back: a service, its database, and providers on loopback."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.integration.notify.provider import Provider, answers, provider
from tests.running import RunningService, ServiceProcess, environment_of, new_tenant
from tests.servers import DatabaseServers, free_port
from tests.wire import Wire, wire

# The process is started once, for all tests.
pytestmark = pytest.mark.xdist_group("pager")

FALLBACK_WITHIN_SECONDS = 30.0
CREATE_CHANNEL = """mutation Create($input: NotificationChannelInput!) {
  createNotificationChannel(input: $input) { made: notificationChannel { id } errors { code message } } }"""
CREATE_RESPONDER = """mutation Create($input: ResponderInput!) {
  createResponder(input: $input) { made: responder { id } errors { code message } } }"""
CREATE_SCHEDULE = """mutation Create($input: OnCallScheduleInput!) {
  createOnCallSchedule(input: $input) { made: onCallSchedule { id } errors { code message } } }"""
CREATE_RULE = """mutation Create($input: EscalationRuleInput!) {
  createEscalationRule(input: $input) { made: escalationRule { id } errors { code message } } }"""
CREATE_ALERT = """mutation Create($input: CreateAlertInput!) {
  createAlert(input: $input) { made: alert { id } errors { code message } } }"""
ACKNOWLEDGE = """mutation Act($input: AcknowledgeAlertInput!) {
  acknowledgeAlert(input: $input) { made: alert { id } errors { code message } } }"""
ALERT = """query Alert($id: ID!) { alert(id: $id) {
  status acknowledgedBy { kind name } escalationLevel
  events(first: 50) { nodes { kind summary detail } }
  deliveries(first: 50) { nodes { channelName level status attemptCount lastError fellBackTo { channelName } } }
} }"""


@pytest.fixture(scope="module")
def paging(
    database_servers: DatabaseServers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, dict[str, str]]]:
    """A service as a process of its own, which may send to loopback: its URL and its variables."""
    port = free_port()
    with database_servers.get("wheel").database(migrated=True) as url:
        environment = environment_of(
            url,
            CRITICAL_ALERT_ALLOW_PRIVATE_TARGETS="true",
            CRITICAL_ALERT_PUBLIC_URL=f"http://127.0.0.1:{port}",
        )
        process = ServiceProcess(environment, port)
        try:
            process.start(tmp_path_factory.mktemp("pager") / "log")
            yield process.url, environment
        finally:
            process.kill()


@pytest.fixture
def tenant(paging: tuple[str, dict[str, str]]) -> RunningService:
    """A tenant of its own on it."""
    return new_tenant(*paging, f"t-{uuid4().hex[:12]}")


async def made(connection: Wire, mutation: str, **wanted: Any) -> str:
    """Carry out a mutation and return the id of what it is about."""
    reply = (await connection.graphql(mutation, {"input": wanted})).json()
    assert "errors" not in reply, reply["errors"]
    [payload] = reply["data"].values()
    assert payload["errors"] == []
    return str(payload["made"]["id"])


async def a_webhook(connection: Wire, to: Provider, name: str = "webhook", **fields: Any) -> str:
    return await made(
        connection, CREATE_CHANNEL, name=name, config={"webhook": {"url": f"{to.url}/hook"}}, **fields
    )


async def a_rule(connection: Wire, *levels: tuple[str, dict[str, str]]) -> str:
    rungs = [{"delay": delay, "targets": [target]} for delay, target in levels]
    return await made(connection, CREATE_RULE, name="everything", levels=rungs)


async def seen(connection: Wire, alert_id: str) -> dict[str, Any]:
    reply = (await connection.graphql(ALERT, {"id": alert_id})).json()
    assert "errors" not in reply, reply["errors"]
    return dict(reply["data"]["alert"])


async def eventually(connection: Wire, alert_id: str, kind: str) -> dict[str, Any]:
    """Return the alert once its timeline has an event of a kind."""
    deadline = time.monotonic() + FALLBACK_WITHIN_SECONDS
    while True:
        alert = await seen(connection, alert_id)
        if any(event["kind"] == kind for event in alert["events"]["nodes"]):
            return alert
        assert time.monotonic() < deadline, alert
        await asyncio.sleep(0.1)


async def test_when_slack_fails_the_fallback_has_the_page_in_time(tenant: RunningService) -> None:
    async with (
        provider(answers(500, b"the lights are out")) as slack,
        provider() as pagers,
        wire(tenant.url, tenant.admin_key) as connection,
    ):
        fallback_id = await a_webhook(connection, pagers, "pagers")
        config = {"botToken": "xoxb-1", "signingSecret": "s" * 32, "channel": "C1", "apiUrl": f"{slack.url}/api/"}
        slack_id = await made(
            connection, CREATE_CHANNEL, name="slack", fallbackId=fallback_id, config={"slack": config}
        )
        await a_rule(connection, ("PT1H", {"channelId": slack_id}))
        started = time.monotonic()
        alert_id = await made(connection, CREATE_ALERT, title="Disk full", severity="CRITICAL")
        async with asyncio.timeout(FALLBACK_WITHIN_SECONDS):
            await pagers.wait_for(1)
        seconds = time.monotonic() - started
        alert = await eventually(connection, alert_id, "DELIVERY_SENT")

    assert seconds < FALLBACK_WITHIN_SECONDS
    assert {received.target for received in slack.received} == {"/api/chat.postMessage"}
    assert [page["id"] for page in pagers.last.json["data"]["alerts"]] == [alert_id]
    fell_back = alert["events"]["nodes"][2]["detail"]["detail"]
    told = [(event["kind"], event["summary"]) for event in alert["events"]["nodes"]]
    assert told == [
        ("TRIGGERED", "admin triggered the alert with severity CRITICAL."),
        ("ESCALATED", "Level 1 is reached: slack is told."),
        ("DELIVERY_FELL_BACK", f"slack failed ({fell_back['error'].rstrip('.')}); pagers takes over."),
        ("DELIVERY_SENT", "pagers was told."),
    ]
    assert (fell_back["channel"], fell_back["fallback"]) == ("slack", "pagers")
    failed, sent = sorted(alert["deliveries"]["nodes"], key=lambda delivery: delivery["channelName"], reverse=True)
    assert (failed["channelName"], failed["status"], failed["attemptCount"]) == ("slack", "FAILED", 2)
    assert failed["fellBackTo"] == {"channelName": "pagers"}
    assert "500" in failed["lastError"]
    assert (sent["channelName"], sent["status"]) == ("pagers", "SENT")


async def test_an_alert_climbs_until_somebody_acknowledges_it(tenant: RunningService) -> None:
    async with (
        provider() as first,
        provider() as second,
        provider() as third,
        wire(tenant.url, tenant.admin_key) as connection,
    ):
        channel_ids = [
            await a_webhook(connection, to, f"level {level}") for level, to in enumerate((first, second, third), 1)
        ]
        # Ada is told at once, and once more by a second way that she is spared when she reacts.
        ways = [{"channelId": channel_ids[1]}, {"channelId": channel_ids[2], "delay": "PT1H"}]
        ada = await made(connection, CREATE_RESPONDER, name="Ada", contactMethods=ways)
        rotation = {"responderIds": [ada], "startsAt": "2026-01-01T09:00:00Z", "shiftLength": "P7D"}
        schedule_id = await made(connection, CREATE_SCHEDULE, name="weekly", rotations=[rotation])
        await a_rule(
            connection,
            ("PT3S", {"channelId": channel_ids[0]}),
            ("PT3S", {"scheduleId": schedule_id}),
            ("PT3S", {"channelId": channel_ids[2]}),
        )
        started = time.monotonic()
        alert_id = await made(connection, CREATE_ALERT, title="Disk full", severity="CRITICAL")
        await first.wait_for(1)
        first_after = time.monotonic() - started
        assert not second.received
        await second.wait_for(1)
        second_after = time.monotonic() - started
        await made(connection, ACKNOWLEDGE, alertId=alert_id)
        alert = await eventually(connection, alert_id, "DELIVERY_SKIPPED")
        # As long as level 3 would have needed, and longer.
        await asyncio.sleep(5)
        after = await seen(connection, alert_id)

    assert first_after < 2
    assert 3 <= second_after < 6
    assert second.received[0].json["data"]["responder"] == "Ada"
    assert second.received[0].json["data"]["level"] == 2
    # Nobody was woken there; that it is over may be told.
    assert {received.json["type"] for received in third.received} <= {"alert.acknowledged"}
    assert (alert["status"], alert["escalationLevel"]) == ("ACKNOWLEDGED", 2)
    assert after["escalationLevel"] == 2
    ends = {
        (one["channelName"], one["level"]): one["status"] for one in after["deliveries"]["nodes"] if one["level"]
    }
    assert ends == {("level 1", 1): "SENT", ("level 2", 2): "SENT", ("level 3", 2): "SKIPPED"}


async def test_a_link_in_a_page_asks_first_and_then_acknowledges(tenant: RunningService) -> None:
    async with provider() as phone, wire(tenant.url, tenant.admin_key) as connection:
        channel_id = await a_webhook(connection, phone)
        ada = await made(connection, CREATE_RESPONDER, name="Ada", contactMethods=[{"channelId": channel_id}])
        await a_rule(connection, ("PT1H", {"responderId": ada}))
        alert_id = await made(connection, CREATE_ALERT, title="Disk full", severity="CRITICAL")
        await phone.wait_for(1)
        link = phone.received[0].json["data"]["actions"]["acknowledge"]
        async with httpx2.AsyncClient(verify=False) as browser:
            asked = await browser.get(link)
            before = await seen(connection, alert_id)
            once = re.search(r'name="once" value="([0-9a-f]{32})"', asked.text)
            assert once is not None
            done = await browser.post(link, data={"once": once[1]})
            forged = await browser.post(link[:-1] + ("A" if link[-1] != "A" else "B"))
        alert = await seen(connection, alert_id)

    assert link.startswith(f"{tenant.url}/act/")
    assert asked.status_code == 200
    assert "Disk full" in asked.text
    assert "Nothing was done so far." in asked.text
    assert before["status"] == "TRIGGERED"
    assert done.status_code == 200
    assert (alert["status"], alert["acknowledgedBy"]) == ("ACKNOWLEDGED", {"kind": "PERSON", "name": "Ada"})
    assert forged.status_code == 404
