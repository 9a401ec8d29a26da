"""On-call schedules: who is on call when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from alertgraph.core.actor import Actor
from alertgraph.core.ids import OverrideId, ResponderId, ScheduleId

SHIFT_LENGTH_MIN = timedelta(hours=1)
SHIFT_LENGTH_MAX = timedelta(days=366)


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
    """One person's turn, [starts_at, ends_at); `override_id` None for a rotation."""

    responder_id: ResponderId
    starts_at: datetime
    ends_at: datetime
    override_id: OverrideId | None = None
