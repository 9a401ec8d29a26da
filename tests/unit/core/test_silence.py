"""Silences: which are refused, when their windows are, and whom they cover."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from alertgraph.core.errors import RefusedError
from alertgraph.core.ids import SilenceId
from alertgraph.core.labels import MatchOperator
from alertgraph.core.silence import Silence, SilenceState, check_silence, covering, state_at, until, window_at
from tests.factories import ADA, DAY, HOUR, MINUTE, a_matcher


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# A Sunday; in Berlin it is 23:00, and clocks are put forward on 29 March.
STARTS_AT = utc("2026-03-01T22:00")


def a_silence(**fields: Any) -> Silence:
    silence = Silence(
        SilenceId(UUID(int=1)),
        (a_matcher("job", "api"),),
        STARTS_AT,
        STARTS_AT + 2 * HOUR,
        "maintenance",
        ADA,
        time_zone="Europe/Berlin",
    )
    return replace(silence, **fields)


def test_once_is_from_its_begin_to_before_its_end() -> None:
    silence = a_silence()
    window = (silence.starts_at, silence.ends_at)

    assert window_at(silence, silence.starts_at - timedelta(microseconds=1)) is None
    assert window_at(silence, silence.starts_at) == window
    assert window_at(silence, silence.ends_at - timedelta(microseconds=1)) == window
    assert window_at(silence, silence.ends_at) is None
    assert until(silence) == silence.ends_at
    assert state_at(silence, silence.starts_at - DAY) is SilenceState.PENDING
    assert state_at(silence, silence.starts_at) is SilenceState.ACTIVE
    assert state_at(silence, silence.ends_at) is SilenceState.EXPIRED


def test_a_weekly_window_stays_on_the_wall_clock_when_clocks_change() -> None:
    silence = a_silence(recurrence="FREQ=WEEKLY")

    assert window_at(silence, utc("2026-03-22T23:59")) == (utc("2026-03-22T22:00"), utc("2026-03-23T00:00"))
    assert window_at(silence, utc("2026-03-29T21:00")) == (utc("2026-03-29T21:00"), utc("2026-03-29T23:00"))
    assert window_at(silence, utc("2026-03-29T23:00")) is None
    assert state_at(silence, utc("2026-03-29T23:00")) is SilenceState.PENDING
    assert until(silence) is None


def test_a_window_over_the_change_is_as_long_as_the_clock_says() -> None:
    nights = a_silence(ends_at=STARTS_AT + 6 * HOUR, recurrence="FREQ=DAILY")

    assert window_at(nights, utc("2026-03-29T00:30")) == (utc("2026-03-28T22:00"), utc("2026-03-29T03:00"))
    assert window_at(nights, utc("2026-10-25T00:30")) == (utc("2026-10-24T21:00"), utc("2026-10-25T04:00"))


def test_the_nights_after_the_change_end_when_the_first_one_did() -> None:
    begin = utc("2026-03-28T22:00")
    nights = a_silence(starts_at=begin, ends_at=begin + 5 * HOUR, recurrence="FREQ=DAILY")

    # From 23:00 to 05:00, which is an hour longer where no hour is skipped.
    assert window_at(nights, begin + DAY) == (utc("2026-03-29T21:00"), utc("2026-03-30T03:00"))


def test_the_first_window_is_as_given_whatever_the_rule_names() -> None:
    silence = a_silence(recurrence="FREQ=WEEKLY;BYDAY=WE")

    assert window_at(silence, STARTS_AT) == (silence.starts_at, silence.ends_at)
    assert window_at(silence, STARTS_AT + 3 * DAY) == (STARTS_AT + 3 * DAY, STARTS_AT + 3 * DAY + 2 * HOUR)
    assert window_at(silence, STARTS_AT + 7 * DAY) is None


def test_of_windows_that_overlap_the_one_that_ends_last_counts() -> None:
    silence = a_silence(ends_at=STARTS_AT + 30 * HOUR, recurrence="FREQ=DAILY")

    assert window_at(silence, STARTS_AT + 25 * HOUR) == (STARTS_AT + DAY, STARTS_AT + DAY + 30 * HOUR)


@pytest.mark.parametrize(
    ("recurrence", "ends_at"),
    [
        ("FREQ=DAILY;COUNT=3", utc("2026-03-04T00:00")),
        ("FREQ=DAILY;UNTIL=20260304", utc("2026-03-05T00:00")),
        ("FREQ=DAILY;UNTIL=20260304T220000Z", utc("2026-03-05T00:00")),
        ("FREQ=DAILY;UNTIL=20260304T215959Z", utc("2026-03-04T00:00")),
        # Of the wall clock in Berlin.
        ("FREQ=DAILY;UNTIL=20260304T230000", utc("2026-03-05T00:00")),
        ("FREQ=HOURLY;INTERVAL=12;UNTIL=20260301T235959Z", utc("2026-03-02T00:00")),
        ("FREQ=MONTHLY;BYDAY=-1FR;COUNT=2", utc("2026-04-24T23:00")),
        ("FREQ=YEARLY;COUNT=2", utc("2027-03-02T00:00")),
        ("rrule:freq=yearly;until=20301231", utc("2030-03-02T00:00")),
        ("FREQ=YEARLY;INTERVAL=4;UNTIL=20350101", utc("2034-03-02T00:00")),
        ("FREQ=DAILY", None),
    ],
)
def test_it_is_over_after_its_last_window(recurrence: str, ends_at: datetime | None) -> None:
    silence = check_silence(a_silence(recurrence=recurrence), STARTS_AT)

    assert until(silence) == ends_at


def test_the_thirty_first_is_not_every_month() -> None:
    noon = utc("2026-01-31T12:00")
    silence = a_silence(starts_at=noon, ends_at=noon + HOUR, recurrence="FREQ=MONTHLY", time_zone="UTC")
    days = [noon + day * DAY for day in range(1, 365)]

    assert [day.month for day in days if window_at(silence, day)] == [3, 5, 7, 8, 10, 12]


def test_ended_early_it_never_comes_again() -> None:
    over_at = STARTS_AT + DAY + HOUR
    silence = a_silence(recurrence="FREQ=DAILY", over_at=over_at)

    assert window_at(silence, STARTS_AT + DAY) == (STARTS_AT + DAY, over_at)
    assert window_at(silence, over_at) is None
    assert window_at(silence, STARTS_AT + 2 * DAY) is None
    assert until(silence) == over_at
    assert state_at(silence, over_at) is SilenceState.EXPIRED
    assert until(a_silence(over_at=STARTS_AT + 9 * HOUR)) == STARTS_AT + 2 * HOUR


def test_fractions_of_seconds_are_kept() -> None:
    begin = STARTS_AT + timedelta(microseconds=250_000)
    silence = a_silence(starts_at=begin, ends_at=begin + HOUR, recurrence="FREQ=DAILY")

    assert window_at(silence, begin + DAY) == (begin + DAY, begin + DAY + HOUR)
    assert window_at(silence, begin + DAY - timedelta(microseconds=1)) is None


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"matchers": ()}, ("matchers",)),
        ({"matchers": (a_matcher("job", ""),)}, ("matchers",)),
        ({"matchers": (a_matcher("job", ".*", MatchOperator.REGEX),)}, ("matchers",)),
        ({"matchers": (a_matcher("job", "x", MatchOperator.NOT_EQUAL),)}, ("matchers",)),
        ({"matchers": (a_matcher("job", "x"), a_matcher("@x", ""))}, ("matchers", "1", "label")),
        ({"matchers": (a_matcher("job", "x"),) * 21}, ("matchers",)),
        ({"ends_at": STARTS_AT}, ("endsAt",)),
        ({"ends_at": STARTS_AT + 366 * DAY + MINUTE}, ("endsAt",)),
        ({"starts_at": utc("1999-12-31T23:00"), "ends_at": utc("2000-01-01T23:00")}, ("startsAt",)),
        ({"starts_at": STARTS_AT - 2 * DAY, "ends_at": STARTS_AT - DAY}, ("endsAt",)),
        ({"time_zone": "Europe/Atlantis"}, ("timeZone",)),
        ({"comment": " "}, ("comment",)),
        ({"comment": "x" * 1025}, ("comment",)),
        ({"recurrence": ""}, ("recurrence",)),
        ({"recurrence": "DTSTART=20260101;FREQ=DAILY"}, ("recurrence",)),
        ({"recurrence": "FREQ=MINUTELY"}, ("recurrence",)),
        ({"recurrence": "FREQ=DAILY;FREQ=DAILY"}, ("recurrence",)),
        ({"recurrence": "FREQ=DAILY;BYMINUTE=0,30"}, ("recurrence",)),
        ({"recurrence": "FREQ=DAILY;BYSECOND=0,30"}, ("recurrence",)),
        ({"recurrence": "FREQ=DAILY;COUNT=3;UNTIL=20270101"}, ("recurrence",)),
        ({"recurrence": "FREQ=DAILY;COUNT=1001"}, ("recurrence",)),
        ({"recurrence": "FREQ=DAILY;INTERVAL=0"}, ("recurrence",)),
        ({"recurrence": "FREQ=DAILY;UNTIL=20270231"}, ("recurrence",)),
        ({"recurrence": "FREQ=DAILY;UNTIL=20400101"}, ("recurrence",)),
        ({"recurrence": "FREQ=DAILY;UNTIL=20200101"}, ("recurrence",)),
        ({"recurrence": "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30"}, ("recurrence",)),
        ({"recurrence": "FREQ=DAILY;BYHOUR=24"}, ("recurrence",)),
        ({"recurrence": "FREQ=HOURLY;BYMONTH=2"}, ("recurrence",)),
        ({"recurrence": "FREQ=DAILY;INTERVAL=2;BYDAY=MO"}, ("recurrence",)),
        ({"recurrence": "FREQ=WEEKLY;BYMONTHDAY=13"}, ("recurrence",)),
        ({"recurrence": "FREQ=DAILY;" + "BYHOUR=" + ",".join(["1"] * 300)}, ("recurrence",)),
    ],
)
def test_what_cannot_be_used_is_refused(fields: dict[str, Any], path: tuple[str, ...]) -> None:
    with pytest.raises(RefusedError) as refused:
        check_silence(a_silence(**fields), STARTS_AT)

    assert refused.value.problems[0].path == path


def test_a_rule_that_never_holds_is_refused_soon() -> None:
    started = time.process_time()
    with pytest.raises(RefusedError):
        check_silence(a_silence(recurrence="FREQ=MONTHLY;BYDAY=MO;BYSETPOS=6"), STARTS_AT)

    assert time.process_time() - started < 0.5


def test_an_alert_is_covered_by_all_that_match_and_are_on() -> None:
    silences = [
        a_silence(),
        a_silence(id=SilenceId(UUID(int=2)), ends_at=STARTS_AT + 5 * HOUR),
        a_silence(id=SilenceId(UUID(int=3)), matchers=(a_matcher("job", "web"),)),
        a_silence(id=SilenceId(UUID(int=4)), starts_at=STARTS_AT + HOUR),
        a_silence(
            id=SilenceId(UUID(int=5)),
            matchers=(a_matcher("zone", "eu.*", MatchOperator.REGEX), a_matcher("job", "api")),
        ),
    ]

    assert covering(silences, {"job": "api", "zone": "us"}, STARTS_AT) == (
        (silences[0], STARTS_AT + 2 * HOUR),
        (silences[1], STARTS_AT + 5 * HOUR),
    )


def test_many_alerts_are_held_against_a_thousand_silences() -> None:
    silences = [
        a_silence(
            id=SilenceId(UUID(int=number)),
            matchers=(a_matcher("zone", "eu-.*|us-.*", MatchOperator.REGEX), a_matcher("host", f"h{number}")),
            recurrence="FREQ=WEEKLY;BYDAY=MO,WE,FR",
        )
        for number in range(1000)
    ]
    covering(silences, {"host": "h1", "zone": "eu-1"}, STARTS_AT)
    started = time.process_time()
    found = [covering(silences, {"host": f"h{number}", "zone": "eu-1"}, STARTS_AT) for number in range(100)]

    assert [len(covered) for covered in found] == [1] * 100
    # A few milliseconds each, on any machine.
    assert time.process_time() - started < 2
