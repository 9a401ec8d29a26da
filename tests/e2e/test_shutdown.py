"""Asked to end under load, the service answers what it took, tells its sockets, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.running import ServiceProcess, environment_of
from tests.servers import short_directory
from tests.sockets import BATCHES, opened
from tests.wire import CREATE, UnansweredError, Wire, wire

# The installation is made once, for all tests.
pytestmark = pytest.mark.xdist_group("shutdown")

CONNECTIONS = 16


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation with an embedded database, which is started as often as a test likes."""
    with short_directory() as data_dir:
        environment = environment_of("", CRITICAL_ALERT_DATA_DIR=str(data_dir))
        for name in ("CRITICAL_ALERT_DATABASE_URL", "CRITICAL_ALERT_MASTER_KEY"):
            del environment[name]
        installation = Installation(data_dir, environment, tmp_path_factory.mktemp("log") / "log")
        # The first start makes everything; those that a test looks at find it made.
        first = installation.start()
        assert first.stop() == 0
        yield installation


@dataclass
class Installation:
    data_dir: Path
    environment: dict[str, str]
    log: Path

    def start(self) -> ServiceProcess:
        return ServiceProcess(self.environment).start(self.log)

    @property
    def key(self) -> str:
        return (self.data_dir / "bootstrap_key").read_text().strip()

    def processes(self) -> list[str]:
        """Return the command lines of all processes that have to do with the installation."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    command = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                except OSError:
                    continue
                if str(self.data_dir).encode() in command:
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        return found


@dataclass
class Senders:
    """Connections that send one alert after the other, until one is not answered any more."""

    url: str
    key: str
    answered: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for index in range(CONNECTIONS):
                group.create_task(self._send(index))

    async def _send(self, index: int) -> None:
        async with wire(self.url, self.key) as connection:
            for number in itertools.count():
                name = f"{self.url[-5:]}-{index}-{number}"
                draft = {"title": name, "severity": "LOW", "dedupKey": name}
                try:
                    await self._send_one(connection, name, draft, by_rest=index % 2 == 0)
                except UnansweredError:
                    self.unanswered.append(name)
                    return
                if self.refused:
                    return

    async def _send_one(self, connection: Wire, name: str, draft: dict[str, Any], *, by_rest: bool) -> None:
        if by_rest:
            reply = await connection.post("/api/v1/critical-alerts", draft)
        else:
            reply = await connection.graphql(CREATE, {"input": draft})
        if reply.status == 503:
            assert int(reply.headers["retry-after"]) >= 1
            self.refused.append(name)
            return
        assert reply.status in (200, 201), reply.body
        value = reply.json()
        self.answered[name] = value["id"] if by_rest else value["data"]["createAlert"]["alert"]["id"]


async def closed_as(url: str, key: str) -> int:
    """Follow until the socket is closed; return the code."""
    async with opened(url.replace("http", "ws", 1) + "/graphql", key) as client:
        await client.subscribe(BATCHES)
        return (await client.closed(patience=30)).code


def hung_up(url: str, key: str) -> str:
    """Follow by an event stream until it ends; return what came last."""
    said = ""
    headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"}
    body = {"query": BATCHES}
    try:
        with httpx2.stream("POST", f"{url}/graphql/stream", json=body, headers=headers, timeout=30) as reply:
            for line in reply.iter_lines():
                said = line or said
    except httpx2.RemoteProtocolError:
        pass  # broken off, which is for a client what it is to be hung up on
    return said


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_asked_to_end_under_load_it_loses_nothing(
    installation: Installation, signum: signal.Signals
) -> None:
    began_at = time.monotonic()
    service = installation.start()
    start_seconds = time.monotonic() - began_at
    try:
        senders = Senders(service.url, installation.key)
        sockets = [asyncio.create_task(closed_as(service.url, installation.key)) for _ in range(10)]
        stream = asyncio.create_task(asyncio.to_thread(hung_up, service.url, installation.key))
        sending = asyncio.create_task(senders.run())
        while len(senders.answered) < 300:
            assert not sending.done()
            await asyncio.sleep(0.01)
        service.process.send_signal(signum)
        asked_at = time.monotonic()
        status = await asyncio.to_thread(service.process.wait, 30)
        end_seconds = time.monotonic() - asked_at
        await sending
        codes = await asyncio.gather(*sockets)
        last_said = await stream
    finally:
        service.kill()

    assert status == 0, installation.log.read_text()[-3000:]
    assert end_seconds < 10
    assert set(codes) == {4412}
    assert "complete" not in last_said, "a client would take the stream for finished"
    assert installation.processes() == []
    assert "Traceback" not in installation.log.read_text()
    assert start_seconds < 15
    # Each connection has at most one request of which it can't know what became.
    assert len(senders.unanswered) + len(senders.refused) <= 2 * CONNECTIONS

    again = installation.start()
    try:
        async with wire(again.url, installation.key) as connection:
            names = sorted(senders.answered)
            for start in range(0, len(names), 100):
                kept = await kept_of(connection, names[start : start + 100])
                assert kept == {name: senders.answered[name] for name in names[start : start + 100]}
            # What was not answered, or refused, was not taken either.
            assert await kept_of(connection, senders.refused + senders.unanswered) == {}
    finally:
        assert again.stop() == 0


async def kept_of(connection: Wire, names: list[str]) -> dict[str, str]:
    """Return the ids of the alerts that are kept of these dedup keys."""
    query = (
        "query Kept($keys: [String!]!) { alerts(filter: {dedupKey: $keys}, first: 100) { nodes { id dedupKey } } }"
    )
    if not names:
        return {}
    reply = await connection.graphql(query, {"keys": names})
    return {alert["dedupKey"]: alert["id"] for alert in reply.json()["data"]["alerts"]["nodes"]}


async def test_asked_again_it_does_not_wait_for_who_does_not_leave(installation: Installation) -> None:
    """A client that holds its connection and says nothing does not hold up the end."""
    service = installation.start()
    try:
        async with wire(service.url, installation.key) as idle, wire(service.url, installation.key) as half:
            await idle.get("/livez")
            await half.get("/livez")
            # Half a request: its other half never comes.
            assert half._streams is not None
            half._streams[1].write(b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
            await asyncio.sleep(0.2)
            asked_at = time.monotonic()
            service.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(service.process.wait, 40) == 0
            assert time.monotonic() - asked_at < 25
    finally:
        service.kill()
    assert installation.processes() == []


async def test_asked_to_end_while_it_starts_it_ends(installation: Installation) -> None:
    for delay in (0.3, 1.2, 2.5):
        service = ServiceProcess(installation.environment)
        starting = asyncio.create_task(asyncio.to_thread(started, service, installation.log))
        await asyncio.sleep(delay)
        service.process.send_signal(signal.SIGTERM)
        await starting
        assert service.process.wait(30) in (0, -signal.SIGTERM)
        assert installation.processes() == []


def started(service: ServiceProcess, log: Path) -> None:
    with suppress(RuntimeError):  # it ended before it was ready
        service.start(log)
