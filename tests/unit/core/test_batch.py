"""Many requests decided as one: what they see of one another, what is written, and what is relied on."""

from __future__ import annotations

from dataclasses import replace

from alertgraph.core.alert import AlertStatus, AlertVerdict
from alertgraph.core.batch import Outcome
from alertgraph.core.errors import ErrorCode
from alertgraph.core.event import EventKind
from alertgraph.core.lifecycle import (
    Acknowledge,
    AddNote,
    ById,
    ByKey,
    Clear,
    Fire,
    GiveFeedback,
    Reopen,
    Resolve,
)
from alertgraph.core.severity import Severity
from tests.factories import (
    HOUR,
    T0,
    a_batch,
    a_draft,
    a_flush_id,
    a_matcher,
    a_request,
    an_alert,
    an_id,
    an_idempotency_key,
)


def refusal(outcome: Outcome) -> ErrorCode:
    """Return why something was refused."""
    assert outcome.problem is not None
    return outcome.problem.code


def test_a_note_on_a_closed_alert_says_nothing_of_its_key() -> None:
    batch = a_batch(closed := an_alert(status=AlertStatus.RESOLVED))

    batch.apply(a_request(AddNote(ById(closed.id), "sealed")))
    batch.apply(a_request(Fire(a_draft(dedup_key=closed.dedup_key))))

    assert closed.dedup_key in batch.flush(a_flush_id()).reliance.keys


def test_feedback_on_a_closed_alert_leaves_the_open_one_of_its_key_open() -> None:
    closed = an_alert(id=an_id(1), status=AlertStatus.RESOLVED)
    present = an_alert(id=an_id(2), version=9)
    batch = a_batch(closed, present)

    batch.apply(a_request(GiveFeedback(ById(closed.id), AlertVerdict.NOISE)))
    (outcome,) = batch.apply(a_request(Fire(a_draft(dedup_key="latency"))))

    assert outcome.alert is not None
    assert outcome.alert.id == present.id
    assert not outcome.created


def test_reopening_what_fires_already_comes_to_the_open_alert_and_keeps_the_note() -> None:
    closed = an_alert(id=an_id(1), status=AlertStatus.RESOLVED)
    present = an_alert(id=an_id(2), version=9)
    batch = a_batch(closed, present)

    (outcome,) = batch.apply(a_request(Reopen(ById(closed.id), "sealed")))

    flush = batch.flush(a_flush_id())
    assert (outcome.alert, outcome.created, outcome.changed, outcome.problem) == (present, False, False, None)
    assert [(e.event.kind, e.event.alert_id, e.event.note) for e in flush.events] == [
        (EventKind.NOTED, present.id, "sealed")
    ]
    assert flush.reliance.keys == {"latency": 9}


def test_reopening_an_open_alert_keeps_the_note() -> None:
    batch = a_batch(alert := an_alert())

    (outcome,) = batch.apply(a_request(Reopen(ById(alert.id), "sealed")))

    assert (outcome.changed, outcome.problem) == (False, None)
    assert [e.event.kind for e in batch.flush(a_flush_id()).events] == [EventKind.NOTED]


def test_reopening_out_of_scope_shows_neither_the_closed_nor_the_open_alert() -> None:
    closed = an_alert(id=an_id(1), status=AlertStatus.RESOLVED)
    batch = a_batch(closed, an_alert(id=an_id(2)))

    (outcome,) = batch.apply(a_request(Reopen(ById(closed.id)), scope=(a_matcher("team", "other"),)))

    assert refusal(outcome) is ErrorCode.NOT_FOUND
    assert outcome.alert is None
    assert outcome.alert_id is None


def test_a_reopened_alert_out_of_scope_is_not_shown_by_way_of_one_in_scope() -> None:
    closed = an_alert(id=an_id(1), status=AlertStatus.RESOLVED, labels={"team": "ours"})
    batch = a_batch(closed, an_alert(id=an_id(2), labels={"team": "other"}))

    (outcome,) = batch.apply(a_request(Reopen(ById(closed.id)), scope=(a_matcher("team", "ours"),)))

    assert refusal(outcome) is ErrorCode.NOT_FOUND
    assert outcome.alert is None
