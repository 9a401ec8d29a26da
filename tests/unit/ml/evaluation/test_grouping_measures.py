import pytest

np = pytest.importorskip("numpy", reason="the extra ml is not installed")

from alertgraph.ml.evaluation.grouping_measures import (  # noqa: E402
    Linked,
    area,
    b_cubed,
    balanced_f,
    by_attack,
    macro_areas,
    sweep,
    thresholds_for,
)

NAMES = ("-", "scan.0.1", "scan.0.2", "crack.0.3")


def a_stream(labels, parents, scores) -> Linked:
    counts = np.zeros((len(labels), len(NAMES)))
    counts[np.arange(len(labels)), labels] = 1
    return Linked(counts, NAMES, np.array(parents), np.array(scores, np.float64))


def rates_by_pairs(stream: Linked, groups: np.ndarray, label: int, noise: bool) -> tuple[float, float]:
    """The definition, pair by pair: ordered pairs, each alert with itself among them."""
    labels = stream.counts.argmax(1)
    mine = np.flatnonzero(labels == label)
    others = np.flatnonzero((labels != label) & ((labels != 0) | noise))
    found = np.mean([groups[one] == groups[other] for one in mine for other in mine])
    apart = np.mean([groups[one] != groups[other] for one in mine for other in others])
    return float(found), float(apart)


def test_rates_are_what_counting_pairs_gives() -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 4, 60)
    parents = np.array([draw.integers(0, node) if node else -1 for node in range(60)])
    stream = a_stream(labels, parents, draw.random(60))
    threshold = 0.6

    rates = sweep(stream, np.array([threshold]))

    groups = np.arange(60)
    for node in range(60):
        if stream.scores[node] >= threshold and parents[node] >= 0:
            groups[node] = groups[parents[node]]
    for label in (1, 2, 3):
        assert rates.found[0, label] == pytest.approx(rates_by_pairs(stream, groups, label, noise=False)[0])
        assert rates.apart[0, label] == pytest.approx(rates_by_pairs(stream, groups, label, noise=False)[1])
        assert rates.apart_noise[0, label] == pytest.approx(rates_by_pairs(stream, groups, label, noise=True)[1])
        mine = np.flatnonzero(labels == label)
        purity = np.mean([np.mean(labels[groups == groups[one]] == label) for one in mine])
        assert rates.pure[0, label] == pytest.approx(purity)


def test_perfect_links_fill_the_area_and_chaining_everything_does_not() -> None:
    labels = [1, 3, 1, 3, 0, 1]
    perfect = a_stream(labels, [-1, -1, 0, 1, -1, 2], [-np.inf, -np.inf, 0.9, 0.9, -np.inf, 0.9])
    chained = a_stream(labels, [-1, 0, 1, 2, 3, 4], [-np.inf, 0.5, 0.5, 0.5, 0.5, 0.5])

    def areas(stream: Linked) -> tuple[float, float]:
        return macro_areas(by_attack([stream], [sweep(stream, thresholds_for([stream]))]))

    assert areas(perfect) == (1.0, 1.0)
    assert areas(chained)[0] < 0.6
    assert balanced_f(b_cubed(perfect, sweep(perfect, np.array([0.5])), 0)) == 1.0


def test_labels_are_averaged_up_their_hierarchy() -> None:
    stream = a_stream([1, 1, 2, 2, 3, 3], [-1, 0, -1, -1, -1, 4], [-np.inf, 0.9, -np.inf, -np.inf, -np.inf, 0.9])

    attacks = by_attack([stream], [sweep(stream, np.array([0.5]))])

    assert set(attacks) == {"scan", "crack"}
    assert attacks["scan"][0][0] == pytest.approx((1.0 + 0.5) / 2)
    assert attacks["crack"][0][0] == 1.0


def test_what_lies_between_two_thresholds_is_not_credited() -> None:
    assert area(np.array([0.5, 1.0]), np.array([1.0, 0.5])) == pytest.approx(0.5 * 0.5 + 1.0 * 0.5)
