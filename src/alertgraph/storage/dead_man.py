"""Whose dead-man beat is due, and which process sends it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from alertgraph.core.errors import DependencyError, StaleDecisionError
from alertgraph.core.ids import TenantId
from alertgraph.services.ports import LostCommitError
from alertgraph.storage.database import DEPENDENCY, Connection, Database

_DUE = "SELECT id FROM due_dead_men($1, $2) AS id"
# A turn that is taken in time moves on by a period, whenever in it somebody came by; after a pause it begins anew.
_CLAIM = """
INSERT INTO dead_man AS m (tenant_id, due_at) VALUES ($1, $2::timestamptz + $3::interval)
ON CONFLICT (tenant_id) DO UPDATE
SET due_at = CASE WHEN m.due_at > $2::timestamptz - $3::interval THEN m.due_at + $3::interval
             ELSE excluded.due_at END
WHERE m.due_at <= $2::timestamptz
RETURNING true
"""


class PostgresDeadManTurns:
    """Fulfils `services.ports.DeadManTurns`.

    Who has set a beat up is asked of a function that runs as the engine's role, which sees tenants and due times.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, now: datetime, limit: int) -> Sequence[TenantId]:
        """Return tenants that have set up a beat and whose turn has come, those due longest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_DUE, now, limit)
        return [TenantId(row[0]) for row in rows]

    async def claim(self, tenant_id: TenantId, now: datetime, every: timedelta) -> bool:
        """Take a tenant's turn; False where somebody else has taken it. The next one comes a period later."""

        async def take(connection: Connection) -> bool:
            return await connection.fetchval(_CLAIM, tenant_id, now, every) is not None

        try:
            return await self._database.write(tenant_id, take)
        except (LostCommitError, StaleDecisionError) as error:
            # Taken or not: this beat stays out, and the next one is a period away.
            raise DependencyError(DEPENDENCY, retryable=True) from error
