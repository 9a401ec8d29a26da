"""Whether one version is better than another, and whether the world has moved: told from outcomes as they come.

Outcomes are looked at one by one and as often as wanted, so what is concluded must hold at any time, not only at a
number of outcomes that was agreed before.

References:
    Waudby-Smith and Ramdas, *Estimating means of bounded random variables by betting*, 2024 (the bets here).
    Page, *Continuous inspection schemes*, 1954; Hinkley, 1971.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# A version is better where a gambler who bets on it against even odds has multiplied the stake so often: under no
# law of chance does that happen with more than one twentieth, however long one looks.
STAKE_MULTIPLE = 20.0
OUTCOMES_MIN = 500
# Without a decision until then the newer version is not worth it.
OUTCOMES_MAX = 4_000
# Nobody loses more of a single outcome than that, in nats: no single one decides.
LOSS_DIFFERENCE_MAX = 1.0
CALIBRATION_WORSE_MAX = 0.02
WATCHED = 200
SIGMAS = 3.0
BIN_COUNT = 15


class Bet:
    """A gambler who believes that numbers within ±`reach` are above zero on average, and what it has won."""

    def __init__(self, reach: float = LOSS_DIFFERENCE_MAX) -> None:
        self.reach = reach
        self.count = 0
        self.log_won = 0.0
        self.log_won_max = 0.0
        self._sum = 0.0
        # A little doubt to begin with: the first numbers do not make it bold.
        self._squares = 0.25

    def learn(self, value: float) -> None:
        """Bet on a number, then see it."""
        held = min(max(value / self.reach, -1.0), 1.0)
        mean = self._sum / (self.count + 1)
        square = self._squares / (self.count + 1)
        share = min(max(mean / square, 0.0), 0.5) if square > 0 else 0.0
        self.log_won += math.log1p(share * held)
        self.log_won_max = max(self.log_won_max, self.log_won)
        self.count += 1
        self._sum += held
        self._squares += held * held

    @property
    def is_convinced(self) -> bool:
        """Whether it has won so much, at any time, that chance is no explanation."""
        return self.log_won_max >= math.log(STAKE_MULTIPLE)

    def kept(self) -> list[float]:
        """Return what `restored` takes."""
        return [self.count, self.log_won, self.log_won_max, self._sum, self._squares]

    def restore(self, kept: Sequence[float]) -> None:
        """Go on from what `kept` gave."""
        count, self.log_won, self.log_won_max, self._sum, self._squares = kept
        self.count = int(count)


class Duel:
    """Two versions that answered the same alerts: which of them loses less, and which is better calibrated.

    The loss of an outcome is the mean of the logarithmic losses of its questions.
    """

    def __init__(self) -> None:
        self.count = 0
        self.other_is_better = Bet()
        self.other_is_worse = Bet()
        # By bin of probability, what was said less what came: of the version in use, and of the other.
        self._gaps = np.zeros((2, BIN_COUNT))
        self._recent: deque[float] = deque(maxlen=WATCHED)

    def learn(self, label: float, said: float, other_said: float, loss: float, other_loss: float) -> None:
        """Take in an outcome.

        Args:
            label: Of the first question, 0 or 1.
            said: Of the first question, by the version in use.
            other_said: By the other one.
            loss: Of the version in use.
            other_loss: Of the other one.
        """
        self.count += 1
        self.other_is_better.learn(loss - other_loss)
        self.other_is_worse.learn(other_loss - loss)
        for place, probability in enumerate((said, other_said)):
            self._gaps[place, min(int(probability * BIN_COUNT), BIN_COUNT - 1)] += probability - label
        self._recent.append(min(max(loss - other_loss, -LOSS_DIFFERENCE_MAX), LOSS_DIFFERENCE_MAX))

    def calibration_errors(self) -> tuple[float, float]:
        """Return the calibration error of the version in use and of the other, on the same outcomes."""
        mine, others = np.abs(self._gaps).sum(1) / max(self.count, 1)
        return float(mine), float(others)

    def sigmas_worse(self) -> float:
        """Return by how many standard errors the version in use lost more lately; 0 before `WATCHED` outcomes."""
        if len(self._recent) < WATCHED:
            return 0.0
        values = np.array(self._recent)
        spread = float(values.std(ddof=1))
        return float(values.mean()) / (max(spread, 1e-9) / math.sqrt(len(values)))

    def promotes(self) -> str | None:
        """Return why the other version is to take over; None where it is not (yet)."""
        if self.count < OUTCOMES_MIN or not self.other_is_better.is_convinced:
            return None
        mine, others = self.calibration_errors()
        if others > mine + CALIBRATION_WORSE_MAX:
            return None
        return (
            f"it lost less on {self.count} outcomes that neither had seen (odds of "
            f"{math.exp(min(self.other_is_better.log_won_max, 50.0)):.0f} to 1); calibration error {others:.3f} "
            f"after {mine:.3f}"
        )

    def gives_up(self) -> str | None:
        """Return why the other version is not worth going on with; None where it may still win."""
        if self.other_is_worse.is_convinced and self.count >= WATCHED:
            return f"it lost more on {self.count} outcomes that neither had seen"
        if self.count >= OUTCOMES_MAX:
            return f"it lost no less on {self.count} outcomes that neither had seen"
        return None

    def kept(self) -> dict[str, Any]:
        """Return what `restored` takes, as plain values."""
        return {
            "count": self.count,
            "better": self.other_is_better.kept(),
            "worse": self.other_is_worse.kept(),
            "gaps": self._gaps.tolist(),
            "recent": list(self._recent),
        }

    @classmethod
    def restored(cls, kept: Mapping[str, Any]) -> Duel:
        """Return the duel that `kept` told of."""
        duel = cls()
        duel.count = int(kept["count"])
        duel.other_is_better.restore(kept["better"])
        duel.other_is_worse.restore(kept["worse"])
        duel._gaps = np.array(kept["gaps"], dtype=np.float64)
        duel._recent.extend(kept["recent"])
        return duel


@dataclass(slots=True)
class PageHinkley:
    """Whether the mean of a series has risen: by how much its sum has outgrown what its own mean led to expect.

    Attributes:
        slack: A rise smaller than this is none.
        limit: How far the sum may outgrow.
    """

    slack: float = 0.05
    limit: float = 15.0
    count: int = 0
    mean: float = 0.0
    total: float = 0.0
    lowest: float = 0.0

    def learn(self, value: float) -> bool:
        """Take in a value; return whether the mean has risen, after which everything begins anew."""
        self.count += 1
        self.mean += (value - self.mean) / self.count
        self.total += value - self.mean - self.slack
        self.lowest = min(self.lowest, self.total)
        if self.count < WATCHED or self.total - self.lowest <= self.limit:
            return False
        self.restart()
        return True

    def restart(self) -> None:
        """Forget everything."""
        self.count, self.mean, self.total, self.lowest = 0, 0.0, 0.0, 0.0

    def kept(self) -> list[float]:
        """Return what `restore` takes."""
        return [self.count, self.mean, self.total, self.lowest]

    def restore(self, kept: Sequence[float]) -> None:
        """Go on from what `kept` gave."""
        count, self.mean, self.total, self.lowest = kept
        self.count = int(count)


class Shares:
    """How far what comes in lately differs from what came in before: the population stability index (PSI).

    Above 0.25 the inputs are said to have moved.
    """

    BINS = 10
    # The first are left out: counters fill up, and everything looks like a change.
    WARMS_UP = 500
    REFERENCE = 500

    def __init__(self) -> None:
        self._left_out = 0
        self._reference = np.zeros(self.BINS)
        self._recent = np.zeros(self.BINS)

    def learn(self, share: float) -> None:
        """Take in an input, brought into [0, 1]."""
        place = min(max(int(share * self.BINS), 0), self.BINS - 1)
        if self._left_out < self.WARMS_UP:
            self._left_out += 1
        elif self._reference.sum() < self.REFERENCE:
            self._reference[place] += 1.0
        else:
            self._recent *= 0.5 ** (1.0 / self.REFERENCE)
            self._recent[place] += 1.0

    def index(self) -> float:
        """Return the index; 0 while too little has come in."""
        if self._recent.sum() < self.REFERENCE / 2:
            return 0.0
        before, now = (
            (counts + 0.5) / (counts.sum() + 0.5 * self.BINS) for counts in (self._reference, self._recent)
        )
        return float(((now - before) * np.log(now / before)).sum())

    def kept(self) -> list[list[float]]:
        """Return what `restore` takes."""
        return [self._reference.tolist(), self._recent.tolist(), [float(self._left_out)]]

    def restore(self, kept: Sequence[Sequence[float]]) -> None:
        """Go on from what `kept` gave."""
        reference, recent, (left_out,) = kept
        self._reference, self._recent = np.array(reference, np.float64), np.array(recent, np.float64)
        self._left_out = int(left_out)
