"""Proofs that can be taken away: that an event stands in a log, and that a log only added to what it was.

A proof file is JSON that says all of it, for a check with no database and nobody to ask.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from alertgraph.core.checkpoint import Note, SignedCheckpoint, VerifierKey, Verify, is_signed, parse_note
from alertgraph.core.errors import InputError
from alertgraph.core.event import leaf_hash
from alertgraph.core.merkle import (
    HASH_BYTES,
    BrokenTreeError,
    TileAt,
    Tiles,
    consistency_spans,
    inclusion_spans,
    is_consistent,
    root_from_inclusion,
    span_hash,
    tiles_of,
)

INCLUSION, CONSISTENCY = "alertgraph-inclusion/1", "alertgraph-consistency/1"
_PATH_LENGTH_MAX = 128


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """That a leaf is in the tree that a checkpoint signs.

    Attributes:
        index: Of the leaf, from 0.
        path: Sibling hashes from the leaf up.
    """

    index: int
    leaf: bytes
    path: Sequence[bytes]
    head: SignedCheckpoint

    @property
    def number(self) -> int:
        """Of the event."""
        return self.head.checkpoint.tree.first_number + self.index


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """That the tree that a checkpoint signs begins with an earlier one."""

    earlier_size: int
    path: Sequence[bytes]
    head: SignedCheckpoint


@dataclass(frozen=True, slots=True)
class Finding:
    """What a proof file proves, or why it does not.

    Attributes:
        text: In a sentence.
        is_sound: Whether it proves what it says.
        signed_at: Of the checkpoint; None where it says no time, or nothing is proved.
    """

    text: str
    is_sound: bool
    signed_at: datetime | None = None


def inclusion_tiles(head: SignedCheckpoint, number: int) -> frozenset[TileAt]:
    """Return the tiles that prove an event, which the checkpoint covers; one of them holds its leaf."""
    index = number - head.checkpoint.tree.first_number
    return tiles_of([*inclusion_spans(index, head.checkpoint.size), (index, index + 1)])


def prove_inclusion(head: SignedCheckpoint, number: int, leaf: bytes | None, tiles: Tiles) -> InclusionProof:
    """Return the proof that an event is in the tree of a checkpoint.

    Args:
        head: Covers the event.
        number: Of the event.
        leaf: Of the event; None for the one that the tree has.
        tiles: Those of `inclusion_tiles`.

    Raises:
        BrokenTreeError: The tiles do not lead from this leaf to the checkpoint.
    """
    size = head.checkpoint.size
    index = number - head.checkpoint.tree.first_number
    if leaf is None:
        leaf = span_hash(tiles, (index, index + 1))
    path = [span_hash(tiles, span) for span in inclusion_spans(index, size)]
    if root_from_inclusion(index, size, leaf, path) != head.checkpoint.root:
        raise BrokenTreeError(f"The tree does not lead from event {number} to its signed head.")
    return InclusionProof(index, leaf, path, head)


def consistency_tiles(head: SignedCheckpoint, earlier_size: int) -> frozenset[TileAt]:
    """Return the tiles that prove that a checkpoint's tree begins with the one of an earlier size."""
    size = head.checkpoint.size
    earlier = [(0, earlier_size)] if earlier_size else []
    return tiles_of([*consistency_spans(earlier_size, size), *earlier])


def prove_consistency(head: SignedCheckpoint, earlier_size: int, tiles: Tiles) -> ConsistencyProof:
    """Return the proof that a checkpoint's tree begins with the one of an earlier size.

    Raises:
        BrokenTreeError: The tiles do not lead to the checkpoint.
    """
    size, whole = head.checkpoint.size, head.checkpoint.root
    path = [span_hash(tiles, span) for span in consistency_spans(earlier_size, size)]
    if earlier_size and not is_consistent(earlier_size, size, span_hash(tiles, (0, earlier_size)), whole, path):
        raise BrokenTreeError(f"The tree of {earlier_size} events does not lead to its signed head.")
    return ConsistencyProof(earlier_size, path, head)


# --------------------------------------------------------------------------------------------- files


def inclusion_file(proof: InclusionProof, content: str | None) -> dict[str, Any]:
    """Return what a proof file says of an event.

    Args:
        proof: Of the event.
        content: As it was hashed; None where retention has removed the event, and who kept it may put it in.
    """
    head = proof.head
    return {
        "format": INCLUSION,
        "number": proof.number,
        "leafIndex": proof.index,
        "leafHash": proof.leaf.hex(),
        "content": content,
        "inclusionPath": [each.hex() for each in proof.path],
        "checkpoint": head.note,
        "key": str(VerifierKey(head.checkpoint.tree.origin, head.public_key)),
    }


def consistency_file(proof: ConsistencyProof) -> dict[str, Any]:
    """Return what a proof file says of two states of a log."""
    head = proof.head
    return {
        "format": CONSISTENCY,
        "earlierSize": proof.earlier_size,
        "path": [each.hex() for each in proof.path],
        "checkpoint": head.note,
        "key": str(VerifierKey(head.checkpoint.tree.origin, head.public_key)),
    }


def check_file(
    file: Mapping[str, Any], keys: Collection[VerifierKey], verify: Verify, earlier: str | None = None
) -> Finding:
    """Return what a proof file proves to who believes these keys.

    Args:
        file: As it was read.
        keys: Whom the checker believes; the key that the file names is not one of them by itself.
        verify: Checks a signature.
        earlier: The note that was kept from before, for a proof that a log only added to it.

    Raises:
        InputError: It is no proof file.
    """
    note = parse_note(_text(file, "checkpoint"))
    if not any(is_signed(note, key, verify) for key in keys):
        return Finding("The checkpoint is not signed by a key that is believed.", is_sound=False)
    match file.get("format"):
        case str(name) if name == INCLUSION:
            return _check_inclusion(file, note)
        case str(name) if name == CONSISTENCY:
            return _check_consistency(file, note, keys, verify, earlier)
    raise InputError("This is no proof of alertgraph.", "format")


def _check_inclusion(file: Mapping[str, Any], note: Note) -> Finding:
    index, number = _number(file, "leafIndex"), _number(file, "number")
    leaf, content = _hash(file.get("leafHash"), "leafHash"), file.get("content")
    if content is not None and leaf_hash(_text(file, "content")) != leaf:
        return Finding("The content is not what was hashed.", is_sound=False)
    # The origin ends in the number of the first event.
    first = note.origin.rpartition("/")[2]
    if not first.isdigit() or number != int(first) + index:
        return Finding("The event's number is not the one of this place in the tree.", is_sound=False)
    if root_from_inclusion(index, note.size, leaf, _path(file, "inclusionPath")) != note.root:
        return Finding("The path does not lead from the event to the checkpoint.", is_sound=False)
    what = "stands unchanged" if content is not None else "stands, by its hash alone,"
    return Finding(
        f"Event {number} {what} in the log of {note.size} events that was signed{_at(note)}.",
        is_sound=True,
        signed_at=note.signed_at,
    )


def _check_consistency(
    file: Mapping[str, Any], note: Note, keys: Collection[VerifierKey], verify: Verify, earlier: str | None
) -> Finding:
    if earlier is None:
        raise InputError("A proof of two states needs the earlier checkpoint, too.", "earlier")
    before = parse_note(earlier)
    if not any(is_signed(before, key, verify) for key in keys):
        return Finding("The earlier checkpoint is not signed by a key that is believed.", is_sound=False)
    if before.origin != note.origin:
        return Finding("The two checkpoints are of different logs.", is_sound=False)
    if before.size != _number(file, "earlierSize"):
        return Finding("The proof is about another size than the earlier checkpoint's.", is_sound=False)
    if not is_consistent(before.size, note.size, before.root, note.root, _path(file, "path")):
        return Finding("The later log does not begin with the earlier one.", is_sound=False)
    return Finding(
        f"The log of {note.size} events that was signed{_at(note)} only added to the one of {before.size} "
        f"events that was signed{_at(before)}.",
        is_sound=True,
        signed_at=note.signed_at,
    )


def _at(note: Note) -> str:
    return f" at {note.signed_at:%Y-%m-%d %H:%M:%S} UTC" if note.signed_at is not None else ""


def _text(file: Mapping[str, Any], name: str) -> str:
    value = file.get(name)
    if not isinstance(value, str):
        raise InputError(f"This is no proof of alertgraph: {name} is no text.", name)
    return value


def _number(file: Mapping[str, Any], name: str) -> int:
    value = file.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InputError(f"This is no proof of alertgraph: {name} is no number.", name)
    return value


def _path(file: Mapping[str, Any], name: str) -> list[bytes]:
    values = file.get(name)
    if not isinstance(values, list) or len(values) > _PATH_LENGTH_MAX:
        raise InputError(f"This is no proof of alertgraph: {name} is no list of hashes.", name)
    return [_hash(value, name) for value in values]


def _hash(value: object, name: str) -> bytes:
    try:
        raw = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        raw = b""
    if len(raw) != HASH_BYTES:
        raise InputError(f"This is no proof of alertgraph: {name} holds no hash.", name)
    return raw
