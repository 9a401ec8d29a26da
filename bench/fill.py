"""A filled installation for measurements: what `alertgraph bench fill` makes, with keys and places to ask for."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from alertgraph.core.errors import ConflictError
from alertgraph.core.ids import AlertId, TenantId
from alertgraph.core.tenant import Role
from alertgraph.edge.bench import fill
from alertgraph.storage.filling import DAYS
from alertgraph.storage.migrate import dsn_of, owner_settings
from alertgraph.storage.secrets import MasterKey
from bench.installation import MASTER_KEY, Installation, TenantWithKey

FULL_COUNT, QUICK_COUNT = 1_000_000, 30_000
MONTHS = DAYS // 30
# Of all that are asked for; at ten million, a hundred thousand.
OPEN_SHARE_MIN, OPEN_COUNT_MAX = 0.1, 100_000

# What measurements add to a folder that is kept, of what was filled in.
MORE_MAX = 0.5

_COUNT = "SELECT (SELECT count(*) FROM alert_open) + (SELECT count(*) FROM alert_closed)"
_LONG_TIMELINES = """
    SELECT alert_id FROM event WHERE tenant_id = $1 AND alert_id IS NOT NULL
    GROUP BY alert_id HAVING count(*) >= 4 ORDER BY alert_id DESC LIMIT $2
"""


@dataclass(frozen=True)
class Filled:
    """What is there to be read.

    Attributes:
        tenants: Largest first, each with a VIEWER key.
        logged: Alerts of the largest tenant that have four events or more.
        seconds: What each step of the filling took; empty where it was filled before.
    """

    alert_count: int
    tenants: Sequence[TenantWithKey]
    logged: Sequence[AlertId]
    seconds: dict[str, float]

    def told(self) -> dict[str, object]:
        """Return what stands in the file of results."""
        return {"alerts": self.alert_count, "tenants": len(self.tenants), "seconds": self.seconds}

    def text(self) -> str:
        """Return what was done, for people."""
        steps = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self.seconds.items())
        return f"  {self.alert_count:,} alerts of {len(self.tenants)} tenants: {steps or 'were there already'}"


def filled(installation: Installation, alerts: int, seed: int) -> Filled:
    """Return an installation's contents, made first where it is empty.

    A folder that was kept may have been measured before: services have been there, and have left a tenant of their
    own, and some alerts more.

    Raises:
        ConflictError: It holds quite another number of alerts.
    """
    before = asyncio.run(_before(installation.url))
    if before is not None:
        slugs, count = before
        if not alerts <= count <= alerts * (1 + MORE_MAX):
            raise ConflictError(
                f"There are {count:,} alerts, and {alerts:,} were asked for: say so with --alerts, or choose an "
                "empty folder."
            )
        return _with_keys(installation, count, slugs, {})
    open_count = min(OPEN_COUNT_MAX, round(alerts * OPEN_SHARE_MIN))
    done = asyncio.run(
        fill.filled(
            installation.url,
            installation.url,
            MasterKey(MASTER_KEY),
            # Ten million are closed, as it is said everywhere, and the open ones are on top.
            closed_count=alerts - open_count if alerts < FULL_COUNT * 10 else alerts,
            open_count=open_count,
            seed=seed,
            told=_told,
        )
    )
    if done.seconds:
        installation.restart()
    slugs = [tenant.slug for tenant in done.tenants]
    return _with_keys(installation, done.closed_count + done.open_count, slugs, done.seconds)


def _with_keys(
    installation: Installation, count: int, slugs: Sequence[str], seconds: Mapping[str, float]
) -> Filled:
    tenants = installation.keys(slugs, Role.VIEWER)
    logged = asyncio.run(_logged(installation.url, tenants[0].id))
    return Filled(count, tenants, logged, {name: round(value, 1) for name, value in seconds.items()})


async def _before(url: str) -> tuple[list[str], int] | None:
    connection = await asyncpg.connect(dsn_of(url), server_settings=owner_settings())
    try:
        count = await connection.fetchval(_COUNT)
        rows = await connection.fetch("SELECT slug FROM tenant WHERE slug ^@ $1 ORDER BY slug", fill.PREFIX)
        return ([row[0] for row in rows], count) if rows and count else None
    finally:
        await connection.close()


def _told(step: str, share: float) -> None:
    if sys.stderr.isatty():
        print(
            f"\r\x1b[K  filling {share:4.0%}  {step}", file=sys.stderr, end="\n" if share == 1 else "", flush=True
        )


async def _logged(url: str, tenant_id: TenantId) -> list[AlertId]:
    connection = await asyncpg.connect(dsn_of(url), server_settings=owner_settings())
    try:
        return [AlertId(row[0]) for row in await connection.fetch(_LONG_TIMELINES, tenant_id, 500)]
    finally:
        await connection.close()
