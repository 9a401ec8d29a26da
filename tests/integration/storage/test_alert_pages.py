"""Lists at size: what a dashboard shows is read by an index and in order, also behind row-level security."""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

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
from alertgraph.storage.reader import Reader, Rows
from alertgraph.storage.search import PostgresSearchIndex
from alertgraph.storage.snapshot import PostgresSnapshot
from tests.factories import DAY, MINUTE, SECOND, an_alert
from tests.kept import Keeper, keeping
from tests.servers import DatabaseServer

pytestmark = [pytest.mark.both_servers, pytest.mark.timeout(240)]

ALERT_COUNT = 20_000
READ_COUNT_MAX = 600


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await Database.connect(database_url)
    yield database
    await database.close()


class ExplainingReader(Reader):
    """A reader that keeps the plan of every statement it runs, as the pool's own role is served."""

    plans: list[tuple[str, str]]

    async def fetch(self, statement: str, *parameters: object) -> Rows:
        if statement.lstrip().startswith("SELECT"):
            rows = await super().fetch(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {statement}", *parameters)
            self.plans.append((statement, "\n".join(row[0] for row in rows)))
        return await super().fetch(statement, *parameters)


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


@contextmanager
def reading_few_rows(reader: ExplainingReader, what: str) -> Iterator[None]:
    """Check that what is read in the context is read by indexes, without a sort of all there is."""
    reader.plans = []
    yield
    assert reader.plans, what
    for statement, plan in reader.plans:
        lines = plan.splitlines()
        for place, line in enumerate(lines):
            rows = [float(count) for count in re.findall(r"actual rows=([0-9.]+)", line)]
            removed = [int(count) for count in re.findall(r"Rows Removed by \w+: (\d+)", line)]
            if " on pg_" in line:
                continue  # the catalog has some hundreds of rows
            told = f"{what}\n{line}\n{statement}\n{plan}"
            assert max([*rows, *removed], default=0) <= READ_COUNT_MAX, told
            if re.search(r"Seq Scan on (alert_|event_)", line):
                # An empty table, such as a month to come, is read as fast without its index.
                assert rows in ([], [0.0]), told
                assert "Rows Removed" not in "".join(lines[place : place + 3]), told


async def test_lists_are_read_by_index_and_in_order(
    database: Database, database_server: DatabaseServer, database_url: str
) -> None:
    async with keeping(database_server, database_url) as keeper:
        tenant_id, alerts = await a_full_database(keeper)
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
    async with ExplainingReader.open(database, tenant_id) as reader:
        assert isinstance(reader, ExplainingReader)
        reader.plans = []
        snapshot = PostgresSnapshot(reader)
        for what, wanted, order in lists:
            with reading_few_rows(reader, what):
                page = await snapshot.alert_page(AlertQuery(wanted, order, PageRequest(50), now))
            assert page.items, what
            if page.has_next:
                with reading_few_rows(reader, f"{what}, second page"):
                    after = PageRequest(50, after=page.items[-1][0])
                    await snapshot.alert_page(AlertQuery(wanted, order, after, now))
        with reading_few_rows(reader, "by id"):
            assert len(await snapshot.alerts([alert.id for alert in alerts[::200]])) == 100
        with reading_few_rows(reader, "timelines"):
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
            with reading_few_rows(reader, what):
                found = await snapshot.event_page(EventQuery(events, PageRequest(50, backward=backward)))
        assert found.items
        with reading_few_rows(reader, "events by key"):
            keys = [EventKey(stored.number, stored.recorded_at) for _, stored in found.items]
            assert len(await snapshot.events(keys)) == len(keys)
