from __future__ import annotations

import pytest

np = pytest.importorskip("numpy", reason="the extra ml is not installed")

from alertgraph.ml.blend import choose_blend  # noqa: E402
from alertgraph.ml.calibration import (  # noqa: E402
    Conformal,
    ConformalRange,
    Platt,
    Verdict,
    choose_abstention,
    expit,
    fit_platt,
    logit,
)
from alertgraph.ml.evaluation.measures import calibration_error, log_loss  # noqa: E402


def told(count: int, slope: float = 1.0, shift: float = 0.0, seed: int = 3) -> tuple[object, object]:
    """Return labels, and probabilities whose logits are off by a line."""
    draw = np.random.default_rng(seed)
    truth = draw.normal(-0.5, 1.5, count)
    labels = (draw.random(count) < expit(truth)).astype(float)
    return labels, expit((truth - shift) / slope)


def test_logit_and_expit_undo_each_other() -> None:
    probabilities = np.array([1e-5, 0.2, 0.5, 0.999])

    assert np.allclose(expit(logit(probabilities)), probabilities, rtol=1e-9)
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()


def test_platt_finds_the_line_that_probabilities_are_off_by() -> None:
    labels, said = told(20_000, slope=0.5, shift=1.0)

    platt = fit_platt(labels, said)

    assert platt.slope == pytest.approx(0.5, abs=0.05)
    assert platt.shift == pytest.approx(1.0, abs=0.08)
    assert calibration_error(labels, platt(said)) < 0.02 < calibration_error(labels, said)
    assert log_loss(labels, platt(said)) < log_loss(labels, said)


def test_without_outcomes_a_tenant_is_calibrated_as_all_are() -> None:
    everyone = Platt(0.7, -0.4, 1_000.0)

    assert fit_platt(np.zeros(0), np.zeros(0), towards=everyone) is everyone


def test_few_outcomes_move_calibration_less_than_many() -> None:
    everyone = Platt(1.0, 0.0)
    moved = []
    for count in (5, 50, 20_000):
        labels, said = told(count, shift=2.0)
        moved.append(fit_platt(labels, said, towards=everyone).shift)

    assert moved[0] < moved[1] < moved[2]
    # Certainty is held a millionth away, so the furthest are drawn in.
    assert moved[2] == pytest.approx(2.0, abs=0.25)


def test_calibration_keeps_the_order_even_of_labels_that_are_upside_down() -> None:
    labels, said = told(2_000)

    platt = fit_platt(1.0 - labels, said)

    assert platt.slope > 0
    assert (np.diff(platt(np.sort(said))) >= 0).all()


def test_an_outcome_half_believed_counts_as_half_of_each() -> None:
    said = np.full(400, 0.9)

    platt = fit_platt(np.full(400, 0.5), said, strength=1.0)

    assert float(platt(said)[0]) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("miss_rate", [0.05, 0.1, 0.2])
def test_conformal_sets_hold_the_truth_as_often_as_agreed(miss_rate: float) -> None:
    labels, said = told(6_000, slope=0.4)
    conformal = Conformal(miss_rate)
    for label, probability in zip(labels[:2_000], said[:2_000], strict=True):
        conformal.learn(float(probability), float(label))

    verdicts = conformal.verdicts(said[2_000:])

    wrong = [
        verdict is not Verdict.UNSURE and (verdict is Verdict.YES) != bool(label)
        for verdict, label in zip(verdicts, labels[2_000:], strict=True)
    ]
    # However badly calibrated the probabilities are.
    assert float(np.mean(wrong)) <= miss_rate + 0.02


def test_nothing_is_certain_before_anything_is_known() -> None:
    conformal = Conformal(0.1)
    conformal.learn(0.99, 1.0)

    assert conformal.verdicts(np.array([0.001, 0.5, 0.999])) == [Verdict.UNSURE] * 3


def test_conformal_remembers_the_last_ones_only_and_is_restored() -> None:
    conformal = Conformal(0.1, kept_max=50)
    for _ in range(50):
        conformal.learn(0.01, 1.0)
    for _ in range(50):
        conformal.learn(0.99, 1.0)
    other = Conformal(0.1, kept_max=50)

    other.restore(conformal.kept())

    assert conformal.verdicts(np.array([0.999])) == [Verdict.YES]
    assert other.limits() == conformal.limits()


def test_what_is_half_believed_widens_what_is_unsure() -> None:
    labels, said = told(3_000)
    known, believed = Conformal(0.2), Conformal(0.2)
    for label, probability in zip(labels, said, strict=True):
        known.learn(float(probability), float(label))
        believed.learn(float(probability), 0.25 + 0.5 * float(label))

    assert believed.limits()[0] > known.limits()[0]


def test_by_class_the_rare_answer_is_held_as_well() -> None:
    draw = np.random.default_rng(5)
    labels = (draw.random(4_000) < 0.05).astype(float)
    said = expit(draw.normal(-3, 1, 4_000) + 2.0 * labels)
    missed = {}
    for by_class in (False, True):
        conformal = Conformal(0.1, by_class=by_class)
        for label, probability in zip(labels[:2_000], said[:2_000], strict=True):
            conformal.learn(float(probability), float(label))
        verdicts = conformal.verdicts(said[2_000:][labels[2_000:] > 0.5])
        missed[by_class] = np.mean([verdict is Verdict.NO for verdict in verdicts])

    assert missed[True] < 0.2 < missed[False]


def test_ranges_are_widened_until_they_hold_what_they_should() -> None:
    draw = np.random.default_rng(7)
    values = draw.normal(0, 2, 3_000)
    ranges = ConformalRange(0.2)
    for value in values[:1_500]:
        ranges.learn(-0.5, 0.5, float(value))

    widened = ranges.widened_by()

    assert np.mean(np.abs(values[1_500:]) <= 0.5 + widened) == pytest.approx(0.8, abs=0.04)


def test_abstention_commits_on_what_is_right_often_enough() -> None:
    labels, said = told(8_000)

    chosen = choose_abstention(labels[:4_000], said[:4_000], 0.95)
    commits = chosen.commits(said[4_000:])

    right = ((said[4_000:] >= 0.5) == (labels[4_000:] > 0.5))[commits]
    assert 0.02 < chosen.coverage < 0.6
    assert right.mean() >= 0.93
    assert commits.mean() == pytest.approx(chosen.coverage, abs=0.05)


def test_a_lucky_streak_opens_nothing() -> None:
    chosen = choose_abstention(np.ones(20), np.full(20, 0.9))

    assert not chosen.commits(np.array([0.0, 1.0])).any()


def test_the_blend_leans_on_who_was_right() -> None:
    labels, good = told(3_000)
    noise = expit(np.random.default_rng(11).normal(0, 2, 3_000))

    blend = choose_blend(labels, {"good": good, "noise": noise}, np.ones(3_000))

    assert blend.weights["good"] == 1.0
    assert log_loss(labels, blend({"good": good, "noise": noise})) <= log_loss(labels, good) + 1e-3


def test_with_few_outcomes_all_models_count_the_same() -> None:
    labels, good = told(30)

    blend = choose_blend(labels, {"a": good, "b": 1 - good}, np.ones(30))

    assert blend.weights == {"a": 0.5, "b": 0.5}
