"""Forecasts at their edges; that they come true is for tests/simulation to say."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from alertgraph.core import forecast as core
from alertgraph.core.action import Fire
from alertgraph.core.alert import AlertStatus, HoldReason
from alertgraph.core.delivery import Delivery, DeliveryStatus, Purpose
from alertgraph.core.errors import RefusedError
from alertgraph.core.flush import TenantConfig
from alertgraph.core.forecast import alert_to_come, forecast
from alertgraph.core.ids import ChannelId, DeliveryId, ResponderId, ScheduleId
from alertgraph.core.rule import ScheduleTarget
from alertgraph.core.schedule import Rotation, Schedule
from tests.factories import (
    DAY,
    MINUTE,
    RULE,
    SECOND,
    T0,
    WEBHOOK,
    a_catalog,
    a_climbing_alert,
    a_config,
    a_draft,
    a_level,
    a_matcher,
    a_responder,
    a_rule,
)

ADA = a_responder(1)
PRIMARY = Schedule(ScheduleId(UUID(int=1)), "primary", rotations=(Rotation((ADA.id,), T0 + 3 * DAY, DAY),))
LADDER = a_rule(a_level(5 * MINUTE, ScheduleTarget(PRIMARY.id))).ladder
CATALOG = a_catalog(rules=(a_rule(*LADDER.levels),), responders={ADA.id: ADA}, schedules={PRIMARY.id: PRIMARY})


def a_page(**fields: Any) -> Delivery:
    """Return a message about the first level, reached at T0, that waits for two minutes."""
    defaults: dict[str, Any] = {
        "id": DeliveryId(UUID(int=1)),
        "alert_id": None,
        "channel_id": WEBHOOK.id,
        "channel_name": WEBHOOK.name,
        "purpose": Purpose.PAGE,
        "level": 1,
        "created_at": T0,
        "due_at": T0 + 2 * MINUTE,
    }
    return Delivery(**{**defaults, **fields})


def waiting_steps(page: Delivery, at: datetime = T0 + MINUTE, **alert: Any) -> list[tuple[timedelta, str]]:
    """Return what is told of a message that waits, about an alert that has climbed its only level."""
    fields = {"escalation_level": 1, "held": HoldReason.LADDER_EXHAUSTED, "next_escalation_at": None, **alert}
    found = forecast(a_climbing_alert(**fields), a_config(), at, {}, waiting=[page])
    assert found.held is (None if found.steps else HoldReason.LADDER_EXHAUSTED)
    return [(step.at - T0, step.reason) for step in found.steps]


def test_what_waits_is_told_when_it_is_due() -> None:
    reason = f"Level 1: the channel {WEBHOOK.name} is named by the rule"

    assert waiting_steps(a_page()) == [(2 * MINUTE, f"{reason}, 2 min after it is reached.")]
    assert waiting_steps(a_page(due_at=T0)) == [(MINUTE, f"{reason}.")]
    again = a_page(status=DeliveryStatus.RETRYING, attempt_count=1, due_at=T0 + 90 * SECOND)
    assert waiting_steps(again) == [(90 * SECOND, f"{reason}.")]
    # Its lease says when it is given up, not when it is sent.
    assert waiting_steps(a_page(status=DeliveryStatus.SENDING, attempt_count=1)) == [(MINUTE, f"{reason}.")]


@pytest.mark.parametrize(
    "fields",
    [
        {"wanted": False},
        {"status": DeliveryStatus.SKIPPED},
        {"status": DeliveryStatus.SENT},
        {"purpose": Purpose.UPDATE, "level": 0},
        {"channel_id": ChannelId(UUID(int=999))},
    ],
)
def test_what_is_no_page_to_come_is_left_out(fields: dict[str, Any]) -> None:
    assert waiting_steps(a_page(**fields)) == []


def test_the_ladder_may_be_another_than_when_the_page_was_decided() -> None:
    gone = ResponderId(UUID(int=999))

    assert waiting_steps(a_page(level=3, responder_id=gone)) == [
        (2 * MINUTE, "Level 3, 2 min after it is reached.")
    ]


def test_nobody_is_told_of_what_is_over() -> None:
    over = a_climbing_alert(status=AlertStatus.RESOLVED, resolved_at=T0, next_escalation_at=None)

    assert forecast(over, a_config(), T0, {}) == core.Forecast(RULE.id, None, ())


def test_a_draft_is_refused_as_its_sender_would_be() -> None:
    cases: list[tuple[dict[str, Any], tuple[str, ...]]] = [
        ({"title": ""}, ("title",)),
        ({"triggered_at": T0 + 2 * DAY}, ("triggeredAt",)),
        ({"labels": {"team": "web"}}, ("labels",)),
    ]

    for fields, path in cases:
        draft = a_draft(**{"labels": {"team": "db"}, **fields})
        with pytest.raises(RefusedError) as refused:
            alert_to_come(Fire(draft), a_config(), T0, (a_matcher("team", "db"),))
        assert [problem.path for problem in refused.value.problems] == [path]


def test_somebody_coming_on_call_is_waited_for_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    config: TenantConfig = a_config(catalog=CATALOG)
    alert = a_climbing_alert(ladder=LADDER)

    told = forecast(alert, config, T0, {})
    assert [(step.at - T0, step.responder_id) for step in told.steps] == [(3 * DAY, ADA.id)]
    assert told.held is None

    monkeypatch.setattr(core, "WORK_MAX", 3)
    cut_short = forecast(alert, config, T0, {})
    assert (cut_short.held, cut_short.steps) == (HoldReason.NOBODY_ON_CALL, ())
    assert cut_short.rule_id == RULE.id
