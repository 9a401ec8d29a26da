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
        times: Which times are asked for.
        bin_count: Pieces that each number is cut into.
        embedding_size: Of a token.
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
    times: tuple[str, ...] = ("end",)
    bin_count: int = 12
    embedding_size: int = 16

    def shape(self, number_count: int, token_count: int) -> ModelShape:
        """Return the sizes of a network for rows of so many numbers and tokens."""
        return ModelShape(
            number_count=number_count,
            field_count=token_count - self.word_count,
            word_count=self.word_count,
            bucket_count=self.bucket_count,
            questions=self.questions,
            time_edges=self.time_edges,
            times=self.times,
            bin_count=self.bin_count,
            embedding_size=self.embedding_size,
            hidden_size=self.hidden_size,
            head_count=self.head_count,
        )


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
    network = NeuralModel(recipe.shape(examples.numbers.shape[1], examples.tokens.shape[1]), recipe.seed)
    network.fit(examples, recipe.network)
    return with_companions(network, examples, recipe, tree_weights)


def with_companions(
    network: NeuralModel, examples: Examples, recipe: Recipe, tree_weights: Floats | None = None
) -> Members:
    """Return a network with trees and lines beside it that are fitted on the rows."""
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
