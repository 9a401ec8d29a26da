"""The log's rows as they are, for the audit: nothing is taken for granted."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alertgraph.core.audit import (
    ChainCheck,
    EventColumns,
    Fault,
    TreeCheck,
    check_signature,
    is_whole,
    leaf_tiles,
    leaves_of,
)
from alertgraph.core.checkpoint import Note, SignedCheckpoint, Tree, Verify
from alertgraph.core.event import StoredEvent, parse_canonical
from alertgraph.core.ids import FlushId, TenantId
from alertgraph.core.merkle import HASH_BYTES, TILE_WIDTH, TileAt
from alertgraph.storage.audit_tree import fetch_tiles, signed_of
from alertgraph.storage.database import Database
from alertgraph.storage.log import PostgresLog

READ_LENGTH = 2000

_ROWS = """
    SELECT number, recorded_at, flush_id, content, leaf, link, kind, actor_kind, alert_id, severity_before,
           severity_after, service_before, service_after, source, subject_type, subject_id
    FROM event WHERE tenant_id = $1 AND number > $2 ORDER BY number, recorded_at LIMIT $3
"""
# In one statement, which sees head and events at one moment.
_BEYOND = """
    SELECT e.number FROM tenant_head h JOIN event e ON e.tenant_id = h.tenant_id AND e.number > h.number
    WHERE h.tenant_id = $1 ORDER BY e.number LIMIT 1
"""


async def verify_log(database: Database, tenant_id: TenantId) -> tuple[int, Fault | None]:
    """Return how many events of a tenant's log were checked, and the first fault; None where there is none.

    What is appended meanwhile is left for the next time: the check ends at the head it began with.

    Raises:
        DependencyError: The store is away.
        LookupError: There is no such tenant.
    """
    head = await PostgresLog(database).head(tenant_id)
    if head is None:
        raise LookupError("There is no such tenant.")
    check = ChainCheck(head)
    after = head.pruned_number
    while after < head.number:
        async with database.transaction(tenant_id, read_only=True) as connection:
            rows = await connection.fetch(_ROWS, tenant_id, after, min(READ_LENGTH, head.number - after))
        if not rows:
            break
        fault = check.take([_row(row) for row in rows])
        if fault is not None:
            return check.checked, fault
        after = rows[-1]["number"]
    fault = check.finish()
    if fault is None:
        async with database.transaction(tenant_id, read_only=True) as connection:
            beyond = await connection.fetchval(_BEYOND, tenant_id)
        if beyond is not None:
            fault = Fault(beyond, "It lies beyond the log's own end.")
    return check.checked, fault


def _row(row: Sequence[Any]) -> tuple[StoredEvent | str, EventColumns]:
    """Return an event and the columns beside it; a text where its content is not that of an event."""
    number, recorded_at, flush_id, content, leaf, link, kind, actor_kind, alert_id, *rest = row
    columns = EventColumns(kind, actor_kind, str(alert_id) if alert_id is not None else None, *rest)
    try:
        event = parse_canonical(content)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return "The content is not that of an event.", columns
    return StoredEvent(number, recorded_at, FlushId(flush_id), event, content, leaf, link), columns


# -------------------------------------------------------------------------------------------- the tree

_TREE = """
    SELECT t.log_epoch, t.first_number, t.size, h.log_epoch AS head_epoch, h.number, h.pruned_number, (
               SELECT c.size FROM audit_checkpoint c
               WHERE c.tenant_id = t.tenant_id AND c.log_epoch = t.log_epoch ORDER BY c.size DESC LIMIT 1)
    FROM audit_tree t JOIN tenant_head h ON h.tenant_id = t.tenant_id WHERE t.tenant_id = $1
"""
_CHECKPOINTS = """
    SELECT log_epoch, first_number, size, root, signed_at, public_key, signature FROM audit_checkpoint
    WHERE tenant_id = $1 AND log_epoch = $2 AND size > $3 ORDER BY size LIMIT $4
"""
_EPOCHS = "SELECT DISTINCT log_epoch FROM audit_checkpoint WHERE tenant_id = $1 ORDER BY log_epoch"
_LEAVES = """
    SELECT number, leaf FROM event WHERE tenant_id = $1 AND number > $2 AND number <= $3 ORDER BY number
"""
# 16,384 leaves at a time.
_TILES_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class TreeResult:
    """What the check of a log's tree came to.

    Attributes:
        origin: Of the tree; None where the log was never sealed.
        sealed_number: Of the last event that a checkpoint covers; 0 where there is none.
        checkpoint_count: How many checkpoints hold.
        fault: The first thing that is wrong.
    """

    origin: str | None = None
    sealed_number: int = 0
    checkpoint_count: int = 0
    fault: Fault | None = None


async def verify_tree(
    database: Database, tenant_id: TenantId, keys: Collection[bytes], verify: Verify, kept: Sequence[Note] = ()
) -> TreeResult:
    """Return what the check of a tenant's tree and its checkpoints against the log came to.

    Args:
        database: Where the log is.
        tenant_id: Whose.
        keys: The public keys that may have signed.
        verify: Checks a signature.
        kept: Checkpoints of this log that somebody kept elsewhere, which were signed by one of the keys.

    Raises:
        DependencyError: The store is away.
    """
    async with database.transaction(tenant_id, read_only=True) as connection:
        row = await connection.fetchrow(_TREE, tenant_id)
        epochs = [each[0] for each in await connection.fetch(_EPOCHS, tenant_id)]
    if row is None:
        lost = Fault(1, "The log was sealed once, and nothing is left of that.")
        return TreeResult(fault=lost if epochs or kept else None)
    log_epoch, first_number, size, head_epoch, head_number, pruned_number, newest_size = row
    tree = Tree(tenant_id, log_epoch, first_number)
    sealed_number = first_number + size - 1
    check = TreeCheck(tree, keys, verify)
    fault = None
    if log_epoch != head_epoch:
        fault = Fault(sealed_number, "The log was begun anew past `alertgraph audit restart`.")
    elif head_number < sealed_number:
        fault = Fault(head_number + 1, f"The log ends here, but it was signed up to event {sealed_number}.")
    elif (newest_size or 0) < size:
        fault = Fault(sealed_number, "The last checkpoint of the log is gone.")
    elif (newest_size or 0) > size:
        fault = Fault(sealed_number + 1, f"The tree ends before this event; {newest_size} events were signed.")
    fault = fault or _fault_of_kept(kept, tree, size)
    walk = _TreeWalk(database, tenant_id, check, size, pruned_number)
    fault = fault or await walk.run([note for note in kept if note.origin == tree.origin])
    for epoch in epochs:
        if fault is None and epoch != log_epoch:
            fault = await _fault_of_signatures(database, tenant_id, epoch, check)
    return TreeResult(tree.origin, sealed_number if size else 0, check.checkpoint_count, fault)


class _TreeWalk:
    """Goes through the leaves of a tree, and meets its checkpoints on the way."""

    def __init__(
        self, database: Database, tenant_id: TenantId, check: TreeCheck, size: int, pruned_number: int
    ) -> None:
        self._database = database
        self._tenant_id = tenant_id
        self._check = check
        self._size = size
        self._pruned_number = pruned_number

    async def run(self, kept: Sequence[Note]) -> Fault | None:
        """Return the first fault; None where all of it fits together."""
        check = self._check
        checkpoints = _Checkpoints(self._database, self._tenant_id, check.tree.log_epoch)
        for tile in range(0, (self._size + TILE_WIDTH - 1) // TILE_WIDTH, _TILES_AT_ONCE):
            leaves = await self._leaves(tile)
            if isinstance(leaves, Fault):
                return leaves
            while leaves:
                # What is computed here takes long: a transaction that was only read in ends meanwhile.
                await asyncio.sleep(0)
                # Up to the next size that somebody signed or kept, at most.
                signed = await checkpoints.next()
                stops = [note.size for note in kept if note.size > check.size]
                if signed is not None:
                    stops.append(signed.checkpoint.size)
                count = min([len(leaves), *(stop - check.size for stop in stops)])
                expected = check.take(leaves[:count])
                leaves = leaves[count:]
                fault = await self._compared(expected) if expected else None
                if fault is None and signed is not None and signed.checkpoint.size == check.size:
                    checkpoints.taken()
                    fault = check.meet(signed)
                for note in kept:
                    if fault is None and note.size == check.size:
                        fault = check.meet_note(note)
                if fault is not None:
                    return fault
        return None

    async def _compared(self, expected: Mapping[TileAt, bytes]) -> Fault | None:
        async with self._database.transaction(self._tenant_id, read_only=True) as connection:
            stored = await fetch_tiles(connection.fetch, self._tenant_id, list(expected))
        return self._check.compare(expected, stored)

    async def _leaves(self, first_tile: int) -> list[bytes] | Fault:
        """Return the leaves of some tiles, once they are found to be those of the events that are there."""
        first_number = self._check.tree.first_number
        wanted = leaf_tiles(first_tile, self._size, _TILES_AT_ONCE)
        start = first_tile * TILE_WIDTH
        end = min(start + len(wanted) * TILE_WIDTH, self._size)
        async with self._database.transaction(self._tenant_id, read_only=True) as connection:
            tiles = await fetch_tiles(connection.fetch, self._tenant_id, wanted)
            rows = await connection.fetch(
                _LEAVES,
                self._tenant_id,
                max(first_number + start - 1, self._pruned_number),
                first_number + end - 1,
            )
        leaves = []
        for at in wanted:
            hashes = tiles.get(at, b"")
            if not is_whole(at, hashes, self._size):
                return Fault(first_number + at.index * TILE_WIDTH, f"Tile {at.index} of level 0 is not all there.")
            leaves += leaves_of(hashes[: TILE_WIDTH * HASH_BYTES])
        leaves = leaves[: end - start]
        for number, leaf in rows:
            if leaves[number - first_number - start] != leaf:
                return Fault(number, "The event is not the one that was sealed.")
        return leaves


class _Checkpoints:
    """The checkpoints of one epoch, in order, a page at a time."""

    def __init__(self, database: Database, tenant_id: TenantId, log_epoch: int) -> None:
        self.last_size = 0
        self._database = database
        self._tenant_id = tenant_id
        self._log_epoch = log_epoch
        self._page: list[SignedCheckpoint] = []
        self._is_done = False

    async def next(self) -> SignedCheckpoint | None:
        """Return the next one, the same until it is taken; None behind the last."""
        if not self._page and not self._is_done:
            async with self._database.transaction(self._tenant_id, read_only=True) as connection:
                rows = await connection.fetch(
                    _CHECKPOINTS, self._tenant_id, self._log_epoch, self.last_size, READ_LENGTH
                )
            self._page = [signed_of(self._tenant_id, row) for row in reversed(rows)]
            self._is_done = not rows
        return self._page[-1] if self._page else None

    def taken(self) -> None:
        """Go on to the one behind."""
        self.last_size = self._page.pop().checkpoint.size


async def _fault_of_signatures(
    database: Database, tenant_id: TenantId, log_epoch: int, check: TreeCheck
) -> Fault | None:
    """Check what was signed of a log before it was begun anew: of its trees, nothing else is kept."""
    checkpoints = _Checkpoints(database, tenant_id, log_epoch)
    while (signed := await checkpoints.next()) is not None:
        fault = check_signature(signed, check.keys, check.verify)
        if fault is not None:
            return fault
        check.checkpoint_count += 1
        checkpoints.taken()
    return None


def _fault_of_kept(kept: Sequence[Note], tree: Tree, size: int) -> Fault | None:
    """Return what shows by their sizes and origins alone that checkpoints kept elsewhere are not of this log."""
    number = tree.first_number + size
    for note in kept:
        if note.origin == tree.origin and note.size > size:
            text = f"The tree ends before this event, but a checkpoint that was kept elsewhere covers {note.size}."
            return Fault(number, text)
        if not tree.may_follow(note.origin):
            return Fault(number, f"A checkpoint that was kept elsewhere is of a later log: {note.origin}.")
    return None
