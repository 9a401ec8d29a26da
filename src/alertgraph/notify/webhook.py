"""Webhooks: Standard Webhooks 1.0, or the own form of a service that wakes people (see `presets`)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

import orjson
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from alertgraph.core.alert import Alert
from alertgraph.core.channel import Channel, WebhookConfig
from alertgraph.core.delivery import Purpose
from alertgraph.core.ids import NodeKind, encode_id
from alertgraph.core.message import Message, Rendered, SendResult
from alertgraph.notify import presets
from alertgraph.notify.http import Answer, HttpPoster, failed
from alertgraph.notify.templates import cut, instant, plain_text, public_id, render_text, send_text

# What the specification recommends to stay below.
PAYLOAD_BYTES_MAX = 20_000
TEXT_LENGTH_MAX = 4_000
BRIEF_TEXT_LENGTH_MAX = 1_000
BRIEF_TITLE_LENGTH_MAX = 200

# Headers that are the protocol's: no channel sets them.
RESERVED_HEADERS = frozenset(
    {"connection", "content-length", "content-type", "expect", "host", "te", "trailer", "transfer-encoding"}
    | {"upgrade", "webhook-id", "webhook-signature", "webhook-timestamp"}
)
_TYPES = {
    Purpose.PAGE: "alert.page",
    Purpose.ASSIGNMENT: "alert.assigned",
    Purpose.TEST: "alert.test",
    Purpose.ALIVE: "engine.alive",
    Purpose.UPDATE: "alert.updated",
}
_UPDATE_TYPES = {"ACKNOWLEDGED": "alert.acknowledged", "RESOLVED": "alert.resolved"}
# What is left out of a payload that is too long, one after the other, and what it is called there.
_OMISSIONS = ("annotations", "description", "timeline", "labels", "links")


class WebhookAdapter:
    """Posts signed JSON, and tells a receiver that answers 410 from one that is only down."""

    def __init__(self, poster: HttpPoster) -> None:
        self._poster = poster

    async def send(
        self, channel: Channel, secrets: Mapping[str, str], address: str | None, message: Message
    ) -> SendResult:
        """Make one attempt and return what came of it."""
        config = _config(channel)
        headers = _headers(secrets.get("headers"))
        if headers is None:
            return failed("The channel's headers can't be read: save them again.")
        if config.preset is not None:
            return await presets.send(self._poster, channel, headers, address, message)
        text = send_text(channel.template, message, plain_text(message))
        body = orjson.dumps(payload(message, text, address))
        message_id = encode_id(NodeKind.DELIVERY, message.id)
        # The library takes the wall clock of an instant for UTC's, whatever its zone.
        at = self._poster.now().astimezone(UTC)
        try:
            signature = Webhook(secrets.get("secret", "")).sign(message_id, at, body.decode())
        except (ValueError, EmptyWebhookSecretError):
            return failed("The channel's signing secret can't be used: set another one.")
        own = {name: value for name, value in headers.items() if name.lower() not in RESERVED_HEADERS}
        answer: Answer = await self._poster.post(
            config.url,
            headers=own
            | {
                "Content-Type": "application/json",
                "webhook-id": message_id,
                "webhook-timestamp": str(int(at.timestamp())),
                "webhook-signature": signature,
            },
            content=body,
        )
        return answer.result

    def render(self, channel: Channel, message: Message) -> Rendered:
        """Return what would be sent; the signature and the address are left out."""
        if _config(channel).preset is not None:
            return presets.render(channel, message)
        text = render_text(channel.template, message, plain_text(message))
        return Rendered(None, text, payload(message, text, None))


def event_type(message: Message) -> str:
    """Return what the payload says it is, such as alert.page."""
    if message.purpose is Purpose.UPDATE and message.change in _UPDATE_TYPES:
        return _UPDATE_TYPES[message.change]
    return _TYPES[message.purpose]


def payload(message: Message, text: str, address: str | None) -> dict[str, Any]:
    """Return the body of a Standard Webhook, short enough for every receiver.

    A body that would be too long loses what matters least first; `omitted` names it, and `alertCount` tells how
    many alerts it is about where not all can be named.
    """
    for omitted in range(len(_OMISSIONS) + 1):
        body = _payload(message, text, address, _OMISSIONS[:omitted])
        if len(orjson.dumps(body)) < PAYLOAD_BYTES_MAX:
            return body
        text = cut(text, TEXT_LENGTH_MAX)
    body = _payload(message, cut(text, BRIEF_TEXT_LENGTH_MAX), address, (*_OMISSIONS, "details"), brief=True)
    alerts: list[dict[str, Any]] = body["data"].pop("alerts")
    body["data"]["alerts"] = named = []
    room = PAYLOAD_BYTES_MAX - len(orjson.dumps(body))
    for alert in alerts:
        room -= len(orjson.dumps(alert)) + 1
        if room <= 0:
            break
        named.append(alert)
    return body


def _payload(
    message: Message, text: str, address: str | None, omitted: tuple[str, ...], *, brief: bool = False
) -> dict[str, Any]:
    alerts = [_brief(alert) if brief else _fields(alert, omitted) for alert in message.alerts]
    data = {
        "tenant": message.tenant,
        "text": text,
        "address": address,
        "responder": message.responder,
        "level": message.level,
        "change": message.change,
        "url": message.link,
        "actions": dict(message.actions),
        "timeline": [] if "timeline" in omitted else list(message.timeline),
        "alerts": alerts,
        "alertCount": len(alerts),
        "omitted": list(omitted),
    }
    return {"type": event_type(message), "timestamp": instant(message.at), "data": data}


def _fields(alert: Alert, omitted: tuple[str, ...]) -> dict[str, Any]:
    """Return an alert as the API names its fields."""
    fields = {
        "id": public_id(alert),
        "dedupKey": alert.dedup_key,
        "title": alert.title,
        "description": alert.description,
        "severity": alert.severity.name,
        "status": alert.status.name,
        "source": alert.source,
        "monitoredService": alert.monitored_service,
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "links": [{"href": link.href, "text": link.text} for link in alert.links],
        "occurrenceCount": alert.occurrence_count,
        "triggeredAt": instant(alert.triggered_at),
        "lastSeenAt": instant(alert.last_seen_at),
        "acknowledgedAt": instant(alert.acknowledged_at) if alert.acknowledged_at else None,
        "acknowledgedBy": alert.acknowledged_by.name if alert.acknowledged_by else None,
        "resolvedAt": instant(alert.resolved_at) if alert.resolved_at else None,
        "resolvedBy": alert.resolved_by.name if alert.resolved_by else None,
        "escalationLevel": alert.escalation_level,
        "version": alert.version,
    }
    return {name: value for name, value in fields.items() if name not in omitted}


def _brief(alert: Alert) -> dict[str, Any]:
    return {
        "id": public_id(alert),
        "title": cut(alert.title, BRIEF_TITLE_LENGTH_MAX),
        "severity": alert.severity.name,
        "status": alert.status.name,
        "monitoredService": alert.monitored_service,
    }


def _config(channel: Channel) -> WebhookConfig:
    assert isinstance(channel.config, WebhookConfig), "the adapter is chosen by the kind of the channel"
    return channel.config


def _headers(text: str | None) -> Mapping[str, str] | None:
    """Return the headers that are secret; None where they can't be read."""
    if not text:
        return {}
    try:
        headers = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        return None
    return headers
