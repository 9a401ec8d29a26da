"""How good a version is for a tenant: each figure with what it means, by what was said before it was known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from alertgraph.core.learning import CalibrationBin, ModelFigures, ModelMetric
from alertgraph.ml.evaluation import measures
from alertgraph.ml.live import QUESTIONS
from alertgraph.ml.voice import CERTAINTY, COMMITS, SAID, SAID_SIZE

Floats = NDArray[np.float64]
# With fewer outcomes a figure says nothing.
TOLD_MIN = 50
RESAMPLINGS = 100
BIN_COUNT = 10
MEANT = {
    "incident": "needing a person",
    "breach": "missing an SLA time",
    "self_resolve": "resolving itself",
}
RANKED: dict[str, tuple[Callable[[Floats, Floats], float], str]] = {
    "auroc": (
        measures.auroc,
        "chance that an alert that came to it was given more than one that did not; 0.5: a coin",
    ),
    "auprc": (measures.auprc, "precision, averaged over those that came to it; a coin reaches base_rate"),
    "ece": (measures.calibration_error, "gap of chance given and share that came true, over 15 bins"),
    "brier": (measures.brier, "mean squared distance of chance and outcome"),
    "log_loss": (measures.log_loss, "mean of minus the logarithm of the chance given to what came"),
}


def figures_of(
    version: str, label_count: int, told: NDArray[np.float32], drift: float | None = None
) -> ModelFigures:
    """Return the figures of a version.

    Args:
        version: Which.
        label_count: Outcomes of the tenant so far.
        told: (n, SAID_SIZE + question_count), rows of `Voice.told`.
        drift: How far inputs differ from those before (PSI); None where that is not watched.
    """
    count = len(told)
    metrics: list[ModelMetric] = []
    bins: list[CalibrationBin] = []
    if count >= TOLD_MIN:
        over = f"; of the last {count} alerts whose outcome is known, answered before it was"
        for place, question in enumerate(QUESTIONS):
            said = told[:, SAID + place].astype(np.float64)
            labels = told[:, SAID_SIZE + place].astype(np.float64)
            suffix = "" if place == 0 else f"_{question}"
            metrics += _of_question(labels, said, suffix, f"{MEANT[question]}: ", over)
            metrics += _committed(
                labels, said, told[:, COMMITS + place] > 0.5, suffix, f"{MEANT[question]}: ", over
            )
        labels, said = told[:, SAID_SIZE].astype(np.float64), told[:, SAID].astype(np.float64)
        bins = _bins(labels, said)
    if drift is not None:
        metrics.append(
            ModelMetric(
                "drift",
                drift,
                None,
                None,
                "population stability index of arrivals and of what the network says, lately against before; "
                "above 0.25 inputs have moved",
            )
        )
    return ModelFigures(version, label_count, tuple(metrics), tuple(bins))


def _of_question(labels: Floats, said: Floats, suffix: str, about: str, over: str) -> list[ModelMetric]:
    base = float(labels.mean())
    metrics = [_metric(f"base_rate{suffix}", _share, labels, labels, f"{about}share that came to it{over}")]
    for name, (measure, meaning) in RANKED.items():
        if name in ("auroc", "auprc") and not 0.0 < base < 1.0:
            # Where nothing or everything came to it there is nothing to rank.
            continue
        metrics.append(_metric(f"{name}{suffix}", measure, labels, said, f"{about}{meaning}{over}"))
    return metrics


def _share(labels: Floats, _: Floats) -> float:
    """Return the share of positives."""
    return float(labels.mean())


def _metric(
    name: str, measure: Callable[[Floats, Floats], float], labels: Floats, said: Floats, definition: str
) -> ModelMetric:
    drawn = measures.bootstrap(measure, labels, said, np.arange(len(labels)), RESAMPLINGS, seed=0)
    low, high = (None if np.isnan(end) else end for end in (drawn.low, drawn.high))
    return ModelMetric(name, measure(labels, said), low, high, definition)


def _committed(
    labels: Floats, said: Floats, commits: NDArray[np.bool_], suffix: str, about: str, over: str
) -> list[ModelMetric]:
    """Return on how many it committed itself, and how often it was right then."""
    coverage = _metric(
        f"coverage{suffix}",
        _share,
        commits.astype(np.float64),
        said,
        f"{about}share on which it committed itself, by a threshold set before{over}",
    )
    right = ((said >= 0.5) == (labels > 0.5))[commits].astype(np.float64)
    if not len(right):
        return [coverage]
    selective = _metric(
        f"selective_accuracy{suffix}",
        _share,
        right,
        right,
        f"{about}share right of those on which it committed itself, the threshold being set for {CERTAINTY:.0%}; "
        f"on the others it is unsure{over}",
    )
    return [coverage, selective]


def _bins(labels: Floats, said: Floats) -> list[CalibrationBin]:
    places = np.minimum((said * BIN_COUNT).astype(np.int64), BIN_COUNT - 1)
    counts = np.bincount(places, minlength=BIN_COUNT)
    predicted, observed = (np.bincount(places, values, BIN_COUNT) for values in (said, labels))
    return [
        CalibrationBin(float(predicted[place] / count), float(observed[place] / count), int(count))
        for place, count in enumerate(counts)
        if count
    ]
