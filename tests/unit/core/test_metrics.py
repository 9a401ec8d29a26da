"""Figures: what events add to them, and what comes out."""

from __future__ import annotations

from datetime import timedelta

import pytest

from alertgraph.core.event import EventKind
from alertgraph.core.metrics import (
    Counts,
    DurationKind,
    Group,
    Tally,
    bucket_middle,
    bucket_of,
    mean,
    percentile,
    tally,
)
from alertgraph.core.severity import Severity
from tests.factories import a_config_event, an_event

HIGH = Group(Severity.HIGH, "checkout")


def an_event_of(kind: EventKind, **fields: object) -> Tally:
    """Return what one event about an alert of HIGH adds."""
    return tally([an_event(kind=kind, severity_before=Severity.HIGH, service_before="checkout", **fields)])


def test_a_new_alert_is_created_and_open() -> None:
    assert tally([an_event()]).counts == {HIGH: Counts(created=1, opened=1)}


def test_a_reopened_alert_is_created_and_open() -> None:
    assert tally([an_event(kind=EventKind.REOPENED)]).counts == {HIGH: Counts(created=1, opened=1)}


def test_only_the_first_acknowledgement_counts() -> None:
    first = an_event_of(EventKind.ACKNOWLEDGED, elapsed_ms=1500)
    again = an_event_of(EventKind.ACKNOWLEDGED)

    assert first.counts == {HIGH: Counts(acknowledged=1, acknowledge_ms=1500)}
    assert first.durations == {(HIGH, DurationKind.ACKNOWLEDGE, bucket_of(1500)): 1}
    assert (again.counts, again.durations) == ({}, {})


def test_an_end_counts_its_length_its_sla_and_whether_it_ended_by_itself() -> None:
    ended = an_event_of(EventKind.RESOLVED, elapsed_ms=60_000, sla_met=False, self_resolved=True)

    assert ended.counts == {
        HIGH: Counts(resolved=1, opened=-1, resolve_ms=60_000, sla_total=1, sla_met=0, self_resolved=1)
    }
    assert ended.durations == {(HIGH, DurationKind.RESOLVE, bucket_of(60_000)): 1}


def test_an_alert_that_gets_worse_moves_to_another_group() -> None:
    moved = an_event_of(EventKind.UPDATED, severity_after=Severity.CRITICAL, service_after=None)

    assert moved.counts == {HIGH: Counts(opened=-1), Group(Severity.CRITICAL, ""): Counts(opened=1)}


def test_a_climb_is_counted() -> None:
    assert an_event_of(EventKind.ESCALATED).counts == {HIGH: Counts(escalated=1)}


@pytest.mark.parametrize(
    "kind", [EventKind.REPEATED, EventKind.UPDATED, EventKind.NOTED, EventKind.UNACKNOWLEDGED]
)
def test_what_moves_no_figure_writes_none(kind: EventKind) -> None:
    assert an_event_of(kind).counts == {}


def test_configuration_is_no_figure() -> None:
    assert tally([a_config_event()]) == Tally()


def test_tallies_add_up() -> None:
    events = [an_event(), an_event(kind=EventKind.ESCALATED, severity_before=Severity.HIGH)]
    apart = Tally()
    for event in events:
        apart.add(tally([event]))

    assert apart == tally(events)


def test_no_duration_has_no_percentile_and_no_mean() -> None:
    assert percentile({}, 0.5) is None
    assert mean(0, 0) is None


def test_a_percentile_is_the_nearest_rank() -> None:
    buckets = {bucket_of(1000): 19, bucket_of(60_000): 1}

    assert percentile(buckets, 0.95) == timedelta(milliseconds=bucket_middle(bucket_of(1000)))
    assert percentile(buckets, 0.951) == timedelta(milliseconds=bucket_middle(bucket_of(60_000)))
    assert percentile(buckets, 0.0) == percentile(buckets, 0.5)


def test_what_took_no_time_is_zero() -> None:
    assert bucket_of(0) == 0
    assert percentile({0: 3}, 0.5) == timedelta(0)


def test_a_mean_is_exact() -> None:
    assert mean(10_001, 2) == timedelta(milliseconds=5000.5)
