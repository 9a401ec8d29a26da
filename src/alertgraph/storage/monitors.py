"""When monitors beat last: rows that are changed with each beat, and no events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

from alertgraph.core.errors import DependencyError, StaleDecisionError
from alertgraph.core.ids import MonitorId, TenantId
from alertgraph.services.ports import LostCommitError
from alertgraph.storage.database import DEPENDENCY, Connection, Database

T = TypeVar("T")

_RAISED = """
SELECT raised AND last_beat_at < $3 FROM heartbeat WHERE tenant_id = $1 AND monitor_id = $2 FOR UPDATE
"""
# Beats may overtake each other on their way: only a later one is news.
_BEAT = """
INSERT INTO heartbeat AS h (tenant_id, monitor_id, last_beat_at, due_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id, monitor_id) DO UPDATE
SET last_beat_at = excluded.last_beat_at, due_at = excluded.due_at, raised = false
WHERE h.last_beat_at < excluded.last_beat_at
"""
_DUE = "SELECT tenant_id, monitor_id, due_at FROM due_heartbeats($1, $2)"
_MARK_RAISED = """
UPDATE heartbeat SET raised = true WHERE tenant_id = $1 AND monitor_id = $2 AND due_at = $3 AND NOT raised
"""


class PostgresMonitors:
    """Fulfils `services.ports.Monitors`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def beat(self, tenant_id: TenantId, monitor_id: MonitorId, at: datetime, due_at: datetime) -> bool:
        """Keep a beat; return whether the monitor's alert was raised and is to be ended.

        A beat that is no later than one already kept changes nothing.
        """

        async def keep(connection: Connection) -> bool:
            was_raised = await connection.fetchval(_RAISED, tenant_id, monitor_id, at)
            await connection.execute(_BEAT, tenant_id, monitor_id, at, due_at)
            return bool(was_raised)

        return await self._write(tenant_id, keep)

    async def due(self, now: datetime, limit: int) -> Sequence[tuple[TenantId, MonitorId, datetime]]:
        """Return monitors of all tenants whose beat stayed out, and since when, for the longest time first.

        Those whose alert was raised already are not among them.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(_DUE, now, limit)
        return [(TenantId(row[0]), MonitorId(row[1]), row[2]) for row in rows]

    async def raised(self, tenant_id: TenantId, monitor_id: MonitorId, due_at: datetime) -> None:
        """Keep that the alert was raised of the beat that was due then; another beat meanwhile wins."""

        async def mark(connection: Connection) -> None:
            await connection.execute(_MARK_RAISED, tenant_id, monitor_id, due_at)

        await self._write(tenant_id, mark)

    async def _write(self, tenant_id: TenantId, work: Callable[[Connection], Awaitable[T]]) -> T:
        try:
            return await self._database.write(tenant_id, work)
        except (LostCommitError, StaleDecisionError) as error:
            # A beat may be kept twice; whoever asked does not know, and asks again.
            raise DependencyError(DEPENDENCY, retryable=True) from error
