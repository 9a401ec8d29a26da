"""The first rows of a scan, within a bound of time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from asyncpg import Record

from alertgraph.core.alert import Alert
from alertgraph.core.errors import InputError
from alertgraph.storage.alert_pages.conditions import Conditions
from alertgraph.storage.alert_pages.places import Place
from alertgraph.storage.alert_pages.scans import Scan, page_statement
from alertgraph.storage.reader import Reader, Rows
from alertgraph.storage.statement import Statement

# One statement's worth of reading in order, past rows that a filter leaves out.
READ_TIME_MAX = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Found:
    """Alerts in reading order, and whether there may be more.

    Attributes:
        place: Takes the number of an alert and returns the place to go on from behind it.
    """

    alerts: Sequence[Alert]
    place: Callable[[int], Place]
    more: bool


async def first_rows(reader: Reader, scan: Scan, columns: str, limit: int) -> list[Record]:
    """Return the first rows of a scan; errors as `read_page` says."""
    rows: list[Record] = []
    for part in scan.parts:
        statement = page_statement(part, columns, limit - len(rows), reader.tenant_id)
        rows += (await read_page(reader, statement, scan.conditions))[: limit - len(rows)]
        if len(rows) == limit:
            break
    return rows


async def read_page(reader: Reader, statement: Statement, conditions: Conditions) -> Rows:
    """Return the rows of a page's statement.

    Raises:
        InputError: Reading on past what a filter leaves out took too long; the message names what it asks for.
    """
    if statement.is_keyed:
        return await reader.run(statement)
    rows = await reader.run_in_order(READ_TIME_MAX, statement)
    if rows is None:
        names = ", ".join(conditions.names)
        raise InputError(
            f"Alerts with this filter ({names}) are too few among too many to be read in this order within"
            f" {READ_TIME_MAX.total_seconds():g} s; narrow it, for instance by triggeredAfter, or order by"
            " TRIGGERED_AT.",
            "filter",
            *conditions.names[:1],
        )
    return rows
