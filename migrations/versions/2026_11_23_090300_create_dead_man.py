"""Create when each tenant's dead-man beat has its next turn.

One process takes the turn, by moving it on, and beats only where the engine keeps its promises at that moment.
Whether the beat went out is not kept: whoever listens for it knows.

The index is on a table with one row for each tenant, so it is not built concurrently.
"""

from __future__ import annotations

from alembic import op

revision = "2026_11_23_090300"
down_revision = "2026_11_23_090200"
branch_labels = None
depends_on = None

DEAD_MAN = """
CREATE TABLE dead_man (
    tenant_id uuid PRIMARY KEY,
    due_at timestamptz NOT NULL
) WITH (fillfactor = 50)
"""

TENANT_SETTINGS_DEAD_MAN = """
CREATE INDEX tenant_settings_dead_man ON tenant_settings (tenant_id) WHERE dead_man_channel_id IS NOT NULL
"""

DUE_DEAD_MEN = """
CREATE FUNCTION due_dead_men(p_now timestamptz, p_limit integer) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = alertgraph, pg_temp AS $$
    SELECT s.tenant_id FROM tenant_settings s LEFT JOIN dead_man d ON d.tenant_id = s.tenant_id
    WHERE s.dead_man_channel_id IS NOT NULL AND (d.due_at IS NULL OR d.due_at <= p_now)
    ORDER BY d.due_at NULLS FIRST, s.tenant_id LIMIT p_limit
$$
"""


def upgrade() -> None:
    """The engine can ask whose beat is due, and take its turn."""
    for statement in (
        DEAD_MAN,
        TENANT_SETTINGS_DEAD_MAN,
        "SELECT guard('dead_man', 'SELECT, INSERT, UPDATE')",
        "GRANT SELECT (tenant_id, due_at) ON dead_man TO ag_engine",
        "CREATE POLICY of_engine ON dead_man FOR SELECT TO ag_engine USING (true)",
        "GRANT SELECT (tenant_id, dead_man_channel_id) ON tenant_settings TO ag_engine",
        "CREATE POLICY of_engine ON tenant_settings FOR SELECT TO ag_engine USING (true)",
        DUE_DEAD_MEN,
        "REVOKE ALL ON FUNCTION due_dead_men FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION due_dead_men TO ag_api",
        # A function's owner must be able to create in its schema at the moment it becomes the owner.
        "GRANT CREATE ON SCHEMA alertgraph TO ag_engine",
        "ALTER FUNCTION due_dead_men(timestamptz, integer) OWNER TO ag_engine",
        "REVOKE CREATE ON SCHEMA alertgraph FROM ag_engine",
    ):
        op.execute(statement)


def downgrade() -> None:
    """No beat is sent any more."""
    for statement in (
        "DROP FUNCTION due_dead_men(timestamptz, integer)",
        "DROP POLICY of_engine ON tenant_settings",
        "REVOKE SELECT (tenant_id, dead_man_channel_id) ON tenant_settings FROM ag_engine",
        "DROP INDEX tenant_settings_dead_man",
        "DROP TABLE dead_man",
    ):
        op.execute(statement)
