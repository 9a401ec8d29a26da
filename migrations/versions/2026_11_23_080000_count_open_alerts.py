"""Count the open alerts of all tenants, for the figure on /metrics: one number, which tells of no tenant."""

from __future__ import annotations

from alembic import op

revision = "2026_11_23_080000"
down_revision = "2026_11_23_070000"
branch_labels = None
depends_on = None

OPEN_ALERT_COUNT = """
CREATE FUNCTION open_alert_count() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = alertgraph, pg_temp AS $$
    SELECT coalesce(sum(c.count), 0)::bigint FROM open_count c
$$
"""


def upgrade() -> None:
    """The engine's role may add up the counts, and nothing else of them."""
    for statement in (
        "GRANT SELECT (count) ON open_count TO ag_engine",
        "CREATE POLICY of_engine ON open_count FOR SELECT TO ag_engine USING (true)",
        OPEN_ALERT_COUNT,
        "REVOKE ALL ON FUNCTION open_alert_count FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION open_alert_count TO ag_api",
        # A function's owner must be able to create in its schema at the moment it becomes the owner.
        "GRANT CREATE ON SCHEMA alertgraph TO ag_engine",
        "ALTER FUNCTION open_alert_count() OWNER TO ag_engine",
        "REVOKE CREATE ON SCHEMA alertgraph FROM ag_engine",
    ):
        op.execute(statement)


def downgrade() -> None:
    """Nobody can tell how many alerts are open in all."""
    op.execute("DROP FUNCTION open_alert_count()")
    op.execute("DROP POLICY of_engine ON open_count")
    op.execute("REVOKE SELECT (count) ON open_count FROM ag_engine")
