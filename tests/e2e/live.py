"""Clients that follow subscriptions, over a websocket or server-sent events, and keep every byte they hear."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.running import RunningService

PATIENCE_SECONDS = 10.0
PAUSE_SECONDS = 0.02


class Heard:
    """What came of one subscription."""

    def __init__(self) -> None:
        self.text = ""
        self.answers: list[dict[str, Any]] = []
        self.errors: list[dict[str, Any]] = []
        self.is_over = False

    def take(self, text: str, answer: Any) -> None:
        """Note an answer, or errors where it is a list."""
        self.text += text
        if isinstance(answer, list):
            self.errors += answer
        else:
            self.answers.append(answer)
            self.errors += answer.get("errors", [])

    @property
    def codes(self) -> set[str]:
        """The codes of all errors."""
        return {error["extensions"]["code"] for error in self.errors}


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until something holds; fail by name where it does not come about."""
    for _ in range(int(PATIENCE_SECONDS / PAUSE_SECONDS)):
        if condition():
            return
        await asyncio.sleep(PAUSE_SECONDS)
    pytest.fail(f"it did not come about: {what}")


class Socket:
    """One websocket with many subscriptions."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._heard: dict[str, Heard] = {}

    async def follow(self, request: dict[str, Any]) -> Heard:
        """Begin a subscription."""
        number = str(len(self._heard))
        heard = self._heard[number] = Heard()
        message = {"id": number, "type": "subscribe", "payload": request}
        await self._connection.send(orjson.dumps(message).decode())
        return heard

    async def read(self) -> None:
        """Take what comes, for as long as the socket is open."""
        try:
            async for text in self._connection:
                assert isinstance(text, str), "only text frames"
                message = orjson.loads(text)
                heard = self._heard.get(message.get("id", ""))
                if message["type"] == "ping":
                    await self._connection.send('{"type":"pong"}')
                elif heard is not None and message["type"] == "complete":
                    heard.is_over = True
                elif heard is not None:
                    heard.take(text, message["payload"])
                    heard.is_over |= message["type"] == "error"
        except ConnectionClosed:
            for heard in self._heard.values():
                heard.is_over = True


@asynccontextmanager
async def socket(service: RunningService, key: str) -> AsyncIterator[Socket]:
    """Lend a websocket that is logged in and reads by itself."""
    protocols = [Subprotocol("graphql-transport-ws")]
    async with connect(service.websocket_url, subprotocols=protocols, compression=None, close_timeout=1) as ws:
        init = {"type": "connection_init", "payload": {"authorization": f"Bearer {key}"}}
        await ws.send(orjson.dumps(init).decode())
        assert orjson.loads(await asyncio.wait_for(ws.recv(), PATIENCE_SECONDS))["type"] == "connection_ack"
        client = Socket(ws)
        reading = asyncio.create_task(client.read())
        try:
            yield client
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


class EventStreams:
    """Many replies of server-sent events, one for each subscription."""

    def __init__(self, client: httpx2.AsyncClient, tasks: asyncio.TaskGroup) -> None:
        self._client = client
        self._tasks = tasks

    async def follow(self, request: dict[str, Any]) -> Heard:
        """Begin a subscription; return once it is under way."""
        heard = Heard()
        begun = asyncio.Event()
        self._tasks.create_task(self._read(request, heard, begun))
        await asyncio.wait_for(begun.wait(), PATIENCE_SECONDS)
        return heard

    async def _read(self, request: dict[str, Any], heard: Heard, begun: asyncio.Event) -> None:
        async with self._client.stream("POST", "/graphql/stream", json=request) as reply:
            begun.set()
            if not reply.headers["content-type"].startswith("text/event-stream"):
                text = (await reply.aread()).decode()
                heard.take(text, orjson.loads(text))
            else:
                async for line in reply.aiter_lines():
                    name, _, value = line.partition(": ")
                    if name == "data" and value:
                        heard.take(value, orjson.loads(value))
        heard.is_over = True


@asynccontextmanager
async def event_streams(service: RunningService, key: str) -> AsyncIterator[EventStreams]:
    """Lend a client of event streams; they end with it."""
    async with (
        httpx2.AsyncClient(
            base_url=service.url, headers=service.headers(key), timeout=30.0, verify=False
        ) as client,
        _ended(asyncio.TaskGroup()) as tasks,
    ):
        yield EventStreams(client, tasks)


@asynccontextmanager
async def _ended(group: asyncio.TaskGroup) -> AsyncIterator[asyncio.TaskGroup]:
    """Run a task group whose tasks go on for ever, and end them at the end."""
    try:
        async with group:
            yield group
            raise _DoneError
    except* _DoneError:
        pass


class _DoneError(Exception):
    """Nothing more is wanted."""
