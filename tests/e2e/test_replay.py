"""A whole replay, from the command line: a small set of the same layout, told to a service twice."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

HOUR = 3600


def a_set(root: Path, count: int) -> None:
    """Write alarms of the telecom layout: most are over within a minute, each eighth lasts for half an hour."""
    path = root / "telecom_alarms" / "18V_55N_Wireless" / "alarm.csv.gz"
    path.parent.mkdir(parents=True)
    lines = ["alarm_id,device_id,start_timestamp,end_timestamp"]
    for number in range(count):
        begin = 1000 + number * 600
        lasts = 1800 if number % 8 == 0 else 45
        lines.append(f"{number % 8},{number % 3},{begin},{begin + lasts}")
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def replayed(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "alertgraph", "replay", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def test_a_replay_tells_both_runs_side_by_side(tmp_path: Path) -> None:
    a_set(tmp_path, 60)

    ended = replayed("--data", str(tmp_path), "--set", "telecom", "--days", "0.4", "--json")

    assert ended.returncode == 0, ended.stderr
    [told] = json.loads(ended.stdout)["replays"]
    assert set(told["definitions"]) == set(told["figures"]["without"]) == set(told["figures"]["with"])
    without = told["figures"]["without"]
    assert without["true_incidents"] == without["reached"] > 0
    # Nobody pages before it is looked at, and nobody takes longer than looking where there is little to look at.
    assert 1 <= without["minutes_to_person"] < 10
    assert without["alerts_paged"] == without["alerts"] > without["false_positives"] > 0
    assert without["held"] == 0
    # Too little is known within a day: nothing is held, and so both runs are the same.
    learnt = {**told["figures"]["with"], "still_armed": without["still_armed"]}
    assert learnt == without
    assert set(told["seconds"]) == {"without", "with"}


def test_one_run_alone_is_told_as_a_table(tmp_path: Path) -> None:
    a_set(tmp_path, 30)

    ended = replayed("--data", str(tmp_path), "--set", "telecom", "--days", "0.2", "--only", "without")

    assert ended.returncode == 0, ended.stderr
    assert "pages_per_true_incident" in ended.stdout
    [head] = [line for line in ended.stdout.splitlines() if line.strip() == "without"]
    assert "with " not in head


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--set", "nope"), "there is no nope"),
        (("--mode", "loud"), "there is no LOUD"),
        (("--only", "both"), "--only is with or without"),
    ],
)
def test_what_there_is_not_is_said(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    ended = replayed("--data", str(tmp_path), *arguments)

    assert ended.returncode == 2
    assert said in ended.stderr


def test_data_that_are_not_there_are_named(tmp_path: Path) -> None:
    ended = replayed("--data", str(tmp_path), "--set", "telecom")

    assert ended.returncode == 1
    assert str(tmp_path) in ended.stderr
