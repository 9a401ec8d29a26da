"""Keeps the search index behind the log by no more than a second."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import NoReturn, Protocol

from alertgraph.core.ids import TenantId
from alertgraph.services.ports import Clock, Observer

# Parsing and folding a batch takes the event loop some 10 ms: no request waits longer than that for it.
BATCH_LENGTH = 500
# Hinted tenants wait for each other this long, so that a storm is indexed by the batch and not by the flush: a
# batch of one is ten round trips, and so is one of five hundred.
PAUSE = timedelta(milliseconds=400)
# How often tenants are looked for whose hint was lost.
SWEEP_INTERVAL = timedelta(seconds=1)
SWEPT_TENANT_COUNT_MAX = 1000


class SearchIndex(Protocol):
    """What alerts are found by. Every method raises DependencyError where the store is away."""

    async def tenants_behind(self, limit: int) -> Sequence[TenantId]:
        """Return tenants whose log has events that the index has not read, those that wait longest first."""
        ...

    async def advance(self, tenant_id: TenantId, limit: int) -> int:
        """Read up to `limit` further events of a tenant's log into the index, and return how many.

        Several processes may try at once: one of them does it, and the others return 0.
        """
        ...


class IndexingService:
    """Reads every tenant's log into the search index.

    Any number of processes may run it. The tenants take turns, one batch each, so that one with a long way to
    go does not keep the others waiting.
    """

    def __init__(self, index: SearchIndex, clock: Clock, observer: Observer) -> None:
        self._index = index
        self._clock = clock
        self._observer = observer
        # In order of arrival; a dict is a set that keeps it.
        self._waiting: dict[TenantId, None] = {}

    def hint(self, tenant_id: TenantId) -> None:
        """Take note that a tenant's log has grown."""
        self._waiting[tenant_id] = None

    async def index(self, tenant_id: TenantId) -> int:
        """Index a tenant's log up to its end, and return how many events were read.

        Raises:
            DependencyError: The store is away; what was read before is kept.
        """
        total = 0
        while count := await self._index.advance(tenant_id, BATCH_LENGTH):
            total += count
        return total

    async def run(self) -> NoReturn:
        """Keep indexing until cancelled."""
        swept_at = self._clock.now() - SWEEP_INTERVAL
        while True:
            try:
                if self._clock.now() - swept_at >= SWEEP_INTERVAL:
                    swept_at = self._clock.now()
                    for tenant_id in await self._index.tenants_behind(SWEPT_TENANT_COUNT_MAX):
                        self.hint(tenant_id)
                is_behind = await self._turn()
            except Exception as error:  # noqa: BLE001 - the loop outlives any failure; the next sweep finds what is left
                self._observer.failed("indexing", error)
                self._waiting.clear()
                is_behind = False
            if not is_behind:
                await self._clock.sleep(PAUSE)

    async def _turn(self) -> bool:
        """Index one batch of each tenant that waits, and say whether any has more: it waits for the next turn."""
        is_behind = False
        for tenant_id in list(self._waiting):
            del self._waiting[tenant_id]
            if await self._index.advance(tenant_id, BATCH_LENGTH) == BATCH_LENGTH:
                self.hint(tenant_id)
                is_behind = True
        return is_behind
