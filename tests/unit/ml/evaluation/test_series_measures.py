import pytest

np = pytest.importorskip("numpy", reason="the extra ml is not installed")

from alertgraph.ml.evaluation.series_measures import (  # noqa: E402
    NAB_PROFILES,
    autocorrelation_period,
    nab_normalised,
    nab_probation,
    nab_raw,
    volume_under_pr,
)

STANDARD = NAB_PROFILES[0]
WINDOWS = ((300, 399), (700, 799))


@pytest.mark.parametrize("profile", NAB_PROFILES)
def test_nab_gives_nothing_for_silence_and_everything_for_the_first_points(profile) -> None:
    silent = nab_raw(1000, WINDOWS, [], profile)
    at_once = nab_raw(1000, WINDOWS, [300, 700], profile)

    assert nab_normalised(silent, 2, profile) == pytest.approx(0)
    assert nab_normalised(at_once, 2, profile) == pytest.approx(100)


def test_nab_pays_less_for_a_late_report_and_once_for_a_window() -> None:
    early, late = (nab_raw(1000, WINDOWS, [place, 700], STANDARD) for place in (300, 390))

    assert late < early
    assert nab_raw(1000, WINDOWS, [300, 310, 700], STANDARD) == early


def test_nab_charges_false_reports_more_the_farther_they_are_from_a_window() -> None:
    costs = [nab_raw(1000, WINDOWS, [300, place, 700], STANDARD) - 2 for place in (405, 450, 650)]

    assert 0 > costs[0] > costs[1] > costs[2] >= -STANDARD.false_positive


def test_nab_does_not_judge_the_first_part() -> None:
    assert nab_probation(1000) == 150
    assert nab_probation(100_000) == 750
    assert nab_raw(1000, WINDOWS, [149], STANDARD) == nab_raw(1000, WINDOWS, [], STANDARD)


def test_volume_is_one_for_truth_and_about_the_base_rate_for_chance() -> None:
    labels = np.zeros(2000, np.int64)
    labels[900:1100] = 1
    draw = np.random.default_rng(0)
    noise = draw.random(2000)

    assert volume_under_pr(labels, labels + noise * 1e-3, 0) == pytest.approx(1.0, abs=0.01)
    assert volume_under_pr(labels, noise, 100, 10) == pytest.approx(0.12, abs=0.04)
    assert volume_under_pr(labels, -labels + noise, 100, 10) < 0.1


def test_volume_forgives_a_report_beside_the_range_where_width_allows() -> None:
    labels = np.zeros(1000, np.int64)
    labels[500:550] = 1
    beside = np.zeros(1000)
    beside[551:601] = 1 + np.random.default_rng(0).random(50) * 1e-3

    assert volume_under_pr(labels, beside, 0) < 0.1
    assert volume_under_pr(labels, beside, 100, 100) > volume_under_pr(labels, beside, 0)


def test_the_period_is_the_lag_at_which_a_series_repeats() -> None:
    index = np.arange(3000)

    assert autocorrelation_period(np.sin(2 * np.pi * index / 48)) == 48
    assert autocorrelation_period(np.ones(500)) == 125
