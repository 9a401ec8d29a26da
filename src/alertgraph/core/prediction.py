"""What a model expects of an alert. It advises; it never decides alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from alertgraph.core.value import quick


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
            self.self_resolve_probability,
            resolve.median if resolve is not None else None,
        )


@quick
@dataclass(frozen=True, slots=True)
class Advice:
    """As much of a prediction as decisions and the order of lists look at; kept with the alert.

    Attributes:
        resolve_median: Time from triggered to resolved, as likely longer as shorter.
    """

    incident_probability: float
    self_resolve_probability: float
    resolve_median: timedelta | None = None


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
