"""The way in for metrics: what it takes, how it says no, and which no Prometheus tries again."""

from __future__ import annotations

import gzip
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import pytest

from alertgraph.edge.bodies import BODY_BYTES_MAX
from tests.remote_write import V1_HEADERS, V2_HEADERS, part, request_v1, request_v2, snappy, varint
from tests.running import RunningService, new_tenant, served_in_thread
from tests.servers import DatabaseServers

PATH = "/ingest/metrics"
RULE = """mutation($input: AnomalyRuleInput!) {
  createAnomalyRule(input: $input) { anomalyRule { id } errors { message path } }
}"""
QUEUE = {"__name__": "queue", "app": "a"}


@pytest.fixture(scope="module")
def watching(database_servers: DatabaseServers) -> Iterator[tuple[str, dict[str, str]]]:
    """An alertgraph that answers requests and relies on somebody else to learn."""
    more = {"CRITICAL_ALERT_ML_ENABLED": "true", "CRITICAL_ALERT_COST_BUDGET": "400"}
    with (
        database_servers.get("wheel").database(migrated=True) as url,
        served_in_thread(url, role="api", **more) as running,
    ):
        yield running


@pytest.fixture
def tenant(watching: tuple[str, dict[str, str]]) -> RunningService:
    """A tenant that watches its queues."""
    service = new_tenant(*watching, f"t-{uuid4().hex[:12]}")
    rule = {"name": "queues", "matchers": [{"label": "__name__", "value": "queue"}]}
    assert not service.data(RULE, {"input": rule})["createAnomalyRule"]["errors"]
    return service


def now() -> int:
    return int(time.time() * 1000)


def post(
    tenant: RunningService, content: bytes, headers: Mapping[str, str], key: str | None = None
) -> tuple[int, str, Any]:
    with tenant.client(key or tenant.ingest_key) as client:
        answer = client.post(PATH, content=content, headers=dict(headers))
    return answer.status_code, answer.text, answer.headers


def post_json(tenant: RunningService, body: Any) -> tuple[int, Any]:
    with tenant.client(tenant.ingest_key) as client:
        answer = client.post(PATH, json=body)
    return answer.status_code, answer.json()


# ------------------------------------------------------------------------------- remote write


def test_both_versions_of_remote_write_are_taken(tenant: RunningService) -> None:
    series = ((QUEUE, [(now(), 1.0)]), ({"__name__": "up"}, [(now(), 1.0)]))

    status, text, _ = post(tenant, snappy(request_v1(*series)), V1_HEADERS)
    assert (status, text) == (204, "")
    named = {**V1_HEADERS, "Content-Type": 'application/x-protobuf; proto="prometheus.WriteRequest"'}
    assert post(tenant, snappy(request_v1(*series)), named)[0] == 204
    status, text, headers = post(tenant, snappy(request_v2(*series)), V2_HEADERS)
    assert (status, text) == (204, "")
    assert headers["X-Prometheus-Remote-Write-Samples-Written"] == "2"
    assert headers["X-Prometheus-Remote-Write-Histograms-Written"] == "0"
    assert headers["X-Prometheus-Remote-Write-Exemplars-Written"] == "0"


def test_marks_of_what_ended_are_no_mistake(tenant: RunningService) -> None:
    stale = part(2, b"\x09" + (0x7FF0000000000002).to_bytes(8, "little") + b"\x10" + varint(now()))
    raw = part(1, part(1, part(1, b"__name__") + part(2, b"queue")) + stale)

    assert post(tenant, snappy(raw), V1_HEADERS)[0] == 204


def test_what_is_wrong_is_said_on_one_line_and_the_rest_is_kept(tenant: RunningService) -> None:
    series = ((QUEUE, [(now(), 1.0), (now() + 3_600_000, 2.0)]), ({"@x": "y"}, [(now(), 1.0)]))
    for raw, headers in ((request_v1(*series), V1_HEADERS), (request_v2(*series), V2_HEADERS)):
        status, text, answered = post(tenant, snappy(raw), headers)

        assert status == 400
        assert text.startswith("2 points were refused; 1 were taken. timeseries.0.points.1.at: The time is more")
        assert text.count("\n") == 1
        if headers is V2_HEADERS:
            assert answered["X-Prometheus-Remote-Write-Samples-Written"] == "1"


@pytest.mark.parametrize(
    ("content", "headers", "status", "message"),
    [
        (b"", {}, 400, "not compressed with snappy"),
        (b"\xff" * 30, {}, 400, "not compressed with snappy"),
        (snappy(b"\x0a\x05a"), {}, 400, "ends beyond its end"),
        (snappy(bytes(BODY_BYTES_MAX + 1)), {}, 413, "when it is not compressed"),
        (varint(2**32 - 1), {}, 413, "when it is not compressed"),
        (bytes(BODY_BYTES_MAX + 1), {}, 413, "longer than 5,242,880 bytes"),
        (b"", {"Content-Encoding": "gzip"}, 415, "compressed with snappy."),
        (b"", {"Content-Encoding": "identity"}, 415, "compressed with snappy."),
        (b"", {"Content-Type": "application/x-protobuf;proto=other"}, 415, 'The message "other" is unknown'),
    ],
)
def test_what_is_no_remote_write_is_never_sent_again(
    tenant: RunningService, content: bytes, headers: Mapping[str, str], status: int, message: str
) -> None:
    found, text, _ = post(tenant, content, {**V1_HEADERS, **headers})

    assert found == status
    assert message in text


# ---------------------------------------------------------------------------------------- JSON


def test_json_is_taken_in_every_spelling(tenant: RunningService) -> None:
    at = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    series = [
        {"labels": QUEUE, "points": [[at, 1], [stamp, 2.5], [at - 10, None]]},
        {"labels": {"__name__": "other", "empty": ""}, "points": []},
        {"labels": {"__name__": "other"}, "points": [[at, 0]]},
    ]

    status, answer = post_json(tenant, {"series": series})

    assert (status, answer) == (
        200,
        {"acceptedCount": 3, "watchedCount": 2, "ignoredCount": 1, "refusedCount": 0, "errors": []},
    )
    with tenant.client(tenant.ingest_key) as client:
        raw = gzip.compress(b'{"series": []}')
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        assert client.post(PATH, content=raw, headers=headers).json()["acceptedCount"] == 0


@pytest.mark.parametrize(
    ("point", "path", "message"),
    [
        ([0, 1], ["points", "0", "at"], "30 days ago"),
        ([1e12, 1], ["points", "0", "0"], "milliseconds"),
        ([True, 1], ["points", "0", "0"], "RFC 3339"),
        ([None, 1], ["points", "0", "0"], "RFC 3339"),
        (["soon", 1], ["points", "0", "0"], "time: "),
        (["NOW", "1"], ["points", "0", "1"], "a number"),
        (["NOW", True], ["points", "0", "1"], "a number"),
        (["NOW", 10**30], ["points", "0", "value"], "1e18"),
        (["NOW"], ["points", "0"], "[time, value]"),
        ({"at": 1}, ["points", "0"], "[time, value]"),
    ],
)
def test_an_error_names_the_field_and_the_rest_is_kept(
    tenant: RunningService, point: Any, path: list[str], message: str
) -> None:
    at = time.time()
    bad = [at if part == "NOW" else part for part in point] if isinstance(point, list) else point

    status, answer = post_json(tenant, {"series": [{"labels": QUEUE, "points": [bad, [at, 1]]}]})

    assert status == 200
    assert (answer["acceptedCount"], answer["watchedCount"], answer["refusedCount"]) == (1, 1, 1)
    [error] = answer["errors"]
    assert (error["code"], error["path"]) == ("INVALID_INPUT", ["series", "0", *path])
    assert message in error["message"]


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        ([], None, "An object with `series`"),
        ({}, ["series"], "series is a list"),
        ({"series": {}}, ["series"], "series is a list"),
        ({"series": [], "more": 1}, ["more"], "no field"),
        ({"series": [1]}, ["series", "0"], "an object"),
        ({"series": [{"labels": {}, "points": [[0, 1]]}]}, ["series", "0", "labels"], "at least one"),
        ({"series": [{"labels": {"a": 1}, "points": []}]}, ["series", "0", "labels", "a"], "is a text"),
        ({"series": [{"labels": [], "points": []}]}, ["series", "0", "labels"], "an object"),
        ({"series": [{"labels": QUEUE, "points": 1}]}, ["series", "0", "points"], "a list"),
        ({"series": [{"labels": QUEUE, "points": [], "x": 1}]}, ["series", "0", "x"], "no field"),
    ],
)
def test_where_nothing_is_good_it_is_a_400(
    tenant: RunningService, body: Any, path: list[str] | None, message: str
) -> None:
    status, answer = post_json(tenant, body)

    assert status == 400
    assert answer["errors"][0]["path"] == path
    assert message in answer["errors"][0]["message"]


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b'{"series": [', {}, 400),
        (b'{"series": [], "series": []}', {}, 400),
        (b'{"series": [{"labels": {"a": "b"}, "points": [[1, NaN]]}]}', {}, 400),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {"Content-Encoding": "br"}, 415),
        (b"{}", {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(b"{}", mtime=0)[:-4], {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(b"{}", mtime=0) + b"x", {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(bytes(BODY_BYTES_MAX + 1), mtime=0), {"Content-Encoding": "gzip"}, 413),
    ],
)
def test_bodies_that_are_no_json_are_refused(
    tenant: RunningService, content: bytes, headers: Mapping[str, str], status: int
) -> None:
    found, text, _ = post(tenant, content, {"Content-Type": "application/json", **headers})

    assert found == status
    assert '"errors"' in text


# ----------------------------------------------------------------------------------------- both


def test_who_may_not_send_is_told(tenant: RunningService) -> None:
    raw = snappy(request_v1((QUEUE, [(now(), 1.0)])))
    status, text, headers = post(tenant, raw, V1_HEADERS, key="ag_" + "x" * 40)
    assert (status, headers["WWW-Authenticate"][:6]) == (401, "Bearer")
    assert text.endswith("\n")
    made = tenant.data(
        """mutation { createApiKey(input: {name: "db", role: INGEST, matchers: [{label: "team", value: "db"}]}) {
          secret errors { message } } }"""
    )["createApiKey"]
    assert post(tenant, raw, V1_HEADERS, key=made["secret"])[0] == 403
    with tenant.client() as client:
        answer = client.get(PATH)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_a_budget_that_is_spent_is_a_429_and_says_when(tenant: RunningService) -> None:
    raw = snappy(request_v1(({"__name__": "x"}, [(now(), 1.0)] * 100_000)))
    statuses = []
    for _ in range(25):
        status, text, headers = post(tenant, raw, V1_HEADERS)
        statuses.append(status)
        if status != 204:
            break

    assert statuses[-1] == 429
    assert 1 <= int(headers["Retry-After"]) <= 60
    assert "points" in text


def test_too_many_points_of_one_request_are_refused(tenant: RunningService) -> None:
    raw = snappy(request_v1(({"__name__": "x"}, [(now(), 1.0)] * 100_001)))

    status, text, _ = post(tenant, raw, V1_HEADERS)

    assert (status, "100,000 points" in text) == (400, True)


def test_what_nobody_takes_is_a_503_to_try_again(tenant: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alertgraph.services.metric_intake.BACKLOG_SIZE_MAX", 1000)
    raw = snappy(request_v1(*[({**QUEUE, "app": str(n)}, [(now(), 1.0)]) for n in range(100)]))
    statuses = [post(tenant, raw, V1_HEADERS)[0] for _ in range(4)]
    assert statuses[0] == 204

    status, text, headers = post(tenant, raw, V1_HEADERS)

    assert (status, int(headers["Retry-After"]) >= 1) == (503, True)
    assert "is a predictor running" in text
    # What nobody watches does not wait.
    assert post(tenant, snappy(request_v1(({"__name__": "up"}, [(now(), 1.0)]))), V1_HEADERS)[0] == 204


def test_where_learning_is_off_nobody_is_left_waiting(service: RunningService) -> None:
    rule = {"name": "queues", "matchers": [{"label": "__name__", "value": "queue"}]}
    assert not service.data(RULE, {"input": rule})["createAnomalyRule"]["errors"]

    status, text, headers = post(service, snappy(request_v1((QUEUE, [(now(), 1.0)]))), V1_HEADERS)

    assert (status, "Retry-After" in headers) == (503, False)
    assert "CRITICAL_ALERT_ML_ENABLED" in text


def test_who_takes_points_in_loads_nothing_that_scores_them() -> None:
    program = (
        "import sys, alertgraph.edge.app, alertgraph.edge.wiring, alertgraph.edge.intake.metrics, "
        "alertgraph.services.series, alertgraph.services.alert_rates; "
        "print([name for name in ('numpy', 'scipy', 'torch') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "[]"
