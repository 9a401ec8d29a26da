"""Seals texts in memory: what was sealed for another tenant or purpose can't be opened."""

from __future__ import annotations

from itertools import count

from alertgraph.core.ids import TenantId


class MemoryVault:
    """Fulfils `services.ports.Vault`; no ciphertext tells its text, and none comes twice.

    Attributes:
        destroyed: Tenants whose keys are gone.
    """

    def __init__(self) -> None:
        self.destroyed: set[TenantId] = set()
        self._texts: dict[str, tuple[TenantId, str, str]] = {}
        self._numbers = count(1)

    async def seal(self, tenant_id: TenantId, purpose: str, plaintext: str) -> str:
        """Return ciphertext."""
        sealed = f"sealed {next(self._numbers)}"
        self._texts[sealed] = tenant_id, purpose, plaintext
        return sealed

    async def open(self, tenant_id: TenantId, purpose: str, sealed: str) -> str | None:
        """Return the plaintext; None where its key was destroyed or the text was moved."""
        bound, bound_purpose, text = self._texts[sealed]
        if tenant_id in self.destroyed or (bound, bound_purpose) != (tenant_id, purpose):
            return None
        return text
