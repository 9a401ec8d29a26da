"""Microsoft Teams: Adaptive Cards through a Workflows webhook.

A webhook can post, and neither change what it posted nor be answered: so a change is a card of its own, where it
is one that people wait for, and the buttons open signed links to a page that asks before it acts. All texts stand
in RichTextBlocks, whose runs are plain: nothing in an alert becomes Markdown, a link or a mention.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import orjson

from alertgraph.core.alert import Alert
from alertgraph.core.channel import Channel
from alertgraph.core.delivery import Purpose
from alertgraph.core.message import Message, Rendered, SendResult
from alertgraph.core.severity import Severity
from alertgraph.notify.http import HttpPoster, failed
from alertgraph.notify.templates import cut, headline, remark, render_text, send_text

CARD_CONTENT_TYPE = "application/vnd.microsoft.card.adaptive"
CARD_SCHEMA = "http://adaptivecards.io/schemas/adaptive-card.json"
CARD_VERSION = "1.5"
# Teams takes 28 KB for the whole message; a little stays free for what the workflow puts around it.
MESSAGE_BYTES_MAX = 27_000
HEADLINE_LENGTH_MAX = 500
ACTION_COUNT_MAX = 6

# How many lines of how many characters: the first that fit are taken.
_SIZES = ((60, 1_000), (60, 300), (30, 200), (10, 100))
_COLORS = {
    Severity.CRITICAL: "Attention",
    Severity.HIGH: "Attention",
    Severity.MEDIUM: "Warning",
    Severity.LOW: "Accent",
    Severity.INFO: "Accent",
}
_CHANGES_TOLD = frozenset({"ACKNOWLEDGED", "REOPENED", "RESOLVED", "UNACKNOWLEDGED"})
_TIMELINE_LENGTH_MAX = 5
# A retired connector answers 200 and says in the text that Teams refused.
_HIDDEN_REFUSAL = b"HTTP error "


class TeamsAdapter:
    """Posts cards."""

    def __init__(self, poster: HttpPoster) -> None:
        self._poster = poster

    async def send(
        self,
        channel: Channel,
        secrets: Mapping[str, str],
        address: str | None,  # noqa: ARG002 # a workflow posts to one place
        message: Message,
    ) -> SendResult:
        """Make one attempt and return what came of it."""
        url = secrets.get("workflowUrl")
        if not url:
            return failed("The channel has no workflow URL.")
        if message.purpose is Purpose.UPDATE and message.change not in _CHANGES_TOLD:
            return SendResult(delivered=True)
        body = orjson.dumps(envelope(message, send_text(channel.template, message, built_in_text(message))))
        answer = await self._poster.post(url, headers={"Content-Type": "application/json"}, content=body)
        if answer.result.delivered and _HIDDEN_REFUSAL in answer.body:
            return replace(
                answer.result,
                delivered=False,
                error="Teams refused the message, though the webhook answered as if it had not.",
                retryable=True,
            )
        return answer.result

    def render(self, channel: Channel, message: Message) -> Rendered:
        """Return what would be sent."""
        text = render_text(channel.template, message, built_in_text(message))
        return Rendered(headline(message), text, envelope(message, text))


def built_in_text(message: Message) -> str:
    """Return what stands below the headline."""
    return "\n".join(_lines(message))


def _lines(message: Message) -> Iterator[str]:
    match message.alerts:
        case ():
            yield remark(message)
        case (alert,):
            if alert.description:
                yield alert.description
            yield f"Status: {alert.status.name.lower()}"
            yield f"Source: {alert.source}"
            if alert.monitored_service:
                yield f"Service: {alert.monitored_service}"
            yield f"Since: {alert.triggered_at:%Y-%m-%d %H:%M} UTC"
            if alert.labels:
                yield "Labels: " + ", ".join(f"{name}={value}" for name, value in sorted(alert.labels.items()))
        case alerts:
            yield from (f"[{alert.severity.name}] {alert.title}{_of_service(alert)}" for alert in alerts)
    if message.responder is not None:
        yield f"For: {message.responder}" + (f", level {message.level}" if message.level else "")
    yield from message.timeline[-_TIMELINE_LENGTH_MAX:]


def _of_service(alert: Alert) -> str:
    return f" ({alert.monitored_service})" if alert.monitored_service else ""


def envelope(message: Message, text: str) -> dict[str, Any]:
    """Return the message that a workflow takes, with its card, short enough for Teams."""
    for line_count_max, line_length_max in _SIZES:
        card = _card(message, text, line_count_max, line_length_max)
        body = {
            "type": "message",
            "attachments": [{"contentType": CARD_CONTENT_TYPE, "contentUrl": None, "content": card}],
        }
        if len(orjson.dumps(body)) <= MESSAGE_BYTES_MAX:
            break
    return body


def _card(message: Message, text: str, line_count_max: int, line_length_max: int) -> dict[str, Any]:
    lines = [line for line in text.splitlines() if line.strip()]
    left_out = len(lines) - line_count_max
    if left_out > 0:
        lines = [*lines[:line_count_max], f"… and {left_out:,} more lines"]
    severity = message.alerts[0].severity if message.alerts else Severity.INFO
    title = {"size": "Large", "weight": "Bolder", "color": _COLORS[severity]}
    card: dict[str, Any] = {
        "$schema": CARD_SCHEMA,
        "type": "AdaptiveCard",
        "version": CARD_VERSION,
        "msteams": {"width": "full"},
        "body": [
            _block(cut(headline(message), HEADLINE_LENGTH_MAX), title),
            *(_block(cut(line, line_length_max), {}) for line in lines),
        ],
    }
    actions = [
        {"type": "Action.OpenUrl", "title": name.replace("_", " ").capitalize(), "url": url}
        for name, url in message.actions.items()
    ]
    if message.link is not None:
        actions.append({"type": "Action.OpenUrl", "title": "Open", "url": message.link})
    if actions:
        card["actions"] = actions[:ACTION_COUNT_MAX]
    return card


def _block(text: str, style: Mapping[str, str]) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}
