"""What messages of remote write say, also where nobody writes them so."""

from __future__ import annotations

import math
from typing import Any

import pytest

from alertgraph.edge.intake.remote_write import FormError, LabelsRead, decompressed, read_v1, read_v2
from tests.remote_write import label, part, request_v1, request_v2, sample, series_v1, snappy, varint

AT = 1_795_000_000_000
UP = {"__name__": "up", "job": "api"}
ROOM = 1000


def v1(raw: bytes, known: dict[bytes, Any] | None = None) -> Any:
    return read_v1(raw, {} if known is None else known, learned, ROOM)


def learned(labels: LabelsRead) -> LabelsRead:
    return labels


def test_series_and_their_points_are_read() -> None:
    written = v1(request_v1((UP, [(AT, 1.0)]), ({"__name__": "load"}, [(AT, 0.5), (AT + 1000, -2.0)])))

    assert written.series == [(UP, [(AT, 1.0)]), ({"__name__": "load"}, [(AT, 0.5), (AT + 1000, -2.0)])]
    assert written.point_count == 3


def test_the_second_time_labels_are_not_read_again() -> None:
    known: dict[bytes, Any] = {}
    v1(request_v1((UP, [(AT, 1.0)])), known)
    assert list(known.values()) == [UP]
    known[next(iter(known))] = "known"

    for value in (7.0, 0.0, -0.0, math.inf):
        [(labels, points)] = v1(request_v1((UP, [(AT + 5, value)])), known).series
        assert labels == "known"
        assert points == [(AT + 5, value)]
        assert math.copysign(1, points[0][1]) == math.copysign(1, value)


@pytest.mark.parametrize("at", [0, 1, -1, -AT, 2**41, 2**42 - 1, 2**62, AT, 2**35 - 1])
def test_any_time_is_read_the_short_way_and_the_long_way(at: int) -> None:
    known: dict[bytes, Any] = {}
    v1(request_v1((UP, [(AT, 1.0)])), known)

    assert v1(request_v1((UP, [(at, 3.0)])), known).series == [(UP, [(at, 3.0)])]
    assert v1(request_v1((UP, [(at, 3.0)]))).series == [(UP, [(at, 3.0)])]


def test_what_is_beside_points_is_counted_or_passed_over() -> None:
    later = [part(9, b"later"), b"\x50\x01", b"\x5d1234", b"\x5912345678"]
    more = [part(3, b"exemplar"), part(4, b"histogram"), *later]
    raw = series_v1(UP, [(AT, 1.0)], *more) + part(3, b"metadata") + part(7, b"x") + b"\x40\x05"

    written = v1(raw)

    assert written.series == [(UP, [(AT, 1.0)])]
    assert (written.exemplar_count, written.histogram_count) == (1, 1)


def test_fields_of_another_wire_type_are_unknown_fields() -> None:
    written = v1(part(1, b"\x08\x01" + label("a", "b") + b"\x10\x05" + part(2, b"\x08\x01" + sample(AT, 2.0))))

    assert written.series == [({"a": "b"}, [(AT, 2.0)])]


def test_of_fields_that_are_repeated_the_last_counts() -> None:
    twice = part(2, sample(1, 1.0) + sample(AT, 2.0))
    name = part(1, part(1, b"first") + part(1, b"a") + part(2, b"b"))

    assert v1(part(1, name + twice)).series == [({"a": "b"}, [(AT, 2.0)])]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (label("a", "1") + label("a", "2"), "The label 'a' occurs twice."),
        (label("a", b"\xff"), "A label is not UTF-8."),
        (label(b"\xff", "1"), "A label is not UTF-8."),
    ],
)
def test_labels_that_are_wrong_are_of_their_series_alone(labels: bytes, message: str) -> None:
    written = v1(part(1, labels + part(2, sample(AT, 1.0))) + series_v1(UP, [(AT, 1.0)]))

    assert written.series == [(message, [(AT, 1.0)]), (UP, [(AT, 1.0)])]


def test_a_label_without_a_value_is_none() -> None:
    assert v1(part(1, label("a", "") + label("b", "c"))).series == [({"b": "c"}, [])]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\x0a", "cut short"),
        (b"\x0a\x05abc", "beyond its end"),
        (b"\x0a\xff", "cut short"),
        (b"\x0b", "wire type 3"),
        (b"\x0f\x00", "wire type 7"),
        (b"\x02\x00", "number 0"),
        (b"\x09\x00", "beyond its end"),
        (b"\x0d\x00", "beyond its end"),
        (b"\x08" + b"\xff" * 10 + b"\x01", "more than 64 bits"),
        (part(1, part(2, b"\x09\x00")), "beyond its end"),
        (part(1, part(1, b"\x0a\x09a")), "beyond its end"),
        (part(1, b"\x12\x10\x09" + bytes(8) + b"\x10" + b"\x80" * 6), "cut short"),
        (b"not a message at all", "wire type 6"),
    ],
)
def test_what_is_no_message_says_so(raw: bytes, message: str) -> None:
    with pytest.raises(FormError, match=message):
        v1(raw)


def test_points_are_bounded() -> None:
    many = [(AT + i, 1.0) for i in range(ROOM + 1)]
    for raw in (request_v1((UP, many)), request_v1(*[(UP, [each]) for each in many])):
        with pytest.raises(FormError, match="more than 1,000 points"):
            v1(raw)
    with pytest.raises(FormError, match="more than 1,000 points"):
        read_v2(request_v2((UP, many)), learned, ROOM)
    assert v1(request_v1((UP, many[1:]))).point_count == ROOM


def test_the_second_version_says_the_same() -> None:
    series = ((UP, [(AT, 1.0)]), ({"__name__": "load", "job": "api"}, [(AT, 0.5), (AT + 1000, -2.0)]))

    assert read_v2(request_v2(*series), learned, ROOM).series == list(series)


def test_references_may_be_written_one_by_one_and_before_the_symbols() -> None:
    symbols = b"".join(part(4, text) for text in (b"", b"a", b"b"))
    one_by_one = part(5, b"\x08\x01\x08\x02" + part(2, sample(AT, 1.0)) + part(3, b"h") + part(4, b"e"))

    written = read_v2(one_by_one + symbols, learned, ROOM)

    assert written.series == [({"a": "b"}, [(AT, 1.0)])]
    assert (written.histogram_count, written.exemplar_count) == (1, 1)


def test_references_that_lead_nowhere_are_of_their_series_alone() -> None:
    symbols = b"".join(part(4, text) for text in (b"", b"a", b"b"))
    odd, far = part(5, part(1, b"\x01")), part(5, part(1, b"\x01" + varint(2**63)))

    written = read_v2(symbols + odd + far + part(5, part(1, b"\x01\x02")), learned, ROOM)

    assert [labels for labels, _ in written.series] == [
        "A label's value is missing: the number of references is odd.",
        "A label refers to a symbol that is not there.",
        {"a": "b"},
    ]
    with pytest.raises(FormError, match="first symbol"):
        read_v2(part(4, b"a"), learned, ROOM)


def test_a_bomb_is_not_lit() -> None:
    raw = bytes(1_000_000)
    assert decompressed(snappy(raw), 1_000_000) == raw
    assert decompressed(snappy(raw), 999_999) is None
    # Its head alone says how long it would become.
    assert decompressed(varint(2**32 - 1) + b"\x00", 1_000_000) is None


@pytest.mark.parametrize("raw", [b"", b"\x05abc", b"\xff" * 20, b"\x0a\x00", b"sNaPpY"])
def test_what_is_not_compressed_says_so(raw: bytes) -> None:
    with pytest.raises(FormError, match="snappy"):
        decompressed(raw, 1000)
