"""Fills an installation with alerts as a year of use would leave them, by COPY and within a few minutes.

What is true of the result, since queries rely on it: alerts lie in the partitions of their months, indexes and
search terms know all of them, counters by the day and by the minute say what happened, each tenant's log is one
chain without gaps that `alertgraph audit verify` accepts. What is not: only a share of the alerts has its events
in the log, or the log alone would take longer to make than all the rest.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.alert import AlertStatus, HoldReason
from alertgraph.core.event import GENESIS_LINK, Event, EventKind, SealedEvent, next_link, seal
from alertgraph.core.ids import AlertId, FlushId, TenantId, uuid7
from alertgraph.core.metrics import GAMMA
from alertgraph.core.search import alert_terms
from alertgraph.core.severity import Severity
from alertgraph.core.slo import TIER_TARGETS, SlaClocks, acknowledge_breached, resolve_breached, sla_clocks
from alertgraph.core.tenant import Role, Tenant
from alertgraph.core.tier import Tier
from alertgraph.edge.wiring import new_tenant
from alertgraph.storage.audit import verify_log
from alertgraph.storage.database import Database
from alertgraph.storage.migrate import dsn_of, owner_settings
from alertgraph.storage.rows import ALERT_COLUMNS, EVENT_COLUMNS
from alertgraph.storage.secrets import MasterKey
from alertgraph.storage.tenants import TenantRegistry
from bench.installation import MASTER_KEY, Installation, TenantWithKey
from bench.words import alert_input

FULL_COUNT, QUICK_COUNT = 1_000_000, 30_000
TENANT_COUNT = 20
# The largest tenant has about 30 % of all alerts, the smallest about 0.03 %.
SKEW = 0.7
OPEN_SHARE = 0.1
MONTHS = 12
OPEN_SINCE = timedelta(days=14)
CONDITION_COUNT = 20_000
# One alert in so many has its events in the log.
LOGGED_EVERY = 20
FLUSH_LENGTH = 50
TABLES = ("alert_open", "alert_closed", "alert_terms", "event")

_SENDER = Actor(ActorKind.SENDER, "prometheus", "key:bench")
_PERSON = Actor(ActorKind.PERSON, "Ada", "person:ada")
_TARGETS = TIER_TARGETS[Tier.STANDARD]

_INDEXES = """
    SELECT c.relname::text AS name, pg_get_indexdef(i.indexrelid) AS definition
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = $1::regclass AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
"""

_ALL = """
    SELECT tenant_id, severity, COALESCE(monitored_service, '') AS service, triggered_at, first_acknowledged_at,
           resolved_at, acknowledge_by, resolve_by
    FROM {table}
"""
_HAPPENED = f"""
    WITH a AS ({_ALL.format(table="alert_open")} UNION ALL {_ALL.format(table="alert_closed")}), happened AS (
        SELECT tenant_id, severity, service, triggered_at AS at, 1 AS created, 0 AS acknowledged, 0 AS resolved,
               1 AS opened, 0::bigint AS acknowledge_ms, 0::bigint AS resolve_ms, 0 AS sla_met, 0 AS self_resolved
        FROM a
        UNION ALL
        SELECT tenant_id, severity, service, first_acknowledged_at, 0, 1, 0, 0,
               (extract(epoch FROM first_acknowledged_at - triggered_at) * 1000)::bigint, 0, 0, 0
        FROM a WHERE first_acknowledged_at IS NOT NULL
        UNION ALL
        SELECT tenant_id, severity, service, resolved_at, 0, 0, 1, -1, 0,
               (extract(epoch FROM resolved_at - triggered_at) * 1000)::bigint,
               (least(first_acknowledged_at, resolved_at) <= acknowledge_by
                   AND resolved_at <= resolve_by)::integer,
               (first_acknowledged_at IS NULL)::integer
        FROM a WHERE resolved_at IS NOT NULL
    )
"""
_COUNTERS = f"""
    INSERT INTO {{table}} (
        tenant_id, {{column}}, severity, monitored_service, created, acknowledged, resolved, escalated, opened,
        acknowledge_ms, resolve_ms, sla_total, sla_met, self_resolved)
    {_HAPPENED}
    SELECT tenant_id, {{unit}}, severity, service, sum(created), sum(acknowledged), sum(resolved), 0, sum(opened),
           sum(acknowledge_ms), sum(resolve_ms), sum(resolved), sum(sla_met), sum(self_resolved)
    FROM happened WHERE at >= $1 GROUP BY 1, 2, 3, 4
"""
_DURATIONS = f"""
    INSERT INTO {{table}} (tenant_id, {{column}}, severity, monitored_service, kind, bucket, count)
    {_HAPPENED}, took AS (
        SELECT tenant_id, at, severity, service, CASE WHEN acknowledged = 1 THEN 1 ELSE 2 END AS kind,
               acknowledge_ms + resolve_ms AS ms
        FROM happened WHERE acknowledged + resolved > 0
    )
    SELECT tenant_id, {{unit}}, severity, service, kind,
           CASE WHEN ms < 1 THEN 0
                ELSE greatest(0, floor(ln(ms::float8) / {math.log(GAMMA)!r}) + 1) END::smallint, count(*)
    FROM took WHERE at >= $1 GROUP BY 1, 2, 3, 4, 5, 6
"""
_DAY = ("day", "(at AT TIME ZONE 'UTC')::date")
_MINUTE = ("at", "date_trunc('minute', at, 'UTC')")
_OPEN_COUNT = """
    INSERT INTO open_count (tenant_id, severity, monitored_service, count)
    SELECT tenant_id, severity, COALESCE(monitored_service, ''), count(*) FROM alert_open GROUP BY 1, 2, 3
"""
_SET_HEAD = "UPDATE tenant_head SET number = $2, link = $3, leaf = $4, recorded_at = $5 WHERE tenant_id = $1"
_SET_POSITION = "INSERT INTO index_position (tenant_id, number, recorded_at) VALUES ($1, $2, $3)"
_LONG_TIMELINES = """
    SELECT alert_id FROM event WHERE tenant_id = $1 AND alert_id IS NOT NULL
    GROUP BY alert_id HAVING count(*) >= 4 ORDER BY alert_id DESC LIMIT $2
"""


@dataclass(frozen=True)
class Filled:
    """What is there to be read.

    Attributes:
        tenants: Largest first, each with a VIEWER key.
        logged: Alerts of the largest tenant that have four events or more.
        seconds: What each step of the filling took; empty where it was filled before.
    """

    alert_count: int
    tenants: Sequence[TenantWithKey]
    logged: Sequence[AlertId]
    seconds: dict[str, float]

    def told(self) -> dict[str, object]:
        """Return what stands in the file of results."""
        return {"alerts": self.alert_count, "tenants": len(self.tenants), "seconds": self.seconds}

    def text(self) -> str:
        """Return what was done, for people."""
        steps = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self.seconds.items())
        return f"  {self.alert_count:,} alerts of {len(self.tenants)} tenants: {steps or 'were there already'}"


def filled(installation: Installation, alerts: int, seed: int) -> Filled:
    """Return an installation's contents, made first where it is empty.

    Raises:
        RuntimeError: It holds another number of alerts.
    """
    before = asyncio.run(_present(installation.url))
    seconds: dict[str, float] = {}
    if before is None:
        print(f"  filling in {alerts:,} alerts", flush=True)
        seconds = asyncio.run(_Fill(installation.url, alerts, seed).run())
        started = time.monotonic()
        installation.restart()
        seconds["checkpoint"] = time.monotonic() - started
        before = asyncio.run(_present(installation.url))
    assert before is not None, "it was filled just now"
    slugs, count = before
    if count != alerts:
        raise RuntimeError(
            f"There are {count:,} alerts already, and {alerts:,} were asked for: use an empty --data-dir."
        )
    tenants = installation.keys(slugs, Role.VIEWER)
    logged = asyncio.run(_logged(installation.url, tenants[0].id))
    return Filled(count, tenants, logged, {name: round(value, 1) for name, value in seconds.items()})


async def _present(url: str) -> tuple[list[str], int] | None:
    connection = await asyncpg.connect(dsn_of(url), server_settings=owner_settings())
    try:
        rows = await connection.fetch("SELECT slug FROM tenant WHERE slug ^@ 'filled-' ORDER BY slug")
        if not rows:
            return None
        count = await connection.fetchval(
            "SELECT (SELECT count(*) FROM alert_open) + (SELECT count(*) FROM alert_closed)"
        )
        return [row[0] for row in rows], count
    finally:
        await connection.close()


async def _logged(url: str, tenant_id: TenantId) -> list[AlertId]:
    connection = await asyncpg.connect(dsn_of(url), server_settings=owner_settings())
    try:
        return [AlertId(row[0]) for row in await connection.fetch(_LONG_TIMELINES, tenant_id, 500)]
    finally:
        await connection.close()


@dataclass(frozen=True, slots=True)
class _Condition:
    """What alerts are about, again and again."""

    title: str
    description: str
    severity: Severity
    service: str
    labels: dict[str, str]
    raw_labels: bytes
    raw_annotations: bytes
    terms: tuple[str, ...]


@dataclass(slots=True)
class _Row:
    """An alert in the making; its version is known once its events have numbers."""

    id: UUID
    condition: _Condition
    dedup_key: str
    triggered_at: datetime
    acknowledged_at: datetime | None
    resolved_at: datetime | None
    repeat_count: int
    clocks: SlaClocks
    version: int = 1


class _Fill:
    def __init__(self, url: str, alerts: int, seed: int) -> None:
        self._url = url
        self._count = alerts
        self._random = random.Random(seed)
        self._now = datetime.now(UTC)
        self._begin = self._now - timedelta(days=30 * MONTHS)
        self._conditions = [_condition(number) for number in range(min(CONDITION_COUNT, max(1, alerts)))]
        self._seconds: dict[str, float] = {}

    async def run(self) -> dict[str, float]:
        """Fill everything; return how long each step took."""
        registry = TenantRegistry(self._url, MasterKey(MASTER_KEY))
        tenants = [await new_tenant(registry, slug, slug, Tier.STANDARD) for slug in _slugs()]
        connection = await asyncpg.connect(dsn_of(self._url), server_settings=owner_settings())
        try:
            # Rows come with their JSON written already.
            await connection.set_type_codec(
                "jsonb", schema="pg_catalog", encoder=lambda raw: raw, decoder=orjson.loads, format="binary"
            )
            await connection.execute("SET maintenance_work_mem = '512MB'; SET work_mem = '256MB'")
            await connection.execute(
                "SELECT ensure_partitions($1, $2)", self._begin, self._now + timedelta(days=61)
            )
            definitions = await self._drop_indexes(connection)
            for tenant, count in zip(tenants, _sizes(self._count), strict=True):
                await self._fill_tenant(connection, tenant.id, count)
            await self._timed("indexes", self._create_indexes(connection, definitions))
            await self._timed("counters", self._count_up(connection))
            for table in (*TABLES, "metric_day", "metric_day_duration", "label_usage"):
                await self._timed("vacuum", connection.execute(f"VACUUM (ANALYZE) {table}"))
        finally:
            await connection.close()
        await self._verify(tenants[-1])
        return self._seconds

    async def _timed(self, name: str, work: Any) -> None:
        started = time.monotonic()
        await work
        self._seconds[name] = self._seconds.get(name, 0.0) + time.monotonic() - started

    async def _drop_indexes(self, connection: Any) -> list[str]:
        definitions: list[str] = []
        for table in TABLES:
            for name, definition in await connection.fetch(_INDEXES, table):
                # Of a partitioned table: as it was first made, with all its partitions' indexes.
                definitions.append(definition.replace(" ON ONLY ", " ON "))
                await connection.execute(f'DROP INDEX "{name}"')
        return definitions

    async def _create_indexes(self, connection: Any, definitions: Sequence[str]) -> None:
        for definition in definitions:
            await connection.execute(definition)

    # ------------------------------------------------------------------------------------- one tenant

    async def _fill_tenant(self, connection: Any, tenant_id: TenantId, count: int) -> None:
        rows = list(self._rows(count))
        # First: a logged alert's version is the number of its last event.
        head, events = self._events(tenant_id, rows[::LOGGED_EVERY])
        opened = ((*_alert_record(tenant_id, row), None) for row in rows if row.resolved_at is None)
        closed = (_alert_record(tenant_id, row) for row in rows if row.resolved_at is not None)
        prefix = await connection.fetchval("SELECT term_prefix($1)", tenant_id)
        terms = ((tenant_id, row.id, [prefix + term for term in row.condition.terms]) for row in rows)
        await self._timed("open alerts", _copy(connection, "alert_open", (*_ALERT, "due_at"), opened))
        await self._timed("closed alerts", _copy(connection, "alert_closed", _ALERT, closed))
        await self._timed("search terms", _copy(connection, "alert_terms", ("tenant_id", "id", "terms"), terms))
        await self._timed("log", _copy(connection, "event", _EVENT, events))
        await self._timed("labels", self._labels(connection, tenant_id, rows))
        await connection.execute(_SET_HEAD, tenant_id, *head)
        await connection.execute(_SET_POSITION, tenant_id, head[0], head[3])

    def _rows(self, count: int) -> Iterator[_Row]:
        """Yield a tenant's alerts, oldest first."""
        open_count = round(count * OPEN_SHARE)
        year = (self._now - self._begin).total_seconds()
        recent = OPEN_SINCE.total_seconds()
        dice = self._random
        offsets = sorted(
            [(dice.random() * (year - 86_400), False) for _ in range(count - open_count)]
            + [(year - dice.random() * recent, True) for _ in range(open_count)]
        )
        for number, (offset, is_open) in enumerate(offsets):
            condition = self._conditions[int(dice.random() ** 2 * len(self._conditions))]
            triggered_at = self._begin + timedelta(microseconds=int(offset * 1e6))
            age = (self._now - triggered_at).total_seconds()
            taken: datetime | None = None
            if dice.random() < 0.4:
                taken = triggered_at + timedelta(microseconds=int(min(dice.expovariate(1 / 900), age / 3) * 1e6))
            ended: datetime | None = None
            if not is_open:
                ended = triggered_at + timedelta(
                    microseconds=int(min(60 + dice.expovariate(1 / 7200), age * 0.9) * 1e6)
                )
                taken = min(taken, ended) if taken is not None else None
            yield _Row(
                id=uuid7(triggered_at, dice.getrandbits(74)),
                condition=condition,
                dedup_key=f"{condition.service}/{condition.title}" + (f"#{number}" if is_open else ""),
                triggered_at=triggered_at,
                acknowledged_at=taken,
                resolved_at=ended,
                repeat_count=1 << int(dice.random() * 6),
                clocks=sla_clocks(_TARGETS[condition.severity], triggered_at),
            )

    def _events(
        self, tenant_id: TenantId, rows: Sequence[_Row]
    ) -> tuple[tuple[int, bytes, bytes, datetime], list[tuple[Any, ...]]]:
        """Return the end of the log that tells of these alerts, and its rows."""
        told = sorted((each for row in rows for each in _happened(row)), key=lambda each: each[0])
        records: list[tuple[Any, ...]] = []
        link, number = GENESIS_LINK, 0
        head = (0, GENESIS_LINK, GENESIS_LINK, self._begin)
        for start in range(0, len(told), FLUSH_LENGTH):
            chunk = told[start : start + FLUSH_LENGTH]
            recorded_at = chunk[-1][0]
            flush_id = UUID(int=self._random.getrandbits(128))
            sealed = [(row, seal(_event(at, row, kind, count))) for at, row, kind, count in chunk]
            link = next_link(link, number + 1, recorded_at, FlushId(flush_id), [one.leaf for _, one in sealed])
            for index, (row, one) in enumerate(sealed):
                number += 1
                row.version = number
                last = index == len(sealed) - 1
                records.append(
                    _event_record(tenant_id, number, recorded_at, flush_id, one, link if last else None)
                )
            head = (number, link, sealed[-1][1].leaf, recorded_at)
        return head, records

    async def _labels(self, connection: Any, tenant_id: TenantId, rows: Sequence[_Row]) -> None:
        values: Counter[tuple[str, str]] = Counter()
        for raw, count in Counter(row.condition.raw_labels for row in rows).items():
            for pair in orjson.loads(raw[1:]).items():
                values[pair] += count
        names: Counter[str] = Counter()
        for (name, _), count in values.items():
            names[name] += count
        await connection.executemany(
            "INSERT INTO label_name (tenant_id, label, uses) VALUES ($1, $2, $3)",
            [(tenant_id, name, count) for name, count in names.items()],
        )
        await connection.execute(
            """
            INSERT INTO label_usage (tenant_id, label, value_hash, value, uses)
            SELECT $1, one.label, sha256(convert_to(one.value, 'UTF8')), one.value, one.uses
            FROM unnest($2::text[], $3::text[], $4::bigint[]) AS one (label, value, uses)
            """,
            tenant_id,
            [name for name, _ in values],
            [value for _, value in values],
            list(values.values()),
        )

    async def _count_up(self, connection: Any) -> None:
        for (column, unit), period, since in (
            (_DAY, "metric_day", datetime(2000, 1, 1, tzinfo=UTC)),
            (_MINUTE, "metric_minute", self._now - timedelta(hours=48)),
        ):
            await connection.execute(_COUNTERS.format(table=period, column=column, unit=unit), since)
            await connection.execute(
                _DURATIONS.format(table=f"{period}_duration", column=column, unit=unit), since
            )
        await connection.execute(_OPEN_COUNT)

    async def _verify(self, tenant: Tenant) -> None:
        database = await Database.connect(self._url, pool_size=1)
        try:
            _, fault = await verify_log(database, tenant.id)
        finally:
            await database.close()
        if fault is not None:
            raise RuntimeError(f"the log that was filled in is not sound: {fault.text}")


# ------------------------------------------------------------------------------------------ rows

_ALERT = ("tenant_id", *ALERT_COLUMNS)
_EVENT = (
    "tenant_id",
    *EVENT_COLUMNS,
    "kind",
    "actor_kind",
    "alert_id",
    "severity_before",
    "severity_after",
    "service_before",
    "service_after",
    "source",
)
_RAW_PERSON = b"\x01" + orjson.dumps(
    {"kind": int(_PERSON.kind), "name": _PERSON.name, "reference": _PERSON.reference}
)
_RAW_SENDER = b"\x01" + orjson.dumps(
    {"kind": int(_SENDER.kind), "name": _SENDER.name, "reference": _SENDER.reference}
)
_NO_LINKS = b"\x01[]"


def _slugs() -> list[str]:
    return [f"filled-{number:02d}" for number in range(TENANT_COUNT)]


def _sizes(count: int) -> list[int]:
    shares = [SKEW**number for number in range(TENANT_COUNT)]
    sizes = [max(LOGGED_EVERY, int(count * share / sum(shares))) for share in shares]
    sizes[0] += count - sum(sizes)
    return sizes


def _condition(number: int) -> _Condition:
    said = alert_input(number)
    return _Condition(
        title=said["title"],
        description=said["description"],
        severity=Severity[said["severity"]],
        service=said["monitoredService"],
        labels=said["labels"],
        raw_labels=b"\x01" + orjson.dumps(said["labels"]),
        raw_annotations=b"\x01" + orjson.dumps(said["annotations"]),
        terms=tuple(sorted(alert_terms(said["title"], said["description"], said["labels"]))),
    )


def _alert_record(tenant_id: TenantId, row: _Row) -> tuple[Any, ...]:
    condition, ended = row.condition, row.resolved_at
    status = (
        AlertStatus.RESOLVED
        if ended is not None
        else AlertStatus.ACKNOWLEDGED
        if row.acknowledged_at
        else AlertStatus.TRIGGERED
    )
    hold = None
    if ended is None:
        hold = HoldReason.ACKNOWLEDGED if row.acknowledged_at else HoldReason.NO_MATCHING_RULE
    return (
        tenant_id,
        row.id,
        row.version,
        row.dedup_key,
        condition.title,
        condition.description,
        condition.severity,
        status,
        "prometheus",
        condition.service,
        condition.raw_labels,
        condition.raw_annotations,
        _NO_LINKS,
        row.repeat_count,
        row.triggered_at,
        ended or row.triggered_at,
        row.acknowledged_at,
        None,
        _RAW_PERSON if row.acknowledged_at else None,
        row.acknowledged_at,
        ended,
        _RAW_SENDER if ended is not None else None,
        0,
        hold,
        row.clocks.acknowledge_by,
        row.clocks.resolve_by,
        None,
        False,
        None,
        # No ladder: neither a rule nor a timer, nor anybody told.
        *(None, None, 0, False, None, None, 0, None, []),
    )


def _happened(row: _Row) -> Iterator[tuple[datetime, _Row, EventKind, int]]:
    """Yield an alert's events: when, of which alert, of which kind, at which count."""
    yield row.triggered_at, row, EventKind.TRIGGERED, 1
    end = row.resolved_at or row.triggered_at + timedelta(minutes=10)
    step = (end - row.triggered_at) / 64
    for power in range(1, row.repeat_count.bit_length()):
        yield row.triggered_at + step * (1 << power), row, EventKind.REPEATED, 1 << power
    if row.acknowledged_at is not None:
        yield row.acknowledged_at, row, EventKind.ACKNOWLEDGED, 0
    if row.resolved_at is not None:
        yield row.resolved_at, row, EventKind.RESOLVED, 0


def _event(at: datetime, row: _Row, kind: EventKind, count: int) -> Event:
    condition = row.condition
    began = kind is EventKind.TRIGGERED
    ended = kind is EventKind.RESOLVED
    taken = kind is EventKind.ACKNOWLEDGED
    met: bool | None = None
    if ended:
        late = acknowledge_breached(row.clocks, row.acknowledged_at, row.resolved_at, at)
        met = not (late or resolve_breached(row.clocks, row.resolved_at, at))
    return Event(
        kind=kind,
        actor=_PERSON if taken else _SENDER,
        decided_at=at,
        alert_id=AlertId(row.id),
        dedup_key=row.dedup_key,
        title=condition.title,
        severity_before=None if began else condition.severity,
        severity_after=condition.severity,
        service_before=None if began else condition.service,
        service_after=condition.service,
        source="prometheus",
        labels=condition.labels,
        elapsed_ms=int((at - row.triggered_at) / timedelta(milliseconds=1)) if ended or taken else None,
        sla_met=met,
        self_resolved=row.acknowledged_at is None if ended else None,
        detail={"description": condition.description} if began else {"occurrenceCount": count} if count else {},
    )


def _event_record(
    tenant_id: TenantId,
    number: int,
    recorded_at: datetime,
    flush_id: UUID,
    sealed: SealedEvent,
    link: bytes | None,
) -> tuple[Any, ...]:
    event = sealed.event
    return (
        tenant_id,
        number,
        recorded_at,
        flush_id,
        sealed.content,
        sealed.leaf,
        link,
        event.kind,
        event.actor.kind,
        event.alert_id,
        event.severity_before,
        event.severity_after,
        event.service_before,
        event.service_after,
        event.source,
    )


async def _copy(connection: Any, table: str, columns: Sequence[str], records: Any) -> None:
    """Write rows by COPY, which forced row-level security refuses: the owner is let out of it meanwhile."""
    async with connection.transaction():
        await connection.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        await connection.copy_records_to_table(
            table, schema_name="alertgraph", columns=list(columns), records=records
        )
        await connection.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
