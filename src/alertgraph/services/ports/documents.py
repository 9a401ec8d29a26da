"""Registered GraphQL documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from alertgraph.core.document import DocumentMode, DocumentSource, ManifestEntry, TrustedDocument
from alertgraph.core.event import SealedEvent
from alertgraph.core.flush import Appended
from alertgraph.core.ids import TenantId


@dataclass(frozen=True, slots=True)
class DocumentChange:
    """What becomes of registered documents, and the event that tells of it.

    Attributes:
        written: New ones, and such that were a client's before.
        deleted: Hashes of those that are not registered any more.
    """

    event: SealedEvent
    written: tuple[ManifestEntry, ...] = ()
    deleted: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A registered document, as it is executed."""

    text: str
    source: DocumentSource
    used_at: datetime


class Documents(Protocol):
    """The GraphQL documents that tenants have registered; a tenant's are nobody else's."""

    async def mode(self, tenant_id: TenantId) -> DocumentMode | None:
        """Return which documents a tenant executes; None where there is no such tenant."""
        ...

    async def find(self, tenant_id: TenantId, sha256: bytes) -> StoredDocument | None:
        """Return a registered document; None where there is none."""
        ...

    async def note_use(self, tenant_id: TenantId, sha256: bytes, at: datetime) -> None:
        """Remember the last use of a document; no event."""
        ...

    async def register(self, tenant_id: TenantId, sha256: bytes, name: str | None, body: str) -> None:
        """Keep a document of a client; those of clients that were used longest ago make room for it."""
        ...

    async def all(self, tenant_id: TenantId) -> Sequence[TrustedDocument]:
        """Return what is registered: documents of manifests first, by name."""
        ...


class DocumentRegistry(Protocol):
    """Where documents of a manifest are registered: each change is an event, as with all that is set up."""

    async def change_documents(
        self,
        tenant_id: TenantId,
        decide: Callable[[Sequence[TrustedDocument]], DocumentChange | None],
    ) -> tuple[Sequence[TrustedDocument], Appended | None]:
        """Change which documents are registered; None from `decide` changes nothing. Returns all afterwards."""
        ...
