"""Brings a database to the shape this release needs: roles, schema and Alembic's migrations.

Alembic and SQLAlchemy are imported where something is migrated: they take longer than half of all else that a
process imports, and nearly every process finds its database as it should be.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from alertgraph.core.errors import DependencyError

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

OWNER = "ag_owner"
API = "ag_api"
ROLES = (OWNER, API, "ag_engine", "ag_search")
SCHEMA = "alertgraph"

# Any number; the same in every release, so that two of them do not migrate at once.
_LOCK = 0x616C_6572_7467
_LOCK_WAIT_SECONDS = 120
_CONNECT_SECONDS = 8
_RACE_TRY_COUNT = 10
# Alembic keeps what it is doing in a module: one at a time in a process.
_ALEMBIC = threading.Lock()
# The line of a migration that says which it is, and the one that says which it follows.
_REVISION = re.compile(r'^(down_)?revision = "([^"]+)"$', re.MULTILINE)


def upgrade(url: str, revision: str = "head", *, service_url: str | None = None) -> None:
    """Bring the database to a revision; one that is there already changes nothing.

    Blocks, so that a caller on an event loop runs it in a thread.

    Args:
        url: A login that may create roles and objects, at least the first time.
        revision: As Alembic names it.
        service_url: What the service connects with, where that is another login: it is given the service's role.

    Raises:
        DependencyError: The database is away, or the login may not do what is needed; the message says what.
    """
    from alembic import command

    with _ALEMBIC:
        command.upgrade(_config(url, service_url), revision)


def downgrade(url: str, revision: str = "base") -> None:
    """Take the database back to a revision; roles stay, since other databases of the server may use them.

    Raises:
        DependencyError: As for `upgrade`.
    """
    from alembic import command

    with _ALEMBIC:
        command.downgrade(_config(url, None), revision)


async def require_current(url: str) -> None:
    """Return where the database has the shape that this release needs.

    Raises:
        DependencyError: It has not, or it is away; the message says what to do.
    """
    if not await is_current(url):
        raise DependencyError(
            "postgresql",
            retryable=False,
            message="The database is not prepared for this release: run `alertgraph migrate` or "
            "`alembic upgrade head` first.",
        )


async def is_current(url: str) -> bool:
    """Return whether the database has the shape that this release needs.

    Raises:
        DependencyError: It is away; the message says so.
    """
    async with _administrator(dsn_of(url)) as login:
        if not await login.fetchval("SELECT to_regclass('alertgraph.alembic_version') IS NOT NULL"):
            return False
        # Whoever may serve may not read everything: the version is asked for as the tables' owner.
        await login.execute(f"SET ROLE {OWNER}")
        found = await login.fetchval("SELECT version_num FROM alertgraph.alembic_version")
    return bool(found == head())


def head() -> str:
    """Return the revision that this release needs: the one that no other follows."""
    revisions: dict[bool, set[str]] = {False: set(), True: set()}
    for migration in (folder() / "versions").glob("*.py"):
        for is_before, revision in _REVISION.findall(migration.read_text(encoding="utf-8")):
            revisions[bool(is_before)].add(revision)
    (last,) = revisions[False] - revisions[True]
    return last


def folder() -> Path:
    """Return where the migrations are: inside the installed package, else beside the sources."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parents[1] / "migrations"


def _config(url: str, service_url: str | None) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(folder()).replace("%", "%%"))
    config.attributes["url"] = url
    config.attributes["service_url"] = service_url
    return config


async def run(url: str, service_url: str | None, context: Any) -> None:
    """Run what Alembic's command asked for, as the tables' owner; called by migrations/env.py.

    Args:
        url: The login to migrate with.
        service_url: What the service connects with, where that is another login.
        context: Alembic's module of that name, which stands for the environment of the command that runs.

    Raises:
        DependencyError: As for `upgrade`.
    """
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    dsn = dsn_of(url)
    async with _administrator(dsn) as login:
        await _wait_for_turn(login)
        await _prepare(login, dsn_of(service_url) if service_url else None)

        async def connect_as_owner() -> asyncpg.Connection:
            return await asyncpg.connect(dsn, server_settings=owner_settings())

        engine = create_async_engine("postgresql+asyncpg://", async_creator=connect_as_owner, poolclass=NullPool)
        try:
            async with engine.connect() as connection:
                await connection.run_sync(_run_migrations, context)
                await connection.commit()
        except OSError as error:
            raise _unreachable(error) from error
        finally:
            await engine.dispose()


def owner_settings() -> dict[str, str]:
    """Return what a connection says at its start to run as the owner of the tables."""
    return {"role": OWNER, "search_path": SCHEMA, "application_name": "alertgraph-owner"}


def dsn_of(url: str) -> str:
    """Return the URL as libpq writes it, without the driver's name that SQLAlchemy likes in it."""
    scheme, separator, rest = url.partition("://")
    return scheme.partition("+")[0] + separator + rest


def _run_migrations(connection: Connection, context: Any) -> None:
    context.configure(
        connection=connection,
        version_table_schema=SCHEMA,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


@asynccontextmanager
async def _administrator(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    try:
        connection = await asyncpg.connect(
            dsn, timeout=_CONNECT_SECONDS, server_settings={"application_name": "alertgraph-migrate"}
        )
    except TimeoutError as error:
        raise _unreachable(TimeoutError(f"there is no answer within {_CONNECT_SECONDS} s")) from error
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _unreachable(error) from error
    try:
        yield connection
    finally:
        await connection.close()


async def _wait_for_turn(login: asyncpg.Connection) -> None:
    # Asked again and again rather than waited for: a session that waits holds a snapshot, and an index that is
    # built concurrently by the one who has the lock would wait for that snapshot.
    for _ in range(_LOCK_WAIT_SECONDS * 10):
        if await login.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            return
        await asyncio.sleep(0.1)
    raise DependencyError(
        "postgresql",
        retryable=True,
        message=f"Another migration has been running for more than {_LOCK_WAIT_SECONDS} seconds; try again later.",
    )


async def _prepare(login: asyncpg.Connection, service_dsn: str | None) -> None:
    me = await login.fetchval("SELECT session_user")
    # From version 16 on, being a member is not enough to take on a role.
    membership = "SET" if login.get_server_version().major >= 16 else "MEMBER"
    try:
        for role in ROLES:
            await _create_role(login, role)
        # The owner hands functions over to the roles that they run as.
        await _grant(login, "ag_engine", OWNER, membership)
        await _grant(login, "ag_search", OWNER, membership)
        await _grant(login, OWNER, me, membership)
        await _grant(login, API, me, membership)
        if service_dsn is not None:
            await _grant(login, API, _user_of(service_dsn), membership)
    except asyncpg.InsufficientPrivilegeError as error:
        raise DependencyError(
            "postgresql",
            retryable=False,
            message=f"The login {me} may not set up the roles {', '.join(ROLES)}: migrate once with a login that "
            f"has CREATEROLE (CRITICAL_ALERT_MIGRATION_DATABASE_URL), or have them created and granted to {me}.",
        ) from error
    except asyncpg.UndefinedObjectError as error:
        raise DependencyError(
            "postgresql",
            retryable=False,
            message="The login of CRITICAL_ALERT_DATABASE_URL does not exist on the server; create it first.",
        ) from error
    await _create_schema(login, me)


async def _create_role(login: asyncpg.Connection, role: str) -> None:
    if await login.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role):
        return
    try:
        await login.execute(f"CREATE ROLE {_quoted(role)} NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE")
    except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
        # Roles belong to the server: another of its databases was migrated at the same time.
        return


async def _grant(login: asyncpg.Connection, role: str, to: str, membership: str) -> None:
    for attempt in range(_RACE_TRY_COUNT):
        if await login.fetchval("SELECT pg_has_role($1::name, $2::name, $3)", to, role, membership):
            return
        try:
            await login.execute(f"GRANT {_quoted(role)} TO {_quoted(to)}")
        except (asyncpg.InternalServerError, asyncpg.UniqueViolationError):
            # "tuple concurrently updated": another database's migration granted the same.
            if attempt == _RACE_TRY_COUNT - 1:
                raise
            await asyncio.sleep(0.05 * (attempt + 1))


async def _create_schema(login: asyncpg.Connection, me: str) -> None:
    if await login.fetchval("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", SCHEMA):
        return
    try:
        await login.execute(f"CREATE SCHEMA {SCHEMA} AUTHORIZATION {OWNER}")
    except asyncpg.InsufficientPrivilegeError as error:
        raise DependencyError(
            "postgresql",
            retryable=False,
            message=f"The login {me} may not create a schema in this database: grant it CREATE on the database.",
        ) from error


def _quoted(identifier: str) -> str:
    # Names of logins come from the operator's own URL; DDL takes no parameters.
    return '"' + identifier.replace('"', '""') + '"'


def _user_of(dsn: str) -> str:
    parts = urlsplit(dsn)
    if parts.username:
        return unquote(parts.username)
    named = parse_qs(parts.query).get("user")
    return named[0] if named else os.environ.get("PGUSER") or getpass.getuser()


def _unreachable(error: BaseException) -> DependencyError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DependencyError("postgresql", retryable=True, message=f"The database can't be reached: {reason}.")
