"""T1b: how long an incident will take, said when it is first heard of (ServiceNow log)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alertgraph.ml.evaluation import measures
from alertgraph.ml.evaluation.data import anchors
from alertgraph.ml.evaluation.incident_outcome import SCORED_FROM, SCORED_UNTIL, replayed
from alertgraph.ml.evaluation.registry import Options
from alertgraph.ml.evaluation.report import Check, Figure, Holding, TaskResult
from alertgraph.ml.features import DAY_SECONDS
from alertgraph.ml.train.prequential import HOUR_SECONDS

Floats = NDArray[np.float64]
HOURS_MIN = 1 / 60


def run(data: Path, options: Options) -> TaskResult:
    """Carry T1b out."""
    told = anchors(data)["T1_incident_outcome"]["time_to_resolve"]
    found = replayed(data, options.seed)
    incidents, said = found.incidents, found.said
    opened, resolved = incidents.opened_at, incidents.resolved_at
    hours = np.log(np.maximum((resolved - opened) / HOUR_SECONDS, HOURS_MIN))
    asked = (opened >= SCORED_FROM) & (opened < SCORED_UNTIL["breach"]) & ~np.isnan(said.hours[:, 1])
    rows = asked & np.isfinite(resolved)
    truth = hours[rows]
    target = f"time to resolve, n = {int(rows.sum())} resolved of {int(asked.sum())}"
    middle = np.log(np.maximum(said.hours[rows, 1], HOURS_MIN))
    constant, by_team = _medians(hours, incidents.at, resolved, incidents.team, np.flatnonzero(rows))
    methods = {
        "network, daily": (middle, None),
        "median of the team, daily": (by_team, "group_median"),
        "median, daily": (constant, "const"),
    }
    figures = []
    for method, (guess, key) in methods.items():
        error = np.abs(guess - truth)
        figures.append(
            Figure(
                target,
                method,
                "MAE of log hours",
                float(error.mean()),
                measures.bootstrap(_mean, error, error, np.arange(len(error)), options.resamplings, options.seed),
                told["mae_log_hours"][key] if key else None,
            )
        )
        figures.append(
            Figure(
                target,
                method,
                "median error in hours",
                float(np.median(np.abs(np.exp(guess) - np.exp(truth)))),
                None,
                told["medae_hours"][key] if key else None,
            )
        )
        figures.append(Figure(target, method, "within a factor of 2", float((error <= np.log(2)).mean())))
    # What is still open has lasted until the log ends: longer than any range that ends before is too short.
    until = incidents.at.max()
    lasted = np.log(np.maximum((np.minimum(resolved, until) - opened) / HOUR_SECONDS, HOURS_MIN))[asked]
    lows, _, highs = np.log(np.maximum(said.hours[asked], HOURS_MIN)).T
    held = (lasted >= lows) & (lasted <= highs)
    covered = float(held.mean())
    figures.append(Figure(target, "network, daily", "80 % interval holds it", covered))
    figures.append(
        Figure(target, "network, daily", "interval, median factor", float(np.median(np.exp(highs - lows))))
    )
    mae = float(np.abs(middle - truth).mean())
    return TaskResult(
        tuple(figures),
        (
            Check(
                target,
                "MAE of log hours",
                mae,
                told["mae_log_hours"]["group_median"],
                "group median (anchors.json)",
                lower_is_better=True,
            ),
            Check(
                target,
                "MAE of log hours",
                mae,
                float(np.abs(by_team - truth).mean()),
                "group median of this run",
                lower_is_better=True,
            ),
            Check(target, "80 % interval holds it", covered, 0.8, "what it says of itself", within=0.04),
            Check(target, "MAE of log hours", mae, 2.1, "aim of the benchmark", Holding.AIM, lower_is_better=True),
        ),
        "as T1; ranges widened by the errors known when the day began; medians of what was resolved by then",
    )


def _mean(values: Floats, _: Floats) -> float:
    return float(values.mean())


def _medians(
    hours: Floats, at: Floats, resolved: Floats, team: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Return for each row the median over everything resolved before its day, and that of its team."""
    constant, by_team = np.empty(len(rows)), np.empty(len(rows))
    days = np.floor(at[rows] / DAY_SECONDS)
    for day in np.unique(days):
        known = resolved <= day * DAY_SECONDS
        middle = float(np.median(hours[known]))
        for place in np.flatnonzero(days == day):
            own = hours[known & (team == team[rows[place]])]
            constant[place] = middle
            by_team[place] = float(np.median(own)) if len(own) >= 5 else middle
    return constant, by_team
