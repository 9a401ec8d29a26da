"""Carries out `alertgraph bench ml`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from alertgraph import __version__
from alertgraph.ml.evaluation.registry import Options, carry_out, named
from alertgraph.ml.evaluation.report import BenchReport, lines

# Libraries read these when they load. Two threads that share the cores with others must not wait for each other
# by spinning, and what is asked of linear algebra here is too small for more than one.
THREADS = {
    "OMP_NUM_THREADS": "2",
    "OMP_WAIT_POLICY": "passive",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "2",
}


def data_root(given: Path | None) -> Path:
    """Return where the data lie: as given, else ALERTGRAPH_DATA, else ../shared/data."""
    return given or Path(os.environ.get("ALERTGRAPH_DATA") or "../shared/data")


def run(data: Path | None, tasks: Sequence[str], say: Callable[[str], None], *, as_json: bool) -> bool:
    """Carry tasks out and tell what they found.

    Args:
        data: The root of the data sets; None for where they are expected.
        tasks: Ids; none for all.
        say: Takes a line.
        as_json: One JSON value at the end instead of lines.

    Returns:
        Whether every task ran and beat what it must.

    Raises:
        KeyError: There is no task of that name.
    """
    chosen = named(tasks)
    for name, count in THREADS.items():
        os.environ.setdefault(name, count)
    reports = []
    for report in carry_out(chosen, data_root(data), Options()):
        reports.append(report)
        if not as_json:
            for line in lines(report):
                say(line)
            say("")
    whole = BenchReport(tuple(reports), _facts())
    if as_json:
        say(json.dumps(whole.told(), ensure_ascii=False))
    else:
        took = sum(report.seconds for report in reports)
        say(f"{'passed' if whole.passed else 'NOT passed'} in {took:.0f} s")
    return whole.passed


def _facts() -> dict[str, str]:
    """Return what the figures were made with."""
    facts = {"alertgraph": __version__, "python": platform.python_version(), "machine": platform.machine()}
    for name in ("numpy", "scikit-learn", "torch"):
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            facts[name] = "not installed"
    return facts
