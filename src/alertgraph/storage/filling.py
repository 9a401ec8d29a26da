"""Fills an empty database with alerts as a year of use would leave them, by statements over whole months.

For measurements only; nothing that serves imports this. What is true of the result, since queries rely on it:
alerts of all tenants lie mixed, in the order of time, in the partitions of their months; indexes and search terms
know all of them; counters by the day and by the minute say what happened; each tenant's log is one chain without
gaps that `alertgraph audit verify` accepts. What is not: only a share of the alerts has its events in the log, but
for the days on which the usual windows of figures begin, where each alert has them; rules, people and channels are
named that nobody has set up; and of what a model says, there is only what lists are ordered by.

Everything happens in one transaction: a database is filled, or as it was. Where the server keeps no more of its
log than it needs for itself (`wal_level = minimal`, as the embedded one does), rows and indexes go past that log.
"""

# ruff: noqa: S608 - statements are put together from constant fragments; values are numbered parameters

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from alertgraph.core.actor import OPERATOR, Actor, ActorKind
from alertgraph.core.alert import AlertStatus, AlertVerdict, HoldReason
from alertgraph.core.delivery import DeliveryStatus, Purpose
from alertgraph.core.event import Event, EventKind, FieldChange, canonical
from alertgraph.core.ids import AlertId, NodeKind, TenantId, encode_id
from alertgraph.core.metrics import GAMMA, MINUTES_KEPT
from alertgraph.core.search import alert_terms
from alertgraph.core.severity import Severity
from alertgraph.core.slo import TIER_TARGETS
from alertgraph.core.tier import Tier
from alertgraph.storage.database import Connection

# Longer than the longest usual window, so that it has a begin like any other.
DAYS = 395
OPEN_DAYS = 14
# The largest tenant has about 30 % of all alerts, the smallest about 0.03 %.
SKEW = 0.7
# One alert in so many has its events in the log, and each one that began on one of these days.
LOGGED_EVERY = 20
LOGGED_DAYS = (range(32), range(89, 92), range(364, 367))
FLUSH_LENGTH = 50
PERSON_COUNT, RULE_COUNT, CHANNEL_COUNT = 20, 4, 5
TABLES = ("alert_open", "alert_closed", "alert_terms", "event", "delivery")

_TARGETS = TIER_TARGETS[Tier.STANDARD]
_SENDER = Actor(ActorKind.SENDER, "prometheus", "key:bench")
_PERSON_NAME = "Ada"
# These stand for what a statement puts into texts of events, in the order in which their canonical form has it.
_MARKS = (
    "<reference>",
    "<number>",
    UUID(int=(1 << 128) - 1),
    "<source>",
    "0999-12-31T23:59:59.999999Z",
    "<value>",
)
_MARKED_INSTANT = datetime(999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
_MARKED_MS = 987_654_321_987


@dataclass(frozen=True, slots=True)
class Sample:
    """What made-up alerts are about, again and again."""

    title: str
    description: str
    severity: Severity
    service: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def key(self) -> str:
        """What its alerts are known by; of those that are open, with a number behind it."""
        return f"{self.service}/{self.title}"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a database is filled with.

    Attributes:
        tenants: Largest first; they are there already, and empty.
        now: The last instant of all.
    """

    tenants: Sequence[TenantId]
    samples: Sequence[Sample]
    closed_count: int
    open_count: int
    now: datetime
    seed: int

    @property
    def begin(self) -> datetime:
        """The first instant of all."""
        return self.now - timedelta(days=DAYS)


def shares(total: int, count: int) -> list[int]:
    """Return how many of `total` each of `count` tenants has, the largest first: all of them together `total`."""
    weights = [SKEW**place for place in range(count)]
    sizes = [int(total * weight / sum(weights)) for weight in weights]
    sizes[0] += total - sum(sizes)
    return sizes


# ------------------------------------------------------------------------------------------ draws

_TEMPORARY = (
    """
    CREATE TEMP TABLE fill_tenant (
        place smallint PRIMARY KEY, tenant_id uuid NOT NULL, prefix text NOT NULL) ON COMMIT DROP
    """,
    """
    CREATE TEMP TABLE fill_sample (
        sample integer PRIMARY KEY, title text, description text, severity smallint, service text, labels jsonb,
        annotations jsonb, key text, terms text[], acknowledge_within interval, resolve_within interval
    ) ON COMMIT DROP
    """,
    """
    CREATE TEMP TABLE fill_text (
        sample integer, variant smallint, pieces text[], PRIMARY KEY (sample, variant)) ON COMMIT DROP
    """,
    # People, rules and channels of a tenant.
    """
    CREATE TEMP TABLE fill_name (
        place smallint, sort smallint, number smallint, id uuid, reference text, actor jsonb,
        PRIMARY KEY (place, sort, number)) ON COMMIT DROP
    """,
    "CREATE TEMP TABLE fill_share (place smallint, first integer, count integer, is_open boolean) ON COMMIT DROP",
    """
    CREATE TEMP TABLE fill_alert (
        part smallint NOT NULL, place smallint NOT NULL, number integer NOT NULL, id uuid NOT NULL,
        sample integer NOT NULL, source text NOT NULL, triggered_at timestamptz NOT NULL,
        acknowledged_at timestamptz, resolved_at timestamptz, repeat_count integer NOT NULL,
        level smallint NOT NULL, rule smallint, person smallint NOT NULL, assignee smallint, verdict smallint,
        logged boolean NOT NULL
    ) PARTITION BY LIST (part) ON COMMIT DROP
    """,
)

_PERSON, _RULE, _CHANNEL = 1, 2, 3

# A year has its quiet hours, but those make no query slower: alerts are spread evenly over a part of it.
_DRAW = f"""
    INSERT INTO fill_alert
    SELECT $1::smallint, place, number,
           (lpad(to_hex(floor(extract(epoch FROM triggered_at) * 1000)::bigint), 12, '0') || '7' || left(dice, 3)
               || '8' || substr(dice, 4, 15))::uuid,
           sample, source, triggered_at, CASE WHEN resolved_at < acknowledged_at THEN resolved_at
                                              ELSE acknowledged_at END,
           resolved_at, repeat_count,
           CASE WHEN is_open THEN (acknowledged_at IS NOT NULL)::integer ELSE level END,
           CASE WHEN NOT is_open OR acknowledged_at IS NOT NULL THEN rule END, person, assignee, verdict,
           number % {LOGGED_EVERY} = 0 OR logged_day
    FROM (
        SELECT *,
               CASE WHEN taken < 0.4 THEN triggered_at + make_interval(secs => least(-ln(1 - soon) * 900, age / 3))
               END AS acknowledged_at,
               CASE WHEN NOT is_open
                    THEN triggered_at + make_interval(secs => least(60 - ln(1 - late) * 7200, age * 0.9))
               END AS resolved_at,
               EXISTS (SELECT FROM unnest($5::float8[], $6::float8[]) AS day (low, high)
                       WHERE age >= day.low AND age < day.high) AS logged_day
        FROM (
            SELECT *, extract(epoch FROM $4 - triggered_at)::float8 AS age
            FROM (
                SELECT s.place, s.is_open, s.first + n AS number,
                       md5(concat_ws(':', $7::text, s.place, s.first + n)) AS dice,
                       $2::timestamptz + ($3::timestamptz - $2) * random() AS triggered_at,
                       floor(random() ^ 2 * $8)::integer AS sample, random() AS taken, random() AS soon,
                       random() AS late, 1 << floor(random() * 6)::integer AS repeat_count,
                       CASE WHEN kind < 0.9 THEN 'prometheus' WHEN kind < 0.98 THEN 'grafana'
                            WHEN kind < 0.999 THEN 'heartbeat' ELSE 'manual' END AS source,
                       CASE WHEN high < 0.3 THEN 0 WHEN high < 0.9 THEN 1 WHEN high < 0.98 THEN 2 ELSE 3
                       END AS level,
                       CASE WHEN way < 0.7 THEN 0 WHEN way < 0.949 THEN 1 WHEN way < 0.999 THEN 2 ELSE 3
                       END AS rule,
                       floor(random() ^ 2 * {PERSON_COUNT})::smallint AS person,
                       CASE WHEN random() < 0.05 THEN floor(random() * {PERSON_COUNT})::smallint END AS assignee,
                       CASE WHEN said < 0.005 THEN {AlertVerdict.ACTIONABLE:d} WHEN said < 0.02
                            THEN {AlertVerdict.NOISE:d} END AS verdict
                FROM fill_share s CROSS JOIN LATERAL (
                    SELECT n, random() AS kind, random() AS high, random() AS way, random() AS said
                    FROM generate_series(1, s.count) AS n
                ) AS drawn
            ) AS begun
        ) AS aged
    ) AS ended
    ORDER BY triggered_at
"""

# ------------------------------------------------------------------------------------------ log

# What happened to those alerts that are in the log, one row for each event. A variant is a text of its sample's.
_RESOLVED_VARIANT = 4
_SUBJECT_VARIANT = 8
_HAPPENED = f"""
    CREATE TEMP TABLE fill_happened ON COMMIT DROP AS
    WITH logged AS (
        SELECT a.*, s.acknowledge_within, s.resolve_within FROM fill_alert a JOIN fill_sample s USING (sample)
        WHERE a.logged
    )
    SELECT place, triggered_at AS at, id, number AS alert_number, sample, source, person,
           resolved_at IS NULL AS is_open, 1::smallint AS variant, ''::text AS value
    FROM logged
    UNION ALL
    SELECT place, triggered_at + (COALESCE(resolved_at, triggered_at + interval '10 minutes') - triggered_at)
               * (power / 64.0), id, number, sample, source, person, resolved_at IS NULL, 2::smallint, power::text
    FROM logged CROSS JOIN unnest(ARRAY[2, 4, 8, 16, 32]) AS power WHERE power <= repeat_count
    UNION ALL
    SELECT place, acknowledged_at, id, number, sample, source, person, resolved_at IS NULL, 3::smallint,
           floor(extract(epoch FROM acknowledged_at - triggered_at) * 1000)::bigint::text
    FROM logged WHERE acknowledged_at IS NOT NULL
    UNION ALL
    SELECT place, resolved_at, id, number, sample, source, person, false,
           ({_RESOLVED_VARIANT} + (acknowledged_at IS NULL)::integer + 2 * (
               least(acknowledged_at, resolved_at) <= triggered_at + acknowledge_within
               AND resolved_at <= triggered_at + resolve_within)::integer)::smallint,
           floor(extract(epoch FROM resolved_at - triggered_at) * 1000)::bigint::text
    FROM logged WHERE resolved_at IS NOT NULL
    UNION ALL
    SELECT t.place, day, NULL, NULL, 0, '', 0, false, {_SUBJECT_VARIANT}::smallint, rule.reference
    FROM fill_tenant t JOIN fill_name rule ON rule.place = t.place AND rule.sort = {_RULE} AND rule.number = 0,
        generate_series($1::timestamptz, $2::timestamptz, interval '1 day') AS day
"""
_TOLD = f"""
    CREATE TEMP TABLE fill_told ON COMMIT DROP AS
    SELECT *, max(at) OVER (PARTITION BY place, flush) AS recorded_at FROM (
        SELECT *, (number - 1) / {FLUSH_LENGTH} AS flush FROM (
            SELECT *, row_number() OVER (PARTITION BY place ORDER BY at, id, variant) AS number FROM fill_happened
        ) AS numbered
    ) AS flushed
    ORDER BY recorded_at, place, number
"""
_CONTENT = """
    x.pieces[1] || CASE WHEN t.variant = 3 THEN p.reference ELSE '' END
    || x.pieces[2] || CASE WHEN t.is_open THEN '#' || t.alert_number ELSE '' END
    || x.pieces[3] || COALESCE(t.id::text, '') || x.pieces[4] || t.source
    || x.pieces[5] || to_char(t.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    || x.pieces[6] || t.value || x.pieces[7]
"""
_FLUSH_ID = "md5(concat_ws(':', $1::text, t.place, t.flush))::uuid"
_SAID = f"""
    FROM fill_told t JOIN fill_text x USING (sample, variant)
    JOIN fill_name p ON p.place = t.place AND p.sort = {_PERSON} AND p.number = t.person
    CROSS JOIN LATERAL (SELECT {_CONTENT} AS content) AS said
"""
_LEAF = "sha256('\\x00'::bytea || convert_to(said.content, 'UTF8'))"
_FLUSHES = f"""
    CREATE TEMP TABLE fill_flush ON COMMIT DROP AS
    SELECT t.place, t.flush, min(t.number) AS first, max(t.number) AS last, t.recorded_at,
           string_agg({_LEAF}, ''::bytea ORDER BY t.number) AS leaves
    {_SAID} GROUP BY t.place, t.flush, t.recorded_at
"""
# As core.event.next_link has it.
_LINK = """
    DO $$
    DECLARE
        f record;
        v_place smallint := -1;
        v_link bytea;
    BEGIN
        CREATE TEMP TABLE fill_link (place smallint, number bigint, link bytea) ON COMMIT DROP;
        FOR f IN SELECT * FROM fill_flush ORDER BY place, flush LOOP
            IF f.place <> v_place THEN
                v_place := f.place;
                v_link := decode(repeat('00', 32), 'hex');
            END IF;
            v_link := sha256(v_link || int8send(f.first)
                || int8send((extract(epoch FROM f.recorded_at) * 1000000)::bigint) || uuid_send(
                    md5(concat_ws(':', current_setting('fill.seed'), f.place, f.flush))::uuid) || f.leaves);
            INSERT INTO fill_link VALUES (f.place, f.last, v_link);
        END LOOP;
    END $$
"""
_EVENTS = f"""
    INSERT INTO event (
        tenant_id, number, recorded_at, flush_id, kind, actor_kind, alert_id, severity_before, severity_after,
        service_before, service_after, source, subject_type, subject_id, content, leaf, link)
    SELECT f.tenant_id, t.number, t.recorded_at, {_FLUSH_ID},
           CASE t.variant WHEN 1 THEN {EventKind.TRIGGERED:d} WHEN 2 THEN {EventKind.REPEATED:d}
               WHEN 3 THEN {EventKind.ACKNOWLEDGED:d} WHEN {_SUBJECT_VARIANT} THEN {EventKind.CONFIG_UPDATED:d}
               ELSE {EventKind.RESOLVED:d} END,
           CASE t.variant WHEN 3 THEN {ActorKind.PERSON:d} WHEN {_SUBJECT_VARIANT} THEN {ActorKind.OPERATOR:d}
               ELSE {ActorKind.SENDER:d} END,
           t.id, CASE WHEN t.variant > 1 AND t.id IS NOT NULL THEN s.severity END,
           CASE WHEN t.id IS NOT NULL THEN s.severity END,
           CASE WHEN t.variant > 1 AND t.id IS NOT NULL THEN s.service END,
           CASE WHEN t.id IS NOT NULL THEN s.service END, t.source,
           CASE WHEN t.id IS NULL THEN 'EscalationRule' END, CASE WHEN t.id IS NULL THEN t.value END,
           said.content, {_LEAF}, l.link
    {_SAID}
    JOIN fill_tenant f ON f.place = t.place JOIN fill_sample s ON s.sample = t.sample
    LEFT JOIN fill_link l ON l.place = t.place AND l.number = t.number
"""
_HEADS = """
    UPDATE tenant_head h SET number = e.number, link = e.link, leaf = e.leaf, recorded_at = e.recorded_at
    FROM (
        SELECT f.tenant_id, one.* FROM fill_tenant f CROSS JOIN LATERAL (
            SELECT number, link, leaf, recorded_at FROM event WHERE tenant_id = f.tenant_id
            ORDER BY number DESC LIMIT 1) AS one
    ) AS e WHERE h.tenant_id = e.tenant_id
"""
_POSITIONS = """
    INSERT INTO index_position (tenant_id, number, recorded_at)
    SELECT tenant_id, number, recorded_at FROM tenant_head JOIN fill_tenant USING (tenant_id)
"""
_VERSIONS = """
    CREATE TEMP TABLE fill_version ON COMMIT DROP AS
    SELECT id, max(number) AS version FROM fill_told WHERE id IS NOT NULL GROUP BY id
"""

# ------------------------------------------------------------------------------------------ alerts

_RAW_SENDER = {"kind": int(_SENDER.kind), "name": _SENDER.name, "reference": _SENDER.reference}
# Of one alert in ten the model said nothing; of most others that they hardly need a person.
_CHANCE = "(('x' || right(a.id::text, 6))::bit(24)::integer / 16777216::float8)"
_ALERT = {
    "tenant_id": "f.tenant_id",
    "id": "a.id",
    "version": "COALESCE(v.version, 1)",
    "dedup_key": "s.key || CASE WHEN a.resolved_at IS NULL THEN '#' || a.number ELSE '' END",
    "title": "s.title",
    "description": "s.description",
    "severity": "s.severity",
    "status": f"CASE WHEN a.resolved_at IS NOT NULL THEN {AlertStatus.RESOLVED:d}"
    f" WHEN a.acknowledged_at IS NOT NULL THEN {AlertStatus.ACKNOWLEDGED:d} ELSE {AlertStatus.TRIGGERED:d} END",
    "source": "a.source",
    "monitored_service": "s.service",
    "labels": "s.labels",
    "annotations": "s.annotations",
    "links": "'[]'",
    "occurrence_count": "a.repeat_count",
    "triggered_at": "a.triggered_at",
    "last_seen_at": "COALESCE(a.resolved_at, a.triggered_at + (now() - a.triggered_at) * random())",
    "acknowledged_at": "a.acknowledged_at",
    "acknowledged_by": "CASE WHEN a.acknowledged_at IS NOT NULL THEN p.actor END",
    "first_acknowledged_at": "a.acknowledged_at",
    "resolved_at": "a.resolved_at",
    "resolved_by": "CASE WHEN a.resolved_at IS NOT NULL THEN $2::jsonb END",
    "escalation_level": "a.level",
    "hold_reason": f"CASE WHEN a.resolved_at IS NULL THEN CASE WHEN a.acknowledged_at IS NOT NULL"
    f" THEN {HoldReason.ACKNOWLEDGED:d} ELSE {HoldReason.NO_MATCHING_RULE:d} END END",
    "acknowledge_by": "a.triggered_at + s.acknowledge_within",
    "resolve_by": "a.triggered_at + s.resolve_within",
    "resolve_by_timeout": "false",
    "verdict": "a.verdict",
    "rule_id": "r.id",
    "assignee": "g.id",
    "incident_probability": f"CASE WHEN a.number % 10 <> 0 THEN {_CHANCE} ^ 3 END",
    "self_resolve_probability": f"CASE WHEN a.number % 10 <> 0 THEN 1 - {_CHANCE} END",
    "resolve_median": "CASE WHEN a.number % 10 <> 0 THEN s.resolve_within / 4 END",
}
_ALERTS = f"""
    INSERT INTO {{table}} ({", ".join(_ALERT)})
    SELECT {", ".join(_ALERT.values())}
    FROM fill_alert a JOIN fill_tenant f ON f.place = a.place JOIN fill_sample s ON s.sample = a.sample
    JOIN fill_name p ON p.place = a.place AND p.sort = {_PERSON} AND p.number = a.person
    LEFT JOIN fill_name r ON r.place = a.place AND r.sort = {_RULE} AND r.number = a.rule
    LEFT JOIN fill_name g ON g.place = a.place AND g.sort = {_PERSON} AND g.number = a.assignee
    LEFT JOIN fill_version v ON v.id = a.id
    WHERE a.part = $1 AND a.resolved_at IS {{which}}
"""
_TERMS = """
    INSERT INTO alert_terms (tenant_id, id, terms)
    SELECT f.tenant_id, a.id, k.terms
    FROM fill_alert a JOIN fill_tenant f ON f.place = a.place
    JOIN fill_terms k ON k.place = a.place AND k.sample = a.sample WHERE a.part = $1
"""
_TENANT_TERMS = """
    CREATE TEMP TABLE fill_terms ON COMMIT DROP AS
    SELECT f.place, s.sample, ARRAY(SELECT f.prefix || term FROM unnest(s.terms) AS term) AS terms
    FROM fill_tenant f CROSS JOIN fill_sample s
"""
_DELIVERIES = f"""
    INSERT INTO delivery (
        tenant_id, id, alert_id, channel_id, channel_name, purpose, level, round, responder_id, status, wanted,
        created_at, due_at, attempt_count, sent_at, last_error, is_first)
    SELECT f.tenant_id,
           (left(a.id::text, 14) || '7' || left(x.dice, 3) || '-8' || substr(x.dice, 4, 3) || '-'
               || substr(x.dice, 7, 12))::uuid,
           a.id, c.id, 'channel ' || c.number, {Purpose.PAGE:d}, greatest(a.level, 1), 0, p.id, x.status, true,
           a.triggered_at, a.triggered_at, 1,
           CASE x.status WHEN {DeliveryStatus.SENT:d} THEN a.triggered_at + interval '1 second' END,
           CASE x.status WHEN {DeliveryStatus.FAILED:d} THEN 'The channel answered 503.' END, false
    FROM fill_alert a
    CROSS JOIN LATERAL (
        SELECT CASE a.number % 100 WHEN 20 THEN {DeliveryStatus.FAILED:d} WHEN 40 THEN {DeliveryStatus.SKIPPED:d}
               ELSE {DeliveryStatus.SENT:d} END AS status, md5(a.id::text) AS dice) AS x
    JOIN fill_tenant f ON f.place = a.place
    JOIN fill_name p ON p.place = a.place AND p.sort = {_PERSON} AND p.number = a.person
    JOIN fill_name c ON c.place = a.place AND c.sort = {_CHANNEL} AND c.number = a.number / 20 % {CHANNEL_COUNT}
    WHERE a.logged AND a.part = $1
"""

# ------------------------------------------------------------------------------------------ figures

_COUNTED = """
    WITH a AS (
        SELECT f.tenant_id, s.severity, s.service, a.triggered_at, a.acknowledged_at, a.resolved_at,
               a.triggered_at + s.acknowledge_within AS acknowledge_by,
               a.triggered_at + s.resolve_within AS resolve_by
        FROM fill_alert a JOIN fill_tenant f ON f.place = a.place JOIN fill_sample s ON s.sample = a.sample
    ), happened AS (
        SELECT tenant_id, severity, service, triggered_at AS at, 1 AS created, 0 AS acknowledged, 0 AS resolved,
               1 AS opened, 0::bigint AS acknowledge_ms, 0::bigint AS resolve_ms, 0 AS sla_met, 0 AS self_resolved
        FROM a
        UNION ALL
        SELECT tenant_id, severity, service, acknowledged_at, 0, 1, 0, 0,
               floor(extract(epoch FROM acknowledged_at - triggered_at) * 1000)::bigint, 0, 0, 0
        FROM a WHERE acknowledged_at IS NOT NULL
        UNION ALL
        SELECT tenant_id, severity, service, resolved_at, 0, 0, 1, -1, 0,
               floor(extract(epoch FROM resolved_at - triggered_at) * 1000)::bigint,
               (least(acknowledged_at, resolved_at) <= acknowledge_by AND resolved_at <= resolve_by)::integer,
               (acknowledged_at IS NULL)::integer
        FROM a WHERE resolved_at IS NOT NULL
    )
"""
_COUNTERS = f"""
    INSERT INTO {{table}} (
        tenant_id, {{column}}, severity, monitored_service, created, acknowledged, resolved, escalated, opened,
        acknowledge_ms, resolve_ms, sla_total, sla_met, self_resolved)
    {_COUNTED}
    SELECT tenant_id, {{unit}}, severity, service, sum(created), sum(acknowledged), sum(resolved), 0, sum(opened),
           sum(acknowledge_ms), sum(resolve_ms), sum(resolved), sum(sla_met), sum(self_resolved)
    FROM happened WHERE at >= $1 GROUP BY 1, 2, 3, 4 ORDER BY 2
"""
_DURATIONS = f"""
    INSERT INTO {{table}} (tenant_id, {{column}}, severity, monitored_service, kind, bucket, count)
    {_COUNTED}, took AS (
        SELECT tenant_id, at, severity, service, CASE WHEN acknowledged = 1 THEN 1 ELSE 2 END AS kind,
               acknowledge_ms + resolve_ms AS ms
        FROM happened WHERE acknowledged + resolved > 0
    )
    SELECT tenant_id, {{unit}}, severity, service, kind,
           CASE WHEN ms < 1 THEN 0
                ELSE greatest(0, floor(ln(ms::float8) / {math.log(GAMMA)!r}) + 1) END::smallint, count(*)
    FROM took WHERE at >= $1 GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 2
"""
_DAY = ("day", "(at AT TIME ZONE 'UTC')::date")
_MINUTE = ("at", "date_trunc('minute', at, 'UTC')")
_OPEN_COUNT = """
    INSERT INTO open_count (tenant_id, severity, monitored_service, count)
    SELECT tenant_id, severity, monitored_service, count(*) FROM alert_open GROUP BY 1, 2, 3
"""
_LABEL_USAGE = """
    INSERT INTO label_usage (tenant_id, label, value_hash, value, uses)
    SELECT tenant_id, label, sha256(convert_to(value, 'UTF8')), value, sum(uses)
    FROM (SELECT place, sample, count(*) AS uses FROM fill_alert GROUP BY 1, 2) AS a
    JOIN fill_tenant USING (place) JOIN fill_sample USING (sample), jsonb_each_text(labels) AS one (label, value)
    GROUP BY 1, 2, 4
"""
_LABEL_NAME = """
    INSERT INTO label_name (tenant_id, label, uses)
    SELECT tenant_id, label, sum(uses) FROM label_usage GROUP BY 1, 2
"""
# Folding makes hours of minutes: all that an hour counts is put at its beginning, folded, and removed again.
_HOUR = ("at", "date_trunc('hour', at, 'UTC')")
_BEGIN_FOLD = """
    INSERT INTO metric_fold (tenant_id, days_until, hours_since, hours_until)
    SELECT tenant_id, ($1::timestamptz AT TIME ZONE 'UTC')::date, date_trunc('hour', $1::timestamptz, 'UTC'),
           date_trunc('hour', $1::timestamptz, 'UTC')
    FROM fill_tenant
"""
_FOLD = "SELECT fold_figures(tenant_id) FROM fill_tenant"
_COUNTER_TABLES = (
    "metric_minute",
    "metric_day",
    "metric_minute_duration",
    "metric_day_duration",
    "metric_span",
    "metric_fold",
    "open_count",
    "label_usage",
    "label_name",
    "index_position",
)

_INDEXES = """
    SELECT c.relname::text AS name, pg_get_indexdef(i.indexrelid) AS definition
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = $1::regclass AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
"""
_SETTINGS = """
    SET maintenance_work_mem = '512MB'; SET work_mem = '256MB'; SET hash_mem_multiplier = 2;
    SET temp_buffers = '64MB'; SET synchronous_commit = off; SET jit = off; SET statement_timeout = 0;
    SET lock_timeout = '10s';
    SET max_parallel_workers_per_gather = 0; SET timezone = 'UTC'
"""


async def fill(connection: Connection, contents: Contents, told: Callable[[str, float], None]) -> dict[str, float]:
    """Fill a database whose tenants have nothing yet; return the seconds that each step took.

    Args:
        connection: The owner's, in no transaction; its settings are changed.
        contents: What it is filled with.
        told: Called after each step with its name and how much of all is done, 0 to 1.
    """
    filling = _Filling(connection, contents, told)
    await connection.execute(_SETTINGS)
    async with connection.transaction():
        await filling.run()
    await filling.vacuum()
    return filling.seconds


class _Filling:
    def __init__(self, connection: Connection, contents: Contents, told: Callable[[str, float], None]) -> None:
        self._connection = connection
        self._contents = contents
        self._told = told
        self._parts = list(_parts(contents))
        self._step_count = 2 * len(self._parts) + len(TABLES) + 4
        self._done = 0
        self.seconds: dict[str, float] = {}

    async def run(self) -> None:
        contents, execute = self._contents, self._connection.execute
        await execute("SELECT ensure_partitions($1, $2)", contents.begin, contents.now + timedelta(days=61))
        # They are empty. What is emptied and filled in one transaction need not go through the server's log.
        await execute(f"TRUNCATE {', '.join((*TABLES, *_COUNTER_TABLES))}")
        definitions = await self._drop_indexes()
        for statement in _TEMPORARY:
            await execute(statement)
        await self._name_everything()
        await execute("SELECT setseed($1)", (contents.seed % 1_000_003) / 1_000_003)
        for number, (since, until) in enumerate(self._parts):
            await self._timed("draw", self._draw(number, since, until))
        await execute("ANALYZE fill_alert")
        await self._timed("log", self._log())
        await execute(_TENANT_TERMS)
        await execute("ANALYZE fill_terms")
        for number in range(len(self._parts)):
            await self._timed("alerts", self._keep(number))
        await self._timed("figures", self._count())
        for its_own in definitions.values():
            await self._timed("indexes", self._create(its_own))

    async def vacuum(self) -> None:
        """Leave everything as a database is that has been there for a while."""
        started = time.monotonic()
        for table in (*TABLES, *_COUNTER_TABLES, "tenant_head"):
            await self._connection.execute(f"VACUUM (ANALYZE) {table}")
        self.seconds["vacuum"] = time.monotonic() - started
        self._told("vacuum", 1.0)

    async def _timed(self, name: str, work: Any) -> None:
        started = time.monotonic()
        await work
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - started
        self._done += 1
        self._told(name, self._done / self._step_count)

    async def _drop_indexes(self) -> dict[str, list[str]]:
        definitions: dict[str, list[str]] = {}
        for table in TABLES:
            for name, definition in await self._connection.fetch(_INDEXES, table):
                # Of a partitioned table: as it was first made, with all its partitions' indexes.
                definitions.setdefault(table, []).append(definition.replace(" ON ONLY ", " ON "))
                await self._connection.execute(f'DROP INDEX "{name}"')
        return definitions

    async def _create(self, definitions: Sequence[str]) -> None:
        for definition in definitions:
            await self._connection.execute(definition)

    # ------------------------------------------------------------------------------------- steps

    async def _name_everything(self) -> None:
        contents, connection = self._contents, self._connection
        await connection.executemany(
            "INSERT INTO fill_tenant VALUES ($1, $2, term_prefix($2))", list(enumerate(contents.tenants))
        )
        await connection.copy_records_to_table(
            "fill_sample", records=[_sample_row(number, one) for number, one in enumerate(contents.samples)]
        )
        await connection.copy_records_to_table("fill_text", records=_texts(contents.samples))
        names = [row for place, tenant in enumerate(contents.tenants) for row in _names(place, tenant)]
        await connection.executemany("INSERT INTO fill_name VALUES ($1, $2, $3, $4, $5, $6)", names)
        await connection.execute("SELECT set_config('fill.seed', $1, false)", str(contents.seed))
        for table in ("fill_tenant", "fill_sample", "fill_text", "fill_name"):
            await connection.execute(f"ANALYZE {table}")

    async def _draw(self, number: int, since: datetime, until: datetime) -> None:
        contents, connection = self._contents, self._connection
        values = f"FOR VALUES IN ({number}) ON COMMIT DROP"
        await connection.execute(f"CREATE TEMP TABLE fill_alert_{number} PARTITION OF fill_alert {values}")
        await connection.execute("TRUNCATE fill_share")
        await connection.executemany("INSERT INTO fill_share VALUES ($1, $2, $3, $4)", self._shares(since, until))
        await connection.execute(
            _DRAW,
            number,
            since,
            until,
            contents.now,
            [float(days.start * 86_400) for days in LOGGED_DAYS],
            [float(days.stop * 86_400) for days in LOGGED_DAYS],
            str(contents.seed),
            float(len(contents.samples)),
        )

    def _shares(self, since: datetime, until: datetime) -> list[tuple[int, int, int, bool]]:
        """Return of each tenant how many alerts began in a part, behind which number."""
        contents, rows = self._contents, []
        count = len(contents.tenants)
        # The closed ones end a day before now, so that each of them had time to end.
        spans = (
            (shares(contents.closed_count, count), contents.begin, contents.now - timedelta(days=1), 0, False),
            (
                shares(contents.open_count, count),
                contents.now - timedelta(days=OPEN_DAYS),
                contents.now,
                contents.closed_count,
                True,
            ),
        )
        for sizes, begin, end, base, is_open in spans:
            for place, size in enumerate(sizes):
                low, high = (
                    round(size * min(1.0, max(0.0, (at - begin) / (end - begin)))) for at in (since, until)
                )
                if low < high:
                    rows.append((place, base + low, high - low, is_open))
        return rows

    async def _log(self) -> None:
        contents, execute = self._contents, self._connection.execute
        await execute(_HAPPENED, contents.begin, contents.now)
        await execute("ANALYZE fill_happened")
        await execute(_TOLD)
        await execute("ANALYZE fill_told")
        await execute(_FLUSHES)
        await execute(_LINK)
        await execute("ANALYZE fill_link")
        await execute(_EVENTS, str(contents.seed))
        await execute(_VERSIONS)
        await execute("ANALYZE fill_version")
        await execute(_HEADS)
        await execute(_POSITIONS)

    async def _keep(self, number: int) -> None:
        execute = self._connection.execute
        await execute(_ALERTS.format(table="alert_closed", which="NOT NULL"), number, _RAW_SENDER)
        await execute(_ALERTS.format(table="alert_open", which="NULL"), number, _RAW_SENDER)
        await execute(_TERMS, number)
        await execute(_DELIVERIES, number)

    async def _count(self) -> None:
        execute = self._connection.execute
        begin = self._contents.begin - timedelta(days=1)
        await self._count_by("metric_day", _DAY, begin)
        await self._count_by("metric_minute", _HOUR, begin)
        for table in ("metric_day", "metric_day_duration", "metric_minute", "metric_minute_duration"):
            await execute(f"ANALYZE {table}")
        await execute(_BEGIN_FOLD, begin)
        await execute(_FOLD)
        await execute("TRUNCATE metric_minute, metric_minute_duration")
        await self._count_by("metric_minute", _MINUTE, self._contents.now - MINUTES_KEPT)
        for statement in (_OPEN_COUNT, _LABEL_USAGE, _LABEL_NAME):
            await execute(statement)

    async def _count_by(self, table: str, by: tuple[str, str], since: datetime) -> None:
        column, unit = by
        for statement, name in ((_COUNTERS, table), (_DURATIONS, f"{table}_duration")):
            await self._connection.execute(statement.format(table=name, column=column, unit=unit), since)


# ------------------------------------------------------------------------------------------ texts


def _parts(contents: Contents) -> Iterator[tuple[datetime, datetime]]:
    """Yield the months, cut to what is filled, and where closed alerts stop and open ones begin."""
    closed_end, open_begin = contents.now - timedelta(days=1), contents.now - timedelta(days=OPEN_DAYS)
    cuts = {contents.begin, open_begin, closed_end, contents.now}
    month = contents.begin.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while (month := (month + timedelta(days=32)).replace(day=1)) < contents.now:
        cuts.add(month)
    ordered = sorted(cuts)
    yield from pairwise(ordered)


def _sample_row(number: int, sample: Sample) -> tuple[Any, ...]:
    target = _TARGETS[sample.severity]
    return (
        number,
        sample.title,
        sample.description,
        sample.severity,
        sample.service,
        dict(sample.labels),
        dict(sample.annotations),
        sample.key,
        sorted(alert_terms(sample.title, sample.description, sample.labels)),
        target.acknowledge_within,
        target.resolve_within,
    )


def _names(place: int, tenant: TenantId) -> Iterator[tuple[Any, ...]]:
    for sort, count, kind in (
        (_PERSON, PERSON_COUNT, NodeKind.RESPONDER),
        (_RULE, RULE_COUNT, NodeKind.ESCALATION_RULE),
        (_CHANNEL, CHANNEL_COUNT, NodeKind.CHANNEL),
    ):
        for number in range(count):
            id_ = made_up_id(tenant, kind, number)
            reference = encode_id(kind, id_)
            actor = {"kind": int(ActorKind.PERSON), "name": _PERSON_NAME, "reference": reference}
            yield place, sort, number, id_, reference, actor


def made_up_id(tenant: TenantId, kind: NodeKind, number: int) -> UUID:
    """Return the id of one of a tenant's people, rules or channels, of which nothing but this id is there."""
    return UUID(bytes=hashlib.sha256(f"{tenant}:{kind}:{number}".encode()).digest()[:16])


def _texts(samples: Sequence[Sample]) -> Iterator[tuple[int, int, list[str]]]:
    """Yield each text that an event can have, cut where a statement puts something in."""
    for number, sample in enumerate(samples):
        for variant, event in _variants(sample):
            yield number, variant, _pieces(canonical(event))
    rule = Event(
        kind=EventKind.CONFIG_UPDATED,
        actor=OPERATOR,
        decided_at=_MARKED_INSTANT,
        subject_type="EscalationRule",
        subject_id=str(_MARKS[-1]),
        changes=(FieldChange("name", "before", "after"),),
    )
    yield 0, _SUBJECT_VARIANT, _pieces(canonical(rule))


def _variants(sample: Sample) -> Iterator[tuple[int, Event]]:
    def event(kind: EventKind, **more: Any) -> Event:
        began = kind is EventKind.TRIGGERED
        return Event(
            kind=kind,
            actor=more.pop("actor", _SENDER),
            decided_at=_MARKED_INSTANT,
            alert_id=AlertId(UUID(int=(1 << 128) - 1)),
            dedup_key=f"{sample.key}{_MARKS[1]}",
            title=sample.title,
            severity_before=None if began else sample.severity,
            severity_after=sample.severity,
            service_before=None if began else sample.service,
            service_after=sample.service,
            source=str(_MARKS[3]),
            labels=sample.labels,
            **more,
        )

    yield 1, event(EventKind.TRIGGERED, detail={"description": sample.description})
    yield 2, event(EventKind.REPEATED, detail={"occurrenceCount": _MARKED_MS})
    person = Actor(ActorKind.PERSON, _PERSON_NAME, str(_MARKS[0]))
    yield 3, event(EventKind.ACKNOWLEDGED, actor=person, elapsed_ms=_MARKED_MS)
    for self_resolved in (False, True):
        for met in (False, True):
            yield (
                _RESOLVED_VARIANT + self_resolved + 2 * met,
                event(EventKind.RESOLVED, elapsed_ms=_MARKED_MS, sla_met=met, self_resolved=self_resolved),
            )


def _pieces(text: str) -> list[str]:
    """Return what stands before, between and behind the marks; nothing before one that is not there."""
    rest = text.replace(str(_MARKED_MS), str(_MARKS[-1]))
    pieces = []
    for mark in map(str, _MARKS):
        head, found, tail = rest.partition(mark)
        pieces.append(head if found else "")
        rest = tail if found else rest
    assert not any(str(mark) in rest for mark in _MARKS), "the canonical form has them in another order"
    return [*pieces, rest]
