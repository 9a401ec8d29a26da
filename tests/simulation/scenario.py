"""What happens in a world, by a seed: what is set up, who does what when, and what goes wrong."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from alertgraph.core.action import Acknowledge, ById, ByKey, Escalate, Fire, Predict, Resolve, Unacknowledge
from alertgraph.core.actor import MODEL
from alertgraph.core.catalog import Catalog
from alertgraph.core.channel import Channel, ChannelKind, EmailConfig, WebhookConfig
from alertgraph.core.delivery import Delivery, Purpose
from alertgraph.core.flush import TenantConfig
from alertgraph.core.ids import ChannelId, ResponderId, RuleId, ScheduleId
from alertgraph.core.responder import ContactMethod, Responder
from alertgraph.core.rule import (
    ChannelTarget,
    EscalationRule,
    EscalationTarget,
    Level,
    ResponderTarget,
    ScheduleTarget,
)
from alertgraph.core.schedule import Rotation, Schedule
from tests.factories import HOUR, MINUTE, SECOND, T0, TENANT, a_config, a_draft, a_matcher, a_prediction
from tests.memory_log import Fault
from tests.simulation.story import Story, Trouble
from tests.simulation.world import World, a_uuid

ACTION = 10 * MINUTE
REST = 14 * MINUTE
"""After the last fault: time enough for every breaker to close and every retry to be made."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a seed comes to.

    Attributes:
        rule_of: By source, for alerts of which nothing was said.
        urgent_of: By source, for those that are likely to need a person.
    """

    config: TenantConfig
    rule_of: dict[str, EscalationRule]
    urgent_of: dict[str, EscalationRule]
    troubles: tuple[Trouble, ...]
    calm: bool


def plan_of(seed: int) -> Plan:
    """Return what is set up, and which channels fail when."""
    dice = random.Random(f"plan {seed}")
    calm = seed % 4 == 0
    mail = Channel(ChannelId(a_uuid(1)), "mail", ChannelKind.EMAIL, EmailConfig(("ops@example.org",)))
    chat = Channel(
        ChannelId(a_uuid(2)),
        "chat",
        ChannelKind.WEBHOOK,
        WebhookConfig("https://chat.example.org"),
        fallback_id=mail.id if dice.random() < 0.7 else None,
    )
    phone = Channel(
        ChannelId(a_uuid(3)),
        "phone",
        ChannelKind.PAGERDUTY,
        WebhookConfig("https://phone.example.org"),
        fallback_id=chat.id if dice.random() < 0.5 else None,
    )
    responders = [
        Responder(
            ResponderId(a_uuid(10 + index)),
            name,
            contact_methods=(
                ContactMethod(dice.choice((chat.id, phone.id))),
                *([ContactMethod(mail.id, None, dice.choice((30, 90)) * SECOND)] if dice.random() < 0.5 else []),
            ),
        )
        for index, name in enumerate(("Ada", "Ben"))
    ]
    schedule = Schedule(
        ScheduleId(a_uuid(20)),
        "primary",
        "Europe/Berlin",
        (Rotation(tuple(one.id for one in responders), T0 - 100 * HOUR, HOUR),),
    )
    targets: list[EscalationTarget] = [
        ResponderTarget(responders[0].id),
        ScheduleTarget(schedule.id),
        ChannelTarget(chat.id),
        ChannelTarget(phone.id),
    ]
    rules = tuple(
        EscalationRule(
            RuleId(a_uuid(30 + index)),
            source,
            10 + index,
            tuple(
                Level(dice.choice((20, 45, 60, 150)) * SECOND, tuple(dice.sample(targets, dice.randint(1, 2))))
                for _ in range(dice.randint(1, 3))
            ),
            matchers=(a_matcher("@source", source),),
            repeat_count=dice.choice((0, 0, 1)),
        )
        for index, source in enumerate(("alpha", "beta"))
    )
    # With dice of their own, so that what seeds came to before is what they come to still.
    urgent = tuple(_urgent_rule(random.Random(f"urgent {seed} {rule.name}"), rule, targets) for rule in rules)
    catalog = Catalog(
        rules=(*rules, *urgent),
        channels={one.id: one for one in (mail, chat, phone)},
        responders={one.id: one for one in responders},
        schedules={schedule.id: schedule},
    )
    troubles = []
    if not calm:
        for channel in (chat, phone):
            if dice.random() < 0.6:
                begins_at = T0 + dice.uniform(0, 400) * SECOND
                troubles.append(Trouble(channel.id, begins_at, begins_at + dice.uniform(20, 120) * SECOND))
    return Plan(
        a_config(catalog=catalog),
        {rule.name: rule for rule in rules},
        {rule.name: one for rule, one in zip(rules, urgent, strict=True)},
        tuple(troubles),
        calm,
    )


def _urgent_rule(dice: random.Random, rule: EscalationRule, targets: Sequence[EscalationTarget]) -> EscalationRule:
    levels = tuple(
        Level(dice.choice((15, 30, 60)) * SECOND, tuple(dice.sample(targets, dice.randint(1, 2))))
        for _ in range(dice.randint(1, 2))
    )
    return replace(
        rule,
        id=RuleId(a_uuid(rule.id.int + 10)),
        name=f"likely {rule.name}",
        position=rule.position - 10,
        levels=levels,
        incident_probability_min=dice.choice((0.3, 0.7)),
        enabled=dice.random() < 0.8,
    )


async def play(seed: int) -> list[str]:
    """Play a seed to its end and return every broken promise."""
    plan = plan_of(seed)
    dice = random.Random(f"play {seed}")
    world = World(plan.config, seed, rough=not plan.calm, hint_loss=0.0 if plan.calm else 0.3)
    fates = {trouble.channel_id: dice.choice(("error", "hang", "busy", "error")) for trouble in plan.troubles}

    def weather(channel: Channel, number: int) -> tuple[str, timedelta]:
        now = world.clock.now()
        for trouble in plan.troubles:
            if trouble.channel_id == channel.id and trouble.begins_at <= now < trouble.ends_at:
                return fates[channel.id], timedelta(seconds=dice.choice((0, 0, 3)))
        return "ok", timedelta(seconds=0 if plan.calm else dice.choice((0, 0, 0, 2)))

    world.providers.weather = weather
    if not plan.calm:
        world.log.chance = lambda: (
            dice.choice((Fault.STALE, Fault.LOST_WRITTEN, Fault.LOST_UNWRITTEN, Fault.LOST_LATE))
            if world.clock.now() < T0 + ACTION and dice.random() < 0.04
            else None
        )
        world.deliveries.read = lambda due: _react_in_between(world, dice, due)
    world.boot()
    if not plan.calm:
        world.boot()
    for at, happening in sorted(_happenings(world, plan, dice), key=lambda one: one[0]):
        await world.run_until(at)
        happening()
    await world.run_until(T0 + ACTION + REST)
    story = Story(
        world,
        plan.rule_of,
        plan.urgent_of,
        plan.troubles,
        # In fair weather a level is reached at once: time stands still while anybody is at work.
        climb_late_max=SECOND if plan.calm else 45 * SECOND,
        # A storm to one target is told in bundles, three seconds apart.
        send_late_max=4 * SECOND if plan.calm else 60 * SECOND,
        fallback_within=34 * SECOND if plan.calm else 100 * SECOND,
    )
    faults = story.faults()
    await world.end()
    return faults


def _happenings(world: World, plan: Plan, dice: random.Random):  # type: ignore[no-untyped-def]
    """Yield what happens and when, in no order."""
    for index in range(dice.randint(2, 5)):
        key = f"alert {index}"
        source = dice.choice(list(plan.rule_of))
        fired_at = T0 + dice.uniform(0, 300) * SECOND
        yield fired_at, lambda key=key, source=source: world.act(Fire(a_draft(dedup_key=key, source=source)))
        at = fired_at
        for _ in range(dice.choice((0, 0, 1, 1, 2, 3))):
            at += dice.choice((5, 20, 45, 60, 100, 200)) * SECOND
            if at > T0 + ACTION:
                break
            target = ByKey(key)
            action = dice.choice(
                (
                    Acknowledge(target),
                    Acknowledge(target, until=at + dice.choice((30, 90)) * SECOND),
                    Unacknowledge(target),
                    Resolve(target),
                    Escalate(target),
                )
            )
            yield at, lambda action=action: world.act(action, by_person=True)
    yield from _predictions(world, random.Random(f"model {world.seed}"))
    if plan.calm:
        return
    for _ in range(dice.randint(0, 3)):
        at = T0 + dice.uniform(5, 500) * SECOND
        yield at, lambda: _kill_one(world, dice)
        yield at + dice.uniform(0, 8) * SECOND, world.boot
    if dice.random() < 0.4:
        at = T0 + dice.uniform(5, 500) * SECOND
        yield at, lambda: setattr(world.outage, "away", True)
        yield at + dice.uniform(1, 8) * SECOND, lambda: setattr(world.outage, "away", False)


def _predictions(world: World, dice: random.Random):  # type: ignore[no-untyped-def]
    """Yield when the model says something of an alert, sooner or later, and perhaps once more."""

    def predict(key: str, chance: float) -> None:
        rows = world.log.tenants[TENANT]
        of_key = [one for one in (*rows.closed.values(), *rows.open.values()) if one.dedup_key == key]
        if of_key:
            said = a_prediction(incident_probability=chance)
            world.act(Predict(ById(of_key[-1].id), said), actor=MODEL)

    for index in range(5):
        for _ in range(dice.choice((0, 1, 1, 2))):
            chance = dice.choice((0.1, 0.5, 0.9))
            at = T0 + dice.uniform(0, 500) * SECOND
            yield at, lambda key=f"alert {index}", chance=chance: predict(key, chance)


async def _react_in_between(world: World, dice: random.Random, due: Sequence[Delivery]) -> None:
    """Let somebody be as quick as can be: after the sender has read what is due, and before it claims it."""
    pages = [one for one in due if one.purpose is Purpose.PAGE and one.alert_id is not None]
    if pages and world.clock.now() < T0 + ACTION and dice.random() < 0.1:
        alert_id = dice.choice(pages).alert_id
        assert alert_id is not None
        world.act(Acknowledge(ById(alert_id), until=world.clock.now() + 60 * SECOND), by_person=True)
        for _ in range(60):
            await asyncio.sleep(0)


def _kill_one(world: World, dice: random.Random) -> None:
    if len(world.processes) > 1:
        world.kill(dice.choice(world.processes))


def moved(config: TenantConfig, at: datetime) -> TenantConfig:
    """Return a configuration whose rotations begin at another time."""
    schedules = {
        id_: replace(schedule, rotations=tuple(replace(one, starts_at=at) for one in schedule.rotations))
        for id_, schedule in config.catalog.schedules.items()
    }
    return replace(config, catalog=replace(config.catalog, schedules=schedules))
