"""Where the public data sets lie, and their plain reading: rows as they were written, nothing joined."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alertgraph.ml.evaluation.registry import DataMissingError


def existing(root: Path, *parts: str) -> Path:
    """Return the path of a file or folder below the root.

    Raises:
        DataMissingError: It is not there.
    """
    path = root.joinpath(*parts)
    if not path.exists():
        raise DataMissingError(f"{path} is not there; give the root of the data with --data or ALERTGRAPH_DATA")
    return path


def columns(root: Path, *parts: str) -> dict[str, list[str]]:
    """Return a CSV file (gzip where its name says so) by column."""
    path = existing(root, *parts)
    with (
        gzip.open(path, "rt", encoding="utf-8", newline="")
        if path.suffix == ".gz"
        else path.open(encoding="utf-8", newline="")
    ) as file:
        rows = csv.reader(file)
        names = next(rows)
        # Transposed in one go: a list of dicts of the larger sets would take gigabytes.
        values = list(zip(*rows, strict=True))
    return {name: list(column) for name, column in zip(names, values or [()] * len(names), strict=True)}


def json_lines(root: Path, *parts: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file with one JSON object a line."""
    with gzip.open(existing(root, *parts), "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def anchors(root: Path) -> dict[str, Any]:
    """Return the numbers to beat, with their protocols."""
    told: dict[str, Any] = json.loads(existing(root, "anchors.json").read_text(encoding="utf-8"))
    return told
