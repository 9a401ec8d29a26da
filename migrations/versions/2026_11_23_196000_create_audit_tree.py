"""Create what proves the log: a Merkle tree of each tenant's events in tiles, and its signed checkpoints.

Nothing here is written by an append: a sealer reads the leaves behind it. A log that has lost events to retention
before this migration has a tree that begins with the first one left.
"""

from __future__ import annotations

from alembic import op

revision = "2026_11_23_196000"
down_revision = "2026_11_23_195000"
branch_labels = None
depends_on = None

# Public halves only; the private ones follow from the master key. Old ones stay, for what they signed.
AUDIT_KEY = """
CREATE TABLE audit_key (
    generation integer PRIMARY KEY,
    public_key bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
)
"""

# How far a log is sealed. recorded_at is that of the last event in the tree, to find the next one's partition by;
# looked_at that of the last turn, whatever came of it.
AUDIT_TREE = """
CREATE TABLE audit_tree (
    tenant_id uuid PRIMARY KEY,
    log_epoch integer NOT NULL,
    first_number bigint NOT NULL,
    size bigint NOT NULL DEFAULT 0,
    recorded_at timestamptz NOT NULL DEFAULT to_timestamp(0),
    looked_at timestamptz NOT NULL DEFAULT to_timestamp(0),
    refusal smallint,
    refused_at timestamptz
) WITH (fillfactor = 50)
"""

# Hashes can't be compressed.
AUDIT_TILE = """
CREATE TABLE audit_tile (
    tenant_id uuid NOT NULL,
    level smallint NOT NULL,
    place bigint NOT NULL,
    hashes bytea NOT NULL,
    PRIMARY KEY (tenant_id, level, place)
)
"""
AUDIT_TILE_STORAGE = "ALTER TABLE audit_tile ALTER COLUMN hashes SET STORAGE EXTERNAL"

AUDIT_CHECKPOINT = """
CREATE TABLE audit_checkpoint (
    tenant_id uuid NOT NULL,
    log_epoch integer NOT NULL,
    size bigint NOT NULL,
    first_number bigint NOT NULL,
    root bytea NOT NULL,
    signed_at timestamptz NOT NULL,
    public_key bytea NOT NULL,
    signature bytea NOT NULL,
    PRIMARY KEY (tenant_id, log_epoch, size)
)
"""

# What is thinned out is found by age.
AUDIT_CHECKPOINT_SIGNED = "CREATE INDEX audit_checkpoint_signed ON audit_checkpoint (tenant_id, signed_at)"

# The first sealer makes the first key known; which key signs now is told.
AUDIT_SIGNER = """
CREATE FUNCTION audit_signer(p_first_public_key bytea) RETURNS TABLE (generation integer, public_key bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = alertgraph, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF NOT EXISTS (SELECT FROM audit_key) THEN
        INSERT INTO audit_key (generation, public_key) VALUES (1, p_first_public_key) ON CONFLICT DO NOTHING;
    END IF;
    RETURN QUERY SELECT k.generation, k.public_key FROM audit_key k ORDER BY k.generation DESC;
END $$
"""

# Who has grown and waited long enough, or by enough events; and whose log is not what the tree was made of.
TENANTS_TO_SEAL = """
CREATE FUNCTION tenants_to_seal(p_now timestamptz, p_every interval, p_count bigint, p_limit integer)
RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = alertgraph, pg_temp AS $$
    SELECT h.tenant_id FROM tenant_head h LEFT JOIN audit_tree t ON t.tenant_id = h.tenant_id
    WHERE CASE
        WHEN t.tenant_id IS NULL THEN h.number > h.pruned_number
        WHEN h.number = t.first_number + t.size - 1 AND h.log_epoch = t.log_epoch AND t.refusal IS NULL THEN false
        ELSE t.looked_at <= p_now - p_every
            OR (t.refusal IS NULL AND h.number - (t.first_number + t.size - 1) >= p_count)
    END
    ORDER BY t.looked_at NULLS FIRST LIMIT p_limit
$$
"""

AUDIT_LAG = """
CREATE FUNCTION audit_lag(OUT o_event_count bigint, OUT o_refused_count bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = alertgraph, pg_temp AS $$
    SELECT coalesce(sum(greatest(
               h.number - coalesce(t.first_number + t.size - 1, h.pruned_number), 0)), 0)::bigint,
           count(t.refusal)
    FROM tenant_head h LEFT JOIN audit_tree t ON t.tenant_id = h.tenant_id
$$
"""

_HEAD_COLUMNS = "(log_epoch, pruned_number)"
_TREE_COLUMNS = "(tenant_id, log_epoch, first_number, size, looked_at, refusal)"
_OF_ENGINE = (
    "tenants_to_seal(timestamptz, interval, bigint, integer)",
    "audit_lag()",
)


def upgrade() -> None:
    """Logs can be sealed, and proofs be read; the first checkpoints come with the first turns of a sealer."""
    for statement in (
        AUDIT_KEY,
        "GRANT SELECT ON audit_key TO ag_api",
        AUDIT_TREE,
        AUDIT_TILE,
        AUDIT_TILE_STORAGE,
        AUDIT_CHECKPOINT,
        AUDIT_CHECKPOINT_SIGNED,
        "SELECT guard('audit_tree', 'SELECT, INSERT, UPDATE')",
        "SELECT guard('audit_tile', 'SELECT, INSERT, UPDATE')",
        # What was signed stays, but for what the owner thins out.
        "SELECT guard('audit_checkpoint', 'SELECT, INSERT')",
        f"GRANT SELECT {_HEAD_COLUMNS} ON tenant_head TO ag_engine",
        f"GRANT SELECT {_TREE_COLUMNS} ON audit_tree TO ag_engine",
        "CREATE POLICY of_engine ON audit_tree FOR SELECT TO ag_engine USING (true)",
        AUDIT_SIGNER,
        TENANTS_TO_SEAL,
        AUDIT_LAG,
        "REVOKE ALL ON FUNCTION audit_signer, tenants_to_seal, audit_lag FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION audit_signer, tenants_to_seal, audit_lag TO ag_api",
        # A function's owner must be able to create in its schema at the moment it becomes the owner.
        "GRANT CREATE ON SCHEMA alertgraph TO ag_engine",
        *(f"ALTER FUNCTION {function} OWNER TO ag_engine" for function in _OF_ENGINE),
        "REVOKE CREATE ON SCHEMA alertgraph FROM ag_engine",
    ):
        op.execute(statement)


def downgrade() -> None:
    """Nothing proves the log but its own chain; what was signed is gone, but for who has kept it."""
    op.execute("DROP FUNCTION audit_lag, tenants_to_seal, audit_signer")
    op.execute("DROP TABLE audit_checkpoint, audit_tile, audit_tree, audit_key")
    op.execute(f"REVOKE SELECT {_HEAD_COLUMNS} ON tenant_head FROM ag_engine")
