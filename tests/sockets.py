"""Clients of graphql-transport-ws: one that a test leads by the hand, and one that follows the log as users do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

PROTOCOL = Subprotocol("graphql-transport-ws")
PATIENCE_SECONDS = 15.0
BATCHES = """subscription Follow($filter: EventFilter, $after: Cursor) {
  alertEventBatches(filter: $filter, after: $after) { cursor live events { number kind } }
}"""
# After these a client has something to mend; after any other it comes back.
FATAL_CLOSE_CODES = {4400, 4401, 4403, 4406, 4409, 4411, 4429}


class ClosedError(Exception):
    """The server closed the socket, or it broke (1006)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class Socket:
    """One socket that is logged in."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._count = 0

    async def subscribe(self, query: str, variables: Mapping[str, Any] | None = None) -> str:
        """Begin an operation; return its id."""
        self._count += 1
        payload = {"query": query, "variables": dict(variables or {})}
        await self.say({"id": str(self._count), "type": "subscribe", "payload": payload})
        return str(self._count)

    async def say(self, message: Mapping[str, Any]) -> None:
        """Send a message."""
        await self.connection.send(orjson.dumps(message).decode())

    async def hear(self, patience: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """Return the next message that is no ping.

        Raises:
            ClosedError: There is none.
        """
        try:
            async with asyncio.timeout(patience):
                while True:
                    message = orjson.loads(await self.connection.recv())
                    if message["type"] != "ping":
                        return dict(message)
                    await self.say({"type": "pong"})
        except ConnectionClosed as closed:
            frame = closed.rcvd
            raise ClosedError(frame.code if frame else 1006, frame.reason if frame else "") from None

    async def data(self, patience: float = PATIENCE_SECONDS) -> Any:
        """Return the one field of the next answer's data."""
        message = await self.hear(patience)
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        (value,) = message["payload"]["data"].values()
        return value

    async def closed(self, patience: float = PATIENCE_SECONDS) -> ClosedError:
        """Read until the socket is closed; return how."""
        deadline = time.monotonic() + patience
        try:
            while True:
                await self.hear(max(0.0, deadline - time.monotonic()))
        except ClosedError as closed:
            return closed


@asynccontextmanager
async def opened(url: str, key: str, **options: Any) -> AsyncIterator[Socket]:
    """Yield a socket that is logged in.

    Raises:
        ClosedError: The server let nobody in.
        OSError, InvalidHandshake: It could not be reached.
    """
    # What a client has not read stays on the wire, so that the server feels it.
    options = {"max_queue": 4, "max_size": 1 << 24, "close_timeout": 1, **options}
    async with connect(
        url, subprotocols=[PROTOCOL], compression=None, ping_interval=None, proxy=None, **options
    ) as connection:
        socket = Socket(connection)
        await socket.say({"type": "connection_init", "payload": {"authorization": f"Bearer {key}"}})
        acknowledged = await socket.hear()
        assert acknowledged["type"] == "connection_ack", acknowledged
        yield socket


class Follower:
    """Follows the log, and comes back with its last cursor whenever its connection ends.

    Attributes:
        numbers: Of all events that came, in the order in which they came.
        kinds: What each of them says, in the same order.
        heard_at: When each came, by the monotonic clock.
        cursor: Where it goes on.
        lives: What each batch said of being live.
        connects: How often it was let in.
        closes: How its connections ended.
        refusals: Codes of errors in place of a stream.
    """

    def __init__(
        self, url: str, key: str, *, after: str | None = None, filter: Mapping[str, Any] | None = None
    ) -> None:
        self._url, self._key, self._filter = url, key, filter
        self.cursor = after
        self.numbers: list[int] = []
        self.kinds: list[str] = []
        self.heard_at: list[float] = []
        self.lives: list[bool] = []
        self.connects = 0
        self.closes: list[ClosedError] = []
        self.refusals: list[str] = []
        self._task: asyncio.Task[None] | None = None
        self._socket: Socket | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def cut(self) -> None:
        """Break the connection off, as a network does."""
        if self._socket is not None:
            self._socket.connection.transport.abort()

    async def until(self, condition: Callable[[], bool], patience: float = PATIENCE_SECONDS) -> None:
        """Wait until something holds of what was heard."""
        deadline = time.monotonic() + patience
        while not condition():
            assert self._task is not None
            if self._task.done():
                await self._task
            assert time.monotonic() < deadline, (
                f"{len(self.numbers)} events, last {self.numbers[-1:]}, closed {self.closes}"
            )
            await asyncio.sleep(0.005)

    async def until_number(self, number: int, patience: float = PATIENCE_SECONDS) -> None:
        """Wait until an event was heard."""
        await self.until(lambda: bool(self.numbers) and self.numbers[-1] >= number, patience)

    async def _run(self) -> None:
        while True:
            try:
                await self._connection()
            except ClosedError as closed:
                self.closes.append(closed)
                if closed.code in FATAL_CLOSE_CODES:
                    raise
            except (OSError, InvalidHandshake, ConnectionClosed, EOFError):
                pass  # nobody there, or going away: come again
            await asyncio.sleep(0.05)

    async def _connection(self) -> None:
        async with opened(self._url, self._key) as socket:
            self.connects += 1
            self._socket = socket
            await socket.subscribe(BATCHES, {"filter": self._filter, "after": self.cursor})
            while True:
                message = await socket.hear(patience=60.0)
                if message["type"] != "next":
                    self.refusals.append(message["payload"][0]["extensions"]["code"])
                    assert self.refusals[-1] == "UNAVAILABLE", message
                    return
                assert "errors" not in message["payload"], message
                batch = message["payload"]["data"]["alertEventBatches"]
                self.numbers += [event["number"] for event in batch["events"]]
                self.kinds += [event["kind"] for event in batch["events"]]
                self.heard_at += [time.monotonic()] * len(batch["events"])
                self.lives.append(batch["live"])
                self.cursor = batch["cursor"]
