"""Holding likely noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from alertgraph.core.alert import Alert
from alertgraph.core.ids import AlertId, TenantId
from alertgraph.core.noise import History, HoldRecord, NoiseEvidence, NoiseFigures, NoisePolicy


class NoiseBook(Protocol):
    """What holding likely noise goes by, and what it has cost: kept by who learns, read by the engine.

    Every method raises DependencyError where the store is away.
    """

    async def policy(self, tenant_id: TenantId) -> NoisePolicy | None:
        """Return what is kept of a tenant; None where nothing is."""
        ...

    async def evidence(self, tenant_id: TenantId, alerts: Sequence[Alert]) -> Mapping[AlertId, NoiseEvidence]:
        """Return what is known of alerts besides themselves; nothing where nobody has learnt."""
        ...

    async def figures(self, tenant_id: TenantId, since: datetime) -> NoiseFigures:
        """Return what holding has come to of the pages held since then."""
        ...

    async def keep(
        self,
        tenant_id: TenantId,
        policy: NoisePolicy,
        histories: Mapping[bytes, History | None],
        holds: Sequence[HoldRecord],
        now: datetime,
        *,
        anew: bool,
    ) -> None:
        """Write what has changed, all or nothing; histories of None are forgotten, with `anew` all others, too."""
        ...


class NoiseObserver(Protocol):
    """Where holding likely noise reports what an operator watches; never raises and never waits."""

    def noise_disarmed(self, tenant_id: TenantId, regret: timedelta) -> None:
        """A tenant's holding has cost more than it was allowed to, and has switched itself off."""
        ...

    def failed(self, part: str, error: BaseException) -> None:
        """A loop of ours caught an error and goes on."""
        ...
