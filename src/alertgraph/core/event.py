"""Events: what the log keeps, in the one form that is hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson

from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.alert import HoldReason
from alertgraph.core.ids import AlertId, FlushId, IncidentId, to_microseconds
from alertgraph.core.severity import Severity
from alertgraph.core.value import quick

LEAF_PREFIX = b"\x00"  # RFC 6962: a leaf can't be taken for an inner node
GENESIS_LINK = b"\x00" * 32


class EventKind(IntEnum):
    """What an event says. The numbers are stored and hashed by name: never reuse or rename one."""

    TRIGGERED = 1
    REPEATED = 2
    UPDATED = 3
    ACKNOWLEDGED = 4
    UNACKNOWLEDGED = 5
    ASSIGNED = 6
    ESCALATED = 7
    RESOLVED = 8
    REOPENED = 9
    NOTED = 10
    FEEDBACK_GIVEN = 11
    SILENCED = 12
    UNSILENCED = 13
    INHIBITED = 14
    UNINHIBITED = 15
    GROUPED = 16
    UNGROUPED = 17
    PREDICTED = 18
    HELD = 19
    SLA_AT_RISK = 20
    SLA_BREACHED = 21
    DELIVERY_SENT = 22
    DELIVERY_FAILED = 23
    DELIVERY_FELL_BACK = 24
    DELIVERY_SKIPPED = 25
    INCIDENT_OPENED = 26
    INCIDENT_UPDATED = 27
    INCIDENT_ACKNOWLEDGED = 28
    INCIDENT_RESOLVED = 29
    INCIDENT_MERGED = 30
    INCIDENT_SPLIT = 31
    CONFIG_CREATED = 32
    CONFIG_UPDATED = 33
    CONFIG_DELETED = 34
    PERSONAL_DATA_READ = 35
    MODEL_PROMOTED = 36
    MODEL_ROLLED_BACK = 37


CONFIG_KINDS = frozenset({EventKind.CONFIG_CREATED, EventKind.CONFIG_UPDATED, EventKind.CONFIG_DELETED})
# Subjects whose changes only an ADMIN sees in the log.
ADMIN_SUBJECT_TYPES = frozenset({"ApiKey"})


@quick
@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field before and after, by its name in the API; None where it was or is empty."""

    field: str
    before: Any
    after: Any


@quick
@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the log as it was decided: all that is hashed, and nothing that the append gives it.

    Attributes:
        severity_before: Of the alert, before the event; None where there was no open alert.
        note: Ciphertext in base64 of what a person wrote; the leaf covers it as it is, so that it can be
            made unreadable without breaking a proof.
        subject_id: The opaque id of the configured thing, also after it was deleted.
        elapsed_ms: For the first acknowledgement and for the end: milliseconds since triggered.
        sla_met: For the end: whether both SLA times were kept.
        self_resolved: For the end: whether it ended with nobody acting.
        detail: Whatever else belongs to the kind, such as the contents of a new alert.
        incident_id: The incident it is about: of an alert the one it belongs to, or the one it left.
    """

    kind: EventKind
    actor: Actor
    decided_at: datetime
    alert_id: AlertId | None = None
    dedup_key: str = ""
    title: str = ""
    severity_before: Severity | None = None
    severity_after: Severity | None = None
    service_before: str | None = None
    service_after: str | None = None
    source: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    hold_reason: HoldReason | None = None
    note: str | None = None
    subject_type: str | None = None
    subject_id: str | None = None
    changes: tuple[FieldChange, ...] = ()
    elapsed_ms: int | None = None
    sla_met: bool | None = None
    self_resolved: bool | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    incident_id: IncidentId | None = None


@quick
@dataclass(frozen=True, slots=True)
class SealedEvent:
    """An event with its canonical form and leaf hash, ready to be appended."""

    event: Event
    content: str
    leaf: bytes


@quick
@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event in its place in the log.

    Attributes:
        number: 1, 2, 3 … without gaps in its tenant's log.
        recorded_at: When it was committed; shared by all events of a flush, never earlier than the one before.
        link: Hash that chains the flush to all before it; only on the last event of a flush.
    """

    number: int
    recorded_at: datetime
    flush_id: FlushId
    event: Event
    content: str
    leaf: bytes
    link: bytes | None


# The events of a flush share their instants.
@lru_cache(maxsize=256)
def instant_text(at: datetime) -> str:
    """Return an aware instant as RFC 3339 in UTC with microseconds, the one spelling that is hashed."""
    text = at.astimezone(UTC).isoformat(timespec="microseconds")
    return text.removesuffix("+00:00") + "Z"


def instant_of(text: str) -> datetime:
    """Return the instant that `instant_text` wrote."""
    return datetime.fromisoformat(text)


def _content(event: Event) -> dict[str, Any]:
    actor, alert_id, incident_id = event.actor, event.alert_id, event.incident_id
    content: dict[str, Any] = {
        "v": 1,
        "kind": _name(event.kind),
        "actor": {"kind": _name(actor.kind), "name": actor.name, "reference": actor.reference},
        "decidedAt": instant_text(event.decided_at),
    }
    if alert_id is not None:
        content["alert"] = {
            # A store's driver may give ids of a class of its own, which orjson does not know.
            "id": alert_id if alert_id.__class__ is UUID else str(alert_id),
            "dedupKey": event.dedup_key,
            "title": event.title,
            "severity": [_name(event.severity_before), _name(event.severity_after)],
            "service": [event.service_before, event.service_after],
            "source": event.source,
            "labels": event.labels if event.labels.__class__ is dict else dict(event.labels),
        }
    if incident_id is not None:
        content["incident"] = incident_id if incident_id.__class__ is UUID else str(incident_id)
    if event.subject_type is not None:
        content["subject"] = {"type": event.subject_type, "id": event.subject_id}
    if event.changes:
        content["changes"] = [
            {"field": change.field, "before": change.before, "after": change.after} for change in event.changes
        ]
    if event.hold_reason is not None:
        content["holdReason"] = _name(event.hold_reason)
    if event.note is not None:
        content["note"] = event.note
    if event.elapsed_ms is not None:
        content["elapsedMs"] = event.elapsed_ms
    if event.sla_met is not None:
        content["slaMet"] = event.sla_met
    if event.self_resolved is not None:
        content["selfResolved"] = event.self_resolved
    if event.detail:
        content["detail"] = dict(event.detail)
    return content


def canonical(event: Event) -> str:
    """Return the form in which an event is hashed and kept.

    JSON in UTF-8 with the keys of every object in byte order, no white space and only what is not
    empty. An event parsed from it gives the same text again.
    """
    return _written(event).decode()


def _written(event: Event) -> bytes:
    return orjson.dumps(_content(event), option=orjson.OPT_SORT_KEYS)


def parse_canonical(content: str) -> Event:
    """Return the event that a canonical form describes.

    Raises:
        ValueError: It describes no event.
    """
    try:
        return _event_of(orjson.loads(content))
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError("this text describes no event") from error


def _event_of(data: dict[str, Any]) -> Event:
    alert = data.get("alert", {})
    severity = alert.get("severity", [None, None])
    service = alert.get("service", [None, None])
    subject = data.get("subject", {})
    hold = data.get("holdReason")
    incident = data.get("incident")
    return Event(
        kind=EventKind[data["kind"]],
        actor=Actor(ActorKind[data["actor"]["kind"]], data["actor"]["name"], data["actor"]["reference"]),
        decided_at=instant_of(data["decidedAt"]),
        alert_id=AlertId(UUID(alert["id"])) if alert else None,
        dedup_key=alert.get("dedupKey", ""),
        title=alert.get("title", ""),
        severity_before=Severity[severity[0]] if severity[0] else None,
        severity_after=Severity[severity[1]] if severity[1] else None,
        service_before=service[0],
        service_after=service[1],
        source=alert.get("source", ""),
        labels=alert.get("labels", {}),
        hold_reason=HoldReason[hold] if hold else None,
        note=data.get("note"),
        subject_type=subject.get("type"),
        subject_id=subject.get("id"),
        changes=tuple(
            FieldChange(change["field"], change["before"], change["after"]) for change in data.get("changes", ())
        ),
        elapsed_ms=data.get("elapsedMs"),
        sla_met=data.get("slaMet"),
        self_resolved=data.get("selfResolved"),
        detail=data.get("detail", {}),
        incident_id=IncidentId(UUID(incident)) if incident else None,
    )


def leaf_hash(content: str) -> bytes:
    """Return the leaf of a canonical form: SHA-256 of a zero byte and the UTF-8 text (RFC 6962)."""
    return hashlib.sha256(LEAF_PREFIX + content.encode()).digest()


def seal(event: Event) -> SealedEvent:
    """Return the event with its canonical form and leaf."""
    written = _written(event)
    return SealedEvent(event, written.decode(), hashlib.sha256(LEAF_PREFIX + written).digest())


def next_link(
    link: bytes, first_number: int, recorded_at: datetime, flush_id: FlushId, leaves: Iterable[bytes]
) -> bytes:
    """Return the hash that chains a flush to the log before it.

    SHA-256 over the link before, the number of the flush's first event and its instant in
    microseconds (8 bytes each, big-endian), the flush's id (16 bytes) and the leaves in order. So
    nothing that a row says of any event, neither place nor time nor flush nor content, can change
    without changing every later link. The store's append computes the same.
    """
    return hashlib.sha256(
        link
        + first_number.to_bytes(8, "big")
        + to_microseconds(recorded_at).to_bytes(8, "big", signed=True)
        + flush_id.bytes
        + b"".join(leaves)
    ).digest()


def _name(value: IntEnum | None) -> str | None:
    # What `name` reads, too, but only behind a descriptor in Python, which here is a tenth of the whole.
    return value._name_ if value is not None else None
