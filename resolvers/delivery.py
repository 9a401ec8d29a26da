"""Deliveries: who was told, over which channel, and what came of it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Annotated, Self, TypeVar
from uuid import UUID

import strawberry

from alertgraph.core import delivery as core
from alertgraph.core.ids import ChannelId, DeliveryId, NodeKind, ResponderId, decode_key, encode_id
from alertgraph.core.query import Page, PageRequest
from resolvers.actor import responders_by_id, shown_responder
from resolvers.alert import CriticalAlert, alerts_by_id, shown_alert
from resolvers.channel import NotificationChannel, channels_by_id, shown_channel
from resolvers.context import Info
from resolvers.fields import computed
from resolvers.matcher import check_length
from resolvers.paging import UNSET, After, Before, First, Last, Node, PageInfo, given, page_of
from resolvers.permissions import reads
from resolvers.relations import in_parts, relation
from resolvers.responder import Responder
from resolvers.words import DeliveryStatus, Role

K = TypeVar("K")


@strawberry.type(description="One try.")
class DeliveryAttempt:
    """One try."""

    started_at: datetime = strawberry.field(description="When.")
    duration: timedelta | None = strawberry.field(
        description="How long it took; null while under way or lost in a crash."
    )
    status_code: int | None = strawberry.field(description="HTTP or SMTP status.")
    error: str | None = strawberry.field(description="What failed; null on success.")

    @classmethod
    def of(cls, attempt: core.Attempt) -> Self:
        """Return a try as the API shows it."""
        return cls(
            started_at=attempt.started_at,
            duration=attempt.duration,
            status_code=attempt.status_code,
            error=attempt.error,
        )


async def attempts_by_delivery(
    info: Info, keys: Sequence[DeliveryId]
) -> Mapping[DeliveryId, Sequence[core.Attempt]]:
    """Return each delivery's tries, oldest first."""
    return await in_parts(info.context.reading.attempts_of, keys)


async def deliveries_by_id(info: Info, keys: Sequence[DeliveryId]) -> Mapping[DeliveryId, core.Delivery]:
    """Return the deliveries that the caller may see."""
    return await in_parts(info.context.reading.deliveries, keys)


def shown_delivery(_info: Info, found: core.Delivery) -> "Delivery":
    """Return a delivery as the API shows it."""
    return Delivery.of(found)


def shown_attempts(_info: Info, found: Sequence[core.Attempt]) -> list[DeliveryAttempt]:
    """Return tries as the API shows them."""
    return [DeliveryAttempt.of(attempt) for attempt in found]


@strawberry.type(description="One attempt chain to tell one target about one alert over one channel.")
class Delivery(Node):
    """One attempt chain; its relations are read together with those of its siblings."""

    kept: strawberry.Private[core.Delivery]
    id: strawberry.ID = strawberry.field(description="Opaque.")
    channel_name: str = strawberry.field(description="The channel's name as it was then.")
    level: int = strawberry.field(description="For which level; 0 for updates, tests and assignments.")
    status: DeliveryStatus = strawberry.field(description="Where it stands.")
    attempt_count: int = strawberry.field(description="How often it was tried.")
    created_at: datetime = strawberry.field(description="When it was decided.")
    sent_at: datetime | None = strawberry.field(description="When the provider took it.")
    next_attempt_at: datetime | None = strawberry.field(description="When it is tried again.")
    last_error: str | None = strawberry.field(description="What failed last, or why it was skipped.")

    @computed(
        "About which alert; null for a test.",
        batch=relation(attrgetter("kept.alert_id"), alerts_by_id, shown_alert),
    )
    @reads(Role.VIEWER)
    async def alert(self, info: Info) -> CriticalAlert | None:
        """Return the alert."""
        if self.kept.alert_id is None:
            return None
        found = await info.context.loaders.alert.load(self.kept.alert_id)
        return CriticalAlert.of(found, info.context.reading.now) if found is not None else None

    @computed(
        "Over which channel; null once deleted.",
        batch=relation(attrgetter("kept.channel_id"), channels_by_id, shown_channel),
    )
    @reads(Role.VIEWER)
    async def channel(self, info: Info) -> NotificationChannel | None:
        """Return the channel."""
        found = (await info.context.catalog()).channels.get(self.kept.channel_id)
        return NotificationChannel.of(found) if found is not None else None

    @computed(
        "The person meant, where it is one.",
        batch=relation(attrgetter("kept.responder_id"), responders_by_id, shown_responder),
    )
    @reads(Role.VIEWER)
    async def responder(self, info: Info) -> Responder | None:
        """Return the person."""
        if self.kept.responder_id is None:
            return None
        found = (await info.context.catalog()).responders.get(self.kept.responder_id)
        return Responder.of(found) if found is not None else None

    @computed(
        "Each try, oldest first.",
        page_size_default=3,
        batch=relation(attrgetter("kept.id"), attempts_by_delivery, shown_attempts, missing=list),
    )
    @reads(Role.VIEWER)
    async def attempts(self, info: Info) -> list[DeliveryAttempt]:
        """Return each try."""
        found = await info.context.loaders.attempts.load(self.kept.id)
        return [DeliveryAttempt.of(attempt) for attempt in found or ()]

    @computed(
        "The delivery that took over when this one failed.",
        batch=relation(attrgetter("kept.fell_back_to"), deliveries_by_id, shown_delivery),
    )
    @reads(Role.VIEWER)
    async def fell_back_to(self, info: Info) -> "Delivery | None":
        """Return the delivery that took over."""
        if self.kept.fell_back_to is None:
            return None
        found = await info.context.loaders.delivery.load(self.kept.fell_back_to)
        return Delivery.of(found) if found is not None else None

    @classmethod
    def of(cls, delivery: core.Delivery) -> Self:
        """Return a delivery as the API shows it."""
        return cls(
            kept=delivery,
            id=strawberry.ID(encode_id(NodeKind.DELIVERY, delivery.id)),
            channel_name=delivery.channel_name,
            level=delivery.level,
            status=delivery.status,
            attempt_count=delivery.attempt_count,
            created_at=delivery.created_at,
            sent_at=delivery.sent_at,
            next_attempt_at=delivery.due_at if delivery.status is DeliveryStatus.RETRYING else None,
            last_error=delivery.last_error,
        )


@strawberry.type(description="One of a page of deliveries.")
class DeliveryEdge:
    """One of a page of deliveries."""

    cursor: str = strawberry.field(description="Its place in this list.")
    node: Delivery = strawberry.field(description="The thing.")


@strawberry.type(description="A page of deliveries.")
class DeliveryConnection:
    """A page of deliveries."""

    edges: list[DeliveryEdge] = strawberry.field(description="With cursors.")
    nodes: list[Delivery] = strawberry.field(description="Without cursors.")
    page_info: PageInfo = strawberry.field(description="Where the page lies.", metadata={"cost": 0})

    @classmethod
    def of(cls, page: Page[core.Delivery]) -> Self:
        """Return a page of deliveries as the API shows it."""
        edges = [DeliveryEdge(cursor=cursor, node=Delivery.of(found)) for cursor, found in page.items]
        return cls(edges=edges, nodes=[edge.node for edge in edges], page_info=PageInfo.of(page))


@strawberry.input(description="Which deliveries. Every field given must hold; of a list, one value is enough.")
class DeliveryFilter:
    """Which deliveries; a field that is null asks for nothing."""

    status: list[DeliveryStatus] | None = strawberry.field(description="Where they stand.")
    channel_id: list[strawberry.ID] | None = strawberry.field(description="Over these channels.")
    responder_id: list[strawberry.ID] | None = strawberry.field(description="To these people: an inbox.")
    created_after: datetime | None = strawberry.field(description="Decided at or after.")
    created_before: datetime | None = strawberry.field(description="Decided before.")

    def to_core(self, page: PageRequest) -> core.DeliveryQuery | None:
        """Return what is asked for; None where no delivery can be it, as with a list of no channel of ours.

        Raises:
            InputError: A list is too long; the path names it.
        """
        check_length(self.status, "filter", "status")
        channels = _keys(self.channel_id, NodeKind.CHANNEL, ChannelId, "channelId")
        responders = _keys(self.responder_id, NodeKind.RESPONDER, ResponderId, "responderId")
        if () in (channels, responders) or self.status == []:
            return None
        return core.DeliveryQuery(
            page=page,
            status=tuple(self.status or ()),
            channel_ids=channels or (),
            responder_ids=responders or (),
            created_after=self.created_after,
            created_before=self.created_before,
        )


def _keys(
    texts: Sequence[str] | None, kind: NodeKind, make: Callable[[UUID], K], name: str
) -> tuple[K, ...] | None:
    """Return the ids that a filter asks for, those of nothing left out; None where it does not ask."""
    check_length(texts, "filter", name)
    if texts is None:
        return None
    return tuple(make(key) for text in texts if (key := decode_key(text, kind)) is not None)


@reads(Role.VIEWER)
async def deliveries(
    info: Info,
    filter: Annotated[DeliveryFilter | None, strawberry.argument(description="Which.")] = UNSET,
    first: First = UNSET,
    after: After = UNSET,
    last: Last = UNSET,
    before: Before = UNSET,
) -> DeliveryConnection:
    """Return a page of deliveries over all alerts, newest first."""
    wanted, page = given(filter), page_of(first, after, last, before)
    query = wanted.to_core(page) if wanted is not None else core.DeliveryQuery(page=page)
    return DeliveryConnection.of(await info.context.reading.delivery_page(query))
