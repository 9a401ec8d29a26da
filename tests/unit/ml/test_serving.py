"""What a tenant's model remembers follows from its log alone, and so does what it says."""

from __future__ import annotations

import zlib

import pytest

pytest.importorskip("torch", reason="pip install 'alertgraph[ml]' brings it")
pytest.importorskip("sklearn", reason="pip install 'alertgraph[ml]' brings it")

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np

import alertgraph
from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.alert import AlertVerdict
from alertgraph.core.event import Event, EventKind, FieldChange, StoredEvent
from alertgraph.core.ids import AlertId
from alertgraph.core.learning import LABELS_MIN, ForeignStateError, Step, Taken
from alertgraph.core.prediction import Prediction
from alertgraph.ml import live
from alertgraph.ml.artifact import read_artifact
from alertgraph.ml.evaluation.made_log import World, batches, made_log
from alertgraph.ml.features import FeatureRows, StateMismatchError
from alertgraph.ml.serving import LiveHost, LiveModel
from alertgraph.ml.voice import Voice
from tests.unit.ml.live_small import SALT, TENANT, a_host, an_artifact

BUNDLED = Path(alertgraph.__file__).parent / "ml" / "bundled" / "torch_v1.agmodel"
PERSON = Actor(ActorKind.PERSON, "kim")


@pytest.fixture(scope="module")
def events() -> list[StoredEvent]:
    return list(made_log(World(), 700))


def fresh(state: bytes | None = None, contents: dict[str, bytes | None] | None = None) -> LiveModel:
    return a_host().open(TENANT, SALT, state, contents or {})


def fed(model: LiveModel, events: list[StoredEvent], sizes: tuple[int, ...] = (1000,)) -> list[Taken]:
    return [model.take(batch, batch[-1].recorded_at) for batch in batches(events, sizes)]


def said_of(taken: list[Taken]) -> dict[AlertId, Prediction]:
    return {scored.alert_id: scored.prediction for one in taken for scored in one.scored}


# ------------------------------------------------------------------------------------ remembering


def test_remembers_the_same_however_the_events_are_cut(events: list[StoredEvent]) -> None:
    whole, cut = fresh(), fresh()

    fed(whole, events)
    fed(cut, events, (1, 7, 64, 3))

    assert whole.state() == cut.state()


def test_says_the_same_of_an_alert_whoever_comes_beside_it(events: list[StoredEvent]) -> None:
    whole, cut = said_of(fed(fresh(), events)), said_of(fed(fresh(), events, (5, 90)))

    common = whole.keys() & cut.keys()
    assert len(common) > 20
    assert all(whole[each].incident_probability == cut[each].incident_probability for each in common)
    assert all(whole[each].time_to_resolve == cut[each].time_to_resolve for each in common)


@pytest.mark.parametrize("killed_at", [1, 333, 900])
def test_goes_on_after_a_kill_as_if_nothing_had_been(events: list[StoredEvent], killed_at: int) -> None:
    model = fresh()
    fed(model, events)

    first = fresh()
    fed(first, events[:killed_at])
    saved = first.state()
    # What it did after it saved is lost, and done again.
    fed(first, events[killed_at : killed_at + 50])
    again = fresh(saved)
    fed(again, events[killed_at:], (64,))

    assert again.state() == model.state()


def test_takes_nothing_twice(events: list[StoredEvent]) -> None:
    model = fresh()
    fed(model, events[:500])
    before = model.state()

    taken = fed(model, events[:500])

    assert model.state() == before
    assert not any(one.scored or one.outcomes for one in taken)


def test_a_state_is_of_one_tenant_and_whole(events: list[StoredEvent]) -> None:
    model = fresh()
    fed(model, events[:200])
    kept = model.state()

    with pytest.raises(ForeignStateError, match="another tenant"):
        a_host().open(TENANT, bytes(16), kept, {})
    with pytest.raises(ForeignStateError, match="damaged"):
        fresh(kept[:-1] + bytes([kept[-1] ^ 1]))
    with pytest.raises(ForeignStateError, match="another format"):
        fresh(b"something else")


def test_a_state_that_speaks_of_a_version_that_is_gone_is_refused(events: list[StoredEvent]) -> None:
    content = an_artifact("other", 2).to_bytes()
    model = fresh()
    model.try_out("other-1", content)
    fed(model, events[:300])

    with pytest.raises(ForeignStateError, match="other-1"):
        fresh(model.state())
    again = fresh(model.state(), {"other-1": content})
    assert again.state() == model.state()
    assert again.trial == "other-1"


# ------------------------------------------------------------------------------------------ saying


def test_shows_rates_until_it_has_outcomes_enough(events: list[StoredEvent]) -> None:
    model = fresh()
    seen = 0
    for taken in fed(model, events, (20,)):
        for scored in taken.scored:
            seen += 1
            if scored.prediction.abstained:
                assert scored.prediction.time_to_resolve is None
        if taken.scored and taken.label_count >= LABELS_MIN + 20:
            assert not any(scored.prediction.abstained for scored in taken.scored)
        elif taken.label_count < LABELS_MIN - 20:
            assert all(scored.prediction.abstained for scored in taken.scored)
    assert seen > 300
    assert model.label_count == 700


def test_nothing_is_said_of_what_is_over_by_then(events: list[StoredEvent]) -> None:
    (taken,) = fed(fresh(), events, (len(events),))

    assert taken.scored == ()
    assert len({outcome.alert_id for outcome in taken.outcomes}) == 700


def test_what_follows_a_rule_is_found_out() -> None:
    model = fresh()
    fed(model, list(made_log(World(seed=3), 2_500)), (500,))

    (figures,) = model.figures()

    told = {metric.name: metric for metric in figures.metrics}
    assert told["auroc"].value > 0.7
    assert told["ece"].value < 0.1
    assert all(metric.definition for metric in figures.metrics)
    assert sum(each.count for each in figures.calibration) == 2_000


def test_ranges_of_time_are_in_order_and_hold_most() -> None:
    model = fresh()
    log = list(made_log(World(seed=3), 800))
    # One by one: what ends within a batch is not said, and would be missing among the short ones.
    said = said_of(fed(model, log, (1,)))
    lasted = {
        stored.event.alert_id: timedelta(milliseconds=stored.event.elapsed_ms or 0)
        for stored in log
        if stored.event.kind is EventKind.RESOLVED
    }

    ranges = [(p.time_to_resolve, lasted[a]) for a, p in list(said.items())[300:] if p.time_to_resolve]

    assert len(ranges) > 200
    assert all(timedelta(0) <= r.low <= r.median <= r.high for r, _ in ranges)
    assert 0.7 < np.mean([r.low <= lasted <= r.high for r, lasted in ranges]) < 0.9


def test_reasons_are_in_words_and_add_no_name(events: list[StoredEvent]) -> None:
    model = LiveHost(read_artifact(BUNDLED)).open(TENANT, SALT, None, {})
    scored = [one for taken in fed(model, events, (10,)) for one in taken.scored][-1]

    reasons = model.explain(scored.features, model.version)

    assert 0 < len(reasons) <= 20
    assert [abs(r.contribution) for r in reasons] == sorted((abs(r.contribution) for r in reasons), reverse=True)
    assert all("service-" not in reason.text for reason in reasons)
    assert model.explain(scored.features, "gone") == ()
    assert model.explain(b"something else", model.version) == ()


def test_rates_are_explained_by_the_groups_they_come_from(events: list[StoredEvent]) -> None:
    model = fresh()
    scored = [one for taken in fed(model, events, (10,)) for one in taken.scored][-1]

    reasons = model.explain(scored.features, model.version, abstained=True)

    assert {reason.feature for reason in reasons} <= {
        "share_that_needed_a_person_of_the_same_tenant",
        "share_that_needed_a_person_of_the_same_kind",
        "share_that_needed_a_person_of_the_same_service_and_kind",
    }
    (rate,) = live.rates(live.unpacked(scored.features).numbers[None])
    assert sum(r.contribution for r in reasons) == pytest.approx(float(np.log(rate[0] / (1 - rate[0]))), abs=0.1)


# ---------------------------------------------------------------------------------------- outcomes


def first_alert(events: list[StoredEvent], kind: EventKind) -> AlertId:
    found = next(stored.event.alert_id for stored in events if stored.event.kind is kind)
    assert found is not None
    return found


def only(events: list[StoredEvent], alert_id: AlertId, but: tuple[EventKind, ...] = ()) -> list[StoredEvent]:
    kept = [e for e in events if e.event.alert_id == alert_id and e.event.kind not in but]
    return [replace(stored, number=number) for number, stored in enumerate(kept, 1)]


def judged(stored: StoredEvent, verdict: AlertVerdict | None, after: timedelta) -> StoredEvent:
    change = FieldChange("verdict", None, verdict.name if verdict is not None else None)
    event = Event(
        EventKind.FEEDBACK_GIVEN, PERSON, stored.recorded_at, alert_id=stored.event.alert_id, changes=(change,)
    )
    return replace(stored, number=stored.number + 1, recorded_at=stored.recorded_at + after, event=event)


def test_one_that_climbed_past_the_first_level_needed_a_person(events: list[StoredEvent]) -> None:
    own = only(events, first_alert(events, EventKind.ESCALATED), (EventKind.FEEDBACK_GIVEN,))

    (outcome,) = (outcome for taken in fed(fresh(), own, (1,)) for outcome in taken.outcomes)

    assert outcome.needed_person
    assert not outcome.self_resolved
    assert outcome.acknowledged_after is not None
    assert outcome.resolved_after is not None


def test_the_first_level_alone_is_no_need(events: list[StoredEvent]) -> None:
    own = only(
        events, first_alert(events, EventKind.ESCALATED), (EventKind.FEEDBACK_GIVEN, EventKind.SLA_BREACHED)
    )
    mild = [
        replace(stored, event=replace(stored.event, detail={"level": 1}))
        if stored.event.kind is EventKind.ESCALATED
        else replace(stored, event=replace(stored.event, sla_met=True))
        if stored.event.kind is EventKind.RESOLVED
        else stored
        for stored in own
    ]

    (outcome,) = (outcome for taken in fed(fresh(), mild) for outcome in taken.outcomes)

    assert not outcome.needed_person


@pytest.mark.parametrize(("verdict", "needed"), [(AlertVerdict.NOISE, False), (AlertVerdict.ACTIONABLE, True)])
def test_a_judgement_weighs_more_also_after_the_end(
    events: list[StoredEvent], verdict: AlertVerdict, needed: bool
) -> None:
    climbed = only(events, first_alert(events, EventKind.ESCALATED), (EventKind.FEEDBACK_GIVEN,))
    quiet_id = next(
        e.event.alert_id for e in events if e.event.kind is EventKind.RESOLVED and e.event.self_resolved
    )
    assert quiet_id is not None
    quiet = only(events, quiet_id, (EventKind.FEEDBACK_GIVEN,))
    own = climbed if verdict is AlertVerdict.NOISE else quiet
    own = [*own, judged(own[-1], verdict, timedelta(hours=1))]

    outcomes = [outcome for taken in fed(fresh(), own) for outcome in taken.outcomes]

    assert [outcome.needed_person for outcome in outcomes] == [not needed, needed]


def test_a_judgement_long_after_the_end_changes_nothing(events: list[StoredEvent]) -> None:
    own = only(events, first_alert(events, EventKind.ESCALATED), (EventKind.FEEDBACK_GIVEN,))
    own.append(judged(own[-1], AlertVerdict.NOISE, timedelta(days=8)))

    outcomes = [outcome for taken in fed(fresh(), own) for outcome in taken.outcomes]

    assert len(outcomes) == 1


def test_what_is_open_for_a_week_is_counted_as_it_stands(events: list[StoredEvent]) -> None:
    alert_id = first_alert(events, EventKind.ESCALATED)
    own = only(events, alert_id, (EventKind.RESOLVED, EventKind.FEEDBACK_GIVEN))
    later = next(e for e in events if e.event.alert_id != alert_id)
    own.append(replace(later, number=99, recorded_at=own[0].recorded_at + timedelta(days=7, seconds=1)))

    (outcome,) = (outcome for taken in fed(fresh(), own) for outcome in taken.outcomes)

    assert outcome.alert_id == alert_id
    assert outcome.resolved_after is None
    assert not outcome.self_resolved


# ---------------------------------------------------------------------------------------- versions


def told(kind: EventKind, after: StoredEvent, **detail: str) -> StoredEvent:
    event = Event(kind, Actor(ActorKind.MODEL, "prediction model"), after.recorded_at, detail=detail)
    return replace(after, number=after.number + 1, event=event)


def renumbered(events: list[StoredEvent], first: int) -> list[StoredEvent]:
    return [replace(stored, number=number) for number, stored in enumerate(events, first)]


def test_what_is_tried_is_said_beside_and_never_shown(events: list[StoredEvent]) -> None:
    alone, tried = fresh(), fresh()
    tried.try_out("other-1", an_artifact("other", 2).to_bytes())

    shown, beside = fed(alone, events, (10,)), fed(tried, events, (10,))

    assert said_of(shown) == said_of(beside)
    shadows = [scored.shadow for taken in beside for scored in taken.scored]
    assert shadows
    assert all(shadow is not None and shadow.model_version == "other-1" for shadow in shadows)


def test_a_promotion_in_the_log_takes_effect_there(events: list[StoredEvent]) -> None:
    model = fresh()
    model.try_out("other-1", an_artifact("other", 2).to_bytes())
    fed(model, events[:600])
    promoted = told(EventKind.MODEL_PROMOTED, events[599], version="other-1")

    taken = fed(model, [promoted, *renumbered(events[600:], promoted.number + 1)], (10,))

    assert model.version == "other-1"
    assert model.trial is None
    assert model.watches
    assert {p.model_version for p in said_of(taken).values()} == {"other-1"}


def test_a_rollback_in_the_log_takes_the_one_before_back(events: list[StoredEvent]) -> None:
    model = fresh()
    model.try_out("other-1", an_artifact("other", 2).to_bytes())
    fed(model, events[:600])
    promoted = told(EventKind.MODEL_PROMOTED, events[599], version="other-1")
    back = told(EventKind.MODEL_ROLLED_BACK, promoted, version="torch_v1")

    fed(model, [promoted, back])

    assert model.version == "torch_v1"
    assert not model.watches


def test_a_version_that_says_what_is_no_number_is_taken_out(
    events: list[StoredEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fresh()
    model.try_out("broken-1", an_artifact("broken", 2).to_bytes())
    fed(model, events[:600])
    promoted = told(EventKind.MODEL_PROMOTED, events[599], version="broken-1")
    fed(model, [promoted])
    heard = Voice.heard

    def spoilt(self: Voice, numbers: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        said = heard(self, numbers, tokens)
        if self.version == "broken-1":
            said[:] = np.nan
        return said

    monkeypatch.setattr(Voice, "heard", spoilt)
    taken = fed(model, renumbered(events[600:700], promoted.number + 1))

    steps = {(step.step, step.version) for one in taken for step in one.steps}
    assert steps == {(Step.ROLL_BACK, "broken-1")}
    # Nobody is told what is no number: rates stand in until it is rolled back.
    assert all(np.isfinite(p.incident_probability) and p.abstained for p in said_of(taken).values())


def test_a_version_of_other_features_is_refused() -> None:
    with pytest.raises(ForeignStateError):
        fresh().try_out("x", b"no model at all")


# ---------------------------------------------------------------------------------------- features


def test_features_come_back_as_they_were(events: list[StoredEvent]) -> None:
    scored = [one for taken in fed(fresh(), events[:100], (10,)) for one in taken.scored][-1]

    row = live.unpacked(scored.features)

    assert live.packed(FeatureRows(row.numbers[None], row.tokens[None])) == [scored.features]
    assert len(scored.features) < 700


def test_features_of_an_earlier_release_are_read(events: list[StoredEvent]) -> None:
    scored = [one for taken in fed(fresh(), events[:100], (10,)) for one in taken.scored][-1]
    row = live.unpacked(scored.features)
    plain = row.numbers.astype("<f4").tobytes() + row.tokens.astype("<i4").tobytes()

    earlier = live.unpacked(live.DEFLATED_MAGIC + zlib.compress(plain, 1))

    assert earlier.numbers.tobytes() == row.numbers.tobytes()
    assert earlier.tokens.tobytes() == row.tokens.tobytes()


@pytest.mark.parametrize(
    "spoilt",
    [
        b"",
        b"LF1",
        live.DEFLATED_MAGIC + b"junk",
        live.FEATURES_MAGIC + b"junk",
        live.FEATURES_MAGIC + b"\xff" * 300,
        b"x" * 300,
    ],
)
def test_features_that_are_none_are_refused(spoilt: bytes) -> None:
    with pytest.raises(StateMismatchError):
        live.unpacked(spoilt)


def test_no_name_is_in_what_is_kept(events: list[StoredEvent]) -> None:
    world = World(token="canary-7f3a")
    model = fresh()
    taken = fed(model, list(made_log(world, 200)), (10,))

    assert b"canary" not in model.state()
    assert all(b"canary" not in scored.features for one in taken for scored in one.scored)
