"""What the model expects of alerts, why, and how good it is."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Self

import strawberry

from alertgraph.core import learning as core_learning
from alertgraph.core import prediction as core
from alertgraph.core import prediction_model as core_model
from alertgraph.core.ids import AlertId, NodeKind, encode_id
from alertgraph.core.query import Page
from resolvers.context import Info
from resolvers.fields import computed
from resolvers.paging import UNSET, After, First, Node, PageInfo, page_of
from resolvers.permissions import reads
from resolvers.relations import in_parts, relation
from resolvers.words import ModelState, PredictionState, Role


@strawberry.type(description="A length of time with its 80 % interval.")
class DurationEstimate:
    """A length of time with its 80 % interval."""

    median: timedelta = strawberry.field(description="As likely longer as shorter.")
    low: timedelta = strawberry.field(description="Lower end.")
    high: timedelta = strawberry.field(description="Upper end.")

    @classmethod
    def of(cls, estimate: core.DurationEstimate) -> Self:
        """Return an estimate as the API shows it."""
        return cls(median=estimate.median, low=estimate.low, high=estimate.high)


@strawberry.type(description="One reason for a prediction.")
class FeatureContribution:
    """One reason for a prediction."""

    feature: str = strawberry.field(description="Stable name.")
    contribution: float = strawberry.field(description="Change in log-odds.")
    text: str = strawberry.field(description="In words.")


async def contributions_by_alert(
    info: Info, keys: Sequence[AlertId]
) -> Mapping[AlertId, Sequence[core.FeatureContribution]]:
    """Return what moved the predictions of alerts; absent where the model is away."""
    context = info.context
    return await in_parts(
        lambda part: context.services.advice.contributions(context.principal.tenant.id, part), keys
    )


def shown_contributions(_info: Info, found: Sequence[core.FeatureContribution]) -> list[FeatureContribution]:
    """Return reasons as the API shows them."""
    return [
        FeatureContribution(feature=each.feature, contribution=each.contribution, text=each.text) for each in found
    ]


@strawberry.type(description="What the model expects of one alert. It advises; it never decides alone.")
class AlertPrediction:
    """What the model expects of one alert."""

    alert_id: strawberry.Private[AlertId]
    model_version: str = strawberry.field(description="Which model.")
    predicted_at: datetime = strawberry.field(description="When.")
    incident_probability: float = strawberry.field(
        description="Calibrated chance that it needs a person: that it escalates or breaches its SLA, 0 to 1."
    )
    sla_breach_probability: float = strawberry.field(
        description="Calibrated chance that it misses an SLA time, 0 to 1."
    )
    self_resolve_probability: float = strawberry.field(
        description="Calibrated chance that it resolves itself, 0 to 1."
    )
    time_to_acknowledge: DurationEstimate | None = strawberry.field(
        description="Time from triggered to acknowledged.", metadata={"cost": 0}
    )
    time_to_resolve: DurationEstimate | None = strawberry.field(
        description="Time from triggered to resolved.", metadata={"cost": 0}
    )
    abstained: bool = strawberry.field(
        description="True where the model has too little evidence and says so; the chances are then base rates."
    )

    @computed(
        "What moved incidentProbability, strongest first, at most 20; null where the model is away. Costs 10.",
        cost=10,
        # All of them together, however many there are.
        page_size_default=1,
        batch=relation(attrgetter("alert_id"), contributions_by_alert, shown_contributions),
    )
    @reads(Role.VIEWER)
    async def contributions(self, info: Info) -> list[FeatureContribution] | None:
        """Return the reasons, asked for together with those of its siblings."""
        found = await info.context.loaders.contributions.load(self.alert_id)
        return shown_contributions(info, found) if found is not None else None

    @classmethod
    def of(cls, alert_id: AlertId, prediction: core.Prediction) -> Self:
        """Return a prediction as the API shows it."""
        acknowledge, resolve = prediction.time_to_acknowledge, prediction.time_to_resolve
        return cls(
            alert_id=alert_id,
            model_version=prediction.model_version,
            predicted_at=prediction.predicted_at,
            incident_probability=prediction.incident_probability,
            sla_breach_probability=prediction.sla_breach_probability,
            self_resolve_probability=prediction.self_resolve_probability,
            time_to_acknowledge=DurationEstimate.of(acknowledge) if acknowledge is not None else None,
            time_to_resolve=DurationEstimate.of(resolve) if resolve is not None else None,
            abstained=prediction.abstained,
        )


async def predictions_by_alert(info: Info, keys: Sequence[AlertId]) -> Mapping[AlertId, AlertPrediction]:
    """Return what the model expects of alerts; absent where it says nothing."""
    context = info.context
    found = await in_parts(
        lambda part: context.services.advice.predictions(
            context.reading, context.principal.tenant.id, part, scores=not context.is_live
        ),
        keys,
    )
    return {alert_id: AlertPrediction.of(alert_id, prediction) for alert_id, prediction in found.items()}


# ------------------------------------------------------------------------------------------- models


@strawberry.type(description="One figure of a model.")
class ModelMetric:
    """One figure of a model."""

    name: str = strawberry.field(description="Such as auroc, ece, selective_accuracy, coverage, base_rate, drift.")
    value: float = strawberry.field(description="The figure.")
    low: float | None = strawberry.field(description="Lower end of its 95 % interval.")
    high: float | None = strawberry.field(description="Upper end of its 95 % interval.")
    definition: str = strawberry.field(description="What it is, on which data.")

    @classmethod
    def of(cls, metric: core_learning.ModelMetric) -> Self:
        """Return a figure as the API shows it."""
        return cls(
            name=metric.name,
            value=metric.value,
            low=metric.low,
            high=metric.high,
            definition=metric.definition,
        )


@strawberry.type(description="What was predicted and what came.")
class CalibrationBin:
    """What was predicted and what came."""

    predicted: float = strawberry.field(description="Mean predicted chance.")
    observed: float = strawberry.field(description="Share that came true.")
    count: int = strawberry.field(description="How many alerts.")


@strawberry.type(description="One version of the model.")
class PredictionModel(Node):
    """One version of the model."""

    id: strawberry.ID = strawberry.field(description="Opaque.")
    version: str = strawberry.field(description="As in AlertPrediction.modelVersion.")
    state: ModelState = strawberry.field(description="How it is used.")
    trained_at: datetime = strawberry.field(description="When it was trained.")
    example_count: int = strawberry.field(description="On how many labelled alerts.")
    metrics: list[ModelMetric] = strawberry.field(
        description="How good it is on alerts it had not seen, each with its definition.", metadata={"cost": 0}
    )
    calibration: list[CalibrationBin] = strawberry.field(
        description="Reliability curve, by predicted chance; empty while unmeasured.", metadata={"cost": 0}
    )

    @classmethod
    def of(cls, model: core_model.PredictionModel) -> Self:
        """Return a version as the API shows it."""
        return cls(
            id=strawberry.ID(encode_id(NodeKind.MODEL, model.id)),
            version=model.version,
            state=model.state,
            trained_at=model.trained_at,
            example_count=model.example_count,
            metrics=[ModelMetric.of(metric) for metric in model.metrics],
            calibration=[
                CalibrationBin(predicted=each.predicted, observed=each.observed, count=each.count)
                for each in model.calibration
            ],
        )


@strawberry.type(description="One of a page of models.")
class PredictionModelEdge:
    """One of a page of models."""

    cursor: str = strawberry.field(description="Its place in this list.")
    node: PredictionModel = strawberry.field(description="The thing.")


@strawberry.type(description="A page of models.")
class PredictionModelConnection:
    """A page of models."""

    edges: list[PredictionModelEdge] = strawberry.field(description="With cursors.")
    nodes: list[PredictionModel] = strawberry.field(description="Without cursors.")
    page_info: PageInfo = strawberry.field(description="Where the page lies.", metadata={"cost": 0})
    total_count: int = strawberry.field(description="How many there are in all pages.")
    why_not: str | None = strawberry.field(
        description="Why no predictions are made at present, in words; null where they are."
    )

    @classmethod
    def of(cls, page: Page[core_model.PredictionModel], why_not: str | None) -> Self:
        """Return a page of models as the API shows it, with why none of them predicts at present."""
        assert page.total_count is not None, "they are always counted"
        edges = [
            PredictionModelEdge(cursor=cursor, node=PredictionModel.of(model)) for cursor, model in page.items
        ]
        return cls(
            edges=edges,
            nodes=[edge.node for edge in edges],
            page_info=PageInfo.of(page),
            total_count=page.total_count,
            why_not=why_not,
        )


@strawberry.type(description="How prediction and noise holding stand for this tenant.")
class PredictionStatus:
    """How prediction and noise holding stand for a tenant."""

    state: PredictionState = strawberry.field(description="Whether predictions are to be had.")
    reason: str = strawberry.field(description="Why, in words.")
    label_count: int = strawberry.field(description="Own labels so far.")
    model: PredictionModel | None = strawberry.field(description="The version in use.", metadata={"cost": 0})
    noise_holding_armed: bool = strawberry.field(
        description="False once the regret budget is used up or holding is off."
    )
    held_count: int = strawberry.field(description="Pages held in the last 30 days.")
    regret_count: int = strawberry.field(description="Of those, held wrongly.")
    regret: timedelta = strawberry.field(description="Time lost by those.")


@reads(Role.VIEWER)
async def prediction_status(info: Info) -> PredictionStatus:
    """Return whether predictions are to be had, why not, and what holding cost."""
    context = info.context
    standing = await context.reading.prediction_standing(await context.services.advice.health())
    return PredictionStatus(
        state=standing.state,
        reason=standing.reason,
        label_count=standing.label_count,
        model=PredictionModel.of(standing.model) if standing.model is not None else None,
        noise_holding_armed=standing.is_armed,
        held_count=standing.noise.held_count,
        regret_count=standing.noise.regret_count,
        regret=standing.noise.regret,
    )


@reads(Role.VIEWER)
async def prediction_models(info: Info, first: First = UNSET, after: After = UNSET) -> PredictionModelConnection:
    """Return a page of the model's versions, newest first."""
    page = page_of(first, after, None, None)
    context = info.context
    found = await context.reading.model_page(page)
    return PredictionModelConnection.of(found, (await context.services.advice.health()).why_not)
