"""Pages of the log: whatever is asked for, walking them either way gives what `EventFilter` says of each event."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.cursor import LogCursor
from alertgraph.core.event import CONFIG_KINDS, Event, EventKind, StoredEvent, seal
from alertgraph.core.ids import AlertId
from alertgraph.core.labels import Matcher, MatchOperator
from alertgraph.core.query import EventFilter, EventQuery, EventVisibility, PageRequest, TimelineQuery
from alertgraph.core.severity import Severity
from alertgraph.core.tenant import Role
from alertgraph.services.ports import Snapshot
from alertgraph.storage.database import Database
from alertgraph.storage.snapshot import PostgresSnapshotSource
from tests.factories import HOUR, a_config_event, an_event, an_id
from tests.kept import keeping
from tests.servers import DatabaseServer
from tests.thoroughness import examples

ALERT_IDS = [an_id(number) for number in range(1, 7)]
ALERT_KINDS = sorted(set(EventKind) - CONFIG_KINDS - {EventKind.PERSONAL_DATA_READ})
SERVICES = ("checkout", "payments")
SOURCES = ("prometheus", "script")
LABELS = {"host": ("web-1", "web-2", ""), 'a"b\\é': ("x",)}


def some_events(dice: random.Random, count: int) -> list[Event]:
    """Return events about alerts, about configuration, and about neither."""
    events: list[Event] = []
    for _ in range(count):
        actor = Actor(dice.choice(list(ActorKind)), "somebody")
        match dice.randrange(8):
            case 0:
                events.append(
                    a_config_event(
                        kind=dice.choice(sorted(CONFIG_KINDS)),
                        actor=actor,
                        subject_type=dice.choice(("ApiKey", "SavedView")),
                        subject_id=dice.choice(("vew_1", "vew_2")),
                    )
                )
            case 1:
                kind = dice.choice((EventKind.PERSONAL_DATA_READ, EventKind.INCIDENT_OPENED))
                events.append(a_config_event(kind=kind, actor=actor, subject_type=None, subject_id=None))
            case _:
                before = dice.choice((None, *Severity))
                events.append(
                    an_event(
                        kind=dice.choice(ALERT_KINDS),
                        actor=actor,
                        alert_id=dice.choice(ALERT_IDS),
                        title=dice.choice(("High latency", "Disk full")),
                        severity_before=before,
                        severity_after=dice.choice(list(Severity) if before is None else (None, *Severity)),
                        service_before=dice.choice((None, *SERVICES)),
                        service_after=dice.choice((None, *SERVICES)),
                        source=dice.choice(SOURCES),
                        labels={name: dice.choice(all_) for name, all_ in LABELS.items() if dice.random() < 0.7},
                    )
                )
    return events


def some_instants(dice: random.Random, now: datetime, count: int) -> list[datetime]:
    """Return instants over the last 20 days, never going back, many of them equal."""
    instants = [now - dice.randrange(40) * 12 * HOUR for _ in range(count)]
    return sorted(instants)


def some_of(values: Sequence[object]) -> st.SearchStrategy[frozenset[object]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=4).map(frozenset) | st.just(frozenset())


COMPARED = [
    ("host", "web-1"),
    ("host", ""),
    ("host", "web-.*"),
    ('a"b\\é', "x"),
    ("absent", ""),
    ("@severity", "HIGH"),
    ("@severity", "none"),
    ("@service", "checkout"),
    ("@service", ""),
    ("@source", "script"),
    ("@title", "Disk full"),
    ("@dedup_key", "latency"),
    ("host", "\x00"),
]
MATCHERS = st.builds(
    lambda compared, operator: Matcher(compared[0], operator, compared[1]),
    st.sampled_from(COMPARED),
    st.sampled_from([MatchOperator.EQUAL, *MatchOperator]),
)


def filters(now: datetime) -> st.SearchStrategy[EventFilter]:
    """Return filters over what `some_events` makes, a few fields at a time."""
    instants = st.integers(-1, 41).map(lambda steps: now - steps * 12 * HOUR)
    rare = [EventKind.ACKNOWLEDGED, EventKind.NOTED, EventKind.ESCALATED, *sorted(CONFIG_KINDS)]
    fields: dict[str, st.SearchStrategy[object]] = {
        "kinds": some_of(list(EventKind)) | some_of(rare),
        "severity": some_of(list(Severity)),
        "monitored_service": some_of([*SERVICES, "\x00"]),
        "source": some_of([*SOURCES, ""]),
        "matchers": st.lists(MATCHERS, min_size=1, max_size=2).map(tuple),
        "alert_ids": some_of([*ALERT_IDS, AlertId(UUID(int=9))]),
        "subject_id": st.sampled_from(["vew_1", "vew_3", "\ud800"]),
        "subject_type": some_of(["ApiKey", "SavedView", "Tenant"]),
        "actor_kind": some_of(list(ActorKind)),
        "occurred_after": instants,
        "occurred_before": instants,
    }
    return st.sets(st.sampled_from(sorted(fields)), max_size=3).flatmap(
        lambda names: st.builds(EventFilter, **{name: fields[name] for name in sorted(names)})
    )


async def walked(snapshot: Snapshot, query: EventQuery, *, backward: bool) -> list[int]:
    """Return the numbers of all events of a list, page after page, in the list's order."""
    found: list[int] = []
    cursor: str | None = None
    while True:
        request = replace(query.page, backward=backward, **{"before" if backward else "after": cursor})
        page = await snapshot.event_page(replace(query, page=request))
        numbers = [stored.number for _, stored in page.items]
        found = numbers + found if backward else found + numbers
        more, came_from = (page.has_previous, page.has_next) if backward else (page.has_next, page.has_previous)
        assert came_from is (cursor is not None)
        if not more:
            return found
        assert len(numbers) == query.page.size
        cursor = page.items[0 if backward else -1][0]


@pytest.mark.both_servers
def test_pages_are_what_the_filter_says_of_every_event(database_server: DatabaseServer, database_url: str) -> None:
    with asyncio.Runner() as runner:
        database = runner.run(Database.connect(database_url))
        source = PostgresSnapshotSource(database)
        dice = random.Random(5)

        async def prepare() -> tuple[UUID, list[StoredEvent], datetime]:
            async with keeping(database_server, database_url) as keeper:
                tenant_id, other_id = await keeper.tenant(), await keeper.tenant()
                events = some_events(dice, 400)
                instants = some_instants(dice, keeper.now, 400)
                await keeper.events(tenant_id, events, recorded_at=instants)
                await keeper.events(other_id, some_events(dice, 50), recorded_at=instants[:50])
                await keeper.analyze()
                numbered = zip(events, instants, strict=True)
                return (
                    tenant_id,
                    [
                        StoredEvent(number, at, UUID(int=number), event, "", b"", None)
                        for number, (event, at) in enumerate(numbered, 1)
                    ],
                    keeper.now,
                )

        tenant_id, stored, now = runner.run(prepare())

        @settings(max_examples=examples(40), suppress_health_check=list(HealthCheck))
        @given(
            wanted=filters(now),
            size=st.sampled_from([2, 10, 60, 100]),
            visibility=st.just(EventVisibility())
            | st.builds(
                EventVisibility,
                st.sampled_from([Role.VIEWER, Role.RESPONDER, Role.ADMIN]),
                st.just(()) | MATCHERS.map(lambda matcher: (matcher,)),
            ),
        )
        def check_pages(wanted: EventFilter, size: int, visibility: EventVisibility) -> None:
            expected = [one.number for one in stored if wanted.matches(one) and visibility.sees(one)]
            query = EventQuery(wanted, PageRequest(max(size, len(expected) // 6)), visibility)

            async def read() -> None:
                async with source.snapshot(tenant_id) as snapshot:
                    assert await walked(snapshot, query, backward=False) == expected
                    assert await walked(snapshot, query, backward=True) == expected

            runner.run(read())

        @settings(max_examples=examples(30), suppress_health_check=list(HealthCheck))
        @given(
            alert_ids=st.lists(st.sampled_from([*ALERT_IDS, AlertId(UUID(int=9))]), unique=True).map(tuple),
            kinds=st.none() | some_of(list(EventKind)),
            size=st.integers(1, 100),
            backward=st.booleans(),
            turn=st.integers(0, 399),
        )
        def check_timelines(
            alert_ids: tuple[AlertId, ...],
            kinds: frozenset[EventKind] | None,
            size: int,
            backward: bool,
            turn: int,
        ) -> None:
            edge = stored[turn]
            cursor = LogCursor(1, edge.number, edge.recorded_at, seal(edge.event).leaf[:4]).encode()
            request = PageRequest(size, before=cursor, backward=True) if backward else PageRequest(size, cursor)

            async def read() -> None:
                async with source.snapshot(tenant_id) as snapshot:
                    pages = await snapshot.timelines(TimelineQuery(alert_ids, kinds, request))
                assert list(pages) == list(alert_ids)
                for alert_id, page in pages.items():
                    every = [
                        one.number
                        for one in stored
                        if one.event.alert_id == alert_id
                        and (kinds is None or one.event.kind in kinds)
                        and (one.number < edge.number if backward else one.number > edge.number)
                    ]
                    expected = every[-size:] if backward else every[:size]
                    assert [one.number for _, one in page.items] == expected
                    assert (page.has_previous if backward else page.has_next) is (len(every) > size)

            runner.run(read())

        check_pages()
        check_timelines()
        runner.run(database.close())
