"""The part of a process that tells people: the engine, the deliveries, and what they are set up by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

from starlette.routing import BaseRoute

from alertgraph.core.event import EventKind
from alertgraph.core.ids import ChannelId, TenantId
from alertgraph.core.message import SendResult
from alertgraph.edge import calendars
from alertgraph.edge.act import act_routes
from alertgraph.edge.gate import Gate
from alertgraph.edge.slack_actions import Replies, slack_routes
from alertgraph.edge.telemetry import Telemetry
from alertgraph.services.alerts import AlertService
from alertgraph.services.anomaly_rules import AnomalyRuleService
from alertgraph.services.break_glass import BreakGlass
from alertgraph.services.calendars import CalendarFeeds
from alertgraph.services.catalog_changes import CatalogChanges
from alertgraph.services.channels import ChannelService
from alertgraph.services.chat_actions import ChatActionService
from alertgraph.services.dead_man import DeadMan
from alertgraph.services.deliveries import DeliveryService
from alertgraph.services.engine import Engine
from alertgraph.services.inhibitions import InhibitionService
from alertgraph.services.lanes import Lanes
from alertgraph.services.messages import MessageMaker
from alertgraph.services.monitors import MonitorService, MonitorWatch
from alertgraph.services.open_alerts import OpenAlerts
from alertgraph.services.ports import (
    Clock,
    CommittedEvents,
    Configuration,
    DeadManTurns,
    Deliveries,
    Dice,
    DueWork,
    Monitors,
    NoiseBook,
    Notifier,
    SnapshotSource,
    TenantLog,
    Vault,
    Wakeups,
)
from alertgraph.services.responders import ResponderService
from alertgraph.services.rules import EscalationRuleService
from alertgraph.services.schedules import ScheduleService
from alertgraph.services.silences import SilenceEnds, SilenceService
from alertgraph.settings import Settings

MONITORS_EVERY = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class PagerStores:
    """What those who page keep things in, and what they speak through.

    Attributes:
        break_glass: Makes one attempt to tell the operator where the database is away; None where it is not set.
        host: What the operator calls this machine.
        replies: Answers a chat's interactions.
        action_key: Signs what buttons and links may do.
        sign_calendar: Signs the addresses of calendar feeds.
    """

    log: TenantLog
    snapshots: SnapshotSource
    vault: Vault
    configuration: Configuration
    due: DueWork
    deliveries: Deliveries
    monitors: Monitors
    dead_man: DeadManTurns
    notifier: Notifier
    noise: NoiseBook
    break_glass: Callable[[bytes], Awaitable[SendResult]] | None
    host: str
    replies: Replies
    action_key: bytes
    sign_calendar: Callable[[bytes], bytes]


class Pager:
    """Builds and runs everything between a decision and the person it concerns.

    Args:
        changed: Called after each change of what is set up, with the tenant and the number its log ends at.
    """

    def __init__(
        self,
        settings: Settings,
        stores: PagerStores,
        lanes: Lanes,
        memory: OpenAlerts,
        clock: Clock,
        dice: Dice,
        telemetry: Telemetry,
        changed: Callable[[TenantId, int], None],
    ) -> None:
        self._stores = stores
        self._clock = clock
        self._dice = dice
        self._telemetry = telemetry
        self._memory = memory
        changes = CatalogChanges(stores.configuration, stores.vault, clock, dice, changed)
        self.rules = EscalationRuleService(changes, level_count_max=settings.max_escalation_levels)
        self.inhibitions = InhibitionService(changes)
        self.anomaly_rules = AnomalyRuleService(changes)
        self.silences = SilenceService(changes)
        self._silence_ends = SilenceEnds(changes, stores.snapshots, clock, telemetry)
        self.monitors = MonitorService(changes, stores.monitors, stores.snapshots, lanes, clock, dice)
        self.responders = ResponderService(changes, stores.vault)
        self.schedules = ScheduleService(changes, stores.vault)
        self.channels = ChannelService(changes, stores.vault, dice, stores.notifier, stores.deliveries)
        self.calendars = CalendarFeeds(
            stores.log, stores.snapshots, clock, stores.sign_calendar, settings.public_url
        )
        self._break_glass = BreakGlass(stores.break_glass, stores.host, clock, telemetry)
        self.engine = Engine(
            stores.due, lanes, memory, clock, dice, telemetry, self._break_glass.worked, noise=stores.noise
        )
        messages = MessageMaker(stores.snapshots, stores.deliveries, stores.action_key, settings.public_url)
        self.deliveries = DeliveryService(
            stores.deliveries,
            lanes,
            stores.notifier,
            messages,
            stores.vault,
            clock,
            dice,
            telemetry,
            self._gone,
        )
        self._watch = MonitorWatch(stores.monitors, stores.snapshots, lanes, clock, dice, telemetry)
        self._dead_man = DeadMan(
            stores.dead_man,
            stores.snapshots,
            stores.notifier,
            self.channels.secrets,
            clock,
            dice,
            telemetry,
            lambda: self._break_glass.works,
            self._gone,
        )
        telemetry.watch(
            "alertgraph_engine_silence_seconds",
            "How long the database has not answered this process's engine.",
            self._break_glass.silent_seconds,
        )
        telemetry.watch(
            "alertgraph_deliveries_under_way",
            "Messages on their way to a provider.",
            lambda: float(self.deliveries.under_way_count),
        )

    def loops(self, wakeups: Wakeups) -> Sequence[Coroutine[Any, Any, Any]]:
        """Return the work that nobody asks for."""
        return (
            self.engine.run(),
            self.engine.heed(wakeups),
            self.deliveries.run(),
            self._watch_monitors(),
            self._dead_man.run(),
            self._break_glass.run(),
        )

    def routes(self, gate: Gate, alerts: AlertService) -> list[BaseRoute]:
        """Return what people and chats act through without the API."""
        stores = self._stores
        actions = ChatActionService(alerts, stores.snapshots, stores.vault, self.silences.silence_alert)
        return [
            *act_routes(gate, actions, stores.action_key, self._dice),
            *slack_routes(
                gate, actions, stores.action_key, actions.signing_secret, stores.replies, self._telemetry
            ),
            *calendars.routes(self.calendars),
        ]

    def committed(self, committed: CommittedEvents) -> None:
        """Learn what this process has just written: the end of an alert may end a silence, or set others free."""
        memory = self._memory.get(committed.tenant_id)
        config = memory.config if memory is not None else None
        self._silence_ends.hear(committed.tenant_id, config, committed.events)
        if memory is None or not memory.config.catalog.inhibitions:
            return
        if any(stored.event.kind is EventKind.RESOLVED for stored in committed.events):
            self.engine.freed(committed.tenant_id)

    async def settle(self) -> None:
        """Return once what is on its way has arrived or failed."""
        await self._silence_ends.settle()
        await self.deliveries.settle()
        await self._dead_man.settle()

    async def _gone(self, tenant_id: TenantId, channel_id: ChannelId) -> None:
        async with self._stores.snapshots.snapshot(tenant_id) as snapshot:
            tenant = await snapshot.tenant()
        await self.channels.disable(tenant, channel_id)

    async def _watch_monitors(self) -> NoReturn:
        while True:
            try:
                await self._watch.turn()
            except Exception as error:  # noqa: BLE001  (the loop outlives any failure)
                self._telemetry.failed("heartbeat watch", error)
            await self._clock.sleep(MONITORS_EVERY)
