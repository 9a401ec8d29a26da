"""What every way of waking other processes does, against real servers."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from alertgraph.core.errors import DependencyError
from alertgraph.core.ids import TenantId
from alertgraph.storage.notify import PostgresWakeups
from tests.integration.cache.conftest import (
    KILLABLE,
    LINKED,
    AnyWakeups,
    Ear,
    LinkedWay,
    a_tenant,
    eventually,
)
from tests.integration.cache.peer import Reports, SystemClock, SystemDice

Make = Callable[..., Awaitable[AnyWakeups]]

all_ways = pytest.mark.parametrize("way", ["in-process", *LINKED], indirect=True)
linked_ways = pytest.mark.parametrize("way", LINKED, indirect=True)
killable_ways = pytest.mark.parametrize("way", KILLABLE, indirect=True)


@all_ways
async def test_others_hear_and_the_speaker_does_not(make: Make) -> None:
    speaker, first, second = await make(), await make(), await make()
    own, ears = Ear(speaker.listen()), [Ear(first.listen()), Ear(first.listen()), Ear(second.listen())]
    tenant_id = a_tenant()

    await speaker.announce(tenant_id, 7)

    for ear in ears:
        await ear.hears(tenant_id, 7)
        assert ear.heard == [(tenant_id, 7)]
    # What comes after it on the same way proves that its own voice would have come back by now.
    await first.announce(tenant_id, 8)
    await own.hears(tenant_id, 8)
    assert own.heard == [(tenant_id, 8)]


@linked_ways
async def test_another_process_hears_and_is_heard(linked_way: LinkedWay, make: Make) -> None:
    here = await make()
    ear = Ear(here.listen())
    tenant_id, other_tenant_id = a_tenant(), a_tenant()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.integration.cache.peer", linked_way.peer, linked_way.url),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            assert await process.stdout.readline() == b"ready\n"
            process.stdin.write(f"{tenant_id} 41\n".encode())
            await ear.hears(tenant_id, 41)
            await here.announce(other_tenant_id, 42)
            assert await process.stdout.readline() == f"{other_tenant_id} 42\n".encode()
            process.stdin.close()
            assert await process.wait() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@all_ways
async def test_a_burst_becomes_the_highest_number_of_each_tenant(make: Make) -> None:
    speaker, listener = await make(), await make()
    ear = Ear(listener.listen())
    tenants = [a_tenant() for _ in range(3)]

    for number in range(1, 10_001):
        for tenant_id in tenants:
            await speaker.announce(tenant_id, number)

    for tenant_id in tenants:
        await ear.hears(tenant_id, 10_000)
    assert len(ear.heard) < 100


@all_ways
async def test_thousands_of_tenants_are_all_heard(make: Make) -> None:
    speaker, listener = await make(), await make()
    ear = Ear(listener.listen())
    expected = {a_tenant(): number for number in range(6_000)}

    for tenant_id, number in expected.items():
        await speaker.announce(tenant_id, number)

    await eventually(lambda: len(ear.heard) >= len(expected))
    assert dict(ear.heard) == expected


@all_ways
async def test_close_ends_listeners_and_says_no_more(make: Make) -> None:
    speaker, listener = await make(), await make()
    ear, other = Ear(listener.listen()), Ear(speaker.listen())

    await listener.close()
    await listener.announce(a_tenant(), 1)

    await ear.ended()
    late = Ear(listener.listen())
    await late.ended()
    await asyncio.sleep(0.1)
    assert other.heard == []


@linked_ways
async def test_what_is_no_message_of_ours_is_left_out_and_told(linked_way: LinkedWay, make: Make) -> None:
    speaker, listener = await make(), await make()
    ear = Ear(listener.listen())

    await linked_way.say_garbage()

    tenant_id = a_tenant()
    await speaker.announce(tenant_id, 3)
    await ear.hears(tenant_id, 3)
    assert ear.heard == [(tenant_id, 3)]
    assert listener.healthy
    await eventually(lambda: any(isinstance(error, ValueError) for _, error in linked_way.reports.failures))
    assert {part for part, _ in linked_way.reports.failures} == {"wakeups"}


async def announce_fast(wakeups: AnyWakeups, tenant_id: TenantId, number: int) -> None:
    """Announce, and fail where that took time: nobody who writes may be held up by a hint."""
    began = time.perf_counter()
    await wakeups.announce(tenant_id, number)
    assert time.perf_counter() - began < 0.05


async def say_until_heard(speaker: AnyWakeups, ear: Ear, seconds: float = 15) -> None:
    """Announce ever higher numbers until one is heard."""
    tenant_id = a_tenant()
    async with asyncio.timeout(seconds):
        for number in range(1, 100_000):
            await announce_fast(speaker, tenant_id, number)
            await asyncio.sleep(0.02)
            if any(heard == tenant_id for heard, _ in ear.heard):
                return


@killable_ways
async def test_a_killed_server_holds_nobody_up_and_is_found_again(linked_way: LinkedWay, make: Make) -> None:
    speaker, listener = await make(), await make()
    ear = Ear(listener.listen())
    await say_until_heard(speaker, ear)

    await linked_way.kill_server()

    tenant_id = a_tenant()
    for number in range(50):
        await announce_fast(speaker, tenant_id, number)
        await asyncio.sleep(0.01)
    await eventually(lambda: not speaker.healthy and not listener.healthy)
    for number in range(50, 100):
        await announce_fast(speaker, tenant_id, number)
        await asyncio.sleep(0.01)
    assert linked_way.reports.failures

    await linked_way.start_server()

    await eventually(lambda: speaker.healthy and listener.healthy, 10)
    await say_until_heard(speaker, ear)
    await speaker.close()
    await listener.close()
    await eventually_no_connection(linked_way)


@linked_ways
async def test_cut_connections_are_made_anew(linked_way: LinkedWay, make: Make) -> None:
    speaker, listener = await make(), await make()
    ear = Ear(listener.listen())

    for _ in range(3):
        failure_count = len(linked_way.reports.failures)
        await linked_way.cut()
        await eventually(lambda before=failure_count: len(linked_way.reports.failures) >= before + 2)
        await eventually(lambda: speaker.healthy and listener.healthy, 10)
        await say_until_heard(speaker, ear)

    await speaker.close()
    await listener.close()
    await eventually_no_connection(linked_way)


@linked_ways
async def test_a_server_that_hangs_is_noticed(linked_way: LinkedWay, make: Make) -> None:
    impatient = {"check_interval": timedelta(seconds=0.2), "check_timeout": timedelta(seconds=0.5)}
    speaker, listener = await make(**impatient), await make(**impatient)
    ear = Ear(listener.listen())
    await say_until_heard(speaker, ear)

    resume = await linked_way.hang()
    try:
        tenant_id = a_tenant()
        unhealthy = asyncio.create_task(eventually(lambda: bool(linked_way.reports.failures), 10))
        number = 0
        while not unhealthy.done():
            number += 1
            await announce_fast(speaker, tenant_id, number)
            await asyncio.sleep(0.02)
        await unhealthy
    finally:
        resume()

    await eventually(lambda: speaker.healthy and listener.healthy, 15)
    await say_until_heard(speaker, ear)


@linked_ways
async def test_signs_of_life_and_hints_do_not_get_into_each_others_way(linked_way: LinkedWay, make: Make) -> None:
    speaker = await make(check_interval=timedelta(milliseconds=5))

    for number in range(300):
        await speaker.announce(a_tenant(), number)
        await asyncio.sleep(0.003)

    assert linked_way.reports.failures == []
    assert speaker.healthy


async def eventually_no_connection(way: LinkedWay) -> None:
    async with asyncio.timeout(10):
        while await way.connection_count():  # noqa: ASYNC110 only the server knows
            await asyncio.sleep(0.05)


@killable_ways
async def test_start_without_a_server_says_so_and_leaves_nothing(linked_way: LinkedWay) -> None:
    if len(getattr(linked_way, "servers", ())) > 1:
        for server in linked_way.servers[1:]:  # type: ignore[attr-defined]
            server.kill()
    await linked_way.kill_server()
    wakeups = linked_way.make()

    with pytest.raises(DependencyError) as refused:
        await wakeups.start()

    assert "can't carry wake-ups" in refused.value.message
    assert "\n" not in refused.value.message
    assert not wakeups.healthy
    assert [task for task in asyncio.all_tasks() if task.get_name() == "wakeups"] == []
    await wakeups.close()


@contextlib.asynccontextmanager
async def deaf(url: str, directory: Path) -> AsyncIterator[str]:
    """Yield the address of a proxy that hands on all but notifications.

    So it is behind PgBouncer's transaction pooling, where what LISTEN asked for goes to nobody.
    """
    parts = urlsplit(url)
    target = parse_qs(parts.query)["host"][0]

    async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def filter_out(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(5)
                body = await reader.readexactly(int.from_bytes(head[1:], "big") - 4)
                if head[:1] != b"A":
                    writer.write(head + body)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(f"{target}/.s.PGSQL.5432")
        await asyncio.gather(hand_on(reader, server_writer), filter_out(server_reader, writer))

    async with await asyncio.start_unix_server(serve, directory / ".s.PGSQL.5432"):
        yield parts._replace(query=urlencode({"host": directory})).geturl()


async def test_where_nothing_can_be_heard_start_fails(database_url: str, data_dir: Path) -> None:
    async with deaf(database_url, data_dir) as url:
        wakeups = PostgresWakeups(
            url, SystemClock(), SystemDice(), Reports(), check_timeout=timedelta(milliseconds=500)
        )
        with pytest.raises(DependencyError, match="sign of life"):
            await wakeups.start()
