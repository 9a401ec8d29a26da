"""The forecast is held against what the engine then does, on the same virtual clock."""

from __future__ import annotations

import random
from datetime import timedelta
from uuid import UUID

import pytest

from alertgraph.core.action import ById, ByKey, Escalate, Fire, Predict
from alertgraph.core.actor import MODEL
from alertgraph.core.delivery import Purpose
from alertgraph.core.forecast import alert_to_come, forecast
from tests.factories import MINUTE, SECOND, T0, TENANT, a_draft, a_prediction
from tests.simulation.scenario import plan_of
from tests.simulation.world import World

NOBODY = UUID(int=0)
PART_COUNT = 10
SEED_COUNT = 100


@pytest.mark.parametrize("part", range(PART_COUNT))
async def test_what_was_forecast_comes_true(part: int) -> None:
    for seed in range(part, SEED_COUNT, PART_COUNT):
        await _foretell(seed)


async def _foretell(seed: int) -> None:
    plan = plan_of(seed)
    dice = random.Random(f"forecast {seed}")
    world = World(plan.config, seed)
    world.boot()
    source = dice.choice(list(plan.rule_of))
    fire = Fire(a_draft(dedup_key="foretold", source=source))
    told = forecast(alert_to_come(fire, plan.config, T0), plan.config, T0, {})
    world.act(fire)
    await world.settle()
    # Later, from where the alert stands by then, the rest is forecast the same.
    middle = T0 + dice.randint(1, 90) * SECOND
    await world.run_until(middle)
    if dice.random() < 0.3:
        world.act(Escalate(ByKey("foretold"), level=1 + dice.randrange(len(plan.rule_of[source].levels))))
        await world.settle()
        told = None  # a person bends what was foretold before
    rows = world.log.tenants[TENANT]
    if random.Random(f"likely {seed}").random() < 0.5:
        # The model bends it, too, where a rule asks for that; from there on it is foretold by that rule.
        world.act(Predict(ById(next(iter(rows.open))), a_prediction(incident_probability=0.9)), actor=MODEL)
        await world.settle()
        told = None
    alert = next(iter(rows.open.values()))
    known = set(rows.decided)
    rest = forecast(alert, plan.config, middle, {})
    await world.run_until(T0 + 60 * MINUTE)
    pages = [(number, one) for number, one in rows.decided.values() if one.purpose is Purpose.PAGE]
    came = sorted((one.due_at, one.level, one.channel_id, one.responder_id or NOBODY) for _, one in pages)
    if told is not None:
        assert sorted((s.at, s.level, s.channel.id, s.responder_id or NOBODY) for s in told.steps) == came, seed
    later = sorted(
        (one.due_at, one.level, one.channel_id, one.responder_id or NOBODY)
        for _, one in pages
        if one.id not in known
    )
    assert sorted((s.at, s.level, s.channel.id, s.responder_id or NOBODY) for s in rest.steps) == later, seed
    # What the engine decided was also sent, at that moment.
    begun = {delivery.id: at for _, delivery, attempt, at in world.deliveries.claims if attempt == 1}
    for _, one in pages:
        assert timedelta(0) <= begun[one.id] - one.due_at <= 4 * SECOND, seed
    await world.end()
