"""Create tenants, what is set up for them, and the one way in which every table is guarded.

Row-level security is forced on every table, so that neither a forgotten WHERE nor the tables' owner can
cross from one tenant to another. `guard` is that rule in one place: later migrations call it for their tables.
"""

from __future__ import annotations

from alembic import op

revision = "2026_11_23_061000"
down_revision = None
branch_labels = None
depends_on = None

# The setting is an empty string, not NULL, once a transaction has set it locally: hence NULLIF.
GUARD = """
CREATE FUNCTION guard(p_table text, p_privileges text) RETURNS void
LANGUAGE plpgsql SET search_path = alertgraph, pg_temp AS $$
BEGIN
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', p_table);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', p_table);
    EXECUTE format(
        'CREATE POLICY of_tenant ON %I TO ag_api '
        'USING (tenant_id = NULLIF(current_setting(''app.tenant_id'', true), '''')::uuid)', p_table);
    -- Without a policy of its own, forced security would turn the owner's backfills into silent no-ops.
    EXECUTE format('CREATE POLICY of_owner ON %I TO ag_owner USING (true)', p_table);
    EXECUTE format('GRANT %s ON %I TO ag_api', p_privileges, p_table);
END $$
"""

# The one unique constraint without a tenant: a slug names a tenant to the operator of the installation.
TENANT = """
CREATE TABLE tenant (
    tenant_id uuid PRIMARY KEY,
    slug text NOT NULL CONSTRAINT tenant_slug_key UNIQUE,
    name text NOT NULL,
    tier smallint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
)
"""

TENANT_SETTINGS = """
CREATE TABLE tenant_settings (
    tenant_id uuid PRIMARY KEY REFERENCES tenant ON DELETE CASCADE,
    resolve_timeout interval NOT NULL,
    retention interval NOT NULL,
    version bigint NOT NULL DEFAULT 0
)
"""

SLA_TARGET = """
CREATE TABLE sla_target (
    tenant_id uuid NOT NULL REFERENCES tenant ON DELETE CASCADE,
    severity smallint NOT NULL,
    acknowledge_within interval NOT NULL,
    resolve_within interval NOT NULL,
    PRIMARY KEY (tenant_id, severity)
)
"""

DATA_KEY = """
CREATE TABLE data_key (
    tenant_id uuid NOT NULL REFERENCES tenant ON DELETE CASCADE,
    key_id integer NOT NULL,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key_id)
)
"""

API_KEY = """
CREATE TABLE api_key (
    tenant_id uuid NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id uuid NOT NULL,
    name text NOT NULL,
    prefix text NOT NULL,
    digest bytea NOT NULL,
    old_prefix text,
    old_digest bytea,
    old_digest_until timestamptz,
    role smallint NOT NULL,
    matchers jsonb NOT NULL,
    cost_budget integer,
    created_at timestamptz NOT NULL,
    created_by jsonb NOT NULL,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    version bigint NOT NULL,
    PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 80)
"""

# Whoever presents a key names no tenant: find_keys looks here, and only there.
API_KEY_INDEXES = (
    "CREATE INDEX api_key_prefix ON api_key (prefix)",
    "CREATE INDEX api_key_old_prefix ON api_key (old_prefix) WHERE old_prefix IS NOT NULL",
)

SAVED_VIEW = """
CREATE TABLE saved_view (
    tenant_id uuid NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id uuid NOT NULL,
    name text NOT NULL,
    filter jsonb NOT NULL,
    order_by jsonb,
    shared boolean NOT NULL,
    owner jsonb NOT NULL,
    owner_subject text NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
)
"""

SAVED_VIEW_NAME = "CREATE INDEX saved_view_name ON saved_view (tenant_id, name, id)"

# Proves at start that the master key is the one that this database was set up with.
MASTER_KEY_CHECK = """
CREATE TABLE master_key_check (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    value bytea NOT NULL
)
"""

CHECK_MASTER_KEY = """
CREATE FUNCTION check_master_key(p_value bytea) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = alertgraph, pg_temp AS $$
BEGIN
    INSERT INTO master_key_check (value) VALUES (p_value) ON CONFLICT DO NOTHING;
    RETURN (SELECT value = p_value FROM master_key_check);
END $$
"""

FIND_KEYS = """
CREATE FUNCTION find_keys(p_prefix text) RETURNS TABLE (
    tenant_id uuid, slug text, tenant_name text, tier smallint, id uuid, name text, prefix text,
    digest bytea, old_digest bytea, role smallint, matchers jsonb, cost_budget integer,
    created_at timestamptz, created_by jsonb, expires_at timestamptz, last_used_at timestamptz,
    revoked_at timestamptz, version bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = alertgraph, pg_temp AS $$
    SELECT k.tenant_id, t.slug, t.name, t.tier, k.id, k.name, k.prefix,
           k.digest, CASE WHEN k.old_digest_until > now() THEN k.old_digest END, k.role, k.matchers,
           k.cost_budget, k.created_at, k.created_by, k.expires_at, k.last_used_at, k.revoked_at, k.version
    FROM api_key k JOIN tenant t ON t.tenant_id = k.tenant_id
    WHERE k.prefix = p_prefix OR (k.old_prefix = p_prefix AND k.old_digest_until > now())
$$
"""


def upgrade() -> None:
    """Tenants, settings, SLA targets, data keys, API keys and saved views exist, guarded."""
    for statement in (
        GUARD,
        "REVOKE ALL ON FUNCTION guard FROM PUBLIC",
        "GRANT USAGE ON SCHEMA alertgraph TO ag_api, ag_engine, ag_search",
        TENANT,
        TENANT_SETTINGS,
        SLA_TARGET,
        DATA_KEY,
        API_KEY,
        *API_KEY_INDEXES,
        SAVED_VIEW,
        SAVED_VIEW_NAME,
        "SELECT guard('tenant', 'SELECT')",
        "SELECT guard('tenant_settings', 'SELECT, UPDATE')",
        "SELECT guard('sla_target', 'SELECT')",
        "SELECT guard('data_key', 'SELECT')",
        "SELECT guard('api_key', 'SELECT, INSERT, UPDATE')",
        "SELECT guard('saved_view', 'SELECT, INSERT, UPDATE, DELETE')",
        MASTER_KEY_CHECK,
        CHECK_MASTER_KEY,
        FIND_KEYS,
        "REVOKE ALL ON FUNCTION check_master_key, find_keys FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION check_master_key, find_keys TO ag_api",
    ):
        op.execute(statement)


def downgrade() -> None:
    """All of it is gone."""
    op.execute("DROP FUNCTION find_keys, check_master_key")
    op.execute("DROP TABLE master_key_check, saved_view, api_key, data_key, sla_target, tenant_settings, tenant")
    op.execute("DROP FUNCTION guard")
    op.execute("REVOKE ALL ON SCHEMA alertgraph FROM ag_api, ag_engine, ag_search")
