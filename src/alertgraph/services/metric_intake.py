"""Metrics on their way in: which points are kept for whoever watches them, and what is wrong with the others.

Only what an anomaly rule watches is kept; of all else it is said that it was taken, and nothing remains of it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import isfinite
from typing import Final

from alertgraph.core.anomaly import AnomalyRule, AnomalyTarget, check_series_labels
from alertgraph.core.errors import AccessDeniedError, DependencyError, ErrorCode, Problem
from alertgraph.core.ids import EPOCH, TenantId
from alertgraph.core.points import Points, Series, pack_points
from alertgraph.core.tenant import Principal, Role
from alertgraph.services.ports import AnomalyObserver, Clock, PointFeed, SnapshotSource

POINT_COUNT_MAX: Final = 100_000
"""Of one request."""
PROBLEM_COUNT_MAX: Final = 20
PAUSE_COUNT: Final = 2000
"""Points after which others have their turn."""
FUTURE_MAX: Final = timedelta(minutes=10)
AGE_MAX: Final = timedelta(days=30)
VALUE_MAX: Final = 1e18
BACKLOG_SIZE_MAX: Final = 64 * 1024 * 1024
"""Bytes of a tenant that may wait to be taken."""
# What was set up elsewhere is noticed this late at most, where the hint was lost.
RULES_AGE_MAX: Final = timedelta(seconds=5)
# Series are counted anew this often; those that fell silent free their places.
COUNTED_EVERY: Final = timedelta(hours=1)
KNOWN_COUNT_MAX: Final = 200_000
"""Series remembered, of all tenants: some hundred bytes each, a thousand where it is watched."""
TENANT_COUNT_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class KnownSeries:
    """A series as this process has met it before.

    Attributes:
        series: Set where a rule watches it.
        problem: What is wrong with its labels, where they are refused.
    """

    series: Series | None = None
    problem: Problem | None = None


UNWATCHED: Final = KnownSeries()


@dataclass(slots=True)
class SeriesMemory:
    """What one process remembers of a tenant's series: whether anybody watches them.

    Attributes:
        known: By their labels as a sender writes them, in protobuf or in JSON.
        rules: Those that watch series; what is known was judged by them.
        counted: Of the last hour, watched.
    """

    known: dict[bytes, KnownSeries] = field(default_factory=dict)
    rules: tuple[AnomalyRule, ...] = ()
    read_at: datetime = EPOCH
    counted: set[str] = field(default_factory=set)
    counted_since: datetime = EPOCH

    def learn(self, labels: Mapping[str, str] | str) -> KnownSeries:
        """Return what is to be known of the series with these labels, or of one refused for that reason."""
        if isinstance(labels, str):
            return KnownSeries(problem=Problem(ErrorCode.INVALID_INPUT, labels, ("labels",)))
        problems = check_series_labels(labels)
        if problems:
            return KnownSeries(problem=problems[0])
        if not self.rules:
            return UNWATCHED
        series = Series.of(labels)
        return KnownSeries(series) if any(rule.watches(series) for rule in self.rules) else UNWATCHED


@dataclass(frozen=True, slots=True)
class SentSeries:
    """Points of one series, as they were sent.

    Attributes:
        points: Milliseconds since 1970 and value; nan for none.
        place: Where the sender finds it.
    """

    known: KnownSeries
    points: Sequence[tuple[int, float]]
    place: tuple[str, ...]


@dataclass(slots=True)
class Taken:
    """What became of points.

    Attributes:
        accepted: Points in order, watched or not.
        watched: Those among them that a rule watches.
        ignored: Not finite, such as the marks of series that ended; no mistake.
        refused: Points that are wrong.
        problems: Of the refused, the first ones, each with its place.
    """

    accepted: int = 0
    watched: int = 0
    ignored: int = 0
    refused: int = 0
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, count: int, problem: Problem, *place: str) -> None:
        """Count points that are wrong."""
        self.refused += count
        if len(self.problems) < PROBLEM_COUNT_MAX:
            self.problems.append(problem.below(*place))


class MetricIntake:
    """Takes points in for whoever watches their series.

    Args:
        series_max: Watched series of a tenant.
        why_not: Why nobody watches any; None where somebody may.
    """

    def __init__(
        self,
        feed: PointFeed,
        snapshots: SnapshotSource,
        clock: Clock,
        observer: AnomalyObserver,
        *,
        series_max: int,
        why_not: str | None = None,
    ) -> None:
        self._feed = feed
        self._snapshots = snapshots
        self._clock = clock
        self._observer = observer
        self._series_max = series_max
        self._why_not = why_not
        self._memories: OrderedDict[TenantId, SeriesMemory] = OrderedDict()

    def forget(self, tenant_id: TenantId) -> None:
        """Read a tenant's rules anew: what is set up has changed."""
        memory = self._memories.get(tenant_id)
        if memory is not None:
            memory.read_at = EPOCH

    async def memory(self, principal: Principal) -> SeriesMemory:
        """Return what is remembered for a sender, with the rules as they are. INGEST.

        Raises:
            AccessDeniedError: The role is too low, or the key is limited by matchers.
        """
        principal.require(Role.INGEST)
        if principal.scope:
            raise AccessDeniedError(
                "A key that is limited by matchers can't send metrics: what they raise would reach beyond them."
            )
        tenant_id, now = principal.tenant.id, self._clock.now()
        memory = self._memories.get(tenant_id)
        if memory is None:
            memory = self._memories[tenant_id] = SeriesMemory()
            if len(self._memories) > TENANT_COUNT_MAX:
                self._memories.popitem(last=False)
        self._memories.move_to_end(tenant_id)
        if not timedelta(0) <= now - memory.read_at <= RULES_AGE_MAX:
            async with self._snapshots.snapshot(tenant_id) as snapshot:
                config = await snapshot.config()
            rules = tuple(
                rule
                for rule in config.catalog.anomaly_rules.values()
                if rule.enabled and rule.target is AnomalyTarget.SERIES
            )
            if rules != memory.rules:
                memory.rules = rules
                memory.known.clear()
            memory.read_at = now
        if not timedelta(0) <= now - memory.counted_since <= COUNTED_EVERY:
            memory.counted.clear()
            memory.counted_since = now
        while sum(len(each.known) for each in self._memories.values()) > KNOWN_COUNT_MAX:
            oldest = next(iter(self._memories.values()))
            if oldest is memory:
                memory.known.clear()
            else:
                self._memories.popitem(last=False)
        return memory

    async def take(self, principal: Principal, sent: Sequence[SentSeries], before: Taken | None = None) -> Taken:
        """Keep what is watched of these points, all of it or nothing, and return what became of all.

        Args:
            principal: Who sends.
            sent: With series from `memory`.
            before: What became of points that could not even be read.

        Raises:
            DependencyError: Nothing was kept; trying again is right where it says so.
        """
        memory = await self.memory(principal)
        taken = before or Taken()
        points = Points()
        now = round(self._clock.now().timestamp() * 1000)
        latest = now + FUTURE_MAX // timedelta(milliseconds=1)
        earliest = now - AGE_MAX // timedelta(milliseconds=1)
        looked_at = 0
        for each in sent:
            looked_at += len(each.points)
            if looked_at >= PAUSE_COUNT:
                looked_at = 0
                await asyncio.sleep(0)
            known = each.known
            if known.problem is not None:
                taken.refuse(max(1, len(each.points)), known.problem, *each.place)
                continue
            good = _good(each, earliest, latest, taken)
            series = known.series
            if series is None or not good:
                continue
            if series.text not in memory.counted:
                if len(memory.counted) >= self._series_max:
                    taken.accepted -= len(good)
                    taken.refuse(len(good), _too_many(self._series_max), *each.place)
                    continue
                memory.counted.add(series.text)
            taken.watched += len(good)
            points.add(series.text, good)
        if len(points):
            if self._why_not is not None:
                raise DependencyError("anomaly detection", retryable=False, message=self._why_not)
            await self._feed.put(principal.tenant.id, pack_points(points), BACKLOG_SIZE_MAX)
        self._observer.points_received(
            {
                "accepted": taken.accepted,
                "watched": taken.watched,
                "ignored": taken.ignored,
                "refused": taken.refused,
            }
        )
        return taken


def _good(sent: SentSeries, earliest: int, latest: int, taken: Taken) -> list[tuple[int, float]]:
    """Return the points that can be scored, in order and in seconds, and count them and the others."""
    good: list[tuple[int, float]] = []
    for index, (at, value) in enumerate(sent.points):
        if not isfinite(value):
            # A series that ended, a division by nothing: senders mean no harm by them.
            taken.ignored += 1
        elif not earliest <= at <= latest:
            taken.refuse(1, _of_time(at > latest), *sent.place, "points", str(index))
        elif not -VALUE_MAX <= value <= VALUE_MAX:
            taken.refuse(1, _invalid("A value lies within ±1e18.", "value"), *sent.place, "points", str(index))
        else:
            good.append((at // 1000, value))
    if len(good) > 1:
        # Stable: of two points of one second the first counts.
        good.sort(key=lambda point: point[0])
    taken.accepted += len(good)
    return good


def _of_time(is_ahead: bool) -> Problem:  # noqa: FBT001  (one of two sentences)
    if is_ahead:
        return _invalid("The time is more than ten minutes ahead of the service's clock.", "at")
    return _invalid("The time is more than 30 days ago.", "at")


def _too_many(series_max: int) -> Problem:
    return Problem(
        ErrorCode.LIMIT_REACHED,
        f"More than {series_max:,} series are watched; this one is new, and left out. Narrow a rule's matchers.",
        ("labels",),
    )


def _invalid(message: str, *path: str) -> Problem:
    return Problem(ErrorCode.INVALID_INPUT, message, path)
