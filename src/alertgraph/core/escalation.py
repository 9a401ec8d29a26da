"""Escalation: what an alert that nobody has does next, and who is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, assert_never

from alertgraph.core import schedule as schedules
from alertgraph.core import silence as silences
from alertgraph.core.alert import Alert, AlertStatus, HoldReason, alert_match_values
from alertgraph.core.catalog import Catalog
from alertgraph.core.channel import Channel, ChannelKind, WebhookConfig, usable
from alertgraph.core.decision import Decision, Situation, alert_event
from alertgraph.core.delivery import Delivery, Purpose, delivery_id
from alertgraph.core.event import Event, EventKind, instant_text
from alertgraph.core.ids import AlertId, ChannelId, NodeKind, ResponderId, encode_id
from alertgraph.core.noise import NO_EVIDENCE, NoiseEvidence, hold_end, hold_for, stays_held
from alertgraph.core.rule import (
    ChannelTarget,
    EscalationRule,
    EscalationTarget,
    Level,
    ResponderTarget,
    ScheduleTarget,
    match_rule,
)
from alertgraph.core.value import replace

RECHECK_EVERY = timedelta(minutes=1)
"""How often a hold is looked at that ends by no timer: somebody comes on call, a bigger alert ends."""

JUDGED_AGAIN = frozenset(
    {
        HoldReason.SILENCED,
        HoldReason.INHIBITED,
        HoldReason.NO_MATCHING_RULE,
        HoldReason.NOBODY_ON_CALL,
        HoldReason.PREDICTED_NOISE,
    }
)
"""Holds that a change of what is set up may end."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to come.

    Attributes:
        channel: Enabled; a fallback where the one that was meant is not.
        address: On that channel, as ciphertext; None for the channel's own.
        delay: After the level is reached.
    """

    channel: Channel
    address: str | None
    responder_id: ResponderId | None
    delay: timedelta


def rule_for(alert: Alert, situation: Situation) -> EscalationRule | None:
    """Return the rule that an alert climbs: the first that matches, else the tenant's default."""
    catalog = situation.config.catalog
    rule = matching_rule(alert, situation)
    # Whether it is enabled says whether it is matched: as the default it is a net, and a net does not ask.
    return rule or catalog.rule(situation.config.settings.default_rule_id)


def matching_rule(alert: Alert, situation: Situation) -> EscalationRule | None:
    """Return the first rule that matches an alert by what is known of it, the model's advice included."""
    rules = situation.config.catalog.rules
    if not rules:
        return None
    probability = alert.advice.chance if alert.advice is not None else None
    return match_rule(rules, alert_match_values(alert), alert.severity, probability)


def on_ladder(alert: Alert, situation: Situation) -> Alert:
    """Return a triggered alert at the foot of the ladder of its rule, or held where no rule is for it."""
    rule = rule_for(alert, situation)
    if rule is None:
        return replace(alert, ladder=None, next_escalation_at=None, held=HoldReason.NO_MATCHING_RULE)
    return replace(
        alert,
        ladder=rule.ladder,
        escalation_level=0,
        escalation_round=0,
        resumes=False,
        # The engine takes the first level, too: it is woken at once, and what covers the alert may arrive with it.
        next_escalation_at=situation.now,
        judge_at=None,
        held=None,
    )


def held_event(before: Alert | None, alert: Alert, situation: Situation, **detail: Any) -> Event:
    """Return the event that says why nothing will be sent for now."""
    return alert_event(EventKind.HELD, before, alert, situation, hold_reason=alert.held, detail=detail)


def contacts(catalog: Catalog, responder_id: ResponderId) -> Iterator[Notice]:
    """Yield how a person is reached, in order; nothing for one that was deleted."""
    responder = catalog.responders.get(responder_id)
    for method in responder.contact_methods if responder is not None else ():
        channel = usable(catalog.channels, method.channel_id)
        if channel is not None:
            # An address is good on the channel that it was given for, and no other.
            address = method.address if channel.id == method.channel_id else None
            yield Notice(channel, address, responder_id, method.delay)


def notices(level: Level, catalog: Catalog, at: datetime) -> tuple[Notice, ...]:
    """Return whom a level reached at `at` tells, each over the same way once; empty where it comes to nobody."""
    return _once(notice for target in level.targets for notice in _of_target(target, catalog, at))


def _once(found: Iterable[Notice]) -> tuple[Notice, ...]:
    """Leave out what would come the same way again, as where one channel stands in for several."""
    kept: dict[tuple[ChannelId, str | None], Notice] = {}
    for notice in found:
        kept.setdefault((notice.channel.id, notice.address), notice)
    return tuple(kept.values())


def _of_target(target: EscalationTarget, catalog: Catalog, at: datetime) -> Iterator[Notice]:
    match target:
        case ResponderTarget():
            yield from contacts(catalog, target.responder_id)
        case ScheduleTarget():
            schedule = catalog.schedules.get(target.schedule_id)
            if schedule is not None:
                for responder_id in schedules.on_call_at(schedule, catalog.overrides_of(schedule.id), at):
                    yield from contacts(catalog, responder_id)
        case ChannelTarget():
            channel = usable(catalog.channels, target.channel_id)
            if channel is not None:
                yield Notice(channel, None, None, timedelta(0))
        case _:
            assert_never(target)


# --------------------------------------------------------------------------------------- the next step


def step(
    alert: Alert,
    situation: Situation,
    inhibited_by: Sequence[AlertId] = (),
    noise: NoiseEvidence = NO_EVIDENCE,
) -> Decision:
    """Return what a triggered alert whose time has come does: it climbs one level, or is held and says why.

    Args:
        alert: Open and acknowledged by nobody.
        situation: Of the engine.
        inhibited_by: Bigger alerts that cover it now.
        noise: What is known of its being noise; a page is held by that only where the tenant has asked for it.
    """
    assert alert.status is AlertStatus.TRIGGERED, "who has it, climbs no further"
    if alert.held is HoldReason.LADDER_EXHAUSTED:
        return Decision(alert)
    events: list[Event] = []
    covered = silences.covering(situation.config.catalog.silences, alert_match_values(alert), situation.now)
    if covered:
        return _covered(
            alert,
            situation,
            HoldReason.SILENCED,
            EventKind.SILENCED,
            max(end for _, end in covered),
            {"silences": [encode_id(NodeKind.SILENCE, silence.id) for silence, _ in covered]},
        )
    if alert.held is HoldReason.SILENCED:
        alert, event = _uncovered(alert, situation, EventKind.UNSILENCED)
        events.append(event)
    if inhibited_by:
        decision = _covered(
            alert,
            situation,
            HoldReason.INHIBITED,
            EventKind.INHIBITED,
            situation.now + RECHECK_EVERY,
            {"alerts": [encode_id(NodeKind.ALERT, alert_id) for alert_id in inhibited_by[:10]]},
        )
        return replace(decision, events=(*events, *decision.events), changed=bool(events or decision.events))
    if alert.held is HoldReason.INHIBITED:
        alert, event = _uncovered(alert, situation, EventKind.UNINHIBITED)
        events.append(event)
    decision = _held_as_noise(alert, situation, noise) or _climb(let_go(alert, situation.now), situation)
    return replace(decision, events=(*events, *decision.events), changed=bool(events or decision.events))


def _held_as_noise(alert: Alert, situation: Situation, evidence: NoiseEvidence) -> Decision | None:
    """Return how an alert's page waits since nobody is likely to be needed; None where it does not, or no more."""
    rules, now = situation.config.settings.noise, situation.now
    if alert.held is HoldReason.PREDICTED_NOISE:
        if not stays_held(alert, rules, now):
            return None
        return Decision(replace(alert, judge_at=hold_end(alert, rules)))
    hold = hold_for(alert, evidence, rules, now) if alert.ladder is not None else None
    if hold is None:
        return None
    held = replace(alert, held=HoldReason.PREDICTED_NOISE, next_escalation_at=None, judge_at=hold.until)
    detail: dict[str, Any] = {
        "noiseProbability": round(hold.probability, 4),
        "basis": hold.basis.name,
        "text": hold.text,
    }
    if hold.until is not None:
        detail["until"] = instant_text(hold.until)
    return Decision(held, (held_event(alert, held, situation, **detail),), changed=True)


def let_go(alert: Alert, now: datetime) -> Alert:
    """Return an alert whose page waits no more, where it did since nobody seemed to be needed."""
    if alert.held is not HoldReason.PREDICTED_NOISE:
        return alert
    return replace(alert, held=None, judge_at=None, next_escalation_at=now)


def _covered(
    alert: Alert,
    situation: Situation,
    reason: HoldReason,
    kind: EventKind,
    until: datetime,
    detail: dict[str, Any],
) -> Decision:
    held = replace(alert, held=reason, next_escalation_at=None, judge_at=until)
    if alert.held is reason:
        return Decision(held)  # still: nothing to tell, only to look at it again
    event = alert_event(kind, alert, held, situation, hold_reason=reason, detail=detail)
    return Decision(held, (event,), changed=True)


def _uncovered(alert: Alert, situation: Situation, kind: EventKind) -> tuple[Alert, Event]:
    free = replace(alert, held=None, judge_at=None, next_escalation_at=situation.now)
    return free, alert_event(kind, alert, free, situation)


def _climb(alert: Alert, situation: Situation) -> Decision:
    """Take the next level that tells anybody; where none is left that does, the default rule's."""
    if alert.ladder is None:
        found = on_ladder(alert, situation)
        if found.ladder is None:
            return _hold(alert, situation, HoldReason.NO_MATCHING_RULE)
        return _climb(found, situation)
    rungs = list(_rungs_left(alert))
    for number, round_ in rungs:
        level = alert.ladder.levels[number - 1]
        told = notices(level, situation.config.catalog, situation.now)
        if told:
            # One level per decision: after an outage the next person is paged, not everybody.
            return reach(alert, situation, number, round_, told)
    if not rungs:
        return _hold(alert, situation, HoldReason.LADDER_EXHAUSTED)
    default = situation.config.catalog.rule(situation.config.settings.default_rule_id)
    if default is not None and default.id != alert.ladder.rule_id:
        on_default = replace(alert, ladder=default.ladder, escalation_level=0, escalation_round=0, resumes=False)
        if any(notices(level, situation.config.catalog, situation.now) for level in default.levels):
            return _climb(on_default, situation)
    return _hold(alert, situation, HoldReason.NOBODY_ON_CALL)


def _rungs_left(alert: Alert) -> Iterator[tuple[int, int]]:
    """Yield the levels still to be taken in this round, else those of the next one, with their round."""
    assert alert.ladder is not None
    count = len(alert.ladder.levels)
    first = alert.escalation_level + (0 if alert.resumes and alert.escalation_level > 0 else 1)
    yield from ((number, alert.escalation_round) for number in range(first, count + 1))
    if alert.escalation_round < alert.ladder.repeat_count:
        yield from ((number, alert.escalation_round + 1) for number in range(1, count + 1))


def _hold(alert: Alert, situation: Situation, reason: HoldReason) -> Decision:
    judge_at = situation.now + RECHECK_EVERY if reason is HoldReason.NOBODY_ON_CALL else None
    held = replace(alert, held=reason, next_escalation_at=None, judge_at=judge_at)
    if alert.held is reason:
        return Decision(held)
    return Decision(held, (held_event(alert, held, situation),), changed=True)


def reach(
    alert: Alert,
    situation: Situation,
    number: int,
    round_: int,
    told: Sequence[Notice],
    *,
    note: str | None = None,
) -> Decision:
    """Return an alert at a level of its ladder, with whom that tells.

    Args:
        alert: With a ladder that has the level; acknowledged only where a person escalates it.
        situation: When and by whom.
        number: Of the level, from 1.
        round_: How often the whole ladder was climbed before.
        told: Whom the level tells; may be nobody where a person escalates.
        note: Ciphertext of what that person wrote.
    """
    assert alert.ladder is not None
    catalog = situation.config.catalog
    climbs = alert.status is AlertStatus.TRIGGERED
    reached = replace(
        alert,
        escalation_level=number,
        escalation_round=round_,
        resumes=False,
        next_escalation_at=situation.now + alert.ladder.levels[number - 1].delay if climbs else None,
        judge_at=None,
        held=None if climbs else alert.held,
        told=tuple(dict.fromkeys((*alert.told, *(notice.channel.id for notice in told)))),
    )
    paged = tuple(
        _delivery(reached, situation, index, notice, Purpose.PAGE, number, round_)
        for index, notice in enumerate(told)
    )
    detail: dict[str, Any] = {
        "level": number,
        "rule": encode_id(NodeKind.ESCALATION_RULE, alert.ladder.rule_id),
        "notified": [_told(notice, catalog) for notice in told],
    }
    if round_:
        detail["round"] = round_
    if reached.next_escalation_at is not None:
        detail["nextEscalationAt"] = instant_text(reached.next_escalation_at)
    event = alert_event(EventKind.ESCALATED, alert, reached, situation, note=note, detail=detail)
    fresh = {notice.channel.id for notice in told}
    updates = follow_ups(reached, situation, EventKind.ESCALATED, len(paged), but=fresh) if alert.told else ()
    return Decision(reached, (event,), changed=True, deliveries=(*paged, *updates))


def _told(notice: Notice, catalog: Catalog) -> dict[str, Any]:
    """Return how the log tells of a message to come: names, and never an address."""
    said: dict[str, Any] = {"channel": notice.channel.name}
    responder = catalog.responders.get(notice.responder_id) if notice.responder_id is not None else None
    if responder is not None:
        said["responder"] = responder.name
    if notice.delay:
        said["delaySeconds"] = notice.delay.total_seconds()
    return said


def _delivery(
    alert: Alert,
    situation: Situation,
    index: int,
    notice: Notice,
    purpose: Purpose,
    level: int = 0,
    round_: int = 0,
    change: EventKind | None = None,
) -> Delivery:
    return Delivery(
        id=delivery_id(situation.new_id, index, situation.now),
        alert_id=alert.id,
        channel_id=notice.channel.id,
        channel_name=notice.channel.name,
        purpose=purpose,
        level=level,
        round=round_,
        created_at=situation.now,
        due_at=situation.now + notice.delay,
        responder_id=notice.responder_id,
        address=notice.address,
        change=change.name if change is not None else None,
    )


# ------------------------------------------------------------------------------- besides the ladder


def assignment_notices(alert: Alert, situation: Situation, responder_id: ResponderId) -> tuple[Delivery, ...]:
    """Return how the person is told whom an alert was given to."""
    return tuple(
        _delivery(alert, situation, index, notice, Purpose.ASSIGNMENT)
        for index, notice in enumerate(_once(contacts(situation.config.catalog, responder_id)))
    )


def keeps_up(channel: Channel, change: EventKind) -> bool:
    """Say whether what was told over a channel is brought up to date when that happens."""
    match channel.kind:
        case ChannelKind.SLACK:
            return True
        case ChannelKind.PAGERDUTY:
            return change in (EventKind.ACKNOWLEDGED, EventKind.UNACKNOWLEDGED, EventKind.RESOLVED)
        case ChannelKind.WEBHOOK:
            return isinstance(channel.config, WebhookConfig) and channel.config.preset is None
        case ChannelKind.EMAIL:
            return change is EventKind.RESOLVED
        case ChannelKind.TEAMS:
            return False  # a Workflows webhook cannot change what it has posted
        case _:
            assert_never(channel.kind)


def follow_ups(
    alert: Alert,
    situation: Situation,
    change: EventKind,
    first_index: int = 0,
    *,
    but: set[ChannelId] | None = None,
) -> tuple[Delivery, ...]:
    """Return what brings the channels up to date that are to know of an alert.

    Whether anybody was told there by then shows when an update is about to be sent: see `core.dispatch`.

    Args:
        alert: As it is now.
        situation: When, and by which dice.
        change: What happened to it.
        first_index: How many deliveries the decision has already.
        but: Channels that are told otherwise.
    """
    channels = situation.config.catalog.channels
    kept = [
        channel
        for channel_id in alert.told
        if (channel := channels.get(channel_id)) is not None
        and channel.enabled
        and (but is None or channel_id not in but)
        and keeps_up(channel, change)
    ]
    return tuple(
        _delivery(
            alert,
            situation,
            first_index + index,
            Notice(channel, None, None, timedelta(0)),
            Purpose.UPDATE,
            change=change,
        )
        for index, channel in enumerate(kept)
    )


def fallback_delivery(alert: Alert, failed: Delivery, situation: Situation) -> Delivery | None:
    """Return the delivery that takes over from one that failed; None where no channel stands in for its."""
    channels = situation.config.catalog.channels
    channel = channels.get(failed.channel_id)
    stand_in = usable(channels, channel.fallback_id) if channel is not None else None
    if stand_in is None:
        return None
    notice = Notice(stand_in, None, failed.responder_id, timedelta(0))
    made = _delivery(alert, situation, 0, notice, failed.purpose, failed.level, failed.round)
    return replace(made, fallback_of=failed.id)
