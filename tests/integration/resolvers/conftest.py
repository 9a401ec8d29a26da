"""What tests of resolvers ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from alertgraph.core.tenant import Principal, Role, Tenant
from alertgraph.edge.clock import SystemDice
from alertgraph.edge.telemetry import Telemetry
from alertgraph.services.engine import Engine
from alertgraph.services.open_alerts import OpenAlerts
from alertgraph.storage.database import Database
from alertgraph.storage.due import PostgresDueWork
from tests.integration.resolvers.api import Api, a_caller, an_api


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with an_api(database_url) as api:
        yield api


@pytest.fixture
async def engine(api: Api, database_url: str) -> AsyncIterator[Engine]:
    database = await Database.connect(database_url, pool_size=4)
    yield Engine(PostgresDueWork(database), api.lanes, OpenAlerts(), api.clock, SystemDice(), Telemetry())
    await database.close()


@pytest.fixture
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
