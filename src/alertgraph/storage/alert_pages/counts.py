"""How many alerts there are, up to a cap and within a bound of time: of a list, and of those that match.

What a matcher says depends on one value of an alert. So the database counts alerts by these
values, and each value that there is, is judged once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from alertgraph.core.labels import Matcher, MatchOperator, matches_all
from alertgraph.core.query import TOTAL_COUNT_MAX
from alertgraph.core.severity import Severity
from alertgraph.storage.alert_pages.judging import EMPTY_EXAMINED_MAX, matching_alerts, matching_scan
from alertgraph.storage.alert_pages.reading import READ_TIME_MAX
from alertgraph.storage.alert_pages.scans import Scan, count_statement, tally_statement
from alertgraph.storage.reader import Reader
from alertgraph.storage.statement import Parameters, is_storable

COUNT_TIME_MAX = timedelta(milliseconds=500)
# Where the built-ins of `core.alert.match_values` are kept.
_BUILT_IN: Final = {
    "@title": "title",
    "@severity": "severity",
    "@source": "source",
    "@service": "COALESCE(monitored_service, '')",
    "@dedup_key": "dedup_key",
}


async def count_of(reader: Reader, scan: Scan) -> int | None:
    """Return how many alerts a scan has, up to the cap; None where counting them takes too long."""
    counted = scan.closed_count or 0
    if scan.closed_count is None or scan.tables[0] == "alert_open":
        rows = await reader.run_in_order(COUNT_TIME_MAX, count_statement(scan, reader.tenant_id))
        if rows is None:
            return None
        counted += rows[0]["count"]
    return min(counted, TOTAL_COUNT_MAX)


async def matching_count(reader: Reader, matchers: Sequence[Matcher], since: datetime | None, limit: int) -> int:
    """Return how many alerts `matching_alerts` would return; where it would leave some out, so does this."""
    scan = await matching_scan(reader, matchers, since)
    conditions = scan.conditions
    if limit <= 0 or not conditions.satisfiable or scan.ids == []:
        return 0
    parameters = Parameters(reader.tenant_id)
    told, judged = _told(conditions.matchers)
    where = [f"labels ->> {parameters.add(each.label)} = {parameters.add(each.value)}" for each in told]
    # What can't be kept, no alert has.
    labels = [label for label in dict.fromkeys(each.label for each in judged) if is_storable(label)]
    columns = [_BUILT_IN.get(label) or f"COALESCE(labels ->> {parameters.add(label)}, '')" for label in labels]
    looked_at = EMPTY_EXAMINED_MAX if judged else limit
    rows = await reader.run_in_order(READ_TIME_MAX, tally_statement(scan, columns, where, looked_at, parameters))
    if rows is None:
        return len(await matching_alerts(reader, matchers, since, limit))
    count = 0
    for *values, alerts in rows:
        pairs = zip(labels, values, strict=True)
        shown = {label: Severity(value).name if label == "@severity" else value for label, value in pairs}
        count += alerts if matches_all(judged, shown) else 0
    return min(count, limit)


def _told(matchers: Iterable[Matcher]) -> tuple[list[Matcher], tuple[Matcher, ...]]:
    """Return the matchers that a comparison of labels tells, and those that are judged."""
    told: list[Matcher] = []
    judged: list[Matcher] = []
    for matcher in matchers:
        is_equal = matcher.operator is MatchOperator.EQUAL and bool(matcher.value)
        (told if is_equal and not matcher.label.startswith("@") else judged).append(matcher)
    return told, tuple(judged)
