"""PostgreSQL and Redis go away under load, and come back: nothing that was answered is lost, nothing hangs."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from alertgraph.core.cursor import decode_log_cursor
from tests.faults.processes import descendants
from tests.faults.stores import Postgres, running
from tests.running import RunningService, ServiceProcess, environment_of
from tests.servers import RedisServer, free_port
from tests.sockets import Follower
from tests.wire import Creates, UnansweredError, check_kept, wire

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

CONNECTIONS = 16
RECOVERY_SECONDS = 10.0


@dataclass
class Load:
    """Creates that go on until they are stopped, and whoever follows them."""

    creates: Creates
    follower: Follower
    sending: asyncio.Task[None]
    recoveries: list[float] = field(default_factory=list)
    other_count: int = 0

    async def until_more(self, number: int, patience: float = 30.0) -> None:
        """Wait until that many more are answered."""
        wanted = len(self.creates.ids) + number
        deadline = time.monotonic() + patience
        while len(self.creates.ids) < wanted:
            assert not self.sending.done(), self.sending.exception()
            assert time.monotonic() < deadline, f"nothing is answered any more: {self.creates.outcomes}"
            await asyncio.sleep(0.005)

    async def recovers(self) -> None:
        """Note how long it takes until something is answered again."""
        began_at = time.monotonic()
        await self.until_more(1)
        self.recoveries.append(time.monotonic() - began_at)


@asynccontextmanager
async def under_load(tenant: RunningService) -> AsyncIterator[Load]:
    """Create alerts without end; afterwards check that each that was answered is kept and was told."""
    async with wire(tenant.url, tenant.admin_key) as connection:
        reply = await connection.graphql("{ events(first: 1) { asOf } }")
        start = reply.json()["data"]["events"]["asOf"]
        creates = Creates(tenant.url, tenant.admin_key, "load")
        async with Follower(tenant.websocket_url, tenant.admin_key, after=start) as follower:
            sending = asyncio.create_task(creates.send(count(), CONNECTIONS))
            load = Load(creates, follower, sending)
            await load.until_more(100)
            yield load
            await load.until_more(100)
            creates.is_stopped = True
            await sending
            # Each is triggered once, and held once since there is no rule.
            alert_count = len(creates.ids) + load.other_count
            await follower.until(lambda: follower.kinds.count("HELD") >= alert_count, patience=30)
            reply = await connection.graphql("{ events(first: 1) { asOf } }")
            first = decode_log_cursor(start).number + 1
            last = decode_log_cursor(reply.json()["data"]["events"]["asOf"]).number
            await follower.until_number(last, patience=30)
            assert follower.numbers == list(range(first, last + 1))
            assert Counter(follower.kinds) == {"TRIGGERED": alert_count, "HELD": alert_count}
    await check_kept(creates)


def verify(tenant: RunningService) -> None:
    command = [sys.executable, "-m", "alertgraph", "audit", "verify", "--tenant", tenant.tenant]
    verified = subprocess.run(
        command, env=dict(tenant.environment), capture_output=True, text=True, timeout=60, check=False
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr


async def test_postgres_is_killed_again_and_again(postgres: Postgres, tmp_path: Path) -> None:
    with running(postgres, tmp_path / "log") as (_, tenant):
        async with under_load(tenant) as load:
            for outage in (0.0, 0.0, 3.0, 0.0, 1.0, 0.0):
                with postgres.killed():
                    await asyncio.sleep(outage)
                await load.recovers()
                await load.until_more(50)
        assert load.creates.outcomes["unanswered"] == 0, "the service itself was always there"
        assert load.creates.outcomes["refused"] > 0
        assert set(load.creates.refusals) == {"UNAVAILABLE"}
        assert load.creates.slowest < 15
        assert max(load.recoveries) < RECOVERY_SECONDS
        # The stream went on, on the same socket.
        assert (load.follower.connects, load.follower.closes, load.follower.refusals) == (1, [], [])
        verify(tenant)


async def test_while_postgres_is_away_every_door_says_so(postgres: Postgres, tmp_path: Path) -> None:
    alert = {"title": "t", "severity": "HIGH", "dedupKey": "k"}
    with running(postgres, tmp_path / "log") as (_, tenant):
        async with (
            wire(tenant.url, tenant.admin_key) as connection,
            wire(tenant.url, "ag_" + "x" * 40) as stranger,
        ):
            alert_id = (await connection.post("/api/v1/critical-alerts", alert)).json()["id"]
            with postgres.killed():
                for _ in range(2):
                    refused = {
                        "rest": await connection.post("/api/v1/critical-alerts", alert),
                        "bulk": await connection.post("/api/v1/critical-alerts/bulk", [alert]),
                        "read": await connection.get(f"/api/v1/critical-alerts/{alert_id}"),
                        "alertmanager": await connection.post("/api/v2/alerts", [{"labels": {"a": "b"}}]),
                        "listed": await connection.get("/api/v2/alerts"),
                        "query": await connection.graphql("{ alerts { nodes { id } } }"),
                        "mutation": await connection.graphql(
                            "mutation M($input: CreateAlertInput!) { createAlert(input: $input) { created } }",
                            {"input": alert},
                        ),
                        "stranger": await stranger.graphql("{ viewer { tenant { slug } } }"),
                        "ready": await connection.get("/readyz"),
                    }
                    for name, reply in refused.items():
                        assert reply.status == 503, (name, reply.body)
                        assert int(reply.headers["retry-after"]) >= 1, name
                        assert reply.seconds < 5, name
                    for name in ("query", "mutation", "stranger"):
                        (error,) = refused[name].json()["errors"]
                        assert error["extensions"]["code"] == "UNAVAILABLE"
                    assert (await connection.get("/livez")).status == 200
                    assert (await connection.get("/metrics")).status == 200
                    await asyncio.sleep(2.5)
            deadline = time.monotonic() + RECOVERY_SECONDS
            while (await connection.get("/readyz")).status != 200:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            # What was refused was not done.
            assert (await connection.get(f"/api/v1/critical-alerts/{alert_id}")).json()["occurrenceCount"] == 1


@pytest.mark.parametrize("seconds", [4, 25])
async def test_postgres_hangs(postgres: Postgres, tmp_path: Path, seconds: float) -> None:
    with running(postgres, tmp_path / "log") as (_, tenant):
        async with under_load(tenant) as load:
            with postgres.hanging():
                await asyncio.sleep(seconds)
            await load.recovers()
        assert load.creates.slowest < 15
        assert max(load.recoveries) < RECOVERY_SECONDS
        assert load.creates.outcomes["unanswered"] == 0
        assert set(load.creates.refusals) <= {"UNAVAILABLE"}
        verify(tenant)


async def test_an_embedded_postgres_that_is_killed_comes_back(data_dir: Path, tmp_path: Path) -> None:
    environment = environment_of("", CRITICAL_ALERT_DATA_DIR=str(data_dir), CRITICAL_ALERT_COST_BUDGET="100000000")
    for name in ("CRITICAL_ALERT_DATABASE_URL", "CRITICAL_ALERT_MASTER_KEY"):
        del environment[name]
    service = ServiceProcess(environment).start(tmp_path / "log")
    try:
        key = (data_dir / "bootstrap_key").read_text().strip()
        tenant = RunningService(service.url, "default", key, key, "", environment)
        async with under_load(tenant) as load:
            for _ in range(2):
                for pid in descendants(service.process.pid):
                    os.kill(pid, signal.SIGKILL)
                await load.recovers()
                await load.until_more(50)
        assert max(load.recoveries) < RECOVERY_SECONDS
        assert load.follower.connects == 1
        verify(tenant)
        assert service.stop() == 0
    finally:
        service.kill()


# -------------------------------------------------------------------------------------------- Redis


async def test_redis_is_killed_for_ten_seconds(postgres: Postgres, tmp_path: Path) -> None:
    """Two processes: while Redis is away each event is found by the other's sweep, afterwards by hints again."""
    with (
        RedisServer(tmp_path) as redis,
        running(postgres, tmp_path / "one", CRITICAL_ALERT_REDIS_URL=redis.url) as (_, tenant),
        running(postgres, tmp_path / "two", CRITICAL_ALERT_REDIS_URL=redis.url) as (other, _),
    ):
        elsewhere = RunningService(
            other.url, tenant.tenant, tenant.admin_key, tenant.ingest_key, postgres.url, tenant.environment
        )
        async with under_load(tenant) as load, wire(tenant.url, tenant.admin_key) as connection:
            await comes_by_a_hint(load, tenant, elsewhere)
            redis.kill()
            killed_at = time.monotonic()
            delays = []
            while time.monotonic() - killed_at < 10:
                delays.append(await delay_between(load, tenant, elsewhere))
                reply = await connection.graphql("{ alerts(first: 1) { nodes { id } } }")
                assert reply.status == 200
                assert reply.seconds < 2
            assert sorted(delays)[len(delays) * 9 // 10] < 2
            redis.start()
            await comes_by_a_hint(load, tenant, elsewhere)
        assert load.creates.outcomes["refused"] == load.creates.outcomes["unanswered"] == 0
        assert load.creates.slowest < 5
        assert load.follower.connects == 1


async def comes_by_a_hint(load: Load, writer: RunningService, reader: RunningService) -> None:
    """Wait until the middle of three events comes sooner than a sweep would find it."""
    deadline = time.monotonic() + 20
    while await delay_between(load, writer, reader) > 0.25:
        assert time.monotonic() < deadline, "hints do not come"


async def delay_between(load: Load, writer: RunningService, reader: RunningService) -> float:
    """Return the middle of three times that an event of one process took to the stream of the other."""
    delays = []
    async with (
        wire(writer.url, writer.admin_key) as connection,
        Follower(
            reader.websocket_url, reader.admin_key, filter={"source": ["delay"], "kinds": ["TRIGGERED"]}
        ) as follower,
    ):
        await follower.until(lambda: follower.connects > 0)
        await asyncio.sleep(0.1)
        for number in range(3):
            draft = {"title": "t", "severity": "LOW", "source": "delay", "dedupKey": uuid4().hex}
            load.other_count += 1
            try:
                await connection.post("/api/v1/critical-alerts", draft)
            except UnansweredError:
                raise AssertionError("the service was always there") from None
            written_at = time.monotonic()
            await follower.until(lambda number=number: len(follower.numbers) > number)  # type: ignore[misc]
            delays.append(follower.heard_at[-1] - written_at)
    return sorted(delays)[1]


# -------------------------------------------------------------------------------------------- starts


def with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.username}:{password}@{parts.hostname or ''}").geturl()


@pytest.fixture
def silent() -> Iterator[str]:
    """An address where connections are taken and nothing is ever said."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def refusals(postgres: Postgres, redis_url: str, silent: str) -> Mapping[str, dict[str, str]]:
    """What may be wrong with the stores at the start, as variables."""
    nobody = f"127.0.0.1:{free_port()}"
    return {
        "silent-database": {"CRITICAL_ALERT_DATABASE_URL": f"postgresql://u:canary@{silent}/d"},
        "silent-redis": {"CRITICAL_ALERT_REDIS_URL": f"redis://:canary@{silent}/0"},
        "wrong-redis-password": {"CRITICAL_ALERT_REDIS_URL": redis_url.replace("//", "//:canary@")},
        "no-database-there": {"CRITICAL_ALERT_DATABASE_URL": f"postgresql://u:canary@{nobody}/d"},
        "no-host": {"CRITICAL_ALERT_DATABASE_URL": "postgresql://u:canary@nowhere.invalid/d"},
        "wrong-password": {"CRITICAL_ALERT_DATABASE_URL": with_password(postgres.url, "canary")},
        "no-such-database": {
            "CRITICAL_ALERT_DATABASE_URL": urlsplit(postgres.url)._replace(path="/missing").geturl()
        },
        "no-redis-there": {"CRITICAL_ALERT_REDIS_URL": f"redis://:canary@{nobody}/0"},
        "no-redis-host": {"CRITICAL_ALERT_REDIS_URL": "redis://:canary@nowhere.invalid/0"},
    }


NAMES = (
    "no-database-there",
    "no-host",
    "silent-database",
    "wrong-password",
    "no-such-database",
    "no-redis-there",
    "no-redis-host",
    "silent-redis",
    "wrong-redis-password",
)


@pytest.mark.parametrize(
    ("name", "program"),
    [
        *((name, "alertgraph") for name in NAMES),
        *((name, "uvicorn") for name in ("no-database-there", "wrong-password", "no-redis-there", "silent-redis")),
    ],
)
def test_a_store_that_is_missing_at_the_start_is_one_sentence(
    postgres: Postgres, refusals: Mapping[str, dict[str, str]], name: str, program: str
) -> None:
    environment = {**environment_of(postgres.url), **refusals[name]}
    port = str(free_port())
    command = {
        "alertgraph": ["-m", "alertgraph", "serve", "--port", port],
        "uvicorn": ["-m", "uvicorn", "critical_alert_service:app", "--port", port],
    }[program]
    began_at = time.monotonic()
    ended = subprocess.run(
        [sys.executable, *command],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert time.monotonic() - began_at < 15
    assert ended.returncode != 0
    said = ended.stdout + ended.stderr
    assert "Traceback" not in said
    assert "canary" not in said
    named = "redis can't be used" if "redis" in name else "the database can't be reached"
    assert named in said.lower()
    if program == "alertgraph":
        assert ended.stderr.startswith("alertgraph: ")
        assert ended.stderr.endswith(".\n")
        assert ended.stderr.count("\n") == 1, "it is one line"


def test_a_port_that_is_taken_is_one_sentence(postgres: Postgres) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        began_at = time.monotonic()
        ended = subprocess.run(
            [sys.executable, "-m", "alertgraph", "serve", "--port", port],
            env=environment_of(postgres.url),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert time.monotonic() - began_at < 15
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert f"Port {port} on 127.0.0.1 is taken" in ended.stderr
