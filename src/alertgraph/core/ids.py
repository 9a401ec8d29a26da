"""Identifiers: what is inside an opaque id, and nothing of authority."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NewType
from uuid import UUID

TenantId = NewType("TenantId", UUID)
AlertId = NewType("AlertId", UUID)
ApiKeyId = NewType("ApiKeyId", UUID)
SavedViewId = NewType("SavedViewId", UUID)
FlushId = NewType("FlushId", UUID)
RuleId = NewType("RuleId", UUID)
InhibitionRuleId = NewType("InhibitionRuleId", UUID)
SilenceId = NewType("SilenceId", UUID)
ChannelId = NewType("ChannelId", UUID)
ResponderId = NewType("ResponderId", UUID)
ScheduleId = NewType("ScheduleId", UUID)
OverrideId = NewType("OverrideId", UUID)
MonitorId = NewType("MonitorId", UUID)
AnomalyRuleId = NewType("AnomalyRuleId", UUID)
DeliveryId = NewType("DeliveryId", UUID)
IncidentId = NewType("IncidentId", UUID)
ModelId = NewType("ModelId", UUID)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UUID7_RANDOM_BITS = 74


class NodeKind(StrEnum):
    """What an id is of; the value is the prefix of its text."""

    TENANT = "tnt"
    ALERT = "alr"
    API_KEY = "key"
    SAVED_VIEW = "vew"
    EVENT = "evt"
    ESCALATION_RULE = "rul"
    INHIBITION_RULE = "inh"
    SILENCE = "sil"
    CHANNEL = "chn"
    RESPONDER = "rsp"
    SCHEDULE = "sch"
    OVERRIDE = "ovr"
    MONITOR = "mon"
    ANOMALY_RULE = "ano"
    DELIVERY = "dlv"
    INCIDENT = "inc"
    MODEL = "mdl"


@dataclass(frozen=True, slots=True)
class EventKey:
    """Where an event stands: its number and the instant that prunes partitions."""

    number: int
    recorded_at: datetime


def uuid7(at: datetime, random_bits: int) -> UUID:
    """Return a time-ordered UUID (RFC 9562, version 7).

    Args:
        at: The instant to put in front, cut to milliseconds.
        random_bits: At least 74 random bits; higher ones are ignored.
    """
    milliseconds = (at - EPOCH) // timedelta(milliseconds=1)
    high = (milliseconds & ((1 << 48) - 1)) << 80
    random_a = (random_bits >> 62) & 0xFFF
    random_b = random_bits & ((1 << 62) - 1)
    return UUID(int=high | (7 << 76) | (random_a << 64) | (2 << 62) | random_b)


def uuid7_series(at: datetime, random_bits: int, count: int) -> list[UUID]:
    """Return that many ids of one instant, from 74 random bits for each: the dice are rolled once for all."""
    high = uuid7(at, 0).int
    found = []
    for _ in range(count):
        found.append(UUID(int=high | (random_bits >> 62 & 0xFFF) << 64 | random_bits & ((1 << 62) - 1)))
        random_bits >>= UUID7_RANDOM_BITS
    return found


def uuid7_floor(at: datetime) -> UUID:
    """Return the smallest version-agnostic UUID of that millisecond: a bound for ranges of ids."""
    milliseconds = max(0, (at - EPOCH) // timedelta(milliseconds=1))
    return UUID(int=(milliseconds & ((1 << 48) - 1)) << 80)


# Beside the prefixes of NodeKind; its ids hold a name, which may be as long as theirs.
_SERVICE_PREFIX = "svc"

_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def to_microseconds(at: datetime) -> int:
    """Return the microseconds since 1970; exact, unlike a float timestamp."""
    return (at - EPOCH) // timedelta(microseconds=1)


def from_microseconds(value: int) -> datetime:
    """Return the instant that many microseconds after 1970; raises OverflowError beyond the year 9999."""
    return EPOCH + timedelta(microseconds=value)


def _pack(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).translate(_URL_SAFE).rstrip(b"=").decode("ascii")


def unpack(text: str) -> bytes | None:
    """Return the bytes of unpadded base64url text; None where it is not the text that they encode to."""
    try:
        raw = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
    return raw if _pack(raw) == text else None


def pack(raw: bytes) -> str:
    """Return bytes as unpadded base64url text."""
    return _pack(raw)


def encode_id(kind: NodeKind, key: UUID) -> str:
    """Return the opaque text of an id: a prefix for people, then 16 bytes in base64url."""
    return f"{kind._value_}_{_pack(key.bytes)}"


def encode_event_id(key: EventKey) -> str:
    """Return the opaque text of an event's id."""
    raw = key.number.to_bytes(8, "big") + to_microseconds(key.recorded_at).to_bytes(8, "big", signed=True)
    return f"{NodeKind.EVENT.value}_{_pack(raw)}"


def decode_id(text: str) -> tuple[NodeKind, UUID | EventKey] | None:
    """Return what an id's text says; None where it is no id of ours, which is no error: it is unknown."""
    prefix, _, rest = text.partition("_")
    raw = unpack(rest)
    if raw is None or len(raw) != 16:
        return None
    try:
        kind = NodeKind(prefix)
        if kind is not NodeKind.EVENT:
            return kind, UUID(bytes=raw)
        number = int.from_bytes(raw[:8], "big")
        if number >= 1 << 63:
            return None
        return kind, EventKey(number, from_microseconds(int.from_bytes(raw[8:], "big", signed=True)))
    except (ValueError, OverflowError):
        return None


def encode_service_id(name: str) -> str:
    """Return the opaque text of the id of a thing watched, which is known by its name."""
    return f"{_SERVICE_PREFIX}_{_pack(name.encode())}"


def decode_service_id(text: str) -> str | None:
    """Return the name of the thing watched that a text names; None where it names none."""
    prefix, _, rest = text.partition("_")
    raw = unpack(rest) if prefix == _SERVICE_PREFIX else None
    try:
        return raw.decode() if raw else None
    except UnicodeDecodeError:
        return None


def decode_key(text: str, kind: NodeKind) -> UUID | None:
    """Return what is inside an id of some kind; None where the text is no id of that kind."""
    decoded = decode_id(text)
    if decoded is None or decoded[0] is not kind or not isinstance(decoded[1], UUID):
        return None
    return decoded[1]


def decode_alert_id(text: str) -> AlertId | None:
    """Return the alert id that a text names; None where it names none."""
    key = decode_key(text, NodeKind.ALERT)
    return AlertId(key) if key is not None else None
