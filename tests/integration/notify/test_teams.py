"""Cards for Teams, read by Microsoft's own parser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from alertgraph.core.channel import Channel, ChannelKind, TeamsConfig
from alertgraph.core.delivery import Purpose
from alertgraph.core.message import Message
from alertgraph.core.severity import Severity
from alertgraph.notify.guard import Guard
from alertgraph.notify.http import HttpPoster
from alertgraph.notify.teams import TeamsAdapter, built_in_text, envelope
from tests.conformance.node import failed, run_suite
from tests.factories import an_alert
from tests.integration.notify.messages import (
    ACTIONS,
    LINK,
    a_bundle,
    a_channel,
    a_huge_alert,
    a_message,
    a_test_message,
    an_update,
)
from tests.integration.notify.provider import Received, Reply, answers, checks, provider
from tests.virtual import VirtualClock

PATH = "/workflows/5ECRET/triggers/manual/paths/invoke?sig=S1GNATURE"
MESSAGES = [
    a_message(),
    a_message(an_alert(severity=Severity.CRITICAL, description="one\n\ntwo\r\nthree")),
    a_message(an_alert(title="[click](https://evil.example.com) **now** <at>Ada</at>", labels={})),
    a_message(a_huge_alert()),
    a_message(a_huge_alert(description="a\n" * 12_000)),
    a_message(purpose=Purpose.ASSIGNMENT),
    a_bundle(2),
    a_bundle(1_000),
    an_update("ACKNOWLEDGED"),
    an_update("RESOLVED", actions={}),
    a_test_message(),
]


@pytest.fixture
async def adapter() -> AsyncIterator[TeamsAdapter]:
    poster = HttpPoster(Guard(allow_private=True), VirtualClock(), timeout=timedelta(seconds=5))
    yield TeamsAdapter(poster)
    await poster.aclose()


def workflow(received: Received) -> Reply:
    """Answer as a Workflows webhook with the Teams template does: it takes one form of body only."""
    if received.method != "POST" or received.target != PATH:
        return Reply.of_json(401, {"error": {"code": "DirectApiAuthorizationRequired"}})
    body = received.json
    if len(received.body) > 28 * 1024:
        return Reply.of_json(413, {"error": {"code": "RequestEntityTooLarge"}})
    attachments = body.get("attachments")
    if body.get("type") != "message" or not isinstance(attachments, list) or len(attachments) != 1:
        return Reply.of_json(400, {"error": {"code": "TriggerInputSchemaMismatch"}})
    attachment = attachments[0]
    if attachment["contentType"] != "application/vnd.microsoft.card.adaptive":
        return Reply.of_json(400, {"error": {"code": "TriggerInputSchemaMismatch"}})
    if attachment["content"]["type"] != "AdaptiveCard" or attachment["content"]["version"] > "1.5":
        return Reply.of_json(400, {"error": {"code": "TriggerInputSchemaMismatch"}})
    return Reply(202)


def _channel(**fields: Any) -> Channel:
    return a_channel(ChannelKind.TEAMS, TeamsConfig("prod-1.logic.azure.com"), **fields)


def _card(message: Message) -> dict[str, Any]:
    card: dict[str, Any] = envelope(message, built_in_text(message))["attachments"][0]["content"]
    return card


def _texts(card: dict[str, Any]) -> list[str]:
    return [run["text"] for block in card["body"] for run in block["inlines"]]


def test_microsoft_s_parser_finds_nothing_wrong_with_any_card(tmp_path: Path) -> None:
    cards = tmp_path / "cards.json"
    cards.write_bytes(orjson.dumps([_card(message) for message in MESSAGES]))

    checked = run_suite("card_check.mjs", str(cards), "")

    assert failed(checked) == []
    assert len(checked) == len(MESSAGES)


def test_microsoft_s_parser_would_find_what_is_wrong(tmp_path: Path) -> None:
    card = _card(a_message())
    broken = [
        card | {"body": [*card["body"], {"type": "TextBlok", "text": "?"}]},
        card
        | {"body": [{"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": "x", "color": "Red"}]}]},
        card | {"actions": [{"type": "Action.OpenUrl", "title": "no address"}]},
        card | {"actions": [{"type": "Action.Ring", "title": "no such action"}]},
    ]
    cards = tmp_path / "cards.json"
    cards.write_bytes(orjson.dumps(broken))

    checked = run_suite("card_check.mjs", str(cards), "")
    assert [check.ok for check in checked] == [False] * len(broken)


@pytest.mark.parametrize("message", MESSAGES)
async def test_a_workflow_takes_every_sort_of_message(adapter: TeamsAdapter, message: Message) -> None:
    async with provider(checks(workflow)) as server:
        result = await adapter.send(_channel(), {"workflowUrl": server.url + PATH}, None, message)

    assert result.error is None
    assert result.delivered
    assert result.status_code == 202
    assert server.last.json["attachments"][0]["content"] == _card(message)


def test_a_card_tells_what_there_is_to_know() -> None:
    card = _card(a_message())

    assert card["version"] == "1.5"
    assert card["msteams"] == {"width": "full"}
    assert card["body"][0]["inlines"][0]["color"] == "Attention"
    assert _texts(card) == [
        "[HIGH] High latency (checkout)",
        "p99 above 2 s",
        "Status: triggered",
        "Source: prometheus",
        "Service: checkout",
        "Since: 2026-11-23 12:00 UTC",
        "Labels: alertname=HighLatency, job=api",
        "For: Ada, level 1",
        "prometheus triggered the alert.",
    ]


def test_buttons_open_the_signed_links_and_nothing_else() -> None:
    actions = _card(a_message())["actions"]

    assert {action["type"] for action in actions} == {"Action.OpenUrl"}
    assert [action["url"] for action in actions] == [*ACTIONS.values(), LINK]
    assert [action["title"] for action in actions] == ["Acknowledge", "Escalate", "Resolve", "Silence", "Open"]


def test_texts_of_alerts_are_plain_texts() -> None:
    """Only in runs of a RichTextBlock nothing is Markdown."""
    card = _card(a_message(an_alert(title="[click](https://evil.example.com)")))

    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    assert {run["type"] for block in card["body"] for run in block["inlines"]} == {"TextRun"}
    assert "[click](https://evil.example.com)" in _texts(card)[0]


def test_a_storm_names_what_fits_and_says_how_much_does_not() -> None:
    texts = _texts(_card(a_bundle(1_000)))

    assert texts[0] == "[HIGH] 1000 alerts, the worst: Disk 0 is full"
    assert texts[1] == "[HIGH] Disk 0 is full (checkout)"
    assert texts[-1].startswith("… and ")


@pytest.mark.parametrize("change", ["UPDATED", "ESCALATED", "REPEATED", "NOTED"])
async def test_small_changes_make_no_card(adapter: TeamsAdapter, change: str) -> None:
    async with provider() as server:
        result = await adapter.send(_channel(), {"workflowUrl": server.url}, None, an_update(change))

    assert result.delivered
    assert server.received == []


async def test_the_template_makes_the_text(adapter: TeamsAdapter) -> None:
    channel = _channel(template="{{ service }}\n{% for a in alerts %}\n- {{ a.title }}\n{% endfor %}")
    async with provider(checks(workflow)) as server:
        await adapter.send(channel, {"workflowUrl": server.url + PATH}, None, a_bundle(2))

    content = server.last.json["attachments"][0]["content"]
    assert _texts(content)[1:] == ["checkout", "- Disk 0 is full", "- Disk 1 is full"]
    assert adapter.render(channel, a_message()).text == "checkout\n- High latency\n"


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 502])
async def test_a_refusal_does_not_tell_the_secret_address(adapter: TeamsAdapter, status: int) -> None:
    async with provider(answers(status, b"5ECRET S1GNATURE")) as server:
        result = await adapter.send(_channel(), {"workflowUrl": server.url + PATH}, None, a_message())

    assert not result.delivered
    assert result.retryable is (status in (429, 500, 502))
    assert "5ECRET" not in (result.error or "")
    assert "S1GNATURE" not in (result.error or "")


async def test_a_200_that_hides_a_refusal_is_none(adapter: TeamsAdapter) -> None:
    text = b"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ..."
    async with provider(answers(200, text)) as server:
        result = await adapter.send(_channel(), {"workflowUrl": server.url}, None, a_message())

    assert not result.delivered
    assert result.retryable


async def test_without_an_address_nothing_is_sent(adapter: TeamsAdapter) -> None:
    assert (await adapter.send(_channel(), {}, None, a_message())).error == "The channel has no workflow URL."
