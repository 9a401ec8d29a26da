"""Alerts by id and by dedup key."""

# ruff: noqa: S608 - statements are put together from constant fragments; values are numbered parameters

from __future__ import annotations

from collections.abc import Collection

from alertgraph.core.alert import Alert
from alertgraph.core.ids import AlertId
from alertgraph.storage.reader import Reader
from alertgraph.storage.rows import ALERT_SELECT, alert_of
from alertgraph.storage.statement import is_storable

_ALERTS_BY_ID = f"""
    SELECT found.* FROM unnest($2::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
        SELECT {ALERT_SELECT} FROM alert_open WHERE tenant_id = $1 AND id = wanted.id
        UNION ALL
        SELECT {ALERT_SELECT} FROM alert_closed WHERE tenant_id = $1 AND id = wanted.id
        UNION ALL
        SELECT {ALERT_SELECT} FROM alert_closed_late WHERE tenant_id = $1 AND id = wanted.id
        LIMIT 1
    ) AS found
"""


async def load_alerts(reader: Reader, ids: Collection[AlertId]) -> dict[AlertId, Alert]:
    """Return the alerts that exist among the ids, open and closed."""
    if not ids:
        return {}
    rows = await reader.fetch(_ALERTS_BY_ID, reader.tenant_id, list(ids))
    return {alert.id: alert for alert in map(alert_of, rows)}


_OPEN_BY_KEY = f"SELECT {ALERT_SELECT} FROM alert_open WHERE tenant_id = $1 AND dedup_key = ANY ($2::text[])"


async def load_open_alerts_by_key(reader: Reader, keys: Collection[str]) -> dict[str, Alert]:
    """Return the open alerts with these dedup keys."""
    storable = [key for key in keys if is_storable(key)]
    if not storable:
        return {}
    rows = await reader.fetch(_OPEN_BY_KEY, reader.tenant_id, storable)
    return {alert.dedup_key: alert for alert in map(alert_of, rows)}
