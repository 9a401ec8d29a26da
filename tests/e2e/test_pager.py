"""A page's way from the alert to the person, and back: a service, its database, and providers on loopback."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import httpx2
import orjson
import pytest
from slack_sdk.signature import SignatureVerifier
from standardwebhooks.webhooks import WebhookVerificationError

from alertgraph.core.action_token import read, sign
from alertgraph.edge.slack_actions import SLACK_ACTIONS_PATH
from alertgraph.storage.secrets import MasterKey
from tests.integration.notify.provider import Provider, Received, Reply, answers, checks, provider
from tests.running import MASTER_KEY, RunningService, ServiceProcess, environment_of, new_tenant
from tests.servers import DatabaseServers, free_port
from tests.wire import Wire, wire

# The process is started once, for all tests.
pytestmark = pytest.mark.xdist_group("pager")

CHANNELS_MD = Path(__file__).parents[2] / "docs" / "channels.md"
FALLBACK_WITHIN_SECONDS = 30.0
# After that Slack shows whoever pressed a button that the app did not answer.
SLACK_WAITS_SECONDS = 3.0
SLACK_USER = {"id": "UA8RXUSPL", "username": "jtorrance", "name": "jtorrance", "team_id": "T9TK3CUKW"}
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
TEST_CHANNEL = """mutation Test($id: ID!) {
  testNotificationChannel(input: {id: $id}) { delivered detail errors { code message } } }"""
KINDS = "{ notificationChannels(first: 50) { nodes { kind } } }"
SILENCES = """query Alert($id: ID!) { alert(id: $id) { silencedBy { endsAt createdBy { name } } } }"""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the service tells all that it ever tells."""
    return tmp_path_factory.mktemp("pager") / "log"


@pytest.fixture(scope="module")
def paging(database_servers: DatabaseServers, log: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A service as a process of its own, which may send to loopback: its URL and its variables."""
    port = free_port()
    with database_servers.get("wheel").database(migrated=True) as url:
        environment = environment_of(
            url,
            CRITICAL_ALERT_ALLOW_PRIVATE_TARGETS="true",
            CRITICAL_ALERT_PUBLIC_URL=f"http://127.0.0.1:{port}",
            CRITICAL_ALERT_LOG_LEVEL="debug",
        )
        process = ServiceProcess(environment, port)
        try:
            process.start(log)
            yield process.url, environment
        finally:
            process.kill()


@pytest.fixture
def tenant(paging: tuple[str, dict[str, str]]) -> RunningService:
    """A tenant of its own on it."""
    return new_tenant(*paging, f"t-{uuid4().hex[:12]}")


@pytest.fixture
def neighbour(paging: tuple[str, dict[str, str]]) -> RunningService:
    """Another one."""
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
    # No page shows alerts to people, so no message leads to one.
    assert phone.received[0].json["data"]["url"] is None
    assert asked.status_code == 200
    assert "Disk full" in asked.text
    assert "Nothing was done so far." in asked.text
    assert before["status"] == "TRIGGERED"
    assert done.status_code == 200
    assert (alert["status"], alert["acknowledgedBy"]) == ("ACKNOWLEDGED", {"kind": "PERSON", "name": "Ada"})
    assert forged.status_code == 404


async def test_what_channels_know_and_send_is_in_no_log(tenant: RunningService, log: Path) -> None:
    secrets = [f"kanarie-{uuid4().hex}" for _ in range(4)]
    in_url, in_header, bot_token, in_workflow = secrets
    async with (
        provider() as taken,
        provider(answers(500)) as failing,
        wire(tenant.url, tenant.admin_key) as connection,
    ):
        for to in (taken, failing):
            for name, config in (
                ("webhook", {"url": f"{to.url}/{in_url}", "headers": {"Authorization": f"Bearer {in_header}"}}),
                ("slack", {"botToken": bot_token, "channel": "C1", "apiUrl": f"{to.url}/api/"}),
                ("teams", {"workflowUrl": f"{to.url}/invoke?sig={in_workflow}"}),
            ):
                channel_id = await made(
                    connection, CREATE_CHANNEL, name=f"{name} {to.port}", config={name: config}
                )
                assert (await connection.graphql(TEST_CHANNEL, {"id": channel_id})).status == 200

    assert len(taken.received) == len(failing.received) == 3
    told = await asyncio.to_thread(log.read_text, encoding="utf-8")
    assert "debug" in told
    assert [secret for secret in secrets if secret in told] == []


# ------------------------------------------------------------------------------------ docs/channels.md


def printed(language: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the blocks of docs/channels.md in a language, with the variables behind them."""
    blocks = re.findall(
        rf"```{language}\n(.*?)```(?:\n\n```json\n(.*?)```)?", CHANNELS_MD.read_text(encoding="utf-8"), re.DOTALL
    )
    return [(block, orjson.loads(variables or "{}")) for block, variables in blocks]


async def test_every_printed_channel_can_be_made(tenant: RunningService) -> None:
    async with wire(tenant.url, tenant.admin_key) as connection:

        async def done(operation: str, variables: dict[str, Any]) -> Any:
            reply = (await connection.graphql(operation, variables)).json()
            assert "errors" not in reply, (operation, reply["errors"])
            [payload] = reply["data"].values()
            assert payload.get("errors", []) == [], operation
            return payload

        # What makes channels first: everything else is about one of them.
        operations = sorted(printed("graphql"), key=lambda block: "createNotificationChannel" not in block[0])
        ids: list[str] = []
        for operation, variables in operations:
            if "createNotificationChannel" in operation:
                ids.append((await done(operation, variables))["notificationChannel"]["id"])
                continue
            # Those that were made last are of the presets: to test one of them asks nobody outside.
            named = {"id": ids[-1], "fallbackId": ids[0], "phones": ids[0], "calls": ids[-1]}
            if "testNotificationChannel" not in operation:
                wanted = {name: value for name, value in named.items() if f"${name}:" in operation}
                await done(operation, wanted | variables)
        kinds = (await done(KINDS, {}))["nodes"]

    assert {channel["kind"] for channel in kinds} == {"SLACK", "TEAMS", "PAGERDUTY", "WEBHOOK", "EMAIL"}
    assert len(kinds) == len(ids) == 8


async def test_the_printed_receiver_knows_our_signature(tenant: RunningService) -> None:
    [(create, _)] = [block for block in printed("graphql") if "webhookSecret" in block[0]]
    [(receiver, _)] = printed("python")
    [(test, _)] = [block for block in printed("graphql") if "testNotificationChannel" in block[0]]
    names: dict[str, Any] = {}
    exec(receiver, names)
    async with provider() as server, wire(tenant.url, tenant.admin_key) as connection:
        create = create.replace("https://hooks.example.com", server.url)
        payload = (await connection.graphql(create)).json()["data"]["createNotificationChannel"]
        tested = await connection.graphql(test, {"id": payload["notificationChannel"]["id"]})

    assert tested.json()["data"]["testNotificationChannel"]["delivered"] is True
    got, verified = server.last, names["verified"]
    assert verified(payload["webhookSecret"], dict(got.headers), got.body)["type"] == "alert.test"
    for secret, headers, body in (
        (payload["webhookSecret"], got.headers, got.body.replace(b"alert.test", b"alert.page")),
        (payload["webhookSecret"], {**got.headers, "webhook-id": "dlv_another"}, got.body),
        ("whsec_" + "A" * 44, got.headers, got.body),
    ):
        with pytest.raises(WebhookVerificationError):
            verified(secret, dict(headers), body)


# ---------------------------------------------------------------------------------- buttons in Slack


@dataclass
class Workspace:
    """A Slack workspace on loopback with our app in a channel, whose buttons somebody presses.

    Attributes:
        web_api: Where the service calls the Web API, and where it tells people how a press ended.
        service: Where Slack sends what was pressed.
        signing_secret: The app's, as slack-sdk signs with it.
    """

    web_api: Provider
    service: RunningService
    browser: httpx2.AsyncClient
    signing_secret: str = field(default_factory=lambda: uuid4().hex)

    async def channel(self, connection: Wire, name: str = "slack", **fields: Any) -> str:
        """Set the app up as a channel of a tenant; return its id."""
        config = {
            "botToken": f"xoxb-{uuid4().hex}",
            "signingSecret": self.signing_secret,
            "channel": "C1",
            "apiUrl": f"{self.web_api.url}/api/",
        }
        return await made(connection, CREATE_CHANNEL, name=name, config={"slack": config}, **fields)

    def calls(self, method: str) -> list[dict[str, Any]]:
        """Return what was said by calls of a method so far."""
        return [received.json for received in self.web_api.received if received.target == f"/api/{method}"]

    @property
    def told(self) -> list[str]:
        """What was told to nobody but who pressed."""
        replies = [received.json for received in self.web_api.received if received.target == "/response"]
        assert all(reply["response_type"] == "ephemeral" for reply in replies)
        return [reply["text"] for reply in replies]

    async def calls_of(self, method: str, count: int) -> list[dict[str, Any]]:
        """Return the calls of a method once there are that many."""
        async with asyncio.timeout(FALLBACK_WITHIN_SECONDS):
            while len(found := self.calls(method)) < count:
                await self.web_api.wait_for(len(self.web_api.received) + 1)
        return found

    async def press(
        self, message: dict[str, Any], action: str, *, token: str | None = None, **how: Any
    ) -> httpx2.Response:
        """Press a button of a message, as Slack tells of it.

        Args:
            message: What chat.postMessage or chat.update said.
            action: Of the button.
            token: Its value, where not the message's own.
            **how: `age` of the request, or the `secret` to sign with, where they are not right.
        """
        pressed = button(message, action)
        body = urlencode(
            {
                "payload": orjson.dumps(
                    {
                        "type": "block_actions",
                        "team": {"id": "T9TK3CUKW", "domain": "example"},
                        "user": SLACK_USER,
                        "trigger_id": uuid4().hex,
                        "channel": {"id": "C1", "name": "on-call"},
                        "message": {"type": "message", "ts": "1.000001", **message},
                        "response_url": f"{self.web_api.url}/response",
                        "actions": [
                            {**pressed, "value": token or pressed["value"], "action_ts": f"{time.time():.6f}"}
                        ],
                    }
                ).decode()
            }
        )
        timestamp = str(int(time.time() - how.get("age", 0)))
        verifier = SignatureVerifier(how.get("secret", self.signing_secret))
        signature = verifier.generate_signature(timestamp=timestamp, body=body)
        assert signature is not None
        started = time.monotonic()
        answer = await self.browser.post(
            f"{self.service.url}{SLACK_ACTIONS_PATH}",
            content=body,
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "X-Slack-Request-Timestamp": timestamp,
                "X-Slack-Signature": signature,
            },
        )
        assert time.monotonic() - started < SLACK_WAITS_SECONDS
        return answer


def web_api() -> Any:
    """Return what plays Slack's Web API: every message gets a `ts` of its own, by which it can be updated."""
    posted = 0

    def judge(received: Received) -> Reply:
        nonlocal posted
        match received.target:
            case "/api/chat.postMessage":
                posted += 1
                said = {"ok": True, "channel": "C1", "ts": f"{posted}.000001", "message": received.json}
            case "/api/chat.update":
                said = {"ok": True, "channel": "C1", "ts": received.json["ts"], "text": received.json["text"]}
            case "/response":
                said = {"ok": True}
            case _:
                said = {"ok": False, "error": "unknown_method"}
        return Reply.of_json(200, said)

    return checks(judge)


def button(message: dict[str, Any], action: str) -> dict[str, Any]:
    """Return a message's button."""
    [blocks] = [block["elements"] for block in message["blocks"] if block["type"] == "actions"]
    [found] = [element for element in blocks if element["action_id"] == f"alertgraph.{action}"]
    return dict(found)


def labels_of(message: dict[str, Any]) -> list[str]:
    """Return what stands on a message's buttons."""
    actions = [block["elements"] for block in message["blocks"] if block["type"] == "actions"]
    return [element["text"]["text"] for elements in actions for element in elements]


def fields_of(message: dict[str, Any]) -> str:
    """Return what a message says of its alert in short: status, level."""
    fields = [one["text"] for block in message["blocks"] for one in block.get("fields", ())]
    return "; ".join(field.replace("*", "").replace("\n", " ") for field in fields)


@pytest.fixture
async def workspace(tenant: RunningService) -> AsyncIterator[Workspace]:
    async with provider(web_api()) as slack, httpx2.AsyncClient(verify=False) as browser:
        yield Workspace(slack, tenant, browser)


async def test_pressed_in_slack_an_alert_is_taken_and_the_message_says_so(
    tenant: RunningService, workspace: Workspace
) -> None:
    async with wire(tenant.url, tenant.admin_key) as connection:
        slack_id = await workspace.channel(connection)
        await a_rule(connection, ("PT1H", {"channelId": slack_id}))
        alert_id = await made(connection, CREATE_ALERT, title="Disk full", severity="CRITICAL")
        [page] = await workspace.calls_of("chat.postMessage", 1)
        before = await seen(connection, alert_id)
        answer = await workspace.press(page, "acknowledge")
        alert = await seen(connection, alert_id)
        [update] = await workspace.calls_of("chat.update", 1)
        [_, reply] = await workspace.calls_of("chat.postMessage", 2)

    assert page["channel"] == "C1"
    assert labels_of(page) == ["Acknowledge", "Escalate", "Resolve", "Silence 1 h"]
    assert before["status"] == "TRIGGERED"
    # Slack would show whatever was answered in the channel.
    assert (answer.status_code, answer.content) == (200, b"")
    assert (alert["status"], alert["acknowledgedBy"]) == (
        "ACKNOWLEDGED",
        {"kind": "PERSON", "name": "jtorrance"},
    )
    assert workspace.told == ["Acknowledged: Disk full"]
    # The same message, now without the button that was pressed.
    assert (update["channel"], update["ts"]) == ("C1", "1.000001")
    assert "Status Acknowledged by jtorrance" in fields_of(update)
    assert labels_of(update) == ["Escalate", "Resolve", "Silence 1 h"]
    # And in its thread, what happened.
    assert (reply["channel"], reply["thread_ts"]) == ("C1", "1.000001")
    assert reply["text"] == "jtorrance acknowledged the alert."
    assert "blocks" not in reply


async def test_escalate_resolve_and_silence_are_buttons_too(tenant: RunningService, workspace: Workspace) -> None:
    async with provider() as second, wire(tenant.url, tenant.admin_key) as connection:
        slack_id = await workspace.channel(connection)
        second_id = await a_webhook(connection, second)
        await a_rule(connection, ("PT1H", {"channelId": slack_id}), ("PT1H", {"channelId": second_id}))
        alert_id = await made(connection, CREATE_ALERT, title="Disk full", severity="CRITICAL")
        [page] = await workspace.calls_of("chat.postMessage", 1)

        assert (await workspace.press(page, "silence")).status_code == 200
        silences = (await connection.graphql(SILENCES, {"id": alert_id})).json()["data"]["alert"]["silencedBy"]
        assert (await workspace.press(page, "escalate")).status_code == 200
        await second.wait_for(1)
        escalated = await seen(connection, alert_id)
        [update] = await workspace.calls_of("chat.update", 1)
        assert (await workspace.press(update, "resolve")).status_code == 200
        resolved = await seen(connection, alert_id)
        last = (await workspace.calls_of("chat.update", 2))[-1]
        thread = (await workspace.calls_of("chat.postMessage", 3))[1:]

    silenced_for = datetime.fromisoformat(silences[0]["endsAt"]) - datetime.now(UTC)
    assert timedelta(minutes=59) < silenced_for <= timedelta(hours=1)
    assert silences[0]["createdBy"] == {"name": "jtorrance"}
    # Whoever escalates by hand wants the next level told, silence or not.
    assert second.received[0].json["data"]["level"] == 2
    assert escalated["escalationLevel"] == 2
    assert "Level 2" in fields_of(update)
    assert (resolved["status"], resolved["escalationLevel"]) == ("RESOLVED", 2)
    assert {call["ts"] for call in workspace.calls("chat.update")} == {"1.000001"}
    assert labels_of(last) == []
    assert "Status Resolved by jtorrance" in fields_of(last)
    assert {call["thread_ts"] for call in thread} == {"1.000001"}
    news = [call["text"] for call in thread]
    assert news[0] == "jtorrance escalated the alert to level 2: webhook is told."
    assert news[1].startswith("jtorrance resolved the alert")
    told = workspace.told
    assert re.fullmatch(r"Silenced until \d\d:\d\d UTC: Disk full", told[0])
    assert told[1:] == ["Escalated to level 2: Disk full", "Resolved: Disk full"]


async def test_a_press_that_is_not_slacks_or_not_this_tenants_or_too_old_changes_nothing(
    tenant: RunningService, neighbour: RunningService, workspace: Workspace
) -> None:
    theirs = Workspace(workspace.web_api, neighbour, workspace.browser)
    pages = []
    async with (
        wire(tenant.url, tenant.admin_key) as connection,
        wire(neighbour.url, neighbour.admin_key) as their_connection,
    ):
        alert_ids = []
        for side, to in ((workspace, connection), (theirs, their_connection)):
            await a_rule(to, ("PT1H", {"channelId": await side.channel(to)}))
            alert_ids.append(await made(to, CREATE_ALERT, title="Disk full", severity="CRITICAL"))
            pages.append((await workspace.calls_of("chat.postMessage", len(alert_ids)))[-1])
            await eventually(to, alert_ids[-1], "DELIVERY_SENT")
        before = [await seen(connection, alert_ids[0]), await seen(their_connection, alert_ids[1])]
        key = MasterKey.parse(MASTER_KEY).action_key
        good, foreign = (button(page, "acknowledge")["value"] for page in pages)
        now = datetime.now(UTC)
        expired = sign(replace(read(good, key, now), expires_at=now - timedelta(seconds=1)), key)

        refused = [
            (await workspace.press(pages[0], "acknowledge", **how)).status_code
            for how in (
                {"secret": "0" * 32},
                # One's own app signs well, but nothing of the other tenant's, and the other way round.
                {"secret": theirs.signing_secret},
                {"token": foreign},
                {"age": 330},
                {"age": -330},
                {"token": good[:-2] + ("AA" if good[-2:] != "AA" else "BB")},
            )
        ]
        told_before = workspace.told
        # This is Slack's, and an hour ago it was good: so the person who pressed is told why nothing happens.
        late = await workspace.press(pages[0], "acknowledge", token=expired)
        after = [await seen(connection, alert_ids[0]), await seen(their_connection, alert_ids[1])]
        taken = await workspace.press(pages[0], "acknowledge")
        at_last = await seen(connection, alert_ids[0])

    assert refused == [401] * 6
    assert told_before == []
    assert late.status_code == 200
    assert workspace.told[0].startswith("This link or button was good until")
    assert after == before
    # Nothing but what was wrong stood in the way.
    assert taken.status_code == 200
    assert at_last["status"] == "ACKNOWLEDGED"
