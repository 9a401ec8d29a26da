"""Noise by example: what may be held, for how long, by which threshold, and what ends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from alertgraph.core.action import Action, Assign, ById, Escalate, Fire, GiveFeedback, Judge, Update
from alertgraph.core.actor import ENGINE
from alertgraph.core.alert import Alert, AlertStatus, AlertVerdict, HoldReason
from alertgraph.core.decision import Decision
from alertgraph.core.delivery import Purpose
from alertgraph.core.errors import InputError
from alertgraph.core.event import EventKind, instant_text
from alertgraph.core.flush import TenantConfig
from alertgraph.core.forecast import forecast
from alertgraph.core.ids import AlertId, uuid7
from alertgraph.core.lifecycle import decide
from alertgraph.core.noise import (
    HIDDEN_SHARE_MAX,
    SPARED_SHARE,
    History,
    Label,
    NoiseEvidence,
    NoiseMode,
    NoisePolicy,
    NoiseRules,
    check_noise,
    figures_since,
    is_spared,
    kind_of,
    opened_at,
    over_budget,
    rearmed,
    threshold_of,
    waits_until,
)
from alertgraph.core.prediction import Advice
from alertgraph.core.rule import Level
from alertgraph.core.severity import Severity
from alertgraph.core.silence import Silence
from tests.factories import (
    ADA,
    DAY,
    HOUR,
    MINUTE,
    RULE,
    SECOND,
    T0,
    a_catalog,
    a_climbing_alert,
    a_config,
    a_matcher,
    a_responder,
    a_situation,
    the_same,
)
from tests.simulation.world import a_uuid

KEY = b"k" * 32
ADA_ID = a_responder(10).id


def an_alert_id(*, spared: bool = False) -> AlertId:
    """Return an id of an alert that was opened at T0, which is told all the same or not."""
    return next(
        id_ for number in range(10_000) if is_spared(id_ := AlertId(uuid7(T0, number << 40)), KEY) is spared
    )


RULES = NoiseRules(NoiseMode.HOLD, 5 * MINUTE, HOUR, T0 - DAY)
HISTORY = History(0.9, 50, 45, 2 * MINUTE)
POLICY = NoisePolicy(KEY, 0.7, 0.7, predicts=True, fresh_until=T0 + DAY)
EVIDENCE = NoiseEvidence(POLICY, HISTORY)
TWO = replace(RULE.ladder, levels=(*RULE.ladder.levels, Level(MINUTE, RULE.levels[0].targets)))
NOISY = Advice(0.05, 0.9, 90 * SECOND)


def an_alert(**fields: Any) -> Alert:
    return a_climbing_alert(**{"id": an_alert_id(), **fields})


def config(rules: NoiseRules = RULES, **catalog: Any) -> TenantConfig:
    found = a_config(catalog=a_catalog(responders={ADA_ID: a_responder(10)}, **catalog))
    return replace(found, settings=replace(found.settings, noise=rules))


def judged(
    alert: Alert,
    now: datetime = T0,
    *,
    evidence: NoiseEvidence = EVIDENCE,
    rules: NoiseRules = RULES,
    **catalog: Any,
) -> Decision:
    situation = a_situation(now=now, config=config(rules, **catalog), actor=ENGINE)
    return decide(Judge(ById(alert.id), (), evidence), alert, situation)


def done(action: Action, alert: Alert, now: datetime) -> Alert:
    found = decide(action, alert, a_situation(now=now, config=config(), actor=ADA)).alert
    assert found is not None
    return found


def held(rules: NoiseRules = RULES, **fields: Any) -> Alert:
    alert = judged(an_alert(**fields), rules=rules).alert
    assert alert is not None
    assert alert.held is HoldReason.PREDICTED_NOISE
    return alert


def is_told(decision: Decision) -> bool:
    return any(one.purpose is Purpose.PAGE for one in decision.deliveries)


# ------------------------------------------------------------------------------------- what is held


def test_likely_noise_waits_for_its_usual_end_and_the_timeline_says_why() -> None:
    decision = judged(an_alert())

    assert decision.alert is not None
    assert decision.alert.held is HoldReason.PREDICTED_NOISE
    assert decision.alert.judge_at == T0 + 2 * MINUTE
    assert decision.alert.next_escalation_at is None
    assert not decision.deliveries
    [event] = decision.events
    assert (event.kind, event.hold_reason) == (EventKind.HELD, HoldReason.PREDICTED_NOISE)
    assert event.detail == {
        "noiseProbability": 0.9,
        "basis": "HISTORY",
        "until": instant_text(T0 + 2 * MINUTE),
        "text": (
            "Likely noise (90%), so its page waits for 2 min: of alerts like it, 90% ended with nobody acting, "
            "half of those within 2 min."
        ),
    }


def test_what_the_model_says_goes_before_the_past() -> None:
    evidence = NoiseEvidence(POLICY, None)

    decision = judged(an_alert(advice=NOISY), evidence=evidence)

    assert decision.alert is not None
    assert decision.alert.judge_at == T0 + 90 * SECOND
    assert decision.events[0].detail["basis"] == "MODEL"
    assert is_told(judged(an_alert(advice=replace(NOISY, incident_probability=0.4)), evidence=EVIDENCE))


def test_where_the_model_abstained_the_past_is_asked() -> None:
    abstained = Advice(0.95, None, 90 * SECOND)

    assert judged(an_alert(advice=abstained)).events[0].detail["basis"] == "HISTORY"
    assert is_told(judged(an_alert(advice=abstained), evidence=NoiseEvidence(POLICY, None)))


def test_it_waits_as_long_as_the_longest_of_the_latest_where_that_is_known() -> None:
    history = replace(HISTORY, quiet_longest=4 * MINUTE)

    alert = judged(an_alert(), evidence=replace(EVIDENCE, history=history)).alert

    assert alert is not None
    assert alert.judge_at == T0 + 4 * MINUTE


def test_no_hold_is_longer_than_the_tenant_allows() -> None:
    decision = judged(an_alert(), rules=replace(RULES, hold_max=MINUTE))

    assert decision.alert is not None
    assert decision.alert.judge_at == T0 + MINUTE


def test_whoever_is_judged_late_waits_no_longer_for_that() -> None:
    decision = judged(an_alert(), T0 + MINUTE)

    assert decision.alert is not None
    assert decision.alert.judge_at == T0 + 2 * MINUTE
    assert is_told(judged(an_alert(), T0 + 2 * MINUTE))


def test_a_clock_that_is_ahead_makes_no_hold_longer() -> None:
    ahead = next(
        id_ for number in range(100) if not is_spared(id_ := AlertId(uuid7(T0 + HOUR, number << 40)), KEY)
    )

    decision = judged(an_alert(id=ahead))

    assert decision.alert is not None
    assert decision.alert.judge_at == T0 + 5 * MINUTE


def test_suppressed_is_not_told_until_somebody_wants_it() -> None:
    rules = replace(RULES, mode=NoiseMode.SUPPRESS)

    decision = judged(an_alert(), rules=rules)

    assert decision.alert is not None
    assert (decision.alert.held, decision.alert.judge_at) == (HoldReason.PREDICTED_NOISE, None)
    assert "until" not in decision.events[0].detail
    later = judged(decision.alert, T0 + 20 * MINUTE, rules=rules)
    assert later.alert is not None
    assert later.alert.held is HoldReason.PREDICTED_NOISE
    situation = a_situation(now=T0 + HOUR, config=config(rules), actor=ADA)
    assert is_told(decide(Escalate(ById(decision.alert.id)), later.alert, situation))


def test_grouping_holds_only_what_somebody_sees_in_its_incident() -> None:
    rules = replace(RULES, mode=NoiseMode.GROUP)

    assert is_told(judged(an_alert(), rules=rules))
    decision = judged(an_alert(), rules=rules, evidence=replace(EVIDENCE, in_hand=True))
    assert decision.alert is not None
    assert decision.alert.judge_at == T0 + 5 * MINUTE


@pytest.mark.parametrize(
    ("alert", "evidence", "rules"),
    [
        pytest.param(an_alert(severity=Severity.CRITICAL), EVIDENCE, RULES, id="critical"),
        pytest.param(an_alert(id=an_alert_id(spared=True)), EVIDENCE, RULES, id="spared"),
        pytest.param(an_alert(escalation_level=1, ladder=TWO), EVIDENCE, RULES, id="told before"),
        pytest.param(an_alert(escalation_round=1), EVIDENCE, RULES, id="climbed before"),
        pytest.param(an_alert(first_acknowledged_at=T0), EVIDENCE, RULES, id="taken before"),
        pytest.param(an_alert(assignee=ADA_ID), EVIDENCE, RULES, id="somebody's"),
        pytest.param(an_alert(verdict=AlertVerdict.ACTIONABLE), EVIDENCE, RULES, id="judged actionable"),
        pytest.param(an_alert(), NoiseEvidence(), RULES, id="nobody learns"),
        pytest.param(an_alert(), NoiseEvidence(POLICY), RULES, id="nothing like it"),
        pytest.param(
            an_alert(),
            replace(EVIDENCE, policy=replace(POLICY, fresh_until=T0)),
            RULES,
            id="nobody learns any more",
        ),
        pytest.param(
            an_alert(),
            replace(EVIDENCE, policy=replace(POLICY, history_threshold=None)),
            RULES,
            id="too little is known",
        ),
        pytest.param(
            an_alert(), replace(EVIDENCE, history=replace(HISTORY, noise_probability=0.7)), RULES, id="not sure"
        ),
        pytest.param(
            an_alert(),
            NoiseEvidence(replace(POLICY, history_threshold=0.1), replace(HISTORY, noise_probability=0.5)),
            RULES,
            id="as likely as not",
        ),
        pytest.param(
            an_alert(), replace(EVIDENCE, history=replace(HISTORY, quiet_median=None)), RULES, id="no end"
        ),
        pytest.param(
            an_alert(advice=replace(NOISY, incident_probability=float("nan"))), EVIDENCE, RULES, id="NaN"
        ),
        pytest.param(an_alert(), EVIDENCE, replace(RULES, mode=NoiseMode.ANNOTATE), id="annotate"),
        pytest.param(an_alert(), EVIDENCE, replace(RULES, armed_at=None), id="disarmed"),
        pytest.param(an_alert(), EVIDENCE, replace(RULES, hold_max=timedelta(0)), id="no time"),
    ],
)
def test_is_told_at_once(alert: Alert, evidence: NoiseEvidence, rules: NoiseRules) -> None:
    decision = judged(alert, evidence=evidence, rules=rules)

    assert is_told(decision)
    assert decision.alert is not None
    assert decision.alert.held is None


# -------------------------------------------------------------------------------------- what ends it


def test_climbs_at_once_when_its_hold_is_over() -> None:
    alert = held()

    assert judged(alert, T0 + 2 * MINUTE - SECOND).events == ()
    decision = judged(alert, T0 + 2 * MINUTE)

    assert is_told(decision)
    assert [event.kind for event in decision.events] == [EventKind.ESCALATED]
    assert decision.alert is not None
    assert (decision.alert.held, decision.alert.escalation_level) == (None, 1)


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param(replace(RULES, mode=NoiseMode.ANNOTATE, armed_at=None), id="switched off"),
        pytest.param(replace(RULES, armed_at=None), id="disarmed"),
        pytest.param(replace(RULES, hold_max=SECOND), id="a shorter bound"),
    ],
)
def test_climbs_when_the_tenant_has_changed_its_mind(rules: NoiseRules) -> None:
    assert is_told(judged(held(), T0 + 10 * SECOND, rules=rules))
    suppressed = held(replace(RULES, mode=NoiseMode.SUPPRESS))
    assert is_told(judged(suppressed, T0 + 10 * SECOND, rules=rules))


def test_a_longer_bound_makes_no_hold_longer() -> None:
    alert = held()

    decision = judged(alert, T0 + MINUTE, rules=replace(RULES, hold_max=HOUR))

    assert decision.alert == alert


def test_what_was_suppressed_waits_within_the_bound_where_pages_are_only_held() -> None:
    alert = held(replace(RULES, mode=NoiseMode.SUPPRESS))

    decision = judged(alert, T0 + MINUTE)
    assert decision.alert is not None
    assert decision.alert.judge_at == T0 + 5 * MINUTE
    assert is_told(judged(alert, T0 + 5 * MINUTE))


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda alert: Update(ById(alert.id), severity=Severity.CRITICAL), id="critical"),
        pytest.param(lambda alert: Fire(the_same(alert, severity=Severity.CRITICAL)), id="fires worse"),
        pytest.param(lambda alert: Assign(ById(alert.id), ADA_ID), id="given to somebody"),
        pytest.param(lambda alert: GiveFeedback(ById(alert.id), AlertVerdict.ACTIONABLE), id="actionable"),
    ],
)
def test_climbs_as_soon_as_it_matters_more(act: Callable[[Alert], Action]) -> None:
    alert = held()

    freed = done(act(alert), alert, T0 + 10 * SECOND)

    assert freed.next_escalation_at == T0 + 10 * SECOND
    assert freed.held is None
    assert is_told(judged(freed, T0 + 10 * SECOND))


def test_a_verdict_of_noise_changes_nothing_about_a_hold() -> None:
    alert = held()

    assert done(GiveFeedback(ById(alert.id), AlertVerdict.NOISE), alert, T0 + SECOND).held is alert.held


def test_climbs_where_its_rule_says_that_an_sla_time_matters() -> None:
    ladder = replace(RULE.ladder, escalate_on_sla=True)
    rules = replace(RULES, mode=NoiseMode.SUPPRESS)
    alert = held(rules, ladder=ladder)
    at = alert.due_at
    assert at is not None

    decision = judged(alert, at, rules=rules)

    assert [event.kind for event in decision.events] == [EventKind.SLA_AT_RISK, EventKind.ESCALATED]
    plain = judged(replace(alert, ladder=RULE.ladder), at, rules=rules)
    assert [event.kind for event in plain.events] == [EventKind.SLA_AT_RISK]


def test_a_silence_goes_before_and_what_comes_after_it_is_within_the_bound() -> None:
    silence = Silence(a_uuid(5), (a_matcher("@source", "prometheus"),), T0 - HOUR, T0 + MINUTE, "quiet", ADA)  # type: ignore[arg-type]
    silenced = judged(an_alert(), silences=(silence,)).alert
    assert silenced is not None
    assert silenced.held is HoldReason.SILENCED

    decision = judged(silenced, T0 + MINUTE, silences=(silence,))

    assert [event.kind for event in decision.events] == [EventKind.UNSILENCED, EventKind.HELD]
    assert decision.alert is not None
    assert decision.alert.judge_at == T0 + 2 * MINUTE


def test_an_alert_without_a_rule_says_so_rather_than_that_it_is_noise() -> None:
    alert = an_alert(ladder=None, next_escalation_at=None, held=HoldReason.NO_MATCHING_RULE)

    decision = judged(alert, rules=RULES, evidence=EVIDENCE)
    bare = decide(
        Judge(ById(alert.id), (), EVIDENCE),
        alert,
        a_situation(now=T0, config=replace(config(), catalog=a_catalog(rules=())), actor=ENGINE),
    )

    assert is_told(decision)
    assert bare.alert is not None
    assert bare.alert.held is HoldReason.NO_MATCHING_RULE


def test_what_would_be_told_is_foretold_with_the_hold() -> None:
    alert, there = an_alert(), config()

    told = forecast(alert, there, T0, {}, noise=EVIDENCE)
    suppressed = forecast(alert, config(replace(RULES, mode=NoiseMode.SUPPRESS)), T0, {}, noise=EVIDENCE)

    assert [step.at for step in told.steps] == [T0 + 2 * MINUTE]
    assert [step.at for step in forecast(held(), there, T0 + SECOND, {}).steps] == [T0 + 2 * MINUTE]
    assert (suppressed.steps, suppressed.held) == ((), HoldReason.PREDICTED_NOISE)


# ------------------------------------------------------------------------------------- the first second


def test_waits_a_second_for_a_prediction_that_is_known_to_come() -> None:
    alert = an_alert()

    assert waits_until(alert, POLICY, RULES, T0) == T0 + SECOND
    assert waits_until(alert, POLICY, RULES, T0 + SECOND) is None


@pytest.mark.parametrize(
    ("alert", "policy", "rules"),
    [
        pytest.param(an_alert(advice=NOISY), POLICY, RULES, id="it is there"),
        pytest.param(an_alert(severity=Severity.CRITICAL), POLICY, RULES, id="critical"),
        pytest.param(an_alert(), None, RULES, id="nobody learns"),
        pytest.param(an_alert(), replace(POLICY, predicts=False), RULES, id="no model"),
        pytest.param(an_alert(), replace(POLICY, fresh_until=T0), RULES, id="it went away"),
        pytest.param(an_alert(), replace(POLICY, model_threshold=None), RULES, id="it would hold nothing"),
        pytest.param(an_alert(), POLICY, replace(RULES, armed_at=None), id="disarmed"),
        pytest.param(an_alert(id=AlertId(uuid7(T0 + DAY, 0))), POLICY, RULES, id="a clock that is wrong"),
    ],
)
def test_waits_for_nothing_else(alert: Alert, policy: NoisePolicy | None, rules: NoiseRules) -> None:
    assert waits_until(alert, policy, rules, T0) is None


# ------------------------------------------------------------------------------------------ thresholds


def labels(*probabilities: float, needed: bool, weight: float = 1.0) -> list[Label]:
    return [Label(probability, needed, weight) for probability in probabilities]


def test_no_threshold_while_fewer_than_ninety_nine_needed_somebody() -> None:
    noise = labels(*[0.9] * 500, needed=False)

    assert threshold_of(noise + labels(*[0.1] * 98, needed=True)) is None
    assert threshold_of(noise + labels(*[0.6] * 99, needed=True)) == 0.6
    assert threshold_of(labels(*[0.1] * 199, needed=True)) is None


def test_a_threshold_hides_one_in_a_hundred_at_most() -> None:
    noise = labels(*[0.99] * 900, needed=False)
    needed = labels(*(0.5 + index / 2000 for index in range(800)), needed=True)

    threshold = threshold_of(noise + needed)

    assert threshold is not None
    hidden = sum(each.probability > threshold for each in needed)
    assert 0 < hidden <= HIDDEN_SHARE_MAX * 800


def test_one_that_was_spared_stands_for_those_that_were_not() -> None:
    noise = labels(*[0.99] * 900, needed=False)
    needed = labels(*[0.2] * 400, needed=True)

    assert threshold_of(noise + needed + labels(0.9, needed=True)) == 0.5
    assert threshold_of(noise + needed + labels(0.9, needed=True, weight=1 / SPARED_SHARE)) == 0.9


def test_the_quietest_tenth_is_told_however_sure_it_seems() -> None:
    sure = labels(*(0.8 + index / 10_000 for index in range(1000)), needed=False)

    threshold = threshold_of(sure + labels(*[0.0] * 100, needed=True))

    assert threshold is not None
    held_count = sum(each.probability > threshold for each in sure)
    assert held_count <= 0.9 * 1100


# ------------------------------------------------------------------------------------------- the rest


def test_one_in_twenty_is_spared_and_always_the_same() -> None:
    ids = [AlertId(uuid7(T0, number * 2**54 + number)) for number in range(20_000)]

    spared = {id_ for id_ in ids if is_spared(id_, KEY)}

    assert 0.045 < len(spared) / len(ids) < 0.055
    assert spared == {id_ for id_ in ids if is_spared(id_, KEY)}
    assert spared != {id_ for id_ in ids if is_spared(id_, b"another")}


def test_an_id_tells_when_its_alert_was_opened() -> None:
    assert opened_at(AlertId(uuid7(T0 + 5 * SECOND, 123456))) == T0 + 5 * SECOND


def test_numbers_make_no_kind() -> None:
    assert kind_of("zabbix", "disk 7 of db-12 is full") == kind_of("zabbix", "disk 8 of db-9 is full")
    assert kind_of("zabbix", "disk 7 is full") != kind_of("zabbix", "disk 7 is slow")


def test_setting_the_mode_again_arms_it_again() -> None:
    off = NoiseRules()

    on = rearmed(off, NoiseMode.HOLD, T0)
    disarmed = replace(on, armed_at=None)

    assert (on.is_armed, on.armed_at) == (True, T0)
    assert rearmed(on, NoiseMode.HOLD, T0 + DAY).armed_at == T0
    assert rearmed(disarmed, NoiseMode.HOLD, T0 + DAY).armed_at == T0 + DAY
    assert not rearmed(on, NoiseMode.ANNOTATE, T0).is_armed


def test_the_budget_counts_thirty_days_or_since_it_was_armed() -> None:
    assert figures_since(RULES, T0) == T0 - DAY
    assert figures_since(replace(RULES, armed_at=T0 - 90 * DAY), T0) == T0 - 30 * DAY
    assert not over_budget(HOUR, RULES)
    assert over_budget(HOUR + SECOND, RULES)
    assert not over_budget(DAY, replace(RULES, armed_at=None))


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"hold_max": HOUR + SECOND}, "noiseHoldMax"),
        ({"hold_max": -SECOND}, "noiseHoldMax"),
        ({"regret_budget": 31 * DAY}, "noiseRegretBudget"),
        ({"regret_budget": -SECOND}, "noiseRegretBudget"),
    ],
)
def test_lengths_out_of_their_bounds_are_refused(fields: dict[str, timedelta], path: str) -> None:
    with pytest.raises(InputError) as refused:
        check_noise(replace(RULES, **fields))
    assert refused.value.problems[0].path == (path,)


def test_a_hold_takes_no_part_of_a_ladder() -> None:
    alert = held(ladder=TWO)

    decision = judged(alert, T0 + DAY)

    assert decision.alert is not None
    assert decision.alert.status is AlertStatus.TRIGGERED
    assert decision.alert.escalation_level == 1
