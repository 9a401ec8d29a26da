"""Create incidents, and let the decisions about alerts be decisions about their incidents, too.

append_v3 takes what append_v2 took and the incidents of a flush: what was relied on, and what they are afterwards.
append_v2 stays beside it for the release before this one, which opens no incidents. An alert in an incident that
the earlier release changes, while both are running, is not counted there; one that it ends leaves its incident.

The columns have no default but NULL, so no row is rewritten, and what is indexed is NULL everywhere.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "2026_11_23_170000"
down_revision = "2026_11_23_140000"
branch_labels = None
depends_on = None

# Small sets of keys, each looked up by its own index: one generic plan is right for tables of any size. But it is
# made when a table may be empty, and while a tenant seems to have one row, all indexes that begin with the tenant
# seem equally good. So a row is looked up by a range of one key and in its order, which only the right index gives
# without a sort, and what was found and locked is changed by its place (ctid).
_PLAN = """
    SET search_path = alertgraph, pg_temp
    SET enable_seqscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_bitmapscan = off
    SET enable_sort = off
    SET plan_cache_mode = force_generic_plan
"""

# A join of places may begin with all alerts of a tenant that seemed to have one when the plan was made. Where an
# entry of an index costs much, it begins with the places that are given: those of an array are taken for ten,
# which cost four each where nothing else is set.
_PLACES = "SET cpu_index_tuple_cost = 100"

_ALERT_TABLES = ("alert_open", "alert_closed", "alert_closed_late")

_CLOSED = """
    tenant_id, id, version, dedup_key, title, description, severity, status, source, monitored_service, labels,
    annotations, links, occurrence_count, triggered_at, last_seen_at, acknowledged_at, acknowledged_until,
    acknowledged_by, first_acknowledged_at, resolved_at, resolved_by, escalation_level, hold_reason,
    acknowledge_by, resolve_by, resolve_at, resolve_by_timeout, verdict, rule_id, ladder, escalation_round,
    resumes, next_escalation_at, judge_at, sla_marks, assignee, told,
    incident_id
"""

# By status (3 is resolved), and counts of open alerts by severity, INFO first.
INCIDENT = """
CREATE TABLE incident (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    version bigint NOT NULL,
    title text NOT NULL,
    status smallint NOT NULL,
    severity smallint NOT NULL,
    opened_at timestamptz NOT NULL,
    last_joined_at timestamptz NOT NULL,
    resolved_at timestamptz,
    alert_count integer NOT NULL,
    open_counts integer[] NOT NULL,
    triggered_count integer NOT NULL,
    worst smallint NOT NULL,
    services text[] NOT NULL,
    root_alert_id uuid,
    merged_into uuid,
    group_key bytea,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT incident_ends CHECK ((status = 3) = (resolved_at IS NOT NULL))
) WITH (fillfactor = 70)
"""
INCIDENT_INDEXES = (
    "CREATE INDEX incident_opened ON incident (tenant_id, opened_at, id)",
    # What people look at, however many there have been.
    "CREATE INDEX incident_unresolved ON incident (tenant_id, opened_at, id) WHERE status <> 3",
    "CREATE INDEX incident_group ON incident (tenant_id, group_key) WHERE group_key IS NOT NULL AND status <> 3",
    "CREATE INDEX incident_ended ON incident (tenant_id, resolved_at) WHERE status = 3",
)

_SETTINGS = """
ALTER TABLE tenant_settings
    ADD COLUMN grouping_labels text[] NOT NULL DEFAULT '{}',
    ADD COLUMN grouping_window interval NOT NULL DEFAULT '1 hour'
"""

# What append_v3 takes beside the types of append_v1 and append_v2: an array of each.
TYPES = (
    "CREATE TYPE relied_incident AS (id uuid, version bigint)",
    "CREATE TYPE relied_group AS (group_key bytea, version bigint)",
    """
    CREATE TYPE logged_event AS (
        kind smallint, actor_kind smallint, alert_id uuid, severity_before smallint, severity_after smallint,
        service_before text, service_after text, source text, subject_type text, subject_id text,
        incident_id uuid, content text)
    """,
    # place: 1 new, 2 changed, 3 ended, 4 new and ended.
    """
    CREATE TYPE grouped_alert AS (
        place smallint, event_index integer, occurrence_delta integer, id uuid, dedup_key text, title text,
        description text, severity smallint, status smallint, source text, monitored_service text, labels jsonb,
        annotations jsonb, links jsonb, occurrence_count integer, triggered_at timestamptz,
        last_seen_at timestamptz, acknowledged_at timestamptz, acknowledged_until timestamptz,
        acknowledged_by jsonb, first_acknowledged_at timestamptz, resolved_at timestamptz, resolved_by jsonb,
        escalation_level integer, hold_reason smallint, acknowledge_by timestamptz, resolve_by timestamptz,
        resolve_at timestamptz, resolve_by_timeout boolean, verdict smallint, due_at timestamptz, rule_id uuid,
        ladder jsonb, escalation_round integer, resumes boolean, next_escalation_at timestamptz,
        judge_at timestamptz, sla_marks smallint, assignee uuid, told uuid[],
        incident_id uuid)
    """,
    "CREATE TYPE filed_alert AS (id uuid, event_index integer, verdict smallint, incident_id uuid)",
    """
    CREATE TYPE written_incident AS (
        id uuid, event_index integer, is_new boolean, title text, status smallint, severity smallint,
        opened_at timestamptz, last_joined_at timestamptz, resolved_at timestamptz, alert_count integer,
        open_counts integer[], triggered_count integer, worst smallint, services text[], root_alert_id uuid,
        merged_into uuid, group_key bytea)
    """,
)

_ALERTS = """
    place, event_index, occurrence_delta, id, dedup_key, title, description, severity, status, source,
    monitored_service, labels, annotations, links, occurrence_count, triggered_at, last_seen_at, acknowledged_at,
    acknowledged_until, acknowledged_by, first_acknowledged_at, resolved_at, resolved_by, escalation_level,
    hold_reason, acknowledge_by, resolve_by, resolve_at, resolve_by_timeout, verdict, due_at, rule_id, ladder,
    escalation_round, resumes, next_escalation_at, judge_at, sla_marks, assignee, told, incident_id"""

_DELIVERY = """
    tenant_id, id, alert_id, channel_id, channel_name, purpose, level, round, responder_id, address, status,
    wanted, created_at, due_at, attempt_count, sent_at, last_error, fallback_of, fell_back_to, bundle_id, change,
    is_first
"""

APPEND_V3 = f"""
CREATE FUNCTION append_v3(
    p_tenant uuid,
    p_flush uuid,
    -- What the decision relied on.
    p_config_version bigint,
    p_relied_keys relied_key[],
    p_relied_alerts relied_alert[],
    p_relied_incidents relied_incident[],
    p_relied_groups relied_group[],
    -- The events, and their leaves one after the other.
    p_raises_config boolean,
    p_events logged_event[],
    p_leaves bytea,
    -- The alerts as they are afterwards, by id, and how many of them stand in each place.
    p_alerts grouped_alert[],
    p_new integer,
    p_changed integer,
    p_ended integer,
    p_new_and_ended integer,
    -- Alerts that were closed before, by id.
    p_filed filed_alert[],
    -- Repeats that change nothing else, by id.
    p_touched touched_alert[],
    -- What the events add to the figures.
    p_counts tally_count[],
    p_durations tally_duration[],
    -- Answers to idempotency keys.
    p_answers new_answer[],
    -- Alerts whose rows among the sources are made anew, and those rows.
    p_resourced uuid[],
    p_sources source_alert[],
    -- Alerts whose waiting pages are not wanted any more, by id.
    p_unwanted uuid[],
    p_deliveries new_delivery[],
    -- By id.
    p_ends delivery_end[],
    -- The incidents as they are afterwards, by id.
    p_incidents written_incident[],
    OUT o_first_number bigint,
    OUT o_recorded_at timestamptz,
    OUT o_link bytea,
    OUT o_ids uuid[],
    OUT o_counts integer[]
)
LANGUAGE plpgsql {_PLAN} {_PLACES} AS $$
#variable_conflict use_column
DECLARE
    v_event_count integer := cardinality(p_events);
    v_places tid[];
    v_late uuid[];
    v_ids uuid[];
    v_counts integer[];
    v_row_count integer;
    v_filed filed_alert;
    v_place tid;
    v_end delivery_end;
    v_incident written_incident;
BEGIN
    PERFORM set_config('app.tenant_id', p_tenant::text, true);
    -- Whoever looks for this flush, having lost sight of it, waits until it has ended one way or the other.
    PERFORM pg_advisory_xact_lock_shared(hashtextextended(p_flush::text, 0));

    -- 1. The head: the lock under which everything below happens, where there are events.
    IF v_event_count > 0 THEN
        -- One subquery, so that the clock is read once, and again behind a lock that was waited for.
        UPDATE tenant_head h
        SET (recorded_at, link, number, leaf, config_version) = (
            SELECT at.now,
                   sha256(h.link || int8send(h.number + 1)
                       || int8send((extract(epoch FROM at.now) * 1000000)::bigint)
                       || uuid_send(p_flush) || p_leaves),
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
    IF cardinality(p_relied_keys) > 0 THEN
        IF EXISTS (
            SELECT FROM unnest(p_relied_keys) k
            LEFT JOIN LATERAL (
                SELECT o.version FROM alert_open o
                WHERE o.tenant_id = p_tenant AND o.dedup_key >= k.dedup_key AND o.dedup_key <= k.dedup_key
                ORDER BY o.dedup_key LIMIT 1) o ON true
            WHERE o.version IS DISTINCT FROM k.version
        ) THEN
            RAISE EXCEPTION 'stale key' USING ERRCODE = '40001';
        END IF;
    END IF;
    IF cardinality(p_relied_alerts) > 0 THEN
        IF EXISTS (
            SELECT FROM unnest(p_relied_alerts) k
            LEFT JOIN LATERAL (
                (SELECT o.version FROM alert_open o
                 WHERE o.tenant_id = p_tenant AND o.id >= k.id AND o.id <= k.id ORDER BY o.id LIMIT 1)
                UNION ALL
                (SELECT c.version FROM alert_closed c
                 WHERE c.tenant_id = p_tenant AND c.id >= k.id AND c.id <= k.id ORDER BY c.id LIMIT 1)
                UNION ALL
                (SELECT l.version FROM alert_closed_late l
                 WHERE l.tenant_id = p_tenant AND l.id >= k.id AND l.id <= k.id ORDER BY l.id LIMIT 1)
                LIMIT 1) o ON true
            WHERE o.version IS DISTINCT FROM k.version
        ) THEN
            RAISE EXCEPTION 'stale alert' USING ERRCODE = '40001';
        END IF;
    END IF;

    IF cardinality(p_relied_incidents) > 0 THEN
        IF EXISTS (
            SELECT FROM unnest(p_relied_incidents) k
            LEFT JOIN LATERAL (
                SELECT i.version FROM incident i
                WHERE i.tenant_id = p_tenant AND i.id >= k.id AND i.id <= k.id ORDER BY i.id LIMIT 1) i ON true
            WHERE i.version IS DISTINCT FROM k.version
        ) THEN
            RAISE EXCEPTION 'stale incident' USING ERRCODE = '40001';
        END IF;
    END IF;
    IF cardinality(p_relied_groups) > 0 THEN
        IF EXISTS (
            SELECT FROM unnest(p_relied_groups) k
            LEFT JOIN LATERAL (
                SELECT i.version FROM incident i
                WHERE i.tenant_id = p_tenant AND i.group_key >= k.group_key AND i.group_key <= k.group_key
                    AND i.status <> 3
                ORDER BY i.group_key LIMIT 1) i ON true
            WHERE i.version IS DISTINCT FROM k.version
        ) THEN
            RAISE EXCEPTION 'stale group' USING ERRCODE = '40001';
        END IF;
    END IF;

    -- 3. The alerts. First every row that is there is locked, in the order of ids, which is everybody's order.
    IF cardinality(p_touched) > 0 AND p_changed + p_ended > 0 THEN
        PERFORM f.id
        FROM (SELECT i.id FROM (SELECT a.id FROM unnest(p_alerts) a UNION SELECT t.id FROM unnest(p_touched) t) i
              ORDER BY i.id) k
        CROSS JOIN LATERAL (
            SELECT o.id FROM alert_open o
            WHERE o.tenant_id = p_tenant AND o.id >= k.id AND o.id <= k.id
            ORDER BY o.id LIMIT 1 FOR NO KEY UPDATE) f;
    END IF;
    IF p_changed + p_ended > 0 THEN
        SELECT array_agg(f.ctid ORDER BY a.ordinality), count(f.ctid)::integer INTO v_places, v_row_count
        FROM unnest(p_alerts) WITH ORDINALITY a LEFT JOIN LATERAL (
            SELECT o.ctid FROM alert_open o
            WHERE a.place IN (2, 3) AND o.tenant_id = p_tenant AND o.id >= a.id AND o.id <= a.id
            ORDER BY o.id LIMIT 1 FOR NO KEY UPDATE) f ON true;
        IF v_row_count <> p_changed + p_ended THEN
            RAISE EXCEPTION 'stale alert: not open' USING ERRCODE = '40001';
        END IF;
    END IF;
    -- Those that end go before the others, so that their dedup keys are free for those that begin.
    IF p_ended + p_new_and_ended > 0 THEN
        v_late := ARRAY(
            SELECT a.id FROM unnest(p_alerts) a
            WHERE a.place >= 3 AND NOT EXISTS (
                SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = 'alert_closed'::regclass AND NOT i.inhdetachpending
                AND c.relname = 'alert_closed_' || uuid7_month(a.id)));
        WITH a AS MATERIALIZED (
            SELECT * FROM ROWS FROM (unnest(p_alerts), unnest(v_places)) AS a ({_ALERTS}, row_place)
            WHERE a.place >= 3
        ), gone AS (
            DELETE FROM alert_open o USING a WHERE o.ctid = a.row_place
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
                   a.resolve_by_timeout, a.verdict, a.rule_id, a.ladder, a.escalation_round, a.resumes,
                   a.next_escalation_at, a.judge_at, a.sla_marks, a.assignee, a.told, a.incident_id
            FROM a LEFT JOIN gone ON gone.id = a.id
            WHERE a.place = 4 OR gone.id IS NOT NULL
        ), kept AS (
            INSERT INTO alert_closed ({_CLOSED}) SELECT {_CLOSED} FROM ended WHERE id <> ALL (v_late)
            RETURNING id, occurrence_count
        ), kept_late AS (
            INSERT INTO alert_closed_late ({_CLOSED}) SELECT {_CLOSED} FROM ended WHERE id = ANY (v_late)
            RETURNING id, occurrence_count
        )
        SELECT array_agg(id), array_agg(occurrence_count) INTO o_ids, o_counts
        FROM (SELECT * FROM kept UNION ALL SELECT * FROM kept_late) w;
    END IF;
    IF p_changed > 0 THEN
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
                         ELSE a.due_at END,
                rule_id = a.rule_id,
                ladder = a.ladder,
                escalation_round = a.escalation_round,
                resumes = a.resumes,
                next_escalation_at = a.next_escalation_at,
                judge_at = a.judge_at,
                sla_marks = a.sla_marks,
                assignee = a.assignee,
                told = a.told,
                incident_id = a.incident_id
            FROM ROWS FROM (unnest(p_alerts), unnest(v_places)) AS a ({_ALERTS}, row_place)
            WHERE o.ctid = a.row_place AND a.place = 2
            RETURNING o.id, o.occurrence_count
        )
        SELECT array_agg(id), array_agg(occurrence_count) INTO v_ids, v_counts FROM changed;
        o_ids := o_ids || v_ids;
        o_counts := o_counts || v_counts;
    END IF;
    IF p_new > 0 THEN
        INSERT INTO alert_open (
            tenant_id, id, version, dedup_key, title, description, severity, status, source, monitored_service,
            labels, annotations, links, occurrence_count, triggered_at, last_seen_at, acknowledged_at,
            acknowledged_until, acknowledged_by, first_acknowledged_at, escalation_level, hold_reason,
            acknowledge_by, resolve_by, resolve_at, resolve_by_timeout, verdict, due_at, rule_id, ladder,
            escalation_round, resumes, next_escalation_at, judge_at, sla_marks, assignee, told, incident_id)
        SELECT p_tenant, a.id, o_first_number + a.event_index, a.dedup_key, a.title, a.description, a.severity,
               a.status, a.source, a.monitored_service, a.labels, a.annotations, a.links, a.occurrence_count,
               a.triggered_at, a.last_seen_at, a.acknowledged_at, a.acknowledged_until, a.acknowledged_by,
               a.first_acknowledged_at, a.escalation_level, a.hold_reason, a.acknowledge_by, a.resolve_by,
               a.resolve_at, a.resolve_by_timeout, a.verdict, a.due_at, a.rule_id, a.ladder, a.escalation_round,
               a.resumes, a.next_escalation_at, a.judge_at, a.sla_marks, a.assignee, a.told, a.incident_id
        FROM unnest(p_alerts) a
        WHERE a.place = 1;
    END IF;
    IF cardinality(p_filed) > 0 THEN
        -- Few, and by hand: each for itself. A closed alert changes under the head's lock only.
        FOREACH v_filed IN ARRAY p_filed LOOP
            SELECT c.ctid INTO v_place FROM alert_closed c
            WHERE c.tenant_id = p_tenant AND c.id >= v_filed.id AND c.id <= v_filed.id ORDER BY c.id LIMIT 1;
            IF FOUND THEN
                -- The range names the one partition in which the place is meant.
                UPDATE alert_closed c
                SET version = o_first_number + v_filed.event_index, verdict = v_filed.verdict,
                incident_id = v_filed.incident_id
                WHERE c.ctid = v_place AND c.id >= v_filed.id AND c.id <= v_filed.id;
                CONTINUE;
            END IF;
            SELECT l.ctid INTO v_place FROM alert_closed_late l
            WHERE l.tenant_id = p_tenant AND l.id >= v_filed.id AND l.id <= v_filed.id ORDER BY l.id LIMIT 1;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'stale alert: not closed' USING ERRCODE = '40001';
            END IF;
            UPDATE alert_closed_late l
            SET version = o_first_number + v_filed.event_index, verdict = v_filed.verdict,
                incident_id = v_filed.incident_id
            WHERE l.ctid = v_place;
        END LOOP;
    END IF;

    -- 4. The short way.
    IF cardinality(p_touched) > 0 THEN
        SELECT array_agg(f.ctid ORDER BY t.ordinality), count(f.ctid)::integer INTO v_places, v_row_count
        FROM unnest(p_touched) WITH ORDINALITY t CROSS JOIN LATERAL (
            SELECT o.ctid, o.version, o.occurrence_count FROM alert_open o
            WHERE o.tenant_id = p_tenant AND o.id >= t.id AND o.id <= t.id
            ORDER BY o.id LIMIT 1 FOR NO KEY UPDATE) f
        WHERE f.version = t.version AND least(f.occurrence_count::bigint + t.count, 2147483647) < t.count_below;
        IF v_row_count <> cardinality(p_touched) THEN
            RAISE EXCEPTION 'stale repeat' USING ERRCODE = '40001';
        END IF;
        WITH touched AS (
            UPDATE alert_open o SET
                occurrence_count = least(o.occurrence_count::bigint + t.count, 2147483647)::integer,
                last_seen_at = greatest(o.last_seen_at, t.last_seen_at),
                resolve_at = CASE WHEN t.last_seen_at >= o.last_seen_at THEN t.resolve_at ELSE o.resolve_at END,
                resolve_by_timeout = CASE WHEN t.last_seen_at >= o.last_seen_at THEN t.resolve_by_timeout
                                     ELSE o.resolve_by_timeout END,
                -- Only ever earlier, since it is in an index; the engine sets it later when it comes by.
                due_at = CASE WHEN t.resolve_at IS NULL THEN o.due_at ELSE least(o.due_at, t.resolve_at) END
            FROM ROWS FROM (unnest(p_touched), unnest(v_places)) AS t (
                id, version, count, count_below, last_seen_at, resolve_at, resolve_by_timeout, row_place)
            WHERE o.ctid = t.row_place
            RETURNING o.id, o.occurrence_count
        )
        SELECT array_agg(id), array_agg(occurrence_count) INTO v_ids, v_counts FROM touched;
        o_ids := o_ids || v_ids;
        o_counts := o_counts || v_counts;
    END IF;

    -- 5. The log.
    IF v_event_count > 0 THEN
        INSERT INTO event (
            tenant_id, number, recorded_at, flush_id, kind, actor_kind, alert_id, severity_before, severity_after,
            service_before, service_after, source, subject_type, subject_id, incident_id, content, leaf, link)
        SELECT p_tenant, o_first_number + e.place - 1, o_recorded_at, p_flush, e.kind, e.actor_kind, e.alert_id,
               e.severity_before, e.severity_after, e.service_before, e.service_after, e.source, e.subject_type,
               e.subject_id, e.incident_id, e.content, substr(p_leaves, (32 * e.place - 31)::integer, 32),
               CASE WHEN e.place = v_event_count THEN o_link END
        FROM unnest(p_events) WITH ORDINALITY AS e (
            kind, actor_kind, alert_id, severity_before, severity_after, service_before,
            service_after, source, subject_type, subject_id, incident_id, content, place);
    END IF;

    -- 6. The figures.
    IF cardinality(p_counts) > 0 THEN
        INSERT INTO metric_minute AS m (
            tenant_id, at, severity, monitored_service, created, acknowledged, resolved, escalated, opened,
            acknowledge_ms, resolve_ms, sla_total, sla_met, self_resolved)
        SELECT p_tenant, date_trunc('minute', o_recorded_at, 'UTC'), g.* FROM unnest(p_counts) g
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
        SELECT p_tenant, (o_recorded_at AT TIME ZONE 'UTC')::date, g.* FROM unnest(p_counts) g
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
        SELECT p_tenant, g.severity, g.monitored_service, g.opened FROM unnest(p_counts) g WHERE g.opened <> 0
        ON CONFLICT (tenant_id, severity, monitored_service) DO UPDATE SET count = c.count + excluded.count;
    END IF;
    IF cardinality(p_durations) > 0 THEN
        INSERT INTO metric_minute_duration AS m (
            tenant_id, at, severity, monitored_service, kind, bucket, count)
        SELECT p_tenant, date_trunc('minute', o_recorded_at, 'UTC'), d.* FROM unnest(p_durations) d
        ON CONFLICT (tenant_id, at, severity, monitored_service, kind, bucket)
        DO UPDATE SET count = m.count + excluded.count;
        INSERT INTO metric_day_duration AS m (
            tenant_id, day, severity, monitored_service, kind, bucket, count)
        SELECT p_tenant, (o_recorded_at AT TIME ZONE 'UTC')::date, d.* FROM unnest(p_durations) d
        ON CONFLICT (tenant_id, day, severity, monitored_service, kind, bucket)
        DO UPDATE SET count = m.count + excluded.count;
    END IF;

    -- 7. The answers; one that exists already is a decision made on stale ground.
    IF cardinality(p_answers) > 0 THEN
        INSERT INTO idempotency_answer (tenant_id, operation, subject, key, request_hash, answer)
        SELECT p_tenant, i.* FROM unnest(p_answers) i;
    END IF;

    -- 8. Which alerts cover others.
    IF cardinality(p_resourced) > 0 THEN
        DELETE FROM inhibitor i WHERE i.tenant_id = p_tenant AND i.alert_id = ANY (p_resourced);
        INSERT INTO inhibitor (tenant_id, rule_id, digest, alert_id)
        SELECT p_tenant, s.rule_id, s.digest, s.alert_id FROM unnest(p_sources) s;
    END IF;

    -- 9. The deliveries. Whoever sends claims rows in the order of ids: so they are locked here, too.
    IF cardinality(p_unwanted) > 0 THEN
        -- In the order of an index, which is nearly that of their ids: both are numbered by time.
        v_places := ARRAY(
            SELECT w.ctid FROM unnest(p_unwanted) AS u (alert_id) CROSS JOIN LATERAL (
                SELECT d.ctid FROM delivery_open d
                WHERE d.tenant_id = p_tenant AND d.alert_id >= u.alert_id AND d.alert_id <= u.alert_id
                    AND d.purpose = 1
                ORDER BY d.alert_id, d.id FOR NO KEY UPDATE) w);
        -- An attempt under way goes on, and is the last; what waits is filed by whoever comes by next.
        FOREACH v_place IN ARRAY v_places LOOP
            UPDATE delivery_open d SET
                wanted = false,
                status = CASE WHEN d.status = 2 THEN d.status ELSE 6 END,
                due_at = CASE WHEN d.status = 2 THEN d.due_at ELSE o_recorded_at END
            WHERE d.ctid = v_place;
        END LOOP;
    END IF;
    IF cardinality(p_ends) > 0 THEN
        -- Each for itself: while the tenant seems to have one open delivery, a join would begin with all it has.
        FOREACH v_end IN ARRAY p_ends LOOP
            SELECT d.ctid INTO v_place FROM delivery_open d
            WHERE d.tenant_id = p_tenant AND d.id >= v_end.id AND d.id <= v_end.id
                AND d.attempt_count = v_end.fence
            ORDER BY d.id LIMIT 1 FOR UPDATE;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'stale delivery' USING ERRCODE = '40001';
            END IF;
            WITH gone AS (
                DELETE FROM delivery_open d WHERE d.ctid = v_place RETURNING d.*
            ), kept AS (
                INSERT INTO delivery ({_DELIVERY})
                SELECT g.tenant_id, g.id, g.alert_id, g.channel_id, g.channel_name, g.purpose, g.level, g.round,
                       g.responder_id, g.address, v_end.status, g.wanted, g.created_at, g.due_at, g.attempt_count,
                       CASE WHEN v_end.status = 3 THEN v_end.at END, coalesce(v_end.error, g.last_error),
                       g.fallback_of, v_end.fell_back_to, g.bundle_id, g.change, g.is_first
                FROM gone g
            )
            INSERT INTO delivery_receipt (tenant_id, alert_id, channel_id, address_hash, receipt)
            SELECT p_tenant, g.alert_id, g.channel_id, address_hash(g.address), v_end.receipt
            FROM gone g WHERE v_end.receipt IS NOT NULL AND g.alert_id IS NOT NULL
            ON CONFLICT (tenant_id, alert_id, channel_id, address_hash) DO UPDATE SET receipt = excluded.receipt;
            UPDATE delivery_attempt t
            SET duration = v_end.duration, status_code = v_end.status_code, error = v_end.attempt_error
            WHERE t.tenant_id = p_tenant AND t.delivery_id = v_end.id AND t.number = v_end.attempt;
        END LOOP;
    END IF;
    IF cardinality(p_deliveries) > 0 THEN
        PERFORM ensure_delivery_months(ARRAY(SELECT n.id FROM unnest(p_deliveries) n));
        INSERT INTO delivery_open ({_DELIVERY})
        SELECT p_tenant, n.id, n.alert_id, n.channel_id, n.channel_name, n.purpose, n.level, n.round,
               -- Somebody may have reacted in the very flush that decided a page: then it is not sent, but filed.
               n.responder_id, n.address, CASE WHEN n.wanted THEN 1 ELSE 6 END, n.wanted, n.created_at, n.due_at,
               0, NULL, NULL, n.fallback_of, NULL, NULL, n.change, n.is_first
        FROM unnest(p_deliveries) n;
    END IF;

    -- 10. The incidents, which change under the head's lock only. Those that are there go first: one may give up
    -- the key that a new one has.
    IF cardinality(p_incidents) > 0 THEN
        FOREACH v_incident IN ARRAY p_incidents LOOP
            CONTINUE WHEN v_incident.is_new;
            SELECT i.ctid INTO v_place FROM incident i
            WHERE i.tenant_id = p_tenant AND i.id >= v_incident.id AND i.id <= v_incident.id
            ORDER BY i.id LIMIT 1 FOR NO KEY UPDATE;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'stale incident: not there' USING ERRCODE = '40001';
            END IF;
            UPDATE incident i SET
                version = coalesce(o_first_number + v_incident.event_index, i.version),
                title = v_incident.title,
                status = v_incident.status,
                severity = v_incident.severity,
                last_joined_at = v_incident.last_joined_at,
                resolved_at = v_incident.resolved_at,
                alert_count = v_incident.alert_count,
                open_counts = v_incident.open_counts,
                triggered_count = v_incident.triggered_count,
                worst = v_incident.worst,
                services = v_incident.services,
                root_alert_id = v_incident.root_alert_id,
                merged_into = v_incident.merged_into,
                group_key = v_incident.group_key
            WHERE i.ctid = v_place;
        END LOOP;
        INSERT INTO incident (
            tenant_id, id, version, title, status, severity, opened_at, last_joined_at, resolved_at, alert_count,
            open_counts, triggered_count, worst, services, root_alert_id, merged_into, group_key)
        SELECT p_tenant, w.id, o_first_number + w.event_index, w.title, w.status, w.severity, w.opened_at,
               w.last_joined_at, w.resolved_at, w.alert_count, w.open_counts, w.triggered_count, w.worst,
               w.services, w.root_alert_id, w.merged_into, w.group_key
        FROM unnest(p_incidents) w WHERE w.is_new;
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
    verdict smallint, rule_id uuid, ladder jsonb, escalation_round integer, resumes boolean,
    next_escalation_at timestamptz, judge_at timestamptz, sla_marks smallint, assignee uuid, told uuid[],
    incident_id uuid
"""

_COLUMNS_OF = """
    {0}.id, {0}.version, {0}.dedup_key, {0}.title, {0}.description, {0}.severity, {0}.status,
    {0}.source, {0}.monitored_service, {0}.labels, {0}.annotations, {0}.links, {0}.occurrence_count,
    {0}.triggered_at, {0}.last_seen_at, {0}.acknowledged_at,
    {0}.acknowledged_until, {0}.acknowledged_by, {0}.first_acknowledged_at,
    {0}.resolved_at, {0}.resolved_by, {0}.escalation_level, {0}.hold_reason,
    {0}.acknowledge_by, {0}.resolve_by, {0}.resolve_at, {0}.resolve_by_timeout,
    {0}.verdict, {0}.rule_id, {0}.ladder, {0}.escalation_round, {0}.resumes, {0}.next_escalation_at, {0}.judge_at,
    {0}.sla_marks, {0}.assignee, {0}.told, {0}.incident_id
"""

# What was asked by key (1), by id (2), and the answers given before (3), in one round trip.
LOAD_V3 = f"""
CREATE FUNCTION load_v3(
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
            WHERE o.tenant_id = p_tenant AND o.dedup_key >= k.dedup_key AND o.dedup_key <= k.dedup_key
            ORDER BY o.dedup_key LIMIT 1) o;
    END IF;
    IF cardinality(p_ids) > 0 THEN
        RETURN QUERY
        SELECT 2::smallint, NULL::text, NULL::text, NULL::text, NULL::bytea, NULL::text, w.*
        FROM unnest(p_ids) AS k (id) CROSS JOIN LATERAL (
            (SELECT {_COLUMNS_OF.format("o")} FROM alert_open o
             WHERE o.tenant_id = p_tenant AND o.id >= k.id AND o.id <= k.id ORDER BY o.id LIMIT 1)
            UNION ALL
            (SELECT {_COLUMNS_OF.format("c")} FROM alert_closed c
             WHERE c.tenant_id = p_tenant AND c.id >= k.id AND c.id <= k.id ORDER BY c.id LIMIT 1)
            UNION ALL
            (SELECT {_COLUMNS_OF.format("l")} FROM alert_closed_late l
             WHERE l.tenant_id = p_tenant AND l.id >= k.id AND l.id <= k.id ORDER BY l.id LIMIT 1)
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

# Asked for where alerts are in incidents or are grouped by labels; apart, since most commands are about none. What
# was asked by id (1), and the unresolved ones by group key (2).
_INCIDENT = """
    {0}.id, {0}.version, {0}.title, {0}.opened_at, {0}.last_joined_at, {0}.resolved_at, {0}.alert_count,
    {0}.open_counts, {0}.triggered_count, {0}.worst, {0}.services, {0}.root_alert_id, {0}.merged_into,
    {0}.group_key
"""
LOAD_INCIDENTS = f"""
CREATE FUNCTION load_incidents(p_tenant uuid, p_ids uuid[], p_group_keys bytea[])
RETURNS TABLE (
    part smallint, id uuid, version bigint, title text, opened_at timestamptz, last_joined_at timestamptz,
    resolved_at timestamptz, alert_count integer, open_counts integer[], triggered_count integer, worst smallint,
    services text[], root_alert_id uuid, merged_into uuid, group_key bytea)
LANGUAGE plpgsql {_PLAN} AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('app.tenant_id', p_tenant::text, true);
    RETURN QUERY
    SELECT 1::smallint, {_INCIDENT.format("f")} FROM unnest(p_ids) AS k (id) CROSS JOIN LATERAL (
        SELECT * FROM incident i
        WHERE i.tenant_id = p_tenant AND i.id >= k.id AND i.id <= k.id ORDER BY i.id LIMIT 1) f;
    RETURN QUERY
    SELECT 2::smallint, {_INCIDENT.format("f")} FROM unnest(p_group_keys) AS k (group_key) CROSS JOIN LATERAL (
        SELECT * FROM incident i
        WHERE i.tenant_id = p_tenant AND i.group_key >= k.group_key AND i.group_key <= k.group_key
            AND i.status <> 3
        ORDER BY i.group_key LIMIT 1) f;
END $$
"""

_PARTITIONS = """
    SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = '{0}'::regclass AND NOT i.inhdetachpending ORDER BY 1
"""
_UNFINISHED = """
    SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE NOT i.indisvalid AND c.relkind = 'i' AND c.relnamespace = 'alertgraph'::regnamespace
        AND c.relname ~ '_incident$'
"""
_ATTACHED = "SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass('alertgraph.{0}'))"
_OF_ALERTS = "(tenant_id, incident_id, triggered_at, id) WHERE incident_id IS NOT NULL"
_OF_EVENTS = "(tenant_id, incident_id, number) WHERE incident_id IS NOT NULL"


def _index(table: str, what: str) -> None:
    """Index a table beside the work that goes on, partition by partition; what is there already is left."""
    bind = op.get_bind()
    partitions = [row[0] for row in bind.execute(text(_PARTITIONS.format(table))).fetchall()]
    if not partitions:
        op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {table}_incident ON {table} {what}")
        return
    op.execute(f"CREATE INDEX IF NOT EXISTS {table}_incident ON ONLY {table} {what}")
    for partition in partitions:
        own = f"{partition}_incident"
        op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {own} ON {partition} {what}")
        if not bind.execute(text(_ATTACHED.format(own))).scalar():
            op.execute(f"ALTER INDEX {table}_incident ATTACH PARTITION {own}")


def upgrade() -> None:
    """Alerts can belong together, and what changes one changes its incident in the same flush."""
    # What comes after the indexes is not done where they fail: then all of it is begun again.
    for table in (*_ALERT_TABLES, "event"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS incident_id uuid")
    with op.get_context().autocommit_block():
        for (name,) in op.get_bind().execute(text(_UNFINISHED)).fetchall():
            op.execute(f'DROP INDEX CONCURRENTLY "{name}"')
        for table in _ALERT_TABLES:
            _index(table, _OF_ALERTS)
        _index("event", _OF_EVENTS)
    for statement in (
        _SETTINGS,
        INCIDENT,
        *INCIDENT_INDEXES,
        "SELECT guard('incident', 'SELECT, INSERT, UPDATE')",
        *TYPES,
        APPEND_V3,
        LOAD_V3,
        LOAD_INCIDENTS,
        "REVOKE ALL ON FUNCTION append_v3, load_v3, load_incidents FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION append_v3, load_v3, load_incidents TO ag_api",
    ):
        op.execute(statement)


def downgrade() -> None:
    """No alert belongs to any other; the log keeps what was said of incidents."""
    op.execute("DROP FUNCTION load_incidents, load_v3, append_v3")
    op.execute(
        "DROP TYPE relied_incident, relied_group, logged_event, grouped_alert, filed_alert, written_incident"
    )
    op.execute("DROP TABLE incident")
    op.execute("ALTER TABLE tenant_settings DROP COLUMN grouping_labels, DROP COLUMN grouping_window")
    for table in (*_ALERT_TABLES, "event"):
        op.execute(f"ALTER TABLE {table} DROP COLUMN incident_id")
