"""Answers go out in one piece where they can, in order always, and at once where they are streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from alertgraph.edge.uvicorn_http import JoiningHttpProtocol, JoiningTransport

WITHIN = 10.0


async def plain(_: Request) -> Response:
    return PlainTextResponse("whole")


async def none(_: Request) -> Response:
    return Response(status_code=204)


async def stream(request: Request) -> Response:
    async def parts() -> AsyncIterator[str]:
        await request.app.state.go_on.wait()
        yield "one"
        yield "two"

    return StreamingResponse(parts(), media_type="text/plain")


@pytest.fixture
def application() -> Starlette:
    made = Starlette(routes=[Route("/plain", plain), Route("/none", none), Route("/stream", stream)])
    made.state.go_on = asyncio.Event()
    return made


@pytest.fixture
async def port(application: Starlette) -> AsyncIterator[int]:
    config = uvicorn.Config(application, port=0, http=JoiningHttpProtocol, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  (uvicorn tells nobody)
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = server.force_exit = True
    await running


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return what is handed to the system, piece by piece."""
    pieces: list[bytes] = []

    class Noting:
        def __init__(self, transport: asyncio.Transport) -> None:
            self._transport = transport

        def write(self, data: bytes) -> None:
            pieces.append(data)
            self._transport.write(data)

        def close(self) -> None:
            self._transport.close()

        def is_closing(self) -> bool:
            return self._transport.is_closing()

    made = JoiningTransport.__init__

    def noting(self: JoiningTransport, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        made(self, Noting(transport), loop)  # type: ignore[arg-type]

    monkeypatch.setattr(JoiningTransport, "__init__", noting)
    return pieces


async def said(port: int, request: bytes, until: bytes) -> bytes:
    """Send bytes and return what comes, up to and with `until`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.readuntil(until), WITHIN)
    finally:
        writer.close()


def get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nhost: test\r\n\r\n".encode()


async def test_a_whole_answer_is_one_piece(port: int, written: list[bytes]) -> None:
    got = await said(port, get("/plain"), b"whole")

    assert written == [got]
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("request_", [get("/none"), get("/plain", "HEAD")], ids=["204", "HEAD"])
async def test_an_answer_without_a_body_goes_out_all_the_same(port: int, request_: bytes) -> None:
    got = await said(port, request_, b"\r\n\r\n")

    assert got.startswith(b"HTTP/1.1 20")


async def test_the_head_of_a_stream_does_not_wait_for_its_first_part(port: int, application: Starlette) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(get("/stream"))

    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WITHIN)
    application.state.go_on.set()
    body = await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), WITHIN)

    assert b"transfer-encoding: chunked" in head
    assert body == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    writer.close()


async def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    got = await said(
        port, get("/none") + get("/plain") + get("/none") + get("/plain", "HEAD") + get("/plain"), b"whole"
    )
    rest = await said(
        port, (get("/none") + get("/plain")) * 20 + b"nonsense\r\n\r\n", b"Invalid HTTP request received."
    )

    assert [line.split()[1] for line in got.split(b"\r\n") if line.startswith(b"HTTP/1.1")] == [b"204", b"200"]
    statuses = [line.split()[1] for line in rest.replace(b"whole", b"\r\n").split(b"\r\n") if b"HTTP/1.1" in line]
    # What is no HTTP is answered at once, as uvicorn does it; nothing before it is torn apart.
    assert statuses[-1] == b"400"
    assert rest.count(b"whole") == statuses.count(b"200")


async def test_closes_when_all_is_written(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /none HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")

    got = await asyncio.wait_for(reader.read(), WITHIN)

    assert got.startswith(b"HTTP/1.1 204")
    writer.close()


def test_uvicorn_uses_no_more_of_a_transport_than_there_is() -> None:
    names = RequestResponseCycle.send.__code__.co_names + RequestResponseCycle.receive.__code__.co_names

    used = {name for name in names if hasattr(asyncio.Transport, name)}

    # Reading is resumed by way of uvicorn's flow control, which has the transport itself.
    used.remove("resume_reading")
    assert used <= {name for name in dir(JoiningTransport) if not name.startswith("_")}, used
