"""Escalation rules through the API: made, put in order, changed, deleted, and what the log says of them."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from alertgraph.core.tenant import Principal
from alertgraph.execution.errors import RefusedError
from tests.factories import a_matcher
from tests.integration.resolvers.api import Api, a_caller, scoped

RULE = """id name enabled position matchers { label operator value } severities incidentProbabilityMin repeatCount
  escalateOnSla version levels { number delay targets { __typename ... on Responder { name }
  ... on OnCallSchedule { name } ... on NotificationChannel { name } } }"""
CREATE = f"""mutation($input: EscalationRuleInput!) {{ createEscalationRule(input: $input) {{
  escalationRule {{ {RULE} }} errors {{ code path message currentVersion }} }} }}"""
UPDATE = f"""mutation($input: UpdateEscalationRuleInput!) {{ updateEscalationRule(input: $input) {{
  escalationRule {{ {RULE} }} errors {{ code path currentVersion }} }} }}"""
DELETE = """mutation($input: DeleteInput!) { deleteEscalationRule(input: $input) {
  deletedId errors { code path message } } }"""
NAMES = """query($first: Int, $after: String) { escalationRules(first: $first, after: $after) {
  totalCount nodes { name position } edges { cursor node { id } } pageInfo { hasNextPage endCursor } } }"""
RESPONDER = """mutation($input: ResponderInput!) { createResponder(input: $input) {
  responder { id } errors { code path } } }"""
SCHEDULE = """mutation($input: OnCallScheduleInput!) { createOnCallSchedule(input: $input) {
  onCallSchedule { id } errors { code path } } }"""
CHANNEL = """mutation($input: NotificationChannelInput!) { createNotificationChannel(input: $input) {
  notificationChannel { id } errors { code path } } }"""


class Targets:
    """Whom rules can notify."""

    def __init__(self, bob: str, schedule: str, channel: str) -> None:
        self.bob, self.schedule, self.channel = bob, schedule, channel

    @property
    def levels(self) -> list[dict[str, Any]]:
        return [
            {"delay": "PT5M", "targets": [{"responderId": self.bob}, {"channelId": self.channel}]},
            {"delay": "PT1H", "targets": [{"scheduleId": self.schedule}]},
        ]


@pytest_asyncio.fixture(loop_scope="session")
async def targets(api: Api, admin: Principal) -> Targets:
    bob = (await api.data(admin, RESPONDER, input={"name": "Bob"}))["createResponder"]["responder"]["id"]
    rotation = {"responderIds": [bob], "startsAt": "2026-11-01T09:00:00Z", "shiftLength": "P7D"}
    schedule = await api.data(admin, SCHEDULE, input={"name": "primary", "rotations": [rotation]})
    channel = await api.data(
        admin, CHANNEL, input={"name": "hook", "config": {"webhook": {"url": "http://127.0.0.1:9/"}}}
    )
    return Targets(
        bob,
        schedule["createOnCallSchedule"]["onCallSchedule"]["id"],
        channel["createNotificationChannel"]["notificationChannel"]["id"],
    )


async def make(api: Api, admin: Principal, targets: Targets, name: str, **fields: Any) -> dict[str, Any]:
    answer = (await api.data(admin, CREATE, input={"name": name, "levels": targets.levels, **fields}))[
        "createEscalationRule"
    ]
    assert answer["errors"] == []
    rule: dict[str, Any] = answer["escalationRule"]
    return rule


async def order(api: Api, admin: Principal) -> list[tuple[str, int]]:
    nodes = (await api.data(admin, NAMES))["escalationRules"]["nodes"]
    return [(node["name"], node["position"]) for node in nodes]


async def test_a_rule_is_as_it_was_said(api: Api, admin: Principal, targets: Targets) -> None:
    made = await make(
        api,
        admin,
        targets,
        "database",
        matchers=[{"label": "team", "operator": "REGEX", "value": "db|sql"}],
        severities=["CRITICAL", "HIGH"],
        incidentProbabilityMin=0.25,
        repeatCount=2,
        escalateOnSla=True,
    )

    assert made["levels"] == [
        {
            "number": 1,
            "delay": "PT5M",
            "targets": [
                {"__typename": "Responder", "name": "Bob"},
                {"__typename": "NotificationChannel", "name": "hook"},
            ],
        },
        {"number": 2, "delay": "PT1H", "targets": [{"__typename": "OnCallSchedule", "name": "primary"}]},
    ]
    assert made["matchers"] == [{"label": "team", "operator": "REGEX", "value": "db|sql"}]
    assert (made["severities"], made["incidentProbabilityMin"]) == (["CRITICAL", "HIGH"], 0.25)
    assert (made["position"], made["enabled"], made["repeatCount"], made["escalateOnSla"]) == (1, True, 2, True)
    one = f"query($id: ID!) {{ escalationRule(id: $id) {{ {RULE} }} node(id: $id) {{ id __typename }} }}"
    read = await api.data(admin, one, id=made["id"])
    assert read == {"escalationRule": made, "node": {"id": made["id"], "__typename": "EscalationRule"}}
    for unknown in ("rul_nonsense", targets.bob):
        assert (await api.data(admin, "query($id: ID!) { escalationRule(id: $id) { id } }", id=unknown)) == {
            "escalationRule": None
        }


async def test_rules_are_listed_by_position_and_move(api: Api, admin: Principal, targets: Targets) -> None:
    made = {name: await make(api, admin, targets, name) for name in ("a", "b", "c")}
    await make(api, admin, targets, "first", position=1)
    assert await order(api, admin) == [("first", 1), ("a", 2), ("b", 3), ("c", 4)]

    moved = await api.data(admin, UPDATE, input={"id": made["a"]["id"], "position": 4})
    assert moved["updateEscalationRule"]["escalationRule"]["position"] == 4
    assert await order(api, admin) == [("first", 1), ("b", 2), ("c", 3), ("a", 4)]
    lost = await api.data(
        admin, UPDATE, input={"id": made["c"]["id"], "expectedVersion": made["c"]["version"], "name": "d"}
    )
    # It moved since: that is a change of it, too.
    assert lost["updateEscalationRule"]["errors"][0]["code"] == "VERSION_CONFLICT"

    page = (await api.data(admin, NAMES, first=3))["escalationRules"]
    assert [node["name"] for node in page["nodes"]] == ["first", "b", "c"]
    assert (page["totalCount"], page["pageInfo"]["hasNextPage"]) == (4, True)
    rest = (await api.data(admin, NAMES, first=3, after=page["pageInfo"]["endCursor"]))["escalationRules"]
    assert [node["name"] for node in rest["nodes"]] == ["a"]
    assert rest["pageInfo"]["hasNextPage"] is False
    assert await api.codes(admin, NAMES, after="nonsense") == ["BAD_REQUEST"]


async def test_a_patch_changes_what_it_names(api: Api, admin: Principal, targets: Targets) -> None:
    made = await make(api, admin, targets, "a", severities=["LOW"], incidentProbabilityMin=0.5)

    answer = (
        await api.data(
            admin,
            UPDATE,
            input={
                "id": made["id"],
                "expectedVersion": made["version"],
                "enabled": False,
                "severities": [],
                "incidentProbabilityMin": None,
                "levels": targets.levels[1:],
            },
        )
    )["updateEscalationRule"]

    changed = answer["escalationRule"]
    assert (changed["enabled"], changed["severities"], changed["incidentProbabilityMin"]) == (False, [], None)
    assert [level["delay"] for level in changed["levels"]] == ["PT1H"]
    assert (changed["name"], changed["position"]) == ("a", 1)
    null = (await api.data(admin, UPDATE, input={"id": made["id"], "levels": None}))["updateEscalationRule"]
    assert null["errors"] == [{"code": "INVALID_INPUT", "path": ["input", "levels"], "currentVersion": None}]


async def test_refusals_name_the_input_at_fault(api: Api, admin: Principal, targets: Targets) -> None:
    await make(api, admin, targets, "taken")
    good = {"name": "x", "levels": targets.levels}
    unknown = {"responderId": "rsp_AAAAAAAAAAAAAAAAAAAAAA"}
    cases: list[tuple[dict[str, Any], str, list[str]]] = [
        ({"name": "taken"}, "CONFLICT", ["name"]),
        ({"name": ""}, "INVALID_INPUT", ["name"]),
        ({"levels": []}, "INVALID_INPUT", ["levels"]),
        ({"levels": targets.levels * 3}, "INVALID_INPUT", ["levels"]),
        (
            {"levels": [{"delay": 0, "targets": [unknown]}]},
            "NOT_FOUND",
            ["levels", "0", "targets", "0", "responderId"],
        ),
        (
            {"levels": [{"delay": 0, "targets": [{"scheduleId": targets.bob}]}]},
            "NOT_FOUND",
            ["levels", "0", "targets", "0", "scheduleId"],
        ),
        (
            {"levels": [{"delay": "P8D", "targets": [{"responderId": targets.bob}]}]},
            "INVALID_INPUT",
            ["levels", "0", "delay"],
        ),
        ({"levels": [{"delay": 0, "targets": []}]}, "INVALID_INPUT", ["levels", "0", "targets"]),
        (
            {"matchers": [{"label": "a", "operator": "REGEX", "value": "("}]},
            "INVALID_INPUT",
            ["matchers", "0", "value"],
        ),
        ({"position": -1}, "INVALID_INPUT", ["position"]),
        ({"repeatCount": 101}, "INVALID_INPUT", ["repeatCount"]),
        ({"incidentProbabilityMin": -0.1}, "INVALID_INPUT", ["incidentProbabilityMin"]),
        ({"idempotencyKey": ""}, "INVALID_INPUT", ["idempotencyKey"]),
    ]

    for fields, code, path in cases:
        answer = (await api.data(admin, CREATE, input={**good, **fields}))["createEscalationRule"]
        assert answer["escalationRule"] is None
        assert [(error["code"], error["path"]) for error in answer["errors"]] == [(code, ["input", *path])], fields
    two = [{"delay": 0, "targets": [{"responderId": targets.bob, "channelId": targets.channel}]}]
    with pytest.raises(RefusedError, match=r"levels\[0\].targets\[0\].*Exactly one"):
        await api.run(admin, CREATE, input={**good, "levels": two})
    assert await order(api, admin) == [("taken", 1)]


async def test_what_a_rule_needs_is_not_deleted_nor_the_default_rule(
    api: Api, admin: Principal, targets: Targets
) -> None:
    made = await make(api, admin, targets, "all")
    settings = (
        "mutation($input: UpdateTenantSettingsInput!) { updateTenantSettings(input: $input) { errors { code } } }"
    )
    answer = await api.data(admin, settings, input={"defaultEscalationRuleId": made["id"]})
    assert answer["updateTenantSettings"]["errors"] == []

    refused = (await api.data(admin, DELETE, input={"id": made["id"]}))["deleteEscalationRule"]
    assert (refused["deletedId"], refused["errors"][0]["code"]) == (None, "IN_USE")
    assert "defaultEscalationRule" in refused["errors"][0]["message"]
    person = "mutation($input: DeleteInput!) { deleteResponder(input: $input) { errors { code message } } }"
    in_use = (await api.data(admin, person, input={"id": targets.bob}))["deleteResponder"]["errors"][0]
    assert in_use["code"] == "IN_USE"
    assert "the escalation rule all" in in_use["message"]

    await api.data(admin, settings, input={"defaultEscalationRuleId": None})
    gone = (await api.data(admin, DELETE, input={"id": made["id"]}))["deleteEscalationRule"]
    assert gone == {"deletedId": made["id"], "errors": []}
    twice = (await api.data(admin, DELETE, input={"id": made["id"]}))["deleteEscalationRule"]
    assert (twice["errors"][0]["code"], twice["errors"][0]["path"]) == ("NOT_FOUND", ["input", "id"])


async def test_an_alert_gets_the_rule_that_was_made_for_it(api: Api, admin: Principal, targets: Targets) -> None:
    await make(api, admin, targets, "web", matchers=[{"label": "team", "value": "web"}])
    create = """mutation($input: CreateAlertInput!) { createAlert(input: $input) { alert { holdReason } } }"""

    for team, held in (("db", "NO_MATCHING_RULE"), ("web", None)):
        answer = await api.data(
            admin, create, input={"title": "x", "severity": "HIGH", "labels": {"team": team}, "dedupKey": team}
        )
        assert answer["createAlert"]["alert"]["holdReason"] == held


async def test_who_sees_and_changes_rules(
    api: Api, admin: Principal, responder: Principal, viewer: Principal, sender: Principal, targets: Targets
) -> None:
    made = await make(api, admin, targets, "a", idempotencyKey="once")
    again = await make(api, admin, targets, "a", idempotencyKey="once")
    assert again == made
    patch = {"id": made["id"], "enabled": False}
    for caller in (responder, scoped(admin, a_matcher("team", "db"))):
        assert await api.codes(caller, CREATE, input={"name": "b", "levels": targets.levels}) == ["FORBIDDEN"]
        assert await api.codes(caller, UPDATE, input=patch) == ["FORBIDDEN"]
        assert await api.codes(caller, DELETE, input={"id": made["id"]}) == ["FORBIDDEN"]
    assert await order(api, viewer) == [("a", 1)]
    assert await api.codes(sender, NAMES) == ["FORBIDDEN"]

    elsewhere = a_caller(await api.tenant("other"), admin.role)
    one = "query($id: ID!) { escalationRule(id: $id) { id } node(id: $id) { id } }"
    assert await api.data(elsewhere, one, id=made["id"]) == {"escalationRule": None, "node": None}
    theirs = (await api.data(elsewhere, UPDATE, input=patch))["updateEscalationRule"]
    assert theirs["errors"][0]["code"] == "NOT_FOUND"
    foreign = await api.data(elsewhere, CREATE, input={"name": "b", "levels": targets.levels})
    assert foreign["createEscalationRule"]["errors"][0]["code"] == "NOT_FOUND"


async def test_the_log_tells_what_became_of_a_rule(
    api: Api, admin: Principal, responder: Principal, viewer: Principal, targets: Targets
) -> None:
    made = await make(api, admin, targets, "a")
    await api.data(admin, UPDATE, input={"id": made["id"], "repeatCount": 3})
    log = """query($filter: EventFilter) { events(filter: $filter) { nodes {
      kind subjectType subject { __typename id } changes { field before after } } } }"""
    of_rules = {"subjectType": ["EscalationRule"]}

    created, updated = (await api.data(responder, log, filter=of_rules))["events"]["nodes"]
    assert (created["kind"], updated["kind"]) == ("CONFIG_CREATED", "CONFIG_UPDATED")
    assert updated["subject"] == {"__typename": "EscalationRule", "id": made["id"]}
    assert updated["changes"] == [{"field": "repeatCount", "before": 0, "after": 3}]
    levels = next(change["after"] for change in created["changes"] if change["field"] == "levels")
    assert levels[0] == {"delay": "PT5M", "targets": targets.levels[0]["targets"]}
    assert (await api.data(viewer, log, filter=of_rules))["events"]["nodes"] == []
