"""T9: how fast the service's model takes a log and answers, and how large a tenant's memory grows (made-up load).

A batch is measured as the learning process has it: events in, features, scores of all versions' members, ranges of
time and what is to be written out. The way to the database and back is not in it; `python -m bench` measures that.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import torch

import alertgraph
from alertgraph.core.event import EventKind, StoredEvent
from alertgraph.core.ids import AlertId, TenantId
from alertgraph.ml import live
from alertgraph.ml.artifact import read_artifact
from alertgraph.ml.evaluation.made_log import BEGINS, World, batches, made_log
from alertgraph.ml.evaluation.registry import Options
from alertgraph.ml.evaluation.report import Check, Figure, Holding, TaskResult
from alertgraph.ml.serving import LiveHost, LiveModel

BUNDLED = Path(alertgraph.__file__).parent / "ml" / "bundled" / "torch_v1.agmodel"
SALT = bytes(32)
# Milliseconds that 95 of 100 batches of so many new alerts may take, and what is aimed at.
LIMITS = {1: (2.0, 1.0), 64: (15.0, 8.0), 1_024: (100.0, 60.0)}
REPEATS = {1: 600, 64: 60, 1_024: 12}
SERVICES = 1_000


def run(data: Path, options: Options) -> TaskResult:  # noqa: ARG001  (made-up load needs no data)
    """Carry T9 out."""
    torch.set_num_threads(1)
    host = LiveHost(read_artifact(BUNDLED, live.SCHEMA))
    figures, checks = [], []
    model, number = _grown(host, options.seed)
    # As in the learning process: what stays is looked through once, and what comes and goes seldom.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    for size, (limit, aim) in LIMITS.items():
        took = []
        for turn in range(REPEATS[size]):
            batch = _new_alerts(size, number, options.seed + turn)
            number += size
            began = time.perf_counter()
            taken = model.take(batch, batch[-1].recorded_at)
            took.append((time.perf_counter() - began) * 1e3)
            assert len(taken.scored) == size, "each of them is new and open"
        middle, slow = (float(np.quantile(took, share)) for share in (0.5, 0.95))
        target = f"batch of {size} new alerts"
        figures.append(Figure(target, "torch_v1, one thread", "p50 in ms", middle))
        figures.append(Figure(target, "torch_v1, one thread", "p95 in ms", slow))
        checks.append(Check(target, "p95 in ms", slow, limit, "the benchmark's", lower_is_better=True))
        checks.append(Check(target, "p95 in ms", slow, aim, "the benchmark's", Holding.AIM, lower_is_better=True))
    log = list(made_log(World(seed=options.seed, service_count=100), 5_000))
    fresh = host.open(TenantId(UUID(int=2)), SALT, None, {})
    began = time.perf_counter()
    for batch in batches(log, (1_000,)):
        fresh.take(batch, batch[-1].recorded_at)
    rate = 5_000 / (time.perf_counter() - began)
    figures.append(Figure("a whole log", "torch_v1, one thread", "alerts a second, ends and learning in", rate))
    size_mb = len(model.state()) / 1e6
    figures.append(Figure(f"{SERVICES} services", "state", "MB", size_mb))
    return TaskResult(
        tuple(figures),
        tuple(checks),
        "one thread; the learning process' part alone; after 200 outcomes; state as it is saved",
    )


def _grown(host: LiveHost, seed: int) -> tuple[LiveModel, int]:
    """Return a model that has seen alerts of many services, and the number of the last event."""
    model = host.open(TenantId(UUID(int=1)), SALT, None, {})
    log = list(made_log(World(seed=seed, service_count=SERVICES, gap_seconds=5.0), 6_000))
    for batch in batches(log, (1_000,)):
        model.take(batch, batch[-1].recorded_at)
    return model, len(log)


def _new_alerts(size: int, number: int, seed: int) -> Sequence[StoredEvent]:
    """Return new alerts that come in at once, behind an event."""
    made = made_log(World(seed=seed, service_count=SERVICES, gap_seconds=1e-3), size)
    fresh = [stored for stored in made if stored.event.kind is EventKind.TRIGGERED]
    later = BEGINS + timedelta(days=400, seconds=number)
    ids = [AlertId(UUID(int=(number + place << 64) | seed)) for place in range(size)]
    return [
        replace(
            stored,
            number=number + place + 1,
            recorded_at=later,
            event=replace(stored.event, alert_id=ids[place]),
        )
        for place, stored in enumerate(fresh)
    ]
