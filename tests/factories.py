"""Values for tests: each factory fills in what a test is not about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from alertgraph.core.action import Action
from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.alert import Alert, AlertStatus, Draft, HoldReason
from alertgraph.core.batch import Batch, Request
from alertgraph.core.catalog import Catalog
from alertgraph.core.channel import Channel, ChannelKind, WebhookConfig
from alertgraph.core.decision import Situation
from alertgraph.core.event import Event, EventKind, SealedEvent, StoredEvent, seal
from alertgraph.core.flush import IdempotencyKey, Loaded, StoredAnswer, TenantConfig
from alertgraph.core.ids import AlertId, ChannelId, FlushId, ResponderId, RuleId, TenantId, uuid7
from alertgraph.core.labels import Matcher, MatchOperator
from alertgraph.core.prediction import DurationEstimate, Prediction
from alertgraph.core.responder import ContactMethod, Responder
from alertgraph.core.rule import ChannelTarget, EscalationRule, EscalationTarget, Level
from alertgraph.core.severity import Severity
from alertgraph.core.slo import TIER_TARGETS, sla_clocks
from alertgraph.core.tenant import TenantSettings
from alertgraph.core.tier import Tier

T0 = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

ADA = Actor(ActorKind.PERSON, "Ada", "oidc:ada")
SENDER = Actor(ActorKind.SENDER, "prometheus key", "key:1")
TENANT = TenantId(UUID(int=1))
LEVEL_MAX = 5
WEBHOOK = Channel(
    ChannelId(UUID(int=10)), "webhook", ChannelKind.WEBHOOK, WebhookConfig("https://hooks.example.org/a")
)
# For every alert, so that what a test is not about climbs as usual.
RULE = EscalationRule(RuleId(UUID(int=20)), "everything", 1, (Level(5 * MINUTE, (ChannelTarget(WEBHOOK.id),)),))


def an_id(number: int = 1) -> AlertId:
    """Return an alert's id; a larger number is a later id."""
    return AlertId(uuid7(T0, number))


def a_flush_id(number: int = 1) -> FlushId:
    """Return a flush's id."""
    return FlushId(UUID(int=number))


def a_draft(**fields: Any) -> Draft:
    """Return what a sender says of an alert."""
    draft = Draft(
        title="High latency",
        severity=Severity.HIGH,
        source="prometheus",
        monitored_service="checkout",
        labels={"alertname": "HighLatency", "job": "api"},
    )
    return replace(draft, **fields)


def the_same(alert: Alert, **fields: Any) -> Draft:
    """Return what a sender says that fires an alert again, with nothing new but the fields given."""
    contents: dict[str, Any] = {
        "title": alert.title,
        "severity": alert.severity,
        "source": alert.source,
        "monitored_service": alert.monitored_service,
        "dedup_key": alert.dedup_key,
        "labels": dict(alert.labels),
    }
    return Draft(**{**contents, **fields})


def an_alert(**fields: Any) -> Alert:
    """Return an open alert that nobody has; with `resolved_at` or a status of RESOLVED, a closed one."""
    severity = fields.get("severity", Severity.HIGH)
    triggered_at = fields.get("triggered_at", T0)
    if fields.get("status") is AlertStatus.RESOLVED or fields.get("resolved_at") is not None:
        fields = {"status": AlertStatus.RESOLVED, "resolved_at": T0, "resolved_by": ADA, "held": None, **fields}
    if fields.get("status") is AlertStatus.ACKNOWLEDGED:
        fields = {
            "acknowledged_at": T0,
            "first_acknowledged_at": T0,
            "acknowledged_by": ADA,
            "held": HoldReason.ACKNOWLEDGED,
            **fields,
        }
    alert = Alert(
        id=an_id(),
        dedup_key="latency",
        title="High latency",
        description="",
        severity=severity,
        status=AlertStatus.TRIGGERED,
        source="prometheus",
        monitored_service="checkout",
        labels={"alertname": "HighLatency", "job": "api"},
        annotations={},
        links=(),
        occurrence_count=1,
        triggered_at=triggered_at,
        last_seen_at=triggered_at,
        acknowledged_at=None,
        acknowledged_until=None,
        acknowledged_by=None,
        first_acknowledged_at=None,
        resolved_at=None,
        resolved_by=None,
        escalation_level=0,
        held=HoldReason.NO_MATCHING_RULE,
        sla=sla_clocks(TIER_TARGETS[Tier.STANDARD][severity], triggered_at),
        resolve_at=None,
        resolve_by_timeout=False,
        verdict=None,
        version=7,
    )
    return replace(alert, **fields)


def a_climbing_alert(**fields: Any) -> Alert:
    """Return an open alert at the foot of a ladder, with one rung unless another is given."""
    triggered_at = fields.get("triggered_at", T0)
    if fields.get("status") is not AlertStatus.ACKNOWLEDGED:
        fields = {"held": None, "next_escalation_at": triggered_at, **fields}
    return an_alert(**{"ladder": RULE.ladder, **fields})


def a_catalog(**fields: Any) -> Catalog:
    """Return what is set up: one rule for every alert, which tells one channel."""
    return replace(Catalog(rules=(RULE,), channels={WEBHOOK.id: WEBHOOK}), **fields)


def a_rule(*levels: Level, **fields: Any) -> EscalationRule:
    """Return a rule for every alert with these levels; where none are given, one that tells one channel."""
    return replace(RULE, **({"levels": levels} if levels else {}), **fields)


def a_level(delay: timedelta, *targets: EscalationTarget) -> Level:
    """Return a level that tells these; where none are given, one channel."""
    return Level(delay, targets or (ChannelTarget(WEBHOOK.id),))


def a_channel(number: int, **fields: Any) -> Channel:
    """Return a channel that is used."""
    return replace(WEBHOOK, **{"id": ChannelId(UUID(int=number)), "name": f"channel {number}", **fields})


def a_responder(number: int, *methods: ContactMethod, **fields: Any) -> Responder:
    """Return a person who is reached in these ways; where none are given, over one channel."""
    methods = methods or (ContactMethod(WEBHOOK.id, f"address {number}"),)
    return replace(Responder(ResponderId(UUID(int=number)), f"Person {number}", contact_methods=methods), **fields)


def a_config(
    *,
    resolve_timeout: timedelta = timedelta(0),
    version: int = 3,
    catalog: Catalog | None = None,
    default_rule_id: RuleId | None = None,
) -> TenantConfig:
    """Return a tenant's configuration with the targets of the STANDARD tier."""
    settings = TenantSettings(resolve_timeout=resolve_timeout, default_rule_id=default_rule_id)
    return TenantConfig(version, settings, TIER_TARGETS[Tier.STANDARD], catalog or a_catalog())


def a_situation(**fields: Any) -> Situation:
    """Return what an action of a person meets."""
    return replace(Situation(T0 + HOUR, a_config(), ADA, an_id(99), (), LEVEL_MAX), **fields)


def a_request(*actions: Action, first_id: int = 100, **fields: Any) -> Request:
    """Return a request of a sender; its new alerts get ids from `first_id` on."""
    ids = tuple(an_id(first_id + index) for index in range(len(actions)))
    return replace(Request(actions, ids, SENDER), **fields)


def a_batch(*alerts: Alert, answers: Iterable[StoredAnswer] = (), now: datetime = T0 + HOUR) -> Batch:
    """Return a batch that was loaded with these alerts, under key and id, and these answers."""
    loaded = Loaded(
        {alert.dedup_key: alert for alert in alerts if alert.is_open},
        {alert.id: alert for alert in alerts},
        {(a.key.operation, a.key.subject, a.key.key): a for a in answers},
    )
    return Batch(loaded, a_config(), now, LEVEL_MAX)


def an_idempotency_key(key: str = "once", contents: bytes = b"contents") -> IdempotencyKey:
    """Return a caller's promise."""
    return IdempotencyKey("createAlert", "key:1", key, contents.ljust(32, b"\x00"))


def a_matcher(label: str, value: str, operator: MatchOperator = MatchOperator.EQUAL) -> Matcher:
    """Return a matcher, by default for equality."""
    return Matcher(label, operator, value)


def an_event(**fields: Any) -> Event:
    """Return an event about an alert."""
    event = Event(
        kind=EventKind.TRIGGERED,
        actor=SENDER,
        decided_at=T0,
        alert_id=an_id(),
        dedup_key="latency",
        title="High latency",
        severity_after=Severity.HIGH,
        service_after="checkout",
        source="prometheus",
        labels={"alertname": "HighLatency", "job": "api"},
    )
    return replace(event, **fields)


def a_config_event(**fields: Any) -> Event:
    """Return an event about a configured thing."""
    event = Event(
        kind=EventKind.CONFIG_UPDATED, actor=ADA, decided_at=T0, subject_type="SavedView", subject_id="vew_1"
    )
    return replace(event, **fields)


def stored(event: Event, *, number: int = 1, recorded_at: datetime = T0) -> StoredEvent:
    """Return an event in its place in the log."""
    sealed: SealedEvent = seal(event)
    return StoredEvent(number, recorded_at, a_flush_id(), event, sealed.content, sealed.leaf, None)


def a_prediction(**fields: Any) -> Prediction:
    """Return what a model says of an alert."""
    prediction = Prediction("torch_v1", T0, 0.75, 0.5, 0.125, None, DurationEstimate(HOUR, MINUTE, DAY))
    return replace(prediction, **fields)
