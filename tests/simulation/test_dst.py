"""The night on which clocks go forward: a ladder over two schedules, foretold and then climbed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from alertgraph.core.action import Fire
from alertgraph.core.catalog import Catalog
from alertgraph.core.forecast import alert_to_come, forecast
from alertgraph.core.ids import ResponderId, RuleId, ScheduleId
from alertgraph.core.responder import ContactMethod, Responder
from alertgraph.core.rule import EscalationRule, Level, ScheduleTarget
from alertgraph.core.schedule import Rotation, Schedule
from tests.factories import DAY, HOUR, MINUTE, SECOND, TENANT, WEBHOOK, a_config, a_draft
from tests.simulation.world import World, a_uuid

# In Berlin clocks go from 02:00 to 03:00 on 28 March 2027, at 01:00 UTC.
NIGHT = datetime(2027, 3, 28, tzinfo=UTC)

ADA, BEN, CLEO, DAN = (
    Responder(ResponderId(a_uuid(10 + index)), name, "Europe/Berlin", contact_methods=(ContactMethod(WEBHOOK.id),))
    for index, name in enumerate(("Ada", "Ben", "Cleo", "Dan"))
)
# Hands over at 08:00 each day, which is 07:00 UTC until the 27th and 06:00 UTC from the 28th on.
PRIMARY = Schedule(
    ScheduleId(a_uuid(20)),
    "primary",
    "Europe/Berlin",
    (Rotation((ADA.id, BEN.id), datetime(2027, 3, 20, 7, tzinfo=UTC), DAY),),
)
# Hands over at 02:30 each day; on the 28th no clock shows that, and it does as they jump.
SECONDARY = Schedule(
    ScheduleId(a_uuid(21)),
    "secondary",
    "Europe/Berlin",
    (Rotation((CLEO.id, DAN.id), datetime(2027, 3, 20, 1, 30, tzinfo=UTC), DAY),),
)
LADDER = (
    Level(30 * MINUTE, (ScheduleTarget(PRIMARY.id),)),
    Level(5 * HOUR, (ScheduleTarget(SECONDARY.id),)),
    Level(HOUR, (ScheduleTarget(PRIMARY.id),)),
)
CONFIG = a_config(
    catalog=Catalog(
        rules=(EscalationRule(RuleId(a_uuid(30)), "everything", 1, LADDER),),
        channels={WEBHOOK.id: WEBHOOK},
        responders={one.id: one for one in (ADA, BEN, CLEO, DAN)},
        schedules={one.id: one for one in (PRIMARY, SECONDARY)},
    )
)


@pytest.mark.parametrize(
    ("fired_after", "expected"),
    [
        pytest.param(
            29 * MINUTE,
            [(29 * MINUTE, BEN), (59 * MINUTE, DAN), (5 * HOUR + 59 * MINUTE, BEN)],
            id="a minute before each hand-off",
        ),
        pytest.param(
            30 * MINUTE,
            [(30 * MINUTE, BEN), (60 * MINUTE, CLEO), (6 * HOUR, ADA)],
            id="at the minute of each hand-off",
        ),
    ],
)
async def test_a_ladder_pages_the_right_people_at_the_right_minute(
    fired_after: timedelta, expected: list[tuple[timedelta, Responder]]
) -> None:
    wanted = [
        (NIGHT + after, level, responder.id, schedule.id)
        for level, ((after, responder), schedule) in enumerate(
            zip(expected, (PRIMARY, SECONDARY, PRIMARY), strict=True), 1
        )
    ]
    fire = Fire(a_draft())

    begin = NIGHT + fired_after
    told = forecast(alert_to_come(fire, CONFIG, begin), CONFIG, begin, {})
    world = World(CONFIG, start=NIGHT)
    world.boot()
    await world.run_until(NIGHT + fired_after)
    world.act(fire)
    await world.settle()
    [alert] = world.log.tenants[TENANT].open.values()
    # Once the first level is reached, what is left to come is the rest of it.
    told_later = forecast(alert, CONFIG, world.clock.now() + MINUTE, {})
    await world.run_until(NIGHT + 8 * HOUR)
    await world.end()

    assert [(step.at, step.level, step.responder_id, step.schedule_id) for step in told.steps] == wanted
    assert [(step.at, step.level, step.responder_id, step.schedule_id) for step in told_later.steps] == wanted[1:]
    sends = world.providers.sends
    assert [(send.message.level, send.message.responder) for send in sends] == [
        (level, responder.name) for level, (_, responder) in enumerate(expected, 1)
    ]
    assert all(timedelta(0) <= send.at - at < SECOND for send, (at, *_) in zip(sends, wanted, strict=True))
