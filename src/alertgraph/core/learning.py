"""What a model learns from and how its versions come and go: values that the log, the store and the model share.

What is meant by each question stands here, once:

- An alert **needed a person** where it escalated past the first level of its ladder, missed an SLA time, or
  somebody judged it ACTIONABLE; it did not where it ended without any of these, or somebody judged it NOISE. The
  last judgement weighs more than everything else.
- It **breached** where an SLA time was missed, to acknowledge or to resolve.
- It **resolved itself** where it ended by its sender's word or silence before anybody had it or was told.
- The **time to acknowledge** is that of the first acknowledgement; one that ended without any is known to have
  waited until then. The **time to resolve** is that of the end.
- All of it is **known** (matured) when the alert ends, or `MATURE_AFTER` after it came in: what is open by then
  needed a person only if it did so far, and did not resolve itself. A judgement after that is another outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

from alertgraph.core.ids import AlertId
from alertgraph.core.prediction import Prediction, ShadowPrediction
from alertgraph.core.value import quick

MATURE_AFTER = timedelta(days=7)
# A judgement that comes later than this after the end changes nothing that is learnt.
JUDGED_WITHIN = timedelta(days=7)
# Below so many outcomes of its own a tenant is shown rates, and told so.
LABELS_MIN = 200
# After so many new outcomes, or a day with any, a candidate is trained.
LABELS_EACH = 64
CANDIDATE_EVERY = timedelta(days=1)


class ForeignStateError(ValueError):
    """What was kept cannot be gone on from: another format, schema, tenant or version; the message says which."""


class ModelState(IntEnum):
    """How a version of the model is used. The numbers are stored: never reuse one."""

    CANDIDATE = 1
    SHADOW = 2
    ACTIVE = 3
    RETIRED = 4


@quick
@dataclass(frozen=True, slots=True)
class ModelMetric:
    """One figure of a model.

    Attributes:
        name: Such as auroc, ece, selective_accuracy, coverage, base_rate, drift.
        low: Lower end of its 95 % interval; None where there is none.
        high: Upper end.
        definition: What it is, on which data.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    definition: str


@quick
@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """What was predicted and what came: the mean chance, the share that came true, and of how many."""

    predicted: float
    observed: float
    count: int


@quick
@dataclass(frozen=True, slots=True)
class ModelFigures:
    """How good a version is on outcomes that it had not seen when it answered.

    Attributes:
        version: Which.
        label_count: Outcomes of the tenant so far.
        metrics: Each with its definition.
        calibration: By predicted chance of needing a person; empty while there is nothing to tell.
    """

    version: str
    label_count: int
    metrics: tuple[ModelMetric, ...]
    calibration: tuple[CalibrationBin, ...]


@quick
@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an alert; see the module for what each means.

    Attributes:
        acknowledged_after: Seconds from triggered; None where nobody acknowledged it.
        resolved_after: Seconds from triggered; None where it is open still.
        matured_at: When this was known.
    """

    alert_id: AlertId
    needed_person: bool
    breached: bool
    self_resolved: bool
    acknowledged_after: float | None
    resolved_after: float | None
    matured_at: datetime


@quick
@dataclass(frozen=True, slots=True)
class Scored:
    """What was said of a new alert.

    Attributes:
        features: What the model looked at: what is explained, and learnt from later.
        shadow: What a version said that is being tried; None where none is.
    """

    alert_id: AlertId
    prediction: Prediction
    features: bytes
    shadow: ShadowPrediction | None = None


class Step(StrEnum):
    """What is to become of a version."""

    PROMOTE = "promote"
    RETIRE = "retire"
    ROLL_BACK = "roll back"


@quick
@dataclass(frozen=True, slots=True)
class ModelStep:
    """A change of versions that outcomes call for.

    Attributes:
        version: The one that is promoted, retired unseen, or rolled back.
        reason: In words, with the figures that it rests on.
    """

    step: Step
    version: str
    reason: str


@quick
@dataclass(frozen=True, slots=True)
class Taken:
    """What came of taking in events.

    Attributes:
        scored: Of alerts that are new, in order, those that ended among the same events left out.
        outcomes: What has become known, in order; one alert may have several, the last of which holds.
        steps: What is to become of versions.
        label_count: Outcomes of the tenant so far.
        wants_candidate: Whether what is in force fits so badly by now that a new candidate should not wait.
    """

    scored: Sequence[Scored] = ()
    outcomes: Sequence[Outcome] = ()
    steps: Sequence[ModelStep] = ()
    label_count: int = 0
    wants_candidate: bool = False


@quick
@dataclass(frozen=True, slots=True)
class Example:
    """What a model looked at, and what became of it.

    Attributes:
        triggered_at: When it was looked at.
    """

    triggered_at: datetime
    features: bytes
    outcome: Outcome


@quick
@dataclass(frozen=True, slots=True)
class SaidExample:
    """An example together with what had been said of it.

    Attributes:
        model_version: Who said it.
        chances: By question: that it needs a person, breaches, resolves itself.
        abstained: Whether rates were shown in the place of the model's answer.
    """

    example: Example
    model_version: str
    chances: tuple[float, float, float]
    abstained: bool
