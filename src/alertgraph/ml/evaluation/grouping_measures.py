"""How good a grouping of alerts is, at every threshold at once: pairs found and pairs kept apart, and B-cubed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NOISE: Final = 0
"""The label of alerts that belong to nothing."""


@dataclass(frozen=True, slots=True)
class Linked:
    """A stream and one best link for each of its nodes. A node is one alert, or alerts that are told as one.

    Attributes:
        counts: (nodes, labels) how many alerts of each label a node holds; the first column is noise.
        names: (labels,) "attack.instance.segment"; the first is noise.
        parents: (nodes,) the node that each is linked to, -1 for none; always an earlier one.
        scores: (nodes,) how sure the link is.
    """

    counts: Floats
    names: tuple[str, ...]
    parents: Ints
    scores: Floats


@dataclass(frozen=True, slots=True)
class Sweep:
    """Rates at falling thresholds, for each label.

    Attributes:
        found: (thresholds, labels) share of the label's ordered pairs that lie in one group.
        apart: (thresholds, labels) share of pairs with something else that lie in different groups, without noise.
        apart_noise: (thresholds, labels) the same with noise among what is something else.
        pure: (thresholds, labels) share of the label in the group of one of its alerts, averaged over these.
    """

    found: Floats
    apart: Floats
    apart_noise: Floats
    pure: Floats


def thresholds_for(streams: Sequence[Linked], count: int = 400) -> Floats:
    """Return falling thresholds from one above every score to one below, evenly spread over the links."""
    scores = np.concatenate([stream.scores[stream.parents >= 0] for stream in streams])
    inner = np.quantile(
        scores, np.concatenate((np.linspace(0, 1, count // 2), 1 - np.geomspace(1e-5, 0.5, count // 2)))
    )
    return np.concatenate(([np.inf], np.unique(inner)[::-1], [-np.inf]))


def sweep(stream: Linked, thresholds: Floats) -> Sweep:
    """Return the rates of one stream at thresholds that fall: links at or above the threshold hold."""
    groups = _Groups(stream.counts)
    order = np.argsort(-stream.scores, kind="stable")
    rows = []
    place = 0
    for threshold in thresholds:
        while place < len(order) and stream.scores[order[place]] >= threshold:
            node = int(order[place])
            place += 1
            if stream.parents[node] >= 0:
                groups.join(node, int(stream.parents[node]))
        rows.append(groups.rates())
    return Sweep(*(np.array(column) for column in zip(*rows, strict=True)))


class _Groups:
    """Groups that only grow, with the pairs within them counted as they are joined."""

    def __init__(self, counts: Floats) -> None:
        self._parents = list(range(len(counts)))
        self._counts: list[Floats] = list(counts)
        sizes = counts.sum(1)
        named = sizes - counts[:, NOISE]
        self._total = counts.sum(0)
        self._within = (counts**2).sum(0)
        self._mixed_noise = (counts * (sizes[:, None] - counts)).sum(0)
        self._mixed = (counts * (named[:, None] - counts)).sum(0)
        self._pure = (counts**2 / np.maximum(sizes, 1)[:, None]).sum(0)

    def _root(self, node: int) -> int:
        while self._parents[node] != node:
            self._parents[node] = self._parents[self._parents[node]]
            node = self._parents[node]
        return node

    def join(self, node: int, other: int) -> None:
        left, right = self._root(node), self._root(other)
        if left == right:
            return
        one, two = self._counts[left], self._counts[right]
        size_one, size_two = one.sum(), two.sum()
        self._within += 2 * one * two
        self._mixed_noise += one * (size_two - two) + two * (size_one - one)
        self._mixed += one * (size_two - two[NOISE] - two) + two * (size_one - one[NOISE] - one)
        self._pure += (one + two) ** 2 / (size_one + size_two) - one**2 / size_one - two**2 / size_two
        self._parents[left] = right
        self._counts[right] = one + two

    def rates(self) -> tuple[Floats, Floats, Floats, Floats]:
        total = np.maximum(self._total, 1)
        everything = self._total.sum()
        named = everything - self._total[NOISE]
        return (
            self._within / total**2,
            1 - self._mixed / np.maximum(1, total * (named - total)),
            1 - self._mixed_noise / np.maximum(1, total * (everything - total)),
            self._pure / total,
        )


def by_attack(streams: Sequence[Linked], sweeps: Sequence[Sweep]) -> dict[str, tuple[Floats, Floats, Floats]]:
    """Return the rates of each kind of attack: segments averaged within instances, these within the attack.

    References:
        AlertBERT (arXiv 2602.06534): labels are averaged over streams first, then up their hierarchy.
    """
    lowest: dict[str, list[Floats]] = {}
    for stream, rates in zip(streams, sweeps, strict=True):
        for place, name in enumerate(stream.names):
            if place != NOISE and stream.counts[:, place].any():
                column = np.stack((rates.found[:, place], rates.apart[:, place], rates.apart_noise[:, place]))
                lowest.setdefault(name, []).append(column)
    instances: dict[str, list[Floats]] = {}
    for name, columns in lowest.items():
        instances.setdefault(".".join(name.split(".")[:2]), []).append(np.mean(columns, 0))
    attacks: dict[str, list[Floats]] = {}
    for name, columns in instances.items():
        attacks.setdefault(name.split(".", 1)[0], []).append(np.mean(columns, 0))
    means = {name: np.mean(columns, 0) for name, columns in attacks.items()}
    return {name: (mean[0], mean[1], mean[2]) for name, mean in means.items()}


def area(found: Floats, apart: Floats) -> float:
    """Return the area under found against not-apart as steps: what lies between two thresholds is not credited."""
    false = np.maximum.accumulate(np.concatenate(([0.0], 1 - apart, [1.0])))
    true = np.concatenate(([0.0], found))
    return float(np.sum(np.diff(false) * true))


def macro_areas(
    attacks: dict[str, tuple[Floats, Floats, Floats]], chosen: Sequence[str] | None = None
) -> tuple[float, float]:
    """Return the areas of the mean over attacks, without noise and with it.

    Args:
        attacks: As `by_attack` gives them.
        chosen: Attacks to take, one as often as it is named; all once where none are given.
    """
    names = list(attacks) if chosen is None else list(chosen)
    found, apart, apart_noise = (np.mean([attacks[name][part] for name in names], 0) for part in range(3))
    return area(found, apart), area(found, apart_noise)


def b_cubed(stream: Linked, sweep_of: Sweep, place: int) -> list[tuple[float, float]]:
    """Return precision and recall of each label at a threshold, averaged over the alerts of the label alone."""
    there = stream.counts.sum(0) > 0
    return [
        (float(sweep_of.pure[place, label]), float(sweep_of.found[place, label]))
        for label in range(len(stream.names))
        if label != NOISE and there[label]
    ]


def balanced_f(values: Sequence[tuple[float, float]]) -> float:
    """Return the harmonic mean of mean precision and mean recall, each label counting the same."""
    precision, recall = np.mean(values, 0)
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0
