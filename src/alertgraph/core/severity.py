"""How bad an alert is."""

from __future__ import annotations

from enum import IntEnum


class Severity(IntEnum):
    """How bad it is; a larger number is worse. The numbers are stored: never reuse one."""

    INFO = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4
    CRITICAL = 5
