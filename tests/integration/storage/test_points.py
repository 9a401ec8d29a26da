"""The feed of points: in order, within its bound, of one tenant, and gone without a trace where it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from alertgraph.core.errors import DependencyError
from alertgraph.services.ports import SeriesState
from alertgraph.storage.points import PostgresPoints
from tests.integration.storage.world import World, a_world

ROOM = 1_000_000


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with a_world(database_url) as world:
        yield world


@pytest.fixture
def points(world: World) -> PostgresPoints:
    return PostgresPoints(world.database)


async def test_batches_come_in_their_order_and_are_dropped_once_they_are_taken(
    world: World, points: PostgresPoints
) -> None:
    tenant = await world.tenant()
    await asyncio.gather(*(points.put(tenant, b"batch %d" % number, ROOM) for number in range(20)))

    place = await points.place(tenant, None)
    batches = await points.batches(tenant, place.feed_id, 0, 100)

    assert [batch.number for batch in batches] == list(range(1, 21))
    assert {batch.content for batch in batches} == {b"batch %d" % number for number in range(20)}
    assert [batch.number for batch in await points.batches(tenant, place.feed_id, 17, 2)] == [18, 19]
    await points.drop(tenant, place.feed_id, 20)
    assert len(await points.batches(tenant, place.feed_id, 0, 100)) == 20, "what is not taken stays"
    assert await points.took(tenant, place.feed_id, 0, 15)
    await points.drop(tenant, place.feed_id, 20)
    assert [batch.number for batch in await points.batches(tenant, place.feed_id, 0, 100)] == [16, 17, 18, 19, 20]
    assert (await points.place(tenant, None)).taken == 15


async def test_batches_are_taken_once(world: World, points: PostgresPoints) -> None:
    tenant = await world.tenant()
    await points.put(tenant, b"a", ROOM)
    place = await points.place(tenant, None)

    assert await points.took(tenant, place.feed_id, 0, 1)
    assert not await points.took(tenant, place.feed_id, 0, 1)
    assert not await points.took(tenant, uuid4(), 1, 2)
    assert await points.batches(tenant, uuid4(), 0, 10) == []


async def test_who_waits_is_told_of_all_tenants_and_nothing_else(world: World, points: PostgresPoints) -> None:
    first, second = await world.tenant("first"), await world.tenant("second")
    assert {first, second}.isdisjoint(await points.waiting())
    await points.put(first, b"a", ROOM)

    waiting = await points.waiting()
    assert waiting[first]
    assert second not in waiting
    other = await points.place(second, None)
    assert await points.batches(second, (await points.place(first, None)).feed_id, 0, 10) == []
    assert await points.batches(second, other.feed_id, 0, 10) == []
    assert await points.took(first, (await points.place(first, None)).feed_id, 0, 1)
    assert not (await points.waiting())[first]


async def test_too_much_is_refused_until_some_is_taken(world: World, points: PostgresPoints) -> None:
    tenant = await world.tenant()
    content = bytes(range(256)) * 8
    for _ in range(3):
        await points.put(tenant, content, 1000)
        if len(await points.batches(tenant, (await points.place(tenant, None)).feed_id, 0, 10)) == 3:
            break
        try:
            await points.put(tenant, content, 1000)
        except DependencyError:
            break
    with pytest.raises(DependencyError, match="Too many points wait") as caught:
        await points.put(tenant, content, 200)
    assert caught.value.retryable

    place = await points.place(tenant, None)
    batches = await points.batches(tenant, place.feed_id, 0, 10)
    await points.took(tenant, place.feed_id, 0, batches[-1].number)
    await points.put(tenant, content, 200)


async def test_senders_are_told_why_nothing_is_taken(world: World, points: PostgresPoints) -> None:
    tenant = await world.tenant()
    await points.place(tenant, "there is no numpy")
    with pytest.raises(DependencyError, match="Anomaly detection: there is no numpy"):
        await points.put(tenant, b"a", ROOM)

    await points.place(tenant, None)
    await points.put(tenant, b"a", ROOM)


async def test_a_state_is_replaced_by_one_that_knows_more(world: World, points: PostgresPoints) -> None:
    tenant, other = await world.tenant("first"), await world.tenant("second")
    feed = uuid4()
    content = bytes(1000)
    await points.save(tenant, SeriesState(0, feed, 5, content))
    await points.save(tenant, SeriesState(0, feed, 4, b"older"))
    await points.save(tenant, SeriesState(1, feed, 1, b"b"))
    assert await points.states(tenant) == [SeriesState(0, feed, 5, content), SeriesState(1, feed, 1, b"b")]
    assert await points.states(other) == []

    again = uuid4()
    await points.save(tenant, SeriesState(0, again, 1, b"of another feed"))
    await points.forget(tenant, 1)
    assert await points.states(tenant) == [SeriesState(0, again, 1, b"of another feed")]


async def test_a_crash_of_the_store_begins_another_feed(world: World, points: PostgresPoints) -> None:
    tenant = await world.tenant()
    await points.put(tenant, b"a", ROOM)
    before = await points.place(tenant, None)
    # What PostgreSQL does with tables that are not logged.
    await world.execute("TRUNCATE metric_feed, metric_batch")

    after = await points.place(tenant, None)

    assert after.feed_id != before.feed_id
    assert after.taken == 0
    assert await points.batches(tenant, before.feed_id, 0, 10) == []
