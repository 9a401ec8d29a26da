"""Boosted trees and a linear model beside the network: fitted by scikit-learn, kept and asked as plain arrays.

What answers is a few arrays of numbers that are checked when they are read: no object of another library is ever
stored, so nothing that is loaded can run, and answering needs numpy alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from alertgraph.ml.calibration import expit

Floats = NDArray[np.float64]
TREE_FIELDS = ("feature", "threshold", "left", "right", "value", "roots")


@dataclass(frozen=True, slots=True)
class Trees:
    """Boosted trees over numbers. All nodes of all trees lie in one row of arrays; a leaf is its own child.

    Attributes:
        feature: (node_count,) which number a node looks at.
        threshold: (node_count,) up to which value it goes left.
        left: (node_count,) place of the left child.
        right: (node_count,) place of the right child.
        value: (node_count,) what a leaf adds to the logit.
        roots: (tree_count,) place of each tree's first node.
        base: Logit before any tree.
        depth: Steps from any root to its deepest leaf.
    """

    feature: NDArray[np.int32]
    threshold: Floats
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: Floats
    roots: NDArray[np.int32]
    base: float
    depth: int

    def logits(self, numbers: NDArray[np.float32]) -> Floats:
        """Return the logit of each row (n, number_count)."""
        return Forest([self]).logits(numbers)[:, 0]

    def probabilities(self, numbers: NDArray[np.float32]) -> Floats:
        """Return the probability of each row."""
        return expit(self.logits(numbers))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return everything as arrays, to be kept."""
        kept: dict[str, NDArray[np.generic]] = {name: getattr(self, name) for name in TREE_FIELDS}
        return {**kept, "base": np.array([self.base]), "depth": np.array([self.depth], dtype=np.int32)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]], number_count: int) -> Trees:
        """Return the trees that `arrays` gave.

        Raises:
            ValueError: A node would look outside: at a number or a child that there is not.
        """
        trees = cls(
            **{name: np.asarray(arrays[name]) for name in TREE_FIELDS},
            base=float(arrays["base"][0]),
            depth=int(arrays["depth"][0]),
        )
        count = len(trees.feature)
        if not all(len(getattr(trees, name)) == count for name in TREE_FIELDS[:-1]):
            raise ValueError("the trees' arrays differ in length")
        for name, limit in (("feature", number_count), ("left", count), ("right", count), ("roots", count)):
            values = getattr(trees, name)
            if values.size and (values.min() < 0 or values.max() >= limit):
                raise ValueError(f"a tree's {name} points outside")
        if not 0 <= trees.depth <= 64:
            raise ValueError("trees this deep are not ours")
        return trees


# So many rows go down the trees at once: what they need stays near the processor.
FOREST_ROWS = 64


class Forest:
    """Trees for several questions, laid out to be asked together."""

    def __init__(self, trees: Sequence[Trees]) -> None:
        """Lay trees out, one question after the other."""
        starts = np.cumsum([0, *(len(each.feature) for each in trees)])[:-1]
        children = [
            np.stack([each.left, each.right], axis=1) + start for each, start in zip(trees, starts, strict=True)
        ]
        roots = [each.roots + start for each, start in zip(trees, starts, strict=True)]
        self._feature = np.concatenate([each.feature for each in trees]).astype(np.intp)
        self._threshold = np.concatenate([each.threshold for each in trees])
        self._value = np.concatenate([each.value for each in trees])
        # The children of a node stand beside each other: left, right.
        self._children = np.concatenate(children).astype(np.intp).ravel()
        self._roots = np.concatenate(roots).astype(np.intp)
        self._firsts = np.cumsum([0, *(len(each.roots) for each in trees)])[:-1]
        self._base = np.array([each.base for each in trees])
        self._depth = max(each.depth for each in trees)

    def logits(self, numbers: NDArray[np.float32]) -> Floats:
        """Return the logit of each row and question, (n, question_count): all trees go down a step at a time."""
        result = np.empty((len(numbers), len(self._base)))
        for start in range(0, len(numbers), FOREST_ROWS):
            part = numbers[start : start + FOREST_ROWS].astype(np.float64)
            flat, rows = part.ravel(), (np.arange(len(part)) * part.shape[1])[:, None]
            node = np.broadcast_to(self._roots, (len(part), len(self._roots)))
            for _ in range(self._depth):
                goes_right = flat.take(self._feature.take(node) + rows) > self._threshold.take(node)
                node = self._children.take(2 * node + goes_right)
            added = np.add.reduceat(self._value.take(node), self._firsts, axis=1)
            result[start : start + FOREST_ROWS] = self._base + added
        return result


@dataclass(frozen=True, slots=True)
class TreeFitting:
    """How trees are fitted; see scikit-learn's HistGradientBoostingClassifier."""

    tree_count: int = 150
    rate: float = 0.06
    leaf_count_max: int = 15
    leaf_rows_min: int = 40
    regularization: float = 1.0
    feature_share: float = 1.0
    seed: int = 0


def fit_trees(numbers: NDArray[np.float32], answers: Floats, weights: Floats, fitting: TreeFitting) -> Trees:
    """Return trees fitted to answers in [0, 1]: one between counts as both, each for its share."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows, said, shares = both_ways(answers, weights)
    if said.min(initial=1.0) == said.max(initial=0.0):
        return _constant(float(said[0]) if len(said) else 0.5)
    found = HistGradientBoostingClassifier(
        max_iter=fitting.tree_count,
        learning_rate=fitting.rate,
        max_leaf_nodes=fitting.leaf_count_max,
        min_samples_leaf=fitting.leaf_rows_min,
        l2_regularization=fitting.regularization,
        max_features=fitting.feature_share,
        early_stopping=False,
        random_state=fitting.seed,
    )
    # Cut into levels here: scikit-learn's own way takes seconds for each thousand columns where rows have weights.
    edges = _levels(numbers)
    codes = np.empty(numbers.shape, dtype=np.float32)
    for column, own in enumerate(edges):
        codes[:, column] = np.searchsorted(own, numbers[:, column], side="left")
    found.fit(codes[rows], said, sample_weight=shares)
    plain = _plain(found)
    # "Level c or less" is "edge c or less".
    places = np.floor(plain.threshold).astype(np.int64)
    threshold = np.array([edges[feature][place] for feature, place in zip(plain.feature, places, strict=True)])
    return replace(plain, threshold=threshold)


LEVEL_COUNT = 128


def _levels(numbers: NDArray[np.float32]) -> list[Floats]:
    """Return for each number the ascending values that trees may cut at, and one above all."""
    shares = np.linspace(0.0, 1.0, LEVEL_COUNT + 1)[1:-1]
    edges = []
    for column in range(numbers.shape[1]):
        values = np.unique(numbers[:, column])
        if len(values) > LEVEL_COUNT:
            values = np.unique(np.quantile(numbers[:, column], shares, method="lower"))
        edges.append(np.append(values.astype(np.float64), np.inf))
    return edges


def _plain(found: object) -> Trees:
    """Return scikit-learn's trees as arrays."""
    feature, threshold, left, right, value, roots = [], [], [], [], [], []
    count, depth = 0, 0
    for (predictor,) in found._predictors:  # type: ignore[attr-defined]
        nodes = predictor.nodes
        leaf = nodes["is_leaf"].astype(bool)
        own = np.arange(len(nodes))
        roots.append(count)
        feature.append(np.where(leaf, 0, nodes["feature_idx"]))
        threshold.append(np.where(leaf, 0.0, nodes["num_threshold"]))
        left.append(count + np.where(leaf, own, nodes["left"]))
        right.append(count + np.where(leaf, own, nodes["right"]))
        value.append(np.where(leaf, nodes["value"], 0.0))
        depth = max(depth, int(nodes["depth"].max()))
        count += len(nodes)
    return Trees(
        np.concatenate(feature).astype(np.int32),
        np.concatenate(threshold),
        np.concatenate(left).astype(np.int32),
        np.concatenate(right).astype(np.int32),
        np.concatenate(value),
        np.asarray(roots, dtype=np.int32),
        float(np.ravel(found._baseline_prediction)[0]),  # type: ignore[attr-defined]
        depth,
    )


def _constant(probability: float) -> Trees:
    held = min(max(probability, 1e-4), 1 - 1e-4)
    none, whole = np.zeros(1), np.zeros(1, dtype=np.int32)
    return Trees(whole, none, whole, whole, none, whole, float(np.log(held / (1 - held))), 0)


@dataclass(frozen=True, slots=True)
class Linear:
    """A logistic regression over scaled numbers and hashed tokens.

    Attributes:
        middle: (number_count,) taken from each number.
        scale: (number_count,) what each is divided by, then held within ±`LINEAR_REACH`.
        number_weights: (number_count,)
        token_weights: (bucket_count,) bucket 0 is 0.
        base: Logit of nothing.
    """

    middle: Floats
    scale: Floats
    number_weights: Floats
    token_weights: Floats
    base: float

    def logits(self, numbers: NDArray[np.float32], tokens: NDArray[np.int32]) -> Floats:
        """Return the logit of each row."""
        scaled = np.clip((numbers - self.middle) / self.scale, -LINEAR_REACH, LINEAR_REACH)
        # Not multiplied as matrices: how those add up depends on how many rows there are.
        result: Floats = self.base + (scaled * self.number_weights).sum(1) + self.token_weights[tokens].sum(1)
        return result

    def probabilities(self, numbers: NDArray[np.float32], tokens: NDArray[np.int32]) -> Floats:
        """Return the probability of each row."""
        return expit(self.logits(numbers, tokens))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return everything as arrays, to be kept."""
        return {
            "middle": self.middle,
            "scale": self.scale,
            "number_weights": self.number_weights,
            "token_weights": self.token_weights,
            "base": np.array([self.base]),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[np.generic]], number_count: int, bucket_count: int
    ) -> Linear:
        """Return the model that `arrays` gave.

        Raises:
            ValueError: A length is not that of the schema.
        """
        names = ("middle", "scale", "number_weights")
        if any(arrays[name].shape != (number_count,) for name in names):
            raise ValueError("the linear model is of other numbers")
        if arrays["token_weights"].shape != (bucket_count,):
            raise ValueError("the linear model is of other buckets")
        kept = {name: np.asarray(arrays[name], dtype=np.float64) for name in (*names, "token_weights")}
        return cls(**kept, base=float(arrays["base"][0]))


LINEAR_REACH = 5.0
# Numbers weigh less than tokens before the penalty: they are many and say much the same.
LINEAR_NUMBER_SHARE = 0.3


def fit_linear(
    numbers: NDArray[np.float32],
    tokens: NDArray[np.int32],
    answers: Floats,
    weights: Floats,
    bucket_count: int,
    strength: float = 0.3,
) -> Linear:
    """Return a logistic regression fitted to answers in [0, 1]; `strength` is scikit-learn's C."""
    from scipy import sparse
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    middle = numbers.mean(0, dtype=np.float64)
    scale = numbers.std(0, dtype=np.float64) + 1e-6
    rows, said, shares = both_ways(answers, weights)
    nothing = np.zeros(numbers.shape[1]), np.zeros(bucket_count)
    if said.min(initial=1.0) == said.max(initial=0.0):
        held = min(max(float(said[0]) if len(said) else 0.5, 1e-4), 1 - 1e-4)
        return Linear(middle, scale, *nothing, float(np.log(held / (1 - held))))
    scaled = np.clip((numbers - middle) / scale, -LINEAR_REACH, LINEAR_REACH) * LINEAR_NUMBER_SHARE
    places = np.repeat(np.arange(len(tokens)), tokens.shape[1])
    present = tokens.ravel() != 0
    hot = sparse.csr_matrix(
        (np.ones(int(present.sum())), (places[present], tokens.ravel()[present])),
        shape=(len(tokens), bucket_count),
    )
    table = sparse.hstack([sparse.csr_matrix(scaled), hot]).tocsr()
    with warnings.catch_warnings():
        # Nearly there is good enough: what it says is straightened afterwards.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = LogisticRegression(C=strength, max_iter=80).fit(table[rows], said, sample_weight=shares)
    coefficients = found.coef_[0]
    number_count = numbers.shape[1]
    return Linear(
        middle,
        scale,
        coefficients[:number_count] * LINEAR_NUMBER_SHARE,
        coefficients[number_count:].copy(),
        float(found.intercept_[0]),
    )


def both_ways(answers: Floats, weights: Floats) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Return rows, answers of 0 or 1 and weights: what is between counts as both, the unknown as neither."""
    known = np.flatnonzero(~np.isnan(answers) & (weights > 0))
    yes, no = known[answers[known] > 1e-3], known[answers[known] < 1 - 1e-3]
    rows = np.concatenate([yes, no])
    said = np.concatenate([np.ones(len(yes)), np.zeros(len(no))])
    shares = np.concatenate([weights[yes] * answers[yes], weights[no] * (1 - answers[no])])
    return rows, said, shares
