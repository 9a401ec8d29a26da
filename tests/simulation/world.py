"""A small world on a virtual clock: real services on stores in memory, with everything that may go wrong."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from alertgraph.core.action import Action
from alertgraph.core.actor import Actor
from alertgraph.core.batch import Request
from alertgraph.core.channel import Channel, ChannelKind, WebhookPreset
from alertgraph.core.flush import TenantConfig
from alertgraph.core.ids import AlertId, ChannelId, TenantId, uuid7
from alertgraph.core.message import Message, Rendered, SendResult
from alertgraph.services.deliveries import DeliveryService
from alertgraph.services.engine import Engine
from alertgraph.services.lanes import Lanes
from alertgraph.services.messages import MessageMaker
from alertgraph.services.open_alerts import OpenAlerts
from tests.factories import ADA, SENDER, T0, TENANT
from tests.memory_log import MemoryLog, no_pause, random_pauses
from tests.memory_noise import MemoryNoiseBook
from tests.memory_pager import MemoryDeliveries, MemoryDue, MemorySnapshots, Outage
from tests.memory_vault import MemoryVault
from tests.virtual import SeededDice, VirtualClock

Weather = Callable[[Channel, int], tuple[str, timedelta]]
"""What a provider does with an attempt: ok, error, refuse or lost, and how long that takes."""


@dataclass(frozen=True, slots=True)
class Send:
    """One message as a provider met it."""

    at: datetime
    channel_id: ChannelId
    message: Message
    fate: str


class Watcher:
    """Remembers what an operator would see."""

    def __init__(self) -> None:
        self.failures: list[tuple[str, BaseException]] = []

    def flushed(self, *, commands: int, events: int, seconds: float, outcome: str) -> None: ...

    def queued(self, seconds: float) -> None: ...

    def streamed(self, *, events: int, source: str) -> None: ...

    def judged(self, *, alerts: int, late_seconds: float) -> None: ...

    def held_as_noise(self, *, alerts: int) -> None: ...

    def noise_disarmed(self, tenant_id: TenantId, regret: timedelta) -> None: ...

    def delivered(self, *, kind: str, outcome: str, seconds: float, late_seconds: float, first: bool) -> None: ...

    def failed(self, part: str, error: BaseException) -> None:
        self.failures.append((part, error))


class Providers:
    """Plays everybody at the other end; remembers what arrived, also of attempts nobody heard the answer of."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.weather: Weather = lambda channel, number: ("ok", timedelta(0))
        self.sends: list[Send] = []

    async def send(
        self, channel: Channel, secrets: Mapping[str, str], address: str | None, message: Message
    ) -> SendResult:
        """Take a message, or not."""
        number = sum(send.channel_id == channel.id for send in self.sends)
        fate, takes = self.weather(channel, number)
        self.sends.append(Send(self._clock.now(), channel.id, message, fate))
        if takes:
            await self._clock.sleep(takes)
        match fate:
            case "ok":
                return SendResult(True, 200)
            case "error":
                return SendResult(False, 500, "HTTP 500", retryable=True)
            case "busy":
                return SendResult(False, 429, "HTTP 429", retryable=True, retry_after=timedelta(seconds=3))
            case "refuse":
                return SendResult(False, 400, "HTTP 400")
            case _:
                await self._clock.sleep(timedelta(days=1))
                raise AssertionError("whoever waits that long has no time limit")

    def render(self, channel: Channel, message: Message) -> Rendered:
        """Render nothing."""
        raise NotImplementedError

    def check_template(self, kind: ChannelKind, preset: WebhookPreset | None, template: str) -> None:
        """Check nothing."""

    async def check_url(self, url: str, *path: str) -> None:
        """Check nothing."""


class Process:
    """One process: its own memory, lanes, engine and sender over stores that all share."""

    def __init__(self, world: World, number: int) -> None:
        self.watcher = Watcher()
        self.memory = OpenAlerts()
        dice = SeededDice(world.dice.getrandbits(32))
        self.lanes = Lanes(
            world.log,
            self.memory,
            world.clock,
            dice,
            self.watcher,
            self._committed,
            self._scheduled,
            posted=self._posted,
            width=2,
        )
        self.engine = Engine(
            world.due, self.lanes, self.memory, world.clock, dice, self.watcher, noise=world.noise
        )
        self.deliveries = DeliveryService(
            world.deliveries,
            self.lanes,
            world.providers,
            MessageMaker(world.snapshots, world.deliveries, bytes(32), None),
            world.vault,
            world.clock,
            dice,
            self.watcher,
            self._gone,
        )
        self._world = world
        self._dice = dice
        self.number = number
        self.tasks: set[asyncio.Task[Any]] = set()
        self.spawn(self.engine.run())
        self.spawn(self.deliveries.run())

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Have something done for as long as the process lives."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._world.broken.append(task.exception())  # type: ignore[arg-type]

    def crash(self) -> None:
        """End at once, in the middle of whatever is under way."""
        for task in (*self.tasks, *self.lanes._flushes, *self.deliveries._sends):
            task.cancel()

    def _committed(self, committed: object) -> None: ...

    def _scheduled(self, at: datetime) -> None:
        if not self._world.loses_hint():
            self.engine.schedule(at)

    def _posted(self, at: datetime) -> None:
        if not self._world.loses_hint():
            self.deliveries.schedule(at)

    async def _gone(self, tenant_id: TenantId, channel_id: ChannelId) -> None: ...


@dataclass(slots=True)
class World:
    """Everything, and the one clock it runs by.

    Attributes:
        hint_loss: How likely a wake-up is lost.
        broken: What ended a loop that should outlive any failure.
    """

    config: TenantConfig
    seed: int = 0
    start: datetime = T0
    hint_loss: float = 0.0
    rough: bool = False
    dice: random.Random = field(init=False)
    clock: VirtualClock = field(init=False)
    log: MemoryLog = field(init=False)
    outage: Outage = field(init=False)
    due: MemoryDue = field(init=False)
    deliveries: MemoryDeliveries = field(init=False)
    snapshots: MemorySnapshots = field(init=False)
    providers: Providers = field(init=False)
    vault: MemoryVault = field(init=False)
    noise: MemoryNoiseBook = field(init=False)
    processes: list[Process] = field(default_factory=list)
    broken: list[BaseException] = field(default_factory=list)
    _count: int = 0

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.clock = VirtualClock(self.start)
        self.log = MemoryLog(self.clock, TENANT)
        self.log.tenants[TENANT].config = self.config
        self.log.pause = random_pauses(random.Random(self.seed), 2) if self.rough else no_pause
        self.outage = Outage()
        self.due = MemoryDue(self.log, self.outage)
        self.deliveries = MemoryDeliveries(self.log, self.outage)
        self.snapshots = MemorySnapshots(self.log, self.outage)
        self.providers = Providers(self.clock)
        self.vault = MemoryVault()
        self.noise = MemoryNoiseBook(self.log, self.outage)

    def loses_hint(self) -> bool:
        """Say whether the next wake-up is lost."""
        return self.hint_loss > 0 and self.dice.random() < self.hint_loss

    def boot(self) -> Process:
        """Start a process."""
        process = Process(self, len(self.processes))
        self.processes.append(process)
        return process

    def kill(self, process: Process) -> None:
        """Kill a process in the middle of whatever it does."""
        self.processes.remove(process)
        process.crash()

    def act(self, *actions: Action, by_person: bool = False, actor: Actor = SENDER) -> None:
        """Have one of the processes carry out what somebody asks for; whether it was done, the log tells."""
        process = self.dice.choice(self.processes)
        ids = tuple(AlertId(uuid7(self.clock.now(), self.dice.getrandbits(80))) for _ in actions)
        process.spawn(self._asked(process, Request(actions, ids, ADA if by_person else actor)))

    async def _asked(self, process: Process, request: Request) -> None:
        with contextlib.suppress(Exception):
            await process.lanes.submit(TENANT, request)

    async def settle(self) -> None:
        """Return once everybody waits for the clock."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)
        for _ in range(200_000):
            if not loop._ready:  # type: ignore[attr-defined]
                return
            await asyncio.sleep(0)
        raise AssertionError("something goes round in a circle while time stands still")

    async def run_until(self, at: datetime) -> None:
        """Let time pass, from one moment at which something happens to the next."""
        await self.settle()
        while (wake_at := self.clock.next_wake_at()) is not None and wake_at <= at:
            self.clock.advance(wake_at - self.clock.now())
            await self.settle()
        self.clock.advance(at - self.clock.now())
        await self.settle()

    async def end(self) -> None:
        """End every process in order."""
        for process in self.processes:
            process.crash()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def a_uuid(number: int) -> UUID:
    """Return an id of something that is set up."""
    return UUID(int=number)
