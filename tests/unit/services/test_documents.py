"""What is remembered of registered documents: as little as needed, and never longer than it is true."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import pytest

from alertgraph.core.document import DocumentMode, DocumentSource, TrustedDocument
from alertgraph.core.errors import DependencyError, NotFoundError
from alertgraph.core.ids import TenantId
from alertgraph.services import documents
from alertgraph.services.documents import TrustedDocuments
from alertgraph.services.ports import StoredDocument
from tests.factories import HOUR, MINUTE, SECOND, T0
from tests.unit.services.test_lanes import Watcher
from tests.virtual import VirtualClock

T = TypeVar("T")

OURS, THEIRS = TenantId(UUID(int=1)), TenantId(UUID(int=2))
A, B = bytes(31) + b"a", bytes(31) + b"b"


class MemoryDocuments:
    """Fulfils the port, and counts what it is asked."""

    def __init__(self) -> None:
        self.modes = {OURS: DocumentMode.OPEN, THEIRS: DocumentMode.OPEN}
        self.kept: dict[tuple[TenantId, bytes], StoredDocument] = {}
        self.asked: list[object] = []
        self.is_away = self.is_use_refused = False
        self.gate: asyncio.Event | None = None

    async def mode(self, tenant_id: TenantId) -> DocumentMode | None:
        return await self._answer(tenant_id, self.modes.get(tenant_id))

    async def find(self, tenant_id: TenantId, sha256: bytes) -> StoredDocument | None:
        return await self._answer((tenant_id, sha256), self.kept.get((tenant_id, sha256)))

    async def note_use(self, tenant_id: TenantId, sha256: bytes, at: datetime) -> None:
        if self.is_use_refused:
            raise DependencyError("postgres", retryable=True)
        self.asked.append(("used", tenant_id, sha256, at))

    async def register(self, tenant_id: TenantId, sha256: bytes, name: str | None, body: str) -> None:
        await self._answer(("registered", tenant_id, sha256, name, body), None)

    async def all(self, tenant_id: TenantId) -> Sequence[TrustedDocument]:
        raise AssertionError("requests list nothing")

    async def _answer(self, question: object, answer: T) -> T:
        self.asked.append(question)
        if self.is_away:
            raise DependencyError("postgres", retryable=True)
        if self.gate is not None:
            await self.gate.wait()
        return answer


@pytest.fixture
def store() -> MemoryDocuments:
    store = MemoryDocuments()
    store.kept[OURS, A] = StoredDocument("{a}", DocumentSource.MANIFEST, T0)
    store.kept[OURS, B] = StoredDocument("{b}", DocumentSource.APQ, T0)
    return store


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture
def trusted(store: MemoryDocuments, clock: VirtualClock, watcher: Watcher) -> TrustedDocuments:
    return TrustedDocuments(store, clock, watcher)


async def test_what_was_read_just_now_is_not_read_again(trusted: TrustedDocuments, store: MemoryDocuments) -> None:
    for _ in range(3):
        assert (await trusted.mode(OURS), await trusted.text(OURS, A)) == (DocumentMode.OPEN, "{a}")

    assert store.asked == [OURS, (OURS, A)]


async def test_what_one_tenant_has_is_nothing_to_another(
    trusted: TrustedDocuments, store: MemoryDocuments
) -> None:
    await trusted.text(OURS, A)

    assert await trusted.text(THEIRS, A) is None
    assert await trusted.text(THEIRS, A) is None
    assert await trusted.text(THEIRS, bytes(32)) is None
    # Known to somebody or to nobody, the store is asked each time.
    assert store.asked.count((THEIRS, A)) == 2


async def test_only_documents_of_manifests_are_trusted(trusted: TrustedDocuments, store: MemoryDocuments) -> None:
    assert await trusted.text(OURS, B) == "{b}"
    store.modes[OURS] = DocumentMode.TRUSTED_ONLY
    trusted.forget(OURS)

    assert (await trusted.text(OURS, A), await trusted.text(OURS, B)) == ("{a}", None)


async def test_a_change_is_seen_at_once_or_after_its_time(
    trusted: TrustedDocuments, store: MemoryDocuments, clock: VirtualClock
) -> None:
    await trusted.text(OURS, A)
    await trusted.text(THEIRS, A)
    del store.kept[OURS, A]
    assert await trusted.text(OURS, A) == "{a}"

    trusted.forget(THEIRS)
    assert await trusted.text(OURS, A) == "{a}"
    trusted.forget(OURS)
    assert (await trusted.text(OURS, A), trusted.weight) == (None, 0)

    await trusted.text(OURS, B)
    del store.kept[OURS, B]
    clock.advance(documents.READ_AGE_MAX + SECOND)
    assert (await trusted.text(OURS, B), trusted.weight) == (None, 0)


async def test_what_was_read_before_a_change_is_not_remembered_after_it(
    trusted: TrustedDocuments, store: MemoryDocuments
) -> None:
    store.gate = asyncio.Event()
    reading = [asyncio.create_task(trusted.text(OURS, A)), asyncio.create_task(trusted.mode(OURS))]
    await asyncio.sleep(0)
    store.modes[OURS] = DocumentMode.APQ
    del store.kept[OURS, A]
    trusted.forget(OURS)
    store.gate.set()
    assert await asyncio.gather(*reading) == ["{a}", DocumentMode.OPEN]

    assert (await trusted.mode(OURS), await trusted.text(OURS, A)) == (DocumentMode.APQ, None)


async def test_while_the_store_is_away_what_was_known_shortly_before_holds(
    trusted: TrustedDocuments, store: MemoryDocuments, clock: VirtualClock
) -> None:
    await trusted.text(OURS, A)
    store.is_away = True
    clock.advance(MINUTE)

    assert await trusted.text(OURS, A) == "{a}"
    for unknown in (trusted.text(OURS, bytes(32)), trusted.mode(THEIRS)):
        with pytest.raises(DependencyError):
            await unknown
    clock.advance(documents.READ_AGE_MAX_IN_OUTAGE)
    for old in (trusted.text(OURS, A), trusted.mode(OURS)):
        with pytest.raises(DependencyError):
            await old


async def test_a_tenant_that_is_gone_is_told_so(trusted: TrustedDocuments) -> None:
    with pytest.raises(NotFoundError):
        await trusted.mode(TenantId(UUID(int=9)))


async def test_use_is_noted_by_the_hour_and_nobody_is_refused_for_it(
    trusted: TrustedDocuments, store: MemoryDocuments, clock: VirtualClock, watcher: Watcher
) -> None:
    clock.advance(HOUR)
    assert await trusted.text(OURS, A) == "{a}"
    assert ("used", OURS, A, clock.now()) in store.asked

    store.is_use_refused = True
    assert await trusted.text(OURS, B) == "{b}"
    assert [type(error) for error in watcher.failures] == [DependencyError]


async def test_what_is_remembered_is_bounded(
    trusted: TrustedDocuments, store: MemoryDocuments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "REMEMBERED_BYTES_MAX", 2_000)
    monkeypatch.setattr(documents, "REMEMBERED_TENANT_COUNT_MAX", 1)
    for number in range(20):
        store.kept[OURS, bytes([number] * 32)] = StoredDocument("x" * 100, DocumentSource.MANIFEST, T0)
        await trusted.text(OURS, bytes([number] * 32))
        assert trusted.weight <= 2_000
    store.asked.clear()
    await trusted.text(OURS, bytes([19] * 32))
    await trusted.text(OURS, bytes(32))
    assert store.asked == [(OURS, bytes(32))]

    await trusted.mode(THEIRS)
    await trusted.mode(OURS)
    assert store.asked == [(OURS, bytes(32)), THEIRS, OURS]
