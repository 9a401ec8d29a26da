"""Write alerts to a CSV file: open and closed, oldest first, page by page.

    export_csv.py --since 2026-11-01T00:00:00Z --until 2026-12-01T00:00:00Z --out november.csv
    export_csv.py --service checkout --severity critical > checkout.csv

A cell that a spreadsheet would run as a formula gets an apostrophe in front. Needs a key of the role VIEWER.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import TextIO

from alertgraph_client import (
    AlertFilter,
    AlertgraphClient,
    AlertOrder,
    AlertOrderField,
    AlertParts,
    AlertStatus,
    OrderDirection,
)
from connection import add_filter, client_of, filter_of, parser, run

COLUMNS = (
    "id",
    "title",
    "severity",
    "status",
    "service",
    "source",
    "labels",
    "occurrences",
    "triggered_at",
    "acknowledged_at",
    "acknowledged_by",
    "resolved_at",
    "resolved_by",
    "acknowledged_in_time",
    "resolved_in_time",
)
PAGE_SIZE = 100


async def main(options: argparse.Namespace) -> int:
    """Write the file; return the exit status."""
    chosen = filter_of(options, [AlertStatus(name) for name in options.status or ()])
    bounds = {"triggered_after": options.since, "triggered_before": options.until}
    chosen = chosen.model_copy(update={name: value for name, value in bounds.items() if value})
    async with client_of(options) as client:
        if options.out is None:
            count = await written(client, chosen, sys.stdout)
        else:
            # The byte order mark tells spreadsheets that it is UTF-8.
            with options.out.open("w", encoding="utf-8-sig", newline="") as file:
                count = await written(client, chosen, file)
    sys.stderr.write(f"{count} alerts\n")
    return 0


async def written(client: AlertgraphClient, chosen: AlertFilter, file: TextIO) -> int:
    """Write a line for each alert; return how many there were."""
    lines = csv.writer(file)
    lines.writerow(COLUMNS)
    count = 0
    async for alert in alerts(client, chosen):
        lines.writerow([harmless(cell) for cell in row_of(alert)])
        count += 1
    return count


async def alerts(client: AlertgraphClient, chosen: AlertFilter) -> AsyncIterator[AlertParts]:
    """Yield every alert that matches. A page begins behind the cursor of the last, so none comes twice."""
    order = AlertOrder(field=AlertOrderField.TRIGGERED_AT, direction=OrderDirection.ASC)
    after = None
    while True:
        page = (await client.list_alerts(chosen, order, first=PAGE_SIZE, after=after)).alerts
        for alert in page.nodes:
            yield alert
        after = page.page_info.end_cursor
        if not page.page_info.has_next_page:
            return


def row_of(alert: AlertParts) -> list[str]:
    """Return the cells of an alert, in the order of COLUMNS."""
    return [
        alert.id,
        alert.title,
        alert.severity.value,
        alert.status.value,
        alert.monitored_service or "",
        alert.source,
        json.dumps(alert.labels, ensure_ascii=False, sort_keys=True),
        str(alert.occurrence_count),
        alert.triggered_at.isoformat(),
        alert.acknowledged_at.isoformat() if alert.acknowledged_at else "",
        alert.acknowledged_by.name if alert.acknowledged_by else "",
        alert.resolved_at.isoformat() if alert.resolved_at else "",
        alert.resolved_by.name if alert.resolved_by else "",
        "no" if alert.sla.acknowledge_breached else "yes",
        "no" if alert.sla.resolve_breached else "yes",
    ]


def harmless(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: titles come from outside."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


if __name__ == "__main__":
    asked = parser(__doc__ or "")
    add_filter(asked)
    asked.add_argument("--status", action="append", type=str.upper, choices=[each.value for each in AlertStatus])
    asked.add_argument("--since", type=datetime.fromisoformat, help="triggered at or after")
    asked.add_argument("--until", type=datetime.fromisoformat, help="triggered before")
    asked.add_argument("--out", type=Path, help="file to write to; standard output where left out")
    run(main(asked.parse_args()))
