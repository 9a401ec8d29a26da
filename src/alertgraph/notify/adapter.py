"""What every kind of channel is spoken to by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from alertgraph.core.channel import Channel
from alertgraph.core.message import Message, Rendered, SendResult


class Adapter(Protocol):
    """Speaks one kind of channel."""

    async def send(
        self, channel: Channel, secrets: Mapping[str, str], address: str | None, message: Message
    ) -> SendResult:
        """Make one attempt and return what came of it.

        What a provider answers and what breaks on the way there is a SendResult; the texts of it name no secret.
        A template that fails now, although it was checked, doesn't hold a page up: the built-in text goes out.

        Args:
            channel: Of this adapter's kind.
            secrets: The channel's, in plain text.
            address: The person's on this channel, in plain text; None for the channel's own.
            message: What to tell.
        """
        ...

    def render(self, channel: Channel, message: Message) -> Rendered:
        """Return what would be sent, signatures and secrets left out.

        Raises:
            InputError: The channel's template can't be used; the message names line and column.
        """
        ...
