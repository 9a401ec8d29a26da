"""The network: hashed embeddings and piecewise-linear numbers, answering several questions at once.

Each question is a logit; the time to an end is a discrete hazard over bins of time, so that what is still open
counts for as long as it has been open. A few implicit heads share almost all weights and are averaged.

References:
    Gorishniy et al., *On embeddings for numerical features in tabular deep learning*, 2022 (piecewise linear).
    Gorishniy et al., *TabM: advancing tabular deep learning with parameter-efficient ensembling*, 2025.
    Gensheimer and Narasimhan, *A scalable discrete-time survival model for neural networks*, 2019.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What decides the sizes of a network.

    Attributes:
        number_count: Numbers of a row.
        field_count: Tokens of a row that have a place of their own.
        word_count: Tokens after those, of which only the mean counts.
        bucket_count: Buckets that tokens are hashed into.
        questions: What is answered with a probability, in order.
        time_edges: Ends of the bins of time, in hours, ascending; the last bin has no end. Empty: no times.
        times: Which times are asked for, in order; each has the same bins.
        bin_count: Pieces that each number is cut into.
        embedding_size: Of a token.
        hidden_size: Of both layers.
        head_count: Implicit heads.
        dropout: Share of hidden values left out in training.
    """

    number_count: int
    field_count: int
    word_count: int
    bucket_count: int
    questions: tuple[str, ...]
    time_edges: tuple[float, ...] = ()
    times: tuple[str, ...] = ("end",)
    bin_count: int = 12
    embedding_size: int = 16
    hidden_size: int = 128
    head_count: int = 8
    dropout: float = 0.1

    @property
    def output_count(self) -> int:
        """Logits for each row: one for each question, then one for each bin of each time."""
        return len(self.questions) + len(self.time_edges) * len(self.times)


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows, and what is known of how they turned out.

    Attributes:
        numbers: (n, number_count) float32, unscaled.
        tokens: (n, field_count + word_count) int32.
        answers: (n, question_count) in [0, 1]; nan where it is not known.
        hours: (n,) hours until the end, or for which it has been open; nan where neither is known. Where several
            times are asked for (n, time_count).
        ended: Whether `hours` is the end; shaped likewise.
        weights: (n,) how much each row counts.
    """

    numbers: NDArray[np.float32]
    tokens: NDArray[np.int32]
    answers: Floats
    hours: Floats
    ended: NDArray[np.bool_]
    weights: Floats

    def __len__(self) -> int:
        return len(self.numbers)

    def at(self, rows: NDArray[Any]) -> Examples:
        """Return some of the rows, by place or by mask."""
        return Examples(
            self.numbers[rows],
            self.tokens[rows],
            self.answers[rows],
            self.hours[rows],
            self.ended[rows],
            self.weights[rows],
        )


@dataclass(frozen=True, slots=True)
class Fitting:
    """How a network is fitted.

    Attributes:
        epochs: Passes over the rows.
        batch_size: Rows per step.
        rate: Of AdamW.
        decay: Of AdamW.
        seed: Of the first weights, the order of rows and what is left out.
    """

    epochs: int = 6
    batch_size: int = 256
    rate: float = 2e-3
    decay: float = 1e-2
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model says of rows.

    Attributes:
        probabilities: By question, (n,).
        survival: (n, bin_count): the chance to be still open at the end of each bin of time; None without times.
        survivals: The same for every time that is asked for; `survival` is the first of them.
    """

    probabilities: Mapping[str, Floats]
    survival: Floats | None = None
    survivals: tuple[Floats, ...] = ()


class Network(nn.Module):
    """The weights and how they are put together."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.shape = shape
        hidden, heads = shape.hidden_size, shape.head_count
        self.edges: torch.Tensor
        self.register_buffer("edges", torch.zeros(shape.number_count, shape.bin_count + 1))
        self.embedding = nn.Embedding(shape.bucket_count, shape.embedding_size, padding_idx=0)
        token_places = shape.field_count + (1 if shape.word_count else 0)
        self.numbers_in = nn.Linear(shape.number_count * shape.bin_count, hidden)
        self.tokens_in = nn.Linear(token_places * shape.embedding_size, hidden, bias=False)
        self.norm = nn.LayerNorm(hidden)
        self.head_in = nn.Parameter(torch.empty(heads, hidden))
        self.middle = nn.Linear(hidden, hidden)
        self.head_out = nn.Parameter(torch.empty(heads, hidden))
        self.head_bias = nn.Parameter(torch.zeros(heads, hidden))
        self.dropout = nn.Dropout(shape.dropout)
        self.out = nn.Parameter(torch.zeros(heads, hidden, shape.output_count))
        self.out_bias = nn.Parameter(torch.zeros(heads, shape.output_count))
        nn.init.normal_(self.embedding.weight, std=0.05)
        nn.init.normal_(self.head_in, mean=1.0, std=0.3)
        nn.init.normal_(self.head_out, mean=1.0, std=0.3)
        nn.init.normal_(self.out, std=0.05)
        with torch.no_grad():
            self.embedding.weight[0] = 0.0

    def encoded(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return numbers as positions between their edges.

        Args:
            numbers: (batch, number_count) float32.

        Returns:
            (batch, number_count, bin_count) in [0, 1]: 1 for pieces below the number, 0 for pieces above it.
        """
        low, high = self.edges[:, :-1], self.edges[:, 1:]
        width = (high - low).clamp_min(1e-6)
        return ((numbers.unsqueeze(-1) - low) / width).clamp(0.0, 1.0)

    def embedded(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return tokens as vectors: (batch, token places, embedding_size); words as one place, their mean."""
        vectors = self.embedding(tokens)  # (batch, token_count, embedding_size)
        if not self.shape.word_count:
            return vectors
        fields, words = vectors[:, : self.shape.field_count], vectors[:, self.shape.field_count :]
        count = (tokens[:, self.shape.field_count :] != 0).sum(1).clamp_min(1).to(vectors.dtype)
        return torch.cat([fields, (words.sum(1) / count.unsqueeze(-1)).unsqueeze(1)], dim=1)

    def decided(self, encoded: torch.Tensor, embedded: torch.Tensor, block: int | None = None) -> torch.Tensor:
        """Return logits (batch, head_count, output_count) of what `encoded` and `embedded` gave.

        Args:
            encoded: (batch, number_count, bin_count)
            embedded: (batch, token places, embedding_size)
            block: How many rows are multiplied at once; None: all.
        """
        hidden = _in_blocks(self.numbers_in, encoded.flatten(1), block)
        hidden = hidden + _in_blocks(self.tokens_in, embedded.flatten(1), block)
        hidden = self.dropout(nn.functional.silu(self.norm(hidden)))  # (batch, hidden_size)
        heads = hidden.unsqueeze(1) * self.head_in  # (batch, head_count, hidden_size)
        heads = _in_blocks(self.middle, heads, block) * self.head_out + self.head_bias
        heads = hidden.unsqueeze(1) + self.dropout(nn.functional.silu(heads))
        return _in_blocks(self._put_out, heads, block) + self.out_bias

    def _put_out(self, heads: torch.Tensor) -> torch.Tensor:
        return torch.einsum("bkh,kho->bko", heads, self.out)

    def forward(self, numbers: torch.Tensor, tokens: torch.Tensor, block: int | None = None) -> torch.Tensor:
        """Return logits (batch, head_count, output_count)."""
        return self.decided(self.encoded(numbers), self.embedded(tokens), block)


def _in_blocks(
    product: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor, block: int | None
) -> torch.Tensor:
    """Return what linear algebra makes of rows, so many at once."""
    if block is None or len(rows) <= block:
        return product(rows)
    return torch.cat([product(part) for part in rows.split(block)])


@dataclass(frozen=True, slots=True)
class Targets:
    """What rows turned out to be, as a network learns it.

    Attributes:
        answers: (n, question_count) in [0, 1]; 0 where it is not known.
        known: (n, question_count) 1 where it is known, else 0.
        happened: (n, time_count * bin_count) 1 where the row ended in the bin.
        passed: The same shape; 1 where the bin is known to have been reached.
        weights: (n,) how much each row counts.
    """

    answers: torch.Tensor
    known: torch.Tensor
    happened: torch.Tensor
    passed: torch.Tensor
    weights: torch.Tensor

    @classmethod
    def of(cls, examples: Examples, shape: ModelShape) -> Targets:
        """Return what examples tell."""
        happened, passed = _all_time_targets(examples.hours, examples.ended, shape.time_edges)
        return cls(
            torch.from_numpy(np.nan_to_num(examples.answers).astype(np.float32)),
            torch.from_numpy(~np.isnan(examples.answers)).float(),
            torch.from_numpy(happened),
            torch.from_numpy(passed),
            torch.from_numpy(examples.weights.astype(np.float32)),
        )

    def at(self, rows: torch.Tensor) -> Targets:
        """Return some of the rows, by place."""
        return Targets(
            self.answers[rows], self.known[rows], self.happened[rows], self.passed[rows], self.weights[rows]
        )

    def counted(self) -> torch.Tensor:
        """Return (question_count + 1,) how much is known of each question, then how much there is of all."""
        known = (self.known * self.weights.unsqueeze(1)).sum(0)
        return torch.cat([known, self.weights.sum().unsqueeze(0)])

    def loss(self, logits: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
        """Return the mean loss over what is known, a number.

        Args:
            logits: (n, head_count, output_count) of these rows.
            counted: What `counted` gave, of these rows or of all rows that they are part of: losses of the parts
                then add up to that of the whole.
        """
        count = self.answers.shape[1]
        heads = logits.shape[1]
        shares = counted.clamp_min(1e-6)
        cross_entropy = nn.functional.binary_cross_entropy_with_logits
        asked = logits[:, :, :count]
        each = cross_entropy(asked, self.answers.unsqueeze(1).expand(-1, heads, -1), reduction="none").mean(1)
        # Each question counts the same, however few of its answers are known.
        total = ((each * self.known * self.weights.unsqueeze(1)).sum(0) / shares[:count]).sum()
        if self.happened.shape[1]:
            hazard = logits[:, :, count:]
            ends = self.happened.unsqueeze(1).expand(-1, heads, -1)
            each = cross_entropy(hazard, ends, reduction="none").mean(1)
            total = total + (each * self.passed * self.weights.unsqueeze(1)).sum() / shares[count]
        return total


class NeuralModel:
    """A network that can be fitted, brought up to date, and asked."""

    def __init__(self, shape: ModelShape, seed: int = 0) -> None:
        """Begin with random weights; the same seed gives the same ones."""
        self.shape = shape
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = Network(shape)

    def fit(self, examples: Examples, fitting: Fitting) -> None:
        """Choose edges for the numbers from these rows, then learn from them."""
        edges = number_edges(examples.numbers, self.shape.bin_count)
        with torch.no_grad():
            self.network.edges.copy_(torch.from_numpy(edges))
        self.learn(examples, fitting)

    def learn(self, examples: Examples, fitting: Fitting) -> None:
        """Go over rows and move the weights; edges stay."""
        if not len(examples):
            return
        network, shape = self.network, self.shape
        numbers, tokens = tensors(examples.numbers, examples.tokens)
        targets = Targets.of(examples, shape)
        moving = list(network.parameters())
        optimizer = torch.optim.AdamW(moving, lr=fitting.rate, weight_decay=fitting.decay, fused=True)
        steps = math.ceil(len(examples) / fitting.batch_size) * fitting.epochs
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, fitting.rate, total_steps=max(steps, 1))
        network.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(fitting.seed)
            for _ in range(fitting.epochs):
                for rows in torch.randperm(len(examples)).split(fitting.batch_size):
                    logits = network(numbers[rows], tokens[rows])
                    asked = targets.at(rows)
                    loss = asked.loss(logits, asked.counted())
                    optimizer.zero_grad(set_to_none=True)
                    loss.backward()
                    nn.utils.clip_grad_norm_(moving, 1.0)
                    optimizer.step()
                    schedule.step()
        network.zero_grad(set_to_none=True)
        network.eval()

    def answers(
        self, numbers: NDArray[np.float32], tokens: NDArray[np.int32], block: int | None = None
    ) -> Answers:
        """Return what the model says of rows.

        Args:
            numbers: (n, number_count) float32.
            tokens: (n, token_count) int32.
            block: Rows are multiplied in blocks of this size, filled up where there are fewer. Linear algebra sums
                in another order for another number of rows; in blocks, what is said of a row is the same to the
                bit, whoever is beside it. None: as is quickest.
        """
        self.network.eval()
        count, total = len(self.shape.questions), len(numbers)
        if not total:
            nothing = np.zeros((0, count))
            return Answers({name: nothing[:, i] for i, name in enumerate(self.shape.questions)})
        if block is not None and total % block:
            more = block - total % block
            numbers = np.concatenate([numbers, np.zeros((more, numbers.shape[1]), dtype=np.float32)])
            tokens = np.concatenate([tokens, np.zeros((more, tokens.shape[1]), dtype=np.int32)])
        with torch.inference_mode():
            chances = []
            open_still = []
            for start in range(0, len(numbers), 4096):
                rows = tensors(numbers[start : start + 4096], tokens[start : start + 4096])
                said = torch.sigmoid(self.network(*rows, block)).double()
                hazards = said[:, :, count:].unflatten(2, (len(self.shape.times), len(self.shape.time_edges)))
                chances.append(_mean_of_heads(said[:, :, :count]))
                open_still.append(_mean_of_heads(torch.cumprod(1.0 - hazards, dim=3)))
        said_all = torch.cat(chances).numpy()[:total]
        told = {name: said_all[:, i] for i, name in enumerate(self.shape.questions)}
        if not self.shape.time_edges:
            return Answers(told)
        survivals = torch.cat(open_still).numpy()[:total]  # (n, time_count, bin_count)
        each = tuple(survivals[:, place] for place in range(len(self.shape.times)))
        return Answers(told, each[0], each)

    def copy(self) -> NeuralModel:
        """Return a model of its own with the same weights: what learns while the other one answers."""
        other = NeuralModel(self.shape)
        other.network.load_state_dict(self.network.state_dict())
        other.network.eval()
        return other


def _mean_of_heads(said: torch.Tensor) -> torch.Tensor:
    """Return the mean over (batch, head_count, …), added up in one order whatever the batch's size."""
    heads = said.unbind(1)
    total = heads[0]
    for each in heads[1:]:
        total = total + each
    return total / len(heads)


def number_edges(numbers: NDArray[np.float32], bin_count: int) -> NDArray[np.float32]:
    """Return (number_count, bin_count + 1) ascending edges: quantiles, of the values where there are many."""
    shares = np.linspace(0.0, 1.0, bin_count + 1)
    edges = np.empty((numbers.shape[1], bin_count + 1), dtype=np.float32)
    for column in range(numbers.shape[1]):
        values = numbers[:, column]
        distinct = np.unique(values)
        # A number that is nearly always zero would have all its edges there.
        edges[column] = np.quantile(distinct if len(distinct) <= 4 * bin_count else values, shares)
        if edges[column, 0] == edges[column, -1]:
            edges[column, -1] = edges[column, 0] + 1.0
    return edges


def time_targets(
    hours: Floats, ended: NDArray[np.bool_], time_edges: tuple[float, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what each bin of time saw of each row.

    Returns:
        (n, bin_count) 1 where the row ended in the bin, and (n, bin_count) 1 where it was still open when the bin
        began and is known to have ended in it or to have outlived it.
    """
    edges = np.asarray(time_edges)
    happened = np.zeros((len(hours), len(edges)), dtype=np.float32)
    passed = np.zeros((len(hours), len(edges)), dtype=np.float32)
    if not len(edges):
        return happened, passed
    known = ~np.isnan(hours)
    lasted = np.where(known, hours, 0.0)
    # The bin that it ended in; past the last edge it outlived them all.
    place = np.searchsorted(edges, lasted, side="right")
    inside = known & ended & (place < len(edges))
    happened[np.flatnonzero(inside), place[inside]] = 1.0
    # A bin is outlived when its end was passed.
    passed[:] = known[:, None] & (np.arange(len(edges)) < place[:, None])
    return happened, np.maximum(passed, happened)


def _all_time_targets(
    hours: Floats, ended: NDArray[np.bool_], time_edges: tuple[float, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return `time_targets` of every time beside one another: (n, time_count * bin_count) each."""
    if hours.ndim == 1:
        return time_targets(hours, ended, time_edges)
    each = [time_targets(hours[:, place], ended[:, place], time_edges) for place in range(hours.shape[1])]
    return np.concatenate([one for one, _ in each], axis=1), np.concatenate([other for _, other in each], axis=1)


def time_quantile(survival: Floats, time_edges: tuple[float, ...], share: float) -> Floats:
    """Return the hours by which a share of such alerts have ended, (n,); inf where it outlives the last edge.

    Between the edges the logarithm of time is drawn straight.
    """
    edges = np.log(np.asarray(time_edges))
    starts = np.append(edges[0] - 1.0, edges)
    left = 1.0 - share
    curve = np.concatenate([np.ones((len(survival), 1)), survival], axis=1)
    place = (curve > left).sum(1)
    reached = place < curve.shape[1]
    end = np.minimum(place, curve.shape[1] - 1)
    rows = np.arange(len(curve))
    before, after = curve[rows, end - 1], curve[rows, end]
    part = (before - left) / np.maximum(before - after, 1e-9)
    hours = np.exp(starts[end - 1] + np.clip(part, 0.0, 1.0) * (starts[end] - starts[end - 1]))
    return np.where(reached, hours, np.inf)


def tensors(numbers: NDArray[np.float32], tokens: NDArray[np.int32]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows as a network takes them."""
    return torch.from_numpy(np.ascontiguousarray(numbers)), torch.from_numpy(tokens.astype(np.int64))
