"""Slack as its documentation has it: what it is sent, and what each of its answers comes to."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block

from alertgraph.core.alert import Alert, AlertStatus, Link
from alertgraph.core.channel import Channel, ChannelKind, SlackConfig
from alertgraph.core.delivery import Purpose
from alertgraph.core.errors import InputError
from alertgraph.core.ids import ChannelId, DeliveryId
from alertgraph.core.message import Message, SendResult
from alertgraph.core.severity import Severity
from alertgraph.notify.guard import Guard
from alertgraph.notify.http import HttpPoster
from alertgraph.notify.slack import SlackAdapter, SlackReplies
from tests.factories import ADA, T0, an_alert, an_id
from tests.integration.notify.provider import Provider, Received, Reply, answers, checks, hangs, resets
from tests.strategies import alerts as any_alerts
from tests.virtual import VirtualClock

TOKEN = "xoxb-1-secret"
SECRETS = {"botToken": TOKEN, "signingSecret": "s1gn1ng"}
TOKENS = {name: f"{name}-{'t' * 130}" for name in ("acknowledge", "escalate", "resolve", "silence")}
# What Slack's documentation of each method wants.
METHODS = {"chat.postMessage": {"channel", "text"}, "chat.update": {"channel", "ts", "text"}}
TEXT_TOTAL_MAX = 10_000


class Slack:
    """Plays Slack: checks what is documented, keeps messages, and fails as it is told.

    Attributes:
        messages: By channel and ts, as they were posted or last changed.
        calls: Method and body of each call, in order.
        errors: What the next calls of a method answer in place of ok.
    """

    def __init__(self) -> None:
        self.messages: dict[tuple[str, str], dict[str, Any]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.errors: dict[str, list[str]] = {}

    def __call__(self, received: Received) -> Reply:
        """Answer a call."""
        method = received.target.removeprefix("/api/")
        assert received.method == "POST"
        if received.headers.get("authorization") != f"Bearer {TOKEN}":
            return _said(ok=False, error="invalid_auth")
        if not received.headers.get("content-type", "").startswith("application/json"):
            return _said(ok=False, error="invalid_post_type")
        body = received.json
        if method not in METHODS or METHODS[method] - body.keys():
            return _said(ok=False, error="invalid_arguments")
        self.calls.append((method, body))
        if self.errors.get(method):
            return _said(ok=False, error=self.errors[method].pop(0))
        check_blocks(body)
        # Slack answers with the id of the channel, also where it was called by its name, or a person was.
        channel = "C0" + body["channel"].strip("#")[-6:].upper() if body["channel"][0] in "#U" else body["channel"]
        if method == "chat.update":
            if (channel, body["ts"]) not in self.messages:
                return _said(ok=False, error="message_not_found")
            self.messages[channel, body["ts"]] |= body
            return _said(ok=True, channel=channel, ts=body["ts"])
        if "thread_ts" in body and (channel, body["thread_ts"]) not in self.messages:
            return _said(ok=False, error="thread_not_found")
        ts = f"1700000000.{len(self.messages):06}"
        self.messages[channel, ts] = body
        return _said(ok=True, channel=channel, ts=ts, message=body)

    def of(self, method: str) -> list[dict[str, Any]]:
        """Return the bodies of all calls of a method."""
        return [body for called, body in self.calls if called == method]


def _said(**fields: Any) -> Reply:
    return Reply.of_json(200, fields)


def check_blocks(body: dict[str, Any]) -> None:
    """Let blocks pass that slack-sdk's own validators, and Slack's limits beyond those, let pass."""
    blocks = body.get("blocks", [])
    assert len(blocks) <= 50
    parsed = Block.parse_all(blocks)
    assert len(parsed) == len(blocks)
    for block, said in zip(parsed, blocks, strict=True):
        assert block.to_dict() == said, "nothing is lost, so that every part was understood"
        _validate(block)
    texts = list(_texts(blocks))
    assert all(texts)
    assert sum(map(len, texts)) <= TEXT_TOTAL_MAX
    assert len(body["text"]) <= 4000
    for element in (element for said in blocks if said["type"] == "actions" for element in said["elements"]):
        assert len(element["value"]) <= 2000
        assert len(element["action_id"]) <= 255
        assert len(element["text"]["text"]) <= 75
    for field in (field for said in blocks for field in said.get("fields", [])):
        assert len(field["text"]) <= 2000


def _validate(part: Any) -> None:
    part.validate_json()
    for name in ("text", "fields", "elements", "accessory", "confirm"):
        inner = getattr(part, name, None)
        for item in inner if isinstance(inner, list) else [inner]:
            if hasattr(item, "validate_json"):
                _validate(item)


def _texts(value: object) -> Any:
    if isinstance(value, dict):
        if isinstance(value.get("text"), str):
            yield value["text"]
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


class Sender:
    """Sends messages over a channel of the server that plays Slack."""

    def __init__(self, server: Provider, timeout: timedelta) -> None:
        self.slack = Slack()
        self.server = server
        server.plays = [checks(self.slack)]
        self.poster = HttpPoster(Guard(allow_private=True), VirtualClock())
        self.adapter = SlackAdapter(self.poster, timeout=timeout)
        self.channel = Channel(
            ChannelId(UUID(int=1)), "ops", ChannelKind.SLACK, SlackConfig("#ops", f"{server.url}/api")
        )

    async def __call__(
        self, message: Message, *, to: str | None = None, template: str | None = None
    ) -> SendResult:
        return await self.adapter.send(replace(self.channel, template=template), SECRETS, to, message)


@asynccontextmanager
async def a_sender(patience: timedelta = timedelta(seconds=5)) -> AsyncIterator[Sender]:
    async with Provider() as server:
        sender = Sender(server, patience)
        try:
            yield sender
        finally:
            await sender.poster.aclose()


@cache
def a_previewer() -> SlackAdapter:
    """Return an adapter that sends nothing."""
    return SlackAdapter(HttpPoster(Guard(), VirtualClock()))


@pytest.fixture
async def send() -> AsyncIterator[Sender]:
    async with a_sender() as sender:
        yield sender


def a_page(*alerts: Alert, **fields: Any) -> Message:
    page = Message(
        DeliveryId(UUID(int=77)),
        "Acme",
        Purpose.PAGE,
        alerts or (an_alert(severity=Severity.CRITICAL, description="p99 is 3 s."),),
        T0,
        level=1,
        responder="Ada",
        timeline=("prometheus triggered the alert.", "Level 1 was reached."),
        tokens=TOKENS,
        link="https://alerts.example/alerts/1",
    )
    return replace(page, **fields)


def news(change: str, alert: Alert, receipt: str | None) -> Message:
    return a_page(alert, purpose=Purpose.UPDATE, change=change, receipt=receipt, level=0, responder=None)


def text_of(body: dict[str, Any]) -> str:
    return "\n".join(_texts(body["blocks"]))


def buttons_of(body: dict[str, Any]) -> dict[str, str]:
    return {
        element["action_id"]: element["value"]
        for block in body["blocks"]
        if block["type"] == "actions"
        for element in block["elements"]
    }


# ------------------------------------------------------------------------------------------- contents


async def test_a_page_is_posted_with_all_that_somebody_needs_at_night(send: Sender) -> None:
    result = await send(a_page())

    assert result.delivered
    ((method, body),) = send.slack.calls
    assert (method, body["channel"]) == ("chat.postMessage", "#ops")
    assert body["blocks"][0]["text"]["text"] == "🔴 CRITICAL: High latency"
    for wanted in ("p99 is 3 s.", "checkout", "Ada", "Level 1 was reached.", "job=api", "https://alerts.example/"):
        assert wanted in text_of(body)
    assert buttons_of(body) == {f"alertgraph.{name}": token for name, token in TOKENS.items()}
    # What a telephone shows without opening the message.
    assert body["text"] == "[CRITICAL] High latency (checkout)"
    assert body["metadata"]["event_payload"]["delivery_id"] == str(a_page().id)
    assert (body["unfurl_links"], body["unfurl_media"]) == (False, False)
    assert orjson.loads(result.receipt or "")["ts"] == "1700000000.000000"


async def test_a_person_is_told_in_place_of_the_channel(send: Sender) -> None:
    await send(a_page(), to="U024BE7LH")

    assert send.slack.calls[0][1]["channel"] == "U024BE7LH"


@pytest.mark.parametrize(
    ("alert", "shown"),
    [
        (an_alert(), {"acknowledge", "escalate", "resolve", "silence"}),
        (an_alert(status=AlertStatus.ACKNOWLEDGED), {"escalate", "resolve", "silence"}),
        (an_alert(resolved_at=T0), set()),
    ],
    ids=["triggered", "acknowledged", "resolved"],
)
async def test_buttons_are_those_that_can_do_something(send: Sender, alert: Alert, shown: set[str]) -> None:
    await send(a_page(alert))

    assert buttons_of(send.slack.calls[0][1]).keys() == {f"alertgraph.{name}" for name in shown}


async def test_only_ending_an_alert_is_asked_twice(send: Sender) -> None:
    await send(a_page())

    (actions,) = (block for block in send.slack.calls[0][1]["blocks"] if block["type"] == "actions")
    elements = actions["elements"]
    assert [element["action_id"] for element in elements if "confirm" in element] == ["alertgraph.resolve"]


async def test_an_alert_mentions_nobody_and_links_nowhere_by_itself(send: Sender) -> None:
    bad = "<!channel> <@U1> <https://evil.example|Acknowledge> & *bold*"
    alert = an_alert(title=bad, description=bad, source=bad, monitored_service=bad, labels={bad: bad})
    alert = replace(alert, links=(Link("https://ok.example/?a=1|x>&b=<!here>", bad),))
    for template in (None, "{{ title }} {{ labels | tojson }}"):
        await send(a_page(alert, timeline=(bad,), responder=bad), template=template)

    for body in send.slack.of("chat.postMessage"):
        # A header is plain text, in which Slack finds no markup.
        shown = [*_texts(body["blocks"][1:]), body["text"]]
        assert all("<!" not in text.replace("<!date^", "") and "<@" not in text for text in shown)
        assert all("<https://evil.example|" not in text for text in shown)
        assert body["blocks"][0]["text"] == {
            "type": "plain_text",
            "emoji": False,
            "text": f"🟠 HIGH: {bad}",
        }


async def test_a_runbook_can_be_followed(send: Sender) -> None:
    described = "See https://run.example/a?b=1&c=2. And <https://x.example>, (http://y.example/z)"
    await send(a_page(replace(an_alert(description=described), links=(Link("https://g.example/d", "Graph"),))))

    shown = text_of(send.slack.calls[0][1])
    for link in ("<https://run.example/a?b=1&amp;c=2>.", "<https://x.example>", "<http://y.example/z>)"):
        assert link in shown
    assert "<https://g.example/d|Graph>" in shown


async def test_a_template_makes_the_text_and_the_buttons_stay(send: Sender) -> None:
    await send(a_page(), template="*{{ title }}* of {{ tenant }}, for {{ responder }}")

    body = send.slack.calls[0][1]
    assert "*High latency* of Acme, for Ada" in text_of(body)
    assert body["text"] == "*High latency* of Acme, for Ada"
    assert "p99 is 3 s." not in text_of(body)
    assert len(buttons_of(body)) == 4


async def test_a_template_that_fails_holds_no_page_up(send: Sender) -> None:
    assert (await send(a_page(), template="{{ labels.absent }}")).delivered
    assert "p99 is 3 s." in text_of(send.slack.calls[0][1])
    with pytest.raises(InputError, match="line 1"):
        send.adapter.render(replace(send.channel, template="{{ labels.absent }}"), a_page())


def test_a_preview_is_what_would_be_posted() -> None:
    channel = Channel(ChannelId(UUID(int=1)), "ops", ChannelKind.SLACK, SlackConfig("#ops"))

    rendered = a_previewer().render(channel, a_page())

    assert rendered.subject == "[CRITICAL] High latency (checkout)"
    assert "p99 is 3 s." in rendered.text
    assert isinstance(rendered.payload, dict)
    assert rendered.payload["channel"] == "#ops"
    check_blocks(rendered.payload)
    assert TOKEN not in str(rendered)


@pytest.mark.parametrize("count", [2, 40, 220, 5000])
async def test_a_bundle_is_one_message_that_names_all_it_has_room_for(send: Sender, count: int) -> None:
    alerts = [an_alert(id=an_id(number), title=f"<Alert {number}> {'&' * 50}") for number in range(count)]
    await send(a_page(*alerts, tokens={}, link=None, more_count=7))

    (body,) = send.slack.of("chat.postMessage")
    shown = text_of(body)
    named = sum(f"Alert {number}&gt;" in shown for number in range(count))
    assert named == count if count <= 40 else named >= 150
    assert f"… and {count - named + 7} more." in shown
    assert buttons_of(body) == {}


async def test_a_channel_can_be_tried_with_no_alert_at_hand(send: Sender) -> None:
    assert (await send(Message(DeliveryId(UUID(int=1)), "Acme", Purpose.TEST, (), T0))).delivered
    assert "nothing to do" in text_of(send.slack.calls[0][1])


@given(
    st.lists(any_alerts(), max_size=3),
    st.sampled_from(Purpose),
    st.text(max_size=200),
    st.lists(st.text(max_size=400), max_size=8),
    st.none() | st.text(max_size=300),
)
def test_slack_takes_whatever_there_is_to_tell(
    alerts: list[Alert], purpose: Purpose, name: str, timeline: list[str], link: str | None
) -> None:
    channel = Channel(ChannelId(UUID(int=1)), "ops", ChannelKind.SLACK, SlackConfig("#ops"))
    message = Message(
        DeliveryId(UUID(int=1)),
        name,
        purpose,
        # A sign of life is about no alert.
        tuple(alerts) if purpose is not Purpose.ALIVE else (),
        T0,
        responder=name,
        timeline=tuple(timeline),
        link=link,
    )
    rendered = a_previewer().render(channel, message)

    assert isinstance(rendered.payload, dict)
    check_blocks(orjson.loads(orjson.dumps(rendered.payload)))


async def test_the_longest_alert_there_can_be_fits(send: Sender) -> None:
    alert = an_alert(
        title="&" * 1024,
        description="&" * 25_000,
        source="<" * 256,
        monitored_service="<" * 256,
        labels={f"l{n}{'&' * 250}": "&" * 4096 for n in range(64)},
        status=AlertStatus.ACKNOWLEDGED,
        acknowledged_by=replace(ADA, name="&" * 256),
        occurrence_count=2**31 - 1,
        links=tuple(Link(f"https://x.example/{n}{'&' * 300}", "&" * 256) for n in range(20)),
    )
    message = a_page(
        alert, responder="&" * 256, timeline=("&" * 9000,) * 30, link="https://x.example/" + "&" * 2000
    )

    assert (await send(message)).delivered
    assert (await send(message, template="https://x.example/&a " * 500)).delivered


# -------------------------------------------------------------------------------------------- changes


async def test_a_change_is_shown_in_place_and_told_in_the_thread(send: Sender) -> None:
    posted = await send(a_page())
    taken = an_alert(status=AlertStatus.ACKNOWLEDGED)
    # Others were told in the meantime, which is no news to this thread.
    message = replace(
        news("ACKNOWLEDGED", taken, posted.receipt),
        news="Ada acknowledged the alert.",
        timeline=("Ada acknowledged the alert.", "pagers was told."),
    )

    result = await send(message)

    assert result == SendResult(delivered=True, status_code=200, receipt=posted.receipt)
    (original, reply) = send.slack.messages.values()
    assert original["blocks"][0]["text"]["text"].startswith("👀")
    assert "Acknowledged by Ada" in text_of(original)
    assert reply["thread_ts"] == "1700000000.000000"
    assert reply["text"] == "Ada acknowledged the alert."
    assert "reply_broadcast" not in reply


async def test_a_change_of_what_was_never_told_is_no_news(send: Sender) -> None:
    for receipt in (None, "", "x", "[]", "{}", '{"channel": "C1"}', '{"channel": 1, "ts": 2}'):
        assert (await send(news("RESOLVED", an_alert(resolved_at=T0), receipt))).delivered
    assert send.slack.calls == []


async def test_a_change_of_a_message_that_was_deleted_is_no_failure(send: Sender) -> None:
    receipt = '{"channel": "C1", "ts": "1.0", "to": ""}'

    assert await send(news("RESOLVED", an_alert(resolved_at=T0), receipt)) == SendResult(
        delivered=True, status_code=200, receipt=receipt
    )


async def test_a_change_that_fails_halfway_is_done_again(send: Sender) -> None:
    posted = await send(a_page())
    send.slack.errors = {"chat.postMessage": ["internal_error"]}
    message = news("RESOLVED", an_alert(resolved_at=T0), posted.receipt)

    first, second = await send(message), await send(message)

    assert (first.delivered, first.retryable) == (False, True)
    assert second.delivered
    assert len(send.slack.messages) == 2


async def test_a_higher_level_pages_in_the_thread_for_the_whole_channel_to_see(send: Sender) -> None:
    posted = await send(a_page())

    result = await send(a_page(level=2, responder="Bea", receipt=posted.receipt))

    assert result == SendResult(delivered=True, status_code=200, receipt=posted.receipt)
    (original, reply) = send.slack.messages.values()
    assert (reply["thread_ts"], reply["reply_broadcast"]) == ("1700000000.000000", True)
    assert reply["text"] == "Level 2, for Bea: [CRITICAL] High latency (checkout)"
    assert "*Level*\n2" in text_of(original)


async def test_a_page_in_the_thread_stands_whatever_becomes_of_the_message_above(send: Sender) -> None:
    posted = await send(a_page())
    send.slack.errors = {"chat.update": ["internal_error"]}

    assert (await send(a_page(level=2, receipt=posted.receipt))).delivered
    assert len(send.slack.messages) == 2


async def test_a_page_in_a_thread_that_is_gone_is_posted_anew(send: Sender) -> None:
    posted = await send(a_page())
    send.slack.messages.clear()

    result = await send(a_page(level=2, receipt=posted.receipt))

    assert result.delivered
    (message,) = send.slack.messages.values()
    assert "thread_ts" not in message
    assert len(buttons_of(message)) == 4


async def test_a_page_for_another_person_is_a_message_to_them(send: Sender) -> None:
    posted = await send(a_page(), to="U024BE7LH")

    await send(a_page(level=2, receipt=posted.receipt), to="U061F7AUR")

    assert [body["channel"] for body in send.slack.of("chat.postMessage")] == ["U024BE7LH", "U061F7AUR"]
    # Where somebody is reached is personal, and receipts are kept in plain text.
    assert "U024BE7LH" not in (posted.receipt or "")


async def test_a_bundle_is_not_rewritten_for_one_of_its_alerts(send: Sender) -> None:
    posted = await send(a_page(an_alert(), an_alert(id=an_id(2)), tokens={}))

    await send(news("RESOLVED", an_alert(resolved_at=T0), posted.receipt))
    await send(a_page(level=2, receipt=posted.receipt))

    assert send.slack.of("chat.update") == []
    bundle, reply, page = send.slack.messages.values()
    assert "2 alerts" in text_of(bundle)
    assert reply["text"] == "Resolved: [HIGH] High latency (checkout)"
    assert "thread_ts" not in page


# -------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        ("channel_not_found", False),
        ("not_in_channel", False),
        ("is_archived", False),
        ("token_revoked", False),
        ("account_inactive", False),
        ("something_new", False),
        ("ratelimited", True),
        ("internal_error", True),
        ("fatal_error", True),
        ("service_unavailable", True),
    ],
)
async def test_errors_with_status_200_are_errors(send: Sender, error: str, retryable: bool) -> None:
    send.slack.errors = {"chat.postMessage": [error]}

    result = await send(a_page())

    assert (result.delivered, result.retryable, result.gone) == (False, retryable, False)
    assert error in str(result.error)


async def test_a_page_that_slack_dislikes_the_looks_of_arrives_all_the_same(send: Sender) -> None:
    posted = await send(a_page())
    for error in ("invalid_blocks", "msg_blocks_too_long"):
        send.slack.errors = {"chat.postMessage": [error], "chat.update": [error]}
        assert (await send(a_page())).delivered
        assert (await send(news("RESOLVED", an_alert(resolved_at=T0), posted.receipt))).delivered

    assert "blocks" not in send.slack.of("chat.postMessage")[2]
    # Without an empty list Slack would leave the old blocks, and buttons, where they are.
    assert send.slack.of("chat.update")[1]["blocks"] == []


@pytest.mark.parametrize(
    ("play", "status", "retryable", "wait"),
    [
        (answers(429, Retry_After="30"), 429, True, 30),
        (answers(500), 500, True, None),
        (answers(503, Retry_After="5"), 503, True, 5),
        (answers(404), 404, False, None),
        (answers(302, Location="https://evil.example/"), 302, False, None),
        (resets, None, True, None),
        (answers(200, b""), 200, True, None),
        (answers(200, b"<html>"), 200, True, None),
        (answers(200, b"[]"), 200, True, None),
        (answers(200, b'{"ok": false}'), 200, True, None),
        (answers(200, b'{"ok": "yes", "error": 5}'), 200, True, None),
    ],
)
async def test_answers_that_are_no_answers(
    send: Sender, play: Any, status: int | None, retryable: bool, wait: int | None
) -> None:
    send.server.plays = [play]

    result = await send(a_page())

    assert (result.delivered, result.status_code, result.retryable) == (False, status, retryable)
    assert result.retry_after == (timedelta(seconds=wait) if wait else None)


async def test_a_slack_that_hangs_is_left_in_time() -> None:
    async with a_sender(timedelta(seconds=0.3)) as send:
        posted = await send(a_page())
        # The thread takes the page, and then nothing is heard any more.
        send.server.plays = [checks(send.slack), hangs]
        started = time.monotonic()
        paged = await send(a_page(level=2, receipt=posted.receipt))
        lost = await send(a_page())

        assert time.monotonic() - started < 3
    assert paged.delivered
    assert (lost.delivered, lost.retryable, lost.error) == (False, True, "Slack did not answer in time.")


@pytest.mark.parametrize("token", ["", "x\r\nHost: evil", "ünicode"])
async def test_a_token_that_is_none_is_not_tried(send: Sender, token: str) -> None:
    result = await send.adapter.send(send.channel, {"botToken": token}, None, a_page())

    assert (result.delivered, result.retryable) == (False, False)
    assert send.server.received == []


async def test_no_error_tells_a_secret_or_a_persons_address(send: Sender) -> None:
    send.slack.errors = {"chat.postMessage": [f"bad {TOKEN} for U024BE7LH"]}

    result = await send(a_page(), to="U024BE7LH")

    assert TOKEN not in str(result.error)
    assert "U024BE7LH" not in str(result.error)


async def test_an_api_url_on_the_inside_is_not_called(send: Sender) -> None:
    guarded = HttpPoster(Guard(), VirtualClock())
    try:
        result = await SlackAdapter(guarded).send(send.channel, SECRETS, None, a_page())
    finally:
        await guarded.aclose()

    assert (result.delivered, result.retryable) == (False, False)
    assert send.server.received == []


# -------------------------------------------------------------------------------------------- replies


async def test_a_reply_is_seen_by_who_pressed_alone(send: Sender) -> None:
    replies = SlackReplies(send.poster, allow_private_targets=True)
    send.server.plays = [answers(200, b"ok")]

    assert await replies.reply(f"{send.server.url}/actions/1", "Acknowledged: <!channel> & more") is None

    assert send.server.last.headers["content-type"].startswith("application/json")
    assert send.server.last.json == {
        "response_type": "ephemeral",
        "replace_original": False,
        "text": "Acknowledged: &lt;!channel&gt; &amp; more",
    }


@pytest.mark.parametrize(
    "make",
    [
        lambda url: url,
        lambda url: url.replace("127.0.0.1", "localhost"),
        lambda _: "http://hooks.slack.com/actions/1",
        lambda _: "https://hooks.slack.com.evil.example/actions/1",
        lambda _: "https://hooks.slack.com@evil.example/actions/1",
        lambda _: "https://hooks.slack.com:8443/actions/1",
        lambda _: "https://[hooks.slack.com/",
        lambda _: "https://hooks.slack.com:port/",
        lambda _: "",
    ],
)
async def test_a_reply_goes_to_slack_and_nowhere_else(send: Sender, make: Callable[[str], str]) -> None:
    assert await SlackReplies(send.poster).reply(make(send.server.url), "hello") is not None
    assert send.server.received == []


async def test_a_reply_that_fails_says_so(send: Sender) -> None:
    send.server.plays = [answers(404, b"expired_url")]

    error = await SlackReplies(send.poster, allow_private_targets=True).reply(f"{send.server.url}/a", "hello")

    assert "404" in str(error)
