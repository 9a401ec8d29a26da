"""Places in an order of alerts: what rows are compared by, and the cursors that name them."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from asyncpg import Record

from alertgraph.core.errors import InputError
from alertgraph.core.ids import from_microseconds, pack, to_microseconds, unpack
from alertgraph.core.query import AlertOrder, AlertOrderField
from alertgraph.core.severity import Severity

_CURSOR = struct.Struct(">BBBq16s")
_CURSOR_VERSION = 1
ORDER_COLUMNS: Final[Mapping[AlertOrderField, str]] = {
    AlertOrderField.TRIGGERED_AT: "triggered_at",
    AlertOrderField.LAST_SEEN_AT: "last_seen_at",
    AlertOrderField.SEVERITY: "severity",
    AlertOrderField.INCIDENT_PROBABILITY: "incident_probability",
}
# What stands for the chance of an alert of which nothing was said, where the largest comes first, and where the
# smallest does: behind all others.
UNSAID: Final[Mapping[bool, float]] = {True: -1.0, False: 2.0}


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a row stands in an order: what is ordered by, and its id."""

    value: datetime | float
    id: UUID


def cursor_text(place: Place, order: AlertOrder) -> str:
    """Return the text that names a place in an order."""
    match place.value:
        case int():
            value = place.value
        case float():
            [value] = struct.unpack(">q", struct.pack(">d", place.value))
        case _:
            value = to_microseconds(place.value)
    return pack(_CURSOR.pack(_CURSOR_VERSION, order.field, order.descending, value, place.id.bytes))


def place_of_cursor(text: str, order: AlertOrder, name: str) -> Place:
    """Return the place that a cursor names.

    Raises:
        InputError: It is none of a list of alerts, or of one in another order.
    """
    raw = unpack(text)
    if raw is None or len(raw) != _CURSOR.size or raw[0] != _CURSOR_VERSION:
        raise InputError("This is not a cursor of a list of alerts.", name)
    _, order_field, descending, value, id_bytes = _CURSOR.unpack(raw)
    if order_field != order.field or descending != order.descending:
        raise InputError("This cursor is of another order than the one asked for.", name)
    place_id = UUID(bytes=id_bytes)
    if order.field is AlertOrderField.SEVERITY:
        if not 0 <= value <= max(Severity):
            raise InputError("This is not a cursor of a list of alerts.", name)
        return Place(value, place_id)
    if order.field is AlertOrderField.INCIDENT_PROBABILITY:
        [chance] = struct.unpack(">d", struct.pack(">q", value))
        if not (math.isfinite(chance) and (0 <= chance <= 1 or chance == UNSAID[order.descending])):
            raise InputError("This is not a cursor of a list of alerts.", name)
        return Place(chance, place_id)
    try:
        return Place(from_microseconds(value), place_id)
    except OverflowError:
        raise InputError("This is not a cursor of a list of alerts.", name) from None


def places_of(order: AlertOrder) -> Callable[[Record], Place]:
    """Return what tells the place of a row in an order."""
    column = ORDER_COLUMNS[order.field]
    if order.field is AlertOrderField.INCIDENT_PROBABILITY:
        unsaid = UNSAID[order.descending]
        return lambda row: Place(unsaid if row[column] is None else row[column], row["id"])
    return lambda row: Place(row[column], row["id"])
