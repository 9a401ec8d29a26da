"""What must hold of the engine, and how it is told where it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alertgraph.core.alert import HoldReason
from alertgraph.core.health import OF_THE_RECORD, EngineFigures, Invariant, health_of
from alertgraph.core.sealing import Refusal
from tests.factories import MINUTE, SECOND, T0, an_id

QUIET = EngineFigures(
    oldest_due_at=None,
    oldest_delivery_at=None,
    pending_count=0,
    late=(0, None),
    late_deliveries=(0, None),
    held={HoldReason.NO_MATCHING_RULE: (0, None), HoldReason.NOBODY_ON_CALL: (0, None)},
    forgotten=(0, None),
)


def test_where_nothing_is_wrong_it_is_healthy() -> None:
    health = health_of(QUIET, T0)

    assert health.healthy
    assert (health.oldest_due, health.oldest_pending, health.pending_count) == (None, None, 0)
    assert health_of(replace(QUIET, held={}), T0).healthy


def test_being_busy_is_healthy() -> None:
    busy = replace(QUIET, oldest_due_at=T0 - 59 * SECOND, oldest_delivery_at=T0 - 2 * SECOND, pending_count=70)

    health = health_of(busy, T0)

    assert health.healthy
    assert (health.oldest_due, health.oldest_pending) == (59 * SECOND, 2 * SECOND)
    assert health.pending_count == 70


def test_an_instant_that_lies_ahead_is_no_wait() -> None:
    ahead = replace(QUIET, oldest_due_at=T0 + MINUTE)

    assert health_of(ahead, T0).oldest_due == 0 * SECOND


def test_a_log_that_is_not_sealed_is_told_and_stops_no_pages() -> None:
    refused = health_of(replace(QUIET, refusal=Refusal.CUT, unsealed_since=T0 - 11 * MINUTE), T0)
    late = health_of(replace(QUIET, unsealed_since=T0 - 10 * MINUTE - SECOND), T0)

    assert [violation.invariant for violation in refused.violations] == [Invariant.AUDIT_REFUSED]
    assert Refusal.CUT.text in refused.violations[0].text
    assert [violation.invariant for violation in late.violations] == [Invariant.AUDIT_LATE]
    assert "10 minutes" in late.violations[0].text
    assert not refused.healthy
    assert refused.keeps_paging
    assert late.keeps_paging
    assert health_of(replace(QUIET, unsealed_since=T0 - 10 * MINUTE), T0).healthy
    assert not health_of(replace(QUIET, refusal=Refusal.CUT, forgotten=(1, None)), T0).keeps_paging
    assert health_of(QUIET, T0).keeps_paging


@pytest.mark.parametrize(
    ("figures", "invariant"),
    [
        (replace(QUIET, forgotten=(2, an_id())), Invariant.NO_NEXT_STEP),
        (replace(QUIET, late=(2, an_id())), Invariant.ESCALATION_LATE),
        (replace(QUIET, late_deliveries=(2, an_id())), Invariant.DELIVERY_LATE),
        (replace(QUIET, held={HoldReason.NO_MATCHING_RULE: (2, an_id())}), Invariant.HELD_NO_MATCHING_RULE),
        (replace(QUIET, held={HoldReason.NOBODY_ON_CALL: (2, an_id())}), Invariant.HELD_NOBODY_ON_CALL),
    ],
)
def test_each_broken_invariant_is_told_with_an_alert(figures: EngineFigures, invariant: Invariant) -> None:
    health = health_of(figures, T0)

    assert not health.healthy
    (violation,) = health.violations
    assert (violation.invariant, violation.count, violation.alert_id) == (invariant, 2, an_id())
    assert violation.text.endswith(".")


def test_the_worst_is_told_first_and_nothing_is_left_out() -> None:
    broken = replace(
        QUIET,
        forgotten=(1, an_id(1)),
        late=(2, an_id(2)),
        late_deliveries=(3, None),
        held={HoldReason.NOBODY_ON_CALL: (5, an_id(5)), HoldReason.NO_MATCHING_RULE: (4, an_id(4))},
    )

    violations = health_of(broken, T0).violations

    assert [violation.count for violation in violations] == [1, 2, 3, 4, 5]
    assert {violation.invariant for violation in violations} == set(Invariant) - OF_THE_RECORD
    assert len({violation.text for violation in violations}) == len(set(Invariant) - OF_THE_RECORD)
