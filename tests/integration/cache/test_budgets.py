"""Budgets that processes share by Redis."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertgraph.cache.budgets import InProcessBudgets, RedisBudgets
from alertgraph.core.budget import LIMIT_MAX, PERIOD
from alertgraph.core.errors import DependencyError
from tests.integration.cache.conftest import a_tenant, eventually
from tests.integration.cache.peer import Reports, SystemClock
from tests.integration.cache.redis_servers import Server, cluster, single
from tests.thoroughness import examples

T0 = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture(params=["redis", "valkey"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    with single(request.param, tmp_path) as running:
        yield running


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
async def budgets(server: Server, reports: Reports) -> AsyncIterator[RedisBudgets]:
    shared = RedisBudgets(server.url, SystemClock(), reports)
    await shared.start()
    yield shared
    await shared.close()


# Far apart and large enough for a double to go wrong where it can.
wishes = st.lists(
    st.tuples(
        st.sampled_from(
            [timedelta(0), timedelta(microseconds=1), timedelta(seconds=1), PERIOD, timedelta(days=9)]
        ),
        st.one_of(st.integers(0, 3), st.integers(0, LIMIT_MAX + 1), st.just(1 << 60)),
        st.one_of(st.just(7), st.integers(-1, 20), st.just(LIMIT_MAX), st.just(LIMIT_MAX - 1)),
    ),
    max_size=25,
)


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wishes)
def test_lua_computes_what_python_computes(server: Server, wished: list[tuple[timedelta, int, int]]) -> None:
    async def compare() -> None:
        shared, reference = RedisBudgets(server.url, SystemClock(), Reports()), InProcessBudgets()
        tenant_id, now = a_tenant(), T0
        for pause, cost, limit in wished:
            now += pause
            expected = await reference.spend(tenant_id, "key", cost, limit, now)
            assert await shared.spend(tenant_id, "key", cost, limit, now) == expected
        assert shared.healthy
        await shared.close()

    asyncio.run(compare())


async def test_many_at_once_in_several_processes_get_the_limit_and_no_more(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine three hundred at once may take longer than a request would wait.
    monkeypatch.setattr("alertgraph.cache.budgets.ANSWER_TIMEOUT", timedelta(seconds=20))
    processes = [RedisBudgets(server.url, SystemClock(), Reports()) for _ in range(3)]
    tenant_id = a_tenant()

    states = await asyncio.gather(
        *(processes[turn % 3].spend(tenant_id, "key", 3, 100, T0) for turn in range(300))
    )

    assert sum(state.allowed for state in states) == 33
    assert all(one.healthy for one in processes)
    for one in processes:
        await one.close()


async def test_each_subject_of_each_tenant_has_its_own(budgets: RedisBudgets) -> None:
    first, second = a_tenant(), a_tenant()

    for tenant_id, subject in [(first, "a"), (first, "b"), (second, "a"), (first, "ä" * 10_000), (first, "\0 {}")]:
        assert (await budgets.spend(tenant_id, subject, 10, 10, T0)).allowed
        assert not (await budgets.spend(tenant_id, subject, 1, 10, T0)).allowed
    assert budgets.healthy


async def test_keys_name_the_tenant_but_no_subject_and_expire(server: Server, budgets: RedisBudgets) -> None:
    tenant_id, subject = a_tenant(), f"person-{uuid4()}"
    await budgets.spend(tenant_id, subject, 5, 10, T0)
    await budgets.spend(tenant_id, "idle", 0, 10, T0)
    await budgets.spend(tenant_id, "greedy", 11, 10, T0)

    with server.client() as client:
        (key,) = client.keys("*")
        assert isinstance(key, bytes)
        assert str(tenant_id) in key.decode()
        assert subject not in key.decode()
        assert 80_000 < int(client.pttl(key)) <= 90_000


async def test_scripts_that_the_server_forgot_are_told_again(server: Server, budgets: RedisBudgets) -> None:
    tenant_id = a_tenant()
    await budgets.spend(tenant_id, "key", 1, 10, T0)
    with server.client() as client:
        client.script_flush()

    assert (await budgets.spend(tenant_id, "key", 1, 10, T0)).remaining == 8
    assert budgets.healthy


async def test_without_redis_each_process_counts_for_itself_and_nobody_waits(
    server: Server, budgets: RedisBudgets, reports: Reports
) -> None:
    tenant_id = a_tenant()
    assert (await budgets.spend(tenant_id, "key", 9, 10, T0)).remaining == 1

    server.kill()

    assert (await budgets.spend(tenant_id, "key", 2, 10, T0)).remaining == 8
    assert not budgets.healthy
    assert {part for part, _ in reports.failures} == {"budgets"}
    began = time.perf_counter()
    for turn in range(100):
        state = await budgets.spend(tenant_id, "key", 1, 10, T0)
        assert state.allowed is (turn < 8)
    assert time.perf_counter() - began < 0.5

    await asyncio.to_thread(server.start)

    await eventually(lambda: budgets.healthy, 10)
    assert (await budgets.spend(tenant_id, "key", 9, 10, T0)).remaining == 1


async def test_a_redis_that_hangs_costs_one_short_wait(server: Server, budgets: RedisBudgets) -> None:
    tenant_id = a_tenant()
    await budgets.spend(tenant_id, "key", 1, 1000, T0)
    server.signal(signal.SIGSTOP)
    try:
        began = time.perf_counter()
        await asyncio.gather(*(budgets.spend(tenant_id, "key", 1, 1000, T0) for _ in range(200)))
        await budgets.spend(tenant_id, "key", 1, 1000, T0)
        assert time.perf_counter() - began < 1
        assert not budgets.healthy
    finally:
        server.signal(signal.SIGCONT)
    await eventually(lambda: budgets.healthy, 10)


async def test_a_cluster_that_loses_a_node_comes_back(tmp_path: Path) -> None:
    with cluster("redis", tmp_path) as nodes:
        budgets = RedisBudgets(f"redis+cluster://127.0.0.1:{nodes[0].port}", SystemClock(), Reports())
        await budgets.start()
        tenants = [a_tenant() for _ in range(30)]
        for tenant_id in tenants:
            assert (await budgets.spend(tenant_id, "key", 10, 10, T0)).allowed
            assert not (await budgets.spend(tenant_id, "key", 1, 10, T0)).allowed
        assert budgets.healthy

        nodes[0].kill()
        for tenant_id in tenants:
            await budgets.spend(tenant_id, "key", 1, 10, T0)
        assert not budgets.healthy
        await asyncio.to_thread(nodes[0].start)

        fresh = [a_tenant() for _ in range(30)]

        async def shared_again() -> bool:
            for tenant_id in fresh:
                await budgets.spend(tenant_id, "key", 0, 10, T0)
            return budgets.healthy

        async with asyncio.timeout(15):
            while not await shared_again():  # noqa: ASYNC110 only trying tells
                await asyncio.sleep(0.1)
        for tenant_id in fresh:
            assert (await budgets.spend(tenant_id, "key", 10, 10, T0)).allowed
            assert not (await budgets.spend(tenant_id, "key", 1, 10, T0)).allowed
        await budgets.close()


async def test_start_without_a_server_says_so(server: Server) -> None:
    server.kill()
    budgets = RedisBudgets(server.url, SystemClock(), Reports())

    with pytest.raises(DependencyError, match="redis can't keep the budgets"):
        await budgets.start()
    await budgets.close()
