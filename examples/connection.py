"""What the scripts beside this file share: address and key, filters by options, a stream that resumes."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import sys
from collections.abc import AsyncIterator, Coroutine
from typing import Any, NoReturn

from alertgraph_client import (
    AlertFilter,
    AlertgraphClient,
    AlertStatus,
    EventFilter,
    FollowEventsAlertEventBatches,
    LabelMatcherInput,
    MatchOperator,
    Severity,
)
from alertgraph_client.base_client import AlertgraphError

PAUSE_SECONDS_MAX = 30.0
OPERATORS = {
    "=": MatchOperator.EQUAL,
    "!=": MatchOperator.NOT_EQUAL,
    "=~": MatchOperator.REGEX,
    "!~": MatchOperator.NOT_REGEX,
}
MATCHER = re.compile(r"(@?[^=!~]+)(=~|!=|!~|=)(.*)", re.DOTALL)


def parser(about: str) -> argparse.ArgumentParser:
    """Return a parser that knows where alertgraph is and whose key is used."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument(
        "--url",
        default=os.environ.get("ALERTGRAPH_URL", "http://127.0.0.1:8000"),
        help="where alertgraph is served [ALERTGRAPH_URL, http://127.0.0.1:8000]",
    )
    made.add_argument(
        "--key", default=os.environ.get("ALERTGRAPH_KEY"), help="an API key; better given by ALERTGRAPH_KEY"
    )
    return made


def add_filter(to: argparse.ArgumentParser) -> None:
    """Add options that choose alerts."""
    to.add_argument("--severity", action="append", type=str.upper, choices=[each.value for each in Severity])
    to.add_argument("--service", action="append", help="monitored service; may be repeated")
    to.add_argument(
        "--match", action="append", type=matcher, metavar="LABEL=VALUE", help="also != =~ !~; repeatable"
    )
    to.add_argument("--search", help="words in title and description")


def filter_of(options: argparse.Namespace, status: list[AlertStatus] | None) -> AlertFilter:
    """Return the filter that the options ask for; a field that nobody asked for is left out."""
    fields = {
        "status": status,
        "severity": options.severity and [Severity(name) for name in options.severity],
        "monitored_service": options.service,
        "matchers": options.match,
        "search": options.search,
    }
    return AlertFilter(**{name: value for name, value in fields.items() if value})


def matcher(text: str) -> LabelMatcherInput:
    """Return a matcher written as `label=value`, with != =~ or !~ too."""
    found = MATCHER.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not LABEL=VALUE")
    label, operator, value = found.groups()
    return LabelMatcherInput(label=label, operator=OPERATORS[operator], value=value)


def client_of(options: argparse.Namespace) -> AlertgraphClient:
    """Return the client that the options ask for."""
    if not options.key:
        fail("give an API key with ALERTGRAPH_KEY or --key", 2)
    return AlertgraphClient(options.url, options.key)


async def followed(
    client: AlertgraphClient, after: str | None, events: EventFilter | None = None
) -> AsyncIterator[FollowEventsAlertEventBatches]:
    """Yield batches of events behind a cursor, for ever; a connection that breaks is taken up where it was.

    Raises:
        AlertgraphError: The service refuses; with CURSOR_EXPIRED the log behind the cursor is gone.
    """
    pause_s = 0.5
    while True:
        try:
            async for answer in client.follow_events(filter_=events, after=after):
                batch = answer.alert_event_batches
                yield batch
                # Only now is it dealt with: who is killed before gets it again.
                after, pause_s = batch.cursor, 0.5
        except AlertgraphError as error:
            if error.is_final:
                raise
            sys.stderr.write(f"{error}; trying again\n")
        # Not all at the same time, where many were cut off at once.
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311  (no secret)
        pause_s = min(PAUSE_SECONDS_MAX, pause_s * 2)


def run(work: Coroutine[Any, Any, int]) -> NoReturn:
    """Carry out a script's work, and end with its status; a refusal is one sentence."""
    try:
        sys.exit(asyncio.run(work))
    except AlertgraphError as error:
        fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def fail(sentence: str, status: int = 1) -> NoReturn:
    """End with one sentence on standard error."""
    sys.stderr.write(f"{sys.argv[0].rpartition('/')[2]}: {sentence}\n")
    sys.exit(status)
