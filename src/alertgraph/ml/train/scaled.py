"""Trains a tenant's version from an export, by several processes, and goes on where it was killed.

    torchrun --nproc-per-node 2 -m alertgraph.ml.train.scaled --from DIR --out own.agmodel

What comes out follows from the examples, the settings and the code alone: one process, two, four or eight write
the same bytes, whether they were killed in between or not. Each keeps only its own rows in memory. Trees and lines
are fitted on a sample, by the first process.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import torch
from torch import nn

from alertgraph import __version__
from alertgraph.ml import live
from alertgraph.ml.artifact import Artifact, ArtifactError, Source, read_artifact
from alertgraph.ml.attribution import Baseline
from alertgraph.ml.evaluation import measures
from alertgraph.ml.export import Export, ExportedRows, ExportError
from alertgraph.ml.features import DAY_SECONDS
from alertgraph.ml.live import QUESTIONS
from alertgraph.ml.model import Examples, NeuralModel, Targets, number_edges, tensors
from alertgraph.ml.train.bundled import RECIPE, assembled
from alertgraph.ml.train.candidate import NOT_GIVEN_ON, TREES, chosen_by, times_of
from alertgraph.ml.train.checkpoint import Checkpoint, CheckpointError
from alertgraph.ml.train.members import Members, Recipe, with_companions
from alertgraph.ml.train.processes import BLOCK_COUNT, Processes, ProcessesError, joined

Say = Callable[[str], None]
ROWS_MIN = 1_000
# Edges of numbers, trees and lines need no more rows than this.
SAMPLE_MAX = 50_000
# The newest examples choose the blend, and are learnt from afterwards.
CHOOSING_SHARE = 0.2
WARM_SHARE = 0.05
CLIPPED_AT = 1.0
SAID_EVERY = 200
STAGES = ("judging", "everything")


class TrainingRefusedError(Exception):
    """This can't be trained as asked; the message says why."""


@dataclass(frozen=True, slots=True)
class ScaledPlan:
    """How a network is fitted to an export.

    Attributes:
        seed: Of everything drawn.
        epochs: Passes over all rows.
        batch_size: Rows of a step, of all processes together; a multiple of eight.
        rate: Of AdamW, at its highest.
        decay: Of AdamW.
        half_life_days: An example counts half that became known so long before the last one.
    """

    seed: int = 0
    epochs: int = 4
    batch_size: int = 1_024
    rate: float = 2e-3
    decay: float = 0.02
    half_life_days: float = 90.0

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            TrainingRefusedError: It says what.
        """
        if self.batch_size < BLOCK_COUNT or self.batch_size % BLOCK_COUNT:
            raise TrainingRefusedError(f"a batch is a multiple of {BLOCK_COUNT} rows, not {self.batch_size}")
        if self.epochs < 1 or not 0.0 < self.rate < 1.0 or self.half_life_days <= 0.0:
            raise TrainingRefusedError("there is at least one pass, at a rate between 0 and 1")

    def rate_at(self, step: int, step_count: int) -> float:
        """Return the rate of a step: up in a line at first, then down along a cosine."""
        warm = max(int(WARM_SHARE * step_count), 1)
        if step < warm:
            return self.rate * (step + 1) / warm
        return self.rate * 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(step_count - warm, 1)))


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of it.

    Attributes:
        artifact: The version; None in processes that are not the first.
        steps: Of the network, in both stages.
        resumed: How many of them were done before.
    """

    artifact: Artifact | None
    steps: int
    resumed: int


def train(
    folder: Path,
    checkpoints: Path,
    plan: ScaledPlan,
    processes: Processes,
    *,
    base: Path | None = None,
    save_every: int = 100,
    say: Say = lambda _: None,
    recipe: Recipe = RECIPE,
) -> Trained:
    """Return the version that a tenant's export makes.

    Args:
        folder: The export.
        checkpoints: A folder in which trainings under way are kept, the same for all processes.
        plan: How.
        processes: Who takes part.
        base: A version to begin with, whole; None: random weights.
        save_every: After so many steps the training is kept.
        say: Is told how far it is.
        recipe: The sizes of the network, and how trees and lines are fitted.

    Raises:
        ExportError: There is no whole export of today's features in the folder.
        ArtifactError: The version to begin with can't be.
        CheckpointError: What is kept is of another training.
        ProcessesError: The processes don't have the same before them.
        TrainingRefusedError: There are too few examples, or the version to begin with has another shape.
    """
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    # One that reads everything to check it is enough; the others see that they have the same manifest.
    export = Export.open(folder, check=processes.is_first)
    if len(export) < ROWS_MIN:
        raise TrainingRefusedError(
            f"{folder} holds {len(export)} examples; it takes {ROWS_MIN} (alertgraph train --tenant takes fewer)"
        )
    begins_with = None if base is None else read_artifact(base, live.SCHEMA)
    shape = hashlib.sha256(repr(recipe).encode()).hexdigest()
    recipe = replace(recipe, seed=plan.seed, trees=replace(TREES, seed=plan.seed))
    belongs_to = {
        "examples": export.manifest.digest(),
        "settings": orjson.dumps(asdict(plan), option=orjson.OPT_SORT_KEYS).decode(),
        "shape": shape,
        "version to begin with": "" if begins_with is None else begins_with.version(),
        "release": __version__,
        "torch": torch.__version__,
    }
    told = hashlib.sha256(orjson.dumps(belongs_to, option=orjson.OPT_SORT_KEYS)).digest()
    processes.check_agreed("examples, settings or release", told)
    if processes.is_first:
        checkpoints.mkdir(parents=True, exist_ok=True)
    count = len(export)
    cut = int(count * (1 - CHOOSING_SHARE))
    blocks = _Blocks(export, plan, processes)
    say(f"{count:,} examples, {processes.count} at work")
    networks, steps, resumed = [], 0, 0
    for stage, end in zip(STAGES, (cut, count), strict=True):
        fit = _Fit(_begun(begins_with, recipe, export, end), plan, processes, stage)
        kept = Checkpoint(checkpoints / f"{stage}.checkpoint", belongs_to)
        resumed += fit.run(blocks.until(end), end, kept, save_every, say)
        networks.append(fit.model)
        steps += fit.step_count
    if not processes.is_first:
        return Trained(None, steps, resumed)
    say("fitting trees and lines")
    return Trained(_assembled(export, plan, recipe, networks, cut, told), steps, resumed)


def _begun(begins_with: Artifact | None, recipe: Recipe, export: Export, end: int) -> NeuralModel:
    """Return the network before its first step."""
    shape = recipe.shape(len(live.NUMBER_NAMES), len(live.SCHEMA.token_names()))
    if begins_with is not None:
        if begins_with.manifest.shape != shape:
            raise TrainingRefusedError("the version to begin with has a network of another shape")
        return begins_with.network.copy()
    model = NeuralModel(shape, recipe.seed)
    sample = export.rows(stride=_stride(end), end=end)
    with torch.no_grad():
        model.network.edges.copy_(torch.from_numpy(number_edges(sample.numbers, shape.bin_count)))
    return model


def _stride(count: int) -> int:
    return max(math.ceil(count / SAMPLE_MAX), 1)


class _Blocks:
    """The rows of this process's blocks."""

    def __init__(self, export: Export, plan: ScaledPlan, processes: Processes) -> None:
        self._blocks = processes.blocks
        rows = export.dealt(BLOCK_COUNT, processes.blocks)
        self._examples = [examples_of(each, export.manifest.ended_at, plan) for each in rows]

    def until(self, end: int) -> list[Examples]:
        """Return of each block the rows whose place in the export is before `end`."""
        return [
            examples.at(np.arange(len(range(block, end, BLOCK_COUNT))))
            for block, examples in zip(self._blocks, self._examples, strict=True)
        ]


def examples_of(rows: ExportedRows, ended_at: float, plan: ScaledPlan) -> Examples:
    """Return rows of an export as a model learns from them."""
    hours, ended = times_of(rows.acknowledged_after, rows.resolved_after)
    ages = (ended_at - rows.at) / DAY_SECONDS
    return Examples(rows.numbers, rows.tokens, rows.answers, hours, ended, 0.5 ** (ages / plan.half_life_days))


class _Fit:
    """The fitting of one network to the first rows of an export."""

    def __init__(self, model: NeuralModel, plan: ScaledPlan, processes: Processes, stage: str) -> None:
        self.model = model
        self.plan = plan
        self.processes = processes
        self.stage = stage
        self.step_count = 0
        self._weights = list(model.network.parameters())
        self._optimizer = torch.optim.AdamW(self._weights, lr=plan.rate, weight_decay=plan.decay, fused=True)
        self._orders: tuple[int, list[torch.Tensor]] = -1, []

    def run(self, blocks: Sequence[Examples], row_count: int, kept: Checkpoint, save_every: int, say: Say) -> int:
        """Fit, and return how many steps had been done before.

        Args:
            blocks: This process's, in order.
            row_count: Of all processes together.
            kept: Where the training is kept.
            save_every: After so many steps.
            say: Is told how far it is.
        """
        network, processes = self.model.network, self.processes
        share = self.plan.batch_size // BLOCK_COUNT
        steps_each = math.ceil(len(range(0, row_count, BLOCK_COUNT)) / share)
        self.step_count = steps_each * self.plan.epochs
        done = kept.read(network, self._optimizer)
        processes.check_agreed("checkpoint", done.to_bytes(8, "little") + self._digest())
        rows = [tensors(block.numbers, block.tokens) for block in blocks]
        targets = [Targets.of(block, self.model.shape) for block in blocks]
        network.train()
        with torch.random.fork_rng(devices=[]):
            for step in range(done, self.step_count):
                epoch, place = divmod(step, steps_each)
                orders = self._ordered(epoch, [len(block) for block in blocks])
                chosen = [order[place * share : (place + 1) * share] for order in orders]
                self._step(step, rows, targets, chosen)
                if processes.is_first and ((step + 1) % save_every == 0 or step + 1 == self.step_count):
                    kept.write(step + 1, network, self._optimizer)
                if (step + 1) % SAID_EVERY == 0:
                    say(f"{self.stage}: {step + 1:,} of {self.step_count:,} steps")
        network.zero_grad(set_to_none=True)
        network.eval()
        return done

    def _digest(self) -> bytes:
        """Return a hash of the weights."""
        hashed = hashlib.sha256()
        for tensor in self.model.network.state_dict().values():
            hashed.update(tensor.detach().numpy().tobytes())
        return hashed.digest()

    def _ordered(self, epoch: int, counts: Sequence[int]) -> list[torch.Tensor]:
        """Return the order of each block's rows in a pass."""
        if self._orders[0] != epoch:
            orders = []
            for block, count in zip(self.processes.blocks, counts, strict=True):
                torch.manual_seed(self._seed("order", epoch, block))
                orders.append(torch.randperm(count))
            self._orders = epoch, orders
        return self._orders[1]

    def _seed(self, what: str, turn: int, block: int) -> int:
        """Return a seed for what is drawn of a block, whoever takes it, and whatever was drawn before."""
        told = f"{self.plan.seed} {self.stage} {what} {turn} {block}".encode()
        return int.from_bytes(hashlib.blake2b(told, digest_size=7).digest(), "little")

    def _step(
        self,
        step: int,
        rows: Sequence[tuple[torch.Tensor, torch.Tensor]],
        targets: Sequence[Targets],
        chosen: Sequence[torch.Tensor],
    ) -> None:
        """Move the weights by what all blocks' rows of this step say."""
        network, processes = self.model.network, self.processes
        asked = [target.at(places) for target, places in zip(targets, chosen, strict=True)]
        counted = processes.total([each.counted() for each in asked])
        parts = []
        for block, (numbers, tokens), places, each in zip(processes.blocks, rows, chosen, asked, strict=True):
            network.zero_grad(set_to_none=True)
            if len(places):
                torch.manual_seed(self._seed("dropout", step, block))
                each.loss(network(numbers[places], tokens[places]), counted).backward()
            parts.append(
                torch.cat(
                    [(torch.zeros_like(one) if one.grad is None else one.grad).flatten() for one in self._weights]
                )
            )
        whole = processes.total(parts)
        start = 0
        for one in self._weights:
            one.grad = whole[start : start + one.numel()].view_as(one)
            start += one.numel()
        nn.utils.clip_grad_norm_(self._weights, CLIPPED_AT)
        for group in self._optimizer.param_groups:
            group["lr"] = self.plan.rate_at(step, self.step_count)
        self._optimizer.step()


def _assembled(
    export: Export,
    plan: ScaledPlan,
    recipe: Recipe,
    networks: Sequence[NeuralModel],
    cut: int,
    told: bytes,
) -> Artifact:
    """Return the version: the network of everything, a blend chosen by those that had not seen the newest rows."""
    ended_at, count = export.manifest.ended_at, len(export)

    def sample(start: int, end: int) -> Examples:
        return examples_of(export.rows(stride=_stride(end - start), start=start, end=end), ended_at, plan)

    judged, everything = networks
    late = sample(cut, count)
    members = with_companions(judged, sample(0, cut), recipe)
    blends, evaluation = chosen_by(members, late)
    evaluation |= _ranking(members, late)
    rows = sample(0, count)
    source = Source(source_name(export.manifest.tenant), NOT_GIVEN_ON, export.manifest.began_at, ended_at, count)
    name = f"own-{count}-{told.hex()[:12]}"
    final = with_companions(everything, rows, recipe)
    return assembled(name, final, blends, [source], evaluation, Baseline.of(rows.numbers))


def _ranking(members: Members, late: Examples) -> dict[str, float]:
    """Return how well the network alone ranks what it had not seen, where there is something to rank."""
    said = members.network.answers(late.numbers, late.tokens).probabilities
    found = {
        f"{question} AUROC of the network": measures.auroc(late.answers[:, place], said[question])
        for place, question in enumerate(QUESTIONS)
    }
    return {name: round(value, 6) for name, value in found.items() if math.isfinite(value)}


def source_name(tenant: str) -> str:
    """Return what a version is said to be trained on: the alerts of one tenant, by its id, and no other's."""
    return f"alerts of tenant {tenant}"


def carry_out(
    folder: Path,
    out: Path,
    plan: ScaledPlan,
    *,
    checkpoints: Path | None = None,
    base: Path | None = None,
    save_every: int = 100,
    say: Say = lambda _: None,
) -> dict[str, Any] | None:
    """Train with whoever the launcher started, write the version, and return what is told of it.

    What was kept on the way is removed once the version is written.

    Returns:
        None in processes that are not the first.

    Raises:
        ExportError, ArtifactError, CheckpointError, ProcessesError, TrainingRefusedError: As `train`.
    """
    kept = checkpoints if checkpoints is not None else out.with_name(f"{out.name}.checkpoints")
    with joined() as processes:
        tell = say if processes.is_first else lambda _: None
        trained = train(folder, kept, plan, processes, base=base, save_every=save_every, say=tell)
    if trained.artifact is None:
        return None
    trained.artifact.write(out)
    for stage in STAGES:
        (kept / f"{stage}.checkpoint").unlink(missing_ok=True)
    if checkpoints is None:
        shutil.rmtree(kept, ignore_errors=True)
    return {
        "version": trained.artifact.manifest.name,
        "sha256": trained.artifact.version(),
        "bytes": out.stat().st_size,
        "examples": trained.artifact.manifest.sources[0].alert_count,
        "steps": trained.steps,
        "resumed_at": trained.resumed,
        "evaluation": dict(trained.artifact.manifest.evaluation),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m alertgraph.ml.train.scaled", description=__doc__)
    usual = ScaledPlan()
    parser.add_argument("--from", dest="folder", type=Path, required=True, help="the export")
    parser.add_argument("--out", type=Path, required=True, help="where the version is written")
    parser.add_argument("--checkpoints", type=Path, help="a folder for what is kept on the way; OUT.checkpoints")
    parser.add_argument("--base", type=Path, help="a version to begin with; random weights without")
    parser.add_argument("--save-every", type=int, default=100, help="steps; 100")
    for name, value in asdict(usual).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value, help=f"{value}")
    told: Mapping[str, Any] = vars(parser.parse_args(arguments))

    def say(line: str) -> None:
        sys.stderr.write(f"{line}\n")

    try:
        done = carry_out(
            told["folder"],
            told["out"],
            ScaledPlan(**{name: told[name] for name in asdict(usual)}),
            checkpoints=told["checkpoints"],
            base=told["base"],
            save_every=max(told["save_every"], 1),
            say=say,
        )
    except (ArtifactError, CheckpointError, ExportError, ProcessesError, TrainingRefusedError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if done is not None:
        sys.stdout.write(f"{orjson.dumps(done, option=orjson.OPT_INDENT_2).decode()}\n")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
