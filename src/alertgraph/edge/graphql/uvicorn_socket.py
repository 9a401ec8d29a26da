"""Uvicorn's websocket protocol with two gaps closed and a direct way to write; name it as the server's `ws` class.

Without it everything works, but a frame of bad UTF-8 writes a traceback into the log, a client that never reads
keeps its socket and what was buffered for it, as a close only takes effect once the buffer is empty, and what goes
to many sockets is framed and scheduled for each.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from alertgraph.edge.graphql.connections import WRITER
from alertgraph.edge.graphql.uvicorn_room import UNREAD_SIZE_MAX, TellingRoom

LINGER_S: Final = 15.0
"""For a client to read what is left and the close frame, after the application has ended."""


class _Gate:
    """What uvicorn needs of asyncio.Event, in a tenth of the memory: a socket is idle nearly always."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        # None while it is open.
        self._waiting: asyncio.Future[None] | None = None

    def is_set(self) -> bool:
        return self._waiting is None

    def set(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def clear(self) -> None:
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_future()

    async def wait(self) -> None:
        while self._waiting is not None:
            # Others may wait for the same.
            await asyncio.shield(self._waiting)


class _Inbox:
    """What uvicorn needs of asyncio.Queue, likewise; one reads."""

    __slots__ = ("_arrived", "_messages")

    def __init__(self) -> None:
        self._messages: list[Any] = []
        self._arrived: asyncio.Future[None] | None = None

    def empty(self) -> bool:
        return not self._messages

    def put_nowait(self, message: Any) -> None:
        self._messages.append(message)
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    async def get(self) -> Any:
        while not self._messages:
            self._arrived = asyncio.get_running_loop().create_future()
            try:
                await self._arrived
            finally:
                self._arrived = None
        # Reading is paused while a message is not taken, so there are never many.
        return self._messages.pop(0)


class CleanWebSocketProtocol(TellingRoom, WebSocketsSansIOProtocol):
    """Closes bad UTF-8 with 1007 and without a word, lets go of clients that do not read, writes ready frames.

    Fulfils `connections.FrameWriter`.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.queue = _Inbox()  # type: ignore[assignment]
        self.writable = _Gate()  # type: ignore[assignment]

    def handle_connect(self, event: Request) -> None:
        """Begin a connection, with a way to write to it directly."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope["extensions"] = {**(self.scope["extensions"] or {}), WRITER: {"writer": self}}

    def data_received(self, data: bytes) -> None:
        """Take what has come; the handshake, once it is over, is let go of."""
        if self.handshake_complete and "request" in self.__dict__:
            # Kilobytes for as long as the connection lives, which nobody asks for any more. The parser holds on to
            # the request itself.
            self.request.headers.clear()
            del self.request, self.response
        super().data_received(data)

    def write(self, frames: bytes) -> bool:
        """Write whole frames without waiting; False where the client has too much to read already."""
        if self.transport.get_write_buffer_size() > UNREAD_SIZE_MAX:
            return False
        # Whoever has gone, or was told to go, hears nothing more.
        if not self.close_sent and not self.disconnected:
            self.transport.write(frames)
        return True

    def send_receive_event_to_app(self) -> None:
        """Hand a whole message to the application, unless it is not what it says it is."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
            try:
                data.decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(1007, "Messages must be UTF-8")
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    async def run_asgi(self) -> None:
        """Run the application, then see to it that the transport ends."""
        await super().run_asgi()
        if not self.disconnected:
            self.loop.call_later(LINGER_S, self.transport.abort)
