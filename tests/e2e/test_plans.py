"""Plans on the whole service: they answer as graphql-core does on every transport, and can be switched off."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from tests.e2e.live import event_streams, until
from tests.e2e.test_cli import run
from tests.running import RunningService, new_tenant, served_in_thread
from tests.servers import DatabaseServers
from tests.sockets import opened

LIST = """query List($with: Boolean = false) { alerts(first: 10) {
  nodes { title severity triggeredAt labels escalationLevels { number } silencedBy { id }
    note: version @include(if: $with) }
  pageInfo { hasNextPage } } }"""
CREATE = 'mutation Create { createAlert(input: {title: "t", severity: LOW, dedupKey: "k"}) { alert { title } } }'
FOLLOW = "subscription Follow { alertEvents(filter: {kinds: [TRIGGERED]}) { number kind alert { title status } } }"

DEEP = "nodes { alert { events(first: $n) { nodes { number } } }"
DEAR = f"query Dear($n: Int!) {{ events(first: $n) {{ {DEEP} }} }} }}"
DEAR_FOLLOW = (
    f"""subscription DearFollow($n: Int!) {{ alertEvents {{ alert {{ events(first: $n) {{ {DEEP} }} }} }} }} }}"""
)


@pytest.fixture(params=["true", "false"], ids=["compiled", "switched off"])
def served(
    request: pytest.FixtureRequest, database_servers: DatabaseServers
) -> Iterator[tuple[bool, RunningService]]:
    with (
        database_servers.get("wheel").database(migrated=True) as url,
        served_in_thread(url, CRITICAL_ALERT_COMPILED_PLANS=request.param) as (address, environment),
    ):
        yield request.param == "true", new_tenant(address, environment, "acme")


def figures(service: RunningService) -> dict[str, float]:
    """Return what is told of plans: hits, compilations, and fallbacks by reason."""
    page = httpx2.get(f"{service.url}/metrics").text
    found = re.findall(r"^alertgraph_graphql_((?:plan|document)\S*) (\S+)$", page, re.M)
    return {name: float(value) for name, value in found}


async def answers(service: RunningService) -> list[Any]:
    """Return what is answered over HTTP, a websocket and an event stream."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            httpx2.AsyncClient(base_url=service.url, headers=service.headers())
        )
        socket = await stack.enter_async_context(opened(service.websocket_url, service.admin_key))
        streams = await stack.enter_async_context(event_streams(service, service.admin_key))
        await socket.subscribe(FOLLOW)
        heard = await streams.follow({"query": FOLLOW})
        # Both follow once each has heard of something; an alert is open only once.
        for number in range(200):
            create = CREATE.replace('"k"', f'"{number}"')
            assert (await client.post("/graphql", json={"query": create})).json()["data"]
            if heard.answers:
                break
            await asyncio.sleep(0.05)
        told = [(await socket.data())["kind"], heard.answers[0]["data"]["alertEvents"]["alert"]["title"]]
        lists: list[Any] = []
        for variables in ({}, {"with": True}, {"with": True}):
            request = {"query": LIST, "variables": variables}
            lists.append((await client.post("/graphql", json=request)).json()["data"])
            again = await stack.enter_async_context(opened(service.websocket_url, service.admin_key))
            await again.subscribe(LIST, variables)
            lists.append({"alerts": await again.data()})
            one = await streams.follow(request)
            await until(lambda one=one: bool(one.answers), "an answer on the event stream")  # type: ignore[misc]
            lists.append(one.answers[0]["data"])
        assert lists[0] == lists[1] == lists[2]
        assert lists[3] == lists[4] == lists[5] == lists[6] == lists[7] == lists[8]
        return [*told, [sorted(each) for each in (lists[0]["alerts"]["nodes"][0], lists[3]["alerts"]["nodes"][0])]]


async def test_they_answer_alike_on_every_transport_and_can_be_switched_off(
    served: tuple[bool, RunningService],
) -> None:
    is_compiled, service = served

    told = await answers(service)

    plain = ["escalationLevels", "labels", "severity", "silencedBy", "title", "triggeredAt"]
    assert told == ["TRIGGERED", "t", [plain, sorted([*plain, "note"])]]
    seen = figures(service)
    if is_compiled:
        # Each create is another document; of the others each is compiled once, the list once each way.
        assert seen["plan_hits_total"] >= 8
        assert seen["plan_compile_duration_seconds_count"] >= 4
        assert not [name for name in seen if "fallbacks" in name]
        assert seen["plans_kept"] > 0
        assert seen["plan_bytes"] > 0
    else:
        assert seen["plan_hits_total"] == seen["plan_compile_duration_seconds_count"] == seen["plans_kept"] == 0
        assert seen['plan_fallbacks_total{reason="switched_off"}'] >= 12
    assert seen["documents_kept"] > 0
    assert seen["document_bytes"] > 0


@pytest.fixture
def trusted(service: RunningService, tmp_path: Path) -> RunningService:
    """Return a service that has the dear documents registered."""
    manifest = {hashlib.sha256(text.encode()).hexdigest(): text for text in (DEAR, DEAR_FOLLOW)}
    file = tmp_path / "manifest.json"
    file.write_text(orjson.dumps(manifest).decode())
    imported = run(service.environment, "documents", "import", str(file), "--tenant", service.tenant)
    assert imported.exit_code == 0, imported.output
    return service


async def test_what_would_cost_too_much_never_runs_however_it_is_named(trusted: RunningService) -> None:
    service = trusted
    # What another process has imported is noticed within two seconds.
    await asyncio.sleep(2.1)

    def named(text: str, size: int) -> list[dict[str, Any]]:
        id_ = hashlib.sha256(text.encode()).hexdigest()
        more = {"variables": {"n": size}}
        return [
            {"query": text, **more},
            {"documentId": f"sha256:{id_}", **more},
            {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": id_}}, **more},
        ]

    async with (
        httpx2.AsyncClient(base_url=service.url, headers=service.headers()) as client,
        opened(service.websocket_url, service.admin_key) as socket,
        event_streams(service, service.admin_key) as streams,
    ):
        sources = httpx2.get(f"{service.url}/metrics").text
        for request in named(DEAR, 100):
            error = (await client.post("/graphql", json=request)).json()["errors"][0]
            assert error["extensions"]["code"] == "COST_EXCEEDED", request
        for request in named(DEAR, 3):
            answer = (await client.post("/graphql", json=request)).json()
            assert "errors" not in answer, request
        for at, request in enumerate([*named(DEAR, 100), *named(DEAR_FOLLOW, 100)]):
            await socket.say({"id": f"dear {at}", "type": "subscribe", "payload": request})
            message = await socket.hear()
            assert (message["type"], message["id"]) == ("error", f"dear {at}")
            assert message["payload"][0]["extensions"]["code"] == "COST_EXCEEDED"
            heard = await streams.follow(request)
            await until(lambda heard=heard: heard.is_over, "the end of a refused stream")  # type: ignore[misc]
            assert heard.codes == {"COST_EXCEEDED"}
        after = httpx2.get(f"{service.url}/metrics").text
    counted = re.compile(r"^alertgraph_stream_(?:sources|clients) .*$", re.M)
    assert counted.findall(after) == counted.findall(sources)


@pytest.mark.parametrize("size", [0, 101, 2**31 - 1])
def test_a_list_is_never_longer_than_it_may_be(service: RunningService, size: int) -> None:
    query = "query($n: Int!) { events(first: $n) { nodes { number } } }"

    answer = service.graphql(query, {"n": size})

    [error] = answer["errors"]
    assert error["extensions"]["code"] in ("BAD_REQUEST", "COST_EXCEEDED")
    assert not (answer.get("data") or {}).get("events")
