"""Beats of monitors: only a later one is news, and one that stayed out is told once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

import pytest

from alertgraph.core.ids import MonitorId, TenantId
from alertgraph.storage.monitors import PostgresMonitors
from tests.factories import MINUTE, SECOND, T0
from tests.integration.storage.world import World, a_world

pytestmark = pytest.mark.both_servers

BACKUP, REPORT = MonitorId(UUID(int=1)), MonitorId(UUID(int=2))


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with a_world(database_url) as world:
        yield world


@pytest.fixture
def monitors(world: World) -> PostgresMonitors:
    return PostgresMonitors(world.database)


async def beat(monitors: PostgresMonitors, tenant_id: TenantId, at: datetime, monitor: MonitorId = BACKUP) -> bool:
    return await monitors.beat(tenant_id, monitor, at, at + MINUTE)


async def test_a_monitor_whose_beat_stays_out_is_due(world: World, monitors: PostgresMonitors) -> None:
    first, second = await world.tenant("first"), await world.tenant("second")
    assert await monitors.due(T0, 10) == []
    await beat(monitors, first, T0)
    await beat(monitors, second, T0 - SECOND, REPORT)

    assert await monitors.due(T0 + MINUTE - 2 * SECOND, 10) == []
    late = [(second, REPORT, T0 + MINUTE - SECOND), (first, BACKUP, T0 + MINUTE)]
    assert await monitors.due(T0 + MINUTE - SECOND, 10) == late[:1]
    assert await monitors.due(T0 + MINUTE, 10) == late
    assert await monitors.due(T0 + MINUTE, 1) == late[:1]


async def test_a_beat_that_stayed_out_is_told_once_and_the_next_one_ends_it(
    world: World, monitors: PostgresMonitors
) -> None:
    tenant_id = await world.tenant()
    assert not await beat(monitors, tenant_id, T0)

    await monitors.raised(tenant_id, BACKUP, T0 + MINUTE)
    assert await monitors.due(T0 + 2 * MINUTE, 10) == []

    assert await beat(monitors, tenant_id, T0 + 3 * MINUTE)
    assert not await beat(monitors, tenant_id, T0 + 3 * MINUTE + SECOND)
    assert await monitors.due(T0 + 3 * MINUTE, 10) == []
    assert await monitors.due(T0 + 5 * MINUTE, 10) == [(tenant_id, BACKUP, T0 + 4 * MINUTE + SECOND)]


async def test_a_beat_between_the_look_and_the_alert_wins(world: World, monitors: PostgresMonitors) -> None:
    tenant_id = await world.tenant()
    await beat(monitors, tenant_id, T0)
    await beat(monitors, tenant_id, T0 + MINUTE)

    await monitors.raised(tenant_id, BACKUP, T0 + MINUTE)
    await monitors.raised(tenant_id, REPORT, T0 + MINUTE)
    await monitors.raised(await world.tenant("other"), BACKUP, T0 + 2 * MINUTE)

    assert await monitors.due(T0 + 2 * MINUTE, 10) == [(tenant_id, BACKUP, T0 + 2 * MINUTE)]


async def test_a_beat_that_was_overtaken_changes_nothing(world: World, monitors: PostgresMonitors) -> None:
    tenant_id = await world.tenant()
    await beat(monitors, tenant_id, T0)
    await monitors.raised(tenant_id, BACKUP, T0 + MINUTE)

    assert not await beat(monitors, tenant_id, T0 - SECOND)
    assert not await beat(monitors, tenant_id, T0)

    ((last_beat_at, due_at, raised),) = await world.rows("SELECT last_beat_at, due_at, raised FROM heartbeat")
    assert (last_beat_at, due_at, raised) == (T0, T0 + MINUTE, True)


async def test_beats_at_once_leave_the_last_and_end_the_alert_once(
    world: World, monitors: PostgresMonitors
) -> None:
    tenant_id = await world.tenant()
    await asyncio.gather(*(beat(monitors, tenant_id, T0 - number * SECOND) for number in range(12)))
    assert await world.value("SELECT last_beat_at FROM heartbeat") == T0
    await monitors.raised(tenant_id, BACKUP, T0 + MINUTE)

    ended = await asyncio.gather(*(beat(monitors, tenant_id, T0 + number * SECOND) for number in range(1, 13)))

    assert sum(ended) == 1
    assert await world.value("SELECT last_beat_at FROM heartbeat") == T0 + 12 * SECOND
