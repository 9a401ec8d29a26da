"""A small version of the service's model, fitted in a second, for tests of what serves it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from uuid import UUID

import numpy as np

from alertgraph.core.ids import TenantId
from alertgraph.ml import live
from alertgraph.ml.artifact import Artifact, Source
from alertgraph.ml.attribution import Baseline
from alertgraph.ml.blend import Blend
from alertgraph.ml.model import Examples, Fitting
from alertgraph.ml.serving import LiveHost
from alertgraph.ml.train.bundled import RECIPE, assembled
from alertgraph.ml.train.members import fit_members

TENANT = TenantId(UUID(int=5))
SALT = bytes(range(16))
SOURCE = Source("made up", "MIT", 0.0, 1.0, 400)
SMALL = replace(
    RECIPE,
    hidden_size=16,
    head_count=2,
    network=Fitting(epochs=1),
    trees=replace(RECIPE.trees, tree_count=5),
)


@cache
def an_artifact(name: str = "torch_v1", seed: int = 1) -> Artifact:
    """Return a version that knows next to nothing, of the service's features."""
    draw = np.random.default_rng(seed)
    count = 400
    numbers = draw.random((count, len(live.NUMBER_NAMES))).astype(np.float32)
    answers = (draw.random((count, 3)) < numbers[:, list(live.RATE_PLACES)]).astype(np.float64)
    examples = Examples(
        numbers,
        draw.integers(0, live.SCHEMA.bucket_count, (count, len(live.SCHEMA.token_names()))).astype(np.int32),
        answers,
        np.exp(draw.normal(size=(count, 2))),
        draw.random((count, 2)) < 0.8,
        np.ones(count),
    )
    members = fit_members(examples, replace(SMALL, seed=seed))
    blends = {question: Blend({"linear": 0.0, "network": 0.5, "trees": 0.5}) for question in live.QUESTIONS}
    return assembled(name, members, blends, [SOURCE], {}, Baseline.of(numbers))


@cache
def a_host() -> LiveHost:
    """Return a host of the small version."""
    return LiveHost(an_artifact())
