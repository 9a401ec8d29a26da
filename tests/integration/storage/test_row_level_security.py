"""One tenant's rows are invisible to whoever has not named that tenant, and the service checks that it is so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from alertgraph.core.action import Acknowledge, ByKey, Fire, Resolve
from alertgraph.core.errors import DependencyError
from alertgraph.core.ids import TenantId
from alertgraph.storage.database import Database, owner_connection
from alertgraph.storage.selftest import (
    INSTALLATION_TABLES,
    IsolationError,
    check_isolation,
    unscoped_constraints,
)
from alertgraph.storage.tables import metadata
from tests.factories import HOUR, T0, a_draft, an_idempotency_key
from tests.integration.storage.world import World, a_world
from tests.servers import DatabaseServer

pytestmark = pytest.mark.both_servers

TENANT_TABLES = sorted(table.name for table in metadata.tables.values() if table.name not in INSTALLATION_TABLES)

_COMPUTED = "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attgenerated <> ''"
# One with the id of an open alert, so that its month is there.
_DELIVERY = (
    "INSERT INTO {0} (tenant_id, id, channel_id, channel_name, purpose, level, round, status, wanted, created_at, "
    "due_at, attempt_count, is_first) "
    "SELECT tenant_id, id, id, 'slack', 1, 1, 0, {1}, true, now(), now(), 0, true FROM alert_open "
    "WHERE tenant_id = $1"
)


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with a_world(database_url) as world:
        yield world


async def fill(world: World, tenant_id: TenantId) -> None:
    """Leave a row of the tenant in every table."""
    await world.act(
        tenant_id,
        Fire(a_draft(dedup_key="a", ends_at=T0 + HOUR)),
        Fire(a_draft(dedup_key="b")),
        idempotency=an_idempotency_key(),
    )
    await world.act(tenant_id, Acknowledge(ByKey("a")), Resolve(ByKey("b")))
    for statement in (
        "INSERT INTO alert_closed_late SELECT * FROM alert_closed WHERE tenant_id = $1",
        "INSERT INTO alert_terms (tenant_id, id, terms) "
        "SELECT tenant_id, id, ARRAY[term_prefix(tenant_id) || 'x'] FROM alert_open WHERE tenant_id = $1",
        _DELIVERY.format("delivery_open", 1),
        _DELIVERY.format("delivery", 3),
        "INSERT INTO delivery_attempt (tenant_id, delivery_id, number, started_at) "
        "SELECT tenant_id, id, 1, now() FROM alert_open WHERE tenant_id = $1",
        "INSERT INTO delivery_receipt (tenant_id, alert_id, channel_id, address_hash, receipt) "
        "VALUES ($1, gen_random_uuid(), gen_random_uuid(), address_hash(NULL), '{}')",
        "INSERT INTO channel_health (tenant_id, channel_id) VALUES ($1, gen_random_uuid())",
        "INSERT INTO heartbeat (tenant_id, monitor_id, last_beat_at) VALUES ($1, gen_random_uuid(), now())",
        "INSERT INTO label_name (tenant_id, label, uses) VALUES ($1, 'l', 1)",
        "INSERT INTO label_usage (tenant_id, label, value_hash, value, uses) VALUES ($1, 'l', 'h', 'v', 1)",
        "INSERT INTO index_position (tenant_id, number) VALUES ($1, 1)",
        "INSERT INTO saved_view (tenant_id, id, name, filter, shared, owner, owner_subject, version) "
        "VALUES ($1, gen_random_uuid(), 'v', '{}', true, '{}', 's', 1)",
        "INSERT INTO api_key "
        "(tenant_id, id, name, prefix, digest, role, matchers, created_at, created_by, version) "
        "VALUES ($1, gen_random_uuid(), 'k', 'ag_x', 'd', 1, '[]', now(), '{}', 1)",
        "INSERT INTO config_item (tenant_id, kind, id, body, version) VALUES ($1, 1, gen_random_uuid(), '{}', 1)",
        "INSERT INTO inhibitor (tenant_id, rule_id, digest, alert_id) "
        "VALUES ($1, gen_random_uuid(), 'd', gen_random_uuid())",
        "INSERT INTO engine_position (tenant_id, judged_version) VALUES ($1, 1)",
        "INSERT INTO service_dependency (tenant_id, service, needs, version) VALUES ($1, 'a', 'b', 1)",
        "INSERT INTO alert_link (tenant_id, alert_id, earlier_id, score, evidence) "
        "VALUES ($1, gen_random_uuid(), gen_random_uuid(), 0.5, '[]')",
        "INSERT INTO link_position (tenant_id, until) VALUES ($1, now())",
        "INSERT INTO prediction (tenant_id, alert_id, model_version, predicted_at, incident_probability, "
        "sla_breach_probability, self_resolve_probability, abstained, features) "
        "SELECT tenant_id, id, 'm', now(), 0.5, 0.5, 0.5, false, '' FROM alert_open WHERE tenant_id = $1",
        "INSERT INTO prediction_model "
        "(tenant_id, id, version, state, trained_at, example_count, metrics, calibration) "
        "VALUES ($1, gen_random_uuid(), 'm', 1, now(), 1, '[]', '[]')",
        "INSERT INTO noise_policy (tenant_id, spare_key, predicts, fresh_until) VALUES ($1, 'k', true, now())",
        "INSERT INTO noise_history (tenant_id, key, noise_probability, ended_count, quiet_count) "
        "VALUES ($1, 'k', 0.5, 1, 1)",
        "INSERT INTO noise_hold (tenant_id, alert_id, held_at, probability, basis) "
        "VALUES ($1, gen_random_uuid(), now(), 0.9, 1)",
        "INSERT INTO dead_man (tenant_id, due_at) VALUES ($1, now())",
        "INSERT INTO metric_fold (tenant_id, days_until, hours_since, hours_until) "
        "VALUES ($1, now(), now(), now())",
        "INSERT INTO metric_span (tenant_id, span, division, since, severity, monitored_service, created, "
        "acknowledged, resolved, escalated, opened, acknowledge_ms, resolve_ms, sla_total, sla_met, "
        "self_resolved, kinds, buckets, lengths) "
        "VALUES ($1, 1, 0, now(), 1, 's', 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, '{}', '{}', '{}')",
        "INSERT INTO incident (tenant_id, id, version, title, status, severity, opened_at, last_joined_at, "
        "alert_count, open_counts, triggered_count, worst, services) "
        "VALUES ($1, gen_random_uuid(), 1, 'i', 1, 1, now(), now(), 1, '{1,0,0,0,0}', 1, 1, '{}')",
        "INSERT INTO trusted_document (tenant_id, sha256, body, source) VALUES ($1, 'h', '{x}', 1)",
        "INSERT INTO audit_tree (tenant_id, log_epoch, first_number) VALUES ($1, 1, 1)",
        "INSERT INTO audit_tile (tenant_id, level, place, hashes) VALUES ($1, 0, 0, 'h')",
        "INSERT INTO audit_checkpoint "
        "(tenant_id, log_epoch, size, first_number, root, signed_at, public_key, signature) "
        "VALUES ($1, 1, 1, 1, 'r', now(), 'k', 's')",
        "INSERT INTO learning_state (tenant_id, name, log_epoch, number, recorded_at, hash_start, content) "
        "VALUES ($1, 'n', 1, 0, now(), 'h', 'c')",
        "INSERT INTO learning_lease (tenant_id, task, holder, until) VALUES ($1, 't', gen_random_uuid(), now())",
        "INSERT INTO metric_feed (tenant_id) VALUES ($1)",
        "INSERT INTO metric_batch (tenant_id, number, content) VALUES ($1, 1, 'c')",
        "INSERT INTO series_state (tenant_id, shard, feed_id, number, content) "
        "VALUES ($1, 0, gen_random_uuid(), 0, 'c')",
    ):
        await world.execute(statement, tenant_id)


@pytest.fixture
async def tenants(world: World) -> tuple[TenantId, TenantId]:
    first, second = await world.tenant("first"), await world.tenant("second")
    await fill(world, first)
    return first, second


async def counts(connection: Any) -> dict[str, int]:
    return {table: await connection.fetchval(f"SELECT count(*) FROM {table}") for table in TENANT_TABLES}


async def test_every_table_has_rows_to_hide(world: World, tenants: tuple[TenantId, TenantId]) -> None:
    for table in TENANT_TABLES:
        assert await world.value(f"SELECT count(*) FROM {table} WHERE tenant_id = $1", tenants[0]) > 0, table


async def test_without_a_tenant_there_is_nothing(world: World, tenants: tuple[TenantId, TenantId]) -> None:
    async with world.database.connection() as connection:
        assert set((await counts(connection)).values()) == {0}
        for table in TENANT_TABLES:
            assert not await connection.fetchval(
                f"SELECT EXISTS (SELECT FROM {table} WHERE tenant_id = $1)", tenants[0]
            )


async def test_another_tenant_sees_and_changes_nothing(world: World, tenants: tuple[TenantId, TenantId]) -> None:
    first, second = tenants
    async with world.database.transaction(second, keeps=False) as connection:
        for table in TENANT_TABLES:
            assert not await connection.fetchval(
                f"SELECT EXISTS (SELECT FROM {table} WHERE tenant_id = $1)", first
            ), table
            for statement in (f"UPDATE {table} SET tenant_id = tenant_id", f"DELETE FROM {table}"):
                privilege = statement.split()[0]
                if await connection.fetchval("SELECT has_table_privilege($1, $2)", table, privilege):
                    await connection.execute(f"{statement} WHERE tenant_id = '{first}'")
    for table in TENANT_TABLES:
        assert await world.value(f"SELECT count(*) FROM {table} WHERE tenant_id = $1", first) > 0


async def test_nothing_can_be_written_for_another_tenant(world: World, tenants: tuple[TenantId, TenantId]) -> None:
    first, second = tenants
    refused = 0
    for table in TENANT_TABLES:
        row = (await world.rows(f"SELECT * FROM {table} WHERE tenant_id = $1 LIMIT 1", first))[0]
        # What PostgreSQL computes itself can't be written by anybody.
        computed = {each["attname"] for each in await world.rows(_COMPUTED, table)}
        written = {name: value for name, value in row.items() if name not in computed}
        columns, values = ", ".join(written), list(written.values())
        holes = ", ".join(f"${n + 1}" for n in range(len(values)))
        async with world.database.connection() as connection:
            if not await connection.fetchval("SELECT has_table_privilege($1, 'INSERT')", table):
                continue
        with pytest.raises(DependencyError, match="42501"):
            async with world.database.transaction(second) as connection:
                await connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({holes})", *values)
        refused += 1
    assert refused >= 15


async def test_a_row_can_not_be_moved_to_another_tenant(world: World, tenants: tuple[TenantId, TenantId]) -> None:
    first, second = tenants
    with pytest.raises(DependencyError, match="42501"):
        async with world.database.transaction(first) as connection:
            await connection.execute(f"UPDATE alert_open SET tenant_id = '{second}'")


async def test_partitions_can_not_be_addressed(world: World, tenants: tuple[TenantId, TenantId]) -> None:
    rows = await world.rows("SELECT relname::text FROM pg_class WHERE relispartition AND relkind = 'r'")
    assert len(rows) >= 12
    for (partition,) in rows:
        with pytest.raises(DependencyError, match="42501"):
            async with world.database.transaction(tenants[0]) as connection:
                await connection.fetchval(f"SELECT count(*) FROM alertgraph.{partition}")


async def test_the_log_can_not_be_rewritten(world: World, tenants: tuple[TenantId, TenantId]) -> None:
    for statement in (
        "UPDATE event SET content = ''",
        "DELETE FROM event",
        "TRUNCATE event",
        "DELETE FROM tenant_head",
        "DELETE FROM idempotency_answer",
        "UPDATE audit_checkpoint SET size = 0",
        "DELETE FROM audit_checkpoint",
        "DELETE FROM audit_tile",
        "UPDATE audit_key SET generation = 2",
        "INSERT INTO audit_key (generation, public_key) VALUES (2, 'k')",
    ):
        with pytest.raises(DependencyError, match="42501"):
            async with world.database.transaction(tenants[0]) as connection:
                await connection.execute(statement)


async def test_the_engine_sees_who_has_work_and_no_more(world: World, tenants: tuple[TenantId, TenantId]) -> None:
    async with owner_connection(world.url) as connection:
        # The owner is a member, so that it can hand functions over.
        await connection.execute("SET ROLE ag_engine")
        assert await connection.fetchval("SELECT tenant_id FROM alert_open WHERE due_at IS NOT NULL") == tenants[0]
        for forbidden in (
            "SELECT title FROM alert_open",
            "SELECT link FROM tenant_head",
            "SELECT 1 FROM event",
            "SELECT 1 FROM audit_tile",
            "SELECT 1 FROM audit_checkpoint",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(forbidden)


async def test_search_stays_within_the_tenant(world: World, tenants: tuple[TenantId, TenantId]) -> None:
    query = "SELECT count(*) FROM search_alerts(ARRAY['x'], $1, $2, true, 10)"
    bounds = ("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff")
    found = []
    for tenant_id in tenants:
        async with world.database.transaction(tenant_id, read_only=True) as connection:
            found.append(await connection.fetchval(query, *bounds))
    async with world.database.connection() as connection:
        found.append(await connection.fetchval(query, *bounds))

    assert found == [1, 0, 0]


async def test_functions_that_see_more_are_not_for_everybody(world: World) -> None:
    with pytest.raises(DependencyError, match="42501"):
        async with world.database.connection() as connection:
            await connection.fetchval("SELECT guard('event', 'SELECT')")
    public = await world.rows(
        "SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'alertgraph'::regnamespace AND p.prosecdef "
        "AND EXISTS (SELECT FROM aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) g "
        "WHERE g.grantee = 0)"
    )
    assert public == []


# --------------------------------------------------------------------------------------- self-test


async def test_a_fresh_database_passes(world: World, tenants: tuple[TenantId, TenantId]) -> None:
    await check_isolation(world.database)


async def test_every_key_begins_with_the_tenant(world: World) -> None:
    # A slug names a tenant to the operator of the whole installation: the one key that is not within a tenant.
    assert await unscoped_constraints(world.database) == ["tenant.tenant_slug_key"]
    await world.execute("ALTER TABLE saved_view ADD CONSTRAINT wrong UNIQUE (name, tenant_id)")
    assert "saved_view.wrong" in await unscoped_constraints(world.database)


async def test_a_superuser_is_refused(database_server: DatabaseServer, database_url: str) -> None:
    superuser_url = database_server.superuser_url(database_url)
    superuser = await asyncpg.connect(superuser_url)
    role = f"bypass_{uuid4().hex[:8]}"
    await superuser.execute(f"CREATE ROLE {role} BYPASSRLS; GRANT ag_api TO {role}")
    try:
        for name, reason in (("none", "a superuser"), (role, "exempt from row-level security")):
            database = await Database.connect(superuser_url, role=name)
            with pytest.raises(IsolationError, match=reason):
                await check_isolation(database)
            await database.close()
    finally:
        await superuser.execute(f"REVOKE ag_api FROM {role}; DROP ROLE {role}")
        await superuser.close()


async def test_the_owner_is_refused(database_url: str) -> None:
    database = await Database.connect(database_url, role="ag_owner")
    with pytest.raises(IsolationError, match="which owns the table"):
        await check_isolation(database)
    await database.close()


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("ALTER TABLE saved_view NO FORCE ROW LEVEL SECURITY", "not forced on the table saved_view"),
        ("ALTER TABLE api_key DISABLE ROW LEVEL SECURITY", "not forced on the table api_key"),
        ("CREATE TABLE forgotten (tenant_id uuid)", "not forced on the table forgotten"),
        ("CREATE VIEW peep AS SELECT * FROM event", "view peep"),
        ("CREATE POLICY leak ON alert_open TO ag_api USING (true)", "table alert_open shows rows"),
    ],
)
async def test_what_lets_tenants_see_each_other_is_refused(
    world: World, tenants: tuple[TenantId, TenantId], statement: str, reason: str
) -> None:
    await world.execute(statement)

    with pytest.raises(IsolationError, match=reason):
        await check_isolation(world.database)


async def test_a_granted_partition_is_refused(world: World) -> None:
    partition = await world.value(
        "SELECT relname::text FROM pg_class WHERE relispartition AND relkind = 'r' LIMIT 1"
    )
    await world.execute(f"GRANT SELECT ON {partition} TO ag_api")

    with pytest.raises(IsolationError, match=f"partition {partition}"):
        await check_isolation(world.database)
