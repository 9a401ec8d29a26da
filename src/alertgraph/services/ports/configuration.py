"""What people set up, and API keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from alertgraph.core.catalog import Change
from alertgraph.core.event import SealedEvent
from alertgraph.core.flush import Appended, IdempotencyKey, StoredAnswer, TenantConfig
from alertgraph.core.ids import ApiKeyId, SavedViewId, TenantId
from alertgraph.core.monitored_service import Dependencies
from alertgraph.core.tenant import ApiKey, SavedView, Tenant, TenantSettings


@dataclass(frozen=True, slots=True)
class KeySecret:
    """How a key's secret is kept: never the secret itself.

    Attributes:
        digest: HMAC-SHA-256 of the whole secret with the installation's pepper.
    """

    prefix: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as needed to check a credential.

    Attributes:
        digests: Those that are accepted: the present one, and during a rotation's overlap the one before.
    """

    tenant: Tenant
    key: ApiKey
    digests: Sequence[bytes]


class AnsweredError(Exception):
    """An idempotency key was answered before; nothing was written."""

    def __init__(self, stored: StoredAnswer) -> None:
        super().__init__("answered before")
        self.stored = stored


class Configuration(Protocol):
    """What people set up: each change is one event in the tenant's log and raises its config_version.

    Every method that changes something first calls `decide` with what there is, under the head's lock, and
    writes what it returns together with the events, in one transaction: `decide` may be called again
    and must be pure. What it raises (RefusedError) goes to the caller and nothing is written. With
    `answer`, AnsweredError is raised where its key has an answer already, else it is kept along with the change.
    """

    async def change_settings(
        self,
        tenant_id: TenantId,
        decide: Callable[[TenantSettings], tuple[TenantSettings, SealedEvent] | None],
        *,
        answer: StoredAnswer | None = None,
    ) -> tuple[TenantSettings, Appended | None]:
        """Change the settings; None from `decide` changes nothing."""
        ...

    async def change_saved_view(
        self,
        tenant_id: TenantId,
        view_id: SavedViewId,
        decide: Callable[[SavedView | None], tuple[SavedView | None, SealedEvent] | None],
        *,
        answer: StoredAnswer | None = None,
    ) -> tuple[SavedView | None, Appended | None]:
        """Create (None before), change, or delete (None after) a saved view."""
        ...

    async def change_api_key(
        self,
        tenant_id: TenantId,
        key_id: ApiKeyId,
        decide: Callable[[ApiKey | None], tuple[ApiKey, SealedEvent] | None],
        *,
        secret: KeySecret | None = None,
        old_secret_until: datetime | None = None,
        answer: StoredAnswer | None = None,
    ) -> tuple[ApiKey | None, Appended | None]:
        """Create or change a key; with `secret` it gets a new one, the old one working until then."""
        ...

    async def change(
        self,
        tenant_id: TenantId,
        decide: Callable[[TenantConfig], Change | None],
        *,
        answer: StoredAnswer | None = None,
    ) -> tuple[TenantConfig, Appended | None]:
        """Change what is set up for paging; None from `decide` changes nothing. Returns it as it is afterwards."""
        ...

    async def change_dependencies(
        self,
        tenant_id: TenantId,
        decide: Callable[[Dependencies], tuple[Dependencies, SealedEvent] | None],
    ) -> tuple[Dependencies, Appended | None]:
        """Change what services need: `decide` returns those that change, as they are afterwards. Returns all."""
        ...

    async def dependencies(self, tenant_id: TenantId) -> Dependencies:
        """Return what the tenant's services need."""
        ...

    async def find_keys(self, prefix: str) -> Sequence[StoredKey]:
        """Return the keys, of any tenant, whose secret begins so; nothing else of them is readable here."""
        ...

    async def note_key_use(self, tenant_id: TenantId, key_id: ApiKeyId, at: datetime) -> None:
        """Remember the last use of a key, to the minute; no event."""
        ...

    async def answer(self, tenant_id: TenantId, key: IdempotencyKey) -> StoredAnswer | None:
        """Return what was answered to an idempotency key the first time."""
        ...
