"""Between rows and values: alerts, events and who did something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any, assert_never
from uuid import UUID

import orjson

from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.alert import Alert, AlertStatus, AlertVerdict, HoldReason, Link
from alertgraph.core.event import StoredEvent, parse_canonical
from alertgraph.core.ids import AlertId, ChannelId, FlushId, ResponderId, RuleId, ScheduleId
from alertgraph.core.rule import ChannelTarget, EscalationTarget, Ladder, Level, ResponderTarget, ScheduleTarget
from alertgraph.core.severity import Severity
from alertgraph.core.slo import NO_MARKS, SlaClocks, SlaMark
from alertgraph.storage import tables

# The columns that `alert_of` and `event_of` read, in their order: SELECT them by these names, nothing in between.
ALERT_COLUMNS = tuple(column.name for column in tables.alert_closed.columns if column.name != "tenant_id")
EVENT_COLUMNS = ("number", "recorded_at", "flush_id", "content", "leaf", "link")
ALERT_SELECT = ", ".join(ALERT_COLUMNS)
_ALERT_WIDTH = len(ALERT_COLUMNS)
EVENT_SELECT = ", ".join(EVENT_COLUMNS)

_MICROSECOND = timedelta(microseconds=1)
_SEVERITIES = {int(severity): severity for severity in Severity}
_STATUSES = {int(status): status for status in AlertStatus}
_HOLDS = {int(reason): reason for reason in HoldReason}


def alert_of(row: Sequence[Any], offset: int = 0) -> Alert:
    """Return the alert that a row holds.

    Args:
        row: A record whose fields from `offset` on are ALERT_COLUMNS.
        offset: How many fields stand before them.
    """
    (
        id_,
        version,
        dedup_key,
        title,
        description,
        severity,
        status,
        source,
        monitored_service,
        labels,
        annotations,
        links,
        occurrence_count,
        triggered_at,
        last_seen_at,
        acknowledged_at,
        acknowledged_until,
        acknowledged_by,
        first_acknowledged_at,
        resolved_at,
        resolved_by,
        escalation_level,
        hold_reason,
        acknowledge_by,
        resolve_by,
        resolve_at,
        resolve_by_timeout,
        verdict,
        _,
        ladder,
        escalation_round,
        resumes,
        next_escalation_at,
        judge_at,
        sla_marks,
        assignee,
        told,
    ) = row[offset : offset + _ALERT_WIDTH] if offset or len(row) > _ALERT_WIDTH else row
    return Alert(
        id=AlertId(id_),
        dedup_key=dedup_key,
        title=title,
        description=description,
        severity=_SEVERITIES[severity],
        status=_STATUSES[status],
        source=source,
        monitored_service=monitored_service,
        labels=labels,
        annotations=annotations,
        links=tuple(Link(link["href"], link["text"]) for link in links) if links else (),
        occurrence_count=occurrence_count,
        triggered_at=triggered_at,
        last_seen_at=last_seen_at,
        acknowledged_at=acknowledged_at,
        acknowledged_until=acknowledged_until,
        acknowledged_by=None if acknowledged_by is None else actor_of(acknowledged_by),
        first_acknowledged_at=first_acknowledged_at,
        resolved_at=resolved_at,
        resolved_by=None if resolved_by is None else actor_of(resolved_by),
        escalation_level=escalation_level,
        held=None if hold_reason is None else _HOLDS[hold_reason],
        sla=SlaClocks(acknowledge_by, resolve_by),
        resolve_at=resolve_at,
        resolve_by_timeout=resolve_by_timeout,
        verdict=None if verdict is None else AlertVerdict(verdict),
        version=version,
        ladder=None if ladder is None else ladder_of(ladder),
        escalation_round=escalation_round,
        resumes=resumes,
        next_escalation_at=next_escalation_at,
        judge_at=judge_at,
        sla_marks=SlaMark(sla_marks) if sla_marks else NO_MARKS,
        assignee=assignee,
        told=tuple(told) if told else (),
    )


_RESPONDER, _SCHEDULE, _CHANNEL = 1, 2, 3


# Alerts of a tenant climb few different ladders.
@lru_cache(maxsize=4096)
def ladder_json(ladder: Ladder) -> Mapping[str, Any]:
    """Return a ladder as a JSON column holds it: delays in microseconds, targets as kind and id."""
    return {
        "rule": str(ladder.rule_id),
        "levels": [
            {"delay": level.delay // _MICROSECOND, "targets": [_target_json(target) for target in level.targets]}
            for level in ladder.levels
        ],
        "repeats": ladder.repeat_count,
        "onSla": ladder.escalate_on_sla,
    }


def _target_json(target: EscalationTarget) -> list[Any]:
    match target:
        case ResponderTarget():
            return [_RESPONDER, str(target.responder_id)]
        case ScheduleTarget():
            return [_SCHEDULE, str(target.schedule_id)]
        case ChannelTarget():
            return [_CHANNEL, str(target.channel_id)]
        case _:
            assert_never(target)


def ladder_of(value: Mapping[str, Any]) -> Ladder:
    """Return the ladder that a JSON column holds."""
    return Ladder(
        RuleId(UUID(value["rule"])),
        tuple(
            Level(level["delay"] * _MICROSECOND, tuple(_target_of(*target) for target in level["targets"]))
            for level in value["levels"]
        ),
        value["repeats"],
        value["onSla"],
    )


def _target_of(kind: int, text: str) -> EscalationTarget:
    if kind == _RESPONDER:
        return ResponderTarget(ResponderId(UUID(text)))
    if kind == _SCHEDULE:
        return ScheduleTarget(ScheduleId(UUID(text)))
    assert kind == _CHANNEL, f"{kind} is no kind of target"
    return ChannelTarget(ChannelId(UUID(text)))


def event_of(row: Sequence[Any]) -> StoredEvent:
    """Return the event that a row holds whose fields are EVENT_COLUMNS."""
    number, recorded_at, flush_id, content, leaf, link = row
    return StoredEvent(
        number=number,
        recorded_at=recorded_at,
        flush_id=FlushId(flush_id),
        event=parse_canonical(content),
        content=content,
        leaf=leaf,
        link=link,
    )


def actor_of(value: Mapping[str, Any]) -> Actor:
    """Return the actor that a JSON column holds."""
    return Actor(ActorKind(value["kind"]), value["name"], value["reference"])


def encode_json(value: object) -> bytes:
    """Return a value in the binary form of jsonb: its version, then the text.

    Actors and links are dataclasses, which become objects of their fields.
    """
    return b"\x01" + orjson.dumps(value, default=_plain)


def decode_json(raw: bytes) -> Any:
    """Return the value of a jsonb in binary form."""
    return orjson.loads(memoryview(raw)[1:])


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} can't be kept as JSON")
