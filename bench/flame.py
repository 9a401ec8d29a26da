"""Flame graphs: where the service spends its time under one of the loads that are measured, by py-spy."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from alertgraph.core.tenant import Role
from bench import fanout, fill, reads, writes
from bench.installation import Installation, Server, alertgraph_server, run_module
from bench.load import Job, Target
from bench.sockets import SocketJob
from bench.words import compact, keyed_input

SECONDS, SAMPLES_PER_SECOND = 10, 250
_WARM_SECONDS = 2.0


def _writes(installation: Installation, server: Server, _: int, __: int) -> Callable[[float], None]:
    case = next(case for case in writes.cases() if case.name == "alertgraph, REST")
    assert case.targets is not None, "it has requests"
    targets = case.targets(installation.tenants("flame", case.tenants), "flame")

    def load(seconds: float) -> None:
        job = Job(server.port, case.connections, targets, seconds)
        run_module("bench.load", job.as_json(), seconds + 60)

    return load


def _repeats(installation: Installation, server: Server, _: int, __: int) -> Callable[[float], None]:
    case = next(case for case in writes.cases() if case.repeats and case.items > 1)
    assert case.targets is not None, "it has requests"
    tenants = installation.tenants("flame", case.tenants)
    targets = case.targets(tenants, "flame")
    writes.make_old(installation, server, tenants, targets, case.items, case.items)

    def load(seconds: float) -> None:
        job = Job(
            server.port, case.connections, targets, seconds, writes.REPEATS_MAX, None, case.items, case.expect
        )
        run_module("bench.load", job.as_json(), seconds + 60)

    return load


def _lists(installation: Installation, server: Server, alerts: int, seed: int) -> Callable[[float], None]:
    filled = fill.filled(installation, alerts, seed)
    target = Target("/graphql", compact({"query": reads.LIST}), headers=filled.tenants[0].headers)

    def load(seconds: float) -> None:
        job = Job(server.port, reads.BUSY_CONNECTIONS, [target], seconds, expect='{"data":{')
        run_module("bench.load", job.as_json(), seconds + 60)

    return load


def _fanout(installation: Installation, server: Server, _: int, __: int) -> Callable[[float], None]:
    tenant = installation.tenants("flame", 1, Role.RESPONDER)[0]
    trigger = Target("/api/v1/critical-alerts", compact(keyed_input(1, "flame")), 1, headers=tenant.headers)

    def load(seconds: float) -> None:
        job = SocketJob(
            server.port,
            server.pid,
            fanout.FULL.sockets,
            tenant.headers["authorization"],
            fanout.PLAIN,
            trigger,
            trigger,
            1,
            # An event and the pause after it take a tenth of a second, about.
            event_count=int(seconds * 10),
        )
        run_module("bench.sockets", job.as_json(), seconds * 5 + 120)

    return load


LOADS: dict[str, Callable[[Installation, Server, int, int], Callable[[float], None]]] = {
    "writes": _writes,
    "repeats": _repeats,
    "lists": _lists,
    "fanout": _fanout,
}


def record(name: str, installation: Installation, directory: Path, alerts: int, seed: int, into: Path) -> Path:
    """Record the service under a load; return where the picture is.

    Raises:
        SystemExit: py-spy is not installed, or may not look into other processes.
    """
    program = _program()
    if program is None:
        raise SystemExit("py-spy is not installed: requirements-dev.txt has it (make test installs it)")
    into.mkdir(parents=True, exist_ok=True)
    path = into / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-flame-{name}.svg"
    server: Server | None = None
    if name == "lists":
        # Filled before the service looks at it.
        fill.filled(installation, alerts, seed)
    server = alertgraph_server(installation, directory)
    try:
        load = LOADS[name](installation, server, alerts, seed)
        worker = threading.Thread(target=load, args=(SECONDS + 2 * _WARM_SECONDS,))
        worker.start()
        worker.join(_WARM_SECONDS)
        done = subprocess.run(
            [
                *(program, "record", "--pid", str(server.pid), "--output", str(path), "--format", "flamegraph"),
                *("--duration", str(SECONDS), "--rate", str(SAMPLES_PER_SECOND), "--gil", "--nonblocking"),
            ],
            capture_output=True,
            text=True,
            timeout=SECONDS + 120,
            check=False,
        )
        worker.join()
    finally:
        server.stop()
    if done.returncode or not path.is_file():
        raise SystemExit(f"py-spy could not record: {done.stderr.strip()[-500:]}")
    return path


def _program() -> str | None:
    beside = Path(sys.executable).with_name("py-spy")
    return str(beside) if beside.is_file() else shutil.which("py-spy")
