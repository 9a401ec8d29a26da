"""Pages of alerts, and those of incidents' alerts."""

# ruff: noqa: S608 - statements are put together from constant fragments; values are numbered parameters

from __future__ import annotations

from collections.abc import Collection

from alertgraph.core.alert import Alert
from alertgraph.core.catalog import Catalog
from alertgraph.core.ids import IncidentId
from alertgraph.core.query import TOTAL_COUNT_MAX, AlertOrder, AlertOrderField, AlertQuery, Page, PageRequest
from alertgraph.storage.alert_pages.conditions import conditions_of, with_covers
from alertgraph.storage.alert_pages.counts import count_of
from alertgraph.storage.alert_pages.judging import judged_rows
from alertgraph.storage.alert_pages.places import Place, cursor_text, place_of_cursor, places_of
from alertgraph.storage.alert_pages.reading import Found, first_rows
from alertgraph.storage.alert_pages.scans import LIMITS, Scan
from alertgraph.storage.alert_pages.selections import selected
from alertgraph.storage.reader import Reader
from alertgraph.storage.rows import ALERT_SELECT, AlertPart, alert_of, part_with
from alertgraph.storage.statement import Parameters, Statement


async def alert_page(reader: Reader, query: AlertQuery, catalog: Catalog) -> Page[Alert]:
    """Return a page of alerts.

    Where rows had to be judged one by one and a bound was reached, the page is what was found until then, there
    is a next page, and the last edge's cursor says where the judging goes on.

    Args:
        reader: Whose alerts.
        query: Which.
        catalog: What is set up; looked at only where the filter asks who covers an alert.

    Raises:
        InputError: A cursor is not of this order, a search names no word, or nothing at all was found among
            as many alerts as are judged one by one.
    """
    page, order = query.page, query.order
    after = place_of_cursor(page.after, order, "after") if page.after is not None else None
    before = place_of_cursor(page.before, order, "before") if page.before is not None else None
    as_of = await reader.as_of() if query.with_as_of else None
    asked = with_covers(conditions_of(query.filter, query.scope), query.filter, catalog, query.now)
    low, high = (before, after) if order.descending else (after, before)
    downward = order.descending is not page.backward
    scan = await selected(reader, Scan(asked, order, query.now, low, high, downward), page.size + 1)
    if not scan.conditions.satisfiable or scan.ids == []:
        return Page((), has_next=False, has_previous=False, as_of=as_of, total_count=0)
    judged = scan.conditions.judged
    if judged:
        found = await judged_rows(reader, scan, page.size)
    else:
        by_chance = order.field is AlertOrderField.INCIDENT_PROBABILITY
        looked_at = query.fields | {"advice"} if by_chance and query.fields is not None else query.fields
        part = part_with(looked_at) if looked_at is not None else None
        found = await _scanned(reader, scan, page.size, part)
    more = found.more
    total: int | None = None
    if query.with_total:
        if not more and after is None and before is None:
            total = min(len(found.alerts), TOTAL_COUNT_MAX)
        elif not judged:
            total = await count_of(reader, scan)
    return Page(
        _with_cursors(found, query),
        has_next=before is not None if page.backward else more or before is not None,
        has_previous=more or after is not None if page.backward else after is not None,
        as_of=as_of,
        total_count=total,
    )


def _with_cursors(found: Found, query: AlertQuery) -> list[tuple[str, Alert]]:
    """Return alerts in the list's order with the text of their cursors; empty ones where nobody wants them."""
    count = len(found.alerts)
    texts = [""] * count
    # Where the page begins and ends is told with every page.
    for number in range(count) if query.with_cursors else {0, count - 1} if count else ():
        texts[number] = cursor_text(found.place(number), query.order)
    items = list(zip(texts, found.alerts, strict=True))
    return items[::-1] if query.page.backward else items


async def _scanned(reader: Reader, scan: Scan, size: int, part: AlertPart | None) -> Found:
    columns = ALERT_SELECT if part is None else part.select
    rows = await first_rows(reader, scan, columns, size + 1)
    more, rows = len(rows) > size, rows[:size]
    place_of = places_of(scan.order)
    alerts = list(map(alert_of, rows)) if part is None else part.alerts_of(rows)
    return Found(alerts, lambda number: place_of(rows[number]), more)


def _of_incidents(columns: str, bounds: str, tail: str) -> str:
    """Return what reads alerts of the incident that `one` names, wherever they are kept."""
    return " UNION ALL ".join(
        f"(SELECT {columns} FROM {table} WHERE tenant_id = $1 AND {table}.incident_id = one.incident_id"
        f" AND incident_id IS NOT NULL{bounds} {tail})"
        for table in ("alert_open", "alert_closed", "alert_closed_late")
    )


async def alerts_by_incident(
    reader: Reader, ids: Collection[IncidentId], page: PageRequest
) -> dict[IncidentId, Page[Alert]]:
    """Return the same page of several incidents' alerts, newest first, with their total counts.

    All are read by one statement, and those that have more than a page counted by another.

    Raises:
        InputError: A cursor is not of such a list.
    """
    order = AlertOrder()
    parameters = Parameters(reader.tenant_id, list(dict.fromkeys(ids)))
    bounds = ""
    for name, cursor, comparison in (("after", page.after, "<"), ("before", page.before, ">")):
        if cursor is not None:
            place = place_of_cursor(cursor, order, name)
            bounds += (
                f" AND (triggered_at, id) {comparison} ({parameters.add(place.value)}, {parameters.add(place.id)})"
            )
    way = "ASC" if page.backward else "DESC"
    tail = f"ORDER BY triggered_at {way}, id {way} LIMIT {next(size for size in LIMITS if size > page.size)}"
    text = (
        "SELECT found.* FROM unnest($2::uuid[]) WITH ORDINALITY AS one (incident_id, number) CROSS JOIN LATERAL ("
        f"SELECT * FROM ({_of_incidents(ALERT_SELECT, bounds, tail)}) AS page {tail}"
        f") AS found ORDER BY one.number, found.triggered_at {way}, found.id {way}"
    )
    found: dict[IncidentId, list[Alert]] = {incident_id: [] for incident_id in ids}
    for alert in map(alert_of, await reader.run(Statement(text, parameters.values, is_keyed=True))):
        assert alert.incident_id is not None, "the statement asks for alerts of incidents"
        found[alert.incident_id].append(alert)
    begins = page.after is None and page.before is None
    counts = {key: len(alerts) for key, alerts in found.items() if begins and len(alerts) <= page.size}
    uncounted = [key for key in found if key not in counts]
    if uncounted:
        counted = _of_incidents("1", "", "")
        rows = await reader.fetch(
            "SELECT one.incident_id, (SELECT count(*) FROM ("
            f"SELECT 1 FROM ({counted}) AS found LIMIT {TOTAL_COUNT_MAX}) AS counted) AS count"
            " FROM unnest($2::uuid[]) AS one (incident_id)",
            reader.tenant_id,
            uncounted,
        )
        counts.update((IncidentId(row["incident_id"]), row["count"]) for row in rows)
    as_of = await reader.as_of()
    pages = {}
    for key, alerts in found.items():
        more, shown = len(alerts) > page.size, alerts[: page.size]
        items = [(cursor_text(Place(alert.triggered_at, alert.id), order), alert) for alert in shown]
        pages[key] = Page(
            items[::-1] if page.backward else items,
            has_next=page.before is not None if page.backward else more or page.before is not None,
            has_previous=more or page.after is not None if page.backward else page.after is not None,
            as_of=as_of,
            total_count=counts[key],
        )
    return pages
