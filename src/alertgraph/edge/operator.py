"""The operator's commands that work on the database directly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import UUID

from alertgraph.core.document import (
    DocumentMode,
    ManifestEntry,
    TrustedDocument,
    document_id,
    read_document_id,
    read_manifest,
)
from alertgraph.core.errors import InputError, NotFoundError
from alertgraph.core.event import instant_text
from alertgraph.core.ids import ApiKeyId, NodeKind, decode_id, encode_id
from alertgraph.core.query import PageRequest
from alertgraph.core.tenant import ApiKey, Role, Tenant
from alertgraph.core.tier import Tier
from alertgraph.edge.clock import SystemClock, SystemDice
from alertgraph.edge.installation import (
    checkpoint_dir,
    configuration_service,
    database_at,
    master_key,
    new_tenant,
    operator_of,
    owner_url,
)
from alertgraph.services.configuration import ConfigurationService
from alertgraph.services.documents import TrustedDocumentService
from alertgraph.services.ports import Documents
from alertgraph.settings import Settings, read_settings
from alertgraph.storage.configuration import PostgresConfiguration
from alertgraph.storage.database import Database
from alertgraph.storage.documents import PostgresDocuments
from alertgraph.storage.migrate import require_current
from alertgraph.storage.secrets import MasterKey
from alertgraph.storage.snapshot import PostgresSnapshotSource
from alertgraph.storage.tenants import TenantRegistry
from alertgraph.storage.witness import FolderWitness

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Desk:
    """What the operator works with.

    Attributes:
        owner_url: A login that may act as the owner of the tables.
    """

    registry: TenantRegistry
    database: Database
    configuration: ConfigurationService
    documents: TrustedDocumentService
    registered: Documents
    master_key: MasterKey
    owner_url: str
    witness: FolderWitness

    async def tenant(self, slug: str) -> Tenant:
        """Return a tenant by its slug; raises NotFoundError where there is none."""
        tenant = await self.registry.find(slug)
        if tenant is None:
            raise NotFoundError(f"There is no tenant {slug}; `alertgraph tenant list` shows those there are.")
        return tenant


def operated(work: Callable[Concatenate[Desk, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a command does on the installation's database, which is started for it if need be."""
    settings = read_settings()
    key = master_key(settings)

    async def run(url: str) -> T:
        await require_current(owner_url(settings, url))
        async with desk_at(settings, url, key) as desk:
            return await work(desk, *args, **kwargs)

    with database_at(settings, make=False) as url:
        return asyncio.run(run(url))


@asynccontextmanager
async def desk_at(settings: Settings, url: str, key: MasterKey) -> AsyncIterator[Desk]:
    """Lend what the operator works with, on the database at a URL."""
    database = await Database.connect(url, pool_size=2, application_name="alertgraph-operator")
    try:
        dice = SystemDice()
        store = PostgresConfiguration(database, lambda: UUID(int=dice.bits(128)))
        yield Desk(
            TenantRegistry(owner_url(settings, url), key),
            database,
            configuration_service(store, key),
            TrustedDocumentService(store, SystemClock(), lambda *_: None),
            PostgresDocuments(database),
            key,
            owner_url(settings, url),
            FolderWitness(checkpoint_dir(settings)),
        )
    finally:
        await database.close()


async def create_tenant(desk: Desk, slug: str, name: str, tier: Tier) -> dict[str, Any]:
    """Return a tenant just made."""
    return _tenant(await new_tenant(desk.registry, slug, name, tier))


async def list_tenants(desk: Desk) -> list[dict[str, Any]]:
    """Return every tenant, by slug."""
    return [_tenant(tenant) for tenant in await desk.registry.all()]


async def create_key(desk: Desk, slug: str, role: Role, name: str) -> dict[str, Any]:
    """Return a key just made, with its secret."""
    tenant = await desk.tenant(slug)
    key, secret = await desk.configuration.create_api_key(operator_of(tenant), name=name, role=role)
    return {"key": secret, **_key(key), "tenant": slug}


async def list_keys(desk: Desk, slug: str) -> list[dict[str, Any]]:
    """Return a tenant's keys, newest first, without their secrets."""
    tenant = await desk.tenant(slug)
    keys: list[ApiKey] = []
    after: str | None = None
    async with PostgresSnapshotSource(desk.database).snapshot(tenant.id) as snapshot:
        while True:
            page = await snapshot.api_key_page(PageRequest(100, after))
            keys += [key for _, key in page.items]
            if not page.has_next:
                return [_key(key) for key in keys]
            after = page.items[-1][0]


async def revoke_key(desk: Desk, slug: str, key_id: str) -> None:
    """End a key."""
    decoded = decode_id(key_id)
    if decoded is None or decoded[0] is not NodeKind.API_KEY or not isinstance(decoded[1], UUID):
        raise NotFoundError(f"{key_id} is no id of a key; `alertgraph key list` shows them.")
    tenant = await desk.tenant(slug)
    await desk.configuration.revoke_api_key(operator_of(tenant), ApiKeyId(decoded[1]))


async def import_documents(desk: Desk, slug: str, manifest: object) -> dict[str, Any]:
    """Return how many documents of a manifest are registered now, and how many of them were not before.

    Raises:
        RefusedError: It is no manifest, or one of its documents can't be executed: nothing is registered.
    """
    tenant = await desk.tenant(slug)
    entries = _checked(read_manifest(manifest))
    new_count = await desk.documents.import_manifest(operator_of(tenant), entries)
    return {"tenant": slug, "documents": len(entries), "new": new_count}


async def list_documents(desk: Desk, slug: str) -> list[dict[str, Any]]:
    """Return a tenant's registered documents: those of manifests first, by name."""
    tenant = await desk.tenant(slug)
    return [_document(document) for document in await desk.registered.all(tenant.id)]


async def remove_documents(desk: Desk, slug: str, ids: Sequence[str]) -> None:
    """Register documents no longer; all of them or none."""
    tenant = await desk.tenant(slug)
    hashes = []
    for id_ in ids:
        sha256 = read_document_id(id_)
        if sha256 is None:
            raise NotFoundError(f"{id_} is no id of a document; `alertgraph documents list` shows them.")
        hashes.append(sha256)
    await desk.documents.remove(operator_of(tenant), hashes)


async def set_document_mode(desk: Desk, slug: str, mode: DocumentMode | None) -> dict[str, Any]:
    """Return which documents a tenant executes, once it is set; None leaves it as it is."""
    tenant = await desk.tenant(slug)
    if mode is None:
        kept = await desk.registered.mode(tenant.id)
        assert kept is not None, "a tenant has settings"
    else:
        settings = await desk.configuration.update_settings(operator_of(tenant), document_mode=mode)
        kept = settings.document_mode
    return {"tenant": slug, "mode": kept.name}


def _checked(entries: Sequence[ManifestEntry]) -> list[ManifestEntry]:
    """Return the documents with their names, once each is known to fit the schema and its limits."""
    # Strawberry and the schema take a second to import, which other commands need not wait for.
    from alertgraph.execution.documents import DocumentStore
    from alertgraph.execution.errors import RefusedError as DocumentRefusedError
    from resolvers.schema import schema

    store = DocumentStore(schema._schema, introspection=read_settings().introspection)
    checked = []
    for entry in entries:
        try:
            document = store.named(entry.sha256.hex(), entry.body)
        except DocumentRefusedError as error:
            raise InputError(f"{entry.title}: {error.errors[0].message}", "body") from error
        if entry.name is None:
            checked.append(replace(entry, name=document.name))
            continue
        operation = document.operations.get(entry.name)
        if operation is None:
            raise InputError(f"{entry.title}: its text has no operation of that name.", "name")
        if operation.operation.value != entry.type:
            raise InputError(f"{entry.title} is a {operation.operation.value}, not a {entry.type}.", "type")
        checked.append(entry)
    return checked


def _tenant(tenant: Tenant) -> dict[str, Any]:
    return {
        "id": encode_id(NodeKind.TENANT, tenant.id),
        "slug": tenant.slug,
        "name": tenant.name,
        "tier": tenant.tier.name,
    }


def _key(key: ApiKey) -> dict[str, Any]:
    return {
        "id": encode_id(NodeKind.API_KEY, key.id),
        "name": key.name,
        "prefix": key.prefix,
        "role": key.role.name,
        "createdAt": instant_text(key.created_at),
        "expiresAt": instant_text(key.expires_at) if key.expires_at is not None else None,
        "revokedAt": instant_text(key.revoked_at) if key.revoked_at is not None else None,
    }


def _document(document: TrustedDocument) -> dict[str, Any]:
    return {
        "id": document_id(document.sha256),
        "name": document.name,
        "source": document.source.name.lower(),
        "size": document.size,
        "createdAt": instant_text(document.created_at),
        "usedAt": instant_text(document.used_at),
    }
