"""The trees that prove the logs, and what signs and keeps them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from alertgraph.core.checkpoint import Checkpoint, SignedCheckpoint
from alertgraph.core.ids import TenantId
from alertgraph.core.sealing import Growth, Refusal, TreeState


@dataclass(frozen=True, slots=True)
class SealingTurn:
    """What came of a sealer's turn at one tenant's log.

    Attributes:
        signed: The new checkpoint; None where nothing was new, or it was refused.
        count: How many events it covers more than the one before.
        refusal: Why the log is not sealed.
        has_more: Whether events are left for another turn.
    """

    signed: SignedCheckpoint | None = None
    count: int = 0
    refusal: Refusal | None = None
    has_more: bool = False


@dataclass(frozen=True, slots=True)
class AuditLag:
    """How far the trees are behind, over all tenants.

    Attributes:
        event_count: Events that no checkpoint covers yet.
        refused_count: Logs that are not sealed, since they contradict what was signed.
    """

    event_count: int
    refused_count: int


class AuditTrees(Protocol):
    """The Merkle trees that prove the logs. Every method raises DependencyError where the store is away."""

    async def due(self, now: datetime, limit: int) -> Sequence[TenantId]:
        """Return tenants whose log has grown for a minute or by a thousand events, the longest ago first."""
        ...

    async def keys(self, first_public_key: bytes) -> Sequence[tuple[int, bytes]]:
        """Return the installation's public keys by generation, the newest first; the first one is remembered."""
        ...

    async def lag(self) -> AuditLag:
        """Return how far all tenants' trees together are behind their logs."""
        ...

    async def turn(
        self,
        tenant_id: TenantId,
        kept_size: int | None,
        now: datetime,
        decide: Callable[[TreeState], Growth | Refusal | None],
        sign: Callable[[Checkpoint], SignedCheckpoint],
    ) -> SealingTurn | None:
        """Grow a tenant's tree by one step, all or nothing; None where another process is at it.

        Args:
            tenant_id: Whose.
            kept_size: Of the checkpoint that is kept outside, whose root `decide` will compare; None for none.
            now: When it is.
            decide: Pure; takes what there is.
            sign: Signs the checkpoint that was decided on.
        """
        ...


class Witness(Protocol):
    """Keeps the newest checkpoint of each tenant outside the database, which may be restored or rewritten.

    Each raises OSError where the place can't be read or written.
    """

    def newest(self, tenant_id: TenantId) -> str | None:
        """Return the note that was kept last; None where there is none."""
        ...

    def keep(self, tenant_id: TenantId, note: str) -> None:
        """Keep a note in place of the one before."""
        ...


class Signer(Protocol):
    """A key that signs checkpoints."""

    @property
    def public_key(self) -> bytes:
        """Ed25519, 32 bytes."""
        ...

    def sign(self, text: bytes) -> bytes:
        """Return the signature of a text."""
        ...


class SealingObserver(Protocol):
    """Where the sealer reports what an operator watches; never raises and never waits."""

    def sealed(self, *, events: int) -> None:
        """A checkpoint was signed that covers so many events more."""
        ...

    def seal_refused(self, tenant_id: TenantId, *, why: str) -> None:
        """A log contradicts what was signed of it: it is not sealed."""
        ...

    def failed(self, part: str, error: BaseException) -> None:
        """A loop of ours caught an error and goes on."""
        ...
