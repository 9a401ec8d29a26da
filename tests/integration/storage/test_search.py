"""Searching: every word and label finds exactly its alerts, whatever the index has read by then."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from alertgraph.core.alert import Alert
from alertgraph.core.errors import InputError
from alertgraph.core.event import EventKind, FieldChange
from alertgraph.core.ids import TenantId
from alertgraph.core.labels import Matcher, MatchOperator
from alertgraph.core.query import AlertFilter, AlertOrder, AlertQuery, PageRequest
from alertgraph.core.search import alert_words, search_words
from alertgraph.services.indexing import BATCH_LENGTH, PAUSE, SWEEP_INTERVAL, IndexingService
from alertgraph.storage import search
from alertgraph.storage.alert_pages import judging
from alertgraph.storage.database import Database
from alertgraph.storage.search import PostgresSearchIndex
from alertgraph.storage.snapshot import PostgresSnapshotSource
from tests.factories import DAY, an_alert, an_event
from tests.kept import Keeper, keeping
from tests.servers import DatabaseServer
from tests.virtual import VirtualClock

pytestmark = pytest.mark.both_servers

WORDS = ("disk", "full", "größe", "latency", "p99", "node", "東京")
HOSTS = ("web-1", "web-2", "x" * 300)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await Database.connect(database_url)
    yield database
    await database.close()


@pytest.fixture
async def keeper(database_server: DatabaseServer, database_url: str) -> AsyncIterator[Keeper]:
    async with keeping(database_server, database_url) as keeper:
        yield keeper


def some_alerts(keeper: Keeper, count: int, *, age: timedelta = timedelta(0)) -> list[Alert]:
    """Return alerts with words and labels, open and closed, made that long ago."""
    dice = random.Random(count)
    return [
        an_alert(
            id=keeper.id_at(keeper.now - age),
            dedup_key=f"{age} {number}",
            title=f"{dice.choice(WORDS).upper()} alert_{number}",
            description=f"It is {dice.choice(WORDS)}.",
            labels={"host": dice.choice(HOSTS), "number": str(number)},
            resolved_at=keeper.now if number % 2 else None,
            triggered_at=keeper.now - timedelta(seconds=number),
        )
        for number in range(count)
    ]


async def found(database: Database, tenant_id: TenantId, wanted: AlertFilter) -> set[str]:
    """Return the dedup keys of all alerts that a filter finds, up to 100."""
    async with PostgresSnapshotSource(database).snapshot(tenant_id) as snapshot:
        query = AlertQuery(wanted, AlertOrder(), PageRequest(100), now=(await snapshot.as_of()).recorded_at)
        page = await snapshot.alert_page(query)
    assert not page.has_next
    return {alert.dedup_key for _, alert in page.items}


async def check_every_term(database: Database, tenant_id: TenantId, alerts: list[Alert]) -> None:
    """Compare what every word and every label finds with a look at all alerts."""
    for word in (*WORDS, "rewritten", "nothing"):
        expected = {
            alert.dedup_key
            for alert in alerts
            if search_words(word) <= alert_words(alert.title, alert.description)
        }
        assert await found(database, tenant_id, AlertFilter(search=word)) == expected, word
    for host in (*HOSTS, "web-3"):
        expected = {alert.dedup_key for alert in alerts if alert.labels.get("host") == host}
        matcher = Matcher("host", MatchOperator.EQUAL, host)
        assert await found(database, tenant_id, AlertFilter(matchers=(matcher,))) == expected, host


async def rewritten(keeper: Keeper, tenant_id: TenantId, alert: Alert) -> Alert:
    """Give an alert other texts and labels, as an update does."""
    changed = replace(alert, title="Rewritten", description="", labels={"host": "web-2"})
    for table in ("alert_open", "alert_closed", "alert_closed_late"):
        await keeper.connection.execute(
            f"UPDATE {table} SET title = $3, description = '', labels = $4 WHERE tenant_id = $1 AND id = $2",
            tenant_id,
            alert.id,
            changed.title,
            changed.labels,
        )
    change = FieldChange("labels", dict(alert.labels), dict(changed.labels))
    await keeper.events(
        tenant_id,
        [an_event(kind=EventKind.UPDATED, alert_id=alert.id, labels=changed.labels, changes=(change,))],
    )
    return changed


async def test_finds_alerts_before_and_after_they_are_indexed(database: Database, keeper: Keeper) -> None:
    tenant_id, other_id = await keeper.tenant(), await keeper.tenant()
    alerts = await keeper.alerts(tenant_id, some_alerts(keeper, 40))
    await keeper.alerts(other_id, some_alerts(keeper, 41))
    index = PostgresSearchIndex(database)

    await check_every_term(database, tenant_id, alerts)
    assert await index.advance(tenant_id, 25) == 25
    await check_every_term(database, tenant_id, alerts)
    alerts[3], alerts[30] = [await rewritten(keeper, tenant_id, alerts[place]) for place in (3, 30)]
    await check_every_term(database, tenant_id, alerts)
    assert await index.advance(tenant_id, 100) == 17
    await check_every_term(database, tenant_id, alerts)
    assert await index.advance(tenant_id, 100) == 0


async def test_finds_alerts_of_months_whose_partitions_are_gone(database: Database, keeper: Keeper) -> None:
    tenant_id = await keeper.tenant()
    alerts = await keeper.alerts(tenant_id, [*some_alerts(keeper, 20), *some_alerts(keeper, 21, age=800 * DAY)])
    assert await PostgresSearchIndex(database).advance(tenant_id, 100) == 41

    await check_every_term(database, tenant_id, alerts)
    alerts[25], alerts[26] = [await rewritten(keeper, tenant_id, alerts[place]) for place in (25, 26)]
    assert await PostgresSearchIndex(database).advance(tenant_id, 100) == 2
    await check_every_term(database, tenant_id, alerts)


async def test_what_is_too_common_is_found_by_looking(
    database: Database, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant_id = await keeper.tenant()
    alerts = await keeper.alerts(tenant_id, some_alerts(keeper, 60))
    monkeypatch.setattr(search, "UNREAD_MAX", 5)
    await check_every_term(database, tenant_id, alerts)
    await PostgresSearchIndex(database).advance(tenant_id, 100)
    monkeypatch.setattr(search, "FOUND_MAX", 5)
    await check_every_term(database, tenant_id, alerts)


async def test_an_alert_that_lost_its_last_word_is_not_found_by_it(database: Database, keeper: Keeper) -> None:
    tenant_id = await keeper.tenant()
    [alert] = await keeper.alerts(tenant_id, [an_alert(title="disk", labels={})])
    index = PostgresSearchIndex(database)
    await index.advance(tenant_id, 10)
    await keeper.connection.execute("UPDATE alert_open SET title = '!!'")
    await keeper.events(tenant_id, [an_event(kind=EventKind.UPDATED, alert_id=alert.id)])
    await index.advance(tenant_id, 10)

    assert await found(database, tenant_id, AlertFilter(search="disk")) == set()


@pytest.mark.parametrize("text", ["", " ", "a", "!?", "_", "x" * 65, "y" * 1025])
async def test_a_search_without_a_word_is_refused(database: Database, keeper: Keeper, text: str) -> None:
    tenant_id = await keeper.tenant()
    with pytest.raises(InputError) as refused:
        await found(database, tenant_id, AlertFilter(search=text))
    assert refused.value.problems[0].path == ("filter", "search")


async def test_judging_row_by_row_ends_and_goes_on(
    database: Database, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant_id = await keeper.tenant()
    alerts = await keeper.alerts(tenant_id, some_alerts(keeper, 400))
    monkeypatch.setattr(judging, "EXAMINED_MAX", 20)
    monkeypatch.setattr(judging, "EMPTY_EXAMINED_MAX", 150)
    monkeypatch.setattr(judging, "CHUNK", 11)
    numbers = (0, 5, 6, 90, 91, 247, 380)
    pattern = Matcher("number", MatchOperator.REGEX, "|".join(map(str, numbers)))
    wanted = AlertQuery(AlertFilter(matchers=(pattern,)), AlertOrder(), PageRequest(10), keeper.now)

    async with PostgresSnapshotSource(database).snapshot(tenant_id) as snapshot:
        seen: list[Alert] = []
        pages, cursor, more = 0, None, True
        while more:
            page = await snapshot.alert_page(replace(wanted, page=PageRequest(10, after=cursor)))
            seen += [alert for _, alert in page.items]
            cursor, more, pages = page.items[-1][0] if page.items else None, page.has_next, pages + 1
        assert seen == [alerts[number] for number in numbers]
        assert pages > 2

        nothing = Matcher("number", MatchOperator.REGEX, "none")
        with pytest.raises(InputError) as refused:
            await snapshot.alert_page(replace(wanted, filter=AlertFilter(matchers=(nothing,))))
    assert refused.value.problems[0].path == ("filter", "matchers")


# --------------------------------------------------------------------------------------- suggestions


async def suggestions(
    database: Database, tenant_id: TenantId, label: str | None, prefix: str = "", limit: int = 10
) -> list[str]:
    async with PostgresSnapshotSource(database).snapshot(tenant_id) as snapshot:
        return list(await snapshot.label_suggestions(label, prefix, limit))


async def test_labels_are_suggested_the_commonest_first(database: Database, keeper: Keeper) -> None:
    tenant_id, other_id = await keeper.tenant(), await keeper.tenant()
    labels = [{"host": "web-1", "team": "core"}] * 3 + [{"host": "web-2"}] * 2 + [{"host": "db", "zone": "ä%_"}]
    await keeper.alerts(
        tenant_id,
        [an_alert(id=keeper.id_at(keeper.now), dedup_key=str(n), labels=one) for n, one in enumerate(labels)],
    )
    await keeper.alerts(other_id, [an_alert(labels={"secret": "of another"})])
    index = PostgresSearchIndex(database)
    await index.advance(tenant_id, 2)
    await index.advance(tenant_id, 100)
    await index.advance(other_id, 100)

    assert await suggestions(database, tenant_id, None) == ["host", "team", "zone"]
    assert await suggestions(database, tenant_id, None, "t") == ["team"]
    assert await suggestions(database, tenant_id, "host") == ["web-1", "web-2", "db"]
    assert await suggestions(database, tenant_id, "host", "web", 1) == ["web-1"]
    assert await suggestions(database, tenant_id, "zone", "ä%") == ["ä%_"]
    assert await suggestions(database, tenant_id, "zone", "a%") == []
    assert await suggestions(database, tenant_id, "host", "\x00") == []
    assert await suggestions(database, tenant_id, "\ud800") == []
    assert await suggestions(database, tenant_id, "secret") == []


async def test_an_update_counts_only_the_labels_that_are_new(database: Database, keeper: Keeper) -> None:
    tenant_id = await keeper.tenant()
    [alert] = await keeper.alerts(tenant_id, [an_alert(labels={"host": "web-1", "team": "core"})])
    change = FieldChange("labels", dict(alert.labels), {"host": "web-2", "team": "core"})
    await keeper.events(
        tenant_id,
        [
            an_event(kind=EventKind.UPDATED, alert_id=alert.id, changes=(change,)),
            an_event(kind=EventKind.ACKNOWLEDGED, alert_id=alert.id),
        ],
    )
    await PostgresSearchIndex(database).advance(tenant_id, 100)

    rows = await keeper.connection.fetch("SELECT label, value, uses FROM label_usage ORDER BY label, value")
    assert [tuple(row) for row in rows] == [("host", "web-1", 1), ("host", "web-2", 1), ("team", "core", 1)]


# --------------------------------------------------------------------------------------- the indexer


async def test_two_indexers_count_each_label_once(database: Database, keeper: Keeper) -> None:
    tenant_id = await keeper.tenant()
    await keeper.alerts(
        tenant_id,
        [
            an_alert(id=keeper.id_at(keeper.now), dedup_key=str(number), labels={"host": "web-1"})
            for number in range(200)
        ],
    )
    index = PostgresSearchIndex(database)

    async def advance() -> int:
        return sum([await index.advance(tenant_id, 7) for _ in range(40)])

    counts = await asyncio.gather(*(advance() for _ in range(4)))

    assert sum(counts) + await advance() == 200
    assert await keeper.connection.fetchval("SELECT uses FROM label_usage") == 200
    assert await keeper.connection.fetchval("SELECT count(*) FROM alert_terms") == 200


async def test_who_has_claimed_a_tenant_is_not_waited_for(database: Database, keeper: Keeper) -> None:
    tenant_id = await keeper.tenant()
    await keeper.alerts(tenant_id, some_alerts(keeper, 3))
    index = PostgresSearchIndex(database)
    await index.advance(tenant_id, 1)
    async with keeper.connection.transaction():
        await keeper.connection.execute("SELECT FROM index_position FOR UPDATE")
        assert await index.advance(tenant_id, 10) == 0
    assert await index.advance(tenant_id, 10) == 2


async def test_events_that_retention_removed_are_passed_over(database: Database, keeper: Keeper) -> None:
    tenant_id = await keeper.tenant()
    alerts = await keeper.alerts(tenant_id, some_alerts(keeper, 30))
    await keeper.connection.execute("DELETE FROM event WHERE number <= 25")
    index = PostgresSearchIndex(database)
    assert [await index.advance(tenant_id, 10) for _ in range(4)] == [10, 10, 10, 0]

    assert await found(database, tenant_id, AlertFilter(search="alert_29")) == {alerts[29].dedup_key}


class Failures:
    """What an observer is told of failures."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def failed(self, part: str, error: BaseException) -> None:
        self.errors.append(error)


async def settled(clock: VirtualClock, index: PostgresSearchIndex) -> None:
    """Let the loop run for two seconds of its clock, with real time for what it waits for."""
    for _ in range(int(2 * SWEEP_INTERVAL / PAUSE)):
        for _ in range(20):
            await asyncio.sleep(0.005)
        clock.advance(PAUSE)
        if not await index.tenants_behind(10):
            return


async def test_the_loop_finds_tenants_with_news_by_itself(database: Database, keeper: Keeper) -> None:
    tenants = [await keeper.tenant() for _ in range(3)]
    for tenant_id in tenants:
        await keeper.alerts(tenant_id, some_alerts(keeper, 5))
    index, clock, failures = PostgresSearchIndex(database), VirtualClock(), Failures()
    service = IndexingService(index, clock, failures)  # type: ignore[arg-type]
    task = asyncio.create_task(service.run())
    try:
        await settled(clock, index)
        assert await index.tenants_behind(10) == []
        await keeper.alerts(tenants[1], some_alerts(keeper, 6, age=timedelta(hours=1)))
        assert await index.tenants_behind(10) == [tenants[1]]
        await settled(clock, index)
        assert await index.tenants_behind(10) == []
        assert failures.errors == []
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_index_reads_to_the_end(database: Database, keeper: Keeper) -> None:
    tenant_id = await keeper.tenant()
    [alert] = await keeper.alerts(tenant_id, some_alerts(keeper, 1))
    repeats = [an_event(kind=EventKind.REPEATED, alert_id=alert.id) for _ in range(BATCH_LENGTH + 10)]
    await keeper.events(tenant_id, repeats)

    service = IndexingService(PostgresSearchIndex(database), VirtualClock(), Failures())  # type: ignore[arg-type]

    assert await service.index(tenant_id) == BATCH_LENGTH + 11
    assert await service.index(tenant_id) == 0
