"""`alertgraph bench fill`: a database with as many alerts as are asked for, to measure on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from alertgraph.core.errors import ConflictError, DependencyError, InputError
from alertgraph.core.severity import Severity
from alertgraph.core.tenant import Tenant
from alertgraph.core.tier import Tier
from alertgraph.edge.bench.words import alert_input
from alertgraph.edge.clock import SystemClock
from alertgraph.edge.installation import database_at, master_key, new_tenant, owner_url
from alertgraph.settings import Settings
from alertgraph.storage.audit import verify_log
from alertgraph.storage.database import Database, owner_connection
from alertgraph.storage.filling import Contents, Sample, fill
from alertgraph.storage.migrate import upgrade
from alertgraph.storage.secrets import MasterKey
from alertgraph.storage.tenants import TenantRegistry

CLOSED_COUNT, OPEN_COUNT = 10_000_000, 100_000
TENANT_COUNT = 20
SAMPLE_COUNT = 20_000
SEED = 20261123
COUNT_MAX = 1_000_000_000
PREFIX = "filled-"

_COUNTS = "SELECT (SELECT count(*) FROM alert_closed), (SELECT count(*) FROM alert_open)"


@dataclass(frozen=True, slots=True)
class Filled:
    """What a database holds.

    Attributes:
        tenants: Largest first.
        seconds: What each step of the filling took; empty where it was filled before.
    """

    closed_count: int
    open_count: int
    tenants: Sequence[Tenant]
    seconds: dict[str, float]


async def present(url: str) -> Filled | None:
    """Return what was filled in before; None where there is nothing, or only tenants that were made for it.

    Args:
        url: A login that may act as the owner of the tables.

    Raises:
        ConflictError: There are other tenants.
        DependencyError: The store is away.
    """
    tenants = await TenantRegistry(url, MasterKey(bytes(32))).all()
    others = [tenant.slug for tenant in tenants if not tenant.slug.startswith(PREFIX)]
    if others:
        raise ConflictError(
            f"There is a tenant {others[0]}, which is none of those that are made for measuring: "
            "choose an empty database, or an empty folder with --data-dir."
        )
    async with owner_connection(url) as connection:
        closed_count, open_count = await connection.fetchrow(_COUNTS)
    if not closed_count + open_count:
        return None
    return Filled(closed_count, open_count, sorted(tenants, key=lambda tenant: tenant.slug), {})


async def filled(
    url: str,
    owner_url: str,
    key: MasterKey,
    *,
    closed_count: int = CLOSED_COUNT,
    open_count: int = OPEN_COUNT,
    seed: int = SEED,
    told: Callable[[str, float], None] = lambda *_: None,
) -> Filled:
    """Return what a database holds, filled first where it is empty.

    Args:
        url: What the service connects with.
        owner_url: A login that may act as the owner of the tables.
        key: Of the installation.
        closed_count: Of alerts that have ended.
        open_count: Of alerts that have not.
        seed: The same seed fills in the same, but for the instant at which it ends.
        told: Called after each step with its name and how much of all is done, 0 to 1.

    Raises:
        InputError: So many, or so few, can't be filled in.
        ConflictError: There are other tenants, or other numbers of alerts.
        DependencyError: The store is away.
    """
    if not (TENANT_COUNT <= closed_count <= COUNT_MAX and TENANT_COUNT <= open_count <= COUNT_MAX):
        raise InputError(f"Fill in {TENANT_COUNT} to {COUNT_MAX:,} closed alerts, and as many open ones.")
    before = await present(owner_url)
    if before is not None:
        if (before.closed_count, before.open_count) != (closed_count, open_count):
            raise ConflictError(
                f"There are {before.closed_count:,} closed and {before.open_count:,} open alerts already, and "
                f"{closed_count:,} and {open_count:,} were asked for: choose an empty database or folder."
            )
        return before
    registry = TenantRegistry(owner_url, key)
    tenants = []
    for number in range(TENANT_COUNT):
        slug = f"{PREFIX}{number:02d}"
        # Those that a filling left behind that came to no end.
        tenants.append(await registry.find(slug) or await new_tenant(registry, slug, slug, Tier.STANDARD))
    contents = Contents(
        [tenant.id for tenant in tenants],
        [_sample(number) for number in range(min(SAMPLE_COUNT, closed_count))],
        closed_count,
        open_count,
        SystemClock().now(),
        seed,
    )
    started = time.monotonic()
    async with owner_connection(owner_url) as connection:
        seconds = await fill(connection, contents, told)
    await _check(url, tenants[-1])
    seconds["all"] = time.monotonic() - started
    return Filled(closed_count, open_count, tenants, seconds)


def filled_installation(
    settings: Settings, closed_count: int, open_count: int, seed: int, told: Callable[[str, float], None]
) -> Filled:
    """Return what an installation's database holds, made and filled first where it is not; arguments as `filled`.

    Raises:
        StartError: There is no master key, and one can't be made.
        AlertGraphError: As `filled`; or the database can't be reached or prepared.
    """
    with database_at(settings) as url:
        owners = owner_url(settings, url)
        upgrade(owners, service_url=url)
        return asyncio.run(
            filled(
                url,
                owners,
                master_key(settings),
                closed_count=closed_count,
                open_count=open_count,
                seed=seed,
                told=told,
            )
        )


async def _check(url: str, tenant: Tenant) -> None:
    database = await Database.connect(url, pool_size=1)
    try:
        _, fault = await verify_log(database, tenant.id)
    finally:
        await database.close()
    if fault is not None:
        raise DependencyError("postgresql", retryable=False, message=f"The log is not sound: {fault.text}")


def _sample(number: int) -> Sample:
    said = alert_input(number)
    return Sample(
        said["title"],
        said["description"],
        Severity[said["severity"]],
        said["monitoredService"],
        said["labels"],
        said["annotations"],
    )
