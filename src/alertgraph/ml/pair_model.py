"""The scorer of pairs of alerts: whether two belong to one incident. Small: three nets of 8,000 parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from alertgraph.ml.pair_features import NUMBER_NAMES, RULE_BUCKETS

Arrays = Mapping[str, NDArray[np.float32]]

EMBEDDING_SIZE: Final = 12
HIDDEN_SIZES: Final = (64, 32)
MEMBER_COUNT: Final = 3
"""Nets whose logits are averaged: one of this size depends on its seed by two points of AUC."""
CHUNK: Final = 65_536


class PairNet(nn.Module):
    """One net: kinds by what their embeddings share and where they differ, beside the numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.rules = nn.Embedding(RULE_BUCKETS + 1, EMBEDDING_SIZE)
        nn.init.normal_(self.rules.weight, std=0.3)
        first, second = HIDDEN_SIZES
        self.first = nn.Linear(2 * EMBEDDING_SIZE + len(NUMBER_NAMES), first)
        self.second = nn.Linear(first, second)
        self.last = nn.Linear(second, 1)
        self.dropout = nn.Dropout(0.1)

    def forward(self, numbers: Tensor, rules: Tensor) -> Tensor:
        """Return (batch,) logits.

        Args:
            numbers: (batch, number_count) float32, standardised.
            rules: (batch, 2) int64, buckets of the two kinds.
        """
        one, other = self.rules(rules[:, 0]), self.rules(rules[:, 1])
        together = torch.cat((one * other, (one - other).abs(), numbers), 1)  # (batch, 24 + number_count)
        hidden = torch.relu(self.first(together))
        hidden = torch.relu(self.second(self.dropout(hidden)))
        return self.last(hidden)[:, 0]


class PairModel(nn.Module):
    """The nets and what standardises their numbers, as one thing that can be kept."""

    def __init__(self, member_count: int = MEMBER_COUNT) -> None:
        super().__init__()
        self.members = nn.ModuleList(PairNet() for _ in range(member_count))
        self.register_buffer("mean", torch.zeros(len(NUMBER_NAMES)))
        self.register_buffer("deviation", torch.ones(len(NUMBER_NAMES)))

    def forward(self, numbers: Tensor, rules: Tensor) -> Tensor:
        """Return (batch,) mean logits of numbers that are not standardised yet."""
        standard = (numbers - self.mean) / self.deviation
        return torch.stack([member(standard, rules) for member in self.members]).mean(0)

    def score(self, numbers: NDArray[np.float32], rules: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return (pairs,) how sure it is of each pair, 0 to 1."""
        self.eval()
        scores = np.empty(len(numbers))
        with torch.inference_mode():
            for start in range(0, len(numbers), CHUNK):
                part = slice(start, start + CHUNK)
                logits = self(torch.from_numpy(numbers[part]), torch.from_numpy(rules[part]))
                scores[part] = torch.sigmoid(logits.double()).numpy()
        return scores

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return everything that was learned, by name."""
        return {name: value.detach().numpy().copy() for name, value in self.state_dict().items()}

    @classmethod
    def of(cls, arrays: Arrays, member_count: int = MEMBER_COUNT) -> PairModel:
        """Return the model that these arrays are of.

        Raises:
            RuntimeError: They are of another form.
        """
        model = cls(member_count)
        model.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in arrays.items()})
        return model
