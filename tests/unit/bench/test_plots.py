"""Pictures come from what a file of results says, and from nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import plots, report

PNG = b"\x89PNG\r\n\x1a\n"


def _results(directory: Path, panels: list[plots.Panel], **more: object) -> Path:
    told: dict[str, Any] = {
        "name": "writes",
        "at": "2026-11-23T15:00:00+00:00",
        "machine": {
            "processor": "Some processor",
            "cores": 2,
            "memory_gib": 23.5,
            "python": "3.11.7",
            "postgresql": "15.18",
        },
        "settings": {"rounds": 3, "quick": False},
        "plot": plots.told("Creates", panels),
        **more,
    }
    path = directory / "20261123T150000Z-writes.json"
    path.write_text(json.dumps(told))
    return path


def _bars(*labels: str) -> list[plots.Bar]:
    return [
        plots.Bar(label, report.spread([100.0 + number, 120.0, 90.0])) for number, label in enumerate(labels, 1)
    ]


def _size(picture: Path) -> tuple[int, int]:
    head = picture.read_bytes()[:24]
    assert head.startswith(PNG)
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def test_each_bar_makes_the_picture_taller(tmp_path: Path) -> None:
    few = plots.picture_of(
        _results(tmp_path, [plots.Panel("few", "alerts/s", _bars("a", "b"))]), tmp_path / "f.png"
    )
    many = plots.picture_of(
        _results(tmp_path, [plots.Panel("many", "alerts/s", _bars(*"abcdefgh"))]), tmp_path / "m.png"
    )

    assert _size(few)[0] == _size(many)[0]
    assert _size(many)[1] > _size(few)[1]


def test_the_same_results_make_the_same_picture(tmp_path: Path) -> None:
    results = _results(tmp_path, [plots.Panel("creates", "alerts/s", _bars("alertgraph", "other"))])

    first = plots.picture_of(results, tmp_path / "1.png").read_bytes()

    assert plots.picture_of(results, tmp_path / "2.png").read_bytes() == first


def test_a_peer_that_is_absent_has_its_place_and_no_bar(tmp_path: Path) -> None:
    present = [plots.Panel("creates", "alerts/s", _bars("alertgraph", "Alerta"))]
    absent = [
        plots.Panel("creates", "alerts/s", [*_bars("alertgraph"), plots.Bar("Alerta", None, "not installed")])
    ]

    one = plots.picture_of(_results(tmp_path, present), tmp_path / "1.png")
    other = plots.picture_of(_results(tmp_path, absent), tmp_path / "2.png")

    assert _size(one) == _size(other)
    assert one.read_bytes() != other.read_bytes()


def test_a_panel_of_absent_peers_alone_can_be_drawn(tmp_path: Path) -> None:
    panels = [plots.Panel("creates", "alerts/s", [plots.Bar("Alerta", None, "not installed")])]

    assert _size(plots.picture_of(_results(tmp_path, panels), tmp_path / "1.png"))[1] > 0


@pytest.mark.parametrize("highest", [2.0, 2000.0])
def test_lines_are_drawn_on_either_scale(tmp_path: Path, highest: float) -> None:
    points = [(10.0, report.spread([1.0])), (1000.0, report.spread([highest]))]
    panel = plots.Panel("growth", "ms", lines={"p50": points}, x_label="alerts")

    assert _size(plots.picture_of(_results(tmp_path, [panel]), tmp_path / "1.png"))[1] > 0


def test_the_line_below_says_on_what_and_how_much() -> None:
    result = {
        "at": "2026-11-23T15:00:00+00:00",
        "machine": {"processor": "P", "cores": 2, "memory_gib": 8.0, "python": "3.11.7"},
        "settings": {"rounds": 1, "quick": True},
    }

    line = plots.below(result)

    assert "P, 2 cores, 8.0 GiB" in line
    assert "2026-11-23, 1 round" in line
    assert "good for no figure" in line


def test_results_from_before_there_were_pictures_are_refused_with_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text('{"name": "writes"}')

    with pytest.raises(ValueError, match="holds nothing to draw"):
        plots.picture_of(path, tmp_path / "1.png")
