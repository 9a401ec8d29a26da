"""Whatever is sent, the answer is a refusal that names the field; nothing breaks, and nothing is half-stored."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2
import orjson
import pytest
import structlog
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLScalarType,
    get_named_type,
    is_required_input_field,
)
from graphql.type import GraphQLList, GraphQLNonNull
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from tests.e2e import walk
from tests.e2e.belongings import Caller, a_caller, fire, open_incident
from tests.e2e.walk import Case
from tests.running import RunningService, new_tenant
from tests.thoroughness import examples

JSON_TYPE = {"content-type": "application/json"}
GOOD = {"title": "Good", "severity": "LOW"}
STORED = "{ events(last: 1) { nodes { number } } alerts { totalCount } savedViews { totalCount } }"
ROOT = "/api/v1/critical-alerts"


@pytest.fixture(scope="module")
def caller(shared_service: tuple[str, dict[str, str]]) -> Iterator[Caller]:
    """An ADMIN with a few things of their own."""
    someone = a_caller(new_tenant(*shared_service, f"bad-input-{uuid4().hex[:12]}"))
    with someone.client:
        yield someone


@pytest.fixture
def newcomer(service: RunningService) -> Iterator[Caller]:
    """The same in a tenant that nobody else uses."""
    someone = a_caller(service)
    with someone.client:
        yield someone


@pytest.fixture(autouse=True)
def _nothing_breaks(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing is logged as a failure, by us or by what we stand on: the caller is at fault, not we."""
    with structlog.testing.capture_logs() as ours, caplog.at_level(logging.WARNING):
        yield
    assert [entry for entry in ours if entry["log_level"] in ("warning", "error", "critical")] == []
    assert [record.getMessage() for record in caplog.records] == []


@pytest.fixture
def nothing_stored(caller: Caller) -> Iterator[None]:
    """Nothing is stored by the test, not even a part."""
    before = caller.service.data(STORED)
    yield
    assert caller.service.data(STORED) == before


def refusal_of(reply: httpx2.Response) -> tuple[set[str], str]:
    """Return the codes of a refusal and everything it says of places; fail where it is none."""
    answer = reply.json()
    assert reply.status_code < 500, reply.text
    if "errors" in answer:
        codes = {error.get("code") or error["extensions"]["code"] for error in answer["errors"]}
        return codes, reply.text
    told = [error for payload in answer["data"].values() for error in payload.get("errors", ())]
    told += [
        outcome["error"]
        for payload in answer["data"].values()
        for outcome in payload.get("outcomes", ())
        if outcome.get("error")
    ]
    assert told, f"it was not refused: {reply.text}"
    return {error["code"] for error in told}, str(told)


# ---------------------------------------------------------------------------------- one new alert

CREATE = """mutation One($input: CreateAlertInput!) {
  createAlert(input: $input) { created alert { id } errors { code message path } }
}"""
CREATE_MANY = """mutation Many($input: [CreateAlertInput!]!) {
  createAlerts(input: $input) { createdCount outcomes { alert { id } } errors { code message path } }
}"""

Way = Callable[[httpx2.Client, Mapping[str, Any]], httpx2.Response]
WAYS: Mapping[str, Way] = {
    "createAlert": lambda client, draft: client.post(
        "/graphql", json={"query": CREATE, "variables": {"input": draft}}
    ),
    "createAlerts": lambda client, draft: client.post(
        "/graphql", json={"query": CREATE_MANY, "variables": {"input": [draft]}}
    ),
    "rest": lambda client, draft: client.post(ROOT, json=draft),
    "rest bulk": lambda client, draft: client.post(f"{ROOT}/bulk", json=[draft]),
}

LEFT_OUT = object()
DEEP: Any = {}
for _ in range(100):
    DEEP = {"a": DEEP}
# By field: what is refused there, whoever sends it.
REFUSED: Mapping[str, list[Any]] = {
    "title": [LEFT_OUT, None, "", "   ", "x" * 1025, "x" * 100_000, "a\nb", "a\x00b", 5, 1.5, True, [], {}, ["a"]],
    "description": ["x" * 25_001, "a\x00b", 5, [], {}],
    "severity": [LEFT_OUT, None, "", "BAD", "critical", "CRITICAL ", 1, [], {}, True],
    "source": ["", " ", "x" * 257, "a\nb", "a\x00b", 5, []],
    "monitoredService": ["", " ", "x" * 257, "a\nb", "a\x00b", 5, {}],
    "dedupKey": ["", " ", "x" * 513, "a\nb", "a\x00b", 5, []],
    "labels": [
        5,
        "text",
        [],
        True,
        {"a": 5},
        {"a": None},
        {"a": {}},
        {"": "a"},
        {"a\x00": "b"},
        {"a": "b\x00"},
        {"@title": "a"},
        {"a": "x" * 4097},
        {"x" * 257: "a"},
        {str(number): "a" for number in range(65)},
    ],
    "annotations": [5, "text", [], {"a": "x" * 65_536}, {"a": "b\x00"}, {"a\x00": "b"}, {"a": [{"b": "\x00"}]}],
    "links": [
        5,
        "text",
        {"href": 5},
        [5],
        [{}],
        [{"href": "https://a.example"}],
        [{"href": "", "text": "a"}],
        [{"href": "javascript:alert(1)", "text": "a"}],
        [{"href": "ftp://a.example", "text": "a"}],
        [{"href": "https://a.example/\x00", "text": "a"}],
        [{"href": f"https://{'a' * 2048}", "text": "a"}],
        [{"href": "https://a.example", "text": "a\nb"}],
        [{"href": "https://a.example", "text": "a", "bogus": 1}],
        [{"href": "https://a.example", "text": "a"}] * 21,
    ],
    "triggeredAt": [
        "0001-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
        "2026-02-30T00:00:00Z",
        "2026-11-23T00:00:00",
        "2026-11-23",
        "yesterday",
        "",
        "٢٠٢٦-11-23T00:00:00Z",
        5,
        1e300,
        [],
    ],
    "idempotencyKey": ["", "x" * 256, "a\nb", "a\x00b", 5, []],
    "bogus": [1, None, {}],
}


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("field", REFUSED)
@pytest.mark.parametrize("way", WAYS)
def test_a_bad_field_of_an_alert_is_named(way: str, field: str, caller: Caller) -> None:
    for value in REFUSED[field]:
        draft = {**GOOD, field: value}
        if value is LEFT_OUT:
            del draft[field]
        reply = WAYS[way](caller.client, draft)
        codes, told = refusal_of(reply)
        shown = f"{field}={str(value)[:60]!r}: {reply.status_code} {reply.text[:500]}"
        assert field in told, shown
        assert codes <= {"INVALID_INPUT", "VALIDATION_FAILED"}, shown
        assert len(reply.content) < 10_000, f"what was sent is not said back at length: {shown}"


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("way", WAYS)
def test_annotations_that_nest_too_deeply_are_named(way: str, caller: Caller) -> None:
    reply = WAYS[way](caller.client, {**GOOD, "annotations": DEEP})

    codes, told = refusal_of(reply)
    # Variables of GraphQL may not nest that deep at all.
    assert codes <= {"INVALID_INPUT", "BAD_REQUEST"}
    assert "annotations" in told or "variables" in told


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [300_000, 10_000_000])
def test_what_is_far_too_large_is_refused_before_it_is_read(way: str, size: int, caller: Caller) -> None:
    reply = WAYS[way](caller.client, {**GOOD, "labels": {"large": "x" * size}})

    # What fits into a body is read, and named; a bulk as a whole is not refused for one of its alerts.
    assert reply.status_code == 413 or '"labels","large"' in reply.text, reply.text
    assert len(reply.content) < 10_000


@pytest.mark.usefixtures("nothing_stored")
def test_values_written_in_the_document_are_judged_alike(caller: Caller) -> None:
    for written, told in (
        ('title: "\\u0000"', "title"),
        ('title: """\na\nb\n"""', "title"),
        ('title: "\\uD800"', "Unicode escape"),
        ('title: "\\u{110000}"', "Unicode escape"),
        ('title: "a", title: "b"', "'title'"),
        ('title: "a", labels: {b: "c", b: "d"}', "'b'"),
        ('title: "a", labels: {b: 5}', "'b'"),
        ('title: "a", labels: ["b"]', "labels"),
        ('title: "a", annotations: {n: 18446744073709551616}', "annotations"),
        ('title: "a", annotations: {n: 1e400}', "1e400"),
        (f'title: "a", annotations: {{n: {"9" * 5000}}}', "characters"),
        (f'title: "a", annotations: {{n: {"[" * 50}{"]" * 50}}}', "nested"),
        ('title: "a", bogus: 1', "'bogus'"),
        ("title: 5", "5"),
        ("title: ENUM", "ENUM"),
    ):
        query = (
            f"mutation {{ createAlert(input: {{severity: LOW, {written}}}) {{ errors {{ code path message }} }} }}"
        )
        codes, said = refusal_of(caller.client.post("/graphql", json={"query": query}))
        assert codes <= {"INVALID_INPUT", "VALIDATION_FAILED", "PARSE_FAILED", "COST_EXCEEDED"}, said
        assert told in said, f"{written[:80]}: {said}"


def test_a_bad_one_of_many_is_named_and_the_others_are_kept(caller: Caller) -> None:
    drafts = [
        {**GOOD, "title": "First"},
        {**GOOD, "title": ""},
        {**GOOD, "title": "Last", "labels": {"a": "\x00"}},
    ]

    [payload] = caller.service.data(CREATE_MANY, {"input": drafts}).values()
    bulk = caller.client.post(f"{ROOT}/bulk", json=[{**GOOD, "title": "Third"}, {**GOOD, "bogus": 1}]).json()

    assert payload["createdCount"] == 1
    assert [error["path"] for error in payload["errors"]] == [
        ["input", "1", "title"],
        ["input", "2", "labels", "a"],
    ]
    assert [outcome["alert"] is None for outcome in payload["outcomes"]] == [False, True, True]
    assert (bulk["createdCount"], [error["path"] for error in bulk["errors"]]) == (1, [["1", "bogus"]])


@pytest.mark.usefixtures("nothing_stored")
def test_more_than_a_thousand_at_once_are_refused(caller: Caller) -> None:
    many = [GOOD] * 1001

    for reply in (
        caller.client.post("/graphql", json={"query": CREATE_MANY, "variables": {"input": many}}),
        caller.client.post(f"{ROOT}/bulk", json=many),
        caller.client.post(f"{ROOT}/bulk", json={"alerts": many}),
        caller.client.post(f"{ROOT}/bulk", json=[]),
        caller.client.post(f"{ROOT}/bulk", json={"alerts": []}),
        caller.client.post(f"{ROOT}/bulk", json={}),
        caller.client.post(f"{ROOT}/bulk", json={"alerts": [GOOD], "bogus": 1}),
    ):
        codes, told = refusal_of(reply)
        assert codes == {"INVALID_INPUT"}
        assert "1,000" in told or "alerts" in told


# ------------------------------------------------------------------------ every input of every mutation

WRONG: Mapping[str, list[Any]] = {
    "String": [5, True, [], {}],
    "ID": [1.5, True, [], {}],
    "Int": ["x", 1.5, 2**31, -(2**31) - 1, 10**30, True, [], {}],
    "Float": ["x", True, [], {}],
    "Boolean": ["x", 1, [], {}],
    "DateTime": ["x", 5, [], {}, "2026-02-30T00:00:00Z"],
    "Duration": ["x", [], {}, "P1Y", -5, 1e300, True],
    "Long": ["x", -1, 1.5, 2**53, 10**30, [], {}],
    "Cursor": [5, [], {}],
    "JSON": [],
    "LocalTime": ["x", 5, [], {}, "24:01", "9:00", "12:60"],
}


def inputs(type_: GraphQLInputType, path: walk.Path) -> Iterator[tuple[walk.Path, GraphQLInputType, bool]]:
    """Yield the way to each input field, with its type and whether it must be given."""
    inner = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    if isinstance(inner, GraphQLList):
        inner, path = get_named_type(inner), (*path, 0)
    if isinstance(inner, GraphQLInputObjectType):
        for name, field in inner.fields.items():
            yield (*path, name), field.type, is_required_input_field(field)
            yield from inputs(field.type, (*path, name))


def with_value(case: Case, caller: Caller, path: walk.Path, value: Any) -> dict[str, Any]:
    """Return a case's request with a value at a place, and what has to be around it."""
    request = caller.request(case)
    place: Any = request["variables"]
    type_: Any = None
    for index, step in enumerate(path):
        if isinstance(place, list) and not place:
            place.append({})
        if isinstance(type_, GraphQLInputObjectType) and type_.is_one_of and isinstance(place, dict):
            # Exactly one member may be given.
            for other in place.keys() - {step}:
                del place[other]
        if index == len(path) - 1:
            break
        if isinstance(place, dict):
            fields = type_.fields if type_ is not None else walk.fields(case.root)[case.field].args
            type_ = get_named_type(fields[step].type)
            if place.get(step) is None:
                place[step] = {} if isinstance(path[index + 1], str) else [{}]
        place = place[step]
    place[path[-1]] = value
    return request


@pytest.mark.usefixtures("nothing_stored")
def test_a_wrong_type_is_named_in_every_mutation(caller: Caller) -> None:
    tried = 0
    for case in walk.plain_cases("mutation"):
        argument = walk.fields("mutation")[case.field].args["input"]
        for path, type_, required in inputs(argument.type, ("input",)):
            named = get_named_type(type_)
            if isinstance(named, GraphQLScalarType):
                assert named.name in WRONG, f"say what is no {named.name}"
                wrong = list(WRONG[named.name])
            elif isinstance(named, GraphQLEnumType):
                wrong = ["NONE_OF_THEM", 5, {}, True]
            else:
                wrong = [5, "x", True, {"bogus": 1}]
            if isinstance(type_, GraphQLList) or isinstance(getattr(type_, "of_type", None), GraphQLList):
                # A single value stands for a list of it; an empty one is no wrong type.
                wrong = [value for value in wrong if value != []] + [[value] for value in wrong if value != []]
            for value in [*wrong, *([None] if required else [])]:
                request = with_value(case, caller, path, value)
                reply = caller.client.post("/graphql", json=request)
                codes, told = refusal_of(reply)
                tried += 1
                assert codes == {"VALIDATION_FAILED"}, f"{case} {path}={value!r}: {reply.text}"
                assert str(path[-1]) in told, f"{case} {path}={value!r}: {reply.text}"
    assert tried > 800, "the walk has become a stroll"


@pytest.mark.usefixtures("nothing_stored")
def test_an_unknown_field_is_named_in_every_input(caller: Caller) -> None:
    met = set()
    for case in walk.plain_cases("mutation"):
        argument = walk.fields("mutation")[case.field].args["input"]
        places = [("input", argument.type, True), *inputs(argument.type, ("input",))]
        for path, type_, _ in places:
            inner = get_named_type(type_)
            if not isinstance(inner, GraphQLInputObjectType):
                continue
            met.add(inner.name)
            way = (path,) if isinstance(path, str) else path
            is_list = isinstance(type_, GraphQLList) or isinstance(getattr(type_, "of_type", None), GraphQLList)
            request = with_value(case, caller, (*way, *((0,) if is_list else ()), "bogus"), 1)
            reply = caller.client.post("/graphql", json=request)
            codes, told = refusal_of(reply)
            assert codes == {"VALIDATION_FAILED"}, f"{case} {path}: {reply.text}"
            assert "bogus" in told, f"{case} {path}: {reply.text}"
    known = {name for name, type_ in walk.schema().type_map.items() if isinstance(type_, GraphQLInputObjectType)}
    assert known - met == {"DeliveryFilter", "EventFilter", "IncidentFilter", "MetricsFilter"}, (
        "the others are asked for by queries"
    )


ACT = """mutation Act($input: %s!) { %s(input: $input) { %s errors { code message path currentVersion } } }"""


def act(caller: Caller, mutation: str, **fields: Any) -> tuple[str, list[str] | None]:
    """Return code and path of the one refusal of a mutation."""
    argument = walk.fields("mutation")[mutation].args["input"]
    query = ACT % (get_named_type(argument.type).name, mutation, "__typename")
    [payload] = caller.service.data(query, {"input": fields}).values()
    [error] = payload["errors"]
    return error["code"], error["path"]


def test_values_that_cannot_be_are_named(newcomer: Caller) -> None:
    before = newcomer.service.data(STORED)
    alert = {"alertId": newcomer.alert_id}
    long, nul = "x" * 25_001, "a\x00b"
    for mutation in ("acknowledgeAlert", "unacknowledgeAlert", "resolveAlert", "reopenAlert", "escalateAlert"):
        for note in (long, nul):
            assert act(newcomer, mutation, **alert, note=note) == ("INVALID_INPUT", ["input", "note"])
    for note in ("", " ", long, nul):
        assert act(newcomer, "addAlertNote", **alert, note=note) == ("INVALID_INPUT", ["input", "note"])
    for note in (long, nul):
        assert act(newcomer, "giveAlertFeedback", **alert, verdict="NOISE", note=note)[1] == ["input", "note"]
        assert act(newcomer, "updateAlert", **alert, title="New", note=note)[1] == ["input", "note"]
    for until in ("0001-01-01T00:00:00Z", walk.YESTERDAY, "9999-12-31T23:59:59Z"):
        assert act(newcomer, "acknowledgeAlert", **alert, until=until) == ("INVALID_INPUT", ["input", "until"])
        assert act(newcomer, "acknowledgeAlerts", select={"ids": [newcomer.alert_id]}, until=until) == (
            "INVALID_INPUT",
            ["input", "until"],
        )
    for level in (0, -1, 6, 2**31 - 1, -(2**31)):
        assert act(newcomer, "escalateAlert", **alert, level=level) == ("INVALID_INPUT", ["input", "level"])
    for field in ("title", "severity", "annotations"):
        assert act(newcomer, "updateAlert", **alert, **{field: None}) == ("INVALID_INPUT", ["input", field])
    for field in ("title", "description", "severity", "monitoredService", "annotations", "links"):
        for value in REFUSED[field]:
            if value is not LEFT_OUT:
                _, told = act_or_refused(newcomer, "updateAlert", **alert, **{field: value})
                assert field in told, value
    for unknown in ("", "nothing", "alr_", newcomer.view_id, "alr_" + "A" * 22, "x" * 10_000, nul):
        assert act(newcomer, "resolveAlert", alertId=unknown) == ("NOT_FOUND", ["input", "alertId"])
        assert act(
            newcomer, "deleteSavedView", id=unknown if unknown != newcomer.view_id else newcomer.key_id
        ) == (
            "NOT_FOUND",
            ["input", "id"],
        )
        assert act(newcomer, "revokeApiKey", id=unknown) == ("NOT_FOUND", ["input", "id"])
    assert newcomer.service.data(STORED) == before


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("mutation", ["acknowledgeAlerts", "unacknowledgeAlerts", "resolveAlerts"])
def test_selections_that_cannot_be_are_named(mutation: str, caller: Caller) -> None:
    def refused(select: dict[str, Any]) -> list[str] | None:
        code, path = act(caller, mutation, select=select)
        assert code == "INVALID_INPUT"
        return path

    assert refused({"ids": []}) == ["input", "select", "ids"]
    assert refused({"ids": ["x"] * 1001}) == ["input", "select", "ids"]
    assert refused({"dedupKeys": []}) == ["input", "select", "dedupKeys"]
    assert refused({"dedupKeys": ["x"] * 1001}) == ["input", "select", "dedupKeys"]
    assert refused({"dedupKeys": ["a", "b\x00"]}) == ["input", "select", "dedupKeys", "1"]
    assert refused({"dedupKeys": ["x" * 513]}) == ["input", "select", "dedupKeys", "0"]
    assert refused({"filter": {}}) == ["input", "select", "filter"]
    assert refused({"filter": {"source": ["x"] * 101}}) == ["input", "select", "filter", "source"]
    assert refused({"filter": {"matchers": [{"label": "a", "operator": "REGEX", "value": "("}]}}) == [
        *("input", "select", "filter", "matchers", "0", "value")
    ]
    for search in ("\x00", "x" * 10_000):
        assert refused({"filter": {"search": search}}) == ["input", "select", "filter", "search"]
    for select in ({}, {"ids": ["a"], "dedupKeys": ["b"]}, {"ids": None}, {"ids": None, "dedupKeys": ["b"]}):
        query = ACT % (get_named_type(walk.fields("mutation")[mutation].args["input"].type).name, mutation, "")
        reply = caller.client.post("/graphql", json={"query": query, "variables": {"input": {"select": select}}})
        codes, told = refusal_of(reply)
        assert codes == {"VALIDATION_FAILED"}
        assert "select" in told


@pytest.mark.usefixtures("nothing_stored")
def test_settings_views_and_keys_that_cannot_be_are_named(caller: Caller) -> None:
    for value in ("P50Y", "P100000D", "PT1S", 10**9):
        code, path = act_or_refused(caller, "updateTenantSettings", retention=value)
        assert "retention" in path, value
    assert "resolveTimeout" in act_or_refused(caller, "updateTenantSettings", resolveTimeout="P100000D")[1]
    for field in ("retention", "resolveTimeout"):
        assert field in act_or_refused(caller, "updateTenantSettings", **{field: None})[1]
    for name in ("", " ", "x" * 257, "a\nb", "a\x00b"):
        assert act(caller, "createSavedView", name=name, filter={}) == ("INVALID_INPUT", ["input", "name"])
        assert act(caller, "updateSavedView", id=caller.view_id, name=name) == ("INVALID_INPUT", ["input", "name"])
        assert act(caller, "createApiKey", name=name, role="VIEWER") == ("INVALID_INPUT", ["input", "name"])
    large = {"source": ["x" * 1000] * 20}
    assert act(caller, "createSavedView", name="a", filter=large)[1] == ["input", "filter"]
    for field in ("name", "filter", "shared"):
        assert act(caller, "updateSavedView", id=caller.view_id, **{field: None})[1] == ["input", field]
    for budget in (0, -1, 2**31 - 1):
        assert act(caller, "createApiKey", name="a", role="VIEWER", costBudget=budget)[1] == [
            "input",
            "costBudget",
        ]
    for at in ("0001-01-01T00:00:00Z", walk.YESTERDAY):
        assert act(caller, "createApiKey", name="a", role="VIEWER", expiresAt=at)[1] == ["input", "expiresAt"]
    for overlap in ("P31D", "P10000D", 10**8):
        assert act(caller, "rotateApiKey", id=caller.key_id, overlap=overlap)[1] == ["input", "overlap"]
    for matcher in BAD_MATCHERS:
        code, path = act(caller, "createApiKey", name="a", role="VIEWER", matchers=[matcher])
        assert (code, path[:3]) == ("INVALID_INPUT", ["input", "matchers", "0"])
    many = [{"label": "a", "value": "b"}] * 21
    assert act(caller, "createApiKey", name="a", role="VIEWER", matchers=many)[1] == ["input", "matchers"]


def act_or_refused(caller: Caller, mutation: str, **fields: Any) -> tuple[str, str]:
    """Return code and places of a refusal, by the schema or by us."""
    argument = walk.fields("mutation")[mutation].args["input"]
    query = ACT % (get_named_type(argument.type).name, mutation, "")
    codes, told = refusal_of(caller.client.post("/graphql", json={"query": query, "variables": {"input": fields}}))
    return "/".join(codes), told


def test_a_stale_version_is_refused_and_the_present_one_told(newcomer: Caller) -> None:
    versions = newcomer.service.data(
        """query V($view: ID!, $key: ID!) {
          view: node(id: $view) { ... on SavedView { version } } key: node(id: $key) { ... on ApiKey { version } }
          viewer { tenant { settings { version } } }
        }""",
        {"view": newcomer.view_id, "key": newcomer.key_id},
    )
    view, key = versions["view"]["version"], versions["key"]["version"]
    tenant = versions["viewer"]["tenant"]["settings"]["version"]
    before = newcomer.service.data(STORED)

    for mutation, fields, version in (
        ("updateSavedView", {"id": newcomer.view_id, "name": "New"}, view),
        ("deleteSavedView", {"id": newcomer.view_id}, view),
        ("revokeApiKey", {"id": newcomer.key_id}, key),
        ("updateTenantSettings", {"retention": "P60D"}, tenant),
    ):
        for stale in (version + 1, max(version - 1, 0) if version else 7, 2**53 - 1):
            argument = walk.fields("mutation")[mutation].args["input"]
            query = ACT % (get_named_type(argument.type).name, mutation, "")
            [payload] = newcomer.service.data(query, {"input": {**fields, "expectedVersion": stale}}).values()
            [error] = payload["errors"]
            assert (error["code"], error["path"]) == ("VERSION_CONFLICT", ["input", "expectedVersion"])
            assert error["currentVersion"] == version
    assert newcomer.service.data(STORED) == before
    assert act_or_none(newcomer, "updateSavedView", id=newcomer.view_id, name="New", expectedVersion=view) == []


def act_or_none(caller: Caller, mutation: str, **fields: Any) -> list[Any]:
    argument = walk.fields("mutation")[mutation].args["input"]
    query = ACT % (get_named_type(argument.type).name, mutation, "")
    [payload] = caller.service.data(query, {"input": fields}).values()
    return list(payload["errors"])


def test_every_idempotency_key_gives_the_first_answer_again(newcomer: Caller) -> None:
    met = set()
    for case in walk.cases("mutation"):
        if case.slot is None or case.slot.kind != "idempotency_key":
            continue
        met.add(case.field)
        for key in ("", "x" * 256, "a\nb", "\x00", "é\u2028"):
            before = newcomer.service.data(STORED)
            codes, told = refusal_of(newcomer.client.post("/graphql", json=newcomer.request(case, key)))
            assert codes == {"INVALID_INPUT"}, f"{case} {key!r}: {told}"
            assert "idempotencyKey" in told, f"{case} {key!r}: {told}"
            assert newcomer.service.data(STORED) == before
        for key in (f"first {case.field}", ("y" + case.field).ljust(255, "é")):
            request = newcomer.request(
                case, key, own=something_for(newcomer, case) if case.about in ("alert", "incident") else None
            )
            first = newcomer.client.post("/graphql", json=request).json()
            before = settled(newcomer)
            again = newcomer.client.post("/graphql", json=request).json()
            assert what_became(first) == what_became(again), f"{case}: {first} and {again}"
            codes, told = refusal_of(newcomer.client.post("/graphql", json=changed(request)))
            assert codes == {"IDEMPOTENCY_KEY_REUSED"}, f"{case}: {told}"
            assert "idempotencyKey" in told
            assert newcomer.service.data(STORED) == before, f"{case}: something was done a second time"
    assert len(met) >= 13


def settled(caller: Caller) -> dict[str, Any]:
    """Return what is stored once the engine, which judges new alerts by itself, has nothing more to say."""
    stored = caller.service.data(STORED)
    for _ in range(50):
        time.sleep(0.1)
        earlier, stored = stored, caller.service.data(STORED)
        if stored == earlier:
            return stored
    pytest.fail("the log does not come to rest")


def something_for(caller: Caller, case: Case) -> str:
    """Return an alert, or an incident, that a mutation will change."""
    alert_id = fire(caller.service, "fresh")
    if case.about == "incident":
        return open_incident(caller.service, "fresh", alert_id)
    first = {"reopenAlert": "resolveAlert", "unacknowledgeAlert": "acknowledgeAlert"}.get(case.field)
    first = "acknowledgeAlert" if case.field == "unacknowledgeAlerts" else first
    if first is not None:
        assert act_or_none(caller, first, alertId=alert_id) == []
    return alert_id


def what_became(answer: Any) -> Any:
    """Return which things an answer is about, and that something became of them."""
    assert "errors" not in answer, answer
    [payload] = answer["data"].values()
    assert not payload["errors"], payload
    things = [thing for thing in payload.values() if isinstance(thing, dict) and "id" in thing]
    things += [outcome["alert"] for outcome in payload.get("outcomes", ())]
    told = {name: payload.get(name) for name in ("created", "changed", "changedCount", "createdCount")}
    assert any(things), payload
    return [thing and thing["id"] for thing in things], told


def changed(request: dict[str, Any]) -> dict[str, Any]:
    """Return the same request with other contents."""
    value = orjson.loads(orjson.dumps(request["variables"]["input"]))
    one = value[0] if isinstance(value, list) else value
    if "startsAt" in one:
        one["endsAt"] = (datetime.fromisoformat(one["endsAt"]) + timedelta(minutes=1)).isoformat()
    else:
        one["name" if "name" in one else "title" if "title" in one else "note"] = "Something else"
    return {**request, "variables": {"input": value}}


# ------------------------------------------------------------------------------------------ queries

BAD_MATCHERS = [
    {"label": "", "value": "a"},
    {"label": "x" * 257, "value": "a"},
    {"label": "@bogus", "value": "a"},
    {"label": "a\x00", "value": "a"},
    {"label": "a", "value": "a\x00"},
    {"label": "a", "value": "x" * 1025},
    *(
        {"label": "a", "operator": operator, "value": value}
        for operator in ("REGEX", "NOT_REGEX")
        for value in ("(", "[a", "a{1000}{1000}", "(?=a)", "\\1", "a**", "(?P<n", "(((a{100}){100}){100})")
    ),
]


def bad_request(caller: Caller, query: str, variables: Any, *names: str) -> None:
    """Have a query refused with each of these names told."""
    reply = caller.client.post("/graphql", json={"query": query, "variables": variables})
    codes, told = refusal_of(reply)
    assert codes <= {"BAD_REQUEST", "VALIDATION_FAILED", "CURSOR_EXPIRED"}, (
        f"{query} {variables}: {reply.text[:500]}"
    )
    for name in names:
        assert name in told, f"{query} {variables}: {reply.text[:500]}"


def pages(caller: Caller) -> Iterator[tuple[str, set[str]]]:
    """Yield each list as a query of the variables $first, $last, $after and $before, with the ones it takes."""
    paging = {"first": "Int", "last": "Int", "after": "String", "before": "String"}
    for name, field in walk.fields("query").items():
        taken = paging.keys() & field.args.keys()
        if {"first", "after"} <= taken:
            yield _page_query(name, taken, paging, "%s"), taken
    alert = walk.schema().type_map["CriticalAlert"].fields["events"]  # type: ignore[attr-defined]
    taken = paging.keys() & alert.args.keys()
    yield _page_query("events", taken, paging, f'alert(id: "{caller.alert_id}") {{ %s }}'), taken


def _page_query(name: str, taken: set[str], paging: Mapping[str, str], around: str) -> str:
    declared = ", ".join(f"${each}: {paging[each]}" for each in sorted(taken))
    given = ", ".join(f"{each}: ${each}" for each in sorted(taken))
    return f"query({declared}) {{ {around % f'{name}({given}) {{ __typename }}'} }}"


def test_pages_that_cannot_be_are_named(caller: Caller) -> None:
    met = 0
    for query, taken in pages(caller):
        met += 1
        for name in taken & {"first", "last"}:
            for size in (0, 101, -1, 2**31 - 1, -(2**31)):
                bad_request(caller, query, {name: size}, name)
            for size in (2**31, 10**30, 1.5, "x", [], True):
                bad_request(caller, query, {name: size}, name)
        if "last" in taken:
            bad_request(caller, query, {"first": 1, "last": 1}, "first", "last")
        for name in taken & {"after", "before"}:
            for cursor in ("", "x", "AQ", "A" * 10_000, "é", "\x00", "AQAAAAEAAAAAAAAAAwAGYOxI5poUK-4Zbw"):
                bad_request(caller, query, {name: cursor}, *([name] if len(cursor) != 34 else []))
            bad_request(caller, query, {name: 5}, name)
    assert met == 17


@pytest.mark.parametrize("subscription", ["alertEvents", "alertEventBatches"])
def test_cursors_of_subscriptions_that_cannot_be_are_named(subscription: str, caller: Caller) -> None:
    query = f"subscription($after: Cursor) {{ {subscription}(after: $after) {{ __typename }} }}"
    for cursor in ("", "x", "é", "\x00", "A" * 10_000):
        body = {"query": query, "variables": {"after": cursor}}
        reply = caller.client.post("/graphql/stream", json=body)
        [answer] = [line for line in reply.text.splitlines() if line.startswith("data: {")]
        [error] = orjson.loads(answer.removeprefix("data: "))["errors"]
        assert (error["extensions"]["code"], "after" in error["message"]) == ("BAD_REQUEST", True), error


def test_filters_that_cannot_be_are_named(newcomer: Caller) -> None:
    for field in ("alerts", "events"):
        type_ = "AlertFilter" if field == "alerts" else "EventFilter"
        query = f"query($filter: {type_}) {{ {field}(filter: $filter) {{ __typename }} }}"
        for matcher in BAD_MATCHERS:
            bad_request(newcomer, query, {"filter": {"matchers": [matcher]}}, "matchers.0")
        bad_request(
            newcomer, query, {"filter": {"matchers": [{"label": "a", "value": "b"}] * 21}}, "filter.matchers"
        )
        filters = walk.schema().type_map[type_].fields  # type: ignore[attr-defined]
        for name, input_field in filters.items():
            inner = get_named_type(input_field.type)
            is_list = isinstance(input_field.type, GraphQLList)
            if inner.name == "String" or inner.name == "ID":
                texts = ["a\x00", "x" * 1025] if inner.name == "String" else []
                for text in texts:
                    bad_request(newcomer, query, {"filter": {name: [text] if is_list else text}}, f"filter.{name}")
            if is_list and inner.name != "LabelMatcherInput":
                value = next(iter(inner.values)) if isinstance(inner, GraphQLEnumType) else "a"
                bad_request(newcomer, query, {"filter": {name: [value] * 101}}, f"filter.{name}")
                # An empty list is a list of what is wanted, with nothing in it.
                [page] = newcomer.service.data(
                    f"query($filter: {type_}) {{ {field}(filter: $filter) {{ nodes {{ id }} }} }}",
                    {"filter": {name: []}},
                ).values()
                assert page["nodes"] == [], name
            if isinstance(inner, GraphQLEnumType):
                bad_request(newcomer, query, {"filter": {name: ["NONE_OF_THEM"]}}, name, "NONE_OF_THEM")
            if inner.name == "Float":
                for number in (-0.01, 1.01, 1e300, "0.5", True, [2]):
                    bad_request(newcomer, query, {"filter": {name: number}}, name)
        bad_request(newcomer, query, {"filter": {"bogus": 1}}, "bogus")
    times = {"triggeredAfter": "0001-01-01T00:00:00Z", "triggeredBefore": "9999-12-31T23:59:59Z"}
    everything = "query($filter: AlertFilter) { alerts(filter: $filter) { totalCount } }"
    assert newcomer.service.data(everything, {"filter": times}) == {"alerts": {"totalCount": 1}}
    log = "query($filter: EventFilter) { events(filter: $filter) { nodes { number } } }"
    times = {"occurredAfter": "0001-01-01T00:00:00Z", "occurredBefore": "9999-12-31T23:59:59Z"}
    assert newcomer.service.data(log, {"filter": times})["events"]["nodes"] != []


def test_windows_and_ids_that_cannot_be_are_named(caller: Caller) -> None:
    query = """query Figures(
      $since: DateTime!, $until: DateTime!, $filter: MetricsFilter, $bucket: Duration!, $first: Int!
    ) {
      alertMetrics(since: $since, until: $until, filter: $filter) {
        createdCount series(bucket: $bucket) { startsAt } groups(by: SEVERITY, first: $first) { key }
      }
    }"""
    good = {"since": walk.YESTERDAY, "until": walk.TOMORROW, "bucket": "P1D", "first": 5}
    assert caller.service.data(query, good)
    for name, value in (
        ("until", walk.YESTERDAY),
        ("until", "9999-12-31T23:59:59Z"),
        ("since", "0001-01-01T00:00:00Z"),
        ("since", walk.TOMORROW),
        ("bucket", "PT0S"),
        ("bucket", "PT90M"),
        ("bucket", "PT1S"),
        ("bucket", "P1W"),
        ("first", 0),
        ("first", 101),
        ("filter", {"severity": []}),
        ("filter", {"monitoredService": []}),
        ("filter", {"monitoredService": ["a\x00"]}),
    ):
        if (name, value) != ("bucket", "P1W"):
            bad_request(caller, query, {**good, name: value})
    bad_request(caller, "query($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": ["a"] * 101}, "ids")
    for unknown in (
        "",
        "x",
        "alr_",
        "alr_é",
        "alr_" + "A" * 21,
        "alr_" + "A" * 22,
        "evt_" + "_" * 22,
        "\x00" * 26,
    ):
        found = caller.service.data(
            "query($id: ID!) { node(id: $id) { id } alert(id: $id) { id } }", {"id": unknown}
        )
        assert found == {"node": None, "alert": None}
        assert caller.client.get(f"{ROOT}/{unknown or 'x'}").status_code == 404 if "\x00" not in unknown else True
    for argument in ("label", "prefix"):
        labels = f"query($text: String) {{ labelSuggestions({argument}: $text) }}"
        for text in ("a\x00", "x" * 5000):
            bad_request(caller, labels, {"text": text}, argument)
    for first in (0, 101, -1):
        bad_request(caller, "query($n: Int!) { labelSuggestions(first: $n) }", {"n": first}, "first")


def test_hostile_expressions_cost_little(caller: Caller) -> None:
    """RE2 is linear in the text; what multiplies within the expression is refused by its own budget."""
    long = caller.service.data(CREATE, {"input": {**GOOD, "labels": {"long": "a" * 4096}}})
    assert not long["createAlert"]["errors"]
    query = "query($m: [LabelMatcherInput!]) { alerts(filter: {matchers: $m}) { nodes { id } } }"
    for value in (
        "(a+)+$",
        "(a|aa)+b",
        "(.*)*x",
        "(a?){100}a{100}",
        "(x+x+)+y",
        ".*.*.*.*.*.*.*b",
        "(?i)" + "(a|b)" * 200,
    ):
        begun = time.perf_counter()
        caller.client.post(
            "/graphql",
            json={
                "query": query,
                "variables": {"m": [{"label": "long", "operator": "REGEX", "value": value}] * 20},
            },
        ).raise_for_status()
        assert time.perf_counter() - begun < 5.0, value


# -------------------------------------------------------------------------------------------- bodies

RAW: Mapping[str, bytes] = {
    "empty": b"",
    "blank": b"  \n",
    "null": b"null",
    "a number": b"5",
    "a text": b'"text"',
    "a truth": b"true",
    "cut": b'{"title": "a"',
    "a comma": b'{"title": "a",}',
    "single quotes": b"{'title': 'a'}",
    "bad UTF-8": b'{"title": "\xff\xfe", "severity": "LOW"}',
    "overlong UTF-8": b'{"title": "\xc0\xaf", "severity": "LOW"}',
    "UTF-16": '{"title": "a"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"title": "a", "severity": "LOW"}',
    "a raw NUL": b'{"title": "a\x00b", "severity": "LOW"}',
    "a lone surrogate": b'{"title": "\\ud800", "severity": "LOW"}',
    "surrogates in the wrong order": b'{"title": "\\udc00\\ud800", "severity": "LOW"}',
    "not a number": b'{"title": NaN, "severity": "LOW"}',
    "infinity": b'{"title": "a", "severity": -Infinity}',
    "brackets": b"[" * 100_000,
    "braces": b'{"a":' * 100_000,
    "closed brackets": b"[" * 100_000 + b"]" * 100_000,
    "two values": b'{"title": "a", "severity": "LOW"}{}',
    "a number without end": b'{"title": ' + b"9" * 100_000 + b', "severity": "LOW"}',
    "an exponent without end": b'{"title": 1e999999, "severity": "LOW"}',
}


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("what", RAW)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/graphql"),
        ("POST", "/graphql/stream"),
        ("POST", ROOT),
        ("POST", f"{ROOT}/bulk"),
        ("PUT", f"{ROOT}/alr_AAAAAAAAAAAAAAAAAAAAAA/escalate"),
        ("POST", "/api/v2/alerts"),
        ("POST", "/alertmanager/x/api/v2/alerts"),
    ],
)
def test_bodies_that_are_none(method: str, path: str, what: str, caller: Caller) -> None:
    reply = caller.client.request(method, path, content=RAW[what], headers=JSON_TYPE)

    nothing_said = what == "null" and "v2" in path  # Go's decoder leaves the list empty.
    not_there = what == "empty" and "escalate" in path  # No body is no fault of an escalation.
    assert 400 <= reply.status_code < 500 or nothing_said, reply.text
    assert (reply.status_code == 404) == not_there
    assert len(reply.content) < 2000
    assert "Traceback" not in reply.text
    assert "python" not in reply.text.lower()


TWICE = [
    ("POST", "/graphql", b'{"query": "{ viewer { role } }", "query": "{ rateLimit { cost } }"}', "query"),
    (
        "POST",
        "/graphql",
        orjson.dumps({"query": CREATE, "variables": 0}).replace(
            b":0", b':{"input":{"title":"a","severity":"LOW","title":"b"}}'
        ),
        "title",
    ),
    (
        "POST",
        "/graphql/stream",
        b'{"query": "{ viewer { role } }", "variables": {"a": 1, "\\u0061": 2}}',
        "a",
    ),
    ("POST", ROOT, b'{"title": "a", "severity": "LOW", "title": "b"}', "title"),
    ("POST", ROOT, b'{"title": "a", "severity": "LOW", "labels": {"x": "1", "x": "2"}}', "x"),
    ("POST", f"{ROOT}/bulk", b'[{"title": "a", "severity": "LOW", "t\\u0069tle": "b"}]', "title"),
    ("POST", "/api/v2/alerts", b'[{"labels": {"alertname": "a", "alertname": "b"}}]', "alertname"),
]


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(("method", "path", "body", "name"), TWICE)
def test_a_member_that_is_there_twice_is_named(
    method: str, path: str, body: bytes, name: str, caller: Caller
) -> None:
    reply = caller.client.request(method, path, content=body, headers=JSON_TYPE)

    assert reply.status_code == 400, reply.text
    assert name in reply.text
    assert "twice" in reply.text


def test_variables_in_a_url_are_read_as_strictly(caller: Caller) -> None:
    query = 'query($n: Int) { labelSuggestions(first: 1, prefix: "") alerts(first: $n) { __typename } }'
    reply = caller.client.get("/graphql", params={"query": query, "variables": '{"n": 1, "n": 2}'})

    assert reply.status_code in (400, 405), reply.text
    for path in ("/graphql/stream",):
        reply = caller.client.get(path, params={"query": query, "variables": '{"n": 1, "n": 2}'})
        assert reply.status_code == 400, reply.text
        assert "twice" in reply.text


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=a",
        "application/xml",
        "",
        "é",
    ],
)
def test_another_content_type_is_refused(content_type: str, caller: Caller) -> None:
    bodies = {
        "/graphql": orjson.dumps({"query": CREATE, "variables": {"input": GOOD}}),
        "/graphql/stream": orjson.dumps({"query": CREATE, "variables": {"input": GOOD}}),
        ROOT: orjson.dumps(GOOD),
        f"{ROOT}/bulk": orjson.dumps([GOOD]),
        "/api/v2/alerts": b'[{"labels": {"alertname": "a"}}]',
    }
    for path, body in bodies.items():
        reply = caller.client.post(path, content=body, headers={"content-type": content_type.encode()})
        assert reply.status_code in (400, 415), f"{path}: {reply.status_code} {reply.text}"


@pytest.mark.usefixtures("nothing_stored")
def test_methods_and_paths_that_are_not_there(caller: Caller) -> None:
    for path in (
        "/graphql",
        ROOT,
        f"{ROOT}/bulk",
        f"{ROOT}/x",
        f"{ROOT}/x/escalate",
        "/api/v2/alerts",
        "/api/v2/x",
    ):
        for method in ("DELETE", "PATCH", "TRACE", "OPTIONS", "BREW"):
            reply = caller.client.request(method, path)
            assert 400 <= reply.status_code < 500 or method == "OPTIONS", f"{method} {path}: {reply.status_code}"
    for path in ("/nothing", "/api/v1/", f"{ROOT}/a/b/c", f"{ROOT}%00", "/graphql/x", "/%2e%2e/metrics"):
        assert caller.client.get(path).status_code == 404, path


def test_an_empty_escalation_needs_no_body(newcomer: Caller) -> None:
    path = f"{ROOT}/{newcomer.alert_id}/escalate"

    assert newcomer.client.put(path).json()["escalationLevel"] == 1
    for body, name in (
        ({"level": 0}, "level"),
        ({"level": 10**30}, "level"),
        ({"level": 2**63}, "level"),
        ({"level": "2"}, "level"),
        ({"level": 1.5}, "level"),
        ({"level": True}, "level"),
        ({"note": 5}, "note"),
        ({"note": "a\x00"}, "note"),
        ({"bogus": 1}, "bogus"),
        ({"idempotencyKey": ""}, "idempotencyKey"),
    ):
        codes, told = refusal_of(newcomer.client.put(path, json=body))
        assert codes == {"INVALID_INPUT"}, told
        assert name in told


# -------------------------------------------------------------------------------------- Alertmanager

POSTED_BAD: list[tuple[Any, str]] = [
    ({}, "alerts is a list"),
    ("text", "alerts"),
    ([5], "alerts[0]"),
    ([None], "alerts[0]"),
    ([{}], "0.labels"),
    ([{"labels": None}], "0.labels"),
    ([{"labels": []}], "labels"),
    ([{"labels": {"a": 5}}], "labels.a"),
    ([{"labels": {"a": {"b": "c"}}}], "labels.a"),
    ([{"labels": {}}], "alerts[0]: at least one label"),
    ([{"labels": {"a": ""}}], "alerts[0]: at least one label"),
    ([{"labels": {"a": "b"}, "annotations": []}], "annotations"),
    ([{"labels": {"a": "b"}, "annotations": {"c": 5}}], "annotations.c"),
    ([{"labels": {"a": "b"}, "startsAt": 5}], "startsAt"),
    ([{"labels": {"a": "b"}, "startsAt": "yesterday"}], "startsAt"),
    ([{"labels": {"a": "b"}, "startsAt": "2026-02-30T00:00:00Z"}], "startsAt"),
    ([{"labels": {"a": "b"}, "startsAt": "9999-12-31T23:59:59Z"}], "startsAt"),
    ([{"labels": {"a": "b"}, "startsAt": "1970-01-01T00:00:00Z"}], "startsAt"),
    ([{"labels": {"a": "b"}, "endsAt": "9999-12-31T23:59:59-23:59"}], "endsAt"),
    ([{"labels": {"a": "b"}, "endsAt": "9999-12-31T23:59:59Z"}], "endsAt"),
    ([{"labels": {"a": "b"}, "endsAt": True}], "endsAt"),
    ([{"labels": {"a": "b"}, "startsAt": walk.TOMORROW, "endsAt": walk.YESTERDAY}], "alerts[0]"),
    ([{"labels": {"a": "b"}, "generatorURL": 5}], "generatorURL"),
    ([{"labels": {"a": "b"}, "generatorURL": "no uri"}], "generatorURL"),
    ([{"labels": {"a": "b"}, "generatorURL": "http://a\x00b"}], "generatorURL"),
    ([{"labels": {"a": "b\x00"}}], "label"),
    ([{"labels": {"a\x00": "b"}}], "label"),
    ([{"labels": {"@a": "b"}}], "label"),
    ([{"labels": {"a": "x" * 4097}}], "label"),
    ([{"labels": {str(number): "a" for number in range(65)}}], "label"),
]


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(("posted", "told"), POSTED_BAD)
def test_a_bad_posted_alert_is_named(posted: Any, told: str, caller: Caller) -> None:
    reply = caller.client.post("/api/v2/alerts", json=posted)

    assert reply.status_code in (400, 422), reply.text
    assert told in reply.text
    assert len(reply.content) < 2000


def test_valid_alerts_of_a_bad_batch_are_stored(newcomer: Caller) -> None:
    good = {"labels": {"alertname": "Good"}}
    bad = {"labels": {"alertname": "Bad", "a": "x" * 5000}}

    reply = newcomer.client.post("/api/v2/alerts", json=[good, bad, {"labels": {"a": ""}}])

    assert reply.status_code == 400
    assert ("alerts[1]" in reply.text, "alerts[2]" in reply.text, "alerts[0]" in reply.text) == (True, True, False)
    titles = newcomer.service.data('{ alerts(filter: {source: ["alertmanager"]}) { nodes { title } } }')
    assert titles["alerts"]["nodes"] == [{"title": "Good"}]


def test_what_is_odd_but_valid_is_kept_by_the_alertmanager_way(newcomer: Caller) -> None:
    """Prometheus repeats what is refused for ever, so only what can't be kept at all is refused."""
    odd = [
        {"labels": {"alertname": "x" * 4096}},
        {"labels": {"alertname": "a", "b": "😀 é \n \t"}},
        {"labels": {"alertname": "c"}, "annotations": {"summary": "a\x00b", "description": "x" * 100_000}},
        {"labels": {"alertname": "d"}, "startsAt": "0001-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z"},
        {"labels": {"alertname": "e"}, "bogus": [1, {"a": None}], "status": {}, "fingerprint": 5},
        {"labels": {"alertname": "f"}, "generatorURL": "", "annotations": None},
    ]

    reply = newcomer.client.post("/api/v2/alerts", json=odd)

    assert reply.status_code == 200, reply.text
    assert len(newcomer.client.get("/api/v2/alerts").json()) == 1 + len(odd)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("filter", ""),
        ("filter", "a"),
        ("filter", '="b"'),
        ("filter", 'a=~"("'),
        ("filter", "a=~a{1000}{1000}"),
        ("filter", 'a="\x00"'),
        ("filter", 'a="' + "x" * 2000 + '"'),
        ("filter", '"\\xff"="b"'),
        ("filter", '"\\ud800"="b"'),
        ("filter", "@bogus=b"),
        ("receiver", "("),
    ],
)
def test_a_bad_filter_of_alertmanager_is_told(name: str, value: str, caller: Caller) -> None:
    reply = caller.client.get("/api/v2/alerts", params={name: value})

    assert reply.status_code == 400, reply.text
    assert isinstance(reply.json(), str)
    assert reply.json()


ODD: list[dict[str, Any]] = [
    {"title": "\u2028 é 😀 \u200f\ufffe \\ \" ' % $1 {0} <b>"},
    {"title": "😀" * 1024, "description": "\n\t\r" * 8333, "dedupKey": "é" * 512},
    {"title": "a", "source": "'; --", "monitoredService": '"%_\\', "triggeredAt": "2000-01-01T00:00:00-12:00"},
    {
        "title": "b",
        "labels": {"é 😀": "\n\t", "a.b/c": "\\\"'", "null": "", "__proto__": "\uffff", "x" * 256: "y" * 4096},
    },
    {"title": "c", "labels": {f"label {number}": "😀" * 1000 for number in range(64)}},
    {"title": "d", "annotations": {"": None, "n": [2**63 - 1, -(2**63), 2**64, 1e308, -0.0, 5e-324, True, {}]}},
    {"title": "e", "annotations": {"nul": "\\u0000", "text": "x" * 65_000}},
    {"title": "f", "links": [{"href": "HTTPS://é.example/?a=%00&b='\"", "text": ""}] * 20},
    {"title": "g", "idempotencyKey": "é😀 '\"\\%"},
]


def test_what_is_odd_but_valid_is_told_as_it_was_sent(newcomer: Caller) -> None:
    for way in ("rest", "createAlerts"):
        for draft in ODD:
            sent = {"severity": "INFO", **draft, "title": f"{way} {draft['title']}"[:1024]}
            sent["dedupKey"] = f"{way} {draft.get('dedupKey', draft['title'])}"[:512]
            if "idempotencyKey" in sent:
                sent["idempotencyKey"] += way
            reply = WAYS[way](newcomer.client, sent)
            assert reply.status_code in (200, 201), reply.text
            answer = reply.json()
            if way == "createAlerts":
                assert not answer["data"]["createAlerts"]["errors"], reply.text
                [outcome] = answer["data"]["createAlerts"]["outcomes"]
                answer = newcomer.client.get(f"{ROOT}/{outcome['alert']['id']}").json()
            for name in sent.keys() - {"idempotencyKey", "triggeredAt"}:
                # Beyond 64 bits a number of JSON is a floating one.
                assert answer[name] == orjson.loads(json.dumps(sent[name])), f"{way} {name}"

    for case in walk.cases("query"):
        if case.slot is None:
            assert "errors" not in newcomer.ask(case).json(), case
    assert len(newcomer.client.get("/api/v2/alerts").json()) == 2 * len(ODD) + 1
    body = {"query": f'subscription {{ alertEventBatches(after: "{start_of(newcomer)}") {EVERYTHING} }}'}
    with newcomer.client.stream("POST", "/graphql/stream", json=body) as replay:
        told = first_event(replay)
    assert "errors" not in told
    assert len(told["data"]["alertEventBatches"]["events"]) >= 2 * len(ODD)


def first_event(reply: httpx2.Response) -> Any:
    """Return the data of the first event of a stream; its lines end as those of a stream do, and nowhere else."""
    read = b""
    for chunk in reply.iter_bytes():
        read += chunk
        found = re.search(rb"^data: (\{.*)\n", read, re.MULTILINE)
        if found is not None:
            return orjson.loads(found[1])
    pytest.fail("the stream has ended")


EVERYTHING = walk.selection(walk.fields("subscription")["alertEventBatches"].type)


def start_of(caller: Caller) -> str:
    """Return the cursor of the tenant's first event."""
    return str(caller.service.data("{ events(first: 1) { nodes { cursor } } }")["events"]["nodes"][0]["cursor"])


# ------------------------------------------------------------------------------------------ sockets


async def test_bad_messages_close_the_socket_or_fail_alone(caller: Caller) -> None:
    async def open_one() -> Any:
        socket = await connect(
            caller.service.websocket_url, subprotocols=[Subprotocol("graphql-transport-ws")], close_timeout=1
        )
        init = {"type": "connection_init", "payload": {"authorization": f"Bearer {caller.key}"}}
        await socket.send(orjson.dumps(init).decode())
        assert "connection_ack" in str(await asyncio.wait_for(socket.recv(), 5))
        return socket

    def subscribe(payload: Any, id_: Any = "1") -> bytes:
        return orjson.dumps({"id": id_, "type": "subscribe", "payload": payload})

    create = {"query": CREATE, "variables": {"input": GOOD}}
    alone = [
        subscribe({"query": CREATE, "variables": {"input": {**GOOD, "bogus": 1}}}),
        subscribe({"query": CREATE, "variables": {"input": {**GOOD, "title": 5}}}),
        subscribe({"query": "{"}),
        subscribe({"query": "{ nothing }"}),
        subscribe(create).replace(b'"title":"Good"', b'"title":"Good","title":"Bad"'),
    ]
    closing = [
        *(RAW[what] for what in ("null", "a number", "cut", "not a number", "brackets", "a lone surrogate")),
        subscribe(create, 5),
        subscribe(create, None),
        b'{"type": "bogus"}',
        b'{"type": "subscribe", "type": "ping"}',
        b'{"id": "1"}',
    ]
    socket = await open_one()
    try:
        for message in alone:
            await socket.send(message.decode())
            told = orjson.loads(await asyncio.wait_for(socket.recv(), 5))
            assert (told["id"], told["type"]) == ("1", "error"), message[:200]
    finally:
        await socket.close()
    for message in closing:
        socket = await open_one()
        await socket.send(message.decode())
        await asyncio.wait_for(socket.wait_closed(), 5)
        assert socket.close_code in (4400, 1007, 1009), f"{message[:200]!r}: {socket.close_code}"


async def test_another_site_gets_no_socket_and_no_mutation_by_a_link(caller: Caller) -> None:
    for origin in ("https://evil.example", "null", f"{caller.service.url}.evil.example"):
        with pytest.raises(InvalidStatus) as refused:
            await connect(
                caller.service.websocket_url,
                subprotocols=[Subprotocol("graphql-transport-ws")],
                origin=Origin(origin),
            )
        assert refused.value.response.status_code == 403
    params = {"query": 'mutation { createAlert(input: {title: "By a link", severity: LOW}) { created } }'}
    for path in ("/graphql", "/graphql/stream"):
        assert caller.client.get(path, params=params).status_code == 405


# ------------------------------------------------------------------------------------------- anything

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20)
    | st.sampled_from(["2026-11-23T03:50:12Z", "PT5M", "https://a.example", "CRITICAL", "REGEX", "\x00", "alr_x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ANYTHING = [
    (case, path)
    for case in walk.plain_cases("mutation")
    for path, _, _ in inputs(walk.fields("mutation")[case.field].args["input"].type, ("input",))
]


@settings(
    max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(place=st.sampled_from(ANYTHING), value=JSON_VALUES)
def test_no_value_anywhere_is_our_fault(newcomer: Caller, place: tuple[Case, walk.Path], value: Any) -> None:
    case, path = place
    # What ends a thing of the newcomer's own would leave nothing to try the next value on.
    ends = case.field.startswith(("delete", "revoke", "expire"))
    own = newcomer.alert_id if ends else newcomer.own(case)
    body = json.dumps(with_value(case, newcomer, path, value)).replace(newcomer.own(case), own)
    reply = newcomer.client.post("/graphql", content=body, headers=JSON_TYPE)
    answer = reply.json()
    codes = {error["extensions"]["code"] for error in answer.get("errors", ())}
    assert reply.status_code < 500, f"{case} {path}={value!r}: {reply.text}"
    assert codes <= {"VALIDATION_FAILED", "BAD_REQUEST"}, f"{case} {path}={value!r}: {reply.text}"


def asked(field: str) -> str:
    """Return a query of a field with every argument there is, each a variable of its name."""
    definition = walk.fields("query")[field]
    declared = ", ".join(f"${name}: {argument.type}" for name, argument in definition.args.items())
    given_ = ", ".join(f"{name}: ${name}" for name in definition.args)
    selected = walk.selection(definition.type, 100 if "first" in definition.args else 1)
    return f"query({declared}) {{ {field}({given_}) {selected} }}"


ASKED = [
    (case, path)
    for case in walk.plain_cases("query")
    for name, argument in walk.fields("query")[case.field].args.items()
    for path in [(name,), *(path for path, _, _ in inputs(argument.type, (name,)))]
]


@settings(
    max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(place=st.sampled_from(ASKED), value=JSON_VALUES)
def test_no_value_in_a_query_is_our_fault(newcomer: Caller, place: tuple[Case, walk.Path], value: Any) -> None:
    case, path = place
    request = {**with_value(case, newcomer, path, value), "query": asked(case.field)}
    reply = newcomer.client.post("/graphql", content=json.dumps(request), headers=JSON_TYPE)
    codes = {error["extensions"]["code"] for error in reply.json().get("errors", ())}
    assert reply.status_code < 500, f"{case} {path}={value!r}: {reply.text}"
    assert codes <= {"VALIDATION_FAILED", "BAD_REQUEST"}, f"{case} {path}={value!r}: {reply.text}"


@settings(
    max_examples=examples(80), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    way=st.sampled_from([ROOT, f"{ROOT}/bulk", "/api/v2/alerts"]),
    field=st.sampled_from([*REFUSED, "startsAt", "endsAt", "generatorURL"]),
    value=JSON_VALUES,
)
def test_no_value_over_http_is_our_fault(newcomer: Caller, way: str, field: str, value: Any) -> None:
    draft = {"labels": {"a": "b"}, field: value} if "v2" in way else {**GOOD, field: value}
    # Unlike orjson, this writes whole numbers of any length.
    body = json.dumps(draft if way == ROOT else [draft])

    reply = newcomer.client.post(way, content=body, headers=JSON_TYPE)

    assert reply.status_code < 500, f"{way} {field}={value!r}: {reply.text}"
    assert "INTERNAL" not in reply.text
