from __future__ import annotations

import pytest

np = pytest.importorskip("numpy", reason="the extra ml is not installed")
torch = pytest.importorskip("torch", reason="the extra ml is not installed")

from alertgraph.ml.attribution import Baseline, attribute  # noqa: E402
from alertgraph.ml.evaluation.measures import auroc  # noqa: E402
from alertgraph.ml.features import FeatureRow  # noqa: E402
from alertgraph.ml.model import (  # noqa: E402
    Examples,
    Fitting,
    ModelShape,
    NeuralModel,
    number_edges,
    time_quantile,
    time_targets,
)
from tests.unit.ml.small import SCHEMA  # noqa: E402

EDGES = (1.0, 4.0, 16.0)
SHAPE = ModelShape(
    number_count=len(SCHEMA.number_names()),
    field_count=len(SCHEMA.fields) + len(SCHEMA.crosses),
    word_count=SCHEMA.token_count,
    bucket_count=SCHEMA.bucket_count,
    questions=("late", "breach"),
    time_edges=EDGES,
    hidden_size=32,
    embedding_size=4,
    head_count=4,
)


def examples(count: int = 1_200, seed: int = 1) -> Examples:
    """Return rows where a number decides `late`, a token decides `breach`, and the number the hours."""
    draw = np.random.default_rng(seed)
    numbers = draw.normal(size=(count, SHAPE.number_count)).astype(np.float32)
    tokens = draw.integers(1, 12, (count, SHAPE.field_count + SHAPE.word_count)).astype(np.int32)
    late = (numbers[:, 3] + 0.3 * draw.normal(size=count) > 0).astype(float)
    breach = (tokens[:, 1] % 2).astype(float)
    hours = np.exp(numbers[:, 3].astype(float))
    return Examples(
        numbers, tokens, np.column_stack([late, breach]), hours, np.ones(count, dtype=bool), np.ones(count)
    )


@pytest.fixture(scope="module")
def fitted() -> NeuralModel:
    torch.set_num_threads(1)
    model = NeuralModel(SHAPE, seed=5)
    model.fit(examples(), Fitting(epochs=15, batch_size=64, rate=5e-3, seed=5))
    return model


def test_it_learns_from_numbers_and_from_tokens(fitted: NeuralModel) -> None:
    fresh = examples(600, seed=2)

    said = fitted.answers(fresh.numbers, fresh.tokens).probabilities

    assert auroc(fresh.answers[:, 0], said["late"]) > 0.95
    assert auroc(fresh.answers[:, 1], said["breach"]) > 0.9


def test_the_same_seed_gives_the_same_bits() -> None:
    some = examples(300)
    models = [NeuralModel(SHAPE, seed=5) for _ in range(2)]
    for model in models:
        model.fit(some, Fitting(epochs=2, seed=9))
        # What others draw in between changes nothing.
        torch.rand(3)

    one, other = (model.answers(some.numbers, some.tokens).probabilities["late"] for model in models)

    assert one.tobytes() == other.tobytes()


def test_an_unknown_answer_teaches_nothing() -> None:
    known = examples(300)
    unknown = Examples(
        known.numbers, known.tokens, np.full((300, 2), np.nan), np.full(300, np.nan), known.ended, known.weights
    )
    model = NeuralModel(SHAPE, seed=5)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}

    model.learn(unknown, Fitting(epochs=1, decay=0.0))

    assert all(torch.equal(before[name], tensor) for name, tensor in model.network.state_dict().items())


def test_a_copy_learns_alone(fitted: NeuralModel) -> None:
    some = examples(200, seed=4)
    before = fitted.answers(some.numbers, some.tokens).probabilities["late"]

    candidate = fitted.copy()
    candidate.learn(some, Fitting(epochs=1))

    assert (fitted.answers(some.numbers, some.tokens).probabilities["late"] == before).all()
    assert (candidate.answers(some.numbers, some.tokens).probabilities["late"] != before).any()


def test_the_order_of_a_batch_changes_no_answer(fitted: NeuralModel) -> None:
    some = examples(64, seed=6)

    together = fitted.answers(some.numbers, some.tokens).probabilities["late"]
    alone = fitted.answers(some.numbers[10:11], some.tokens[10:11]).probabilities["late"]

    assert together[10] == pytest.approx(alone[0], abs=1e-5)


def test_no_rows_have_no_answers(fitted: NeuralModel) -> None:
    none = examples(1).at(np.zeros(1, dtype=bool))

    assert fitted.answers(none.numbers, none.tokens).probabilities["late"].shape == (0,)


def test_survival_falls_and_follows_what_decides_the_time(fitted: NeuralModel) -> None:
    fresh = examples(400, seed=7)
    survival = fitted.answers(fresh.numbers, fresh.tokens).survival

    assert survival is not None
    assert (np.diff(survival, axis=1) <= 0).all()
    middle = time_quantile(survival, EDGES, 0.5)
    assert auroc((fresh.hours > 1).astype(float), np.minimum(middle, 100)) > 0.9


def test_what_is_still_open_counts_as_long_as_it_was_open() -> None:
    hours = np.array([0.5, 5.0, 5.0, 100.0, np.nan])
    ended = np.array([True, True, False, True, False])

    happened, passed = time_targets(hours, ended, EDGES)

    assert happened.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert passed.tolist() == [[1, 0, 0], [1, 1, 1], [1, 1, 0], [1, 1, 1], [0, 0, 0]]


def test_quantiles_of_time_lie_between_the_edges_that_hold_them() -> None:
    survival = np.array([[0.9, 0.4, 0.1], [1.0, 1.0, 0.9]])

    middle = time_quantile(survival, EDGES, 0.5)

    assert EDGES[0] < middle[0] < EDGES[1]
    assert middle[1] == np.inf


def test_edges_rise_even_where_a_number_never_changes() -> None:
    numbers = np.column_stack([np.zeros(50), np.arange(50), np.r_[np.zeros(49), 3.0]]).astype(np.float32)

    edges = number_edges(numbers, 4)

    assert (edges[:, -1] > edges[:, 0]).all()
    assert (np.diff(edges, axis=1) >= 0).all()


@pytest.mark.parametrize("question", ["late", "breach"])
def test_contributions_add_up_to_what_they_explain(fitted: NeuralModel, question: str) -> None:
    some = examples(20, seed=8)
    baseline = Baseline.of(examples().numbers)

    for place in range(20):
        row = FeatureRow(some.numbers[place], some.tokens[place])
        told = attribute(fitted, SCHEMA, row, question, baseline)
        assert told.gap < 0.01


def test_the_largest_contribution_is_what_decides(fitted: NeuralModel) -> None:
    some = examples(200, seed=9)
    row = int(np.argmax(some.numbers[:, 3]))

    told = attribute(
        fitted, SCHEMA, FeatureRow(some.numbers[row], some.tokens[row]), "late", Baseline.of(some.numbers)
    )

    first = told.contributions[0]
    assert first.name == SCHEMA.number_names()[3]
    assert first.sentence().endswith("makes it likelier")


def test_the_usual_alert_has_nothing_to_explain(fitted: NeuralModel) -> None:
    baseline = Baseline.of(examples().numbers)
    usual = FeatureRow(baseline.numbers, np.zeros(SHAPE.field_count + SHAPE.word_count, dtype=np.int32))

    told = attribute(fitted, SCHEMA, usual, "late", baseline)

    assert max(abs(part.weight) for part in told.contributions) < 1e-6
