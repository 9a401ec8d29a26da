"""What falls due."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from alertgraph.core.alert import Alert
from alertgraph.core.ids import AlertId, TenantId
from alertgraph.core.inhibition import InhibitionKey


class DueWork(Protocol):
    """Which tenants have alerts whose time has come."""

    async def due_tenants(self, now: datetime, limit: int) -> Sequence[TenantId]:
        """Return tenants with something due, those due longest first. Who has work is all that is told."""
        ...

    async def next_due_at(self) -> datetime | None:
        """Return the earliest due time of all tenants; None where nothing is due by itself."""
        ...

    def claim(self, tenant_id: TenantId) -> AbstractAsyncContextManager[bool]:
        """Hold a tenant's work for the length of the context; False where another process has it."""
        ...

    async def due_alerts(self, tenant_id: TenantId, now: datetime, limit: int) -> Sequence[Alert]:
        """Return a tenant's alerts that are due, oldest due time first."""
        ...

    async def inhibitors(
        self, tenant_id: TenantId, keys: Collection[InhibitionKey]
    ) -> Mapping[InhibitionKey, Sequence[AlertId]]:
        """Return the open alerts, at most ten for each, that are a source under these keys."""
        ...

    async def unjudged_tenants(self, limit: int) -> Sequence[TenantId]:
        """Return tenants where a change may have set alerts free since the held ones were looked at."""
        ...

    async def judge_anew(self, tenant_id: TenantId, now: datetime, after: AlertId | None) -> AlertId | None:
        """Make the next thousand held alerts due now that another configuration may set free.

        Returns the id of the last one looked at, to go on behind; None once all were, and then this is kept.
        """
        ...

    async def sources(self, tenant_id: TenantId, after: AlertId | None, limit: int) -> Sequence[Alert]:
        """Return open alerts behind an id, in its order: to find what inhibits under changed rules."""
        ...

    async def keep_sources(
        self,
        tenant_id: TenantId,
        inhibits: Mapping[AlertId, frozenset[InhibitionKey]],
        versions: Mapping[AlertId, int],
    ) -> None:
        """Replace what these open alerts are a source of; one that is closed meanwhile is none.

        One that is not of its version any more is left as whoever rewrote it has left it.
        """
        ...

    async def open_alert_count(self) -> int:
        """Return how many alerts are open, of all tenants together."""
        ...

    async def rearm(self, tenant_id: TenantId, alerts: Sequence[Alert], due_at: datetime | None = None) -> None:
        """Set when alerts are looked at next, theirs or the one given, where they are unchanged."""
        ...


class PagerObserver(Protocol):
    """Where those who page report what an operator watches; never raises and never waits."""

    def judged(self, *, alerts: int, late_seconds: float) -> None:
        """The engine decided on alerts of one tenant, the oldest of which was due that long ago."""
        ...

    def held_as_noise(self, *, alerts: int) -> None:
        """Of these alerts of one tenant pages are held from now on, since nobody is likely to be needed."""
        ...

    def delivered(self, *, kind: str, outcome: str, seconds: float, late_seconds: float, first: bool) -> None:
        """An attempt over a kind of channel ended: `outcome` is sent, retried or failed.

        `late_seconds` is from when it was due to its begin; `first` says of a page that it was the first attempt.
        """
        ...

    def failed(self, part: str, error: BaseException) -> None:
        """A loop of ours caught an error and goes on."""
        ...
