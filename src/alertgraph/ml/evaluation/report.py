"""What a task of the benchmark says: figures, with what they are held against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Holding(StrEnum):
    """What follows from missing a bound."""

    MUST = "must beat"
    AIM = "aim"


@dataclass(frozen=True, slots=True)
class Interval:
    """A range that holds the figure in 95 of 100 resamplings of the units it was measured on."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number.

    Attributes:
        target: What was predicted or found, with the data: "late24", "18V new alarm within 1 h".
        method: Who did it: "blend", "weekly logistic regression", "majority", "time window".
        measure: What the number is: "AUROC", "VUS-PR", "MAE of log hours".
        value: The number.
        interval: Its bootstrap interval; None where none was drawn.
        anchor: The number that this very method had in anchors.json; None where there is none.
    """

    target: str
    method: str
    measure: str
    value: float
    interval: Interval | None = None
    anchor: float | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A figure of ours held against a bound.

    Attributes:
        target: As in `Figure`.
        measure: As in `Figure`.
        value: Ours.
        bound: What it has to reach.
        against: Whose bound it is, in words: "weekly LR (anchors.json)", "logistic regression of this run".
        holding: Whether missing it fails the task.
        lower_is_better: True for errors and times.
        within: For bounds with two sides: how far the value may be off, either way.
        strict: Whether reaching the bound exactly is not enough.
    """

    target: str
    measure: str
    value: float
    bound: float
    against: str
    holding: Holding = Holding.MUST
    lower_is_better: bool = False
    within: float | None = None
    strict: bool = False

    @property
    def passed(self) -> bool:
        """Whether the bound is reached; a value that is no number reaches none."""
        if self.within is not None:
            return abs(self.value - self.bound) <= self.within
        if self.lower_is_better:
            return self.value < self.bound if self.strict else self.value <= self.bound
        return self.value > self.bound if self.strict else self.value >= self.bound


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What one task found.

    Attributes:
        figures: Every number, simple methods and the majority among them.
        checks: Ours against the bounds.
        protocol: Split, units of the bootstrap, and what else a reader has to know to do the same.
        notes: What fell out, in sentences.
    """

    figures: tuple[Figure, ...]
    checks: tuple[Check, ...]
    protocol: str
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything that must be beaten was."""
        return all(check.passed for check in self.checks if check.holding is Holding.MUST)


@dataclass(frozen=True, slots=True)
class TaskReport:
    """A task and how it went: a result, or why there is none.

    Attributes:
        task: Its id: "T1".
        title: What it asks.
        seconds: How long it took.
        result: What it found; None where it could not run.
        missing: Why it could not run: the data set that is not there, or the package. None where it ran.
    """

    task: str
    title: str
    seconds: float
    result: TaskResult | None = None
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class BenchReport:
    """Everything that one run of the benchmark found."""

    tasks: tuple[TaskReport, ...]
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every task ran and beat what it must."""
        return all(task.result is not None and task.result.passed for task in self.tasks)

    def told(self) -> dict[str, Any]:
        """Return the report as plain values for JSON; a figure that is no number is null."""
        return {
            "facts": dict(self.facts),
            "passed": self.passed,
            "tasks": [_task_told(task) for task in self.tasks],
        }


def _task_told(task: TaskReport) -> dict[str, Any]:
    told: dict[str, Any] = {"task": task.task, "title": task.title, "seconds": round(task.seconds, 1)}
    if task.result is None:
        return {**told, "ran": False, "missing": task.missing}
    return {
        **told,
        "ran": True,
        "passed": task.result.passed,
        "protocol": task.result.protocol,
        "notes": list(task.result.notes),
        "figures": [
            {
                "target": figure.target,
                "method": figure.method,
                "measure": figure.measure,
                "value": _number(figure.value),
                "interval": None
                if figure.interval is None
                else [_number(figure.interval.low), _number(figure.interval.high)],
                "anchor": figure.anchor,
            }
            for figure in task.result.figures
        ],
        "checks": [
            {
                "target": check.target,
                "measure": check.measure,
                "value": _number(check.value),
                "bound": _number(check.bound),
                "within": check.within,
                "lower_is_better": check.lower_is_better,
                "against": check.against,
                "holding": check.holding.value,
                "passed": check.passed,
            }
            for check in task.result.checks
        ],
    }


def _number(value: float) -> float | None:
    return round(value, 4) if abs(value) < float("inf") else None


def lines(report: TaskReport) -> Iterable[str]:
    """Yield one task's report for people: its figures, then its checks."""
    yield f"{report.task}  {report.title}  ({report.seconds:.0f} s)"
    if report.result is None:
        yield f"    did not run: {report.missing}"
        return
    yield f"    {report.result.protocol}"
    target = ""
    for figure in report.result.figures:
        if figure.target != target:
            target = figure.target
            yield f"    {target}"
        interval = "" if figure.interval is None else f"  [{figure.interval.low:.3f}, {figure.interval.high:.3f}]"
        anchor = "" if figure.anchor is None else f"  (anchor {figure.anchor:g})"
        yield f"      {figure.method:<34} {figure.measure:<28} {figure.value:8.3f}{interval}{anchor}"
    for check in report.result.checks:
        verdict = "pass" if check.passed else ("FAIL" if check.holding is Holding.MUST else "miss")
        sign = "±" if check.within is not None else ("≤" if check.lower_is_better else "≥")
        bound = f"{check.bound:.3f}" + ("" if check.within is None else f" ± {check.within:g}")
        yield (
            f"    {verdict}  {check.holding.value:<9}  {check.target}: {check.measure} {check.value:.3f} "
            f"{sign} {bound}  {check.against}"
        )
    for note in report.result.notes:
        yield f"    note: {note}"
