"""The life of an alert: what an action does to it, and the events that say so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, IntEnum
from typing import Any, Final, TypeAlias, TypeVar, assert_never

import orjson

from alertgraph.core.actor import ENGINE, Actor, ActorKind
from alertgraph.core.alert import (
    DESCRIPTION_LENGTH_MAX,
    NAME_LENGTH_MAX,
    NOTE_LENGTH_MAX,
    OCCURRENCE_COUNT_MAX,
    TITLE_LENGTH_MAX,
    Alert,
    AlertStatus,
    AlertVerdict,
    Draft,
    HoldReason,
    Link,
    alert_match_values,
    check_annotations,
    check_dedup_key,
    check_draft,
    check_links,
    check_text,
    draft_match_values,
)
from alertgraph.core.errors import ErrorCode, Problem
from alertgraph.core.event import Event, EventKind, FieldChange, instant_text
from alertgraph.core.flush import TenantConfig
from alertgraph.core.ids import AlertId
from alertgraph.core.labels import Matcher, matches_all
from alertgraph.core.severity import Severity
from alertgraph.core.slo import acknowledge_breached, resolve_breached, sla_clocks

_T = TypeVar("_T")


class Unset(Enum):
    """Says of a patch's field that it was left out, which is not the same as null."""

    UNSET = 0


UNSET: Final = Unset.UNSET


# ------------------------------------------------------------------------------------------ actions


@dataclass(frozen=True, slots=True)
class ById:
    """The alert with this id, open or closed."""

    alert_id: AlertId


@dataclass(frozen=True, slots=True)
class ByKey:
    """The open alert with this dedup key."""

    dedup_key: str


Target: TypeAlias = ById | ByKey


@dataclass(frozen=True, slots=True)
class Fire:
    """A sender says that a condition holds: a new alert, or a repeat of an open one.

    Attributes:
        target: By the draft's dedup key, which is worked out once.
    """

    draft: Draft
    target: ByKey = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "target", ByKey(self.draft.key))


@dataclass(frozen=True, slots=True)
class Clear:
    """A sender says that a condition is over; no open alert with that key is no error."""

    dedup_key: str
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Update:
    """A patch of an open alert. `annotations` are merged key by key; None removes a key."""

    target: Target
    severity: Severity | Unset = UNSET
    title: str | Unset = UNSET
    description: str | Unset = UNSET
    monitored_service: str | Unset | None = UNSET
    annotations: Mapping[str, object] | Unset = UNSET
    links: tuple[Link, ...] | Unset = UNSET
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Takes an alert, which stops its escalation; given back by itself at `until`."""

    target: Target
    until: datetime | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Unacknowledge:
    """Gives an alert back; it climbs again from the level it had."""

    target: Target
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Resolve:
    """Ends an alert."""

    target: Target
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Reopen:
    """Triggers a resolved alert again, as a new alert with the same contents and key."""

    target: Target
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Escalate:
    """Climbs now, also when acknowledged; to the next level where none is named."""

    target: Target
    level: int | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class AddNote:
    """Writes on the timeline of an open or closed alert."""

    target: Target
    note: str


@dataclass(frozen=True, slots=True)
class GiveFeedback:
    """Says whether an alert, open or closed, needed somebody; None takes that back."""

    target: Target
    verdict: AlertVerdict | None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Expire:
    """Does what has fallen due on an alert: gives it back, or ends it."""

    target: ById


# Notes are ciphertext here: the core orders the timeline, it does not read it.
Action: TypeAlias = (
    Fire
    | Clear
    | Update
    | Acknowledge
    | Unacknowledge
    | Resolve
    | Reopen
    | Escalate
    | AddNote
    | GiveFeedback
    | Expire
)


@dataclass(frozen=True, slots=True)
class Situation:
    """What an action meets besides the alert itself.

    Attributes:
        now: The instant of the decision.
        new_id: The id that a new alert gets.
        scope: Matchers of the caller's key: what does not match is out of reach.
        level_max: The highest level that can be climbed to.
    """

    now: datetime
    config: TenantConfig
    actor: Actor
    new_id: AlertId
    scope: tuple[Matcher, ...] = ()
    level_max: int = 5

    def sees(self, alert: Alert) -> bool:
        """Say whether an alert is within the caller's reach."""
        return not self.scope or matches_all(self.scope, alert_match_values(alert))


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
    """

    alert: Alert | None
    events: tuple[Event, ...] = ()
    created: bool = False
    changed: bool = False
    counted: bool = False
    problem: Problem | None = None


def refuse(code: ErrorCode, message: str, *path: str) -> Decision:
    """Return a decision that refuses an action."""
    return Decision(None, problem=Problem(code, message, path))


def target_of(action: Action) -> Target:
    """Return which alert an action is about; for Fire and Clear the open one with that key."""
    return ByKey(action.dedup_key) if isinstance(action, Clear) else action.target


def check_note(note: str | None, *, required: bool = False) -> list[Problem]:
    """Return what is wrong with what a person wrote, before it is sealed."""
    if note is None:
        return []
    return check_text(note, "note", NOTE_LENGTH_MAX, length_min=1 if required else 0)


def check_action(action: Action, now: datetime) -> Problem | None:
    """Return what is wrong with an action whatever it may meet: to be known before its target is looked up."""
    if isinstance(action, Fire):
        problems = check_draft(action.draft, now)
    else:
        target = target_of(action)
        problems = check_dedup_key(target.dedup_key) if isinstance(target, ByKey) else []
    return problems[0] if problems else None


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
                alert, (_event(EventKind.NOTED, alert, alert, situation, note=action.note),), changed=True
            )
        case GiveFeedback():
            return _give_feedback(action, alert, situation)
        case Expire():
            return _expire(alert, situation)
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
        # There are no rules to match yet, and a tenant has no default rule.
        held=HoldReason.NO_MATCHING_RULE,
        sla=sla_clocks(situation.config.sla_targets[draft.severity], triggered_at),
        resolve_at=resolve_at,
        resolve_by_timeout=by_timeout,
        verdict=None,
        version=0,
    )
    event = _event(EventKind.TRIGGERED, None, alert, situation, detail=_contents(alert))
    return Decision(alert, (event,), created=True, changed=True)


def _fold_repeat(draft: Draft, alert: Alert, situation: Situation) -> Decision:
    ends_at, by_timeout = _resolve_at(draft, situation)
    if by_timeout and alert.resolve_at is not None and not alert.resolve_by_timeout:
        # An explicit end beats a time-out where it is later.
        ends_at, by_timeout = max(
            (alert.resolve_at, False), (ends_at or alert.resolve_at, True), key=lambda end: end[0]
        )
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
        occurrence_count=min(alert.occurrence_count + 1, OCCURRENCE_COUNT_MAX),
        last_seen_at=max(alert.last_seen_at, situation.now),
        resolve_at=ends_at,
        resolve_by_timeout=by_timeout,
    )
    changes = _changes(alert, folded)
    if changes:
        event = _event(EventKind.UPDATED, alert, folded, situation, detail=_count(folded))
        return Decision(folded, (event,), counted=True)
    if folded.occurrence_count & (folded.occurrence_count - 1) == 0:
        # Prometheus sends each firing alert again every minute: only 2, 4, 8 … are worth an entry.
        event = _event(EventKind.REPEATED, alert, folded, situation, detail=_count(folded))
        return Decision(folded, (event,), counted=True)
    return Decision(folded, counted=True)


def _newer(known: _T, said: _T | None) -> _T:
    """Return what is said now; what is known where nothing is said, or nothing else."""
    return known if said is None or _is_same(known, said) else said


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
    return Decision(alert, (_event(EventKind.NOTED, alert, alert, situation, note=note),))


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
    if not _changes(alert, updated):
        return _unchanged(alert, situation, action.note)
    event = _event(EventKind.UPDATED, alert, updated, situation, note=action.note)
    return Decision(updated, (event,), changed=True)


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
    )
    first = alert.first_acknowledged_at is None
    event = _event(
        EventKind.ACKNOWLEDGED,
        alert,
        taken,
        situation,
        note=action.note,
        elapsed_ms=_elapsed_ms(alert, situation.now) if first else None,
    )
    return Decision(taken, (event,), changed=True)


def _give_back(alert: Alert) -> Alert:
    return replace(
        alert,
        status=AlertStatus.TRIGGERED,
        acknowledged_at=None,
        acknowledged_until=None,
        acknowledged_by=None,
        held=HoldReason.NO_MATCHING_RULE,
    )


def _unacknowledge(action: Unacknowledge, alert: Alert, situation: Situation) -> Decision:
    if not alert.is_open:
        return _over(alert)
    if alert.status is AlertStatus.TRIGGERED:
        return _unchanged(alert, situation, action.note)
    given = _give_back(alert)
    event = _event(EventKind.UNACKNOWLEDGED, alert, given, situation, note=action.note)
    return Decision(given, (event,), changed=True)


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
    )
    acknowledged_late = acknowledge_breached(alert.sla, alert.first_acknowledged_at, ended_at, ended_at)
    event = _event(
        EventKind.RESOLVED,
        alert,
        ended,
        situation,
        actor=actor,
        note=note,
        elapsed_ms=_elapsed_ms(alert, ended_at),
        sla_met=not (acknowledged_late or resolve_breached(alert.sla, ended_at, ended_at)),
        self_resolved=(
            alert.first_acknowledged_at is None
            and alert.escalation_level == 0
            and actor.kind in (ActorKind.SENDER, ActorKind.ENGINE)
        ),
    )
    return Decision(ended, (event,), changed=True)


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
        held=HoldReason.NO_MATCHING_RULE,
        sla=sla_clocks(situation.config.sla_targets[alert.severity], now),
        resolve_at=None,
        resolve_by_timeout=False,
        verdict=None,
        version=0,
    )
    event = _event(
        EventKind.REOPENED,
        None,
        again,
        situation,
        note=action.note,
        detail={**_contents(again), "reopens": str(alert.id)},
    )
    return Decision(again, (event,), created=True, changed=True)


def _escalate(action: Escalate, alert: Alert, situation: Situation) -> Decision:
    if not alert.is_open:
        return _over(alert)
    level = alert.escalation_level + 1 if action.level is None else action.level
    if action.level is None and level > situation.level_max:
        return Decision(
            alert,
            problem=Problem(
                ErrorCode.CONFLICT, f"The alert is on the highest level, {alert.escalation_level}.", ("alertId",)
            ),
        )
    if not 1 <= level <= situation.level_max:
        return Decision(
            alert,
            problem=Problem(ErrorCode.INVALID_INPUT, f"level is 1 to {situation.level_max}.", ("level",)),
        )
    if level == alert.escalation_level:
        return _unchanged(alert, situation, action.note)
    climbed = replace(alert, escalation_level=level)
    event = _event(EventKind.ESCALATED, alert, climbed, situation, note=action.note, detail={"level": level})
    return Decision(climbed, (event,), changed=True)


def _give_feedback(action: GiveFeedback, alert: Alert, situation: Situation) -> Decision:
    if action.verdict is alert.verdict:
        return _unchanged(alert, situation, action.note)
    judged = replace(alert, verdict=action.verdict)
    event = _event(EventKind.FEEDBACK_GIVEN, alert, judged, situation, note=action.note)
    return Decision(judged, (event,), changed=True)


def _expire(alert: Alert, situation: Situation) -> Decision:
    if not alert.is_open:
        return Decision(alert)
    if alert.resolve_at is not None and alert.resolve_at <= situation.now:
        # Ended by the sender's own word, or by its silence.
        sender = Actor(ActorKind.SENDER, alert.source)
        actor = ENGINE if alert.resolve_by_timeout else sender
        return _end(alert, actor, max(alert.resolve_at, alert.triggered_at), situation, note=None)
    if alert.acknowledged_until is not None and alert.acknowledged_until <= situation.now:
        given = _give_back(alert)
        event = _event(EventKind.UNACKNOWLEDGED, alert, given, situation, actor=ENGINE)
        return Decision(given, (event,), changed=True)
    return Decision(alert)


# ------------------------------------------------------------------------------------------- events


def _elapsed_ms(alert: Alert, at: datetime) -> int:
    return max(0, (at - alert.triggered_at) // timedelta(milliseconds=1))


def _count(alert: Alert) -> dict[str, Any]:
    return {"occurrenceCount": alert.occurrence_count}


def _contents(alert: Alert) -> dict[str, Any]:
    """Everything a new alert says that its event does not say otherwise."""
    contents: dict[str, Any] = {
        "description": alert.description,
        "annotations": dict(alert.annotations),
        "links": _link_values(alert.links),
    }
    kept = {key: value for key, value in contents.items() if value}
    kept["triggeredAt"] = instant_text(alert.triggered_at)
    kept["acknowledgeBy"] = instant_text(alert.sla.acknowledge_by)
    kept["resolveBy"] = instant_text(alert.sla.resolve_by)
    return kept


def _instant(at: datetime | None) -> str | None:
    return instant_text(at) if at is not None else None


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
    ("verdict", "verdict", _name),
)


def _is_same(was: object, is_now: object) -> bool:
    """Say whether two values read the same in the log: 1 and true are equal here but not in JSON."""
    if was is is_now:
        return True
    if was != is_now:
        return False
    return not isinstance(was, dict) or _written(was) == _written(is_now)


def _written(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _changes(before: Alert, after: Alert) -> tuple[FieldChange, ...]:
    changes = []
    for name, attribute, told in _TOLD:
        was, is_now = getattr(before, attribute), getattr(after, attribute)
        if was is not is_now and not _is_same(was, is_now):
            changes.append(FieldChange(name, told(was), told(is_now)))
    return tuple(changes)


def _event(
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
    detail: Mapping[str, Any] | None = None,
) -> Event:
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
        note=note,
        changes=_changes(before, after) if before is not None else (),
        elapsed_ms=elapsed_ms,
        sla_met=sla_met,
        self_resolved=self_resolved,
        detail=detail or {},
    )
