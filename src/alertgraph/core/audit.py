"""The check of a log: every leaf, every link and every number once more, and the tree with its checkpoints."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from alertgraph.core.checkpoint import Note, SignedCheckpoint, Tree, Verify
from alertgraph.core.event import Event, StoredEvent, canonical, leaf_hash, next_link
from alertgraph.core.flush import Head
from alertgraph.core.merkle import (
    HASH_BYTES,
    TILE_HEIGHT,
    TILE_WIDTH,
    TileAt,
    edge_tiles,
    grown,
    root,
    width_of,
)


@dataclass(frozen=True, slots=True)
class EventColumns:
    """What an event's row keeps beside its content to be searched by; all of it follows from the content."""

    kind: int
    actor_kind: int
    alert_id: str | None
    severity_before: int | None
    severity_after: int | None
    service_before: str | None
    service_after: str | None
    source: str
    subject_type: str | None
    subject_id: str | None


def columns_of(event: Event) -> EventColumns:
    """Return what an event's row must keep beside its content."""
    return EventColumns(
        kind=int(event.kind),
        actor_kind=int(event.actor.kind),
        alert_id=str(event.alert_id) if event.alert_id is not None else None,
        severity_before=int(event.severity_before) if event.severity_before is not None else None,
        severity_after=int(event.severity_after) if event.severity_after is not None else None,
        service_before=event.service_before,
        service_after=event.service_after,
        source=event.source,
        subject_type=event.subject_type,
        subject_id=event.subject_id,
    )


@dataclass(frozen=True, slots=True)
class Fault:
    """Where a log is not what was written.

    Attributes:
        number: Of the event at fault.
        text: What is wrong, in a sentence.
    """

    number: int
    text: str


@dataclass(slots=True)
class ChainCheck:
    """Goes through a log from where retention left off to its head, event by event.

    Attributes:
        head: Where the log says that it ends.
        checked: How many events were found unchanged.
    """

    head: Head
    checked: int = 0
    _number: int = field(init=False)
    _link: bytes = field(init=False)
    _recorded_at: datetime | None = field(init=False, default=None)
    _flush: list[StoredEvent] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._number = self.head.pruned_number
        self._link = self.head.pruned_link

    def take(self, rows: Sequence[tuple[StoredEvent | str, EventColumns]]) -> Fault | None:
        """Check the next events and return the first fault; None where all are as they were written.

        Args:
            rows: In order of their numbers; a text in place of an event says why its content can't be read.
        """
        for stored, columns in rows:
            expected = self._number + 1
            if isinstance(stored, str):
                return Fault(expected, stored)
            fault = self._check(stored, columns, expected)
            if fault is not None:
                return fault
            self._number = stored.number
            self._recorded_at = stored.recorded_at
            self._flush.append(stored)
            if stored.link is not None:
                first = self._flush[0]
                leaves = [event.leaf for event in self._flush]
                self._link = next_link(self._link, first.number, first.recorded_at, first.flush_id, leaves)
                if self._link != stored.link:
                    return Fault(stored.number, f"The chain breaks between event {first.number} and this one.")
                self._flush.clear()
            self.checked += 1
        return None

    def finish(self) -> Fault | None:
        """Check that the log ends where its head says; None where it does."""
        if self._flush:
            return Fault(self._number, "The last flush has no link: its end was cut off.")
        if self._number != self.head.number:
            return Fault(self._number + 1, f"The log ends here, but its head says {self.head.number}.")
        if self._link != self.head.link:
            return Fault(self._number, "The chain does not end in the head's link.")
        return None

    def _check(self, stored: StoredEvent, columns: EventColumns, expected: int) -> Fault | None:
        number = stored.number
        if number != expected:
            return Fault(expected, f"Event {expected} is missing; the next one there is {number}.")
        if leaf_hash(stored.content) != stored.leaf:
            return Fault(number, "The content is not what was hashed.")
        if not _is_canonical(stored):
            return Fault(number, "The content is not in canonical form.")
        if columns_of(stored.event) != columns:
            return Fault(number, "The columns beside the content say something else than the content.")
        if self._recorded_at is not None and stored.recorded_at < self._recorded_at:
            return Fault(number, "It was recorded before the event in front of it.")
        if self._flush and (
            stored.flush_id != self._flush[0].flush_id or stored.recorded_at != self._flush[0].recorded_at
        ):
            return Fault(number, "It is of another flush than the events that it was written with.")
        return None


def _is_canonical(stored: StoredEvent) -> bool:
    try:
        return canonical(stored.event) == stored.content
    except (TypeError, ValueError, AttributeError):
        # A content that somebody made up may have a number where an object belongs.
        return False


@dataclass(slots=True)
class TreeCheck:
    """Builds a log's tree once more from its leaves, and compares it with what is stored and what was signed.

    Attributes:
        tree: Which one.
        keys: The public keys that may have signed.
        verify: Checks a signature.
        size: How many leaves were taken.
        checkpoint_count: How many checkpoints were found to be of this tree.
    """

    tree: Tree
    keys: Collection[bytes]
    verify: Verify
    size: int = 0
    checkpoint_count: int = 0
    _edge: dict[TileAt, bytes] = field(init=False, default_factory=dict)
    _signed_at: datetime | None = field(init=False, default=None)

    def take(self, leaves: Sequence[bytes]) -> dict[TileAt, bytes]:
        """Take the next leaves, and return the tiles above them as they must be: whole ones, and begun ones."""
        changed = grown(self._edge, self.size, leaves)
        self.size += len(leaves)
        tiles = {**self._edge, **changed}
        self._edge = {at: tiles[at] for at in edge_tiles(self.size)}
        return {at: hashes for at, hashes in changed.items() if at.level > 0}

    def compare(self, expected: Mapping[TileAt, bytes], stored: Mapping[TileAt, bytes]) -> Fault | None:
        """Compare stored tiles with what their events come to; the stored ones may have grown since."""
        for at, hashes in sorted(expected.items()):
            if stored.get(at, b"")[: len(hashes)] != hashes:
                first = self.tree.first_number + (at.index << (TILE_HEIGHT * (at.level + 1)))
                return Fault(first, f"Tile {at.index} of level {at.level} is not what its events come to.")
        return None

    def meet(self, signed: SignedCheckpoint) -> Fault | None:
        """Compare a checkpoint with the tree as it is now, which is of its size."""
        checkpoint = signed.checkpoint
        number = checkpoint.last_number
        fault = check_signature(signed, self.keys, self.verify)
        if fault is not None:
            return fault
        if checkpoint.tree != self.tree:
            return Fault(number, "A checkpoint is of another tree than the log's.")
        if root(self._edge, self.size) != checkpoint.root:
            at = f"{checkpoint.signed_at:%Y-%m-%d %H:%M:%S} UTC"
            return Fault(number, f"The events up to this one are not those that were signed at {at}.")
        if self._signed_at is not None and checkpoint.signed_at < self._signed_at:
            return Fault(number, "A checkpoint was signed before the one in front of it.")
        self._signed_at = checkpoint.signed_at
        self.checkpoint_count += 1
        return None

    def meet_note(self, note: Note) -> Fault | None:
        """Compare a note that somebody kept with the tree as it is now, which is of its size."""
        if root(self._edge, self.size) == note.root:
            return None
        number = self.tree.first_number + note.size - 1
        return Fault(number, "The events up to this one are not those of the checkpoint that was kept elsewhere.")


def check_signature(signed: SignedCheckpoint, keys: Collection[bytes], verify: Verify) -> Fault | None:
    """Return what is wrong with a checkpoint's signature; None where it is ours."""
    checkpoint = signed.checkpoint
    if signed.public_key in keys and verify(signed.public_key, signed.signature, checkpoint.text.encode()):
        return None
    text = f"The checkpoint of {checkpoint.size} events was changed, or is not ours."
    return Fault(checkpoint.last_number, text)


def leaves_of(tile: bytes) -> list[bytes]:
    """Return the hashes of a tile one by one."""
    return [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]


def leaf_tiles(first: int, size: int, count: int) -> Sequence[TileAt]:
    """Return up to `count` tiles of leaves from one on, as far as a tree of that size has them."""
    last = (size + TILE_WIDTH - 1) // TILE_WIDTH
    return [TileAt(0, index) for index in range(first, min(first + count, last))]


def is_whole(at: TileAt, hashes: bytes, size: int) -> bool:
    """Say whether a tile has all that a tree of that size has of it."""
    return len(hashes) >= width_of(at, size) * HASH_BYTES
