"""Dispatch: which of the deliveries that are due go out now, which together, which later, and which never."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from alertgraph.core.catalog import Catalog
from alertgraph.core.channel import Channel, ChannelKind, usable
from alertgraph.core.delivery import ChannelHealth, Delivery, DeliveryStatus, Place, Purpose, Reach
from alertgraph.core.ids import ChannelId, DeliveryId
from alertgraph.core.message import SendResult

ATTEMPT_TIMEOUT = timedelta(seconds=10)
LEASE = timedelta(seconds=20)
"""How long an attempt may take before anybody may make it again: longer than it can take."""
ATTEMPTS_BEFORE_FALLBACK = 2
"""With a fallback: two attempts of ten seconds and a pause of one or two, so that it has the page within 30 s."""
FALLBACK_WAIT_MAX = timedelta(seconds=8)
"""A provider that asks to be left alone for longer is given up for the fallback at once."""
UNANSWERED_AFTER = timedelta(seconds=9)
"""An attempt without an answer that took this long ran into its time limit: what it said may have arrived."""
UPDATE_PAUSE = timedelta(seconds=1)
"""How long an update waits to see whether the page arrives that is under way."""
GIVE_UP_AFTER = timedelta(hours=6)
UPDATE_GIVE_UP_AFTER = timedelta(hours=1)
BACKOFF_MIN = timedelta(seconds=1)
BACKOFF_MAX = timedelta(minutes=10)
BREAKER_FAILURE_COUNT = 5
BREAKER_MIN = timedelta(seconds=30)
BREAKER_MAX = timedelta(minutes=10)
BUNDLE_OVER = 5
"""More messages than this to one target within a minute become one that names them all."""
BUNDLE_PERIOD = timedelta(minutes=1)
BUNDLE_PAUSE = timedelta(seconds=3)
"""How long a target in a storm is left alone between two bundles: by so much may its pages be late."""
BUNDLE_SIZE_MAX = 5000

# Messages a second and how many may go at once, as far as the providers' documents and users tell.
_RATES: Mapping[ChannelKind, tuple[float, int]] = {
    ChannelKind.SLACK: (1, 3),
    ChannelKind.TEAMS: (1, 4),
    ChannelKind.PAGERDUTY: (2, 20),
    ChannelKind.WEBHOOK: (50, 100),
    ChannelKind.EMAIL: (10, 20),
}

# Whom a message goes to: a channel, and an address on it.
Address: TypeAlias = tuple[ChannelId, str | None]


@dataclass(frozen=True, slots=True)
class End:
    """A delivery that ends without a further attempt."""

    delivery: Delivery
    status: DeliveryStatus
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of the deliveries that are due.

    Attributes:
        sends: Each one message; the first delivery of each leads, and its id is the idempotency key.
        put_off: Deliveries that wait for their channel's turn.
        next_send_at: When the channels that are used now have their next turn.
    """

    sends: tuple[tuple[Delivery, ...], ...] = ()
    ends: tuple[End, ...] = ()
    put_off: Mapping[DeliveryId, datetime] = field(default_factory=dict)
    next_send_at: Mapping[ChannelId, datetime] = field(default_factory=dict)


def plan(
    due: Sequence[Delivery],
    catalog: Catalog,
    health: Mapping[ChannelId, ChannelHealth],
    reach: Mapping[Place, Reach],
    sent: Mapping[Address, Sequence[datetime]],
    now: datetime,
    *,
    room: int,
) -> Plan:
    """Return what becomes of deliveries that are due; what has no room is left as it is.

    Args:
        due: In the order in which they should go.
        catalog: What is set up.
        health: How the channels do.
        reach: Who knows of the alerts that `new_updates` of `due` name.
        sent: When messages went to addresses in the last minute, oldest first.
        now: The instant of the plan.
        room: How many messages may go.
    """
    ends: list[End] = []
    put_off: dict[DeliveryId, datetime] = {}
    ready: list[Delivery] = []
    for delivery in due:
        verdict = _judged(delivery, catalog, health.get(delivery.channel_id), reach, now)
        if isinstance(verdict, End):
            ends.append(verdict)
        elif verdict is not None:
            put_off[delivery.id] = verdict
        else:
            ready.append(delivery)
    sends: list[tuple[Delivery, ...]] = []
    turns: dict[ChannelId, datetime] = {}
    for group in _grouped(ready, catalog, sent, now):
        channel_id = group[0].channel_id
        rate, burst = _RATES[catalog.channels[channel_id].kind]
        turn = turns.get(channel_id) or health.get(channel_id, ChannelHealth()).next_send_at or now
        turn = max(turn, now)
        wait = turn - now - timedelta(seconds=(burst - 1) / rate)
        # Whoever got no answer yet in a storm is let through every few seconds, with all that has gathered.
        quiet_until = now
        if is_bundled(group[0], catalog):
            quiet_until = _quiet_until(sent.get((channel_id, group[0].address), ()), now)
        if wait > timedelta(0) or quiet_until > now:
            put_off.update({delivery.id: max(now + wait, quiet_until) for delivery in group})
        elif len(sends) < room:
            sends.append(group)
            turns[channel_id] = turn + timedelta(seconds=1 / rate)
    return Plan(tuple(sends), tuple(ends), put_off, turns)


def new_updates(due: Iterable[Delivery]) -> frozenset[Place]:
    """Return what updates that were not tried yet are about: they go only where somebody knows of the alert."""
    return frozenset(
        (one.alert_id, one.channel_id)
        for one in due
        if one.purpose is Purpose.UPDATE and one.attempt_count == 0 and one.alert_id is not None
    )


def _judged(
    delivery: Delivery,
    catalog: Catalog,
    health: ChannelHealth | None,
    reach: Mapping[Place, Reach],
    now: datetime,
) -> End | datetime | None:
    """Return how a delivery ends now, or until when it waits; None where it may go."""
    if delivery.status is DeliveryStatus.SKIPPED or not delivery.wanted:
        return End(delivery, DeliveryStatus.SKIPPED, "somebody reacted first")
    for place in new_updates((delivery,)):
        match reach[place]:
            case Reach.NOBODY:
                return End(delivery, DeliveryStatus.SKIPPED, "nobody was told of the alert over this channel")
            case Reach.UNDER_WAY:
                return now + UPDATE_PAUSE
            case Reach.TOLD:
                pass
    channel = catalog.channels.get(delivery.channel_id)
    if channel is None:
        return End(delivery, DeliveryStatus.FAILED, "the channel was deleted")
    if not channel.enabled:
        return End(delivery, DeliveryStatus.FAILED, "the channel is disabled")
    if is_given_up(delivery, now):
        return End(delivery, DeliveryStatus.FAILED, delivery.last_error or "it took too long")
    if has_fallback(delivery, channel, catalog):
        if delivery.attempt_count >= ATTEMPTS_BEFORE_FALLBACK:
            return End(delivery, DeliveryStatus.FAILED, delivery.last_error or "no answer")
        if health is not None and health.is_open(now):
            return End(delivery, DeliveryStatus.FAILED, health.last_error or "it failed too often lately")
    elif health is not None and health.open_until is not None and health.is_open(now):
        return health.open_until
    return None


def has_fallback(delivery: Delivery, channel: Channel, catalog: Catalog) -> bool:
    """Say whether another channel takes over where this one fails."""
    return delivery.purpose in (Purpose.PAGE, Purpose.ASSIGNMENT) and (
        usable(catalog.channels, channel.fallback_id) is not None
    )


def is_given_up(delivery: Delivery, now: datetime) -> bool:
    """Say whether a delivery is too old to be worth another attempt."""
    limit = UPDATE_GIVE_UP_AFTER if delivery.purpose is Purpose.UPDATE else GIVE_UP_AFTER
    return delivery.attempt_count > 0 and now - delivery.created_at > limit


def _grouped(
    ready: Iterable[Delivery], catalog: Catalog, sent: Mapping[Address, Sequence[datetime]], now: datetime
) -> list[tuple[Delivery, ...]]:
    """Return what goes together, in the order of the first of each: a storm to one target is one message."""
    groups: dict[tuple[Address, Purpose, DeliveryId | None], list[Delivery]] = {}
    for delivery in ready:
        address = (delivery.channel_id, delivery.address)
        # What was tried before is tried again as it was, under its key: nobody is told of it under two.
        tried_as = delivery.bundle_id or (delivery.id if delivery.attempt_count else None)
        groups.setdefault((address, delivery.purpose, tried_as), []).append(delivery)
    found: list[tuple[Delivery, ...]] = []
    for (address, _, bundle_id), group in groups.items():
        if bundle_id is not None:
            # Tried together before: the same message again, under the same key.
            found.append(tuple(sorted(group, key=lambda one: (one.id != bundle_id, one.id))))
            continue
        recent = _recent(sent.get(address, ()), now)
        is_storm = is_bundled(group[0], catalog) and len(group) + len(recent) > BUNDLE_OVER
        size = BUNDLE_SIZE_MAX if is_storm else 1
        found += [tuple(group[start : start + size]) for start in range(0, len(group), size)]
    place = {delivery.id: index for index, delivery in enumerate(ready)}
    return sorted(found, key=lambda group: min(place[delivery.id] for delivery in group))


def is_bundled(delivery: Delivery, catalog: Catalog) -> bool:
    """Say whether a delivery may be told together with others: PagerDuty takes one event for each alert."""
    channel = catalog.channels[delivery.channel_id]
    return delivery.purpose is not Purpose.UPDATE and channel.kind is not ChannelKind.PAGERDUTY


def _recent(sent: Sequence[datetime], now: datetime) -> list[datetime]:
    return [at for at in sent if at > now - BUNDLE_PERIOD]


def _quiet_until(sent: Sequence[datetime], now: datetime) -> datetime:
    recent = _recent(sent, now)
    return recent[-1] + BUNDLE_PAUSE if len(recent) >= BUNDLE_OVER else now


# ------------------------------------------------------------------------------- after an attempt


def after_attempt(health: ChannelHealth, result: SendResult, now: datetime) -> ChannelHealth:
    """Return how a channel does after an attempt; its breaker opens at five failures, longer each time."""
    if result.delivered:
        return replace(health, failure_count=0, open_until=None, last_success_at=now)
    count = health.failure_count + 1
    open_until = None
    if count >= BREAKER_FAILURE_COUNT:
        open_until = now + min(BREAKER_MAX, BREAKER_MIN * 2 ** min(count - BREAKER_FAILURE_COUNT, 10))
    if result.retry_after is not None:
        asked = now + result.retry_after
        health = replace(health, next_send_at=max(health.next_send_at or asked, asked))
    return replace(
        health, failure_count=count, open_until=open_until, last_failure_at=now, last_error=result.error
    )


def retry_at(
    delivery: Delivery,
    result: SendResult,
    channel: Channel | None,
    catalog: Catalog,
    now: datetime,
    jitter: float,
) -> datetime | None:
    """Return when a delivery is tried again after a failed attempt; None where it is given up.

    Args:
        delivery: With the attempts made so far, this one included.
        result: Of this one.
        channel: As it is set up now; None where it was deleted.
        catalog: Where its fallback is found.
        now: When the attempt ended.
        jitter: 0 to 1; the pause is that share of its bound, and never less than half of it.
    """
    if channel is None or not channel.enabled or not result.retryable or result.gone or not delivery.wanted:
        return None
    bound = min(BACKOFF_MAX, BACKOFF_MIN * 2 ** min(delivery.attempt_count, 20))
    pause = bound * (0.5 + jitter / 2)
    if result.retry_after is not None:
        pause = max(pause, result.retry_after)
    if has_fallback(delivery, channel, catalog) and (
        delivery.attempt_count >= ATTEMPTS_BEFORE_FALLBACK or pause > FALLBACK_WAIT_MAX
    ):
        return None
    return None if is_given_up(delivery, now + pause) else now + pause
