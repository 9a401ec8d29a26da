"""What learns stays where it is: no process that answers requests loads it."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "sklearn", "scipy", "numpy", "alertgraph.ml")


def loaded_after(statement: str) -> set[str]:
    """Return which of the heavy modules are there after a statement, in a Python of its own."""
    program = f"{statement}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(told.stdout.split())


def test_the_process_that_serves_the_api_imports_nothing_that_learns() -> None:
    served = "import alertgraph.edge.app, alertgraph.edge.wiring, alertgraph.edge.service, alertgraph.edge.server"

    assert loaded_after(f"{served}, alertgraph.edge.pager, resolvers.schema") == set()


def test_the_command_line_starts_without_it() -> None:
    assert loaded_after("import alertgraph.edge.cli") == set()
