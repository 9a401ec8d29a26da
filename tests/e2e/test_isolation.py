"""No tenant sees another, and no key beyond its matchers: every way in is walked with what is somebody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.e2e import live, walk
from tests.e2e.belongings import (
    CREATE,
    STATE,
    Belongings,
    Caller,
    a_caller,
    furnish,
    leaked,
    sort_of,
    stranger,
    uuid_of,
)
from tests.e2e.walk import Case
from tests.running import RunningService, new_tenant

# A cursor says where a list goes on, and is good for no more than that; some lists know that it is none of theirs.
CURSOR_CODES = {"BAD_REQUEST", "CURSOR_EXPIRED"}
# How long what must not come is waited for, once what must come has come.
LATE_SECONDS = 0.2
END = "mutation End($select: AlertSelector!) { resolveAlerts(input: {select: $select}) { changedCount } }"


@pytest.fixture(scope="module")
def victim(shared_service: tuple[str, dict[str, str]]) -> RunningService:
    """The tenant that has something to lose."""
    return new_tenant(*shared_service, f"victim-{uuid4().hex[:12]}")


@pytest.fixture(scope="module")
def belongings(victim: RunningService) -> Belongings:
    """What it has."""
    return furnish(victim)


@pytest.fixture
def intruder(shared_service: tuple[str, dict[str, str]]) -> Iterator[Caller]:
    """An ADMIN of another tenant."""
    caller = a_caller(new_tenant(*shared_service, f"intruder-{uuid4().hex[:12]}"))
    with caller.client:
        yield caller


@pytest.fixture
def untouched(victim: RunningService, belongings: Belongings) -> Iterator[None]:
    """Whatever is tried, the victim's data stay what they are."""
    before = victim.data(STATE)
    assert not before["events"]["pageInfo"]["hasPreviousPage"], "the whole log is compared"
    yield
    assert victim.data(STATE) == before


def codes_of(answer: dict[str, Any]) -> set[str]:
    return {error["extensions"]["code"] for error in answer.get("errors", ())}


def check(belongings: Belongings, case: Case, reply: httpx2.Response, sent: Any) -> None:
    found = leaked(belongings, reply.text, sent)
    assert not found, f"{case} with {sent!r} told {found}: {reply.text[:2000]}"
    assert reply.status_code < 500, f"{case} with {sent!r}: {reply.text}"
    assert "INTERNAL" not in codes_of(reply.json()), f"{case} with {sent!r}: {reply.text}"


def compare(caller: Caller, belongings: Belongings, case: Case) -> int:
    """Put each of somebody else's handles into a case; it must be answered as one that nobody has."""
    assert case.slot is not None
    unknown: dict[str, Any] = {}
    handles = belongings.handles(case)
    for handle in handles:
        reply = caller.ask(case, handle)
        check(belongings, case, reply, handle)
        if case.slot.kind == "cursor":
            assert codes_of(reply.json()) <= CURSOR_CODES, f"{case}: {reply.text}"
        elif case.slot.kind == "idempotency_key":
            assert "IDEMPOTENCY_KEY_REUSED" not in reply.text, f"{case}: {reply.text}"
        else:
            sort = sort_of(handle)
            if sort not in unknown:
                other = stranger(handle)
                unknown[sort] = _shape(caller.ask(case, other), other)
            assert _shape(reply, handle) == unknown[sort], f"{case} with {handle!r}"
        if case.field.startswith("createAlert"):
            # It is the intruder's own dedup key from now on, and would be found by it.
            caller.service.data(END, {"select": {"dedupKeys": [handle]}}, key=caller.key)
    return len(handles)


def _shape(reply: httpx2.Response, sent: Any) -> Any:
    text = sent["value"] if isinstance(sent, dict) else sent
    return reply.status_code, walk.shape(reply.json(), {text: "<sent>"})


def test_the_owner_sees_what_the_walk_looks_for(victim: RunningService, belongings: Belongings) -> None:
    """Else the walk would find nothing because it asks for nothing."""
    alert, view, key = (next(i for i in belongings.ids if i.startswith(p)) for p in ("alr", "vew", "key"))
    with victim.client() as client:
        owner = Caller(victim, victim.admin_key, alert, view, key, client)
        seen: dict[str, set[str]] = {}
        for case in walk.cases("query"):
            places = {None: [None]} if case.slot is None else {case.slot.place: belongings.handles(case)}
            for place, handles in places.items():
                for handle in handles:
                    if leaked(belongings, owner.ask(case, handle).text, handle):
                        seen.setdefault(case.field, set()).add(str(place))

    blind = {case.field for case in walk.cases("query")} - seen.keys()
    assert blind == {"rateLimit", "AlertMetrics.series"}
    for name in ("monitoredService", "source", "dedupKey", "matchers", "search"):
        assert f"AlertFilter.{name}" in seen["alerts"]
    for name in ("monitoredService", "source", "alertIds", "subjectId", "matchers"):
        assert f"EventFilter.{name}" in seen["events"]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("root", ["query", "mutation"])
def test_another_tenant_gets_nothing(root: str, belongings: Belongings, intruder: Caller) -> None:
    tried = 0
    for case in walk.cases(root):
        if case.slot is not None:
            tried += compare(intruder, belongings, case)
        elif root == "query":
            check(belongings, case, intruder.ask(case), None)

    assert tried > 150, "the walk has become a stroll"


@pytest.mark.usefixtures("untouched")
def test_no_text_becomes_sql(belongings: Belongings, intruder: Caller) -> None:
    tenant = uuid_of(next(each for each in belongings.ids if each.startswith("tnt")))
    texts = [
        f"'; SET app.tenant_id = '{tenant}'; SELECT * FROM alertgraph.alert_open; --",
        f"') OR tenant_id = '{tenant}' OR ('1' = '1",
        "%\" \\ $1 {0} %s ${jndi:x} ' || pg_sleep(9) || '",
    ]

    for root in ("query", "mutation"):
        for case in walk.cases(root):
            if case.slot is not None and case.slot.kind != "matcher":
                for text in texts:
                    check(belongings, case, intruder.ask(case, text), text)
            elif case.slot is not None:
                for text in texts:
                    for matcher in ({"label": text, "value": ""}, {"label": "@title", "value": text}):
                        check(belongings, case, intruder.ask(case, matcher), text)


FOLLOWERS = pytest.mark.parametrize("followers", [live.socket, live.event_streams])


@FOLLOWERS
async def test_another_tenant_hears_nothing(
    followers: Any, victim: RunningService, belongings: Belongings, intruder: Caller
) -> None:
    alert_id = await asyncio.to_thread(_fire, victim, belongings.mark)
    # One of each sort, since a socket carries a hundred subscriptions; the last cursors are those of the log.
    ids = [*{sort_of(each): each for each in belongings.ids}.values(), alert_id]
    few = replace(belongings, ids=ids, cursors=belongings.cursors[-5:])
    async with followers(intruder.service, intruder.key) as client:
        heard = [
            (case, handle, await client.follow(case.request(intruder.alert_id, handle)))
            for case in walk.cases("subscription")
            for handle in ([None] if case.slot is None else few.handles(case))
        ]
        assert len(heard) > 40, "the walk has become a stroll"
        plain = [each for case, _, each in heard if case.slot is None and case.field != "alertMetrics"]
        await _until_heard(intruder, plain, "before")
        await asyncio.to_thread(_do_everything, victim, belongings.mark, alert_id)
        await _until_heard(intruder, plain, "after")
        await asyncio.sleep(LATE_SECONDS)

    for case, handle, each in heard:
        found = leaked(belongings, each.text, [handle, alert_id])
        assert not found, f"{case} with {handle!r} told {found}: {each.text}"
        assert each.codes <= CURSOR_CODES, f"{case} with {handle!r}: {each.errors}"
        if case.slot is not None and case.field != "alertMetrics" and case.slot.kind != "cursor":
            assert not each.answers, f"{case} with {handle!r}: {each.answers}"
    assert all(each.answers for case, _, each in heard if case.field == "alertMetrics")


async def _until_heard(caller: Caller, heard: Sequence[live.Heard], word: str) -> None:
    """Have the caller do something until every one of these has heard of it."""
    for _ in range(100):
        await asyncio.to_thread(_fire, caller.service, word)
        await asyncio.sleep(0.05)
        if all(word in each.text for each in heard):
            return
    pytest.fail(f"nobody heard {word}")


def _fire(service: RunningService, word: str) -> str:
    draft = {"title": f"{word} {uuid4()}", "severity": "HIGH", "dedupKey": f"{word}-{uuid4()}"}
    return str(service.data(CREATE, {"input": draft})["createAlert"]["alert"]["id"])


def _do_everything(service: RunningService, mark: str, alert_id: str) -> None:
    service.data(
        """mutation Live($id: ID!, $note: String!) {
          acknowledgeAlert(input: {alertId: $id, note: $note}) { changed }
          updateAlert(input: {alertId: $id, title: $note}) { changed }
          resolveAlert(input: {alertId: $id}) { changed }
          createSavedView(input: {name: $note, filter: {}, shared: true}) { savedView { id } }
          createApiKey(input: {name: $note, role: VIEWER}) { apiKey { id } }
        }""",
        {"id": alert_id, "note": f"{mark} live"},
    )


@pytest.mark.usefixtures("untouched")
def test_rest_and_alertmanager_know_no_other_tenant(
    victim: RunningService, belongings: Belongings, intruder: Caller
) -> None:
    def ask(method: str, path: str, **more: Any) -> httpx2.Response:
        reply = intruder.client.request(method, path, **more)
        found = leaked(belongings, reply.text, [path, more])
        assert not found, f"{method} {path} told {found}: {reply.text}"
        return reply

    for each in belongings.ids:
        other = stranger(each)
        for method, path in (("GET", "{}"), ("PUT", "{}/escalate")):
            reply = ask(method, f"/api/v1/critical-alerts/{path.format(each)}")
            unknown = ask(method, f"/api/v1/critical-alerts/{path.format(other)}")
            assert reply.status_code == 404
            assert _shape(reply, each) == _shape(unknown, other)
    draft = {"title": "Mine", "severity": "LOW"}
    for key in belongings.dedup_keys:
        assert ask("POST", "/api/v1/critical-alerts", json={**draft, "dedupKey": key}).status_code == 201
    headers = {"Idempotency-Key": belongings.idempotency_keys["createAlert"]}
    assert ask("POST", "/api/v1/critical-alerts", json=draft, headers=headers).status_code == 201
    labels = {f"{belongings.mark}_label": f"{belongings.mark}-value"}
    over = {"labels": labels, "endsAt": "2026-01-01T00:00:00Z", "startsAt": "2026-01-01T00:00:00Z"}
    assert ask("POST", "/api/v2/alerts", json=[over]).status_code == 200
    assert [alert["labels"] for alert in ask("GET", "/api/v2/alerts").json()] != []
    matcher = f'{belongings.mark}_label=~".+"'
    assert ask("GET", "/api/v2/alerts", params={"filter": matcher}).json() == []
    with victim.client() as client:
        assert client.get("/api/v2/alerts", params={"filter": matcher}).json() != []


def test_what_is_for_nobody_tells_of_nobody(belongings: Belongings, intruder: Caller) -> None:
    with httpx2.Client(base_url=intruder.service.url) as client:
        for path in ("/metrics", "/livez", "/readyz", "/-/ready", "/-/healthy", "/api/v1/openapi.json"):
            reply = client.get(path)
            assert reply.status_code == 200
            assert not leaked(belongings, reply.text, path)
        for path in ("/graphql", "/graphql/stream", "/api/v2/alerts", "/api/v2/status"):
            reply = client.get(path, params={"query": "{ viewer { subject } }"})
            assert reply.status_code == 401, path
            assert not leaked(belongings, reply.text, path)
