"""Create what those who learn keep: how far each has read a tenant's log and what it had come to by then.

A lease says which process reads a tenant's log at present, so that no two of them take the same events at a time.
Leases run by the database's clock. A process says every few seconds how it does, for whoever answers requests;
that is no tenant's, and reached through functions only.

State changes as a whole and is compressed already: it is kept as it comes.
"""

from __future__ import annotations

from alembic import op

revision = "2026_11_23_182000"
down_revision = "2026_11_23_181000"
branch_labels = None
depends_on = None

LEARNING_STATE = """
CREATE TABLE learning_state (
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    log_epoch bigint NOT NULL,
    number bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    hash_start bytea NOT NULL,
    content bytea NOT NULL,
    saved_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, name)
)
"""

LEARNING_LEASE = """
CREATE TABLE learning_lease (
    tenant_id uuid NOT NULL,
    task text NOT NULL,
    holder uuid NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, task)
) WITH (fillfactor = 50)
"""

LEARNING_PROCESS = """
CREATE TABLE learning_process (
    id uuid PRIMARY KEY,
    task text NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    why_not text,
    tenant_count integer NOT NULL,
    behind bigint NOT NULL,
    behind_seconds double precision NOT NULL,
    seen_at timestamptz NOT NULL,
    claimed_at timestamptz
) WITH (fillfactor = 50)
"""

# Everybody takes what is free up to an even share and a little more, so that one tenant more or less moves nobody.
CLAIM_LEARNING = """
CREATE FUNCTION claim_learning(
    p_task text, p_holder uuid, p_lease interval, OUT share integer, OUT tenant_ids uuid[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = alertgraph, pg_temp AS $$
DECLARE
    v_others integer;
    v_mine integer;
    v_total integer;
BEGIN
    UPDATE learning_process p SET claimed_at = now() WHERE p.id = p_holder;
    SELECT count(*) INTO v_others FROM learning_process p
    WHERE p.task = p_task AND p.id <> p_holder AND p.claimed_at > now() - interval '15 seconds';
    SELECT count(*) INTO v_total FROM tenant_head;
    share := ceil(v_total::numeric / (v_others + 1));
    SELECT count(*) INTO v_mine FROM learning_lease l
    WHERE l.task = p_task AND l.holder = p_holder AND l.until > now();
    WITH claimed AS (
        INSERT INTO learning_lease AS l (tenant_id, task, holder, until)
        SELECT h.tenant_id, p_task, p_holder, now() + p_lease
        FROM tenant_head h LEFT JOIN learning_lease k ON k.tenant_id = h.tenant_id AND k.task = p_task
        WHERE k.until IS NULL OR k.until <= now()
        ORDER BY k.until NULLS FIRST, h.tenant_id
        LIMIT greatest(0, share + greatest(1, share / 10) - v_mine)
        ON CONFLICT (tenant_id, task) DO UPDATE SET holder = excluded.holder, until = excluded.until
            WHERE l.until <= now()
        RETURNING l.tenant_id
    )
    SELECT COALESCE(array_agg(c.tenant_id), '{}') INTO tenant_ids FROM claimed c;
END $$
"""

# One whose state is being saved at this moment is renewed the next time: nobody waits.
RENEW_LEARNING = """
CREATE FUNCTION renew_learning(p_task text, p_holder uuid, p_lease interval) RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = alertgraph, pg_temp AS $$
BEGIN
    UPDATE learning_lease l SET until = now() + p_lease
    FROM (
        SELECT k.tenant_id, k.task FROM learning_lease k
        WHERE k.task = p_task AND k.holder = p_holder FOR UPDATE SKIP LOCKED) mine
    WHERE l.tenant_id = mine.tenant_id AND l.task = mine.task;
    RETURN QUERY SELECT l.tenant_id FROM learning_lease l WHERE l.task = p_task AND l.holder = p_holder;
END $$
"""

RELEASE_LEARNING = """
CREATE FUNCTION release_learning(p_task text, p_holder uuid, p_tenants uuid[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = alertgraph, pg_temp AS $$
    DELETE FROM learning_lease l
    WHERE l.task = p_task AND l.holder = p_holder AND l.tenant_id = ANY (p_tenants)
$$
"""

REPORT_LEARNING = """
CREATE FUNCTION report_learning(
    p_id uuid, p_task text, p_host text, p_pid integer, p_why_not text, p_tenant_count integer, p_behind bigint,
    p_behind_seconds double precision) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = alertgraph, pg_temp AS $$
    DELETE FROM learning_process p WHERE p.seen_at < now() - interval '1 day';
    INSERT INTO learning_process (id, task, host, pid, why_not, tenant_count, behind, behind_seconds, seen_at)
    VALUES (p_id, p_task, p_host, p_pid, p_why_not, p_tenant_count, p_behind, p_behind_seconds, now())
    ON CONFLICT (id) DO UPDATE SET pid = excluded.pid, why_not = excluded.why_not,
        tenant_count = excluded.tenant_count, behind = excluded.behind, behind_seconds = excluded.behind_seconds,
        seen_at = excluded.seen_at
$$
"""

WITHDRAW_LEARNING = """
CREATE FUNCTION withdraw_learning(p_id uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = alertgraph, pg_temp AS $$
    DELETE FROM learning_process p WHERE p.id = p_id
$$
"""

LEARNING_PROCESSES = """
CREATE FUNCTION learning_processes(p_task text) RETURNS TABLE (
    host text, pid integer, why_not text, tenant_count integer, behind bigint, behind_seconds double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = alertgraph, pg_temp AS $$
    SELECT p.host, p.pid, p.why_not, p.tenant_count, p.behind, p.behind_seconds FROM learning_process p
    WHERE p.task = p_task AND p.seen_at > now() - interval '15 seconds' ORDER BY p.host, p.pid
$$
"""

_FUNCTIONS = (
    "claim_learning(text, uuid, interval)",
    "renew_learning(text, uuid, interval)",
    "release_learning(text, uuid, uuid[])",
    "report_learning(uuid, text, text, integer, text, integer, bigint, double precision)",
    "withdraw_learning(uuid)",
    "learning_processes(text)",
)


def upgrade() -> None:
    """A process can follow tenants' logs, keep what it learnt, and say how it does."""
    for statement in (
        LEARNING_STATE,
        "ALTER TABLE learning_state ALTER COLUMN content SET STORAGE EXTERNAL",
        LEARNING_LEASE,
        LEARNING_PROCESS,
        "SELECT guard('learning_state', 'SELECT, INSERT, UPDATE, DELETE')",
        # To lock the row while a state is saved.
        "SELECT guard('learning_lease', 'SELECT, UPDATE')",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON learning_lease TO ag_engine",
        "CREATE POLICY of_engine ON learning_lease TO ag_engine USING (true)",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON learning_process TO ag_engine",
        CLAIM_LEARNING,
        RENEW_LEARNING,
        RELEASE_LEARNING,
        REPORT_LEARNING,
        WITHDRAW_LEARNING,
        LEARNING_PROCESSES,
        f"REVOKE ALL ON FUNCTION {', '.join(_FUNCTIONS)} FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION {', '.join(_FUNCTIONS)} TO ag_api",
        # A function's owner must be able to create in its schema at the moment it becomes the owner.
        "GRANT CREATE ON SCHEMA alertgraph TO ag_engine",
        *(f"ALTER FUNCTION {function} OWNER TO ag_engine" for function in _FUNCTIONS),
        "REVOKE CREATE ON SCHEMA alertgraph FROM ag_engine",
    ):
        op.execute(statement)


def downgrade() -> None:
    """What was learnt is forgotten; the log is still there to learn from."""
    op.execute(f"DROP FUNCTION {', '.join(_FUNCTIONS)}")
    op.execute("DROP TABLE learning_process, learning_lease, learning_state")
