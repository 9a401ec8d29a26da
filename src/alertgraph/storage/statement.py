"""SQL put together from constant fragments: values travel as numbered parameters, never in the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class Parameters:
    """The numbered parameters of one statement."""

    def __init__(self, *values: object) -> None:
        self.values: list[object] = list(values)
        self._names: dict[str, str] = {}

    def add(self, value: object) -> str:
        """Return the placeholder that stands for a value from now on."""
        self.values.append(value)
        return f"${len(self.values)}"

    def named(self, name: str, value: object) -> str:
        """Return the placeholder that stands for the value of this name, the same one each time."""
        if name not in self._names:
            self._names[name] = self.add(value)
        return self._names[name]


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement and what it is run with.

    Attributes:
        is_keyed: Whether keys and an order are all it reads by, so that one plan is right for any values.
    """

    text: str
    values: Sequence[object]
    is_keyed: bool


def is_storable(text: str) -> bool:
    """Say whether a text can be in the database at all: what can't be kept is equal to nothing kept."""
    try:
        return b"\x00" not in text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
