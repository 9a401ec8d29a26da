"""Partitions stay ahead of time, and what is past its tenant's retention goes, without breaking what is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alertgraph.core.action import ByKey, Fire, Resolve
from alertgraph.core.catalog import Item
from alertgraph.core.cursor import LogCursor, log_start
from alertgraph.core.delivery import Attempt, Claim, Delivery, DeliveryStatus
from alertgraph.core.errors import CursorExpiredError, DependencyError
from alertgraph.core.event import next_link, seal
from alertgraph.core.flush import AlertWrite, Flush, Reliance
from alertgraph.core.ids import OverrideId, ResponderId, ScheduleId, SilenceId, TenantId
from alertgraph.core.schedule import ShiftOverride
from alertgraph.core.silence import Silence
from alertgraph.services.ports import PoisonError
from alertgraph.storage.catalog import write_items
from alertgraph.storage.database import owner_connection
from alertgraph.storage.deliveries import PostgresDeliveries
from alertgraph.storage.partitions import PARTITIONED_TABLES, Housekeeper, Retired
from tests.factories import (
    ADA,
    DAY,
    HOUR,
    RULE,
    WEBHOOK,
    a_draft,
    a_matcher,
    an_alert,
    an_event,
    an_idempotency_key,
)
from tests.integration.storage.test_deliveries import SLACK, a_delivery, put
from tests.integration.storage.world import World, a_world, new_flush_id, new_id

pytestmark = pytest.mark.both_servers


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with a_world(database_url) as world:
        yield world


@pytest.fixture
def keeper(world: World) -> Housekeeper:
    return Housekeeper(world.database, world.url)


async def partitions(world: World, parent: str = "event") -> list[str]:
    rows = await world.rows(
        "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = $1::text::regclass ORDER BY 1",
        parent,
    )
    return [row[0] for row in rows]


def name(parent: str, at: datetime) -> str:
    return f"{parent}_y{at:%Y}m{at:%m}"


# ------------------------------------------------------------------------------------------ ahead


async def test_partitions_reach_from_last_month_to_two_months_ahead(world: World) -> None:
    now: datetime = await world.value("SELECT now()")
    first = now.replace(day=1)
    months = [(first - DAY).replace(day=1), first]
    for _ in range(2):
        months.append((months[-1] + 32 * DAY).replace(day=1))

    for parent in PARTITIONED_TABLES:
        assert await partitions(world, parent) == [name(parent, month) for month in months]


async def test_missing_partitions_are_made_once(world: World, keeper: Housekeeper) -> None:
    assert await keeper.ensure_ahead() == 0
    last = (await partitions(world))[-1]
    await world.execute(f"DROP TABLE {last}")

    assert await asyncio.gather(*(keeper.ensure_ahead() for _ in range(3))) in ([1, 0, 0], [0, 1, 0], [0, 0, 1])
    assert (await partitions(world))[-1] == last


async def test_how_many_days_are_left_is_told(world: World, keeper: Housekeeper) -> None:
    now: datetime = await world.value("SELECT now()")
    two_ahead = (now.replace(day=1) + 32 * DAY).replace(day=1) + 32 * DAY
    end = (two_ahead.replace(day=1) + 32 * DAY).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    assert await keeper.days_ahead() == (end - now).days

    # The shortest of the tables counts.
    for partition in (await partitions(world, "alert_terms"))[-2:]:
        await world.execute(f"DROP TABLE {partition}")
    assert await keeper.days_ahead() <= 31
    await world.execute(f"DROP TABLE {name('alert_closed', now)}")
    assert await keeper.days_ahead() == 0


async def test_making_partitions_stops_no_writer(world: World, keeper: Housekeeper) -> None:
    tenant_id = await world.tenant()
    await world.execute(f"DROP TABLE {(await partitions(world))[-1]}")
    async with world.database.transaction(tenant_id) as connection:
        # A writer in the middle of its transaction, and a reader.
        await connection.execute("SELECT FROM event")

        assert await keeper.ensure_ahead() == 1


async def test_too_many_partitions_are_refused(world: World) -> None:
    with pytest.raises(PoisonError):
        async with world.database.connection() as connection:
            await connection.fetchval("SELECT ensure_partitions(now(), now() + interval '11 years')")


async def test_a_partition_has_the_parents_indexes(world: World) -> None:
    now: datetime = await world.value("SELECT now()")
    for parent in PARTITIONED_TABLES:
        of_parent, of_partition = [
            await world.value(
                "SELECT count(*) FROM pg_index WHERE indrelid = $1::text::regclass AND indisvalid", table
            )
            for table in (parent, name(parent, now))
        ]
        assert of_parent == of_partition > 0


# ---------------------------------------------------------------------------------------- retiring


async def backdate(world: World, tenant_id: TenantId, age: timedelta) -> datetime:
    """Let the next append of a tenant be recorded as if it were that long ago, and return that instant."""
    at: datetime = await world.value("SELECT now()") - age
    async with world.database.connection() as connection:
        await connection.fetchval("SELECT ensure_partitions($1::timestamptz, $1::timestamptz)", at)
    return at


async def history(world: World, tenant_id: TenantId, ages: list[timedelta], *, size: int = 3) -> None:
    """Append one flush of `size` events for each age; then make them as old, with the links they'd have."""
    for index, age in enumerate(ages):
        at = await backdate(world, tenant_id, age)
        alert = an_alert(id=new_id(at), dedup_key=f"k{index}", resolved_at=at, triggered_at=at)
        events = tuple(seal(an_event(alert_id=alert.id, decided_at=at)) for _ in range(size))
        writes = (AlertWrite(alert, size - 1, is_new=True),)
        before = await world.log.head(tenant_id)
        assert before is not None
        flush = Flush(new_flush_id(), Reliance(), events, writes)
        appended = await world.log.append(tenant_id, flush)
        link = next_link(before.link, appended.first_number, at, flush.id, [event.leaf for event in events])
        numbers = (appended.first_number, appended.first_number + size - 1)
        await world.execute(
            "UPDATE event SET recorded_at = $2, link = CASE WHEN link IS NOT NULL THEN $3::bytea END "
            "WHERE tenant_id = $1 AND number BETWEEN $4 AND $5",
            tenant_id, at, link, *numbers,
        )  # fmt: skip
        await world.execute(
            "UPDATE tenant_head SET link = $2, recorded_at = $3 WHERE tenant_id = $1", tenant_id, link, at
        )


async def keep_for(world: World, tenant_id: TenantId, retention: timedelta) -> None:
    await world.execute("UPDATE tenant_settings SET retention = $2 WHERE tenant_id = $1", tenant_id, retention)


async def test_events_past_retention_go_flush_by_flush(world: World, keeper: Housekeeper) -> None:
    tenant_id, other = await world.tenant(), await world.tenant("other")
    for tenant in (tenant_id, other):
        await history(world, tenant, [12 * DAY, 11 * DAY, 2 * DAY, HOUR])
    await keep_for(world, tenant_id, 10 * DAY)
    before = await world.log.events_after(tenant_id, log_start(1), 100)

    retired = await keeper.retire()

    assert (retired.events, retired.alerts, retired.partitions) == (6, 2, [])
    head = await world.log.head(tenant_id)
    assert head is not None
    assert (head.number, head.pruned_number, head.pruned_link) == (12, 6, before[5].link)
    left = await world.log.events_after(tenant_id, LogCursor(1, 6, before[5].recorded_at, before[5].leaf[:4]), 100)
    assert left == before[6:]
    assert len(await world.log.events_after(other, log_start(1), 100)) == 12


async def test_the_chain_of_what_is_left_can_be_checked(world: World, keeper: Housekeeper) -> None:
    tenant_id = await world.tenant()
    await history(world, tenant_id, [12 * DAY, 2 * DAY, HOUR])
    await keep_for(world, tenant_id, 10 * DAY)
    await keeper.retire()

    head = await world.log.head(tenant_id)
    assert head is not None
    rows = await world.rows("SELECT number, recorded_at, flush_id, leaf, link FROM event ORDER BY number")
    link, first, leaves = head.pruned_link, head.pruned_number + 1, []
    for number, recorded_at, flush_id, leaf, stored_link in rows:
        leaves.append(leaf)
        if stored_link is not None:
            link = next_link(link, first, recorded_at, flush_id, leaves)
            assert stored_link == link
            first, leaves = number + 1, []
    assert link == head.link


async def test_a_cursor_that_retention_has_passed_is_told(world: World, keeper: Housekeeper) -> None:
    tenant_id = await world.tenant()
    await history(world, tenant_id, [12 * DAY, 11 * DAY])
    events = await world.log.events_after(tenant_id, log_start(1), 100)
    cursors = [LogCursor(1, e.number, e.recorded_at, e.leaf[:4]) for e in events]
    await keep_for(world, tenant_id, 10 * DAY)
    await keeper.retire()

    for cursor in (log_start(1), *cursors[:-1]):
        with pytest.raises(CursorExpiredError):
            await world.log.check_cursor(tenant_id, cursor)
        with pytest.raises(CursorExpiredError):
            await world.log.events_after(tenant_id, cursor, 100)
    # Behind the last event that went nothing is missing.
    await world.log.check_cursor(tenant_id, cursors[-1])
    assert await world.log.events_after(tenant_id, cursors[-1], 100) == []


async def test_what_is_appended_afterwards_goes_on_in_the_chain(world: World, keeper: Housekeeper) -> None:
    tenant_id = await world.tenant()
    await history(world, tenant_id, [12 * DAY])
    await keep_for(world, tenant_id, 10 * DAY)
    await keeper.retire()
    head = await world.log.head(tenant_id)
    assert head is not None

    appended = await world.act(tenant_id, Fire(a_draft(dedup_key="new")))

    assert appended.first_number == 4
    ((flush_id, leaf),) = await world.rows("SELECT flush_id, leaf FROM event")
    assert appended.link == next_link(head.pruned_link, 4, appended.recorded_at, flush_id, [leaf])


async def test_large_logs_are_retired_in_rounds(world: World, keeper: Housekeeper) -> None:
    tenant_id = await world.tenant()
    await history(world, tenant_id, [13 * DAY, 12 * DAY, 11 * DAY, HOUR], size=700)
    await keep_for(world, tenant_id, 10 * DAY)

    retired = await keeper.retire()

    assert retired.events == 2100
    assert await world.value("SELECT count(*) FROM event") == 700


async def test_a_flush_larger_than_a_round_is_retired(world: World, keeper: Housekeeper) -> None:
    tenant_id = await world.tenant()
    await history(world, tenant_id, [13 * DAY], size=2500)
    await history(world, tenant_id, [12 * DAY, HOUR])
    await keep_for(world, tenant_id, 10 * DAY)

    retired = await keeper.retire()

    assert retired.events == 2503
    assert await world.value("SELECT count(*) FROM event") == 3


async def test_months_that_nobody_keeps_go_as_a_whole(world: World, keeper: Housekeeper) -> None:
    tenant_id, other = await world.tenant(), await world.tenant("other")
    await history(world, tenant_id, [300 * DAY, 200 * DAY, DAY])
    await history(world, other, [300 * DAY])
    now: datetime = await world.value("SELECT now()")
    for tenant in (tenant_id, other):
        await keep_for(world, tenant, 250 * DAY)
    old = sorted(name(parent, now - 300 * DAY) for parent in PARTITIONED_TABLES)

    retired = await keeper.retire()

    assert retired.partitions == old
    assert retired.events == retired.alerts == 0
    for table in old:
        assert await world.value("SELECT to_regclass($1::text)", f"alertgraph.{table}") is None
    for tenant, pruned in ((tenant_id, 3), (other, 3)):
        head = await world.log.head(tenant)
        assert head is not None
        assert head.pruned_number == pruned
    events = await world.rows("SELECT number FROM event WHERE tenant_id = $1 ORDER BY 1", tenant_id)
    assert [row[0] for row in events] == list(range(4, 10))
    assert await world.value("SELECT count(*) FROM alert_closed") == 2


async def test_a_month_with_an_alert_that_ended_lately_stays(world: World, keeper: Housekeeper) -> None:
    tenant_id = await world.tenant()
    await history(world, tenant_id, [300 * DAY, 299 * DAY])
    ids = [row[0] for row in await world.rows("SELECT id FROM alert_closed ORDER BY id")]
    await world.execute("UPDATE alert_closed SET resolved_at = now() WHERE id = $1", ids[0])
    await world.execute(
        "INSERT INTO alert_terms (tenant_id, id, terms) SELECT tenant_id, id, '{x}' FROM alert_closed"
    )
    await keep_for(world, tenant_id, 250 * DAY)

    retired = await keeper.retire()

    assert [partition for partition in retired.partitions if partition.startswith("alert_")] == []
    assert [row[0] for row in await world.rows("SELECT id FROM alert_closed")] == ids[:1]
    assert [row[0] for row in await world.rows("SELECT id FROM alert_terms")] == ids[:1]


async def test_an_interrupted_detach_is_finished(world: World, keeper: Housekeeper) -> None:
    tenant_id = await world.tenant()
    await history(world, tenant_id, [300 * DAY])
    await keep_for(world, tenant_id, 250 * DAY)
    now: datetime = await world.value("SELECT now()")
    table = name("event", now - 300 * DAY)
    async with world.database.transaction(tenant_id, read_only=True) as reader:
        await reader.fetch("SELECT FROM event")
        # It waits for the reader, and is broken off.
        async with owner_connection(world.url) as connection:
            detaching = asyncio.ensure_future(
                connection.execute(f"ALTER TABLE event DETACH PARTITION {table} CONCURRENTLY")
            )
            await until_pending(world, table)
            connection.terminate()
            with pytest.raises(Exception):  # noqa: B017  (whatever asyncpg makes of it)
                await detaching

    retired = await retired_once_free(keeper)

    assert retired is not None
    assert await world.value("SELECT to_regclass($1::text)", f"alertgraph.{table}") is None


async def until_pending(world: World, table: str) -> None:
    for _ in range(200):
        if await world.value(
            "SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass($1::text) AND inhdetachpending)",
            f"alertgraph.{table}",
        ):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("nobody detaches")


async def retired_once_free(keeper: Housekeeper) -> Retired | None:
    # The backend that was broken off may hold its locks for a moment longer.
    for _ in range(10):
        try:
            return await keeper.retire()
        except DependencyError:
            await asyncio.sleep(0.2)
    return None


async def test_stragglers_are_retired_too(world: World, keeper: Housekeeper) -> None:
    tenant_id = await world.tenant()
    old = datetime(2001, 1, 1, tzinfo=UTC)
    await world.act(tenant_id, Fire(a_draft(dedup_key="late")), now=old)
    await world.act(tenant_id, Resolve(ByKey("late")), now=old + HOUR)
    assert await world.value("SELECT count(*) FROM alert_closed_late") == 1

    retired = await keeper.retire()

    assert retired.alerts == 1
    assert await world.value("SELECT count(*) FROM alert_closed_late") == 0


async def test_answers_are_kept_for_a_day_and_minutes_for_two(world: World, keeper: Housekeeper) -> None:
    tenant_id = await world.tenant()
    for key in ("old", "new"):
        await world.act(tenant_id, Fire(a_draft(dedup_key=key)), idempotency=an_idempotency_key(key))
    await world.act(tenant_id, Resolve(ByKey("old")))
    await world.execute("UPDATE idempotency_answer SET created_at = now() - interval '25 hours' WHERE key = 'old'")
    for table in ("metric_minute", "metric_minute_duration"):
        await world.execute(
            f"CREATE TEMP TABLE copy AS SELECT * FROM {table}; UPDATE copy SET at = at - interval '50 hours'; "
            f"INSERT INTO {table} SELECT * FROM copy"
        )

    retired = await keeper.retire()

    assert (retired.answers, retired.minutes) == (1, 2)
    assert [row[0] for row in await world.rows("SELECT key FROM idempotency_answer")] == ["new"]
    assert await world.value("SELECT count(*) FROM metric_minute WHERE at > now() - interval '1 hour'") >= 1
    assert await world.value("SELECT sum(created) FROM metric_day") == 2


async def sent(world: World, tenant_id: TenantId, age: timedelta, **fields: Any) -> Delivery:
    """Return a delivery that was decided and sent that long ago."""
    at = await backdate(world, tenant_id, age)
    delivery = a_delivery(created_at=at, due_at=at, status=DeliveryStatus.SENT, attempt_count=1, **fields)
    await PostgresDeliveries(world.database).record(tenant_id, delivery, Attempt(1, at, HOUR, 200))
    return delivery


async def kept(world: World) -> tuple[set[Any], set[Any]]:
    """Return the deliveries that there are, and those that there are attempts of."""
    found = [
        {row[0] for row in await world.rows(f"SELECT {column} FROM {table}")}
        for column, table in (("id", "delivery"), ("delivery_id", "delivery_attempt"))
    ]
    return found[0], found[1]


async def test_finished_deliveries_go_with_their_attempts(world: World, keeper: Housekeeper) -> None:
    tenant_id, other = await world.tenant(), await world.tenant("other")
    for age in (12 * DAY, 11 * DAY):
        await sent(world, tenant_id, age)
    new, foreign = await sent(world, tenant_id, 9 * DAY), await sent(world, other, 12 * DAY)
    await keep_for(world, tenant_id, 10 * DAY)

    retired = await keeper.retire()

    assert (retired.deliveries, retired.partitions) == (2, [])
    assert await kept(world) == ({new.id, foreign.id}, {new.id, foreign.id})


async def test_a_delivery_under_way_keeps_its_month(world: World, keeper: Housekeeper) -> None:
    tenant_id, deliveries = await world.tenant(), PostgresDeliveries(world.database)
    await sent(world, tenant_id, 300 * DAY)
    at = await backdate(world, tenant_id, 300 * DAY)
    waiting = a_delivery(created_at=at, due_at=at)
    await put(world, tenant_id, waiting)
    await keep_for(world, tenant_id, 250 * DAY)
    months = {name(parent, at) for parent in ("delivery", "delivery_attempt")}

    retired = await keeper.retire()

    assert retired.deliveries == 1
    assert not months & set(retired.partitions)
    now: datetime = await world.value("SELECT now()")
    claims = [Claim(waiting.id, 0, SLACK)]
    assert await deliveries.claim(tenant_id, claims, now, now + HOUR, {}) == {waiting.id}
    assert await kept(world) == (set(), {waiting.id})
    await world.execute("DELETE FROM delivery_open")
    assert set((await keeper.retire()).partitions) == months


async def test_receipts_go_with_their_alerts(world: World, keeper: Housekeeper) -> None:
    tenant_id = await world.tenant()
    await keep_for(world, tenant_id, 10 * DAY)
    now: datetime = await world.value("SELECT now()")
    await world.act(tenant_id, Fire(a_draft(dedup_key="open")), now=now - 12 * DAY)
    still_open = await world.value("SELECT id FROM alert_open")
    new, old = new_id(now - 9 * DAY), new_id(now - 11 * DAY)
    for alert_id in (still_open, new, old):
        await world.execute(
            "INSERT INTO delivery_receipt VALUES ($1, $2, $3, address_hash(NULL), '{}')",
            tenant_id,
            alert_id,
            SLACK,
        )

    retired = await keeper.retire()

    assert retired.receipts == 1
    assert {row[0] for row in await world.rows("SELECT alert_id FROM delivery_receipt")} == {still_open, new}


async def test_what_was_set_up_and_is_long_over_goes(world: World, keeper: Housekeeper) -> None:
    tenant_id, other = await world.tenant(), await world.tenant("other")
    await keep_for(world, tenant_id, 10 * DAY)
    now: datetime = await world.value("SELECT now()")

    def over(ago: timedelta) -> tuple[Silence, ShiftOverride]:
        began_at, ended_at = now - ago - HOUR, now - ago
        silence = Silence(SilenceId(new_id(began_at)), (a_matcher("team", "core"),), began_at, ended_at, "", ADA)
        override = ShiftOverride(
            OverrideId(new_id(began_at)), ScheduleId(new_id()), ResponderId(new_id()), began_at, ended_at, ADA
        )
        return silence, override

    old, kept_ones, live = over(11 * DAY), over(9 * DAY), over(-HOUR)
    foreign = over(11 * DAY)
    many = [over(12 * DAY)[0] for _ in range(2100)]
    items: tuple[Item, ...] = (*old, *kept_ones, *live, *many)
    await world.database.write(tenant_id, lambda connection: write_items(connection, tenant_id, items, 0))
    await world.database.write(other, lambda connection: write_items(connection, other, foreign, 0))

    retired = await keeper.retire()

    assert retired.items == 2102
    left = {row[0] for row in await world.rows("SELECT id FROM config_item")}
    assert left == {item.id for item in (*kept_ones, *live, *foreign, RULE, WEBHOOK)}
    assert (await keeper.retire()).items == 0


async def test_one_process_at_a_time_retires(world: World, keeper: Housekeeper) -> None:
    tenant_id = await world.tenant()
    await history(world, tenant_id, [12 * DAY])
    await keep_for(world, tenant_id, 10 * DAY)

    results = await asyncio.gather(*(keeper.retire() for _ in range(4)))

    assert sum(result.events for result in results) == 3


async def test_an_installation_without_tenants_has_nothing_to_retire(keeper: Housekeeper) -> None:
    assert await keeper.retire() == Retired()
