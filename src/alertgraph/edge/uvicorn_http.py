"""Uvicorn's HTTP protocol with an answer's head and body handed to the system together; the server's `http` class.

ASGI tells them apart, uvicorn writes each when it is told, and uvloop passes each write on at once: two system
calls, two segments, and a client that is woken to read a head without its body.
"""

from __future__ import annotations

import asyncio
from typing import Final

from alertgraph.edge.graphql.uvicorn_reply import LendingHttpProtocol

_HEAD: Final = b"HTTP/1.1 "


class JoiningTransport:
    """What answers of one connection are written to: a head waits for what is written next.

    Where nothing follows at once, as when an answer has no body or is a stream, the head goes by itself in the
    next turn of the event loop. It is all that uvicorn's `RequestResponseCycle` uses of a transport.
    """

    __slots__ = ("_held", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""

    def write(self, data: bytes) -> None:
        """Write, in order; a head a moment later."""
        held = self._held
        if held:
            self._held = b""
            self._transport.write(held + data)
        elif data.startswith(_HEAD):
            self._held = data
            self._loop.call_soon(self.flush)
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Write what is held back."""
        held, self._held = self._held, b""
        if held:
            self._transport.write(held)

    def close(self) -> None:
        """Close once everything is written."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Say whether the connection is closed, or about to be."""
        return self._transport.is_closing()


class JoiningHttpProtocol(LendingHttpProtocol):
    """Uvicorn's HTTP protocol, whose answers go through a `JoiningTransport`."""

    # Made for the first request: what becomes a websocket needs none.
    _joining: JoiningTransport | None = None

    def on_headers_complete(self) -> None:
        """Begin to answer a request."""
        super().on_headers_complete()
        if self.cycle is None:
            # An upgrade to a websocket, which takes the transport itself.
            return
        if self._joining is None:
            self._joining = JoiningTransport(self.transport, self.loop)
        self.cycle.transport = self._joining  # type: ignore[assignment]

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, behind the answers that were given before."""
        if self._joining is not None:
            self._joining.flush()
        super().send_400_response(msg)
