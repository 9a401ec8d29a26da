"""Files that say what services need: JSON or CSV, for people who have them from elsewhere."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

SIZE_MAX = 32 * 1024 * 1024
_HEADS = ("service", "dependson")


class FileError(Exception):
    """The file says nothing that can be used; the message is one sentence for a person."""


def read_dependencies(path: Path) -> list[tuple[str, list[str]]]:
    """Return each service of a file, in the file's order, and what it needs.

    JSON is an object of lists by service, or a list of objects with `service` and `dependsOn`. Anything else is
    CSV: a service and something it needs on each line; a service alone on its line needs nothing.

    Raises:
        FileError: It can't be read, or is neither.
    """
    try:
        if path.stat().st_size > SIZE_MAX:
            raise FileError(f"{path} has more than {SIZE_MAX} bytes.")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise FileError(f"{path} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise FileError(f"{path} is no UTF-8 text.") from None
    if text.lstrip()[:1] in ("{", "["):
        try:
            return _of_json(orjson.loads(text), path)
        except orjson.JSONDecodeError as error:
            raise FileError(f"{path} is no JSON: {error}.") from None
    return _of_csv(text, path)


def _of_json(value: Any, path: Path) -> list[tuple[str, list[str]]]:
    entries: Iterable[Any] = (
        ({"service": service, "dependsOn": needs} for service, needs in value.items())
        if isinstance(value, dict)
        else value
    )
    found: dict[str, list[str]] = {}
    for number, entry in enumerate(entries, 1):
        service = entry.get("service") if isinstance(entry, dict) else None
        needs = entry.get("dependsOn") if isinstance(entry, dict) else None
        if (
            not isinstance(service, str)
            or not isinstance(needs, list)
            or not all(isinstance(need, str) for need in needs)
        ):
            raise FileError(f"{path}: entry {number} has not a service and a list of names that it depends on.")
        found.setdefault(service, []).extend(needs)
    return list(found.items())


def _of_csv(text: str, path: Path) -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    try:
        for number, row in enumerate(csv.reader(io.StringIO(text), strict=True), 1):
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if number == 1 and tuple(cell.casefold().replace("_", "") for cell in cells) == _HEADS:
                continue
            if len(cells) > 2 or not cells[0]:
                raise FileError(f"{path}: line {number} is not a service and something that it needs.")
            found.setdefault(cells[0], []).extend(cell for cell in cells[1:] if cell)
    except csv.Error as error:
        raise FileError(f"{path} is neither JSON nor CSV: {error}.") from None
    return list(found.items())
