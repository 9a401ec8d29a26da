"""Links between alerts: written by who finds them, read from either end."""

# ruff: noqa: S608 - statements are put together from constant fragments; values are numbered parameters

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import orjson

from alertgraph.core.alert_link import AlertLink, Related
from alertgraph.core.correlation import Evidence, EvidenceKind
from alertgraph.core.ids import AlertId, TenantId
from alertgraph.storage.database import Database
from alertgraph.storage.reader import Reader

# What is found again, after a crash, is found the same.
_WRITE = """
INSERT INTO alert_link (tenant_id, alert_id, earlier_id, score, evidence)
SELECT $1, one.alert_id, one.earlier_id, one.score, one.evidence::jsonb
FROM unnest($2::uuid[], $3::uuid[], $4::real[], $5::text[]) AS one (alert_id, earlier_id, score, evidence)
ON CONFLICT DO NOTHING
"""

# Who takes events again has looked at later ones before.
_MOVE = """
INSERT INTO link_position AS kept (tenant_id, until) VALUES ($1, $2)
ON CONFLICT (tenant_id) DO UPDATE SET until = greatest(kept.until, excluded.until)
"""
_UNTIL = "SELECT until FROM link_position WHERE tenant_id = $1"

# An alert has few links to earlier ones, but thousands may have come after it.
_OF_ONE = """
    (SELECT {1} AS other_id, score, evidence FROM alert_link
     WHERE tenant_id = $1 AND {0} = one.alert_id ORDER BY score DESC, {1} LIMIT $3)
"""
_RELATED = f"""
    SELECT one.alert_id, found.* FROM unnest($2::uuid[]) AS one (alert_id) CROSS JOIN LATERAL (
        {_OF_ONE.format("alert_id", "earlier_id")} UNION ALL {_OF_ONE.format("earlier_id", "alert_id")}
        ORDER BY score DESC, other_id LIMIT $3
    ) AS found ORDER BY one.alert_id, found.score DESC, found.other_id
"""


class PostgresAlertLinks:
    """Keeps links. Fulfils `services.ports.AlertLinks`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, tenant_id: TenantId, links: Sequence[AlertLink], until: datetime) -> None:
        """Keep links, those that are kept already as they are, and that alerts were looked at up to `until`."""
        # Saved states come later: where links get lost, so do those, and the same events are taken again.
        async with self._database.transaction(tenant_id, is_remade=True) as connection:
            if links:
                await connection.execute(
                    _WRITE,
                    tenant_id,
                    [link.alert for link in links],
                    [link.earlier for link in links],
                    [link.score for link in links],
                    # As texts: of lists, the driver would make an array of more dimensions.
                    [_told(link.evidence) for link in links],
                )
            await connection.execute(_MOVE, tenant_id, until)


async def load_related(
    reader: Reader, alert_ids: Collection[AlertId], limit: int
) -> dict[AlertId, Sequence[Related]]:
    """Return up to `limit` links of each alert, from either end, best first; one without links is absent."""
    found: dict[AlertId, list[Related]] = {}
    for alert_id, other_id, score, evidence in await reader.fetch(
        _RELATED, reader.tenant_id, list(alert_ids), limit
    ):
        related = Related(AlertId(other_id), score, tuple(map(_evidence_of, evidence)))
        found.setdefault(AlertId(alert_id), []).append(related)
    return {alert_id: tuple(related) for alert_id, related in found.items()}


async def load_until(reader: Reader) -> datetime | None:
    """Return up to when alerts have been looked at for links; None where nobody has looked at any."""
    rows = await reader.fetch(_UNTIL, reader.tenant_id)
    return rows[0]["until"] if rows else None


def _told(evidence: Sequence[Evidence]) -> str:
    return orjson.dumps([[each.kind, each.weight, each.text] for each in evidence]).decode()


def _evidence_of(told: Sequence[Any]) -> Evidence:
    kind, weight, text = told
    return Evidence(EvidenceKind(kind), float(weight), text)
