"""alertgraph in an environment of its own, where nothing that learns from numbers is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.running import ServiceProcess, environment_of

ROOT = Path(__file__).parents[2]
HEAVY = ("numpy", "scipy", "sklearn", "torch")
INSTALL_SECONDS = 240
pytestmark = pytest.mark.timeout(600)

ALERT = """mutation ($input: CreateAlertInput!) { createAlert(input: $input) {
    alert { id status incident { alertCount } prediction { modelVersion } } errors { message } } }"""
WATCH = """mutation { createAnomalyRule(input: { name: "queues", severity: HIGH, direction: UP,
    matchers: [{ label: "__name__", operator: EQUAL, value: "queue_length" }] }) { errors { message } } }"""
GROUPING = """mutation { updateTenantSettings(input: { groupingLabels: ["cluster"], noiseMode: HOLD,
    correlationEnabled: true }) { errors { message } } }"""
STATUS = """{ predictionStatus { state reason labelCount } predictionModels { totalCount whyNot }
    incidents { nodes { alertCount } } alerts { nodes { title prediction { abstained }
    relatedAlerts(first: 1) { score evidence { kind } } } } }"""
TAKE = """mutation ($id: ID!) { acknowledgeAlert(input: { alertId: $id }) { alert { status } }
    resolveAlert(input: { alertId: $id }) { alert { status } } }"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The interpreter of an environment that was made from requirements-critical.txt alone."""
    folder = tmp_path_factory.mktemp("without") / "environment"
    found = folder / "bin" / "python"
    beside = Path(sys.executable).parent / "uv"
    uv = str(beside) if beside.exists() else shutil.which("uv")
    requirements = ["-r", str(ROOT / "requirements-critical.txt")]
    if uv is not None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        steps = [
            [uv, "venv", "-q", "--python", version, str(folder)],
            [uv, "pip", "install", "-q", "--python", str(found), *requirements],
        ]
    else:
        pip = [str(found), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input"]
        steps = [[sys.executable, "-m", "venv", str(folder)], [*pip, *requirements]]
    for step in steps:
        try:
            done = subprocess.run(step, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"no environment could be made within {INSTALL_SECONDS} s: {' '.join(step[:4])} …")
        if done.returncode != 0:
            pytest.skip(f"no environment can be made here: {done.stderr.strip()[-300:]}")
    yield found
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def environment(python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return environment_of(
        "",
        CRITICAL_ALERT_DATA_DIR=str(tmp_path_factory.mktemp("data") / "data"),
        CRITICAL_ALERT_ML_ENABLED="true",
        CRITICAL_ALERT_DATABASE_POOL_SIZE="4",
        PYTHONPATH=f"{ROOT / 'src'}:{ROOT}",
        VIRTUAL_ENV=str(python.parents[1]),
    )


def ran(python: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(python), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it never was so"
        time.sleep(0.2)


def test_none_of_it_is_there(python: Path, environment: dict[str, str]) -> None:
    """Else nothing below would show anything."""
    code = f"import importlib.util as u; print([n for n in {HEAVY!r} if u.find_spec(n)])"

    assert ran(python, environment, "-c", code).stdout.strip() == "[]"


def test_all_else_works_and_why_nothing_is_predicted_is_told(
    python: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    service = ServiceProcess(environment, python=str(python)).start(tmp_path / "log")
    try:
        key = (Path(environment["CRITICAL_ALERT_DATA_DIR"]) / "bootstrap_key").read_text().strip()
        http = httpx2.Client(
            base_url=service.url, headers={"Authorization": f"Bearer {key}"}, timeout=30.0, trust_env=False
        )

        def ask(text: str, **variables: Any) -> Any:
            answer = http.post("/graphql", json={"query": text, "variables": variables}).json()
            assert "errors" not in answer, answer
            return answer["data"]

        def fires(number: int) -> Any:
            fields = {"title": "disk is full", "severity": "HIGH", "monitoredService": "shop"}
            labels = {"alertname": "DiskFull", "cluster": "one", "instance": f"h{number}"}
            made = ask(ALERT, input={**fields, "labels": labels, "dedupKey": f"k{number}"})["createAlert"]
            assert made["errors"] == []
            assert made["alert"]["prediction"] is None
            return made["alert"]

        assert ask(GROUPING)["updateTenantSettings"]["errors"] == []
        first, second = fires(1), fires(2)
        assert second["incident"]["alertCount"] == 2

        # The learning process is up, and says what it lacks.
        until(lambda: "pip install" in ask(STATUS)["predictionStatus"]["reason"])
        status = ask(STATUS)
        assert status["predictionStatus"]["state"] == "UNAVAILABLE"
        assert status["predictionModels"]["whyNot"] == status["predictionStatus"]["reason"]
        figures = http.get("/metrics").text
        [why] = re.findall(r'^alertgraph_predictions_available{why_not="(.+)"} 0\.0$', figures, re.MULTILINE)
        assert "pip install" in why
        assert re.search(r"^alertgraph_series_unwatchable(?:{.*})? 1\.0$", figures, re.MULTILINE)

        # What needs no numbers goes on: alerts are correlated, and taken and ended by hand.
        until(lambda: all(one["relatedAlerts"] for one in ask(STATUS)["alerts"]["nodes"]))
        taken = ask(TAKE, id=first["id"])
        assert taken["acknowledgeAlert"]["alert"]["status"] == "ACKNOWLEDGED"
        assert taken["resolveAlert"]["alert"]["status"] == "RESOLVED"

        assert ask(WATCH)["createAnomalyRule"]["errors"] == []
        points = {"series": [{"labels": {"__name__": "queue_length"}, "points": [[time.time(), 1.0]]}]}
        until(lambda: http.post("/ingest/metrics", json=points).status_code == 503)
        assert "numpy" in http.post("/ingest/metrics", json=points).text
        log = (tmp_path / "log").read_text()
        assert "Traceback" not in log
        assert "ModuleNotFoundError" not in log
    finally:
        assert service.stop() == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "--bundled"),
        ("train", "--from", "."),
        ("export", "examples", "--tenant", "default", "--to", "examples"),
        ("bench", "ml", "--task", "T9"),
        ("replay", "--model", "--set", "telecom"),
    ],
    ids=" ".join,
)
def test_who_asks_for_what_needs_it_is_told_how_to_get_it(
    python: Path, environment: dict[str, str], arguments: tuple[str, ...]
) -> None:
    ended = ran(python, environment, "-m", "alertgraph", *arguments)

    assert ended.returncode == 1, ended
    # A benchmark tells of each task what came of it, and that is its result.
    assert "alertgraph[ml]" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
