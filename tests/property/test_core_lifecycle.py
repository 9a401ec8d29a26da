"""Laws of every decision, whatever the action and whatever it meets."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from alertgraph.core.action import Action, AddNote, Clear, Escalate, Fire, Judge, Reopen, check_action
from alertgraph.core.alert import Alert, AlertStatus, Draft, HoldReason
from alertgraph.core.decision import Decision, Situation
from alertgraph.core.event import EventKind, instant_text
from alertgraph.core.ids import NodeKind, encode_id
from alertgraph.core.lifecycle import decide
from alertgraph.core.slo import next_mark
from tests.factories import T0, a_matcher, a_situation, an_id
from tests.strategies import actions_on, alerts, configs, drafts, near_instants, senders_and_people, targets_of

actions = actions_on(targets_of([an_id()]))
situations = st.builds(
    lambda minutes, actor, scope, config: a_situation(
        now=T0 + timedelta(minutes=minutes), actor=actor, scope=scope, config=config
    ),
    st.integers(0, 300),
    senders_and_people,
    st.sampled_from([(), (), (a_matcher("job", "a"),)]),
    configs,
)
NEW = (EventKind.TRIGGERED, EventKind.REOPENED)


def told(alert: Alert) -> dict[str, Any]:
    """Return what the API shows of an alert that a change of is worth telling, written as JSON."""
    values: dict[str, Any] = {
        "title": alert.title,
        "description": alert.description,
        "severity": alert.severity.name,
        "status": alert.status.name,
        "monitoredService": alert.monitored_service,
        "labels": alert.labels,
        "annotations": alert.annotations,
        "links": [{"href": link.href, "text": link.text} for link in alert.links],
        "triggeredAt": instant_text(alert.triggered_at),
        "acknowledgedUntil": instant_text(alert.acknowledged_until) if alert.acknowledged_until else None,
        "escalationLevel": alert.escalation_level,
        "assignee": encode_id(NodeKind.RESPONDER, alert.assignee) if alert.assignee else None,
        "verdict": alert.verdict.name if alert.verdict else None,
    }
    return {name: orjson.dumps(value, option=orjson.OPT_SORT_KEYS) for name, value in values.items()}


def decided(action: Action, alert: Alert | None, situation: Situation) -> Decision | None:
    """Return what comes of an action; None where it is wrong in itself, or never reaches this alert."""
    if check_action(action, situation.now) is not None:
        return None
    if isinstance(action, Fire | Clear) and alert is not None and not alert.is_open:
        return None
    return decide(action, alert, situation)


@given(actions, st.none() | alerts(), situations)
def test_what_is_open_waits_for_something_and_what_is_resolved_has_ended(
    action: Action, alert: Alert | None, situation: Situation
) -> None:
    decision = decided(action, alert, situation)
    if decision is None or decision.alert is None:
        return
    after = decision.alert

    assert after.is_open == (after.resolved_at is None) == (after.resolved_by is None)
    if after.status is AlertStatus.TRIGGERED:
        # It climbs, or it is held and says why.
        assert (after.next_escalation_at is None) == (after.held is not None)
    else:
        assert (after.held is HoldReason.ACKNOWLEDGED) == after.is_open
        assert (after.next_escalation_at, after.judge_at) == (None, None)
    assert (after.status is AlertStatus.ACKNOWLEDGED) <= (after.first_acknowledged_at is not None)
    if after.is_open:
        assert (after.acknowledged_at is not None) == (after.status is AlertStatus.ACKNOWLEDGED)
        sla = next_mark(after.sla, after.triggered_at, after.sla_marks, after.first_acknowledged_at)
        timers = [after.resolve_at, after.acknowledged_until, after.next_escalation_at, after.judge_at]
        timers += [sla[1]] if sla is not None else []
        assert after.due_at == min((at for at in timers if at is not None), default=None)
        assert after.resolve_at is not None or not after.resolve_by_timeout
    else:
        assert after.due_at is None
        assert after.resolved_at is not None
        assert after.resolved_at >= after.triggered_at
    assert 1 <= after.occurrence_count < 2**31
    level_max = len(after.ladder.levels) if after.ladder is not None else situation.level_max
    assert 0 <= after.escalation_level <= level_max


@given(actions, st.none() | alerts(), situations)
def test_events_tell_what_was_and_what_is(action: Action, alert: Alert | None, situation: Situation) -> None:
    decision = decided(action, alert, situation)
    if decision is None or not decision.events:
        return
    after = decision.alert
    assert after is not None
    assert decision.created == (decision.events[0].kind in NEW)
    assert decision.created or (alert is not None and after.id == alert.id)
    before = after if decision.created or alert is None else alert

    said = told(before)
    for event in decision.events:
        assert (event.alert_id, event.dedup_key, event.title) == (after.id, after.dedup_key, after.title)
        assert (event.severity_after, event.service_after) == (after.severity, after.monitored_service)
        assert (event.source, event.labels, event.decided_at) == (after.source, after.labels, situation.now)
        if event.kind in NEW:
            assert (event.severity_before, event.service_before, event.changes) == (None, None, ())
        else:
            assert (event.severity_before, event.service_before) == (before.severity, before.monitored_service)
        for change in event.changes:
            assert as_json(change.before) == said[change.field] != as_json(change.after)
            said[change.field] = as_json(change.after)
    # What the events tell one after the other is what is different now, and nothing else.
    assert said == told(after)
    assert [event.hold_reason for event in decision.events if event.kind is EventKind.HELD] in ([], [after.held])


def as_json(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


@given(actions, st.none() | alerts(), situations)
def test_what_changes_an_alert_is_told_and_what_is_not_told_changes_only_the_count(
    action: Action, alert: Alert | None, situation: Situation
) -> None:
    decision = decided(action, alert, situation)
    if decision is None or decision.events or decision.alert is None:
        return
    after = decision.alert

    assert alert is not None
    assert (decision.created, decision.changed) == (False, False)
    if decision.counted:
        assert decision.alert.last_seen_at >= alert.last_seen_at
        after = replace(
            after,
            occurrence_count=alert.occurrence_count,
            last_seen_at=alert.last_seen_at,
            resolve_at=alert.resolve_at,
            resolve_by_timeout=alert.resolve_by_timeout,
        )
    # A hold that lasts is looked at again later; that is told of nobody.
    assert after == replace(alert, judge_at=after.judge_at)
    assert after.judge_at == alert.judge_at or (isinstance(action, Judge) and after.held is not None)
    assert decision.deliveries == decision.finishes == ()


@given(actions, st.none() | alerts(), situations)
def test_a_refusal_does_nothing(action: Action, alert: Alert | None, situation: Situation) -> None:
    decision = decided(action, alert, situation)
    if decision is None or decision.problem is None:
        return

    assert decision.alert in (None, alert)
    assert replace(decision, alert=None, problem=None) == Decision(None)
    assert decision.problem.message


@given(actions, st.none() | alerts(), situations)
def test_a_decision_depends_on_its_arguments_alone_and_leaves_them_as_they_are(
    action: Action, alert: Alert | None, situation: Situation
) -> None:
    kept = deepcopy((action, alert, situation))

    assert decided(action, alert, situation) == decided(action, alert, situation)
    assert (action, alert, situation) == kept


@given(actions, alerts(), situations)
def test_an_alert_beyond_the_callers_reach_is_neither_shown_nor_changed(
    action: Action, alert: Alert, situation: Situation
) -> None:
    scoped = replace(situation, scope=(a_matcher("job", "elsewhere"),))

    decision = decided(action, alert, scoped)

    assert decision is None or (decision.alert, decision.events) == (None, ())


@given(actions, alerts(), situations)
def test_done_twice_is_done_once(action: Action, alert: Alert, situation: Situation) -> None:
    first = decided(action, alert, situation)
    if (
        first is None
        or first.problem is not None
        or first.alert is None
        or isinstance(action, Fire | Clear | Reopen)
    ):
        return
    # A note and a climb to "the next level" are something new each time.
    if isinstance(action, AddNote) or (isinstance(action, Escalate) and action.level is None):
        return
    # What is given back climbs at once, and a level may last no time at all.
    if isinstance(action, Judge) and first.alert.next_escalation_at == situation.now:
        return

    again = decided(action, first.alert, situation)

    assert again is not None
    assert not again.changed


@given(st.lists(drafts, min_size=1, max_size=8), st.lists(near_instants, min_size=8, max_size=8))
def test_repeats_keep_the_earliest_start_and_an_end_that_somebody_named(
    said: list[Draft], instants: list[datetime]
) -> None:
    alert: Alert | None = None
    started = []
    for draft, now in zip(said, sorted(instants), strict=False):
        before = alert
        alert = decide(Fire(draft), alert, a_situation(now=now)).alert
        assert alert is not None
        started.append(draft.triggered_at or now if before is None else draft.triggered_at or before.triggered_at)
        assert alert.triggered_at == min(started)
        if draft.ends_at is not None and not draft.ends_by_timeout:
            assert (alert.resolve_at, alert.resolve_by_timeout) == (draft.ends_at, False)
        if draft.ends_at is not None and draft.ends_by_timeout:
            assert alert.resolve_at is not None
            assert alert.resolve_at >= draft.ends_at
            named = before is not None and before.resolve_at is not None and not before.resolve_by_timeout
            assert alert.resolve_by_timeout or named
    assert alert is not None
    assert alert.occurrence_count == len(said)
