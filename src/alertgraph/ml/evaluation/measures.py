"""Measures of a ranking, of probabilities and of ranges, and how far chance could have moved them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from alertgraph.ml.evaluation.report import Interval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Measure = Callable[[NDArray[np.float64], NDArray[np.float64]], float]


def auroc(labels: Floats, scores: Floats) -> float:
    """Return the chance that a positive scores above a negative, ties counting half; nan where one is absent.

    Args:
        labels: (n,) 0 or 1.
        scores: (n,) any order-preserving score.
    """
    positive_count = float(labels.sum())
    negative_count = len(labels) - positive_count
    if positive_count == 0 or negative_count == 0:
        return float("nan")
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    # Tied scores share the middle of the ranks that they take up.
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    above = float(ranks[labels > 0.5].sum()) - positive_count * (positive_count + 1) / 2
    return above / (positive_count * negative_count)


def auprc(labels: Floats, scores: Floats) -> float:
    """Return average precision: precision at each positive, averaged; nan where there is no positive."""
    positive_count = float(labels.sum())
    if positive_count == 0:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ordered, sorted_scores = labels[order], scores[order]
    # One threshold per distinct score: what is tied is taken together.
    last_of_tie = np.append(np.flatnonzero(np.diff(sorted_scores)), len(sorted_scores) - 1)
    found = np.cumsum(ordered)[last_of_tie]
    precision = found / (last_of_tie + 1)
    recall = found / positive_count
    return float(np.sum(np.diff(np.append(0.0, recall)) * precision))


def log_loss(labels: Floats, probabilities: Floats) -> float:
    """Return the mean of -ln of the probability that was given to what happened."""
    held = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return float(-np.mean(labels * np.log(held) + (1 - labels) * np.log(1 - held)))


def brier(labels: Floats, probabilities: Floats) -> float:
    """Return the mean squared distance of probability and outcome."""
    return float(np.mean((probabilities - labels) ** 2))


def calibration_error(labels: Floats, probabilities: Floats, bin_count: int = 15) -> float:
    """Return ECE: the gap of mean probability and frequency, over `bin_count` equally wide bins, by size."""
    bins = np.minimum((probabilities * bin_count).astype(np.int64), bin_count - 1)
    gaps = np.bincount(bins, probabilities - labels, bin_count)
    return float(np.abs(gaps).sum() / len(labels))


def accuracy(labels: Floats, probabilities: Floats) -> float:
    """Return the share that a threshold of one half gets right."""
    return float(np.mean((probabilities >= 0.5) == (labels > 0.5)))


def balanced_accuracy(labels: Floats, probabilities: Floats) -> float:
    """Return the mean of the shares of positives and of negatives that a threshold of one half gets right."""
    said = probabilities >= 0.5
    yes, no = labels > 0.5, labels < 0.5
    return float((said[yes].mean() + (~said[no]).mean()) / 2)


def majority_accuracy(labels: Floats) -> float:
    """Return what always saying the more frequent answer gets right."""
    base = float(labels.mean())
    return max(base, 1 - base)


def bootstrap(
    measure: Measure, labels: Floats, scores: Floats, units: Ints, resamplings: int, seed: int
) -> Interval:
    """Return the middle 95 % of a measure over resamplings of whole units.

    Args:
        measure: What is measured.
        labels: (n,) what happened.
        scores: (n,) what was said.
        units: (n,) what each row belongs to: rows of one incident, device or scenario stand or fall together.
        resamplings: How often units are drawn, with replacement.
        seed: Of the draws.
    """
    draw = np.random.default_rng(seed)
    order = np.argsort(units, kind="stable")
    bounds = np.flatnonzero(np.diff(units[order])) + 1
    groups = np.split(order, bounds)
    values = []
    single = len(groups) == len(units)
    for _ in range(resamplings):
        chosen = draw.integers(0, len(groups), len(groups))
        rows = order[chosen] if single else np.concatenate([groups[index] for index in chosen])
        value = measure(labels[rows], scores[rows])
        if not np.isnan(value):
            values.append(value)
    if not values:
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(float(low), float(high))
