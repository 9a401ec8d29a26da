"""Partitions made ahead of time, and what is too old retired."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from alertgraph.core.ids import uuid7_floor
from alertgraph.core.metrics import MINUTES_KEPT
from alertgraph.storage.database import Connection, Database, owner_connection
from alertgraph.storage.figures import Span
from alertgraph.storage.items import ItemKind
from alertgraph.storage.migrate import SCHEMA

PARTITIONED_TABLES = ("event", "alert_closed", "alert_terms", "delivery", "delivery_attempt", "prediction")
MONTHS_AHEAD = 2
# Fewer days than this ahead, and the service is not ready: soon it could not write.
DAYS_AHEAD_MIN = 14
ANSWERS_KEPT = timedelta(hours=24)
# Every checkpoint for so long; after that one of each day, for good.
CHECKPOINTS_KEPT = timedelta(days=90)
# A window that ends now may reach a little further back than what is kept by the minute.
_MINUTES_MARGIN = timedelta(hours=1)
# Small enough that nobody waits long for a row or a head that is being cleaned.
_BATCH_SIZE = 1000
_ROUND_COUNT_MAX = 10_000

_LOCK = 0x616C_6572_7468
_PARTITION = re.compile(rf"(?P<parent>{'|'.join(PARTITIONED_TABLES)})_y(?P<year>\d{{4}})m(?P<month>\d{{2}})")

_PARTITIONS = """
SELECT c.relname::text AS name, i.inhdetachpending AS is_pending
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = ANY ($1::regclass[]) ORDER BY c.relname
"""
# Taken off its parent, but a crash came before it was dropped.
_ORPHANS = """
SELECT c.relname::text AS name FROM pg_class c
WHERE c.relnamespace = 'alertgraph'::regnamespace AND c.relkind = 'r' AND NOT c.relispartition
    AND c.relname ~ '_y[0-9]{4}m[0-9]{2}$'
"""

_RETENTIONS = "SELECT tenant_id, retention, now() - retention AS cutoff FROM tenant_settings"

_LOCK_HEAD = "SELECT pruned_number FROM tenant_head WHERE tenant_id = $1 FOR UPDATE"
# What is not in the tree that proves the log stays until it is; a tree that is begun later begins behind it.
_SEALED = """
coalesce((SELECT t.first_number + t.size - 1 FROM audit_tree t WHERE t.tenant_id = $1), number)
"""
# Whole flushes only: what is left begins behind a link. One of many alerts has more events than go in a round.
_FIRST_TO_RETIRE = f"""
SELECT number, recorded_at, link FROM event
WHERE tenant_id = $1 AND number > $2 AND recorded_at < $3 AND link IS NOT NULL AND number <= {_SEALED}
ORDER BY number LIMIT 1
"""  # noqa: S608  (a constant)
_LAST_TO_RETIRE = f"""
SELECT number, recorded_at, link FROM event
WHERE tenant_id = $1 AND number > $2 AND number <= $2 + $3 AND recorded_at < $4 AND link IS NOT NULL
    AND number <= {_SEALED}
ORDER BY number DESC LIMIT 1
"""  # noqa: S608  (a constant)
_DELETE_EVENTS = "DELETE FROM event WHERE tenant_id = $1 AND number <= $2 AND recorded_at <= $3"
_MOVE_PRUNED = """
UPDATE tenant_head SET pruned_number = $2, pruned_link = $3 WHERE tenant_id = $1 AND pruned_number < $2
"""
_LAST_OF_PARTITION = """
SELECT DISTINCT ON (tenant_id) tenant_id, number, link FROM event
WHERE recorded_at >= $1 AND recorded_at < $2 AND link IS NOT NULL ORDER BY tenant_id, number DESC
"""

_HAS_UNSEALED = """
SELECT EXISTS (
    SELECT FROM audit_tree t WHERE EXISTS (
        SELECT FROM event e
        WHERE e.tenant_id = t.tenant_id AND e.number >= t.first_number + t.size
            AND e.recorded_at >= $1 AND e.recorded_at < $2))
"""

_DELETE_ALERTS = """
WITH old AS (
    SELECT id FROM {0} WHERE tenant_id = $1 AND resolved_at < $2 ORDER BY resolved_at LIMIT $3
)
DELETE FROM {0} a USING old WHERE a.tenant_id = $1 AND a.id = old.id RETURNING a.id
"""
_DELETE_TERMS = "DELETE FROM alert_terms WHERE tenant_id = $1 AND id = ANY ($2)"
_DELETE_PREDICTIONS = "DELETE FROM prediction WHERE tenant_id = $1 AND alert_id = ANY ($2)"
# An id tells when the delivery was decided.
_DELETE_DELIVERIES = """
WITH old AS (
    SELECT id FROM delivery WHERE tenant_id = $1 AND id < $2 ORDER BY id LIMIT $3
)
DELETE FROM delivery d USING old WHERE d.tenant_id = $1 AND d.id = old.id RETURNING d.id
"""
_DELETE_ATTEMPTS = "DELETE FROM delivery_attempt WHERE tenant_id = $1 AND delivery_id = ANY ($2)"
# While its alert is open, a message may still be brought up to date.
_DELETE_RECEIPTS = """
DELETE FROM delivery_receipt WHERE ctid = ANY (ARRAY(
    SELECT r.ctid FROM delivery_receipt r
    WHERE r.tenant_id = $1 AND r.alert_id < $2
        AND NOT EXISTS (SELECT FROM alert_open o WHERE o.tenant_id = r.tenant_id AND o.id = r.alert_id)
    LIMIT $3))
"""
# One that is resolved has no open alert and gets none; those that were closed go first.
_DELETE_INCIDENTS = """
WITH old AS (
    SELECT i.id FROM incident i
    WHERE i.tenant_id = $1 AND i.status = 3 AND i.resolved_at < $2
        AND NOT EXISTS (
            SELECT FROM alert_closed c WHERE c.tenant_id = i.tenant_id AND c.incident_id = i.id)
        AND NOT EXISTS (
            SELECT FROM alert_closed_late l WHERE l.tenant_id = i.tenant_id AND l.incident_id = i.id)
    ORDER BY i.resolved_at LIMIT $3
)
DELETE FROM incident i USING old WHERE i.tenant_id = $1 AND i.id = old.id
"""
# An id tells when the alert came: what was linked before is older than anything that is kept, or belongs to an
# alert that has been open for as long, and can do without.
_DELETE_LINKS = """
WITH old AS (
    SELECT alert_id, earlier_id FROM alert_link WHERE tenant_id = $1 AND alert_id < $2 ORDER BY alert_id LIMIT $3
)
DELETE FROM alert_link l USING old
WHERE l.tenant_id = $1 AND l.alert_id = old.alert_id AND l.earlier_id = old.earlier_id
"""
# Whoever changes one at this moment may have made it last longer.
_DELETE_ITEMS = f"""
WITH old AS (
    SELECT kind, id FROM config_item
    WHERE tenant_id = $1 AND kind IN ({ItemKind.SILENCE:d}, {ItemKind.OVERRIDE:d}) AND until < $2
    LIMIT $3 FOR UPDATE SKIP LOCKED
)
DELETE FROM config_item i USING old WHERE i.tenant_id = $1 AND i.kind = old.kind AND i.id = old.id
"""  # noqa: S608  (numbers)
# Of every day the last one stays: what lies between follows from it.
_DELETE_CHECKPOINTS = """
DELETE FROM audit_checkpoint WHERE ctid = ANY (ARRAY(
    SELECT c.ctid FROM audit_checkpoint c
    WHERE c.tenant_id = $1 AND c.signed_at < now() - $2::interval AND EXISTS (
        SELECT FROM audit_checkpoint n
        WHERE n.tenant_id = c.tenant_id AND n.log_epoch = c.log_epoch AND n.size > c.size
            AND n.signed_at < date_trunc('day', c.signed_at, 'UTC') + interval '1 day')
    LIMIT $3))
"""
_DELETE_ANSWERS = """
DELETE FROM idempotency_answer WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM idempotency_answer WHERE created_at < now() - $1::interval LIMIT $2))
"""
# What is not folded yet is still told by its minutes.
_DELETE_MINUTES = """
DELETE FROM {0} WHERE ctid = ANY (ARRAY(
    SELECT m.ctid FROM {0} m JOIN metric_fold f ON f.tenant_id = m.tenant_id
    WHERE m.tenant_id = $1 AND m.at < now() - $2::interval AND m.at < f.hours_until LIMIT $3))
"""
# Said before it is done. What is taken away from an hour to tell of a part of it must be in the log: so an hour
# goes before its first event.
_MOVE_HOURS = """
UPDATE metric_fold
SET hours_since = least(date_trunc('hour', $2::timestamptz, 'UTC') + interval '1 hour', hours_until)
WHERE tenant_id = $1 AND hours_since <= $2 AND hours_since < hours_until
"""
_DELETE_HOURS = f"""
DELETE FROM metric_span WHERE ctid = ANY (ARRAY(
    SELECT s.ctid FROM metric_span s JOIN metric_fold f ON f.tenant_id = s.tenant_id
    WHERE s.tenant_id = $1 AND s.span = {Span.HOUR:d} AND s.division = $2 AND s.since < f.hours_since LIMIT $3))
"""  # noqa: S608  (a number)

_HAS_KEPT_ALERT = "SELECT EXISTS (SELECT FROM alert_closed WHERE id >= $1 AND id < $2 AND resolved_at >= $3)"
# Its attempts and its end will stand in the month in which it was decided.
_HAS_OPEN_DELIVERY = "SELECT EXISTS (SELECT FROM delivery_open WHERE id >= $1 AND id < $2)"
# What is kept with an alert, by the table and its column with the alert's id.
_HAS_KEPT = """
SELECT EXISTS (SELECT FROM {0} t WHERE t.{1} >= $1 AND t.{1} < $2 AND (
    EXISTS (SELECT FROM alert_open o WHERE o.tenant_id = t.tenant_id AND o.id = t.{1})
    OR EXISTS (SELECT FROM alert_closed c WHERE c.tenant_id = t.tenant_id AND c.id = t.{1})
    OR EXISTS (SELECT FROM alert_closed_late l WHERE l.tenant_id = t.tenant_id AND l.id = t.{1})))
"""
_HAS_KEPT_TERMS = _HAS_KEPT.format("alert_terms", "id")
_HAS_KEPT_PREDICTION = _HAS_KEPT.format("prediction", "alert_id")


@dataclass(frozen=True, slots=True)
class Partition:
    """One month of a table.

    Attributes:
        since: Included.
        until: Not included.
        is_pending: Whether somebody began to take it off and did not finish.
    """

    name: str
    parent: str
    since: datetime
    until: datetime
    is_pending: bool = False


@dataclass(slots=True)
class Retired:
    """What was removed: numbers of rows, and whole partitions by name; and how many days were folded."""

    events: int = 0
    alerts: int = 0
    deliveries: int = 0
    receipts: int = 0
    items: int = 0
    answers: int = 0
    minutes: int = 0
    hours: int = 0
    incidents: int = 0
    links: int = 0
    checkpoints: int = 0
    folded_days: int = 0
    partitions: list[str] = field(default_factory=list)


class Housekeeper:
    """Keeps partitions ahead of time, and removes what nobody may or needs to see any more.

    Any number may run: one of them at a time does the removing.

    Args:
        owner_url: A login that may act as the owner of the tables.
    """

    def __init__(self, database: Database, owner_url: str) -> None:
        self._database = database
        self._owner_url = owner_url

    async def ensure_ahead(self) -> int:
        """Make the partitions of this month and the next two where they are missing; return how many."""
        async with self._database.connection() as connection:
            made: int = await connection.fetchval(
                "SELECT ensure_partitions(now(), now() + make_interval(months => $1))", MONTHS_AHEAD
            )
        return made

    async def days_ahead(self) -> int:
        """Return for how many days from now there is a partition of every table; 0 where one is missing now."""
        async with self._database.connection() as connection:
            now: datetime = await connection.fetchval("SELECT now()")
            partitions = await _partitions(connection)
        covered = [_covered_until(partitions, parent, now) for parent in PARTITIONED_TABLES]
        return max(0, (min(covered) - now).days)

    async def retire(self) -> Retired:
        """Remove what is past its tenant's retention; nothing where another process is at it.

        Raises:
            DependencyError: The store is away, or a row stayed locked; what was removed until then stays removed.
        """
        retired = Retired()
        async with owner_connection(self._owner_url) as connection:
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
                return retired
            tenants = await connection.fetch(_RETENTIONS)
            for tenant_id, _, cutoff in tenants:
                await _retire_hours(connection, tenant_id, cutoff, retired)
            if tenants:
                cutoff = min(row["cutoff"] for row in tenants)
                await _drop_partitions(connection, cutoff, retired)
            for tenant_id, _, cutoff in tenants:
                await _retire_events(connection, tenant_id, cutoff, retired)
                await _retire_alerts(connection, tenant_id, cutoff, retired)
                retired.incidents += await _repeated(connection, _DELETE_INCIDENTS, tenant_id, cutoff)
                retired.links += await _repeated(connection, _DELETE_LINKS, tenant_id, uuid7_floor(cutoff))
                await _retire_deliveries(connection, tenant_id, cutoff, retired)
                retired.folded_days += await connection.fetchval("SELECT fold_figures($1)", tenant_id)
                await _retire_minutes(connection, tenant_id, retired)
                retired.items += await _repeated(connection, _DELETE_ITEMS, tenant_id, cutoff)
                retired.checkpoints += await _repeated(
                    connection, _DELETE_CHECKPOINTS, tenant_id, CHECKPOINTS_KEPT
                )
            retired.answers = await _repeated(connection, _DELETE_ANSWERS, ANSWERS_KEPT)
        return retired


async def _partitions(connection: Connection) -> Sequence[Partition]:
    parents = [f"{SCHEMA}.{table}" for table in PARTITIONED_TABLES]
    rows = await connection.fetch(_PARTITIONS, parents)
    return [_partition_of(row["name"], is_pending=row["is_pending"]) for row in rows]


def _partition_of(name: str, *, is_pending: bool = False) -> Partition:
    found = _PARTITION.fullmatch(name)
    assert found is not None, f"{name} is no partition of ours"
    since = datetime(int(found["year"]), int(found["month"]), 1, tzinfo=UTC)
    until = (since + timedelta(days=32)).replace(day=1)
    return Partition(name, found["parent"], since, until, is_pending)


def _covered_until(partitions: Sequence[Partition], parent: str, now: datetime) -> datetime:
    until = now
    for partition in sorted(partitions, key=lambda one: one.since):
        if partition.parent == parent and partition.since <= until < partition.until:
            until = partition.until
    return until


async def _drop_partitions(connection: Connection, cutoff: datetime, retired: Retired) -> None:
    """Drop whole months that no tenant keeps: at once, where deleting rows would take hours."""
    for partition in await _partitions(connection):
        if partition.is_pending:
            await connection.execute(f"ALTER TABLE {partition.parent} DETACH PARTITION {partition.name} FINALIZE")
        elif partition.until <= cutoff and await _is_retired(connection, partition, cutoff):
            # Waits for every transaction that may look at it; nobody waits for this.
            await connection.execute("SET lock_timeout = 0")
            await connection.execute(
                f"ALTER TABLE {partition.parent} DETACH PARTITION {partition.name} CONCURRENTLY"
            )
            await connection.execute("SET lock_timeout = '1s'")
            retired.partitions.append(partition.name)
    for row in await connection.fetch(_ORPHANS):
        if _PARTITION.fullmatch(row["name"]):
            await connection.execute(f"DROP TABLE {row['name']}")


async def _is_retired(connection: Connection, partition: Partition, cutoff: datetime) -> bool:
    low, high = uuid7_floor(partition.since), uuid7_floor(partition.until)
    match partition.parent:
        case "event":
            if await connection.fetchval(_HAS_UNSEALED, partition.since, partition.until):
                return False
            # Said before it is done: a reader whose cursor stands there is told, and never sees a hole.
            for tenant_id, number, link in await connection.fetch(
                _LAST_OF_PARTITION, partition.since, partition.until
            ):
                await connection.execute(_MOVE_PRUNED, tenant_id, number, link)
            return True
        case "alert_closed":
            return not await connection.fetchval(_HAS_KEPT_ALERT, low, high, cutoff)
        case "delivery" | "delivery_attempt":
            return not await connection.fetchval(_HAS_OPEN_DELIVERY, low, high)
        case "prediction":
            return not await connection.fetchval(_HAS_KEPT_PREDICTION, low, high)
        case _:
            return not await connection.fetchval(_HAS_KEPT_TERMS, low, high)


async def _retire_events(connection: Connection, tenant_id: UUID, cutoff: datetime, retired: Retired) -> None:
    for _ in range(_ROUND_COUNT_MAX):
        async with connection.transaction():
            pruned_number = await connection.fetchval(_LOCK_HEAD, tenant_id)
            last = await connection.fetchrow(_LAST_TO_RETIRE, tenant_id, pruned_number, _BATCH_SIZE, cutoff)
            if last is None:
                last = await connection.fetchrow(_FIRST_TO_RETIRE, tenant_id, pruned_number, cutoff)
            if last is None:
                return
            number, recorded_at, link = last
            await connection.execute(_MOVE_PRUNED, tenant_id, number, link)
            retired.events += _count_of(await connection.execute(_DELETE_EVENTS, tenant_id, number, recorded_at))


async def _retire_alerts(connection: Connection, tenant_id: UUID, cutoff: datetime, retired: Retired) -> None:
    for table in ("alert_closed", "alert_closed_late"):
        for _ in range(_ROUND_COUNT_MAX):
            async with connection.transaction():
                ids = [
                    row["id"]
                    for row in await connection.fetch(_DELETE_ALERTS.format(table), tenant_id, cutoff, _BATCH_SIZE)
                ]
                if ids:
                    await connection.execute(_DELETE_TERMS, tenant_id, ids)
                    await connection.execute(_DELETE_PREDICTIONS, tenant_id, ids)
            retired.alerts += len(ids)
            if len(ids) < _BATCH_SIZE:
                break


async def _retire_deliveries(connection: Connection, tenant_id: UUID, cutoff: datetime, retired: Retired) -> None:
    oldest_kept = uuid7_floor(cutoff)
    for _ in range(_ROUND_COUNT_MAX):
        async with connection.transaction():
            rows = await connection.fetch(_DELETE_DELIVERIES, tenant_id, oldest_kept, _BATCH_SIZE)
            if rows:
                await connection.execute(_DELETE_ATTEMPTS, tenant_id, [row["id"] for row in rows])
        retired.deliveries += len(rows)
        if len(rows) < _BATCH_SIZE:
            break
    retired.receipts += await _repeated(connection, _DELETE_RECEIPTS, tenant_id, oldest_kept)


async def _retire_hours(connection: Connection, tenant_id: UUID, cutoff: datetime, retired: Retired) -> None:
    await connection.execute(_MOVE_HOURS, tenant_id, cutoff)
    for division in range(4):
        retired.hours += await _repeated(connection, _DELETE_HOURS, tenant_id, division)


async def _retire_minutes(connection: Connection, tenant_id: UUID, retired: Retired) -> None:
    kept = MINUTES_KEPT + _MINUTES_MARGIN
    for table in ("metric_minute", "metric_minute_duration"):
        retired.minutes += await _repeated(connection, _DELETE_MINUTES.format(table), tenant_id, kept)


async def _repeated(connection: Connection, statement: str, *arguments: Any) -> int:
    """Return how many rows a batched DELETE removed altogether, each batch in a transaction of its own."""
    total = 0
    for _ in range(_ROUND_COUNT_MAX):
        count = _count_of(await connection.execute(statement, *arguments, _BATCH_SIZE))
        total += count
        if count < _BATCH_SIZE:
            break
    return total


def _count_of(status: str) -> int:
    return int(status.rpartition(" ")[2])
