"""On-call schedules, over the API: who is on call when, and who stands in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from alertgraph.core.catalog import Change
from alertgraph.core.event import seal
from alertgraph.core.ids import NodeKind, OverrideId, ResponderId, ScheduleId, decode_key, encode_id, uuid7
from alertgraph.core.schedule import ShiftOverride
from alertgraph.core.tenant import Principal
from tests.factories import a_config_event
from tests.integration.resolvers.api import Api
from tests.integration.resolvers.setting_up import (
    CREATE_SCHEDULE,
    DELETE_OVERRIDE,
    DELETE_RESPONDER,
    DELETE_SCHEDULE,
    OVERRIDE_SHIFT,
    UPDATE_SCHEDULE,
    a_responder,
    answered,
    done,
    refused,
)

ON_CALL = """query($id: ID!, $at: DateTime) { onCallSchedule(id: $id) { onCall(at: $at) { name } } }"""
SHIFTS = """query($id: ID!, $since: DateTime!, $until: DateTime!) { onCallSchedule(id: $id) {
  shifts(since: $since, until: $until) { schedule { name } responder { name } startsAt endsAt override { id } }
  overrides(since: $since, until: $until) { id responder { name } startsAt endsAt } } }"""


def text(at: datetime) -> str:
    """Return an instant as the API writes it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


async def test_the_life_of_a_schedule(api: Api, admin: Principal, viewer: Principal) -> None:
    ada = await a_responder(api, admin, "Ada")
    bob = await a_responder(api, admin, "Bob")
    rotation = {
        "responderIds": [ada, bob],
        "startsAt": "2026-03-23T09:00:00+01:00",
        "shiftLength": "P7D",
        "windows": [{"days": ["MONDAY", "SUNDAY"], "startsAt": "08:30", "endsAt": "24:00"}],
    }

    made = (
        await done(api, admin, CREATE_SCHEDULE, name="weekly", timeZone="Europe/Berlin", rotations=[rotation])
    )["onCallSchedule"]

    assert made["rotations"] == [
        {
            "responders": [{"name": "Ada"}, {"name": "Bob"}],
            "startsAt": "2026-03-23T08:00:00Z",
            "shiftLength": "P7D",
            "windows": [{"days": ["MONDAY", "SUNDAY"], "startsAt": "08:30", "endsAt": "24:00"}],
        }
    ]
    # 29 March is the day that clocks are put forward; the hand-off stays at 09:00 in Berlin.
    shifts = await api.data(
        viewer, SHIFTS, id=made["id"], since="2026-03-29T00:00:00Z", until="2026-03-31T00:00:00Z"
    )
    assert [
        (shift["responder"]["name"], shift["startsAt"], shift["endsAt"])
        for shift in shifts["onCallSchedule"]["shifts"]
    ] == [
        ("Ada", "2026-03-29T06:30:00Z", "2026-03-29T22:00:00Z"),
        ("Ada", "2026-03-30T06:30:00Z", "2026-03-30T07:00:00Z"),
        ("Bob", "2026-03-30T07:00:00Z", "2026-03-30T22:00:00Z"),
    ]
    for at, names in (
        ("2026-03-30T06:59:59Z", ["Ada"]),
        ("2026-03-30T07:00:00Z", ["Bob"]),
        ("2026-03-31T07:00:00Z", []),
    ):
        found = await api.data(viewer, ON_CALL, id=made["id"], at=at)
        assert [who["name"] for who in found["onCallSchedule"]["onCall"]] == names
    mine = await api.data(
        viewer,
        """query($id: ID!) { responder(id: $id) {
        shifts(since: "2026-03-29T00:00:00Z", until: "2026-03-31T00:00:00Z")
        { schedule { name } startsAt } } }""",
        id=bob,
    )
    assert mine["responder"]["shifts"] == [{"schedule": {"name": "weekly"}, "startsAt": "2026-03-30T07:00:00Z"}]

    assert await refused(api, admin, DELETE_RESPONDER, id=ada) == ("IN_USE", "input.id")
    always = {**rotation, "windows": []}
    changed = await done(api, admin, UPDATE_SCHEDULE, id=made["id"], rotations=[always], name="always")
    assert changed["onCallSchedule"]["version"] > made["version"]
    assert changed["onCallSchedule"]["timeZone"] == "Europe/Berlin"
    assert (await done(api, admin, DELETE_SCHEDULE, id=made["id"]))["deletedId"] == made["id"]
    assert (await api.data(viewer, ON_CALL, id=made["id"]))["onCallSchedule"] is None
    await done(api, admin, DELETE_RESPONDER, id=ada)


async def test_somebody_stands_in(api: Api, admin: Principal, responder: Principal, viewer: Principal) -> None:
    ada = await a_responder(api, admin, "Ada")
    bob = await a_responder(api, admin, "Bob")
    rotation = {"responderIds": [ada], "startsAt": "2026-01-01T00:00:00Z", "shiftLength": "P1D"}
    schedule = (await done(api, admin, CREATE_SCHEDULE, name="daily", rotations=[rotation]))["onCallSchedule"]
    now = api.clock.now().replace(microsecond=0)
    span = {"startsAt": text(now - timedelta(minutes=1)), "endsAt": text(now + timedelta(hours=1))}

    made = await done(
        api, responder, OVERRIDE_SHIFT, scheduleId=schedule["id"], responderId=bob, **span, idempotencyKey="once"
    )
    again = await done(
        api, responder, OVERRIDE_SHIFT, scheduleId=schedule["id"], responderId=bob, **span, idempotencyKey="once"
    )

    override = made["override"]
    assert again["override"] == override
    assert override == {
        "id": override["id"],
        "responder": {"name": "Bob"},
        **span,
        "createdBy": {"name": responder.name},
    }
    assert made["onCallSchedule"]["onCall"] == [{"name": "Bob"}]
    assert made["onCallSchedule"]["version"] > schedule["version"]
    told = (
        await api.data(viewer, SHIFTS, id=schedule["id"], since=text(now), until=text(now + timedelta(minutes=1)))
    )["onCallSchedule"]
    assert [(shift["responder"]["name"], shift["override"]) for shift in told["shifts"]] == [
        ("Bob", {"id": override["id"]})
    ]
    assert [each["id"] for each in told["overrides"]] == [override["id"]]
    node = await api.data(
        viewer, "query($id: ID!) { node(id: $id) { ... on ShiftOverride { startsAt } } }", id=override["id"]
    )
    assert node["node"] == {"startsAt": span["startsAt"]}

    assert await api.codes(
        viewer,
        "mutation($input: DeleteInput!) { deleteShiftOverride(input: $input) { deletedId } }",
        input={"id": "x"},
    ) == ["FORBIDDEN"]
    assert await refused(api, responder, DELETE_OVERRIDE, id=schedule["id"]) == ("NOT_FOUND", "input.id")
    await done(api, responder, DELETE_OVERRIDE, id=override["id"])
    found = await api.data(viewer, ON_CALL, id=schedule["id"])
    assert found["onCallSchedule"]["onCall"] == [{"name": "Ada"}]


async def test_who_stood_in_long_ago_is_still_told(
    api: Api, admin: Principal, responder: Principal, viewer: Principal
) -> None:
    ada = await a_responder(api, admin, "Ada")
    bob = await a_responder(api, admin, "Bob")
    begin = (api.clock.now() - timedelta(days=30)).replace(hour=0, minute=0, second=0, microsecond=0)
    rotation = {"responderIds": [ada], "startsAt": text(begin), "shiftLength": "P7D"}
    schedule = (await done(api, admin, CREATE_SCHEDULE, name="weekly", rotations=[rotation]))["onCallSchedule"]
    schedule_key, bobs_key = decode_key(schedule["id"], NodeKind.SCHEDULE), decode_key(bob, NodeKind.RESPONDER)
    assert schedule_key is not None
    assert bobs_key is not None
    # As somebody would have said it then; today it would be refused.
    override = ShiftOverride(
        OverrideId(uuid7(begin, 1)),
        ScheduleId(schedule_key),
        ResponderId(bobs_key),
        begin + timedelta(days=1),
        begin + timedelta(days=2),
        responder.actor,
    )
    await api.store.change(admin.tenant.id, lambda _: Change(seal(a_config_event()), (override,)))

    days = [text(begin + timedelta(days=count)) for count in range(5)]
    names = []
    for day in days[:4]:
        found = await api.data(viewer, ON_CALL, id=schedule["id"], at=day)
        names += [who["name"] for who in found["onCallSchedule"]["onCall"]]
    told = (await api.data(viewer, SHIFTS, id=schedule["id"], since=days[1], until=days[2]))["onCallSchedule"]
    after = (await api.data(viewer, SHIFTS, id=schedule["id"], since=days[3], until=days[4]))["onCallSchedule"]

    assert names == ["Ada", "Bob", "Ada", "Ada"]
    override_id = encode_id(NodeKind.OVERRIDE, override.id)
    assert [(shift["responder"]["name"], shift["override"]) for shift in told["shifts"]] == [
        ("Bob", {"id": override_id})
    ]
    assert [each["id"] for each in told["overrides"]] == [override_id]
    # A shift is told whole: it began when Bob's time was over, which is before what was asked for.
    (shift,) = after["shifts"]
    assert (shift["responder"]["name"], shift["startsAt"]) == ("Ada", days[2])
    assert after["overrides"] == []
    mine = await api.data(
        viewer,
        """query($id: ID!, $since: DateTime!, $until: DateTime!) { responder(id: $id) {
        shifts(since: $since, until: $until) { startsAt override { id } } } }""",
        id=bob,
        since=days[0],
        until=days[3],
    )
    assert mine["responder"]["shifts"] == [{"startsAt": days[1], "override": {"id": override_id}}]


async def test_nobody_is_on_call_at_the_ends_of_time(api: Api, admin: Principal) -> None:
    schedule = (await done(api, admin, CREATE_SCHEDULE, name="daily"))["onCallSchedule"]

    for since, until in (
        ("0001-01-01T00:00:00Z", "0001-01-02T00:00:00Z"),
        ("9999-12-31T00:00:00Z", "9999-12-31T23:59:59.999999Z"),
    ):
        found = await api.data(admin, SHIFTS, id=schedule["id"], since=since, until=until)
        assert found["onCallSchedule"] == {"shifts": [], "overrides": []}
        for at in (since, until):
            assert (await api.data(admin, ON_CALL, id=schedule["id"], at=at))["onCallSchedule"]["onCall"] == []


async def test_a_calendar_is_taken_over(api: Api, admin: Principal, viewer: Principal) -> None:
    await a_responder(api, admin, "Ada", email="ada@example.com")
    now = api.clock.now()
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//test//EN",
        "BEGIN:VEVENT",
        "UID:1@test",
        f"DTSTART:{now - timedelta(hours=1):%Y%m%dT%H%M%SZ}",
        f"DTEND:{now + timedelta(hours=1):%Y%m%dT%H%M%SZ}",
        "ATTENDEE:mailto:ada@example.com",
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    ]
    calendar = "\r\n".join(lines)

    made = await done(api, admin, CREATE_SCHEDULE, name="imported", calendar=calendar)

    found = await api.data(viewer, ON_CALL, id=made["onCallSchedule"]["id"])
    assert found["onCallSchedule"]["onCall"] == [{"name": "Ada"}]
    stranger = await answered(api, admin, CREATE_SCHEDULE, name="other", calendar=calendar.replace("ada@", "eve@"))
    assert stranger["errors"][0]["path"] == ["input", "calendar"]
    assert "eve@example.com" in stranger["errors"][0]["message"]


@pytest.mark.parametrize(
    ("since", "until"),
    [("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"), ("2026-01-01T00:00:00Z", "2026-04-11T00:00:01Z")],
)
async def test_a_span_of_shifts_has_bounds(api: Api, admin: Principal, since: str, until: str) -> None:
    schedule = (await done(api, admin, CREATE_SCHEDULE, name="daily"))["onCallSchedule"]

    assert set(await api.codes(admin, SHIFTS, id=schedule["id"], since=since, until=until)) == {"BAD_REQUEST"}


async def test_a_feeds_address_is_for_those_who_are_on_duty(
    api: Api, admin: Principal, responder: Principal, viewer: Principal
) -> None:
    schedule = (await done(api, admin, CREATE_SCHEDULE, name="daily"))["onCallSchedule"]
    document = "query($id: ID!) { onCallSchedule(id: $id) { calendarUrl } }"

    urls = [
        (await api.data(caller, document, id=schedule["id"]))["onCallSchedule"]["calendarUrl"]
        for caller in (viewer, responder, admin)
    ]

    assert urls[0] is None
    assert urls[1] == urls[2]
    token = urls[1].removeprefix("https://alerts.example.com/calendars/").removesuffix(".ics")
    feed = await api.services.calendars.read(token)
    assert feed is not None
    assert feed.startswith(b"BEGIN:VCALENDAR")


async def test_schedules_are_listed_by_name(api: Api, admin: Principal, viewer: Principal) -> None:
    for name in ("b", "a"):
        await done(api, admin, CREATE_SCHEDULE, name=name)

    page = await api.data(viewer, "{ onCallSchedules { nodes { name } totalCount } }")

    assert page["onCallSchedules"] == {"nodes": [{"name": "a"}, {"name": "b"}], "totalCount": 2}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"name": ""}, "input.name"),
        ({"timeZone": "Mars"}, "input.timeZone"),
        (
            {"rotations": [{"responderIds": [], "startsAt": "2026-01-01T00:00:00Z", "shiftLength": "P1D"}]},
            "input.rotations.0.responderIds",
        ),
        (
            {"rotations": [{"responderIds": ["x"], "startsAt": "2026-01-01T00:00:00Z", "shiftLength": "P1D"}]},
            "input.rotations.0.responderIds.0",
        ),
        ({"calendar": "BEGIN:VCALENDAR"}, "input.calendar"),
    ],
)
async def test_what_cannot_be_used_is_named(
    api: Api, admin: Principal, fields: dict[str, object], path: str
) -> None:
    assert (await refused(api, admin, CREATE_SCHEDULE, **{"name": "x", **fields}))[1] == path
