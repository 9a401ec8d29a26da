"""What the tasks read from the public sets, and that none of it is of the future."""

from __future__ import annotations

import math

import pytest

np = pytest.importorskip("numpy", reason="the extra ml is not installed")
pytest.importorskip("torch", reason="the extra ml is not installed")
pytest.importorskip("sklearn", reason="the extra ml is not installed")

from alertgraph.ml.evaluation import alarm_forecast, incident_outcome, incident_text, noise  # noqa: E402
from alertgraph.ml.evaluation.registry import Options  # noqa: E402
from alertgraph.ml.evaluation.report import Interval  # noqa: E402
from alertgraph.ml.train.prequential import replay  # noqa: E402

HOUR = 3_600.0


def row(number: str, state: str, updated: str, **changed: str) -> dict[str, str]:
    """Return one row of the log of incidents; final fields tell of the end on every row, as they do there."""
    told = dict.fromkeys((*incident_outcome.FIELDS, "closed_code", "resolved_by"), "?")
    return {
        **told,
        "number": number,
        "incident_state": state,
        "sys_updated_at": updated,
        "opened_at": "2016-03-01T08:00",
        "made_sla": "true",
        "reassignment_count": "0",
        "resolved_at": "?",
        "closed_at": "?",
        "assignment_group": "7",
        "subcategory": "3",
        **changed,
    }


def log(*rows: dict[str, str]) -> dict[str, list[str]]:
    return {name: [each[name] for each in rows] for name in rows[0]}


def test_an_incident_is_read_as_it_ended() -> None:
    found = incident_outcome.read_incidents(
        log(
            row("1", "New", "2016-03-01T08:10", resolved_at="2016-03-02T20:00", closed_at="2016-03-07T20:00"),
            row("1", "Active", "2016-03-01T12:00", reassignment_count="1", resolved_at="2016-03-02T20:00"),
            row("1", "Resolved", "2016-03-02T20:00", reassignment_count="1", resolved_at="2016-03-02T20:00"),
            row("1", "Closed", "2016-03-07T20:00", made_sla="false", resolved_at="2016-03-02T20:00"),
        )
    )

    at, opened = found.at[0], found.opened_at[0]
    assert at - opened == 600.0
    assert found.answers[0].tolist() == [1.0, 1.0, 1.0]
    # Late is known when the day is over, the agreed time when it is closed, the other team when it is passed on.
    assert ((found.known_at[0] - opened) / HOUR).tolist() == [24.0, 6 * 24 + 12.0, 4.0]
    assert (found.resolved_at[0] - opened) / HOUR == 36.0


def test_what_is_open_when_the_log_ends_counts_as_late() -> None:
    found = incident_outcome.read_incidents(log(row("1", "New", "2016-03-01T08:10")))

    assert found.answers[0].tolist() == [1.0, 1.0, 0.0]
    assert found.known_at[0, 2] == math.inf
    assert found.resolved_at[0] == math.inf


def test_incidents_do_not_peek_at_fields_of_the_end() -> None:
    rows = [row(str(place), "New", f"2016-03-01T{8 + place:02}:10") for place in range(6)]
    telling = [
        {**each, "closed_code": str(place), "resolved_by": "9", "resolved_at": f"2016-03-0{place + 2}T10:00"}
        for place, each in enumerate(rows)
    ]

    # All of them come in before any of them ends.
    features = [
        replay(incident_outcome.read_incidents(log(*told)).cases, incident_outcome.SCHEMA, bytes(16))
        for told in (rows, telling)
    ]

    assert features[0][0].tobytes() == features[1][0].tobytes()
    assert features[0][1].tobytes() == features[1][1].tobytes()


def test_no_task_has_a_feature_of_the_end() -> None:
    # The schema refuses them by name; what the tasks use is what it was asked about.
    assert not {"closed_code", "resolved_by", "resolved_at", "closed_at", "made_sla"} & set(
        incident_outcome.FIELDS
    )
    for schema in (incident_outcome.SCHEMA, alarm_forecast.SCHEMA, noise.SCHEMA, incident_text.SCHEMA):
        assert len(schema.number_names()) == len(set(schema.number_names()))


def test_a_new_kind_is_one_not_seen_on_the_device_within_the_hour() -> None:
    at = np.array([0.0, 100.0, 200.0, 5_000.0, 5_100.0])

    follows = alarm_forecast.new_kind_follows(at, ["a", "b", "a", "a", "a"], ["x", "y", "x", "x", "y"], 900.0)

    # Another device's alarm is none here; the same kind again is not new.
    assert follows.tolist() == [0.0, 0.0, 0.0, 1.0, 0.0]


def test_an_alarm_is_not_new_twice() -> None:
    at = np.array([0.0, 100.0, 200.0])

    follows = alarm_forecast.new_kind_follows(at, ["a"] * 3, ["x", "y", "y"], 900.0)

    assert follows.tolist() == [1.0, 0.0, 0.0]


def test_notifications_are_the_first_of_rule_host_and_minute() -> None:
    scenario = noise.read_scenario(
        "small",
        {
            "time": ["0", "10", "20", "61", "62"],
            "name": ["A: x", "A: x", "B: y", "A: x", "A: x"],
            "host": ["web"] * 5,
            "event_label": ["-", "dirb", "-", "-", "-"],
        },
    )

    assert scenario.at.tolist() == [0.0, 20.0, 61.0]
    # One raw alert that somebody needs is enough, wherever it stands in the minute.
    assert scenario.event == ["dirb", "-", "-"]
    assert np.expm1(scenario.extra).round(6).tolist() == [[0.0, 0.0], [0.0, 2.0], [2.0, 3.0]]


def test_what_comes_later_changes_no_earlier_notification() -> None:
    table = {
        "time": [str(10 * place) for place in range(60)],
        "name": [f"A: {place % 5}" for place in range(60)],
        "host": [f"host {place % 3}" for place in range(60)],
        "event_label": ["-" if place % 7 else "scan" for place in range(60)],
    }
    whole = noise.read_scenario("small", table)
    # Cut at a whole minute: what a minute still brings belongs to its notifications.
    part = noise.read_scenario("small", {name: values[:30] for name, values in table.items()})
    kinds = sorted(set(whole.kind))

    one, other = noise.features(whole, kinds), noise.features(part, kinds)

    count = len(part.at)
    assert one[0][:count].tobytes() == other[0].tobytes()
    assert one[1][:count].tobytes() == other[1].tobytes()


def test_a_running_quantile_settles_where_it_should() -> None:
    scores = np.random.default_rng(1).random(8_000)

    thresholds = noise._running_quantile(scores, 0.6)

    assert (scores[4_000:] < thresholds[4_000:]).mean() == pytest.approx(0.6, abs=0.03)


def test_each_attack_step_counts_alike() -> None:
    events = np.array(["flood"] * 98 + ["rare"] * 2 + ["-"] * 10)
    kept = np.array([True] * 98 + [False] * 2 + [False] * 10)

    assert noise._recall(events, kept) == (0.5, 0.5)


def test_posts_are_read_as_they_were_first_posted() -> None:
    incident = {
        "title": "Pages are slow",
        "impact": "major",
        "updates": [
            {"at": "2025-01-01T10:00:00Z", "message": "We look."},
            {"at": "2025-01-01T11:00:00Z", "message": "Major outage."},
        ],
        "resolved_at": "2025-01-01T12:00:00Z",
    }
    planned = {**incident, "impact": "maintenance"}

    posts = incident_text.read_posts([incident, planned])

    assert posts.texts == ["Pages are slow We look."]
    assert posts.hours.tolist() == [2.0]
    assert posts.grave.tolist() == [1.0]


def test_what_updating_gains_is_measured_on_the_same_incidents() -> None:
    draw = np.random.default_rng(2)
    labels = (draw.random(400) < 0.3).astype(float)
    updated, frozen = labels + draw.normal(size=400), draw.random(400)

    figure = incident_outcome._gained("t", labels, updated, frozen, Options(resamplings=50))
    nothing = incident_outcome._gained("t", labels, frozen, frozen, Options(resamplings=50))

    assert figure.interval is not None
    assert 0.1 < figure.interval.low < figure.value < figure.interval.high
    assert (nothing.value, nothing.interval) == (0.0, Interval(0.0, 0.0))
