"""Takes a tenant's examples out of the database, and brings what was trained on them back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from alertgraph.core.errors import InputError
from alertgraph.core.ids import ModelId, uuid7
from alertgraph.core.learning import ModelState
from alertgraph.core.prediction_model import PredictionModel
from alertgraph.edge.operator import Desk
from alertgraph.edge.training import metrics_of
from alertgraph.ml.export import ExportError, ExportWriter
from alertgraph.storage.outcomes import PostgresOutcomes
from alertgraph.storage.prediction_models import PostgresPredictionModels

PAGE_SIZE = 5_000


async def export_examples(desk: Desk, slug: str, folder: Path) -> dict[str, Any]:
    """Write all examples of a tenant that are known by now into a folder, and return what is told of them.

    Raises:
        NotFoundError: There is no such tenant.
        InputError: The folder is not empty, or cannot be written.
    """
    tenant = await desk.tenant(slug)
    try:
        with ExportWriter(folder, str(tenant.id)) as writer:
            async for page in PostgresOutcomes(desk.database).said(tenant.id, datetime.now(UTC), PAGE_SIZE):
                writer.write(page)
    except ExportError as error:
        raise InputError(f"{error}.", "to") from error
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}.", "to") from error
    told = writer.manifest()
    return {
        "tenant": slug,
        "to": str(folder),
        "examples": told.row_count,
        "left_out": told.left_out,
        "files": len(told.parts),
        "bytes": sum((folder / part.name).stat().st_size for part in told.parts),
    }


async def keep_trained(desk: Desk, slug: str, path: Path) -> dict[str, Any]:
    """Keep a version that was trained on a tenant's export as a candidate of that tenant, and return what it is.

    It is tried like any other: it answers unseen until outcomes tell that it is better.

    Raises:
        NotFoundError: There is no such tenant.
        InputError: It is no version of today's features, or was trained on somebody else's alerts.
    """
    from alertgraph.ml import live
    from alertgraph.ml.artifact import ArtifactError, read_artifact
    from alertgraph.ml.train.scaled import source_name

    tenant = await desk.tenant(slug)
    try:
        made = read_artifact(path, live.SCHEMA)
    except ArtifactError as error:
        raise InputError(f"{error}.", "from") from error
    own = source_name(str(tenant.id))
    if [source.name for source in made.manifest.sources] != [own]:
        raise InputError(f"{path} was not trained on the alerts of {slug}, and on nobody else's.", "from")
    models = PostgresPredictionModels(desk.database, uuid4)
    told = {"version": made.manifest.name, "examples": made.manifest.sources[0].alert_count}
    if any(model.version == made.manifest.name for model in await models.models(tenant.id)):
        return {**told, "new": False}
    now = datetime.now(UTC)
    model = PredictionModel(
        ModelId(uuid7(now, uuid4().int)),
        made.manifest.name,
        ModelState.CANDIDATE,
        now,
        made.manifest.sources[0].alert_count,
        metrics_of(made.manifest.evaluation),
    )
    await models.write(tenant.id, [model], {model.id: made.to_bytes()})
    return {**told, "new": True}
