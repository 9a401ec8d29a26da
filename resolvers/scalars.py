"""Scalars beyond GraphQL's own, and how their values are written and read."""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any, NewType

import strawberry
from strawberry.types.scalar import ScalarDefinition

from alertgraph.core.duration import duration_text, parse_duration
from alertgraph.execution.leaves import serializes_to_itself, written_by_orjson

JSON = NewType("JSON", object)
Long = NewType("Long", int)
Cursor = NewType("Cursor", str)
LocalTime = NewType("LocalTime", int)

LONG_MAX = 2**53 - 1
_SHOWN_LENGTH_MAX = 40
_LOCAL_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00", re.ASCII)
_RFC3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d+))?([Zz]|[+-]\d{2}:\d{2})",
    re.ASCII,
)


@written_by_orjson(datetime, tzinfo=UTC)
def instant_text(at: datetime) -> str:
    """Return an aware instant as RFC 3339 in UTC with Z, with a fraction only where there is one."""
    assert at.tzinfo is not None, "an instant of ours is aware"
    return at.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


def parse_instant(value: object) -> datetime:
    """Return the instant that RFC 3339 text with an offset names, in UTC.

    Raises:
        ValueError: It is none; the message says so to a person.
    """
    match = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            f"{_shown(value)} is no instant of RFC 3339 with an offset, such as 2026-11-23T03:50:12Z."
        )
    day, time, fraction, offset = match.groups()
    offset = "+00:00" if offset in "Zz" else offset
    # What is finer than a microsecond is cut off: clocks that tell nanoseconds are common.
    text = f"{day}T{time}.{(fraction or '0')[:6].ljust(6, '0')}{offset}"
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{_shown(value)} is no instant: the calendar has no such day, time or offset.") from None


def parse_length(value: object) -> timedelta:
    """Return the length of time that ISO 8601 text or a number of seconds names.

    Raises:
        ValueError: It names none; the message says so to a person.
    """
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
        try:
            return timedelta(seconds=value)
        except OverflowError:
            raise ValueError(f"{_shown(value)} seconds are longer than can be kept.") from None
    raise ValueError(f"{_shown(value)} is no length of time such as PT5M, P7D or a number of seconds.")


def parse_long(value: object) -> int:
    """Return a whole number from 0 to 2^53-1.

    Raises:
        ValueError: It is none; the message says so to a person.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONG_MAX:
        whole = int(value)
        if whole == value:
            return whole
    raise ValueError(f"{_shown(value)} is no whole number from 0 to {LONG_MAX}.")


def parse_cursor(value: object) -> str:
    """Return the text of a cursor; whether it is one is for those to say who read the log.

    Raises:
        ValueError: It is no text.
    """
    if isinstance(value, str):
        return value
    raise ValueError(f"{_shown(value)} is no cursor, which is a text.")


def local_time_text(minutes: int) -> str:
    """Return a time of day, in minutes since midnight, as HH:MM."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


def parse_local_time(value: object) -> int:
    """Return the minutes since midnight that a text such as 08:30 names, 24:00 included.

    Raises:
        ValueError: It names none; the message says so to a person.
    """
    match = _LOCAL_TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{_shown(value)} is no time of day from 00:00 to 24:00, such as 08:30.")
    return int(match[1]) * 60 + int(match[2]) if match[1] else 24 * 60


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_LENGTH_MAX else text[: _SHOWN_LENGTH_MAX - 1] + "…"


@serializes_to_itself(dict, list, str, int, float, bool)
def _same(value: Any) -> Any:
    return value


SCALARS: dict[object, ScalarDefinition] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description="An instant, RFC 3339 with an offset; always answered in UTC with Z.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=instant_text,
        parse_value=parse_instant,
    ),
    timedelta: strawberry.scalar(
        name="Duration",
        description=(
            "A length of time, ISO 8601, such as PT5M or P7D; a bare number of seconds is accepted as input."
        ),
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339#appendix-A",
        serialize=duration_text,
        parse_value=parse_length,
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        serialize=_same,
        parse_value=_same,
    ),
    Long: strawberry.scalar(
        name="Long",
        description="A whole number from 0 to 2^53-1, written as a JSON number.",
        serialize=int,
        parse_value=parse_long,
    ),
    Cursor: strawberry.scalar(
        name="Cursor",
        description=(
            "An opaque position in the tenant's event log. An event's cursor, its edge's cursor and asOf are the "
            "same text for the same position."
        ),
        serialize=str,
        parse_value=parse_cursor,
    ),
    LocalTime: strawberry.scalar(
        name="LocalTime",
        description="A wall-clock time of day, HH:MM, 00:00 to 24:00.",
        serialize=local_time_text,
        parse_value=parse_local_time,
    ),
}
"""What the schema is built with: each Python type that stands for a scalar."""
