"""Figures: counters and histograms, each a fold of the log."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum

from alertgraph.core.event import Event, EventKind
from alertgraph.core.severity import Severity

# Buckets [g^k, g^(k+1)) answered by their geometric middle are wrong by at most sqrt(g) - 1 = 2.96 %.
GAMMA = 1.06
_LOG_GAMMA = math.log(GAMMA)
# How long minutes are kept; older figures come by the day.
MINUTES_KEPT = timedelta(hours=48)
WINDOW_MAX = timedelta(days=400)
LIVE_WINDOW_MAX = timedelta(days=7)
SERIES_LENGTH_MAX = 500


class DurationKind(IntEnum):
    """Which length of time a histogram is of. The numbers are stored: never reuse one."""

    ACKNOWLEDGE = 1
    RESOLVE = 2


@dataclass(frozen=True, slots=True, order=True)
class Group:
    """What counters are kept by: severity and thing watched, empty for alerts that name none."""

    severity: Severity
    monitored_service: str


@dataclass(slots=True)
class Counts:
    """Counters of one group over some time; sums are in milliseconds.

    Attributes:
        opened: Alerts that entered the group less those that left it: by trigger, end, or a change of
            severity or service. Summed up from the beginning it is how many are open.
        acknowledged: First acknowledgements only.
        sla_total: Ended alerts whose SLA was judged; `sla_met` of them kept both times.
        self_resolved: Ended with nobody acting.
    """

    created: int = 0
    acknowledged: int = 0
    resolved: int = 0
    escalated: int = 0
    opened: int = 0
    acknowledge_ms: int = 0
    resolve_ms: int = 0
    sla_total: int = 0
    sla_met: int = 0
    self_resolved: int = 0

    def add(self, other: Counts) -> None:
        """Add another's counters to these."""
        for name in COUNT_NAMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))


COUNT_NAMES = tuple(Counts.__dataclass_fields__)


@dataclass(slots=True)
class Tally:
    """What some events add to the figures: counters by group, durations by group, kind and bucket."""

    counts: dict[Group, Counts] = field(default_factory=dict)
    durations: Counter[tuple[Group, DurationKind, int]] = field(default_factory=Counter)

    def group(self, group: Group) -> Counts:
        """Return the counters of a group, zeros where there were none."""
        return self.counts.setdefault(group, Counts())

    def add(self, other: Tally) -> None:
        """Add another tally to this one: tallies are additive over time, groups and processes."""
        for group, counts in other.counts.items():
            self.group(group).add(counts)
        self.durations.update(other.durations)


def bucket_of(milliseconds: int) -> int:
    """Return the histogram bucket of a length of time; everything below 1 ms shares bucket 0."""
    return max(0, math.floor(math.log(milliseconds) / _LOG_GAMMA) + 1) if milliseconds >= 1 else 0


def bucket_middle(bucket: int) -> float:
    """Return the milliseconds that stand for a bucket, within 2.96 % of all that fell into it."""
    return GAMMA ** (bucket - 0.5) if bucket > 0 else 0.0


def percentile(buckets: Mapping[int, int], share: float) -> timedelta | None:
    """Return the length of time that `share` (0 to 1) of the durations stayed within.

    Args:
        buckets: How many durations fell into each bucket.
        share: Such as 0.95.

    Returns:
        The nearest-rank percentile within 2.96 %; None where nothing was measured.
    """
    total = sum(buckets.values())
    if total == 0:
        return None
    rank = max(1, math.ceil(share * total))
    seen = 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= rank:
            return timedelta(milliseconds=bucket_middle(bucket))
    raise AssertionError("the buckets hold fewer durations than their sum")


def mean(total_ms: int, count: int) -> timedelta | None:
    """Return the mean length of time; None where nothing was measured."""
    return timedelta(milliseconds=total_ms / count) if count else None


_TALLIED = (
    EventKind.TRIGGERED,
    EventKind.REOPENED,
    EventKind.ACKNOWLEDGED,
    EventKind.RESOLVED,
    EventKind.ESCALATED,
    EventKind.UPDATED,
)
"""All that `_tally_event` knows: most others are told from these by one look."""


def tally(events: Iterable[Event]) -> Tally:
    """Return what events add to the figures; an event about no alert adds nothing."""
    result = Tally()
    for event in events:
        if event.alert_id is not None and event.kind in _TALLIED:
            _tally_event(result, event)
    return result


def _tally_event(result: Tally, event: Event) -> None:
    match event.kind:
        case EventKind.TRIGGERED | EventKind.REOPENED:
            counts = result.group(_group(event))
            counts.created += 1
            counts.opened += 1
        case EventKind.ACKNOWLEDGED:
            if event.elapsed_ms is not None:
                group = _group(event)
                counts = result.group(group)
                counts.acknowledged += 1
                counts.acknowledge_ms += event.elapsed_ms
                result.durations[(group, DurationKind.ACKNOWLEDGE, bucket_of(event.elapsed_ms))] += 1
        case EventKind.RESOLVED:
            group = _group(event)
            counts = result.group(group)
            counts.resolved += 1
            counts.opened -= 1
            if event.elapsed_ms is not None:
                counts.resolve_ms += event.elapsed_ms
                result.durations[(group, DurationKind.RESOLVE, bucket_of(event.elapsed_ms))] += 1
            if event.sla_met is not None:
                counts.sla_total += 1
                counts.sla_met += event.sla_met
            counts.self_resolved += bool(event.self_resolved)
        case EventKind.ESCALATED:
            result.group(_group(event)).escalated += 1
        case EventKind.UPDATED:
            before, after = event.severity_before, event.severity_after
            if before is not None and (before, event.service_before) != (after, event.service_after):
                result.group(Group(before, event.service_before or "")).opened -= 1
                result.group(_group(event)).opened += 1
        case _:
            pass


def _group(event: Event) -> Group:
    """Return the group of the alert that an event is about, as it is afterwards."""
    assert event.severity_after is not None, "an event about an alert tells its severity"
    return Group(event.severity_after, event.service_after or "")


@dataclass(frozen=True, slots=True)
class MetricsWindow:
    """Whose figures, from when to when.

    Attributes:
        since: Included.
        until: Not included.
        severities: Empty for all.
        monitored_services: Empty for all; "" stands for alerts that name none.
    """

    since: datetime
    until: datetime
    severities: frozenset[Severity] = frozenset()
    monitored_services: frozenset[str] = frozenset()
