"""Every kind of channel behind one door, which fulfils `services.ports.Notifier`."""

from __future__ import annotations

from collections.abc import Mapping

from alertgraph.core.channel import Channel, ChannelKind, WebhookPreset
from alertgraph.core.errors import InputError
from alertgraph.core.message import Message, Rendered, SendResult
from alertgraph.notify import templates
from alertgraph.notify.adapter import Adapter
from alertgraph.notify.guard import Guard
from alertgraph.notify.http import failed
from alertgraph.services.ports import Observer


class ChannelNotifier:
    """Chooses the adapter by the kind of the channel; whatever breaks in one is the result of that attempt."""

    def __init__(self, adapters: Mapping[ChannelKind, Adapter], guard: Guard, observer: Observer) -> None:
        """Take what speaks to providers.

        Args:
            adapters: By kind; a kind that this installation is not set up for is absent.
            guard: Judges addresses when channels are saved.
            observer: Is told of errors that an adapter should have answered with a result.
        """
        self._adapters = adapters
        self._guard = guard
        self._observer = observer

    async def send(
        self, channel: Channel, secrets: Mapping[str, str], address: str | None, message: Message
    ) -> SendResult:
        """Make one attempt and return what came of it; raises nothing but cancellation."""
        adapter = self._adapters.get(channel.kind)
        if adapter is None:
            return failed(_not_set_up(channel.kind))
        try:
            return await adapter.send(channel, secrets, address, message)
        except Exception as error:  # noqa: BLE001 # one delivery outlives any failure, and so its fallback is tried
            self._observer.failed("notify", error)
            # Its words might hold a secret; its kind does not.
            return failed(f"The message could not be made or sent: {type(error).__name__}.", retryable=True)

    def render(self, channel: Channel, message: Message) -> Rendered:
        """Return what would be sent, signatures and secrets left out.

        Raises:
            InputError: The channel's template can't be used, or the installation has no such channels.
        """
        adapter = self._adapters.get(channel.kind)
        if adapter is None:
            raise InputError(_not_set_up(channel.kind))
        return adapter.render(channel, message)

    def check_template(
        self,
        kind: ChannelKind,  # noqa: ARG002 # all kinds know the same values
        preset: WebhookPreset | None,  # noqa: ARG002 # all kinds know the same values
        template: str,
    ) -> None:
        """Let a template pass that renders for any alert.

        Raises:
            InputError: It can't be used; the message names line and column, the path is `template`.
        """
        templates.check_template(template)

    async def check_url(self, url: str, *path: str) -> None:
        """Let an address pass that may be posted to.

        Raises:
            InputError: It is no http(s) address, or private where the installation does not allow that.
        """
        await self._guard.check_url(url, *path)


def _not_set_up(kind: ChannelKind) -> str:
    return f"Channels of the kind {kind.name} are not set up on this installation."
