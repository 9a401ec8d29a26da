"""Pages of alerts: whatever is asked for, walking them either way gives what sorting and filtering all would."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertgraph.core.alert import Alert, AlertStatus, AlertVerdict, alert_match_values
from alertgraph.core.event import EventKind, FieldChange
from alertgraph.core.ids import AlertId
from alertgraph.core.labels import Matcher, MatchOperator, matches_all
from alertgraph.core.query import AlertFilter, AlertOrder, AlertOrderField, AlertQuery, Page, PageRequest
from alertgraph.core.search import alert_words, search_words
from alertgraph.core.severity import Severity
from alertgraph.core.slo import SlaClocks, acknowledge_breached, resolve_breached
from alertgraph.services.ports import Snapshot
from alertgraph.storage import search
from alertgraph.storage.database import Database
from alertgraph.storage.search import PostgresSearchIndex
from alertgraph.storage.snapshot import PostgresSnapshotSource
from tests.factories import ADA, DAY, HOUR, MINUTE, an_alert, an_event
from tests.kept import Keeper, keeping
from tests.servers import DatabaseServer

SERVICES = ("checkout", "payments", "search")
SOURCES = ("prometheus", "script")
WORDS = ("disk", "full", "Größe", "latency", "p99", "node_cpu", "東京", "a")
LABELS = {"host": ("web-1", "web-2", ""), "team": ("core", "x" * 300), "env\u00a0x": ("prod",)}


def some_alerts(keeper: Keeper, dice: random.Random, count: int) -> list[Alert]:
    """Return alerts of every sort, with many ties and some so old that their month has no partition."""
    instants = [keeper.now - timedelta(hours=hours) for hours in range(12)]

    def at_random(chance: float) -> datetime | None:
        return dice.choice(instants) if dice.random() < chance else None

    alerts = []
    for number in range(count):
        status = dice.choice(list(AlertStatus))
        made_at = keeper.now - (900 * DAY if dice.random() < 0.2 else dice.random() * 20 * DAY)
        closed, triggered_at = status is AlertStatus.RESOLVED, dice.choice(instants)
        alerts.append(
            an_alert(
                id=AlertId(keeper.id_at(made_at)),
                status=status,
                # Closed alerts share keys, as an alert's history does.
                dedup_key=f"key-{number % 5}" if closed else f"open-{number}",
                severity=dice.choice(list(Severity)),
                monitored_service=dice.choice((*SERVICES, None)),
                source=dice.choice(SOURCES),
                title=" ".join(dice.choices(WORDS, k=2)),
                description=" ".join(dice.choices(WORDS, k=dice.randrange(4))),
                labels={name: dice.choice(values) for name, values in LABELS.items() if dice.random() < 0.6},
                triggered_at=triggered_at,
                last_seen_at=dice.choice(instants),
                first_acknowledged_at=at_random(0.4),
                resolved_at=max(triggered_at, dice.choice(instants)) if closed else None,
                resolved_by=ADA if closed else None,
                escalation_level=dice.randrange(4),
                sla=SlaClocks(dice.choice(instants), dice.choice(instants)),
                verdict=dice.choice((None, *AlertVerdict)),
            )
        )
    return alerts


async def rewritten(keeper: Keeper, tenant_id: UUID, alert: Alert) -> Alert:
    """Give an alert other texts and labels, as an update does, and return it as it is then."""
    changed = replace(alert, title="rewritten disk", labels={"host": "web-2"})
    table = "alert_open" if alert.is_open else "alert_closed"
    for name in (table, "alert_closed_late"):
        await keeper.connection.execute(
            f"UPDATE {name} SET title = $3, labels = $4 WHERE tenant_id = $1 AND id = $2",
            tenant_id,
            alert.id,
            changed.title,
            changed.labels,
        )
    change = FieldChange("labels", dict(alert.labels), dict(changed.labels))
    event = an_event(kind=EventKind.UPDATED, alert_id=alert.id, labels=changed.labels, changes=(change,))
    await keeper.events(tenant_id, [event])
    return changed


def is_wanted(alert: Alert, wanted: AlertFilter, scope: tuple[Matcher, ...], now: datetime) -> bool:
    """Say what the contract says of a filter, one alert at a time."""
    ended, seen = alert.resolved_at, alert.first_acknowledged_at
    breached = acknowledge_breached(alert.sla, seen, ended, now) or resolve_breached(alert.sla, ended, now)
    values = alert_match_values(alert)
    return (
        (wanted.status is None or alert.status in wanted.status)
        and (wanted.severity is None or alert.severity in wanted.severity)
        and (wanted.monitored_service is None or alert.monitored_service in wanted.monitored_service)
        and (wanted.source is None or alert.source in wanted.source)
        and (wanted.dedup_key is None or alert.dedup_key in wanted.dedup_key)
        and matches_all((*wanted.matchers, *scope), values)
        and (wanted.search is None or search_words(wanted.search) <= alert_words(alert.title, alert.description))
        and (wanted.triggered_after is None or alert.triggered_at >= wanted.triggered_after)
        and (wanted.triggered_before is None or alert.triggered_at < wanted.triggered_before)
        and (wanted.resolved_after is None or (ended is not None and ended >= wanted.resolved_after))
        and (wanted.resolved_before is None or (ended is not None and ended < wanted.resolved_before))
        and (wanted.escalation_level_min is None or alert.escalation_level >= wanted.escalation_level_min)
        and (wanted.sla_breached is None or breached is wanted.sla_breached)
        and (wanted.verdict is None or alert.verdict in wanted.verdict)
    )


def in_order(alerts: Sequence[Alert], order: AlertOrder) -> list[Alert]:
    """Return alerts sorted by an order, equal ones by id."""

    def place(alert: Alert) -> tuple[datetime | int, UUID]:
        match order.field:
            case AlertOrderField.TRIGGERED_AT:
                return alert.triggered_at, alert.id
            case AlertOrderField.LAST_SEEN_AT:
                return alert.last_seen_at, alert.id
            case AlertOrderField.SEVERITY:
                return alert.severity, alert.id

    return sorted(alerts, key=place, reverse=order.descending)


def lists(values: Sequence[object]) -> st.SearchStrategy[tuple[object, ...]]:
    """Return some of the values: seldom none of them, which matches nothing."""
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True).map(tuple) | st.just(())


COMPARED = [
    ("host", "web-1"),
    ("host", ""),
    ("team", "core"),
    ("team", "x" * 300),
    ("env\u00a0x", "prod"),
    ("host", "web-.|core"),
    ("absent", ""),
    ("absent", ".*"),
    ("@severity", "HIGH"),
    ("@severity", "high"),
    ("@service", "checkout"),
    ("@service", ""),
    ("@source", "script"),
    ("@title", "rewritten disk"),
    ("@title", ".*disk.*"),
    ("@dedup_key", "key-1"),
    ("host", "\x00"),
]
MATCHERS = st.builds(
    lambda compared, operator: Matcher(compared[0], operator, compared[1]),
    st.sampled_from(COMPARED),
    st.sampled_from([MatchOperator.EQUAL, *MatchOperator]),
)


def filters(now: datetime) -> st.SearchStrategy[AlertFilter]:
    """Return filters over what `some_alerts` makes."""
    instants = st.integers(-2, 14).map(lambda hours: now - hours * HOUR)
    fields: dict[str, st.SearchStrategy[object]] = {
        "status": lists(list(AlertStatus)),
        "severity": lists(list(Severity)),
        "monitored_service": lists([*SERVICES, "nothing", "\x00"]),
        "source": lists([*SOURCES, "\ud800"]),
        "dedup_key": lists(["key-0", "key-1", "open-3", "open-10"]),
        "matchers": st.lists(MATCHERS, min_size=1, max_size=2).map(tuple),
        "search": st.lists(st.sampled_from(WORDS[:-1]), min_size=1, max_size=2).map(" ".join),
        "triggered_after": instants,
        "triggered_before": instants,
        "resolved_after": instants,
        "resolved_before": instants,
        "escalation_level_min": st.integers(-1, 4),
        "sla_breached": st.booleans(),
        "verdict": lists(list(AlertVerdict)),
    }
    # A few at a time: all together they would match nothing.
    return st.sets(st.sampled_from(sorted(fields)), max_size=3).flatmap(
        lambda names: st.builds(AlertFilter, **{name: fields[name] for name in sorted(names)})
    )


async def walked(snapshot: Snapshot, query: AlertQuery, *, backward: bool) -> list[Alert]:
    """Return all pages of a list, one after the other, in the list's order; each says what lies around it."""
    found: list[Alert] = []
    cursor: str | None = None
    while True:
        request = replace(query.page, backward=backward, **{"before" if backward else "after": cursor})
        page: Page[Alert] = await snapshot.alert_page(replace(query, page=request))
        alerts = [alert for _, alert in page.items]
        found = alerts + found if backward else found + alerts
        more, came_from = (page.has_previous, page.has_next) if backward else (page.has_next, page.has_previous)
        assert came_from is (cursor is not None)
        if not more:
            return found
        assert len(alerts) == query.page.size
        cursor = page.items[0 if backward else -1][0]


@pytest.mark.both_servers
def test_pages_are_what_sorting_and_filtering_everything_gives(
    database_server: DatabaseServer, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with asyncio.Runner() as runner:
        database = runner.run(Database.connect(database_url))
        source = PostgresSnapshotSource(database)

        async def prepare() -> tuple[UUID, list[Alert], datetime]:
            async with keeping(database_server, database_url) as keeper:
                tenant_id, other_id = await keeper.tenant(), await keeper.tenant()
                alerts = await keeper.alerts(tenant_id, some_alerts(keeper, random.Random(1), 240))
                await keeper.alerts(other_id, some_alerts(keeper, random.Random(2), 40))
                # The index knows some of the alerts, and some of them as they were before.
                assert await PostgresSearchIndex(database).advance(tenant_id, 160) == 160
                for place in range(0, 160, 10):
                    alerts[place] = await rewritten(keeper, tenant_id, alerts[place])
                await keeper.analyze()
                return tenant_id, alerts, keeper.now

        tenant_id, alerts, now = runner.run(prepare())

        @settings(max_examples=120, suppress_health_check=list(HealthCheck))
        @given(
            wanted=filters(now),
            order=st.builds(AlertOrder, st.sampled_from(AlertOrderField), st.booleans()),
            size=st.sampled_from([1, 3, 10, 60, 100]),
            scope=st.just(()) | MATCHERS.map(lambda matcher: (matcher,)),
            found_max=st.sampled_from([10, search.FOUND_MAX]),
            unread_max=st.sampled_from([10, search.UNREAD_MAX]),
        )
        def check(
            wanted: AlertFilter,
            order: AlertOrder,
            size: int,
            scope: tuple[Matcher, ...],
            found_max: int,
            unread_max: int,
        ) -> None:
            monkeypatch.setattr(search, "FOUND_MAX", found_max)
            monkeypatch.setattr(search, "UNREAD_MAX", unread_max)
            expected = in_order([alert for alert in alerts if is_wanted(alert, wanted, scope, now)], order)
            query = AlertQuery(wanted, order, PageRequest(max(size, len(expected) // 8)), now, scope, True)

            async def read() -> None:
                async with source.snapshot(tenant_id) as snapshot:
                    assert await walked(snapshot, query, backward=False) == expected
                    assert await walked(snapshot, query, backward=True) == expected
                    first = await snapshot.alert_page(query)
                    assert first.total_count in (None, len(expected))
                    if len(first.items) > 2:
                        # Between two cursors lies what lies between them.
                        request = PageRequest(100, first.items[0][0], first.items[-1][0])
                        between = await snapshot.alert_page(replace(query, page=request))
                        assert [alert for _, alert in between.items] == expected[1 : len(first.items) - 1]
                        assert between.has_previous
                        assert between.has_next

            runner.run(read())

        check()
        runner.run(database.close())


async def test_sla_is_judged_as_the_core_judges_it(database_server: DatabaseServer, database_url: str) -> None:
    dice = random.Random(3)
    database = await Database.connect(database_url)
    async with keeping(database_server, database_url) as keeper:
        tenant_id = await keeper.tenant()
        alerts = await keeper.alerts(tenant_id, some_alerts(keeper, dice, 400))
        for shift in (-20 * HOUR, -3 * HOUR, 0 * HOUR, MINUTE, 20 * HOUR):
            now = keeper.now + shift
            for breached in (True, False):
                wanted = AlertFilter(sla_breached=breached)
                query = AlertQuery(wanted, AlertOrder(), PageRequest(100), now)
                async with PostgresSnapshotSource(database).snapshot(tenant_id) as snapshot:
                    found = {alert.id for alert in await walked(snapshot, query, backward=False)}
                assert found == {alert.id for alert in alerts if is_wanted(alert, wanted, (), now)}
    await database.close()
