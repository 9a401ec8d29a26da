"""What uvicorn's protocols have in common that lend a way to write to many clients at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

UNREAD_SIZE_MAX: Final = 128 * 1024
"""Bytes that wait for a client to read; with more than that, nothing more is written at once.

More than the transport's own high-water mark, so that it tells when there is room again.
"""


class TellingRoom(asyncio.Protocol):
    """Part of a protocol: tells when a client that had too much to read has read some of it."""

    _room_wanted: tuple[Callable[[], None], ...] = ()

    def call_with_room(self, callback: Callable[[], None]) -> None:
        """Call back once, when there is room again, or the connection is gone."""
        self._room_wanted = (*self._room_wanted, callback)

    def resume_writing(self) -> None:
        """Let those who wait write."""
        super().resume_writing()
        self._tell_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """End; nobody waits any more."""
        super().connection_lost(exc)
        self._tell_room()

    def _tell_room(self) -> None:
        wanted, self._room_wanted = self._room_wanted, ()
        for callback in wanted:
            callback()
