"""Create predictions, and let what the model says of an alert be written with the alert it is about.

append_v4 takes what append_v3 took and the predictions of a flush. append_v3 stays beside it for the release
before this one, which makes none: an alert that the earlier release ends while both are running loses its advice,
and the prediction itself is kept.

Open alerts have no index of their advice: a prediction changes each alert once, soon after it triggered, and stays
on its page (HOT) only while nothing that it changes stands in an index. Of open alerts there are few enough to
look at all of them; closed ones are written once, with an entry more.

Predictions are kept by the month of their alert, so that they go with it.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "2026_11_23_181000"
down_revision = "2026_11_23_170000"
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
_CLOSED_TABLES = ("alert_closed", "alert_closed_late")

_CLOSED = """
    tenant_id, id, version, dedup_key, title, description, severity, status, source, monitored_service, labels,
    annotations, links, occurrence_count, triggered_at, last_seen_at, acknowledged_at, acknowledged_until,
    acknowledged_by, first_acknowledged_at, resolved_at, resolved_by, escalation_level, hold_reason,
    acknowledge_by, resolve_by, resolve_at, resolve_by_timeout, verdict, rule_id, ladder, escalation_round,
    resumes, next_escalation_at, judge_at, sla_marks, assignee, told,
    incident_id, incident_probability, self_resolve_probability, resolve_median
"""

# What was said never changes. What came of it is filled in once that is known; until then it is NULL. `shadow` has
# the chances of incident, breach and resolving itself by the version that is being tried.
PREDICTION = """
CREATE TABLE prediction (
    tenant_id uuid NOT NULL,
    alert_id uuid NOT NULL,
    model_version text NOT NULL,
    predicted_at timestamptz NOT NULL,
    incident_probability double precision NOT NULL,
    sla_breach_probability double precision NOT NULL,
    self_resolve_probability double precision NOT NULL,
    acknowledge_median interval,
    acknowledge_low interval,
    acknowledge_high interval,
    resolve_median interval,
    resolve_low interval,
    resolve_high interval,
    abstained boolean NOT NULL,
    features bytea NOT NULL,
    shadow_version text,
    shadow double precision[],
    needed_person smallint,
    breached smallint,
    self_resolved smallint,
    acknowledged_after real,
    resolved_after real,
    matured_at timestamptz,
    PRIMARY KEY (tenant_id, alert_id)
) PARTITION BY RANGE (alert_id)
"""
_OUTCOME = "needed_person, breached, self_resolved, acknowledged_after, resolved_after, matured_at"
PREDICTION_MATURED = """
CREATE INDEX prediction_matured ON prediction (tenant_id, matured_at) WHERE matured_at IS NOT NULL
"""

# state: 1 candidate, 2 shadow, 3 active, 4 retired. An artifact that is NULL is the bundled one.
PREDICTION_MODEL = """
CREATE TABLE prediction_model (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    version text NOT NULL,
    state smallint NOT NULL,
    trained_at timestamptz NOT NULL,
    example_count integer NOT NULL,
    metrics jsonb NOT NULL,
    calibration jsonb NOT NULL,
    artifact bytea,
    promoted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT prediction_model_version UNIQUE (tenant_id, version)
)
"""
# One version at a time decides.
PREDICTION_MODEL_ACTIVE = """
CREATE UNIQUE INDEX prediction_model_active ON prediction_model (tenant_id) WHERE state = 3
"""

# An alert may be older than the months that are kept ahead; nearly always the month is there.
ENSURE_PREDICTION_MONTHS = """
CREATE FUNCTION ensure_prediction_months(p_ids uuid[]) RETURNS void
LANGUAGE plpgsql SET search_path = alertgraph, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    v_month text;
    v_begin timestamptz;
BEGIN
    -- They come sorted, and those of a flush nearly always began in one month.
    v_month := uuid7_month(p_ids[1]);
    IF v_month = uuid7_month(p_ids[cardinality(p_ids)]) AND to_regclass('prediction_' || v_month) IS NOT NULL THEN
        RETURN;
    END IF;
    FOR v_month IN SELECT DISTINCT uuid7_month(i.id) FROM unnest(p_ids) AS i (id) LOOP
        IF to_regclass('prediction_' || v_month) IS NULL THEN
            v_begin := to_timestamp(v_month, '"y"YYYY"m"MM');
            PERFORM ensure_partitions(v_begin, v_begin);
        END IF;
    END LOOP;
END $$
"""

# What append_v4 takes beside the types of those before it: an array of each.
TYPES = (
    # place: 1 new, 2 changed, 3 ended, 4 new and ended.
    """
    CREATE TYPE predicted_alert AS (
        place smallint, event_index integer, occurrence_delta integer, id uuid, dedup_key text, title text,
        description text, severity smallint, status smallint, source text, monitored_service text, labels jsonb,
        annotations jsonb, links jsonb, occurrence_count integer, triggered_at timestamptz,
        last_seen_at timestamptz, acknowledged_at timestamptz, acknowledged_until timestamptz,
        acknowledged_by jsonb, first_acknowledged_at timestamptz, resolved_at timestamptz, resolved_by jsonb,
        escalation_level integer, hold_reason smallint, acknowledge_by timestamptz, resolve_by timestamptz,
        resolve_at timestamptz, resolve_by_timeout boolean, verdict smallint, due_at timestamptz, rule_id uuid,
        ladder jsonb, escalation_round integer, resumes boolean, next_escalation_at timestamptz,
        judge_at timestamptz, sla_marks smallint, assignee uuid, told uuid[],
        incident_id uuid, incident_probability double precision, self_resolve_probability double precision,
        resolve_median interval)
    """,
    """
    CREATE TYPE noted_alert AS (
        id uuid, event_index integer, verdict smallint, incident_id uuid, incident_probability double precision,
        self_resolve_probability double precision, resolve_median interval)
    """,
    # event_index: where nothing else changes about its open alert, which then is not among the others; else NULL.
    """
    CREATE TYPE new_prediction AS (
        event_index integer, alert_id uuid, model_version text, predicted_at timestamptz,
        incident_probability double precision, sla_breach_probability double precision,
        self_resolve_probability double precision,
        acknowledge_median interval, acknowledge_low interval, acknowledge_high interval, resolve_median interval,
        resolve_low interval, resolve_high interval, abstained boolean, features bytea, shadow_version text,
        shadow double precision[])
    """,
)

_ALERTS = """
    place, event_index, occurrence_delta, id, dedup_key, title, description, severity, status, source,
    monitored_service, labels, annotations, links, occurrence_count, triggered_at, last_seen_at, acknowledged_at,
    acknowledged_until, acknowledged_by, first_acknowledged_at, resolved_at, resolved_by, escalation_level,
    hold_reason, acknowledge_by, resolve_by, resolve_at, resolve_by_timeout, verdict, due_at, rule_id, ladder,
    escalation_round, resumes, next_escalation_at, judge_at, sla_marks, assignee, told, incident_id,
    incident_probability, self_resolve_probability, resolve_median"""

_PREDICTIONS = """
    event_index, alert_id, model_version, predicted_at, incident_probability, sla_breach_probability,
    self_resolve_probability, acknowledge_median, acknowledge_low, acknowledge_high, resolve_median, resolve_low,
    resolve_high, abstained, features, shadow_version, shadow"""

_DELIVERY = """
    tenant_id, id, alert_id, channel_id, channel_name, purpose, level, round, responder_id, address, status,
    wanted, created_at, due_at, attempt_count, sent_at, last_error, fallback_of, fell_back_to, bundle_id, change,
    is_first
"""

APPEND_V4 = f"""
CREATE FUNCTION append_v4(
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
    p_alerts predicted_alert[],
    p_new integer,
    p_changed integer,
    p_ended integer,
    p_new_and_ended integer,
    -- Alerts that were closed before, by id.
    p_filed noted_alert[],
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
    -- By the id of the alert, and how many of them are all that changes about theirs.
    p_predictions new_prediction[],
    p_advised integer,
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
    v_filed noted_alert;
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
    IF (cardinality(p_touched) > 0)::integer + (p_changed + p_ended > 0)::integer + (p_advised > 0)::integer > 1
    THEN
        PERFORM f.id
        FROM (SELECT i.id FROM (
                  SELECT a.id FROM unnest(p_alerts) a UNION SELECT t.id FROM unnest(p_touched) t
                  UNION SELECT n.alert_id FROM unnest(p_predictions) n) i
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
                   a.next_escalation_at, a.judge_at, a.sla_marks, a.assignee, a.told, a.incident_id,
                   a.incident_probability, a.self_resolve_probability, a.resolve_median
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
                incident_id = a.incident_id,
                incident_probability = a.incident_probability,
                self_resolve_probability = a.self_resolve_probability,
                resolve_median = a.resolve_median
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
            escalation_round, resumes, next_escalation_at, judge_at, sla_marks, assignee, told, incident_id,
            incident_probability, self_resolve_probability, resolve_median)
        SELECT p_tenant, a.id, o_first_number + a.event_index, a.dedup_key, a.title, a.description, a.severity,
               a.status, a.source, a.monitored_service, a.labels, a.annotations, a.links, a.occurrence_count,
               a.triggered_at, a.last_seen_at, a.acknowledged_at, a.acknowledged_until, a.acknowledged_by,
               a.first_acknowledged_at, a.escalation_level, a.hold_reason, a.acknowledge_by, a.resolve_by,
               a.resolve_at, a.resolve_by_timeout, a.verdict, a.due_at, a.rule_id, a.ladder, a.escalation_round,
               a.resumes, a.next_escalation_at, a.judge_at, a.sla_marks, a.assignee, a.told, a.incident_id,
               a.incident_probability, a.self_resolve_probability, a.resolve_median
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
                incident_id = v_filed.incident_id,
                incident_probability = v_filed.incident_probability,
                self_resolve_probability = v_filed.self_resolve_probability,
                resolve_median = v_filed.resolve_median
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
                incident_id = v_filed.incident_id,
                incident_probability = v_filed.incident_probability,
                self_resolve_probability = v_filed.self_resolve_probability,
                resolve_median = v_filed.resolve_median
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

    -- Of most predictions the alert takes nothing but the advice.
    IF p_advised > 0 THEN
        SELECT array_agg(f.ctid ORDER BY n.ordinality), count(f.ctid)::integer INTO v_places, v_row_count
        FROM unnest(p_predictions) WITH ORDINALITY n LEFT JOIN LATERAL (
            SELECT o.ctid FROM alert_open o
            WHERE n.event_index IS NOT NULL AND o.tenant_id = p_tenant AND o.id >= n.alert_id
                AND o.id <= n.alert_id
            ORDER BY o.id LIMIT 1 FOR NO KEY UPDATE) f ON true;
        IF v_row_count <> p_advised THEN
            RAISE EXCEPTION 'stale alert: not open' USING ERRCODE = '40001';
        END IF;
        WITH advised AS (
            UPDATE alert_open o SET
                version = o_first_number + n.event_index,
                incident_probability = n.incident_probability,
                self_resolve_probability = n.self_resolve_probability,
                resolve_median = n.resolve_median
            FROM ROWS FROM (unnest(p_predictions), unnest(v_places)) AS n ({_PREDICTIONS}, row_place)
            WHERE o.ctid = n.row_place
            RETURNING o.id, o.occurrence_count
        )
        SELECT array_agg(id), array_agg(occurrence_count) INTO v_ids, v_counts FROM advised;
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

    -- 11. The predictions. One that is there stays: an alert that the release before this one has ended meanwhile
    -- does not tell of it any more.
    IF cardinality(p_predictions) > 0 THEN
        PERFORM ensure_prediction_months(ARRAY(SELECT n.alert_id FROM unnest(p_predictions) n));
        INSERT INTO prediction (
            tenant_id, alert_id, model_version, predicted_at, incident_probability, sla_breach_probability,
            self_resolve_probability, acknowledge_median, acknowledge_low, acknowledge_high, resolve_median,
            resolve_low, resolve_high, abstained, features, shadow_version, shadow)
        SELECT p_tenant, n.alert_id, n.model_version, n.predicted_at, n.incident_probability,
               n.sla_breach_probability, n.self_resolve_probability, n.acknowledge_median, n.acknowledge_low,
               n.acknowledge_high, n.resolve_median, n.resolve_low, n.resolve_high, n.abstained, n.features,
               n.shadow_version, n.shadow
        FROM unnest(p_predictions) n
        ON CONFLICT (tenant_id, alert_id) DO NOTHING;
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
    incident_id uuid, incident_probability double precision, self_resolve_probability double precision,
    resolve_median interval
"""

_COLUMNS_OF = """
    {0}.id, {0}.version, {0}.dedup_key, {0}.title, {0}.description, {0}.severity, {0}.status,
    {0}.source, {0}.monitored_service, {0}.labels, {0}.annotations, {0}.links, {0}.occurrence_count,
    {0}.triggered_at, {0}.last_seen_at, {0}.acknowledged_at,
    {0}.acknowledged_until, {0}.acknowledged_by, {0}.first_acknowledged_at,
    {0}.resolved_at, {0}.resolved_by, {0}.escalation_level, {0}.hold_reason,
    {0}.acknowledge_by, {0}.resolve_by, {0}.resolve_at, {0}.resolve_by_timeout,
    {0}.verdict, {0}.rule_id, {0}.ladder, {0}.escalation_round, {0}.resumes, {0}.next_escalation_at, {0}.judge_at,
    {0}.sla_marks, {0}.assignee, {0}.told, {0}.incident_id,
    {0}.incident_probability, {0}.self_resolve_probability, {0}.resolve_median
"""

# What was asked by key (1), by id (2), and the answers given before (3), in one round trip.
LOAD_V4 = f"""
CREATE FUNCTION load_v4(
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

_PARTITIONS = """
    SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = '{0}'::regclass AND NOT i.inhdetachpending ORDER BY 1
"""
_UNFINISHED = """
    SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE NOT i.indisvalid AND c.relkind = 'i' AND c.relnamespace = 'alertgraph'::regnamespace
        AND c.relname ~ '^alert_closed_.*predicted$'
"""
_ATTACHED = "SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass('alertgraph.{0}'))"
# With all that lists are sorted by, so that what is found is sorted from the index alone.
_OF_ALERTS = (
    "(tenant_id, incident_probability, id) INCLUDE (triggered_at, last_seen_at, severity)"
    " WHERE incident_probability IS NOT NULL"
)


def _index(table: str, what: str) -> None:
    """Index a table beside the work that goes on, partition by partition; what is there already is left."""
    bind = op.get_bind()
    partitions = [row[0] for row in bind.execute(text(_PARTITIONS.format(table))).fetchall()]
    if not partitions:
        op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {table}_predicted ON {table} {what}")
        return
    op.execute(f"CREATE INDEX IF NOT EXISTS {table}_predicted ON ONLY {table} {what}")
    for partition in partitions:
        own = f"{partition}_predicted"
        op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {own} ON {partition} {what}")
        if not bind.execute(text(_ATTACHED.format(own))).scalar():
            op.execute(f"ALTER INDEX {table}_predicted ATTACH PARTITION {own}")


def upgrade() -> None:
    """What the model says of an alert can be kept, and lists know its chance."""
    # What comes after the indexes is not done where they fail: then all of it is begun again.
    for table in _ALERT_TABLES:
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS incident_probability double precision, "
            "ADD COLUMN IF NOT EXISTS self_resolve_probability double precision, "
            "ADD COLUMN IF NOT EXISTS resolve_median interval"
        )
    with op.get_context().autocommit_block():
        for (name,) in op.get_bind().execute(text(_UNFINISHED)).fetchall():
            op.execute(f'DROP INDEX CONCURRENTLY "{name}"')
        for table in _CLOSED_TABLES:
            _index(table, _OF_ALERTS)
    for statement in (
        # Each alert is written once more right after it began: with less room, half of them leave their page, and
        # cost an entry in every index.
        "ALTER TABLE alert_open SET (fillfactor = 45)",
        PREDICTION,
        PREDICTION_MATURED,
        PREDICTION_MODEL,
        PREDICTION_MODEL_ACTIVE,
        "SELECT guard('prediction', 'SELECT, INSERT')",
        f"GRANT UPDATE ({_OUTCOME}) ON prediction TO ag_api",
        "SELECT guard('prediction_model', 'SELECT, INSERT, UPDATE')",
        "SELECT ensure_partitions(now() - interval '1 month', now() + interval '2 months')",
        # Said to be immutable it was called for each row, since what it calls is not; as it is, it is inlined.
        "ALTER FUNCTION uuid7_month(uuid) STABLE",
        *TYPES,
        ENSURE_PREDICTION_MONTHS,
        APPEND_V4,
        LOAD_V4,
        "REVOKE ALL ON FUNCTION ensure_prediction_months, append_v4, load_v4 FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION ensure_prediction_months, append_v4, load_v4 TO ag_api",
    ):
        op.execute(statement)


def downgrade() -> None:
    """No prediction is left, and no model of a tenant's own; the log keeps what was said of its alerts."""
    op.execute("DROP FUNCTION load_v4, append_v4, ensure_prediction_months")
    op.execute("DROP TYPE predicted_alert, noted_alert, new_prediction")
    op.execute("DROP TABLE prediction_model, prediction")
    op.execute("ALTER FUNCTION uuid7_month(uuid) IMMUTABLE")
    op.execute("ALTER TABLE alert_open SET (fillfactor = 70)")
    for table in _ALERT_TABLES:
        op.execute(
            f"ALTER TABLE {table} DROP COLUMN incident_probability, DROP COLUMN self_resolve_probability, "
            "DROP COLUMN resolve_median"
        )
