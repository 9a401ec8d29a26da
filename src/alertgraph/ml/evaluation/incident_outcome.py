"""T1 and T1b: what becomes of an incident, said when it is first heard of, day by day (ServiceNow log)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alertgraph.ml.artifact import LINEAR, NETWORK, TREES
from alertgraph.ml.calibration import Verdict
from alertgraph.ml.companions import TreeFitting, fit_trees
from alertgraph.ml.evaluation import measures
from alertgraph.ml.evaluation.data import anchors, columns
from alertgraph.ml.evaluation.registry import Options
from alertgraph.ml.evaluation.report import Check, Figure, Holding, TaskResult
from alertgraph.ml.features import DAY_SECONDS, FeatureSchema, Observation
from alertgraph.ml.train.members import Recipe
from alertgraph.ml.train.prequential import (
    HOUR_SECONDS,
    Case,
    Maturing,
    Plan,
    Prequential,
    Replayed,
    Stream,
    replay,
)

Floats = NDArray[np.float64]
NEVER = math.inf
# After so many days an incident counts as having missed its agreed time: right in 99.7 % of cases.
BREACH_DAYS = 14
QUESTIONS = ("late24", "breach", "reassigned")
TITLES = {
    "late24": "open for more than 24 h",
    "breach": "misses its agreed time",
    "reassigned": "is passed on",
}
FIELDS = (
    "contact_type",
    "location",
    "category",
    "subcategory",
    "u_symptom",
    "cmdb_ci",
    "impact",
    "urgency",
    "priority",
    "assignment_group",
    "assigned_to",
    "caller_id",
    "opened_by",
    "knowledge",
    "notify",
)
SCHEMA = FeatureSchema(
    fields=FIELDS,
    crosses=tuple(("assignment_group", name) for name in ("category", "subcategory", "u_symptom", "priority")),
    groups=(
        (),
        *((name,) for name in ("assignment_group", "category", "subcategory", "u_symptom", "location")),
        *((name,) for name in ("caller_id", "opened_by", "assigned_to", "priority")),
        ("assignment_group", "subcategory"),
    ),
    half_lives=(HOUR_SECONDS, DAY_SECONDS, 7 * DAY_SECONDS),
    # What is known soon stands in for what is known late.
    outcomes=("late4", "late24", "late120", "reassigned within 24 h", "breach", "log of hours"),
    outcome_half_life=10 * DAY_SECONDS,
    numbers=("log of seconds until heard of",),
    kind_windows=(),
    neighbour_window=0.0,
    kind_count=1,
)
SALT = bytes(16)
TIME_EDGES = tuple(float(edge) for edge in np.exp(np.linspace(math.log(0.05), math.log(24 * 21), 20)))


def _instant(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()


START, WARM = _instant("2016-02-29"), _instant("2016-03-28")
FROZEN = "frozen for 4 weeks"
SCORED_FROM = _instant("2016-04-11")
SCORED_UNTIL = {
    "late24": _instant("2016-05-07"),
    "breach": _instant("2016-04-24"),
    "reassigned": _instant("2016-04-24"),
}


@dataclass(frozen=True, slots=True)
class Incidents:
    """The log as incidents, in the order in which they were first heard of.

    Attributes:
        cases: For the features.
        at: (n,) when each was first heard of.
        opened_at: (n,) when it was opened, which may be earlier.
        resolved_at: (n,) inf where it was not resolved before the log ends.
        answers: (n, 3) by `QUESTIONS`.
        known_at: (n, 3) when each answer is known.
        team: (n,) the assignment group, by number.
    """

    cases: Sequence[Case]
    at: Floats
    opened_at: Floats
    resolved_at: Floats
    answers: Floats
    known_at: Floats
    team: NDArray[np.int64]


def read_incidents(table: Mapping[str, Sequence[str]]) -> Incidents:
    """Return the incidents of a log of their changes, each change with the time when it was written.

    What an incident was when it came in is its first row. How it ended is read from later rows and counts only
    from the time of those rows on.
    """
    rows: dict[str, list[int]] = {}
    for row, number in enumerate(table["number"]):
        rows.setdefault(number, []).append(row)
    found = sorted((_incident(table, own) for own in rows.values()), key=lambda incident: incident[0].seen.at)
    return Incidents(
        [case for case, *_ in found],
        np.array([case.seen.at for case, *_ in found]),
        np.array([opened for _, opened, *_ in found]),
        np.array([resolved for _, _, resolved, *_ in found]),
        np.array([[value for value, _ in answers] for *_, answers in found]),
        np.array([[at for _, at in answers] for *_, answers in found]),
        np.unique([case.seen.service for case, *_ in found], return_inverse=True)[1].astype(np.int64),
    )


def _incident(
    table: Mapping[str, Sequence[str]], rows: Sequence[int]
) -> tuple[Case, float, float, tuple[tuple[float, float], ...]]:
    first, last = rows[0], rows[-1]
    opened = _instant(table["opened_at"][first])
    at = max(opened, _instant(table["sys_updated_at"][first]))
    fields = {name: "" if table[name][first] == "?" else table[name][first] for name in FIELDS}
    seen = Observation(
        at=at,
        service=fields["assignment_group"],
        kind=fields["subcategory"],
        fields=fields,
        numbers={"log of seconds until heard of": math.log1p(at - opened)},
    )

    def written(state: str) -> float:
        """Return when the first row with this state was written."""
        times = (table["sys_updated_at"][row] for row in rows if table["incident_state"][row] == state)
        return next((_instant(time) for time in times), NEVER)

    told = table["resolved_at"][last]
    # A few were resolved without the time being filled in; the row that says so has one.
    resolved = _instant(told) if told != "?" else min(written("Resolved"), written("Closed"))
    closed = written("Closed") if table["incident_state"][last] == "Closed" else NEVER
    passed_on = next(
        (_instant(table["sys_updated_at"][row]) for row in rows if table["reassignment_count"][row] != "0"), NEVER
    )
    missed = closed == NEVER or table["made_sla"][last] == "false"
    resolved = max(resolved, opened)

    def late(hours: float) -> tuple[float, float]:
        due = opened + hours * HOUR_SECONDS
        return float(resolved > due), max(min(resolved, due), at)

    breach = float(missed), max(min(closed, opened + BREACH_DAYS * DAY_SECONDS), at)
    reassigned = float(passed_on < NEVER), max(passed_on if passed_on < NEVER else resolved, at)
    outcomes = [
        # All of them at the same age: those known early are not like the rest.
        *(Maturing(f"late{hours}", late(hours)[0], opened + hours * HOUR_SECONDS) for hours in (4, 24, 120)),
        Maturing("reassigned within 24 h", float(passed_on <= at + DAY_SECONDS), at + DAY_SECONDS),
        Maturing("breach", *breach),
    ]
    if resolved < NEVER:
        hours = max((resolved - opened) / HOUR_SECONDS, 1 / 60)
        outcomes.append(Maturing("log of hours", math.log(hours), resolved))
    ended = None if resolved == NEVER else resolved
    return Case(seen, ended, outcomes), opened, resolved, (late(24), breach, reassigned)


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that T1 and T1b tell from."""

    incidents: Incidents
    said: Replayed
    frozen: Mapping[str, Floats]


@lru_cache(maxsize=1)
def replayed(data: Path, seed: int) -> Run:
    """Replay the log once for both tasks."""
    incidents = read_incidents(columns(data, "servicenow", "incident_events_dev.csv.gz"))
    numbers, tokens = replay(incidents.cases, SCHEMA, SALT)
    stream = Stream(
        incidents.at,
        incidents.opened_at,
        numbers,
        tokens,
        incidents.answers,
        incidents.known_at,
        incidents.resolved_at,
    )
    plan = Plan(
        Recipe(QUESTIONS, SCHEMA.bucket_count, time_edges=TIME_EDGES, seed=seed),
        horizons={"late24": 24.0, "breach": BREACH_DAYS * 24.0, "reassigned": 14 * 24.0},
    )
    said = Prequential(stream, plan).run(START, WARM, max(SCORED_UNTIL.values()))
    frozen = {
        method: _left_alone(incidents, numbers, _instant(day), goes_on=goes_on, seed=seed)
        for method, day, goes_on in (
            (FROZEN, "2016-03-14", False),
            ("frozen, its rates go on", "2016-03-14", True),
            ("frozen for 2 weeks", "2016-03-28", False),
        )
    }
    return Run(incidents, said, frozen)


def _left_alone(
    incidents: Incidents, numbers: NDArray[np.float32], moment: float, *, goes_on: bool, seed: int
) -> Floats:
    """Return what trees say that were fitted once; unless `goes_on`, their features learn no outcome since."""
    seen = numbers if goes_on else replay(incidents.cases, SCHEMA, SALT, learns_until=moment)[0]
    said = np.full((len(incidents.at), len(QUESTIONS)), np.nan)
    scored = incidents.at >= SCORED_FROM
    for place in range(len(QUESTIONS)):
        rows = (incidents.at < moment) & (incidents.known_at[:, place] <= moment)
        answers = incidents.answers[rows, place]
        trees = fit_trees(numbers[rows], answers, np.ones(len(answers)), TreeFitting(seed=seed))
        said[scored, place] = trees.probabilities(seen[scored])
    return said


def run(data: Path, options: Options) -> TaskResult:
    """Carry T1 out."""
    told = anchors(data)["T1_incident_outcome"]
    found = replayed(data, options.seed)
    figures: list[Figure] = []
    checks: list[Check] = []
    for place, question in enumerate(QUESTIONS):
        incidents = found.incidents
        rows = (incidents.opened_at >= SCORED_FROM) & (incidents.opened_at < SCORED_UNTIL[question])
        rows &= ~np.isnan(found.said.blended[:, place])
        labels = incidents.answers[rows, place]
        target = f"{question}: {TITLES[question]}, n = {len(labels)}, base rate {labels.mean():.3f}"
        anchor = told[question]
        blend = found.said.blended[rows, place]
        methods = {
            "blend": blend,
            "network, daily": found.said.members[NETWORK][rows, place],
            "weekly trees": found.said.members[TREES][rows, place],
            "weekly logistic regression": found.said.members[LINEAR][rows, place],
            **{method: values[rows, place] for method, values in found.frozen.items()},
        }
        keys = {
            "blend": "blend" if "blend" in anchor else "blend_lr_hgb_torch",
            "network, daily": "torch_online",
            "weekly trees": "weekly_hgb",
            "weekly logistic regression": "weekly_lr",
        }
        figures.append(Figure(target, "majority", "accuracy", measures.majority_accuracy(labels)))
        for method, probabilities in methods.items():
            known = anchor.get(keys.get(method, ""), {})
            if method == FROZEN:
                known = {"auroc": anchor["static_hgb_auroc"]}
            figures += _ranked(target, method, labels, probabilities, known, options)
        figures.append(_gained(target, labels, blend, methods[FROZEN], options))
        figures += _committed(target, found.said, rows, place, labels)
        checks += _checks(question, anchor, labels, methods)
    return TaskResult(
        tuple(figures),
        tuple(checks),
        "answered when first heard of, day by day; outcomes used once known; blend, calibration and thresholds "
        "from what was known when the day began; intervals by incident",
        (
            "late24 counts incidents resolved without a time by the row that says so; the anchors counted some of "
            "them as late (base rate .366)",
            "frozen: trees fitted once, whose features are told no outcome since: on 2016-03-14, four weeks "
            "before the first scored day, and on 2016-03-28, two weeks before it",
        ),
    )


def _ranked(
    target: str,
    method: str,
    labels: Floats,
    probabilities: Floats,
    anchor: Mapping[str, float],
    options: Options,
) -> list[Figure]:
    units = np.arange(len(labels))
    ranked = [("AUROC", measures.auroc, "auroc"), ("AUPRC", measures.auprc, "auprc")]
    figures = [
        Figure(
            target,
            method,
            name,
            measure(labels, probabilities),
            measures.bootstrap(measure, labels, probabilities, units, options.resamplings, options.seed)
            if method in ("blend", FROZEN)
            else None,
            anchor.get(key),
        )
        for name, measure, key in ranked
    ]
    calibrated = [
        ("ECE", measures.calibration_error, "ece"),
        ("accuracy", measures.accuracy, "acc"),
        ("Brier", measures.brier, "brier"),
    ]
    for name, measure, key in calibrated:
        # Drawn again, the error of a perfect model is not zero: the interval tells how far chance alone reaches.
        interval = (
            measures.bootstrap(measure, labels, probabilities, units, options.resamplings, options.seed)
            if (method, name) == ("blend", "ECE")
            else None
        )
        value = measure(labels, probabilities)
        figures.append(Figure(target, method, name, value, interval, anchor.get(key)))
    return figures


def _gained(target: str, labels: Floats, updated: Floats, frozen: Floats, options: Options) -> Figure:
    """Return how much better the updated model ranks than the frozen one, both on the same incidents drawn."""

    def gained(labels: Floats, both: Floats) -> float:
        return measures.auroc(labels, both[:, 0]) - measures.auroc(labels, both[:, 1])

    both = np.column_stack([updated, frozen])
    units = np.arange(len(labels))
    interval = measures.bootstrap(gained, labels, both, units, options.resamplings, options.seed)
    return Figure(target, f"blend over {FROZEN}", "AUROC gained", gained(labels, both), interval)


def _committed(target: str, said: Replayed, rows: NDArray[np.bool_], place: int, labels: Floats) -> list[Figure]:
    """Return how often the model committed itself, and how often it was right then."""
    commits = said.commits[rows, place]
    right = (said.blended[rows, place] >= 0.5) == (labels > 0.5)
    verdicts = said.verdicts[rows, place]
    held = [
        verdict is Verdict.UNSURE or (verdict is Verdict.YES) == bool(label)
        for verdict, label in zip(verdicts, labels, strict=True)
    ]
    unsure = np.array([verdict is Verdict.UNSURE for verdict in verdicts])
    order = np.argsort(-np.abs(said.blended[rows, place] - 0.5), kind="stable")
    shares = np.cumsum(right[order]) / np.arange(1, len(right) + 1)
    reached = np.flatnonzero(shares >= 0.95)
    return [
        Figure(target, "committed, threshold set before", "coverage", float(commits.mean())),
        Figure(
            target,
            "committed, threshold set before",
            "accuracy",
            float(right[commits].mean()) if commits.any() else float("nan"),
        ),
        Figure(
            target,
            "committed, threshold read off",
            "coverage at 95 %",
            float((reached[-1] + 1) / len(right)) if len(reached) else 0.0,
        ),
        Figure(target, "conformal set at 95 %", "holds the truth", float(np.mean(held))),
        Figure(target, "conformal set at 95 %", "coverage", float(1 - unsure.mean())),
    ]


def _checks(
    question: str, anchor: Mapping[str, Mapping[str, float]], labels: Floats, methods: Mapping[str, Floats]
) -> list[Check]:
    blend, linear, trees = (methods[name] for name in ("blend", "weekly logistic regression", "weekly trees"))
    auroc, auprc = measures.auroc(labels, blend), measures.auprc(labels, blend)
    aim = anchor.get("blend", anchor.get("blend_lr_hgb_torch", {}))
    lost = auroc - measures.auroc(labels, methods[FROZEN])
    return [
        Check(question, "AUROC", auroc, anchor["weekly_lr"]["auroc"], "weekly LR (anchors.json)"),
        Check(question, "AUPRC", auprc, anchor["weekly_hgb"]["auprc"], "weekly HGB (anchors.json)"),
        Check(question, "AUROC over frozen", lost, 0.1, f"{FROZEN}, of this run"),
        Check(question, "AUROC", auroc, aim["auroc"], "blend (anchors.json)", Holding.AIM),
        Check(question, "AUROC", auroc, measures.auroc(labels, linear), "weekly LR of this run", Holding.AIM),
        Check(question, "AUPRC", auprc, measures.auprc(labels, trees), "weekly trees of this run", Holding.AIM),
        Check(
            question,
            "ECE",
            measures.calibration_error(labels, blend),
            0.03,
            "aim of the benchmark",
            Holding.AIM,
            lower_is_better=True,
        ),
    ]
