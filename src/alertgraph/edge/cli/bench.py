"""`alertgraph bench`: what is measured, and what it is measured on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from alertgraph.edge.cli.terminal import JsonOption, carried_out, fail, say, say_json

commands = typer.Typer(help="Measure alertgraph, and make what it is measured on.", no_args_is_help=True)


@commands.command("fill")
def bench_fill(
    closed: Annotated[int, typer.Option(help="How many alerts that have ended.")] = 10_000_000,
    opened: Annotated[int, typer.Option("--open", help="How many that have not.")] = 100_000,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Folder of an embedded PostgreSQL; where left out, CRITICAL_ALERT_DATABASE_URL is filled."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed fills in the same.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Fill an empty database with a year of alerts of 20 tenants: 10 million take some minutes and 30 GB."""
    from alertgraph.edge.bench import fill
    from alertgraph.settings import read_settings

    def told(step: str, share: float) -> None:
        if sys.stderr.isatty():
            typer.echo(f"\r\x1b[K{share:4.0%}  {step}", err=True, nl=share == 1)

    overrides: dict[str, Any] = {} if data_dir is None else {"data_dir": data_dir, "database_url": None}
    settings = carried_out(lambda: read_settings(None, **overrides))
    if data_dir is None and settings.database_url is None:
        fail("name an empty folder with --data-dir, or an empty database with CRITICAL_ALERT_DATABASE_URL.", 2)
    chosen = fill.SEED if seed is None else seed
    done = carried_out(lambda: fill.filled_installation(settings, closed, opened, chosen, told))
    if as_json:
        say_json(
            {
                "closed": done.closed_count,
                "open": done.open_count,
                "tenants": [tenant.slug for tenant in done.tenants],
                "seconds": {name: round(seconds, 1) for name, seconds in done.seconds.items()},
            }
        )
        return
    size = f"{done.closed_count:,} closed and {done.open_count:,} open alerts of {len(done.tenants)} tenants"
    if done.seconds:
        say(f"{size} in {done.seconds['all']:.0f} s; {done.tenants[0].slug} is the largest.")
    else:
        say(f"{size} are there already.")


@commands.command("ml")
def bench_ml(
    data: Annotated[
        Path | None,
        typer.Option(
            help="Root of the data sets; ALERTGRAPH_DATA, else ../shared/data.", file_okay=False, exists=True
        ),
    ] = None,
    task: Annotated[list[str] | None, typer.Option("--task", help="T1, T2, …; all where none is named.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Judge what learns on public data, beside the numbers to beat. Takes minutes."""
    try:
        from alertgraph.ml.evaluation import command
    except ModuleNotFoundError as error:
        fail(f"this needs {error.name}; pip install 'alertgraph[ml]' brings it.")
    try:
        passed = command.run(data, task or [], say, as_json=as_json)
    except KeyError as error:
        fail(f"there is no task {error.args[0]}.", 2)
    raise typer.Exit(0 if passed else 1)
