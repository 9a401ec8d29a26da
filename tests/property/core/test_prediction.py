"""Laws of predictions, whatever is set up and whatever they are about."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import event as seen
from hypothesis import given
from hypothesis import strategies as st

from alertgraph.core.action import ById, Predict, check_action
from alertgraph.core.alert import Alert, AlertStatus, HoldReason, alert_match_values
from alertgraph.core.decision import Situation
from alertgraph.core.event import EventKind, canonical, parse_canonical
from alertgraph.core.flush import NewPrediction, TenantConfig
from alertgraph.core.lifecycle import decide
from alertgraph.core.prediction import Prediction
from alertgraph.core.rule import match_rule
from tests.factories import T0, a_situation
from tests.strategies import alerts, configs, predictions

unpredicted = alerts().map(lambda alert: replace(alert, advice=None))
situations = st.builds(
    lambda minutes, config: a_situation(now=T0 + timedelta(minutes=minutes), config=config),
    st.integers(0, 300),
    configs,
)
KEEPS = (HoldReason.SILENCED, HoldReason.INHIBITED, HoldReason.ACKNOWLEDGED)


def predict(alert: Alert, prediction: Prediction) -> Predict:
    action = Predict(ById(alert.id), prediction, b"features")
    assert check_action(action, T0) is None
    return action


@given(unpredicted, predictions, situations)
def test_it_is_told_once_and_kept_whatever_the_alert_has_come_to(
    alert: Alert, prediction: Prediction, situation: Situation
) -> None:
    decision = decide(predict(alert, prediction), alert, situation)

    assert decision.alert is not None
    assert decision.alert.advice == prediction.advice
    assert decision.prediction == NewPrediction(alert.id, prediction, b"features")
    (event,) = decision.events
    assert event.kind is EventKind.PREDICTED
    assert event.detail["incidentProbability"] == prediction.incident_probability
    assert parse_canonical(canonical(event)) == event
    again = decide(predict(alert, replace(prediction, incident_probability=1.0)), decision.alert, situation)
    assert (again.alert, again.events, again.prediction) == (decision.alert, (), None)


@given(unpredicted, predictions, situations)
def test_it_only_ever_hurries(alert: Alert, prediction: Prediction, situation: Situation) -> None:
    after = decide(predict(alert, prediction), alert, situation).alert
    assert after is not None
    if replace(after, advice=None) == alert:
        seen("advises")
        return

    seen("hurries")
    # Nobody has it, nothing covers it, and what it waits for now is now.
    assert alert.status is AlertStatus.TRIGGERED
    assert alert.held not in KEEPS
    assert (after.held, after.next_escalation_at, after.escalation_level) == (None, situation.now, 0)
    assert after.ladder is not None
    assert alert.ladder is None or after.ladder.rule_id != alert.ladder.rule_id
    same = replace(
        after,
        advice=None,
        ladder=alert.ladder,
        escalation_level=alert.escalation_level,
        escalation_round=alert.escalation_round,
        resumes=alert.resumes,
        next_escalation_at=alert.next_escalation_at,
        judge_at=alert.judge_at,
        held=alert.held,
    )
    assert same == alert


@given(unpredicted, predictions, situations)
def test_the_rule_that_takes_over_is_the_first_that_matches_and_asks_for_the_chance(
    alert: Alert, prediction: Prediction, situation: Situation
) -> None:
    decision = decide(predict(alert, prediction), alert, situation)
    assert decision.alert is not None
    rules, values = situation.config.catalog.rules, alert_match_values(alert)
    # Where the model abstained there is a base rate, which nobody is woken by.
    chance = None if prediction.abstained else prediction.incident_probability
    first = match_rule(rules, values, alert.severity, chance)

    climbs = alert.status is AlertStatus.TRIGGERED and alert.held not in KEEPS
    asked = first is not None and first.incident_probability_min is not None
    current = alert.ladder.rule_id if alert.ladder is not None else None
    if climbs and asked and first is not None and first.id != current:
        assert decision.alert.ladder == first.ladder
        assert "escalationRuleId" in decision.events[0].detail
    else:
        assert decision.alert.ladder == alert.ladder
        assert "escalationRuleId" not in decision.events[0].detail


@given(unpredicted, predictions, configs)
def test_where_no_rule_asks_for_a_chance_none_changes_anything(
    alert: Alert, prediction: Prediction, config: TenantConfig
) -> None:
    rules = tuple(replace(rule, incident_probability_min=None) for rule in config.catalog.rules)
    situation = a_situation(config=replace(config, catalog=replace(config.catalog, rules=rules)))

    after = decide(predict(alert, prediction), alert, situation).alert

    assert after == replace(alert, advice=prediction.advice)
