"""Time zones come from the pinned package, by exact name."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alertgraph.core.errors import InputError
from alertgraph.core.time_zone import check_time_zone, instant_of, wall_clock, zone, zone_names


@pytest.mark.parametrize(
    "name", ["Europe/Berlin", "America/Argentina/Buenos_Aires", "UTC", "Etc/GMT+5", "US/Eastern"]
)
def test_a_name_has_one_zone(name: str) -> None:
    assert check_time_zone(name) == name
    assert zone(name) is zone(name)
    assert zone(name).key == name


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "Mars/Olympus", "europe/berlin", "Europe", "Europe/", "Europe/Berlin ", "CEST", "+02:00"),
        *(
            "../zones",
            "Europe/../Europe/Berlin",
            "/etc/localtime",
            "Europe/Berlin\0",
            "__init__.py",
            "\ud800",
            "x" * 10_000,
        ),
    ],
)
def test_any_other_name_is_refused_where_it_stands(name: str) -> None:
    with pytest.raises(InputError) as refused:
        zone(name)

    (problem,) = refused.value.problems
    assert problem.path == ("timeZone",)
    assert len(problem.message) < 200
    assert problem.message.encode()


def test_the_machine_has_no_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokyo = zone("Asia/Tokyo")
    (tmp_path / "Asia").mkdir()
    (tmp_path / "Asia" / "Seoul").write_bytes(b"no rules of a zone")
    monkeypatch.setenv("PYTHONTZPATH", str(tmp_path))
    zoneinfo.reset_tzpath(to=[str(tmp_path)])
    try:
        seoul = zone("Asia/Seoul")
    finally:
        zoneinfo.reset_tzpath()

    at = datetime(2026, 11, 23, tzinfo=UTC)
    assert at.astimezone(seoul).utcoffset() == at.astimezone(tokyo).utcoffset() == timedelta(hours=9)


def test_every_zone_can_be_read() -> None:
    at = datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert len(zone_names()) > 400
    for name in zone_names():
        assert abs(wall_clock(at, zone(name)) - at.replace(tzinfo=None)) <= timedelta(hours=14)


@pytest.mark.parametrize(
    ("name", "wall", "at"),
    [
        ("Europe/Berlin", "2026-07-01T09:00", "2026-07-01T07:00Z"),
        # Skipped: 02:00 to 03:00 on that night.
        ("Europe/Berlin", "2026-03-29T01:59:59", "2026-03-29T00:59:59Z"),
        ("Europe/Berlin", "2026-03-29T02:00", "2026-03-29T01:00Z"),
        ("Europe/Berlin", "2026-03-29T02:59:59.999999", "2026-03-29T01:00Z"),
        ("Europe/Berlin", "2026-03-29T03:00", "2026-03-29T01:00Z"),
        # Shown twice: 02:00 to 03:00.
        ("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30Z"),
        ("Europe/Berlin", "2026-10-25T03:00", "2026-10-25T02:00Z"),
        ("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:30Z"),
        ("Pacific/Apia", "2011-12-30T09:00", "2011-12-30T10:00Z"),
        ("Asia/Kathmandu", "2026-01-01T00:00", "2025-12-31T18:15Z"),
    ],
)
def test_clocks_first_show_a_time(name: str, wall: str, at: str) -> None:
    shown = datetime.fromisoformat(wall)

    assert (
        instant_of(shown, zone(name))
        == instant_of(shown.replace(fold=1), zone(name))
        == datetime.fromisoformat(at)
    )
