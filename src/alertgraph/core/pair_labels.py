"""What people have said of pairs of alerts, for a scorer to learn from, and whether it beats the table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from alertgraph.core.correlation import Arrival, PairFacts

EXAMPLE_COUNT_MAX: Final = 2_000
LABELS_MIN: Final = 200
"""Below so many pairs of its own a tenant has no scorer; each answer must be a tenth of them at least."""
LABELS_EACH: Final = 100
"""After so many new ones another scorer is fitted."""
CONTEST_LENGTH_MAX: Final = 400
CONTEST_LENGTH_MIN: Final = 50
_SURE_MAX = 1e-3


@dataclass(frozen=True, slots=True)
class PairExample:
    """A pair of alerts that somebody has put together or parted.

    Attributes:
        rule: The kind of the later alert.
        fact: The pair as it was known when the later one came; of the earlier alert only the kind is kept.
        together: What was said.
        group: Which change it was: pairs of one are weighed down together.
    """

    rule: str
    fact: PairFacts
    together: bool
    group: int


class PairLabels:
    """A tenant's examples, and the contest of the scorer with the table over labels that came after it."""

    def __init__(self) -> None:
        self.examples: list[PairExample] = []
        self.label_count = 0
        self.fitted_count = 0
        # Of each label, what the table and the scorer lost by what they had said before: logarithmic losses.
        self._contest: list[tuple[float, float]] = []

    def learn(self, example: PairExample, by_table: float, by_scorer: float | None) -> None:
        """Take a label, and what was said of the pair before it was known."""
        self.examples.append(example)
        del self.examples[:-EXAMPLE_COUNT_MAX]
        self.label_count += 1
        if by_scorer is not None:
            self._contest.append((_loss(by_table, example.together), _loss(by_scorer, example.together)))
            del self._contest[:-CONTEST_LENGTH_MAX]

    @property
    def is_fit_due(self) -> bool:
        """Whether a scorer can be fitted, and there is so much that is new that it should."""
        if self.label_count < LABELS_MIN or self.label_count - self.fitted_count < LABELS_EACH:
            return False
        together = sum(example.together for example in self.examples)
        return min(together, len(self.examples) - together) * 10 >= len(self.examples)

    @property
    def does_win(self) -> bool:
        """Whether the scorer has been better than the table by twice the error of their difference."""
        count = len(self._contest)
        if count < CONTEST_LENGTH_MIN:
            return False
        gains = [table - scorer for table, scorer in self._contest]
        mean = math.fsum(gains) / count
        deviation = math.sqrt(math.fsum((gain - mean) ** 2 for gain in gains) / (count - 1))
        return mean > 2 * deviation / math.sqrt(count)

    def told(self) -> dict[str, Any]:
        """Return the state as plain values for JSON."""
        return {
            "examples": [
                [each.rule, each.fact.earlier.rule, list(each.fact[1:]), each.together, each.group]
                for each in self.examples
            ],
            "label_count": self.label_count,
            "fitted_count": self.fitted_count,
            "contest": self._contest,
        }

    @classmethod
    def recalled(cls, told: dict[str, Any]) -> PairLabels:
        """Return what has told this of itself."""
        self = cls()
        self.examples = [
            PairExample(rule, fact_of(earlier_rule, numbers), together, group)
            for rule, earlier_rule, numbers, together, group in told["examples"]
        ]
        self.label_count, self.fitted_count = told["label_count"], told["fitted_count"]
        self._contest = [(table, scorer) for table, scorer in told["contest"]]
        return self


def fact_of(earlier_rule: str, numbers: Sequence[Any]) -> PairFacts:
    """Return the facts of a pair of which the kinds and the numbers were kept."""
    return PairFacts(Arrival("", 0.0, earlier_rule, ""), *numbers)


def _loss(score: float, together: bool) -> float:  # noqa: FBT001  (a label)
    sure = min(max(score, _SURE_MAX), 1 - _SURE_MAX)
    return -math.log(sure if together else 1 - sure)
