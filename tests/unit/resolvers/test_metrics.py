"""Figures, folded from counters of groups."""

from collections import Counter
from datetime import timedelta

from alertgraph.core.metrics import Counts, DurationKind, Group, Tally, bucket_of
from alertgraph.core.severity import Severity
from resolvers.metrics import MetricsBucket, MetricsGroup, durations, largest_groups, share, total
from resolvers.words import MetricsDimension
from tests.factories import T0

HIGH_DB = Group(Severity.HIGH, "db")
HIGH_WEB = Group(Severity.HIGH, "web")
LOW_DB = Group(Severity.LOW, "db")
LOW_NONE = Group(Severity.LOW, "")


def figures() -> Tally:
    return Tally(
        counts={
            HIGH_DB: Counts(created=3, acknowledged=2, acknowledge_ms=3_000, resolved=2, resolve_ms=8_000),
            HIGH_WEB: Counts(created=5, sla_total=4, sla_met=3, resolved=4, self_resolved=1, resolve_ms=4_000),
            LOW_DB: Counts(created=4, escalated=7),
        },
        durations=Counter(
            {
                (HIGH_DB, DurationKind.ACKNOWLEDGE, bucket_of(1_000)): 1,
                (LOW_DB, DurationKind.ACKNOWLEDGE, bucket_of(1_000)): 2,
                (LOW_DB, DurationKind.RESOLVE, bucket_of(1_000)): 4,
            }
        ),
    )


def open_now() -> Tally:
    return Tally(counts={HIGH_DB: Counts(opened=1), LOW_NONE: Counts(opened=2), LOW_DB: Counts(opened=0)})


def test_groups_add_up() -> None:
    counts = total(figures())

    assert (counts.created, counts.resolved, counts.escalated) == (12, 6, 7)


def test_a_bucket_has_the_means_of_all_groups() -> None:
    bucket = MetricsBucket.of(T0, figures())

    assert (bucket.created_count, bucket.acknowledged_count) == (12, 2)
    assert bucket.mtta == timedelta(seconds=1.5)
    assert bucket.mttr == timedelta(seconds=2)
    assert (bucket.sla_compliance, bucket.noise_ratio) == (3 / 4, 1 / 6)


def test_a_bucket_of_nothing_has_no_means() -> None:
    bucket = MetricsBucket.of(T0, Tally())

    assert (bucket.created_count, bucket.mtta, bucket.mttr) == (0, None, None)
    assert (bucket.sla_compliance, bucket.noise_ratio) == (None, None)


def test_durations_are_told_apart_by_kind() -> None:
    assert durations(figures(), DurationKind.ACKNOWLEDGE) == {bucket_of(1_000): 3}
    assert durations(figures(), DurationKind.RESOLVE) == {bucket_of(1_000): 4}


def test_the_largest_groups_come_first() -> None:
    by_service = largest_groups(figures(), open_now(), MetricsDimension.MONITORED_SERVICE, 20)

    assert [(group.key, group.created_count, group.open_count) for group in by_service] == [
        ("db", 7, 1),
        ("web", 5, 0),
        ("", 0, 2),
    ]


def test_no_more_groups_than_asked_for() -> None:
    by_severity = largest_groups(figures(), open_now(), MetricsDimension.SEVERITY, 1)

    assert [group.key for group in by_severity] == ["HIGH"]


def test_a_group_in_which_nothing_happened_is_none() -> None:
    assert largest_groups(Tally(), Tally(counts={LOW_DB: Counts()}), MetricsDimension.SEVERITY, 20) == []


def test_a_group_s_shares_are_of_what_was_judged() -> None:
    group = MetricsGroup.of("web", figures().counts[HIGH_WEB], 0)

    assert (group.sla_compliance, group.noise_ratio) == (0.75, 0.25)


def test_a_share_of_nothing_is_none() -> None:
    assert share(0, 0) is None
    assert share(0, 5) == 0.0
