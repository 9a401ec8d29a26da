import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertgraph.core.rate import CATCH_UP_INTERVALS, RateSettings, RateWatch, chance_of_at_least

STEP = 300
DAY = 288


def counts_of(days: int, seed: int = 0) -> list[int]:
    """About two alerts in five minutes by day, none by night, more scattered than Poisson."""
    dice = random.Random(seed)
    found = []
    for interval in range(days * DAY):
        busy = 8 <= interval % DAY // 12 < 20
        mean = dice.gammavariate(4, 0.5) if busy else 0.05
        found.append(sum(1 for _ in range(40) if dice.random() < mean / 40))
    return found


def watched(counts: list[int], watch: RateWatch | None = None, start: int = 0):
    watch = watch or RateWatch()
    verdicts = []
    for place, count in enumerate(counts, start):
        verdicts += watch.take(place * STEP + 1, 0) if count == 0 else watch.take(place * STEP + 1, count)
    return [*verdicts, *watch.advance((start + len(counts)) * STEP)]


@pytest.mark.parametrize(("count", "mean"), [(1, 0.3), (5, 2.0), (12, 4.5), (40, 30.0)])
def test_poisson_chances_are_exact(count, mean) -> None:
    below = sum(math.exp(-mean) * mean**number / math.factorial(number) for number in range(count))

    assert chance_of_at_least(count, mean, 0.0) == pytest.approx(1 - below, rel=2e-3)


@pytest.mark.parametrize(("count", "mean", "scatter"), [(6, 2.0, 0.5), (30, 10.0, 0.2), (3, 0.2, 2.0)])
def test_negative_binomial_chances_are_exact(count, mean, scatter) -> None:
    size = 1 / scatter
    odds = mean / (mean + size)
    below = sum(
        math.exp(math.lgamma(number + size) - math.lgamma(size) - math.lgamma(number + 1))
        * odds**number
        * (1 - odds) ** size
        for number in range(count)
    )

    assert chance_of_at_least(count, mean, scatter) == pytest.approx(1 - below, rel=2e-3)


@given(st.integers(0, 100_000), st.floats(0, 1e4), st.floats(0, 50))
def test_a_chance_is_a_chance_and_falls_with_the_count(count, mean, scatter) -> None:
    chance = chance_of_at_least(count, mean, scatter)

    assert 0.0 <= chance <= 1.0
    assert chance_of_at_least(count + 1, mean, scatter) <= chance * 1.01 + 1e-12


def test_a_storm_by_night_is_told_and_as_many_by_day_are_not() -> None:
    counts = counts_of(10)
    night, noon = 9 * DAY + 3 * 12, 9 * DAY + 13 * 12
    counts[night] = counts[noon] = 6
    verdicts = watched(counts)

    assert [verdict.at // STEP for verdict in verdicts if verdict.began] == [night]
    assert verdicts[night].chance < 1e-5 < verdicts[noon].chance
    assert verdicts[night].expected < 0.5 < verdicts[noon].expected


def test_a_storm_is_one_event_that_ends() -> None:
    counts = counts_of(8)
    start = 7 * DAY + 12
    for place in range(start, start + 6):
        counts[place] = 50
    verdicts = watched(counts)

    began = [place for place, verdict in enumerate(verdicts) if verdict.began]
    ended = [place for place, verdict in enumerate(verdicts) if verdict.ended]

    assert began == [start]
    assert start + 6 < ended[0] <= start + 6 + RateSettings().quiet_count


def test_nothing_is_told_while_warming_up_and_three_are_no_storm() -> None:
    early = [0] * 100 + [500] + [0] * 100
    few = [0] * 1000 + [RateSettings().count_min - 1] + [0] * 10

    assert not any(verdict.began for verdict in watched(early))
    assert not any(verdict.began for verdict in watched(few))


def test_a_storm_does_not_become_what_is_usual() -> None:
    watch = RateWatch()
    watched([1, 0, 2, 1] * DAY, watch)
    before = watch.expected(4 * DAY * STEP)

    watched([1000] * 3, watch, start=4 * DAY)

    assert watch.expected(4 * DAY * STEP) < 2 * before


def test_state_goes_on_after_a_restart_as_though_nothing_had_been() -> None:
    counts = counts_of(6)
    through, halted = RateWatch(), RateWatch()
    watched(counts[:800], through)
    watched(counts[:800], halted)
    restarted = RateWatch()
    restarted.recall(json.loads(json.dumps(halted.told())))

    assert watched(counts[800:], through, 800) == watched(counts[800:], restarted, 800)
    assert through.told() == restarted.told()


def test_a_long_silence_is_caught_up_within_bounds() -> None:
    watch = RateWatch()
    watch.take(0.0)

    verdicts = watch.take(10 * 365 * 86_400.0)

    assert len(verdicts) <= CATCH_UP_INTERVALS + 1
    assert len(json.dumps(watch.told())) < 2_000


def test_what_comes_late_counts_for_the_interval_under_way() -> None:
    watch = RateWatch()
    watch.take(1000.0)
    watch.take(10.0)

    (verdict,) = watch.advance(1200.0)

    assert verdict.count == 2
