"""Proofs: that an event stands unchanged in the log, and that the log only grew."""

import base64
from datetime import datetime
from typing import Annotated, Self

import strawberry

from alertgraph.core.checkpoint import SignedCheckpoint
from alertgraph.core.ids import EventKey, decode_id
from alertgraph.core.proof import ConsistencyProof, InclusionProof
from resolvers.context import Info
from resolvers.event import LogEvent, cursor_of
from resolvers.permissions import reads
from resolvers.scalars import Long
from resolvers.words import Role

# Some tiles, and a few thousand hashes.
PROOF_COST = {"cost": 10}


@strawberry.type(description="A signed state of the log's Merkle tree (RFC 6962).")
class AuditHead:
    """A signed state of the log's tree; docs/audit.md says which text is signed."""

    tree_size: Long = strawberry.field(description="How many events it covers.")
    root_hash: str = strawberry.field(description="SHA-256, hex.")
    signed_at: datetime = strawberry.field(description="When it was signed.")
    key_id: str = strawberry.field(description="Name of the signing key.")
    public_key: str = strawberry.field(description="Ed25519 public key, base64.")
    signature: str = strawberry.field(description="Ed25519 signature, base64.")

    @classmethod
    def of(cls, signed: SignedCheckpoint) -> Self:
        """Return a checkpoint as the API shows it."""
        checkpoint = signed.checkpoint
        return cls(
            tree_size=Long(checkpoint.size),
            root_hash=checkpoint.root.hex(),
            signed_at=checkpoint.signed_at,
            key_id=signed.key_id,
            public_key=base64.b64encode(signed.public_key).decode(),
            signature=base64.b64encode(signed.signature).decode(),
        )


@strawberry.type(description="Proof that an event stands unchanged in the log.")
class AuditProof:
    """Proof that an event stands unchanged in the log."""

    event: LogEvent = strawberry.field(description="The event.")
    leaf_index: Long = strawberry.field(description="Its place in the tree, from 0.")
    leaf_hash: str = strawberry.field(description="SHA-256 of the event's content, hex.")
    inclusion_path: list[str] = strawberry.field(description="Sibling hashes from the leaf up, hex.")
    head: AuditHead = strawberry.field(description="The head that the path leads to.", metadata={"cost": 0})

    @classmethod
    def of(cls, event: LogEvent, proof: InclusionProof) -> Self:
        """Return a proof as the API shows it."""
        return cls(
            event=event,
            leaf_index=Long(proof.index),
            leaf_hash=proof.leaf.hex(),
            inclusion_path=[each.hex() for each in proof.path],
            head=AuditHead.of(proof.head),
        )


@strawberry.type(description="Proof that a later log only added to an earlier one.")
class AuditConsistency:
    """Proof that a later log only added to an earlier one."""

    earlier_size: Long = strawberry.field(description="Size of the earlier tree.")
    path: list[str] = strawberry.field(description="Hashes after RFC 6962, hex.")
    head: AuditHead = strawberry.field(description="The later head.", metadata={"cost": 0})

    @classmethod
    def of(cls, proof: ConsistencyProof) -> Self:
        """Return a proof as the API shows it."""
        return cls(
            earlier_size=Long(proof.earlier_size),
            path=[each.hex() for each in proof.path],
            head=AuditHead.of(proof.head),
        )


@reads(Role.VIEWER)
async def audit_head(info: Info) -> AuditHead | None:
    """Return the newest signed state of the caller's log."""
    signed = await info.context.reading.audit_head()
    return AuditHead.of(signed) if signed is not None else None


@reads(Role.VIEWER)
async def audit_proof(
    info: Info,
    event_id: Annotated[strawberry.ID, strawberry.argument(description="The event.")],
) -> AuditProof | None:
    """Return the proof of an event that the caller may see."""
    reading = info.context.reading
    decoded = decode_id(event_id)
    key = decoded[1] if decoded is not None else None
    stored = await info.context.loaders.event.load(key) if isinstance(key, EventKey) else None
    proof = await reading.audit_proof(stored)
    if stored is None or proof is None:
        return None
    as_of = await reading.as_of()
    return AuditProof.of(LogEvent.of(stored, cursor_of(stored, as_of.log_epoch)), proof)


@reads(Role.VIEWER)
async def audit_consistency(
    info: Info,
    earlier_size: Annotated[Long, strawberry.argument(description="Tree size of a head kept from before.")],
) -> AuditConsistency | None:
    """Return the proof that the log only added to the one whose size the caller kept."""
    proof = await info.context.reading.audit_consistency(earlier_size)
    return AuditConsistency.of(proof) if proof is not None else None
