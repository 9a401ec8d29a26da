"""The proof of the dialect: Debian's Prometheus, unmodified, takes the service for its Alertmanager."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import orjson
import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.prometheus import PROMETHEUS, Exporter, running
from tests.running import RunningService

pytestmark = [
    pytest.mark.debian,
    pytest.mark.skipif(PROMETHEUS is None, reason="Debian's package prometheus is not installed"),
]

T = TypeVar("T")

RULES = """
groups:
- name: test
  rules:
  - alert: AlwaysFiring
    expr: vector(1)
    labels: {severity: info, service: watchdog}
    annotations: {summary: Prometheus is alive}
  - alert: Burning
    expr: burning > 0
    labels: {severity: critical}
    annotations:
      summary: 'It burns with {{ $value }} at {{ $labels.instance }}'
      description: Get the hose.
      runbook_url: https://runbooks.example/fire
"""


class Fire(Exporter):
    """Something watched: its one metric burns until it is put out."""

    def __init__(self) -> None:
        self.burning = 1
        super().__init__(lambda: f"burning {self.burning}\n")


@contextmanager
def prometheus(directory: Path, exporter: Fire, service: RunningService) -> Iterator[str]:
    """Run Prometheus with two rules; yield its URL."""
    (directory / "rules.yml").write_text(RULES)
    (directory / "key").write_text(service.ingest_key)
    configuration = f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s, external_labels: {{cluster: test}}}}
rule_files: [rules.yml]
scrape_configs:
- job_name: fire
  static_configs: [{{targets: ["{exporter.address}"]}}]
alerting:
  alertmanagers:
  - path_prefix: /alertmanager/test
    basic_auth: {{username: prometheus, password_file: key}}
    static_configs: [{{targets: ["{service.url.removeprefix("http://")}"]}}]
"""
    with running(directory, configuration, "--rules.alert.resend-delay=2s") as url:
        yield url


def until(what: Callable[[], T | None], seconds: float = 40) -> T:
    """Return the first answer that is not empty, asking again and again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = what()
        if answer:
            return answer
        time.sleep(0.1)
    raise AssertionError(f"nothing within {seconds} s")


@contextmanager
def following(service: RunningService) -> Iterator[list[tuple[str, str]]]:
    """Follow the tenant's alerts over a websocket; yield a growing list of kinds and titles."""
    events: list[tuple[str, str]] = []
    query = "subscription { alertEvents { kind alert { title } } }"
    with connect(service.websocket_url, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:

        def say(**message: object) -> None:
            socket.send(orjson.dumps(message).decode())

        def listen() -> None:
            for raw in socket:
                message: dict[str, Any] = orjson.loads(raw)
                if message["type"] == "ping":
                    say(type="pong")
                elif message["type"] == "next":
                    event = message["payload"]["data"]["alertEvents"]
                    events.append((event["kind"], event["alert"]["title"]))

        say(type="connection_init", payload=service.headers())
        assert orjson.loads(socket.recv(timeout=10))["type"] == "connection_ack"
        say(type="subscribe", id="1", payload={"query": query})
        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield events
        finally:
            socket.close()
            thread.join(5)


def test_prometheus_fires_repeats_and_resolves(service: RunningService, tmp_path: Path) -> None:
    with (
        following(service) as followed,
        Fire().serving() as exporter,
        prometheus(tmp_path, exporter, service) as prometheus_url,
    ):

        def alert(
            name: str, is_wanted: Callable[[dict[str, Any]], bool] = lambda _: True
        ) -> dict[str, Any] | None:
            """The one alert of a rule, as GraphQL shows it, where it is as wanted."""
            nodes = service.data(
                "query($m: [LabelMatcherInput!]) { alerts(filter: {matchers: $m}) { nodes { id title description"
                " severity status source monitoredService occurrenceCount labels links { text }"
                " resolvedBy { kind } } } }",
                {"m": [{"label": "alertname", "value": name}]},
            )["alerts"]["nodes"]
            assert len(nodes) <= 1, "a repeat is folded into the open alert"
            return nodes[0] if nodes and is_wanted(nodes[0]) else None

        burning = until(lambda: alert("Burning"))
        assert burning["title"] == f"It burns with 1 at {exporter.address}"
        assert burning["description"] == "Get the hose."
        assert (burning["severity"], burning["status"]) == ("CRITICAL", "TRIGGERED")
        assert (burning["source"], burning["monitoredService"]) == ("prometheus", "fire")
        assert burning["labels"] == {
            "alertname": "Burning",
            "cluster": "test",
            "instance": exporter.address,
            "job": "fire",
            "severity": "critical",
        }
        assert [link["text"] for link in burning["links"]] == ["Source", "Runbook"]

        until(lambda: alert("Burning", lambda found: found["occurrenceCount"] >= 3))
        always = until(lambda: alert("AlwaysFiring"))
        assert (always["severity"], always["monitoredService"]) == ("INFO", "watchdog")

        # One and the same alert by REST and by Alertmanager's own API.
        with service.client() as http:
            shown = http.get(f"/api/v1/critical-alerts/{burning['id']}").json()
            told = http.get("/api/v2/alerts", params={"filter": 'alertname="Burning"'}).json()
        assert (shown["title"], shown["labels"]) == (burning["title"], burning["labels"])
        assert [entry["labels"] for entry in told] == [burning["labels"]]
        rules = httpx2.get(f"{prometheus_url}/api/v1/alerts").json()["data"]["alerts"]
        assert {entry["labels"]["alertname"] for entry in rules} == {"Burning", "AlwaysFiring"}

        exporter.burning = 0

        ended = until(lambda: alert("Burning", lambda found: found["status"] == "RESOLVED"))
        assert ended["id"] == burning["id"]
        assert ended["resolvedBy"] == {"kind": "SENDER"}
        still = until(lambda: alert("AlwaysFiring"))
        assert still["status"] == "TRIGGERED"
        with service.client() as http:
            assert http.get("/api/v2/alerts", params={"filter": 'alertname="Burning"'}).json() == []

        until(lambda: ("RESOLVED", burning["title"]) in followed)
        assert followed.count(("TRIGGERED", burning["title"])) == 1

        metrics = httpx2.get(f"{prometheus_url}/metrics").text.splitlines()
        counted = {
            line.partition("{")[0]: float(line.rpartition(" ")[2])
            for line in metrics
            if line.startswith(("prometheus_notifications_errors_total{", "prometheus_notifications_sent_total{"))
        }
        assert counted["prometheus_notifications_errors_total"] == 0
        assert counted["prometheus_notifications_sent_total"] > 0
