"""What a live client is promised: nothing missed, nothing twice, in order, and told when it can't be so."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
import orjson
import pytest

from alertgraph.core.cursor import decode_log_cursor
from alertgraph.edge.graphql import GraphQLWebSocket, SocketLimits
from alertgraph.services import streams
from tests.running import RunningService, new_tenant, served_in_thread
from tests.servers import DatabaseServers
from tests.sockets import BATCHES, ClosedError, Follower, Socket, opened
from tests.wire import CREATE, Wire, wire

ACT = """mutation Act($input: {type}!) {{
  {name}(input: $input) {{ changed errors {{ code message }} }}
}}"""
ACKNOWLEDGE = ACT.format(type="AcknowledgeAlertInput", name="acknowledgeAlert")
RESOLVE = ACT.format(type="AlertActionInput", name="resolveAlert")
OPEN = """{ alerts(filter: {status: [TRIGGERED, ACKNOWLEDGED]}, first: 100) {
  asOf nodes { id status } pageInfo { hasNextPage } } }"""
STATES = """subscription States($after: Cursor) { alertEventBatches(after: $after) {
  cursor events { number kind alert { id } } } }"""
EVENTS = """subscription Events($after: Cursor, $filter: EventFilter) {
  alertEvents(after: $after, filter: $filter) {
  id cursor number kind occurredAt summary actor { kind name } alert { id title } changes { field before after }
  detail } }"""
STATE_AFTER = {"TRIGGERED": "TRIGGERED", "ACKNOWLEDGED": "ACKNOWLEDGED", "UNACKNOWLEDGED": "TRIGGERED"}


async def end_of_log(connection: Wire) -> str:
    """Return the cursor of the log as it is now."""
    return str((await connection.graphql("{ events(first: 1) { asOf } }")).json()["data"]["events"]["asOf"])


def number_of(cursor: str) -> int:
    return decode_log_cursor(cursor).number


async def create(connection: Wire, **fields: Any) -> str:
    """Create an alert or repeat it; return its id."""
    draft = {"title": "t", "severity": "HIGH", **fields}
    answer = (await connection.graphql(CREATE, {"input": draft})).json()["data"]["createAlert"]
    assert answer["errors"] == []
    return str(answer["alert"]["id"])


async def act(connection: Wire, document: str, alert_id: str) -> None:
    reply = await connection.graphql(document, {"input": {"alertId": alert_id}})
    assert "errors" not in reply.json(), reply.json()


async def live_a_life(service: RunningService, seed: int, is_over: Callable[[], bool]) -> int:
    """Fire, repeat, acknowledge and resolve a few alerts at random; return how often."""
    dice = random.Random(seed)
    count = 0
    async with wire(service.url, service.admin_key) as connection:
        while not is_over():
            severity = dice.choice(["CRITICAL", "HIGH", "LOW"])
            labels = {"team": dice.choice(["db", "web"])}
            key = f"{seed}-{dice.randrange(8)}"
            alert_id = await create(connection, dedupKey=key, severity=severity, labels=labels)
            if dice.random() < 0.5:
                await act(connection, dice.choice([ACKNOWLEDGE, RESOLVE]), alert_id)
            count += 1
    return count


@asynccontextmanager
async def under_load(service: RunningService, writer_count: int = 4) -> AsyncIterator[list[int]]:
    """Write with several senders at once; what is yielded holds how much they wrote, at the end."""
    is_over = False
    written: list[int] = []
    writers = [
        asyncio.create_task(live_a_life(service, seed, lambda: is_over)) for seed in range(1, writer_count + 1)
    ]
    try:
        yield written
    finally:
        is_over = True
        written += await asyncio.gather(*writers)


@pytest.fixture
def superuser_url(database_servers: DatabaseServers, service: RunningService) -> str:
    return database_servers.get("wheel").superuser_url(service.database_url)


# ------------------------------------------------------------------------------- listed, then followed


async def list_and_follow(service: RunningService, delay: float) -> tuple[dict[str, str], list[int], int]:
    """List what is open, then keep the list by the stream until half a second was quiet.

    Returns:
        The list as it has become, the numbers of the events that came, and the number listed at.
    """
    await asyncio.sleep(delay)
    async with wire(service.url, service.admin_key) as connection:
        listed = (await connection.graphql(OPEN)).json()["data"]["alerts"]
    assert not listed["pageInfo"]["hasNextPage"]
    states = {alert["id"]: alert["status"] for alert in listed["nodes"]}
    numbers: list[int] = []
    # Whatever happens between the two requests must not get lost.
    await asyncio.sleep(0.1)
    async with opened(service.websocket_url, service.admin_key) as client:
        await client.subscribe(STATES, {"after": listed["asOf"]})
        quiet_since = time.monotonic()
        with suppress(TimeoutError):
            # Signs of life are no news, however often the server gives them.
            while (patience := quiet_since + 1.5 - time.monotonic()) > 0:
                batch = await client.data(patience)
                if batch["events"]:
                    quiet_since = time.monotonic()
                for event in batch["events"]:
                    numbers.append(event["number"])
                    if event["alert"] is None:
                        continue
                    alert_id = event["alert"]["id"]
                    if event["kind"] == "RESOLVED":
                        del states[alert_id]
                    elif event["kind"] in STATE_AFTER:
                        states[alert_id] = STATE_AFTER[event["kind"]]
    return states, numbers, number_of(listed["asOf"])


async def test_listed_then_followed_under_load_misses_nothing(service: RunningService) -> None:
    async with under_load(service) as written:
        clients = [asyncio.create_task(list_and_follow(service, 0.3 * index)) for index in range(6)]
        await asyncio.sleep(2.5)
    results = await asyncio.gather(*clients)

    async with wire(service.url, service.admin_key) as connection:
        listed = (await connection.graphql(OPEN)).json()["data"]["alerts"]
    last = number_of(listed["asOf"])
    assert sum(written) > 20
    assert len({as_of for _, _, as_of in results}) > 1, "they did not begin at different moments"
    for states, numbers, as_of in results:
        assert numbers == list(range(as_of + 1, last + 1))
        assert states == {alert["id"]: alert["status"] for alert in listed["nodes"]}


async def cut_at_random(follower: Follower, seed: int, is_over: Callable[[], bool]) -> None:
    dice = random.Random(seed)
    while not is_over():
        await asyncio.sleep(dice.uniform(0.05, 0.6))
        follower.cut()


async def test_sockets_that_are_cut_at_random_miss_nothing(service: RunningService) -> None:
    async with wire(service.url, service.admin_key) as connection:
        start = await end_of_log(connection)
        is_over = False
        async with AsyncExitStack() as stack:
            followers = [
                await stack.enter_async_context(Follower(service.websocket_url, service.admin_key, after=start))
                for _ in range(15)
            ]
            cutting = [
                asyncio.create_task(cut_at_random(follower, seed, lambda: is_over))
                for seed, follower in enumerate(followers)
            ]
            async with under_load(service, 2):
                await asyncio.sleep(2.5)
            is_over = True
            await asyncio.gather(*cutting)
            last = number_of(await end_of_log(connection))
            for follower in followers:
                await follower.until_number(last)
                assert follower.numbers == list(range(number_of(start) + 1, last + 1))
            assert min(follower.connects for follower in followers) > 2


async def test_a_replay_with_a_filter_is_what_the_live_stream_was(hasty: RunningService) -> None:
    filters: list[dict[str, Any] | None] = [
        None,
        {"severity": ["CRITICAL"]},
        {"kinds": ["RESOLVED", "ACKNOWLEDGED"]},
        {"matchers": [{"label": "team", "operator": "REGEX", "value": "d.*"}], "severity": ["HIGH", "LOW"]},
        {"actorKind": ["PERSON"]},
    ]
    async with wire(hasty.url, hasty.admin_key) as connection:
        start = await end_of_log(connection)
    async with AsyncExitStack() as stack:

        async def follow_all() -> list[Follower]:
            each = [
                Follower(hasty.websocket_url, hasty.admin_key, after=start, filter=wanted) for wanted in filters
            ]
            for follower in each:
                await stack.enter_async_context(follower)
                await follower.until(lambda follower=follower: follower.connects > 0)  # type: ignore[misc]
            return each

        live = await follow_all()
        async with under_load(hasty, 2):
            await asyncio.sleep(1.0)
        async with wire(hasty.url, hasty.admin_key) as connection:
            last = number_of(await end_of_log(connection))
        replays = await follow_all()
        for follower in (*live, *replays):
            await follower.until(lambda follower=follower: number_of(follower.cursor) >= last)  # type: ignore[misc]

        assert live[0].numbers == list(range(number_of(start) + 1, last + 1))
        assert [follower.numbers for follower in replays] == [follower.numbers for follower in live]
        assert all(0 < len(follower.numbers) < len(live[0].numbers) for follower in live[1:-1])
        assert live[-1].numbers == []


async def test_a_websocket_and_an_event_stream_say_the_same(service: RunningService) -> None:
    async with wire(service.url, service.admin_key) as connection:
        start = await end_of_log(connection)
        variables = {"after": start, "filter": {"kinds": ["TRIGGERED", "RESOLVED"]}}
        for number in range(20):
            await create(connection, dedupKey=str(number % 7), labels={"n": str(number % 3)})
        async with opened(service.websocket_url, service.admin_key) as client:
            await client.subscribe(EVENTS, variables)
            heard = asyncio.create_task(events_of(client, 14))
            streamed = asyncio.create_task(asyncio.to_thread(streamed_events, service, variables, 14))
            await asyncio.sleep(0.2)
            for number in range(7):
                await act(connection, RESOLVE, await create(connection, dedupKey=str(number)))
            by_socket, by_stream = await heard, await streamed

    assert [event["kind"] for event in by_socket] == ["TRIGGERED"] * 7 + ["RESOLVED"] * 7
    # The alert of an event is as it is when it is told: only what the event itself says must be the same.
    assert by_socket == by_stream


async def events_of(client: Socket, count: int) -> list[dict[str, Any]]:
    return [await client.data() for _ in range(count)]


def streamed_events(service: RunningService, variables: dict[str, Any], count: int) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    headers = {**service.headers(), "Accept": "text/event-stream"}
    body = {"query": EVENTS, "variables": variables}
    with httpx2.stream("POST", f"{service.url}/graphql/stream", json=body, headers=headers, timeout=15) as reply:
        for line in reply.iter_lines():
            if line.startswith("data: {"):
                events.append(orjson.loads(line[6:])["data"]["alertEvents"])
                if len(events) == count:
                    break
    return events


async def test_live_is_said_of_what_is_live(service: RunningService) -> None:
    async with wire(service.url, service.admin_key) as connection:
        start = await end_of_log(connection)
        # Each is triggered, and held since there is no rule.
        drafts = [{"title": "t", "severity": "LOW", "dedupKey": str(number)} for number in range(125)]
        await connection.post("/api/v1/critical-alerts/bulk", drafts)
        async with Follower(service.websocket_url, service.admin_key, after=start) as follower:
            await follower.until(lambda: len(follower.numbers) == 250)
            assert follower.lives == [False, False, True]
            await create(connection)
            await follower.until(lambda: len(follower.numbers) == 252)
            assert follower.lives == [False, False, True, True]


# ------------------------------------------------------------------------------------------ together


def figure(service: RunningService, name: str) -> float:
    page = httpx2.get(f"{service.url}/metrics").text
    return next(float(line.split()[1]) for line in page.splitlines() if line.startswith(f"{name} "))


async def test_equal_subscriptions_are_executed_once_for_all_who_may_see_the_same(
    service: RunningService,
) -> None:
    make = """mutation Make($input: ApiKeyInput!) {
      createApiKey(input: $input) { secret errors { message } } }"""
    mine = "alertEvents(filter: {kinds: [TRIGGERED]}) { number alert { title } }"
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(wire(service.url, service.admin_key))
        scope = [{"label": "team", "operator": "EQUAL", "value": "a"}]
        secrets = {}
        for name, fields in (("one", {}), ("two", {}), ("scoped", {"matchers": scope})):
            made = await connection.graphql(make, {"input": {"name": name, "role": "VIEWER", **fields}})
            secrets[name] = made.json()["data"]["createApiKey"]["secret"]

        async def subscribed(name: str, query: str) -> Socket:
            client = await stack.enter_async_context(opened(service.websocket_url, secrets[name]))
            await client.subscribe(query)
            return client

        equal = [await subscribed(name, f"subscription {{ {mine} }}") for name in ("one", "two") * 10]
        scoped = await subscribed("scoped", f"subscription {{ {mine} }}")
        other = await subscribed("one", f"subscription Other {{ {mine} }}")
        for _ in range(200):
            if (figure(service, "alertgraph_stream_clients"), figure(service, "alertgraph_stream_sources")) == (
                22,
                3,
            ):
                break
            await asyncio.sleep(0.05)
        names = ("alertgraph_stream_executions_total", "alertgraph_stream_shared_answers_total")
        before = [figure(service, name) for name in names]
        for title, team in (("for all", "a"), ("not for all", "b")):
            await create(connection, title=title, labels={"team": team})

        for client in (*equal, other):
            told = [(await client.data())["alert"]["title"] for _ in range(2)]
            assert told == ["for all", "not for all"]
        assert (await scoped.data())["alert"]["title"] == "for all"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(scoped.data(), 0.5)
        executed, answered = [figure(service, name) - then for name, then in zip(names, before, strict=True)]
        assert (executed, answered) == (2 + 2 + 1, 2 * 20 + 2 + 1)


# ---------------------------------------------------------------------------------- cursors that end


async def refused_code(service: RunningService, after: str) -> str:
    async with opened(service.websocket_url, service.admin_key) as client:
        id_ = await client.subscribe(BATCHES, {"after": after})
        message = await client.hear()
        assert (message["type"], message["id"]) == ("error", id_)
        # The socket lives on.
        await client.subscribe("{ viewer { tenant { slug } } }")
        assert (await client.data())["tenant"]["slug"] == service.tenant
        return str(message["payload"][0]["extensions"]["code"])


async def test_a_cursor_of_another_log_is_refused(service: RunningService) -> None:
    async with wire(service.url, service.admin_key) as connection:
        await create(connection)
        cursor = decode_log_cursor(await end_of_log(connection))
    for other in (
        replace(cursor, log_epoch=cursor.log_epoch + 1),
        replace(cursor, number=cursor.number + 1),
        replace(cursor, hash_start=bytes(byte ^ 1 for byte in cursor.hash_start)),
        replace(cursor, recorded_at=cursor.recorded_at + timedelta(microseconds=1)),
    ):
        assert await refused_code(service, other.encode()) == "CURSOR_EXPIRED"
    assert await refused_code(service, "bm9uc2Vuc2U") == "BAD_REQUEST"


async def test_a_cursor_that_retention_has_passed_is_told_so(service: RunningService, superuser_url: str) -> None:
    async with wire(service.url, service.admin_key) as connection:
        start = await end_of_log(connection)
        for number in range(5):
            await create(connection, dedupKey=str(number))
        listed = (await connection.graphql("{ events { nodes { number cursor } } }")).json()["data"]
    events = listed["events"]["nodes"]
    third = events[-3]
    database = await asyncpg.connect(superuser_url, server_settings={"search_path": "alertgraph"})
    try:
        # What retention does, of whole flushes.
        await database.execute(
            """
            WITH tenant AS (SELECT tenant_id FROM tenant WHERE slug = $1),
                last AS (SELECT e.* FROM event e JOIN tenant USING (tenant_id) WHERE number = $2),
                moved AS (UPDATE tenant_head h SET pruned_number = last.number, pruned_link = last.link
                    FROM last WHERE h.tenant_id = last.tenant_id)
            DELETE FROM event USING last WHERE event.tenant_id = last.tenant_id AND event.number <= last.number
            """,
            service.tenant,
            third["number"],
        )
    finally:
        await database.close()

    assert await refused_code(service, start) == "CURSOR_EXPIRED"
    assert await refused_code(service, events[-4]["cursor"]) == "CURSOR_EXPIRED"
    # Right behind what is gone nothing is missing.
    async with Follower(service.websocket_url, service.admin_key, after=third["cursor"]) as follower:
        await follower.until(lambda: len(follower.numbers) == 2)
        assert follower.numbers == [third["number"] + 1, third["number"] + 2]


# ------------------------------------------------------------------------------- a less patient server


@pytest.fixture(scope="module")
def impatient(database_servers: DatabaseServers) -> Iterator[tuple[str, dict[str, str]]]:
    """An alertgraph that waits a second where others wait ten."""
    second = timedelta(seconds=1)
    limits = SocketLimits(send_timeout=second, close_timeout=5 * second, check_interval=second / 4)
    with pytest.MonkeyPatch.context() as patch, database_servers.get("wheel").database(migrated=True) as url:
        patch.setattr("alertgraph.edge.service.GraphQLWebSocket", partial(GraphQLWebSocket, limits=limits))
        patch.setattr(streams, "SIGN_OF_LIFE_AFTER", second / 2)
        patch.setattr(streams, "BEAT_EVERY", second / 4)
        with served_in_thread(url) as running:
            yield running


@pytest.fixture
def hasty(impatient: tuple[str, dict[str, str]]) -> RunningService:
    """A tenant of its own on the impatient one."""
    return new_tenant(*impatient, f"t-{uuid4().hex[:12]}")


async def test_a_quiet_filter_keeps_its_cursor_fresh(hasty: RunningService) -> None:
    quiet = {"kinds": ["ESCALATED"]}
    async with (
        wire(hasty.url, hasty.admin_key) as connection,
        Follower(hasty.websocket_url, hasty.admin_key, filter=quiet) as follower,
    ):
        await follower.until(lambda: len(follower.lives) >= 1)
        for number in range(10):
            await create(connection, dedupKey=str(number))
        last = number_of(await end_of_log(connection))
        await follower.until(lambda: follower.cursor is not None and number_of(follower.cursor) == last)

        assert follower.numbers == []
        assert set(follower.lives) == {True}


async def slow_socket(service: RunningService) -> tuple[Any, Socket]:
    """Log in through a small receive buffer, which fills at once when nobody reads."""
    host, port = service.url.removeprefix("http://").split(":")
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    narrow.connect((host, int(port)))
    narrow.setblocking(False)
    manager = opened(service.websocket_url, service.admin_key, sock=narrow, max_queue=1)
    return manager, await manager.__aenter__()


async def test_who_reads_too_slowly_is_told_where_to_go_on_and_holds_up_nobody(hasty: RunningService) -> None:
    detailed = """subscription Detailed($after: Cursor) {
      alertEventBatches(after: $after) { cursor events { number detail } } }"""
    count = 300
    async with wire(hasty.url, hasty.admin_key) as connection:
        start = await end_of_log(connection)
        manager, slow = await slow_socket(hasty)
        await slow.subscribe(detailed, {"after": start})
        async with Follower(hasty.websocket_url, hasty.admin_key, after=start) as quick:
            sent_at = []
            for number in range(count):
                # More than all buffers between the two can hold, in total.
                bulk = {"text": "x" * 60_000}
                sent_at.append(time.monotonic())
                await create(connection, dedupKey=str(number), annotations=bulk)
            # Each is triggered, and held since there is no rule.
            await quick.until(lambda: len(quick.numbers) == 2 * count)
            delays = sorted(heard - sent for heard, sent in zip(quick.heard_at[::2], sent_at, strict=True))
            # Nobody has waited for the second that the slow one was given.
            assert delays[count // 2] < 0.3
            assert delays[-1] < 5

        await asyncio.sleep(1.5)
        seen: list[int] = []
        cursor = start
        closed: ClosedError | None = None
        while closed is None:
            try:
                batch = await slow.data()
            except ClosedError as error:
                closed = error
            else:
                seen += [event["number"] for event in batch["events"]]
                cursor = batch["cursor"]
        await manager.__aexit__(None, None, None)
        assert (closed.code, closed.reason) == (4410, f"slow consumer; resume after {cursor}")
        first = number_of(start) + 1
        assert seen == list(range(first, first + len(seen)))
        assert len(seen) < 2 * count, "nothing was held back"

        async with Follower(hasty.websocket_url, hasty.admin_key, after=cursor) as follower:
            await follower.until(lambda: len(seen) + len(follower.numbers) >= 2 * count)
            assert seen + follower.numbers == list(range(first, first + 2 * count))


async def test_a_key_that_ends_ends_its_open_sockets(hasty: RunningService) -> None:
    make = """mutation Make($input: ApiKeyInput!) {
      createApiKey(input: $input) { secret apiKey { id } errors { message } } }"""
    async with wire(hasty.url, hasty.admin_key) as connection:
        expires_at = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
        made = [
            (await connection.graphql(make, {"input": {"name": "k", "role": "VIEWER", **fields}})).json()["data"]
            for fields in ({}, {"expiresAt": expires_at}, {})
        ]
        keys = [each["createApiKey"] for each in made]
        async with (
            opened(hasty.websocket_url, keys[0]["secret"]) as revoked,
            opened(hasty.websocket_url, keys[1]["secret"]) as expiring,
            opened(hasty.websocket_url, keys[2]["secret"]) as lasting,
        ):
            for client in (revoked, expiring, lasting):
                await client.subscribe(BATCHES)
            await connection.graphql(
                "mutation End($input: DeleteInput!) { revokeApiKey(input: $input) { deletedId errors { code } } }",
                {"input": {"id": keys[0]["apiKey"]["id"]}},
            )
            assert (await revoked.closed(patience=2)).code == 4403
            assert (await expiring.closed(patience=5)).code == 4411
            await create(connection)
            while not (await lasting.data())["events"]:
                pass
        with pytest.raises(ClosedError, match="4403"):
            async with opened(hasty.websocket_url, keys[0]["secret"]):
                pass


async def test_figures_follow_what_happens(hasty: RunningService) -> None:
    live = """subscription { alertMetrics(window: "PT1H", every: "PT1S") {
      createdCount acknowledgedCount resolvedCount openCount openBySeverity { severity count } } }"""
    async with (
        wire(hasty.url, hasty.admin_key) as connection,
        opened(hasty.websocket_url, hasty.admin_key) as client,
    ):
        await client.subscribe(live)
        told = [(time.monotonic(), await client.data())]
        counts = ["createdCount", "acknowledgedCount", "resolvedCount", "openCount"]

        async def told_next() -> list[int]:
            figures = await client.data()
            told.append((time.monotonic(), figures))
            return [figures[name] for name in counts]

        assert [told[0][1][name] for name in counts] == [0, 0, 0, 0]
        ids = [await create(connection, dedupKey=str(number)) for number in range(20)]
        while (figures := await told_next()) != [20, 0, 0, 20]:
            assert figures[0] < 20
        await act(connection, ACKNOWLEDGE, ids[0])
        assert await told_next() == [20, 1, 0, 20]
        await act(connection, RESOLVE, ids[0])
        assert await told_next() == [20, 1, 1, 19]
        by_severity = {each["severity"]: each["count"] for each in told[-1][1]["openBySeverity"]}
        assert by_severity == {"CRITICAL": 0, "HIGH": 19, "MEDIUM": 0, "LOW": 0, "INFO": 0}
        gaps = [later - earlier for (earlier, _), (later, _) in pairwise(told)]
        assert min(gaps) > 0.5


async def test_figures_are_made_once_for_all_who_watch_the_same(hasty: RunningService) -> None:
    live = 'subscription { alertMetrics(window: "PT1H", every: "PT1S") { createdCount openCount } }'
    other = live.replace("PT1H", "PT2H")
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(wire(hasty.url, hasty.admin_key))
        clients = [await stack.enter_async_context(opened(hasty.websocket_url, hasty.admin_key)) for _ in range(6)]
        for client in clients:
            await client.subscribe(other if client is clients[-1] else live)
            assert await client.data() == {"createdCount": 0, "openCount": 0}
        deadline = time.monotonic() + 5
        # Whoever has waited for a turn has joined the others, and gave its own reading up.
        while [figure(hasty, f"alertgraph_stream_{name}") for name in ("groups", "sources")] != [2, 2]:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        names = ("alertgraph_stream_executions_total", "alertgraph_stream_shared_answers_total")
        executed, shared = (figure(hasty, name) for name in names)

        await create(connection)
        for client in clients:
            assert await client.data() == {"createdCount": 1, "openCount": 1}

        assert [figure(hasty, name) for name in names] == [executed + 2, shared + 6]
