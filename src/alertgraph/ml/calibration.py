"""Probabilities that mean what they say, and the right to say nothing.

Everything here learns from outcomes that have become known, in the order in which they did. A tenant with few of
its own leans on what all together have shown.

References:
    Platt, *Probabilistic outputs for support vector machines*, 1999.
    Vovk et al., *Algorithmic learning in a random world*, 2005 (conformal sets, here split and rolling).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PROBABILITY_MIN = 1e-6


def logit(probabilities: Floats) -> Floats:
    """Return the logarithm of the odds; certainty is held a millionth away."""
    held = np.clip(probabilities, PROBABILITY_MIN, 1 - PROBABILITY_MIN)
    result: Floats = np.log(held / (1 - held))
    return result


def expit(logits: Floats) -> Floats:
    """Return the probability for the logarithm of odds."""
    result: Floats = 0.5 * (1.0 + np.tanh(0.5 * np.asarray(logits)))
    return result


@dataclass(frozen=True, slots=True)
class Platt:
    """A straight line through logits: sharper or softer, higher or lower, in the same order.

    Attributes:
        slope: Positive: the order of alerts never changes.
        shift: Added to logits.
        weight: How many outcomes it was fitted on, faded ones for their share.
    """

    slope: float = 1.0
    shift: float = 0.0
    weight: float = 0.0

    def __call__(self, probabilities: Floats) -> Floats:
        """Return calibrated probabilities."""
        return expit(self.slope * logit(probabilities) + self.shift)


def fit_platt(
    labels: Floats,
    probabilities: Floats,
    weights: Floats | None = None,
    towards: Platt = Platt(),
    strength: float = 200.0,
) -> Platt:
    """Return the line that fits best, drawn towards another where there are few outcomes.

    Args:
        labels: (n,) what happened, 0 or 1.
        probabilities: (n,) what was said before it was known.
        weights: (n,) how much each counts; all the same where None.
        towards: What is believed without outcomes: the line of all tenants together.
        strength: How many outcomes that belief weighs.

    Returns:
        With no outcomes `towards` itself; with many, the line of greatest likelihood.
    """
    counted = np.ones(len(labels)) if weights is None else weights
    total = float(counted.sum())
    if total <= 0.0:
        return towards
    x = logit(probabilities)
    # Newton's method on the weighted log-loss, with a normal prior about `towards`: as strong as `strength`
    # outcomes of a fair coin would be for the shift, and for the slope at logits of a usual size.
    prior = np.array([strength / 4.0, strength / 4.0])
    before = np.array([math.log(towards.slope), towards.shift])
    found = before.copy()
    for _ in range(50):
        slope = math.exp(found[0])
        said = expit(slope * x + found[1])
        rest = counted * (said - labels)
        curve = counted * said * (1 - said)
        gradient = np.array([float((rest * x).sum()) * slope, float(rest.sum())]) + prior * (found - before)
        across = float((curve * x).sum()) * slope
        hessian = np.array([[float((curve * x * x).sum()) * slope * slope, across], [across, float(curve.sum())]])
        hessian += np.diag(prior + 1e-9)
        step = np.clip(np.linalg.solve(hessian, gradient), -1.0, 1.0)
        found -= step
        found[0] = min(max(found[0], math.log(0.05)), math.log(20.0))
        if float(np.abs(step).max()) < 1e-9:
            break
    return Platt(math.exp(found[0]), float(found[1]), total)


class Verdict(Enum):
    """What can be said at the tenant's level of certainty."""

    YES = "yes"
    NO = "no"
    UNSURE = "unsure"


class Conformal:
    """Says yes, no or unsure so that what is excluded is wrong no more often than agreed.

    Rolling split-conformal sets: an answer is excluded where it would be stranger than all but a share of the
    answers that turned out right among the last ones known. That holds on average over alerts, as long as what
    comes is like what was. Labels of each class are counted apart, so that a rare class is kept as well.
    """

    def __init__(self, miss_rate: float = 0.1, kept_max: int = 2_000, *, by_class: bool = False) -> None:
        """Begin knowing nothing: everything is unsure.

        Args:
            miss_rate: Share of alerts whose true answer may be excluded.
            kept_max: How many known outcomes are remembered.
            by_class: Whether the promise is held for each answer apart, not only over both.
        """
        if not 0.0 < miss_rate < 1.0:
            raise ValueError("a miss rate lies between 0 and 1")
        self.miss_rate = miss_rate
        self.by_class = by_class
        self._told: deque[tuple[float, float]] = deque(maxlen=kept_max)

    def learn(self, probability: float, answer: float) -> None:
        """Remember what was said of an alert, and what it turned out to be.

        Args:
            probability: What was said.
            answer: 1 or 0; between them where it is not known yet and only believed: it counts as both.
        """
        self._told.append((probability, answer))

    def limits(self) -> tuple[float, float]:
        """Return how strange "yes" and "no" may be at most; infinite where too little is known to exclude any."""
        told = np.array(self._told, dtype=np.float64).reshape(-1, 2)
        said, answers = told[:, 0], told[:, 1]
        if self.by_class:
            return (
                weighted_limit(1.0 - said, answers, self.miss_rate),
                weighted_limit(said, 1.0 - answers, self.miss_rate),
            )
        scores = np.concatenate([1.0 - said, said])
        both = weighted_limit(scores, np.concatenate([answers, 1.0 - answers]), self.miss_rate)
        return both, both

    def verdicts(self, probabilities: Floats) -> list[Verdict]:
        """Return a verdict for each probability.

        Where neither answer would be ordinary, it is one like none before: unsure as well.
        """
        yes_max, no_max = self.limits()
        verdicts = []
        for probability in probabilities:
            yes, no = 1.0 - probability <= yes_max, probability <= no_max
            verdicts.append(Verdict.UNSURE if yes == no else (Verdict.YES if yes else Verdict.NO))
        return verdicts

    def kept(self) -> tuple[tuple[float, float], ...]:
        """Return what is remembered, oldest first, to be given to `restore`."""
        return tuple(self._told)

    def restore(self, kept: Iterable[tuple[float, float]]) -> None:
        """Remember what `kept` gave, in the place of everything else."""
        self._told.clear()
        self._told.extend(kept)


class ConformalRange:
    """A range for a quantity, wide enough to have held the share agreed of the last ones known."""

    def __init__(self, miss_rate: float = 0.2, kept_max: int = 2_000) -> None:
        """Begin knowing nothing: ranges stay as the model gave them."""
        if not 0.0 < miss_rate < 1.0:
            raise ValueError("a miss rate lies between 0 and 1")
        self.miss_rate = miss_rate
        self._scores: deque[float] = deque(maxlen=kept_max)

    def learn(self, low: float, high: float, value: float) -> None:
        """Remember the range that the model gave for what turned out to be `value`."""
        self._scores.append(max(low - value, value - high))

    def widened_by(self) -> float:
        """Return what is added at both ends; negative where the model's ranges are too wide."""
        scores = np.array(self._scores, dtype=np.float64)
        limit = weighted_limit(scores, np.ones(len(scores)), self.miss_rate)
        return limit if math.isfinite(limit) else 0.0

    def kept(self) -> tuple[float, ...]:
        """Return what is remembered, oldest first, to be given to `restore`."""
        return tuple(self._scores)

    def restore(self, kept: Iterable[float]) -> None:
        """Remember what `kept` gave, in the place of everything else."""
        self._scores.clear()
        self._scores.extend(kept)


def weighted_limit(scores: Floats, weights: Floats, miss_rate: float) -> float:
    """Return the score that a new one exceeds with at most this chance; infinite where there are too few."""
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(weights[order])
    # One more than there are: the new one itself may be the strangest.
    needed = (1.0 - miss_rate) * (float(weights.sum()) + 1.0)
    place = int(np.searchsorted(reached, needed - 1e-9))
    return float(scores[order][place]) if place < len(scores) else math.inf


@dataclass(frozen=True, slots=True)
class Abstention:
    """From which probability on the model commits itself.

    Attributes:
        certainty: |p - ½| at least this: it says yes or no; below it, unsure. 0.5 or more: it never commits.
        coverage: The share that it would have committed on, among the outcomes that it was chosen by.
    """

    certainty: float
    coverage: float

    def commits(self, probabilities: Floats) -> NDArray[np.bool_]:
        """Return for each probability whether the model commits itself."""
        result: NDArray[np.bool_] = np.abs(probabilities - 0.5) >= self.certainty
        return result


def choose_abstention(labels: Floats, probabilities: Floats, accuracy: float = 0.95) -> Abstention:
    """Return the threshold that covers most while at least this share of what it covers is right.

    Args:
        labels: (n,) what happened, or how likely that has become by what is known so far.
        probabilities: (n,) what was said before it was known.
        accuracy: The share that has to be right. One in the square root of how many is kept as a margin, so that
            a lucky streak in few outcomes opens nothing.
    """
    certainty = np.abs(probabilities - 0.5)
    order = np.argsort(-certainty, kind="stable")
    right = np.where(probabilities >= 0.5, labels, 1.0 - labels)[order]
    count = np.arange(1, len(right) + 1)
    share = np.cumsum(right) / count
    margin = np.sqrt(accuracy * (1 - accuracy) / count)
    last_of_tie = np.append(np.diff(certainty[order]) < 0, True) if len(right) else np.zeros(0, dtype=bool)
    good = np.flatnonzero((share - margin >= accuracy) & (count >= 30) & last_of_tie)
    if not len(good):
        return Abstention(1.0, 0.0)
    chosen = good[-1]
    return Abstention(float(certainty[order][chosen]), float(count[chosen] / len(right)))
