"""Trains versions of the model: the one that all begin with, and candidates of single tenants."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import structlog

from alertgraph.core.errors import AlertGraphError, InputError, NotFoundError
from alertgraph.core.ids import EPOCH, ModelId, TenantId, uuid7
from alertgraph.core.learning import CANDIDATE_EVERY, LABELS_EACH, LABELS_MIN, ModelMetric, ModelState
from alertgraph.core.prediction_model import PredictionModel
from alertgraph.edge.installation import StartError, database_at, master_key, owner_url
from alertgraph.edge.models import model_path
from alertgraph.edge.telemetry import configure_logging
from alertgraph.settings import Settings
from alertgraph.storage.database import Database
from alertgraph.storage.embedded import attach
from alertgraph.storage.outcomes import PostgresOutcomes
from alertgraph.storage.prediction_models import PostgresPredictionModels
from alertgraph.storage.tenants import TenantRegistry

EXAMPLES_MAX = 20_000
NICENESS = 10
ROUND_EVERY = timedelta(seconds=60)


def train_bundled(data: Path, out: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Train the version that all begin with, write it to a file, and return what is told of it.

    Raises:
        InputError: A data set is not there, or the result must not be given on.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from alertgraph.ml.artifact import ArtifactError
    from alertgraph.ml.evaluation.registry import DataMissingError
    from alertgraph.ml.train import bundled

    try:
        artifact = bundled.train(data, say)
        artifact.check_given_on()
    except (DataMissingError, ArtifactError) as error:
        raise InputError(f"{error}.", "data") from error
    artifact.write(out)
    return {
        "version": artifact.manifest.name,
        "sha256": artifact.version(),
        "bytes": out.stat().st_size,
        "sources": [f"{source.name} ({source.licence})" for source in artifact.manifest.sources],
        "evaluation": dict(artifact.manifest.evaluation),
    }


def train_export(folder: Path, out: Path, checkpoints: Path | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Train a version from an export, going on where it was killed, write it, and return what is told of it.

    Under torch's launcher this is one of several processes; all but the first are told nothing.

    Raises:
        InputError: There is no export, too little in it, or what is kept is of another training.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from alertgraph.ml.artifact import ArtifactError
    from alertgraph.ml.export import ExportError
    from alertgraph.ml.train.checkpoint import CheckpointError
    from alertgraph.ml.train.processes import ProcessesError
    from alertgraph.ml.train.scaled import ScaledPlan, TrainingRefusedError, carry_out

    try:
        return carry_out(folder, out, ScaledPlan(), checkpoints=checkpoints, say=say) or {}
    except (ArtifactError, CheckpointError, ExportError, ProcessesError, TrainingRefusedError) as error:
        raise InputError(f"{error}.", "from") from error


def train_tenant(settings: Settings, *, slug: str | None = None, tenant_id: UUID | None = None) -> dict[str, Any]:
    """Train a candidate of a tenant from its own outcomes, keep it, and return what is told of it.

    What it is made of decides what comes out: the same version before it and the same examples give the same
    candidate, so that one that is killed loses nothing, and one that is there already is not made again.

    Raises:
        NotFoundError: There is no such tenant.
        InputError: Too little is known to learn from.
        StartError: There is no model to begin with, or no database.
    """
    os.nice(NICENESS)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    path = model_path(settings)
    if path is None:
        raise StartError("There is no model to begin with: CRITICAL_ALERT_PREDICTION_MODEL names one.")
    with ExitStack() as resources:
        url = _database_url(settings, resources)
        return asyncio.run(_trained(settings, url, path, slug, tenant_id))


def serve_trainer(settings: Settings) -> int:
    """Train candidates of all tenants as they fall due, until told to stop; return the process's exit status.

    The learning process has candidates trained by itself; this is for who wants that done elsewhere. Both make the
    same of the same examples, so that none is made twice.

    Raises:
        StartError: Learning is switched off, there is no model to begin with, or no database.
    """
    if not settings.ml_enabled:
        raise StartError("Learning is switched off by CRITICAL_ALERT_ML_ENABLED: there is nothing to do.")
    configure_logging(settings.log_format, settings.log_level, process="trainer")
    os.nice(NICENESS)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    path = model_path(settings)
    if path is None:
        raise StartError("There is no model to begin with: CRITICAL_ALERT_PREDICTION_MODEL names one.")
    with ExitStack() as resources:
        url = _database_url(settings, resources)
        return asyncio.run(_trains(settings, url, path))


async def _trains(settings: Settings, url: str, path: Path) -> int:
    stopping = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stopping.set)
    log = structlog.get_logger("alertgraph")
    registry = TenantRegistry(owner_url(settings, url), master_key(settings))
    database = await Database.connect(url, pool_size=2, application_name="alertgraph trainer")
    log.info("training")
    try:
        while not stopping.is_set():
            try:
                for tenant in await registry.all():
                    if not stopping.is_set() and await _is_due(database, tenant.id):
                        log.info("trained a candidate", **await _candidate(database, tenant.id, path))
            except AlertGraphError as error:
                # What will pass: the next round finds everything as it is.
                log.warning("training failed", error=error.message)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ROUND_EVERY.total_seconds()):
                    await stopping.wait()
    finally:
        await database.close()
    return 0


async def _is_due(database: Database, tenant_id: TenantId) -> bool:
    """Say whether a tenant should have a candidate: none is waiting or tried, and enough is new."""
    known = await PostgresPredictionModels(database, uuid4).models(tenant_id)
    if any(model.state in (ModelState.CANDIDATE, ModelState.SHADOW) for model in known):
        return False
    outcomes = PostgresOutcomes(database)
    if await outcomes.known_since(tenant_id, EPOCH, LABELS_MIN) < LABELS_MIN:
        return False
    since = max((model.trained_at for model in known if model.example_count), default=EPOCH)
    new = await outcomes.known_since(tenant_id, since, LABELS_EACH)
    return new >= LABELS_EACH or (new > 0 and datetime.now(UTC) - since >= CANDIDATE_EVERY)


def _database_url(settings: Settings, resources: ExitStack) -> str:
    """Return where the database is; an embedded one that runs already is used as it is."""
    if settings.database_url is None:
        running = attach(settings.data_dir)
        if running is not None:
            resources.callback(running.stop)
            return running.url
    return resources.enter_context(database_at(settings))


async def _trained(
    settings: Settings, url: str, path: Path, slug: str | None, tenant_id: UUID | None
) -> dict[str, Any]:
    if slug is not None:
        tenant = await TenantRegistry(owner_url(settings, url), master_key(settings)).find(slug)
        if tenant is None:
            raise NotFoundError(f"There is no tenant {slug}.")
        chosen = tenant.id
    else:
        assert tenant_id is not None, "a tenant is named one way or the other"
        chosen = TenantId(tenant_id)
    database = await Database.connect(url, pool_size=2, application_name="alertgraph train")
    try:
        return await _candidate(database, chosen, path)
    finally:
        await database.close()


async def _candidate(database: Database, tenant_id: TenantId, path: Path) -> dict[str, Any]:
    from alertgraph.ml import live
    from alertgraph.ml.artifact import artifact_from_bytes, read_artifact
    from alertgraph.ml.train.candidate import TooFewExamplesError, train_candidate

    models = PostgresPredictionModels(database, uuid4)
    known = await models.models(tenant_id)
    active = next((model for model in known if model.state is ModelState.ACTIVE), None)
    content = await models.artifact(tenant_id, active.id) if active is not None else None
    base = artifact_from_bytes(content, live.SCHEMA) if content is not None else read_artifact(path, live.SCHEMA)
    examples = await PostgresOutcomes(database).examples(tenant_id, EXAMPLES_MAX)
    try:
        made = await asyncio.to_thread(train_candidate, base, examples)
    except TooFewExamplesError as error:
        raise InputError(f"{error}.", "tenant") from error
    version = made.manifest.name
    told = {"version": version, "base": base.manifest.name, "examples": made.manifest.sources[0].alert_count}
    if any(model.version == version for model in known):
        return {**told, "new": False}
    now = datetime.now(UTC)
    model = PredictionModel(
        ModelId(uuid7(now, uuid4().int)),
        version,
        ModelState.CANDIDATE,
        now,
        made.manifest.sources[0].alert_count,
        metrics_of(made.manifest.evaluation),
    )
    await models.write(tenant_id, [model], {model.id: made.to_bytes()})
    return {**told, "new": True}


def metrics_of(evaluation: Mapping[str, float]) -> tuple[ModelMetric, ...]:
    """Return what a training reached as figures of a version, each with what it was measured on."""
    return tuple(
        ModelMetric(
            name.replace(" ", "_").replace("-", "_"),
            value,
            None,
            None,
            f"{name} on the newest of its examples, before it learnt from them; they choose its blend",
        )
        for name, value in sorted(evaluation.items())
    )
