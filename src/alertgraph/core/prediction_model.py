"""Versions of the model that a tenant has or had, and whether it has predictions at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

from alertgraph.core.actor import MODEL
from alertgraph.core.event import Event, EventKind
from alertgraph.core.ids import ModelId, NodeKind, encode_id
from alertgraph.core.learning import LABELS_MIN, CalibrationBin, ModelMetric, ModelState
from alertgraph.core.noise import NoiseFigures

SUBJECT_TYPE = "PredictionModel"
LABEL_COUNT_MAX = 100_000
"""As many labels are counted; that many stand for that many or more."""


@dataclass(frozen=True, slots=True)
class PredictionModel:
    """One version of the model, as one tenant has it.

    Attributes:
        version: As predictions name it.
        example_count: On how many labelled alerts it was trained.
        metrics: How good it is on alerts that it had not seen.
        calibration: By predicted chance; empty while unmeasured.
        promoted_at: When it became the active one; None where it never did.
    """

    id: ModelId
    version: str
    state: ModelState
    trained_at: datetime
    example_count: int
    metrics: tuple[ModelMetric, ...] = ()
    calibration: tuple[CalibrationBin, ...] = ()
    promoted_at: datetime | None = None


def model_event(kind: EventKind, model: PredictionModel, reason: str, now: datetime) -> Event:
    """Return what the log shall say of a version that became active, or was put back."""
    assert kind in (EventKind.MODEL_PROMOTED, EventKind.MODEL_ROLLED_BACK), "of nothing else the log tells"
    return Event(
        kind=kind,
        actor=MODEL,
        decided_at=now,
        subject_type=SUBJECT_TYPE,
        subject_id=encode_id(NodeKind.MODEL, model.id),
        detail={"version": model.version, "reason": reason},
    )


class PredictionState(IntEnum):
    """Whether predictions are to be had."""

    OFF = 1
    UNAVAILABLE = 2
    LEARNING = 3
    ACTIVE = 4


@dataclass(frozen=True, slots=True)
class PredictionStanding:
    """How predictions and noise holding stand for a tenant.

    Attributes:
        reason: In words, a sentence.
        label_count: Own labels so far, up to LABEL_COUNT_MAX.
        model: The version in use; None where there is none yet.
        is_armed: Whether likely noise may be held.
        noise: What holding has come to in the last 30 days.
    """

    state: PredictionState
    reason: str
    label_count: int
    model: PredictionModel | None
    is_armed: bool
    noise: NoiseFigures = field(default_factory=NoiseFigures)


def prediction_state(*, is_enabled: bool, why_not: str | None, label_count: int) -> tuple[PredictionState, str]:
    """Return whether predictions are to be had, and why in a sentence.

    Args:
        is_enabled: Whether the operator wants them.
        why_not: Why none are made at present; None where they are.
        label_count: Of the tenant's own.
    """
    if not is_enabled:
        return PredictionState.OFF, why_not or "Predictions are switched off."
    if why_not is not None:
        return PredictionState.UNAVAILABLE, why_not
    if label_count < LABELS_MIN:
        return (
            PredictionState.LEARNING,
            f"{label_count} of {LABELS_MIN} alerts have come to a known end; until then base rates are shown.",
        )
    return PredictionState.ACTIVE, "Predictions are made of every new alert."
