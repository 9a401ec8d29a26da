"""Figures: counters and durations of a window, read only as far as they are asked for."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Self

import strawberry

from alertgraph.core.errors import InputError
from alertgraph.core.metrics import Counts, DurationKind, Group, MetricsWindow, Tally, mean, percentile
from alertgraph.services.metrics_feed import MetricsFigures
from resolvers.context import Info
from resolvers.fields import computed
from resolvers.matcher import check_length, texts_of
from resolvers.paging import UNSET, given
from resolvers.permissions import reads
from resolvers.words import MetricsDimension, Role, Severity

GROUP_COUNT_MAX = 100
# Reading a window's figures costs as much as some alerts; each way of cutting it up is a read of its own.
FIGURES_COST = {"cost": 5}
SERIES_COST = {"cost": 1, "page_size_default": 50}


def total(tally: Tally) -> Counts:
    """Return the counters of all groups together."""
    return summed(tally.counts.values())


def summed(counts: Iterable[Counts]) -> Counts:
    """Return counters added up."""
    result = Counts()
    for each in counts:
        result.add(each)
    return result


def durations(tally: Tally, kind: DurationKind) -> Mapping[int, int]:
    """Return how many durations of a kind fell into each bucket, over all groups."""
    buckets: Counter[int] = Counter()
    for (_, of, bucket), count in tally.durations.items():
        if of is kind:
            buckets[bucket] += count
    return buckets


def share(part: int, whole: int) -> float | None:
    """Return a share from 0 to 1; None where nothing was measured."""
    return part / whole if whole else None


@strawberry.type(description="How many of one severity.")
class SeverityCount:
    """How many of one severity."""

    severity: Severity = strawberry.field(description="Which.")
    count: int = strawberry.field(description="How many.")


@strawberry.type(description="Figures of a part of the window.")
class MetricsBucket:
    """Figures of a part of the window."""

    starts_at: datetime = strawberry.field(description="Begin.")
    created_count: int = strawberry.field(description="Triggered.")
    acknowledged_count: int = strawberry.field(description="Acknowledged.")
    resolved_count: int = strawberry.field(description="Resolved.")
    escalated_count: int = strawberry.field(description="Levels reached.")
    mtta: timedelta | None = strawberry.field(description="Mean time to acknowledge.")
    mttr: timedelta | None = strawberry.field(description="Mean time to resolve.")
    sla_compliance: float | None = strawberry.field(description="Within SLA, 0 to 1.")
    noise_ratio: float | None = strawberry.field(description="Resolved themselves, 0 to 1.")

    @classmethod
    def of(cls, starts_at: datetime, tally: Tally) -> Self:
        """Return the figures of a bucket."""
        counts = total(tally)
        return cls(
            starts_at=starts_at,
            created_count=counts.created,
            acknowledged_count=counts.acknowledged,
            resolved_count=counts.resolved,
            escalated_count=counts.escalated,
            mtta=mean(counts.acknowledge_ms, counts.acknowledged),
            mttr=mean(counts.resolve_ms, counts.resolved),
            sla_compliance=share(counts.sla_met, counts.sla_total),
            noise_ratio=share(counts.self_resolved, counts.resolved),
        )


@strawberry.type(description="Figures of one group.")
class MetricsGroup:
    """Figures of one group."""

    key: str = strawberry.field(description="The severity or the service's name; empty for alerts with none.")
    created_count: int = strawberry.field(description="Triggered.")
    open_count: int = strawberry.field(description="Open at the end.")
    escalated_count: int = strawberry.field(description="Levels reached.")
    mtta: timedelta | None = strawberry.field(description="Mean time to acknowledge.")
    mttr: timedelta | None = strawberry.field(description="Mean time to resolve.")
    sla_compliance: float | None = strawberry.field(description="Within SLA, 0 to 1.")
    noise_ratio: float | None = strawberry.field(description="Resolved themselves, 0 to 1.")

    @classmethod
    def of(cls, key: str, counts: Counts, open_count: int) -> Self:
        """Return the figures of a group."""
        return cls(
            key=key,
            created_count=counts.created,
            open_count=open_count,
            escalated_count=counts.escalated,
            mtta=mean(counts.acknowledge_ms, counts.acknowledged),
            mttr=mean(counts.resolve_ms, counts.resolved),
            sla_compliance=share(counts.sla_met, counts.sla_total),
            noise_ratio=share(counts.self_resolved, counts.resolved),
        )


def largest_groups(tally: Tally, open_counts: Tally, by: MetricsDimension, limit: int) -> list[MetricsGroup]:
    """Return the groups with the most new alerts, then the most open ones, then by key."""
    counts: dict[str, Counts] = {}
    is_open: Counter[str] = Counter()
    for group, each in tally.counts.items():
        counts.setdefault(_key(group, by), Counts()).add(each)
    for group, each in open_counts.counts.items():
        is_open[_key(group, by)] += each.opened
    keys = {key for key in (*counts, *is_open) if counts.get(key, Counts()) != Counts() or is_open[key]}
    largest = sorted(keys, key=lambda key: (-counts.get(key, Counts()).created, -is_open[key], key))
    return [MetricsGroup.of(key, counts.get(key, Counts()), is_open[key]) for key in largest[:limit]]


def _key(group: Group, by: MetricsDimension) -> str:
    return group.severity.name if by is MetricsDimension.SEVERITY else group.monitored_service


@strawberry.type(
    description=(
        "Figures over a window, from counters kept by hour and day; durations are null where nothing was measured."
    )
)
class AlertMetrics:
    """Figures over a window.

    Attributes:
        window: Whose figures.
        live: The figures where they are known already; None where they are read when they are asked for.
    """

    window: strawberry.Private[MetricsWindow]
    live: strawberry.Private[MetricsFigures | None]
    since: datetime = strawberry.field(description="Begin, included.")
    until: datetime = strawberry.field(description="End, not included.")

    @classmethod
    def of(cls, window: MetricsWindow, live: MetricsFigures | None = None) -> Self:
        """Return a window whose figures can be asked for."""
        return cls(window=window, live=live, since=window.since, until=window.until)

    async def _tally(self, info: Info) -> Tally:
        return self.live.tally if self.live is not None else await info.context.loaders.tally.load(self.window)

    async def _total(self, info: Info) -> Counts:
        return total(await self._tally(info))

    async def _open(self, info: Info) -> Tally:
        if self.live is not None:
            return self.live.open_counts
        return await info.context.loaders.open_counts.load(self.window)

    async def _percentile(self, info: Info, kind: DurationKind, within: float) -> timedelta | None:
        return percentile(durations(await self._tally(info), kind), within)

    @computed("Alerts triggered in the window.")
    @reads(Role.VIEWER)
    async def created_count(self, info: Info) -> int:
        """Return how many were triggered."""
        return (await self._total(info)).created

    @computed("Alerts acknowledged in the window.")
    @reads(Role.VIEWER)
    async def acknowledged_count(self, info: Info) -> int:
        """Return how many were acknowledged."""
        return (await self._total(info)).acknowledged

    @computed("Alerts resolved in the window.")
    @reads(Role.VIEWER)
    async def resolved_count(self, info: Info) -> int:
        """Return how many were resolved."""
        return (await self._total(info)).resolved

    @computed("Levels reached in the window.")
    @reads(Role.VIEWER)
    async def escalated_count(self, info: Info) -> int:
        """Return how many levels were reached."""
        return (await self._total(info)).escalated

    @computed("Open at the end of the window.", **FIGURES_COST)
    @reads(Role.VIEWER)
    async def open_count(self, info: Info) -> int:
        """Return how many were open at the end."""
        return total(await self._open(info)).opened

    @computed(
        "The same by severity, worst first, zeros included.",
        cost=1,
        page_size_default=len(Severity),
    )
    @reads(Role.VIEWER)
    async def open_by_severity(self, info: Info) -> list[SeverityCount]:
        """Return how many were open at the end, by severity."""
        counts: Counter[Severity] = Counter()
        for group, each in (await self._open(info)).counts.items():
            counts[group.severity] += each.opened
        return [
            SeverityCount(severity=severity, count=counts[severity]) for severity in sorted(Severity, reverse=True)
        ]

    @computed("Mean time to acknowledge.")
    @reads(Role.VIEWER)
    async def mtta(self, info: Info) -> timedelta | None:
        """Return the mean time to acknowledge."""
        counts = await self._total(info)
        return mean(counts.acknowledge_ms, counts.acknowledged)

    @computed("Mean time to resolve.")
    @reads(Role.VIEWER)
    async def mttr(self, info: Info) -> timedelta | None:
        """Return the mean time to resolve."""
        counts = await self._total(info)
        return mean(counts.resolve_ms, counts.resolved)

    @computed("Half were acknowledged within; within 4 %.")
    @reads(Role.VIEWER)
    async def acknowledge_p50(self, info: Info) -> timedelta | None:
        """Return the median time to acknowledge."""
        return await self._percentile(info, DurationKind.ACKNOWLEDGE, 0.5)

    @computed("95 % were acknowledged within.")
    @reads(Role.VIEWER)
    async def acknowledge_p95(self, info: Info) -> timedelta | None:
        """Return the 95th percentile of the time to acknowledge."""
        return await self._percentile(info, DurationKind.ACKNOWLEDGE, 0.95)

    @computed("Half were resolved within.")
    @reads(Role.VIEWER)
    async def resolve_p50(self, info: Info) -> timedelta | None:
        """Return the median time to resolve."""
        return await self._percentile(info, DurationKind.RESOLVE, 0.5)

    @computed("95 % were resolved within.")
    @reads(Role.VIEWER)
    async def resolve_p95(self, info: Info) -> timedelta | None:
        """Return the 95th percentile of the time to resolve."""
        return await self._percentile(info, DurationKind.RESOLVE, 0.95)

    @computed("Share of alerts acknowledged and resolved within their SLA, 0 to 1.")
    @reads(Role.VIEWER)
    async def sla_compliance(self, info: Info) -> float | None:
        """Return the share of ended alerts that kept both SLA times."""
        counts = await self._total(info)
        return share(counts.sla_met, counts.sla_total)

    @computed("Share of alerts that resolved themselves with nobody acting, 0 to 1.")
    @reads(Role.VIEWER)
    async def noise_ratio(self, info: Info) -> float | None:
        """Return the share of ended alerts that ended by themselves."""
        counts = await self._total(info)
        return share(counts.self_resolved, counts.resolved)

    @computed(
        ("Through the window; at most 500 buckets, finer than a day only within the last 48 hours."),
        **SERIES_COST,
    )
    @reads(Role.VIEWER)
    async def series(
        self,
        info: Info,
        bucket: Annotated[timedelta, strawberry.argument(description="Whole hours or days.")],
    ) -> list[MetricsBucket]:
        """Return the window cut into buckets, zeros included."""
        series = await info.context.reading.tally_series(self.window, bucket)
        return [MetricsBucket.of(starts_at, tally) for starts_at, tally in series]

    @computed("The largest groups by createdCount.")
    @reads(Role.VIEWER)
    async def groups(
        self,
        info: Info,
        by: Annotated[MetricsDimension, strawberry.argument(description="By what.")],
        first: Annotated[int, strawberry.argument(description="1 to 100.")] = 20,
    ) -> list[MetricsGroup]:
        """Return the groups with the most new alerts."""
        if not 1 <= first <= GROUP_COUNT_MAX:
            raise InputError(f"first is 1 to {GROUP_COUNT_MAX}; this is {first}.", "first")
        return largest_groups(await self._tally(info), await self._open(info), by, first)


@strawberry.input(description="Which alerts the figures are of; only what counters are kept by.")
class MetricsFilter:
    """Which alerts the figures are of; a field that is null asks for nothing."""

    severity: list[Severity] | None = strawberry.field(description="How bad.")
    monitored_service: list[str] | None = strawberry.field(description="Of these things watched.")

    def to_core(self, *path: str) -> tuple[frozenset[Severity], frozenset[str]]:
        """Return severities and services, empty for all.

        Raises:
            InputError: A list is too long, or empty, which would match nothing; the path names it.
        """
        check_length(self.severity, *path, "severity")
        services = texts_of(self.monitored_service, *path, "monitoredService")
        for name, values in (("severity", self.severity), ("monitoredService", services)):
            if values is not None and not values:
                raise InputError("An empty list matches nothing; leave it out for all.", *path, name)
        return frozenset(self.severity or ()), frozenset(services or ())


def filter_of(
    filter: MetricsFilter | None,
) -> tuple[frozenset[Severity], frozenset[str]]:
    """Return what an argument `filter` lets through: severities and services, empty for all."""
    wanted = given(filter)
    return wanted.to_core("filter") if wanted is not None else (frozenset(), frozenset())


@reads(Role.VIEWER)
async def alert_metrics(
    info: Info,  # noqa: ARG001  (by it the caller's role is checked)
    since: Annotated[datetime, strawberry.argument(description="Begin, included.")],
    until: Annotated[datetime, strawberry.argument(description="End, not included.")],
    filter: Annotated[MetricsFilter | None, strawberry.argument(description="Of which alerts.")] = UNSET,
) -> AlertMetrics:
    """Return the figures of a window, each read when it is asked for."""
    severities, services = filter_of(filter)
    return AlertMetrics.of(MetricsWindow(since, until, severities, services))
