"""Let the indexes of closed alerts tell how a list is sorted, so that thousands of finds are sorted from them.

A list of what few of millions satisfy, in another order than that of its index, had to look at each find, or at
millions of others. Now an index entry has all that lists are sorted by: tens of thousands are sorted from the
index alone, and a page of alerts is read. Closed alerts are written once, so this costs a few bytes for each.

Of open alerts, the two indexes that lists are read by also know what is asked for most. All of a tenant's are
still gone through, but in the index, and only those that are asked for are looked at. What a repeat changes is in
none of them.

Every index is built beside the work that goes on, as the earlier ones were; what was begun and not finished is
begun again.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "2026_11_23_198000"
down_revision = "2026_11_23_197000"
branch_labels = None
depends_on = None

_LATE = "alert_closed_late"
_SORTS = "INCLUDE (last_seen_at, severity)"
_MISSED = "LEAST(first_acknowledged_at, resolved_at) > acknowledge_by OR resolved_at > resolve_by"
# Name, columns, what comes along, and which rows: each in place of an index of the same columns without the rest.
_INDEXES = (
    ("triggered", "(tenant_id, triggered_at, id)", _SORTS, ""),
    ("service", "(tenant_id, monitored_service, triggered_at, id)", _SORTS, ""),
    ("source", "(tenant_id, source, triggered_at, id)", _SORTS, ""),
    ("rule", "(tenant_id, rule_id, triggered_at, id)", _SORTS, "WHERE rule_id IS NOT NULL"),
    ("level", "(tenant_id, escalation_level, triggered_at, id)", _SORTS, "WHERE escalation_level >= 1"),
    ("verdict", "(tenant_id, verdict, triggered_at, id)", _SORTS, "WHERE verdict IS NOT NULL"),
    ("missed", "(tenant_id, triggered_at, id)", _SORTS, f"WHERE {_MISSED}"),
    ("assignee", "(tenant_id, assignee, triggered_at, id)", _SORTS, "WHERE assignee IS NOT NULL"),
    ("incident", "(tenant_id, incident_id, triggered_at, id)", _SORTS, "WHERE incident_id IS NOT NULL"),
    ("resolved", "(tenant_id, resolved_at, id)", "INCLUDE (triggered_at, last_seen_at, severity)", ""),
)
# A list of what missed its times, by severity: hardly any of the lowest does.
_ADDED = ("by_missed_severity", f"(tenant_id, severity, id) WHERE {_MISSED}")
_KNOWN = "status, severity, source, monitored_service, rule_id, escalation_level, verdict, assignee"
_OPEN = (
    ("triggered", "(tenant_id, triggered_at, id)", f"(tenant_id, triggered_at, id, {_KNOWN})"),
    ("severity", "(tenant_id, severity, id)", f"(tenant_id, severity, id, {_KNOWN.replace('severity, ', '')})"),
)
_BEFORE = {"resolved": "(tenant_id, resolved_at)"}
# Those that the server named itself, on each partition.
_OWN_NAMES = {
    "triggered": "tenant_id_triggered_at_id_idx",
    "service": "tenant_id_monitored_service_triggered_idx",
    "assignee": "tenant_id_assignee_triggered_at_id_idx",
    "resolved": "tenant_id_resolved_at_idx",
}

_PARTITIONS = """
    SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'alert_closed'::regclass AND NOT i.inhdetachpending ORDER BY 1
"""
_UNFINISHED = """
    SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE NOT i.indisvalid AND c.relkind = 'i' AND c.relnamespace = 'alertgraph'::regnamespace
        AND c.relname ~ '^alert_(closed|open)_'
"""
# Also where a month was made while we were at it: its indexes have names of the server's.
_ATTACHED = """
    SELECT p.relname::text FROM pg_inherits h JOIN pg_index i ON i.indexrelid = h.inhrelid
    JOIN pg_class p ON p.oid = i.indrelid WHERE h.inhparent = to_regclass('alertgraph.alert_closed_{0}')
"""


def _build(name: str, new: str) -> None:
    """Build an index on all closed alerts."""
    bind = op.get_bind()
    own_name = _OWN_NAMES.get(name, name)
    attached = {row[0] for row in bind.execute(text(_ATTACHED.format(name))).fetchall()}
    partitions = [row[0] for row in bind.execute(text(_PARTITIONS)).fetchall() if row[0] not in attached]
    for partition in partitions:
        op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {partition}_{own_name} ON {partition} {new}")
    op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {_LATE}_{name} ON {_LATE} {new}")
    op.execute(f"CREATE INDEX IF NOT EXISTS alert_closed_{name} ON ONLY alert_closed {new}")
    for partition in partitions:
        op.execute(f"ALTER INDEX alert_closed_{name} ATTACH PARTITION {partition}_{own_name}")


def _drop(name: str) -> None:
    for table in ("alert_closed", _LATE):
        op.execute(f"DROP INDEX IF EXISTS {table}_{name}")


def _replace(name: str, columns: str, old: str) -> None:
    """Build an index on open alerts in place of another."""
    op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS alert_open_{name} ON alert_open {columns}")
    op.execute(f"DROP INDEX IF EXISTS alert_open_{old}")


def _clear() -> None:
    for (name,) in op.get_bind().execute(text(_UNFINISHED)).fetchall():
        op.execute(f'DROP INDEX CONCURRENTLY "{name}"')


def upgrade() -> None:
    """Finds among closed alerts are sorted from their index."""
    with op.get_context().autocommit_block():
        _clear()
        for name, columns, more, which in _INDEXES:
            _build(f"by_{name}", f"{columns} {more} {which}")
            _drop(name)
        _build(*_ADDED)
        for name, _, columns in _OPEN:
            _replace(f"by_{name}", columns, name)


def downgrade() -> None:
    """Indexes of closed alerts have only what they find by."""
    with op.get_context().autocommit_block():
        _clear()
        _drop(_ADDED[0])
        for name, columns, _ in _OPEN:
            _replace(name, columns, f"by_{name}")
        for name, columns, _, which in _INDEXES:
            _build(name, f"{_BEFORE.get(name, columns)} {which}")
            _drop(f"by_{name}")
