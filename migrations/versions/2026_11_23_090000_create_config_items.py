"""Create what people set up for paging, and what the engine keeps of it: who covers whom, and what was looked at.

Items of every type stand in one table: they are read whole, as of one configuration version, and decided by in
memory. The tables of alerts are new in this release and hold few rows yet, so nothing is built concurrently.
"""

from __future__ import annotations

from alembic import op

revision = "2026_11_23_090000"
down_revision = "2026_11_23_080000"
branch_labels = None
depends_on = None

# until: when a silence or an override is over for good. What is over stays, since alerts and events name it.
CONFIG_ITEM = """
CREATE TABLE config_item (
    tenant_id uuid NOT NULL REFERENCES tenant ON DELETE CASCADE,
    kind smallint NOT NULL,
    id uuid NOT NULL,
    name text,
    until timestamptz NOT NULL DEFAULT 'infinity',
    body jsonb NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, kind, id),
    CONSTRAINT config_item_name UNIQUE (tenant_id, kind, name)
)
"""

# Both what is in force and the list of silences, latest end first.
CONFIG_ITEM_UNTIL = "CREATE INDEX config_item_until ON config_item (tenant_id, kind, until, id)"

TENANT_SETTINGS = """
ALTER TABLE tenant_settings ADD COLUMN default_rule_id uuid, ADD COLUMN dead_man_channel_id uuid
"""

# Which open alerts are a source under an inhibition rule, by the values of its equal labels.
INHIBITOR = """
CREATE TABLE inhibitor (
    tenant_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    digest bytea NOT NULL,
    alert_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, rule_id, digest, alert_id)
)
"""

INHIBITOR_ALERT = "CREATE INDEX inhibitor_alert ON inhibitor (tenant_id, alert_id)"

# Not a column of engine_claim: whoever works on a tenant holds that row's lock on another connection.
ENGINE_POSITION = """
CREATE TABLE engine_position (
    tenant_id uuid PRIMARY KEY,
    judged_version bigint NOT NULL
) WITH (fillfactor = 50)
"""

# What is due, whom nobody was paged for before all others; and the holds that a change of what is set up may end.
ALERT_OPEN_INDEXES = (
    """
    CREATE INDEX alert_open_turn ON alert_open (tenant_id, least(escalation_level, 1), due_at, id)
    WHERE due_at IS NOT NULL
    """,
    """
    CREATE INDEX alert_open_held ON alert_open (tenant_id, hold_reason, id)
    WHERE hold_reason = ANY ('{2,3,4,5}'::smallint[])
    """,
)

UNJUDGED_TENANTS = """
CREATE FUNCTION unjudged_tenants(p_limit integer) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = alertgraph, pg_temp AS $$
    SELECT h.tenant_id FROM tenant_head h LEFT JOIN engine_position p ON p.tenant_id = h.tenant_id
    WHERE h.config_version > COALESCE(p.judged_version, 0)
    ORDER BY h.tenant_id LIMIT p_limit
$$
"""


def upgrade() -> None:
    """Rules, people, channels, schedules and silences can be kept; the engine can ask whose have changed."""
    for statement in (
        CONFIG_ITEM,
        CONFIG_ITEM_UNTIL,
        TENANT_SETTINGS,
        INHIBITOR,
        INHIBITOR_ALERT,
        ENGINE_POSITION,
        *ALERT_OPEN_INDEXES,
        "SELECT guard('config_item', 'SELECT, INSERT, UPDATE, DELETE')",
        "SELECT guard('inhibitor', 'SELECT, INSERT, DELETE')",
        "SELECT guard('engine_position', 'SELECT, INSERT, UPDATE')",
        "GRANT SELECT (config_version) ON tenant_head TO ag_engine",
        "GRANT SELECT (tenant_id, judged_version) ON engine_position TO ag_engine",
        "CREATE POLICY of_engine ON engine_position FOR SELECT TO ag_engine USING (true)",
        UNJUDGED_TENANTS,
        "REVOKE ALL ON FUNCTION unjudged_tenants FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION unjudged_tenants TO ag_api",
        # A function's owner must be able to create in its schema at the moment it becomes the owner.
        "GRANT CREATE ON SCHEMA alertgraph TO ag_engine",
        "ALTER FUNCTION unjudged_tenants(integer) OWNER TO ag_engine",
        "REVOKE CREATE ON SCHEMA alertgraph FROM ag_engine",
    ):
        op.execute(statement)


def downgrade() -> None:
    """Everything that was set up for paging is gone."""
    for statement in (
        "DROP FUNCTION unjudged_tenants(integer)",
        "REVOKE SELECT (config_version) ON tenant_head FROM ag_engine",
        "DROP INDEX alert_open_turn, alert_open_held",
        "DROP TABLE engine_position, inhibitor",
        "ALTER TABLE tenant_settings DROP COLUMN default_rule_id, DROP COLUMN dead_man_channel_id",
        "DROP TABLE config_item",
    ):
        op.execute(statement)
