"""Laws of calendars: what is written can be read, and whatever is sent is read or refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import example, given
from hypothesis import strategies as st
from icalendar import Calendar

from alertgraph.core.calendar import READ_AHEAD, CalendarEvent, CalendarShift, read_calendar, write_calendar
from alertgraph.core.errors import InputError
from alertgraph.core.ids import OverrideId, ResponderId, ScheduleId
from alertgraph.core.schedule import OVERRIDE_LENGTH_MAX, Shift
from alertgraph.core.time_zone import zone
from tests.factories import SECOND, T0
from tests.strategies import one_line_texts, wild_texts

seconds = st.integers(1, 100 * 86_400).map(lambda count: count * SECOND)
shifts = st.builds(
    lambda responder, begin, length, override: Shift(
        ResponderId(UUID(int=responder)),
        T0 + begin,
        T0 + begin + length,
        None if override is None else OverrideId(UUID(int=override)),
    ),
    st.integers(1, 3),
    seconds,
    seconds,
    st.none() | st.integers(1, 3),
)
entries = st.builds(
    CalendarShift,
    st.integers(1, 3).map(lambda number: ScheduleId(UUID(int=number))),
    one_line_texts,
    one_line_texts,
    shifts,
    st.sampled_from(["ann@example.com", "ben+call@x.org", "o'neil@example.com"]),
)


@given(one_line_texts, st.lists(entries, max_size=5))
def test_a_calendar_program_reads_what_is_written(name: str, entries: list[CalendarShift]) -> None:
    calendar = Calendar.from_ical(write_calendar(name, entries, T0))

    assert calendar["NAME"] == name
    events = calendar.walk("VEVENT")
    assert [(event.decoded("DTSTART"), event.decoded("DTEND")) for event in events] == [
        (entry.shift.starts_at, entry.shift.ends_at) for entry in entries
    ]
    assert [event["SUMMARY"] for event in events] == [
        f"{entry.responder_name} on call: {entry.schedule_name}" for entry in entries
    ]
    assert [event["ATTENDEE"] for event in events] == [f"mailto:{entry.email}" for entry in entries]


@given(one_line_texts, st.lists(entries, max_size=5))
def test_what_is_written_is_read_again(name: str, entries: list[CalendarShift]) -> None:
    text = write_calendar(name, entries, T0).decode()

    read = read_calendar(text, "Pacific/Apia", T0)

    assert sorted((event.starts_at, event.ends_at, event.emails[0]) for event in read) == sorted(
        (entry.shift.starts_at, entry.shift.ends_at, entry.email) for entry in entries
    )


def read_or_refused(text: str) -> tuple[CalendarEvent, ...]:
    """Return what is read; nothing where the text is refused as it should be, anything else is an error."""
    try:
        return read_calendar(text, "Europe/Berlin", T0)
    except InputError as error:
        if [problem.path for problem in error.problems] != [("calendar",)]:
            raise
        error.message.encode()
        return ()


lines = st.one_of(
    st.sampled_from(
        ["BEGIN:VEVENT", "END:VEVENT", "BEGIN:VTIMEZONE", "END:VTIMEZONE", "BEGIN:STANDARD", "END:STANDARD"]
    ),
    st.builds(
        "{}{}:{}".format,
        st.sampled_from(["DTSTART", "DTEND", "RDATE", "EXDATE", "RECURRENCE-ID", "DURATION"]),
        st.sampled_from(["", ";TZID=Europe/Berlin", ";TZID=Ours", ";VALUE=DATE", ";TZID=", ';TZID="Ours']),
        st.sampled_from(
            [
                *(
                    "20261124T080000",
                    "20261124T080000Z",
                    "20261124",
                    "20261125T000000Z",
                    "20260230",
                    "PT1H",
                    "P1D",
                    "",
                    ",",
                ),
                *(
                    "16000101T000000",
                    "16000101",
                    "89991231T235959Z",
                    "89991231",
                    "20261124T080000,20261125",
                    "-P1W",
                ),
            ]
        ),
    ),
    st.builds(
        "RRULE:FREQ={};{}={}".format,
        st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY"]),
        st.sampled_from(
            ["BYDAY", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYSETPOS", "BYHOUR", "COUNT", "INTERVAL", "UNTIL"]
        ),
        st.sampled_from(["MO", "1MO,-53SU", "5", "-1", "31", "366", "53", "10000", "0", "20261224", "", "1,2,3"]),
    ),
    st.sampled_from(
        ["TZID:Ours", "TZOFFSETFROM:+0100", "TZOFFSETTO:-2359", "ATTENDEE:mailto:a@example.com", "UID:1"]
    ),
    st.sampled_from(["STATUS:CANCELLED", "SUMMARY:b@example.com", "ORGANIZER:", "SUMMARY;=:", " folded", "\t"]),
    wild_texts,
)
events = st.lists(lines, max_size=8).map(
    lambda lines: [
        "BEGIN:VEVENT",
        "UID:1",
        "DTSTART;TZID=Ours:20261124T080000",
        "DURATION:PT1H",
        "ATTENDEE:mailto:a@example.com",
        *lines,
        "END:VEVENT",
    ]
)
zones = st.lists(lines, max_size=4).map(
    lambda lines: [
        *("BEGIN:VTIMEZONE", "TZID:Ours", "BEGIN:STANDARD", "DTSTART:19700101T000000"),
        *("TZOFFSETFROM:+0100", "TZOFFSETTO:+0200", *lines, "END:STANDARD", "END:VTIMEZONE"),
    ]
)


@given(zones, st.lists(events, max_size=3))
@example([], [["BEGIN:VEVENT", "DTSTART:20261124", "ATTENDEE:mailto:a@example.com", "END:VEVENT"]])
def test_whatever_is_sent_is_read_or_refused(zone: list[str], events: list[list[str]]) -> None:
    text = "\r\n".join(["BEGIN:VCALENDAR", *zone, *(line for event in events for line in event), "END:VCALENDAR"])

    read = read_or_refused(text)

    for event in read:
        assert event.starts_at < event.ends_at
        assert event.starts_at.tzinfo is UTC
        assert event.ends_at > T0
        assert event.starts_at < T0 + READ_AHEAD
        assert event.ends_at - event.starts_at <= OVERRIDE_LENGTH_MAX
        assert event.emails


@given(st.text() | wild_texts)
def test_any_text_is_refused(text: str) -> None:
    assert read_or_refused(text) == ()


weekdays = st.lists(st.integers(0, 6), min_size=1, max_size=4, unique=True).map(sorted)


@given(
    st.sampled_from(
        ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu"]
    ),
    st.integers(-400, 300),
    st.integers(0, 1439),
    weekdays,
    st.integers(1, 3),
)
def test_a_weekly_rule_is_each_such_day_on_the_wall(
    name: str, first_day: int, minute: int, days: list[int], interval: int
) -> None:
    first = datetime(2026, 11, 23) + timedelta(days=first_day)  # noqa: DTZ001 - what a clock on the wall shows
    first += timedelta(days=(days[0] - first.weekday()) % 7, minutes=minute)
    by_day = ",".join(("MO", "TU", "WE", "TH", "FR", "SA", "SU")[day] for day in days)
    text = "\r\n".join(
        [
            *("BEGIN:VCALENDAR", "BEGIN:VEVENT", "ATTENDEE:mailto:a@example.com", "DURATION:PT3H"),
            f"DTSTART;TZID={name}:{first:%Y%m%dT%H%M%S}",
            f"RRULE:FREQ=WEEKLY;INTERVAL={interval};BYDAY={by_day}",
            *("END:VEVENT", "END:VCALENDAR", ""),
        ]
    )

    read = read_calendar(text, "UTC", T0)

    monday = first - timedelta(days=first.weekday())
    expected = []
    for number in range(1200):
        wall = first + timedelta(days=number)
        if wall.weekday() in days and (wall - monday).days // 7 % interval == 0:
            begin = wall.replace(tzinfo=zone(name)).astimezone(UTC)
            end = (wall + timedelta(hours=3)).replace(tzinfo=zone(name)).astimezone(UTC)
            if end > T0 and begin < T0 + READ_AHEAD:
                expected.append((begin, end))
    assert [(event.starts_at, event.ends_at) for event in read] == expected
