"""Many requests decided as one: what they see of one another, what is written, and what is relied on."""

from __future__ import annotations

from alertgraph.core.alert import OCCURRENCE_COUNT_MAX, AlertStatus, AlertVerdict
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
    the_same,
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


def test_a_key_that_no_store_can_take_is_refused_and_not_relied_on() -> None:
    batch = a_batch()

    outcomes = batch.apply(
        a_request(
            Clear("a\x00b", T0),
            Resolve(ByKey("\ud800")),
            Acknowledge(ByKey("k" * 513)),
            Fire(a_draft(dedup_key="")),
        )
    )

    assert [(refusal(o), o.problem.path) for o in outcomes if o.problem] == [
        (ErrorCode.INVALID_INPUT, ("dedupKey",))
    ] * 4
    assert batch.flush(a_flush_id()).reliance.keys == {}


def test_a_refused_draft_is_relied_on_by_nothing() -> None:
    batch = a_batch()

    (outcome,) = batch.apply(a_request(Fire(a_draft(title="", labels={"a": "\ud800"}))))

    assert outcome.problem is not None
    assert outcome.problem.path == ("title",)
    assert batch.flush(a_flush_id()).reliance.keys == {}
    assert batch.is_empty


def test_a_repeat_of_one_counted_to_the_end_is_still_noticed() -> None:
    alert = an_alert(dedup_key="k", occurrence_count=OCCURRENCE_COUNT_MAX)
    batch = a_batch(alert)

    batch.apply(a_request(*[Fire(the_same(alert))] * 3))

    (touch,) = batch.flush(a_flush_id()).touches
    assert not batch.is_empty
    assert (touch.count, touch.count_below, touch.last_seen_at) == (0, OCCURRENCE_COUNT_MAX + 1, T0 + HOUR)
