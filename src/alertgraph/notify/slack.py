"""Slack: one message an alert with buttons, kept up to date in place, its thread for what happens.

The Web API is called by our own poster rather than by slack-sdk's client: that one needs aiohttp, or a thread for
every call, and connects wherever `apiUrl` points; ours is guarded, bounded in time, and shared. The blocks are
built with slack-sdk's models, whose validators know Slack's limits.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import orjson
from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ConfirmObject,
    ContextBlock,
    HeaderBlock,
    MarkdownTextObject,
    PlainTextObject,
    SectionBlock,
)

from alertgraph.core.action_token import BUTTON_ID_PREFIX
from alertgraph.core.alert import Alert, AlertStatus
from alertgraph.core.channel import Channel, SlackConfig
from alertgraph.core.delivery import Purpose
from alertgraph.core.message import Message, Rendered, SendResult
from alertgraph.core.severity import Severity
from alertgraph.notify.http import ATTEMPT_TIMEOUT, Answer, HttpPoster, failed, without_secrets
from alertgraph.notify.templates import change_words, cut, headline, instant, plain_text, render_text, send_text

# A little less than an attempt may take: it may be several calls, and one that hangs can't undo what another did.
SEND_WITHIN = ATTEMPT_TIMEOUT - timedelta(seconds=1)
API_URL = "https://slack.com/api"
REPLY_HOSTS = frozenset({"hooks.slack.com", "hooks.slack-gov.com"})

# Slack's own limits, and an undocumented one of some 13,000 characters for all the text of a message together
# (slackapi/bolt-js#2509); the parts below come to less than 10,000.
BLOCK_COUNT_MAX = 50
HEADING_LENGTH_MAX = 150
TEXT_LENGTH_MAX = 2_900
FIELD_LENGTH_MAX = 200
LABELS_LENGTH_MAX = 900
LINK_COUNT_MAX = 5
LINK_LENGTH_MAX = 400
LINK_NAME_LENGTH_MAX = 80
LINKED_COUNT_MAX = 40
TIMELINE_LENGTH_MAX = 1_200
TIMELINE_SHOWN_MAX = 5
BUNDLE_LENGTH_MAX = 8_500
BUNDLE_LINE_LENGTH_MIN = 40
BUNDLE_LINE_LENGTH_MAX = 200
ERROR_NAME_LENGTH_MAX = 80

# Of Slack's errors those that go away by themselves; Slack says them with status 200.
RETRYABLE_ERRORS = frozenset(
    {
        "fatal_error",
        "internal_error",
        "message_limit_exceeded",
        "ratelimited",
        "rate_limited",
        "request_timeout",
        "service_unavailable",
        "team_added_to_org",
    }
)
# The message that was told of before is gone, or not to be changed any more.
LOST_ERRORS = frozenset(
    {
        "cant_update_message",
        "edit_window_closed",
        "invalid_ts",
        "message_not_found",
        "thread_not_found",
        "cannot_reply_to_message",
        "restricted_action_thread_locked",
    }
)
# What is wrong is how the message looks.
LOOKS_ERRORS = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "metadata_too_large"})
_HINTS: Mapping[str, str] = {
    "account_inactive": "the app was removed from the workspace",
    "channel_not_found": "there is no such channel, or the app can't see it",
    "invalid_auth": "the bot token is not valid",
    "is_archived": "the channel is archived",
    "missing_scope": "the app lacks the scope chat:write",
    "not_authed": "the bot token is missing",
    "not_in_channel": "the app is not in the channel: invite it",
    "token_expired": "the bot token has expired",
    "token_revoked": "the bot token was revoked",
    "user_not_found": "there is no such user",
}
_MARKS: Mapping[Severity, str] = {
    Severity.CRITICAL: "🔴",
    Severity.HIGH: "🟠",
    Severity.MEDIUM: "🟡",
    Severity.LOW: "🔵",
    Severity.INFO: "⚪",
}


@dataclass(frozen=True, slots=True)
class _Receipt:
    """Where the message about an alert stands.

    Attributes:
        to: Whom it was posted to, hashed, for it may be a person.
        is_bundle: Whether it tells of others as well: then it is not rewritten for one of them.
    """

    channel: str
    ts: str
    to: str
    is_bundle: bool


class SlackAdapter:
    """Speaks to Slack. Fulfils `notify.adapter.Adapter`.

    A retried attempt may post a page twice where Slack's answer was lost: Slack knows no idempotency keys. Each
    message carries the delivery's id as metadata, by which a reader of the API can tell.
    """

    def __init__(self, poster: HttpPoster, *, timeout: timedelta = SEND_WITHIN) -> None:
        """Set it up.

        Args:
            poster: What calls are made by.
            timeout: For all the calls of an attempt together.
        """
        self._poster = poster
        self._timeout = timeout.total_seconds()

    async def send(
        self, channel: Channel, secrets: Mapping[str, str], address: str | None, message: Message
    ) -> SendResult:
        """Post, or bring up to date what was posted before.

        A page about an alert that was told of before goes into its thread and is shown in the channel as well.
        Of what changes nothing is told where the alert was never told of, or the message is gone.
        """
        config = channel.config
        assert isinstance(config, SlackConfig), "the channel is of this adapter's kind"
        token = secrets.get("botToken", "")
        if not (token.isascii() and token.isprintable() and token):
            return failed("Slack: the bot token is missing or not one.")
        text = send_text(channel.template, message, plain_text(message))
        body = _body(message, text, own_text=channel.template is not None)
        target = address or config.channel
        until = asyncio.get_running_loop().time() + self._timeout
        calls = _Calls(self._poster, config.api_url or API_URL, secrets, address, until)
        receipt = _read_receipt(message.receipt)
        if message.purpose is Purpose.UPDATE:
            if receipt is None:
                return SendResult(delivered=True, receipt=message.receipt)
            return await self._bring_up_to_date(calls, receipt, body, message)
        is_bundle = len(message.alerts) > 1
        if (
            message.purpose is Purpose.PAGE
            and receipt is not None
            and receipt.to == _hashed(target)
            and not (is_bundle or receipt.is_bundle)
        ):
            result = await self._page_again(calls, receipt, body, message)
            if result is not None:
                return result
        result, said = await calls.call("chat.postMessage", {"channel": target, **body})
        if not result.delivered:
            return result
        made = {
            "channel": said.get("channel"),
            "ts": said.get("ts"),
            "to": _hashed(target),
            "bundle": is_bundle,
        }
        return SendResult(delivered=True, status_code=result.status_code, receipt=orjson.dumps(made).decode())

    def render(self, channel: Channel, message: Message) -> Rendered:
        """Return the text and the body of chat.postMessage."""
        config = channel.config
        assert isinstance(config, SlackConfig), "the channel is of this adapter's kind"
        text = render_text(channel.template, message, plain_text(message))
        body = _body(message, text, own_text=channel.template is not None)
        return Rendered(headline(message), text, {"channel": config.channel, **body})

    async def _bring_up_to_date(
        self, calls: _Calls, receipt: _Receipt, body: Mapping[str, Any], message: Message
    ) -> SendResult:
        done = SendResult(delivered=True, status_code=200, receipt=message.receipt)
        if not receipt.is_bundle:
            place = {"channel": receipt.channel, "ts": receipt.ts}
            result, said = await calls.call("chat.update", {**place, **_without(body, "metadata")})
            if not result.delivered:
                return done if said.get("error") in LOST_ERRORS else result
        reply = {
            "channel": receipt.channel,
            "thread_ts": receipt.ts,
            "text": _escaped(_news(message, of_many=receipt.is_bundle), TEXT_LENGTH_MAX),
            **_LITERAL,
        }
        # Where this fails both are done again: the first changes nothing the second time.
        result, said = await calls.call("chat.postMessage", reply)
        return done if result.delivered or said.get("error") in LOST_ERRORS else result

    async def _page_again(
        self, calls: _Calls, receipt: _Receipt, body: Mapping[str, Any], message: Message
    ) -> SendResult | None:
        """Page in the thread; return None where there is no thread any more."""
        reply = {
            "channel": receipt.channel,
            "thread_ts": receipt.ts,
            "reply_broadcast": True,
            **_without(body, "blocks"),
            "text": _escaped(f"Level {message.level}{_for(message)}: {headline(message)}", TEXT_LENGTH_MAX),
        }
        result, said = await calls.call("chat.postMessage", reply)
        if not result.delivered:
            return None if said.get("error") in LOST_ERRORS else result
        # The page has arrived. That the message above it is brought up to date as well is a comfort.
        await calls.call(
            "chat.update", {"channel": receipt.channel, "ts": receipt.ts, **_without(body, "metadata")}
        )
        return SendResult(delivered=True, status_code=result.status_code, receipt=message.receipt)


class SlackReplies:
    """Tells people who pressed a button how it ended, in a message that only they see."""

    def __init__(self, poster: HttpPoster, *, allow_private_targets: bool = False) -> None:
        self._poster = poster
        self._allow_private_targets = allow_private_targets

    async def reply(self, url: str, text: str) -> str | None:
        """Post to an interaction's response_url; return what failed, None where it went through."""
        if not self._allow_private_targets and not _is_slacks(url):
            return "The response_url is not Slack's."
        content = orjson.dumps(
            {"response_type": "ephemeral", "replace_original": False, "text": _escaped(text, TEXT_LENGTH_MAX)}
        )
        answer = await self._poster.post(
            url, headers={"Content-Type": "application/json; charset=utf-8"}, content=content
        )
        return answer.result.error


def _is_slacks(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and parts.hostname in REPLY_HOSTS and parts.port in (None, 443)
    except ValueError:
        return False


class _Calls:
    """Makes calls of the Web API with one token."""

    def __init__(
        self, poster: HttpPoster, api_url: str, secrets: Mapping[str, str], address: str | None, until: float
    ) -> None:
        self._poster = poster
        self._until = until
        self._api_url = api_url.rstrip("/")
        self._token = secrets["botToken"]
        # A person's address is theirs: it stays out of the timeline.
        self._hidden = [*secrets.values(), *([address] if address is not None else [])]

    async def call(self, method: str, body: Mapping[str, Any]) -> tuple[SendResult, Mapping[str, Any]]:
        """Make one call; where Slack dislikes how the message looks, another with the plain text."""
        result, said = await self._once(method, body)
        if said.get("error") in LOOKS_ERRORS and "blocks" in body:
            # A page is never lost for its looks.
            plain = {**_without(body, "metadata"), "blocks": []} if method == "chat.update" else _bare(body)
            return await self._once(method, plain)
        return result, said

    async def _once(self, method: str, body: Mapping[str, Any]) -> tuple[SendResult, Mapping[str, Any]]:
        try:
            async with asyncio.timeout_at(self._until):
                answer = await self._poster.post(
                    f"{self._api_url}/{method}",
                    headers={
                        "Authorization": f"Bearer {self._token}",
                        "Content-Type": "application/json; charset=utf-8",
                    },
                    content=orjson.dumps(body),
                )
        except TimeoutError:
            return failed("Slack did not answer in time.", retryable=True), {}
        said = _said(answer)
        if not answer.result.delivered:
            return answer.result, said
        if said.get("ok") is True:
            return answer.result, said
        error = said.get("error")
        if not isinstance(error, str) or not error:
            return failed("Slack's answer can't be read.", status_code=200, retryable=True), said
        name = without_secrets(error, self._hidden)[:ERROR_NAME_LENGTH_MAX]
        hint = f"{_HINTS[error]} ({name})" if error in _HINTS else name
        return failed(f"Slack: {hint}.", status_code=200, retryable=error in RETRYABLE_ERRORS), said


def _said(answer: Answer) -> Mapping[str, Any]:
    try:
        value = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _bare(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in ("blocks", "metadata")}


def _without(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


def _hashed(target: str) -> str:
    return hashlib.sha256(target.encode("utf-8", "replace")).hexdigest()[:16]


def _read_receipt(receipt: str | None) -> _Receipt | None:
    if receipt is None:
        return None
    try:
        value = orjson.loads(receipt)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict):
        return None
    channel, ts, to = (value.get(name) for name in ("channel", "ts", "to"))
    if not isinstance(channel, str) or not isinstance(ts, str) or not channel or not ts:
        return None
    return _Receipt(channel, ts, to if isinstance(to, str) else "", value.get("bundle") is True)


# ------------------------------------------------------------------------------------------- contents

# What is sent along with every text: Slack is to look nothing up, and to make no link but those we write.
_LITERAL: Mapping[str, Any] = {"unfurl_links": False, "unfurl_media": False}


def _body(message: Message, text: str, *, own_text: bool) -> dict[str, Any]:
    """Return what every method takes: the text for notifications, and the blocks."""
    match message.alerts:
        case (alert,):
            blocks = _blocks(message, alert, text if own_text else alert.description)
        case ():
            blocks = [_heading("⚪", headline(message)), _section(_escaped(text, TEXT_LENGTH_MAX))]
        case _:
            blocks = _bundle_blocks(message, text if own_text else None)
    assert len(blocks) <= BLOCK_COUNT_MAX, "Slack takes no more"
    return {
        "text": _escaped(text if own_text else headline(message), TEXT_LENGTH_MAX),
        "blocks": [block.to_dict() for block in blocks],
        "metadata": {
            "event_type": "alertgraph_delivery",
            "event_payload": {"delivery_id": str(message.id), "purpose": message.purpose.name},
        },
        **_LITERAL,
    }


def _blocks(message: Message, alert: Alert, text: str) -> list[Block]:
    blocks = [_heading(_mark(alert), _title(message, alert))]
    if text.strip():
        blocks.append(_section(_linked(_escaped(text.strip(), TEXT_LENGTH_MAX))))
    blocks.append(SectionBlock(fields=[MarkdownTextObject(text=field) for field in _fields(message, alert)]))
    labels = " · ".join(f"{name}={value}" for name, value in sorted(alert.labels.items()))
    if labels:
        blocks.append(_context(_escaped(labels, LABELS_LENGTH_MAX)))
    if message.timeline:
        recent = "\n".join(f"• {sentence}" for sentence in message.timeline[-TIMELINE_SHOWN_MAX:])
        blocks.append(_context(_escaped(recent, TIMELINE_LENGTH_MAX)))
    links = [(link.href, link.text) for link in alert.links]
    if message.link is not None:
        links.insert(0, (message.link, "Look at the alert"))
    shown = [f"<{_url(href)}|{_escaped(name, LINK_NAME_LENGTH_MAX) or 'Link'}>" for href, name in links]
    fitting = [link for link in shown if len(link) <= LINK_LENGTH_MAX][:LINK_COUNT_MAX]
    if fitting:
        blocks.append(_context(" · ".join(fitting)))
    buttons = _buttons(alert, message.tokens)
    if buttons:
        blocks.append(ActionsBlock(elements=buttons, block_id=f"{BUTTON_ID_PREFIX}actions"))
    return blocks


def _bundle_blocks(message: Message, own_text: str | None) -> list[Block]:
    """Return one message about many alerts: every one by a line, shorter lines the more there are."""
    count = len(message.alerts)
    room = BUNDLE_LENGTH_MAX
    blocks = [_heading(_mark(message.alerts[0]), headline(message))]
    if own_text is not None:
        shown = _escaped(own_text, TEXT_LENGTH_MAX)
        blocks.append(_section(shown))
        room -= len(shown)
    line_length = min(BUNDLE_LINE_LENGTH_MAX, max(BUNDLE_LINE_LENGTH_MIN, room // count - 1))
    lines: list[str] = []
    for alert in message.alerts:
        service = f" ({alert.monitored_service})" if alert.monitored_service else ""
        line = _escaped(f"{_mark(alert)} {alert.severity.name} {alert.title}{service}", line_length)
        if len(line) + 1 > room:
            break
        room -= len(line) + 1
        lines.append(line)
    section: list[str] = []
    for line in lines:
        if sum(map(len, section)) + len(section) + len(line) > TEXT_LENGTH_MAX:
            blocks.append(_section("\n".join(section)))
            section = []
        section.append(line)
    if section:
        blocks.append(_section("\n".join(section)))
    left_out = count - len(lines) + message.more_count
    if left_out:
        blocks.append(_context(f"… and {left_out} more."))
    if message.level:
        blocks.append(_context(_escaped(f"Level {message.level}{_for(message)}", FIELD_LENGTH_MAX)))
    if message.link is not None and len(message.link) <= TEXT_LENGTH_MAX:
        blocks.append(_context(f"<{_url(message.link)}|Look at them>"))
    return blocks


def _title(message: Message, alert: Alert) -> str:
    lead = {Purpose.ASSIGNMENT: "Assigned to you: ", Purpose.TEST: "Test: "}.get(message.purpose, "")
    return f"{lead}{alert.severity.name}: {alert.title}"


def _news(message: Message, *, of_many: bool) -> str:
    """Return what has just happened: the sentence of the timeline, else the change in a word."""
    if of_many:
        return headline(message)
    return message.news or f"{change_words(message.change)}."


def _for(message: Message) -> str:
    return f", for {message.responder}" if message.responder is not None else ""


def _fields(message: Message, alert: Alert) -> list[str]:
    fields = [("Status", _status(alert))]
    if alert.monitored_service is not None:
        fields.append(("Service", _escaped(alert.monitored_service, FIELD_LENGTH_MAX)))
    fields += [("Since", _time(alert.triggered_at)), ("Source", _escaped(alert.source, FIELD_LENGTH_MAX))]
    level = message.level or alert.escalation_level
    if level:
        fields.append(("Level", str(level)))
    if message.responder is not None:
        fields.append(("For", _escaped(message.responder, FIELD_LENGTH_MAX)))
    if alert.occurrence_count > 1:
        fields.append(("Occurrences", str(alert.occurrence_count)))
    return [f"*{name}*\n{value}" for name, value in fields]


def _status(alert: Alert) -> str:
    match alert.status:
        case AlertStatus.RESOLVED:
            by = alert.resolved_by
        case AlertStatus.ACKNOWLEDGED:
            by = alert.acknowledged_by
        case _:
            by = None
    name = alert.status.name.capitalize()
    return _escaped(f"{name} by {by.name}" if by is not None else name, FIELD_LENGTH_MAX)


def _mark(alert: Alert) -> str:
    match alert.status:
        case AlertStatus.RESOLVED:
            return "✅"
        case AlertStatus.ACKNOWLEDGED:
            return "👀"
        case _:
            return _MARKS[alert.severity]


def _buttons(alert: Alert, tokens: Mapping[str, str]) -> list[ButtonElement]:
    if not alert.is_open:
        return []
    buttons: list[tuple[str, str, str | None, ConfirmObject | None]] = []
    if alert.status is not AlertStatus.ACKNOWLEDGED:
        buttons.append(("acknowledge", "Acknowledge", "primary", None))
    # Ending an alert is not taken back by another press: Slack asks first.
    sure = ConfirmObject(title="Resolve?", text="The alert ends for everybody.", confirm="Resolve", deny="Back")
    buttons += [
        ("escalate", "Escalate", None, None),
        ("resolve", "Resolve", None, sure),
        ("silence", "Silence 1 h", None, None),
    ]
    return [
        ButtonElement(
            text=label, action_id=f"{BUTTON_ID_PREFIX}{name}", value=tokens[name], style=style, confirm=confirm
        )
        for name, label, style, confirm in buttons
        if name in tokens
    ]


def _heading(mark: str, text: str) -> Block:
    # Plain text, in which nothing is markup, not even the names of emoji.
    line = " ".join(_printable(text).split())
    return HeaderBlock(text=PlainTextObject(text=cut(f"{mark} {line}", HEADING_LENGTH_MAX), emoji=False))


def _section(text: str) -> Block:
    return SectionBlock(text=MarkdownTextObject(text=text, verbatim=True))


def _context(text: str) -> Block:
    return ContextBlock(elements=[MarkdownTextObject(text=text, verbatim=True)])


def _time(at: datetime) -> str:
    """Return an instant that Slack shows in the reader's own time zone."""
    return f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time}}|{instant(at)}>"


def _url(link: str) -> str:
    """Return a URL as it can stand between angle brackets."""
    return link.replace("&", "&amp;").replace("<", "%3C").replace(">", "%3E").replace("|", "%7C")


def _escaped(text: str, length_max: int) -> str:
    """Return text that mentions nobody and links nowhere, cut before it grows beyond a length by escaping."""
    parts: list[str] = []
    length = 0
    for character in _printable(text):
        part = _ESCAPES.get(character, character)
        length += len(part)
        if length > length_max - 1:
            parts.append("…")
            break
        parts.append(part)
    return "".join(parts)


def _linked(escaped: str) -> str:
    """Return escaped text in which URLs can be followed: a runbook is what somebody needs at night."""
    return _WRITTEN_URL.sub(lambda found: f"<{found[0]}>", escaped, count=LINKED_COUNT_MAX)


_ESCAPES: Mapping[str, str] = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Up to a space, an escaped angle bracket, what Slack gives a meaning, or the end of a sentence.
_WRITTEN_URL = re.compile(r"https?://(?:(?!&lt;|&gt;)[^\s|…])*(?!&lt;|&gt;)[^\s|….,;:!?)\]'\"*_~`]")


def _printable(text: str) -> str:
    """Return text without halves of characters, which JSON can't hold."""
    return text.encode("utf-8", "replace").decode()
