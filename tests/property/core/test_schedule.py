"""Laws of schedules, over the nights on which clocks are changed, against somebody who watches the clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertgraph.core.ids import OverrideId, ResponderId, ScheduleId
from alertgraph.core.schedule import (
    Rotation,
    Schedule,
    ShiftOverride,
    WeeklyWindow,
    check_override,
    check_schedule,
    next_change_at,
    on_call_at,
    shifts,
)
from alertgraph.core.time_zone import instant_of, wall_clock, zone
from tests.factories import ADA, DAY, HOUR, MINUTE

# A zone, and an hour near which its clocks were or will be changed; the last has none to change.
CHANGES = [
    ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),  # by half an hour
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2018, 11, 4, 3, tzinfo=UTC)),  # at midnight, which is left out
    ("America/Sao_Paulo", datetime(2019, 2, 17, 2, tzinfo=UTC)),  # at midnight, back to 23:00
    ("Africa/Casablanca", datetime(2026, 2, 15, 2, tzinfo=UTC)),  # back for Ramadan, and forward again
    ("America/St_Johns", datetime(2010, 11, 7, 2, 31, tzinfo=UTC)),  # at 00:01, back to the day before
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),  # a day is left out
    ("Asia/Kathmandu", datetime(2026, 3, 29, 1, tzinfo=UTC)),
]
SPAN = timedelta(days=3)
"""What is watched around a change."""
SCHEDULE_ID = ScheduleId(UUID(int=1))
PEOPLE = [ResponderId(UUID(int=number)) for number in range(1, 5)]

changes = st.sampled_from(CHANGES)


# ------------------------------------------------------------------------------------------ the watcher


@dataclass
class LayerWatch:
    """Somebody who looks at a clock on the wall every minute, and notes what it makes them do.

    They know nothing of offsets: they wait for the clock to show a time, or a later one, and never look back.
    """

    rotation: Rotation
    turn: int = -1
    next_hand_off: datetime | None = None  # what the wall clock has to show
    to_begin: list[tuple[datetime, datetime]] = field(default_factory=list)
    under_way: list[datetime] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._planned_to: datetime | None = None

    def look(self, at: datetime, wall: datetime) -> ResponderId | None:
        """Return who is on call in this layer in the minute that begins now."""
        if self.rotation.windows:
            self._mind_windows(wall)
        if at < self.rotation.starts_at:
            return None
        if self.turn < 0:
            self.turn, self.next_hand_off = 0, wall + self.rotation.shift_length
        elif self.rotation.shift_length % DAY:
            self.turn = int((at - self.rotation.starts_at) / self.rotation.shift_length)
        while not self.rotation.shift_length % DAY and self.next_hand_off <= wall:
            self.turn += 1
            self.next_hand_off += self.rotation.shift_length
        if self.rotation.windows and not self.under_way:
            return None
        return self.rotation.responder_ids[self.turn % len(self.rotation.responder_ids)]

    def _mind_windows(self, wall: datetime) -> None:
        midnight = datetime.combine(wall.date(), time.min)
        if self._planned_to is None:
            self._planned_to = midnight - 2 * DAY
        while self._planned_to <= midnight + DAY:
            self._planned_to += DAY
            for window in self.rotation.windows:
                if self._planned_to.weekday() in window.days:
                    begin = self._planned_to + window.starts_at * MINUTE
                    length = (window.ends_at - window.starts_at) * MINUTE
                    self.to_begin.append((begin, begin + (length if length > timedelta(0) else length + DAY)))
        begun = [pair for pair in self.to_begin if pair[0] <= wall]
        self.to_begin = [pair for pair in self.to_begin if pair[0] > wall]
        self.under_way = [end for end in self.under_way + [pair[1] for pair in begun] if end > wall]


def watch(
    schedule: Schedule, overrides: Iterable[ShiftOverride], since: datetime, until: datetime
) -> Iterator[tuple[datetime, ResponderId | None]]:
    """Return who is on call in every minute, by watching from before the first hand-off."""
    layers = [LayerWatch(rotation) for rotation in schedule.rotations]
    clock = zone(schedule.time_zone)
    at = min([since, *(rotation.starts_at for rotation in schedule.rotations)]) - 2 * DAY
    while at < until:
        wall = at.astimezone(clock).replace(tzinfo=None)
        found = None
        for layer in layers:
            found = layer.look(at, wall) or found
        strongest = None
        for override in overrides:
            if override.starts_at <= at < override.ends_at and (
                strongest is None or override.version >= strongest.version
            ):
                strongest = override
        if at >= since:
            yield at, strongest.responder_id if strongest is not None else found
        at += MINUTE


# ------------------------------------------------------------------------------------------ random schedules

shift_lengths = st.sampled_from([DAY, 2 * DAY, 7 * DAY]) | st.integers(60, 3000).map(
    lambda minutes: minutes * MINUTE
)


def minutes_near(at: datetime, time_zone: ZoneInfo) -> st.SearchStrategy[int]:
    """Return minutes of the day, most of them near what clocks show at an instant, before or after a change."""
    shown = wall_clock(at, time_zone)
    return st.integers(-90, 90).map(lambda offset: (shown.hour * 60 + shown.minute + offset) % 1440) | st.integers(
        0, 1439
    )


def windows_near(at: datetime, time_zone: ZoneInfo) -> st.SearchStrategy[WeeklyWindow]:
    """Return windows that often begin or end near an instant."""
    minutes = minutes_near(at, time_zone)
    days = st.just(tuple(range(7))) | st.lists(st.integers(0, 6), min_size=1, max_size=7, unique=True).map(tuple)
    return st.builds(WeeklyWindow, days, minutes, minutes | st.just(1440))


def rotations_near(at: datetime, time_zone: ZoneInfo) -> st.SearchStrategy[Rotation]:
    """Return rotations that begin at most three days around an instant, many at about its time of day."""
    return st.builds(
        Rotation,
        st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=4).map(tuple),
        st.builds(
            lambda days, minutes: at + days * DAY + minutes * MINUTE,
            st.integers(-3, 1),
            st.integers(-90, 90) | st.integers(0, 1439),
        ),
        shift_lengths,
        st.just(()) | st.lists(windows_near(at, time_zone), max_size=3).map(tuple),
    )


def overrides_near(at: datetime) -> st.SearchStrategy[list[ShiftOverride]]:
    """Return overrides of one schedule, which may overlap, each later one made later."""
    spans = st.tuples(st.integers(-3000, 3000), st.integers(1, 3000), st.sampled_from(PEOPLE))
    return st.lists(spans, max_size=3).map(
        lambda spans: [
            ShiftOverride(
                OverrideId(UUID(int=100 - number)),  # an older id does not make it weaker
                SCHEDULE_ID,
                responder_id,
                at + begin * MINUTE,
                at + (begin + length) * MINUTE,
                ADA,
                version=number,
            )
            for number, (begin, length, responder_id) in enumerate(spans, 1)
        ]
    )


@st.composite
def plans(draw: st.DrawFn) -> tuple[Schedule, list[ShiftOverride], datetime]:
    """Return a schedule and its overrides, about a night on which clocks are changed."""
    name, at = draw(changes)
    rotations = draw(st.lists(rotations_near(at, zone(name)), max_size=3).map(tuple))
    schedule = Schedule(SCHEDULE_ID, "primary", name, rotations)
    return schedule, draw(overrides_near(at)), at


# ------------------------------------------------------------------------------------------ laws


@st.composite
def plans_of_the_hour(draw: st.DrawFn) -> tuple[Schedule, datetime]:
    """Return a schedule that hands over, opens or closes in the very hour in which clocks are changed."""
    name, at = draw(changes)
    shown = wall_clock(at, zone(name))
    minutes = st.integers(-75, 75)
    minutes_of_day = minutes.map(lambda offset: (shown.hour * 60 + shown.minute + offset) % 1440)
    windows = st.builds(WeeklyWindow, st.just(tuple(range(7))), minutes_of_day, minutes_of_day)
    rotations = st.builds(
        lambda days, minute, count, windows: Rotation(
            tuple(PEOPLE[:count]), at - days * DAY + minute * MINUTE, DAY, tuple(windows)
        ),
        st.integers(1, 3),
        minutes,
        st.integers(2, 4),
        st.just([]) | st.lists(windows, max_size=2),
    )
    return Schedule(SCHEDULE_ID, "primary", name, tuple(draw(st.lists(rotations, min_size=1, max_size=2)))), at


@given(plans_of_the_hour())
def test_every_minute_around_the_change_is_what_the_watcher_says(plan: tuple[Schedule, datetime]) -> None:
    schedule, change_at = plan
    since, until = change_at - 3 * HOUR, change_at + 3 * HOUR

    for at, who in watch(schedule, (), since, until):
        on_call = () if who is None else (who,)
        assert on_call_at(schedule, (), at) == on_call
        if at.minute % 5 == 0:
            assert tuple(shift.responder_id for shift in shifts(schedule, (), at, at + MINUTE)) == on_call


@given(plans())
def test_is_what_somebody_who_watches_the_clock_says(plan: tuple[Schedule, list[ShiftOverride], datetime]) -> None:
    schedule, overrides, change_at = plan
    since, until = change_at - SPAN / 2, change_at + SPAN / 2

    seen = list(watch(schedule, overrides, since, until))

    told = shifts(schedule, overrides, since, until)
    by_minute = dict.fromkeys((at for at, _ in seen))
    for shift in told:
        at = max(shift.starts_at, since)
        while at < min(shift.ends_at, until):
            by_minute[at] = shift.responder_id
            at += MINUTE
    assert by_minute == dict(seen)
    # Every instant next to a change, and every quarter of an hour.
    edges = {at for (before, who), (at, next_one) in pairwise(seen) if who != next_one for at in (before, at)}
    for at, who in seen:
        if at in edges or at.minute % 15 == 0:
            assert on_call_at(schedule, overrides, at) == (() if who is None else (who,)), at


@given(plans())
def test_the_next_change_is_the_first_minute_that_differs(
    plan: tuple[Schedule, list[ShiftOverride], datetime],
) -> None:
    schedule, overrides, change_at = plan
    since, until = change_at - SPAN / 2, change_at + SPAN / 2
    seen = list(watch(schedule, overrides, since, until))

    at, who = seen[0]
    for later, next_one in seen:
        if next_one != who:
            assert next_change_at(schedule, overrides, at) == later
            assert next_change_at(schedule, overrides, later - MINUTE) == later
            at, who = later, next_one
    last = next_change_at(schedule, overrides, at)
    assert last is None or last >= until


@given(plans(), st.integers(0, 4320), st.integers(1, 3000))
def test_shifts_are_the_same_whatever_stretch_is_asked_for(
    plan: tuple[Schedule, list[ShiftOverride], datetime], begin: int, length: int
) -> None:
    schedule, overrides, change_at = plan
    since, until = change_at - SPAN / 2, change_at + SPAN / 2
    part_since = since + begin * MINUTE
    part_until = part_since + length * MINUTE

    whole = shifts(schedule, overrides, since, max(until, part_until))

    assert shifts(schedule, overrides, part_since, part_until) == tuple(
        shift for shift in whole if shift.ends_at > part_since and shift.starts_at < part_until
    )


@given(plans())
def test_shifts_do_not_overlap_and_hold_no_longer_than_a_turn(
    plan: tuple[Schedule, list[ShiftOverride], datetime],
) -> None:
    schedule, overrides, change_at = plan
    told = shifts(schedule, overrides, change_at - SPAN, change_at + SPAN)

    by_id = {override.id: override for override in overrides}
    turn_max = max((rotation.shift_length for rotation in schedule.rotations), default=timedelta(0))
    assert all(shift.starts_at < shift.ends_at for shift in told)
    assert all(before.ends_at <= shift.starts_at for before, shift in pairwise(told))
    for shift in told:
        assert shift.starts_at.tzinfo is UTC
        assert shift.ends_at.tzinfo is UTC
        if shift.override_id is None:
            # Longer by the hour that comes twice.
            assert shift.ends_at - shift.starts_at <= turn_max + HOUR
        else:
            override = by_id[shift.override_id]
            assert shift.responder_id == override.responder_id
            assert override.starts_at <= shift.starts_at
            assert shift.ends_at <= override.ends_at


@given(plans(), st.integers(-6000, 6000))
def test_nobody_overrules_an_override_but_a_later_one(
    plan: tuple[Schedule, list[ShiftOverride], datetime], minutes: int
) -> None:
    schedule, overrides, change_at = plan
    at = change_at + minutes * MINUTE
    covering = [override for override in overrides if override.starts_at <= at < override.ends_at]

    if covering:
        assert on_call_at(schedule, overrides, at) == (covering[-1].responder_id,)
    else:
        assert on_call_at(schedule, overrides, at) == on_call_at(schedule, (), at)


@given(plans(), st.integers(-6000, 6000))
def test_overrides_of_another_schedule_do_not_count(
    plan: tuple[Schedule, list[ShiftOverride], datetime], minutes: int
) -> None:
    schedule, overrides, change_at = plan
    other = Schedule(ScheduleId(UUID(int=2)), "other", schedule.time_zone, schedule.rotations)
    at = change_at + minutes * MINUTE

    assert on_call_at(other, overrides, at) == on_call_at(other, (), at)
    assert shifts(other, overrides, at, at + DAY) == shifts(other, (), at, at + DAY)
    assert next_change_at(other, overrides, at) == next_change_at(other, (), at)


@given(plans())
def test_these_schedules_can_be_kept(plan: tuple[Schedule, list[ShiftOverride], datetime]) -> None:
    schedule, overrides, _ = plan

    assert check_schedule(schedule) is schedule
    for override in overrides:
        assert check_override(override, override.starts_at) is override


@pytest.mark.parametrize("years", [5, 20])
@given(changes, st.integers(0, 3), st.integers(0, 1439), st.integers(-2880, 2880))
def test_a_daily_hand_off_is_when_the_clock_shows_its_time_however_long_ago_it_began(
    years: int, change: tuple[str, datetime], person_count: int, minute: int, offset: int
) -> None:
    name, change_at = change
    time_zone = zone(name)
    first_day = datetime.combine((change_at - years * 365 * DAY).date(), time.min)
    starts_at = instant_of(first_day + minute * MINUTE, time_zone)
    if starts_at.year < 2000:
        return
    first_wall = wall_clock(starts_at, time_zone)
    people = tuple(PEOPLE[: person_count + 1])
    schedule = Schedule(SCHEDULE_ID, "primary", name, (Rotation(people, starts_at, DAY),))
    at = change_at + offset * MINUTE

    (responder_id,) = on_call_at(schedule, (), at)

    # The clock has shown the hand-off's time of day so often since the first one.
    shown = max(
        wall_clock(at - back * MINUTE, time_zone)
        for back in range(0, 24 * 60 + 60, 1)
        if at - back * MINUTE >= starts_at
    )
    assert responder_id == people[(shown - first_wall) // DAY % len(people)]


# ------------------------------------------------------------------------------------------ time zones


@given(changes, st.integers(-3 * 1440, 3 * 1440), st.integers(0, 59_999_999))
def test_an_instant_is_the_first_at_which_clocks_show_the_time_or_a_later_one(
    change: tuple[str, datetime], minutes: int, microseconds: int
) -> None:
    name, change_at = change
    time_zone = zone(name)
    wall = wall_clock(change_at, time_zone) + minutes * MINUTE + timedelta(microseconds=microseconds)

    at = instant_of(wall, time_zone)

    step = timedelta(microseconds=1)
    assert wall_clock(at, time_zone) >= wall
    assert at.tzinfo is UTC
    # Never before: not a moment earlier, nor in the three days in front.
    assert wall_clock(at - step, time_zone) < wall
    assert all(wall_clock(at - step - back * 15 * MINUTE, time_zone) < wall for back in range(3 * 96))


@given(changes, st.lists(st.integers(-3 * 1440, 3 * 1440), min_size=2, max_size=20))
def test_a_later_time_of_day_never_comes_before_an_earlier_one(
    change: tuple[str, datetime], minutes: list[int]
) -> None:
    name, change_at = change
    wall = wall_clock(change_at, zone(name))

    instants = [instant_of(wall + minute * MINUTE, zone(name)) for minute in sorted(minutes)]

    assert instants == sorted(instants)


@given(changes, st.integers(-3 * 1440, 3 * 1440))
def test_an_instant_that_clocks_show_once_comes_back(change: tuple[str, datetime], minutes: int) -> None:
    name, change_at = change
    time_zone: ZoneInfo = zone(name)
    at = change_at + minutes * MINUTE

    again = instant_of(wall_clock(at, time_zone), time_zone)

    assert again == at or (again < at and wall_clock(again, time_zone) == wall_clock(at, time_zone))
