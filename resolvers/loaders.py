"""Batch loaders: what siblings ask one by one is read at once, and only once per operation."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import cached_property
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
    IncidentId,
    ModelId,
    MonitorId,
    SavedViewId,
    SilenceId,
    TenantId,
)
from alertgraph.core.incident import Incident
from alertgraph.core.labels import Matcher
from alertgraph.core.metrics import MetricsWindow, Tally
from alertgraph.core.monitored_service import MonitoredService
from alertgraph.core.prediction import FeatureContribution, Prediction
from alertgraph.core.prediction_model import PredictionModel
from alertgraph.core.query import Page, PageRequest
from alertgraph.core.schedule import ShiftOverride
from alertgraph.core.silence import Silence
from alertgraph.core.slo import SlaTarget
from alertgraph.core.tenant import ApiKey, SavedView, TenantSettings
from alertgraph.services.advice import AdviceService
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

    # Each is made when it is wanted first: most operations want one or none.
    alert: cached_property[DataLoader[AlertId, Alert | None]] = cached_property(
        lambda self: _by_key(self._reading.alerts)
    )
    event: cached_property[DataLoader[EventKey, StoredEvent | None]] = cached_property(
        lambda self: _by_key(self._reading.events)
    )
    saved_view: cached_property[DataLoader[SavedViewId, SavedView | None]] = cached_property(
        lambda self: _by_key(self._reading.saved_views)
    )
    api_key: cached_property[DataLoader[ApiKeyId, ApiKey | None]] = cached_property(
        lambda self: _by_key(self._reading.api_keys)
    )
    tally: cached_property[DataLoader[MetricsWindow, Tally]] = cached_property(
        lambda self: _one_by_one(self._reading.tally)
    )
    open_counts: cached_property[DataLoader[MetricsWindow, Tally]] = cached_property(
        lambda self: _one_by_one(self._reading.open_counts)
    )
    config: cached_property[DataLoader[TenantId, TenantConfig]] = cached_property(
        lambda self: _one_by_one(lambda _: self._reading.config())
    )
    settings: cached_property[DataLoader[TenantId, TenantSettings]] = cached_property(
        lambda self: _one_by_one(lambda _: self._reading.settings())
    )
    sla_targets: cached_property[DataLoader[TenantId, list[SlaTarget]]] = cached_property(
        lambda self: _one_by_one(self._sla_targets)
    )
    incident: cached_property[DataLoader[IncidentId, Incident | None]] = cached_property(
        lambda self: _by_key(self._reading.incidents)
    )
    delivery: cached_property[DataLoader[DeliveryId, Delivery | None]] = cached_property(
        lambda self: _by_key(self._reading.deliveries)
    )
    attempts: cached_property[DataLoader[DeliveryId, Sequence[Attempt] | None]] = cached_property(
        lambda self: _by_key(self._reading.attempts_of)
    )
    channel_health: cached_property[DataLoader[ChannelId, ChannelHealth | None]] = cached_property(
        lambda self: _by_key(lambda _: self._reading.channel_health())
    )
    silence: cached_property[DataLoader[SilenceId, Silence | None]] = cached_property(
        lambda self: _by_key(self._reading.silences)
    )
    last_beat: cached_property[DataLoader[MonitorId, datetime | None]] = cached_property(
        lambda self: _by_key(self._reading.last_beats)
    )
    open_alert: cached_property[DataLoader[str, Alert | None]] = cached_property(
        lambda self: _by_key(self._reading.open_alerts_by_key)
    )
    matching: cached_property[DataLoader[tuple[Matcher, ...], Sequence[Alert]]] = cached_property(
        lambda self: _one_by_one(self._reading.matching)
    )
    matching_count: cached_property[DataLoader[tuple[tuple[Matcher, ...], datetime | None], int]] = (
        cached_property(lambda self: _one_by_one(lambda wanted: self._reading.matching_count(*wanted)))
    )
    overrides: cached_property[DataLoader[tuple[datetime, datetime], Sequence[ShiftOverride]]] = cached_property(
        lambda self: _one_by_one(lambda span: self._reading.overrides(*span))
    )

    service: cached_property[DataLoader[str, MonitoredService | None]] = cached_property(
        lambda self: _by_key(self._reading.services)
    )

    model: cached_property[DataLoader[ModelId, PredictionModel | None]] = cached_property(
        lambda self: _by_key(self._reading.models)
    )
    prediction: cached_property[DataLoader[AlertId, Prediction | None]] = cached_property(
        lambda self: _by_key(self._predictions)
    )
    contributions: cached_property[DataLoader[AlertId, Sequence[FeatureContribution] | None]] = cached_property(
        lambda self: _by_key(lambda ids: self._advice.contributions(self._tenant_id, ids))
    )

    def __init__(self, reading: Reading, advice: AdviceService, tenant_id: TenantId, *, scores: bool) -> None:
        self._reading = reading
        self._advice = advice
        self._tenant_id = tenant_id
        self._scores = scores
        self._inhibitors: dict[int, DataLoader[AlertId, Sequence[AlertId] | None]] = {}
        self._beside: dict[tuple[int, bool], DataLoader[str, Sequence[MonitoredService] | None]] = {}
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

    def services_beside(
        self, limit: int, *, dependents: bool
    ) -> DataLoader[str, Sequence[MonitoredService] | None]:
        """Return the loader of up to `limit` services that any service needs, or that need it."""
        loader = self._beside.get((limit, dependents))
        if loader is None:
            loader = self._beside[limit, dependents] = _by_key(
                lambda names: self._reading.services_beside(names, limit, dependents=dependents)
            )
        return loader

    async def _predictions(self, alert_ids: Collection[AlertId]) -> Mapping[AlertId, Prediction]:
        return await self._advice.predictions(self._reading, self._tenant_id, alert_ids, scores=self._scores)

    async def _sla_targets(self, _: TenantId) -> list[SlaTarget]:
        return list(await self._reading.sla_targets())
