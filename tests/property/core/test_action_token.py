"""No token but those we signed is ever read."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertgraph.core.action_token import (
    TOKEN_LENGTH_MAX,
    ActionClaim,
    ChatAction,
    TokenExpiredError,
    TokenForgedError,
    read,
    sign,
)
from alertgraph.core.ids import EPOCH, AlertId, ChannelId, ResponderId, TenantId, pack, unpack

KEY = bytes(range(32))
# Seconds are what a token keeps.
INSTANTS = st.integers(86_400, 253_000_000_000).map(lambda seconds: EPOCH + timedelta(seconds=seconds))
UUIDS = st.uuids(allow_nil=False)
CLAIMS = st.builds(
    ActionClaim,
    UUIDS.map(TenantId),
    UUIDS.map(AlertId),
    st.sampled_from(ChatAction),
    UUIDS.map(ChannelId),
    INSTANTS,
    st.none() | UUIDS.map(ResponderId),
)


@given(CLAIMS)
def test_what_was_signed_is_read_back_until_it_ends(claim: ActionClaim) -> None:
    token = sign(claim, KEY)

    assert len(token) <= TOKEN_LENGTH_MAX
    assert read(token, KEY, claim.expires_at - timedelta(microseconds=1)) == claim
    with pytest.raises(TokenExpiredError):
        read(token, KEY, claim.expires_at)


@given(CLAIMS)
def test_a_token_with_any_one_bit_flipped_is_refused(claim: ActionClaim) -> None:
    raw = unpack(sign(claim, KEY))
    assert raw is not None

    for place in range(8 * len(raw)):
        flipped = (int.from_bytes(raw, "big") ^ 1 << place).to_bytes(len(raw), "big")
        with pytest.raises(TokenForgedError):
            read(pack(flipped), KEY, EPOCH)


@given(CLAIMS, st.data())
def test_a_token_cut_or_continued_or_misspelt_is_refused(claim: ActionClaim, data: st.DataObject) -> None:
    token = sign(claim, KEY)
    place = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.characters(codec="utf-8").filter(lambda letter: letter != token[place]))

    for changed in (token[:place], token + letter, token[:place] + letter + token[place + 1 :]):
        with pytest.raises(TokenForgedError):
            read(changed, KEY, EPOCH)


@given(st.text(max_size=300) | st.binary(min_size=106, max_size=106).map(pack))
def test_no_text_is_a_token_by_chance(text: str) -> None:
    with pytest.raises(TokenForgedError):
        read(text, KEY, EPOCH)


@given(CLAIMS, st.binary(min_size=32, max_size=32).filter(lambda key: key != KEY))
def test_no_other_key_reads_it(claim: ActionClaim, key: bytes) -> None:
    with pytest.raises(TokenForgedError):
        read(sign(claim, KEY), key, EPOCH)
