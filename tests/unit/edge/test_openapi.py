from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, cast
from uuid import UUID

from starlette.routing import Route

from alertgraph.core.errors import RefusedError
from alertgraph.core.ids import MonitorId
from alertgraph.core.monitor import HeartbeatMonitor
from alertgraph.edge.gate import Gate
from alertgraph.edge.intake import metrics
from alertgraph.edge.openapi import openapi_document
from alertgraph.edge.rest import alert_json, draft_of, monitor_json, routes
from tests.factories import SECOND, T0, an_alert
from tests.json_schema import faults, resolved, schema_faults

DOCUMENT = openapi_document("1.2.3")


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def schema(name: str) -> dict[str, Any]:
    return cast("dict[str, Any]", DOCUMENT["components"]["schemas"][name])


def test_it_is_openapi_of_this_version() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["info"]["version"] == "1.2.3"
    assert {"bearer", "basic"} == set(DOCUMENT["components"]["securitySchemes"])


def test_it_describes_every_route_and_no_other() -> None:
    class Here:
        version = "1.2.3"

    paths = {route.path for route in routes(cast("Gate", Here())) if isinstance(route, Route)}

    assert set(DOCUMENT["paths"]) == {*paths, metrics.PATH}


def test_every_operation_is_whole() -> None:
    ids = []
    for path, method, operation in operations():
        ids.append(operation["operationId"])
        assert operation["summary"], path
        answers = {int(status): resolved(answer, DOCUMENT) for status, answer in operation["responses"].items()}
        assert all(HTTPStatus(status) and answer["description"] for status, answer in answers.items())
        if operation.get("security") != []:
            assert {401, 403, 429, 503} <= answers.keys(), (path, method)
        parameters = [resolved(parameter, DOCUMENT) for parameter in operation.get("parameters", ())]
        in_path = {p["name"] for p in parameters if p["in"] == "path" and p["required"]}
        assert in_path == set(re.findall(r"\{(\w+)\}", path))
    assert len(set(ids)) == len(ids) == 7


def test_every_schema_is_one_and_refers_to_one() -> None:
    found: list[str] = []
    for name, described in DOCUMENT["components"]["schemas"].items():
        assert "description" in described or "properties" in described or "type" in described, name
        found += schema_faults(described, DOCUMENT, name)
    for path, method, operation in operations():
        contents = [operation["requestBody"]] if "requestBody" in operation else []
        contents += [resolved(answer, DOCUMENT) for answer in operation["responses"].values()]
        for content in contents:
            for media_type, body in content.get("content", {}).items():
                found += schema_faults(body["schema"], DOCUMENT, f"{method} {path} {media_type}")
            for header in content.get("headers", {}).values():
                assert resolved(header, DOCUMENT)["schema"]
    assert found == []


def test_an_alert_as_told_is_an_alert_as_described() -> None:
    for alert in (an_alert(), an_alert(resolved_at=T0), an_alert(monitored_service=None, labels={})):
        told = alert_json(alert, T0)
        assert list(faults(told, schema("CriticalAlert"), DOCUMENT)) == []
        # And the other way round: nothing is told that is not described.
        assert told.keys() == schema("CriticalAlert")["properties"].keys()


def test_a_monitor_as_told_is_a_monitor_as_described() -> None:
    told = monitor_json(HeartbeatMonitor(MonitorId(UUID(int=1)), "backup", 90 * SECOND, labels={"team": "db"}))

    assert told["interval"] == "PT1M30S"
    assert list(faults(told, schema("HeartbeatMonitor"), DOCUMENT)) == []
    assert told.keys() == schema("HeartbeatMonitor")["properties"].keys()


def test_what_is_described_as_input_is_what_is_read() -> None:
    described = schema("CreateAlertInput")
    whole = {
        "title": "x",
        "description": "x",
        "severity": "LOW",
        "source": "x",
        "monitoredService": "x",
        "dedupKey": "x",
        "labels": {"a": "b"},
        "annotations": {"a": [1]},
        "links": [{"href": "https://x", "text": "x"}],
        "triggeredAt": "2026-11-23T12:00:00Z",
        "idempotencyKey": "x",
    }
    assert whole.keys() == described["properties"].keys()
    for value in (
        whole,
        {"title": "x", "severity": "INFO", **{name: None for name in whole if name not in ("title", "severity")}},
        *({**whole, name: 5} for name in whole),
        *({name: item for name, item in whole.items() if name != left_out} for left_out in whole),
        {**whole, "more": 1},
        {**whole, "title": None},
        {**whole, "labels": {"a": 1}},
        {**whole, "links": [{"href": "https://x"}]},
        [],
    ):
        try:
            draft_of(value, "key")
            is_read = True
        except RefusedError:
            is_read = False
        assert is_read == (list(faults(value, described, DOCUMENT)) == []), value


def test_the_checker_of_these_tests_finds_faults() -> None:
    assert list(schema_faults({"type": "strnig"}, DOCUMENT, "x"))
    assert list(schema_faults({"$ref": "#/components/schemas/No"}, DOCUMENT, "x"))
    assert list(schema_faults({"properties": {"a": {"minimun": 1}}}, DOCUMENT, "x"))
    assert list(schema_faults({"required": ["b"], "properties": {}}, DOCUMENT, "x"))
    assert list(faults({**alert_json(an_alert(), T0), "severity": "BAD"}, schema("CriticalAlert"), DOCUMENT))
    assert list(faults({**alert_json(an_alert(), T0), "triggeredAt": "2026"}, schema("CriticalAlert"), DOCUMENT))
