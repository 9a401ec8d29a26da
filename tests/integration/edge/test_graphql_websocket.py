"""graphql-transport-ws on a real server: operations fail alone, faults close with a code, nothing crashes."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

from alertgraph.edge.graphql import SocketLimits, Validity
from alertgraph.edge.graphql.uvicorn_room import UNREAD_SIZE_MAX
from alertgraph.edge.graphql.uvicorn_socket import CleanWebSocketProtocol
from alertgraph.edge.graphql.websocket import CloseSocket, _is_same_host
from tests.conformance.toy_app import GOOD, Running, ToyApp, served, toy_app

PROTOCOL = Subprotocol("graphql-transport-ws")
INIT = {"type": "connection_init", "payload": {"authorization": GOOD}}
ACK = {"type": "connection_ack"}


@contextmanager
def toy(caplog: pytest.LogCaptureFixture, app: ToyApp | None = None, **options: Any) -> Iterator[Running]:
    """Serve a toy, and see to it that nothing was logged as an error."""
    with caplog.at_level(logging.WARNING), served(app or toy_app(), **options) as running:
        yield running
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.fixture
def running(caplog: pytest.LogCaptureFixture) -> Iterator[Running]:
    with toy(caplog) as running:
        yield running


def limits(**options: Any) -> ToyApp:
    return toy_app(socket_limits=SocketLimits(**options))


@asynccontextmanager
async def raw(running: Running, **options: Any) -> AsyncIterator[ClientConnection]:
    options.setdefault("subprotocols", [PROTOCOL])
    async with connect(running.ws_url, compression=None, close_timeout=1, **options) as ws:
        yield ws


@asynccontextmanager
async def opened(running: Running, **options: Any) -> AsyncIterator[ClientConnection]:
    async with raw(running, **options) as ws:
        await say(ws, INIT)
        assert await hear(ws) == ACK
        yield ws


async def say(ws: ClientConnection, *messages: object) -> None:
    for message in messages:
        await ws.send(message if isinstance(message, str | bytes) else orjson.dumps(message).decode())


async def hear(ws: ClientConnection) -> Any:
    text = await asyncio.wait_for(ws.recv(), 5)
    assert isinstance(text, str), "only text frames"
    return orjson.loads(text)


async def closed(ws: ClientConnection) -> tuple[int, str]:
    """Read until the server closes; return its code and reason."""

    async def read() -> None:
        while True:
            await asyncio.wait_for(ws.recv(), 5)

    with pytest.raises(ConnectionClosed) as error:
        await read()
    assert error.value.rcvd is not None, "the server vanished without a close frame"
    return error.value.rcvd.code, error.value.rcvd.reason


def subscribe(id_: object, query: object, **more: object) -> dict[str, object]:
    return {"id": id_, "type": "subscribe", "payload": {"query": query, **more}}


async def result(ws: ClientConnection, query: str, id_: str = "q", **more: object) -> Any:
    await say(ws, subscribe(id_, query, **more))
    message = await hear(ws)
    assert (message["id"], message["type"]) == (id_, "next"), message
    assert await hear(ws) == {"id": id_, "type": "complete"}
    return message["payload"]


async def eventually(condition: Any) -> None:
    for _ in range(250):
        if condition():
            return
        await asyncio.sleep(0.02)
    pytest.fail("it did not come about")


async def test_queries_mutations_and_subscriptions(running: Running) -> None:
    async with opened(running) as ws:
        answer = await result(ws, "query A($n:String){hello(name:$n)}", variables={"n": "x"}, operationName="A")
        assert answer["data"] == {"hello": "hi x"}
        assert answer["extensions"]["cost"]["requestedQueryCost"] == 1
        assert (await result(ws, "mutation{bump}"))["data"] == {"bump": 1}
        await say(ws, subscribe("s", "subscription{count(to:3)}"))
        assert [(await hear(ws))["payload"]["data"]["count"] for _ in range(3)] == [0, 1, 2]
        assert await hear(ws) == {"id": "s", "type": "complete"}
        # The id is free again at once.
        assert (await result(ws, "{hello}", "s"))["data"]
    await eventually(lambda: running.app.observer.closes == [1000])
    assert [report.type for report in running.app.observer.reports] == [
        "query",
        "mutation",
        "subscription",
        "query",
    ]
    assert running.app.observer.reports[2].answer_count == 3
    assert running.app.service.connections.operation_count == 0
    assert not running.app.service.connections.sockets
    assert running.app.world.opened == running.app.world.closed


async def test_each_event_and_each_operation_has_a_context_of_its_own(running: Running) -> None:
    async with opened(running) as ws:
        first = (await result(ws, "{contextNumber}"))["data"]["contextNumber"]
        await say(ws, subscribe("s", "subscription{contextNumbers{context}}"))
        events = [(await hear(ws))["payload"]["data"]["contextNumbers"]["context"] for _ in range(3)]
    assert len({first, *events}) == 4


@pytest.mark.parametrize(
    ("payload", "code", "named"),
    [
        ({"query": "{"}, "PARSE_FAILED", "Syntax Error"),
        ({"query": "{nope}"}, "VALIDATION_FAILED", "nope"),
        ({"query": 5}, "BAD_REQUEST", "`query` must be text"),
        ({}, "BAD_REQUEST", "`query` is missing"),
        ({"query": "{hello}", "variables": "x"}, "BAD_REQUEST", "`variables`"),
        ({"query": "{hello}", "operationName": 1}, "BAD_REQUEST", "`operationName`"),
        ({"query": "query A{hello} query B{hello}"}, "BAD_REQUEST", "several operations"),
        ({"query": "query($n:Int!){span(count:$n)}"}, "VALIDATION_FAILED", "'$n'"),
        ({"query": "{items(first:100){nodes{items(first:100){nodes{number}}}}}"}, "COST_EXCEEDED", "points"),
        ({"query": "subscription{endsBadly(after:0){number}}"}, "CURSOR_EXPIRED", "gone"),
        (
            {"query": 'subscription{endsBadly(after:0,code:"INTERNAL"){number}}'},
            "INTERNAL",
            "quote the request id",
        ),
        ({"query": "subscription{nope}"}, "VALIDATION_FAILED", "nope"),
    ],
)
async def test_a_wrong_operation_is_an_error_message_and_the_socket_lives_on(
    running: Running, payload: dict[str, object], code: str, named: str
) -> None:
    async with opened(running) as ws:
        await say(ws, subscribe("other", "subscription{silent}"))
        await say(ws, {"id": "x", "type": "subscribe", "payload": payload})
        message = await hear(ws)
        assert (message["id"], message["type"]) == ("x", "error")
        assert message["payload"][0]["extensions"]["code"] == code
        assert message["payload"][0]["extensions"]["requestId"]
        assert named in message["payload"][0]["message"]
        assert (await result(ws, "{hello}", "x"))["data"]
        assert running.app.service.connections.operation_count == 1  # the other one


async def test_a_field_that_fails_is_part_of_the_result(running: Running) -> None:
    async with opened(running) as ws:
        answer = await result(ws, "{hello boom}")
    assert answer["data"] == {"hello": "hi world", "boom": None}
    assert "secret" not in str(answer)


async def test_a_source_that_crashes_in_the_middle_says_so_and_no_more(running: Running) -> None:
    async with opened(running) as ws:
        await say(ws, subscribe("s", "subscription{crashes}"))
        assert (await hear(ws))["type"] == "next"
        message = await hear(ws)
        assert message["type"] == "error"
        assert message["payload"][0]["message"] == "Internal error; quote the request id."
        assert (await result(ws, "{hello}"))["data"]


async def test_complete_ends_a_subscription_and_frees_its_id(running: Running) -> None:
    async with opened(running) as ws:
        await say(ws, subscribe("s", "subscription{silent}"), {"id": "s", "type": "complete"})
        await say(ws, subscribe("s", "{hello}"))
        assert (await hear(ws))["payload"]["data"] == {"hello": "hi world"}
        await say(ws, {"id": "unknown", "type": "complete"})
        await eventually(lambda: running.app.service.connections.operation_count == 0)
        assert (await hear(ws))["type"] == "complete"


async def test_leaving_ends_subscriptions(running: Running) -> None:
    async with opened(running) as ws:
        await say(ws, subscribe("s", "subscription{forever}"), subscribe("t", "subscription{silent}"))
        await hear(ws)
        await eventually(lambda: running.app.service.connections.operation_count == 2)
    await eventually(lambda: running.app.world.sources_closed == 2)
    await eventually(lambda: running.app.service.connections.operation_count == 0)
    assert running.app.world.opened == running.app.world.closed


async def test_a_mutation_is_carried_out_though_the_client_left(running: Running) -> None:
    async with opened(running) as ws:
        await say(ws, subscribe("m", "mutation{slowBump}"))
        await eventually(lambda: running.app.service.connections.operation_count == 1)
    running.loop.call_soon_threadsafe(running.app.world.bump_may_finish.set)
    await eventually(lambda: running.app.world.bumps == 1)


async def test_a_mutation_is_carried_out_though_the_client_completed_it(running: Running) -> None:
    async with opened(running) as ws:
        await say(ws, subscribe("m", "mutation{slowBump}"))
        await eventually(lambda: running.app.service.connections.operation_count == 1)
        await say(ws, {"id": "m", "type": "complete"})
        running.loop.call_soon_threadsafe(running.app.world.bump_may_finish.set)
        await eventually(lambda: running.app.world.bumps == 1)
        assert (await result(ws, "{hello}", "m"))["data"], "nothing was said of the mutation"


@pytest.mark.parametrize(
    ("messages", "code", "reason"),
    [
        (["{nope"], 4400, "Messages must be JSON"),
        ([""], 4400, "Messages must be JSON"),
        (["[]"], 4400, "Messages must be JSON objects"),
        (["null"], 4400, "Messages must be JSON objects"),
        (["5"], 4400, "Messages must be JSON objects"),
        (['"x"'], 4400, "Messages must be JSON objects"),
        (["[" * 60_000], 4400, "Messages must be JSON"),
        (['{"type":"\\ud800"}'], 4400, "Messages must be JSON"),
        ([b"\x01\x02"], 4400, "Messages must be text, not binary"),
        (["{}"], 4400, "The type of a message must be text"),
        ([{"type": 5}], 4400, "The type of a message must be text"),
        ([{"type": "start"}], 4400, "Unknown message type 'start'"),
        ([{"type": "x" * 1_000}], 4400, f"Unknown message type '{'x' * 60}'"),
        ([{"type": "é" * 1_000}], 4400, f"Unknown message type '{'é' * 50}"),
        ([{"type": "connection_ack"}], 4400, "Unknown message type 'connection_ack'"),
        ([INIT, INIT], 4429, "Too many initialisation requests"),
        ([subscribe("1", "{hello}")], 4401, "Unauthorized"),
        ([{"type": "connection_init"}], 4403, "Forbidden"),
        ([{"type": "connection_init", "payload": {"authorization": "Bearer bad"}}], 4403, "Forbidden"),
        ([{"type": "connection_init", "payload": {"authorization": "Bearer forbidden"}}], 4403, "Forbidden"),
        ([{"type": "connection_init", "payload": {"authorization": 5}}], 4400, "authorization must be text"),
        ([{"type": "connection_init", "payload": "x"}], 4400, "The payload of a message must be an object"),
        ([{"type": "ping", "payload": []}], 4400, "The payload of a message must be an object"),
        ([{"type": "pong", "payload": 5}], 4400, "The payload of a message must be an object"),
        ([INIT, {"type": "subscribe", "id": "1"}], 4400, "A subscribe message needs a payload, an object"),
        (
            [INIT, {"type": "subscribe", "id": "1", "payload": []}],
            4400,
            "A subscribe message needs a payload, an object",
        ),
        ([INIT, subscribe({}, "{hello}")], 4400, "The id of a message must be text, and not empty"),
        ([INIT, subscribe(1, "{hello}")], 4400, "The id of a message must be text, and not empty"),
        ([INIT, subscribe(None, "{hello}")], 4400, "The id of a message must be text, and not empty"),
        ([INIT, subscribe("", "{hello}")], 4400, "The id of a message must be text, and not empty"),
        (
            [INIT, subscribe("x" * 129, "{hello}")],
            4400,
            "The id of a message must not have more than 128 characters",
        ),
        ([INIT, {"type": "complete"}], 4400, "The id of a message must be text, and not empty"),
        (
            [INIT, subscribe("a", "subscription{silent}"), subscribe("a", "{hello}")],
            4409,
            "Subscriber for a already exists",
        ),
        ([INIT, subscribe("1", "{hello}" + " " * 65_536)], 1009, "Messages must not have more than 65536 bytes"),
        (
            [INIT, subscribe("1", "{hello}" + " " * 1_000_000)],
            1009,
            "Messages must not have more than 65536 bytes",
        ),
    ],
)
async def test_a_client_that_breaks_the_protocol_is_closed(
    running: Running, messages: list[object], code: int, reason: str
) -> None:
    async with raw(running) as ws:
        await say(ws, *messages)
        assert await closed(ws) == (code, reason)
    await eventually(lambda: running.app.observer.closes == [code])
    assert not running.app.service.connections.sockets


async def test_the_size_of_a_message_is_exact(running: Running) -> None:
    async with opened(running) as ws:
        message = orjson.dumps(subscribe("1", "{hello}"))
        padded = message[:-1] + b" " * (65_536 - len(message)) + b"}"
        await say(ws, padded.decode())
        assert (await hear(ws))["type"] == "next"
        await say(ws, padded.decode() + " ")
        assert (await closed(ws))[0] == 1009


async def test_where_nobody_can_be_let_in_the_client_may_try_again(running: Running) -> None:
    for key, code in (("away", "UNAVAILABLE"), ("crash", "INTERNAL")):
        async with raw(running) as ws:
            await say(ws, {"type": "connection_init", "payload": {"authorization": f"Bearer {key}"}})
            closing = await closed(ws)
        assert closing[0] == 1013
        assert closing[1].startswith(f"{code}; try again; request id ")
    assert [str(error) for error, _ in running.app.reported] == ["secret of authenticate"]


async def test_the_handshake_may_carry_the_credentials(running: Running) -> None:
    for init in ({"type": "connection_init"}, {"type": "connection_init", "payload": None}):
        async with raw(running, additional_headers={"Authorization": GOOD}) as ws:
            await say(ws, init)
            assert await hear(ws) == ACK
    # What is said in connection_init is the newer.
    async with raw(running, additional_headers={"Authorization": GOOD}) as ws:
        await say(ws, {"type": "connection_init", "payload": {"Authorization": "Bearer bad"}})
        assert (await closed(ws))[0] == 4403


@pytest.mark.parametrize("offered", [["graphql-ws"], ["foo", "bar"], None])
async def test_another_subprotocol_is_told_4406(running: Running, offered: list[str] | None) -> None:
    async with raw(running, subprotocols=offered) as ws:
        assert await closed(ws) == (4406, "Subprotocol not acceptable; use graphql-transport-ws")


async def test_ours_is_chosen_among_several(running: Running) -> None:
    async with opened(running, subprotocols=["graphql-ws", PROTOCOL]) as ws:
        assert ws.subprotocol == PROTOCOL


async def test_a_client_that_says_nothing_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    with toy(caplog, limits(init_timeout=timedelta(milliseconds=200))) as running:
        async with raw(running) as ws:
            assert await closed(ws) == (4408, "Connection initialisation timeout")
        # Pings do not put it off.
        async with raw(running) as ws:

            async def pinging() -> None:
                while True:
                    await say(ws, {"type": "ping"})
                    await asyncio.sleep(0.05)

            task = asyncio.create_task(pinging())
            assert (await closed(ws))[0] == 4408
            task.cancel()
            await asyncio.wait([task])


async def test_ping_is_answered_with_its_payload(running: Running) -> None:
    deep: Any = {}
    for _ in range(900):
        deep = {"a": deep}
    async with raw(running) as ws:
        await say(ws, {"type": "ping"})
        assert await hear(ws) == {"type": "pong"}
        await say(ws, {"type": "ping", "payload": {"a": 1}})
        assert await hear(ws) == {"type": "pong", "payload": {"a": 1}}
        await say(ws, '{"type":"ping","payload":' + '{"a":' * 900 + "1" + "}" * 901)
        assert await hear(ws) == {"type": "pong"}
        await say(ws, {"type": "pong"}, {"type": "pong", "payload": {}}, {"type": "ping", "payload": None})
        assert await hear(ws) == {"type": "pong"}


async def test_the_server_asks_for_signs_of_life(caplog: pytest.LogCaptureFixture) -> None:
    with toy(caplog, limits(ping_interval=timedelta(milliseconds=100))) as running:
        async with opened(running) as ws:
            for _ in range(4):
                assert await hear(ws) == {"type": "ping"}
                await say(ws, {"type": "pong"})
            # Then the client is silent.
            assert await closed(ws) == (4413, "no sign of life")


async def test_more_operations_than_a_socket_carries_are_refused_alone(caplog: pytest.LogCaptureFixture) -> None:
    with toy(caplog, limits(operation_count_max=3)) as running:
        async with opened(running) as ws:
            await say(ws, *(subscribe(str(n), "subscription{silent}") for n in range(4)))
            message = await hear(ws)
            assert (message["id"], message["type"]) == ("3", "error")
            assert message["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
            await say(ws, {"id": "0", "type": "complete"})
            assert (await result(ws, "{hello}"))["data"]


async def test_100_operations_at_a_time(running: Running) -> None:
    async with opened(running) as ws:
        await say(ws, *(subscribe(str(n), "subscription{count(to:2)}") for n in range(100)))
        messages = [await hear(ws) for _ in range(300)]
    assert sum(message["type"] == "complete" for message in messages) == 100
    assert sum(message["type"] == "next" for message in messages) == 200


@pytest.mark.parametrize(
    ("validity", "code", "reason"),
    [(Validity.REVOKED, 4403, "Forbidden"), (Validity.EXPIRED, 4411, "token expired")],
)
async def test_credentials_that_end_close_the_socket(
    caplog: pytest.LogCaptureFixture, validity: Validity, code: int, reason: str
) -> None:
    with toy(caplog, limits(check_interval=timedelta(milliseconds=100))) as running:
        async with opened(running) as ws:
            await say(ws, subscribe("s", "subscription{silent}"))
            await eventually(lambda: running.app.service.connections.operation_count == 1)
            running.app.operations.validity = validity
            assert await closed(ws) == (code, reason)
        await eventually(lambda: running.app.world.sources_closed == 1)
    app = limits(check_interval=timedelta(hours=1))
    with toy(caplog, app) as running:
        async with opened(running) as ws:
            app.operations.validity = validity
            await say(ws, subscribe("q", "mutation{bump}"))
            assert await closed(ws) == (code, reason)
        assert app.world.bumps == 0


async def test_a_spent_budget_is_an_error_message(running: Running) -> None:
    async with opened(running) as ws:
        running.app.operations.is_limited = True
        await say(ws, subscribe("q", "{hello}"))
        message = await hear(ws)
    assert message["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
    assert message["payload"][0]["extensions"]["retryAfter"] == 7


async def vanish(ws: ClientConnection) -> None:
    ws.transport.abort()
    await asyncio.sleep(0.02)  # the loop closes it on its next turn, and the test's end would hold it up


async def slow_client(running: Running, query: str) -> tuple[ClientConnection, Any]:
    """Subscribe through a small receive buffer, and then read nothing any more."""
    client = socket.socket()
    # Before it connects: afterwards it may have grown to megabytes.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    client.connect(("127.0.0.1", running.port))
    client.setblocking(False)
    manager = connect(
        running.ws_url, sock=client, subprotocols=[PROTOCOL], compression=None, max_queue=1, ping_interval=None
    )
    ws = await manager.__aenter__()
    await say(ws, INIT)
    assert await hear(ws) == ACK
    await say(ws, subscribe("s", query))
    return ws, manager


async def test_a_client_that_reads_too_slowly_is_told_where_to_resume(caplog: pytest.LogCaptureFixture) -> None:
    with toy(caplog, limits(send_timeout=timedelta(milliseconds=300))) as running:
        ws, manager = await slow_client(running, "subscription{flood{number text}}")
        await eventually(lambda: running.app.world.sources_closed == 1)
        seen: list[int] = []

        async def catch_up() -> None:
            while True:
                seen.append((await hear(ws))["payload"]["data"]["flood"]["number"])

        with pytest.raises(ConnectionClosed) as error:
            await catch_up()
        assert seen == list(range(len(seen)))
        assert error.value.rcvd is not None
        assert error.value.rcvd.code == 4410
        assert error.value.rcvd.reason == f"slow consumer; resume after cursor-{seen[-1]}"
        await manager.__aexit__(None, None, None)
        await eventually(lambda: running.app.observer.closes == [4410])


async def test_a_source_that_overflows_is_a_slow_consumer(running: Running) -> None:
    async with opened(running) as ws:
        await say(ws, subscribe("s", 'subscription{endsBadly(code:"SLOW_CONSUMER",after:3){number}}'))
        assert await closed(ws) == (4410, "slow consumer; resume after cursor-2")


async def test_a_client_that_never_reads_is_let_go(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alertgraph.edge.graphql.uvicorn_socket.LINGER_S", 0.2)
    short = timedelta(milliseconds=200)
    with toy(caplog, limits(send_timeout=short, close_timeout=short)) as running:
        ws, _ = await slow_client(running, "subscription{flood{number text}}")
        await eventually(lambda: running.app.observer.closes == [4410])
        await eventually(lambda: not running.server.server_state.connections)
        await vanish(ws)


async def test_one_slow_client_does_not_hold_up_another(caplog: pytest.LogCaptureFixture) -> None:
    short = timedelta(milliseconds=300)
    with toy(caplog, limits(send_timeout=short, close_timeout=short)) as running:
        ws, _ = await slow_client(running, "subscription{flood{number text}}")
        async with opened(running) as other:
            for _ in range(20):
                assert (await asyncio.wait_for(result(other, "{hello}"), 1))["data"]
        await eventually(lambda: 4410 in running.app.observer.closes)
        await vanish(ws)


async def test_a_flood_of_requests_whose_answers_are_not_read_does_not_pile_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    short = timedelta(milliseconds=300)
    with toy(caplog, limits(send_timeout=short, close_timeout=short, operation_count_max=5)) as running:
        ws, _ = await slow_client(running, "{hello}")

        async def flood() -> None:
            for n in range(20_000):
                await say(ws, subscribe(f"q{n}", "{big}"))
                # Whoever looks on has to have a turn.
                await asyncio.sleep(0)

        task = asyncio.create_task(flood())
        most = 0
        while not running.app.observer.closes:
            sockets: Any = list(running.app.service.connections.sockets)
            most = max([most, *(len(each._tasks) for each in sockets)])
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        await vanish(ws)
    assert 5 < most <= 10
    assert running.app.observer.closes == [4410]


async def test_drain_lets_mutations_finish_and_says_good_bye(running: Running) -> None:
    world, connections = running.app.world, running.app.service.connections
    async with opened(running) as ws, raw(running) as not_initialised:
        await say(ws, subscribe("m", "mutation{slowBump}"), subscribe("s", "subscription{silent}"))
        await eventually(lambda: connections.operation_count == 2)
        draining = asyncio.create_task(running.on_server(connections.drain()))
        await eventually(lambda: connections.is_draining)
        await say(ws, subscribe("late", "{hello}"))
        refused = await hear(ws)
        assert (refused["id"], refused["payload"][0]["extensions"]["code"]) == ("late", "UNAVAILABLE")
        async with raw(running) as newcomer:
            assert (await closed(newcomer))[0] == 4412
        assert world.bumps == 0
        running.loop.call_soon_threadsafe(world.bump_may_finish.set)
        assert (await hear(ws))["payload"]["data"] == {"slowBump": 1}
        assert await hear(ws) == {"id": "m", "type": "complete"}
        assert await closed(ws) == (4412, "server is restarting; reconnect")
        assert await closed(not_initialised) == (4412, "server is restarting; reconnect")
        await asyncio.wait_for(draining, 5)
    assert not connections.sockets
    assert world.sources_closed == 1


async def test_drain_does_not_wait_for_ever(running: Running) -> None:
    connections = running.app.service.connections
    async with opened(running) as ws:
        await say(ws, subscribe("m", "mutation{slowBump}"))
        await eventually(lambda: connections.operation_count == 1)
        await asyncio.wait_for(running.on_server(connections.drain(timedelta(milliseconds=100))), 5)
        assert (await closed(ws))[0] == 4412
    running.loop.call_soon_threadsafe(running.app.world.bump_may_finish.set)
    await eventually(lambda: running.app.world.bumps == 1)


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://a.example", "a.example", True),
        ("https://a.example", "a.example", True),
        ("https://A.example:443", "a.EXAMPLE", True),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", True),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("https://a.example:8443", "a.example:8443", True),
        ("https://evil.example", "a.example", False),
        ("http://a.example:81", "a.example", False),
        ("http://a.example", "a.example:81", False),
        ("https://a.example.evil.example", "a.example", False),
        ("null", "a.example", False),
        ("file://", "", False),
        ("http://a.example:x", "a.example", False),
        ("http://[", "a.example", False),
        ("", "", False),
    ],
)
def test_which_pages_are_of_our_own_host(origin: str, host: str, same: bool) -> None:
    assert _is_same_host(origin.lower(), host) is same


async def test_a_foreign_page_cannot_connect(caplog: pytest.LogCaptureFixture) -> None:
    app = toy_app(allowed_origins=frozenset({"https://Ops.example/"}))
    with toy(caplog, app) as running:
        for origin in ("https://evil.example", "null", f"http://127.0.0.1:{running.port + 1}"):
            with pytest.raises(InvalidStatus, match="403"):
                async with raw(running, origin=origin):
                    pytest.fail("it was let in")
        for origin in (f"http://127.0.0.1:{running.port}", "https://ops.example"):
            async with opened(running, origin=origin) as ws:
                assert (await result(ws, "{hello}"))["data"]


@pytest.mark.parametrize("fragments", [[b"\xff\xfe"], [b'{"type":"pi', b'ng\xc3(\xff"}']])
async def test_bad_utf8_is_1007(running: Running, fragments: list[bytes]) -> None:
    async with opened(running) as ws:
        await send_text_frames(ws, fragments)
        assert (await closed(ws))[0] == 1007
    await eventually(lambda: not running.app.service.connections.sockets)


async def test_a_message_in_pieces_is_put_together(running: Running) -> None:
    message = orjson.dumps(subscribe("1", '{hello(name:"é")}'))
    async with opened(running) as ws:
        await send_text_frames(ws, [message[at : at + 1] for at in range(len(message))])
        assert (await hear(ws))["payload"]["data"] == {"hello": "hi é"}


async def send_text_frames(ws: ClientConnection, fragments: list[bytes]) -> None:
    """Write frames that the client library itself would refuse to write."""
    for index, fragment in enumerate(fragments):
        frame = Frame(Opcode.CONT if index else Opcode.TEXT, fragment, fin=index == len(fragments) - 1)
        ws.transport.write(frame.serialize(mask=True))


async def test_vanishing_clients_leave_nothing_behind(running: Running) -> None:
    for _ in range(5):
        async with opened(running) as ws:
            await say(ws, subscribe("s", "subscription{forever}"))
            await hear(ws)
            ws.transport.abort()
    await eventually(lambda: running.app.world.sources_closed == 5)
    await eventually(lambda: not running.app.service.connections.sockets)
    assert running.app.reported == []


@pytest.mark.parametrize("ws_class", ["websockets-sansio", "websockets"])
async def test_uvicorns_own_protocols_work_too(caplog: pytest.LogCaptureFixture, ws_class: str) -> None:
    with toy(caplog, ws=ws_class) as running:
        async with opened(running) as ws:
            assert (await result(ws, "{hello}"))["data"]
            await say(ws, "[]")
            assert await closed(ws) == (4400, "Messages must be JSON objects")


def test_a_reason_fits_a_close_frame_and_cuts_no_letter() -> None:
    assert CloseSocket(4400, "é" * 100).reason == "é" * 61


# ------------------------------------------------------------------------------------------ together

TOLD = "subscription{told{number text}}"


async def numbers_told(ws: ClientConnection, count: int) -> list[int]:
    return [(await hear(ws))["payload"]["data"]["told"]["number"] for _ in range(count)]


async def test_equal_subscriptions_are_sent_the_very_same_frame(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = CleanWebSocketProtocol.write, []

    def noted(self: CleanWebSocketProtocol, frames: bytes) -> bool:
        written.append(frames)
        return write(self, frames)

    monkeypatch.setattr(CleanWebSocketProtocol, "write", noted)
    with toy(caplog) as running:
        groups, line = running.app.service.groups, running.app.world.line
        async with opened(running) as one, opened(running) as two, opened(running) as other:
            for ws, id_ in ((one, "s"), (two, "s"), (other, "t")):
                await say(ws, subscribe(id_, TOLD))
            await eventually(lambda: groups.member_count == 3)
            await running.on_server(line.tell("a"))
            first = [(await hear(ws))["payload"] for ws in (one, two, other)]
            written.clear()
            await running.on_server(line.tell("b"))
            assert [await numbers_told(ws, 1) for ws in (one, two, other)] == [[2]] * 3

            assert [payload["data"]["told"]["number"] for payload in first] == [1] * 3
            assert (groups.group_count, groups.figures.executed, groups.figures.delivered) == (1, 2, 6)
            # One frame for each id that clients chose, made once.
            assert sorted(map(written.count, set(written))) == [1, 2]
            assert len({id(frame) for frame in written}) == 2


async def test_a_slow_consumer_is_found_by_what_waits_for_it_and_holds_up_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = limits(send_timeout=timedelta(milliseconds=500), close_timeout=timedelta(milliseconds=200))
    with toy(caplog, app) as running:
        groups, line = app.service.groups, app.world.line
        deaf, _ = await slow_client(running, TOLD)
        deaf.transport.pause_reading()
        async with opened(running) as reader:
            await say(reader, subscribe("s", TOLD))
            await eventually(lambda: groups.member_count == 2)
            waiting = 0

            def unread() -> int:
                return max(
                    (each.transport.get_write_buffer_size() for each in running.server.server_state.connections),
                    default=0,
                )

            count, until = 0, asyncio.get_running_loop().time() + 30
            while app.observer.closes == [] and asyncio.get_running_loop().time() < until:
                await running.on_server(line.tell("x" * 20_000))
                count += 1
                assert await numbers_told(reader, 1) == [count]
                waiting = max(waiting, unread())
                await asyncio.sleep(0.001)
            assert app.observer.closes == [4410]
            # It was refused more than this, and whole answers only were written.
            assert UNREAD_SIZE_MAX < waiting < UNREAD_SIZE_MAX + 2 * 21_000
            await running.on_server(line.tell("last"))
            assert await numbers_told(reader, 1) == [count + 1]
        await vanish(deaf)


async def test_no_message_is_compressed_for_each_client(running: Running) -> None:
    async with connect(running.ws_url, subprotocols=[PROTOCOL], compression="deflate", close_timeout=1) as ws:
        assert ws.response is not None
        assert "sec-websocket-extensions" not in ws.response.headers
        assert ws.protocol.extensions == []
