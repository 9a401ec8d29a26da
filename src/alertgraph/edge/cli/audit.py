"""`alertgraph audit`: proofs, and what they are checked with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from alertgraph.edge.cli.terminal import JsonOption, OutOption, TenantOption, carried_out, fail, say, say_json

commands = typer.Typer(help="Prove that the log is what was written.", no_args_is_help=True)


@commands.command("verify")
def audit_verify(
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", help="Slug; all tenants where left out.")] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option("--against", help="A checkpoint of this tenant that was kept from before; may be repeated."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check every event, the chain, the tree and each checkpoint; exits with 1 on a fault."""
    from alertgraph.edge.auditing import read_note, verify
    from alertgraph.edge.operator import operated

    if against and tenant is None:
        fail("--against needs --tenant: a checkpoint is of one log.", 2)
    sound = True
    kept = carried_out(lambda: [read_note(path) for path in against or ()])
    for result in carried_out(lambda: operated(verify, tenant, kept)):
        fault = result["fault"]
        sound = sound and fault is None
        if as_json:
            say_json(result)
        elif fault is None:
            sealed = f"signed up to event {result['sealed']:,}" if result["sealed"] else "none is signed yet"
            say(f"{result['tenant']}: {result['checked']:,} events, every leaf and link holds; {sealed}.")
        else:
            say(f"{result['tenant']}: FAULT at event {fault['number']}: {fault['text']}")
    if not sound:
        raise typer.Exit(1)


@commands.command("checkpoint")
def audit_checkpoint(tenant: TenantOption, as_json: JsonOption = False) -> None:
    """Print the newest signed state of a tenant's log: keep it where nobody can change it."""
    from alertgraph.edge.auditing import newest_checkpoint
    from alertgraph.edge.operator import operated

    checkpoint = carried_out(lambda: operated(newest_checkpoint, tenant))
    if as_json:
        say_json(checkpoint)
    else:
        typer.echo(checkpoint["note"], nl=False)


@commands.command("prove")
def audit_prove(
    number: Annotated[int, typer.Argument(help="Of the event.", min=1)],
    tenant: TenantOption,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a proof that an event stands in the log, to be checked anywhere by `audit check`."""
    from alertgraph.edge.auditing import prove_event
    from alertgraph.edge.operator import operated

    _write_proof(carried_out(lambda: operated(prove_event, tenant, number)), out, as_json)


@commands.command("grown")
def audit_grown(
    size: Annotated[int, typer.Argument(help="Of the earlier checkpoint: its second line.", min=0)],
    tenant: TenantOption,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a proof that the log of today only added to an earlier one."""
    from alertgraph.edge.auditing import prove_growth
    from alertgraph.edge.operator import operated

    _write_proof(carried_out(lambda: operated(prove_growth, tenant, size)), out, as_json)


@commands.command("check")
def audit_check(
    file: Annotated[Path, typer.Argument(help="What `audit prove` or `audit grown` wrote.")],
    key: Annotated[
        list[str] | None,
        typer.Option("--key", help="Whom you believe, as `audit keys` prints it; may be repeated."),
    ] = None,
    earlier: Annotated[
        Path | None, typer.Option(help="The checkpoint kept from before, for a proof of `audit grown`.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a proof without a database; exits with 1 where it proves nothing."""
    from alertgraph.edge.auditing import check_proof

    if not key:
        fail("--key says whom you believe: ask the operator for what `alertgraph audit keys` prints.", 2)
    finding = carried_out(lambda: check_proof(file, key, earlier))
    if as_json:
        say_json({"sound": finding.is_sound, "text": finding.text})
    else:
        say(finding.text)
    if not finding.is_sound:
        raise typer.Exit(1)


@commands.command("keys")
def audit_keys(tenant: TenantOption, as_json: JsonOption = False) -> None:
    """List the public keys that a tenant's checkpoints are signed with, the newest first."""
    from alertgraph.edge.auditing import list_signing_keys
    from alertgraph.edge.operator import operated

    for listed in carried_out(lambda: operated(list_signing_keys, tenant)):
        if as_json:
            say_json(listed)
        else:
            say(listed["key"])


@commands.command("rotate-key")
def audit_rotate_key(as_json: JsonOption = False) -> None:
    """Sign with a new key from now on; those before stay listed."""
    from alertgraph.edge.auditing import rotate_signing_key
    from alertgraph.edge.operator import operated

    rotated = carried_out(lambda: operated(rotate_signing_key))
    if as_json:
        say_json(rotated)
    else:
        say(f"Key {rotated['generation']} signs from now on: `alertgraph audit keys` prints it for each tenant.")


@commands.command("restart")
def audit_restart(
    tenant: TenantOption,
    reason: Annotated[str, typer.Option(help="Why, for the log: such as which backup was restored.")],
    force: Annotated[bool, typer.Option("--force", help="Also where nothing is wrong with the log.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Begin the proofs of a log anew that contradicts what was signed, such as one from a backup."""
    from alertgraph.edge.auditing import restart_log
    from alertgraph.edge.operator import operated

    done = carried_out(lambda: operated(restart_log, tenant, reason, force=force))
    if as_json:
        say_json(done)
    else:
        was = f"{done['signedBefore']:,} events were" if done["signedBefore"] is not None else "nothing known was"
        say(f"{tenant}: epoch {done['logEpoch']} begins with {done['signedNow']:,} events; {was} signed before.")


def _write_proof(proof: dict[str, Any], out: Path | None, as_json: bool) -> None:  # noqa: FBT001  (an option)
    text = json.dumps(proof, ensure_ascii=False, indent=None if as_json else 2)
    if out is None:
        typer.echo(text)
        return
    try:
        out.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        fail(f"{out} can't be written: {error.strerror}.")
