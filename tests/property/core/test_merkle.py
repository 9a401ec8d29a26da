"""Laws of trees and proofs, against the definitions of RFC 6962 written down as they stand there."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from alertgraph.core.merkle import (
    TileAt,
    consistency_spans,
    cut,
    edge_tiles,
    grown,
    inclusion_spans,
    is_consistent,
    node_hash,
    root,
    root_from_inclusion,
    span_hash,
    tiles_of,
    width_of,
)

LEAF_COUNT_MAX = 600
LEAVES = [hashlib.sha256(b"\x00%d" % number).digest() for number in range(LEAF_COUNT_MAX)]
TREE = grown({}, 0, LEAVES)

sizes = st.integers(1, LEAF_COUNT_MAX) | st.sampled_from([1, 2, 255, 256, 257, 511, 512, 513])


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1."""
    if len(leaves) == 1:
        return leaves[0]
    split = naive_split(len(leaves))
    return node_hash(naive_root(leaves[:split]), naive_root(leaves[split:]))


def naive_path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 6962, 2.1.1."""
    if len(leaves) == 1:
        return []
    split = naive_split(len(leaves))
    if index < split:
        return [*naive_path(index, leaves[:split]), naive_root(leaves[split:])]
    return [*naive_path(index - split, leaves[split:]), naive_root(leaves[:split])]


def naive_proof(earlier: int, leaves: Sequence[bytes], *, is_known: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 6962, 2.1.2."""
    if earlier == len(leaves):
        return [] if is_known else [naive_root(leaves)]
    split = naive_split(len(leaves))
    if earlier <= split:
        return [*naive_proof(earlier, leaves[:split], is_known=is_known), naive_root(leaves[split:])]
    return [*naive_proof(earlier - split, leaves[split:], is_known=False), naive_root(leaves[:split])]


def naive_split(count: int) -> int:
    split = 1
    while split * 2 < count:
        split *= 2
    return split


@given(st.lists(st.integers(1, 300), min_size=1, max_size=6))
def test_however_it_grows_the_tree_is_the_same(steps: list[int]) -> None:
    tiles: dict[TileAt, bytes] = {}
    size = 0
    for step in steps:
        leaves = LEAVES[size : size + step]
        # No more than the edge is needed.
        edge = {at: tiles[at] for at in edge_tiles(size)}
        tiles.update(grown(edge, size, leaves))
        size += len(leaves)

        assert root({at: tiles[at] for at in edge_tiles(size)}, size) == naive_root(LEAVES[:size])
    assert tiles == {at: hashes for at, hashes in cut(TREE, size).items() if hashes}


@given(sizes, st.data())
def test_a_leaf_is_proved_from_few_tiles(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaves = LEAVES[:size]
    spans = inclusion_spans(index, size)
    few = {at: TREE[at][: width_of(at, size) * 32] for at in tiles_of(spans)}

    path = [span_hash(few, span) for span in spans]

    assert path == naive_path(index, leaves)
    assert root_from_inclusion(index, size, LEAVES[index], path) == naive_root(leaves)
    assert len(few) <= 2 * 2 + 1


@settings(max_examples=300)
@given(sizes, st.data())
def test_nothing_else_is_proved_of_a_leaf(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    path = [span_hash(TREE, span) for span in inclusion_spans(index, size)]
    whole = root(TREE, size)

    other_index = data.draw(st.integers(0, size))
    other_leaf = data.draw(st.sampled_from(LEAVES))
    if (other_index, other_leaf) != (index, LEAVES[index]):
        assert root_from_inclusion(other_index, size, other_leaf, path) != whole
    if path:
        at = data.draw(st.integers(0, len(path) - 1))
        changed = [*path[:at], hashlib.sha256(path[at]).digest(), *path[at + 1 :]]
        assert root_from_inclusion(index, size, LEAVES[index], changed) != whole
        assert root_from_inclusion(index, size, LEAVES[index], path[:at] + path[at + 1 :]) != whole
    assert root_from_inclusion(index, size, LEAVES[index], [*path, LEAVES[0]]) != whole


@given(sizes, st.data())
def test_a_later_tree_is_proved_to_begin_with_an_earlier_one(size: int, data: st.DataObject) -> None:
    earlier = data.draw(st.integers(1, size))
    spans = consistency_spans(earlier, size)
    few = {at: TREE[at][: width_of(at, size) * 32] for at in tiles_of(spans)}

    path = [span_hash(few, span) for span in spans]

    assert path == naive_proof(earlier, LEAVES[:size])
    assert is_consistent(earlier, size, root(TREE, earlier), root(TREE, size), path)


@settings(max_examples=300)
@given(sizes, st.data())
def test_no_other_tree_is_proved_to_be_an_earlier_one(size: int, data: st.DataObject) -> None:
    earlier = data.draw(st.integers(1, size))
    path = [span_hash(TREE, span) for span in consistency_spans(earlier, size)]
    before, now = root(TREE, earlier), root(TREE, size)

    assert not is_consistent(earlier, size, hashlib.sha256(before).digest(), now, path)
    assert not is_consistent(earlier, size, before, hashlib.sha256(now).digest(), path)
    assert not is_consistent(earlier, size, before, now, [*path, LEAVES[0]])
    assert not is_consistent(size + 1, size, before, now, path)
    if path:
        at = data.draw(st.integers(0, len(path) - 1))
        assert not is_consistent(earlier, size, before, now, path[:at] + path[at + 1 :])
        changed = [*path[:at], hashlib.sha256(path[at]).digest(), *path[at + 1 :]]
        assert not is_consistent(earlier, size, before, now, changed)
    # A log whose history was rewritten has no proof, however it is grown.
    rewritten = grown({}, 0, [hashlib.sha256(b"x").digest(), *LEAVES[1:size]])
    forged = [span_hash(rewritten, span) for span in consistency_spans(earlier, size)]
    assert not is_consistent(earlier, size, before, root(rewritten, size), forged)
