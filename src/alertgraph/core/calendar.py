"""Calendars (iCalendar, RFC 5545): shifts as a feed to subscribe to, and events of other calendars read in.

How a calendar from outside is read:

- Lines are taken apart by the `icalendar` library, their values here: its parser keeps the time zones that a
  calendar brings along for the whole process, where the next tenant's calendar would be read by them.
- A time zone known by name (IANA's, Windows', or one at the end of a longer name) has the pinned rules of
  `core.time_zone`; only rules under an unknown name are taken from the calendar. Times without a zone, and days,
  are in the zone of the schedule.
- A time that clocks skip is read with the offset of before the gap, one that they show twice is the first, both as
  the standard says. An event that recurs lasts as long on the wall clock each time, as calendar programs show it:
  a weekly shift from Monday 09:00 to Monday 09:00 has no hole when clocks are changed.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeAlias
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from dateutil import rrule
from icalendar import Calendar, Event
from icalendar.parser import Contentline, Contentlines, unescape_backslash
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from alertgraph.core.duration import duration_text, parse_duration
from alertgraph.core.errors import InputError
from alertgraph.core.ids import NodeKind, ScheduleId, encode_id
from alertgraph.core.schedule import OVERRIDE_LENGTH_MAX, Shift
from alertgraph.core.time_zone import wall_clock, zone, zone_names

PRODUCT = "-//alertgraph//on-call schedules//EN"
REFRESH_INTERVAL = timedelta(hours=1)
CALENDAR_BYTES_MAX = 1 << 20
EVENT_COUNT_MAX = 1000
READ_AHEAD = timedelta(days=366)
"""How far recurring events are followed."""

# ------------------------------------------------------------------------------------------ out


@dataclass(frozen=True, slots=True)
class CalendarShift:
    """A shift, with what a calendar shows of it.

    Attributes:
        email: Of the person, told as attendee; None where a feed's readers need not know it.
    """

    schedule_id: ScheduleId
    schedule_name: str
    responder_name: str
    shift: Shift
    email: str | None = None


def write_calendar(name: str, entries: Iterable[CalendarShift], made_at: datetime) -> bytes:
    """Return an iCalendar feed of shifts, in UTC and UTF-8; the same arguments give the same bytes.

    A shift keeps its UID as long as its schedule, its person and its begin stay, so that a calendar program moves
    its end rather than showing it twice.

    Args:
        name: Of the calendar.
        entries: In the order to be told; ones of less than a second are left out.
        made_at: Told as the time of making.
    """
    calendar = Calendar()
    calendar.add("version", "2.0")
    calendar.add("prodid", PRODUCT)
    calendar.add("method", "PUBLISH")
    calendar.add("name", name)
    calendar.add("x-wr-calname", name)  # the same for older programs, as the next but one is
    calendar.add("refresh-interval", REFRESH_INTERVAL, parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", duration_text(REFRESH_INTERVAL))
    for entry in entries:
        shift = entry.shift
        starts_at = shift.starts_at.astimezone(UTC).replace(microsecond=0)
        ends_at = shift.ends_at.astimezone(UTC).replace(microsecond=0)
        if starts_at == ends_at:
            continue
        event = Event()
        event.add("uid", _uid(entry, starts_at))
        event.add("dtstamp", made_at.astimezone(UTC).replace(microsecond=0))
        event.add("dtstart", starts_at)
        event.add("dtend", ends_at)
        event.add("summary", f"{entry.responder_name} on call: {entry.schedule_name}")
        if shift.override_id is not None:
            event.add("description", "Stands in.")
        if entry.email is not None:
            event.add("attendee", f"mailto:{entry.email}")
        event.add("transp", "TRANSPARENT")  # who is on call can still be invited
        calendar.add_component(event)
    return bytes(calendar.to_ical())


def _uid(entry: CalendarShift, starts_at: datetime) -> str:
    schedule = encode_id(NodeKind.SCHEDULE, entry.schedule_id)
    responder = encode_id(NodeKind.RESPONDER, entry.shift.responder_id)
    return f"{starts_at:%Y%m%dT%H%M%SZ}-{schedule}-{responder}@alertgraph"


# ------------------------------------------------------------------------------------------ in


@dataclass(frozen=True, slots=True)
class CalendarEvent:
    """Somebody's time in a calendar.

    Attributes:
        emails: Who it may be about, in lower case, likeliest first: those who attend, the organizer, addresses in
            the summary; at least one.
        summary: At most 256 characters.
    """

    emails: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime
    summary: str


def read_calendar(text: str, time_zone: str, now: datetime) -> tuple[CalendarEvent, ...]:
    """Return the events of a calendar that are not over and begin within 366 days, by begin; in UTC.

    Cancelled events are left out; recurring ones are followed, with their exceptions.

    Args:
        text: An iCalendar text.
        time_zone: IANA zone of times that name none.
        now: The present instant.

    Raises:
        InputError: It is larger than 1 MiB, is no calendar, or has more than 1,000 such events, or one that names
            nobody, that lasts longer than an override may, or that cannot be read; the message names it, and the
            path is `calendar`. Or there is no such time zone; the path is `timeZone`.
    """
    reading = _Reading(zone(time_zone), now)
    return reading.events(_parse(text))


@dataclass(slots=True)
class _Property:
    """One line: parameters with names in upper case, and the value as written."""

    parameters: Mapping[str, str]
    value: str


@dataclass(slots=True)
class _Component:
    """What stands between BEGIN and END."""

    name: str
    properties: dict[str, list[_Property]] = field(default_factory=dict)
    components: list[_Component] = field(default_factory=list)

    def first(self, name: str) -> _Property | None:
        """Return the first line of a name; None where there is none."""
        return next(iter(self.properties.get(name, ())), None)

    def walk(self, name: str) -> Iterator[_Component]:
        """Return the components directly inside that have a name."""
        return (component for component in self.components if component.name == name)


_LINE = re.compile(r"[ \t]*([A-Za-z0-9-]+)[ \t]*[;:]")
# The others are not looked at, so what is odd about them does no harm.
_READ = frozenset(
    {"BEGIN", "END", "UID", "STATUS", "SUMMARY", "ATTENDEE", "ORGANIZER"}
    | {"DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID"}
    | {"TZID", "TZOFFSETFROM", "TZOFFSETTO", "X-LIC-LOCATION"}
)
_DEPTH_MAX = 8


def _parse(text: str) -> _Component:
    """Return a component without a name that holds the calendars."""
    if len(text) > CALENDAR_BYTES_MAX or len(text.encode(errors="replace")) > CALENDAR_BYTES_MAX:
        raise _refused(f"A calendar has at most {CALENDAR_BYTES_MAX:,} bytes.")
    root = _Component("")
    stack = [root]
    lines: list[Contentline] = Contentlines.from_ical(text.removeprefix("\ufeff"))  # type: ignore[no-untyped-call]
    for line in lines:
        if not line.strip():
            continue
        match = _LINE.match(line)
        if match is None:
            raise _refused(f"{_shown(line)} is no line of an iCalendar text.")
        name = match[1].upper()
        if name not in _READ:
            continue
        try:
            _, parameters, value = line.raw_parts()
        except ValueError as error:
            raise _refused(f"{_shown(line)} is no line of an iCalendar text.") from error
        if name == "BEGIN":
            stack.append(_Component(value.strip().upper()))
            if len(stack) > _DEPTH_MAX:
                raise _refused(f"{_shown(line)} stands inside of too much else.")
        elif name == "END":
            component = stack.pop()
            if component is root or component.name != value.strip().upper():
                raise _refused(f"{_shown(line)} has no BEGIN.")
            stack[-1].components.append(component)
        else:
            if len(stack) == 1:
                raise _refused(f"{_shown(line)} stands outside of any calendar.")
            known = {
                key.upper(): entry if isinstance(entry, str) else entry[0] for key, entry in parameters.items()
            }
            stack[-1].properties.setdefault(name, []).append(_Property(known, value.strip()))
    if len(stack) > 1:
        raise _refused(f"The calendar breaks off inside of {_shown(stack[-1].name)}.")
    if not any(root.walk("VCALENDAR")):
        raise _refused("The text is no iCalendar: it does not begin with BEGIN:VCALENDAR.")
    return root


def _refused(message: str) -> InputError:
    return InputError(message, "calendar")


def _shown(text: str) -> str:
    """Return how a text from outside is quoted to a person."""
    return repr(text[:64].encode(errors="replace").decode()) + ("…" if len(text) > 64 else "")


# ------------------------------------------------------------------------------------------ time zones


@dataclass(frozen=True, slots=True)
class _OwnZone:
    """Rules of a time zone that a calendar brings along.

    Attributes:
        onsets: By time: what clocks show when they are changed, their offset before, and after.
    """

    onsets: tuple[tuple[datetime, timedelta, timedelta], ...]

    def instant(self, wall: datetime) -> datetime:
        """Return when clocks show a time."""
        # In a gap the offset of before it holds on.
        index = bisect_right(self.onsets, wall, key=lambda onset: max(onset[0], onset[0] + onset[2] - onset[1]))
        return (wall - self._offset(index)).replace(tzinfo=UTC)

    def wall(self, at: datetime) -> datetime:
        """Return what clocks show at an instant."""
        plain = at.astimezone(UTC).replace(tzinfo=None)
        return plain + self._offset(bisect_right(self.onsets, plain, key=lambda onset: onset[0] - onset[1]))

    def _offset(self, onset_count: int) -> timedelta:
        """Return the offset after so many onsets."""
        return self.onsets[onset_count - 1][2] if onset_count else self.onsets[0][1]


_Zone: TypeAlias = ZoneInfo | _OwnZone


def _instant(wall: datetime, time_zone: _Zone) -> datetime:
    if isinstance(time_zone, _OwnZone):
        return time_zone.instant(wall)
    return wall.replace(tzinfo=time_zone, fold=0).astimezone(UTC)


def _wall(at: datetime, time_zone: _Zone) -> datetime:
    return time_zone.wall(at) if isinstance(time_zone, _OwnZone) else wall_clock(at, time_zone)


_ONSET_COUNT_MAX = 2000
_OFFSET = re.compile(r"([+-])(\d\d)([0-5]\d)([0-5]\d)?")


def _offset(entry: _Property | None) -> timedelta:
    match = None if entry is None else _OFFSET.fullmatch(entry.value)
    if match is None or int(match[2]) > 23:
        raise ValueError("TZOFFSETFROM and TZOFFSETTO are offsets such as +0100.")
    length = timedelta(hours=int(match[2]), minutes=int(match[3]), seconds=int(match[4] or 0))
    return -length if match[1] == "-" else length


# ------------------------------------------------------------------------------------------ recurrence

_FREQUENCIES = {
    "YEARLY": rrule.YEARLY,
    "MONTHLY": rrule.MONTHLY,
    "WEEKLY": rrule.WEEKLY,
    "DAILY": rrule.DAILY,
    "HOURLY": rrule.HOURLY,
}
# What following one period costs, about in microseconds, and what may be spent on one calendar.
_PERIOD_COSTS = {"YEARLY": 40, "MONTHLY": 6, "WEEKLY": 4, "DAILY": 2, "HOURLY": 2}
_COST_MAX = 500_000
_RULE_LENGTH_MAX = 500
_DAYS = (rrule.MO, rrule.TU, rrule.WE, rrule.TH, rrule.FR, rrule.SA, rrule.SU)
_DAY_NAMES = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_BY_DAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
_NUMBER = re.compile(r"[+-]?\d{1,6}")
# Of each list of numbers: its name to dateutil, its largest, and whether it may count from the end.
_LISTS = {
    "BYMONTH": ("bymonth", 1, 12, False),
    "BYMONTHDAY": ("bymonthday", 1, 31, True),
    "BYYEARDAY": ("byyearday", 1, 366, True),
    "BYWEEKNO": ("byweekno", 1, 53, True),
    "BYSETPOS": ("bysetpos", 1, 366, True),
    "BYHOUR": ("byhour", 0, 23, False),
}


class _Purse:
    """What may still be spent on following rules."""

    def __init__(self) -> None:
        self._left = _COST_MAX

    def spend(self, cost: int) -> None:
        """Take out a cost; raises ValueError where that much is not there."""
        self._left -= cost
        if self._left < 0:
            raise ValueError("it recurs too often, or its rule goes on for too long before anything comes of it.")


class _Interval(int):
    """An INTERVAL that pays for every period it leads to.

    A rule that never comes true, such as 30 February, is followed by dateutil up to the year 9999. The interval is
    the one thing that it touches on each step of the way.
    """

    _purse: _Purse
    _cost: int

    @classmethod
    def of(cls, periods: int, purse: _Purse, cost: int) -> _Interval:
        """Return an interval of so many periods, each of which costs that much."""
        interval = cls(periods)
        interval._purse = purse
        interval._cost = cost
        return interval

    def __radd__(self, other: int) -> int:
        self._purse.spend(self._cost)
        return other + int(self)

    def __mul__(self, other: int) -> int:
        self._purse.spend(self._cost)
        return int(self) * other


def _rule_parts(text: str) -> dict[str, str]:
    if len(text) > _RULE_LENGTH_MAX:
        raise ValueError(f"its RRULE has more than {_RULE_LENGTH_MAX} characters.")
    parts: dict[str, str] = {}
    for part in text.upper().rstrip(";").split(";"):
        name, equals, value = part.partition("=")
        if not equals or name in parts:
            raise ValueError(f"its RRULE says {_shown(part)}.")
        parts[name] = value
    return parts


def _number(text: str, name: str, lowest: int, highest: int, *, from_end: bool = False) -> int:
    number = int(text) if _NUMBER.fullmatch(text) else None
    if number is None or not (lowest <= (abs(number) if from_end else number) <= highest):
        raise ValueError(f"{name} of its RRULE is {_shown(text)}.")
    return number


def _week_days(text: str, frequency: str) -> list[object]:
    days: list[object] = []
    for item in text.split(","):
        match = _BY_DAY.fullmatch(item)
        if match is None or (match[1] and frequency not in {"MONTHLY", "YEARLY"}):
            raise ValueError(f"BYDAY of its RRULE is {_shown(item)}.")
        day = _DAYS[_DAY_NAMES.index(match[2])]
        days.append(day(_number(match[1], "BYDAY", 1, 53, from_end=True)) if match[1] else day)
    return days


def _recurrences(
    rule: str, start: datetime, time_zone: _Zone, horizon: datetime, purse: _Purse
) -> Iterator[datetime]:
    """Return when a rule comes true up to a horizon, all on the wall clock of a zone."""
    parts = _rule_parts(rule)
    frequency = parts.pop("FREQ", "")
    if frequency not in _FREQUENCIES:
        raise ValueError(f"it recurs {_shown(frequency)}; only {', '.join(_FREQUENCIES)} are known.")
    until, cost = horizon, _PERIOD_COSTS[frequency]
    options: dict[str, object] = {"wkst": rrule.MO}
    interval = 1
    for name, value in parts.items():
        if name == "INTERVAL":
            interval = _number(value, name, 1, 10_000)
        elif name == "COUNT":
            options["count"] = _number(value, name, 1, 999_999)
        elif name == "UNTIL":
            until = min(until, _until(value, time_zone))
        elif name == "WKST" and value in _DAY_NAMES:
            options["wkst"] = _DAYS[_DAY_NAMES.index(value)]
        elif name == "BYDAY":
            options["byweekday"] = _week_days(value, frequency)
        elif name in _LISTS:
            key, lowest, highest, from_end = _LISTS[name]
            numbers = {_number(item, name, lowest, highest, from_end=from_end) for item in value.split(",")}
            options[key] = sorted(numbers)
        else:
            raise ValueError(f"its RRULE says {_shown(f'{name}={value}')}, which is not known here.")
    positions = options.get("bysetpos")
    if isinstance(positions, list):
        cost *= 1 + len(positions)
    rules = rrule.rrule(
        _FREQUENCIES[frequency], dtstart=start, interval=_Interval.of(interval, purse, cost), **options
    )
    for wall in rules:
        if wall > until:
            return
        purse.spend(1)
        yield wall


def _until(text: str, time_zone: _Zone) -> datetime:
    wall, is_utc, is_day = _moment(text)
    if is_day:
        return wall + timedelta(days=1, seconds=-1)
    return _wall(wall.replace(tzinfo=UTC), time_zone) if is_utc else wall


_MOMENT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?")


def _moment(text: str) -> tuple[datetime, bool, bool]:
    """Return a date or a time without its zone, whether it is said to be in UTC, and whether it is a date."""
    match = _MOMENT.fullmatch(text.strip().upper())
    if match is None:
        raise ValueError(f"{_shown(text)} is no date or time such as 20261123T120000Z.")
    year, month, day, hour, minute, second = (int(number) for number in match.groups(default="0")[:6])
    if not 1600 <= year < 9000:  # where Outlook lets time begin
        raise ValueError(f"{_shown(text)} is not in the years 1600 to 8999.")
    try:
        # A leap second counts as the one in front of it.
        wall = datetime.combine(date(year, month, day), time(hour, minute, 59 if second == 60 else second))
    except ValueError as error:
        raise ValueError(f"{_shown(text)} is on no calendar or clock.") from error
    return wall, bool(match[7]), match[4] is None


# ------------------------------------------------------------------------------------------ events

_EMAIL = re.compile(r"\w[\w.!#$%&'*+/=?^`{|}~-]*@\w[\w.-]*\w")
_EMAIL_LENGTH_MAX = 254
_SUMMARY_LENGTH_MAX = 256
_NO_PERSON = {"ROOM", "RESOURCE"}


@dataclass(frozen=True, slots=True)
class _Start:
    """When something begins: on which wall clock, and whether a whole day is meant."""

    wall: datetime
    zone: _Zone
    is_day: bool


class _Reading:
    """One calendar being read."""

    def __init__(self, time_zone: ZoneInfo, now: datetime) -> None:
        self._zone = time_zone
        self._now = now.astimezone(UTC)
        self._horizon = self._now + READ_AHEAD
        self._purse = _Purse()
        self._definitions: dict[str, _Component] = {}
        self._own_zones: dict[str, _OwnZone] = {}

    def events(self, root: _Component) -> tuple[CalendarEvent, ...]:
        """Return the events of all calendars in a text."""
        calendars = list(root.walk("VCALENDAR"))
        for calendar in calendars:
            for definition in calendar.walk("VTIMEZONE"):
                name = definition.first("TZID")
                if name is not None:
                    self._definitions.setdefault(name.value, definition)
        components = [event for calendar in calendars for event in calendar.walk("VEVENT")]
        moved: dict[str, set[datetime]] = {}
        found: list[CalendarEvent] = []
        component = root
        try:
            for component in components:
                uid, moved_from = component.first("UID"), component.first("RECURRENCE-ID")
                if uid is not None and moved_from is not None:
                    moved.setdefault(uid.value, set()).add(self._moved_from(moved_from))
            for component in components:
                uid = component.first("UID")
                for event in self._events_of(component, moved.get(uid.value, set()) if uid else set()):
                    found.append(event)
                    if len(found) > EVENT_COUNT_MAX:
                        raise _refused(
                            f"The calendar has more than {EVENT_COUNT_MAX:,} events in the year to come."
                        )
        except ValueError as error:
            title = component.first("SUMMARY") or component.first("UID") or _Property({}, "without a name")
            raise _refused(f"The event {_shown(unescape_backslash(title.value))} is refused: {error}") from error
        return tuple(sorted(found, key=lambda event: (event.starts_at, event.ends_at, event.emails)))

    def _events_of(self, component: _Component, moved: set[datetime]) -> Iterator[CalendarEvent]:
        """Return the events that a component stands for.

        Args:
            component: A VEVENT.
            moved: Begins of its recurrences that other components stand for.
        """
        status = component.first("STATUS")
        if status is not None and status.value.upper() == "CANCELLED":
            return
        begin = component.first("DTSTART")
        if begin is None:
            raise ValueError("it has no DTSTART.")
        start = self._start(begin)
        length = self._length(component, start)
        if component.first("RECURRENCE-ID") is not None:
            moved = set()
        left_out = [
            self._start(entry) for line in component.properties.get("EXDATE", ()) for entry in _entries(line)
        ]
        days_left_out = {entry.wall.date() for entry in left_out if entry.is_day}
        begins_left_out = moved | {_instant(entry.wall, entry.zone) for entry in left_out}
        emails: tuple[str, ...] | None = None
        for wall in sorted(self._walls(component, start, length)):
            starts_at, ends_at = _instant(wall, start.zone), _instant(wall + length, start.zone)
            if ends_at <= self._now or starts_at >= self._horizon:
                continue
            if starts_at in begins_left_out or wall.date() in days_left_out:
                continue
            if ends_at <= starts_at:
                raise ValueError("it ends no later than it begins.")
            if ends_at - starts_at > OVERRIDE_LENGTH_MAX:
                raise ValueError(f"it lasts longer than {OVERRIDE_LENGTH_MAX.days} days.")
            if emails is None:
                emails = _emails(component)
            yield CalendarEvent(emails, starts_at, ends_at, _summary(component))

    def _walls(self, component: _Component, start: _Start, length: timedelta) -> set[datetime]:
        """Return when an event begins, again and again, on its wall clock; those long over may be missing."""
        rules = component.properties.get("RRULE", [])
        more = [self._start(entry) for line in component.properties.get("RDATE", ()) for entry in _entries(line)]
        if not rules and not more:
            return {start.wall}
        if len(rules) > 1:
            raise ValueError("it has more than one RRULE.")
        if length > OVERRIDE_LENGTH_MAX:
            raise ValueError(f"it lasts longer than {OVERRIDE_LENGTH_MAX.days} days.")
        since = _wall(self._now, start.zone) - length - timedelta(days=2)
        horizon = _wall(self._horizon, start.zone)
        walls = {start.wall, *(_wall(_instant(entry.wall, entry.zone), start.zone) for entry in more)}
        for rule in rules:
            recurrences = _recurrences(rule.value, start.wall, start.zone, horizon, self._purse)
            walls |= {wall for wall in recurrences if wall >= since}
        return walls

    def _length(self, component: _Component, start: _Start) -> timedelta:
        """Return how long an event lasts on its wall clock."""
        end, duration = component.first("DTEND"), component.first("DURATION")
        if end is not None:
            until = self._start(end)
            if until.is_day != start.is_day:
                raise ValueError("of its DTSTART and DTEND one is a day, the other a time.")
            if until.zone is start.zone:
                return until.wall - start.wall
            return _wall(_instant(until.wall, until.zone), start.zone) - start.wall
        if duration is not None:
            text = duration.value.upper().removeprefix("+")
            if not text.startswith("P"):
                raise ValueError(f"{_shown(duration.value)} is no DURATION such as PT8H.")
            return min(parse_duration(text), 2 * OVERRIDE_LENGTH_MAX)  # refused in either case, if it is to come
        return timedelta(days=1) if start.is_day else timedelta(0)

    def _moved_from(self, entry: _Property) -> datetime:
        if "RANGE" in entry.parameters:
            raise ValueError("it changes all that follow it (RANGE), which is not known here.")
        start = self._start(entry)
        return _instant(start.wall, start.zone)

    def _start(self, entry: _Property) -> _Start:
        wall, is_utc, is_day = _moment(entry.value)
        name = entry.parameters.get("TZID")
        if is_utc:
            return _Start(wall, zone("UTC"), is_day)
        return _Start(wall, self._zone if name is None or is_day else self._zone_of(name), is_day)

    def _zone_of(self, name: str) -> _Zone:
        """Return the zone that a TZID means."""
        plain = name.strip().strip("/")
        definition = self._definitions.get(name)
        place = definition.first("X-LIC-LOCATION") if definition is not None else None
        parts = plain.split("/", 8)
        candidates = [
            plain,
            WINDOWS_TO_OLSON.get(plain, ""),
            "" if place is None else place.value,
            *("/".join(parts[first:]) for first in range(1, len(parts))),  # /vendor.example/Europe/Berlin
        ]
        for candidate in candidates:
            if candidate in zone_names():
                return zone(candidate)
        if definition is None:
            raise ValueError(f"its time zone {_shown(name)} is unknown.")
        if name not in self._own_zones:
            self._own_zones[name] = self._own_zone(name, definition)
        return self._own_zones[name]

    def _own_zone(self, name: str, definition: _Component) -> _OwnZone:
        onsets: set[tuple[datetime, timedelta, timedelta]] = set()
        horizon = self._horizon.replace(tzinfo=None) + timedelta(days=2)
        for part in definition.components:
            begin = part.first("DTSTART")
            if part.name not in {"STANDARD", "DAYLIGHT"} or begin is None:
                raise ValueError(f"its time zone {_shown(name)} is not described as it should be.")
            before, after = _offset(part.first("TZOFFSETFROM")), _offset(part.first("TZOFFSETTO"))
            first, _, _ = _moment(begin.value)
            walls = {first}
            for line in part.properties.get("RDATE", ()):
                walls |= {_moment(entry.value)[0] for entry in _entries(line)}
            for rule in part.properties.get("RRULE", ()):
                steady = _OwnZone(((first, before, before),))
                walls |= set(_recurrences(rule.value, first, steady, horizon, self._purse))
            onsets |= {(wall, before, after) for wall in walls}
        if not 1 <= len(onsets) <= _ONSET_COUNT_MAX:
            raise ValueError(f"its time zone {_shown(name)} is not described as it should be.")
        return _OwnZone(tuple(sorted(onsets)))


def _entries(line: _Property) -> Iterator[_Property]:
    """Return a line of several values as lines of one."""
    return (_Property(line.parameters, value) for value in line.value.split(",") if value.strip())


def _summary(component: _Component) -> str:
    line = component.first("SUMMARY")
    return "" if line is None else unescape_backslash(line.value[: 2 * _SUMMARY_LENGTH_MAX])[:_SUMMARY_LENGTH_MAX]


def _emails(component: _Component) -> tuple[str, ...]:
    """Return whom an event may be about, likeliest first."""
    attending = [
        line
        for line in component.properties.get("ATTENDEE", ())
        if line.parameters.get("CUTYPE", "").upper() not in _NO_PERSON
        and line.parameters.get("PARTSTAT", "").upper() != "DECLINED"
    ]
    named = [_address(line) for line in [*attending, *component.properties.get("ORGANIZER", ())]]
    emails = [email for email in named if email is not None] + _EMAIL.findall(_summary(component))
    if not emails:
        raise ValueError("it names nobody: no attendee, organizer or summary of it has an e-mail address.")
    return tuple(dict.fromkeys(email.lower() for email in emails))


def _address(line: _Property) -> str | None:
    """Return the e-mail address of an attendee or organizer; None where there is none."""
    scheme, _, rest = line.value.partition(":")
    text = line.parameters.get("EMAIL") or (unquote(rest.partition("?")[0]) if scheme.lower() == "mailto" else "")
    text = text.strip()
    return text if len(text) <= _EMAIL_LENGTH_MAX and _EMAIL.fullmatch(text) else None
