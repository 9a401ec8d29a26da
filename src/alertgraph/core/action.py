"""Actions: what anybody can want of an alert, and what is wrong with it whatever it meets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final, TypeAlias

from alertgraph.core.alert import (
    NOTE_LENGTH_MAX,
    Alert,
    AlertVerdict,
    Draft,
    Link,
    check_dedup_key,
    check_draft,
    check_text,
)
from alertgraph.core.delivery import Finish
from alertgraph.core.errors import Problem
from alertgraph.core.ids import AlertId, ResponderId
from alertgraph.core.noise import NO_EVIDENCE, NoiseEvidence
from alertgraph.core.prediction import Prediction, ShadowPrediction, check_prediction
from alertgraph.core.severity import Severity
from alertgraph.core.value import quick


class Unset(Enum):
    """Says of a patch's field that it was left out, which is not the same as null."""

    UNSET = 0


UNSET: Final = Unset.UNSET


@quick
@dataclass(frozen=True, slots=True)
class ById:
    """The alert with this id, open or closed."""

    alert_id: AlertId


@quick
@dataclass(frozen=True, slots=True)
class ByKey:
    """The open alert with this dedup key."""

    dedup_key: str


Target: TypeAlias = ById | ByKey


@quick
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


@quick
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
class Assign:
    """Gives an open alert to a responder, who is told; None to nobody."""

    target: Target
    responder_id: ResponderId | None
    note: str | None = None


@quick
@dataclass(frozen=True, slots=True)
class Judge:
    """Does what has fallen due on an alert: it ends, is given back, misses an SLA time, climbs or is held.

    Attributes:
        inhibited_by: Bigger alerts that cover it now, as far as was read beforehand.
        noise: What is known of its being noise, read beforehand likewise.
    """

    target: ById
    inhibited_by: tuple[AlertId, ...] = ()
    noise: NoiseEvidence = NO_EVIDENCE


@quick
@dataclass(frozen=True, slots=True)
class Report:
    """Says how a delivery about an alert ended."""

    target: ById
    finish: Finish


@quick
@dataclass(frozen=True, slots=True)
class Predict:
    """Says what the model expects of an alert; only the first time counts, also where it is over by then.

    Attributes:
        features: What the model looked at, as it writes it: what it learns from once the end is known.
        shadow: What a version said that is being tried beside the active one.
    """

    target: ById
    prediction: Prediction
    features: bytes = b""
    shadow: ShadowPrediction | None = None


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
    | Assign
    | Judge
    | Report
    | Predict
)


def target_of(action: Action) -> Target:
    """Return which alert an action is about; for Fire and Clear the open one with that key."""
    return ByKey(action.dedup_key) if isinstance(action, Clear) else action.target


def check_note(note: str | None, *, required: bool = False) -> list[Problem]:
    """Return what is wrong with what a person wrote, before it is sealed."""
    if note is None:
        return []
    return check_text(note, "note", NOTE_LENGTH_MAX, length_min=1 if required else 0)


def check_action(action: Action, now: datetime, known: Alert | None = None) -> Problem | None:
    """Return what is wrong with an action whatever it may meet: to be known before its target is looked up.

    Args:
        action: What is wanted.
        now: When.
        known: Of what fires, the open alert with that key, where it is at hand.
    """
    if isinstance(action, Fire):
        problems = check_draft(action.draft, now, known)
    else:
        target = target_of(action)
        problems = check_dedup_key(target.dedup_key) if isinstance(target, ByKey) else []
        if isinstance(action, Predict):
            problems += check_prediction(action.prediction, action.features, action.shadow)
    return problems[0] if problems else None
