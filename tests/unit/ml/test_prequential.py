from __future__ import annotations

import math
from dataclasses import replace

import pytest

np = pytest.importorskip("numpy", reason="the extra ml is not installed")
pytest.importorskip("torch", reason="the extra ml is not installed")
pytest.importorskip("sklearn", reason="the extra ml is not installed")

from alertgraph.ml.calibration import expit  # noqa: E402
from alertgraph.ml.companions import TreeFitting  # noqa: E402
from alertgraph.ml.evaluation.measures import auroc  # noqa: E402
from alertgraph.ml.model import Fitting  # noqa: E402
from alertgraph.ml.train.members import Recipe  # noqa: E402
from alertgraph.ml.train.prequential import (  # noqa: E402
    Case,
    Maturing,
    MaturityQueue,
    Plan,
    Prequential,
    Replayed,
    Stream,
    SurvivalCurve,
    replay,
    widening,
)
from alertgraph.ml.train.provisional import CumulativeChance, provisional_answers  # noqa: E402
from tests.unit.ml.small import SALT, SCHEMA, seen, stream  # noqa: E402

DAY = 86_400.0
PLAN = Plan(
    Recipe(
        questions=("late",),
        bucket_count=SCHEMA.bucket_count,
        word_count=SCHEMA.token_count,
        time_edges=(1.0, 6.0, 24.0, 72.0),
        hidden_size=16,
        head_count=2,
        network=Fitting(epochs=2),
        trees=TreeFitting(tree_count=10),
    ),
    horizons={"late": 24.0},
)


def test_what_matures_first_comes_first() -> None:
    queue = MaturityQueue()
    first = Case(seen(at=0.0), 50.0, (Maturing("late", 1.0, 30.0), Maturing("breach", 0.0, 90.0)))
    second = Case(seen(at=1.0), None, (Maturing("late", 0.0, 30.0),))
    queue.put(first)
    queue.put(second)

    early = [(at, case is first, maturing and maturing.outcome) for at, case, maturing in queue.due(50.0)]

    assert early == [(30.0, True, "late"), (30.0, False, "late"), (50.0, True, None)]
    assert len(queue) == 1


def test_nothing_matures_before_its_alert() -> None:
    queue = MaturityQueue()
    queue.put(Case(seen(at=10.0), None, (Maturing("late", 1.0, 3.0),)))

    assert list(queue.due(9.0)) == []
    assert [at for at, _, _ in queue.due(10.0)] == [10.0]


def cases(outcome_at: float) -> list[Case]:
    return [
        Case(alert, alert.at + 100.0, (Maturing("late", float(place % 2), alert.at + outcome_at),))
        for place, alert in enumerate(stream(120))
    ]


def test_the_future_of_the_stream_changes_no_feature() -> None:
    told = cases(500.0)
    turned = [
        replace(case, ended_at=None, outcomes=(replace(case.outcomes[0], value=1 - case.outcomes[0].value),))
        if case.outcomes[0].at > told[60].seen.at
        else case
        for case in told
    ]
    # What had ended by then stays as it was, too.
    turned = [
        replace(other, ended_at=case.ended_at if case.ended_at <= told[60].seen.at else None)
        for case, other in zip(told, turned, strict=True)
    ]

    one, _ = replay(told, SCHEMA, SALT)
    other, _ = replay(turned, SCHEMA, SALT)

    assert (one[:61] == other[:61]).all()
    assert (one[61:] != other[61:]).any()


def test_a_frozen_state_learns_no_outcome() -> None:
    names = [place for place, name in enumerate(SCHEMA.number_names()) if name.startswith("late of")]

    lively, _ = replay(cases(500.0), SCHEMA, SALT)
    frozen, _ = replay(cases(500.0), SCHEMA, SALT, learns_until=0.0)

    assert (frozen[:, names] == 0.0).all()
    assert (lively[:, names] != 0.0).any()


def life(days: int, turn: int, seed: int = 1) -> Stream:
    """Return a stream whose rule turns around on a day; an outcome is known a day after its alert."""
    draw = np.random.default_rng(seed)
    count = days * 60
    at = np.sort(draw.uniform(0, days * DAY, count))
    numbers = np.zeros((count, len(SCHEMA.number_names())), dtype=np.float32)
    numbers[:, 0] = draw.normal(size=count)
    sign = np.where(at < turn * DAY, 1.0, -1.0)
    late = (draw.random(count) < expit(4 * sign * numbers[:, 0])).astype(float)
    tokens = np.ones((count, len(SCHEMA.token_names())), dtype=np.int32)
    hours = np.where(late > 0, 40.0, 3.0)
    ended_at = at + hours * 3_600
    known_at = np.minimum(ended_at, at + DAY)
    return Stream(at, at, numbers, tokens, late[:, None], known_at[:, None], ended_at)


@pytest.fixture(scope="module")
def turned() -> tuple[Stream, Replayed]:
    alerts = life(24, turn=12)
    return alerts, Prequential(alerts, PLAN).run(0.0, 5 * DAY, 24 * DAY)


def test_it_recovers_after_the_world_has_turned(turned: tuple[Stream, Replayed]) -> None:
    alerts, said = turned
    weeks = {
        name: (alerts.at >= low * DAY) & (alerts.at < high * DAY)
        for name, low, high in (
            ("before", 7, 12),
            ("at once", 12, 13),
            ("later", 20, 24),
        )
    }
    found = {name: auroc(alerts.answers[rows, 0], said.blended[rows, 0]) for name, rows in weeks.items()}

    assert found["before"] > 0.9
    assert found["at once"] < 0.3
    assert found["later"] > 0.7


def test_only_what_was_asked_is_answered(turned: tuple[Stream, Replayed]) -> None:
    alerts, said = turned

    assert np.isnan(said.blended[alerts.at < 5 * DAY]).all()
    assert not np.isnan(said.blended[alerts.at >= 5 * DAY]).any()
    assert (said.hours[alerts.at >= 5 * DAY, 0] <= said.hours[alerts.at >= 5 * DAY, 2]).all()


def test_no_answer_knows_an_outcome_of_later(turned: tuple[Stream, Replayed]) -> None:
    alerts, said = turned
    cut = 15 * DAY
    # Everything that becomes known after the cut turns out otherwise.
    unknown = alerts.known_at > cut
    other = replace(
        alerts,
        answers=np.where(unknown, 1 - alerts.answers, alerts.answers),
        ended_at=np.where(alerts.ended_at > cut, math.inf, alerts.ended_at),
    )

    again = Prequential(other, PLAN).run(0.0, 5 * DAY, cut + DAY)

    earlier = (alerts.at >= 5 * DAY) & (alerts.at < cut + DAY)
    assert np.array_equal(again.blended[earlier], said.blended[earlier])
    assert np.array_equal(again.commits[earlier], said.commits[earlier])
    assert np.array_equal(again.hours[earlier], said.hours[earlier])


def believed(**changed: object) -> object:
    """Return provisional answers of four rows: known late, known fine, ended and waiting, open and waiting."""
    given = {
        "answers": np.array([1.0, 0.0, 0.0, 0.0]),
        "known": np.array([True, True, False, False]),
        "delays": np.array([300.0, 30.0, 0.0, 0.0]),
        "hours": np.array([200.0, 2.0, 2.5, 100.0]),
        "ended": np.array([True, True, True, False]),
        "ages": np.array([400.0, 400.0, 20.0, 100.0]),
        "weights": np.full(4, 100.0),
        "edges": np.array([1.0, 10.0, 100.0]),
    }
    return provisional_answers(**{**given, **changed})  # type: ignore[arg-type]


def test_what_is_known_is_taken_as_it_is() -> None:
    assert believed()[:2].tolist() == [1.0, 0.0]


def test_what_ended_as_quickly_as_others_is_believed_to_end_like_them() -> None:
    assert believed()[2] < 0.05


def test_what_is_open_as_long_as_only_the_late_ones_were_is_believed_to_be_late() -> None:
    assert believed()[3] > 0.95


def test_what_ended_before_its_outcome_was_known_tells_nothing_of_what_is_open_longer() -> None:
    # Known late both, but they had ended within two hours: one that is open after a hundred is not like them.
    early = believed(
        answers=np.array([1.0, 0.0, 0.0, 0.0]),
        delays=np.array([300.0, 300.0, 0.0, 0.0]),
        hours=np.array([200.0, 2.0, 2.5, 100.0]),
    )

    assert early[3] > 0.95


def test_what_nothing_has_lasted_as_long_as_is_as_likely_as_all() -> None:
    assert believed(ages=np.array([400.0, 400.0, 20.0, 350.0]))[3] == pytest.approx(0.5)


def test_what_waits_still_is_counted_among_those_that_waited() -> None:
    after = np.array([1.0, 2.0, 3.0, 3.0])
    came = np.array([True, False, True, True])
    chances = CumulativeChance(after, came, np.array([0.0, 0.0, 1.0, 0.0]), np.full(4, 1e6), 0.5)

    # Of four one came to nothing at first; of the two that waited longer than the third, half came to it.
    assert chances.later(np.array([0.0, 1.5, 9.0])) == pytest.approx([0.75 * 0.5, 0.5, 0.5], abs=1e-4)


def test_without_any_outcome_nothing_is_believed() -> None:
    assert np.isnan(believed(known=np.zeros(4, dtype=bool))).all()


def test_what_is_open_counts_for_what_lasted_as_long() -> None:
    hours = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 3.0])
    ended = np.array([True, True, True, True, True, False])
    curve = SurvivalCurve(hours, ended)

    assert curve.later(0.0, np.array([0.01, 0.99])).tolist() == [1.0, 16.0]
    # Of those open after three hours a third each came to 4, 8 and 16.
    assert curve.later(3.0, np.array([0.2, 0.5, 0.9])).tolist() == [4.0, 8.0, 16.0]
    # What has lasted longer than all of them has lasted so long at least.
    assert curve.later(50.0, np.array([0.5])).tolist() == [50.0]


def test_a_range_is_widened_until_it_holds_its_share() -> None:
    draw = np.random.default_rng(1)
    values = draw.normal(0.0, 1.0, 4_000)
    lows, highs = np.full(4_000, -0.5), np.full(4_000, 0.5)

    by = widening(lows, highs, np.arange(4_000), values, np.ones(4_000), 0.2)

    assert np.mean((values >= lows - by) & (values <= highs + by)) == pytest.approx(0.8, abs=0.01)
    assert widening(lows[:0], highs[:0], np.arange(0), values[:0], values[:0], 0.2) == 0.0
