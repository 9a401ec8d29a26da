"""What a caller may still spend."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Budget:
    """A key's cost points, as they stand once the present request is paid for.

    Attributes:
        cost: Points of this request.
        limit: Points a minute.
        remaining: Points left.
        reset_at: When all points are back.
    """

    cost: int
    limit: int
    remaining: int
    reset_at: datetime
