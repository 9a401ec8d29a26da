"""What an alert will become, from the way in to the answer, and how a tenant comes to a version of its own."""

from __future__ import annotations

import importlib.util
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.running import ServiceProcess, environment_of

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None or importlib.util.find_spec("sklearn") is None,
    reason="the extra ml is not installed",
)
CREATE = "mutation ($input: CreateAlertInput!) { createAlert(input: $input) { alert { id } errors { message } } }"
RESOLVE = "mutation ($input: AlertActionInput!) { resolveAlert(input: $input) { changed errors { message } } }"
STATUS = "{ predictionStatus { state labelCount model { version state } } }"
NEWEST = """{ alerts(first: 20) { nodes { id prediction { modelVersion incidentProbability abstained
    timeToResolve { median low high } contributions { feature contribution text } } } } }"""
MODELS = "{ predictionModels { nodes { version state exampleCount metrics { name value definition } } } }"
ALERT_COUNT = 260


class Client:
    """A person who asks."""

    def __init__(self, service: ServiceProcess, key: str) -> None:
        self._http = httpx2.Client(
            base_url=service.url, headers={"Authorization": f"Bearer {key}"}, timeout=30.0, trust_env=False
        )

    def ask(self, text: str, **variables: Any) -> Any:
        answer = self._http.post("/graphql", json={"query": text, "variables": variables}).json()
        assert "errors" not in answer, answer
        return answer["data"]


def until(is_so: Callable[[], bool], seconds: float = 90.0) -> None:
    until_at = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until_at, "it never was so"
        time.sleep(0.3)


@pytest.mark.timeout(400)
def test_from_the_first_alert_to_a_version_of_its_own(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    environment = environment_of(
        "",
        CRITICAL_ALERT_DATA_DIR=str(data_dir),
        CRITICAL_ALERT_ML_ENABLED="true",
        CRITICAL_ALERT_DATABASE_POOL_SIZE="4",
    )
    service = ServiceProcess(environment).start(tmp_path / "log")
    try:
        client = Client(service, (data_dir / "bootstrap_key").read_text().strip())
        draw = random.Random(1)

        def fires(number: int) -> str:
            kind = draw.randrange(4)
            fields = {
                "title": f"rule {kind} fires on host {number}",
                "severity": draw.choice(["CRITICAL", "HIGH", "LOW"]),
                "dedupKey": f"k{number}",
                "labels": {"alertname": f"rule-{kind}", "service": f"s{draw.randrange(3)}"},
            }
            found: str = client.ask(CREATE, input=fields)["createAlert"]["alert"]["id"]
            return found

        opened = [fires(number) for number in range(ALERT_COUNT)]
        # Predicted while they were open: the model learns from what it has looked at.
        until(lambda: all(n["prediction"] for n in client.ask(NEWEST)["alerts"]["nodes"]))
        newest = client.ask(NEWEST)["alerts"]["nodes"][0]["prediction"]
        assert newest["abstained"]
        assert newest["modelVersion"] == "torch_v1"
        # How the learning process stands is asked for every few seconds.
        until(lambda: client.ask(STATUS)["predictionStatus"]["state"] == "LEARNING")
        for alert_id in opened:
            client.ask(RESOLVE, input={"alertId": alert_id})
        until(lambda: client.ask(STATUS)["predictionStatus"]["labelCount"] == ALERT_COUNT)
        until(lambda: client.ask(STATUS)["predictionStatus"]["state"] == "ACTIVE")

        fires(ALERT_COUNT)
        until(lambda: client.ask(NEWEST)["alerts"]["nodes"][0]["prediction"] is not None)
        newest = client.ask(NEWEST)["alerts"]["nodes"][0]["prediction"]
        assert not newest["abstained"]
        # None of them needed anybody, and each ended within seconds.
        assert newest["incidentProbability"] < 0.2
        # Reasons are worked out when they are asked for; a machine that is too busy for it gives none.
        until(lambda: client.ask(NEWEST)["alerts"]["nodes"][0]["prediction"]["contributions"])

        # The same job that the service starts by itself; where that was faster, it is there already.
        command = [sys.executable, "-m", "alertgraph", "train", "--tenant", "default", "--json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["examples"] >= ALERT_COUNT

        # What it was trained on can be taken elsewhere.
        command = [sys.executable, "-m", "alertgraph", "export", "examples", "--tenant", "default", "--json"]
        command += ["--to", str(tmp_path / "examples")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["examples"] >= ALERT_COUNT
        command = [sys.executable, "-m", "alertgraph", "train", "--from", str(tmp_path / "examples")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "examples; it takes 1000" in done.stderr

        def states() -> dict[str, str]:
            nodes = client.ask(MODELS)["predictionModels"]["nodes"]
            return {node["version"]: node["state"] for node in nodes}

        until(lambda: "SHADOW" in states().values())
        assert states()["torch_v1"] == "ACTIVE"

        # Who trains only finds nothing due while one is tried, and ends when it is told to.
        log = tmp_path / "trainer"
        with log.open("wb") as said:
            command = [sys.executable, "-m", "alertgraph", "serve", "--role", "trainer"]
            trainer = subprocess.Popen(command, env=environment, stdout=said, stderr=said)
            until(lambda: '"training"' in log.read_text())
            time.sleep(2.0)
            trainer.terminate()
            assert trainer.wait(60) == 0
        assert "trained a candidate" not in log.read_text()
        assert "rror" not in log.read_text()
    finally:
        if service.process.poll() is None:
            assert service.stop() == 0
