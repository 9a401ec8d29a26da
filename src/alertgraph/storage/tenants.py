"""The operator's side of tenants: made, found and listed by the tables' owner, never by a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from alertgraph.core.errors import ConflictError
from alertgraph.core.ids import TenantId
from alertgraph.core.slo import TIER_TARGETS
from alertgraph.core.tenant import Tenant, TenantSettings, check_slug
from alertgraph.core.tier import Tier
from alertgraph.storage.database import owner_connection
from alertgraph.storage.secrets import MasterKey

_TENANT = "SELECT tenant_id, slug, name, tier FROM tenant"


class TenantRegistry:
    """All tenants of the installation.

    Args:
        url: A login that may act as the owner of the tables.
        master_key: Wraps each new tenant's data key.
    """

    def __init__(self, url: str, master_key: MasterKey) -> None:
        self._url = url
        self._master_key = master_key

    async def create(self, tenant: Tenant) -> None:
        """Make a tenant with an empty log, the default settings, its tier's promises and a data key.

        Raises:
            InputError: The slug is none.
            ConflictError: The slug is taken.
            DependencyError: The store is away.
        """
        check_slug(tenant.slug)
        defaults = TenantSettings()
        targets = TIER_TARGETS[tenant.tier].values()
        async with owner_connection(self._url) as connection:
            try:
                async with connection.transaction():
                    await connection.execute(
                        "INSERT INTO tenant (tenant_id, slug, name, tier) VALUES ($1, $2, $3, $4)",
                        tenant.id,
                        tenant.slug,
                        tenant.name,
                        tenant.tier,
                    )
                    await connection.execute("INSERT INTO tenant_head (tenant_id) VALUES ($1)", tenant.id)
                    await connection.execute("INSERT INTO engine_claim (tenant_id) VALUES ($1)", tenant.id)
                    await connection.execute(
                        "INSERT INTO tenant_settings (tenant_id, resolve_timeout, retention) VALUES ($1, $2, $3)",
                        tenant.id,
                        defaults.resolve_timeout,
                        defaults.retention,
                    )
                    await connection.executemany(
                        "INSERT INTO sla_target (tenant_id, severity, acknowledge_within, resolve_within) "
                        "VALUES ($1, $2, $3, $4)",
                        [
                            (tenant.id, target.severity, target.acknowledge_within, target.resolve_within)
                            for target in targets
                        ],
                    )
                    await connection.execute(
                        "INSERT INTO data_key (tenant_id, key_id, wrapped) VALUES ($1, 1, $2)",
                        tenant.id,
                        self._master_key.new_data_key(),
                    )
            except asyncpg.UniqueViolationError as error:
                raise ConflictError(f"There is a tenant {tenant.slug} already.", "slug") from error

    async def find(self, slug: str) -> Tenant | None:
        """Return the tenant of that slug."""
        async with owner_connection(self._url) as connection:
            row = await connection.fetchrow(f"{_TENANT} WHERE slug = $1", slug)
        return _tenant_of(row) if row is not None else None

    async def all(self) -> Sequence[Tenant]:
        """Return every tenant, by slug."""
        async with owner_connection(self._url) as connection:
            rows = await connection.fetch(f"{_TENANT} ORDER BY slug")
        return [_tenant_of(row) for row in rows]


def _tenant_of(row: Any) -> Tenant:
    tenant_id, slug, name, tier = row
    return Tenant(TenantId(tenant_id), slug, name, Tier(tier))
