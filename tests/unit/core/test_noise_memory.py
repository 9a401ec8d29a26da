"""What a log says of a tenant's noise: how alerts ended, what was held, and which holds were wrong."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import orjson
import pytest

from alertgraph.core.actor import ENGINE, MODEL
from alertgraph.core.alert import HoldReason
from alertgraph.core.event import Event, EventKind, FieldChange, instant_text
from alertgraph.core.ids import AlertId, uuid7
from alertgraph.core.noise import SPARED_SHARE, Basis, is_spared, key_of, kind_of
from alertgraph.core.noise_memory import NoiseMemory
from alertgraph.core.severity import Severity
from tests.factories import ADA, HOUR, MINUTE, SECOND, SENDER, T0, an_event

KEY = b"k" * 32
ONE = AlertId(uuid7(T0, 1 << 62))


def told(kind: EventKind, after: timedelta = timedelta(0), alert_id: AlertId = ONE, **fields: Any) -> Event:
    defaults: dict[EventKind, Any] = {
        EventKind.TRIGGERED: SENDER,
        EventKind.RESOLVED: SENDER,
        EventKind.HELD: ENGINE,
        EventKind.ESCALATED: ENGINE,
        EventKind.PREDICTED: MODEL,
    }
    actor = fields.pop("actor", defaults.get(kind, ADA))
    return an_event(kind=kind, actor=actor, alert_id=alert_id, decided_at=T0 + after, **fields)


def held(after: timedelta = timedelta(0), until: timedelta | None = 2 * MINUTE) -> Event:
    detail: dict[str, Any] = {"noiseProbability": 0.9, "basis": "HISTORY"}
    if until is not None:
        detail["until"] = instant_text(T0 + until)
    return told(EventKind.HELD, after, hold_reason=HoldReason.PREDICTED_NOISE, detail=detail)


def verdict(after: timedelta, name: str) -> Event:
    return told(EventKind.FEEDBACK_GIVEN, after, changes=(FieldChange("verdict", None, name),))


def memory_of(*events: Event) -> NoiseMemory:
    memory = NoiseMemory(KEY)
    for event in (told(EventKind.TRIGGERED), *events):
        memory.take(event)
    return memory


def regret(events: Sequence[Event]) -> timedelta | None:
    return memory_of(*events).changed_holds[ONE].regret


ENDED = told(EventKind.RESOLVED, 90 * SECOND, elapsed_ms=90_000)


def test_what_ends_with_nobody_acting_was_noise_and_shows_how_long_it_lasts() -> None:
    memory = memory_of(ENDED)

    for key in (key_of("latency"), kind_of("prometheus", "High latency")):
        history = memory.history(key)
        assert history is not None
        assert (history.ended_count, history.quiet_count) == (1, 1)
        assert history.quiet_median == 90 * SECOND
        assert history.noise_probability > 0.5


def test_of_those_that_ended_by_themselves_the_longest_of_the_latest_is_known() -> None:
    memory = NoiseMemory(KEY)
    for number, seconds in enumerate((500, *[60] * 14, 90, 30)):
        id_ = AlertId(uuid7(T0, number))
        memory.take(told(EventKind.TRIGGERED, alert_id=id_))
        memory.take(told(EventKind.RESOLVED, MINUTE, alert_id=id_, elapsed_ms=seconds * 1000))

    history = memory.history(key_of("latency"))

    # The first of seventeen is forgotten.
    assert history is not None
    assert (history.quiet_median, history.quiet_longest) == (MINUTE, 90 * SECOND)


@pytest.mark.parametrize(
    "event",
    [
        told(EventKind.ACKNOWLEDGED, MINUTE),
        told(EventKind.ESCALATED, MINUTE, actor=ADA),
        told(EventKind.ASSIGNED, MINUTE),
        verdict(MINUTE, "ACTIONABLE"),
    ],
)
def test_whom_somebody_took_care_of_needed_somebody(event: Event) -> None:
    history = memory_of(event, ENDED).history(key_of("latency"))

    assert history is not None
    assert history.quiet_count == 0
    assert history.noise_probability < 0.5


def test_a_later_verdict_changes_what_was_counted() -> None:
    key = key_of("latency")
    before = memory_of(told(EventKind.ACKNOWLEDGED, MINUTE), ENDED).history(key)
    after = memory_of(told(EventKind.ACKNOWLEDGED, MINUTE), ENDED, verdict(HOUR, "NOISE")).history(key)

    assert before is not None
    assert after is not None
    assert after.noise_probability > 0.5 > before.noise_probability


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([held(), ENDED], None, id="ended while it was held"),
        pytest.param([held(), told(EventKind.ESCALATED, 2 * MINUTE)], 2 * MINUTE, id="open at its end"),
        pytest.param([held(), told(EventKind.ESCALATED, MINUTE)], None, id="let go sooner"),
        pytest.param([held(), told(EventKind.ACKNOWLEDGED, 30 * SECOND)], 30 * SECOND, id="taken"),
        pytest.param([held(), told(EventKind.ESCALATED, MINUTE, actor=ADA)], MINUTE, id="escalated by hand"),
        pytest.param([held(), verdict(MINUTE, "ACTIONABLE")], MINUTE, id="actionable"),
        pytest.param([held(), ENDED, verdict(HOUR, "ACTIONABLE")], 90 * SECOND, id="actionable, said later"),
        pytest.param(
            [held(), told(EventKind.ESCALATED, 2 * MINUTE), verdict(HOUR, "NOISE")], None, id="noise after all"
        ),
        pytest.param(
            [held(), told(EventKind.ESCALATED, MINUTE), told(EventKind.ACKNOWLEDGED, 3 * MINUTE)],
            MINUTE,
            id="let go and then taken",
        ),
        pytest.param(
            [held(), told(EventKind.RESOLVED, MINUTE, actor=ADA, elapsed_ms=60_000)], MINUTE, id="resolved by hand"
        ),
        pytest.param([held(until=None), told(EventKind.ACKNOWLEDGED, HOUR)], HOUR, id="suppressed and taken"),
    ],
)
def test_regret_is_how_long_somebody_who_was_needed_was_not_told(
    events: Sequence[Event], expected: timedelta | None
) -> None:
    assert regret(events) == expected


def test_held_again_is_one_hold_from_its_first_moment() -> None:
    memory = memory_of(held(), told(EventKind.SILENCED, MINUTE, actor=ENGINE), held(90 * SECOND))

    hold = memory.changed_holds[ONE]
    assert (hold.held_at, hold.ended_at) == (T0, None)


def test_a_label_of_one_that_was_spared_counts_for_those_that_were_not() -> None:
    memory = NoiseMemory(KEY)
    memory.thresholds = dict.fromkeys(Basis, 0.4)
    ids = [AlertId(uuid7(T0, number << 50)) for number in range(200)]
    for id_ in ids:
        memory.take(told(EventKind.TRIGGERED, alert_id=id_))
        memory.take(told(EventKind.ACKNOWLEDGED, alert_id=id_))

    labels = memory.labels[Basis.HISTORY]
    assert {labels[id_].weight for id_ in ids if is_spared(id_, KEY)} == {1 / SPARED_SHARE}
    assert {labels[id_].weight for id_ in ids if not is_spared(id_, KEY)} == {1.0}


def test_critical_ones_and_those_that_nobody_saw_are_no_labels() -> None:
    assert not memory_of(held(), ENDED).label_count
    critical = NoiseMemory(KEY)
    critical.take(told(EventKind.TRIGGERED, severity_after=Severity.CRITICAL))
    critical.take(told(EventKind.ACKNOWLEDGED, severity_after=Severity.CRITICAL))
    assert not critical.label_count


def test_a_model_is_waited_for_only_where_it_is_in_time() -> None:
    memory = NoiseMemory(KEY)
    for after, expected in ((SECOND, True), (2 * SECOND, False)):
        for number in range(40):
            id_ = AlertId(uuid7(T0, number + after.seconds * 1000))
            memory.take(told(EventKind.TRIGGERED, alert_id=id_))
            memory.take(told(EventKind.PREDICTED, after, alert_id=id_, detail={"incidentProbability": 0.2}))
        assert memory.predicts is expected


def test_a_base_rate_is_nothing_that_the_model_said() -> None:
    memory = memory_of(
        told(EventKind.PREDICTED, detail={"incidentProbability": 0.2, "abstained": True}),
        told(EventKind.ACKNOWLEDGED, MINUTE),
        ENDED,
    )

    assert memory.labels[Basis.MODEL] == {}
    assert len(memory.labels[Basis.HISTORY]) == 1


def test_goes_on_from_its_state_as_if_it_had_never_stopped() -> None:
    first = memory_of(held(), told(EventKind.PREDICTED, detail={"incidentProbability": 0.25}))
    again = NoiseMemory.of(orjson.loads(orjson.dumps(first.state())))

    for memory in (first, again):
        memory.take(told(EventKind.ACKNOWLEDGED, MINUTE))
        memory.take(ENDED)

    assert again.state() == first.state()
    assert first.labels[Basis.MODEL][ONE].probability == 0.75


@pytest.mark.parametrize("state", [{}, {"form": 2}, {"form": 1}, {"form": 1, "spareKey": None}])
def test_what_is_no_state_is_refused(state: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"form|memory"):
        NoiseMemory.of(state)


def test_taking_events_twice_changes_no_hold() -> None:
    events = (held(), told(EventKind.ESCALATED, 2 * MINUTE))

    assert memory_of(*events, told(EventKind.TRIGGERED), *events).changed_holds[ONE].regret == 2 * MINUTE
