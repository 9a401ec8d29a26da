from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from alertgraph.core.alert import AlertStatus, Link
from alertgraph.core.errors import RefusedError
from alertgraph.core.severity import Severity
from alertgraph.edge.rest import alert_json, draft_of
from tests.factories import T0, an_alert


def refused(value: object) -> dict[tuple[str, ...], str]:
    with pytest.raises(RefusedError) as caught:
        draft_of(value, "key")
    return {problem.path: problem.message for problem in caught.value.problems}


def test_an_alert_is_read_with_all_its_fields() -> None:
    draft, key = draft_of(
        {
            "title": "Disk full",
            "description": "92 %",
            "severity": "HIGH",
            "source": "cron",
            "monitoredService": "db",
            "dedupKey": "disk",
            "labels": {"host": "a"},
            "annotations": {"deep": [1, {"x": None}]},
            "links": [{"href": "https://x/", "text": "Graph"}],
            "triggeredAt": "2026-11-23T13:00:00.5+01:00",
            "idempotencyKey": "once",
        },
        "key",
    )

    assert (draft.title, draft.description, draft.severity, draft.source) == (
        "Disk full",
        "92 %",
        Severity.HIGH,
        "cron",
    )
    assert (draft.monitored_service, draft.dedup_key, draft.labels) == ("db", "disk", {"host": "a"})
    assert draft.annotations == {"deep": [1, {"x": None}]}
    assert draft.links == (Link("https://x/", "Graph"),)
    assert draft.triggered_at == datetime(2026, 11, 23, 12, 0, 0, 500_000, UTC)
    assert key == "once"


def test_what_is_left_out_or_null_is_not_said() -> None:
    nulls = dict.fromkeys(
        ("description", "monitoredService", "dedupKey", "labels", "annotations", "links", "triggeredAt", "source")
    )
    draft, key = draft_of({"title": "x", "severity": "LOW", **nulls, "idempotencyKey": None}, "my key")

    assert draft == draft_of({"title": "x", "severity": "LOW"}, "my key")[0]
    assert (draft.description, draft.labels, draft.links, draft.triggered_at, key) == (None,) * 5
    assert draft.source == "my key"


def test_what_is_required_is_named_together_with_all_else() -> None:
    problems = refused(
        {"titel": "x", "severity": "BAD", "labels": {"a": 1}, "links": [{"href": 5}, 7], "source": 1}
    )

    assert problems.keys() == {
        ("titel",),
        ("title",),
        ("severity",),
        ("labels", "a"),
        ("links", "0", "href"),
        ("links", "0", "text"),
        ("links", "1"),
        ("source",),
    }
    assert "there are title, description" in problems[("titel",)]
    assert "CRITICAL, HIGH, MEDIUM, LOW, INFO" in problems[("severity",)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", 5),
        ("title", None),
        ("severity", "high"),
        ("severity", 4),
        ("description", ["x"]),
        ("labels", []),
        ("labels", {"a": None}),
        ("annotations", "x"),
        ("links", {}),
        ("links", [{"href": "https://x", "text": "x", "rel": "y"}]),
        ("triggeredAt", 5),
        ("triggeredAt", "2026-11-23"),
        ("triggeredAt", "2026-11-23T12:00:00"),
        ("triggeredAt", "2026-13-23T12:00:00Z"),
        ("triggeredAt", "0001-01-01T00:00:00+14:00"),
        ("triggeredAt", "9999-12-31T23:59:59-14:00"),
        ("idempotencyKey", True),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_its_field(field: str, value: object) -> None:
    problems = refused({"title": "x", "severity": "LOW", field: value})

    assert {path[0] for path in problems} == {field}


@pytest.mark.parametrize("value", [None, 5, "x", [], True])
def test_what_is_no_object_is_no_alert(value: object) -> None:
    assert refused(value).keys() == {()}


def test_a_flood_of_unknown_fields_is_not_echoed() -> None:
    problems = refused({f"{index}{'x' * 1000}": 1 for index in range(1000)})

    assert len(problems) == 20
    assert all(len(message) < 400 for message in problems.values())


def test_an_alert_is_told_by_graphqls_names_and_formats() -> None:
    told: dict[str, Any] = alert_json(an_alert(links=(Link("https://x/", "Graph"),)), T0)

    assert told["id"].startswith("alr_")
    assert told["severity"] == "HIGH"
    assert told["status"] == "TRIGGERED"
    assert told["holdReason"] == "NO_MATCHING_RULE"
    assert told["triggeredAt"] == "2026-11-23T12:00:00Z"
    assert told["links"] == [{"href": "https://x/", "text": "Graph"}]
    assert told["sla"]["acknowledgeBreached"] is False
    assert (told["acknowledgedBy"], told["resolvedAt"], told["verdict"]) == (None, None, None)
    assert orjson.loads(orjson.dumps(told)) == told


def test_an_alert_that_ended_says_who_ended_it() -> None:
    told: dict[str, Any] = alert_json(an_alert(status=AlertStatus.RESOLVED), T0)

    assert told["resolvedBy"] == {"kind": "PERSON", "name": "Ada"}
    assert told["resolvedAt"] == "2026-11-23T12:00:00Z"
    assert told["holdReason"] is None
