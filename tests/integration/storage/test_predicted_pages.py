"""Lists by predicted chance: both ways, page by page, with those of which nothing was said behind all others."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product
from uuid import UUID

import pytest

from alertgraph.core.alert import Alert, AlertStatus
from alertgraph.core.catalog import Catalog
from alertgraph.core.errors import InputError
from alertgraph.core.ids import AlertId, TenantId, pack
from alertgraph.core.labels import Matcher, MatchOperator
from alertgraph.core.prediction import Advice
from alertgraph.core.query import AlertFilter, AlertOrder, AlertOrderField, AlertQuery, PageRequest
from alertgraph.core.severity import Severity
from alertgraph.storage.alert_pages.pages import alert_page
from alertgraph.storage.database import Database
from alertgraph.storage.reader import Reader
from tests.factories import DAY, MINUTE, T0, an_alert
from tests.kept import Keeper, keeping
from tests.servers import DatabaseServer

pytestmark = pytest.mark.both_servers

ORDERS = [AlertOrder(AlertOrderField.INCIDENT_PROBABILITY, descending) for descending in (True, False)]
# Few, so that many are equal and are told apart by their ids.
CHANCES = (None, None, 0.0, 0.1, 0.5, 0.875, 1.0)


def some_alerts(keeper: Keeper, count: int = 80) -> Iterator[Alert]:
    """Return alerts over 80 days, open and closed, some of them older than any month that is kept."""
    dice = random.Random(count)
    for number in range(count):
        triggered_at = keeper.now - DAY * number
        chance = dice.choice(CHANCES)
        closed = number % 3 != 0
        yield an_alert(
            id=AlertId(keeper.id_at(triggered_at)),
            dedup_key=f"key {number}",
            severity=dice.choice(list(Severity)),
            status=AlertStatus.RESOLVED if closed else AlertStatus.TRIGGERED,
            labels={"host": f"web-{number % 7}"},
            triggered_at=triggered_at,
            last_seen_at=triggered_at,
            resolved_at=triggered_at + MINUTE if closed else None,
            advice=Advice(chance, 0.5, None) if chance is not None else None,
        )


def in_order(alerts: list[Alert], order: AlertOrder) -> list[AlertId]:
    """Return the ids of alerts as a list by chance has them."""
    said = [alert for alert in alerts if alert.advice is not None]
    unsaid = [alert for alert in alerts if alert.advice is None]
    said.sort(key=lambda one: (one.advice.incident_probability, one.id), reverse=order.descending)  # type: ignore[union-attr]
    unsaid.sort(key=lambda one: one.id, reverse=order.descending)
    return [alert.id for alert in (*said, *unsaid)]


async def paged(reader: Reader, query: AlertQuery, size: int, *, backward: bool) -> list[AlertId]:
    """Return the ids of a list read page by page, from its end where wanted."""
    ids: list[AlertId] = []
    cursor = None
    while True:
        page = PageRequest(size, before=cursor, backward=True) if backward else PageRequest(size, cursor)
        found = await alert_page(
            reader, AlertQuery(query.filter, query.order, page, query.now, fields=query.fields), Catalog()
        )
        new = [alert.id for _, alert in found.items]
        ids = [*new, *ids] if backward else [*ids, *new]
        more = found.has_previous if backward else found.has_next
        if not more:
            return ids
        assert len(new) == size
        cursor = found.items[0 if backward else -1][0]


FILTERS = {
    "all": (AlertFilter(), lambda alert: True),
    "open": (AlertFilter(status=(AlertStatus.TRIGGERED,)), lambda alert: alert.is_open),
    "closed": (AlertFilter(status=(AlertStatus.RESOLVED,)), lambda alert: not alert.is_open),
    "bad": (
        AlertFilter(severity=(Severity.CRITICAL, Severity.HIGH)),
        lambda alert: alert.severity in (Severity.CRITICAL, Severity.HIGH),
    ),
    "likely": (
        AlertFilter(incident_probability_min=0.5),
        lambda alert: alert.advice is not None and alert.advice.incident_probability >= 0.5,
    ),
    "said": (AlertFilter(incident_probability_min=0.0), lambda alert: alert.advice is not None),
    "judged row by row": (
        AlertFilter(matchers=(Matcher("host", MatchOperator.REGEX, "web-[135]"),)),
        lambda alert: alert.labels["host"] in ("web-1", "web-3", "web-5"),
    ),
    "likely, judged": (
        AlertFilter(incident_probability_min=0.1, matchers=(Matcher("host", MatchOperator.NOT_EQUAL, "web-2"),)),
        lambda alert: (
            alert.advice is not None
            and alert.advice.incident_probability >= 0.1
            and alert.labels["host"] != "web-2"
        ),
    ),
}


async def test_lists_by_chance_have_every_alert_once_and_in_order(
    database_server: DatabaseServer, database_url: str
) -> None:
    async with keeping(database_server, database_url) as keeper:
        tenant_id, other_id = await keeper.tenant(), await keeper.tenant()
        alerts = await keeper.alerts(tenant_id, list(some_alerts(keeper)))
        await keeper.alerts(other_id, list(some_alerts(keeper, 20)))
        now = keeper.now
    database = await Database.connect(database_url, pool_size=1)
    try:
        async with Reader.open(database, tenant_id) as reader:
            for (name, (wanted, holds)), order, size in product(FILTERS.items(), ORDERS, (3, 7, 100)):
                expected = in_order([alert for alert in alerts if holds(alert)], order)
                for backward, fields in product((False, True), (None, frozenset({"id", "title"}))):
                    query = AlertQuery(wanted, order, PageRequest(), now, fields=fields)
                    found = await paged(reader, query, size, backward=backward)
                    assert found == expected, (name, order, size, backward)
            # In any other order, the filter leaves out those of which nothing was said.
            for field in AlertOrderField:
                query = AlertQuery(FILTERS["likely"][0], AlertOrder(field), PageRequest(), now)
                found = await paged(reader, query, 5, backward=False)
                assert sorted(found) == sorted(alert.id for alert in alerts if FILTERS["likely"][1](alert))
    finally:
        await database.close()


async def test_a_cursor_between_those_of_which_nothing_was_said_stands_there(
    database_server: DatabaseServer, database_url: str
) -> None:
    async with keeping(database_server, database_url) as keeper:
        tenant_id = await keeper.tenant()
        alerts = await keeper.alerts(tenant_id, list(some_alerts(keeper, 30)))
        now = keeper.now
    database = await Database.connect(database_url, pool_size=1)
    try:
        async with Reader.open(database, tenant_id) as reader:
            for order in ORDERS:
                expected = in_order(alerts, order)
                query = AlertQuery(AlertFilter(), order, PageRequest(100), now)
                cursors = [cursor for cursor, _ in (await alert_page(reader, query, Catalog())).items]
                for first in range(len(expected)):
                    for last in (first + 2, first + 9):
                        end = cursors[last] if last < len(cursors) else None
                        for backward in (False, True):
                            page = PageRequest(50, cursors[first], end, backward)
                            found = await alert_page(
                                reader, AlertQuery(AlertFilter(), order, page, now), Catalog()
                            )
                            assert [alert.id for _, alert in found.items] == expected[first + 1 : last]
    finally:
        await database.close()


async def test_a_cursor_of_no_chance_is_refused(database_url: str) -> None:
    database = await Database.connect(database_url, pool_size=1)
    no_number, infinity, three, below_zero = 0x7FF8 << 48, 0x7FF0 << 48, 0x4008 << 48, 1 - (1 << 63)
    try:
        async with Reader.open(database, TenantId(UUID(int=5))) as reader:
            for order, code in product(ORDERS, (no_number, infinity, three, below_zero)):
                raw = bytes([1, order.field, order.descending]) + code.to_bytes(8, "big", signed=True) + bytes(16)
                query = AlertQuery(AlertFilter(), order, PageRequest(5, pack(raw)), T0)
                with pytest.raises(InputError, match="not a cursor"):
                    await alert_page(reader, query, Catalog())
    finally:
        await database.close()
