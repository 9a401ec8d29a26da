"""Commands that ask a running alertgraph, as anybody could."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from alertgraph.edge.cli.terminal import (
    JsonOption,
    KeyOption,
    UrlOption,
    api_key,
    fail,
    say,
    say_json,
    service_url,
)

dependency_commands = typer.Typer(help="Say what services need of one another.", no_args_is_help=True)


def send(
    title: Annotated[str, typer.Argument(help="One line: what is wrong.")],
    severity: Annotated[
        str, typer.Option("--severity", "-s", help="critical, high, medium, low or info.")
    ] = "high",
    label: Annotated[list[str] | None, typer.Option("--label", "-l", help="name=value; may be repeated.")] = None,
    service: Annotated[str | None, typer.Option(help="Name of the thing watched.")] = None,
    description: Annotated[str | None, typer.Option(help="More text.")] = None,
    dedup_key: Annotated[
        str | None, typer.Option(help="Alerts with the same key are one while it is open.")
    ] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send an alert to a running alertgraph."""
    from alertgraph.edge.client import ClientError, send_alert

    labels = {}
    for text in label or ():
        name, separator, value = text.partition("=")
        if not separator or not name:
            fail(f"--label is name=value, not {text!r}.", 2)
        labels[name] = value
    fields: dict[str, Any] = {"title": title, "severity": severity.upper(), "labels": labels}
    said = {"monitoredService": service, "description": description, "dedupKey": dedup_key}
    fields.update({name: value for name, value in said.items() if value is not None})
    try:
        alert, created = send_alert(service_url(url), api_key(key), fields)
    except ClientError as error:
        fail(str(error))
    if as_json:
        say_json({"created": created, "alert": alert})
    elif created:
        say(f"{alert['id']} is open.")
    else:
        say(f"{alert['id']} fired again: {alert['occurrenceCount']} times now.")


def acknowledge(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids, as `alertgraph send` prints them.")] = None,
    severity: Annotated[
        list[str] | None, typer.Option("--severity", "-s", help="All triggered ones this bad; may be repeated.")
    ] = None,
    service: Annotated[
        list[str] | None, typer.Option(help="All triggered ones of this thing watched; may be repeated.")
    ] = None,
    note: Annotated[str | None, typer.Option(help="Kept on each timeline.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take alerts of a running alertgraph, which stops their escalation; the key must be a responder's."""
    from alertgraph.edge.client import ClientError
    from alertgraph.edge.client import acknowledge as taken

    if bool(ids) == bool(severity or service):
        fail("name either ids, or --severity and --service.", 2)
    chosen: dict[str, Any] = {"status": ["TRIGGERED"]}
    chosen |= {"severity": [name.upper() for name in severity]} if severity else {}
    chosen |= {"monitoredService": service} if service else {}
    try:
        outcomes, remaining = taken(
            service_url(url), api_key(key), {"ids": ids} if ids else {"filter": chosen}, note
        )
    except ClientError as error:
        fail(str(error))
    for outcome in outcomes:
        if as_json:
            say_json(outcome)
        elif outcome["error"] is not None:
            say(f"{outcome['key']}: {outcome['error']['message']}")
        else:
            state = "is yours" if outcome["changed"] else "was taken already"
            say(f"{outcome['alert']['id']} {state}: {outcome['alert']['title']}")
    if remaining and not as_json:
        say(f"{remaining} more match; the same again takes them.")
    if not (outcomes or as_json):
        say("Nothing that is triggered matches.")
    if any(outcome["error"] is not None for outcome in outcomes):
        raise typer.Exit(1)


@dependency_commands.command("import")
def dependencies_import(
    file: Annotated[
        Path, typer.Argument(help="JSON: an object of lists by service. Or CSV: a service and what it needs.")
    ],
    replace_all: Annotated[
        bool, typer.Option("--replace-all", help="Also forget those of services that the file does not name.")
    ] = False,
    url: UrlOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what services need, as a file has it, to a running alertgraph; the key must be an admin's."""
    from alertgraph.edge.client import ClientError, set_dependencies
    from alertgraph.edge.dependencies_file import FileError, read_dependencies

    try:
        named = read_dependencies(file)
        count = set_dependencies(service_url(url), api_key(key), named, replace_all=replace_all)
    except (FileError, ClientError) as error:
        fail(str(error))
    if as_json:
        say_json({"services": len(named), "dependencies": count})
    else:
        say(f"{len(named)} services are set; there are {count} dependencies now.")


def tail(
    after: Annotated[str | None, typer.Option(help="Begin behind this cursor instead of now.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Follow the tenant's log; reconnects by itself and misses nothing."""
    from alertgraph.edge.client import ClientError, follow

    def show(event: dict[str, Any]) -> None:
        if as_json:
            say_json(event)
        else:
            about = f"{event['alert']['title']}: " if event["alert"] else ""
            at = event["occurredAt"][:19].replace("T", " ")
            say(f"{at}  {event['number']:>8}  {about}{event['summary']}")

    try:
        follow(service_url(url), api_key(key), after, show, lambda line: typer.echo(line, err=True))
    except ClientError as error:
        fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except BrokenPipeError:
        # Whoever read us has enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
