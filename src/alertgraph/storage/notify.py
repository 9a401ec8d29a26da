"""Wake-ups between processes by PostgreSQL alone: LISTEN and NOTIFY on a connection of their own.

NOTIFY within the transaction that writes takes a lock of the whole cluster until the commit is durable: with 16
writers 0.28 of the throughput was left. So hints travel after the commit, in batches, on a connection that writes
nothing and therefore holds that lock for microseconds.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
from collections.abc import Sequence
from datetime import timedelta

import asyncpg

from alertgraph.core.hint import Hint, encode_hints
from alertgraph.services.ports import Clock, Dice, Observer
from alertgraph.services.wakeups import CHECK_INTERVAL, CHECK_TIMEOUT, Link, LinkedWakeups, Receive
from alertgraph.storage.database import STORE_ERRORS

CHANNEL = "alertgraph_wakeups"
# PostgreSQL refuses payloads of 8000 bytes; base64 makes 4 out of 3.
MESSAGE_SIZE_MAX = 7_999 // 4 * 3

_CLOSE_TIMEOUT = timedelta(seconds=1)
_NOTIFY = "SELECT pg_notify($1, message) FROM unnest($2::text[]) AS message"
_SERVER_SETTINGS = {
    "application_name": "alertgraph wake-ups",
    "search_path": "alertgraph",
    # A listener that vanished would keep the server's queue of notifications from being cut.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}


class PostgresWakeups(LinkedWakeups):
    """Wake-ups by LISTEN and NOTIFY. Fulfils `ports.Wakeups`.

    Args:
        dsn: A direct address: behind a pooler that shares connections between transactions, nothing is
            ever heard, and so `start` fails.
        clock: As in `LinkedWakeups`.
        dice: As in `LinkedWakeups`.
        observer: As in `LinkedWakeups`.
        role: What to become after connecting; None stays the login.
        check_interval: As in `LinkedWakeups`.
        check_timeout: As in `LinkedWakeups`.
    """

    def __init__(
        self,
        dsn: str,
        clock: Clock,
        dice: Dice,
        observer: Observer,
        *,
        role: str | None = "ag_api",
        check_interval: timedelta = CHECK_INTERVAL,
        check_timeout: timedelta = CHECK_TIMEOUT,
    ) -> None:
        super().__init__(
            "postgresql", clock, dice, observer, check_interval=check_interval, check_timeout=check_timeout
        )
        self._dsn = dsn
        self._server_settings = _SERVER_SETTINGS if role is None else {**_SERVER_SETTINGS, "role": role}

    async def _open(self, receive: Receive) -> Link:
        connection = await asyncpg.connect(self._dsn, server_settings=self._server_settings)
        link = _PostgresLink(connection, self._origin, receive)
        try:
            await link.subscribe()
        except BaseException:
            connection.terminate()
            raise
        return link


class _PostgresLink:
    """One connection that listens and notifies."""

    def __init__(self, connection: asyncpg.Connection, origin: bytes, receive: Receive) -> None:
        self._connection = connection
        self._origin = origin
        self._hand_on = receive
        self._turn = asyncio.Lock()
        self._echoed = asyncio.Event()
        self._ended = asyncio.Event()
        connection.add_termination_listener(lambda _: self._ended.set())

    async def subscribe(self) -> None:
        await self._connection.add_listener(CHANNEL, self._receive)

    async def send(self, hints: Sequence[Hint]) -> None:
        messages = encode_hints(self._origin, hints, MESSAGE_SIZE_MAX)
        # A sign of life may be asked for while a batch is on its way: a connection does one thing at a time.
        async with self._turn:
            await self._connection.execute(_NOTIFY, CHANNEL, [base64.b64encode(it).decode() for it in messages])

    async def run(self) -> None:
        await self._ended.wait()
        raise ConnectionResetError("the connection that listens was closed")

    async def check(self) -> None:
        # What we say comes back to us: only that proves that the connection we hold is the one that listens.
        self._echoed.clear()
        await self.send([])
        await self._echoed.wait()

    async def close(self) -> None:
        try:
            await self._connection.close(timeout=_CLOSE_TIMEOUT.total_seconds())
        except (TimeoutError, *STORE_ERRORS):
            self._connection.terminate()

    def _receive(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        message = b""
        # What is no base64 is no message either: the empty one says so, once.
        with contextlib.suppress(binascii.Error, ValueError):
            message = base64.b64decode(str(payload), validate=True)
        if self._hand_on(message):
            self._echoed.set()
