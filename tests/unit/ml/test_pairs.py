import pytest

np = pytest.importorskip("numpy", reason="the extra ml is not installed")
torch = pytest.importorskip("torch", reason="the extra ml is not installed")

from alertgraph.core.correlation import Arrival, CandidateIndex  # noqa: E402
from alertgraph.ml.pair_features import NUMBER_NAMES, RULE_BUCKETS, pair_numbers, pair_rules, rule_bucket  # noqa: E402
from alertgraph.ml.pair_model import PairModel  # noqa: E402
from alertgraph.ml.train.pairs import LabelledPairs, fit_pairs, joined, thinned  # noqa: E402

torch.set_num_threads(1)


def facts_of(count: int = 6):
    index = CandidateIndex()
    for number in range(count):
        index.take(Arrival(f"a{number}", 10.0 * number, f"rule{number}", f"host{number % 3}"))
    arrival = Arrival("last", 10.0 * count, "rule1", "host1")
    return arrival, index.take(arrival)


def some_pairs(count: int = 600, seed: int = 0) -> LabelledPairs:
    """Pairs that belong together where their gap is short and both are of kind 3."""
    draw = np.random.default_rng(seed)
    numbers = draw.normal(size=(count, len(NUMBER_NAMES))).astype(np.float32)
    rules = draw.integers(3, 5, (count, 2))
    gap = numbers[:, NUMBER_NAMES.index("log_gap")]
    together = ((gap < 0) & (rules == 3).all(1)).astype(np.float32)
    return LabelledPairs(numbers, rules, together, draw.integers(0, 5, count))


def test_numbers_are_finite_and_named() -> None:
    arrival, facts = facts_of()

    numbers, rules = pair_numbers(facts), pair_rules(arrival, facts)

    assert numbers.shape == (6, len(NUMBER_NAMES))
    assert numbers.dtype == np.float32
    assert np.isfinite(numbers).all()
    assert rules[:, 0].tolist() == [rule_bucket("rule1")] * 6
    assert 0 <= rules.min() <= rules.max() < RULE_BUCKETS
    same_entity = numbers[:, NUMBER_NAMES.index("relation_entity")]
    assert same_entity.tolist() == [float(fact.earlier.entity == "host1") for fact in facts]
    same_key = numbers[:, NUMBER_NAMES.index("same_key")]
    assert same_key.sum() == 1


def test_no_candidates_make_no_rows() -> None:
    arrival, _ = facts_of(0)

    assert pair_numbers([]).shape == (0, len(NUMBER_NAMES))
    assert pair_rules(arrival, []).shape == (0, 2)


def test_the_scorer_learns_what_belongs_together() -> None:
    model = fit_pairs(some_pairs(4000), seed=0, member_count=1, epoch_count=8, batch_size=64)
    fresh = some_pairs(1000, seed=1)

    scores = model.score(fresh.numbers, fresh.rules)

    assert scores[fresh.together > 0.5].mean() > 0.6
    assert scores[fresh.together < 0.5].mean() < 0.2


def test_the_same_seed_gives_the_same_scorer_and_it_can_be_kept() -> None:
    first, second = (fit_pairs(some_pairs(), seed=3, member_count=2, epoch_count=1) for _ in range(2))
    kept = PairModel.of(first.arrays(), member_count=2)
    pairs = some_pairs(50, seed=2)

    assert first.score(pairs.numbers, pairs.rules).tolist() == second.score(pairs.numbers, pairs.rules).tolist()
    assert kept.score(pairs.numbers, pairs.rules).tolist() == first.score(pairs.numbers, pairs.rules).tolist()


def test_arrays_of_another_form_are_refused() -> None:
    arrays = PairModel(1).arrays()
    arrays["mean"] = np.zeros(3, np.float32)

    with pytest.raises(RuntimeError):
        PairModel.of(arrays, 1)


def test_it_is_small() -> None:
    count = sum(parameter.numel() for parameter in PairModel(1).parameters())

    assert count < 9500


def test_a_flood_of_pairs_of_one_incident_does_not_decide_everything() -> None:
    pairs = some_pairs(10_000)
    flood = LabelledPairs(
        pairs.numbers, pairs.rules, np.ones(10_000, np.float32), (np.arange(10_000) < 100).astype(np.int64)
    )

    chosen, weights = thinned(flood, 200, seed=0)

    small = chosen.groups == 1
    assert small.sum() == 100
    assert (~small).sum() < 400
    assert weights[~small].sum() / weights[small].sum() == pytest.approx(np.sqrt(9900 / 100), rel=0.2)


def test_groups_of_different_sources_stay_apart() -> None:
    one, other = some_pairs(100), some_pairs(100, seed=1)

    both = joined([one, other])

    assert len(both) == 200
    assert not set(both.groups[:100]) & set(both.groups[100:])
