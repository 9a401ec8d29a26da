"""Numbers in a file: a header of JSON and plain arrays behind it, under one checksum.

Nothing in it is code and nothing is unpickled: scikit-learn's and torch's own formats hold pickles, which run what
they like when they are loaded; here the worst that a forged file can do is to be wrong.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

HEADER_SIZE_MAX = 4 * 1024 * 1024
FILE_SIZE_MAX = 256 * 1024 * 1024
MAGIC_SIZE = 8
DTYPES = {"<f4": np.float32, "<f8": np.float64, "<i4": np.int32}


class ContainerError(Exception):
    """Bytes are not what they should be; the message says what is wrong with them."""


def contained(magic: bytes, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return a header and arrays as bytes; the same ones give the same bytes.

    Args:
        magic: Eight bytes that say what it is.
        header: Plain values.
        arrays: By name; of the types in `DTYPES`.
    """
    assert len(magic) == MAGIC_SIZE, "what it is takes eight bytes"
    told, parts, offset = {}, [], 0
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        kept = array.astype(array.dtype.newbyteorder("<")).tobytes()
        told[name] = {
            "dtype": f"<{array.dtype.kind}{array.dtype.itemsize}",
            "shape": arrays[name].shape,
            "at": offset,
        }
        parts.append(kept)
        offset += len(kept)
    head = orjson.dumps({**header, "arrays": told}, option=orjson.OPT_SORT_KEYS)
    body = struct.pack("<Q", len(head)) + head + b"".join(parts)
    return magic + hashlib.sha256(body).digest() + body


def taken_out(magic: bytes, kept: bytes, what: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the header and the arrays that `contained` was given.

    Args:
        magic: What it should be.
        kept: The bytes.
        what: The same in a word, for whoever is told that it isn't.

    Raises:
        ContainerError: They are damaged, or of another format.
    """
    if kept[:MAGIC_SIZE] != magic:
        raise ContainerError(f"this is no {what}, or one of another format")
    body = kept[MAGIC_SIZE + 32 :]
    if hashlib.sha256(body).digest() != kept[MAGIC_SIZE : MAGIC_SIZE + 32]:
        raise ContainerError("the file is damaged: its checksum differs")
    try:
        (header_size,) = struct.unpack_from("<Q", body)
        if header_size > min(HEADER_SIZE_MAX, len(body) - 8):
            raise ContainerError("the header is longer than the file")
        header = orjson.loads(body[8 : 8 + header_size])
        return header, _arrays(header["arrays"], body[8 + header_size :])
    except (KeyError, TypeError, ValueError, struct.error) as error:
        # The checksum holds, so whoever wrote this wrote it so.
        raise ContainerError(f"the file does not hold together: {error}") from error


def read_bytes(path: Path) -> bytes:
    """Return what is in a file of ours.

    Raises:
        ContainerError: It is not there, can't be read, or is larger than any of ours.
    """
    try:
        size = path.stat().st_size
        if size > FILE_SIZE_MAX:
            raise ContainerError(f"has {size} bytes; none of ours is that large")
        return path.read_bytes()
    except OSError as error:
        raise ContainerError(f"cannot be read: {error.strerror}") from error


def write_bytes(path: Path, kept: bytes) -> None:
    """Write a file whole or not at all, also where the machine stops in between."""
    beside = path.with_name(f"{path.name}.part")
    with beside.open("wb") as file:
        file.write(kept)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _arrays(told: Mapping[str, Mapping[str, Any]], parts: bytes) -> dict[str, NDArray[Any]]:
    arrays = {}
    for name, about in told.items():
        if about["dtype"] not in DTYPES:
            raise ContainerError(f"{name} is of type {about['dtype']}, which no model has")
        kind = np.dtype(about["dtype"])
        count = math.prod(about["shape"])
        if (
            about["at"] < 0
            or min(about["shape"], default=0) < 0
            or about["at"] + count * kind.itemsize > len(parts)
        ):
            raise ContainerError(f"{name} lies outside the file")
        array = (
            np.frombuffer(parts, kind, count, about["at"]).reshape(about["shape"]).astype(DTYPES[about["dtype"]])
        )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ContainerError(f"{name} has values that are no numbers")
        arrays[name] = array
    return arrays
