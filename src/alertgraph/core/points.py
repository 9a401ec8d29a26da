"""Points of time series on their way from whoever sends them to whoever watches them."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

METRIC_NAME: Final = "__name__"
# What Prometheus calls things that only grow: what is watched of them is their increase.
COUNTER_SUFFIXES: Final = ("_total", "_bucket")

_FORM: Final = b"AGP1"
_HEAD: Final = struct.Struct("<4sIII")


@dataclass(frozen=True, slots=True)
class Series:
    """A time series by its labels.

    Attributes:
        text: The labels as JSON, in the order of their names: the same labels are the same text.
        digest: What it is called in dedup keys: 32 hexadecimal digits.
        is_counter: Whether its name says that it only grows.
    """

    labels: Mapping[str, str]
    text: str
    digest: str
    is_counter: bool

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> Series:
        """Return the series with these labels; their texts are whole, as `check_labels` sees to."""
        return cls._made(labels, orjson.dumps(labels, option=orjson.OPT_SORT_KEYS))

    @classmethod
    def read(cls, text: str) -> Series:
        """Return the series whose text this is.

        Raises:
            ValueError: It is none.
        """
        labels = orjson.loads(text)
        if not isinstance(labels, dict):
            raise ValueError("the text of no series")
        return cls._made(labels, text.encode())

    @property
    def shown(self) -> str:
        """The series as people know it, such as `up{job="api"}`."""
        others = ", ".join(
            f"{name}={orjson.dumps(value).decode()}"
            for name, value in sorted(self.labels.items())
            if name != METRIC_NAME
        )
        return f"{self.labels.get(METRIC_NAME, '')}{{{others}}}"

    @classmethod
    def _made(cls, labels: Mapping[str, str], raw: bytes) -> Series:
        name = labels.get(METRIC_NAME, "")
        digest = hashlib.blake2b(raw, digest_size=16).hexdigest()
        return cls(labels, raw.decode(), digest, name.endswith(COUNTER_SUFFIXES))


@dataclass(slots=True)
class Points:
    """Points of several series, in columns of one length but for `texts`.

    Attributes:
        texts: The series that occur, by `Series.text`.
        series: Of each point, which of them.
        at: Of each point, seconds since 1970.
        values: Of each point, what was measured; finite.
    """

    texts: list[str] = field(default_factory=list)
    series: list[int] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.at)

    def add(self, text: str, points: Sequence[tuple[int, float]]) -> None:
        """Add points of one series, each of its second and value."""
        place = len(self.texts)
        self.texts.append(text)
        for at, value in points:
            self.series.append(place)
            self.at.append(at)
            self.values.append(value)


def pack_points(points: Points) -> bytes:
    """Return points as bytes that `unpack_points` reads."""
    count = len(points)
    names = "\n".join(points.texts).encode()
    head = _HEAD.pack(_FORM, count, len(points.texts), len(names))
    columns = struct.pack(f"<{count}I{count}q{count}d", *points.series, *points.at, *points.values)
    return b"".join((head, names, columns))


def unpack_points(raw: bytes) -> Points:
    """Return the points that were packed.

    Raises:
        ValueError: These bytes are not what this release packs.
    """
    try:
        form, count, text_count, name_length = _HEAD.unpack_from(raw)
        if form != _FORM or len(raw) != _HEAD.size + name_length + 20 * count:
            raise ValueError("points of another form")
        start = _HEAD.size
        # JSON writes a line break as \n, so that one between two texts is none of them.
        texts = raw[start : start + name_length].decode().split("\n") if text_count else []
        start += name_length
        series = list(struct.unpack_from(f"<{count}I", raw, start))
        at = list(struct.unpack_from(f"<{count}q", raw, start + 4 * count))
        values = list(struct.unpack_from(f"<{count}d", raw, start + 12 * count))
    except struct.error as error:
        raise ValueError("points that were cut short") from error
    if len(texts) != text_count or any(place >= text_count for place in series):
        raise ValueError("points of series that are not there")
    return Points(texts, series, at, values)


class Increases:
    """What counters grew by a second, from each point to the next; a counter that fell began anew at zero."""

    def __init__(self, told: Mapping[str, tuple[int, float]] | None = None) -> None:
        self._newest: dict[str, tuple[int, float]] = dict(told or {})

    def take(self, text: str, at: int, value: float) -> float | None:
        """Return the increase a second since the point before; None where there is none, or it is no older."""
        before = self._newest.get(text)
        if before is not None and at <= before[0]:
            return None
        self._newest[text] = (at, value)
        if before is None:
            return None
        return (value - before[1] if value >= before[1] else value) / (at - before[0])

    def forget(self, text: str) -> None:
        """Know nothing of a counter."""
        self._newest.pop(text, None)

    def told(self) -> dict[str, tuple[int, float]]:
        """Return the state as plain values for JSON."""
        return dict(self._newest)
