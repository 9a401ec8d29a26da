"""Deliveries: one attempt chain to tell one target about one alert over one channel."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, IntEnum
from typing import TypeAlias
from uuid import UUID

from alertgraph.core.ids import AlertId, ChannelId, DeliveryId, ResponderId, uuid7
from alertgraph.core.query import PageRequest


class DeliveryStatus(IntEnum):
    """Where a delivery stands. The numbers are stored: never reuse one."""

    PENDING = 1
    SENDING = 2
    SENT = 3
    RETRYING = 4
    FAILED = 5
    SKIPPED = 6


class Purpose(IntEnum):
    """What a delivery is for. The numbers are stored: never reuse one."""

    PAGE = 1
    """A level of the ladder: skipped where somebody reacts first, and handed to the fallback where it fails."""
    UPDATE = 2
    """What was told has changed: brought up to date where the channel can, never handed to a fallback."""
    ASSIGNMENT = 3
    """The alert was given to this person."""
    TEST = 4
    """Somebody tries the channel."""
    ALIVE = 5
    """The engine keeps its promises: the dead-man beat, which is about no alert and never waits in the queue."""


class Reach(Enum):
    """Whether the other end of a channel knows of an alert, by what became of pages and assignments there.

    One that waits counts as nobody's news: when it goes, it says how the alert is by then. An attempt whose
    answer never came may have arrived all the same, so where nothing waits any more it counts as told.
    """

    NOBODY = 0
    UNDER_WAY = 1
    TOLD = 2


# An alert, and a channel over which somebody may know of it.
Place: TypeAlias = tuple[AlertId, ChannelId]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt chain; its id is the idempotency key of every attempt.

    Attributes:
        alert_id: None for a test.
        channel_name: As it was when it was decided.
        address: On that channel, as ciphertext; None for the channel's own.
        level: Of the ladder; 0 for updates, tests and assignments.
        round: How often the ladder had been climbed before.
        due_at: Not to be sent before; while SENDING, when its lease ends.
        wanted: False once somebody reacted while an attempt was under way: then no further one follows.
        fallback_of: The delivery it took over from.
        fell_back_to: The delivery that took over from it.
        bundle_id: The delivery whose message named this one too.
        attempt_count: How often it was tried; also the fence by which a late answer of an earlier try is told.
        change: For an UPDATE: the name of the event's kind that it tells of.
    """

    id: DeliveryId
    alert_id: AlertId | None
    channel_id: ChannelId
    channel_name: str
    purpose: Purpose
    level: int
    created_at: datetime
    due_at: datetime
    round: int = 0
    responder_id: ResponderId | None = None
    address: str | None = None
    status: DeliveryStatus = DeliveryStatus.PENDING
    wanted: bool = True
    attempt_count: int = 0
    sent_at: datetime | None = None
    last_error: str | None = None
    fallback_of: DeliveryId | None = None
    fell_back_to: DeliveryId | None = None
    bundle_id: DeliveryId | None = None
    change: str | None = None

    @property
    def is_first(self) -> bool:
        """Whether it is somebody's first news of an alert: those go before all others."""
        return self.purpose in (Purpose.PAGE, Purpose.ASSIGNMENT) and self.level <= 1 and self.round == 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try.

    Attributes:
        number: 1 for the first.
        duration: None while under way or lost in a crash.
        status_code: Of HTTP or SMTP.
        error: What failed, secrets left out; None on success.
    """

    number: int
    started_at: datetime
    duration: timedelta | None = None
    status_code: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of a delivery that is open.

    Attributes:
        fence: The attempt count it must still have.
        attempt: The try that ended it; None where none did.
        receipt: What the provider calls the message, as JSON, for later updates.
    """

    delivery_id: DeliveryId
    fence: int
    status: DeliveryStatus
    at: datetime
    error: str | None = None
    fell_back_to: DeliveryId | None = None
    attempt: Attempt | None = None
    receipt: str | None = None


@dataclass(frozen=True, slots=True)
class ChannelHealth:
    """How a channel is doing, as every process sees it.

    Attributes:
        failure_count: Failed attempts since the last success.
        open_until: Until when nothing is sent over it, since it failed too often; None while it is in use.
        next_send_at: Its turn in the rate that its provider bears; None where it was never used.
        last_error: What failed, secrets left out.
    """

    failure_count: int = 0
    open_until: datetime | None = None
    next_send_at: datetime | None = None
    last_success_at: datetime | None = None
    last_failure_at: datetime | None = None
    last_error: str | None = None

    def is_open(self, now: datetime) -> bool:
        """Say whether the circuit breaker lets nothing through."""
        return self.open_until is not None and self.open_until > now


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery to be tried now; taken only where it is still as it was read.

    Attributes:
        fence: Its attempt count as read; the claim raises it by one.
        bundle_id: Whose message names it, where it is not sent alone.
    """

    delivery_id: DeliveryId
    fence: int
    channel_id: ChannelId
    bundle_id: DeliveryId | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """An attempt that failed and is made again.

    Attributes:
        fence: The attempt count of the attempt that failed.
    """

    delivery_id: DeliveryId
    fence: int
    due_at: datetime
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class DeliveryQuery:
    """Which deliveries; every field given must hold, of a list one value is enough; newest first."""

    page: PageRequest = field(default_factory=PageRequest)
    status: tuple[DeliveryStatus, ...] = ()
    channel_ids: tuple[ChannelId, ...] = ()
    responder_ids: tuple[ResponderId, ...] = ()
    created_after: datetime | None = None
    created_before: datetime | None = None


def delivery_id(seed: UUID, index: int, at: datetime) -> DeliveryId:
    """Return the id of the index-th delivery of a decision: it follows from the decision's own dice."""
    digest = hashlib.sha256(seed.bytes + index.to_bytes(4, "big")).digest()
    return DeliveryId(uuid7(at, int.from_bytes(digest[:10], "big")))
