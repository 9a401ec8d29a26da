from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from alertgraph.core.action import Clear, Fire
from alertgraph.core.alert import Draft, Link, check_draft
from alertgraph.core.errors import AlertGraphError, InputError
from alertgraph.core.labels import Matcher, MatchOperator
from alertgraph.core.severity import Severity
from alertgraph.edge.bodies import BodyError, read_json
from alertgraph.edge.intake.alertmanager import (
    RESOLVE_TIMEOUT,
    action_of,
    alert_json,
    check_posted,
    fingerprint_of,
    matcher_of,
)
from tests.factories import HOUR, MINUTE, T0, an_alert


def posted(*, source: str = "prometheus", now: datetime = T0, **alert: Any) -> Fire | Clear | str:
    """What an alert comes to that was posted as JSON."""
    value = orjson.loads(orjson.dumps([alert]))
    check_posted(value, 0)
    return action_of(value[0], now, source)


def fired(**alert: Any) -> Draft:
    action = posted(**{"labels": {"alertname": "X"}, **alert})
    assert isinstance(action, Fire), action
    assert check_draft(action.draft, T0) == []
    return action.draft


def refused(text: bytes) -> AlertGraphError:
    value = read_json(text)
    with pytest.raises(AlertGraphError) as caught:
        check_posted(value, 0)
    return caught.value


# ------------------------------------------------------------------------------------------- times


def test_an_end_in_the_future_means_firing_until_then() -> None:
    draft = fired(startsAt="2026-11-23T11:00:00Z", endsAt="2026-11-23T12:04:00.123456789Z")

    assert draft.triggered_at == T0 - HOUR
    assert draft.ends_at == T0 + 4 * MINUTE + timedelta(microseconds=123_456)
    assert draft.ends_by_timeout is False


@pytest.mark.parametrize("ends_at", ["2026-11-23T11:30:00Z", "2026-11-23T12:00:00Z", "2026-11-23T12:30:00+01:00"])
def test_an_end_that_has_passed_resolves(ends_at: str) -> None:
    action = posted(labels={"alertname": "X"}, startsAt="2026-11-23T11:00:00Z", endsAt=ends_at)

    assert action == Clear(fired().key, datetime.fromisoformat(ends_at).astimezone(UTC))


@pytest.mark.parametrize(
    "zero", [None, "", "0001-01-01T00:00:00.000Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"]
)
def test_go_s_zero_time_means_no_time(zero: str | None) -> None:
    draft = fired(startsAt=zero, endsAt=zero)

    assert (draft.triggered_at, draft.ends_at, draft.timeout) == (T0, None, RESOLVE_TIMEOUT)


def test_without_an_end_it_ends_after_the_dialects_timeout() -> None:
    assert fired().ends_at is None
    assert fired().timeout == timedelta(minutes=5)


def test_with_only_an_end_it_began_then_but_not_in_the_future() -> None:
    assert fired(endsAt="2026-11-23T13:00:00Z").triggered_at == T0
    assert posted(labels={"a": "b"}, endsAt="2026-11-23T11:00:00Z") == Clear(
        fired(labels={"a": "b"}).key, T0 - HOUR
    )


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-23T11:00:00", T0 - HOUR),
        ("2026-11-23T11:00Z", T0 - HOUR),
        ("2026-11-23T11:00", T0 - HOUR),
        ("2026-11-23 11:00:00", T0 - HOUR),
        ("2026-11-23T11:00:00,5Z", T0 - HOUR + timedelta(milliseconds=500)),
        ("2026-11-22T21:00:00-14:00", T0 - HOUR),
    ],
)
def test_times_are_read_in_all_of_alertmanagers_spellings(text: str, instant: datetime) -> None:
    assert fired(startsAt=text).triggered_at == instant


@pytest.mark.parametrize(
    "text",
    [
        "x",
        5,
        True,
        [],
        "2026-11-23",
        "2026-11-23T11",
        "2026-11-23T24:00:00Z",
        "2026-11-23T23:59:60Z",
        "2026-02-30T00:00:00Z",
        "12026-11-23T11:00:00Z",
        "2026-11-23t11:00:00z",
        "2026-11-23T11:00:00+0100",
        "20261123T110000Z",
        "2026-W48-1T00:00:00Z",
        "9999-12-31T23:59:59-14:00",
    ],
)
def test_what_is_no_time_refuses_the_body_by_its_name(text: object) -> None:
    with pytest.raises(BodyError, match=r"^alerts\[0\]\.endsAt is a time such as "):
        posted(labels={"a": "b"}, endsAt=text)


def test_an_end_before_the_start_is_refused_in_alertmanagers_words() -> None:
    action = posted(labels={"a": "b"}, startsAt="2026-11-23T11:00:01Z", endsAt="2026-11-23T11:00:00Z")

    assert action == "start time must be before end time"


def test_an_end_at_the_start_is_none_too_early() -> None:
    assert isinstance(
        posted(labels={"a": "b"}, startsAt="2026-11-23T11:00:00Z", endsAt="2026-11-23T11:00:00Z"), Clear
    )


@pytest.mark.parametrize("text", ["1999-12-31T23:59:59Z", "2026-11-24T12:00:01Z", "9998-01-01T00:00:00Z"])
def test_a_start_that_can_t_be_is_refused_by_its_name(text: str) -> None:
    action = posted(labels={"a": "b"}, startsAt=text)

    assert isinstance(action, str)
    assert action.startswith("startsAt is ")


# ------------------------------------------------------------------------------------------ labels


def test_empty_labels_are_dropped() -> None:
    assert fired(labels={"alertname": "X", "empty": "", "null": None}).labels == {"alertname": "X"}


@pytest.mark.parametrize("labels", [{}, {"a": ""}, {"a": None}])
def test_at_least_one_label_is_needed(labels: dict[str, Any]) -> None:
    assert posted(labels=labels) == "at least one label pair required"


def test_the_labels_alone_make_the_key() -> None:
    one = fired(labels={"alertname": "X", "host": "a"}, annotations={"summary": "1"}, source="prometheus")
    other = fired(
        labels={"host": "a", "alertname": "X", "empty": ""}, annotations={"summary": "2"}, source="amtool"
    )

    assert one.key == other.key == Draft("told by a script", Severity.LOW, "cron", labels=one.labels).key
    assert one.key != fired(labels={"alertname": "X", "host": "b"}).key


@pytest.mark.parametrize(
    ("word", "severity"),
    [
        ("critical", Severity.CRITICAL),
        ("page", Severity.CRITICAL),
        ("Disaster ", Severity.CRITICAL),
        ("ERROR", Severity.HIGH),
        ("major", Severity.HIGH),
        ("warning", Severity.MEDIUM),
        ("minor", Severity.MEDIUM),
        ("low", Severity.LOW),
        ("none", Severity.INFO),
        ("info", Severity.INFO),
        ("whatever", Severity.MEDIUM),
        ("", Severity.MEDIUM),
    ],
)
def test_the_severity_is_read_from_its_label(word: str, severity: Severity) -> None:
    assert fired(labels={"alertname": "X", "severity": word}).severity is severity


@pytest.mark.parametrize(
    ("labels", "monitored_service"),
    [
        ({"a": "b"}, None),
        ({"a": "b", "job": "api"}, "api"),
        ({"job": "api", "service": "checkout"}, "checkout"),
        ({"job": "x" * 300}, "x" * 255 + "…"),
        ({"service": "two\nlines"}, "two lines"),
    ],
)
def test_the_thing_watched_is_the_service_or_else_the_job(labels: dict[str, str], monitored_service: str) -> None:
    assert fired(labels=labels).monitored_service == monitored_service


# ------------------------------------------------------------------------------------------- texts


@pytest.mark.parametrize(
    ("labels", "annotations", "title"),
    [
        ({"alertname": "X"}, {"summary": "S", "title": "T"}, "S"),
        ({"alertname": "X"}, {"title": "T"}, "T"),
        ({"alertname": "X"}, {"summary": " \n "}, "X"),
        ({"alertname": "X"}, {"summary": "two\r\nlines\0"}, "two lines"),
        ({"b": "2", "a": "1"}, {}, "a=1, b=2"),
        ({"alertname": "X"}, {"summary": "é" * 100_000}, "é" * 1023 + "…"),
    ],
)
def test_the_title_is_one_line_of_what_says_most(
    labels: dict[str, str], annotations: dict[str, str], title: str
) -> None:
    assert fired(labels=labels, annotations=annotations).title == title


def test_the_description_is_cut_rather_than_refused() -> None:
    draft = fired(annotations={"description": "line\nline\0" + "x" * 50_000})

    assert draft.description is not None
    assert draft.description.startswith("line\nline�xx")
    assert len(draft.description) == 25_000
    assert fired(annotations={"message": "m"}).description == "m"


def test_annotations_that_are_gone_are_forgotten() -> None:
    draft = fired()

    assert (draft.description, draft.annotations, draft.links) == ("", {}, ())


@pytest.mark.parametrize(
    "annotations",
    [
        {"a": "x" * 1_000_000},
        {"a": "\x01" * 100_000, "b": "short"},
        {"a": "é" * 40_000, "b": "é" * 40_000},
        {"n" * 200_000: "x", "b": "short"},
        {f"name{index}": "x" * 100 for index in range(2000)},
        {"nul\0": "\0" * 20_000},
    ],
)
def test_annotations_without_measure_are_cut_to_what_can_be_kept(annotations: dict[str, str]) -> None:
    draft = fired(annotations={**annotations, "summary": "S"})

    assert draft.annotations is not None
    assert draft.annotations["summary"] == "S"
    if "b" in annotations:
        assert str(draft.annotations["b"]).startswith(annotations["b"][:5])


def test_links_are_those_that_can_be_followed() -> None:
    draft = fired(
        generatorURL="http://prometheus:9090/graph?g0.expr=up",
        annotations={"runbook_url": "https://runbooks/x", "dashboard_url": "d/abc"},
    )

    assert draft.links == (
        Link("http://prometheus:9090/graph?g0.expr=up", "Source"),
        Link("https://runbooks/x", "Runbook"),
    )
    assert fired(generatorURL="/graph").links == ()
    assert fired(generatorURL="http://p/?" + "x" * 3000).links == ()
    assert fired(annotations={"runbook_url": "http://x/\nSet-Cookie: a"}).links == ()


# ------------------------------------------------------------------------------ refusals of a body


@pytest.mark.parametrize(
    ("text", "status", "says"),
    [
        (b"[5]", 400, "alerts[0] is an object, and this is number"),
        (b"[null]", 400, "alerts[0] is an object, and this is null"),
        (b"[[]]", 400, "alerts[0] is an object, and this is array"),
        (b'[{"labels":{"a":5}}]', 400, "alerts[0].labels.a is a text, and this is number"),
        (b'[{"labels":{"a":{}}}]', 400, "alerts[0].labels.a is a text, and this is object"),
        (b'[{"labels":"a"}]', 400, "alerts[0].labels is an object, and this is string"),
        (
            b'[{"labels":{"a":"b"},"annotations":{"x":true}}]',
            400,
            "alerts[0].annotations.x is a text, and this is bool",
        ),
        (b'[{"labels":{"a":"b"},"generatorURL":5}]', 400, "alerts[0].generatorURL is a text, and this is number"),
        (b"[{}]", 422, "0.labels in body is required"),
        (b'[{"labels":{"a":"b"}},{"labels":null}]', 422, "1.labels in body is required"),
        (
            b'[{"labels":{"a":"b"},"generatorURL":"x y"}]',
            422,
            '0.generatorURL in body must be of type uri: "x y"',
        ),
    ],
)
def test_a_wrong_type_anywhere_refuses_the_whole_body(text: bytes, status: int, says: str) -> None:
    error = refused(text)

    assert error.message == says
    assert getattr(error, "status", None) == status


# The program itself (0.25) was asked what it takes for a URI.
@pytest.mark.parametrize(
    "uri",
    [
        "/graph",
        "http://a",
        "mailto:x",
        "http://a/ b",
        "//x",
        "x:/y",
        "http:///x",
        "ftp://x",
        "http://a/é",
        "HTTP://x",
        "http://[::1]:90/",
        "http://p/graph?share=100%",
        "",
    ],
)
def test_a_uri_is_what_go_takes_for_one(uri: str) -> None:
    fired(generatorURL=uri)


@pytest.mark.parametrize(
    "uri", ["http://a b/", "http://a/%zz", "http://[::1", "http://a:b/", "x y", "::x", "/a\n"]
)
def test_what_go_takes_for_no_uri_is_refused(uri: str) -> None:
    with pytest.raises(AlertGraphError, match="must be of type uri"):
        fired(generatorURL=uri)


# ------------------------------------------------------------------------------------------ answers


def test_an_alert_is_told_as_alertmanager_tells_it() -> None:
    alert = an_alert(
        labels={"alertname": "ok"},
        annotations={"summary": "S", "deep": {"a": [1]}},
        links=(Link("http://p/graph", "Source"), Link("https://r", "Runbook")),
        resolve_at=T0 + HOUR,
    )

    assert alert_json(alert) == {
        "annotations": {"summary": "S", "deep": '{"a":[1]}'},
        "endsAt": "2026-11-23T13:00:00.000Z",
        "fingerprint": "01167342b0fed1b2",
        "generatorURL": "http://p/graph",
        "labels": {"alertname": "ok"},
        "receivers": [{"name": "alertgraph"}],
        "startsAt": "2026-11-23T12:00:00.000Z",
        "status": {"inhibitedBy": [], "mutedBy": [], "silencedBy": [], "state": "active"},
        "updatedAt": "2026-11-23T12:00:00.000Z",
    }


def test_one_that_never_ends_by_itself_has_gos_zero_time() -> None:
    told = alert_json(an_alert(labels={}, title="Disk full"))

    assert told["endsAt"] == "0001-01-01T00:00:00.000Z"
    assert told["labels"] == {"alertname": "Disk full"}
    assert "generatorURL" not in told


# From prometheus/common, model/signature_test.go, and from the program itself (0.25).
@pytest.mark.parametrize(
    ("labels", "fingerprint"),
    [
        ({}, f"{14695981039346656037:016x}"),
        ({"name": "garland, briggs", "fear": "love is not enough"}, f"{5799056148416392346:016x}"),
        ({"first-label": "first-label-value"}, f"{5146282821936882169:016x}"),
        (
            {
                "third-label": "third-label-value",
                "first-label": "first-label-value",
                "second-label": "second-label-value",
            },
            f"{13843036195897128121:016x}",
        ),
        ({"a": "1"}, "d3b971819376d835"),
        ({"b": "x"}, "019d71999ffa1e47"),
    ],
)
def test_the_fingerprint_is_alertmanagers_own(labels: dict[str, str], fingerprint: str) -> None:
    assert fingerprint_of(labels) == fingerprint


# ----------------------------------------------------------------------------------------- filters

EQUAL, NOT_EQUAL, REGEX, NOT_REGEX = MatchOperator


@pytest.mark.parametrize(
    ("text", "label", "operator", "value"),
    [
        ("a=b", "a", EQUAL, "b"),
        ('a="b"', "a", EQUAL, "b"),
        ("a!=b", "a", NOT_EQUAL, "b"),
        ("a=~b.*", "a", REGEX, "b.*"),
        ('a!~"b|c"', "a", NOT_REGEX, "b|c"),
        (" a = b c ", "a", EQUAL, "b c"),
        ("a=", "a", EQUAL, ""),
        ('a=""', "a", EQUAL, ""),
        ("a=b,c=d", "a", EQUAL, "b,c=d"),
        ("tricky=~~~", "tricky", REGEX, "~~"),
        (r"trickier==\\=\=\"", "trickier", EQUAL, '=\\=\\="'),
        (r'a="x\"y\\n\n"', "a", EQUAL, 'x"y\\n\n'),
        (r"a=b\t", "a", EQUAL, r"b\t"),
        ("a=b\\", "a", EQUAL, "b\\"),
        ("ns:a=b", "ns:a", EQUAL, "b"),
        ("a=~b{2}", "a", REGEX, "b{2}"),
        # UTF-8 from here on, which the classic grammar can't be.
        ("name-with-dashes=b", "name-with-dashes", EQUAL, "b"),
        ('"a b"="c d"', "a b", EQUAL, "c d"),
        ("🙂=🙂", "🙂", EQUAL, "🙂"),
        (r'"\u00e9\x41\101\t"!~"\U0001F642"', "éAA\t", NOT_REGEX, "🙂"),
        (r'"quo\"te" = "a\\b" , ', 'quo"te', EQUAL, "a\\b"),
    ],
)
def test_matchers_are_read_by_both_grammars(text: str, label: str, operator: MatchOperator, value: str) -> None:
    assert matcher_of(text) == Matcher(label, operator, value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "=b",
        "{a=b}",
        '"a"',
        'a="b',
        'a=b"',
        'a="b"c"',
        '"a b"="c" "d"="e"',
        '"a b"="c","d"="e"',
        r'"a\w"=b',
        r'"\ud800"=b',
        r'"\xff"=b',
        '"a\nb"=c',
        '""=b',
        "a-b=c d",
        ",a-b=c",
    ],
)
def test_what_is_no_matcher_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        matcher_of(text)
    assert len(caught.value.message) <= 500
