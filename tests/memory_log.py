"""A tenant's log in memory, by the rules of `append_v4`: for services whose behaviour SQL has no part in.

It decides as little as PostgreSQL does: it checks what a flush relied on and writes it, or refuses. A broken
promise that PostgreSQL would answer with a constraint (two open alerts of one key) is an AssertionError here.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, auto

from alertgraph.core.alert import OCCURRENCE_COUNT_MAX, Alert, AlertStatus
from alertgraph.core.cursor import LogCursor
from alertgraph.core.delivery import Attempt, Delivery, DeliveryStatus, Purpose
from alertgraph.core.errors import CursorExpiredError, DependencyError, NotFoundError, StaleDecisionError
from alertgraph.core.event import GENESIS_LINK, StoredEvent, next_link
from alertgraph.core.flush import (
    AlertWrite,
    Appended,
    Flush,
    Head,
    IdempotencyKey,
    Incidents,
    Loaded,
    NewPrediction,
    StoredAnswer,
    TenantConfig,
)
from alertgraph.core.ids import EPOCH, AlertId, ChannelId, DeliveryId, IncidentId, TenantId
from alertgraph.core.incident import Incident
from alertgraph.core.inhibition import InhibitionKey
from alertgraph.core.metrics import Tally
from alertgraph.services.ports import Clock, LostCommitError, PoisonError
from tests.factories import a_config


class Fault(Enum):
    """What may go wrong with an append."""

    STALE = auto()
    """Refused, though nothing had changed."""
    AWAY = auto()
    """The store is away before anything is written."""
    LOST_WRITTEN = auto()
    """Written, but the answer is lost."""
    LOST_UNWRITTEN = auto()
    """The answer is lost, and nothing was written."""
    LOST_LATE = auto()
    """The answer is lost while the commit is still under way."""


@dataclass(slots=True)
class TenantRows:
    """What is kept of one tenant."""

    config: TenantConfig
    number: int = 0
    link: bytes = GENESIS_LINK
    leaf: bytes = GENESIS_LINK
    events: list[StoredEvent] = field(default_factory=list)
    open: dict[AlertId, Alert] = field(default_factory=dict)
    closed: dict[AlertId, Alert] = field(default_factory=dict)
    answers: dict[tuple[str, str, str], StoredAnswer] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    deliveries: dict[DeliveryId, Delivery] = field(default_factory=dict)
    finished: dict[DeliveryId, Delivery] = field(default_factory=dict)
    attempts: dict[DeliveryId, list[Attempt]] = field(default_factory=dict)
    receipts: dict[tuple[AlertId, ChannelId, str | None], str] = field(default_factory=dict)
    inhibits: dict[AlertId, frozenset[InhibitionKey]] = field(default_factory=dict)
    incidents: dict[IncidentId, Incident] = field(default_factory=dict)
    predictions: dict[AlertId, NewPrediction] = field(default_factory=dict)
    # As they were decided, with the number of the last event of their flush.
    decided: dict[DeliveryId, tuple[int, Delivery]] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def by_key(self, key: str) -> Alert | None:
        """Return the open alert with a dedup key."""
        return next((alert for alert in self.open.values() if alert.dedup_key == key), None)

    def by_group(self, group_key: bytes) -> Incident | None:
        """Return the unresolved incident with a group key."""
        found = [each for each in self.incidents.values() if each.group_key == group_key and each.takes_in]
        assert len(found) <= 1, "two unresolved incidents have one group key"
        return found[0] if found else None

    def by_id(self, alert_id: AlertId) -> Alert | None:
        """Return an alert, open or closed."""
        return self.open.get(alert_id) or self.closed.get(alert_id)


async def no_pause() -> None:
    """Go on at once."""


def random_pauses(dice: random.Random, length_max: int = 3) -> Callable[[], Awaitable[None]]:
    """Return a pause during which others may or may not get their turn."""

    async def pause() -> None:
        for _ in range(dice.randint(0, length_max)):
            await asyncio.sleep(0)

    return pause


class MemoryLog:
    """Fulfils `services.ports.TenantLog`.

    Attributes:
        calls: How often each method was called.
        faults: What goes wrong with the next appends, in order; None for nothing.
        chance: Asked for what goes wrong once `faults` is empty.
        lost_touches: How often repeats were written of which the writer was not told: where another repeat
            follows at once, their traces are gone and they are counted twice.
        poison: Says of a flush whether the store refuses its rows whatever the state.
        pause: Awaited where a real store would be on its way.
    """

    def __init__(self, clock: Clock, *tenants: TenantId) -> None:
        self._clock = clock
        self.tenants = {tenant_id: TenantRows(a_config()) for tenant_id in tenants}
        self.calls: Counter[str] = Counter()
        self.faults: list[Fault | None] = []
        self.chance: Callable[[], Fault | None] = lambda: None
        self.lost_touches = 0
        self.poison: Callable[[Flush], bool] = lambda flush: False
        self.pause: Callable[[], Awaitable[None]] = no_pause
        self._late: set[asyncio.Task[None]] = set()

    async def config(self, tenant_id: TenantId) -> TenantConfig | None:
        """Return the tenant's configuration; None where there is no such tenant."""
        self.calls["config"] += 1
        await self.pause()
        rows = self.tenants.get(tenant_id)
        return rows.config if rows is not None else None

    async def open_alerts(self, tenant_id: TenantId, limit: int) -> tuple[Sequence[Alert], bool]:
        """Return open alerts, newest first, and whether these are all."""
        self.calls["open_alerts"] += 1
        await self.pause()
        alerts = sorted(self.tenants[tenant_id].open.values(), key=lambda alert: alert.id, reverse=True)
        return alerts[:limit], len(alerts) <= limit

    async def load(
        self,
        tenant_id: TenantId,
        keys: Collection[str],
        alert_ids: Collection[AlertId],
        idempotency_keys: Collection[IdempotencyKey],
        delivery_ids: Collection[DeliveryId] = (),
    ) -> Loaded:
        """Return the state that some commands are about."""
        self.calls["load"] += 1
        await self.pause()
        loaded = self.read(tenant_id, keys, alert_ids, idempotency_keys, delivery_ids)
        await self.pause()
        return loaded

    async def load_incidents(
        self, tenant_id: TenantId, ids: Collection[IncidentId], group_keys: Collection[bytes]
    ) -> Incidents:
        """Return incidents that decisions turned out to be about."""
        self.calls["load_incidents"] += 1
        await self.pause()
        return self.read_incidents(tenant_id, ids, group_keys)

    async def append(self, tenant_id: TenantId, flush: Flush) -> Appended:
        """Write a flush: all of it or nothing."""
        self.calls["append"] += 1
        await self.pause()
        fault = self._next_fault()
        rows = self._rows(tenant_id)
        if fault is Fault.STALE:
            raise StaleDecisionError("injected")
        if fault is Fault.AWAY:
            raise DependencyError("memory", retryable=True)
        if fault is Fault.LOST_UNWRITTEN:
            raise LostCommitError("injected")
        if fault is Fault.LOST_LATE:
            self.lost_touches += bool(flush.touches and not flush.events)
            await rows.lock.acquire()
            task = asyncio.create_task(self._commit_late(tenant_id, flush))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
            raise LostCommitError("injected")
        if flush.events:
            async with rows.lock:
                appended = self.write(tenant_id, flush)
        else:
            appended = self.write(tenant_id, flush)
        if fault is Fault.LOST_WRITTEN:
            self.lost_touches += bool(flush.touches and not flush.events)
            raise LostCommitError("injected")
        await self.pause()
        return appended

    async def append_locked(
        self,
        tenant_id: TenantId,
        keys: Collection[str],
        alert_ids: Collection[AlertId],
        idempotency_keys: Collection[IdempotencyKey],
        decide: Callable[[TenantConfig, Loaded], Flush],
        delivery_ids: Collection[DeliveryId] = (),
        incident_ids: Collection[IncidentId] = (),
        group_keys: Collection[bytes] = (),
    ) -> tuple[Flush, Appended]:
        """Load, decide and write while the head's lock is held."""
        self.calls["append_locked"] += 1
        await self.pause()
        rows = self._rows(tenant_id)
        fault = self._next_fault()
        async with rows.lock:
            loaded = self.read(tenant_id, keys, alert_ids, idempotency_keys, delivery_ids)
            found = self.read_incidents(tenant_id, incident_ids, group_keys)
            flush = decide(rows.config, replace(loaded, incidents=found.by_id, groups=found.by_key))
            await self.pause()
            if fault is Fault.LOST_UNWRITTEN:
                raise LostCommitError("injected")
            appended = self.write(tenant_id, flush)
        if fault is Fault.LOST_WRITTEN:
            self.lost_touches += bool(flush.touches and not flush.events)
            raise LostCommitError("injected")
        await self.pause()
        return flush, appended

    async def find_flush(self, tenant_id: TenantId, flush: Flush) -> Appended | None:
        """Return what became of a flush whose answer was lost."""
        self.calls["find_flush"] += 1
        await self.pause()
        rows = self._rows(tenant_id)
        async with rows.lock:
            found = [stored for stored in rows.events if stored.flush_id == flush.id]
            counts = {
                alert_id: alert.occurrence_count
                for alert_id in [w.alert.id for w in flush.writes] + [t.alert_id for t in flush.touches]
                if (alert := rows.by_id(alert_id)) is not None
            }
            if found:
                link = found[-1].link
                assert link is not None
                return Appended(found[0].number, found[0].recorded_at, link, counts)
            if flush.events or not self._short_way_was_taken(rows, flush):
                return None
            return Appended(rows.number + 1, self._clock.now(), rows.link, counts)

    async def head(self, tenant_id: TenantId) -> Head | None:
        """Return where the tenant's log ends."""
        rows = self.tenants.get(tenant_id)
        if rows is None:
            return None
        at = rows.events[-1].recorded_at if rows.events else EPOCH
        return Head(rows.number, at, rows.leaf, rows.link, rows.config.version, 1, 0, GENESIS_LINK)

    async def heads(self, tenant_ids: Collection[TenantId]) -> Mapping[TenantId, int]:
        """Return the number of the last event of each tenant that exists."""
        return {i: self.tenants[i].number for i in tenant_ids if i in self.tenants}

    async def events_after(self, tenant_id: TenantId, after: LogCursor, limit: int) -> Sequence[StoredEvent]:
        """Return the events behind a position."""
        return self.tenants[tenant_id].events[after.number : after.number + limit]

    async def check_cursor(self, tenant_id: TenantId, cursor: LogCursor) -> None:
        """Return where one can read on from the cursor."""
        events = self.tenants[tenant_id].events
        known = cursor.number == 0 or (
            cursor.number <= len(events) and events[cursor.number - 1].leaf[:4] == cursor.hash_start
        )
        if cursor.log_epoch != 1 or not known:
            raise CursorExpiredError("This cursor is of another log.")

    def now(self) -> datetime:
        """Return the store's own instant."""
        return self._clock.now()

    def refuses(self, tenant_id: TenantId, flush: Flush) -> bool:
        """Say whether a flush would be refused as decided on stale ground."""
        try:
            self._check(self._rows(tenant_id), flush)
        except StaleDecisionError:
            return True
        return False

    def change_config(self, tenant_id: TenantId, config: TenantConfig) -> None:
        """Replace a tenant's configuration by one of the next version."""
        rows = self.tenants[tenant_id]
        rows.config = replace(config, version=rows.config.version + 1)

    def _next_fault(self) -> Fault | None:
        return self.faults.pop(0) if self.faults else self.chance()

    def _rows(self, tenant_id: TenantId) -> TenantRows:
        rows = self.tenants.get(tenant_id)
        if rows is None:
            raise NotFoundError("There is no such tenant.")
        return rows

    def read(
        self,
        tenant_id: TenantId,
        keys: Collection[str],
        alert_ids: Collection[AlertId],
        idempotency_keys: Collection[IdempotencyKey],
        delivery_ids: Collection[DeliveryId] = (),
    ) -> Loaded:
        """Return at once what `load` returns."""
        rows = self._rows(tenant_id)
        slots = [(key.operation, key.subject, key.key) for key in idempotency_keys]
        return Loaded(
            {key: alert for key in keys if (alert := rows.by_key(key)) is not None},
            {alert_id: alert for alert_id in alert_ids if (alert := rows.by_id(alert_id)) is not None},
            {slot: rows.answers[slot] for slot in slots if slot in rows.answers},
            {id_: rows.deliveries[id_] for id_ in delivery_ids if id_ in rows.deliveries},
        )

    def read_incidents(
        self, tenant_id: TenantId, ids: Collection[IncidentId], group_keys: Collection[bytes]
    ) -> Incidents:
        """Return at once what `load_incidents` returns."""
        rows = self._rows(tenant_id)
        return Incidents(
            {incident_id: rows.incidents.get(incident_id) for incident_id in ids},
            {key: rows.by_group(key) for key in group_keys},
        )

    async def _commit_late(self, tenant_id: TenantId, flush: Flush) -> None:
        try:
            for _ in range(5):
                await asyncio.sleep(0)
            self.write(tenant_id, flush)
        except (StaleDecisionError, PoisonError):
            pass  # refused after all: nobody waits for the answer
        finally:
            self._rows(tenant_id).lock.release()

    def write(self, tenant_id: TenantId, flush: Flush) -> Appended:
        """Write at once what `append` writes."""
        rows = self._rows(tenant_id)
        self._check(rows, flush)
        first_number = rows.number + 1
        recorded_at = max(self._clock.now(), rows.events[-1].recorded_at) if rows.events else self._clock.now()
        counts: dict[AlertId, int] = {}
        # Those that end go first, so that their keys are free for those that begin.
        for write in sorted(flush.writes, key=lambda write: write.alert.is_open):
            self._write_alert(rows, write, first_number, counts)
        for touch in flush.touches:
            known = rows.open[touch.alert_id]
            said_last = touch.last_seen_at >= known.last_seen_at
            rows.open[known.id] = replace(
                known,
                occurrence_count=known.occurrence_count + touch.count,
                last_seen_at=max(known.last_seen_at, touch.last_seen_at),
                resolve_at=touch.resolve_at if said_last else known.resolve_at,
                resolve_by_timeout=touch.resolve_by_timeout if said_last else known.resolve_by_timeout,
            )
            counts[known.id] = known.occurrence_count + touch.count
        for change in flush.incidents:
            incident = change.incident
            assert (incident.id not in rows.incidents) is change.is_new
            index = change.event_index
            version = incident.version if index is None else first_number + index
            rows.incidents[incident.id] = replace(incident, version=version)
        keys = [alert.dedup_key for alert in rows.open.values()]
        assert len(keys) == len(set(keys)), "two open alerts have one dedup key"
        if flush.events:
            leaves = [sealed.leaf for sealed in flush.events]
            rows.link = next_link(rows.link, first_number, recorded_at, flush.id, leaves)
            rows.leaf = leaves[-1]
            for index, sealed in enumerate(flush.events):
                link = rows.link if index == len(leaves) - 1 else None
                rows.events.append(
                    StoredEvent(
                        first_number + index,
                        recorded_at,
                        flush.id,
                        sealed.event,
                        sealed.content,
                        sealed.leaf,
                        link,
                    )
                )
            rows.number += len(leaves)
        rows.tally.add(flush.tally)
        for answer in flush.answers:
            rows.answers[answer.key.operation, answer.key.subject, answer.key.key] = answer
        self._write_deliveries(rows, flush, recorded_at)
        for new in flush.predictions:
            assert new.alert_id not in rows.predictions, "two predictions of one alert"
            rows.predictions[new.alert_id] = new
        if flush.raises_config_version:
            rows.config = replace(rows.config, version=rows.config.version + 1)
        return Appended(first_number, recorded_at, rows.link, counts)

    def _check(self, rows: TenantRows, flush: Flush) -> None:
        if self.poison(flush):
            raise PoisonError("injected")
        reliance = flush.reliance
        if reliance.config_version is not None and reliance.config_version != rows.config.version:
            raise StaleDecisionError("stale configuration")
        for key, version in reliance.keys.items():
            assert "\x00" not in key
            assert key.encode()
            by_key = rows.by_key(key)
            if (by_key.version if by_key is not None else None) != version:
                raise StaleDecisionError("stale key")
        for alert_id, version in reliance.alerts.items():
            by_id = rows.by_id(alert_id)
            if (by_id.version if by_id is not None else None) != version:
                raise StaleDecisionError("stale alert")
        for incident_id, version in reliance.incidents.items():
            incident = rows.incidents.get(incident_id)
            if (incident.version if incident is not None else None) != version:
                raise StaleDecisionError("stale incident")
        for group_key, version in reliance.group_keys.items():
            group = rows.by_group(group_key)
            if (group.version if group is not None else None) != version:
                raise StaleDecisionError("stale group")
        for write in flush.writes:
            if write.was_closed and write.alert.id not in rows.closed:
                raise StaleDecisionError("stale alert: not closed")
            if not (write.is_new or write.was_closed) and write.alert.id not in rows.open:
                raise StaleDecisionError("stale alert: not open")
        for touch in flush.touches:
            known = rows.open.get(touch.alert_id)
            if (
                known is None
                or known.version != touch.version
                or known.occurrence_count + touch.count >= touch.count_below
            ):
                raise StaleDecisionError("stale repeat")
        for finish in flush.finishes:
            delivery = rows.deliveries.get(finish.delivery_id)
            if delivery is None or delivery.attempt_count != finish.fence:
                raise StaleDecisionError("stale delivery")
        if any((a.key.operation, a.key.subject, a.key.key) in rows.answers for a in flush.answers):
            raise StaleDecisionError("answered before")

    def _write_deliveries(self, rows: TenantRows, flush: Flush, recorded_at: datetime) -> None:
        for write in flush.writes:
            if write.inhibits is not None:
                rows.inhibits[write.alert.id] = write.inhibits
            if write.skips_pages:
                for id_, waiting in rows.deliveries.items():
                    if waiting.alert_id == write.alert.id and waiting.purpose is Purpose.PAGE:
                        is_sending = waiting.status is DeliveryStatus.SENDING
                        rows.deliveries[id_] = replace(
                            waiting,
                            wanted=False,
                            status=waiting.status if is_sending else DeliveryStatus.SKIPPED,
                            due_at=waiting.due_at if is_sending else recorded_at,
                        )
        for finish in flush.finishes:
            ended = rows.deliveries.pop(finish.delivery_id)
            rows.finished[ended.id] = replace(
                ended,
                status=finish.status,
                sent_at=finish.at if finish.status is DeliveryStatus.SENT else None,
                last_error=finish.error or ended.last_error,
                fell_back_to=finish.fell_back_to,
            )
            if finish.attempt is not None:
                tries = rows.attempts[ended.id]
                tries[finish.attempt.number - 1] = finish.attempt
            if finish.receipt is not None and ended.alert_id is not None:
                rows.receipts[ended.alert_id, ended.channel_id, ended.address] = finish.receipt
        for delivery in flush.deliveries:
            assert delivery.id not in rows.deliveries, "two deliveries have one id"
            assert delivery.id not in rows.finished, "two deliveries have one id"
            rows.deliveries[delivery.id] = delivery
            rows.decided[delivery.id] = (rows.number, delivery)

    def _write_alert(
        self, rows: TenantRows, write: AlertWrite, first_number: int, counts: dict[AlertId, int]
    ) -> None:
        after = replace(write.alert, version=first_number + write.event_index)
        if write.was_closed:
            rows.closed[after.id] = replace(
                rows.closed[after.id],
                version=after.version,
                verdict=after.verdict,
                incident_id=after.incident_id,
                advice=after.advice,
            )
            return
        if write.is_new:
            assert rows.by_id(after.id) is None, "two alerts have one id"
        else:
            known = rows.open.pop(after.id)
            seen_since = known.last_seen_at > after.last_seen_at and after.is_open
            after = replace(
                after,
                occurrence_count=min(known.occurrence_count + write.occurrence_delta, OCCURRENCE_COUNT_MAX),
                last_seen_at=max(known.last_seen_at, after.last_seen_at),
                resolve_at=known.resolve_at if seen_since else after.resolve_at,
                resolve_by_timeout=known.resolve_by_timeout if seen_since else after.resolve_by_timeout,
            )
        counts[after.id] = after.occurrence_count
        if after.is_open:
            assert after.status is not AlertStatus.TRIGGERED or after.held is not None or after.due_at is not None
            rows.open[after.id] = after
        else:
            assert after.resolved_at is not None
            rows.closed[after.id] = after

    def _short_way_was_taken(self, rows: TenantRows, flush: Flush) -> bool:
        # Another flush may have answered the same keys: what was answered and what was touched must be ours.
        answered = all(rows.answers.get((a.key.operation, a.key.subject, a.key.key)) == a for a in flush.answers)
        touched = all(
            (known := rows.open.get(touch.alert_id)) is not None and known.last_seen_at == touch.last_seen_at
            for touch in flush.touches
        )
        return bool(flush.answers or flush.touches) and answered and touched
