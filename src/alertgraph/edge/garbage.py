"""How often Python looks for garbage in a process that runs for long and remembers much."""

from __future__ import annotations

import gc

# Cycles are looked for once so many objects more are alive than before, and among old ones once in twenty of
# twenty times. Python's own thresholds suit small programs: here they cost a tenth of the time, since all that is
# remembered of open alerts is gone through again and again, and is in no cycle.
THRESHOLDS = (20_000, 20, 20)


def collect_seldom() -> None:
    """Look for garbage seldom from now on, and never in what is there by now: the code itself stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
