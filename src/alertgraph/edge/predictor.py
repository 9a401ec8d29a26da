"""The learning process: it follows every tenant's log, and predicts. What knows torch is reached from here alone.

Without the extra `ml` it runs all the same: what needs no model works, and predictions are null with the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import os
import signal
import socket
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import structlog
import uvicorn
from starlette.applications import Starlette

from alertgraph.cache.live_updates import RedisWakeups
from alertgraph.core.errors import AlertGraphError, DependencyError
from alertgraph.core.event import CONFIG_KINDS, StoredEvent
from alertgraph.core.ids import TenantId
from alertgraph.edge import health, rpc
from alertgraph.edge.child import EXIT_AGAIN, force_end_later, parent_watched
from alertgraph.edge.clock import SystemClock, SystemDice
from alertgraph.edge.garbage import collect_seldom
from alertgraph.edge.installation import StartError, database_at, master_key, owner_url
from alertgraph.edge.learning import predictor_url
from alertgraph.edge.learning_figures import LearningFigures
from alertgraph.edge.models import model_path
from alertgraph.edge.telemetry import Telemetry, configure_logging
from alertgraph.services.alert_rates import RateReader
from alertgraph.services.anomalies import AnomalyTeller
from alertgraph.services.correlation import CorrelationReader
from alertgraph.services.following import Follower, Reader
from alertgraph.services.lanes import Lanes
from alertgraph.services.noise import NoiseReader
from alertgraph.services.open_alerts import OpenAlerts
from alertgraph.services.ports import (
    Clock,
    CommittedEvents,
    Dice,
    LearningReport,
    PairScorers,
    Predictor,
    SeriesShards,
    Wakeups,
)
from alertgraph.services.series import SeriesBudget, SeriesReader, WaitingFeeds, Watching
from alertgraph.services.wakeups import LinkedWakeups
from alertgraph.settings import Settings
from alertgraph.storage.alert_links import PostgresAlertLinks
from alertgraph.storage.configuration import PostgresConfiguration
from alertgraph.storage.database import Database
from alertgraph.storage.embedded import attach
from alertgraph.storage.learning import PREDICTOR, PostgresLearningReports, PostgresLearningStates
from alertgraph.storage.log import PostgresLog
from alertgraph.storage.migrate import require_current
from alertgraph.storage.noise import PostgresNoiseBook
from alertgraph.storage.notify import PostgresWakeups
from alertgraph.storage.points import PostgresPoints
from alertgraph.storage.secrets import MasterKey, PostgresVault
from alertgraph.storage.selftest import check_isolation
from alertgraph.storage.snapshot import PostgresSnapshotSource

REPORT_EVERY = timedelta(seconds=3)
EXTRA_EVERY = timedelta(seconds=3)
LISTEN_EVERY = timedelta(seconds=5)
POOL_SIZE = 10
# Series watched in one process, of all tenants, as a multiple of those of one: what bounds its memory.
SERIES_COUNT_FACTOR = 4
# What the extra `ml` brings, by the names of the packages.
EXTRA = ("numpy", "scipy", "scikit-learn", "torch")
WITHOUT_EXTRA = (
    "what predicts is not installed yet: make run brings it by itself, elsewhere pip install 'alertgraph[ml]'"
)


@dataclass(frozen=True, slots=True)
class Parts:
    """What readers are made of.

    Attributes:
        model: The file of the model to begin with; None where there is none.
    """

    settings: Settings
    key: MasterKey
    database: Database
    log: PostgresLog
    snapshots: PostgresSnapshotSource
    vault: PostgresVault
    lanes: Lanes
    memory: OpenAlerts
    clock: Clock
    dice: Dice
    telemetry: Telemetry
    figures: LearningFigures
    model: Path | None


@dataclass(frozen=True, slots=True)
class Learned:
    """What a process learns, and who answers questions about it.

    Attributes:
        predictor: Who answers; None where nobody can.
        why_not: Why no predictions are made; None where they are.
    """

    readers: Sequence[Reader]
    predictor: Predictor | None
    why_not: str | None


def learned(parts: Parts) -> Learned:
    """Return every reader that this process can run: those that need no model, and where it is there the other."""
    readers: list[Reader] = [correlation(parts), noise(parts), *watchers(parts)]
    if not is_installed(*EXTRA):
        return Learned(readers, None, WITHOUT_EXTRA)
    if parts.model is None:
        return Learned(readers, None, "no model is installed")
    # What loads torch is loaded where there is a model to be served by it.
    from alertgraph.edge.predictions import predicting

    predictions = predicting(
        parts.model, parts.key, parts.database, parts.snapshots, parts.lanes, parts.clock, parts.dice
    )
    return Learned([*readers, predictions], predictions, None)


def watchers(parts: Parts) -> Sequence[Reader]:
    """Return who watches series and alert rates; without numpy alert rates alone, and senders are told."""
    shards: SeriesShards | None = None
    if is_installed("numpy"):
        from alertgraph.ml.series import BankShards

        shards = BankShards()
    teller = AnomalyTeller(parts.lanes, parts.snapshots, parts.clock, parts.dice, parts.telemetry)
    buffer = PostgresPoints(parts.database)
    watching = Watching(
        buffer,
        shards,
        teller,
        parts.telemetry,
        parts.clock,
        ThreadPoolExecutor(1, "series"),
        WaitingFeeds(buffer, parts.clock),
        SeriesBudget(SERIES_COUNT_FACTOR * parts.settings.metric_series_max),
        parts.settings.metric_series_max,
    )
    parts.telemetry.watch(
        "alertgraph_series_watched", "Series of metrics that are watched.", lambda: float(watching.budget.count)
    )
    parts.telemetry.watch(
        "alertgraph_series_unwatchable",
        "1 where metrics can't be watched, since numpy is not installed.",
        lambda: float(watching.shards is None),
    )
    return SeriesReader(watching), RateReader(teller)


def correlation(parts: Parts) -> Reader:
    """Return who reads which alerts belong together; it needs no model, and learns one where there is torch."""
    scorers: PairScorers | None = None
    if is_installed(*EXTRA):
        from alertgraph.ml.pair_serving import TorchPairScorers

        scorers = TorchPairScorers()
    configuration = PostgresConfiguration(parts.database, lambda: UUID(int=parts.dice.bits(128)))
    links = PostgresAlertLinks(parts.database)
    return CorrelationReader(parts.lanes, parts.log, configuration, parts.snapshots, links, parts.clock, scorers)


def noise(parts: Parts) -> Reader:
    """Return who reads what may be held as likely noise; it needs no model."""
    configuration = PostgresConfiguration(parts.database, lambda: UUID(int=parts.dice.bits(128)))
    book = PostgresNoiseBook(parts.database)
    return NoiseReader(book, parts.log, configuration, parts.clock, parts.dice, parts.telemetry)


def is_installed(*names: str) -> bool:
    """Say whether all these packages are installed, and no longer being installed."""
    for name in names:
        try:
            installed = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            return False
        # The list of what belongs to a package is written last.
        if installed.read_text("RECORD") is None:
            return False
    return True


def serve_predictor(settings: Settings, *, is_supervised: bool, holder: UUID | None = None) -> int:
    """Follow and predict until told to stop; return the process's exit status.

    Args:
        settings: Of the installation.
        is_supervised: Whether a service runs this process: then it ends with it, and gives way to it.
        holder: Names the process where it comes in place of another, which has ended.

    Raises:
        StartError, AlertGraphError: It can't start; one sentence says what to do.
    """
    if is_supervised:
        parent_watched()
    configure_logging(settings.log_format, settings.log_level, process=PREDICTOR)
    if not settings.ml_enabled:
        raise StartError("Learning is switched off by CRITICAL_ALERT_ML_ENABLED: there is nothing to do.")
    try:
        return asyncio.run(_served(settings, holder or uuid4(), is_supervised=is_supervised))
    except (AlertGraphError, StartError) as error:
        if not is_supervised:
            raise
        # Said in the log, among the lines of the service that runs us.
        structlog.get_logger("alertgraph").error(str(error))
        return 1
    except Exception as error:
        if not is_supervised:
            raise
        structlog.get_logger("alertgraph").error("the learning process failed", exc_info=error)
        return 1


async def _served(settings: Settings, holder: UUID, *, is_supervised: bool) -> int:
    stopping = asyncio.Event()

    def stop() -> None:
        stopping.set()
        threading.Thread(target=force_end_later, name="end", daemon=True).start()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop)
    if not is_supervised:
        loop.add_signal_handler(signal.SIGINT, stop)
    async with AsyncExitStack() as resources:
        process = await _opened(settings, holder, resources)
        collect_seldom()
        return await process.run(stopping)


async def _opened(settings: Settings, holder: UUID, resources: AsyncExitStack) -> LearningProcess:
    telemetry, clock, dice = Telemetry(), SystemClock(), SystemDice()
    key = master_key(settings)
    url = _database_url(settings, resources)
    await require_current(owner_url(settings, url))
    database = await Database.connect(url, pool_size=POOL_SIZE, application_name="alertgraph predictor")
    resources.push_async_callback(database.close)
    await check_isolation(database)
    vault = PostgresVault(database, key)
    await vault.check()
    wakeups = await _wakeups(settings, url, telemetry)
    resources.push_async_callback(wakeups.close)
    return LearningProcess(settings, key, holder, database, vault, wakeups, clock, dice, telemetry)


def _database_url(settings: Settings, resources: AsyncExitStack) -> str:
    """Return where the database is; an embedded one is whose service runs it, and never started here."""
    if settings.database_url is not None:
        return resources.enter_context(database_at(settings))
    embedded = attach(settings.data_dir)
    if embedded is None:
        raise StartError(
            f"No database is running in {settings.data_dir}: start `alertgraph serve` first, or name one with "
            "CRITICAL_ALERT_DATABASE_URL."
        )
    resources.callback(embedded.stop)
    return embedded.url


async def _wakeups(settings: Settings, url: str, telemetry: Telemetry) -> LinkedWakeups:
    clock, dice = SystemClock(), SystemDice()
    wakeups: LinkedWakeups
    if settings.redis_url is None:
        wakeups = PostgresWakeups(url, clock, dice, telemetry)
    else:
        wakeups = RedisWakeups(settings.redis_url.get_secret_value(), clock, dice, telemetry)
    await wakeups.start()
    return wakeups


class LearningProcess:
    """Everything that runs in the learning process."""

    def __init__(
        self,
        settings: Settings,
        key: MasterKey,
        holder: UUID,
        database: Database,
        vault: PostgresVault,
        wakeups: Wakeups,
        clock: Clock,
        dice: Dice,
        telemetry: Telemetry,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._telemetry = telemetry
        self._database = database
        self._wakeups = wakeups
        self._log = structlog.get_logger("alertgraph")
        self._memory = OpenAlerts()
        self._tasks: set[asyncio.Task[None]] = set()
        self._figures = LearningFigures(telemetry)
        log = PostgresLog(database)
        # Which alerts fall due, whoever pages finds within seconds.
        self._lanes = Lanes(
            log,
            self._memory,
            clock,
            dice,
            telemetry,
            self._committed,
            lambda _: None,
            level_max=settings.max_escalation_levels,
        )
        self._had_extra = is_installed(*EXTRA)
        self._learned = learned(
            Parts(
                settings,
                key,
                database,
                log,
                PostgresSnapshotSource(database),
                vault,
                self._lanes,
                self._memory,
                clock,
                dice,
                telemetry,
                self._figures,
                model_path(settings),
            )
        )
        self._follower = Follower(
            self._learned.readers,
            log,
            PostgresLearningStates(database, PREDICTOR, holder),
            wakeups,
            clock,
            dice,
            self._figures,
            self._seen,
        )
        self._figures.show(self._follower.figures, lambda: self._learned.why_not)
        self._reports = PostgresLearningReports(database, PREDICTOR, holder)
        self._token = key.predictor_token

    async def run(self, stopping: asyncio.Event) -> int:
        """Work until told to stop; return the process's exit status."""
        why_not = self._learned.why_not
        self._log.info("learning" if why_not is None else f"learning without predictions: {why_not}")
        again = asyncio.Event()
        loops = [
            asyncio.create_task(work)
            for work in (self._follower.run(), self._report(), self._listen(), self._await_extra(again))
        ]
        waits = [asyncio.create_task(stopping.wait()), asyncio.create_task(again.wait())]
        await asyncio.wait([*loops, *waits], return_when=asyncio.FIRST_COMPLETED)
        broken = [task for task in loops if task.done()]
        for task in (*loops, *waits):
            task.cancel()
        await asyncio.gather(*loops, *waits, return_exceptions=True)
        await self._follower.settle()
        await self._lanes.drain()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(AlertGraphError):
            await self._reports.withdraw()
        for task in broken:
            if not task.cancelled() and task.exception() is not None:
                self._log.error("learning failed", exc_info=task.exception())
                return 1
        return EXIT_AGAIN if again.is_set() and not stopping.is_set() else 0

    # ------------------------------------------------------------------------ what has happened

    def _committed(self, committed: CommittedEvents) -> None:
        last = committed.events[-1].number
        self._follower.hint(committed.tenant_id, last)
        task = asyncio.create_task(self._wakeups.announce(committed.tenant_id, last))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _seen(self, tenant_id: TenantId, events: Sequence[StoredEvent]) -> None:
        """Forget what events of other processes have changed."""
        memory = self._memory.get(tenant_id)
        if memory is None:
            return
        if any(stored.event.kind in CONFIG_KINDS for stored in events):
            self._memory.drop(tenant_id)
            return
        for stored in events:
            if stored.event.alert_id is not None:
                memory.forget(stored.event.alert_id)

    # ---------------------------------------------------------------------------- what is told

    async def _report(self) -> None:
        host = socket.gethostname()
        while True:
            behind, seconds = self._follower.behind()
            report = LearningReport(
                host, os.getpid(), self._learned.why_not, self._follower.tenant_count, behind, seconds
            )
            try:
                await self._reports.report(report)
            except AlertGraphError as error:
                self._telemetry.failed("learning report", error)
            await self._clock.sleep(REPORT_EVERY)

    async def _await_extra(self, again: asyncio.Event) -> None:
        """Ask to be started anew once the extra has been installed: modules are looked for at the start."""
        while self._had_extra or not await asyncio.to_thread(is_installed, *EXTRA):
            await self._clock.sleep(EXTRA_EVERY)
        again.set()
        await asyncio.Event().wait()

    async def _listen(self) -> None:
        """Answer questions; where somebody else does at our place, wait until they end."""
        application = Starlette(
            routes=[
                *health.routes(self._telemetry, self._checks, self._more),
                *rpc.routes(self._learned.predictor or rpc.NoPredictor(), self._token, self._page),
            ]
        )
        told = False
        while True:
            try:
                url = predictor_url(self._settings)
                listening, inode = listening_at(url), _inode_of(url)
            except OSError as error:
                if not told:
                    self._log.info(f"questions can't be answered at present: {error}")
                told = True
                await self._clock.sleep(LISTEN_EVERY)
                continue
            config = uvicorn.Config(
                application, lifespan="off", log_config=None, access_log=False, server_header=False
            )
            server = _QuietServer(config)
            try:
                await server.serve([listening])
            finally:
                listening.close()
                _remove(url, inode)

    async def _more(self) -> bytes:
        return self._figures.page()

    def _page(self) -> bytes:
        """Return all figures of this process, for the page of the service."""
        return self._telemetry.page() + self._figures.page()

    async def _checks(self) -> Mapping[str, str | None]:
        try:
            async with asyncio.timeout(2), self._database.connection() as connection:
                await connection.fetchval("SELECT 1")
        except TimeoutError:
            return {"database": "no answer within 2 s"}
        except DependencyError as error:
            return {"database": error.message}
        return {"database": None}


class _QuietServer(uvicorn.Server):
    """Leaves signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listening_at(url: str) -> socket.socket:
    """Return a socket that listens where the URL says, which nobody but this user may open.

    Raises:
        OSError: Somebody listens there, or the place can't be used.
    """
    path = rpc.socket_path(url)
    if path is None:
        host, _, port = url.removeprefix("http://").rstrip("/").rpartition(":")
        return socket.create_server((host.strip("[]"), int(port)), family=_family(host))
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(place.lstat().st_mode):
            raise FileExistsError(f"{place} is something else than a socket")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            # Left behind by one that was killed, or nothing.
            place.unlink(missing_ok=True)
        else:
            raise FileExistsError(f"another process answers at {place}")
    listening = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listening.bind(path)
    except OSError:
        listening.close()
        raise
    finally:
        os.umask(before)
    listening.listen(64)
    return listening


def _inode_of(url: str) -> int | None:
    """Return what tells a socket's file from another one of its name; None where there is no file."""
    path = rpc.socket_path(url)
    try:
        return os.lstat(path).st_ino if path is not None else None
    except FileNotFoundError:
        return None


def _remove(url: str, inode: int | None) -> None:
    """Remove a socket's file that nobody listens at any more, unless another process has put its own there."""
    path = rpc.socket_path(url)
    if path is not None and inode is not None and _inode_of(url) == inode:
        Path(path).unlink(missing_ok=True)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
