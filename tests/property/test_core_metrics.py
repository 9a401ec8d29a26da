"""Laws of figures and of promises."""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from alertgraph.core.event import Event, EventKind
from alertgraph.core.metrics import Tally, bucket_middle, bucket_of, percentile, tally
from alertgraph.core.slo import SlaClocks, acknowledge_breached, resolve_breached
from tests.factories import T0, an_event
from tests.strategies import at_or_after, services, severities

milliseconds = st.integers(1, 10**12) | st.floats(0, 27.6).map(lambda power: max(1, int(math.exp(power))))
clocks = st.builds(SlaClocks, at_or_after(T0), at_or_after(T0))
alert_events = st.builds(
    an_event,
    kind=st.sampled_from(
        [
            EventKind.TRIGGERED,
            EventKind.REPEATED,
            EventKind.UPDATED,
            EventKind.ACKNOWLEDGED,
            EventKind.ESCALATED,
            EventKind.RESOLVED,
        ]
    ),
    severity_before=severities,
    severity_after=severities,
    service_before=services,
    service_after=services,
    elapsed_ms=st.none() | st.integers(0, 10**9),
    sla_met=st.none() | st.booleans(),
    self_resolved=st.none() | st.booleans(),
)


@given(st.lists(milliseconds, min_size=1, max_size=200), st.sampled_from([0.0, 0.5, 0.9, 0.95, 0.99, 1.0]))
def test_a_percentile_is_within_three_percent_of_the_nearest_rank(samples: list[int], share: float) -> None:
    exact = sorted(samples)[max(1, math.ceil(share * len(samples))) - 1]

    found = percentile(Counter(map(bucket_of, samples)), share)

    assert found is not None
    # A length of time is told in whole microseconds.
    assert abs(found - timedelta(milliseconds=exact)) <= timedelta(milliseconds=exact * 0.03, microseconds=1)


@given(milliseconds)
def test_a_bucket_stands_for_what_fell_into_it(length: int) -> None:
    assert abs(bucket_middle(bucket_of(length)) / length - 1) <= 0.0297
    assert bucket_of(length) <= bucket_of(length + 1) <= bucket_of(length) + 13
    assert 1 <= bucket_of(length) < 2**15


@given(st.lists(alert_events, max_size=12), st.integers(0, 12))
def test_tallies_are_additive_wherever_the_log_is_cut(events: list[Event], cut: int) -> None:
    together = Tally()
    together.add(tally(events[:cut]))
    together.add(tally(events[cut:]))

    whole = tally(events)
    assert together.counts == whole.counts
    assert together.durations == whole.durations


@given(clocks, st.none() | at_or_after(T0), st.none() | at_or_after(T0), at_or_after(T0), at_or_after(T0))
def test_a_promise_once_broken_stays_broken(
    promised: SlaClocks,
    acknowledged_at: datetime | None,
    ended_at: datetime | None,
    one: datetime,
    other: datetime,
) -> None:
    now, later = sorted([one, other])
    for breached in (
        [acknowledge_breached(promised, acknowledged_at, ended_at, at) for at in (now, later)],
        [resolve_breached(promised, ended_at, at) for at in (now, later)],
    ):
        assert breached[0] <= breached[1]
        if ended_at is not None and ended_at <= now:
            assert breached[0] is breached[1]
