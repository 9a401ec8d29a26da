"""Create the calls of the write path: what is loaded before a decision, and what writes it down.

append_v1 decides nothing. It sets the tenant, moves the head, refuses what was decided on stale ground with
SQLSTATE 40001, and writes one statement for each table. A changed signature becomes append_v2 beside it, since
the release before this one is still running while a migration executes.
"""

from __future__ import annotations

from alembic import op

revision = "2026_11_23_061400"
down_revision = "2026_11_23_061300"
branch_labels = None
depends_on = None

# The generic plan is right from the first row on: small sets of keys, each looked up by its index and in order,
# so that rows are locked in order too. A plan made while a table was empty would scan it for ever.
_PLAN = """
    SET search_path = alertgraph, pg_temp
    SET enable_seqscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_bitmapscan = off
    SET plan_cache_mode = force_generic_plan
"""

_CLOSED = """
    tenant_id, id, version, dedup_key, title, description, severity, status, source, monitored_service, labels,
    annotations, links, occurrence_count, triggered_at, last_seen_at, acknowledged_at, acknowledged_until,
    acknowledged_by, first_acknowledged_at, resolved_at, resolved_by, escalation_level, hold_reason,
    acknowledge_by, resolve_by, resolve_at, resolve_by_timeout, verdict
"""

APPEND_V1 = f"""
CREATE FUNCTION append_v1(
    p_tenant uuid,
    p_flush uuid,
    -- What the decision relied on.
    p_config_version bigint,
    p_keys text[],
    p_key_versions bigint[],
    p_alerts uuid[],
    p_alert_versions bigint[],
    -- The events.
    p_raises_config boolean,
    p_leaves bytea,
    e_kind smallint[],
    e_actor_kind smallint[],
    e_alert_id uuid[],
    e_severity_before smallint[],
    e_severity_after smallint[],
    e_service_before text[],
    e_service_after text[],
    e_source text[],
    e_subject_type text[],
    e_subject_id text[],
    e_content text[],
    -- The alerts as they are afterwards, by id; a_place: 1 new, 2 changed, 3 ended, 4 new and ended.
    p_places integer[],
    a_place smallint[],
    a_id uuid[],
    a_event_index integer[],
    a_occurrence_delta integer[],
    a_dedup_key text[],
    a_title text[],
    a_description text[],
    a_severity smallint[],
    a_status smallint[],
    a_source text[],
    a_monitored_service text[],
    a_labels jsonb[],
    a_annotations jsonb[],
    a_links jsonb[],
    a_occurrence_count integer[],
    a_triggered_at timestamptz[],
    a_last_seen_at timestamptz[],
    a_acknowledged_at timestamptz[],
    a_acknowledged_until timestamptz[],
    a_acknowledged_by jsonb[],
    a_first_acknowledged_at timestamptz[],
    a_resolved_at timestamptz[],
    a_resolved_by jsonb[],
    a_escalation_level integer[],
    a_hold_reason smallint[],
    a_acknowledge_by timestamptz[],
    a_resolve_by timestamptz[],
    a_resolve_at timestamptz[],
    a_resolve_by_timeout boolean[],
    a_verdict smallint[],
    a_due_at timestamptz[],
    -- Alerts that were closed before.
    c_id uuid[],
    c_event_index integer[],
    c_verdict smallint[],
    -- Repeats that change nothing else, by id.
    t_id uuid[],
    t_version bigint[],
    t_count integer[],
    t_count_below bigint[],
    t_last_seen_at timestamptz[],
    t_resolve_at timestamptz[],
    t_resolve_by_timeout boolean[],
    -- What the events add to the figures, by group: ten counters each, one after the other.
    m_severity smallint[],
    m_service text[],
    m_counts bigint[],
    d_severity smallint[],
    d_service text[],
    d_kind smallint[],
    d_bucket smallint[],
    d_count bigint[],
    -- Answers to idempotency keys.
    i_operation text[],
    i_subject text[],
    i_key text[],
    i_request_hash bytea[],
    i_answer text[],
    OUT o_first_number bigint,
    OUT o_recorded_at timestamptz,
    OUT o_link bytea,
    OUT o_ids uuid[],
    OUT o_counts integer[]
)
LANGUAGE plpgsql {_PLAN} AS $$
#variable_conflict use_column
DECLARE
    v_event_count integer := cardinality(e_kind);
    v_late uuid[];
    v_ids uuid[];
    v_counts integer[];
    v_row_count integer;
BEGIN
    PERFORM set_config('app.tenant_id', p_tenant::text, true);

    -- 1. The head: the lock under which everything below happens, where there are events.
    IF v_event_count > 0 THEN
        -- One subquery, so that the clock is read once, and again behind a lock that was waited for.
        UPDATE tenant_head h
        SET (recorded_at, link, number, leaf, config_version) = (
            SELECT at.now,
                   sha256(h.link || int8send(h.number + 1)
                       || int8send((extract(epoch FROM at.now) * 1000000)::bigint) || p_leaves),
                   h.number + v_event_count,
                   substr(p_leaves, 32 * v_event_count - 31, 32),
                   h.config_version + p_raises_config::integer
            FROM (SELECT greatest(clock_timestamp(), h.recorded_at) AS now OFFSET 0) at)
        WHERE h.tenant_id = p_tenant AND (p_config_version IS NULL OR h.config_version = p_config_version)
        RETURNING h.number - v_event_count + 1, h.recorded_at, h.link
        INTO o_first_number, o_recorded_at, o_link;
    ELSE
        SELECT h.number + 1, h.recorded_at, h.link INTO o_first_number, o_recorded_at, o_link
        FROM tenant_head h
        WHERE h.tenant_id = p_tenant AND (p_config_version IS NULL OR h.config_version = p_config_version);
    END IF;
    IF o_first_number IS NULL THEN
        IF EXISTS (SELECT FROM tenant_head h WHERE h.tenant_id = p_tenant) THEN
            RAISE EXCEPTION 'stale configuration' USING ERRCODE = '40001';
        END IF;
        RAISE EXCEPTION 'no such tenant' USING ERRCODE = 'P0002';
    END IF;

    -- 2. What was relied on.
    IF cardinality(p_keys) > 0 AND EXISTS (
        SELECT FROM unnest(p_keys, p_key_versions) AS k (dedup_key, version)
        LEFT JOIN LATERAL (
            SELECT o.version FROM alert_open o
            WHERE o.tenant_id = p_tenant AND o.dedup_key = k.dedup_key LIMIT 1) o ON true
        WHERE o.version IS DISTINCT FROM k.version
    ) THEN
        RAISE EXCEPTION 'stale key' USING ERRCODE = '40001';
    END IF;
    IF cardinality(p_alerts) > 0 AND EXISTS (
        SELECT FROM unnest(p_alerts, p_alert_versions) AS k (id, version)
        LEFT JOIN LATERAL (
            SELECT o.version FROM alert_open o WHERE o.tenant_id = p_tenant AND o.id = k.id
            UNION ALL
            SELECT c.version FROM alert_closed c WHERE c.tenant_id = p_tenant AND c.id = k.id
            UNION ALL
            SELECT l.version FROM alert_closed_late l WHERE l.tenant_id = p_tenant AND l.id = k.id
            LIMIT 1) o ON true
        WHERE o.version IS DISTINCT FROM k.version
    ) THEN
        RAISE EXCEPTION 'stale alert' USING ERRCODE = '40001';
    END IF;

    -- 3. The alerts. Those that end go first, so that their dedup keys are free for those that begin.
    IF cardinality(t_id) > 0 AND p_places[2] + p_places[3] > 0 THEN
        PERFORM FROM alert_open o WHERE o.tenant_id = p_tenant AND o.id = ANY (a_id || t_id)
        ORDER BY o.id FOR UPDATE;
    END IF;
    IF p_places[3] + p_places[4] > 0 THEN
        v_late := ARRAY(
            SELECT a.id FROM unnest(a_id, a_place) AS a (id, place)
            WHERE a.place >= 3 AND NOT EXISTS (
                SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = 'alert_closed'::regclass AND NOT i.inhdetachpending
                AND c.relname = 'alert_closed_' || uuid7_month(a.id)));
        WITH a AS MATERIALIZED (
            SELECT * FROM unnest(
                a_place, a_id, a_event_index, a_occurrence_delta, a_dedup_key, a_title, a_description, a_severity,
                a_status, a_source, a_monitored_service, a_labels, a_annotations, a_links, a_occurrence_count,
                a_triggered_at, a_last_seen_at, a_acknowledged_at, a_acknowledged_until, a_acknowledged_by,
                a_first_acknowledged_at, a_resolved_at, a_resolved_by, a_escalation_level, a_hold_reason,
                a_acknowledge_by, a_resolve_by, a_resolve_at, a_resolve_by_timeout, a_verdict
            ) AS a (
                place, id, event_index, occurrence_delta, dedup_key, title, description, severity,
                status, source, monitored_service, labels, annotations, links, occurrence_count,
                triggered_at, last_seen_at, acknowledged_at, acknowledged_until, acknowledged_by,
                first_acknowledged_at, resolved_at, resolved_by, escalation_level, hold_reason,
                acknowledge_by, resolve_by, resolve_at, resolve_by_timeout, verdict)
            WHERE a.place >= 3
        ), gone AS (
            DELETE FROM alert_open o USING a
            WHERE o.tenant_id = p_tenant AND o.id = a.id AND a.place = 3
            RETURNING o.id, o.occurrence_count, o.last_seen_at
        ), ended AS (
            SELECT p_tenant AS tenant_id, a.id, o_first_number + a.event_index AS version, a.dedup_key, a.title,
                   a.description, a.severity, a.status, a.source, a.monitored_service, a.labels, a.annotations,
                   a.links,
                   CASE WHEN a.place = 4 THEN a.occurrence_count
                        ELSE least(gone.occurrence_count::bigint + a.occurrence_delta, 2147483647)::integer
                   END AS occurrence_count,
                   a.triggered_at, greatest(gone.last_seen_at, a.last_seen_at) AS last_seen_at, a.acknowledged_at,
                   a.acknowledged_until, a.acknowledged_by, a.first_acknowledged_at, a.resolved_at, a.resolved_by,
                   a.escalation_level, a.hold_reason, a.acknowledge_by, a.resolve_by, a.resolve_at,
                   a.resolve_by_timeout, a.verdict
            FROM a LEFT JOIN gone ON gone.id = a.id
            WHERE a.place = 4 OR gone.id IS NOT NULL
        ), kept AS (
            INSERT INTO alert_closed ({_CLOSED}) SELECT {_CLOSED} FROM ended WHERE id <> ALL (v_late)
            RETURNING id, occurrence_count
        ), kept_late AS (
            INSERT INTO alert_closed_late ({_CLOSED}) SELECT {_CLOSED} FROM ended WHERE id = ANY (v_late)
            RETURNING id, occurrence_count
        )
        SELECT array_agg(id), array_agg(occurrence_count), count(*)::integer INTO o_ids, o_counts, v_row_count
        FROM (SELECT * FROM kept UNION ALL SELECT * FROM kept_late) w;
        IF v_row_count <> p_places[3] + p_places[4] THEN
            RAISE EXCEPTION 'stale alert: not open' USING ERRCODE = '40001';
        END IF;
    END IF;
    IF p_places[2] > 0 THEN
        WITH changed AS (
            UPDATE alert_open o SET
                version = o_first_number + a.event_index,
                dedup_key = a.dedup_key,
                title = a.title,
                description = a.description,
                severity = a.severity,
                status = a.status,
                source = a.source,
                monitored_service = a.monitored_service,
                labels = a.labels,
                annotations = a.annotations,
                links = a.links,
                occurrence_count = least(o.occurrence_count::bigint + a.occurrence_delta, 2147483647)::integer,
                triggered_at = a.triggered_at,
                last_seen_at = greatest(o.last_seen_at, a.last_seen_at),
                acknowledged_at = a.acknowledged_at,
                acknowledged_until = a.acknowledged_until,
                acknowledged_by = a.acknowledged_by,
                first_acknowledged_at = a.first_acknowledged_at,
                escalation_level = a.escalation_level,
                hold_reason = a.hold_reason,
                acknowledge_by = a.acknowledge_by,
                resolve_by = a.resolve_by,
                -- What the sender said last of its end stands, also where it was said the short way meanwhile.
                resolve_at = CASE WHEN o.last_seen_at > a.last_seen_at THEN o.resolve_at ELSE a.resolve_at END,
                resolve_by_timeout = CASE WHEN o.last_seen_at > a.last_seen_at THEN o.resolve_by_timeout
                                     ELSE a.resolve_by_timeout END,
                verdict = a.verdict,
                due_at = CASE WHEN o.last_seen_at > a.last_seen_at THEN least(a.due_at, o.resolve_at)
                         ELSE a.due_at END
            FROM unnest(
                a_place, a_id, a_event_index, a_occurrence_delta, a_dedup_key, a_title, a_description, a_severity,
                a_status, a_source, a_monitored_service, a_labels, a_annotations, a_links,
                a_triggered_at, a_last_seen_at, a_acknowledged_at, a_acknowledged_until, a_acknowledged_by,
                a_first_acknowledged_at, a_escalation_level, a_hold_reason,
                a_acknowledge_by, a_resolve_by, a_resolve_at, a_resolve_by_timeout, a_verdict, a_due_at
            ) AS a (
                place, id, event_index, occurrence_delta, dedup_key, title, description, severity,
                status, source, monitored_service, labels, annotations, links,
                triggered_at, last_seen_at, acknowledged_at, acknowledged_until, acknowledged_by,
                first_acknowledged_at, escalation_level, hold_reason,
                acknowledge_by, resolve_by, resolve_at, resolve_by_timeout, verdict, due_at)
            WHERE o.tenant_id = p_tenant AND o.id = a.id AND a.place = 2
            RETURNING o.id, o.occurrence_count
        )
        SELECT array_agg(id), array_agg(occurrence_count), count(*)::integer INTO v_ids, v_counts, v_row_count
        FROM changed;
        IF v_row_count <> p_places[2] THEN
            RAISE EXCEPTION 'stale alert: not open' USING ERRCODE = '40001';
        END IF;
        o_ids := o_ids || v_ids;
        o_counts := o_counts || v_counts;
    END IF;
    IF p_places[1] > 0 THEN
        INSERT INTO alert_open (
            tenant_id, id, version, dedup_key, title, description, severity, status, source, monitored_service,
            labels, annotations, links, occurrence_count, triggered_at, last_seen_at, acknowledged_at,
            acknowledged_until, acknowledged_by, first_acknowledged_at, escalation_level, hold_reason,
            acknowledge_by, resolve_by, resolve_at, resolve_by_timeout, verdict, due_at)
        SELECT p_tenant, a.id, o_first_number + a.event_index, a.dedup_key, a.title, a.description, a.severity,
               a.status, a.source, a.monitored_service, a.labels, a.annotations, a.links, a.occurrence_count,
               a.triggered_at, a.last_seen_at, a.acknowledged_at, a.acknowledged_until, a.acknowledged_by,
               a.first_acknowledged_at, a.escalation_level, a.hold_reason, a.acknowledge_by, a.resolve_by,
               a.resolve_at, a.resolve_by_timeout, a.verdict, a.due_at
        FROM unnest(
            a_place, a_id, a_event_index, a_dedup_key, a_title, a_description, a_severity,
            a_status, a_source, a_monitored_service, a_labels, a_annotations, a_links, a_occurrence_count,
            a_triggered_at, a_last_seen_at, a_acknowledged_at, a_acknowledged_until, a_acknowledged_by,
            a_first_acknowledged_at, a_escalation_level, a_hold_reason,
            a_acknowledge_by, a_resolve_by, a_resolve_at, a_resolve_by_timeout, a_verdict, a_due_at
        ) AS a (
            place, id, event_index, dedup_key, title, description, severity,
            status, source, monitored_service, labels, annotations, links, occurrence_count,
            triggered_at, last_seen_at, acknowledged_at, acknowledged_until, acknowledged_by,
            first_acknowledged_at, escalation_level, hold_reason,
            acknowledge_by, resolve_by, resolve_at, resolve_by_timeout, verdict, due_at)
        WHERE a.place = 1;
    END IF;
    IF cardinality(c_id) > 0 THEN
        UPDATE alert_closed o SET version = o_first_number + c.event_index, verdict = c.verdict
        FROM unnest(c_id, c_event_index, c_verdict) AS c (id, event_index, verdict)
        WHERE o.tenant_id = p_tenant AND o.id = c.id;
        GET DIAGNOSTICS v_row_count = ROW_COUNT;
        IF v_row_count < cardinality(c_id) THEN
            UPDATE alert_closed_late o SET version = o_first_number + c.event_index, verdict = c.verdict
            FROM unnest(c_id, c_event_index, c_verdict) AS c (id, event_index, verdict)
            WHERE o.tenant_id = p_tenant AND o.id = c.id;
            IF (SELECT count(*) FROM unnest(c_id) AS c (id)
                WHERE EXISTS (SELECT FROM alert_closed o WHERE o.tenant_id = p_tenant AND o.id = c.id)
                   OR EXISTS (SELECT FROM alert_closed_late o WHERE o.tenant_id = p_tenant AND o.id = c.id)
               ) < cardinality(c_id) THEN
                RAISE EXCEPTION 'stale alert: not closed' USING ERRCODE = '40001';
            END IF;
        END IF;
    END IF;

    -- 4. The short way.
    IF cardinality(t_id) > 0 THEN
        WITH touched AS (
            UPDATE alert_open o SET
                occurrence_count = least(o.occurrence_count::bigint + t.count, 2147483647)::integer,
                last_seen_at = greatest(o.last_seen_at, t.last_seen_at),
                resolve_at = CASE WHEN t.last_seen_at >= o.last_seen_at THEN t.resolve_at ELSE o.resolve_at END,
                resolve_by_timeout = CASE WHEN t.last_seen_at >= o.last_seen_at THEN t.resolve_by_timeout
                                     ELSE o.resolve_by_timeout END,
                -- Only ever earlier, since it is in an index; the engine sets it later when it comes by.
                due_at = CASE WHEN t.resolve_at IS NULL THEN o.due_at ELSE least(o.due_at, t.resolve_at) END
            FROM unnest(
                t_id, t_version, t_count, t_count_below, t_last_seen_at, t_resolve_at, t_resolve_by_timeout
            ) AS t (id, version, count, count_below, last_seen_at, resolve_at, resolve_by_timeout)
            WHERE o.tenant_id = p_tenant AND o.id = t.id AND o.version = t.version
                AND least(o.occurrence_count::bigint + t.count, 2147483647) < t.count_below
            RETURNING o.id, o.occurrence_count
        )
        SELECT array_agg(id), array_agg(occurrence_count), count(*)::integer INTO v_ids, v_counts, v_row_count
        FROM touched;
        IF v_row_count <> cardinality(t_id) THEN
            RAISE EXCEPTION 'stale repeat' USING ERRCODE = '40001';
        END IF;
        o_ids := o_ids || v_ids;
        o_counts := o_counts || v_counts;
    END IF;

    -- 5. The log.
    IF v_event_count > 0 THEN
        INSERT INTO event (
            tenant_id, number, recorded_at, flush_id, kind, actor_kind, alert_id, severity_before, severity_after,
            service_before, service_after, source, subject_type, subject_id, content, leaf, link)
        SELECT p_tenant, o_first_number + e.place - 1, o_recorded_at, p_flush, e.kind, e.actor_kind, e.alert_id,
               e.severity_before, e.severity_after, e.service_before, e.service_after, e.source, e.subject_type,
               e.subject_id, e.content, substr(p_leaves, (32 * e.place - 31)::integer, 32),
               CASE WHEN e.place = v_event_count THEN o_link END
        FROM unnest(
            e_kind, e_actor_kind, e_alert_id, e_severity_before, e_severity_after, e_service_before,
            e_service_after, e_source, e_subject_type, e_subject_id, e_content
        ) WITH ORDINALITY AS e (
            kind, actor_kind, alert_id, severity_before, severity_after, service_before,
            service_after, source, subject_type, subject_id, content, place);
    END IF;

    -- 6. The figures.
    IF cardinality(m_severity) > 0 THEN
        INSERT INTO metric_minute AS m (
            tenant_id, at, severity, monitored_service, created, acknowledged, resolved, escalated, opened,
            acknowledge_ms, resolve_ms, sla_total, sla_met, self_resolved)
        SELECT p_tenant, date_trunc('minute', o_recorded_at, 'UTC'), g.severity, g.service,
               m_counts[g.place * 10 - 9], m_counts[g.place * 10 - 8], m_counts[g.place * 10 - 7],
               m_counts[g.place * 10 - 6], m_counts[g.place * 10 - 5], m_counts[g.place * 10 - 4],
               m_counts[g.place * 10 - 3], m_counts[g.place * 10 - 2], m_counts[g.place * 10 - 1],
               m_counts[g.place * 10]
        FROM unnest(m_severity, m_service) WITH ORDINALITY AS g (severity, service, place)
        ON CONFLICT (tenant_id, at, severity, monitored_service) DO UPDATE SET
            created = m.created + excluded.created,
            acknowledged = m.acknowledged + excluded.acknowledged,
            resolved = m.resolved + excluded.resolved,
            escalated = m.escalated + excluded.escalated,
            opened = m.opened + excluded.opened,
            acknowledge_ms = m.acknowledge_ms + excluded.acknowledge_ms,
            resolve_ms = m.resolve_ms + excluded.resolve_ms,
            sla_total = m.sla_total + excluded.sla_total,
            sla_met = m.sla_met + excluded.sla_met,
            self_resolved = m.self_resolved + excluded.self_resolved;
        INSERT INTO metric_day AS m (
            tenant_id, day, severity, monitored_service, created, acknowledged, resolved, escalated, opened,
            acknowledge_ms, resolve_ms, sla_total, sla_met, self_resolved)
        SELECT p_tenant, (o_recorded_at AT TIME ZONE 'UTC')::date, g.severity, g.service,
               m_counts[g.place * 10 - 9], m_counts[g.place * 10 - 8], m_counts[g.place * 10 - 7],
               m_counts[g.place * 10 - 6], m_counts[g.place * 10 - 5], m_counts[g.place * 10 - 4],
               m_counts[g.place * 10 - 3], m_counts[g.place * 10 - 2], m_counts[g.place * 10 - 1],
               m_counts[g.place * 10]
        FROM unnest(m_severity, m_service) WITH ORDINALITY AS g (severity, service, place)
        ON CONFLICT (tenant_id, day, severity, monitored_service) DO UPDATE SET
            created = m.created + excluded.created,
            acknowledged = m.acknowledged + excluded.acknowledged,
            resolved = m.resolved + excluded.resolved,
            escalated = m.escalated + excluded.escalated,
            opened = m.opened + excluded.opened,
            acknowledge_ms = m.acknowledge_ms + excluded.acknowledge_ms,
            resolve_ms = m.resolve_ms + excluded.resolve_ms,
            sla_total = m.sla_total + excluded.sla_total,
            sla_met = m.sla_met + excluded.sla_met,
            self_resolved = m.self_resolved + excluded.self_resolved;
        INSERT INTO open_count AS c (tenant_id, severity, monitored_service, count)
        SELECT p_tenant, g.severity, g.service, m_counts[g.place * 10 - 5]
        FROM unnest(m_severity, m_service) WITH ORDINALITY AS g (severity, service, place)
        WHERE m_counts[g.place * 10 - 5] <> 0
        ON CONFLICT (tenant_id, severity, monitored_service) DO UPDATE SET count = c.count + excluded.count;
    END IF;
    IF cardinality(d_severity) > 0 THEN
        INSERT INTO metric_minute_duration AS m (
            tenant_id, at, severity, monitored_service, kind, bucket, count)
        SELECT p_tenant, date_trunc('minute', o_recorded_at, 'UTC'), d.severity, d.service, d.kind, d.bucket,
               d.count
        FROM unnest(d_severity, d_service, d_kind, d_bucket, d_count) AS d (severity, service, kind, bucket, count)
        ON CONFLICT (tenant_id, at, severity, monitored_service, kind, bucket)
        DO UPDATE SET count = m.count + excluded.count;
        INSERT INTO metric_day_duration AS m (
            tenant_id, day, severity, monitored_service, kind, bucket, count)
        SELECT p_tenant, (o_recorded_at AT TIME ZONE 'UTC')::date, d.severity, d.service, d.kind, d.bucket, d.count
        FROM unnest(d_severity, d_service, d_kind, d_bucket, d_count) AS d (severity, service, kind, bucket, count)
        ON CONFLICT (tenant_id, day, severity, monitored_service, kind, bucket)
        DO UPDATE SET count = m.count + excluded.count;
    END IF;

    -- 7. The answers; one that exists already is a decision made on stale ground.
    IF cardinality(i_key) > 0 THEN
        INSERT INTO idempotency_answer (tenant_id, operation, subject, key, request_hash, answer)
        SELECT p_tenant, i.* FROM unnest(i_operation, i_subject, i_key, i_request_hash, i_answer)
            AS i (operation, subject, key, request_hash, answer);
    END IF;
END $$
"""

_LOADED_ALERT = """
    id uuid, version bigint, dedup_key text, title text, description text, severity smallint, status smallint,
    source text, monitored_service text, labels jsonb, annotations jsonb, links jsonb, occurrence_count integer,
    triggered_at timestamptz, last_seen_at timestamptz, acknowledged_at timestamptz,
    acknowledged_until timestamptz, acknowledged_by jsonb, first_acknowledged_at timestamptz,
    resolved_at timestamptz, resolved_by jsonb, escalation_level integer, hold_reason smallint,
    acknowledge_by timestamptz, resolve_by timestamptz, resolve_at timestamptz, resolve_by_timeout boolean,
    verdict smallint
"""

_COLUMNS_OF = """
    {0}.id, {0}.version, {0}.dedup_key, {0}.title, {0}.description, {0}.severity, {0}.status,
    {0}.source, {0}.monitored_service, {0}.labels, {0}.annotations, {0}.links, {0}.occurrence_count,
    {0}.triggered_at, {0}.last_seen_at, {0}.acknowledged_at,
    {0}.acknowledged_until, {0}.acknowledged_by, {0}.first_acknowledged_at,
    {0}.resolved_at, {0}.resolved_by, {0}.escalation_level, {0}.hold_reason,
    {0}.acknowledge_by, {0}.resolve_by, {0}.resolve_at, {0}.resolve_by_timeout,
    {0}.verdict
"""

# What was asked by key (1), by id (2), and the answers given before (3), in one round trip.
LOAD_V1 = f"""
CREATE FUNCTION load_v1(
    p_tenant uuid, p_keys text[], p_ids uuid[], p_operations text[], p_subjects text[], p_answer_keys text[])
RETURNS TABLE (
    part smallint, operation text, subject text, key text, request_hash bytea, answer text, {_LOADED_ALERT})
LANGUAGE plpgsql {_PLAN} AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('app.tenant_id', p_tenant::text, true);
    IF cardinality(p_keys) > 0 THEN
        RETURN QUERY
        SELECT 1::smallint, NULL::text, NULL::text, NULL::text, NULL::bytea, NULL::text, {_COLUMNS_OF.format("o")}
        FROM unnest(p_keys) AS k (dedup_key) CROSS JOIN LATERAL (
            SELECT * FROM alert_open o
            WHERE o.tenant_id = p_tenant AND o.dedup_key = k.dedup_key LIMIT 1) o;
    END IF;
    IF cardinality(p_ids) > 0 THEN
        RETURN QUERY
        SELECT 2::smallint, NULL::text, NULL::text, NULL::text, NULL::bytea, NULL::text, w.*
        FROM unnest(p_ids) AS k (id) CROSS JOIN LATERAL (
            SELECT {_COLUMNS_OF.format("o")} FROM alert_open o WHERE o.tenant_id = p_tenant AND o.id = k.id
            UNION ALL
            SELECT {_COLUMNS_OF.format("c")} FROM alert_closed c WHERE c.tenant_id = p_tenant AND c.id = k.id
            UNION ALL
            SELECT {_COLUMNS_OF.format("l")} FROM alert_closed_late l WHERE l.tenant_id = p_tenant AND l.id = k.id
            LIMIT 1) w;
    END IF;
    IF cardinality(p_answer_keys) > 0 THEN
        RETURN QUERY
        SELECT 3::smallint, i.operation, i.subject, i.key, i.request_hash, i.answer, n.*
        FROM unnest(p_operations, p_subjects, p_answer_keys) AS k (operation, subject, key)
        CROSS JOIN LATERAL (
            SELECT * FROM idempotency_answer i
            WHERE i.tenant_id = p_tenant AND i.operation = k.operation AND i.subject = k.subject AND i.key = k.key
            LIMIT 1) i
        LEFT JOIN (SELECT {_COLUMNS_OF.format("o")} FROM alert_open o WHERE false) n ON true;
    END IF;
END $$
"""


def upgrade() -> None:
    """A decision can be loaded for and written down, each in one call."""
    for statement in (
        APPEND_V1,
        LOAD_V1,
        "REVOKE ALL ON FUNCTION append_v1, load_v1 FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION append_v1, load_v1 TO ag_api",
    ):
        op.execute(statement)


def downgrade() -> None:
    """The calls are gone."""
    op.execute("DROP FUNCTION load_v1, append_v1")
