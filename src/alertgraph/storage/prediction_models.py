"""Versions of the model: listed for whoever reads, and written by the process that trains them."""

# ruff: noqa: S608 - statements are put together from constant fragments; values are numbered parameters

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from alertgraph.core.errors import DependencyError, StaleDecisionError
from alertgraph.core.event import SealedEvent
from alertgraph.core.flush import Appended, Flush, Reliance
from alertgraph.core.ids import FlushId, ModelId, TenantId
from alertgraph.core.learning import CalibrationBin, ModelMetric, ModelState
from alertgraph.core.prediction_model import LABEL_COUNT_MAX, PredictionModel
from alertgraph.services.ports import LostCommitError
from alertgraph.storage.database import DEPENDENCY, Connection, Database
from alertgraph.storage.log import append, lock_head
from alertgraph.storage.reader import Reader

MODEL_SELECT = "id, version, state, trained_at, example_count, metrics, calibration, promoted_at"
_ALL = f"SELECT {MODEL_SELECT} FROM prediction_model WHERE tenant_id = $1 ORDER BY trained_at DESC, id DESC"
_BY_ID = f"SELECT {MODEL_SELECT} FROM prediction_model WHERE tenant_id = $1 AND id = ANY ($2::uuid[])"
_ACTIVE = f"SELECT {MODEL_SELECT} FROM prediction_model WHERE tenant_id = $1 AND state = {ModelState.ACTIVE:d}"
_ARTIFACT = "SELECT artifact FROM prediction_model WHERE tenant_id = $1 AND id = $2"
# What a version was made from never changes; how it is used and how good it turned out to be does.
_WRITE = """
INSERT INTO prediction_model (
    tenant_id, id, version, state, trained_at, example_count, metrics, calibration, promoted_at, artifact)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (tenant_id, id) DO UPDATE SET
    state = excluded.state, metrics = excluded.metrics, calibration = excluded.calibration,
    promoted_at = excluded.promoted_at
"""
_FORGET_ARTIFACTS = "UPDATE prediction_model SET artifact = NULL WHERE tenant_id = $1 AND id = ANY ($2::uuid[])"
_LABEL_COUNT = f"""
SELECT count(*) FROM (
    SELECT FROM prediction WHERE tenant_id = $1 AND matured_at IS NOT NULL LIMIT {LABEL_COUNT_MAX}) AS labelled
"""


def model_of(row: Sequence[Any]) -> PredictionModel:
    """Return the version that a row of MODEL_SELECT holds."""
    id_, version, state, trained_at, example_count, metrics, calibration, promoted_at = row
    return PredictionModel(
        id=ModelId(id_),
        version=version,
        state=ModelState(state),
        trained_at=trained_at,
        example_count=example_count,
        metrics=tuple(ModelMetric(**each) for each in metrics),
        calibration=tuple(CalibrationBin(**each) for each in calibration),
        promoted_at=promoted_at,
    )


async def load_models(reader: Reader, ids: Collection[ModelId]) -> Mapping[ModelId, PredictionModel]:
    """Return the versions that exist among the ids."""
    if not ids:
        return {}
    rows = await reader.fetch(_BY_ID, reader.tenant_id, list(ids))
    return {model.id: model for model in map(model_of, rows)}


async def load_active_model(reader: Reader) -> PredictionModel | None:
    """Return the version in use; None where there is none."""
    rows = await reader.fetch(_ACTIVE, reader.tenant_id)
    return model_of(rows[0]) if rows else None


async def load_label_count(reader: Reader) -> int:
    """Return of how many alerts that were predicted the outcome is known, up to LABEL_COUNT_MAX."""
    [[count]] = await reader.fetch(_LABEL_COUNT, reader.tenant_id)
    return int(count)


class PostgresPredictionModels:
    """Fulfils `services.ports.PredictionModels`.

    Args:
        new_flush_id: Where the ids of appends come from.
    """

    def __init__(self, database: Database, new_flush_id: Callable[[], UUID]) -> None:
        self._database = database
        self._new_flush_id = new_flush_id

    async def models(self, tenant_id: TenantId) -> Sequence[PredictionModel]:
        """Return all versions of a tenant, newest first."""
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            return [model_of(row) for row in await connection.fetch(_ALL, tenant_id)]

    async def artifact(self, tenant_id: TenantId, model_id: ModelId) -> bytes | None:
        """Return what a version was saved as; None for the bundled one, and where it is not kept any more."""
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            found: bytes | None = await connection.fetchval(_ARTIFACT, tenant_id, model_id)
        return found

    async def write(
        self,
        tenant_id: TenantId,
        models: Sequence[PredictionModel],
        artifacts: Mapping[ModelId, bytes] | None = None,
        event: SealedEvent | None = None,
        forgotten: Collection[ModelId] = (),
    ) -> Appended | None:
        """Write versions as they are now, and what the log shall say of it, all or nothing; see the port."""
        known = artifacts or {}
        # One that is not active any more makes room for the one that is.
        in_order = sorted(models, key=lambda model: model.state is ModelState.ACTIVE)

        async def work(connection: Connection) -> Appended | None:
            if event is not None:
                await lock_head(connection, tenant_id)
            for model in in_order:
                await connection.execute(
                    _WRITE,
                    tenant_id,
                    model.id,
                    model.version,
                    model.state,
                    model.trained_at,
                    model.example_count,
                    list(model.metrics),
                    list(model.calibration),
                    model.promoted_at,
                    known.get(model.id),
                )
            if forgotten:
                await connection.execute(_FORGET_ARTIFACTS, tenant_id, list(forgotten))
            if event is None:
                return None
            flush = Flush(FlushId(self._new_flush_id()), Reliance(), (event,))
            return await append(connection, tenant_id, flush)

        try:
            return await self._database.write(tenant_id, work)
        except (LostCommitError, StaleDecisionError) as error:
            # Whoever trains reads what is there before it goes on.
            raise DependencyError(DEPENDENCY, retryable=True) from error
