"""Messages to people, and who carries them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from alertgraph.core.channel import Channel, ChannelKind, WebhookPreset
from alertgraph.core.delivery import Attempt, ChannelHealth, Claim, Delivery, Place, Reach, Retry
from alertgraph.core.ids import AlertId, ChannelId, DeliveryId, TenantId
from alertgraph.core.message import Message, Rendered, SendResult


class Deliveries(Protocol):
    """Messages to be sent, and how the channels do that they go over.

    New ones and ends are written by `TenantLog.append`, with the events that tell of them; what lies between,
    claims and attempts, is written here and is no event. Every method raises DependencyError where the store
    is away.
    """

    async def due_tenants(self, now: datetime, limit: int) -> Sequence[TenantId]:
        """Return tenants with deliveries to look at, those due longest first. Who has work is all that is told."""
        ...

    async def next_due_at(self) -> datetime | None:
        """Return the earliest due time of all tenants' deliveries."""
        ...

    async def due(self, tenant_id: TenantId, now: datetime, limit: int) -> Sequence[Delivery]:
        """Return a tenant's deliveries that are due, somebody's first news before all others, then the oldest.

        Among them are those whose attempt's lease ran out, and those that are not wanted any more.
        """
        ...

    async def health(self, tenant_id: TenantId) -> Mapping[ChannelId, ChannelHealth]:
        """Return how the tenant's channels do; one that was never used is absent."""
        ...

    async def reach(
        self, tenant_id: TenantId, places: Collection[Place], kept_since: datetime
    ) -> Mapping[Place, Reach]:
        """Return for each of these whether anybody knows of the alert.

        What is older than `kept_since` may be gone, so that an alert of before counts as told.
        """
        ...

    async def claim(
        self,
        tenant_id: TenantId,
        claims: Sequence[Claim],
        now: datetime,
        lease_until: datetime,
        next_send_at: Mapping[ChannelId, datetime],
    ) -> Collection[DeliveryId]:
        """Begin attempts: return those deliveries that are still wanted and as they were read.

        They are SENDING until `lease_until`; afterwards anybody may claim them again. Each attempt is a row from
        now on. `next_send_at` puts the channels' next turns off.
        """
        ...

    async def retry(self, tenant_id: TenantId, retries: Sequence[Retry]) -> None:
        """Put deliveries back whose attempt failed, under their fence; one not wanted any more is due at once."""
        ...

    async def put_off(self, tenant_id: TenantId, due_at: Mapping[DeliveryId, datetime], now: datetime) -> None:
        """Look at deliveries that wait for their channel's turn no earlier than then; those in work are left.

        One whose attempt's lease has run out by `now` waits, too.
        """
        ...

    async def note_health(
        self, tenant_id: TenantId, channel_id: ChannelId, decide: Callable[[ChannelHealth], ChannelHealth]
    ) -> ChannelHealth:
        """Change how a channel does, by what it is while nobody else changes it, and return it."""
        ...

    async def receipt(
        self, tenant_id: TenantId, alert_id: AlertId, channel_id: ChannelId, address: str | None
    ) -> str | None:
        """Return what the provider called the message about an alert, as JSON; None where none was sent."""
        ...

    async def record(self, tenant_id: TenantId, delivery: Delivery, attempt: Attempt) -> None:
        """Keep a delivery that was made past the queue, such as a test, with its only attempt."""
        ...


class Notifier(Protocol):
    """Speaks to providers, each channel in its own way."""

    async def send(
        self,
        channel: Channel,
        secrets: Mapping[str, str],
        address: str | None,
        message: Message,
    ) -> SendResult:
        """Make one attempt and return what came of it; raises nothing but cancellation."""
        ...

    def render(self, channel: Channel, message: Message) -> Rendered:
        """Return what would be sent, signatures and secrets left out.

        Raises:
            InputError: The channel's template can't be used; the message names line and column.
        """
        ...

    def check_template(self, kind: ChannelKind, preset: WebhookPreset | None, template: str) -> None:
        """Let a template pass that renders for any alert.

        Raises:
            InputError: It can't be used; the message names line and column, the path is `template`.
        """
        ...

    async def check_url(self, url: str, *path: str) -> None:
        """Let an address pass that may be posted to.

        Raises:
            InputError: It is no http(s) address, or private where the installation does not allow that.
        """
        ...
