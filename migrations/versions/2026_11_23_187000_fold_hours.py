"""Fold figures into hours, days and months, with all their counters, so that any window is few rows.

A window may begin and end anywhere. What was counted by the minute is kept for two days; of older hours, only days
were left, and what a window cuts off a day had to be read from the log. Now minutes become hours before they go,
and hours, days and months stand in one table: counted by severity and service, by one of them, and altogether.

Folding is housekeeping's; no write pays for it. Of what was before this release no hours are known: there, parts
of days are read from the log as before.
"""

from __future__ import annotations

from alembic import op

revision = "2026_11_23_187000"
down_revision = "2026_11_23_182000"
branch_labels = None
depends_on = None

_NAMES = (
    "created",
    "acknowledged",
    "resolved",
    "escalated",
    "opened",
    "acknowledge_ms",
    "resolve_ms",
    "sla_total",
    "sla_met",
    "self_resolved",
)
_COLUMNS = ", ".join(_NAMES)
_SUMS = ", ".join(f"sum({name})::bigint AS {name}" for name in _NAMES)

# How far a tenant's figures are folded. Minutes from `hours_until` on are all there, whatever their age.
METRIC_FOLD = """
CREATE TABLE metric_fold (
    tenant_id uuid PRIMARY KEY,
    days_until date NOT NULL,
    hours_since timestamptz NOT NULL,
    hours_until timestamptz NOT NULL
)
"""

# Of spans of time: 1 is an hour, 2 a day, 3 a month. Divided by severity and service (0), by severity (1), by
# service (2), or not at all (3), as GROUPING() says it; what it is not divided by is 0 or empty. Histograms stand
# in three arrays side by side: of an hour there are few lengths of time, and a row for each would cost ten times
# the space.
METRIC_SPAN = f"""
CREATE TABLE metric_span (
    tenant_id uuid NOT NULL,
    span smallint NOT NULL,
    division smallint NOT NULL,
    since timestamptz NOT NULL,
    severity smallint NOT NULL,
    monitored_service text NOT NULL,
    {", ".join(f"{name} bigint NOT NULL" for name in _NAMES)},
    kinds smallint[] NOT NULL,
    buckets smallint[] NOT NULL,
    lengths bigint[] NOT NULL,
    PRIMARY KEY (tenant_id, span, division, since, severity, monitored_service)
)
"""

_DIVISIONS = "GROUPING SETS ((1, severity, monitored_service), (1, severity), (1, monitored_service), (1))"


def _counted(table: str, since: str, low: str, high: str) -> str:
    """Return what counts the rows of a table by divided spans: counters, and histograms beside them."""
    column = "at" if table == "metric_minute" else "day"
    where = f"tenant_id = p_tenant AND {column} >= {low} AND {column} < {high}"
    divided = (
        f"SELECT {since} AS since, GROUPING(severity, monitored_service)::smallint AS division,"
        " COALESCE(severity, 0)::smallint AS severity, COALESCE(monitored_service, '') AS monitored_service"
    )
    return f"""
    WITH counted AS (
        {divided}, {_SUMS} FROM {table} WHERE {where} GROUP BY {_DIVISIONS}
    ), took AS (
        {divided}, kind, bucket, sum(count)::bigint AS count FROM {table}_duration WHERE {where}
        GROUP BY kind, bucket, {_DIVISIONS}
    ), {_LISTED}
    """


_LISTED = """
    listed AS (
        SELECT since, division, severity, monitored_service, array_agg(kind ORDER BY kind, bucket) AS kinds,
               array_agg(bucket ORDER BY kind, bucket) AS buckets,
               array_agg(count ORDER BY kind, bucket) AS lengths
        FROM took GROUP BY 1, 2, 3, 4
    )
"""


def _kept(span: int) -> str:
    """Return what writes what was counted as spans of one sort."""
    return f"""
    INSERT INTO metric_span (
        tenant_id, span, division, since, severity, monitored_service, {_COLUMNS}, kinds, buckets, lengths)
    SELECT p_tenant, {span}, division, since, severity, monitored_service, {_COLUMNS},
           COALESCE(kinds, '{{}}'), COALESCE(buckets, '{{}}'), COALESCE(lengths, '{{}}')
    FROM counted LEFT JOIN listed USING (since, division, severity, monitored_service)
    ORDER BY division, since
    """


_HOURS = _counted("metric_minute", "date_trunc('hour', at)", "v_hours", "v_hours_until") + _kept(1)
_DAYS = _counted("metric_day", "day::timestamptz", "v_days", "v_days_until") + _kept(2)
_MONTHS = f"""
    WITH days AS (
        SELECT * FROM metric_span
        WHERE tenant_id = p_tenant AND span = 2 AND since >= v_month AND since < v_month + interval '1 month'
    ), counted AS (
        SELECT v_month AS since, division, severity, monitored_service, {_SUMS} FROM days GROUP BY 2, 3, 4
    ), took AS (
        SELECT v_month AS since, division, severity, monitored_service, kind, bucket, sum(count)::bigint AS count
        FROM days CROSS JOIN unnest(kinds, buckets, lengths) AS one (kind, bucket, count) GROUP BY 2, 3, 4, 5, 6
    ), {_LISTED}
    {_kept(3)}
"""

# A day or an hour is over once something was recorded on a later one: instants never go backwards in a log, so
# nothing is added to it any more. A month is folded with its last day. Hours begin with the first of which all
# minutes are there: they are kept for at least 48 hours (core/metrics.py).
FOLD_FIGURES = f"""
CREATE FUNCTION fold_figures(p_tenant uuid) RETURNS integer
LANGUAGE plpgsql SET search_path = alertgraph, pg_temp SET timezone = 'UTC' SET enable_seqscan = off AS $$
DECLARE
    v_last timestamptz := (SELECT recorded_at FROM tenant_head WHERE tenant_id = p_tenant);
    v_days date;
    v_days_until date := v_last::date;
    v_hours timestamptz;
    v_hours_until timestamptz := date_trunc('hour', v_last);
    v_month timestamptz;
BEGIN
    SELECT f.days_until, f.hours_until INTO v_days, v_hours
    FROM metric_fold f WHERE f.tenant_id = p_tenant FOR UPDATE;
    IF v_days IS NULL THEN
        v_days := (SELECT min(m.day) FROM metric_day m WHERE m.tenant_id = p_tenant);
        IF v_days IS NULL OR v_last IS NULL THEN
            RETURN 0;
        END IF;
        v_hours := date_trunc('hour', now() - interval '48 hours') + interval '1 hour';
        INSERT INTO metric_fold (tenant_id, days_until, hours_since, hours_until)
        VALUES (p_tenant, v_days, v_hours, v_hours);
    END IF;
    IF v_hours < v_hours_until THEN
        {_HOURS};
        UPDATE metric_fold SET hours_until = v_hours_until WHERE tenant_id = p_tenant;
    END IF;
    IF v_days >= v_days_until THEN
        RETURN 0;
    END IF;
    {_DAYS};
    v_month := date_trunc('month', v_days::timestamptz);
    WHILE v_month + interval '1 month' <= v_days_until LOOP
        {_MONTHS};
        v_month := v_month + interval '1 month';
    END LOOP;
    UPDATE metric_fold SET days_until = v_days_until WHERE tenant_id = p_tenant;
    RETURN v_days_until - v_days;
END $$
"""

# As they were before.
_OLD_FOLD = "CREATE TABLE metric_fold (tenant_id uuid PRIMARY KEY, until date NOT NULL)"
_OLD_SPAN = """
CREATE TABLE metric_span_duration (
    tenant_id uuid NOT NULL,
    span smallint NOT NULL,
    severity smallint NOT NULL,
    monitored_service text NOT NULL,
    since date NOT NULL,
    kind smallint NOT NULL,
    bucket smallint NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (tenant_id, span, severity, monitored_service, since, kind, bucket)
)
"""
_OLD_FUNCTION = """
CREATE FUNCTION fold_durations(p_tenant uuid) RETURNS integer
LANGUAGE plpgsql SET search_path = alertgraph, pg_temp SET timezone = 'UTC' SET enable_seqscan = off AS $$
DECLARE
    v_from date;
    v_until date := (SELECT recorded_at::date FROM tenant_head WHERE tenant_id = p_tenant);
    v_month date;
BEGIN
    SELECT f.until INTO v_from FROM metric_fold f WHERE f.tenant_id = p_tenant FOR UPDATE;
    IF v_from IS NULL THEN
        v_from := (SELECT min(m.day) FROM metric_day m WHERE m.tenant_id = p_tenant);
    END IF;
    IF v_from IS NULL OR v_until IS NULL OR v_from >= v_until THEN
        RETURN 0;
    END IF;
    INSERT INTO metric_span_duration (tenant_id, span, severity, monitored_service, since, kind, bucket, count)
    SELECT p_tenant, 1, 0, '', d.day, d.kind, d.bucket, sum(d.count) FROM metric_day_duration d
    WHERE d.tenant_id = p_tenant AND d.day >= v_from AND d.day < v_until GROUP BY d.day, d.kind, d.bucket
    ORDER BY d.day;
    v_month := date_trunc('month', v_from);
    WHILE v_month + interval '1 month' <= v_until LOOP
        INSERT INTO metric_span_duration (tenant_id, span, severity, monitored_service, since, kind, bucket, count)
        SELECT p_tenant, 3, d.severity, d.monitored_service, v_month, d.kind, d.bucket, sum(d.count)
        FROM metric_day_duration d
        WHERE d.tenant_id = p_tenant AND d.day >= v_month AND d.day < v_month + interval '1 month'
        GROUP BY d.severity, d.monitored_service, d.kind, d.bucket;
        INSERT INTO metric_span_duration (tenant_id, span, severity, monitored_service, since, kind, bucket, count)
        SELECT p_tenant, 2, 0, '', v_month, s.kind, s.bucket, sum(s.count) FROM metric_span_duration s
        WHERE s.tenant_id = p_tenant AND s.span = 1 AND s.severity = 0 AND s.monitored_service = ''
            AND s.since >= v_month AND s.since < v_month + interval '1 month'
        GROUP BY s.kind, s.bucket;
        v_month := v_month + interval '1 month';
    END LOOP;
    INSERT INTO metric_fold (tenant_id, until) VALUES (p_tenant, v_until)
    ON CONFLICT (tenant_id) DO UPDATE SET until = excluded.until;
    RETURN v_until - v_from;
END $$
"""


def upgrade() -> None:
    """Housekeeping can fold figures into hours, days and months; what was folded before is folded anew."""
    for statement in (
        "DROP FUNCTION fold_durations",
        "DROP TABLE metric_span_duration, metric_fold",
        METRIC_FOLD,
        METRIC_SPAN,
        "SELECT guard('metric_fold', 'SELECT')",
        "SELECT guard('metric_span', 'SELECT')",
        FOLD_FIGURES,
        "REVOKE ALL ON FUNCTION fold_figures FROM PUBLIC",
    ):
        op.execute(statement)


def downgrade() -> None:
    """Only histograms of days and months are folded; parts of days are read from the log again."""
    for statement in (
        "DROP FUNCTION fold_figures",
        "DROP TABLE metric_span, metric_fold",
        _OLD_FOLD,
        _OLD_SPAN,
        "SELECT guard('metric_fold', 'SELECT')",
        "SELECT guard('metric_span_duration', 'SELECT')",
        _OLD_FUNCTION,
        "REVOKE ALL ON FUNCTION fold_durations FROM PUBLIC",
    ):
        op.execute(statement)
