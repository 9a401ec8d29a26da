"""Puts together what predicts: the one place where the service's side meets torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import structlog

from alertgraph.core.ids import TenantId
from alertgraph.edge.child import carried_out
from alertgraph.edge.installation import StartError
from alertgraph.services.lanes import Lanes
from alertgraph.services.ports import Clock, Dice
from alertgraph.services.predictions import PredictionReader
from alertgraph.storage.database import Database
from alertgraph.storage.outcomes import PostgresOutcomes
from alertgraph.storage.prediction_models import PostgresPredictionModels
from alertgraph.storage.secrets import MasterKey
from alertgraph.storage.snapshot import PostgresSnapshotSource

# It takes a minute or two; niced, beside much other work, many more.
TRAINING_MAX = timedelta(minutes=30)


def predicting(
    model: Path,
    key: MasterKey,
    database: Database,
    snapshots: PostgresSnapshotSource,
    lanes: Lanes,
    clock: Clock,
    dice: Dice,
    train: Callable[[TenantId], Coroutine[None, None, None]] | None = None,
) -> PredictionReader:
    """Return who predicts, beginning with the version in a file.

    Args:
        model: The file.
        key: Of the installation.
        database: Where versions and outcomes are kept.
        snapshots: Where alerts are read.
        lanes: Through which alerts are told what is expected of them.
        clock: Of the process.
        dice: Likewise.
        train: Has a candidate trained; None for a process of its own.

    Raises:
        StartError: The file is no model of this release.
    """
    # Read when the library loads: threads of one batch would wait for each other on few cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from alertgraph.core.learning import ForeignStateError
    from alertgraph.ml.serving import read_host

    try:
        host = read_host(model)
    except ForeignStateError as error:
        raise StartError(f"CRITICAL_ALERT_PREDICTION_MODEL can't be used: {error}.") from error
    worker: Executor = ThreadPoolExecutor(1, "model")
    return PredictionReader(
        host,
        PostgresPredictionModels(database, lambda: UUID(int=dice.bits(128))),
        PostgresOutcomes(database),
        snapshots,
        lanes,
        key.learning_salt,
        worker,
        clock,
        dice,
        train or trained_apart,
    )


async def trained_apart(tenant_id: TenantId) -> None:
    """Have a candidate trained by a process of its own, which gives way to everything else."""
    arguments = ("-m", "alertgraph", "train", "--tenant-id", str(tenant_id), "--supervised")
    try:
        status, said = await carried_out(arguments, os.environ, TRAINING_MAX)
    except (OSError, TimeoutError) as error:
        status, said = 1, str(error) or f"it took longer than {TRAINING_MAX}"
    if status != 0:
        log = structlog.get_logger("alertgraph")
        log.warning("training a candidate failed", tenant=str(tenant_id), said=said[-500:])
