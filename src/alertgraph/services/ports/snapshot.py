"""One moment of a tenant's data: the read side."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Protocol

from alertgraph.core.alert import Alert, AlertStatus
from alertgraph.core.alert_link import Related
from alertgraph.core.checkpoint import SignedCheckpoint
from alertgraph.core.cursor import LogCursor
from alertgraph.core.delivery import Attempt, ChannelHealth, Delivery, DeliveryQuery
from alertgraph.core.event import EventKind, StoredEvent
from alertgraph.core.flush import TenantConfig
from alertgraph.core.health import EngineFigures
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
from alertgraph.core.merkle import TileAt, Tiles
from alertgraph.core.metrics import MetricsWindow, Tally
from alertgraph.core.monitored_service import MonitoredService
from alertgraph.core.noise import NoiseEvidence, NoiseFigures
from alertgraph.core.prediction import Prediction
from alertgraph.core.prediction_model import PredictionModel
from alertgraph.core.query import (
    AlertQuery,
    EventQuery,
    EventVisibility,
    IncidentQuery,
    Page,
    PageRequest,
    TimelineQuery,
)
from alertgraph.core.schedule import ShiftOverride
from alertgraph.core.silence import Silence, SilenceState
from alertgraph.core.slo import SlaTarget
from alertgraph.core.tenant import ApiKey, SavedView, Tenant, TenantSettings


class Snapshot(Protocol):
    """One tenant's data as of one moment; closed when the operation ends.

    Methods may be called concurrently: they take turns on one connection. Each raises DependencyError
    where the store is away.
    """

    async def renew(self) -> None:
        """Let go of the moment: what is read from here on is as of the next read."""
        ...

    async def as_of(self) -> LogCursor:
        """Return where the log ended at that moment."""
        ...

    async def tenant(self) -> Tenant:
        """Return the tenant."""
        ...

    async def settings(self) -> TenantSettings:
        """Return what an ADMIN may set."""
        ...

    async def config(self) -> TenantConfig:
        """Return the settings, promises and the whole catalog; cached by its version."""
        ...

    async def silence_page(
        self, page: PageRequest, states: Collection[SilenceState], now: datetime
    ) -> Page[Silence]:
        """Return silences in these states (all where empty), latest end first, with the total count."""
        ...

    async def silences(self, ids: Collection[SilenceId]) -> Mapping[SilenceId, Silence]:
        """Return the silences that exist among the ids, those that are over included."""
        ...

    async def overrides(self, since: datetime, until: datetime) -> Sequence[ShiftOverride]:
        """Return the overrides of all schedules that touch [since, until), by begin, also those long over."""
        ...

    async def deliveries(self, ids: Collection[DeliveryId]) -> Mapping[DeliveryId, Delivery]:
        """Return the deliveries that exist among the ids."""
        ...

    async def delivery_page(self, query: DeliveryQuery) -> Page[Delivery]:
        """Return deliveries over all alerts, newest first."""
        ...

    async def deliveries_of(
        self, alert_ids: Collection[AlertId], page: PageRequest
    ) -> Mapping[AlertId, Page[Delivery]]:
        """Return the same page of several alerts' deliveries, oldest first."""
        ...

    async def attempts_of(self, ids: Collection[DeliveryId]) -> Mapping[DeliveryId, Sequence[Attempt]]:
        """Return each try of several deliveries, oldest first."""
        ...

    async def channel_health(self) -> Mapping[ChannelId, ChannelHealth]:
        """Return how the tenant's channels do; one that was never used is absent."""
        ...

    async def inhibitors(self, alert_ids: Collection[AlertId], limit: int) -> Mapping[AlertId, Sequence[AlertId]]:
        """Return up to `limit` open alerts that cover each of these open alerts under the rules of today."""
        ...

    async def inhibitors_of(self, values: Mapping[str, str], limit: int) -> Sequence[AlertId]:
        """Return up to `limit` open alerts that would cover a new one in which matchers see these values."""
        ...

    async def waiting_deliveries(self, alert_id: AlertId, limit: int) -> Sequence[Delivery]:
        """Return up to `limit` deliveries about an alert that have come to no end yet, oldest first."""
        ...

    async def last_beats(self, ids: Collection[MonitorId]) -> Mapping[MonitorId, datetime]:
        """Return when monitors beat last; one that never did is absent."""
        ...

    async def open_alerts_by_key(self, keys: Collection[str]) -> Mapping[str, Alert]:
        """Return the open alerts with these dedup keys."""
        ...

    async def matching(self, matchers: Sequence[Matcher], since: datetime | None, limit: int) -> Sequence[Alert]:
        """Return open alerts, or with `since` all triggered since then, that match; worst first, then newest."""
        ...

    async def matching_count(self, matchers: Sequence[Matcher], since: datetime | None, limit: int) -> int:
        """Return how many alerts `matching` would return."""
        ...

    async def engine_figures(self, now: datetime) -> EngineFigures:
        """Return what `engineHealth` is told from."""
        ...

    async def audit_head(self) -> SignedCheckpoint | None:
        """Return the newest signed state of the log; None where there is none yet."""
        ...

    async def audit_tiles(self, wanted: Collection[TileAt]) -> Tiles:
        """Return the tiles of the log's tree that exist among those wanted."""
        ...

    async def sla_targets(self) -> Sequence[SlaTarget]:
        """Return the promises, worst severity first."""
        ...

    async def alerts(self, ids: Collection[AlertId]) -> Mapping[AlertId, Alert]:
        """Return the alerts that exist among the ids, open and closed."""
        ...

    async def alert_page(self, query: AlertQuery) -> Page[Alert]:
        """Return a page of alerts.

        Raises:
            InputError: A cursor is not of this order, or a filter can't be used; the path names it.
        """
        ...

    async def incidents(self, ids: Collection[IncidentId]) -> Mapping[IncidentId, Incident]:
        """Return the incidents that exist among the ids."""
        ...

    async def incident_page(self, query: IncidentQuery) -> Page[Incident]:
        """Return a page of incidents, newest first.

        Raises:
            InputError: A cursor is not of this list.
        """
        ...

    async def alerts_by_incident(
        self, ids: Collection[IncidentId], page: PageRequest
    ) -> Mapping[IncidentId, Page[Alert]]:
        """Return the same page of several incidents' alerts, newest first, with their total counts.

        Raises:
            InputError: A cursor is not of such a list.
        """
        ...

    async def incident_timelines(
        self,
        ids: Collection[IncidentId],
        kinds: frozenset[EventKind] | None,
        page: PageRequest,
        visibility: EventVisibility,
    ) -> Mapping[IncidentId, Page[StoredEvent]]:
        """Return the same page of several incidents' timelines, of their alerts' too, oldest first."""
        ...

    async def alerts_in(
        self, ids: Collection[IncidentId], statuses: Collection[AlertStatus], limit: int
    ) -> Sequence[AlertId]:
        """Return up to `limit` alerts of these incidents that stand so, open ones first."""
        ...

    async def service_page(self, prefix: str, page: PageRequest) -> Page[MonitoredService]:
        """Return a page of things watched whose names begin so, by name, forward, with the total count.

        Raises:
            InputError: The cursor is not of this list.
        """
        ...

    async def services(self, names: Collection[str]) -> Mapping[str, MonitoredService]:
        """Return those of the things watched that an alert or a dependency has named."""
        ...

    async def services_beside(
        self, names: Collection[str], limit: int, *, dependents: bool
    ) -> Mapping[str, Sequence[MonitoredService]]:
        """Return up to `limit` things that each of these needs, or that need it, by name."""
        ...

    async def related(self, alert_ids: Collection[AlertId], limit: int) -> Mapping[AlertId, Sequence[Related]]:
        """Return up to `limit` links of each alert, from either end, best first; one without links is absent."""
        ...

    async def correlated_until(self) -> datetime | None:
        """Return up to when alerts have been looked at for links; None where nobody has looked at any."""
        ...

    async def event_page(self, query: EventQuery) -> Page[StoredEvent]:
        """Return a page of the log, oldest first."""
        ...

    async def timelines(self, query: TimelineQuery) -> Mapping[AlertId, Page[StoredEvent]]:
        """Return the same page of several alerts' timelines, in one round trip."""
        ...

    async def events(self, keys: Collection[EventKey]) -> Mapping[EventKey, StoredEvent]:
        """Return the events that exist among the keys."""
        ...

    async def label_suggestions(self, label: str | None, prefix: str, limit: int) -> Sequence[str]:
        """Return names of labels in use, or one label's values, the commonest first."""
        ...

    async def tally(self, window: MetricsWindow) -> Tally:
        """Return the counters and durations of a window, exact to the event."""
        ...

    async def tally_series(self, window: MetricsWindow, bucket: timedelta) -> Sequence[tuple[datetime, Tally]]:
        """Return the counters cut into buckets, zeros included, by start; durations are left out.

        Buckets begin on whole hours, or days where they last days: the first may be shorter.
        """
        ...

    async def open_counts(self, window: MetricsWindow) -> Tally:
        """Return how many were open at the window's end, by group, in `opened`."""
        ...

    async def open_alert_count(self) -> int:
        """Return how many alerts are open now."""
        ...

    async def saved_view_page(self, page: PageRequest, subject: str) -> Page[SavedView]:
        """Return a subject's own views and the shared ones, by name, with the total count."""
        ...

    async def saved_views(self, ids: Collection[SavedViewId], subject: str) -> Mapping[SavedViewId, SavedView]:
        """Return those of the views that the subject may see."""
        ...

    async def api_key_page(self, page: PageRequest) -> Page[ApiKey]:
        """Return the tenant's keys, newest first, with the total count."""
        ...

    async def api_keys(self, ids: Collection[ApiKeyId]) -> Mapping[ApiKeyId, ApiKey]:
        """Return the keys that exist among the ids."""
        ...

    async def predictions(self, alert_ids: Collection[AlertId]) -> Mapping[AlertId, Prediction]:
        """Return what the model said of those of the alerts of which it said anything."""
        ...

    async def model_page(self, page: PageRequest) -> Page[PredictionModel]:
        """Return versions of the model, newest first, with the total count."""
        ...

    async def models(self, ids: Collection[ModelId]) -> Mapping[ModelId, PredictionModel]:
        """Return the versions of the model that exist among the ids."""
        ...

    async def active_model(self) -> PredictionModel | None:
        """Return the version in use; None where there is none."""
        ...

    async def label_count(self) -> int:
        """Return of how many predicted alerts the outcome is known, up to a hundred thousand."""
        ...

    async def noise_evidence(self, alerts: Sequence[Alert]) -> Mapping[AlertId, NoiseEvidence]:
        """Return what is known of alerts' being noise besides themselves; nothing where nobody has learnt."""
        ...

    async def noise_figures(self, since: datetime) -> NoiseFigures:
        """Return what holding has come to of the pages held since then."""
        ...


class SnapshotSource(Protocol):
    """Opens snapshots."""

    def snapshot(self, tenant_id: TenantId) -> AbstractAsyncContextManager[Snapshot]:
        """Return a context in which one moment of a tenant's data can be read; connects at the first read."""
        ...
