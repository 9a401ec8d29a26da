"""What the engine and the deliveries keep, in memory, by the rules of their tables: for their simulation.

It shares the rows of a MemoryLog, so that what a flush wrote is what is due here. Like that it decides nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

from alertgraph.core.alert import Alert
from alertgraph.core.delivery import (
    Attempt,
    ChannelHealth,
    Claim,
    Delivery,
    DeliveryStatus,
    Place,
    Purpose,
    Reach,
    Retry,
)
from alertgraph.core.dispatch import UNANSWERED_AFTER
from alertgraph.core.errors import DependencyError
from alertgraph.core.escalation import JUDGED_AGAIN
from alertgraph.core.event import StoredEvent
from alertgraph.core.flush import TenantConfig
from alertgraph.core.ids import AlertId, ChannelId, DeliveryId, TenantId
from alertgraph.core.inhibition import InhibitionKey
from alertgraph.core.query import Page, TimelineQuery
from alertgraph.core.tenant import Tenant
from alertgraph.core.tier import Tier
from tests.memory_log import MemoryLog, TenantRows

_WAITING = (DeliveryStatus.PENDING, DeliveryStatus.RETRYING)


class Outage:
    """Says whether the store answers at present."""

    def __init__(self) -> None:
        self.away = False

    def check(self) -> None:
        """Let a call pass while the store is there."""
        if self.away:
            raise DependencyError("memory", retryable=True)


class MemoryDue:
    """Fulfils `services.ports.DueWork` over the rows of a log."""

    def __init__(self, log: MemoryLog, outage: Outage) -> None:
        self._log = log
        self._outage = outage
        self._claimed: set[TenantId] = set()
        # The column, where it says something else than the alert's own timers.
        self._due_at: dict[AlertId, tuple[int, datetime]] = {}
        self._judged: dict[TenantId, int] = {}

    def _at(self, alert: Alert) -> datetime | None:
        version, at = self._due_at.get(alert.id, (0, None))
        # A flush that writes the alert writes its own due time.
        return at if at is not None and version == alert.version else alert.due_at

    async def due_tenants(self, now: datetime, limit: int) -> Sequence[TenantId]:
        """Return tenants with something due, those due longest first."""
        await self._log.pause()
        self._outage.check()
        due = {
            tenant_id: [at for alert in rows.open.values() if (at := self._at(alert)) is not None]
            for tenant_id, rows in self._log.tenants.items()
        }
        return _due_longest_first(due, now, limit)

    async def next_due_at(self) -> datetime | None:
        """Return the earliest due time of all tenants."""
        self._outage.check()
        due = [
            at
            for rows in self._log.tenants.values()
            for alert in rows.open.values()
            if (at := self._at(alert)) is not None
        ]
        return min(due, default=None)

    @asynccontextmanager
    async def claim(self, tenant_id: TenantId) -> AsyncIterator[bool]:
        """Hold a tenant's work for the length of the context."""
        self._outage.check()
        if tenant_id in self._claimed:
            yield False
            return
        self._claimed.add(tenant_id)
        try:
            yield True
        finally:
            self._claimed.discard(tenant_id)

    async def due_alerts(self, tenant_id: TenantId, now: datetime, limit: int) -> Sequence[Alert]:
        """Return a tenant's alerts that are due, those never paged first."""
        await self._log.pause()
        self._outage.check()
        rows = self._log.tenants[tenant_id]
        due = [
            (alert.escalation_level > 0, at, alert.id)
            for alert in rows.open.values()
            if (at := self._at(alert)) is not None and at <= now
        ]
        return [rows.open[id_] for _, _, id_ in sorted(due)[:limit]]

    async def inhibitors(
        self, tenant_id: TenantId, keys: Collection[InhibitionKey]
    ) -> Mapping[InhibitionKey, Sequence[AlertId]]:
        """Return the open alerts that are a source under these keys."""
        self._outage.check()
        rows = self._log.tenants[tenant_id]
        found: dict[InhibitionKey, list[AlertId]] = {}
        for alert_id in rows.open:
            for key in rows.inhibits.get(alert_id, frozenset()) & frozenset(keys):
                found.setdefault(key, []).append(alert_id)
        return found

    async def unjudged_tenants(self, limit: int) -> Sequence[TenantId]:
        """Return tenants whose configuration changed since their held alerts were looked at."""
        self._outage.check()
        return [
            tenant_id
            for tenant_id, rows in self._log.tenants.items()
            if rows.config.version > self._judged.get(tenant_id, 0)
        ][:limit]

    async def judge_anew(self, tenant_id: TenantId, now: datetime, after: AlertId | None) -> AlertId | None:
        """Make held alerts due that another configuration may set free."""
        assert after is None, "all are looked at at once"
        await self._log.pause()
        self._outage.check()
        rows = self._log.tenants[tenant_id]
        version = rows.config.version
        for alert in rows.open.values():
            at = self._at(alert)
            if alert.held in JUDGED_AGAIN and (at is None or at > now):
                self._due_at[alert.id] = (alert.version, now)
        self._judged[tenant_id] = version
        return None

    async def sources(self, tenant_id: TenantId, after: AlertId | None, limit: int) -> Sequence[Alert]:
        """Return open alerts behind an id, in its order."""
        self._outage.check()
        alerts = sorted(self._log.tenants[tenant_id].open.values(), key=lambda alert: alert.id)
        return [alert for alert in alerts if after is None or alert.id > after][:limit]

    async def keep_sources(
        self,
        tenant_id: TenantId,
        inhibits: Mapping[AlertId, frozenset[InhibitionKey]],
        versions: Mapping[AlertId, int],
    ) -> None:
        """Replace what these open alerts are a source of, where they are unchanged."""
        self._outage.check()
        rows = self._log.tenants[tenant_id]
        for id_, keys in inhibits.items():
            if id_ in rows.open and rows.open[id_].version == versions[id_]:
                rows.inhibits[id_] = keys

    async def open_alert_count(self) -> int:
        """Return how many alerts are open."""
        return sum(len(rows.open) for rows in self._log.tenants.values())

    async def rearm(self, tenant_id: TenantId, alerts: Sequence[Alert], due_at: datetime | None = None) -> None:
        """Set when alerts are looked at next, where they are unchanged."""
        await self._log.pause()
        self._outage.check()
        rows = self._log.tenants[tenant_id]
        for alert in alerts:
            known = rows.open.get(alert.id)
            if known is not None and known.version == alert.version and known.resolve_at == alert.resolve_at:
                rows.open[alert.id] = replace(known, judge_at=alert.judge_at)
                at = due_at or alert.due_at
                assert at is not None, "an open alert has an SLA time, or has passed them all"
                self._due_at[alert.id] = (alert.version, at)


class MemoryDeliveries:
    """Fulfils `services.ports.Deliveries` over the rows of a log.

    Attributes:
        claims: Every claim that was granted: (number of the log's last event, delivery, attempt, instant).
        granted: How many messages may have gone out under each key.
        read: Awaited between what is due was read and whoever asked learns of it.
    """

    def __init__(self, log: MemoryLog, outage: Outage) -> None:
        self._log = log
        self._outage = outage
        self._health: dict[tuple[TenantId, ChannelId], ChannelHealth] = {}
        self.claims: list[tuple[int, Delivery, int, datetime]] = []
        self.granted: Counter[DeliveryId] = Counter()
        self.read: Callable[[Sequence[Delivery]], Awaitable[None]] | None = None

    def _rows(self, tenant_id: TenantId) -> TenantRows:
        self._outage.check()
        return self._log.tenants[tenant_id]

    async def due_tenants(self, now: datetime, limit: int) -> Sequence[TenantId]:
        """Return tenants with deliveries to look at."""
        await self._log.pause()
        self._outage.check()
        due = {
            tenant_id: [one.due_at for one in rows.deliveries.values()]
            for tenant_id, rows in self._log.tenants.items()
        }
        return _due_longest_first(due, now, limit)

    async def next_due_at(self) -> datetime | None:
        """Return the earliest due time of all tenants' deliveries."""
        self._outage.check()
        return min(
            (one.due_at for rows in self._log.tenants.values() for one in rows.deliveries.values()), default=None
        )

    async def due(self, tenant_id: TenantId, now: datetime, limit: int) -> Sequence[Delivery]:
        """Return a tenant's deliveries that are due, first news before all others."""
        await self._log.pause()
        due = [one for one in self._rows(tenant_id).deliveries.values() if one.due_at <= now]
        found = sorted(due, key=lambda one: (not one.is_first, one.due_at, one.id))[:limit]
        if self.read is not None:
            await self.read(found)
        return found

    async def health(self, tenant_id: TenantId) -> Mapping[ChannelId, ChannelHealth]:
        """Return how the tenant's channels do."""
        self._outage.check()
        return {channel: health for (tenant, channel), health in self._health.items() if tenant == tenant_id}

    async def reach(
        self, tenant_id: TenantId, places: Collection[Place], kept_since: datetime
    ) -> Mapping[Place, Reach]:
        """Return for each of these whether anybody knows of the alert."""
        await self._log.pause()
        rows = self._rows(tenant_id)
        return {place: _reach(rows, place) for place in places}

    async def claim(
        self,
        tenant_id: TenantId,
        claims: Sequence[Claim],
        now: datetime,
        lease_until: datetime,
        next_send_at: Mapping[ChannelId, datetime],
    ) -> Collection[DeliveryId]:
        """Begin attempts."""
        await self._log.pause()
        rows = self._rows(tenant_id)
        claimed = set()
        keys = set()
        for claim in claims:
            known = rows.deliveries.get(claim.delivery_id)
            if (
                known is None
                or not known.wanted
                or known.attempt_count != claim.fence
                or known.due_at > now
                or known.status not in (*_WAITING, DeliveryStatus.SENDING)
            ):
                continue
            number = known.attempt_count + 1
            rows.deliveries[known.id] = replace(
                known,
                status=DeliveryStatus.SENDING,
                attempt_count=number,
                due_at=lease_until,
                bundle_id=claim.bundle_id,
            )
            rows.attempts.setdefault(known.id, []).append(Attempt(number, now))
            self.claims.append((rows.number, known, number, now))
            claimed.add(known.id)
            keys.add(claim.bundle_id or known.id)
        self.granted.update(keys)
        for channel_id, at in next_send_at.items():
            known_health = self._health.get((tenant_id, channel_id), ChannelHealth())
            self._health[tenant_id, channel_id] = replace(known_health, next_send_at=at)
        await self._log.pause()
        return claimed

    async def retry(self, tenant_id: TenantId, retries: Sequence[Retry]) -> None:
        """Put deliveries back whose attempt failed."""
        await self._log.pause()
        rows = self._rows(tenant_id)
        for retry in retries:
            known = rows.deliveries.get(retry.delivery_id)
            if known is None or known.attempt_count != retry.fence or known.status is not DeliveryStatus.SENDING:
                continue
            rows.attempts[known.id][retry.attempt.number - 1] = retry.attempt
            rows.deliveries[known.id] = replace(
                known,
                status=DeliveryStatus.RETRYING if known.wanted else DeliveryStatus.SKIPPED,
                due_at=retry.due_at if known.wanted else self._log.now(),
                last_error=retry.attempt.error,
            )

    async def put_off(self, tenant_id: TenantId, due_at: Mapping[DeliveryId, datetime], now: datetime) -> None:
        """Look at deliveries that wait no earlier than then."""
        rows = self._rows(tenant_id)
        for id_, at in due_at.items():
            known = rows.deliveries.get(id_)
            if known is not None and (
                known.status in _WAITING or (known.status is DeliveryStatus.SENDING and known.due_at <= now)
            ):
                rows.deliveries[id_] = replace(known, due_at=at)

    async def note_health(
        self, tenant_id: TenantId, channel_id: ChannelId, decide: Callable[[ChannelHealth], ChannelHealth]
    ) -> ChannelHealth:
        """Change how a channel does."""
        await self._log.pause()
        self._outage.check()
        health = decide(self._health.get((tenant_id, channel_id), ChannelHealth()))
        self._health[tenant_id, channel_id] = health
        return health

    async def receipt(
        self, tenant_id: TenantId, alert_id: AlertId, channel_id: ChannelId, address: str | None
    ) -> str | None:
        """Return what the provider called the message about an alert."""
        return self._rows(tenant_id).receipts.get((alert_id, channel_id, address))

    async def record(self, tenant_id: TenantId, delivery: Delivery, attempt: Attempt) -> None:
        """Keep a delivery that was made past the queue."""
        rows = self._rows(tenant_id)
        rows.finished[delivery.id] = delivery
        rows.attempts[delivery.id] = [attempt]


def _due_longest_first(
    due_at: Mapping[TenantId, Sequence[datetime]], now: datetime, limit: int
) -> Sequence[TenantId]:
    found = [(min(times), tenant_id) for tenant_id, times in due_at.items() if times and min(times) <= now]
    return [tenant_id for _, tenant_id in sorted(found)][:limit]


def _reach(rows: TenantRows, place: Place) -> Reach:
    def is_news(one: Delivery) -> bool:
        return (one.alert_id, one.channel_id) == place and one.purpose in (Purpose.PAGE, Purpose.ASSIGNMENT)

    waiting = [one for one in rows.deliveries.values() if is_news(one)]
    ended = [one for one in rows.finished.values() if is_news(one)]
    if any(one.status is DeliveryStatus.SENT for one in ended):
        return Reach.TOLD
    if any(one.status is DeliveryStatus.SENDING for one in waiting):
        return Reach.UNDER_WAY
    if any(one.wanted for one in waiting):
        return Reach.NOBODY
    is_unanswered = any(
        attempt.duration is None or (attempt.status_code is None and attempt.duration >= UNANSWERED_AFTER)
        for one in (*waiting, *ended)
        for attempt in rows.attempts.get(one.id, ())
    )
    return Reach.TOLD if is_unanswered else Reach.NOBODY


class MemorySnapshot:
    """What messages are made from, of `services.ports.Snapshot`."""

    def __init__(self, tenant_id: TenantId, rows: TenantRows) -> None:
        self._tenant_id = tenant_id
        self._rows = rows

    async def tenant(self) -> Tenant:
        """Return the tenant."""
        return Tenant(self._tenant_id, "acme", "Acme", Tier.STANDARD)

    async def config(self) -> TenantConfig:
        """Return the configuration."""
        return self._rows.config

    async def alerts(self, ids: Collection[AlertId]) -> Mapping[AlertId, Alert]:
        """Return the alerts that exist among the ids."""
        return {id_: alert for id_ in ids if (alert := self._rows.by_id(id_)) is not None}

    async def timelines(self, query: TimelineQuery) -> Mapping[AlertId, Page[StoredEvent]]:
        """Return no timeline: what a message tells of it is not simulated."""
        return {}


class MemorySnapshots:
    """Fulfils `services.ports.SnapshotSource` as far as messages need it."""

    def __init__(self, log: MemoryLog, outage: Outage) -> None:
        self._log = log
        self._outage = outage

    @asynccontextmanager
    async def snapshot(self, tenant_id: TenantId) -> AsyncIterator[MemorySnapshot]:
        """Lend a tenant's data."""
        await self._log.pause()
        self._outage.check()
        yield MemorySnapshot(tenant_id, self._log.tenants[tenant_id])
