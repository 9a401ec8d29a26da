"""Anomaly rules: what they watch, how events go on, and how an alert says it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest

from alertgraph.core.alert import LABEL_COUNT_MAX, TITLE_LENGTH_MAX, check_draft
from alertgraph.core.anomaly import (
    ALERT_AGE_MAX,
    DEDUP_PREFIX,
    AnomalyDirection,
    AnomalyEvent,
    AnomalyRule,
    AnomalySensitivity,
    AnomalyTarget,
    Phase,
    PointVerdict,
    Turn,
    event_json,
    event_of,
    follow,
    number_text,
    rate_draft,
    series_draft,
    usual_range,
)
from alertgraph.core.ids import AnomalyRuleId
from alertgraph.core.points import Series
from tests.factories import HOUR, MINUTE, SECOND, T0, a_matcher

QUEUE = Series.of({"__name__": "queue", "service": "checkout", "job": "api"})


def a_rule(**fields: Any) -> AnomalyRule:
    return AnomalyRule(**{"id": AnomalyRuleId(UUID(int=1)), "name": "queues", **fields})


def a_verdict(level: float, at: int = 0, **fields: Any) -> PointVerdict:
    # Usual are 2 to 8, and a level below 0.5 is that of a value among them.
    known = {"value_level": level, "value": 5 + 6 * level, "expected": 5.0, "spread": 1.0, **fields}
    return PointVerdict(T0 + at * SECOND, level, **known)


def played(rule: AnomalyRule, *verdicts: PointVerdict, late: timedelta = 0 * SECOND) -> list[tuple[int, Turn]]:
    """Return what is told, each with the place of its point."""
    event: AnomalyEvent | None = None
    told = []
    for index, verdict in enumerate(verdicts):
        event, turn = follow(event, verdict, rule, verdict.at + late)
        if event is not None:
            assert event_of(orjson.loads(orjson.dumps(event_json(event)))) == event
        if turn is not Turn.NONE:
            told.append((index, turn))
    return told


def levels(*values: float, **fields: Any) -> list[PointVerdict]:
    return [a_verdict(level, at, **fields) for at, level in enumerate(values)]


def test_an_event_goes_on_until_enough_points_are_ordinary() -> None:
    assert played(a_rule(), *levels(0.2, 1.6, 0.8, 0.4, 0.4, 0.4, 0.4, 0.6, *[0.4] * 5, 0.4)) == [
        (1, Turn.RAISE),
        (12, Turn.END),
    ]


@pytest.mark.parametrize(("sensitivity", "level"), [("LOW", 2.5), ("NORMAL", 1.5), ("HIGH", 1.0)])
def test_sensitivity_says_how_unusual_is_unusual(sensitivity: str, level: float) -> None:
    rule = a_rule(sensitivity=AnomalySensitivity[sensitivity])

    assert played(rule, *levels(level - 0.01, level)) == [(1, Turn.RAISE)]


def test_while_it_warms_up_nothing_begins() -> None:
    assert played(a_rule(), *levels(9.0, 9.0, warming=True)) == []


def test_what_does_not_last_is_not_told() -> None:
    rule = a_rule(min_duration=3 * SECOND)

    assert played(rule, *levels(1.6, 0.8, 0.8, 0.8)) == [(3, Turn.RAISE)]
    assert played(rule, *levels(1.6, 0.1, 0.1, 0.1, 0.8)) == [(4, Turn.RAISE)], (
        "it is not told by an ordinary point"
    )
    assert played(rule, *levels(1.6, *[0.1] * 20, 0.8)) == []


def test_the_other_side_of_the_usual_is_ordinary() -> None:
    up, down = a_rule(direction=AnomalyDirection.UP), a_rule(direction=AnomalyDirection.DOWN)
    above, below = a_verdict(2.0), a_verdict(2.0, value=1.0)

    assert played(up, above) == played(down, below) == [(0, Turn.RAISE)]
    assert played(up, below) == played(down, above) == []
    ended = [above, *(a_verdict(2.0, at, value=1.0) for at in range(1, 6))]
    assert played(up, *ended) == [(0, Turn.RAISE), (5, Turn.END)]


def test_a_value_ends_with_values_and_a_course_with_courses() -> None:
    tail = levels(*[0.9] * 5, value_level=0.1)
    ordinary = levels(*[0.9] * 5, value=6.0)
    assert played(a_rule(), a_verdict(1.5), *ordinary) == [(0, Turn.RAISE), (5, Turn.END)]

    assert played(a_rule(), a_verdict(1.5, value_level=0.1), *tail) == [(0, Turn.RAISE)]


def test_what_lasts_goes_on_until_it_is_what_is_expected() -> None:
    lasting = levels(*[0.1] * 30, value=100.0)
    settled = levels(*[0.1] * 5, value=100.0, expected=99.0)

    assert played(a_rule(), a_verdict(2.0, value=100.0), *lasting) == [(0, Turn.RAISE)]
    assert played(a_rule(), a_verdict(2.0, value=100.0), *lasting, *settled) == [(0, Turn.RAISE), (35, Turn.END)]


def test_what_came_too_late_is_told_once_it_is_of_now() -> None:
    verdicts = levels(1.5, 0.8, 0.8)

    assert played(a_rule(), *verdicts, late=ALERT_AGE_MAX) == [(0, Turn.RAISE)]
    assert played(a_rule(), *verdicts, late=ALERT_AGE_MAX + SECOND) == []
    event, _ = follow(None, verdicts[0], a_rule(), T0 + HOUR)
    assert event is not None
    assert event.phase is Phase.BEGUN
    event, turn = follow(event, a_verdict(0.8, 3600), a_rule(), T0 + HOUR)
    assert (turn, event.began_at if event else None) == (Turn.RAISE, T0)


def test_an_alert_says_what_was_measured_and_what_is_usual() -> None:
    rule = a_rule(links=(), monitored_service=None)
    event = AnomalyEvent(Phase.TOLD, T0 - MINUTE, T0)

    draft = series_draft(rule, QUEUE, event, a_verdict(3.0, value=1234.5678, expected=12.0, spread=2.0))

    assert draft.title == "queue is unusually high: 1,235 (usually 6 to 18)"
    assert draft.description is not None
    assert draft.description.split("\n") == [
        "queue was 1,235 at 2026-11-23 12:00:00 UTC.",
        "Usual for this time is 12, mostly between 6 and 18.",
        "It has been unusual since 2026-11-23 11:59:00 UTC.",
        'Watched by the anomaly rule queues. Series: queue{job="api", service="checkout"}',
    ]
    assert draft.dedup_key == f"{rule.dedup_prefix}{QUEUE.digest}"
    assert draft.dedup_key.startswith(DEDUP_PREFIX)
    assert draft.monitored_service == "checkout"
    assert draft.triggered_at == T0 - MINUTE
    assert check_draft(draft, T0, None) == []


def test_a_course_is_told_as_one_where_the_value_itself_is_usual() -> None:
    event = AnomalyEvent(Phase.TOLD, T0, T0, by_shape=True)
    inside = series_draft(a_rule(), QUEUE, event, a_verdict(2.0, value=6.0, by_shape=True))
    outside = series_draft(a_rule(), QUEUE, event, a_verdict(2.0, value=1.0, by_shape=True))

    assert inside.title == "queue takes an unusual course: 6 (usually 2 to 8)"
    assert outside.title == "queue is unusually low: 1 (usually 2 to 8)"


def test_the_monitored_service_is_the_rules_or_a_labels() -> None:
    event, verdict = AnomalyEvent(Phase.TOLD, T0, T0), a_verdict(2.0)

    def service(rule: AnomalyRule, **labels: str) -> str | None:
        return series_draft(rule, Series.of({"__name__": "x", **labels}), event, verdict).monitored_service

    assert service(a_rule(monitored_service="shop"), service="other") == "shop"
    assert service(a_rule(service_label="app"), app="shop", service="other") == "shop"
    assert service(a_rule(service_label="app"), service="other") is None
    assert service(a_rule(), job="api") == "api"
    assert service(a_rule(), job="x" * 300) is None
    assert service(a_rule()) is None


def test_the_largest_series_makes_an_alert_that_is_taken() -> None:
    labels = {f"l{number}" + "n" * 250: "v\n" * 2000 for number in range(LABEL_COUNT_MAX - 4)}
    series = Series.of({**labels, "__name__": "x\r\n" * 1300, "service": " "})

    draft = series_draft(a_rule(), series, AnomalyEvent(Phase.TOLD, T0, T0), a_verdict(2.0))

    assert len(draft.title) == TITLE_LENGTH_MAX
    assert check_draft(draft, T0, None) == []


def test_an_alert_about_alerts_says_how_many_are_usual() -> None:
    rule = a_rule(target=AnomalyTarget.ALERT_RATE, name="storms")
    event = AnomalyEvent(Phase.TOLD, T0, T0)

    draft = rate_draft(rule, "checkout", 5 * MINUTE, event, a_verdict(2.0, value=42.0, expected=1.25))
    nobodys = rate_draft(rule, "", 5 * MINUTE, event, a_verdict(2.0, value=42.0, expected=1.25))

    assert draft.title == "More alerts than usual of checkout: 42 in 5 min (usually 1.25)"
    assert (draft.monitored_service, nobodys.monitored_service) == ("checkout", None)
    assert draft.dedup_key != nobodys.dedup_key
    assert check_draft(draft, T0, None) == check_draft(nobodys, T0, None) == []


def test_a_rule_watches_what_its_matchers_say() -> None:
    rule = a_rule(matchers=(a_matcher("__name__", "queue"),))
    rate = a_rule(target=AnomalyTarget.ALERT_RATE, matchers=(a_matcher("@service", "checkout"),))

    assert rule.watches(QUEUE)
    assert not a_rule(matchers=rule.matchers, enabled=False).watches(QUEUE)
    assert not rate.watches(QUEUE)
    assert rate.watches_rate("checkout")
    assert not rate.watches_rate("")
    assert not rule.watches_rate("checkout")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (0.12345, "0.1235"),
        (999.96, "1000"),
        (12345.6, "12,346"),
        (-1e6, "-1,000,000"),
        (1e16, "1.000e+16"),
        (1e-5, "1.000e-05"),
    ],
)
def test_numbers_are_written_for_people(value: float, text: str) -> None:
    assert number_text(value) == text


def test_what_is_never_negative_is_not_usually_so() -> None:
    assert usual_range(a_verdict(1.0, value=1.0, expected=1.0, spread=1.0)) == (0.0, 4.0)
    assert usual_range(a_verdict(1.0, value=-1.0, expected=1.0, spread=1.0)) == (-2.0, 4.0)
