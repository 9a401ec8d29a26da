"""What a replay is made of: a clock that goes on when nobody is at work, sets as streams, and its figures."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from alertgraph.core.noise import NoiseFigures
from alertgraph.edge.replay.clock import ReplayClock, ReplayLoop, run
from alertgraph.edge.replay.command import figures_of
from alertgraph.edge.replay.people import Truth
from alertgraph.edge.replay.sets import SETS, DataMissingError, Said
from tests.factories import DAY, HOUR, MINUTE, SECOND, T0, an_id


def played(work: Any, clock: ReplayClock) -> Any:
    def begin(loop: ReplayLoop) -> Coroutine[Any, Any, Any]:
        loop.clock = clock
        return work(loop)

    return run(begin)


def test_a_week_takes_no_time_where_nobody_works() -> None:
    clock = ReplayClock(T0)
    woken: list[str] = []

    async def sleeper(name: str, length: timedelta) -> None:
        await clock.sleep(length)
        woken.append(name)

    async def work(_: ReplayLoop) -> None:
        await asyncio.gather(sleeper("later", 7 * DAY), sleeper("sooner", HOUR))

    begun = time.monotonic()
    played(work, clock)

    assert woken == ["sooner", "later"]
    assert clock.now() == T0 + 7 * DAY
    assert time.monotonic() - begun < 5


def test_time_stands_still_while_a_thread_works() -> None:
    clock = ReplayClock(T0)

    async def work(_: ReplayLoop) -> None:
        sleeper = asyncio.create_task(clock.sleep(HOUR))
        await asyncio.to_thread(time.sleep, 0.05)
        assert clock.now() == T0
        await sleeper

    played(work, clock)
    assert clock.now() == T0 + HOUR


def test_time_stands_still_while_something_is_on_its_way() -> None:
    clock = ReplayClock(T0)

    async def work(loop: ReplayLoop) -> None:
        is_busy = True
        loop.busy = lambda: is_busy
        sleeper = asyncio.create_task(clock.sleep(HOUR))
        await asyncio.sleep(0.05)
        assert clock.now() == T0
        is_busy = False
        await sleeper

    played(work, clock)
    assert clock.now() == T0 + HOUR


def test_two_alarms_of_one_kind_may_end_at_once(tmp_path: Path) -> None:
    path = tmp_path / "telecom_alarms" / "18V_55N_Wireless" / "alarm.csv.gz"
    path.parent.mkdir(parents=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("alarm_id,device_id,start_timestamp,end_timestamp\n1,2,100,200\n1,2,150,200\n")

    said = list(SETS["telecom"].read(tmp_path, DAY))

    assert [(one.at.seconds, one.ends) for one in said] == [(0, False), (50, False), (100, True), (100, True)]


def test_who_has_given_up_wakes_nobody() -> None:
    clock = ReplayClock(T0)

    async def work(_: ReplayLoop) -> None:
        task = asyncio.create_task(clock.sleep(MINUTE))
        await asyncio.sleep(0)
        task.cancel()
        await clock.sleep(HOUR)

    played(work, clock)
    assert clock.now() == T0 + HOUR


def kept(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write(text)


def test_telecom_alarms_begin_and_end_and_long_ones_of_a_device_are_one_incident(tmp_path: Path) -> None:
    kept(
        tmp_path / "telecom_alarms" / "18V_55N_Wireless" / "alarm.csv.gz",
        "alarm_id,device_id,start_timestamp,end_timestamp\n"
        "1,7,100,160\n2,7,200,5000\n3,7,300,6000\n2,7,20000,30000\n1,7,900000,900001\n",
    )

    found = list(SETS["telecom"].read(tmp_path, DAY))

    assert found[0] == Said(timedelta(0), "7/1", "Alarm type B", "device 7", None)
    assert [(one.at, one.key, one.incident, one.ends) for one in found] == [
        (timedelta(0), "7/1", None, False),
        (60 * SECOND, "7/1", None, True),
        (100 * SECOND, "7/2", "device 7, 0", False),
        (200 * SECOND, "7/3", "device 7, 0", False),
        (4900 * SECOND, "7/2", "device 7, 0", True),
        (5900 * SECOND, "7/3", "device 7, 0", True),
        (19900 * SECOND, "7/2", "device 7, 1", False),
        (29900 * SECOND, "7/2", "device 7, 1", True),
    ]


def test_networks_of_detections_follow_one_another(tmp_path: Path) -> None:
    row = "{},{},10.0.0.1,{},short,time,{}\n"
    head = "time,name,ip,host,short,time_label,event_label\n"
    first = head + row.format(1000, "rule", "web", "-") + row.format(1060, "rule", "web", "-")
    kept(tmp_path / "ait_ads" / "a.csv.gz", first + row.format(1120, "rule", "web", "scan"))
    kept(tmp_path / "ait_ads" / "b.csv.gz", head + row.format(5, "rule", "db", "-"))

    found = list(SETS["ait_ads"].read(tmp_path, DAY))

    assert [(one.at, one.key, one.incident) for one in found] == [
        (timedelta(0), "a/web/rule", None),
        (120 * SECOND, "a/web/rule", "a, scan"),
        (HOUR + 120 * SECOND, "b/db/rule", None),
    ]


@pytest.mark.parametrize("name", SETS)
def test_a_set_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match=str(tmp_path)):
        list(SETS[name].read(tmp_path, DAY))


def test_only_what_begins_in_the_scored_part_counts() -> None:
    truth = Truth()
    truth.incident_of = {an_id(1): "early", an_id(2): "fire", an_id(3): None, an_id(4): "smoke"}
    truth.began_at = {"early": T0, "fire": T0 + HOUR, "smoke": T0 + 2 * HOUR}
    truth.reached_at = {"early": T0 + MINUTE, "fire": T0 + HOUR + 3 * MINUTE}
    truth.mended_at = {"fire": T0 + HOUR + 23 * MINUTE}
    truth.paged_at = {an_id(1): T0, an_id(2): T0 + HOUR, an_id(3): T0 + HOUR}
    truth.messages = [(T0, (an_id(1),)), (T0 + HOUR, (an_id(2), an_id(3)))]
    opened = {an_id(number): T0 + (number > 1) * HOUR for number in range(1, 5)}

    found = figures_of(truth, opened, T0 + MINUTE, NoiseFigures(4, 1, 90 * SECOND), is_armed=True)

    assert (found.true_incidents, found.reached, found.alerts) == (2, 1, 3)
    assert (found.minutes_to_person, found.mttr_minutes) == (3, 23)
    assert (found.notifications, found.alerts_paged, found.false_positives) == (1, 2, 1)
    assert (found.pages_per_true_incident, found.held, found.held_wrongly, found.regret_minutes) == (2, 4, 1, 1.5)
