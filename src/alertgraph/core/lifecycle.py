"""The life of an alert: what an action does to it, and the events that say so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar, assert_never

from alertgraph.core.action import (
    UNSET,
    Acknowledge,
    Action,
    AddNote,
    Assign,
    ByKey,
    Clear,
    Escalate,
    Fire,
    GiveFeedback,
    Judge,
    Predict,
    Reopen,
    Report,
    Resolve,
    Unacknowledge,
    Update,
)
from alertgraph.core.actor import ENGINE, Actor, ActorKind
from alertgraph.core.alert import (
    DESCRIPTION_LENGTH_MAX,
    NAME_LENGTH_MAX,
    OCCURRENCE_COUNT_MAX,
    TITLE_LENGTH_MAX,
    Alert,
    AlertStatus,
    AlertVerdict,
    Draft,
    HoldReason,
    check_annotations,
    check_links,
    check_text,
    draft_match_values,
)
from alertgraph.core.decision import (
    Decision,
    Situation,
    alert_event,
    changes_between,
    contents_of,
    count_of,
    elapsed_ms_since_trigger,
    is_same,
    refuse,
)
from alertgraph.core.delivery import Delivery, DeliveryStatus, Finish, Purpose
from alertgraph.core.errors import ErrorCode, Problem
from alertgraph.core.escalation import (
    JUDGED_AGAIN,
    assignment_notices,
    fallback_delivery,
    follow_ups,
    held_event,
    let_go,
    matching_rule,
    notices,
    on_ladder,
    reach,
    rule_for,
    step,
)
from alertgraph.core.event import Event, EventKind, instant_text
from alertgraph.core.flush import NewPrediction
from alertgraph.core.ids import NodeKind, encode_id
from alertgraph.core.labels import matches_all
from alertgraph.core.message import storable
from alertgraph.core.prediction import detail_of
from alertgraph.core.rule import Ladder
from alertgraph.core.slo import NO_MARKS, SlaMark, acknowledge_breached, next_mark, resolve_breached, sla_clocks
from alertgraph.core.value import replace

_T = TypeVar("_T")


def decide(action: Action, alert: Alert | None, situation: Situation) -> Decision:
    """Return what an action on `alert` comes to, all of it or a refusal.

    Args:
        action: What somebody wants; `check_action` found nothing wrong with it.
        alert: The state of its target; None where there is none.
        situation: When, by whom, under which configuration.
    """
    if isinstance(action, Fire):
        return _fire(action, alert, situation)
    if isinstance(action, Clear):
        return _clear(action, alert, situation)
    if alert is None and isinstance(action, Report):
        return Decision(None, finishes=_open_finishes(action, situation))  # retention was faster
    if alert is None or not situation.sees(alert):
        # What a key may not see is as unknown as what does not exist.
        name = "dedupKey" if isinstance(action.target, ByKey) else "alertId"
        return refuse(ErrorCode.NOT_FOUND, "There is no such alert.", name)
    match action:
        case Update():
            return _update(action, alert, situation)
        case Acknowledge():
            return _acknowledge(action, alert, situation)
        case Unacknowledge():
            return _unacknowledge(action, alert, situation)
        case Resolve():
            return _resolve(action, alert, situation)
        case Reopen():
            return _reopen(action, alert, situation)
        case Escalate():
            return _escalate(action, alert, situation)
        case AddNote():
            return Decision(
                alert, (alert_event(EventKind.NOTED, alert, alert, situation, note=action.note),), changed=True
            )
        case GiveFeedback():
            return _give_feedback(action, alert, situation)
        case Assign():
            return _assign(action, alert, situation)
        case Judge():
            return _judge(action, alert, situation)
        case Report():
            return _report(action, alert, situation)
        case Predict():
            return _predict(action, alert, situation)
        case _:
            assert_never(action)


# ------------------------------------------------------------------------------------------ senders


def _fire(action: Fire, alert: Alert | None, situation: Situation) -> Decision:
    draft = action.draft
    if situation.scope and not matches_all(situation.scope, draft_match_values(draft)):
        return refuse(ErrorCode.INVALID_INPUT, "The key may only send alerts that match its matchers.", "labels")
    if alert is not None and not situation.sees(alert):
        # Folding would rewrite and show it; a second open alert under the same dedup key there can't be.
        return refuse(
            ErrorCode.CONFLICT,
            "Another alert, beyond the key's matchers, is open under this dedup key.",
            "dedupKey",
        )
    return _trigger(action, situation) if alert is None else _fold_repeat(draft, alert, situation)


def _resolve_at(draft: Draft, situation: Situation) -> tuple[datetime | None, bool]:
    if draft.ends_at is not None:
        return draft.ends_at, draft.ends_by_timeout
    timeout = situation.config.settings.resolve_timeout or draft.timeout
    return (situation.now + timeout, True) if timeout else (None, False)


def _trigger(action: Fire, situation: Situation) -> Decision:
    draft, now = action.draft, situation.now
    triggered_at = draft.triggered_at or now
    resolve_at, by_timeout = _resolve_at(draft, situation)
    alert = Alert(
        id=situation.new_id,
        dedup_key=action.target.dedup_key,
        title=draft.title,
        description=draft.description or "",
        severity=draft.severity,
        status=AlertStatus.TRIGGERED,
        source=draft.source,
        monitored_service=draft.monitored_service,
        labels=draft.labels or {},
        annotations=draft.annotations or {},
        links=draft.links or (),
        occurrence_count=1,
        triggered_at=triggered_at,
        last_seen_at=now,
        acknowledged_at=None,
        acknowledged_until=None,
        acknowledged_by=None,
        first_acknowledged_at=None,
        resolved_at=None,
        resolved_by=None,
        escalation_level=0,
        held=None,
        sla=sla_clocks(situation.config.sla_targets[draft.severity], triggered_at),
        resolve_at=resolve_at,
        resolve_by_timeout=by_timeout,
        verdict=None,
        version=0,
    )
    return _opened(alert, EventKind.TRIGGERED, situation)


def _opened(
    alert: Alert,
    kind: EventKind,
    situation: Situation,
    *,
    note: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> Decision:
    """Return a new alert on its ladder, or held with the reason told."""
    ready = on_ladder(alert, situation)
    opened = alert_event(kind, None, ready, situation, note=note, detail={**contents_of(ready), **(detail or {})})
    events = (opened,) if ready.held is None else (opened, held_event(ready, ready, situation))
    return Decision(ready, events, created=True, changed=True)


def _fold_repeat(draft: Draft, alert: Alert, situation: Situation) -> Decision:
    ends_at, by_timeout = _resolve_at(draft, situation)
    if by_timeout and alert.resolve_at is not None and not alert.resolve_by_timeout:
        # An explicit end beats a time-out where it is later.
        ends_at, by_timeout = max(
            (alert.resolve_at, False), (ends_at or alert.resolve_at, True), key=lambda end: end[0]
        )
    counted = replace(
        alert,
        occurrence_count=min(alert.occurrence_count + 1, OCCURRENCE_COUNT_MAX),
        last_seen_at=max(alert.last_seen_at, situation.now),
        resolve_at=ends_at,
        resolve_by_timeout=by_timeout,
    )
    if not _tells_nothing_new(draft, alert):
        folded = _retold(draft, counted, situation)
        changes = changes_between(alert, folded)
        if changes:
            event = alert_event(EventKind.UPDATED, alert, folded, situation, detail=count_of(folded))
            return Decision(folded, (event,), counted=True)
        counted = folded
    if counted.occurrence_count & (counted.occurrence_count - 1) == 0:
        # Prometheus sends each firing alert again every minute: only 2, 4, 8 … are worth an entry.
        event = alert_event(EventKind.REPEATED, alert, counted, situation, detail=count_of(counted))
        return Decision(counted, (event,), counted=True)
    return Decision(counted, counted=True)


def _tells_nothing_new(draft: Draft, alert: Alert) -> bool:
    """Whether a repeat says what is known, as nearly all do; False where that takes a closer look."""
    return (
        draft.title == alert.title
        and draft.severity is alert.severity
        and (draft.triggered_at is None or draft.triggered_at >= alert.triggered_at)
        and (draft.description is None or draft.description == alert.description)
        and (not draft.monitored_service or draft.monitored_service == alert.monitored_service)
        and (draft.links is None or draft.links == alert.links)
        and (draft.labels is None or is_same(alert.labels, draft.labels))
        and (draft.annotations is None or is_same(alert.annotations, draft.annotations))
    )


def _retold(draft: Draft, alert: Alert, situation: Situation) -> Alert:
    """Return an open alert as a repeat tells of it."""
    started = [alert.triggered_at] if draft.triggered_at is None else [alert.triggered_at, draft.triggered_at]
    triggered_at = min(started)
    folded = replace(
        alert,
        title=draft.title,
        severity=draft.severity,
        description=alert.description if draft.description is None else draft.description,
        monitored_service=draft.monitored_service or alert.monitored_service,
        labels=_newer(alert.labels, draft.labels),
        annotations=_newer(alert.annotations, draft.annotations),
        links=_newer(alert.links, draft.links),
        triggered_at=triggered_at,
        sla=(
            alert.sla
            if draft.severity is alert.severity and triggered_at == alert.triggered_at
            else sla_clocks(situation.config.sla_targets[draft.severity], triggered_at)
        ),
    )
    return _matched_anew(folded, situation) if folded.severity > alert.severity else folded


def _newer(known: _T, said: _T | None) -> _T:
    """Return what is said now; what is known where nothing is said, or nothing else."""
    return known if said is None or is_same(known, said) else said


def _clear(action: Clear, alert: Alert | None, situation: Situation) -> Decision:
    if alert is None or not situation.sees(alert):
        return Decision(None)
    ended_at = min(max(action.ended_at, alert.triggered_at), max(situation.now, alert.triggered_at))
    return _end(alert, situation.actor, ended_at, situation, note=None)


# ------------------------------------------------------------------------------------------- people


def _over(alert: Alert) -> Decision:
    return Decision(alert, problem=Problem(ErrorCode.CONFLICT, "The alert is resolved.", ("alertId",)))


def _unchanged(alert: Alert, situation: Situation, note: str | None) -> Decision:
    """Nothing to do, but what was written is kept."""
    if note is None:
        return Decision(alert)
    return Decision(alert, (alert_event(EventKind.NOTED, alert, alert, situation, note=note),))


def _update(action: Update, alert: Alert, situation: Situation) -> Decision:
    if not alert.is_open:
        return _over(alert)
    problems: list[Problem] = []
    fields: dict[str, Any] = {}
    checks: tuple[tuple[str, Any, Callable[[Any], list[Problem]]], ...] = (
        (
            "title",
            action.title,
            lambda value: check_text(value, "title", TITLE_LENGTH_MAX, length_min=1, one_line=True),
        ),
        (
            "description",
            action.description,
            lambda value: check_text(value, "description", DESCRIPTION_LENGTH_MAX),
        ),
        (
            "monitored_service",
            action.monitored_service,
            lambda value: (
                check_text(value, "monitoredService", NAME_LENGTH_MAX, length_min=1, one_line=True)
                if value is not None
                else []
            ),
        ),
        ("links", action.links, check_links),
    )
    for name, value, check in checks:
        if value is not UNSET:
            problems += check(value)
            fields[name] = value
    if action.annotations is not UNSET:
        removed = {key for key, value in action.annotations.items() if value is None}
        merged = {
            key: value for key, value in {**alert.annotations, **action.annotations}.items() if key not in removed
        }
        problems += check_annotations(merged)
        fields["annotations"] = merged
    if problems:
        return Decision(alert, problem=problems[0])
    if action.severity is not UNSET and action.severity is not alert.severity:
        fields["severity"] = action.severity
        fields["sla"] = sla_clocks(situation.config.sla_targets[action.severity], alert.triggered_at)
    updated = replace(alert, **fields)
    if updated.severity > alert.severity:
        updated = _matched_anew(updated, situation)
    if not changes_between(alert, updated):
        return _unchanged(alert, situation, action.note)
    event = alert_event(EventKind.UPDATED, alert, updated, situation, note=action.note)
    updates = follow_ups(updated, situation, EventKind.UPDATED)
    return Decision(updated, (event,), changed=True, deliveries=updates)


def _matched_anew(alert: Alert, situation: Situation) -> Alert:
    """Return an alert that became worse: on the ladder of another rule, where another one is for it now.

    Whoever was not to be told of it as it was, is told of it as it is.
    """
    alert = let_go(alert, situation.now)
    rule = rule_for(alert, situation)
    if rule is None or (alert.ladder is not None and alert.ladder.rule_id == rule.id):
        return alert
    climbing = on_ladder(alert, situation)
    if alert.status is AlertStatus.TRIGGERED and alert.held not in (HoldReason.SILENCED, HoldReason.INHIBITED):
        return climbing
    # Held as before, but what it climbs afterwards is the new ladder.
    return replace(climbing, next_escalation_at=alert.next_escalation_at, judge_at=alert.judge_at, held=alert.held)


def _acknowledge(action: Acknowledge, alert: Alert, situation: Situation) -> Decision:
    if not alert.is_open:
        return _over(alert)
    if action.until is not None:
        if action.until <= situation.now:
            return Decision(alert, problem=Problem(ErrorCode.INVALID_INPUT, "until is in the past.", ("until",)))
        if action.until > situation.now + timedelta(days=366):
            return Decision(
                alert, problem=Problem(ErrorCode.INVALID_INPUT, "until is more than a year ahead.", ("until",))
            )
    already = alert.status is AlertStatus.ACKNOWLEDGED
    if already and alert.acknowledged_until == action.until:
        return _unchanged(alert, situation, action.note)
    taken = replace(
        alert,
        status=AlertStatus.ACKNOWLEDGED,
        acknowledged_at=situation.now,
        acknowledged_until=action.until,
        acknowledged_by=situation.actor,
        first_acknowledged_at=alert.first_acknowledged_at or situation.now,
        held=HoldReason.ACKNOWLEDGED,
        next_escalation_at=None,
        judge_at=None,
    )
    first = alert.first_acknowledged_at is None
    event = alert_event(
        EventKind.ACKNOWLEDGED,
        alert,
        taken,
        situation,
        note=action.note,
        elapsed_ms=elapsed_ms_since_trigger(alert, situation.now) if first else None,
    )
    updates = follow_ups(taken, situation, EventKind.ACKNOWLEDGED)
    return Decision(taken, (event,), changed=True, deliveries=updates, skips_pages=bool(alert.told))


def _give_back(alert: Alert, situation: Situation) -> Alert:
    """Return an alert that nobody has any more: the level it had is told again, and then it climbs on."""
    if alert.ladder is None:
        found = on_ladder(alert, situation)
        alert = replace(found, held=found.held or HoldReason.NO_MATCHING_RULE)
    return replace(
        alert,
        status=AlertStatus.TRIGGERED,
        acknowledged_at=None,
        acknowledged_until=None,
        acknowledged_by=None,
        held=None if alert.ladder is not None else HoldReason.NO_MATCHING_RULE,
        next_escalation_at=situation.now if alert.ladder is not None else None,
        judge_at=None,
        resumes=alert.ladder is not None,
    )


def _unacknowledge(action: Unacknowledge, alert: Alert, situation: Situation) -> Decision:
    if not alert.is_open:
        return _over(alert)
    if alert.status is AlertStatus.TRIGGERED:
        return _unchanged(alert, situation, action.note)
    return _given_back(alert, situation, action.note)


def _given_back(alert: Alert, situation: Situation, note: str | None = None) -> Decision:
    given = _give_back(alert, situation)
    event = alert_event(EventKind.UNACKNOWLEDGED, alert, given, situation, note=note)
    events = (event,) if given.held is None else (event, held_event(given, given, situation))
    updates = follow_ups(given, situation, EventKind.UNACKNOWLEDGED)
    return Decision(given, events, changed=True, deliveries=updates)


def _resolve(action: Resolve, alert: Alert, situation: Situation) -> Decision:
    if not alert.is_open:
        return _unchanged(alert, situation, action.note)
    ended_at = max(situation.now, alert.triggered_at)
    return _end(alert, situation.actor, ended_at, situation, note=action.note)


def _end(alert: Alert, actor: Actor, ended_at: datetime, situation: Situation, *, note: str | None) -> Decision:
    ended = replace(
        alert,
        status=AlertStatus.RESOLVED,
        resolved_at=ended_at,
        resolved_by=actor,
        acknowledged_until=None,
        resolve_at=None,
        resolve_by_timeout=False,
        held=None,
        next_escalation_at=None,
        judge_at=None,
    )
    acknowledged_late = acknowledge_breached(alert.sla, alert.first_acknowledged_at, ended_at, ended_at)
    event = alert_event(
        EventKind.RESOLVED,
        alert,
        ended,
        situation,
        actor=actor,
        note=note,
        elapsed_ms=elapsed_ms_since_trigger(alert, ended_at),
        sla_met=not (acknowledged_late or resolve_breached(alert.sla, ended_at, ended_at)),
        self_resolved=(
            alert.first_acknowledged_at is None
            and alert.escalation_level == 0
            and actor.kind in (ActorKind.SENDER, ActorKind.ENGINE)
        ),
    )
    updates = follow_ups(ended, situation, EventKind.RESOLVED)
    return Decision(ended, (event,), changed=True, deliveries=updates, skips_pages=bool(alert.told))


def _reopen(action: Reopen, alert: Alert, situation: Situation) -> Decision:
    if alert.is_open:
        return _unchanged(alert, situation, action.note)
    now = situation.now
    again = replace(
        alert,
        id=situation.new_id,
        status=AlertStatus.TRIGGERED,
        occurrence_count=1,
        triggered_at=now,
        last_seen_at=now,
        acknowledged_at=None,
        acknowledged_until=None,
        acknowledged_by=None,
        first_acknowledged_at=None,
        resolved_at=None,
        resolved_by=None,
        escalation_level=0,
        held=None,
        sla=sla_clocks(situation.config.sla_targets[alert.severity], now),
        resolve_at=None,
        resolve_by_timeout=False,
        verdict=None,
        version=0,
        escalation_round=0,
        resumes=False,
        sla_marks=NO_MARKS,
        assignee=None,
        told=(),
        # Another occurrence belongs with others, and has chances of its own: that is decided anew.
        incident_id=None,
        advice=None,
    )
    return _opened(again, EventKind.REOPENED, situation, note=action.note, detail={"reopens": str(alert.id)})


def _escalate(action: Escalate, alert: Alert, situation: Situation) -> Decision:
    if not alert.is_open:
        return _over(alert)
    on = alert if alert.ladder is not None else replace(alert, ladder=_ladder_of(alert, situation))
    level_max = len(on.ladder.levels) if on.ladder is not None else situation.level_max
    level = alert.escalation_level + 1 if action.level is None else action.level
    if action.level is None and level > level_max:
        return Decision(
            alert,
            problem=Problem(
                ErrorCode.CONFLICT, f"The alert is on the highest level, {alert.escalation_level}.", ("alertId",)
            ),
        )
    if not 1 <= level <= level_max:
        return Decision(
            alert,
            problem=Problem(ErrorCode.INVALID_INPUT, f"level is 1 to {level_max}.", ("level",)),
        )
    if level == alert.escalation_level:
        return _unchanged(alert, situation, action.note)
    if on.ladder is None:
        # No rule is for it, so nobody is told; that it matters more is kept all the same.
        climbed = replace(alert, escalation_level=level)
        event = alert_event(
            EventKind.ESCALATED, alert, climbed, situation, note=action.note, detail={"level": level}
        )
        return Decision(climbed, (event,), changed=True)
    told = notices(on.ladder.levels[level - 1], situation.config.catalog, situation.now)
    return reach(on, situation, level, alert.escalation_round, told, note=action.note)


def _ladder_of(alert: Alert, situation: Situation) -> Ladder | None:
    rule = rule_for(alert, situation)
    return rule.ladder if rule is not None else None


def _assign(action: Assign, alert: Alert, situation: Situation) -> Decision:
    if not alert.is_open:
        return _over(alert)
    responder_id = action.responder_id
    if responder_id == alert.assignee:
        return _unchanged(alert, situation, action.note)
    detail: dict[str, Any] = {}
    deliveries: tuple[Delivery, ...] = ()
    if responder_id is not None:
        responder = situation.config.catalog.responders.get(responder_id)
        if responder is None:
            return Decision(
                alert, problem=Problem(ErrorCode.NOT_FOUND, "There is no such responder.", ("responderId",))
            )
        detail = {"responder": responder.name}
        deliveries = assignment_notices(alert, situation, responder_id)
    told = tuple(dict.fromkeys((*alert.told, *(delivery.channel_id for delivery in deliveries))))
    given = replace(alert, assignee=responder_id, told=told)
    if responder_id is not None:
        given = let_go(given, situation.now)
    event = alert_event(EventKind.ASSIGNED, alert, given, situation, note=action.note, detail=detail)
    return Decision(given, (event,), changed=True, deliveries=deliveries)


def _give_feedback(action: GiveFeedback, alert: Alert, situation: Situation) -> Decision:
    if action.verdict is alert.verdict:
        return _unchanged(alert, situation, action.note)
    judged = replace(alert, verdict=action.verdict)
    if action.verdict is AlertVerdict.ACTIONABLE:
        judged = let_go(judged, situation.now)
    event = alert_event(EventKind.FEEDBACK_GIVEN, alert, judged, situation, note=action.note)
    return Decision(judged, (event,), changed=True)


# ------------------------------------------------------------------------------------------- engine


def _judge(action: Judge, alert: Alert, situation: Situation) -> Decision:
    if not alert.is_open:
        return Decision(alert)
    now = situation.now
    if alert.resolve_at is not None and alert.resolve_at <= now:
        # Ended by the sender's own word, or by its silence.
        sender = Actor(ActorKind.SENDER, alert.source)
        actor = ENGINE if alert.resolve_by_timeout else sender
        return _end(alert, actor, max(alert.resolve_at, alert.triggered_at), situation, note=None)
    marked, events = _marked(alert, situation)
    if alert.status is AlertStatus.ACKNOWLEDGED:
        if alert.acknowledged_until is None or alert.acknowledged_until > now:
            return Decision(marked, events, changed=bool(events))
        decision = _given_back(marked, replace(situation, actor=ENGINE))
    elif events and marked.ladder is not None and marked.ladder.escalate_on_sla and _waits_as_noise(marked):
        # The rule says that missing an SLA time matters, which no guess outweighs.
        decision = step(let_go(marked, now), situation, action.inhibited_by)
    elif _comes_to_climb(marked, events, now):
        decision = step(marked, situation, action.inhibited_by, action.noise)
    else:
        decision = Decision(marked)
    events = (*events, *decision.events)
    return replace(decision, events=events, changed=bool(events))


def _waits_as_noise(alert: Alert) -> bool:
    return alert.held is HoldReason.PREDICTED_NOISE


def _comes_to_climb(alert: Alert, events: Sequence[Event], now: datetime) -> bool:
    """Say whether it is time for a triggered alert's next step: by its clock, by its SLA, or since it is held."""
    if alert.next_escalation_at is not None:
        by_sla = bool(events) and alert.ladder is not None and alert.ladder.escalate_on_sla
        return by_sla or alert.next_escalation_at <= now
    return alert.held in JUDGED_AGAIN


def _marked(alert: Alert, situation: Situation) -> tuple[Alert, tuple[Event, ...]]:
    """Return an alert with the SLA times marked that have passed, and the events that tell of them."""
    events: list[Event] = []
    while (
        point := next_mark(alert.sla, alert.triggered_at, alert.sla_marks, alert.first_acknowledged_at)
    ) is not None and point[1] <= situation.now:
        mark, at = point
        kind = EventKind.SLA_BREACHED if mark in _BREACHES else EventKind.SLA_AT_RISK
        time = "acknowledge" if mark in _ACKNOWLEDGE_MARKS else "resolve"
        after = replace(alert, sla_marks=alert.sla_marks | mark)
        due_at = alert.sla.acknowledge_by if mark in _ACKNOWLEDGE_MARKS else alert.sla.resolve_by
        detail = {"time": time, "passedAt": instant_text(at), "dueAt": instant_text(due_at)}
        events.append(alert_event(kind, alert, after, situation, detail=detail))
        alert = after
    return alert, tuple(events)


_BREACHES = SlaMark.ACKNOWLEDGE_BREACHED | SlaMark.RESOLVE_BREACHED
_ACKNOWLEDGE_MARKS = SlaMark.ACKNOWLEDGE_AT_RISK | SlaMark.ACKNOWLEDGE_BREACHED


# -------------------------------------------------------------------------------------------- model


def _predict(action: Predict, alert: Alert, situation: Situation) -> Decision:
    if alert.advice is not None:
        return Decision(alert)  # told before, perhaps by a process that died before it noted so
    advised = replace(alert, advice=action.prediction.advice)
    urgent = _made_urgent(advised, situation) if alert.is_open else advised
    detail = detail_of(action.prediction)
    if urgent is not advised and urgent.ladder is not None:
        detail["escalationRuleId"] = encode_id(NodeKind.ESCALATION_RULE, urgent.ladder.rule_id)
    event = alert_event(EventKind.PREDICTED, alert, urgent, situation, detail=detail)
    kept = NewPrediction(alert.id, action.prediction, action.features, action.shadow)
    # That the model abstained stands with the alert alone, which is why such an alert is written whole.
    only_advises = urgent is advised and not action.prediction.abstained
    return Decision(urgent, (event,), changed=True, prediction=kept, only_advises=only_advises)


def _made_urgent(alert: Alert, situation: Situation) -> Alert:
    """Return an alert at the foot of the ladder of a rule that asks for its chance; itself where none is for it.

    It only ever climbs sooner: whoever has it, a silence or a bigger alert keeps its word, and a low chance takes
    nothing away.
    """
    if alert.status is not AlertStatus.TRIGGERED or alert.held in _KEEPS_ITS_WORD:
        return alert
    rule = matching_rule(alert, situation)
    if rule is None or rule.incident_probability_min is None:
        return alert
    if alert.ladder is not None and alert.ladder.rule_id == rule.id:
        return alert
    return on_ladder(alert, situation)


_KEEPS_ITS_WORD = (HoldReason.SILENCED, HoldReason.INHIBITED)


# --------------------------------------------------------------------------------------- deliveries


def _open_finishes(action: Report, situation: Situation) -> tuple[Finish, ...]:
    """Return the end that is reported, unless somebody else ended or took over the delivery meanwhile."""
    delivery = situation.deliveries.get(action.finish.delivery_id)
    return (action.finish,) if delivery is not None and delivery.attempt_count == action.finish.fence else ()


def _report(action: Report, alert: Alert, situation: Situation) -> Decision:
    finish = action.finish
    if not _open_finishes(action, situation):
        return Decision(alert)
    delivery = situation.deliveries[finish.delivery_id]
    if delivery.purpose is Purpose.UPDATE and finish.status is not DeliveryStatus.FAILED:
        return Decision(alert, finishes=(finish,), aside=True)
    detail = _delivery_detail(delivery, situation)
    match finish.status:
        case DeliveryStatus.SENT:
            if delivery.purpose is Purpose.PAGE and not delivery.wanted:
                detail["afterReaction"] = True
            kind = EventKind.DELIVERY_SENT
        case DeliveryStatus.SKIPPED:
            kind = EventKind.DELIVERY_SKIPPED
        case DeliveryStatus.FAILED:
            detail["error"] = storable(finish.error)
            wanted = delivery.wanted and delivery.purpose is not Purpose.UPDATE and alert.is_open
            stand_in = fallback_delivery(alert, delivery, situation) if wanted else None
            if stand_in is not None:
                told = tuple(dict.fromkeys((*alert.told, stand_in.channel_id)))
                after = replace(alert, told=told)
                detail["fallback"] = stand_in.channel_name
                event = alert_event(EventKind.DELIVERY_FELL_BACK, alert, after, situation, detail=detail)
                ended = replace(finish, fell_back_to=stand_in.id)
                return Decision(after, (event,), changed=True, deliveries=(stand_in,), finishes=(ended,))
            kind = EventKind.DELIVERY_FAILED
        case _:
            raise AssertionError(f"{finish.status.name} is no end")
    event = alert_event(kind, alert, alert, situation, detail=detail)
    return Decision(alert, (event,), changed=True, finishes=(finish,), aside=True)


def _delivery_detail(delivery: Delivery, situation: Situation) -> dict[str, Any]:
    detail: dict[str, Any] = {
        "delivery": encode_id(NodeKind.DELIVERY, delivery.id),
        "channel": delivery.channel_name,
        "purpose": delivery.purpose.name,
        "attempts": delivery.attempt_count,
    }
    if delivery.level:
        detail["level"] = delivery.level
    catalog = situation.config.catalog
    responder = catalog.responders.get(delivery.responder_id) if delivery.responder_id is not None else None
    if responder is not None:
        detail["responder"] = responder.name
    return detail
