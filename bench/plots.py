"""Pictures of tables: bars with whiskers, or lines, drawn from what a file of results says and nothing else."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
OURS = "alertgraph"
# From here on the shortest bar of a linear scale cannot be read.
LOG_FROM = 15.0
_COLOUR_OURS, _COLOUR_OTHER, _COLOUR_ABSENT = "#1f6feb", "#9aa4b2", "#6b7280"
_LINE_COLOURS = ("#1f6feb", "#d97706", "#059669", "#7c3aed", "#dc2626")
_WIDTH, _BAR_HEIGHT, _PANEL_EXTRA, _LINE_HEIGHT = 10.0, 0.34, 1.0, 3.0


@dataclass(frozen=True)
class Bar:
    """One figure.

    Attributes:
        spread: Its median, lowest and highest (see `report.spread`); None where there is no figure.
        absent: Why there is none.
    """

    label: str
    spread: Mapping[str, float] | None
    absent: str = ""


@dataclass(frozen=True)
class Panel:
    """Figures that are compared with each other: bars, or a line for each name over `x`.

    Attributes:
        lines: For each name, of each x its spread.
        better: "more" or "less", told on the axis.
    """

    title: str
    unit: str
    bars: Sequence[Bar] = ()
    lines: Mapping[str, Sequence[tuple[float, Mapping[str, float]]]] = field(default_factory=dict)
    x_label: str = ""
    better: str = "more"


def told(title: str, panels: Sequence[Panel]) -> dict[str, Any]:
    """Return what a file of results keeps of a picture, under `plot`."""
    return {"title": title, "panels": [asdict(panel) for panel in panels]}


def picture_of(results: Path, into: Path) -> Path:
    """Draw the picture of a file of results; return where it is.

    Raises:
        ValueError: The file holds no picture: it was written before there were any.
    """
    result = json.loads(results.read_text())
    if "plot" not in result:
        raise ValueError(f"{results} holds nothing to draw: it was made before tables had pictures")
    into.parent.mkdir(parents=True, exist_ok=True)
    _draw(result, into)
    return into


def below(result: Mapping[str, Any]) -> str:
    """Return the line that says on what the figures were taken."""
    machine, settings = result["machine"], result.get("settings", {})
    parts = [
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB",
        f"Python {machine['python']}",
    ]
    if "postgresql" in machine:
        parts.append(f"PostgreSQL {machine['postgresql']}")
    rounds = settings.get("rounds")
    parts.append(f"{result['at'][:10]}" + (f", {rounds} round{'s' if rounds != 1 else ''}" if rounds else ""))
    if settings.get("quick"):
        parts.append("a quick run, good for no figure")
    return " · ".join(parts)


def _draw(result: Mapping[str, Any], into: Path) -> None:
    # Imported here: everything else of the bench does without it.
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    panels = result["plot"]["panels"]
    heights = [
        _LINE_HEIGHT if panel["lines"] else _PANEL_EXTRA + _BAR_HEIGHT * len(panel["bars"]) for panel in panels
    ]
    with plt.rc_context({"font.size": 9, "axes.titlesize": 10, "axes.titleweight": "bold"}):
        figure, axes = plt.subplots(
            len(panels),
            1,
            figsize=(_WIDTH, sum(heights) + 1.0),
            gridspec_kw={"height_ratios": heights},
            squeeze=False,
            layout="constrained",
        )
        for panel, (axis,) in zip(panels, axes, strict=True):
            _draw_lines(axis, panel) if panel["lines"] else _draw_bars(axis, panel)
        figure.suptitle(result["plot"]["title"], fontsize=13, fontweight="bold")
        figure.supxlabel(below(result), fontsize=8, color=_COLOUR_ABSENT)
        figure.savefig(into, dpi=110, metadata={"Software": None})
        plt.close(figure)


def _draw_bars(axis: Any, panel: Mapping[str, Any]) -> None:
    bars = panel["bars"]
    medians = [bar["spread"]["median"] for bar in bars if bar["spread"]]
    positive = [value for value in medians if value > 0]
    logarithmic = bool(positive) and max(positive) / min(positive) > LOG_FROM
    highest = max([bar["spread"]["high"] for bar in bars if bar["spread"]], default=1.0) or 1.0
    for place, bar in enumerate(bars):
        spread = bar["spread"]
        if not spread:
            axis.text(
                0.01,
                place,
                f"absent: {textwrap.shorten(bar['absent'], 90)}",
                transform=axis.get_yaxis_transform(),
                va="center",
                color=_COLOUR_ABSENT,
                style="italic",
            )
            continue
        colour = _COLOUR_OURS if bar["label"].startswith(OURS) else _COLOUR_OTHER
        median = spread["median"]
        whiskers = [[max(0.0, median - spread["low"])], [max(0.0, spread["high"] - median)]]
        axis.barh(place, median, color=colour, height=0.7)
        axis.errorbar(median, place, xerr=whiskers, color="#111827", capsize=3, lw=1)
        axis.annotate(
            f"{median:,.0f}" if median >= 100 else f"{median:.3g}",
            (max(median, spread["high"]), place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
        )
    axis.set_yticks(range(len(bars)), [textwrap.shorten(bar["label"], 60) for bar in bars])
    axis.set_ylim(len(bars) - 0.4, -0.6)
    if logarithmic:
        axis.set_xscale("log")
        axis.set_xlim(min(positive) / 2, highest * 2)
        axis.xaxis.set_major_formatter("{x:,g}")
        axis.xaxis.set_minor_formatter("")
    else:
        axis.set_xlim(0, highest * 1.15)
    scale = ", logarithmic" if logarithmic else ""
    axis.set_title(panel["title"], loc="left")
    axis.set_xlabel(f"{panel['unit']} ({panel['better']} is better{scale})")
    axis.grid(axis="x", alpha=0.25)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _draw_lines(axis: Any, panel: Mapping[str, Any]) -> None:
    for colour, (name, points) in zip(_LINE_COLOURS, panel["lines"].items(), strict=False):
        xs = [x for x, _ in points]
        medians = [spread["median"] for _, spread in points]
        axis.plot(xs, medians, marker="o", color=colour, label=name)
        lows, highs = [spread["low"] for _, spread in points], [spread["high"] for _, spread in points]
        axis.fill_between(xs, lows, highs, color=colour, alpha=0.15)
    xs = [x for points in panel["lines"].values() for x, _ in points]
    if min(xs) > 0 and max(xs) / min(xs) > LOG_FROM:
        axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:,g}")
    highs = [spread["high"] for points in panel["lines"].values() for _, spread in points]
    lows = [spread["low"] for points in panel["lines"].values() for _, spread in points]
    if min(lows) > 0 and max(highs) / min(lows) > LOG_FROM:
        axis.set_yscale("log")
    else:
        axis.set_ylim(0, max(highs) * 1.15 or 1)
    axis.set_title(panel["title"], loc="left")
    axis.set_xlabel(panel["x_label"])
    axis.set_ylabel(f"{panel['unit']}\n({panel['better']} is better)")
    axis.legend(frameon=False, fontsize=8)
    axis.grid(alpha=0.25)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
