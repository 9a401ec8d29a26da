"""The Merkle tree over a log's leaves (RFC 6962, RFC 9162), kept in tiles of 256 hashes (C2SP tlog-tiles).

A tile of level 0 holds leaves, and one of level n + 1 the roots of whole tiles of level n. A tile only grows until
it is whole, and is never changed then: so appending costs each event the same however long the log is, and a proof
about any tree there ever was reads a few tiles of the tree there is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

NODE_PREFIX = b"\x01"
HASH_BYTES = 32
TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
EMPTY_ROOT = hashlib.sha256(b"").digest()


class BrokenTreeError(Exception):
    """A tile is missing, or too short for the tree it is of."""


@dataclass(frozen=True, slots=True, order=True)
class TileAt:
    """Which tile: it holds roots of subtrees of 256 to the power of `level` leaves, from 256 × `index` on."""

    level: int
    index: int


Tiles: TypeAlias = Mapping[TileAt, bytes]
"""Tiles as they are kept: the hashes one after the other. More than a tree has of a tile does no harm."""

Span: TypeAlias = tuple[int, int]
"""Leaves from the first number to the second, which is not included."""


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(NODE_PREFIX + left + right).digest()


def width_of(at: TileAt, size: int) -> int:
    """Return how many hashes a tile has in a tree of that size: 0 to 256."""
    count = size >> (TILE_HEIGHT * at.level)
    return max(0, min(TILE_WIDTH, count - at.index * TILE_WIDTH))


# ------------------------------------------------------------------------------------------- growing


def edge_tiles(size: int) -> Sequence[TileAt]:
    """Return the tiles that a tree of that size has begun and not filled: what its root and its growth need."""
    begun = []
    level = 0
    while size >> (TILE_HEIGHT * level):
        count = size >> (TILE_HEIGHT * level)
        if count % TILE_WIDTH:
            begun.append(TileAt(level, count // TILE_WIDTH))
        level += 1
    return begun


def grown(tiles: Tiles, size: int, leaves: Iterable[bytes]) -> dict[TileAt, bytes]:
    """Return the tiles that are new or longer once leaves are appended.

    Args:
        tiles: Those of `edge_tiles(size)`.
        size: Of the tree before.
        leaves: Leaf hashes, in order.

    Raises:
        BrokenTreeError: A tile is not there or too short.
    """
    changed: dict[TileAt, bytes] = {}
    new = list(leaves)
    level = 0
    while new:
        count = size >> (TILE_HEIGHT * level)
        index, width = divmod(count, TILE_WIDTH)
        hashes = (_hashes(tiles, TileAt(level, index), 0, width) if width else b"") + b"".join(new)
        new = []
        tile_bytes = TILE_WIDTH * HASH_BYTES
        for start in range(0, len(hashes), tile_bytes):
            tile = hashes[start : start + tile_bytes]
            changed[TileAt(level, index)] = tile
            if len(tile) == tile_bytes:
                new.append(_folded(tile))
            index += 1
        level += 1
    return changed


def cut(tiles: Tiles, size: int) -> dict[TileAt, bytes]:
    """Return what a smaller tree has of each tile; of those that it has nothing of, no bytes."""
    return {at: hashes[: width_of(at, size) * HASH_BYTES] for at, hashes in tiles.items()}


# -------------------------------------------------------------------------------------------- hashes


def tiles_of(spans: Iterable[Span]) -> frozenset[TileAt]:
    """Return the tiles from which the hashes of these spans are made."""
    return frozenset(_entries(*subtree)[0] for span in spans for subtree in _subtrees(*span))


def root(tiles: Tiles, size: int) -> bytes:
    """Return the hash of a tree of that size, from the tiles of its edge; raises BrokenTreeError as `grown`."""
    return span_hash(tiles, (0, size)) if size else EMPTY_ROOT


def span_hash(tiles: Tiles, span: Span) -> bytes:
    """Return the hash of a subtree: that of a span that a proof is made of, from the tiles of `tiles_of`.

    Raises:
        BrokenTreeError: A tile is not there or too short.
    """
    hashes = [_subtree_hash(tiles, *subtree) for subtree in _subtrees(*span)]
    result = hashes.pop()
    while hashes:
        result = node_hash(hashes.pop(), result)
    return result


def _subtrees(start: int, end: int) -> Iterable[tuple[int, int]]:
    """Yield the whole subtrees that a span consists of, by height and index, the largest first.

    A span of a proof begins at a multiple of a power of two that is no smaller than its length.
    """
    while start < end:
        height = (end - start).bit_length() - 1
        yield height, start >> height
        start += 1 << height


def _entries(height: int, index: int) -> tuple[TileAt, int, int]:
    """Return in which tile the hashes of a subtree's parts are, at which place, and how many."""
    level, rest = divmod(height, TILE_HEIGHT)
    first = index << rest
    return TileAt(level, first // TILE_WIDTH), first % TILE_WIDTH, 1 << rest


def _subtree_hash(tiles: Tiles, height: int, index: int) -> bytes:
    at, first, count = _entries(height, index)
    return _folded(_hashes(tiles, at, first, count))


def _hashes(tiles: Tiles, at: TileAt, first: int, count: int) -> bytes:
    found = tiles.get(at, b"")[first * HASH_BYTES : (first + count) * HASH_BYTES]
    if len(found) != count * HASH_BYTES:
        raise BrokenTreeError(f"Tile {at.index} of level {at.level} has fewer than {first + count} of its hashes.")
    return found


def _folded(hashes: bytes) -> bytes:
    """Return the root over as many hashes as a power of two."""
    sha256 = hashlib.sha256
    pair = 2 * HASH_BYTES
    while len(hashes) > HASH_BYTES:
        hashes = b"".join(
            [sha256(NODE_PREFIX + hashes[at : at + pair]).digest() for at in range(0, len(hashes), pair)]
        )
    return hashes


# -------------------------------------------------------------------------------------------- proofs


def inclusion_spans(index: int, size: int) -> Sequence[Span]:
    """Return the spans whose hashes prove that a leaf is in the tree of a size, from the leaf up.

    Args:
        index: Of the leaf, from 0.
        size: Of the tree; larger than `index`.
    """
    assert 0 <= index < size, "a leaf of the tree"
    spans: list[Span] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start = middle
    return spans[::-1]


def consistency_spans(earlier: int, size: int) -> Sequence[Span]:
    """Return the spans whose hashes prove that the tree of a size begins with the one of an earlier size.

    Args:
        earlier: Size of the earlier tree; none are needed where it is 0 or that of the later one.
        size: Of the later tree.
    """
    assert 0 <= earlier <= size, "an earlier tree is no larger"
    if earlier in (0, size):
        return ()
    spans: list[Span] = []
    start, end = 0, size
    while earlier != end:
        middle = start + _split(end - start)
        if earlier <= middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start = middle
    # Whoever asks knows the root of the earlier tree, but not that of its last part.
    if start:
        spans.append((start, end))
    return spans[::-1]


def _split(count: int) -> int:
    """Return the largest power of two below a number above 1."""
    return 1 << ((count - 1).bit_length() - 1)


def root_from_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes | None:
    """Return the root that a path leads to from a leaf (RFC 9162, 2.1.3.2); None where its length is not right."""
    if not 0 <= index < size:
        return None
    at, last = index, size - 1
    result = leaf
    for sibling in path:
        if last == 0:
            return None
        if at & 1 or at == last:
            result = node_hash(sibling, result)
            while at and not at & 1:
                at >>= 1
                last >>= 1
        else:
            result = node_hash(result, sibling)
        at >>= 1
        last >>= 1
    return result if last == 0 else None


def is_consistent(earlier: int, size: int, earlier_root: bytes, later_root: bytes, path: Sequence[bytes]) -> bool:
    """Say whether a path proves that a tree begins with an earlier one (RFC 9162, 2.1.4.2)."""
    if not 0 <= earlier <= size:
        return False
    if earlier == size:
        return not path and earlier_root == later_root
    if earlier == 0:
        return not path and earlier_root == EMPTY_ROOT
    if not path:
        return False
    hashes = list(path)
    if earlier & (earlier - 1) == 0:
        # A whole subtree of the later tree: its root is known, and not told again.
        hashes.insert(0, earlier_root)
    at, last = earlier - 1, size - 1
    while at & 1:
        at >>= 1
        last >>= 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while at and not at & 1:
                at >>= 1
                last >>= 1
        else:
            new = node_hash(new, sibling)
        at >>= 1
        last >>= 1
    return last == 0 and old == earlier_root and new == later_root
