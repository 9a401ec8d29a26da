"""People who can be notified, over the API: who sees and changes what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alertgraph.core.ids import NodeKind, ResponderId, decode_key
from alertgraph.core.tenant import Principal, Role
from tests.integration.resolvers.api import Api, a_caller
from tests.integration.resolvers.setting_up import (
    CREATE_RESPONDER,
    CREATE_SCHEDULE,
    DELETE_RESPONDER,
    UPDATE_RESPONDER,
    a_responder,
    a_webhook,
    answered,
    done,
    refused,
)

READ = """query($id: ID!) { responder(id: $id) { id name email timeZone version calendarUrl
  contactMethods { channel { name } address delay } } }"""
PAGE = """query($first: Int, $after: String) { responders(first: $first, after: $after) {
  nodes { name } edges { cursor node { id } } totalCount pageInfo { hasNextPage hasPreviousPage endCursor } } }"""


async def test_the_life_of_a_person(api: Api, admin: Principal) -> None:
    channel = await a_webhook(api, admin)
    input = {
        "name": "Ada",
        "email": "ada@example.com",
        "timeZone": "Europe/Berlin",
        "contactMethods": [{"channelId": channel, "address": "U1", "delay": "PT5M"}, {"channelId": channel}],
        "idempotencyKey": "once",
    }

    made = (await done(api, admin, CREATE_RESPONDER, **input))["responder"]
    again = (await done(api, admin, CREATE_RESPONDER, **input))["responder"]

    assert made == again
    assert (made["name"], made["email"], made["timeZone"]) == ("Ada", "ada@example.com", "Europe/Berlin")
    assert made["contactMethods"] == [
        {"channel": {"name": "hook"}, "address": "U1", "delay": "PT5M"},
        {"channel": {"name": "hook"}, "address": "", "delay": "PT0S"},
    ]
    changed = await done(
        api, admin, UPDATE_RESPONDER, id=made["id"], email=None, name="Ada L.", expectedVersion=made["version"]
    )
    assert changed["responder"]["email"] is None
    assert changed["responder"]["contactMethods"] == made["contactMethods"]
    late = await answered(api, admin, UPDATE_RESPONDER, id=made["id"], name="x", expectedVersion=made["version"])
    assert late["errors"] == [
        {
            "code": "VERSION_CONFLICT",
            "path": ["input", "expectedVersion"],
            "currentVersion": changed["responder"]["version"],
        }
    ]
    assert await refused(api, admin, UPDATE_RESPONDER, id=made["id"], name=None) == ("INVALID_INPUT", "input.name")
    gone = await done(api, admin, DELETE_RESPONDER, id=made["id"])
    assert gone["deletedId"] == made["id"]
    assert (await api.data(admin, READ, id=made["id"]))["responder"] is None
    assert await refused(api, admin, DELETE_RESPONDER, id=made["id"]) == ("NOT_FOUND", "input.id")


async def test_what_is_personal_is_hidden_below_responder(
    api: Api, admin: Principal, responder: Principal, viewer: Principal, sender: Principal
) -> None:
    channel = await a_webhook(api, admin)
    ada = await a_responder(
        api, admin, "Ada", email="ada@example.com", contactMethods=[{"channelId": channel, "address": "U1"}]
    )

    seen = {}
    for caller in (admin, responder, viewer):
        seen[caller.role] = (await api.data(caller, READ, id=ada))["responder"]

    assert seen[Role.RESPONDER]["email"] == seen[Role.ADMIN]["email"] == "ada@example.com"
    assert seen[Role.RESPONDER]["contactMethods"][0]["address"] == "U1"
    assert (seen[Role.VIEWER]["email"], seen[Role.VIEWER]["contactMethods"]) == (None, [])
    assert [seen[role]["calendarUrl"] is None for role in (Role.VIEWER, Role.RESPONDER, Role.ADMIN)] == [
        True,
        True,
        False,
    ]
    assert await api.codes(sender, READ, id=ada) == ["FORBIDDEN"]
    # The log tells RESPONDER that something changed, and nobody what it is.
    log = await api.data(responder, "{ events(last: 1) { nodes { summary changes { field before after } } } }")
    (event,) = log["events"]["nodes"]
    assert {"field": "email", "before": None, "after": None} in event["changes"]
    assert "ada@example.com" not in str(log)


async def test_people_see_and_change_themselves(api: Api, admin: Principal, viewer: Principal) -> None:
    ada = await a_responder(api, admin, "Ada")
    bob = await a_responder(api, admin, "Bob")
    key = decode_key(ada, NodeKind.RESPONDER)
    assert key is not None
    herself = replace(viewer, responder_id=ResponderId(key))

    who = await api.data(herself, "{ viewer { responder { name calendarUrl } } }")
    assert who["viewer"]["responder"]["name"] == "Ada"
    assert who["viewer"]["responder"]["calendarUrl"].startswith("https://alerts.example.com/calendars/")
    assert (await api.data(viewer, "{ viewer { responder { name } } }"))["viewer"]["responder"] is None
    await done(api, herself, UPDATE_RESPONDER, id=ada, name="Ada L.")
    document = "mutation($input: UpdateResponderInput!) { updateResponder(input: $input) { errors { code } } }"
    assert await api.codes(herself, document, input={"id": bob, "name": "x"}) == ["FORBIDDEN"]


async def test_people_are_listed_by_name(api: Api, admin: Principal, viewer: Principal) -> None:
    for name in ("Cy", "Ada", "Bob"):
        await a_responder(api, admin, name)

    first = (await api.data(viewer, PAGE, first=2))["responders"]
    rest = (await api.data(viewer, PAGE, first=2, after=first["pageInfo"]["endCursor"]))["responders"]

    assert [node["name"] for node in first["nodes"] + rest["nodes"]] == ["Ada", "Bob", "Cy"]
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (
        3,
        True,
        False,
    )
    assert await api.codes(viewer, PAGE, after="nonsense") == ["BAD_REQUEST"]
    assert await api.codes(viewer, PAGE, first=101) == ["BAD_REQUEST"]


async def test_one_address_is_one_persons(api: Api, admin: Principal) -> None:
    await a_responder(api, admin, "Ada", email="ada@example.com")

    refusal = await refused(api, admin, CREATE_RESPONDER, name="Eve", email="Ada@Example.com")

    assert refusal == ("CONFLICT", "input.email")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"email": "no"}, "input.email"),
        ({"timeZone": "Mars"}, "input.timeZone"),
        ({"contactMethods": [{"channelId": "chn_x"}]}, "input.contactMethods.0.channelId"),
        ({"contactMethods": [{"channelId": "rsp_x", "delay": "PT0S"}]}, "input.contactMethods.0.channelId"),
    ],
)
async def test_what_cannot_be_used_is_named(
    api: Api, admin: Principal, fields: dict[str, object], path: str
) -> None:
    assert (await refused(api, admin, CREATE_RESPONDER, name="Ada", **fields))[1] == path


async def test_a_person_is_of_one_tenant(api: Api, admin: Principal) -> None:
    other = a_caller(await api.tenant("other"), Role.ADMIN)
    ada = await a_responder(api, admin, "Ada", email="ada@example.com")

    assert (await api.data(other, READ, id=ada))["responder"] is None
    assert (await api.data(other, "query($id: ID!) { node(id: $id) { id } }", id=ada))["node"] is None
    assert await refused(api, other, UPDATE_RESPONDER, id=ada, name="x") == ("NOT_FOUND", "input.id")
    # The same address is free elsewhere, and a rotation can't name a stranger.
    await a_responder(api, other, "Ada", email="ada@example.com")
    rotation = {"responderIds": [ada], "startsAt": "2026-01-01T09:00:00Z", "shiftLength": "P1D"}
    assert await refused(api, other, CREATE_SCHEDULE, name="x", rotations=[rotation]) == (
        "NOT_FOUND",
        "input.rotations.0.responderIds.0",
    )


async def test_a_person_is_a_node_and_a_subject(api: Api, admin: Principal, responder: Principal) -> None:
    ada = await a_responder(api, admin, "Ada")

    data = await api.data(
        responder,
        """query($id: ID!) { node(id: $id) { ... on Responder { name } }
        events(last: 1) { nodes { subjectType subjectId subject { ... on Responder { name } } } } }""",
        id=ada,
    )

    assert data["node"] == {"name": "Ada"}
    assert data["events"]["nodes"] == [{"subjectType": "Responder", "subjectId": ada, "subject": {"name": "Ada"}}]
