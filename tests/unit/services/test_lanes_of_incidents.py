"""The write path where alerts are in incidents: what is loaded, remembered and decided anew."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, replace
from uuid import UUID

import pytest

from alertgraph.core.action import Acknowledge, Action, ByKey, Fire, Resolve
from alertgraph.core.batch import Outcome, Request
from alertgraph.core.ids import IncidentId, TenantId
from alertgraph.core.incident import Incident
from alertgraph.core.incident_action import AddAlerts, IncidentAction, OpenIncident, UpdateIncident
from alertgraph.services.lanes import Lanes
from alertgraph.services.open_alerts import OpenAlerts
from tests.factories import ADA, T0, TENANT, a_config, a_draft, a_request, an_id
from tests.memory_log import Fault, MemoryLog, random_pauses
from tests.virtual import SeededDice, VirtualClock


@dataclass
class Unwatched:
    """Remembers what failed and nothing else."""

    failures: list[BaseException] = field(default_factory=list)

    def flushed(self, *, commands: int, events: int, seconds: float, outcome: str) -> None: ...

    def queued(self, seconds: float) -> None: ...

    def streamed(self, *, events: int, source: str) -> None: ...

    def failed(self, part: str, error: BaseException) -> None:
        self.failures.append(error)


class Process:
    """One process over a log that it shares with others."""

    def __init__(self, log: MemoryLog, clock: VirtualClock, seed: int = 0) -> None:
        self.log = log
        self.watcher = Unwatched()
        self.memory = OpenAlerts()
        self.lanes = Lanes(log, self.memory, clock, SeededDice(seed), self.watcher, lambda _: None, lambda _: None)
        self._ids = 1_000_000 * (seed + 1)

    async def do(self, *actions: Action) -> tuple[Outcome, ...]:
        self._ids += len(actions)
        return await self.lanes.submit(TENANT, a_request(*actions, first_id=self._ids - len(actions)))

    async def by_hand(self, action: IncidentAction) -> Outcome:
        (outcome,) = await self.lanes.submit(TENANT, Request((), (), ADA, incident=action))
        return outcome


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog(VirtualClock(T0), TENANT, TenantId(UUID(int=2)))
    config = a_config()
    log.tenants[TENANT].config = replace(config, settings=replace(config.settings, grouping_labels=("job",)))
    return log


def fire(key: str, job: str = "api") -> Fire:
    return Fire(a_draft(dedup_key=key, labels={"job": job}))


def the_incident(log: MemoryLog) -> Incident:
    (incident,) = log.tenants[TENANT].incidents.values()
    return incident


async def test_an_incident_is_loaded_once_and_remembered(log: MemoryLog) -> None:
    here = Process(log, VirtualClock(T0))
    await here.do(fire("a"))
    loaded = log.calls["load_incidents"]
    await here.do(fire("b"))
    await here.do(Resolve(ByKey("a")))

    assert (loaded, log.calls["load_incidents"]) == (1, 1)
    assert the_incident(log).open_count == 1
    # Once it is resolved there is nothing to remember: the next one is asked for.
    await here.do(Resolve(ByKey("b")))
    (outcome,) = await here.do(fire("c"))
    assert log.calls["load_incidents"] == 2
    assert outcome.alert is not None
    assert len(log.tenants[TENANT].incidents) == 2


async def test_where_nothing_is_grouped_no_incident_is_asked_for(log: MemoryLog) -> None:
    log.change_config(TENANT, a_config())
    here = Process(log, VirtualClock(T0))
    await here.do(fire("a"), fire("b"))
    await here.do(Resolve(ByKey("a")))

    assert log.calls["load_incidents"] == 0


async def test_what_another_process_has_changed_is_decided_anew(log: MemoryLog) -> None:
    here, there = Process(log, VirtualClock(T0)), Process(log, VirtualClock(T0), 1)
    await here.do(fire("a"))
    await there.do(fire("b"))
    await here.do(fire("c"))

    assert the_incident(log).alert_count == 3
    await there.do(Resolve(ByKey("a")), Resolve(ByKey("b")), Resolve(ByKey("c")))
    # It remembers one that is not resolved.
    (outcome,) = await here.do(fire("d"))
    assert outcome.alert is not None
    assert len(log.tenants[TENANT].incidents) == 2


async def test_the_slow_way_asks_for_incidents_too(log: MemoryLog) -> None:
    here = Process(log, VirtualClock(T0))
    await here.do(fire("a"))
    log.faults = [Fault.STALE] * 3
    await here.do(fire("b"))

    assert log.calls["append_locked"] >= 1
    assert the_incident(log).alert_count == 2
    log.faults = [Fault.STALE] * 3
    there = Process(log, VirtualClock(T0), 1)
    await there.do(Acknowledge(ByKey("a")))
    assert the_incident(log).triggered_count == 1


async def test_what_changes_nothing_is_not_told_from_memory(log: MemoryLog) -> None:
    here, there = Process(log, VirtualClock(T0)), Process(log, VirtualClock(T0), 1)
    (outcome,) = await here.do(fire("a"))
    assert outcome.alert is not None
    incident = the_incident(log)
    await there.by_hand(UpdateIncident(incident.id, "Other"))

    # As this process remembers it, it has that version and title.
    stale = await here.by_hand(UpdateIncident(incident.id, incident.title, expected_version=incident.version))
    assert stale.problem is not None
    assert stale.problem.current_version == the_incident(log).version
    same = await here.by_hand(UpdateIncident(incident.id, "Other"))
    assert same.incident == the_incident(log)


async def test_outcomes_carry_the_incident_as_it_was_written(log: MemoryLog) -> None:
    log.change_config(TENANT, a_config())
    here = Process(log, VirtualClock(T0))
    first, second = await here.do(fire("a"), fire("b"))
    assert first.alert is not None
    assert second.alert is not None
    new_id = IncidentId(an_id(7))

    opened = await here.by_hand(OpenIncident(new_id, "x", (first.alert.id,)))
    added = await here.by_hand(AddAlerts(new_id, (second.alert.id,)))

    assert opened.incident is not None
    # Two alerts begin, then it is opened, and one of them joins.
    assert opened.incident.version == 4
    assert added.incident == the_incident(log)


@pytest.mark.parametrize("seed", range(5))
async def test_processes_that_take_turns_at_random_count_right(log: MemoryLog, seed: int) -> None:
    dice = random.Random(seed)
    log.pause = random_pauses(dice)
    log.chance = lambda: dice.choice([None] * 8 + [Fault.STALE, Fault.LOST_WRITTEN, Fault.LOST_UNWRITTEN])
    processes = [Process(log, VirtualClock(T0), number) for number in range(3)]

    async def work(process: Process, place: int) -> None:
        for number in range(8):
            await process.do(fire(f"{place} {number}", "a" if number % 2 else "b"))
            if number % 3 == 0:
                await process.do(Acknowledge(ByKey(f"{place} {number}")))
            if number % 4 == 1:
                await process.do(Resolve(ByKey(f"{place} {number}")))

    await asyncio.gather(*(work(process, place) for place, process in enumerate(processes)))

    rows = log.tenants[TENANT]
    for incident in rows.incidents.values():
        assert incident.group_key is not None
        rows.by_group(incident.group_key)  # which says where two of a key take in
        still_open = [alert for alert in rows.open.values() if alert.incident_id == incident.id]
        closed = [alert for alert in rows.closed.values() if alert.incident_id == incident.id]
        assert (incident.open_count, incident.alert_count) == (len(still_open), len(still_open) + len(closed))
