"""Which alerts are due: the engine's queue, which is no table of its own but a column of the open alerts."""

# ruff: noqa: S608 - statements are put together from constant fragments; values are numbered parameters

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from alertgraph.core.alert import Alert, HoldReason
from alertgraph.core.ids import AlertId, TenantId
from alertgraph.core.inhibition import InhibitionKey
from alertgraph.storage.database import Database
from alertgraph.storage.inhibitors import INHIBITOR_COUNT_MAX, load_sources, write_sources
from alertgraph.storage.rows import ALERT_SELECT, alert_of

# A turn may take this long before the server takes the claim for abandoned.
_CLAIM_SECONDS = 60
# How many held alerts one transaction makes due.
JUDGE_COUNT = 1000

_CLAIM = "SELECT tenant_id FROM engine_claim WHERE tenant_id = $1 FOR UPDATE SKIP LOCKED"
# Whom nobody was paged for, or all the others: each is one scan in the order of an index.
_DUE_ALERTS = f"""
SELECT {ALERT_SELECT} FROM alert_open
WHERE tenant_id = $1 AND least(escalation_level, 1) = $3 AND due_at <= $2 ORDER BY due_at, id
"""
# A LIMIT that is a parameter would be planned as a tenth of the table: so it is one of these.
_LIMITS = (10, 100, 1000)
_REARM = """
UPDATE alert_open o SET due_at = a.due_at, judge_at = a.judge_at
FROM unnest($2::uuid[], $3::bigint[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[])
    AS a (id, version, resolve_at, due_at, judge_at)
WHERE o.tenant_id = $1 AND o.id = a.id AND o.version = a.version AND o.resolve_at IS NOT DISTINCT FROM a.resolve_at
"""

# Sets of keys are looked up in tables that are empty at times: a plan that was made then is none for later.
_PLANNED_ANEW = "SET LOCAL plan_cache_mode = force_custom_plan"

_CONFIG_VERSION = "SELECT config_version FROM tenant_head WHERE tenant_id = $1"
# What a change of what is set up may set free. One ordered scan for each reason, merged.
_FREED_BY_CONFIG = (
    HoldReason.SILENCED,
    HoldReason.INHIBITED,
    HoldReason.NO_MATCHING_RULE,
    HoldReason.NOBODY_ON_CALL,
    HoldReason.PREDICTED_NOISE,
)
_HELD_FOR = " UNION ALL ".join(
    "(SELECT id FROM alert_open"
    f" WHERE tenant_id = $1 AND hold_reason = {reason:d}::smallint AND id > $2 ORDER BY id LIMIT {JUDGE_COUNT})"
    for reason in _FREED_BY_CONFIG
)
_HELD = f"SELECT held.id FROM ({_HELD_FOR}) AS held ORDER BY held.id LIMIT {JUDGE_COUNT}"
_REASONS = f"'{{{', '.join(f'{reason:d}' for reason in _FREED_BY_CONFIG)}}}'::smallint[]"
# Rows are locked in the order of their ids, which is everybody's order. When a hold of likely noise ends is kept:
# nothing else knows, and nothing ever makes it longer.
_MAKE_DUE = f"""
UPDATE alert_open o SET
    judge_at = CASE WHEN o.hold_reason = {HoldReason.PREDICTED_NOISE:d} THEN o.judge_at ELSE $3 END,
    due_at = least(o.due_at, $3)
FROM (
    SELECT id FROM alert_open
    WHERE tenant_id = $1 AND id = ANY ($2) AND (judge_at > $3 OR judge_at IS NULL)
        AND hold_reason = ANY ({_REASONS})
    ORDER BY id FOR NO KEY UPDATE) AS held
WHERE o.tenant_id = $1 AND o.id = held.id
"""
_KEEP_JUDGED = """
INSERT INTO engine_position AS kept (tenant_id, judged_version) VALUES ($1, $2)
ON CONFLICT (tenant_id) DO UPDATE SET judged_version = greatest(kept.judged_version, excluded.judged_version)
"""

_OPEN_BEHIND = f"""
SELECT {ALERT_SELECT} FROM alert_open WHERE tenant_id = $1 AND id > $2 ORDER BY id
"""
_ID_MIN = AlertId(UUID(int=0))


class PostgresDueWork:
    """Fulfils `services.ports.DueWork`.

    Who has work is asked of functions that run as the engine's role, which sees tenants and due times and nothing
    else; what the work is, is read as the tenant.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        # The configuration that a walk over held alerts has begun with.
        self._judging: dict[TenantId, int] = {}

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
        """Return a tenant's alerts that are due: those nobody was paged for before all others, then the oldest."""
        async with self._database.transaction(tenant_id, read_only=True, snapshot=True) as connection:
            rows = await connection.fetch(_limited(_DUE_ALERTS, limit), tenant_id, now, 0)
            if len(rows) < limit:
                rows += await connection.fetch(_limited(_DUE_ALERTS, limit), tenant_id, now, 1)
        return [alert_of(row) for row in rows[:limit]]

    async def inhibitors(
        self, tenant_id: TenantId, keys: Collection[InhibitionKey]
    ) -> Mapping[InhibitionKey, Sequence[AlertId]]:
        """Return the open alerts, at most ten for each, that are a source under these keys; no key without any."""
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            await connection.execute(_PLANNED_ANEW)
            return await load_sources(connection.fetch, tenant_id, keys, INHIBITOR_COUNT_MAX)

    async def unjudged_tenants(self, limit: int) -> Sequence[TenantId]:
        """Return tenants where a change may have set alerts free since the held ones were looked at."""
        async with self._database.connection() as connection:
            rows = await connection.fetch("SELECT id FROM unjudged_tenants($1) AS id", limit)
        return [TenantId(row[0]) for row in rows]

    async def judge_anew(self, tenant_id: TenantId, now: datetime, after: AlertId | None) -> AlertId | None:
        """Make the next thousand held alerts due now that another configuration may set free.

        A walk is begun and ended by one process, or else begun again: only then is it known what was looked at.

        Returns:
            The id of the last one looked at, to go on behind; None once all were, and then this is kept.
        """
        async with self._database.transaction(tenant_id) as connection:
            await connection.execute(_PLANNED_ANEW)
            if after is None:
                # Read before the first alert: what is held from here on is held under this version or a later one.
                self._judging[tenant_id] = await connection.fetchval(_CONFIG_VERSION, tenant_id) or 0
            ids = [row[0] for row in await connection.fetch(_HELD, tenant_id, after or _ID_MIN)]
            await connection.execute(_MAKE_DUE, tenant_id, ids, now)
            if len(ids) == JUDGE_COUNT:
                return AlertId(ids[-1])
            version = self._judging.pop(tenant_id, 0)
            if version > 0:
                await connection.execute(_KEEP_JUDGED, tenant_id, version)
        return None

    async def sources(self, tenant_id: TenantId, after: AlertId | None, limit: int) -> Sequence[Alert]:
        """Return open alerts behind an id, in its order: to find what inhibits under changed rules."""
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            rows = await connection.fetch(_limited(_OPEN_BEHIND, limit), tenant_id, after or _ID_MIN)
        return [alert_of(row) for row in rows[:limit]]

    async def keep_sources(
        self,
        tenant_id: TenantId,
        inhibits: Mapping[AlertId, frozenset[InhibitionKey]],
        versions: Mapping[AlertId, int] | None = None,
    ) -> None:
        """Replace what these open alerts are a source of; one that is closed meanwhile is none.

        Args:
            tenant_id: Whose alerts.
            inhibits: What each of them is a source of.
            versions: Of the alerts as that was decided; one that has changed since is left alone.
        """
        async with self._database.transaction(tenant_id) as connection:
            await connection.execute(_PLANNED_ANEW)
            await write_sources(connection, tenant_id, inhibits, versions or {})

    async def open_alert_count(self) -> int:
        """Return how many alerts are open, of all tenants together."""
        async with self._database.connection() as connection:
            return int(await connection.fetchval("SELECT open_alert_count()"))

    async def rearm(self, tenant_id: TenantId, alerts: Sequence[Alert], due_at: datetime | None = None) -> None:
        """Set when alerts are looked at next, theirs or the one given, where they are unchanged."""
        in_order = sorted(alerts, key=lambda alert: alert.id)
        async with self._database.transaction(tenant_id) as connection:
            await connection.execute(
                _REARM,
                tenant_id,
                [alert.id for alert in in_order],
                [alert.version for alert in in_order],
                [alert.resolve_at for alert in in_order],
                [due_at or alert.due_at for alert in in_order],
                [alert.judge_at for alert in in_order],
            )


def _limited(statement: str, limit: int) -> str:
    """Return a statement that reads `limit` rows or some more."""
    assert 0 < limit <= _LIMITS[-1], "a turn is a thousand alerts at most"
    return f"{statement} LIMIT {next(size for size in _LIMITS if size >= limit)}"
