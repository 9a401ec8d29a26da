"""What no index knows: rows that are judged one by one, in rounds and within bounds.

Who covers an alert now is in no column: an acknowledged one is not held by the silence that covers it, and a
hold is looked at when it falls due, not when its silence is over. So it is judged here, by the silences
whose window it is and by the open sources of inhibition. Where few of them are there, SQL leaves out the alerts
that none of them can cover; where none is, nothing is judged at all. A silence of exactly one alert is as good as
a filter by its dedup key, and one silence alone as good as its matchers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from asyncpg import Record

from alertgraph.core.alert import Alert, AlertStatus, match_values
from alertgraph.core.errors import InputError
from alertgraph.core.ids import AlertId
from alertgraph.core.labels import Matcher, MatcherIndex, matches_all
from alertgraph.core.query import AlertFilter, AlertOrder, AlertOrderField
from alertgraph.core.search import alert_words
from alertgraph.core.severity import Severity
from alertgraph.storage.alert_pages.conditions import OPEN_STATUSES, TIME_MAX, Conditions, conditions_of
from alertgraph.storage.alert_pages.places import Place, places_of
from alertgraph.storage.alert_pages.reading import Found, first_rows, read_page
from alertgraph.storage.alert_pages.scans import CHUNK, Scan, page_statement
from alertgraph.storage.alert_pages.selections import selected
from alertgraph.storage.alerts import load_alerts
from alertgraph.storage.inhibitors import load_inhibitors
from alertgraph.storage.reader import Reader

# How far rows are judged one by one: for a page that has something on it, and for one that is empty yet.
EXAMINED_MAX, EXAMINE_TIME_MAX = 20_000, timedelta(seconds=1)
EMPTY_EXAMINED_MAX, EMPTY_EXAMINE_TIME_MAX = 200_000, timedelta(seconds=5)
_MATCHED_COLUMNS = (
    "id, title, description, severity, status, source, monitored_service, dedup_key, labels, triggered_at,"
    " last_seen_at, incident_probability"
)


async def judged_rows(reader: Reader, scan: Scan, size: int) -> Found:
    """Return alerts that satisfy what only a look at each row can judge."""
    loop = asyncio.get_running_loop()
    begun_at, examined, chunk = loop.time(), 0, size + 1
    silences = MatcherIndex((each, each) for each in scan.conditions.silences)
    columns = f"{_MATCHED_COLUMNS}, description" if scan.conditions.words else _MATCHED_COLUMNS
    place_of = places_of(scan.order)
    places: list[Place] = []
    while True:
        rows = await first_rows(reader, scan, columns, chunk)
        for row in await _satisfying(reader, rows, scan.conditions, silences):
            if len(places) == size:
                return await _found(reader, places, more=True)
            places.append(place_of(row))
        if len(rows) < chunk:
            return await _found(reader, places, more=False)
        scan = scan.behind(place_of(rows[-1]))
        examined, chunk = examined + len(rows), CHUNK
        elapsed = timedelta(seconds=loop.time() - begun_at)
        if places and (examined >= EXAMINED_MAX or elapsed > EXAMINE_TIME_MAX):
            found = await _found(reader, places, more=True)
            # Nothing between the last find and here satisfies the filter: the next page need not look again.
            places[-1] = place_of(rows[-1])
            return found
        if examined >= EMPTY_EXAMINED_MAX or elapsed > EMPTY_EXAMINE_TIME_MAX:
            raise InputError(
                f"Nothing was found among {examined:,} alerts; narrow the filter, for instance by"
                " triggeredAfter, severity or a matcher with EQUAL.",
                "filter",
                "matchers",
            )


async def _found(reader: Reader, places: Sequence[Place], *, more: bool) -> Found:
    # What was judged was read in the same snapshot, so it is there.
    ids = [AlertId(place.id) for place in places]
    alerts = await load_alerts(reader, ids)
    return Found([alerts[alert_id] for alert_id in ids], places.__getitem__, more)


async def _satisfying(
    reader: Reader, rows: Sequence[Record], conditions: Conditions, silences: MatcherIndex[tuple[Matcher, ...]]
) -> list[Record]:
    """Return those of the rows that satisfy what only a look at each can judge."""
    found = []
    targets: dict[AlertId, Mapping[str, str]] = {}
    for row in rows:
        values = _match_values(row)
        is_open = row["status"] != AlertStatus.RESOLVED
        if not _satisfies(row, values, conditions):
            continue
        if conditions.silenced is not None:
            silenced = is_open and next(silences.matching(values), None) is not None
            if silenced is not conditions.silenced:
                continue
        found.append(row)
        if is_open:
            targets[AlertId(row["id"])] = values
    if conditions.inhibited is None:
        return found
    # All at once: it takes a look at the sources, which are as many as they are.
    covered = await load_inhibitors(reader, conditions.inhibitions, targets, 1)
    return [row for row in found if (row["id"] in covered) is conditions.inhibited]


def _match_values(row: Record) -> dict[str, str]:
    return match_values(
        title=row["title"],
        severity=Severity(row["severity"]),
        source=row["source"],
        monitored_service=row["monitored_service"],
        dedup_key=row["dedup_key"],
        labels=row["labels"],
    )


def _satisfies(row: Record, values: Mapping[str, str], conditions: Conditions) -> bool:
    return matches_all(conditions.matchers, values) and (
        not conditions.words or conditions.words <= alert_words(row["title"], row["description"])
    )


async def matching_scan(reader: Reader, matchers: Sequence[Matcher], since: datetime | None) -> Scan:
    """Return where alerts that match are read: the open ones, or with `since` all triggered since then."""
    if since is None:
        wanted = AlertFilter(status=tuple(OPEN_STATUSES), matchers=tuple(matchers))
        order = AlertOrder(AlertOrderField.SEVERITY)
    else:
        wanted = AlertFilter(matchers=tuple(matchers), triggered_after=since)
        order = AlertOrder(AlertOrderField.TRIGGERED_AT)
    return await selected(reader, Scan(conditions_of(wanted, ()), order, TIME_MAX, None, None, True), None)


async def matching_alerts(
    reader: Reader, matchers: Sequence[Matcher], since: datetime | None, limit: int
) -> list[Alert]:
    """Return open alerts, or with `since` all triggered since then, that match; worst first, then newest.

    They are read a thousand at a time, the worst first, or with `since` the newest, and no more of them are judged
    than for a page that is empty yet: what would be read after that is left out.

    Args:
        reader: Whose alerts.
        matchers: All must hold.
        since: The earliest begin; None for the open ones, whenever they began.
        limit: How many at most; with `since` these are the newest that match.
    """
    scan = await matching_scan(reader, matchers, since)
    order = scan.order
    conditions = scan.conditions
    if limit <= 0 or not conditions.satisfiable or scan.ids == []:
        return []
    loop = asyncio.get_running_loop()
    begun_at, examined = loop.time(), 0
    place_of = places_of(order)
    found: list[AlertId] = []
    while True:
        rows = await read_page(reader, page_statement(scan, _MATCHED_COLUMNS, CHUNK, reader.tenant_id), conditions)
        rows = rows[:CHUNK]
        found += [AlertId(row["id"]) for row in rows if _satisfies(row, _match_values(row), conditions)]
        examined += len(rows)
        elapsed = timedelta(seconds=loop.time() - begun_at)
        if (
            len(rows) < CHUNK
            or len(found) >= limit
            or examined >= EMPTY_EXAMINED_MAX
            or elapsed > EMPTY_EXAMINE_TIME_MAX
        ):
            break
        scan = scan.behind(place_of(rows[-1]))
    alerts = await load_alerts(reader, found[:limit])
    return sorted(alerts.values(), key=lambda alert: (alert.severity, alert.id), reverse=True)
