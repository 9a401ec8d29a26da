"""What a tenant has been promised, in one word."""

from __future__ import annotations

from enum import IntEnum


class Tier(IntEnum):
    """What the tenant has been promised; set by the operator. The numbers are stored: never reuse one."""

    FREE = 1
    STANDARD = 2
    PREMIUM = 3
    ENTERPRISE = 4
