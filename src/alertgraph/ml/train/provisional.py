"""What is believed of an outcome that is not known yet, from how long the alert has lasted.

To wait until every outcome is known would be to learn from alerts that are weeks old; to take those that are known
early would be to learn that everything ends well, because what ends well is known first. So an alert that is still
waiting counts for what alerts became that had come as far as it has.
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
    horizon: float,
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
        horizon: Hours after which every outcome is known; only rows this old tell what became of those that
            took long.
        edges: Ends of bins of hours, ascending.
    """
    result = np.where(known, answers, np.nan)
    if not known.any():
        return result
    overall = float(np.average(answers[known], weights=np.maximum(weights[known], 1e-9)))
    waiting_ended = ~known & ended
    if waiting_ended.any():
        told = known & ended
        bins = np.searchsorted(edges, hours, side="right")
        total = np.bincount(bins[told], weights[told], len(edges) + 1)
        yes = np.bincount(bins[told], (weights * answers)[told], len(edges) + 1)
        # A bin with few outcomes leans on those at its sides.
        near_total = np.convolve(total, [1.0, 0.0, 1.0], "same")
        near_yes = np.convolve(yes, [1.0, 0.0, 1.0], "same")
        near = (near_yes + PRIOR_STRENGTH * overall) / (near_total + PRIOR_STRENGTH)
        rates = (yes + PRIOR_STRENGTH * near) / (total + PRIOR_STRENGTH)
        result[waiting_ended] = rates[bins[waiting_ended]]
    waiting_open = ~known & ~ended
    if waiting_open.any():
        # Those old enough that nothing of them is missing, by how long their outcome took to be known.
        told = known & (ages >= horizon)
        order = np.argsort(delays[told])
        delays_told = delays[told][order]
        weight_after = np.append(np.cumsum(weights[told][order][::-1])[::-1], 0.0)
        yes_after = np.append(np.cumsum((weights * answers)[told][order][::-1])[::-1], 0.0)
        place = np.searchsorted(delays_told, ages[waiting_open], side="right")
        result[waiting_open] = (yes_after[place] + PRIOR_STRENGTH * overall) / (
            weight_after[place] + PRIOR_STRENGTH
        )
    return result
