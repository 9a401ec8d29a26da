"""Random values of the core, for laws: small pools where values should meet, any text where they should not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.alert import Alert, AlertStatus, AlertVerdict, Draft, HoldReason, Link
from alertgraph.core.event import Event, EventKind, FieldChange
from alertgraph.core.ids import AlertId
from alertgraph.core.lifecycle import (
    UNSET,
    Acknowledge,
    Action,
    AddNote,
    ById,
    ByKey,
    Clear,
    Escalate,
    Fire,
    GiveFeedback,
    Judge,
    Reopen,
    Resolve,
    Target,
    Unacknowledge,
    Update,
)
from alertgraph.core.severity import Severity
from tests.factories import ADA, DAY, HOUR, SENDER, T0, an_alert, an_id

# What PostgreSQL and JSON can hold: any character but NUL and halves of surrogate pairs.
characters = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
plain_texts = st.text(characters, max_size=20)
one_line_texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=20
).filter(str.strip)
# Anything that Python calls a text.
wild_texts = st.text(st.characters(), max_size=20)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | plain_texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain_texts, inner, max_size=3),
    max_leaves=8,
)
json_objects = st.dictionaries(plain_texts, json_values, max_size=3)

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.builds(
    lambda seconds, zone: (T0 + timedelta(microseconds=seconds)).astimezone(zone),
    st.integers(-(10**15), 10**15),
    zones,
)
near_instants = st.integers(-240, 240).map(lambda minutes: T0 + timedelta(minutes=minutes))

labels = st.dictionaries(st.sampled_from(["job", "zone"]), st.sampled_from(["", "a", "b"]), max_size=2)
severities = st.sampled_from(Severity)
services = st.sampled_from([None, "checkout", "search"])
actors = st.builds(Actor, st.sampled_from(ActorKind), plain_texts, plain_texts)
links = st.builds(Link, st.sampled_from(["https://a", "https://b"]), st.sampled_from(["", "A"]))
notes = st.none() | st.just("sealed")

KEYS = ("k0", "k1", "k2")

drafts = st.builds(
    Draft,
    title=st.sampled_from(["a", "b"]),
    severity=st.sampled_from([Severity.LOW, Severity.HIGH]),
    source=st.sampled_from(["prometheus", "script"]),
    description=st.none() | st.sampled_from(["", "d"]),
    monitored_service=services,
    dedup_key=st.sampled_from(KEYS),
    labels=st.none() | labels,
    annotations=st.none() | st.dictionaries(st.sampled_from("xy"), st.sampled_from([1, True, None]), max_size=2),
    links=st.none() | st.lists(links, max_size=2).map(tuple),
    triggered_at=st.none() | near_instants,
    ends_at=st.none() | near_instants,
    ends_by_timeout=st.booleans(),
)


@st.composite
def alerts(draw: st.DrawFn) -> Alert:
    """Return any alert that the core may have made."""
    triggered_at = draw(near_instants)
    alert = an_alert(
        id=an_id(draw(st.integers(1, 5))),
        dedup_key=draw(st.sampled_from(KEYS)),
        title=draw(st.sampled_from(["a", "b"])),
        severity=draw(severities),
        monitored_service=draw(services),
        labels=draw(labels),
        annotations=draw(st.dictionaries(st.sampled_from("xy"), st.sampled_from([1, True, None]), max_size=2)),
        links=draw(st.lists(links, max_size=2).map(tuple)),
        triggered_at=triggered_at,
        last_seen_at=triggered_at + draw(st.sampled_from([timedelta(0), HOUR, DAY])),
        occurrence_count=draw(st.integers(1, 40) | st.integers(2**31 - 3, 2**31 - 1)),
        escalation_level=draw(st.integers(0, 5)),
        first_acknowledged_at=draw(st.none() | near_instants),
        verdict=draw(st.none() | st.sampled_from(AlertVerdict)),
        version=draw(st.integers(1, 99)),
    )
    status = draw(st.sampled_from(AlertStatus))
    if status is AlertStatus.RESOLVED:
        ended_at = max(triggered_at, draw(near_instants))
        return replace(alert, status=status, resolved_at=ended_at, resolved_by=ADA, held=None)
    resolve_at = draw(st.none() | near_instants)
    alert = replace(
        alert, resolve_at=resolve_at, resolve_by_timeout=resolve_at is not None and draw(st.booleans())
    )
    if status is AlertStatus.TRIGGERED:
        return alert
    return replace(
        alert,
        status=status,
        held=HoldReason.ACKNOWLEDGED,
        acknowledged_at=triggered_at,
        acknowledged_by=ADA,
        acknowledged_until=draw(st.none() | near_instants),
        first_acknowledged_at=alert.first_acknowledged_at or triggered_at,
    )


def actions_on(targets: st.SearchStrategy[Target]) -> st.SearchStrategy[Action]:
    """Return anything that somebody may want of these targets."""
    until = st.none() | st.integers(-1, 300).map(lambda minutes: T0 + HOUR + timedelta(minutes=minutes))
    return st.one_of(
        st.builds(Fire, drafts),
        st.builds(Fire, drafts),
        st.builds(Clear, st.sampled_from(KEYS), near_instants),
        st.builds(
            Update,
            targets,
            severity=st.just(UNSET) | severities,
            title=st.just(UNSET) | st.sampled_from(["", "a", "b"]),
            monitored_service=st.just(UNSET) | services,
            annotations=st.just(UNSET)
            | st.dictionaries(st.sampled_from("xy"), st.sampled_from([1, None]), max_size=2),
            note=notes,
        ),
        st.builds(Acknowledge, targets, until, notes),
        st.builds(Unacknowledge, targets, notes),
        st.builds(Resolve, targets, notes),
        st.builds(Reopen, targets, notes),
        st.builds(Escalate, targets, st.none() | st.integers(0, 6), notes),
        st.builds(AddNote, targets, st.just("sealed")),
        st.builds(GiveFeedback, targets, st.none() | st.sampled_from(AlertVerdict), notes),
        st.builds(Judge, targets.filter(lambda target: isinstance(target, ById))),
    )


def targets_of(ids: Sequence[AlertId]) -> st.SearchStrategy[Target]:
    """Return targets among alerts and keys, present or not."""
    return st.one_of(
        st.sampled_from(ids).map(ById), st.sampled_from(ids).map(ById), st.sampled_from(KEYS).map(ByKey)
    )


field_changes = st.builds(FieldChange, plain_texts, json_values, json_values)


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Return any event, about an alert, a configured thing or neither."""
    fields: dict[str, Any] = {
        "kind": draw(st.sampled_from(EventKind)),
        "actor": draw(actors),
        "decided_at": draw(instants),
        "hold_reason": draw(st.none() | st.sampled_from(HoldReason)),
        "note": draw(st.none() | plain_texts),
        "changes": tuple(draw(st.lists(field_changes, max_size=2))),
        "elapsed_ms": draw(st.none() | st.integers(0, 2**53)),
        "sla_met": draw(st.none() | st.booleans()),
        "self_resolved": draw(st.none() | st.booleans()),
        "detail": draw(json_objects),
    }
    about = draw(st.sampled_from(["alert", "subject", "neither"]))
    if about == "alert":
        fields |= {
            "alert_id": AlertId(draw(st.uuids())),
            "dedup_key": draw(plain_texts),
            "title": draw(plain_texts),
            "severity_before": draw(st.none() | severities),
            "severity_after": draw(severities),
            "service_before": draw(st.none() | plain_texts),
            "service_after": draw(st.none() | plain_texts),
            "source": draw(plain_texts),
            "labels": draw(st.dictionaries(plain_texts, plain_texts, max_size=3)),
        }
    if about == "subject":
        fields |= {"subject_type": draw(plain_texts), "subject_id": draw(plain_texts)}
    return Event(**fields)


def at_or_after(bound: datetime) -> st.SearchStrategy[datetime]:
    """Return instants from `bound` on."""
    return st.integers(0, 10**9).map(lambda seconds: bound + timedelta(seconds=seconds))


senders_and_people = st.sampled_from([ADA, SENDER])
