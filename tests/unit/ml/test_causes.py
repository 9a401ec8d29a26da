import pytest

np = pytest.importorskip("numpy", reason="the extra ml is not installed")

from alertgraph.ml.causes import alarm_signs, causal_edges, cause_scores  # noqa: E402

HOUR = 3600


def signs(rows, type_count=4, neighbours=None):
    types, devices, began, ended = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    return alarm_signs(types, devices, began, ended, neighbours or {}, type_count)


def a_chain(count: int = 60):
    """Type 0 brings 1 about after 20 s, 1 brings 2 after 40 s; type 3 comes when it likes."""
    draw = np.random.default_rng(0)
    rows = []
    for turn in range(count):
        start = turn * HOUR
        device = turn % 5
        rows += [(0, device, start, start + 1800), (1, device, start + 20, start + 300)]
        rows += [
            (2, device, start + 60, start + 61),
            (3, int(draw.integers(5)), start + int(draw.integers(HOUR)), start),
        ]
    return [(kind, device, start, max(start, end)) for kind, device, start, end in rows]


def test_a_chain_is_found_in_its_direction() -> None:
    edges = causal_edges(cause_scores(signs(a_chain())))

    assert edges[0, 1]
    assert edges[1, 2]
    assert not edges[1, 0]
    assert not edges[2, 1]
    assert edges.sum() == 3  # A quarter of twelve ordered pairs.


def test_no_type_causes_itself_and_no_edge_goes_both_ways() -> None:
    edges = causal_edges(cause_scores(signs(a_chain())), share=1.0)

    assert not edges.diagonal().any()
    assert not (edges & edges.T).any()


def test_chatter_counts_once() -> None:
    calm = [(0, 0, 0, 10), (1, 0, 50, 60)]
    chattering = calm + [(1, 0, 60 + 10 * turn, 61 + 10 * turn) for turn in range(20)]

    assert signs(chattering, 2).after.tolist() == signs(calm, 2).after.tolist()
    assert signs(chattering, 2).count[0].tolist() == [1, 1]


def test_what_comes_together_has_no_order() -> None:
    found = signs([(0, 0, 100, 100), (1, 0, 100, 100)], 2)

    assert found.after.sum() == 0


def test_a_neighbour_counts_and_a_stranger_does_not() -> None:
    rows = [(0, 1, 0, 10), (1, 2, 30, 40)]

    assert signs(rows, 2).after.sum() == 0
    assert signs(rows, 2, {2: {1}}).after[:, 0, 1].sum() == 1


def test_devices_drawn_again_count_again() -> None:
    found = signs(a_chain())

    twice = cause_scores(found, np.full(len(found.count), 2.0))

    assert twice.shape == (4, 4)
    assert causal_edges(twice).tolist() == causal_edges(cause_scores(found)).tolist()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_the_share_bounds_how_many_are_told(share) -> None:
    assert causal_edges(cause_scores(signs(a_chain())), share).sum() == min(6, int(share * 12))
