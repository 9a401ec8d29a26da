"""How instants, lengths of time and numbers are read and written."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.scalars import (
    LONG_MAX,
    SCALARS,
    instant_text,
    local_time_text,
    parse_cursor,
    parse_instant,
    parse_length,
    parse_local_time,
    parse_long,
)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-23T03:50:12Z", datetime(2026, 11, 23, 3, 50, 12, tzinfo=UTC)),
        ("2026-11-23t03:50:12z", datetime(2026, 11, 23, 3, 50, 12, tzinfo=UTC)),
        ("2026-11-23 03:50:12+00:00", datetime(2026, 11, 23, 3, 50, 12, tzinfo=UTC)),
        ("2026-11-23T03:50:12.5-01:30", datetime(2026, 11, 23, 5, 20, 12, 500_000, tzinfo=UTC)),
        ("2026-11-23T03:50:12.123456789Z", datetime(2026, 11, 23, 3, 50, 12, 123_456, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999Z", datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
    ],
)
def test_an_instant_is_read_in_utc(text: str, instant: datetime) -> None:
    read = parse_instant(text)

    assert read == instant
    assert read.tzinfo is UTC


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-23T03:50:12",
        "2026-11-23",
        "2026-11-23T03:50Z",
        "2026-11-23T25:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-11-23T23:59:60Z",
        "2026-11-23T03:50:12+25:00",
        "20261123T035012Z",
        "2026-11-23T03:50:12.Z",
        "2026-11-23T03:50:12Z\n",
        "２026-11-23T03:50:12Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "0000-01-01T00:00:00Z",
        "",
        "now",
        1_795_000_000,
        None,
        True,
        [],
    ],
)
def test_what_names_no_instant_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is no instant"):
        parse_instant(value)


def test_a_long_text_is_not_said_again() -> None:
    with pytest.raises(ValueError) as refusal:
        parse_instant("9" * 10_000)

    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (datetime(2026, 11, 23, 3, 50, 12, tzinfo=UTC), "2026-11-23T03:50:12Z"),
        (datetime(2026, 11, 23, 3, 50, 12, 120_000, tzinfo=UTC), "2026-11-23T03:50:12.120000Z"),
        (datetime(2026, 11, 23, 3, 50, tzinfo=timezone(timedelta(hours=2))), "2026-11-23T01:50:00Z"),
    ],
)
def test_an_instant_is_written_in_utc(instant: datetime, text: str) -> None:
    assert instant_text(instant) == text


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_is_read_as_it_was_written(instant: datetime) -> None:
    assert parse_instant(instant_text(instant)) == instant


@pytest.mark.parametrize(
    ("value", "length"),
    [
        ("PT5M", timedelta(minutes=5)),
        ("P7D", timedelta(days=7)),
        ("P1W", timedelta(weeks=1)),
        ("PT1.5S", timedelta(seconds=1.5)),
        ("300", timedelta(minutes=5)),
        (300, timedelta(minutes=5)),
        (0.25, timedelta(milliseconds=250)),
        (0, timedelta(0)),
    ],
)
def test_a_length_of_time_is_text_or_seconds(value: object, length: timedelta) -> None:
    assert parse_length(value) == length


@pytest.mark.parametrize(
    "value",
    ["P1M", "P1Y", "-PT5M", "PT", "P", "5m", "", -1, -0.5, float("nan"), float("inf"), 10**30, True, None, {}],
)
def test_what_names_no_length_of_time_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        parse_length(value)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=100_000)))
def test_a_length_of_time_is_read_as_it_was_written(length: timedelta) -> None:
    serialize = SCALARS[timedelta].serialize
    assert serialize is not None

    assert parse_length(serialize(length)) == length


@pytest.mark.parametrize(("value", "number"), [(0, 0), (LONG_MAX, LONG_MAX), (5.0, 5)])
def test_a_long_is_a_whole_number(value: object, number: int) -> None:
    assert parse_long(value) == number


@pytest.mark.parametrize("value", [-1, LONG_MAX + 1, 1.5, float("nan"), float("inf"), "5", True, None])
def test_what_is_no_long_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="no whole number"):
        parse_long(value)


def test_a_cursor_is_a_text() -> None:
    assert parse_cursor("abc") == "abc"
    with pytest.raises(ValueError, match="no cursor"):
        parse_cursor(5)


@pytest.mark.parametrize(("text", "minutes"), [("00:00", 0), ("08:30", 510), ("23:59", 1439), ("24:00", 1440)])
def test_a_time_of_day_is_minutes_since_midnight(text: str, minutes: int) -> None:
    assert parse_local_time(text) == minutes
    assert local_time_text(minutes) == text


@pytest.mark.parametrize(
    "value", ["24:01", "8:30", "08:60", "25:00", "0830", "", "08:30:00", "०८:३०", 510, None, True]
)
def test_what_no_clock_shows_is_no_time_of_day(value: object) -> None:
    with pytest.raises(ValueError, match="no time of day"):
        parse_local_time(value)
