"""Calendars written and read; the other side of what is written is the parser of the icalendar library."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from icalendar import Calendar

from alertgraph.core.calendar import CalendarEvent, CalendarShift, read_calendar, write_calendar
from alertgraph.core.errors import ErrorCode, InputError
from alertgraph.core.ids import OverrideId, ResponderId, ScheduleId
from alertgraph.core.schedule import Shift
from tests.factories import DAY, HOUR, MINUTE, T0

BERLIN = "Europe/Berlin"
ANN = "ATTENDEE;CN=Ann:mailto:ann@example.com"


def an_event(*lines: str) -> str:
    return "\r\n".join(["BEGIN:VEVENT", "UID:1", "SUMMARY:Ann", ANN, *lines, "END:VEVENT"])


def a_calendar(*components: str) -> str:
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:test", *components, "END:VCALENDAR", ""])


def spans(text: str, time_zone: str = BERLIN, now: datetime = T0) -> list[str]:
    """Return begin and end of what is read, in UTC."""
    return [
        f"{event.starts_at:%m-%d %H:%M} to {event.ends_at:%m-%d %H:%M}"
        for event in read_calendar(text, time_zone, now)
    ]


def refusal(text: str) -> str:
    with pytest.raises(InputError) as refused:
        read_calendar(text, BERLIN, T0)
    (problem,) = refused.value.problems
    assert problem.code is ErrorCode.INVALID_INPUT
    assert problem.path == ("calendar",)
    assert len(problem.message) < 400
    assert problem.message.encode()
    return problem.message


# ------------------------------------------------------------------------------------------ out


def an_entry(begin: datetime = T0, length: timedelta = DAY, **fields: object) -> CalendarShift:
    override_id = fields.pop("override_id", None)
    shift = Shift(ResponderId(UUID(int=2)), begin, begin + length, override_id)  # type: ignore[arg-type]
    contents: dict[str, object] = {
        "schedule_id": ScheduleId(UUID(int=1)),
        "schedule_name": "primary",
        "responder_name": "Ann",
        "shift": shift,
    }
    return CalendarShift(**{**contents, **fields})  # type: ignore[arg-type]


def test_a_feed_is_what_calendar_programs_expect() -> None:
    entries = [
        an_entry(),
        an_entry(
            T0 + DAY,
            override_id=OverrideId(UUID(int=9)),
            responder_name="Bén; of \\ the, night",
            email="b@example.com",
        ),
    ]

    raw = write_calendar("On call, primary", entries, T0)

    assert b"\r\n" in raw
    assert max(map(len, raw.split(b"\r\n"))) <= 75
    calendar = Calendar.from_ical(raw)
    assert calendar["VERSION"] == "2.0"
    assert "alertgraph" in calendar["PRODID"]
    assert calendar["METHOD"] == "PUBLISH"
    assert calendar["NAME"] == calendar["X-WR-CALNAME"] == "On call, primary"
    assert calendar.decoded("REFRESH-INTERVAL") == HOUR
    assert calendar["REFRESH-INTERVAL"].params["VALUE"] == "DURATION"
    assert calendar["X-PUBLISHED-TTL"] == "PT1H"
    first, second = calendar.walk("VEVENT")
    assert (first.decoded("DTSTART"), first.decoded("DTEND")) == (T0, T0 + DAY)
    assert b"DTSTART:20261123T120000Z\r\n" in raw
    assert first["SUMMARY"] == "Ann on call: primary"
    assert first.decoded("DTSTAMP") == T0
    assert first["TRANSP"] == "TRANSPARENT"
    assert "ATTENDEE" not in first
    assert "DESCRIPTION" not in first
    assert second["SUMMARY"] == "Bén; of \\ the, night on call: primary"
    assert second["ATTENDEE"] == "mailto:b@example.com"
    assert second["DESCRIPTION"] == "Stands in."
    assert first["UID"] != second["UID"]


def test_a_shift_keeps_its_uid_when_its_end_moves() -> None:
    def uids(*entries: CalendarShift) -> list[str]:
        return [event["UID"] for event in Calendar.from_ical(write_calendar("x", entries, T0)).walk("VEVENT")]

    assert uids(an_entry(length=HOUR)) == uids(an_entry(length=DAY, schedule_name="other", responder_name="Anna"))
    assert uids(an_entry()) != uids(an_entry(T0 + HOUR))
    assert uids(an_entry()) != uids(an_entry(schedule_id=ScheduleId(UUID(int=7))))


def test_the_same_shifts_give_the_same_bytes() -> None:
    assert write_calendar("x", [an_entry()], T0) == write_calendar("x", [an_entry()], T0)


def test_an_empty_feed_is_a_calendar_still() -> None:
    assert Calendar.from_ical(write_calendar("x", [], T0)).walk("VEVENT") == []


def test_a_shift_of_less_than_a_second_is_left_out() -> None:
    entries = [an_entry(length=timedelta(microseconds=5)), an_entry()]

    assert len(Calendar.from_ical(write_calendar("x", entries, T0)).walk("VEVENT")) == 1


# ------------------------------------------------------------------------------------------ times


@pytest.mark.parametrize(
    ("lines", "span"),
    [
        (["DTSTART:20261124T080000Z", "DTEND:20261124T160000Z"], "11-24 08:00 to 11-24 16:00"),
        (["DTSTART:20261124T080000", "DTEND:20261124T160000"], "11-24 07:00 to 11-24 15:00"),
        (["DTSTART;TZID=America/New_York:20261124T080000", "DURATION:PT8H"], "11-24 13:00 to 11-24 21:00"),
        (
            ["DTSTART;TZID=America/New_York:20261124T080000", "DTEND:20261124T160000Z"],
            "11-24 13:00 to 11-24 16:00",
        ),
        (["DTSTART;TZID=W. Europe Standard Time:20261124T080000", "DURATION:P1D"], "11-24 07:00 to 11-25 07:00"),
        (
            ["DTSTART;TZID=/vendor.example/Europe/Berlin:20261124T080000", "DURATION:+P1W"],
            "11-24 07:00 to 12-01 07:00",
        ),
        (['DTSTART;TZID="Asia/Kathmandu":20261124T080000', "DURATION:PT45M"], "11-24 02:15 to 11-24 03:00"),
        (["DTSTART;VALUE=DATE:20261124", "DTEND;VALUE=DATE:20261126"], "11-23 23:00 to 11-25 23:00"),
        (["DTSTART;VALUE=DATE:20261124"], "11-23 23:00 to 11-24 23:00"),
        (["DTSTART;VALUE=DATE:20261124", "DURATION:P2D"], "11-23 23:00 to 11-25 23:00"),
        (["DTSTART;TZID=America/New_York;VALUE=DATE:20261124"], "11-23 23:00 to 11-24 23:00"),  # a day has no zone
        (["dtstart;value=date:20261124"], "11-23 23:00 to 11-24 23:00"),
        # Under way.
        (["DTSTART:20261101T000000Z", "DTEND:20261124T000000Z"], "11-01 00:00 to 11-24 00:00"),
        # Over a change of clocks: a day on the wall has 25 hours.
        (["DTSTART;VALUE=DATE:20271031"], "10-30 22:00 to 10-31 23:00"),
    ],
)
def test_times_are_read_as_written(lines: list[str], span: str) -> None:
    assert spans(a_calendar(an_event(*lines))) == [span]


def test_a_zone_that_a_calendar_brings_along_is_read_from_it() -> None:
    zone = "\r\n".join(
        [
            "BEGIN:VTIMEZONE",
            "TZID:Customized Time Zone",
            "BEGIN:STANDARD",
            "DTSTART:16010101T030000",
            "TZOFFSETFROM:+0200",
            "TZOFFSETTO:+0100",
            "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10",
            "END:STANDARD",
            "BEGIN:DAYLIGHT",
            "DTSTART:16010101T020000",
            "TZOFFSETFROM:+0100",
            "TZOFFSETTO:+0200",
            "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3",
            "END:DAYLIGHT",
            "END:VTIMEZONE",
        ]
    )
    begins = [
        *("20261124T080000", "20270327T120000", "20270328T015900", "20270328T023000", "20270328T030000"),
        *("20271031T015900", "20271031T023000", "20271031T030000"),
    ]
    own = [an_event(f"DTSTART;TZID=Customized Time Zone:{begin}", "DURATION:PT3H") for begin in begins]
    named = [an_event(f"DTSTART;TZID=Europe/Berlin:{begin}", "DURATION:PT3H") for begin in begins]

    # The zone may be told behind its use, and says what Berlin says, gaps and repetitions included.
    assert spans(a_calendar(*own, zone), "UTC") == spans(a_calendar(*named), "UTC")
    daily = (
        "DTSTART;TZID=Customized Time Zone:20261124T080000",
        "DURATION:P1D",
        "RRULE:FREQ=DAILY;UNTIL=20270401T000000Z",
    )
    assert spans(a_calendar(an_event(*daily), zone), "UTC") == spans(
        a_calendar(an_event(*[line.replace("Customized Time Zone", BERLIN) for line in daily])), "UTC"
    )


def test_a_known_name_has_our_rules_whatever_the_calendar_says() -> None:
    zone = (
        "BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\n"
        "TZOFFSETFROM:+0900\r\nTZOFFSETTO:+0900\r\nEND:STANDARD\r\nEND:VTIMEZONE"
    )
    event = an_event("DTSTART;TZID=Europe/Berlin:20261124T080000", "DURATION:PT1H")

    assert spans(a_calendar(zone, event)) == ["11-24 07:00 to 11-24 08:00"]


def test_what_one_calendar_says_of_a_zone_is_unknown_to_the_next() -> None:
    zone = (
        "BEGIN:VTIMEZONE\r\nTZID:Ours\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\n"
        "TZOFFSETFROM:+0900\r\nTZOFFSETTO:+0900\r\nEND:STANDARD\r\nEND:VTIMEZONE"
    )
    event = an_event("DTSTART;TZID=Ours:20261124T080000", "DURATION:PT1H")

    assert spans(a_calendar(zone, event)) == ["11-23 23:00 to 11-24 00:00"]
    assert "'Ours' is unknown" in refusal(a_calendar(event))


def test_a_place_helps_with_a_name_of_ones_own() -> None:
    zone = "BEGIN:VTIMEZONE\r\nTZID:Ours\r\nX-LIC-LOCATION:Asia/Tokyo\r\nEND:VTIMEZONE"

    assert spans(a_calendar(zone, an_event("DTSTART;TZID=Ours:20261124T080000", "DURATION:PT1H"))) == [
        "11-23 23:00 to 11-24 00:00"
    ]


# ------------------------------------------------------------------------------------------ recurrence


@pytest.mark.parametrize(
    ("lines", "begins"),
    [
        (["RRULE:FREQ=WEEKLY;COUNT=3"], ["11-24 08:00", "12-01 08:00", "12-08 08:00"]),
        (["RRULE:FREQ=WEEKLY;UNTIL=20261201T080000Z"], ["11-24 08:00", "12-01 08:00"]),
        (["RRULE:FREQ=WEEKLY;UNTIL=20261201"], ["11-24 08:00", "12-01 08:00"]),
        (["RRULE:FREQ=WEEKLY;UNTIL=20261130"], ["11-24 08:00"]),
        (["RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,FR;COUNT=3"], ["11-24 08:00", "11-27 08:00", "12-08 08:00"]),
        (["RRULE:FREQ=MONTHLY;BYDAY=-1TU;COUNT=2"], ["11-24 08:00", "12-29 08:00"]),
        (
            ["RRULE:FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1;COUNT=3"],
            ["11-24 08:00", "12-01 08:00", "01-01 08:00", "02-01 08:00"],
        ),
        (["RRULE:FREQ=HOURLY;INTERVAL=8;COUNT=3"], ["11-24 08:00", "11-24 16:00", "11-25 00:00"]),
        (["RRULE:FREQ=DAILY;BYHOUR=8,20;COUNT=3"], ["11-24 08:00", "11-24 20:00", "11-25 08:00"]),
        (["RRULE:FREQ=DAILY;COUNT=4", "EXDATE:20261125T080000Z,20261126T080000Z"], ["11-24 08:00", "11-27 08:00"]),
        (["RRULE:FREQ=DAILY;COUNT=3", "EXDATE;VALUE=DATE:20261125"], ["11-24 08:00", "11-26 08:00"]),
        (["RDATE:20261130T080000Z,20261124T080000Z"], ["11-24 08:00", "11-30 08:00"]),
        (["RRULE:FREQ=YEARLY"], ["11-24 08:00"]),  # the next is 365 days on, and one more than may be seen
        (["RRULE:freq=weekly;count=1;"], ["11-24 08:00"]),
    ],
)
def test_recurring_events_are_followed(lines: list[str], begins: list[str]) -> None:
    text = a_calendar(an_event("DTSTART:20261124T080000Z", "DTEND:20261124T090000Z", *lines))

    assert [span[:11] for span in spans(text, "UTC", T0 - 5 * DAY)] == begins


def test_a_weekly_shift_has_no_hole_when_clocks_change() -> None:
    text = a_calendar(
        an_event(
            "DTSTART;TZID=Europe/Berlin:20270315T090000",
            "DTEND;TZID=Europe/Berlin:20270322T090000",
            "RRULE:FREQ=WEEKLY;COUNT=3",
        )
    )

    assert spans(text) == [
        "03-15 08:00 to 03-22 08:00",
        "03-22 08:00 to 03-29 07:00",
        "03-29 07:00 to 04-05 07:00",
    ]


def test_a_rule_that_began_long_ago_is_followed_for_a_year_from_now() -> None:
    events = read_calendar(
        a_calendar(an_event("DTSTART:20100104T080000Z", "DURATION:P1D", "RRULE:FREQ=DAILY")), "UTC", T0
    )

    assert len(events) == 367  # the one under way, and those of 366 days
    assert events[0].starts_at == T0.replace(hour=8)
    assert events[-1].starts_at < T0 + 366 * DAY


def test_an_exception_stands_for_the_recurrence_it_moves() -> None:
    text = a_calendar(
        an_event("DTSTART:20261124T080000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=3"),
        an_event("RECURRENCE-ID:20261125T080000Z", "DTSTART:20261125T180000Z", "DURATION:PT2H"),
        an_event(
            "RECURRENCE-ID:20261126T080000Z", "DTSTART:20261126T080000Z", "DURATION:PT2H", "STATUS:CANCELLED"
        ),
    )

    assert spans(text) == ["11-24 08:00 to 11-24 09:00", "11-25 18:00 to 11-25 20:00"]


def test_what_is_over_far_off_or_cancelled_is_left_out() -> None:
    text = a_calendar(
        an_event("DTSTART:20261123T110000Z", "DTEND:20261123T120000Z"),  # T0: just over
        an_event("DTSTART:20271124T120000Z", "DURATION:PT1H"),  # in 366 days
        an_event("DTSTART:20261124T080000Z", "DURATION:PT1H", "STATUS:CANCELLED"),
        an_event("DTSTART:20000101T000000Z", "DTEND:20200101T000000Z"),
        an_event("DTSTART:20261123T115959Z", "DTEND:20261123T120001Z"),
        an_event("DTSTART:20271124T115959Z", "DURATION:PT1H"),
    )

    assert spans(text) == ["11-23 11:59 to 11-23 12:00", "11-24 11:59 to 11-24 12:59"]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=WEEKLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30;BYHOUR=4",
        "FREQ=DAILY;INTERVAL=7;BYDAY=MO",  # 24 November 2026 is a Tuesday
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;BYSETPOS=" + ",".join(map(str, range(1, 100))),
    ],
)
def test_a_rule_that_never_comes_true_costs_little(rule: str) -> None:
    text = a_calendar(*[an_event("DTSTART:20261124T080000Z", "DURATION:PT1H", f"RRULE:{rule}")] * 50)

    begun = time.process_time()
    message = refusal(text)

    assert time.process_time() - begun < 10  # to the year 9999 fifty times it would be minutes
    assert "recurs too often" in message


# ------------------------------------------------------------------------------------------ people


@pytest.mark.parametrize(
    ("lines", "emails"),
    [
        ([ANN], ("ann@example.com",)),
        (["ATTENDEE:MAILTO:Ann.Lee@Example.COM"], ("ann.lee@example.com",)),
        (["ATTENDEE:mailto:ann%2Bcall@example.com?subject=x"], ("ann+call@example.com",)),
        (['ATTENDEE;EMAIL="ann@example.com":urn:uuid:1'], ("ann@example.com",)),
        (["ORGANIZER:mailto:boss@example.com"], ("boss@example.com",)),
        (
            ["ORGANIZER:mailto:boss@example.com", ANN, "ATTENDEE:mailto:b@example.com"],
            ("ann@example.com", "b@example.com", "boss@example.com"),
        ),
        (["ATTENDEE;CUTYPE=ROOM:mailto:room@example.com", ANN], ("ann@example.com",)),
        (["ATTENDEE;PARTSTAT=DECLINED:mailto:b@example.com", ANN], ("ann@example.com",)),
        (["SUMMARY:On call: ann@example.com"], ("ann@example.com",)),
        (["SUMMARY:Ann Lee <ann@example.com>\\, primary"], ("ann@example.com",)),
        (["SUMMARY:ann@example.com", ANN], ("ann@example.com",)),
        (["ATTENDEE:mailto:nobody", "SUMMARY:ann@example.com"], ("ann@example.com",)),
        # What is inside of an alarm is not about the event.
        (
            ["BEGIN:VALARM", "ATTENDEE:mailto:alarm@example.com", "SUMMARY:x", "END:VALARM", ANN],
            ("ann@example.com",),
        ),
    ],
)
def test_people_are_told_likeliest_first(lines: list[str], emails: tuple[str, ...]) -> None:
    event = ["BEGIN:VEVENT", "DTSTART:20261124T080000Z", "DURATION:PT1H", *lines, "END:VEVENT"]

    (read,) = read_calendar(a_calendar("\r\n".join(event)), BERLIN, T0)

    assert read.emails == emails


def test_a_summary_is_read_without_its_escapes_and_folds() -> None:
    text = a_calendar(
        "BEGIN:VEVENT\r\nDTSTART:20261124T080000Z\r\nDURATION:PT1H\r\n"
        "SUMMARY:Ann\\, of\r\n  the \\\\ night \\; shift\r\nORGANIZER:mailto:ann@exam\r\n\tple.com\r\nEND:VEVENT"
    )

    assert read_calendar(text, BERLIN, T0) == (
        CalendarEvent(("ann@example.com",), T0 + 20 * HOUR, T0 + 21 * HOUR, "Ann, of the \\ night ; shift"),
    )


# ------------------------------------------------------------------------------------------ what is wrong

SOON = "DTSTART:20261124T080000Z"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no iCalendar"),
        ("\r\n\r\n", "no iCalendar"),
        ("hello", "'hello' is no line"),
        ('{"events": []}', "is no line"),
        ("BEGIN:VEVENT\r\nEND:VEVENT", "no iCalendar"),
        ("SUMMARY:x", "outside of any calendar"),
        ("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1", "breaks off inside of 'VEVENT'"),
        ("BEGIN:VCALENDAR\r\nEND:VEVENT", "'END:VEVENT' has no BEGIN"),
        ("END:VCALENDAR", "has no BEGIN"),
        ("BEGIN:X\r\n" * 20, "inside of too much else"),
        (a_calendar("\ud800"), "is no line"),
        (a_calendar("X" * 1_048_577), "1,048,576 bytes"),
        (a_calendar("X-NOTE:" + "ü" * 600_000), "1,048,576 bytes"),
        (a_calendar(an_event()), "'Ann' is refused: it has no DTSTART"),
        (a_calendar(an_event("DTSTART:tomorrow")), "'tomorrow' is no date or time"),
        (a_calendar(an_event("DTSTART:20261324T080000Z")), "on no calendar or clock"),
        (a_calendar(an_event("DTSTART:20260230")), "on no calendar or clock"),
        (a_calendar(an_event("DTSTART:20261124T250000Z")), "on no calendar or clock"),
        (a_calendar(an_event("DTSTART:00000101T000000Z")), "not in the years"),
        (a_calendar(an_event("DTSTART:99991231T235959")), "not in the years"),
        (a_calendar(an_event(SOON)), "ends no later than it begins"),
        (a_calendar(an_event(SOON, "DTEND:20261124T080000Z")), "ends no later than it begins"),
        (a_calendar(an_event(SOON, "DURATION:PT0S")), "ends no later than it begins"),
        (a_calendar(an_event(SOON, "DURATION:-PT1H")), "is no DURATION"),
        (a_calendar(an_event(SOON, "DURATION:300")), "is no DURATION"),
        (a_calendar(an_event(SOON, "DURATION:PXH")), "is no length of time"),
        (a_calendar(an_event(SOON, "DURATION:P99999999999D")), "longer than can be kept"),
        (a_calendar(an_event(SOON, "DURATION:P999999999D")), "longer than 100 days"),
        (a_calendar(an_event(SOON, "DTEND:20270305T080000Z")), "longer than 100 days"),
        (a_calendar(an_event(SOON, "DTEND:89991231T000000Z", "RRULE:FREQ=DAILY")), "longer than 100 days"),
        (a_calendar(an_event(SOON, "DTEND;VALUE=DATE:20261125")), "one is a day, the other a time"),
        (
            a_calendar(an_event("DTSTART;TZID=Mars/Olympus:20261124T080000", "DURATION:PT1H")),
            "'Mars/Olympus' is unknown",
        ),
        (a_calendar(an_event("DTSTART;TZID=../../etc/passwd:20261124T080000")), "is unknown"),
        (a_calendar(an_event(SOON, "DURATION:PT1H", "RRULE:FREQ=SECONDLY")), "it recurs 'SECONDLY'"),
        (a_calendar(an_event(SOON, "DURATION:PT1H", "RRULE:FREQ=MINUTELY")), "it recurs 'MINUTELY'"),
        (a_calendar(an_event(SOON, "DURATION:PT1H", "RRULE:COUNT=3")), "it recurs ''"),
        (a_calendar(an_event(SOON, "DURATION:PT1H", "RRULE:daily")), "RRULE says 'DAILY'"),
        (a_calendar(an_event(SOON, "DURATION:PT1H", "RRULE:FREQ=DAILY;FREQ=DAILY")), "RRULE says"),
        (a_calendar(an_event(SOON, "DURATION:PT1H", "RRULE:FREQ=DAILY;INTERVAL=0")), "INTERVAL of its RRULE"),
        (
            a_calendar(an_event(SOON, "DURATION:PT1H", "RRULE:FREQ=DAILY;INTERVAL=" + "9" * 400)),
            "INTERVAL of its RRULE",
        ),
        (a_calendar(an_event(SOON, "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=-1")), "COUNT of its RRULE"),
        (a_calendar(an_event(SOON, "DURATION:PT1H", "RRULE:FREQ=YEARLY;BYMONTH=13")), "BYMONTH of its RRULE"),
        (a_calendar(an_event(SOON, "DURATION:PT1H", "RRULE:FREQ=YEARLY;BYMONTHDAY=0")), "BYMONTHDAY of its RRULE"),
        (a_calendar(an_event(SOON, "DURATION:PT1H", "RRULE:FREQ=DAILY;BYHOUR=24")), "BYHOUR of its RRULE"),
        (a_calendar(an_event(SOON, "DURATION:PT1H", "RRULE:FREQ=WEEKLY;BYDAY=1MO")), "BYDAY of its RRULE"),
        (a_calendar(an_event(SOON, "DURATION:PT1H", "RRULE:FREQ=MONTHLY;BYDAY=0MO")), "BYDAY of its RRULE"),
        (a_calendar(an_event(SOON, "DURATION:PT1H", "RRULE:FREQ=WEEKLY;WKST=XX")), "not known here"),
        (a_calendar(an_event(SOON, "DURATION:PT1H", "RRULE:FREQ=DAILY;BYMINUTE=1,2")), "not known here"),
        (
            a_calendar(an_event(SOON, "DURATION:PT1H", "RRULE:FREQ=DAILY;UNTIL=never")),
            "'NEVER' is no date or time",
        ),
        (
            a_calendar(an_event(SOON, "DURATION:PT1H", "RRULE:FREQ=DAILY;BYMONTHDAY=" + "1," * 300 + "1")),
            "500 characters",
        ),
        (
            a_calendar(an_event(SOON, "DURATION:PT1H", "RRULE:FREQ=DAILY", "RRULE:FREQ=WEEKLY")),
            "more than one RRULE",
        ),
        (a_calendar(an_event(SOON, "DURATION:PT1H", "RRULE:FREQ=HOURLY;INTERVAL=1")), "more than 1,000 events"),
        (a_calendar(*[an_event(SOON, "DURATION:PT1H")] * 1001), "more than 1,000 events"),
        (
            a_calendar(an_event(SOON, "DURATION:PT1H", "RDATE;VALUE=PERIOD:20261125T080000Z/PT1H")),
            "is no date or time",
        ),
        (
            a_calendar(an_event(SOON, "DURATION:PT1H", "RECURRENCE-ID;RANGE=THISANDFUTURE:20261125T080000Z")),
            "RANGE",
        ),
        (
            a_calendar(f"BEGIN:VEVENT\r\nUID:77\r\n{SOON}\r\nDURATION:PT1H\r\nEND:VEVENT"),
            "'77' is refused: it names nobody",
        ),
        (
            a_calendar(f"BEGIN:VEVENT\r\n{SOON}\r\nDURATION:PT1H\r\nATTENDEE:ann\r\nEND:VEVENT"),
            "'without a name' is refused: it names nobody",
        ),
        (
            a_calendar(
                "BEGIN:VTIMEZONE\r\nTZID:Ours\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:1\r\n"
                "END:STANDARD\r\nEND:VTIMEZONE",
                an_event("DTSTART;TZID=Ours:20261124T080000"),
            ),
            "are offsets such as",
        ),
        (
            a_calendar(
                "BEGIN:VTIMEZONE\r\nTZID:Ours\r\nEND:VTIMEZONE", an_event("DTSTART;TZID=Ours:20261124T080000")
            ),
            "not described",
        ),
        (
            a_calendar(
                "BEGIN:VTIMEZONE\r\nTZID:Ours\r\nBEGIN:STANDARD\r\nDTSTART:20000101T000000\r\nTZOFFSETFROM:+0100\r\n"
                "TZOFFSETTO:+0100\r\nRRULE:FREQ=DAILY\r\nEND:STANDARD\r\nEND:VTIMEZONE",
                an_event("DTSTART;TZID=Ours:20261124T080000"),
            ),
            "not described",
        ),
    ],
)
def test_what_is_wrong_is_named(text: str, says: str) -> None:
    assert says in refusal(text)


def test_an_unknown_zone_of_the_schedule_is_not_the_calendars_fault() -> None:
    with pytest.raises(InputError) as refused:
        read_calendar(a_calendar(), "Mars/Olympus", T0)

    assert refused.value.problems[0].path == ("timeZone",)


def test_what_is_not_looked_at_may_be_odd() -> None:
    text = a_calendar(
        "BEGIN:VTODO", "DUE;=;:x", "END:VTODO", an_event(SOON, "DURATION:PT1H", 'X-ODD;A="unclosed:x', "COMMENT:")
    )

    assert spans("\ufeff" + text.replace("\r\n", "\n")) == ["11-24 08:00 to 11-24 09:00"]


def test_a_thousand_events_and_a_large_text_are_taken() -> None:
    events = [an_event(SOON, f"DURATION:PT{minutes}M", "DESCRIPTION:" + "x" * 800) for minutes in range(1, 1001)]

    begun = time.process_time()
    read = read_calendar(a_calendar(*events), BERLIN, T0)

    assert len(read) == 1000
    assert read[-1].ends_at - read[-1].starts_at == 1000 * MINUTE
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    "filling",
    [
        *(
            "\r\n",
            "\r\n ",
            "A:\n",
            "SUMMARY;",
            "SUMMARY:a@",
            "BEGIN:VEVENT\nEND:VEVENT\n",
            "BEGIN:X\nEND:X\n",
            '"',
            "\\",
            ";=",
            "SUMMARY;A=\\",
        ),
        "SUMMARY; = ; = ;",
        "DTSTART;X=" + ",".join("ab" * 50) + ":20261124T080000Z\n",
    ],
)
def test_a_large_text_of_nonsense_costs_little(filling: str) -> None:
    text = (
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\n" + filling * (1_000_000 // len(filling)) + "\nEND:VEVENT\nEND:VCALENDAR\n"
    )

    begun = time.process_time()
    refusal(text)

    assert time.process_time() - begun < 10


def test_what_we_write_we_read() -> None:
    entries = [an_entry(T0 + day * DAY, email="ann@example.com") for day in range(3)]

    read = read_calendar(write_calendar("x", entries, T0).decode(), BERLIN, T0)

    assert [(event.emails, event.starts_at, event.ends_at, event.summary) for event in read] == [
        (("ann@example.com",), entry.shift.starts_at, entry.shift.ends_at, "Ann on call: primary")
        for entry in entries
    ]


def test_instants_are_in_utc() -> None:
    (event,) = read_calendar(a_calendar(an_event("DTSTART;VALUE=DATE:20261124")), BERLIN, T0)

    assert event.starts_at.tzinfo is UTC
    assert event.ends_at.tzinfo is UTC
