"""Create where points of metrics wait for whoever watches them, and what is known of their series.

The feed is not logged: its points are worth seconds of watching, and there are many. A crash of PostgreSQL empties
it, and it begins anew under another id; a standby has none of it. What was learnt is kept like everything else.

The content of both is compressed already: it is kept as it comes.
"""

from __future__ import annotations

from alembic import op

revision = "2026_11_23_197000"
down_revision = "2026_11_23_196000"
branch_labels = None
depends_on = None

METRIC_FEED = """
CREATE UNLOGGED TABLE metric_feed (
    tenant_id uuid PRIMARY KEY,
    feed_id uuid NOT NULL DEFAULT gen_random_uuid(),
    given bigint NOT NULL DEFAULT 0,
    taken bigint NOT NULL DEFAULT 0,
    given_size bigint NOT NULL DEFAULT 0,
    taken_size bigint NOT NULL DEFAULT 0,
    why_not text
) WITH (fillfactor = 50)
"""

# Rows come and go within minutes, so room is to be used again at once.
METRIC_BATCH = """
CREATE UNLOGGED TABLE metric_batch (
    tenant_id uuid NOT NULL,
    number bigint NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    content bytea NOT NULL,
    PRIMARY KEY (tenant_id, number)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 10000)
"""

SERIES_STATE = """
CREATE TABLE series_state (
    tenant_id uuid NOT NULL,
    shard integer NOT NULL,
    feed_id uuid NOT NULL,
    number bigint NOT NULL,
    content bytea NOT NULL,
    saved_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, shard)
) WITH (toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 10000)
"""

METRIC_FEEDS = """
CREATE FUNCTION metric_feeds() RETURNS TABLE (tenant_id uuid, waits boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = alertgraph, pg_temp AS $$
    SELECT f.tenant_id, f.given > f.taken FROM metric_feed f
$$
"""


def upgrade() -> None:
    """Points can wait to be taken, and what they teach is kept."""
    for statement in (
        METRIC_FEED,
        METRIC_BATCH,
        "ALTER TABLE metric_batch ALTER COLUMN content SET STORAGE EXTERNAL",
        SERIES_STATE,
        "ALTER TABLE series_state ALTER COLUMN content SET STORAGE EXTERNAL",
        "SELECT guard('metric_feed', 'SELECT, INSERT, UPDATE')",
        "SELECT guard('metric_batch', 'SELECT, INSERT, DELETE')",
        "SELECT guard('series_state', 'SELECT, INSERT, UPDATE, DELETE')",
        "GRANT SELECT (tenant_id, given, taken) ON metric_feed TO ag_engine",
        "CREATE POLICY of_engine ON metric_feed FOR SELECT TO ag_engine USING (true)",
        METRIC_FEEDS,
        "REVOKE ALL ON FUNCTION metric_feeds FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION metric_feeds TO ag_api",
        # A function's owner must be able to create in its schema at the moment it becomes the owner.
        "GRANT CREATE ON SCHEMA alertgraph TO ag_engine",
        "ALTER FUNCTION metric_feeds() OWNER TO ag_engine",
        "REVOKE CREATE ON SCHEMA alertgraph FROM ag_engine",
    ):
        op.execute(statement)


def downgrade() -> None:
    """Nobody watches series any more."""
    op.execute("DROP FUNCTION metric_feeds()")
    op.execute("DROP TABLE series_state, metric_batch, metric_feed")
