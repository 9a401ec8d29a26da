"""Incidents through the API, on a real database: opened by hand and by labels, taken, ended, merged and split."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from alertgraph.core.tenant import Principal, Role
from alertgraph.services import incidents as service
from alertgraph.storage.reader import Reader
from tests.factories import a_matcher
from tests.integration.resolvers.api import Api, a_caller, scoped

INCIDENT = """id title status severity openedAt resolvedAt alertCount openAlertCount monitoredServices version
  rootAlert { title } mergedInto { id } alerts { totalCount nodes { title status incident { id } } }"""
ACTIONS = {
    "createIncident": "IncidentInput",
    "updateIncident": "UpdateIncidentInput",
    "acknowledgeIncident": "IncidentActionInput",
    "resolveIncident": "IncidentActionInput",
    "addAlertsToIncident": "IncidentAlertsInput",
    "mergeIncidents": "MergeIncidentsInput",
    "splitIncident": "IncidentAlertsInput",
}
READ = f"query($id: ID!) {{ incident(id: $id) {{ {INCIDENT} }} }}"
LIST = """query($filter: IncidentFilter, $first: Int, $after: String, $last: Int, $before: String) {
  incidents(filter: $filter, first: $first, after: $after, last: $last, before: $before) {
    nodes { title } edges { cursor } totalCount asOf pageInfo { hasNextPage hasPreviousPage endCursor } } }"""
TIMELINE = """query($id: ID!, $kinds: [EventKind!]) { incident(id: $id) { events(kinds: $kinds) {
  nodes { kind summary note alert { title } incident { id } subjectType subject { id } } } } }"""
ALERT = """mutation($input: CreateAlertInput!) { createAlert(input: $input) { created
  alert { id incident { id title } } errors { code } } }"""
SETTINGS = """mutation($input: UpdateTenantSettingsInput!) { updateTenantSettings(input: $input) {
  settings { groupingLabels groupingWindow } errors { code path } } }"""


async def fire(api: Api, caller: Principal, title: str, severity: str = "HIGH", **fields: Any) -> dict[str, Any]:
    wanted = {"title": title, "severity": severity, "dedupKey": title, **fields}
    answer = (await api.data(caller, ALERT, input=wanted))["createAlert"]
    assert answer["errors"] == []
    alert: dict[str, Any] = answer["alert"]
    return alert


async def fire_all(api: Api, caller: Principal, *titles: str) -> list[str]:
    return [(await fire(api, caller, title))["id"] for title in titles]


async def act(api: Api, caller: Principal, name: str, **input: Any) -> dict[str, Any]:
    document = f"""mutation($input: {ACTIONS[name]}!) {{ {name}(input: $input) {{
      incident {{ {INCIDENT} }} errors {{ code path currentVersion }} }} }}"""
    payload: dict[str, Any] = (await api.data(caller, document, input=input))[name]
    return payload


async def done(api: Api, caller: Principal, name: str, **input: Any) -> dict[str, Any]:
    payload = await act(api, caller, name, **input)
    assert payload["errors"] == []
    incident: dict[str, Any] = payload["incident"]
    return incident


async def refused(api: Api, caller: Principal, name: str, **input: Any) -> tuple[str, list[str] | None]:
    payload = await act(api, caller, name, **input)
    assert payload["incident"] is None
    (error,) = payload["errors"]
    return error["code"], error["path"]


async def read(api: Api, caller: Principal, incident_id: str) -> dict[str, Any]:
    incident: dict[str, Any] = (await api.data(caller, READ, id=incident_id))["incident"]
    return incident


async def resolve(api: Api, caller: Principal, *titles: str) -> None:
    document = """mutation($keys: [String!]!) { resolveAlerts(input: { select: { dedupKeys: $keys } }) {
      changedCount } }"""
    answer = await api.data(caller, document, keys=list(titles))
    assert answer["resolveAlerts"]["changedCount"] == len(titles)


async def group_by(api: Api, admin: Principal, *labels: str, window: str = "PT1H") -> None:
    input = {"groupingLabels": list(labels), "groupingWindow": window}
    answer = (await api.data(admin, SETTINGS, input=input))["updateTenantSettings"]
    assert answer["errors"] == []


# ------------------------------------------------------------------------------------------ by hand


async def test_an_incident_is_opened_by_hand_and_follows_its_alerts(api: Api, responder: Principal) -> None:
    a = (await fire(api, responder, "a", "HIGH", monitoredService="checkout"))["id"]
    b = (await fire(api, responder, "b", "CRITICAL", monitoredService="billing"))["id"]

    opened = await done(api, responder, "createIncident", title="Checkout is down", alertIds=[a, b, a])

    assert (opened["title"], opened["status"], opened["severity"]) == ("Checkout is down", "OPEN", "CRITICAL")
    assert (opened["alertCount"], opened["openAlertCount"], opened["rootAlert"]["title"]) == (2, 2, "a")
    assert opened["monitoredServices"] == ["checkout", "billing"]
    assert [alert["title"] for alert in opened["alerts"]["nodes"]] == ["b", "a"]
    assert opened["alerts"]["totalCount"] == 2
    assert {alert["incident"]["id"] for alert in opened["alerts"]["nodes"]} == {opened["id"]}
    assert await read(api, responder, opened["id"]) == opened

    await resolve(api, responder, "b")
    assert (await read(api, responder, opened["id"]))["severity"] == "HIGH"
    taken = await done(api, responder, "acknowledgeIncident", id=opened["id"], note="mine")
    assert (taken["status"], taken["openAlertCount"]) == ("ACKNOWLEDGED", 1)
    await resolve(api, responder, "a")
    over = await read(api, responder, opened["id"])
    assert (over["status"], over["severity"], over["openAlertCount"]) == ("RESOLVED", "CRITICAL", 0)
    assert over["resolvedAt"] is not None
    assert over["version"] > taken["version"] > opened["version"]

    told = (await api.data(responder, TIMELINE, id=opened["id"]))["incident"]["events"]["nodes"]
    assert [event["kind"] for event in told] == [
        "INCIDENT_OPENED",
        "GROUPED",
        "GROUPED",
        "RESOLVED",
        "INCIDENT_UPDATED",
        "ACKNOWLEDGED",
        "INCIDENT_ACKNOWLEDGED",
        "RESOLVED",
        "INCIDENT_RESOLVED",
    ]
    assert {event["incident"]["id"] for event in told} == {opened["id"]}
    assert [event["note"] for event in told if event["kind"] == "ACKNOWLEDGED"] == ["mine"]
    of_itself = [event for event in told if event["alert"] is None]
    assert {(event["subjectType"], event["subject"]["id"]) for event in of_itself} == {("Incident", opened["id"])}
    assert [event["summary"] for event in of_itself[:2]] == [
        "responder key opened the incident “Checkout is down”.",
        "responder key changed severity from CRITICAL to HIGH of the incident.",
    ]


async def test_what_is_resolved_takes_in_nothing(api: Api, responder: Principal) -> None:
    a, b = await fire_all(api, responder, "a", "b")
    first = await done(api, responder, "createIncident", title="first", alertIds=[a])
    second = await done(api, responder, "createIncident", title="second", alertIds=[b])
    over = await done(api, responder, "resolveIncident", id=first["id"])
    assert over["status"] == "RESOLVED"
    assert [alert["status"] for alert in over["alerts"]["nodes"]] == ["RESOLVED"]

    conflict = ("CONFLICT", ["input", "id"])
    assert await refused(api, responder, "addAlertsToIncident", id=first["id"], alertIds=[b]) == conflict
    assert await refused(api, responder, "acknowledgeIncident", id=first["id"]) == conflict
    into = ("CONFLICT", ["input", "intoId"])
    assert await refused(api, responder, "mergeIncidents", intoId=first["id"], incidentIds=[second["id"]]) == into
    # To resolve it once more is no error, and what fires again is another alert, in no incident.
    assert await done(api, responder, "resolveIncident", id=first["id"]) == over
    assert (await fire(api, responder, "a"))["incident"] is None


async def test_alerts_move_between_incidents(api: Api, responder: Principal) -> None:
    a, b, c, d = await fire_all(api, responder, "a", "b", "c", "d")
    first = await done(api, responder, "createIncident", title="first", alertIds=[a, b, c])
    second = await done(api, responder, "addAlertsToIncident", id=first["id"], alertIds=[c, d], note="same rack")
    assert second["alertCount"] == 4
    told = (await api.data(responder, TIMELINE, id=first["id"], kinds=["INCIDENT_UPDATED"]))["incident"]
    assert told["events"]["nodes"][0]["note"] == "same rack"

    apart = await done(api, responder, "splitIncident", id=first["id"], alertIds=[a, d], note="other disk")
    assert (apart["title"], apart["alertCount"], apart["rootAlert"]["title"]) == ("a", 2, "a")
    left = await read(api, responder, first["id"])
    assert (left["alertCount"], left["rootAlert"]) == (2, None)
    not_in = ("CONFLICT", ["input", "alertIds", "0"])
    assert await refused(api, responder, "splitIncident", id=first["id"], alertIds=[a]) == not_in
    everything = ("CONFLICT", ["input", "alertIds"])
    assert await refused(api, responder, "splitIncident", id=first["id"], alertIds=[b, c]) == everything

    # Whoever opens another incident takes its alerts out of where they were.
    third = await done(api, responder, "createIncident", title="third", alertIds=[b, c])
    emptied = await read(api, responder, first["id"])
    assert (emptied["alertCount"], emptied["status"], third["alertCount"]) == (0, "RESOLVED", 2)

    merged = await done(api, responder, "mergeIncidents", intoId=third["id"], incidentIds=[apart["id"]])
    assert (merged["alertCount"], merged["openAlertCount"]) == (4, 4)
    gone = await read(api, responder, apart["id"])
    assert (gone["alertCount"], gone["status"], gone["mergedInto"]["id"]) == (0, "RESOLVED", third["id"])
    # Again is no error, and where that one is merged, too, the last one is shown.
    again = await done(api, responder, "mergeIncidents", intoId=third["id"], incidentIds=[apart["id"]])
    assert again == merged
    (e,) = await fire_all(api, responder, "e")
    last = await done(api, responder, "createIncident", title="last", alertIds=[e])
    await done(api, responder, "mergeIncidents", intoId=last["id"], incidentIds=[third["id"]])
    assert (await read(api, responder, apart["id"]))["mergedInto"]["id"] == last["id"]
    itself = ("INVALID_INPUT", ["input", "incidentIds", "0"])
    answer = await refused(api, responder, "mergeIncidents", intoId=last["id"], incidentIds=[last["id"]])
    assert answer == itself


async def test_title_and_root_are_patched(api: Api, responder: Principal) -> None:
    a, b, c = await fire_all(api, responder, "a", "b", "c")
    opened = await done(api, responder, "createIncident", title="first", alertIds=[a, b])

    patched = await done(
        api, responder, "updateIncident", id=opened["id"], title="Disk", expectedVersion=opened["version"]
    )
    assert (patched["title"], patched["rootAlert"]["title"]) == ("Disk", "a")
    rooted = await done(api, responder, "updateIncident", id=opened["id"], rootAlertId=b)
    assert rooted["rootAlert"]["title"] == "b"
    assert (await done(api, responder, "updateIncident", id=opened["id"], rootAlertId=None))["rootAlert"] is None

    stale = await act(
        api, responder, "updateIncident", id=opened["id"], title="x", expectedVersion=opened["version"]
    )
    assert stale["errors"][0]["code"] == "VERSION_CONFLICT"
    assert stale["errors"][0]["currentVersion"] == (await read(api, responder, opened["id"]))["version"]
    for fields, expected in (
        ({"title": None}, ("INVALID_INPUT", ["input", "title"])),
        ({"title": " "}, ("INVALID_INPUT", ["input", "title"])),
        ({"rootAlertId": c}, ("CONFLICT", ["input", "rootAlertId"])),
        ({"rootAlertId": "alr_x"}, ("NOT_FOUND", ["input", "rootAlertId"])),
    ):
        assert await refused(api, responder, "updateIncident", id=opened["id"], **fields) == expected


async def test_what_names_nothing_is_refused_and_changes_nothing(api: Api, responder: Principal) -> None:
    (a,) = await fire_all(api, responder, "a")
    unknown = "inc_AAAAAAAAAAAAAAAAAAAAAA"
    for name in ("updateIncident", "acknowledgeIncident", "resolveIncident"):
        for wrong in (unknown, "x", a):
            assert await refused(api, responder, name, id=wrong) == ("NOT_FOUND", ["input", "id"])
    for name in ("addAlertsToIncident", "splitIncident"):
        answer = await refused(api, responder, name, id=unknown, alertIds=[a])
        assert answer == ("NOT_FOUND", ["input", "id"])
    none = await refused(api, responder, "createIncident", title="x", alertIds=[])
    assert none == ("INVALID_INPUT", ["input", "alertIds"])
    many = await refused(api, responder, "createIncident", title="x", alertIds=[a] * 1001)
    assert many == ("INVALID_INPUT", ["input", "alertIds"])
    other = await refused(api, responder, "createIncident", title="x", alertIds=[a, unknown])
    assert other == ("NOT_FOUND", ["input", "alertIds", "1"])
    gone = "alr_AAAAAAAAAAAAAAAAAAAAAA"
    assert (await refused(api, responder, "createIncident", title="x", alertIds=[a, gone]))[0] == "NOT_FOUND"
    assert (await api.data(responder, LIST))["incidents"]["totalCount"] == 0


async def test_a_request_that_is_sent_again_is_answered_as_before(api: Api, responder: Principal) -> None:
    a, b = await fire_all(api, responder, "a", "b")
    wanted = {"title": "once", "alertIds": [a], "idempotencyKey": "open"}
    first = await done(api, responder, "createIncident", **wanted)
    assert await done(api, responder, "createIncident", **wanted) == first
    assert (await refused(api, responder, "createIncident", **{**wanted, "title": "other"}))[0] == (
        "IDEMPOTENCY_KEY_REUSED"
    )
    taken = await done(api, responder, "acknowledgeIncident", id=first["id"], idempotencyKey="take")
    await done(api, responder, "addAlertsToIncident", id=first["id"], alertIds=[b])
    # What joined since is not taken by a request of before.
    again = await done(api, responder, "acknowledgeIncident", id=first["id"], idempotencyKey="take")
    assert (taken["status"], again["status"]) == ("ACKNOWLEDGED", "OPEN")
    await done(api, responder, "acknowledgeIncident", id=first["id"])
    idle = await done(api, responder, "acknowledgeIncident", id=first["id"], idempotencyKey="idle")
    (c,) = await fire_all(api, responder, "c")
    await done(api, responder, "addAlertsToIncident", id=first["id"], alertIds=[c])
    again = await done(api, responder, "acknowledgeIncident", id=first["id"], idempotencyKey="idle")
    assert (idle["status"], again["status"]) == ("ACKNOWLEDGED", "OPEN")
    reused = await refused(api, responder, "acknowledgeIncident", id=first["id"], note="x", idempotencyKey="take")
    assert reused[0] == "IDEMPOTENCY_KEY_REUSED"


async def test_more_alerts_than_go_in_one_flush_take_several(
    api: Api, responder: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "STEP_SIZE", 3)
    ids = await fire_all(api, responder, *(f"alert {number}" for number in range(11)))
    first = await done(api, responder, "createIncident", title="first", alertIds=ids[:7])
    second = await done(api, responder, "createIncident", title="second", alertIds=ids[7:])
    await resolve(api, responder, "alert 0", "alert 8")

    merged = await done(api, responder, "mergeIncidents", intoId=second["id"], incidentIds=[first["id"]], note="x")
    assert (merged["alertCount"], merged["openAlertCount"]) == (11, 9)
    assert (await read(api, responder, first["id"]))["mergedInto"]["id"] == second["id"]
    taken = await done(api, responder, "acknowledgeIncident", id=second["id"])
    assert (taken["status"], taken["openAlertCount"]) == ("ACKNOWLEDGED", 9)
    over = await done(api, responder, "resolveIncident", id=second["id"])
    assert (over["status"], over["openAlertCount"]) == ("RESOLVED", 0)


# ---------------------------------------------------------------------------------------- by labels


async def test_alerts_equal_in_labels_share_an_incident(api: Api, admin: Principal) -> None:
    assert (await fire(api, admin, "before", labels={"job": "api"}))["incident"] is None
    await group_by(api, admin, "job", "zone")

    a = await fire(api, admin, "a", "LOW", labels={"job": "api", "zone": "1"})
    b = await fire(api, admin, "b", "CRITICAL", labels={"job": "api", "zone": "1", "host": "x"})
    other = await fire(api, admin, "c", labels={"job": "api"})
    again = await fire(api, admin, "a", "LOW", labels={"job": "api", "zone": "1"})

    assert a["incident"] == b["incident"] == again["incident"]
    assert a["incident"]["title"] == "a"
    assert other["incident"]["id"] != a["incident"]["id"]
    incident = await read(api, admin, a["incident"]["id"])
    assert (incident["alertCount"], incident["severity"], incident["rootAlert"]["title"]) == (2, "CRITICAL", "a")
    told = (await api.data(admin, TIMELINE, id=incident["id"]))["incident"]["events"]["nodes"]
    kinds = [event["kind"] for event in told if event["kind"] != "HELD"]
    begun = ["TRIGGERED", "INCIDENT_OPENED", "GROUPED", "TRIGGERED", "GROUPED", "INCIDENT_UPDATED", "REPEATED"]
    assert kinds == begun

    # A resolved one never takes in another; and what is reopened belongs to a new one, too.
    await resolve(api, admin, "a", "b")
    fresh = await fire(api, admin, "d", labels={"job": "api", "zone": "1"})
    assert fresh["incident"]["id"] != incident["id"]
    reopen = """mutation($id: ID!) { reopenAlert(input: { alertId: $id }) { alert { incident { id } } } }"""
    reopened = (await api.data(admin, reopen, id=a["id"]))["reopenAlert"]["alert"]
    assert reopened["incident"]["id"] == fresh["incident"]["id"]


async def test_what_is_merged_goes_on_taking_in_where_it_went(api: Api, admin: Principal) -> None:
    await group_by(api, admin, "job")
    a = await fire(api, admin, "a", labels={"job": "api"})
    await group_by(api, admin)
    b = await fire(api, admin, "b")
    into = await done(api, admin, "createIncident", title="by hand", alertIds=[b["id"]])
    await done(api, admin, "mergeIncidents", intoId=into["id"], incidentIds=[a["incident"]["id"]])
    await group_by(api, admin, "job")
    assert (await fire(api, admin, "c", labels={"job": "api"}))["incident"]["id"] == into["id"]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"groupingLabels": ["a", "a"]}, ["input", "groupingLabels", "1"]),
        ({"groupingLabels": ["@dedup_key"]}, ["input", "groupingLabels", "0"]),
        ({"groupingLabels": [""]}, ["input", "groupingLabels", "0"]),
        ({"groupingLabels": [f"l{number}" for number in range(11)]}, ["input", "groupingLabels"]),
        ({"groupingLabels": None}, ["input", "groupingLabels"]),
        ({"groupingWindow": "PT59S"}, ["input", "groupingWindow"]),
        ({"groupingWindow": "P31D"}, ["input", "groupingWindow"]),
    ],
)
async def test_grouping_is_set_within_bounds(
    api: Api, admin: Principal, fields: dict[str, Any], path: list[str]
) -> None:
    answer = (await api.data(admin, SETTINGS, input=fields))["updateTenantSettings"]
    assert answer == {"settings": None, "errors": [{"code": "INVALID_INPUT", "path": path}]}


async def test_a_storm_of_one_key_opens_one_incident(api: Api, admin: Principal) -> None:
    await group_by(api, admin, "job")
    fired = await asyncio.gather(
        *(fire(api, admin, f"alert {number}", labels={"job": "api"}) for number in range(50))
    )
    assert len({alert["incident"]["id"] for alert in fired}) == 1
    incident = await read(api, admin, fired[0]["incident"]["id"])
    assert incident["alertCount"] == incident["openAlertCount"] == 50


# ------------------------------------------------------------------------------------------- reading


async def test_incidents_are_listed_newest_first(api: Api, responder: Principal) -> None:
    ids = await fire_all(api, responder, "a", "b", "c", "d")
    opened = []
    for number, alert_id in enumerate(ids):
        opened.append(await done(api, responder, "createIncident", title=str(number), alertIds=[alert_id]))
    await resolve(api, responder, "b")
    await done(api, responder, "acknowledgeIncident", id=opened[2]["id"])

    async def titles(**variables: Any) -> list[str]:
        page = (await api.data(responder, LIST, **variables))["incidents"]
        return [node["title"] for node in page["nodes"]]

    assert await titles() == ["3", "2", "1", "0"]
    assert await titles(filter={"status": ["OPEN"]}) == ["3", "0"]
    assert await titles(filter={"status": ["ACKNOWLEDGED", "RESOLVED"]}) == ["2", "1"]
    assert await titles(filter={"severity": ["CRITICAL"]}) == []
    assert await titles(filter={"status": []}) == []
    assert await titles(filter={"openedAfter": opened[2]["openedAt"]}) == ["3", "2"]
    assert await titles(filter={"openedBefore": opened[2]["openedAt"]}) == ["1", "0"]
    assert await titles(filter={"monitoredService": ["x"]}) == []

    page = (await api.data(responder, LIST, first=2))["incidents"]
    assert [node["title"] for node in page["nodes"]] == ["3", "2"]
    assert (page["totalCount"], page["pageInfo"]["hasNextPage"]) == (4, True)
    rest = (await api.data(responder, LIST, first=2, after=page["pageInfo"]["endCursor"]))["incidents"]
    assert [node["title"] for node in rest["nodes"]] == ["1", "0"]
    assert rest["pageInfo"]["hasNextPage"] is False
    assert await titles(last=1) == ["0"]
    assert await titles(last=2, before=rest["edges"][0]["cursor"]) == ["3", "2"]
    assert await api.codes(responder, LIST, after="nonsense") == ["BAD_REQUEST"]


async def test_alerts_and_events_are_found_by_their_incident(api: Api, responder: Principal) -> None:
    a, b, _ = await fire_all(api, responder, "a", "b", "c")
    incident = await done(api, responder, "createIncident", title="x", alertIds=[a, b])
    await resolve(api, responder, "a", "c")
    alerts = """query($filter: AlertFilter) { alerts(filter: $filter) { totalCount nodes { title } } }"""

    async def found(**filter: Any) -> list[str]:
        page = (await api.data(responder, alerts, filter=filter))["alerts"]
        assert page["totalCount"] == len(page["nodes"])
        return [node["title"] for node in page["nodes"]]

    assert await found(incidentId=incident["id"]) == ["b", "a"]
    assert await found(incidentId=incident["id"], status=["RESOLVED"]) == ["a"]
    assert await found(incidentId="inc_AAAAAAAAAAAAAAAAAAAAAA") == []
    assert await found(incidentId=a) == []
    events = """query($filter: EventFilter) { events(filter: $filter) { nodes { kind alert { title } } } }"""
    told = (await api.data(responder, events, filter={"incidentId": incident["id"]}))["events"]["nodes"]
    assert [event["kind"] for event in told] == ["INCIDENT_OPENED", "GROUPED", "GROUPED", "RESOLVED"]
    one = {"incidentId": incident["id"], "alertIds": [a]}
    told = (await api.data(responder, events, filter=one))["events"]["nodes"]
    assert [event["kind"] for event in told] == ["GROUPED", "RESOLVED"]
    assert (await api.data(responder, events, filter={"incidentId": "x"}))["events"]["nodes"] == []
    node = "query($id: ID!) { node(id: $id) { __typename ... on Incident { title } } }"
    shown = (await api.data(responder, node, id=incident["id"]))["node"]
    assert shown == {"__typename": "Incident", "title": "x"}


async def test_an_incident_is_followed_live(api: Api, responder: Principal) -> None:
    a, _ = await fire_all(api, responder, "a", "b")
    incident = await done(api, responder, "createIncident", title="x", alertIds=[a])
    start = (await api.data(responder, "{ events { asOf } }"))["events"]["asOf"]
    await resolve(api, responder, "b")
    await done(api, responder, "resolveIncident", id=incident["id"])
    document = """subscription($filter: EventFilter, $after: Cursor) {
      alertEvents(filter: $filter, after: $after) { kind alert { id } incident { status } } }"""

    answers = api.follow(responder, document, after=start, filter={"incidentId": incident["id"]})
    async with asyncio.timeout(20):
        heard = [(await anext(answers))[0]["data"]["alertEvents"] for _ in range(2)]
        await answers.aclose()

    assert heard == [
        {"kind": "RESOLVED", "alert": {"id": a}, "incident": {"status": "RESOLVED"}},
        {"kind": "INCIDENT_RESOLVED", "alert": None, "incident": {"status": "RESOLVED"}},
    ]


async def test_a_key_that_sees_some_alerts_sees_no_incident(api: Api, responder: Principal) -> None:
    a = (await fire(api, responder, "a", labels={"team": "db"}))["id"]
    b = (await fire(api, responder, "b", labels={"team": "web"}))["id"]
    incident = await done(api, responder, "createIncident", title="x", alertIds=[a, b])
    of_web = scoped(responder, a_matcher("team", "web"))

    assert (await api.data(of_web, READ, id=incident["id"]))["incident"] is None
    assert await api.codes(of_web, LIST) == ["FORBIDDEN"]
    alert = "query($id: ID!) { alert(id: $id) { title incident { id } } }"
    assert (await api.data(of_web, alert, id=b))["alert"] == {"title": "b", "incident": None}
    node = "query($id: ID!) { node(id: $id) { id } }"
    assert (await api.data(of_web, node, id=incident["id"]))["node"] is None
    for name, input in (
        ("createIncident", {"title": "y", "alertIds": [b]}),
        ("updateIncident", {"id": incident["id"], "title": "y"}),
        ("acknowledgeIncident", {"id": incident["id"]}),
        ("resolveIncident", {"id": incident["id"]}),
        ("addAlertsToIncident", {"id": incident["id"], "alertIds": [b]}),
        ("splitIncident", {"id": incident["id"], "alertIds": [b]}),
        ("mergeIncidents", {"intoId": incident["id"], "incidentIds": [incident["id"]]}),
    ):
        document = f"mutation($input: {ACTIONS[name]}!) {{ {name}(input: $input) {{ incident {{ id }} }} }}"
        assert await api.codes(of_web, document, input=input) == ["FORBIDDEN"]
    assert (await read(api, responder, incident["id"]))["alertCount"] == 2


async def test_another_tenant_finds_nothing(api: Api, responder: Principal) -> None:
    (a,) = await fire_all(api, responder, "a")
    incident = await done(api, responder, "createIncident", title="x", alertIds=[a])
    stranger = a_caller(await api.tenant("globex"), Role.ADMIN)
    (own,) = await fire_all(api, stranger, "a")

    assert (await api.data(stranger, READ, id=incident["id"]))["incident"] is None
    assert (await api.data(stranger, LIST))["incidents"]["totalCount"] == 0
    assert (await refused(api, stranger, "createIncident", title="y", alertIds=[a]))[0] == "NOT_FOUND"
    assert (await refused(api, stranger, "resolveIncident", id=incident["id"]))[0] == "NOT_FOUND"
    answer = await refused(api, stranger, "addAlertsToIncident", id=incident["id"], alertIds=[own])
    assert answer[0] == "NOT_FOUND"
    mine = await done(api, stranger, "createIncident", title="y", alertIds=[own])
    answer = await refused(api, stranger, "mergeIncidents", intoId=mine["id"], incidentIds=[incident["id"]])
    assert answer == ("NOT_FOUND", ["input", "incidentIds", "0"])
    assert (await read(api, responder, incident["id"]))["openAlertCount"] == 1


async def test_viewers_read_and_do_nothing(api: Api, responder: Principal, viewer: Principal) -> None:
    (a,) = await fire_all(api, responder, "a")
    incident = await done(api, responder, "createIncident", title="x", alertIds=[a])
    assert (await read(api, viewer, incident["id"]))["title"] == "x"
    for name, input in (
        ("createIncident", {"title": "y", "alertIds": [a]}),
        ("resolveIncident", {"id": incident["id"]}),
    ):
        document = f"mutation($input: {ACTIONS[name]}!) {{ {name}(input: $input) {{ incident {{ id }} }} }}"
        assert await api.codes(viewer, document, input=input) == ["FORBIDDEN"]


# ---------------------------------------------------------------------------------- below a list

BELOW = """query($alerts: Int, $after: String, $last: Int, $before: String, $events: Int) {
  incidents(first: 20) { nodes { title
    alerts(first: $alerts, after: $after, last: $last, before: $before) { totalCount
      pageInfo { hasNextPage hasPreviousPage endCursor startCursor } nodes { title } }
    events(first: $events) { pageInfo { hasNextPage } nodes { kind } } } } }"""


async def test_below_a_list_alerts_and_events_of_all_are_read_at_once(
    api: Api, admin: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = await done(api, admin, "createIncident", title="big", alertIds=await fire_all(api, admin, "a", "b", "c"))
    await done(api, admin, "createIncident", title="small", alertIds=await fire_all(api, admin, "d"))
    await resolve(api, admin, "b")
    lengths: list[int] = []
    read = Reader.fetch

    async def counted(self: Reader, statement: str, *parameters: Any) -> Any:
        if "FROM unnest($2::uuid[])" in statement:
            lengths.append(len(parameters[1]))
        return await read(self, statement, *parameters)

    monkeypatch.setattr(Reader, "fetch", counted)
    found = (await api.data(admin, BELOW, alerts=2, events=2))["incidents"]["nodes"]

    assert [node["title"] for node in found] == ["small", "big"]
    small, large = (node["alerts"] for node in found)
    assert (small["totalCount"], [each["title"] for each in small["nodes"]]) == (1, ["d"])
    assert (large["totalCount"], [each["title"] for each in large["nodes"]]) == (3, ["c", "b"])
    assert [each["pageInfo"]["hasNextPage"] for each in (small, large)] == [False, True]
    assert [event["kind"] for event in found[1]["events"]["nodes"]] == ["INCIDENT_OPENED", "GROUPED"]
    assert found[1]["events"]["pageInfo"]["hasNextPage"]
    assert sorted(lengths[:3]) == [1, 2, 2], "alerts of both, events of both, and a count of the one with more"

    end = large["pageInfo"]["endCursor"]
    rest = (await api.data(admin, BELOW, alerts=2, events=1, after=end))["incidents"]["nodes"]
    assert [[each["title"] for each in node["alerts"]["nodes"]] for node in rest] == [[], ["a"]]
    assert rest[1]["alerts"]["totalCount"] == 3
    back = (await api.data(admin, BELOW, last=1, before=end, events=1))["incidents"]["nodes"]
    assert [[each["title"] for each in node["alerts"]["nodes"]] for node in back] == [["d"], ["c"]]
    alone = (await read_alerts(api, admin, big["id"]))["nodes"]
    assert [each["title"] for each in alone] == ["c", "b", "a"]
    assert set(await api.codes(admin, BELOW, alerts=1, after="nonsense")) == {"BAD_REQUEST"}


async def read_alerts(api: Api, caller: Principal, incident_id: str) -> dict[str, Any]:
    alerts: dict[str, Any] = (await read(api, caller, incident_id))["alerts"]
    return alerts
