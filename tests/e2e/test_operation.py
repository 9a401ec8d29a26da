"""What an operator's machines see: health, figures, logs, request ids."""

from __future__ import annotations

import json
import shutil
import subprocess

import httpx2
import pytest

from tests.running import RunningService

CREATE = 'mutation { createAlert(input: {title: "t", severity: LOW}) { created } }'


def figures(service: RunningService) -> dict[str, float]:
    text = httpx2.get(f"{service.url}/metrics").text
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_a_running_service_is_alive_and_ready(service: RunningService) -> None:
    assert httpx2.get(f"{service.url}/livez").text == "ok\n"
    ready = httpx2.get(f"{service.url}/readyz")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    assert ready.json()["checks"] == {"database": "ok", "partitions": "ok"}


def test_figures_follow_what_happens(service: RunningService) -> None:
    before = figures(service)

    service.data(CREATE)
    service.data(CREATE)
    service.graphql("{ nothing }")
    after = figures(service)

    def grew(name: str) -> float:
        return after.get(name, 0.0) - before.get(name, 0.0)

    assert grew("alertgraph_open_alerts") == 1
    assert grew("alertgraph_commands_total") == 2
    assert grew("alertgraph_ingest_duration_seconds_count") == 2
    assert grew('alertgraph_graphql_operations_total{outcome="ok",type="mutation"}') == 2
    assert grew('alertgraph_graphql_operations_total{outcome="VALIDATION_FAILED",type="none"}') == 1
    assert grew('alertgraph_http_requests_total{method="POST",route="/graphql",status="200"}') == 3
    assert after["alertgraph_queue_age_seconds"] == 0
    assert after["alertgraph_engine_silence_seconds"] < 60


@pytest.mark.debian
def test_prometheus_own_tool_finds_nothing_wrong_with_the_figures(service: RunningService) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt install prometheus")
    text = httpx2.get(f"{service.url}/metrics").content

    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)

    assert (checked.returncode, checked.stderr) == (0, b"")


def test_a_path_as_sent_is_no_label_of_a_figure(service: RunningService) -> None:
    httpx2.get(f"{service.url}/nothing/here/canary-path")
    with service.client() as client:
        client.get("/api/v1/critical-alerts/canary-id")

    text = httpx2.get(f"{service.url}/metrics").text

    assert "canary" not in text
    assert 'route="/api/v1/critical-alerts/{id}"' in text


@pytest.mark.parametrize("path", ["/graphql", "/api/v1/critical-alerts", "/api/v2/alerts", "/livez", "/nothing"])
def test_every_answer_has_a_request_id(service: RunningService, path: str) -> None:
    given = httpx2.get(f"{service.url}{path}", headers={"X-Request-Id": "mine-1"})
    made = httpx2.get(f"{service.url}{path}", headers={"X-Request-Id": "bad id\t{}"})

    assert given.headers["X-Request-Id"] == "mine-1"
    assert made.headers["X-Request-Id"] not in ("", "bad id\t{}")


def test_an_error_quotes_the_id_of_its_request(service: RunningService) -> None:
    headers = {"X-Request-Id": "mine-2"}
    with service.client() as client:
        by_graphql = client.post("/graphql", json={"query": "{ nothing }"}, headers=headers).json()
        by_rest = client.get("/api/v1/critical-alerts/none", headers=headers).json()

    assert by_graphql["errors"][0]["extensions"]["requestId"] == "mine-2"
    assert by_rest["requestId"] == "mine-2"
    assert json.dumps(by_graphql).count("mine-2") == 1
