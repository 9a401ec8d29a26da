"""What is set up for paging is changed with its event, read whole, and kept at hand by its version."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from alertgraph.core.action import Acknowledge, ByKey, Fire, Resolve
from alertgraph.core.catalog import Catalog, Change, Item
from alertgraph.core.channel import Channel, ChannelKind, EmailConfig
from alertgraph.core.cursor import log_start
from alertgraph.core.errors import ConflictError, DependencyError, InputError, NotFoundError, StaleDecisionError
from alertgraph.core.event import EventKind, SealedEvent, seal
from alertgraph.core.flush import StoredAnswer, TenantConfig
from alertgraph.core.ids import ChannelId, RuleId, SavedViewId, SilenceId, TenantId
from alertgraph.core.inhibition import InhibitionRule
from alertgraph.core.labels import MatchOperator
from alertgraph.core.monitor import HeartbeatMonitor
from alertgraph.core.query import PageRequest
from alertgraph.core.responder import ContactMethod, Responder
from alertgraph.core.rule import EscalationRule, Level, ResponderTarget, ScheduleTarget
from alertgraph.core.schedule import Rotation, Schedule, ShiftOverride
from alertgraph.core.severity import Severity
from alertgraph.core.silence import Silence, SilenceState
from alertgraph.core.tenant import TenantSettings
from alertgraph.services.ports import AnsweredError, LostCommitError
from alertgraph.storage.configuration import PostgresConfiguration
from alertgraph.storage.database import Connection
from alertgraph.storage.reader import Reader
from alertgraph.storage.snapshot import ConfigCache, PostgresSnapshot, PostgresSnapshotSource
from tests.factories import (
    ADA,
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    T0,
    a_config_event,
    a_draft,
    a_matcher,
    an_idempotency_key,
)
from tests.integration.storage.test_configuration import a_view
from tests.integration.storage.world import World, a_world

pytestmark = pytest.mark.both_servers


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with a_world(database_url) as world:
        yield world


@pytest.fixture
async def tenant_id(world: World) -> TenantId:
    return await world.tenant(items=())


@pytest.fixture
def store(world: World) -> PostgresConfiguration:
    return PostgresConfiguration(world.database, lambda: UUID(bytes=os.urandom(16)))


@pytest.fixture
async def now(world: World) -> datetime:
    """The database's own present, by which it tells what is over."""
    at: datetime = await world.value("SELECT now()")
    return at


def any_id(number: int) -> Any:
    return UUID(int=number)


def event(kind: EventKind = EventKind.CONFIG_CREATED) -> SealedEvent:
    return seal(a_config_event(kind=kind, subject_type="EscalationRule"))


def a_rule(number: int = 1, **fields: Any) -> EscalationRule:
    levels = (Level(5 * MINUTE, (ScheduleTarget(any_id(6)), ResponderTarget(any_id(5)))),)
    return replace(EscalationRule(any_id(number), f"rule {number}", number, levels), **fields)


def a_silence(number: int, starts_at: datetime, ends_at: datetime, **fields: Any) -> Silence:
    silence = Silence(any_id(number), (a_matcher("team", "pay"),), starts_at, ends_at, "planned", ADA)
    return replace(silence, **fields)


def an_override(number: int, starts_at: datetime, ends_at: datetime) -> ShiftOverride:
    return ShiftOverride(any_id(number), any_id(6), any_id(5), starts_at, ends_at, ADA)


def a_channel(number: int = 4, **fields: Any) -> Channel:
    channel = Channel(any_id(number), f"mail {number}", ChannelKind.EMAIL, EmailConfig(("a@b.example",)))
    return replace(channel, **fields)


async def write(store: PostgresConfiguration, tenant_id: TenantId, *items: Item, **fields: Any) -> TenantConfig:
    """Keep items, as one change."""
    config, _ = await store.change(tenant_id, lambda _: Change(event(), items, **fields))
    return config


# ------------------------------------------------------------------------------------------ changes


async def test_a_change_is_kept_with_its_event(
    world: World, store: PostgresConfiguration, tenant_id: TenantId, now: datetime
) -> None:
    items: tuple[Item, ...] = (
        a_rule(1),
        InhibitionRule(any_id(2), "bigger", (a_matcher("a", "b"),), (a_matcher("c", "d"),), ("team",)),
        a_silence(3, now - HOUR, now + HOUR),
        a_channel(4, sealed="c2VhbGVk", template="{{ title }}"),
        Responder(any_id(5), "Ada", "Europe/London", "c2VhbGVk", (ContactMethod(any_id(4)),)),
        Schedule(any_id(6), "primary", "Europe/Berlin", (Rotation((any_id(5),), T0, DAY),)),
        an_override(7, now, now + HOUR),
        HeartbeatMonitor(any_id(8), "backup", DAY, labels={"team": "ops"}),
    )
    settings = TenantSettings(MINUTE, 30 * DAY, default_rule_id=any_id(1), dead_man_channel_id=any_id(4))
    told = event()
    seen: list[TenantConfig] = []

    def decide(config: TenantConfig) -> Change:
        seen.append(config)
        return Change(told, items, settings=settings)

    config, appended = await store.change(tenant_id, decide)

    assert appended is not None
    assert [(one.version, one.catalog) for one in seen] == [(0, Catalog())]
    kept = [replace(item, version=appended.first_number) for item in items]
    assert config.version == 1
    assert config.settings == replace(settings, version=appended.first_number)
    assert config.catalog == Catalog(
        rules=(kept[0],),  # type: ignore[arg-type]
        inhibitions=(kept[1],),  # type: ignore[arg-type]
        silences=(kept[2],),  # type: ignore[arg-type]
        channels={kept[3].id: kept[3]},  # type: ignore[dict-item]
        responders={kept[4].id: kept[4]},  # type: ignore[dict-item]
        schedules={kept[5].id: kept[5]},  # type: ignore[dict-item]
        overrides=(kept[6],),  # type: ignore[arg-type]
        monitors={kept[7].id: kept[7]},  # type: ignore[dict-item]
    )
    assert await world.log.config(tenant_id) == config
    (stored,) = await world.log.events_after(tenant_id, log_start(1), 10)
    assert (stored.event, stored.link) == (told.event, appended.link)


async def test_items_change_and_go(store: PostgresConfiguration, tenant_id: TenantId) -> None:
    first = await write(store, tenant_id, a_rule(1), a_rule(2))
    second = await write(store, tenant_id, a_rule(2, position=0, enabled=False))
    # The name of what goes is free for what comes in the same change.
    third = await write(store, tenant_id, a_rule(3, name="rule 1"), deleted=(a_rule(1),))

    assert [(rule.name, rule.version) for rule in first.catalog.rules] == [("rule 1", 1), ("rule 2", 1)]
    assert [(rule.name, rule.version) for rule in second.catalog.rules] == [("rule 2", 2), ("rule 1", 1)]
    assert not second.catalog.rules[0].enabled
    assert [(rule.id.int, rule.name) for rule in third.catalog.rules] == [(2, "rule 2"), (3, "rule 1")]
    assert third.version == 3


async def test_no_decision_changes_nothing(
    world: World, store: PostgresConfiguration, tenant_id: TenantId
) -> None:
    config, appended = await store.change(tenant_id, lambda _: None)

    assert appended is None
    assert config.catalog == Catalog()
    assert await world.log.heads([tenant_id]) == {tenant_id: 0}


async def test_what_decide_raises_undoes_everything(
    world: World, store: PostgresConfiguration, tenant_id: TenantId
) -> None:
    def decide(_: TenantConfig) -> None:
        raise ConflictError("no")

    with pytest.raises(ConflictError, match="no"):
        await store.change(tenant_id, decide, answer=StoredAnswer(an_idempotency_key(), "{}"))

    assert await store.answer(tenant_id, an_idempotency_key()) is None
    assert await world.log.heads([tenant_id]) == {tenant_id: 0}


async def test_there_is_nothing_set_up_in_no_tenant(world: World, store: PostgresConfiguration) -> None:
    nobody = TenantId(any_id(99))
    with pytest.raises(NotFoundError):
        await store.change(nobody, lambda _: None)
    assert await world.log.config(nobody) is None


async def test_an_answer_is_kept_with_the_change(store: PostgresConfiguration, tenant_id: TenantId) -> None:
    answer = StoredAnswer(an_idempotency_key(), '"rule"')
    await store.change(tenant_id, lambda _: Change(event(), (a_rule(),)), answer=answer)

    with pytest.raises(AnsweredError) as caught:
        await store.change(tenant_id, lambda _: Change(event(), (), (a_rule(),)), answer=answer)

    assert caught.value.stored == answer
    config, _ = await store.change(tenant_id, lambda _: None)
    assert len(config.catalog.rules) == 1


async def test_changes_at_the_same_time_see_each_other(store: PostgresConfiguration, tenant_id: TenantId) -> None:
    def one_more(config: TenantConfig) -> Change:
        return Change(event(), (a_rule(len(config.catalog.rules) + 1),))

    await asyncio.gather(*(store.change(tenant_id, one_more) for _ in range(8)))

    config, _ = await store.change(tenant_id, lambda _: None)
    assert [rule.position for rule in config.catalog.rules] == list(range(1, 9))
    assert sorted(rule.version for rule in config.catalog.rules) == list(range(1, 9))


async def test_a_name_is_given_once(store: PostgresConfiguration, tenant_id: TenantId) -> None:
    await write(store, tenant_id, a_rule(1), Responder(any_id(5), "Ada"))
    # The core refuses it beforehand; this is the net below.
    with pytest.raises(StaleDecisionError, match="config_item_name"):
        await write(store, tenant_id, a_rule(2, name="rule 1"))
    # A channel may be called as a rule is, and people are called as they are.
    config = await write(store, tenant_id, a_channel(name="rule 1"), Responder(any_id(6), "Ada"))
    assert len(config.catalog.responders) == 2


async def test_another_tenant_has_its_own(world: World, store: PostgresConfiguration, tenant_id: TenantId) -> None:
    other = await world.tenant("other", items=())
    await write(store, tenant_id, a_rule(1))
    await write(store, other, a_rule(1, name="theirs"))
    await write(store, other, deleted=(a_rule(1),))

    config = await world.log.config(tenant_id)
    assert config is not None
    assert [rule.name for rule in config.catalog.rules] == ["rule 1"]


async def test_settings_and_views_change_beside_it(
    world: World, store: PostgresConfiguration, tenant_id: TenantId
) -> None:
    config = await write(store, tenant_id, a_rule(1), settings=TenantSettings(default_rule_id=RuleId(any_id(1))))
    settings, _ = await store.change_settings(
        tenant_id, lambda before: (replace(before, dead_man_channel_id=ChannelId(any_id(4))), event())
    )
    await store.change_saved_view(tenant_id, SavedViewId(any_id(9)), lambda _: (a_view(), event()))

    assert settings == replace(config.settings, dead_man_channel_id=any_id(4), version=2)
    assert settings.default_rule_id == any_id(1)
    found = await world.log.config(tenant_id)
    assert found is not None
    assert (found.settings, found.version, len(found.catalog.rules)) == (settings, 3, 1)
    async with PostgresSnapshotSource(world.database).snapshot(tenant_id) as snapshot:
        assert await snapshot.settings() == settings


class _Losing:
    """A database that loses the answer to a commit that happened."""

    def __init__(self, world: World) -> None:
        self._world = world

    def transaction(self, *arguments: Any, **options: Any) -> Any:
        return self._world.database.transaction(*arguments, **options)

    async def write(self, tenant_id: TenantId, work: Any, **_: Any) -> Any:
        async def whole(connection: Connection) -> Any:
            return await work(connection)

        await self._world.database.write(tenant_id, whole)
        raise LostCommitError("lost")


async def test_a_lost_answer_is_looked_up(world: World, tenant_id: TenantId) -> None:
    losing: Any = _Losing(world)
    store = PostgresConfiguration(losing, lambda: UUID(bytes=os.urandom(16)))

    config, appended = await store.change(tenant_id, lambda _: Change(event(), (a_rule(),)))

    assert appended is not None
    assert config.catalog.rules == (a_rule(version=appended.first_number),)


async def test_what_an_other_release_wrote_is_no_guess(
    world: World, store: PostgresConfiguration, tenant_id: TenantId
) -> None:
    await write(store, tenant_id, a_rule(1))
    await world.execute("UPDATE config_item SET body = body || '{\"hours\": 9}'")

    with pytest.raises(DependencyError, match=r"EscalationRule .* known fields: hours"):
        await world.log.config(tenant_id)


# -------------------------------------------------------------------------------------- what is over


async def test_what_was_over_for_a_day_is_left_out(
    store: PostgresConfiguration, tenant_id: TenantId, now: datetime
) -> None:
    begin = now - 9 * DAY
    config = await write(
        store,
        tenant_id,
        a_silence(1, begin, now - DAY - MINUTE),
        a_silence(2, begin, now - DAY + MINUTE),
        a_silence(3, begin, now + HOUR),
        a_silence(4, begin, begin + HOUR, recurrence="FREQ=DAILY"),
        a_silence(5, begin, begin + HOUR, recurrence="FREQ=DAILY;COUNT=2"),
        a_silence(6, begin, begin + HOUR, recurrence="FREQ=DAILY", over_at=now - 2 * DAY),
        an_override(1, now - 2 * DAY, now - DAY - MINUTE),
        an_override(2, now, now + HOUR),
        an_override(3, now - 2 * DAY, now - DAY + MINUTE),
    )

    assert [silence.id.int for silence in config.catalog.silences] == [2, 3, 4]
    assert [override.id.int for override in config.catalog.overrides] == [3, 2]


async def pages(
    snapshot: PostgresSnapshot, states: Sequence[SilenceState], now: datetime, size: int = 2
) -> tuple[list[int], int | None]:
    """Return the ids of all silences in these states, read page by page, and their total count."""
    found: list[int] = []
    after = None
    while True:
        page = await snapshot.silence_page(PageRequest(size, after), states, now)
        found += [silence.id.int for _, silence in page.items]
        if not page.has_next:
            return found, page.total_count
        after = page.items[-1][0]


async def test_silences_are_listed_latest_end_first(
    world: World, store: PostgresConfiguration, tenant_id: TenantId, now: datetime
) -> None:
    begin = now - 9 * DAY
    daily = "FREQ=DAILY"
    await write(
        store,
        tenant_id,
        a_silence(1, begin, now - 5 * DAY),
        a_silence(2, begin, now - HOUR),
        a_silence(3, begin, now + HOUR),
        a_silence(4, now + MINUTE, now + 2 * HOUR),
        a_silence(5, begin - MINUTE, begin + MINUTE, recurrence=daily),
        a_silence(6, begin + HOUR, begin + 2 * HOUR, recurrence=daily),
        a_silence(7, begin, begin + HOUR, over_at=begin + MINUTE),
        a_rule(8),
    )
    pending, active, expired = SilenceState
    async with PostgresSnapshotSource(world.database).snapshot(tenant_id) as snapshot:
        assert await pages(snapshot, (), now) == ([6, 5, 4, 3, 2, 1, 7], 7)
        assert await pages(snapshot, list(SilenceState), now) == ([6, 5, 4, 3, 2, 1, 7], 7)
        assert await pages(snapshot, (active,), now) == ([5, 3], 2)
        assert await pages(snapshot, (pending,), now) == ([6, 4], 2)
        assert await pages(snapshot, (expired,), now, 1) == ([2, 1, 7], 3)
        assert await pages(snapshot, (pending, expired), now) == ([6, 4, 2, 1, 7], 5)
        assert await pages(snapshot, (active, pending), now, 1) == ([6, 5, 4, 3], 4)
        last = await snapshot.silence_page(PageRequest(3, backward=True), (), now)
        assert [silence.id.int for _, silence in last.items] == [2, 1, 7]
        assert last.has_previous
        first = await snapshot.silence_page(PageRequest(9, before=last.items[0][0]), (), now)
        assert [silence.id.int for _, silence in first.items] == [6, 5, 4, 3]
        with pytest.raises(InputError, match="not a cursor of this list"):
            await snapshot.silence_page(PageRequest(after="nonsense"), (), now)
        found = await snapshot.silences([SilenceId(any_id(7)), SilenceId(any_id(8)), SilenceId(any_id(9))])
        assert list(found) == [any_id(7)]


# --------------------------------------------------------------------------------------- the cache


async def test_the_catalog_is_kept_by_its_version(
    world: World, store: PostgresConfiguration, tenant_id: TenantId
) -> None:
    source = PostgresSnapshotSource(world.database)
    await write(store, tenant_id, a_rule(1))
    async with source.snapshot(tenant_id) as snapshot:
        first = await snapshot.config()
        await write(store, tenant_id, a_rule(2))
        # Still the same moment.
        assert await snapshot.config() is first
        await snapshot.renew()
        second = await snapshot.config()
    assert [len(config.catalog.rules) for config in (first, second)] == [1, 2]
    await world.act(tenant_id, Fire(a_draft()))
    async with source.snapshot(tenant_id) as snapshot:
        assert await snapshot.config() is second
    async with source.snapshot(TenantId(any_id(99))) as snapshot:
        with pytest.raises(NotFoundError):
            await snapshot.config()


async def test_the_cache_is_bounded(world: World) -> None:
    tenants = [await world.tenant(f"t{n}", items=()) for n in range(3)]
    cache = ConfigCache(tenant_count_max=2)

    async def config(tenant_id: TenantId) -> TenantConfig:
        async with Reader.open(world.database, tenant_id) as reader:
            return await cache.load(reader)

    first, second = await config(tenants[0]), await config(tenants[1])
    assert await config(tenants[0]) is first
    await config(tenants[2])
    assert await config(tenants[0]) is first
    assert await config(tenants[1]) is not second


async def test_a_thousand_items_are_read_at_once(
    world: World, store: PostgresConfiguration, tenant_id: TenantId, now: datetime
) -> None:
    items = [a_rule(n, matchers=(a_matcher("team", f"t{n}"),), severities=(Severity.HIGH,)) for n in range(300)]
    items += [a_silence(n, now, now + HOUR) for n in range(300)]  # type: ignore[misc]
    items += [Responder(any_id(n), f"r{n}", contact_methods=(ContactMethod(any_id(4)),)) for n in range(400)]  # type: ignore[misc]
    await write(store, tenant_id, *items)

    seconds = []
    for _ in range(5):
        begun_at = time.perf_counter()
        config = await world.log.config(tenant_id)
        seconds.append(time.perf_counter() - begun_at)
        assert config is not None
        catalog = config.catalog
        assert (len(catalog.rules), len(catalog.silences), len(catalog.responders)) == (300, 300, 400)
    # About 20 ms on a machine of its own; a busy one takes longer, but not ten times as long each time.
    assert min(seconds) < 0.2


# ---------------------------------------------------------------------------------------- what matches


async def test_alerts_that_match_come_worst_first(world: World, tenant_id: TenantId) -> None:
    def fire(key: str, severity: Severity, **labels: str) -> Fire:
        return Fire(a_draft(dedup_key=key, severity=severity, labels=labels))

    await world.act(tenant_id, fire("a", Severity.LOW, team="pay", zone="eu-1"), now=T0)
    await world.act(tenant_id, fire("b", Severity.HIGH, team="pay", zone="us-1"), now=T0 + SECOND)
    await world.act(tenant_id, fire("c", Severity.HIGH, team="pay", zone="eu-2"), now=T0 + 2 * SECOND)
    await world.act(tenant_id, fire("d", Severity.CRITICAL, team="web", zone="eu-2"), now=T0 + 3 * SECOND)
    await world.act(tenant_id, Acknowledge(ByKey("c")), Resolve(ByKey("b")), now=T0 + 4 * SECOND)

    async with PostgresSnapshotSource(world.database).snapshot(tenant_id) as snapshot:

        async def found(*matchers: Any, since: datetime | None = None, limit: int = 10) -> list[str]:
            alerts = await snapshot.matching(matchers, since, limit)
            assert await snapshot.matching_count(matchers, since, limit) == len(alerts)
            return [alert.dedup_key for alert in alerts]

        pay = a_matcher("team", "pay")
        european = a_matcher("zone", "eu-.*", MatchOperator.REGEX)
        assert await found(pay) == ["c", "a"]
        assert await found(pay, limit=1) == ["c"]
        assert await found(pay, limit=0) == []
        assert await found(european) == ["d", "c", "a"]
        assert await found(pay, european) == ["c", "a"]
        assert await found(a_matcher("@severity", "HIGH")) == ["c"]
        assert await found(a_matcher("@severity", "NONE")) == []
        assert await found(a_matcher("team", "")) == []
        assert await found(a_matcher("zone", "us-1", MatchOperator.NOT_EQUAL), pay) == ["c", "a"]
        assert await found(a_matcher("@severity", "HIGH|LOW", MatchOperator.REGEX), european) == ["c", "a"]
        assert await found(a_matcher("@service", "", MatchOperator.NOT_EQUAL), limit=2) == ["d", "c"]
        assert await found(a_matcher("\x00", "a", MatchOperator.NOT_EQUAL), european, limit=1) == ["d"]
        assert await found(pay, since=T0) == ["c", "b", "a"]
        assert await found(pay, since=T0 + SECOND) == ["c", "b"]
        # The newest, told worst first.
        assert await found(since=T0, limit=3) == ["d", "c", "b"]

        by_key = await snapshot.open_alerts_by_key(["a", "b", "d", "x", "\x00"])
        assert sorted(by_key) == ["a", "d"]
        assert await snapshot.open_alerts_by_key([]) == {}
