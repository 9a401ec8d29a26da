"""kill -9 of one of two processes with 500 pages in flight: the other one brings every page."""

from __future__ import annotations

import asyncio
import resource
import socket
import subprocess
import sys
import time
from asyncio import StreamWriter
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from tests.faults.paging import set_up_lane
from tests.faults.processes import kill_tree, local_ports
from tests.integration.notify.provider import Received, answers, provider
from tests.running import ServiceProcess, environment_of, new_tenant
from tests.wire import Wire, wire

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

# So many alerts for each channel: five are told one by one, a storm is told together.
ALONE = {f"alone-{number}": 5 for number in range(170)}
STORMS = {f"storm-{number}": 20 for number in range(5)}
IN_FLIGHT_MIN = 500
# A provider is waited for for ten seconds.
HOLD_SECONDS_MAX = 9.0
ANSWER_SECONDS = 2.0
LATE_MAX = 30.0
# A service that is content with the files it is given could not even have its pages in flight.
FILE_COUNT = 256
TCP_ESTABLISHED = 1

PAGES = """query Pages($after: String) { deliveries(first: 100, after: $after) {
  nodes { status } pageInfo { hasNextPage endCursor } } }"""


@dataclass(frozen=True, slots=True)
class Telling:
    """One message as the provider met it.

    Attributes:
        taken: Whether the sender was still there to hear the answer.
    """

    arrived_at: float
    webhook_id: str
    alert_ids: tuple[str, ...]
    taken: bool


@dataclass(slots=True)
class SlowProvider:
    """Takes everything, and answers nothing before it is told to, and then each after a while.

    Attributes:
        held_ports: Where the senders of what has no answer yet are: each message has a connection of its own.
    """

    tellings: list[Telling] = field(default_factory=list)
    held_ports: set[int] = field(default_factory=set)
    answering: asyncio.Event = field(default_factory=asyncio.Event)

    async def play(self, received: Received, writer: StreamWriter) -> None:
        """Answer one message."""
        arrived_at = time.monotonic()
        data = received.json["data"]
        assert len(data["alerts"]) == data["alertCount"], "the test counts on every alert being named"
        ids = tuple(alert["id"] for alert in data["alerts"])
        assert received.from_port not in self.held_ports
        self.held_ports.add(received.from_port)
        try:
            async with asyncio.timeout(HOLD_SECONDS_MAX):
                await self.answering.wait()
                await asyncio.sleep(ANSWER_SECONDS)
        except TimeoutError:
            pass
        self.held_ports.remove(received.from_port)
        self.tellings.append(Telling(arrived_at, received.headers["webhook-id"], ids, _is_heard(writer)))
        await answers()(received, writer)

    async def until_in_flight(self, sender: ServiceProcess, count: int, deadline: float) -> int:
        """Return once so many messages of one sender are here, all without an answer, and tell how many."""
        found = 0
        while found < count:
            assert time.monotonic() < deadline, f"{len(self.held_ports)} are in flight, {found} of them of one"
            await asyncio.sleep(0.02)
            # Who sent them is looked up only where it can be enough.
            if len(self.held_ports) >= count:
                found = len(self.held_ports & local_ports(sender.process.pid))
        return found


def _is_heard(writer: StreamWriter) -> bool:
    """Say whether somebody still waits at the other end: whoever was killed has closed it."""
    try:
        state = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    except OSError:
        return False
    return bool(state[0] == TCP_ESTABLISHED)


@contextmanager
def few_files() -> Iterator[None]:
    """Give processes that are started now as few open files as a careless machine does."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard == resource.RLIM_INFINITY or hard > 2000, "the test itself needs more open files"
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILE_COUNT, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def pair(directory: Path, environment: Mapping[str, str]) -> Iterator[list[ServiceProcess]]:
    """Run two services, each with an engine, on one database."""
    services = [ServiceProcess(environment) for _ in range(2)]
    try:
        with few_files():
            started = [service.start(directory / f"log-{service.port}") for service in services]
        yield started
    finally:
        for service in services:
            service.kill()


def verify(environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `alertgraph audit verify` on the database."""
    return subprocess.run(
        [sys.executable, "-m", "alertgraph", "audit", "verify"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


async def statuses(connection: Wire) -> Counter[str]:
    """Return how many deliveries are in which state."""
    found: Counter[str] = Counter()
    after = None
    while True:
        page = (await connection.graphql(PAGES, {"after": after})).json()["data"]["deliveries"]
        found.update(node["status"] for node in page["nodes"])
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


async def test_kill_9_with_500_pages_in_flight_loses_none(database_url: str, tmp_path: Path) -> None:
    more = {"CRITICAL_ALERT_ALLOW_PRIVATE_TARGETS": "true", "CRITICAL_ALERT_COST_BUDGET": "100000000"}
    environment = environment_of(database_url, **more)
    counts = ALONE | STORMS
    drafts = [
        {"title": f"{lane} {number}", "severity": "HIGH", "dedupKey": f"{lane} {number}", "labels": {"lane": lane}}
        for number in range(max(counts.values()))
        for lane, count in counts.items()
        if number < count
    ]
    slow = SlowProvider()
    with pair(tmp_path, environment) as (doomed, survivor):
        slug = f"t-{uuid4().hex[:12]}"
        tenant = await asyncio.to_thread(new_tenant, survivor.url, environment, slug)
        async with provider(slow.play) as loopback, wire(survivor.url, tenant.admin_key) as connection:
            for lane in counts:
                await set_up_lane(connection, lane, f"{loopback.url}/{lane}")
            due_at = time.monotonic()
            # Whoever takes the alerts hears of the pages first, and has its hands full of them.
            async with wire(doomed.url, tenant.admin_key) as to_doomed:
                reply = await to_doomed.post("/api/v1/critical-alerts/bulk", drafts)
            wanted = {outcome["alert"]["id"] for outcome in reply.json()["outcomes"]}
            assert len(wanted) == len(drafts) == 950

            in_flight = await slow.until_in_flight(doomed, IN_FLIGHT_MIN, due_at + HOLD_SECONDS_MAX)
            full_at = time.monotonic()
            await asyncio.to_thread(kill_tree, doomed)
            slow.answering.set()

            while (found := await statuses(connection)) != Counter(SENT=len(wanted)):
                assert time.monotonic() < due_at + 60, found
                await asyncio.sleep(0.5)

    late = max(one.arrived_at - due_at for one in slow.tellings if one.taken)
    lost = [one for one in slow.tellings if not one.taken]
    figures = f"{in_flight} in flight after {full_at - due_at:.1f} s, {len(lost)} lost, at most {late:.1f} s late"
    keys: dict[str, set[str]] = defaultdict(set)
    for one in slow.tellings:
        for alert_id in one.alert_ids:
            keys[alert_id].add(one.webhook_id)
    taken = {alert_id for one in slow.tellings if one.taken for alert_id in one.alert_ids}
    assert taken == wanted
    assert late < LATE_MAX, figures
    # Whoever was told twice can tell it by the key.
    assert {alert_id: ids for alert_id, ids in keys.items() if len(ids) > 1} == {}
    # Nobody heard the answer to what was in flight, and each of that was told again.
    assert len(lost) >= IN_FLIGHT_MIN, figures
    tellings = Counter(one.webhook_id for one in slow.tellings)
    assert all(tellings[one.webhook_id] > 1 for one in lost)
    print(figures)  # noqa: T201  (with -s, and where it fails)

    verified = await asyncio.to_thread(verify, environment)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "every leaf and link holds" in verified.stdout
