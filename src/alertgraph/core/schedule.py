"""On-call schedules: who is on call when.

How time is read, everywhere in this module:

- A rotation hands over first at `starts_at`, to the first of its people. Where its shifts last whole days (PT24H
  is P1D), every later hand-off is when clocks in the schedule's zone show the same time of day, so a turn over a
  night on which they are changed lasts 23 or 25 hours. Any other length is real time elapsed since `starts_at`.
- A time of day that clocks skip is taken as the instant at which the gap is over; one that they show twice as the
  first of the two. A day that a zone leaves out (30 December 2011 in Apia) is a turn of no length: whoever would
  have had it is passed over.
- Windows follow the wall clock by the same two rules; a window that lies within a gap does not take place.
- A layer counts where it covers an instant: from `starts_at` on and, where it has windows, inside one of them.
  The highest layer that counts has the instant; an override has it before all layers, and of several overrides
  the one made last. So at most one person is on call; elsewhere nobody is.
- Nothing is computed from the year 9000 on, when rotations end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from alertgraph.core.actor import Actor
from alertgraph.core.alert import NAME_LENGTH_MAX, TRIGGERED_AT_MIN, check_text
from alertgraph.core.duration import duration_text
from alertgraph.core.errors import ErrorCode, InputError, Problem, RefusedError
from alertgraph.core.ids import OverrideId, ResponderId, ScheduleId
from alertgraph.core.time_zone import instant_of, wall_clock, zone

SHIFT_LENGTH_MIN = timedelta(hours=1)
SHIFT_LENGTH_MAX = timedelta(days=366)
ROTATION_COUNT_MAX = 20
RESPONDER_COUNT_MAX = 100
WINDOW_COUNT_MAX = 50
OVERRIDE_LENGTH_MAX = timedelta(days=100)
LOOK_AHEAD = timedelta(days=400)
"""How far the next change of who is on call is looked for."""

TIME_MIN = TRIGGERED_AT_MIN
"""Nothing on a schedule begins earlier."""
TIME_MAX = datetime(9000, 1, 1, tzinfo=UTC)
"""Nothing on a schedule ends later."""

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class WeeklyWindow:
    """Some hours of some days, on the wall clock of the schedule's zone.

    Attributes:
        days: On which days it begins; 0 is Monday.
        starts_at: Minutes since midnight, 0 to 1439.
        ends_at: Minutes since midnight, 0 to 1440; at or before the begin it is on the next day.
    """

    days: tuple[int, ...]
    starts_at: int
    ends_at: int


@dataclass(frozen=True, slots=True)
class Rotation:
    """One layer: people take turns.

    Attributes:
        responder_ids: In turn, at least one.
        starts_at: First hand-off; nobody is on call in this layer before. Its wall-clock time in the
            schedule's zone is that of every later one where the shift lasts whole days.
        shift_length: At least an hour. Whole days follow the wall clock through daylight saving; anything
            else counts real time from the first hand-off.
        windows: The layer covers only these; empty for always.
    """

    responder_ids: tuple[ResponderId, ...]
    starts_at: datetime
    shift_length: timedelta
    windows: tuple[WeeklyWindow, ...] = ()


@dataclass(frozen=True, slots=True)
class ShiftOverride:
    """Somebody stands in: while it lasts, they alone are on call on the schedule."""

    id: OverrideId
    schedule_id: ScheduleId
    responder_id: ResponderId
    starts_at: datetime
    ends_at: datetime
    created_by: Actor
    version: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """Who is on call when. Later rotations lie over earlier ones, overrides over all.

    Attributes:
        time_zone: IANA zone in which hand-offs keep their wall-clock time.
        rotations: The layers, lowest first.
        version: Number of the last event that changed it, overrides included.
    """

    id: ScheduleId
    name: str
    time_zone: str = "UTC"
    rotations: tuple[Rotation, ...] = ()
    version: int = 0


@dataclass(frozen=True, slots=True)
class Shift:
    """An unbroken stretch of one person's turn, [starts_at, ends_at); `override_id` None for a rotation."""

    responder_id: ResponderId
    starts_at: datetime
    ends_at: datetime
    override_id: OverrideId | None = None


# ------------------------------------------------------------------------------------------ checks


def check_schedule(schedule: Schedule) -> Schedule:
    """Return the schedule if it can be kept.

    Raises:
        RefusedError: Everything that is wrong with it; paths are the names of the API's fields, such as
            ("rotations", "0", "windows", "2", "startsAt").
    """
    problems = check_text(schedule.name, "name", NAME_LENGTH_MAX, length_min=1, one_line=True)
    try:
        zone(schedule.time_zone)
    except InputError as error:
        problems += error.problems
    if len(schedule.rotations) > ROTATION_COUNT_MAX:
        problems.append(
            _invalid(
                f"A schedule has at most {ROTATION_COUNT_MAX} rotations; this has {len(schedule.rotations):,}.",
                "rotations",
            )
        )
    else:
        for index, rotation in enumerate(schedule.rotations):
            problems += [problem.below("rotations", str(index)) for problem in _rotation_problems(rotation)]
    if problems:
        raise RefusedError(problems)
    return schedule


def check_override(override: ShiftOverride, now: datetime) -> ShiftOverride:
    """Return the override if it can be kept.

    Raises:
        RefusedError: It ends before it begins, is over already, lasts longer than 100 days or lies outside of
            the years that schedules know; the path is `startsAt` or `endsAt`.
    """
    problems = _time_problems(override.starts_at, "startsAt") + _time_problems(override.ends_at, "endsAt")
    if override.ends_at <= override.starts_at:
        problems.append(_invalid("An override ends after it begins.", "endsAt"))
    elif override.ends_at <= now:
        problems.append(_invalid(f"The override was over at {override.ends_at.isoformat()}.", "endsAt"))
    elif override.ends_at - override.starts_at > OVERRIDE_LENGTH_MAX:
        problems.append(_invalid(f"An override lasts at most {OVERRIDE_LENGTH_MAX.days} days.", "endsAt"))
    if problems:
        raise RefusedError(problems)
    return override


def _rotation_problems(rotation: Rotation) -> list[Problem]:
    problems = _time_problems(rotation.starts_at, "startsAt")
    responder_count = len(rotation.responder_ids)
    if not 1 <= responder_count <= RESPONDER_COUNT_MAX:
        message = f"A rotation has 1 to {RESPONDER_COUNT_MAX} people in turn; this has {responder_count:,}."
        problems.append(_invalid(message, "responderIds"))
    if not SHIFT_LENGTH_MIN <= rotation.shift_length <= SHIFT_LENGTH_MAX:
        bounds = f"{duration_text(SHIFT_LENGTH_MIN)} to {duration_text(SHIFT_LENGTH_MAX)}"
        problems.append(_invalid(f"A shift lasts {bounds}.", "shiftLength"))
    if len(rotation.windows) > WINDOW_COUNT_MAX:
        message = f"A rotation has at most {WINDOW_COUNT_MAX} windows; this has {len(rotation.windows):,}."
        return [*problems, _invalid(message, "windows")]
    for index, window in enumerate(rotation.windows):
        problems += [problem.below("windows", str(index)) for problem in _window_problems(window)]
    return problems


def _window_problems(window: WeeklyWindow) -> list[Problem]:
    problems: list[Problem] = []
    if not window.days or not all(0 <= day <= 6 for day in window.days):
        problems.append(_invalid("A window begins on one or more of the seven days of the week.", "days"))
    if not 0 <= window.starts_at < 24 * 60:
        problems.append(_invalid("A window begins at 00:00 to 23:59.", "startsAt"))
    if not 0 <= window.ends_at <= 24 * 60:
        problems.append(_invalid("A window ends at 00:00 to 24:00.", "endsAt"))
    return problems


def _time_problems(at: datetime, name: str) -> list[Problem]:
    if TIME_MIN <= at <= TIME_MAX:
        return []
    return [_invalid(f"{name} is in the years {TIME_MIN.year} to {TIME_MAX.year - 1}.", name)]


def _invalid(message: str, *path: str) -> Problem:
    return Problem(ErrorCode.INVALID_INPUT, message, path)


# ------------------------------------------------------------------------------------------ one instant


def on_call_at(schedule: Schedule, overrides: Iterable[ShiftOverride], at: datetime) -> tuple[ResponderId, ...]:
    """Return who is on call at an instant; empty where nobody is.

    Takes the same time however long ago the rotations began.

    Args:
        schedule: As it stands.
        overrides: Those of the schedule; ones of other schedules do not count.
        at: Any instant.
    """
    if not TIME_MIN <= at < TIME_MAX:
        return ()
    override = _override_at(schedule, overrides, at)
    if override is not None:
        return (override.responder_id,)
    found = _turn_at(schedule, at.astimezone(UTC))
    if found is None:
        return ()
    layer, turn = found
    return (layer.responder_of(turn),)


def _override_at(schedule: Schedule, overrides: Iterable[ShiftOverride], at: datetime) -> ShiftOverride | None:
    return max(
        (
            override
            for override in overrides
            if override.starts_at <= at < override.ends_at and override.schedule_id == schedule.id
        ),
        key=_rank,
        default=None,
    )


def _rank(override: ShiftOverride) -> tuple[int, OverrideId]:
    return override.version, override.id


def _turn_at(schedule: Schedule, at: datetime) -> tuple[_Layer, int] | None:
    """Return the layer that has an instant, and which of its turns that is; None where no layer does."""
    time_zone = zone(schedule.time_zone)
    for rotation in reversed(schedule.rotations):
        if rotation.starts_at <= at:
            layer = _Layer(rotation, time_zone)
            if layer.covers(at):
                return layer, layer.turn_at(at)
    return None


class _Layer:
    """A rotation in its zone; instants are in UTC, and turns are numbered from 0."""

    def __init__(self, rotation: Rotation, time_zone: ZoneInfo) -> None:
        self._rotation = rotation
        self._zone = time_zone
        self._starts_at = rotation.starts_at.astimezone(UTC)
        self._wall = wall_clock(rotation.starts_at, time_zone)
        self._whole_days = not rotation.shift_length % _DAY
        self._windows: dict[int, list[tuple[timedelta, timedelta]]] = {}

    def responder_of(self, turn: int) -> ResponderId:
        """Return whose turn that is."""
        responder_ids = self._rotation.responder_ids
        return responder_ids[turn % len(responder_ids)]

    def turn_begin(self, turn: int) -> datetime:
        """Return when a turn begins; never before the turn in front of it."""
        # Of a first hand-off in an hour that comes twice, the instant itself says which one is meant.
        if turn and self._whole_days:
            return instant_of(self._wall + turn * self._rotation.shift_length, self._zone)
        return self._starts_at + turn * self._rotation.shift_length

    def turn_at(self, at: datetime) -> int:
        """Return the number of the turn at an instant that is not before the first hand-off."""
        shift_length = self._rotation.shift_length
        if not self._whole_days:
            return (at - self._starts_at) // shift_length
        # So many hand-offs the clock shows to be over; more are, where it was put back across one.
        turn = max(0, (wall_clock(at, self._zone) - self._wall) // shift_length)
        while self.turn_begin(turn + 1) <= at:
            turn += 1
        return turn

    def covers(self, at: datetime) -> bool:
        """Say whether the layer counts at an instant that is not before the first hand-off."""
        if not self._rotation.windows:
            return True
        day = wall_clock(at, self._zone).date()
        # A window reaches into the next day. Where clocks are put back across midnight, one of tomorrow has
        # begun already and it is today once more.
        return any(
            begin <= at < end
            for offset in (-1, 0, 1)
            for begin, end in self._windows_of(datetime.combine(day, time.min) + offset * _DAY)
        )

    def pieces(self, since: datetime) -> Iterator[_Piece]:
        """Return the stretches in which the layer counts, by begin, each within one turn, from `since` on."""
        turn, turn_end = 0, self._starts_at
        for begin, end in self._covered(max(since, self._starts_at)):
            at = begin
            while at < end:
                if turn_end <= at:
                    turn = self.turn_at(at)
                    turn_end = self.turn_begin(turn + 1)
                until = min(end, turn_end)
                yield _Piece(at, until, self.responder_of(turn), (self, turn))
                at = until

    def _covered(self, since: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Return the stretches, apart from each other or touching, in which the layer counts."""
        if not self._rotation.windows:
            yield since, TIME_MAX
            return
        day = datetime.combine(wall_clock(since, self._zone).date(), time.min) - _DAY
        while since < TIME_MAX:
            for begin, end in self._windows_of(day):
                if since < end:
                    yield max(since, begin), min(end, TIME_MAX)
                    since = end
            day += _DAY

    def _windows_of(self, day: datetime) -> list[tuple[datetime, datetime]]:
        """Return the windows that begin on a day, by begin; they may overlap, and one in a gap is empty."""
        weekday = day.weekday()
        windows = self._windows.get(weekday)
        if windows is None:
            windows = self._windows[weekday] = _windows_on(weekday, self._rotation.windows)
        return [(instant_of(day + begin, self._zone), instant_of(day + end, self._zone)) for begin, end in windows]


def _windows_on(weekday: int, windows: tuple[WeeklyWindow, ...]) -> list[tuple[timedelta, timedelta]]:
    """Return begin and end, counted from midnight, of the windows that begin on a day of the week, by begin."""
    return sorted(
        (
            timedelta(minutes=window.starts_at),
            timedelta(minutes=window.ends_at) + (_DAY if window.ends_at <= window.starts_at else timedelta(0)),
        )
        for window in windows
        if weekday in window.days
    )


# ------------------------------------------------------------------------------------------ a stretch of time


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch in which one layer, or one override, has the say.

    Attributes:
        origin: The turn or the override it comes from; pieces that touch and have the same are one shift.
    """

    begin: datetime
    end: datetime
    responder_id: ResponderId
    origin: tuple[_Layer, int] | OverrideId


def shifts(
    schedule: Schedule, overrides: Iterable[ShiftOverride], since: datetime, until: datetime
) -> tuple[Shift, ...]:
    """Return the shifts that touch [since, until), overrides applied, by begin; in UTC, none overlapping.

    A shift is told with its true begin and end, also where these lie outside. It ends where somebody else, or
    nobody, is on call, where an override begins or ends, and at every hand-off, also one to the same person:
    so a shift lasts no longer than a turn, and what it is does not depend on the stretch that was asked for.
    """
    if since >= until or since >= TIME_MAX:
        return ()
    since = max(since, TIME_MIN).astimezone(UTC)
    overrides = tuple(overrides)
    found: list[Shift] = []
    for piece in _timeline(schedule, overrides, _shift_begin_before(schedule, overrides, since)):
        if piece.begin >= until:
            break
        if piece.end > since:
            override_id = None if isinstance(piece.origin, tuple) else piece.origin
            found.append(Shift(piece.responder_id, piece.begin, piece.end, override_id))
    return tuple(found)


def next_change_at(schedule: Schedule, overrides: Iterable[ShiftOverride], at: datetime) -> datetime | None:
    """Return the next instant after `at` from which somebody else, or nobody, or again somebody is on call.

    None where there is none within 400 days.
    """
    if at >= TIME_MAX:
        return None
    limit = at + LOOK_AHEAD
    overrides = tuple(overrides)
    on_call = on_call_at(schedule, overrides, at)
    at = reached = max(at, TIME_MIN).astimezone(UTC)
    for piece in _timeline(schedule, overrides, at):
        if on_call and reached < piece.begin:
            break
        if piece.begin > limit:
            return None
        if on_call != (piece.responder_id,):
            return piece.begin
        reached = piece.end
    return reached if at < reached <= limit else None


def _shift_begin_before(schedule: Schedule, overrides: tuple[ShiftOverride, ...], at: datetime) -> datetime:
    """Return an instant at or before the begin of the shift at `at`."""
    override = _override_at(schedule, overrides, at)
    if override is not None:
        return override.starts_at.astimezone(UTC)
    found = _turn_at(schedule, at)
    if found is None:
        return at
    layer, turn = found
    return layer.turn_begin(turn)


def _timeline(schedule: Schedule, overrides: tuple[ShiftOverride, ...], since: datetime) -> Iterator[_Piece]:
    """Return the stretches from `since` on in which somebody is on call, by begin; touching ones made one."""
    last: _Piece | None = None
    for piece in _overlaid(schedule, overrides, since):
        if last is not None and last.end == piece.begin and last.origin == piece.origin:
            last = _Piece(last.begin, piece.end, last.responder_id, last.origin)
            continue
        if last is not None:
            yield last
        last = piece
    if last is not None:
        yield last


def _overlaid(schedule: Schedule, overrides: tuple[ShiftOverride, ...], since: datetime) -> Iterator[_Piece]:
    """Return what is seen of overrides and layers from above, by begin."""
    time_zone = zone(schedule.time_zone)
    sheets = [_override_pieces(schedule, overrides)]  # the highest first
    sheets += [_Layer(rotation, time_zone).pieces(since) for rotation in reversed(schedule.rotations)]
    heads = [next(sheet, None) for sheet in sheets]
    at = since
    while True:
        end: datetime | None = None
        seen: _Piece | None = None
        for index, sheet in enumerate(sheets):
            head = heads[index]
            while head is not None and head.end <= at:
                head = heads[index] = next(sheet, None)
            if head is None:
                continue
            if head.begin <= at:
                seen = head
                end = head.end if end is None else min(end, head.end)
                break
            end = head.begin if end is None else min(end, head.begin)
        if end is None:
            return
        if seen is not None:
            yield _Piece(at, end, seen.responder_id, seen.origin)
        at = end


def _override_pieces(schedule: Schedule, overrides: tuple[ShiftOverride, ...]) -> Iterator[_Piece]:
    """Return who stands in when, by begin, where of several overrides the one made last counts."""
    own = sorted(
        (override for override in overrides if override.schedule_id == schedule.id),
        key=lambda override: override.starts_at,
    )
    bounds = sorted({bound for override in own for bound in (override.starts_at, override.ends_at)})
    waiting = iter(own)
    coming = next(waiting, None)
    under_way: list[ShiftOverride] = []
    for begin, end in pairwise(bounds):
        while coming is not None and coming.starts_at <= begin:
            under_way.append(coming)
            coming = next(waiting, None)
        under_way = [override for override in under_way if override.ends_at > begin]
        if under_way:
            strongest = max(under_way, key=_rank)
            yield _Piece(begin.astimezone(UTC), end.astimezone(UTC), strongest.responder_id, strongest.id)
