"""The simulation itself is tested: each bug planted here is one that the seeds must find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from alertgraph.core import escalation, lifecycle
from alertgraph.core.alert import Alert, AlertStatus
from alertgraph.core.decision import Decision, Situation
from alertgraph.core.delivery import Claim, Place, Reach
from alertgraph.core.event import Event
from alertgraph.core.ids import DeliveryId, TenantId
from tests.memory_pager import MemoryDeliveries
from tests.simulation.scenario import play

SEED_COUNT_MAX = 120


def skip_the_recheck(patch: pytest.MonkeyPatch) -> None:
    """A send begins without its conditional claim: whoever reacted in the meantime is paged all the same."""
    real = MemoryDeliveries.claim

    async def claim(
        self: MemoryDeliveries, tenant_id: TenantId, claims: Sequence[Claim], *rest: Any
    ) -> set[DeliveryId]:
        await real(self, tenant_id, claims, *rest)
        return {one.delivery_id for one in claims}

    patch.setattr(MemoryDeliveries, "claim", claim)


def forget_the_next_due_time(patch: pytest.MonkeyPatch) -> None:
    """A level is reached, and nobody notes when the next one is."""
    real = escalation.reach

    def reach(*arguments: Any, **options: Any) -> Decision:
        decision = real(*arguments, **options)
        assert decision.alert is not None
        if decision.alert.next_escalation_at is None:
            return decision
        later = decision.alert.next_escalation_at + timedelta(days=365)
        return replace(decision, alert=replace(decision.alert, next_escalation_at=later))

    patch.setattr(escalation, "reach", reach)


def climb_two_levels(patch: pytest.MonkeyPatch) -> None:
    """One decision skips a rung."""
    real = escalation._rungs_left

    def rungs_left(alert: Alert) -> Any:
        rungs = list(real(alert))
        return rungs[1:] if len(rungs) > 1 else rungs

    patch.setattr(escalation, "_rungs_left", rungs_left)


def drop_the_fallback(patch: pytest.MonkeyPatch) -> None:
    """A delivery that fails hands over to nobody."""
    patch.setattr(lifecycle, "fallback_delivery", lambda *_: None)


def be_off_by_one_at_the_due_instant(patch: pytest.MonkeyPatch) -> None:
    """What is due now is taken for not due yet."""
    real = lifecycle._comes_to_climb

    def comes_to_climb(alert: Alert, events: Sequence[Event], now: Any) -> bool:
        return alert.next_escalation_at != now and real(alert, events, now)

    patch.setattr(lifecycle, "_comes_to_climb", comes_to_climb)


def leave_a_likely_alert_where_it_is(patch: pytest.MonkeyPatch) -> None:
    """A rule that asks for the chance is never looked for again."""
    patch.setattr(lifecycle, "_made_urgent", lambda alert, _: alert)


def hurry_whoever_has_it(patch: pytest.MonkeyPatch) -> None:
    """What is likely climbs, though somebody has it."""
    real = lifecycle._made_urgent

    def made_urgent(alert: Alert, situation: Situation) -> Alert:
        if alert.status is AlertStatus.ACKNOWLEDGED:
            triggered = replace(alert, status=AlertStatus.TRIGGERED, held=None, acknowledged_until=None)
            return real(triggered, situation)
        return real(alert, situation)

    patch.setattr(lifecycle, "_made_urgent", made_urgent)


def update_whoever_was_meant(patch: pytest.MonkeyPatch) -> None:
    """An update goes to every channel that was to be paged, whether its page went or not."""

    async def reach(self: MemoryDeliveries, tenant_id: TenantId, places: Any, *rest: Any) -> dict[Place, Reach]:
        return dict.fromkeys(places, Reach.TOLD)

    patch.setattr(MemoryDeliveries, "reach", reach)


@pytest.mark.parametrize(
    "plant",
    [
        skip_the_recheck,
        forget_the_next_due_time,
        climb_two_levels,
        drop_the_fallback,
        be_off_by_one_at_the_due_instant,
        leave_a_likely_alert_where_it_is,
        hurry_whoever_has_it,
        update_whoever_was_meant,
    ],
)
async def test_a_planted_bug_is_found(plant: Callable[[pytest.MonkeyPatch], None]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        for seed in range(SEED_COUNT_MAX):
            if await play(seed):
                return
    pytest.fail(f"{SEED_COUNT_MAX} seeds did not notice: {plant.__doc__}")
