"""Fits the scorer of pairs on pairs that people judged: merged is yes, split is no."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from alertgraph.ml.pair_features import UNKNOWN_RULE
from alertgraph.ml.pair_model import MEMBER_COUNT, PairModel

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LabelledPairs:
    """Pairs of alerts and whether they belong together.

    Attributes:
        numbers: (n, numbers) as `pair_numbers` makes them.
        rules: (n, 2) as `pair_rules` makes them.
        together: (n,) 1.0 or 0.0.
        groups: (n,) which incident and which side of it a pair is about: pairs of one are weighed down together,
            so that an incident with a flood of alerts does not decide everything.
    """

    numbers: NDArray[np.float32]
    rules: NDArray[np.int64]
    together: NDArray[np.float32]
    groups: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.together)


def joined(parts: list[LabelledPairs]) -> LabelledPairs:
    """Return pairs of several sources as one; groups of different sources stay apart."""
    offsets = np.cumsum([0] + [int(part.groups.max(initial=-1)) + 1 for part in parts[:-1]])
    return LabelledPairs(
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.rules for part in parts]),
        np.concatenate([part.together for part in parts]),
        np.concatenate([part.groups + offset for part, offset in zip(parts, offsets, strict=True)]),
    )


def thinned(pairs: LabelledPairs, count_max: int, seed: int) -> tuple[LabelledPairs, Floats]:
    """Return at most about so many pairs of each group and answer, and the weight of each.

    A group's weight grows with the root of its size: more is said by more pairs, but not by as much.
    """
    key = pairs.groups * 2 + pairs.together.astype(np.int64)
    _, place, count = np.unique(key, return_inverse=True, return_counts=True)
    share = np.minimum(1.0, count_max / count[place])
    kept = np.random.default_rng(seed).random(len(pairs)) < share
    weights = 1.0 / np.sqrt(count[place]) / share
    chosen = LabelledPairs(pairs.numbers[kept], pairs.rules[kept], pairs.together[kept], pairs.groups[kept])
    return chosen, weights[kept] / weights[kept].mean()


def fit_pairs(
    pairs: LabelledPairs,
    seed: int,
    member_count: int = MEMBER_COUNT,
    epoch_count: int = 8,
    batch_size: int = 512,
    rate: float = 3e-3,
    forget_rule: float = 0.15,
    pair_count_max: int = 4000,
) -> PairModel:
    """Return a scorer fitted on labelled pairs.

    Args:
        pairs: What to learn from.
        seed: Of weights, order and thinning.
        member_count: How many nets.
        epoch_count: How often each pair is seen.
        batch_size: Pairs a step.
        rate: Of learning, at its highest.
        forget_rule: How often a kind is hidden, so that unknown ones can be judged by their numbers.
        pair_count_max: Pairs of one group and answer at most.
    """
    chosen, weights = thinned(pairs, pair_count_max, seed)
    torch.manual_seed(seed)
    model = PairModel(member_count)
    model.mean.copy_(torch.from_numpy(chosen.numbers.mean(0)))
    model.deviation.copy_(torch.from_numpy(chosen.numbers.std(0) + 1e-3))
    numbers = (torch.from_numpy(chosen.numbers) - model.mean) / model.deviation
    rules, together = torch.from_numpy(chosen.rules), torch.from_numpy(chosen.together)
    weighed = torch.from_numpy(weights.astype(np.float32))
    draw = np.random.default_rng(seed)
    model.train()
    for member in model.members:
        optimizer = torch.optim.AdamW(member.parameters(), lr=rate, weight_decay=1e-2)
        steps = epoch_count * (len(chosen) // batch_size + 1)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
        for _ in range(epoch_count):
            for rows in torch.from_numpy(draw.permutation(len(chosen))).split(batch_size):
                hidden = torch.rand(len(rows), 2) < forget_rule
                seen = torch.where(hidden, torch.full_like(rules[rows], UNKNOWN_RULE), rules[rows])
                losses = nn.functional.binary_cross_entropy_with_logits(
                    member(numbers[rows], seen), together[rows], reduction="none"
                )
                loss = (losses * weighed[rows]).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    model.eval()
    return model
