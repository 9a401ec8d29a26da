"""People who can be notified: what is kept of them, who may change it, and what the log tells."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from alertgraph.core.channel import Channel, ChannelKind, EmailConfig
from alertgraph.core.errors import AccessDeniedError, ErrorCode, RefusedError
from alertgraph.core.event import EventKind, FieldChange, canonical
from alertgraph.core.ids import ChannelId, OverrideId, ResponderId, RuleId, ScheduleId
from alertgraph.core.responder import ContactMethod
from alertgraph.core.rule import EscalationRule, Level, ResponderTarget
from alertgraph.core.schedule import Rotation, Schedule, ShiftOverride
from alertgraph.core.tenant import Role
from alertgraph.services.responders import ContactWish
from tests.factories import ADA, DAY, HOUR, MINUTE, T0, TENANT, WEBHOOK, an_id
from tests.unit.services.setting_up import SettingUp, a_caller, refusal

MAIL = Channel(ChannelId(an_id(11)), "mail", ChannelKind.EMAIL, EmailConfig(("ops@example.com",)))
ADMIN = a_caller()


@pytest.fixture
def world() -> SettingUp:
    world = SettingUp()
    world.put(channels={WEBHOOK.id: WEBHOOK, MAIL.id: MAIL})
    return world


async def test_a_person_is_kept_with_what_is_personal_sealed(world: SettingUp) -> None:
    wishes = [ContactWish(MAIL.id, "ada@home.example"), ContactWish(WEBHOOK.id, "", 5 * MINUTE)]

    ada = await world.responders.create(
        ADMIN, name="Ada", email="ada@example.com", time_zone="Europe/Berlin", contact_methods=wishes
    )

    assert world.catalog.responders == {ada.id: ada}
    assert ada.version == 1
    assert (ada.name, ada.time_zone) == ("Ada", "Europe/Berlin")
    assert ada.email is not None
    assert await world.vault.open(TENANT, "responder", ada.email) == "ada@example.com"
    assert [method.delay for method in ada.contact_methods] == [timedelta(0), 5 * MINUTE]
    assert ada.contact_methods[0].address is not None
    assert await world.vault.open(TENANT, "contact", ada.contact_methods[0].address) == "ada@home.example"
    assert ada.contact_methods[1].address is None
    assert await world.responders.email(a_caller(Role.RESPONDER), ada) == "ada@example.com"
    assert await world.responders.addresses(a_caller(Role.RESPONDER), ada) == ["ada@home.example", ""]
    assert world.told == [1]


async def test_the_log_tells_of_a_person_nothing_personal(world: SettingUp) -> None:
    ada = await world.responders.create(
        ADMIN, name="Ada", email="ada@example.com", contact_methods=[ContactWish(MAIL.id, "ada@home.example")]
    )
    await world.responders.update(ADMIN, ada.id, email="ada@elsewhere.example")

    created, updated = world.events
    assert FieldChange("email", None, None) in created.changes
    assert updated.changes == (FieldChange("email", None, None),)
    assert all("@" not in canonical(event) and "sealed" not in canonical(event) for event in world.events)


async def test_two_people_cannot_have_one_address(world: SettingUp) -> None:
    ada = await world.responders.create(ADMIN, name="Ada", email="ada@example.com")
    bob = await world.responders.create(ADMIN, name="Bob", email="bob@example.com")

    with pytest.raises(RefusedError) as twice:
        await world.responders.create(ADMIN, name="Ada", email="ADA@example.com")
    with pytest.raises(RefusedError) as taken:
        await world.responders.update(ADMIN, bob.id, email="Ada@Example.com")

    assert refusal(twice) == refusal(taken) == (ErrorCode.CONFLICT, ("email",))
    assert set(world.catalog.responders) == {ada.id, bob.id}
    # Their names may be the same, and one's own address is nobody else's.
    await world.responders.create(ADMIN, name="Ada")
    assert (await world.responders.update(ADMIN, bob.id, email="Bob@example.com")).version == 4


async def test_what_stays_the_same_is_no_change(world: SettingUp) -> None:
    wishes = [ContactWish(MAIL.id, "ada@home.example"), ContactWish(WEBHOOK.id)]
    ada = await world.responders.create(ADMIN, name="Ada", email="ada@example.com", contact_methods=wishes)

    again = await world.responders.update(
        ADMIN, ada.id, name="Ada", email="ada@example.com", time_zone="UTC", contact_methods=wishes
    )

    assert again == ada
    assert len(world.events) == 1


async def test_a_patch_leaves_what_it_does_not_name(world: SettingUp) -> None:
    wishes = [ContactWish(MAIL.id, "ada@home.example")]
    ada = await world.responders.create(ADMIN, name="Ada", email="ada@example.com", contact_methods=wishes)

    renamed = await world.responders.update(ADMIN, ada.id, name="Ada L.", expected_version=1)
    bare = await world.responders.update(ADMIN, ada.id, email=None, contact_methods=())

    assert renamed == replace(ada, name="Ada L.", version=2)
    assert bare == replace(renamed, email=None, contact_methods=(), version=3)


async def test_an_address_that_stays_keeps_its_ciphertext_at_another_place(world: SettingUp) -> None:
    wishes = [ContactWish(MAIL.id, "ada@home.example"), ContactWish(WEBHOOK.id, "U1")]
    ada = await world.responders.create(ADMIN, name="Ada", contact_methods=wishes)

    turned = await world.responders.update(ADMIN, ada.id, contact_methods=wishes[::-1])

    assert turned.contact_methods == ada.contact_methods[::-1]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"name": ""}, ("name",)),
        ({"name": "a" * 257}, ("name",)),
        ({"email": "ada"}, ("email",)),
        ({"email": "ada@example.com\nBcc: eve@example.com"}, ("email",)),
        ({"email": ""}, ("email",)),
        ({"email": "a" * 65 + "@example.com"}, ("email",)),
        ({"email": "a@" + ".".join(["b" * 60] * 5)}, ("email",)),
        ({"time_zone": "Mars/Olympus"}, ("timeZone",)),
        ({"contact_methods": [ContactWish(WEBHOOK.id)] * 11}, ("contactMethods",)),
        ({"contact_methods": [ContactWish(WEBHOOK.id, "a" * 257)]}, ("contactMethods", "0", "address")),
        ({"contact_methods": [ContactWish(WEBHOOK.id, "a\nb")]}, ("contactMethods", "0", "address")),
        ({"contact_methods": [ContactWish(WEBHOOK.id, "", DAY + MINUTE)]}, ("contactMethods", "0", "delay")),
        ({"contact_methods": [ContactWish(WEBHOOK.id, "", -MINUTE)]}, ("contactMethods", "0", "delay")),
        ({"contact_methods": [ContactWish(MAIL.id, "not mail")]}, ("contactMethods", "0", "address")),
    ],
)
async def test_what_cannot_be_used_is_refused(
    world: SettingUp, fields: dict[str, object], path: tuple[str, ...]
) -> None:
    ada = await world.responders.create(ADMIN, name="Ada")

    with pytest.raises(RefusedError) as created:
        await world.responders.create(ADMIN, **{"name": "Bob", **fields})  # type: ignore[arg-type]
    with pytest.raises(RefusedError) as updated:
        await world.responders.update(ADMIN, ada.id, **fields)  # type: ignore[arg-type]

    assert refusal(created) == refusal(updated) == (ErrorCode.INVALID_INPUT, path)
    assert world.catalog.responders == {ada.id: ada}


async def test_a_contact_method_needs_a_channel(world: SettingUp) -> None:
    with pytest.raises(RefusedError) as error:
        await world.responders.create(ADMIN, name="Ada", contact_methods=[ContactWish(ChannelId(an_id(99)))])

    assert refusal(error) == (ErrorCode.NOT_FOUND, ("contactMethods", "0", "channelId"))


async def test_a_day_is_the_longest_delay(world: SettingUp) -> None:
    ada = await world.responders.create(ADMIN, name="Ada", contact_methods=[ContactWish(WEBHOOK.id, "", DAY)])

    assert ada.contact_methods == (ContactMethod(WEBHOOK.id, None, DAY),)


async def test_people_change_themselves_and_nobody_else(world: SettingUp) -> None:
    ada = await world.responders.create(ADMIN, name="Ada")
    bob = await world.responders.create(ADMIN, name="Bob")
    herself = a_caller(Role.VIEWER, ada.id)

    assert (await world.responders.update(herself, ada.id, name="Ada L.")).name == "Ada L."
    for caller in (herself, a_caller(Role.RESPONDER)):
        with pytest.raises(AccessDeniedError):
            await world.responders.update(caller, bob.id, name="Rob")
    with pytest.raises(AccessDeniedError):
        await world.responders.delete(herself, ada.id)
    with pytest.raises(AccessDeniedError):
        await world.responders.create(a_caller(Role.RESPONDER), name="Eve")
    with pytest.raises(AccessDeniedError):
        await world.responders.create(a_caller(job="api"), name="Eve")


async def test_what_is_personal_is_for_responders(world: SettingUp) -> None:
    ada = await world.responders.create(ADMIN, name="Ada", email="ada@example.com")

    for read in (world.responders.email, world.responders.addresses):
        with pytest.raises(AccessDeniedError):
            await read(a_caller(Role.VIEWER), ada)


async def test_what_was_made_unreadable_reads_as_nothing(world: SettingUp) -> None:
    ada = await world.responders.create(
        ADMIN, name="Ada", email="ada@example.com", contact_methods=[ContactWish(WEBHOOK.id, "U1")]
    )
    world.vault.destroyed.add(TENANT)

    assert await world.responders.email(ADMIN, ada) is None
    assert await world.responders.addresses(ADMIN, ada) == [""]


async def test_a_person_in_use_stays(world: SettingUp) -> None:
    ada = await world.responders.create(ADMIN, name="Ada")
    target = ResponderTarget(ada.id)
    rule = EscalationRule(RuleId(an_id(20)), "nights", 1, (Level(MINUTE, (target,)),))
    weekly = Schedule(ScheduleId(an_id(30)), "weekly", rotations=(Rotation((ada.id,), T0, 7 * DAY),))
    holidays = Schedule(ScheduleId(an_id(31)), "holidays")
    now = world.clock.now()
    stands_in = ShiftOverride(OverrideId(an_id(40)), holidays.id, ada.id, now + HOUR, now + 2 * HOUR, ADA)
    stood_in = replace(stands_in, starts_at=now - 2 * HOUR, ends_at=now - HOUR)

    world.put(rules=(rule,), schedules={weekly.id: weekly, holidays.id: holidays}, overrides=(stands_in,))
    with pytest.raises(RefusedError) as error:
        await world.responders.delete(ADMIN, ada.id)
    assert refusal(error) == (ErrorCode.IN_USE, ("id",))
    for name in ("nights", "weekly", "holidays"):
        assert name in error.value.message

    world.put(rules=(), schedules={holidays.id: holidays}, overrides=(stood_in,))
    await world.responders.delete(ADMIN, ada.id, expected_version=1)
    assert world.catalog.responders == {}
    assert world.events[-1].kind is EventKind.CONFIG_DELETED


async def test_a_key_used_before_gets_the_first_answer(world: SettingUp) -> None:
    first = await world.responders.create(ADMIN, name="Ada", email="ada@example.com", idempotency_key="k")
    second = await world.responders.create(ADMIN, name="Ada", email="ada@example.com", idempotency_key="k")

    assert first == second
    with pytest.raises(RefusedError) as error:
        await world.responders.create(ADMIN, name="Ada", email="other@example.com", idempotency_key="k")
    assert refusal(error)[0] is ErrorCode.IDEMPOTENCY_KEY_REUSED


async def test_nobody_is_not_found(world: SettingUp) -> None:
    nobody = ResponderId(an_id(99))

    for change in (world.responders.update(ADMIN, nobody, name="X"), world.responders.delete(ADMIN, nobody)):
        with pytest.raises(RefusedError) as error:
            await change
        assert refusal(error) == (ErrorCode.NOT_FOUND, ("id",))
