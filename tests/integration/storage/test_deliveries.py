"""Deliveries under way: due in order, claimed once, tried again under a fence, and read as people read them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import combinations, product
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from alertgraph.core.alert import HoldReason
from alertgraph.core.delivery import (
    Attempt,
    ChannelHealth,
    Claim,
    Delivery,
    DeliveryQuery,
    DeliveryStatus,
    Place,
    Purpose,
    Reach,
    Retry,
)
from alertgraph.core.errors import InputError
from alertgraph.core.ids import AlertId, ChannelId, DeliveryId, MonitorId, ResponderId, TenantId, uuid7
from alertgraph.core.query import Page, PageRequest
from alertgraph.storage import delivery_pages, tables
from alertgraph.storage.database import owner_connection
from alertgraph.storage.deliveries import (
    DELIVERY_COLUMNS,
    DELIVERY_SELECT,
    PostgresDeliveries,
    delivery_of,
    delivery_row,
)
from alertgraph.storage.partitions import PARTITIONED_TABLES
from alertgraph.storage.reader import Reader
from tests.factories import DAY, HOUR, MINUTE, SECOND, T0
from tests.integration.storage.world import World, a_world, new_id

pytestmark = pytest.mark.both_servers

SLACK, MAIL, UNUSED = (ChannelId(UUID(int=number)) for number in (1, 2, 3))
ADA, BOB = (ResponderId(UUID(int=number)) for number in (11, 12))
LEASE = 30 * SECOND


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with a_world(database_url) as world:
        yield world


@pytest.fixture
def deliveries(world: World) -> PostgresDeliveries:
    return PostgresDeliveries(world.database)


@pytest.fixture
async def tenant_id(world: World) -> TenantId:
    return await world.tenant()


def a_delivery(**fields: Any) -> Delivery:
    """Return a repeat of a page that is due at T0."""
    created_at = fields.get("created_at", T0)
    defaults: dict[str, Any] = {
        "id": DeliveryId(uuid7(created_at, int.from_bytes(os.urandom(10), "big"))),
        "alert_id": new_id(created_at),
        "channel_id": SLACK,
        "channel_name": "slack",
        "purpose": Purpose.PAGE,
        "level": 2,
        "created_at": created_at,
        "due_at": T0,
    }
    return Delivery(**{**defaults, **fields})


async def put(world: World, tenant_id: TenantId, *deliveries: Delivery) -> None:
    """Leave deliveries where the log leaves them."""
    finished = (DeliveryStatus.SENT, DeliveryStatus.FAILED)
    holes = ", ".join(f"${n}" for n in range(1, len(DELIVERY_COLUMNS) + 2))
    async with world.database.transaction(tenant_id) as connection:
        for delivery in deliveries:
            table = "delivery" if delivery.status in finished else "delivery_open"
            await connection.execute(
                f"INSERT INTO {table} (tenant_id, {DELIVERY_SELECT}) VALUES ({holes})",
                tenant_id,
                *delivery_row(delivery),
            )


async def stored(world: World, *expected: Delivery) -> list[Delivery]:
    """Return open deliveries as they are now."""
    rows = await world.rows(
        f"SELECT {DELIVERY_SELECT} FROM delivery_open WHERE id = ANY ($1)", [one.id for one in expected]
    )
    found = {delivery.id: delivery for delivery in map(delivery_of, rows)}
    return [found[one.id] for one in expected]


async def attempts(world: World, tenant_id: TenantId, *of: Delivery) -> list[Sequence[Attempt]]:
    async with Reader.open(world.database, tenant_id) as reader:
        found = await delivery_pages.load_attempts(reader, [one.id for one in of])
    return [found[one.id] for one in of]


async def skip(connection: Any, alert_id: AlertId | None) -> None:
    """Do what an acknowledgement does to what waits and to what is being sent."""
    await connection.execute(
        "UPDATE delivery_open SET status = 6, due_at = $2 WHERE alert_id = $1 AND status IN (1, 4)", alert_id, T0
    )
    await connection.execute(
        "UPDATE delivery_open SET wanted = false WHERE alert_id = $1 AND status = 2", alert_id
    )


def claims_of(*of: Delivery) -> list[Claim]:
    return [Claim(one.id, one.attempt_count, one.channel_id) for one in of]


# ------------------------------------------------------------------------------------------- rows


async def test_open_and_finished_deliveries_have_the_same_columns() -> None:
    assert tuple(tables.delivery.columns.keys()) == tuple(tables.delivery_open.columns.keys())
    assert len(delivery_row(a_delivery())) == len(DELIVERY_COLUMNS)


async def test_a_delivery_is_kept_with_everything_about_it(
    world: World, deliveries: PostgresDeliveries, tenant_id: TenantId
) -> None:
    full = a_delivery(
        responder_id=ADA,
        address="sealed",
        level=3,
        round=2,
        status=DeliveryStatus.RETRYING,
        wanted=False,
        attempt_count=4,
        sent_at=T0 - SECOND,
        last_error="HTTP 500",
        fallback_of=a_delivery().id,
        fell_back_to=a_delivery().id,
        bundle_id=a_delivery().id,
        change="ESCALATED",
        purpose=Purpose.UPDATE,
    )
    bare = a_delivery(alert_id=None, purpose=Purpose.TEST, level=0)
    await put(world, tenant_id, full, bare)

    found = await deliveries.due(tenant_id, T0, 10)

    assert sorted(found, key=lambda one: one.id) == sorted((full, bare), key=lambda one: one.id)


# -------------------------------------------------------------------------------------- what is due


async def test_first_news_goes_before_all_others_then_the_oldest(
    world: World, deliveries: PostgresDeliveries, tenant_id: TenantId
) -> None:
    first_late = a_delivery(level=1, due_at=T0 - SECOND)
    first_later = a_delivery(level=0, purpose=Purpose.ASSIGNMENT, due_at=T0)
    repeat = a_delivery(level=1, round=1, due_at=T0 - 3 * SECOND)
    second = a_delivery(level=2, due_at=T0 - 2 * SECOND)
    update = a_delivery(level=0, purpose=Purpose.UPDATE, due_at=T0 - HOUR)
    future = a_delivery(level=1, due_at=T0 + SECOND)
    await put(world, tenant_id, first_later, future, update, repeat, second, first_late)

    expected = [first_late, first_later, update, repeat, second]
    for limit in range(1, 7):
        assert await deliveries.due(tenant_id, T0, limit) == expected[:limit]


async def test_lost_attempts_and_skipped_pages_are_due_too(
    world: World, deliveries: PostgresDeliveries, tenant_id: TenantId
) -> None:
    lost = a_delivery(status=DeliveryStatus.SENDING, attempt_count=1, due_at=T0 - 3 * SECOND)
    skipped = a_delivery(status=DeliveryStatus.SKIPPED, due_at=T0 - 2 * SECOND)
    failed = a_delivery(status=DeliveryStatus.RETRYING, attempt_count=2, due_at=T0 - SECOND)
    sending = a_delivery(status=DeliveryStatus.SENDING, attempt_count=1, due_at=T0 + SECOND)
    await put(world, tenant_id, lost, skipped, failed, sending)

    assert await deliveries.due(tenant_id, T0, 10) == [lost, skipped, failed]


async def test_tenants_with_work_come_in_the_order_they_are_due(
    world: World, deliveries: PostgresDeliveries
) -> None:
    assert await deliveries.next_due_at() is None
    first, second, later, idle = [await world.tenant(slug) for slug in ("first", "second", "later", "idle")]
    await put(world, first, a_delivery(due_at=T0 - SECOND), a_delivery(level=1, due_at=T0))
    await put(world, second, a_delivery(due_at=T0), a_delivery(level=1, due_at=T0 - 2 * SECOND))
    await put(world, later, a_delivery(due_at=T0 + HOUR))
    await put(world, idle, a_delivery(status=DeliveryStatus.SENT, due_at=T0 - DAY))

    assert await deliveries.due_tenants(T0, 10) == [second, first]
    assert await deliveries.due_tenants(T0, 1) == [second]
    assert await deliveries.due_tenants(T0 + HOUR, 10) == [second, first, later]
    assert await deliveries.next_due_at() == T0 - 2 * SECOND
    assert await deliveries.due(idle, T0, 10) == []


async def test_the_engine_sees_who_has_deliveries_and_no_more(world: World, tenant_id: TenantId) -> None:
    await put(world, tenant_id, a_delivery())
    async with owner_connection(world.url) as connection:
        await connection.execute("SET ROLE ag_engine")
        assert await connection.fetchval("SELECT tenant_id FROM delivery_open WHERE due_at = $1", T0) == tenant_id
        for forbidden in (
            "SELECT address FROM delivery_open",
            "SELECT last_beat_at FROM heartbeat",
            "SELECT 1 FROM delivery",
            "SELECT receipt FROM delivery_receipt",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(forbidden)


# ----------------------------------------------------------------------------------------- claiming


async def test_a_claim_begins_an_attempt(
    world: World, deliveries: PostgresDeliveries, tenant_id: TenantId
) -> None:
    leader, member = a_delivery(), a_delivery()
    await put(world, tenant_id, leader, member)
    claims = [Claim(leader.id, 0, SLACK), Claim(member.id, 0, SLACK, bundle_id=leader.id)]

    claimed = await deliveries.claim(tenant_id, claims, T0, T0 + LEASE, {SLACK: T0 + SECOND})

    assert claimed == {leader.id, member.id}
    sending = {"status": DeliveryStatus.SENDING, "attempt_count": 1, "due_at": T0 + LEASE}
    assert await stored(world, leader, member) == [
        replace(leader, **sending),
        replace(member, **sending, bundle_id=leader.id),
    ]
    assert await attempts(world, tenant_id, leader, member) == [[Attempt(1, T0)], [Attempt(1, T0)]]
    assert await deliveries.due(tenant_id, T0, 10) == []
    assert await deliveries.next_due_at() == T0 + LEASE


async def test_what_is_not_as_it_was_read_is_not_claimed(
    world: World, deliveries: PostgresDeliveries, tenant_id: TenantId
) -> None:
    tried = a_delivery(attempt_count=1, status=DeliveryStatus.RETRYING)
    skipped = a_delivery(status=DeliveryStatus.SKIPPED)
    unwanted = a_delivery(status=DeliveryStatus.SENDING, wanted=False, attempt_count=1)
    early = a_delivery(due_at=T0 + SECOND)
    gone = a_delivery(status=DeliveryStatus.SENT)
    mine = a_delivery(alert_id=None, purpose=Purpose.TEST)
    await put(world, tenant_id, tried, skipped, unwanted, early, gone, mine)
    before = await stored(world, tried, skipped, unwanted, early)

    claims = [*claims_of(skipped, unwanted, early, gone, mine), Claim(tried.id, 0, SLACK)]
    assert await deliveries.claim(tenant_id, claims, T0, T0 + LEASE, {}) == {mine.id}

    assert await stored(world, tried, skipped, unwanted, early) == before
    assert await attempts(world, tenant_id, tried, skipped, unwanted, early) == [[], [], [], []]
    assert await deliveries.claim(tenant_id, [], T0, T0 + LEASE, {}) == frozenset()


async def test_a_delivery_of_another_tenant_is_not_claimed(
    world: World, deliveries: PostgresDeliveries, tenant_id: TenantId
) -> None:
    delivery = a_delivery()
    await put(world, tenant_id, delivery)
    other = await world.tenant("other")

    assert await deliveries.claim(other, claims_of(delivery), T0, T0 + LEASE, {}) == frozenset()
    assert await stored(world, delivery) == [delivery]


async def test_a_lost_attempt_is_made_again_and_stays_without_an_end(
    world: World, deliveries: PostgresDeliveries, tenant_id: TenantId
) -> None:
    delivery = a_delivery()
    await put(world, tenant_id, delivery)
    await deliveries.claim(tenant_id, claims_of(delivery), T0, T0 + LEASE, {})
    late = T0 + LEASE
    (again,) = await deliveries.due(tenant_id, late, 10)

    assert await deliveries.claim(tenant_id, claims_of(again), T0 + SECOND, late, {}) == frozenset()
    assert await deliveries.claim(tenant_id, claims_of(again), late, late + LEASE, {}) == {delivery.id}

    assert await attempts(world, tenant_id, delivery) == [[Attempt(1, T0), Attempt(2, late)]]


async def test_each_of_many_claimers_gets_something_else(
    database_url: str, world: World, tenant_id: TenantId
) -> None:
    waiting = [a_delivery() for _ in range(200)]
    await put(world, tenant_id, *waiting)
    async with AsyncExitStack() as stack:
        worlds = [await stack.enter_async_context(a_world(database_url, pool_size=2)) for _ in range(4)]
        claimers = [PostgresDeliveries(worlds[index % 4].database) for index in range(8)]

        async def work(deliveries: PostgresDeliveries, step: int) -> list[DeliveryId]:
            mine: list[DeliveryId] = []
            for _ in range(200):
                found = await deliveries.due(tenant_id, T0, 17)
                if not found:
                    return mine
                # Everybody in an order of their own.
                claims = claims_of(*(found if step % 2 else found[::-1]))
                mine += await deliveries.claim(tenant_id, claims, T0, T0 + LEASE, {SLACK: T0 + SECOND})
            raise AssertionError("some were never claimed")

        shares = await asyncio.gather(*(work(claimer, step) for step, claimer in enumerate(claimers)))

    claimed = [id_ for share in shares for id_ in share]
    assert len(claimed) == 200
    assert set(claimed) == {one.id for one in waiting}
    assert await world.value("SELECT count(*) FROM delivery_attempt WHERE number = 1") == 200
    assert await world.value("SELECT count(*) FROM delivery_attempt") == 200


async def test_after_an_acknowledgement_nothing_is_claimed(
    world: World, deliveries: PostgresDeliveries, tenant_id: TenantId
) -> None:
    delivery = a_delivery()
    await put(world, tenant_id, delivery)
    async with world.database.transaction(tenant_id) as connection:
        await skip(connection, delivery.alert_id)
        # Neither while it is being written nor afterwards.
        assert await deliveries.claim(tenant_id, claims_of(delivery), T0, T0 + LEASE, {}) == frozenset()

    assert await deliveries.claim(tenant_id, claims_of(delivery), T0, T0 + LEASE, {}) == frozenset()
    (waiting,) = await deliveries.due(tenant_id, T0, 10)
    assert waiting.status is DeliveryStatus.SKIPPED
    assert await attempts(world, tenant_id, delivery) == [[]]


async def test_an_acknowledgement_and_a_claim_never_both_win(
    world: World, deliveries: PostgresDeliveries, tenant_id: TenantId
) -> None:
    for _ in range(40):
        delivery = a_delivery()
        await put(world, tenant_id, delivery)

        async def acknowledge(alert_id: AlertId | None = delivery.alert_id) -> None:
            async with world.database.transaction(tenant_id) as connection:
                await skip(connection, alert_id)

        _, claimed = await asyncio.gather(
            acknowledge(), deliveries.claim(tenant_id, claims_of(delivery), T0, T0 + LEASE, {})
        )

        (after,) = await stored(world, delivery)
        (tried,) = await attempts(world, tenant_id, delivery)
        assert (len(claimed), len(tried), after.status) in (
            (0, 0, DeliveryStatus.SKIPPED),
            (1, 1, DeliveryStatus.SENDING),
        )


# ------------------------------------------------------------------------------ who knows of an alert

TIMED_OUT = Attempt(1, T0, timedelta(seconds=10), None, "no answer within 10 s")


async def reach_of(deliveries: PostgresDeliveries, tenant_id: TenantId, *of: Delivery) -> list[Reach]:
    places: list[Place] = []
    for one in of:
        assert one.alert_id is not None
        places.append((one.alert_id, one.channel_id))
    found = await deliveries.reach(tenant_id, places, T0 - DAY)
    return [found[place] for place in places]


async def test_who_knows_of_an_alert_follows_from_what_became_of_its_pages(
    world: World, deliveries: PostgresDeliveries, tenant_id: TenantId
) -> None:
    sent, failed, waiting, sending, skipped, given, updated, never = [
        a_delivery(status=status, purpose=purpose)
        for status, purpose in (
            (DeliveryStatus.SENT, Purpose.PAGE),
            (DeliveryStatus.FAILED, Purpose.PAGE),
            (DeliveryStatus.RETRYING, Purpose.PAGE),
            (DeliveryStatus.SENDING, Purpose.PAGE),
            (DeliveryStatus.SKIPPED, Purpose.PAGE),
            (DeliveryStatus.SENT, Purpose.ASSIGNMENT),
            (DeliveryStatus.SENT, Purpose.UPDATE),
            (DeliveryStatus.PENDING, Purpose.UPDATE),
        )
    ]
    skipped = replace(skipped, wanted=False)
    elsewhere = a_delivery(alert_id=sent.alert_id, channel_id=MAIL, status=DeliveryStatus.SKIPPED, wanted=False)
    again = a_delivery(alert_id=sent.alert_id, status=DeliveryStatus.SENDING)
    every = (sent, failed, waiting, sending, skipped, given, updated, never, elsewhere)
    await put(world, tenant_id, *every, again)

    nobody, told = Reach.NOBODY, Reach.TOLD
    expected = [told, nobody, nobody, Reach.UNDER_WAY, nobody, told, nobody, nobody, nobody]
    assert await reach_of(deliveries, tenant_id, *every) == expected
    assert await reach_of(deliveries, await world.tenant("other"), sent) == [Reach.NOBODY]


@pytest.mark.parametrize(
    ("attempt", "knows"), [(TIMED_OUT, Reach.TOLD), (replace(TIMED_OUT, status_code=503), Reach.NOBODY)]
)
async def test_a_page_whose_answer_never_came_may_have_arrived(
    world: World, deliveries: PostgresDeliveries, tenant_id: TenantId, attempt: Attempt, knows: Reach
) -> None:
    page = await claimed_once(world, deliveries, tenant_id)
    assert await reach_of(deliveries, tenant_id, page) == [Reach.UNDER_WAY]
    await deliveries.retry(tenant_id, [Retry(page.id, 1, T0 + MINUTE, attempt)])
    # It waits: when it goes, it says how the alert is by then.
    assert await reach_of(deliveries, tenant_id, page) == [Reach.NOBODY]
    async with world.database.transaction(tenant_id) as connection:
        await connection.execute("UPDATE delivery_open SET wanted = false, status = 6 WHERE id = $1", page.id)

    assert await reach_of(deliveries, tenant_id, page) == [knows]


async def test_a_page_that_a_crash_took_along_may_have_arrived(
    world: World, deliveries: PostgresDeliveries, tenant_id: TenantId
) -> None:
    page = await claimed_once(world, deliveries, tenant_id)
    async with world.database.transaction(tenant_id) as connection:
        await connection.execute("DELETE FROM delivery_open WHERE id = $1", page.id)
    ended = replace(page, status=DeliveryStatus.FAILED)
    await put(world, tenant_id, ended)

    assert await reach_of(deliveries, tenant_id, ended) == [Reach.TOLD]


async def test_an_alert_older_than_what_is_kept_counts_as_told(
    deliveries: PostgresDeliveries, tenant_id: TenantId
) -> None:
    old = a_delivery(alert_id=new_id(T0 - 2 * DAY))
    assert await reach_of(deliveries, tenant_id, old) == [Reach.TOLD]


# ------------------------------------------------------------------------------------ after a failure


async def claimed_once(
    world: World, deliveries: PostgresDeliveries, tenant_id: TenantId, **fields: Any
) -> Delivery:
    """Return a delivery whose first attempt is under way."""
    delivery = a_delivery(**fields)
    await put(world, tenant_id, delivery)
    await deliveries.claim(tenant_id, claims_of(delivery), T0, T0 + LEASE, {})
    (sending,) = await stored(world, delivery)
    return sending


FAILED = Attempt(1, T0, timedelta(milliseconds=250), 503, "HTTP 503")


async def test_a_failed_attempt_is_made_again_later(
    world: World, deliveries: PostgresDeliveries, tenant_id: TenantId
) -> None:
    delivery = await claimed_once(world, deliveries, tenant_id)

    await deliveries.retry(tenant_id, [Retry(delivery.id, 1, T0 + MINUTE, FAILED)])

    retrying = {"status": DeliveryStatus.RETRYING, "due_at": T0 + MINUTE, "last_error": "HTTP 503"}
    assert await stored(world, delivery) == [replace(delivery, **retrying)]
    assert await attempts(world, tenant_id, delivery) == [[FAILED]]
    assert await deliveries.claim(tenant_id, [Claim(delivery.id, 1, SLACK)], T0, T0 + LEASE, {}) == frozenset()
    later = T0 + MINUTE
    assert await deliveries.claim(tenant_id, [Claim(delivery.id, 1, SLACK)], later, later + LEASE, {})


async def test_what_is_not_wanted_any_more_is_not_tried_again(
    world: World, deliveries: PostgresDeliveries, tenant_id: TenantId
) -> None:
    delivery = await claimed_once(world, deliveries, tenant_id)
    async with world.database.transaction(tenant_id) as connection:
        await skip(connection, delivery.alert_id)

    await deliveries.retry(tenant_id, [Retry(delivery.id, 1, T0 + MINUTE, FAILED)])

    (after,) = await deliveries.due(tenant_id, T0, 10)
    assert (after.id, after.status, after.last_error) == (delivery.id, DeliveryStatus.SKIPPED, "HTTP 503")
    assert await attempts(world, tenant_id, delivery) == [[FAILED]]
    assert await deliveries.claim(tenant_id, claims_of(after), T0, T0 + LEASE, {}) == frozenset()


async def test_a_late_answer_of_an_earlier_attempt_changes_nothing(
    world: World, deliveries: PostgresDeliveries, tenant_id: TenantId
) -> None:
    delivery = await claimed_once(world, deliveries, tenant_id)
    late = T0 + LEASE
    await deliveries.claim(tenant_id, claims_of(delivery), late, late + LEASE, {})
    before = await stored(world, delivery)

    await deliveries.retry(tenant_id, [Retry(delivery.id, 1, T0, FAILED)])
    assert await stored(world, delivery) == before
    await deliveries.retry(tenant_id, [Retry(delivery.id, 3, T0, replace(FAILED, number=3))])
    assert await stored(world, delivery) == before
    other = await world.tenant("other")
    await deliveries.retry(other, [Retry(delivery.id, 2, T0, replace(FAILED, number=2))])

    assert await stored(world, delivery) == before
    assert await attempts(world, tenant_id, delivery) == [[Attempt(1, T0), Attempt(2, late)]]


async def test_what_a_provider_said_can_always_be_kept(
    world: World, deliveries: PostgresDeliveries, tenant_id: TenantId
) -> None:
    delivery = await claimed_once(world, deliveries, tenant_id)
    awkward = replace(FAILED, error="\x00 and \ud800")

    await deliveries.retry(tenant_id, [Retry(delivery.id, 1, T0 + MINUTE, awkward)])
    await deliveries.note_health(tenant_id, SLACK, lambda health: replace(health, last_error=awkward.error))

    ((kept,),) = await attempts(world, tenant_id, delivery)
    assert kept.error == "\ufffd and ?"
    assert (await deliveries.health(tenant_id))[SLACK].last_error == kept.error


async def test_claims_and_retries_in_any_order_never_lock_each_other_out(
    world: World, deliveries: PostgresDeliveries, tenant_id: TenantId
) -> None:
    waiting = [a_delivery() for _ in range(30)]
    await put(world, tenant_id, *waiting)
    later = {one.id: T0 + SECOND for one in waiting}
    for attempt in range(5):
        at = T0 + (attempt + 1) * MINUTE
        claims = [Claim(one.id, attempt, SLACK if index % 2 else MAIL) for index, one in enumerate(waiting)]
        turns = {SLACK: at, MAIL: at}
        claimed = await asyncio.gather(
            *(deliveries.claim(tenant_id, order, at, at + LEASE, turns) for order in (claims, claims[::-1])),
            deliveries.put_off(tenant_id, later, T0),
        )
        mine = [id_ for share in claimed[:2] if share is not None for id_ in share]
        assert len(set(mine)) == len(mine)
        # Whatever was put off at that moment is claimed now.
        rest = [claim for claim in claims if claim.delivery_id not in mine]
        mine += await deliveries.claim(tenant_id, rest, at, at + LEASE, turns)
        assert set(mine) == {one.id for one in waiting}
        retries = [Retry(one.id, attempt + 1, at, Attempt(attempt + 1, at, SECOND)) for one in waiting]
        await asyncio.gather(*(deliveries.retry(tenant_id, order) for order in (retries, retries[::-1])))

    assert await world.value("SELECT count(*) FROM delivery_attempt WHERE duration IS NOT NULL") == 150


async def test_waiting_for_a_turn_moves_only_what_waits(
    world: World, deliveries: PostgresDeliveries, tenant_id: TenantId
) -> None:
    waiting, later = a_delivery(), a_delivery(status=DeliveryStatus.RETRYING, due_at=T0 + HOUR)
    sending = a_delivery(status=DeliveryStatus.SENDING, attempt_count=1, due_at=T0 + SECOND)
    lost = a_delivery(status=DeliveryStatus.SENDING, attempt_count=1)
    skipped = a_delivery(status=DeliveryStatus.SKIPPED)
    every = (waiting, later, sending, lost, skipped)
    await put(world, tenant_id, *every)

    await deliveries.put_off(tenant_id, {one.id: T0 + MINUTE for one in every}, T0)
    await deliveries.put_off(tenant_id, {}, T0)

    assert await stored(world, *every) == [
        replace(waiting, due_at=T0 + MINUTE),
        later,
        sending,
        replace(lost, due_at=T0 + MINUTE),
        skipped,
    ]


# ------------------------------------------------------------------------------------------ channels


async def test_a_channel_that_was_never_used_has_no_health(
    deliveries: PostgresDeliveries, tenant_id: TenantId
) -> None:
    assert await deliveries.health(tenant_id) == {}


async def test_how_a_channel_does_is_kept(
    world: World, deliveries: PostgresDeliveries, tenant_id: TenantId
) -> None:
    health = ChannelHealth(3, T0 + MINUTE, T0 + SECOND, T0 - HOUR, T0, "HTTP 500")

    assert await deliveries.note_health(tenant_id, SLACK, lambda _: health) == health

    assert await deliveries.health(tenant_id) == {SLACK: health}
    assert await deliveries.health(await world.tenant("other")) == {}
    async with Reader.open(world.database, tenant_id) as reader:
        assert await delivery_pages.load_channel_health(reader) == {SLACK: health}
    with pytest.raises(RuntimeError):
        await deliveries.note_health(tenant_id, SLACK, _refuse)
    assert await deliveries.health(tenant_id) == {SLACK: health}


def _refuse(_: ChannelHealth) -> ChannelHealth:
    raise RuntimeError("no")


async def test_processes_that_note_health_at_once_lose_nothing(
    world: World, deliveries: PostgresDeliveries, database_url: str, tenant_id: TenantId
) -> None:
    def count(health: ChannelHealth) -> ChannelHealth:
        return replace(health, failure_count=health.failure_count + 1)

    async with a_world(database_url) as other:
        both = (deliveries, PostgresDeliveries(other.database))
        await asyncio.gather(*(both[n % 2].note_health(tenant_id, SLACK, count) for n in range(24)))

    assert (await deliveries.health(tenant_id))[SLACK].failure_count == 24


async def test_a_claim_puts_off_the_turns_of_the_channels_it_uses(
    world: World, deliveries: PostgresDeliveries, tenant_id: TenantId
) -> None:
    await deliveries.note_health(tenant_id, SLACK, lambda health: replace(health, failure_count=2))
    by_slack, by_mail = a_delivery(), a_delivery(channel_id=MAIL)
    await put(world, tenant_id, by_slack, by_mail)

    turns = {SLACK: T0 + SECOND, MAIL: T0 + MINUTE, UNUSED: T0 + HOUR}
    stale = Claim(by_mail.id, 7, MAIL)
    await deliveries.claim(tenant_id, [*claims_of(by_slack), stale], T0, T0 + LEASE, turns)
    assert await deliveries.health(tenant_id) == {SLACK: ChannelHealth(2, next_send_at=T0 + SECOND)}

    again = a_delivery()
    await put(world, tenant_id, again)
    earlier = {SLACK: T0, MAIL: T0 + MINUTE}
    await deliveries.claim(tenant_id, claims_of(again, by_mail), T0, T0 + LEASE, earlier)
    health = await deliveries.health(tenant_id)
    assert {channel: one.next_send_at for channel, one in health.items()} == {
        SLACK: T0 + SECOND,
        MAIL: T0 + MINUTE,
    }


async def test_a_receipt_is_found_by_whom_it_went_to(
    world: World, deliveries: PostgresDeliveries, tenant_id: TenantId
) -> None:
    alert_id = new_id()
    for address, receipt in (("a@example.org", '{"id": 1}'), (None, '{"id": 2}')):
        await world.execute(
            "INSERT INTO delivery_receipt VALUES ($1, $2, $3, address_hash($4), $5)",
            tenant_id, alert_id, SLACK, address, receipt,
        )  # fmt: skip

    assert await deliveries.receipt(tenant_id, alert_id, SLACK, "a@example.org") == '{"id": 1}'
    assert await deliveries.receipt(tenant_id, alert_id, SLACK, None) == '{"id": 2}'
    assert await deliveries.receipt(tenant_id, alert_id, SLACK, "b@example.org") is None
    assert await deliveries.receipt(tenant_id, alert_id, MAIL, None) is None
    assert await deliveries.receipt(await world.tenant("other"), alert_id, SLACK, None) is None


async def test_a_test_is_kept_past_the_queue(
    world: World, deliveries: PostgresDeliveries, tenant_id: TenantId
) -> None:
    sent = {"alert_id": None, "purpose": Purpose.TEST, "status": DeliveryStatus.SENT, "attempt_count": 1}
    attempt = Attempt(1, T0, SECOND, 200)
    # Whatever the clock says: a month that there is no partition of is made.
    recorded = [a_delivery(created_at=at, sent_at=at, **sent) for at in (T0, T0 + 800 * DAY, T0 - 800 * DAY)]
    for delivery in recorded:
        for _ in range(2):
            await deliveries.record(tenant_id, delivery, attempt)

    async with Reader.open(world.database, tenant_id) as reader:
        found = await delivery_pages.load_deliveries(reader, [one.id for one in recorded])
    assert found == {one.id: one for one in recorded}
    assert await attempts(world, tenant_id, *recorded) == [[attempt]] * 3
    assert await deliveries.next_due_at() is None


async def test_months_that_are_there_are_not_made_again(world: World) -> None:
    count = "SELECT count(*) FROM pg_class WHERE relispartition AND relkind = 'r'"
    before = await world.value(count)
    async with world.database.connection() as connection:
        await connection.fetch("SELECT ensure_delivery_months($1)", [a_delivery().id])
        assert await world.value(count) == before
        months = [a_delivery(created_at=T0 + 400 * DAY).id, a_delivery(created_at=T0 + 400 * DAY + HOUR).id]
        await connection.fetch("SELECT ensure_delivery_months($1)", months)
    assert await world.value(count) == before + len(PARTITIONED_TABLES)


# --------------------------------------------------------------------------------------------- lists


async def library(world: World, tenant_id: TenantId) -> list[Delivery]:
    """Leave deliveries of every sort, decided a minute apart; return them newest first."""
    made = []
    for number, (status, channel, responder) in enumerate(
        product(DeliveryStatus, (SLACK, MAIL), (None, ADA, BOB))
    ):
        created_at = T0 - number * MINUTE
        made.append(a_delivery(status=status, channel_id=channel, responder_id=responder, created_at=created_at))
    await put(world, tenant_id, *made)
    # What was skipped is filed in the end: half of it is by now.
    await world.execute(
        f"WITH filed AS (DELETE FROM delivery_open WHERE status = 6 AND channel_id = '{MAIL}' RETURNING *)"
        "INSERT INTO delivery SELECT * FROM filed"
    )
    return made


async def read_page(world: World, tenant_id: TenantId, query: DeliveryQuery) -> Page[Delivery]:
    async with Reader.open(world.database, tenant_id) as reader:
        return await delivery_pages.delivery_page(reader, query)


async def walk(
    read: Callable[[PageRequest], Any], size: int, *, backward: bool
) -> tuple[list[Delivery], list[tuple[bool, bool]]]:
    """Return all items of a list, page by page, in the order they came, and what each page said lies beside it."""
    found: list[Delivery] = []
    sides = []
    request = PageRequest(size, backward=backward)
    for _ in range(100):
        page: Page[Delivery] = await read(request)
        items = [item for _, item in page.items]
        found = items + found if backward else found + items
        sides.append((page.has_previous, page.has_next))
        if not (page.has_previous if backward else page.has_next):
            return found, sides
        if backward:
            request = replace(request, before=page.items[0][0])
        else:
            request = replace(request, after=page.items[-1][0])
    raise AssertionError("the list has no end")


@pytest.mark.parametrize("backward", [False, True])
async def test_open_and_finished_deliveries_are_one_list(
    world: World, tenant_id: TenantId, backward: bool
) -> None:
    made = await library(world, tenant_id)

    async def read(page: PageRequest) -> Page[Delivery]:
        return await read_page(world, tenant_id, DeliveryQuery(page))

    found, sides = await walk(read, 7, backward=backward)

    assert found == made
    middle = [(True, True)] * (len(sides) - 2)
    first, last = (False, True), (True, False)
    assert sides == ([last, *middle, first] if backward else [first, *middle, last])
    assert await walk(read, 36, backward=backward) == (made, [(False, False)])


async def test_a_list_shows_what_every_filter_lets_through(world: World, tenant_id: TenantId) -> None:
    made = await library(world, tenant_id)
    statuses = [(), *combinations(DeliveryStatus, 1), (DeliveryStatus.FAILED, DeliveryStatus.SKIPPED)]
    statuses.append((DeliveryStatus.SENT, DeliveryStatus.FAILED, DeliveryStatus.PENDING))
    channels: list[tuple[ChannelId, ...]] = [(), (SLACK,), (SLACK, MAIL, UNUSED), (UNUSED,)]
    responders: list[tuple[ResponderId, ...]] = [(), (ADA,), (BOB, ADA)]
    spans = [(None, None), (T0 - 20 * MINUTE, T0 - 10 * MINUTE)]
    for status, channel_ids, responder_ids, (since, until) in product(statuses, channels, responders, spans):
        query = DeliveryQuery(PageRequest(100), status, channel_ids, responder_ids, since, until)

        page = await read_page(world, tenant_id, query)

        assert [item for _, item in page.items] == [
            one
            for one in made
            if (not status or one.status in status)
            and (not channel_ids or one.channel_id in channel_ids)
            and (not responder_ids or one.responder_id in responder_ids)
            and (since is None or one.created_at >= since)
            and (until is None or one.created_at < until)
        ], query


async def test_filters_bear_any_instant(world: World, tenant_id: TenantId) -> None:
    made = await library(world, tenant_id)
    always = DeliveryQuery(
        PageRequest(100),
        created_after=datetime.min.replace(tzinfo=T0.tzinfo),
        created_before=datetime.max.replace(tzinfo=T0.tzinfo),
    )
    assert len((await read_page(world, tenant_id, always)).items) == len(made)


@pytest.mark.parametrize("cursor", ["", "nonsense", "é", "AAAA"])
async def test_a_cursor_of_another_list_is_refused(world: World, tenant_id: TenantId, cursor: str) -> None:
    for page in (PageRequest(after=cursor), PageRequest(before=cursor)):
        with pytest.raises(InputError, match="not a cursor of this list"):
            await read_page(world, tenant_id, DeliveryQuery(page))


async def test_a_list_ends_between_its_cursors(world: World, tenant_id: TenantId) -> None:
    made = await library(world, tenant_id)
    whole = await read_page(world, tenant_id, DeliveryQuery(PageRequest(100)))
    after, before = whole.items[4][0], whole.items[9][0]

    for backward in (False, True):
        page = await read_page(world, tenant_id, DeliveryQuery(PageRequest(10, after, before, backward)))
        assert [item for _, item in page.items] == made[5:9]
        assert (page.has_previous, page.has_next) == (True, True)


@pytest.mark.parametrize("backward", [False, True])
async def test_deliveries_of_several_alerts_come_oldest_first(
    world: World, tenant_id: TenantId, backward: bool
) -> None:
    busy, quiet, silent = new_id(), new_id(), new_id()
    statuses = [DeliveryStatus.SENT, DeliveryStatus.PENDING, DeliveryStatus.FAILED, DeliveryStatus.RETRYING] * 3
    of_busy = [
        a_delivery(alert_id=busy, status=status, created_at=T0 + number * SECOND)
        for number, status in enumerate(statuses)
    ]
    of_quiet = [a_delivery(alert_id=quiet)]
    await put(world, tenant_id, *of_busy, *of_quiet, a_delivery(alert_id=None, purpose=Purpose.TEST))

    async def read_all(page: PageRequest) -> dict[AlertId, Page[Delivery]]:
        async with Reader.open(world.database, tenant_id) as reader:
            return await delivery_pages.deliveries_of(reader, [quiet, busy, silent], page)

    pages = await read_all(PageRequest(5, backward=backward))
    assert list(pages) == [quiet, busy, silent]
    assert [item for _, item in pages[quiet].items] == of_quiet
    assert (list(pages[silent].items), pages[silent].has_next, pages[silent].has_previous) == ([], False, False)
    assert [item for _, item in pages[busy].items] == (of_busy[-5:] if backward else of_busy[:5])

    async def read(page: PageRequest) -> Page[Delivery]:
        return (await read_all(page))[busy]

    found, _ = await walk(read, 5, backward=backward)
    assert found == of_busy
    with pytest.raises(InputError, match="not a cursor"):
        await read_all(PageRequest(after="?"))


async def test_what_is_read_is_the_tenants_own(world: World, tenant_id: TenantId) -> None:
    delivery = a_delivery(status=DeliveryStatus.SENT)
    waiting = a_delivery(alert_id=delivery.alert_id)
    await put(world, tenant_id, delivery, waiting)
    assert delivery.alert_id is not None
    ids = [delivery.id, waiting.id]

    for tenant, expected in ((tenant_id, {delivery.id, waiting.id}), (await world.tenant("other"), set())):
        async with Reader.open(world.database, tenant) as reader:
            assert set(await delivery_pages.load_deliveries(reader, ids)) == expected
            page = await delivery_pages.delivery_page(reader, DeliveryQuery())
            assert {item.id for _, item in page.items} == expected
            pages = await delivery_pages.deliveries_of(reader, [delivery.alert_id], PageRequest())
            assert {item.id for _, item in pages[delivery.alert_id].items} == expected
            assert await delivery_pages.load_deliveries(reader, []) == {}
            assert await delivery_pages.load_attempts(reader, []) == {}


# -------------------------------------------------------------------------------------------- figures


async def alerts_of(world: World, tenant_id: TenantId, *columns: tuple[datetime | None, int | None]) -> list[UUID]:
    """Leave open alerts with a due time and a hold reason each."""
    ids = []
    for due_at, hold_reason in columns:
        id_ = new_id()
        await world.execute(
            "INSERT INTO alert_open (tenant_id, id, version, dedup_key, title, description, severity, status, "
            "source, labels, annotations, links, occurrence_count, triggered_at, last_seen_at, escalation_level, "
            "hold_reason, acknowledge_by, resolve_by, resolve_by_timeout, due_at, next_escalation_at) VALUES "
            "($1, $2, 1, ($2::uuid)::text, '', '', 1, 1, '', '{}', '{}', '[]', 1, $3, $3, 0, $4, $3, $3, false, "
            "$5, $6)",
            tenant_id, id_, T0, hold_reason, due_at, due_at if hold_reason is None else None,
        )  # fmt: skip
        ids.append(id_)
    return ids


async def test_a_quiet_tenant_has_nothing_to_tell(world: World, tenant_id: TenantId) -> None:
    await alerts_of(
        world, tenant_id, (T0 + HOUR, None), (None, HoldReason.SILENCED), (None, HoldReason.ACKNOWLEDGED)
    )
    async with Reader.open(world.database, tenant_id) as reader:
        figures = await delivery_pages.load_engine_figures(reader, T0)

    assert (figures.oldest_due_at, figures.oldest_delivery_at, figures.pending_count) == (None, None, 0)
    assert figures.late == figures.late_deliveries == figures.forgotten == (0, None)
    assert figures.held == {HoldReason.NO_MATCHING_RULE: (0, None), HoldReason.NOBODY_ON_CALL: (0, None)}


async def test_what_is_late_or_held_is_counted_with_an_example(world: World, tenant_id: TenantId) -> None:
    late, oldest, _, unmatched, *_ = await alerts_of(
        world,
        tenant_id,
        (T0 - 61 * SECOND, None),
        (T0 - HOUR, None),
        (T0 - 60 * SECOND, None),
        (None, HoldReason.NO_MATCHING_RULE),
        (T0 + HOUR, HoldReason.NOBODY_ON_CALL),
        (None, HoldReason.NOBODY_ON_CALL),
        (None, HoldReason.LADDER_EXHAUSTED),
    )
    waits = [
        a_delivery(due_at=T0 - MINUTE),
        a_delivery(due_at=T0 - 2 * MINUTE, status=DeliveryStatus.SENDING, attempt_count=1),
        a_delivery(due_at=T0 - 3 * MINUTE, level=1),
        a_delivery(due_at=T0 + MINUTE),
        a_delivery(due_at=T0 - DAY, status=DeliveryStatus.SENT),
    ]
    await put(world, tenant_id, *waits)
    other = await world.tenant("other")
    await alerts_of(world, other, (T0 - DAY, None))
    await put(world, other, a_delivery(due_at=T0 - DAY))

    async with Reader.open(world.database, tenant_id) as reader:
        figures = await delivery_pages.load_engine_figures(reader, T0)

    assert figures.oldest_due_at == T0 - HOUR
    assert figures.late == (2, oldest)
    assert late != oldest
    assert figures.oldest_delivery_at == T0 - 3 * MINUTE
    assert figures.late_deliveries == (2, waits[2].alert_id)
    assert figures.pending_count == 4
    assert figures.held[HoldReason.NO_MATCHING_RULE] == (1, unmatched)
    assert figures.held[HoldReason.NOBODY_ON_CALL][0] == 2
    assert figures.forgotten == (0, None)


async def test_a_forgotten_alert_would_be_seen(world: World, tenant_id: TenantId) -> None:
    await world.execute(
        "ALTER TABLE alert_open DROP CONSTRAINT alert_open_waits, DROP CONSTRAINT alert_open_climbs"
    )
    (id_,) = await alerts_of(world, tenant_id, (None, None))

    async with Reader.open(world.database, tenant_id) as reader:
        figures = await delivery_pages.load_engine_figures(reader, T0)

    assert figures.forgotten == (1, id_)


async def test_last_beats_of_monitors_are_read_at_once(world: World, tenant_id: TenantId) -> None:
    known, unknown = MonitorId(UUID(int=1)), MonitorId(UUID(int=2))
    await world.execute("INSERT INTO heartbeat VALUES ($1, $2, $3, $4)", tenant_id, known, T0, T0 + HOUR)

    async with Reader.open(world.database, tenant_id) as reader:
        assert await delivery_pages.load_last_beats(reader, [known, unknown]) == {known: T0}
        assert await delivery_pages.load_last_beats(reader, []) == {}
