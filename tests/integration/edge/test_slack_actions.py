"""Buttons pressed in Slack: only what Slack signed counts, it is answered in time, and done once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import httpx2
import orjson
import pytest
from slack_sdk.signature import Clock as SlackClock
from slack_sdk.signature import SignatureVerifier

from alertgraph.core.action import Acknowledge
from alertgraph.core.action_token import ChatAction, sign
from alertgraph.core.alert import AlertStatus
from alertgraph.core.errors import DependencyError
from alertgraph.core.event import EventKind
from alertgraph.core.ids import ChannelId
from alertgraph.edge import slack_actions as module
from alertgraph.edge.slack_actions import SLACK_ACTIONS_PATH, is_signed, slack_routes
from alertgraph.notify.guard import Guard
from alertgraph.notify.http import HttpPoster
from alertgraph.notify.slack import SlackReplies
from tests.acting import ADA_IN_SLACK, KEY, SIGNING_SECRET, Acting, client
from tests.factories import DAY, MINUTE, SECOND, TENANT
from tests.integration.notify.provider import answers, provider

RESPONSE_URL = "https://hooks.slack.com/actions/T1/2/3"


@dataclass
class Replies:
    """Where people are told how it ended."""

    told: list[tuple[str, str]] = field(default_factory=list)
    error: str | None = None

    async def reply(self, url: str, text: str) -> str | None:
        self.told.append((url, text))
        return self.error


class Slack:
    """Presses buttons as Slack does, signed by slack-sdk.

    Attributes:
        secret: What it signs with.
    """

    def __init__(self, acting: Acting) -> None:
        self.acting = acting
        self.replies = Replies()
        self.secret = SIGNING_SECRET
        self._signing_secret = acting.actions.signing_secret
        routes = slack_routes(acting.gate, acting.actions, KEY, self._looked_up, self.replies, acting.watcher)
        self.http = client(routes)
        self.lookup_pause = 0.0

    async def _looked_up(self, *ids: Any) -> str | None:
        await asyncio.sleep(self.lookup_pause)
        return await self._signing_secret(*ids)

    def payload(self, action: ChatAction = ChatAction.ACKNOWLEDGE, **fields: Any) -> dict[str, Any]:
        """Return what Slack says of a press, as its documentation shows it."""
        token = fields.pop("token", None) or self.acting.token(action, channel_id=self.acting.slack_id)
        return {
            "type": "block_actions",
            "team": {"id": "T9TK3CUKW", "domain": "example"},
            "user": {"id": "UA8RXUSPL", "username": "jtorrance", "name": "jtorrance", "team_id": "T9TK3CUKW"},
            "api_app_id": "AABA1ABCD",
            "token": "9s8d9as89d8as9d8as989",
            "container": {"type": "message", "message_ts": "1548261231.000200", "channel_id": "CBR2V3XEX"},
            "trigger_id": "12321423423.333649436676.d8c1bb837935619ccad0f624c448ffb3",
            "channel": {"id": "CBR2V3XEX", "name": "review-updates"},
            "message": {"type": "message", "ts": "1548261231.000200", "text": "…", "blocks": []},
            "response_url": RESPONSE_URL,
            "actions": [
                {
                    "action_id": "alertgraph.acknowledge",
                    "block_id": "alertgraph.actions",
                    "text": {"type": "plain_text", "text": "Acknowledge", "emoji": True},
                    "value": token,
                    "type": "button",
                    "action_ts": "1548426417.840180",
                }
            ],
            **fields,
        }

    def headers(self, body: bytes, at: float | None = None) -> dict[str, str]:
        """Return the headers that slack-sdk signs a body with."""
        timestamp = str(int(at if at is not None else self.acting.clock.now().timestamp()))
        signature = SignatureVerifier(self.secret).generate_signature(timestamp=timestamp, body=body)
        assert signature is not None
        return {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": signature,
        }

    async def send(self, payload: object, headers: Mapping[str, str] | None = None) -> httpx2.Response:
        """Send an interaction."""
        body = urlencode({"payload": orjson.dumps(payload)}).encode()
        return await self.http.post(
            SLACK_ACTIONS_PATH, content=body, headers={**self.headers(body), **(headers or {})}
        )

    async def press(self, action: ChatAction = ChatAction.ACKNOWLEDGE, **fields: Any) -> httpx2.Response:
        """Press a button of our message."""
        return await self.send(self.payload(action, **fields))


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    slack = Slack(await Acting().set_up())
    async with slack.http:
        yield slack


# ------------------------------------------------------------------------------------------- presses


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        (ChatAction.ACKNOWLEDGE, "Acknowledged: High latency"),
        (ChatAction.ESCALATE, "Escalated to level 1: High latency"),
        (ChatAction.RESOLVE, "Resolved: High latency"),
        (ChatAction.SILENCE_1H, "Silenced until 13:00 UTC: High latency"),
    ],
)
async def test_a_press_is_done_before_slack_hears_that_it_arrived(
    slack: Slack, action: ChatAction, sentence: str
) -> None:
    got = await slack.press(action)

    # Slack would show a body in the channel.
    assert (got.status_code, got.content) == (200, b"")
    assert len(slack.acting.events) == 1
    assert slack.replies.told == [(RESPONSE_URL, sentence)]


async def test_a_press_is_done_in_the_name_of_who_pressed(slack: Slack) -> None:
    await slack.press()
    await slack.press(ChatAction.RESOLVE, user={"id": ADA_IN_SLACK, "name": "ada.l"}, trigger_id="2")

    assert [(event.actor.name, event.actor.reference) for event in slack.acting.events] == [
        ("jtorrance", "slack:T9TK3CUKW:UA8RXUSPL"),
        ("Ada", f"slack:T9TK3CUKW:{ADA_IN_SLACK}"),
    ]
    assert {principal.tenant.id for principal in slack.acting.spent} == {TENANT}


async def test_a_replayed_request_is_done_once(slack: Slack) -> None:
    body = urlencode({"payload": orjson.dumps(slack.payload(ChatAction.ESCALATE))}).encode()
    headers = slack.headers(body)
    for _ in range(3):
        assert (await slack.http.post(SLACK_ACTIONS_PATH, content=body, headers=headers)).status_code == 200
        slack.acting.clock.advance(MINUTE)

    assert slack.acting.alert.escalation_level == 1


async def test_another_press_of_the_same_button_is_done_again(slack: Slack) -> None:
    for trigger in ("1", "2"):
        await slack.press(ChatAction.ESCALATE, trigger_id=trigger)

    assert slack.acting.alert.escalation_level == 2


async def test_replayed_at_once_it_is_done_once(slack: Slack) -> None:
    payload = slack.payload(ChatAction.ESCALATE)

    await asyncio.gather(*(slack.send(payload) for _ in range(8)))

    assert slack.acting.alert.escalation_level == 1


async def test_what_was_done_meanwhile_is_said_to_who_pressed(slack: Slack) -> None:
    await slack.acting.act(Acknowledge)

    await slack.press()

    assert slack.replies.told[0][1] == "Acknowledged already, by admin key: High latency"


async def test_an_expired_button_does_nothing_and_says_why(slack: Slack) -> None:
    payload = slack.payload()
    slack.acting.clock.advance(DAY)

    got = await slack.send(payload)

    assert got.status_code == 200
    assert "good until 2026-11-24 12:00 UTC" in slack.replies.told[0][1]
    assert slack.acting.events == []


async def test_a_channel_that_is_gone_has_no_secret_to_be_signed_by(slack: Slack) -> None:
    slack.acting.set_catalog(channels={})

    assert (await slack.press()).status_code == 401


async def test_other_interactions_are_taken_and_left_alone(slack: Slack) -> None:
    for payload in (
        slack.payload(actions=[]),
        slack.payload(actions=[{"action_id": "other", "value": "x"}, "x", None]),
        slack.payload(type="view_submission"),
        {"type": "message_action"},
    ):
        assert (await slack.send(payload)).status_code == 200
    assert slack.acting.events == []
    assert slack.replies.told == []


# ---------------------------------------------------------------------------------------- signatures


def test_slacks_own_example_is_signed() -> None:
    # https://docs.slack.dev/authentication/verifying-requests-from-slack
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"

    assert is_signed(SIGNING_SECRET, "1531420618", body, signature)
    assert not is_signed(SIGNING_SECRET, "1531420619", body, signature)
    assert not is_signed(SIGNING_SECRET, "1531420618", body + b"x", signature)


@pytest.mark.parametrize("body", [b"", b"payload=%7B%7D", "payload=ü".encode(), b"a" * 10_000])
def test_slack_sdk_verifies_what_we_do(body: bytes) -> None:
    class AtThatTime(SlackClock):
        def now(self) -> float:
            return 1531420618

    verifier = SignatureVerifier(SIGNING_SECRET, AtThatTime())
    signature = verifier.generate_signature(timestamp="1531420618", body=body)
    assert signature is not None

    for candidate in (signature, signature[:-1], signature.upper(), "v0=", "", "v1" + signature[2:]):
        ours = is_signed(SIGNING_SECRET, "1531420618", body, candidate)
        assert ours is verifier.is_valid(body, "1531420618", candidate)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Slack-Signature": "v0=" + "0" * 64},
        {"X-Slack-Signature": ""},
        {"X-Slack-Signature": "v0=\u00fc".encode("latin-1").decode("latin-1")},
        {"X-Slack-Request-Timestamp": ""},
        {"X-Slack-Request-Timestamp": "now"},
        {"X-Slack-Request-Timestamp": "-1"},
        {"X-Slack-Request-Timestamp": "1e9"},
        {"X-Slack-Request-Timestamp": "9" * 30},
        {"X-Slack-Request-Timestamp": "1795435201"},
    ],
)
async def test_what_slack_did_not_sign_is_refused(slack: Slack, headers: dict[str, str]) -> None:
    payload = slack.payload()
    body = urlencode({"payload": orjson.dumps(payload)}).encode()
    raw = {**slack.headers(body), **headers}

    got = await slack.http.post(
        SLACK_ACTIONS_PATH, content=body, headers={name: value.encode("latin-1") for name, value in raw.items()}
    )

    assert got.status_code == 401
    assert slack.acting.events == []
    assert slack.replies.told == []


@pytest.mark.parametrize(
    ("age", "status"), [(0, 200), (299, 200), (300, 200), (301, 401), (-300, 200), (-301, 401)]
)
async def test_a_request_is_good_for_five_minutes(slack: Slack, age: int, status: int) -> None:
    body = urlencode({"payload": orjson.dumps(slack.payload())}).encode()
    headers = slack.headers(body, slack.acting.clock.now().timestamp() - age)

    assert (await slack.http.post(SLACK_ACTIONS_PATH, content=body, headers=headers)).status_code == status


async def test_a_body_changed_on_its_way_is_refused(slack: Slack) -> None:
    body = urlencode({"payload": orjson.dumps(slack.payload())}).encode()
    headers = slack.headers(body)

    got = await slack.http.post(
        SLACK_ACTIONS_PATH, content=body.replace(b"jtorrance", b"jtorrence"), headers=headers
    )

    assert got.status_code == 401
    assert slack.acting.events == []


async def test_another_apps_secret_signs_nothing_here(slack: Slack) -> None:
    slack.secret = "another app's"

    assert (await slack.press()).status_code == 401
    assert slack.acting.events == []


async def test_a_token_for_another_channel_is_not_covered_by_this_ones_secret(slack: Slack) -> None:
    # Whoever runs one Slack app may not press the buttons of messages that other channels carried.
    for channel_id in (slack.acting.mail_id, ChannelId(UUID(int=9))):
        token = slack.acting.token(channel_id=channel_id)
        assert (await slack.press(token=token)).status_code == 401
    assert slack.acting.events == []


async def test_a_forged_button_is_refused_before_anything_is_looked_up(slack: Slack) -> None:
    slack.acting.away = DependencyError("postgresql", retryable=True)
    token = slack.acting.token(channel_id=slack.acting.slack_id)

    for forged in ("x", token[:-1], "A" * 142, sign(slack.acting.claim(), bytes(32)), 5, {"a": 1}):
        assert (await slack.press(token=forged)).status_code == 401


# --------------------------------------------------------------------------------------- other bodies


async def test_slack_tries_the_address(slack: Slack) -> None:
    challenge = {"token": "x", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}

    got = await slack.http.post(SLACK_ACTIONS_PATH, json={**challenge, "type": "url_verification"})
    checked = await slack.http.post(SLACK_ACTIONS_PATH, data={"ssl_check": "1", "token": "x"})

    assert (got.status_code, got.json()) == (200, {"challenge": challenge["challenge"]})
    assert got.headers["content-type"] == "application/json"
    assert checked.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"payload=",
        b"payload=x",
        b"payload=[]",
        b"payload=%22x%22",
        b"payload=" + b"[" * 100_000,
        b"payload=%ff%fe",
        b"payload=%7B%22type%22%3A%22block_actions%22%7D",
        b"payload=%7B%22type%22%3A%22block_actions%22%2C%22actions%22%3A5%7D",
        b"&".join(b"a%d=1" % n for n in range(100)),
        b"{",
        b"{}",
        b'{"type": "url_verification"}',
        b'{"type": "event_callback", "challenge": "x"}',
        b"\xff\xfe\x00",
    ],
)
async def test_whatever_else_comes_is_a_clear_400(slack: Slack, body: bytes) -> None:
    got = await slack.http.post(SLACK_ACTIONS_PATH, content=body, headers=slack.headers(b""))

    assert got.status_code == 400
    assert got.json()["code"] == "BAD_REQUEST"


async def test_a_body_beyond_all_measure_is_refused(slack: Slack) -> None:
    body = b"payload=" + b"x" * module.BODY_BYTES_MAX

    assert (await slack.http.post(SLACK_ACTIONS_PATH, content=body)).status_code == 413


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_only_post_is_taken(slack: Slack, method: str) -> None:
    got = await slack.http.request(method, SLACK_ACTIONS_PATH)

    assert (got.status_code, got.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "fields",
    [
        {"user": None},
        {"user": "x"},
        {"user": {"id": 5}},
        {"user": {"id": "U" * 5000, "name": "\x00" * 5000}},
        {"team": None, "trigger_id": None},
        {"response_url": None},
        {"response_url": 5},
    ],
)
async def test_what_is_missing_holds_nothing_up(slack: Slack, fields: dict[str, Any]) -> None:
    assert (await slack.press(**fields)).status_code == 200
    assert slack.acting.alert.status is AlertStatus.ACKNOWLEDGED


# -------------------------------------------------------------------------------------------- delays


async def test_what_takes_longer_than_slack_waits_goes_on_after_the_answer(
    slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_WITHIN", SECOND / 5)
    slow = asyncio.Event()
    slack.acting.log.pause = slow.wait  # type: ignore[assignment]  # it returns True where None is wanted
    answered = asyncio.Event()
    app = slack.http._transport.app  # type: ignore[attr-defined]  # ASGITransport has it

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            await send(message)
            if message["type"] == "http.response.body":
                answered.set()

        await app(scope, receive, sent)

    slack.http._transport.app = watched  # type: ignore[attr-defined]  # ASGITransport has it
    started_at = time.monotonic()
    press = asyncio.create_task(slack.press())
    async with asyncio.timeout(5):
        await answered.wait()
    assert time.monotonic() - started_at < 1
    assert slack.replies.told == []
    assert slack.acting.events == []
    slow.set()
    await press

    assert [event.kind for event in slack.acting.events] == [EventKind.ACKNOWLEDGED]
    assert slack.replies.told == [(RESPONSE_URL, "Acknowledged: High latency")]


async def test_a_lookup_that_hangs_is_told_to_slack_in_time(slack: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_WITHIN", SECOND / 5)
    slack.lookup_pause = 30

    async with asyncio.timeout(2):
        got = await slack.press()

    # Slack shows who pressed that it went wrong.
    assert got.status_code == 503
    assert slack.acting.events == []


async def test_a_store_that_fails_under_way_is_told_to_who_pressed(slack: Slack) -> None:
    body = slack.payload()
    lookup = slack._signing_secret

    async def and_then_it_is_away(*ids: Any) -> str | None:
        secret = await lookup(*ids)
        slack.acting.away = DependencyError("postgresql", retryable=True)
        return secret

    slack._signing_secret = and_then_it_is_away  # type: ignore[method-assign]  # for once

    assert (await slack.send(body)).status_code == 200
    assert "press again" in slack.replies.told[0][1]
    assert slack.acting.events == []


async def test_a_reply_that_fails_undoes_nothing(slack: Slack) -> None:
    slack.replies.error = "The provider answered 404."

    assert (await slack.press()).status_code == 200
    assert slack.acting.alert.status is AlertStatus.ACKNOWLEDGED


async def test_the_reply_reaches_where_slack_says(slack: Slack) -> None:
    async with provider(answers(200, b"ok")) as server:
        poster = HttpPoster(Guard(allow_private=True), slack.acting.clock)
        try:
            slack.replies.reply = SlackReplies(poster, allow_private_targets=True).reply  # type: ignore[method-assign]
            await slack.press(response_url=f"{server.url}/actions/1")
        finally:
            await poster.aclose()

        assert server.last.json["text"] == "Acknowledged: High latency"
        assert server.last.json["response_type"] == "ephemeral"
