"""Index what closed alerts are filtered by, so that a filter that few of millions satisfy finds them at once.

Every index is built beside the work that goes on: partition by partition, concurrently, and then made known to the
table. What was begun and not finished is begun again. Nothing is added to open alerts or to the log, which are
written most: of open alerts there are few enough to look at all of them.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "2026_11_23_140000"
down_revision = "2026_11_23_130000"
branch_labels = None
depends_on = None

_LATE = "alert_closed_late"
# Name, columns and which rows. A row that has nothing in a column costs its index nothing.
_INDEXES = (
    ("source", "(tenant_id, source, triggered_at, id)", ""),
    ("rule", "(tenant_id, rule_id, triggered_at, id)", "WHERE rule_id IS NOT NULL"),
    ("level", "(tenant_id, escalation_level, triggered_at, id)", "WHERE escalation_level >= 1"),
    ("verdict", "(tenant_id, verdict, triggered_at, id)", "WHERE verdict IS NOT NULL"),
    (
        "missed",
        "(tenant_id, triggered_at, id)",
        "WHERE LEAST(first_acknowledged_at, resolved_at) > acknowledge_by OR resolved_at > resolve_by",
    ),
    ("taker", "(tenant_id, (acknowledged_by ->> 'reference'))", "WHERE acknowledged_by IS NOT NULL"),
    # In place of the index on the key alone: a key's history comes in order, however long it is.
    ("history", "(tenant_id, dedup_key, triggered_at, id)", ""),
)
_KEY = "CREATE INDEX {0}_key ON {0} (tenant_id, dedup_key)"

_PARTITIONS = """
    SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'alert_closed'::regclass AND NOT i.inhdetachpending ORDER BY 1
"""
_UNFINISHED = """
    SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE NOT i.indisvalid AND c.relkind = 'i' AND c.relnamespace = 'alertgraph'::regnamespace
        AND c.relname ~ '^alert_closed_'
"""
_ATTACHED = "SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass('alertgraph.{0}'))"

# `->>` is not leakproof, so row-level security would keep a query from the index.
TAKEN_ALERTS = """
CREATE FUNCTION taken_alerts(p_references text[], p_limit integer) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = alertgraph, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    v_tenant uuid := NULLIF(current_setting('app.tenant_id', true), '')::uuid;
BEGIN
    IF v_tenant IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE
        'SELECT id FROM ('
        ' (SELECT id FROM alert_closed WHERE tenant_id = $1 AND acknowledged_by ->> ''reference'' = ANY ($2)'
        '  AND acknowledged_by IS NOT NULL LIMIT $3)'
        ' UNION ALL'
        ' (SELECT id FROM alert_closed_late WHERE tenant_id = $1 AND acknowledged_by ->> ''reference'' = ANY ($2)'
        '  AND acknowledged_by IS NOT NULL LIMIT $3)) AS taken LIMIT $3'
        USING v_tenant, p_references, p_limit;
END $$
"""


def upgrade() -> None:
    """Closed alerts have indexes by what they are filtered by, and one by key that is in order."""
    context = op.get_context()
    with context.autocommit_block():
        for (name,) in op.get_bind().execute(text(_UNFINISHED)).fetchall():
            op.execute(f'DROP INDEX CONCURRENTLY "{name}"')
        partitions = [row[0] for row in op.get_bind().execute(text(_PARTITIONS)).fetchall()]
        for name, columns, which in _INDEXES:
            op.execute(f"CREATE INDEX IF NOT EXISTS alert_closed_{name} ON ONLY alert_closed {columns} {which}")
            for partition in partitions:
                own = f"{partition}_{name}"
                op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {own} ON {partition} {columns} {which}")
                if not op.get_bind().execute(text(_ATTACHED.format(own))).scalar():
                    op.execute(f"ALTER INDEX alert_closed_{name} ATTACH PARTITION {own}")
            op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {_LATE}_{name} ON {_LATE} {columns} {which}")
    for statement in (
        "DROP INDEX alert_closed_key, alert_closed_late_key",
        "GRANT SELECT (tenant_id, id, acknowledged_by) ON alert_closed, alert_closed_late TO ag_search",
        "CREATE POLICY of_search ON alert_closed FOR SELECT TO ag_search USING (true)",
        "CREATE POLICY of_search ON alert_closed_late FOR SELECT TO ag_search USING (true)",
        TAKEN_ALERTS,
        "REVOKE ALL ON FUNCTION taken_alerts FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION taken_alerts TO ag_api",
        "GRANT CREATE ON SCHEMA alertgraph TO ag_search",
        "ALTER FUNCTION taken_alerts OWNER TO ag_search",
        "REVOKE CREATE ON SCHEMA alertgraph FROM ag_search",
    ):
        op.execute(statement)


def downgrade() -> None:
    """Lists of closed alerts by these fields are read row by row again."""
    op.execute("DROP FUNCTION taken_alerts")
    for table in ("alert_closed", _LATE):
        op.execute(f"DROP POLICY of_search ON {table}")
        op.execute(f"REVOKE ALL (tenant_id, id, acknowledged_by) ON {table} FROM ag_search")
        op.execute(_KEY.format(table))
        op.execute("DROP INDEX " + ", ".join(f"{table}_{name}" for name, _, _ in _INDEXES))
