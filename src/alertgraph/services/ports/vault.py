"""What is personal or secret, sealed."""

from __future__ import annotations

from typing import Protocol

from alertgraph.core.ids import TenantId


class Vault(Protocol):
    """Seals what is personal or secret with the tenant's data key."""

    async def seal(self, tenant_id: TenantId, purpose: str, plaintext: str) -> str:
        """Return ciphertext in base64, bound to the tenant and the purpose."""
        ...

    async def open(self, tenant_id: TenantId, purpose: str, sealed: str) -> str | None:
        """Return the plaintext; None where its key was destroyed or the text was moved or changed."""
        ...
