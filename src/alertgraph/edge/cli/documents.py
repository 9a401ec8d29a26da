"""`alertgraph documents`: on the database directly."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alertgraph.edge.cli.terminal import JsonOption, TenantOption, carried_out, fail, say, say_json

commands = typer.Typer(
    help="Register GraphQL documents, and choose which are executed. Works on the database directly.",
    no_args_is_help=True,
)
MANIFEST_SIZE_MAX = 32 * 1024 * 1024


@commands.command("import")
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
    done = carried_out(lambda: operated(import_documents, tenant, manifest))
    if as_json:
        say_json(done)
    else:
        say(f"{done['documents']} documents are registered, {done['new']} of them new.")


@commands.command("own")
def documents_own() -> None:
    """Print a manifest of what this command line sends itself, for tenants that execute trusted documents only."""
    import hashlib

    from alertgraph.edge.client import ACKNOWLEDGE, FOLLOW, SET_DEPENDENCIES

    say_json({hashlib.sha256(text.encode()).hexdigest(): text for text in (ACKNOWLEDGE, FOLLOW, SET_DEPENDENCIES)})


@commands.command("list")
def documents_list(tenant: TenantOption, as_json: JsonOption = False) -> None:
    """List a tenant's registered documents."""
    from alertgraph.edge.operator import list_documents, operated

    for document in carried_out(lambda: operated(list_documents, tenant)):
        if as_json:
            say_json(document)
        else:
            used, name = document["usedAt"][:10], document["name"] or ""
            say(f"{document['id']}  {document['source']:<8} {document['size']:>6}  {used}  {name}")


@commands.command("remove")
def documents_remove(
    ids: Annotated[list[str], typer.Argument(help="Ids, as `alertgraph documents list` prints them.")],
    tenant: TenantOption,
) -> None:
    """Register documents no longer, all of them or none."""
    from alertgraph.edge.operator import operated, remove_documents

    carried_out(lambda: operated(remove_documents, tenant, ids))
    say("The document is removed." if len(ids) == 1 else "The documents are removed.")


@commands.command("mode")
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
    done = carried_out(lambda: operated(set_document_mode, tenant, chosen))
    if as_json:
        say_json(done)
    else:
        meaning = {
            "OPEN": "any document is executed",
            "APQ": "any document is executed, and by its hash once it came with it",
            "TRUSTED_ONLY": "only documents of manifests are executed",
        }
        say(f"{done['mode'].lower().replace('_', '-')}: {meaning[done['mode']]}.")
