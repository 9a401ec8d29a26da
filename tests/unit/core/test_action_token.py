"""What a signed token says, and when it says nothing any more."""

from __future__ import annotations

import re
from dataclasses import replace
from uuid import UUID

import pytest

from alertgraph.core.action_token import (
    TOKEN_LENGTH_MAX,
    ActionClaim,
    ChatAction,
    TokenExpiredError,
    TokenForgedError,
    read,
    sign,
    sign_all,
)
from alertgraph.core.errors import ErrorCode
from alertgraph.core.ids import ChannelId, ResponderId, TenantId, pack, unpack
from tests.factories import DAY, HOUR, SECOND, T0, TENANT, an_id

KEY = bytes(range(32))
CLAIM = ActionClaim(TENANT, an_id(), ChatAction.ACKNOWLEDGE, ChannelId(UUID(int=5)), T0 + DAY)


def test_a_token_says_what_was_claimed_whoever_it_was_for() -> None:
    for claim in (CLAIM, replace(CLAIM, responder_id=ResponderId(UUID(int=6)), action=ChatAction.SILENCE_1H)):
        assert read(sign(claim, KEY), KEY, T0) == claim


def test_a_token_fits_in_a_url_and_a_button() -> None:
    token = sign(replace(CLAIM, responder_id=ResponderId(UUID(int=2**128 - 1))), KEY)

    assert len(token) == 142 <= TOKEN_LENGTH_MAX
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)


def test_a_token_is_good_until_its_time_is_over() -> None:
    token = sign(CLAIM, KEY)

    assert read(token, KEY, CLAIM.expires_at - SECOND) == CLAIM
    with pytest.raises(TokenExpiredError, match="good until 2026-11-24 12:00 UTC") as caught:
        read(token, KEY, CLAIM.expires_at)
    # Who it was for can still be told, for it was ours.
    assert caught.value.claim == CLAIM
    assert caught.value.code is ErrorCode.FORBIDDEN


def test_another_installations_token_is_none_here() -> None:
    with pytest.raises(TokenForgedError) as caught:
        read(sign(CLAIM, bytes(32)), KEY, T0)
    assert caught.value.code is ErrorCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    "token",
    ["", "x", "ü" * 142, "=" * 142, "A" * 142, "A" * 10_000, "\x00" * 142, "\ud800" * 142, " " + "A" * 141],
)
def test_whatever_else_is_sent_is_forged(token: str) -> None:
    with pytest.raises(TokenForgedError):
        read(token, KEY, T0)


def test_no_part_of_a_token_can_be_taken_from_another() -> None:
    other = replace(CLAIM, tenant_id=TenantId(UUID(int=2)), expires_at=T0 + 2 * DAY)
    first, second = unpack(sign(CLAIM, KEY)), unpack(sign(other, KEY))
    assert first is not None
    assert second is not None
    # Another tenant's contents under the own signature, and the other way round.
    for mixed in (second[:-32] + first[-32:], first[:-32] + second[-32:]):
        with pytest.raises(TokenForgedError):
            read(pack(mixed), KEY, T0)


def test_a_message_gets_one_token_for_each_action() -> None:
    tokens = sign_all(CLAIM, KEY)

    read_back = {name: read(token, KEY, T0 + HOUR) for name, token in tokens.items()}
    assert {name: claim.action for name, claim in read_back.items()} == {
        "acknowledge": ChatAction.ACKNOWLEDGE,
        "escalate": ChatAction.ESCALATE,
        "resolve": ChatAction.RESOLVE,
        "silence": ChatAction.SILENCE_1H,
    }
    assert {replace(claim, action=CLAIM.action) for claim in read_back.values()} == {CLAIM}
