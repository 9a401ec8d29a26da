"""Messages of Prometheus remote write as a sender makes them, compressed or not."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

import cramjam

V1_HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
V2_HEADERS = {
    "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
    "Content-Encoding": "snappy",
}
Sample = tuple[int, float]


def varint(value: int) -> bytes:
    """Return a number as protobuf writes it; negative ones in ten bytes."""
    value &= (1 << 64) - 1
    raw = bytearray()
    while value >= 0x80:
        raw.append(value & 0x7F | 0x80)
        value >>= 7
    raw.append(value)
    return bytes(raw)


def part(number: int, contents: bytes) -> bytes:
    """Return a field of bytes."""
    return varint(number << 3 | 2) + varint(len(contents)) + contents


def sample(at: int, value: float, *, sparse: bool = True) -> bytes:
    """Return a sample; a sparse one leaves zeros out, as Go does."""
    raw = b""
    if not sparse or value != 0 or str(value) == "-0.0":
        raw += b"\x09" + struct.pack("<d", value)
    if not sparse or at != 0:
        raw += b"\x10" + varint(at)
    return raw


def label(name: str | bytes, value: str | bytes) -> bytes:
    """Return a label of version 1."""
    encoded = [text.encode() if isinstance(text, str) else text for text in (name, value)]
    return part(1, part(1, encoded[0]) + part(2, encoded[1]))


def series_v1(labels: Mapping[str, str], samples: Iterable[Sample], *more: bytes) -> bytes:
    """Return a series of a write request, version 1."""
    raw = b"".join(label(name, value) for name, value in sorted(labels.items()))
    return part(1, raw + b"".join(part(2, sample(*each)) for each in samples) + b"".join(more))


def request_v1(*series: tuple[Mapping[str, str], Sequence[Sample]]) -> bytes:
    """Return a write request, version 1."""
    return b"".join(series_v1(*each) for each in series)


def request_v2(*series: tuple[Mapping[str, str], Sequence[Sample]]) -> bytes:
    """Return a write request, version 2."""
    symbols: dict[str, int] = {"": 0}
    raw = b""
    for labels, samples in series:
        references = b"".join(
            varint(symbols.setdefault(text, len(symbols))) for pair in sorted(labels.items()) for text in pair
        )
        points = b"".join(part(2, sample(*each)) for each in samples)
        raw += part(5, part(1, references) + points + part(5, b"\x08\x02"))
    return b"".join(part(4, symbol.encode()) for symbol in symbols) + raw


def snappy(raw: bytes) -> bytes:
    """Return it compressed."""
    return bytes(cramjam.snappy.compress_raw(raw))
