"""The sentences of a timeline."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from alertgraph.core.actor import ENGINE, Actor, ActorKind
from alertgraph.core.alert import HoldReason
from alertgraph.core.event import Event, EventKind, FieldChange
from alertgraph.core.ids import AlertId
from alertgraph.core.severity import Severity
from alertgraph.core.summary import summary

T0 = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
ANNA = Actor(ActorKind.PERSON, "Anna")
PROMETHEUS = Actor(ActorKind.SENDER, "prometheus")
ALERT = AlertId(UUID(int=1))


def an_event(kind: EventKind, actor: Actor = ANNA, **facts: object) -> Event:
    return Event(kind=kind, actor=actor, decided_at=T0, alert_id=ALERT, note="c2VjcmV0", **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", EventKind)
def test_every_kind_has_one_sentence_that_tells_no_note(kind: EventKind) -> None:
    text = summary(an_event(kind))

    assert text[0].isupper()
    assert text.endswith(".")
    assert text.count(".") == 1
    assert "\n" not in text
    assert "c2VjcmV0" not in text
    assert "None" not in text
    assert "%s" not in text


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (
            an_event(EventKind.TRIGGERED, PROMETHEUS, severity_after=Severity.HIGH),
            "prometheus triggered the alert with severity HIGH.",
        ),
        (
            an_event(EventKind.REPEATED, PROMETHEUS, detail={"occurrenceCount": 4096}),
            "It fired again, 4,096 times by now.",
        ),
        (
            an_event(
                EventKind.UPDATED,
                changes=(FieldChange("severity", "LOW", "HIGH"), FieldChange("monitoredService", None, "db")),
            ),
            "Anna changed severity from LOW to HIGH and monitored service.",
        ),
        (
            an_event(
                EventKind.UPDATED, changes=tuple(FieldChange(f, 1, 2) for f in ("a", "b", "c", "d", "e", "f"))
            ),
            "Anna changed a, b, c, d and 2 more fields.",
        ),
        (an_event(EventKind.ACKNOWLEDGED), "Anna acknowledged the alert."),
        (
            an_event(
                EventKind.ACKNOWLEDGED,
                changes=(FieldChange("acknowledgedUntil", None, "2026-11-23T04:00:00.000000Z"),),
            ),
            "Anna acknowledged the alert until 2026-11-23 04:00 UTC.",
        ),
        (an_event(EventKind.UNACKNOWLEDGED), "Anna gave the alert back."),
        (
            an_event(EventKind.UNACKNOWLEDGED, ENGINE),
            "The acknowledgement ran out, and the alert climbs again.",
        ),
        (an_event(EventKind.ESCALATED, detail={"level": 2}), "Anna escalated the alert to level 2."),
        (an_event(EventKind.RESOLVED, elapsed_ms=0), "Anna resolved the alert after less than a second."),
        (an_event(EventKind.RESOLVED, elapsed_ms=61_000), "Anna resolved the alert after 1 minute 1 second."),
        (
            an_event(EventKind.RESOLVED, PROMETHEUS, elapsed_ms=2 * 86_400_000 + 5_000),
            "prometheus reported the end of the alert after 2 days.",
        ),
        (
            an_event(EventKind.RESOLVED, ENGINE, elapsed_ms=3_600_000),
            "The alert had not fired for so long that it ended by itself after 1 hour.",
        ),
        (
            an_event(EventKind.FEEDBACK_GIVEN, changes=(FieldChange("verdict", None, "NOISE"),)),
            "Anna called the alert noise.",
        ),
        (
            an_event(EventKind.FEEDBACK_GIVEN, changes=(FieldChange("verdict", "NOISE", None),)),
            "Anna took the judgement of the alert back.",
        ),
        (
            an_event(EventKind.HELD, ENGINE, hold_reason=HoldReason.NOBODY_ON_CALL),
            "Nothing will be sent for now: nobody is on call.",
        ),
        (
            an_event(
                EventKind.CONFIG_CREATED, subject_type="ApiKey", changes=(FieldChange("name", None, "grafana"),)
            ),
            "Anna created the API key “grafana”.",
        ),
        (
            an_event(
                EventKind.CONFIG_UPDATED,
                subject_type="TenantSettings",
                changes=(FieldChange("resolveTimeout", "PT0S", "PT5M"),),
            ),
            "Anna changed resolve timeout of the tenant settings.",
        ),
        (
            an_event(
                EventKind.CONFIG_DELETED, subject_type="SavedView", changes=(FieldChange("name", "mine", None),)
            ),
            "Anna deleted the saved view “mine”.",
        ),
    ],
)
def test_sentences(event: Event, sentence: str) -> None:
    assert summary(event) == sentence


@pytest.mark.parametrize("reason", HoldReason)
def test_every_hold_reason_is_said(reason: HoldReason) -> None:
    assert ": " in summary(an_event(EventKind.HELD, ENGINE, hold_reason=reason))


def test_a_long_name_is_cut() -> None:
    text = summary(an_event(EventKind.NOTED, Actor(ActorKind.API_KEY, "k" * 256)))

    assert text == "k" * 79 + "… wrote a note."
