"""What tests of resolvers ask for."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from alertgraph.core.tenant import Principal, Role, Tenant
from alertgraph.edge.clock import SystemDice
from alertgraph.edge.telemetry import Telemetry
from alertgraph.services.engine import Engine
from alertgraph.services.open_alerts import OpenAlerts
from alertgraph.storage.database import Database
from alertgraph.storage.due import PostgresDueWork
from tests.integration.resolvers.api import Api, a_caller, an_api, an_api_on
from tests.servers import DatabaseServers

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all on one loop, that of the shared connections."""
    for item in items:
        if (
            isinstance(item, pytest.Function)
            and item.path.parent == HERE
            and inspect.iscoroutinefunction(item.function)
        ):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def shared_url(database_servers: DatabaseServers) -> Iterator[str]:
    """One database for all tests of this worker that keep to tenants of their own."""
    with database_servers.get("wheel").database(migrated=True) as url:
        yield url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_database(shared_url: str) -> AsyncIterator[Database]:
    """Connections to it."""
    database = await Database.connect(shared_url)
    yield database
    await database.close()


@pytest.fixture
def api_url(shared_url: str) -> str:
    """The database that the API is on; modules in which an engine works, on everybody's alerts, have their own."""
    return shared_url


@pytest_asyncio.fixture(loop_scope="session")
async def api(api_url: str, shared_url: str, shared_database: Database) -> AsyncIterator[Api]:
    """What answers, new for each test."""
    async with an_api_on(api_url, shared_database) if api_url == shared_url else an_api(api_url) as api:
        yield api


@pytest_asyncio.fixture(loop_scope="session")
async def engine(api: Api, api_url: str) -> AsyncIterator[Engine]:
    database = await Database.connect(api_url, pool_size=4)
    yield Engine(PostgresDueWork(database), api.lanes, OpenAlerts(), api.clock, SystemDice(), Telemetry())
    await database.close()


@pytest_asyncio.fixture(loop_scope="session")
async def tenant(api: Api) -> Tenant:
    return await api.tenant()


@pytest.fixture
def admin(tenant: Tenant) -> Principal:
    return a_caller(tenant, Role.ADMIN)


@pytest.fixture
def responder(tenant: Tenant) -> Principal:
    return a_caller(tenant, Role.RESPONDER)


@pytest.fixture
def viewer(tenant: Tenant) -> Principal:
    return a_caller(tenant, Role.VIEWER)


@pytest.fixture
def sender(tenant: Tenant) -> Principal:
    return a_caller(tenant, Role.INGEST)
