from __future__ import annotations

import math
from dataclasses import replace

import pytest

np = pytest.importorskip("numpy", reason="the extra ml is not installed")

from alertgraph.ml.features import (  # noqa: E402
    FeatureSchema,
    FeatureState,
    Observation,
    PeekingError,
    StateMismatchError,
    trigrams,
    words,
)
from tests.unit.ml.small import OTHER_SALT, SALT, SCHEMA, seen, stream  # noqa: E402

NAMES = SCHEMA.number_names()


def number(state: FeatureState, about: Observation, name: str) -> float:
    return float(state.features(about).numbers[NAMES.index(name)])


def lived(alerts: list[Observation], salt: bytes = SALT) -> FeatureState:
    """Return a state that has seen alerts, the end of every third one and outcomes of every second."""
    state = FeatureState(SCHEMA, salt)
    for place, alert in enumerate(alerts):
        state.observe(alert)
        if place % 3 == 2:
            state.close(alerts[place - 1], alert.at)
        if place % 2:
            state.settle(alerts[place - 1], "late", float(place % 4 == 1), alert.at)
    return state


def test_every_feature_has_a_name_of_its_own() -> None:
    row = FeatureState(SCHEMA, SALT).features(seen())

    assert len(row.numbers) == len(NAMES) == len(set(NAMES))
    assert len(row.tokens) == len(SCHEMA.token_names())


@pytest.mark.parametrize(
    "name",
    [
        "closed_at",
        "closed_code",
        "resolved_by",
        "resolved_at",
        "ended",
        "end_timestamp",
        "made_sla",
        "event_label",
    ],
)
@pytest.mark.parametrize("as_a", ["fields", "groups", "numbers", "crosses"])
def test_what_is_known_only_at_the_end_cannot_be_a_feature(name: str, as_a: str) -> None:
    peeking: dict[str, object] = {
        "fields": (name,),
        "groups": ((), (name,)),
        "numbers": (name,),
        "crosses": (("service", name),),
    }

    with pytest.raises(PeekingError, match=name):
        FeatureSchema(**{as_a: peeking[as_a]})  # type: ignore[arg-type]


def test_features_do_not_look_at_what_else_an_alert_carries() -> None:
    plain = seen(at=10.0)
    telling = replace(plain, fields={**plain.fields, "closed_code": "7", "resolved_at": "11"})
    state = lived(stream(20))
    later = replace(plain, at=state.at), replace(telling, at=state.at)

    first, second = (state.features(about) for about in later)

    assert np.array_equal(first.numbers, second.numbers)
    assert np.array_equal(first.tokens, second.tokens)


def test_an_outcome_moves_no_feature_of_an_earlier_alert() -> None:
    state = FeatureState(SCHEMA, SALT)
    state.observe(seen(at=0.0))
    state.settle(seen(at=0.0), "late", 1.0, at=100.0)

    with pytest.raises(PeekingError):
        state.features(seen(at=99.0))


def test_an_outcome_is_not_known_before_its_alert() -> None:
    state = FeatureState(SCHEMA, SALT)
    state.observe(seen(at=10.0))

    with pytest.raises(PeekingError):
        state.settle(seen(at=10.0), "late", 1.0, at=9.0)


def test_time_does_not_run_backwards() -> None:
    state = FeatureState(SCHEMA, SALT)
    state.observe(seen(at=10.0))

    with pytest.raises(PeekingError):
        state.observe(seen(at=9.0))
    with pytest.raises(PeekingError):
        state.close(seen(at=5.0), at=9.0)


def test_asking_changes_nothing() -> None:
    state = lived(stream(30))
    before = state.to_bytes()

    state.features(seen(at=state.at + 5, service="new", kind="newer", text=("a", "b")))

    # A kind that was only asked about takes no place.
    assert FeatureState.from_bytes(SCHEMA, before).to_bytes() == state.to_bytes()


def test_counters_fade_by_half_in_a_half_life() -> None:
    state = FeatureState(SCHEMA, SALT)
    for _ in range(4):
        state.observe(seen(at=0.0))

    name = "alerts of the same service, fading by half in 5 min"

    assert number(state, seen(at=0.0), name) == pytest.approx(math.log1p(4))
    assert number(state, seen(at=600.0), name) == pytest.approx(math.log1p(1))


def test_open_alerts_are_counted_until_they_end() -> None:
    state = FeatureState(SCHEMA, SALT)
    first, second = seen(at=0.0), seen(at=1.0)
    state.observe(first)
    state.observe(second)
    state.close(first, at=2.0)

    assert number(state, seen(at=3.0), "open alerts of the same service") == pytest.approx(math.log1p(1))


def test_rates_lean_on_the_wider_group_until_they_have_outcomes_of_their_own() -> None:
    state = FeatureState(SCHEMA, SALT)
    for at in range(40):
        common = seen(at=float(at), service="common")
        state.observe(common)
        state.settle(common, "late", 1.0, at=float(at))
    rare = seen(at=50.0, service="rare")

    before = number(state, rare, "late of the same service")
    state.observe(rare)
    state.settle(rare, "late", 0.0, at=51.0)
    after = number(state, seen(at=52.0, service="rare"), "late of the same service")

    assert before == pytest.approx(number(state, seen(at=52.0), "late of the same tenant"), abs=0.06)
    assert 0.8 < after < before


def test_what_comes_back_soon_is_flapping() -> None:
    state = FeatureState(SCHEMA, SALT)
    for at in (0.0, 100.0, 200.0):
        state.observe(seen(at=at))
        state.close(seen(at=at), at=at + 50)

    assert number(state, seen(at=250.0), "flaps of the same service and kind") > 1.8
    assert number(state, seen(at=250.0, kind="other"), "flaps of the same service and kind") == 0.0


def test_kinds_of_the_neighbours_are_seen() -> None:
    state = FeatureState(SCHEMA, SALT)
    state.observe(seen(at=0.0, service="database", kind="full"))

    alone = number(state, seen(at=60.0), "kinds active next to it within 15 min")
    beside = number(state, seen(at=60.0, neighbours=("database",)), "kinds active next to it within 15 min")

    assert alone == 0.0
    assert beside == pytest.approx(math.log1p(1))


def test_a_tenants_names_hash_apart_and_what_all_share_together() -> None:
    ours = FeatureState(SCHEMA, SALT).features(seen()).tokens
    theirs = FeatureState(SCHEMA, OTHER_SALT).features(seen()).tokens
    severity = SCHEMA.token_names().index("severity")

    assert ours[severity] == theirs[severity]
    private = (ours != 0) & (np.arange(len(ours)) != severity)
    assert (ours != theirs)[private].all()


def test_one_tenants_alerts_change_not_a_bit_of_anothers() -> None:
    ours, theirs = stream(60, seed=1), stream(60, seed=2)
    canary = [
        replace(alert, service="canary-7c1", fields={"severity": "high", "team": "canary"}) for alert in theirs
    ]
    alone = [FeatureState(SCHEMA, SALT), FeatureState(SCHEMA, OTHER_SALT)]
    beside = [FeatureState(SCHEMA, SALT), FeatureState(SCHEMA, OTHER_SALT)]

    for mine, plain, planted in zip(ours, theirs, canary, strict=True):
        alone[0].observe(mine)
        beside[1].observe(planted)
        beside[0].observe(mine)
        alone[1].observe(plain)

    assert alone[0].to_bytes() == beside[0].to_bytes()
    assert alone[1].to_bytes() != beside[1].to_bytes()


def test_a_state_keeps_no_names() -> None:
    state = lived([seen(at=1.0, service="payroll-db-17", kind="disk-full", text=("payroll",))] * 3)

    kept = state.to_bytes()

    assert b"payroll" not in kept
    assert b"disk" not in kept


def test_a_state_read_back_goes_on_as_if_nothing_had_happened() -> None:
    alerts = stream(200)
    uninterrupted, stopped = lived(alerts[:120]), lived(alerts[:120])

    resumed = FeatureState.from_bytes(SCHEMA, stopped.to_bytes())
    for alert in alerts[120:]:
        one, other = uninterrupted.features(alert), resumed.features(alert)
        assert one.numbers.tobytes() == other.numbers.tobytes()
        assert one.tokens.tobytes() == other.tokens.tobytes()
        uninterrupted.observe(alert)
        resumed.observe(alert)

    assert resumed.to_bytes() == uninterrupted.to_bytes()


def test_memory_is_bounded() -> None:
    state = FeatureState(SCHEMA, SALT)
    for place in range(500):
        state.observe(seen(at=float(place), service=f"service-{place}", kind=f"kind-{place}"))
    size = len(state.to_bytes())
    for place in range(500, 1500):
        state.observe(seen(at=float(place), service=f"service-{place}", kind=f"kind-{place}"))

    assert len(state.to_bytes()) == size
    assert size < 64 * 1024


def test_what_was_not_seen_for_longest_is_forgotten_first() -> None:
    state = FeatureState(replace(SCHEMA, key_count_max=2), SALT)
    for at, service in enumerate(("a", "b", "a", "c")):
        state.observe(seen(at=float(at), service=service))

    name = "time since the last alert of the same service"
    long_ago = number(FeatureState(SCHEMA, SALT), seen(), name)

    assert number(state, seen(at=4.0, service="b"), name) == long_ago
    assert number(state, seen(at=4.0, service="a"), name) < long_ago


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda kept: b"x" + kept[1:], "no state of features"),
        (lambda kept: kept[:-1], "damaged"),
        (lambda kept: kept[:200] + bytes([kept[200] ^ 1]) + kept[201:], "damaged"),
    ],
)
def test_bytes_that_are_no_state_are_refused(spoil: object, says: str) -> None:
    kept = lived(stream(20)).to_bytes()

    with pytest.raises(StateMismatchError, match=says):
        FeatureState.from_bytes(SCHEMA, spoil(kept))  # type: ignore[operator]


def test_a_state_of_another_schema_is_refused() -> None:
    kept = lived(stream(20)).to_bytes()

    with pytest.raises(StateMismatchError, match="another schema"):
        FeatureState.from_bytes(replace(SCHEMA, half_lives=(60.0, 3_600.0)), kept)


def test_numbers_and_ids_of_a_text_are_masked() -> None:
    text = "Disk /dev/sda1 at 97% on 3f2b8a9c1d, id 6ba7b810-9dad-11d1-80b4-00c04fd430c8"

    assert words(text) == ["disk", "dev", "sda0", "at", "0", "on", "0", "id", "0"]
    assert words(text) == words(text.replace("97", "12").replace("3f2b8a9c1d", "0a1b2c3d4e"))


def test_trigrams_know_where_a_word_ends() -> None:
    assert trigrams("to 5") == ["^to", "to$", "^0$"]
