"""What a model expects of an alert. It advises; it never decides alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from alertgraph.core.errors import ErrorCode, Problem
from alertgraph.core.value import quick

FEATURES_BYTES_MAX = 65_536
MODEL_VERSION_LENGTH_MAX = 256


@quick
@dataclass(frozen=True, slots=True)
class DurationEstimate:
    """A length of time with its 80 % interval: as likely longer as shorter than `median`."""

    median: timedelta
    low: timedelta
    high: timedelta


@quick
@dataclass(frozen=True, slots=True)
class Prediction:
    """What one version of a model said of an alert when it came in.

    Attributes:
        incident_probability: Calibrated chance that it needs a person: that it escalates or breaches its SLA.
        sla_breach_probability: Calibrated chance that it misses an SLA time.
        self_resolve_probability: Calibrated chance that it ends with nobody acting.
        time_to_acknowledge: From triggered; None where the model says nothing of it.
        time_to_resolve: Likewise.
        abstained: Whether there was too little evidence; the chances are base rates then.
    """

    model_version: str
    predicted_at: datetime
    incident_probability: float
    sla_breach_probability: float
    self_resolve_probability: float
    time_to_acknowledge: DurationEstimate | None = None
    time_to_resolve: DurationEstimate | None = None
    abstained: bool = False

    @property
    def advice(self) -> Advice:
        """What the alert itself keeps of it."""
        resolve = self.time_to_resolve
        return Advice(
            self.incident_probability,
            None if self.abstained else self.self_resolve_probability,
            resolve.median if resolve is not None else None,
        )


@quick
@dataclass(frozen=True, slots=True)
class Advice:
    """As much of a prediction as decisions and the order of lists look at; kept with the alert.

    Attributes:
        incident_probability: A base rate where the model abstained: it orders lists, and nobody acts on it.
        self_resolve_probability: None where the model abstained.
        resolve_median: Time from triggered to resolved, as likely longer as shorter.
    """

    incident_probability: float
    self_resolve_probability: float | None
    resolve_median: timedelta | None = None

    @property
    def abstained(self) -> bool:
        """Whether the model knew too little to say anything of this alert."""
        return self.self_resolve_probability is None

    @property
    def chance(self) -> float | None:
        """The chance that it needs a person, as far as anybody may act on it."""
        return None if self.abstained else self.incident_probability


@quick
@dataclass(frozen=True, slots=True)
class ShadowPrediction:
    """What a version of the model said that is only being tried: nobody sees it, and it decides nothing."""

    model_version: str
    incident_probability: float
    sla_breach_probability: float
    self_resolve_probability: float


@quick
@dataclass(frozen=True, slots=True)
class FeatureContribution:
    """One reason for a prediction.

    Attributes:
        feature: Stable name.
        contribution: Change in log-odds of `incident_probability`.
        text: In words.
    """

    feature: str
    contribution: float
    text: str


def check_prediction(prediction: Prediction, features: bytes, shadow: ShadowPrediction | None) -> list[Problem]:
    """Return what is wrong with what a model says: a number that is none would spoil lists and the log."""
    problems: list[Problem] = []
    if not prediction.model_version or len(prediction.model_version) > MODEL_VERSION_LENGTH_MAX:
        problems.append(
            _invalid(f"A model's version has 1 to {MODEL_VERSION_LENGTH_MAX} characters.", "modelVersion")
        )
    for said in (prediction, shadow):
        if said is not None:
            problems += [
                _invalid(f"{name} is 0 to 1; this is {value}.", name)
                for name, value in (
                    ("incidentProbability", said.incident_probability),
                    ("slaBreachProbability", said.sla_breach_probability),
                    ("selfResolveProbability", said.self_resolve_probability),
                )
                if not (math.isfinite(value) and 0 <= value <= 1)
            ]
    for name, estimate in (
        ("timeToAcknowledge", prediction.time_to_acknowledge),
        ("timeToResolve", prediction.time_to_resolve),
    ):
        if estimate is not None and not timedelta(0) <= estimate.low <= estimate.median <= estimate.high:
            problems.append(_invalid(f"{name} has its median between its ends, which are not negative.", name))
    if len(features) > FEATURES_BYTES_MAX:
        problems.append(_invalid(f"Features have at most {FEATURES_BYTES_MAX:,} bytes.", "features"))
    return problems


def _invalid(message: str, name: str) -> Problem:
    return Problem(ErrorCode.INVALID_INPUT, message, (name,))


def detail_of(prediction: Prediction) -> dict[str, Any]:
    """Return how the log tells of a prediction; lengths of time in seconds."""
    detail: dict[str, Any] = {
        "modelVersion": prediction.model_version,
        "predictedAt": prediction.predicted_at.astimezone(UTC).isoformat(),
        "incidentProbability": prediction.incident_probability,
        "slaBreachProbability": prediction.sla_breach_probability,
        "selfResolveProbability": prediction.self_resolve_probability,
    }
    if prediction.abstained:
        detail["abstained"] = True
    for name, estimate in (
        ("timeToAcknowledge", prediction.time_to_acknowledge),
        ("timeToResolve", prediction.time_to_resolve),
    ):
        if estimate is not None:
            detail[name] = {
                "median": estimate.median.total_seconds(),
                "low": estimate.low.total_seconds(),
                "high": estimate.high.total_seconds(),
            }
    return detail
