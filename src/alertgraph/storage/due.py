"""Which alerts are due: the engine's queue, which is no table of its own but a column of the open alerts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from alertgraph.core.alert import Alert
from alertgraph.core.ids import TenantId
from alertgraph.storage.database import Database
from alertgraph.storage.rows import ALERT_SELECT, alert_of

# A turn may take this long before the server takes the claim for abandoned.
_CLAIM_SECONDS = 60

_CLAIM = "SELECT tenant_id FROM engine_claim WHERE tenant_id = $1 FOR UPDATE SKIP LOCKED"
_DUE_ALERTS = f"""
SELECT {ALERT_SELECT} FROM alert_open
WHERE tenant_id = $1 AND due_at <= $2 ORDER BY due_at, id LIMIT $3
"""  # noqa: S608  (columns are constants)
_REARM = """
UPDATE alert_open o SET due_at = a.due_at
FROM unnest($2::uuid[], $3::bigint[], $4::timestamptz[], $5::timestamptz[]) AS a (id, version, resolve_at, due_at)
WHERE o.tenant_id = $1 AND o.id = a.id AND o.version = a.version AND o.resolve_at IS NOT DISTINCT FROM a.resolve_at
"""


class PostgresDueWork:
    """Fulfils `services.ports.DueWork`.

    Who has work is asked of functions that run as the engine's role, which sees tenants and due times and nothing
    else; what the work is, is read as the tenant.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due_tenants(self, now: datetime, limit: int) -> Sequence[TenantId]:
        """Return tenants with something due, those due longest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch("SELECT tenant_id FROM due_tenants($1, $2)", now, limit)
        return [TenantId(row[0]) for row in rows]

    async def next_due_at(self) -> datetime | None:
        """Return the earliest due time of all tenants; None where nothing is due by itself."""
        async with self._database.connection() as connection:
            due_at: datetime | None = await connection.fetchval("SELECT next_due_at()")
        return due_at

    @asynccontextmanager
    async def claim(self, tenant_id: TenantId) -> AsyncIterator[bool]:
        """Hold a tenant's work for the length of the context; False where another process has it.

        The claim is a row's lock, so it ends with the process that holds it, however that ends.
        """
        async with self._database.transaction(tenant_id, keeps=False) as connection:
            await connection.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{_CLAIM_SECONDS}s'")
            yield await connection.fetchval(_CLAIM, tenant_id) is not None

    async def due_alerts(self, tenant_id: TenantId, now: datetime, limit: int) -> Sequence[Alert]:
        """Return a tenant's alerts that are due, oldest due time first."""
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            rows = await connection.fetch(_DUE_ALERTS, tenant_id, now, limit)
        return [alert_of(row) for row in rows]

    async def open_alert_count(self) -> int:
        """Return how many alerts are open, of all tenants together."""
        async with self._database.connection() as connection:
            return int(await connection.fetchval("SELECT open_alert_count()"))

    async def rearm(self, tenant_id: TenantId, alerts: Sequence[Alert]) -> None:
        """Set the due time of alerts that were found not due yet, where they are unchanged."""
        in_order = sorted(alerts, key=lambda alert: alert.id)
        async with self._database.transaction(tenant_id) as connection:
            await connection.execute(
                _REARM,
                tenant_id,
                [alert.id for alert in in_order],
                [alert.version for alert in in_order],
                [alert.resolve_at for alert in in_order],
                [alert.due_at for alert in in_order],
            )
