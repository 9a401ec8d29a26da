"""The dead-man beat as each kind of channel tells it: about no alert, and never as a test."""

from __future__ import annotations

from dataclasses import replace

from alertgraph.core.channel import ChannelKind, EmailConfig, PagerDutyConfig, WebhookPreset
from alertgraph.core.delivery import Purpose
from alertgraph.core.message import Message
from alertgraph.edge.clock import SystemClock
from alertgraph.notify import presets
from alertgraph.notify.email import EmailAdapter
from alertgraph.notify.guard import Guard
from alertgraph.notify.http import HttpPoster
from alertgraph.notify.pagerduty import PagerDutyAdapter
from alertgraph.notify.teams import built_in_text
from alertgraph.notify.templates import headline, plain_text
from tests.integration.notify.messages import a_channel, a_test_message, a_webhook

BEAT = replace(a_test_message(), purpose=Purpose.ALIVE)


def texts(message: Message) -> list[str]:
    """Return what is read of a message over every kind of channel that takes one."""
    mail = EmailAdapter(None, "alerts@example.com").render(
        a_channel(ChannelKind.EMAIL, EmailConfig(("ops@example.com",))), message
    )
    woken = [
        str(presets.render(a_webhook("https://wake.example.com/topic", preset=preset), message).payload)
        for preset in WebhookPreset
    ]
    card = f"{headline(message)} {built_in_text(message)}"
    return [plain_text(message), card, f"{mail.subject} {mail.payload}", *woken]


def test_a_beat_says_that_it_is_one() -> None:
    for text in texts(BEAT):
        assert "alive for acme" in text
        assert "test" not in text.lower()
        assert "Somebody tries" not in text


def test_a_test_is_no_beat() -> None:
    assert all("alive" not in text for text in texts(a_test_message()))


async def test_pagerduty_is_not_called() -> None:
    poster = HttpPoster(Guard(), SystemClock())
    channel = a_channel(ChannelKind.PAGERDUTY, PagerDutyConfig("0000"))

    result = await PagerDutyAdapter(poster).send(channel, {"routingKey": "0" * 32}, None, BEAT)

    assert not result.delivered
    assert not result.retryable
    assert "no beats" in (result.error or "")
    await poster.aclose()
