"""The log's rows as they are, for the audit: nothing is taken for granted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alertgraph.core.audit import ChainCheck, EventColumns, Fault
from alertgraph.core.event import StoredEvent, parse_canonical
from alertgraph.core.ids import FlushId, TenantId
from alertgraph.storage.database import Database
from alertgraph.storage.log import PostgresLog

READ_LENGTH = 2000

_ROWS = """
    SELECT number, recorded_at, flush_id, content, leaf, link, kind, actor_kind, alert_id, severity_before,
           severity_after, service_before, service_after, source, subject_type, subject_id
    FROM event WHERE tenant_id = $1 AND number > $2 ORDER BY number, recorded_at LIMIT $3
"""
# In one statement, which sees head and events at one moment.
_BEYOND = """
    SELECT e.number FROM tenant_head h JOIN event e ON e.tenant_id = h.tenant_id AND e.number > h.number
    WHERE h.tenant_id = $1 ORDER BY e.number LIMIT 1
"""


async def verify_log(database: Database, tenant_id: TenantId) -> tuple[int, Fault | None]:
    """Return how many events of a tenant's log were checked, and the first fault; None where there is none.

    What is appended meanwhile is left for the next time: the check ends at the head it began with.

    Raises:
        DependencyError: The store is away.
        LookupError: There is no such tenant.
    """
    head = await PostgresLog(database).head(tenant_id)
    if head is None:
        raise LookupError("There is no such tenant.")
    check = ChainCheck(head)
    after = head.pruned_number
    while after < head.number:
        async with database.transaction(tenant_id, read_only=True) as connection:
            rows = await connection.fetch(_ROWS, tenant_id, after, min(READ_LENGTH, head.number - after))
        if not rows:
            break
        fault = check.take([_row(row) for row in rows])
        if fault is not None:
            return check.checked, fault
        after = rows[-1]["number"]
    fault = check.finish()
    if fault is None:
        async with database.transaction(tenant_id, read_only=True) as connection:
            beyond = await connection.fetchval(_BEYOND, tenant_id)
        if beyond is not None:
            fault = Fault(beyond, "It lies beyond the log's own end.")
    return check.checked, fault


def _row(row: Sequence[Any]) -> tuple[StoredEvent | str, EventColumns]:
    """Return an event and the columns beside it; a text where its content is not that of an event."""
    number, recorded_at, flush_id, content, leaf, link, kind, actor_kind, alert_id, *rest = row
    columns = EventColumns(kind, actor_kind, str(alert_id) if alert_id is not None else None, *rest)
    try:
        event = parse_canonical(content)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return "The content is not that of an event.", columns
    return StoredEvent(number, recorded_at, FlushId(flush_id), event, content, leaf, link), columns
