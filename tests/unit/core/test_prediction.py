"""What a model may say of an alert, and what becomes of the alert."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from alertgraph.core.action import ById, Judge, Predict, Reopen, Update, check_action
from alertgraph.core.actor import ENGINE, MODEL
from alertgraph.core.alert import AlertStatus, HoldReason
from alertgraph.core.event import EventKind
from alertgraph.core.ids import NodeKind, RuleId, encode_id
from alertgraph.core.lifecycle import decide
from alertgraph.core.noise import NoiseFigures
from alertgraph.core.prediction import Advice, DurationEstimate, Prediction, ShadowPrediction
from alertgraph.core.prediction_model import PredictionStanding, PredictionState, prediction_state
from alertgraph.core.severity import Severity
from alertgraph.core.summary import summary
from tests.factories import (
    HOUR,
    MINUTE,
    RULE,
    T0,
    a_catalog,
    a_climbing_alert,
    a_config,
    a_level,
    a_prediction,
    a_situation,
    an_alert,
)

LIKELY = replace(
    RULE,
    id=RuleId(UUID(int=21)),
    name="likely",
    position=0,
    levels=(a_level(MINUTE), a_level(MINUTE)),
    incident_probability_min=0.7,
)
RULES = a_config(catalog=a_catalog(rules=(RULE, LIKELY)))


def predict(chance: float, **fields: object) -> Predict:
    return Predict(ById(an_alert().id), a_prediction(incident_probability=chance, **fields))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"incident_probability": float("nan")}, "incidentProbability"),
        ({"incident_probability": 1.0001}, "incidentProbability"),
        ({"sla_breach_probability": -0.1}, "slaBreachProbability"),
        ({"self_resolve_probability": float("inf")}, "selfResolveProbability"),
        ({"model_version": ""}, "modelVersion"),
        ({"time_to_resolve": DurationEstimate(MINUTE, HOUR, HOUR)}, "timeToResolve"),
        ({"time_to_acknowledge": DurationEstimate(-MINUTE, -HOUR, MINUTE)}, "timeToAcknowledge"),
    ],
)
def test_a_number_that_is_none_is_refused(fields: dict[str, object], named: str) -> None:
    problem = check_action(Predict(ById(an_alert().id), a_prediction(**fields)), T0)

    assert problem is not None
    assert problem.path == (named,)


def test_what_is_tried_is_looked_at_as_closely() -> None:
    shadow = ShadowPrediction("torch_v1+7", 0.5, float("nan"), 0.5)

    assert check_action(Predict(ById(an_alert().id), a_prediction(), b"", shadow), T0) is not None
    assert check_action(Predict(ById(an_alert().id), a_prediction(), bytes(70_000)), T0) is not None
    assert (
        check_action(
            Predict(ById(an_alert().id), a_prediction(), b"", replace(shadow, sla_breach_probability=1)), T0
        )
        is None
    )


def test_a_likely_alert_takes_the_rule_that_asks_for_it_at_once() -> None:
    climbing = a_climbing_alert(escalation_level=1, escalation_round=0, next_escalation_at=T0 + HOUR)
    situation = a_situation(config=RULES, actor=MODEL)

    decision = decide(predict(0.7), climbing, situation)

    alert = decision.alert
    assert alert is not None
    assert (alert.ladder, alert.escalation_level, alert.next_escalation_at) == (LIKELY.ladder, 0, situation.now)
    (event,) = decision.events
    assert (event.kind, event.actor) == (EventKind.PREDICTED, MODEL)
    assert event.detail["escalationRuleId"] == encode_id(NodeKind.ESCALATION_RULE, LIKELY.id)
    assert (
        summary(event)
        == "The model gives it a chance of 70% to need a person; a rule for such chances takes over."
    )
    paged = decide(Judge(ById(alert.id)), alert, a_situation(config=RULES, actor=ENGINE))
    assert [(one.level, one.alert_id) for one in paged.deliveries] == [(1, alert.id)]


def test_a_chance_that_is_too_low_changes_nothing_else() -> None:
    climbing = a_climbing_alert(escalation_level=1, next_escalation_at=T0 + HOUR)

    decision = decide(predict(0.69), climbing, a_situation(config=RULES))

    assert decision.alert == replace(climbing, advice=Advice(0.69, 0.125, HOUR))
    assert decision.only_advises
    assert summary(decision.events[0]) == "The model gives it a chance of 69% to need a person."


@pytest.mark.parametrize(
    "fields",
    [
        {"status": AlertStatus.ACKNOWLEDGED},
        {"status": AlertStatus.RESOLVED},
        {"held": HoldReason.SILENCED, "judge_at": T0 + HOUR},
        {"held": HoldReason.INHIBITED, "judge_at": T0 + MINUTE},
    ],
)
def test_who_has_it_and_what_covers_it_keep_their_word(fields: dict[str, object]) -> None:
    alert = an_alert(ladder=RULE.ladder, **fields)

    decision = decide(predict(0.9), alert, a_situation(config=RULES))

    assert decision.alert == replace(alert, advice=Advice(0.9, 0.125, HOUR))


@pytest.mark.parametrize(
    "held", [HoldReason.NO_MATCHING_RULE, HoldReason.NOBODY_ON_CALL, HoldReason.LADDER_EXHAUSTED]
)
def test_one_that_was_given_up_is_taken_up_again(held: HoldReason) -> None:
    ladder = None if held is HoldReason.NO_MATCHING_RULE else RULE.ladder

    alert = decide(predict(0.9), an_alert(held=held, ladder=ladder), a_situation(config=RULES)).alert

    assert alert is not None
    assert (alert.held, alert.ladder) == (None, LIKELY.ladder)


def test_a_rule_of_higher_rank_that_asks_for_nothing_keeps_its_alerts() -> None:
    first = a_config(catalog=a_catalog(rules=(replace(RULE, position=0), replace(LIKELY, position=1))))
    climbing = a_climbing_alert()

    decision = decide(predict(1.0), climbing, a_situation(config=first))

    assert decision.alert is not None
    assert decision.alert.ladder == RULE.ladder


def test_a_base_rate_wakes_nobody_neither_at_once_nor_later() -> None:
    rules = a_config(catalog=a_catalog(rules=(replace(LIKELY, severities=()), RULE)))
    climbing = a_climbing_alert(severity=Severity.LOW)

    abstained = decide(predict(0.95, abstained=True), climbing, a_situation(config=rules)).alert

    assert abstained is not None
    assert abstained.ladder == climbing.ladder
    worse = decide(
        Update(ById(climbing.id), severity=Severity.CRITICAL), abstained, a_situation(config=rules)
    ).alert
    assert worse is not None
    assert worse.ladder == RULE.ladder
    told = decide(predict(0.95), climbing, a_situation(config=rules)).alert
    assert told is not None
    assert told.ladder == LIKELY.ladder


def test_what_became_worse_is_matched_with_its_chance() -> None:
    climbing = a_climbing_alert(severity=Severity.LOW, advice=Advice(0.9, 0.1))
    rules = a_config(catalog=a_catalog(rules=(RULE, replace(LIKELY, severities=(Severity.CRITICAL,)))))

    worse = decide(
        Update(ById(climbing.id), severity=Severity.CRITICAL), climbing, a_situation(config=rules)
    ).alert

    assert worse is not None
    assert worse.ladder == LIKELY.ladder


def test_another_occurrence_is_predicted_anew() -> None:
    over = an_alert(status=AlertStatus.RESOLVED, advice=Advice(0.9, 0.1))

    again = decide(Reopen(ById(over.id)), over, a_situation(config=RULES)).alert

    assert again is not None
    assert again.advice is None
    assert again.ladder == RULE.ladder


def test_a_model_that_knows_too_little_says_so() -> None:
    decision = decide(predict(0.25, abstained=True), an_alert(), a_situation())

    assert decision.alert is not None
    assert decision.alert.advice == Advice(0.25, None, HOUR)
    # Which stands with the alert, so that it is written as a whole.
    assert not decision.only_advises
    assert decision.events[0].detail["abstained"] is True
    assert summary(decision.events[0]) == "The model knows too little of such alerts; 25% of them need a person."


def test_the_log_has_all_numbers() -> None:
    said = Prediction("v", T0, 0.1, 0.2, 0.3, DurationEstimate(HOUR, MINUTE, 2 * HOUR), None)

    event = decide(Predict(ById(an_alert().id), said), an_alert(), a_situation()).events[0]

    assert event.detail == {
        "modelVersion": "v",
        "predictedAt": "2026-11-23T12:00:00+00:00",
        "incidentProbability": 0.1,
        "slaBreachProbability": 0.2,
        "selfResolveProbability": 0.3,
        "timeToAcknowledge": {"median": 3600.0, "low": 60.0, "high": 7200.0},
    }


@pytest.mark.parametrize(
    ("is_enabled", "why_not", "label_count", "state", "told"),
    [
        (False, "It is off.", 500, PredictionState.OFF, "It is off."),
        (True, "It is not up yet.", 500, PredictionState.UNAVAILABLE, "It is not up yet."),
        (True, None, 199, PredictionState.LEARNING, "199 of 200"),
        (True, None, 200, PredictionState.ACTIVE, "every new alert"),
    ],
)
def test_how_predictions_stand(
    is_enabled: bool, why_not: str | None, label_count: int, state: PredictionState, told: str
) -> None:
    found, reason = prediction_state(is_enabled=is_enabled, why_not=why_not, label_count=label_count)

    assert found is state
    assert told in reason
    standing = PredictionStanding(found, reason, label_count, None, is_armed=False)
    assert standing.noise == NoiseFigures(0, 0, timedelta(0))
