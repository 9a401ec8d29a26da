"""The running service as Prometheus and amtool see it: what is expected here was seen of Alertmanager itself."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from alertgraph.edge.intake.alertmanager import fingerprint_of
from tests.running import RunningService

ALERTS = "/api/v2/alerts"
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def sender(service: RunningService) -> Iterator[httpx2.Client]:
    headers = {"Authorization": f"Bearer {service.ingest_key}", "User-Agent": "Prometheus/2.42.0"}
    with httpx2.Client(base_url=service.url, headers=headers, timeout=30) as http:
        yield http


@pytest.fixture
def admin(service: RunningService) -> Iterator[httpx2.Client]:
    headers = {"Authorization": f"Bearer {service.admin_key}"}
    with httpx2.Client(base_url=service.url, headers=headers, timeout=30) as http:
        yield http


@pytest.fixture
def case() -> str:
    """A label's value that no other test uses."""
    return uuid.uuid4().hex


def text_of(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> datetime:
    return datetime.now(UTC)


def an_alert(case: str, name: str = "X", **fields: Any) -> dict[str, Any]:
    return {"labels": {"alertname": name, "case": case}, **fields}


def told(admin: httpx2.Client, case: str, **query: Any) -> list[dict[str, Any]]:
    """The case's alerts as Alertmanager's API tells them."""
    filters = [f'case="{case}"', *query.pop("filter", [])]
    answer = admin.get(ALERTS, params={"filter": filters, **query})
    assert answer.status_code == 200, answer.text
    alerts: list[dict[str, Any]] = answer.json()
    return alerts


def kept(admin: httpx2.Client, case: str) -> list[dict[str, Any]]:
    """The case's alerts, open and closed, as GraphQL shows them."""
    answer = admin.post(
        "/graphql",
        json={
            "query": "query($m: [LabelMatcherInput!]) { alerts(first: 100, filter: {matchers: $m}) { nodes {"
            " title severity status source monitoredService occurrenceCount labels annotations dedupKey"
            " triggeredAt resolvedAt links { href text } } } }",
            "variables": {"m": [{"label": "case", "value": case}]},
        },
    ).json()
    assert "errors" not in answer, answer
    nodes: list[dict[str, Any]] = answer["data"]["alerts"]["nodes"]
    return nodes


# ------------------------------------------------------------------------------------------ posting


def test_an_alert_fires_repeats_and_resolves(sender: httpx2.Client, admin: httpx2.Client, case: str) -> None:
    began = now() - HOUR
    firing = an_alert(
        case,
        startsAt=text_of(began),
        endsAt=text_of(now() + 4 * MINUTE),
        annotations={"summary": "It burns", "runbook_url": "https://runbooks/fire"},
        generatorURL="http://prometheus:9090/graph?g0.expr=up",
    )
    firing["labels"] |= {"severity": "page", "job": "api"}
    for _ in range(3):
        answer = sender.post(ALERTS, json=[firing])
        assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "0")

    (alert,) = kept(admin, case)
    assert (alert["title"], alert["severity"], alert["status"]) == ("It burns", "CRITICAL", "TRIGGERED")
    assert (alert["source"], alert["monitoredService"], alert["occurrenceCount"]) == ("prometheus", "api", 3)
    assert alert["links"] == [
        {"href": "http://prometheus:9090/graph?g0.expr=up", "text": "Source"},
        {"href": "https://runbooks/fire", "text": "Runbook"},
    ]

    ended = now() - timedelta(seconds=1)
    assert sender.post(ALERTS, json=[{**firing, "endsAt": text_of(ended)}]).status_code == 200

    (alert,) = kept(admin, case)
    assert alert["status"] == "RESOLVED"
    assert datetime.fromisoformat(alert["resolvedAt"]) == datetime.fromisoformat(text_of(ended))
    assert told(admin, case) == []


def test_firing_again_after_the_end_is_a_new_alert(sender: httpx2.Client, admin: httpx2.Client, case: str) -> None:
    over = text_of(now())
    for alert in (an_alert(case), an_alert(case, endsAt=over, startsAt=over), an_alert(case)):
        assert sender.post(ALERTS, json=[alert]).status_code == 200

    assert sorted(alert["status"] for alert in kept(admin, case)) == ["RESOLVED", "TRIGGERED"]


def test_what_was_never_open_is_resolved_in_peace(sender: httpx2.Client, admin: httpx2.Client, case: str) -> None:
    assert sender.post(ALERTS, json=[an_alert(case, endsAt=text_of(now() - MINUTE))]).status_code == 200
    assert kept(admin, case) == []


def test_valid_alerts_of_a_bad_batch_are_kept(sender: httpx2.Client, admin: httpx2.Client, case: str) -> None:
    batch = [
        an_alert(case, "good 0"),
        {"labels": {"empty": ""}},
        an_alert(case, "bad 2", startsAt=text_of(now()), endsAt=text_of(now() - HOUR)),
        {"labels": {"case": case, "long": "x" * 5000}},
        an_alert(case, "good 4"),
        an_alert(case, "bad 5", startsAt="1970-01-01T00:00:00Z"),
        {"labels": {"case": case, "nul": "\0"}},
    ]

    answer = sender.post(ALERTS, json=batch)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/json"
    said = answer.json()
    assert isinstance(said, str)
    assert "alerts[1]: at least one label pair required; alerts[2]: start time must be before end time; " in said
    assert all(f"alerts[{index}]: " in said for index in (1, 2, 3, 5, 6))
    assert not any(f"alerts[{index}]: " in said for index in (0, 4))
    assert "'long'" in said
    assert sorted(alert["title"] for alert in kept(admin, case)) == ["good 0", "good 4"]


def test_a_body_with_a_wrong_type_keeps_nothing(sender: httpx2.Client, admin: httpx2.Client, case: str) -> None:
    answer = sender.post(ALERTS, json=[an_alert(case), {"labels": {"case": 5}}])

    assert answer.status_code == 400
    assert answer.json()["code"] == 400
    assert answer.json()["message"].endswith("because alerts[1].labels.case is a text, and this is number")
    assert kept(admin, case) == []


@pytest.mark.parametrize("count", [256, 2500])
def test_a_large_batch_is_taken_whole(sender: httpx2.Client, admin: httpx2.Client, case: str, count: int) -> None:
    batch = [an_alert(case, f"n{index}", endsAt=text_of(now() + HOUR)) for index in range(count)]

    assert sender.post(ALERTS, json=batch).status_code == 200

    assert {alert["labels"]["alertname"] for alert in told(admin, case)} == {f"n{index}" for index in range(count)}


def test_equal_labels_in_one_batch_are_one_alert(sender: httpx2.Client, admin: httpx2.Client, case: str) -> None:
    assert sender.post(ALERTS, json=[an_alert(case)] * 5).status_code == 200

    (alert,) = kept(admin, case)
    assert alert["occurrenceCount"] == 5


def test_the_same_labels_by_graphql_are_the_same_alert(
    sender: httpx2.Client, admin: httpx2.Client, case: str
) -> None:
    sender.post(ALERTS, json=[an_alert(case)])
    answer = admin.post(
        "/api/v1/critical-alerts",
        json={"title": "X", "severity": "MEDIUM", "labels": {"alertname": "X", "case": case}},
    )

    assert (answer.status_code, answer.json()["occurrenceCount"]) == (200, 2)


@pytest.mark.parametrize(
    ("body", "status", "answer"),
    [
        (b"[]", 200, None),
        (b"null", 200, None),
        (b"", 422, {"code": 602, "message": "alerts in body is required"}),
        (b"[{}]", 422, {"code": 602, "message": "0.labels in body is required"}),
        (b'[{"labels":{}}]', 400, "alerts[0]: at least one label pair required"),
        (
            b'[{"labels":{"a":"1"},"generatorURL":"x y"}]',
            422,
            {"code": 601, "message": '0.generatorURL in body must be of type uri: "x y"'},
        ),
    ],
)
def test_bodies_are_answered_as_alertmanager_answers_them(
    sender: httpx2.Client, body: bytes, status: int, answer: object
) -> None:
    got = sender.post(ALERTS, content=body, headers={"Content-Type": "application/json; charset=utf-8"})

    assert got.status_code == status
    assert (got.json() if got.content else None) == answer
    assert got.content == b"" or got.content.endswith(b"\n")


@pytest.mark.parametrize(
    "body",
    [
        b"[",
        b"{}",
        b"5",
        b"[5]",
        b"[null]",
        b"[[[[" * 30_000,
        b'[{"labels":{"a":NaN}}]',
        b'[{"labels":{"a":"\xff"}}]',
        b'[{"labels":{"a":"1","a":"2"}}]',
        b'[{"labels":{"a":"1"},"startsAt":"x"}]',
        b'[{"labels":{"a":"1"},"startsAt":"9999-12-31T23:59:59-14:00"}]',
        b'[{"labels":{"a":"1"},"annotations":{"x":1}}]',
    ],
)
def test_what_can_t_be_read_is_400_with_a_sentence(sender: httpx2.Client, body: bytes) -> None:
    got = sender.post(ALERTS, content=body, headers={"Content-Type": "application/json"})

    assert got.status_code == 400
    assert got.json()["code"] == 400
    assert got.json()["message"].startswith('parsing alerts body from "" failed, because ')
    assert len(got.content) < 500


def test_a_body_beyond_5_mib_is_413(sender: httpx2.Client, admin: httpx2.Client, case: str) -> None:
    got = sender.post(ALERTS, json=[{"labels": {"case": case, "big": "x" * 10_000_000}}])

    assert (got.status_code, got.json()["code"]) == (413, 413)
    assert kept(admin, case) == []


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded"])
def test_another_media_type_is_415(sender: httpx2.Client, media_type: str) -> None:
    got = sender.post(ALERTS, content=b"[]", headers={"Content-Type": media_type})

    assert got.status_code == 415
    assert got.json() == {
        "code": 415,
        "message": f'unsupported media type "{media_type}", only [application/json] are allowed',
    }


# ------------------------------------------------------------------------------------------ asking


def test_an_open_alert_is_told_as_alertmanager_tells_it(
    sender: httpx2.Client, admin: httpx2.Client, case: str
) -> None:
    began, ends = now() - HOUR, now() + HOUR
    sender.post(
        ALERTS,
        json=[
            an_alert(
                case,
                startsAt=text_of(began),
                endsAt=text_of(ends),
                annotations={"summary": "S"},
                generatorURL="http://p/graph",
            )
        ],
    )

    (alert,) = told(admin, case)

    updated_at = datetime.fromisoformat(alert.pop("updatedAt"))
    assert now() - MINUTE < updated_at <= now()
    assert alert == {
        "annotations": {"summary": "S"},
        "endsAt": text_of(ends),
        "fingerprint": fingerprint_of({"alertname": "X", "case": case}),
        "generatorURL": "http://p/graph",
        "labels": {"alertname": "X", "case": case},
        "receivers": [{"name": "alertgraph"}],
        "startsAt": text_of(began),
        "status": {"inhibitedBy": [], "mutedBy": [], "silencedBy": [], "state": "active"},
    }


def test_without_an_end_it_ends_in_five_minutes(sender: httpx2.Client, admin: httpx2.Client, case: str) -> None:
    sender.post(
        ALERTS, json=[an_alert(case, startsAt="0001-01-01T00:00:00.000Z", endsAt="0001-01-01T00:00:00.000Z")]
    )

    (alert,) = told(admin, case)

    left = datetime.fromisoformat(alert["endsAt"]) - now()
    assert 4 * MINUTE < left <= 5 * MINUTE
    assert now() - MINUTE < datetime.fromisoformat(alert["startsAt"]) <= now()


def test_the_tenants_own_timeout_beats_the_dialects(
    sender: httpx2.Client, admin: httpx2.Client, case: str
) -> None:
    mutation = 'mutation { updateTenantSettings(input: {resolveTimeout: "PT1H"}) { errors { message } } }'
    changed = admin.post("/graphql", json={"query": mutation}).json()
    assert changed == {**changed, "data": {"updateTenantSettings": {"errors": []}}}, changed
    sender.post(ALERTS, json=[an_alert(case)])

    (alert,) = told(admin, case)

    assert 59 * MINUTE < datetime.fromisoformat(alert["endsAt"]) - now() <= HOUR


def test_an_alert_ends_by_itself_when_its_sender_said(
    sender: httpx2.Client, admin: httpx2.Client, case: str
) -> None:
    sender.post(ALERTS, json=[an_alert(case, endsAt=text_of(now() + timedelta(milliseconds=700)))])
    assert [alert["status"] for alert in kept(admin, case)] == ["TRIGGERED"]

    end = now() + timedelta(seconds=20)
    while now() < end and kept(admin, case)[0]["status"] != "RESOLVED":
        time.sleep(0.05)

    assert kept(admin, case)[0]["status"] == "RESOLVED"
    assert told(admin, case) == []


def test_alerts_are_told_by_fingerprint_and_by_filter(
    sender: httpx2.Client, admin: httpx2.Client, case: str
) -> None:
    sender.post(ALERTS, json=[an_alert(case, name) for name in ("one", "two", "three", "é t")])

    def names(*filters: str) -> list[str]:
        return sorted(alert["labels"]["alertname"] for alert in told(admin, case, filter=list(filters)))

    fingerprints = [alert["fingerprint"] for alert in told(admin, case)]
    assert fingerprints == sorted(fingerprints)
    assert len(fingerprints) == 4
    assert names('alertname="one"') == ["one"]
    assert names("alertname!=one", "alertname!~t.*") == ["é t"]
    assert names("alertname=~t.*") == ["three", "two"]
    assert names("alertname=~w") == []
    assert names('"alertname"="\\u00e9 t"') == ["é t"]
    assert names('absent=""') == ["one", "three", "two", "é t"]
    assert names('absent!=""') == []


@pytest.mark.parametrize(
    ("query", "is_told"),
    [
        ({"active": "true"}, True),
        ({"active": ""}, True),
        ({"active": "Yes"}, True),
        ({"active": "false"}, False),
        ({"active": "x"}, False),
        ({"silenced": "false", "inhibited": "false", "unprocessed": "false"}, True),
        ({"receiver": "alert.*"}, True),
        ({"receiver": ""}, True),
        ({"receiver": "alert"}, False),
        ({"unknown": "1"}, True),
    ],
)
def test_switches_and_receivers_are_those_of_alertmanager(
    sender: httpx2.Client, admin: httpx2.Client, case: str, query: dict[str, str], is_told: bool
) -> None:
    sender.post(ALERTS, json=[an_alert(case)])

    assert bool(told(admin, case, **query)) == is_told


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"filter": "a"}, "bad matcher format: a"),
        ({"filter": ""}, "bad matcher format: "),
        ({"filter": '"a"="b'}, 'bad matcher format: "a"="b'),
        ({"filter": "a=~["}, "Not an RE2 expression"),
        ({"filter": "a=~(a{1000}){1000}"}, "Not an RE2 expression"),
        ({"filter": "a=\0"}, "NUL"),
        ({"filter": ["a=b"] * 51}, "at most 50 filters"),
        ({"receiver": "["}, "failed to parse receiver param: Not an RE2 expression"),
    ],
)
def test_a_filter_that_is_none_is_400_with_a_text(admin: httpx2.Client, query: dict[str, Any], says: str) -> None:
    got = admin.get(ALERTS, params=query)

    assert got.status_code == 400
    assert got.json().startswith(says) or says in got.json()


def test_an_acknowledged_alert_is_still_active(sender: httpx2.Client, admin: httpx2.Client, case: str) -> None:
    sender.post(ALERTS, json=[an_alert(case)])
    dedup_key = kept(admin, case)[0]["dedupKey"]
    admin.post(
        "/graphql",
        json={
            "query": "mutation($i: AcknowledgeAlertsInput!) { acknowledgeAlerts(input: $i) { changedCount } }",
            "variables": {"i": {"select": {"dedupKeys": [dedup_key]}}},
        },
    )

    assert [alert["status"] for alert in kept(admin, case)] == ["ACKNOWLEDGED"]
    assert [alert["status"]["state"] for alert in told(admin, case)] == ["active"]


def test_the_status_is_whole(sender: httpx2.Client) -> None:
    got = sender.get("/api/v2/status")

    status = got.json()
    assert got.status_code == 200
    assert status["cluster"] == {"peers": [], "status": "disabled"}
    assert status["config"]["original"].endswith("receivers:\n- name: alertgraph\n")
    assert datetime.fromisoformat(status["uptime"]) < now()
    assert status["versionInfo"].keys() == {
        "branch",
        "buildDate",
        "buildUser",
        "goVersion",
        "revision",
        "version",
    }


@pytest.mark.parametrize("prefix", ["", "/alertmanager/default"])
@pytest.mark.parametrize("check", ["healthy", "ready"])
def test_checks_need_no_key(service: RunningService, prefix: str, check: str) -> None:
    got = httpx2.get(f"{service.url}{prefix}/-/{check}")
    head = httpx2.head(f"{service.url}{prefix}/-/{check}")
    posted = httpx2.post(f"{service.url}{prefix}/-/{check}")

    assert (got.status_code, got.text, got.headers["content-type"]) == (200, "OK", "text/plain; charset=utf-8")
    assert (head.status_code, head.content) == (200, b"")
    assert posted.status_code == 405


def test_a_prefix_leads_to_the_same(sender: httpx2.Client, admin: httpx2.Client, case: str) -> None:
    assert sender.post(f"/alertmanager/some-team{ALERTS}", json=[an_alert(case)]).status_code == 200
    assert admin.get(f"/alertmanager/some-team{ALERTS}/", params={"filter": f"case={case}"}).json()
    assert sender.get("/alertmanager/some-team/api/v2/status").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/api/v2/nope", 404, "path /api/v2/nope was not found"),
        ("PUT", ALERTS, 405, "method PUT is not allowed, but [POST,GET] are"),
        ("POST", "/api/v2/status", 405, "method POST is not allowed, but [GET] are"),
    ],
)
def test_what_is_not_there_is_refused_as_alertmanager_does(
    sender: httpx2.Client, method: str, path: str, status: int, message: str
) -> None:
    got = sender.request(method, path)

    assert (got.status_code, got.json()) == (status, {"code": status, "message": message})


# --------------------------------------------------------------------------------------------- who


@pytest.mark.parametrize("path", [ALERTS, "/api/v2/status"])
def test_who_is_unknown_is_401(service: RunningService, path: str) -> None:
    for auth in (None, ("prometheus", "ag_wrong")):
        got = httpx2.get(f"{service.url}{path}", auth=auth)
        assert got.status_code == 401
        assert got.headers["www-authenticate"].startswith("Basic")
        assert isinstance(got.json(), str)


def test_a_key_may_come_as_a_password(service: RunningService, case: str) -> None:
    got = httpx2.post(f"{service.url}{ALERTS}", json=[an_alert(case)], auth=("prometheus", service.ingest_key))

    assert got.status_code == 200


def test_a_sender_may_not_ask(sender: httpx2.Client) -> None:
    got = sender.get(ALERTS)

    assert got.status_code == 403
    assert isinstance(got.json(), str)


def test_a_key_with_matchers_sends_and_sees_only_its_own(
    service: RunningService, sender: httpx2.Client, admin: httpx2.Client, case: str
) -> None:
    secret = admin.post(
        "/graphql",
        json={
            "query": "mutation($i: ApiKeyInput!) { createApiKey(input: $i) { secret errors { message } } }",
            "variables": {
                "i": {"name": f"team {case}", "role": "VIEWER", "matchers": [{"label": "team", "value": "a"}]}
            },
        },
    ).json()["data"]["createApiKey"]["secret"]
    others = an_alert(case, "others")
    own = an_alert(case, "own")
    own["labels"]["team"] = "a"
    sender.post(ALERTS, json=[others])

    with httpx2.Client(base_url=service.url, headers={"Authorization": f"Bearer {secret}"}) as scoped:
        got = scoped.post(ALERTS, json=[others, own])
        seen = told(scoped, case)

    assert got.status_code == 400
    assert "alerts[0]: " in got.json()
    assert "alerts[1]: " not in got.json()
    assert [alert["labels"]["alertname"] for alert in seen] == ["own"]
    assert sorted((alert["title"], alert["occurrenceCount"]) for alert in kept(admin, case)) == [
        ("others", 1),
        ("own", 1),
    ]
