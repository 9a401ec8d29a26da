"""What is sealed for one tenant and one purpose opens for nothing else, and a wrong master key is told at once."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import pytest

from alertgraph.core.errors import DependencyError, InputError, NotFoundError
from alertgraph.core.ids import TenantId
from alertgraph.storage.secrets import MasterKey, PostgresVault
from tests.integration.storage.world import MASTER_KEY, World, a_world, new_id

OTHER_KEY = MasterKey(bytes(32))


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with a_world(database_url) as world:
        yield world


@pytest.fixture
async def tenant_id(world: World) -> TenantId:
    return await world.tenant()


@pytest.fixture
def vault(world: World) -> PostgresVault:
    return PostgresVault(world.database, MASTER_KEY)


@pytest.mark.parametrize("text", ["", "call me", "ünïcödé ✓\n\x00", "x" * 25_000])
async def test_what_is_sealed_opens_again(vault: PostgresVault, tenant_id: TenantId, text: str) -> None:
    sealed = await vault.seal(tenant_id, "note", text)

    assert text not in sealed or not text
    assert await vault.open(tenant_id, "note", sealed) == text


async def test_the_same_text_is_sealed_anew_each_time(vault: PostgresVault, tenant_id: TenantId) -> None:
    assert await vault.seal(tenant_id, "note", "x") != await vault.seal(tenant_id, "note", "x")


async def test_another_process_opens_it_too(world: World, vault: PostgresVault, tenant_id: TenantId) -> None:
    sealed = await vault.seal(tenant_id, "note", "call me")

    assert await PostgresVault(world.database, MASTER_KEY).open(tenant_id, "note", sealed) == "call me"


async def test_nothing_that_was_moved_opens(world: World, vault: PostgresVault, tenant_id: TenantId) -> None:
    other = await world.tenant("other")
    sealed = await vault.seal(tenant_id, "note", "call me")

    assert await vault.open(other, "note", sealed) is None
    assert await vault.open(tenant_id, "address", sealed) is None


async def test_nothing_that_was_changed_opens(vault: PostgresVault, tenant_id: TenantId) -> None:
    raw = base64.b64decode(await vault.seal(tenant_id, "note", "call me"))

    for position in range(len(raw)):
        changed = raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :]
        assert await vault.open(tenant_id, "note", base64.b64encode(changed).decode()) is None
    for broken in ("", "AQ==", "not base64!", "ä", base64.b64encode(raw[:17]).decode()):
        assert await vault.open(tenant_id, "note", broken) is None


async def test_a_destroyed_key_makes_it_unreadable(
    world: World, vault: PostgresVault, tenant_id: TenantId
) -> None:
    sealed = await vault.seal(tenant_id, "note", "call me")
    await world.execute("DELETE FROM data_key WHERE tenant_id = $1", tenant_id)
    vault.forget(tenant_id)

    assert await vault.open(tenant_id, "note", sealed) is None
    with pytest.raises(NotFoundError):
        await vault.seal(tenant_id, "note", "x")


async def test_a_newer_key_seals_and_older_ones_still_open(
    world: World, vault: PostgresVault, tenant_id: TenantId
) -> None:
    old = await vault.seal(tenant_id, "note", "old")
    await world.execute(
        "INSERT INTO data_key (tenant_id, key_id, wrapped) VALUES ($1, 2, $2)",
        tenant_id,
        MASTER_KEY.new_data_key(),
    )
    vault.forget(tenant_id)

    new = await vault.seal(tenant_id, "note", "new")

    assert base64.b64decode(new)[:5] == b"\x01\x00\x00\x00\x02"
    assert (await vault.open(tenant_id, "note", old), await vault.open(tenant_id, "note", new)) == ("old", "new")


async def test_another_master_key_opens_nothing(world: World, vault: PostgresVault, tenant_id: TenantId) -> None:
    sealed = await vault.seal(tenant_id, "note", "call me")
    wrong = PostgresVault(world.database, OTHER_KEY)

    assert await wrong.open(tenant_id, "note", sealed) is None
    with pytest.raises(NotFoundError):
        await wrong.seal(tenant_id, "note", "x")


async def test_a_tenant_that_does_not_exist_has_no_key(vault: PostgresVault) -> None:
    with pytest.raises(NotFoundError):
        await vault.seal(TenantId(new_id()), "note", "x")


@pytest.mark.both_servers
async def test_a_wrong_master_key_is_told_at_the_start(world: World, vault: PostgresVault) -> None:
    await vault.check()
    await vault.check()

    with pytest.raises(DependencyError, match="not the one this database was set up with") as caught:
        await PostgresVault(world.database, OTHER_KEY).check()
    assert not caught.value.retryable
    await vault.check()


def test_a_master_key_is_read_from_base64() -> None:
    raw = bytes(range(224, 256))
    for text in (base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode() + "\n"):
        assert MasterKey.parse(text).check_value == MasterKey(raw).check_value


@pytest.mark.parametrize("text", ["", "short", "AAAA", "not base64 at all!", base64.b64encode(bytes(33)).decode()])
def test_what_is_no_master_key_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        MasterKey.parse(text)
    assert text == "" or text not in str(caught.value)


def test_digests_depend_on_the_secret_and_on_the_installation() -> None:
    assert MASTER_KEY.digest("ag_x") == MASTER_KEY.digest("ag_x")
    assert len({MASTER_KEY.digest("ag_x"), MASTER_KEY.digest("ag_y"), OTHER_KEY.digest("ag_x")}) == 3
