"""Why a model said what it said: how much each feature moved its logit, and that in words.

References:
    Sundararajan et al., *Axiomatic attribution for deep networks*, 2017 (integrated gradients).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from alertgraph.ml.features import FeatureRow, FeatureSchema
from alertgraph.ml.model import NeuralModel

STEPS = 32


@dataclass(frozen=True, slots=True)
class Baseline:
    """What an answer is explained against: the usual alert of the tenant.

    Attributes:
        numbers: (number_count,) the mean of each number.
    """

    numbers: NDArray[np.float32]

    @classmethod
    def of(cls, numbers: NDArray[np.float32]) -> Baseline:
        """Return the mean of rows (n, number_count)."""
        return cls(numbers.mean(0, dtype=np.float64).astype(np.float32))


@dataclass(frozen=True, slots=True)
class Contribution:
    """One feature's part in an answer.

    Attributes:
        name: The feature in words.
        value: What it was; None for a property, whose value only the alert itself tells.
        weight: By how much it moved the logit: above 0 towards yes.
    """

    name: str
    value: float | None
    weight: float

    def sentence(self) -> str:
        """Return it in words: "alerts of the same service, fading by half in 5 min (2.1) makes it likelier"."""
        value = "" if self.value is None else f" ({self.value:.3g})"
        return f"{self.name}{value} makes it {'likelier' if self.weight > 0 else 'less likely'}"


@dataclass(frozen=True, slots=True)
class Attribution:
    """All features' parts in one answer.

    Attributes:
        contributions: Largest first.
        logit: What the model said, as the mean logit of its heads.
        baseline_logit: What it says of the usual alert.
    """

    contributions: tuple[Contribution, ...]
    logit: float
    baseline_logit: float

    @property
    def gap(self) -> float:
        """What the parts fail to add up to, as a share of what had to be explained."""
        whole = self.logit - self.baseline_logit
        return abs(sum(part.weight for part in self.contributions) - whole) / max(abs(whole), 1e-3)


def attribute(
    model: NeuralModel,
    schema: FeatureSchema,
    row: FeatureRow,
    question: str,
    baseline: Baseline,
    steps: int = STEPS,
) -> Attribution:
    """Return what moved a model's answer away from its answer to the usual alert.

    Gradients are integrated along the straight way from the usual alert to this one, in the space of encoded
    numbers and embedded tokens, where "nothing is known of this property" is the zero vector.

    Args:
        model: The network that answered.
        schema: Names the features.
        row: The alert.
        question: Which answer.
        baseline: The usual alert.
        steps: Points on the way.
    """
    network = model.network
    network.eval()
    place = model.shape.questions.index(question)
    with torch.no_grad():
        numbers = torch.from_numpy(np.stack([baseline.numbers, row.numbers]))
        encoded = network.encoded(numbers)
        embedded = network.embedded(torch.from_numpy(row.tokens.astype(np.int64)).unsqueeze(0))
        # Gauss and Legendre's points: exact for smooth ways with few of them.
        points, shares = np.polynomial.legendre.leggauss(steps)
        along = torch.from_numpy(((points + 1) / 2).astype(np.float32)).reshape(-1, 1, 1)
        number_way = encoded[1:] - encoded[:1]
    number_steps = (encoded[:1] + along * number_way).requires_grad_()
    token_steps = (along * embedded).requires_grad_()
    logits = network.decided(number_steps, token_steps)[:, :, place].mean(1)
    by_number, by_token = torch.autograd.grad(logits.sum(), (number_steps, token_steps))
    weights = torch.from_numpy((shares / 2).astype(np.float32)).reshape(-1, 1, 1)
    number_parts = ((by_number * weights).sum(0) * number_way[0]).sum(1).double().numpy()
    token_parts = ((by_token * weights).sum(0) * embedded[0]).sum(1).double().numpy()
    with torch.no_grad():
        ends = network.decided(encoded, torch.cat([torch.zeros_like(embedded), embedded]))[:, :, place].mean(1)
    contributions = [
        Contribution(name, float(value), float(part))
        for name, value, part in zip(schema.number_names(), row.numbers, number_parts, strict=True)
    ]
    contributions += [
        Contribution(name, None, float(part))
        for name, part in zip(_token_places(schema), token_parts, strict=True)
    ]
    contributions.sort(key=lambda contribution: -abs(contribution.weight))
    return Attribution(tuple(contributions), float(ends[1]), float(ends[0]))


def _token_places(schema: FeatureSchema) -> Sequence[str]:
    """Return a name for each place of embedded tokens: words share the last one."""
    names = schema.token_names()
    alone = names[: len(schema.fields) + len(schema.crosses)]
    return (*alone, "the text") if schema.token_count else alone
