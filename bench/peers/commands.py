"""Runs the commands that install a peer, once for each state of its lock file."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.peers.absent import AbsentError

INSTALL_SECONDS = 300


def install_once(lock_file: Path, into: Path, install: Callable[[], None]) -> None:
    """Call `install`, which fills `into`, unless exactly what the lock file names has been installed there.

    Raises:
        AbsentError: It could not be installed.
    """
    stamp = into / ".installed"
    wanted = hashlib.sha256(lock_file.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    install()
    stamp.write_text(wanted)


def must_run(what: str, command: Sequence[str], directory: Path, environment: Mapping[str, str]) -> None:
    """Run a command to its end.

    Raises:
        AbsentError: It failed, or took too long.
    """
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AbsentError(f"{what} took longer than {INSTALL_SECONDS} s") from None
    except OSError as error:
        raise AbsentError(f"{what} could not be run: {error}") from error
    if done.returncode:
        raise AbsentError(f"{what} failed: {_last_line(done.stderr or done.stdout)}")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # pip and npm end with advice; what went wrong is said by the first line that calls itself an error.
    wrong = next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "it said nothing")
    return wrong[:300]
