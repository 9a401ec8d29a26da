"""A made-up tenant's export, whose outcomes follow a rule that can be learnt."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np

from alertgraph.core.ids import AlertId
from alertgraph.core.learning import Example, Outcome, SaidExample
from alertgraph.ml import live
from alertgraph.ml.export import ExportWriter
from alertgraph.ml.features import FeatureRows

TENANT = "00000000-0000-0000-0000-000000000005"
BEGINS = datetime(2026, 1, 5, tzinfo=UTC)


def some_examples(count: int, seed: int = 3) -> Sequence[SaidExample]:
    """Return examples a minute apart; whether one needed a person follows from its first token and numbers."""
    draw = np.random.default_rng(seed)
    numbers = draw.random((count, len(live.NUMBER_NAMES))).astype(np.float32)
    tokens = draw.integers(0, 64, (count, len(live.SCHEMA.token_names()))).astype(np.int32)
    chances = 1 / (1 + np.exp(-4.0 * (numbers[:, 0] - 0.5) - 1.5 * ((tokens[:, 0] % 2) - 0.5)))
    needed = draw.random(count) < chances
    lasted = np.exp(draw.normal(5.0, 1.5, count))
    kept = live.packed(FeatureRows(numbers, tokens))
    made = []
    for place in range(count):
        at = BEGINS + timedelta(minutes=place)
        outcome = Outcome(
            AlertId(UUID(int=place + 1)),
            bool(needed[place]),
            bool(draw.random() < 0.2),
            not needed[place],
            float(lasted[place] / 4) if needed[place] else None,
            float(lasted[place]) if place % 50 else None,
            at + timedelta(seconds=float(lasted[place])),
        )
        made.append(SaidExample(Example(at, kept[place], outcome), "torch_v1", (0.5, 0.2, 0.25), False))
    return sorted(made, key=lambda said: said.example.outcome.matured_at)


def an_export(folder: Path, count: int, seed: int = 3, tenant: str = TENANT) -> Path:
    """Return a folder with an export of so many examples."""
    examples = some_examples(count, seed)
    with ExportWriter(folder, tenant) as writer:
        for start in range(0, count, 700):
            writer.write(examples[start : start + 700])
    return folder
