"""Has each tenant's model read its log: what it says is written, what became of it is kept, versions come and go.

The model runs in one thread of its own, so that nobody waits for it but who asked. What is new is predicted as
long as somebody can use it: what has ended meanwhile, or came in too long ago, is only learnt from.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Executor
from datetime import datetime, timedelta
from typing import Final, TypeVar

from alertgraph.core.action import ById, Predict
from alertgraph.core.actor import MODEL
from alertgraph.core.alert import Alert
from alertgraph.core.batch import Request
from alertgraph.core.decision import contents_of
from alertgraph.core.event import Event, EventKind, StoredEvent, seal
from alertgraph.core.ids import UUID7_RANDOM_BITS, AlertId, FlushId, ModelId, TenantId, uuid7, uuid7_series
from alertgraph.core.learning import (
    CANDIDATE_EVERY,
    LABELS_EACH,
    LABELS_MIN,
    ForeignStateError,
    ModelFigures,
    ModelState,
    ModelStep,
    Outcome,
    Scored,
    Step,
    Taken,
)
from alertgraph.core.prediction import FeatureContribution, Prediction
from alertgraph.core.prediction_model import PredictionModel, model_event
from alertgraph.core.value import replace
from alertgraph.services.following import StateMismatch
from alertgraph.services.lanes import Lanes
from alertgraph.services.ports import (
    Clock,
    Dice,
    ModelHost,
    Outcomes,
    PredictionModels,
    SnapshotSource,
    TenantModel,
)

NAME: Final = "prediction"
# Of an alert that came in longer ago nothing is said any more: it is only learnt from.
PREDICT_WITHIN: Final = timedelta(hours=1)
# So many predictions go into one flush.
FLUSH_LENGTH: Final = 100
VERSIONS_EVERY: Final = timedelta(seconds=20)
FIGURES_EVERY: Final = timedelta(seconds=60)
# A state is made in the model's thread, a little oftener than it is asked for.
STATE_EVERY: Final = timedelta(seconds=4)
# A version is too slow where more than one batch in twenty takes longer than this and this for each event.
SLOW_BATCH, SLOW_EVENT = timedelta(milliseconds=100), timedelta(milliseconds=1)
BATCHES_WATCHED = 200
# Of so many of a tenant's newest versions the files are kept whatever became of them.
FILES_KEPT: Final = 3

T = TypeVar("T")


class PredictionReader:
    """Opens readings that predict. Fulfils `services.following.Reader` and `services.ports.Predictor`.

    Args:
        host: Opens models.
        salt: Returns a tenant's secret, which its names are hashed with.
        worker: One thread: models are not made for more.
        train: Called where a tenant should have a candidate, in a process of its own; None where somebody else
            trains. It returns once that has ended.
    """

    name = NAME

    def __init__(
        self,
        host: ModelHost,
        models: PredictionModels,
        outcomes: Outcomes,
        snapshots: SnapshotSource,
        lanes: Lanes,
        salt: Callable[[TenantId], bytes],
        worker: Executor,
        clock: Clock,
        dice: Dice,
        train: Callable[[TenantId], Coroutine[None, None, None]] | None = None,
    ) -> None:
        self._host = host
        self._models = models
        self._outcomes = outcomes
        self._snapshots = snapshots
        self._lanes = lanes
        self._salt = salt
        self._worker = worker
        self._clock = clock
        self._dice = dice
        self._train = train
        self._readings: dict[TenantId, PredictionReading] = {}
        self._training: dict[TenantId, asyncio.Task[None]] = {}

    async def open(self, tenant_id: TenantId, state: bytes | None, now: datetime) -> PredictionReading:
        """Return a tenant's reading as its state says; None begins anew.

        Raises:
            StateMismatch: It is of another form, or speaks of a version that is gone.
            DependencyError: The store is away.
        """
        known = await self._versions(tenant_id, now)
        contents: dict[str, bytes | None] = {}
        if state is None:
            known = await self._begun_anew(tenant_id, known, now)
        else:
            for model in _spoken_of(known):
                if model.version != self._host.version:
                    contents[model.version] = await self._models.artifact(tenant_id, model.id)
        try:
            opened = await self.worked(self._host.open, tenant_id, self._salt(tenant_id), state, contents)
        except ForeignStateError as error:
            raise StateMismatch(str(error)) from error
        reading = PredictionReading(self, tenant_id, opened, known)
        self._readings[tenant_id] = reading
        return reading

    async def worked(self, work: Callable[..., T], *arguments: object) -> T:
        """Return what the model's thread made of it."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, work, *arguments)

    async def _versions(self, tenant_id: TenantId, now: datetime) -> list[PredictionModel]:
        """Return the tenant's versions; the one that all begin with is written where none is in use."""
        known = list(await self._models.models(tenant_id))
        if any(model.state is ModelState.ACTIVE for model in known):
            return known
        bundled = next((model for model in known if model.version == self._host.version), None)
        if bundled is None:
            id_ = ModelId(uuid7(now, self._dice.bits(UUID7_RANDOM_BITS)))
            bundled = PredictionModel(id_, self._host.version, ModelState.ACTIVE, now, 0, promoted_at=now)
        else:
            known.remove(bundled)
            bundled = replace(bundled, state=ModelState.ACTIVE, promoted_at=now)
        await self._models.write(tenant_id, [bundled])
        return [bundled, *known]

    async def _begun_anew(
        self, tenant_id: TenantId, known: list[PredictionModel], now: datetime
    ) -> list[PredictionModel]:
        """Say what is so where a reading begins without its memory: in use is the one that all begin with.

        The tenant's own has to show anew that it is better: what tuned its answers is gone with the memory.
        """
        active = next(model for model in known if model.state is ModelState.ACTIVE)
        bundled = next((model for model in known if model.version == self._host.version), None)
        if active.version == self._host.version or bundled is None:
            return known
        candidate = replace(active, state=ModelState.CANDIDATE)
        back = replace(bundled, state=ModelState.ACTIVE, promoted_at=now)
        reason = f"{active.version} is tried anew: what its answers rested on could not be gone on from"
        await self.write(tenant_id, [candidate, back], (EventKind.MODEL_ROLLED_BACK, back, reason))
        return list(await self._models.models(tenant_id))

    @property
    def bundled_version(self) -> str:
        """The version that all begin with."""
        return self._host.version

    # ------------------------------------------------------------------------------------ effects

    async def predict(self, tenant_id: TenantId, scored: Sequence[Scored]) -> None:
        """Write what was said of alerts; what is there stays."""
        now = self._clock.now()
        flushes = []
        for start in range(0, len(scored), FLUSH_LENGTH):
            part = scored[start : start + FLUSH_LENGTH]
            ids = uuid7_series(now, self._dice.bits(UUID7_RANDOM_BITS * len(part)), len(part))
            actions = tuple(Predict(ById(one.alert_id), one.prediction, one.features, one.shadow) for one in part)
            request = Request(actions, tuple(AlertId(id_) for id_ in ids), MODEL)
            flushes.append(self._lanes.submit(tenant_id, request))
        await asyncio.gather(*flushes)

    async def settle(self, tenant_id: TenantId, outcomes: Sequence[Outcome]) -> None:
        """Keep what has become known."""
        await self._outcomes.settle(tenant_id, outcomes)

    async def write(
        self,
        tenant_id: TenantId,
        models: Sequence[PredictionModel],
        told: tuple[EventKind, PredictionModel, str] | None = None,
    ) -> None:
        """Write versions as they are now; with `told`, which is kind, version and reason, the log tells of it."""
        event = seal(model_event(*told, self._clock.now())) if told is not None else None
        forgotten: Sequence[ModelId] = ()
        if any(model.state is ModelState.RETIRED for model in models):
            forgotten = await self._not_needed(tenant_id, models)
        await self._models.write(tenant_id, models, event=event, forgotten=forgotten)

    async def _not_needed(self, tenant_id: TenantId, changed: Sequence[PredictionModel]) -> Sequence[ModelId]:
        """Return the versions that nobody goes back to once these are written: of them only figures are kept."""
        by_id = {model.id: model for model in await self._models.models(tenant_id)}
        by_id.update({model.id: model for model in changed})
        known = sorted(by_id.values(), key=lambda model: model.trained_at, reverse=True)
        needed = {model.id for model in _spoken_of(known)}
        return [model.id for model in known if model.id not in needed]

    async def models(self, tenant_id: TenantId) -> list[PredictionModel]:
        """Return a tenant's versions, newest first."""
        return list(await self._models.models(tenant_id))

    async def artifact(self, tenant_id: TenantId, model: PredictionModel) -> bytes | None:
        """Return what a version was saved as."""
        return await self._models.artifact(tenant_id, model.id)

    def now(self) -> datetime:
        """Return the present instant."""
        return self._clock.now()

    def has_candidate_made(self, tenant_id: TenantId) -> bool:
        """Have a candidate trained, unless one is being trained; False where somebody else sees to that."""
        if self._train is None:
            return False
        if tenant_id not in self._training:
            task = asyncio.create_task(self._train(tenant_id))
            self._training[tenant_id] = task
            task.add_done_callback(lambda _: self._training.pop(tenant_id, None))
        return True

    # ------------------------------------------------------------------------------------ answers

    async def explain(
        self, tenant_id: TenantId, alert_ids: Sequence[AlertId]
    ) -> Mapping[AlertId, Sequence[FeatureContribution]]:
        """Return what speaks for and against in the stored predictions of these alerts, the strongest first."""
        reading = self._readings.get(tenant_id)
        if reading is None:
            return {}
        looked_at = await self._outcomes.looked_at(tenant_id, alert_ids)

        def explained() -> dict[AlertId, Sequence[FeatureContribution]]:
            return {
                alert_id: reading.model.explain(features, version, abstained=abstained)
                for alert_id, (version, features, abstained) in looked_at.items()
            }

        found = await self.worked(explained)
        # Of a version that is loaded no more nobody can tell.
        return {alert_id: reasons for alert_id, reasons in found.items() if reasons}

    async def score(self, tenant_id: TenantId, alert_ids: Sequence[AlertId]) -> Mapping[AlertId, Prediction]:
        """Return what is to be expected of alerts that nothing was predicted of."""
        reading = self._readings.get(tenant_id)
        if reading is None:
            return {}
        now = self._clock.now()
        async with self._snapshots.snapshot(tenant_id) as snapshot:
            alerts = await snapshot.alerts(alert_ids)
        events = [_as_event(alert, now) for alert in alerts.values() if alert.is_open]
        scored = await self.worked(reading.model.peek, events, now)
        return {one.alert_id: one.prediction for one in scored}


class PredictionReading:
    """One tenant's. Fulfils `services.following.Reading`."""

    def __init__(
        self,
        reader: PredictionReader,
        tenant_id: TenantId,
        model: TenantModel,
        known: Sequence[PredictionModel],
    ) -> None:
        self.model = model
        self._reader = reader
        self._tenant_id = tenant_id
        self._slow: deque[bool] = deque(maxlen=BATCHES_WATCHED)
        self._kept: bytes | None = None
        self._kept_at = 0.0
        self._versions_at = self._figures_at = reader.now()
        self._told_count = model.label_count
        self._candidate_wanted = False
        made = [one for one in known if one.example_count]
        self._candidate_at = max((one.trained_at for one in made), default=reader.now())
        self._candidate_count = max((one.example_count for one in made), default=0)

    async def take(self, events: Sequence[StoredEvent]) -> None:
        """Take the next events: write what is to be expected of new alerts, and keep what became of others."""
        now = self._reader.now()
        began = time.monotonic()
        taken = await self._reader.worked(self._taken, events, now)
        limit = (SLOW_BATCH + SLOW_EVENT * len(events)).total_seconds()
        self._slow.append(time.monotonic() - began > limit)
        came_at = {stored.event.alert_id: stored.recorded_at for stored in events}
        in_time = [one for one in taken.scored if now - came_at[one.alert_id] <= PREDICT_WITHIN]
        await self._reader.predict(self._tenant_id, in_time)
        await self._reader.settle(self._tenant_id, taken.outcomes)
        self._candidate_wanted |= taken.wants_candidate
        steps = list(taken.steps)
        if self._is_slow():
            steps.append(ModelStep(Step.ROLL_BACK, self.model.version, "more than one batch in twenty was late"))
            self._slow.clear()
        for step in steps:
            await self._carry_out(step)

    def _taken(self, events: Sequence[StoredEvent], now: datetime) -> Taken:
        self._kept = None
        taken = self.model.take(events, now)
        if time.monotonic() - self._kept_at >= STATE_EVERY.total_seconds():
            # Whoever saves calls for it soon, and others wait meanwhile.
            self._kept = self.model.state()
            self._kept_at = time.monotonic()
        return taken

    def _is_slow(self) -> bool:
        return len(self._slow) == BATCHES_WATCHED and sum(self._slow) > BATCHES_WATCHED / 20

    async def tick(self, now: datetime) -> None:
        """Try out what was trained, tell figures, and have a candidate trained where it is time."""
        if not timedelta(0) <= now - self._versions_at < VERSIONS_EVERY:
            self._versions_at = now
            await self._look_for_versions(now)
        if (
            not timedelta(0) <= now - self._figures_at < FIGURES_EVERY
            and self.model.label_count > self._told_count
        ):
            self._figures_at = now
            self._told_count = self.model.label_count
            await self._tell(await self._reader.worked(self.model.figures))

    def state(self) -> bytes:
        """Return all that is needed to go on from here."""
        return self._kept if self._kept is not None else self.model.state()

    # ----------------------------------------------------------------------------------- versions

    async def _look_for_versions(self, now: datetime) -> None:
        """Take the newest candidate up, and have one made where there is none and enough is new."""
        known = await self._reader.models(self._tenant_id)
        candidates = [model for model in known if model.state is ModelState.CANDIDATE]
        trained = [model for model in known if model.example_count]
        if self.model.watches:
            return
        if candidates:
            newest, older = candidates[0], candidates[1:]
            retired = [replace(model, state=ModelState.RETIRED) for model in older]
            content = await self._reader.artifact(self._tenant_id, newest)
            try:
                if content is None:
                    raise ForeignStateError("its file is gone")
                await self._reader.worked(self.model.try_out, newest.version, content)
            except ForeignStateError:
                await self._reader.write(self._tenant_id, [*retired, replace(newest, state=ModelState.RETIRED)])
                return
            self._kept = None
            await self._reader.write(self._tenant_id, [*retired, replace(newest, state=ModelState.SHADOW)])
            return
        stale = [
            model for model in known if model.state is ModelState.SHADOW and model.version != self.model.trial
        ]
        if stale:
            # It was being tried when the reading began anew: it goes on.
            await self._reader.write(
                self._tenant_id, [replace(model, state=ModelState.CANDIDATE) for model in stale]
            )
            return
        since = max((model.trained_at for model in trained), default=self._candidate_at)
        labels_new = self.model.label_count - self._candidate_count
        is_due = labels_new >= LABELS_EACH or (labels_new > 0 and now - since >= CANDIDATE_EVERY)
        if self.model.label_count >= LABELS_MIN and (is_due or self._candidate_wanted):
            if self._reader.has_candidate_made(self._tenant_id):
                self._candidate_count = self.model.label_count
            self._candidate_wanted = False

    async def _carry_out(self, step: ModelStep) -> None:
        """Do what outcomes call for; done again after a crash it comes to the same."""
        # How good each was until now stays with it.
        await self._tell(await self._reader.worked(self.model.figures))
        known = await self._reader.models(self._tenant_id)
        by_version = {model.version: model for model in known}
        chosen = by_version.get(step.version)
        active = next((model for model in known if model.state is ModelState.ACTIVE), None)
        if chosen is None:
            return
        now = self._reader.now()
        retired = replace(chosen, state=ModelState.RETIRED)
        if step.step is Step.PROMOTE and chosen.state is not ModelState.ACTIVE:
            before = [replace(active, state=ModelState.RETIRED)] if active is not None else []
            promoted = replace(chosen, state=ModelState.ACTIVE, promoted_at=now)
            told = EventKind.MODEL_PROMOTED, promoted, step.reason
            await self._reader.write(self._tenant_id, [*before, promoted], told)
        elif step.step is Step.RETIRE and chosen.state is not ModelState.ACTIVE:
            self.model.drop_trial(step.version)
            self._kept = None
            await self._reader.write(self._tenant_id, [retired])
        elif step.step is Step.ROLL_BACK and chosen.state is ModelState.ACTIVE:
            earlier = self._put_back_to(known, chosen)
            if earlier is not None:
                back = replace(earlier, state=ModelState.ACTIVE, promoted_at=now)
                reason = f"{chosen.version} was taken out: {step.reason}"
                await self._reader.write(
                    self._tenant_id, [retired, back], (EventKind.MODEL_ROLLED_BACK, back, reason)
                )

    def _put_back_to(self, known: Sequence[PredictionModel], chosen: PredictionModel) -> PredictionModel | None:
        """Return what the model goes back to: the one before while that is beside it, else what all begin with."""
        if self.model.watches and self.model.trial is None:
            return _earlier(known, chosen)
        others = [model for model in known if model.id != chosen.id]
        return next((model for model in others if model.version == self._reader.bundled_version), None)

    async def _tell(self, figures: Sequence[ModelFigures]) -> None:
        """Keep how good versions are."""
        known = {model.version: model for model in await self._reader.models(self._tenant_id)}
        told = [
            replace(known[one.version], metrics=one.metrics, calibration=one.calibration)
            for one in figures
            # A reading that had to begin anew has seen too little: what was measured before stays.
            if one.version in known and (one.calibration or not known[one.version].calibration)
        ]
        if told:
            await self._reader.write(self._tenant_id, told)


def _spoken_of(known: Sequence[PredictionModel]) -> Sequence[PredictionModel]:
    """Return the versions of which the files are kept, since a state that was saved may speak of them.

    Those are the ones in use and on trial, the one that was in use before, which a new one is held against, and of
    the others the newest few: who was killed before it saved goes on from when one of them was tried still.

    Args:
        known: All, newest first.
    """
    active = next((model for model in known if model.state is ModelState.ACTIVE), None)
    earlier = _earlier(known, active) if active is not None else None
    return [
        model
        for place, model in enumerate(known)
        if place < FILES_KEPT or model.state is not ModelState.RETIRED or model is earlier
    ]


def _earlier(known: Sequence[PredictionModel], chosen: PredictionModel) -> PredictionModel | None:
    """Return the version that was in use before; None where there was none."""
    used = [model for model in known if model.promoted_at is not None and model.id != chosen.id]
    return max(used, key=lambda model: model.promoted_at or model.trained_at, default=None)


def _as_event(alert: Alert, now: datetime) -> StoredEvent:
    """Return how the log would tell of a new alert, for one that it was not read of yet."""
    event = Event(
        kind=EventKind.TRIGGERED,
        actor=MODEL,
        decided_at=now,
        alert_id=alert.id,
        title=alert.title,
        severity_after=alert.severity,
        service_after=alert.monitored_service,
        source=alert.source,
        labels=alert.labels,
        detail=contents_of(alert),
    )
    return StoredEvent(0, now, FlushId(alert.id), event, "", b"", None)
