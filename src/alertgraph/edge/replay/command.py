"""`alertgraph replay`: what two people on call are told, with learning and without, side by side."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import mean, median
from typing import Any
from uuid import UUID

import orjson

from alertgraph.core.action import Action, Clear, Fire
from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.alert import Draft
from alertgraph.core.batch import Outcome, Request
from alertgraph.core.catalog import Item
from alertgraph.core.channel import Channel, ChannelKind, TeamsConfig
from alertgraph.core.ids import AlertId, ChannelId, RuleId, TenantId, uuid7
from alertgraph.core.noise import NoiseFigures, NoiseMode, NoiseRules
from alertgraph.core.rule import ChannelTarget, EscalationRule, Level
from alertgraph.core.severity import Severity
from alertgraph.core.tenant import TenantSettings
from alertgraph.core.tier import Tier
from alertgraph.core.value import replace
from alertgraph.edge.clock import SystemClock
from alertgraph.edge.installation import StartError, database_at, master_key, new_tenant
from alertgraph.edge.models import model_path
from alertgraph.edge.replay.clock import ReplayClock, ReplayLoop, run
from alertgraph.edge.replay.people import MODEL, OnCall, Truth
from alertgraph.edge.replay.sets import SETS, ReplaySet, Said
from alertgraph.edge.telemetry import Telemetry, configure_logging
from alertgraph.notify.guard import Guard
from alertgraph.notify.notifier import ChannelNotifier
from alertgraph.services.correlation import CorrelationReader
from alertgraph.services.deliveries import DeliveryService
from alertgraph.services.engine import Engine
from alertgraph.services.following import Reader, Reading
from alertgraph.services.lanes import Lanes
from alertgraph.services.messages import MessageMaker
from alertgraph.services.noise import NoiseReader
from alertgraph.services.open_alerts import OpenAlerts
from alertgraph.services.ports import CommittedEvents
from alertgraph.settings import Settings, read_settings
from alertgraph.storage.alert_links import PostgresAlertLinks
from alertgraph.storage.catalog import write_items, write_settings
from alertgraph.storage.configuration import PostgresConfiguration
from alertgraph.storage.database import Connection, Database, owner_connection
from alertgraph.storage.deliveries import PostgresDeliveries
from alertgraph.storage.due import PostgresDueWork
from alertgraph.storage.log import PostgresLog
from alertgraph.storage.migrate import upgrade
from alertgraph.storage.noise import PostgresNoiseBook
from alertgraph.storage.secrets import MasterKey, PostgresVault
from alertgraph.storage.snapshot import PostgresSnapshotSource
from alertgraph.storage.tenants import TenantRegistry

POLL_EVERY = timedelta(hours=1)
"""A net that nothing falls into where all is one process: at five seconds it would be most of the work."""
TICK_EVERY = timedelta(seconds=10)
SAID_EVERY = 10.0
"""Seconds of ours between lines on how far it is."""
WITHOUT, WITH = "without", "with"
SECOND_AFTER = timedelta(minutes=10)
AFTERWARDS = timedelta(hours=2)
SENDER = Actor(ActorKind.SENDER, "replay")
PERSON = Actor(ActorKind.PERSON, "on call", "replay")

DEFINITIONS = {
    "true_incidents": "true incidents whose first alert came in the scored part",
    "reached": "of these, how many somebody acknowledged an alert of",
    "minutes_to_person": "from the first alert of a true incident to the first acknowledgement of one of its "
    "alerts by who is on call, median over those reached",
    "minutes_to_person_mean": "the same, mean",
    "mttr_minutes": "from the first alert of a true incident until somebody had mended it, mean over those mended",
    "alerts": "alerts that the service opened in the scored part",
    "notifications": "messages to people in the scored part; a storm told in one message is one",
    "notifications_per_true_incident": "the same, by true incident that was reached",
    "alerts_paged": "alerts that people were told of",
    "false_positives": "of these, how many nobody was needed for",
    "pages_per_true_incident": "alerts people were told of, by true incident that was reached",
    "held": "pages held as likely noise in the last 30 days of the replay",
    "held_wrongly": "of these, how many were wrong holds as docs/noise.md counts them",
    "regret_minutes": "time lost by those",
    "still_armed": "whether holding had not switched itself off by the end",
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of one run; `DEFINITIONS` says what each figure is."""

    true_incidents: int
    reached: int
    minutes_to_person: float | None
    minutes_to_person_mean: float | None
    mttr_minutes: float | None
    alerts: int
    notifications: int
    notifications_per_true_incident: float | None
    alerts_paged: int
    false_positives: int
    pages_per_true_incident: float | None
    held: int
    held_wrongly: int
    regret_minutes: float
    still_armed: bool


@dataclass(frozen=True, slots=True)
class Options:
    """How a set is replayed.

    Attributes:
        days: Of the set.
        warm_share: The part of these from which nothing is scored, with learning and without.
        noise: What the learning tenant has asked for; `armed_at` is set when it begins.
        model: The file of the model that predicts; None where there is none.
    """

    days: float
    warm_share: float
    seed: int
    noise: NoiseRules
    model: Path | None = None


class ReplayError(Exception):
    """A run failed; whoever carried it out has said why."""


async def _train_nothing(_: TenantId) -> None:
    """Leave the model as it is given: what it learns besides are its tenant's rates and calibration."""


class _Dice:
    """Chance that comes out the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  (a replay is to be repeated)

    def bits(self, count: int) -> int:
        """Return that many bits."""
        return self._random.getrandbits(count)

    def fraction(self) -> float:
        """Return a number from 0 to 1, 1 not included."""
        return self._random.random()


class _Run:
    """One tenant's replay: the service's own lanes, engine, deliveries and readings on the replay's clock."""

    def __init__(
        self,
        database: Database,
        vault: PostgresVault,
        tenant_id: TenantId,
        channels: Sequence[Channel],
        clock: ReplayClock,
        options: Options,
        key: MasterKey,
    ) -> None:
        telemetry = Telemetry()
        dice = _Dice(options.seed)
        self._tenant_id = tenant_id
        self._clock = clock
        self._dice = dice
        self._options = options
        self.truth = Truth()
        self.opened: dict[AlertId, datetime] = {}
        memory = OpenAlerts()
        log, snapshots = PostgresLog(database), PostgresSnapshotSource(database)
        configuration = PostgresConfiguration(database, lambda: UUID(int=dice.bits(128)))
        self.book = PostgresNoiseBook(database)
        self.log = log
        self._lanes = Lanes(
            log,
            memory,
            clock,
            dice,
            telemetry,
            self._committed,
            self._scheduled,
            posted=self._posted,
        )
        self._engine = Engine(
            PostgresDueWork(database),
            self._lanes,
            memory,
            clock,
            dice,
            telemetry,
            noise=self.book,
            poll_every=POLL_EVERY,
        )
        other = ChannelNotifier({}, Guard(allow_private=False), telemetry)
        self._on_call = OnCall(self.truth, clock, self._react, [one.id for one in channels], other)
        store = PostgresDeliveries(database)
        self._deliveries = DeliveryService(
            store,
            self._lanes,
            self._on_call,
            MessageMaker(snapshots, store, bytes(32), None),
            vault,
            clock,
            dice,
            telemetry,
            self._gone,
            poll_every=POLL_EVERY,
        )
        self._readers: tuple[Reader, ...] = (
            CorrelationReader(self._lanes, log, configuration, snapshots, PostgresAlertLinks(database), clock),
            NoiseReader(self.book, log, configuration, clock, dice, telemetry, self._configured),
        )
        if options.model is not None:
            # What loads torch is loaded where there is a model to be served by it.
            from alertgraph.edge.predictions import predicting

            predictions = predicting(
                options.model, key, database, snapshots, self._lanes, clock, dice, _train_nothing
            )
            self._readers = (predictions, *self._readers)
        self._memory = memory
        self._readings: list[Reading] = []
        self._events: asyncio.Queue[CommittedEvents] = asyncio.Queue()
        self._ticked_at: datetime | None = None
        self._tasks: list[asyncio.Task[Any]] = []

    async def play(self, stream: Sequence[Said], *, learns: bool, say: Callable[[str], None]) -> None:
        """Tell the service everything, in the order and at the times of the stream, and say how far it is."""
        begin = self._clock.now()
        if learns:
            self._readings = [await reader.open(self._tenant_id, None, begin) for reader in self._readers]
        works: list[Coroutine[Any, Any, Any]] = [self._engine.run(), self._deliveries.run(), self._learn()]
        self._tasks = [asyncio.create_task(work) for work in works]
        self._tasks += [asyncio.ensure_future(work) for work in self._on_call.people()]
        try:
            told_at = time.monotonic()
            for number, said in enumerate(stream):
                if time.monotonic() - told_at >= SAID_EVERY:
                    told_at = time.monotonic()
                    day = said.at / timedelta(days=1)
                    say(f"{number:,} of {len(stream):,} messages, day {day:.1f} of {self._options.days:g}")
                await self._clock.sleep_until(begin + said.at)
                await self._tell(said)
            await self._clock.sleep(AFTERWARDS)
            await self._tick()
            for task in self._tasks:
                if task.done():
                    task.result()  # nothing of all this ends by itself
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._deliveries.settle()
            await self._lanes.drain()

    async def _tell(self, said: Said) -> None:
        now = self._clock.now()
        if self._ticked_at is None or now - self._ticked_at >= TICK_EVERY:
            await self._tick()
        if said.ends:
            await self._submit(Clear(said.key, now), actor=SENDER)
            return
        if said.incident is not None:
            self.truth.began_at.setdefault(said.incident, now)
        draft = Draft(
            said.title, Severity.HIGH, SENDER.name, monitored_service=said.service, dedup_key=said.key, labels={}
        )
        [outcome] = await self._submit(Fire(draft), actor=SENDER)
        alert = outcome.alert
        assert alert is not None, f"what a set says can be sent: {outcome.problem}"
        if alert.id not in self.opened:
            self.opened[alert.id] = now
        if said.incident is not None or alert.id not in self.truth.incident_of:
            self.truth.incident_of[alert.id] = said.incident

    async def _submit(self, *actions: Action, actor: Actor) -> Sequence[Outcome]:
        now = self._clock.now()
        ids = tuple(AlertId(uuid7(now, self._dice.bits(74))) for _ in actions)
        return await self._lanes.submit(self._tenant_id, Request(actions, ids, actor))

    async def _react(self, actions: Sequence[Action]) -> None:
        if actions:
            await self._submit(*actions, actor=PERSON)

    async def _tick(self) -> None:
        """Let who learns do what time asks for, before the next alert comes: that is when it matters."""
        self._ticked_at = self._clock.now()
        await self._events.join()
        for reading in self._readings:
            await reading.tick(self._ticked_at)

    async def _learn(self) -> None:
        while True:
            committed = await self._events.get()
            for reading in self._readings:
                await reading.take(committed.events)
            self._events.task_done()

    def _committed(self, committed: CommittedEvents) -> None:
        # The database has a clock of its own; here it is as late as it is in the replay.
        now = self._clock.now()
        events = [replace(stored, recorded_at=now) for stored in committed.events]
        for stored in events:
            self._on_call.hear(stored)
        self._events.put_nowait(CommittedEvents(committed.tenant_id, committed.flush_id, events))

    def _scheduled(self, at: datetime) -> None:
        self._engine.schedule(at)

    def _posted(self, at: datetime) -> None:
        self._deliveries.schedule(at)

    def _configured(self, tenant_id: TenantId, _: int) -> None:
        self._memory.drop(tenant_id)
        self._engine.configured()

    async def _gone(self, tenant_id: TenantId, channel_id: ChannelId) -> None:
        raise AssertionError(f"nobody is gone in a replay: {tenant_id}, {channel_id}")


def _set_up(resolve_timeout: timedelta, noise: NoiseRules, *, learns: bool) -> tuple[TenantSettings, list[Item]]:
    """Return what the tenant of a replay has set up: a ladder of two people for every alert."""
    channels = [
        Channel(
            ChannelId(UUID(int=number)),
            f"person {number}",
            ChannelKind.TEAMS,
            TeamsConfig("https://replay.invalid"),
        )
        for number in (1, 2)
    ]
    levels = (
        Level(SECOND_AFTER, (ChannelTarget(channels[0].id),)),
        Level(timedelta(minutes=30), (ChannelTarget(channels[1].id),)),
    )
    rule = EscalationRule(RuleId(UUID(int=3)), "everything", 1, levels)
    settings = TenantSettings(resolve_timeout=resolve_timeout)
    if learns:
        settings = replace(settings, noise=noise, correlation_enabled=True)
    return settings, [rule, *channels]


async def _replayed(
    loop: ReplayLoop,
    settings: Settings,
    url: str,
    the_set: ReplaySet,
    stream: Sequence[Said],
    options: Options,
    run_name: str,
    say: Callable[[str], None],
) -> Figures:
    key = master_key(settings)
    async with owner_connection(url) as owner:
        # What is thrown away need not outlive a failure of the machine.
        await owner.execute("SET ROLE NONE")  # the database is the login's
        name = await owner.fetchval("SELECT quote_ident(current_database())")
        await owner.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    database = await Database.connect(url, pool_size=4)
    loop.busy = lambda: database.busy_count > 0
    async with AsyncExitStack() as resources:
        resources.push_async_callback(database.close)
        vault = PostgresVault(database, key)
        await vault.check()
        begin = SystemClock().now()
        learns = run_name == WITH
        tenant = await new_tenant(TenantRegistry(url, key), run_name, run_name, Tier.STANDARD)
        clock = ReplayClock(begin)
        set_up, items = _set_up(the_set.resolve_timeout, replace(options.noise, armed_at=begin), learns=learns)
        channels = [item for item in items if isinstance(item, Channel)]

        async def write(connection: Connection) -> None:
            await write_items(connection, tenant.id, items, 0)
            await write_settings(connection, tenant.id, set_up, 0)

        await database.write(tenant.id, write)
        played = options if learns else replace(options, model=None)
        one = _Run(database, vault, tenant.id, channels, clock, played, key)
        loop.clock = clock
        try:
            await one.play(stream, learns=learns, say=lambda line: say(f"{the_set.name}, {run_name}: {line}"))
        finally:
            loop.clock = None
        since = begin + timedelta(days=options.days) * options.warm_share
        figures = await one.book.figures(tenant.id, clock.now() - timedelta(days=30))
        config = await one.log.config(tenant.id)
        assert config is not None, "it was made above"
        return figures_of(one.truth, one.opened, since, figures, is_armed=config.settings.noise.is_armed)


def figures_of(
    truth: Truth, opened: dict[AlertId, datetime], since: datetime, noise: NoiseFigures, *, is_armed: bool
) -> Figures:
    """Return what came of a run, of what began in the scored part."""
    incidents = [name for name, at in truth.began_at.items() if at >= since]
    waits = [
        _minutes(truth.reached_at[name] - truth.began_at[name]) for name in incidents if name in truth.reached_at
    ]
    mended = [
        _minutes(truth.mended_at[name] - truth.began_at[name]) for name in incidents if name in truth.mended_at
    ]
    paged = [alert_id for alert_id, at in truth.paged_at.items() if at >= since]
    false = [alert_id for alert_id in paged if truth.incident_of.get(alert_id) is None]
    notifications = sum(at >= since for at, _ in truth.messages)
    return Figures(
        true_incidents=len(incidents),
        reached=len(waits),
        minutes_to_person=median(waits) if waits else None,
        minutes_to_person_mean=mean(waits) if waits else None,
        mttr_minutes=mean(mended) if mended else None,
        alerts=sum(at >= since for at in opened.values()),
        notifications=notifications,
        notifications_per_true_incident=notifications / len(waits) if waits else None,
        alerts_paged=len(paged),
        false_positives=len(false),
        pages_per_true_incident=len(paged) / len(waits) if waits else None,
        held=noise.held_count,
        held_wrongly=noise.regret_count,
        regret_minutes=_minutes(noise.regret),
        still_armed=is_armed,
    )


def _minutes(length: timedelta) -> float:
    return round(length / timedelta(minutes=1), 2)


def replay(
    data: Path, name: str, options: Options, run_name: str, say: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Return what came of one run of a set's replay, on an embedded database that is made for it and thrown away.

    Args:
        data: The root of the data sets.
        name: Of the set.
        options: How it is replayed.
        run_name: WITHOUT or WITH.
        say: Takes a line, now and then, on how far it is.

    Raises:
        KeyError: There is no set of that name.
        DataMissingError: Its data are not there.
        AlertGraphError: The database can't run.
    """
    configure_logging("console", "warning")
    the_set = SETS[name]
    stream = list(the_set.read(data, timedelta(days=options.days)))
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="alertgraph-replay-") as folder, contextlib.ExitStack() as resources:
        settings = read_settings({}, data_dir=Path(folder))
        url = resources.enter_context(database_at(settings))
        upgrade(url)
        figures = run(lambda loop: _replayed(loop, settings, url, the_set, stream, options, run_name, say))
    return {
        "set": name,
        "days": options.days,
        "scoredFromDay": options.days * options.warm_share,
        "seed": options.seed,
        "messages": len(stream),
        "seconds": {run_name: round(time.monotonic() - begun, 1)},
        "truth": the_set.truth,
        "people": MODEL,
        "learning": _learning(options),
        "definitions": DEFINITIONS,
        "figures": {run_name: asdict(figures)},
    }


def side_by_side(command: Callable[[str], Sequence[str]]) -> dict[str, Any]:
    """Return what came of both runs of a set, each in a process of its own: neither waits for the other.

    Args:
        command: Returns the words of a process that prints one run's report as JSON.

    Raises:
        ReplayError: One of them failed; it has said why.
    """
    processes = {
        run_name: subprocess.Popen(  # noqa: S603  (ourselves)
            [sys.executable, "-m", "alertgraph", *command(run_name)], stdout=subprocess.PIPE
        )
        for run_name in (WITHOUT, WITH)
    }
    try:
        printed = {run_name: process.communicate()[0] for run_name, process in processes.items()}
    finally:
        for process in processes.values():
            if process.poll() is None:
                process.terminate()
        for process in processes.values():
            process.wait()
    if any(process.returncode for process in processes.values()):
        raise ReplayError
    reports = {run_name: orjson.loads(text)["replays"][0] for run_name, text in printed.items()}
    told: dict[str, Any] = {**reports[WITH]}
    for part in ("figures", "seconds"):
        told[part] = {run_name: report[part][run_name] for run_name, report in reports.items()}
    return told


def _learning(options: Options) -> str:
    noise = options.noise
    model = f"the model {options.model.stem}, not trained anew" if options.model is not None else "no model"
    return (
        f"noiseMode {noise.mode.name}, noiseHoldMax {_minutes(noise.hold_max):g} min, noiseRegretBudget "
        f"{_minutes(noise.regret_budget):g} min, correlation on, {model}"
    )


def lines(told: dict[str, Any]) -> list[str]:
    """Return what came of a replay for a person: each figure with what it means."""
    runs, seconds = list(told["figures"]), max(told["seconds"].values())
    found = [
        f"{told['set']}: {told['days']:g} days, {told['messages']} messages, in {seconds:g} s; "
        f"scored from day {told['scoredFromDay']:g} on",
        f"truth: {told['truth']}",
        f"people: {told['people']}",
        f"with learning: {told['learning']}",
        "",
        " " * 32 + "".join(f"{run_name:>10}" for run_name in runs),
    ]
    for name, meaning in told["definitions"].items():
        shown = "".join(f"{_shown(told['figures'][run_name][name]):>10}" for run_name in runs)
        found.append(f"{name:32}{shown}  {meaning}")
    return found


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def carry_out(
    reports: Iterable[Callable[[], dict[str, Any]]], say: Callable[[str], None], *, as_json: bool
) -> None:
    """Have replays made, one after the other, and tell what came of each.

    Args:
        reports: Each makes one.
        say: Takes a line.
        as_json: One JSON value at the end instead of lines.

    Raises:
        KeyError: There is no set of a name.
        DataMissingError: A set's data are not there.
        ReplayError: A run in a process of its own failed.
    """
    # However it is ended, the database that was made for it goes with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    made = []
    for report in reports:
        told = report()
        made.append(told)
        if not as_json:
            for line in [*lines(told), ""]:
                say(line)
    if as_json:
        say(orjson.dumps({"replays": made}).decode())


def model_installed() -> Path:
    """Return the file of the model that is set.

    Raises:
        StartError: There is none, or what predicts is not installed.
    """
    path = model_path(read_settings())
    if path is None or importlib.util.find_spec("torch") is None:
        raise StartError("There is no model to predict with: pip install 'alertgraph[ml]' brings one.")
    return path


def noise_rules(mode: str, hold_max: timedelta, regret_budget: timedelta) -> NoiseRules:
    """Return what the learning tenant of a replay asks for.

    Raises:
        KeyError: There is no such mode.
    """
    return NoiseRules(NoiseMode[mode], hold_max, regret_budget)
