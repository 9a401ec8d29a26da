"""Ways to reach people or machines, and which of them stands in for which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from alertgraph.core.errors import ErrorCode, InputError, Problem, RefusedError
from alertgraph.core.ids import ChannelId


class ChannelKind(IntEnum):
    """What a channel speaks. The numbers are stored: never reuse one."""

    SLACK = 1
    TEAMS = 2
    PAGERDUTY = 3
    WEBHOOK = 4
    EMAIL = 5


class WebhookPreset(IntEnum):
    """A service behind a webhook whose documented form the body takes. The numbers are stored: never reuse one."""

    TWILIO_SMS = 1
    TWILIO_CALL = 2
    NTFY = 3
    PUSHOVER = 4


@dataclass(frozen=True, slots=True)
class SlackConfig:
    """Slack, chat.postMessage; `api_url` None for Slack's own. Secrets: botToken, signingSecret."""

    channel: str
    api_url: str | None = None


@dataclass(frozen=True, slots=True)
class TeamsConfig:
    """Microsoft Teams, a Workflows webhook. Secret: workflowUrl, of which only the host is told."""

    host: str


@dataclass(frozen=True, slots=True)
class PagerDutyConfig:
    """PagerDuty Events v2; `events_url` None for PagerDuty's own. Secret: routingKey."""

    routing_key_end: str
    events_url: str | None = None


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """Standard Webhooks, or a service's own form. Secrets: secret, headers (an object of texts)."""

    url: str
    header_names: tuple[str, ...] = ()
    preset: WebhookPreset | None = None


@dataclass(frozen=True, slots=True)
class EmailConfig:
    """E-mail to these addresses; how it is sent is the installation's."""

    to: tuple[str, ...]


ChannelConfig: TypeAlias = SlackConfig | TeamsConfig | PagerDutyConfig | WebhookConfig | EmailConfig


@dataclass(frozen=True, slots=True)
class Channel:
    """A way to reach people or machines.

    Attributes:
        enabled: A disabled channel goes to its fallback.
        fallback_id: Used where this one fails.
        template: Jinja2; None for the built-in text.
        config: How it is set up, without secrets.
        sealed: The secrets, an object of texts, as ciphertext; None where the kind has none.
        version: Number of the last event that changed it.
    """

    id: ChannelId
    name: str
    kind: ChannelKind
    config: ChannelConfig
    enabled: bool = True
    fallback_id: ChannelId | None = None
    template: str | None = None
    sealed: str | None = None
    version: int = 0


def chain(channels: Mapping[ChannelId, Channel], channel_id: ChannelId | None) -> Iterator[Channel]:
    """Yield a channel and what stands in for it, in order, each once; a deleted one ends the chain."""
    met: set[ChannelId] = set()
    while channel_id is not None and channel_id not in met:
        channel = channels.get(channel_id)
        if channel is None:
            return
        met.add(channel_id)
        yield channel
        channel_id = channel.fallback_id


def usable(channels: Mapping[ChannelId, Channel], channel_id: ChannelId | None) -> Channel | None:
    """Return the channel, or the first of its fallbacks that is enabled; None where there is none."""
    return next((channel for channel in chain(channels, channel_id) if channel.enabled), None)


def check_fallback(channels: Mapping[ChannelId, Channel], channel_id: ChannelId, fallback_id: ChannelId) -> None:
    """Let a fallback pass that exists and comes round to no circle.

    Raises:
        RefusedError: There is no such channel, or `channel_id` is already among what stands in for it.
    """
    if fallback_id != channel_id and fallback_id not in channels:
        raise RefusedError([Problem(ErrorCode.NOT_FOUND, "There is no such channel.", ("fallbackId",))])
    if any(channel.id == channel_id for channel in chain(channels, fallback_id)) or fallback_id == channel_id:
        raise InputError("A channel can't be among its own fallbacks: this would be a circle.", "fallbackId")
