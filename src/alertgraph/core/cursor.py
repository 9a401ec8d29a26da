"""Positions: in the log, and in a page of a list. Opaque to clients, and without authority."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime

from alertgraph.core.errors import InputError
from alertgraph.core.ids import EPOCH, from_microseconds, pack, to_microseconds, unpack

_LOG = struct.Struct(">BIQq4s")
_VERSION = 1


@dataclass(frozen=True, slots=True)
class LogCursor:
    """A position in a tenant's log: behind the event numbered `number`.

    Attributes:
        log_epoch: Raised when the database is restored, so that another log can't be taken for this one.
        number: 0 stands before the first event.
        recorded_at: Of that event, so that a read prunes partitions; 1970 for number 0.
        hash_start: First 4 bytes of that event's leaf; zeros for number 0.
    """

    log_epoch: int
    number: int
    recorded_at: datetime
    hash_start: bytes

    def encode(self) -> str:
        """Return the cursor's opaque text."""
        return pack(
            _LOG.pack(_VERSION, self.log_epoch, self.number, to_microseconds(self.recorded_at), self.hash_start)
        )


def log_start(log_epoch: int) -> LogCursor:
    """Return the position before the first event."""
    return LogCursor(log_epoch, 0, EPOCH, b"\x00" * 4)


def decode_log_cursor(text: str, *path: str) -> LogCursor:
    """Return the position that a cursor's text names.

    Raises:
        InputError: It is not the text of a log cursor.
    """
    raw = unpack(text)
    if raw is not None and len(raw) == _LOG.size and raw[0] == _VERSION:
        _, log_epoch, number, microseconds, hash_start = _LOG.unpack(raw)
        try:
            if number < 1 << 63:
                return LogCursor(log_epoch, number, from_microseconds(microseconds), hash_start)
        except OverflowError:
            pass
    raise InputError("This is not a cursor of the log.", *(path or ("after",)))
