"""What holding likely noise goes by, in PostgreSQL: what was learnt is read again, and what it cost ends it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest

from alertgraph.core.action import Fire
from alertgraph.core.event import EventKind
from alertgraph.core.ids import AlertId, TenantId, uuid7
from alertgraph.core.noise import (
    Basis,
    History,
    HoldRecord,
    NoiseFigures,
    NoiseMode,
    NoisePolicy,
    NoiseRules,
    key_of,
    kind_of,
)
from alertgraph.core.noise_memory import NoiseMemory
from alertgraph.core.value import replace
from alertgraph.edge.telemetry import Telemetry
from alertgraph.services.noise import NoiseReader, NoiseReading
from alertgraph.storage.catalog import write_settings
from alertgraph.storage.configuration import PostgresConfiguration
from alertgraph.storage.noise import PostgresNoiseBook
from tests.factories import DAY, HOUR, MINUTE, SECOND, T0, a_draft
from tests.integration.storage.world import World, a_world, new_id
from tests.virtual import SeededDice, VirtualClock

pytestmark = pytest.mark.both_servers

POLICY = NoisePolicy(b"k" * 32, 0.7, None, True, T0 + MINUTE)
HISTORY = History(0.9, 20.0, 18.0, 90 * SECOND, 240 * SECOND)
RULES = NoiseRules(NoiseMode.HOLD, 5 * MINUTE, HOUR, T0 - DAY)


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with a_world(database_url) as world:
        yield world


@pytest.fixture
def book(world: World) -> PostgresNoiseBook:
    return PostgresNoiseBook(world.database)


async def test_what_was_learnt_is_read_again_by_its_tenant_alone(world: World, book: PostgresNoiseBook) -> None:
    tenant_id, other = await world.tenant(), await world.tenant("other")
    await world.act(tenant_id, Fire(a_draft(dedup_key="one")), Fire(a_draft(dedup_key="two", title="Else")))
    [one, two] = sorted((await world.log.open_alerts(tenant_id, 10))[0], key=lambda alert: alert.dedup_key)
    kind = kind_of(one.source, one.title)
    wider = replace(HISTORY, noise_probability=0.5, quiet_median=None)

    assert await book.evidence(tenant_id, [one]) == {}
    await book.keep(tenant_id, POLICY, {key_of("one"): HISTORY, kind: wider}, (), T0, anew=True)

    found = await book.evidence(tenant_id, [one, two])
    assert (found[one.id].policy, found[one.id].history) == (POLICY, HISTORY)
    assert found[two.id].history is None
    assert await book.evidence(other, [one]) == {}
    await book.keep(tenant_id, replace(POLICY, spare_key=b"x"), {key_of("one"): None}, (), T0, anew=False)
    again = await book.evidence(tenant_id, [one])
    assert again[one.id].history == wider
    # Who is told all the same is settled once.
    assert await book.policy(tenant_id) == POLICY
    await book.keep(tenant_id, POLICY, {}, (), T0, anew=True)
    assert (await book.evidence(tenant_id, [one]))[one.id].history is None


async def test_an_incident_is_in_hand_once_somebody_was_told(world: World, book: PostgresNoiseBook) -> None:
    tenant_id = await world.tenant()
    await book.keep(tenant_id, POLICY, {}, (), T0, anew=True)
    await world.act(tenant_id, Fire(a_draft(dedup_key="one")), Fire(a_draft(dedup_key="two")))
    incident = UUID(int=7)
    await world.execute("UPDATE alert_open SET incident_id = $1", incident)

    async def in_hand() -> bool:
        alerts, _ = await world.log.open_alerts(tenant_id, 10)
        return next(iter((await book.evidence(tenant_id, alerts)).values())).in_hand

    assert not await in_hand()
    await world.execute("UPDATE alert_open SET escalation_level = 1 WHERE dedup_key = 'one'")
    assert await in_hand()


async def test_holds_are_counted_from_when_they_began(world: World, book: PostgresNoiseBook) -> None:
    tenant_id = await world.tenant()
    held = HoldRecord(new_id(), T0, T0 + MINUTE, 0.9, Basis.HISTORY)
    old = HoldRecord(new_id(), T0 - 40 * DAY, None, 0.9, Basis.MODEL, T0, 3 * MINUTE)
    gone = replace(old, alert_id=new_id(), held_at=T0 - 100 * DAY)

    await book.keep(tenant_id, POLICY, {}, (held, old, gone), T0, anew=False)
    assert await book.figures(tenant_id, T0 - 30 * DAY) == NoiseFigures(1, 0, timedelta(0))
    wrong = replace(held, ended_at=T0 + MINUTE, regret=MINUTE)
    await book.keep(tenant_id, POLICY, {}, (wrong,), T0, anew=False)

    assert await book.figures(tenant_id, T0 - 30 * DAY) == NoiseFigures(1, 1, MINUTE)
    assert await book.figures(tenant_id, T0 - 365 * DAY) == NoiseFigures(2, 2, 4 * MINUTE)


async def a_reader(world: World, tenant_id: TenantId, rules: NoiseRules) -> NoiseReader:
    config = await world.log.config(tenant_id)
    assert config is not None
    settings = replace(config.settings, noise=rules)
    await world.database.write(tenant_id, lambda connection: write_settings(connection, tenant_id, settings, 0))
    dice = SeededDice()
    configuration = PostgresConfiguration(world.database, lambda: UUID(int=dice.bits(128)))
    book = PostgresNoiseBook(world.database)
    return NoiseReader(book, world.log, configuration, VirtualClock(T0), dice, Telemetry())


async def test_holding_that_costs_too_much_switches_itself_off_and_says_so(world: World) -> None:
    tenant_id = await world.tenant()
    reader = await a_reader(world, tenant_id, RULES)
    memory = NoiseMemory(b"k" * 32)
    id_ = AlertId(uuid7(T0, 1))
    memory.changed_holds[id_] = HoldRecord(id_, T0, T0 + MINUTE, 0.9, Basis.MODEL, T0 + 2 * HOUR, 61 * MINUTE)

    await NoiseReading(reader, tenant_id, memory, RULES, is_new=True).tick(T0)

    config = await world.log.config(tenant_id)
    assert config is not None
    assert (config.settings.noise.mode, config.settings.noise.is_armed) == (NoiseMode.HOLD, False)
    [row] = await world.rows("SELECT content::jsonb ->> 'kind' AS kind, content FROM event")
    assert row["kind"] == EventKind.CONFIG_UPDATED.name
    assert "PT1H1M, longer than the PT1H allowed" in row["content"]


async def test_a_reading_goes_on_from_its_state(world: World) -> None:
    tenant_id = await world.tenant()
    reader = await a_reader(world, tenant_id, RULES)
    reading = await reader.open(tenant_id, None, T0)
    await reading.tick(T0)

    again = await reader.open(tenant_id, reading.state(), T0)

    assert again.state() == reading.state()
    policy = await PostgresNoiseBook(world.database).policy(tenant_id)
    assert policy is not None
    assert policy.spare_key.hex() in again.state().decode()
    assert policy.fresh_until > T0


async def test_nothing_is_written_for_who_has_not_asked(world: World) -> None:
    tenant_id = await world.tenant()
    reader = await a_reader(world, tenant_id, NoiseRules())

    await (await reader.open(tenant_id, None, T0)).tick(T0)

    assert await PostgresNoiseBook(world.database).policy(tenant_id) is None
