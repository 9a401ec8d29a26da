"""Rows put into a database past the write path: many at once, with whatever times and states a test wants."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from alertgraph.core.alert import Alert
from alertgraph.core.event import Event, EventKind, seal
from alertgraph.core.ids import TenantId, uuid7
from alertgraph.core.metrics import COUNT_NAMES, MINUTES_KEPT, Group, tally
from alertgraph.storage.rows import ALERT_COLUMNS, decode_json, encode_json, ladder_json
from tests.factories import an_event
from tests.servers import DatabaseServer


class Keeper:
    """Writes rows as a superuser, whom row-level security does not bind.

    Attributes:
        now: The database's own present, to the minute; events and ids are put around it.
    """

    def __init__(self, connection: Any, now: datetime) -> None:
        self.connection = connection
        self.now = now
        self._random = random.Random(7)

    async def tenant(self) -> TenantId:
        """Return a new tenant with an empty log."""
        tenant_id = TenantId(UUID(int=self._random.getrandbits(128)))
        await self.connection.execute(
            "INSERT INTO tenant (tenant_id, slug, name, tier) VALUES ($1, $2, $2, 2)", tenant_id, tenant_id.hex
        )
        await self.connection.execute("INSERT INTO tenant_head (tenant_id) VALUES ($1)", tenant_id)
        return tenant_id

    def id_at(self, at: datetime) -> UUID:
        """Return a new id that was made at that instant."""
        return uuid7(at, self._random.getrandbits(74))

    async def alerts(self, tenant_id: TenantId, alerts: Sequence[Alert]) -> list[Alert]:
        """Keep alerts where each belongs, and log one event for each; return them with their versions."""
        first = 1 + await self.connection.fetchval(
            "SELECT number FROM tenant_head WHERE tenant_id = $1", tenant_id
        )
        kept = [replace(alert, version=first + index) for index, alert in enumerate(alerts)]
        months = {
            row[0].removeprefix("alert_closed_")
            for row in await self.connection.fetch(
                "SELECT relname FROM pg_class WHERE relname ~ '^alert_closed_y'"
            )
        }
        rows: dict[str, list[tuple[Any, ...]]] = {"alert_open": [], "alert_closed": [], "alert_closed_late": []}
        for alert in kept:
            month = datetime.fromtimestamp((alert.id.int >> 80) / 1000, UTC).strftime("y%Ym%m")
            closed = "alert_closed" if month in months else "alert_closed_late"
            rows["alert_open" if alert.is_open else closed].append((tenant_id, *alert_row(alert)))
        for table, records in rows.items():
            await self.connection.copy_records_to_table(
                table, schema_name="alertgraph", columns=("tenant_id", *ALERT_COLUMNS), records=records
            )
        await self.events(
            tenant_id,
            [
                an_event(
                    kind=EventKind.TRIGGERED,
                    alert_id=alert.id,
                    dedup_key=alert.dedup_key,
                    title=alert.title,
                    severity_after=alert.severity,
                    service_after=alert.monitored_service,
                    source=alert.source,
                    labels=alert.labels,
                )
                for alert in kept
            ],
        )
        return kept

    async def events(
        self, tenant_id: TenantId, events: Sequence[Event], *, recorded_at: Sequence[datetime] | None = None
    ) -> None:
        """Log events, each a flush of its own, by default a second apart up to now."""
        first = 1 + await self.connection.fetchval(
            "SELECT number FROM tenant_head WHERE tenant_id = $1", tenant_id
        )
        instants = recorded_at or [self.now - timedelta(milliseconds=len(events) - n) for n in range(len(events))]
        records = []
        for number, (event, at) in enumerate(zip(events, instants, strict=True), first):
            sealed = seal(event)
            records.append(
                (
                    tenant_id,
                    number,
                    at,
                    UUID(int=number),
                    event.kind,
                    event.actor.kind,
                    event.alert_id,
                    event.severity_before,
                    event.severity_after,
                    event.service_before,
                    event.service_after,
                    event.source,
                    event.subject_type,
                    event.subject_id,
                    sealed.content,
                    sealed.leaf,
                    b"\x01" * 32,
                    event.incident_id,
                )
            )
        if records:
            await self.connection.copy_records_to_table("event", schema_name="alertgraph", records=records)
            await self.connection.execute(
                "UPDATE tenant_head SET number = $2, recorded_at = $3, leaf = $4, link = $5 WHERE tenant_id = $1",
                tenant_id,
                records[-1][1],
                records[-1][2],
                records[-1][-3],
                records[-1][-2],
            )

    async def figures(
        self,
        tenant_id: TenantId,
        events: Sequence[Event],
        recorded_at: Sequence[datetime],
        *,
        minutes_kept: timedelta = MINUTES_KEPT,
    ) -> None:
        """Count events in the counters, each at its instant: as appends do it, without the minutes of old."""
        by_minute: dict[datetime, list[Event]] = defaultdict(list)
        by_day: dict[date, list[Event]] = defaultdict(list)
        for event, at in zip(events, recorded_at, strict=True):
            if at >= self.now - minutes_kept:
                by_minute[at.replace(second=0, microsecond=0)].append(event)
            by_day[at.date()].append(event)
        await self._count("metric_minute", tenant_id, by_minute)
        await self._count("metric_day", tenant_id, by_day)
        await self.connection.copy_records_to_table(
            "open_count",
            schema_name="alertgraph",
            records=[(tenant_id, *_key(group), counts.opened) for group, counts in tally(events).counts.items()],
        )

    async def _count(self, table: str, tenant_id: TenantId, parts: Mapping[Any, Sequence[Event]]) -> None:
        tallies = {at: tally(events) for at, events in parts.items()}
        await self.connection.copy_records_to_table(
            table,
            schema_name="alertgraph",
            columns=("tenant_id", _COLUMN_OF[table], "severity", "monitored_service", *COUNT_NAMES),
            records=[
                (tenant_id, at, *_key(group), *(getattr(counts, name) for name in COUNT_NAMES))
                for at, one in tallies.items()
                for group, counts in one.counts.items()
            ],
        )
        await self.connection.copy_records_to_table(
            f"{table}_duration",
            schema_name="alertgraph",
            records=[
                (tenant_id, at, *_key(group), kind, bucket, count)
                for at, one in tallies.items()
                for (group, kind, bucket), count in one.durations.items()
            ],
        )

    async def analyze(self) -> None:
        """Let the planner know what is in the tables: the test servers do not do it by themselves."""
        await self.connection.execute("VACUUM ANALYZE")


_COLUMN_OF = {"metric_minute": "at", "metric_day": "day"}


def _key(group: Group) -> tuple[int, str]:
    return group.severity, group.monitored_service


def alert_row(alert: Alert) -> tuple[Any, ...]:
    """Return an alert's columns in the order of ALERT_COLUMNS."""
    advice = alert.advice
    return (
        alert.id,
        alert.version,
        alert.dedup_key,
        alert.title,
        alert.description,
        alert.severity,
        alert.status,
        alert.source,
        alert.monitored_service,
        alert.labels,
        alert.annotations,
        alert.links,
        alert.occurrence_count,
        alert.triggered_at,
        alert.last_seen_at,
        alert.acknowledged_at,
        alert.acknowledged_until,
        alert.acknowledged_by,
        alert.first_acknowledged_at,
        alert.resolved_at,
        alert.resolved_by,
        alert.escalation_level,
        alert.held,
        alert.sla.acknowledge_by,
        alert.sla.resolve_by,
        alert.resolve_at,
        alert.resolve_by_timeout,
        alert.verdict,
        None if alert.ladder is None else alert.ladder.rule_id,
        None if alert.ladder is None else ladder_json(alert.ladder),
        alert.escalation_round,
        alert.resumes,
        alert.next_escalation_at,
        alert.judge_at,
        alert.sla_marks,
        alert.assignee,
        alert.told,
        alert.incident_id,
        advice.incident_probability if advice is not None else None,
        advice.self_resolve_probability if advice is not None else None,
        advice.resolve_median if advice is not None else None,
    )


@asynccontextmanager
async def keeping(server: DatabaseServer, database_url: str) -> AsyncIterator[Keeper]:
    """Yield a keeper of rows for a test's database."""
    connection = await asyncpg.connect(
        server.superuser_url(database_url), server_settings={"search_path": "alertgraph"}
    )
    try:
        await connection.set_type_codec(
            "jsonb", schema="pg_catalog", encoder=encode_json, decoder=decode_json, format="binary"
        )
        now = await connection.fetchval("SELECT date_trunc('minute', now())")
        yield Keeper(connection, now)
    finally:
        await connection.close()
