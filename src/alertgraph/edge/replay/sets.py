"""Labelled sets as streams of what senders say, with what became of it."""

from __future__ import annotations

import csv
import gzip
import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

NOISE = "-"
TELECOM = "18V_55N_Wireless"
STAYS = timedelta(minutes=15)
"""An alarm of the telecom set that lasts longer needed somebody: it did not end by itself in time."""
TOGETHER = timedelta(minutes=30)
"""Such alarms of one device, no further apart, are one true incident."""
REPEAT_EVERY = timedelta(minutes=5)


class DataMissingError(Exception):
    """A set is not where it was looked for; the message says where."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a sender says.

    Attributes:
        at: From the begin of the set.
        incident: The true incident it is of; None where nobody is needed.
        ends: Whether it says that the condition is over.
    """

    at: timedelta
    key: str
    title: str
    service: str
    incident: str | None
    ends: bool = False


@dataclass(frozen=True, slots=True)
class ReplaySet:
    """A labelled set.

    Attributes:
        truth: What its labels mean, in a sentence.
        resolve_timeout: After how long without a repeat an alert is over; zero where senders say so.
        days: How much of it is told where nobody asks for more or less.
    """

    name: str
    truth: str
    resolve_timeout: timedelta
    days: float
    read: Callable[[Path, timedelta], Iterator[Said]]


def _rows(path: Path) -> Iterator[Mapping[str, str]]:
    if not path.exists():
        raise DataMissingError(f"{path} is not there; give the root of the data with --data or ALERTGRAPH_DATA.")
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _telecom(root: Path, length: timedelta) -> Iterator[Said]:
    """Yield alarms as they begin and end; two of one device and type are one while they overlap."""
    rows = [
        (int(row["start_timestamp"]), int(row["end_timestamp"]), row["device_id"], row["alarm_id"])
        for row in _rows(root / "telecom_alarms" / TELECOM / "alarm.csv.gz")
    ]
    rows.sort()
    begin = rows[0][0] if rows else 0
    latest: dict[str, tuple[int, int]] = {}
    ends: list[tuple[int, int, Said]] = []
    for number_of_row, (start, end, device, alarm) in enumerate(rows):
        if start - begin > length.total_seconds():
            break
        incident = None
        if end - start > STAYS.total_seconds():
            number, last = latest.get(device, (0, start))
            number += start - last > TOGETHER.total_seconds()
            latest[device] = (number, max(last, end))
            incident = f"device {device}, {number}"
        while ends and ends[0][0] <= start:
            yield heapq.heappop(ends)[2]
        key, title = f"{device}/{alarm}", f"Alarm type {_letters(alarm)}"
        yield Said(timedelta(seconds=start - begin), key, title, f"device {device}", incident)
        # An alarm that ends as it begins has lasted for no time that anybody could have seen.
        over = Said(timedelta(seconds=max(end, start + 1) - begin), key, title, f"device {device}", incident, True)
        heapq.heappush(ends, (max(end, start + 1), number_of_row, over))
    while ends:
        yield heapq.heappop(ends)[2]


def _letters(number: str) -> str:
    """Return a number in letters: kinds are told apart by words, and numbers make no difference to them."""
    return "".join(chr(ord("A") + int(digit)) for digit in number if digit.isdigit())


def _ait(root: Path, length: timedelta) -> Iterator[Said]:
    """Yield the networks' detections, one network after another, as of one company.

    Of each rule and host one message in five minutes is told, and every one that is of another attack step.
    """
    folder = root / "ait_ads"
    files = sorted(folder.glob("*.csv.gz"))
    if not files:
        raise DataMissingError(f"{folder} is not there; give the root of the data with --data or ALERTGRAPH_DATA.")
    offset = timedelta(0)
    for file in files:
        begin: float | None = None
        at = timedelta(0)
        told: dict[tuple[str, str, str], timedelta] = {}
        network = file.name.removesuffix(".csv.gz")
        for row in _rows(file):
            begin = float(row["time"]) if begin is None else begin
            at = timedelta(seconds=max(0.0, float(row["time"]) - begin))
            if offset + at > length:
                return
            step = row["event_label"]
            kind = (row["name"], row["host"], step)
            if kind in told and at - told[kind] < REPEAT_EVERY:
                continue
            told[kind] = at
            incident = f"{network}, {step}" if step != NOISE else None
            yield Said(
                offset + at, f"{network}/{row['host']}/{row['name']}", row["name"][:200], row["host"], incident
            )
        offset += at + timedelta(hours=1)


SETS: Mapping[str, ReplaySet] = {
    one.name: one
    for one in (
        ReplaySet(
            "telecom",
            "An alarm of a wireless network needed somebody where it lasted longer than "
            f"{STAYS // timedelta(minutes=1)} minutes; such alarms of one device at most "
            f"{TOGETHER // timedelta(minutes=1)} minutes apart are one true incident.",
            timedelta(0),
            60.0,
            _telecom,
        ),
        ReplaySet(
            "ait_ads",
            "A detection needed somebody where it is of an attack step; each step in each network is one true "
            "incident. Simulated networks, one after the other; five days are the first, thirty-two all six.",
            timedelta(minutes=10),
            5.0,
            _ait,
        ),
    )
}
