"""`alertgraph tenant`: on the database directly."""

from __future__ import annotations

from typing import Annotated

import typer

from alertgraph.edge.cli.terminal import JsonOption, carried_out, fail, say, say_json

commands = typer.Typer(help="Make and list tenants. Works on the database directly.", no_args_is_help=True)


@commands.command("create")
def tenant_create(
    slug: Annotated[str, typer.Argument(help="Short name: lower-case letters, digits, hyphens.")],
    name: Annotated[str | None, typer.Option(help="Name for people; the slug where left out.")] = None,
    tier: Annotated[str, typer.Option(help="free, standard, premium or enterprise.")] = "standard",
    as_json: JsonOption = False,
) -> None:
    """Make a tenant."""
    from alertgraph.core.tier import Tier
    from alertgraph.edge.operator import create_tenant, operated

    if tier.upper() not in Tier.__members__:
        fail(f"--tier is free, standard, premium or enterprise, not {tier}.", 2)
    made = carried_out(lambda: operated(create_tenant, slug, name or slug, Tier[tier.upper()]))
    if as_json:
        say_json(made)
    else:
        say(f"Tenant {slug} is made. Give it a key: alertgraph key create --tenant {slug} --role admin")


@commands.command("list")
def tenant_list(as_json: JsonOption = False) -> None:
    """List the tenants."""
    from alertgraph.edge.operator import list_tenants, operated

    for tenant in carried_out(lambda: operated(list_tenants)):
        if as_json:
            say_json(tenant)
        else:
            say(f"{tenant['slug']:<24} {tenant['tier']:<12} {tenant['name']}")
