"""What is believed of an outcome that is not known yet, from how long the alert has lasted.

To wait until every outcome is known would be to learn from alerts that are weeks old; to take those that are known
early would be to learn that everything ends well, because what ends well is known first. So an alert that is still
waiting counts for what alerts became that had come as far as it has: open as long, and not known either.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# How much of a neighbouring bin's outcomes is borrowed.
PRIOR_STRENGTH = 2.0


def provisional_answers(
    answers: Floats,
    known: NDArray[np.bool_],
    delays: Floats,
    hours: Floats,
    ended: NDArray[np.bool_],
    ages: Floats,
    weights: Floats,
    edges: Floats,
) -> Floats:
    """Return (n,) answers: as known, else as likely as they have become.

    Args:
        answers: (n,) the outcome; read only where it is known.
        known: (n,) whether it is known by now.
        delays: (n,) hours until it became known; read only where it is known.
        hours: (n,) hours until the alert ended, or for which it has been open.
        ended: (n,) whether it has ended.
        ages: (n,) hours since it came in.
        weights: (n,) how much each row counts: older ones less.
        edges: Ends of bins of hours, ascending.
    """
    result = np.where(known, answers, np.nan)
    if not known.any():
        return result
    overall = float(np.average(answers[known], weights=np.maximum(weights[known], 1e-9)))
    rates, bins = _ended_rates(answers, known & ended, hours, weights, edges, overall)
    waiting_ended = ~known & ended
    result[waiting_ended] = rates[bins[waiting_ended]]
    waiting_open = ~known & ~ended
    if waiting_open.any():
        # What came first of each: that its outcome was known, or that it ended; neither yet: it waits still.
        told_after = np.where(known, delays, np.inf)
        ended_after = np.where(ended, hours, np.inf)
        came = known | ended
        after = np.where(came, np.minimum(told_after, ended_after), ages)
        # An end before the outcome is known is worth what such ends came to.
        worth = np.where(told_after <= ended_after, result, rates[bins])
        chances = CumulativeChance(after, came, np.where(came, worth, 0.0), weights, overall)
        result[waiting_open] = chances.later(ages[waiting_open])
    return result


class CumulativeChance:
    """What becomes of those that have waited so long, from some that have and some that are waiting still.

    Of all that waited so long at least, whenever they came in, the share that was over just then counts: what
    waits still is not left out, and what is recent tells of early times before it can tell of late ones.

    References:
        Aalen and Johansen, *An empirical transition matrix for non-homogeneous Markov chains*, 1978.
    """

    def __init__(
        self, after: Floats, came: NDArray[np.bool_], worth: Floats, weights: Floats, overall: float
    ) -> None:
        """Take in what is known.

        Args:
            after: (n,) hours until something came, or for which nothing has.
            came: (n,) whether something did.
            worth: (n,) the chance that came of it; read only where something did.
            weights: (n,) how much each row counts.
            overall: The chance of what outlasts them all; it also counts a little everywhere.
        """
        order = np.argsort(after, kind="stable")
        self._after = after[order]
        waiting = np.cumsum(weights[order][::-1])[::-1]
        over = np.where(came[order], weights[order] / (waiting + PRIOR_STRENGTH), 0.0)
        # The share that waits still before each row, and after the last one.
        left = np.cumprod(np.concatenate([[1.0], 1.0 - over]))
        ahead = np.cumsum((left[:-1] * over * worth[order])[::-1])[::-1]
        self._chances = (np.append(ahead, 0.0) + left[-1] * overall) / left

    def later(self, waited: Floats) -> Floats:
        """Return (m,) the chance of each that has waited so long."""
        result: Floats = self._chances[np.searchsorted(self._after, waited, side="right")]
        return result


def _ended_rates(
    answers: Floats, told: NDArray[np.bool_], hours: Floats, weights: Floats, edges: Floats, overall: float
) -> tuple[Floats, NDArray[np.int64]]:
    """Return what ended in each bin of hours came to, and the bin of each row."""
    bins = np.searchsorted(edges, hours, side="right")
    total = np.bincount(bins[told], weights[told], len(edges) + 1)
    yes = np.bincount(bins[told], (weights * answers)[told], len(edges) + 1)
    # A bin with few outcomes leans on those at its sides.
    near_total = np.convolve(total, [1.0, 0.0, 1.0], "same")
    near_yes = np.convolve(yes, [1.0, 0.0, 1.0], "same")
    near = (near_yes + PRIOR_STRENGTH * overall) / (near_total + PRIOR_STRENGTH)
    return (yes + PRIOR_STRENGTH * near) / (total + PRIOR_STRENGTH), bins
