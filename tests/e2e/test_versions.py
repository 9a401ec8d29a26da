"""A tenant's own version in a running service: trained, tried unseen, put into use, taken out where it fails.

With the thresholds as they are: 200 outcomes before anything is trained, 500 that neither had seen before one
takes over. Severity decides what needs a person, in a way that no straightening of the bundled version can follow.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.test_learning_process import children
from tests.running import ServiceProcess, environment_of

pytestmark = [
    # Minutes long; it kills what it watches.
    pytest.mark.faults,
    pytest.mark.skipif(
        importlib.util.find_spec("torch") is None or importlib.util.find_spec("sklearn") is None,
        reason="the extra ml is not installed",
    ),
    pytest.mark.timeout(900),
]
CREATE = "mutation ($input: [CreateAlertInput!]!) { createAlerts(input: $input) { outcomes { alert { id } } } }"
# That it is on the timeline: of what has not been said yet, an answer may be made only for who asks.
PREDICTED = """{ alerts(filter: { status: [TRIGGERED] }, first: 100) {
    nodes { events(kinds: [PREDICTED], first: 1) { nodes { number } } } } }"""
RESOLVE = """mutation ($ids: [ID!]!) {
    resolveAlerts(input: { select: { ids: $ids } }) { outcomes { changed error { message } } } }"""
LABELS = "{ predictionStatus { labelCount model { version } } }"
MODELS = """{ predictionModels { nodes { version state trainedAt exampleCount
    metrics { name value definition } calibration { predicted observed count } } } }"""
STEPS = """{ events(filter: { kinds: [MODEL_PROMOTED, MODEL_ROLLED_BACK] }, first: 20) {
    nodes { kind detail actor { kind } subject { ... on PredictionModel { version } } } } }"""
SEVERITIES = ("INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL")
NEED_A_PERSON = {"LOW", "HIGH"}
ROUND = 100
# So many fields may a document have at its root.
FIELDS_MAX = 20


class Shop:
    """A tenant whose alerts come a hundred at a time, are predicted, judged and resolved."""

    def __init__(self, data_dir: Path, log: Path) -> None:
        self._environment = environment_of(
            "",
            CRITICAL_ALERT_DATA_DIR=str(data_dir),
            CRITICAL_ALERT_ML_ENABLED="true",
            CRITICAL_ALERT_DATABASE_POOL_SIZE="4",
            CRITICAL_ALERT_COST_BUDGET="100000000",
        )
        self._log = log
        self._draw = random.Random(1)
        self._count = 0
        self.service = ServiceProcess(self._environment).start(log)
        self._key = (data_dir / "bootstrap_key").read_text().strip()

    def ask(self, text: str, **variables: Any) -> Any:
        with httpx2.Client(
            base_url=self.service.url,
            headers={"Authorization": f"Bearer {self._key}"},
            timeout=60.0,
            trust_env=False,
        ) as http:
            answer = http.post("/graphql", json={"query": text, "variables": variables}).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def kill_learner(self) -> None:
        """End the learning process as a power cut would; the service starts another."""
        (learner,) = children(self.service.process.pid)
        os.kill(learner, signal.SIGKILL)

    def kill(self) -> None:
        """End the whole service so, and start it again."""
        self.service.kill()
        self.service = ServiceProcess(self._environment).start(self._log)

    def label_count(self) -> int:
        return int(self.ask(LABELS)["predictionStatus"]["labelCount"])

    def states(self) -> dict[str, str]:
        return {node["version"]: node["state"] for node in self.ask(MODELS)["predictionModels"]["nodes"]}

    def active(self) -> str:
        [active] = [version for version, state in self.states().items() if state == "ACTIVE"]
        return active

    def steps(self) -> list[str]:
        return [node["kind"] for node in self.ask(STEPS)["events"]["nodes"]]

    def round(self, *, turned: bool = False, in_the_middle: Callable[[], None] = lambda: None) -> None:
        """Let a hundred alerts come, be looked at by the model, be judged by a person, and end."""
        labels_before = self.label_count()
        severities = [self._draw.choice(SEVERITIES) for _ in range(ROUND)]
        alerts = []
        for severity in severities:
            self._count += 1
            kind = self._draw.randrange(4)
            fields = {"severity": severity, "dedupKey": f"k{self._count}"}
            labels = {"alertname": f"rule-{kind}", "service": f"s{self._draw.randrange(3)}"}
            alerts.append({**fields, "title": f"rule {kind} fires on host {self._count}", "labels": labels})
        results = self.ask(CREATE, input=alerts)["createAlerts"]["outcomes"]
        ids = [result["alert"]["id"] for result in results]
        in_the_middle()
        # Only what the model has looked at while it was open does it learn from.
        until(lambda: all(node["events"]["nodes"] for node in self.ask(PREDICTED)["alerts"]["nodes"]))
        judged = []
        for alert_id, severity in zip(ids, severities, strict=True):
            needed = (severity in NEED_A_PERSON) is not turned
            verdict = "ACTIONABLE" if needed else "NOISE"
            judged.append(
                f'giveAlertFeedback(input: {{ alertId: "{alert_id}", verdict: {verdict} }}) {{ changed }}'
            )
        for start in range(0, ROUND, FIELDS_MAX):
            part = enumerate(judged[start : start + FIELDS_MAX])
            self.ask("mutation { " + " ".join(f"a{place}: {one}" for place, one in part) + " }")
        outcomes = self.ask(RESOLVE, ids=ids)["resolveAlerts"]["outcomes"]
        assert all(outcome["changed"] for outcome in outcomes), outcomes
        until(lambda: self.label_count() >= labels_before + ROUND)


def until(is_so: Callable[[], bool], seconds: float = 150.0) -> None:
    until_at = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until_at, "it never was so"
        time.sleep(0.25)


def test_a_version_is_trained_tried_promoted_and_rolled_back_through_kills(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "data", tmp_path / "log")
    try:
        while shop.label_count() < 3 * ROUND:
            shop.round()
        # The service trains by itself, in a process of its own, and tries what came of it.
        until(lambda: "SHADOW" in shop.states().values())
        assert shop.states()["torch_v1"] == "ACTIVE"
        assert shop.steps() == []

        # Killed while it is tried: it goes on with what it knew, and decides once.
        turns = 0
        while shop.active() == "torch_v1":
            turns += 1
            assert turns <= 15, shop.states()
            shop.round(in_the_middle=shop.kill_learner if turns == 3 else lambda: None)
        assert turns >= 5, "nobody is promoted on fewer than 500 outcomes that it had not seen"
        own = shop.active()
        assert own.startswith("own-")
        assert shop.states()["torch_v1"] == "RETIRED"
        assert shop.steps() == ["MODEL_PROMOTED"]
        [told] = shop.ask(STEPS)["events"]["nodes"]
        assert told["subject"] == {"version": own}
        assert told["actor"]["kind"] == "MODEL"
        assert "lost less on" in json.dumps(told["detail"])

        # The world turns round: what its new version knows best is wrong now. All of it is killed on the way.
        turns = 0
        while shop.active() == own:
            turns += 1
            assert turns <= 15, shop.states()
            shop.round(turned=True, in_the_middle=shop.kill if turns == 1 else lambda: None)
        assert turns >= 2, "nobody is taken out on fewer than 200 outcomes"
        assert shop.active() == "torch_v1"
        assert shop.states()[own] == "RETIRED"
        assert shop.steps() == ["MODEL_PROMOTED", "MODEL_ROLLED_BACK"]

        # What is said from now on is said by the one that was put back, and the history stays.
        shop.kill()
        shop.round(turned=True)
        assert shop.active() == "torch_v1"
        known = shop.ask(MODELS)["predictionModels"]["nodes"]
        of_own = next(model for model in known if model["version"] == own)
        assert of_own["exampleCount"] >= 200
        assert {"auroc", "ece"} <= {metric["name"] for metric in of_own["metrics"]}
        assert all(metric["definition"] for model in known for metric in model["metrics"])
        assert shop.steps() == ["MODEL_PROMOTED", "MODEL_ROLLED_BACK"]
    finally:
        if shop.service.process.poll() is None:
            assert shop.service.stop() == 0
