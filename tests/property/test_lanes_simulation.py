"""Several processes write one tenant's log at once, over a store that refuses, loses answers and goes away.

A failure is a seed: `pytest tests/property/test_lanes_simulation.py -k 17` replays it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from alertgraph.core.action import (
    Acknowledge,
    Action,
    AddNote,
    ById,
    ByKey,
    Clear,
    Escalate,
    Fire,
    GiveFeedback,
    Reopen,
    Resolve,
    Target,
    Unacknowledge,
    Update,
)
from alertgraph.core.alert import AlertVerdict
from alertgraph.core.batch import Outcome, Request
from alertgraph.core.errors import DependencyError
from alertgraph.core.event import GENESIS_LINK, EventKind, next_link
from alertgraph.core.flush import Flush, IdempotencyKey
from alertgraph.core.ids import AlertId
from alertgraph.core.metrics import Counts, Group, tally
from alertgraph.core.severity import Severity
from tests.factories import TENANT, a_draft
from tests.memory_log import Fault, MemoryLog, TenantRows, random_pauses
from tests.unit.services.test_lanes import Process
from tests.virtual import VirtualClock

KEYS = ("k0", "k1", "k2", "k3")
POISON = "poison"


@dataclass
class Sent:
    """A request and what its client was told, each time it was sent."""

    request: Request
    answers: list[tuple[Outcome, ...]] = field(default_factory=list)

    @property
    def answer(self) -> tuple[Outcome, ...]:
        """What was done in the end; a request that was refused altogether may be sent again under its key."""
        done = [answer for answer in self.answers if not all(outcome.problem for outcome in answer)]
        shown = {tuple((o.alert_id, o.created, o.changed, o.problem) for o in answer) for answer in done}
        assert len(shown) <= 1, "one idempotency key has two answers"
        return done[0] if done else ()


@dataclass
class World:
    """Processes over one log, and everything that their clients were told."""

    dice: random.Random
    log: MemoryLog
    processes: list[Process]
    sent: list[Sent] = field(default_factory=list)
    marks: int = 0

    @property
    def rows(self) -> TenantRows:
        """What the log holds."""
        return self.log.tenants[TENANT]

    def mark(self) -> str:
        """Return a text that nobody else writes."""
        self.marks += 1
        return f"mark {self.marks}"

    def done(self) -> list[tuple[Action, Outcome]]:
        """Return every action that was not refused, once, with what became of it."""
        pairs = [pair for sent in self.sent for pair in zip(sent.request.actions, sent.answer, strict=False)]
        return [(action, outcome) for action, outcome in pairs if outcome.problem is None]


def a_world(seed: int) -> World:
    dice = random.Random(seed)
    clock = VirtualClock(tick=timedelta(microseconds=1))
    log = MemoryLog(clock, TENANT)
    log.pause = random_pauses(dice)
    log.poison = is_poisoned
    faults = [fault for fault in Fault for _ in range(dice.randint(0, 2))]
    trouble = dice.choice([0.0, 0.05, 0.3])
    log.chance = lambda: dice.choice(faults) if faults and dice.random() < trouble else None
    return World(dice, log, [Process(log, clock, seed=number) for number in range(3)])


def is_poisoned(flush: Flush) -> bool:
    return any(sealed.event.title == POISON for sealed in flush.events)


def an_action(world: World, known: list[AlertId]) -> Action:
    """Return something that a client might want, of keys and of alerts that it was told of."""
    dice = world.dice
    target: Target = ById(dice.choice(known)) if known and dice.random() < 0.7 else ByKey(dice.choice(KEYS))
    key, note = dice.choice(KEYS), world.mark()
    match dice.randrange(14):
        case 0 | 1 | 2 | 3 | 4:
            return Fire(a_draft(dedup_key=key))
        case 5:
            return Fire(a_draft(dedup_key=key, severity=dice.choice(list(Severity)), title=dice.choice("ab")))
        case 6:
            return Clear(key, world.processes[0].clock.now())
        case 7:
            return Acknowledge(target, note=note)
        case 8:
            return Unacknowledge(target, note=note)
        case 9:
            return Resolve(target, note=note)
        case 10:
            return Reopen(target, note=note)
        case 11:
            return dice.choice([Escalate(target, note=note), AddNote(target, note)])
        case 12:
            return GiveFeedback(target, dice.choice([None, *AlertVerdict]), note=note)
        case _:
            return Update(target, title=dice.choice(["a", "b", POISON]), note=note)


async def send(process: Process, sent: Sent) -> None:
    with suppress(DependencyError):
        sent.answers.append(await process.lanes.submit(TENANT, sent.request))


async def client(world: World, process: Process) -> None:
    """Send requests one after the other; those with an idempotency key several times, also at once."""
    known: list[AlertId] = []
    versions: dict[AlertId, int] = {}
    for _ in range(10):
        actions = [an_action(world, known) for _ in range(world.dice.choice([1, 1, 2, 5]))]
        sent = Sent(process.request(*actions))
        world.sent.append(sent)
        await send(process, sent)
        if world.dice.random() < 0.3:
            promise = IdempotencyKey("any", "key:1", world.mark(), bytes(32))
            sent = Sent(replace(process.request(*actions_with_new_notes(world, known)), idempotency=promise))
            world.sent.append(sent)
            await asyncio.gather(*[send(world.dice.choice(world.processes), sent) for _ in range(2)])
            await send(world.dice.choice(world.processes), sent)
        known += [o.alert_id for answer in sent.answers for o in answer if o.alert_id is not None]
        for outcome in (outcome for answer in sent.answers[:1] for outcome in answer):
            if outcome.alert is not None and sent.request.idempotency is None:
                assert outcome.alert.version >= versions.get(outcome.alert.id, 0)
                versions[outcome.alert.id] = outcome.alert.version


def actions_with_new_notes(world: World, known: list[AlertId]) -> list[Action]:
    return [an_action(world, known) for _ in range(world.dice.choice([1, 2]))]


async def run(seed: int) -> World:
    """Let all clients of all processes have their way, and return what came of it."""
    world = a_world(seed)
    await asyncio.gather(*[client(world, process) for process in world.processes for _ in range(5)])
    for process in world.processes:
        await process.lanes.drain()
    return world


# Seeds that once failed stay in the list.
@pytest.mark.parametrize("seed", [*range(24), 311])
async def test_processes_that_write_at_once_keep_every_promise(seed: int) -> None:
    world = await run(seed)

    check_each_answer_is_in_the_log_once(world)
    check_counts(world)
    check_chain(world.rows)
    check_figures(world.rows)
    check_everything_was_passed_on(world)


def check_each_answer_is_in_the_log_once(world: World) -> None:
    events = [stored.event for stored in world.rows.events]
    noted = Counter(event.note for event in events if event.note is not None)
    assert noted == Counter(note for action, _ in world.done() if (note := getattr(action, "note", None)))

    kinds = Counter(event.kind for event in events)
    done = world.done()
    assert kinds[EventKind.TRIGGERED] == sum(o.created for action, o in done if isinstance(action, Fire))
    assert kinds[EventKind.REOPENED] == sum(o.created for action, o in done if isinstance(action, Reopen))
    assert kinds[EventKind.RESOLVED] == sum(o.changed for action, o in done if isinstance(action, Clear | Resolve))
    made = [o.alert_id for _, o in done if o.created]
    assert Counter(made) == Counter(alert_id for alert_id in (*world.rows.open, *world.rows.closed))


def check_counts(world: World) -> None:
    fired = Counter(o.alert_id for action, o in world.done() if isinstance(action, Fire))
    fired.update(o.alert_id for action, o in world.done() if isinstance(action, Reopen) and o.created)
    counted = {a.id: a.occurrence_count for a in (*world.rows.open.values(), *world.rows.closed.values())}

    assert all(counted[alert_id] >= count for alert_id, count in fired.items() if alert_id is not None)
    # A repeat whose answer was lost may be counted twice, never not at all.
    assert sum(counted.values()) - fired.total() <= 5 * 256 * world.log.lost_touches
    if not world.log.lost_touches:
        assert counted == fired


def check_chain(rows: TenantRows) -> None:
    assert [stored.number for stored in rows.events] == list(range(1, len(rows.events) + 1))
    link, leaves, first = GENESIS_LINK, [], 1
    for before, stored in zip([None, *rows.events], rows.events, strict=False):
        assert before is None or before.recorded_at <= stored.recorded_at
        leaves.append(stored.leaf)
        if stored.link is not None:
            link = next_link(link, first, stored.recorded_at, stored.flush_id, leaves)
            assert stored.link == link
            leaves, first = [], stored.number + 1
    assert (leaves, link) == ([], rows.link)
    last = {stored.event.alert_id: stored.number for stored in rows.events}
    assert {a.id: a.version for a in (*rows.open.values(), *rows.closed.values())} == last


def check_figures(rows: TenantRows) -> None:
    fold = tally(stored.event for stored in rows.events)
    assert {g: c for g, c in rows.tally.counts.items() if c != Counts()} == {
        g: c for g, c in fold.counts.items() if c != Counts()
    }
    assert rows.tally.durations == fold.durations
    opened = Counter(Group(a.severity, a.monitored_service or "") for a in rows.open.values())
    assert {group: counts.opened for group, counts in fold.counts.items() if counts.opened} == opened


def check_everything_was_passed_on(world: World) -> None:
    passed = [s for process in world.processes for one in process.committed for s in one.events]
    assert sorted(passed, key=lambda stored: stored.number) == world.rows.events
    for process in world.processes:
        numbers = [stored.number for one in process.committed for stored in one.events]
        assert numbers == sorted(numbers)
