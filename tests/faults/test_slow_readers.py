"""Two hundred clients that follow and never read: nobody else notices, and they are let go."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from tests.running import RunningService, ServiceProcess, environment_of, new_tenant
from tests.servers import DatabaseServers
from tests.sockets import Follower, Socket, opened
from tests.wire import CREATE, Wire, wire

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

COUNT = 200
DETAILED = "subscription { alertEvents { number detail } }"


def resident_bytes(pid: int) -> int:
    """Return how much memory a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


async def deaf_socket(service: RunningService, stack: AsyncExitStack) -> Socket:
    """Follow through a receive buffer that is full at once, and read nothing."""
    host, port = service.url.removeprefix("http://").split(":")
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.setblocking(False)
    await asyncio.get_running_loop().sock_connect(narrow, (host, int(port)))
    client = await stack.enter_async_context(
        opened(service.websocket_url, service.admin_key, sock=narrow, max_queue=1, close_timeout=0.1)
    )
    # Nothing more is taken off the wire.
    client.connection.transport.pause_reading()
    await client.subscribe(DETAILED)
    return client


@pytest.fixture
def running(database_servers: DatabaseServers, tmp_path: Path) -> Iterator[tuple[ServiceProcess, RunningService]]:
    with database_servers.get("wheel").database(migrated=True) as url:
        environment = environment_of(url, CRITICAL_ALERT_COST_BUDGET="100000000")
        process = ServiceProcess(environment).start(tmp_path / "log")
        try:
            yield process, new_tenant(process.url, environment, f"t-{uuid4().hex[:12]}")
        finally:
            process.kill()


async def test_clients_that_never_read_are_let_go(running: tuple[ServiceProcess, RunningService]) -> None:
    process, tenant = running
    async with (
        AsyncExitStack() as stack,
        wire(tenant.url, tenant.admin_key) as connection,
        Follower(tenant.websocket_url, tenant.admin_key, filter={"kinds": ["TRIGGERED"]}) as quick,
    ):
        await quick.until(lambda: quick.connects > 0)
        for start in range(0, COUNT, 20):
            await asyncio.gather(*(deaf_socket(tenant, stack) for _ in range(start, start + 20)))
        await asyncio.sleep(1)
        before = resident_bytes(process.process.pid)
        began_at = time.monotonic()
        sent_at: list[float] = []
        most = 0
        while await figure(connection, 'alertgraph_websockets_closed_total{code="4410"}') < COUNT:
            assert time.monotonic() - began_at < 60, "they are not let go"
            bulk = {"text": "x" * 4_000}
            draft = {"title": "t", "severity": "LOW", "dedupKey": uuid4().hex, "annotations": bulk}
            sent_at.append(time.monotonic())
            assert (await connection.graphql(CREATE, {"input": draft})).status == 200
            most = max(most, resident_bytes(process.process.pid))
            await asyncio.sleep(0.1)
        await quick.until(lambda: len(quick.numbers) == len(sent_at))

        delays = sorted(heard - sent for heard, sent in zip(quick.heard_at, sent_at, strict=True))
        assert delays[len(delays) // 2] < 0.5
        assert delays[-1] < 5
        assert most - before < 50 << 20, f"{(most - before) >> 20} MiB more"
        deadline = time.monotonic() + 30
        while open_sockets(process.process.pid, process.port) > 4:
            assert time.monotonic() < deadline, "their connections stay open"
            await asyncio.sleep(0.2)


async def figure(connection: Wire, name: str) -> float:
    """Return a figure of /metrics; 0 where it is not there yet."""
    page = (await connection.get("/metrics")).body.decode()
    found = re.search(rf"^{re.escape(name)} (\S+)$", page, re.MULTILINE)
    return float(found[1]) if found is not None else 0.0


def open_sockets(pid: int, port: int) -> int:
    """Return how many connections to a port a process holds."""
    mine = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            mine.add(entry.readlink().name)
        except OSError:
            continue
    established = "01"
    count = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        count += (
            fields[1].endswith(f":{port:04X}") and fields[3] == established and f"socket:[{fields[9]}]" in mine
        )
    return count
