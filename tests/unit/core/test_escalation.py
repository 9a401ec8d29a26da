"""Escalation by example: who is told when, what holds an alert, and what becomes of what was sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from alertgraph.core.action import (
    Acknowledge,
    Action,
    Assign,
    ById,
    Escalate,
    Fire,
    Judge,
    Report,
    Resolve,
    Unacknowledge,
    Update,
)
from alertgraph.core.actor import ENGINE
from alertgraph.core.alert import Alert, AlertStatus, HoldReason
from alertgraph.core.batch import Batch, Outcome
from alertgraph.core.catalog import Catalog
from alertgraph.core.channel import (
    ChannelKind,
    EmailConfig,
    PagerDutyConfig,
    SlackConfig,
    TeamsConfig,
    WebhookConfig,
    WebhookPreset,
)
from alertgraph.core.decision import Decision
from alertgraph.core.delivery import Delivery, DeliveryStatus, Finish, Purpose
from alertgraph.core.errors import ErrorCode
from alertgraph.core.escalation import RECHECK_EVERY, rule_for
from alertgraph.core.event import EventKind
from alertgraph.core.flush import Flush, Loaded
from alertgraph.core.ids import (
    ChannelId,
    NodeKind,
    OverrideId,
    ResponderId,
    RuleId,
    ScheduleId,
    SilenceId,
    encode_id,
)
from alertgraph.core.lifecycle import decide
from alertgraph.core.responder import ContactMethod
from alertgraph.core.rule import ChannelTarget, EscalationRule, ResponderTarget, ScheduleTarget
from alertgraph.core.schedule import Rotation, Schedule, ShiftOverride
from alertgraph.core.severity import Severity
from alertgraph.core.silence import Silence
from alertgraph.core.slo import SlaMark
from tests.factories import (
    ADA,
    DAY,
    HOUR,
    LEVEL_MAX,
    MINUTE,
    T0,
    WEBHOOK,
    a_catalog,
    a_channel,
    a_climbing_alert,
    a_config,
    a_draft,
    a_flush_id,
    a_level,
    a_matcher,
    a_request,
    a_responder,
    a_rule,
    a_situation,
    an_alert,
    an_id,
    the_same,
)

ALERT = ById(an_id())
SLACK = a_channel(11, name="Slack #ops", kind=ChannelKind.SLACK, config=SlackConfig("#ops"))
MAIL = a_channel(12, name="Mail", kind=ChannelKind.EMAIL, config=EmailConfig(("ops@example.org",)))
SMS = a_channel(13, name="SMS", config=WebhookConfig("https://sms.example.org", preset=WebhookPreset.TWILIO_SMS))
CHANNELS = {channel.id: channel for channel in (WEBHOOK, SLACK, MAIL, SMS)}
GRACE = a_responder(30, ContactMethod(SLACK.id, "U1"), ContactMethod(SMS.id, "+1", 5 * MINUTE), name="Grace")
ALAN = a_responder(31, ContactMethod(MAIL.id), name="Alan")
PEOPLE = {person.id: person for person in (GRACE, ALAN)}
THREE = a_rule(
    a_level(5 * MINUTE, ResponderTarget(GRACE.id)),
    a_level(10 * MINUTE, ResponderTarget(ALAN.id)),
    a_level(15 * MINUTE, ChannelTarget(WEBHOOK.id)),
)
NET = a_rule(
    a_level(MINUTE, ChannelTarget(MAIL.id)), id=RuleId(UUID(int=21)), name="net", position=9, enabled=False
)


def a_catalog_of(*rules: EscalationRule, **fields: Any) -> Catalog:
    return a_catalog(**{"rules": rules, "channels": CHANNELS, "responders": PEOPLE, **fields})


def act(
    action: Action,
    alert: Alert | None,
    catalog: Catalog,
    now: datetime = T0,
    *,
    default: EscalationRule | None = None,
    **situation: Any,
) -> Decision:
    """Decide an action of the engine, or of whom `actor` says."""
    config = a_config(catalog=catalog, default_rule_id=default.id if default is not None else None)
    return decide(action, alert, a_situation(**{"now": now, "config": config, "actor": ENGINE, **situation}))


def judge(alert: Alert, catalog: Catalog, now: datetime = T0, **more: Any) -> Decision:
    return act(Judge(ALERT), alert, catalog, now, **more)


def after(decision: Decision) -> Alert:
    assert decision.problem is None
    assert decision.alert is not None
    return decision.alert


def kinds(decision: Decision) -> list[EventKind]:
    return [event.kind for event in decision.events]


def told(decision: Decision) -> list[tuple[str, int, timedelta]]:
    """Return who is paged: over what, on which level, and how long after the decision."""
    return [
        (delivery.channel_name, delivery.level, delivery.due_at - delivery.created_at)
        for delivery in decision.deliveries
        if delivery.purpose is Purpose.PAGE
    ]


def updated(decision: Decision) -> list[str]:
    """Return the channels whose messages are brought up to date."""
    return [one.channel_name for one in decision.deliveries if one.purpose is Purpose.UPDATE]


def climbing(rule: EscalationRule = THREE, **fields: Any) -> Alert:
    return a_climbing_alert(**{"ladder": rule.ladder, **fields})


# ------------------------------------------------------------------------------------ which rule


def test_the_first_rule_by_position_that_matches_is_climbed() -> None:
    later = a_rule(a_level(MINUTE), position=2, id=RuleId(UUID(int=1)))
    other_job = a_rule(a_level(MINUTE), position=0, matchers=(a_matcher("job", "db"),), id=RuleId(UUID(int=2)))
    too_mild = a_rule(a_level(MINUTE), position=0, severities=(Severity.CRITICAL,), id=RuleId(UUID(int=3)))
    off = a_rule(a_level(MINUTE), position=0, enabled=False, id=RuleId(UUID(int=4)))
    first = a_rule(a_level(2 * MINUTE), position=1, matchers=(a_matcher("job", "api"),), id=RuleId(UUID(int=5)))

    alert = after(act(Fire(a_draft()), None, a_catalog_of(later, other_job, too_mild, off, first)))

    assert (alert.ladder, alert.next_escalation_at, alert.held) == (first.ladder, T0, None)


def test_where_no_rule_matches_the_default_one_is_climbed_even_if_it_is_not_tried() -> None:
    mild = a_rule(severities=(Severity.LOW,))

    decision = act(Fire(a_draft()), None, a_catalog_of(mild, NET), default=NET)

    assert (after(decision).ladder, kinds(decision)) == (NET.ladder, [EventKind.TRIGGERED])


@pytest.mark.parametrize("default", [None, replace(NET, id=RuleId(UUID(int=99)))])
def test_where_there_is_no_rule_at_all_the_alert_is_held(default: EscalationRule | None) -> None:
    decision = act(Fire(a_draft()), None, a_catalog_of(), default=default)

    alert = after(decision)
    assert kinds(decision) == [EventKind.TRIGGERED, EventKind.HELD]
    assert (alert.held, alert.next_escalation_at) == (HoldReason.NO_MATCHING_RULE, None)
    assert decision.events[1].hold_reason is HoldReason.NO_MATCHING_RULE


def test_a_held_alert_climbs_once_a_rule_is_there_for_it() -> None:
    alert = an_alert(held=HoldReason.NO_MATCHING_RULE)

    still = judge(alert, a_catalog_of())
    freed = judge(alert, a_catalog_of(THREE))

    assert (still.events, still.deliveries, still.changed) == ((), (), False)
    assert told(freed) == [("Slack #ops", 1, timedelta(0)), ("SMS", 1, 5 * MINUTE)]
    assert (after(freed).ladder, after(freed).held) == (THREE.ladder, None)
    assert after(freed).next_escalation_at == T0 + 5 * MINUTE


def test_a_rule_that_is_edited_does_not_bend_an_escalation_under_way() -> None:
    decision = judge(climbing(), a_catalog_of(a_rule(a_level(HOUR, ChannelTarget(MAIL.id)))))

    assert [channel for channel, _, _ in told(decision)] == ["Slack #ops", "SMS"]
    assert after(decision).ladder == THREE.ladder


def test_a_rule_that_asks_for_a_prediction_is_for_no_alert_without_one() -> None:
    likely = a_rule(a_level(MINUTE), incident_probability_min=0.0)

    assert rule_for(an_alert(), a_situation(config=a_config(catalog=a_catalog_of(likely)))) is None


# ------------------------------------------------------------------------------------- the ladder


def test_every_level_is_reached_at_its_minute_and_then_it_is_over() -> None:
    catalog = a_catalog_of(THREE)
    alert, at, reached = climbing(), T0, []
    while alert.next_escalation_at is not None:
        at = alert.next_escalation_at
        early = judge(alert, catalog, at - timedelta(microseconds=1))
        assert (early.events, early.deliveries) == ((), ()) or at == T0
        decision = judge(alert, catalog, at)
        alert = after(decision)
        reached.append((at - T0, alert.escalation_level, [channel for channel, _, _ in told(decision)]))

    assert reached == [
        (0 * MINUTE, 1, ["Slack #ops", "SMS"]),
        (5 * MINUTE, 2, ["Mail"]),
        (15 * MINUTE, 3, ["webhook"]),
        (30 * MINUTE, 3, []),
    ]
    assert (alert.held, alert.judge_at) == (HoldReason.LADDER_EXHAUSTED, None)


def test_the_event_of_a_climb_names_who_is_told_but_no_address() -> None:
    (event,) = judge(climbing(), a_catalog_of(THREE)).events

    assert (event.kind, event.actor) == (EventKind.ESCALATED, ENGINE)
    assert event.detail == {
        "level": 1,
        "rule": encode_id(NodeKind.ESCALATION_RULE, THREE.id),
        "notified": [
            {"responder": "Grace", "channel": "Slack #ops"},
            {"responder": "Grace", "channel": "SMS", "delaySeconds": 300.0},
        ],
        "nextEscalationAt": "2026-11-23T12:05:00.000000Z",
    }
    assert [(change.field, change.before, change.after) for change in event.changes] == [("escalationLevel", 0, 1)]


def test_a_page_carries_what_it_takes_to_send_it() -> None:
    slack, sms = judge(climbing(), a_catalog_of(THREE)).deliveries

    assert (slack.alert_id, slack.channel_id, slack.address) == (ALERT.alert_id, SLACK.id, "U1")
    assert (slack.responder_id, slack.level, slack.round) == (GRACE.id, 1, 0)
    assert (slack.status, slack.wanted, slack.attempt_count) == (DeliveryStatus.PENDING, True, 0)
    assert slack.is_first
    assert sms.due_at == T0 + 5 * MINUTE
    assert slack.id != sms.id


def test_after_an_outage_the_next_level_is_reached_and_not_all_of_them() -> None:
    late = T0 + 30 * MINUTE
    first = judge(climbing(), a_catalog_of(THREE), late)
    second = judge(after(first), a_catalog_of(THREE), late)

    assert (after(first).escalation_level, after(first).next_escalation_at) == (1, late + 5 * MINUTE)
    assert (second.events, second.deliveries) == ((), ())


def test_a_ladder_is_climbed_as_often_again_as_it_says() -> None:
    rule = a_rule(a_level(MINUTE), a_level(MINUTE), repeat_count=1)
    catalog = a_catalog_of(rule)
    alert, reached = climbing(rule), []
    while alert.next_escalation_at is not None:
        decision = judge(alert, catalog, alert.next_escalation_at)
        alert = after(decision)
        reached += [(page.round, page.level, page.is_first) for page in decision.deliveries]

    assert reached == [(0, 1, True), (0, 2, False), (1, 1, False), (1, 2, False)]
    assert (alert.held, alert.escalation_round) == (HoldReason.LADDER_EXHAUSTED, 1)


def test_the_events_of_later_rounds_say_so() -> None:
    rule = a_rule(a_level(MINUTE), repeat_count=1)

    (event,) = judge(climbing(rule, escalation_level=1), a_catalog_of(rule)).events

    assert (event.detail["level"], event.detail["round"]) == (1, 1)


def test_a_level_without_delay_is_followed_at_once() -> None:
    rule = a_rule(a_level(timedelta(0)), a_level(MINUTE, ChannelTarget(MAIL.id)))

    first = judge(climbing(rule), a_catalog_of(rule))
    second = judge(after(first), a_catalog_of(rule))

    assert after(first).next_escalation_at == T0
    assert (told(first), told(second)) == ([("webhook", 1, timedelta(0))], [("Mail", 2, timedelta(0))])


def test_a_level_that_tells_nobody_is_passed_over() -> None:
    gone = ResponderTarget(ResponderId(UUID(int=99)))
    rule = a_rule(a_level(HOUR, gone), a_level(MINUTE, ChannelTarget(MAIL.id)))

    decision = judge(climbing(rule), a_catalog_of(rule))

    assert (told(decision), after(decision).escalation_level) == ([("Mail", 2, timedelta(0))], 2)
    assert after(decision).next_escalation_at == T0 + MINUTE


def test_who_stands_on_a_level_twice_is_told_once() -> None:
    rule = a_rule(a_level(MINUTE, ResponderTarget(ALAN.id), ChannelTarget(MAIL.id), ResponderTarget(GRACE.id)))

    assert [channel for channel, _, _ in told(judge(climbing(rule), a_catalog_of(rule)))] == [
        "Mail",
        "Slack #ops",
        "SMS",
    ]


def test_what_somebody_has_climbs_no_further() -> None:
    alert = climbing(status=AlertStatus.ACKNOWLEDGED, escalation_level=1, acknowledged_until=T0 + HOUR)

    decision = judge(alert, a_catalog_of(THREE), T0 + 59 * MINUTE)

    assert (decision.events, decision.deliveries, decision.alert) == ((), (), alert)


def test_what_is_given_back_tells_its_level_again_and_climbs_on() -> None:
    catalog = a_catalog_of(THREE)
    taken = climbing(status=AlertStatus.ACKNOWLEDGED, escalation_level=2, acknowledged_until=T0)

    given = judge(taken, catalog)
    again = judge(after(given), catalog)
    on = judge(after(again), catalog, T0 + 10 * MINUTE)

    assert (kinds(given), told(given)) == ([EventKind.UNACKNOWLEDGED], [])
    assert told(again) == [("Mail", 2, timedelta(0))]
    assert told(on) == [("webhook", 3, timedelta(0))]


def test_what_is_given_back_on_the_last_level_tells_it_again() -> None:
    taken = climbing(status=AlertStatus.ACKNOWLEDGED, escalation_level=3)

    given = after(act(Unacknowledge(ALERT), taken, a_catalog_of(THREE), actor=ADA))
    again = judge(given, a_catalog_of(THREE))
    over = judge(after(again), a_catalog_of(THREE), T0 + 15 * MINUTE)

    assert told(again) == [("webhook", 3, timedelta(0))]
    assert after(over).held is HoldReason.LADDER_EXHAUSTED


# ------------------------------------------------------------------------------- schedules, people

NIGHTS = Schedule(ScheduleId(UUID(int=40)), "Nights", rotations=(Rotation((GRACE.id, ALAN.id), T0 + HOUR, DAY),))
BY_SCHEDULE = a_rule(a_level(5 * MINUTE, ScheduleTarget(NIGHTS.id)))


def on_call_catalog(**fields: Any) -> Catalog:
    return a_catalog_of(BY_SCHEDULE, NET, schedules={NIGHTS.id: NIGHTS}, **fields)


def test_whoever_is_on_call_when_the_level_is_reached_is_told() -> None:
    first = judge(climbing(BY_SCHEDULE), on_call_catalog(), T0 + HOUR)
    next_day = judge(climbing(BY_SCHEDULE), on_call_catalog(), T0 + HOUR + DAY)

    assert [page.responder_id for page in first.deliveries] == [GRACE.id, GRACE.id]
    assert [page.responder_id for page in next_day.deliveries] == [ALAN.id]


def test_who_stands_in_is_told_instead() -> None:
    override = ShiftOverride(OverrideId(UUID(int=50)), NIGHTS.id, ALAN.id, T0 + HOUR, T0 + 2 * HOUR, ADA)

    decision = judge(climbing(BY_SCHEDULE), on_call_catalog(overrides=(override,)), T0 + HOUR)

    assert [page.responder_id for page in decision.deliveries] == [ALAN.id]


def test_where_nobody_is_on_call_the_default_rule_is_climbed() -> None:
    decision = judge(climbing(BY_SCHEDULE), on_call_catalog(), default=NET)

    assert told(decision) == [("Mail", 1, timedelta(0))]
    assert (after(decision).ladder, after(decision).held) == (NET.ladder, None)


def test_where_nobody_is_on_call_and_no_default_helps_it_is_held_and_looked_at_every_minute() -> None:
    held = judge(climbing(BY_SCHEDULE), on_call_catalog())
    still = judge(after(held), on_call_catalog(), T0 + RECHECK_EVERY)
    freed = judge(after(still), on_call_catalog(), T0 + HOUR)

    assert (kinds(held), held.deliveries) == ([EventKind.HELD], ())
    assert held.events[0].hold_reason is HoldReason.NOBODY_ON_CALL
    assert (after(held).held, after(held).judge_at) == (HoldReason.NOBODY_ON_CALL, T0 + RECHECK_EVERY)
    assert (still.events, after(still).judge_at) == ((), T0 + 2 * RECHECK_EVERY)
    assert [page.responder_id for page in freed.deliveries] == [GRACE.id, GRACE.id]
    assert (after(freed).held, after(freed).escalation_level) == (None, 1)


def test_a_default_rule_that_tells_nobody_either_is_no_help() -> None:
    empty = replace(NET, levels=(a_level(MINUTE, ScheduleTarget(NIGHTS.id)),))

    decision = judge(
        climbing(BY_SCHEDULE), a_catalog_of(BY_SCHEDULE, empty, schedules={NIGHTS.id: NIGHTS}), default=empty
    )

    assert (after(decision).held, after(decision).ladder) == (HoldReason.NOBODY_ON_CALL, BY_SCHEDULE.ladder)


@pytest.mark.parametrize(
    "target",
    [
        ResponderTarget(ResponderId(UUID(int=99))),
        ScheduleTarget(ScheduleId(UUID(int=99))),
        ChannelTarget(ChannelId(UUID(int=99))),
    ],
)
def test_what_was_deleted_is_left_out(target: Any) -> None:
    rule = a_rule(a_level(MINUTE, target, ChannelTarget(MAIL.id)))

    assert told(judge(climbing(rule), a_catalog_of(rule))) == [("Mail", 1, timedelta(0))]


def test_a_way_to_reach_somebody_over_a_deleted_channel_is_left_out() -> None:
    channels = {id_: channel for id_, channel in CHANNELS.items() if id_ != SLACK.id}

    assert told(judge(climbing(), a_catalog_of(THREE, channels=channels))) == [("SMS", 1, 5 * MINUTE)]


def test_a_channel_that_is_not_in_use_goes_to_its_fallback_at_its_own_address() -> None:
    off = {**CHANNELS, SLACK.id: replace(SLACK, enabled=False, fallback_id=MAIL.id)}

    mail, sms = judge(climbing(), a_catalog_of(THREE, channels=off)).deliveries

    assert (mail.channel_id, mail.address, mail.responder_id) == (MAIL.id, None, GRACE.id)
    assert (sms.channel_id, sms.address) == (SMS.id, "+1")


def test_a_channel_that_is_not_in_use_and_has_no_fallback_tells_nobody() -> None:
    rule = a_rule(a_level(MINUTE))
    off = {**CHANNELS, WEBHOOK.id: replace(WEBHOOK, enabled=False)}

    assert after(judge(climbing(rule), a_catalog_of(rule, channels=off))).held is HoldReason.NOBODY_ON_CALL


# ------------------------------------------------------------------------- silences and inhibition


def a_silence(starts_at: datetime, ends_at: datetime, **fields: Any) -> Silence:
    silence = Silence(SilenceId(UUID(int=60)), (a_matcher("job", "api"),), starts_at, ends_at, "maintenance", ADA)
    return replace(silence, **fields)


def test_what_a_silence_covers_is_held_until_it_ends_and_then_climbs() -> None:
    silence = a_silence(T0 - HOUR, T0 + 10 * MINUTE)
    catalog = a_catalog_of(THREE, silences=(silence,))

    covered = judge(climbing(), catalog)
    still = judge(after(covered), catalog, T0 + 5 * MINUTE)
    freed = judge(after(covered), catalog, T0 + 10 * MINUTE)

    (event,) = covered.events
    assert (event.kind, event.hold_reason) == (EventKind.SILENCED, HoldReason.SILENCED)
    assert event.detail == {"silences": [encode_id(NodeKind.SILENCE, silence.id)]}
    assert (after(covered).held, after(covered).judge_at) == (HoldReason.SILENCED, T0 + 10 * MINUTE)
    assert (after(covered).next_escalation_at, covered.deliveries, still.events) == (None, (), ())
    assert kinds(freed) == [EventKind.UNSILENCED, EventKind.ESCALATED]
    assert [channel for channel, _, _ in told(freed)] == ["Slack #ops", "SMS"]


def test_a_hold_lasts_as_long_as_the_silence_that_ends_last() -> None:
    first, second = a_silence(T0, T0 + HOUR), a_silence(T0, T0 + 2 * HOUR, id=SilenceId(UUID(int=61)))

    assert after(judge(climbing(), a_catalog_of(THREE, silences=(first, second)))).judge_at == T0 + 2 * HOUR


def test_a_silence_that_is_ended_early_lets_the_alert_climb() -> None:
    catalog = a_catalog_of(THREE, silences=(a_silence(T0 - HOUR, T0 + HOUR, over_at=T0),))
    held = climbing(held=HoldReason.SILENCED, next_escalation_at=None, judge_at=T0 + HOUR)

    assert kinds(judge(held, catalog)) == [EventKind.UNSILENCED, EventKind.ESCALATED]


def test_a_silence_for_others_covers_nothing() -> None:
    other = a_silence(T0, T0 + HOUR, matchers=(a_matcher("job", "db"),))

    assert told(judge(climbing(), a_catalog_of(THREE, silences=(other,))))


def test_what_a_silence_covers_keeps_the_level_it_had() -> None:
    catalog = a_catalog_of(THREE, silences=(a_silence(T0, T0 + HOUR),))
    covered = after(judge(climbing(escalation_level=1), catalog))

    assert told(judge(covered, catalog, T0 + HOUR)) == [("Mail", 2, timedelta(0))]


def test_what_a_silence_uncovers_and_no_rule_is_for_is_held_for_that() -> None:
    held = an_alert(held=HoldReason.SILENCED)

    decision = judge(held, a_catalog_of())

    assert kinds(decision) == [EventKind.UNSILENCED, EventKind.HELD]
    assert after(decision).held is HoldReason.NO_MATCHING_RULE


def test_what_a_bigger_alert_covers_is_held_and_looked_at_every_minute() -> None:
    catalog, bigger = a_catalog_of(THREE), an_id(7)

    covered = act(Judge(ALERT, (bigger,)), climbing(), catalog)
    still = act(Judge(ALERT, (bigger,)), after(covered), catalog, T0 + RECHECK_EVERY)
    freed = judge(after(still), catalog, T0 + 2 * RECHECK_EVERY)

    (event,) = covered.events
    assert (event.kind, event.hold_reason) == (EventKind.INHIBITED, HoldReason.INHIBITED)
    assert event.detail == {"alerts": [encode_id(NodeKind.ALERT, bigger)]}
    assert (after(covered).held, after(covered).judge_at) == (HoldReason.INHIBITED, T0 + RECHECK_EVERY)
    assert (still.events, after(still).judge_at) == ((), T0 + 2 * RECHECK_EVERY)
    assert kinds(freed) == [EventKind.UNINHIBITED, EventKind.ESCALATED]


def test_an_event_names_ten_bigger_alerts_at_most() -> None:
    (event,) = act(
        Judge(ALERT, tuple(an_id(number) for number in range(50))), climbing(), a_catalog_of(THREE)
    ).events

    assert len(event.detail["alerts"]) == 10


def test_what_a_silence_leaves_and_a_bigger_alert_covers_passes_from_one_hold_to_the_other() -> None:
    held = climbing(held=HoldReason.SILENCED, next_escalation_at=None, judge_at=T0)

    decision = act(Judge(ALERT, (an_id(7),)), held, a_catalog_of(THREE))

    assert kinds(decision) == [EventKind.UNSILENCED, EventKind.INHIBITED]
    assert after(decision).held is HoldReason.INHIBITED


def test_what_was_climbed_to_the_end_is_neither_silenced_nor_paged_again() -> None:
    alert = climbing(held=HoldReason.LADDER_EXHAUSTED, next_escalation_at=None, escalation_level=3)

    decision = judge(alert, a_catalog_of(THREE, silences=(a_silence(T0, T0 + HOUR),)))

    assert (decision.alert, decision.events) == (alert, ())


# ------------------------------------------------------------------------------------- SLA times

# HIGH in the STANDARD tier: acknowledged within an hour, resolved within a day.
NOTHING_TO_CLIMB = a_rule(a_level(30 * DAY))


def test_sla_times_are_told_in_order_when_they_are_at_risk_and_when_they_are_missed() -> None:
    catalog = a_catalog_of(NOTHING_TO_CLIMB)
    alert = climbing(NOTHING_TO_CLIMB, escalation_level=1, next_escalation_at=T0 + 30 * DAY)
    said = []
    for _ in range(4):
        at = alert.due_at
        assert at is not None
        (event,) = judge(alert, catalog, at).events
        alert = after(judge(alert, catalog, at))
        said.append((at - T0, event.kind, event.detail["time"], event.detail["dueAt"]))

    acknowledge_by, resolve_by = "2026-11-23T13:00:00.000000Z", "2026-11-24T12:00:00.000000Z"
    assert said == [
        (45 * MINUTE, EventKind.SLA_AT_RISK, "acknowledge", acknowledge_by),
        (HOUR, EventKind.SLA_BREACHED, "acknowledge", acknowledge_by),
        (18 * HOUR, EventKind.SLA_AT_RISK, "resolve", resolve_by),
        (DAY, EventKind.SLA_BREACHED, "resolve", resolve_by),
    ]
    assert alert.escalation_level == 1


def test_a_moment_before_an_sla_time_nothing_is_told() -> None:
    alert = climbing(NOTHING_TO_CLIMB, next_escalation_at=T0 + 30 * DAY)

    assert judge(alert, a_catalog_of(NOTHING_TO_CLIMB), T0 + 45 * MINUTE - timedelta(microseconds=1)).events == ()


def test_sla_times_that_passed_meanwhile_are_told_at_once() -> None:
    decision = judge(climbing(), a_catalog_of(THREE), T0 + 2 * HOUR)

    assert kinds(decision) == [EventKind.SLA_AT_RISK, EventKind.SLA_BREACHED, EventKind.ESCALATED]
    assert [event.detail.get("passedAt") for event in decision.events] == [
        "2026-11-23T12:45:00.000000Z",
        "2026-11-23T13:00:00.000000Z",
        None,
    ]


def test_who_took_an_alert_in_time_has_only_the_other_time_to_keep() -> None:
    taken = climbing(status=AlertStatus.ACKNOWLEDGED)

    decision = judge(taken, a_catalog_of(THREE), T0 + 20 * HOUR)

    assert [(event.kind, event.detail["time"]) for event in decision.events] == [
        (EventKind.SLA_AT_RISK, "resolve")
    ]
    assert (decision.deliveries, after(decision).status) == ((), AlertStatus.ACKNOWLEDGED)


def test_an_sla_time_brings_the_next_level_where_the_rule_says_so_and_one_level_only() -> None:
    rule = replace(THREE, escalate_on_sla=True)
    alert = climbing(rule, escalation_level=1, next_escalation_at=T0 + 3 * HOUR)

    at_risk = judge(alert, a_catalog_of(rule), T0 + 45 * MINUTE)
    both = judge(alert, a_catalog_of(rule), T0 + HOUR)

    assert kinds(at_risk) == [EventKind.SLA_AT_RISK, EventKind.ESCALATED]
    assert told(at_risk) == [("Mail", 2, timedelta(0))]
    assert after(at_risk).next_escalation_at == T0 + 55 * MINUTE
    assert kinds(both) == [EventKind.SLA_AT_RISK, EventKind.SLA_BREACHED, EventKind.ESCALATED]
    assert told(both) == [("Mail", 2, timedelta(0))]


def test_an_sla_time_brings_nothing_where_the_rule_does_not_say_so_or_it_is_silenced() -> None:
    rule = replace(THREE, escalate_on_sla=True)
    quiet = judge(
        climbing(escalation_level=1, next_escalation_at=T0 + 3 * HOUR), a_catalog_of(THREE), T0 + 45 * MINUTE
    )
    silenced = judge(
        climbing(rule, escalation_level=1, next_escalation_at=T0 + 3 * HOUR),
        a_catalog_of(rule, silences=(a_silence(T0, T0 + DAY),)),
        T0 + 45 * MINUTE,
    )

    assert (kinds(quiet), quiet.deliveries) == ([EventKind.SLA_AT_RISK], ())
    assert kinds(silenced) == [EventKind.SLA_AT_RISK, EventKind.SILENCED]
    assert silenced.deliveries == ()


def test_a_mark_that_was_told_is_told_once() -> None:
    first = judge(climbing(escalation_level=1, next_escalation_at=T0 + 3 * HOUR), a_catalog_of(), T0 + HOUR)

    assert after(first).sla_marks == SlaMark.ACKNOWLEDGE_AT_RISK | SlaMark.ACKNOWLEDGE_BREACHED
    assert judge(after(first), a_catalog_of(), T0 + HOUR).events == ()


# ---------------------------------------------------------------------------------------- people


def test_a_person_who_escalates_pages_the_level_they_name_also_when_somebody_has_it() -> None:
    taken = climbing(status=AlertStatus.ACKNOWLEDGED, escalation_level=1)

    decision = act(Escalate(ALERT, 3, "sealed"), taken, a_catalog_of(THREE), actor=ADA)

    (event,) = decision.events
    assert told(decision) == [("webhook", 3, timedelta(0))]
    assert (event.kind, event.actor, event.note) == (EventKind.ESCALATED, ADA, "sealed")
    assert (event.detail["level"], "nextEscalationAt" in event.detail) == (3, False)
    assert (after(decision).status, after(decision).held) == (AlertStatus.ACKNOWLEDGED, HoldReason.ACKNOWLEDGED)


def test_after_a_person_escalated_the_ladder_goes_on_from_there() -> None:
    decision = act(Escalate(ALERT), climbing(escalation_level=1), a_catalog_of(THREE), actor=ADA)

    assert told(decision) == [("Mail", 2, timedelta(0))]
    assert after(decision).next_escalation_at == T0 + 10 * MINUTE


@pytest.mark.parametrize(
    "reason", [HoldReason.SILENCED, HoldReason.INHIBITED, HoldReason.NOBODY_ON_CALL, HoldReason.LADDER_EXHAUSTED]
)
def test_a_person_escalates_what_is_held(reason: HoldReason) -> None:
    held = climbing(held=reason, next_escalation_at=None, judge_at=T0 + HOUR, escalation_level=3)

    decision = act(Escalate(ALERT, 1), held, a_catalog_of(THREE), actor=ADA)

    assert [channel for channel, _, _ in told(decision)] == ["Slack #ops", "SMS"]
    assert (after(decision).held, after(decision).judge_at) == (None, None)


def test_what_is_held_since_no_rule_is_for_it_is_escalated_by_a_rule_that_is_there_now() -> None:
    decision = act(Escalate(ALERT), an_alert(), a_catalog_of(THREE), actor=ADA)

    assert [channel for channel, _, _ in told(decision)] == ["Slack #ops", "SMS"]
    assert after(decision).ladder == THREE.ladder


def test_a_level_beyond_the_ladder_is_refused() -> None:
    beyond = act(Escalate(ALERT, 4), climbing(), a_catalog_of(THREE), actor=ADA)
    top = act(Escalate(ALERT), climbing(escalation_level=3), a_catalog_of(THREE), actor=ADA)

    assert beyond.problem is not None
    assert (beyond.problem.code, beyond.problem.message) == (ErrorCode.INVALID_INPUT, "level is 1 to 3.")
    assert top.problem is not None
    assert top.problem.code is ErrorCode.CONFLICT


WORSE = a_rule(
    a_level(MINUTE, ChannelTarget(WEBHOOK.id)),
    id=RuleId(UUID(int=22)),
    name="worst",
    position=0,
    severities=(Severity.CRITICAL,),
)


@pytest.mark.parametrize(
    "action",
    [
        Update(ALERT, severity=Severity.CRITICAL),
        Fire(the_same(an_alert(), severity=Severity.CRITICAL)),
    ],
    ids=["update", "repeat"],
)
def test_what_becomes_worse_is_matched_anew(action: Action) -> None:
    alert = climbing(escalation_level=2, next_escalation_at=T0 + 10 * MINUTE)

    worse = after(act(action, alert, a_catalog_of(THREE, WORSE), actor=ADA))

    assert (worse.ladder, worse.escalation_level, worse.next_escalation_at) == (WORSE.ladder, 0, T0)
    assert told(judge(worse, a_catalog_of(THREE, WORSE))) == [("webhook", 1, timedelta(0))]


def test_what_becomes_worse_under_the_same_rule_goes_on_climbing() -> None:
    alert = climbing(escalation_level=2, next_escalation_at=T0 + 10 * MINUTE)

    worse = after(act(Update(ALERT, severity=Severity.CRITICAL), alert, a_catalog_of(THREE), actor=ADA))

    assert (worse.ladder, worse.escalation_level) == (THREE.ladder, 2)
    assert worse.next_escalation_at == T0 + 10 * MINUTE


def test_what_becomes_milder_goes_on_climbing_as_it_did() -> None:
    mild = a_rule(a_level(MINUTE), severities=(Severity.LOW,), position=0, id=RuleId(UUID(int=23)))
    alert = climbing(escalation_level=1, next_escalation_at=T0 + 5 * MINUTE)

    milder = after(act(Update(ALERT, severity=Severity.LOW), alert, a_catalog_of(THREE, mild), actor=ADA))

    assert (milder.ladder, milder.escalation_level) == (THREE.ladder, 1)


@pytest.mark.parametrize(
    "fields",
    [
        {"status": AlertStatus.ACKNOWLEDGED},
        {"held": HoldReason.SILENCED, "next_escalation_at": None, "judge_at": T0 + HOUR},
        {"held": HoldReason.INHIBITED, "next_escalation_at": None, "judge_at": T0 + MINUTE},
    ],
)
def test_what_becomes_worse_while_it_is_held_stays_held_and_has_another_ladder_afterwards(
    fields: dict[str, Any],
) -> None:
    alert = climbing(**{"escalation_level": 2, **fields})

    worse = after(act(Update(ALERT, severity=Severity.CRITICAL), alert, a_catalog_of(THREE, WORSE), actor=ADA))

    assert (worse.held, worse.judge_at, worse.next_escalation_at) == (alert.held, alert.judge_at, None)
    assert (worse.ladder, worse.escalation_level) == (WORSE.ladder, 0)


def test_what_no_rule_was_for_and_becomes_worse_climbs() -> None:
    worse = after(act(Update(ALERT, severity=Severity.CRITICAL), an_alert(), a_catalog_of(WORSE), actor=ADA))

    assert (worse.ladder, worse.held, worse.next_escalation_at) == (WORSE.ladder, None, T0)


def test_whom_an_alert_is_given_to_is_told_at_once_or_later() -> None:
    decision = act(Assign(ALERT, GRACE.id, "sealed"), climbing(), a_catalog_of(THREE), actor=ADA)

    (event,) = decision.events
    assert (event.kind, event.detail, event.note) == (EventKind.ASSIGNED, {"responder": "Grace"}, "sealed")
    assert [(one.purpose, one.channel_name, one.due_at - T0, one.level) for one in decision.deliveries] == [
        (Purpose.ASSIGNMENT, "Slack #ops", timedelta(0), 0),
        (Purpose.ASSIGNMENT, "SMS", 5 * MINUTE, 0),
    ]
    assert (after(decision).assignee, after(decision).told) == (GRACE.id, (SLACK.id, SMS.id))
    # Whose it is, is one thing; who takes it, another.
    assert after(decision).next_escalation_at == T0


def test_an_alert_given_to_nobody_tells_nobody() -> None:
    decision = act(Assign(ALERT, None), climbing(assignee=GRACE.id), a_catalog_of(THREE), actor=ADA)

    assert (kinds(decision), decision.deliveries, after(decision).assignee) == ([EventKind.ASSIGNED], (), None)


def test_an_alert_given_to_whom_it_belongs_already_is_no_change() -> None:
    decision = act(Assign(ALERT, GRACE.id), climbing(assignee=GRACE.id), a_catalog_of(THREE), actor=ADA)

    assert (decision.events, decision.deliveries, decision.changed) == ((), (), False)


def test_an_alert_is_given_to_somebody_who_is_there_while_it_is_open() -> None:
    nobody = act(Assign(ALERT, ResponderId(UUID(int=99))), climbing(), a_catalog_of(THREE), actor=ADA)
    over = act(Assign(ALERT, GRACE.id), an_alert(status=AlertStatus.RESOLVED), a_catalog_of(THREE), actor=ADA)

    assert nobody.problem is not None
    assert (nobody.problem.code, nobody.problem.path) == (ErrorCode.NOT_FOUND, ("responderId",))
    assert over.problem is not None
    assert over.problem.code is ErrorCode.CONFLICT


def test_a_person_is_told_once_where_one_channel_stands_in_for_two() -> None:
    off = {
        **CHANNELS,
        SLACK.id: replace(SLACK, enabled=False, fallback_id=MAIL.id),
        SMS.id: replace(SMS, enabled=False, fallback_id=MAIL.id),
    }

    decision = act(Assign(ALERT, GRACE.id), climbing(), a_catalog_of(THREE, channels=off), actor=ADA)

    assert [one.channel_name for one in decision.deliveries] == ["Mail"]


# ------------------------------------------------------------------- what was told, brought up to date

TEAMS = a_channel(14, name="Teams", kind=ChannelKind.TEAMS, config=TeamsConfig("example.org"))
PAGERDUTY = a_channel(15, name="PagerDuty", kind=ChannelKind.PAGERDUTY, config=PagerDutyConfig("1234"))
EVERYWHERE = {channel.id: channel for channel in (SLACK, TEAMS, PAGERDUTY, WEBHOOK, SMS, MAIL)}


@pytest.mark.parametrize(
    ("action", "status", "names"),
    [
        (Acknowledge(ALERT), AlertStatus.TRIGGERED, ["Slack #ops", "PagerDuty", "webhook"]),
        (Unacknowledge(ALERT), AlertStatus.ACKNOWLEDGED, ["Slack #ops", "PagerDuty", "webhook"]),
        (Resolve(ALERT), AlertStatus.TRIGGERED, ["Slack #ops", "PagerDuty", "webhook", "Mail"]),
        (Update(ALERT, title="New"), AlertStatus.TRIGGERED, ["Slack #ops", "webhook"]),
    ],
    ids=["acknowledged", "given back", "resolved", "changed"],
)
def test_each_kind_of_channel_is_kept_up_to_date_as_far_as_it_can_be(
    action: Action, status: AlertStatus, names: list[str]
) -> None:
    alert = climbing(status=status, told=tuple(EVERYWHERE), escalation_level=1)

    decision = act(action, alert, a_catalog_of(THREE, channels=EVERYWHERE), actor=ADA)

    assert updated(decision) == names
    (kind,) = {event.kind.name for event in decision.events}
    assert {one.change for one in decision.deliveries} == {kind}


def test_only_channels_that_were_told_and_are_in_use_are_kept_up_to_date() -> None:
    off = {**CHANNELS, SLACK.id: replace(SLACK, enabled=False, fallback_id=WEBHOOK.id)}
    alert = climbing(told=(SLACK.id, ChannelId(UUID(int=99))))

    assert updated(act(Resolve(ALERT), alert, a_catalog_of(THREE, channels=off), actor=ADA)) == []
    assert updated(act(Resolve(ALERT), climbing(), a_catalog_of(THREE), actor=ADA)) == []


def test_a_climb_updates_those_whom_it_does_not_page() -> None:
    alert = climbing(told=(SLACK.id, WEBHOOK.id), escalation_level=2)

    decision = judge(alert, a_catalog_of(THREE))

    assert (told(decision), updated(decision)) == ([("webhook", 3, timedelta(0))], ["Slack #ops"])
    assert len({one.id for one in decision.deliveries}) == 2


def test_a_reaction_takes_back_the_pages_that_wait_where_there_are_any() -> None:
    catalog = a_catalog_of(THREE)

    for action in (Acknowledge(ALERT), Resolve(ALERT)):
        assert act(action, climbing(told=(SLACK.id,)), catalog, actor=ADA).skips_pages
        assert not act(action, climbing(), catalog, actor=ADA).skips_pages


# --------------------------------------------------------------------------------- how it ended


def a_page(**fields: Any) -> Delivery:
    (page, *_) = judge(climbing(), a_catalog_of(THREE)).deliveries
    return replace(page, attempt_count=2, status=DeliveryStatus.SENDING, **fields)


def report(
    page: Delivery, status: DeliveryStatus, alert: Alert | None = None, *, fence: int = 2, **more: Any
) -> Decision:
    error = "HTTP 500" if status is DeliveryStatus.FAILED else None
    return act(
        Report(ALERT, Finish(page.id, fence, status, T0, error)),
        alert or climbing(escalation_level=1, next_escalation_at=T0 + 5 * MINUTE, told=(SLACK.id,)),
        more.pop("catalog", a_catalog_of(THREE)),
        deliveries={page.id: page},
        **more,
    )


def test_a_page_that_arrived_is_told_and_changes_nothing() -> None:
    decision = report(page := a_page(), DeliveryStatus.SENT)

    (event,) = decision.events
    assert event.kind is EventKind.DELIVERY_SENT
    assert event.detail == {
        "delivery": encode_id(NodeKind.DELIVERY, page.id),
        "channel": "Slack #ops",
        "purpose": "PAGE",
        "attempts": 2,
        "level": 1,
        "responder": "Grace",
    }
    assert (decision.aside, [finish.status for finish in decision.finishes]) == (True, [DeliveryStatus.SENT])
    assert decision.deliveries == ()


def test_a_page_that_arrived_after_somebody_had_reacted_says_so() -> None:
    (event,) = report(a_page(wanted=False), DeliveryStatus.SENT).events

    assert event.detail["afterReaction"] is True


def test_a_page_that_was_not_wanted_any_more_is_told_as_skipped() -> None:
    decision = report(a_page(wanted=False), DeliveryStatus.SKIPPED)

    assert (kinds(decision), decision.aside) == ([EventKind.DELIVERY_SKIPPED], True)


def test_a_page_that_failed_falls_back_to_the_channel_that_stands_in() -> None:
    channels = {**CHANNELS, SLACK.id: replace(SLACK, fallback_id=MAIL.id)}

    decision = report(page := a_page(), DeliveryStatus.FAILED, catalog=a_catalog_of(THREE, channels=channels))

    (event,), (stand_in,), (finish,) = decision.events, decision.deliveries, decision.finishes
    assert event.kind is EventKind.DELIVERY_FELL_BACK
    assert (event.detail["error"], event.detail["fallback"]) == ("HTTP 500", "Mail")
    assert (stand_in.channel_id, stand_in.address, stand_in.due_at) == (MAIL.id, None, T0)
    assert (stand_in.level, stand_in.responder_id, stand_in.purpose) == (1, GRACE.id, Purpose.PAGE)
    assert (stand_in.fallback_of, finish.fell_back_to) == (page.id, stand_in.id)
    assert (after(decision).told, decision.aside) == ((SLACK.id, MAIL.id), False)


def test_a_fallback_that_is_not_in_use_hands_on_to_its_own() -> None:
    channels = {
        **CHANNELS,
        SLACK.id: replace(SLACK, fallback_id=MAIL.id),
        MAIL.id: replace(MAIL, enabled=False, fallback_id=WEBHOOK.id),
    }

    decision = report(a_page(), DeliveryStatus.FAILED, catalog=a_catalog_of(THREE, channels=channels))

    assert [one.channel_id for one in decision.deliveries] == [WEBHOOK.id]


def test_a_page_that_failed_and_has_no_fallback_is_told_as_failed() -> None:
    decision = report(a_page(), DeliveryStatus.FAILED)

    (event,) = decision.events
    assert (event.kind, event.detail["error"]) == (EventKind.DELIVERY_FAILED, "HTTP 500")
    assert (decision.deliveries, decision.aside) == ((), True)


@pytest.mark.parametrize(
    ("page", "alert"),
    [
        ({"wanted": False}, None),
        ({"purpose": Purpose.UPDATE}, None),
        ({}, an_alert(status=AlertStatus.RESOLVED)),
    ],
    ids=["not wanted", "an update", "over"],
)
def test_what_nobody_waits_for_gets_no_fallback(page: dict[str, Any], alert: Alert | None) -> None:
    channels = {**CHANNELS, SLACK.id: replace(SLACK, fallback_id=MAIL.id)}

    decision = report(a_page(**page), DeliveryStatus.FAILED, alert, catalog=a_catalog_of(THREE, channels=channels))

    assert (kinds(decision), decision.deliveries) == ([EventKind.DELIVERY_FAILED], ())


def test_an_assignment_that_failed_falls_back_too() -> None:
    channels = {**CHANNELS, SLACK.id: replace(SLACK, fallback_id=MAIL.id)}

    decision = report(
        a_page(purpose=Purpose.ASSIGNMENT, level=0),
        DeliveryStatus.FAILED,
        catalog=a_catalog_of(THREE, channels=channels),
    )

    assert [(one.purpose, one.channel_id) for one in decision.deliveries] == [(Purpose.ASSIGNMENT, MAIL.id)]


@pytest.mark.parametrize("status", [DeliveryStatus.SENT, DeliveryStatus.SKIPPED])
def test_an_update_that_arrived_is_filed_and_not_worth_an_entry(status: DeliveryStatus) -> None:
    decision = report(a_page(purpose=Purpose.UPDATE), status)

    assert (decision.events, [finish.status for finish in decision.finishes]) == ((), [status])


@pytest.mark.parametrize("status", [DeliveryStatus.SENT, DeliveryStatus.FAILED, DeliveryStatus.SKIPPED])
def test_a_late_word_of_an_earlier_attempt_is_nothing(status: DeliveryStatus) -> None:
    decision = report(a_page(), status, fence=1)

    assert (decision.events, decision.finishes, decision.deliveries) == ((), (), ())


def test_a_word_of_what_has_ended_already_is_nothing() -> None:
    page = a_page()
    decision = act(
        Report(ALERT, Finish(page.id, 2, DeliveryStatus.SENT, T0)), climbing(), a_catalog_of(THREE), deliveries={}
    )

    assert (decision.events, decision.finishes) == ((), ())


def test_what_is_sent_about_an_alert_that_retention_removed_still_ends() -> None:
    page = a_page()
    finish = Finish(page.id, 2, DeliveryStatus.SENT, T0)

    decision = act(Report(ALERT, finish), None, a_catalog_of(THREE), deliveries={page.id: page})

    assert (decision.finishes, decision.events, decision.problem) == ((finish,), (), None)


# ----------------------------------------------------------------------------------- in one flush


def in_one_flush(alert: Alert, catalog: Catalog, *actions: Action, page: Delivery | None = None) -> Flush:
    """Decide actions one after the other, as one flush."""
    loaded = Loaded({alert.dedup_key: alert}, {alert.id: alert}, {}, {page.id: page} if page is not None else {})
    batch = Batch(loaded, a_config(catalog=catalog), T0, LEVEL_MAX)
    outcomes: tuple[Outcome, ...] = batch.apply(a_request(*actions))
    assert not any(outcome.problem for outcome in outcomes)
    return batch.flush(a_flush_id())


def test_a_page_decided_before_a_reaction_in_the_same_flush_is_not_sent() -> None:
    flush = in_one_flush(climbing(), a_catalog_of(THREE), Judge(ALERT), Acknowledge(ALERT))

    pages = [one for one in flush.deliveries if one.purpose is Purpose.PAGE]
    assert [(page.channel_name, page.status, page.wanted, page.due_at) for page in pages] == [
        ("Slack #ops", DeliveryStatus.SKIPPED, False, T0),
        ("SMS", DeliveryStatus.SKIPPED, False, T0),
    ]
    assert [write.skips_pages for write in flush.writes] == [True]


def test_a_page_decided_after_a_reaction_in_the_same_flush_is_sent() -> None:
    alert = climbing(told=(SLACK.id,))

    flush = in_one_flush(
        alert, a_catalog_of(THREE), Acknowledge(ALERT), Escalate(ALERT, 2), Unacknowledge(ALERT), Judge(ALERT)
    )

    pages = [one for one in flush.deliveries if one.purpose is Purpose.PAGE]
    assert [(page.channel_name, page.wanted) for page in pages] == [("Mail", True), ("Mail", True)]


def test_a_page_that_failed_after_a_reaction_in_the_same_flush_gets_no_fallback() -> None:
    channels = {**CHANNELS, SLACK.id: replace(SLACK, fallback_id=MAIL.id)}
    page = a_page()
    failed = Report(ALERT, Finish(page.id, 2, DeliveryStatus.FAILED, T0, "HTTP 500"))

    flush = in_one_flush(
        climbing(told=(SLACK.id,)), a_catalog_of(THREE, channels=channels), Acknowledge(ALERT), failed, page=page
    )

    assert [one for one in flush.deliveries if one.purpose is Purpose.PAGE] == []
    assert [event.event.kind for event in flush.events] == [EventKind.ACKNOWLEDGED, EventKind.DELIVERY_FAILED]


def test_two_words_of_one_delivery_in_a_flush_are_one() -> None:
    page = a_page()
    sent = Report(ALERT, Finish(page.id, 2, DeliveryStatus.SENT, T0))

    flush = in_one_flush(climbing(), a_catalog_of(THREE), sent, sent, page=page)

    assert (len(flush.finishes), len(flush.events), flush.writes) == (1, 1, ())
