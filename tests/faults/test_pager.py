"""kill -9 of one of two processes with hundreds of pages in flight: the other one brings every page."""

from __future__ import annotations

import asyncio
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
from typing import Any
from uuid import uuid4

import pytest

from tests.faults.processes import kill_tree
from tests.integration.notify.provider import Received, answers, provider
from tests.running import ServiceProcess, environment_of, new_tenant
from tests.wire import Wire, wire

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

# So many alerts for each channel: five are told one by one, a storm is told together.
ALONE = {f"alone-{number}": 5 for number in range(80)}
STORMS = {f"storm-{number}": 20 for number in range(5)}
ANSWER_SECONDS = 3.0
LATE_MAX = 30.0
TCP_ESTABLISHED = 1

CREATE_CHANNEL = """mutation Create($input: NotificationChannelInput!) {
  createNotificationChannel(input: $input) { notificationChannel { id } errors { code message } } }"""
CREATE_RULE = """mutation Create($input: EscalationRuleInput!) {
  createEscalationRule(input: $input) { escalationRule { id } errors { code message } } }"""
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
    """Takes everything, and answers each after a while."""

    tellings: list[Telling] = field(default_factory=list)
    under_way_count: int = 0

    async def play(self, received: Received, writer: StreamWriter) -> None:
        """Answer one message."""
        arrived_at = time.monotonic()
        self.under_way_count += 1
        await asyncio.sleep(ANSWER_SECONDS)
        self.under_way_count -= 1
        data = received.json["data"]
        assert len(data["alerts"]) == data["alertCount"], "the test counts on every alert being named"
        ids = tuple(alert["id"] for alert in data["alerts"])
        self.tellings.append(Telling(arrived_at, received.headers["webhook-id"], ids, _is_heard(writer)))
        await answers()(received, writer)


def _is_heard(writer: StreamWriter) -> bool:
    """Say whether somebody still waits at the other end: whoever was killed has closed it."""
    try:
        state = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    except OSError:
        return False
    return bool(state[0] == TCP_ESTABLISHED)


@contextmanager
def pair(directory: Path, environment: Mapping[str, str]) -> Iterator[list[ServiceProcess]]:
    """Run two services, each with an engine, on one database."""
    services = [ServiceProcess(environment) for _ in range(2)]
    try:
        yield [service.start(directory / f"log-{service.port}") for service in services]
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


async def made(connection: Wire, mutation: str, wanted: Mapping[str, Any]) -> str:
    """Make something and return its id."""
    reply = (await connection.graphql(mutation, {"input": wanted})).json()
    [payload] = reply["data"].values()
    assert payload["errors"] == []
    [item] = [value for name, value in payload.items() if name != "errors"]
    return str(item["id"])


async def set_up(connection: Wire, url: str) -> None:
    """Make a channel and a rule for each lane."""
    for lane in (*ALONE, *STORMS):
        config = {"webhook": {"url": f"{url}/{lane}"}}
        channel_id = await made(connection, CREATE_CHANNEL, {"name": lane, "config": config})
        rule = {
            "name": lane,
            "matchers": [{"label": "lane", "value": lane}],
            "levels": [{"delay": "PT1H", "targets": [{"channelId": channel_id}]}],
        }
        await made(connection, CREATE_RULE, rule)


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


async def test_kill_9_with_hundreds_of_pages_in_flight_loses_none(database_url: str, tmp_path: Path) -> None:
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
            await set_up(connection, loopback.url)
            due_at = time.monotonic()
            # Whoever takes the alerts hears of the pages first, and has its hands full of them.
            async with wire(doomed.url, tenant.admin_key) as to_doomed:
                reply = await to_doomed.post("/api/v1/critical-alerts/bulk", drafts)
            wanted = {outcome["alert"]["id"] for outcome in reply.json()["outcomes"]}
            assert len(wanted) == 500

            while slow.under_way_count < 200:
                assert time.monotonic() < due_at + 20, f"{slow.under_way_count} are under way"
                await asyncio.sleep(0.01)
            await asyncio.to_thread(kill_tree, doomed)

            while (found := await statuses(connection)) != Counter(SENT=len(wanted)):
                assert time.monotonic() < due_at + 60, found
                await asyncio.sleep(0.5)

    late = max(one.arrived_at - due_at for one in slow.tellings if one.taken)
    keys: dict[str, set[str]] = defaultdict(set)
    for one in slow.tellings:
        for alert_id in one.alert_ids:
            keys[alert_id].add(one.webhook_id)
    taken = {alert_id for one in slow.tellings if one.taken for alert_id in one.alert_ids}
    assert taken == wanted
    assert late < LATE_MAX
    # Whoever was told twice can tell it by the key.
    assert {alert_id: ids for alert_id, ids in keys.items() if len(ids) > 1} == {}
    lost = [one for one in slow.tellings if not one.taken]
    assert len(lost) > 100, "it was not killed in the middle of much"
    tellings = Counter(one.webhook_id for one in slow.tellings)
    assert all(tellings[one.webhook_id] > 1 for one in lost)

    verified = await asyncio.to_thread(verify, environment)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "every leaf and link holds" in verified.stdout
