"""What holding likely noise goes by, and what it has cost: kept by who learns, read by the engine."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from alertgraph.core.alert import Alert
from alertgraph.core.errors import DependencyError, StaleDecisionError
from alertgraph.core.ids import AlertId, IncidentId, TenantId
from alertgraph.core.noise import (
    REGRET_PERIOD,
    History,
    HoldRecord,
    NoiseEvidence,
    NoiseFigures,
    NoisePolicy,
    key_of,
    kind_of,
)
from alertgraph.services.ports import LostCommitError
from alertgraph.storage.catalog import Fetch
from alertgraph.storage.database import DEPENDENCY, Connection, Database

# What nobody asks for any more.
_FORGOTTEN_AFTER = 3 * REGRET_PERIOD
_FORGET_COUNT = 1000

_POLICY = """
SELECT spare_key, model_threshold, history_threshold, predicts, fresh_until FROM noise_policy WHERE tenant_id = $1
"""
_HISTORIES = """
SELECT key, noise_probability, ended_count, quiet_count, quiet_median, quiet_longest
FROM noise_history WHERE tenant_id = $1 AND key = ANY ($2::bytea[])
"""
# Of an incident with thousands of alerts one is enough.
_IN_HAND = """
SELECT one.id FROM unnest($2::uuid[]) AS one (id) CROSS JOIN LATERAL (
    SELECT FROM alert_open
    WHERE tenant_id = $1 AND incident_id = one.id AND (escalation_level > 0 OR status = 2) LIMIT 1) AS told
"""
_FIGURES = """
SELECT count(*), count(regret), COALESCE(sum(regret), interval '0')
FROM noise_hold WHERE tenant_id = $1 AND held_at > $2
"""

_KEEP_POLICY = """
INSERT INTO noise_policy (tenant_id, spare_key, model_threshold, history_threshold, predicts, fresh_until)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tenant_id) DO UPDATE SET
    model_threshold = excluded.model_threshold, history_threshold = excluded.history_threshold,
    predicts = excluded.predicts, fresh_until = excluded.fresh_until
"""
_KEEP_HISTORIES = """
INSERT INTO noise_history (
    tenant_id, key, noise_probability, ended_count, quiet_count, quiet_median, quiet_longest)
SELECT $1, * FROM unnest(
    $2::bytea[], $3::float8[], $4::float8[], $5::float8[], $6::interval[], $7::interval[])
ON CONFLICT (tenant_id, key) DO UPDATE SET
    noise_probability = excluded.noise_probability, ended_count = excluded.ended_count,
    quiet_count = excluded.quiet_count, quiet_median = excluded.quiet_median,
    quiet_longest = excluded.quiet_longest
"""
_FORGET_HISTORIES = "DELETE FROM noise_history WHERE tenant_id = $1 AND key = ANY ($2::bytea[])"
_FORGET_ALL_HISTORIES = "DELETE FROM noise_history WHERE tenant_id = $1"
_KEEP_HOLDS = """
INSERT INTO noise_hold (tenant_id, alert_id, held_at, until, probability, basis, ended_at, regret)
SELECT $1, * FROM unnest(
    $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::float8[], $6::smallint[], $7::timestamptz[],
    $8::interval[])
ON CONFLICT (tenant_id, alert_id) DO UPDATE SET
    until = excluded.until, ended_at = excluded.ended_at, regret = excluded.regret
"""
_FORGET_HOLDS = """
DELETE FROM noise_hold h USING (
    SELECT alert_id FROM noise_hold WHERE tenant_id = $1 AND held_at < $2 ORDER BY held_at LIMIT $3) AS old
WHERE h.tenant_id = $1 AND h.alert_id = old.alert_id
"""


async def load_noise_policy(fetch: Fetch, tenant_id: TenantId) -> NoisePolicy | None:
    """Return what a tenant's own alerts have taught; None where nobody has learnt."""
    rows = await fetch(_POLICY, tenant_id)
    return NoisePolicy(*rows[0]) if rows else None


async def load_noise_evidence(
    fetch: Fetch, tenant_id: TenantId, alerts: Sequence[Alert]
) -> Mapping[AlertId, NoiseEvidence]:
    """Return what is known of alerts besides themselves; nothing where nobody has learnt."""
    policy = await load_noise_policy(fetch, tenant_id)
    if policy is None:
        return {}
    keys = {alert.id: (key_of(alert.dedup_key), kind_of(alert.source, alert.title)) for alert in alerts}
    asked = sorted({key for pair in keys.values() for key in pair})
    histories = {row[0]: History(*row[1:]) for row in await fetch(_HISTORIES, tenant_id, asked)}
    in_hand = await _in_hand(fetch, tenant_id, {one.incident_id for one in alerts if one.incident_id is not None})
    return {
        alert.id: NoiseEvidence(
            policy,
            # An alert's own past, where it has one, was drawn towards that of its kind already.
            next((histories[key] for key in keys[alert.id] if key in histories), None),
            in_hand=alert.incident_id in in_hand,
        )
        for alert in alerts
    }


async def _in_hand(
    fetch: Fetch, tenant_id: TenantId, incident_ids: Collection[IncidentId]
) -> frozenset[IncidentId | None]:
    """Return those incidents that somebody has been told of, or has taken."""
    if not incident_ids:
        return frozenset()
    return frozenset(IncidentId(row[0]) for row in await fetch(_IN_HAND, tenant_id, sorted(incident_ids)))


async def load_noise_figures(fetch: Fetch, tenant_id: TenantId, since: datetime) -> NoiseFigures:
    """Return what holding has come to of the pages held since then."""
    [(held_count, regret_count, regret)] = await fetch(_FIGURES, tenant_id, since)
    return NoiseFigures(held_count, regret_count, regret)


class PostgresNoiseBook:
    """Fulfils `services.ports.NoiseBook`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def policy(self, tenant_id: TenantId) -> NoisePolicy | None:
        """Return what is kept of a tenant; None where nothing is."""
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            return await load_noise_policy(connection.fetch, tenant_id)

    async def evidence(self, tenant_id: TenantId, alerts: Sequence[Alert]) -> Mapping[AlertId, NoiseEvidence]:
        """Return what is known of alerts besides themselves; nothing where nobody has learnt."""
        async with self._database.transaction(tenant_id, read_only=True, snapshot=True) as connection:
            return await load_noise_evidence(connection.fetch, tenant_id, alerts)

    async def figures(self, tenant_id: TenantId, since: datetime) -> NoiseFigures:
        """Return what holding has come to of the pages held since then."""
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            return await load_noise_figures(connection.fetch, tenant_id, since)

    async def keep(
        self,
        tenant_id: TenantId,
        policy: NoisePolicy,
        histories: Mapping[bytes, History | None],
        holds: Sequence[HoldRecord],
        now: datetime,
        *,
        anew: bool,
    ) -> None:
        """Write what has changed, all or nothing; histories of None are forgotten, with `anew` all others, too."""
        kept = [(key, one) for key, one in sorted(histories.items(), key=_key_of) if one is not None]
        gone = sorted(key for key, one in histories.items() if one is None)
        in_order = sorted(holds, key=lambda hold: hold.alert_id)

        async def write(connection: Connection) -> None:
            await connection.execute(
                _KEEP_POLICY,
                tenant_id,
                policy.spare_key,
                policy.model_threshold,
                policy.history_threshold,
                policy.predicts,
                policy.fresh_until,
            )
            if anew:
                await connection.execute(_FORGET_ALL_HISTORIES, tenant_id)
            if kept:
                await connection.execute(
                    _KEEP_HISTORIES,
                    tenant_id,
                    [key for key, _ in kept],
                    [one.noise_probability for _, one in kept],
                    [one.ended_count for _, one in kept],
                    [one.quiet_count for _, one in kept],
                    [one.quiet_median for _, one in kept],
                    [one.quiet_longest for _, one in kept],
                )
            if gone:
                await connection.execute(_FORGET_HISTORIES, tenant_id, gone)
            if in_order:
                await connection.execute(
                    _KEEP_HOLDS,
                    tenant_id,
                    [one.alert_id for one in in_order],
                    [one.held_at for one in in_order],
                    [one.until for one in in_order],
                    [one.probability for one in in_order],
                    [one.basis for one in in_order],
                    [one.ended_at for one in in_order],
                    [one.regret for one in in_order],
                )
                await connection.execute(_FORGET_HOLDS, tenant_id, now - _FORGOTTEN_AFTER, _FORGET_COUNT)

        try:
            await self._database.write(tenant_id, write)
        except (LostCommitError, StaleDecisionError) as error:
            # What is written is what is so, whenever it is written: it may be written twice.
            raise DependencyError(DEPENDENCY, retryable=True) from error


def _key_of(item: tuple[bytes, History | None]) -> bytes:
    return item[0]
