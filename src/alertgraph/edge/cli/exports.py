"""`alertgraph export`: what is taken out of an installation, for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alertgraph.edge.cli.terminal import JsonOption, TenantOption, carried_out, fail, say, say_json

commands = typer.Typer(
    help="Take data out, for other tools. Works on the database directly.", no_args_is_help=True
)


@commands.callback()
def _root() -> None:
    """Keep the names of what is exported, also while there is only one."""


@commands.command("examples")
def export_examples(
    tenant: TenantOption,
    to: Annotated[
        Path, typer.Option("--to", help="An empty folder, or one that is not there yet.", file_okay=False)
    ],
    as_json: JsonOption = False,
) -> None:
    """Write what was predicted, what the model looked at and what came of it to Parquet files.

    Features are numbers and keyed hashes; no name, label or text is in the files. `train --from` learns from them.
    """
    try:
        from alertgraph.edge.exporting import export_examples as exported
        from alertgraph.edge.operator import operated

        done = carried_out(lambda: operated(exported, tenant, to))
    except ModuleNotFoundError as error:
        fail(f"this needs {error.name}; pip install 'alertgraph[ml]' brings it.")
    if as_json:
        say_json(done)
        return
    left_out = f", {done['left_out']:,} of other releases left out" if done["left_out"] else ""
    say(f"{done['examples']:,} examples of {tenant} are in {to}{left_out}: {done['bytes']:,} bytes.")
