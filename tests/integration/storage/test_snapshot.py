"""A snapshot: one moment of one tenant, on a connection that is given back whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from alertgraph.core.alert import Alert, AlertVerdict, Link
from alertgraph.core.errors import DependencyError, InputError, NotFoundError
from alertgraph.core.ids import AlertId, ApiKeyId, SavedViewId, TenantId
from alertgraph.core.query import AlertFilter, AlertOrder, AlertQuery, Page, PageRequest
from alertgraph.core.severity import Severity
from alertgraph.core.slo import SlaTarget
from alertgraph.core.tenant import Tenant, TenantSettings, Tier
from alertgraph.services.ports import PoisonError
from alertgraph.storage.database import Database
from alertgraph.storage.reader import Reader
from alertgraph.storage.snapshot import PostgresSnapshot, PostgresSnapshotSource
from alertgraph.storage.statement import Statement
from tests.factories import ADA, HOUR, MINUTE, an_alert, an_id
from tests.kept import Keeper, keeping
from tests.servers import DatabaseServer

pytestmark = pytest.mark.both_servers

_WORDS = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
_FATAL = b"E" + (len(_WORDS) + 4).to_bytes(4, "big") + _WORDS


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await Database.connect(database_url, pool_size=2)
    yield database
    await database.close()


@pytest.fixture
async def keeper(database_server: DatabaseServer, database_url: str) -> AsyncIterator[Keeper]:
    async with keeping(database_server, database_url) as keeper:
        yield keeper


async def server_processes(keeper: Keeper) -> list[int]:
    """Return the server's processes that serve the pool, by age."""
    rows = await keeper.connection.fetch(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'alertgraph'"
        " ORDER BY backend_start"
    )
    return [row["pid"] for row in rows]


async def busy_processes(keeper: Keeper) -> int:
    """Return how many of the pool's connections are inside a transaction."""
    count: int = await keeper.connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'alertgraph' AND state <> 'idle'"
    )
    return count


async def all_alerts(snapshot: PostgresSnapshot) -> Page[Any]:
    """Return the first page of all alerts."""
    now = datetime.now(UTC)
    return await snapshot.alert_page(
        AlertQuery(AlertFilter(), AlertOrder(), PageRequest(50), now, with_total=True)
    )


async def test_sees_one_moment_from_its_first_read_on(database: Database, keeper: Keeper) -> None:
    tenant_id = await keeper.tenant()
    await keeper.alerts(tenant_id, [an_alert(id=an_id(1), dedup_key="1")])
    async with PostgresSnapshotSource(database).snapshot(tenant_id) as snapshot:
        before = await snapshot.as_of()
        await keeper.alerts(tenant_id, [an_alert(id=an_id(2), dedup_key="2")])
        page = await all_alerts(snapshot)
        assert (len(page.items), page.total_count, page.as_of) == (1, 1, before)
        assert list(await snapshot.alerts([an_id(1), an_id(2)])) == [an_id(1)]
    async with PostgresSnapshotSource(database).snapshot(tenant_id) as snapshot:
        assert len((await all_alerts(snapshot)).items) == 2


async def test_takes_a_connection_at_the_first_read_only(database: Database, keeper: Keeper) -> None:
    tenant_id = await keeper.tenant()
    source = PostgresSnapshotSource(database)
    # More than the pool has connections: none is taken.
    snapshots = [source.snapshot(tenant_id) for _ in range(5)]
    opened = [await one.__aenter__() for one in snapshots]
    assert await busy_processes(keeper) == 0
    await opened[0].as_of()
    assert await busy_processes(keeper) == 1
    for one in snapshots:
        await one.__aexit__(None, None, None)
    await idle(keeper)


async def idle(keeper: Keeper) -> None:
    """Wait until no connection of the pool is inside a transaction, which is a matter of moments."""
    async with asyncio.timeout(1):
        while await busy_processes(keeper):  # noqa: ASYNC110  (PostgreSQL tells nobody)
            await asyncio.sleep(0.01)


async def gone(keeper: Keeper) -> None:
    """Wait until the pool has no connection any more."""
    async with asyncio.timeout(1):
        while await server_processes(keeper):  # noqa: ASYNC110  (likewise)
            await asyncio.sleep(0.001)


async def test_a_transaction_that_only_read_ends_with_the_next_ones_begin(
    database_url: str, keeper: Keeper
) -> None:
    first, second = await keeper.tenant(), await keeper.tenant()
    await keeper.alerts(first, [an_alert(id=an_id(1), dedup_key="1")])
    database = await Database.connect(database_url, pool_size=1)
    try:
        source = PostgresSnapshotSource(database)
        for _ in range(2):
            async with source.snapshot(first) as snapshot:
                assert len((await all_alerts(snapshot)).items) == 1
            # Still open, and nobody's: who comes next sees a moment of its own, and what it may see.
            assert len(database._lingering) == 1
            async with source.snapshot(second) as snapshot:
                assert len((await all_alerts(snapshot)).items) == 0
        await keeper.alerts(first, [an_alert(id=an_id(2), dedup_key="2")])
        async with source.snapshot(first) as snapshot:
            assert len((await all_alerts(snapshot)).items) == 2
        assert len(await server_processes(keeper)) == 1

        # Whoever begins no transaction gets a connection that is in none, and sees no tenant.
        async with database.connection() as connection:
            assert not connection.is_in_transaction()
            assert not await connection.fetchval("SELECT current_setting('app.tenant_id', true)")
            assert await connection.fetchval("SELECT count(*) FROM alert_open") == 0
        async with source.snapshot(first) as snapshot:
            await snapshot.as_of()
        await database.write(first, lambda connection: connection.execute("SELECT 1"))
        assert not database._lingering

        async with source.snapshot(first) as snapshot:
            await snapshot.as_of()
        assert await busy_processes(keeper) == 1
        await idle(keeper)
        assert (len(database._lingering), len(database._at_hand)) == (0, 1)
        async with source.snapshot(first) as snapshot:
            await snapshot.as_of()
    finally:
        await database.close()
    await gone(keeper)


@pytest.mark.parametrize("first", ["nothing", "new", "known", "simple", "several", "refused", "wrong"])
async def test_a_begin_is_answered_with_whatever_comes_first(
    database_url: str, keeper: Keeper, first: str
) -> None:
    tenant_id = await keeper.tenant()
    count, tenant = "SELECT count(*) FROM tenant_head", "SELECT current_setting('app.tenant_id')"
    database = await Database.connect(database_url, pool_size=1)
    try:
        for round_ in range(3):
            try:
                async with database.transaction(tenant_id, read_only=True, snapshot=True) as connection:
                    if first in ("new", "known"):
                        # Of a text that changes, or is known from the round before.
                        assert await connection.fetchval(f"{count}{' ' * round_ if first == 'new' else ''}") == 1
                    elif first == "simple":
                        await connection.execute("SET LOCAL work_mem = '5MB'")
                    elif first == "several":
                        await connection.execute("SAVEPOINT one; SET LOCAL work_mem = '5MB'; RELEASE one")
                    elif first == "refused":
                        await connection.execute("UPDATE tenant_head SET number = 0")
                    elif first == "wrong":
                        await connection.fetch("SELECT $1::int", "text")
                    if first != "nothing":
                        assert connection.is_in_transaction()
                        assert await connection.fetchval(tenant) == str(UUID(int=tenant_id.int))
                        assert await connection.fetchval("SHOW transaction_isolation") == "repeatable read"
                        assert await connection.fetchval("SHOW transaction_read_only") == "on"
                        assert await connection.fetchval(count) == 1
            except (DependencyError, PoisonError):
                assert first in ("refused", "wrong")
            else:
                assert first not in ("refused", "wrong")
        async with database.connection() as connection:
            assert not connection.is_in_transaction()
            assert await connection.fetchval(count) == 0
            assert not await connection.fetchval("SELECT current_setting('app.tenant_id', true)")
        await database.write(tenant_id, lambda connection: connection.execute("SELECT 1"))
        await idle(keeper)
    finally:
        await database.close()


async def test_a_connection_that_breaks_before_its_next_transaction_is_replaced(
    database: Database, keeper: Keeper
) -> None:
    tenant_id = await keeper.tenant()
    source = PostgresSnapshotSource(database)
    for use in ("snapshot", "connection", "timer"):
        async with source.snapshot(tenant_id) as snapshot:
            await snapshot.as_of()
        [process] = await server_processes(keeper)
        await keeper.connection.execute("SELECT pg_terminate_backend($1)", process)
        await gone(keeper)
        await asyncio.sleep(0.05 if use == "timer" else 0)
        for _ in range(2):
            try:
                if use == "snapshot":
                    async with source.snapshot(tenant_id) as snapshot:
                        await snapshot.as_of()
                else:
                    async with database.connection() as connection:
                        await connection.fetchval("SELECT 1")
                break
            except DependencyError:
                # Once somebody may learn of it the hard way, and is told to try again.
                continue
        assert len(await server_processes(keeper)) == 1
        await idle(keeper)


async def test_a_read_between_a_servers_last_word_and_its_hanging_up_fails_as_any_other(
    database: Database, keeper: Keeper
) -> None:
    tenant_id = await keeper.tenant()
    source = PostgresSnapshotSource(database)
    async with source.snapshot(tenant_id) as snapshot:
        await snapshot.as_of()
    # As when the server was told to end it and the socket is still open: asyncpg calls that its own mistake.
    [connection] = database._lingering
    connection._con._protocol.data_received(_FATAL)
    with pytest.raises(DependencyError):
        async with source.snapshot(tenant_id) as snapshot:
            await snapshot.as_of()
    async with source.snapshot(tenant_id) as snapshot:
        await snapshot.as_of()
    await idle(keeper)


async def test_those_who_wait_for_a_connection_get_one_that_has_read(database: Database, keeper: Keeper) -> None:
    tenant_id = await keeper.tenant()
    source = PostgresSnapshotSource(database)

    async def read() -> None:
        async with source.snapshot(tenant_id) as snapshot:
            await snapshot.as_of()
            await asyncio.sleep(0.01)

    async with asyncio.timeout(10):
        await asyncio.gather(*(read() for _ in range(40)))
    assert len(await server_processes(keeper)) == 2
    await idle(keeper)


async def test_concurrent_reads_take_turns_on_one_connection(database: Database, keeper: Keeper) -> None:
    tenant_id = await keeper.tenant()
    await keeper.alerts(tenant_id, [an_alert(id=an_id(number), dedup_key=str(number)) for number in range(9)])
    async with PostgresSnapshotSource(database).snapshot(tenant_id) as snapshot:
        answers = await asyncio.gather(*(snapshot.alerts([an_id(number)]) for number in range(9)))
        assert await busy_processes(keeper) == 1
    assert [list(one) for one in answers] == [[an_id(number)] for number in range(9)]


async def test_sees_nothing_of_another_tenant(database: Database, keeper: Keeper) -> None:
    tenant_id, other_id = await keeper.tenant(), await keeper.tenant()
    await keeper.alerts(other_id, [an_alert(), an_alert(id=an_id(2), resolved_at=keeper.now)])
    async with PostgresSnapshotSource(database).snapshot(tenant_id) as snapshot:
        assert list((await all_alerts(snapshot)).items) == []
        assert await snapshot.alerts([an_id(1), an_id(2)]) == {}
        assert (await snapshot.tenant()).id == tenant_id
    # Not even where a statement names the other one.
    async with Reader.open(database, tenant_id) as reader:
        for table in ("alert_open", "alert_closed", "event", "tenant_head", "alert_terms", "index_position"):
            rows = await reader.fetch(f"SELECT FROM {table} WHERE tenant_id = $1", other_id)
            assert len(rows) == 0, table


async def test_a_refused_cursor_leaves_the_snapshot_usable(database: Database, keeper: Keeper) -> None:
    tenant_id = await keeper.tenant()
    await keeper.alerts(tenant_id, [an_alert()])
    async with PostgresSnapshotSource(database).snapshot(tenant_id) as snapshot:
        first = await all_alerts(snapshot)
        cursor = first.items[0][0]
        for order, text in (
            (AlertOrder(descending=False), cursor),
            (AlertOrder(), cursor[:-4]),
            (AlertOrder(), ""),
            (AlertOrder(), "€"),
        ):
            query = AlertQuery(AlertFilter(), order, PageRequest(5, after=text), keeper.now)
            with pytest.raises(InputError) as refused:
                await snapshot.alert_page(query)
            assert refused.value.problems[0].path == ("after",)
        assert len((await all_alerts(snapshot)).items) == 1


async def test_a_snapshot_that_idles_too_long_is_taken_away(database: Database, keeper: Keeper) -> None:
    tenant_id = await keeper.tenant()
    async with PostgresSnapshotSource(database).snapshot(tenant_id) as snapshot:
        await snapshot.as_of()
        [process] = await server_processes(keeper)
        await keeper.connection.execute("SELECT pg_terminate_backend($1)", process)
        await asyncio.sleep(0.05)
        for _ in range(2):
            with pytest.raises(DependencyError) as lost:
                await snapshot.settings()
            assert lost.value.retryable
    async with PostgresSnapshotSource(database).snapshot(tenant_id) as snapshot:
        assert (await snapshot.as_of()).number == 0


async def test_losing_the_connection_after_the_last_read_harms_nobody(database: Database, keeper: Keeper) -> None:
    tenant_id = await keeper.tenant()
    async with PostgresSnapshotSource(database).snapshot(tenant_id) as snapshot:
        await snapshot.as_of()
        [process] = await server_processes(keeper)
        await keeper.connection.execute("SELECT pg_terminate_backend($1)", process)
        await asyncio.sleep(0.05)


async def test_a_cancelled_read_closes_the_connection(database: Database, keeper: Keeper) -> None:
    tenant_id = await keeper.tenant()
    async with Reader.open(database, tenant_id) as reader:
        await reader.head()
        [process] = await server_processes(keeper)
        reading = asyncio.create_task(reader.fetch("SELECT pg_sleep(20)"))
        await asyncio.sleep(0.1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        with pytest.raises(DependencyError):
            await reader.fetch("SELECT 1")
    for _ in range(100):
        if process not in await server_processes(keeper):
            break
        await asyncio.sleep(0.02)
    assert process not in await server_processes(keeper)
    async with Reader.open(database, tenant_id) as reader:
        assert (await reader.head()).number == 0


async def test_a_cancelled_request_gives_the_connection_back(database: Database, keeper: Keeper) -> None:
    tenant_id = await keeper.tenant()

    async def request() -> None:
        async with PostgresSnapshotSource(database).snapshot(tenant_id) as snapshot:
            await snapshot.as_of()
            await asyncio.sleep(20)

    for _ in range(5):
        task = asyncio.create_task(request())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await busy_processes(keeper) == 0


async def test_waiting_for_a_turn_can_be_cancelled_without_harm(database: Database, keeper: Keeper) -> None:
    tenant_id = await keeper.tenant()
    async with Reader.open(database, tenant_id) as reader:
        slow = asyncio.create_task(reader.fetch("SELECT pg_sleep(0.3)"))
        await asyncio.sleep(0.05)
        waiting = asyncio.create_task(reader.fetch("SELECT 1"))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await slow
        assert (await reader.fetch("SELECT 2"))[0][0] == 2


async def test_a_bounded_read_that_takes_too_long_leaves_the_snapshot_usable(
    database: Database, keeper: Keeper
) -> None:
    tenant_id = await keeper.tenant()
    async with Reader.open(database, tenant_id) as reader:
        slow = Statement("SELECT pg_sleep(20)", [], is_keyed=False)
        assert await reader.run_in_order(timedelta(milliseconds=20), slow) is None
        [[limit]] = await reader.fetch("SHOW statement_timeout")
        assert limit == "30s"
        rows = await reader.run_in_order(
            timedelta(seconds=5), Statement("SELECT $1::integer", [7], is_keyed=False)
        )
        assert rows is not None
        assert rows[0][0] == 7


async def test_a_tenant_that_is_gone_is_not_found(database: Database) -> None:
    async with PostgresSnapshotSource(database).snapshot(TenantId(UUID(int=99))) as snapshot:
        for read in (snapshot.as_of, snapshot.tenant, snapshot.settings):
            with pytest.raises(NotFoundError):
                await read()


async def test_alerts_of_every_place_are_loaded_by_id(database: Database, keeper: Keeper) -> None:
    tenant_id = await keeper.tenant()
    old = AlertId(keeper.id_at(keeper.now - timedelta(days=900)))
    kept = await keeper.alerts(
        tenant_id,
        [
            an_alert(id=an_id(1)),
            an_alert(id=an_id(2), resolved_at=keeper.now, annotations={"runbook": ["a", 1, None]}),
            an_alert(id=old, resolved_at=keeper.now),
        ],
    )
    async with PostgresSnapshotSource(database).snapshot(tenant_id) as snapshot:
        found = await snapshot.alerts([old, an_id(2), an_id(1), an_id(3), an_id(1)])
        assert await snapshot.alerts([]) == {}
    assert found == {alert.id: alert for alert in kept}


async def test_tells_settings_and_promises(database: Database, keeper: Keeper) -> None:
    tenant_id = await keeper.tenant()
    await keeper.connection.execute(
        "INSERT INTO tenant_settings (tenant_id, resolve_timeout, retention, version)"
        " VALUES ($1, '5 minutes', '30 days', 4)",
        tenant_id,
    )
    await keeper.connection.execute(
        "INSERT INTO sla_target VALUES ($1, 1, '1 hour', '2 hours'), ($1, 5, '1 minute', '1 hour')", tenant_id
    )
    async with PostgresSnapshotSource(database).snapshot(tenant_id) as snapshot:
        assert await snapshot.tenant() == Tenant(tenant_id, tenant_id.hex, tenant_id.hex, Tier.STANDARD)
        assert await snapshot.settings() == TenantSettings(5 * MINUTE, timedelta(days=30), 4)
        assert list(await snapshot.sla_targets()) == [
            SlaTarget(Severity.CRITICAL, MINUTE, HOUR),
            SlaTarget(Severity.INFO, HOUR, 2 * HOUR),
        ]


async def test_counts_up_to_the_cap(database: Database, keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant_id = await keeper.tenant()
    await keeper.alerts(
        tenant_id,
        [
            an_alert(id=keeper.id_at(keeper.now), dedup_key=str(number), resolved_at=keeper.now)
            for number in range(10_050)
        ],
    )
    async with PostgresSnapshotSource(database).snapshot(tenant_id) as snapshot:
        page = await all_alerts(snapshot)
        assert (len(page.items), page.total_count) == (50, 10_000)
        few = AlertFilter(dedup_key=("1", "2", "nothing"))
        query = AlertQuery(few, AlertOrder(), PageRequest(1), keeper.now, with_total=True)
        assert (await snapshot.alert_page(query)).total_count == 2


# --------------------------------------------------------------------------------------- configured things


async def keep_views(keeper: Keeper, tenant_id: TenantId, views: list[tuple[str, str, bool]]) -> list[SavedViewId]:
    """Keep views of (name, subject, shared) and return their ids."""
    ids = [SavedViewId(UUID(int=number)) for number in range(1, len(views) + 1)]
    for id_, (name, subject, shared) in zip(ids, views, strict=True):
        await keeper.connection.execute(
            "INSERT INTO saved_view (tenant_id, id, name, filter, shared, owner, owner_subject, version)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, 1)",
            tenant_id,
            id_,
            name,
            {"severity": ["HIGH"]},
            shared,
            ADA,
            subject,
        )
    return ids


async def test_saved_views_are_ones_own_and_the_shared_by_name(database: Database, keeper: Keeper) -> None:
    tenant_id, other_id = await keeper.tenant(), await keeper.tenant()
    ids = await keep_views(
        keeper,
        tenant_id,
        [("b", "me", False), ("a", "other", True), ("c", "other", False), ("b", "me", True), ("Ä", "me", False)],
    )
    await keep_views(keeper, other_id, [("foreign", "me", True)])
    expected = ["a", "b", "b", "Ä"]
    async with PostgresSnapshotSource(database).snapshot(tenant_id) as snapshot:
        whole = await snapshot.saved_view_page(PageRequest(50), "me")
        assert [view.name for _, view in whole.items] == expected
        assert (whole.total_count, whole.has_next, whole.has_previous) == (4, False, False)
        for backward in (False, True):
            names: list[str] = []
            cursor, more = None, True
            while more:
                request = PageRequest(1, before=cursor, backward=True) if backward else PageRequest(1, cursor)
                page = await snapshot.saved_view_page(request, "me")
                [(cursor, view)] = page.items
                names.append(view.name)
                more = page.has_previous if backward else page.has_next
            assert names == (expected[::-1] if backward else expected)
        for text in ("", "x", "AAAAAAAAAAAAAAAAAAAAAAA_", whole.items[0][0] + "AA"):
            with pytest.raises(InputError) as refused:
                await snapshot.saved_view_page(PageRequest(5, after=text), "me")
            assert refused.value.problems[0].path == ("after",)
        assert set(await snapshot.saved_views(ids, "me")) == {ids[0], ids[1], ids[3], ids[4]}
        assert set(await snapshot.saved_views(ids, "nobody")) == {ids[1], ids[3]}
        assert await snapshot.saved_views([], "me") == {}


async def test_api_keys_come_newest_first(database: Database, keeper: Keeper) -> None:
    tenant_id = await keeper.tenant()
    ids = [ApiKeyId(UUID(int=number)) for number in range(1, 6)]
    for number, id_ in enumerate(ids):
        await keeper.connection.execute(
            "INSERT INTO api_key"
            " (tenant_id, id, name, prefix, digest, role, matchers, created_at, created_by, version)"
            " VALUES ($1, $2, $3, 'ag_x', '', 2, $4, $5, $6, 1)",
            tenant_id,
            id_,
            str(number),
            [{"label": "team", "operator": 1, "value": "core"}],
            # Two of the same instant are told apart by their ids.
            keeper.now + (number // 2) * MINUTE,
            ADA,
        )
    async with PostgresSnapshotSource(database).snapshot(tenant_id) as snapshot:
        first = await snapshot.api_key_page(PageRequest(2))
        assert ([key.name for _, key in first.items], first.has_next, first.total_count) == (["4", "3"], True, 5)
        rest = await snapshot.api_key_page(PageRequest(9, after=first.items[-1][0]))
        assert ([key.name for _, key in rest.items], rest.has_next, rest.total_count) == (
            ["2", "1", "0"],
            False,
            5,
        )
        last = await snapshot.api_key_page(PageRequest(2, backward=True))
        assert ([key.name for _, key in last.items], last.has_previous) == (["1", "0"], True)
        with pytest.raises(InputError):
            await snapshot.api_key_page(PageRequest(2, after="AAAA"))
        found = await snapshot.api_keys([ids[0], ApiKeyId(UUID(int=77))])
        assert [key.id for key in found.values()] == [ids[0]]
        assert found[ids[0]].matchers[0].value == "core"


async def test_a_part_of_an_alert_is_the_same_as_in_the_whole(database: Database, keeper: Keeper) -> None:
    tenant_id = await keeper.tenant()
    closed = {"resolved_at": keeper.now, "acknowledged_by": ADA, "verdict": AlertVerdict.NOISE}
    alerts = [
        an_alert(id=an_id(1), dedup_key="1", links=(Link("https://a.example", "a"),), annotations={"a": [1]}),
        an_alert(id=an_id(2), dedup_key="2", first_acknowledged_at=keeper.now, assignee=an_id(9)),
        an_alert(id=an_id(3), dedup_key="3", **closed),
    ]
    await keeper.alerts(tenant_id, alerts)
    whole = AlertQuery(AlertFilter(), AlertOrder(), PageRequest(2), keeper.now)
    async with PostgresSnapshotSource(database).snapshot(tenant_id) as snapshot:
        expected = await snapshot.alert_page(whole)
        for field in fields(Alert):
            asked = replace(whole, fields=frozenset({field.name}), with_as_of=False, with_cursors=False)
            page = await snapshot.alert_page(asked)

            assert page.as_of is None
            assert [cursor for cursor, _ in page.items] == [cursor for cursor, _ in expected.items]
            for (_, part), (_, alert) in zip(page.items, expected.items, strict=True):
                assert getattr(part, field.name) == getattr(alert, field.name)

        last = replace(whole, page=PageRequest(3, backward=True), fields=frozenset({"id"}), with_cursors=False)
        page = await snapshot.alert_page(last)
        reverse = await snapshot.alert_page(replace(last, with_cursors=True, fields=None))
        assert [alert.id for _, alert in page.items] == [alert.id for _, alert in reverse.items]
        assert [bool(cursor) for cursor, _ in page.items] == [True, False, True]
        assert (page.items[0][0], page.items[-1][0]) == (reverse.items[0][0], reverse.items[-1][0])


async def test_a_part_leaves_out_what_was_not_asked_for(database: Database, keeper: Keeper) -> None:
    tenant_id = await keeper.tenant()
    await keeper.alerts(tenant_id, [an_alert()])
    query = AlertQuery(AlertFilter(), AlertOrder(), PageRequest(2), keeper.now, fields=frozenset({"title"}))
    async with PostgresSnapshotSource(database).snapshot(tenant_id) as snapshot:
        ((_, alert),) = (await snapshot.alert_page(query)).items

    with pytest.raises(AttributeError):
        _ = alert.labels
