"""T2: whether an alarm brings others, and whether it ends by itself (two telecom networks)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alertgraph.ml.artifact import LINEAR, NETWORK, TREES
from alertgraph.ml.blend import choose_blend
from alertgraph.ml.companions import TreeFitting
from alertgraph.ml.evaluation import measures
from alertgraph.ml.evaluation.data import anchors, columns
from alertgraph.ml.evaluation.registry import Options
from alertgraph.ml.evaluation.report import Check, Figure, Holding, TaskResult
from alertgraph.ml.features import DAY_SECONDS, FeatureSchema, Observation
from alertgraph.ml.model import Fitting
from alertgraph.ml.train.members import Recipe, fit_members, flat_examples
from alertgraph.ml.train.prequential import Case, Maturing, replay

Floats = NDArray[np.float64]
CLEAR_SECONDS = 300.0
# A kind that was not seen on a device for so long is new there.
NEW_SECONDS = 3_600.0
TRAIN_SHARE, SCORED_SHARE = 0.6, 0.75
SCHEMA = FeatureSchema(
    fields=("service", "kind"),
    crosses=(("service", "kind"),),
    groups=((), ("kind",), ("service",), ("service", "kind")),
    half_lives=(300.0, 3_600.0, DAY_SECONDS),
    outcomes=("new kind", "ends soon", "log of seconds"),
    kind_windows=(300.0, 3_600.0, 6 * 3_600.0),
    kind_count=24,
    key_count_max=8_192,
)


@dataclass(frozen=True, slots=True)
class Network:
    """One network's data, and what is asked of it.

    Attributes:
        folder: Below `telecom_alarms`.
        horizon: Seconds within which a new kind of alarm counts.
        memory_days: After how many days an outcome counts half.
        asked: Questions, by the name of their anchor.
    """

    folder: str
    horizon: float
    memory_days: float
    asked: Mapping[str, str]


NETWORKS = {
    "18V": Network(
        "18V_55N_Wireless", 3_600.0, 20.0, {"new kind": "18V_H3600", "ends soon": "18V_self_clear_300s"}
    ),
    "24V": Network("24V_439N_Microwave", 900.0, 1.0, {"new kind": "24V_H900"}),
}


def new_kind_follows(at: Floats, device: Sequence[str], kind: Sequence[str], horizon: float) -> Floats:
    """Return (n,) 1 where a kind not seen on the device in the last hour begins there within the horizon."""
    result = np.zeros(len(at))
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(device):
        rows_of[name].append(row)
    for rows in rows_of.values():
        times = at[rows].tolist()
        for place, row in enumerate(rows):
            now = bisect_right(times, times[place])
            recent = {kind[rows[other]] for other in range(bisect_left(times, times[place] - NEW_SECONDS), now)}
            until = bisect_right(times, times[place] + horizon)
            result[row] = float(any(kind[rows[other]] not in recent for other in range(now, until)))
    return result


def run(data: Path, options: Options) -> TaskResult:
    """Carry T2 out."""
    told = anchors(data)["T2_alarm_forecast"]
    figures: list[Figure] = []
    checks: list[Check] = []
    for name, network in NETWORKS.items():
        at, ended_at, device, kind = _alarms(data, network)
        outcomes = {
            "new kind": new_kind_follows(at, device, kind, network.horizon),
            "ends soon": (ended_at - at <= CLEAR_SECONDS).astype(float),
        }
        beside = _topology(data, network)
        schema = replace(
            SCHEMA,
            outcome_half_life=network.memory_days * DAY_SECONDS,
            neighbour_window=900.0 if beside else 0.0,
        )
        cases = [
            Case(
                Observation(
                    float(at[row]), device[row], kind[row], neighbours=tuple(sorted(beside.get(device[row], ())))
                ),
                float(ended_at[row]),
                (
                    Maturing("new kind", float(outcomes["new kind"][row]), float(at[row]) + network.horizon),
                    Maturing("ends soon", float(outcomes["ends soon"][row]), float(at[row]) + CLEAR_SECONDS),
                    Maturing("log of seconds", float(np.log1p(ended_at[row] - at[row])), float(ended_at[row])),
                ),
            )
            for row in range(len(at))
        ]
        numbers, tokens = replay(cases, schema, bytes(16))
        units = np.unique(device, return_inverse=True)[1].astype(np.int64)
        for question, key in network.asked.items():
            answered, rows = _answered(at, numbers, tokens, outcomes[question], network, question, options.seed)
            labels = outcomes[question][rows]
            found, held = _told(f"{name} {question}", key, labels, answered, units[rows], told[key], options)
            figures += found
            checks += held
    return TaskResult(
        tuple(figures),
        tuple(checks),
        "rows in the order of time: 60 % to learn, 15 % to choose blend and threshold, then both to learn, 25 % "
        "scored, with a gap of one horizon; features go on learning outcomes once known; intervals by device",
        ("all rows of one device stand or fall together in the intervals: with few devices they are wide",),
    )


def _alarms(data: Path, network: Network) -> tuple[Floats, Floats, list[str], list[str]]:
    table = columns(data, "telecom_alarms", network.folder, "alarm.csv.gz")
    at = np.array(table["start_timestamp"], dtype=np.float64)
    ended_at = np.array(table["end_timestamp"], dtype=np.float64)
    order = np.argsort(at, kind="stable")
    device, kind = ([table[name][row] for row in order] for name in ("device_id", "alarm_id"))
    return at[order], ended_at[order], device, kind


def _topology(data: Path, network: Network) -> dict[str, set[str]]:
    """Return the devices next to each; empty where the network's topology is not told."""
    beside: dict[str, set[str]] = defaultdict(set)
    if (data / "telecom_alarms" / network.folder / "topology_edges.csv").exists():
        table = columns(data, "telecom_alarms", network.folder, "topology_edges.csv")
        for one, other in zip(table["device_a"], table["device_b"], strict=True):
            beside[one].add(other)
            beside[other].add(one)
    return beside


def _answered(
    at: Floats,
    numbers: NDArray[np.float32],
    tokens: NDArray[np.int32],
    labels: Floats,
    network: Network,
    question: str,
    seed: int,
) -> tuple[dict[str, Floats], NDArray[np.int64]]:
    """Return what each method says of the scored rows, and those rows."""
    horizon = network.horizon if question == "new kind" else CLEAR_SECONDS
    chosen_from, scored_from = (at[int(share * len(at))] for share in (TRAIN_SHARE, SCORED_SHARE))
    recipe = Recipe(
        (question,),
        SCHEMA.bucket_count,
        hidden_size=64,
        network=Fitting(epochs=3, decay=0.05),
        trees=TreeFitting(tree_count=120, rate=0.05, leaf_rows_min=100, regularization=10.0, feature_share=0.3),
        linear_strength=0.1,
        seed=seed,
    )

    def fitted_before(moment: float, rows: NDArray[np.int64]) -> dict[str, Floats]:
        known = np.flatnonzero(at + horizon < moment)
        examples = flat_examples(numbers[known], tokens[known], {question: labels[known]})
        return fit_members(examples, recipe).answers(numbers[rows], tokens[rows])[0][question]

    middle = np.flatnonzero((at > chosen_from + horizon) & (at + horizon < scored_from))
    scored = np.flatnonzero(at > scored_from)
    blend = choose_blend(labels[middle], fitted_before(chosen_from, middle), np.ones(len(middle)))
    members = fitted_before(scored_from, scored)
    before = np.flatnonzero(at + horizon < scored_from)
    rates = _rates(tokens[before, 1], labels[before])
    return (
        {
            "blend": blend(members),
            "network": members[NETWORK],
            "trees": members[TREES],
            "logistic regression": members[LINEAR],
            "rate of the kind": np.array(
                [rates.get(int(kind), float(labels[before].mean())) for kind in tokens[scored, 1]]
            ),
        },
        scored,
    )


def _rates(kinds: NDArray[np.int32], labels: Floats) -> dict[int, float]:
    return {int(kind): float(labels[kinds == kind].mean()) for kind in np.unique(kinds)}


def _told(
    target: str,
    key: str,
    labels: Floats,
    answered: Mapping[str, Floats],
    units: NDArray[np.int64],
    anchor: Mapping[str, Mapping[str, float]],
    options: Options,
) -> tuple[list[Figure], list[Check]]:
    title = f"{target}, n = {len(labels)}, base rate {labels.mean():.3f}"
    keys = {
        "blend": "blend",
        "network": "torch",
        "trees": "hgb",
        "logistic regression": "lr",
        "rate of the kind": "per_type_rate",
    }
    figures = [Figure(title, "majority", "accuracy", measures.majority_accuracy(labels))]
    for method, probabilities in answered.items():
        known = anchor.get(keys[method], {})
        for name, measure in (("AUROC", measures.auroc), ("AUPRC", measures.auprc)):
            figures.append(
                Figure(
                    title,
                    method,
                    name,
                    measure(labels, probabilities),
                    measures.bootstrap(measure, labels, probabilities, units, options.resamplings, options.seed)
                    if method == "blend"
                    else None,
                    known.get(name.lower()),
                )
            )
        figures.append(Figure(title, method, "ECE", measures.calibration_error(labels, probabilities)))
    figures.append(
        Figure(
            title,
            "blend",
            "balanced accuracy",
            measures.balanced_accuracy(labels, answered["blend"]),
            None,
            anchor.get("hgb", {}).get("bacc"),
        )
    )
    auroc, auprc = (measure(labels, answered["blend"]) for measure in (measures.auroc, measures.auprc))
    checks = [Check(title, "AUROC", auroc, anchor["lr"]["auroc"], "LR (anchors.json)")]
    if "auprc" in anchor["lr"]:
        checks.append(Check(title, "AUPRC", auprc, anchor["lr"]["auprc"], "LR (anchors.json)"))
    own = measures.auroc(labels, answered["logistic regression"])
    checks.append(Check(title, "AUROC", auroc, own, "logistic regression of this run", Holding.AIM))
    for name, value, aim in zip(("AUROC", "AUPRC"), (auroc, auprc), AIMS[key], strict=False):
        checks.append(Check(title, name, value, aim, "aim of the benchmark", Holding.AIM))
    return figures, checks


AIMS: dict[str, tuple[float, ...]] = {
    "18V_H3600": (0.70, 0.47),
    "24V_H900": (0.88, 0.57),
    "18V_self_clear_300s": (0.85,),
}
