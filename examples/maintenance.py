"""Silence what a deployment breaks, from CI: for as long as a command runs, or between two steps.

    maintenance.py during --match @service=checkout --minutes 30 --comment "deploy 4.2" -- ./deploy.sh
    maintenance.py begin --match @service=checkout --minutes 30 --comment "deploy 4.2" > silence-id
    maintenance.py end "$(cat silence-id)"

Before it begins it says what would be covered, and does nothing where that is more than --open-max alerts: a
matcher that is too wide is found before it hides something. The window ends by itself after --minutes, whatever
becomes of the job. With --once KEY, and --until, a step that is run again makes no second window.
Needs a key of the role RESPONDER.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime, timedelta

from alertgraph_client import AlertgraphClient, DeleteInput, SilenceInput
from connection import client_of, fail, matcher, parser, run


async def main(options: argparse.Namespace) -> int:
    """Do what was asked; return the exit status, that of the command where there is one."""
    async with client_of(options) as client:
        if options.what == "end":
            await ended(client, options.silence)
            return 0
        silence_id = await begun(client, options)
        if options.what == "begin":
            print(silence_id)
            return 0
        try:
            process = await asyncio.create_subprocess_exec(*options.command)
            return await process.wait()
        except OSError as error:
            sys.stderr.write(f"{options.command[0]} can't be run: {error.strerror}\n")
            return 127
        finally:
            await ended(client, silence_id)


async def begun(client: AlertgraphClient, options: argparse.Namespace) -> str:
    """Look at what would be covered, then make the silence and return its id."""
    preview = (await client.preview_silence(options.match, first=5)).silence_preview
    for alert in preview.alerts:
        sys.stderr.write(f"covers {alert.severity.value} {alert.title}\n")
    sys.stderr.write(f"{preview.open_count} open alerts now, {preview.last_week_count} of the last 7 days\n")
    if preview.open_count > options.open_max:
        fail(f"that is more than --open-max {options.open_max}; nothing is silenced")
    once = {"idempotency_key": options.once} if options.once else {}
    ends_at = options.until or datetime.now(UTC) + timedelta(minutes=options.minutes)
    wanted = SilenceInput(matchers=options.match, ends_at=ends_at, comment=options.comment, **once)
    payload = (await client.create_silence(wanted)).create_silence
    if payload.silence is None:
        fail(payload.errors[0].message)
    sys.stderr.write(f"{payload.silence.id} until {payload.silence.ends_at:%H:%M} UTC\n")
    return payload.silence.id


async def ended(client: AlertgraphClient, silence_id: str) -> None:
    """End a silence; what is open and was covered climbs from now on."""
    payload = (await client.expire_silence(DeleteInput(id=silence_id))).expire_silence
    if payload.errors:
        fail(payload.errors[0].message)
    sys.stderr.write(f"{silence_id} is over\n")


if __name__ == "__main__":
    asked = parser(__doc__ or "")
    steps = asked.add_subparsers(dest="what", required=True)
    for name, text in (("begin", "make a silence and print its id"), ("during", "silence while a command runs")):
        step = steps.add_parser(name, help=text)
        step.add_argument(
            "--match",
            action="append",
            type=matcher,
            required=True,
            metavar="LABEL=VALUE",
            help="also != =~ !~; @service, @source, @severity, @title; all must hold",
        )
        step.add_argument("--minutes", type=float, default=60.0, help="the longest that it lasts [60]")
        step.add_argument("--until", type=datetime.fromisoformat, help="in place of --minutes")
        step.add_argument("--comment", required=True, help="why; shown to whoever asks")
        step.add_argument("--open-max", type=int, default=20, help="refuse to cover more open alerts [20]")
        step.add_argument("--once", metavar="KEY", help="such as the id of the CI job, with fixed --until")
        if name == "during":
            step.add_argument("command", nargs="+", help="behind --")
    end = steps.add_parser("end", help="end a silence now")
    end.add_argument("silence", help="its id")
    run(main(asked.parse_args()))
