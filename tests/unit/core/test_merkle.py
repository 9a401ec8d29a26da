"""Trees, tiles and proofs on the vectors that every implementation of RFC 6962 is tested with."""

from __future__ import annotations

import hashlib

import pytest

from alertgraph.core.event import LEAF_PREFIX
from alertgraph.core.merkle import (
    EMPTY_ROOT,
    TILE_WIDTH,
    BrokenTreeError,
    TileAt,
    Tiles,
    consistency_spans,
    cut,
    edge_tiles,
    grown,
    inclusion_spans,
    is_consistent,
    root,
    root_from_inclusion,
    span_hash,
    width_of,
)

# From the tests of Certificate Transparency's reference implementation.
ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
LEAVES = [hashlib.sha256(LEAF_PREFIX + entry).digest() for entry in ENTRIES]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
TREE = grown({}, 0, LEAVES)


def path(tiles: Tiles, index: int, size: int) -> list[str]:
    return [span_hash(tiles, span).hex() for span in inclusion_spans(index, size)]


def between(tiles: Tiles, earlier: int, size: int) -> list[str]:
    return [span_hash(tiles, span).hex() for span in consistency_spans(earlier, size)]


@pytest.mark.parametrize("size", range(len(ROOTS)))
def test_roots_are_those_of_the_vectors(size: int) -> None:
    assert root(TREE, size).hex() == ROOTS[size]


@pytest.mark.parametrize(
    ("index", "size", "expected"),
    [
        (0, 1, []),
        (
            0,
            8,
            [
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5,
            8,
            [
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
        (
            1,
            5,
            [
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ],
)
def test_inclusion_proofs_are_those_of_the_vectors(index: int, size: int, expected: list[str]) -> None:
    assert path(TREE, index, size) == expected


@pytest.mark.parametrize(
    ("earlier", "size", "expected"),
    [
        (1, 1, []),
        (
            1,
            8,
            [
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            6,
            8,
            [
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (
            2,
            5,
            [
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ],
)
def test_consistency_proofs_are_those_of_the_vectors(earlier: int, size: int, expected: list[str]) -> None:
    assert between(TREE, earlier, size) == expected


def test_the_proofs_of_the_rfc_are_of_the_nodes_it_draws() -> None:
    # RFC 6962, 2.1.3: the tree of seven leaves d0 to d6 with its nodes a to l.
    d = LEAVES[:7]
    a, b, c, e, f, j = d[0], d[1], d[2], d[3], d[4], d[6]
    g, h = span_hash(TREE, (0, 2)), span_hash(TREE, (2, 4))
    i, k, l_ = span_hash(TREE, (4, 6)), span_hash(TREE, (0, 4)), span_hash(TREE, (4, 7))

    assert path(TREE, 0, 7) == [node.hex() for node in (b, h, l_)]
    assert path(TREE, 3, 7) == [node.hex() for node in (c, g, l_)]
    assert path(TREE, 4, 7) == [node.hex() for node in (d[5], j, k)]
    assert path(TREE, 6, 7) == [node.hex() for node in (i, k)]
    assert between(TREE, 3, 7) == [node.hex() for node in (c, e, g, l_)]
    assert between(TREE, 4, 7) == [l_.hex()]
    assert between(TREE, 6, 7) == [node.hex() for node in (i, j, k)]
    assert a != f


def test_a_tree_of_nothing() -> None:
    assert root({}, 0) == EMPTY_ROOT
    assert edge_tiles(0) == []
    assert consistency_spans(0, 8) == ()
    assert is_consistent(0, 8, EMPTY_ROOT, root(TREE, 8), [])
    assert not is_consistent(0, 8, EMPTY_ROOT, root(TREE, 8), [LEAVES[0]])
    assert not is_consistent(0, 8, LEAVES[0], root(TREE, 8), [])
    assert root_from_inclusion(0, 0, LEAVES[0], []) is None


@pytest.mark.parametrize("size", [255, 256, 257, 65_535, 65_536, 65_537])
def test_tiles_are_filled_before_the_next_level_begins(size: int) -> None:
    leaf = LEAVES[0]
    tiles = grown({}, 0, [leaf] * size)

    full, rest = divmod(size, TILE_WIDTH)
    assert len(tiles[TileAt(0, max(0, full - (rest == 0)))]) == (rest or TILE_WIDTH) * 32
    assert (TileAt(1, 0) in tiles) == (full > 0)
    assert (TileAt(2, 0) in tiles) == (size >= TILE_WIDTH * TILE_WIDTH)
    for at, hashes in tiles.items():
        assert len(hashes) == width_of(at, size) * 32
    assert set(edge_tiles(size)) == {at for at, hashes in tiles.items() if len(hashes) < TILE_WIDTH * 32}


def test_what_a_tile_lacks_is_told() -> None:
    tiles = {TileAt(0, 0): TREE[TileAt(0, 0)][:-1]}

    with pytest.raises(BrokenTreeError, match="Tile 0 of level 0"):
        root(tiles, 8)
    with pytest.raises(BrokenTreeError):
        grown({}, 8, LEAVES)


def test_a_tree_can_be_cut() -> None:
    assert root(cut(TREE, 5), 5).hex() == ROOTS[5]
    assert cut(TREE, 0) == {TileAt(0, 0): b""}
    with pytest.raises(BrokenTreeError):
        root(cut(TREE, 5), 6)
