"""Create what alerts are searched by: words and labels, filled from the log.

Array operators are not leakproof, so row-level security would keep a query from the GIN index. Hence the search
runs as a role of its own inside one function, which names the tenant itself.
"""

from __future__ import annotations

from alembic import op

revision = "2026_11_23_061300"
down_revision = "2026_11_23_061200"
branch_labels = None
depends_on = None

# Each term is the tenant's prefix and a word or a label, so that one tenant's common word is another's rare one.
ALERT_TERMS = """
CREATE TABLE alert_terms (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    terms text[] NOT NULL,
    PRIMARY KEY (tenant_id, id)
) PARTITION BY RANGE (id)
"""

ALERT_TERMS_INDEX = "CREATE INDEX alert_terms_terms ON alert_terms USING gin (terms)"

LABEL_NAME = """
CREATE TABLE label_name (
    tenant_id uuid NOT NULL,
    label text NOT NULL,
    uses bigint NOT NULL,
    PRIMARY KEY (tenant_id, label)
) WITH (fillfactor = 80)
"""

# A value may be as long as a page; the key holds its hash, so that no value is too long for an index.
LABEL_USAGE = """
CREATE TABLE label_usage (
    tenant_id uuid NOT NULL,
    label text NOT NULL,
    value_hash bytea NOT NULL,
    value text NOT NULL,
    uses bigint NOT NULL,
    PRIMARY KEY (tenant_id, label, value_hash)
) WITH (fillfactor = 80)
"""

LABEL_USAGE_INDEX = "CREATE INDEX label_usage_uses ON label_usage (tenant_id, label, uses)"

# How far the indexer has read each tenant's log.
INDEX_POSITION = """
CREATE TABLE index_position (
    tenant_id uuid PRIMARY KEY,
    number bigint NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT to_timestamp(0)
) WITH (fillfactor = 50)
"""

TERM_PREFIX = """
CREATE FUNCTION term_prefix(p_tenant uuid) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT left(md5(p_tenant::text), 8) || ':' $$
"""

# Month after month, so that a common word stops at the first p_limit alerts instead of sorting all of them.
SEARCH_ALERTS = """
CREATE FUNCTION search_alerts(
    p_terms text[], p_from uuid, p_until uuid, p_descending boolean, p_limit integer
) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = alertgraph, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    v_tenant uuid := NULLIF(current_setting('app.tenant_id', true), '')::uuid;
    v_terms text[] := ARRAY(SELECT term_prefix(v_tenant) || t FROM unnest(p_terms) t);
    v_month timestamptz;
    v_low uuid;
    v_high uuid;
    v_left integer := p_limit;
    v_found integer;
BEGIN
    IF v_tenant IS NULL OR cardinality(p_terms) = 0 THEN
        RETURN;
    END IF;
    FOR v_month IN
        SELECT m FROM (
            SELECT to_date(right(c.relname::text, 7), 'YYYY"m"MM')::timestamptz AS m
            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = 'alert_terms'::regclass) months
        ORDER BY CASE WHEN p_descending THEN m END DESC, m
    LOOP
        v_low := greatest(uuid7_floor(v_month), p_from);
        v_high := least(uuid7_floor(v_month + interval '1 month'), p_until);
        CONTINUE WHEN v_low >= v_high;
        IF p_descending THEN
            RETURN QUERY EXECUTE
                'SELECT id FROM alert_terms WHERE tenant_id = $1 AND terms @> $2 AND id >= $3 AND id < $4'
                ' ORDER BY id DESC LIMIT $5'
                USING v_tenant, v_terms, v_low, v_high, v_left;
        ELSE
            RETURN QUERY EXECUTE
                'SELECT id FROM alert_terms WHERE tenant_id = $1 AND terms @> $2 AND id >= $3 AND id < $4'
                ' ORDER BY id LIMIT $5'
                USING v_tenant, v_terms, v_low, v_high, v_left;
        END IF;
        GET DIAGNOSTICS v_found = ROW_COUNT;
        v_left := v_left - v_found;
        EXIT WHEN v_left <= 0;
    END LOOP;
END $$
"""


def upgrade() -> None:
    """Terms and labels can be kept and searched; nothing is in them before the indexer has read the log."""
    for statement in (
        ALERT_TERMS,
        ALERT_TERMS_INDEX,
        LABEL_NAME,
        LABEL_USAGE,
        LABEL_USAGE_INDEX,
        INDEX_POSITION,
        "SELECT guard('alert_terms', 'SELECT, INSERT, UPDATE')",
        "SELECT guard('label_name', 'SELECT, INSERT, UPDATE')",
        "SELECT guard('label_usage', 'SELECT, INSERT, UPDATE')",
        "SELECT guard('index_position', 'SELECT, INSERT, UPDATE')",
        "GRANT SELECT ON alert_terms TO ag_search",
        "CREATE POLICY of_search ON alert_terms FOR SELECT TO ag_search USING (true)",
        TERM_PREFIX,
        SEARCH_ALERTS,
        "REVOKE ALL ON FUNCTION search_alerts FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION search_alerts TO ag_api",
        "GRANT CREATE ON SCHEMA alertgraph TO ag_search",
        "ALTER FUNCTION search_alerts OWNER TO ag_search",
        "REVOKE CREATE ON SCHEMA alertgraph FROM ag_search",
        "SELECT ensure_partitions(now() - interval '1 month', now() + interval '2 months')",
    ):
        op.execute(statement)


def downgrade() -> None:
    """Search is gone; the indexer can make it again from the log."""
    op.execute("DROP FUNCTION search_alerts, term_prefix")
    op.execute("DROP TABLE index_position, label_usage, label_name, alert_terms")
