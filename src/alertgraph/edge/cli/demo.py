"""The command that shows alertgraph to somebody who has just met it."""

from __future__ import annotations

import gc
import secrets
import signal
from pathlib import Path
from typing import Annotated

import typer

from alertgraph.edge.cli.terminal import carried_out


def demo(
    seed: Annotated[
        int | None,
        typer.Option(help="The same seed gives the same alerts; any where left out.", min=0, max=2**32 - 1),
    ] = None,
    speed: Annotated[float, typer.Option(help="So many times as fast.", min=0.1, max=60)] = 1.0,
    port: Annotated[
        int | None,
        typer.Option(help="Port to listen on, 0 for any; 8000 where left out, or one near it.", min=0, max=65535),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder to keep it in; thrown away at the end where left out.", file_okay=False),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="One storm of four minutes; the service stays until Ctrl-C.")
    ] = False,
) -> None:
    """Serve three made-up companies on a bad day: everything embedded, nothing sent anywhere."""

    def play() -> int:
        # Nothing is made yet, and a library that is being imported may swallow what Ctrl-C raises.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        # Without looking for garbage: see `serve`.
        gc.disable()
        try:
            from alertgraph.edge.demo import command
        finally:
            gc.enable()
        chosen = seed if seed is not None else secrets.randbelow(1_000_000)
        folder = data_dir.expanduser().absolute() if data_dir is not None else None
        return command.play(command.Options(chosen, speed, port, folder, is_endless=not once))

    raise typer.Exit(carried_out(play))
