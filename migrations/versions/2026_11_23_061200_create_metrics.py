"""Create the counters and histograms that figures are answered from.

Each is a fold of the log, kept in the transaction that appends the events: minutes for two days, then days.
"""

from __future__ import annotations

from alembic import op

revision = "2026_11_23_061200"
down_revision = "2026_11_23_061100"
branch_labels = None
depends_on = None

_COUNTS = """
    created bigint NOT NULL,
    acknowledged bigint NOT NULL,
    resolved bigint NOT NULL,
    escalated bigint NOT NULL,
    opened bigint NOT NULL,
    acknowledge_ms bigint NOT NULL,
    resolve_ms bigint NOT NULL,
    sla_total bigint NOT NULL,
    sla_met bigint NOT NULL,
    self_resolved bigint NOT NULL
"""

METRIC_MINUTE = f"""
CREATE TABLE metric_minute (
    tenant_id uuid NOT NULL,
    at timestamptz NOT NULL,
    severity smallint NOT NULL,
    monitored_service text NOT NULL,
    {_COUNTS},
    PRIMARY KEY (tenant_id, at, severity, monitored_service)
) WITH (fillfactor = 70)
"""

METRIC_DAY = f"""
CREATE TABLE metric_day (
    tenant_id uuid NOT NULL,
    day date NOT NULL,
    severity smallint NOT NULL,
    monitored_service text NOT NULL,
    {_COUNTS},
    PRIMARY KEY (tenant_id, day, severity, monitored_service)
) WITH (fillfactor = 70)
"""

METRIC_MINUTE_DURATION = """
CREATE TABLE metric_minute_duration (
    tenant_id uuid NOT NULL,
    at timestamptz NOT NULL,
    severity smallint NOT NULL,
    monitored_service text NOT NULL,
    kind smallint NOT NULL,
    bucket smallint NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (tenant_id, at, severity, monitored_service, kind, bucket)
) WITH (fillfactor = 70)
"""

METRIC_DAY_DURATION = """
CREATE TABLE metric_day_duration (
    tenant_id uuid NOT NULL,
    day date NOT NULL,
    severity smallint NOT NULL,
    monitored_service text NOT NULL,
    kind smallint NOT NULL,
    bucket smallint NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (tenant_id, day, severity, monitored_service, kind, bucket)
) WITH (fillfactor = 70)
"""

OPEN_COUNT = """
CREATE TABLE open_count (
    tenant_id uuid NOT NULL,
    severity smallint NOT NULL,
    monitored_service text NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (tenant_id, severity, monitored_service)
) WITH (fillfactor = 70)
"""

_TABLES = ("metric_minute", "metric_day", "metric_minute_duration", "metric_day_duration", "open_count")


def upgrade() -> None:
    """Counters by the minute and by the day, with histograms of durations, and what is open now."""
    for statement in (
        METRIC_MINUTE,
        METRIC_DAY,
        METRIC_MINUTE_DURATION,
        METRIC_DAY_DURATION,
        OPEN_COUNT,
        *(f"SELECT guard('{table}', 'SELECT, INSERT, UPDATE')" for table in _TABLES),
    ):
        op.execute(statement)


def downgrade() -> None:
    """The figures are gone; the log still has all they were made of."""
    op.execute("DROP TABLE " + ", ".join(_TABLES))
