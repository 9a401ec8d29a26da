"""Windows of silences, held against clocks that are read minute by minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alertgraph.core.errors import RefusedError
from alertgraph.core.ids import SilenceId
from alertgraph.core.silence import Silence, SilenceState, check_silence, covering, state_at, until, window_at
from alertgraph.core.time_zone import zone
from tests.factories import ADA, DAY, HOUR, MINUTE, a_matcher
from tests.strategies import wild_texts
from tests.thoroughness import examples

# By a whole hour, by half an hour, at midnight, in the southern hemisphere, and not at all.
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kathmandu"]
WEEKDAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


@cache
def changes(name: str) -> list[datetime]:
    """Return when clocks are changed in 2026, to the hour; the middle of the year where they never are."""
    place = zone(name)
    hours = [NEW_YEAR + HOUR * count for count in range(24 * 365)]
    found = [
        after
        for before, after in pairwise(hours)
        if before.astimezone(place).utcoffset() != after.astimezone(place).utcoffset()
    ]
    return found or [hours[len(hours) // 2]]


@cache
def minutes_around(name: str, change: datetime) -> list[tuple[datetime, datetime]]:
    """Return each minute of some days around a change, with what clocks show in it."""
    place = zone(name)
    instants = [change - 4 * DAY + MINUTE * count for count in range(7 * 24 * 60)]
    return [(at, at.astimezone(place).replace(tzinfo=None)) for at in instants]


def first_shown(minutes: list[tuple[datetime, datetime]], wall: datetime) -> datetime:
    """Return the first minute in which clocks show that time, or have skipped it."""
    return next((at for at, shown in minutes if shown >= wall), datetime.max.replace(tzinfo=UTC))


def days_of(kind: str, step: int, first: date, day: date) -> bool:
    """Say whether a rule names a day, by counting."""
    if day <= first:
        return False
    if kind == "DAILY":
        return (day - first).days % step == 0
    if kind == "WEEKLY":
        weeks = (day - timedelta(days=day.weekday()) - first + timedelta(days=first.weekday())).days // 7
        return weeks % step == 0 and day.weekday() in (0, first.weekday(), 6)
    months = (day.year - first.year) * 12 + day.month - first.month
    return months % step == 0 and day.day == first.day


def rule_of(kind: str, step: int, first: date) -> str:
    """Return the same rule as text."""
    picks = f";BYDAY={','.join(sorted({'MO', 'SU', WEEKDAYS[first.weekday()]}))}" if kind == "WEEKLY" else ""
    return f"FREQ={kind};INTERVAL={step}{picks}"


@st.composite
def recurring(draw: st.DrawFn) -> tuple[Silence, datetime, str, int]:
    """Draw a silence that recurs near a change of clocks: with the change, the rule's kind and its step."""
    name = draw(st.sampled_from(ZONES))
    change = draw(st.sampled_from(changes(name)))
    kind = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY"]))
    step = draw(st.sampled_from([1, 1, 2, 3]))
    before = draw(st.integers(6, 200))
    # Near the hours in which clocks are changed, more often than not.
    minute = draw(st.sampled_from([0, 1, 59, 90, 105, 119, 120, 150, 179, 180, 1380, 1439]) | st.integers(0, 1439))
    length = draw(st.sampled_from([1, 15, 30, 59, 60, 61, 120, 240, 1439]))
    start = (change - before * DAY).astimezone(zone(name)).replace(hour=0, minute=0, second=0)
    starts_at = start.astimezone(UTC) + minute * MINUTE
    silence = Silence(
        SilenceId(UUID(int=1)),
        (a_matcher("job", "api"),),
        starts_at,
        starts_at + length * MINUTE,
        "maintenance",
        ADA,
        rule_of(kind, step, starts_at.astimezone(zone(name)).date()),
        name,
    )
    return silence, change, kind, step


@settings(deadline=None, max_examples=examples(40))
@given(recurring())
def test_windows_are_those_of_the_clock_on_the_wall(drawn: tuple[Silence, datetime, str, int]) -> None:
    silence, change, kind, step = drawn
    place = zone(silence.time_zone)
    check_silence(silence, silence.starts_at)
    first = silence.starts_at.astimezone(place).replace(tzinfo=None)
    length = silence.ends_at.astimezone(place).replace(tzinfo=None) - first
    if length <= timedelta(0):
        length = silence.ends_at - silence.starts_at
    minutes = minutes_around(silence.time_zone, change)
    windows = []
    for offset in range(-5, 4):
        day = change.astimezone(place).date() + offset * DAY
        if days_of(kind, step, first.date(), day):
            begin = datetime.combine(day, first.time())
            windows.append((first_shown(minutes, begin), first_shown(minutes, begin + length)))

    # Two days in the middle: the windows that reach into them begin and end within what was read.
    for at, _ in minutes[2 * 24 * 60 : 5 * 24 * 60]:
        covered = [window for window in windows if window[0] <= at < window[1]]
        expected = max(covered, key=lambda window: window[1]) if covered else None
        assert window_at(silence, at) == expected, at


@settings(max_examples=examples(40))
@given(recurring(), st.integers(1, 12))
def test_a_count_ends_it_after_the_last_window(drawn: tuple[Silence, datetime, str, int], count: int) -> None:
    silence = drawn[0]
    endless = until(silence)
    counted = Silence(
        **{name: getattr(silence, name) for name in silence.__slots__ if name != "recurrence"},
        recurrence=f"{silence.recurrence};COUNT={count}",
    )
    ends_at = until(counted)

    assert endless is None
    assert ends_at is not None
    assert state_at(counted, ends_at) is SilenceState.EXPIRED
    last = window_at(counted, ends_at - timedelta(microseconds=1))
    assert last is not None
    assert last[1] == ends_at
    assert state_at(counted, last[0]) is SilenceState.ACTIVE
    probes = [ends_at + hours * HOUR for hours in range(0, 24 * 40, 5)]
    assert all(window_at(counted, at) is None for at in probes)


NAMES = "FREQ,INTERVAL,COUNT,UNTIL,WKST,BYMONTH,BYWEEKNO,BYYEARDAY,BYMONTHDAY,BYDAY,BYHOUR,BYMINUTE,BYSETPOS"
STRANGE_NAMES = [*NAMES.split(","), "BYSECOND", "BYEASTER", "DTSTART"]
VALUES = "DAILY WEEKLY MONTHLY YEARLY HOURLY MINUTELY 0 1 -1 5 29 30 31 53 366 999 9999 0,1 1,2,3 MO -1FR 53MO 6SU"
STRANGE_VALUES = [*VALUES.split(" "), "+1TU", "XX", "20271231", "20271231T000000Z", "99999999", "MO,TU", ""]
hostile_rules = st.lists(
    st.builds("{}={}".format, st.sampled_from(STRANGE_NAMES), st.sampled_from(STRANGE_VALUES)), max_size=5
).map(";".join)


@settings(deadline=timedelta(seconds=2), max_examples=examples(80))
@given(hostile_rules | st.builds("FREQ=MONTHLY;{}".format, hostile_rules) | wild_texts)
def test_a_rule_is_refused_or_can_be_reckoned_with(recurrence: str) -> None:
    silence = Silence(
        SilenceId(UUID(int=1)),
        (a_matcher("job", "api"),),
        NEW_YEAR,
        NEW_YEAR + HOUR,
        "maintenance",
        ADA,
        recurrence,
        "Europe/Berlin",
    )
    try:
        check_silence(silence, NEW_YEAR)
    except RefusedError as refused:
        paths = [problem.path for problem in refused.problems]
    else:
        paths = []
    if paths:
        assert paths == [("recurrence",)]
        return
    ends_at = until(silence)
    assert ends_at is None or ends_at >= silence.ends_at
    for day in range(0, 3000, 37):
        at = NEW_YEAR + day * DAY
        window = window_at(silence, at)
        assert window is None or window[0] <= at < window[1]
        assert (state_at(silence, at) is SilenceState.ACTIVE) == (window is not None)


silences = st.lists(
    st.builds(
        lambda label, value, begin, length: Silence(
            SilenceId(UUID(int=begin * 100 + length)),
            (a_matcher(label, value),),
            NEW_YEAR + begin * HOUR,
            NEW_YEAR + (begin + length) * HOUR,
            "maintenance",
            ADA,
        ),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["x", "y"]),
        st.integers(0, 20),
        st.integers(1, 20),
    ),
    max_size=5,
)


@given(silences, st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["x", "y"])), st.integers(-1, 45))
def test_an_alert_is_covered_by_those_that_match_and_last(
    silences: list[Silence], values: dict[str, str], hour: int
) -> None:
    at = NEW_YEAR + hour * HOUR

    assert covering(silences, values, at) == tuple(
        (silence, silence.ends_at)
        for silence in silences
        if silence.matchers[0].matches(values) and silence.starts_at <= at < silence.ends_at
    )


@pytest.mark.parametrize("name", ZONES[:4])
def test_clocks_are_changed_in_these_zones(name: str) -> None:
    assert len(changes(name)) == 2
