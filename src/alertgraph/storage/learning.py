"""What those who learn keep in PostgreSQL: states with their places in the log, leases, and reports."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from asyncpg import Record

from alertgraph.core.cursor import LogCursor, log_start
from alertgraph.core.errors import DependencyError, NotFoundError
from alertgraph.core.ids import TenantId
from alertgraph.services.ports import LearningReport, LeaseLostError, LostCommitError, SavedState
from alertgraph.storage.database import DEPENDENCY, Connection, Database

PREDICTOR = "predictor"

# Fast: it is done every few seconds, on what is mostly numbers.
_LEVEL = 1
# Compressing less than this takes no longer than handing it to a thread.
_SMALL = 32 * 1024
SAVE_WITHIN = timedelta(seconds=20)

_LOAD = """
SELECT name, log_epoch, number, recorded_at, hash_start, content FROM learning_state WHERE tenant_id = $1
"""
# Whoever takes the tenant over meanwhile waits until this has been saved.
_IS_MINE = """
SELECT 1 FROM learning_lease WHERE tenant_id = $1 AND task = $2 AND holder = $3 FOR SHARE
"""
_SAVE = """
INSERT INTO learning_state (tenant_id, name, log_epoch, number, recorded_at, hash_start, content)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (tenant_id, name) DO UPDATE SET log_epoch = excluded.log_epoch, number = excluded.number,
    recorded_at = excluded.recorded_at, hash_start = excluded.hash_start, content = excluded.content,
    saved_at = now()
"""
_HEAD = "SELECT number, recorded_at, leaf, log_epoch, pruned_number FROM tenant_head WHERE tenant_id = $1"
_FIRST_SINCE = """
SELECT number, recorded_at FROM event
WHERE tenant_id = $1 AND number > $2 AND recorded_at >= $3 ORDER BY number LIMIT 1
"""


class PostgresLearningStates:
    """States and leases of one process. Fulfils `services.ports.LearningStates`.

    Args:
        database: Where they are kept.
        task: What it does; each task has leases of its own.
        holder: Names the process, for as long as it lives and no longer than it is the only one of that name.
    """

    def __init__(self, database: Database, task: str, holder: UUID) -> None:
        self._database = database
        self._task = task
        self._holder = holder

    async def claim(self, lease: timedelta) -> tuple[Sequence[TenantId], int]:
        """Take tenants that nobody has; return them and how many this process should have in all."""
        async with self._database.connection() as connection:
            share, ids = await connection.fetchrow(
                "SELECT share, tenant_ids FROM claim_learning($1, $2, $3)", self._task, self._holder, lease
            )
        return [TenantId(one) for one in ids], share

    async def renew(self, lease: timedelta) -> frozenset[TenantId]:
        """Hold what this process has for that long from now, and return it."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT id FROM renew_learning($1, $2, $3) AS id", self._task, self._holder, lease
            )
        return frozenset(TenantId(row[0]) for row in rows)

    async def release(self, tenant_ids: Collection[TenantId]) -> None:
        """Let other processes have these tenants at once."""
        async with self._database.connection() as connection:
            await connection.execute(
                "SELECT release_learning($1, $2, $3)", self._task, self._holder, list(tenant_ids)
            )

    async def load(self, tenant_id: TenantId) -> Mapping[str, SavedState]:
        """Return a tenant's states by their readers' names."""
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            rows = await connection.fetch(_LOAD, tenant_id)
        if sum(len(row["content"]) for row in rows) < _SMALL:
            return _states_of(rows)
        return await asyncio.to_thread(_states_of, rows)

    async def save(self, tenant_id: TenantId, states: Mapping[str, SavedState]) -> None:
        """Keep states in place of those of the same names: all of them or none.

        Raises:
            LeaseLostError: Another process has the tenant; nothing was kept.
            DependencyError: The store is away; whether it was kept is not known, and saving again is right anyhow.
        """
        if sum(len(state.content) for state in states.values()) < _SMALL:
            contents = _compressed(states)
        else:
            contents = await asyncio.to_thread(_compressed, states)

        async def keep(connection: Connection) -> None:
            if await connection.fetchval(_IS_MINE, tenant_id, self._task, self._holder) is None:
                raise LeaseLostError("another process has the tenant")
            for name, state in sorted(states.items()):
                at = state.cursor
                await connection.execute(
                    _SAVE,
                    tenant_id,
                    name,
                    at.log_epoch,
                    at.number,
                    at.recorded_at,
                    at.hash_start,
                    contents[name],
                )

        try:
            # Where it is lost, one before it is there, and events are taken again from that.
            await self._database.write(tenant_id, keep, within=SAVE_WITHIN, is_remade=True)
        except LostCommitError as error:
            raise DependencyError(DEPENDENCY, retryable=True) from error

    async def start_of(self, tenant_id: TenantId, since: datetime, length_max: int) -> LogCursor:
        """Return where to begin in a log: with what was recorded since then, and no more events than that.

        Raises:
            NotFoundError: There is no such tenant.
        """
        async with self._database.transaction(tenant_id, read_only=True, snapshot=True) as connection:
            head = await connection.fetchrow(_HEAD, tenant_id)
            if head is None:
                raise NotFoundError("There is no such tenant.")
            after = max(head["pruned_number"], head["number"] - length_max)
            first = await connection.fetchrow(_FIRST_SINCE, tenant_id, after, since)
        if first is None:
            if head["number"] == 0:
                return log_start(head["log_epoch"])
            return LogCursor(head["log_epoch"], head["number"], head["recorded_at"], head["leaf"][:4])
        if first["number"] == 1:
            return log_start(head["log_epoch"])
        # Behind the event before it, of which nothing is needed but that it is not later.
        return LogCursor(head["log_epoch"], first["number"] - 1, first["recorded_at"], bytes(4))


class PostgresLearningReports:
    """What processes of a task say of themselves. Fulfils `services.ports.LearningReports`.

    Args:
        database: Where it is kept.
        task: Of the processes.
        own_id: Names this process; None for one that only listens.
    """

    def __init__(self, database: Database, task: str, own_id: UUID | None = None) -> None:
        self._database = database
        self._task = task
        self._own_id = own_id

    async def report(self, report: LearningReport) -> None:
        """Say how this process does."""
        async with self._database.connection() as connection:
            await connection.execute(
                "SELECT report_learning($1, $2, $3, $4, $5, $6, $7, $8)",
                self._own_id,
                self._task,
                report.host,
                report.pid,
                report.why_not,
                report.tenant_count,
                report.behind,
                report.behind_seconds,
            )

    async def withdraw(self) -> None:
        """Say that this process ends."""
        async with self._database.connection() as connection:
            await connection.execute("SELECT withdraw_learning($1)", self._own_id)

    async def alive(self) -> Sequence[LearningReport]:
        """Return what those say that have said something in the last 15 seconds."""
        async with self._database.connection() as connection:
            rows = await connection.fetch("SELECT * FROM learning_processes($1)", self._task)
        return [LearningReport(**row) for row in rows]


def _states_of(rows: Sequence[Record]) -> dict[str, SavedState]:
    return {
        row["name"]: SavedState(
            LogCursor(row["log_epoch"], row["number"], row["recorded_at"], row["hash_start"]),
            zlib.decompress(row["content"]),
        )
        for row in rows
    }


def _compressed(states: Mapping[str, SavedState]) -> dict[str, bytes]:
    return {name: zlib.compress(state.content, _LEVEL) for name, state in states.items()}
