"""GraphQL over server-sent events: one operation per connection, with signs of life, until the client goes."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any

import httpx2
import orjson
import pytest

from alertgraph.edge.graphql import Validity
from alertgraph.edge.graphql.uvicorn_reply import LendingHttpProtocol, LentReply
from tests.conformance.toy_app import GOOD, Running, ToyApp, served, toy_app

EVENTS = "text/event-stream"
HEADERS = {"authorization": GOOD, "accept": EVENTS}


@contextmanager
def toy(caplog: pytest.LogCaptureFixture, app: ToyApp | None = None, **options: Any) -> Iterator[Running]:
    with caplog.at_level(logging.WARNING), served(app or toy_app(), **options) as running:
        yield running
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.fixture
def running(caplog: pytest.LogCaptureFixture) -> Iterator[Running]:
    with toy(caplog) as running:
        yield running


class Stream:
    """The events of one reply."""

    def __init__(self, reply: httpx2.Response) -> None:
        self.reply = reply
        self._lines = reply.aiter_lines()

    async def next(self) -> tuple[str, Any]:
        """Return the next event with its data; a comment is an event without a name."""
        event, data = "", None
        async for line in self._lines:
            match line.partition(":"):
                case ("", "", ""):
                    if event or data is not None:
                        return event, data
                case ("", ":", _):
                    event, data = ":", None
                case ("event", ":", value):
                    event = value.strip()
                case ("data", ":", value):
                    data = orjson.loads(value) if value.strip() else ""
        return "end", None

    async def all(self) -> list[tuple[str, Any]]:
        found = []
        while (event := await asyncio.wait_for(self.next(), 5))[0] != "end":
            found.append(event)
        return found


@asynccontextmanager
async def stream(
    running: Running, query: str, method: str = "POST", path: str = "/stream", **headers: str
) -> AsyncIterator[Stream]:
    async with httpx2.AsyncClient(headers=HEADERS | headers) as client:
        sent = {"params": {"query": query}} if method == "GET" else {"json": {"query": query}}
        async with client.stream(method, running.url + path, **sent) as reply:  # type: ignore[arg-type]
            yield Stream(reply)


def narrow_socket(running: Running, size: int) -> socket.socket:
    """Return a connection with a small receive buffer: one that is set later may have grown to megabytes."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    narrow.connect(("127.0.0.1", running.port))
    narrow.setblocking(False)
    return narrow


async def eventually(condition: Any) -> None:
    for _ in range(250):
        if condition():
            return
        await asyncio.sleep(0.02)
    pytest.fail("it did not come about")


@pytest.mark.parametrize("path", ["/stream", ""])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_subscription_is_streamed(running: Running, method: str, path: str) -> None:
    async with stream(running, "subscription{items(to:2){number}}", method, path) as events:
        assert events.reply.status_code == 200
        assert events.reply.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert events.reply.headers["cache-control"] == "no-store"
        assert events.reply.headers["x-request-id"]
        found = await events.all()
    assert [name for name, _ in found] == [":", "next", "next", "complete"]
    assert [data["data"]["items"]["number"] for _, data in found[1:3]] == [0, 1]
    assert found[3][1] == ""
    await eventually(lambda: not running.app.service.connections.streams)
    [report] = running.app.observer.reports
    assert (report.transport, report.type, report.answer_count, report.code) == ("sse", "subscription", 2, None)
    assert running.app.world.opened == running.app.world.closed


@pytest.mark.parametrize(
    ("query", "payload"),
    [("{hello}", {"hello": "hi world"}), ("mutation{bump}", {"bump": 1}), ("{hello boom}", None)],
)
async def test_queries_and_mutations_are_one_event(running: Running, query: str, payload: Any) -> None:
    async with stream(running, query) as events:
        found = await events.all()
    assert [name for name, _ in found] == [":", "next", "complete"]
    if payload is not None:
        assert found[1][1]["data"] == payload
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "PARSE_FAILED"),
        ("{nope}", "VALIDATION_FAILED"),
        ("{items(first:100){nodes{items(first:100){nodes{number}}}}}", "COST_EXCEEDED"),
        ("subscription{endsBadly(after:0){number}}", "CURSOR_EXPIRED"),
        ("subscription{crashes}", "INTERNAL"),
    ],
)
async def test_what_a_graphql_client_can_explain_is_told_in_the_stream(
    running: Running, query: str, code: str
) -> None:
    async with stream(running, query) as events:
        assert events.reply.status_code == 200
        found = await events.all()
    assert [name for name, _ in found[-2:]] == ["next", "complete"]
    assert found[-2][1]["errors"][0]["extensions"]["code"] == code
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("method", "content", "headers", "status", "code"),
    [
        ("POST", b"5", {}, 400, "BAD_REQUEST"),
        ("POST", b"x" * 300_000, {}, 413, "BAD_REQUEST"),
        ("POST", b'{"query":"query A{hello} query B{hello}"}', {}, 400, "BAD_REQUEST"),
        ("POST", b'{"query":"{hello}"}', {"content-type": "text/plain"}, 415, "BAD_REQUEST"),
        ("POST", b'{"query":"{hello}"}', {"authorization": "Bearer bad"}, 401, "UNAUTHENTICATED"),
        ("POST", b'{"query":"{hello}"}', {"authorization": "Bearer away"}, 503, "UNAVAILABLE"),
        ("POST", b'{"query":"{hello}"}', {"accept": "application/json"}, 406, "BAD_REQUEST"),
        ("PUT", b"", {}, 405, "BAD_REQUEST"),
        ("DELETE", b"", {}, 405, "BAD_REQUEST"),
    ],
)
async def test_what_http_refuses_is_json(
    running: Running, method: str, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    async with httpx2.AsyncClient(headers=HEADERS | {"content-type": "application/json"} | headers) as client:
        reply = await client.request(method, running.url + "/stream", content=content)
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    assert reply.json()["errors"][0]["extensions"]["code"] == code


async def test_a_get_changes_nothing(running: Running) -> None:
    async with stream(running, "mutation{bump}", "GET") as events:
        assert events.reply.status_code == 405
        assert events.reply.headers["allow"] == "POST"
    assert running.app.world.bumps == 0


async def test_a_spent_budget_is_429(running: Running) -> None:
    running.app.operations.is_limited = True
    async with stream(running, "subscription{count}") as events:
        assert events.reply.status_code == 429
        assert events.reply.headers["retry-after"] == "7"


async def test_a_quiet_stream_gives_signs_of_life(caplog: pytest.LogCaptureFixture) -> None:
    app = toy_app(events={"keep_alive": timedelta(milliseconds=50)})
    with toy(caplog, app) as running:
        async with stream(running, "subscription{silent}") as events:
            assert [await asyncio.wait_for(events.next(), 2) for _ in range(4)] == [(":", None)] * 4


async def test_when_the_client_goes_its_subscription_ends(running: Running) -> None:
    for query in ("subscription{forever}", "subscription{silent}"):
        async with stream(running, query) as events:
            await events.next()
            await eventually(lambda: running.app.service.connections.operation_count == 1)
        await eventually(lambda: running.app.service.connections.operation_count == 0)
    assert running.app.world.sources_closed == 2
    await eventually(lambda: not running.app.service.connections.streams)
    assert running.app.world.opened == running.app.world.closed
    assert running.app.reported == []


async def test_a_mutation_is_carried_out_though_the_client_went(running: Running) -> None:
    async with stream(running, "mutation{slowBump}") as events:
        await events.next()
        await eventually(lambda: running.app.service.connections.operation_count == 1)
    await asyncio.sleep(0.1)
    running.loop.call_soon_threadsafe(running.app.world.bump_may_finish.set)
    await eventually(lambda: running.app.world.bumps == 1)


@pytest.mark.parametrize("validity", [Validity.REVOKED, Validity.EXPIRED])
@pytest.mark.parametrize("query", ["subscription{silent}", "subscription{forever}"])
async def test_credentials_that_end_end_the_stream(
    caplog: pytest.LogCaptureFixture, validity: Validity, query: str
) -> None:
    with toy(caplog, toy_app(events={"check_interval": timedelta(milliseconds=100)})) as running:
        async with stream(running, query) as events:
            await events.next()
            running.app.operations.validity = validity
            found = await events.all()
    assert [name for name, _ in found[-2:]] == ["next", "complete"]
    assert found[-2][1]["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_drain_hangs_up_without_complete_and_lets_a_mutation_finish(running: Running) -> None:
    connections = running.app.service.connections
    async with stream(running, "subscription{silent}") as quiet, stream(running, "mutation{slowBump}") as mutation:
        await eventually(lambda: connections.operation_count == 2)
        draining = asyncio.create_task(running.on_server(connections.drain()))
        assert await quiet.all() == [(":", None)]
        async with stream(running, "subscription{count}") as late:
            assert late.reply.status_code == 503
            assert late.reply.headers["retry-after"] == "1"
        assert not draining.done()
        running.loop.call_soon_threadsafe(running.app.world.bump_may_finish.set)
        found = await mutation.all()
        assert [name for name, _ in found] == [":", "next", "complete"]
        assert found[1][1]["data"] == {"slowBump": 1}
        await asyncio.wait_for(draining, 5)
    await eventually(lambda: not connections.streams)


async def test_a_client_that_does_not_read_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    app = toy_app(events={"send_timeout": timedelta(milliseconds=200)})
    with served(app) as running:
        _, writer = await asyncio.open_connection(sock=narrow_socket(running, 65_536), limit=1)
        body = b'{"query":"subscription{flood{number text}}"}'
        head = (
            "POST /graphql/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n"
            f"Accept: text/event-stream\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await eventually(lambda: app.world.sources_closed == 1)
        await eventually(lambda: not app.service.connections.streams)
        writer.transport.abort()
        await asyncio.sleep(0.02)
    assert app.reported == []
    assert not any(record.exc_info for record in caplog.records)


# ------------------------------------------------------------------------------------------ together

TOLD = "subscription{told{number text}}"


def numbers_of(events: list[tuple[str, Any]]) -> list[int]:
    return [data["data"]["told"]["number"] for name, data in events if name == "next"]


async def some(events: Stream, count: int) -> list[tuple[str, Any]]:
    """Return the next answers; signs of life are left out."""
    found: list[tuple[str, Any]] = []
    while len(found) < count:
        event = await asyncio.wait_for(events.next(), 5)
        assert event[0] != "end"
        if event[0] != ":":
            found.append(event)
    return found


@pytest.mark.parametrize("http", [LendingHttpProtocol, "httptools", "h11"])
async def test_equal_subscriptions_share_a_source_and_every_answer(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, http: Any
) -> None:
    write, written = LentReply.write, []

    def noted(self: LentReply, frames: bytes) -> bool:
        written.append(frames)
        return write(self, frames)

    monkeypatch.setattr(LentReply, "write", noted)
    app = toy_app(events={"keep_alive": timedelta(milliseconds=200)})
    with toy(caplog, app, http=http) as running:
        groups, line = app.service.groups, app.world.line
        async with AsyncExitStack() as stack:
            streams = [await stack.enter_async_context(stream(running, TOLD)) for _ in range(3)]
            await eventually(lambda: groups.member_count == 3)

            await running.on_server(line.tell("a", "b"))
            first = [await some(each, 2) for each in streams]
            late = await stack.enter_async_context(stream(running, TOLD))
            await eventually(lambda: groups.member_count == 4)
            await running.on_server(line.tell("c"))

            assert [numbers_of(each) for each in first] == [[1, 2]] * 3
            # What a subscription cost is told with its first answer only.
            assert [["extensions" in data for _, data in each] for each in first] == [[True, False]] * 3
            assert [numbers_of(await some(each, 1)) for each in (*streams, late)] == [[3]] * 4
            assert groups.group_count == 1
            # In pieces of at most 64 answers, but never one execution for each who follows.
            assert (groups.figures.executed, groups.figures.delivered) == (3, 10)
            # Where the server lends its transport, the very same bytes go to all but for who is told the cost.
            assert len({id(each) for each in written}) == (5 if http is LendingHttpProtocol else 0)
            # Each begins alone, and gives its own source up when it joins.
            await eventually(lambda: app.world.sources_closed == line.source_count - 1)
            assert await asyncio.wait_for(late.next(), 2) == (":", None)
        await eventually(lambda: groups.member_count == 0)
        await eventually(lambda: app.world.sources_closed == line.source_count)
        assert sorted(report.answer_count for report in app.observer.reports) == [1, 3, 3, 3]
    assert app.world.opened == app.world.closed


async def test_who_does_not_read_is_found_by_what_waits_and_holds_up_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = toy_app(events={"send_timeout": timedelta(milliseconds=500)})
    with toy(caplog, app) as running, caplog.at_level(logging.CRITICAL):
        groups, line = app.service.groups, app.world.line
        deaf, writer = await asyncio.open_connection(sock=narrow_socket(running, 4_096), limit=1)
        body = orjson.dumps({"query": TOLD})
        head = (
            "POST /graphql/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n"
            f"Accept: text/event-stream\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        async with stream(running, TOLD) as reader:
            await eventually(lambda: groups.member_count == 2)
            # How much the way takes in before it is full is the system's affair: what is promised is a time.
            count, until = 0, asyncio.get_running_loop().time() + 30
            while groups.member_count == 2 and asyncio.get_running_loop().time() < until:
                await running.on_server(line.tell(str(count) * 5_000))
                assert numbers_of(await some(reader, 1)) == [count + 1]
                count += 1
            # The one who reads had everything at once; the other was let go of, and its connection with it.
            assert groups.member_count == 1
            assert count > 30
            await eventually(lambda: len(running.server.server_state.connections) == 1)
            await eventually(lambda: len(app.service.connections.streams) == 1)
        writer.transport.abort()
        await asyncio.sleep(0.02)
        assert deaf.exception() is None or isinstance(deaf.exception(), ConnectionError)


async def test_who_reads_again_in_time_misses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    app = toy_app(events={"send_timeout": timedelta(seconds=20)})
    with toy(caplog, app) as running:
        groups, line = app.service.groups, app.world.line
        async with stream(running, TOLD) as slow, stream(running, TOLD) as reader:
            await eventually(lambda: groups.member_count == 2)
            # More than what fits into all buffers on the way, and than a group keeps.
            for number in range(400):
                await running.on_server(line.tell(str(number) * 10_000))
                await some(reader, 1)
            assert numbers_of(await some(slow, 400)) == list(range(1, 401))
            await running.on_server(line.tell("last"))
            assert numbers_of(await some(slow, 1)) == numbers_of(await some(reader, 1)) == [401]
