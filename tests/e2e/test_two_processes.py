"""Several processes on one database: each shows what the others write, and none decides on what is past."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.running import RunningService, ServiceProcess, environment_of, new_tenant
from tests.servers import DatabaseServers, RedisServer
from tests.sockets import Follower
from tests.wire import Wire, wire

# The processes are started once, for all tests.
pytestmark = pytest.mark.xdist_group("two_processes")

FIRE = """mutation Fire($input: CreateAlertInput!) {
  createAlert(input: $input) { created alert { id } errors { code message } } }"""
ACT = """mutation Act($input: AlertActionInput!) {
  resolveAlert(input: $input) { changed alert { id status } errors { code message } } }"""
ACKNOWLEDGE = """mutation Act($input: AcknowledgeAlertInput!) {
  acknowledgeAlert(input: $input) { changed alert { id status } errors { code message } } }"""
# Whoever does not hear hints finds events by the sweep of each second.
SWEEP_SECONDS = 2.0


@contextmanager
def processes(directory: Path, database_url: str, count: int, **more: str) -> Iterator[list[RunningService]]:
    """Run several services on one database; yield one tenant as each of them serves it."""
    environment = environment_of(database_url, **more)
    services = [ServiceProcess(environment) for _ in range(count)]
    logs = [directory / f"log-{service.port}" for service in services]
    try:
        with ThreadPoolExecutor() as threads:
            list(threads.map(ServiceProcess.start, services, logs))
        tenant = new_tenant(services[0].url, environment, f"t-{uuid4().hex[:12]}")
        yield [
            RunningService(each.url, tenant.tenant, tenant.admin_key, tenant.ingest_key, database_url, environment)
            for each in services
        ]
    finally:
        for service in services:
            service.kill()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def trio(database_servers: DatabaseServers, directory: Path) -> Iterator[list[RunningService]]:
    """One tenant on three processes, which hear of each other by NOTIFY."""
    with (
        database_servers.get("wheel").database(migrated=True) as url,
        processes(directory, url, 3) as services,
    ):
        yield services


@pytest.fixture(scope="module")
def redis(directory: Path) -> Iterator[RedisServer]:
    with RedisServer(directory) as server:
        yield server


@pytest.fixture(scope="module")
def pair_by_redis(
    database_servers: DatabaseServers, directory: Path, redis: RedisServer
) -> Iterator[list[RunningService]]:
    """One tenant on two processes, which hear of each other by Redis."""
    with (
        database_servers.get("wheel").database(migrated=True) as url,
        processes(directory, url, 2, CRITICAL_ALERT_REDIS_URL=redis.url) as services,
    ):
        yield services


@pytest.fixture(params=["notify", "redis"])
def pair(request: pytest.FixtureRequest) -> list[RunningService]:
    """One tenant on two processes."""
    services: list[RunningService] = request.getfixturevalue(
        "trio" if request.param == "notify" else "pair_by_redis"
    )
    return services[:2]


async def fire(connection: Wire, key: str, **fields: Any) -> dict[str, Any]:
    """Create an alert or repeat it; return the payload."""
    draft = {"title": "t", "severity": "HIGH", "dedupKey": key, **fields}
    payload = (await connection.graphql(FIRE, {"input": draft})).json()["data"]["createAlert"]
    assert payload["errors"] == []
    return dict(payload)


async def seen(connection: Wire, key: str) -> list[dict[str, Any]]:
    """Return all alerts of a key, newest first, as this process reads them."""
    query = """query Seen($keys: [String!]!) {
      alerts(filter: {dedupKey: $keys}) { nodes { id status occurrenceCount } } }"""
    reply = await connection.graphql(query, {"keys": [key]})
    return list(reply.json()["data"]["alerts"]["nodes"])


async def delays_of(writer: RunningService, reader: RunningService, count: int) -> list[float]:
    """Return how long it took for events written by one process to be told by the other."""
    async with (
        wire(writer.url, writer.admin_key) as connection,
        Follower(reader.websocket_url, reader.admin_key) as follower,
    ):
        await follower.until(lambda: follower.connects > 0)
        await asyncio.sleep(0.3)
        written_at = []
        for _ in range(count):
            await fire(connection, uuid4().hex)
            written_at.append(time.monotonic())
            await asyncio.sleep(0.03)
        # Each is triggered, and held since there is no rule.
        await follower.until(lambda: len(follower.numbers) >= 2 * count)
        first = follower.numbers[0]
        assert follower.numbers == list(range(first, first + 2 * count))
        return sorted(heard - written for heard, written in zip(follower.heard_at[::2], written_at, strict=True))


async def test_what_one_process_writes_the_other_shows_at_once(pair: list[RunningService]) -> None:
    one, other = pair
    for writer, reader in ((one, other), (other, one)):
        delays = await delays_of(writer, reader, 20)
        # The sweep alone would make the middle of them half a second.
        assert delays[len(delays) // 2] < 0.25
        assert delays[len(delays) * 9 // 10] < 1


async def test_an_acknowledgement_through_one_process_is_seen_by_the_other(pair: list[RunningService]) -> None:
    one, other = pair
    async with wire(one.url, one.admin_key) as first, wire(other.url, other.admin_key) as second:
        for round_number in range(5):
            key = f"{uuid4().hex}-{round_number}"
            alert_id = (await fire(first, key))["alert"]["id"]
            # Both processes remember the alert as it is now.
            assert not (await fire(second, key))["created"]
            assert not (await fire(first, key))["created"]

            acted = (await second.graphql(ACKNOWLEDGE, {"input": {"alertId": alert_id}})).json()["data"]
            assert acted["acknowledgeAlert"]["changed"]
            # What the first one remembers is stale: it is refused, and decided anew.
            assert not (await fire(first, key))["created"]
            assert (await seen(first, key)) == [{"id": alert_id, "status": "ACKNOWLEDGED", "occurrenceCount": 4}]

            again = (await first.graphql(ACKNOWLEDGE, {"input": {"alertId": alert_id}})).json()["data"]
            assert not again["acknowledgeAlert"]["changed"]
            resolved = (await first.graphql(ACT, {"input": {"alertId": alert_id}})).json()["data"]
            assert resolved["resolveAlert"]["changed"]
            anew = await fire(second, key)
            assert anew["created"]
            assert [alert["status"] for alert in await seen(first, key)] == ["TRIGGERED", "RESOLVED"]


async def test_a_key_revoked_through_one_process_is_refused_by_the_other(pair: list[RunningService]) -> None:
    one, other = pair
    make = """mutation Make($input: ApiKeyInput!) { createApiKey(input: $input) { secret apiKey { id } } }"""
    end = """mutation End($input: DeleteInput!) { revokeApiKey(input: $input) { deletedId } }"""
    async with wire(one.url, one.admin_key) as first:
        made = (await first.graphql(make, {"input": {"name": "k", "role": "VIEWER"}})).json()["data"][
            "createApiKey"
        ]
        async with wire(other.url, made["secret"]) as second:
            assert (await second.graphql("{ viewer { tenant { slug } } }")).status == 200
            await first.graphql(end, {"input": {"id": made["apiKey"]["id"]}})
            revoked_at = time.monotonic()
            while (await second.graphql("{ viewer { tenant { slug } } }")).status == 200:
                assert time.monotonic() - revoked_at < 5
                await asyncio.sleep(0.05)


async def test_many_connections_of_several_processes_make_one_alert_of_one_key(
    trio: list[RunningService],
) -> None:
    async def send(service: RunningService, key: str) -> list[dict[str, Any]]:
        async with wire(service.url, service.ingest_key) as connection:
            return [await fire(connection, key) for _ in range(10)]

    first = trio[0]
    async with (
        wire(first.url, first.admin_key) as connection,
        Follower(trio[1].websocket_url, first.admin_key) as follower,
    ):
        await follower.until(lambda: follower.connects > 0)
        await asyncio.sleep(0.3)
        key = uuid4().hex
        for round_number in range(3):
            sent = await asyncio.gather(*(send(service, key) for service in trio for _ in range(12)))
            answers = [answer for each in sent for answer in each]
            newest, *before = await seen(connection, key)
            assert newest["status"] == "TRIGGERED"
            assert newest["occurrenceCount"] == len(answers) == 360
            assert {answer["alert"]["id"] for answer in answers} == {newest["id"]}
            assert Counter(answer["created"] for answer in answers) == {True: 1, False: 359}
            assert [alert["status"] for alert in before] == ["RESOLVED"] * round_number
            await connection.graphql(ACT, {"input": {"alertId": newest["id"]}})

        query = """query Told($ids: [ID!]!) { nodes(ids: $ids) {
          ... on CriticalAlert { events(first: 100) { nodes { number kind } } } } }"""
        ids = [alert["id"] for alert in await seen(connection, key)]
        timelines = (await connection.graphql(query, {"ids": ids})).json()["data"]["nodes"]
        for timeline in timelines:
            kinds = [event["kind"] for event in timeline["events"]["nodes"]]
            # There is no rule for it; the 2nd, 4th, 8th … 256th occurrence are told.
            assert kinds == ["TRIGGERED", "HELD", *["REPEATED"] * 8, "RESOLVED"]
        numbers = sorted(event["number"] for each in timelines for event in each["events"]["nodes"])
        await follower.until_number(numbers[-1])
        assert follower.numbers[: len(numbers)] == numbers
        assert numbers == list(range(numbers[0], numbers[0] + 33))
    assert verified(first) == 0


async def test_one_idempotency_key_sent_to_several_processes_at_once_is_carried_out_once(
    trio: list[RunningService],
) -> None:
    first = trio[0]
    for _ in range(3):
        key = uuid4().hex

        async def send(service: RunningService, key: str = key) -> dict[str, Any]:
            async with wire(service.url, service.admin_key) as connection:
                return await fire(connection, key, idempotencyKey=key)

        answers = await asyncio.gather(*(send(service) for service in trio for _ in range(8)))
        # Everybody is told what the first one was.
        assert {answer["created"] for answer in answers} == {True}
        async with wire(first.url, first.admin_key) as connection:
            (alert,) = await seen(connection, key)
        assert {answer["alert"]["id"] for answer in answers} == {alert["id"]}
        assert alert["occurrenceCount"] == 1


async def test_two_processes_that_act_on_the_same_alerts_lose_nothing(pair: list[RunningService]) -> None:
    """Acknowledgements, resolutions and repeats of both, at once: each that was answered as done is in the log."""
    keys = [uuid4().hex for _ in range(6)]
    done: Counter[str] = Counter()

    async def work(service: RunningService, seed: int) -> None:
        async with wire(service.url, service.admin_key) as connection:
            for number in range(12):
                key = keys[(number * (seed + 1)) % len(keys)]
                fired = await fire(connection, key)
                done["TRIGGERED"] += fired["created"]
                alert = {"input": {"alertId": fired["alert"]["id"]}}
                document, kind = ((ACKNOWLEDGE, "ACKNOWLEDGED"), (ACT, "RESOLVED"))[(number + seed) % 2]
                (payload,) = (await connection.graphql(document, alert)).json()["data"].values()
                done[kind] += payload["changed"]
                assert {error["code"] for error in payload["errors"]} <= {"CONFLICT"}

    one = pair[0]
    async with wire(one.url, one.admin_key) as connection:
        as_of = (await connection.graphql("{ events(first: 1) { asOf } }")).json()["data"]["events"]["asOf"]
        await asyncio.gather(*(work(service, seed) for service in pair for seed in range(4)))
        kinds: Counter[str] = Counter()
        query = """query After($after: String!) {
          events(first: 100, after: $after) { nodes { kind cursor } pageInfo { hasNextPage endCursor } } }"""
        while True:
            page = (await connection.graphql(query, {"after": as_of})).json()["data"]["events"]
            kinds.update(event["kind"] for event in page["nodes"])
            if not page["pageInfo"]["hasNextPage"]:
                break
            as_of = page["pageInfo"]["endCursor"]
    assert {kind: kinds[kind] for kind in done} == done
    assert min(done.values()) > 0
    assert verified(one) == 0


async def test_processes_that_take_in_equal_alerts_at_once_open_one_incident(pair: list[RunningService]) -> None:
    """And what one of them does with it while the other goes on, comes to what its alerts come to."""
    tenant = new_tenant(pair[0].url, dict(pair[0].environment), f"t-{uuid4().hex[:12]}")
    key = tenant.admin_key
    settings = """mutation { updateTenantSettings(input: {groupingLabels: ["job"]}) { errors { code } } }"""
    act = """mutation($id: ID!) {
      acknowledgeIncident(input: {id: $id}) { incident { status } errors { code } } }"""
    read = """query($filter: EventFilter) {
      incidents { totalCount nodes { id status alertCount openAlertCount alerts { totalCount } } }
      opened: events(filter: {kinds: [INCIDENT_OPENED]}) { nodes { kind } }
      told: events(filter: $filter, first: 100) { nodes { kind } } }"""

    async def storm(service: RunningService, place: int) -> None:
        async with wire(service.url, key) as connection:
            for number in range(15):
                await fire(connection, f"{place} {number}", labels={"job": "api"})

    async with wire(pair[0].url, key) as one, wire(pair[1].url, key) as other:
        assert (await one.graphql(settings)).json()["data"]["updateTenantSettings"]["errors"] == []
        # Whoever has not heard of it yet would group nothing.
        await fire(other, "first", labels={"job": "api"})
        sent = [storm(service, place) for place, service in enumerate(pair * 2)]
        taken = asyncio.gather(*sent)
        (incident,) = (await other.graphql(read)).json()["data"]["incidents"]["nodes"]
        for _ in range(5):
            reply = (await other.graphql(act, {"id": incident["id"]})).json()
            assert reply["data"]["acknowledgeIncident"]["errors"] == []
        await taken
        await one.graphql(act, {"id": incident["id"]})

        for connection in (one, other):
            seen_there = (await connection.graphql(read, {"filter": {"incidentId": incident["id"]}})).json()[
                "data"
            ]
            assert seen_there["incidents"] == {
                "totalCount": 1,
                "nodes": [
                    {
                        "id": incident["id"],
                        "status": "ACKNOWLEDGED",
                        "alertCount": 61,
                        "openAlertCount": 61,
                        "alerts": {"totalCount": 61},
                    }
                ],
            }
            assert len(seen_there["opened"]["nodes"]) == 1
            assert "INCIDENT_OPENED" in {event["kind"] for event in seen_there["told"]["nodes"]}
    assert verified(RunningService(pair[0].url, tenant.tenant, key, key, "", pair[0].environment)) == 0


async def test_without_hints_the_sweep_shows_the_others_events(
    pair_by_redis: list[RunningService], redis: RedisServer
) -> None:
    one, other = pair_by_redis
    redis.pause()
    try:
        delays = await delays_of(one, other, 20)
    finally:
        redis.resume()
    assert delays[len(delays) // 2] > 0.3, "something else than the sweep has found them"
    assert delays[len(delays) * 9 // 10] <= SWEEP_SECONDS


def verified(service: RunningService) -> int:
    """Return the exit status of `alertgraph audit verify` on the tenant's log."""
    command = [sys.executable, "-m", "alertgraph", "audit", "verify", "--tenant", service.tenant]
    return subprocess.run(command, env=dict(service.environment), timeout=60, check=False).returncode
