"""What deliveries say: the alert as it is now, what happened to it, and links that act on it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from alertgraph.core.action_token import ActionClaim, ChatAction, sign_all
from alertgraph.core.alert import Alert
from alertgraph.core.catalog import Catalog
from alertgraph.core.channel import Channel, ChannelKind
from alertgraph.core.delivery import Delivery
from alertgraph.core.event import EventKind
from alertgraph.core.ids import AlertId, TenantId
from alertgraph.core.message import Message
from alertgraph.core.query import PageRequest, TimelineQuery
from alertgraph.core.summary import summary
from alertgraph.services.ports import Deliveries, Snapshot, SnapshotSource

TOKEN_LIFETIME = timedelta(days=7)
NAMED_COUNT_MAX = 50
TIMELINE_LENGTH = 5
_WITH_TIMELINE = (ChannelKind.SLACK, ChannelKind.EMAIL)


class MessageMaker:
    """Makes of deliveries what is sent.

    Args:
        snapshots: Where alerts are read.
        deliveries: Where it stands what providers called earlier messages.
        key: Signs what links and buttons may do.
        public_url: Where people reach the installation, without a slash at its end; None where that is unknown.
    """

    def __init__(
        self, snapshots: SnapshotSource, deliveries: Deliveries, key: bytes, public_url: str | None
    ) -> None:
        self._snapshots = snapshots
        self._deliveries = deliveries
        self._key = key
        self._public_url = public_url

    async def of(
        self, tenant_id: TenantId, catalog: Catalog, channel: Channel, group: Sequence[Delivery], now: datetime
    ) -> Message:
        """Return the message of deliveries that go together, the first of which leads.

        Raises:
            DependencyError: The store is away.
        """
        first = group[0]
        ids = list(dict.fromkeys(one.alert_id for one in group if one.alert_id is not None))
        async with self._snapshots.snapshot(tenant_id) as snapshot:
            tenant = await snapshot.tenant()
            found = await snapshot.alerts(ids[:NAMED_COUNT_MAX])
            told = tuple(found) if len(ids) == 1 and channel.kind in _WITH_TIMELINE else ()
            timeline = await _sentences(snapshot, told, TIMELINE_LENGTH)
            # More may have happened since, such as that others were told: the thread is to tell of this.
            change = frozenset({EventKind[first.change]}) if first.change is not None else None
            news = await _sentences(snapshot, told, 1, change) if change is not None else ()
        alerts = tuple(sorted(found.values(), key=lambda alert: (-alert.severity, alert.triggered_at, alert.id)))
        responder = catalog.responders.get(first.responder_id) if first.responder_id is not None else None
        one = alerts[0] if len(ids) == 1 and alerts else None
        receipt = None
        if one is not None and channel.kind in _WITH_TIMELINE:
            receipt = await self._deliveries.receipt(tenant_id, one.id, channel.id, first.address)
        tokens = self._tokens(tenant_id, channel, first, one, now) if one is not None else {}
        return Message(
            id=first.bundle_id or first.id,
            tenant=tenant.name,
            purpose=first.purpose,
            alerts=alerts,
            at=now,
            level=first.level,
            responder=responder.name if responder is not None else None,
            change=first.change,
            news=news[-1] if news else None,
            timeline=timeline,
            actions=self._links(tokens),
            tokens=tokens,
            receipt=receipt,
            more_count=max(0, len(ids) - NAMED_COUNT_MAX),
        )

    def _tokens(
        self, tenant_id: TenantId, channel: Channel, first: Delivery, alert: Alert, now: datetime
    ) -> dict[str, str]:
        if not alert.is_open:
            return {}
        claim = ActionClaim(
            tenant_id, alert.id, ChatAction.ACKNOWLEDGE, channel.id, now + TOKEN_LIFETIME, first.responder_id
        )
        return sign_all(claim, self._key)

    def _links(self, tokens: dict[str, str]) -> dict[str, str]:
        if self._public_url is None:
            return {}
        return {name: f"{self._public_url}/act/{token}" for name, token in tokens.items()}


async def _sentences(
    snapshot: Snapshot, ids: tuple[AlertId, ...], count: int, kinds: frozenset[EventKind] | None = None
) -> tuple[str, ...]:
    """Return the newest sentences of alerts' timelines, oldest first; of these kinds, where some are named."""
    if not ids:
        return ()
    pages = await snapshot.timelines(TimelineQuery(ids, kinds, PageRequest(count, backward=True)))
    return tuple(summary(stored.event) for page in pages.values() for _, stored in page.items)
