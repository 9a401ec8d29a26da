"""What a chat button or a link in a message may do: one action on one alert, signed, for a while."""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import IntEnum
from uuid import UUID

from alertgraph.core.errors import AccessDeniedError, UnauthenticatedError
from alertgraph.core.ids import AlertId, ChannelId, ResponderId, TenantId, from_microseconds, pack, unpack

TOKEN_LENGTH_MAX = 255
KEY_BYTES_MIN = 32

_VERSION = 1
# Version, action, tenant, alert, channel, responder (all zero for none), end in seconds since 1970.
_CLAIM = struct.Struct(">BB16s16s16s16sQ")
_NOBODY = UUID(int=0)
# So that a signature made with this key for anything else is none of a token.
_DOMAIN = b"alertgraph action token\x00"
_SECONDS_MAX = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp())


class ChatAction(IntEnum):
    """What a button or a link does. The numbers stand in tokens: never reuse one."""

    ACKNOWLEDGE = 1
    ESCALATE = 2
    RESOLVE = 3
    SILENCE_1H = 4


MESSAGE_NAME_OF: Mapping[ChatAction, str] = {
    ChatAction.ACKNOWLEDGE: "acknowledge",
    ChatAction.ESCALATE: "escalate",
    ChatAction.RESOLVE: "resolve",
    ChatAction.SILENCE_1H: "silence",
}
"""How a message names them, in `Message.actions` and `Message.tokens`."""

BUTTON_ID_PREFIX = "alertgraph."
"""What ids of our buttons begin with, so that they are known when they come back."""


class TokenForgedError(UnauthenticatedError):
    """It is not as we signed it: forged, changed, cut, or signed with another key."""

    def __init__(self) -> None:
        super().__init__("This is not a link or a button of ours, or it was changed or cut on its way.")


class TokenExpiredError(AccessDeniedError):
    """It was ours, and its time is over.

    Attributes:
        claim: What it was good for.
    """

    def __init__(self, claim: ActionClaim) -> None:
        super().__init__(f"This link or button was good until {claim.expires_at:%Y-%m-%d %H:%M} UTC.")
        self.claim = claim


@dataclass(frozen=True, slots=True)
class ActionClaim:
    """What the bearer of a token may do.

    Attributes:
        channel_id: Over which the token was sent: where that is gone, so is what the token is good for.
        responder_id: Whose page carried it; None where it was sent to a channel that several people read.
        expires_at: From when it is worth nothing; kept to the second, rounded down.
    """

    tenant_id: TenantId
    alert_id: AlertId
    action: ChatAction
    channel_id: ChannelId
    expires_at: datetime
    responder_id: ResponderId | None = None


def sign(claim: ActionClaim, key: bytes) -> str:
    """Return the token of a claim, fit for a URL and for a button: 142 characters.

    Args:
        claim: What its bearer may do.
        key: At least 32 secret bytes, used for nothing else.
    """
    assert len(key) >= KEY_BYTES_MIN, "a shorter key could be guessed"
    content = _CLAIM.pack(
        _VERSION,
        claim.action,
        claim.tenant_id.bytes,
        claim.alert_id.bytes,
        claim.channel_id.bytes,
        (claim.responder_id or _NOBODY).bytes,
        int(claim.expires_at.timestamp()),
    )
    return pack(content + _signature(content, key))


def sign_all(claim: ActionClaim, key: bytes) -> dict[str, str]:
    """Return a token for every action, by the names that messages use, else as the claim says."""
    return {name: sign(replace(claim, action=action), key) for action, name in MESSAGE_NAME_OF.items()}


def read(token: str, key: bytes, now: datetime) -> ActionClaim:
    """Return what a token says.

    Raises:
        TokenForgedError: We did not sign it.
        TokenExpiredError: We did, and its time is over.
    """
    # Whatever is longer is none of ours, and not worth decoding.
    raw = unpack(token) if len(token) <= TOKEN_LENGTH_MAX else None
    if raw is None or len(raw) != _CLAIM.size + hashlib.sha256().digest_size:
        raise TokenForgedError
    content, signature = raw[: _CLAIM.size], raw[_CLAIM.size :]
    if not hmac.compare_digest(_signature(content, key), signature):
        raise TokenForgedError
    version, action, tenant, alert, channel, responder, seconds = _CLAIM.unpack(content)
    # Signed by us, but by a later release that knows more than this one.
    if version != _VERSION or action not in set(ChatAction) or seconds > _SECONDS_MAX:
        raise TokenForgedError
    responder_id = UUID(bytes=responder)
    claim = ActionClaim(
        TenantId(UUID(bytes=tenant)),
        AlertId(UUID(bytes=alert)),
        ChatAction(action),
        ChannelId(UUID(bytes=channel)),
        from_microseconds(seconds * 1_000_000),
        ResponderId(responder_id) if responder_id != _NOBODY else None,
    )
    if claim.expires_at <= now:
        raise TokenExpiredError(claim)
    return claim


def _signature(content: bytes, key: bytes) -> bytes:
    return hmac.new(key, _DOMAIN + content, hashlib.sha256).digest()
