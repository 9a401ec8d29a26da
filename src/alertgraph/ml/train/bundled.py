"""Trains the version that everyone begins with, on public data that may be given on: MIT and CC BY 4.0 only.

Neither set is what the service sees. They are mapped onto live alerts as follows, and what has no counterpart is
left unknown instead of being made up:

- **ServiceNow incident log** (UCI, CC BY 4.0): the team an incident is given to is the service, its subcategory
  the kind, its priority the severity. It *needed a person* where it was passed on to another team (as an alert
  climbs past the first level) or missed its agreed time; it *breached* where it missed it, or was not closed
  within a fortnight. It is acknowledged when its state first leaves "New", and ends when it is resolved. Nothing
  is said of resolving itself. Incidents of the last fortnight, whose ends the log does not tell, are left out.
- **Alarms of two telecom networks** (PCIC 2021, MIT): the device is the service, the alarm's number the kind. An
  alarm *resolved itself* where it was over within a quarter of an hour, which is sooner than anybody comes: a
  stand-in, since who cleared it is not told. Its end is its end. Nothing is said of people.

Each source is a tenant of its own. What was the same in all rows of training (times that the sets do not tell) is
cut off from the network, so that a live value that it never saw says nothing. Names mean nothing to others: all
tokens but the severity are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from alertgraph.ml import live
from alertgraph.ml.artifact import LINEAR, Artifact, Manifest, Source
from alertgraph.ml.attribution import Baseline
from alertgraph.ml.blend import Blend, choose_blend
from alertgraph.ml.companions import Linear, TreeFitting
from alertgraph.ml.evaluation import measures
from alertgraph.ml.evaluation.data import columns
from alertgraph.ml.features import DAY_SECONDS, Observation
from alertgraph.ml.live import QUESTIONS, SCHEMA, TIME_EDGES, TIMES
from alertgraph.ml.model import Examples, Fitting, time_quantile
from alertgraph.ml.train.members import Members, Recipe, fit_members
from alertgraph.ml.train.prequential import HOUR_SECONDS, Case, Maturing, replay

Floats = NDArray[np.float64]
NAME = "torch_v1"
SEED = 20261123
NEVER = math.inf
FORTNIGHT = 14 * DAY_SECONDS
# Sooner than that nobody comes to an alarm.
BY_ITSELF_SECONDS = 900.0
TELECOM = ("18V_55N_Wireless", "24V_439N_Microwave")
SERVICENOW_SEVERITY = {"1": "CRITICAL", "2": "HIGH", "3": "MEDIUM", "4": "LOW"}
# The last part of each source is kept out of training until it has been judged by it.
TRAIN_SHARE = 0.8
RECIPE = Recipe(
    QUESTIONS,
    SCHEMA.bucket_count,
    word_count=SCHEMA.token_count,
    time_edges=TIME_EDGES,
    hidden_size=64,
    head_count=4,
    network=Fitting(epochs=4, batch_size=512, decay=0.02),
    trees=TreeFitting(tree_count=60, rate=0.1, leaf_count_max=12, leaf_rows_min=60, regularization=5.0),
    linear_strength=0.05,
    seed=SEED,
    times=TIMES,
    bin_count=8,
    embedding_size=8,
)


@dataclass(frozen=True, slots=True)
class Row:
    """An alert of a public set as the service would have met it.

    Attributes:
        case: For the features.
        answers: By question, 0 or 1; nan where the set does not tell.
        hours: By time, until it came or for how long it had not; nan where the set does not tell.
        ended: By time, whether it came.
    """

    case: Case
    answers: tuple[float, float, float]
    hours: tuple[float, float]
    ended: tuple[bool, bool]


@dataclass(frozen=True, slots=True)
class Part:
    """One source as rows for a model, in the order of time."""

    source: Source
    examples: Examples


def read_parts(data: Path) -> list[Part]:
    """Return all sources as a model sees them.

    Args:
        data: The root of the data sets.

    Raises:
        DataMissingError: A set is not there.
    """
    parts = [_part("UCI ServiceNow incident log", "CC BY 4.0", _incidents(data))]
    parts += [_part(f"PCIC 2021 telecom alarms {folder}", "MIT", _alarms(data, folder)) for folder in TELECOM]
    return parts


def train(data: Path, say: Callable[[str], None] = lambda _: None) -> Artifact:
    """Return the version that everyone begins with; the same data give the same bytes on the same machine.

    Raises:
        DataMissingError: A set is not there.
    """
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    parts = read_parts(data)
    for part in parts:
        say(f"{part.source.name}: {part.source.alert_count:,} alerts ({part.source.licence})")
    early = [_slice(part.examples, 0.0, TRAIN_SHARE) for part in parts]
    late = [_slice(part.examples, TRAIN_SHARE, 1.0) for part in parts]
    say(f"fitting on the first {TRAIN_SHARE:.0%} of each, to judge it by the rest")
    judged = _fitted(_joined(early))
    blends, evaluation = _judged(judged, late)
    say("fitting on everything")
    together = _joined([part.examples for part in parts])
    members = _fitted(together)
    artifact = assembled(
        NAME, members, blends, [part.source for part in parts], evaluation, Baseline.of(together.numbers)
    )
    artifact.check_given_on()
    return artifact


def assembled(
    name: str,
    members: Members,
    blends: Mapping[str, Blend],
    sources: Sequence[Source],
    evaluation: Mapping[str, float],
    baseline: Baseline,
) -> Artifact:
    """Return a model with all that it needs to answer; lines that no blend listens to are left out."""
    manifest = Manifest(name, tuple(sources), dict(evaluation), SCHEMA, members.network.shape)
    trees = dict(zip(QUESTIONS, members.trees, strict=True))
    linear = dict(zip(QUESTIONS, members.linear, strict=True))
    heard = {question for question in QUESTIONS if blends[question].weights.get(LINEAR)}
    return Artifact(
        manifest, members.network, trees, {name: linear[name] for name in sorted(heard)}, blends, baseline
    )


def cut_off(members: Members, numbers: NDArray[np.float32]) -> None:
    """Let numbers that were the same in every row say nothing at all."""
    still = np.flatnonzero(numbers.min(0) == numbers.max(0))
    network = members.network.network
    with torch.no_grad():
        weights = network.numbers_in.weight.view(network.numbers_in.out_features, numbers.shape[1], -1)
        weights[:, still] = 0.0
        network.embedding.weight[0] = 0.0
    members.linear = [replace(line, number_weights=_without(line, still)) for line in members.linear]


def _without(line: Linear, places: NDArray[np.int64]) -> Floats:
    weights = line.number_weights.copy()
    weights[places] = 0.0
    return weights


def _fitted(examples: Examples) -> Members:
    members = fit_members(examples, RECIPE)
    cut_off(members, examples.numbers)
    # Tokens that no row had keep their first, random vectors: to others' names they would be noise.
    seen = np.zeros(SCHEMA.bucket_count, dtype=bool)
    seen[np.unique(examples.tokens)] = True
    with torch.no_grad():
        members.network.network.embedding.weight[torch.from_numpy(~seen)] = 0.0
    return members


def _judged(members: Members, late: Sequence[Examples]) -> tuple[dict[str, Blend], dict[str, float]]:
    """Return blends chosen by, and figures read off, alerts later than those that were learnt from.

    The blend's weights and line are chosen by the same rows as the figures are read off: four numbers by thousands
    of rows.
    """
    rows = _joined(late)
    told, network = members.answers(rows.numbers, rows.tokens)
    blends: dict[str, Blend] = {}
    evaluation: dict[str, float] = {}
    for place, question in enumerate(QUESTIONS):
        known = ~np.isnan(rows.answers[:, place])
        labels = rows.answers[known, place]
        answers = {name: values[known] for name, values in told[question].items()}
        blends[question] = choose_blend(labels, answers, np.ones(len(labels)))
        said = blends[question](answers)
        evaluation[f"{question} AUROC"] = measures.auroc(labels, said)
        evaluation[f"{question} AUPRC"] = measures.auprc(labels, said)
        evaluation[f"{question} ECE"] = measures.calibration_error(labels, said)
        evaluation[f"{question} base rate of the judged"] = float(labels.mean())
        evaluation[f"{question} judged on"] = float(len(labels))
    for place, time in enumerate(TIMES):
        came = rows.ended[:, place] & ~np.isnan(rows.hours[:, place])
        middle = np.minimum(time_quantile(network.survivals[place], TIME_EDGES, 0.5), TIME_EDGES[-1])[came]
        truth = np.maximum(rows.hours[came, place], 1 / 3600)
        evaluation[f"time to {time} MAE of log hours"] = float(np.abs(np.log(middle) - np.log(truth)).mean())
        evaluation[f"time to {time} judged on"] = float(came.sum())
    return blends, {name: round(value, 4) for name, value in evaluation.items()}


def _part(name: str, licence: str, rows: Sequence[Row]) -> Part:
    salt = name.encode().ljust(16, b"\0")[:16]
    numbers, tokens = _features([row.case for row in rows], salt)
    at = np.array([row.case.seen.at for row in rows])
    hours = np.array([row.hours for row in rows], dtype=np.float64)
    # After a week nothing more is waited for.
    week = 24.0 * 7
    ended = np.array([row.ended for row in rows]) & ~(hours > week)
    source = Source(name, licence, float(at[0]), float(at[-1]), len(rows))
    return Part(
        source,
        Examples(
            numbers,
            tokens,
            np.array([row.answers for row in rows], dtype=np.float64),
            np.minimum(hours, week),
            ended,
            np.ones(len(rows)),
        ),
    )


def _features(cases: Sequence[Case], salt: bytes) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return the features of each case as they were when it came in, without tokens that others do not share."""
    numbers, tokens = replay(cases, SCHEMA, salt)
    for place, name in enumerate(SCHEMA.token_names()):
        if name not in SCHEMA.shared:
            tokens[:, place] = 0
    return numbers, tokens


def _slice(examples: Examples, start: float, end: float) -> Examples:
    count = len(examples)
    return examples.at(np.arange(int(start * count), int(end * count)))


def _joined(parts: Sequence[Examples]) -> Examples:
    """Return rows of several sources, each source weighing the same as a whole."""
    size = sum(len(part) for part in parts) / len(parts)
    return Examples(
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.tokens for part in parts]),
        np.concatenate([part.answers for part in parts]),
        np.concatenate([part.hours for part in parts]),
        np.concatenate([part.ended for part in parts]),
        np.concatenate([part.weights * size / len(part) for part in parts]),
    )


# -------------------------------------------------------------------------------------------- sources


def _instant(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def _incidents(data: Path) -> list[Row]:
    table = columns(data, "servicenow", "incident_events_dev.csv.gz")
    rows: dict[str, list[int]] = {}
    for row, number in enumerate(table["number"]):
        rows.setdefault(number, []).append(row)
    until = max(map(_instant, table["sys_updated_at"]))
    found = [_incident(table, own, until) for own in rows.values()]
    return sorted((row for row in found if row is not None), key=lambda row: row.case.seen.at)


def _incident(table: Mapping[str, Sequence[str]], rows: Sequence[int], until: float) -> Row | None:
    first, last = rows[0], rows[-1]
    opened = _instant(table["opened_at"][first])
    at = max(opened, _instant(table["sys_updated_at"][first]))

    def value(name: str) -> str:
        told = table[name][first]
        return "" if told == "?" else told

    def since(rest: Callable[[int], bool]) -> float:
        return next((_instant(table["sys_updated_at"][row]) for row in rows if rest(row)), NEVER)

    seen = Observation(
        at=at,
        service=value("assignment_group"),
        kind=value("subcategory"),
        fields={
            "severity": SERVICENOW_SEVERITY.get(value("priority"), ""),
            "source": "servicenow",
            "team": value("assignment_group"),
            "place": value("location"),
            "host": value("cmdb_ci"),
        },
        numbers={live.LATE: math.log1p(at - opened)},
    )
    told = table["resolved_at"][last]
    ended_states = ("Resolved", "Closed")
    resolved = _instant(told) if told != "?" else since(lambda row: table["incident_state"][row] in ended_states)
    closed = since(lambda row: table["incident_state"][row] == "Closed")
    passed_on = since(lambda row: table["reassignment_count"][row] != "0")
    taken = since(lambda row: table["incident_state"][row] != "New")
    if at > until - FORTNIGHT:
        return None
    breach = float(closed > opened + FORTNIGHT or table["made_sla"][last] == "false")
    needed = max(breach, float(passed_on < NEVER))
    known_at = max(min(closed, opened + FORTNIGHT), at)
    resolved = max(resolved, at)
    outcomes = [
        Maturing(live.NEEDED, needed, known_at),
        Maturing(live.BREACHED, breach, known_at),
        Maturing(live.RESOLVED_ITSELF, 0.0, known_at),
    ]
    if resolved < NEVER:
        outcomes.append(Maturing(live.LOG_RESOLVED, math.log1p(resolved - opened), resolved))
        outcomes.append(Maturing(live.LOG_FIRED, math.log1p(1.0), resolved))
    if taken <= resolved and taken < NEVER:
        outcomes.append(Maturing(live.LOG_ACKNOWLEDGED, math.log1p(max(taken - opened, 0.0)), max(taken, at)))
    if resolved == NEVER and taken == NEVER:
        hours, ended = (math.nan, math.nan), (False, False)
    else:
        end = resolved if resolved < NEVER else max(taken, at)
        hours = (
            (min(taken, end) - opened) / HOUR_SECONDS,
            (resolved - opened) / HOUR_SECONDS if resolved < NEVER else math.nan,
        )
        ended = (taken <= end, resolved < NEVER)
    case = Case(seen, resolved if resolved < NEVER else None, outcomes)
    return Row(case, (needed, breach, math.nan), hours, ended)


def _alarms(data: Path, folder: str) -> list[Row]:
    table = columns(data, "telecom_alarms", folder, "alarm.csv.gz")
    rows = []
    for at_text, end_text, device, kind in zip(
        table["start_timestamp"], table["end_timestamp"], table["device_id"], table["alarm_id"], strict=True
    ):
        at, end = float(at_text), max(float(end_text), float(at_text))
        itself = float(end - at <= BY_ITSELF_SECONDS)
        seen = Observation(at=at, service=device, kind=kind, fields={"source": "telecom", "host": device})
        outcomes = (
            Maturing(live.RESOLVED_ITSELF, itself, min(end, at + BY_ITSELF_SECONDS)),
            Maturing(live.LOG_RESOLVED, math.log1p(end - at), end),
            Maturing(live.LOG_FIRED, math.log1p(1.0), end),
        )
        rows.append(
            Row(
                Case(seen, end, outcomes),
                (math.nan, math.nan, itself),
                (math.nan, (end - at) / HOUR_SECONDS),
                (False, True),
            )
        )
    return sorted(rows, key=lambda row: row.case.seen.at)
