from __future__ import annotations

import pytest

np = pytest.importorskip("numpy", reason="the extra ml is not installed")
pytest.importorskip("sklearn", reason="the extra ml is not installed")

from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: E402

from alertgraph.ml.companions import (  # noqa: E402
    Linear,
    TreeFitting,
    Trees,
    _plain,
    both_ways,
    fit_linear,
    fit_trees,
)
from alertgraph.ml.evaluation.measures import auroc  # noqa: E402

BUCKETS = 64


def rows(count: int = 1_500, seed: int = 1) -> tuple[object, object, object]:
    draw = np.random.default_rng(seed)
    numbers = draw.normal(size=(count, 5)).astype(np.float32)
    tokens = draw.integers(1, BUCKETS, (count, 3)).astype(np.int32)
    answers = ((numbers[:, 0] > 0) ^ (numbers[:, 1] > 0.5)).astype(float)
    return numbers, tokens, answers


def test_plain_trees_say_what_scikit_learns_say() -> None:
    numbers, _, answers = rows()
    theirs = HistGradientBoostingClassifier(max_iter=30, random_state=1).fit(numbers, answers)

    ours = _plain(theirs)

    fresh = rows(3_000, seed=2)[0]
    assert np.allclose(ours.probabilities(fresh), theirs.predict_proba(fresh)[:, 1], atol=1e-9)


def test_trees_find_what_no_line_can() -> None:
    numbers, tokens, answers = rows()
    fresh, fresh_tokens, truth = rows(seed=2)

    trees = fit_trees(numbers, answers, np.ones(len(answers)), TreeFitting(tree_count=60))
    linear = fit_linear(numbers, tokens, answers, np.ones(len(answers)), BUCKETS)

    assert auroc(truth, trees.probabilities(fresh)) > 0.95
    assert auroc(truth, linear.probabilities(fresh, fresh_tokens)) < 0.8


def test_a_line_finds_tokens() -> None:
    numbers, tokens, _ = rows()
    answers = (tokens[:, 0] % 2).astype(float)

    linear = fit_linear(numbers, tokens[:, :1], answers, np.ones(len(answers)), BUCKETS)

    assert auroc(answers, linear.probabilities(numbers, tokens[:, :1])) > 0.99


@pytest.mark.parametrize("answer", [0.0, 1.0])
def test_where_all_answers_are_the_same_that_is_the_answer(answer: float) -> None:
    numbers, tokens, _ = rows(50)
    answers, weights = np.full(50, answer), np.ones(50)

    trees = fit_trees(numbers, answers, weights, TreeFitting())
    linear = fit_linear(numbers, tokens, answers, weights, BUCKETS)

    assert np.abs(trees.probabilities(numbers) - answer).max() < 0.01
    assert np.abs(linear.probabilities(numbers, tokens) - answer).max() < 0.01


def test_half_an_answer_counts_as_half_of_each() -> None:
    places, said, shares = both_ways(np.array([1.0, 0.25, np.nan, 0.0]), np.array([1.0, 2.0, 1.0, 0.0]))

    assert sorted(zip(places.tolist(), said.tolist(), shares.tolist(), strict=True)) == [
        (0, 1.0, 1.0),
        (1, 0.0, 1.5),
        (1, 1.0, 0.5),
    ]


def test_what_is_kept_as_arrays_answers_the_same() -> None:
    numbers, tokens, answers = rows()
    trees = fit_trees(numbers, answers, np.ones(len(answers)), TreeFitting(tree_count=5))
    linear = fit_linear(numbers, tokens, answers, np.ones(len(answers)), BUCKETS)

    assert (Trees.from_arrays(trees.arrays(), 5).logits(numbers) == trees.logits(numbers)).all()
    read = Linear.from_arrays(linear.arrays(), 5, BUCKETS)
    assert (read.logits(numbers, tokens) == linear.logits(numbers, tokens)).all()


@pytest.mark.parametrize("name", ["feature", "left", "right", "roots"])
def test_a_tree_that_points_outside_is_refused(name: str) -> None:
    numbers, _, answers = rows()
    arrays = fit_trees(numbers, answers, np.ones(len(answers)), TreeFitting(tree_count=2)).arrays()
    arrays[name] = arrays[name].copy()
    arrays[name][0] = 10_000

    with pytest.raises(ValueError, match=name):
        Trees.from_arrays(arrays, 5)


def test_cutting_into_levels_costs_little_of_what_trees_find() -> None:
    numbers, _, answers = rows(4_000)
    fresh, _, truth = rows(2_000, seed=2)
    fitting = TreeFitting(tree_count=60)
    theirs = HistGradientBoostingClassifier(
        max_iter=60, learning_rate=fitting.rate, max_leaf_nodes=15, min_samples_leaf=40, l2_regularization=1.0
    ).fit(numbers, answers)

    ours = fit_trees(numbers, answers, np.ones(len(answers)), fitting)

    assert auroc(truth, ours.probabilities(fresh)) > auroc(truth, theirs.predict_proba(fresh)[:, 1]) - 0.005
