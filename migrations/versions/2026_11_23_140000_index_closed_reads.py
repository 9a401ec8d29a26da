"""Index what closed alerts are filtered by, so that a filter that few of millions satisfy finds them at once.

Every index is built beside the work that goes on: partition by partition, concurrently, and then made known to the
table. What was begun and not finished is begun again. Nothing is added to open alerts or to the log, which are
written most: of open alerts there are few enough to look at all of them.

And fold the histograms of days that are over into days of all groups and into months, so that percentiles of a
year are read from thousands of rows rather than millions. Folding is housekeeping's; no write pays for it.
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

# How far a tenant's days are folded.
METRIC_FOLD = """
CREATE TABLE metric_fold (
    tenant_id uuid PRIMARY KEY,
    until date NOT NULL
)
"""

# Of spans of time: 1 is a day of all groups, 2 a month of all groups, 3 a month of one group. What is of all
# groups has severity 0 and no service.
METRIC_SPAN_DURATION = """
CREATE TABLE metric_span_duration (
    tenant_id uuid NOT NULL,
    span smallint NOT NULL,
    severity smallint NOT NULL,
    monitored_service text NOT NULL,
    since date NOT NULL,
    kind smallint NOT NULL,
    bucket smallint NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (tenant_id, span, severity, monitored_service, since, kind, bucket)
)
"""

# A day is over once something was recorded on a later one: instants never go backwards in a log, so nothing is
# added to it any more. A month is folded with its last day.
FOLD_DURATIONS = """
CREATE FUNCTION fold_durations(p_tenant uuid) RETURNS integer
LANGUAGE plpgsql SET search_path = alertgraph, pg_temp SET timezone = 'UTC' SET enable_seqscan = off AS $$
DECLARE
    v_from date;
    v_until date := (SELECT recorded_at::date FROM tenant_head WHERE tenant_id = p_tenant);
    v_month date;
BEGIN
    SELECT f.until INTO v_from FROM metric_fold f WHERE f.tenant_id = p_tenant FOR UPDATE;
    IF v_from IS NULL THEN
        v_from := (SELECT min(m.day) FROM metric_day m WHERE m.tenant_id = p_tenant);
    END IF;
    IF v_from IS NULL OR v_until IS NULL OR v_from >= v_until THEN
        RETURN 0;
    END IF;
    INSERT INTO metric_span_duration (tenant_id, span, severity, monitored_service, since, kind, bucket, count)
    SELECT p_tenant, 1, 0, '', d.day, d.kind, d.bucket, sum(d.count) FROM metric_day_duration d
    WHERE d.tenant_id = p_tenant AND d.day >= v_from AND d.day < v_until GROUP BY d.day, d.kind, d.bucket
    ORDER BY d.day;
    v_month := date_trunc('month', v_from);
    WHILE v_month + interval '1 month' <= v_until LOOP
        INSERT INTO metric_span_duration (tenant_id, span, severity, monitored_service, since, kind, bucket, count)
        SELECT p_tenant, 3, d.severity, d.monitored_service, v_month, d.kind, d.bucket, sum(d.count)
        FROM metric_day_duration d
        WHERE d.tenant_id = p_tenant AND d.day >= v_month AND d.day < v_month + interval '1 month'
        GROUP BY d.severity, d.monitored_service, d.kind, d.bucket;
        INSERT INTO metric_span_duration (tenant_id, span, severity, monitored_service, since, kind, bucket, count)
        SELECT p_tenant, 2, 0, '', v_month, s.kind, s.bucket, sum(s.count) FROM metric_span_duration s
        WHERE s.tenant_id = p_tenant AND s.span = 1 AND s.severity = 0 AND s.monitored_service = ''
            AND s.since >= v_month AND s.since < v_month + interval '1 month'
        GROUP BY s.kind, s.bucket;
        v_month := v_month + interval '1 month';
    END LOOP;
    INSERT INTO metric_fold (tenant_id, until) VALUES (p_tenant, v_until)
    ON CONFLICT (tenant_id) DO UPDATE SET until = excluded.until;
    RETURN v_until - v_from;
END $$
"""


def upgrade() -> None:
    """Closed alerts have indexes by what they are filtered by; housekeeping can fold histograms."""
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
        METRIC_FOLD,
        METRIC_SPAN_DURATION,
        "SELECT guard('metric_fold', 'SELECT')",
        "SELECT guard('metric_span_duration', 'SELECT')",
        FOLD_DURATIONS,
        "REVOKE ALL ON FUNCTION fold_durations FROM PUBLIC",
    ):
        op.execute(statement)


def downgrade() -> None:
    """Lists of closed alerts by these fields are read row by row again, and percentiles from days."""
    op.execute("DROP FUNCTION fold_durations, taken_alerts")
    op.execute("DROP TABLE metric_span_duration, metric_fold")
    for table in ("alert_closed", _LATE):
        op.execute(f"DROP POLICY of_search ON {table}")
        op.execute(f"REVOKE ALL (tenant_id, id, acknowledged_by) ON {table} FROM ag_search")
        op.execute(_KEY.format(table))
        op.execute("DROP INDEX " + ", ".join(f"{table}_{name}" for name, _, _ in _INDEXES))
