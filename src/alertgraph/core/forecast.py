"""Forecast: who would be told of an alert, when and over which channel, if nobody reacted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from alertgraph.core.actor import ENGINE
from alertgraph.core.alert import Alert, HoldReason
from alertgraph.core.channel import Channel, chain
from alertgraph.core.decision import Decision, Situation
from alertgraph.core.delivery import ChannelHealth, Delivery, Purpose
from alertgraph.core.flush import TenantConfig
from alertgraph.core.ids import AlertId, ChannelId, ResponderId, RuleId, ScheduleId, uuid7
from alertgraph.core.lifecycle import ById, Fire, Judge, decide
from alertgraph.core.rule import Ladder, ScheduleTarget
from alertgraph.core.schedule import next_change_at, on_call_at

STEP_COUNT_MAX = 200
HORIZON = timedelta(days=366)
"""How far it looks: a ladder that is not climbed by then is not worth waiting for."""
DECISION_COUNT_MAX = 2000


@dataclass(frozen=True, slots=True)
class ForecastStep:
    """One notification to come.

    Attributes:
        schedule_id: Because the person is on call there; None where they are named, or it is a channel.
        channel: A fallback where the first channel is disabled, or down at present.
    """

    at: datetime
    level: int
    responder_id: ResponderId | None
    schedule_id: ScheduleId | None
    channel: Channel
    reason: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would happen.

    Attributes:
        rule_id: Whose ladder is climbed; None where no rule is for it.
        held: Why nobody would be told; None where somebody would.
        steps: In order of time, at most STEP_COUNT_MAX.
    """

    rule_id: RuleId | None
    held: HoldReason | None
    steps: tuple[ForecastStep, ...]


def forecast_draft(
    fire: Fire,
    config: TenantConfig,
    at: datetime,
    health: Mapping[ChannelId, ChannelHealth],
    *,
    level_max: int,
) -> Forecast:
    """Return what would happen if a sender said this at that time.

    Raises:
        AssertionError: The draft is refused; check it first.
    """
    new_id = AlertId(uuid7(at, 0))
    decision = decide(fire, None, Situation(at, config, ENGINE, new_id, level_max=level_max))
    assert decision.alert is not None, "what is forecast was checked"
    return forecast(decision.alert, config, at, health, level_max=level_max)


def forecast(
    alert: Alert,
    config: TenantConfig,
    now: datetime,
    health: Mapping[ChannelId, ChannelHealth],
    *,
    inhibited_by: tuple[AlertId, ...] = (),
    level_max: int,
) -> Forecast:
    """Return what would happen to an alert if nobody reacted, by the engine's own decisions on a clock of its own.

    What is set up, and who covers it, are taken to stay as they are; a bigger alert that covers it now, for good.

    Args:
        alert: As it is now.
        config: What is set up.
        now: Nothing is told of what lies before.
        health: How channels do at present: one whose breaker is open at the time hands over to its fallback.
        inhibited_by: Bigger alerts that cover it.
        level_max: The highest level where no rule is for it.
    """
    # What would end it by itself is not waited for: it may fire again at any time.
    alert = replace(alert, resolve_at=None, resolve_by_timeout=False)
    steps: list[ForecastStep] = []
    last_rule_id = alert.ladder.rule_id if alert.ladder is not None else None
    for at, decision in _decisions(alert, config, now, inhibited_by, level_max):
        after = decision.alert
        assert after is not None
        if after.ladder is not None:
            last_rule_id = after.ladder.rule_id
        steps += [
            _step(delivery, after, config, at, health)
            for delivery in decision.deliveries
            if delivery.purpose is Purpose.PAGE
        ]
        alert = after
        if len(steps) >= STEP_COUNT_MAX:
            break
    steps.sort(key=lambda step: (step.at, step.level))
    held = alert.held if not steps else None
    return Forecast(last_rule_id, held, tuple(steps[:STEP_COUNT_MAX]))


def _decisions(
    alert: Alert, config: TenantConfig, now: datetime, inhibited_by: tuple[AlertId, ...], level_max: int
) -> Iterator[tuple[datetime, Decision]]:
    """Yield what the engine would decide, one after the other, until nothing more can come of it."""
    at = now
    for index in range(DECISION_COUNT_MAX):
        if not alert.is_open or alert.held in (HoldReason.LADDER_EXHAUSTED, HoldReason.NO_MATCHING_RULE):
            return
        due_at = alert.due_at
        if due_at is None or due_at > now + HORIZON:
            return
        at = max(at, due_at)
        situation = Situation(at, config, ENGINE, AlertId(uuid7(at, index)), level_max=level_max)
        decision = decide(Judge(ById(alert.id), inhibited_by), alert, situation)
        after = decision.alert
        assert after is not None
        yield at, decision
        if after == alert and not decision.events:
            return  # held, and nothing but somebody's hand ends it
        if after.held is HoldReason.INHIBITED and alert.held is HoldReason.INHIBITED:
            return  # for as long as the bigger alert lasts
        if after.held is HoldReason.NOBODY_ON_CALL and alert.held is HoldReason.NOBODY_ON_CALL:
            # Looked at again every minute; somebody may come on call, which the schedules know beforehand.
            coming = _next_change(after.ladder, config, at)
            if coming is None:
                return
            after = replace(after, judge_at=coming)
        alert = after


def _next_change(ladder: Ladder | None, config: TenantConfig, at: datetime) -> datetime | None:
    changes = [
        change
        for level in (ladder.levels if ladder is not None else ())
        for target in level.targets
        if isinstance(target, ScheduleTarget)
        and (schedule := config.catalog.schedules.get(target.schedule_id)) is not None
        and (change := next_change_at(schedule, config.catalog.overrides_of(schedule.id), at)) is not None
    ]
    return min(changes, default=None)


def _step(
    delivery: Delivery,
    alert: Alert,
    config: TenantConfig,
    reached_at: datetime,
    health: Mapping[ChannelId, ChannelHealth],
) -> ForecastStep:
    catalog = config.catalog
    meant = catalog.channels[delivery.channel_id]
    channel = next(
        (
            one
            for one in chain(catalog.channels, meant.id)
            if one.enabled and not health.get(one.id, ChannelHealth()).is_open(delivery.due_at)
        ),
        meant,
    )
    schedule_id = _schedule_of(delivery, alert, config, reached_at)
    responder = catalog.responders.get(delivery.responder_id) if delivery.responder_id is not None else None
    reason = f"Level {delivery.level}"
    if responder is not None and schedule_id is not None:
        reason += f": {responder.name} is on call on {catalog.schedules[schedule_id].name}"
    elif responder is not None:
        reason += f": {responder.name} is named by the rule"
    else:
        reason += f": the channel {meant.name} is named by the rule"
    if delivery.due_at > reached_at:
        reason += f", {_length(delivery.due_at - reached_at)} after it is reached"
    if channel.id != meant.id:
        reason += f"; {channel.name} stands in for {meant.name}, which is down"
    return ForecastStep(delivery.due_at, delivery.level, delivery.responder_id, schedule_id, channel, f"{reason}.")


def _schedule_of(delivery: Delivery, alert: Alert, config: TenantConfig, at: datetime) -> ScheduleId | None:
    if delivery.responder_id is None or alert.ladder is None:
        return None
    catalog = config.catalog
    for target in alert.ladder.levels[delivery.level - 1].targets:
        schedule = catalog.schedules.get(target.schedule_id) if isinstance(target, ScheduleTarget) else None
        if schedule is not None and delivery.responder_id in on_call_at(
            schedule, catalog.overrides_of(schedule.id), at
        ):
            return schedule.id
    return None


def _length(duration: timedelta) -> str:
    seconds = int(duration.total_seconds())
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} min" if not rest else f"{seconds} s"
