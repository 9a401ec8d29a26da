"""`alertgraph key`: on the database directly."""

from __future__ import annotations

from typing import Annotated

import typer

from alertgraph.edge.cli.terminal import JsonOption, TenantOption, carried_out, fail, say, say_json

commands = typer.Typer(
    help="Make, list and revoke API keys. Works on the database directly.", no_args_is_help=True
)


@commands.command("create")
def key_create(
    tenant: TenantOption,
    role: Annotated[str, typer.Option(help="ingest, viewer, responder or admin.")] = "viewer",
    name: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make an API key and print its secret, once."""
    from alertgraph.core.tenant import Role
    from alertgraph.edge.operator import create_key, operated

    if role.upper() not in Role.__members__:
        fail(f"--role is ingest, viewer, responder or admin, not {role}.", 2)
    made = carried_out(lambda: operated(create_key, tenant, Role[role.upper()], name or f"{role} by command line"))
    if as_json:
        say_json(made)
    else:
        say(made["key"])


@commands.command("list")
def key_list(tenant: TenantOption, as_json: JsonOption = False) -> None:
    """List a tenant's keys, without their secrets."""
    from alertgraph.edge.operator import list_keys, operated

    for key in carried_out(lambda: operated(list_keys, tenant)):
        if as_json:
            say_json(key)
        else:
            state = (
                "revoked" if key["revokedAt"] else "expires " + key["expiresAt"] if key["expiresAt"] else "valid"
            )
            say(f"{key['prefix']}…  {key['role']:<10} {state:<10} {key['name']}  {key['id']}")


@commands.command("revoke")
def key_revoke(
    key_id: Annotated[str, typer.Argument(help="Id of the key, as `alertgraph key list` prints it.")],
    tenant: TenantOption,
) -> None:
    """End a key at once, open sockets included."""
    from alertgraph.edge.operator import operated, revoke_key

    carried_out(lambda: operated(revoke_key, tenant, key_id))
    say("The key is revoked.")
