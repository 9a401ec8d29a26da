"""The command line: `alertgraph`. Errors are one sentence that says what to do."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from alertgraph import __version__
from alertgraph.edge.cli import (
    audit,
    bench,
    clients,
    demo,
    documents,
    exports,
    installation,
    keys,
    learning,
    tenants,
)
from alertgraph.edge.cli.terminal import say

app = typer.Typer(
    name="alertgraph",
    help="The on-call brain: takes in critical alerts, keeps them, and serves one GraphQL API.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(tenants.commands, name="tenant")
app.add_typer(keys.commands, name="key")
app.add_typer(audit.commands, name="audit")
app.add_typer(documents.commands, name="documents")
app.add_typer(exports.commands, name="export")
app.add_typer(clients.dependency_commands, name="dependencies")
app.add_typer(bench.commands, name="bench")
app.command()(installation.serve)
app.command()(demo.demo)
app.command()(installation.migrate)
app.command()(installation.schema)
app.command()(installation.doctor)
app.command()(clients.send)
app.command("ack")(clients.acknowledge)
app.command()(clients.tail)
app.command()(learning.train)
app.command()(learning.replay)


def _version(wanted: bool) -> None:  # noqa: FBT001  (typer calls it so)
    if wanted:
        say(f"alertgraph {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take options that stand before the command."""


def main() -> None:
    """Run the command line."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
