"""One door for all kinds of channels, and what breaks behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from alertgraph.core.channel import Channel, ChannelKind, EmailConfig, TeamsConfig
from alertgraph.core.errors import InputError
from alertgraph.core.message import Message, Rendered, SendResult
from alertgraph.notify.adapter import Adapter
from alertgraph.notify.guard import Guard
from alertgraph.notify.notifier import ChannelNotifier
from alertgraph.services.ports import Notifier
from tests.integration.notify.messages import a_channel, a_message

TEAMS = a_channel(ChannelKind.TEAMS, TeamsConfig("prod-1.logic.azure.com"))


class Heard:
    """Keeps what failed."""

    def __init__(self) -> None:
        self.errors: list[tuple[str, BaseException]] = []

    def failed(self, part: str, error: BaseException) -> None:
        self.errors.append((part, error))

    def flushed(self, **_: Any) -> None: ...
    def queued(self, seconds: float) -> None: ...
    def streamed(self, **_: Any) -> None: ...


class Speaker:
    """An adapter that keeps what it was told, or breaks."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.told: list[tuple[Channel, Mapping[str, str], str | None, Message]] = []

    async def send(
        self, channel: Channel, secrets: Mapping[str, str], address: str | None, message: Message
    ) -> SendResult:
        if self.error is not None:
            raise self.error
        self.told.append((channel, secrets, address, message))
        return SendResult(delivered=True)

    def render(self, channel: Channel, message: Message) -> Rendered:
        return Rendered(None, channel.name, message.tenant)


def _notifier(speaker: Adapter, heard: Heard | None = None) -> Notifier:
    return ChannelNotifier({ChannelKind.TEAMS: speaker}, Guard(), heard or Heard())


async def test_a_message_goes_to_the_adapter_of_the_channel_s_kind() -> None:
    speaker = Speaker()
    message = a_message()

    result = await _notifier(speaker).send(TEAMS, {"a": "b"}, "ada", message)

    assert result.delivered
    assert speaker.told == [(TEAMS, {"a": "b"}, "ada", message)]
    assert _notifier(speaker).render(TEAMS, message) == Rendered(None, "the channel", "acme")


@pytest.mark.parametrize("error", [ValueError("s3cret"), KeyError("s3cret"), RuntimeError("s3cret"), OSError()])
async def test_whatever_breaks_is_the_result_of_the_attempt(error: Exception) -> None:
    heard = Heard()

    result = await _notifier(Speaker(error), heard).send(TEAMS, {}, None, a_message())

    assert not result.delivered
    assert result.retryable
    assert type(error).__name__ in (result.error or "")
    assert "s3cret" not in (result.error or "")
    assert heard.errors == [("notify", error)]


async def test_cancelling_is_no_failure_of_the_channel() -> None:
    heard = Heard()

    with pytest.raises(asyncio.CancelledError):
        await _notifier(Speaker(asyncio.CancelledError()), heard).send(TEAMS, {}, None, a_message())
    assert heard.errors == []


async def test_a_kind_that_is_not_set_up_goes_to_its_fallback_at_once() -> None:
    mail = a_channel(ChannelKind.EMAIL, EmailConfig(("ada@example.com",)))
    notifier = _notifier(Speaker())

    result = await notifier.send(mail, {}, None, a_message())

    assert not result.delivered
    assert not result.retryable
    assert result.error == "Channels of the kind EMAIL are not set up on this installation."
    with pytest.raises(InputError, match="EMAIL are not set up"):
        notifier.render(mail, a_message())


@pytest.mark.parametrize("kind", ChannelKind)
def test_templates_are_checked_for_every_kind(kind: ChannelKind) -> None:
    notifier = _notifier(Speaker())

    notifier.check_template(kind, None, "{{ title }}")
    with pytest.raises(InputError, match=r"\(line 2, column 4\)"):
        notifier.check_template(kind, None, "\n{{ nothing }}")


async def test_addresses_are_checked_by_the_guard() -> None:
    with pytest.raises(InputError) as caught:
        await _notifier(Speaker()).check_url("http://127.0.0.1/", "config", "webhook", "url")

    assert caught.value.problems[0].path == ("config", "webhook", "url")
