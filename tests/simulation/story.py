"""Reads what happened in a world and says what should not have, by the promises and not by the code."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from alertgraph.core.actor import ActorKind
from alertgraph.core.delivery import Delivery, DeliveryStatus, Purpose
from alertgraph.core.event import EventKind, StoredEvent
from alertgraph.core.ids import AlertId, ChannelId
from alertgraph.core.rule import EscalationRule
from tests.factories import TENANT
from tests.simulation.world import World

ENDS_CLIMB = frozenset(
    {EventKind.ACKNOWLEDGED, EventKind.RESOLVED, EventKind.SILENCED, EventKind.INHIBITED, EventKind.HELD}
)
REACTIONS = frozenset({EventKind.ACKNOWLEDGED, EventKind.RESOLVED})


@dataclass(frozen=True, slots=True)
class Trouble:
    """When a channel did not take what it was sent."""

    channel_id: ChannelId
    begins_at: datetime
    ends_at: datetime


@dataclass(slots=True)
class Story:
    """What happened, and what is held against it.

    Attributes:
        rule_of: By source, what is climbed while nothing is known of an alert's chances.
        urgent_of: By source, what is climbed from when its chance is known to be as high as that asks.
        climb_late_max: How late a level may be reached.
        send_late_max: How late a first attempt may begin where its channel was well.
        fallback_within: By when the fallback has a page whose channel is in trouble.
    """

    world: World
    rule_of: dict[str, EscalationRule]
    urgent_of: dict[str, EscalationRule]
    troubles: Sequence[Trouble]
    climb_late_max: timedelta
    send_late_max: timedelta
    fallback_within: timedelta

    def faults(self) -> list[str]:
        """Return every broken promise, in words; none is the only good answer."""
        rows = self.world.log.tenants[TENANT]
        found = [f"a loop ended: {error!r}" for error in self.world.broken]
        timelines: dict[AlertId, list[StoredEvent]] = defaultdict(list)
        for stored in rows.events:
            if stored.event.alert_id is not None:
                timelines[stored.event.alert_id].append(stored)
        for alert_id, events in timelines.items():
            found += self._climbed_wrong(alert_id, events)
        found += self._sent_wrong(timelines)
        found += self._kept_up_wrong()
        found += self._keys_wrong()
        return found

    # ------------------------------------------------------------------------------- the ladder

    def _climbed_wrong(self, alert_id: AlertId, events: Sequence[StoredEvent]) -> Iterator[str]:
        """Walk an alert's timeline with a pencil: what was to come next, and by when."""
        first = events[0].event
        rule = self.rule_of[first.source]
        count, rounds = len(rule.levels), rule.repeat_count
        urgent = self.urgent_of[first.source]
        level, round_, due_at, resumes = 0, 0, first.decided_at, False
        taken, said = False, False
        for stored in (*events[1:], None):
            at = stored.event.decided_at if stored is not None else self.world.clock.now()
            if due_at is not None and at > due_at + self.climb_late_max:
                yield f"{alert_id}: something was due at {due_at} after level {level}, and came at {at}"
                return
            if stored is None:
                return
            event = stored.event
            taken = event.kind in REACTIONS or (taken and event.kind is not EventKind.UNACKNOWLEDGED)
            by_engine = event.actor.kind is ActorKind.ENGINE
            match event.kind:
                case EventKind.ESCALATED if by_engine:
                    expected = level if resumes and level else level + 1
                    if expected > count:
                        expected, round_ = 1, round_ + 1
                    if due_at is None or at < due_at:
                        yield f"{alert_id}: level {event.detail['level']} came at {at}, due {due_at}"
                    if event.detail["level"] != expected or round_ > rounds:
                        yield f"{alert_id}: level {event.detail['level']} in place of {expected}"
                    level, resumes = event.detail["level"], False
                    due_at = at + rule.levels[level - 1].delay
                case EventKind.ESCALATED:
                    level = event.detail["level"]
                    due_at = at + rule.levels[level - 1].delay if due_at is not None else None
                    resumes = False
                case EventKind.UNACKNOWLEDGED:
                    due_at, resumes = at, True
                case EventKind.PREDICTED:
                    if said:
                        yield f"{alert_id}: the model said something twice"
                    said = True
                    least = urgent.incident_probability_min or 0.0
                    takes_over = urgent.enabled and not taken and event.detail["incidentProbability"] >= least
                    if takes_over is not ("escalationRuleId" in event.detail):
                        yield f"{alert_id}: likely or not, its ladder is not the one for that since {at}"
                    if takes_over:
                        rule, level, round_, due_at, resumes = urgent, 0, 0, at, False
                        count, rounds = len(rule.levels), rule.repeat_count
                case EventKind.HELD:
                    if level < count or round_ < rounds:
                        yield f"{alert_id}: was given up on level {level} of {count}, round {round_}"
                    due_at = None
                case kind if kind in ENDS_CLIMB:
                    due_at = None

    # ------------------------------------------------------------------------------ the messages

    def _sent_wrong(self, timelines: dict[AlertId, list[StoredEvent]]) -> Iterator[str]:
        rows = self.world.log.tenants[TENANT]
        first_claim: dict[object, datetime] = {}
        for number, delivery, attempt, at in self.world.deliveries.claims:
            if attempt == 1:
                first_claim[delivery.id] = at
            if delivery.purpose is not Purpose.PAGE or delivery.alert_id is None:
                continue
            decided_number, _ = rows.decided[delivery.id]
            for stored in timelines[delivery.alert_id]:
                if stored.event.kind in REACTIONS and decided_number < stored.number <= number:
                    yield f"{delivery.id}: attempt {attempt} began behind event {number}, after {stored.number}"
        pages: Counter[tuple[AlertId, int, int]] = Counter()
        for _, delivery in rows.decided.values():
            if delivery.purpose is not Purpose.PAGE or delivery.alert_id is None:
                continue
            if delivery.fallback_of is None:
                pages[delivery.alert_id, delivery.round, delivery.level] += 1
            yield from self._delivery_wrong(delivery, first_claim.get(delivery.id), timelines)
        for alert_id, events in timelines.items():
            for stored in events:
                event = stored.event
                if event.kind is EventKind.ESCALATED:
                    key = (alert_id, event.detail.get("round", 0), event.detail["level"])
                    if pages[key] < len(event.detail["notified"]):
                        yield f"{alert_id}: level {event.detail['level']} tells {pages[key]} of those it names"

    def _delivery_wrong(
        self, delivery: Delivery, begun_at: datetime | None, timelines: dict[AlertId, list[StoredEvent]]
    ) -> Iterator[str]:
        rows = self.world.log.tenants[TENANT]
        assert delivery.alert_id is not None
        now = rows.finished.get(delivery.id) or rows.deliveries[delivery.id]
        number, _ = rows.decided[delivery.id]
        reacted = [
            stored.event.decided_at
            for stored in timelines[delivery.alert_id]
            if stored.event.kind in REACTIONS and stored.number > number
        ]
        # Somebody may react in the very flush that decides it.
        if now.status is DeliveryStatus.SKIPPED and delivery.wanted and not reacted:
            yield f"{delivery.id}: skipped, and nobody had reacted"
        if now.status in (DeliveryStatus.PENDING, DeliveryStatus.SENDING, DeliveryStatus.RETRYING):
            if now.due_at <= self.world.clock.now() - self.send_late_max:
                yield f"{delivery.id}: still {now.status.name} at the end"
            return
        channel = self.world.config.catalog.channels[delivery.channel_id]
        if now.status is DeliveryStatus.FAILED:
            has_fallback = channel.fallback_id is not None
            if has_fallback and now.fell_back_to is None and not reacted:
                yield f"{delivery.id}: failed over {channel.name}, and no fallback took over"
            if not has_fallback:
                yield f"{delivery.id}: was given up ({now.last_error})"
        if reacted:
            return
        if begun_at is not None and not self._is_troubled(delivery.channel_id, delivery.due_at, begun_at):
            late = begun_at - delivery.due_at
            if late > self.send_late_max:
                yield f"{delivery.id}: was {late} late over {channel.name}"
        if now.fell_back_to is not None:
            stand_in = rows.finished.get(now.fell_back_to)
            told_at = stand_in.sent_at if stand_in is not None else None
            clear = not self._is_troubled(
                channel.fallback_id, delivery.due_at, delivery.due_at + self.fallback_within
            )
            if clear and (told_at is None or told_at > delivery.due_at + self.fallback_within):
                yield f"{delivery.id}: its fallback had it at {told_at}, due {delivery.due_at}"

    # ------------------------------------------------------------------------------ the updates

    def _kept_up_wrong(self) -> Iterator[str]:
        """No update to whom was never paged, and none left out for whom was."""
        rows = self.world.log.tenants[TENANT]
        met: dict[tuple[AlertId, ChannelId], set[str]] = defaultdict(set)
        first_told: dict[tuple[AlertId, ChannelId], datetime] = {}
        for send in self.world.providers.sends:
            about = {(alert.id, send.channel_id) for alert in send.message.alerts}
            if send.message.purpose is not Purpose.UPDATE:
                for place in about:
                    met[place].add(send.fate)
                    if send.fate == "ok":
                        first_told.setdefault(place, send.at)
                continue
            for place in about:
                # Whoever got it and was too slow to answer has it; and where an answer was lost in a crash,
                # nobody knows better.
                if not met[place] & {"ok", "hang"} and not (met[place] and self._lost_an_answer(*place)):
                    yield f"{place[0]}: channel {place[1]} was brought up to date at {send.at} of no page"
        for number, one in rows.decided.values():
            now = rows.finished.get(one.id)
            if one.purpose is not Purpose.UPDATE or one.alert_id is None or now is None:
                continue
            told_at = first_told.get((one.alert_id, one.channel_id))
            if now.status is DeliveryStatus.SKIPPED and told_at is not None and told_at < one.created_at:
                yield f"{one.id}: {one.channel_name} was told at {told_at}, and not of event {number}"

    def _lost_an_answer(self, alert_id: AlertId, channel_id: ChannelId) -> bool:
        rows = self.world.log.tenants[TENANT]
        return any(
            attempt.duration is None
            for one in (*rows.deliveries.values(), *rows.finished.values())
            if (one.alert_id, one.channel_id) == (alert_id, channel_id) and one.purpose is Purpose.PAGE
            for attempt in rows.attempts.get(one.id, ())
        )

    def _is_troubled(self, channel_id: ChannelId | None, since: datetime, until: datetime) -> bool:
        # A breaker that opened in a trouble may stay open for a while behind it.
        return any(
            trouble.channel_id == channel_id
            and trouble.begins_at <= until
            and since <= trouble.ends_at + timedelta(minutes=10)
            for trouble in self.troubles
        )

    def _keys_wrong(self) -> Iterator[str]:
        """Whatever is told twice is told under the same key, and nothing is told that was not claimed."""
        rows = self.world.log.tenants[TENANT]
        sent = Counter(send.message.id for send in self.world.providers.sends)
        for key, count in sent.items():
            if count > self.world.deliveries.granted[key]:
                yield f"{key}: was told {count} times, claimed {self.world.deliveries.granted[key]} times"
        keys: dict[tuple[object, ...], set[object]] = defaultdict(set)
        for number, one in rows.decided.values():
            if one.purpose is Purpose.PAGE:
                target = (one.channel_id, one.address, one.fallback_of)
                keys[one.alert_id, one.level, one.round, number, *target].add(one.id)
        for place, ids in keys.items():
            if len(ids) > 1:
                yield f"{place[0]}: level {place[1]} is told under {len(ids)} keys"
