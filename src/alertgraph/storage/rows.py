"""Between rows and values: alerts, events and who did something."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeAlias, assert_never
from uuid import UUID

import orjson

from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.alert import Alert, AlertStatus, AlertVerdict, HoldReason, Link
from alertgraph.core.event import StoredEvent, parse_canonical
from alertgraph.core.ids import AlertId, ChannelId, FlushId, IncidentId, ResponderId, RuleId, ScheduleId
from alertgraph.core.incident import Incident
from alertgraph.core.prediction import Advice
from alertgraph.core.rule import ChannelTarget, EscalationTarget, Ladder, Level, ResponderTarget, ScheduleTarget
from alertgraph.core.severity import Severity
from alertgraph.core.slo import NO_MARKS, SlaClocks, SlaMark
from alertgraph.core.value import partial

# The columns that `alert_of` and `event_of` read, in their order: SELECT them by these names, nothing in between.
# Those of alert_closed but the tenant, which a test compares.
ALERT_COLUMNS = (
    "id",
    "version",
    "dedup_key",
    "title",
    "description",
    "severity",
    "status",
    "source",
    "monitored_service",
    "labels",
    "annotations",
    "links",
    "occurrence_count",
    "triggered_at",
    "last_seen_at",
    "acknowledged_at",
    "acknowledged_until",
    "acknowledged_by",
    "first_acknowledged_at",
    "resolved_at",
    "resolved_by",
    "escalation_level",
    "hold_reason",
    "acknowledge_by",
    "resolve_by",
    "resolve_at",
    "resolve_by_timeout",
    "verdict",
    "rule_id",
    "ladder",
    "escalation_round",
    "resumes",
    "next_escalation_at",
    "judge_at",
    "sla_marks",
    "assignee",
    "told",
    "incident_id",
    "incident_probability",
    "self_resolve_probability",
    "resolve_median",
)
# Those of incident that a decision and a reader look at; its status and severity follow from them.
INCIDENT_COLUMNS = (
    "id",
    "version",
    "title",
    "opened_at",
    "last_joined_at",
    "resolved_at",
    "alert_count",
    "open_counts",
    "triggered_count",
    "worst",
    "services",
    "root_alert_id",
    "merged_into",
    "group_key",
)
INCIDENT_SELECT = ", ".join(INCIDENT_COLUMNS)
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
        incident_id,
        incident_probability,
        self_resolve_probability,
        resolve_median,
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
        incident_id=incident_id,
        advice=None
        if incident_probability is None
        else Advice(incident_probability, self_resolve_probability, resolve_median),
    )


def incident_of(row: Sequence[Any], offset: int = 0) -> Incident:
    """Return the incident that a row holds whose fields from `offset` on are INCIDENT_COLUMNS."""
    (
        id_,
        version,
        title,
        opened_at,
        last_joined_at,
        resolved_at,
        alert_count,
        open_counts,
        triggered_count,
        worst,
        services,
        root_alert_id,
        merged_into,
        group_key,
    ) = row[offset : offset + len(INCIDENT_COLUMNS)]
    return Incident(
        id=IncidentId(id_),
        title=title,
        opened_at=opened_at,
        last_joined_at=last_joined_at,
        resolved_at=resolved_at,
        alert_count=alert_count,
        open_counts=tuple(open_counts),
        triggered_count=triggered_count,
        worst=_SEVERITIES[worst],
        services=tuple(services),
        root_alert_id=root_alert_id,
        merged_into=merged_into,
        group_key=group_key,
        version=version,
    )


_Convert: TypeAlias = Callable[..., Any] | None


def _links_of(value: Sequence[Mapping[str, str]] | None) -> tuple[Link, ...]:
    return tuple(Link(link["href"], link["text"]) for link in value) if value else ()


def _actor_or_none(value: Mapping[str, Any] | None) -> Actor | None:
    return None if value is None else actor_of(value)


def _hold_of(value: int | None) -> HoldReason | None:
    return None if value is None else _HOLDS[value]


def _ladder_or_none(value: Mapping[str, Any] | None) -> Ladder | None:
    return None if value is None else ladder_of(value)


def _verdict_of(value: int | None) -> AlertVerdict | None:
    return None if value is None else AlertVerdict(value)


def _advice_or_none(
    incident_probability: float | None, self_resolve_probability: float | None, resolve_median: timedelta | None
) -> Advice | None:
    if incident_probability is None:
        return None
    return Advice(incident_probability, self_resolve_probability, resolve_median)


# Fields of an alert that are read together, with the columns that each is made of, and how. They are few, so that
# there are few statements, and the plans of those in use stay at hand.
_FIELD_GROUPS: Sequence[Mapping[str, tuple[tuple[str, ...], _Convert]]] = (
    {
        "id": (("id",), None),
        "version": (("version",), None),
        "dedup_key": (("dedup_key",), None),
        "title": (("title",), None),
        "severity": (("severity",), _SEVERITIES.__getitem__),
        "status": (("status",), _STATUSES.__getitem__),
        "source": (("source",), None),
        "monitored_service": (("monitored_service",), None),
        "occurrence_count": (("occurrence_count",), None),
        "triggered_at": (("triggered_at",), None),
        "last_seen_at": (("last_seen_at",), None),
        "escalation_level": (("escalation_level",), None),
    },
    {
        "acknowledged_at": (("acknowledged_at",), None),
        "acknowledged_until": (("acknowledged_until",), None),
        "first_acknowledged_at": (("first_acknowledged_at",), None),
        "resolved_at": (("resolved_at",), None),
        "held": (("hold_reason",), _hold_of),
        "sla": (("acknowledge_by", "resolve_by"), SlaClocks),
        "next_escalation_at": (("next_escalation_at",), None),
        "verdict": (("verdict",), _verdict_of),
        "assignee": (("assignee",), None),
        "incident_id": (("incident_id",), None),
    },
    {
        "acknowledged_by": (("acknowledged_by",), _actor_or_none),
        "resolved_by": (("resolved_by",), _actor_or_none),
    },
    {
        "description": (("description",), None),
        "labels": (("labels",), None),
        "annotations": (("annotations",), None),
        "links": (("links",), _links_of),
    },
    {
        "ladder": (("ladder",), _ladder_or_none),
    },
    {
        "advice": (
            ("incident_probability", "self_resolve_probability", "resolve_median"),
            _advice_or_none,
        ),
    },
)


class AlertPart:
    """How alerts are read of which only some fields are looked at.

    Args:
        groups: Of fields.

    Attributes:
        select: The columns, as a statement names them; `id`, `triggered_at`, `last_seen_at` and `severity` are
            among them.
    """

    def __init__(self, groups: Sequence[Mapping[str, tuple[tuple[str, ...], _Convert]]]) -> None:
        fields = {name: made for group in groups for name, made in group.items()}
        columns = [column for read, _ in fields.values() for column in read]
        self.select = ", ".join(columns)
        self._fields = [(tuple(map(columns.index, read)), convert) for read, convert in fields.values()]
        self._make = partial(Alert, tuple(fields))

    def alerts_of(self, rows: Sequence[Any]) -> list[Alert]:
        """Return the alerts that rows hold whose fields are the columns; a column at a time."""
        columns = list(zip(*rows, strict=True))
        if not columns:
            return []
        values = [
            columns[read[0]] if convert is None else list(map(convert, *(columns[place] for place in read)))
            for read, convert in self._fields
        ]
        return list(map(self._make, *values))


@lru_cache(maxsize=1 << (len(_FIELD_GROUPS) - 1))
def _part_of_groups(groups: tuple[int, ...]) -> AlertPart:
    return AlertPart([_FIELD_GROUPS[group] for group in groups])


@lru_cache(maxsize=1024)
def part_with(fields: frozenset[str]) -> AlertPart | None:
    """Return how alerts are read with at least these fields; None where some of them only come with all."""
    # What lists are ordered by is in the first group, so that one is always read.
    groups = tuple(
        number for number, group in enumerate(_FIELD_GROUPS) if number == 0 or not fields.isdisjoint(group)
    )
    known = {name for number in groups for name in _FIELD_GROUPS[number]}
    return _part_of_groups(groups) if fields <= known else None


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
    """Return the ladder that a JSON column holds; of equal ones the same."""
    return _ladder_of(orjson.dumps(value))


@lru_cache(maxsize=4096)
def _ladder_of(written: bytes) -> Ladder:
    value = orjson.loads(written)
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
