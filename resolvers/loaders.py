"""Batch loaders: what siblings ask one by one is read at once, and only once per operation."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from strawberry.dataloader import DataLoader

from alertgraph.core.alert import Alert
from alertgraph.core.delivery import Attempt, ChannelHealth, Delivery
from alertgraph.core.event import EventKind, StoredEvent
from alertgraph.core.flush import TenantConfig
from alertgraph.core.ids import (
    AlertId,
    ApiKeyId,
    ChannelId,
    DeliveryId,
    EventKey,
    MonitorId,
    SavedViewId,
    SilenceId,
    TenantId,
)
from alertgraph.core.labels import Matcher
from alertgraph.core.metrics import MetricsWindow, Tally
from alertgraph.core.query import Page, PageRequest
from alertgraph.core.schedule import ShiftOverride
from alertgraph.core.silence import Silence
from alertgraph.core.slo import SlaTarget
from alertgraph.core.tenant import ApiKey, SavedView, TenantSettings
from alertgraph.services.reading import Reading

BATCH_LENGTH_MAX = 1000

K = TypeVar("K")
T = TypeVar("T")


def _by_key(read: Callable[[Collection[K]], Awaitable[Mapping[K, T]]]) -> DataLoader[K, T | None]:
    """Return a loader over a read that leaves out what it does not find; that is None."""

    async def load(keys: list[K]) -> list[T | None]:
        found = await read(keys)
        return [found.get(key) for key in keys]

    return DataLoader(load, max_batch_size=BATCH_LENGTH_MAX)


def _one_by_one(read: Callable[[K], Awaitable[T]]) -> DataLoader[K, T]:
    """Return a loader over a read of one thing at a time: it only remembers."""

    async def load(keys: list[K]) -> list[T]:
        return [await read(key) for key in keys]

    return DataLoader(load)


class Loaders:
    """The loaders of one operation, taking turns on its snapshot."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self.alert: DataLoader[AlertId, Alert | None] = _by_key(reading.alerts)
        self.event: DataLoader[EventKey, StoredEvent | None] = _by_key(reading.events)
        self.saved_view: DataLoader[SavedViewId, SavedView | None] = _by_key(reading.saved_views)
        self.api_key: DataLoader[ApiKeyId, ApiKey | None] = _by_key(reading.api_keys)
        self.tally: DataLoader[MetricsWindow, Tally] = _one_by_one(reading.tally)
        self.open_counts: DataLoader[MetricsWindow, Tally] = _one_by_one(reading.open_counts)
        self.config: DataLoader[TenantId, TenantConfig] = _one_by_one(lambda _: reading.config())
        self.settings: DataLoader[TenantId, TenantSettings] = _one_by_one(lambda _: reading.settings())
        self.sla_targets: DataLoader[TenantId, list[SlaTarget]] = _one_by_one(self._sla_targets)
        self.delivery: DataLoader[DeliveryId, Delivery | None] = _by_key(reading.deliveries)
        self.attempts: DataLoader[DeliveryId, Sequence[Attempt] | None] = _by_key(reading.attempts_of)
        self.channel_health: DataLoader[ChannelId, ChannelHealth | None] = _by_key(
            lambda _: reading.channel_health()
        )
        self.silence: DataLoader[SilenceId, Silence | None] = _by_key(reading.silences)
        self.last_beat: DataLoader[MonitorId, datetime | None] = _by_key(reading.last_beats)
        self.open_alert: DataLoader[str, Alert | None] = _by_key(reading.open_alerts_by_key)
        self.matching: DataLoader[tuple[tuple[Matcher, ...], datetime | None], Sequence[Alert]] = _one_by_one(
            lambda wanted: reading.matching(*wanted)
        )
        self.overrides: DataLoader[tuple[datetime, datetime], Sequence[ShiftOverride]] = _one_by_one(
            lambda span: reading.overrides(*span)
        )
        self._inhibitors: dict[int, DataLoader[AlertId, Sequence[AlertId] | None]] = {}
        self._deliveries: dict[PageRequest, DataLoader[AlertId, Page[Delivery]]] = {}
        self._timelines: dict[
            tuple[frozenset[EventKind] | None, PageRequest], DataLoader[AlertId, Page[StoredEvent]]
        ] = {}

    def timeline(
        self, kinds: frozenset[EventKind] | None, page: PageRequest
    ) -> DataLoader[AlertId, Page[StoredEvent]]:
        """Return the loader of the same part of any alert's timeline."""
        loader = self._timelines.get((kinds, page))
        if loader is None:

            async def load(alert_ids: list[AlertId]) -> list[Page[StoredEvent]]:
                pages = await self._reading.timelines(alert_ids, kinds, page)
                return [pages[alert_id] for alert_id in alert_ids]

            loader = self._timelines[(kinds, page)] = DataLoader(load, max_batch_size=BATCH_LENGTH_MAX)
        return loader

    def deliveries_of(self, page: PageRequest) -> DataLoader[AlertId, Page[Delivery]]:
        """Return the loader of the same part of any alert's deliveries."""
        loader = self._deliveries.get(page)
        if loader is None:

            async def load(alert_ids: list[AlertId]) -> list[Page[Delivery]]:
                pages = await self._reading.deliveries_of(alert_ids, page)
                return [pages[alert_id] for alert_id in alert_ids]

            loader = self._deliveries[page] = DataLoader(load, max_batch_size=BATCH_LENGTH_MAX)
        return loader

    def inhibitors(self, limit: int) -> DataLoader[AlertId, Sequence[AlertId] | None]:
        """Return the loader of up to `limit` bigger alerts that cover any alert now; None where none does."""
        loader = self._inhibitors.get(limit)
        if loader is None:
            loader = self._inhibitors[limit] = _by_key(lambda ids: self._reading.inhibitors(ids, limit))
        return loader

    async def _sla_targets(self, _: TenantId) -> list[SlaTarget]:
        return list(await self._reading.sla_targets())
