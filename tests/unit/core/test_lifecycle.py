"""The life of an alert, action by action."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from alertgraph.core.action import (
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
    Unacknowledge,
    Update,
    check_action,
    check_note,
    target_of,
)
from alertgraph.core.actor import ENGINE, Actor, ActorKind
from alertgraph.core.alert import OCCURRENCE_COUNT_MAX, Alert, AlertStatus, AlertVerdict, Draft, HoldReason, Link
from alertgraph.core.catalog import Catalog
from alertgraph.core.decision import Decision
from alertgraph.core.errors import ErrorCode
from alertgraph.core.event import Event, EventKind
from alertgraph.core.ids import NodeKind, ResponderId, encode_id
from alertgraph.core.lifecycle import decide
from alertgraph.core.severity import Severity
from alertgraph.core.slo import NO_MARKS, TIER_TARGETS, SlaMark, sla_clocks
from alertgraph.core.tier import Tier
from tests.factories import (
    ADA,
    DAY,
    HOUR,
    LEVEL_MAX,
    MINUTE,
    RULE,
    SECOND,
    SENDER,
    T0,
    WEBHOOK,
    a_climbing_alert,
    a_config,
    a_draft,
    a_level,
    a_matcher,
    a_rule,
    a_situation,
    an_alert,
    an_id,
    the_same,
)

NOW = T0 + HOUR
TARGETS = TIER_TARGETS[Tier.STANDARD]
NO_RULES = a_config(catalog=Catalog())


def act(action: Action, alert: Alert | None, **situation: Any) -> Decision:
    return decide(action, alert, a_situation(**situation))


def fire(alert: Alert | None, draft: Draft, **situation: Any) -> Decision:
    return act(Fire(draft), alert, **situation)


def kinds(decision: Decision) -> list[EventKind]:
    return [event.kind for event in decision.events]


def changed(decision: Decision) -> dict[str, tuple[Any, Any]]:
    """Return the fields that the only event tells as changed."""
    (event,) = decision.events
    return {change.field: (change.before, change.after) for change in event.changes}


def after(decision: Decision) -> Alert:
    """Return the alert as it is after a decision that was no refusal."""
    assert decision.problem is None
    assert decision.alert is not None
    return decision.alert


def event_of(decision: Decision) -> Event:
    (event,) = decision.events
    return event


def refusal(decision: Decision) -> tuple[ErrorCode, tuple[str, ...]]:
    assert decision.problem is not None
    assert decision.events == ()
    return decision.problem.code, decision.problem.path


# ----------------------------------------------------------------------------------- new alerts


def test_a_condition_that_is_new_opens_an_alert() -> None:
    decision = fire(None, a_draft(description="p99", annotations={"a": 1}, links=(Link("https://a", "A"),)))

    alert = after(decision)
    assert (alert.id, alert.status, alert.occurrence_count) == (an_id(99), AlertStatus.TRIGGERED, 1)
    assert (alert.triggered_at, alert.last_seen_at) == (NOW, NOW)
    assert (alert.ladder, alert.escalation_level, alert.held) == (RULE.ladder, 0, None)
    # The engine takes it from here, at once.
    assert (alert.next_escalation_at, alert.due_at) == (NOW, NOW)
    assert alert.sla == sla_clocks(TARGETS[Severity.HIGH], NOW)
    assert (decision.created, decision.changed, decision.counted) == (True, True, False)


def test_the_event_of_a_new_alert_tells_all_that_it_says() -> None:
    decision = fire(None, a_draft(description="p99", annotations={"a": 1}, links=(Link("https://a", "A"),)))

    event = event_of(decision)
    assert event.kind is EventKind.TRIGGERED
    assert (event.severity_before, event.severity_after) == (None, Severity.HIGH)
    assert (event.service_before, event.service_after) == (None, "checkout")
    assert event.detail == {
        "description": "p99",
        "annotations": {"a": 1},
        "links": [{"href": "https://a", "text": "A"}],
        "triggeredAt": "2026-11-23T13:00:00.000000Z",
        "acknowledgeBy": "2026-11-23T14:00:00.000000Z",
        "resolveBy": "2026-11-24T13:00:00.000000Z",
        "escalationRuleId": encode_id(NodeKind.ESCALATION_RULE, RULE.id),
    }


def test_a_new_alert_that_no_rule_is_for_is_held_and_says_so() -> None:
    decision = fire(None, a_draft(), config=NO_RULES)

    alert = after(decision)
    opened, held = decision.events
    assert (alert.ladder, alert.next_escalation_at, alert.held) == (None, None, HoldReason.NO_MATCHING_RULE)
    assert (opened.kind, held.kind, held.hold_reason) == (
        EventKind.TRIGGERED,
        EventKind.HELD,
        HoldReason.NO_MATCHING_RULE,
    )
    assert "escalationRuleId" not in opened.detail
    assert (held.severity_before, held.severity_after, held.changes) == (Severity.HIGH, Severity.HIGH, ())


def test_an_alert_begins_when_its_sender_says() -> None:
    alert = after(fire(None, a_draft(triggered_at=T0 - DAY)))

    assert alert.triggered_at == T0 - DAY
    assert alert.last_seen_at == NOW
    assert alert.sla == sla_clocks(TARGETS[Severity.HIGH], T0 - DAY)


@pytest.mark.parametrize(
    ("timeout", "ends_at", "by_timeout", "expected"),
    [
        (timedelta(0), None, False, (None, False)),
        (5 * MINUTE, None, False, (NOW + 5 * MINUTE, True)),
        (5 * MINUTE, T0 + DAY, False, (T0 + DAY, False)),
        (timedelta(0), T0 + DAY, True, (T0 + DAY, True)),
    ],
)
def test_an_end_is_the_senders_word_or_else_the_tenants_time_out(
    timeout: timedelta, ends_at: datetime | None, by_timeout: bool, expected: tuple[datetime | None, bool]
) -> None:
    draft = a_draft(ends_at=ends_at, ends_by_timeout=by_timeout)

    alert = after(fire(None, draft, config=a_config(resolve_timeout=timeout)))
    held = after(fire(None, draft, config=a_config(resolve_timeout=timeout, catalog=Catalog())))

    assert (alert.resolve_at, alert.resolve_by_timeout) == expected
    assert (held.resolve_at, held.resolve_by_timeout) == expected
    assert held.due_at == min(NOW + 45 * MINUTE, expected[0] or NOW + DAY)


def test_a_scoped_key_does_not_rewrite_an_alert_that_it_may_not_see() -> None:
    theirs = an_alert(labels={"team": "theirs"})
    draft = a_draft(dedup_key=theirs.dedup_key, labels={"team": "ours"})

    decision = decide(Fire(draft), theirs, a_situation(scope=(a_matcher("team", "ours"),)))

    assert decision.problem is not None
    assert (decision.problem.code, decision.problem.path) == (ErrorCode.CONFLICT, ("dedupKey",))
    assert decision.alert is None
    assert decision.events == ()


def test_a_scoped_key_sends_what_matches_and_nothing_else() -> None:
    ours = (a_matcher("job", "api"), a_matcher("@severity", "HIGH"))

    assert fire(None, a_draft(), scope=ours).created
    assert refusal(fire(None, a_draft(severity=Severity.LOW), scope=ours))[0] is ErrorCode.INVALID_INPUT
    assert refusal(fire(None, a_draft(labels=None), scope=ours))[0] is ErrorCode.INVALID_INPUT


# --------------------------------------------------------------------------------------- repeats


def test_a_repeat_of_one_counted_as_often_as_can_be_told_is_counted_no_further() -> None:
    alert = an_alert(occurrence_count=OCCURRENCE_COUNT_MAX)

    decision = fire(alert, the_same(alert))

    assert decision.alert is not None
    assert decision.alert.occurrence_count == OCCURRENCE_COUNT_MAX
    assert decision.alert.last_seen_at == T0 + HOUR
    assert (decision.counted, decision.events, decision.problem) == (True, (), None)


def test_a_change_from_one_to_true_is_a_change() -> None:
    alert = an_alert(annotations={"a": 1, "b": [1.0]})

    decision = fire(alert, the_same(alert, annotations={"a": True, "b": [1.0]}))

    assert kinds(decision) == [EventKind.UPDATED]
    assert changed(decision) == {"annotations": ({"a": 1, "b": [1.0]}, {"a": True, "b": [1.0]})}


def test_a_patch_takes_away_only_the_annotations_that_it_names() -> None:
    alert = an_alert(annotations={"kept": None, "gone": 1})

    decision = act(Update(ById(alert.id), annotations={"gone": None, "new": 2, "never": None}), alert)

    assert decision.alert is not None
    assert decision.alert.annotations == {"kept": None, "new": 2}


def test_a_repeat_that_changes_nothing_is_counted_and_told_at_powers_of_two() -> None:
    alert = an_alert()
    told = []
    for _ in range(20):
        decision = fire(alert, the_same(alert))
        alert = after(decision)
        assert decision.counted
        assert (decision.created, decision.changed) == (False, False)
        told += [(event.kind, event.detail) for event in decision.events]

    assert alert.occurrence_count == 21
    assert told == [(EventKind.REPEATED, {"occurrenceCount": count}) for count in (2, 4, 8, 16)]


def test_what_a_repeat_does_not_say_stays() -> None:
    alert = an_alert(description="d", annotations={"a": 1}, links=(Link("https://a", ""),), occurrence_count=2)
    draft = Draft(title=alert.title, severity=alert.severity, source="script", dedup_key=alert.dedup_key)

    folded = after(decision := fire(alert, draft))

    assert decision.events == ()
    assert (folded.description, folded.labels, folded.annotations) == ("d", alert.labels, {"a": 1})
    assert (folded.links, folded.monitored_service, folded.source) == (alert.links, "checkout", "prometheus")


def test_what_a_repeat_says_anew_replaces_and_is_told() -> None:
    alert = an_alert(description="d", annotations={"a": 1})

    decision = fire(
        alert,
        the_same(
            alert, title="Worse", severity=Severity.CRITICAL, description="", annotations={"b": 2}, labels={}
        ),
    )

    folded = after(decision)
    assert changed(decision) == {
        "title": ("High latency", "Worse"),
        "severity": ("HIGH", "CRITICAL"),
        "description": ("d", ""),
        "annotations": ({"a": 1}, {"b": 2}),
        "labels": (dict(alert.labels), {}),
    }
    assert event_of(decision).detail == {"occurrenceCount": 2}
    assert folded.sla == sla_clocks(TARGETS[Severity.CRITICAL], T0)
    assert (folded.id, folded.occurrence_count) == (alert.id, 2)


def test_the_earliest_start_wins() -> None:
    alert = an_alert(triggered_at=T0)

    earlier = fire(alert, the_same(alert, triggered_at=T0 - MINUTE))
    later = fire(alert, the_same(alert, triggered_at=T0 + MINUTE))

    assert changed(earlier) == {"triggeredAt": ("2026-11-23T12:00:00.000000Z", "2026-11-23T11:59:00.000000Z")}
    assert after(earlier).sla == sla_clocks(TARGETS[Severity.HIGH], T0 - MINUTE)
    assert after(later).triggered_at == T0
    assert after(later).sla == alert.sla


@pytest.mark.parametrize(
    ("known", "said", "expected"),
    [
        ((T0 + 2 * HOUR, False), (T0 + 3 * HOUR, True), (T0 + 3 * HOUR, True)),
        ((T0 + 3 * HOUR, False), (T0 + 2 * HOUR, True), (T0 + 3 * HOUR, False)),
        ((T0 + 2 * HOUR, False), (T0 + 2 * HOUR, True), (T0 + 2 * HOUR, False)),
        ((T0 + 3 * HOUR, True), (T0 + 2 * HOUR, True), (T0 + 2 * HOUR, True)),
        ((T0 + 3 * HOUR, True), (T0 + 2 * HOUR, False), (T0 + 2 * HOUR, False)),
        ((None, False), (T0 + 2 * HOUR, True), (T0 + 2 * HOUR, True)),
    ],
)
def test_an_explicit_later_end_beats_a_time_out(
    known: tuple[datetime | None, bool], said: tuple[datetime, bool], expected: tuple[datetime, bool]
) -> None:
    alert = an_alert(resolve_at=known[0], resolve_by_timeout=known[1])

    folded = after(fire(alert, the_same(alert, ends_at=said[0], ends_by_timeout=said[1])))

    assert (folded.resolve_at, folded.resolve_by_timeout) == expected


def test_a_repeat_does_not_take_an_acknowledgement_back() -> None:
    alert = an_alert(status=AlertStatus.ACKNOWLEDGED, acknowledged_until=T0 + DAY)

    folded = after(fire(alert, the_same(alert, severity=Severity.CRITICAL)))

    assert (folded.status, folded.held) == (AlertStatus.ACKNOWLEDGED, HoldReason.ACKNOWLEDGED)
    assert folded.acknowledged_until == T0 + DAY


# ------------------------------------------------------------------------------------------ ends


def test_a_sender_ends_its_alert() -> None:
    alert = an_alert(resolve_at=T0 + DAY, resolve_by_timeout=True)

    decision = act(Clear(alert.dedup_key, NOW - MINUTE), alert, actor=SENDER)

    ended = after(decision)
    assert (ended.status, ended.resolved_at, ended.resolved_by) == (AlertStatus.RESOLVED, NOW - MINUTE, SENDER)
    assert (ended.held, ended.resolve_at, ended.resolve_by_timeout) == (None, None, False)
    assert (decision.changed, kinds(decision)) == (True, [EventKind.RESOLVED])
    assert changed(decision) == {"status": ("TRIGGERED", "RESOLVED")}


@pytest.mark.parametrize(("said", "expected"), [(T0 - DAY, T0), (NOW + DAY, NOW), (NOW - MINUTE, NOW - MINUTE)])
def test_an_end_lies_between_the_beginning_and_now(said: datetime, expected: datetime) -> None:
    assert after(act(Clear("latency", said), an_alert())).resolved_at == expected


def test_an_alert_that_begins_in_the_future_does_not_end_before_it() -> None:
    alert = an_alert(triggered_at=NOW + HOUR)

    assert after(act(Clear("latency", NOW), alert)).resolved_at == NOW + HOUR
    assert after(act(Resolve(ById(alert.id)), alert)).resolved_at == NOW + HOUR


def test_the_end_of_nothing_is_no_error() -> None:
    assert act(Clear("latency", NOW), None) == Decision(None)


def test_the_end_of_what_a_key_may_not_see_is_the_end_of_nothing() -> None:
    assert act(Clear("latency", NOW), an_alert(), scope=(a_matcher("team", "ours"),)) == Decision(None)


@pytest.mark.parametrize(
    ("fields", "ended_at", "met"),
    [
        ({}, T0 + 59 * MINUTE, True),
        ({}, T0 + HOUR, True),
        ({}, T0 + HOUR + MINUTE, False),
        ({"first_acknowledged_at": T0 + 59 * MINUTE}, T0 + 23 * HOUR, True),
        ({"first_acknowledged_at": T0 + 61 * MINUTE}, T0 + 23 * HOUR, False),
        ({"first_acknowledged_at": T0 + MINUTE}, T0 + 25 * HOUR, False),
    ],
)
def test_an_end_tells_whether_both_sla_times_were_kept(
    fields: dict[str, Any], ended_at: datetime, met: bool
) -> None:
    decision = act(Clear("latency", ended_at), an_alert(**fields), now=ended_at)

    assert event_of(decision).sla_met is met
    assert event_of(decision).elapsed_ms == (ended_at - T0) // timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("fields", "actor", "by_itself"),
    [
        ({}, SENDER, True),
        ({}, ADA, False),
        ({}, Actor(ActorKind.API_KEY, "script"), False),
        ({"first_acknowledged_at": T0}, SENDER, False),
        ({"escalation_level": 1}, SENDER, False),
    ],
)
def test_an_alert_ended_by_itself_where_nobody_acted(
    fields: dict[str, Any], actor: Actor, by_itself: bool
) -> None:
    decision = act(Clear("latency", NOW), an_alert(**fields), actor=actor)

    assert event_of(decision).self_resolved is by_itself


def test_a_person_ends_an_alert_with_a_note() -> None:
    decision = act(Resolve(ById(an_id()), "sealed"), an_alert(status=AlertStatus.ACKNOWLEDGED))

    assert (after(decision).resolved_at, after(decision).resolved_by) == (NOW, ADA)
    assert after(decision).acknowledged_at == T0
    assert event_of(decision).note == "sealed"


# ---------------------------------------------------------------------------------------- people


def test_taking_an_alert_holds_it() -> None:
    decision = act(Acknowledge(ById(an_id()), until=NOW + HOUR, note="sealed"), an_alert())

    taken = after(decision)
    assert (taken.status, taken.held) == (AlertStatus.ACKNOWLEDGED, HoldReason.ACKNOWLEDGED)
    assert (taken.acknowledged_at, taken.acknowledged_by, taken.first_acknowledged_at) == (NOW, ADA, NOW)
    assert taken.due_at == NOW + HOUR
    assert (event_of(decision).elapsed_ms, event_of(decision).note) == (3_600_000, "sealed")
    assert changed(decision) == {
        "status": ("TRIGGERED", "ACKNOWLEDGED"),
        "acknowledgedUntil": (None, "2026-11-23T14:00:00.000000Z"),
    }


def test_the_first_acknowledgement_is_kept_when_an_alert_is_given_back_and_taken_again() -> None:
    taken = an_alert(status=AlertStatus.ACKNOWLEDGED)

    given = after(act(Unacknowledge(ById(an_id())), taken))
    again = act(Acknowledge(ById(an_id())), given)

    assert (given.acknowledged_at, given.acknowledged_by, given.acknowledged_until) == (None, None, None)
    assert (given.held, given.next_escalation_at, given.resumes) == (None, NOW, True)
    assert given.first_acknowledged_at == T0
    assert after(again).first_acknowledged_at == T0
    assert event_of(again).elapsed_ms is None


def test_what_is_given_back_climbs_again_from_the_level_it_had() -> None:
    taken = an_alert(status=AlertStatus.ACKNOWLEDGED, ladder=TWO_LEVELS, escalation_level=2, escalation_round=1)

    decision = act(Unacknowledge(ById(an_id())), taken)

    given = after(decision)
    assert (given.ladder, given.escalation_level, given.escalation_round) == (TWO_LEVELS, 2, 1)
    assert (given.held, given.next_escalation_at, given.resumes) == (None, NOW, True)
    assert changed(decision) == {"status": ("ACKNOWLEDGED", "TRIGGERED")}


def test_what_is_given_back_and_no_rule_is_for_is_held_and_says_so() -> None:
    decision = act(Unacknowledge(ById(an_id())), TAKEN, config=NO_RULES)

    assert kinds(decision) == [EventKind.UNACKNOWLEDGED, EventKind.HELD]
    assert decision.events[1].hold_reason is HoldReason.NO_MATCHING_RULE
    assert (after(decision).held, after(decision).next_escalation_at) == (HoldReason.NO_MATCHING_RULE, None)


def test_another_until_is_a_change_of_an_acknowledgement() -> None:
    taken = an_alert(status=AlertStatus.ACKNOWLEDGED, acknowledged_until=NOW + HOUR)

    decision = act(Acknowledge(ById(an_id()), until=None), taken)

    assert decision.changed
    assert changed(decision) == {"acknowledgedUntil": ("2026-11-23T14:00:00.000000Z", None)}


def test_until_may_be_a_year_ahead() -> None:
    taken = after(act(Acknowledge(ById(an_id()), until=NOW + 366 * DAY), an_alert()))

    assert taken.acknowledged_until == NOW + 366 * DAY


@pytest.mark.parametrize("until", [NOW, NOW - MINUTE, T0 - 9000 * DAY, NOW + 367 * DAY])
def test_until_lies_ahead_and_within_a_year(until: datetime) -> None:
    assert refusal(act(Acknowledge(ById(an_id()), until=until), an_alert())) == (
        ErrorCode.INVALID_INPUT,
        ("until",),
    )


TAKEN = an_alert(status=AlertStatus.ACKNOWLEDGED)
CLOSED = an_alert(status=AlertStatus.RESOLVED)
TWO_LEVELS = a_rule(a_level(MINUTE), a_level(MINUTE)).ladder


@pytest.mark.parametrize(
    ("action", "alert"),
    [
        (Acknowledge(ById(an_id())), TAKEN),
        (Unacknowledge(ById(an_id())), an_alert()),
        (Resolve(ById(an_id())), CLOSED),
        (Reopen(ById(an_id())), an_alert()),
        (Escalate(ById(an_id()), 2), an_alert(escalation_level=2, ladder=TWO_LEVELS)),
        (GiveFeedback(ById(an_id()), None), CLOSED),
        (GiveFeedback(ById(an_id()), AlertVerdict.NOISE), an_alert(verdict=AlertVerdict.NOISE)),
        (Update(ById(an_id())), an_alert()),
        (Update(ById(an_id()), title="High latency", severity=Severity.HIGH, links=()), an_alert()),
        (Judge(ById(an_id())), a_climbing_alert(triggered_at=NOW, next_escalation_at=NOW + SECOND)),
        (Judge(ById(an_id())), CLOSED),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, Alert) else value.status.name,
)
def test_what_is_so_already_is_no_error_and_no_event(action: Action, alert: Alert) -> None:
    assert act(action, alert) == Decision(alert)


@pytest.mark.parametrize(
    ("action", "alert"),
    [
        (Acknowledge(ById(an_id()), note="sealed"), TAKEN),
        (Unacknowledge(ById(an_id()), note="sealed"), an_alert()),
        (Resolve(ById(an_id()), note="sealed"), CLOSED),
        (Reopen(ById(an_id()), note="sealed"), TAKEN),
        (Escalate(ById(an_id()), 2, note="sealed"), an_alert(escalation_level=2, ladder=TWO_LEVELS)),
        (GiveFeedback(ById(an_id()), None, note="sealed"), CLOSED),
        (Update(ById(an_id()), note="sealed"), an_alert()),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, Alert) else value.status.name,
)
def test_a_note_with_what_is_so_already_is_kept(action: Action, alert: Alert) -> None:
    decision = act(action, alert)

    assert (decision.alert, decision.changed, decision.problem) == (alert, False, None)
    assert (event_of(decision).kind, event_of(decision).note) == (EventKind.NOTED, "sealed")


@pytest.mark.parametrize(
    "action",
    [
        Acknowledge(ById(an_id())),
        Unacknowledge(ById(an_id())),
        Escalate(ById(an_id())),
        Update(ById(an_id()), title="New"),
    ],
    ids=lambda action: type(action).__name__,
)
def test_what_needs_an_open_alert_is_a_conflict_on_a_closed_one(action: Action) -> None:
    decision = act(action, CLOSED)

    assert refusal(decision) == (ErrorCode.CONFLICT, ("alertId",))
    assert decision.alert is CLOSED


@pytest.mark.parametrize(
    ("action", "path"), [(Resolve(ById(an_id())), "alertId"), (Resolve(ByKey("latency")), "dedupKey")]
)
def test_what_is_not_there_or_out_of_scope_is_not_found(action: Action, path: str) -> None:
    hidden = act(action, an_alert(), scope=(a_matcher("team", "ours"),))

    assert refusal(act(action, None)) == (ErrorCode.NOT_FOUND, (path,))
    assert hidden == act(action, None)


def test_a_scoped_caller_acts_on_what_it_may_see() -> None:
    ours = (a_matcher("job", "api"),)

    assert after(act(Resolve(ById(an_id())), an_alert(), scope=ours)).is_open is False
    assert after(act(Clear("latency", NOW), an_alert(), scope=ours)).is_open is False
    assert after(fire(an_alert(), the_same(an_alert()), scope=ours)).occurrence_count == 2


def test_climbing_goes_to_the_next_level_also_when_acknowledged() -> None:
    decision = act(Escalate(ById(an_id())), TAKEN)

    assert (after(decision).escalation_level, after(decision).status) == (1, AlertStatus.ACKNOWLEDGED)
    assert event_of(decision).detail["level"] == 1
    assert changed(decision) == {"escalationLevel": (0, 1)}
    assert (after(decision).held, after(decision).next_escalation_at) == (HoldReason.ACKNOWLEDGED, None)


@pytest.mark.parametrize("level", [0, -1, LEVEL_MAX + 1, 1 << 40])
def test_a_level_that_is_none_is_refused(level: int) -> None:
    assert refusal(act(Escalate(ById(an_id()), level), an_alert())) == (ErrorCode.INVALID_INPUT, ("level",))


def test_where_no_rule_is_for_an_alert_its_level_is_kept_and_nobody_told() -> None:
    decision = act(Escalate(ById(an_id()), LEVEL_MAX), an_alert(), config=NO_RULES)
    beyond = act(Escalate(ById(an_id()), LEVEL_MAX + 1), an_alert(), config=NO_RULES)

    assert (after(decision).escalation_level, decision.deliveries) == (LEVEL_MAX, ())
    assert after(decision).held is HoldReason.NO_MATCHING_RULE
    assert event_of(decision).detail == {"level": LEVEL_MAX}
    assert refusal(beyond) == (ErrorCode.INVALID_INPUT, ("level",))


def test_above_the_highest_level_there_is_none() -> None:
    top = an_alert(escalation_level=2, ladder=TWO_LEVELS)

    assert refusal(act(Escalate(ById(an_id())), top)) == (ErrorCode.CONFLICT, ("alertId",))
    assert after(act(Escalate(ById(an_id()), 1), top)).escalation_level == 1


def test_a_reopened_alert_is_a_new_one_with_the_same_contents() -> None:
    closed = an_alert(
        status=AlertStatus.RESOLVED,
        description="d",
        annotations={"a": 1},
        occurrence_count=9,
        escalation_level=2,
        verdict=AlertVerdict.NOISE,
        first_acknowledged_at=T0,
        escalation_round=3,
        resumes=True,
        sla_marks=SlaMark.ACKNOWLEDGE_AT_RISK,
        assignee=ResponderId(UUID(int=1)),
        told=(WEBHOOK.id,),
    )

    decision = act(Reopen(ById(closed.id), "sealed"), closed)

    again = after(decision)
    assert (again.id, again.dedup_key, again.description) == (an_id(99), "latency", "d")
    assert (again.status, again.occurrence_count, again.escalation_level) == (AlertStatus.TRIGGERED, 1, 0)
    assert (again.triggered_at, again.sla) == (NOW, sla_clocks(TARGETS[Severity.HIGH], NOW))
    assert (again.first_acknowledged_at, again.resolved_at, again.resolved_by) == (None, None, None)
    assert (again.verdict, again.held, again.ladder) == (None, None, RULE.ladder)
    assert (again.next_escalation_at, again.escalation_round, again.resumes) == (NOW, 0, False)
    assert (again.sla_marks, again.assignee, again.told) == (NO_MARKS, None, ())
    assert (decision.created, kinds(decision)) == (True, [EventKind.REOPENED])
    assert event_of(decision).detail["reopens"] == str(closed.id)
    assert event_of(decision).severity_before is None


def test_a_reopened_alert_that_no_rule_is_for_any_more_is_held_and_says_so() -> None:
    closed = an_alert(
        status=AlertStatus.RESOLVED, ladder=TWO_LEVELS, escalation_level=2, escalation_round=3, resumes=True
    )

    decision = act(Reopen(ById(closed.id)), closed, config=NO_RULES)

    again = after(decision)
    assert kinds(decision) == [EventKind.REOPENED, EventKind.HELD]
    assert (again.held, again.ladder, again.next_escalation_at) == (HoldReason.NO_MATCHING_RULE, None, None)
    assert (again.escalation_level, again.escalation_round, again.resumes) == (0, 0, False)


def test_a_judgement_can_be_given_and_taken_back_on_a_closed_alert() -> None:
    given = act(GiveFeedback(ById(an_id()), AlertVerdict.NOISE, "sealed"), CLOSED)
    taken = act(GiveFeedback(ById(an_id()), None), after(given))

    assert changed(given) == {"verdict": (None, "NOISE")}
    assert changed(taken) == {"verdict": ("NOISE", None)}
    assert after(taken) == CLOSED


def test_a_note_changes_nothing_but_the_timeline() -> None:
    decision = act(AddNote(ById(an_id()), "sealed"), CLOSED)

    assert (decision.alert, decision.changed, kinds(decision)) == (CLOSED, True, [EventKind.NOTED])


def test_a_patch_changes_what_it_names() -> None:
    alert = an_alert(description="d")

    decision = act(
        Update(
            ById(alert.id),
            severity=Severity.CRITICAL,
            title="New",
            monitored_service=None,
            links=(Link("https://a", "A"),),
            note="sealed",
        ),
        alert,
    )

    updated = after(decision)
    assert (updated.title, updated.severity, updated.monitored_service) == ("New", Severity.CRITICAL, None)
    assert updated.description == "d"
    assert updated.sla == sla_clocks(TARGETS[Severity.CRITICAL], T0)
    assert event_of(decision).service_before == "checkout"
    assert event_of(decision).service_after is None
    assert changed(decision).keys() == {"title", "severity", "monitoredService", "links"}


@pytest.mark.parametrize(
    ("patch", "path"),
    [
        ({"title": ""}, ("title",)),
        ({"title": "\x00"}, ("title",)),
        ({"description": "d" * 25_001}, ("description",)),
        ({"monitored_service": ""}, ("monitoredService",)),
        ({"annotations": {"a": "\x00"}}, ("annotations",)),
        ({"annotations": {"a": "b" * 65_536}}, ("annotations",)),
        ({"links": (Link("ftp://a", ""),)}, ("links", "0", "href")),
    ],
)
def test_a_patch_that_cannot_be_kept_is_refused_as_a_whole(patch: dict[str, Any], path: tuple[str, ...]) -> None:
    alert = an_alert()

    decision = act(Update(ById(alert.id), **{"severity": Severity.LOW, **patch}), alert)

    assert refusal(decision) == (ErrorCode.INVALID_INPUT, path)
    assert decision.alert is alert


# ---------------------------------------------------------------------------------------- timers


def test_an_end_that_is_due_ends_the_alert_at_that_time() -> None:
    named = act(Judge(ById(an_id())), an_alert(resolve_at=NOW - MINUTE), actor=ENGINE)
    silent = act(Judge(ById(an_id())), an_alert(resolve_at=NOW, resolve_by_timeout=True), actor=ENGINE)

    assert after(named).resolved_at == NOW - MINUTE
    assert after(named).resolved_by == Actor(ActorKind.SENDER, "prometheus")
    assert (after(silent).resolved_at, after(silent).resolved_by) == (NOW, ENGINE)
    assert [event_of(d).self_resolved for d in (named, silent)] == [True, True]


def test_an_acknowledgement_that_ran_out_gives_the_alert_back() -> None:
    alert = an_alert(status=AlertStatus.ACKNOWLEDGED, acknowledged_until=NOW, resolve_at=NOW + MINUTE)

    decision = act(Judge(ById(an_id())), alert, actor=ENGINE)

    assert (after(decision).status, after(decision).due_at) == (AlertStatus.TRIGGERED, NOW)
    assert (event_of(decision).kind, event_of(decision).actor) == (EventKind.UNACKNOWLEDGED, ENGINE)


def test_where_both_are_due_the_alert_ends() -> None:
    alert = an_alert(status=AlertStatus.ACKNOWLEDGED, acknowledged_until=T0, resolve_at=NOW)

    assert kinds(act(Judge(ById(an_id())), alert)) == [EventKind.RESOLVED]


def test_what_is_not_due_yet_stays() -> None:
    alert = an_alert(status=AlertStatus.ACKNOWLEDGED, acknowledged_until=NOW + MINUTE, resolve_at=NOW + MINUTE)

    assert act(Judge(ById(an_id())), alert) == Decision(alert)


# ---------------------------------------------------------------------------------------- checks


def test_fire_and_clear_are_about_a_key_and_the_rest_about_their_target() -> None:
    assert target_of(Fire(a_draft(dedup_key="k"))) == ByKey("k")
    assert target_of(Clear("k", NOW)) == ByKey("k")
    assert target_of(Resolve(ById(an_id()))) == ById(an_id())


def test_an_action_is_checked_before_it_meets_anything() -> None:
    assert check_action(Fire(a_draft()), NOW) is None
    assert check_action(Resolve(ById(an_id())), NOW) is None
    assert check_action(Resolve(ByKey("k")), NOW) is None
    wrong = [check_action(a, NOW) for a in (Fire(a_draft(title="")), Clear("", NOW), Resolve(ByKey("\x00")))]
    assert [problem.path for problem in wrong if problem is not None] == [("title",), ("dedupKey",), ("dedupKey",)]


def test_a_note_may_be_left_out_and_a_required_one_may_not_be_blank() -> None:
    assert check_note(None) == []
    assert check_note("") == []
    assert [p.path for p in check_note(" ", required=True)] == [("note",)]
    assert [p.path for p in check_note("n" * 25_001)] == [("note",)]
