"""What another configuration may set free is looked at again, and who covers whom is known without a search."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from alertgraph.core.action import Acknowledge, ByKey, Fire, Resolve, Update
from alertgraph.core.alert import HoldReason, alert_match_values
from alertgraph.core.catalog import Change
from alertgraph.core.event import seal
from alertgraph.core.ids import AlertId, ApiKeyId, MonitorId, SavedViewId, TenantId
from alertgraph.core.inhibition import InhibitionKey, InhibitionRule, source_keys, target_keys
from alertgraph.core.monitor import HeartbeatMonitor
from alertgraph.core.severity import Severity
from alertgraph.core.tenant import ApiKey, Role, SavedView, TenantSettings
from alertgraph.services.ports import KeySecret
from alertgraph.storage.configuration import PostgresConfiguration
from alertgraph.storage.database import owner_connection
from alertgraph.storage.due import JUDGE_COUNT, PostgresDueWork
from alertgraph.storage.snapshot import PostgresSnapshotSource
from tests.factories import ADA, DAY, HOUR, MINUTE, SECOND, T0, WEBHOOK, a_config_event, a_draft, a_matcher
from tests.integration.storage.world import World, a_world, new_id

pytestmark = pytest.mark.both_servers

ANY_ID: Any = UUID(int=30)
MONITOR = HeartbeatMonitor(MonitorId(UUID(int=33)), "backup", DAY)
A_VIEW = SavedView(SavedViewId(UUID(int=34)), "Mine", {"severity": ["HIGH"]}, None, True, ADA, "oidc:ada", 0)
A_KEY = ApiKey(ApiKeyId(UUID(int=35)), "deploy", "ag_abcdef", Role.ADMIN, (), None, T0, ADA, None, None, None, 0)
A_SECRET = KeySecret("ag_abcdef", b"digest")
# A dead node covers what runs on it.
NODES = InhibitionRule(
    ANY_ID, "nodes", (a_matcher("alertname", "NodeDown"),), (a_matcher("layer", "app"),), ("node",)
)


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with a_world(database_url) as world:
        yield world


@pytest.fixture
async def tenant_id(world: World) -> TenantId:
    return await world.tenant(items=())


@pytest.fixture
def due(world: World) -> PostgresDueWork:
    return PostgresDueWork(world.database)


async def reconfigure(world: World, tenant_id: TenantId) -> None:
    """Change what is set up."""
    store = PostgresConfiguration(world.database, lambda: UUID(bytes=os.urandom(16)))
    await store.change(tenant_id, lambda _: Change(seal(a_config_event()), (WEBHOOK,)))


def fire(key: str, **labels: str) -> Fire:
    return Fire(a_draft(dedup_key=key, labels=labels))


async def ids_of(world: World, tenant_id: TenantId) -> dict[str, AlertId]:
    rows = await world.rows("SELECT dedup_key, id FROM alert_open WHERE tenant_id = $1 ORDER BY id", tenant_id)
    return {row[0]: AlertId(row[1]) for row in rows}


# -------------------------------------------------------------------------------------------- first


async def test_whom_nobody_was_paged_for_comes_first(
    world: World, due: PostgresDueWork, tenant_id: TenantId
) -> None:
    await world.act(tenant_id, *(fire(key) for key in "abcd"))
    for key, minutes, level in (("a", 1, 2), ("b", 4, 0), ("c", 2, 1), ("d", 3, 0)):
        await world.execute(
            "UPDATE alert_open SET due_at = $2, escalation_level = $3 WHERE dedup_key = $1",
            key,
            T0 + minutes * MINUTE,
            level,
        )

    async def found(minutes: int, limit: int) -> list[str]:
        return [alert.dedup_key for alert in await due.due_alerts(tenant_id, T0 + minutes * MINUTE, limit)]

    assert await found(9, 10) == ["d", "b", "a", "c"]
    assert await found(9, 3) == ["d", "b", "a"]
    assert await found(9, 2) == ["d", "b"]
    assert await found(3, 10) == ["d", "a", "c"]
    assert await found(0, 10) == []


# ------------------------------------------------------------------------------------------ judging


async def test_a_tenant_is_unjudged_until_its_held_alerts_were_looked_at(
    world: World, due: PostgresDueWork, tenant_id: TenantId
) -> None:
    other = await world.tenant("other", items=())
    await world.act(tenant_id, fire("a"))
    assert await due.unjudged_tenants(10) == []

    for each in (tenant_id, other):
        await reconfigure(world, each)
    assert sorted(await due.unjudged_tenants(10)) == sorted([tenant_id, other])
    assert len(await due.unjudged_tenants(1)) == 1

    assert await due.judge_anew(tenant_id, T0 + HOUR, None) is None
    assert await due.unjudged_tenants(10) == [other]
    await reconfigure(world, tenant_id)
    assert tenant_id in await due.unjudged_tenants(10)


@pytest.mark.parametrize(
    ("change", "is_looked_at"),
    [
        (Change(seal(a_config_event()), (WEBHOOK,)), True),
        (Change(seal(a_config_event()), deleted=(WEBHOOK,)), True),
        (Change(seal(a_config_event()), (MONITOR,)), False),
        (Change(seal(a_config_event()), settings=TenantSettings(retention=30 * DAY)), False),
        (Change(seal(a_config_event()), settings=TenantSettings(default_rule_id=ANY_ID)), True),
    ],
)
async def test_only_a_change_that_may_alter_a_decision_has_held_alerts_looked_at(
    world: World, due: PostgresDueWork, tenant_id: TenantId, change: Change, is_looked_at: bool
) -> None:
    store = PostgresConfiguration(world.database, lambda: UUID(bytes=os.urandom(16)))
    await due.judge_anew(tenant_id, T0, None)

    await store.change(tenant_id, lambda _: change)

    assert await due.unjudged_tenants(10) == ([tenant_id] if is_looked_at else [])


async def test_a_view_or_a_key_sets_nobody_free_and_hides_no_change_that_may(
    world: World, due: PostgresDueWork, tenant_id: TenantId
) -> None:
    store = PostgresConfiguration(world.database, lambda: UUID(bytes=os.urandom(16)))
    event = seal(a_config_event())

    async def save_view() -> None:
        await store.change_saved_view(tenant_id, A_VIEW.id, lambda _: (A_VIEW, event))

    await save_view()
    await store.change_api_key(tenant_id, A_KEY.id, lambda _: (A_KEY, event), secret=A_SECRET)
    assert await due.unjudged_tenants(10) == []

    await reconfigure(world, tenant_id)
    await save_view()
    assert await due.unjudged_tenants(10) == [tenant_id]

    await due.judge_anew(tenant_id, T0, None)
    assert await due.unjudged_tenants(10) == []
    await save_view()
    assert await due.unjudged_tenants(10) == []
    await reconfigure(world, tenant_id)
    assert await due.unjudged_tenants(10) == [tenant_id]


async def test_what_may_be_set_free_is_due_at_once(
    world: World, due: PostgresDueWork, tenant_id: TenantId
) -> None:
    other = await world.tenant("other", items=())
    await world.act(other, fire("z"))
    await world.act(tenant_id, *(fire(reason.name) for reason in HoldReason), fire("early"), fire("climbs"))
    for reason in HoldReason:
        await world.execute(
            "UPDATE alert_open SET hold_reason = $2, judge_at = NULL, due_at = NULL, status = $3"
            " WHERE dedup_key = $1",
            reason.name,
            reason,
            2 if reason is HoldReason.ACKNOWLEDGED else 1,
        )
    await world.execute("UPDATE alert_open SET due_at = $1, judge_at = $1 WHERE dedup_key = 'early'", T0)
    await world.execute(
        "UPDATE alert_open SET hold_reason = NULL, next_escalation_at = $1, due_at = $1"
        " WHERE dedup_key = 'climbs'",
        T0 + DAY,
    )

    await due.judge_anew(tenant_id, T0 + HOUR, None)

    found = {alert.dedup_key: alert for alert in await due.due_alerts(tenant_id, T0 + HOUR, 10)}
    freed = {"SILENCED", "INHIBITED", "NO_MATCHING_RULE", "NOBODY_ON_CALL"}
    assert set(found) == freed | {"early", "PREDICTED_NOISE"}
    # When that ends, nothing else knows.
    assert found["PREDICTED_NOISE"].judge_at is None
    assert {found[key].judge_at for key in freed} == {T0 + HOUR}
    assert found["early"].judge_at == T0
    assert all(alert.due_at is not None and alert.due_at <= T0 + HOUR for alert in found.values())
    assert await world.value("SELECT count(*) FROM alert_open WHERE tenant_id = $1 AND judge_at IS NULL", other)


async def many(world: World, tenant_id: TenantId, count: int) -> None:
    """Leave that many alerts that no rule matched."""
    await world.act(tenant_id, fire("k0"))
    columns = (
        "title, description, severity, status, source, labels, annotations, links, occurrence_count, triggered_at,"
        " last_seen_at, escalation_level, hold_reason, acknowledge_by, resolve_by, resolve_by_timeout, version"
    )
    await world.execute(
        f"INSERT INTO alert_open (tenant_id, id, dedup_key, {columns})"
        f" SELECT tenant_id, gen_random_uuid(), 'k' || n, {columns}"
        " FROM alert_open, generate_series(1, $2) n WHERE tenant_id = $1",
        tenant_id,
        count - 1,
    )


async def test_a_walk_goes_on_behind_what_it_has_seen(
    world: World, due: PostgresDueWork, tenant_id: TenantId
) -> None:
    await many(world, tenant_id, 2 * JUDGE_COUNT + 5)
    await reconfigure(world, tenant_id)
    judged = "SELECT count(*) FROM alert_open WHERE judge_at = $1"
    at, after = T0 + HOUR, None
    for expected in (JUDGE_COUNT, 2 * JUDGE_COUNT):
        after = await due.judge_anew(tenant_id, at, after)
        assert after is not None
        assert await world.value(judged, at) == expected
        assert await due.unjudged_tenants(10) == [tenant_id]

    assert await due.judge_anew(tenant_id, at, after) is None
    assert await world.value(judged, at) == 2 * JUDGE_COUNT + 5
    assert await due.unjudged_tenants(10) == []


async def test_a_change_during_a_walk_begins_another(
    world: World, due: PostgresDueWork, tenant_id: TenantId
) -> None:
    await many(world, tenant_id, JUDGE_COUNT + 1)
    await reconfigure(world, tenant_id)
    after = await due.judge_anew(tenant_id, T0, None)
    await reconfigure(world, tenant_id)
    assert await due.judge_anew(tenant_id, T0, after) is None

    assert await due.unjudged_tenants(10) == [tenant_id]
    # Whoever has not seen a walk's beginning does not say that it is done.
    assert await PostgresDueWork(world.database).judge_anew(tenant_id, T0, after) is None
    assert await due.unjudged_tenants(10) == [tenant_id]
    assert await due.judge_anew(tenant_id, T0, await due.judge_anew(tenant_id, T0, None)) is None
    assert await due.unjudged_tenants(10) == []


async def test_a_tenant_is_judged_while_its_work_is_claimed(
    world: World, due: PostgresDueWork, tenant_id: TenantId
) -> None:
    await world.act(tenant_id, fire("a"))
    await reconfigure(world, tenant_id)
    async with due.claim(tenant_id) as is_mine:
        assert is_mine
        await asyncio.wait_for(due.judge_anew(tenant_id, T0, None), timeout=5)
    assert await due.unjudged_tenants(10) == []


async def test_the_engine_sees_versions_and_no_more(world: World, tenant_id: TenantId) -> None:
    await reconfigure(world, tenant_id)
    async with owner_connection(world.url) as connection:
        await connection.execute("SET ROLE ag_engine")
        assert await connection.fetchval("SELECT config_version FROM tenant_head") == 1
        for forbidden in ("SELECT body FROM config_item", "SELECT alert_id FROM inhibitor"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetchval(forbidden)


# --------------------------------------------------------------------------------------- inhibition


async def test_open_alerts_come_in_order_to_find_sources(
    world: World, due: PostgresDueWork, tenant_id: TenantId
) -> None:
    await world.act(tenant_id, *(fire(key) for key in "abcde"))
    await world.act(tenant_id, Acknowledge(ByKey("b")), Resolve(ByKey("c")))
    found: list[AlertId] = []
    while batch := await due.sources(tenant_id, found[-1] if found else None, 3):
        found += [alert.id for alert in batch]
    assert found == sorted((await ids_of(world, tenant_id)).values())
    assert len(found) == 4


def a_key(number: int) -> InhibitionKey:
    return InhibitionKey(ANY_ID, bytes([number]) * 32)


async def test_sources_are_kept_and_replaced(world: World, due: PostgresDueWork, tenant_id: TenantId) -> None:
    other = await world.tenant("other", items=())
    for each in (tenant_id, other):
        await world.act(each, *(fire(key) for key in "abc"))
    ids, others = await ids_of(world, tenant_id), await ids_of(world, other)
    one, two, three = a_key(1), a_key(2), a_key(3)
    await due.keep_sources(other, {others["a"]: frozenset({one})})
    await due.keep_sources(tenant_id, {ids["a"]: frozenset({one, two}), ids["b"]: frozenset({one})})

    found = await due.inhibitors(tenant_id, [one, two, three])
    assert found == {one: sorted([ids["a"], ids["b"]]), two: [ids["a"]]}
    assert await due.inhibitors(tenant_id, []) == {}

    await due.keep_sources(tenant_id, {ids["a"]: frozenset({three}), ids["b"]: frozenset()})
    found = await due.inhibitors(tenant_id, [one, two, three])
    assert found == {three: [ids["a"]]}
    assert await due.inhibitors(other, [one]) == {one: [others["a"]]}


async def test_what_is_closed_covers_nobody(world: World, due: PostgresDueWork, tenant_id: TenantId) -> None:
    await world.act(tenant_id, fire("a"), fire("b"))
    ids = await ids_of(world, tenant_id)
    await due.keep_sources(tenant_id, {ids["a"]: frozenset({a_key(1)}), ids["b"]: frozenset({a_key(1)})})
    await world.act(tenant_id, Resolve(ByKey("a")))

    assert await due.inhibitors(tenant_id, [a_key(1)]) == {a_key(1): [ids["b"]]}
    await due.keep_sources(tenant_id, {ids["a"]: frozenset({a_key(1)})})
    assert await world.value("SELECT count(*) FROM inhibitor WHERE alert_id = $1", ids["a"]) == 0


async def test_an_alert_that_changed_meanwhile_is_left_alone(
    world: World, due: PostgresDueWork, tenant_id: TenantId
) -> None:
    await world.act(tenant_id, fire("a"), fire("b"))
    read = await due.sources(tenant_id, None, 10)
    versions = {alert.id: alert.version for alert in read}
    await world.act(tenant_id, Update(ByKey("a"), severity=Severity.CRITICAL))

    await due.keep_sources(tenant_id, {alert.id: frozenset({a_key(1)}) for alert in read}, versions)

    ids = await ids_of(world, tenant_id)
    assert await due.inhibitors(tenant_id, [a_key(1)]) == {a_key(1): [ids["b"]]}


async def test_ten_sources_are_enough(world: World, due: PostgresDueWork, tenant_id: TenantId) -> None:
    await world.act(tenant_id, *(fire(f"k{n}") for n in range(12)))
    ids = sorted((await ids_of(world, tenant_id)).values())
    await due.keep_sources(tenant_id, {id_: frozenset({a_key(1)}) for id_ in ids})

    assert await due.inhibitors(tenant_id, [a_key(1)]) == {a_key(1): ids[:10]}


async def test_a_snapshot_tells_who_covers_whom(world: World, due: PostgresDueWork) -> None:
    off = replace(NODES, id=UUID(int=31), name="off", equal_labels=(), enabled=False)  # type: ignore[arg-type]
    tenant_id = await world.tenant(items=(NODES, off))
    await world.act(tenant_id, *(fire(f"down{n}", alertname="NodeDown", node="n1") for n in range(3)))
    await world.act(
        tenant_id,
        fire("elsewhere", alertname="NodeDown", node="n2"),
        fire("both", alertname="NodeDown", layer="app", node="n1"),
        fire("app", layer="app", node="n1"),
        fire("alone", layer="app", node="n3"),
        now=T0 + SECOND,
    )
    ids = await ids_of(world, tenant_id)
    downs = [ids["down0"], ids["down1"], ids["down2"]]
    asked = [*ids.values(), new_id()]

    async with PostgresSnapshotSource(world.database).snapshot(tenant_id) as snapshot:
        found = await snapshot.inhibitors(asked, 9)
        assert {id_: sorted(covering) for id_, covering in found.items()} == {
            ids["app"]: sorted([*downs, ids["both"]]),
            ids["both"]: sorted(downs),
        }
        assert await snapshot.inhibitors([ids["app"]], 2) == {ids["app"]: sorted([*downs, ids["both"]])[:2]}
        assert await snapshot.inhibitors([ids["alone"]], 9) == {}

    await world.act(tenant_id, *(Resolve(ByKey(f"down{n}")) for n in range(3)), Resolve(ByKey("both")))
    async with PostgresSnapshotSource(world.database).snapshot(tenant_id) as snapshot:
        assert await snapshot.inhibitors(list(ids.values()), 9) == {}
    (app,) = [alert for alert in await due.sources(tenant_id, None, 10) if alert.dedup_key == "app"]
    assert source_keys([NODES], alert_match_values(app)) == frozenset()
    assert await due.inhibitors(tenant_id, target_keys([NODES], alert_match_values(app))) == {}
