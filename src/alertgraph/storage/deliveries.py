"""Deliveries under way: what is due, who tries it now, and what came of a try.

New deliveries and their ends are written by the log, with the events that tell of them: see `storage.log`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

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
from alertgraph.core.errors import DependencyError, StaleDecisionError
from alertgraph.core.ids import AlertId, ChannelId, DeliveryId, ResponderId, TenantId, uuid7_floor
from alertgraph.core.message import storable
from alertgraph.services.ports import LostCommitError
from alertgraph.storage.database import DEPENDENCY, Connection, Database

# What `delivery_row` writes and `delivery_of` reads, in this order: of delivery_open and of delivery alike.
DELIVERY_COLUMNS = (
    "id",
    "alert_id",
    "channel_id",
    "channel_name",
    "purpose",
    "level",
    "round",
    "responder_id",
    "address",
    "status",
    "wanted",
    "created_at",
    "due_at",
    "attempt_count",
    "sent_at",
    "last_error",
    "fallback_of",
    "fell_back_to",
    "bundle_id",
    "change",
    "is_first",
)
DELIVERY_SELECT = ", ".join(DELIVERY_COLUMNS)
HEALTH_COLUMNS = (
    "channel_id",
    "failure_count",
    "open_until",
    "next_send_at",
    "last_success_at",
    "last_failure_at",
    "last_error",
)
HEALTH_SELECT = ", ".join(HEALTH_COLUMNS)

T = TypeVar("T")

_STATUSES = {int(status): status for status in DeliveryStatus}
_PURPOSES = {int(purpose): purpose for purpose in Purpose}

# The queue is worked on by calls of one round trip each: see the migration that created deliveries.
_DUE = f"SELECT {DELIVERY_SELECT} FROM due_deliveries_v1($1, $2, $3)"  # noqa: S608  (columns are constants)
_CLAIM = "SELECT claim_deliveries_v1($1, $2, $3, $4, $5, $6, $7, $8, $9)"
_RETRY = "SELECT retry_deliveries_v1($1, $2, $3, $4, $5, $6, $7, $8)"
_PUT_OFF = "SELECT put_off_deliveries_v1($1, $2, $3, $4)"

# The queue is empty at times: a plan that was made then is none for later.
_PLANNED_ANEW = "SET LOCAL plan_cache_mode = force_custom_plan"

_HEALTH = f"SELECT {HEALTH_SELECT} FROM channel_health WHERE tenant_id = $1"  # noqa: S608  (columns are constants)

# Pages (1) and assignments (3): what somebody learns of an alert by. An attempt is counted once it has ended,
# unanswered where it was lost in a crash or ran into its time limit.
_NEWS = """
FROM {0} d
WHERE d.tenant_id = $1 AND d.alert_id = one.alert_id AND d.alert_id IS NOT NULL
    AND d.channel_id = one.channel_id AND d.purpose IN (1, 3)
"""
_UNANSWERED = """
    AND EXISTS (
        SELECT FROM delivery_attempt t
        WHERE t.tenant_id = $1 AND t.delivery_id = d.id
            AND (t.duration IS NULL OR (t.status_code IS NULL AND t.duration >= $5::interval)))
"""
_REACH = f"""
SELECT one.alert_id, one.channel_id, CASE
    WHEN one.alert_id < $4::uuid THEN {Reach.TOLD.value}
    WHEN EXISTS (SELECT {_NEWS.format("delivery")} AND d.status = 3) THEN {Reach.TOLD.value}
    WHEN EXISTS (SELECT {_NEWS.format("delivery_open")} AND d.status = 2) THEN {Reach.UNDER_WAY.value}
    WHEN EXISTS (SELECT {_NEWS.format("delivery_open")} AND d.wanted) THEN {Reach.NOBODY.value}
    WHEN EXISTS (SELECT {_NEWS.format("delivery_open")} {_UNANSWERED}) THEN {Reach.TOLD.value}
    WHEN EXISTS (SELECT {_NEWS.format("delivery")} {_UNANSWERED}) THEN {Reach.TOLD.value}
    ELSE {Reach.NOBODY.value} END
FROM unnest($2::uuid[], $3::uuid[]) AS one (alert_id, channel_id)
"""  # noqa: S608  (tables and numbers are constants)

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
        async with self._database.connection() as connection:
            rows = await connection.fetch(_DUE, tenant_id, now, limit)
        return [delivery_of(row) for row in rows]

    async def health(self, tenant_id: TenantId) -> Mapping[ChannelId, ChannelHealth]:
        """Return how the tenant's channels do; one that was never used is absent."""
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            return dict(map(health_of, await connection.fetch(_HEALTH, tenant_id)))

    async def reach(
        self, tenant_id: TenantId, places: Collection[Place], kept_since: datetime
    ) -> Mapping[Place, Reach]:
        """Return for each of these whether anybody knows; an alert of before `kept_since` counts as told."""
        in_order = sorted(places)
        # One snapshot: a page that ends meanwhile stands in the one table or in the other.
        async with self._database.transaction(tenant_id, read_only=True, snapshot=True) as connection:
            await connection.execute(_PLANNED_ANEW)
            rows = await connection.fetch(
                _REACH,
                tenant_id,
                [alert_id for alert_id, _ in in_order],
                [channel_id for _, channel_id in in_order],
                uuid7_floor(kept_since),
                UNANSWERED_AFTER,
            )
        return {(AlertId(row[0]), ChannelId(row[1])): Reach(row[2]) for row in rows}

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
        in_order = sorted(claims, key=_id_of_claim)
        channel_ids = sorted({claim.channel_id for claim in in_order} & next_send_at.keys())

        async def call(connection: Connection) -> frozenset[DeliveryId]:
            claimed = await connection.fetchval(
                _CLAIM,
                tenant_id,
                [claim.delivery_id for claim in in_order],
                [claim.fence for claim in in_order],
                [claim.bundle_id for claim in in_order],
                [claim.channel_id for claim in in_order],
                now,
                lease_until,
                channel_ids,
                [next_send_at[channel_id] for channel_id in channel_ids],
            )
            return frozenset(map(DeliveryId, claimed))

        return await self._call(call) if in_order else frozenset()

    async def retry(self, tenant_id: TenantId, retries: Sequence[Retry]) -> None:
        """Put deliveries back whose attempt failed, under their fence; one not wanted any more is due at once."""
        in_order = sorted(retries, key=_id_of_retry)

        async def call(connection: Connection) -> None:
            await connection.execute(
                _RETRY,
                tenant_id,
                [retry.delivery_id for retry in in_order],
                [retry.fence for retry in in_order],
                [retry.due_at for retry in in_order],
                [retry.attempt.started_at for retry in in_order],
                [retry.attempt.duration for retry in in_order],
                [retry.attempt.status_code for retry in in_order],
                [storable(retry.attempt.error) for retry in in_order],
            )

        if in_order:
            await self._call(call)

    async def put_off(self, tenant_id: TenantId, due_at: Mapping[DeliveryId, datetime], now: datetime) -> None:
        """Look at deliveries that wait for their channel's turn no earlier than then; those in work are left."""
        ids = sorted(due_at)

        async def call(connection: Connection) -> None:
            await connection.execute(_PUT_OFF, tenant_id, ids, [due_at[id_] for id_ in ids], now)

        if ids:
            await self._call(call)

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

    async def _call(self, call: Callable[[Connection], Awaitable[T]]) -> T:
        with _told():
            return await self._database.commit(call)

    async def _write(self, tenant_id: TenantId, work: Callable[[Connection], Awaitable[T]]) -> T:
        with _told():
            return await self._database.write(tenant_id, work)


@contextmanager
def _told() -> Iterator[None]:
    """Take a lost commit and a lost race for a store that is away: fences and leases bear asking again."""
    try:
        yield
    except (LostCommitError, StaleDecisionError) as error:
        raise DependencyError(DEPENDENCY, retryable=True) from error


def _id_of_claim(claim: Claim) -> DeliveryId:
    return claim.delivery_id


def _id_of_retry(retry: Retry) -> DeliveryId:
    return retry.delivery_id
