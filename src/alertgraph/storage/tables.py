"""The tables as SQLAlchemy knows them: what the migrations have made, for programs to look up.

Migrations are the truth; a test compares the two. Partitions, policies and functions stand in the migrations only.
The service itself does without this module, which brings SQLAlchemy with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    false,
    func,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from alertgraph.storage.migrate import SCHEMA

metadata = MetaData(schema=SCHEMA)

_Instant = DateTime(timezone=True)


def _of_tenant(*, primary_key: bool = True) -> Column[object]:
    return Column("tenant_id", Uuid, primary_key=primary_key, nullable=False)


def _of_configured_tenant() -> Column[object]:
    # Foreign keys only between configuration tables: elsewhere they cost each write a look at its tenant.
    return Column(
        "tenant_id", Uuid, ForeignKey("alertgraph.tenant.tenant_id", ondelete="CASCADE"), primary_key=True
    )


def _zeros(name: str) -> Column[object]:
    return Column(name, LargeBinary, nullable=False, server_default=text("decode(repeat('00', 32), 'hex')"))


tenant = Table(
    "tenant",
    metadata,
    _of_tenant(),
    Column("slug", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("tier", SmallInteger, nullable=False),
    Column("created_at", _Instant, nullable=False, server_default=func.now()),
    UniqueConstraint("slug", name="tenant_slug_key"),
)

tenant_settings = Table(
    "tenant_settings",
    metadata,
    _of_configured_tenant(),
    Column("resolve_timeout", Interval, nullable=False),
    Column("retention", Interval, nullable=False),
    Column("version", BigInteger, nullable=False, server_default="0"),
    Column("default_rule_id", Uuid),
    Column("dead_man_channel_id", Uuid),
    Column("document_mode", SmallInteger, nullable=False, server_default="1"),
    Column("grouping_labels", ARRAY(Text), nullable=False, server_default="{}"),
    Column("grouping_window", Interval, nullable=False, server_default="1 hour"),
    Column("correlation_enabled", Boolean, nullable=False, server_default=false()),
    Column("noise_mode", SmallInteger, nullable=False, server_default="1"),
    Column("noise_hold_max", Interval, nullable=False, server_default="5 minutes"),
    Column("noise_regret_budget", Interval, nullable=False, server_default="1 hour"),
    Column("noise_armed_at", _Instant),
    Index("tenant_settings_dead_man", "tenant_id", postgresql_where=text("dead_man_channel_id IS NOT NULL")),
)

dead_man = Table("dead_man", metadata, _of_tenant(), Column("due_at", _Instant, nullable=False))

sla_target = Table(
    "sla_target",
    metadata,
    _of_configured_tenant(),
    Column("severity", SmallInteger, primary_key=True, autoincrement=False),
    Column("acknowledge_within", Interval, nullable=False),
    Column("resolve_within", Interval, nullable=False),
)

data_key = Table(
    "data_key",
    metadata,
    _of_configured_tenant(),
    Column("key_id", Integer, primary_key=True, autoincrement=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("created_at", _Instant, nullable=False, server_default=func.now()),
)

api_key = Table(
    "api_key",
    metadata,
    _of_configured_tenant(),
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("old_prefix", Text),
    Column("old_digest", LargeBinary),
    Column("old_digest_until", _Instant),
    Column("role", SmallInteger, nullable=False),
    Column("matchers", JSONB, nullable=False),
    Column("cost_budget", Integer),
    Column("created_at", _Instant, nullable=False),
    Column("created_by", JSONB, nullable=False),
    Column("expires_at", _Instant),
    Column("last_used_at", _Instant),
    Column("revoked_at", _Instant),
    Column("version", BigInteger, nullable=False),
    Index("api_key_prefix", "prefix"),
    Index("api_key_old_prefix", "old_prefix", postgresql_where=text("old_prefix IS NOT NULL")),
)

saved_view = Table(
    "saved_view",
    metadata,
    _of_configured_tenant(),
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("filter", JSONB, nullable=False),
    Column("order_by", JSONB),
    Column("shared", Boolean, nullable=False),
    Column("owner", JSONB, nullable=False),
    Column("owner_subject", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", _Instant, nullable=False, server_default=func.now()),
    Index("saved_view_name", "tenant_id", "name", "id"),
)

trusted_document = Table(
    "trusted_document",
    metadata,
    _of_configured_tenant(),
    Column("sha256", LargeBinary, primary_key=True),
    Column("name", Text),
    Column("body", Text, nullable=False),
    Column("source", SmallInteger, nullable=False),
    Column("created_at", _Instant, nullable=False, server_default=func.now()),
    Column("used_at", _Instant, nullable=False, server_default=func.now()),
)

config_item = Table(
    "config_item",
    metadata,
    _of_configured_tenant(),
    Column("kind", SmallInteger, primary_key=True, autoincrement=False),
    Column("id", Uuid, primary_key=True),
    Column("name", Text),
    Column("until", _Instant, nullable=False, server_default="infinity"),
    Column("body", JSONB, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", _Instant, nullable=False, server_default=func.now()),
    UniqueConstraint("tenant_id", "kind", "name", name="config_item_name"),
    Index("config_item_until", "tenant_id", "kind", "until", "id"),
)

master_key_check = Table(
    "master_key_check",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=true()),
    Column("value", LargeBinary, nullable=False),
    CheckConstraint("only_row", name="master_key_check_only_row_check"),
)

tenant_head = Table(
    "tenant_head",
    metadata,
    _of_tenant(),
    Column("number", BigInteger, nullable=False, server_default="0"),
    _zeros("link"),
    _zeros("leaf"),
    Column("recorded_at", _Instant, nullable=False, server_default=text("to_timestamp(0)")),
    Column("config_version", BigInteger, nullable=False, server_default="0"),
    Column("log_epoch", Integer, nullable=False, server_default="1"),
    Column("pruned_number", BigInteger, nullable=False, server_default="0"),
    _zeros("pruned_link"),
)


audit_key = Table(
    "audit_key",
    metadata,
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("created_at", _Instant, nullable=False, server_default=func.now()),
)

audit_tree = Table(
    "audit_tree",
    metadata,
    _of_tenant(),
    Column("log_epoch", Integer, nullable=False),
    Column("first_number", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False, server_default="0"),
    Column("recorded_at", _Instant, nullable=False, server_default=text("to_timestamp(0)")),
    Column("looked_at", _Instant, nullable=False, server_default=text("to_timestamp(0)")),
    Column("refusal", SmallInteger),
    Column("refused_at", _Instant),
)

audit_tile = Table(
    "audit_tile",
    metadata,
    _of_tenant(),
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    Column("place", BigInteger, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
)

audit_checkpoint = Table(
    "audit_checkpoint",
    metadata,
    _of_tenant(),
    Column("log_epoch", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("first_number", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("signed_at", _Instant, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Index("audit_checkpoint_signed", "tenant_id", "signed_at"),
)


def _incident_index(table: str, *order: str) -> Index:
    which = text("incident_id IS NOT NULL")
    return Index(f"{table}_incident", "tenant_id", "incident_id", *order, postgresql_where=which)


event = Table(
    "event",
    metadata,
    _of_tenant(),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("recorded_at", _Instant, primary_key=True),
    Column("flush_id", Uuid, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("actor_kind", SmallInteger, nullable=False),
    Column("alert_id", Uuid),
    Column("severity_before", SmallInteger),
    Column("severity_after", SmallInteger),
    Column("service_before", Text),
    Column("service_after", Text),
    Column("source", Text, nullable=False),
    Column("subject_type", Text),
    Column("subject_id", Text),
    Column("content", Text, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    Column("link", LargeBinary),
    Column("incident_id", Uuid),
    Index(
        "event_incident", "tenant_id", "incident_id", "number", postgresql_where=text("incident_id IS NOT NULL")
    ),
    Index("event_alert", "tenant_id", "alert_id", "number", postgresql_where=text("alert_id IS NOT NULL")),
    Index("event_recorded", "tenant_id", "recorded_at"),
    Index("event_flush", "tenant_id", "flush_id", postgresql_where=text("link IS NOT NULL")),
    Index(
        "event_rare_kind",
        "tenant_id",
        "kind",
        "number",
        postgresql_where=text("kind <> ALL ('{1,2,3,8}'::smallint[])"),
    ),
    Index("event_subject", "tenant_id", "number", postgresql_where=text("subject_type IS NOT NULL")),
    postgresql_partition_by="RANGE (recorded_at)",
)


def _alert_columns() -> tuple[Column[object], ...]:
    return (
        _of_tenant(),
        Column("id", Uuid, primary_key=True),
        Column("version", BigInteger, nullable=False),
        Column("dedup_key", Text, nullable=False),
        Column("title", Text, nullable=False),
        Column("description", Text, nullable=False),
        Column("severity", SmallInteger, nullable=False),
        Column("status", SmallInteger, nullable=False),
        Column("source", Text, nullable=False),
        Column("monitored_service", Text),
        Column("labels", JSONB, nullable=False),
        Column("annotations", JSONB, nullable=False),
        Column("links", JSONB, nullable=False),
        Column("occurrence_count", Integer, nullable=False),
        Column("triggered_at", _Instant, nullable=False),
        Column("last_seen_at", _Instant, nullable=False),
        Column("acknowledged_at", _Instant),
        Column("acknowledged_until", _Instant),
        Column("acknowledged_by", JSONB),
        Column("first_acknowledged_at", _Instant),
        Column("resolved_at", _Instant),
        Column("resolved_by", JSONB),
        Column("escalation_level", Integer, nullable=False),
        Column("hold_reason", SmallInteger),
        Column("acknowledge_by", _Instant, nullable=False),
        Column("resolve_by", _Instant, nullable=False),
        Column("resolve_at", _Instant),
        Column("resolve_by_timeout", Boolean, nullable=False),
        Column("verdict", SmallInteger),
        Column("rule_id", Uuid),
        Column("ladder", JSONB),
        Column("escalation_round", Integer, nullable=False, server_default="0"),
        Column("resumes", Boolean, nullable=False, server_default=false()),
        Column("next_escalation_at", _Instant),
        Column("judge_at", _Instant),
        Column("sla_marks", SmallInteger, nullable=False, server_default="0"),
        Column("assignee", Uuid),
        Column("told", ARRAY(Uuid), nullable=False, server_default="{}"),
        Column("incident_id", Uuid),
        Column("incident_probability", Double),
        Column("self_resolve_probability", Double),
        Column("resolve_median", Interval),
    )


def _assignee_index(table: str) -> Index:
    return Index(
        f"{table}_assignee",
        "tenant_id",
        "assignee",
        "triggered_at",
        "id",
        postgresql_where=text("assignee IS NOT NULL"),
    )


incident = Table(
    "incident",
    metadata,
    _of_tenant(),
    Column("id", Uuid, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("title", Text, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("severity", SmallInteger, nullable=False),
    Column("opened_at", _Instant, nullable=False),
    Column("last_joined_at", _Instant, nullable=False),
    Column("resolved_at", _Instant),
    Column("alert_count", Integer, nullable=False),
    Column("open_counts", ARRAY(Integer), nullable=False),
    Column("triggered_count", Integer, nullable=False),
    Column("worst", SmallInteger, nullable=False),
    Column("services", ARRAY(Text), nullable=False),
    Column("root_alert_id", Uuid),
    Column("merged_into", Uuid),
    Column("group_key", LargeBinary),
    Index("incident_opened", "tenant_id", "opened_at", "id"),
    Index("incident_unresolved", "tenant_id", "opened_at", "id", postgresql_where=text("status <> 3")),
    Index(
        "incident_group",
        "tenant_id",
        "group_key",
        postgresql_where=text("group_key IS NOT NULL AND status <> 3"),
    ),
    Index("incident_ended", "tenant_id", "resolved_at", postgresql_where=text("status = 3")),
)

# What the indexes that lists of open alerts are read by know besides.
_KNOWN = ("source", "monitored_service", "rule_id", "escalation_level", "verdict", "assignee")

alert_open = Table(
    "alert_open",
    metadata,
    *_alert_columns(),
    Column("due_at", _Instant),
    Column(
        "seen_hour",
        _Instant,
        Computed("date_bin('1 hour', last_seen_at, timestamptz '2000-01-01 00:00+00')", persisted=True),
    ),
    UniqueConstraint("tenant_id", "dedup_key", name="alert_open_dedup_key"),
    Index("alert_open_due", "tenant_id", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    Index(
        "alert_open_turn",
        "tenant_id",
        text("least(escalation_level, 1)"),
        "due_at",
        "id",
        postgresql_where=text("due_at IS NOT NULL"),
    ),
    Index(
        "alert_open_held",
        "tenant_id",
        "hold_reason",
        "id",
        postgresql_where=text("hold_reason = ANY ('{2,3,4,5}'::smallint[])"),
    ),
    Index("alert_open_held_as_noise", "tenant_id", "hold_reason", "id", postgresql_where=text("hold_reason = 7")),
    Index("alert_open_by_triggered", "tenant_id", "triggered_at", "id", "status", "severity", *_KNOWN),
    Index("alert_open_by_severity", "tenant_id", "severity", "id", "status", *_KNOWN),
    Index("alert_open_by_seen", "tenant_id", "seen_hour"),
    Index(
        "alert_open_by_probability",
        "tenant_id",
        "incident_probability",
        "id",
        postgresql_where=text("incident_probability IS NOT NULL"),
    ),
    _assignee_index("alert_open"),
    _incident_index("alert_open", "triggered_at", "id"),
)


_MISSED = "LEAST(first_acknowledged_at, resolved_at) > acknowledge_by OR resolved_at > resolve_by"


def _finding(table: str, name: str, *columns: str, which: str | None = None) -> Index:
    """Return an index that finds closed alerts, and tells by what a list of them is sorted."""
    return Index(
        f"{table}_by_{name}",
        "tenant_id",
        *columns,
        "triggered_at",
        "id",
        postgresql_include=["last_seen_at", "severity"],
        postgresql_where=None if which is None else text(which),
    )


def _closed_indexes(table: str) -> tuple[Index, ...]:
    return (
        _finding(table, "triggered"),
        Index(f"{table}_last_seen", "tenant_id", "last_seen_at", "id"),
        Index(f"{table}_severity", "tenant_id", "severity", "id"),
        Index(f"{table}_grade", "tenant_id", "severity", "triggered_at", "id"),
        _finding(table, "service", "monitored_service"),
        Index(f"{table}_history", "tenant_id", "dedup_key", "triggered_at", "id"),
        Index(
            f"{table}_by_resolved",
            "tenant_id",
            "resolved_at",
            "id",
            postgresql_include=["triggered_at", "last_seen_at", "severity"],
        ),
        _finding(table, "assignee", "assignee", which="assignee IS NOT NULL"),
        _finding(table, "incident", "incident_id", which="incident_id IS NOT NULL"),
        Index(
            f"{table}_predicted",
            "tenant_id",
            "incident_probability",
            "id",
            postgresql_include=["triggered_at", "last_seen_at", "severity"],
            postgresql_where=text("incident_probability IS NOT NULL"),
        ),
        _finding(table, "source", "source"),
        _finding(table, "rule", "rule_id", which="rule_id IS NOT NULL"),
        _finding(table, "level", "escalation_level", which="escalation_level >= 1"),
        _finding(table, "verdict", "verdict", which="verdict IS NOT NULL"),
        _finding(table, "missed", which=_MISSED),
        Index(f"{table}_by_missed_severity", "tenant_id", "severity", "id", postgresql_where=text(_MISSED)),
        Index(
            f"{table}_taker",
            "tenant_id",
            text("(acknowledged_by ->> 'reference')"),
            postgresql_where=text("acknowledged_by IS NOT NULL"),
        ),
    )


alert_closed = Table(
    "alert_closed",
    metadata,
    *_alert_columns(),
    *_closed_indexes("alert_closed"),
    postgresql_partition_by="RANGE (id)",
)

alert_closed_late = Table("alert_closed_late", metadata, *_alert_columns(), *_closed_indexes("alert_closed_late"))

prediction = Table(
    "prediction",
    metadata,
    _of_tenant(),
    Column("alert_id", Uuid, primary_key=True),
    Column("model_version", Text, nullable=False),
    Column("predicted_at", _Instant, nullable=False),
    Column("incident_probability", Double, nullable=False),
    Column("sla_breach_probability", Double, nullable=False),
    Column("self_resolve_probability", Double, nullable=False),
    Column("acknowledge_median", Interval),
    Column("acknowledge_low", Interval),
    Column("acknowledge_high", Interval),
    Column("resolve_median", Interval),
    Column("resolve_low", Interval),
    Column("resolve_high", Interval),
    Column("abstained", Boolean, nullable=False),
    Column("features", LargeBinary, nullable=False),
    Column("shadow_version", Text),
    Column("shadow", ARRAY(Double)),
    Column("needed_person", SmallInteger),
    Column("breached", SmallInteger),
    Column("self_resolved", SmallInteger),
    Column("acknowledged_after", REAL),
    Column("resolved_after", REAL),
    Column("matured_at", _Instant),
    Index("prediction_matured", "tenant_id", "matured_at", postgresql_where=text("matured_at IS NOT NULL")),
    postgresql_partition_by="RANGE (alert_id)",
)

prediction_model = Table(
    "prediction_model",
    metadata,
    _of_tenant(),
    Column("id", Uuid, primary_key=True),
    Column("version", Text, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("trained_at", _Instant, nullable=False),
    Column("example_count", Integer, nullable=False),
    Column("metrics", JSONB, nullable=False),
    Column("calibration", JSONB, nullable=False),
    Column("artifact", LargeBinary),
    Column("promoted_at", _Instant),
    Column("created_at", _Instant, nullable=False, server_default=func.now()),
    UniqueConstraint("tenant_id", "version", name="prediction_model_version"),
    Index("prediction_model_active", "tenant_id", unique=True, postgresql_where=text("state = 3")),
)

idempotency_answer = Table(
    "idempotency_answer",
    metadata,
    _of_tenant(),
    Column("operation", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_hash", LargeBinary, nullable=False),
    Column("answer", Text, nullable=False),
    Column("created_at", _Instant, nullable=False, server_default=func.now()),
    Index("idempotency_answer_created", "created_at"),
)

engine_claim = Table("engine_claim", metadata, _of_tenant())

engine_position = Table(
    "engine_position",
    metadata,
    _of_tenant(),
    Column("judged_version", BigInteger, nullable=False),
)

inhibitor = Table(
    "inhibitor",
    metadata,
    _of_tenant(),
    Column("rule_id", Uuid, primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("alert_id", Uuid, primary_key=True),
    Index("inhibitor_alert", "tenant_id", "alert_id"),
)


def _metric(name: str, *period: Column[object], more: Sequence[Column[Any]] = ()) -> Table:
    return Table(
        name,
        metadata,
        _of_tenant(),
        *period,
        Column("severity", SmallInteger, primary_key=True, autoincrement=False),
        Column("monitored_service", Text, primary_key=True),
        Column("created", BigInteger, nullable=False),
        Column("acknowledged", BigInteger, nullable=False),
        Column("resolved", BigInteger, nullable=False),
        Column("escalated", BigInteger, nullable=False),
        Column("opened", BigInteger, nullable=False),
        Column("acknowledge_ms", BigInteger, nullable=False),
        Column("resolve_ms", BigInteger, nullable=False),
        Column("sla_total", BigInteger, nullable=False),
        Column("sla_met", BigInteger, nullable=False),
        Column("self_resolved", BigInteger, nullable=False),
        *more,
    )


def _durations(name: str, period: Column[object]) -> Table:
    return Table(
        name,
        metadata,
        _of_tenant(),
        period,
        Column("severity", SmallInteger, primary_key=True, autoincrement=False),
        Column("monitored_service", Text, primary_key=True),
        Column("kind", SmallInteger, primary_key=True, autoincrement=False),
        Column("bucket", SmallInteger, primary_key=True, autoincrement=False),
        Column("count", BigInteger, nullable=False),
    )


metric_minute = _metric("metric_minute", Column("at", _Instant, primary_key=True))
metric_day = _metric("metric_day", Column("day", Date, primary_key=True))
metric_minute_duration = _durations("metric_minute_duration", Column("at", _Instant, primary_key=True))
metric_day_duration = _durations("metric_day_duration", Column("day", Date, primary_key=True))

metric_fold = Table(
    "metric_fold",
    metadata,
    _of_tenant(),
    Column("days_until", Date, nullable=False),
    Column("hours_since", _Instant, nullable=False),
    Column("hours_until", _Instant, nullable=False),
)

metric_span = _metric(
    "metric_span",
    Column("span", SmallInteger, primary_key=True, autoincrement=False),
    Column("division", SmallInteger, primary_key=True, autoincrement=False),
    Column("since", _Instant, primary_key=True),
    more=(
        Column("kinds", ARRAY(SmallInteger), nullable=False),
        Column("buckets", ARRAY(SmallInteger), nullable=False),
        Column("lengths", ARRAY(BigInteger), nullable=False),
    ),
)

open_count = Table(
    "open_count",
    metadata,
    _of_tenant(),
    Column("severity", SmallInteger, primary_key=True, autoincrement=False),
    Column("monitored_service", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    # By bytes, as the migration says.
    Index("open_count_service", "tenant_id", "monitored_service"),
)

service_dependency = Table(
    "service_dependency",
    metadata,
    _of_configured_tenant(),
    Column("service", Text(collation="C"), primary_key=True),
    Column("needs", Text(collation="C"), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Index("service_dependency_needs", "tenant_id", "needs", "service"),
)

alert_link = Table(
    "alert_link",
    metadata,
    _of_tenant(),
    Column("alert_id", Uuid, primary_key=True),
    Column("earlier_id", Uuid, primary_key=True),
    Column("score", REAL, nullable=False),
    Column("evidence", JSONB, nullable=False),
    Index("alert_link_earlier", "tenant_id", "earlier_id", "score", "alert_id"),
)

link_position = Table(
    "link_position",
    metadata,
    _of_tenant(),
    Column("until", _Instant, nullable=False),
)

alert_terms = Table(
    "alert_terms",
    metadata,
    _of_tenant(),
    Column("id", Uuid, primary_key=True),
    Column("terms", ARRAY(Text), nullable=False),
    Index("alert_terms_terms", "terms", postgresql_using="gin"),
    postgresql_partition_by="RANGE (id)",
)

label_name = Table(
    "label_name",
    metadata,
    _of_tenant(),
    Column("label", Text, primary_key=True),
    Column("uses", BigInteger, nullable=False),
)

label_usage = Table(
    "label_usage",
    metadata,
    _of_tenant(),
    Column("label", Text, primary_key=True),
    Column("value_hash", LargeBinary, primary_key=True),
    Column("value", Text, nullable=False),
    Column("uses", BigInteger, nullable=False),
    Index("label_usage_uses", "tenant_id", "label", "uses"),
)

noise_policy = Table(
    "noise_policy",
    metadata,
    _of_tenant(),
    Column("spare_key", LargeBinary, nullable=False),
    Column("model_threshold", Double),
    Column("history_threshold", Double),
    Column("predicts", Boolean, nullable=False),
    Column("fresh_until", _Instant, nullable=False),
)

noise_history = Table(
    "noise_history",
    metadata,
    _of_tenant(),
    Column("key", LargeBinary, primary_key=True),
    Column("noise_probability", Double, nullable=False),
    Column("ended_count", Double, nullable=False),
    Column("quiet_count", Double, nullable=False),
    Column("quiet_median", Interval),
    Column("quiet_longest", Interval),
)

noise_hold = Table(
    "noise_hold",
    metadata,
    _of_tenant(),
    Column("alert_id", Uuid, primary_key=True),
    Column("held_at", _Instant, nullable=False),
    Column("until", _Instant),
    Column("probability", Double, nullable=False),
    Column("basis", SmallInteger, nullable=False),
    Column("ended_at", _Instant),
    Column("regret", Interval),
    Index("noise_hold_counted", "tenant_id", "held_at", postgresql_include=["regret"]),
)

index_position = Table(
    "index_position",
    metadata,
    _of_tenant(),
    Column("number", BigInteger, nullable=False),
    Column("recorded_at", _Instant, nullable=False, server_default=text("to_timestamp(0)")),
)


def _delivery_columns() -> tuple[Column[object], ...]:
    return (
        _of_tenant(),
        Column("id", Uuid, primary_key=True),
        Column("alert_id", Uuid),
        Column("channel_id", Uuid, nullable=False),
        Column("channel_name", Text, nullable=False),
        Column("purpose", SmallInteger, nullable=False),
        Column("level", Integer, nullable=False),
        Column("round", Integer, nullable=False),
        Column("responder_id", Uuid),
        Column("address", Text),
        Column("status", SmallInteger, nullable=False),
        Column("wanted", Boolean, nullable=False),
        Column("created_at", _Instant, nullable=False),
        Column("due_at", _Instant, nullable=False),
        Column("attempt_count", Integer, nullable=False),
        Column("sent_at", _Instant),
        Column("last_error", Text),
        Column("fallback_of", Uuid),
        Column("fell_back_to", Uuid),
        Column("bundle_id", Uuid),
        Column("change", Text),
        Column("is_first", Boolean, nullable=False),
    )


def _delivery_indexes(table: str) -> tuple[Index, ...]:
    return (
        Index(f"{table}_alert", "tenant_id", "alert_id", "id", postgresql_where=text("alert_id IS NOT NULL")),
        Index(f"{table}_channel", "tenant_id", "channel_id", "id"),
        Index(
            f"{table}_responder",
            "tenant_id",
            "responder_id",
            "id",
            postgresql_where=text("responder_id IS NOT NULL"),
        ),
    )


learning_state = Table(
    "learning_state",
    metadata,
    _of_tenant(),
    Column("name", Text, primary_key=True),
    Column("log_epoch", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("recorded_at", _Instant, nullable=False),
    Column("hash_start", LargeBinary, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("saved_at", _Instant, nullable=False, server_default=func.now()),
)

learning_lease = Table(
    "learning_lease",
    metadata,
    _of_tenant(),
    Column("task", Text, primary_key=True),
    Column("holder", Uuid, nullable=False),
    Column("until", _Instant, nullable=False),
)

learning_process = Table(
    "learning_process",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("task", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("why_not", Text),
    Column("tenant_count", Integer, nullable=False),
    Column("behind", BigInteger, nullable=False),
    Column("behind_seconds", Double, nullable=False),
    Column("seen_at", _Instant, nullable=False),
    Column("claimed_at", _Instant),
)

metric_feed = Table(
    "metric_feed",
    metadata,
    _of_tenant(),
    Column("feed_id", Uuid, nullable=False, server_default=text("gen_random_uuid()")),
    Column("given", BigInteger, nullable=False, server_default="0"),
    Column("taken", BigInteger, nullable=False, server_default="0"),
    Column("given_size", BigInteger, nullable=False, server_default="0"),
    Column("taken_size", BigInteger, nullable=False, server_default="0"),
    Column("why_not", Text),
    prefixes=["UNLOGGED"],
)

metric_batch = Table(
    "metric_batch",
    metadata,
    _of_tenant(),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("received_at", _Instant, nullable=False, server_default=func.now()),
    Column("content", LargeBinary, nullable=False),
    prefixes=["UNLOGGED"],
)

series_state = Table(
    "series_state",
    metadata,
    _of_tenant(),
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("feed_id", Uuid, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("saved_at", _Instant, nullable=False, server_default=func.now()),
)

delivery_open = Table(
    "delivery_open",
    metadata,
    *_delivery_columns(),
    Index("delivery_open_due", "tenant_id", "is_first", "due_at", "id"),
    *_delivery_indexes("delivery_open"),
)

delivery = Table(
    "delivery",
    metadata,
    *_delivery_columns(),
    *_delivery_indexes("delivery"),
    Index("delivery_not_sent", "tenant_id", "status", "id", postgresql_where=text("status <> 3")),
    postgresql_partition_by="RANGE (id)",
)

delivery_attempt = Table(
    "delivery_attempt",
    metadata,
    _of_tenant(),
    Column("delivery_id", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("started_at", _Instant, nullable=False),
    Column("duration", Interval),
    Column("status_code", Integer),
    Column("error", Text),
    postgresql_partition_by="RANGE (delivery_id)",
)

delivery_receipt = Table(
    "delivery_receipt",
    metadata,
    _of_tenant(),
    Column("alert_id", Uuid, primary_key=True),
    Column("channel_id", Uuid, primary_key=True),
    Column("address_hash", LargeBinary, primary_key=True),
    Column("receipt", Text, nullable=False),
)

channel_health = Table(
    "channel_health",
    metadata,
    _of_tenant(),
    Column("channel_id", Uuid, primary_key=True),
    Column("failure_count", Integer, nullable=False, server_default="0"),
    Column("open_until", _Instant),
    Column("next_send_at", _Instant),
    Column("last_success_at", _Instant),
    Column("last_failure_at", _Instant),
    Column("last_error", Text),
)

heartbeat = Table(
    "heartbeat",
    metadata,
    _of_tenant(),
    Column("monitor_id", Uuid, primary_key=True),
    Column("last_beat_at", _Instant, nullable=False),
    Column("due_at", _Instant),
    Column("raised", Boolean, nullable=False, server_default=false()),
    Index("heartbeat_due", "due_at", postgresql_where=text("due_at IS NOT NULL AND NOT raised")),
)

Index(
    "alert_open_forgotten",
    alert_open.c.tenant_id,
    alert_open.c.id,
    postgresql_where=text("status = 1 AND due_at IS NULL AND hold_reason IS NULL"),
)
