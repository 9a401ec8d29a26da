"""The command line: `alertgraph`. Errors are one sentence that says what to do."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar
from uuid import UUID

import typer

from alertgraph import __version__

app = typer.Typer(
    name="alertgraph",
    help="The on-call brain: takes in critical alerts, keeps them, and serves one GraphQL API.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
tenants = typer.Typer(help="Make and list tenants. Works on the database directly.", no_args_is_help=True)
keys = typer.Typer(help="Make, list and revoke API keys. Works on the database directly.", no_args_is_help=True)
audit = typer.Typer(help="Prove that the log is what was written.", no_args_is_help=True)
documents = typer.Typer(
    help="Register GraphQL documents, and choose which are executed. Works on the database directly.",
    no_args_is_help=True,
)
dependencies = typer.Typer(help="Say what services need of one another.", no_args_is_help=True)
bench = typer.Typer(help="Measure alertgraph, and make what it is measured on.", no_args_is_help=True)
app.add_typer(tenants, name="tenant")
app.add_typer(keys, name="key")
app.add_typer(audit, name="audit")
app.add_typer(documents, name="documents")
app.add_typer(dependencies, name="dependencies")
app.add_typer(bench, name="bench")

T = TypeVar("T")

MANIFEST_SIZE_MAX = 32 * 1024 * 1024

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


def fail(sentence: str, code: int = 1) -> NoReturn:
    """End with one sentence on standard error."""
    typer.echo(f"alertgraph: {sentence}", err=True)
    raise typer.Exit(code)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)


def _carried_out(work: Callable[[], T]) -> T:
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


@app.command()
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
    raise typer.Exit(_carried_out(lambda: run(read_settings(**overrides))))


@app.command()
def migrate() -> None:
    """Bring the database to the shape that this release needs."""
    from alertgraph.edge.installation import migrate_database
    from alertgraph.settings import read_settings

    _carried_out(lambda: migrate_database(read_settings()))
    say("The database is up to date.")


@app.command()
def schema() -> None:
    """Print the GraphQL schema."""
    from resolvers.schema import print_sdl

    typer.echo(print_sdl(), nl=False)


# ---------------------------------------------------------------------------------------- operator


@tenants.command("create")
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
    made = _carried_out(lambda: operated(create_tenant, slug, name or slug, Tier[tier.upper()]))
    if as_json:
        say_json(made)
    else:
        say(f"Tenant {slug} is made. Give it a key: alertgraph key create --tenant {slug} --role admin")


@tenants.command("list")
def tenant_list(as_json: JsonOption = False) -> None:
    """List the tenants."""
    from alertgraph.edge.operator import list_tenants, operated

    for tenant in _carried_out(lambda: operated(list_tenants)):
        if as_json:
            say_json(tenant)
        else:
            say(f"{tenant['slug']:<24} {tenant['tier']:<12} {tenant['name']}")


@keys.command("create")
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
    made = _carried_out(
        lambda: operated(create_key, tenant, Role[role.upper()], name or f"{role} by command line")
    )
    if as_json:
        say_json(made)
    else:
        say(made["key"])


@keys.command("list")
def key_list(tenant: TenantOption, as_json: JsonOption = False) -> None:
    """List a tenant's keys, without their secrets."""
    from alertgraph.edge.operator import list_keys, operated

    for key in _carried_out(lambda: operated(list_keys, tenant)):
        if as_json:
            say_json(key)
        else:
            state = (
                "revoked" if key["revokedAt"] else "expires " + key["expiresAt"] if key["expiresAt"] else "valid"
            )
            say(f"{key['prefix']}…  {key['role']:<10} {state:<10} {key['name']}  {key['id']}")


@keys.command("revoke")
def key_revoke(
    key_id: Annotated[str, typer.Argument(help="Id of the key, as `alertgraph key list` prints it.")],
    tenant: TenantOption,
) -> None:
    """End a key at once, open sockets included."""
    from alertgraph.edge.operator import operated, revoke_key

    _carried_out(lambda: operated(revoke_key, tenant, key_id))
    say("The key is revoked.")


@documents.command("import")
def documents_import(
    file: Annotated[Path, typer.Argument(help="A manifest: Apollo's, or an object of hashes and texts.")],
    tenant: TenantOption,
    as_json: JsonOption = False,
) -> None:
    """Register the documents of a manifest, all of them or none."""
    from alertgraph.edge.operator import import_documents, operated
    from alertgraph.execution.errors import RefusedError
    from alertgraph.execution.request import read_json

    try:
        size = file.stat().st_size
        if size > MANIFEST_SIZE_MAX:
            fail(f"{file} has {size} bytes; a manifest has at most {MANIFEST_SIZE_MAX}.")
        manifest = read_json(file.read_bytes(), str(file))
    except OSError as error:
        fail(f"{file} can't be read: {error.strerror}.")
    except RefusedError as error:
        fail(str(error))
    done = _carried_out(lambda: operated(import_documents, tenant, manifest))
    if as_json:
        say_json(done)
    else:
        say(f"{done['documents']} documents are registered, {done['new']} of them new.")


@documents.command("own")
def documents_own() -> None:
    """Print a manifest of what this command line sends itself, for tenants that execute trusted documents only."""
    import hashlib

    from alertgraph.edge.client import FOLLOW, SET_DEPENDENCIES

    say_json({hashlib.sha256(text.encode()).hexdigest(): text for text in (FOLLOW, SET_DEPENDENCIES)})


@documents.command("list")
def documents_list(tenant: TenantOption, as_json: JsonOption = False) -> None:
    """List a tenant's registered documents."""
    from alertgraph.edge.operator import list_documents, operated

    for document in _carried_out(lambda: operated(list_documents, tenant)):
        if as_json:
            say_json(document)
        else:
            used, name = document["usedAt"][:10], document["name"] or ""
            say(f"{document['id']}  {document['source']:<8} {document['size']:>6}  {used}  {name}")


@documents.command("remove")
def documents_remove(
    ids: Annotated[list[str], typer.Argument(help="Ids, as `alertgraph documents list` prints them.")],
    tenant: TenantOption,
) -> None:
    """Register documents no longer, all of them or none."""
    from alertgraph.edge.operator import operated, remove_documents

    _carried_out(lambda: operated(remove_documents, tenant, ids))
    say("The document is removed." if len(ids) == 1 else "The documents are removed.")


@documents.command("mode")
def documents_mode(
    tenant: TenantOption,
    mode: Annotated[str | None, typer.Argument(help="open, apq or trusted-only; as it is where left out.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Choose which documents a tenant executes; works also where trusted-only has locked everybody out."""
    from alertgraph.core.document import DocumentMode
    from alertgraph.edge.operator import operated, set_document_mode

    wanted = mode.upper().replace("-", "_") if mode is not None else None
    if wanted is not None and wanted not in DocumentMode.__members__:
        fail(f"The mode is open, apq or trusted-only, not {mode}.", 2)
    chosen = DocumentMode[wanted] if wanted is not None else None
    done = _carried_out(lambda: operated(set_document_mode, tenant, chosen))
    if as_json:
        say_json(done)
    else:
        meaning = {
            "OPEN": "any document is executed",
            "APQ": "any document is executed, and by its hash once it came with it",
            "TRUSTED_ONLY": "only documents of manifests are executed",
        }
        say(f"{done['mode'].lower().replace('_', '-')}: {meaning[done['mode']]}.")


@audit.command("verify")
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
    kept = _carried_out(lambda: [read_note(path) for path in against or ()])
    for result in _carried_out(lambda: operated(verify, tenant, kept)):
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


@audit.command("checkpoint")
def audit_checkpoint(tenant: TenantOption, as_json: JsonOption = False) -> None:
    """Print the newest signed state of a tenant's log: keep it where nobody can change it."""
    from alertgraph.edge.auditing import newest_checkpoint
    from alertgraph.edge.operator import operated

    checkpoint = _carried_out(lambda: operated(newest_checkpoint, tenant))
    if as_json:
        say_json(checkpoint)
    else:
        typer.echo(checkpoint["note"], nl=False)


@audit.command("prove")
def audit_prove(
    number: Annotated[int, typer.Argument(help="Of the event.", min=1)],
    tenant: TenantOption,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a proof that an event stands in the log, to be checked anywhere by `audit check`."""
    from alertgraph.edge.auditing import prove_event
    from alertgraph.edge.operator import operated

    _write_proof(_carried_out(lambda: operated(prove_event, tenant, number)), out, as_json)


@audit.command("grown")
def audit_grown(
    size: Annotated[int, typer.Argument(help="Of the earlier checkpoint: its second line.", min=0)],
    tenant: TenantOption,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a proof that the log of today only added to an earlier one."""
    from alertgraph.edge.auditing import prove_growth
    from alertgraph.edge.operator import operated

    _write_proof(_carried_out(lambda: operated(prove_growth, tenant, size)), out, as_json)


@audit.command("check")
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
    finding = _carried_out(lambda: check_proof(file, key, earlier))
    if as_json:
        say_json({"sound": finding.is_sound, "text": finding.text})
    else:
        say(finding.text)
    if not finding.is_sound:
        raise typer.Exit(1)


@audit.command("keys")
def audit_keys(tenant: TenantOption, as_json: JsonOption = False) -> None:
    """List the public keys that a tenant's checkpoints are signed with, the newest first."""
    from alertgraph.edge.auditing import list_signing_keys
    from alertgraph.edge.operator import operated

    for listed in _carried_out(lambda: operated(list_signing_keys, tenant)):
        if as_json:
            say_json(listed)
        else:
            say(listed["key"])


@audit.command("rotate-key")
def audit_rotate_key(as_json: JsonOption = False) -> None:
    """Sign with a new key from now on; those before stay listed."""
    from alertgraph.edge.auditing import rotate_signing_key
    from alertgraph.edge.operator import operated

    rotated = _carried_out(lambda: operated(rotate_signing_key))
    if as_json:
        say_json(rotated)
    else:
        say(f"Key {rotated['generation']} signs from now on: `alertgraph audit keys` prints it for each tenant.")


@audit.command("restart")
def audit_restart(
    tenant: TenantOption,
    reason: Annotated[str, typer.Option(help="Why, for the log: such as which backup was restored.")],
    force: Annotated[bool, typer.Option("--force", help="Also where nothing is wrong with the log.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Begin the proofs of a log anew that contradicts what was signed, such as one from a backup."""
    from alertgraph.edge.auditing import restart_log
    from alertgraph.edge.operator import operated

    done = _carried_out(lambda: operated(restart_log, tenant, reason, force=force))
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


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Check the installation: database, roles, partitions, Redis, clock, keys; exits with 1 on a fault."""
    from alertgraph.edge.doctor import examine
    from alertgraph.settings import read_settings

    findings = _carried_out(lambda: examine(read_settings()))
    for finding in findings:
        if as_json:
            say_json({"check": finding.check, "state": finding.state, "text": finding.text})
        else:
            mark = {"ok": "✓", "warning": "!", "fault": "✗"}[finding.state]
            say(f"{mark} {finding.check:<14} {finding.text}")
    if any(finding.state == "fault" for finding in findings):
        raise typer.Exit(1)


@bench.command("fill")
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
    settings = _carried_out(lambda: read_settings(None, **overrides))
    if data_dir is None and settings.database_url is None:
        fail("name an empty folder with --data-dir, or an empty database with CRITICAL_ALERT_DATABASE_URL.", 2)
    chosen = fill.SEED if seed is None else seed
    done = _carried_out(lambda: fill.filled_installation(settings, closed, opened, chosen, told))
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


# ----------------------------------------------------------------------------------------- clients


@app.command()
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
        alert, created = send_alert(_url(url), _key(key), fields)
    except ClientError as error:
        fail(str(error))
    if as_json:
        say_json({"created": created, "alert": alert})
    elif created:
        say(f"{alert['id']} is open.")
    else:
        say(f"{alert['id']} fired again: {alert['occurrenceCount']} times now.")


@dependencies.command("import")
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
        count = set_dependencies(_url(url), _key(key), named, replace_all=replace_all)
    except (FileError, ClientError) as error:
        fail(str(error))
    if as_json:
        say_json({"services": len(named), "dependencies": count})
    else:
        say(f"{len(named)} services are set; there are {count} dependencies now.")


@app.command()
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
        follow(_url(url), _key(key), after, show, lambda line: typer.echo(line, err=True))
    except ClientError as error:
        fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except BrokenPipeError:
        # Whoever read us has enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@app.command()
def train(
    bundled: Annotated[
        bool, typer.Option("--bundled", help="The version that all tenants begin with, from public data.")
    ] = False,
    tenant: Annotated[
        str | None, typer.Option("--tenant", "-t", help="Slug: a candidate from the tenant's own outcomes.")
    ] = None,
    tenant_id: Annotated[UUID | None, typer.Option(hidden=True)] = None,
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Root of the public data sets; ALERTGRAPH_DATA, else ../shared/data.",
            file_okay=False,
            exists=True,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where --bundled writes the model.")] = Path("torch_v1.agmodel"),
    as_json: JsonOption = False,
) -> None:
    """Train a version of the model: --bundled for everyone, --tenant for one. Takes a minute or two."""
    if bundled == (tenant is not None or tenant_id is not None):
        fail("name one: --bundled or --tenant.", 2)
    if supervised:
        from alertgraph.edge.child import parent_watched

        parent_watched()
    try:
        from alertgraph.edge import training
        from alertgraph.ml.evaluation.command import data_root
    except ModuleNotFoundError as error:
        fail(f"this needs {error.name}; pip install 'alertgraph[ml]' brings it.")
    from alertgraph.settings import read_settings

    def told(line: str) -> None:
        if not as_json:
            say(line)

    try:
        if bundled:
            done = _carried_out(lambda: training.train_bundled(data_root(data), out, told))
        else:
            done = _carried_out(lambda: training.train_tenant(read_settings(), slug=tenant, tenant_id=tenant_id))
    except ModuleNotFoundError as error:
        fail(f"this needs {error.name}; pip install 'alertgraph[ml]' brings it.")
    if as_json:
        say_json(done)
    elif bundled:
        say(f"{done['version']} is in {out}: {done['bytes']:,} bytes, SHA-256 {done['sha256']}.")
    else:
        state = "is a candidate" if done["new"] else "was there already"
        say(f"{done['version']} {state}, from {done['examples']:,} outcomes.")


@bench.command("ml")
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


@app.command("replay")
def replay(
    data: Annotated[
        Path | None,
        typer.Option(
            help="Root of the data sets; ALERTGRAPH_DATA, else ../shared/data.", file_okay=False, exists=True
        ),
    ] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", help="telecom, ait_ads; all where none is named.")
    ] = None,
    days: Annotated[float | None, typer.Option(help="How much of a set, in days.", min=0.1, max=60)] = None,
    mode: Annotated[str, typer.Option(help="noiseMode of the run that learns.")] = "HOLD",
    hold_max: Annotated[float, typer.Option(help="noiseHoldMax in minutes.", min=0, max=60)] = 5.0,
    regret_budget: Annotated[float, typer.Option(help="noiseRegretBudget in minutes.", min=0, max=43_200)] = 60.0,
    warm_share: Annotated[float, typer.Option(help="Share of it that is not scored.", min=0, max=0.99)] = 0.5,
    seed: Annotated[int, typer.Option(help="Of chance.")] = 1,
    with_model: Annotated[
        bool, typer.Option("--model/--no-model", help="Whether the run that learns predicts; needs the extra ml.")
    ] = False,
    url: Annotated[
        str | None,
        typer.Option(help="Tell it to this service instead, in real time; its people are really paged."),
    ] = None,
    key: KeyOption = None,
    speed: Annotated[
        float, typer.Option(help="With --url: seconds of the set in one of ours.", min=0.001, max=1e6)
    ] = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Tell the service labelled alerts of the past, on a clock of its own, and report what people on call met.

    Each set is told twice, without learning and with it. Takes minutes, on a database that is made for it.
    """
    from datetime import timedelta

    from alertgraph.edge.client import ClientError
    from alertgraph.edge.replay import command
    from alertgraph.edge.replay.sets import SETS, DataMissingError, ReplaySet

    try:
        noise = command.noise_rules(mode.upper(), timedelta(minutes=hold_max), timedelta(minutes=regret_budget))
        root = data or Path(os.environ.get("ALERTGRAPH_DATA") or "../shared/data")

        if url is not None:
            from alertgraph.edge.replay.outside import tell

            for name in sets or SETS:
                length = timedelta(days=days or SETS[name].days)
                told = tell(url, _key(key), SETS[name].read(root, length), speed, _aside)
                if as_json:
                    say_json({"set": name, **told})
                    continue
                for figure, value in told["figures"].items():
                    say(f"{figure:20}{value!s:>12}  {told['definitions'].get(figure, '')}".rstrip())
            return
        model = _carried_out(command.model_installed) if with_model else None

        def options(the_set: ReplaySet) -> command.Options:
            return command.Options(days or the_set.days, warm_share, seed, noise, model)

        _carried_out(lambda: command.carry_out(root, sets or [], options, say, as_json=as_json))
    except KeyError as error:
        fail(f"there is no {error.args[0]}.", 2)
    except (DataMissingError, ClientError) as error:
        fail(str(error))


def _aside(line: str) -> None:
    """Say how far something is, beside what it comes to."""
    typer.echo(line, err=True)


def _url(given: str | None) -> str:
    """Return the URL given, else where this machine serves its embedded installation, else the one that is set."""
    if given:
        return given
    from alertgraph.edge.installation import url_path
    from alertgraph.settings import read_settings

    settings = _carried_out(read_settings)
    try:
        return url_path(settings).read_text(encoding="ascii").strip()
    except OSError:
        return f"http://{settings.host}:{settings.port}"


def _key(given: str | None) -> str:
    """Return the key given, or the one that a first start on this machine left in the data directory."""
    if given:
        return given
    from alertgraph.edge.installation import bootstrap_key_path
    from alertgraph.settings import read_settings

    path: Path = _carried_out(lambda: bootstrap_key_path(read_settings()))
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        fail(
            "give an API key with --key or ALERTGRAPH_KEY; `alertgraph key create --tenant default` makes one.", 2
        )
