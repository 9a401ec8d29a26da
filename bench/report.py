"""Tables for people and JSON for keeping: medians over rounds, ratios first."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
# A load generator that takes more than this of a core may itself be the limit.
CLIENT_SHARE_MAX = 0.8


def median(values: Sequence[float]) -> float:
    """Return the middle of the rounds' figures; 0 where there is none."""
    return statistics.median(values) if values else 0.0


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median, the lowest and the highest of the rounds' figures."""
    return {"median": short(median(values)), "low": short(min(values)), "high": short(max(values))}


def ratio_of(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Return how many times theirs is ours, round by round: what disturbed a round disturbed both."""
    return spread([mine / other for mine, other in zip(ours, theirs, strict=True) if other])


def short(value: float) -> float:
    """Return a figure with as many digits as it is good for."""
    return float(f"{value:.3g}") if abs(value) < 1000 else round(value)


def shown(figures: Mapping[str, float], unit: str = "") -> str:
    """Return a median and its spread for a table."""
    return f"{_plain(figures['median'])}{unit} ({_plain(figures['low'])}–{_plain(figures['high'])})"


def client(shares: Sequence[float]) -> str:
    """Return how much of one core the load generator took, marked where it may have been the limit."""
    share = median(shares)
    return f"{share * 100:.0f} %{'!' if share >= CLIENT_SHARE_MAX else ''}"


def _plain(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:g}"


def table(title: str, notes: Sequence[str], head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of text, its first column to the left and all others to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = ["", title, *(f"  {note}" for note in notes), ""]
    for number, row in enumerate((head, *rows)):
        cells = [
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  " + "   ".join(cells).rstrip())
        if number == 0:
            lines.append("  " + "   ".join("─" * width for width in widths))
    return "\n".join(lines)


def shown_path(path: Path) -> Path:
    """Return a path as short as it can be written from here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def keep(
    name: str, machine: Mapping[str, object], settings: Mapping[str, object], result: Mapping[str, object]
) -> Path:
    """Write the result of one measurement and return where it is."""
    now = datetime.now(UTC)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{now:%Y%m%dT%H%M%SZ}-{name}.json"
    told = {
        "name": name,
        "at": now.isoformat(timespec="seconds"),
        "machine": machine,
        "settings": settings,
        **result,
    }
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    return path
