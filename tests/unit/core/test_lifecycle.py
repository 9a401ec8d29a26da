"""The life of an alert, action by action."""

from __future__ import annotations

from typing import Any

from alertgraph.core.alert import OCCURRENCE_COUNT_MAX, Alert, Draft
from alertgraph.core.errors import ErrorCode
from alertgraph.core.event import EventKind
from alertgraph.core.lifecycle import Action, ById, Decision, Fire, Update, decide
from tests.factories import HOUR, T0, a_draft, a_matcher, a_situation, an_alert, the_same


def act(action: Action, alert: Alert | None, **situation: Any) -> Decision:
    return decide(action, alert, a_situation(**situation))


def fire(alert: Alert | None, draft: Draft, **situation: Any) -> Decision:
    return act(Fire(draft), alert, **situation)


def kinds(decision: Decision) -> list[EventKind]:
    return [event.kind for event in decision.events]


def changed(decision: Decision) -> dict[str, tuple[Any, Any]]:
    """Return the fields that the only event tells as changed."""
    (event,) = decision.events
    return {change.field: (change.before, change.after) for change in event.changes}


def test_a_scoped_key_does_not_rewrite_an_alert_that_it_may_not_see() -> None:
    theirs = an_alert(labels={"team": "theirs"})
    draft = a_draft(dedup_key=theirs.dedup_key, labels={"team": "ours"})

    decision = decide(Fire(draft), theirs, a_situation(scope=(a_matcher("team", "ours"),)))

    assert decision.problem is not None
    assert (decision.problem.code, decision.problem.path) == (ErrorCode.CONFLICT, ("dedupKey",))
    assert decision.alert is None
    assert decision.events == ()


# --------------------------------------------------------------------------------------- repeats


def test_a_repeat_of_one_counted_as_often_as_can_be_told_is_counted_no_further() -> None:
    alert = an_alert(occurrence_count=OCCURRENCE_COUNT_MAX)

    decision = fire(alert, the_same(alert))

    assert decision.alert is not None
    assert decision.alert.occurrence_count == OCCURRENCE_COUNT_MAX
    assert decision.alert.last_seen_at == T0 + HOUR
    assert (decision.counted, decision.events, decision.problem) == (True, (), None)


def test_a_change_from_one_to_true_is_a_change() -> None:
    alert = an_alert(annotations={"a": 1, "b": [1.0]})

    decision = fire(alert, the_same(alert, annotations={"a": True, "b": [1.0]}))

    assert kinds(decision) == [EventKind.UPDATED]
    assert changed(decision) == {"annotations": ({"a": 1, "b": [1.0]}, {"a": True, "b": [1.0]})}


def test_a_patch_takes_away_only_the_annotations_that_it_names() -> None:
    alert = an_alert(annotations={"kept": None, "gone": 1})

    decision = act(Update(ById(alert.id), annotations={"gone": None, "new": 2, "never": None}), alert)

    assert decision.alert is not None
    assert decision.alert.annotations == {"kept": None, "new": 2}
