"""Things watched and what they need of one another, through the API on a real database."""

from __future__ import annotations

from typing import Any

import pytest

from alertgraph.core import monitored_service as core
from alertgraph.core.tenant import Principal, Role
from tests.factories import a_matcher
from tests.integration.resolvers.api import Api, a_caller, scoped
from tests.integration.resolvers.test_incident import fire, resolve

SET = """mutation($input: SetServiceDependenciesInput!) { setServiceDependencies(input: $input) {
  dependencyCount errors { code path message } } }"""
LIST = """query($prefix: String, $first: Int, $after: String) {
  monitoredServices(prefix: $prefix, first: $first, after: $after) { totalCount pageInfo { hasNextPage endCursor }
    edges { cursor } nodes { id name openAlertCount worstSeverity
      dependsOn(first: 2) { name openAlertCount worstSeverity }
      dependents(first: 2) { name dependsOn(first: 5) { name } } } } }"""
NODE = "query($ids: [ID!]!) { nodes(ids: $ids) { id ... on MonitoredService { name openAlertCount } } }"
CHANGES = """{ events(filter: { subjectType: ["ServiceDependencies"] }) { nodes {
  kind subjectType changes { field before after } } } }"""


async def said(
    api: Api, caller: Principal, *, replace_all: bool = False, **needs: list[str]
) -> tuple[int, list[dict[str, Any]]]:
    dependencies = [{"service": name, "dependsOn": names} for name, names in needs.items()]
    answer = await api.data(caller, SET, input={"dependencies": dependencies, "replaceAll": replace_all})
    payload = answer["setServiceDependencies"]
    return payload["dependencyCount"], payload["errors"]


async def listed(api: Api, caller: Principal, **arguments: Any) -> dict[str, dict[str, Any]]:
    found = (await api.data(caller, LIST, **{"first": 20, **arguments}))["monitoredServices"]
    assert found["totalCount"] == len(found["nodes"])
    return {node["name"]: node for node in found["nodes"]}


async def test_services_are_known_once_something_named_them(api: Api, admin: Principal) -> None:
    await fire(api, admin, "slow", monitoredService="checkout")
    await fire(api, admin, "slower", "CRITICAL", monitoredService="checkout")
    await fire(api, admin, "nameless")
    await fire(api, admin, "full", "LOW", monitoredService="disk")
    await resolve(api, admin, "full")
    assert await said(api, admin, checkout=["payments", "cart"], cart=["db"], payments=["db"]) == (4, [])

    found = await listed(api, admin)

    assert list(found) == ["cart", "checkout", "db", "disk", "payments"]
    assert found["checkout"]["openAlertCount"] == 2
    assert found["checkout"]["worstSeverity"] == "CRITICAL"
    assert found["disk"] == {**found["disk"], "openAlertCount": 0, "worstSeverity": None, "dependsOn": []}
    assert [each["name"] for each in found["checkout"]["dependsOn"]] == ["cart", "payments"]
    assert found["db"]["dependents"] == [
        {"name": "cart", "dependsOn": [{"name": "db"}]},
        {"name": "payments", "dependsOn": [{"name": "db"}]},
    ]
    assert list(await listed(api, admin, prefix="ca")) == ["cart"]
    assert await listed(api, admin, prefix="\U0001f600") == {}


async def test_a_list_is_read_page_by_page(api: Api, admin: Principal) -> None:
    names = [f"s{number:02}" for number in range(7)]
    await said(api, admin, **{name: ["s99"] for name in names})
    found: list[str] = []
    after = None
    while True:
        page = (await api.data(admin, LIST, first=3, after=after))["monitoredServices"]
        assert page["totalCount"] == 8
        found += [node["name"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break

    assert found == [*names, "s99"]
    assert await api.codes(admin, LIST, after="nonsense") == ["BAD_REQUEST"]


async def test_what_is_said_replaces_what_was_said(api: Api, admin: Principal) -> None:
    await said(api, admin, a=["b", "c", "b"], b=["c"])
    assert await said(api, admin, a=["d"]) == (2, [])
    assert await said(api, admin, a=["d"]) == (2, []), "the same again changes nothing"
    assert await said(api, admin, replace_all=True, c=["d"]) == (1, [])
    assert await said(api, admin, c=[]) == (0, [])

    events = (await api.data(admin, CHANGES))["events"]["nodes"]

    assert [event["kind"] for event in events] == ["CONFIG_UPDATED"] * 4
    assert [event["changes"] for event in events] == [
        [
            {"field": "a", "before": None, "after": ["b", "c"]},
            {"field": "b", "before": None, "after": ["c"]},
        ],
        [{"field": "a", "before": ["b", "c"], "after": ["d"]}],
        [
            {"field": "a", "before": ["d"], "after": None},
            {"field": "b", "before": ["c"], "after": None},
            {"field": "c", "before": None, "after": ["d"]},
        ],
        [{"field": "c", "before": ["d"], "after": None}],
    ]
    assert list(await listed(api, admin)) == []


async def test_what_can_not_be_is_refused_as_a_whole(
    api: Api, admin: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await said(api, admin, a=["b"])
    wrong = [
        {"service": "a", "dependsOn": ["a"]},
        {"service": "", "dependsOn": ["x\ny"]},
        {"service": "a", "dependsOn": []},
        {"service": "many", "dependsOn": [f"n{number}" for number in range(101)]},
    ]
    payload = (await api.data(admin, SET, input={"dependencies": wrong}))["setServiceDependencies"]

    assert payload["dependencyCount"] == 1
    assert [(error["code"], error["path"]) for error in payload["errors"]] == [
        ("INVALID_INPUT", ["input", "dependencies", "0", "dependsOn", "0"]),
        ("INVALID_INPUT", ["input", "dependencies", "1", "service"]),
        ("INVALID_INPUT", ["input", "dependencies", "1", "dependsOn", "0"]),
        ("INVALID_INPUT", ["input", "dependencies", "2", "service"]),
        ("INVALID_INPUT", ["input", "dependencies", "3", "dependsOn"]),
    ]
    too_many = [{"service": f"s{number}", "dependsOn": []} for number in range(1001)]
    (error,) = (await api.data(admin, SET, input={"dependencies": too_many}))["setServiceDependencies"]["errors"]
    assert (error["code"], error["path"]) == ("INVALID_INPUT", ["input", "dependencies"])
    monkeypatch.setattr(core, "DEPENDENCY_COUNT_MAX", 2)
    count, (error,) = await said(api, admin, c=["d", "e"])
    assert (count, error["code"]) == (1, "LIMIT_REACHED")
    assert list(await listed(api, admin)) == ["a", "b"]


async def test_who_may_do_what(api: Api, admin: Principal, responder: Principal, viewer: Principal) -> None:
    await said(api, admin, a=["b"])
    input = {"dependencies": []}
    assert await api.codes(responder, SET, input=input) == ["FORBIDDEN"]
    limited = scoped(admin, a_matcher("team", "x"))
    assert await api.codes(limited, SET, input=input) == ["FORBIDDEN"]
    assert await api.codes(limited, LIST) == ["FORBIDDEN"]
    found = await listed(api, viewer)
    ids = [found["a"]["id"], found["b"]["id"]]
    assert [node["name"] for node in (await api.data(viewer, NODE, ids=ids))["nodes"]] == ["a", "b"]
    assert (await api.data(limited, NODE, ids=ids))["nodes"] == [None, None]


async def test_another_tenant_sees_nothing_of_it(api: Api, admin: Principal) -> None:
    other = a_caller(await api.tenant("other"), Role.ADMIN)
    await fire(api, admin, "slow", monitoredService="mine")
    await said(api, admin, mine=["ours"])
    await said(api, other, theirs=["mine"])
    ids = [node["id"] for node in (await listed(api, admin)).values()]

    found = await listed(api, other)

    assert {name: node["openAlertCount"] for name, node in found.items()} == {"mine": 0, "theirs": 0}
    seen = (await api.data(other, NODE, ids=ids))["nodes"]
    assert [node and node["openAlertCount"] for node in seen] == [0, None]
