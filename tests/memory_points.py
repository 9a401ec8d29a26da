"""Points on their way to who watches them, in memory, and a scorer whose verdicts a test can foretell."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

import orjson

from alertgraph.core.anomaly import Judged, PointVerdict
from alertgraph.core.errors import DependencyError
from alertgraph.core.ids import TenantId
from alertgraph.services.ports import Clock, FeedPlace, PointBatch, SeriesState


@dataclass
class _Feed:
    feed_id: UUID = field(default_factory=uuid4)
    given: int = 0
    taken: int = 0
    why_not: str | None = None
    batches: list[PointBatch] = field(default_factory=list)


class MemoryPoints:
    """Fulfils `services.ports.PointFeed` and `services.ports.PointBuffer`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.feeds: dict[TenantId, _Feed] = {}
        self.kept: dict[TenantId, dict[int, SeriesState]] = {}

    async def put(self, tenant_id: TenantId, content: bytes, size_max: int) -> None:
        feed = self.feeds.setdefault(tenant_id, _Feed())
        waiting = sum(len(batch.content) for batch in feed.batches if batch.number > feed.taken)
        if feed.why_not is not None or waiting >= size_max:
            raise DependencyError("anomaly detection", retryable=True, message=feed.why_not or "Too many")
        feed.given += 1
        feed.batches.append(PointBatch(feed.given, self._clock.now(), content))

    async def waiting(self) -> Mapping[TenantId, bool]:
        return {tenant_id: feed.given > feed.taken for tenant_id, feed in self.feeds.items()}

    async def place(self, tenant_id: TenantId, why_not: str | None) -> FeedPlace:
        feed = self.feeds.setdefault(tenant_id, _Feed())
        feed.why_not = why_not
        return FeedPlace(feed.feed_id, feed.taken)

    async def batches(self, tenant_id: TenantId, feed_id: UUID, after: int, limit: int) -> Sequence[PointBatch]:
        feed = self.feeds.get(tenant_id)
        if feed is None or feed.feed_id != feed_id:
            return []
        return [batch for batch in feed.batches if batch.number > after][:limit]

    async def took(self, tenant_id: TenantId, feed_id: UUID, before: int, after: int) -> bool:
        feed = self.feeds[tenant_id]
        if (feed.feed_id, feed.taken) != (feed_id, before):
            return False
        feed.taken = after
        return True

    async def drop(self, tenant_id: TenantId, feed_id: UUID, number: int) -> None:
        feed = self.feeds[tenant_id]
        if feed.feed_id == feed_id:
            feed.batches = [batch for batch in feed.batches if batch.number > min(number, feed.taken)]

    async def states(self, tenant_id: TenantId) -> Sequence[SeriesState]:
        return [state for _, state in sorted(self.kept.get(tenant_id, {}).items())]

    async def save(self, tenant_id: TenantId, state: SeriesState) -> None:
        kept = self.kept.setdefault(tenant_id, {})
        before = kept.get(state.shard)
        if before is None or before.feed_id != state.feed_id or before.number <= state.number:
            kept[state.shard] = state

    async def forget(self, tenant_id: TenantId, shard: int) -> None:
        self.kept.get(tenant_id, {}).pop(shard, None)

    def crash(self) -> None:
        """Lose what is not logged, as PostgreSQL does."""
        self.feeds.clear()


class PlainShard:
    """Scores a point by its value: a tenth of it is its level; a series' first point warms it up."""

    def __init__(self, newest: dict[str, list[float]] | None = None) -> None:
        self.newest = newest or {}

    def observe(
        self,
        texts: Sequence[str],
        at: Sequence[int],
        values: Sequence[float],
        followed: Collection[str],
        level_min: float,
    ) -> Judged:
        unusual = {text for text, value in zip(texts, values, strict=True) if abs(value) / 10 >= level_min}
        verdicts: list[tuple[int, PointVerdict]] = []
        counts = [0] * 5
        for index, (text, second, value) in enumerate(zip(texts, at, values, strict=True)):
            before = self.newest.get(text)
            if before is not None and second <= before[0]:
                counts[3 if second == before[0] else 4] += 1
                continue
            warming = before is None
            counts[1 if warming else 0] += 1
            self.newest[text] = [second, value]
            level = abs(value) / 10
            if text in unusual or text in followed:
                moment = datetime.fromtimestamp(second, UTC)
                verdicts.append((index, PointVerdict(moment, level, level, value, 0.0, 1.0, warming=warming)))
        return Judged(verdicts, counts)

    def state(self) -> bytes:
        return orjson.dumps(self.newest)

    def only(self, texts: Collection[str]) -> PlainShard:
        return PlainShard({text: list(point) for text, point in self.newest.items() if text in texts})

    @property
    def memory_bytes(self) -> int:
        return 100 * len(self.newest)


class PlainShards:
    """Makes them. Fulfils `services.ports.SeriesShards`."""

    def __init__(self, series_max: int = 2) -> None:
        self.series_max = series_max

    def new(self) -> PlainShard:
        return PlainShard()

    def load(self, state: bytes) -> PlainShard:
        return PlainShard(orjson.loads(state))
