"""Trains a candidate for a tenant: a function of the version it begins with, the tenant's examples and a seed.

Nothing of one tenant's gets into what another one has: a candidate is kept with its tenant and nowhere else.

All weights are the tenant's own. With few examples they begin as those of the version before; with many, at
random, with edges of its own. To leave shared layers as they are, and let a small part beside them learn, was
tried, and came to less from 200 examples on (docs/learning.md). Trees and a line are fitted on its own examples.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from alertgraph import __version__
from alertgraph.core.learning import Example
from alertgraph.ml import live
from alertgraph.ml.artifact import Artifact, Manifest, Source
from alertgraph.ml.attribution import Baseline
from alertgraph.ml.blend import Blend, choose_blend
from alertgraph.ml.companions import TreeFitting
from alertgraph.ml.evaluation import measures
from alertgraph.ml.features import StateMismatchError
from alertgraph.ml.live import QUESTIONS
from alertgraph.ml.model import Examples, Fitting, NeuralModel
from alertgraph.ml.train.bundled import RECIPE, assembled
from alertgraph.ml.train.members import Members, with_companions

Floats = NDArray[np.float64]
EXAMPLES_MIN = 150
# From so many examples on the network begins anew: what it knew before is worth less than edges of its own.
OWN_NETWORK_MIN = 4_000
EXAMPLES_MAX = 20_000
# An example counts half after so many newer ones.
HALF_LIFE = 5_000.0
# The newest examples choose the blend, and are learnt from afterwards.
CHOOSING_SHARE = 0.25
WEEK_HOURS = 24.0 * 7
NOT_GIVEN_ON = "not to be given on"
TREES = TreeFitting(tree_count=60, rate=0.1, leaf_count_max=8, leaf_rows_min=20, regularization=5.0)


class TooFewExamplesError(ValueError):
    """There is not enough to learn from; the message says how much there is."""


def train_candidate(base: Artifact, examples: Sequence[Example], seed: int = 0) -> Artifact:
    """Return a candidate; the same version, examples and seed give the same bytes.

    Args:
        base: The version it begins with.
        examples: Oldest first.
        seed: Of everything drawn.

    Raises:
        TooFewExamplesError: There are too few that can be used.
    """
    torch.set_num_threads(1)
    rows, used = as_rows(examples[-EXAMPLES_MAX:])
    if len(rows) < EXAMPLES_MIN:
        raise TooFewExamplesError(f"{len(rows)} examples are known to the end; it takes {EXAMPLES_MIN}")
    cut = int(len(rows) * (1 - CHOOSING_SHARE))
    early, late = rows.at(np.arange(cut)), rows.at(np.arange(cut, len(rows)))
    blends, evaluation = chosen_by(_fitted(base, early, seed), late)
    members = _fitted(base, rows, seed)
    began, ended = used[0].triggered_at.timestamp(), used[-1].triggered_at.timestamp()
    source = Source("the tenant's own alerts", NOT_GIVEN_ON, began, ended, len(rows))
    made = assembled(_name(base, used, seed), members, blends, [source], evaluation, Baseline.of(rows.numbers))
    return replace(made, manifest=_checked(made.manifest))


def chosen_by(members: Members, late: Examples) -> tuple[dict[str, Blend], dict[str, float]]:
    """Return the blends that lose least on examples later than those learnt from, and figures of them."""
    told, _ = members.answers(late.numbers, late.tokens)
    blends: dict[str, Blend] = {}
    evaluation: dict[str, float] = {}
    for place, question in enumerate(QUESTIONS):
        labels = late.answers[:, place]
        blends[question] = choose_blend(labels, told[question], late.weights)
        said = blends[question](told[question])
        evaluation[f"{question} log-loss"] = round(measures.log_loss(labels, said), 6)
        evaluation[f"{question} base rate"] = round(float(labels.mean()), 6)
    return blends, evaluation


def _checked(manifest: Manifest) -> Manifest:
    assert manifest.schema == live.SCHEMA, "examples of other features were left out"
    return manifest


def _name(base: Artifact, used: Sequence[Example], seed: int) -> str:
    """Return a name that follows from what it is made of."""
    told = hashlib.sha256(f"{base.version()} {seed} {__version__}".encode())
    for example in used:
        told.update(example.outcome.alert_id.bytes + bytes([example.outcome.needed_person]))
    return f"own-{len(used)}-{told.hexdigest()[:12]}"


def as_rows(examples: Sequence[Example]) -> tuple[Examples, list[Example]]:
    """Return examples as a model learns from them, and which ones could be used: those of today's features."""
    used, rows = [], []
    for example in examples:
        try:
            rows.append(live.unpacked(example.features))
        except StateMismatchError:
            # Kept by another release.
            continue
        used.append(example)
    count = len(used)
    outcomes = [example.outcome for example in used]
    answers = np.array(
        [(outcome.needed_person, outcome.breached, outcome.self_resolved) for outcome in outcomes],
        dtype=np.float64,
    ).reshape(-1, len(QUESTIONS))
    hours, ended = times_of(
        np.array([_or_nan(outcome.acknowledged_after) for outcome in outcomes]),
        np.array([_or_nan(outcome.resolved_after) for outcome in outcomes]),
    )
    ages = np.arange(count, 0, -1, dtype=np.float64)
    return (
        Examples(
            np.stack([row.numbers for row in rows]) if rows else np.zeros((0, len(live.NUMBER_NAMES)), np.float32),
            np.stack([row.tokens for row in rows]) if rows else np.zeros((0, 1), np.int32),
            answers,
            hours,
            ended,
            0.5 ** (ages / HALF_LIFE),
        ),
        used,
    )


def times_of(acknowledged_after: Floats, resolved_after: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return (n, time_count) hours until an acknowledgement and an end, and whether they came.

    Args:
        acknowledged_after: (n,) seconds; nan where nobody acknowledged it.
        resolved_after: (n,) seconds; nan where it was open when it matured.
    """
    lasted = np.minimum(np.nan_to_num(resolved_after, nan=WEEK_HOURS * 3600.0) / 3600.0, WEEK_HOURS)
    # One that nobody acknowledged is known to have waited until its end.
    waited = np.where(np.isnan(acknowledged_after), lasted, acknowledged_after / 3600.0)
    came = np.column_stack([~np.isnan(acknowledged_after), ~np.isnan(resolved_after) & (lasted < WEEK_HOURS)])
    return np.column_stack([np.minimum(waited, WEEK_HOURS), lasted]), came


def _or_nan(seconds: float | None) -> float:
    return math.nan if seconds is None else seconds


def _fitted(base: Artifact, rows: Examples, seed: int) -> Members:
    recipe = replace(RECIPE, trees=replace(TREES, seed=seed), seed=seed)
    steps = max(len(rows) // 128, 1)
    # As many steps whatever there is, within bounds: a few hundred rows want more passes than thousands.
    epochs = min(max(200 // steps, 2), 12)
    if len(rows) >= OWN_NETWORK_MIN:
        network = NeuralModel(recipe.shape(rows.numbers.shape[1], rows.tokens.shape[1]), seed)
        network.fit(rows, Fitting(epochs=epochs, batch_size=128, seed=seed))
    else:
        network = base.network.copy()
        network.learn(rows, Fitting(epochs=epochs, batch_size=128, rate=1e-3, seed=seed))
    return with_companions(network, rows, recipe)
