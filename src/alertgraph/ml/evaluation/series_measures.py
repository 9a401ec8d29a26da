"""How good a detector of anomalies in series is: NAB's score, volume under the surface, average precision.

No point adjustment anywhere: a found point counts for itself, never for the whole range that it lies in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

THRESHOLD_COUNT: Final = 250


@dataclass(frozen=True, slots=True)
class NabProfile:
    """What a false positive and a missed window cost; a window found at its very beginning earns 1."""

    name: str
    false_positive: float
    false_negative: float


NAB_PROFILES: Final = (
    NabProfile("standard", 0.11, 1.0),
    NabProfile("low FP", 0.22, 1.0),
    NabProfile("low FN", 0.11, 2.0),
)


def nab_probation(point_count: int) -> int:
    """Return how many first points are not judged: 15 %, at most 750."""
    return min(int(0.15 * point_count), 750)


def nab_raw(
    point_count: int, windows: Sequence[tuple[int, int]], found: Sequence[int], profile: NabProfile
) -> float:
    """Return what detections earn on one series, less what its missed windows cost.

    Args:
        point_count: Points of the series.
        windows: First and last index of each true anomaly's window, in order.
        found: Indices at which something was reported, in order.
        profile: What is counted how.

    References:
        Lavin, Ahmad, *Evaluating real-time anomaly detection algorithms: the Numenta Anomaly Benchmark* (2015).
    """
    earned = 0.0
    hit: set[int] = set()
    for index in found:
        if index < nab_probation(point_count):
            continue
        inside = next((place for place, (low, high) in enumerate(windows) if low <= index <= high), None)
        if inside is not None:
            if inside in hit:
                continue  # Only the first report of a window earns something, and the others cost nothing.
            hit.add(inside)
            low, high = windows[inside]
            earned += _sigmoid(-(high - index + 1) / (high - low + 1)) / _sigmoid(-1.0)
            continue
        before = [(low, high) for low, high in windows if high < index]
        if before:
            low, high = before[-1]
            earned += profile.false_positive * _sigmoid((index - high) / max(1, high - low))
        else:
            earned -= profile.false_positive
    return earned - profile.false_negative * (len(windows) - len(hit))


def nab_normalised(raw: float, window_count: int, profile: NabProfile) -> float:
    """Return a raw sum so that reporting nothing is 0 and finding every window at once is 100."""
    nothing = -profile.false_negative * window_count
    return 100.0 * (raw - nothing) / (window_count - nothing) if window_count else float("nan")


def _sigmoid(position: float) -> float:
    return -1.0 if position > 3.0 else float(2.0 / (1.0 + np.exp(5.0 * position)) - 1.0)


def autocorrelation_period(values: Floats) -> int:
    """Return the window that TSB-AD gives a series: the lag of the highest hump, 125 in doubt."""
    held = values[:20_000] - values[:20_000].mean()
    spectrum = np.fft.rfft(held, 2 * len(held))
    correlation = np.fft.irfft(spectrum * np.conj(spectrum))[: min(401, len(held))]
    if correlation[0] <= 0:
        return 125
    curve = (correlation / correlation[0])[3:]
    humps = np.flatnonzero((curve[1:-1] > curve[:-2]) & (curve[1:-1] > curve[2:])) + 1
    if not len(humps):
        return 125
    hump = int(humps[np.argmax(curve[humps])])
    return 125 if hump < 3 or hump > 300 else hump + 3


def volume_under_pr(labels: Ints, scores: Floats, width_max: int, step: int = 1) -> float:
    """Return VUS-PR: the area under range-aware precision and recall, averaged over widths of tolerance.

    Args:
        labels: (n,) 0 or 1, with at least one 1.
        scores: (n,) higher is more unusual.
        width_max: The widest tolerance around a true range, in points (TSB-AD takes twice the period).
        step: Between widths; 1 is every width.

    References:
        Paparrizos et al., *Volume under the surface* (2022); Liu, Paparrizos, *The elephant in the room* (2024).
    """
    total = len(labels)
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    thresholds = ordered[np.linspace(0, total - 1, THRESHOLD_COUNT).astype(np.int64)]
    said = np.searchsorted(-ordered, -thresholds, side="right")
    ranges = _ranges(labels)
    positives = float(labels.sum())
    true_said = np.append(0.0, np.cumsum(labels[order]))[said]
    areas = []
    for width in range(0, width_max + 1, step):
        softened = _softened(labels, ranges, width)
        found = np.append(0.0, np.cumsum(softened[order]))[said]
        highest = np.array([scores[low : high + 1].max() for low, high in _joined(ranges, width // 2, total)])
        existing = (highest[None, :] >= thresholds[:, None]).mean(1)
        weight = (positives + positives + found - true_said) / 2
        recall = np.minimum(found / weight, 1.0) * existing
        areas.append(float(np.sum(np.diff(np.append(0.0, recall)) * found / said)))
    return float(np.mean(areas))


def _ranges(labels: Ints) -> list[tuple[int, int]]:
    change = np.diff(np.concatenate(([0], labels, [0])))
    begins, ends = np.flatnonzero(change == 1), np.flatnonzero(change == -1) - 1
    return [(int(low), int(high)) for low, high in zip(begins, ends, strict=True)]


def _softened(labels: Ints, ranges: Sequence[tuple[int, int]], width: int) -> Floats:
    """Return labels that fade out over half the width on either side of each range."""
    softened = labels.astype(np.float64)
    half, total = width // 2, len(labels)
    if half:
        for low, high in ranges:
            after = np.arange(high + 1, min(high + half + 1, total))
            softened[after] += np.sqrt(1 - (after - high) / width)
            before = np.arange(max(low - half, 0), low)
            softened[before] += np.sqrt(1 - (low - before) / width)
    return np.minimum(softened, 1.0)


def _joined(ranges: Sequence[tuple[int, int]], half: int, total: int) -> list[tuple[int, int]]:
    """Return the ranges widened by half the width, those that touch made one."""
    joined = []
    begin = max(ranges[0][0] - half, 0)
    for (_, high), (low, _) in pairwise(ranges):
        if high + half < low - half:
            joined.append((begin, high + half))
            begin = low - half
    joined.append((begin, min(ranges[-1][1] + half, total - 1)))
    return joined
