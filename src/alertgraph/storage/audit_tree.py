"""The trees that prove the logs: grown behind them a turn at a time, and read for proofs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

from alertgraph.core.checkpoint import Checkpoint, SignedCheckpoint, Tree
from alertgraph.core.ids import TenantId
from alertgraph.core.merkle import TileAt
from alertgraph.core.sealing import EVERY, EVERY_COUNT, Growth, Refusal, TreeState, tiles_for
from alertgraph.services.ports import AuditLag, SealingTurn
from alertgraph.storage.database import Connection, Database
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
                await _keep(connection, tenant_id, decision, signed)
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
        tiles = await _tiles(connection.fetch, tenant_id, tiles_for(size, kept_size))
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


async def _keep(connection: Connection, tenant_id: TenantId, growth: Growth, signed: SignedCheckpoint) -> None:
    places = sorted(growth.tiles)
    await connection.execute(
        _KEEP_TILES,
        tenant_id,
        [at.level for at in places],
        [at.index for at in places],
        [growth.tiles[at] for at in places],
    )
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
    return await _tiles(reader.fetch, reader.tenant_id, wanted)


async def _tiles(fetch: Any, tenant_id: TenantId, wanted: Collection[TileAt]) -> dict[TileAt, bytes]:
    if not wanted:
        return {}
    places = sorted(wanted)
    rows = await fetch(_TILES, tenant_id, [at.level for at in places], [at.index for at in places])
    return {TileAt(level, place): hashes for level, place, hashes in rows}


def signed_of(tenant_id: TenantId, row: Sequence[Any]) -> SignedCheckpoint:
    """Return the checkpoint that a row holds."""
    log_epoch, first_number, size, root, signed_at, public_key, signature = row
    tree = Tree(tenant_id, log_epoch, first_number)
    return SignedCheckpoint(Checkpoint(tree, size, root, signed_at), public_key, signature)
