"""A database with tenants in it, written to as the service writes: load, decide, append."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from alertgraph.core.action import Action, ById, Report, target_of
from alertgraph.core.batch import Batch, Request
from alertgraph.core.catalog import Item
from alertgraph.core.flush import Appended, Flush, IdempotencyKey
from alertgraph.core.ids import AlertId, FlushId, TenantId, uuid7
from alertgraph.core.tenant import Tenant
from alertgraph.core.tier import Tier
from alertgraph.storage.catalog import write_items
from alertgraph.storage.database import Database, owner_connection
from alertgraph.storage.log import PostgresLog
from alertgraph.storage.secrets import MasterKey
from alertgraph.storage.tenants import TenantRegistry
from tests.factories import LEVEL_MAX, RULE, SENDER, T0, WEBHOOK

MASTER_KEY = MasterKey(bytes(range(32)))


class World:
    """What a test of storage works with."""

    def __init__(self, url: str, database: Database) -> None:
        self.url = url
        self.database = database
        self.log = PostgresLog(database)
        self.registry = TenantRegistry(url, MASTER_KEY)

    async def tenant(
        self, slug: str = "acme", tier: Tier = Tier.STANDARD, items: Sequence[Item] = (RULE, WEBHOOK)
    ) -> TenantId:
        """Return a new tenant with something set up, of which its log does not tell: a rule for every alert."""
        tenant_id = TenantId(uuid7(T0, int.from_bytes(os.urandom(10), "big")))
        await self.registry.create(Tenant(tenant_id, slug, slug.title(), tier))
        await self.database.write(tenant_id, lambda connection: write_items(connection, tenant_id, items, 0))
        return tenant_id

    async def decided(
        self,
        tenant_id: TenantId,
        *actions: Action,
        now: datetime = T0,
        idempotency: IdempotencyKey | None = None,
    ) -> Flush:
        """Return what the actions come to on what is there at this moment."""
        config = await self.log.config(tenant_id)
        assert config is not None
        targets = [target_of(action) for action in actions]
        loaded = await self.log.load(
            tenant_id,
            [target.dedup_key for target in targets if not isinstance(target, ById)],
            [target.alert_id for target in targets if isinstance(target, ById)],
            [idempotency] if idempotency is not None else [],
            [action.finish.delivery_id for action in actions if isinstance(action, Report)],
        )
        batch = Batch(loaded, config, now, LEVEL_MAX)
        for outcome in batch.apply(
            Request(actions, tuple(new_id(now) for _ in actions), SENDER, idempotency=idempotency)
        ):
            assert outcome.problem is None, outcome.problem
        return batch.flush(new_flush_id())

    async def act(
        self,
        tenant_id: TenantId,
        *actions: Action,
        now: datetime = T0,
        idempotency: IdempotencyKey | None = None,
    ) -> Appended:
        """Load, decide and append."""
        flush = await self.decided(tenant_id, *actions, now=now, idempotency=idempotency)
        return await self.log.append(tenant_id, flush)

    async def rows(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """Return what the owner of the tables, who sees every tenant, reads."""
        async with owner_connection(self.url) as connection:
            rows: list[asyncpg.Record] = await connection.fetch(query, *arguments)
            return rows

    async def value(self, query: str, *arguments: Any) -> Any:
        """Return the first field that the owner reads."""
        return (await self.rows(query, *arguments))[0][0]

    async def execute(self, statement: str, *arguments: Any) -> None:
        """Do something as the owner."""
        async with owner_connection(self.url) as connection:
            await connection.execute(statement, *arguments)


@asynccontextmanager
async def a_world(url: str, **options: Any) -> AsyncIterator[World]:
    """Yield a world on a migrated database."""
    database = await Database.connect(url, **options)
    try:
        yield World(url, database)
    finally:
        await database.close()


def new_id(now: datetime = T0) -> AlertId:
    """Return the id of an alert that begins now."""
    return AlertId(uuid7(now, int.from_bytes(os.urandom(10), "big")))


def new_flush_id() -> FlushId:
    """Return the id of a flush."""
    return FlushId(UUID(bytes=os.urandom(16)))
