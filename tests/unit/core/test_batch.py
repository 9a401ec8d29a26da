"""Many requests decided as one: what they see of one another, what is written, and what is relied on."""

from __future__ import annotations

from alertgraph.core.action import (
    Acknowledge,
    AddNote,
    ById,
    ByKey,
    Clear,
    Fire,
    GiveFeedback,
    Reopen,
    Resolve,
    Unacknowledge,
)
from alertgraph.core.alert import OCCURRENCE_COUNT_MAX, AlertStatus, AlertVerdict
from alertgraph.core.batch import Outcome
from alertgraph.core.errors import ErrorCode
from alertgraph.core.event import EventKind
from alertgraph.core.flush import Reliance, Touch
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


# ------------------------------------------------------------------------------- what is written


def test_a_batch_of_nothing_is_empty() -> None:
    batch = a_batch()
    batch.apply(a_request(Clear("k", T0), Resolve(ById(an_id(5)))))

    flush = batch.flush(a_flush_id())
    assert batch.is_empty
    assert (flush.events, flush.writes, flush.touches, flush.answers) == ((), (), (), ())


def test_a_new_alert_relies_on_the_absence_of_its_key_and_on_the_configuration() -> None:
    batch = a_batch()
    (outcome,) = batch.apply(a_request(Fire(a_draft(dedup_key="k"))))

    flush = batch.flush(a_flush_id())
    (write,) = flush.writes
    assert flush.reliance == Reliance(config_version=3, keys={"k": None})
    assert (write.alert, write.is_new, write.event_index, write.occurrence_delta) == (outcome.alert, True, 0, 0)


def test_repeats_in_a_row_are_one_touch_that_relies_on_no_configuration() -> None:
    alert = an_alert(occurrence_count=4, version=9)
    batch = a_batch(alert)
    batch.apply(a_request(*[Fire(the_same(alert))] * 3))

    flush = batch.flush(a_flush_id())
    assert flush.touches == (Touch(alert.id, 9, 3, 8, T0 + HOUR, None, False),)
    assert flush.reliance == Reliance(config_version=None, keys={"latency": 9})
    assert (flush.events, flush.writes) == ((), ())


def test_a_repeat_beside_a_change_is_written_with_it() -> None:
    alert = an_alert(occurrence_count=4)
    batch = a_batch(alert)
    batch.apply(a_request(Fire(the_same(alert)), Acknowledge(ById(alert.id)), Fire(the_same(alert))))

    flush = batch.flush(a_flush_id())
    (write,) = flush.writes
    assert (write.occurrence_delta, write.alert.occurrence_count, write.is_new) == (2, 6, False)
    assert write.alert.status is AlertStatus.ACKNOWLEDGED
    assert flush.touches == ()


def test_an_alert_that_begins_and_ends_in_one_batch_is_written_once() -> None:
    batch = a_batch()
    outcomes = batch.apply(a_request(*[Fire(a_draft(dedup_key="k"))] * 2, Clear("k", T0 + HOUR)))

    flush = batch.flush(a_flush_id())
    (write,) = flush.writes
    assert [outcome.created for outcome in outcomes] == [True, False, False]
    assert (write.is_new, write.was_closed, write.event_index) == (True, False, 2)
    assert (write.alert.status, write.alert.occurrence_count) == (AlertStatus.RESOLVED, 2)
    assert [e.event.kind for e in flush.events] == [EventKind.TRIGGERED, EventKind.REPEATED, EventKind.RESOLVED]


def test_a_key_that_ends_and_fires_again_has_a_chain_of_alerts() -> None:
    alert = an_alert(version=9)
    batch = a_batch(alert)
    fire = Fire(a_draft(dedup_key="latency"))
    outcomes = batch.apply(a_request(Clear("latency", T0), fire, Clear("latency", T0 + HOUR), fire, fire))

    flush = batch.flush(a_flush_id())
    assert [o.alert_id for o in outcomes] == [alert.id, an_id(101), an_id(101), an_id(103), an_id(103)]
    assert [(w.alert.id, w.alert.is_open, w.is_new) for w in flush.writes] == [
        (alert.id, False, False),
        (an_id(101), False, True),
        (an_id(103), True, True),
    ]
    assert flush.reliance.keys == {"latency": 9}


def test_a_clear_before_a_fire_of_an_unknown_key_ends_nothing() -> None:
    batch = a_batch()
    outcomes = batch.apply(a_request(Clear("k", T0), Fire(a_draft(dedup_key="k"))))

    assert [(o.alert is None, o.created) for o in outcomes] == [(True, False), (False, True)]


def test_an_alert_reached_by_id_is_relied_on_by_its_version() -> None:
    alert = an_alert(version=9)
    batch = a_batch(alert)
    batch.apply(a_request(Acknowledge(ById(alert.id)), Fire(the_same(alert))))

    # The id tells which alert is open under the key: the key itself need not be relied on.
    assert batch.flush(a_flush_id()).reliance == Reliance(config_version=3, alerts={alert.id: 9})


def test_a_reopened_alert_relies_on_the_absence_of_its_key() -> None:
    closed = an_alert(status=AlertStatus.RESOLVED, version=9)
    batch = a_batch(closed)
    (outcome,) = batch.apply(a_request(Reopen(ById(closed.id))))

    flush = batch.flush(a_flush_id())
    assert outcome.created
    assert flush.reliance == Reliance(config_version=3, keys={"latency": None}, alerts={closed.id: 9})
    assert [(w.alert.id, w.is_new) for w in flush.writes] == [(an_id(100), True)]


def test_reopening_twice_in_one_batch_makes_one_alert() -> None:
    closed = an_alert(status=AlertStatus.RESOLVED)
    batch = a_batch(closed)
    first, second = batch.apply(a_request(*[Reopen(ById(closed.id))] * 2))

    assert (first.created, second.created) == (True, False)
    assert first.alert_id == second.alert_id


def test_a_reopening_meets_what_fired_before_it_in_the_batch() -> None:
    closed = an_alert(status=AlertStatus.RESOLVED)
    batch = a_batch(closed)
    fired, reopened = batch.apply(a_request(Fire(a_draft(dedup_key="latency")), Reopen(ById(closed.id))))

    assert (fired.created, reopened.created) == (True, False)
    assert fired.alert_id == reopened.alert_id


def test_a_judgement_of_a_closed_alert_is_a_write_of_a_closed_one() -> None:
    closed = an_alert(status=AlertStatus.RESOLVED)
    batch = a_batch(closed)
    batch.apply(a_request(GiveFeedback(ById(closed.id), AlertVerdict.NOISE)))

    (write,) = batch.flush(a_flush_id()).writes
    assert (write.was_closed, write.is_new, write.alert.verdict) == (True, False, AlertVerdict.NOISE)


def test_what_the_batch_met_is_told_as_it_is_afterwards() -> None:
    seen, changed = an_alert(id=an_id(1)), an_alert(id=an_id(2), dedup_key="other")
    batch = a_batch(seen, changed)
    batch.apply(a_request(Unacknowledge(ById(seen.id)), Resolve(ById(changed.id))))

    alerts = batch.alerts()
    assert alerts[seen.id] == (seen, None)
    assert (alerts[changed.id][0].status, alerts[changed.id][1]) == (AlertStatus.RESOLVED, 0)


# -------------------------------------------------------------------------------- idempotency


def test_a_request_with_a_known_key_gets_the_first_answer() -> None:
    first = a_batch(an_alert())
    outcomes = first.apply(
        a_request(
            Fire(a_draft(dedup_key="k")),
            Resolve(ById(an_id(77))),
            Clear("?", T0),
            idempotency=an_idempotency_key(),
        )
    )
    later = a_batch(answers=first.flush(a_flush_id()).answers)

    again = later.apply(
        a_request(Fire(a_draft()), Fire(a_draft()), Fire(a_draft()), idempotency=an_idempotency_key())
    )

    assert [(o.created, o.changed, o.problem, o.alert_id) for o in again] == [
        (o.created, o.changed, o.problem, o.alert_id) for o in outcomes
    ]
    assert [o.alert for o in again] == [None] * 3
    assert later.is_empty


def test_a_key_with_other_contents_is_refused_for_every_action() -> None:
    batch = a_batch()
    batch.apply(a_request(Fire(a_draft()), idempotency=an_idempotency_key()))

    outcomes = batch.apply(
        a_request(Fire(a_draft()), Clear("k", T0), idempotency=an_idempotency_key(contents=b"other"))
    )

    assert [refusal(o) for o in outcomes] == [ErrorCode.IDEMPOTENCY_KEY_REUSED] * 2
    assert len(batch.flush(a_flush_id()).events) == 1


def test_a_request_refused_altogether_keeps_no_answer() -> None:
    batch = a_batch()
    batch.apply(a_request(Fire(a_draft(title="")), idempotency=an_idempotency_key()))
    (mended,) = batch.apply(a_request(Fire(a_draft()), idempotency=an_idempotency_key(contents=b"mended")))

    assert mended.created
    assert [a.key for a in batch.flush(a_flush_id()).answers] == [an_idempotency_key(contents=b"mended")]


def test_an_answer_alone_is_worth_writing() -> None:
    batch = a_batch(alert := an_alert(status=AlertStatus.ACKNOWLEDGED))
    batch.apply(a_request(Acknowledge(ById(alert.id)), idempotency=an_idempotency_key()))

    assert not batch.is_empty
    assert batch.flush(a_flush_id()).events == ()
