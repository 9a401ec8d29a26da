"""The model, its versions, what it says, and what became of that."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from alertgraph.core.event import SealedEvent, StoredEvent
from alertgraph.core.flush import Appended
from alertgraph.core.ids import AlertId, ModelId, TenantId
from alertgraph.core.learning import Example, ModelFigures, Outcome, Scored, Taken
from alertgraph.core.prediction import FeatureContribution, Prediction
from alertgraph.core.prediction_model import PredictionModel


class PredictionModels(Protocol):
    """Versions of the model, one tenant's at a time. Raises DependencyError where the store is away."""

    async def models(self, tenant_id: TenantId) -> Sequence[PredictionModel]:
        """Return all versions of a tenant, newest first."""
        ...

    async def artifact(self, tenant_id: TenantId, model_id: ModelId) -> bytes | None:
        """Return what a version was saved as; None for the bundled one, and where it is not kept any more."""
        ...

    async def write(
        self,
        tenant_id: TenantId,
        models: Sequence[PredictionModel],
        artifacts: Mapping[ModelId, bytes] | None = None,
        event: SealedEvent | None = None,
        forgotten: Collection[ModelId] = (),
    ) -> Appended | None:
        """Write versions as they are now, and what the log shall say of it: all or nothing.

        Args:
            tenant_id: Whose. Nobody else writes them meanwhile: whoever trains holds the tenant's lease.
            models: New ones, and those of which state or figures have changed; one of all is active at most.
            artifacts: Of new ones; one without is the bundled one.
            event: Such as `core.prediction_model.model_event` returns; None to be silent.
            forgotten: Of which the artifact is kept no longer.

        Returns:
            Where the event stands, to be told to those who follow the log; None without one.

        Raises:
            DependencyError: The store is away, or its answer was lost: read what is there before going on.
        """
        ...


class TenantModel(Protocol):
    """A tenant's model at work. It follows from the events that it took alone; not safe for threads."""

    @property
    def version(self) -> str:
        """The version in use."""
        ...

    @property
    def trial(self) -> str | None:
        """The version that is being tried beside it; None where none is."""
        ...

    @property
    def watches(self) -> bool:
        """Whether there is a version beside the one in use, so that no other can be tried now."""
        ...

    @property
    def label_count(self) -> int:
        """Outcomes of the tenant so far."""
        ...

    def take(self, events: Sequence[StoredEvent], now: datetime) -> Taken:
        """Take in events in order; those that were taken before are passed over."""
        ...

    def peek(self, events: Sequence[StoredEvent], now: datetime) -> Sequence[Scored]:
        """Return what would be said of new alerts, without remembering them."""
        ...

    def try_out(self, version: str, content: bytes) -> None:
        """Let a version score the same alerts from now on, unseen.

        Raises:
            ForeignStateError: It can't be used here; the message says why.
        """
        ...

    def drop_trial(self, version: str) -> None:
        """Try a version no longer."""
        ...

    def explain(
        self, features: bytes, model_version: str, *, abstained: bool = False
    ) -> Sequence[FeatureContribution]:
        """Return what moved the chance of needing a person, strongest first; empty where nobody can tell."""
        ...

    def figures(self) -> Sequence[ModelFigures]:
        """Return how good the version in use is, and the one that is tried."""
        ...

    def state(self) -> bytes:
        """Return everything that is remembered; the same state gives the same bytes."""
        ...


class ModelHost(Protocol):
    """Opens the models of tenants."""

    @property
    def version(self) -> str:
        """The version that tenants begin with."""
        ...

    def open(
        self, tenant_id: TenantId, salt: bytes, state: bytes | None, contents: Mapping[str, bytes | None]
    ) -> TenantModel:
        """Return a tenant's model as its state says, or anew where there is none.

        Args:
            tenant_id: Whose it is.
            salt: The tenant's secret.
            state: As `TenantModel.state` gave it.
            contents: By version, what is kept of those that the state may speak of.

        Raises:
            ForeignStateError: The state can't be gone on from.
        """
        ...


class Outcomes(Protocol):
    """What became of alerts that something was predicted of, kept beside what was said.

    Every method raises DependencyError where the store is away.
    """

    async def settle(self, tenant_id: TenantId, outcomes: Sequence[Outcome]) -> None:
        """Keep outcomes; the last one of an alert holds, and what nothing was predicted of is passed over."""
        ...

    async def examples(self, tenant_id: TenantId, limit: int) -> Sequence[Example]:
        """Return the last matured examples, oldest first."""
        ...

    async def looked_at(
        self, tenant_id: TenantId, alert_ids: Sequence[AlertId]
    ) -> Mapping[AlertId, tuple[str, bytes, bool]]:
        """Return which version looked at what of these alerts, and whether it abstained."""
        ...


class Predictor(Protocol):
    """Answers what only a learning process can: in such a process itself, or from afar.

    From afar it never raises and is bounded in time: what can't be had is absent.
    """

    async def explain(
        self, tenant_id: TenantId, alert_ids: Sequence[AlertId]
    ) -> Mapping[AlertId, Sequence[FeatureContribution]]:
        """Return what speaks for and against in the stored predictions of these alerts, the strongest first."""
        ...

    async def score(self, tenant_id: TenantId, alert_ids: Sequence[AlertId]) -> Mapping[AlertId, Prediction]:
        """Return what is to be expected of alerts that nothing was predicted of."""
        ...
