"""Silences through the API: tried, made, changed, ended, listed, and what they cover."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from alertgraph.core.tenant import Principal
from resolvers.scalars import instant_text
from tests.factories import DAY, HOUR, a_matcher
from tests.integration.resolvers.api import Api, scoped

SILENCE = """id matchers { label operator value } startsAt endsAt recurrence timeZone endOnResolve comment
  createdBy { name } state matchedCount version"""
CREATE = f"""mutation($input: SilenceInput!) {{ createSilence(input: $input) {{
  silence {{ {SILENCE} }} errors {{ code path }} }} }}"""
UPDATE = f"""mutation($input: UpdateSilenceInput!) {{ updateSilence(input: $input) {{
  silence {{ {SILENCE} }} errors {{ code path }} }} }}"""
EXPIRE = f"""mutation($input: DeleteInput!) {{ expireSilence(input: $input) {{
  silence {{ {SILENCE} }} errors {{ code path }} }} }}"""
LIST = """query($state: [SilenceState!], $first: Int, $after: String) {
  silences(state: $state, first: $first, after: $after) {
    nodes { comment state } totalCount pageInfo { hasNextPage endCursor } } }"""
PREVIEW = """query($matchers: [LabelMatcherInput!]!, $first: Int! = 20) { silencePreview(matchers: $matchers) {
  openCount lastWeekCount alerts(first: $first) { title severity } } }"""
ALERT = "mutation($input: CreateAlertInput!) { createAlert(input: $input) { alert { id } } }"
TEAM_DB = [{"label": "team", "value": "db"}]


async def fire(api: Api, caller: Principal, title: str, severity: str = "HIGH", **labels: str) -> str:
    input = {"title": title, "severity": severity, "labels": labels, "dedupKey": title}
    alert_id: str = (await api.data(caller, ALERT, input=input))["createAlert"]["alert"]["id"]
    return alert_id


def later(api: Api, after: timedelta) -> str:
    return instant_text(api.clock.now() + after)


async def make(api: Api, caller: Principal, **fields: Any) -> dict[str, Any]:
    wanted = {"matchers": TEAM_DB, "endsAt": later(api, HOUR), "comment": "maintenance", **fields}
    answer = (await api.data(caller, CREATE, input=wanted))["createSilence"]
    assert answer["errors"] == []
    silence: dict[str, Any] = answer["silence"]
    return silence


async def test_a_silence_covers_what_is_open_and_matches(api: Api, responder: Principal) -> None:
    for title, team in (("a", "db"), ("b", "db"), ("c", "web")):
        await fire(api, responder, title, team=team)
    await api.data(
        responder,
        'mutation { resolveAlerts(input: { select: { dedupKeys: ["b"] } }) { changedCount } }',
    )

    made = await make(api, responder)

    assert (made["state"], made["matchedCount"]) == ("ACTIVE", 1)
    assert made["matchers"] == [{"label": "team", "operator": "EQUAL", "value": "db"}]
    assert (made["createdBy"]["name"], made["timeZone"], made["endOnResolve"]) == ("responder key", "UTC", False)
    of_web = scoped(responder, a_matcher("team", "web"))
    read = "query($id: ID!) { silence(id: $id) { matchedCount state } }"
    # What a key may not see is not even counted.
    assert (await api.data(of_web, read, id=made["id"]))["silence"]["matchedCount"] == 0
    pending = await make(api, responder, startsAt=later(api, HOUR), endsAt=later(api, 2 * HOUR))
    assert (pending["state"], pending["matchedCount"]) == ("PENDING", 0)


async def test_a_silence_is_changed_and_ended(api: Api, responder: Principal, viewer: Principal) -> None:
    await fire(api, responder, "a", team="db")
    made = await make(api, responder, idempotencyKey="once")

    changed = (
        await api.data(
            responder,
            UPDATE,
            input={
                "id": made["id"],
                "expectedVersion": made["version"],
                "recurrence": "FREQ=WEEKLY",
                "timeZone": "Europe/Berlin",
                "comment": "every week",
            },
        )
    )["updateSilence"]["silence"]
    assert (changed["recurrence"], changed["timeZone"], changed["comment"]) == (
        "FREQ=WEEKLY",
        "Europe/Berlin",
        "every week",
    )
    once = await api.data(responder, UPDATE, input={"id": made["id"], "recurrence": None})
    assert once["updateSilence"]["silence"]["recurrence"] is None
    ended = (await api.data(responder, EXPIRE, input={"id": made["id"]}))["expireSilence"]
    assert ended["errors"] == []
    assert (ended["silence"]["state"], ended["silence"]["matchedCount"]) == ("EXPIRED", 0)
    for document in (EXPIRE, UPDATE):
        answer = await api.data(responder, document, input={"id": made["id"]})
        [errors] = [payload["errors"] for payload in answer.values()]
        assert errors == [{"code": "CONFLICT", "path": ["input", "id"]}]
    node = "query($id: ID!) { node(id: $id) { ... on Silence { state comment } } }"
    assert (await api.data(viewer, node, id=made["id"]))["node"] == {"state": "EXPIRED", "comment": "every week"}
    log = """{ events(filter: { subjectType: ["Silence"] }) { nodes {
      kind changes { field before after } subject { id } } } }"""
    events = (await api.data(responder, log))["events"]["nodes"]
    assert [event["kind"] for event in events] == [
        "CONFIG_CREATED",
        "CONFIG_UPDATED",
        "CONFIG_UPDATED",
        "CONFIG_DELETED",
    ]
    assert events[-1]["changes"] == [{"field": "state", "before": "ACTIVE", "after": "EXPIRED"}]
    assert {event["subject"]["id"] for event in events} == {made["id"]}


async def test_silences_are_listed_by_state_latest_end_first(api: Api, responder: Principal) -> None:
    await make(api, responder, comment="short")
    await make(api, responder, comment="long", endsAt=later(api, DAY))
    await make(api, responder, comment="later", startsAt=later(api, HOUR), endsAt=later(api, 2 * HOUR))
    over = await make(api, responder, comment="over")
    await api.data(responder, EXPIRE, input={"id": over["id"]})

    async def listed(**variables: Any) -> list[str]:
        page = (await api.data(responder, LIST, **variables))["silences"]
        comments = [node["comment"] for node in page["nodes"]]
        assert page["totalCount"] == len(comments)
        return comments

    assert await listed() == ["long", "later", "short", "over"]
    assert await listed(state=["ACTIVE"]) == ["long", "short"]
    assert await listed(state=["PENDING", "EXPIRED"]) == ["later", "over"]
    assert await listed(state=[]) == []
    first = (await api.data(responder, LIST, first=3))["silences"]
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (4, True)
    rest = (await api.data(responder, LIST, first=3, after=first["pageInfo"]["endCursor"]))["silences"]
    assert [node["comment"] for node in rest["nodes"]] == ["over"]
    assert await api.codes(responder, LIST, after="nonsense") == ["BAD_REQUEST"]


async def test_a_preview_tells_what_would_be_covered(api: Api, responder: Principal, viewer: Principal) -> None:
    for title, severity in (("low", "LOW"), ("worst", "CRITICAL"), ("high", "HIGH")):
        await fire(api, responder, title, severity, team="db")
    await fire(api, responder, "gone", team="db")
    await fire(api, responder, "web", "CRITICAL", team="web")
    await api.data(
        responder, 'mutation { resolveAlerts(input: { select: { dedupKeys: ["gone"] } }) { changedCount } }'
    )

    preview = (await api.data(viewer, PREVIEW, matchers=TEAM_DB))["silencePreview"]

    assert (preview["openCount"], preview["lastWeekCount"]) == (3, 4)
    assert [alert["title"] for alert in preview["alerts"]] == ["worst", "high", "low"]
    some = (await api.data(viewer, PREVIEW, matchers=TEAM_DB, first=1))["silencePreview"]
    assert [alert["title"] for alert in some["alerts"]] == ["worst"]
    narrow = scoped(viewer, a_matcher("@title", "low"))
    seen = (await api.data(narrow, PREVIEW, matchers=TEAM_DB))["silencePreview"]
    assert (seen["openCount"], seen["lastWeekCount"], len(seen["alerts"])) == (1, 1, 1)
    for matchers, first in (([], 1), ([{"label": "a", "value": ""}], 1), (TEAM_DB, 0), (TEAM_DB, 101)):
        assert await api.codes(viewer, PREVIEW, matchers=matchers, first=first) == ["BAD_REQUEST"]


async def test_refusals_name_the_input_at_fault(api: Api, responder: Principal, viewer: Principal) -> None:
    good = {"matchers": TEAM_DB, "endsAt": later(api, HOUR), "comment": "maintenance"}
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"matchers": []}, ["matchers"]),
        ({"matchers": [{"label": "a", "operator": "NOT_EQUAL", "value": "b"}]}, ["matchers"]),
        ({"matchers": [{"label": "a", "operator": "REGEX", "value": "("}]}, ["matchers", "0", "value"]),
        ({"endsAt": later(api, -HOUR)}, ["endsAt"]),
        ({"endsAt": later(api, 367 * DAY)}, ["endsAt"]),
        ({"recurrence": "FREQ=SECONDLY"}, ["recurrence"]),
        ({"recurrence": "FREQ=MONTHLY;BYMONTHDAY=31;BYMONTH=6"}, ["recurrence"]),
        ({"timeZone": "../../etc/passwd"}, ["timeZone"]),
        ({"comment": ""}, ["comment"]),
    ]

    for fields, path in cases:
        answer = (await api.data(responder, CREATE, input={**good, **fields}))["createSilence"]
        assert answer == {"silence": None, "errors": [{"code": "INVALID_INPUT", "path": ["input", *path]}]}, fields
    unknown = (await api.data(responder, EXPIRE, input={"id": "sil_x"}))["expireSilence"]
    assert unknown["errors"] == [{"code": "NOT_FOUND", "path": ["input", "id"]}]
    assert await api.codes(viewer, CREATE, input=good) == ["FORBIDDEN"]
    assert await api.codes(viewer, EXPIRE, input={"id": "sil_x"}) == ["FORBIDDEN"]
