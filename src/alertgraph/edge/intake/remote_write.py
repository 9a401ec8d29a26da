"""Prometheus remote write, 1.0 and 2.0: what its messages say, read from bytes that anybody may have made up.

A message is read by hand. A library would make an object of every label of every point; here the labels of a
series, the same bytes from scrape to scrape, are looked up as they are, and read only where they are new.

References:
    https://prometheus.io/docs/specs/prw/remote_write_spec/ and remote_write_spec_2_0/
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import cramjam

T = TypeVar("T")

# Labels by name, or the sentence that says what is wrong with them.
LabelsRead = dict[str, str] | str

_DOUBLE: Final = struct.Struct("<d")
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class FormError(ValueError):
    """Bytes that are no message; the message says so to a person."""


@dataclass(slots=True)
class Written(Generic[T]):
    """What a message says.

    Attributes:
        series: What stands for each series' labels, and its points: milliseconds since 1970 and value.
        point_count: Of all series.
        histogram_count: Native histograms, which are left out.
        exemplar_count: Exemplars, which are left out.
    """

    series: list[tuple[T, list[tuple[int, float]]]] = field(default_factory=list)
    point_count: int = 0
    histogram_count: int = 0
    exemplar_count: int = 0


def decompressed(raw: bytes, limit: int) -> bytes | None:
    """Return what a block of snappy holds; None where that is longer than the limit, which its head tells.

    Raises:
        FormError: It is no block of snappy.
    """
    try:
        # What the head promises is what is allotted, and no more is ever written.
        if cramjam.snappy.decompress_raw_len(raw) > limit:
            return None
        return bytes(cramjam.snappy.decompress_raw(raw))
    except cramjam.DecompressionError as error:
        raise FormError("The body is not compressed with snappy, as a block without frames.") from error


def read_v1(
    raw: bytes, known: MutableMapping[bytes, T], learn: Callable[[LabelsRead], T], point_count_max: int
) -> Written[T]:
    """Return what a `prometheus.WriteRequest` says.

    Args:
        raw: The message.
        known: What stands for labels, by their bytes; grows.
        learn: Returns what stands for labels that are new.
        point_count_max: Reading stops there.

    Raises:
        FormError: It is no such message, or has too many points.
    """
    written: Written[T] = Written()
    for number, wire, _, start, end in _fields(raw, 0, len(raw)):
        if number != 1 or wire != _BYTES:
            continue
        message = raw[start:end]
        # One point, as Prometheus sends it: 18 bytes behind the labels. Where what stands before them is known to
        # be whole labels and nothing else, nothing else can be meant.
        if message[-18:-15] == b"\x12\x10\x09" and message[-7:-6] == b"\x10" and message[-1] < 0x80:
            found = known.get(message[:-18])
            if found is not None:
                at = _six(message[-6:])
                if at is not None:
                    written.series.append((found, [(at, _DOUBLE.unpack_from(message, len(message) - 15)[0])]))
                    written.point_count += 1
                    continue
        _read_series_v1(message, known, learn, written)
        if written.point_count > point_count_max:
            raise FormError(f"The message has more than {point_count_max:,} points.")
    if written.point_count > point_count_max:
        raise FormError(f"The message has more than {point_count_max:,} points.")
    return written


def _read_series_v1(
    message: bytes, known: MutableMapping[bytes, T], learn: Callable[[LabelsRead], T], written: Written[T]
) -> None:
    points: list[tuple[int, float]] = []
    sections: list[bytes] = []
    labels: list[tuple[int, int]] = []
    begin = 0
    for number, wire, _, start, end in _fields(message, 0, len(message)):
        if wire == _BYTES:
            if number == 1:
                labels.append((start, end))
                sections.append(message[begin:end])
            elif number == 2:
                points.append(_sample(message, start, end))
            elif number == 3:
                written.exemplar_count += 1
            elif number == 4:
                written.histogram_count += 1
        begin = end
    key = b"".join(sections)
    found = known.get(key)
    if found is None:
        found = learn(_labels_v1(message, labels))
        known[key] = found
    written.series.append((found, points))
    written.point_count += len(points)


def _labels_v1(message: bytes, places: list[tuple[int, int]]) -> LabelsRead:
    pairs: list[tuple[bytes, bytes]] = []
    for begin, stop in places:
        name = text = b""
        for number, wire, _, start, end in _fields(message, begin, stop):
            if wire == _BYTES and number == 1:
                name = message[start:end]
            elif wire == _BYTES and number == 2:
                text = message[start:end]
        pairs.append((name, text))
    return _labels_of(pairs)


def read_v2(raw: bytes, learn: Callable[[LabelsRead], T], point_count_max: int) -> Written[T]:
    """Return what an `io.prometheus.write.v2.Request` says.

    Args:
        raw: The message.
        learn: Returns what stands for labels.
        point_count_max: Reading stops there.

    Raises:
        FormError: It is no such message, or has too many points.
    """
    written: Written[T] = Written()
    symbols: list[bytes] = []
    places: list[tuple[int, int]] = []
    for number, wire, _, start, end in _fields(raw, 0, len(raw)):
        if wire == _BYTES and number == 4:
            symbols.append(raw[start:end])
        elif wire == _BYTES and number == 5:
            places.append((start, end))
    if symbols and symbols[0] != b"":
        raise FormError("The first symbol is not the empty text.")
    for begin, stop in places:
        references: list[int] = []
        points: list[tuple[int, float]] = []
        for number, wire, value, start, end in _fields(raw, begin, stop):
            if number == 1 and wire == _BYTES:
                references += _packed(raw, start, end)
            elif number == 1 and wire == _VARINT:
                references.append(value)
            elif number == 2 and wire == _BYTES:
                points.append(_sample(raw, start, end))
            elif number == 3 and wire == _BYTES:
                written.histogram_count += 1
            elif number == 4 and wire == _BYTES:
                written.exemplar_count += 1
        written.series.append((learn(_labels_v2(references, symbols)), points))
        written.point_count += len(points)
        if written.point_count > point_count_max:
            raise FormError(f"The message has more than {point_count_max:,} points.")
    return written


def _labels_v2(references: list[int], symbols: list[bytes]) -> LabelsRead:
    if len(references) % 2:
        return "A label's value is missing: the number of references is odd."
    if any(reference >= len(symbols) for reference in references):
        return "A label refers to a symbol that is not there."
    texts = [symbols[reference] for reference in references]
    return _labels_of(list(zip(texts[::2], texts[1::2], strict=True)))


def _labels_of(pairs: list[tuple[bytes, bytes]]) -> LabelsRead:
    """Return labels by name; one without a value is none, as Prometheus has it."""
    labels: dict[str, str] = {}
    names: set[bytes] = set()
    try:
        for name, text in pairs:
            if name in names:
                return f"The label {name.decode()[:64]!r} occurs twice."
            names.add(name)
            if text:
                labels[name.decode()] = text.decode()
    except UnicodeDecodeError:
        return "A label is not UTF-8."
    return labels


def _sample(raw: bytes, begin: int, stop: int) -> tuple[int, float]:
    value, at = 0.0, 0
    for number, wire, told, start, _ in _fields(raw, begin, stop):
        if number == 1 and wire == _FIXED64:
            value = _DOUBLE.unpack_from(raw, start)[0]
        elif number == 2 and wire == _VARINT:
            at = told - (1 << 64) if told >= 1 << 63 else told
    return at, value


def _packed(raw: bytes, index: int, stop: int) -> list[int]:
    values: list[int] = []
    while index < stop:
        value, index = _varint(raw, index, stop)
        values.append(value)
    return values


def _fields(raw: bytes, index: int, stop: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield the fields of a message: number, wire type, a varint's value, and where the contents begin and end."""
    while index < stop:
        key = raw[index]
        index += 1
        if key >= 0x80:
            key, index = _varint(raw, index - 1, stop)
        number, wire, value = key >> 3, key & 7, 0
        if number == 0:
            raise FormError("The body is no message of remote write: a field has the number 0.")
        start = index
        if wire == _BYTES:
            length, start = _varint(raw, index, stop)
            index = start + length
        elif wire == _VARINT:
            value, index = _varint(raw, index, stop)
        elif wire == _FIXED64:
            index += 8
        elif wire == _FIXED32:
            index += 4
        else:
            raise FormError(f"The body is no message of remote write: a field has the wire type {wire}.")
        if index > stop:
            raise FormError("The body is no message of remote write: a field ends beyond its end.")
        yield number, wire, value, start, index


def _varint(raw: bytes, index: int, stop: int) -> tuple[int, int]:
    value = shift = 0
    while index < stop:
        byte = raw[index]
        index += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, index
        shift += 7
        if shift > 63:
            raise FormError("The body is no message of remote write: a number has more than 64 bits.")
    raise FormError("The body is no message of remote write: it was cut short.")


def _six(raw: bytes) -> int | None:
    """Return a varint of exactly six bytes, as milliseconds have until 2109; None where it has fewer."""
    a, b, c, d, e, f = raw
    if a & b & c & d & e < 0x80:
        return None
    return (a & 0x7F) | (b & 0x7F) << 7 | (c & 0x7F) << 14 | (d & 0x7F) << 21 | (e & 0x7F) << 28 | f << 35
