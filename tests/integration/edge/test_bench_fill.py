"""`alertgraph bench fill`: what is filled in is what years of use would have left, and nothing else is touched."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys

import pytest
from click.testing import Result
from typer.testing import CliRunner

from alertgraph.core.alert import AlertStatus
from alertgraph.core.errors import ConflictError, InputError
from alertgraph.core.ids import NodeKind
from alertgraph.core.query import AlertFilter, AlertOrder, AlertQuery, EventFilter, EventQuery, PageRequest
from alertgraph.core.tier import Tier
from alertgraph.edge.bench.fill import TENANT_COUNT, Filled, filled
from alertgraph.edge.cli import app
from alertgraph.edge.installation import new_tenant
from alertgraph.storage.audit import verify_log
from alertgraph.storage.database import Database, owner_connection
from alertgraph.storage.filling import made_up_id, shares
from alertgraph.storage.secrets import MasterKey
from alertgraph.storage.snapshot import PostgresSnapshotSource
from alertgraph.storage.tenants import TenantRegistry
from tests.servers import DatabaseServer

KEY = MasterKey(bytes(range(32)))
CLOSED, OPEN = 4_000, 400

_INDEXES = """
    SELECT regexp_replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ')
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    WHERE c.relnamespace = 'alertgraph'::regnamespace AND NOT c.relispartition ORDER BY 1
"""
_UNINDEXED = """
    SELECT c.relname::text FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
    WHERE h.inhparent = ANY ('{alert_closed,alert_terms,event,delivery}'::regclass[])
        AND (SELECT count(*) FROM pg_index i WHERE i.indrelid = c.oid)
            <> (SELECT count(*) FROM pg_index i WHERE i.indrelid = h.inhparent)
"""


async def fill(url: str, closed: int = CLOSED, opened: int = OPEN) -> Filled:
    return await filled(url, url, KEY, closed_count=closed, open_count=opened)


async def values(url: str, query: str) -> list[object]:
    async with owner_connection(url) as connection:
        return [row[0] for row in await connection.fetch(query)]


@pytest.mark.both_servers
async def test_a_filled_database_is_as_use_would_have_left_it(database_url: str) -> None:
    indexes = await values(database_url, _INDEXES)
    steps: dict[str, float] = {}

    done = await filled(
        database_url, database_url, KEY, closed_count=CLOSED, open_count=OPEN, told=steps.__setitem__
    )

    assert (done.closed_count, done.open_count, len(done.tenants)) == (CLOSED, OPEN, TENANT_COUNT)
    assert steps["vacuum"] == 1
    assert sorted(steps.values()) == list(steps.values())
    assert await values(database_url, _INDEXES) == indexes
    assert await values(database_url, _UNINDEXED) == []
    [same] = await values(
        database_url,
        """
        SELECT (SELECT count(*) FROM alert_closed) = 4000 AND (SELECT count(*) FROM alert_open) = 400
            AND (SELECT count(*) FROM alert_terms) = 4400
            AND (SELECT sum(created) FROM metric_day) = 4400 AND (SELECT sum(resolved) FROM metric_day) = 4000
            AND (SELECT sum(count) FROM metric_day_duration WHERE kind = 2) = 4000
            AND (SELECT sum(count) FROM open_count) = 400 AND (SELECT sum(opened) FROM metric_day) = 400
            AND (SELECT sum(uses) FROM label_name WHERE label = 'host') = 4400
            AND (SELECT count(*) FROM alert_closed a WHERE resolved_at < triggered_at
                    OR first_acknowledged_at NOT BETWEEN triggered_at AND resolved_at
                    OR id <> ALL (SELECT id FROM alert_terms t WHERE t.tenant_id = a.tenant_id)) = 0
        """,
    )
    assert same
    # Whichever has events in the log is as its last one left it.
    assert (
        await values(
            database_url,
            """
        SELECT a.id FROM (SELECT tenant_id, id, version FROM alert_open
                          UNION ALL SELECT tenant_id, id, version FROM alert_closed) AS a
        JOIN (SELECT tenant_id, alert_id, max(number) AS last FROM event GROUP BY 1, 2) AS e
            ON e.tenant_id = a.tenant_id AND e.alert_id = a.id WHERE e.last <> a.version
        """,
        )
        == []
    )
    database = await Database.connect(database_url)
    try:
        checks = [await verify_log(database, tenant.id) for tenant in done.tenants]
        assert [fault for _, fault in checks] == [None] * TENANT_COUNT
        assert (
            sum(checked for checked, _ in checks) == (await values(database_url, "SELECT count(*) FROM event"))[0]
        )
        async with PostgresSnapshotSource(database).snapshot(done.tenants[0].id) as snapshot:
            rule = made_up_id(done.tenants[0].id, NodeKind.ESCALATION_RULE, 0)
            now = (await values(database_url, "SELECT now()"))[0]
            page = await snapshot.alert_page(
                AlertQuery(AlertFilter(escalation_rule=(rule,)), AlertOrder(), PageRequest(50), now)
            )
            assert len(page.items) == 50
            audit = await snapshot.event_page(
                EventQuery(EventFilter(subject_type=frozenset({"EscalationRule"})), PageRequest(50, backward=True))
            )
            assert len(audit.items) == 50
            [(_, alert)] = (
                await snapshot.alert_page(
                    AlertQuery(AlertFilter(status=(AlertStatus.RESOLVED,)), AlertOrder(), PageRequest(1), now)
                )
            ).items
            assert alert.resolved_at is not None
            assert alert.resolved_at < now
            found = await snapshot.alert_page(
                AlertQuery(AlertFilter(search=alert.title), AlertOrder(), PageRequest(100), now)
            )
            assert alert.id in {one.id for _, one in found.items}
    finally:
        await database.close()


async def test_a_filled_database_is_not_filled_again(database_url: str) -> None:
    first = await fill(database_url, 400, 40)

    again = await fill(database_url, 400, 40)

    assert again.seconds == {}
    assert [tenant.id for tenant in again.tenants] == [tenant.id for tenant in first.tenants]
    with pytest.raises(ConflictError, match=r"400 closed and 40 open .* 500 and 40"):
        await fill(database_url, 500, 40)
    assert await values(database_url, "SELECT count(*) FROM alert_closed") == [400]


async def test_a_database_that_somebody_uses_is_left_alone(database_url: str) -> None:
    await new_tenant(TenantRegistry(database_url, KEY), "acme", "Acme", Tier.STANDARD)

    with pytest.raises(ConflictError, match="There is a tenant acme"):
        await fill(database_url)

    assert await values(database_url, "SELECT slug FROM tenant") == ["acme"]


async def test_a_filling_that_fails_leaves_nothing_and_can_be_begun_again(database_url: str) -> None:
    indexes = await values(database_url, _INDEXES)

    def stop(step: str, _: float) -> None:
        if step == "figures":
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        await filled(database_url, database_url, KEY, closed_count=400, open_count=40, told=stop)
    assert await values(database_url, "SELECT count(*) FROM alert_closed") == [0]
    assert await values(database_url, _INDEXES) == indexes

    assert (await fill(database_url, 400, 40)).seconds


@pytest.mark.parametrize(("closed", "opened"), [(19, 40), (400, 0), (400, -1), (10**10, 40)])
async def test_numbers_out_of_range_are_refused(database_url: str, closed: int, opened: int) -> None:
    with pytest.raises(InputError, match="Fill in 20 to"):
        await fill(database_url, closed, opened)


def test_shares_are_skewed_and_leave_nothing_out() -> None:
    sizes = shares(10_000_000, 20)

    assert sum(sizes) == 10_000_000
    assert sizes == sorted(sizes, reverse=True)
    assert 0.29 < sizes[0] / 10_000_000 < 0.31
    assert sizes[-1] / 10_000_000 < 0.0005


async def test_the_same_seed_fills_in_the_same(database_server: DatabaseServer) -> None:
    dumps = []
    for _ in range(2):
        with database_server.database(migrated=True) as url:
            done = await fill(url, 400, 40)
            slugs = {tenant.id: tenant.slug for tenant in done.tenants}
            async with owner_connection(url) as connection:
                rows = await connection.fetch("SELECT tenant_id, title, source, verdict IS NULL FROM alert_closed")
            dumps.append(sorted((slugs[row[0]], *row[1:]) for row in rows))

    assert len(dumps[0]) == 400
    assert dumps[0] == dumps[1]


def run(environment: dict[str, str], *arguments: str) -> Result:
    wanted: dict[str, str | None] = {name: None for name in os.environ if name.startswith("CRITICAL_ALERT_")}
    return CliRunner().invoke(app, ["bench", "fill", *arguments], env={**wanted, **environment})


def test_the_command_fills_a_named_database(empty_database_url: str) -> None:
    environment = {
        "CRITICAL_ALERT_DATABASE_URL": empty_database_url,
        "CRITICAL_ALERT_MASTER_KEY": base64.b64encode(bytes(range(32))).decode(),
    }

    first = run(environment, "--closed", "60", "--open", "20", "--json")
    again = run(environment, "--closed", "60", "--open", "20")
    other = run(environment, "--closed", "61", "--open", "20")

    told = json.loads(first.stdout)
    assert (told["closed"], told["open"], len(told["tenants"])) == (60, 20, TENANT_COUNT)
    assert told["seconds"]["all"] > 0
    assert again.stdout == "60 closed and 20 open alerts of 20 tenants are there already.\n"
    assert other.exit_code == 1
    assert "choose an empty database" in other.stderr


def test_the_command_fills_nothing_that_was_not_named() -> None:
    refused = run({}, "--closed", "60")

    assert refused.exit_code == 2
    assert "--data-dir" in refused.stderr


def test_no_service_loads_it() -> None:
    program = (
        "import sys, alertgraph.edge.server, alertgraph.edge.wiring, alertgraph.edge.cli, resolvers.schema\n"
        "print([name for name in sys.modules if 'filling' in name or 'edge.bench' in name])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "[]"
