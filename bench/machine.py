"""What was measured on: a figure without its machine says nothing."""

from __future__ import annotations

import os
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path

_PACKAGES = ("asyncpg", "uvicorn", "starlette", "strawberry-graphql", "graphql-core", "orjson", "uvloop")
_WRITE_COUNT = 100


def facts(directory: Path) -> dict[str, object]:
    """Return what the machine is and what a durable write costs in a directory of it."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "load_before": round(os.getloadavg()[0], 2),
        "fsync_ms": fsync_ms(directory),
    }


def fsync_ms(directory: Path) -> dict[str, float]:
    """Return the median and the 99th percentile of writing 8 KiB and having it on the disk, in milliseconds."""
    path = directory / "fsync-probe"
    taken: list[float] = []
    with path.open("wb", buffering=0) as file:
        file.write(bytes(8192))
        os.fsync(file.fileno())
        for _ in range(_WRITE_COUNT):
            started = time.perf_counter()
            file.seek(0)
            file.write(os.urandom(8192))
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - started) * 1000)
    path.unlink()
    taken.sort()
    return {"p50": round(statistics.median(taken), 3), "p99": round(taken[int(len(taken) * 0.99)], 3)}


def cpu_seconds(pid: int, *, children: bool = False) -> float:
    """Return the processor time that a process has used so far, perhaps with all children it ever had."""
    used = _running_seconds(pid)
    if children:
        used += _ended_children_seconds(pid) + sum(_running_seconds(child) for child in _children(pid))
    return used


def busy_seconds() -> float:
    """Return the processor time that the whole machine has used so far, whoever used it."""
    user, nice, system, _, _, irq, soft_irq, *_ = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + soft_irq) / os.sysconf("SC_CLK_TCK")


def resident_kib(pid: int) -> int:
    """Return how much memory of its own a process holds at present."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def _running_seconds(pid: int) -> float:
    # The clock that clock_getcpuclockid names: to the nanosecond, where /proc tells hundredths of a second.
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:  # it has ended
        return 0.0


def _ended_children_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):  # it has ended; the second, while it was being read
        return 0.0
    return sum(map(int, fields[13:15])) / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in tasks.read_text().split()]
    return found


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()
