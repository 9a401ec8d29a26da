"""Forecasts: who would be told of an alert, when and how, if nobody reacted."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from alertgraph.core import forecast as core
from alertgraph.core.alert import Draft
from alertgraph.core.catalog import Catalog
from alertgraph.core.errors import InputError, RefusedError
from alertgraph.core.ids import decode_alert_id
from alertgraph.services.alerts import check_idempotency_key
from resolvers.alert_input import CreateAlertInput
from resolvers.channel import NotificationChannel
from resolvers.context import Info
from resolvers.errors import unknown
from resolvers.paging import UNSET, given
from resolvers.permissions import reads
from resolvers.responder import Responder
from resolvers.rule import EscalationRule
from resolvers.schedule import OnCallSchedule
from resolvers.words import HoldReason, Role

# Up to a year of the engine's decisions; steps are made of what is at hand then.
FORECAST_COST = {"cost": 10}


@strawberry.type(description="One notification to come.")
class ForecastStep:
    """One notification to come."""

    at: datetime = strawberry.field(description="When.")
    level: int = strawberry.field(description="For which level.")
    responder: Responder | None = strawberry.field(description="Whom.")
    schedule: OnCallSchedule | None = strawberry.field(description="Because they are on call there.")
    channel: NotificationChannel = strawberry.field(
        description="How; a fallback where the first channel is down now."
    )
    reason: str = strawberry.field(description="In words.")

    @classmethod
    def of(cls, step: core.ForecastStep, catalog: Catalog) -> Self:
        """Return a step as the API shows it, with whom and what it names as they are now."""
        responder = catalog.responders.get(step.responder_id) if step.responder_id is not None else None
        schedule = catalog.schedules.get(step.schedule_id) if step.schedule_id is not None else None
        return cls(
            at=step.at,
            level=step.level,
            responder=Responder.of(responder) if responder is not None else None,
            schedule=OnCallSchedule.of(schedule) if schedule is not None else None,
            channel=NotificationChannel.of(step.channel),
            reason=step.reason,
        )


@strawberry.type(description="When each target would be notified if nobody reacted.")
class EscalationForecast:
    """What would happen; of an alert that is resolved, nothing, and nothing holds it."""

    rule: EscalationRule | None = strawberry.field(description="The rule that applies.")
    hold_reason: HoldReason | None = strawberry.field(
        description="Why nobody would be told; null where somebody would."
    )
    steps: list[ForecastStep] = strawberry.field(
        description="In order of time, at most 200.", metadata={"cost": 0}
    )

    @classmethod
    def of(cls, forecast: core.Forecast, catalog: Catalog) -> Self:
        """Return a forecast as the API shows it."""
        rule = catalog.rule(forecast.rule_id)
        return cls(
            rule=EscalationRule.of(rule) if rule is not None else None,
            hold_reason=forecast.held,
            steps=[ForecastStep.of(step, catalog) for step in forecast.steps],
        )


@reads(Role.VIEWER)
async def escalation_forecast(
    info: Info,
    alert_id: Annotated[strawberry.ID | None, strawberry.argument(description="An open alert.")] = UNSET,
    draft: Annotated[
        CreateAlertInput | None, strawberry.argument(description="An alert that might come.")
    ] = UNSET,
    at: Annotated[datetime | None, strawberry.argument(description="As if triggered then; a draft only.")] = UNSET,
) -> EscalationForecast:
    """Return who would be told of an alert, or of what a sender might send."""
    context = info.context
    asked, wanted, then = given(alert_id), given(draft), given(at)
    if (asked is None) is (wanted is None):
        both = asked is not None
        raise InputError("Give alertId or draft, never both." if both else "Give alertId or draft.", "alertId")
    if asked is not None and then is not None:
        raise InputError("at is for a draft: what is open, goes on from now.", "at")
    catalog = await context.catalog()
    if wanted is not None:
        forecast = await context.reading.forecast_draft(_draft_of(wanted, context.principal.name), then)
        return EscalationForecast.of(forecast, catalog)
    key = decode_alert_id(asked) if asked is not None else None
    alert = await context.loaders.alert.load(key) if key is not None else None
    if alert is None:
        raise unknown("alert", "alertId")
    return EscalationForecast.of(await context.reading.forecast(alert), catalog)


def _draft_of(wanted: CreateAlertInput, sender: str) -> Draft:
    """Return what would be said; paths of what is refused begin at `draft`.

    Its idempotency key is judged as createAlert would, and means nothing: nothing is done here.
    """
    try:
        draft = wanted.to_core(sender)
        key = wanted.idempotency_key
        problem = check_idempotency_key(key) if key is not None else None
        if problem is not None:
            raise RefusedError([problem])
    except RefusedError as error:
        raise RefusedError([each.below("draft") for each in error.problems]) from error
    return draft
