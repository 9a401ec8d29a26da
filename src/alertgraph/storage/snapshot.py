"""One moment of a tenant's data: everything a GraphQL operation or a REST request reads, in PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta

from alertgraph.core.alert import Alert
from alertgraph.core.cursor import LogCursor
from alertgraph.core.event import StoredEvent
from alertgraph.core.ids import AlertId, ApiKeyId, EventKey, SavedViewId, TenantId
from alertgraph.core.metrics import MetricsWindow, Tally
from alertgraph.core.query import AlertQuery, EventQuery, Page, PageRequest, TimelineQuery
from alertgraph.core.slo import SlaTarget
from alertgraph.core.tenant import ApiKey, SavedView, Tenant, TenantSettings
from alertgraph.storage import alert_pages, config_pages, event_pages, figures, search
from alertgraph.storage.database import Database
from alertgraph.storage.reader import Reader


class PostgresSnapshot:
    """What a tenant's data was at one moment. Fulfils `services.ports.Snapshot`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

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

    async def sla_targets(self) -> Sequence[SlaTarget]:
        """Return the promises, worst severity first."""
        return await config_pages.load_sla_targets(self._reader)

    async def alerts(self, ids: Collection[AlertId]) -> Mapping[AlertId, Alert]:
        """Return the alerts that exist among the ids, open and closed."""
        return await alert_pages.load_alerts(self._reader, ids)

    async def alert_page(self, query: AlertQuery) -> Page[Alert]:
        """Return a page of alerts; errors as `alert_pages.alert_page` says."""
        return await alert_pages.alert_page(self._reader, query)

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


class PostgresSnapshotSource:
    """Opens snapshots. Fulfils `services.ports.SnapshotSource`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def snapshot(self, tenant_id: TenantId) -> AbstractAsyncContextManager[PostgresSnapshot]:
        """Return a context in which one moment of a tenant's data can be read; connects at the first read.

        It is for one request: the server ends a snapshot that reads nothing for two seconds.
        """
        return self._open(tenant_id)

    @asynccontextmanager
    async def _open(self, tenant_id: TenantId) -> AsyncIterator[PostgresSnapshot]:
        async with Reader.open(self._database, tenant_id) as reader:
            yield PostgresSnapshot(reader)
