"""Services that wake people, behind a webhook in their own documented form: Twilio, ntfy, Pushover.

A channel of such a preset needs its URL and, among its secret headers, what the service wants to know:

- TWILIO_SMS posts a form to `https://api.twilio.com/2010-04-01/Accounts/{AccountSid}/Messages.json`, TWILIO_CALL
  to `…/Calls.json`, where the text is read out twice. `Authorization: Basic …` of account SID (or API key) and
  token; `Param-From` is the number it comes from, or for messages `Param-MessagingServiceSid`; `Param-To` is the
  number it goes to where no person is meant.
- NTFY publishes JSON to the server of the topic's URL, such as `https://ntfy.sh/on-call`.
  `Authorization: Bearer …` where the topic is protected.
- PUSHOVER posts a form to `https://api.pushover.net/1/messages.json`. `Param-Token` is the application's token,
  `Param-User` the user or group where no person is meant. A CRITICAL alert is an emergency, which sounds until
  somebody takes note in the app.

A header named `Param-…` is never sent as a header: it becomes a field of the body, and so can any other field
that the service documents (`Param-Sound`, `Param-StatusCallback`) but the text itself. A person's address on the
channel takes the place of `To`, the topic, or `user`. Only what is to wake somebody is sent: an update is none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, assert_never
from urllib.parse import urlencode
from xml.sax.saxutils import escape

import httpx2
import orjson

from alertgraph.core.channel import Channel, WebhookConfig, WebhookPreset
from alertgraph.core.delivery import Purpose
from alertgraph.core.message import Message, Rendered, SendResult
from alertgraph.core.severity import Severity
from alertgraph.notify.http import Answer, HttpPoster, failed
from alertgraph.notify.templates import cut, cut_bytes, headline, plain_text, remark, render_text, send_text

PARAMETER_PREFIX = "param-"

SMS_LENGTH_MAX = 1600
TWIML_LENGTH_MAX = 4000
SPOKEN_LENGTH_MAX = 1000
NTFY_MESSAGE_BYTES_MAX = 4096
NTFY_ACTION_COUNT_MAX = 3
TITLE_LENGTH_MAX = 250
PUSHOVER_MESSAGE_LENGTH_MAX = 1024
PUSHOVER_URL_LENGTH_MAX = 512
# An emergency sounds every minute for ten: by then our own ladder has gone on.
PUSHOVER_RETRY_SECONDS = 60
PUSHOVER_EXPIRE_SECONDS = 600

# What a person may not replace, since it is what there is to tell.
_TEXT_FIELDS = frozenset({"body", "twiml", "message", "title"})
_RESERVED_HEADERS = frozenset({"connection", "content-length", "content-type", "host", "transfer-encoding"})
_NTFY_PRIORITIES = {
    Severity.CRITICAL: 5,
    Severity.HIGH: 4,
    Severity.MEDIUM: 3,
    Severity.LOW: 2,
    Severity.INFO: 2,
}
_NTFY_TAGS = {Severity.CRITICAL: "rotating_light", Severity.HIGH: "rotating_light", Severity.MEDIUM: "warning"}
_PUSHOVER_PRIORITIES = {
    Severity.CRITICAL: 2,
    Severity.HIGH: 1,
    Severity.MEDIUM: 0,
    Severity.LOW: -1,
    Severity.INFO: -1,
}
_TOPIC = re.compile(r"[-_A-Za-z0-9]{1,64}")
# What XML 1.0 can't hold, however it is written.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


async def send(
    poster: HttpPoster, channel: Channel, headers: Mapping[str, str], address: str | None, message: Message
) -> SendResult:
    """Make one attempt in the service's own form and return what came of it."""
    config = _config(channel)
    preset = config.preset
    assert preset is not None, "a channel without a preset is an ordinary webhook"
    if message.purpose is Purpose.UPDATE:
        return SendResult(delivered=True)
    text = send_text(channel.template, message, _built_in(preset, message))
    try:
        url, fields = _addressed(preset, config.url, _fields(preset, message, text), _parameters(headers), address)
    except _LackError as error:
        return failed(str(error))
    if preset is WebhookPreset.NTFY:
        kind, content = "application/json", orjson.dumps(fields)
    else:
        kind, content = "application/x-www-form-urlencoded", urlencode(fields).encode("ascii")
    sent = {
        name: value
        for name, value in headers.items()
        if not name.lower().startswith(PARAMETER_PREFIX) and name.lower() not in _RESERVED_HEADERS
    }
    answer = await poster.post(url, headers=sent | {"Content-Type": kind}, content=content)
    # Of "Bearer …" the word alone is no secret, and the rest alone is one.
    secrets = [*headers.values(), *(value.split()[-1] for value in headers.values() if value.split())]
    return _result(preset, answer, [*secrets, address] if address else secrets)


def render(channel: Channel, message: Message) -> Rendered:
    """Return what would be sent; whom it goes to and what proves who sends it are left out.

    Raises:
        InputError: The channel's template can't be used.
    """
    preset = _config(channel).preset
    assert preset is not None, "a channel without a preset is an ordinary webhook"
    text = render_text(channel.template, message, _built_in(preset, message))
    fields = _fields(preset, message, text)
    return Rendered(fields.get("title"), text, fields)


class _LackError(Exception):
    """The channel lacks something that the service needs; the message says what."""


def _parameters(headers: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the fields among the headers: name as written and value, by name in lower case; no texts."""
    written = (
        (name[len(PARAMETER_PREFIX) :], value)
        for name, value in headers.items()
        if name.lower().startswith(PARAMETER_PREFIX)
    )
    return {name.lower(): (name, value) for name, value in written if name.lower() not in _TEXT_FIELDS}


def _addressed(
    preset: WebhookPreset,
    url: str,
    fields: dict[str, Any],
    parameters: Mapping[str, tuple[str, str]],
    address: str | None,
) -> tuple[str, dict[str, Any]]:
    """Return where to post what, with all that the channel and the person add.

    Raises:
        _LackError: Something needed is missing.
    """
    match preset:
        case WebhookPreset.TWILIO_SMS | WebhookPreset.TWILIO_CALL:
            # Twilio tells From and from apart, people do not.
            known = {"to": "To", "from": "From", "messagingservicesid": "MessagingServiceSid"}
            fields |= {known.get(key, name): value for key, (name, value) in parameters.items()}
            if address is not None:
                fields["To"] = address
            service = preset is WebhookPreset.TWILIO_SMS and fields.get("MessagingServiceSid")
            _need(fields, "To", *(() if service else ("From",)))
        case WebhookPreset.NTFY:
            fields |= {key: value for key, (_, value) in parameters.items()}
            if str(fields["priority"]).isdecimal():
                fields["priority"] = int(fields["priority"])
            parts = httpx2.URL(url)
            path, _, topic = parts.path.rstrip("/").rpartition("/")
            fields["topic"] = address or fields.get("topic") or topic
            if not _TOPIC.fullmatch(fields["topic"]):
                raise _LackError("A topic of ntfy is 1 to 64 letters, digits, hyphens and underscores.")
            url = str(parts.copy_with(path=path or "/", query=None, fragment=None))
        case WebhookPreset.PUSHOVER:
            fields |= {key: value for key, (_, value) in parameters.items()}
            if address is not None:
                fields["user"] = address
            _need(fields, "token", "user")
        case _:
            assert_never(preset)
    return url, fields


def _need(fields: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if not fields.get(name):
            raise _LackError(f"The channel has no header Param-{name[0].upper()}{name[1:]}.")


def _fields(preset: WebhookPreset, message: Message, text: str) -> dict[str, Any]:
    """Return what the service is told, whom it is for left out."""
    severity = message.alerts[0].severity if message.alerts else Severity.INFO
    match preset:
        case WebhookPreset.TWILIO_SMS:
            return {"Body": cut(text, SMS_LENGTH_MAX)}
        case WebhookPreset.TWILIO_CALL:
            return {"Twiml": _twiml(text)}
        case WebhookPreset.NTFY:
            fields: dict[str, Any] = {
                "title": cut(headline(message), TITLE_LENGTH_MAX),
                "message": cut_bytes(text, NTFY_MESSAGE_BYTES_MAX),
                "priority": _NTFY_PRIORITIES[severity],
            }
            if severity in _NTFY_TAGS:
                fields["tags"] = [_NTFY_TAGS[severity]]
            if message.link is not None:
                fields["click"] = message.link
            if message.actions:
                fields["actions"] = [
                    {"action": "view", "label": name.capitalize(), "url": url}
                    for name, url in list(message.actions.items())[:NTFY_ACTION_COUNT_MAX]
                ]
            return fields
        case WebhookPreset.PUSHOVER:
            fields = {
                "title": cut(headline(message), TITLE_LENGTH_MAX),
                "message": cut(text, PUSHOVER_MESSAGE_LENGTH_MAX),
                "priority": _PUSHOVER_PRIORITIES[severity],
                "timestamp": int(message.at.timestamp()),
            }
            if severity is Severity.CRITICAL:
                fields |= {"retry": PUSHOVER_RETRY_SECONDS, "expire": PUSHOVER_EXPIRE_SECONDS}
            url, label = _best_link(message)
            if url is not None and len(url) <= PUSHOVER_URL_LENGTH_MAX:
                fields |= {"url": url, "url_title": label}
            return fields
        case _:
            assert_never(preset)


def _built_in(preset: WebhookPreset, message: Message) -> str:
    match preset:
        case WebhookPreset.TWILIO_SMS:
            url, label = _best_link(message)
            if url is None or len(url) > SMS_LENGTH_MAX // 2:
                return headline(message)
            return f"{cut(headline(message), SMS_LENGTH_MAX // 3)}\n{label}: {url}"
        case WebhookPreset.TWILIO_CALL:
            return _spoken(message)
        case WebhookPreset.NTFY | WebhookPreset.PUSHOVER:
            # The headline is the title there, and the link has a field of its own.
            shown = plain_text(message).partition("\n")[2]
            return shown.removesuffix(message.link or "").rstrip() or headline(message)
        case _:
            assert_never(preset)


def _best_link(message: Message) -> tuple[str | None, str]:
    if "acknowledge" in message.actions:
        return message.actions["acknowledge"], "Acknowledge"
    return message.link, "Open"


def _spoken(message: Message) -> str:
    """Return what is read out on the phone: no brackets, no links."""
    if message.purpose is Purpose.ALIVE:
        return f"{headline(message)}. {remark(message)}"
    if not message.alerts:
        return f"This is a test call of {message.tenant}. There is nothing to do."
    first = message.alerts[0]
    count = len(message.alerts)
    about = f"{first.severity.name.capitalize()} alert" if count == 1 else f"{count} alerts. The worst"
    service = f" Service: {first.monitored_service}." if first.monitored_service else ""
    whom = f" For {message.responder}." if message.responder else ""
    test = "This is a test. " if message.purpose is Purpose.TEST else ""
    return f"{test}{about}: {cut(first.title, SPOKEN_LENGTH_MAX)}.{service}{whom}"


def _twiml(text: str) -> str:
    """Return the text as what Twilio reads out, twice."""
    frame = '<Response><Pause length="1"/><Say loop="2">{}</Say></Response>'
    text = cut(_NOT_XML.sub(" ", text), SPOKEN_LENGTH_MAX * 2)
    while len(frame) + len(escape(text)) > TWIML_LENGTH_MAX:
        text = cut(text, len(text) * 3 // 4)
    return frame.format(escape(text))


def _result(preset: WebhookPreset, answer: Answer, secrets: list[str]) -> SendResult:
    """Read the service's own words: why it refused, or what it calls the message."""
    result = answer.result
    if not result.delivered:
        said = answer.text("message", "errors", "error", secrets=secrets)
        return replace(result, error=f"{result.error} It says: {said}") if said else result
    match preset:
        case WebhookPreset.TWILIO_SMS | WebhookPreset.TWILIO_CALL:
            name = "sid"
        case WebhookPreset.NTFY:
            name = "id"
        case WebhookPreset.PUSHOVER:
            if answer.fields().get("status") != 1:
                said = answer.text("errors", secrets=secrets)
                return failed(
                    f"Pushover refused the message: {said or 'no reason'}.", status_code=result.status_code
                )
            name = "receipt"
        case _:
            assert_never(preset)
    called = answer.text(name)
    return replace(result, receipt=orjson.dumps({name: called}).decode()) if called else result


def _config(channel: Channel) -> WebhookConfig:
    assert isinstance(channel.config, WebhookConfig), "the adapter is chosen by the kind of the channel"
    return channel.config
