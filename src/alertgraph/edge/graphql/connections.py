"""The open sockets and event streams: how many there are, and how they are told that the server goes down."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol

DRAIN_PATIENCE: Final = timedelta(seconds=10)


class Connection(Protocol):
    """Something that stays open for many answers."""

    async def drain(self, patience: timedelta) -> None:
        """Take nothing new, let mutations in flight finish within this time, then say good-bye and close."""


@dataclass(slots=True)
class Connections:
    """All of one process.

    Attributes:
        sockets: Open websockets.
        streams: Open event streams.
        operation_count: Operations in flight on any transport, subscriptions among them.
        is_draining: Whether the server goes down, so that nothing new begins.
    """

    sockets: set[Connection] = field(default_factory=set)
    streams: set[Connection] = field(default_factory=set)
    operation_count: int = 0
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
