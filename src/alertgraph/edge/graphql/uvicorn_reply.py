"""Uvicorn's HTTP protocol with a direct way to write to a reply that goes on; the server's `http` class is one.

Without it everything works, but an event that goes to many streams is framed, scheduled and awaited for each.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from alertgraph.edge.graphql.connections import REPLY_WRITER
from alertgraph.edge.graphql.uvicorn_room import UNREAD_SIZE_MAX, TellingRoom


class LentReply:
    """The reply to one request, once it has begun and as long as it goes on. Fulfils `connections.ReplyWriter`."""

    __slots__ = ("_cycle", "_protocol", "call_with_room")

    def __init__(self, protocol: LendingHttpProtocol, cycle: RequestResponseCycle) -> None:
        self._protocol = protocol
        self._cycle = cycle
        self.call_with_room = protocol.call_with_room

    def framed(self, data: bytes) -> bytes:
        """Return data as one chunk, since the length of the reply is not known when it begins."""
        return b"%x\r\n%b\r\n" % (len(data), data)

    def write(self, frames: bytes) -> bool:
        """Write whole chunks without waiting; False where the client has too much to read already."""
        if self._protocol.transport.get_write_buffer_size() > UNREAD_SIZE_MAX:
            return False
        # Whoever has gone, or was told that it is over, hears nothing more.
        if not self._cycle.response_complete and not self._cycle.disconnected:
            self._cycle.transport.write(frames)
        return True

    def abort(self) -> None:
        """Drop the connection with all that was not read."""
        self._protocol.transport.abort()


class LendingHttpProtocol(TellingRoom, HttpToolsProtocol):
    """Lends each request's reply to who answers it."""

    def on_headers_complete(self) -> None:
        """Begin to answer a request, which is told of the way."""
        super().on_headers_complete()
        self.scope["extensions"] = {REPLY_WRITER: {"open": self.reply}}

    def reply(self, scope: Any) -> LentReply | None:
        """Return the reply to the request of this scope; None where it is not the last one that has come."""
        if self.cycle is None or self.cycle.scope is not scope:
            return None
        return LentReply(self, self.cycle)
