"""Who was paged is brought up to date and nobody else: by example, in the world of the simulation."""

from __future__ import annotations

from datetime import timedelta

import pytest

from alertgraph.core.action import Acknowledge, ByKey, Fire
from alertgraph.core.catalog import Catalog
from alertgraph.core.channel import Channel, ChannelKind, WebhookConfig
from alertgraph.core.delivery import DeliveryStatus, Purpose
from alertgraph.core.event import EventKind
from alertgraph.core.ids import ChannelId, ResponderId, RuleId
from alertgraph.core.responder import ContactMethod, Responder
from alertgraph.core.rule import EscalationRule, Level, ResponderTarget
from tests.factories import HOUR, MINUTE, SECOND, T0, TENANT, a_config, a_draft
from tests.simulation.world import World, a_uuid

CHAT, PHONE = [
    Channel(ChannelId(a_uuid(number)), name, ChannelKind.WEBHOOK, WebhookConfig(f"https://{name}.example.org"))
    for number, name in ((1, "chat"), (2, "phone"))
]


def a_world() -> World:
    """Return a world in which Ada is told over the chat at once, and over the phone a minute later."""
    ada = Responder(
        ResponderId(a_uuid(3)),
        "Ada",
        contact_methods=(ContactMethod(CHAT.id), ContactMethod(PHONE.id, None, MINUTE)),
    )
    rule = EscalationRule(RuleId(a_uuid(4)), "all", 0, (Level(HOUR, (ResponderTarget(ada.id),)),))
    return World(
        a_config(
            catalog=Catalog(
                rules=(rule,), channels={one.id: one for one in (CHAT, PHONE)}, responders={ada.id: ada}
            )
        )
    )


def sends(world: World) -> list[tuple[str, Purpose]]:
    names = {CHAT.id: "chat", PHONE.id: "phone"}
    return [(names[send.channel_id], send.message.purpose) for send in world.providers.sends]


def timeline(world: World) -> list[tuple[str, str | None]]:
    return [(one.event.kind.name, one.event.detail.get("channel")) for one in world.log.tenants[TENANT].events]


async def acknowledged(world: World, after: timedelta) -> None:
    """Let an alert fire, and somebody acknowledge it so much later."""
    world.act(Fire(a_draft(dedup_key="disk")))
    await world.run_until(T0 + after)
    world.act(Acknowledge(ByKey("disk")), by_person=True)


async def test_a_channel_whose_page_still_waited_is_told_nothing_of_the_acknowledgement() -> None:
    world = a_world()
    world.boot()
    await acknowledged(world, 30 * SECOND)
    await world.run_until(T0 + 5 * MINUTE)
    await world.end()

    assert sends(world) == [("chat", Purpose.PAGE), ("chat", Purpose.UPDATE)]
    assert timeline(world) == [
        (EventKind.TRIGGERED.name, None),
        (EventKind.ESCALATED.name, None),
        (EventKind.DELIVERY_SENT.name, "chat"),
        (EventKind.ACKNOWLEDGED.name, None),
        (EventKind.DELIVERY_SKIPPED.name, "phone"),
    ]
    (skipped,) = [
        one
        for one in world.log.tenants[TENANT].finished.values()
        if one.purpose is Purpose.UPDATE and one.channel_id == PHONE.id
    ]
    assert skipped.status is DeliveryStatus.SKIPPED
    assert skipped.last_error == "nobody was told of the alert over this channel"


@pytest.mark.parametrize("fate", ["ok", "hang"])
async def test_a_page_in_flight_is_brought_up_to_date_once_it_has_landed(fate: str) -> None:
    world = a_world()
    fates = iter([(fate, 4 * SECOND)])
    world.providers.weather = lambda channel, number: next(fates, ("ok", 0 * SECOND))
    world.boot()
    await acknowledged(world, 2 * SECOND)
    await world.settle()
    assert sends(world) == [("chat", Purpose.PAGE)]
    await world.run_until(T0 + 5 * MINUTE)
    await world.end()

    assert sends(world) == [("chat", Purpose.PAGE), ("chat", Purpose.UPDATE)]


async def test_a_page_in_flight_that_was_refused_is_not_brought_up_to_date() -> None:
    world = a_world()
    world.providers.weather = lambda channel, number: ("refuse", 4 * SECOND)
    world.boot()
    await acknowledged(world, 2 * SECOND)
    await world.run_until(T0 + 5 * MINUTE)
    await world.end()

    assert sends(world) == [("chat", Purpose.PAGE)]


async def test_a_page_in_flight_is_brought_up_to_date_though_its_process_died() -> None:
    world = a_world()
    world.providers.weather = lambda channel, number: ("ok", 4 * SECOND)
    first = world.boot()
    await acknowledged(world, 2 * SECOND)
    await world.settle()
    world.kill(first)
    world.boot()
    await world.run_until(T0 + 5 * MINUTE)
    await world.end()

    assert sends(world) == [("chat", Purpose.PAGE), ("chat", Purpose.UPDATE)]
