"""Connections to PostgreSQL: a pool that runs as the service's role, and errors that say what can be done."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

import asyncpg

from alertgraph.core.errors import DependencyError, StaleDecisionError
from alertgraph.core.ids import TenantId
from alertgraph.services.ports import LostCommitError, PoisonError
from alertgraph.storage.migrate import API, SCHEMA, dsn_of, owner_settings
from alertgraph.storage.rows import decode_json, encode_json

DEPENDENCY = "postgresql"
POOL_SIZE = 8

# The safety net: whatever hangs, hangs for a bounded time, and holds no lock meanwhile.
_LIMITS = {
    "idle_in_transaction_session_timeout": "2s",
    "lock_timeout": "1s",
    "statement_timeout": "30s",
    # A statement whose client has hung up ends too, instead of running on for nobody.
    "client_connection_check_interval": "500ms",
}
_CONNECT_SECONDS = 10.0
# Longer than the server's own limit, for networks that swallow answers.
_COMMAND_SECONDS = 35.0
_ACQUIRE_SECONDS = 10.0
# After this long without an answer a commit counts as lost.
COMMIT_WITHIN = timedelta(seconds=10)
# So long a connection may wait for another transaction after one that only read, before that is ended for itself.
_LINGER_SECONDS = 0.02

# asyncpg has no types: a connection of the pool, in its proxy.
Connection: TypeAlias = Any
T = TypeVar("T")

# What asyncpg raises when a statement or its connection fails: all of it becomes an error of ours.
STORE_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, EOFError)


class Database:
    """The service's connections to one database.

    Every connection runs as one role that row-level security binds, and sees no row before a transaction names
    its tenant. A connection that saw an error or a cancellation inside a transaction is closed, never reused.
    """

    def __init__(self, pool: Any, url: str, pool_size: int) -> None:
        self._pool = pool
        self._url = url
        self._pool_size = pool_size
        # How many connections the pool has lent. It makes and ends them; between us they go from hand to hand,
        # since its own way of lending costs as much as a short statement.
        self._lent_count = 0
        self._at_hand: list[Connection] = []
        # Likewise, but still inside a transaction that only read: the next one's begin ends it, without a message
        # that somebody would wait for. Where none comes, the timer sees to it.
        self._lingering: dict[Connection, asyncio.TimerHandle] = {}
        self._endings: set[asyncio.Task[None]] = set()
        # Those who wait, in order. Each gets a connection and whether it is still inside a transaction that only
        # read, or None where it may look again.
        self._waiting: deque[asyncio.Future[tuple[Connection, bool] | None]] = deque()
        self._is_closing = False
        # Commits whose caller was cancelled, by the connection they still use.
        self._alone: dict[Connection, asyncio.Task[None]] = {}

    @property
    def busy_count(self) -> int:
        """How many connections somebody works with at this moment."""
        return self._lent_count - len(self._at_hand) - len(self._lingering)

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        pool_size: int = POOL_SIZE,
        role: str = API,
        application_name: str = "alertgraph",
    ) -> Database:
        """Return a database that was reached once; further connections are made as they are needed.

        Args:
            url: As libpq writes it, with several hosts where there are standbys.
            pool_size: How many connections at most.
            role: The role to run as; the login must be a member of it.
            application_name: What the server's own views call us.

        Raises:
            DependencyError: The server can't be reached or refuses us; the message says which.
        """
        try:
            pool = asyncpg.create_pool(
                dsn_of(url),
                min_size=0,
                init_size=1,
                max_size=pool_size,
                max_queries=1_000_000,
                timeout=_CONNECT_SECONDS,
                command_timeout=_COMMAND_SECONDS,
                server_settings={
                    "role": role,
                    "search_path": SCHEMA,
                    "application_name": application_name,
                    # Compiling pays off in long queries only, of which there are none here.
                    "jit": "off",
                    # Statements look rows up by keys and in the order of an index: planning a dozen partitions
                    # anew each time takes longer than reading them. Those it does not suit say so.
                    "plan_cache_mode": "force_generic_plan",
                    **_LIMITS,
                },
                init=_set_codecs,
                reset=_keep,
            )
            await pool
        except (*STORE_ERRORS, ValueError) as error:
            raise _connect_error(error) from error
        return cls(pool, url, pool_size)

    @property
    def url(self) -> str:
        """Where it is; holds the password, so it belongs in no log."""
        return self._url

    async def close(self) -> None:
        """Close every connection, once what is under way has ended."""
        self._is_closing = True
        while self._lingering:
            connection, timer = self._lingering.popitem()
            timer.cancel()
            await self._end_reading(connection)
        await asyncio.gather(*self._endings)
        while self._at_hand:
            await self._release(self._at_hand.pop())
        try:
            await asyncio.wait_for(self._pool.close(), timeout=_ACQUIRE_SECONDS)
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection on which each statement is a transaction of its own.

        No row of any tenant is visible on it, but through functions that name the tenant themselves.

        Raises:
            DependencyError: The store is away or failed.
        """
        connection = await self._acquire()
        try:
            yield connection
        except STORE_ERRORS as error:
            if not isinstance(error, asyncpg.PostgresError):
                _discard(connection)
            raise translated(error) from error
        except asyncio.CancelledError:
            _discard(connection)
            raise
        finally:
            await self._give_back(connection)

    @asynccontextmanager
    async def transaction(
        self,
        tenant_id: TenantId,
        *,
        read_only: bool = False,
        snapshot: bool = False,
        keeps: bool = True,
        is_remade: bool = False,
    ) -> AsyncIterator[Connection]:
        """Lend a connection inside a transaction that sees this tenant's rows; commit at the end.

        Args:
            tenant_id: Whose rows.
            read_only: Refuse to write.
            snapshot: Every statement sees the same moment.
            keeps: Whether there is anything to commit; without it the end is a rollback, which can't get lost.
            is_remade: Whether what is written would be made again where the machine loses it: then nobody waits
                until it is on the disk. What is written later is lost sooner.

        Raises:
            DependencyError: The store is away or failed; nothing was written.
            StaleDecisionError: Another transaction was faster; nothing was written.
            LostCommitError: The connection broke while the commit was awaited.
            PoisonError: The store refuses these values; nothing was written.
        """
        connection, has_read = self._still_reading() or await self._lend()
        passed_on = False
        try:
            if read_only:
                _send_begin(connection, tenant_id, snapshot=snapshot, ends_another=has_read)
            else:
                await begin(connection, tenant_id, snapshot=snapshot, ends_another=has_read, is_remade=is_remade)
            try:
                yield connection
            except (*STORE_ERRORS, asyncio.CancelledError, GeneratorExit):
                raise
            except BaseException:
                # The caller changed its mind: the connection itself is sound.
                await connection.execute("ROLLBACK")
                raise
            if read_only:
                passed_on = await self._linger(connection)
            elif not keeps:
                await connection.execute("ROLLBACK")
            else:
                await self._uncancelled(connection, _end, COMMIT_WITHIN)
        except STORE_ERRORS as error:
            _discard(connection)
            raise translated(error) from error
        except (asyncio.CancelledError, GeneratorExit, LostCommitError):
            if connection not in self._alone:
                _discard(connection)
            raise
        finally:
            if not passed_on:
                await self._give_back(connection)

    async def commit(self, work: Callable[[Connection], Awaitable[T]], *, within: timedelta = COMMIT_WITHIN) -> T:
        """Return what `work` returns, which writes: it runs to its end even where the caller is cancelled.

        Args:
            work: Sends one statement on the connection it is given.
            within: After this long the connection is closed, and nobody knows whether it was committed.

        Raises:
            LostCommitError: The answer did not come: it may have happened or not.
            StaleDecisionError: Refused by the store for what has changed; nothing was written.
            PoisonError: The store refuses these values; nothing was written.
            DependencyError: The store is away; nothing was written.
        """

        async def sent(connection: Connection) -> T:
            return await _answer_of(work, connection)

        return await self._run(sent, within)

    async def write(
        self,
        tenant_id: TenantId,
        work: Callable[[Connection], Awaitable[T]],
        *,
        within: timedelta = COMMIT_WITHIN,
        is_remade: bool = False,
    ) -> T:
        """Return what `work` returns, which does several things in one transaction of the tenant.

        It runs to its end even where the caller is cancelled, and is undone where `work` raises. For `is_remade`
        see `transaction`.

        Raises:
            The same as `commit`, and whatever `work` raises of its own.
        """

        async def whole(connection: Connection) -> T:
            await begin(connection, tenant_id, is_remade=is_remade)
            try:
                result = await work(connection)
            except STORE_ERRORS:
                raise
            except Exception:
                await connection.execute("ROLLBACK")
                raise
            await _end(connection)
            return result

        return await self._run(whole, within)

    async def _run(self, work: Callable[[Connection], Coroutine[Any, Any, T]], within: timedelta) -> T:
        connection = await self._acquire()
        try:
            return await self._uncancelled(connection, work, within)
        except LostCommitError:
            _discard(connection)
            raise
        except STORE_ERRORS as error:
            raise translated(error) from error
        finally:
            await self._give_back(connection)

    async def _uncancelled(
        self, connection: Connection, work: Callable[[Connection], Coroutine[Any, Any, T]], within: timedelta
    ) -> T:
        task = asyncio.ensure_future(work(connection))
        try:
            await asyncio.wait({task}, timeout=within.total_seconds())
        except asyncio.CancelledError:
            # It goes on without us, and gives the connection back when it has ended.
            ending = asyncio.ensure_future(self._end_alone(task, connection, within))
            self._alone[connection] = ending
            raise
        if not task.done():
            _discard(connection)
            with suppress(*STORE_ERRORS, LostCommitError):
                await task
            raise LostCommitError("no answer to a commit in time")
        return task.result()

    async def _end_alone(self, task: asyncio.Task[Any], connection: Connection, within: timedelta) -> None:
        await asyncio.wait({task}, timeout=within.total_seconds())
        if not task.done():
            _discard(connection)
        # Whoever asked has left: the error, where there is one, is nobody's any more.
        if isinstance((await asyncio.gather(task, return_exceptions=True))[0], BaseException):
            _discard(connection)
        del self._alone[connection]
        await self._give_back(connection)

    async def _linger(self, connection: Connection) -> bool:
        """Pass on a connection whose transaction only read and has not ended, or keep it at hand; say whether."""
        if not _is_open(connection):
            # Whoever read lost it; it is given back as it is.
            return False
        if self._is_closing:
            await connection.execute("ROLLBACK")
            return False
        if not self._hand_over(connection, has_read=True):
            loop = asyncio.get_running_loop()
            self._lingering[connection] = loop.call_later(_LINGER_SECONDS, self._end_lingering, connection)
        return True

    def _still_reading(self) -> tuple[Connection, bool] | None:
        """Return a connection whose transaction only read, to begin another one on; None where there is none."""
        while self._lingering:
            connection, timer = self._lingering.popitem()
            timer.cancel()
            if _is_open(connection):
                return connection, True
            # What the server closed has nothing left to be ended; the pool is told.
            self._spawn(self._release(connection))
        return None

    def _end_lingering(self, connection: Connection) -> None:
        del self._lingering[connection]
        self._spawn(self._end_reading(connection))

    async def _end_reading(self, connection: Connection) -> None:
        try:
            await connection.execute("ROLLBACK")
        except STORE_ERRORS:
            _discard(connection)
        await self._give_back(connection)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def _give_back(self, connection: Connection) -> None:
        if connection in self._alone:
            return
        if _is_open(connection):
            if connection.is_in_transaction():
                _discard(connection)
            elif self._hand_over(connection, has_read=False):
                return
            elif not self._is_closing:
                self._at_hand.append(connection)
                return
        await self._release(connection)

    def _hand_over(self, connection: Connection, *, has_read: bool) -> bool:
        """Give a connection to who waits longest; False where nobody does."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result((connection, has_read))
                return True
        return False

    def _wake(self) -> None:
        """Have who waits longest look again: there is room for another connection."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
                return

    async def _release(self, connection: Connection) -> None:
        # What can fail here has failed before, and was told.
        with suppress(*STORE_ERRORS):
            await self._pool.release(connection, timeout=_CONNECT_SECONDS)
        self._lent_count -= 1
        self._wake()

    async def _acquire(self) -> Connection:
        """Return a connection that is inside no transaction."""
        while True:
            connection, has_read = await self._lend()
            if not has_read:
                return connection
            try:
                await connection.execute("ROLLBACK")
            except STORE_ERRORS:
                # It was lost while nobody used it; another one will do.
                _discard(connection)
                await self._release(connection)
            except BaseException:
                _discard(connection)
                self._spawn(self._release(connection))
                raise
            else:
                return connection

    async def _lend(self) -> tuple[Connection, bool]:
        """Return a connection, and whether it is still inside a transaction that only read."""
        until = asyncio.get_running_loop().time() + _ACQUIRE_SECONDS
        while True:
            while self._at_hand:
                # The one used last: what its server process has at hand is the newest.
                connection = self._at_hand.pop()
                if _is_open(connection):
                    return connection, False
                await self._release(connection)
            reading = self._still_reading()
            if reading is not None:
                return reading
            if self._lent_count < self._pool_size:
                return await self._made(), False
            lent = await self._wait(until)
            if lent is not None:
                if _is_open(lent[0]):
                    return lent
                await self._release(lent[0])

    async def _made(self) -> Connection:
        self._lent_count += 1
        try:
            return await self._pool.acquire(timeout=_ACQUIRE_SECONDS)
        except BaseException as error:
            self._lent_count -= 1
            self._wake()
            if isinstance(error, TimeoutError):
                raise DependencyError(DEPENDENCY, retryable=True) from error
            if isinstance(error, STORE_ERRORS):
                raise _connect_error(error) from error
            raise

    async def _wait(self, until: float) -> tuple[Connection, bool] | None:
        """Return what is handed over to us; None where we may look again ourselves."""
        waiting: asyncio.Future[tuple[Connection, bool] | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            async with asyncio.timeout_at(until):
                return await waiting
        except BaseException as error:
            if waiting.done() and not waiting.cancelled():
                # It came at the moment in which we stopped waiting: somebody else shall have it.
                lent = waiting.result()
                if lent is None:
                    self._wake()
                elif not self._hand_over(lent[0], has_read=lent[1]):
                    self._spawn(self._end_reading(lent[0]) if lent[1] else self._give_back(lent[0]))
            if isinstance(error, TimeoutError):
                raise DependencyError(DEPENDENCY, retryable=True) from error
            raise


@asynccontextmanager
async def owner_connection(url: str) -> AsyncIterator[Connection]:
    """Lend a connection of its own that runs as the owner of the tables and sees every tenant.

    For the operator's commands and for housekeeping, never for a request.

    Raises:
        DependencyError: The store is away or failed, or the login may not act as the owner.
    """
    try:
        connection = await asyncpg.connect(
            dsn_of(url),
            timeout=_CONNECT_SECONDS,
            server_settings={**owner_settings(), "lock_timeout": "1s"},
        )
    except (*STORE_ERRORS, ValueError) as error:
        raise _connect_error(error) from error
    try:
        await _set_codecs(connection)
        yield connection
    except STORE_ERRORS as error:
        raise translated(error) from error
    finally:
        with suppress(*STORE_ERRORS):
            await connection.close(timeout=_CONNECT_SECONDS)


def translated(error: BaseException) -> Exception:
    """Return the error of ours that says what a store's error means; messages hold no values."""
    if isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError):
        # asyncpg itself could not encode a value; its message quotes the value.
        return PoisonError("a value does not fit its column")
    if not isinstance(error, asyncpg.PostgresError):
        return DependencyError(DEPENDENCY, retryable=True)
    state = str(error.sqlstate or "")
    match state[:2]:
        case _ if state in ("40001", "40P01"):
            return StaleDecisionError(str(error.args[0]) if error.args else "stale")
        case _ if state == "23505":
            # What was free when it was decided on is not any more.
            return StaleDecisionError(f"stale: {error.constraint_name}")
        case "23" if _is_missing_partition(error):
            # The month's partition went away between the look and the insert.
            return StaleDecisionError("a partition was retired meanwhile")
        case "22" | "23" | "54":
            return PoisonError(f"SQLSTATE {state} {error.constraint_name or ''}".strip())
        case "P0":
            return PoisonError(str(error.args[0]) if error.args else state)
        case "08" | "0A" | "25" | "40" | "53" | "55" | "57" | "58" | "XX":
            return DependencyError(DEPENDENCY, retryable=True)
        case _:
            return DependencyError(
                DEPENDENCY, retryable=False, message=f"The database refused a statement with SQLSTATE {state}."
            )


def _is_missing_partition(error: asyncpg.PostgresError) -> bool:
    return (
        error.sqlstate == "23514"
        and not error.constraint_name
        and error.table_name in ("alert_closed", "delivery", "delivery_attempt")
    )


def _connect_error(error: BaseException) -> DependencyError:
    state = str(getattr(error, "sqlstate", None) or "")
    if state == "42501":
        message = "The login may not act as the service's role: run the migrations with its URL."
    elif state == "22023":
        message = "The database is not prepared for alertgraph: run `alertgraph migrate` first."
    elif state[:2] in ("28", "3D"):
        message = "The database refuses the login: check the user, the password and the name of the database."
    elif isinstance(error, ValueError):
        message = "The database's URL can't be understood: check its spelling."
    else:
        return DependencyError(DEPENDENCY, retryable=True)
    return DependencyError(DEPENDENCY, retryable=False, message=message)


async def _answer_of(work: Callable[[Connection], Awaitable[T]], connection: Connection) -> T:
    try:
        return await work(connection)
    except asyncpg.PostgresError as error:
        # A server that goes down may have committed before it said so.
        if str(error.sqlstate or "")[:2] in ("08", "57") and error.sqlstate != "57014":
            raise LostCommitError("the server ended the connection") from error
        raise
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, EOFError) as error:
        if isinstance(error, ValueError):
            # It was never sent.
            raise
        raise LostCommitError("the connection broke") from error


async def begin(
    connection: Connection,
    tenant_id: TenantId,
    *,
    snapshot: bool = False,
    ends_another: bool = False,
    is_remade: bool = False,
) -> None:
    """Begin a transaction that sees this tenant's rows, in one message.

    Args:
        connection: On which.
        tenant_id: Whose rows.
        snapshot: Every statement sees the same moment.
        ends_another: Whether one that only read is still open there.
        is_remade: Whether its end need not wait for the disk.
    """
    before = ["ROLLBACK"] if ends_another else []
    after = ["SET LOCAL synchronous_commit = off"] if is_remade else []
    await connection.execute("; ".join([*before, _begin(snapshot), _set_tenant(tenant_id), *after]))


def _send_begin(connection: Connection, tenant_id: TenantId, *, snapshot: bool, ends_another: bool) -> None:
    """Begin a transaction that only reads, likewise, without waiting for the answer.

    It goes out just before the first statement, and is answered with it: of what a short read costs, waiting for
    one answer after the other is the larger part. Should it fail, the statement does.
    """
    before = _message("ROLLBACK") if ends_another else b""
    begun = _message(f"{_begin(snapshot)} READ ONLY")
    # Past asyncpg, which knows of one statement at a time. Answers to messages of the extended protocol come with
    # the next Sync, and asyncpg leaves aside those that it does not wait for.
    connection._con._transport.write(before + begun + _message(_set_tenant(tenant_id)))


def _begin(snapshot: bool) -> str:  # noqa: FBT001 - as the statement has it
    return "BEGIN ISOLATION LEVEL REPEATABLE READ" if snapshot else "BEGIN"


def _set_tenant(tenant_id: TenantId) -> str:
    # SET takes no parameters: the text is built from a UUID and nothing else.
    return f"SET LOCAL app.tenant_id = '{UUID(int=tenant_id.int)}'"


@lru_cache(maxsize=1024)
def _message(statement: str) -> bytes:
    """Return the messages that have a statement executed: Parse, Bind and Execute, with no name and no values."""
    parse = b"\0%b\0\0\0" % statement.encode()
    bind, execute = b"\0\0\0\0\0\0\0\0", b"\0\0\0\0\0"
    return b"".join(
        kind + (len(body) + 4).to_bytes(4, "big") + body
        for kind, body in ((b"P", parse), (b"B", bind), (b"E", execute))
    )


async def _end(connection: Connection) -> None:
    await _answer_of(_commit, connection)


async def _commit(connection: Connection) -> None:
    await connection.execute("COMMIT")


async def _set_codecs(connection: Connection) -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=encode_json, decoder=decode_json, format="binary"
    )


async def _keep(_: Connection) -> None:
    """Nothing to undo: nobody changes a session here, and a doubtful connection was closed."""


def _is_open(connection: Connection) -> bool:
    # One that was closed has left the pool, and answers no question any more.
    with suppress(asyncpg.InterfaceError):
        return not connection.is_closed()
    return False


def _discard(connection: Connection) -> None:
    # One that was closed already has left the pool, which asyncpg takes for a mistake.
    with suppress(asyncpg.InterfaceError):
        connection.terminate()
