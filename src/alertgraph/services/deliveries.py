"""Sends what decisions want sent: claims what is due, makes an attempt, and reports what came of it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NoReturn

import orjson

from alertgraph.core.action import ById, Report
from alertgraph.core.actor import ENGINE
from alertgraph.core.batch import Request
from alertgraph.core.channel import Channel
from alertgraph.core.delivery import (
    Attempt,
    ChannelHealth,
    Claim,
    Delivery,
    DeliveryStatus,
    Finish,
    Purpose,
    Retry,
)
from alertgraph.core.dispatch import (
    ATTEMPT_TIMEOUT,
    BUNDLE_OVER,
    BUNDLE_PERIOD,
    LEASE,
    Address,
    End,
    after_attempt,
    is_bundled,
    new_updates,
    plan,
    retry_at,
)
from alertgraph.core.errors import AlertGraphError
from alertgraph.core.flush import TenantConfig
from alertgraph.core.ids import AlertId, ChannelId, DeliveryId, TenantId, uuid7
from alertgraph.core.message import Message, SendResult
from alertgraph.services.lanes import Lanes
from alertgraph.services.messages import MessageMaker
from alertgraph.services.ports import Clock, Deliveries, Dice, Notifier, PagerObserver, Vault

WIDTH = 640
"""How many messages are under way at once: each is a connection, and none takes longer than an attempt may."""
TENANT_COUNT_MAX = 50
DUE_COUNT_MAX = 5000
TENANT_SEND_COUNT_MAX = 50
"""Messages of one tenant in one turn: then it is the next tenant's turn."""
REPORT_COUNT_MAX = 200
POLL_EVERY = timedelta(seconds=5)
REPORT_TRY_COUNT = 5
ADDRESS_COUNT_MAX = 10_000
HEALTH_NOTED_EVERY = timedelta(seconds=10)


class DeliveryService:
    """Sends, for any number of tenants; any number of processes may run it.

    Each attempt is claimed under a lease first, so of two processes one makes it; where a process dies with
    it, any other makes it again when the lease is over, under the same idempotency key.

    Args:
        gone: Called where a provider says that nobody lives at a channel any more.
        width: How many messages are under way at once.
        poll_every: A net beneath the hints.
    """

    def __init__(
        self,
        store: Deliveries,
        lanes: Lanes,
        notifier: Notifier,
        messages: MessageMaker,
        vault: Vault,
        clock: Clock,
        dice: Dice,
        observer: PagerObserver,
        gone: Callable[[TenantId, ChannelId], Awaitable[None]],
        *,
        width: int = WIDTH,
        poll_every: timedelta = POLL_EVERY,
    ) -> None:
        self._store = store
        self._lanes = lanes
        self._notifier = notifier
        self._messages = messages
        self._vault = vault
        self._clock = clock
        self._dice = dice
        self._observer = observer
        self._gone = gone
        self._width = width
        self._poll_every = poll_every
        self._sends: set[asyncio.Task[None]] = set()
        self._sent: OrderedDict[tuple[TenantId, Address], deque[datetime]] = OrderedDict()
        self._woken = asyncio.Event()
        self._wakes_at: datetime | None = None

    @property
    def under_way_count(self) -> int:
        """How many messages are under way."""
        return len(self._sends)

    def schedule(self, at: datetime) -> None:
        """Learn of a due time; wakes the service where it would have slept past it."""
        if self._wakes_at is None or at < self._wakes_at:
            self._woken.set()

    async def run(self) -> NoReturn:
        """Work, for as long as it runs."""
        while True:
            try:
                self._woken.clear()
                if await self.turn():
                    continue
                if len(self._sends) >= self._width:
                    await asyncio.wait(self._sends, return_when=asyncio.FIRST_COMPLETED)
                    continue
                wakes_at = self._clock.now() + self._poll_every
                next_due_at = await self._store.next_due_at()
                self._wakes_at = min(wakes_at, next_due_at) if next_due_at is not None else wakes_at
                await self._sleep(self._wakes_at - self._clock.now())
            except Exception as error:  # noqa: BLE001  (the loop outlives any failure)
                self._observer.failed("deliveries", error)
                await self._clock.sleep(timedelta(seconds=1))

    async def turn(self) -> int:
        """Give every tenant that has something due one turn; return how many deliveries were moved on."""
        moved = 0
        for tenant_id in await self._store.due_tenants(self._clock.now(), TENANT_COUNT_MAX):
            if len(self._sends) >= self._width:
                break
            try:
                moved += await self._turn_of(tenant_id)
            except Exception as error:  # noqa: BLE001
                # One tenant's trouble keeps nobody else waiting.
                self._observer.failed("deliveries", error)
        return moved

    async def settle(self) -> None:
        """Return once nothing is under way any more."""
        while self._sends:
            await asyncio.gather(*self._sends, return_exceptions=True)

    async def _turn_of(self, tenant_id: TenantId) -> int:
        now = self._clock.now()
        due = await self._store.due(tenant_id, now, DUE_COUNT_MAX)
        if not due:
            return 0
        config = await self._lanes.config(tenant_id)
        if any(one.channel_id not in config.catalog.channels for one in due):
            config = await self._lanes.config(tenant_id, anew=True)
        health = await self._store.health(tenant_id)
        places = new_updates(due)
        kept_since = now - config.settings.retention
        reach = await self._store.reach(tenant_id, places, kept_since) if places else {}
        addresses = {(one.channel_id, one.address) for one in due}
        sent = {address: self._sent.get((tenant_id, address), ()) for address in addresses}
        room = min(TENANT_SEND_COUNT_MAX, self._width - len(self._sends))
        planned = plan(due, config.catalog, health, reach, sent, now, room=room)
        if planned.put_off:
            await self._store.put_off(tenant_id, planned.put_off, now)
        if planned.ends:
            await self._report(tenant_id, [_end_of(end, now) for end in planned.ends])
        moved = len(planned.ends) + len(planned.put_off)
        if not planned.sends:
            return moved
        claims = [
            Claim(one.id, one.attempt_count, one.channel_id, _bundle_of(group))
            for group in planned.sends
            for one in group
        ]
        claimed = await self._store.claim(tenant_id, claims, now, now + LEASE, planned.next_send_at)
        for group in planned.sends:
            mine = tuple(
                replace(
                    one,
                    attempt_count=one.attempt_count + 1,
                    status=DeliveryStatus.SENDING,
                    bundle_id=_bundle_of(group),
                )
                for one in group
                if one.id in claimed
            )
            if mine:
                self._remember(tenant_id, config, mine[0], now)
                channel = config.catalog.channels[mine[0].channel_id]
                known = health.get(channel.id, ChannelHealth())
                task = asyncio.create_task(self._send(tenant_id, config, channel, mine, known))
                self._sends.add(task)
                task.add_done_callback(self._ended)
        return moved + len(claims)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._sends.discard(task)
        self._woken.set()

    def _remember(self, tenant_id: TenantId, config: TenantConfig, delivery: Delivery, now: datetime) -> None:
        """Keep when something went to an address, for a minute: storms are told by it."""
        if not is_bundled(delivery, config.catalog):
            return
        key = (tenant_id, (delivery.channel_id, delivery.address))
        instants = self._sent.setdefault(key, deque(maxlen=BUNDLE_OVER + 1))
        self._sent.move_to_end(key)
        instants.append(now)
        while len(self._sent) > ADDRESS_COUNT_MAX or next(iter(self._sent.values()))[-1] < now - BUNDLE_PERIOD:
            self._sent.popitem(last=False)

    # ------------------------------------------------------------------------------- one message

    async def _send(
        self,
        tenant_id: TenantId,
        config: TenantConfig,
        channel: Channel,
        group: tuple[Delivery, ...],
        health: ChannelHealth,
    ) -> None:
        """Make one attempt and report it; whatever goes wrong, the lease gives the deliveries free again."""
        try:
            started_at = self._clock.now()
            result = await self._attempted(tenant_id, config, channel, group)
            ended_at = self._clock.now()
            await self._note_health(tenant_id, channel, result, health, ended_at)
            tried = Attempt(0, started_at, ended_at - started_at, result.status_code, result.error)
            retries: list[Retry] = []
            finishes: list[tuple[AlertId, Finish]] = []
            for one in group:
                attempt = replace(tried, number=one.attempt_count)
                again_at = None
                if not result.delivered:
                    again_at = retry_at(one, result, channel, config.catalog, ended_at, self._dice.fraction())
                if again_at is not None:
                    retries.append(Retry(one.id, one.attempt_count, again_at, attempt))
                    continue
                assert one.alert_id is not None, "what is in the queue is about an alert"
                status = DeliveryStatus.SENT if result.delivered else DeliveryStatus.FAILED
                # A bundle's message is no single alert's, to be brought up to date.
                receipt = result.receipt if len(group) == 1 else None
                finish = Finish(
                    one.id, one.attempt_count, status, ended_at, result.error, attempt=attempt, receipt=receipt
                )
                finishes.append((one.alert_id, finish))
            if retries:
                await self._store.retry(tenant_id, retries)
            await self._report(tenant_id, finishes)
            self._observer.delivered(
                kind=channel.kind.name.lower(),
                outcome="sent" if result.delivered else "retried" if retries else "failed",
                seconds=(ended_at - started_at).total_seconds(),
                late_seconds=(started_at - min(one.due_at for one in group)).total_seconds(),
                first=group[0].purpose is Purpose.PAGE and group[0].attempt_count == 1,
            )
            if result.gone:
                await self._gone(tenant_id, channel.id)
        except Exception as error:  # noqa: BLE001  (one delivery outlives any failure: its lease runs out)
            self._observer.failed("deliveries", error)

    async def _attempted(
        self, tenant_id: TenantId, config: TenantConfig, channel: Channel, group: Sequence[Delivery]
    ) -> SendResult:
        secrets: dict[str, str] = {}
        if channel.sealed is not None:
            opened = await self._vault.open(tenant_id, "channel", channel.sealed)
            if opened is None:
                return SendResult(False, error="the channel's secrets can't be opened any more")
            secrets = orjson.loads(opened)
        address = group[0].address
        if address is not None:
            address = await self._vault.open(tenant_id, "contact", address)
            if address is None:
                return SendResult(False, error="the address can't be read any more")
        message = await self._messages.of(tenant_id, config.catalog, channel, group, self._clock.now())
        return await self._within_time(channel, secrets, address, message)

    async def _within_time(
        self, channel: Channel, secrets: dict[str, str], address: str | None, message: Message
    ) -> SendResult:
        sending = asyncio.ensure_future(self._notifier.send(channel, secrets, address, message))
        alarm = asyncio.ensure_future(self._clock.sleep(ATTEMPT_TIMEOUT))
        try:
            await asyncio.wait((sending, alarm), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                return sending.result()
        finally:
            for task in (sending, alarm):
                task.cancel()
        seconds = ATTEMPT_TIMEOUT.total_seconds()
        return SendResult(False, error=f"no answer within {seconds:g} s", retryable=True)

    async def _note_health(
        self, tenant_id: TenantId, channel: Channel, result: SendResult, known: ChannelHealth, now: datetime
    ) -> None:
        is_news = (
            not result.delivered
            or known.failure_count > 0
            or known.last_success_at is None
            or now - known.last_success_at > HEALTH_NOTED_EVERY
        )
        if is_news:
            await self._store.note_health(tenant_id, channel.id, lambda health: after_attempt(health, result, now))

    async def _report(self, tenant_id: TenantId, finishes: Sequence[tuple[AlertId, Finish]]) -> None:
        """Have ends written to the log; tried again where the store is away, for as long as the lease lasts."""
        for start in range(0, len(finishes), REPORT_COUNT_MAX):
            part = finishes[start : start + REPORT_COUNT_MAX]
            now = self._clock.now()
            request = Request(
                tuple(Report(ById(alert_id), finish) for alert_id, finish in part),
                tuple(AlertId(uuid7(now, self._dice.bits(74))) for _ in part),
                ENGINE,
            )
            for tries in range(1, REPORT_TRY_COUNT + 1):
                try:
                    await self._lanes.submit(tenant_id, request)
                    break
                except AlertGraphError as error:
                    if tries == REPORT_TRY_COUNT:
                        raise
                    self._observer.failed("deliveries", error)
                    await self._clock.sleep(timedelta(seconds=tries))

    async def _sleep(self, duration: timedelta) -> None:
        sleeper = asyncio.ensure_future(self._clock.sleep(max(timedelta(0), duration)))
        waker = asyncio.ensure_future(self._woken.wait())
        try:
            await asyncio.wait((sleeper, waker), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sleeper, waker):
                task.cancel()
            self._wakes_at = None


def _bundle_of(group: Sequence[Delivery]) -> DeliveryId | None:
    """Return under whose id deliveries go together: the same at every attempt, whoever of them has ended since."""
    return group[0].bundle_id or (group[0].id if len(group) > 1 else None)


def _end_of(end: End, now: datetime) -> tuple[AlertId, Finish]:
    delivery = end.delivery
    assert delivery.alert_id is not None, "what is in the queue is about an alert"
    return delivery.alert_id, Finish(delivery.id, delivery.attempt_count, end.status, now, end.error)
