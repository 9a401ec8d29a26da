"""Heartbeats: those that are awaited, and the one that is sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from alertgraph.core.ids import MonitorId, TenantId


class Monitors(Protocol):
    """When monitors beat last: no configuration, and no events. Raises DependencyError where the store is away."""

    async def beat(self, tenant_id: TenantId, monitor_id: MonitorId, at: datetime, due_at: datetime) -> bool:
        """Keep a beat; return whether the monitor's alert was raised and is to be ended."""
        ...

    async def due(self, now: datetime, limit: int) -> Sequence[tuple[TenantId, MonitorId, datetime]]:
        """Return monitors of all tenants whose beat stayed out, since when, and whose alert was not raised yet."""
        ...

    async def raised(self, tenant_id: TenantId, monitor_id: MonitorId, due_at: datetime) -> None:
        """Keep that the alert was raised of the beat that was due then; another beat meanwhile wins."""
        ...


class DeadManTurns(Protocol):
    """Whose dead-man beat is due: no event tells of it. Raises DependencyError where the store is away."""

    async def due(self, now: datetime, limit: int) -> Sequence[TenantId]:
        """Return tenants that have set up a beat and whose turn has come, those due longest first."""
        ...

    async def claim(self, tenant_id: TenantId, now: datetime, every: timedelta) -> bool:
        """Take a tenant's turn; False where somebody else has taken it. The next one comes a period later."""
        ...


class WatchObserver(Protocol):
    """Where those who watch over the engine report; never raises and never waits."""

    def beaten(self, tenant_id: TenantId, *, outcome: str, why: str | None = None) -> None:
        """A dead-man beat was sent, withheld or failed: `outcome` is one of the three words."""
        ...

    def broke_glass(self, *, outcome: str, why: str) -> None:
        """The operator was told past the store, of what `why` says: `outcome` is sent, failed or unset."""
        ...

    def failed(self, part: str, error: BaseException) -> None:
        """A loop of ours caught an error and goes on."""
        ...
