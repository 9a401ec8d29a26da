"""Whether more alerts come than usual at this hour: counts by interval, judged by their likelihood.

Constant memory: one mean per hour of the day, drawn towards the mean of all hours while little was seen, and how
much more counts scatter than a Poisson process would.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

HOURS: Final = 24
FORGETTING_DAYS: Final = 14.0
PRIOR_INTERVALS: Final = 6.0
"""So many intervals' worth the mean of all hours counts beside what was seen at an hour."""
CATCH_UP_INTERVALS: Final = 2016
"""Intervals without a count that are gone through at most, a week of five minutes; older ones are passed over."""


@dataclass(frozen=True, slots=True)
class RateSettings:
    """When a rate is told as unusual.

    Attributes:
        interval_seconds: What is counted together.
        begin_chance: An event begins with a count whose chance is below this …
        count_min: … and which is at least this high: three alerts are no storm, however quiet it was.
        end_chance: It ends with counts whose chance is above this …
        quiet_count: … so many intervals on end.
        refractory_count: Intervals after the beginning of an event before the next can begin.
        warmup_count: Intervals before an event can begin; two days of five minutes.
    """

    interval_seconds: int = 300
    begin_chance: float = 1e-5
    count_min: int = 5
    end_chance: float = 0.05
    quiet_count: int = 2
    refractory_count: int = 12
    warmup_count: int = 576


@dataclass(frozen=True, slots=True)
class RateVerdict:
    """What is said of an interval that is over.

    Attributes:
        at: When it began, in seconds.
        count: What came in it.
        expected: What usually comes.
        chance: The chance of as much or more; 1.0 where no more came than usually does.
        began: Whether an event begins with it.
        ended: Whether an event ends with it.
        warming: Whether too little is known for an event to begin.
    """

    at: float
    count: int
    expected: float
    chance: float
    began: bool
    ended: bool
    warming: bool = False


class RateWatch:
    """The counts of one series: of a service, a rule, a tenant."""

    def __init__(self, settings: RateSettings | None = None) -> None:
        self.settings = settings or RateSettings()
        self._seen = [0.0] * HOURS
        self._weight = [0.0] * HOURS
        self._scatter = 0.0
        self._interval: int | None = None
        self._count = 0
        self._judged = 0
        self._open = False
        self._quiet = 0
        self._since_begin = self.settings.refractory_count

    def take(self, at: float, count: int = 1) -> tuple[RateVerdict, ...]:
        """Count alerts, and return the verdicts on the intervals that ended before them, in order.

        Args:
            at: When they came. What comes late counts for the interval under way: what is over was judged.
            count: How many.
        """
        verdicts = self.advance(at)
        self._count += count
        return verdicts

    def advance(self, at: float) -> tuple[RateVerdict, ...]:
        """Return the verdicts on the intervals that are over at an instant and not judged yet."""
        now = math.floor(at / self.settings.interval_seconds)
        if self._interval is None:
            self._interval = now
        verdicts = []
        while self._interval < now:
            verdicts.append(self._judge(self._interval, self._count))
            self._count = 0
            self._interval = max(self._interval + 1, now - CATCH_UP_INTERVALS)
        return tuple(verdicts)

    def expected(self, at: float) -> float:
        """Return how many alerts usually come in an interval at this hour."""
        return self._expected(self._hour(math.floor(at / self.settings.interval_seconds)))

    def _hour(self, interval: int) -> int:
        return interval * self.settings.interval_seconds // 3600 % HOURS

    def _expected(self, hour: int) -> float:
        overall = sum(self._seen) / max(sum(self._weight), 1.0)
        return (self._seen[hour] + PRIOR_INTERVALS * overall) / (self._weight[hour] + PRIOR_INTERVALS)

    def _judge(self, interval: int, count: int) -> RateVerdict:
        settings = self.settings
        hour = self._hour(interval)
        expected = self._expected(hour)
        # Not knowing the mean well scatters counts, too.
        unsure = 1.0 / max(self._seen[hour] + PRIOR_INTERVALS * expected, 1.0)
        chance = chance_of_at_least(count, expected, self._scatter + unsure)
        warming = self._judged < settings.warmup_count
        began = (
            not self._open
            and not warming
            and count >= settings.count_min
            and chance < settings.begin_chance
            and self._since_begin >= settings.refractory_count
        )
        self._quiet = self._quiet + 1 if chance > settings.end_chance else 0
        ended = self._open and self._quiet >= settings.quiet_count
        self._since_begin = 0 if began else min(self._since_begin + 1, settings.refractory_count)
        if began:
            self._quiet = 0
        self._open = (self._open or began) and not ended
        self._learn(hour, count, expected, chance)
        self._judged += 1
        return RateVerdict(interval * settings.interval_seconds, count, expected, chance, began, ended, warming)

    def _learn(self, hour: int, count: int, expected: float, chance: float) -> None:
        # A storm must not become what is usual: beyond one in a thousand, only so much is learned.
        learned = float(count) if chance > 1e-3 else min(float(count), 3 * expected + 3)
        keep = math.exp(-self.settings.interval_seconds / 3600 / FORGETTING_DAYS)
        self._seen[hour] = keep * self._seen[hour] + learned
        self._weight[hour] = keep * self._weight[hour] + 1.0
        if expected > 0:
            beyond = ((learned - expected) ** 2 - expected) / max(expected, 0.5) ** 2
            share = max(1.0 / (self._judged + 1), 0.002)
            self._scatter = max(0.0, self._scatter + share * (min(beyond, 25.0) - self._scatter))

    def told(self) -> dict[str, Any]:
        """Return the state as plain values for JSON."""
        return {
            "seen": self._seen,
            "weight": self._weight,
            "scatter": self._scatter,
            "interval": self._interval,
            "count": self._count,
            "judged": self._judged,
            "open": self._open,
            "quiet": self._quiet,
            "since_begin": self._since_begin,
        }

    def recall(self, told: Mapping[str, Any]) -> None:
        """Take a state on; the settings stay as they are."""
        self._seen, self._weight = list(told["seen"]), list(told["weight"])
        self._scatter, self._interval, self._count = told["scatter"], told["interval"], told["count"]
        self._judged, self._open = told["judged"], told["open"]
        self._quiet, self._since_begin = told["quiet"], told["since_begin"]


def chance_of_at_least(count: int, mean: float, scatter: float) -> float:
    """Return the chance of a count this high or higher; 1.0 where it is no higher than the mean.

    Args:
        count: What came.
        mean: What is expected.
        scatter: Variance beyond the mean, in mean²: 0 is Poisson, else negative binomial.
    """
    if count <= mean:
        return 1.0
    if mean <= 0.0:
        return 0.0
    if scatter < 1e-6:
        logarithm = count * math.log(mean) - mean - math.lgamma(count + 1)

        def ratio(number: int) -> float:
            return mean / (number + 1)
    else:
        size = 1.0 / scatter
        odds = mean / (mean + size)
        logarithm = (
            math.lgamma(count + size)
            - math.lgamma(size)
            - math.lgamma(count + 1)
            + count * math.log(odds)
            + size * math.log1p(-odds)
        )

        def ratio(number: int) -> float:
            return (number + size) / (number + 1) * odds

    term = total = 1.0
    number = count
    # Above the mean every term is smaller than the one before; what is left out is below a thousandth of the sum.
    while term > 1e-4 * total * (1 - min(ratio(number), 0.999)) and number < count + 5_000:
        term *= ratio(number)
        total += term
        number += 1
    return min(1.0, math.exp(logarithm) * total)
