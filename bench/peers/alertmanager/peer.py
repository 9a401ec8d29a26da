"""Debian's prometheus-alertmanager, for what it is made for: taking alerts in from Prometheus.

Fair to it: its defaults, alone (no cluster to gossip with), and nobody to notify. It keeps alerts in memory only
and knows no tenants and no keys, so it does much less for an alert than a service that has it after a crash.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from bench.installation import Server
from bench.peers.absent import AbsentError

PROGRAM = "prometheus-alertmanager"
HERE = Path(__file__).parent


def start(directory: Path) -> Server:
    """Return the server, with nothing in it.

    Raises:
        AbsentError: It is not installed.
    """
    storage = directory / "alertmanager"
    shutil.rmtree(storage, ignore_errors=True)
    command = [
        _program(),
        f"--config.file={HERE / 'alertmanager.yml'}",
        f"--storage.path={storage}",
        "--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]
    return Server("Alertmanager", command, dict(os.environ), "/-/ready", directory / "alertmanager.log")


def version() -> str:
    """Return which Alertmanager is installed."""
    done = subprocess.run([_program(), "--version"], capture_output=True, text=True, timeout=30, check=False)
    found = re.search(r"version (\S+)", done.stdout + done.stderr)
    return found[1] if found else "unknown"


def _program() -> str:
    program = shutil.which(PROGRAM)
    if program is None:
        raise AbsentError(f"{PROGRAM} is not installed: make debian installs it, as root")
    return program
