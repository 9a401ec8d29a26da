"""What people set up is changed with the event that tells of it, all or nothing, one after the other."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from alertgraph.core.action import Fire
from alertgraph.core.cursor import log_start
from alertgraph.core.errors import ConflictError, DependencyError, InputError, NotFoundError
from alertgraph.core.event import EventKind, SealedEvent, seal
from alertgraph.core.flush import StoredAnswer
from alertgraph.core.ids import ApiKeyId, SavedViewId, TenantId
from alertgraph.core.labels import MatchOperator
from alertgraph.core.slo import TIER_TARGETS
from alertgraph.core.tenant import ApiKey, Role, SavedView, Tenant, TenantSettings
from alertgraph.core.tier import Tier
from alertgraph.services.ports import AnsweredError, KeySecret, LostCommitError
from alertgraph.storage.configuration import PostgresConfiguration
from alertgraph.storage.database import Connection
from tests.factories import ADA, DAY, HOUR, MINUTE, T0, a_config_event, a_draft, a_matcher, an_idempotency_key
from tests.integration.storage.test_append import end_connections
from tests.integration.storage.world import World, a_world, new_id

pytestmark = pytest.mark.both_servers

VIEW_ID = SavedViewId(UUID(int=5))
KEY_ID = ApiKeyId(UUID(int=6))
SECRET = KeySecret("ag_abcdef", b"first digest")
OTHER_SECRET = KeySecret("ag_ghijkl", b"second digest")


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with a_world(database_url) as world:
        yield world


@pytest.fixture
async def tenant_id(world: World) -> TenantId:
    return await world.tenant()


@pytest.fixture
def store(world: World) -> PostgresConfiguration:
    return PostgresConfiguration(world.database, lambda: UUID(bytes=os.urandom(16)))


def event(kind: EventKind = EventKind.CONFIG_UPDATED, **fields: Any) -> SealedEvent:
    return seal(a_config_event(kind=kind, **fields))


def a_view(**fields: Any) -> SavedView:
    view = SavedView(VIEW_ID, "Mine", {"severity": ["HIGH"]}, {"field": "SEVERITY"}, True, ADA, "oidc:ada", 0)
    return replace(view, **fields)


def a_key(**fields: Any) -> ApiKey:
    key = ApiKey(
        id=KEY_ID,
        name="CI",
        prefix=SECRET.prefix,
        role=Role.INGEST,
        matchers=(a_matcher("team", "pay.*", MatchOperator.REGEX), a_matcher("@source", "ci")),
        cost_budget=500,
        created_at=T0,
        created_by=ADA,
        expires_at=T0 + DAY,
        last_used_at=None,
        revoked_at=None,
        version=0,
    )
    return replace(key, **fields)


# --------------------------------------------------------------------------------------- settings


async def test_settings_change_with_their_event(
    world: World, store: PostgresConfiguration, tenant_id: TenantId
) -> None:
    await world.act(tenant_id, Fire(a_draft()))
    wanted = TenantSettings(resolve_timeout=5 * MINUTE, retention=30 * DAY)
    told = event()

    settings, appended = await store.change_settings(tenant_id, lambda _: (wanted, told))

    assert appended is not None
    assert settings == replace(wanted, version=2)
    config = await world.log.config(tenant_id)
    assert config is not None
    assert (config.settings, config.version) == (settings, 1)
    (_, stored) = await world.log.events_after(tenant_id, log_start(1), 10)
    assert (stored.number, stored.event, stored.link) == (2, told.event, appended.link)


async def test_a_decision_for_nothing_changes_nothing(
    world: World, store: PostgresConfiguration, tenant_id: TenantId
) -> None:
    assert await store.change_settings(tenant_id, lambda _: None) == (TenantSettings(), None)
    assert await world.log.heads([tenant_id]) == {tenant_id: 0}


async def test_what_decide_raises_undoes_everything(
    world: World, store: PostgresConfiguration, tenant_id: TenantId
) -> None:
    def decide(_: TenantSettings) -> None:
        raise ConflictError("no")

    for _ in range(20):
        with pytest.raises(ConflictError, match="no"):
            await store.change_settings(tenant_id, decide, answer=StoredAnswer(an_idempotency_key(), "{}"))

    # No connection stands about in a transaction, and none of the 20 was used up.
    await asyncio.wait_for(world.act(tenant_id, Fire(a_draft())), timeout=1)
    assert await store.answer(tenant_id, an_idempotency_key()) is None


async def test_changes_at_the_same_time_come_one_after_the_other(
    world: World, store: PostgresConfiguration, tenant_id: TenantId
) -> None:
    def longer(settings: TenantSettings) -> tuple[TenantSettings, SealedEvent]:
        return replace(settings, resolve_timeout=settings.resolve_timeout + MINUTE), event()

    await asyncio.gather(*(store.change_settings(tenant_id, longer) for _ in range(10)))

    config = await world.log.config(tenant_id)
    assert config is not None
    assert config.settings == TenantSettings(10 * MINUTE, TenantSettings().retention, version=10)
    assert config.version == 10


async def test_there_is_no_configuration_of_no_tenant(store: PostgresConfiguration) -> None:
    with pytest.raises(NotFoundError):
        await store.change_settings(TenantId(new_id()), lambda _: None)


# ------------------------------------------------------------------------------------------ answers


async def test_an_answer_is_kept_with_the_change(store: PostgresConfiguration, tenant_id: TenantId) -> None:
    answer = StoredAnswer(an_idempotency_key(), '"view"')
    await store.change_saved_view(tenant_id, VIEW_ID, lambda _: (a_view(), event()), answer=answer)

    assert await store.answer(tenant_id, answer.key) == answer
    other = StoredAnswer(an_idempotency_key(contents=b"other"), '"other"')
    with pytest.raises(AnsweredError) as caught:
        await store.change_saved_view(tenant_id, VIEW_ID, lambda _: (None, event()), answer=other)
    assert caught.value.stored == answer
    view, _ = await store.change_saved_view(tenant_id, VIEW_ID, lambda _: None)
    assert view is not None


async def test_an_answer_is_kept_where_nothing_had_to_change(
    store: PostgresConfiguration, tenant_id: TenantId
) -> None:
    answer = StoredAnswer(an_idempotency_key(), "{}")
    await store.change_settings(tenant_id, lambda _: None, answer=answer)

    assert await store.answer(tenant_id, answer.key) == answer


# -------------------------------------------------------------------------------------- saved views


async def test_a_view_is_made_changed_and_deleted(store: PostgresConfiguration, tenant_id: TenantId) -> None:
    seen: list[SavedView | None] = []

    async def change(after: SavedView | None) -> SavedView | None:
        def decide(before: SavedView | None) -> tuple[SavedView | None, SealedEvent]:
            seen.append(before)
            return after, event()

        view, _ = await store.change_saved_view(tenant_id, VIEW_ID, decide)
        return view

    first = await change(a_view())
    second = await change(a_view(name="Ours", order_by=None, shared=False, filter={"a": [1, {"b": None}]}))
    third = await change(None)

    assert first == a_view(version=1)
    assert second == a_view(name="Ours", order_by=None, shared=False, filter={"a": [1, {"b": None}]}, version=2)
    assert third is None
    assert seen == [None, first, second]


# ----------------------------------------------------------------------------------------- API keys


async def test_a_key_is_made_and_found_by_its_prefix(
    world: World, store: PostgresConfiguration, tenant_id: TenantId
) -> None:
    key, appended = await store.change_api_key(tenant_id, KEY_ID, lambda _: (a_key(), event()), secret=SECRET)

    assert appended is not None
    assert key == a_key(version=1)
    (found,) = await store.find_keys(SECRET.prefix)
    assert found.key == key
    assert found.tenant == Tenant(tenant_id, "acme", "Acme", Tier.STANDARD)
    assert found.digests == [SECRET.digest]
    assert await store.find_keys("ag_nobody") == []


async def test_keys_of_every_tenant_are_found(
    world: World, store: PostgresConfiguration, tenant_id: TenantId
) -> None:
    other = await world.tenant("other")
    for tenant in (tenant_id, other):
        await store.change_api_key(tenant, KEY_ID, lambda _: (a_key(), event()), secret=SECRET)

    assert {found.tenant.id for found in await store.find_keys(SECRET.prefix)} == {tenant_id, other}


async def test_a_rotated_key_has_two_secrets_for_a_while(
    world: World, store: PostgresConfiguration, tenant_id: TenantId
) -> None:
    await store.change_api_key(tenant_id, KEY_ID, lambda _: (a_key(), event()), secret=SECRET)
    until = await world.value("SELECT now()") + HOUR

    def rotate(key: ApiKey | None) -> tuple[ApiKey, SealedEvent]:
        assert key is not None
        return replace(key, prefix=OTHER_SECRET.prefix), event()

    rotated, _ = await store.change_api_key(tenant_id, KEY_ID, rotate, secret=OTHER_SECRET, old_secret_until=until)

    assert rotated == a_key(prefix=OTHER_SECRET.prefix, version=2)
    for prefix in (SECRET.prefix, OTHER_SECRET.prefix):
        (found,) = await store.find_keys(prefix)
        assert list(found.digests) == [OTHER_SECRET.digest, SECRET.digest]
    await world.execute("UPDATE api_key SET old_digest_until = now()")
    assert await store.find_keys(SECRET.prefix) == []
    (found,) = await store.find_keys(OTHER_SECRET.prefix)
    assert list(found.digests) == [OTHER_SECRET.digest]


async def test_a_key_is_changed_and_revoked(store: PostgresConfiguration, tenant_id: TenantId) -> None:
    await store.change_api_key(tenant_id, KEY_ID, lambda _: (a_key(), event()), secret=SECRET)
    wanted = a_key(name="CD", role=Role.ADMIN, matchers=(), cost_budget=None, expires_at=None, revoked_at=T0)

    changed, _ = await store.change_api_key(tenant_id, KEY_ID, lambda _: (wanted, event()))

    assert changed == replace(wanted, version=2)
    (found,) = await store.find_keys(SECRET.prefix)
    assert found.key.revoked_at == T0


async def test_the_last_use_is_kept_to_the_minute(
    world: World, store: PostgresConfiguration, tenant_id: TenantId
) -> None:
    await store.change_api_key(tenant_id, KEY_ID, lambda _: (a_key(), event()), secret=SECRET)

    for seconds in (90, 100, 30):
        await store.note_key_use(tenant_id, KEY_ID, T0 + timedelta(seconds=seconds))

    (found,) = await store.find_keys(SECRET.prefix)
    assert found.key.last_used_at == T0 + MINUTE
    assert await world.log.heads([tenant_id]) == {tenant_id: 1}


# ------------------------------------------------------------------------------------- lost commits


class _Losing:
    """A database that loses the answer to a commit, after it happened or before."""

    def __init__(self, world: World, *, committed: bool) -> None:
        self._world = world
        self._committed = committed

    def transaction(self, *arguments: Any, **options: Any) -> Any:
        return self._world.database.transaction(*arguments, **options)

    async def write(self, tenant_id: TenantId, work: Any, **_: Any) -> Any:
        async def whole(connection: Connection) -> Any:
            result = await work(connection)
            if not self._committed:
                raise LostCommitError("lost")
            return result

        await self._world.database.write(tenant_id, whole)
        raise LostCommitError("lost")


@pytest.mark.parametrize("committed", [True, False])
async def test_a_lost_answer_is_looked_up(world: World, tenant_id: TenantId, committed: bool) -> None:
    losing: Any = _Losing(world, committed=committed)
    store = PostgresConfiguration(losing, lambda: UUID(bytes=os.urandom(16)))
    wanted = TenantSettings(resolve_timeout=MINUTE)

    if committed:
        settings, appended = await store.change_settings(tenant_id, lambda _: (wanted, event()))
        assert appended is not None
        assert (settings, appended.first_number) == (replace(wanted, version=1), 1)
    else:
        with pytest.raises(DependencyError) as caught:
            await store.change_settings(tenant_id, lambda _: (wanted, event()))
        assert caught.value.retryable


async def test_a_store_that_goes_away_in_the_middle_says_so(
    world: World, tenant_id: TenantId, database_url: str
) -> None:
    async with a_world(database_url, application_name="victim") as other:
        store = PostgresConfiguration(other.database, lambda: UUID(bytes=os.urandom(16)))
        ending: list[asyncio.Task[None]] = []

        def decide(_: TenantSettings) -> tuple[TenantSettings, SealedEvent]:
            ending.append(asyncio.ensure_future(end_connections(database_url, "victim")))
            return TenantSettings(), event()

        async with world.database.transaction(tenant_id, keeps=False) as connection:
            await connection.execute("SELECT FROM tenant_settings FOR UPDATE")
            with pytest.raises(DependencyError) as caught:
                await store.change_settings(tenant_id, decide)
        assert caught.value.retryable
        await asyncio.gather(*ending)
        await store.change_settings(tenant_id, lambda _: (TenantSettings(), event()))


# ------------------------------------------------------------------------------------------ tenants


async def test_a_tenant_is_made_with_all_it_needs(world: World) -> None:
    tenant_id = await world.tenant("acme", Tier.PREMIUM)

    config = await world.log.config(tenant_id)
    assert config is not None
    assert (config.version, config.settings) == (0, TenantSettings())
    assert config.sla_targets == TIER_TARGETS[Tier.PREMIUM]
    assert await world.registry.find("acme") == Tenant(tenant_id, "acme", "Acme", Tier.PREMIUM)
    assert await world.registry.find("nobody") is None


async def test_a_slug_is_taken_once_and_must_be_one(world: World) -> None:
    await world.tenant("acme")

    with pytest.raises(ConflictError, match="a tenant acme already"):
        await world.tenant("acme")
    with pytest.raises(InputError):
        await world.tenant("Not a slug")
    await world.tenant("beta")
    assert [tenant.slug for tenant in await world.registry.all()] == ["acme", "beta"]
