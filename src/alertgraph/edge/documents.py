"""The documents of tenants, as GraphQL requests name them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from alertgraph.core.document import DocumentMode
from alertgraph.core.ids import TenantId
from alertgraph.edge.doors import Viewer
from alertgraph.execution.registry import Register
from alertgraph.services.documents import TrustedDocuments


class TenantDocuments:
    """What each tenant has registered. Fulfils `execution.registry.Registry`.

    Args:
        own: Gives the text of a document of our own console by its hash, in hex: every tenant trusts those.
    """

    def __init__(self, documents: TrustedDocuments, own: Callable[[str], str | None]) -> None:
        self._documents = documents
        self._own = own

    async def register(self, viewer: Viewer) -> Register:
        """Return what a caller's tenant has registered, as its settings say it is used."""
        tenant_id = viewer.principal.tenant.id
        return _TenantRegister(self._documents, tenant_id, await self._documents.mode(tenant_id), self._own)


@dataclass(frozen=True, slots=True)
class _TenantRegister:
    documents: TrustedDocuments
    tenant_id: TenantId
    mode: DocumentMode
    own: Callable[[str], str | None]

    @property
    def is_closed(self) -> bool:
        """Whether nothing is executed that is not registered."""
        return self.mode is DocumentMode.TRUSTED_ONLY

    @property
    def is_automatic(self) -> bool:
        """Whether clients register what they send along with its hash."""
        return self.mode is DocumentMode.APQ

    async def text(self, id_: str) -> str | None:
        """Return the text of a document that is ours, or that the tenant has registered."""
        own = self.own(id_)
        return own if own is not None else await self.documents.text(self.tenant_id, bytes.fromhex(id_))

    async def add(self, id_: str, name: str | None, text: str) -> None:
        """Register a client's document."""
        await self.documents.register(self.tenant_id, bytes.fromhex(id_), name, text)
