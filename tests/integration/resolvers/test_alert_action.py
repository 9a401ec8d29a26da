"""Mutations on alerts, and what reads show of them afterwards."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from alertgraph.core.ids import NodeKind, encode_id, uuid7
from alertgraph.core.tenant import Principal
from tests.factories import a_matcher
from tests.integration.resolvers.api import Api, scoped
from tests.integration.resolvers.setting_up import a_responder, a_webhook

CREATE = """
mutation($input: CreateAlertInput!) {
  createAlert(input: $input) { created alert { id version status } errors { code message path } }
}"""
CREATE_MANY = """
mutation($input: [CreateAlertInput!]!) {
  createAlerts(input: $input) {
    createdCount foldedCount outcomes { created alert { title } } errors { code path }
  }
}"""
ACTED = "{ changed alert { id status version acknowledgedUntil } errors { code path } }"
MANY = """{
  changedCount remainingCount outcomes { key changed alert { status } error { code path } } errors { code path }
}"""


async def created(api: Api, sender: Principal, **fields: Any) -> str:
    data = await api.data(sender, CREATE, input={"title": "Disk full", "severity": "HIGH", **fields})
    assert data["createAlert"]["errors"] == []
    alert_id: str = data["createAlert"]["alert"]["id"]
    return alert_id


async def act(api: Api, who: Principal, name: str, type_: str, **input: Any) -> dict[str, Any]:
    data = await api.data(who, f"mutation($input: {type_}!) {{ {name}(input: $input) {ACTED} }}", input=input)
    answer: dict[str, Any] = data[name]
    return answer


async def test_an_alert_is_sent_folded_and_read(api: Api, sender: Principal, viewer: Principal) -> None:
    first = await created(api, sender, labels={"host": "a"}, annotations={"n": 1}, source="cron")
    again = await api.data(
        sender, CREATE, input={"title": "Disk full", "severity": "HIGH", "labels": {"host": "a"}}
    )

    assert again["createAlert"]["created"] is False
    assert again["createAlert"]["alert"]["id"] == first
    data = await api.data(
        viewer,
        """query($id: ID!) { alert(id: $id) {
          id dedupKey title description severity status source monitoredService labels annotations
          links { href text } occurrenceCount triggeredAt lastSeenAt acknowledgedAt acknowledgedUntil
          acknowledgedBy { name } resolvedAt resolvedBy { name } escalationLevel holdReason verdict
          sla { acknowledgeBy resolveBy acknowledgeBreached resolveBreached } } }""",
        id=first,
    )
    alert = data["alert"]
    assert alert["occurrenceCount"] == 2
    assert (alert["labels"], alert["annotations"], alert["links"]) == ({"host": "a"}, {"n": 1}, [])
    assert (alert["status"], alert["holdReason"]) == ("TRIGGERED", "NO_MATCHING_RULE")
    assert alert["triggeredAt"].endswith("Z")
    assert alert["sla"]["acknowledgeBreached"] is False
    assert alert["acknowledgedBy"] is None


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"labels": 5}, ["input", "labels"]),
        ({"labels": {"host": 5}}, ["input", "labels", "host"]),
        ({"labels": {"host": "x" * 10_000}}, ["input", "labels", "host"]),
        ({"annotations": "text"}, ["input", "annotations"]),
        ({"title": ""}, ["input", "title"]),
        ({"title": "x" * 100_000}, ["input", "title"]),
        ({"title": "a\x00b"}, ["input", "title"]),
        ({"triggeredAt": "0001-01-01T00:00:00Z"}, ["input", "triggeredAt"]),
        ({"triggeredAt": "9999-12-31T00:00:00Z"}, ["input", "triggeredAt"]),
        ({"links": [{"href": "javascript:alert()", "text": ""}]}, ["input", "links", "0", "href"]),
        ({"idempotencyKey": ""}, ["input", "idempotencyKey"]),
    ],
)
async def test_what_the_sender_can_mend_is_named_and_nothing_is_stored(
    api: Api, sender: Principal, viewer: Principal, fields: dict[str, Any], path: list[str]
) -> None:
    data = await api.data(sender, CREATE, input={"title": "Disk full", "severity": "HIGH", **fields})

    (error,) = data["createAlert"]["errors"]
    assert (error["code"], error["path"]) == ("INVALID_INPUT", path)
    assert data["createAlert"]["alert"] is None
    assert (await api.data(viewer, "{ alerts { totalCount } }"))["alerts"]["totalCount"] == 0


async def test_of_many_the_invalid_ones_are_reported_and_the_others_kept(api: Api, sender: Principal) -> None:
    items = [
        {"title": "a", "severity": "LOW", "labels": {"n": "1"}},
        {"title": "b", "severity": "LOW", "labels": [1]},
        {"title": "a", "severity": "LOW", "labels": {"n": "1"}},
        {"title": "", "severity": "LOW"},
        {"title": "e", "severity": "LOW", "idempotencyKey": "once"},
    ]

    answer = (await api.data(sender, CREATE_MANY, input=items))["createAlerts"]

    assert (answer["createdCount"], answer["foldedCount"]) == (2, 1)
    assert [outcome["created"] for outcome in answer["outcomes"]] == [True, False, False, False, True]
    assert [(o["alert"] or {}).get("title") for o in answer["outcomes"]] == ["a", None, "a", None, "e"]
    assert answer["errors"] == [
        {"code": "INVALID_INPUT", "path": ["input", "1", "labels"]},
        {"code": "INVALID_INPUT", "path": ["input", "3", "title"]},
    ]


async def test_a_thousand_and_one_are_too_many(api: Api, sender: Principal, viewer: Principal) -> None:
    items = [{"title": str(n), "severity": "LOW"} for n in range(1001)]

    answer = (await api.data(sender, CREATE_MANY, input=items))["createAlerts"]

    assert answer["outcomes"] == []
    assert answer["errors"] == [{"code": "INVALID_INPUT", "path": ["input"]}]
    assert (await api.data(viewer, "{ alerts { totalCount } }"))["alerts"]["totalCount"] == 0


async def test_the_life_of_an_alert(api: Api, sender: Principal, responder: Principal) -> None:
    alert_id = await created(api, sender)
    past = await act(
        api, responder, "acknowledgeAlert", "AcknowledgeAlertInput", alertId=alert_id, until="2026-01-01T00:00:00Z"
    )
    assert past["errors"] == [{"code": "INVALID_INPUT", "path": ["input", "until"]}]
    far = await act(
        api, responder, "acknowledgeAlert", "AcknowledgeAlertInput", alertId=alert_id, until="2100-01-01T00:00:00Z"
    )
    assert far["errors"][0]["path"] == ["input", "until"]
    taken = await act(api, responder, "acknowledgeAlert", "AcknowledgeAlertInput", alertId=alert_id, note="mine")
    assert (taken["changed"], taken["alert"]["status"]) == (True, "ACKNOWLEDGED")
    again = await act(api, responder, "acknowledgeAlert", "AcknowledgeAlertInput", alertId=alert_id)
    assert (again["changed"], again["errors"]) == (False, [])
    back = await act(api, responder, "unacknowledgeAlert", "AlertActionInput", alertId=alert_id)
    assert back["alert"]["status"] == "TRIGGERED"
    climbed = await act(api, responder, "escalateAlert", "EscalateAlertInput", alertId=alert_id, level=2)
    assert climbed["changed"] is True
    too_high = await act(api, responder, "escalateAlert", "EscalateAlertInput", alertId=alert_id, level=6)
    assert too_high["errors"] == [{"code": "INVALID_INPUT", "path": ["input", "level"]}]
    judged = await act(
        api, responder, "giveAlertFeedback", "AlertFeedbackInput", alertId=alert_id, verdict="NOISE"
    )
    assert judged["changed"] is True
    noted = await act(api, responder, "addAlertNote", "AddAlertNoteInput", alertId=alert_id, note="seen")
    assert noted["changed"] is True
    patched = await act(
        api, responder, "updateAlert", "UpdateAlertInput", alertId=alert_id, severity="CRITICAL", title=None
    )
    assert patched["errors"] == [{"code": "INVALID_INPUT", "path": ["input", "title"]}]
    patched = await act(
        api, responder, "updateAlert", "UpdateAlertInput", alertId=alert_id, severity="CRITICAL", description=None
    )
    assert patched["changed"] is True
    ended = await act(api, responder, "resolveAlert", "AlertActionInput", alertId=alert_id)
    assert ended["alert"]["status"] == "RESOLVED"
    over = await act(api, responder, "escalateAlert", "EscalateAlertInput", alertId=alert_id)
    assert over == {
        "changed": False,
        "alert": None,
        "errors": [{"code": "CONFLICT", "path": ["input", "alertId"]}],
    }

    reopened = await api.data(
        responder,
        """mutation($input: AlertActionInput!) { reopenAlert(input: $input) { created alert {
             id status severity
             events { nodes { kind summary actor { kind name } note alert { id } changes { field } } }
           } errors { code } } }""",
        input={"alertId": alert_id},
    )
    assert reopened["reopenAlert"]["created"] is True
    alert = reopened["reopenAlert"]["alert"]
    assert alert["id"] != alert_id
    assert (alert["status"], alert["severity"]) == ("TRIGGERED", "CRITICAL")
    assert [event["kind"] for event in alert["events"]["nodes"]] == ["REOPENED", "HELD"]

    timeline = await api.data(
        responder,
        """query($id: ID!) { alert(id: $id) { events { nodes { kind number summary note actor { kind name }
             changes { field before after } detail } } } }""",
        id=alert_id,
    )
    events = timeline["alert"]["events"]["nodes"]
    assert [event["kind"] for event in events] == [
        "TRIGGERED",
        "HELD",
        "ACKNOWLEDGED",
        "UNACKNOWLEDGED",
        "HELD",
        "ESCALATED",
        "FEEDBACK_GIVEN",
        "NOTED",
        "UPDATED",
        "RESOLVED",
    ]
    assert [event["note"] for event in events if event["note"]] == ["mine", "seen"]
    by_kind = {event["kind"]: event for event in events}
    assert by_kind["ACKNOWLEDGED"]["summary"] == "responder key acknowledged the alert."
    assert by_kind["HELD"]["summary"].startswith("Nothing will be sent for now: no escalation rule matches it")
    assert events[0]["actor"] == {"kind": "SENDER", "name": "ingest key"}
    assert {"field": "severity", "before": "HIGH", "after": "CRITICAL"} in by_kind["UPDATED"]["changes"]
    assert events[0]["detail"]["kind"] == "TRIGGERED"
    assert "mine" not in str(by_kind["ACKNOWLEDGED"]["detail"])


async def test_an_unknown_alert_is_not_found(api: Api, responder: Principal) -> None:
    for alert_id in ("nonsense", "alr_AAAAAAAAAAAAAAAAAAAAAA"):
        answer = await act(api, responder, "resolveAlert", "AlertActionInput", alertId=alert_id)
        assert answer["errors"] == [{"code": "NOT_FOUND", "path": ["input", "alertId"]}]


async def test_a_retry_gets_the_first_answer(api: Api, sender: Principal) -> None:
    input = {"title": "Disk full", "severity": "HIGH", "idempotencyKey": "once"}
    first = (await api.data(sender, CREATE, input=input))["createAlert"]
    second = (await api.data(sender, CREATE, input=input))["createAlert"]
    other = (await api.data(sender, CREATE, input={**input, "title": "Other"}))["createAlert"]

    assert first["created"] is second["created"] is True
    assert first["alert"]["id"] == second["alert"]["id"]
    assert other["errors"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"
    assert other["errors"][0]["path"] == ["input", "idempotencyKey"]


async def test_many_are_taken_by_ids_keys_and_filter(api: Api, sender: Principal, responder: Principal) -> None:
    one = await created(api, sender, dedupKey="one", monitoredService="db")
    await created(api, sender, dedupKey="two", monitoredService="db")

    async def many(name: str, type_: str, select: dict[str, Any]) -> dict[str, Any]:
        document = f"mutation($input: {type_}!) {{ {name}(input: $input) {MANY} }}"
        answer: dict[str, Any] = (await api.data(responder, document, input={"select": select}))[name]
        return answer

    by_ids = await many("acknowledgeAlerts", "AcknowledgeAlertsInput", {"ids": [one, "nonsense", one]})
    assert by_ids["changedCount"] == 1
    assert [(o["key"], o["changed"], (o["error"] or {}).get("code")) for o in by_ids["outcomes"]] == [
        (one, True, None),
        ("nonsense", False, "NOT_FOUND"),
    ]
    by_filter = await many("acknowledgeAlerts", "AcknowledgeAlertsInput", {"filter": {"monitoredService": ["db"]}})
    assert by_filter["changedCount"] == 1
    assert by_filter["outcomes"][0]["key"].startswith("alr_")
    given_back = await many("unacknowledgeAlerts", "AlertsActionInput", {"dedupKeys": ["one", "gone"]})
    assert [(o["key"], o["changed"]) for o in given_back["outcomes"]] == [("one", True), ("gone", False)]
    empty = await many("resolveAlerts", "AlertsActionInput", {"filter": {}})
    assert empty["errors"] == [{"code": "INVALID_INPUT", "path": ["input", "select", "filter"]}]
    wrong = await many(
        "resolveAlerts",
        "AlertsActionInput",
        {"filter": {"matchers": [{"label": "a", "operator": "REGEX", "value": "("}]}},
    )
    assert wrong["errors"] == [
        {"code": "INVALID_INPUT", "path": ["input", "select", "filter", "matchers", "0", "value"]}
    ]
    none = await many("resolveAlerts", "AlertsActionInput", {"ids": []})
    assert none["errors"] == [{"code": "INVALID_INPUT", "path": ["input", "select", "ids"]}]
    ended = await many("resolveAlerts", "AlertsActionInput", {"filter": {"status": ["TRIGGERED", "ACKNOWLEDGED"]}})
    assert ended["changedCount"] == 2


async def test_a_sender_resolves_by_keys_only(api: Api, sender: Principal) -> None:
    alert_id = await created(api, sender, dedupKey="one")
    document = f"mutation($input: AlertsActionInput!) {{ resolveAlerts(input: $input) {MANY} }}"

    assert await api.codes(sender, document, input={"select": {"ids": [alert_id]}}) == ["FORBIDDEN"]
    ended = await api.data(sender, document, input={"select": {"dedupKeys": ["one"]}})
    assert ended["resolveAlerts"]["changedCount"] == 1


async def test_a_sender_reads_plain_fields_and_no_relation(api: Api, sender: Principal) -> None:
    input = {"title": "Disk full", "severity": "HIGH"}
    related = """mutation($input: CreateAlertInput!) {
      createAlert(input: $input) { created alert { id title events { nodes { id } } } } }"""

    payload = await api.run(sender, related, input=input)
    (error,) = payload["errors"]
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert error["path"] == ["createAlert", "alert", "events"]
    assert payload["data"]["createAlert"]["created"] is True
    for document in (
        "{ alerts { totalCount } }",
        "{ events { nodes { id } } }",
        '{ node(id: "nonsense") { id } }',
        '{ nodes(ids: ["nonsense"]) { id } }',
        '{ alert(id: "nonsense") { id } }',
        "{ savedViews { totalCount } }",
        "{ apiKeys { totalCount } }",
        "{ labelSuggestions }",
        '{ alertMetrics(since: "2026-01-01T00:00:00Z", until: "2026-01-02T00:00:00Z") { createdCount } }',
        "{ viewer { tenant { settings { version } } } }",
        "{ viewer { tenant { slaTargets { severity } } } }",
    ):
        assert await api.codes(sender, document) == ["FORBIDDEN"], document
    seen = await api.data(
        sender, "{ viewer { role subject tenant { id slug name tier } } rateLimit { remaining } }"
    )
    assert seen["viewer"]["role"] == "INGEST"
    assert seen["rateLimit"] == {"remaining": 999}


async def test_a_scoped_key_acts_only_within_its_scope(api: Api, sender: Principal, responder: Principal) -> None:
    alert_id = await created(api, sender, dedupKey="db", monitoredService="db")
    other = scoped(responder, a_matcher("@service", "web"))

    refused = await act(api, other, "resolveAlert", "AlertActionInput", alertId=alert_id)
    assert refused["errors"] == [{"code": "NOT_FOUND", "path": ["input", "alertId"]}]
    assert (await api.data(other, "query($id: ID!) { node(id: $id) { id } }", id=alert_id))["node"] is None
    assert await api.codes(other, "{ labelSuggestions }") == ["FORBIDDEN"]


async def test_a_mutation_shows_what_the_one_before_it_in_the_document_did(
    api: Api, responder: Principal, sender: Principal
) -> None:
    alert_id = await created(api, sender)

    data = await api.data(
        responder,
        """mutation($input: AcknowledgeAlertInput!, $end: AlertActionInput!) {
          taken: acknowledgeAlert(input: $input) { alert { events { nodes { kind alert { status } } } } }
          ended: resolveAlert(input: $end) { alert { events { nodes { kind alert { status } } } } }
        }""",
        input={"alertId": alert_id},
        end={"alertId": alert_id},
    )

    first, second = (
        [(event["kind"], event["alert"]["status"]) for event in data[name]["alert"]["events"]["nodes"]]
        for name in ("taken", "ended")
    )
    assert first == [(kind, "ACKNOWLEDGED") for kind in ("TRIGGERED", "HELD", "ACKNOWLEDGED")]
    assert second == [(kind, "RESOLVED") for kind in ("TRIGGERED", "HELD", "ACKNOWLEDGED", "RESOLVED")]


ASSIGN = """mutation($input: AssignAlertInput!) { assignAlert(input: $input) { changed errors { code path }
  alert { assignee { id name } events(kinds: [ASSIGNED]) { nodes { summary note actor { name } } }
    deliveries { nodes { level channel { name } responder { name } } } } } }"""


async def test_an_alert_is_given_to_somebody_who_is_told(
    api: Api, sender: Principal, admin: Principal, responder: Principal
) -> None:
    alert_id = await created(api, sender)
    grace = await a_responder(
        api,
        admin,
        "Grace",
        contactMethods=[{"channelId": await a_webhook(api, admin)}],
    )

    async def assign(**input: object) -> dict[str, Any]:
        answer = await api.data(responder, ASSIGN, input={"alertId": alert_id, **input})
        return cast("dict[str, Any]", answer["assignAlert"])

    given = await assign(responderId=grace, note="yours", idempotencyKey="once")
    assert (given["changed"], given["errors"]) == (True, [])
    assert given["alert"]["assignee"] == {"id": grace, "name": "Grace"}
    (event,) = given["alert"]["events"]["nodes"]
    assert (event["note"], "gave the alert to Grace." in event["summary"]) == ("yours", True)
    assert given["alert"]["deliveries"]["nodes"] == [
        {"level": 0, "channel": {"name": "hook"}, "responder": {"name": "Grace"}}
    ]
    assert await assign(responderId=grace, note="yours", idempotencyKey="once") == given
    assert (await assign(responderId=grace))["changed"] is False

    stranger = encode_id(NodeKind.RESPONDER, uuid7(datetime.now(UTC), 1))
    for unknown in ("nonsense", stranger, alert_id):
        refused = await assign(responderId=unknown)
        assert refused == {
            "changed": False,
            "alert": None,
            "errors": [{"code": "NOT_FOUND", "path": ["input", "responderId"]}],
        }

    back = await assign(responderId=None)
    assert (back["changed"], back["alert"]["assignee"]) == (True, None)
    assert len(back["alert"]["deliveries"]["nodes"]) == 1
