"""The open sockets and event streams: how many there are, how they are written to, and how they are told to go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol

DRAIN_PATIENCE: Final = timedelta(seconds=10)
WRITER: Final = "alertgraph.frame_writer"
"""The extension of a websocket's scope that holds a FrameWriter, as `writer`."""

REPLY_WRITER: Final = "alertgraph.reply_writer"
"""The extension of a request's scope by whose `open` its reply can be had as a ReplyWriter, or None."""


class Connection(Protocol):
    """Something that stays open for many answers."""

    async def drain(self, patience: timedelta) -> None:
        """Take nothing new, let mutations in flight finish within this time, then say good-bye and close."""


class FrameWriter(Protocol):
    """A server's way to write to a websocket without waiting."""

    def write(self, frames: bytes) -> bool:
        """Write whole frames; False where the client has too much to read already, and nothing was written."""

    def call_with_room(self, callback: Callable[[], None]) -> None:
        """Call back once, when there is room again, or the connection is gone."""


class ReplyWriter(FrameWriter, Protocol):
    """A server's way to write to a reply that has begun, without waiting."""

    def framed(self, data: bytes) -> bytes:
        """Return data as it has to be written; the same for all of the same class."""

    def abort(self) -> None:
        """Drop the connection with all that was not read."""


@dataclass(slots=True)
class Connections:
    """All of one process.

    Attributes:
        sockets: Open websockets.
        streams: Open event streams.
        operation_count: Operations in flight on any transport, subscriptions among them.
        subscription_count: Subscriptions, in groups and alone.
        is_draining: Whether the server goes down, so that nothing new begins.
    """

    sockets: set[Connection] = field(default_factory=set)
    streams: set[Connection] = field(default_factory=set)
    operation_count: int = 0
    subscription_count: int = 0
    is_draining: bool = False

    async def drain(self, patience: timedelta = DRAIN_PATIENCE) -> None:
        """Close every connection cleanly; clients that reconnect find another server, or this one restarted.

        Args:
            patience: How long mutations in flight may take to finish.
        """
        self.is_draining = True
        waiting = [asyncio.ensure_future(each.drain(patience)) for each in (*self.sockets, *self.streams)]
        if waiting:
            await asyncio.wait(waiting)
