"""The operator's and the auditor's commands about proofs: what is signed, what is proved, and whether it holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from alertgraph.core.audit import Fault
from alertgraph.core.catalog import Change
from alertgraph.core.checkpoint import Checkpoint, Note, SignedCheckpoint, VerifierKey, is_signed, parse_note
from alertgraph.core.errors import DependencyError, InputError, NotFoundError
from alertgraph.core.event import EventKind, instant_text
from alertgraph.core.ids import NodeKind, TenantId, encode_id
from alertgraph.core.merkle import BrokenTreeError
from alertgraph.core.proof import (
    Finding,
    check_file,
    consistency_file,
    consistency_tiles,
    inclusion_file,
    inclusion_tiles,
    prove_consistency,
    prove_inclusion,
)
from alertgraph.core.tenant import Tenant
from alertgraph.edge.clock import SystemClock, SystemDice
from alertgraph.edge.installation import operator_of
from alertgraph.edge.operator import Desk
from alertgraph.services.catalog_changes import config_event
from alertgraph.storage.audit import TreeResult, verify_log, verify_tree
from alertgraph.storage.audit_tree import (
    PostgresAuditTrees,
    load_audit_head,
    load_content,
    load_tiles,
    restart,
    rotate,
)
from alertgraph.storage.configuration import PostgresConfiguration
from alertgraph.storage.reader import Reader
from alertgraph.storage.secrets import is_signature

FILE_SIZE_MAX = 16 * 1024 * 1024


async def verify(desk: Desk, slug: str | None, kept: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return what the check of each tenant's log came to.

    Args:
        desk: The operator's.
        slug: Of one tenant; None for all.
        kept: Notes that somebody kept, to be checked against the one tenant's log.

    Raises:
        InputError: A note is none, is of another log, or was not signed by this installation.
    """
    tenants: Sequence[Tenant] = [await desk.tenant(slug)] if slug is not None else await desk.registry.all()
    keys = [public_key for _, public_key in await _keys(desk)]
    results = []
    for tenant in tenants:
        notes = [_own(parse_note(text), tenant.id, keys) for text in kept]
        checked, fault = await verify_log(desk.database, tenant.id)
        witnessed = _witnessed(desk, tenant.id, keys)
        tree = await verify_tree(desk.database, tenant.id, keys, is_signature, [*notes, *witnessed])
        fault = fault or tree.fault or _fault_of_epoch(notes, tree)
        results.append(
            {
                "tenant": tenant.slug,
                "checked": checked,
                "sealed": tree.sealed_number,
                "checkpoints": tree.checkpoint_count,
                "fault": {"number": fault.number, "text": fault.text} if fault is not None else None,
            }
        )
    return results


async def newest_checkpoint(desk: Desk, slug: str) -> dict[str, Any]:
    """Return the newest signed state of a tenant's log, and who signed it."""
    head = await _head(desk, await desk.tenant(slug))
    checkpoint = head.checkpoint
    return {
        "tenant": slug,
        "treeSize": checkpoint.size,
        "lastNumber": checkpoint.last_number,
        "rootHash": checkpoint.root.hex(),
        "signedAt": instant_text(checkpoint.signed_at),
        "key": str(VerifierKey(checkpoint.tree.origin, head.public_key)),
        "note": head.note,
    }


async def prove_event(desk: Desk, slug: str, number: int) -> dict[str, Any]:
    """Return the proof file of an event; of one that retention removed, with its hash alone."""
    tenant = await desk.tenant(slug)
    head = await _head(desk, tenant)
    checkpoint = head.checkpoint
    if number < checkpoint.tree.first_number:
        raise NotFoundError(f"Nothing was ever signed of event {number}: the log's tree begins behind it.")
    if not checkpoint.covers(number):
        raise NotFoundError(
            f"No signed checkpoint covers event {number} yet: the newest one ends with {checkpoint.last_number}."
        )
    async with Reader.open(desk.database, tenant.id) as reader:
        tiles = await load_tiles(reader, inclusion_tiles(head, number))
        found = await load_content(reader, number)
    content, leaf = found if found is not None else (None, None)
    try:
        return inclusion_file(prove_inclusion(head, number, leaf, tiles), content)
    except BrokenTreeError as error:
        raise _tampered() from error


async def prove_growth(desk: Desk, slug: str, earlier_size: int) -> dict[str, Any]:
    """Return the proof file that a tenant's log of today only added to what it was at an earlier size."""
    tenant = await desk.tenant(slug)
    head = await _head(desk, tenant)
    size = head.checkpoint.size
    if earlier_size > size:
        raise InputError(f"The newest checkpoint covers {size} events, not {earlier_size}.", "size")
    async with Reader.open(desk.database, tenant.id) as reader:
        tiles = await load_tiles(reader, consistency_tiles(head, earlier_size))
    try:
        return consistency_file(prove_consistency(head, earlier_size, tiles))
    except BrokenTreeError as error:
        raise _tampered() from error


async def list_signing_keys(desk: Desk, slug: str) -> list[dict[str, Any]]:
    """Return the installation's public keys, the newest first, under the name that a tenant's checkpoints have."""
    tenant = await desk.tenant(slug)
    head = await _head(desk, tenant)
    origin = head.checkpoint.tree.origin
    return [
        {
            "generation": generation,
            "publicKey": public_key.hex(),
            "key": str(VerifierKey(origin, public_key)),
            "signs": index == 0,
        }
        for index, (generation, public_key) in enumerate(await _keys(desk))
    ]


async def rotate_signing_key(desk: Desk) -> dict[str, Any]:
    """Return the key that signs from now on; those before stay listed, for what they signed."""
    generation = (await _keys(desk))[0][0] + 1
    key = desk.master_key.signing_key(generation)
    await rotate(desk.owner_url, generation, key.public_key)
    return {"generation": generation, "publicKey": key.public_key.hex()}


async def restart_log(desk: Desk, slug: str, reason: str, *, force: bool) -> dict[str, Any]:
    """Return where a tenant's log is begun anew, which its own log tells from then on."""
    tenant = await desk.tenant(slug)
    signer = desk.master_key.signing_key((await _keys(desk))[0][0])

    def sign(checkpoint: Checkpoint) -> SignedCheckpoint:
        return SignedCheckpoint(checkpoint, signer.public_key, signer.sign(checkpoint.text.encode()))

    now, dice = SystemClock().now(), SystemDice()
    done = await restart(desk.owner_url, tenant.id, sign, now.replace(microsecond=0), force=force)
    before = done.before.checkpoint if done.before is not None else None
    after = done.signed.checkpoint if done.signed is not None else None
    event = config_event(
        EventKind.CONFIG_UPDATED,
        operator_of(tenant),
        now,
        "AuditLog",
        encode_id(NodeKind.TENANT, tenant.id),
        {"origin": before.tree.origin, "treeSize": before.size} if before is not None else {},
        {"origin": after.tree.origin, "treeSize": after.size} if after is not None else {},
        {"reason": reason},
    )
    store = PostgresConfiguration(desk.database, lambda: UUID(int=dice.bits(128)))
    await store.change(tenant.id, lambda _: Change(event))
    if done.signed is not None:
        desk.witness.keep(tenant.id, done.signed.note)
    return {
        "tenant": slug,
        "logEpoch": done.log_epoch,
        "signedBefore": before.size if before is not None else None,
        "signedNow": after.size if after is not None else 0,
    }


def check_proof(path: Path, keys: Sequence[str], earlier: Path | None) -> Finding:
    """Return what a proof file proves to who believes these keys; without a database.

    Raises:
        InputError: A file or a key is none, or can't be read.
    """
    believed = [VerifierKey.parse(key) for key in keys]
    try:
        file = orjson.loads(_read(path))
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path} is no proof of alertgraph: {error}.", "file") from error
    if not isinstance(file, dict):
        raise InputError(f"{path} is no proof of alertgraph.", "file")
    return check_file(file, believed, is_signature, read_note(earlier) if earlier is not None else None)


def read_note(path: Path) -> str:
    """Return the text of a note's file; raises InputError where it can't be read."""
    return _read(path).decode("utf-8", errors="replace")


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > FILE_SIZE_MAX:
            raise InputError(f"{path} is larger than any proof.", "file")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}.", "file") from error


async def _head(desk: Desk, tenant: Tenant) -> SignedCheckpoint:
    async with Reader.open(desk.database, tenant.id) as reader:
        head = await load_audit_head(reader)
    if head is None:
        raise NotFoundError("Nothing of this log is signed yet: that comes within a minute of its first events.")
    return head


async def _keys(desk: Desk) -> Sequence[tuple[int, bytes]]:
    """Return the public keys by generation, the newest first: those that follow from the master key, no others."""
    known = await PostgresAuditTrees(desk.database).keys(desk.master_key.signing_key(1).public_key)
    own = [(generation, desk.master_key.signing_key(generation).public_key) for generation, _ in known]
    if own != list(known):
        raise DependencyError(
            "audit",
            retryable=False,
            message="The keys in the database do not follow from the master key: they were changed there.",
        )
    return own


def _witnessed(desk: Desk, tenant_id: TenantId, keys: Sequence[bytes]) -> list[Note]:
    """Return what is kept outside the database of a tenant's log, as far as it is to be believed."""
    try:
        text = desk.witness.newest(tenant_id)
        return [_own(parse_note(text), tenant_id, keys)] if text is not None else []
    except (InputError, OSError):
        return []


def _own(note: Note, tenant_id: TenantId, keys: Sequence[bytes]) -> Note:
    if f"/{encode_id(NodeKind.TENANT, tenant_id)}/" not in note.origin:
        raise InputError(f"This is a checkpoint of {note.origin}, which is another log.", "checkpoint")
    if not any(is_signed(note, VerifierKey(note.origin, key), is_signature) for key in keys):
        raise InputError("This checkpoint was changed, or was not signed by this installation.", "checkpoint")
    return note


def _fault_of_epoch(notes: Sequence[Note], tree: TreeResult) -> Fault | None:
    """Say so where a log was begun anew since somebody kept a checkpoint of it."""
    for note in notes:
        if note.origin != tree.origin:
            text = f"The log was begun anew since: it was {note.origin}, and is {tree.origin} now."
            return Fault(tree.sealed_number, text)
    return None


def _tampered() -> DependencyError:
    return DependencyError(
        "audit",
        retryable=False,
        message="The stored log or its tree is not what was signed; `alertgraph audit verify` tells where.",
    )
