"""States, leases and reports of those who learn, on a real server; and a real log followed over kills."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from alertgraph.core.action import Acknowledge, ByKey, Fire
from alertgraph.core.cursor import LogCursor, log_start
from alertgraph.core.errors import DependencyError
from alertgraph.core.event import StoredEvent
from alertgraph.core.ids import TenantId
from alertgraph.edge.clock import SystemClock
from alertgraph.services import following
from alertgraph.services.following import Follower
from alertgraph.services.ports import LearningReport, LeaseLostError, PoisonError, SavedState
from alertgraph.storage.database import Database
from alertgraph.storage.learning import PREDICTOR, PostgresLearningReports, PostgresLearningStates
from alertgraph.storage.migrate import dsn_of
from tests.factories import DAY, HOUR, MINUTE, a_draft
from tests.integration.storage.world import World, a_world
from tests.memory_learning import Digests, Hints, Told
from tests.virtual import SeededDice

pytestmark = pytest.mark.both_servers


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with a_world(database_url) as world:
        yield world


def states_of(world: World, task: str = PREDICTOR) -> PostgresLearningStates:
    return PostgresLearningStates(world.database, task, uuid4())


async def written(world: World, tenant_id: TenantId, count: int) -> int:
    """Add alerts, each in a flush of its own, and return where the log ends."""
    for _ in range(count):
        await world.act(tenant_id, Fire(a_draft(dedup_key=uuid4().hex)))
    head = await world.log.head(tenant_id)
    assert head is not None
    return head.number


def a_state(number: int, content: bytes = b"state") -> SavedState:
    return SavedState(LogCursor(1, number, datetime.fromisoformat("2026-11-23T10:00:00+00:00"), b"hash"), content)


async def test_a_tenant_is_one_process_s_at_a_time(world: World) -> None:
    first, second = states_of(world), states_of(world)
    one, two = await world.tenant("one"), await world.tenant("two")

    claimed, share = await first.claim(MINUTE)

    assert (set(claimed), share) == ({one, two}, 2)
    assert await second.claim(MINUTE) == ([], 2)
    assert await first.renew(MINUTE) == {one, two}
    assert await second.renew(MINUTE) == set()
    assert set((await states_of(world, "trainer").claim(MINUTE))[0]) == {one, two}


async def test_a_lease_that_has_run_out_is_somebody_else_s(world: World) -> None:
    first, second = states_of(world), states_of(world)
    tenant_id = await world.tenant()
    await first.claim(timedelta(milliseconds=50))
    await asyncio.sleep(0.1)

    assert (await second.claim(MINUTE))[0] == [tenant_id]
    assert await first.renew(MINUTE) == set()
    with pytest.raises(LeaseLostError):
        await first.save(tenant_id, {"n": a_state(1)})
    await second.save(tenant_id, {"n": a_state(2)})
    assert await first.load(tenant_id) == {"n": a_state(2)}


async def test_what_is_released_is_free_at_once_and_only_by_its_holder(world: World) -> None:
    first, second = states_of(world), states_of(world)
    tenant_id = await world.tenant()
    await first.claim(MINUTE)

    await second.release([tenant_id])
    assert (await second.claim(MINUTE))[0] == []
    await first.release([tenant_id])
    assert (await second.claim(MINUTE))[0] == [tenant_id]


async def test_of_many_that_claim_at_once_each_tenant_is_one_s(world: World) -> None:
    tenants = {await world.tenant(f"t{number}") for number in range(12)}
    processes = [states_of(world) for _ in range(6)]

    claims = await asyncio.gather(*(one.claim(MINUTE) for one in processes))

    ids = [tenant_id for claimed, _ in claims for tenant_id in claimed]
    assert (len(ids), set(ids)) == (12, tenants)


async def test_processes_that_claim_share(world: World) -> None:
    for number in range(20):
        await world.tenant(f"t{number}")
    holders = [uuid4(), uuid4()]
    for holder in holders:
        await PostgresLearningReports(world.database, PREDICTOR, holder).report(a_report())
    first, second = (PostgresLearningStates(world.database, PREDICTOR, holder) for holder in holders)

    # The other one is not known to claim before it did.
    assert [len((await first.claim(MINUTE))[0]), (await second.claim(MINUTE))[1]] == [20, 10]
    assert (await first.claim(MINUTE))[1] == 10


async def test_states_are_kept_with_their_places_whatever_their_size(world: World) -> None:
    states = states_of(world)
    tenant_id, other = await world.tenant("one"), await world.tenant("two")
    await states.claim(MINUTE)
    large = random.Random(1).randbytes(300_000) * 2

    await states.save(tenant_id, {"small": a_state(1, b""), "large": a_state(7, large)})
    await states.save(tenant_id, {"small": a_state(9, b"new")})

    assert await states.load(tenant_id) == {"small": a_state(9, b"new"), "large": a_state(7, large)}
    assert await states.load(other) == {}


async def test_a_state_is_kept_whole_or_not_at_all(world: World) -> None:
    states = states_of(world)
    tenant_id = await world.tenant()
    await states.claim(MINUTE)
    await states.save(tenant_id, {"a": a_state(1), "b": a_state(1)})
    await world.execute("ALTER TABLE learning_state ADD CONSTRAINT wicked CHECK (name <> 'b' OR number < 2)")

    with pytest.raises(PoisonError):
        await states.save(tenant_id, {"a": a_state(2), "b": a_state(2)})

    assert await states.load(tenant_id) == {"a": a_state(1), "b": a_state(1)}


async def test_where_to_begin_is_bounded_by_time_and_number(world: World) -> None:
    states = states_of(world)
    tenant_id = await world.tenant()
    assert await states.start_of(tenant_id, datetime.now().astimezone() - DAY, 100) == log_start(1)
    end = await written(world, tenant_id, 5)

    from_all = await states.start_of(tenant_id, datetime.now().astimezone() - DAY, 10_000)
    from_some = await states.start_of(tenant_id, datetime.now().astimezone() - DAY, 3)
    from_none = await states.start_of(tenant_id, datetime.now().astimezone() + HOUR, 3)

    assert from_all == log_start(1)
    assert [stored.number for stored in await world.log.events_after(tenant_id, from_some, 100)] == [
        end - 2,
        end - 1,
        end,
    ]
    assert await world.log.events_after(tenant_id, from_none, 100) == []
    await world.log.check_cursor(tenant_id, from_none)


def a_report(**fields: object) -> LearningReport:
    return LearningReport(
        **{  # type: ignore[arg-type]
            "host": "here",
            "pid": 7,
            "why_not": None,
            "tenant_count": 2,
            "behind": 3,
            "behind_seconds": 1.5,
            **fields,
        }
    )


async def test_what_a_process_says_is_heard_by_all_until_it_is_silent(world: World) -> None:
    one = PostgresLearningReports(world.database, PREDICTOR, uuid4())
    two = PostgresLearningReports(world.database, PREDICTOR, uuid4())
    listener = PostgresLearningReports(world.database, PREDICTOR)
    assert await listener.alive() == []

    await one.report(a_report(pid=1, why_not="because"))
    await two.report(a_report(pid=2))
    await two.report(a_report(pid=2, behind=9))
    assert await listener.alive() == [a_report(pid=1, why_not="because"), a_report(pid=2, behind=9)]
    assert await PostgresLearningReports(world.database, "trainer").alive() == []

    await world.execute("UPDATE learning_process SET seen_at = now() - interval '16 seconds' WHERE pid = 2")
    assert [report.pid for report in await listener.alive()] == [1]
    await one.withdraw()
    assert await listener.alive() == []
    await world.execute("UPDATE learning_process SET seen_at = now() - interval '2 days'")
    await one.report(a_report())
    assert await world.value("SELECT count(*) FROM learning_process") == 1


async def test_nobody_reads_or_writes_what_processes_say_but_through_functions(world: World) -> None:
    async with world.database.connection() as connection:
        for statement in (
            "SELECT * FROM learning_process",
            "DELETE FROM learning_process",
            "INSERT INTO learning_lease (tenant_id, task, holder, until) "
            "VALUES (gen_random_uuid(), 't', gen_random_uuid(), now())",
        ):
            with pytest.raises(Exception, match="permission denied"):
                await connection.execute(statement)


# ---------------------------------------------------------------------------------- the whole of it


class Noting(Digests):
    """A reader that keeps the order in which numbers came."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[int] = []

    async def open(self, tenant_id: TenantId, state: bytes | None, now: datetime) -> NotingReading:
        return NotingReading(self, await super().open(tenant_id, state, now))


class NotingReading:
    def __init__(self, reader: Noting, inner: object) -> None:
        self._reader = reader
        self._inner = inner

    @property
    def number(self) -> int | None:
        return self._inner.number  # type: ignore[attr-defined,no-any-return]

    async def take(self, events: Sequence[StoredEvent]) -> None:
        await self._inner.take(events)  # type: ignore[attr-defined]
        self._reader.taken += [stored.number for stored in events]

    async def tick(self, now: datetime) -> None:
        await self._inner.tick(now)  # type: ignore[attr-defined]

    def state(self) -> bytes:
        return self._inner.state()  # type: ignore[attr-defined,no-any-return]


def a_follower(
    database: Database, world: World, reader: Digests, told: Told, holder: UUID | None = None
) -> Follower:
    return Follower(
        [reader],
        world.log,
        PostgresLearningStates(database, PREDICTOR, holder or uuid4()),
        Hints(),
        SystemClock(),
        SeededDice(),
        told,
    )


async def until_read(follower: Follower, tenant_id: TenantId, number: int) -> None:
    async with asyncio.timeout(30):
        while True:
            reading = follower.reading(tenant_id, "digests")
            if reading is not None and reading.number == number:  # type: ignore[attr-defined]
                return
            await asyncio.sleep(0.02)


async def test_a_real_log_is_followed_over_kills(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "SAVE_EVERY", timedelta(milliseconds=50))
    monkeypatch.setattr(following, "TICK_EVERY", timedelta(milliseconds=50))
    monkeypatch.setattr(following, "BATCH_LENGTH", 3)
    tenant_id = await world.tenant()
    dice, told, reader, holder = random.Random(3), Told(), Noting(), uuid4()
    end = 0
    for _ in range(6):
        follower = a_follower(world.database, world, reader, told, holder)
        task = asyncio.create_task(follower.run())
        end = await written(world, tenant_id, 4)
        await asyncio.sleep(dice.random() / 4)
        tasks = [task, *(one.task for one in follower._tenants.values() if one.task is not None)]
        for each in tasks:
            each.cancel()
        await asyncio.wait(tasks)
    follower = a_follower(world.database, world, reader, told, holder)
    task = asyncio.create_task(follower.run())
    await until_read(follower, tenant_id, end)
    task.cancel()
    await asyncio.wait({task})
    await follower.settle()
    killed = await states_of(world).load(tenant_id)

    alone = Digests()
    await world.execute("DELETE FROM learning_state")
    follower = a_follower(world.database, world, alone, told)
    task = asyncio.create_task(follower.run())
    await until_read(follower, tenant_id, end)
    task.cancel()
    await asyncio.wait({task})
    await follower.settle()

    assert killed == await states_of(world).load(tenant_id)
    assert set(reader.taken) == set(range(1, end + 1))
    assert told.anew == []
    assert await world.value("SELECT count(*) FROM learning_lease") == 0


async def test_who_lost_the_tenant_to_another_stops_and_the_other_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "SAVE_EVERY", timedelta(milliseconds=50))
    monkeypatch.setattr(following, "RENEW_EVERY", timedelta(hours=1))
    monkeypatch.setattr(following, "LEASE", timedelta(milliseconds=300))
    monkeypatch.setattr(following, "CLAIM_EVERY", timedelta(hours=1))
    tenant_id = await world.tenant()
    end = await written(world, tenant_id, 2)
    first = a_follower(world.database, world, Digests(), Told())
    task = asyncio.create_task(first.run())
    await until_read(first, tenant_id, end)
    await asyncio.sleep(0.4)
    second = a_follower(world.database, world, Digests(), Told())
    other_task = asyncio.create_task(second.run())
    await until_read(second, tenant_id, end)
    await world.act(tenant_id, Fire(a_draft(dedup_key="one more")), Acknowledge(ByKey("one more")))
    head = await world.log.head(tenant_id)
    assert head is not None

    await until_read(second, tenant_id, head.number)
    for _ in range(200):
        await asyncio.sleep(0.05)
        if first.tenant_count == 0:
            break
    assert first.tenant_count == 0
    for each in (task, other_task):
        each.cancel()
    await asyncio.wait({task, other_task})
    await first.settle()
    await second.settle()
    assert (await states_of(world).load(tenant_id))["digests"].cursor.number == head.number


async def test_a_store_that_is_away_costs_nothing_but_time(
    world: World, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "SAVE_EVERY", timedelta(milliseconds=50))
    tenant_id = await world.tenant()
    end = await written(world, tenant_id, 2)
    told, database = Told(), await Database.connect(database_url, pool_size=4, application_name="learner")
    follower = a_follower(database, world, Digests(), told)
    task = asyncio.create_task(follower.run())
    await until_read(follower, tenant_id, end)
    operator = await asyncpg.connect(dsn_of(database_url))
    ended = await operator.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'learner'"
    )
    await operator.close()
    assert ended
    end = await written(world, tenant_id, 2)

    await until_read(follower, tenant_id, end)

    task.cancel()
    await asyncio.wait({task})
    await follower.settle()
    await database.close()
    assert (await states_of(world).load(tenant_id))["digests"].cursor.number == end
    assert all(isinstance(error, DependencyError) for _, error in told.failures)
