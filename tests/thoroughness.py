"""How much random tests try: little enough for every change, and as much as somebody asks for."""

from __future__ import annotations

import os


def examples(count: int) -> int:
    """Return how many examples a test tries, times the environment's THOROUGHNESS."""
    return max(1, round(count * float(os.environ.get("THOROUGHNESS", "1"))))
