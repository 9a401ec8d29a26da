"""The engine's queue: who has work, whose turn it is, and what is due."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from alertgraph.core.action import Acknowledge, ByKey, Fire, Resolve
from alertgraph.core.ids import TenantId
from alertgraph.storage.due import PostgresDueWork
from tests.factories import HOUR, MINUTE, SECOND, T0, a_draft
from tests.integration.storage.test_append import end_connections
from tests.integration.storage.world import World, a_world, new_id

pytestmark = pytest.mark.both_servers


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with a_world(database_url) as world:
        yield world


@pytest.fixture
def due(world: World) -> PostgresDueWork:
    return PostgresDueWork(world.database)


def fire(key: str, after: int | None = None) -> Fire:
    """Return an alert that ends by itself so many minutes after T0, or never; no rule here is for it."""
    return Fire(a_draft(dedup_key=key, ends_at=T0 + after * MINUTE if after is not None else None))


async def test_tenants_with_work_come_in_the_order_they_are_due(world: World, due: PostgresDueWork) -> None:
    first, second, third, idle = [
        await world.tenant(slug, items=()) for slug in ("first", "second", "third", "idle")
    ]
    await world.act(first, fire("a", 3), fire("b", 9))
    await world.act(second, fire("a", 1), fire("b", 2))
    await world.act(third, fire("a", 60))
    await world.act(idle, fire("a"))

    assert await due.due_tenants(T0 + 5 * MINUTE, 10) == [second, first]
    assert await due.due_tenants(T0 + 5 * MINUTE, 1) == [second]
    assert await due.due_tenants(T0, 10) == []
    assert await due.next_due_at() == T0 + MINUTE


async def test_where_nothing_is_due_there_is_no_time(world: World, due: PostgresDueWork) -> None:
    tenant_id = await world.tenant(items=())
    assert await due.next_due_at() is None
    await world.act(tenant_id, fire("a", 1))
    await world.act(tenant_id, Resolve(ByKey("a")))
    assert await due.next_due_at() is None


async def test_due_alerts_come_oldest_first(world: World, due: PostgresDueWork) -> None:
    tenant_id, other = await world.tenant(items=()), await world.tenant("other", items=())
    await world.act(tenant_id, fire("a", 3), fire("b", 1), fire("c", 2), fire("d", 60), fire("e"))
    await world.act(other, fire("z", 1))
    await world.act(tenant_id, Acknowledge(ByKey("e"), until=T0 + 90 * SECOND))

    found = await due.due_alerts(tenant_id, T0 + 5 * MINUTE, 10)

    assert [alert.dedup_key for alert in found] == ["b", "e", "c", "a"]
    assert [alert.dedup_key for alert in await due.due_alerts(tenant_id, T0 + 5 * MINUTE, 1)] == ["b"]


async def test_a_tenant_is_claimed_once(world: World, due: PostgresDueWork) -> None:
    tenant_id, other = await world.tenant(items=()), await world.tenant("other", items=())
    async with due.claim(tenant_id) as is_mine:
        assert is_mine
        async with due.claim(tenant_id) as is_mine_too:
            assert not is_mine_too
        async with due.claim(other) as is_other:
            assert is_other
    async with due.claim(tenant_id) as is_mine:
        assert is_mine
    async with due.claim(TenantId(new_id())) as is_nobody:
        assert not is_nobody


async def test_a_claim_lasts_longer_than_an_idle_transaction_may(world: World, due: PostgresDueWork) -> None:
    tenant_id = await world.tenant(items=())
    async with due.claim(tenant_id) as is_mine:
        assert is_mine
        await asyncio.sleep(2.5)
        async with due.claim(tenant_id) as is_mine_too:
            assert not is_mine_too


async def test_a_claim_needs_no_head_and_ends_with_its_process(
    world: World, due: PostgresDueWork, database_url: str
) -> None:
    tenant_id = await world.tenant(items=())
    async with a_world(database_url, application_name="victim") as other:
        claim = PostgresDueWork(other.database).claim(tenant_id)
        assert await claim.__aenter__()
        await world.act(tenant_id, fire("a", 1))

        await end_connections(database_url, "victim")
        await asyncio.sleep(0.1)
        async with due.claim(tenant_id) as is_mine:
            assert is_mine
        with pytest.raises(Exception, match="not available"):
            await claim.__aexit__(None, None, None)


async def test_an_alert_that_was_put_off_is_armed_again(world: World, due: PostgresDueWork) -> None:
    tenant_id = await world.tenant(items=())
    await world.act(tenant_id, *(fire("a", 1) for _ in range(5)))
    # A repeat moves the end, not the place in the queue.
    await world.act(tenant_id, fire("a", 30), now=T0 + SECOND)
    (early,) = await due.due_alerts(tenant_id, T0 + 5 * MINUTE, 10)
    assert early.due_at == T0 + 30 * MINUTE

    await due.rearm(tenant_id, [early])

    assert await due.due_alerts(tenant_id, T0 + 5 * MINUTE, 10) == []
    assert await due.next_due_at() == T0 + 30 * MINUTE


async def test_an_alert_that_changed_meanwhile_is_not_put_off(world: World, due: PostgresDueWork) -> None:
    tenant_id = await world.tenant(items=())
    await world.act(tenant_id, *(fire(key, 1) for key in "ab" for _ in range(5)))
    await world.act(tenant_id, fire("a", 60), fire("b", 60), now=T0 + SECOND)
    early = await due.due_alerts(tenant_id, T0 + 5 * MINUTE, 10)
    # Both are to end sooner than was read: one by a repeat, one by an event.
    await world.act(tenant_id, fire("a", 2), now=T0 + 2 * SECOND)
    await world.act(tenant_id, Acknowledge(ByKey("b"), until=T0 + 2 * MINUTE))

    await due.rearm(tenant_id, early)

    found = await due.due_alerts(tenant_id, T0 + 5 * MINUTE, 10)
    assert sorted(alert.dedup_key for alert in found) == ["a", "b"]


async def test_tenants_with_many_alerts_are_told_once(world: World, due: PostgresDueWork) -> None:
    tenants = [await world.tenant(f"t{n}", items=()) for n in range(12)]
    for index, tenant_id in enumerate(tenants):
        await world.act(tenant_id, *(fire(f"k{n}", index + n) for n in range(20)))

    assert await due.due_tenants(T0 + HOUR, 100) == tenants
    assert await due.due_tenants(T0 + HOUR, 5) == tenants[:5]
