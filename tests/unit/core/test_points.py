"""Points on their way: packed and unpacked, and counters told by their increase."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertgraph.core.points import Increases, Points, Series, pack_points, unpack_points

texts = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.text('ab\n\\"é')).map(
    lambda labels: Series.of(labels).text
)
points = st.lists(
    st.tuples(texts, st.lists(st.tuples(st.integers(-(2**62), 2**62), st.floats(allow_nan=False)), max_size=4)),
    max_size=5,
)


@given(points)
def test_what_was_packed_comes_back(told: list[tuple[str, list[tuple[int, float]]]]) -> None:
    packed = Points()
    for text, each in told:
        packed.add(text, each)

    found = unpack_points(pack_points(packed))

    assert found == packed
    assert len(found) == sum(len(each) for _, each in told)


@given(st.binary(max_size=60))
def test_other_bytes_are_refused(raw: bytes) -> None:
    good = pack_points(Points(["a"], [0], [1], [2.0]))
    for wrong in (raw, good[:-1], good + b"x", good[:4] + raw[:12].ljust(12, b"\xff") + good[16:]):
        if wrong != good:
            with pytest.raises(ValueError, match="points"):
                unpack_points(wrong)


def test_a_series_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="not there"):
        unpack_points(pack_points(Points(["a"], [1], [1], [2.0])))


def test_equal_labels_are_one_series() -> None:
    first, second = Series.of({"a": "1", "b": "2"}), Series.of({"b": "2", "a": "1"})

    assert (first.text, first.digest) == (second.text, second.digest)
    assert Series.read(first.text) == first
    assert first.digest != Series.of({"a": "1"}).digest
    assert Series.of({"__name__": "x_total"}).is_counter
    assert not Series.of({"__name__": "total", "le": "x_total"}).is_counter
    assert Series.of({"__name__": "up", "job": 'a"b', "a": "1"}).shown == 'up{a="1", job="a\\"b"}'
    with pytest.raises(ValueError, match="no series"):
        Series.read("[]")


def test_a_counter_is_told_by_its_increase() -> None:
    increases = Increases()

    assert increases.take("c", 100, 5.0) is None
    assert increases.take("c", 110, 25.0) == 2.0
    assert increases.take("c", 110, 99.0) is None
    assert increases.take("c", 90, 99.0) is None
    assert increases.take("c", 120, 5.0) == 0.5
    again = Increases(increases.told())
    assert again.take("c", 121, 6.0) == 1.0
    again.forget("c")
    assert again.take("c", 122, 7.0) is None
