"""Lengths of time as text: ISO 8601, as the API and the settings write them."""

from __future__ import annotations

import re
from datetime import timedelta

_ISO = re.compile(
    r"P(?:(?P<weeks>\d+)W|(?:(?P<days>\d+)D)?(?P<time>T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?"
    r"(?:(?P<seconds>\d+)(?:\.(?P<fraction>\d{1,6}))?S)?)?)"
)
# Beyond some length Python refuses to read a number, in words of its own.
_LENGTH_MAX = 100
_NUMBER = re.compile(r"\d+(?:\.\d{1,6})?")


def parse_duration(text: str) -> timedelta:
    """Return the length of time that `PT5M`, `P7D`, `P1W` or a bare number of seconds such as `300` names.

    Months and years are refused: they have no fixed length.

    Raises:
        ValueError: It names none, or one beyond what can be kept; the message says so to a person.
    """
    if len(text) > _LENGTH_MAX:
        raise ValueError(f"{text[:40]!r}… is no length of time: it has {len(text):,} characters.")
    try:
        if _NUMBER.fullmatch(text):
            return timedelta(seconds=float(text))
        match = _ISO.fullmatch(text)
        if match is None or text.endswith(("P", "T")):
            raise ValueError(f"{text[:40]!r} is no length of time such as PT5M, P7D or a number of seconds.")
        parts = {name: int(value) for name, value in match.groupdict(default="0").items() if name != "time"}
        fraction = (match["fraction"] or "0").ljust(6, "0")
        return timedelta(
            weeks=parts["weeks"],
            days=parts["days"],
            hours=parts["hours"],
            minutes=parts["minutes"],
            seconds=parts["seconds"],
            microseconds=int(fraction),
        )
    except OverflowError as error:
        raise ValueError(f"{text[:40]!r} is longer than can be kept.") from error


def duration_text(duration: timedelta) -> str:
    """Return a length of time, not negative, in ISO 8601: days and hours, minutes, seconds, such as P1DT30M."""
    if duration < timedelta(0):
        raise ValueError("a length of time is not negative")
    hours, rest = divmod(duration.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    fraction = f".{duration.microseconds:06d}".rstrip("0") if duration.microseconds else ""
    time = (
        (f"{hours}H" if hours else "")
        + (f"{minutes}M" if minutes else "")
        + (f"{seconds}{fraction}S" if seconds or fraction else "")
    )
    days = f"{duration.days}D" if duration.days else ""
    return f"P{days}T{time}" if time else f"P{days}" if days else "PT0S"
