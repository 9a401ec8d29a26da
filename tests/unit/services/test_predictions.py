"""What the reading does with what a model says: lanes, outcomes, versions; the model itself is a stand-in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest

from alertgraph.core.action import Predict
from alertgraph.core.batch import Request
from alertgraph.core.event import Event, EventKind, SealedEvent, StoredEvent
from alertgraph.core.ids import AlertId, FlushId, ModelId, TenantId
from alertgraph.core.learning import (
    CalibrationBin,
    Example,
    ForeignStateError,
    ModelFigures,
    ModelMetric,
    ModelState,
    ModelStep,
    Outcome,
    Scored,
    Step,
    Taken,
)
from alertgraph.core.prediction import FeatureContribution
from alertgraph.core.prediction_model import PredictionModel
from alertgraph.core.value import replace
from alertgraph.services.following import StateMismatch
from alertgraph.services.lanes import Lanes
from alertgraph.services.ports import SnapshotSource
from alertgraph.services.predictions import PREDICT_WITHIN, PredictionReader, PredictionReading
from tests.factories import SENDER, T0, TENANT, a_prediction
from tests.virtual import SeededDice, VirtualClock

MINUTE = timedelta(minutes=1)
OWN = ModelId(UUID(int=77))


@dataclass
class Model:
    """Says what it is told to say."""

    version: str = "torch_v1"
    trial: str | None = None
    watches: bool = False
    label_count: int = 0
    next: Taken = field(default_factory=Taken)
    tried: list[str] = field(default_factory=list)

    def take(self, events: Sequence[StoredEvent], now: datetime) -> Taken:
        return self.next

    def peek(self, events: Sequence[StoredEvent], now: datetime) -> Sequence[Scored]:
        return ()

    def try_out(self, version: str, content: bytes) -> None:
        if content == b"spoilt":
            raise ForeignStateError("it is spoilt")
        self.tried.append(version)
        self.trial, self.watches = version, True

    def drop_trial(self, version: str) -> None:
        self.trial, self.watches = None, False

    def explain(
        self, features: bytes, model_version: str, *, abstained: bool = False
    ) -> Sequence[FeatureContribution]:
        return (FeatureContribution("f", 1.0, model_version),) if features else ()

    def figures(self) -> Sequence[ModelFigures]:
        return [ModelFigures("torch_v1", self.label_count, (ModelMetric("auroc", 0.8, None, None, "so"),), ())]

    def state(self) -> bytes:
        return b"state"


@dataclass
class Host:
    model: Model
    version: str = "torch_v1"
    contents: Mapping[str, bytes | None] = field(default_factory=dict)

    def open(
        self, tenant_id: TenantId, salt: bytes, state: bytes | None, contents: Mapping[str, bytes | None]
    ) -> Model:
        if state == b"foreign":
            raise ForeignStateError("of another release")
        self.contents = contents
        return self.model


@dataclass
class Models:
    kept: dict[ModelId, PredictionModel] = field(default_factory=dict)
    contents: dict[ModelId, bytes] = field(default_factory=dict)
    told: list[Event] = field(default_factory=list)
    forgotten: set[ModelId] = field(default_factory=set)

    async def models(self, tenant_id: TenantId) -> Sequence[PredictionModel]:
        return sorted(self.kept.values(), key=lambda model: model.trained_at, reverse=True)

    async def artifact(self, tenant_id: TenantId, model_id: ModelId) -> bytes | None:
        return self.contents.get(model_id)

    async def write(
        self,
        tenant_id: TenantId,
        models: Sequence[PredictionModel],
        artifacts: Mapping[ModelId, bytes] | None = None,
        event: SealedEvent | None = None,
        forgotten: Collection[ModelId] = (),
    ) -> None:
        self.kept.update({model.id: model for model in models})
        self.forgotten |= set(forgotten)
        assert sum(model.state is ModelState.ACTIVE for model in self.kept.values()) <= 1
        if event is not None:
            self.told.append(event.event)

    def add(self, state: ModelState, content: bytes = b"weights", version: str = "own-1") -> None:
        self.kept[OWN] = PredictionModel(OWN, version, state, T0 + MINUTE, 300)
        self.contents[OWN] = content

    def add_own(self, number: int, state: ModelState, *, used: bool = False) -> ModelId:
        """Add a version that was trained so many minutes after the beginning."""
        id_, at = ModelId(UUID(int=100 + number)), T0 + number * MINUTE
        self.kept[id_] = PredictionModel(id_, f"own-{number}", state, at, 300, promoted_at=at if used else None)
        self.contents[id_] = b"weights"
        return id_

    def states(self) -> dict[str, ModelState]:
        return {model.version: model.state for model in self.kept.values()}


@dataclass
class Kept:
    """Outcomes in memory, and the lanes' requests."""

    settled: list[Outcome] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    async def settle(self, tenant_id: TenantId, outcomes: Sequence[Outcome]) -> None:
        self.settled += outcomes

    async def examples(self, tenant_id: TenantId, limit: int) -> Sequence[Example]:
        return ()

    async def looked_at(
        self, tenant_id: TenantId, alert_ids: Sequence[AlertId]
    ) -> Mapping[AlertId, tuple[str, bytes, bool]]:
        return {alert_ids[0]: ("torch_v1", b"x", False), alert_ids[1]: ("gone", b"", False)}

    async def submit(self, tenant_id: TenantId, request: Request) -> tuple[Any, ...]:
        self.requests.append(request)
        return ()


class Stage:
    """A reader with everything around it in memory."""

    def __init__(self) -> None:
        self.clock = VirtualClock(T0)
        self.model, self.models, self.kept = Model(), Models(), Kept()
        self.host = Host(self.model)
        self.trained: list[TenantId] = []
        self.reader = PredictionReader(
            self.host,
            cast("Any", self.models),
            self.kept,
            cast("SnapshotSource", None),
            cast("Lanes", self.kept),
            lambda _: bytes(32),
            ThreadPoolExecutor(1),
            self.clock,
            SeededDice(1),
            self.train,
        )

    async def train(self, tenant_id: TenantId) -> None:
        self.trained.append(tenant_id)

    async def open(self) -> PredictionReading:
        return await self.reader.open(TENANT, None, self.clock.now())


def triggered(number: int, at: datetime = T0) -> StoredEvent:
    event = Event(EventKind.TRIGGERED, SENDER, at, alert_id=AlertId(UUID(int=number)))
    return StoredEvent(number, at, FlushId(UUID(int=1)), event, "", b"", None)


def scored(number: int) -> Scored:
    return Scored(AlertId(UUID(int=number)), a_prediction(), b"features")


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_what_is_said_goes_to_the_lanes_in_flushes_and_what_became_is_kept(stage: Stage) -> None:
    reading = await stage.open()
    outcome = Outcome(AlertId(UUID(int=9)), True, False, False, None, 1.0, T0)
    stage.model.next = Taken([scored(number) for number in range(1, 251)], [outcome])

    await reading.take([triggered(number) for number in range(1, 251)])

    actions = [action for request in stage.kept.requests for action in request.actions]
    assert [len(request.actions) for request in stage.kept.requests] == [100, 100, 50]
    assert all(isinstance(action, Predict) and action.features == b"features" for action in actions)
    assert stage.kept.settled == [outcome]
    assert reading.state() == b"state"


async def test_of_what_came_in_long_ago_nothing_is_said_any_more(stage: Stage) -> None:
    reading = await stage.open()
    stage.model.next = Taken([scored(1), scored(2)])

    await reading.take([triggered(1, T0 - PREDICT_WITHIN - MINUTE), triggered(2, T0)])

    (request,) = stage.kept.requests
    assert len(request.actions) == 1


async def test_the_bundled_version_is_in_use_from_the_first_day(stage: Stage) -> None:
    await stage.open()
    await stage.open()

    assert stage.models.states() == {"torch_v1": ModelState.ACTIVE}


async def test_a_foreign_state_begins_anew(stage: Stage) -> None:
    with pytest.raises(StateMismatch, match="another release"):
        await stage.reader.open(TENANT, b"foreign", T0)


async def test_a_candidate_is_taken_up_and_tried(stage: Stage) -> None:
    reading = await stage.open()
    stage.models.add(ModelState.CANDIDATE)

    await reading.tick(T0 + MINUTE)

    assert stage.model.tried == ["own-1"]
    assert stage.models.states()["own-1"] is ModelState.SHADOW


async def test_a_spoilt_candidate_is_retired(stage: Stage) -> None:
    reading = await stage.open()
    stage.models.add(ModelState.CANDIDATE, b"spoilt")

    await reading.tick(T0 + MINUTE)

    assert stage.models.states()["own-1"] is ModelState.RETIRED


async def test_a_promotion_is_told_once_however_often_it_is_called_for(stage: Stage) -> None:
    reading = await stage.open()
    stage.models.add(ModelState.SHADOW)
    stage.model.next = Taken(steps=[ModelStep(Step.PROMOTE, "own-1", "it lost less")])

    await reading.take([triggered(1)])
    await reading.take([triggered(1)])

    assert stage.models.states() == {"torch_v1": ModelState.RETIRED, "own-1": ModelState.ACTIVE}
    (told,) = stage.models.told
    assert told.kind is EventKind.MODEL_PROMOTED
    assert told.detail == {"version": "own-1", "reason": "it lost less"}
    # How good the one before was until then is kept with it.
    figures = {model.version: [metric.name for metric in model.metrics] for model in stage.models.kept.values()}
    assert figures == {"torch_v1": ["auroc"], "own-1": []}


async def test_what_a_state_may_speak_of_is_there_when_it_is_gone_on_from(stage: Stage) -> None:
    """The one before is held against the new one; one that was tried until just now may be in what was saved."""
    for number, state in enumerate([ModelState.RETIRED] * 6, 1):
        stage.models.add_own(number, state, used=number == 1)
    stage.models.add_own(7, ModelState.ACTIVE, used=True)
    stage.models.add_own(8, ModelState.RETIRED)

    await stage.reader.open(TENANT, b"state", T0)

    assert set(stage.host.contents) == {"own-1", "own-6", "own-7", "own-8"}


async def test_files_of_versions_that_nobody_goes_back_to_are_not_kept(stage: Stage) -> None:
    reading = await stage.open()
    old = [stage.models.add_own(number, ModelState.RETIRED) for number in range(1, 6)]
    trial = stage.models.add_own(6, ModelState.SHADOW)
    stage.model.next = Taken(steps=[ModelStep(Step.RETIRE, "own-6", "it lost no less")])

    await reading.take([triggered(1)])

    # That the bundled one has no file of the tenant's is no loss.
    assert stage.models.forgotten == set(old[:3])
    assert trial not in stage.models.forgotten


async def test_who_begins_anew_says_which_version_is_in_use_and_tries_the_own_one_again(stage: Stage) -> None:
    await stage.open()
    (bundled,) = stage.models.kept
    stage.models.kept[bundled] = replace(stage.models.kept[bundled], state=ModelState.RETIRED)
    stage.models.add_own(1, ModelState.ACTIVE, used=True)

    reading = await stage.open()

    assert stage.models.states() == {"torch_v1": ModelState.ACTIVE, "own-1": ModelState.CANDIDATE}
    (told,) = stage.models.told
    assert told.kind is EventKind.MODEL_ROLLED_BACK
    assert told.detail["version"] == "torch_v1"
    await reading.tick(T0 + MINUTE)
    assert stage.model.tried == ["own-1"]


async def test_a_rollback_goes_to_what_the_model_still_has(stage: Stage) -> None:
    reading = await stage.open()
    stage.models.add_own(1, ModelState.RETIRED, used=True)
    (bundled, _) = stage.models.kept
    stage.models.kept[bundled] = replace(stage.models.kept[bundled], state=ModelState.RETIRED)
    stage.models.add_own(2, ModelState.ACTIVE, used=True)
    stage.model.version = "own-2"
    stage.model.next = Taken(steps=[ModelStep(Step.ROLL_BACK, "own-2", "more than one batch in twenty was late")])

    await reading.take([triggered(1)])

    # Nothing is beside it any more: only the one that all begin with is at hand.
    assert stage.models.states()["torch_v1"] is ModelState.ACTIVE
    assert stage.models.states()["own-1"] is ModelState.RETIRED


async def test_a_rollback_puts_the_one_before_back_and_says_so(stage: Stage) -> None:
    reading = await stage.open()
    stage.models.add(ModelState.SHADOW)
    stage.model.next = Taken(steps=[ModelStep(Step.PROMOTE, "own-1", "it lost less")])
    await reading.take([triggered(1)])

    stage.model.next = Taken(steps=[ModelStep(Step.ROLL_BACK, "own-1", "it lost more")])
    await reading.take([triggered(2)])

    assert stage.models.states() == {"torch_v1": ModelState.ACTIVE, "own-1": ModelState.RETIRED}
    told = stage.models.told[-1]
    assert told.kind is EventKind.MODEL_ROLLED_BACK
    assert told.detail["version"] == "torch_v1"
    assert "own-1" in told.detail["reason"]


async def test_the_first_version_has_nothing_to_be_rolled_back_to(stage: Stage) -> None:
    reading = await stage.open()
    stage.model.next = Taken(steps=[ModelStep(Step.ROLL_BACK, "torch_v1", "too slow")])

    await reading.take([triggered(1)])

    assert stage.models.states() == {"torch_v1": ModelState.ACTIVE}
    assert stage.models.told == []


async def test_a_candidate_is_trained_where_enough_is_new(stage: Stage) -> None:
    reading = await stage.open()
    stage.model.label_count = 199
    await reading.tick(T0 + MINUTE)
    assert stage.trained == []

    stage.model.label_count = 200
    await reading.tick(T0 + 2 * MINUTE)
    await reading.tick(T0 + 3 * MINUTE)
    assert stage.trained == [TENANT]

    stage.model.label_count = 264
    await reading.tick(T0 + 4 * MINUTE)
    assert stage.trained == [TENANT, TENANT]


async def test_none_is_trained_while_one_is_tried(stage: Stage) -> None:
    reading = await stage.open()
    stage.model.label_count, stage.model.watches = 5_000, True

    await reading.tick(T0 + MINUTE)

    assert stage.trained == []


async def test_figures_are_kept_with_their_version(stage: Stage) -> None:
    reading = await stage.open()
    stage.model.label_count = 60

    await reading.tick(T0 + 2 * MINUTE)

    (model,) = stage.models.kept.values()
    assert [metric.name for metric in model.metrics] == ["auroc"]


async def test_figures_of_a_reading_begun_anew_do_not_replace_those_of_many_outcomes(stage: Stage) -> None:
    reading = await stage.open()
    (model,) = stage.models.kept.values()
    measured = replace(
        model, metrics=(ModelMetric("ece", 0.1, None, None, "so"),), calibration=(CalibrationBin(0.5, 0.4, 100),)
    )
    stage.models.kept[model.id] = measured
    stage.model.label_count = 60

    await reading.tick(T0 + 2 * MINUTE)

    assert stage.models.kept[model.id] == measured


async def test_reasons_are_given_where_somebody_can_tell(stage: Stage) -> None:
    await stage.open()
    known, gone = AlertId(UUID(int=1)), AlertId(UUID(int=2))

    found = await stage.reader.explain(TENANT, [known, gone])

    assert list(found) == [known]
    assert await stage.reader.explain(TenantId(UUID(int=99)), [known, gone]) == {}
