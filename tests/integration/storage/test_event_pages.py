"""The log's pages: cursors that are refused, events by their keys, and how far judging goes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from alertgraph.core.cursor import LogCursor, log_start
from alertgraph.core.errors import CursorExpiredError, InputError
from alertgraph.core.event import EventKind, StoredEvent
from alertgraph.core.ids import EPOCH, EventKey, TenantId
from alertgraph.core.labels import Matcher, MatchOperator
from alertgraph.core.query import EventFilter, EventQuery, Page, PageRequest, TimelineQuery
from alertgraph.storage import event_pages
from alertgraph.storage.database import Database
from alertgraph.storage.snapshot import PostgresSnapshotSource
from tests.factories import HOUR, a_config_event, an_event, an_id
from tests.kept import Keeper, keeping
from tests.servers import DatabaseServer

pytestmark = pytest.mark.both_servers


@pytest.fixture
async def source(database_url: str) -> AsyncIterator[PostgresSnapshotSource]:
    database = await Database.connect(database_url)
    yield PostgresSnapshotSource(database)
    await database.close()


@pytest.fixture
async def keeper(database_server: DatabaseServer, database_url: str) -> AsyncIterator[Keeper]:
    async with keeping(database_server, database_url) as keeper:
        yield keeper


async def page_of(
    source: PostgresSnapshotSource, tenant_id: TenantId, page: PageRequest, wanted: EventFilter | None = None
) -> Page[StoredEvent]:
    """Return a page of a tenant's log, read in a snapshot of its own."""
    async with source.snapshot(tenant_id) as snapshot:
        return await snapshot.event_page(EventQuery(wanted or EventFilter(), page))


async def a_log(keeper: Keeper, count: int = 5) -> TenantId:
    """Return a tenant with so many events, a minute apart."""
    tenant_id = await keeper.tenant()
    instants = [keeper.now - timedelta(minutes=count - number) for number in range(count)]
    events = [an_event(title=f"event {number}") for number in range(1, count + 1)]
    await keeper.events(tenant_id, events, recorded_at=instants)
    return tenant_id


async def test_an_edge_and_as_of_are_one_cursor_for_one_position(
    source: PostgresSnapshotSource, keeper: Keeper
) -> None:
    tenant_id = await a_log(keeper)
    page = await page_of(source, tenant_id, PageRequest(2, backward=True))
    assert page.items[-1][0] == page.as_of.encode()
    assert [stored.number for _, stored in page.items] == [4, 5]
    behind = await page_of(source, tenant_id, PageRequest(2, after=page.as_of.encode()))
    assert (list(behind.items), behind.has_next, behind.has_previous) == ([], False, True)


async def test_an_empty_log_ends_at_its_start(source: PostgresSnapshotSource, keeper: Keeper) -> None:
    tenant_id = await keeper.tenant()
    page = await page_of(source, tenant_id, PageRequest(2))
    assert (list(page.items), page.as_of) == ([], log_start(1))
    start = page.as_of.encode()
    await keeper.events(tenant_id, [an_event()])
    assert len((await page_of(source, tenant_id, PageRequest(2, after=start))).items) == 1
    assert len((await page_of(source, tenant_id, PageRequest(2, before=start, backward=True))).items) == 0


@pytest.mark.parametrize("name", ["after", "before"])
@pytest.mark.parametrize("text", ["", "x", "AAAA", "é", "A" * 5000, "\x00"])
async def test_what_is_no_cursor_is_refused_by_name(
    source: PostgresSnapshotSource, keeper: Keeper, name: str, text: str
) -> None:
    tenant_id = await a_log(keeper)
    page = PageRequest(2, **{name: text})
    with pytest.raises(InputError) as refused:
        await page_of(source, tenant_id, page)
    assert refused.value.problems[0].path == (name,)
    async with source.snapshot(tenant_id) as snapshot:
        with pytest.raises(InputError):
            await snapshot.timelines(TimelineQuery((an_id(),), None, page))


async def test_a_cursor_of_another_log_has_expired(source: PostgresSnapshotSource, keeper: Keeper) -> None:
    tenant_id = await a_log(keeper)
    page = await page_of(source, tenant_id, PageRequest(5))
    third = LogCursor(1, 3, page.items[2][1].recorded_at, page.items[2][1].leaf[:4])
    assert third.encode() == page.items[2][0]
    others = [
        replace(third, log_epoch=2),
        replace(third, hash_start=b"none"),
        replace(third, recorded_at=EPOCH),
        replace(third, recorded_at=datetime(9999, 1, 1, tzinfo=UTC)),
        replace(third, number=6),
        replace(third, number=(1 << 63) - 1),
        replace(third, log_epoch=(1 << 32) - 1, number=0),
    ]
    for other in others:
        for request in (
            PageRequest(2, after=other.encode()),
            PageRequest(2, before=other.encode(), backward=True),
        ):
            with pytest.raises(CursorExpiredError):
                await page_of(source, tenant_id, request)


async def test_a_cursor_that_retention_has_passed_has_expired(
    source: PostgresSnapshotSource, keeper: Keeper
) -> None:
    tenant_id = await a_log(keeper)
    page = await page_of(source, tenant_id, PageRequest(5))
    cursors = [cursor for cursor, _ in page.items]
    await keeper.connection.execute("DELETE FROM event WHERE number <= 2")
    await keeper.connection.execute("UPDATE tenant_head SET pruned_number = 2")

    for expired in (PageRequest(9, after=cursors[0]), PageRequest(9, after=log_start(1).encode())):
        with pytest.raises(CursorExpiredError):
            await page_of(source, tenant_id, expired)
    for expired in (PageRequest(9, before=cursors[0], backward=True), PageRequest(9, before=cursors[1])):
        with pytest.raises(CursorExpiredError):
            await page_of(source, tenant_id, expired)
    # Behind the last that was removed nothing is missing.
    for request in (PageRequest(9, after=cursors[1]), PageRequest(9)):
        rest = await page_of(source, tenant_id, request)
        assert [stored.number for _, stored in rest.items] == [3, 4, 5]
    before = await page_of(source, tenant_id, PageRequest(9, before=cursors[2], backward=True))
    assert list(before.items) == []


async def test_a_cursor_of_another_tenant_tells_nothing(source: PostgresSnapshotSource, keeper: Keeper) -> None:
    tenant_id, other_id = await a_log(keeper), await a_log(keeper, 9)
    cursor = (await page_of(source, other_id, PageRequest(9))).items[2][0]
    try:
        page = await page_of(source, tenant_id, PageRequest(9, after=cursor))
    except CursorExpiredError:
        return
    # The same event at the same time has the same cursor; what it opens is one's own log.
    assert [stored.number for _, stored in page.items] == [4, 5]


async def test_events_are_found_by_their_keys(source: PostgresSnapshotSource, keeper: Keeper) -> None:
    tenant_id, other_id = await a_log(keeper), await a_log(keeper, 9)
    stored = [one for _, one in (await page_of(source, tenant_id, PageRequest(5))).items]
    others = [one for _, one in (await page_of(source, other_id, PageRequest(9))).items]
    keys = [EventKey(one.number, one.recorded_at) for one in (stored[1], stored[4])]
    wrong = [EventKey(2, stored[0].recorded_at), EventKey((1 << 63) - 1, stored[0].recorded_at)]
    foreign = [EventKey(one.number, one.recorded_at) for one in others[5:]]

    async with source.snapshot(tenant_id) as snapshot:
        assert await snapshot.events([*keys, *wrong, *foreign]) == {keys[0]: stored[1], keys[1]: stored[4]}
        assert await snapshot.events([]) == {}


async def test_timelines_of_no_alert_and_of_another_tenants(
    source: PostgresSnapshotSource, keeper: Keeper
) -> None:
    tenant_id, other_id = await keeper.tenant(), await a_log(keeper)
    await keeper.events(tenant_id, [a_config_event()])
    async with source.snapshot(tenant_id) as snapshot:
        pages = await snapshot.timelines(TimelineQuery((an_id(), an_id(2)), None, PageRequest(5)))
        assert await snapshot.timelines(TimelineQuery((), None, PageRequest(5))) == {}
    assert {alert_id: list(page.items) for alert_id, page in pages.items()} == {an_id(): [], an_id(2): []}
    async with source.snapshot(other_id) as snapshot:
        pages = await snapshot.timelines(TimelineQuery((an_id(), an_id(2)), None, PageRequest(5)))
    assert [len(page.items) for page in pages.values()] == [5, 0]


async def test_instants_at_the_ends_of_time_are_instants(source: PostgresSnapshotSource, keeper: Keeper) -> None:
    tenant_id = await a_log(keeper)
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    for wanted, count in (
        (EventFilter(occurred_after=first, occurred_before=last), 5),
        (EventFilter(occurred_after=last), 0),
        (EventFilter(occurred_before=first), 0),
        (EventFilter(occurred_after=keeper.now - HOUR, occurred_before=keeper.now - timedelta(minutes=2)), 3),
    ):
        assert len((await page_of(source, tenant_id, PageRequest(9), wanted)).items) == count


async def test_judging_event_by_event_ends_and_goes_on(
    source: PostgresSnapshotSource, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant_id = await keeper.tenant()
    numbers = (1, 2, 60, 100)
    await keeper.events(
        tenant_id,
        [
            an_event(kind=EventKind.REPEATED, labels={"wanted": "yes"} if number in numbers else {})
            for number in range(1, 301)
        ],
    )
    monkeypatch.setattr(event_pages, "_CHUNK", 11)
    monkeypatch.setattr(event_pages, "EXAMINED_MAX", 20)
    monkeypatch.setattr(event_pages, "EMPTY_EXAMINED_MAX", 150)
    wanted = EventFilter(matchers=(Matcher("wanted", MatchOperator.REGEX, "y.s"),))

    seen: list[int] = []
    cursor = None
    for _ in range(3):
        page = await page_of(source, tenant_id, PageRequest(3, after=cursor), wanted)
        assert page.has_next
        seen += [stored.number for _, stored in page.items]
        cursor = page.items[-1][0]
    assert seen == list(numbers)
    with pytest.raises(InputError) as refused:
        await page_of(source, tenant_id, PageRequest(3, after=cursor), wanted)
    assert refused.value.problems[0].path == ("filter", "matchers")
