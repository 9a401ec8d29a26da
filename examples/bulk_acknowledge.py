"""Take all open alerts that match, as many as there are.

    bulk_acknowledge.py --service checkout --severity critical --note "on it"
    bulk_acknowledge.py --match cluster=eu-1 --until 2026-12-01T06:00:00Z
    bulk_acknowledge.py --search "disk full" --dry-run

Needs a key of the role RESPONDER.
"""

from __future__ import annotations

import argparse
from datetime import datetime

from alertgraph_client import AcknowledgeAlertsInput, AlertFilter, AlertgraphClient, AlertSelector, AlertStatus
from connection import add_filter, client_of, fail, filter_of, parser, run


async def main(options: argparse.Namespace) -> int:
    """Take the alerts, or say which would be taken; return the exit status."""
    chosen = filter_of(options, [AlertStatus.TRIGGERED])
    if chosen.model_fields_set == {"status"}:
        fail("say which: --severity, --service, --match or --search", 2)
    async with client_of(options) as client:
        return await (shown(client, chosen) if options.dry_run else taken(client, chosen, options))


async def taken(client: AlertgraphClient, chosen: AlertFilter, options: argparse.Namespace) -> int:
    """Take all of them; one call takes up to 1,000."""
    count = refused = 0
    while True:
        # Left out is not the same as null: only what was given goes into the input.
        more = {name: value for name, value in (("note", options.note), ("until", options.until)) if value}
        wanted = AcknowledgeAlertsInput(select=AlertSelector(filter=chosen), **more)
        payload = (await client.acknowledge_alerts(wanted)).acknowledge_alerts
        if payload.errors:
            fail(payload.errors[0].message)
        count += payload.changed_count
        for outcome in payload.outcomes:
            if outcome.error is not None:
                refused += 1
                print(f"{outcome.key}: {outcome.error.message}")
            elif outcome.changed and outcome.alert is not None:
                print(f"{outcome.alert.id}  {outcome.alert.severity.value:<8}  {outcome.alert.title}")
        if payload.remaining_count == 0 or payload.changed_count == 0:
            break
    print(f"{count} taken{f', {refused} refused' if refused else ''}.")
    return 1 if refused else 0


async def shown(client: AlertgraphClient, chosen: AlertFilter) -> int:
    """Print those that would be taken."""
    count, after = 0, None
    while True:
        page = (await client.list_alerts(filter_=chosen, first=100, after=after)).alerts
        for alert in page.nodes:
            print(f"{alert.id}  {alert.severity.value:<8}  {alert.title}")
        count += len(page.nodes)
        after = page.page_info.end_cursor
        if not page.page_info.has_next_page:
            break
    print(f"{count} would be taken.")
    return 0


if __name__ == "__main__":
    asked = parser(__doc__ or "")
    add_filter(asked)
    asked.add_argument("--note", help="kept on each timeline")
    asked.add_argument("--until", type=datetime.fromisoformat, help="give them back by themselves then")
    asked.add_argument("--dry-run", action="store_true", help="only say which")
    run(main(asked.parse_args()))
