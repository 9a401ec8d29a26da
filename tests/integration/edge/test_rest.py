"""REST against the running service: every answer is what the OpenAPI document says it is."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from tests.json_schema import faults, resolved
from tests.running import RunningService

ROOT = "/api/v1/critical-alerts"

PLAIN_FIELDS = """
    id version dedupKey title description severity status source monitoredService labels annotations
    links { href text } occurrenceCount triggeredAt lastSeenAt acknowledgedAt acknowledgedUntil
    acknowledgedBy { kind name } resolvedAt resolvedBy { kind name } escalationLevel holdReason
    sla { acknowledgeBy resolveBy acknowledgeBreached resolveBreached } verdict
"""


class Rest:
    """A client that holds every answer against the document."""

    def __init__(self, url: str, key: str | None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
        self.http = httpx2.Client(base_url=url, headers=headers, timeout=30)
        self.document = self.http.get("/api/v1/openapi.json").json()

    def __call__(self, method: str, path: str, template: str | None = None, **arguments: Any) -> httpx2.Response:
        answer = self.http.request(method, path, **arguments)
        operation = self.document["paths"][template or path][method.lower()]
        described = resolved(operation["responses"][str(answer.status_code)], self.document)
        media_type = answer.headers["content-type"]
        schema = described["content"][media_type]["schema"]
        assert list(faults(answer.json(), schema, self.document)) == []
        if answer.status_code >= 400:
            assert answer.json()["requestId"] == answer.headers["x-request-id"]
        return answer

    def create(self, **arguments: Any) -> httpx2.Response:
        return self("POST", ROOT, **arguments)

    def bulk(self, **arguments: Any) -> httpx2.Response:
        return self("POST", f"{ROOT}/bulk", **arguments)

    def read(self, alert_id: str) -> httpx2.Response:
        return self("GET", f"{ROOT}/{alert_id}", f"{ROOT}/{{id}}")

    def escalate(self, alert_id: str, **arguments: Any) -> httpx2.Response:
        return self("PUT", f"{ROOT}/{alert_id}/escalate", f"{ROOT}/{{id}}/escalate", **arguments)

    def count(self, **labels: str) -> int:
        """How many alerts, open or closed, have these labels."""
        matchers = [{"label": name, "value": value} for name, value in labels.items()]
        answer = self.graphql(
            "query($m: [LabelMatcherInput!]) { alerts(first: 100, filter: {matchers: $m}) { nodes { id } } }",
            m=matchers,
        )
        return len(answer["alerts"]["nodes"])

    def graphql(self, document: str, **variables: Any) -> dict[str, Any]:
        answer = self.http.post("/graphql", json={"query": document, "variables": variables}).json()
        assert "errors" not in answer, answer
        data: dict[str, Any] = answer["data"]
        return data


@pytest.fixture
def admin(service: RunningService) -> Iterator[Rest]:
    rest = Rest(service.url, service.admin_key)
    yield rest
    rest.http.close()


@pytest.fixture
def sender(service: RunningService) -> Iterator[Rest]:
    rest = Rest(service.url, service.ingest_key)
    yield rest
    rest.http.close()


@pytest.fixture
def case() -> str:
    """A label's value that no other test uses."""
    return uuid.uuid4().hex


def an_input(case: str, **fields: Any) -> dict[str, Any]:
    return {"title": "Disk full", "severity": "HIGH", "labels": {"case": case}, **fields}


def paths(answer: httpx2.Response) -> list[list[str]]:
    return [error["path"] for error in answer.json()["errors"]]


# ---------------------------------------------------------------------------------------- creating


def test_a_new_alert_is_201_and_a_repeat_200(sender: Rest, case: str) -> None:
    first = sender.create(json=an_input(case))
    second = sender.create(json=an_input(case))

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    assert second.json()["occurrenceCount"] == 2
    assert first.headers["location"] == second.headers["location"] == f"{ROOT}/{first.json()['id']}"


def test_the_alert_is_the_one_that_graphql_shows(admin: Rest, case: str) -> None:
    # Of just now: an older one passes points of its SLA times while it is looked at.
    began_at = datetime.now(UTC) - timedelta(seconds=1)
    created = admin.create(
        json=an_input(
            case,
            description="92 %\n",
            source="cron",
            monitoredService="db",
            annotations={"deep": [1, {"x": None}], "é": "ü"},
            links=[{"href": "https://runbooks/disk", "text": "Runbook"}],
            triggeredAt=f"{began_at + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}.123456789+01:00",
        )
    ).json()
    read = admin.read(created["id"]).json()
    shown = admin.graphql(f"query($id: ID!) {{ alert(id: $id) {{ {PLAIN_FIELDS} }} }}", id=created["id"])

    assert created == read == shown["alert"]
    assert created["triggeredAt"] == f"{began_at:%Y-%m-%dT%H:%M:%S}.123456Z"
    assert created["version"] > 0


def test_where_no_source_is_named_it_is_the_keys_name(admin: Rest, case: str) -> None:
    created = admin.create(json=an_input(case)).json()
    viewer = admin.graphql("{ viewer { subject } }")

    assert created["source"] == viewer["viewer"]["subject"]


def test_the_same_idempotency_key_gets_the_same_answer(sender: Rest, case: str) -> None:
    first = sender.create(json=an_input(case), headers={"Idempotency-Key": case})
    again = sender.create(json=an_input(case, idempotencyKey=case))
    other = sender.create(json=an_input(case, title="Other"), headers={"Idempotency-Key": case})

    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 409)
    assert again.json()["occurrenceCount"] == 1
    assert other.json()["code"] == "IDEMPOTENCY_KEY_REUSED"


def test_two_different_idempotency_keys_are_a_mistake(sender: Rest, case: str) -> None:
    answer = sender.create(json=an_input(case, idempotencyKey="a"), headers={"Idempotency-Key": "b"})

    assert answer.status_code == 400
    assert paths(answer) == [["idempotencyKey"]]


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
def test_an_idempotency_key_that_is_none_is_refused(admin: Rest, case: str, key: str) -> None:
    answer = admin.create(json=an_input(case, idempotencyKey=key))

    assert answer.status_code == 400
    assert paths(answer) == [["idempotencyKey"]]
    assert admin.count(case=case) == 0


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"titel": "x"}, ["titel"]),
        ({"title": ""}, ["title"]),
        ({"title": " "}, ["title"]),
        ({"title": "x" * 100_000}, ["title"]),
        ({"title": "two\nlines"}, ["title"]),
        ({"title": "nul\0"}, ["title"]),
        ({"title": 5}, ["title"]),
        ({"description": "x" * 25_001}, ["description"]),
        ({"severity": "WORST"}, ["severity"]),
        ({"source": ""}, ["source"]),
        ({"monitoredService": "x" * 257}, ["monitoredService"]),
        ({"dedupKey": "nul\0"}, ["dedupKey"]),
        ({"labels": {"big": "x" * 4_000_000}}, ["labels", "big"]),
        ({"labels": {"nul": "\0"}}, ["labels", "nul"]),
        ({"labels": {"@title": "x"}}, ["labels", "@title"]),
        ({"labels": {"n": 1}}, ["labels", "n"]),
        ({"labels": {str(n): "x" for n in range(65)}}, ["labels"]),
        ({"annotations": {"a": "x" * 70_000}}, ["annotations"]),
        ({"annotations": {"a": ["\0"]}}, ["annotations"]),
        ({"annotations": []}, ["annotations"]),
        ({"links": [{"href": "javascript:alert(1)", "text": "x"}]}, ["links", "0", "href"]),
        ({"links": [{"href": "https://x"}]}, ["links", "0", "text"]),
        ({"links": [{"href": "https://x", "text": "x"}] * 21}, ["links"]),
        ({"triggeredAt": "0001-01-01T00:00:00Z"}, ["triggeredAt"]),
        ({"triggeredAt": "9999-12-31T23:59:59Z"}, ["triggeredAt"]),
        ({"triggeredAt": "9999-12-31T23:59:59-14:00"}, ["triggeredAt"]),
        ({"triggeredAt": "yesterday"}, ["triggeredAt"]),
    ],
)
def test_bad_input_is_refused_by_its_name_and_nothing_is_kept(
    admin: Rest, case: str, fields: dict[str, Any], path: list[str]
) -> None:
    labels = {"case": case, **(fields["labels"] if isinstance(fields.get("labels"), dict) else {})}
    answer = admin.create(json={**an_input(case), **fields, "labels": labels})

    assert answer.status_code == 400
    assert paths(answer) == [path]
    assert answer.json()["code"] == "INVALID_INPUT"
    assert len(answer.content) < 2000
    assert admin.count(case=case) == 0


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"{", "no JSON"),
        (b"5", "An object is wanted"),
        (b"null", "An object is wanted"),
        (b"[]", "An object is wanted"),
        (b"[" * 100_000, "no JSON"),
        (b'{"a":' * 500 + b"1" + b"}" * 500, "nested too deeply"),
        (b'{"title":"\xff"}', "UTF-8"),
        (b'{"title":"\xed\xa0\x80"}', "UTF-8"),
        (b'{"title":NaN}', "no JSON"),
        (b'{"title":"a","severity":"LOW","title":"b"}', '"title" occurs twice'),
        (b'{"title":"a","severity":"LOW","labels":{"a":"1","a":"2"}}', '"a" occurs twice'),
    ],
)
def test_a_body_that_is_no_alert_is_refused_in_a_sentence(sender: Rest, body: bytes, says: str) -> None:
    answer = sender.create(content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400
    assert says in answer.json()["detail"]


def test_a_body_beyond_5_mib_is_413(sender: Rest, case: str) -> None:
    answer = sender.create(json=an_input(case, description="x" * 10_000_000))

    assert answer.status_code == 413


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_that_is_not_said_to_be_json_is_415(sender: Rest, media_type: str) -> None:
    answer = sender.create(content=b"{}", headers={"Content-Type": media_type})

    assert answer.status_code == 415


# -------------------------------------------------------------------------------------------- bulk


def test_a_bulk_keeps_what_is_valid_and_names_what_is_not(admin: Rest, case: str) -> None:
    alerts: list[Any] = [an_input(case, dedupKey=f"{case}{index}") for index in range(6)]
    alerts[1] = {**alerts[1], "title": ""}
    alerts[2] = {**alerts[2], "labels": {"case": case, "n": 5}}
    alerts[4] = 7
    alerts[5] = alerts[0]

    answer = admin.bulk(json={"alerts": alerts})

    told = answer.json()
    assert answer.status_code == 200
    assert paths(answer) == [["alerts", "1", "title"], ["alerts", "2", "labels", "n"], ["alerts", "4"]]
    assert [error["index"] for error in told["errors"]] == [1, 2, 4]
    assert (told["createdCount"], told["foldedCount"]) == (2, 1)
    assert [outcome["created"] for outcome in told["outcomes"]] == [True, False, False, True, False, False]
    assert [outcome["alert"] is None for outcome in told["outcomes"]] == [False, True, True, False, True, False]
    assert told["outcomes"][5]["alert"]["occurrenceCount"] == 2
    assert admin.count(case=case) == 2


def test_a_bulk_may_be_a_bare_list(sender: Rest, case: str) -> None:
    answer = sender.bulk(json=[an_input(case), {"title": ""}])

    assert answer.json()["createdCount"] == 1
    assert paths(answer) == [["1", "severity"]]


def test_a_bulk_of_a_thousand_is_one_answer(admin: Rest, case: str) -> None:
    answer = admin.bulk(json=[an_input(case, dedupKey=f"{case}{index}") for index in range(1000)])

    told = answer.json()
    assert (told["createdCount"], told["foldedCount"], told["errors"]) == (1000, 0, [])
    assert len({outcome["alert"]["id"] for outcome in told["outcomes"]}) == 1000


@pytest.mark.parametrize(
    "body", [[], {"alerts": []}, {}, {"alerts": None}, {"alerts": {}}, {"alerts": [], "more": 1}, 5, "x"]
)
def test_a_bulk_of_nothing_is_refused(sender: Rest, body: object) -> None:
    assert sender.bulk(json=body).status_code == 400


def test_a_bulk_of_1001_is_refused_as_a_whole(admin: Rest, case: str) -> None:
    answer = admin.bulk(json={"alerts": [an_input(case)] * 1001})

    assert answer.status_code == 400
    assert paths(answer) == [["alerts"]]
    assert admin.count(case=case) == 0


def test_a_bulk_sent_again_under_its_key_does_nothing_twice(sender: Rest, case: str) -> None:
    alerts = [an_input(case, dedupKey=f"{case}{index}") for index in range(3)]
    first = sender.bulk(json=alerts, headers={"Idempotency-Key": case})
    again = sender.bulk(json=alerts, headers={"Idempotency-Key": case})
    other = sender.bulk(json=[alerts[0], alerts[2]], headers={"Idempotency-Key": case})

    assert first.json() == again.json()
    assert first.json()["createdCount"] == 3
    assert [error["code"] for error in other.json()["errors"]] == ["IDEMPOTENCY_KEY_REUSED"]
    assert other.json()["errors"][0]["index"] == 1


# ----------------------------------------------------------------------------- reading, escalating


@pytest.mark.parametrize("alert_id", ["x", "alr_AAAAAAAAAAAAAAAAAAAAAA", "tnt_AAAAAAAAAAAAAAAAAAAAAA", "%00", "é"])
def test_an_unknown_alert_is_404(admin: Rest, alert_id: str) -> None:
    assert admin.read(alert_id).status_code == 404
    assert admin.escalate(alert_id).status_code == 404


def test_an_alert_climbs_one_level_or_to_the_one_named(admin: Rest, case: str) -> None:
    alert_id = admin.create(json=an_input(case)).json()["id"]

    next_level = admin.escalate(alert_id)
    third = admin.escalate(alert_id, json={"level": 3, "note": "It burns."})

    assert (next_level.status_code, next_level.json()["escalationLevel"]) == (200, 1)
    assert third.json()["escalationLevel"] == 3
    notes = admin.graphql(
        "query($id: ID!) { alert(id: $id) { events(kinds: [ESCALATED]) { nodes { note } } } }", id=alert_id
    )
    assert [node["note"] for node in notes["alert"]["events"]["nodes"]] == [None, "It burns."]


def test_climbing_under_the_same_key_is_one_climb(admin: Rest, case: str) -> None:
    alert_id = admin.create(json=an_input(case)).json()["id"]

    for _ in range(2):
        answer = admin.escalate(alert_id, headers={"Idempotency-Key": case})
        assert answer.json()["escalationLevel"] == 1


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"level": 0}, ["level"]),
        ({"level": 99}, ["level"]),
        ({"level": 1e300}, ["level"]),
        ({"level": "2"}, ["level"]),
        ({"level": True}, ["level"]),
        ({"note": 5}, ["note"]),
        ({"note": "nul\0"}, ["note"]),
        ({"levle": 1}, ["levle"]),
    ],
)
def test_a_level_that_there_is_not_is_refused(
    admin: Rest, case: str, body: dict[str, Any], path: list[str]
) -> None:
    alert_id = admin.create(json=an_input(case)).json()["id"]

    answer = admin.escalate(alert_id, json=body)

    assert answer.status_code == 400
    assert paths(answer) == [path]
    assert admin.read(alert_id).json()["escalationLevel"] == 0


def test_what_is_over_does_not_climb(admin: Rest, case: str) -> None:
    alert_id = admin.create(json=an_input(case)).json()["id"]
    admin.graphql(
        "mutation($i: AlertActionInput!) { resolveAlert(input: $i) { changed } }", i={"alertId": alert_id}
    )

    answer = admin.escalate(alert_id)

    assert answer.status_code == 409
    assert paths(answer) == [["id"]]
    assert admin.read(alert_id).json()["status"] == "RESOLVED"


# --------------------------------------------------------------------------------- who, and by what


def test_a_sender_shows_that_it_is_alive(admin: Rest, sender: Rest, case: str) -> None:
    name = f"backup {case}"
    made = admin.graphql(
        """mutation($input: HeartbeatMonitorInput!) { createHeartbeatMonitor(input: $input) {
             heartbeatMonitor { id version } } }""",
        input={"name": name, "interval": "PT1H", "labels": {"case": case}},
    )["createHeartbeatMonitor"]["heartbeatMonitor"]
    template = "/api/v1/heartbeats/{name}"

    answer = sender("POST", f"/api/v1/heartbeats/backup%20{case}", template)
    again = sender("POST", f"/api/v1/heartbeats/backup%20{case}", template, content=b"whatever \x00")
    unknown = sender("POST", f"/api/v1/heartbeats/{case}", template)

    assert (answer.status_code, again.status_code) == (200, 200)
    assert answer.json() == {
        "id": made["id"],
        "name": name,
        "interval": "PT1H",
        "severity": "HIGH",
        "labels": {"case": case},
        "version": made["version"],
    }
    assert (unknown.status_code, paths(unknown)) == (404, [["name"]])
    shown = admin.graphql(
        "query($id: ID!) { node(id: $id) { ... on HeartbeatMonitor { lastBeatAt } } }", id=made["id"]
    )
    assert shown["node"]["lastBeatAt"] is not None


def test_a_sender_sends_and_reads_nothing(sender: Rest, case: str) -> None:
    alert_id = sender.create(json=an_input(case)).json()["id"]

    assert sender.read(alert_id).status_code == 403
    assert sender.read("alr_AAAAAAAAAAAAAAAAAAAAAA").status_code == 403
    assert sender.escalate(alert_id).status_code == 403


@pytest.mark.parametrize("key", [None, "ag_wrong", "x y"])
def test_who_is_unknown_is_told_to_say_who_they_are(service: RunningService, case: str, key: str | None) -> None:
    answer = Rest(service.url, key).create(json=an_input(case))

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["code"] == "UNAUTHENTICATED"


def test_a_key_may_come_as_a_password(service: RunningService, case: str) -> None:
    answer = httpx2.post(f"{service.url}{ROOT}", json=an_input(case), auth=("anybody", service.ingest_key))

    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", ROOT, "POST"),
        ("DELETE", ROOT, "POST"),
        ("GET", f"{ROOT}/bulk", "POST"),
        ("PATCH", f"{ROOT}/x", "GET, HEAD"),
        ("POST", f"{ROOT}/x/escalate", "PUT"),
        ("POST", "/api/v1/openapi.json", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(admin: Rest, method: str, path: str, allowed: str) -> None:
    answer = admin.http.request(method, path)

    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert answer.headers["content-type"] == "application/problem+json"


def test_many_at_once_make_one_alert_with_the_right_count(service: RunningService, case: str) -> None:
    with httpx2.Client(headers={"Authorization": f"Bearer {service.ingest_key}"}, timeout=30) as http:

        def create(_: int) -> httpx2.Response:
            return http.post(f"{service.url}{ROOT}", json=an_input(case))

        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(create, range(64)))

    assert sorted(answer.status_code for answer in answers) == [200] * 63 + [201]
    assert sorted(answer.json()["occurrenceCount"] for answer in answers)[-1] == 64
    assert len({answer.json()["id"] for answer in answers}) == 1
