"""The schema over the real services and a real database: what a transport would run."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from secrets import token_hex
from typing import Any
from uuid import UUID

import orjson
from graphql import OperationType

from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.budget import Budget
from alertgraph.core.channel import ChannelKind
from alertgraph.core.ids import TenantId, uuid7
from alertgraph.core.labels import Matcher
from alertgraph.core.tenant import Principal, Role, Tenant
from alertgraph.core.tier import Tier
from alertgraph.edge.clock import SystemClock, SystemDice
from alertgraph.edge.learning import Learning
from alertgraph.edge.rpc import NoPredictor
from alertgraph.edge.telemetry import Telemetry
from alertgraph.execution.executor import GraphQLExecutor
from alertgraph.execution.request import GraphQLRequest
from alertgraph.notify.adapter import Adapter
from alertgraph.notify.email import EmailAdapter
from alertgraph.notify.guard import Guard
from alertgraph.notify.http import HttpPoster
from alertgraph.notify.notifier import ChannelNotifier
from alertgraph.notify.pagerduty import PagerDutyAdapter
from alertgraph.notify.slack import SlackAdapter
from alertgraph.notify.teams import TeamsAdapter
from alertgraph.notify.webhook import WebhookAdapter
from alertgraph.services.advice import AdviceService
from alertgraph.services.alerts import AlertService
from alertgraph.services.anomaly_rules import AnomalyRuleService
from alertgraph.services.calendars import CalendarFeeds
from alertgraph.services.catalog_changes import CatalogChanges
from alertgraph.services.channels import ChannelService
from alertgraph.services.configuration import ConfigurationService
from alertgraph.services.dependencies import DependencyService
from alertgraph.services.incidents import IncidentService
from alertgraph.services.indexing import IndexingService
from alertgraph.services.inhibitions import InhibitionService
from alertgraph.services.lanes import Lanes
from alertgraph.services.metrics_feed import MetricsFeed
from alertgraph.services.monitors import MonitorService
from alertgraph.services.open_alerts import OpenAlerts
from alertgraph.services.reading import Reading
from alertgraph.services.responders import ResponderService
from alertgraph.services.rules import EscalationRuleService
from alertgraph.services.schedules import ScheduleService
from alertgraph.services.silences import SilenceService
from alertgraph.services.streams import StreamService
from alertgraph.settings import read_settings
from alertgraph.storage.configuration import PostgresConfiguration
from alertgraph.storage.database import Database
from alertgraph.storage.deliveries import PostgresDeliveries
from alertgraph.storage.learning import PREDICTOR, PostgresLearningReports
from alertgraph.storage.log import PostgresLog
from alertgraph.storage.monitors import PostgresMonitors
from alertgraph.storage.notify import PostgresWakeups
from alertgraph.storage.search import PostgresSearchIndex
from alertgraph.storage.secrets import MasterKey, PostgresVault
from alertgraph.storage.snapshot import PostgresSnapshotSource
from alertgraph.storage.tenants import TenantRegistry
from resolvers.context import Context, Services
from resolvers.schema import schema

MADE_UP = "notificationPreview"
"""Whoever asks for this gets another alert each time."""

MASTER_KEY = MasterKey(bytes(range(32)))


class Api:
    """Runs documents as whoever a test wants to be."""

    def __init__(self, url: str, database: Database) -> None:
        self.clock = SystemClock()
        dice, telemetry = SystemDice(), Telemetry()
        log, memory = PostgresLog(database), OpenAlerts()
        self.vault = PostgresVault(database, MASTER_KEY)
        self.snapshots = PostgresSnapshotSource(database)
        self.registry = TenantRegistry(url, MASTER_KEY)
        wakeups = PostgresWakeups(url, self.clock, dice, telemetry)
        self.streams = StreamService(log, wakeups, self.clock, telemetry, lambda *_: None)
        self.lanes = Lanes(
            log, memory, self.clock, dice, telemetry, self.streams.offer, lambda _: None, level_max=5
        )
        self.indexing = IndexingService(PostgresSearchIndex(database), self.clock, telemetry)
        self.store = store = PostgresConfiguration(database, lambda: UUID(int=dice.bits(128)))
        changes = CatalogChanges(store, self.vault, self.clock, dice, self.streams.changed)
        self.deliveries = PostgresDeliveries(database)
        guard = Guard(allow_private=True)
        self.poster = HttpPoster(guard, self.clock)
        adapters: dict[ChannelKind, Adapter] = {
            ChannelKind.SLACK: SlackAdapter(self.poster),
            ChannelKind.TEAMS: TeamsAdapter(self.poster),
            ChannelKind.PAGERDUTY: PagerDutyAdapter(self.poster),
            ChannelKind.WEBHOOK: WebhookAdapter(self.poster),
            ChannelKind.EMAIL: EmailAdapter(None, "alertgraph <alerts@example.com>"),
        }
        notifier = ChannelNotifier(adapters, guard, telemetry)
        self.monitors = PostgresMonitors(database)
        self.services = Services(
            AlertService(self.lanes, log, self.snapshots, self.vault, self.clock, dice),
            ConfigurationService(store, self.clock, dice, MASTER_KEY.digest, self.streams.changed),
            self.streams,
            MetricsFeed(self.streams, self.snapshots, self.clock),
            EscalationRuleService(changes, level_count_max=5),
            InhibitionService(changes),
            SilenceService(changes),
            MonitorService(changes, self.monitors, self.snapshots, self.lanes, self.clock, dice),
            ResponderService(changes, self.vault),
            ScheduleService(changes, self.vault),
            ChannelService(changes, self.vault, dice, notifier, self.deliveries),
            CalendarFeeds(log, self.snapshots, self.clock, MASTER_KEY.sign_calendar, "https://alerts.example.com"),
            IncidentService(self.lanes, log, self.snapshots, self.vault, self.clock, dice),
            DependencyService(store, self.clock, self.streams.changed),
            AnomalyRuleService(changes),
            AdviceService(
                Learning(
                    read_settings({"CRITICAL_ALERT_ML_ENABLED": "false"}),
                    "api",
                    PostgresLearningReports(database, PREDICTOR),
                    MASTER_KEY.predictor_token,
                    self.clock,
                    dice,
                    telemetry,
                ),
                NoPredictor(),
            ),
        )
        self.masked: list[BaseException] = []
        self.executor = GraphQLExecutor(schema, report=lambda error, _: self.masked.append(error))

    async def tenant(self, name: str = "acme") -> Tenant:
        """Return a new tenant, whose slug begins with its name and is nobody else's."""
        tenant_id = TenantId(uuid7(self.clock.now(), int.from_bytes(os.urandom(10), "big")))
        tenant = Tenant(tenant_id, f"{name}-{token_hex(6)}", name.title(), Tier.STANDARD)
        await self.registry.create(tenant)
        return tenant

    async def run(self, principal: Principal, document: str, **variables: object) -> dict[str, Any]:
        """Return the whole answer to a document; nothing may be masked, and graphql-core must say the same."""
        request = GraphQLRequest(document, None, variables)
        prepared = self.executor.prepare(request)
        async with self._context(principal) as context:
            answer = await self.executor.execute(prepared, context, "request-1")
            if prepared.plan is not None and prepared.type is OperationType.QUERY and MADE_UP not in document:
                without = replace(self.executor.prepare(request), plan=None)
                expected = await self.executor.execute(without, context, "request-1")
                # Of errors below the same null, graphql-core may tell more.
                assert (answer.payload["data"], answer.code) == (
                    orjson.loads(expected.encode())["data"],
                    expected.code,
                )
        assert self.masked == [], self.masked
        return dict(answer.payload)

    async def data(self, principal: Principal, document: str, **variables: object) -> dict[str, Any]:
        """Return the data of a document that must succeed."""
        payload = await self.run(principal, document, **variables)
        assert "errors" not in payload, payload["errors"]
        data: dict[str, Any] = payload["data"]
        return data

    async def codes(self, principal: Principal, document: str, **variables: object) -> list[str]:
        """Return the codes of a document's errors."""
        payload = await self.run(principal, document, **variables)
        return [error["extensions"]["code"] for error in payload.get("errors", ())]

    async def follow(
        self, principal: Principal, document: str, **variables: object
    ) -> AsyncGenerator[tuple[dict[str, Any], str | None], None]:
        """Yield the answers of a subscription, each with where it can be resumed."""
        prepared = self.executor.prepare(GraphQLRequest(document, None, variables))
        answers = self.executor.subscribe(prepared, lambda: self._context(principal, is_live=True), "request-1")
        async with aclosing(answers):
            async for answer in answers:
                yield dict(answer.payload), answer.cursor

    @asynccontextmanager
    async def _context(self, principal: Principal, *, is_live: bool = False) -> AsyncIterator[Context]:
        budget = Budget(1, 1000, 999, self.clock.now() + timedelta(minutes=1))
        async with self.snapshots.snapshot(principal.tenant.id) as snapshot:
            reading = Reading(snapshot, principal, self.clock, self.vault)
            yield Context(principal, "request-1", reading, self.services, budget, is_live)


@asynccontextmanager
async def an_api(url: str) -> AsyncIterator[Api]:
    """Yield an API on a migrated database."""
    database = await Database.connect(url)
    try:
        async with an_api_on(url, database) as api:
            yield api
    finally:
        await database.close()


@asynccontextmanager
async def an_api_on(url: str, database: Database) -> AsyncIterator[Api]:
    """Yield an API on a database that is connected to already."""
    async with AsyncExitStack() as resources:
        api = Api(url, database)
        resources.push_async_callback(api.poster.aclose)
        resources.push_async_callback(api.lanes.drain)
        yield api


def a_caller(tenant: Tenant, role: Role, name: str = "", *scope: Matcher) -> Principal:
    """Return somebody of a tenant with a role."""
    name = name or f"{role.name.lower()} key"
    return Principal(
        tenant, role, f"key:{name}", Actor(ActorKind.API_KEY, name, f"key:{name}"), scope=scope, name=name
    )


def scoped(caller: Principal, *scope: Matcher) -> Principal:
    """Return the same caller, who sees and sends only alerts that match."""
    return replace(caller, scope=scope)
