"""Registered documents in the database: one tenant's own, bounded, and told of in its log."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import orjson
import pytest

from alertgraph.core.actor import OPERATOR
from alertgraph.core.document import DocumentMode, DocumentSource, ManifestEntry
from alertgraph.core.errors import AccessDeniedError, ErrorCode, NotFoundError, RefusedError
from alertgraph.core.event import EventKind
from alertgraph.core.ids import TenantId
from alertgraph.core.tenant import Principal, Role, Tenant
from alertgraph.core.tier import Tier
from alertgraph.edge.clock import SystemClock, SystemDice
from alertgraph.services import documents as service_module
from alertgraph.services.documents import TrustedDocumentService
from alertgraph.storage.configuration import PostgresConfiguration
from alertgraph.storage.documents import PostgresDocuments
from alertgraph.storage.log import PostgresLog
from tests.integration.storage.world import World, a_world


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with a_world(database_url) as world:
        yield world


@pytest.fixture
def store(world: World) -> PostgresDocuments:
    return PostgresDocuments(world.database)


def sha(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def entries(*texts: str) -> list[ManifestEntry]:
    return [ManifestEntry(sha(text), text, f"Name{text}", "query") for text in texts]


class Importing:
    """What registers documents of manifests, and whom it tells."""

    def __init__(self, world: World) -> None:
        self.told: list[tuple[TenantId, int]] = []
        dice = SystemDice()
        registry = PostgresConfiguration(world.database, lambda: UUID(int=dice.bits(128)))
        self.service = TrustedDocumentService(registry, SystemClock(), lambda *told: self.told.append(told))


@pytest.fixture
def importing(world: World) -> Importing:
    return Importing(world)


def admin(tenant_id: TenantId, role: Role = Role.ADMIN) -> Principal:
    return Principal(Tenant(tenant_id, "acme", "Acme", Tier.STANDARD), role, "operator", OPERATOR)


async def test_a_document_is_found_by_the_tenant_that_registered_it_alone(
    world: World, store: PostgresDocuments
) -> None:
    first, second = await world.tenant("first"), await world.tenant("second")
    await store.register(first, sha("{a}"), "A", "{a}")

    found = await store.find(first, sha("{a}"))
    assert found is not None
    assert (found.text, found.source) == ("{a}", DocumentSource.APQ)
    assert await store.find(first, sha("{b}")) is None
    assert await store.find(second, sha("{a}")) is None
    assert await store.all(second) == []
    [listed] = await store.all(first)
    assert (listed.sha256, listed.name, listed.size) == (sha("{a}"), "A", 3)


async def test_modes_are_those_of_tenants(world: World, store: PostgresDocuments) -> None:
    tenant_id = await world.tenant()

    assert await store.mode(tenant_id) is DocumentMode.OPEN
    assert await store.mode(TenantId(UUID(int=5))) is None


async def test_those_unused_longest_make_room(
    world: World, store: PostgresDocuments, importing: Importing
) -> None:
    tenant_id, other = await world.tenant("acme"), await world.tenant("other")
    await importing.service.import_manifest(admin(tenant_id), entries("{old}"))
    now = SystemClock().now()
    for tenant in (tenant_id, other):
        for number in range(5):
            await store.register(tenant, sha(f"{{a{number}}}"), None, f"{{a{number}}}")
    await store.note_use(tenant_id, sha("{a0}"), now + timedelta(minutes=1))
    await store.note_use(tenant_id, sha("{a1}"), now - timedelta(days=1))

    await store.register(tenant_id, sha("{b}"), None, "{b}", count_max=3)
    kept = {each.sha256 for each in await store.all(tenant_id)}
    assert kept == {sha("{old}"), sha("{a0}"), sha("{b}"), sha("{a4}")}

    await store.register(tenant_id, sha("{c}"), None, "{c}", bytes_max=8)
    kept = {each.sha256 for each in await store.all(tenant_id)}
    assert kept == {sha("{old}"), sha("{a0}"), sha("{c}")}
    assert len(await store.all(other)) == 5


async def test_many_register_at_once(world: World, store: PostgresDocuments) -> None:
    tenant_id = await world.tenant()
    texts = [f"{{a{number % 20}}}" for number in range(60)]

    await asyncio.gather(*(store.register(tenant_id, sha(text), None, text, count_max=5) for text in texts))

    await store.register(tenant_id, sha("{z}"), None, "{z}", count_max=5)
    assert len(await store.all(tenant_id)) == 5


async def test_a_manifest_is_one_event_and_told_once(
    world: World, store: PostgresDocuments, importing: Importing
) -> None:
    tenant_id = await world.tenant()
    await store.register(tenant_id, sha("{a}"), None, "{a}")
    texts = [f"{{a{number}}}" for number in range(30)]

    assert await importing.service.import_manifest(admin(tenant_id), entries("{a}", *texts)) == 31
    assert await importing.service.import_manifest(admin(tenant_id), entries("{a}", *texts)) == 0

    assert len(importing.told) == 1
    assert {each.source for each in await store.all(tenant_id)} == {DocumentSource.MANIFEST}
    config = await PostgresLog(world.database).config(tenant_id)
    assert config is not None
    assert config.version == 1
    [row] = await world.rows("SELECT content FROM event WHERE tenant_id = $1", tenant_id)
    event = orjson.loads(row["content"])
    assert event["kind"] == EventKind.CONFIG_UPDATED.name
    assert event["changes"] == [{"after": 31, "before": 0, "field": "count"}]
    assert event["detail"]["addedCount"] == 31
    assert len(event["detail"]["added"]) == 20


async def test_documents_are_removed_all_or_none(
    world: World, store: PostgresDocuments, importing: Importing
) -> None:
    tenant_id = await world.tenant()
    await importing.service.import_manifest(admin(tenant_id), entries("{a}", "{b}"))

    with pytest.raises(NotFoundError, match=sha("{c}").hex()):
        await importing.service.remove(admin(tenant_id), [sha("{a}"), sha("{c}")])
    assert len(await store.all(tenant_id)) == 2
    await importing.service.remove(admin(tenant_id), [sha("{a}")])

    assert [each.sha256 for each in await store.all(tenant_id)] == [sha("{b}")]
    assert len(importing.told) == 2


async def test_manifests_are_bounded(
    world: World, store: PostgresDocuments, importing: Importing, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant_id = await world.tenant()
    await importing.service.import_manifest(admin(tenant_id), entries("{a}"))
    for name, limit in (("MANIFEST_COUNT_MAX", 2), ("MANIFEST_BYTES_MAX", 8)):
        with monkeypatch.context() as patched:
            patched.setattr(service_module, name, limit)
            with pytest.raises(RefusedError) as refused:
                await importing.service.import_manifest(admin(tenant_id), entries("{b}", "{c}"))
            assert refused.value.code is ErrorCode.LIMIT_REACHED

    assert len(await store.all(tenant_id)) == 1


async def test_only_an_admin_registers(world: World, importing: Importing) -> None:
    tenant_id = await world.tenant()

    for refused in (
        importing.service.import_manifest(admin(tenant_id, Role.RESPONDER), entries("{a}")),
        importing.service.remove(admin(tenant_id, Role.RESPONDER), [sha("{a}")]),
    ):
        with pytest.raises(AccessDeniedError):
            await refused
