"""Several models' answers made into one: a weighted mean of logits, then a straight line through them.

The weights are those that would have lost least on answers given before the outcome was known, so a model that
was right about what it had learnt from gains nothing by that.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from alertgraph.ml.calibration import Platt, expit, fit_platt, logit

Floats = NDArray[np.float64]

# Weights are multiples of one in so many.
SHARES = 4
# With fewer known outcomes than this, all models count the same.
OUTCOMES_MIN = 200.0


@dataclass(frozen=True, slots=True)
class Blend:
    """How models' answers to one question become one.

    Attributes:
        weights: By model; they add up to 1.
        platt: Straightens the mean.
    """

    weights: Mapping[str, float]
    platt: Platt = field(default_factory=Platt)

    def __call__(self, answers: Mapping[str, Floats]) -> Floats:
        """Return one probability for each row."""
        return self.platt(self.mean(answers))

    def mean(self, answers: Mapping[str, Floats]) -> Floats:
        """Return one probability for each row as the models gave it, not straightened."""
        return expit(_mean(self.weights, answers))


def choose_blend(
    labels: Floats,
    answers: Mapping[str, Floats],
    weights: Floats,
    towards: Platt = Platt(),  # noqa: B008  (frozen)
    strength: float = 50.0,
) -> Blend:
    """Return the blend that loses least on outcomes that have become known.

    Args:
        labels: (n,) in [0, 1]: what happened, or how likely that has become by what is known so far.
        answers: By model, (n,): what each said at the time.
        weights: (n,) how much each row counts: older ones less.
        towards: What calibration is drawn to where there are few outcomes.
        strength: How many outcomes that weighs.
    """
    names = sorted(answers)
    equal = {name: 1.0 / len(names) for name in names}
    total = float(weights.sum())
    if total < OUTCOMES_MIN:
        mean = expit(_mean(equal, answers)) if len(labels) else np.zeros(0)
        return Blend(equal, fit_platt(labels, mean, weights, towards, strength))
    best, loss_min = Blend(equal), np.inf
    for shares in _mixtures(len(names)):
        mixture = dict(zip(names, shares, strict=True))
        mean = expit(_mean(mixture, answers))
        platt = fit_platt(labels, mean, weights, towards, strength)
        said = np.clip(platt(mean), 1e-6, 1 - 1e-6)
        losses = -(labels * np.log(said) + (1 - labels) * np.log(1 - said))
        loss = float((losses * weights).sum() / total)
        if loss < loss_min - 1e-9:
            best, loss_min = Blend(mixture, platt), loss
    return best


def _mean(weights: Mapping[str, float], answers: Mapping[str, Floats]) -> Floats:
    # In one order, whoever made the mapping: sums of floats depend on it.
    parts = [weight * logit(answers[name]) for name, weight in sorted(weights.items()) if weight]
    return np.sum(parts, axis=0)


def _mixtures(count: int) -> Sequence[tuple[float, ...]]:
    """Return all weights that are multiples of one in `SHARES` and add up to 1."""
    every = itertools.product(range(SHARES + 1), repeat=count)
    return [tuple(part / SHARES for part in parts) for parts in every if sum(parts) == SHARES]
