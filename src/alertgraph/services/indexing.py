"""Keeps the search index behind the log by no more than a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn, Protocol

from alertgraph.core.ids import TenantId
from alertgraph.services.ports import Clock, Observer

# Parsing and folding a batch takes the event loop some 10 ms: no request waits longer than that for it.
BATCH_LENGTH = 500
# A hinted tenant waits this long for more to come, unless a batch is there before: a batch of one is six round
# trips and a commit, and so is one of five hundred. With one pause more it makes the second.
PATIENCE = timedelta(milliseconds=700)
PAUSE = timedelta(milliseconds=200)
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
        # In order of arrival.
        self._waiting: dict[TenantId, _News] = {}

    def hint(self, tenant_id: TenantId, event_count: int = 1) -> None:
        """Take note that a tenant's log has grown by so many events."""
        news = self._waiting.get(tenant_id)
        if news is None:
            self._waiting[tenant_id] = _News(self._clock.now() + PATIENCE, event_count)
        else:
            news.event_count += event_count

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
                        # One that was hinted is behind by right, for a while yet.
                        self._waiting.setdefault(tenant_id, _News(swept_at))
                is_behind = await self._turn()
            except Exception as error:  # noqa: BLE001 - the loop outlives any failure; the next sweep finds what is left
                self._observer.failed("indexing", error)
                self._waiting.clear()
                is_behind = False
            if not is_behind:
                await self._clock.sleep(PAUSE)

    async def _turn(self) -> bool:
        """Index one batch of each tenant that is due, and say whether any has more: it waits for the next turn."""
        is_behind = False
        now = self._clock.now()
        due = [
            tenant_id
            for tenant_id, news in self._waiting.items()
            if news.due_at <= now or news.event_count >= BATCH_LENGTH
        ]
        for tenant_id in due:
            del self._waiting[tenant_id]
            if await self._index.advance(tenant_id, BATCH_LENGTH) == BATCH_LENGTH:
                self._waiting[tenant_id] = _News(now)
                is_behind = True
        return is_behind


@dataclass(slots=True)
class _News:
    """Since when a tenant waits at the latest, and how much for, as far as was hinted."""

    due_at: datetime
    event_count: int = 0
