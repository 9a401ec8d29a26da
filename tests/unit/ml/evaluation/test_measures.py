from __future__ import annotations

import math

import pytest

np = pytest.importorskip("numpy", reason="the extra ml is not installed")

from alertgraph.ml.evaluation import measures  # noqa: E402

LABELS = np.array([1.0, 0.0, 1.0, 0.0, 0.0])
SCORES = np.array([0.9, 0.8, 0.4, 0.4, 0.1])


def test_auroc_counts_ties_half() -> None:
    assert measures.auroc(LABELS, SCORES) == pytest.approx((3 + 1.5) / 6)


def test_auprc_takes_ties_together() -> None:
    assert measures.auprc(LABELS, SCORES) == pytest.approx(0.5 * 1.0 + 0.5 * 0.5)


def test_rankings_agree_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="the extra ml is not installed")
    draw = np.random.default_rng(1)
    labels = (draw.random(500) < 0.2).astype(float)
    scores = np.round(draw.random(500) + 0.3 * labels, 2)

    assert measures.auroc(labels, scores) == pytest.approx(metrics.roc_auc_score(labels, scores))
    assert measures.auprc(labels, scores) == pytest.approx(metrics.average_precision_score(labels, scores))
    probabilities = np.clip(scores, 0.01, 0.99)
    assert measures.log_loss(labels, probabilities) == pytest.approx(metrics.log_loss(labels, probabilities))


def test_a_ranking_of_one_class_is_no_number() -> None:
    assert math.isnan(measures.auroc(np.zeros(3), np.arange(3.0)))
    assert math.isnan(measures.auprc(np.zeros(3), np.arange(3.0)))


def test_calibration_error_is_the_gap_of_what_was_said_and_what_was() -> None:
    assert measures.calibration_error(np.array([1.0, 0.0]), np.array([0.7, 0.7])) == pytest.approx(0.2)
    assert measures.calibration_error(np.array([1.0, 1.0]), np.array([1.0, 1.0])) == 0.0


def test_majority_and_balance() -> None:
    assert measures.majority_accuracy(LABELS) == pytest.approx(0.6)
    assert measures.accuracy(LABELS, SCORES) == pytest.approx(0.6)
    assert measures.balanced_accuracy(LABELS, SCORES) == pytest.approx((0.5 + 2 / 3) / 2)


def test_intervals_hold_the_figure_and_are_drawn_by_unit() -> None:
    draw = np.random.default_rng(2)
    labels = np.repeat((draw.random(40) < 0.4).astype(float), 10)
    scores = labels + draw.normal(size=400)
    alone, together = np.arange(400), np.repeat(np.arange(40), 10)

    by_row = measures.bootstrap(measures.auroc, labels, scores, alone, 200, 1)
    by_unit = measures.bootstrap(measures.auroc, labels, scores, together, 200, 1)

    assert by_row.low < measures.auroc(labels, scores) < by_row.high
    assert by_row == measures.bootstrap(measures.auroc, labels, scores, alone, 200, 1)
    # Rows of one unit say the same thing ten times: less is known of a share.
    share = [
        measures.bootstrap(lambda rows, _: float(rows.mean()), labels, scores, units, 200, 1)
        for units in (alone, together)
    ]
    assert share[1].high - share[1].low > 2 * (share[0].high - share[0].low)
    assert by_unit.low < by_unit.high
