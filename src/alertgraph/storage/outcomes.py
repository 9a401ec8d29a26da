"""What became of alerts that something was predicted of: kept beside what was said, and read to learn from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from alertgraph.core.errors import DependencyError, StaleDecisionError
from alertgraph.core.ids import EPOCH, AlertId, TenantId
from alertgraph.core.learning import Example, Outcome, SaidExample
from alertgraph.services.ports import LostCommitError
from alertgraph.storage.database import DEPENDENCY, Connection, Database

_SETTLE = """
UPDATE prediction p SET
    needed_person = o.needed_person, breached = o.breached, self_resolved = o.self_resolved,
    acknowledged_after = o.acknowledged_after, resolved_after = o.resolved_after, matured_at = o.matured_at
FROM unnest($2::uuid[], $3::smallint[], $4::smallint[], $5::smallint[], $6::real[], $7::real[], $8::timestamptz[])
    AS o (alert_id, needed_person, breached, self_resolved, acknowledged_after, resolved_after, matured_at)
WHERE p.tenant_id = $1 AND p.alert_id = o.alert_id
"""
_EXAMPLES = """
SELECT alert_id, predicted_at, features, needed_person, breached, self_resolved, acknowledged_after,
    resolved_after, matured_at
FROM prediction WHERE tenant_id = $1 AND matured_at IS NOT NULL AND octet_length(features) > 0
ORDER BY matured_at DESC, alert_id DESC LIMIT $2
"""
# One place after another in the order of the index, never two places at once: what is judged anew meanwhile moves
# behind the end, and is not read twice.
_SAID = """
SELECT alert_id, predicted_at, features, needed_person, breached, self_resolved, acknowledged_after,
    resolved_after, matured_at, model_version, incident_probability, sla_breach_probability,
    self_resolve_probability, abstained
FROM prediction WHERE tenant_id = $1 AND matured_at <= $2 AND matured_at IS NOT NULL AND octet_length(features) > 0
    AND (matured_at, alert_id) > ($3, $4)
ORDER BY matured_at, alert_id LIMIT $5
"""
_KNOWN_SINCE = """
SELECT count(*) FROM (
    SELECT FROM prediction WHERE tenant_id = $1 AND matured_at > $2 AND matured_at IS NOT NULL LIMIT $3) AS known
"""
_LOOKED_AT = """
SELECT found.* FROM unnest($2::uuid[]) AS one (id) CROSS JOIN LATERAL (
    SELECT alert_id, model_version, features, abstained FROM prediction
    WHERE tenant_id = $1 AND alert_id = one.id LIMIT 1) AS found
"""


class PostgresOutcomes:
    """Fulfils `services.ports.Outcomes`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def settle(self, tenant_id: TenantId, outcomes: Sequence[Outcome]) -> None:
        """Keep outcomes; the last one of an alert holds, and what nothing was predicted of is passed over."""
        if not outcomes:
            return
        # In one order, whoever writes: two that write the same rows do not wait for each other crosswise.
        last = sorted({outcome.alert_id: outcome for outcome in outcomes}.values(), key=lambda one: one.alert_id)

        async def work(connection: Connection) -> None:
            await connection.execute(
                _SETTLE,
                tenant_id,
                [one.alert_id for one in last],
                [int(one.needed_person) for one in last],
                [int(one.breached) for one in last],
                [int(one.self_resolved) for one in last],
                [one.acknowledged_after for one in last],
                [one.resolved_after for one in last],
                [one.matured_at for one in last],
            )

        try:
            # Where it is lost, so is the state that was saved later, and it is settled again.
            await self._database.write(tenant_id, work, is_remade=True)
        except (LostCommitError, StaleDecisionError) as error:
            # Done twice, it is the same.
            raise DependencyError(DEPENDENCY, retryable=True) from error

    async def known_since(self, tenant_id: TenantId, since: datetime, limit: int) -> int:
        """Return how many outcomes have become known since, up to a limit."""
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            return int(await connection.fetchval(_KNOWN_SINCE, tenant_id, since, limit))

    async def examples(self, tenant_id: TenantId, limit: int) -> Sequence[Example]:
        """Return the last matured examples, oldest first."""
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            rows = await connection.fetch(_EXAMPLES, tenant_id, limit)
        return [_example(row) for row in reversed(rows)]

    async def said(
        self, tenant_id: TenantId, until: datetime, page_size: int
    ) -> AsyncIterator[Sequence[SaidExample]]:
        """Yield all examples known by a moment with what was said of them, in order, a page at a time.

        Each page is a transaction of its own: however many there are, no snapshot is held for long.
        """
        after: tuple[datetime, UUID] = EPOCH, UUID(int=0)
        while True:
            async with self._database.transaction(tenant_id, read_only=True) as connection:
                rows = await connection.fetch(_SAID, tenant_id, until, *after, page_size)
            if rows:
                yield [SaidExample(_example(row), row[9], (row[10], row[11], row[12]), row[13]) for row in rows]
            if len(rows) < page_size:
                return
            after = rows[-1][8], rows[-1][0]

    async def looked_at(
        self, tenant_id: TenantId, alert_ids: Sequence[AlertId]
    ) -> Mapping[AlertId, tuple[str, bytes, bool]]:
        """Return which version looked at what of these alerts, and whether it abstained."""
        if not alert_ids:
            return {}
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            rows = await connection.fetch(_LOOKED_AT, tenant_id, list(alert_ids))
        return {AlertId(row[0]): (row[1], row[2], row[3]) for row in rows}


def _example(row: Sequence[Any]) -> Example:
    return Example(
        row[1],
        row[2],
        Outcome(AlertId(row[0]), bool(row[3]), bool(row[4]), bool(row[5]), row[6], row[7], row[8]),
    )
