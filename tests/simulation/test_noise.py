"""Holding likely noise by simulation, and a planted bug for each guard: the seeds must find every one."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from alertgraph.core import escalation, noise
from alertgraph.core.alert import Alert, AlertStatus
from alertgraph.services import engine
from alertgraph.services import noise as learning
from tests.simulation.noise_play import play_noise

SEED_COUNT = int(os.environ.get("SEEDS", "50"))
PART_COUNT = 10
PLANTED_SEED_COUNT_MAX = 200


@pytest.mark.parametrize("part", range(PART_COUNT))
async def test_no_hold_breaks_a_promise(part: int) -> None:
    only = os.environ.get("SEED")
    seeds = range(part, SEED_COUNT, PART_COUNT) if only is None else [int(only)] if part == 0 else []
    for seed in seeds:
        assert await play_noise(seed) == [], f"make simulate SEED={seed}"


def hold_what_is_critical(patch: pytest.MonkeyPatch) -> None:
    """Severity makes no difference."""
    for module in (noise, engine):
        patch.setattr(
            module,
            "may_be_held",
            lambda alert: alert.status is AlertStatus.TRIGGERED and alert.escalation_level == 0,
        )


def hold_beyond_the_bound(patch: pytest.MonkeyPatch) -> None:
    """The usual end counts, whatever the tenant allows."""
    patch.setattr(noise, "_length", lambda *_: timedelta(minutes=5))
    real = noise.hold_for

    def hold_for(alert: Alert, evidence: Any, rules: noise.NoiseRules, now: datetime) -> Any:
        return real(alert, evidence, replace(rules, hold_max=timedelta(hours=1)), now)

    patch.setattr(escalation, "hold_for", hold_for)


def forget_that_a_hold_ends(patch: pytest.MonkeyPatch) -> None:
    """Who is held stays held."""
    patch.setattr(escalation, "stays_held", lambda *_: True)


def spare_nobody(patch: pytest.MonkeyPatch) -> None:
    """Everything is held that may be."""
    patch.setattr(noise, "is_spared", lambda *_: False)


def ignore_the_budget(patch: pytest.MonkeyPatch) -> None:
    """However much it costs, holding goes on."""
    patch.setattr(learning, "over_budget", lambda *_: False)


def wait_for_ever(patch: pytest.MonkeyPatch) -> None:
    """An alert is not judged before its prediction is there."""

    def waits_until(alert: Alert, policy: Any, rules: Any, now: datetime) -> datetime | None:
        return now + timedelta(seconds=1) if alert.advice is None else None

    patch.setattr(engine, "waits_until", waits_until)


def keep_what_matters_more(patch: pytest.MonkeyPatch) -> None:
    """Whoever says that somebody is needed says it in vain."""
    from alertgraph.core import lifecycle

    patch.setattr(lifecycle, "let_go", lambda alert, _: alert)


@pytest.mark.parametrize(
    "plant",
    [
        hold_what_is_critical,
        hold_beyond_the_bound,
        forget_that_a_hold_ends,
        spare_nobody,
        ignore_the_budget,
        wait_for_ever,
        keep_what_matters_more,
    ],
)
async def test_a_planted_bug_is_found(plant: Callable[[pytest.MonkeyPatch], None]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        for seed in range(PLANTED_SEED_COUNT_MAX):
            if await play_noise(seed):
                return
    pytest.fail(f"{PLANTED_SEED_COUNT_MAX} seeds did not notice: {plant.__doc__}")
