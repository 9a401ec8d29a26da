"""The trees that prove the logs: grown behind them a turn at a time, and read for proofs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from alertgraph.core.audit import is_whole, leaf_tiles, leaves_of
from alertgraph.core.checkpoint import Checkpoint, SignedCheckpoint, Tree
from alertgraph.core.errors import ConflictError, NotFoundError
from alertgraph.core.event import leaf_hash
from alertgraph.core.ids import EPOCH, TenantId
from alertgraph.core.merkle import TILE_WIDTH, TileAt, Tiles, edge_tiles, grown, root
from alertgraph.core.sealing import EVERY, EVERY_COUNT, Growth, Refusal, TreeState, tiles_for
from alertgraph.services.ports import AuditLag, SealingTurn
from alertgraph.storage.database import Connection, Database, owner_connection
from alertgraph.storage.reader import Reader

TURN_LENGTH = 4096
"""How many events go in a turn: hashing them takes the event loop some 10 ms."""

_DUE = "SELECT id FROM tenants_to_seal($1, $2, $3, $4) AS id"
_KEYS = "SELECT generation, public_key FROM audit_signer($1)"
_LAG = "SELECT o_event_count, o_refused_count FROM audit_lag()"

# Whoever holds this row seals the tenant; others pass by. Nobody else waits for it: it holds no head.
_CLAIM = """
    SELECT log_epoch, first_number, size, recorded_at,
           set_config('idle_in_transaction_session_timeout', '30s', true)
    FROM audit_tree WHERE tenant_id = $1 FOR UPDATE SKIP LOCKED
"""
_BEGIN = """
    INSERT INTO audit_tree (tenant_id, log_epoch, first_number)
    SELECT tenant_id, log_epoch, pruned_number + 1 FROM tenant_head WHERE tenant_id = $1
    ON CONFLICT DO NOTHING
"""
_HEAD = "SELECT number, log_epoch, pruned_number FROM tenant_head WHERE tenant_id = $1"
_CHECKPOINT_COLUMNS = "log_epoch, first_number, size, root, signed_at, public_key, signature"
_NEWEST = f"""
    SELECT {_CHECKPOINT_COLUMNS} FROM audit_checkpoint WHERE tenant_id = $1 AND log_epoch = $2
    ORDER BY size DESC LIMIT 1
"""  # noqa: S608  (a constant)
_NEWEST_OF_LOG = f"""
    SELECT {_CHECKPOINT_COLUMNS} FROM audit_checkpoint
    WHERE tenant_id = $1 AND log_epoch = (SELECT t.log_epoch FROM audit_tree t WHERE t.tenant_id = $1)
    ORDER BY size DESC LIMIT 1
"""  # noqa: S608  (a constant)
_TILES = """
    SELECT found.level, found.place, found.hashes
    FROM unnest($2::smallint[], $3::bigint[]) AS one (level, place) CROSS JOIN LATERAL (
        SELECT level, place, hashes FROM audit_tile
        WHERE tenant_id = $1 AND level = one.level AND place = one.place LIMIT 1
    ) AS found
"""
# One that took its place was recorded later.
_LAST_LEAF = """
    SELECT leaf FROM event WHERE tenant_id = $1 AND number = $2 AND recorded_at >= $3 ORDER BY recorded_at LIMIT 1
"""
_LEAVES = """
    SELECT number, leaf, recorded_at FROM event
    WHERE tenant_id = $1 AND number > $2 AND number <= $3 AND recorded_at >= $4 ORDER BY number, recorded_at
"""
_CONTENT = "SELECT content FROM event WHERE tenant_id = $1 AND number = $2"
_ROTATE = "INSERT INTO audit_key (generation, public_key) VALUES ($1, $2)"
_KEEP_TILES = """
    INSERT INTO audit_tile (tenant_id, level, place, hashes)
    SELECT $1, one.* FROM unnest($2::smallint[], $3::bigint[], $4::bytea[]) AS one
    ON CONFLICT (tenant_id, level, place) DO UPDATE SET hashes = excluded.hashes
"""
_KEEP_CHECKPOINT = f"""
    INSERT INTO audit_checkpoint (tenant_id, {_CHECKPOINT_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""  # noqa: S608  (a constant)
_MOVE = """
    UPDATE audit_tree SET log_epoch = $2, first_number = $3, size = $4, recorded_at = $5, looked_at = $6,
        refusal = NULL, refused_at = NULL
    WHERE tenant_id = $1
"""
_REFUSE = """
    UPDATE audit_tree SET looked_at = $2, refusal = $3, refused_at = coalesce(refused_at, $2) WHERE tenant_id = $1
"""


class PostgresAuditTrees:
    """Grows the trees. Fulfils `services.ports.AuditTrees`.

    Whose turn it is, is asked of a function that runs as the engine's role, which sees numbers and nothing else.
    """

    def __init__(self, database: Database, *, turn_length: int = TURN_LENGTH) -> None:
        self._database = database
        self._turn_length = turn_length

    async def due(self, now: datetime, limit: int) -> Sequence[TenantId]:
        """Return tenants whose log has grown for a minute or by a thousand events, the longest ago first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_DUE, now, EVERY, EVERY_COUNT, limit)
        return [TenantId(row[0]) for row in rows]

    async def keys(self, first_public_key: bytes) -> Sequence[tuple[int, bytes]]:
        """Return the installation's public keys by generation, the newest first; the first one is remembered."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_KEYS, first_public_key)
        return [(generation, public_key) for generation, public_key in rows]

    async def lag(self) -> AuditLag:
        """Return how far all tenants' trees together are behind their logs."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_LAG)
        return AuditLag(*row)

    async def turn(
        self,
        tenant_id: TenantId,
        kept_size: int | None,
        now: datetime,
        decide: Callable[[TreeState], Growth | Refusal | None],
        sign: Callable[[Checkpoint], SignedCheckpoint],
    ) -> SealingTurn | None:
        """Grow a tenant's tree by one step, all or nothing; None where another process is at it."""
        async with self._database.transaction(tenant_id) as connection:
            claim = await connection.fetchrow(_CLAIM, tenant_id)
            if claim is None:
                await connection.execute(_BEGIN, tenant_id)
                claim = await connection.fetchrow(_CLAIM, tenant_id)
            if claim is None:
                return None
            state, last_recorded_at = await self._state(connection, tenant_id, claim, kept_size)
            decision = decide(state)
            if isinstance(decision, Refusal):
                await connection.execute(_REFUSE, tenant_id, now, decision)
                return SealingTurn(refusal=decision, has_more=False)
            signed = None
            size = state.size
            if decision is not None:
                signed = sign(decision.checkpoint)
                size = decision.checkpoint.size
                await _keep_tiles(connection, tenant_id, decision.tiles)
                await _keep_checkpoint(connection, tenant_id, signed)
            tree = state.tree
            await connection.execute(
                _MOVE, tenant_id, tree.log_epoch, tree.first_number, size, last_recorded_at, now
            )
            sealed_number = tree.first_number + size - 1
            return SealingTurn(signed, size - state.size, has_more=sealed_number < state.head_number)

    async def _state(
        self, connection: Connection, tenant_id: TenantId, claim: Any, kept_size: int | None
    ) -> tuple[TreeState, datetime]:
        """Return what there is, and when the last of it was recorded."""
        log_epoch, first_number, size, recorded_at, _ = claim
        # Read before the events: so all up to there are there, but what retention removed.
        head_number, head_epoch, pruned_number = await connection.fetchrow(_HEAD, tenant_id)
        if size == 0:
            # Nothing is signed of it yet: it begins with what is there.
            log_epoch, first_number = head_epoch, max(first_number, pruned_number + 1)
        tree = Tree(tenant_id, log_epoch, first_number)
        sealed_number = first_number + size - 1
        newest = await connection.fetchrow(_NEWEST, tenant_id, log_epoch)
        tiles = await fetch_tiles(connection.fetch, tenant_id, tiles_for(size, kept_size))
        last_leaf = await connection.fetchval(_LAST_LEAF, tenant_id, sealed_number, recorded_at) if size else None
        until = min(head_number, sealed_number + self._turn_length)
        rows = await connection.fetch(_LEAVES, tenant_id, sealed_number, until, recorded_at)
        state = TreeState(
            tree,
            size,
            signed_of(tenant_id, newest) if newest is not None else None,
            tiles,
            last_leaf,
            head_epoch,
            head_number,
            pruned_number,
            [(number, leaf) for number, leaf, _ in rows],
        )
        return state, rows[-1]["recorded_at"] if rows else recorded_at


async def _keep_tiles(connection: Connection, tenant_id: TenantId, tiles: Tiles) -> None:
    places = sorted(tiles)
    await connection.execute(
        _KEEP_TILES,
        tenant_id,
        [at.level for at in places],
        [at.index for at in places],
        [tiles[at] for at in places],
    )


async def _keep_checkpoint(connection: Connection, tenant_id: TenantId, signed: SignedCheckpoint) -> None:
    checkpoint = signed.checkpoint
    await connection.execute(
        _KEEP_CHECKPOINT,
        tenant_id,
        checkpoint.tree.log_epoch,
        checkpoint.tree.first_number,
        checkpoint.size,
        checkpoint.root,
        checkpoint.signed_at,
        signed.public_key,
        signed.signature,
    )


async def load_audit_head(reader: Reader) -> SignedCheckpoint | None:
    """Return the newest checkpoint of the tenant's log; None where there is none yet."""
    rows = await reader.fetch(_NEWEST_OF_LOG, reader.tenant_id)
    return signed_of(reader.tenant_id, rows[0]) if rows else None


async def load_tiles(reader: Reader, wanted: Collection[TileAt]) -> dict[TileAt, bytes]:
    """Return the tiles that exist among those wanted."""
    return await fetch_tiles(reader.fetch, reader.tenant_id, wanted)


async def fetch_tiles(fetch: Any, tenant_id: TenantId, wanted: Collection[TileAt]) -> dict[TileAt, bytes]:
    """Return the tiles that exist among those wanted, read by the `fetch` of a connection or a reader."""
    if not wanted:
        return {}
    places = sorted(wanted)
    rows = await fetch(_TILES, tenant_id, [at.level for at in places], [at.index for at in places])
    return {TileAt(level, place): hashes for level, place, hashes in rows}


async def load_content(reader: Reader, number: int) -> tuple[str, bytes] | None:
    """Return an event's content and the hash of it; None where retention has removed it."""
    rows = await reader.fetch(_CONTENT, reader.tenant_id, number)
    return (rows[0]["content"], leaf_hash(rows[0]["content"])) if rows else None


async def rotate(owner_url: str, generation: int, public_key: bytes) -> None:
    """Make a key of a new generation the one that signs.

    Raises:
        StaleDecisionError: Somebody else has just done the same.
    """
    async with owner_connection(owner_url) as connection:
        await connection.execute(_ROTATE, generation, public_key)


def signed_of(tenant_id: TenantId, row: Sequence[Any]) -> SignedCheckpoint:
    """Return the checkpoint that a row holds."""
    log_epoch, first_number, size, root, signed_at, public_key, signature = row
    tree = Tree(tenant_id, log_epoch, first_number)
    return SignedCheckpoint(Checkpoint(tree, size, root, signed_at), public_key, signature)


# ------------------------------------------------------------------------------------- begun anew

_LOCK_TREE = "SELECT log_epoch, first_number, size, refusal FROM audit_tree WHERE tenant_id = $1 FOR UPDATE"
_RAISE_EPOCH = (
    "UPDATE tenant_head SET log_epoch = greatest(log_epoch, $2) + 1 WHERE tenant_id = $1 RETURNING log_epoch"
)
_LEAVES_IN_ORDER = """
    SELECT number, leaf, recorded_at FROM event
    WHERE tenant_id = $1 AND number > $2 AND number <= $3 ORDER BY number, recorded_at LIMIT $4
"""
_DROP_TILES = "DELETE FROM audit_tile WHERE tenant_id = $1 AND place * 256 >= ($2::bigint >> (8 * level))"
_REBUILT_AT_ONCE = 16_384


@dataclass(frozen=True, slots=True)
class Restarted:
    """What a log is proved by once it was begun anew.

    Attributes:
        before: What was signed last; None where that can't be told any more.
        signed: The first checkpoint of the new epoch; None for a log of no events.
        log_epoch: The new one.
    """

    before: SignedCheckpoint | None
    signed: SignedCheckpoint | None
    log_epoch: int


async def restart(
    owner_url: str,
    tenant_id: TenantId,
    sign: Callable[[Checkpoint], SignedCheckpoint],
    now: datetime,
    *,
    force: bool = False,
) -> Restarted:
    """Begin a tenant's tree anew, of the events that its log has now, and of the leaves of those that are retired.

    What was signed before stays, under the epoch it was signed in; what is signed from now on is of a later one,
    so that nobody can take it for the same log.

    Args:
        owner_url: A login that may act as the owner of the tables.
        tenant_id: Whose.
        sign: Signs the first checkpoint.
        now: When.
        force: Also where nothing contradicts what was signed.

    Raises:
        ConflictError: Nothing contradicts what was signed.
        NotFoundError: It was never sealed.
        DependencyError: The store is away, or a sealer is at this very log.
    """
    async with owner_connection(owner_url) as connection, connection.transaction():
        row = await connection.fetchrow(_LOCK_TREE, tenant_id)
        if row is None:
            raise NotFoundError("The log was never sealed: there is nothing to begin anew.")
        if row["refusal"] is None and not force:
            raise ConflictError("The log is sealed as it should be: there is nothing to begin anew.")
        newest = await connection.fetchrow(_NEWEST, tenant_id, row["log_epoch"])
        head_number, _, pruned_number = await connection.fetchrow(_HEAD, tenant_id)
        first_number = row["first_number"]
        retired_count = pruned_number - first_number + 1
        if retired_count > 0 and not await _has_leaves(connection, tenant_id, retired_count):
            # Of what is retired, not all hashes are there any more.
            first_number = pruned_number + 1
        size, edge, recorded_at = await _rebuilt(connection, tenant_id, first_number, head_number, pruned_number)
        log_epoch = await connection.fetchval(_RAISE_EPOCH, tenant_id, row["log_epoch"])
        signed = None
        if size:
            checkpoint = Checkpoint(Tree(tenant_id, log_epoch, first_number), size, root(edge, size), now)
            signed = sign(checkpoint)
            await _keep_checkpoint(connection, tenant_id, signed)
        await connection.execute(_MOVE, tenant_id, log_epoch, first_number, size, recorded_at, EPOCH)
    return Restarted(signed_of(tenant_id, newest) if newest is not None else None, signed, log_epoch)


async def _has_leaves(connection: Connection, tenant_id: TenantId, count: int) -> bool:
    """Say whether the first leaves of a tree are all there."""
    for first in range(0, (count + TILE_WIDTH - 1) // TILE_WIDTH, _REBUILT_AT_ONCE // TILE_WIDTH):
        wanted = leaf_tiles(first, count, _REBUILT_AT_ONCE // TILE_WIDTH)
        tiles = await fetch_tiles(connection.fetch, tenant_id, wanted)
        if not all(is_whole(at, tiles.get(at, b""), count) for at in wanted):
            return False
    return True


async def _rebuilt(
    connection: Connection, tenant_id: TenantId, first_number: int, head_number: int, pruned_number: int
) -> tuple[int, Tiles, datetime]:
    """Write the tiles of a tree once more; return its size, its edge, and when its last event was recorded."""
    size, edge = 0, dict[TileAt, bytes]()
    recorded_at = EPOCH
    while first_number + size <= head_number:
        number = first_number + size
        if number <= pruned_number:
            # A tile at a time: it may be written to next.
            at = TileAt(0, size // TILE_WIDTH)
            tile = (await fetch_tiles(connection.fetch, tenant_id, [at]))[at]
            count = min(TILE_WIDTH, pruned_number - number + 1)
            leaves = leaves_of(tile)[:count]
        else:
            rows = await connection.fetch(_LEAVES_IN_ORDER, tenant_id, number - 1, head_number, _REBUILT_AT_ONCE)
            whole = [row for offset, row in enumerate(rows) if row["number"] == number + offset]
            if not whole:
                break
            leaves = [row["leaf"] for row in whole]
            recorded_at = whole[-1]["recorded_at"]
        changed = grown(edge, size, leaves)
        await _keep_tiles(connection, tenant_id, changed)
        size += len(leaves)
        tiles = {**edge, **changed}
        edge = {at: tiles[at] for at in edge_tiles(size)}
    await connection.execute(_DROP_TILES, tenant_id, size)
    return size, edge, recorded_at
