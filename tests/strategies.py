"""Random values of the core, for laws: small pools where values should meet, any text where they should not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from alertgraph.core.action import (
    UNSET,
    Acknowledge,
    Action,
    AddNote,
    Assign,
    ById,
    ByKey,
    Clear,
    Escalate,
    Fire,
    GiveFeedback,
    Judge,
    Predict,
    Reopen,
    Resolve,
    Target,
    Unacknowledge,
    Update,
)
from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.alert import Alert, AlertStatus, AlertVerdict, Draft, HoldReason, Link
from alertgraph.core.catalog import Catalog
from alertgraph.core.channel import (
    Channel,
    ChannelConfig,
    ChannelKind,
    EmailConfig,
    PagerDutyConfig,
    SlackConfig,
    TeamsConfig,
    WebhookConfig,
    WebhookPreset,
)
from alertgraph.core.event import Event, EventKind, FieldChange
from alertgraph.core.ids import (
    AlertId,
    ChannelId,
    IncidentId,
    InhibitionRuleId,
    ResponderId,
    RuleId,
    ScheduleId,
    SilenceId,
)
from alertgraph.core.inhibition import InhibitionRule
from alertgraph.core.labels import Matcher, MatchOperator
from alertgraph.core.prediction import DurationEstimate, Prediction, ShadowPrediction
from alertgraph.core.responder import ContactMethod, Responder
from alertgraph.core.rule import (
    ChannelTarget,
    EscalationRule,
    EscalationTarget,
    Ladder,
    Level,
    ResponderTarget,
    ScheduleTarget,
)
from alertgraph.core.schedule import Rotation, Schedule
from alertgraph.core.severity import Severity
from alertgraph.core.silence import Silence
from alertgraph.core.slo import SlaMark
from tests.factories import ADA, DAY, HOUR, SENDER, T0, a_config, an_alert, an_id

# What PostgreSQL and JSON can hold: any character but NUL and halves of surrogate pairs.
characters = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
plain_texts = st.text(characters, max_size=20)
one_line_texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=20
).filter(str.strip)
# Anything that Python calls a text.
wild_texts = st.text(st.characters(), max_size=20)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | plain_texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain_texts, inner, max_size=3),
    max_leaves=8,
)
json_objects = st.dictionaries(plain_texts, json_values, max_size=3)

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.builds(
    lambda seconds, zone: (T0 + timedelta(microseconds=seconds)).astimezone(zone),
    st.integers(-(10**15), 10**15),
    zones,
)
near_instants = st.integers(-240, 240).map(lambda minutes: T0 + timedelta(minutes=minutes))

labels = st.dictionaries(st.sampled_from(["job", "zone"]), st.sampled_from(["", "a", "b"]), max_size=2)
severities = st.sampled_from(Severity)
services = st.sampled_from([None, "checkout", "search"])
actors = st.builds(Actor, st.sampled_from(ActorKind), plain_texts, plain_texts)
links = st.builds(Link, st.sampled_from(["https://a", "https://b"]), st.sampled_from(["", "A"]))
notes = st.none() | st.just("sealed")

KEYS = ("k0", "k1", "k2")
HOLDS_WITHOUT_LADDER = [HoldReason.NO_MATCHING_RULE, HoldReason.SILENCED, HoldReason.INHIBITED]
HOLDS_ON_LADDER = [
    HoldReason.SILENCED,
    HoldReason.INHIBITED,
    HoldReason.NOBODY_ON_CALL,
    HoldReason.LADDER_EXHAUSTED,
]

drafts = st.builds(
    Draft,
    title=st.sampled_from(["a", "b"]),
    severity=st.sampled_from([Severity.LOW, Severity.HIGH]),
    source=st.sampled_from(["prometheus", "script"]),
    description=st.none() | st.sampled_from(["", "d"]),
    monitored_service=services,
    dedup_key=st.sampled_from(KEYS),
    labels=st.none() | labels,
    annotations=st.none() | st.dictionaries(st.sampled_from("xy"), st.sampled_from([1, True, None]), max_size=2),
    links=st.none() | st.lists(links, max_size=2).map(tuple),
    triggered_at=st.none() | near_instants,
    ends_at=st.none() | near_instants,
    ends_by_timeout=st.booleans(),
)


# ----------------------------------------------------------------------------------- what is set up

CHANNEL_IDS = [ChannelId(UUID(int=number)) for number in range(10, 14)]
RESPONDER_IDS = [ResponderId(UUID(int=number)) for number in range(30, 33)]
SCHEDULE_IDS = [ScheduleId(UUID(int=number)) for number in range(40, 42)]
RULE_IDS = [RuleId(UUID(int=number)) for number in range(20, 23)]
# One of each that is named here and there and is not there any more.
GONE_CHANNEL, GONE_RESPONDER, GONE_SCHEDULE, GONE_RULE = (
    ChannelId(UUID(int=19)),
    ResponderId(UUID(int=39)),
    ScheduleId(UUID(int=49)),
    RuleId(UUID(int=29)),
)
CONFIGS: Sequence[ChannelConfig] = (
    SlackConfig("#ops"),
    TeamsConfig("prod.example.org"),
    PagerDutyConfig("1234"),
    WebhookConfig("https://hooks.example.org"),
    WebhookConfig("https://ntfy.sh/a", preset=WebhookPreset.NTFY),
    EmailConfig(("ops@example.org",)),
)
KIND_OF_CONFIG = {
    SlackConfig: ChannelKind.SLACK,
    TeamsConfig: ChannelKind.TEAMS,
    PagerDutyConfig: ChannelKind.PAGERDUTY,
    WebhookConfig: ChannelKind.WEBHOOK,
    EmailConfig: ChannelKind.EMAIL,
}
delays = st.sampled_from([timedelta(0), timedelta(minutes=1), timedelta(minutes=5), HOUR])
JOB_A = Matcher("job", MatchOperator.EQUAL, "a")
some_matchers = st.sampled_from(
    [
        (JOB_A,),
        (Matcher("zone", MatchOperator.NOT_EQUAL, "b"),),
        (JOB_A, Matcher("@title", MatchOperator.REGEX, "a|b")),
    ]
)
escalation_targets: st.SearchStrategy[EscalationTarget] = st.one_of(
    st.sampled_from([*RESPONDER_IDS, GONE_RESPONDER]).map(ResponderTarget),
    st.sampled_from([*SCHEDULE_IDS, GONE_SCHEDULE]).map(ScheduleTarget),
    st.sampled_from([*CHANNEL_IDS, GONE_CHANNEL]).map(ChannelTarget),
)
levels = st.builds(Level, delays, st.lists(escalation_targets, min_size=1, max_size=3).map(tuple))
ladders = st.builds(
    Ladder,
    st.sampled_from([*RULE_IDS, GONE_RULE]),
    st.lists(levels, min_size=1, max_size=3).map(tuple),
    st.integers(0, 2),
    st.booleans(),
)


# What a catalog is drawn from is made once: a strategy made for a draw costs several times what the draw does.
contact_methods = st.lists(
    st.builds(
        ContactMethod, st.sampled_from([*CHANNEL_IDS, GONE_CHANNEL]), st.sampled_from([None, "a", "b"]), delays
    ),
    max_size=2,
).map(tuple)
rotations = st.lists(
    st.builds(
        Rotation,
        st.lists(st.sampled_from([*RESPONDER_IDS, GONE_RESPONDER]), min_size=1, max_size=2).map(tuple),
        st.sampled_from([T0 - DAY, T0 + 2 * HOUR]),
        st.sampled_from([HOUR, DAY]),
    ),
    max_size=1,
).map(tuple)
silences = st.just(()) | st.lists(
    st.builds(
        lambda number, matched, minutes, length: Silence(
            SilenceId(UUID(int=50 + number)),
            matched,
            T0 + timedelta(minutes=minutes),
            T0 + timedelta(minutes=minutes + length),
            "why",
            ADA,
        ),
        st.integers(0, 9),
        some_matchers,
        st.integers(-60, 240),
        st.sampled_from([1, 30, 120]),
    ),
    max_size=2,
).map(tuple)
any_config = st.sampled_from(CONFIGS)
# Only ever an earlier one, so that there is no circle.
fallbacks = [
    st.none() | st.sampled_from([*CHANNEL_IDS[:index], GONE_CHANNEL]) for index in range(len(CHANNEL_IDS))
]
mostly = st.booleans() | st.just(True)
rule_matchers = st.just(()) | some_matchers
rule_severities = (st.sets(severities, max_size=2) | st.just(set())).map(tuple)
positions = st.integers(1, 3)
# Few, so that they meet what rules ask for.
chances = st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0])
asked_chances = st.none() | st.none() | chances
estimates = st.none() | st.builds(
    lambda low, more, most: DurationEstimate(low + more, low, low + more + most), delays, delays, delays
)
predictions = st.builds(
    Prediction,
    st.sampled_from(["torch_v1", "torch_v1+7"]),
    near_instants,
    chances,
    chances,
    chances,
    estimates,
    estimates,
    st.booleans(),
)
either = st.booleans()


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    """Return anything that people may have set up around T0."""
    channels = {}
    for index, channel_id in enumerate(CHANNEL_IDS):
        config = draw(any_config)
        channels[channel_id] = Channel(
            channel_id,
            f"channel {index}",
            KIND_OF_CONFIG[type(config)],
            config,
            enabled=draw(mostly),
            fallback_id=draw(fallbacks[index]),
        )
    responders = {
        responder_id: Responder(responder_id, f"Person {index}", contact_methods=draw(contact_methods))
        for index, responder_id in enumerate(RESPONDER_IDS)
    }
    schedules = {
        schedule_id: Schedule(schedule_id, str(index), rotations=draw(rotations))
        for index, schedule_id in enumerate(SCHEDULE_IDS)
    }
    rules = tuple(
        EscalationRule(
            rule_id,
            str(index),
            draw(positions),
            ladder.levels,
            enabled=draw(mostly),
            matchers=draw(rule_matchers),
            severities=draw(rule_severities),
            incident_probability_min=draw(asked_chances),
            repeat_count=ladder.repeat_count,
            escalate_on_sla=ladder.escalate_on_sla,
        )
        for index, rule_id in enumerate(RULE_IDS)
        for ladder in [draw(ladders)]
        if draw(either)
    )
    inhibition = InhibitionRule(InhibitionRuleId(UUID(int=60)), "jobs", (JOB_A,), draw(some_matchers), ("zone",))
    return Catalog(
        rules=rules,
        inhibitions=(inhibition,) if draw(either) else (),
        silences=draw(silences),
        channels=channels,
        responders=responders,
        schedules=schedules,
    )


configs = st.builds(
    lambda catalog, default_rule_id, timeout: a_config(
        catalog=catalog, default_rule_id=default_rule_id, resolve_timeout=timeout
    ),
    catalogs(),
    st.sampled_from([None, None, *RULE_IDS, GONE_RULE]),
    st.sampled_from([timedelta(0), HOUR]),
)


# ------------------------------------------------------------------------------------------- alerts


@st.composite
def alerts(draw: st.DrawFn) -> Alert:
    """Return any alert that the core may have made."""
    triggered_at = draw(near_instants)
    alert = an_alert(
        id=an_id(draw(st.integers(1, 5))),
        dedup_key=draw(st.sampled_from(KEYS)),
        title=draw(st.sampled_from(["a", "b"])),
        severity=draw(severities),
        monitored_service=draw(services),
        labels=draw(labels),
        annotations=draw(st.dictionaries(st.sampled_from("xy"), st.sampled_from([1, True, None]), max_size=2)),
        links=draw(st.lists(links, max_size=2).map(tuple)),
        triggered_at=triggered_at,
        last_seen_at=triggered_at + draw(st.sampled_from([timedelta(0), HOUR, DAY])),
        occurrence_count=draw(st.integers(1, 40) | st.integers(2**31 - 3, 2**31 - 1)),
        escalation_level=draw(st.integers(0, 5)),
        first_acknowledged_at=draw(st.none() | near_instants),
        verdict=draw(st.none() | st.sampled_from(AlertVerdict)),
        version=draw(st.integers(1, 99)),
        sla_marks=SlaMark(draw(st.integers(0, 15))),
        assignee=draw(st.none() | st.sampled_from(RESPONDER_IDS)),
        told=tuple(draw(st.lists(st.sampled_from([*CHANNEL_IDS, GONE_CHANNEL]), max_size=2, unique=True))),
        ladder=draw(st.none() | ladders),
        advice=draw(st.none() | predictions.map(lambda prediction: prediction.advice)),
    )
    if alert.ladder is not None:
        alert = replace(
            alert,
            escalation_level=draw(st.integers(0, len(alert.ladder.levels))),
            escalation_round=draw(st.integers(0, alert.ladder.repeat_count)),
        )
    status = draw(st.sampled_from(AlertStatus))
    if status is AlertStatus.RESOLVED:
        ended_at = max(triggered_at, draw(near_instants))
        return replace(alert, status=status, resolved_at=ended_at, resolved_by=ADA, held=None)
    resolve_at = draw(st.none() | near_instants)
    alert = replace(
        alert, resolve_at=resolve_at, resolve_by_timeout=resolve_at is not None and draw(st.booleans())
    )
    if status is AlertStatus.TRIGGERED:
        if alert.ladder is None:
            return replace(alert, held=draw(st.sampled_from(HOLDS_WITHOUT_LADDER)))
        held = draw(st.none() | st.sampled_from(HOLDS_ON_LADDER))
        return replace(
            alert,
            held=held,
            resumes=draw(st.booleans()),
            next_escalation_at=draw(near_instants) if held is None else None,
            judge_at=draw(st.none() | near_instants) if held is not None else None,
        )
    return replace(
        alert,
        status=status,
        held=HoldReason.ACKNOWLEDGED,
        acknowledged_at=triggered_at,
        acknowledged_by=ADA,
        acknowledged_until=draw(st.none() | near_instants),
        first_acknowledged_at=alert.first_acknowledged_at or triggered_at,
    )


def actions_on(targets: st.SearchStrategy[Target]) -> st.SearchStrategy[Action]:
    """Return anything that somebody may want of these targets."""
    until = st.none() | st.integers(-1, 300).map(lambda minutes: T0 + HOUR + timedelta(minutes=minutes))
    judgements = st.builds(
        Judge,
        targets.filter(lambda target: isinstance(target, ById)),
        st.sampled_from([(), (), (an_id(77),)]),
    )
    return st.one_of(
        st.builds(Fire, drafts),
        st.builds(Fire, drafts),
        st.builds(Clear, st.sampled_from(KEYS), near_instants),
        st.builds(
            Update,
            targets,
            severity=st.just(UNSET) | severities,
            title=st.just(UNSET) | st.sampled_from(["", "a", "b"]),
            monitored_service=st.just(UNSET) | services,
            annotations=st.just(UNSET)
            | st.dictionaries(st.sampled_from("xy"), st.sampled_from([1, None]), max_size=2),
            note=notes,
        ),
        st.builds(Acknowledge, targets, until, notes),
        st.builds(Unacknowledge, targets, notes),
        st.builds(Resolve, targets, notes),
        st.builds(Reopen, targets, notes),
        st.builds(Escalate, targets, st.none() | st.integers(0, 6), notes),
        st.builds(AddNote, targets, st.just("sealed")),
        st.builds(GiveFeedback, targets, st.none() | st.sampled_from(AlertVerdict), notes),
        st.builds(Assign, targets, st.none() | st.sampled_from([*RESPONDER_IDS, GONE_RESPONDER]), notes),
        judgements,
        judgements,
        st.builds(
            Predict,
            targets.filter(lambda target: isinstance(target, ById)),
            predictions,
            st.sampled_from([b"", b"features"]),
            st.none() | st.just(ShadowPrediction("torch_v1+8", 0.1, 0.2, 0.3)),
        ),
    )


def targets_of(ids: Sequence[AlertId]) -> st.SearchStrategy[Target]:
    """Return targets among alerts and keys, present or not."""
    return st.one_of(
        st.sampled_from(ids).map(ById), st.sampled_from(ids).map(ById), st.sampled_from(KEYS).map(ByKey)
    )


field_changes = st.builds(FieldChange, plain_texts, json_values, json_values)


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Return any event, about an alert, a configured thing or neither."""
    fields: dict[str, Any] = {
        "kind": draw(st.sampled_from(EventKind)),
        "actor": draw(actors),
        "decided_at": draw(instants),
        "hold_reason": draw(st.none() | st.sampled_from(HoldReason)),
        "note": draw(st.none() | plain_texts),
        "changes": tuple(draw(st.lists(field_changes, max_size=2))),
        "elapsed_ms": draw(st.none() | st.integers(0, 2**53)),
        "sla_met": draw(st.none() | st.booleans()),
        "self_resolved": draw(st.none() | st.booleans()),
        "incident_id": draw(st.none() | st.uuids().map(IncidentId)),
        "detail": draw(json_objects),
    }
    about = draw(st.sampled_from(["alert", "subject", "neither"]))
    if about == "alert":
        fields |= {
            "alert_id": AlertId(draw(st.uuids())),
            "dedup_key": draw(plain_texts),
            "title": draw(plain_texts),
            "severity_before": draw(st.none() | severities),
            "severity_after": draw(severities),
            "service_before": draw(st.none() | plain_texts),
            "service_after": draw(st.none() | plain_texts),
            "source": draw(plain_texts),
            "labels": draw(st.dictionaries(plain_texts, plain_texts, max_size=3)),
        }
    if about == "subject":
        fields |= {"subject_type": draw(plain_texts), "subject_id": draw(plain_texts)}
    return Event(**fields)


def at_or_after(bound: datetime) -> st.SearchStrategy[datetime]:
    """Return instants from `bound` on."""
    return st.integers(0, 10**9).map(lambda seconds: bound + timedelta(seconds=seconds))


senders_and_people = st.sampled_from([ADA, SENDER])
