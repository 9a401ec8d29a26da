"""Create the log, the alerts that follow from it, and the partitions that both are kept in.

Open alerts are one plain table, so that a dedup key can be unique; closed ones and events are kept by the month.
There is no default partition (one would forbid a concurrent detach): partitions are made ahead of time.
"""

from __future__ import annotations

from alembic import op

revision = "2026_11_23_061100"
down_revision = "2026_11_23_061000"
branch_labels = None
depends_on = None

# Written by every flush of the tenant, so it is kept hot: half a page free, and no index but the key.
TENANT_HEAD = """
CREATE TABLE tenant_head (
    tenant_id uuid PRIMARY KEY,
    number bigint NOT NULL DEFAULT 0,
    link bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    leaf bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    recorded_at timestamptz NOT NULL DEFAULT to_timestamp(0),
    config_version bigint NOT NULL DEFAULT 0,
    log_epoch integer NOT NULL DEFAULT 1,
    pruned_number bigint NOT NULL DEFAULT 0,
    pruned_link bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex')
) WITH (fillfactor = 50)
"""

EVENT = """
CREATE TABLE event (
    tenant_id uuid NOT NULL,
    number bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    flush_id uuid NOT NULL,
    kind smallint NOT NULL,
    actor_kind smallint NOT NULL,
    alert_id uuid,
    severity_before smallint,
    severity_after smallint,
    service_before text,
    service_after text,
    source text NOT NULL,
    subject_type text,
    subject_id text,
    content text NOT NULL,
    leaf bytea NOT NULL,
    link bytea,
    PRIMARY KEY (tenant_id, number, recorded_at)
) PARTITION BY RANGE (recorded_at)
"""

EVENT_INDEXES = (
    "CREATE INDEX event_alert ON event (tenant_id, alert_id, number) WHERE alert_id IS NOT NULL",
    "CREATE INDEX event_recorded ON event (tenant_id, recorded_at)",
    # One entry for each flush: its last event is the one with a link.
    "CREATE INDEX event_flush ON event (tenant_id, flush_id) WHERE link IS NOT NULL",
)

_ALERT_COLUMNS = """
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    version bigint NOT NULL,
    dedup_key text NOT NULL,
    title text NOT NULL,
    description text NOT NULL,
    severity smallint NOT NULL,
    status smallint NOT NULL,
    source text NOT NULL,
    monitored_service text,
    labels jsonb NOT NULL,
    annotations jsonb NOT NULL,
    links jsonb NOT NULL,
    occurrence_count integer NOT NULL,
    triggered_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    acknowledged_at timestamptz,
    acknowledged_until timestamptz,
    acknowledged_by jsonb,
    first_acknowledged_at timestamptz,
    resolved_at timestamptz,
    resolved_by jsonb,
    escalation_level integer NOT NULL,
    hold_reason smallint,
    acknowledge_by timestamptz NOT NULL,
    resolve_by timestamptz NOT NULL,
    resolve_at timestamptz,
    resolve_by_timeout boolean NOT NULL,
    verdict smallint
"""

# alert_open_waits is promise 2: whoever is not told of an alert can read why, or when somebody will be.
# What a repeat changes (last_seen_at, occurrence_count, resolve_at) stands in no index, so that it stays cheap.
ALERT_OPEN = f"""
CREATE TABLE alert_open (
    {_ALERT_COLUMNS},
    due_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT alert_open_dedup_key UNIQUE (tenant_id, dedup_key),
    CONSTRAINT alert_open_is_open CHECK (status IN (1, 2)),
    CONSTRAINT alert_open_waits CHECK (status <> 1 OR due_at IS NOT NULL OR hold_reason IS NOT NULL)
) WITH (fillfactor = 70)
"""

ALERT_OPEN_INDEXES = (
    "CREATE INDEX alert_open_due ON alert_open (tenant_id, due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX alert_open_triggered ON alert_open (tenant_id, triggered_at, id)",
    "CREATE INDEX alert_open_severity ON alert_open (tenant_id, severity, id)",
)

ALERT_CLOSED = f"""
CREATE TABLE alert_closed (
    {_ALERT_COLUMNS},
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT alert_closed_is_closed CHECK (status = 3 AND resolved_at IS NOT NULL)
) PARTITION BY RANGE (id)
"""

# Alerts that end after the partition of their month is gone.
ALERT_CLOSED_LATE = f"""
CREATE TABLE alert_closed_late (
    {_ALERT_COLUMNS},
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT alert_closed_late_is_closed CHECK (status = 3 AND resolved_at IS NOT NULL)
)
"""

_CLOSED_INDEXES = (
    "CREATE INDEX {0}_triggered ON {0} (tenant_id, triggered_at, id)",
    "CREATE INDEX {0}_last_seen ON {0} (tenant_id, last_seen_at, id)",
    "CREATE INDEX {0}_severity ON {0} (tenant_id, severity, id)",
    "CREATE INDEX {0}_service ON {0} (tenant_id, monitored_service, triggered_at, id)",
    "CREATE INDEX {0}_key ON {0} (tenant_id, dedup_key)",
    "CREATE INDEX {0}_resolved ON {0} (tenant_id, resolved_at)",
)

IDEMPOTENCY_ANSWER = """
CREATE TABLE idempotency_answer (
    tenant_id uuid NOT NULL,
    operation text NOT NULL,
    subject text NOT NULL,
    key text NOT NULL,
    request_hash bytea NOT NULL,
    answer text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, operation, subject, key)
)
"""

IDEMPOTENCY_ANSWER_AGE = "CREATE INDEX idempotency_answer_created ON idempotency_answer (created_at)"

# Held by the engine that works on a tenant, while it works: not the head, which every write needs.
ENGINE_CLAIM = "CREATE TABLE engine_claim (tenant_id uuid PRIMARY KEY)"

UUID7_FLOOR = """
CREATE FUNCTION uuid7_floor(p_at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM p_at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$
"""

UUID7_MONTH = """
CREATE FUNCTION uuid7_month(p_id uuid) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT to_char(
        to_timestamp(('x' || left(replace(p_id::text, '-', ''), 12))::bit(48)::bigint / 1000.0) AT TIME ZONE 'UTC',
        '"y"YYYY"m"MM')
$$
"""

# Made on its own and then attached: CREATE TABLE … PARTITION OF would stop every reader and writer of the parent.
ENSURE_PARTITIONS = """
CREATE FUNCTION ensure_partitions(p_from timestamptz, p_until timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = alertgraph, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    v_month timestamptz := date_trunc('month', p_from);
    v_next timestamptz;
    v_parent regclass;
    v_name text;
    v_low text;
    v_high text;
    v_made integer := 0;
BEGIN
    IF p_until > p_from + interval '10 years' THEN
        RAISE EXCEPTION 'partitions of more than ten years were asked for' USING ERRCODE = '22023';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('alertgraph.ensure_partitions'));
    WHILE v_month <= p_until LOOP
        v_next := v_month + interval '1 month';
        FOR v_parent IN
            SELECT c.oid FROM pg_class c
            WHERE c.relnamespace = 'alertgraph'::regnamespace AND c.relkind = 'p' ORDER BY c.relname
        LOOP
            v_name := v_parent::text || to_char(v_month, '"_y"YYYY"m"MM');
            CONTINUE WHEN to_regclass(v_name) IS NOT NULL;
            IF v_parent = 'event'::regclass THEN
                v_low := v_month::text;
                v_high := v_next::text;
            ELSE
                v_low := uuid7_floor(v_month)::text;
                v_high := uuid7_floor(v_next)::text;
            END IF;
            EXECUTE format('CREATE TABLE %I (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', v_name, v_parent);
            -- Nothing is granted on a partition; if somebody grants it, there is still no policy to pass.
            EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', v_name);
            EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', v_name);
            EXECUTE format(
                'ALTER TABLE %s ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                v_parent, v_name, v_low, v_high);
            v_made := v_made + 1;
        END LOOP;
        v_month := v_next;
    END LOOP;
    RETURN v_made;
END $$
"""

# The engine's view of the world: who has work, and where logs end. Its role may read nothing else.
DUE_TENANTS = """
CREATE FUNCTION due_tenants(p_now timestamptz, p_limit integer) RETURNS TABLE (tenant_id uuid, due_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = alertgraph, pg_temp SET enable_seqscan = off AS $$
    WITH RECURSIVE earliest AS (
        (SELECT a.tenant_id, a.due_at FROM alert_open a
         WHERE a.due_at IS NOT NULL ORDER BY a.tenant_id, a.due_at LIMIT 1)
        UNION ALL
        SELECT n.tenant_id, n.due_at FROM earliest e CROSS JOIN LATERAL (
            SELECT a.tenant_id, a.due_at FROM alert_open a
            WHERE a.due_at IS NOT NULL AND a.tenant_id > e.tenant_id
            ORDER BY a.tenant_id, a.due_at LIMIT 1) n
    )
    SELECT e.tenant_id, e.due_at FROM earliest e WHERE e.due_at <= p_now ORDER BY e.due_at LIMIT p_limit
$$
"""

NEXT_DUE_AT = """
CREATE FUNCTION next_due_at() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = alertgraph, pg_temp AS $$
    SELECT min(d.due_at) FROM due_tenants('infinity', 2147483647) d
$$
"""

HEAD_NUMBERS = """
CREATE FUNCTION head_numbers(p_tenants uuid[]) RETURNS TABLE (tenant_id uuid, number bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = alertgraph, pg_temp AS $$
    SELECT h.tenant_id, h.number FROM tenant_head h WHERE h.tenant_id = ANY (p_tenants)
$$
"""

_ENGINE_FUNCTIONS = (
    "due_tenants(timestamptz, integer)",
    "next_due_at()",
    "head_numbers(uuid[])",
)


def upgrade() -> None:
    """The log and the alerts exist, with partitions from last month to two months ahead."""
    for statement in (
        TENANT_HEAD,
        EVENT,
        *EVENT_INDEXES,
        ALERT_OPEN,
        *ALERT_OPEN_INDEXES,
        ALERT_CLOSED,
        ALERT_CLOSED_LATE,
        *(index.format(table) for table in ("alert_closed", "alert_closed_late") for index in _CLOSED_INDEXES),
        IDEMPOTENCY_ANSWER,
        IDEMPOTENCY_ANSWER_AGE,
        ENGINE_CLAIM,
        "SELECT guard('tenant_head', 'SELECT, UPDATE')",
        # Nobody but the owner, who retires what is too old, can change or remove what the log says.
        "SELECT guard('event', 'SELECT, INSERT')",
        "SELECT guard('alert_open', 'SELECT, INSERT, UPDATE, DELETE')",
        "SELECT guard('alert_closed', 'SELECT, INSERT, UPDATE')",
        "SELECT guard('alert_closed_late', 'SELECT, INSERT, UPDATE')",
        "SELECT guard('idempotency_answer', 'SELECT, INSERT')",
        "SELECT guard('engine_claim', 'SELECT, INSERT, UPDATE')",
        "GRANT SELECT (tenant_id, due_at) ON alert_open TO ag_engine",
        "CREATE POLICY of_engine ON alert_open FOR SELECT TO ag_engine USING (true)",
        "GRANT SELECT (tenant_id, number) ON tenant_head TO ag_engine",
        "CREATE POLICY of_engine ON tenant_head FOR SELECT TO ag_engine USING (true)",
        UUID7_FLOOR,
        UUID7_MONTH,
        ENSURE_PARTITIONS,
        DUE_TENANTS,
        NEXT_DUE_AT,
        HEAD_NUMBERS,
        "REVOKE ALL ON FUNCTION ensure_partitions, due_tenants, next_due_at, head_numbers FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION ensure_partitions, due_tenants, next_due_at, head_numbers TO ag_api",
        "GRANT EXECUTE ON FUNCTION due_tenants TO ag_engine",
        # A function's owner must be able to create in its schema at the moment it becomes the owner.
        "GRANT CREATE ON SCHEMA alertgraph TO ag_engine",
        *(f"ALTER FUNCTION {function} OWNER TO ag_engine" for function in _ENGINE_FUNCTIONS),
        "REVOKE CREATE ON SCHEMA alertgraph FROM ag_engine",
        "SELECT ensure_partitions(now() - interval '1 month', now() + interval '2 months')",
    ):
        op.execute(statement)


def downgrade() -> None:
    """The log and every alert are gone."""
    op.execute("DROP FUNCTION head_numbers, next_due_at, due_tenants, ensure_partitions, uuid7_month, uuid7_floor")
    op.execute("DROP TABLE engine_claim, idempotency_answer, alert_closed_late, alert_closed, alert_open")
    op.execute("DROP TABLE event, tenant_head")
