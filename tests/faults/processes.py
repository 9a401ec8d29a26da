"""Processes below a process, as the kernel knows them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.running import ServiceProcess


def descendants(pid: int) -> list[int]:
    """Return the processes below a process, parents first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found = list(children.get(pid, ()))
    for each in found:
        found += children.get(each, ())
    return found


def local_ports(pid: int) -> set[int]:
    """Return the ports at this end of a process's TCP connections."""
    sockets = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.add(str(entry.readlink()))
        except OSError:
            continue
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if f"socket:[{row[9]}]" in sockets}


def kill_tree(service: ServiceProcess) -> int:
    """Kill a service and all that it runs at one blow, as a power cut does; return how many that were."""
    pids = [service.process.pid, *descendants(service.process.pid)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    service.process.wait(10)
    return len(pids)
