"""What the engine does besides climbing, which the simulation plays: who covers whom under changed rules."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from alertgraph.core.action import Fire
from alertgraph.core.alert import Alert, alert_match_values
from alertgraph.core.catalog import Catalog
from alertgraph.core.ids import AlertId, InhibitionRuleId, TenantId
from alertgraph.core.inhibition import InhibitionRule, source_keys
from alertgraph.services.engine import Engine
from alertgraph.services.wakeups import Audience
from tests.factories import SECOND, T0, TENANT, a_config, a_draft, a_matcher
from tests.simulation.world import World, a_uuid
from tests.virtual import VirtualClock

# A dead node covers what runs on it.
NODES = InhibitionRule(
    InhibitionRuleId(a_uuid(1)),
    "nodes",
    (a_matcher("alertname", "NodeDown"),),
    (a_matcher("layer", "app"),),
    ("node",),
)


def fire(node: str) -> Fire:
    return Fire(a_draft(dedup_key="node", labels={"alertname": "NodeDown", "node": node}))


async def test_an_alert_that_is_rewritten_meanwhile_is_a_source_as_it_was_rewritten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(a_config(catalog=Catalog(inhibitions=(NODES,))))
    world.boot()
    world.act(fire("n1"))
    await world.run_until(T0 + 10 * SECOND)
    read = world.due.sources

    async def sources(tenant_id: TenantId, after: AlertId | None, limit: int) -> Sequence[Alert]:
        found = await read(tenant_id, after, limit)
        if found:
            world.act(fire("n2"))
            await world.clock.sleep(SECOND)
        return found

    monkeypatch.setattr(world.due, "sources", sources)
    world.log.change_config(TENANT, a_config(catalog=Catalog(inhibitions=(replace(NODES, name="hosts"),))))
    await world.run_until(T0 + 60 * SECOND)
    await world.end()

    rows = world.log.tenants[TENANT]
    ((alert_id, alert),) = rows.open.items()
    assert alert.labels["node"] == "n2"
    assert rows.inhibits[alert_id] == source_keys((NODES,), alert_match_values(alert))


async def test_what_other_processes_write_makes_it_look_once_a_second_at_most() -> None:
    clock, audience, looked = VirtualClock(), Audience(), []
    engine = Engine(*[None] * 3, clock, *[None] * 2)  # type: ignore[list-item,arg-type]
    engine.schedule = looked.append  # type: ignore[method-assign]
    task = asyncio.create_task(engine.heed(audience))  # type: ignore[arg-type]

    async def let(duration: timedelta) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        clock.advance(duration)
        for _ in range(20):
            await asyncio.sleep(0)

    await let(timedelta(0))
    for number in range(1, 6):
        audience.tell(TenantId(a_uuid(number)), number)
    await let(timedelta(0))
    assert looked == [T0]
    await let(SECOND)
    assert looked == [T0]

    audience.tell(TENANT, 7)
    await let(timedelta(0))
    assert looked == [T0, T0 + SECOND]
    audience.tell(TENANT, 8)
    await let(SECOND)
    assert looked == [T0, T0 + SECOND, T0 + 2 * SECOND]
    task.cancel()
    await asyncio.wait({task})
