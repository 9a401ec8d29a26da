"""Which open alerts are a source under inhibition rules: looked up by the values of a rule's equal labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from alertgraph.core.ids import AlertId, InhibitionRuleId, TenantId
from alertgraph.core.inhibition import InhibitionKey, InhibitionRule, target_keys
from alertgraph.storage.catalog import Fetch
from alertgraph.storage.database import Connection
from alertgraph.storage.reader import Reader, Rows
from alertgraph.storage.statement import Statement

# How many sources are worth naming for one key.
INHIBITOR_COUNT_MAX = 10

# Each key is looked up by itself. A source that has been closed covers nobody.
_SOURCES = """
SELECT one.rule_id, one.digest, source.id
FROM unnest($2::uuid[], $3::bytea[]) AS one (rule_id, digest) CROSS JOIN LATERAL (
    SELECT o.id FROM inhibitor i JOIN alert_open o ON o.tenant_id = i.tenant_id AND o.id = i.alert_id
    WHERE i.tenant_id = $1 AND i.rule_id = one.rule_id AND i.digest = one.digest
    ORDER BY i.alert_id LIMIT $4) AS source
"""

# Whoever changes or closes one of them waits, and then replaces or removes what is written here.
_LOCK_OPEN = (
    "SELECT id, version FROM alert_open WHERE tenant_id = $1 AND id = ANY ($2) ORDER BY id FOR NO KEY UPDATE"
)
_FORGET = "DELETE FROM inhibitor WHERE tenant_id = $1 AND alert_id = ANY ($2)"
_KEEP = """
INSERT INTO inhibitor (tenant_id, rule_id, digest, alert_id)
SELECT $1, one.* FROM unnest($2::uuid[], $3::bytea[], $4::uuid[]) AS one
ON CONFLICT DO NOTHING
"""


async def load_sources(
    fetch: Fetch, tenant_id: TenantId, keys: Collection[InhibitionKey], limit: int
) -> dict[InhibitionKey, list[AlertId]]:
    """Return the open alerts, at most `limit` for each, that are a source under these keys; no key without any.

    Args:
        fetch: Runs a statement inside a transaction of the tenant.
        tenant_id: Whose alerts.
        keys: As `core.inhibition.target_keys` returns them.
        limit: For each key; the oldest of them are returned.
    """
    if not keys:
        return {}
    rows = await fetch(_SOURCES, tenant_id, [key.rule_id for key in keys], [key.digest for key in keys], limit)
    found: defaultdict[InhibitionKey, list[AlertId]] = defaultdict(list)
    for rule_id, digest, alert_id in rows:
        found[InhibitionKey(InhibitionRuleId(rule_id), digest)].append(AlertId(alert_id))
    return dict(found)


async def load_inhibitors(
    reader: Reader, rules: Sequence[InhibitionRule], targets: Mapping[AlertId, Mapping[str, str]], limit: int
) -> dict[AlertId, list[AlertId]]:
    """Return up to `limit` open alerts that cover each of some open alerts, oldest first; absent: none does.

    Args:
        reader: Whose alerts.
        rules: As they stand today.
        targets: What matchers look at in each, as `core.alert.alert_match_values` returns it.
        limit: For each alert.
    """
    if not rules:
        return {}
    keys = {id_: target_keys(rules, values) for id_, values in targets.items()}
    # One more than is asked for: an alert never covers itself, not even by what an older rule left behind.
    wanted = frozenset[InhibitionKey]().union(*keys.values())

    async def fetch(text: str, *values: object) -> Rows:
        # The table is empty at times: a plan that was made then is none for later.
        return await reader.run(Statement(text, values, is_keyed=False))

    sources = await load_sources(fetch, reader.tenant_id, wanted, limit + 1)
    found = {}
    for id_, under in keys.items():
        covering = {source for key in under for source in sources.get(key, ())} - {id_}
        if covering:
            found[id_] = sorted(covering)[:limit]
    return found


async def write_sources(
    connection: Connection,
    tenant_id: TenantId,
    inhibits: Mapping[AlertId, frozenset[InhibitionKey]],
    versions: Mapping[AlertId, int],
) -> None:
    """Replace what these open alerts are a source of; one that is closed meanwhile is none.

    Args:
        connection: In a transaction of the tenant.
        tenant_id: Whose alerts.
        inhibits: What each of them is a source of.
        versions: Of the alerts as that was decided: one that has changed since is left as whoever changed it
            has left it. Without its version an alert is written whatever it is by now.
    """
    found = {AlertId(row[0]): row[1] for row in await connection.fetch(_LOCK_OPEN, tenant_id, list(inhibits))}
    ids = [id_ for id_ in inhibits if id_ not in found or versions.get(id_, found[id_]) == found[id_]]
    pairs = sorted((key.rule_id, key.digest, id_) for id_ in ids if id_ in found for key in inhibits[id_])
    await connection.execute(_FORGET, tenant_id, ids)
    await connection.execute(
        _KEEP,
        tenant_id,
        [rule_id for rule_id, _, _ in pairs],
        [digest for _, digest, _ in pairs],
        [alert_id for _, _, alert_id in pairs],
    )
