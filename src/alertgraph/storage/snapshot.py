"""One moment of a tenant's data: everything a GraphQL operation or a REST request reads, in PostgreSQL."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

from alertgraph.core.alert import Alert, AlertStatus, alert_match_values
from alertgraph.core.alert_link import Related
from alertgraph.core.catalog import Catalog
from alertgraph.core.checkpoint import SignedCheckpoint
from alertgraph.core.cursor import LogCursor
from alertgraph.core.delivery import Attempt, ChannelHealth, Delivery, DeliveryQuery
from alertgraph.core.errors import NotFoundError
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
from alertgraph.storage import (
    alert_links,
    audit_tree,
    config_pages,
    delivery_pages,
    event_pages,
    figures,
    incident_pages,
    monitored_services,
    prediction_models,
    predictions,
    search,
)
from alertgraph.storage.alert_pages import counts, judging, pages
from alertgraph.storage.alerts import load_alerts, load_open_alerts_by_key
from alertgraph.storage.catalog import load_config
from alertgraph.storage.database import Database
from alertgraph.storage.inhibitors import load_inhibitors
from alertgraph.storage.noise import load_noise_evidence, load_noise_figures
from alertgraph.storage.reader import Reader

# How many tenants' configurations a process keeps at hand.
CACHED_TENANT_COUNT_MAX = 1000
# Stands for an alert that is not there yet; no alert has this id.
_TO_COME = AlertId(UUID(int=0))


class ConfigCache:
    """The last configuration of each tenant that was read, to be used for as long as its version stands.

    Args:
        tenant_count_max: More tenants than this, and the one that was not asked for longest is forgotten.
    """

    def __init__(self, tenant_count_max: int = CACHED_TENANT_COUNT_MAX) -> None:
        self._tenant_count_max = tenant_count_max
        self._configs: OrderedDict[TenantId, TenantConfig] = OrderedDict()

    async def load(self, reader: Reader) -> TenantConfig:
        """Return the configuration of the reader's tenant at the reader's moment.

        Raises:
            NotFoundError: There is no such tenant any more.
            DependencyError: The store is away, or holds something that this release can't read.
        """
        head = await reader.head()
        known = self._configs.get(reader.tenant_id)
        if known is not None and known.version == head.config_version:
            self._configs.move_to_end(reader.tenant_id)
            return known
        config = await load_config(reader.fetch, reader.tenant_id)
        if config is None:
            raise NotFoundError("There is no such tenant.")
        self._configs[reader.tenant_id] = config
        self._configs.move_to_end(reader.tenant_id)
        if len(self._configs) > self._tenant_count_max:
            self._configs.popitem(last=False)
        return config


class PostgresSnapshot:
    """What a tenant's data was at one moment. Fulfils `services.ports.Snapshot`.

    Args:
        reader: Reads at that moment.
        configs: Shared by all snapshots of the process.
    """

    def __init__(self, reader: Reader, configs: ConfigCache) -> None:
        self._reader = reader
        self._configs = configs

    async def renew(self) -> None:
        """Let go of the moment: what is read from here on is as of the next read."""
        await self._reader.renew()

    async def as_of(self) -> LogCursor:
        """Return where the log ended at that moment."""
        return await self._reader.as_of()

    async def tenant(self) -> Tenant:
        """Return the tenant."""
        return await config_pages.load_tenant(self._reader)

    async def settings(self) -> TenantSettings:
        """Return what an ADMIN may set."""
        return await config_pages.load_settings(self._reader)

    async def config(self) -> TenantConfig:
        """Return the settings, promises and the whole catalog; cached by its version."""
        return await self._configs.load(self._reader)

    async def silence_page(
        self, page: PageRequest, states: Collection[SilenceState], now: datetime
    ) -> Page[Silence]:
        """Return silences in these states (all where empty), latest end first, with the total count."""
        live = (await self.config()).catalog.silences
        return await config_pages.silence_page(self._reader, page, states, now, live)

    async def silences(self, ids: Collection[SilenceId]) -> Mapping[SilenceId, Silence]:
        """Return the silences that exist among the ids, those that are over included."""
        return await config_pages.load_silences(self._reader, ids)

    async def overrides(self, since: datetime, until: datetime) -> Sequence[ShiftOverride]:
        """Return the overrides of all schedules that touch [since, until), by begin, also those long over."""
        return await config_pages.load_overrides(self._reader, since, until)

    async def inhibitors(self, alert_ids: Collection[AlertId], limit: int) -> Mapping[AlertId, Sequence[AlertId]]:
        """Return up to `limit` open alerts that cover each of these open alerts under the rules of today."""
        rules = (await self.config()).catalog.inhibitions
        if not rules:
            return {}
        alerts = await load_alerts(self._reader, alert_ids)
        targets = {id_: alert_match_values(alert) for id_, alert in alerts.items() if alert.is_open}
        return await load_inhibitors(self._reader, rules, targets, limit)

    async def inhibitors_of(self, values: Mapping[str, str], limit: int) -> Sequence[AlertId]:
        """Return up to `limit` open alerts that would cover a new one in which matchers see these values."""
        rules = (await self.config()).catalog.inhibitions
        found = await load_inhibitors(self._reader, rules, {_TO_COME: values}, limit)
        return found.get(_TO_COME, ())

    async def waiting_deliveries(self, alert_id: AlertId, limit: int) -> Sequence[Delivery]:
        """Return up to `limit` deliveries about an alert that have come to no end yet, oldest first."""
        return await delivery_pages.load_waiting(self._reader, alert_id, limit)

    async def deliveries(self, ids: Collection[DeliveryId]) -> Mapping[DeliveryId, Delivery]:
        """Return the deliveries that exist among the ids."""
        return await delivery_pages.load_deliveries(self._reader, ids)

    async def delivery_page(self, query: DeliveryQuery) -> Page[Delivery]:
        """Return deliveries over all alerts, newest first; errors as `delivery_pages.delivery_page` says."""
        return await delivery_pages.delivery_page(self._reader, query)

    async def deliveries_of(
        self, alert_ids: Collection[AlertId], page: PageRequest
    ) -> Mapping[AlertId, Page[Delivery]]:
        """Return the same page of several alerts' deliveries, oldest first."""
        return await delivery_pages.deliveries_of(self._reader, alert_ids, page)

    async def attempts_of(self, ids: Collection[DeliveryId]) -> Mapping[DeliveryId, Sequence[Attempt]]:
        """Return each try of several deliveries, oldest first."""
        return await delivery_pages.load_attempts(self._reader, ids)

    async def channel_health(self) -> Mapping[ChannelId, ChannelHealth]:
        """Return how the tenant's channels do; one that was never used is absent."""
        return await delivery_pages.load_channel_health(self._reader)

    async def last_beats(self, ids: Collection[MonitorId]) -> Mapping[MonitorId, datetime]:
        """Return when monitors beat last; one that never did is absent."""
        return await delivery_pages.load_last_beats(self._reader, ids)

    async def engine_figures(self, now: datetime) -> EngineFigures:
        """Return what `engineHealth` is told from."""
        return await delivery_pages.load_engine_figures(self._reader, now)

    async def audit_head(self) -> SignedCheckpoint | None:
        """Return the newest signed state of the log; None where there is none yet."""
        return await audit_tree.load_audit_head(self._reader)

    async def audit_tiles(self, wanted: Collection[TileAt]) -> Tiles:
        """Return the tiles of the log's tree that exist among those wanted."""
        return await audit_tree.load_tiles(self._reader, wanted)

    async def open_alerts_by_key(self, keys: Collection[str]) -> Mapping[str, Alert]:
        """Return the open alerts with these dedup keys."""
        return await load_open_alerts_by_key(self._reader, keys)

    async def matching(self, matchers: Sequence[Matcher], since: datetime | None, limit: int) -> Sequence[Alert]:
        """Return open alerts, or with `since` all triggered since then, that match; see `matching_alerts`."""
        return await judging.matching_alerts(self._reader, matchers, since, limit)

    async def matching_count(self, matchers: Sequence[Matcher], since: datetime | None, limit: int) -> int:
        """Return how many alerts `matching` would return."""
        return await counts.matching_count(self._reader, matchers, since, limit)

    async def sla_targets(self) -> Sequence[SlaTarget]:
        """Return the promises, worst severity first."""
        return await config_pages.load_sla_targets(self._reader)

    async def alerts(self, ids: Collection[AlertId]) -> Mapping[AlertId, Alert]:
        """Return the alerts that exist among the ids, open and closed."""
        return await load_alerts(self._reader, ids)

    async def alert_page(self, query: AlertQuery) -> Page[Alert]:
        """Return a page of alerts; errors as `pages.alert_page` says."""
        asks_who_covers = query.filter.silenced is not None or query.filter.inhibited is not None
        catalog = (await self.config()).catalog if asks_who_covers else Catalog()
        return await pages.alert_page(self._reader, query, catalog)

    async def incidents(self, ids: Collection[IncidentId]) -> Mapping[IncidentId, Incident]:
        """Return the incidents that exist among the ids."""
        return await incident_pages.load_incidents(self._reader, ids)

    async def incident_page(self, query: IncidentQuery) -> Page[Incident]:
        """Return a page of incidents, newest first; errors as `incident_pages.incident_page` says."""
        return await incident_pages.incident_page(self._reader, query)

    async def alerts_by_incident(
        self, ids: Collection[IncidentId], page: PageRequest
    ) -> Mapping[IncidentId, Page[Alert]]:
        """Return the same page of several incidents' alerts, newest first, with their total counts."""
        return await pages.alerts_by_incident(self._reader, ids, page)

    async def incident_timelines(
        self,
        ids: Collection[IncidentId],
        kinds: frozenset[EventKind] | None,
        page: PageRequest,
        visibility: EventVisibility,
    ) -> Mapping[IncidentId, Page[StoredEvent]]:
        """Return the same page of several incidents' timelines, of their alerts' too, oldest first."""
        return await event_pages.incident_timelines(self._reader, ids, kinds, page, visibility)

    async def alerts_in(
        self, ids: Collection[IncidentId], statuses: Collection[AlertStatus], limit: int
    ) -> Sequence[AlertId]:
        """Return up to `limit` alerts of these incidents that stand so, open ones first."""
        return await incident_pages.alerts_in(self._reader, ids, statuses, limit)

    async def service_page(self, prefix: str, page: PageRequest) -> Page[MonitoredService]:
        """Return a page of things watched, by name; errors as `monitored_services.service_page` says."""
        return await monitored_services.service_page(self._reader, prefix, page)

    async def services(self, names: Collection[str]) -> Mapping[str, MonitoredService]:
        """Return those of the things watched that an alert or a dependency has named."""
        return await monitored_services.load_services(self._reader, names)

    async def services_beside(
        self, names: Collection[str], limit: int, *, dependents: bool
    ) -> Mapping[str, Sequence[MonitoredService]]:
        """Return up to `limit` things that each of these needs, or that need it, by name."""
        return await monitored_services.services_beside(self._reader, names, limit, dependents=dependents)

    async def related(self, alert_ids: Collection[AlertId], limit: int) -> Mapping[AlertId, Sequence[Related]]:
        """Return up to `limit` links of each alert, from either end, best first; one without links is absent."""
        return await alert_links.load_related(self._reader, alert_ids, limit)

    async def correlated_until(self) -> datetime | None:
        """Return up to when alerts have been looked at for links; None where nobody has looked at any."""
        return await alert_links.load_until(self._reader)

    async def event_page(self, query: EventQuery) -> Page[StoredEvent]:
        """Return a page of the log, oldest first; errors as `event_pages.event_page` says."""
        return await event_pages.event_page(self._reader, query)

    async def timelines(self, query: TimelineQuery) -> Mapping[AlertId, Page[StoredEvent]]:
        """Return the same page of several alerts' timelines, in one round trip."""
        return await event_pages.timelines(self._reader, query)

    async def events(self, keys: Collection[EventKey]) -> Mapping[EventKey, StoredEvent]:
        """Return the events that exist among the keys."""
        return await event_pages.load_events(self._reader, keys)

    async def label_suggestions(self, label: str | None, prefix: str, limit: int) -> Sequence[str]:
        """Return names of labels in use, or one label's values, the commonest first."""
        return await search.suggest_labels(self._reader, label, prefix, limit)

    async def tally(self, window: MetricsWindow) -> Tally:
        """Return the counters and durations of a window, exact to the event."""
        return await figures.read_tally(self._reader, window)

    async def tally_series(self, window: MetricsWindow, bucket: timedelta) -> Sequence[tuple[datetime, Tally]]:
        """Return the counters cut into buckets, zeros included, by start; see `figures.read_series`."""
        return await figures.read_series(self._reader, window, bucket)

    async def open_counts(self, window: MetricsWindow) -> Tally:
        """Return how many were open at the window's end, by group, in `opened`."""
        return await figures.read_open_counts(self._reader, window)

    async def open_alert_count(self) -> int:
        """Return how many alerts are open now."""
        return await figures.read_open_alert_count(self._reader)

    async def saved_view_page(self, page: PageRequest, subject: str) -> Page[SavedView]:
        """Return a subject's own views and the shared ones, by name, with the total count."""
        return await config_pages.saved_view_page(self._reader, page, subject)

    async def saved_views(self, ids: Collection[SavedViewId], subject: str) -> Mapping[SavedViewId, SavedView]:
        """Return those of the views that the subject may see."""
        return await config_pages.load_saved_views(self._reader, ids, subject)

    async def api_key_page(self, page: PageRequest) -> Page[ApiKey]:
        """Return the tenant's keys, newest first, with the total count."""
        return await config_pages.api_key_page(self._reader, page)

    async def api_keys(self, ids: Collection[ApiKeyId]) -> Mapping[ApiKeyId, ApiKey]:
        """Return the keys that exist among the ids."""
        return await config_pages.load_api_keys(self._reader, ids)

    async def predictions(self, alert_ids: Collection[AlertId]) -> Mapping[AlertId, Prediction]:
        """Return what the model said of those of the alerts of which it said anything."""
        return await predictions.load_predictions(self._reader, alert_ids)

    async def model_page(self, page: PageRequest) -> Page[PredictionModel]:
        """Return versions of the model, newest first, with the total count."""
        return await config_pages.model_page(self._reader, page)

    async def models(self, ids: Collection[ModelId]) -> Mapping[ModelId, PredictionModel]:
        """Return the versions of the model that exist among the ids."""
        return await prediction_models.load_models(self._reader, ids)

    async def active_model(self) -> PredictionModel | None:
        """Return the version in use; None where there is none."""
        return await prediction_models.load_active_model(self._reader)

    async def label_count(self) -> int:
        """Return of how many predicted alerts the outcome is known, up to a hundred thousand."""
        return await prediction_models.load_label_count(self._reader)

    async def noise_evidence(self, alerts: Sequence[Alert]) -> Mapping[AlertId, NoiseEvidence]:
        """Return what is known of alerts' being noise besides themselves."""
        return await load_noise_evidence(self._reader.fetch, self._reader.tenant_id, alerts)

    async def noise_figures(self, since: datetime) -> NoiseFigures:
        """Return what holding has come to of the pages held since then."""
        return await load_noise_figures(self._reader.fetch, self._reader.tenant_id, since)


class PostgresSnapshotSource:
    """Opens snapshots. Fulfils `services.ports.SnapshotSource`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._configs = ConfigCache()

    def snapshot(self, tenant_id: TenantId) -> AbstractAsyncContextManager[PostgresSnapshot]:
        """Return a context in which one moment of a tenant's data can be read; connects at the first read.

        It is for one request: the server ends a snapshot that reads nothing for two seconds.
        """
        return self._open(tenant_id)

    @asynccontextmanager
    async def _open(self, tenant_id: TenantId) -> AsyncIterator[PostgresSnapshot]:
        async with Reader.open(self._database, tenant_id) as reader:
            yield PostgresSnapshot(reader, self._configs)
