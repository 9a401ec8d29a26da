"""Who may do what: the contract names a role for every field, and exactly from that role on it is allowed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from graphql import GraphQLInterfaceType, GraphQLObjectType, build_schema, get_named_type

from alertgraph.core.catalog import SUBJECT_TYPE_OF
from alertgraph.core.tenant import Role
from tests.e2e import live, walk
from tests.e2e.belongings import CREATE, a_key, fire, set_up, uuid_of
from tests.e2e.walk import Case
from tests.running import RunningService

# As published: it keeps the contract, and has more than that.
CONTRACT = build_schema((Path(__file__).parents[2] / "schema.graphql").read_text(encoding="utf-8"))
NAMES = "|".join(role.name for role in Role)
# "RESPONDER." at the end of a description; "RESPONDER; INGEST where selected by dedupKeys." is two of them.
# "ADMIN, or the person." is ADMIN for whoever is nobody that can be on call, as keys are.
DOCUMENTED = re.compile(rf"(?:^|\. )({NAMES})(?:; ({NAMES}) where selected by (\w+)|, or the person)?\.$")
VIEW = "mutation V($v: SavedViewInput!) { createSavedView(input: $v) { savedView { id } errors { code } } }"

Keys = Mapping[Role, str]


def documented(root: str, field: str) -> tuple[Role, Role, str | None]:
    """Return the role that a field needs, and the one that is enough for a selection by this member."""
    type_ = CONTRACT.type_map[walk.ROOTS[root]]
    assert isinstance(type_, GraphQLObjectType)
    found = DOCUMENTED.search(type_.fields[field].description or "")
    if found is None:
        assert root != "mutation", f"the contract names no role for {field}"
        return Role.VIEWER, Role.VIEWER, None
    needed = Role[found[1]]
    return needed, Role[found[2]] if found[2] else needed, found[3]


@pytest.fixture
def keys(service: RunningService) -> Keys:
    """A key of each role."""
    return {role: a_key(service, role.name, name=role.name.lower())[1] for role in Role}


def codes(answer: dict[str, Any]) -> set[str]:
    return {error["extensions"]["code"] for error in answer.get("errors", ())}


def own(service: RunningService, case: Case, key: str, ids: Mapping[str, str]) -> str:
    """Return the id of something that a field is about; fresh, but for what pages are set up by."""
    if case.about in ids:
        return ids[case.about]
    if "SavedView" in case.field:
        for secret in (key, service.admin_key):
            made = service.graphql(VIEW, {"v": {"name": "own", "filter": {}}}, key=secret)
            if "errors" not in made:
                return str(made["data"]["createSavedView"]["savedView"]["id"])
    if "ApiKey" in case.field:
        return a_key(service, "INGEST")[0]
    return fire(service, "own")


@pytest.mark.parametrize("root", ["query", "mutation"])
def test_a_field_is_allowed_from_its_role_on(root: str, service: RunningService, keys: Keys) -> None:
    found = {}
    ids = set_up(service, "own")
    for case in walk.plain_cases(root):
        for role, key in keys.items():
            body = case.request(own(service, case, key, ids), others=ids)
            answer = service.graphql(body["query"], body["variables"], key=key)
            assert codes(answer) <= {"FORBIDDEN"}, f"{case} as {role.name}: {answer}"
            found[case.field, role] = not codes(answer)

    assert len(found) > 40, "the walk has become a stroll"
    needed = {field: documented(root, field)[0] for field, _ in found}
    assert found == {(field, role): role >= needed[field] for field, role in found}


def test_a_selection_may_need_less(service: RunningService, keys: Keys) -> None:
    met = 0
    for case in walk.cases("mutation"):
        needed, enough, member = documented("mutation", case.field)
        if case.slot is None or member is None or case.slot.path[1] != "select":
            continue
        met += 1
        for role, key in keys.items():
            value = {"label": "a", "value": "b"} if case.slot.kind == "matcher" else "nothing"
            body = case.request("", value)
            body["query"] = re.sub(r"(resolveAlerts\(.*?\)).*", r"\1 { __typename } }", body["query"])
            answer = service.graphql(body["query"], body["variables"], key=key)
            allowed = role >= (enough if case.slot.path[2] == member else needed)
            assert codes(answer) == (set() if allowed else {"FORBIDDEN"}), f"{case} as {role.name}: {answer}"
    assert met >= 7


async def test_a_subscription_is_allowed_from_its_role_on(service: RunningService, keys: Keys) -> None:
    for role, key in keys.items():
        async with live.socket(service, key) as client:
            heard = [(case, await client.follow(case.request(""))) for case in walk.plain_cases("subscription")]
            for case, each in heard:
                if role < documented("subscription", case.field)[0]:
                    await live.until(lambda each=each: each.is_over, f"{case} is refused")
                    assert each.codes == {"FORBIDDEN"}
                    assert not each.answers
                else:
                    for _ in range(100):
                        if each.answers or each.errors:
                            break
                        await asyncio.to_thread(fire, service, "news")
                        await asyncio.sleep(0.05)
                    assert each.answers, f"{case} as {role.name}"
                    assert not each.errors, f"{case} as {role.name}: {each.errors}"


def is_relation(type_: Any) -> bool:
    """Whether something of its own hangs there, rather than a part of the alert itself."""
    return isinstance(type_, GraphQLObjectType) and (
        # A level is nothing by itself, but tells of people and channels.
        type_.name.endswith("Connection")
        or type_.name in ("EscalationLevel", "RelatedAlert", "AlertPrediction")
        or any(each.name == "Node" for each in type_.interfaces)
    )


def test_a_sender_reads_plain_fields_of_its_alert_and_no_relation(service: RunningService, keys: Keys) -> None:
    type_ = walk.schema().type_map["CriticalAlert"]
    assert isinstance(type_, GraphQLObjectType)
    ways = {
        "createAlert": "mutation($i: CreateAlertInput!) { createAlert(input: $i) { alert %s } }",
        "createAlerts": "mutation($i: CreateAlertInput!) { createAlerts(input: [$i]) { outcomes { alert %s } } }",
        "resolveAlerts": (
            'mutation { resolveAlerts(input: {select: {dedupKeys: ["%s"]}}) { outcomes { alert %s } } }'
        ),
    }
    relations = set()
    for name, field in type_.fields.items():
        below = " { __typename }" if walk.selection(field.type) else ""
        relation = is_relation(get_named_type(field.type))
        relations |= {name} if relation else set()
        for number, (way, query) in enumerate(ways.items()):
            key = f"{name}-{number}"
            draft = {"title": "Sent", "severity": "LOW", "dedupKey": key}
            few = "(first: 1)" if "first" in field.args else ""
            selected = f"{{ {name}{few}{below} }}"
            if way == "resolveAlerts":
                service.data(CREATE, {"input": draft}, key=keys[Role.INGEST])
                answer = service.graphql(query % (key, selected), key=keys[Role.INGEST])
            else:
                answer = service.graphql(query % selected, {"i": draft}, key=keys[Role.INGEST])
            refusal = {"FORBIDDEN"} if relation else set()
            if name == "relatedAlerts" and way != "createAlert":
                # Ten points for each of a thousand: nobody gets that far.
                refusal = {"COST_EXCEEDED"}
            assert codes(answer) == refusal, f"{way}.{name}: {answer}"

    assert relations == {
        *("events", "deliveries", "silencedBy", "inhibitedBy", "escalationRule", "escalationLevels", "assignee"),
        *("incident", "relatedAlerts", "prediction"),
    }


def test_a_sender_reads_who_it_is_and_what_is_left(service: RunningService, keys: Keys) -> None:
    query = "{ viewer { role subject tenant { id slug name tier } } rateLimit { cost limit remaining resetAt } }"

    seen = service.data(query, key=keys[Role.INGEST])

    assert (seen["viewer"]["role"], seen["viewer"]["subject"]) == ("INGEST", "ingest")
    assert seen["viewer"]["tenant"]["slug"] == service.tenant
    for field in ("settings { retention }", "slaTargets { severity }"):
        answer = service.graphql(f"{{ viewer {{ tenant {{ {field} }} }} }}", key=keys[Role.INGEST])
        assert codes(answer) == {"FORBIDDEN"}


@pytest.mark.parametrize(
    ("method", "path", "body", "needed"),
    [
        ("POST", "/api/v1/critical-alerts", {"title": "By REST", "severity": "LOW"}, Role.INGEST),
        ("POST", "/api/v1/critical-alerts/bulk", [{"title": "By REST", "severity": "LOW"}], Role.INGEST),
        ("GET", "/api/v1/critical-alerts/{id}", None, Role.VIEWER),
        ("PUT", "/api/v1/critical-alerts/{id}/escalate", {"level": 1}, Role.RESPONDER),
        ("POST", "/api/v2/alerts", [{"labels": {"alertname": "Posted"}}], Role.INGEST),
        ("GET", "/api/v2/alerts", None, Role.VIEWER),
        ("GET", "/api/v2/status", None, Role.INGEST),
    ],
)
def test_other_dialects_ask_for_the_same_roles(
    method: str, path: str, body: Any, needed: Role, service: RunningService, keys: Keys
) -> None:
    alert_id = fire(service, "by id")
    for role, key in keys.items():
        with service.client(key) as client:
            reply = client.request(method, path.format(id=alert_id), json=body)
            unknown = client.request(method, path.format(id="alr_AAAAAAAAAAAAAAAAAAAAAA"), json=body)
        assert (reply.status_code == 403) == (role < needed), f"{role.name}: {reply.text}"
        assert reply.status_code < 300 or reply.status_code == 403, f"{role.name}: {reply.text}"
        # Who may not look is not told whether there is anything.
        assert (unknown.status_code == 403) == (role < needed), f"{role.name}: {unknown.text}"


def test_nobody_without_a_key_is_let_in(service: RunningService) -> None:
    for root in walk.ROOTS:
        for case in walk.plain_cases(root):
            body = case.request("")
            answer = service.graphql(body["query"], body["variables"], key="ag_nobody00_" + "0" * 43)
            assert codes(answer) == {"UNAUTHENTICATED"}, case


def test_a_shared_view_needs_a_responder(service: RunningService, keys: Keys) -> None:
    update = (
        "mutation U($v: UpdateSavedViewInput!) { updateSavedView(input: $v) { savedView { id } errors { code } } }"
    )
    delete = "mutation D($v: DeleteInput!) { deleteSavedView(input: $v) { deletedId errors { code } } }"

    def make(role: Role, shared: bool) -> dict[str, Any]:
        return service.graphql(VIEW, {"v": {"name": "view", "filter": {}, "shared": shared}}, key=keys[role])

    shared_id = make(Role.ADMIN, True)["data"]["createSavedView"]["savedView"]["id"]
    own_id = make(Role.VIEWER, False)["data"]["createSavedView"]["savedView"]["id"]

    assert codes(make(Role.VIEWER, True)) == {"FORBIDDEN"}
    for change in ({"id": shared_id, "name": "new"}, {"id": own_id, "shared": True}):
        assert codes(service.graphql(update, {"v": change}, key=keys[Role.VIEWER])) == {"FORBIDDEN"}
    assert codes(service.graphql(delete, {"v": {"id": shared_id}}, key=keys[Role.VIEWER])) == {"FORBIDDEN"}
    for role in (Role.RESPONDER, Role.ADMIN):
        # Somebody's own view is unknown to everybody else, whatever they may do.
        assert service.data("query N($id: ID!) { node(id: $id) { id } }", {"id": own_id}, key=keys[role]) == {
            "node": None
        }
        for query in (update, delete):
            [payload] = service.data(query, {"v": {"id": own_id}}, key=keys[role]).values()
            assert [error["code"] for error in payload["errors"]] == ["NOT_FOUND"]
    assert service.data(update, {"v": {"id": shared_id, "name": "new"}}, key=keys[Role.RESPONDER])
    assert service.data(delete, {"v": {"id": shared_id}}, key=keys[Role.RESPONDER])
    assert service.data(update, {"v": {"id": own_id, "name": "new"}}, key=keys[Role.VIEWER])


CONFIGURED = {"SavedView", "TenantSettings", *SUBJECT_TYPE_OF.values()}
SORTS: Mapping[Role, set[str | None]] = {
    Role.VIEWER: {None},
    Role.RESPONDER: {None, *CONFIGURED},
    Role.ADMIN: {None, *CONFIGURED, "ApiKey"},
}
FOLLOW = """subscription Follow($after: Cursor) {
  alertEvents(after: $after) { number kind subjectType summary detail note changes { field before after } }
}"""
READ = """query Read($after: String) {
  events(first: 100, after: $after) {
    nodes { number kind subjectType summary detail note changes { field before after } }
  }
}"""


async def test_who_sees_which_events_is_the_same_live_and_later(service: RunningService, keys: Keys) -> None:
    as_of = service.data("{ events { asOf } }")["events"]["asOf"]
    seen: dict[Role, list[Any]] = {}
    for role in SORTS:
        async with live.socket(service, keys[role]) as client:
            heard = await client.follow({"query": FOLLOW})
            await _until_live(service, heard)
            began = heard.answers[-1]["data"]["alertEvents"]["number"]
            await asyncio.to_thread(_everything, service)
            last = await asyncio.to_thread(fire, service, "last")
            await live.until(lambda heard=heard, last=last: _is_told(heard, last), "the last event")
            events = [answer["data"]["alertEvents"] for answer in heard.answers]
            seen[role] = [event for event in events if event["number"] > began]

            again = await client.follow({"query": FOLLOW, "variables": {"after": as_of}})
            await live.until(lambda again=again, last=last: _is_told(again, last), "the last event, again")
            replayed = [answer["data"]["alertEvents"] for answer in again.answers]
        read = service.data(READ, {"after": as_of}, key=keys[role])["events"]["nodes"]

        assert seen[role] == [event for event in replayed if event["number"] > began]
        assert replayed == read
        assert {event["subjectType"] for event in seen[role]} == SORTS[role]
    assert not [event for role in (Role.VIEWER, Role.RESPONDER) for event in seen[role] if "ag_" in str(event)]


async def test_an_event_beyond_the_role_is_unknown_by_its_id(service: RunningService, keys: Keys) -> None:
    await asyncio.to_thread(_everything, service)
    fire(service, "something")
    listed = service.data("{ events(last: 100) { nodes { id subjectType } } }")["events"]["nodes"]
    by_type = {event["subjectType"]: event["id"] for event in listed}

    assert set(by_type) == SORTS[Role.ADMIN]
    for role, sorts in SORTS.items():
        for subject_type, event_id in by_type.items():
            found = service.data("query N($id: ID!) { node(id: $id) { id } }", {"id": event_id}, key=keys[role])
            assert (found["node"] is not None) == (subject_type in sorts), f"{subject_type} as {role.name}"


def test_a_key_in_the_log_is_shown_to_admins_only(service: RunningService, keys: Keys) -> None:
    key_id, _ = a_key(service, "INGEST", name="secretive")
    query = "query S($id: ID!) { node(id: $id) { id } events(filter: {subjectId: $id}) { nodes { number } } }"

    for role in SORTS:
        seen = service.data(query, {"id": key_id}, key=keys[role])
        assert (seen["node"] is not None) == (role is Role.ADMIN)
        assert (seen["events"]["nodes"] != []) == (role is Role.ADMIN)


def _is_told(heard: live.Heard, alert_id: str) -> bool:
    """Whether an alert was heard of, and what follows at once: no rule is for it."""
    return str(uuid_of(alert_id)) in heard.text and heard.answers[-1]["data"]["alertEvents"]["kind"] == "HELD"


async def _until_live(service: RunningService, heard: live.Heard) -> None:
    for _ in range(100):
        if heard.answers:
            return
        await asyncio.to_thread(fire, service, "first")
        await asyncio.sleep(0.05)
    pytest.fail("the stream has not begun")


def _everything(service: RunningService) -> None:
    """Have an event of every sort that is told to somebody and not to others."""
    set_up(service, f"everything {token_hex(4)}")
    service.data(VIEW, {"v": {"name": "view", "filter": {}}})
    a_key(service, "VIEWER")
    days = service.data("{ viewer { tenant { settings { retention } } } }")["viewer"]["tenant"]["settings"]
    other = "P50D" if days["retention"] != "P50D" else "P51D"
    service.data(f'mutation {{ updateTenantSettings(input: {{retention: "{other}"}}) {{ errors {{ code }} }} }}')


def test_the_contract_names_a_role_for_everything() -> None:
    node = CONTRACT.type_map["Node"]
    assert isinstance(node, GraphQLInterfaceType)
    for field in walk.fields("mutation"):
        documented("mutation", field)
    assert documented("mutation", "resolveAlerts") == (Role.RESPONDER, Role.INGEST, "dedupKeys")
    assert documented("query", "viewer")[0] is Role.INGEST
    assert documented("query", "apiKeys")[0] is Role.ADMIN
    assert documented("query", "events")[0] is Role.VIEWER
