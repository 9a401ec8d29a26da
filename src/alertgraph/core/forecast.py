"""Forecast: who would be told of an alert, when and over which channel, if nobody reacted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from alertgraph.core.action import ById, Fire, Judge, check_action
from alertgraph.core.actor import ENGINE
from alertgraph.core.alert import Alert, HoldReason
from alertgraph.core.channel import Channel, chain
from alertgraph.core.decision import Decision, Situation
from alertgraph.core.delivery import ChannelHealth, Delivery, DeliveryStatus, Purpose
from alertgraph.core.errors import RefusedError
from alertgraph.core.flush import TenantConfig
from alertgraph.core.ids import AlertId, ChannelId, ResponderId, RuleId, ScheduleId, uuid7
from alertgraph.core.labels import Matcher
from alertgraph.core.lifecycle import decide
from alertgraph.core.noise import NO_EVIDENCE, NoiseEvidence
from alertgraph.core.rule import Ladder, ScheduleTarget
from alertgraph.core.schedule import next_change_at, on_call_at

STEP_COUNT_MAX = 200
HORIZON = timedelta(days=366)
"""How far it looks: a ladder that is not climbed by then is not worth waiting for."""
DECISION_COUNT_MAX = 2000
WORK_MAX = 100_000
"""How much it looks at: rotations and silences, over all decisions. Enough for any year but an absurd one."""


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


def alert_to_come(fire: Fire, config: TenantConfig, at: datetime, scope: tuple[Matcher, ...] = ()) -> Alert:
    """Return the alert that is triggered if a sender says this at that time, while none with its key is open.

    Args:
        fire: What the sender says.
        config: What is set up.
        at: When it is said.
        scope: Matchers of the sender's key.

    Raises:
        RefusedError: It would be refused; the path is that of the API's field.
    """
    problem = check_action(fire, at)
    if problem is not None:
        raise RefusedError([problem])
    decision = decide(fire, None, Situation(at, config, ENGINE, AlertId(uuid7(at, 0)), scope))
    if decision.problem is not None:
        raise RefusedError([decision.problem])
    assert decision.alert is not None, "what fires and is not refused is an alert"
    return decision.alert


def forecast(
    alert: Alert,
    config: TenantConfig,
    now: datetime,
    health: Mapping[ChannelId, ChannelHealth],
    *,
    inhibited_by: Sequence[AlertId] = (),
    waiting: Sequence[Delivery] = (),
    noise: NoiseEvidence = NO_EVIDENCE,
) -> Forecast:
    """Return what would happen to an alert if nobody reacted, by the engine's own decisions on a clock of its own.

    What is set up, and who covers it, are taken to stay as they are; a bigger alert that covers it now, for good.
    Of an alert that is resolved nobody is told, and nothing holds it.

    Args:
        alert: As it is now.
        config: What is set up.
        now: Nothing is told of what lies before.
        health: How channels do at present: one whose breaker is open at the time hands over to its fallback.
        inhibited_by: Bigger alerts that cover it.
        waiting: What was decided about it and has not been sent, such as a contact method with a delay.
        noise: What is known of its being noise; who learns is taken to stay as it is, too.
    """
    if noise.policy is not None:
        noise = replace(noise, policy=replace(noise.policy, fresh_until=now + HORIZON))
    # What would end it by itself is not waited for: it may fire again at any time.
    alert = replace(alert, resolve_at=None, resolve_by_timeout=False)
    steps = list(_waiting_steps(waiting, alert, config, now, health))
    last_rule_id = alert.ladder.rule_id if alert.ladder is not None else None
    for decision in _decisions(alert, config, now, tuple(inhibited_by), noise):
        after = decision.alert
        assert after is not None
        if after.ladder is not None:
            last_rule_id = after.ladder.rule_id
        steps += [
            _step(delivery, after, config, delivery.due_at, health)
            for delivery in decision.deliveries
            if delivery.purpose is Purpose.PAGE
        ]
        alert = after
        if len(steps) >= STEP_COUNT_MAX:
            break
    steps.sort(key=lambda step: (step.at, step.level))
    held = alert.held if not steps else None
    return Forecast(last_rule_id, held, tuple(steps[:STEP_COUNT_MAX]))


def _waiting_steps(
    waiting: Sequence[Delivery],
    alert: Alert,
    config: TenantConfig,
    now: datetime,
    health: Mapping[ChannelId, ChannelHealth],
) -> Iterator[ForecastStep]:
    for delivery in waiting:
        wanted = delivery.wanted and delivery.purpose is Purpose.PAGE and delivery.status in _TO_BE_SENT
        if wanted and delivery.channel_id in config.catalog.channels:
            # While an attempt is under way, its due time is when that is given up.
            under_way = delivery.status is DeliveryStatus.SENDING
            yield _step(delivery, alert, config, now if under_way else max(delivery.due_at, now), health)


_TO_BE_SENT = (DeliveryStatus.PENDING, DeliveryStatus.SENDING, DeliveryStatus.RETRYING)


def _decisions(
    alert: Alert,
    config: TenantConfig,
    now: datetime,
    inhibited_by: tuple[AlertId, ...],
    noise: NoiseEvidence,
) -> Iterator[Decision]:
    """Yield what the engine would decide, one after the other, until nothing more can come of it."""
    at = now
    work = 0
    for index in range(DECISION_COUNT_MAX):
        if not alert.is_open or alert.held in (HoldReason.LADDER_EXHAUSTED, HoldReason.NO_MATCHING_RULE):
            return
        due_at = alert.due_at
        if due_at is None or due_at > now + HORIZON:
            return
        work += _work(alert.ladder, config)
        if index and work > WORK_MAX:
            return
        at = max(at, due_at)
        situation = Situation(at, config, ENGINE, AlertId(uuid7(at, index)))
        decision = decide(Judge(ById(alert.id), inhibited_by, noise), alert, situation)
        after = decision.alert
        assert after is not None
        yield decision
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


def _work(ladder: Ladder | None, config: TenantConfig) -> int:
    """Return how much one decision looks at, in rotations."""
    catalog = config.catalog
    default = catalog.rule(config.settings.default_rule_id)
    levels = (*(ladder.levels if ladder is not None else ()), *(default.levels if default is not None else ()))
    schedules = [
        catalog.schedules.get(target.schedule_id)
        for level in levels
        for target in level.targets
        if isinstance(target, ScheduleTarget)
    ]
    # Each schedule looks for its overrides among all of them, which is quick.
    beside = 1 + len(catalog.overrides) // 50
    rotations = sum(len(schedule.rotations) + beside for schedule in schedules if schedule is not None)
    return 1 + rotations + len(catalog.silences)


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
    at: datetime,
    health: Mapping[ChannelId, ChannelHealth],
) -> ForecastStep:
    """Return what is told when a delivery is sent at that time; its level was reached when it was decided."""
    catalog = config.catalog
    meant = catalog.channels[delivery.channel_id]
    channel = next(
        (
            one
            for one in chain(catalog.channels, meant.id)
            if one.enabled and not health.get(one.id, ChannelHealth()).is_open(at)
        ),
        meant,
    )
    schedule_id = _schedule_of(delivery, alert, config)
    responder = catalog.responders.get(delivery.responder_id) if delivery.responder_id is not None else None
    reason = f"Level {delivery.level}"
    if responder is not None and schedule_id is not None:
        reason += f": {responder.name} is on call on {catalog.schedules[schedule_id].name}"
    elif responder is not None:
        reason += f": {responder.name} is named by the rule"
    elif delivery.responder_id is None:
        reason += f": the channel {meant.name} is named by the rule"
    delay = delivery.due_at - delivery.created_at
    if delay >= timedelta(seconds=1) and not delivery.attempt_count:
        reason += f", {_length(delay)} after it is reached"
    if channel.id != meant.id:
        reason += f"; {channel.name} stands in for {meant.name}, which is down"
    return ForecastStep(at, delivery.level, delivery.responder_id, schedule_id, channel, f"{reason}.")


def _schedule_of(delivery: Delivery, alert: Alert, config: TenantConfig) -> ScheduleId | None:
    """Return the schedule of the level by which a person is told; None where the rule names them."""
    if delivery.responder_id is None or alert.ladder is None:
        return None
    catalog = config.catalog
    # Of a delivery that waits, the ladder may have been replaced by a shorter one.
    for level in alert.ladder.levels[delivery.level - 1 : delivery.level]:
        for target in level.targets:
            schedule = catalog.schedules.get(target.schedule_id) if isinstance(target, ScheduleTarget) else None
            if schedule is not None and delivery.responder_id in on_call_at(
                schedule, catalog.overrides_of(schedule.id), delivery.created_at
            ):
                return schedule.id
    return None


def _length(duration: timedelta) -> str:
    seconds = int(duration.total_seconds())
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} min" if not rest else f"{seconds} s"
