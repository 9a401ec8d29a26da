"""Index what lists and the audit trail are read by, and tell the indexer which tenants have news.

The tables are new in this release and hold no rows yet, so nothing is built concurrently.
"""

from __future__ import annotations

from alembic import op

revision = "2026_11_23_070000"
down_revision = "2026_11_23_061400"
branch_labels = None
depends_on = None

# A list of some severities, newest first: one ordered scan for each, merged.
ALERT_OPEN_GRADE = "CREATE INDEX alert_open_grade ON alert_open (tenant_id, status, severity, triggered_at, id)"
_CLOSED_GRADE = "CREATE INDEX {0}_grade ON {0} (tenant_id, severity, triggered_at, id)"

# Kinds that nearly every alert brings along (TRIGGERED, REPEATED, UPDATED, RESOLVED) are found soon without an
# index and would only make each append dearer.
EVENT_RARE_KIND = """
CREATE INDEX event_rare_kind ON event (tenant_id, kind, number)
WHERE kind <> ALL ('{1,2,3,8}'::smallint[])
"""

# The audit trail of what is configured: few events among many.
EVENT_SUBJECT = "CREATE INDEX event_subject ON event (tenant_id, number) WHERE subject_type IS NOT NULL"

TENANTS_TO_INDEX = """
CREATE FUNCTION tenants_to_index(p_limit integer) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = alertgraph, pg_temp AS $$
    SELECT h.tenant_id FROM tenant_head h
    LEFT JOIN index_position p ON p.tenant_id = h.tenant_id
    WHERE h.number > COALESCE(p.number, 0)
    ORDER BY h.recorded_at LIMIT p_limit
$$
"""


def upgrade() -> None:
    """Lists by severity and the audit trail have indexes; the indexer can ask who has news."""
    for statement in (
        ALERT_OPEN_GRADE,
        _CLOSED_GRADE.format("alert_closed"),
        _CLOSED_GRADE.format("alert_closed_late"),
        EVENT_RARE_KIND,
        EVENT_SUBJECT,
        TENANTS_TO_INDEX,
        "GRANT SELECT (tenant_id, number, recorded_at) ON tenant_head TO ag_search",
        "CREATE POLICY of_search ON tenant_head FOR SELECT TO ag_search USING (true)",
        "GRANT SELECT (tenant_id, number) ON index_position TO ag_search",
        "CREATE POLICY of_search ON index_position FOR SELECT TO ag_search USING (true)",
        "REVOKE ALL ON FUNCTION tenants_to_index FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION tenants_to_index TO ag_api",
        "GRANT CREATE ON SCHEMA alertgraph TO ag_search",
        "ALTER FUNCTION tenants_to_index OWNER TO ag_search",
        "REVOKE CREATE ON SCHEMA alertgraph FROM ag_search",
    ):
        op.execute(statement)


def downgrade() -> None:
    """Those lists are scanned again."""
    op.execute("DROP FUNCTION tenants_to_index")
    op.execute("DROP POLICY of_search ON index_position")
    op.execute("DROP POLICY of_search ON tenant_head")
    op.execute("REVOKE ALL ON index_position FROM ag_search")
    op.execute("REVOKE ALL (tenant_id, number, recorded_at) ON tenant_head FROM ag_search")
    op.execute(
        "DROP INDEX event_subject, event_rare_kind, alert_closed_late_grade, alert_closed_grade, alert_open_grade"
    )
