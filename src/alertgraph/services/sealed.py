"""What is sealed, for decisions that need its plain text and may not wait for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from alertgraph.core.errors import ConflictError
from alertgraph.core.ids import TenantId
from alertgraph.services.ports import Vault

# More changes than these, between one look and the next, and nobody would get anywhere.
_TRY_COUNT_MAX = 8

T = TypeVar("T")


class UnopenedError(Exception):
    """A decision met ciphertexts that were not opened yet; nothing was written."""

    def __init__(self, sealed: Sequence[tuple[str, str]]) -> None:
        super().__init__("not opened yet")
        self.sealed = sealed


class Opened:
    """The plain text of ciphertexts, each under its purpose."""

    def __init__(self, vault: Vault, tenant_id: TenantId) -> None:
        self._vault = vault
        self._tenant_id = tenant_id
        self._texts: dict[tuple[str, str], str | None] = {}

    def texts(self, purpose: str, sealed: Sequence[str]) -> list[str | None]:
        """Return the plain texts, in order; None for one that was made unreadable.

        Raises:
            UnopenedError: Some were not opened yet, all of which it names.
        """
        missing = [(purpose, each) for each in sealed if (purpose, each) not in self._texts]
        if missing:
            raise UnopenedError(missing)
        return [self._texts[purpose, each] for each in sealed]

    async def open(self, sealed: Sequence[tuple[str, str]]) -> None:
        """Open ciphertexts, each with its purpose, for decisions to come."""
        for purpose, text in sealed:
            self._texts[purpose, text] = await self._vault.open(self._tenant_id, purpose, text)


async def with_opened(vault: Vault, tenant_id: TenantId, change: Callable[[Opened], Awaitable[T]]) -> T:
    """Return what `change` returns, made again where its decision met what was not opened yet.

    A change's decision is made under a lock and can't wait; so it says what it needs, and comes again. What
    somebody else has written meanwhile is opened the same way.

    Raises:
        ConflictError: Others change the same all the time.
    """
    opened = Opened(vault, tenant_id)
    for _ in range(_TRY_COUNT_MAX):
        try:
            return await change(opened)
        except UnopenedError as error:
            await opened.open(error.sealed)
    raise ConflictError("Others are changing the same at this moment; try again.")
