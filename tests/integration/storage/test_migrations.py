"""Migrations run up, down and up again, as whoever may run them, and the tables are what the program thinks."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Table
from sqlalchemy.ext.asyncio import create_async_engine

from alertgraph.core.errors import DependencyError
from alertgraph.storage import migrate, tables
from alertgraph.storage.database import Database
from alertgraph.storage.deliveries import DELIVERY_COLUMNS, HEALTH_COLUMNS
from alertgraph.storage.rows import ALERT_COLUMNS
from alertgraph.storage.selftest import check_isolation
from alertgraph.storage.tables import metadata
from tests.integration.storage.world import a_world
from tests.servers import DatabaseServer

pytestmark = pytest.mark.both_servers

ROOT = Path(__file__).resolve().parents[3]


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def objects(url: str) -> list[str]:
    async with connected(url) as connection:
        rows = await connection.fetch(
            "SELECT relname::text AS name FROM pg_class WHERE relnamespace = 'alertgraph'::regnamespace "
            "UNION ALL SELECT proname::text FROM pg_proc WHERE pronamespace = 'alertgraph'::regnamespace "
            "UNION ALL SELECT typname::text FROM pg_type WHERE typnamespace = 'alertgraph'::regnamespace "
            "ORDER BY name"
        )
    return [row["name"] for row in rows]


async def test_up_down_and_up(empty_database_url: str) -> None:
    await asyncio.to_thread(migrate.upgrade, empty_database_url)
    first = await objects(empty_database_url)
    assert {"alert_open", "append_v1", "written_alert"} <= set(first)

    await asyncio.to_thread(migrate.downgrade, empty_database_url)
    left = await objects(empty_database_url)
    assert {name for name in left if not name.startswith(("alembic_version", "_alembic_version"))} == set()

    await asyncio.to_thread(migrate.upgrade, empty_database_url)
    assert await objects(empty_database_url) == first
    async with a_world(empty_database_url) as world:
        await world.tenant()
        await check_isolation(world.database)


async def test_each_step_can_be_taken_back(empty_database_url: str) -> None:
    script = ScriptDirectory.from_config(migrate_config())
    revisions = [revision.revision for revision in script.walk_revisions()][::-1]
    seen = []
    for revision in revisions:
        await asyncio.to_thread(migrate.upgrade, empty_database_url, revision)
        seen.append(await objects(empty_database_url))
    for revision, expected in zip(reversed(revisions[:-1]), reversed(seen[:-1]), strict=True):
        await asyncio.to_thread(migrate.downgrade, empty_database_url, revision)
        assert await objects(empty_database_url) == expected


def migrate_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrate.folder()))
    return config


async def test_a_migrated_database_is_left_alone(database_url: str) -> None:
    before = await objects(database_url)
    await asyncio.to_thread(migrate.upgrade, database_url)
    assert await objects(database_url) == before


async def test_several_processes_take_turns(empty_database_url: str) -> None:
    done = await asyncio.gather(
        *(
            asyncio.to_thread(alembic, "upgrade", "head", CRITICAL_ALERT_DATABASE_URL=empty_database_url)
            for _ in range(3)
        )
    )
    assert [process.returncode for process in done] == [0, 0, 0], [process.stderr for process in done]
    async with a_world(empty_database_url) as world:
        await world.tenant()


async def test_the_tables_are_what_the_program_thinks(database_url: str) -> None:
    # Without a search path, so that everything is told with its schema.
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(database_url, server_settings={"role": migrate.OWNER}),
    )

    def differences(connection: Connection) -> list[Any]:
        def is_ours(item: Any, name: str | None, kind: str, reflected: bool, other: Any) -> bool:
            return not (kind == "table" and reflected and (name == "alembic_version" or "_y20" in (name or "")))

        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "include_name": lambda name, kind, parents: kind != "schema" or name == "alertgraph",
                "include_object": is_ours,
                "compare_type": True,
                "compare_server_default": False,
                "version_table_schema": "alertgraph",
            },
        )
        return list(compare_metadata(context, metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


@pytest.mark.parametrize(
    ("columns", "table"),
    [
        (ALERT_COLUMNS, tables.alert_closed),
        (DELIVERY_COLUMNS, tables.delivery_open),
        (HEALTH_COLUMNS, tables.channel_health),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_rows_are_read_by_the_columns_there_are(columns: tuple[str, ...], table: Table) -> None:
    assert columns == tuple(column.name for column in table.columns if column.name != "tenant_id")


def test_the_head_is_the_one_that_alembic_finds() -> None:
    folder = str(migrate.folder()).replace("%", "%%")
    config = Config()
    config.set_main_option("script_location", folder)
    assert migrate.head() == ScriptDirectory.from_config(config).get_current_head()


# -------------------------------------------------------------------------------------- who migrates


@contextmanager
def login(server: DatabaseServer, database_url: str, attributes: str) -> Iterator[tuple[str, str]]:
    """Yield a login of the server and its URL of that database."""
    name, password = f"login_{uuid4().hex[:8]}", "p@ss/word"
    superuser_url = server.superuser_url(database_url)

    async def run(*statements: str) -> None:
        async with connected(superuser_url) as connection:
            for statement in statements:
                await connection.execute(statement)

    asyncio.run(run(f"CREATE ROLE {name} LOGIN PASSWORD '{password}' {attributes}"))
    try:
        parts = urlsplit(superuser_url)
        host = parts.netloc.rpartition("@")[2]
        yield name, parts._replace(netloc=f"{name}:{quote(password, safe='')}@{host}").geturl()
    finally:
        asyncio.run(run(f"DROP OWNED BY {name}", f"DROP ROLE {name}"))


def grant_database(server: DatabaseServer, database_url: str, name: str) -> None:
    async def run() -> None:
        async with connected(server.superuser_url(database_url)) as connection:
            database = await connection.fetchval("SELECT current_database()")
            await connection.execute(f'GRANT CREATE ON DATABASE "{database}" TO {name}')

    asyncio.run(run())


def test_as_a_superuser(database_server: DatabaseServer, empty_database_url: str) -> None:
    migrate.upgrade(database_server.superuser_url(empty_database_url), service_url=empty_database_url)

    asyncio.run(_check_service(empty_database_url))


def test_for_a_service_of_another_login(database_server: DatabaseServer, empty_database_url: str) -> None:
    with login(database_server, empty_database_url, "") as (_, service_url):
        migrate.upgrade(empty_database_url, service_url=service_url)

        asyncio.run(_check_service(service_url))
        with pytest.raises(DependencyError, match="service's role"):
            asyncio.run(Database.connect(service_url, role="ag_owner"))


async def _check_service(url: str) -> None:
    database = await Database.connect(url)
    try:
        await check_isolation(database)
    finally:
        await database.close()


def test_a_login_that_may_not_set_up_roles_is_told(
    database_server: DatabaseServer, empty_database_url: str
) -> None:
    # The roles exist: other databases of the server use them.
    migrate.upgrade(empty_database_url)
    migrate.downgrade(empty_database_url)
    with login(database_server, empty_database_url, "") as (name, url):
        with pytest.raises(DependencyError, match=f"The login {name} may not set up the roles") as caught:
            migrate.upgrade(url)
        assert not caught.value.retryable


def test_a_login_that_may_not_create_a_schema_is_told(
    database_server: DatabaseServer, empty_database_url: str
) -> None:
    with login(database_server, empty_database_url, "") as (name, url):

        async def run() -> None:
            async with connected(database_server.superuser_url(empty_database_url)) as connection:
                for role in migrate.ROLES:
                    if not await connection.fetchval(
                        "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role
                    ):
                        await connection.execute(f"CREATE ROLE {role}")
                await connection.execute(
                    f"GRANT ag_owner, ag_api TO {name}; GRANT ag_engine, ag_search TO ag_owner"
                )

        asyncio.run(run())
        with pytest.raises(DependencyError, match=f"The login {name} may not create a schema"):
            migrate.upgrade(url)

        grant_database(database_server, empty_database_url, name)
        migrate.upgrade(url)
        asyncio.run(_check_service(url))
        migrate.downgrade(url)


def test_a_server_that_is_away_is_told(tmp_path: Path) -> None:
    with pytest.raises(DependencyError, match="can't be reached"):
        migrate.upgrade(f"postgresql://x@/x?host={tmp_path}")


# ------------------------------------------------------------------------------------- command line


def alembic(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CRITICAL_ALERT_")} | variables
    return subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_alembic_upgrade_head_works_as_written(empty_database_url: str) -> None:
    done = alembic("upgrade", "head", CRITICAL_ALERT_DATABASE_URL=empty_database_url)

    assert done.returncode == 0, done.stderr
    assert "append_v1" in asyncio.run(objects(empty_database_url))


def test_alembic_takes_the_migrations_own_url_first(empty_database_url: str, tmp_path: Path) -> None:
    done = alembic(
        "upgrade",
        "head",
        CRITICAL_ALERT_MIGRATION_DATABASE_URL=empty_database_url,
        CRITICAL_ALERT_DATABASE_URL=empty_database_url + "&application_name=other"
        if "?" in empty_database_url
        else empty_database_url,
    )

    assert done.returncode == 0, done.stderr


def test_alembic_says_in_a_sentence_what_is_wrong(tmp_path: Path) -> None:
    done = alembic("upgrade", "head", CRITICAL_ALERT_DATABASE_URL=f"postgresql://x@/x?host={tmp_path}")

    assert done.returncode == 1
    assert done.stderr.startswith("The database can't be reached: ")
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_alembic_makes_no_script_without_a_database() -> None:
    done = alembic("upgrade", "head", "--sql", CRITICAL_ALERT_DATABASE_URL="postgresql://x")

    assert done.returncode == 1
    assert "need a database" in done.stderr
