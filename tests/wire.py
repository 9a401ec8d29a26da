"""HTTP as a sender under fire needs it: quick, and never in doubt whether a request was answered."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson

# Whatever takes longer hangs.
PATIENCE_SECONDS = 15.0

CREATE = """mutation Create($input: CreateAlertInput!) {
  createAlert(input: $input) { created alert { id } errors { code message } }
}"""


class UnansweredError(Exception):
    """The connection ended before the answer: the request may have been carried out or not."""


@dataclass(frozen=True)
class Reply:
    """What was answered to a request.

    Attributes:
        seconds: How long it took.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    def json(self) -> Any:
        """Return the body's JSON."""
        return orjson.loads(self.body)


class Wire:
    """One connection, opened when it is needed and kept open between requests."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._host, self._port, self._key = parts.hostname, parts.port, key
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str) -> Reply:
        """Return the answer to a GET."""
        return await self._request("GET", path, b"")

    async def post(self, path: str, value: Any) -> Reply:
        """Return the answer to a POST of JSON."""
        return await self._request("POST", path, orjson.dumps(value))

    async def graphql(self, query: str, variables: Mapping[str, Any] | None = None) -> Reply:
        """Return the answer to an operation."""
        return await self.post("/graphql", {"query": query, "variables": variables or {}})

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _request(self, method: str, path: str, body: bytes) -> Reply:
        started = time.monotonic()
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: {self._host}\r\nauthorization: Bearer {self._key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                if self._streams is None:
                    self._streams = await asyncio.open_connection(self._host, self._port)
                reader, writer = self._streams
                writer.write(head.encode() + body)
                status, headers = _head_of(await reader.readuntil(b"\r\n\r\n"))
                content = await reader.readexactly(int(headers["content-length"]))
        except TimeoutError:
            self.close()
            raise AssertionError(f"{method} {path} hung for {PATIENCE_SECONDS:g} s") from None
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            raise UnansweredError(str(error)) from error
        if headers.get("connection") == "close":
            self.close()
        return Reply(status, headers, content, time.monotonic() - started)


def _head_of(raw: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = raw.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return int(first.split(" ")[1]), {name.lower(): value.strip() for name, _, value in pairs}


@asynccontextmanager
async def wire(url: str, key: str) -> AsyncIterator[Wire]:
    """Yield a connection that is closed afterwards."""
    opened = Wire(url, key)
    try:
        yield opened
    finally:
        opened.close()


@dataclass
class Creates:
    """Alerts, each with a dedup key of its own, sent over many connections until every one is answered.

    What is not answered is sent again with the same idempotency key. Half of it goes by REST, half by GraphQL.

    Attributes:
        name: Begins every dedup key.
        ids: Of the alerts that were answered, by number.
        outcomes: How often something was answered, refused for now (503), or not answered at all.
        refusals: The codes told with 503.
        slowest: Of all answers, in seconds.
    """

    url: str
    key: str
    name: str
    ids: dict[int, str] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    pause: float = 0.05
    is_stopped: bool = False

    def dedup_key(self, number: int) -> str:
        """Return an alert's dedup key."""
        return f"{self.name}-{number}"

    async def send(self, numbers: Iterable[int], connection_count: int) -> None:
        """Send them all; with `is_stopped`, those that were begun."""
        waiting = iter(numbers)
        async with asyncio.TaskGroup() as group:
            for index in range(connection_count):
                group.create_task(self._sender(waiting, by_rest=index % 2 == 0))

    async def _sender(self, waiting: Iterable[int], *, by_rest: bool) -> None:
        async with wire(self.url, self.key) as connection:
            for number in waiting:
                while True:
                    if await self._is_answered(connection, number, by_rest=by_rest):
                        break
                    await asyncio.sleep(self.pause)
                if self.is_stopped:
                    return

    async def _is_answered(self, connection: Wire, number: int, *, by_rest: bool) -> bool:
        alert = {
            "title": f"{self.name} {number}",
            "severity": "HIGH",
            "dedupKey": self.dedup_key(number),
            "labels": {"number": str(number)},
            "idempotencyKey": f"{self.name}/{number}",
        }
        try:
            if by_rest:
                reply = await connection.post("/api/v1/critical-alerts", alert)
            else:
                reply = await connection.graphql(CREATE, {"input": alert})
        except UnansweredError:
            self.outcomes["unanswered"] += 1
            return False
        self.slowest = max(self.slowest, reply.seconds)
        value = reply.json()
        if reply.status == 503:
            assert int(reply.headers["retry-after"]) >= 1
            error = value["errors"][0]
            self.refusals[error.get("code") or error["extensions"]["code"]] += 1
            self.outcomes["refused"] += 1
            return False
        assert reply.status == (201 if by_rest else 200), value
        if not by_rest:
            assert value["data"]["createAlert"]["created"], value
            value = value["data"]["createAlert"]["alert"]
        assert number not in self.ids
        self.ids[number] = value["id"]
        self.outcomes["answered"] += 1
        return True


LISTED = """query Listed($keys: [String!]!, $ids: [ID!]!) {
  alerts(filter: {dedupKey: $keys}, first: 100) { nodes { id dedupKey occurrenceCount } }
  nodes(ids: $ids) { id ... on CriticalAlert { dedupKey } }
}"""


async def check_kept(creates: Creates, connection_count: int = 4) -> None:
    """Check that every alert that was answered is kept, once, and found by its key and by its id."""
    numbers = sorted(creates.ids)
    pages = iter([numbers[start : start + 100] for start in range(0, len(numbers), 100)])

    async def check() -> None:
        async with wire(creates.url, creates.key) as connection:
            for page in pages:
                ids = [creates.ids[number] for number in page]
                keys = [creates.dedup_key(number) for number in page]
                reply = await connection.graphql(LISTED, {"keys": keys, "ids": ids})
                data = reply.json()["data"]
                by_key = {alert["dedupKey"]: alert for alert in data["alerts"]["nodes"]}
                assert len(data["alerts"]["nodes"]) == len(keys)
                assert [by_key[key]["id"] for key in keys] == ids
                assert [node["dedupKey"] for node in data["nodes"]] == keys
                assert {alert["occurrenceCount"] for alert in by_key.values()} == {1}, "one was created twice"

    async with asyncio.TaskGroup() as group:
        for _ in range(connection_count):
            group.create_task(check())
