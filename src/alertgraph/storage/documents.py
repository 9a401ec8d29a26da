"""Registered documents, and which of them a tenant executes."""

# ruff: noqa: S608 - the codes of the sources are constants; values are numbered parameters

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import Any

from alertgraph.core.document import (
    AUTOMATIC_BYTES_MAX,
    AUTOMATIC_COUNT_MAX,
    DocumentMode,
    DocumentSource,
    ManifestEntry,
    TrustedDocument,
)
from alertgraph.core.errors import DependencyError, StaleDecisionError
from alertgraph.core.ids import TenantId
from alertgraph.services.ports import LostCommitError, StoredDocument
from alertgraph.storage.database import DEPENDENCY, Connection, Database

_MODE = "SELECT document_mode FROM tenant_settings WHERE tenant_id = $1"
_TEXT = "SELECT body, source, used_at FROM trusted_document WHERE tenant_id = $1 AND sha256 = $2"
_NOTE_USE = """
UPDATE trusted_document SET used_at = $3 WHERE tenant_id = $1 AND sha256 = $2 AND used_at < $3
"""
_ADD_AUTOMATIC = f"""
INSERT INTO trusted_document (tenant_id, sha256, name, body, source)
VALUES ($1, $2, $3, $4, {DocumentSource.APQ:d}) ON CONFLICT (tenant_id, sha256) DO NOTHING
"""
# Two that drop at once leave one another's alone: neither waits.
_DROP_UNUSED = f"""
WITH ordered AS (
    SELECT sha256, row_number() OVER latest AS place, sum(octet_length(body)) OVER latest AS size
    FROM trusted_document WHERE tenant_id = $1 AND source = {DocumentSource.APQ:d}
    WINDOW latest AS (ORDER BY used_at DESC, created_at DESC, sha256)
), unused AS (
    SELECT d.sha256 FROM trusted_document d JOIN ordered ON ordered.sha256 = d.sha256
    WHERE d.tenant_id = $1 AND d.source = {DocumentSource.APQ:d} AND (ordered.place > $2 OR ordered.size > $3)
    FOR UPDATE OF d SKIP LOCKED
)
DELETE FROM trusted_document d USING unused WHERE d.tenant_id = $1 AND d.sha256 = unused.sha256
"""
_WRITE = f"""
INSERT INTO trusted_document (tenant_id, sha256, name, body, source)
SELECT $1, one.*, {DocumentSource.MANIFEST:d} FROM unnest($2::bytea[], $3::text[], $4::text[]) AS one
ON CONFLICT (tenant_id, sha256) DO UPDATE SET name = excluded.name, source = excluded.source
"""
_DELETE = "DELETE FROM trusted_document WHERE tenant_id = $1 AND sha256 = ANY ($2::bytea[])"
_ALL = """
SELECT sha256, name, source, octet_length(body), created_at, used_at FROM trusted_document
WHERE tenant_id = $1 ORDER BY source DESC, name NULLS LAST, sha256
"""


class PostgresDocuments:
    """Fulfils `services.ports.Documents`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def mode(self, tenant_id: TenantId) -> DocumentMode | None:
        """Return which documents a tenant executes; None where there is no such tenant."""
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            mode = await connection.fetchval(_MODE, tenant_id)
        return DocumentMode(mode) if mode is not None else None

    async def find(self, tenant_id: TenantId, sha256: bytes) -> StoredDocument | None:
        """Return a registered document; None where there is none."""
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            row = await connection.fetchrow(_TEXT, tenant_id, sha256)
        return StoredDocument(row[0], DocumentSource(row[1]), row[2]) if row is not None else None

    async def note_use(self, tenant_id: TenantId, sha256: bytes, at: datetime) -> None:
        """Remember the last use of a document; no event."""

        async def work(connection: Connection) -> None:
            await connection.execute(_NOTE_USE, tenant_id, sha256, at)

        await self._written(tenant_id, work)

    async def register(
        self,
        tenant_id: TenantId,
        sha256: bytes,
        name: str | None,
        body: str,
        *,
        count_max: int = AUTOMATIC_COUNT_MAX,
        bytes_max: int = AUTOMATIC_BYTES_MAX,
    ) -> None:
        """Keep a document of a client; those of clients that were used longest ago make room for it."""

        async def work(connection: Connection) -> None:
            await connection.execute(_ADD_AUTOMATIC, tenant_id, sha256, name, body)
            await connection.execute(_DROP_UNUSED, tenant_id, count_max, bytes_max)

        await self._written(tenant_id, work)

    async def _written(self, tenant_id: TenantId, work: Callable[[Connection], Awaitable[None]]) -> None:
        try:
            await self._database.write(tenant_id, work)
        except (LostCommitError, StaleDecisionError) as error:
            # Done twice, it is the same.
            raise DependencyError(DEPENDENCY, retryable=True) from error

    async def all(self, tenant_id: TenantId) -> Sequence[TrustedDocument]:
        """Return what is registered: documents of manifests first, by name."""
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            return await read_documents(connection, tenant_id)


async def read_documents(connection: Connection, tenant_id: TenantId) -> Sequence[TrustedDocument]:
    """Return what is registered, inside a transaction of the tenant."""
    return [_document_of(row) for row in await connection.fetch(_ALL, tenant_id)]


async def write_documents(connection: Connection, tenant_id: TenantId, entries: Sequence[ManifestEntry]) -> None:
    """Keep documents of a manifest."""
    if entries:
        await connection.execute(
            _WRITE,
            tenant_id,
            [entry.sha256 for entry in entries],
            [entry.name for entry in entries],
            [entry.body for entry in entries],
        )


async def delete_documents(connection: Connection, tenant_id: TenantId, hashes: Collection[bytes]) -> None:
    """Delete documents."""
    if hashes:
        await connection.execute(_DELETE, tenant_id, list(hashes))


def _document_of(row: Sequence[Any]) -> TrustedDocument:
    sha256, name, source, size, created_at, used_at = row
    return TrustedDocument(sha256, name, DocumentSource(source), size, created_at, used_at)
