"""Connections go from hand to hand: in order, none of them lost, and never in somebody else's transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from alertgraph.core.errors import DependencyError
from alertgraph.core.ids import TenantId
from alertgraph.storage import database as module
from alertgraph.storage.database import Database

TENANT = TenantId(UUID(int=7))
COUNT = 12


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await Database.connect(database_url, pool_size=1)
    yield database
    await database.close()


async def read(database: Database, number: int, done: list[int]) -> None:
    async with database.transaction(TENANT, read_only=True, snapshot=True) as connection:
        assert await connection.fetchval("SELECT current_setting('transaction_read_only')") == "on"
        done.append(number)


async def look(database: Database, number: int, done: list[int]) -> None:
    async with database.connection() as connection:
        assert not await connection.fetchval("SELECT current_setting('app.tenant_id', true)")
        done.append(number)


async def write(database: Database, number: int, done: list[int]) -> None:
    async with database.transaction(TENANT) as connection:
        assert await connection.fetchval("SELECT current_setting('transaction_read_only')") == "off"
        done.append(number)


@pytest.mark.parametrize("uses", [(read,), (look,), (write,), (read, look, write)])
async def test_who_waits_longest_is_next(database: Database, uses: tuple[Any, ...]) -> None:
    done: list[int] = []
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks, database.connection():
        for number in range(COUNT):
            tasks.create_task(uses[number % len(uses)](database, number, done))
            await asyncio.sleep(0)

    assert done == list(range(COUNT))


async def test_only_what_is_made_again_need_not_be_on_the_disk(database: Database) -> None:
    async def waits(connection: Any) -> str:
        return str(await connection.fetchval("SELECT current_setting('synchronous_commit')"))

    async with database.connection() as connection:
        # Here nothing waits for the disk; where alerts are kept, everything does.
        await connection.execute("SET synchronous_commit = on")
    async with database.transaction(TENANT, is_remade=True) as connection:
        remade = await waits(connection)

    assert remade == await database.write(TENANT, waits, is_remade=True) == "off"
    # It holds for the one transaction, not for the connection.
    async with database.transaction(TENANT) as connection:
        assert await waits(connection) == "on"
    assert await database.write(TENANT, waits) == "on"


async def test_one_that_was_handed_to_somebody_who_has_left_goes_on(database: Database) -> None:
    for use in (read, look, write):
        for turns in range(6):
            done: list[int] = []
            async with asyncio.timeout(10):
                async with database.connection():
                    leaving = asyncio.create_task(use(database, 1, done))
                    staying = asyncio.create_task(use(database, 2, done))
                    await asyncio.sleep(0.01)
                # Before, while and after it gets the connection.
                for _ in range(turns):
                    await asyncio.sleep(0)
                leaving.cancel()
                await asyncio.gather(leaving, return_exceptions=True)
                await staying
            assert done[-1] == 2
    assert database._lent_count <= 1


async def test_where_one_breaks_those_who_wait_get_another(database: Database) -> None:
    done: list[int] = []
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks, database.connection() as connection:
        for number in range(COUNT):
            tasks.create_task((read, look)[number % 2](database, number, done))
        await asyncio.sleep(0.01)
        connection.terminate()

    assert sorted(done) == list(range(COUNT))
    assert database._lent_count == 1


async def test_who_waits_too_long_is_told_so(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ACQUIRE_SECONDS", 0.05)
    done: list[int] = []
    async with database.connection():
        with pytest.raises(DependencyError) as told:
            await read(database, 1, done)
    assert told.value.retryable

    await read(database, 2, done)
    assert done == [2]
    assert not database._waiting


async def test_closes_while_somebody_reads(database_url: str) -> None:
    database = await Database.connect(database_url, pool_size=1)
    reading = asyncio.Event()

    async def read_slowly() -> None:
        async with database.transaction(TENANT, read_only=True) as connection:
            reading.set()
            await connection.fetchval("SELECT pg_sleep(0.1)")

    task = asyncio.create_task(read_slowly())
    await reading.wait()
    async with asyncio.timeout(5):
        await database.close()
        await task
    assert database._lent_count == 0
