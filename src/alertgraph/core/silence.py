"""Silences: a person's order not to page for some alerts, once or again and again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from functools import lru_cache
from itertools import takewhile

from dateutil.rrule import rrule, rrulestr

from alertgraph.core.actor import Actor
from alertgraph.core.alert import check_text
from alertgraph.core.errors import ErrorCode, InputError, Problem, RefusedError
from alertgraph.core.ids import SilenceId
from alertgraph.core.labels import Matcher, MatchOperator, check_matcher, matches_all
from alertgraph.core.time_zone import check_time_zone, instant_of, wall_clock, zone

MATCHER_COUNT_MAX = 20
COMMENT_LENGTH_MAX = 1024
WINDOW_LENGTH_MAX = timedelta(days=366)
RECURRENCE_LENGTH_MAX = 512
OCCURRENCE_COUNT_MAX = 1000
INTERVAL_MAX = 1000
# How long a recurrence that ends may last.
RECURRENCE_SPAN_MAX = timedelta(days=3660)
STARTS_AT_MIN = datetime(2000, 1, 1, tzinfo=UTC)
STARTS_AT_MAX = datetime(2300, 1, 1, tzinfo=UTC)

_LIMITS = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYMINUTE"})
_PICKS = frozenset({"BYMONTH", "BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY", "BYHOUR", "BYSETPOS"})
_DAY_PARTS = frozenset({"BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY"})
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_FREQUENCIES = ("HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_VALUE = re.compile(r"[+\-A-Z0-9]{1,16}(?:,[+\-A-Z0-9]{1,16})*", re.ASCII)
_NUMBER = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)
_UNTIL = re.compile(r"(\d{8})(?:T(\d{6})(Z?))?", re.ASCII)
# The calendar repeats every 400 years, to the day of the week. A rule is reckoned in the last years before
# 9999, where the library gives up looking: so one that never holds is known soon.
_SHIFT_YEARS = 7600
# Windows are found for this long at once, and kept.
_STRETCH = timedelta(days=7)
_LAST = datetime(2399, 1, 1)  # noqa: DTZ001  (what a clock shows)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


class SilenceState(IntEnum):
    """Where a silence stands."""

    PENDING = 1
    ACTIVE = 2
    EXPIRED = 3


@dataclass(frozen=True, slots=True)
class Silence:
    """A person's order not to page for some alerts.

    Attributes:
        starts_at: Begin of the first window.
        ends_at: End of the first window, not included.
        recurrence: RRULE (RFC 5545) by which the window comes again; None for once.
        time_zone: Of the recurrence's wall clock.
        end_on_resolve: Ends early, when the last alert under it is resolved.
        over_at: From when it never silences again: by a person, or since its last alert was resolved;
            None while only its windows say.
        version: Number of the last event that changed it.
    """

    id: SilenceId
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    comment: str
    created_by: Actor
    recurrence: str | None = None
    time_zone: str = "UTC"
    end_on_resolve: bool = False
    over_at: datetime | None = None
    version: int = 0


# ----------------------------------------------------------------------------------------- windows


def window_at(silence: Silence, at: datetime) -> tuple[datetime, datetime] | None:
    """Return the window [begin, end) in which the silence covers an instant; None where it does not.

    The first window is as given. Later ones begin and end at the same times of the wall clock in the silence's
    zone: of a time that comes twice it is the first, and one that the clock skips comes where the gap is over.
    Where windows overlap, the one that ends last is returned.
    """
    if at < silence.starts_at or (silence.over_at is not None and at >= silence.over_at):
        return None
    found = (silence.starts_at, silence.ends_at) if at < silence.ends_at else None
    if silence.recurrence is not None:
        stretch = (at - _EPOCH) // _STRETCH
        for window in _windows(silence.recurrence, silence.time_zone, silence.starts_at, silence.ends_at, stretch):
            if window[0] <= at < window[1] and (found is None or window[1] > found[1]):
                found = window
    if found is None or silence.over_at is None:
        return found
    return found[0], min(found[1], silence.over_at)


def until(silence: Silence) -> datetime | None:
    """Return when the silence is over for good; None for a recurrence without end."""
    ends_at = silence.ends_at
    if silence.recurrence is not None:
        last = _last_end(silence.recurrence, silence.time_zone, silence.starts_at, silence.ends_at)
        if last is None:
            return silence.over_at
        ends_at = max(ends_at, last)
    return ends_at if silence.over_at is None else min(ends_at, silence.over_at)


def state_at(silence: Silence, at: datetime) -> SilenceState:
    """Return where a silence stands at an instant."""
    ends_at = until(silence)
    if ends_at is not None and ends_at <= at:
        return SilenceState.EXPIRED
    return SilenceState.ACTIVE if window_at(silence, at) is not None else SilenceState.PENDING


def covering(
    silences: Iterable[Silence], values: Mapping[str, str], at: datetime
) -> tuple[tuple[Silence, datetime], ...]:
    """Return the silences that cover an alert, each with the end of the window it is in.

    Args:
        silences: All there are.
        values: What matchers look at, as `core.alert.match_values` returns it.
        at: The instant in question.
    """
    found = []
    for silence in silences:
        if at < silence.starts_at or not matches_all(_cheapest_first(silence.matchers), values):
            continue
        window = window_at(silence, at)
        if window is not None:
            found.append((silence, window[1]))
    return tuple(found)


@lru_cache(maxsize=4096)
def _cheapest_first(matchers: tuple[Matcher, ...]) -> tuple[Matcher, ...]:
    """Put equality in front: most silences are ruled out by it, and no pattern is tried."""
    return tuple(sorted(matchers, key=lambda matcher: matcher.operator is not MatchOperator.EQUAL))


@lru_cache(maxsize=8192)
def _windows(
    recurrence: str, time_zone: str, starts_at: datetime, ends_at: datetime, stretch: int
) -> tuple[tuple[datetime, datetime], ...]:
    """Return the windows after the first that have any part of a stretch of time, by begin."""
    rule = _Rule(recurrence, time_zone, starts_at)
    length = _length(time_zone, starts_at, ends_at)
    begin, end = _EPOCH + stretch * _STRETCH, _EPOCH + (stretch + 1) * _STRETCH
    local_begins = rule.between(rule.local(begin) - length - _DAY, rule.local(end) + _DAY)
    windows = (rule.window(local_begin, length) for local_begin in local_begins)
    return tuple(window for window in windows if window[0] < end and window[1] > max(begin, window[0]))


@lru_cache(maxsize=8192)
def _last_end(recurrence: str, time_zone: str, starts_at: datetime, ends_at: datetime) -> datetime | None:
    """Return the end of the last window; None where there is no last one."""
    rule = _Rule(recurrence, time_zone, starts_at)
    if rule.is_endless:
        return None
    last = rule.last()
    return ends_at if last is None else rule.window(last, _length(time_zone, starts_at, ends_at))[1]


def _length(time_zone: str, starts_at: datetime, ends_at: datetime) -> timedelta:
    """Return how long a window is on the wall clock; by real time where the clock was set back in between."""
    place = zone(time_zone)
    length = wall_clock(ends_at, place) - wall_clock(starts_at, place)
    return length if length > timedelta(0) else ends_at - starts_at


class _Rule:
    """A recurrence on the wall clock of a zone: its times are those of the clock, without a zone.

    Raises:
        ValueError: It can't be used; the message says so to a person.
    """

    def __init__(self, recurrence: str, time_zone: str, starts_at: datetime) -> None:
        self._zone = zone(time_zone)
        first = self.local(starts_at)
        # The library counts in whole seconds.
        self._fraction = timedelta(microseconds=first.microsecond)
        self._first = first.replace(microsecond=0)
        parts = _parts_of(recurrence)
        self._frequency = parts["FREQ"]
        self._interval = int(parts.get("INTERVAL", "1"))
        self._count = int(parts["COUNT"]) if "COUNT" in parts else None
        self._until = self._until_of(parts.pop("UNTIL")) if "UNTIL" in parts else None
        self._parts = parts
        self._rule = self._made(self._first)

    @property
    def is_endless(self) -> bool:
        """Whether there is no last occurrence."""
        return self._count is None and self._until is None

    @property
    def ends_beyond(self) -> bool:
        """Whether it names an end that is too far away."""
        return self._until is not None and self._until - self._first > RECURRENCE_SPAN_MAX

    def local(self, at: datetime) -> datetime:
        """Return what the clock shows at an instant."""
        return wall_clock(at, self._zone)

    def window(self, begin: datetime, length: timedelta) -> tuple[datetime, datetime]:
        """Return the instants at which a window begins and ends."""
        begin += self._fraction
        return instant_of(begin, self._zone), instant_of(begin + length, self._zone)

    def ever(self) -> bool:
        """Say whether there is any occurrence."""
        return next(iter(self._rule), None) is not None

    def between(self, low: datetime, high: datetime) -> Iterator[datetime]:
        """Yield the occurrences behind the first window's begin from `low` to `high`, in order."""
        rule = self._rule if self._count is not None else self._from(low)
        for shifted in takewhile(lambda shifted: shifted <= _shifted(high), rule):
            occurrence = _unshifted(shifted)
            if occurrence >= low and occurrence > self._first:
                yield occurrence

    def last(self) -> datetime | None:
        """Return the last occurrence of a rule that ends; None where there is none behind the first window."""
        if self._until is None:
            return max(self.between(self._first, _LAST), default=None)
        # Of what comes often, only the last is looked at; what comes that seldom is soon looked through.
        reach = 60 * _DAY if self._frequency == "HOURLY" else 3 * WINDOW_LENGTH_MAX
        recent = max(self.between(self._until - reach, self._until), default=None)
        return recent or max(self.between(self._first, self._until), default=None)

    def _from(self, low: datetime) -> rrule:
        """Return the same rule from a start some whole intervals later, so that it need not count up to `low`."""
        first, interval = self._first, self._interval
        if low <= first:
            return self._rule
        match self._frequency:
            case "MONTHLY" | "YEARLY":
                period = interval * (12 if self._frequency == "YEARLY" else 1)
                passed = (low.year - first.year) * 12 + low.month - first.month
                months = first.year * 12 + first.month - 1 + passed // period * period
                later = first.replace(year=months // 12, month=months % 12 + 1, day=1)
            case _:
                unit = {"HOURLY": timedelta(hours=1), "DAILY": _DAY, "WEEKLY": 7 * _DAY}[self._frequency]
                later = first + (low - first) // (interval * unit) * (interval * unit)
        return self._rule if later <= first else self._made(later)

    def _made(self, start: datetime) -> rrule:
        parts = dict(self._parts)
        if self._frequency in ("MONTHLY", "YEARLY") and not parts.keys() & _DAY_PARTS:
            # Without these the library takes the day from where it starts, which may be moved.
            parts["BYMONTHDAY"] = str(self._first.day)
            if self._frequency == "YEARLY":
                parts.setdefault("BYMONTH", str(self._first.month))
        if self._frequency == "WEEKLY" and "BYDAY" not in parts:
            parts["BYDAY"] = _WEEKDAYS[self._first.weekday()]
        if self._until is not None:
            parts["UNTIL"] = _shifted(self._until).strftime("%Y%m%dT%H%M%S")
        made = rrulestr(";".join(f"{name}={value}" for name, value in parts.items()), dtstart=_shifted(start))
        assert isinstance(made, rrule), "one rule and no dates make no set"
        return made

    def _until_of(self, text: str) -> datetime:
        match = _UNTIL.fullmatch(text)
        if match is None:
            raise ValueError("UNTIL is a day such as 20271231, or an instant such as 20271231T235959Z")
        day, time, utc = match.groups()
        try:
            # A day alone is in it altogether.
            read = datetime.strptime(f"{day}T{time or '235959'}", "%Y%m%dT%H%M%S")  # noqa: DTZ007
        except ValueError:
            raise ValueError("UNTIL is no day or time of the calendar") from None
        if not STARTS_AT_MIN.year <= read.year < STARTS_AT_MAX.year:
            raise ValueError(f"UNTIL is not within {STARTS_AT_MIN.year} to {STARTS_AT_MAX.year - 1}")
        return self.local(read.replace(tzinfo=UTC)) if utc else read


def _shifted(local: datetime) -> datetime:
    return local.replace(year=local.year + _SHIFT_YEARS)


def _unshifted(local: datetime) -> datetime:
    return local.replace(year=local.year - _SHIFT_YEARS)


def _parts_of(recurrence: str) -> dict[str, str]:
    """Return the parts of an RRULE by name."""
    parts: dict[str, str] = {}
    for part in recurrence.upper().removeprefix("RRULE:").split(";"):
        name, _, value = part.partition("=")
        if name == "DTSTART":
            raise ValueError("DTSTART is startsAt, and stands in no rule")
        if name not in _LIMITS | _PICKS or not _VALUE.fullmatch(value):
            known = ", ".join(sorted(_LIMITS | _PICKS))
            raise ValueError(f"{part[:40]!r} is no part such as FREQ=WEEKLY; there are {known}")
        if name in parts:
            raise ValueError(f"{name} stands twice")
        parts[name] = value
    frequency = parts.get("FREQ")
    if frequency not in _FREQUENCIES:
        raise ValueError(f"FREQ is one of {', '.join(_FREQUENCIES)}: windows are at least an hour apart")
    for name, highest in (("INTERVAL", INTERVAL_MAX), ("COUNT", OCCURRENCE_COUNT_MAX)):
        if name in parts and not (_NUMBER.fullmatch(parts[name]) and int(parts[name]) <= highest):
            raise ValueError(f"{name} is 1 to {highest:,}")
    if "COUNT" in parts and "UNTIL" in parts:
        raise ValueError("COUNT and UNTIL do not go together")
    if "," in parts.get("BYMINUTE", ""):
        raise ValueError("BYMINUTE names one minute: windows are at least an hour apart")
    _check_looking(parts)
    return parts


def _check_looking(parts: Mapping[str, str]) -> None:
    """Refuse what would have to be looked for day by day or hour by hour."""
    frequency = parts["FREQ"]
    picks = parts.keys() & _PICKS
    if frequency == "HOURLY" and picks:
        raise ValueError("an HOURLY rule has INTERVAL, COUNT and UNTIL alone; use DAILY with BYHOUR")
    if frequency == "DAILY" and (
        not picks <= {"BYDAY", "BYMONTH", "BYHOUR"} or (picks & {"BYDAY", "BYMONTH"} and "INTERVAL" in parts)
    ):
        raise ValueError(
            "a DAILY rule has BYDAY, BYMONTH and BYHOUR, the first two without INTERVAL; use WEEKLY or MONTHLY"
        )
    if frequency == "WEEKLY" and not picks <= {"BYDAY", "BYMONTH", "BYHOUR"}:
        raise ValueError("a WEEKLY rule has BYDAY, BYMONTH and BYHOUR; use MONTHLY or YEARLY")


# ------------------------------------------------------------------------------------------ checks


def check_silence(silence: Silence, now: datetime) -> Silence:
    """Return a silence if it can be kept.

    Args:
        silence: As wanted.
        now: By when it must not be over already.

    Raises:
        RefusedError: It can't; paths are the names of the API's fields.
    """
    check_silence_matchers(silence.matchers)
    if not STARTS_AT_MIN <= silence.starts_at < STARTS_AT_MAX:
        raise InputError(f"startsAt is within {STARTS_AT_MIN.year} to {STARTS_AT_MAX.year - 1}.", "startsAt")
    if silence.ends_at <= silence.starts_at:
        raise InputError("endsAt is not after startsAt.", "endsAt")
    if silence.ends_at - silence.starts_at > WINDOW_LENGTH_MAX:
        raise InputError("endsAt is at most a year after startsAt.", "endsAt")
    check_time_zone(silence.time_zone)
    if silence.recurrence is not None:
        _check_recurrence(silence.recurrence, silence)
    problems = check_text(silence.comment, "comment", COMMENT_LENGTH_MAX, length_min=1)
    if problems:
        raise RefusedError(problems)
    over_at = until(silence)
    if over_at is not None and over_at <= now:
        raise InputError("It would be over already.", "endsAt")
    return silence


def check_silence_matchers(matchers: tuple[Matcher, ...]) -> None:
    """Let matchers pass that a silence can have: at least one, and not all for what is absent.

    Raises:
        InputError: It can't have them; the path begins with `matchers`.
    """
    if not 1 <= len(matchers) <= MATCHER_COUNT_MAX:
        raise InputError(f"There are 1 to {MATCHER_COUNT_MAX} matchers; these are {len(matchers):,}.", "matchers")
    for index, matcher in enumerate(matchers):
        check_matcher(matcher, "matchers", str(index))
    if matches_all(matchers, {}):
        raise InputError(
            "All matchers match the empty text, so that an alert without any of these labels would be silenced.",
            "matchers",
        )


def _check_recurrence(recurrence: str, silence: Silence) -> None:
    if len(recurrence) > RECURRENCE_LENGTH_MAX:
        raise InputError(f"recurrence has at most {RECURRENCE_LENGTH_MAX} characters.", "recurrence")
    try:
        rule = _Rule(recurrence, silence.time_zone, silence.starts_at)
        if rule.ends_beyond:
            raise ValueError(
                "UNTIL is at most ten years after startsAt; leave it out for a recurrence without end"
            )
        if not rule.ever():
            raise ValueError("there is no such day or time")
    except (ValueError, TypeError, OverflowError) as error:
        problem = Problem(
            ErrorCode.INVALID_INPUT, f"recurrence is no RRULE that can be used: {error}.", ("recurrence",)
        )
        raise RefusedError([problem]) from error
