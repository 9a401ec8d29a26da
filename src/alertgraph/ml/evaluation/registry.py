"""The tasks of the benchmark, by name. Each lives in a module that is loaded when it is asked for."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from alertgraph.ml.evaluation.report import TaskReport, TaskResult

SEED = 20261123


class DataMissingError(Exception):
    """A data set that a task needs is not below the root that was given; the message names the file."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a task runs.

    Attributes:
        seed: Of everything that is drawn.
        resamplings: How often a bootstrap draws.
    """

    seed: int = SEED
    resamplings: int = 200


@dataclass(frozen=True, slots=True)
class Task:
    """One task: `module` has a function `run(data: Path, options: Options) -> TaskResult`.

    Attributes:
        id: "T1".
        title: What it asks, in a few words.
        module: Where it is carried out.
    """

    id: str
    title: str
    module: str

    def load(self) -> Callable[[Path, Options], TaskResult]:
        """Return the function that carries the task out."""
        run: Callable[[Path, Options], TaskResult] = importlib.import_module(self.module).run
        return run


TASKS: tuple[Task, ...] = (
    Task("T1", "what becomes of an incident, at its creation", "alertgraph.ml.evaluation.incident_outcome"),
    Task("T1b", "how long an incident will take, at its creation", "alertgraph.ml.evaluation.time_to_resolve"),
    Task("T2", "whether an alarm brings others or ends by itself", "alertgraph.ml.evaluation.alarm_forecast"),
    Task("T3", "which alerts belong together where attacks overlap", "alertgraph.ml.evaluation.grouping"),
    Task("T4", "which types of alarm bring which about", "alertgraph.ml.evaluation.causality"),
    Task("T5", "which notifications nobody needs, in a network not seen before", "alertgraph.ml.evaluation.noise"),
    Task("T6", "what is unusual in a series, point by point", "alertgraph.ml.evaluation.anomalies"),
    Task("T7", "how grave an incident is, by its first words", "alertgraph.ml.evaluation.incident_text"),
    Task("T8", "which service an incident comes from", "alertgraph.ml.evaluation.roots"),
    Task("T9", "how fast the service's model answers, and how large it grows", "alertgraph.ml.evaluation.load"),
    Task("T10", "walls, promotion, rollback, kills and spoilt numbers", "alertgraph.ml.evaluation.drills"),
)


def named(names: Iterable[str]) -> tuple[Task, ...]:
    """Return the tasks with these ids, in the order of the registry; all where no id is given.

    Raises:
        KeyError: There is no task of that name.
    """
    wanted = {name.upper() for name in names}
    unknown = wanted - {task.id.upper() for task in TASKS}
    if unknown:
        raise KeyError(min(unknown))
    return tuple(task for task in TASKS if not wanted or task.id.upper() in wanted)


def carry_out(tasks: Iterable[Task], data: Path, options: Options) -> Iterator[TaskReport]:
    """Yield a report for each task, in turn: its result, or what it would have needed."""
    for task in tasks:
        started = time.monotonic()
        result, missing = None, None
        try:
            result = task.load()(data, options)
        except DataMissingError as error:
            missing = str(error)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] == "alertgraph":
                raise
            missing = f"{error.name} is not installed; pip install 'alertgraph[ml]' brings it"
        yield TaskReport(task.id, task.title, time.monotonic() - started, result, missing)
