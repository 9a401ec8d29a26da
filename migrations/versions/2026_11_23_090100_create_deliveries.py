"""Create deliveries, their attempts and receipts, how channels do, and when monitors beat last.

A delivery under way is changed often and looked up by when it is due, so those stand in one small plain table;
finished ones never change again and are kept by the month. A delivery may be under way for longer than its month
is kept: retention leaves a month that an open delivery began in, and ensure_delivery_months makes one that is not
there for whatever clock a delivery was decided by. So an attempt or an end never fails for want of a partition.

The tables of alerts are new in this release and hold few rows yet, so nothing is built concurrently.
"""

from __future__ import annotations

from alembic import op

revision = "2026_11_23_090100"
down_revision = "2026_11_23_090000"
branch_labels = None
depends_on = None

_DELIVERY_COLUMNS = """
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    alert_id uuid,
    channel_id uuid NOT NULL,
    channel_name text NOT NULL,
    purpose smallint NOT NULL,
    level integer NOT NULL,
    round integer NOT NULL,
    responder_id uuid,
    address text,
    status smallint NOT NULL,
    wanted boolean NOT NULL,
    created_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    attempt_count integer NOT NULL,
    sent_at timestamptz,
    last_error text,
    fallback_of uuid,
    fell_back_to uuid,
    bundle_id uuid,
    change text,
    is_first boolean NOT NULL
"""

# 1 waits, 2 is being sent, 4 waits to be tried again, 6 is not wanted any more and waits to be filed.
DELIVERY_OPEN = f"""
CREATE TABLE delivery_open (
    {_DELIVERY_COLUMNS},
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT delivery_open_is_open CHECK (status IN (1, 2, 4, 6))
) WITH (fillfactor = 70)
"""

# 3 was sent, 5 failed, 6 was skipped.
DELIVERY = f"""
CREATE TABLE delivery (
    {_DELIVERY_COLUMNS},
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT delivery_is_finished CHECK (status IN (3, 5, 6))
) PARTITION BY RANGE (id)
"""

DELIVERY_INDEXES = (
    # The queue: somebody's first news before all others, then by due time; equal ones are not sorted.
    "CREATE INDEX delivery_open_due ON delivery_open (tenant_id, is_first, due_at, id)",
    *(
        statement.format(table)
        for table in ("delivery_open", "delivery")
        for statement in (
            "CREATE INDEX {0}_alert ON {0} (tenant_id, alert_id, id) WHERE alert_id IS NOT NULL",
            "CREATE INDEX {0}_channel ON {0} (tenant_id, channel_id, id)",
            "CREATE INDEX {0}_responder ON {0} (tenant_id, responder_id, id) WHERE responder_id IS NOT NULL",
        )
    ),
    # Most were sent; what was not is what people look for.
    "CREATE INDEX delivery_not_sent ON delivery (tenant_id, status, id) WHERE status <> 3",
)

DELIVERY_ATTEMPT = """
CREATE TABLE delivery_attempt (
    tenant_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    number integer NOT NULL,
    started_at timestamptz NOT NULL,
    duration interval,
    status_code integer,
    error text,
    PRIMARY KEY (tenant_id, delivery_id, number)
) PARTITION BY RANGE (delivery_id)
"""

DELIVERY_RECEIPT = """
CREATE TABLE delivery_receipt (
    tenant_id uuid NOT NULL,
    alert_id uuid NOT NULL,
    channel_id uuid NOT NULL,
    address_hash bytea NOT NULL,
    receipt text NOT NULL,
    PRIMARY KEY (tenant_id, alert_id, channel_id, address_hash)
)
"""

CHANNEL_HEALTH = """
CREATE TABLE channel_health (
    tenant_id uuid NOT NULL,
    channel_id uuid NOT NULL,
    failure_count integer NOT NULL DEFAULT 0,
    open_until timestamptz,
    next_send_at timestamptz,
    last_success_at timestamptz,
    last_failure_at timestamptz,
    last_error text,
    PRIMARY KEY (tenant_id, channel_id)
) WITH (fillfactor = 50)
"""

HEARTBEAT = """
CREATE TABLE heartbeat (
    tenant_id uuid NOT NULL,
    monitor_id uuid NOT NULL,
    last_beat_at timestamptz NOT NULL,
    due_at timestamptz,
    raised boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, monitor_id)
) WITH (fillfactor = 70)
"""

HEARTBEAT_DUE = "CREATE INDEX heartbeat_due ON heartbeat (due_at) WHERE due_at IS NOT NULL AND NOT raised"

# What must never be: an alert that nobody is told of, without a reason. engineHealth looks here, and finds none.
ALERT_OPEN_FORGOTTEN = """
CREATE INDEX alert_open_forgotten ON alert_open (tenant_id, id)
WHERE status = 1 AND due_at IS NULL AND hold_reason IS NULL
"""

# A receipt is found by whom it went to, and the address itself is personal.
ADDRESS_HASH = """
CREATE FUNCTION address_hash(p_address text) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256(convert_to(coalesce(p_address, ''), 'UTF8'))
$$
"""

ENSURE_DELIVERY_MONTHS = """
CREATE FUNCTION ensure_delivery_months(p_ids uuid[]) RETURNS void
LANGUAGE plpgsql SET search_path = alertgraph, pg_temp AS $$
DECLARE
    v_month timestamptz;
BEGIN
    FOR v_month IN
        SELECT DISTINCT date_trunc('month', to_timestamp(
            ('x' || left(replace(i.id::text, '-', ''), 12))::bit(48)::bigint / 1000.0), 'UTC')
        FROM unnest(p_ids) AS i (id)
        WHERE to_regclass('delivery_' || uuid7_month(i.id)) IS NULL
            OR to_regclass('delivery_attempt_' || uuid7_month(i.id)) IS NULL
    LOOP
        PERFORM ensure_partitions(v_month, v_month);
    END LOOP;
END $$
"""

# The queue goes from empty to full and back within minutes, and a plan made for an empty table is kept. So a row
# is looked up by a range of one key and in its order, and changed by its place, each for itself: a join of places
# would begin with all rows of a tenant that seems to have one.
_PLAN = """
    SET search_path = alertgraph, pg_temp
    SET enable_seqscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_bitmapscan = off
    SET enable_sort = off
    SET plan_cache_mode = force_generic_plan
"""

DUE_DELIVERIES_V1 = f"""
CREATE FUNCTION due_deliveries_v1(p_tenant uuid, p_now timestamptz, p_limit integer) RETURNS SETOF delivery_open
LANGUAGE plpgsql {_PLAN} AS $$
DECLARE
    v_count integer;
BEGIN
    PERFORM set_config('app.tenant_id', p_tenant::text, true);
    RETURN QUERY
    SELECT * FROM delivery_open d
    WHERE d.tenant_id = p_tenant AND d.is_first AND d.due_at <= p_now ORDER BY d.due_at, d.id LIMIT p_limit;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    IF v_count < p_limit THEN
        RETURN QUERY
        SELECT * FROM delivery_open d
        WHERE d.tenant_id = p_tenant AND NOT d.is_first AND d.due_at <= p_now
        ORDER BY d.due_at, d.id LIMIT p_limit - v_count;
    END IF;
END $$
"""

# Returns what was claimed. A row that somebody else holds at this moment is being claimed, put off or ended: it is
# not as it was read any more. Ids come sorted, which is the order in which everybody locks rows.
CLAIM_DELIVERIES_V1 = f"""
CREATE FUNCTION claim_deliveries_v1(
    p_tenant uuid,
    p_ids uuid[],
    p_fences integer[],
    p_bundles uuid[],
    p_channels uuid[],
    p_now timestamptz,
    p_lease_until timestamptz,
    -- Until when channels are put off over which something is sent.
    p_turn_channels uuid[],
    p_turns timestamptz[]
) RETURNS uuid[]
LANGUAGE plpgsql {_PLAN} AS $$
DECLARE
    v_ids uuid[];
    v_places tid[];
    v_fences integer[];
    v_bundles uuid[];
    v_channels uuid[];
BEGIN
    PERFORM set_config('app.tenant_id', p_tenant::text, true);
    SELECT array_agg(o.id), array_agg(o.ctid), array_agg(c.fence), array_agg(c.bundle_id), array_agg(c.channel_id)
    INTO v_ids, v_places, v_fences, v_bundles, v_channels
    FROM unnest(p_ids, p_fences, p_bundles, p_channels) AS c (id, fence, bundle_id, channel_id)
    CROSS JOIN LATERAL (
        SELECT d.id, d.ctid FROM delivery_open d
        WHERE d.tenant_id = p_tenant AND d.id >= c.id AND d.id <= c.id
            AND d.attempt_count = c.fence AND d.wanted AND d.status IN (1, 2, 4) AND d.due_at <= p_now
        ORDER BY d.id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED) o;
    IF v_ids IS NULL THEN
        RETURN '{{}}';
    END IF;
    FOR v_index IN 1 .. cardinality(v_ids) LOOP
        UPDATE delivery_open d
        SET status = 2, attempt_count = d.attempt_count + 1, due_at = p_lease_until, bundle_id = v_bundles[v_index]
        WHERE d.ctid = v_places[v_index];
    END LOOP;
    INSERT INTO delivery_attempt (tenant_id, delivery_id, number, started_at)
    SELECT p_tenant, c.id, c.fence + 1, p_now FROM unnest(v_ids, v_fences) AS c (id, fence);
    INSERT INTO channel_health AS h (tenant_id, channel_id, next_send_at)
    SELECT p_tenant, t.channel_id, t.at FROM unnest(p_turn_channels, p_turns) AS t (channel_id, at)
    WHERE t.channel_id = ANY (v_channels)
    ON CONFLICT (tenant_id, channel_id)
    DO UPDATE SET next_send_at = greatest(h.next_send_at, excluded.next_send_at);
    RETURN v_ids;
END $$
"""

# What is not wanted any more waits for nothing but to be filed.
RETRY_DELIVERIES_V1 = f"""
CREATE FUNCTION retry_deliveries_v1(
    p_tenant uuid,
    p_ids uuid[],
    p_fences integer[],
    p_due_at timestamptz[],
    p_started_at timestamptz[],
    p_durations interval[],
    p_status_codes integer[],
    p_errors text[]
) RETURNS void
LANGUAGE plpgsql {_PLAN} AS $$
DECLARE
    v_place tid;
BEGIN
    PERFORM set_config('app.tenant_id', p_tenant::text, true);
    FOR v_number IN 1 .. cardinality(p_ids) LOOP
        SELECT d.ctid INTO v_place FROM delivery_open d
        WHERE d.tenant_id = p_tenant AND d.id >= p_ids[v_number] AND d.id <= p_ids[v_number]
            AND d.attempt_count = p_fences[v_number] AND d.status = 2
        ORDER BY d.id LIMIT 1 FOR NO KEY UPDATE;
        CONTINUE WHEN NOT FOUND;
        UPDATE delivery_open d
        SET status = CASE WHEN d.wanted THEN 4 ELSE 6 END,
            due_at = CASE WHEN d.wanted THEN p_due_at[v_number] ELSE p_started_at[v_number] END,
            last_error = p_errors[v_number],
            bundle_id = NULL
        WHERE d.ctid = v_place;
        UPDATE delivery_attempt t
        SET duration = p_durations[v_number], status_code = p_status_codes[v_number], error = p_errors[v_number]
        WHERE t.tenant_id = p_tenant AND t.delivery_id = p_ids[v_number] AND t.number = p_fences[v_number];
    END LOOP;
END $$
"""

PUT_OFF_DELIVERIES_V1 = f"""
CREATE FUNCTION put_off_deliveries_v1(
    p_tenant uuid, p_ids uuid[], p_due_at timestamptz[], p_now timestamptz) RETURNS void
LANGUAGE plpgsql {_PLAN} AS $$
DECLARE
    v_place tid;
BEGIN
    PERFORM set_config('app.tenant_id', p_tenant::text, true);
    FOR v_number IN 1 .. cardinality(p_ids) LOOP
        SELECT d.ctid INTO v_place FROM delivery_open d
        WHERE d.tenant_id = p_tenant AND d.id >= p_ids[v_number] AND d.id <= p_ids[v_number]
            -- One whose attempt's lease ran out waits, too.
            AND (d.status IN (1, 4) OR (d.status = 2 AND d.due_at <= p_now)) AND d.due_at < p_due_at[v_number]
        ORDER BY d.id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        UPDATE delivery_open d SET due_at = p_due_at[v_number] WHERE d.ctid = v_place;
    END LOOP;
END $$
"""

_SENDERS_FUNCTIONS = "due_deliveries_v1, claim_deliveries_v1, retry_deliveries_v1, put_off_deliveries_v1"

DUE_DELIVERY_TENANTS = """
CREATE FUNCTION due_delivery_tenants(p_now timestamptz, p_limit integer)
RETURNS TABLE (tenant_id uuid, due_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = alertgraph, pg_temp SET enable_seqscan = off AS $$
    WITH RECURSIVE waiting AS (
        (SELECT d.tenant_id FROM delivery_open d ORDER BY d.tenant_id LIMIT 1)
        UNION ALL
        SELECT n.tenant_id FROM waiting w CROSS JOIN LATERAL (
            SELECT d.tenant_id FROM delivery_open d
            WHERE d.tenant_id > w.tenant_id ORDER BY d.tenant_id LIMIT 1) n
    )
    SELECT w.tenant_id, e.due_at FROM waiting w CROSS JOIN LATERAL (
        SELECT min(f.due_at) AS due_at FROM (
            (SELECT d.due_at FROM delivery_open d
             WHERE d.tenant_id = w.tenant_id AND d.is_first ORDER BY d.due_at LIMIT 1)
            UNION ALL
            (SELECT d.due_at FROM delivery_open d
             WHERE d.tenant_id = w.tenant_id AND NOT d.is_first ORDER BY d.due_at LIMIT 1)) f) e
    WHERE e.due_at <= p_now ORDER BY e.due_at LIMIT p_limit
$$
"""

NEXT_DELIVERY_AT = """
CREATE FUNCTION next_delivery_at() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = alertgraph, pg_temp AS $$
    SELECT min(d.due_at) FROM due_delivery_tenants('infinity', 2147483647) d
$$
"""

DUE_HEARTBEATS = """
CREATE FUNCTION due_heartbeats(p_now timestamptz, p_limit integer)
RETURNS TABLE (tenant_id uuid, monitor_id uuid, due_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = alertgraph, pg_temp AS $$
    SELECT h.tenant_id, h.monitor_id, h.due_at FROM heartbeat h
    WHERE h.due_at <= p_now AND NOT h.raised ORDER BY h.due_at LIMIT p_limit
$$
"""

_ENGINE_FUNCTIONS = (
    "due_delivery_tenants(timestamptz, integer)",
    "next_delivery_at()",
    "due_heartbeats(timestamptz, integer)",
)


def upgrade() -> None:
    """Deliveries and what goes with them can be kept, with partitions from last month to two months ahead."""
    for statement in (
        DELIVERY_OPEN,
        DELIVERY,
        *DELIVERY_INDEXES,
        DELIVERY_ATTEMPT,
        DELIVERY_RECEIPT,
        CHANNEL_HEALTH,
        HEARTBEAT,
        HEARTBEAT_DUE,
        ALERT_OPEN_FORGOTTEN,
        "SELECT guard('delivery_open', 'SELECT, INSERT, UPDATE, DELETE')",
        # What became of a page is history: nobody but the owner, who retires it, changes that.
        "SELECT guard('delivery', 'SELECT, INSERT')",
        "SELECT guard('delivery_attempt', 'SELECT, INSERT, UPDATE')",
        "SELECT guard('delivery_receipt', 'SELECT, INSERT, UPDATE')",
        "SELECT guard('channel_health', 'SELECT, INSERT, UPDATE')",
        "SELECT guard('heartbeat', 'SELECT, INSERT, UPDATE')",
        "GRANT SELECT (tenant_id, is_first, due_at) ON delivery_open TO ag_engine",
        "CREATE POLICY of_engine ON delivery_open FOR SELECT TO ag_engine USING (true)",
        "GRANT SELECT (tenant_id, monitor_id, due_at, raised) ON heartbeat TO ag_engine",
        "CREATE POLICY of_engine ON heartbeat FOR SELECT TO ag_engine USING (true)",
        ADDRESS_HASH,
        ENSURE_DELIVERY_MONTHS,
        DUE_DELIVERIES_V1,
        CLAIM_DELIVERIES_V1,
        RETRY_DELIVERIES_V1,
        PUT_OFF_DELIVERIES_V1,
        f"REVOKE ALL ON FUNCTION {_SENDERS_FUNCTIONS} FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION {_SENDERS_FUNCTIONS} TO ag_api",
        DUE_DELIVERY_TENANTS,
        NEXT_DELIVERY_AT,
        DUE_HEARTBEATS,
        "REVOKE ALL ON FUNCTION ensure_delivery_months, due_delivery_tenants, next_delivery_at, due_heartbeats "
        "FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION ensure_delivery_months, due_delivery_tenants, next_delivery_at, due_heartbeats "
        "TO ag_api",
        "GRANT EXECUTE ON FUNCTION due_delivery_tenants TO ag_engine",
        # A function's owner must be able to create in its schema at the moment it becomes the owner.
        "GRANT CREATE ON SCHEMA alertgraph TO ag_engine",
        *(f"ALTER FUNCTION {function} OWNER TO ag_engine" for function in _ENGINE_FUNCTIONS),
        "REVOKE CREATE ON SCHEMA alertgraph FROM ag_engine",
        "SELECT ensure_partitions(now() - interval '1 month', now() + interval '2 months')",
    ):
        op.execute(statement)


def downgrade() -> None:
    """Every delivery is gone, and nobody can tell when a monitor beat last."""
    op.execute("DROP FUNCTION due_heartbeats, next_delivery_at, due_delivery_tenants")
    op.execute(f"DROP FUNCTION {_SENDERS_FUNCTIONS}")
    op.execute("DROP FUNCTION ensure_delivery_months, address_hash")
    op.execute("DROP INDEX alert_open_forgotten")
    op.execute("DROP TABLE heartbeat, channel_health, delivery_receipt, delivery_attempt, delivery, delivery_open")
