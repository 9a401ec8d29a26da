"""A key that is limited by matchers: what they leave out is as unknown to it as what does not exist."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.e2e import walk
from tests.e2e.belongings import (
    CREATE,
    STATE,
    Belongings,
    Caller,
    a_caller,
    a_key,
    do_everything,
    fire,
    furnish_alerts,
    leaked,
    stranger,
)
from tests.e2e.intrusion import FOLLOWERS, Follower, check, compare, listen, shape_of
from tests.running import RunningService

SCOPE = {"label": "walk", "operator": "EQUAL", "value": "yes"}
ONE = "query One($id: ID!) { node(id: $id) { ... on LogEvent { number } ... on CriticalAlert { title } } }"


@pytest.fixture
def belongings(service: RunningService) -> Belongings:
    """What the tenant has beyond the key's matchers."""
    return furnish_alerts(service)


@pytest.fixture
def scoped(service: RunningService, belongings: Belongings) -> Iterator[Caller]:
    """An ADMIN whose key sees only alerts that walk."""
    _, secret = a_key(service, "ADMIN", matchers=[SCOPE])
    caller = a_caller(service, secret, walk="yes")
    with caller.client:
        yield caller


def beyond(service: RunningService, belongings: Belongings) -> Any:
    """Return the state of what the key has no business with."""
    state = service.data(STATE)
    inside = {alert["id"] for alert in state["alerts"]["nodes"] if alert["labels"].get("walk") == "yes"}
    return [alert for alert in state["alerts"]["nodes"] if alert["id"] not in inside]


def test_a_key_gets_nothing_beyond_its_matchers(
    service: RunningService, belongings: Belongings, scoped: Caller
) -> None:
    before = beyond(service, belongings)
    tried = 0

    for root in ("query", "mutation"):
        for case in walk.cases(root):
            if case.slot is None:
                if root == "query":
                    check(belongings, case, scoped.ask(case), None)
            elif case.slot.kind != "idempotency_key" and not case.field.startswith("createAlert"):
                tried += compare(scoped, belongings, case)

    assert tried > 150, "the walk has become a stroll"
    assert beyond(service, belongings) == before


def test_a_key_sees_and_counts_what_matches(
    service: RunningService, belongings: Belongings, scoped: Caller
) -> None:
    seen = service.data(
        "{ alerts { totalCount nodes { id } } events { nodes { alert { id } kind subjectType } } }", key=scoped.key
    )

    assert seen["alerts"] == {"totalCount": 1, "nodes": [{"id": scoped.alert_id}]}
    # Views and keys, whose making is in the log, too, are nobody's alerts; nor is the incident that it joined.
    assert seen["events"]["nodes"] == [
        {"alert": {"id": scoped.alert_id}, "kind": kind, "subjectType": None}
        for kind in ("TRIGGERED", "HELD", "GROUPED")
    ]


@pytest.mark.parametrize("field", ["labelSuggestions", 'alertMetrics(since: "2026-01-01T00:00:00Z", until: $now)'])
def test_figures_of_all_alerts_are_refused(field: str, belongings: Belongings, scoped: Caller) -> None:
    query = f"{{ {field.replace('$now', repr(walk.TOMORROW)).replace(chr(39), chr(34))} }}"
    query = (
        query
        if "Metrics" not in query
        else query.replace(") }", ") { createdCount groups(by: SEVERITY) { key } } }")
    )

    answer = scoped.service.graphql(query, key=scoped.key)

    assert {error["extensions"]["code"] for error in answer["errors"]} == {"FORBIDDEN"}
    assert not leaked(belongings, str(answer), query)


def test_a_key_sends_only_what_matches(service: RunningService, belongings: Belongings, scoped: Caller) -> None:
    def send(**draft: Any) -> list[dict[str, Any]]:
        sent = {"input": {"title": "Mine", "severity": "LOW", **draft}}
        made = service.data(CREATE, sent, key=scoped.key)["createAlert"]
        assert not leaked(belongings, str(made), sent)
        return [(error["code"], error["path"]) for error in made["errors"]]

    before = beyond(service, belongings)

    assert send() == [("INVALID_INPUT", ["input", "labels"])]
    assert send(labels={"walk": "no"}) == [("INVALID_INPUT", ["input", "labels"])]
    assert send(labels={"walk": "yes"}) == []
    # Of an open alert under the same dedup key nothing is told, nor is it changed: only that the key is taken.
    taken, resolved = belongings.dedup_keys[0], belongings.dedup_keys[2]
    assert send(labels={"walk": "yes"}, dedupKey=taken) == [("CONFLICT", ["input", "dedupKey"])]
    assert send(labels={"walk": "yes"}, dedupKey=resolved) == []
    assert beyond(service, belongings) == before


def test_keys_are_not_managed_with_it(scoped: Caller) -> None:
    for case in walk.cases("mutation"):
        if "ApiKey" in case.field and case.slot is None:
            answer = scoped.ask(case).json()
            assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"], case


@FOLLOWERS
async def test_a_key_hears_nothing_beyond_its_matchers(
    follower: Follower, service: RunningService, belongings: Belongings, scoped: Caller
) -> None:
    alert_id = await asyncio.to_thread(fire, service, belongings.mark)
    await listen(follower, scoped, belongings, alert_id, lambda: do_everything(service, belongings.mark, alert_id))


def test_rest_and_alertmanager_know_nothing_beyond(
    service: RunningService, belongings: Belongings, scoped: Caller
) -> None:
    def ask(method: str, path: str, **more: Any) -> httpx2.Response:
        reply = scoped.client.request(method, path, **more)
        found = leaked(belongings, reply.text, [path, more])
        assert not found, f"{method} {path} told {found}: {reply.text}"
        return reply

    before = beyond(service, belongings)
    for each in belongings.ids:
        other = stranger(each)
        for method, path in (("GET", "{}"), ("PUT", "{}/escalate")):
            reply = ask(method, f"/api/v1/critical-alerts/{path.format(each)}")
            unknown = ask(method, f"/api/v1/critical-alerts/{path.format(other)}")
            assert reply.status_code == 404
            assert shape_of(reply, each) == shape_of(unknown, other)
    assert [alert["labels"] for alert in ask("GET", "/api/v2/alerts").json()] == [{"walk": "yes"}]
    for labels in (
        {"alertname": f"{belongings.mark} prom"},
        {f"{belongings.mark}_label": f"{belongings.mark}-value"},
    ):
        over = {"labels": labels, "startsAt": walk.YESTERDAY, "endsAt": walk.YESTERDAY}
        assert ask("POST", "/api/v2/alerts", json=[over]).status_code == 200
        assert ask("POST", "/api/v2/alerts", json=[{"labels": labels}]).status_code == 400
    assert beyond(service, belongings) == before


def test_what_an_alert_was_before_it_came_into_reach_stays_unknown(
    service: RunningService, scoped: Caller
) -> None:
    draft = {"title": "Kanarie", "severity": "LOW", "dedupKey": "moving", "labels": {"walk": "no"}}
    service.data(CREATE, {"input": draft})
    moved = {**draft, "title": "Moved", "labels": {"walk": "yes"}}
    alert_id = service.data(CREATE, {"input": moved})["createAlert"]["alert"]["id"]
    everything = '{ alerts(filter: {dedupKey: ["moving"]}) { nodes { events { nodes { id kind } } } } }'
    triggered, held, updated = service.data(everything)["alerts"]["nodes"][0]["events"]["nodes"]

    seen = service.data(everything, key=scoped.key)["alerts"]["nodes"][0]["events"]["nodes"]
    by_filter = service.data(
        "query Log($id: ID!) { events(filter: {alertIds: [$id]}) { nodes { id kind } } }",
        {"id": alert_id},
        key=scoped.key,
    )["events"]["nodes"]

    assert [event["kind"] for event in (triggered, held, updated)] == ["TRIGGERED", "HELD", "UPDATED"]
    for event in (triggered, held):
        assert service.data(ONE, {"id": event["id"]}, key=scoped.key) == {"node": None}
    assert service.data(ONE, {"id": updated["id"]}, key=scoped.key) != {"node": None}
    assert seen == by_filter == [updated]


def test_what_left_its_reach_is_gone(service: RunningService, scoped: Caller) -> None:
    draft = {"title": "Mine", "severity": "LOW", "dedupKey": "leaving", "labels": {"walk": "yes"}}
    alert_id = service.data(CREATE, {"input": draft}, key=scoped.key)["createAlert"]["alert"]["id"]
    service.data(CREATE, {"input": {**draft, "title": "Kanarie", "labels": {"walk": "no"}}})

    events = service.data("{ events(last: 2) { nodes { kind alert { title } } } }", key=scoped.key)

    assert service.data(ONE, {"id": alert_id}, key=scoped.key) == {"node": None}
    assert events["events"]["nodes"] == [{"kind": kind, "alert": None} for kind in ("TRIGGERED", "HELD")]
