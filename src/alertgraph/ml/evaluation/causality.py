"""T4: the graph of causes among types of alarm, against the one that experts drew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from alertgraph.ml.causes import EDGE_SHARE, AlarmSigns, alarm_signs, causal_edges, cause_scores
from alertgraph.ml.evaluation.data import anchors, columns, existing
from alertgraph.ml.evaluation.registry import Options
from alertgraph.ml.evaluation.report import Check, Figure, Holding, Interval, TaskResult

Edges = NDArray[np.bool_]
Ints = NDArray[np.int64]

OURS: Final = "five signs"
PROTOCOL: Final = (
    "One fixed rule for all networks, no label used: the best quarter of ordered pairs, never both ways. F1 of "
    "directed edges against the experts' graph. Intervals: devices drawn with replacement."
)
NOTES: Final = (
    "The signs and the share were chosen while looking at 18V and 24V: only another network is a test.",
    "F1 is kind to dense answers: where many pairs are true, every pair both ways outdoes published methods.",
)
AIMS: Final = {"18V": 0.66, "24V": 0.45}


@dataclass(frozen=True, slots=True)
class Network:
    """What one network's alarms show, and the truth."""

    signs: AlarmSigns
    truth: Edges


def run(data: Path, options: Options) -> TaskResult:
    """Return how much of the experts' graphs is found."""
    told = anchors(data)["T4_alarm_causal_graph_f1"]
    draw = np.random.default_rng(options.seed)
    figures: list[Figure] = []
    checks: list[Check] = []
    for folder in sorted(path for path in existing(data, "telecom_alarms").iterdir() if path.is_dir()):
        if not (folder / "causal_edges.csv").exists():
            continue
        name = folder.name.split("_", 1)[0]
        network = _network(data, folder.name)
        found = causal_edges(cause_scores(network.signs))
        value = f1(found, network.truth)
        figures.append(Figure(name, OURS, "F1", value, _interval(network, draw, options.resamplings)))
        figures.extend(_simple(name, network, draw, options.resamplings))
        published = told["published"].get(name, {})
        figures.extend(Figure(name, f"{who} (published)", "F1", float(score)) for who, score in published.items())
        if "THP" in published:
            bound = float(published["THP"])
            checks.append(Check(name, "F1", value, bound, "THP (published)", strict=True))
        if name in AIMS:
            checks.append(Check(name, "F1", value, AIMS[name], "the aim", Holding.AIM))
    return TaskResult(tuple(figures), tuple(checks), PROTOCOL, NOTES)


def f1(found: Edges, truth: Edges) -> float:
    """Return the harmonic mean of precision and recall of directed edges; 0 where nothing was found or is true."""
    total = int(found.sum() + truth.sum())
    return 2.0 * int((found & truth).sum()) / total if total else 0.0


def _network(data: Path, folder: str) -> Network:
    rows = columns(data, "telecom_alarms", folder, "alarm.csv.gz")
    alarms = {name: np.array(values, np.float64).astype(np.int64) for name, values in rows.items()}
    edges = columns(data, "telecom_alarms", folder, "causal_edges.csv")
    causes, effects = (np.array(edges[name], np.int64) for name in ("cause", "effect"))
    type_count = int(max(alarms["alarm_id"].max(), causes.max(), effects.max())) + 1
    truth = np.zeros((type_count, type_count), np.bool_)
    truth[causes, effects] = True
    neighbours: dict[int, set[int]] = {}
    if (data / "telecom_alarms" / folder / "topology_edges.csv").exists():
        links = columns(data, "telecom_alarms", folder, "topology_edges.csv")
        for left, right in zip(links["device_a"], links["device_b"], strict=True):
            neighbours.setdefault(int(left), set()).add(int(right))
            neighbours.setdefault(int(right), set()).add(int(left))
    signs = alarm_signs(
        alarms["alarm_id"],
        alarms["device_id"],
        alarms["start_timestamp"],
        alarms["end_timestamp"],
        neighbours,
        type_count,
    )
    return Network(signs, truth)


def _interval(network: Network, draw: np.random.Generator, resamplings: int) -> Interval:
    device_count = len(network.signs.count)
    values = []
    for _ in range(resamplings):
        weights = np.bincount(draw.integers(0, device_count, device_count), minlength=device_count)
        values.append(f1(causal_edges(cause_scores(network.signs, weights.astype(np.float64))), network.truth))
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(float(low), float(high))


def _simple(name: str, network: Network, draw: np.random.Generator, resamplings: int) -> Sequence[Figure]:
    """Return what plain lagged co-occurrence, every pair, and chance come to."""
    after = network.signs.after.sum(0)
    np.fill_diagonal(after, -np.inf)
    truth = network.truth
    type_count = len(truth)
    wanted = int(EDGE_SHARE * type_count * (type_count - 1))
    off = np.flatnonzero(~np.eye(type_count, dtype=np.bool_))
    by_chance = []
    for _ in range(resamplings):
        edges = np.zeros(truth.size, np.bool_)
        edges[draw.choice(off, wanted, replace=False)] = True
        by_chance.append(f1(edges.reshape(truth.shape), truth))
    low, high = np.quantile(by_chance, [0.025, 0.975])
    return (
        Figure(name, "lagged co-occurrence", "F1", f1(causal_edges(after), truth)),
        Figure(name, "every pair, both ways", "F1", f1(~np.eye(type_count, dtype=np.bool_), truth)),
        Figure(name, "chance", "F1", float(np.mean(by_chance)), Interval(float(low), float(high))),
    )
