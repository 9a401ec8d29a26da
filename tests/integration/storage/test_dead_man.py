"""Turns of dead-man beats: whose has come, and that one process takes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from alertgraph.core.ids import TenantId
from alertgraph.storage.database import Database
from alertgraph.storage.dead_man import PostgresDeadManTurns
from tests.factories import HOUR, MINUTE, SECOND, T0, WEBHOOK
from tests.integration.storage.world import World, a_world

pytestmark = pytest.mark.both_servers


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with a_world(database_url) as world:
        yield world


@pytest.fixture
def turns(world: World) -> PostgresDeadManTurns:
    return PostgresDeadManTurns(world.database)


async def listened(world: World, slug: str, channel_id: UUID | None = WEBHOOK.id) -> TenantId:
    """Return a tenant that has a channel for its beat, or none."""
    tenant_id = await world.tenant(slug)
    await world.execute(
        "UPDATE tenant_settings SET dead_man_channel_id = $2 WHERE tenant_id = $1", tenant_id, channel_id
    )
    return tenant_id


async def test_a_turn_comes_every_minute_to_who_has_a_channel(world: World, turns: PostgresDeadManTurns) -> None:
    tenant_id = await listened(world, "first")
    await listened(world, "deaf", None)
    assert await turns.due(T0, 10) == [tenant_id]

    assert await turns.claim(tenant_id, T0, MINUTE)

    assert not await turns.claim(tenant_id, T0 + 59 * SECOND, MINUTE)
    assert await turns.due(T0 + 59 * SECOND, 10) == []
    assert await turns.due(T0 + MINUTE, 10) == [tenant_id]


async def test_those_due_longest_come_first(world: World, turns: PostgresDeadManTurns) -> None:
    first, second = await listened(world, "first"), await listened(world, "second")
    await turns.claim(first, T0 + SECOND, MINUTE)
    await turns.claim(second, T0, MINUTE)
    new = await listened(world, "new")

    assert await turns.due(T0 + HOUR, 10) == [new, second, first]
    assert await turns.due(T0 + HOUR, 1) == [new]


async def test_a_turn_taken_late_does_not_put_the_next_one_off(world: World, turns: PostgresDeadManTurns) -> None:
    tenant_id = await listened(world, "first")
    await turns.claim(tenant_id, T0, MINUTE)

    assert await turns.claim(tenant_id, T0 + MINUTE + 5 * SECOND, MINUTE)
    assert await turns.due(T0 + 2 * MINUTE, 10) == [tenant_id]

    # After a long pause there is one beat, and not one for each minute of it.
    assert await turns.claim(tenant_id, T0 + HOUR, MINUTE)
    assert await turns.due(T0 + HOUR + 59 * SECOND, 10) == []
    assert await turns.due(T0 + HOUR + MINUTE, 10) == [tenant_id]


async def test_of_many_processes_one_takes_the_turn(world: World, database_url: str) -> None:
    tenant_id = await listened(world, "first")
    others = [await Database.connect(database_url, pool_size=4) for _ in range(2)]
    try:
        for minute in range(3):
            claims = [
                PostgresDeadManTurns(database).claim(tenant_id, T0 + minute * MINUTE, MINUTE)
                for database in (world.database, *others) * 3
            ]
            assert sum(await asyncio.gather(*claims)) == 1
    finally:
        for database in others:
            await database.close()
