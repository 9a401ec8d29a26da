"""The dead-man beat over a real database and a real webhook: it comes while pages would, and not otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import orjson
import pytest
import pytest_asyncio
from standardwebhooks.webhooks import Webhook

from alertgraph.core.channel import ChannelKind
from alertgraph.core.ids import ChannelId, TenantId
from alertgraph.core.tenant import Principal, Role
from alertgraph.edge.clock import SystemDice
from alertgraph.edge.telemetry import Telemetry
from alertgraph.notify.guard import Guard
from alertgraph.notify.notifier import ChannelNotifier
from alertgraph.notify.webhook import WebhookAdapter
from alertgraph.services.dead_man import DeadMan
from alertgraph.storage.database import Database
from alertgraph.storage.dead_man import PostgresDeadManTurns
from alertgraph.storage.snapshot import PostgresSnapshotSource
from tests.factories import MINUTE, SECOND
from tests.integration.notify.provider import Provider, answers, provider
from tests.integration.resolvers.api import Api, a_caller
from tests.integration.resolvers.setting_up import CREATE_CHANNEL, UPDATE_CHANNEL, done, refused
from tests.virtual import VirtualClock

SETTINGS = """mutation($input: UpdateTenantSettingsInput!) { updateTenantSettings(input: $input) {
  settings { deadManChannel { name } version } errors { code path message } } }"""
FIRE = """mutation($input: CreateAlertInput!) { createAlert(input: $input) { alert { id } errors { code } } }"""
RESOLVE = """mutation($input: AlertActionInput!) { resolveAlert(input: $input) { changed errors { code } } }"""


class Heard:
    """Remembers what was reported of beats."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[str, str | None]] = []
        self.failures: list[BaseException] = []

    def beaten(self, tenant_id: TenantId, *, outcome: str, why: str | None = None) -> None:
        self.outcomes.append((outcome, why))

    def broke_glass(self, *, outcome: str, why: str) -> None:
        raise AssertionError("no glass here")

    def failed(self, part: str, error: BaseException) -> None:
        self.failures.append(error)


class Beaters:
    """Processes that beat, on one clock, and the receiver that listens."""

    def __init__(self, api: Api, receiver: Provider, databases: list[Database]) -> None:
        self.clock = VirtualClock(api.clock.now())
        self.heard = Heard()
        self.receiver = receiver
        self.works = True
        self.gone: list[ChannelId] = []
        guard = Guard(allow_private=True)
        notifier = ChannelNotifier({ChannelKind.WEBHOOK: WebhookAdapter(api.poster)}, guard, Telemetry())
        self.processes = [
            DeadMan(
                PostgresDeadManTurns(database),
                PostgresSnapshotSource(database),
                notifier,
                api.services.channels.secrets,
                self.clock,
                SystemDice(),
                self.heard,
                lambda: self.works,
                self._gone,
            )
            for database in databases
        ]

    async def _gone(self, tenant_id: TenantId, channel_id: ChannelId) -> None:
        self.gone.append(channel_id)

    async def turn(self, after: Any = MINUTE) -> int:
        """Let time pass, give every process a turn, and return how many beats came."""
        self.clock.advance(after)
        before = len(self.receiver.received)
        for process in self.processes:
            await process.turn()
        for process in self.processes:
            await process.settle()
        assert self.heard.failures == []
        return len(self.receiver.received) - before


@pytest.fixture
def api_url(database_url: str) -> str:
    """A database of its own: an engine works on everybody's alerts."""
    return database_url


@pytest_asyncio.fixture(loop_scope="session")
async def beaters(api: Api, database_url: str) -> AsyncIterator[Beaters]:
    async with AsyncExitStack() as resources:
        receiver = await resources.enter_async_context(provider())
        databases = []
        for _ in range(2):
            database = await Database.connect(database_url, pool_size=4)
            resources.push_async_callback(database.close)
            databases.append(database)
        yield Beaters(api, receiver, databases)


async def listening(api: Api, admin: Principal, beaters: Beaters, **fields: object) -> tuple[str, str]:
    """Set up the beat's channel; return its id and the secret that its receiver verifies by."""
    config = {"webhook": {"url": f"{beaters.receiver.url}/alive"}}
    made = await done(api, admin, CREATE_CHANNEL, name="watchdog", config=config, **fields)
    channel_id: str = made["notificationChannel"]["id"]
    await done(api, admin, SETTINGS, deadManChannelId=channel_id)
    return channel_id, made["webhookSecret"]


async def test_one_beat_a_minute_comes_from_two_processes(api: Api, admin: Principal, beaters: Beaters) -> None:
    assert await beaters.turn() == 0
    _, secret = await listening(api, admin, beaters)

    assert [await beaters.turn() for _ in range(3)] == [1, 1, 1]
    assert await beaters.turn(30 * SECOND) == 0
    assert await beaters.turn(30 * SECOND) == 1

    assert beaters.heard.outcomes == [("sent", None)] * 4
    last = beaters.receiver.last
    body = Webhook(secret).verify(last.body, dict(last.headers))
    assert body["type"] == "engine.alive"
    assert body["data"]["tenant"] == "Acme"
    assert body["data"]["alerts"] == []
    assert "alive" in body["data"]["text"]
    ids = [request.headers["webhook-id"] for request in beaters.receiver.received]
    assert len(set(ids)) == len(ids)


async def test_it_stops_while_a_promise_is_broken_and_comes_back(
    api: Api, admin: Principal, beaters: Beaters
) -> None:
    await listening(api, admin, beaters)
    assert await beaters.turn() == 1

    fired = await api.data(admin, FIRE, input={"title": "For nobody", "severity": "HIGH"})
    assert [await beaters.turn(), await beaters.turn()] == [0, 0]
    assert beaters.heard.outcomes[-1] == ("withheld", "HELD_NO_MATCHING_RULE")

    await api.data(admin, RESOLVE, input={"alertId": fired["createAlert"]["alert"]["id"]})
    assert await beaters.turn() == 1


async def test_one_tenant_s_trouble_is_no_other_s(api: Api, admin: Principal, beaters: Beaters) -> None:
    await listening(api, admin, beaters)
    other = a_caller(await api.tenant("other"), Role.ADMIN)
    await listening(api, other, beaters)
    assert await beaters.turn() == 2

    await api.data(other, FIRE, input={"title": "For nobody", "severity": "HIGH"})

    assert await beaters.turn() == 1
    assert orjson.loads(beaters.receiver.last.body)["data"]["tenant"] == "Acme"


async def test_a_process_whose_engine_stands_still_beats_for_nobody(
    api: Api, admin: Principal, beaters: Beaters
) -> None:
    await listening(api, admin, beaters)
    beaters.works = False
    assert await beaters.turn() == 0

    beaters.works = True
    assert await beaters.turn(0 * SECOND) == 1


async def test_a_beat_that_fails_is_told_and_not_repeated(api: Api, admin: Principal, beaters: Beaters) -> None:
    channel_id, _ = await listening(api, admin, beaters)
    beaters.receiver.plays = [answers(500)]
    assert await beaters.turn() == 1
    assert await beaters.turn(10 * SECOND) == 0
    assert beaters.heard.outcomes == [("failed", "The provider answered 500 Internal Server Error.")]

    beaters.receiver.plays = [answers(410)]
    assert await beaters.turn() == 1
    assert len(beaters.gone) == 1

    await done(api, admin, UPDATE_CHANNEL, id=channel_id, enabled=False)
    assert await beaters.turn() == 0
    assert beaters.heard.outcomes[-1] == ("withheld", "the channel is disabled")


async def test_pagerduty_would_wake_somebody_with_each_beat(api: Api, admin: Principal) -> None:
    config = {"pagerduty": {"routingKey": "0" * 32}}
    made = await done(api, admin, CREATE_CHANNEL, name="pagerduty", config=config)

    refusal = await refused(api, admin, SETTINGS, deadManChannelId=made["notificationChannel"]["id"])

    assert refusal == ("INVALID_INPUT", "input.deadManChannelId")
