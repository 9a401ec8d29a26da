"""What became of predicted alerts is kept beside what was said of them, and is nobody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from alertgraph.core.action import ById, Fire, Predict
from alertgraph.core.alert import Alert
from alertgraph.core.ids import AlertId, TenantId
from alertgraph.core.learning import Outcome
from alertgraph.storage.outcomes import PostgresOutcomes
from tests.factories import T0, a_draft, a_prediction
from tests.integration.storage.world import World, a_world, new_id


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with a_world(database_url) as world:
        yield world


async def predicted(world: World, tenant_id: TenantId, key: str, features: bytes = b"looked at") -> AlertId:
    await world.act(tenant_id, Fire(a_draft(dedup_key=key)))
    alert: Alert = (await world.log.load(tenant_id, [key], [], [])).by_key[key]
    await world.act(tenant_id, Predict(ById(alert.id), a_prediction(), features))
    return alert.id


def an_outcome(alert_id: AlertId, minutes: int = 0) -> Outcome:
    return Outcome(alert_id, True, False, False, 30.0, 90.5, T0 + timedelta(minutes=minutes))


async def test_the_last_outcome_of_an_alert_holds(world: World) -> None:
    tenant_id = await world.tenant()
    outcomes = PostgresOutcomes(world.database)
    alert_id = await predicted(world, tenant_id, "a")
    first = an_outcome(alert_id)

    await outcomes.settle(tenant_id, [replace(first, needed_person=False), first])
    (example,) = await outcomes.examples(tenant_id, 10)
    assert (example.outcome, example.features) == (first, b"looked at")

    judged = replace(first, needed_person=False, resolved_after=None, acknowledged_after=None)
    await outcomes.settle(tenant_id, [judged])
    await outcomes.settle(tenant_id, [judged])
    (example,) = await outcomes.examples(tenant_id, 10)
    assert example.outcome == judged


async def test_examples_are_the_newest_in_the_order_in_which_they_became_known(world: World) -> None:
    tenant_id = await world.tenant()
    outcomes = PostgresOutcomes(world.database)
    ids = [await predicted(world, tenant_id, f"k{number}") for number in range(4)]
    without = await predicted(world, tenant_id, "nothing", b"")
    await outcomes.settle(tenant_id, [an_outcome(id_, -number) for number, id_ in enumerate(ids)])
    await outcomes.settle(tenant_id, [an_outcome(without, 99), an_outcome(AlertId(new_id()))])

    assert await outcomes.known_since(tenant_id, T0 - timedelta(minutes=2), 10) == 3
    assert await outcomes.known_since(tenant_id, T0 - timedelta(minutes=2), 2) == 2

    found = await outcomes.examples(tenant_id, 3)

    assert [example.outcome.alert_id for example in found] == [ids[2], ids[1], ids[0]]


async def test_what_was_looked_at_comes_with_its_version(world: World) -> None:
    tenant_id = await world.tenant()
    outcomes = PostgresOutcomes(world.database)
    alert_id = await predicted(world, tenant_id, "a")

    found = await outcomes.looked_at(tenant_id, [alert_id, AlertId(new_id())])

    assert found == {alert_id: (a_prediction().model_version, b"looked at", a_prediction().abstained)}
    assert await outcomes.looked_at(tenant_id, []) == {}


async def test_a_tenant_neither_sees_nor_settles_another_ones(world: World) -> None:
    mine, other = await world.tenant(), await world.tenant("other")
    outcomes = PostgresOutcomes(world.database)
    alert_id = await predicted(world, mine, "a")

    await outcomes.settle(other, [an_outcome(alert_id)])

    assert await outcomes.examples(mine, 10) == []
    assert await outcomes.looked_at(other, [alert_id]) == {}


async def test_what_was_said_is_read_in_pages_each_once(world: World) -> None:
    mine, other = await world.tenant(), await world.tenant("other")
    outcomes = PostgresOutcomes(world.database)
    ids = [await predicted(world, mine, f"k{number}") for number in range(7)]
    await outcomes.settle(mine, [an_outcome(id_, number // 3) for number, id_ in enumerate(ids)])
    nothing = await predicted(world, mine, "nothing looked at", b"")
    await outcomes.settle(mine, [an_outcome(nothing), an_outcome(await predicted(world, mine, "later"), 90)])
    await outcomes.settle(other, [an_outcome(await predicted(world, other, "theirs"))])

    pages = [page async for page in outcomes.said(mine, T0 + timedelta(minutes=60), 2)]

    assert [len(page) for page in pages] == [2, 2, 2, 1]
    found = [each.example.outcome.alert_id for page in pages for each in page]
    assert found == sorted(ids[:3]) + sorted(ids[3:6]) + ids[6:]
    first = pages[0][0]
    said = a_prediction()
    assert first.model_version == said.model_version
    assert first.abstained == said.abstained
    assert first.chances == (
        said.incident_probability,
        said.sla_breach_probability,
        said.self_resolve_probability,
    )
    assert first.example.features == b"looked at"


async def test_of_what_nothing_is_known_nothing_is_read(world: World) -> None:
    tenant_id = await world.tenant()
    await predicted(world, tenant_id, "a")

    assert [page async for page in PostgresOutcomes(world.database).said(tenant_id, T0, 10)] == []
