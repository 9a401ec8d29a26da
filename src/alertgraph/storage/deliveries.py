"""Deliveries under way: what is due, who tries it now, and what came of a try.

New deliveries and their ends are written by the log, with the events that tell of them: see `storage.log`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from alertgraph.core.delivery import Attempt, ChannelHealth, Claim, Delivery, DeliveryStatus, Purpose, Retry
from alertgraph.core.errors import DependencyError, StaleDecisionError
from alertgraph.core.ids import AlertId, ChannelId, DeliveryId, ResponderId, TenantId
from alertgraph.services.ports import LostCommitError
from alertgraph.storage import tables
from alertgraph.storage.database import DEPENDENCY, Connection, Database

# What `delivery_row` writes and `delivery_of` reads, in this order: of delivery_open and of delivery alike.
DELIVERY_COLUMNS = tuple(column.name for column in tables.delivery_open.columns if column.name != "tenant_id")
DELIVERY_SELECT = ", ".join(DELIVERY_COLUMNS)
HEALTH_COLUMNS = tuple(column.name for column in tables.channel_health.columns if column.name != "tenant_id")
HEALTH_SELECT = ", ".join(HEALTH_COLUMNS)

T = TypeVar("T")

_STATUSES = {int(status): status for status in DeliveryStatus}
_PURPOSES = {int(purpose): purpose for purpose in Purpose}

# One ordered read of one index each: delivery_open_due.
_DUE_FIRST, _DUE_OTHERS = (
    f"""
SELECT {DELIVERY_SELECT} FROM delivery_open
WHERE tenant_id = $1 AND {is_first} AND due_at <= $2 ORDER BY due_at, id LIMIT $3
"""  # noqa: S608  (columns are constants)
    for is_first in ("is_first", "NOT is_first")
)
_HEALTH = f"SELECT {HEALTH_SELECT} FROM channel_health WHERE tenant_id = $1"  # noqa: S608  (columns are constants)

# Rows are looked up by a range of one key, in its order, and changed by their place: a plan made while the table
# was empty is right for it when it is full. What somebody else holds at this moment is being claimed, put off,
# or ended: it is no longer as it was read.
_LOCK_CLAIMED = """
SELECT o.id, o.ctid AS place FROM unnest($2::uuid[], $3::integer[]) AS c (id, fence) CROSS JOIN LATERAL (
    SELECT o.id, o.ctid FROM delivery_open o
    WHERE o.tenant_id = $1 AND o.id >= c.id AND o.id <= c.id
        AND o.attempt_count = c.fence AND o.wanted AND o.status IN (1, 2, 4) AND o.due_at <= $4
    ORDER BY o.id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED) o
"""
_CLAIM = """
WITH claimed AS (
    UPDATE delivery_open o
    SET status = 2, attempt_count = o.attempt_count + 1, due_at = $5, bundle_id = c.bundle_id
    FROM unnest($2::tid[], $3::uuid[]) AS c (place, bundle_id)
    WHERE o.tenant_id = $1 AND o.ctid = c.place
    RETURNING o.id, o.attempt_count
)
INSERT INTO delivery_attempt (tenant_id, delivery_id, number, started_at)
SELECT $1, c.id, c.attempt_count, $4 FROM claimed c
"""
_NEXT_SENDS = """
INSERT INTO channel_health AS h (tenant_id, channel_id, next_send_at)
SELECT $1, n.channel_id, n.at FROM unnest($2::uuid[], $3::timestamptz[]) AS n (channel_id, at)
ON CONFLICT (tenant_id, channel_id) DO UPDATE SET next_send_at = greatest(h.next_send_at, excluded.next_send_at)
"""

_LOCK_TRIED = """
SELECT o.id, o.ctid AS place FROM unnest($2::uuid[], $3::integer[]) AS r (id, fence) CROSS JOIN LATERAL (
    SELECT o.id, o.ctid FROM delivery_open o
    WHERE o.tenant_id = $1 AND o.id >= r.id AND o.id <= r.id AND o.attempt_count = r.fence AND o.status = 2
    ORDER BY o.id LIMIT 1 FOR NO KEY UPDATE) o
"""
# One that is not wanted any more waits for nothing but to be filed.
_RETRY = """
UPDATE delivery_open o
SET status = CASE WHEN o.wanted THEN 4 ELSE 6 END,
    due_at = CASE WHEN o.wanted THEN r.due_at ELSE r.started_at END,
    last_error = r.error,
    bundle_id = NULL
FROM unnest($2::tid[], $3::timestamptz[], $4::timestamptz[], $5::text[]) AS r (place, due_at, started_at, error)
WHERE o.tenant_id = $1 AND o.ctid = r.place
"""
_END_ATTEMPTS = """
UPDATE delivery_attempt t SET duration = a.duration, status_code = a.status_code, error = a.error
FROM unnest($2::uuid[], $3::integer[], $4::interval[], $5::integer[], $6::text[])
    AS a (delivery_id, number, duration, status_code, error)
WHERE t.tenant_id = $1 AND t.delivery_id = a.delivery_id AND t.number = a.number
"""

_LOCK_WAITING = """
SELECT o.ctid AS place, p.due_at FROM unnest($2::uuid[], $3::timestamptz[]) AS p (id, due_at) CROSS JOIN LATERAL (
    SELECT o.ctid FROM delivery_open o
    WHERE o.tenant_id = $1 AND o.id >= p.id AND o.id <= p.id
        AND o.status IN (1, 4) AND o.wanted AND o.due_at < p.due_at
    ORDER BY o.id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED) o
"""
_PUT_OFF = """
UPDATE delivery_open o SET due_at = p.due_at FROM unnest($2::tid[], $3::timestamptz[]) AS p (place, due_at)
WHERE o.tenant_id = $1 AND o.ctid = p.place
"""

_MAKE_HEALTH = "INSERT INTO channel_health (tenant_id, channel_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
_LOCK_HEALTH = f"""
SELECT {HEALTH_SELECT} FROM channel_health WHERE tenant_id = $1 AND channel_id = $2 FOR UPDATE
"""  # noqa: S608  (columns are constants)
_SET_HEALTH = """
UPDATE channel_health
SET failure_count = $3, open_until = $4, next_send_at = $5, last_success_at = $6, last_failure_at = $7,
    last_error = $8
WHERE tenant_id = $1 AND channel_id = $2
"""

_RECEIPT = """
SELECT receipt FROM delivery_receipt
WHERE tenant_id = $1 AND alert_id = $2 AND channel_id = $3 AND address_hash = address_hash($4)
"""

_RECORD = f"""
INSERT INTO delivery (tenant_id, {DELIVERY_SELECT})
VALUES ($1, {", ".join(f"${n}" for n in range(2, len(DELIVERY_COLUMNS) + 2))}) ON CONFLICT DO NOTHING
"""  # noqa: S608  (columns are constants)
_RECORD_ATTEMPT = """
INSERT INTO delivery_attempt (tenant_id, delivery_id, number, started_at, duration, status_code, error)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING
"""


def delivery_of(row: Sequence[Any], offset: int = 0) -> Delivery:
    """Return the delivery that a row holds.

    Args:
        row: A record whose fields from `offset` on are DELIVERY_COLUMNS.
        offset: How many fields stand before them.
    """
    (
        id_,
        alert_id,
        channel_id,
        channel_name,
        purpose,
        level,
        round_,
        responder_id,
        address,
        status,
        wanted,
        created_at,
        due_at,
        attempt_count,
        sent_at,
        last_error,
        fallback_of,
        fell_back_to,
        bundle_id,
        change,
        _is_first,
    ) = row[offset : offset + 21] if offset or len(row) > 21 else row
    return Delivery(
        id=DeliveryId(id_),
        alert_id=None if alert_id is None else AlertId(alert_id),
        channel_id=ChannelId(channel_id),
        channel_name=channel_name,
        purpose=_PURPOSES[purpose],
        level=level,
        created_at=created_at,
        due_at=due_at,
        round=round_,
        responder_id=None if responder_id is None else ResponderId(responder_id),
        address=address,
        status=_STATUSES[status],
        wanted=wanted,
        attempt_count=attempt_count,
        sent_at=sent_at,
        last_error=last_error,
        fallback_of=None if fallback_of is None else DeliveryId(fallback_of),
        fell_back_to=None if fell_back_to is None else DeliveryId(fell_back_to),
        bundle_id=None if bundle_id is None else DeliveryId(bundle_id),
        change=change,
    )


def delivery_row(delivery: Delivery) -> tuple[Any, ...]:
    """Return the values of DELIVERY_COLUMNS."""
    return (
        delivery.id,
        delivery.alert_id,
        delivery.channel_id,
        delivery.channel_name,
        delivery.purpose,
        delivery.level,
        delivery.round,
        delivery.responder_id,
        delivery.address,
        delivery.status,
        delivery.wanted,
        delivery.created_at,
        delivery.due_at,
        delivery.attempt_count,
        delivery.sent_at,
        storable(delivery.last_error),
        delivery.fallback_of,
        delivery.fell_back_to,
        delivery.bundle_id,
        delivery.change,
        delivery.is_first,
    )


def health_of(row: Sequence[Any]) -> tuple[ChannelId, ChannelHealth]:
    """Return whose health a row of HEALTH_COLUMNS holds, and that."""
    channel_id, *health = row
    return ChannelId(channel_id), ChannelHealth(*health)


def storable(text: str | None) -> str | None:
    """Return a text that another system said, with what no database can keep replaced."""
    if text is None:
        return None
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()


class PostgresDeliveries:
    """Fulfils `services.ports.Deliveries`.

    Who has work is asked of functions that run as the engine's role, which sees tenants and due times and nothing
    else; what the work is, is read as the tenant.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due_tenants(self, now: datetime, limit: int) -> Sequence[TenantId]:
        """Return tenants with deliveries to look at, those due longest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch("SELECT tenant_id FROM due_delivery_tenants($1, $2)", now, limit)
        return [TenantId(row[0]) for row in rows]

    async def next_due_at(self) -> datetime | None:
        """Return the earliest due time of all tenants' deliveries; None where none is open."""
        async with self._database.connection() as connection:
            due_at: datetime | None = await connection.fetchval("SELECT next_delivery_at()")
        return due_at

    async def due(self, tenant_id: TenantId, now: datetime, limit: int) -> Sequence[Delivery]:
        """Return a tenant's deliveries that are due, somebody's first news before all others, then the oldest.

        Among them are those whose attempt's lease ran out, and those that are not wanted any more.
        """
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            rows = list(await connection.fetch(_DUE_FIRST, tenant_id, now, limit))
            if len(rows) < limit:
                rows += await connection.fetch(_DUE_OTHERS, tenant_id, now, limit - len(rows))
        return [delivery_of(row) for row in rows]

    async def health(self, tenant_id: TenantId) -> Mapping[ChannelId, ChannelHealth]:
        """Return how the tenant's channels do; one that was never used is absent."""
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            return dict(map(health_of, await connection.fetch(_HEALTH, tenant_id)))

    async def claim(
        self,
        tenant_id: TenantId,
        claims: Sequence[Claim],
        now: datetime,
        lease_until: datetime,
        next_send_at: Mapping[ChannelId, datetime],
    ) -> Collection[DeliveryId]:
        """Begin attempts: return those deliveries that are still wanted, due and as they were read.

        They are SENDING until `lease_until`; each attempt is a row from now on. Only channels over which something
        is sent have their next turn put off, and never to an earlier one. Where the answer to the commit is lost,
        nothing may be sent: what was claimed is due again when the lease ends.
        """
        by_id = {claim.delivery_id: claim for claim in sorted(claims, key=_id_of_claim)}
        if not by_id:
            return frozenset()

        async def begin_attempts(connection: Connection) -> frozenset[DeliveryId]:
            fences = [claim.fence for claim in by_id.values()]
            rows = await connection.fetch(_LOCK_CLAIMED, tenant_id, list(by_id), fences, now)
            if not rows:
                return frozenset()
            claimed = [by_id[row["id"]] for row in rows]
            places = [row["place"] for row in rows]
            bundle_ids = [claim.bundle_id for claim in claimed]
            await connection.execute(_CLAIM, tenant_id, places, bundle_ids, now, lease_until)
            used = sorted({claim.channel_id for claim in claimed} & next_send_at.keys())
            if used:
                await connection.execute(
                    _NEXT_SENDS, tenant_id, used, [next_send_at[channel_id] for channel_id in used]
                )
            return frozenset(claim.delivery_id for claim in claimed)

        return await self._write(tenant_id, begin_attempts)

    async def retry(self, tenant_id: TenantId, retries: Sequence[Retry]) -> None:
        """Put deliveries back whose attempt failed, under their fence; one not wanted any more is due at once."""
        by_id = {retry.delivery_id: retry for retry in sorted(retries, key=_id_of_retry)}
        if not by_id:
            return

        async def put_back(connection: Connection) -> None:
            fences = [retry.fence for retry in by_id.values()]
            rows = await connection.fetch(_LOCK_TRIED, tenant_id, list(by_id), fences)
            if not rows:
                return
            found = [by_id[row["id"]] for row in rows]
            await connection.execute(
                _RETRY,
                tenant_id,
                [row["place"] for row in rows],
                [retry.due_at for retry in found],
                [retry.attempt.started_at for retry in found],
                [storable(retry.attempt.error) for retry in found],
            )
            await connection.execute(
                _END_ATTEMPTS,
                tenant_id,
                [retry.delivery_id for retry in found],
                [retry.fence for retry in found],
                [retry.attempt.duration for retry in found],
                [retry.attempt.status_code for retry in found],
                [storable(retry.attempt.error) for retry in found],
            )

        await self._write(tenant_id, put_back)

    async def put_off(self, tenant_id: TenantId, due_at: Mapping[DeliveryId, datetime]) -> None:
        """Look at deliveries that wait for their channel's turn no earlier than then; those in work are left."""
        if not due_at:
            return
        ids = sorted(due_at)

        async def move(connection: Connection) -> None:
            rows = await connection.fetch(_LOCK_WAITING, tenant_id, ids, [due_at[id_] for id_ in ids])
            if rows:
                places, times = [row["place"] for row in rows], [row["due_at"] for row in rows]
                await connection.execute(_PUT_OFF, tenant_id, places, times)

        await self._write(tenant_id, move)

    async def note_health(
        self, tenant_id: TenantId, channel_id: ChannelId, decide: Callable[[ChannelHealth], ChannelHealth]
    ) -> ChannelHealth:
        """Change how a channel does, by what it is while nobody else changes it, and return it."""

        async def change(connection: Connection) -> ChannelHealth:
            row = await connection.fetchrow(_LOCK_HEALTH, tenant_id, channel_id)
            if row is None:
                # Whoever else makes it at this moment is waited for.
                await connection.execute(_MAKE_HEALTH, tenant_id, channel_id)
                row = await connection.fetchrow(_LOCK_HEALTH, tenant_id, channel_id)
            health = decide(health_of(row)[1])
            await connection.execute(
                _SET_HEALTH,
                tenant_id,
                channel_id,
                health.failure_count,
                health.open_until,
                health.next_send_at,
                health.last_success_at,
                health.last_failure_at,
                storable(health.last_error),
            )
            return health

        return await self._write(tenant_id, change)

    async def receipt(
        self, tenant_id: TenantId, alert_id: AlertId, channel_id: ChannelId, address: str | None
    ) -> str | None:
        """Return what the provider called the message about an alert, as JSON; None where none was sent."""
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            receipt: str | None = await connection.fetchval(_RECEIPT, tenant_id, alert_id, channel_id, address)
        return receipt

    async def record(self, tenant_id: TenantId, delivery: Delivery, attempt: Attempt) -> None:
        """Keep a delivery that was made past the queue, such as a test, with its only attempt.

        One that is kept already stays as it is.
        """

        async def keep(connection: Connection) -> None:
            await connection.execute("SELECT ensure_delivery_months($1)", [delivery.id])
            await connection.execute(_RECORD, tenant_id, *delivery_row(delivery))
            await connection.execute(
                _RECORD_ATTEMPT,
                tenant_id,
                delivery.id,
                attempt.number,
                attempt.started_at,
                attempt.duration,
                attempt.status_code,
                storable(attempt.error),
            )

        await self._write(tenant_id, keep)

    async def _write(self, tenant_id: TenantId, work: Callable[[Connection], Awaitable[T]]) -> T:
        try:
            return await self._database.write(tenant_id, work)
        except (LostCommitError, StaleDecisionError) as error:
            # Each of these may be done twice, or not at all: fences and leases see to that.
            raise DependencyError(DEPENDENCY, retryable=True) from error


def _id_of_claim(claim: Claim) -> DeliveryId:
    return claim.delivery_id


def _id_of_retry(retry: Retry) -> DeliveryId:
    return retry.delivery_id
