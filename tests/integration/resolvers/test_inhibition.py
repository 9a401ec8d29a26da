"""Inhibition rules through the API."""

from __future__ import annotations

from typing import Any

from alertgraph.core.tenant import Principal
from tests.integration.resolvers.api import Api

RULE = "id name enabled sourceMatchers { label value } targetMatchers { label value } equalLabels version"
CREATE = f"""mutation($input: InhibitionRuleInput!) {{ createInhibitionRule(input: $input) {{
  inhibitionRule {{ {RULE} }} errors {{ code path }} }} }}"""
UPDATE = f"""mutation($input: UpdateInhibitionRuleInput!) {{ updateInhibitionRule(input: $input) {{
  inhibitionRule {{ {RULE} }} errors {{ code path }} }} }}"""
DELETE = (
    "mutation($input: DeleteInput!) { deleteInhibitionRule(input: $input) { deletedId errors { code path } } }"
)
LIST = f"""query($first: Int, $after: String) {{ inhibitionRules(first: $first, after: $after) {{
  nodes {{ {RULE} }} totalCount pageInfo {{ hasNextPage endCursor }} }} }}"""
INPUT: dict[str, Any] = {
    "name": "cluster down",
    "sourceMatchers": [{"label": "alertname", "value": "ClusterDown"}],
    "targetMatchers": [{"label": "alertname", "value": "PodDown"}],
    "equalLabels": ["cluster", "@service"],
}


async def test_the_life_of_a_rule(api: Api, admin: Principal, viewer: Principal) -> None:
    made = (await api.data(admin, CREATE, input={**INPUT, "idempotencyKey": "once"}))["createInhibitionRule"]
    again = (await api.data(admin, CREATE, input={**INPUT, "idempotencyKey": "once"}))["createInhibitionRule"]
    assert made == again
    rule = made["inhibitionRule"]
    assert {name: rule[name] for name in INPUT} == INPUT
    assert rule["enabled"] is True
    other = (await api.data(admin, CREATE, input={**INPUT, "name": "a datacenter"}))["createInhibitionRule"]

    listed = (await api.data(viewer, LIST, first=1))["inhibitionRules"]
    assert listed["nodes"] == [other["inhibitionRule"]]
    assert (listed["totalCount"], listed["pageInfo"]["hasNextPage"]) == (2, True)
    behind = (await api.data(viewer, LIST, after=listed["pageInfo"]["endCursor"]))["inhibitionRules"]
    assert behind["nodes"] == [rule]

    changed = (
        await api.data(
            admin,
            UPDATE,
            input={"id": rule["id"], "expectedVersion": rule["version"], "enabled": False, "equalLabels": []},
        )
    )["updateInhibitionRule"]["inhibitionRule"]
    assert (changed["enabled"], changed["equalLabels"], changed["name"]) == (False, [], "cluster down")
    node = "query($id: ID!) { node(id: $id) { __typename ... on InhibitionRule { name } } }"
    assert (await api.data(viewer, node, id=rule["id"]))["node"] == {
        "__typename": "InhibitionRule",
        "name": "cluster down",
    }
    gone = (await api.data(admin, DELETE, input={"id": rule["id"]}))["deleteInhibitionRule"]
    assert gone == {"deletedId": rule["id"], "errors": []}
    assert (await api.data(viewer, node, id=rule["id"]))["node"] is None
    assert (await api.data(viewer, LIST))["inhibitionRules"]["totalCount"] == 1


async def test_refusals_name_the_input_at_fault(api: Api, admin: Principal, responder: Principal) -> None:
    made = (await api.data(admin, CREATE, input=INPUT))["createInhibitionRule"]["inhibitionRule"]
    bad = [{"label": "@x", "value": ""}]
    cases: list[tuple[dict[str, Any], str, list[str]]] = [
        ({"name": "cluster down"}, "CONFLICT", ["name"]),
        ({"sourceMatchers": []}, "INVALID_INPUT", ["sourceMatchers"]),
        ({"targetMatchers": bad}, "INVALID_INPUT", ["targetMatchers", "0", "label"]),
        ({"equalLabels": ["a", "a"]}, "INVALID_INPUT", ["equalLabels"]),
    ]

    for fields, code, path in cases:
        answer = await api.data(admin, CREATE, input={**INPUT, "name": "x", **fields})
        assert answer["createInhibitionRule"] == {
            "inhibitionRule": None,
            "errors": [{"code": code, "path": ["input", *path]}],
        }
    for fields in ({"sourceMatchers": None}, {"targetMatchers": bad}, {"name": None}):
        answer = await api.data(admin, UPDATE, input={"id": made["id"], **fields})
        assert answer["updateInhibitionRule"]["errors"][0]["code"] == "INVALID_INPUT"
    for unknown in ("inh_x", "nonsense"):
        answer = await api.data(admin, DELETE, input={"id": unknown})
        assert answer["deleteInhibitionRule"]["errors"] == [{"code": "NOT_FOUND", "path": ["input", "id"]}]
    assert await api.codes(responder, CREATE, input=INPUT) == ["FORBIDDEN"]
    assert await api.codes(responder, UPDATE, input={"id": made["id"]}) == ["FORBIDDEN"]
    assert await api.codes(responder, DELETE, input={"id": made["id"]}) == ["FORBIDDEN"]
