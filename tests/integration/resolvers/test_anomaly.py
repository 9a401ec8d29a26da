"""Anomaly rules through the API."""

from __future__ import annotations

from typing import Any

import pytest

from alertgraph.core.tenant import Principal
from tests.integration.resolvers.api import Api

RULE = """id name enabled target matchers { label operator value } severity monitoredService serviceLabel
  sensitivity direction minDuration links { href text } version"""
CREATE = f"""mutation($input: AnomalyRuleInput!) {{ createAnomalyRule(input: $input) {{
  anomalyRule {{ {RULE} }} errors {{ code path }} }} }}"""
UPDATE = f"""mutation($input: UpdateAnomalyRuleInput!) {{ updateAnomalyRule(input: $input) {{
  anomalyRule {{ {RULE} }} errors {{ code path }} }} }}"""
DELETE = "mutation($input: DeleteInput!) { deleteAnomalyRule(input: $input) { deletedId errors { code path } } }"
LIST = f"""query($first: Int, $after: String) {{ anomalyRules(first: $first, after: $after) {{
  nodes {{ {RULE} }} totalCount pageInfo {{ hasNextPage endCursor }} }} }}"""
INPUT: dict[str, Any] = {
    "name": "queues",
    "matchers": [{"label": "__name__", "operator": "REGEX", "value": ".*_queue_length"}],
    "severity": "HIGH",
    "serviceLabel": "app",
    "sensitivity": "LOW",
    "direction": "UP",
    "minDuration": "PT1M",
    "links": [{"href": "https://runbooks.example/queues", "text": "Runbook"}],
}


async def test_the_life_of_a_rule(api: Api, admin: Principal, viewer: Principal) -> None:
    made = (await api.data(admin, CREATE, input={**INPUT, "idempotencyKey": "once"}))["createAnomalyRule"]
    again = (await api.data(admin, CREATE, input={**INPUT, "idempotencyKey": "once"}))["createAnomalyRule"]
    assert made == again
    rule = made["anomalyRule"]
    assert {name: rule[name] for name in INPUT} == INPUT
    assert (rule["enabled"], rule["target"], rule["monitoredService"]) == (True, "SERIES", None)
    other = (await api.data(admin, CREATE, input={"name": "a storm", "target": "ALERT_RATE"}))["createAnomalyRule"]
    assert other["anomalyRule"]["severity"] == "MEDIUM"

    listed = (await api.data(viewer, LIST, first=1))["anomalyRules"]
    assert listed["nodes"] == [other["anomalyRule"]]
    assert (listed["totalCount"], listed["pageInfo"]["hasNextPage"]) == (2, True)
    behind = (await api.data(viewer, LIST, after=listed["pageInfo"]["endCursor"]))["anomalyRules"]
    assert behind["nodes"] == [rule]

    patch = {"serviceLabel": None, "monitoredService": "checkout", "direction": "BOTH", "links": []}
    update = {"id": rule["id"], "expectedVersion": rule["version"], **patch}
    changed = (await api.data(admin, UPDATE, input=update))["updateAnomalyRule"]["anomalyRule"]
    assert {name: changed[name] for name in patch} == patch
    assert changed["matchers"] == INPUT["matchers"]
    node = "query($id: ID!) { node(id: $id) { __typename ... on AnomalyRule { name } } }"
    assert (await api.data(viewer, node, id=rule["id"]))["node"] == {"__typename": "AnomalyRule", "name": "queues"}
    gone = (await api.data(admin, DELETE, input={"id": rule["id"]}))["deleteAnomalyRule"]
    assert gone == {"deletedId": rule["id"], "errors": []}
    assert (await api.data(viewer, node, id=rule["id"]))["node"] is None


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"name": ""}, ["name"]),
        ({"matchers": []}, ["matchers"]),
        ({"matchers": [{"label": "@service", "value": "x"}]}, ["matchers", "0", "label"]),
        ({"matchers": [{"label": "a", "operator": "REGEX", "value": "("}]}, ["matchers", "0", "value"]),
        ({"target": "ALERT_RATE"}, ["matchers", "0", "label"]),
        ({"target": "ALERT_RATE", "matchers": [], "direction": "DOWN"}, ["direction"]),
        ({"target": "ALERT_RATE", "matchers": [], "direction": "UP"}, ["serviceLabel"]),
        ({"monitoredService": "checkout"}, ["serviceLabel"]),
        ({"monitoredService": " ", "serviceLabel": None}, ["monitoredService"]),
        ({"minDuration": "PT7H"}, ["minDuration"]),
        ({"links": [{"href": "ftp://x", "text": ""}]}, ["links", "0", "href"]),
        ({"links": INPUT["links"] * 11}, ["links"]),
    ],
)
async def test_refusals_name_the_input_at_fault(
    api: Api, admin: Principal, fields: dict[str, Any], path: list[str]
) -> None:
    answer = await api.data(admin, CREATE, input={**INPUT, **fields})

    assert answer["createAnomalyRule"]["errors"][0] == {"code": "INVALID_INPUT", "path": ["input", *path]}


async def test_only_an_admin_changes_rules_and_names_are_unique(
    api: Api, admin: Principal, responder: Principal
) -> None:
    made = (await api.data(admin, CREATE, input=INPUT))["createAnomalyRule"]["anomalyRule"]

    twice = (await api.data(admin, CREATE, input=INPUT))["createAnomalyRule"]
    assert twice["errors"] == [{"code": "CONFLICT", "path": ["input", "name"]}]
    for unknown in ("ano_x", "nonsense"):
        answer = await api.data(admin, DELETE, input={"id": unknown})
        assert answer["deleteAnomalyRule"]["errors"] == [{"code": "NOT_FOUND", "path": ["input", "id"]}]
    assert await api.codes(responder, CREATE, input=INPUT) == ["FORBIDDEN"]
    assert await api.codes(responder, UPDATE, input={"id": made["id"]}) == ["FORBIDDEN"]
    assert await api.codes(responder, DELETE, input={"id": made["id"]}) == ["FORBIDDEN"]
