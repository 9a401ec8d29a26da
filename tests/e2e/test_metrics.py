"""Metrics from Debian's Prometheus to an alert and its end, as docs/metrics.md prints it, and across a kill."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pytest

from tests.prometheus import PROMETHEUS, Exporter, running
from tests.running import RunningService, ServiceProcess, environment_of, new_tenant
from tests.servers import DatabaseServers, short_directory

pytest.importorskip("numpy", reason="the extra ml is not installed")

DOCUMENT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
ALERTS = """{ alerts(first: 100) { nodes {
  title description status severity source monitoredService labels occurrenceCount links { text }
  resolvedBy { name }
} } }"""
UPDATE = """mutation($id: ID!) {
  updateAnomalyRule(input: {id: $id, minDuration: "PT2S"}) { errors { message } }
}"""

T = TypeVar("T")


def printed(language: str) -> list[str]:
    """Return the document's blocks of a language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)


@pytest.fixture(scope="module")
def watching(database_servers: DatabaseServers) -> Iterator[tuple[ServiceProcess, Mapping[str, str]]]:
    """An alertgraph with its learning process."""
    with database_servers.get("wheel").database(migrated=True) as url, short_directory() as directory:
        environment = environment_of(
            url, CRITICAL_ALERT_ML_ENABLED="true", CRITICAL_ALERT_DATA_DIR=str(directory / "data")
        )
        process = ServiceProcess(environment)
        process.start(directory / "log")
        yield process, environment
        assert process.stop() == 0


@pytest.fixture
def tenant(watching: tuple[ServiceProcess, Mapping[str, str]]) -> RunningService:
    return _tenant(watching)


@pytest.fixture
def neighbour(watching: tuple[ServiceProcess, Mapping[str, str]]) -> RunningService:
    return _tenant(watching)


def _tenant(watching: tuple[ServiceProcess, Mapping[str, str]]) -> RunningService:
    process, environment = watching
    return new_tenant(process.url, environment, f"t-{uuid4().hex[:12]}")


def until(what: Callable[[], T | None], seconds: float = 60) -> T:
    """Return the first answer that is not empty, asking again and again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = what()
        if answer:
            return answer
        time.sleep(0.1)
    raise AssertionError(f"nothing within {seconds} s")


def watch(tenant: RunningService) -> str:
    """Make the rule that the document prints, but for how long something has to last; return its id."""
    operation, variables = printed("graphql")[0], json.loads(printed("json")[0])
    made = tenant.data(operation, variables)["createAnomalyRule"]
    assert made["errors"] == []
    rule_id = str(made["anomalyRule"]["id"])
    assert tenant.data(UPDATE, {"id": rule_id})["updateAnomalyRule"]["errors"] == []
    return rule_id


def send(tenant: RunningService, labels: Mapping[str, str], points: list[tuple[float, float]]) -> dict[str, Any]:
    with tenant.client(tenant.ingest_key) as client:
        answer = client.post("/ingest/metrics", json={"series": [{"labels": labels, "points": points}]})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def history(count: int = 400, seed: int = 1) -> list[tuple[float, float]]:
    """Ordinary points, one a second, until a moment ago."""
    dice, now = random.Random(seed), time.time()
    return [(now - 3 - count + second, 10 + dice.gauss(0, 1)) for second in range(count)]


def alerts(tenant: RunningService) -> list[dict[str, Any]]:
    return list(tenant.data(ALERTS)["alerts"]["nodes"])


class Shop(Exporter):
    """Something watched: the length of its queue, with some noise."""

    def __init__(self) -> None:
        self.length = 10.0
        dice = random.Random(2)
        super().__init__(lambda: f'queue_length{{app="checkout"}} {self.length + dice.gauss(0, 1)}\nunwatched 1\n')


@contextmanager
def prometheus(directory: Path, shop: Shop, tenant: RunningService) -> Iterator[str]:
    """Run Prometheus with the part of its configuration that the document prints; yield its URL."""
    [remote_write] = printed("yaml")
    (directory / "key").write_text(tenant.ingest_key)
    remote_write = remote_write.replace("http://127.0.0.1:8000", tenant.url)
    remote_write = remote_write.replace("/etc/prometheus/alertgraph-key", str(directory / "key"))
    assert tenant.url in remote_write
    assert str(directory / "key") in remote_write
    scraping = f"""
global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: shop
  static_configs: [{{targets: ["{shop.address}"]}}]
"""
    with running(directory, scraping + remote_write) as url:
        yield url


def learner_of(pid: int) -> int | None:
    """Return the learning process that a service runs."""
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in tasks.read_text().split():
            if b"predictor" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    return None


@pytest.mark.debian
@pytest.mark.skipif(PROMETHEUS is None, reason="Debian's package prometheus is not installed")
@pytest.mark.timeout(240)
def test_what_prometheus_sees_go_wrong_is_an_alert_until_it_is_well_again(
    watching: tuple[ServiceProcess, Mapping[str, str]],
    tenant: RunningService,
    neighbour: RunningService,
    tmp_path: Path,
) -> None:
    watch(tenant)
    watch(neighbour)
    with Shop().serving() as shop:
        labels = {"__name__": "queue_length", "app": "checkout", "instance": shop.address, "job": "shop"}
        assert send(tenant, labels, history())["watchedCount"] == 400
        assert send(neighbour, labels, history())["watchedCount"] == 400
        with prometheus(tmp_path, shop, tenant):
            time.sleep(5)
            assert alerts(tenant) == []
            shop.length = 120.0

            [alert] = until(lambda: alerts(tenant))
            assert re.fullmatch(
                r"queue_length is unusually high: 1\d\d(\.\d)? \(usually .* to .*\)", alert["title"]
            )
            assert "Watched by the anomaly rule queues." in alert["description"]
            assert (alert["status"], alert["severity"], alert["source"]) == ("TRIGGERED", "HIGH", "anomaly")
            assert alert["monitoredService"] == "checkout"
            assert alert["labels"] == {
                "anomaly_rule": "queues",
                "app": "checkout",
                "instance": shop.address,
                "job": "shop",
                "metric": "queue_length",
            }
            assert [link["text"] for link in alert["links"]] == ["Runbook"]

            # As long as it lasts, so does the alert, however long it has been known.
            time.sleep(10)
            assert [one["status"] for one in alerts(tenant)] == ["TRIGGERED"]

            # Whoever watches dies; who comes after knows what was told, and when it is over.
            service = watching[0].process.pid
            before = until(lambda: learner_of(service))
            os.kill(before, signal.SIGKILL)
            until(lambda: (found := learner_of(service)) is not None and found != before)
            shop.length = 10.0

            until(lambda: all(one["status"] == "RESOLVED" for one in alerts(tenant)), 120)
            [ended] = alerts(tenant)
            assert ended["resolvedBy"] == {"name": "anomaly detection"}
            assert ended["occurrenceCount"] == 1
    assert alerts(neighbour) == [], "its own series were well all the time"


def test_what_is_printed_is_taken(tenant: RunningService) -> None:
    for operation in printed("graphql")[1:]:
        answer = tenant.data(operation)
        assert all(payload["errors"] == [] for payload in answer.values())
    watch(tenant)
    body = printed("json")[1]
    [command] = printed("sh")
    url = re.search(r"http://\S+", command)
    assert url is not None
    with tenant.client(tenant.ingest_key) as client:
        headers = {"Content-Type": "application/json"}
        answer = client.post(url.group().replace("http://127.0.0.1:8000", ""), content=body, headers=headers)

    # Its times are of the day it was written.
    assert answer.status_code in (200, 400)
    problems = answer.json()["errors"]
    assert all("30 days ago" in problem["message"] or "ahead" in problem["message"] for problem in problems)


def test_a_tenant_sees_nothing_of_another(tenant: RunningService, neighbour: RunningService) -> None:
    watch(tenant)
    watch(neighbour)
    labels = {"__name__": "queue_length", "app": "secret-of-the-first"}
    send(tenant, labels, history())
    send(neighbour, {**labels, "app": "other"}, history())
    send(tenant, labels, [(time.time() + second, 500.0 + second) for second in range(-3, 1)])

    until(lambda: alerts(tenant))

    assert alerts(neighbour) == []
    with neighbour.client() as client:
        found = client.get("/metrics").text
    assert "secret-of-the-first" not in found
