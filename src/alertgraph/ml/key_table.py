"""Rows of numbers by hash, of which those not used for longest are forgotten."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FIRST_COUNT = 64
# The row of whoever has none: as of nothing, and never written.
NOBODY = 0


class KeyTable:
    """Rows of one array, found by hash in one of several rings that forget apart. Not safe for threads.

    A row that was forgotten goes to nobody else before `reclaim`: whoever works through a batch may find the rows
    of all of it first, and read and write them in order afterwards.

    Attributes:
        rows: (row_count, width); row `NOBODY` is that of keys which are not there. It is another array once there
            are more.
        rings: By ring, the row of each hash, in the order of last use.
    """

    def __init__(self, ring_count: int, nothing: Floats, count_max: int) -> None:
        """Begin with no keys.

        Args:
            ring_count: How many rings there are.
            nothing: (width,) what a new row holds.
            count_max: How many keys a ring remembers.
        """
        self.rings: list[dict[int, int]] = [{} for _ in range(ring_count)]
        self.rows: Floats = np.tile(nothing, (FIRST_COUNT, 1))
        self._nothing = nothing
        self._count_max = count_max
        self._free = list(range(FIRST_COUNT - 1, NOBODY, -1))
        self._forgotten: list[int] = []

    def find(self, ring: int, hashed: int) -> int:
        """Return the row of a key; `NOBODY` where it has none."""
        return self.rings[ring].get(hashed, NOBODY)

    def use(self, ring: int, hashed: int) -> int:
        """Return the row of a key, a new one where it has none; the key counts as used last."""
        known = self.rings[ring]
        row = known.pop(hashed, NOBODY)
        if row == NOBODY:
            if not self._free:
                self._grow(len(self.rows))
            row = self._free.pop()
        known[hashed] = row
        if len(known) > self._count_max:
            self._forgotten.append(known.pop(next(iter(known))))
        return row

    def reclaim(self) -> None:
        """Let rows of keys that were forgotten be used by others from now on."""
        if self._forgotten:
            self.rows[self._forgotten] = self._nothing
            self._free += self._forgotten
            self._forgotten = []

    def held(self, ring: int) -> tuple[NDArray[np.uint64], Floats]:
        """Return the keys of a ring, that used longest ago first, and their rows (count, width)."""
        known = self.rings[ring]
        rows = np.fromiter(known.values(), np.intp, len(known))
        return np.fromiter(known, np.uint64, len(known)), self.rows[rows]

    def fill(self, ring: int, hashes: Iterable[int], rows: Floats) -> None:
        """Take what `held` gave into an empty ring."""
        if len(self._free) < len(rows):
            self._grow(len(rows))
        places = [self._free.pop() for _ in range(len(rows))]
        self.rows[places] = rows
        self.rings[ring] = dict(zip(hashes, places, strict=True))

    def _grow(self, more: int) -> None:
        count = len(self.rows)
        self.rows = np.concatenate([self.rows, np.tile(self._nothing, (more, 1))])
        self._free[:0] = range(count + more - 1, count - 1, -1)
