"""Learning as seen from the process that answers requests: it keeps the learning process running, and asks it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Coroutine, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from alertgraph.core.errors import DependencyError
from alertgraph.edge.child import Child
from alertgraph.edge.rpc import NoPredictor, RemotePredictor
from alertgraph.edge.telemetry import Telemetry
from alertgraph.services.ports import Clock, Dice, LearningHealth, LearningReport, LearningReports, Predictor
from alertgraph.settings import PREFIX, Settings, environment_of

SOCKET_FILE = "predictor.sock"
SOCKET_PATH_BYTES_MAX = 103
SHORT_PLACE = Path("/tmp")  # noqa: S108  (in a folder of our own there, looked at before it is used)
LOCK_FILE = "predictor.lock"
HEALTH_EVERY = timedelta(seconds=3)
WATCH_EVERY = timedelta(seconds=15)
# It says how it does every three seconds; beside much other work a start alone may take a minute.
SILENT_MAX = timedelta(minutes=3)
SWITCHED_OFF = "learning is switched off by CRITICAL_ALERT_ML_ENABLED"
NOT_UP = "no learning process is up"


def predictor_url(settings: Settings) -> str:
    """Return where the learning process answers questions."""
    if settings.predictor_url is not None:
        return settings.predictor_url
    path = settings.data_dir / SOCKET_FILE
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
        path = _short_folder(settings.data_dir) / SOCKET_FILE
    return f"unix://{path}"


def _short_folder(data_dir: Path) -> Path:
    """Return a folder of our own for a socket whose path would be too long; the given one where there is none."""
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    folder = SHORT_PLACE / f"alertgraph-{os.geteuid()}-{digest}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return data_dir
    # Anybody may make a folder there; who asks in theirs would tell them the token.
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    return folder if is_ours else data_dir


class Learning:
    """One process's end of learning. Fulfils `services.ports.LearningWatch`.

    Args:
        settings: Of the installation.
        role: all runs a learning process of its own; others rely on whoever runs one.
        reports: What learning processes say of themselves.
        token: To ask with.
        clock: For pauses, and how old an answer is.
        dice: For pauses.
        telemetry: Shows how it stands.

    Attributes:
        predictor: Answers what only the learning process can.
    """

    def __init__(
        self,
        settings: Settings,
        role: str,
        reports: LearningReports,
        token: str,
        clock: Clock,
        dice: Dice,
        telemetry: Telemetry,
    ) -> None:
        self._is_enabled = settings.ml_enabled
        self._reports = reports
        self._clock = clock
        self._telemetry = telemetry
        self._alive: Sequence[LearningReport] = ()
        self._asked_at: datetime | None = None
        self._child: Child | None = None
        self._remote: RemotePredictor | None = None
        self.predictor: Predictor = NoPredictor()
        if not settings.ml_enabled:
            return
        asked = telemetry.counter(
            "alertgraph_predictor_questions_total",
            "Questions to the learning process, by how they ended: ok, late, failed, or refused and never asked.",
            ("question", "outcome"),
        )
        self.predictor = self._remote = RemotePredictor(
            predictor_url(settings), token, lambda question, outcome: asked.labels(question, outcome).inc()
        )
        if role == "all":
            child = self._child = _child_of(settings, clock, dice)
            telemetry.count_of(
                "alertgraph_predictor_restarts_total",
                "Times that the learning process was started again.",
                lambda: child.restart_count,
            )
            telemetry.watch(
                "alertgraph_predictor_running",
                "1 while this process has a learning process running.",
                lambda: float(child.pid is not None),
            )
        telemetry.registry.register(_Standing(self))

    @property
    def child_pid(self) -> int | None:
        """Of the learning process that this one runs; None where it runs none at present."""
        return self._child.pid if self._child is not None else None

    def loops(self) -> Sequence[Coroutine[Any, Any, Any]]:
        """Return the work that nobody asks for."""
        return (self._child.run(), self._watch(self._child)) if self._child is not None else ()

    async def stop(self) -> None:
        """End the learning process, once its loop was cancelled; in bounded time."""
        if self._child is not None:
            await self._child.stop()
        if self._remote is not None:
            await self._remote.aclose()

    async def _watch(self, child: Child) -> NoReturn:
        """End a learning process that runs and yet says nothing: another one is started in its place."""
        watched, heard_at = None, self._clock.now()
        while True:
            await self._clock.sleep(WATCH_EVERY)
            try:
                said = {report.pid for report in await self._reports.alive()}
            except DependencyError:
                # Nor can it say anything, while the store is away.
                heard_at = self._clock.now()
                continue
            now = self._clock.now()
            if child.pid is None or child.pid != watched or child.pid in said or now < heard_at:
                watched, heard_at = child.pid, now
            elif now - heard_at >= SILENT_MAX:
                child.kill(f"it has said nothing for {(now - heard_at).total_seconds():.0f} s")
                heard_at = now

    async def health(self) -> LearningHealth:
        """Return how learning stands; what was known a few seconds ago will do."""
        if not self._is_enabled:
            return LearningHealth(False, SWITCHED_OFF)
        now = self._clock.now()
        if self._asked_at is None or not timedelta(0) <= now - self._asked_at < HEALTH_EVERY:
            self._asked_at = now
            try:
                self._alive = await self._reports.alive()
            except DependencyError as error:
                self._telemetry.failed("learning health", error)
        return self.known_health()

    def known_health(self) -> LearningHealth:
        """Return how learning stood when somebody asked last."""
        if not self._is_enabled:
            return LearningHealth(False, SWITCHED_OFF)
        if self._alive:
            reasons = [report.why_not for report in self._alive]
            return LearningHealth(True, None if None in reasons else reasons[0])
        return LearningHealth(True, self._child.said if self._child is not None else NOT_UP)

    async def figures(self) -> bytes:
        """Return the figures of the learning process in Prometheus' text format; empty where it is away."""
        return await self._remote.figures() if self._remote is not None else b""


class _Standing(Collector):
    """Whether predictions are made, and why not, as it was known last."""

    def __init__(self, learning: Learning) -> None:
        self._learning = learning

    def collect(self) -> Iterable[Metric]:
        """Return it as it is now."""
        health = self._learning.known_health()
        family = GaugeMetricFamily(
            "alertgraph_predictions_available",
            "1 while a learning process says that it makes predictions; else why_not says why none are made.",
            labels=("why_not",),
        )
        family.add_metric((health.why_not or "",), float(health.why_not is None))
        yield family


def _child_of(settings: Settings, clock: Clock, dice: Dice) -> Child:
    own = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return Child(
        "learning process",
        # One name for all that come after each other: each has at once what the one before it had.
        ("-m", "alertgraph", "serve", "--role", "predictor", "--supervised", "--holder", str(uuid4())),
        # Threads of libraries that do sums would take the processors from who answers.
        {"OMP_NUM_THREADS": "1", **own, **environment_of(settings)},
        settings.data_dir / LOCK_FILE,
        clock,
        dice,
    )
