"""What moved the chance of needing a person, in words that a responder can check."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from alertgraph.core.prediction import FeatureContribution
from alertgraph.ml import live
from alertgraph.ml.artifact import Artifact
from alertgraph.ml.attribution import Contribution, attribute
from alertgraph.ml.features import FeatureRow

COUNT_MAX = 20
# What moves the odds by less than two per cent is noise.
WEIGHT_MIN = 0.02


def contributions(
    artifact: Artifact, row: FeatureRow, *, abstained: bool = False
) -> Sequence[FeatureContribution]:
    """Return what moved the chance, strongest first.

    Args:
        artifact: The version that answered. Its network is explained, which is one voice of several: what trees
            and line added is not told.
        row: What it looked at.
        abstained: Whether rates were shown in the place of an answer: then those are explained.
    """
    if abstained:
        return _of_rates(row)
    found = attribute(artifact.network, live.SCHEMA, row, live.INCIDENT, artifact.baseline)
    kept = [one for one in found.contributions if abs(one.weight) >= WEIGHT_MIN][:COUNT_MAX]
    return [FeatureContribution(_stable(one.name), one.weight, _sentence(one)) for one in kept]


def _of_rates(row: FeatureRow) -> Sequence[FeatureContribution]:
    """Return how the rate shown follows from the rates of ever narrower groups."""
    known = math.expm1(float(row.numbers[live.TENANT_KNOWN]))
    before = 0.0
    found = []
    for group in (live.SCHEMA.groups[0], live.SCHEMA.groups[2], live.SCHEMA.groups[4]):
        about = " and ".join(group) or "tenant"
        own = float(row.numbers[live.NUMBER_NAMES.index(f"{live.NEEDED} of the same {about}")])
        after = _logit(float(live.shrunken(own, known)))
        if abs(after - before) >= WEIGHT_MIN:
            name = f"{live.NEEDED} of the same {about}"
            found.append(Contribution(name, own, after - before))
        before = after
    found.sort(key=lambda one: -abs(one.weight))
    return [FeatureContribution(_stable(one.name), one.weight, _sentence(one)) for one in found]


def _logit(probability: float) -> float:
    held = min(max(probability, 1e-3), 1 - 1e-3)
    return math.log(held / (1 - held))


def _stable(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _sentence(one: Contribution) -> str:
    effect = "makes it likelier" if one.weight > 0 else "makes it less likely"
    if one.value is None:
        return f"{one.name} {effect}"
    return f"{one.name}: {_value(one.name, one.value)} {effect}"


def _value(name: str, value: float) -> str:
    """Return a number as a person would say it; features keep counts and times as logarithms."""
    if name.startswith("share that"):
        return f"{value:.0%}"
    if name.startswith(("alerts of", "open alerts", "known outcomes", "kinds active", "log of times")):
        return f"{float(np.expm1(value)):.1f}"
    if name.startswith(("time since", "usual time", "log of seconds")):
        return _duration(float(np.expm1(value)))
    return f"{value:.3g}"


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
