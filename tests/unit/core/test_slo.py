"""What a tenant has been promised, and when a promise is broken."""

from __future__ import annotations

from datetime import datetime

import pytest

from alertgraph.core.severity import Severity
from alertgraph.core.slo import (
    TIER_TARGETS,
    SlaClocks,
    SlaTarget,
    acknowledge_breached,
    resolve_breached,
    sla_clocks,
)
from alertgraph.core.tier import Tier
from tests.factories import DAY, HOUR, MINUTE, SECOND, T0

CLOCKS = SlaClocks(T0 + MINUTE, T0 + HOUR)


def test_every_tier_promises_every_severity_something_sooner_than_the_tier_below() -> None:
    for lower, higher in zip(sorted(Tier), sorted(Tier)[1:], strict=False):
        for severity in Severity:
            assert (
                TIER_TARGETS[higher][severity].acknowledge_within
                <= TIER_TARGETS[lower][severity].acknowledge_within
            )
            assert TIER_TARGETS[higher][severity].resolve_within <= TIER_TARGETS[lower][severity].resolve_within


def test_what_is_worse_is_promised_sooner_and_taken_before_it_is_resolved() -> None:
    for targets in TIER_TARGETS.values():
        assert set(targets) == set(Severity)
        for milder, worse in zip(sorted(Severity), sorted(Severity)[1:], strict=False):
            assert targets[worse].severity is worse
            assert targets[worse].acknowledge_within < targets[milder].acknowledge_within
            assert targets[worse].resolve_within <= targets[milder].resolve_within
            assert targets[worse].acknowledge_within < targets[worse].resolve_within


def test_both_clocks_run_from_the_beginning() -> None:
    assert sla_clocks(SlaTarget(Severity.LOW, HOUR, DAY), T0) == SlaClocks(T0 + HOUR, T0 + DAY)


@pytest.mark.parametrize(
    ("acknowledged_at", "ended_at", "now", "breached"),
    [
        (None, None, T0 + MINUTE, False),
        (None, None, T0 + MINUTE + SECOND, True),
        (T0 + MINUTE, None, T0 + DAY, False),
        (T0 + MINUTE + SECOND, None, T0 + DAY, True),
        (None, T0 + MINUTE, T0 + DAY, False),
        (None, T0 + HOUR, T0 + DAY, True),
        (T0 + HOUR, T0 + SECOND, T0 + DAY, False),
    ],
)
def test_late_is_what_nobody_took_in_time_while_it_lasted(
    acknowledged_at: datetime | None, ended_at: datetime | None, now: datetime, breached: bool
) -> None:
    assert acknowledge_breached(CLOCKS, acknowledged_at, ended_at, now) is breached


@pytest.mark.parametrize(
    ("ended_at", "now", "breached"),
    [
        (None, T0 + HOUR, False),
        (None, T0 + HOUR + SECOND, True),
        (T0 + HOUR, T0 + DAY, False),
        (T0 + HOUR + SECOND, T0 + DAY, True),
    ],
)
def test_late_is_what_did_not_end_in_time(ended_at: datetime | None, now: datetime, breached: bool) -> None:
    assert resolve_breached(CLOCKS, ended_at, now) is breached
