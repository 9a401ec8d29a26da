"""What features are follows from what happened, in order: neither batches nor kills change a bit of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

np = pytest.importorskip("numpy", reason="the extra ml is not installed")

from alertgraph.ml.features import (  # noqa: E402
    Ended,
    FeatureRows,
    FeatureState,
    Observation,
    Told,
    TurnedOut,
)
from tests.unit.ml.small import SALT, SCHEMA, seen  # noqa: E402

# So few keys that they are forgotten within a batch, and come again.
FORGETFUL = replace(SCHEMA, key_count_max=3)
NAMES = FORGETFUL.number_names()


@st.composite
def happenings(draw: st.DrawFn) -> list[Told]:
    """Return what happens to a tenant: alerts, ends and outcomes, many of them at one moment."""
    told: list[Told] = []
    alerts: list[Observation] = []
    at = 0.0
    for _ in range(draw(st.integers(1, 60))):
        at += draw(st.sampled_from((0.0, 0.0, 1.0, 37.5, 900.0, 86_400.0)))
        what = draw(st.integers(0, 4)) if alerts else 0
        if what <= 2:
            service, kind = draw(st.integers(0, 5)), draw(st.integers(0, 3))
            text = draw(st.sampled_from(((), ("disk",), ("disk", "full", "again", "cut off"))))
            next_to = draw(st.sampled_from(((), ("service-0",), ("service-1", "service-2"))))
            alerts.append(seen(at, f"service-{service}", f"kind-{kind}", text=text, neighbours=next_to))
            told.append(alerts[-1])
        elif what == 3:
            told.append(Ended(draw(st.sampled_from(alerts)), at))
        else:
            values = {"late": float(draw(st.booleans())), "breach": draw(st.floats(0.0, 1.0))}
            values.pop(draw(st.sampled_from(("late", "breach", "neither"))), None)
            told.append(TurnedOut(draw(st.sampled_from(alerts)), values, at))
    return told


def taken(told: Sequence[Told], sizes: Sequence[int], *, killed: bool = False) -> tuple[FeatureRows, bytes]:
    """Return features and state after a log that came in batches of these sizes, over and over."""
    state = FeatureState(FORGETFUL, SALT)
    parts, start, turn = [], 0, 0
    while start < len(told):
        parts.append(state.take(told[start : start + sizes[turn % len(sizes)]]))
        start, turn = start + sizes[turn % len(sizes)], turn + 1
        if killed:
            state = FeatureState.from_bytes(FORGETFUL, state.to_bytes())
    rows = FeatureRows(
        np.concatenate([part.numbers for part in parts]), np.concatenate([part.tokens for part in parts])
    )
    return rows, state.to_bytes()


@settings(max_examples=120, deadline=None)
@given(happenings(), st.lists(st.integers(1, 40), min_size=1, max_size=4))
def test_however_a_log_is_cut_features_and_state_are_the_same_bit_by_bit(
    told: list[Told], sizes: list[int]
) -> None:
    one_by_one, state = taken(told, (1,))

    for rows, other in (taken(told, sizes), taken(told, (len(told),)), taken(told, sizes, killed=True)):
        assert rows.numbers.tobytes() == one_by_one.numbers.tobytes()
        assert rows.tokens.tobytes() == one_by_one.tokens.tobytes()
        assert other == state


@settings(max_examples=60, deadline=None)
@given(happenings())
def test_what_is_asked_of_an_alert_is_what_it_is_taken_with(told: list[Told]) -> None:
    state = FeatureState(FORGETFUL, SALT)
    for one in told:
        if isinstance(one, Observation):
            before = state.to_bytes()
            asked = state.ask([one, one])
            assert state.to_bytes() == before
            found = state.take([one])
            assert asked.numbers.tobytes() == found.numbers.tobytes() * 2
            assert asked.tokens.tobytes() == found.tokens.tobytes() * 2
        else:
            state.take([one])


@dataclass
class Plain:
    """What is known of a key, kept the plain way: every alert and every outcome by itself."""

    came: list[float] = field(default_factory=list)
    open_count: int = 0
    known: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def numbers(self, at: float, prior: dict[str, float], strength: float) -> dict[str, float]:
        counts = [sum(0.5 ** ((at - came) / half) for came in self.came) for half in SCHEMA.half_lives]
        since = at - self.came[-1] if self.came else math.inf
        told = {
            "alerts, fading by half in 5 min": math.log1p(counts[0]),
            "alerts, fading by half in 1 h": math.log1p(counts[1]),
            "time since the last alert": math.log1p(min(since, 90 * 86_400.0)),
            "open alerts": math.log1p(self.open_count),
        }
        weights = []
        for outcome in SCHEMA.outcomes:
            known = self.known.get(outcome, [])
            faded = [(0.5 ** ((at - then) / SCHEMA.outcome_half_life), value) for then, value in known]
            weights.append(sum(weight for weight, _ in faded))
            total = sum(weight * value for weight, value in faded)
            told[outcome] = (total + strength * prior.get(outcome, 0.0)) / (weights[-1] + strength)
        told["known outcomes"] = math.log1p(max(weights))
        return told


@settings(max_examples=60, deadline=None)
@given(happenings())
def test_features_are_what_a_plain_account_comes_to(told: list[Told]) -> None:
    # Nothing is forgotten here.
    rows = FeatureState(SCHEMA, SALT).take(told).numbers
    tenant, place = Plain(), 0
    services: dict[str, Plain] = {}
    for one in told:
        alert = one if isinstance(one, Observation) else one.seen
        assert isinstance(alert, Observation)
        service = services.setdefault(alert.service, Plain())
        if isinstance(one, Observation):
            wide = tenant.numbers(one.at, {}, 1.0)
            for about, numbers in (
                ("tenant", wide),
                ("service", service.numbers(one.at, wide, SCHEMA.outcome_strength)),
            ):
                for name, value in numbers.items():
                    head, comma, tail = name.partition(",")
                    found = rows[place, NAMES.index(f"{head} of the same {about}{comma}{tail}")]
                    assert found == pytest.approx(value, rel=1e-6, abs=1e-6), (name, about)
            place += 1
        for each in (tenant, service):
            if isinstance(one, Observation):
                each.came.append(one.at)
                each.open_count += 1
            elif isinstance(one, Ended):
                each.open_count = max(each.open_count - 1, 0)
            elif isinstance(one, TurnedOut):
                for outcome, value in one.outcomes.items():
                    each.known.setdefault(outcome, []).append((one.at, value))
