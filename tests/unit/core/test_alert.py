"""What may be kept of an alert, at the bounds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest

from alertgraph.core.alert import (
    ANNOTATIONS_BYTES_MAX,
    ANNOTATIONS_DEPTH_MAX,
    LABEL_COUNT_MAX,
    LINK_COUNT_MAX,
    AlertStatus,
    Link,
    alert_match_values,
    check_annotations,
    check_draft,
    check_labels,
    check_links,
    check_text,
)
from alertgraph.core.event import EventKind, FieldChange, canonical
from alertgraph.core.severity import Severity
from alertgraph.core.slo import NO_MARKS, next_mark
from tests.factories import DAY, HOUR, MINUTE, SECOND, T0, a_draft, an_alert, an_event


def paths(draft: Any) -> list[tuple[str, ...]]:
    return [problem.path for problem in check_draft(draft, T0)]


def nested(depth: int) -> dict[str, Any]:
    """Return an object with that many levels in all."""
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("title", "", "title"),
        ("title", " \u3000\t", "title"),
        ("title", "a" * 1025, "title"),
        ("title", "a\nb", "title"),
        ("title", "a\x00b", "title"),
        ("title", "a\ud83d", "title"),
        ("source", "", "source"),
        ("source", "a\nb", "source"),
        ("source", "a" * 257, "source"),
        ("description", "a" * 25_001, "description"),
        ("description", "\x07", "description"),
        ("monitored_service", "", "monitoredService"),
        ("monitored_service", "\n", "monitoredService"),
        ("annotations", {"a": "\x00"}, "annotations"),
        ("dedup_key", "", "dedupKey"),
        ("dedup_key", "k" * 513, "dedupKey"),
        ("dedup_key", "\x00", "dedupKey"),
        ("triggered_at", datetime(1, 1, 1, tzinfo=UTC), "triggeredAt"),
        ("triggered_at", datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC), "triggeredAt"),
        ("triggered_at", T0 + DAY + SECOND, "triggeredAt"),
        ("triggered_at", datetime(1, 1, 1, tzinfo=timezone(HOUR)), "triggeredAt"),
        ("triggered_at", datetime(9999, 12, 31, 23, tzinfo=timezone(-23 * HOUR)), "triggeredAt"),
        ("ends_at", datetime(9999, 12, 31, 23, tzinfo=timezone(-23 * HOUR)), "endsAt"),
        ("ends_at", datetime(1, 1, 1, tzinfo=timezone(HOUR)), "endsAt"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_the_name_of_its_field(field: str, value: Any, path: str) -> None:
    assert paths(a_draft(**{field: value})) == [(path,)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", "a" * 1024),
        ("title", "日本語 🔥 \u200b"),
        ("description", ""),
        ("description", "line\n\ttabbed\r\n" + "a" * 24_900),
        ("dedup_key", "k" * 512),
        ("triggered_at", datetime(2000, 1, 1, tzinfo=UTC)),
        ("triggered_at", T0 + DAY),
        ("ends_at", T0 - 365 * DAY),
        ("ends_at", datetime(9998, 1, 1, tzinfo=UTC)),
        ("labels", {}),
        ("annotations", {"any": [1, None, True, {"deep": "\u0001 and \\u0000 spelt out"}]}),
        ("links", ()),
    ],
)
def test_a_value_at_its_bound_is_kept(field: str, value: Any) -> None:
    assert paths(a_draft(**{field: value})) == []


@pytest.mark.parametrize(
    "labels",
    [
        {"": "a"},
        {" ": "a"},
        {"@severity": "HIGH"},
        {"a\nb": "a"},
        {"a": "\x00"},
        {"a": "\udc00"},
        {"a": 1},
        {"a": True},
        {"a": None},
        {"a": ["b"]},
        {"n" * 257: "a"},
        {"a": "v" * 4097},
    ],
)
def test_a_label_that_cannot_be_kept_is_refused_by_its_name(labels: Any) -> None:
    (name,) = labels

    assert [problem.path for problem in check_labels(labels)] == [("labels", name[:64])]


def test_labels_at_their_bounds_are_kept() -> None:
    assert check_labels({"n" * 256: "v" * 4096, "empty": "", "ä.b/c-d": "two\nlines", "__name__": "x"}) == []
    assert check_labels({str(n): "" for n in range(LABEL_COUNT_MAX)}) == []


def test_too_many_labels_are_refused_as_a_whole() -> None:
    (problem,) = check_labels({str(n): "" for n in range(LABEL_COUNT_MAX + 1)})

    assert problem.path == ("labels",)


def test_a_refusal_can_be_written_as_json_whatever_it_refuses() -> None:
    problems = check_labels({"\ud800": "a", "b\udfff": 1})  # type: ignore[dict-item]

    assert len(problems) == 2
    assert orjson.dumps([[problem.message, problem.path] for problem in problems])


@pytest.mark.parametrize(
    "annotations",
    [
        {"a": "\x00"},
        {"\x00": "a"},
        {"a": [{"b": "\\\x00"}]},
        {"a": "\ud800"},
        {"\ud800": 1},
        {"a": {"\ud800": 1}},
        {"a": 1 << 64},
        {"a": -(1 << 63) - 1},
        {"a": float("inf")},
        {"a": [0.5, {"b": float("nan")}]},
        {"a": object()},
        {"a": {1: 2}},
        {"a": "b" * ANNOTATIONS_BYTES_MAX},
        nested(ANNOTATIONS_DEPTH_MAX + 1),
        nested(5000),
    ],
    ids=lambda value: str(list(value))[:20],
)
def test_annotations_that_cannot_be_kept_are_refused(annotations: Any) -> None:
    assert [problem.path for problem in check_annotations(annotations)] == [("annotations",)]


def test_the_largest_and_deepest_annotations_can_be_sealed() -> None:
    annotations = {"deep": nested(ANNOTATIONS_DEPTH_MAX - 1), "large": 2**64 - 1, "small": -(2**63)}
    assert check_annotations(annotations) == []

    event = an_event(
        kind=EventKind.UPDATED,
        changes=(FieldChange("annotations", annotations, annotations),),
        detail={"annotations": annotations},
    )

    assert canonical(event)


@pytest.mark.parametrize(
    ("link", "path"),
    [
        (Link("ftp://a", "a"), ("links", "0", "href")),
        (Link("javascript:alert(1)", "a"), ("links", "0", "href")),
        (Link("", "a"), ("links", "0", "href")),
        (Link("https://a/\n", "a"), ("links", "0", "href")),
        (Link("https://" + "a" * 2048, "a"), ("links", "0", "href")),
        (Link("https://a", "a\x00"), ("links", "0", "text")),
    ],
)
def test_a_link_that_cannot_be_kept_is_refused_by_its_place(link: Link, path: tuple[str, ...]) -> None:
    assert [problem.path for problem in check_links([link])] == [path]


def test_links_of_any_case_without_a_text_are_kept() -> None:
    assert check_links([Link("HTTPS://example.com", "")] * LINK_COUNT_MAX) == []
    assert [p.path for p in check_links([Link("https://a", "")] * (LINK_COUNT_MAX + 1))] == [("links",)]


def test_a_text_is_told_how_long_it_may_be() -> None:
    (problem,) = check_text("a" * 2000, "title", 1024, length_min=1)

    assert "1 to 1,024" in problem.message
    assert "2,000" in problem.message


def test_what_is_due_first_decides() -> None:
    # Three quarters of the hour in which somebody is to take it.
    assert an_alert().due_at == T0 + 45 * MINUTE
    assert an_alert(resolve_at=T0 + 40 * MINUTE).due_at == T0 + 40 * MINUTE
    assert an_alert(resolve_at=T0 + HOUR, acknowledged_until=T0 + MINUTE).due_at == T0 + MINUTE
    assert an_alert(next_escalation_at=T0 + MINUTE, resolve_at=T0 + HOUR).due_at == T0 + MINUTE
    assert an_alert(judge_at=T0 + MINUTE, next_escalation_at=T0 + HOUR).due_at == T0 + MINUTE
    assert an_alert(status=AlertStatus.RESOLVED, resolve_at=T0 + HOUR).due_at is None


def test_every_point_of_the_sla_times_is_waited_for_in_turn() -> None:
    marks, waited = NO_MARKS, []
    while (due_at := an_alert(sla_marks=marks).due_at) is not None:
        point = next_mark(an_alert().sla, T0, marks, None)
        assert point is not None
        assert due_at == point[1]
        marks |= point[0]
        waited.append(due_at - T0)

    assert waited == [45 * MINUTE, HOUR, 18 * HOUR, DAY]
    # Who took it once has no acknowledge time to keep any more.
    assert an_alert(status=AlertStatus.ACKNOWLEDGED).due_at == T0 + 18 * HOUR


def test_matchers_see_labels_and_built_ins() -> None:
    values = alert_match_values(an_alert(severity=Severity.LOW, monitored_service=None, labels={"job": "api"}))

    assert values == {
        "job": "api",
        "@title": "High latency",
        "@severity": "LOW",
        "@source": "prometheus",
        "@service": "",
        "@dedup_key": "latency",
    }


def test_a_key_that_is_given_beats_the_derived_one() -> None:
    assert a_draft(dedup_key="mine").key == "mine"
    assert len(a_draft().key) == 64
    assert a_draft(labels=None, title="a").key != a_draft(labels=None, title="b").key


def test_an_instant_with_another_offset_is_the_same_instant() -> None:
    assert paths(a_draft(triggered_at=T0.astimezone(timezone(timedelta(hours=5, minutes=30))))) == []
