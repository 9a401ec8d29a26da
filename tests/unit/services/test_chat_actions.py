"""What a button or a link comes to, in whose name, and what the person is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from alertgraph.core.action import Acknowledge, Escalate, Resolve
from alertgraph.core.action_token import ChatAction
from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.alert import AlertStatus
from alertgraph.core.errors import AccessDeniedError, DependencyError, NotFoundError
from alertgraph.core.event import EventKind
from alertgraph.core.ids import AlertId, ChannelId, NodeKind, ResponderId, encode_id
from alertgraph.core.tenant import Role
from alertgraph.services.chat_actions import ChatUser, Told
from tests.acting import ADA_IN_SLACK, SIGNING_SECRET, Acting
from tests.factories import HOUR, MINUTE, TENANT

BEA = ChatUser("T1", "U061F7AUR", "bea.b")


@pytest.fixture
async def acting() -> Acting:
    return await Acting().set_up()


async def done(acting: Acting, action: ChatAction, key: str | None = None, **fields: Any) -> Told:
    user = fields.pop("user", None)
    return await acting.actions.carry_out(await acting.actions.look(acting.claim(action, **fields), user), key)


# ------------------------------------------------------------------------------------------- actions


@pytest.mark.parametrize(
    ("action", "kind", "sentence"),
    [
        (ChatAction.ACKNOWLEDGE, EventKind.ACKNOWLEDGED, "Acknowledged: High latency"),
        (ChatAction.ESCALATE, EventKind.ESCALATED, "Escalated to level 1: High latency"),
        (ChatAction.RESOLVE, EventKind.RESOLVED, "Resolved: High latency"),
    ],
)
async def test_an_action_is_done_and_said(
    acting: Acting, action: ChatAction, kind: EventKind, sentence: str
) -> None:
    told = await done(acting, action)

    assert (told.sentence, told.done) == (sentence, True)
    assert told.alert == acting.alert
    assert [event.kind for event in acting.events] == [kind]


async def test_a_silence_is_made_for_exactly_this_alert_and_an_hour(acting: Acting) -> None:
    told = await done(acting, ChatAction.SILENCE_1H)

    assert (told.sentence, told.done) == ("Silenced until 13:00 UTC: High latency", True)
    (silence,) = acting.log.tenants[TENANT].config.catalog.silences
    assert silence.ends_at - silence.starts_at == HOUR
    assert [(matcher.label, matcher.value) for matcher in silence.matchers] == [
        ("@dedup_key", acting.alert.dedup_key)
    ]
    assert silence.created_by.name == "signed link, ops mail"


@pytest.mark.parametrize(
    ("meanwhile", "action", "sentence", "is_done"),
    [
        (Acknowledge, ChatAction.ACKNOWLEDGE, "Acknowledged already, by admin key: High latency", True),
        (Resolve, ChatAction.RESOLVE, "Resolved already, by admin key: High latency", True),
        (Resolve, ChatAction.ACKNOWLEDGE, "Resolved already, by admin key: High latency", False),
        (Resolve, ChatAction.ESCALATE, "Resolved already, by admin key: High latency", False),
    ],
)
async def test_what_was_done_meanwhile_is_no_error(
    acting: Acting,
    meanwhile: type[Acknowledge | Resolve],
    action: ChatAction,
    sentence: str,
    is_done: bool,
) -> None:
    asked = await acting.actions.look(acting.claim(action))
    await acting.act(meanwhile)

    told = await acting.actions.carry_out(asked)

    assert (told.sentence, told.done) == (sentence, is_done)
    assert len(acting.events) == 1


async def test_what_is_over_is_not_silenced(acting: Acting) -> None:
    await acting.act(Resolve)

    told = await done(acting, ChatAction.SILENCE_1H)

    assert (told.sentence, told.done) == ("Resolved already, by admin key: High latency", False)
    assert acting.log.tenants[TENANT].config.catalog.silences == ()


async def test_there_is_a_highest_level(acting: Acting) -> None:
    for _ in range(5):
        await acting.act(Escalate)

    told = await done(acting, ChatAction.ESCALATE)

    assert (told.sentence, told.done) == ("The alert is on the highest level, 5.", False)


@pytest.mark.parametrize("action", ChatAction)
async def test_the_same_press_twice_is_done_once(acting: Acting, action: ChatAction) -> None:
    first = await done(acting, action, "press 1")
    acting.clock.advance(MINUTE)
    second = await done(acting, action, "press 1")

    assert first.done
    assert second.done
    assert len(acting.events) == 1


async def test_another_press_is_another_action(acting: Acting) -> None:
    for key in ("press 1", "press 2"):
        await done(acting, ChatAction.ESCALATE, key)

    assert acting.alert.escalation_level == 2


async def test_to_look_does_nothing(acting: Acting) -> None:
    asked = await acting.actions.look(acting.claim())

    assert asked.alert.status is AlertStatus.TRIGGERED
    assert asked.principal.role is Role.RESPONDER
    assert acting.events == []


# ----------------------------------------------------------------------------------------------- who


async def test_a_link_acts_in_the_name_of_whom_it_was_sent_to(acting: Acting) -> None:
    asked = await acting.actions.look(acting.claim(responder_id=acting.ada_id))

    reference = encode_id(NodeKind.RESPONDER, acting.ada_id)
    assert asked.principal.actor == Actor(ActorKind.PERSON, "Ada", reference)
    assert asked.principal.responder_id == acting.ada_id


async def test_a_link_to_many_acts_in_the_name_of_the_channel(acting: Acting) -> None:
    asked = await acting.actions.look(acting.claim())

    reference = f"link:{encode_id(NodeKind.CHANNEL, acting.mail_id)}"
    assert asked.principal.actor == Actor(ActorKind.PERSON, "signed link, ops mail", reference)


async def test_who_presses_in_slack_is_named_as_slack_names_them(acting: Acting) -> None:
    await done(acting, ChatAction.ACKNOWLEDGE, channel_id=acting.slack_id, user=BEA)

    assert acting.events[0].actor == Actor(ActorKind.PERSON, "bea.b", "slack:T1:U061F7AUR")


async def test_who_is_paged_in_slack_is_known_there(acting: Acting) -> None:
    user = ChatUser("T1", ADA_IN_SLACK, "ada.l")

    asked = await acting.actions.look(acting.claim(channel_id=acting.slack_id), user)

    assert asked.principal.actor == Actor(ActorKind.PERSON, "Ada", f"slack:T1:{ADA_IN_SLACK}")
    assert asked.principal.responder_id == acting.ada_id


async def test_whoever_presses_in_anothers_page_is_themselves(acting: Acting) -> None:
    claim = acting.claim(channel_id=acting.slack_id, responder_id=acting.ada_id)

    asked = await acting.actions.look(claim, BEA)

    assert (asked.principal.actor.name, asked.principal.responder_id) == ("bea.b", None)


@pytest.mark.parametrize("name", ["a\r\nb", "\x00\x1b", "", "x" * 1000, "\u202eevil"])
async def test_what_somebody_calls_themselves_can_be_kept(acting: Acting, name: str) -> None:
    await done(acting, ChatAction.ACKNOWLEDGE, channel_id=acting.slack_id, user=replace(BEA, name=name))

    kept = acting.events[0].actor.name
    assert kept.isprintable()
    assert 1 <= len(kept) <= 256


async def test_a_user_without_an_id_is_nobody_we_know(acting: Acting) -> None:
    claim = acting.claim(channel_id=acting.slack_id)

    asked = await acting.actions.look(claim, ChatUser("T1", "", "somebody"))

    assert asked.principal.responder_id is None


# ------------------------------------------------------------------------------------------ refusals


async def test_what_is_not_kept_any_more_can_not_be_acted_on(acting: Acting) -> None:
    with pytest.raises(NotFoundError, match="not kept"):
        await acting.actions.look(acting.claim(alert_id=AlertId(UUID(int=9))))


async def test_who_was_taken_out_has_no_say_any_more(acting: Acting) -> None:
    with pytest.raises(AccessDeniedError, match="person"):
        await acting.actions.look(acting.claim(responder_id=ResponderId(UUID(int=9))))
    with pytest.raises(AccessDeniedError, match="channel"):
        await acting.actions.look(acting.claim(channel_id=ChannelId(UUID(int=9))))


async def test_a_store_that_is_away_is_told(acting: Acting) -> None:
    acting.away = DependencyError("postgresql", retryable=True)

    with pytest.raises(DependencyError):
        await acting.actions.look(acting.claim())


# ------------------------------------------------------------------------------------ signing secret


async def test_a_channels_signing_secret_is_found_by_its_id(acting: Acting) -> None:
    assert await acting.actions.signing_secret(TENANT, acting.slack_id) == SIGNING_SECRET


async def test_what_has_no_signing_secret_has_none(acting: Acting) -> None:
    assert await acting.actions.signing_secret(TENANT, acting.mail_id) is None
    assert await acting.actions.signing_secret(TENANT, ChannelId(UUID(int=9))) is None
    acting.vault.destroyed.add(TENANT)
    assert await acting.actions.signing_secret(TENANT, acting.slack_id) is None
