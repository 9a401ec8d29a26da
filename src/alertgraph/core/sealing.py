"""What a turn of the sealer comes to: the next checkpoint of a log, or why there must be none."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum

from alertgraph.core.checkpoint import (
    Checkpoint,
    Note,
    SignedCheckpoint,
    Tree,
    VerifierKey,
    Verify,
    is_signed,
    parse_note,
)
from alertgraph.core.errors import InputError
from alertgraph.core.merkle import (
    HASH_BYTES,
    TILE_WIDTH,
    BrokenTreeError,
    TileAt,
    Tiles,
    edge_tiles,
    grown,
    root,
    tiles_of,
)

EVERY = timedelta(minutes=1)
"""A log that grows has a new checkpoint this often."""

EVERY_COUNT = 1000
"""It has one earlier once it has grown by as many events."""

LATE_AFTER = timedelta(minutes=10)
"""An event that no checkpoint covers after this long is one too late: nobody seals."""


class Refusal(IntEnum):
    """Why a log is not sealed: it contradicts what was signed. Stored; never reuse or renumber one."""

    CUT = 1
    REWRITTEN = 2
    HOLE = 3
    CHECKPOINT = 4
    TREE = 5
    REWOUND = 6
    EPOCH = 7

    @property
    def text(self) -> str:
        """What is wrong, in a sentence."""
        return _TEXTS[self]


_TEXTS = {
    Refusal.CUT: "The log ends before events that a signed checkpoint covers: its end was cut off.",
    Refusal.REWRITTEN: "The last event that a signed checkpoint covers is another one now.",
    Refusal.HOLE: "Events behind the last signed checkpoint are missing.",
    Refusal.CHECKPOINT: "The last checkpoint is missing, or not what was signed.",
    Refusal.TREE: "The tiles of the tree do not lead to the last signed checkpoint.",
    Refusal.REWOUND: "A checkpoint that is kept outside the database is none of its log: it is an older copy.",
    Refusal.EPOCH: "The log was begun anew past `alertgraph audit restart`.",
}


@dataclass(frozen=True, slots=True)
class TreeState:
    """What a turn finds.

    Attributes:
        tree: The one that grows; its epoch is that of the last checkpoint.
        size: How many events are in it.
        newest: Its last checkpoint.
        tiles: Those of its edge, and those for the root at `kept_size`.
        last_leaf: Of the last event that is in it, as the log has it now; None where that event is not there.
        log_epoch: Of the log now.
        head_number: Of the log's last event.
        pruned_number: Of the last event that retention removed.
        leaves: Of the events behind the last one in the tree, each with its number; as many as go in a turn.
    """

    tree: Tree
    size: int
    newest: SignedCheckpoint | None
    tiles: Tiles
    last_leaf: bytes | None
    log_epoch: int
    head_number: int
    pruned_number: int
    leaves: Sequence[tuple[int, bytes]]

    @property
    def sealed_number(self) -> int:
        """Number of the last event in the tree."""
        return self.tree.first_number + self.size - 1


@dataclass(frozen=True, slots=True)
class Growth:
    """What is written, once the checkpoint is signed.

    Attributes:
        tiles: New or longer.
        count: How many events are new.
    """

    checkpoint: Checkpoint
    tiles: Tiles = field(repr=False)
    count: int


def grow(
    state: TreeState, kept: Note | None, keys: Collection[bytes], verify: Verify, now: datetime
) -> Growth | Refusal | None:
    """Return how a tree grows, or why it must not; None where there is nothing new.

    Args:
        state: What there is.
        kept: The last checkpoint that is kept outside the database; None where none is.
        keys: The public keys, of now and of before, that may have signed.
        verify: Checks a signature.
        now: When the next checkpoint is signed.
    """
    refusal = _contradiction(state, kept, keys, verify)
    if refusal is not None:
        return refusal
    if not state.leaves:
        return None
    tree, size = state.tree, state.size
    try:
        tiles = grown(state.tiles, size, [leaf for _, leaf in state.leaves])
        size += len(state.leaves)
        # Never before the one before, however far the clocks of two machines are apart.
        signed_at = max(now, state.newest.checkpoint.signed_at) if state.newest is not None else now
        checkpoint = Checkpoint(tree, size, root({**state.tiles, **tiles}, size), signed_at.replace(microsecond=0))
    except BrokenTreeError:
        return Refusal.TREE
    return Growth(checkpoint, tiles, len(state.leaves))


def tiles_for(size: int, kept_size: int | None) -> frozenset[TileAt]:
    """Return the tiles that a turn needs of a tree of that size, and to compare it with what is kept outside."""
    wanted = frozenset(edge_tiles(size))
    if size:
        # The last leaf, also where its tile is whole.
        wanted |= {TileAt(0, (size - 1) // TILE_WIDTH)}
    if kept_size is not None and 0 < kept_size <= size:
        wanted |= tiles_of([(0, kept_size)])
    return wanted


def kept_note(text: str | None) -> Note | None:
    """Return what was kept outside the database; None where that is nothing that can be read."""
    if text is None:
        return None
    try:
        return parse_note(text)
    except InputError:
        return None


def _contradiction(state: TreeState, kept: Note | None, keys: Collection[bytes], verify: Verify) -> Refusal | None:
    if state.log_epoch != state.tree.log_epoch:
        return Refusal.EPOCH
    if state.size or state.newest is not None:
        refusal = _unlike_signed(state, keys, verify)
        if refusal is not None:
            return refusal
    if kept is not None and any(is_signed(kept, VerifierKey(kept.origin, key), verify) for key in keys):
        refusal = _contradicts(state, kept)
        if refusal is not None:
            return refusal
    expected = state.sealed_number
    for number, leaf in state.leaves:
        expected += 1
        if number != expected or len(leaf) != HASH_BYTES:
            return Refusal.HOLE
    if not state.leaves and state.head_number > state.sealed_number:
        return Refusal.HOLE
    return None


def _unlike_signed(state: TreeState, keys: Collection[bytes], verify: Verify) -> Refusal | None:
    """Return why what is stored is not what was signed last."""
    newest, size = state.newest, state.size
    if newest is None or newest.checkpoint.size != size or newest.public_key not in keys:
        return Refusal.CHECKPOINT
    if not verify(newest.public_key, newest.signature, newest.checkpoint.text.encode()):
        return Refusal.CHECKPOINT
    try:
        if root(state.tiles, size) != newest.checkpoint.root:
            return Refusal.TREE
    except BrokenTreeError:
        return Refusal.TREE
    if state.head_number < state.sealed_number:
        return Refusal.CUT
    if state.last_leaf is None:
        return Refusal.CUT if state.sealed_number > state.pruned_number else None
    return Refusal.REWRITTEN if state.last_leaf != _last_leaf(state) else None


def _contradicts(state: TreeState, kept: Note) -> Refusal | None:
    """Return why the tree can't be the one that somebody kept a checkpoint of."""
    if kept.origin != state.tree.origin:
        # The log was begun anew since; what is kept of a later beginning, this copy has not seen.
        return None if state.tree.may_follow(kept.origin) else Refusal.REWOUND
    if kept.size > state.size:
        return Refusal.REWOUND
    try:
        return Refusal.REWOUND if root(state.tiles, kept.size) != kept.root else None
    except BrokenTreeError:
        return Refusal.TREE


def _last_leaf(state: TreeState) -> bytes:
    index, place = divmod(state.size - 1, TILE_WIDTH)
    return state.tiles.get(TileAt(0, index), b"")[place * HASH_BYTES : (place + 1) * HASH_BYTES]
