"""Who is on call when: boundaries by example; tests/property/core/test_schedule.py has the laws."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from alertgraph.core.errors import RefusedError
from alertgraph.core.ids import OverrideId, ResponderId, ScheduleId
from alertgraph.core.schedule import (
    Rotation,
    Schedule,
    Shift,
    ShiftOverride,
    WeeklyWindow,
    check_override,
    check_schedule,
    next_change_at,
    on_call_at,
    shifts,
)
from tests.factories import ADA, DAY, HOUR, MINUTE, SECOND, T0

ANN, BEN, CLEO = (ResponderId(UUID(int=number)) for number in (1, 2, 3))
NAMES = {ANN: "Ann", BEN: "Ben", CLEO: "Cleo"}
BERLIN = "Europe/Berlin"
WEEK = 7 * DAY
WEEKDAYS = (0, 1, 2, 3, 4)
EVER = datetime.min.replace(tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC)


def at(text: str) -> datetime:
    """Return an instant, written in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def a_rotation(
    *people: ResponderId, since: str = "2026-03-23T08:00", length: timedelta = DAY, **more: object
) -> Rotation:
    return Rotation(people or (ANN, BEN), at(since), length, **more)  # type: ignore[arg-type]


def a_schedule(*rotations: Rotation, time_zone: str = BERLIN) -> Schedule:
    return Schedule(ScheduleId(UUID(int=1)), "primary", time_zone, rotations)


def an_override(who: ResponderId, begin: str, end: str, version: int = 1, number: int = 1) -> ShiftOverride:
    return ShiftOverride(
        OverrideId(UUID(int=number)), ScheduleId(UUID(int=1)), who, at(begin), at(end), ADA, version
    )


def told(found: tuple[Shift, ...]) -> list[str]:
    """Return shifts as a person would note them, in UTC."""
    return [
        f"{NAMES[shift.responder_id]}{'' if shift.override_id is None else '!'} "
        f"{shift.starts_at:%a %d %H:%M} to {shift.ends_at:%a %d %H:%M}"
        for shift in found
    ]


# ------------------------------------------------------------------------------------------ turns


def test_nobody_is_on_call_without_rotations() -> None:
    schedule = a_schedule()

    assert on_call_at(schedule, (), T0) == ()
    assert shifts(schedule, (), T0, T0 + WEEK) == ()
    assert next_change_at(schedule, (), T0) is None


def test_people_take_turns_from_the_first_hand_off_on() -> None:
    schedule = a_schedule(a_rotation(ANN, BEN, CLEO))

    assert on_call_at(schedule, (), at("2026-03-23T07:59:59")) == ()
    assert on_call_at(schedule, (), at("2026-03-23T08:00")) == (ANN,)
    assert on_call_at(schedule, (), at("2026-03-24T07:59:59")) == (ANN,)
    assert on_call_at(schedule, (), at("2026-03-24T08:00")) == (BEN,)
    assert on_call_at(schedule, (), at("2026-03-25T08:00")) == (CLEO,)
    assert on_call_at(schedule, (), at("2026-03-26T08:00")) == (ANN,)


def test_whole_days_keep_the_time_on_the_wall_when_clocks_change() -> None:
    spring = a_schedule(a_rotation(since="2026-03-27T08:00"))
    autumn = a_schedule(a_rotation(since="2026-10-23T07:00", length=timedelta(hours=24)))

    assert told(shifts(spring, (), at("2026-03-28T12:00"), at("2026-03-30T00:00"))) == [
        "Ben Sat 28 08:00 to Sun 29 07:00",
        "Ann Sun 29 07:00 to Mon 30 07:00",
    ]
    assert told(shifts(autumn, (), at("2026-10-24T12:00"), at("2026-10-26T00:00"))) == [
        "Ben Sat 24 07:00 to Sun 25 08:00",
        "Ann Sun 25 08:00 to Mon 26 08:00",
    ]


def test_other_lengths_count_real_time() -> None:
    schedule = a_schedule(a_rotation(since="2026-03-28T23:00", length=8 * HOUR))

    assert told(shifts(schedule, (), at("2026-03-28T23:00"), at("2026-03-29T16:00"))) == [
        "Ann Sat 28 23:00 to Sun 29 07:00",
        "Ben Sun 29 07:00 to Sun 29 15:00",
        "Ann Sun 29 15:00 to Sun 29 23:00",
    ]


def test_a_hand_off_that_clocks_skip_is_when_the_gap_is_over() -> None:
    schedule = a_schedule(a_rotation(since="2026-03-28T01:30"))

    assert told(shifts(schedule, (), at("2026-03-28T12:00"), at("2026-03-30T12:00"))) == [
        "Ann Sat 28 01:30 to Sun 29 01:00",
        "Ben Sun 29 01:00 to Mon 30 00:30",
        "Ann Mon 30 00:30 to Tue 31 00:30",
    ]


def test_a_hand_off_that_clocks_show_twice_is_the_first_of_the_two() -> None:
    schedule = a_schedule(a_rotation(since="2026-10-24T00:30"))

    assert told(shifts(schedule, (), at("2026-10-24T12:00"), at("2026-10-26T00:00"))) == [
        "Ann Sat 24 00:30 to Sun 25 00:30",
        "Ben Sun 25 00:30 to Mon 26 01:30",
    ]


def test_what_was_handed_over_stays_so_when_clocks_show_the_hour_again() -> None:
    schedule = a_schedule(a_rotation(since="2026-10-24T00:30"))

    assert on_call_at(schedule, (), at("2026-10-25T00:29")) == (ANN,)
    for again in (
        "2026-10-25T00:30",
        "2026-10-25T01:00",
        "2026-10-25T01:29",
        "2026-10-25T01:30",
        "2026-10-26T01:29",
    ):
        assert on_call_at(schedule, (), at(again)) == (BEN,)
    assert told(shifts(schedule, (), at("2026-10-25T01:10"), at("2026-10-25T01:11"))) == [
        "Ben Sun 25 00:30 to Mon 26 01:30"
    ]


def test_the_first_hand_off_is_the_instant_that_was_said_even_if_it_is_the_second_of_the_two() -> None:
    schedule = a_schedule(a_rotation(since="2026-10-25T01:30"))

    assert on_call_at(schedule, (), at("2026-10-25T01:29")) == ()
    assert told(shifts(schedule, (), at("2026-10-25T00:00"), at("2026-10-26T02:00"))) == [
        "Ann Sun 25 01:30 to Mon 26 01:30",
        "Ben Mon 26 01:30 to Tue 27 01:30",
    ]


def test_whoever_has_the_day_that_is_left_out_is_passed_over() -> None:
    # 28 December, 00:00 in Apia; the 30th is left out.
    schedule = a_schedule(a_rotation(ANN, BEN, CLEO, since="2011-12-28T10:00"), time_zone="Pacific/Apia")

    assert told(shifts(schedule, (), at("2011-12-28T10:00"), at("2011-12-31T12:00"))) == [
        "Ann Wed 28 10:00 to Thu 29 10:00",
        "Ben Thu 29 10:00 to Fri 30 10:00",
        "Ann Fri 30 10:00 to Sat 31 10:00",
        "Ben Sat 31 10:00 to Sun 01 10:00",
    ]
    assert on_call_at(schedule, (), at("2011-12-30T10:00")) == (ANN,)


def test_the_zone_of_an_instant_does_not_matter() -> None:
    schedule = a_schedule(a_rotation())
    moment = at("2026-03-24T08:00").astimezone(timezone(timedelta(hours=-11)))

    assert on_call_at(schedule, (), moment) == (BEN,)
    assert next_change_at(schedule, (), moment) == at("2026-03-25T08:00")
    assert shifts(schedule, (), moment, moment + SECOND) == shifts(
        schedule, (), at("2026-03-24T08:00"), at("2026-03-24T08:01")
    )


def test_sixty_million_hand_offs_later_it_is_as_quick() -> None:
    schedule = a_schedule(a_rotation(ANN, BEN, CLEO, since="2000-01-01T00:00", length=HOUR))
    late = at("8999-12-01T00:30")

    (who,) = on_call_at(schedule, (), late)

    assert who == (ANN, BEN, CLEO)[(late - at("2000-01-01T00:00")) // HOUR % 3]
    assert next_change_at(schedule, (), late) == late + 30 * MINUTE
    assert len(shifts(schedule, (), late, late + DAY)) == 25


@pytest.mark.parametrize("windows", [(), (WeeklyWindow(tuple(range(7)), 0, 1440),)])
def test_at_the_ends_of_time_nobody_is_on_call(windows: tuple[WeeklyWindow, ...]) -> None:
    schedule = a_schedule(a_rotation(windows=windows), time_zone="Pacific/Kiritimati")

    east, west = timezone(14 * HOUR), timezone(-12 * HOUR)
    for moment in (EVER, EVER.replace(tzinfo=east), NEVER, NEVER.replace(tzinfo=west), at("9000-01-01T00:00")):
        assert on_call_at(schedule, (), moment) == ()
    assert next_change_at(schedule, (), EVER) is None
    assert next_change_at(schedule, (), NEVER) is None
    assert shifts(schedule, (), NEVER - DAY, NEVER) == ()
    assert shifts(schedule, (), EVER, EVER + DAY) == ()
    assert shifts(schedule, (), EVER.replace(tzinfo=east), EVER + DAY) == ()
    assert next_change_at(schedule, (), EVER.replace(tzinfo=east)) is None
    (first, *_) = shifts(schedule, (), EVER, at("2026-03-25T00:00"))
    assert first.starts_at == at("2026-03-23T08:00")
    assert shifts(schedule, (), at("8999-12-31T23:00"), NEVER)[-1].ends_at <= at("9000-01-02T00:00")


# ------------------------------------------------------------------------------------------ layers and windows


def test_the_higher_layer_has_the_say_where_it_counts() -> None:
    office = WeeklyWindow(WEEKDAYS, 9 * 60, 17 * 60)
    schedule = a_schedule(a_rotation(ANN, length=WEEK), a_rotation(BEN, length=WEEK, windows=(office,)))

    assert told(shifts(schedule, (), at("2026-03-27T00:00"), at("2026-03-31T00:00"))) == [
        "Ann Thu 26 16:00 to Fri 27 08:00",
        "Ben Fri 27 08:00 to Fri 27 16:00",
        "Ann Fri 27 16:00 to Mon 30 07:00",  # 09:00 on the wall, before as after
        "Ben Mon 30 07:00 to Mon 30 15:00",
        "Ann Mon 30 15:00 to Tue 31 07:00",
    ]


def test_outside_of_all_windows_nobody_is_on_call() -> None:
    office = WeeklyWindow(WEEKDAYS, 9 * 60, 17 * 60)
    schedule = a_schedule(a_rotation(ANN, length=WEEK, windows=(office,)))
    friday_evening = at("2026-03-27T16:00")

    assert on_call_at(schedule, (), friday_evening - SECOND) == (ANN,)
    assert on_call_at(schedule, (), friday_evening) == ()
    assert next_change_at(schedule, (), friday_evening - SECOND) == friday_evening
    assert next_change_at(schedule, (), friday_evening) == at("2026-03-30T07:00")


@pytest.mark.parametrize(
    ("window", "begin", "end"),
    [
        (WeeklyWindow((2,), 22 * 60, 6 * 60), "2026-03-25T21:00", "2026-03-26T05:00"),
        (WeeklyWindow((2,), 9 * 60, 9 * 60), "2026-03-25T08:00", "2026-03-26T08:00"),
        (WeeklyWindow((2,), 12 * 60, 1440), "2026-03-25T11:00", "2026-03-25T23:00"),
        (WeeklyWindow((2,), 12 * 60, 0), "2026-03-25T11:00", "2026-03-25T23:00"),
        (WeeklyWindow((2,), 0, 1440), "2026-03-24T23:00", "2026-03-25T23:00"),
        (WeeklyWindow((2,), 0, 0), "2026-03-24T23:00", "2026-03-25T23:00"),
        (WeeklyWindow((2,), 0, 1), "2026-03-24T23:00", "2026-03-24T23:01"),
    ],
)
def test_an_end_at_or_before_the_begin_is_on_the_next_day(window: WeeklyWindow, begin: str, end: str) -> None:
    schedule = a_schedule(a_rotation(ANN, length=WEEK, windows=(window,)))

    (shift,) = shifts(schedule, (), at("2026-03-23T08:00"), at("2026-03-29T08:00"))

    assert (shift.starts_at, shift.ends_at) == (at(begin), at(end))


def test_a_window_within_a_gap_does_not_take_place() -> None:
    night = WeeklyWindow((6,), 2 * 60 + 10, 2 * 60 + 50)
    schedule = a_schedule(a_rotation(ANN, length=WEEK, windows=(night,)))

    assert told(shifts(schedule, (), at("2026-03-23T08:00"), at("2026-04-12T08:00"))) == [
        "Ann Sun 05 00:10 to Sun 05 00:50",
        "Ann Sun 12 00:10 to Sun 12 00:50",
    ]


def test_an_hour_that_comes_twice_is_in_the_window_once() -> None:
    night = WeeklyWindow((6,), 2 * 60, 2 * 60 + 30)
    schedule = a_schedule(a_rotation(ANN, since="2026-10-19T00:00", length=WEEK, windows=(night,)))

    assert told(shifts(schedule, (), at("2026-10-24T00:00"), at("2026-10-26T00:00"))) == [
        "Ann Sun 25 00:00 to Sun 25 00:30"
    ]


def test_a_window_of_tomorrow_stays_open_when_it_is_today_once_more() -> None:
    # At 00:01 on Sunday clocks in St. John's go back to 23:01 on Saturday: 02:30 to 04:30 in UTC.
    sunday = WeeklyWindow((6,), 0, 60)
    rotation = a_rotation(ANN, since="2010-11-01T00:00", length=WEEK, windows=(sunday,))
    schedule = a_schedule(rotation, time_zone="America/St_Johns")

    assert told(shifts(schedule, (), at("2010-11-06T00:00"), at("2010-11-08T00:00"))) == [
        "Ann Sun 07 02:30 to Sun 07 04:30"
    ]
    assert [
        on_call_at(schedule, (), at(f"2010-11-07T{hour}"))
        for hour in ("02:29", "02:30", "03:00", "04:29", "04:30")
    ] == [
        (),
        (ANN,),
        (ANN,),
        (ANN,),
        (),
    ]


def test_a_hand_off_inside_a_window_ends_the_shift() -> None:
    night = WeeklyWindow(tuple(range(7)), 20 * 60, 10 * 60)
    schedule = a_schedule(a_rotation(ANN, BEN, windows=(night,)))  # hands over at 09:00

    assert told(shifts(schedule, (), at("2026-03-24T00:00"), at("2026-03-24T12:00"))) == [
        "Ann Mon 23 19:00 to Tue 24 08:00",
        "Ben Tue 24 08:00 to Tue 24 09:00",
    ]


def test_overlapping_windows_are_one() -> None:
    windows = (
        WeeklyWindow((2,), 9 * 60, 17 * 60),
        WeeklyWindow((2,), 12 * 60, 13 * 60),
        WeeklyWindow((2,), 17 * 60, 18 * 60),
    )
    schedule = a_schedule(a_rotation(ANN, length=WEEK, windows=windows))

    assert told(shifts(schedule, (), at("2026-03-23T08:00"), at("2026-03-29T08:00"))) == [
        "Ann Wed 25 08:00 to Wed 25 17:00"
    ]


def test_a_hand_off_to_the_same_person_ends_a_shift_but_changes_nothing() -> None:
    schedule = a_schedule(a_rotation(ANN))
    since = at("2026-03-23T08:00")

    assert len(shifts(schedule, (), since, since + 3 * DAY)) == 3
    assert next_change_at(schedule, (), since) is None
    assert next_change_at(schedule, (), since - HOUR) == since


def test_the_next_change_is_looked_for_400_days_ahead() -> None:
    schedule = a_schedule(a_rotation(ANN))
    since = at("2026-03-23T08:00")

    assert next_change_at(schedule, (), since - 400 * DAY) == since
    assert next_change_at(schedule, (), since - 400 * DAY - SECOND) is None


# ------------------------------------------------------------------------------------------ overrides


def test_an_override_has_the_say_before_all_layers() -> None:
    schedule = a_schedule(a_rotation(ANN, length=WEEK))
    override = an_override(CLEO, "2026-03-24T10:00", "2026-03-24T12:00")

    assert on_call_at(schedule, [override], at("2026-03-24T09:59:59")) == (ANN,)
    assert on_call_at(schedule, [override], at("2026-03-24T10:00")) == (CLEO,)
    assert on_call_at(schedule, [override], at("2026-03-24T12:00")) == (ANN,)
    assert told(shifts(schedule, [override], at("2026-03-24T11:00"), at("2026-03-24T12:01"))) == [
        "Cleo! Tue 24 10:00 to Tue 24 12:00",
        "Ann Tue 24 12:00 to Mon 30 07:00",
    ]


def test_an_override_needs_no_rotation() -> None:
    override = an_override(CLEO, "2026-03-24T10:00", "2026-03-24T12:00")

    assert on_call_at(a_schedule(), [override], at("2026-03-24T11:00")) == (CLEO,)
    assert told(shifts(a_schedule(), [override], at("2026-03-01T00:00"), at("2026-04-01T00:00"))) == [
        "Cleo! Tue 24 10:00 to Tue 24 12:00"
    ]
    assert next_change_at(a_schedule(), [override], at("2026-03-01T00:00")) == override.starts_at
    assert next_change_at(a_schedule(), [override], at("2026-03-24T11:00")) == override.ends_at
    assert next_change_at(a_schedule(), [override], override.ends_at) is None


def test_of_two_overrides_the_one_made_last_counts() -> None:
    early = an_override(BEN, "2026-03-24T10:00", "2026-03-24T16:00", version=7, number=9)
    late = an_override(CLEO, "2026-03-24T12:00", "2026-03-24T13:00", version=8, number=1)

    for overrides in ([early, late], [late, early]):
        assert told(shifts(a_schedule(), overrides, at("2026-03-24T00:00"), at("2026-03-25T00:00"))) == [
            "Ben! Tue 24 10:00 to Tue 24 12:00",
            "Cleo! Tue 24 12:00 to Tue 24 13:00",
            "Ben! Tue 24 13:00 to Tue 24 16:00",
        ]
        assert on_call_at(a_schedule(), overrides, at("2026-03-24T12:30")) == (CLEO,)


def test_of_two_overrides_made_at_once_the_higher_id_counts() -> None:
    low = an_override(BEN, "2026-03-24T10:00", "2026-03-24T16:00", number=1)
    high = an_override(CLEO, "2026-03-24T10:00", "2026-03-24T16:00", number=2)

    assert on_call_at(a_schedule(), [high, low], at("2026-03-24T12:30")) == (CLEO,)
    assert told(shifts(a_schedule(), [high, low], at("2026-03-24T00:00"), at("2026-03-25T00:00"))) == [
        "Cleo! Tue 24 10:00 to Tue 24 16:00"
    ]


def test_a_shift_that_ends_where_the_stretch_begins_is_not_in_it() -> None:
    weak = an_override(BEN, "2026-03-24T10:00", "2026-03-24T16:00", version=1, number=1)
    strong = an_override(CLEO, "2026-03-24T12:00", "2026-03-24T13:00", version=2, number=2)

    assert told(shifts(a_schedule(), [weak, strong], at("2026-03-24T13:00"), at("2026-03-24T14:00"))) == [
        "Ben! Tue 24 13:00 to Tue 24 16:00"
    ]
    assert told(shifts(a_schedule(), [weak, strong], at("2026-03-24T11:00"), at("2026-03-24T12:00"))) == [
        "Ben! Tue 24 10:00 to Tue 24 12:00"
    ]


def test_in_a_stretch_of_no_length_is_no_shift() -> None:
    moment = at("2026-03-24T12:00")

    assert shifts(a_schedule(a_rotation()), (), moment, moment) == ()
    assert shifts(a_schedule(a_rotation()), (), moment, moment - SECOND) == ()


def test_a_weaker_override_inside_a_stronger_one_does_not_cut_it() -> None:
    weak = an_override(BEN, "2026-03-24T11:00", "2026-03-24T12:00", version=1, number=1)
    strong = an_override(CLEO, "2026-03-24T10:00", "2026-03-24T16:00", version=2, number=2)

    assert told(shifts(a_schedule(), [weak, strong], at("2026-03-24T00:00"), at("2026-03-25T00:00"))) == [
        "Cleo! Tue 24 10:00 to Tue 24 16:00"
    ]


def test_standing_in_for_oneself_changes_nobody() -> None:
    schedule = a_schedule(a_rotation(ANN, BEN))
    override = an_override(ANN, "2026-03-23T10:00", "2026-03-23T12:00")

    assert next_change_at(schedule, [override], at("2026-03-23T09:00")) == at("2026-03-24T08:00")
    assert [
        shift.override_id for shift in shifts(schedule, [override], at("2026-03-23T09:00"), at("2026-03-24T00:00"))
    ] == [
        None,
        override.id,
        None,
    ]


# ------------------------------------------------------------------------------------------ checks


def paths(error: RefusedError) -> list[str]:
    return [".".join(problem.path) for problem in error.problems]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name": ""}, "name"),
        ({"name": " "}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "n" * 257}, "name"),
        ({"time_zone": "Mars/Olympus"}, "timeZone"),
        ({"rotations": (a_rotation(),) * 21}, "rotations"),
        ({"rotations": (a_rotation(), replace(a_rotation(), responder_ids=()))}, "rotations.1.responderIds"),
        ({"rotations": (a_rotation(*[ANN] * 101),)}, "rotations.0.responderIds"),
        ({"rotations": (a_rotation(length=HOUR - SECOND),)}, "rotations.0.shiftLength"),
        ({"rotations": (a_rotation(length=-DAY),)}, "rotations.0.shiftLength"),
        ({"rotations": (a_rotation(length=367 * DAY),)}, "rotations.0.shiftLength"),
        ({"rotations": (a_rotation(since="1999-12-31T23:59"),)}, "rotations.0.startsAt"),
        ({"rotations": (a_rotation(since="9000-01-01T00:01"),)}, "rotations.0.startsAt"),
        ({"rotations": (a_rotation(windows=(WeeklyWindow((0,), 0, 60),) * 51),)}, "rotations.0.windows"),
        ({"rotations": (a_rotation(windows=(WeeklyWindow((), 0, 60),)),)}, "rotations.0.windows.0.days"),
        ({"rotations": (a_rotation(windows=(WeeklyWindow((7,), 0, 60),)),)}, "rotations.0.windows.0.days"),
        ({"rotations": (a_rotation(windows=(WeeklyWindow((0,), 1440, 60),)),)}, "rotations.0.windows.0.startsAt"),
        ({"rotations": (a_rotation(windows=(WeeklyWindow((0,), -1, 60),)),)}, "rotations.0.windows.0.startsAt"),
        ({"rotations": (a_rotation(windows=(WeeklyWindow((0,), 0, 1441),)),)}, "rotations.0.windows.0.endsAt"),
        ({"rotations": (a_rotation(windows=(WeeklyWindow((0,), 0, -1),)),)}, "rotations.0.windows.0.endsAt"),
    ],
)
def test_what_is_wrong_with_a_schedule_is_named(change: dict[str, object], path: str) -> None:
    with pytest.raises(RefusedError) as refused:
        check_schedule(replace(a_schedule(a_rotation()), **change))  # type: ignore[arg-type]

    assert paths(refused.value) == [path]


def test_everything_wrong_is_named_at_once() -> None:
    with pytest.raises(RefusedError) as refused:
        check_schedule(replace(a_schedule(a_rotation(length=MINUTE)), name="", time_zone=""))

    assert paths(refused.value) == ["name", "timeZone", "rotations.0.shiftLength"]


@pytest.mark.parametrize(
    "schedule",
    [
        a_schedule(),
        a_schedule(*[a_rotation(*[ANN] * 100)] * 20),
        a_schedule(a_rotation(length=HOUR, windows=(WeeklyWindow((0, 6), 1439, 1440),) * 50)),
        a_schedule(a_rotation(length=366 * DAY, since="2000-01-01T00:00", windows=(WeeklyWindow((0,), 0, 0),))),
    ],
)
def test_the_bounds_themselves_are_allowed(schedule: Schedule) -> None:
    assert check_schedule(schedule) is schedule


@pytest.mark.parametrize(
    ("begin", "end", "path"),
    [
        ("2026-11-23T13:00", "2026-11-23T13:00", "endsAt"),
        ("2026-11-23T13:00", "2026-11-23T12:59", "endsAt"),
        ("2026-11-23T10:00", "2026-11-23T12:00", "endsAt"),  # T0: over this instant
        ("2026-11-23T13:00", "2027-03-03T13:01", "endsAt"),
        ("1999-12-31T00:00", "1999-12-31T01:00", "startsAt"),
        ("8999-12-31T00:00", "9000-01-01T00:01", "endsAt"),
    ],
)
def test_what_is_wrong_with_an_override_is_named(begin: str, end: str, path: str) -> None:
    with pytest.raises(RefusedError) as refused:
        check_override(an_override(ANN, begin, end), T0)

    assert paths(refused.value)[0] == path


def test_an_override_may_be_under_way_and_last_100_days() -> None:
    override = an_override(ANN, "2026-11-23T11:00", "2027-03-03T11:00")

    assert check_override(override, T0) is override
