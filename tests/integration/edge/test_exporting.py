"""A tenant's examples leave the database, are trained on elsewhere, and come back as its candidate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="the extra ml is not installed")
pytest.importorskip("torch", reason="the extra ml is not installed")
pytest.importorskip("sklearn", reason="the extra ml is not installed")

from alertgraph.core.action import ById, Fire, Predict
from alertgraph.core.alert import Alert
from alertgraph.core.errors import InputError, NotFoundError
from alertgraph.core.ids import TenantId
from alertgraph.core.learning import ModelState
from alertgraph.edge.exporting import export_examples, keep_trained
from alertgraph.edge.installation import master_key  #
from alertgraph.edge.operator import Desk, desk_at
from alertgraph.ml.export import Export
from alertgraph.ml.train.processes import Processes
from alertgraph.ml.train.scaled import ScaledPlan, train
from alertgraph.settings import read_settings
from alertgraph.storage.outcomes import PostgresOutcomes
from alertgraph.storage.prediction_models import PostgresPredictionModels
from tests.factories import T0, a_draft, a_prediction
from tests.integration.storage.world import World, a_world, new_id
from tests.unit.ml.exported import an_export, some_examples
from tests.unit.ml.live_small import SMALL

COUNT = 6


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with a_world(database_url) as world:
        yield world


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    settings = read_settings({"CRITICAL_ALERT_DATA_DIR": str(tmp_path / "data")})
    async with desk_at(settings, database_url, master_key(settings)) as desk:
        yield desk


async def with_examples(world: World) -> TenantId:
    """Return the id of one of two tenants: of this one something is known."""
    tenants = {"mine": await world.tenant("mine"), "other": await world.tenant("other")}
    outcomes = PostgresOutcomes(world.database)
    for place, said in enumerate(some_examples(COUNT)):
        key = f"k{place}"
        await world.act(tenants["mine"], Fire(a_draft(dedup_key=key)))
        alert: Alert = (await world.log.load(tenants["mine"], [key], [], [])).by_key[key]
        features = said.example.features
        await world.act(tenants["mine"], Predict(ById(alert.id), a_prediction(), features))
        outcome = replace(said.example.outcome, alert_id=alert.id, matured_at=T0 + timedelta(minutes=place))
        await outcomes.settle(tenants["mine"], [outcome])

    return tenants["mine"]


async def test_what_is_known_is_exported_and_nobody_elses(world: World, desk: Desk, tmp_path: Path) -> None:
    tenant_id = await with_examples(world)

    told = await export_examples(desk, "mine", tmp_path / "mine")
    await export_examples(desk, "other", tmp_path / "other")

    assert (told["examples"], told["left_out"], told["files"]) == (COUNT, 0, 1)
    export = Export.open(tmp_path / "mine")
    assert export.manifest.tenant == str(tenant_id)
    rows = export.rows()
    expected = [said.example.outcome for said in some_examples(COUNT)]
    assert rows.answers[:, 0].astype(bool).tolist() == [outcome.needed_person for outcome in expected]
    assert len(Export.open(tmp_path / "other")) == 0
    with pytest.raises(InputError, match="not empty"):
        await export_examples(desk, "mine", tmp_path / "mine")
    with pytest.raises(NotFoundError):
        await export_examples(desk, "nobody", tmp_path / "nobody")


async def test_what_was_trained_is_a_candidate_of_its_tenant_alone(
    world: World, desk: Desk, tmp_path: Path
) -> None:
    tenant_id = await with_examples(world)
    folder = an_export(tmp_path / "export", 1_000, tenant=str(tenant_id))
    made = train(folder, tmp_path / "kept", ScaledPlan(epochs=1), Processes(), recipe=SMALL).artifact
    assert made is not None
    path = tmp_path / "own.agmodel"
    made.write(path)

    kept = await keep_trained(desk, "mine", path)
    again = await keep_trained(desk, "mine", path)

    assert kept == {"version": made.manifest.name, "examples": 1_000, "new": True}
    assert again == {**kept, "new": False}
    models = PostgresPredictionModels(world.database, new_id)
    (model,) = [one for one in await models.models(tenant_id) if one.version == made.manifest.name]
    assert model.state is ModelState.CANDIDATE
    assert await models.artifact(tenant_id, model.id) == made.to_bytes()
    assert "incident_log_loss" in {metric.name for metric in model.metrics}
    with pytest.raises(InputError, match="was not trained on the alerts of other"):
        await keep_trained(desk, "other", path)
    (tmp_path / "none.agmodel").write_bytes(b"none")
    with pytest.raises(InputError, match="this is no model"):
        await keep_trained(desk, "mine", tmp_path / "none.agmodel")
