"""Decisions: what an action meets, what it comes to, and how the log tells of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

import orjson

from alertgraph.core.actor import Actor
from alertgraph.core.alert import Alert, HoldReason, Link, alert_match_values
from alertgraph.core.delivery import Delivery, Finish
from alertgraph.core.errors import ErrorCode, Problem
from alertgraph.core.event import Event, EventKind, FieldChange, instant_text
from alertgraph.core.flush import NewPrediction, TenantConfig
from alertgraph.core.ids import AlertId, DeliveryId, NodeKind, ResponderId, encode_id
from alertgraph.core.labels import Matcher, matches_all
from alertgraph.core.value import quick


@quick
@dataclass(frozen=True, slots=True)
class Situation:
    """What an action meets besides the alert itself.

    Attributes:
        now: The instant of the decision.
        new_id: The id that a new alert gets; also the dice of the decision, from which its deliveries' ids follow.
        scope: Matchers of the caller's key: what does not match is out of reach.
        level_max: The highest level that an alert with no ladder can be escalated to.
        deliveries: The open deliveries that the action is about.
    """

    now: datetime
    config: TenantConfig
    actor: Actor
    new_id: AlertId
    scope: tuple[Matcher, ...] = ()
    level_max: int = 5
    deliveries: Mapping[DeliveryId, Delivery] = field(default_factory=dict)

    def sees(self, alert: Alert) -> bool:
        """Say whether an alert is within the caller's reach."""
        return not self.scope or matches_all(self.scope, alert_match_values(alert))


@quick
@dataclass(frozen=True, slots=True)
class Decision:
    """What an action comes to.

    Attributes:
        alert: As it is afterwards; None where there is none for this caller.
        events: What the log shall say; empty where nothing changed but perhaps the count.
        created: Whether `alert` is new.
        changed: Whether the action did something that the caller asked for.
        counted: Whether `alert` was counted once more: with no events, a repeat that changes nothing.
        problem: Why it was refused; then nothing else is set but `alert`.
        deliveries: What is to be sent.
        finishes: Deliveries that have ended.
        skips_pages: Whether pages about the alert that wait are not wanted any more.
        aside: Whether the events tell of the alert without changing it.
        prediction: What the model said of the alert, to be kept.
        only_advises: Whether nothing of the alert changed but the advice.
    """

    alert: Alert | None
    events: tuple[Event, ...] = ()
    created: bool = False
    changed: bool = False
    counted: bool = False
    problem: Problem | None = None
    deliveries: tuple[Delivery, ...] = ()
    finishes: tuple[Finish, ...] = ()
    skips_pages: bool = False
    aside: bool = False
    prediction: NewPrediction | None = None
    only_advises: bool = False


def refuse(code: ErrorCode, message: str, *path: str) -> Decision:
    """Return a decision that refuses an action."""
    return Decision(None, problem=Problem(code, message, path))


# ------------------------------------------------------------------------------------------- events


def elapsed_ms_since_trigger(alert: Alert, at: datetime) -> int:
    """Return how long an alert has lasted, in whole milliseconds, at least 0."""
    return max(0, (at - alert.triggered_at) // timedelta(milliseconds=1))


def count_of(alert: Alert) -> dict[str, Any]:
    """Return how often an alert has fired, as the log tells it."""
    return {"occurrenceCount": alert.occurrence_count}


def contents_of(alert: Alert) -> dict[str, Any]:
    """Return everything a new alert says that its event does not say otherwise."""
    kept: dict[str, Any] = {}
    if alert.description:
        kept["description"] = alert.description
    if alert.annotations:
        kept["annotations"] = dict(alert.annotations)
    if alert.links:
        kept["links"] = _link_values(alert.links)
    kept["triggeredAt"] = instant_text(alert.triggered_at)
    kept["acknowledgeBy"] = instant_text(alert.sla.acknowledge_by)
    kept["resolveBy"] = instant_text(alert.sla.resolve_by)
    if alert.ladder is not None:
        kept["escalationRuleId"] = encode_id(NodeKind.ESCALATION_RULE, alert.ladder.rule_id)
    return kept


def _instant(at: datetime | None) -> str | None:
    return instant_text(at) if at is not None else None


def _responder(responder_id: ResponderId | None) -> str | None:
    return encode_id(NodeKind.RESPONDER, responder_id) if responder_id is not None else None


def _as_it_is(value: Any) -> Any:
    return value


def _name(value: IntEnum | None) -> str | None:
    return value.name if value is not None else None


def _link_values(links: Sequence[Link]) -> list[dict[str, str]]:
    return [{"href": link.href, "text": link.text} for link in links]


# Fields that a change of is worth telling: their names in the API and here, and how the log writes them.
_TOLD: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("title", "title", _as_it_is),
    ("description", "description", _as_it_is),
    ("severity", "severity", _name),
    ("status", "status", _name),
    ("monitoredService", "monitored_service", _as_it_is),
    ("labels", "labels", dict),
    ("annotations", "annotations", dict),
    ("links", "links", _link_values),
    ("triggeredAt", "triggered_at", _instant),
    ("acknowledgedUntil", "acknowledged_until", _instant),
    ("escalationLevel", "escalation_level", _as_it_is),
    ("assignee", "assignee", _responder),
    ("verdict", "verdict", _name),
)


def is_same(was: object, is_now: object) -> bool:
    """Say whether two values read the same in the log: 1 and true are equal here but not in JSON."""
    if was is is_now:
        return True
    if was != is_now:
        return False
    if not isinstance(was, dict) or all(value.__class__ is str for value in was.values()):
        return True  # a text is equal to a text only
    return _written(was) == _written(is_now)


def _written(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def changes_between(before: Alert, after: Alert) -> tuple[FieldChange, ...]:
    """Return what is different afterwards, of what is worth telling."""
    if before is after:
        return ()
    changes = []
    for name, attribute, told in _TOLD:
        was, is_now = getattr(before, attribute), getattr(after, attribute)
        if was is not is_now and not is_same(was, is_now):
            changes.append(FieldChange(name, told(was), told(is_now)))
    return tuple(changes)


def alert_event(
    kind: EventKind,
    before: Alert | None,
    after: Alert,
    situation: Situation,
    *,
    actor: Actor | None = None,
    note: str | None = None,
    elapsed_ms: int | None = None,
    sla_met: bool | None = None,
    self_resolved: bool | None = None,
    hold_reason: HoldReason | None = None,
    detail: Mapping[str, Any] | None = None,
) -> Event:
    """Return what the log shall say of an alert; `before` is None where it is new."""
    return Event(
        kind=kind,
        actor=actor or situation.actor,
        decided_at=situation.now,
        alert_id=after.id,
        dedup_key=after.dedup_key,
        title=after.title,
        severity_before=before.severity if before is not None else None,
        severity_after=after.severity,
        service_before=before.monitored_service if before is not None else None,
        service_after=after.monitored_service,
        source=after.source,
        labels=after.labels,
        hold_reason=hold_reason,
        note=note,
        changes=changes_between(before, after) if before is not None else (),
        elapsed_ms=elapsed_ms,
        sla_met=sla_met,
        self_resolved=self_resolved,
        detail=detail or {},
        incident_id=after.incident_id,
    )
