"""The request boundary: whatever hangs behind it, somebody who waits is told in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alertgraph.edge import app as module
from alertgraph.edge.app import Application


async def hang(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.Event().wait()


async def read_then_hang(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await asyncio.Event().wait()


async def stream_slowly(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await asyncio.sleep(0.3)
    # As event streams do, to see whether the client is still there.
    await receive()
    await asyncio.sleep(0.3)
    await send({"type": "http.response.body", "body": b"all of it"})


async def fail_by_a_timeout_of_its_own(scope: Scope, receive: Receive, send: Send) -> None:
    raise TimeoutError("of something inside")


class Asked:
    """One request, and what was answered."""

    def __init__(self, router: ASGIApp, method: str, path: str, body: Iterable[tuple[float, Message]]) -> None:
        self._application = Application(announce=lambda _: None)
        self._application._router = router
        self._scope = {"type": "http", "method": method, "path": path, "headers": []}
        self._body = iter(body)
        self.sent: list[Message] = []

    async def answered(self) -> tuple[int, dict[str, str], bytes]:
        async def receive() -> Message:
            for pause, message in self._body:
                await asyncio.sleep(pause)
                return message
            return await asyncio.Event().wait()  # type: ignore[return-value]

        async def send(message: Message) -> None:
            self.sent.append(message)

        async with asyncio.timeout(3):
            await self._application(self._scope, receive, send)
        start, *rest = self.sent
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        return start["status"], headers, b"".join(message.get("body", b"") for message in rest)


def chunks(*pauses: float) -> list[tuple[float, Message]]:
    last = len(pauses) - 1
    return [
        (pause, {"type": "http.request", "body": b"x", "more_body": index < last})
        for index, pause in enumerate(pauses)
    ]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_WITHIN_SECONDS", 0.2)
    monkeypatch.setattr(module, "BODY_WITHIN_SECONDS", 0.5)


Reason = Callable[[Any], tuple[str, str]]


def of_a_problem(value: Any) -> tuple[str, str]:
    return value["code"], value["requestId"]


def of_graphql(value: Any) -> tuple[str, str]:
    (error,) = value["errors"]
    assert "data" not in value
    return error["extensions"]["code"], error["extensions"]["requestId"]


@pytest.mark.parametrize(
    ("path", "reason"), [("/api/v1/critical-alerts/x", of_a_problem), ("/graphql", of_graphql)]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_hangs_is_refused_in_time(path: str, reason: Reason, method: str) -> None:
    router = hang if method == "GET" else read_then_hang
    status, headers, body = await Asked(router, method, path, chunks(0.0)).answered()

    assert status == 503
    assert headers["retry-after"] == "1"
    assert reason(orjson.loads(body)) == ("UNAVAILABLE", headers["x-request-id"])


async def test_the_time_that_a_body_takes_is_the_clients() -> None:
    slow = Asked(read_then_hang, "POST", "/api/v2/alerts", chunks(0.15, 0.15, 0.15))
    began_at = asyncio.get_running_loop().time()
    status, _, _ = await slow.answered()

    assert status == 503
    assert asyncio.get_running_loop().time() - began_at > 0.6


async def test_what_is_done_before_the_body_is_read_counts() -> None:
    async def look_for_long(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.15)
        await read_then_hang(scope, receive, send)

    began_at = asyncio.get_running_loop().time()
    status, _, _ = await Asked(look_for_long, "POST", "/api/v2/alerts", chunks(0.0)).answered()

    assert status == 503
    assert asyncio.get_running_loop().time() - began_at < 0.3


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    status, headers, body = await Asked(read_then_hang, "POST", "/api/v2/alerts", chunks(0.1, 2.0)).answered()

    assert status == 408
    assert headers["connection"] == "close"
    assert orjson.loads(body)["code"] == "BAD_REQUEST"


async def test_an_answer_that_has_begun_may_take_its_time() -> None:
    asked = Asked(stream_slowly, "GET", "/graphql/stream", [*chunks(0.0), *chunks(0.0)])

    assert (await asked.answered())[::2] == (200, b"all of it")


async def test_a_fault_inside_is_no_matter_of_time() -> None:
    status, _, body = await Asked(fail_by_a_timeout_of_its_own, "GET", "/x", ()).answered()

    assert (status, orjson.loads(body)["code"]) == (500, "INTERNAL")


@pytest.mark.parametrize("handler", [hang, fail_by_a_timeout_of_its_own])
async def test_no_log_tells_a_token(handler: ASGIApp, caplog: pytest.LogCaptureFixture) -> None:
    async def answer(request: Request) -> Response:
        await handler(request.scope, request.receive, request._send)
        return Response()

    router = Starlette(routes=[Route("/act/{token}", answer)])
    status, _, _ = await Asked(router, "GET", "/act/s3cr3t-token", chunks(0.0)).answered()

    assert status >= 500
    said = " ".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert "/act/{token}" in said
    assert "s3cr3t-token" not in said
