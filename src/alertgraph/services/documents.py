"""Which GraphQL documents a tenant executes, and those that are registered."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from alertgraph.core.document import (
    MANIFEST_BYTES_MAX,
    MANIFEST_COUNT_MAX,
    DocumentMode,
    DocumentSource,
    ManifestEntry,
    TrustedDocument,
    document_id,
)
from alertgraph.core.errors import DependencyError, ErrorCode, NotFoundError, Problem, RefusedError
from alertgraph.core.event import EventKind, SealedEvent
from alertgraph.core.flush import Appended
from alertgraph.core.ids import NodeKind, TenantId, encode_id
from alertgraph.core.tenant import Principal, Role
from alertgraph.services.catalog_changes import config_event
from alertgraph.services.ports import Clock, DocumentChange, DocumentRegistry, Documents, Observer, StoredDocument

# What another process has changed is noticed after this long at the latest; hints are faster.
READ_AGE_MAX: Final = timedelta(seconds=2)
# While the database is away, what a tenant executed shortly before is still known.
READ_AGE_MAX_IN_OUTAGE: Final = timedelta(minutes=5)
REMEMBERED_TENANT_COUNT_MAX: Final = 10_000
USE_NOTED_EVERY: Final = timedelta(hours=1)
REMEMBERED_BYTES_MAX: Final = 32 * 1024 * 1024
_BYTES_PER_DOCUMENT: Final = 400
"""What one takes beside its text."""

_TOLD_COUNT_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class _Mode:
    mode: DocumentMode
    read_at: datetime


@dataclass(frozen=True, slots=True)
class _Known:
    document: StoredDocument
    read_at: datetime

    @property
    def weight(self) -> int:
        return len(self.document.text) + _BYTES_PER_DOCUMENT


class TrustedDocuments:
    """What tenants have registered, as requests ask for it; a bounded part of it is remembered.

    What is not registered is not remembered: the same question is asked of the store each time, whoever asks, and
    whatever other tenants have registered.
    """

    def __init__(self, store: Documents, clock: Clock, observer: Observer) -> None:
        self._store = store
        self._clock = clock
        self._observer = observer
        self._modes: OrderedDict[TenantId, _Mode] = OrderedDict()
        self._texts: OrderedDict[tuple[TenantId, bytes], _Known] = OrderedDict()
        self._weight = 0
        # Raised with each change, so that what was read before it is not remembered after it.
        self._changes = 0

    @property
    def weight(self) -> int:
        """About how many bytes the remembered texts take."""
        return self._weight

    async def mode(self, tenant_id: TenantId) -> DocumentMode:
        """Return which documents a tenant executes.

        Raises:
            NotFoundError: There is no such tenant any more.
            DependencyError: The store is away.
        """
        now = self._clock.now()
        known = self._modes.get(tenant_id)
        if known is not None and now - known.read_at <= READ_AGE_MAX:
            return known.mode
        changes = self._changes
        try:
            mode = await self._store.mode(tenant_id)
        except DependencyError:
            if known is None or now - known.read_at > READ_AGE_MAX_IN_OUTAGE:
                raise
            return known.mode
        if mode is None:
            raise NotFoundError("There is no such tenant.")
        if changes == self._changes:
            self._modes[tenant_id] = _Mode(mode, now)
            self._modes.move_to_end(tenant_id)
            if len(self._modes) > REMEMBERED_TENANT_COUNT_MAX:
                self._modes.popitem(last=False)
        return mode

    async def text(self, tenant_id: TenantId, sha256: bytes) -> str | None:
        """Return the text of a document that a tenant has registered and executes; None where there is none.

        Raises:
            NotFoundError: There is no such tenant any more.
            DependencyError: The store is away.
        """
        known = await self._known(tenant_id, sha256)
        is_trusted_only = await self.mode(tenant_id) is DocumentMode.TRUSTED_ONLY
        if known is None or (is_trusted_only and known.document.source is not DocumentSource.MANIFEST):
            return None
        return known.document.text

    async def register(self, tenant_id: TenantId, sha256: bytes, name: str | None, text: str) -> None:
        """Keep a client's document; one that is executed anyway, so that nobody is refused for it.

        Raises:
            DependencyError: The store is away.
        """
        await self._store.register(tenant_id, sha256, name, text)

    def forget(self, tenant_id: TenantId) -> None:
        """Read anew what a tenant executes and has registered: its configuration has changed."""
        self._changes += 1
        self._modes.pop(tenant_id, None)
        for key in [key for key in self._texts if key[0] == tenant_id]:
            self._drop(key)

    async def _known(self, tenant_id: TenantId, sha256: bytes) -> _Known | None:
        key = (tenant_id, sha256)
        now = self._clock.now()
        known = self._texts.get(key)
        if known is not None and now - known.read_at <= READ_AGE_MAX:
            self._texts.move_to_end(key)
            return known
        changes = self._changes
        try:
            found = await self._store.find(tenant_id, sha256)
        except DependencyError:
            if known is None or now - known.read_at > READ_AGE_MAX_IN_OUTAGE:
                raise
            return known
        if changes == self._changes:
            self._drop(key)
        if found is None:
            return None
        await self._note_use(key, found, now)
        read = _Known(found, now)
        if changes == self._changes:
            # Somebody else may have asked for it, too, and remembered it meanwhile.
            self._drop(key)
            self._texts[key] = read
            self._weight += read.weight
            while self._weight > REMEMBERED_BYTES_MAX:
                self._drop(next(iter(self._texts)))
        return read

    async def _note_use(self, key: tuple[TenantId, bytes], document: StoredDocument, now: datetime) -> None:
        if now - document.used_at < USE_NOTED_EVERY:
            return
        try:
            await self._store.note_use(*key, now)
        except DependencyError as error:
            # A document that seems unused is dropped sooner, and registered again; nobody is refused for it.
            self._observer.failed("documents", error)

    def _drop(self, key: tuple[TenantId, bytes]) -> None:
        known = self._texts.pop(key, None)
        if known is not None:
            self._weight -= known.weight


class TrustedDocumentService:
    """Registers documents of manifests and removes them. Every method raises RefusedError for what can be mended.

    Whoever calls it has seen to it that documents fit the schema.

    Args:
        changed: Called after each commit with the tenant and the number its log now ends at.
    """

    def __init__(self, registry: DocumentRegistry, clock: Clock, changed: Callable[[TenantId, int], None]) -> None:
        self._registry = registry
        self._clock = clock
        self._changed = changed

    async def import_manifest(self, principal: Principal, entries: Sequence[ManifestEntry]) -> int:
        """Register documents, all of them or none, and return how many were not registered before. ADMIN."""
        principal.require(Role.ADMIN)
        new: list[ManifestEntry] = []

        def decide(documents: Sequence[TrustedDocument]) -> DocumentChange | None:
            trusted = _trusted(documents)
            new[:] = [entry for entry in entries if entry.sha256 not in trusted]
            if not new:
                return None
            _check_room(trusted.values(), new)
            titles = [entry.title for entry in new]
            event = self._event(principal, "added", titles, len(trusted), len(trusted) + len(new))
            return DocumentChange(event, written=tuple(new))

        _, appended = await self._registry.change_documents(principal.tenant.id, decide)
        self._tell(principal, appended)
        return len(new)

    async def remove(self, principal: Principal, hashes: Collection[bytes]) -> None:
        """Register these documents no longer; all of them or none. ADMIN.

        Raises:
            NotFoundError: One of them is not registered.
        """
        principal.require(Role.ADMIN)

        def decide(documents: Sequence[TrustedDocument]) -> DocumentChange | None:
            known = {document.sha256: document for document in documents}
            for sha256 in hashes:
                if sha256 not in known:
                    raise NotFoundError(f"{document_id(sha256)} is not registered.")
            gone = tuple(dict.fromkeys(hashes))
            count = len(_trusted(documents))
            left = count - sum(known[sha256].source is DocumentSource.MANIFEST for sha256 in gone)
            titles = [known[sha256].name or known[sha256].id for sha256 in gone]
            event = self._event(principal, "removed", titles, count, left)
            return DocumentChange(event, deleted=gone)

        _, appended = await self._registry.change_documents(principal.tenant.id, decide)
        self._tell(principal, appended)

    def _event(
        self, principal: Principal, verb: str, titles: Sequence[str], before: int, after: int
    ) -> SealedEvent:
        # A manifest may be long, and the log is for ever.
        detail: dict[str, Any] = {f"{verb}Count": len(titles), verb: list(titles[:_TOLD_COUNT_MAX])}
        return config_event(
            EventKind.CONFIG_UPDATED,
            principal,
            self._clock.now(),
            "TrustedDocuments",
            encode_id(NodeKind.TENANT, principal.tenant.id),
            {"count": before},
            {"count": after},
            detail,
        )

    def _tell(self, principal: Principal, appended: Appended | None) -> None:
        if appended is not None:
            self._changed(principal.tenant.id, appended.first_number)


def _trusted(documents: Sequence[TrustedDocument]) -> Mapping[bytes, TrustedDocument]:
    return {each.sha256: each for each in documents if each.source is DocumentSource.MANIFEST}


def _check_room(trusted: Collection[TrustedDocument], new: Sequence[ManifestEntry]) -> None:
    count = len(trusted) + len(new)
    size = sum(each.size for each in trusted) + sum(len(each.body.encode()) for each in new)
    if count > MANIFEST_COUNT_MAX:
        text = f"A tenant has at most {MANIFEST_COUNT_MAX} trusted documents; these would make {count}."
    elif size > MANIFEST_BYTES_MAX:
        text = f"A tenant's trusted documents have at most {MANIFEST_BYTES_MAX} bytes; these would make {size}."
    else:
        return
    raise RefusedError([Problem(ErrorCode.LIMIT_REACHED, text)])
