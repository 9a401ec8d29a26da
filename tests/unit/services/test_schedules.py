"""On-call schedules: made, changed, deleted; people standing in; calendars taken over."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from alertgraph.core.errors import AccessDeniedError, ErrorCode, RefusedError
from alertgraph.core.event import EventKind
from alertgraph.core.ids import OverrideId, ResponderId, RuleId, ScheduleId
from alertgraph.core.responder import Responder
from alertgraph.core.rule import EscalationRule, Level, ScheduleTarget
from alertgraph.core.schedule import TIME_MAX, TIME_MIN, Rotation, Schedule, Shift, ShiftOverride, WeeklyWindow
from alertgraph.core.tenant import Role
from alertgraph.services.schedules import shifts_of, span_of_overrides
from tests.factories import ADA as SOMEBODY
from tests.factories import DAY, HOUR, MINUTE, T0, an_id
from tests.unit.services.setting_up import SettingUp, a_caller, refusal

ADMIN = a_caller()
ON_DUTY = a_caller(Role.RESPONDER)


@pytest.fixture
async def world() -> SettingUp:
    return SettingUp()


@pytest.fixture
async def ada(world: SettingUp) -> Responder:
    return await world.responders.create(ADMIN, name="Ada", email="ada@example.com")


@pytest.fixture
async def bob(world: SettingUp) -> Responder:
    return await world.responders.create(ADMIN, name="Bob", email="Bob@example.com")


def calendar(*events: tuple[str, datetime, datetime]) -> str:
    """Return an iCalendar text of events, each with somebody's address."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//EN"]
    for index, (email, begin, end) in enumerate(events):
        lines += [
            "BEGIN:VEVENT",
            f"UID:{index}@test",
            f"DTSTART:{begin:%Y%m%dT%H%M%SZ}",
            f"DTEND:{end:%Y%m%dT%H%M%SZ}",
            f"ATTENDEE:mailto:{email}",
            "SUMMARY:on call",
            "END:VEVENT",
        ]
    return "\r\n".join([*lines, "END:VCALENDAR", ""])


def spans(overrides: tuple[ShiftOverride, ...]) -> list[tuple[ResponderId, datetime, datetime]]:
    """Return who stands in when."""
    return [(each.responder_id, each.starts_at, each.ends_at) for each in overrides]


def shifts_of_(world: SettingUp, who: Responder, since: datetime, until: datetime) -> list[tuple[Schedule, Shift]]:
    """Return a person's shifts on all schedules."""
    schedules = world.catalog.schedules.values()
    return shifts_of(schedules, world.catalog.overrides, who.id, since, until)


async def test_a_schedule_is_kept_and_told(world: SettingUp, ada: Responder, bob: Responder) -> None:
    rotation = Rotation((ada.id, bob.id), T0, 7 * DAY, (WeeklyWindow((0, 4), 510, 1440),))

    schedule = await world.schedules.create(
        ADMIN, name="weekly", time_zone="Europe/Berlin", rotations=[rotation], idempotency_key="k"
    )

    assert world.catalog.schedules == {schedule.id: schedule}
    assert schedule == Schedule(schedule.id, "weekly", "Europe/Berlin", (rotation,), version=3)
    told = {change.field: change.after for change in world.events[-1].changes}
    assert told["rotations"][0]["shiftLength"] == "P7D"
    assert told["rotations"][0]["windows"] == [
        {"days": ["MONDAY", "FRIDAY"], "startsAt": "08:30", "endsAt": "24:00"}
    ]
    again = await world.schedules.create(
        ADMIN, name="weekly", time_zone="Europe/Berlin", rotations=[rotation], idempotency_key="k"
    )
    assert again == schedule


async def test_a_rotation_needs_people_that_there_are(world: SettingUp, ada: Responder) -> None:
    rotations = [Rotation((ada.id,), T0, DAY), Rotation((ada.id, ResponderId(an_id(99))), T0, DAY)]
    schedule = await world.schedules.create(ADMIN, name="weekly")

    with pytest.raises(RefusedError) as created:
        await world.schedules.create(ADMIN, name="other", rotations=rotations)
    with pytest.raises(RefusedError) as updated:
        await world.schedules.update(ADMIN, schedule.id, rotations=rotations)

    path = ("rotations", "1", "responderIds", "1")
    assert refusal(created) == refusal(updated) == (ErrorCode.NOT_FOUND, path)


async def test_what_cannot_be_used_is_refused(world: SettingUp, ada: Responder) -> None:
    schedule = await world.schedules.create(ADMIN, name="weekly")
    await world.schedules.create(ADMIN, name="other")
    short = [Rotation((ada.id,), T0, HOUR / 2)]

    for fields, expected in (
        ({"name": ""}, (ErrorCode.INVALID_INPUT, ("name",))),
        ({"name": "other"}, (ErrorCode.CONFLICT, ("name",))),
        ({"time_zone": "Mars/Olympus"}, (ErrorCode.INVALID_INPUT, ("timeZone",))),
        ({"rotations": short}, (ErrorCode.INVALID_INPUT, ("rotations", "0", "shiftLength"))),
        ({"calendar": "nothing"}, (ErrorCode.INVALID_INPUT, ("calendar",))),
    ):
        with pytest.raises(RefusedError) as created:
            await world.schedules.create(ADMIN, **{"name": "third", **fields})  # type: ignore[arg-type]
        with pytest.raises(RefusedError) as updated:
            await world.schedules.update(ADMIN, schedule.id, **fields)  # type: ignore[arg-type]
        assert refusal(created) == refusal(updated) == expected
    assert len(world.catalog.schedules) == 2


async def test_a_patch_leaves_what_it_does_not_name(world: SettingUp, ada: Responder) -> None:
    rotation = Rotation((ada.id,), T0, DAY)
    schedule = await world.schedules.create(ADMIN, name="weekly", rotations=[rotation])

    moved = await world.schedules.update(ADMIN, schedule.id, time_zone="Asia/Tokyo", expected_version=2)

    assert moved == replace(schedule, time_zone="Asia/Tokyo", version=3)
    with pytest.raises(RefusedError) as error:
        await world.schedules.update(ADMIN, schedule.id, name="late", expected_version=2)
    assert refusal(error)[0] is ErrorCode.VERSION_CONFLICT


async def test_somebody_stands_in_and_is_taken_back(world: SettingUp, ada: Responder, bob: Responder) -> None:
    schedule = await world.schedules.create(ADMIN, name="daily", rotations=[Rotation((ada.id,), T0, DAY)])
    now = world.clock.now()

    override = await world.schedules.override_shift(
        ON_DUTY, schedule.id, bob.id, starts_at=now, ends_at=now + HOUR, idempotency_key="k"
    )
    again = await world.schedules.override_shift(
        ON_DUTY, schedule.id, bob.id, starts_at=now, ends_at=now + HOUR, idempotency_key="k"
    )

    assert world.catalog.overrides == (override,) == (again,)
    assert (override.created_by, override.version) == (ON_DUTY.actor, 4)
    # Who is on call has changed, and with it the schedule.
    assert world.catalog.schedules[schedule.id].version == 4
    assert [shift.responder_id for _, shift in shifts_of_(world, bob, now, now + DAY)] == [bob.id]

    await world.schedules.delete_override(ON_DUTY, override.id, expected_version=4)
    assert world.catalog.overrides == ()
    assert world.catalog.schedules[schedule.id].version == 5
    assert world.events[-1].subject_type == "ShiftOverride"


async def test_an_override_needs_a_time_a_person_and_a_schedule(world: SettingUp, ada: Responder) -> None:
    schedule = await world.schedules.create(ADMIN, name="daily")
    now = world.clock.now()
    good = (schedule.id, ada.id, now, now + HOUR)
    for call, expected in (
        ((ScheduleId(an_id(99)), *good[1:]), (ErrorCode.NOT_FOUND, ("scheduleId",))),
        ((good[0], ResponderId(an_id(99)), *good[2:]), (ErrorCode.NOT_FOUND, ("responderId",))),
        ((*good[:3], now), (ErrorCode.INVALID_INPUT, ("endsAt",))),
        ((*good[:2], now - DAY, now - HOUR), (ErrorCode.INVALID_INPUT, ("endsAt",))),
    ):
        with pytest.raises(RefusedError) as error:
            await world.schedules.override_shift(ON_DUTY, call[0], call[1], starts_at=call[2], ends_at=call[3])
        assert refusal(error) == expected
    assert world.catalog.overrides == ()


async def test_roles(world: SettingUp, ada: Responder) -> None:
    schedule = await world.schedules.create(ADMIN, name="daily")
    now = world.clock.now()
    viewer, scoped = a_caller(Role.VIEWER), a_caller(job="api")
    for call in (
        world.schedules.create(ON_DUTY, name="x"),
        world.schedules.update(ON_DUTY, schedule.id, name="x"),
        world.schedules.delete(ON_DUTY, schedule.id),
        world.schedules.create(scoped, name="x"),
        world.schedules.override_shift(viewer, schedule.id, ada.id, starts_at=now, ends_at=now + HOUR),
        world.schedules.override_shift(scoped, schedule.id, ada.id, starts_at=now, ends_at=now + HOUR),
        world.schedules.delete_override(viewer, OverrideId(an_id(1))),
    ):
        with pytest.raises(AccessDeniedError):
            await call


async def test_a_schedule_in_use_stays(world: SettingUp, ada: Responder) -> None:
    schedule = await world.schedules.create(ADMIN, name="daily")
    now = world.clock.now()
    await world.schedules.override_shift(ADMIN, schedule.id, ada.id, starts_at=now, ends_at=now + HOUR)
    rule = EscalationRule(RuleId(an_id(20)), "nights", 1, (Level(MINUTE, (ScheduleTarget(schedule.id),)),))

    world.put(rules=(rule,))
    with pytest.raises(RefusedError) as error:
        await world.schedules.delete(ADMIN, schedule.id)
    assert refusal(error) == (ErrorCode.IN_USE, ("id",))
    assert "nights" in error.value.message

    world.put(rules=())
    await world.schedules.delete(ADMIN, schedule.id)
    assert world.catalog.schedules == {}
    assert world.catalog.overrides == ()


async def test_a_calendar_becomes_overrides(world: SettingUp, ada: Responder, bob: Responder) -> None:
    now = world.clock.now()
    text = calendar(
        ("ada@example.com", now - 2 * DAY, now - DAY),
        ("ADA@example.com", now - HOUR, now + HOUR),
        ("bob@example.com", now + HOUR, now + DAY),
        ("bob@example.com", now + HOUR, now + DAY),
    )

    schedule = await world.schedules.create(ADMIN, name="imported", calendar=text)

    assert spans(world.catalog.overrides_of(schedule.id)) == [
        (ada.id, now - HOUR, now + HOUR),
        (bob.id, now + HOUR, now + DAY),
    ]
    assert world.events[-1].kind is EventKind.CONFIG_CREATED
    assert world.events[-1].detail == {"overridesMade": 2, "overridesDeleted": 0}


async def test_a_calendar_replaces_the_overrides_to_come(world: SettingUp, ada: Responder, bob: Responder) -> None:
    now = world.clock.now()
    other = await world.schedules.create(
        ADMIN, name="other", calendar=calendar(("ada@example.com", now + DAY, now + 2 * DAY))
    )
    first = calendar(
        ("ada@example.com", now - HOUR, now + HOUR),
        ("bob@example.com", now + HOUR, now + DAY),
        ("ada@example.com", now + DAY, now + 2 * DAY),
    )
    schedule = await world.schedules.create(ADMIN, name="imported", calendar=first)
    under_way, goes, stays = world.catalog.overrides_of(schedule.id)
    assert goes.responder_id == bob.id

    changed = await world.schedules.update(
        ADMIN,
        schedule.id,
        calendar=calendar(
            ("ada@example.com", now + DAY, now + 2 * DAY), ("bob@example.com", now + 2 * DAY, now + 3 * DAY)
        ),
    )

    own = world.catalog.overrides_of(schedule.id)
    assert own[:2] == (under_way, stays)
    assert spans(own[2:]) == [(bob.id, now + 2 * DAY, now + 3 * DAY)]
    assert changed.version == own[2].version == 5
    assert world.events[-1].detail == {"overridesMade": 1, "overridesDeleted": 1}
    assert len(world.catalog.overrides_of(other.id)) == 1
    # The same once more changes nothing.
    text = calendar(
        ("ada@example.com", now + DAY, now + 2 * DAY), ("bob@example.com", now + 2 * DAY, now + 3 * DAY)
    )
    assert await world.schedules.update(ADMIN, schedule.id, calendar=text) == changed


async def test_an_empty_calendar_ends_the_overrides_to_come(world: SettingUp, ada: Responder) -> None:
    now = world.clock.now()
    schedule = await world.schedules.create(
        ADMIN, name="imported", calendar=calendar(("ada@example.com", now + DAY, now + 2 * DAY))
    )

    await world.schedules.update(ADMIN, schedule.id, calendar=calendar())

    assert world.catalog.overrides == ()


async def test_a_calendar_with_a_stranger_is_refused(world: SettingUp, ada: Responder) -> None:
    now = world.clock.now()
    text = calendar(
        ("ada@example.com", now, now + HOUR),
        *((f"eve{index}@example.com", now, now + HOUR) for index in range(7)),
    )

    with pytest.raises(RefusedError) as error:
        await world.schedules.create(ADMIN, name="imported", calendar=text)

    assert refusal(error) == (ErrorCode.INVALID_INPUT, ("calendar",))
    assert "eve0@example.com" in error.value.message
    assert "and 2 more" in error.value.message
    assert "ada@example.com" not in error.value.message
    assert world.catalog.schedules == {}


async def test_a_tenant_has_so_many_overrides(world: SettingUp, ada: Responder) -> None:
    now = world.clock.now()
    schedule = await world.schedules.create(ADMIN, name="busy")
    many = tuple(
        ShiftOverride(
            OverrideId(an_id(1000 + n)), schedule.id, ada.id, now + n * HOUR, now + (n + 1) * HOUR, SOMEBODY
        )
        for n in range(1, 1000)
    )
    world.put(overrides=many)
    events = [("ada@example.com", now + n * DAY + MINUTE, now + n * DAY + HOUR) for n in (1, 2)]

    with pytest.raises(RefusedError) as error:
        await world.schedules.create(ADMIN, name="imported", calendar=calendar(*events))
    assert refusal(error) == (ErrorCode.LIMIT_REACHED, ("calendar",))

    await world.schedules.create(ADMIN, name="imported", calendar=calendar(events[0]))
    # What is replaced makes room.
    await world.schedules.update(ADMIN, schedule.id, calendar=calendar(*events))
    assert len(world.catalog.overrides) == 3


async def test_shifts_of_a_person_are_told_over_all_schedules(
    world: SettingUp, ada: Responder, bob: Responder
) -> None:
    for name, people in (("b", (ada.id, bob.id)), ("a", (bob.id, ada.id)), ("c", (ada.id,))):
        await world.schedules.create(ADMIN, name=name, rotations=[Rotation(people, T0, DAY)])

    found = shifts_of_(world, ada, T0, T0 + 2 * DAY)

    assert [(schedule.name, shift.starts_at - T0) for schedule, shift in found] == [
        ("b", 0 * DAY),
        ("c", 0 * DAY),
        ("a", DAY),
        ("c", DAY),
    ]


def test_a_turn_is_told_whole_by_who_stood_in_around_it() -> None:
    weekly = Schedule(ScheduleId(an_id(1)), "weekly", rotations=(Rotation((), T0, 7 * DAY), Rotation((), T0, DAY)))

    assert span_of_overrides([], T0, T0 + DAY) == (T0, T0 + DAY)
    assert span_of_overrides([weekly], T0, T0 + DAY) == (T0 - 7 * DAY, T0 + 8 * DAY)
    for at in (datetime.min.replace(tzinfo=UTC), TIME_MIN, TIME_MAX, datetime.max.replace(tzinfo=UTC)):
        since, until = span_of_overrides([weekly], at, at)
        assert since >= TIME_MIN
        assert until <= TIME_MAX
