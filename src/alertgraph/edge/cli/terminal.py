"""What all commands share: options, lines, and ends in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

T = TypeVar("T")
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
TenantOption = Annotated[str, typer.Option("--tenant", "-t", help="Slug of the tenant.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", "-o", help="File to write to; standard output where left out.")
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url", envvar="ALERTGRAPH_URL", help="Where alertgraph is served; on the same machine it is known."
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key", envvar="ALERTGRAPH_KEY", help="An API key; better given by the variable.", show_envvar=True
    ),
]


def say(line: str) -> None:
    """Print a line for people."""
    typer.echo(line)


def say_json(value: Any) -> None:
    """Print one JSON value on one line."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def aside(line: str) -> None:
    """Say how far something is, beside what it comes to."""
    typer.echo(line, err=True)


def fail(sentence: str, code: int = 1) -> NoReturn:
    """End with one sentence on standard error."""
    typer.echo(f"alertgraph: {sentence}", err=True)
    raise typer.Exit(code)


def carried_out(work: Callable[[], T]) -> T:
    """Do something that may fail for reasons that a person can mend, and say those in one sentence."""
    from alertgraph.core.errors import AlertGraphError
    from alertgraph.edge.installation import StartError
    from alertgraph.settings import SettingsError

    try:
        return work()
    except (SettingsError, StartError) as error:
        fail(str(error))
    except AlertGraphError as error:
        fail(error.message)


def service_url(given: str | None) -> str:
    """Return the URL given, else where this machine serves its embedded installation, else the one that is set."""
    if given:
        return given
    from alertgraph.edge.installation import url_path
    from alertgraph.settings import read_settings

    settings = carried_out(read_settings)
    try:
        return url_path(settings).read_text(encoding="ascii").strip()
    except OSError:
        return f"http://{settings.host}:{settings.port}"


def api_key(given: str | None) -> str:
    """Return the key given, or the one that a first start on this machine left in the data directory."""
    if given:
        return given
    from alertgraph.edge.installation import bootstrap_key_path
    from alertgraph.settings import read_settings

    path: Path = carried_out(lambda: bootstrap_key_path(read_settings()))
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        fail(
            "give an API key with --key or ALERTGRAPH_KEY; `alertgraph key create --tenant default` makes one.", 2
        )
