"""Holding likely noise, by a seed: whoever learns or pages may end at any moment, and no hold outlasts its bound.

What should have happened is read from the log by the promises of docs/noise.md, not by the code that keeps them.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from alertgraph.core.action import (
    Acknowledge,
    Assign,
    ById,
    ByKey,
    Clear,
    Escalate,
    Fire,
    GiveFeedback,
    Predict,
    Resolve,
    Update,
)
from alertgraph.core.actor import MODEL, ActorKind
from alertgraph.core.alert import AlertVerdict, HoldReason
from alertgraph.core.batch import Request
from alertgraph.core.delivery import Purpose
from alertgraph.core.event import EventKind, StoredEvent, instant_of
from alertgraph.core.ids import AlertId, uuid7
from alertgraph.core.noise import Basis, Ends, Label, NoiseMode, NoiseRules, is_spared, kind_of, opened_at
from alertgraph.core.noise_memory import NoiseMemory
from alertgraph.core.prediction import DurationEstimate, Prediction
from alertgraph.core.severity import Severity
from alertgraph.services.engine import POLL_EVERY
from alertgraph.services.noise import NoiseReader, NoiseReading
from tests.factories import HOUR, MINUTE, SECOND, T0, TENANT, a_draft
from tests.memory_noise import MemoryNoiseConfiguration
from tests.simulation.scenario import ACTION, Plan, plan_of
from tests.simulation.world import Process, World
from tests.virtual import SeededDice

KEY = b"s" * 32
REST = 10 * MINUTE
JUDGED_LATE = timedelta(seconds=1)
"""How long a prediction may be waited for."""


def rules_of(seed: int) -> NoiseRules:
    """Return what the tenant of a seed has asked for."""
    dice = random.Random(f"noise rules {seed}")
    mode = dice.choice((NoiseMode.HOLD, NoiseMode.HOLD, NoiseMode.SUPPRESS))
    return NoiseRules(mode, dice.choice((40, 90, 180)) * SECOND, dice.choice((1, 5, 600)) * MINUTE, T0 - HOUR)


def taught(predicts: bool) -> NoiseMemory:
    """Return what a tenant has learnt that has had enough of both sorts: noise above 0.6 may be held."""
    memory = NoiseMemory(KEY)
    for basis in Basis:
        for number in range(400):
            id_ = AlertId(uuid7(T0 - HOUR, number))
            memory.labels[basis][id_] = Label(0.95, False) if number % 2 else Label(0.6, True)
    memory.learn()
    memory.all = Ends(200, 190, 180, (60.0,) * 9)
    for source in ("alpha", "beta"):
        memory.kinds[kind_of(source, a_draft().title)] = Ends(200, 190, 180, (60.0,) * 9)
    memory.prompt_share = 1.0 if predicts else 0.0
    return memory


class Learner:
    """Follows the log as the learning process does: from what it saved last, whenever it ends."""

    def __init__(self, world: World, dice: random.Random, state: NoiseMemory) -> None:
        self._world = world
        self._dice = dice
        configuration = MemoryNoiseConfiguration(world.log)
        self.reader = NoiseReader(
            world.noise,
            world.log,
            configuration,  # type: ignore[arg-type]
            world.clock,
            SeededDice(),
            world.processes[0].watcher,
        )
        self.saved: tuple[int, NoiseMemory | bytes] = (0, state)

    async def run(self) -> None:
        """Follow, for as long as the process lives."""
        clock, log = self._world.clock, self._world.log
        while True:
            try:
                number, state = self.saved
                reading = await self._opened(state)
                while True:
                    events = log.tenants[TENANT].events[number:]
                    if events:
                        await reading.take(events)
                        number += len(events)
                    await reading.tick(clock.now())
                    if self._dice.random() < 0.3:
                        self.saved = (number, reading.state())
                    await clock.sleep(SECOND)
            except Exception:  # noqa: BLE001  (the store is away)
                await clock.sleep(SECOND)

    async def _opened(self, state: NoiseMemory | bytes) -> NoiseReading:
        if isinstance(state, bytes):
            return await self.reader.open(TENANT, state, self._world.clock.now())
        rules = await self.reader.rules(TENANT)
        return NoiseReading(self.reader, TENANT, NoiseMemory.of(state.state()), rules, is_new=True)


async def play_noise(seed: int) -> list[str]:
    """Play a seed to its end and return every broken promise."""
    plan = plan_of(seed)
    rules = rules_of(seed)
    dice = random.Random(f"noise {seed}")
    config = replace(plan.config, settings=replace(plan.config.settings, noise=rules))
    world = World(config, seed, rough=not plan.calm, hint_loss=0.0 if plan.calm else 0.3)
    first = world.boot()
    predicts = dice.random() < 0.6
    learner = Learner(world, dice, taught(predicts))
    alive = [_learning(first, learner)]
    await world.run_until(T0)
    if not plan.calm:
        world.boot()
    for at, happening in sorted(_happenings(world, plan, dice, predicts), key=lambda one: one[0]):
        await world.run_until(at)
        happening()
        if not plan.calm and dice.random() < 0.1:
            alive.pop().cancel()
            alive.append(_learning(world.processes[0], learner))
    await world.run_until(T0 + ACTION + REST)
    late = 2 * SECOND if plan.calm else 60 * SECOND
    faults = [
        *(f"a loop ended: {error!r}" for error in world.broken),
        *_faults(world, rules, late),
        *_unpaid(world, rules, 10 * SECOND if plan.calm else 90 * SECOND),
    ]
    alive.pop().cancel()
    await world.end()
    return faults


def _learning(process: Process, learner: Learner) -> asyncio.Task[None]:
    # In the one process that is never killed: a learning process is started again by whoever watches it.
    task = asyncio.create_task(learner.run())
    process.tasks.add(task)
    return task


def _happenings(world: World, plan: Plan, dice: random.Random, predicts: bool):  # type: ignore[no-untyped-def]
    for index in range(dice.randint(4, 9)):
        key, source = f"alert {index}", dice.choice(("alpha", "beta"))
        severity = dice.choice((Severity.CRITICAL, Severity.HIGH, Severity.HIGH, Severity.LOW))
        at = T0 + dice.uniform(2, 300) * SECOND
        draft = a_draft(dedup_key=key, source=source, severity=severity)
        yield at, lambda draft=draft: world.act(Fire(draft))
        if predicts:
            after = dice.choice((0.1, 0.5, 0.9, 2.0)) * SECOND
            chance = dice.choice((0.02, 0.05, 0.5, 0.9))
            yield at + after, lambda key=key, chance=chance: _predict(world, key, chance)
        for _ in range(dice.choice((0, 1, 1, 2))):
            at += dice.choice((3, 20, 45, 80, 150, 200)) * SECOND
            if at > T0 + ACTION:
                break
            target = ByKey(key)
            action = dice.choice(
                (
                    Acknowledge(target),
                    Resolve(target),
                    Escalate(target),
                    GiveFeedback(target, AlertVerdict.ACTIONABLE),
                    GiveFeedback(target, AlertVerdict.NOISE),
                    Update(target, severity=Severity.CRITICAL),
                    Assign(target, next(iter(plan.config.catalog.responders))),
                    Clear(key, at),
                    Clear(key, at),
                )
            )
            by_person = not isinstance(action, Clear)
            yield at, lambda action=action, by_person=by_person: world.act(action, by_person=by_person)
    if plan.calm:
        return
    for _ in range(dice.randint(0, 3)):
        at = T0 + dice.uniform(5, 500) * SECOND
        yield at, lambda: world.kill(world.processes[-1]) if len(world.processes) > 1 else None
        yield at + dice.uniform(0, 8) * SECOND, world.boot
    if dice.random() < 0.4:
        at = T0 + dice.uniform(5, 500) * SECOND
        yield at, lambda: setattr(world.outage, "away", True)
        yield at + dice.uniform(1, 8) * SECOND, lambda: setattr(world.outage, "away", False)


def _predict(world: World, key: str, chance: float) -> None:
    alert = world.log.tenants[TENANT].by_key(key)
    if alert is None:
        return
    estimate = DurationEstimate(50 * SECOND, 10 * SECOND, 200 * SECOND)
    said = Prediction("test", world.clock.now(), chance, chance, 1 - chance, None, estimate)
    process = dice_choice(world)
    request = Request((Predict(ById(alert.id), said),), (AlertId(uuid7(world.clock.now(), 1)),), MODEL)
    process.spawn(world._asked(process, request))


def dice_choice(world: World) -> Process:
    """Return one of the processes."""
    return world.dice.choice(world.processes)


# ------------------------------------------------------------------------------- what is held against it


def _timelines(world: World) -> dict[AlertId, list[StoredEvent]]:
    found: dict[AlertId, list[StoredEvent]] = defaultdict(list)
    for stored in world.log.tenants[TENANT].events:
        if stored.event.alert_id is not None:
            found[stored.event.alert_id].append(stored)
    return found


def _disarmed_at(world: World) -> tuple[int, datetime] | None:
    for stored in world.log.tenants[TENANT].events:
        if any(change.field == "noiseHoldingArmed" and not change.after for change in stored.event.changes):
            return stored.number, stored.event.decided_at
    return None


def _faults(world: World, rules: NoiseRules, late: timedelta) -> Iterator[str]:
    disarmed = _disarmed_at(world)
    for alert_id, events in _timelines(world).items():
        yield from _held_wrong(alert_id, events, rules, disarmed, late, world.clock.now())
        yield from _told_late(alert_id, events, late, world.clock.now())
    paged = {
        (one.alert_id, number)
        for number, one in world.log.tenants[TENANT].decided.values()
        if one.purpose is Purpose.PAGE
    }
    for alert_id, events in _timelines(world).items():
        for first, last in _holds(events):
            end = last.number if last is not None else world.log.tenants[TENANT].number
            early = [number for id_, number in paged if id_ == alert_id and first.number <= number < end]
            if early:
                yield f"{alert_id}: was told of while its page was held"


def _is_held(stored: StoredEvent) -> bool:
    return stored.event.kind is EventKind.HELD and stored.event.hold_reason is HoldReason.PREDICTED_NOISE


def _holds(events: Sequence[StoredEvent]) -> Iterator[tuple[StoredEvent, StoredEvent | None]]:
    """Yield each hold with what ended it; None where nothing has."""
    for index, stored in enumerate(events):
        if _is_held(stored):
            yield stored, next((later for later in events[index + 1 :] if later.event.kind in _ENDS), None)


_ENDS = frozenset(
    {
        EventKind.ESCALATED,
        EventKind.ACKNOWLEDGED,
        EventKind.RESOLVED,
        EventKind.SILENCED,
        EventKind.INHIBITED,
        EventKind.HELD,
    }
)


def _held_wrong(
    alert_id: AlertId,
    events: Sequence[StoredEvent],
    rules: NoiseRules,
    disarmed: tuple[int, datetime] | None,
    late: timedelta,
    now: datetime,
) -> Iterator[str]:
    bound = opened_at(alert_id) + rules.hold_max
    for first, last in _holds(events):
        event = first.event
        if event.severity_after is Severity.CRITICAL:
            yield f"{alert_id}: is critical and was held"
        if is_spared(alert_id, KEY):
            yield f"{alert_id}: was to be told all the same and was held"
        if disarmed is not None and first.number > disarmed[0]:
            yield f"{alert_id}: was held after holding had switched itself off"
        until = event.detail.get("until")
        ends_at = instant_of(until) if until is not None else None
        if ends_at is None and rules.mode is not NoiseMode.SUPPRESS:
            yield f"{alert_id}: was held for ever"
        if ends_at is not None and ends_at > bound:
            yield f"{alert_id}: was held until {ends_at}, beyond {bound}"
        # What sets it free sooner: somebody who wants it told, or the end of all holding.
        freed = [
            later.event.decided_at
            for later in events
            if later.number > first.number and (last is None or later.number <= last.number) and _frees(later)
        ]
        if disarmed is not None and disarmed[0] > first.number:
            freed.append(disarmed[1])
        due = min([*freed, *([ends_at] if ends_at is not None else [])], default=None)
        ended_at = last.event.decided_at if last is not None else now
        # That holding is over shows in the configuration, which the engine looks for every few seconds.
        slack = POLL_EVERY if disarmed is not None and due == disarmed[1] else timedelta(0)
        if due is not None and ended_at > due + late + slack:
            yield f"{alert_id}: was to be told at {due}, and nothing came until {ended_at}"
        by_engine = last is not None and last.event.actor.kind is ActorKind.ENGINE
        if (
            last is not None
            and last.event.kind is EventKind.ESCALATED
            and by_engine
            and (due is None or ended_at < due)
        ):
            yield f"{alert_id}: was held until {due} and told at {ended_at}"


def _frees(stored: StoredEvent) -> bool:
    event = stored.event
    if event.kind is EventKind.ASSIGNED:
        return True
    if event.kind is EventKind.PREDICTED:
        # A prediction may raise urgency: a rule that asks for such chances has taken over.
        return "escalationRuleId" in event.detail
    if event.kind is EventKind.UPDATED:
        before, after = event.severity_before, event.severity_after
        return before is not None and after is not None and after > before
    return event.kind is EventKind.FEEDBACK_GIVEN and any(
        change.field == "verdict" and change.after == "ACTIONABLE" for change in event.changes
    )


def _told_late(alert_id: AlertId, events: Sequence[StoredEvent], late: timedelta, now: datetime) -> Iterator[str]:
    """Nobody who is not held waits for a prediction for longer than a second."""
    first = events[0].event.decided_at
    judged = next((one.event.decided_at for one in events[1:] if one.event.kind in _ENDS), now)
    if judged - first > JUDGED_LATE + late:
        yield f"{alert_id}: came at {first} and was first judged at {judged}"


def _unpaid(world: World, rules: NoiseRules, late: timedelta) -> Iterator[str]:
    """Whatever holding has cost beyond its budget ends it, soon after."""
    costs: list[tuple[datetime, timedelta]] = []
    for events in _timelines(world).values():
        verdicts = [one for one in events if one.event.kind is EventKind.FEEDBACK_GIVEN]
        for first, last in _holds(events):
            if verdicts or last is None or last.event.kind is not EventKind.ESCALATED:
                continue  # other regrets there are, too: these are beyond doubt
            until = first.event.detail.get("until")
            ended_at = last.event.decided_at
            by_person = last.event.actor.kind is ActorKind.PERSON
            if by_person or (until is not None and ended_at >= instant_of(until)):
                costs.append((ended_at, ended_at - first.event.decided_at))
    spent = timedelta(0)
    disarmed = _disarmed_at(world)
    for at, cost in sorted(costs):
        spent += cost
        if spent > rules.regret_budget and at + late < world.clock.now():
            if disarmed is None or disarmed[1] > at + late:
                yield f"holding had cost {spent} at {at}, of {rules.regret_budget}, and went on"
            return
