"""Settings, saved views and API keys, and what the log says of them."""

from __future__ import annotations

from typing import Any

from alertgraph.core.tenant import Principal, Role
from tests.integration.resolvers.api import Api, a_caller

SETTINGS = """mutation($input: UpdateTenantSettingsInput!) { updateTenantSettings(input: $input) {
  settings { resolveTimeout retention version } errors { code path currentVersion } } }"""
CREATE_VIEW = """mutation($input: SavedViewInput!) { createSavedView(input: $input) {
  savedView { id name filter orderBy shared owner { name } version } errors { code path } } }"""
UPDATE_VIEW = """mutation($input: UpdateSavedViewInput!) { updateSavedView(input: $input) {
  savedView { id name filter orderBy shared version } errors { code path currentVersion } } }"""
DELETE_VIEW = (
    """mutation($input: DeleteInput!) { deleteSavedView(input: $input) { deletedId errors { code path } } }"""
)
CREATE_KEY = """mutation($input: ApiKeyInput!) { createApiKey(input: $input) {
  secret apiKey { id name prefix role matchers { label operator value } costBudget createdBy { name } revokedAt
  version } errors { code path } } }"""
ROTATE_KEY = """mutation($input: RotateApiKeyInput!) { rotateApiKey(input: $input) {
  secret apiKey { id prefix } errors { code path } } }"""
REVOKE_KEY = (
    """mutation($input: DeleteInput!) { revokeApiKey(input: $input) { deletedId errors { code path } } }"""
)


async def test_settings_are_patched(api: Api, admin: Principal, responder: Principal) -> None:
    assert await api.codes(responder, SETTINGS, input={}) == ["FORBIDDEN"]

    first = (await api.data(admin, SETTINGS, input={"resolveTimeout": "PT5M"}))["updateTenantSettings"]
    assert (first["settings"]["resolveTimeout"], first["settings"]["retention"]) == ("PT5M", "P400D")
    lost = await api.data(admin, SETTINGS, input={"retention": 86400, "expectedVersion": 0})
    assert lost["updateTenantSettings"]["errors"] == [
        {
            "code": "VERSION_CONFLICT",
            "path": ["input", "expectedVersion"],
            "currentVersion": first["settings"]["version"],
        }
    ]
    null = (await api.data(admin, SETTINGS, input={"retention": None}))["updateTenantSettings"]
    assert (null["settings"], null["errors"][0]["path"]) == (None, ["input", "retention"])
    short = (await api.data(admin, SETTINGS, input={"retention": "PT1H"}))["updateTenantSettings"]
    assert short["errors"][0]["path"] == ["input", "retention"]
    read = await api.data(
        admin,
        "{ viewer { tenant { settings { resolveTimeout version } slaTargets { severity acknowledgeWithin } } } }",
    )
    assert read["viewer"]["tenant"]["settings"]["resolveTimeout"] == "PT5M"
    assert read["viewer"]["tenant"]["slaTargets"][0] == {"severity": "CRITICAL", "acknowledgeWithin": "PT15M"}


async def test_the_life_of_a_view(api: Api, viewer: Principal, responder: Principal) -> None:
    input: dict[str, Any] = {
        "name": "Mine",
        "filter": {"severity": ["CRITICAL"], "matchers": [{"label": "host", "value": "a"}]},
        "orderBy": {"field": "SEVERITY"},
        "idempotencyKey": "once",
    }
    view = (await api.data(viewer, CREATE_VIEW, input=input))["createSavedView"]["savedView"]
    again = (await api.data(viewer, CREATE_VIEW, input=input))["createSavedView"]["savedView"]

    assert view == again
    assert view["filter"] == {
        "severity": ["CRITICAL"],
        "matchers": [{"label": "host", "operator": "EQUAL", "value": "a"}],
    }
    assert view["orderBy"] == {"field": "SEVERITY", "direction": "DESC"}
    page = await api.data(
        viewer, "query($filter: AlertFilter) { alerts(filter: $filter) { asOf } }", filter=view["filter"]
    )
    assert page["alerts"]["asOf"]
    wrong = await api.data(viewer, CREATE_VIEW, input={"name": "x", "filter": {"search": "?"}})
    assert wrong["createSavedView"]["errors"] == [{"code": "INVALID_INPUT", "path": ["input", "filter", "search"]}]

    names = "{ savedViews { nodes { name } totalCount } }"
    assert (await api.data(responder, names))["savedViews"] == {"nodes": [], "totalCount": 0}
    hidden = await api.data(responder, UPDATE_VIEW, input={"id": view["id"], "name": "Theirs"})
    assert hidden["updateSavedView"]["errors"][0]["code"] == "NOT_FOUND"
    assert await api.codes(viewer, UPDATE_VIEW, input={"id": view["id"], "shared": True}) == ["FORBIDDEN"]
    renamed = await api.data(
        viewer,
        UPDATE_VIEW,
        input={"id": view["id"], "name": "Worst", "orderBy": None, "expectedVersion": view["version"]},
    )
    assert renamed["updateSavedView"]["savedView"]["name"] == "Worst"
    assert renamed["updateSavedView"]["savedView"]["orderBy"] is None
    assert renamed["updateSavedView"]["savedView"]["filter"] == view["filter"]
    null = await api.data(viewer, UPDATE_VIEW, input={"id": view["id"], "filter": None})
    assert null["updateSavedView"]["errors"][0]["path"] == ["input", "filter"]
    assert (await api.data(viewer, names))["savedViews"] == {"nodes": [{"name": "Worst"}], "totalCount": 1}

    gone = await api.data(viewer, DELETE_VIEW, input={"id": view["id"]})
    assert gone["deleteSavedView"] == {"deletedId": view["id"], "errors": []}
    twice = await api.data(viewer, DELETE_VIEW, input={"id": view["id"]})
    assert twice["deleteSavedView"]["errors"] == [{"code": "NOT_FOUND", "path": ["input", "id"]}]
    strange = await api.data(viewer, DELETE_VIEW, input={"id": "nonsense"})
    assert strange["deleteSavedView"]["errors"] == [{"code": "NOT_FOUND", "path": ["input", "id"]}]


async def test_the_life_of_a_key(api: Api, admin: Principal, responder: Principal) -> None:
    input = {
        "name": "grafana",
        "role": "VIEWER",
        "matchers": [{"label": "team", "value": "a"}],
        "costBudget": 100,
        "idempotencyKey": "once",
    }
    assert await api.codes(responder, CREATE_KEY, input=input) == ["FORBIDDEN"]
    made = (await api.data(admin, CREATE_KEY, input=input))["createApiKey"]
    again = (await api.data(admin, CREATE_KEY, input=input))["createApiKey"]

    assert made["secret"].startswith(made["apiKey"]["prefix"])
    assert (again["secret"], again["apiKey"]) == (None, made["apiKey"])
    key_id = made["apiKey"]["id"]
    wrong = await api.data(
        admin, CREATE_KEY, input={"name": "x", "role": "VIEWER", "matchers": [{"label": "@x", "value": ""}]}
    )
    assert wrong["createApiKey"]["errors"] == [
        {"code": "INVALID_INPUT", "path": ["input", "matchers", "0", "label"]}
    ]
    rotated = (await api.data(admin, ROTATE_KEY, input={"id": key_id}))["rotateApiKey"]
    assert rotated["errors"] == []
    assert rotated["secret"] != made["secret"]
    long = await api.data(admin, ROTATE_KEY, input={"id": key_id, "overlap": "P365D"})
    assert long["rotateApiKey"]["errors"][0]["path"] == ["input", "overlap"]
    assert (await api.data(admin, REVOKE_KEY, input={"id": key_id}))["revokeApiKey"]["deletedId"] == key_id
    listed = await api.data(
        admin, "{ apiKeys { nodes { id revokedAt lastUsedAt } totalCount pageInfo { endCursor } } }"
    )
    assert listed["apiKeys"]["totalCount"] == 1
    assert listed["apiKeys"]["nodes"][0]["revokedAt"] is not None
    assert await api.codes(responder, "{ apiKeys { totalCount } }") == ["FORBIDDEN"]
    assert (await api.data(responder, "query($id: ID!) { node(id: $id) { id } }", id=key_id))["node"] is None
    assert (await api.data(admin, "query($id: ID!) { node(id: $id) { id } }", id=key_id))["node"] == {"id": key_id}


async def test_who_sees_which_changes(api: Api, admin: Principal, responder: Principal, viewer: Principal) -> None:
    key = (await api.data(admin, CREATE_KEY, input={"name": "grafana", "role": "VIEWER"}))["createApiKey"][
        "apiKey"
    ]
    view_input = {"name": "All", "filter": {}, "shared": True}
    view = (await api.data(admin, CREATE_VIEW, input=view_input))["createSavedView"]["savedView"]
    await api.data(admin, SETTINGS, input={"resolveTimeout": "PT5M"})
    await api.data(admin, DELETE_VIEW, input={"id": view["id"]})
    document = """{ events { nodes { kind subjectType subjectId summary subject { __typename id }
                    changes { field before after } alert { id } note holdReason } } }"""

    seen = (await api.data(admin, document))["events"]["nodes"]
    assert [(event["kind"], event["subjectType"]) for event in seen] == [
        ("CONFIG_CREATED", "ApiKey"),
        ("CONFIG_CREATED", "SavedView"),
        ("CONFIG_UPDATED", "TenantSettings"),
        ("CONFIG_DELETED", "SavedView"),
    ]
    assert seen[0]["subject"] == {"__typename": "ApiKey", "id": key["id"]}
    assert seen[1]["subjectId"] == view["id"]
    assert seen[1]["subject"] is None
    assert seen[2]["subject"]["__typename"] == "Tenant"
    assert seen[2]["changes"] == [{"field": "resolveTimeout", "before": "PT0S", "after": "PT5M"}]
    assert seen[0]["summary"] == "admin key created the API key “grafana”."
    by_responder = (await api.data(responder, document))["events"]["nodes"]
    assert [event["subjectType"] for event in by_responder] == ["SavedView", "TenantSettings", "SavedView"]
    assert (await api.data(viewer, document))["events"]["nodes"] == []
    of_keys = "query($filter: EventFilter) { events(filter: $filter, last: 5) { nodes { kind } } }"
    kinds = (await api.data(admin, of_keys, filter={"subjectId": key["id"]}))["events"]["nodes"]
    assert [event["kind"] for event in kinds] == ["CONFIG_CREATED"]


async def test_a_view_of_somebody_else_is_no_subject(api: Api, viewer: Principal, responder: Principal) -> None:
    await api.data(viewer, CREATE_VIEW, input={"name": "Mine", "filter": {}})

    data = await api.data(responder, "{ events { nodes { subjectType subject { id } } } }")

    assert data["events"]["nodes"] == [{"subjectType": "SavedView", "subject": None}]


async def test_the_caller_is_told_who_they_are(api: Api, admin: Principal) -> None:
    data = await api.data(
        admin, "{ viewer { role subject tenant { name tier } } rateLimit { cost limit resetAt } }"
    )

    assert data["viewer"] == {
        "role": "ADMIN",
        "subject": "admin key",
        "tenant": {"name": "Acme", "tier": "STANDARD"},
    }
    assert data["rateLimit"]["limit"] == 1000
    nameless = a_caller(admin.tenant, Role.VIEWER, "")
    assert (await api.data(nameless, "{ viewer { subject } }"))["viewer"]["subject"] == "viewer key"
