"""The ways of waking other processes, each with a real server that can be lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

import asyncpg
import pytest
import redis

from alertgraph.cache.live_updates import CHANNELS, InProcessExchange, InProcessWakeups, RedisWakeups
from alertgraph.core.ids import TenantId
from alertgraph.services.wakeups import LinkedWakeups
from alertgraph.storage.embedded import EmbeddedPostgres
from alertgraph.storage.notify import CHANNEL, PostgresWakeups
from tests.integration.cache.peer import Reports, SystemClock, SystemDice
from tests.integration.cache.redis_servers import NO_SHARDED_COMMANDS, Server, cluster, single, wait_for_cluster
from tests.servers import DatabaseServers, short_directory

AnyWakeups = InProcessWakeups | LinkedWakeups


def a_tenant() -> TenantId:
    return TenantId(uuid4())


async def eventually(condition: Callable[[], bool], seconds: float = 15) -> None:
    """Return once that holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 what is awaited may be anything
            await asyncio.sleep(0.005)


class Ear:
    """Collects what a listener yields."""

    def __init__(self, hints: AsyncIterator[tuple[TenantId, int]]) -> None:
        self.heard: list[tuple[TenantId, int]] = []
        self._task = asyncio.create_task(self._collect(hints))

    async def _collect(self, hints: AsyncIterator[tuple[TenantId, int]]) -> None:
        async for hint in hints:
            self.heard.append(hint)

    async def hears(self, tenant_id: TenantId, number: int, seconds: float = 15) -> None:
        await eventually(lambda: (tenant_id, number) in self.heard, seconds)

    async def ended(self) -> None:
        async with asyncio.timeout(5):
            await self._task


class Way(ABC):
    """One way between processes."""

    peer: ClassVar[str]

    def __init__(self) -> None:
        self.reports = Reports()

    @property
    @abstractmethod
    def url(self) -> str: ...

    @abstractmethod
    def make(self, **options: timedelta) -> AnyWakeups: ...


class LinkedWay(Way):
    """One with a server that can be lost."""

    @abstractmethod
    def make(self, **options: timedelta) -> LinkedWakeups: ...

    @abstractmethod
    async def kill_server(self) -> None: ...

    @abstractmethod
    async def start_server(self) -> None: ...

    @abstractmethod
    async def cut(self) -> None:
        """Close the connections from the server's side."""

    @abstractmethod
    async def hang(self) -> Callable[[], None]:
        """Let the present connections hang; the result ends that."""

    @abstractmethod
    async def say_garbage(self) -> None: ...

    @abstractmethod
    async def connection_count(self) -> int: ...


class InProcessWay(Way):
    def __init__(self) -> None:
        super().__init__()
        self._exchange = InProcessExchange()

    @property
    def url(self) -> str:
        raise NotImplementedError

    def make(self, **options: timedelta) -> InProcessWakeups:
        return InProcessWakeups(self._exchange)


class NotifyWay(LinkedWay):
    peer = "notify"

    def __init__(self, url: str, postgres: EmbeddedPostgres | None = None) -> None:
        super().__init__()
        self._url = url
        self._postgres = postgres

    @property
    def url(self) -> str:
        return self._url

    def make(self, **options: timedelta) -> PostgresWakeups:
        role = "ag_api" if self._postgres is None else None
        return PostgresWakeups(self.url, SystemClock(), SystemDice(), self.reports, role=role, **options)

    async def kill_server(self) -> None:
        assert self._postgres is not None
        assert self._postgres.pid is not None
        os.kill(self._postgres.pid, signal.SIGKILL)
        # Its supervisor would start it again at once.
        await asyncio.to_thread(self._postgres.stop)

    async def start_server(self) -> None:
        assert self._postgres is not None
        await asyncio.to_thread(self._postgres.start)
        assert self._postgres.url == self.url

    async def cut(self) -> None:
        await self._query(f"SELECT pg_terminate_backend(pid) {_BACKENDS}")

    async def hang(self) -> Callable[[], None]:
        pids = [int(row[0]) for row in await self._query(f"SELECT pid {_BACKENDS}")]
        assert pids
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)

        def resume() -> None:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

        return resume

    async def say_garbage(self) -> None:
        await self._query("SELECT pg_notify($1, 'good evening')", CHANNEL)
        await self._query("SELECT pg_notify($1, '')", CHANNEL)

    async def connection_count(self) -> int:
        return len(await self._query(f"SELECT pid {_BACKENDS}"))

    async def _query(self, query: str, *arguments: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.url)
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()


_BACKENDS = """FROM pg_stat_activity
    WHERE application_name = 'alertgraph wake-ups' AND datname = current_database()"""


class RedisWay(LinkedWay):
    peer = "redis"

    def __init__(self, servers: list[Server], sharded: bool = True) -> None:
        super().__init__()
        self.servers = servers
        self._sharded = sharded

    @property
    def url(self) -> str:
        if len(self.servers) == 1:
            return self.servers[0].url
        return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    def make(self, **options: timedelta) -> RedisWakeups:
        return RedisWakeups(self.url, SystemClock(), SystemDice(), self.reports, **options)

    async def kill_server(self) -> None:
        self.servers[0].kill()

    async def start_server(self) -> None:
        await asyncio.to_thread(self.servers[0].start)
        if len(self.servers) > 1:
            with contextlib.ExitStack() as stack:
                clients = [stack.enter_context(server.client()) for server in self.servers]
                await asyncio.to_thread(wait_for_cluster, clients)

    async def cut(self) -> None:
        for server in self.servers:
            with server.client() as client:
                client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    async def hang(self) -> Callable[[], None]:
        self.servers[0].signal(signal.SIGSTOP)
        return lambda: self.servers[0].signal(signal.SIGCONT)

    async def say_garbage(self) -> None:
        for server in self.servers:
            with server.client() as client:
                for channel in CHANNELS:
                    for garbage in (
                        b"good evening",
                        b"",
                        b"\x01" + bytes(8 + 23),
                        b"\x01" + bytes(24) + b"\xff" * 8,
                    ):
                        with contextlib.suppress(redis.ResponseError):  # of another node of the cluster
                            client.execute_command("SPUBLISH" if self._sharded else "PUBLISH", channel, garbage)

    async def connection_count(self) -> int:
        count = 0
        for server in self.servers:
            with server.client() as client:
                count += sum(one["name"] == "alertgraph" for one in client.client_list())
        return count


@contextlib.contextmanager
def open_way(name: str, databases: DatabaseServers, directory: Path) -> Iterator[Way]:
    """Yield a way by the name of its test parameter."""
    match name:
        case "in-process":
            yield InProcessWay()
        case "notify-wheel" | "notify-other":
            with databases.get(name.removeprefix("notify-")).database(migrated=True) as url:
                yield NotifyWay(url)
        case "redis" | "valkey":
            with single(name, directory) as server:
                yield RedisWay([server])
        case "redis-without-shards":
            with single("redis", directory, *NO_SHARDED_COMMANDS) as server:
                yield RedisWay([server], sharded=False)
        case "redis-cluster" | "valkey-cluster":
            with cluster(name.partition("-")[0], directory) as servers:
                yield RedisWay(servers)
        case "notify-killable":
            with short_directory() as data_dir, EmbeddedPostgres(data_dir, durable=False) as postgres:
                yield NotifyWay(postgres.url, postgres)
        case _:
            raise AssertionError(name)


LINKED = (
    "notify-wheel",
    pytest.param("notify-other", marks=pytest.mark.second_server),
    "redis",
    "valkey",
    "redis-without-shards",
    "valkey-cluster",
)
KILLABLE = ("notify-killable", "redis", "valkey", "redis-cluster")


@pytest.fixture
def way(request: pytest.FixtureRequest, database_servers: DatabaseServers, tmp_path: Path) -> Iterator[Way]:
    """One way between processes."""
    with open_way(request.param, database_servers, tmp_path) as opened:
        yield opened


@pytest.fixture
def linked_way(way: Way) -> LinkedWay:
    """One with a server that can be lost."""
    assert isinstance(way, LinkedWay)
    return way


@pytest.fixture
async def make(way: Way) -> AsyncIterator[Callable[..., Awaitable[AnyWakeups]]]:
    """Start one more process's wake-ups."""
    made: list[AnyWakeups] = []

    async def start(**options: timedelta) -> AnyWakeups:
        wakeups = way.make(**options)
        made.append(wakeups)
        await wakeups.start()
        return wakeups

    yield start
    for wakeups in made:
        await wakeups.close()
