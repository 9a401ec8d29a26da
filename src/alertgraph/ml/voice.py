"""One version of a model as it speaks for one tenant, set right by what came of what it said before.

The version itself never changes. What is the tenant's own are the weights of its blend, the line that straightens
its chances, the thresholds from which it commits itself and the width of its ranges of time: all of them learnt
from the last outcomes, each against what this very version had said when the alert came in.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alertgraph.ml.artifact import LINEAR, NETWORK, TREES, Artifact
from alertgraph.ml.blend import OUTCOMES_MIN, Blend, choose_blend
from alertgraph.ml.calibration import Abstention, ConformalRange, Platt, choose_abstention, expit, logit
from alertgraph.ml.companions import Forest
from alertgraph.ml.live import QUESTIONS, TIME_EDGES, TIMES, rates
from alertgraph.ml.model import time_quantile

Floats = NDArray[np.float64]
RATES = "rates"
MEMBERS = (NETWORK, TREES, LINEAR, RATES)
# Rows are always asked in blocks of this size: what is said of an alert would depend on who came in beside it.
BLOCK = 16
KEPT_MAX = 2_000
# An outcome counts half after so many others; after a drift sooner.
HALF_LIFE, HALF_LIFE_MOVED = 1_000.0, 200.0
MOVED_FOR = 1_000
HOURS_MIN = 1 / 3_600
RANGE_MISS = 0.2
CERTAINTY = 0.95

# What is kept of a row: logits of each member and question; probabilities; whether it committed; log hours.
RAW_SIZE = len(MEMBERS) * len(QUESTIONS)
SAID_SIZE = RAW_SIZE + 2 * len(QUESTIONS) + 3 * len(TIMES)
SAID, COMMITS, HOURS = RAW_SIZE, RAW_SIZE + len(QUESTIONS), RAW_SIZE + 2 * len(QUESTIONS)


@dataclass(slots=True)
class _Tuning:
    """What is the tenant's own of one question."""

    blend: Blend
    abstention: Abstention


class Voice:
    """A version for a tenant. Not safe for threads."""

    def __init__(self, version: str, artifact: Artifact) -> None:
        """Begin with what the version itself brought along."""
        self.version = version
        self.artifact = artifact
        self.label_count = 0
        self.moved_until = 0
        self._tuned_at = 0
        self._told: deque[NDArray[np.float32]] = deque(maxlen=KEPT_MAX)
        self._forest = Forest(list(artifact.trees.values())) if artifact.trees else None
        self._tunings = [_Tuning(artifact.blends[question], Abstention(1.0, 0.0)) for question in QUESTIONS]
        self._ranges = [ConformalRange(RANGE_MISS, KEPT_MAX) for _ in TIMES]
        self._widened = [0.0 for _ in TIMES]

    def heard(self, numbers: NDArray[np.float32], tokens: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return (n, SAID_SIZE): what the version's members say of rows, the same of each whoever is beside it.

        Chances and commitments are filled in by `speak`.
        """
        said = np.zeros((len(numbers), SAID_SIZE), dtype=np.float32)
        network = self.artifact.network.answers(numbers, tokens, BLOCK)
        trees = self._forest.logits(numbers) if self._forest is not None else None
        shrunken = rates(numbers)
        for place, question in enumerate(QUESTIONS):
            said[:, _raw(NETWORK, place)] = logit(network.probabilities[question])
            said[:, _raw(RATES, place)] = logit(shrunken[:, place])
            line = self.artifact.linear.get(question)
            if line is not None:
                said[:, _raw(LINEAR, place)] = logit(line.probabilities(numbers, tokens))
            if trees is not None and question in self.artifact.trees:
                said[:, _raw(TREES, place)] = logit(expit(trees[:, list(self.artifact.trees).index(question)]))
        for place, survival in enumerate(network.survivals):
            for part, share in enumerate((RANGE_MISS / 2, 0.5, 1 - RANGE_MISS / 2)):
                hours = np.minimum(time_quantile(survival, TIME_EDGES, share), 2 * TIME_EDGES[-1])
                said[:, HOURS + 3 * place + part] = np.log(np.maximum(hours, HOURS_MIN))
        return said

    def speak(self, said: NDArray[np.float32]) -> None:
        """Fill in chances and commitments, by what has been learnt up to now."""
        for place, tuning in enumerate(self._tunings):
            chances = tuning.blend(_answers(said, place, self._members(place)))
            said[:, SAID + place] = chances
            said[:, COMMITS + place] = tuning.abstention.commits(chances)

    def ranges(self, said: NDArray[np.float32]) -> Floats:
        """Return lower end, middle and upper end of each time in hours, (n, time_count, 3).

        nan where it may well never come.
        """
        told = said[:, HOURS : HOURS + 3 * len(TIMES)].astype(np.float64).reshape(len(said), len(TIMES), 3)
        low, middle, high = told[:, :, 0], told[:, :, 1], told[:, :, 2]
        widened = np.array(self._widened)
        bounds = np.stack([np.minimum(low - widened, middle), middle, np.maximum(high + widened, middle)], axis=2)
        hours = np.exp(np.clip(bounds, math.log(HOURS_MIN), math.log(2 * TIME_EDGES[-1])))
        hours[~(np.isfinite(middle) & (middle <= math.log(TIME_EDGES[-1])))] = math.nan
        return hours

    def learn(self, said: NDArray[np.float32], labels: Sequence[float], hours: Sequence[float]) -> None:
        """Take in what came of an alert.

        Args:
            said: What this version had said of it, a row of `says`.
            labels: By question, 0 or 1.
            hours: By time, how long it took; nan where that is not known.
        """
        self._told.append(np.concatenate([said, np.asarray(labels, dtype=np.float32)]))
        self.label_count += 1
        for place, lasted in enumerate(hours):
            low, high = float(said[HOURS + 3 * place]), float(said[HOURS + 3 * place + 2])
            if not math.isnan(lasted) and math.isfinite(low) and math.isfinite(high):
                self._ranges[place].learn(low, high, math.log(max(lasted, HOURS_MIN)))
        if self._is_due(0):
            self.tune()

    @property
    def tunes_next(self) -> bool:
        """Whether the next outcome changes how it speaks."""
        return self._is_due(1)

    def _is_due(self, more: int) -> bool:
        # The more is known the less a few outcomes change.
        count = self.label_count + more
        return count - self._tuned_at >= min(max(count // 8, 64), 512)

    def moved(self) -> None:
        """Weigh what is new more for a while, from the next outcome on: the world is not what it was."""
        self.moved_until = self.label_count + MOVED_FOR
        self._tuned_at = -MOVED_FOR

    def tune(self) -> None:
        """Choose blend, line, thresholds and widths anew, by the outcomes that are remembered."""
        self._tuned_at = self.label_count
        told = np.array(self._told, dtype=np.float64)
        if len(told) >= OUTCOMES_MIN:
            ages = np.arange(len(told), 0, -1, dtype=np.float64)
            half_life = HALF_LIFE_MOVED if self.label_count < self.moved_until else HALF_LIFE
            weights = 0.5 ** (ages / half_life)
            # So many outcomes there are, however they are weighed against each other.
            weights *= len(told) / weights.sum()
            for place in range(len(QUESTIONS)):
                labels = told[:, SAID_SIZE + place]
                self._tunings[place] = _Tuning(
                    choose_blend(labels, _answers(told, place, self._members(place)), weights),
                    choose_abstention(labels, told[:, SAID + place], CERTAINTY),
                )
        self._widened = [each.widened_by() for each in self._ranges]

    def _members(self, place: int) -> Collection[str]:
        """Return who answers a question: a version may have no trees or no line for it."""
        question = QUESTIONS[place]
        absent = {
            name
            for name, each in ((TREES, self.artifact.trees), (LINEAR, self.artifact.linear))
            if question not in each
        }
        return [name for name in MEMBERS if name not in absent]

    def told(self) -> NDArray[np.float32]:
        """Return (n, SAID_SIZE + question_count): what was said and what came of it, oldest first."""
        return np.array(self._told, dtype=np.float32).reshape(-1, SAID_SIZE + len(QUESTIONS))

    def kept(self) -> dict[str, Any]:
        """Return what `restore` takes besides `told`, as plain values."""
        return {
            "version": self.version,
            "label_count": self.label_count,
            "moved_until": self.moved_until,
            "tuned_at": self._tuned_at,
            "tunings": [
                {
                    "weights": dict(tuning.blend.weights),
                    "platt": asdict(tuning.blend.platt),
                    "abstention": asdict(tuning.abstention),
                }
                for tuning in self._tunings
            ],
            "ranges": [list(each.kept()) for each in self._ranges],
            "widened": list(self._widened),
        }

    def restore(self, kept: Mapping[str, Any], told: NDArray[np.float32]) -> None:
        """Go on from what `kept` and `told` gave."""
        self.label_count = int(kept["label_count"])
        self.moved_until = int(kept["moved_until"])
        self._tuned_at = int(kept["tuned_at"])
        self._told.clear()
        self._told.extend(told)
        self._tunings = [
            _Tuning(
                Blend(dict(one["weights"]), Platt(**one["platt"])),
                Abstention(**one["abstention"]),
            )
            for one in kept["tunings"]
        ]
        for each, scores in zip(self._ranges, kept["ranges"], strict=True):
            each.restore(scores)
        self._widened = [float(value) for value in kept["widened"]]


def _answers(said: NDArray[Any], place: int, names: Collection[str]) -> dict[str, Floats]:
    """Return what each of these members said of a question."""
    return {name: expit(said[:, _raw(name, place)].astype(np.float64)) for name in names}


def _raw(member: str, place: int) -> int:
    """Return where a member's logit of a question is kept."""
    return MEMBERS.index(member) * len(QUESTIONS) + place
