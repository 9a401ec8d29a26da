"""What the model says of alerts, for those who read: what is kept, and what can still be had in time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from alertgraph.core.ids import AlertId, TenantId, uuid7_floor
from alertgraph.core.prediction import FeatureContribution, Prediction
from alertgraph.services.ports import LearningHealth, LearningWatch, Predictor
from alertgraph.services.reading import Reading

CONTRIBUTION_COUNT_MAX = 20
# Of what is older, the model has said nothing for another reason than that it is about to.
SCORED_WITHIN = timedelta(minutes=1)
# What no more than this wait for is asked for while they wait.
ASKED_COUNT_MAX = 1_024


class AdviceService:
    """Reads predictions; where the learning process is away there are fewer, and never an error.

    Args:
        watch: Knows whether predictions are made at present.
        predictor: Answers what only a learning process can, in bounded time.
    """

    def __init__(self, watch: LearningWatch, predictor: Predictor) -> None:
        self._watch = watch
        self._predictor = predictor

    async def health(self) -> LearningHealth:
        """Return whether predictions are made at present, for whatever tenant."""
        return await self._watch.health()

    async def predictions(
        self, reading: Reading, tenant_id: TenantId, alert_ids: Collection[AlertId], *, scores: bool
    ) -> Mapping[AlertId, Prediction]:
        """Return what the model says of alerts the caller was shown; one of which it says nothing is absent.

        Args:
            reading: At whose moment.
            tenant_id: Of the alerts.
            alert_ids: Which.
            scores: Whether one so new that nothing is kept of it yet is scored at once, together with others, for
                as long as an answer takes that is still of use.
        """
        found = await reading.predictions(alert_ids)
        if not scores:
            return found
        young = uuid7_floor(reading.now - SCORED_WITHIN)
        missing = [alert_id for alert_id in alert_ids if alert_id not in found and alert_id >= young]
        if not missing or (await self._watch.health()).why_not is not None:
            return found
        return {**await self._predictor.score(tenant_id, missing[:ASKED_COUNT_MAX]), **found}

    async def contributions(
        self, tenant_id: TenantId, alert_ids: Sequence[AlertId]
    ) -> Mapping[AlertId, Sequence[FeatureContribution]]:
        """Return what moved the kept predictions of alerts, strongest first; absent where the model is away."""
        if (await self._watch.health()).why_not is not None:
            return {}
        explained = await self._predictor.explain(tenant_id, alert_ids)
        return {alert_id: found[:CONTRIBUTION_COUNT_MAX] for alert_id, found in explained.items()}
