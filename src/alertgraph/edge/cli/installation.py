"""Commands that serve, and look after what is served."""

from __future__ import annotations

import gc
from typing import Annotated, Any

import typer

from alertgraph.edge.cli.terminal import JsonOption, carried_out, fail, say, say_json


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on [CRITICAL_ALERT_HOST, 127.0.0.1].")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on [CRITICAL_ALERT_PORT, 8000]; 0 for any.")
    ] = None,
    role: Annotated[
        str,
        typer.Option(
            help="all: everything; api: requests only; engine: what falls due only; predictor: what learns only; "
            "trainer: what trains candidates only."
        ),
    ] = "all",
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
    holder: Annotated[str | None, typer.Option("--holder", hidden=True)] = None,
) -> None:
    """Serve the API; without CRITICAL_ALERT_DATABASE_URL on an embedded PostgreSQL."""
    from alertgraph.settings import Settings, read_settings

    def serve_forever(settings: Settings) -> int:
        # Imported once the settings are known to be right, which takes a fraction of the time; and without looking
        # for garbage, of which an import makes none that is worth a sixth of its time.
        gc.disable()
        try:
            from alertgraph.edge.server import serve
        finally:
            gc.enable()
        return serve(settings, role)

    def learn_forever(settings: Settings) -> int:
        from uuid import UUID

        from alertgraph.edge.predictor import serve_predictor

        return serve_predictor(
            settings, is_supervised=supervised, holder=UUID(holder) if holder is not None else None
        )

    def train_forever(settings: Settings) -> int:
        from alertgraph.edge.training import serve_trainer

        return serve_trainer(settings)

    if role not in ("all", "api", "engine", "predictor", "trainer"):
        fail(f"--role is all, api, engine, predictor or trainer, not {role}.", 2)
    overrides: dict[str, Any] = {
        name: value for name, value in (("host", host), ("port", port)) if value is not None
    }
    run = {"predictor": learn_forever, "trainer": train_forever}.get(role, serve_forever)
    raise typer.Exit(carried_out(lambda: run(read_settings(**overrides))))


def migrate() -> None:
    """Bring the database to the shape that this release needs."""
    from alertgraph.edge.installation import migrate_database
    from alertgraph.settings import read_settings

    carried_out(lambda: migrate_database(read_settings()))
    say("The database is up to date.")


def schema() -> None:
    """Print the GraphQL schema."""
    from resolvers.schema import print_sdl

    typer.echo(print_sdl(), nl=False)


def doctor(as_json: JsonOption = False) -> None:
    """Check the installation: database, roles, partitions, Redis, clock, keys; exits with 1 on a fault."""
    from alertgraph.edge.doctor import examine
    from alertgraph.settings import read_settings

    findings = carried_out(lambda: examine(read_settings()))
    for finding in findings:
        if as_json:
            say_json({"check": finding.check, "state": finding.state, "text": finding.text})
        else:
            mark = {"ok": "✓", "warning": "!", "fault": "✗"}[finding.state]
            say(f"{mark} {finding.check:<14} {finding.text}")
    if any(finding.state == "fault" for finding in findings):
        raise typer.Exit(1)
