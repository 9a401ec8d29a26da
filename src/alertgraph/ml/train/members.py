"""The three models that answer together, fitted at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from alertgraph.ml.artifact import LINEAR, NETWORK, TREES
from alertgraph.ml.companions import Linear, TreeFitting, Trees, fit_linear, fit_trees
from alertgraph.ml.model import Answers, Examples, Fitting, ModelShape, NeuralModel

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the models are fitted.

    Attributes:
        questions: What is answered.
        bucket_count: Of the schema.
        word_count: Of the schema.
        time_edges: Bins of time, in hours; empty where no times are asked for.
        hidden_size: Of the network.
        head_count: Of the network.
        network: How the network is fitted.
        trees: How trees are fitted.
        linear_strength: scikit-learn's C.
        seed: Of everything drawn.
    """

    questions: tuple[str, ...]
    bucket_count: int
    word_count: int = 0
    time_edges: tuple[float, ...] = ()
    hidden_size: int = 128
    head_count: int = 8
    network: Fitting = field(default_factory=lambda: Fitting(epochs=5))
    trees: TreeFitting = field(default_factory=TreeFitting)
    linear_strength: float = 0.3
    seed: int = 20261123


@dataclass(slots=True)
class Members:
    """Models that were fitted on the same rows; trees and lines in the order of the questions."""

    questions: tuple[str, ...]
    network: NeuralModel
    trees: list[Trees]
    linear: list[Linear]

    def answers(
        self, numbers: NDArray[np.float32], tokens: NDArray[np.int32]
    ) -> tuple[dict[str, dict[str, Floats]], Answers]:
        """Return what each model says, by question and model; and all that the network says."""
        network = self.network.answers(numbers, tokens)
        told = {
            question: {
                NETWORK: network.probabilities[question],
                TREES: self.trees[place].probabilities(numbers),
                LINEAR: self.linear[place].probabilities(numbers, tokens),
            }
            for place, question in enumerate(self.questions)
        }
        return told, network


def fit_members(examples: Examples, recipe: Recipe, tree_weights: Floats | None = None) -> Members:
    """Return all models fitted on the same rows.

    Args:
        examples: The rows.
        recipe: How.
        tree_weights: (n,) how much each row counts for trees; None as for the others.
    """
    shape = ModelShape(
        number_count=examples.numbers.shape[1],
        field_count=examples.tokens.shape[1] - recipe.word_count,
        word_count=recipe.word_count,
        bucket_count=recipe.bucket_count,
        questions=recipe.questions,
        time_edges=recipe.time_edges,
        hidden_size=recipe.hidden_size,
        head_count=recipe.head_count,
    )
    network = NeuralModel(shape, recipe.seed)
    network.fit(examples, recipe.network)
    weights = examples.weights if tree_weights is None else tree_weights
    asked = range(len(recipe.questions))
    return Members(
        recipe.questions,
        network,
        [fit_trees(examples.numbers, examples.answers[:, place], weights, recipe.trees) for place in asked],
        [
            fit_linear(
                examples.numbers,
                examples.tokens,
                examples.answers[:, place],
                examples.weights,
                recipe.bucket_count,
                recipe.linear_strength,
            )
            for place in asked
        ],
    )


def flat_examples(
    numbers: NDArray[np.float32],
    tokens: NDArray[np.int32],
    answers: Mapping[str, Floats],
    weights: Floats | None = None,
) -> Examples:
    """Return rows whose outcomes are all known, and which tell nothing of times."""
    count = len(numbers)
    return Examples(
        numbers,
        tokens,
        np.column_stack(list(answers.values())),
        np.full(count, np.nan),
        np.zeros(count, dtype=bool),
        np.ones(count) if weights is None else weights,
    )
