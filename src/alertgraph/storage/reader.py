"""One tenant's rows as of one moment, on a connection that is taken when the first of them is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from typing import TypeAlias

import asyncpg

from alertgraph.core.cursor import LogCursor, log_start
from alertgraph.core.errors import DependencyError, NotFoundError, StaleDecisionError
from alertgraph.core.flush import Head
from alertgraph.core.ids import TenantId
from alertgraph.storage.database import DEPENDENCY, STORE_ERRORS, Connection, Database, translated
from alertgraph.storage.statement import Statement

Rows: TypeAlias = Sequence[asyncpg.Record]

_HEAD = """
    SELECT number, recorded_at, leaf, link, config_version, log_epoch, pruned_number, pruned_link
    FROM tenant_head WHERE tenant_id = $1
"""

# Without these, what has no index in its order is still sorted, and what has no index at all still scanned.
_IN_ORDER = "".join(
    f"; SET LOCAL {name} = {value}"
    for name, value in (
        ("plan_cache_mode", "force_custom_plan"),
        ("enable_sort", "off"),
        ("enable_bitmapscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("enable_seqscan", "off"),
        ("max_parallel_workers_per_gather", "0"),
    )
)


class Reader:
    """Statements that all see the same moment; concurrent callers take turns.

    Attributes:
        tenant_id: Whose rows can be seen.
    """

    def __init__(self, database: Database, tenant_id: TenantId) -> None:
        self.tenant_id = tenant_id
        self._database = database
        self._resources = AsyncExitStack()
        self._turn = asyncio.Lock()
        self._connection: Connection | None = None
        self._failed = False
        self._closed = False
        self._head: Head | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, database: Database, tenant_id: TenantId) -> AsyncIterator[Reader]:
        """Yield a reader; what it holds is given back at the end."""
        reader = cls(database, tenant_id)
        try:
            yield reader
        except BaseException as error:
            await reader._close(error)
            raise
        await reader._close(None)

    async def fetch(self, statement: str, *parameters: object) -> Rows:
        """Return the rows of a statement.

        Raises:
            DependencyError: The store is away, or took the snapshot from us because it was idle for too long.
        """
        async with self._turn:
            connection = await self._connect()
            return await self._fetch(connection, statement, parameters)

    async def run(self, statement: Statement) -> Rows:
        """Return the rows of a statement; one whose best plan depends on its values is planned for these.

        Raises:
            DependencyError: As for `fetch`.
        """
        if statement.is_keyed:
            return await self.fetch(statement.text, *statement.values)
        async with self._turn:
            connection = await self._connect()
            await self._execute(connection, "SET LOCAL plan_cache_mode = force_custom_plan")
            rows = await self._fetch(connection, statement.text, statement.values)
            await self._execute(connection, "SET LOCAL plan_cache_mode = force_generic_plan")
            return rows

    async def run_in_order(self, limit: timedelta, statement: Statement) -> Rows | None:
        """Return the rows of a statement, or None where that takes longer than `limit`; the snapshot goes on.

        It is planned for these very values, and so that rows are read in the order of an index wherever there is
        one, until there are enough: what the planner thinks of conditions on rows, it has too often thought wrong,
        and to collect all rows of a tenant and to sort them takes seconds.

        Raises:
            DependencyError: As for `fetch`.
        """
        milliseconds = int(limit / timedelta(milliseconds=1))
        async with self._turn:
            connection = await self._connect()
            # SET takes no parameters: the text is built from a whole number.
            await self._execute(
                connection, f"SAVEPOINT bounded; SET LOCAL statement_timeout = {milliseconds}{_IN_ORDER}"
            )
            with self._told():
                try:
                    rows: Rows | None = await self._read(connection, statement.text, statement.values)
                except asyncpg.QueryCanceledError:
                    rows = None
            # Also takes the settings back.
            await self._execute(connection, "ROLLBACK TO SAVEPOINT bounded")
            return rows

    async def renew(self) -> None:
        """Let go of the moment: what is read from here on is as of the next read."""
        async with self._turn:
            if self._failed and self._connection is not None:
                self._connection.terminate()
            held, self._resources = self._resources, AsyncExitStack()
            self._connection = self._head = None
            self._failed = False
            with suppress(DependencyError):
                await held.aclose()

    async def head(self) -> Head:
        """Return where the tenant's log ended at the snapshot's moment.

        Raises:
            NotFoundError: There is no such tenant any more.
        """
        if self._head is None:
            rows = await self.fetch(_HEAD, self.tenant_id)
            if not rows:
                raise NotFoundError("There is no such tenant.")
            self._head = Head(**rows[0])
        return self._head

    async def as_of(self) -> LogCursor:
        """Return the position behind the last event of the snapshot."""
        head = await self.head()
        if head.number == 0:
            return log_start(head.log_epoch)
        return LogCursor(head.log_epoch, head.number, head.recorded_at, head.leaf[:4])

    async def _connect(self) -> Connection:
        assert not self._closed, "the snapshot is over"
        if self._failed:
            # Inside a transaction that failed nothing can be read any more.
            raise DependencyError(DEPENDENCY, retryable=True)
        if self._connection is None:
            self._connection = await self._resources.enter_async_context(
                self._database.transaction(self.tenant_id, read_only=True, snapshot=True)
            )
        return self._connection

    async def _execute(self, connection: Connection, statement: str) -> None:
        with self._told():
            await connection.execute(statement)

    async def _fetch(self, connection: Connection, statement: str, parameters: Sequence[object]) -> Rows:
        with self._told():
            return await self._read(connection, statement, parameters)

    async def _read(self, connection: Connection, statement: str, parameters: Sequence[object]) -> Rows:
        rows: Rows = await connection.fetch(statement, *parameters)
        return rows

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Remember that the transaction is lost, and say so in our own words."""
        try:
            yield
        except STORE_ERRORS as error:
            self._failed = True
            ours = translated(error)
            # A standby cancels reads with the code of a conflict between writers.
            if isinstance(ours, StaleDecisionError):
                ours = DependencyError(DEPENDENCY, retryable=True)
            raise ours from error
        except BaseException:
            self._failed = True
            raise

    async def _close(self, error: BaseException | None) -> None:
        self._closed = True
        if self._failed and self._connection is not None:
            # One that the server closed is not ours any more.
            with suppress(asyncpg.InterfaceError):
                self._connection.terminate()
        # What was read stands, however its transaction ends: nothing was written.
        with suppress(DependencyError):
            await self._resources.__aexit__(type(error) if error is not None else None, error, None)
