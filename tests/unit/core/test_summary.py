"""The sentences of a timeline."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from alertgraph.core.action import Action, Assign, ById, Escalate, Judge
from alertgraph.core.actor import ENGINE, Actor, ActorKind
from alertgraph.core.alert import Alert, HoldReason
from alertgraph.core.event import Event, EventKind, FieldChange
from alertgraph.core.ids import AlertId
from alertgraph.core.lifecycle import decide
from alertgraph.core.responder import ContactMethod
from alertgraph.core.rule import ResponderTarget
from alertgraph.core.severity import Severity
from alertgraph.core.summary import summary
from tests.factories import (
    MINUTE,
    T0,
    WEBHOOK,
    a_catalog,
    a_climbing_alert,
    a_config,
    a_level,
    a_responder,
    a_rule,
    a_situation,
)

ANNA = Actor(ActorKind.PERSON, "Anna")
PROMETHEUS = Actor(ActorKind.SENDER, "prometheus")
ALERT = AlertId(UUID(int=1))
GRACE = a_responder(30, ContactMethod(WEBHOOK.id, "1"), ContactMethod(WEBHOOK.id, "2", 2 * MINUTE), name="Grace")
TO_ADA = {"channel": "Slack #ops", "responder": "Ada", "purpose": "PAGE", "level": 1}


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
        (
            an_event(EventKind.ESCALATED, detail={"level": 2, "notified": [{"channel": "Mail"}]}),
            "Anna escalated the alert to level 2: Mail is told.",
        ),
        (
            an_event(EventKind.ESCALATED, detail={"level": 3, "notified": []}),
            "Anna escalated the alert to level 3, where nobody is to be told.",
        ),
        (
            an_event(
                EventKind.ESCALATED,
                ENGINE,
                detail={
                    "level": 2,
                    "notified": [
                        {"responder": "Ada", "channel": "Slack #ops"},
                        {"channel": "Teams"},
                        {"responder": "Ada", "channel": "SMS", "delaySeconds": 300.0},
                    ],
                },
            ),
            "Level 2 is reached: Ada is told over Slack #ops, and over SMS after 5 minutes; Teams is told.",
        ),
        (
            an_event(
                EventKind.ESCALATED,
                ENGINE,
                detail={
                    "level": 1,
                    "round": 1,
                    "notified": [{"responder": name, "channel": "Mail"} for name in "ABCDEF"],
                },
            ),
            "Level 1 is reached for the second time: A is told over Mail; B is told over Mail; "
            "C is told over Mail; D is told over Mail; 2 more are told.",
        ),
        (
            an_event(
                EventKind.ESCALATED,
                ENGINE,
                detail={"level": 1, "notified": [{"channel": f"c{n}"} for n in range(5)]},
            ),
            "Level 1 is reached: c0 is told; c1 is told; c2 is told; c3 is told; one more is told.",
        ),
        (an_event(EventKind.ASSIGNED, detail={"responder": "Ada"}), "Anna gave the alert to Ada."),
        (
            an_event(EventKind.ASSIGNED, changes=(FieldChange("assignee", "rsp_1", None),)),
            "Anna gave the alert to nobody.",
        ),
        (
            an_event(
                EventKind.SLA_AT_RISK,
                ENGINE,
                detail={"time": "acknowledge", "dueAt": "2026-11-23T13:00:00.000000Z"},
            ),
            "Three quarters of the time to acknowledge the alert have passed; it ends at 2026-11-23 13:00 UTC.",
        ),
        (
            an_event(
                EventKind.SLA_BREACHED, ENGINE, detail={"time": "resolve", "dueAt": "2026-11-24T12:00:00.000000Z"}
            ),
            "The time to resolve the alert has passed: it ended at 2026-11-24 12:00 UTC.",
        ),
        (
            an_event(EventKind.SILENCED, ENGINE, detail={"silences": ["sil_1"]}),
            "A silence covers the alert: nothing will be sent until the end.",
        ),
        (
            an_event(EventKind.SILENCED, ENGINE, detail={"silences": ["sil_1", "sil_2"]}),
            "2 silences cover the alert: nothing will be sent until the end.",
        ),
        (
            an_event(EventKind.INHIBITED, ENGINE, detail={"alerts": ["alr_1"]}),
            "A bigger alert covers this one: nothing will be sent meanwhile.",
        ),
        (
            an_event(EventKind.INHIBITED, ENGINE, detail={"alerts": ["alr_1"] * 10}),
            "At least 10 bigger alerts cover this one: nothing will be sent meanwhile.",
        ),
        (
            an_event(EventKind.DELIVERY_SENT, ENGINE, detail={**TO_ADA, "attempts": 2}),
            "Ada was told over Slack #ops (second attempt).",
        ),
        (
            an_event(EventKind.DELIVERY_SENT, ENGINE, detail={"channel": "Mail", "attempts": 1}),
            "Mail was told.",
        ),
        (
            an_event(EventKind.DELIVERY_SENT, ENGINE, detail={**TO_ADA, "attempts": 21, "afterReaction": True}),
            "Ada was told over Slack #ops (21st attempt), after somebody had reacted: the attempt was under way.",
        ),
        (
            an_event(EventKind.DELIVERY_SENT, ENGINE, detail={**TO_ADA, "purpose": "ASSIGNMENT", "attempts": 1}),
            "Ada was told over Slack #ops of the assignment.",
        ),
        (
            an_event(EventKind.DELIVERY_FAILED, ENGINE, detail={**TO_ADA, "attempts": 3, "error": "HTTP 500"}),
            "Ada could not be told over Slack #ops in 3 attempts: HTTP 500.",
        ),
        (
            an_event(
                EventKind.DELIVERY_FAILED,
                ENGINE,
                detail={"channel": "Mail", "purpose": "UPDATE", "attempts": 1, "error": "no\nsuch\nhost."},
            ),
            "Mail could not be brought up to date: no such host.",
        ),
        (
            an_event(
                EventKind.DELIVERY_FELL_BACK, ENGINE, detail={**TO_ADA, "error": "HTTP 500", "fallback": "Mail"}
            ),
            "Slack #ops failed (HTTP 500); Mail takes over.",
        ),
        (
            an_event(EventKind.DELIVERY_SKIPPED, ENGINE, detail={**TO_ADA, "attempts": 0}),
            "Ada was not told over Slack #ops: it was no longer needed.",
        ),
        (
            an_event(EventKind.HELD, ENGINE, hold_reason=HoldReason.NO_MATCHING_RULE),
            "Nothing will be sent for now: no escalation rule matches it, and there is no default rule.",
        ),
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


def test_a_long_error_is_cut() -> None:
    text = summary(an_event(EventKind.DELIVERY_FAILED, ENGINE, detail={**TO_ADA, "error": "e" * 1000}))

    assert text == f"Ada could not be told over Slack #ops: {'e' * 199}…."


@pytest.mark.parametrize(
    ("round_", "ordinal"),
    [(1, "second"), (9, "tenth"), (10, "11th"), (20, "21st"), (21, "22nd"), (22, "23rd"), (110, "111th")],
)
def test_rounds_are_counted_as_people_count(round_: int, ordinal: str) -> None:
    text = summary(an_event(EventKind.ESCALATED, ENGINE, detail={"level": 1, "round": round_}))

    assert text == f"Level 1 is reached for the {ordinal} time."


def test_what_the_core_writes_is_told_as_it_happened() -> None:
    alert, catalog = a_climbing_alert(), a_catalog(responders={GRACE.id: GRACE})
    rule = a_rule(a_level(5 * MINUTE, ResponderTarget(GRACE.id)))

    def told(action: Action, on: Alert, **situation: Any) -> list[str]:
        config = a_config(catalog=catalog)
        return [summary(event) for event in decide(action, on, a_situation(config=config, **situation)).events]

    climbing = replace(alert, ladder=rule.ladder)
    assert told(Judge(ById(alert.id)), climbing, now=T0 + 45 * MINUTE, actor=ENGINE) == [
        "Three quarters of the time to acknowledge the alert have passed; it ends at 2026-11-23 13:00 UTC.",
        "Level 1 is reached: Grace is told over webhook, and over webhook after 2 minutes.",
    ]
    assert told(Assign(ById(alert.id), GRACE.id), alert) == ["Ada gave the alert to Grace."]
    assert told(Assign(ById(alert.id), None), replace(alert, assignee=GRACE.id)) == [
        "Ada gave the alert to nobody."
    ]
    assert told(Escalate(ById(alert.id)), climbing) == [
        "Ada escalated the alert to level 1: Grace is told over webhook, and over webhook after 2 minutes."
    ]
