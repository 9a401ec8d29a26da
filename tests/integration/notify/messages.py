"""Messages and channels for tests: each factory fills in what a test is not about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from alertgraph.core.alert import Alert
from alertgraph.core.channel import Channel, ChannelConfig, ChannelKind, WebhookConfig, WebhookPreset
from alertgraph.core.delivery import Purpose
from alertgraph.core.ids import ChannelId, DeliveryId
from alertgraph.core.message import Message
from alertgraph.core.severity import Severity
from tests.factories import T0, an_alert, an_id

LINK = "https://alerts.example.com/alerts/1"
ACTIONS = {
    "acknowledge": "https://alerts.example.com/act/ack-token",
    "escalate": "https://alerts.example.com/act/esc-token",
    "resolve": "https://alerts.example.com/act/res-token",
    "silence": "https://alerts.example.com/act/sil-token",
}


def a_message(*alerts: Alert, **fields: Any) -> Message:
    """Return a page about one alert, or about these."""
    message = Message(
        id=DeliveryId(UUID(int=42)),
        tenant="acme",
        purpose=Purpose.PAGE,
        alerts=alerts or (an_alert(description="p99 above 2 s"),),
        at=T0,
        level=1,
        responder="Ada",
        timeline=("prometheus triggered the alert.",),
        actions=ACTIONS,
        link=LINK,
    )
    return replace(message, **fields)


def an_update(change: str, *alerts: Alert, **fields: Any) -> Message:
    """Return the news that an alert has changed."""
    return a_message(
        *alerts, **{"purpose": Purpose.UPDATE, "change": change, "level": 0, "responder": None, **fields}
    )


def a_test_message() -> Message:
    """Return what somebody who tries a channel sends."""
    return a_message(purpose=Purpose.TEST, level=0, alerts=(), responder=None, timeline=(), actions={}, link=None)


def a_bundle(count: int, **fields: Any) -> Message:
    """Return a page about a storm of that many alerts."""
    alerts = (an_alert(id=an_id(index + 1), title=f"Disk {index} is full", **fields) for index in range(count))
    return a_message(*alerts, actions={}, link=None, timeline=())


def a_huge_alert(**fields: Any) -> Alert:
    """Return an alert that is as long as one can be."""
    contents: dict[str, Any] = {
        "title": "\N{FIRE}" * 1024,
        "description": "\N{FIRE}" * 25_000,
        "labels": {f"label {index}" + "n" * 240: "\N{FIRE}" * 4096 for index in range(64)},
        "annotations": {"notes": "a" * 65_000},
        "severity": Severity.CRITICAL,
    }
    return an_alert(**{**contents, **fields})


def a_webhook(url: str, preset: WebhookPreset | None = None, **fields: Any) -> Channel:
    """Return a webhook, or a service behind one."""
    return a_channel(ChannelKind.WEBHOOK, WebhookConfig(url, preset=preset), **fields)


def a_channel(kind: ChannelKind, config: ChannelConfig, **fields: Any) -> Channel:
    """Return a channel that is in use."""
    return replace(Channel(ChannelId(UUID(int=7)), "the channel", kind, config), **fields)
