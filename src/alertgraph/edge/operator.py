"""The operator's commands that work on the database directly."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import UUID

from alertgraph.core.errors import NotFoundError
from alertgraph.core.event import instant_text
from alertgraph.core.ids import ApiKeyId, NodeKind, decode_id, encode_id
from alertgraph.core.query import PageRequest
from alertgraph.core.tenant import ApiKey, Role, Tenant
from alertgraph.core.tier import Tier
from alertgraph.edge.clock import SystemDice
from alertgraph.edge.wiring import (
    configuration_service,
    database_at,
    master_key,
    new_tenant,
    operator_of,
    owner_url,
)
from alertgraph.services.configuration import ConfigurationService
from alertgraph.settings import read_settings
from alertgraph.storage.audit import verify_log
from alertgraph.storage.configuration import PostgresConfiguration
from alertgraph.storage.database import Database
from alertgraph.storage.migrate import require_current
from alertgraph.storage.snapshot import PostgresSnapshotSource
from alertgraph.storage.tenants import TenantRegistry

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Desk:
    """What the operator works with."""

    registry: TenantRegistry
    database: Database
    configuration: ConfigurationService

    async def tenant(self, slug: str) -> Tenant:
        """Return a tenant by its slug; raises NotFoundError where there is none."""
        tenant = await self.registry.find(slug)
        if tenant is None:
            raise NotFoundError(f"There is no tenant {slug}; `alertgraph tenant list` shows those there are.")
        return tenant


def operated(work: Callable[Concatenate[Desk, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a command does on the installation's database, which is started for it if need be."""
    settings = read_settings()
    key = master_key(settings)

    async def run(url: str) -> T:
        await require_current(owner_url(settings, url))
        database = await Database.connect(url, pool_size=2, application_name="alertgraph-operator")
        try:
            dice = SystemDice()
            store = PostgresConfiguration(database, lambda: UUID(int=dice.bits(128)))
            registry = TenantRegistry(owner_url(settings, url), key)
            return await work(Desk(registry, database, configuration_service(store, key)), *args, **kwargs)
        finally:
            await database.close()

    with database_at(settings, make=False) as url:
        return asyncio.run(run(url))


async def create_tenant(desk: Desk, slug: str, name: str, tier: Tier) -> dict[str, Any]:
    """Return a tenant just made."""
    return _tenant(await new_tenant(desk.registry, slug, name, tier))


async def list_tenants(desk: Desk) -> list[dict[str, Any]]:
    """Return every tenant, by slug."""
    return [_tenant(tenant) for tenant in await desk.registry.all()]


async def create_key(desk: Desk, slug: str, role: Role, name: str) -> dict[str, Any]:
    """Return a key just made, with its secret."""
    tenant = await desk.tenant(slug)
    key, secret = await desk.configuration.create_api_key(operator_of(tenant), name=name, role=role)
    return {"key": secret, **_key(key), "tenant": slug}


async def list_keys(desk: Desk, slug: str) -> list[dict[str, Any]]:
    """Return a tenant's keys, newest first, without their secrets."""
    tenant = await desk.tenant(slug)
    keys: list[ApiKey] = []
    after: str | None = None
    async with PostgresSnapshotSource(desk.database).snapshot(tenant.id) as snapshot:
        while True:
            page = await snapshot.api_key_page(PageRequest(100, after))
            keys += [key for _, key in page.items]
            if not page.has_next:
                return [_key(key) for key in keys]
            after = page.items[-1][0]


async def revoke_key(desk: Desk, slug: str, key_id: str) -> None:
    """End a key."""
    decoded = decode_id(key_id)
    if decoded is None or decoded[0] is not NodeKind.API_KEY or not isinstance(decoded[1], UUID):
        raise NotFoundError(f"{key_id} is no id of a key; `alertgraph key list` shows them.")
    tenant = await desk.tenant(slug)
    await desk.configuration.revoke_api_key(operator_of(tenant), ApiKeyId(decoded[1]))


async def verify(desk: Desk, slug: str | None) -> list[dict[str, Any]]:
    """Return what the check of each tenant's log came to."""
    tenants: Sequence[Tenant] = [await desk.tenant(slug)] if slug is not None else await desk.registry.all()
    results = []
    for tenant in tenants:
        checked, fault = await verify_log(desk.database, tenant.id)
        results.append(
            {
                "tenant": tenant.slug,
                "checked": checked,
                "fault": {"number": fault.number, "text": fault.text} if fault is not None else None,
            }
        )
    return results


def _tenant(tenant: Tenant) -> dict[str, Any]:
    return {
        "id": encode_id(NodeKind.TENANT, tenant.id),
        "slug": tenant.slug,
        "name": tenant.name,
        "tier": tenant.tier.name,
    }


def _key(key: ApiKey) -> dict[str, Any]:
    return {
        "id": encode_id(NodeKind.API_KEY, key.id),
        "name": key.name,
        "prefix": key.prefix,
        "role": key.role.name,
        "createdAt": instant_text(key.created_at),
        "expiresAt": instant_text(key.expires_at) if key.expires_at is not None else None,
        "revokedAt": instant_text(key.revoked_at) if key.revoked_at is not None else None,
    }
