"""Versions are held against each other for as long as it takes, and chance alone decides nothing."""

from __future__ import annotations

import pytest

np = pytest.importorskip("numpy", reason="the extra ml is not installed")

from alertgraph.ml.watch import OUTCOMES_MIN, Bet, Duel, PageHinkley, Shares  # noqa: E402


def test_chance_convinces_nobody_however_long_one_looks() -> None:
    draw = np.random.default_rng(1)
    convinced = 0
    for _ in range(200):
        bet = Bet()
        for value in draw.normal(0.0, 0.5, 1_000):
            bet.learn(float(value))
        convinced += bet.is_convinced

    # One in twenty at most, and far fewer of bets that are cautious.
    assert convinced <= 10


def test_a_true_difference_convinces() -> None:
    draw = np.random.default_rng(2)
    bet = Bet()
    for value in draw.normal(0.1, 0.4, 600):
        bet.learn(float(value))

    assert bet.is_convinced


def duel(better: float, shift: float = 0.0, count: int = 800) -> Duel:
    """Return a duel whose other version loses less by so much, and is off by `shift`."""
    draw = np.random.default_rng(3)
    found = Duel()
    for _ in range(count):
        label = float(draw.random() < 0.5)
        noise = float(draw.normal(0.0, 0.2))
        found.learn(label, 0.5, 0.5 + shift, 0.7 + noise, 0.7 + noise - better)
    return found


def test_a_better_version_is_promoted_not_before_its_time() -> None:
    assert duel(0.1, count=OUTCOMES_MIN - 1).promotes() is None
    assert duel(0.1).promotes() is not None
    assert duel(0.1).gives_up() is None


def test_a_badly_calibrated_version_is_not_promoted() -> None:
    assert duel(0.1, shift=0.15).promotes() is None


def test_a_worse_version_is_given_up() -> None:
    assert duel(-0.1).promotes() is None
    assert duel(-0.1).gives_up() is not None


def test_the_version_in_use_is_worse_by_sigmas_only_where_it_is() -> None:
    assert duel(0.0).sigmas_worse() == 0.0
    assert duel(0.1, count=100).sigmas_worse() == 0.0
    assert duel(0.1).sigmas_worse() > 3


def test_a_duel_goes_on_from_what_was_kept() -> None:
    one = duel(0.05)
    again = Duel.restored(one.kept())

    assert again.kept() == one.kept()


def test_a_rise_is_told_once_and_steadiness_never() -> None:
    draw = np.random.default_rng(4)
    series = PageHinkley()
    steady = [series.learn(float(value)) for value in draw.normal(0.4, 0.3, 2_000)]
    risen = [series.learn(float(value)) for value in draw.normal(0.9, 0.3, 300)]

    assert not any(steady)
    assert sum(risen) == 1


def test_inputs_that_stay_the_same_have_a_small_index() -> None:
    draw = np.random.default_rng(5)
    shares = Shares()
    for value in draw.random(3_000):
        shares.learn(float(value))
    before = shares.index()
    for value in draw.random(1_500) * 0.3:
        shares.learn(float(value))

    assert before < 0.1
    assert shares.index() > 0.25
