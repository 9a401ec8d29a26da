"""Everything that runs in one process, from the stores it is given to the routes it serves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from alertgraph.cache.budgets import Budgets
from alertgraph.core.checkpoint import Verify
from alertgraph.core.errors import AlertGraphError
from alertgraph.core.event import CONFIG_KINDS, StoredEvent
from alertgraph.core.ids import TenantId
from alertgraph.edge import health, rest
from alertgraph.edge.console import Console
from alertgraph.edge.documents import TenantDocuments
from alertgraph.edge.doors import Door, GraphQLDoor
from alertgraph.edge.graphiql import GraphiQL
from alertgraph.edge.graphql import GraphQLEventStream, GraphQLHttp, GraphQLService, GraphQLWebSocket
from alertgraph.edge.intake import alertmanager, metrics
from alertgraph.edge.learning import SWITCHED_OFF, Learning
from alertgraph.edge.pager import Pager, PagerStores
from alertgraph.edge.telemetry import Telemetry
from alertgraph.execution.executor import GraphQLExecutor
from alertgraph.services.advice import AdviceService
from alertgraph.services.alerts import AlertService
from alertgraph.services.authentication import Authenticator
from alertgraph.services.configuration import ConfigurationService
from alertgraph.services.dependencies import DependencyService
from alertgraph.services.documents import TrustedDocuments
from alertgraph.services.incidents import IncidentService
from alertgraph.services.indexing import IndexingService, SearchIndex
from alertgraph.services.lanes import Lanes
from alertgraph.services.metric_intake import MetricIntake
from alertgraph.services.metrics_feed import MetricsFeed
from alertgraph.services.open_alerts import OpenAlerts
from alertgraph.services.ports import (
    AuditTrees,
    Clock,
    CommittedEvents,
    Configuration,
    Dice,
    Documents,
    DueWork,
    LearningReports,
    PointFeed,
    Signer,
    SnapshotSource,
    TenantLog,
    Vault,
    Wakeups,
    Witness,
)
from alertgraph.services.sealer import Sealer
from alertgraph.services.streams import StreamService
from alertgraph.services.upkeep import Upkeep
from alertgraph.settings import Settings
from resolvers.context import Services
from resolvers.schema import schema

READINESS_TIMEOUT = timedelta(seconds=2)
SOCKETS_PATH = "/graphql"


@dataclass(frozen=True, slots=True)
class Sealing:
    """What logs are sealed with.

    Attributes:
        signer: Returns the key of a generation.
        verify: Checks a signature.
        witness: Where the newest checkpoints are kept besides.
    """

    trees: AuditTrees
    signer: Callable[[int], Signer]
    verify: Verify
    witness: Witness


@dataclass(frozen=True, slots=True)
class Stores:
    """What the service keeps things in, behind ports.

    Attributes:
        digest: Gives the form in which a key's secret is kept.
        learning: What learning processes say of themselves.
        predictor_token: What they are asked with.
        ping: Returns where the database answers, else raises.
        pager: What those who page use besides.
    """

    log: TenantLog
    snapshots: SnapshotSource
    vault: Vault
    configuration: Configuration
    documents: Documents
    due: DueWork
    search: SearchIndex
    sealing: Sealing
    wakeups: Wakeups
    budgets: Budgets
    points: PointFeed
    digest: Callable[[str], bytes]
    learning: LearningReports
    predictor_token: str
    ping: Callable[[], Awaitable[None]]
    pager: PagerStores


class Service:
    """One process's share of the work.

    Args:
        role: all, api or engine.
        greeting: Lines for the person who started it.
        resources: What it holds, given back at the end.
    """

    def __init__(
        self,
        settings: Settings,
        role: str,
        telemetry: Telemetry,
        clock: Clock,
        dice: Dice,
        stores: Stores,
        upkeep: Upkeep,
        greeting: list[str],
        resources: AsyncExitStack,
    ) -> None:
        self.greeting = greeting
        self._settings = settings
        self._role = role
        self._telemetry = telemetry
        self._stores = stores
        self._upkeep = upkeep
        self._resources = resources
        self._tasks: list[asyncio.Task[Any]] = []
        self._memory = OpenAlerts()
        self._indexing = IndexingService(stores.search, clock, telemetry)
        sealing = stores.sealing
        self._sealer = Sealer(sealing.trees, sealing.signer, sealing.verify, sealing.witness, clock, telemetry)
        self._streams = StreamService(stores.log, stores.wakeups, clock, telemetry, self._appended_elsewhere)
        self._lanes = Lanes(
            stores.log,
            self._memory,
            clock,
            dice,
            telemetry,
            self._committed,
            self._scheduled,
            posted=self._posted,
            level_max=settings.max_escalation_levels,
        )
        self._pager = Pager(
            settings, stores.pager, self._lanes, self._memory, clock, dice, telemetry, self._configured
        )
        self._learning = Learning(settings, role, stores.learning, stores.predictor_token, clock, dice, telemetry)
        self._authenticator = Authenticator(stores.configuration, clock, stores.digest, telemetry)
        self._documents = TrustedDocuments(stores.documents, clock, telemetry)
        services = Services(
            AlertService(self._lanes, stores.log, stores.snapshots, stores.vault, clock, dice),
            ConfigurationService(stores.configuration, clock, dice, stores.digest, self._configured),
            self._streams,
            MetricsFeed(self._streams, stores.snapshots, clock),
            self._pager.rules,
            self._pager.inhibitions,
            self._pager.silences,
            self._pager.monitors,
            self._pager.responders,
            self._pager.schedules,
            self._pager.channels,
            self._pager.calendars,
            IncidentService(self._lanes, stores.log, stores.snapshots, stores.vault, clock, dice),
            DependencyService(stores.configuration, clock, self._configured),
            self._pager.anomaly_rules,
            AdviceService(self._learning, self._learning.predictor),
        )
        self._alerts = services.alerts
        self._door = Door(
            self._authenticator,
            services.alerts,
            services.monitors,
            stores.snapshots,
            stores.vault,
            stores.budgets,
            clock,
            cost_budget=settings.cost_budget,
            started_at=clock.now(),
            ready=self._ready,
        )
        self._intake = MetricIntake(
            stores.points,
            stores.snapshots,
            clock,
            telemetry,
            series_max=settings.metric_series_max,
            why_not=None if settings.ml_enabled else f"Metrics are not watched: {SWITCHED_OFF}.",
        )
        self._executor = GraphQLExecutor(
            schema,
            report=telemetry.masked,
            introspection=settings.introspection,
            compiled_plans=settings.compiled_plans,
            plan_observer=telemetry,
        )
        self.console = Console()
        self._graphql = GraphQLService(
            self._executor,
            GraphQLDoor(self._door, self._authenticator, services),
            observer=telemetry,
            registry=TenantDocuments(self._documents, self.console.document),
        )
        # What is served at SOCKETS_PATH; nothing where the role is to page only.
        self.sockets: ASGIApp | None = None
        if role != "engine":
            self.sockets = GraphQLWebSocket(self._graphql, allowed_origins=settings.origins)
        self._watch()

    def start(self) -> None:
        """Begin the work that nobody asks for."""
        self._run(self._streams.listen(), self._streams.sweep(), self._streams.beat())
        if self._role in ("all", "engine"):
            self._run(
                *self._pager.loops(self._stores.wakeups),
                self._indexing.run(),
                self._upkeep.run(),
                self._sealer.run(),
            )
        self._run(*self._learning.loops())

    async def drain(self) -> None:
        """Tell sockets to go elsewhere, once what they have under way is done."""
        await self._graphql.connections.drain()

    async def close(self) -> None:
        """End: no command that was accepted is lost, and nothing is left running."""
        await self.drain()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # It needs the database, which may be ours to end.
        await self._learning.stop()
        await self._pager.settle()
        await self._lanes.drain()
        # What was written last may have ended a silence.
        await self._pager.settle()
        await self._resources.aclose()

    def routes(self) -> list[BaseRoute]:
        """Return everything that is served over HTTP."""
        routes = health.routes(self._telemetry, self._checks, self._refresh)
        if self._role == "engine":
            return routes
        events = GraphQLEventStream(self._graphql)
        return [
            *routes,
            Route("/graphql", GraphQLHttp(self._graphql, events)),
            Route("/graphql/stream", events),
            *rest.routes(self._door),
            *alertmanager.routes(self._door),
            *metrics.routes(self._door, self._intake),
            *self._pager.routes(self._door, self._alerts),
            *GraphiQL().routes(),
            *self.console.routes(),
        ]

    def _run(self, *loops: Coroutine[Any, Any, Any]) -> None:
        self._tasks += [asyncio.create_task(loop) for loop in loops]

    # ------------------------------------------------------------------------- what has happened

    def _committed(self, committed: CommittedEvents) -> None:
        self._streams.offer(committed)
        self._indexing.hint(committed.tenant_id, len(committed.events))
        self._pager.committed(committed)

    def _scheduled(self, at: datetime) -> None:
        self._pager.engine.schedule(at)

    def _posted(self, at: datetime) -> None:
        self._pager.deliveries.schedule(at)

    def _configured(self, tenant_id: TenantId, number: int) -> None:
        self._authenticator.forget(tenant_id)
        self._documents.forget(tenant_id)
        self._intake.forget(tenant_id)
        self._memory.drop(tenant_id)
        self._streams.changed(tenant_id, number)
        self._pager.engine.configured()

    def _appended_elsewhere(self, tenant_id: TenantId, events: Sequence[StoredEvent]) -> None:
        if any(stored.event.kind in CONFIG_KINDS for stored in events):
            self._authenticator.forget(tenant_id)
            self._documents.forget(tenant_id)
            self._intake.forget(tenant_id)
        memory = self._memory.get(tenant_id)
        if memory is not None:
            for stored in events:
                if stored.event.alert_id is not None:
                    memory.forget_changed(stored.event.alert_id)

    # --------------------------------------------------------------------------------- operator

    async def _ready(self) -> bool:
        return all(fault is None for fault in (await self._checks()).values())

    async def _checks(self) -> Mapping[str, str | None]:
        try:
            async with asyncio.timeout(READINESS_TIMEOUT.total_seconds()):
                await self._stores.ping()
                partitions = await self._upkeep.fault()
        except TimeoutError:
            return {"database": f"no answer within {READINESS_TIMEOUT.total_seconds():g} s"}
        except AlertGraphError as error:
            return {"database": error.message}
        return {"database": None, "partitions": partitions}

    async def _refresh(self) -> bytes:
        """Read the figures that only the database knows; return those of the learning process."""
        try:
            async with asyncio.timeout(READINESS_TIMEOUT.total_seconds()):
                self._open_alerts.set(await self._stores.due.open_alert_count())
                lag = await self._stores.sealing.trees.lag()
                self._unsealed.set(lag.event_count)
                self._refused.set(lag.refused_count)
        except (AlertGraphError, TimeoutError) as error:
            self._telemetry.failed("metrics", error)
        await self._learning.health()
        return await self._learning.figures()

    def _watch(self) -> None:
        telemetry, connections = self._telemetry, self._graphql.connections
        self._open_alerts = telemetry.gauge("alertgraph_open_alerts", "Open alerts of all tenants.")
        self._unsealed = telemetry.gauge(
            "alertgraph_audit_unsealed_events", "Events of all tenants that no signed checkpoint covers yet."
        )
        self._refused = telemetry.gauge(
            "alertgraph_audit_refused_logs",
            "Logs that are not sealed, since they contradict what was signed of them.",
        )
        telemetry.watch(
            "alertgraph_queue_length", "Actions that wait for a flush.", lambda: self._lanes.queue_length
        )
        telemetry.watch(
            "alertgraph_queue_age_seconds",
            "How long the command that waits longest has waited.",
            lambda: self._lanes.oldest_wait().total_seconds(),
        )
        plans = self._executor.plans
        telemetry.watch(
            "alertgraph_graphql_plans_kept", "Compiled plans, and what they know of, kept.", lambda: len(plans)
        )
        telemetry.watch("alertgraph_graphql_plan_bytes", "About what they take in memory.", lambda: plans.weight)
        documents, registered = self._executor.documents, self._documents
        telemetry.watch("alertgraph_graphql_documents_kept", "Parsed documents kept.", lambda: len(documents))
        telemetry.watch(
            "alertgraph_graphql_document_bytes", "About what they take in memory.", lambda: documents.weight
        )
        telemetry.watch(
            "alertgraph_registered_document_bytes",
            "About what the texts of registered documents take in memory, of all tenants.",
            lambda: registered.weight,
        )
        telemetry.watch("alertgraph_websockets", "Open websockets.", lambda: len(connections.sockets))
        telemetry.watch("alertgraph_event_streams", "Open SSE streams.", lambda: len(connections.streams))
        groups = self._graphql.groups
        telemetry.watch(
            "alertgraph_stream_sources",
            "Readings of logs: one for each group of equal subscriptions, and one for each that is alone.",
            lambda: self._streams.follower_count,
        )
        telemetry.watch("alertgraph_stream_groups", "Groups of equal subscriptions.", lambda: groups.group_count)
        telemetry.watch(
            "alertgraph_stream_clients",
            "Subscriptions that are told what happens, in groups and alone.",
            lambda: connections.subscription_count,
        )
        telemetry.count_of(
            "alertgraph_stream_executions_total",
            "Events executed for groups of subscriptions.",
            lambda: groups.figures.executed,
        )
        telemetry.count_of(
            "alertgraph_stream_shared_answers_total",
            "Answers that came of them, to each subscription.",
            lambda: groups.figures.delivered,
        )
        telemetry.watch(
            "alertgraph_wakeups_healthy",
            "1 while hints of other processes arrive; at 0 the sweep alone finds their events.",
            lambda: float(self._stores.wakeups.healthy),
        )
