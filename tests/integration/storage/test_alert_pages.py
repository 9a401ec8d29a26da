"""Lists at size: what a dashboard shows is read by an index and in order, also behind row-level security."""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from alertgraph.core.alert import Alert, AlertStatus
from alertgraph.core.event import EventKind
from alertgraph.core.ids import AlertId, EventKey, TenantId
from alertgraph.core.labels import Matcher, MatchOperator
from alertgraph.core.query import (
    AlertFilter,
    AlertOrder,
    AlertOrderField,
    AlertQuery,
    EventFilter,
    EventQuery,
    PageRequest,
    TimelineQuery,
)
from alertgraph.core.severity import Severity
from alertgraph.storage.database import Database
from alertgraph.storage.reader import Reader
from alertgraph.storage.search import PostgresSearchIndex
from alertgraph.storage.snapshot import ConfigCache, PostgresSnapshot
from tests.factories import DAY, MINUTE, SECOND, an_alert
from tests.kept import Keeper, keeping
from tests.servers import DatabaseServer

pytestmark = [pytest.mark.both_servers, pytest.mark.timeout(240)]

ALERT_COUNT = 20_000
READ_COUNT_MAX = 600


# The server itself tells the plans that it ran, also inside functions: what EXPLAIN shows may be another one.
AUTO_EXPLAIN = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_level": "notice",
}


async def tell_plans(keeper: Keeper) -> None:
    """Have the server tell the plan of every statement on connections that are made from now on."""
    database = await keeper.connection.fetchval("SELECT current_database()")
    for name, value in AUTO_EXPLAIN.items():
        await keeper.connection.execute(f"ALTER DATABASE \"{database}\" SET {name} = '{value}'")


class Plans:
    """The plans that were told, and how many rows they may have read."""

    def __init__(self, reader: Reader) -> None:
        self.told: list[str] = []
        self._reader = reader

    def listen(self, _: Any, message: Any) -> None:
        """Take note of what the server tells."""
        if "typeinfo_tree" not in message.message:  # the driver gets to know a type
            self.told.append(message.message)

    @asynccontextmanager
    async def reading_few_rows(self, what: str) -> AsyncIterator[None]:
        """Check that what is read in the context is read by indexes, and not much more than what is shown."""
        self.told.clear()
        yield
        # A plan is told when its statement's portal is closed: by the next statement.
        await self._reader.fetch("SELECT 1")
        assert self.told, what
        for plan in self.told:
            lines = plan.splitlines()
            for place, line in enumerate(lines):
                if " on pg_" in line:
                    continue  # the catalog has some hundreds of rows
                rows = [float(count) for count in re.findall(r"actual rows=([0-9.]+)", line)]
                removed = [int(count) for count in re.findall(r"Rows Removed by \w+: (\d+)", line)]
                where = f"{what}\n{line}\n{plan}"
                assert max([*rows, *removed], default=0) <= READ_COUNT_MAX, where
                if re.search(r"Seq Scan on (alert_|event_)", line):
                    # An empty table, such as a month to come, is read as fast without its index.
                    assert rows in ([], [0.0]), where
                    assert "Rows Removed" not in "".join(lines[place : place + 3]), where


def some_alerts(keeper: Keeper, count: int) -> Iterator[Alert]:
    """Return alerts over 25 days: a tenth is open, one in fifty is critical."""
    dice = random.Random(count)
    for number in range(count):
        triggered_at = keeper.now - 25 * DAY * number / count
        closed = number % 10 != 0
        yield an_alert(
            id=AlertId(keeper.id_at(triggered_at)),
            dedup_key=f"key {number % 500}" if closed else f"open {number}",
            severity=dice.choices(list(Severity), (20, 20, 30, 28, 2))[0],
            status=AlertStatus.RESOLVED if closed else dice.choice(list(AlertStatus)[:2]),
            monitored_service=f"service {dice.randrange(40)}",
            labels={"host": f"web-{dice.randrange(1000)}"},
            triggered_at=triggered_at,
            last_seen_at=triggered_at + dice.random() * 20 * MINUTE,
            resolved_at=triggered_at + MINUTE if closed else None,
        )


async def a_full_database(keeper: Keeper) -> tuple[TenantId, list[Alert]]:
    """Fill a database with two tenants, one of them large, and return that one."""
    tenant_id, other_id = await keeper.tenant(), await keeper.tenant()
    alerts = await keeper.alerts(tenant_id, list(some_alerts(keeper, ALERT_COUNT)))
    await keeper.alerts(other_id, list(some_alerts(keeper, 2000)))
    await keeper.analyze()
    return tenant_id, alerts


async def test_lists_are_read_by_index_and_in_order(database_server: DatabaseServer, database_url: str) -> None:
    async with keeping(database_server, database_url) as keeper:
        tenant_id, alerts = await a_full_database(keeper)
        await tell_plans(keeper)
        database = await Database.connect(database_url)
        index = PostgresSearchIndex(database)
        while await index.advance(tenant_id, 5000):
            pass
        await keeper.analyze()
        now = keeper.now

    open_ones = (AlertStatus.TRIGGERED, AlertStatus.ACKNOWLEDGED)
    worst = (Severity.CRITICAL, Severity.HIGH)
    by_severity = AlertOrder(AlertOrderField.SEVERITY)
    by_last_seen = AlertOrder(AlertOrderField.LAST_SEEN_AT)
    lists: list[tuple[str, AlertFilter, AlertOrder]] = [
        ("default", AlertFilter(), AlertOrder()),
        ("oldest first", AlertFilter(), AlertOrder(descending=False)),
        ("open", AlertFilter(status=open_ones), AlertOrder()),
        ("triggered", AlertFilter(status=open_ones[:1]), AlertOrder()),
        ("open and bad", AlertFilter(status=open_ones, severity=worst), AlertOrder()),
        ("triggered and critical", AlertFilter(status=open_ones[:1], severity=worst[:1]), AlertOrder()),
        ("resolved and critical", AlertFilter(status=(AlertStatus.RESOLVED,), severity=worst[:1]), AlertOrder()),
        ("critical", AlertFilter(severity=worst[:1]), AlertOrder()),
        ("worst first", AlertFilter(), by_severity),
        ("least of all first", AlertFilter(severity=worst), AlertOrder(AlertOrderField.SEVERITY, False)),
        ("closed, seen last", AlertFilter(status=(AlertStatus.RESOLVED,)), by_last_seen),
        ("closed, of a service", AlertFilter((AlertStatus.RESOLVED,), None, ("service 7",)), AlertOrder()),
        ("history of a key", AlertFilter(dedup_key=("key 7", "key 8", "open 10")), AlertOrder()),
        ("by a label", AlertFilter(matchers=(Matcher("host", MatchOperator.EQUAL, "web-7"),)), AlertOrder()),
    ]
    async with Reader.open(database, tenant_id) as reader:
        await reader.head()
        plans = Plans(reader)
        assert reader._connection is not None
        reader._connection.add_log_listener(plans.listen)
        snapshot = PostgresSnapshot(reader, ConfigCache())
        for what, wanted, order in lists:
            async with plans.reading_few_rows(what):
                page = await snapshot.alert_page(AlertQuery(wanted, order, PageRequest(50), now))
            assert page.items, what
            if page.has_next:
                async with plans.reading_few_rows(f"{what}, second page"):
                    after = PageRequest(50, after=page.items[-1][0])
                    await snapshot.alert_page(AlertQuery(wanted, order, after, now))
        async with plans.reading_few_rows("by id"):
            assert len(await snapshot.alerts([alert.id for alert in alerts[::200]])) == 100
        async with plans.reading_few_rows("timelines"):
            ids = tuple(alert.id for alert in alerts[::400])
            pages = await snapshot.timelines(TimelineQuery(ids, None, PageRequest(20, backward=True)))
            assert all(len(one.items) == 1 for one in pages.values())
        for what, events, backward in (
            ("newest events", EventFilter(), True),
            ("oldest events", EventFilter(), False),
            ("rare events", EventFilter(kinds=frozenset({EventKind.ACKNOWLEDGED})), True),
            ("audit trail", EventFilter(subject_type=frozenset({"ApiKey"})), True),
            ("events of alerts", EventFilter(alert_ids=frozenset(ids)), True),
            ("events since", EventFilter(occurred_after=now - 5 * SECOND), False),
        ):
            async with plans.reading_few_rows(what):
                found = await snapshot.event_page(EventQuery(events, PageRequest(50, backward=backward)))
        assert found.items
        async with plans.reading_few_rows("events by key"):
            keys = [EventKey(stored.number, stored.recorded_at) for _, stored in found.items]
            assert len(await snapshot.events(keys)) == len(keys)
        reader._connection.remove_log_listener(plans.listen)
    await database.close()
