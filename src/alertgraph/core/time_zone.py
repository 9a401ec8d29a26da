"""Time zones: the rules of one pinned release, the same in every process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo

from alertgraph.core.errors import InputError

_SECOND = timedelta(seconds=1)


@cache
def zone_names() -> frozenset[str]:
    """Return the names of all time zones, old names included."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text("ascii").split())


def zone(name: str) -> ZoneInfo:
    """Return the time zone of a name; always the same object for the same name.

    The rules are those of the `tzdata` package, never those of the machine: two processes on machines of
    unlike age would otherwise page two people for one hand-off.

    Raises:
        InputError: There is none of this name; the path is `timeZone`.
    """
    if name not in zone_names():  # before any file is touched: a name such as ../../etc/passwd ends here
        shown = name[:64].encode(errors="replace").decode()
        raise InputError(f"{shown!r} is no IANA time zone such as Europe/Berlin.", "timeZone")
    return _read(name)


@cache
def _read(name: str) -> ZoneInfo:
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def check_time_zone(name: str) -> str:
    """Return the name if a time zone has it.

    Raises:
        InputError: None has; the path is `timeZone`.
    """
    zone(name)
    return name


def instant_of(wall: datetime, time_zone: ZoneInfo) -> datetime:
    """Return when clocks in a zone first show a time, in UTC.

    Of a time that clocks show twice, as when they are put back, that is the first of the two. A time that they
    skip counts as shown when the gap is over. So a later time never comes before an earlier one.

    Args:
        wall: What clocks show, without a zone.
        time_zone: Where.
    """
    at = wall.replace(tzinfo=time_zone, fold=0).astimezone(UTC)
    if at.astimezone(time_zone).replace(tzinfo=None) == wall:
        return at
    # Skipped. Read with the offset of after the gap, the time lies before the gap, and the other way round:
    # the clocks are put forward in between, on a whole second.
    before = wall.replace(microsecond=0, tzinfo=time_zone, fold=1).astimezone(UTC)
    seconds = -((before - at) // _SECOND)
    offset = before.astimezone(time_zone).utcoffset()
    low, high = 0, seconds
    while high - low > 1:
        middle = (low + high) // 2
        if (before + middle * _SECOND).astimezone(time_zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return before + high * _SECOND


def wall_clock(at: datetime, time_zone: ZoneInfo) -> datetime:
    """Return what clocks in a zone show at an instant, without a zone."""
    return at.astimezone(time_zone).replace(tzinfo=None, fold=0)
