"""Points of metrics, the series that they make, and what is odd about them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from alertgraph.core.anomaly import Judged
from alertgraph.core.ids import TenantId


@dataclass(frozen=True, slots=True)
class PointBatch:
    """Points of one request, as `core.points` packs them.

    Attributes:
        number: 1, 2, 3 … of its tenant, without gaps, until the store crashes: then a new feed begins.
        received_at: When they came in.
    """

    number: int
    received_at: datetime
    content: bytes


@dataclass(frozen=True, slots=True)
class FeedPlace:
    """Where a tenant's feed of points stands.

    Attributes:
        feed_id: Another one begins where the store has lost the feed.
        taken: The number of the last batch whose effects there are.
    """

    feed_id: UUID
    taken: int


@dataclass(frozen=True, slots=True)
class SeriesState:
    """What is known of some series of a tenant, as of one batch.

    Attributes:
        shard: Which of the tenant's groups of series.
        number: The last batch that it knows, of that feed.
    """

    shard: int
    feed_id: UUID
    number: int
    content: bytes


class PointFeed(Protocol):
    """Where points wait for whoever watches their series. Raises DependencyError where the store is away."""

    async def put(self, tenant_id: TenantId, content: bytes, size_max: int) -> None:
        """Keep a batch of points until it was taken and what it taught was saved.

        Args:
            tenant_id: Whose.
            content: As `core.points` packs them.
            size_max: As many bytes may wait to be taken.

        Raises:
            DependencyError: So many wait, or whoever takes them can't; the message says so.
        """
        ...


class PointBuffer(Protocol):
    """The other end of the feed. Every method raises DependencyError where the store is away."""

    async def waiting(self) -> Mapping[TenantId, bool]:
        """Return the tenants that have a feed, and whether batches wait in it. Nothing else is told of them."""
        ...

    async def place(self, tenant_id: TenantId, why_not: str | None) -> FeedPlace:
        """Return where the feed stands, and have senders told why nothing is taken; None where all is well."""
        ...

    async def batches(self, tenant_id: TenantId, feed_id: UUID, after: int, limit: int) -> Sequence[PointBatch]:
        """Return batches behind a number, in order; none where the feed is another by now."""
        ...

    async def took(self, tenant_id: TenantId, feed_id: UUID, before: int, after: int) -> bool:
        """Note that there are the effects of all batches to `after`; False where somebody else took them."""
        ...

    async def drop(self, tenant_id: TenantId, feed_id: UUID, number: int) -> None:
        """Forget the batches up to a number: all they taught is saved."""
        ...

    async def states(self, tenant_id: TenantId) -> Sequence[SeriesState]:
        """Return what was saved of the tenant's series."""
        ...

    async def save(self, tenant_id: TenantId, state: SeriesState) -> None:
        """Keep what is known of a group of series in place of what was, unless that knows more."""
        ...

    async def forget(self, tenant_id: TenantId, shard: int) -> None:
        """Forget a group of series that is empty."""
        ...


class SeriesShard(Protocol):
    """Scores the points of a bounded number of series. Made where learning is installed; nothing of it awaits."""

    def observe(
        self,
        texts: Sequence[str],
        at: Sequence[int],
        values: Sequence[float],
        followed: Collection[str],
        level_min: float,
    ) -> Judged:
        """Take points in, in order, and return what is said of those that matter.

        Args:
            texts: The series of each point.
            at: Seconds since 1970.
            values: What was measured.
            followed: Series of which every point matters …
            level_min: … and so it does of those with a point that is this unusual.
        """
        ...

    def state(self) -> bytes:
        """Return all that is needed to go on from here."""
        ...

    def only(self, texts: Collection[str]) -> SeriesShard:
        """Return a group of these series alone, each as it is here."""
        ...

    @property
    def memory_bytes(self) -> int:
        """How much it takes up."""
        ...


class SeriesShards(Protocol):
    """Makes groups of series."""

    series_max: int
    """Series of one group."""

    def new(self) -> SeriesShard:
        """Return a group without any."""
        ...

    def load(self, state: bytes) -> SeriesShard:
        """Return the group whose state this is.

        Raises:
            ValueError: It is of another release, or broken.
        """
        ...


class AnomalyObserver(Protocol):
    """Where those who watch series report what an operator watches; never raises and never waits."""

    def points_taken(self, counts: Mapping[str, int], seconds: float) -> None:
        """Points came in: how many of each status, and for how long the oldest of them had waited."""
        ...

    def points_received(self, counts: Mapping[str, int]) -> None:
        """A sender's points were looked at: how many were accepted, watched, ignored and refused."""
        ...

    def anomaly_told(self, *, began: bool) -> None:
        """An alert of an anomaly was raised, or ended."""
        ...

    def failed(self, part: str, error: BaseException) -> None:
        """A loop of ours caught an error and goes on."""
        ...
