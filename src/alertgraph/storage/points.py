"""Points of metrics on their way to whoever watches them, and what is known of their series.

The feed is kept in tables that are not logged: writing to them costs no more than it must, and a crash of
PostgreSQL itself empties them. What was learnt is kept for good, and says of which feed it knows how much.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

import cramjam

from alertgraph.core.errors import DependencyError, StaleDecisionError
from alertgraph.core.ids import TenantId
from alertgraph.services.ports import FeedPlace, LostCommitError, PointBatch, SeriesState
from alertgraph.storage.database import DEPENDENCY, Connection, Database

T = TypeVar("T")

WATCHERS = "anomaly detection"
SAVE_WITHIN = timedelta(seconds=20)

# The feed's row is what gives a batch its number, so that numbers are seen in their order.
_PUT = """
WITH place AS (
    INSERT INTO metric_feed AS f (tenant_id, given, given_size) VALUES ($1, 1, $3)
    ON CONFLICT (tenant_id) DO UPDATE SET given = f.given + 1, given_size = f.given_size + excluded.given_size
    WHERE f.why_not IS NULL AND f.given_size - f.taken_size < $4
    RETURNING given)
INSERT INTO metric_batch (tenant_id, number, content) SELECT $1, given, $2 FROM place RETURNING number
"""
_WHY_NOT = "SELECT why_not FROM metric_feed WHERE tenant_id = $1"
_PLACE = """
INSERT INTO metric_feed AS f (tenant_id, why_not) VALUES ($1, $2)
ON CONFLICT (tenant_id) DO UPDATE SET why_not = excluded.why_not
RETURNING feed_id, taken
"""
_BATCHES = """
SELECT b.number, b.received_at, b.content FROM metric_batch b JOIN metric_feed f ON f.tenant_id = b.tenant_id
WHERE b.tenant_id = $1 AND f.feed_id = $2 AND b.number > $3 ORDER BY b.number LIMIT $4
"""
_TOOK = """
UPDATE metric_feed SET
    taken = $4,
    taken_size = taken_size + COALESCE((
        SELECT sum(octet_length(b.content)) FROM metric_batch b
        WHERE b.tenant_id = $1 AND b.number > $3 AND b.number <= $4), 0)
WHERE tenant_id = $1 AND feed_id = $2 AND taken = $3
"""
_DROP = """
DELETE FROM metric_batch b USING metric_feed f
WHERE b.tenant_id = $1 AND f.tenant_id = $1 AND f.feed_id = $2 AND b.number <= $3 AND b.number <= f.taken
"""
_STATES = "SELECT shard, feed_id, number, content FROM series_state WHERE tenant_id = $1 ORDER BY shard"
_SAVE = """
INSERT INTO series_state AS s (tenant_id, shard, feed_id, number, content) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant_id, shard) DO UPDATE SET
    feed_id = excluded.feed_id, number = excluded.number, content = excluded.content, saved_at = now()
WHERE s.feed_id <> excluded.feed_id OR s.number <= excluded.number
"""


class PostgresPoints:
    """Fulfils `services.ports.PointFeed` and `services.ports.PointBuffer`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, tenant_id: TenantId, content: bytes, size_max: int) -> None:
        """Keep a batch of points until it was taken and what it taught was saved."""
        compressed = _compressed(content)

        async def keep(connection: Connection) -> str | None:
            number = await connection.fetchval(_PUT, tenant_id, compressed, len(compressed), size_max)
            if number is not None:
                return None
            why_not = await connection.fetchval(_WHY_NOT, tenant_id)
            return why_not or "Too many points wait to be taken: is a predictor running that keeps up?"

        why_not = await self._write(tenant_id, keep)
        if why_not is not None:
            raise DependencyError(WATCHERS, retryable=True, message=f"{WATCHERS.capitalize()}: {why_not}")

    async def waiting(self) -> Mapping[TenantId, bool]:
        """Return the tenants that have a feed, and whether batches wait in it."""
        async with self._database.connection() as connection:
            rows = await connection.fetch("SELECT tenant_id, waits FROM metric_feeds()")
        return {TenantId(row[0]): row[1] for row in rows}

    async def place(self, tenant_id: TenantId, why_not: str | None) -> FeedPlace:
        """Return where the feed stands, and have senders told why nothing is taken."""

        async def read(connection: Connection) -> FeedPlace:
            return FeedPlace(*await connection.fetchrow(_PLACE, tenant_id, why_not))

        return await self._write(tenant_id, read)

    async def batches(self, tenant_id: TenantId, feed_id: UUID, after: int, limit: int) -> Sequence[PointBatch]:
        """Return batches behind a number, in order."""
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            rows = await connection.fetch(_BATCHES, tenant_id, feed_id, after, limit)
        return [PointBatch(row[0], row[1], _whole(row[2])) for row in rows]

    async def took(self, tenant_id: TenantId, feed_id: UUID, before: int, after: int) -> bool:
        """Note that there are the effects of all batches to `after`; False where somebody else took them."""

        async def note(connection: Connection) -> bool:
            return bool(await connection.execute(_TOOK, tenant_id, feed_id, before, after) == "UPDATE 1")

        return await self._write(tenant_id, note)

    async def drop(self, tenant_id: TenantId, feed_id: UUID, number: int) -> None:
        """Forget the batches up to a number."""

        async def forget(connection: Connection) -> None:
            await connection.execute(_DROP, tenant_id, feed_id, number)

        await self._write(tenant_id, forget)

    async def states(self, tenant_id: TenantId) -> Sequence[SeriesState]:
        """Return what was saved of the tenant's series."""
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            rows = await connection.fetch(_STATES, tenant_id)
        return [SeriesState(row[0], row[1], row[2], await asyncio.to_thread(_whole, row[3])) for row in rows]

    async def save(self, tenant_id: TenantId, state: SeriesState) -> None:
        """Keep what is known of a group of series in place of what was, unless that knows more."""
        content = await asyncio.to_thread(_compressed, state.content)

        async def keep(connection: Connection) -> None:
            await connection.execute(_SAVE, tenant_id, state.shard, state.feed_id, state.number, content)

        await self._write(tenant_id, keep, within=SAVE_WITHIN)

    async def forget(self, tenant_id: TenantId, shard: int) -> None:
        """Forget a group of series that is empty."""

        async def gone(connection: Connection) -> None:
            await connection.execute(
                "DELETE FROM series_state WHERE tenant_id = $1 AND shard = $2", tenant_id, shard
            )

        await self._write(tenant_id, gone)

    async def _write(
        self,
        tenant_id: TenantId,
        work: Callable[[Connection], Awaitable[T]],
        *,
        within: timedelta = timedelta(seconds=10),
    ) -> T:
        try:
            return await self._database.write(tenant_id, work, within=within)
        except (LostCommitError, StaleDecisionError) as error:
            # Points that are sent again are known by their times.
            raise DependencyError(DEPENDENCY, retryable=True) from error


def _compressed(content: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(content))


def _whole(compressed: bytes) -> bytes:
    return bytes(cramjam.snappy.decompress_raw(compressed))
