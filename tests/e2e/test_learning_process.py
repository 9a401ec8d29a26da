"""The learning process beside a service: it comes, goes and comes back, and requests notice nothing."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.running import ServiceProcess, environment_of

HEAVY = ("torch", "numpy", "scipy", "sklearn")
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn")
WITH_LEARNING = {"CRITICAL_ALERT_ML_ENABLED": "true", "CRITICAL_ALERT_DATABASE_POOL_SIZE": "4"}
# It gives way to everything else: on a machine that is busy with other tests a start takes its time.
pytestmark = pytest.mark.timeout(600)
needs_extra = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="the extra is not installed")


def until(is_so: Callable[[], bool], seconds: float = 150.0) -> None:
    """Return once it is so; a start takes seconds, and beside others on a busy machine many more."""
    until_at = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until_at, "it never was so"
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    """Return the learning processes of a service."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                line = (entry / "cmdline").read_bytes()
            except (OSError, IndexError):
                continue
            if parent == pid and b"predictor" in line:
                found.append(int(entry.name))
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def figures(service: ServiceProcess) -> str:
    return httpx2.get(f"{service.url}/metrics", timeout=10.0, trust_env=False).text


def figure(service: ServiceProcess, name: str) -> float | None:
    found = re.search(rf"^{name}(?:{{.*}})? (\S+)$", figures(service), re.MULTILINE)
    return float(found[1]) if found is not None else None


def why_not(service: ServiceProcess) -> str | None:
    found = re.search(r'^alertgraph_predictions_available{why_not="(.*)"}', figures(service), re.MULTILINE)
    return found[1] if found is not None else None


def is_learning(service: ServiceProcess) -> bool:
    """Return whether the learning process answers."""
    return "\nalertgraph_predicting{" in figures(service)


@contextmanager
def started(data_dir: Path, log: Path, **more: str) -> Iterator[ServiceProcess]:
    environment = environment_of("", CRITICAL_ALERT_DATA_DIR=str(data_dir), **{**WITH_LEARNING, **more})
    service = ServiceProcess(environment).start(log)
    try:
        yield service
    finally:
        if service.process.poll() is None:
            assert service.stop() == 0


@needs_extra
def test_it_comes_goes_and_comes_back_and_requests_notice_nothing(data_dir: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with started(data_dir, log) as service:
        parent = service.process.pid
        until(lambda: is_learning(service))
        (child,) = children(parent)
        assert os.getpriority(os.PRIO_PROCESS, child) >= os.getpriority(os.PRIO_PROCESS, parent) + 10 or (
            os.getpriority(os.PRIO_PROCESS, child) == 19
        )
        assert figure(service, "alertgraph_predictor_running") == 1
        until(lambda: figure(service, "alertgraph_learning_tenants") == 1)
        # Who answers requests has none of it in memory: neither modules nor libraries.
        maps = Path(f"/proc/{parent}/maps").read_text()
        assert [name for name in HEAVY if f"/{name}/" in maps] == []
        assert '"process":"predictor"' in log.read_text().replace(" ", "")

        os.kill(child, signal.SIGKILL)
        while children(parent) in ([], [child]):
            answer = httpx2.get(f"{service.url}/readyz", timeout=5.0, trust_env=False)
            assert answer.status_code == 200
            time.sleep(0.05)
        until(lambda: is_learning(service))
        (again,) = children(parent)
        assert figure(service, "alertgraph_predictor_restarts_total") == 1
        # It has the tenants of the one before it at once, since it comes in its place.
        until(lambda: figure(service, "alertgraph_learning_tenants") == 1, 60)
        assert service.stop() == 0
    assert not is_alive(again)
    assert list(data_dir.glob("predictor.sock")) == []


def test_it_ends_with_a_service_that_is_killed(data_dir: Path, tmp_path: Path) -> None:
    with started(data_dir, tmp_path / "log") as service:
        until(lambda: is_learning(service))
        (child,) = children(service.process.pid)
        service.kill()

        until(lambda: not is_alive(child), 40)
    # And the next one finds everything in order.
    with started(data_dir, tmp_path / "log") as service:
        until(lambda: is_learning(service))


def test_it_is_not_there_where_it_is_not_wanted(data_dir: Path, tmp_path: Path) -> None:
    with started(data_dir, tmp_path / "log", CRITICAL_ALERT_ML_ENABLED="false") as service:
        assert "alertgraph_predictor" not in figures(service)
        assert children(service.process.pid) == []


def test_a_process_of_its_own_finds_the_database_of_the_service(data_dir: Path, tmp_path: Path) -> None:
    environment = environment_of("", CRITICAL_ALERT_DATA_DIR=str(data_dir), **WITH_LEARNING)
    command = [sys.executable, "-m", "alertgraph", "serve", "--role", "predictor"]
    alone = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (alone.returncode, "start `alertgraph serve` first" in alone.stderr) == (1, True)

    service = ServiceProcess(environment, None, "--role", "api").start(tmp_path / "log")
    try:
        assert why_not(service) == "no learning process is up"
        beside = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
        try:
            until(lambda: is_learning(service))
            until(lambda: why_not(service) != "no learning process is up")
        finally:
            beside.terminate()
            assert beside.wait(20) == 0
        until(lambda: why_not(service) == "no learning process is up", 30)
    finally:
        assert service.stop() == 0


def test_a_model_that_there_is_not_is_refused_and_those_there_are_named(data_dir: Path) -> None:
    (data_dir / "models").mkdir()
    (data_dir / "models" / "mine.agmodel").write_bytes(b"")
    more = {**WITH_LEARNING, "CRITICAL_ALERT_PREDICTION_MODEL": "yours"}
    environment = environment_of("", CRITICAL_ALERT_DATA_DIR=str(data_dir), **more)

    refused = subprocess.run(
        [sys.executable, "-m", "alertgraph", "serve", "--port", "0"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "CRITICAL_ALERT_PREDICTION_MODEL names yours" in refused.stderr
    assert "mine" in refused.stderr
    assert not (data_dir / "postgres").exists()


@needs_extra
def test_without_the_extra_everything_else_works_and_with_it_predictions_begin(
    data_dir: Path, tmp_path: Path
) -> None:
    # As if the extra was not installed, until a file says that it is.
    installed = tmp_path / "installed"
    (tmp_path / "sitecustomize.py").write_text(f"""
import importlib.metadata, os, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)
if not os.path.exists({str(installed)!r}):
    sys.meta_path.insert(0, Absent())
known = importlib.metadata.distribution
def distribution(name):
    if name in {PACKAGES!r} and not os.path.exists({str(installed)!r}):
        raise importlib.metadata.PackageNotFoundError(name)
    return known(name)
importlib.metadata.distribution = distribution
""")
    with started(
        data_dir, tmp_path / "log", PYTHONPATH=f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"
    ) as service:
        until(lambda: is_learning(service))
        until(lambda: "pip install" in (why_not(service) or ""), 60)
        (child,) = children(service.process.pid)
        answer = httpx2.post(f"{service.url}/graphql", json={"query": "{ __typename }"}, trust_env=False)
        assert answer.status_code in (200, 401)

        installed.write_text("")
        until(lambda: children(service.process.pid) not in ([], [child]))
        until(lambda: why_not(service) == "")
        assert figure(service, "alertgraph_predictor_restarts_total") == 1
