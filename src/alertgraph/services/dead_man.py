"""The dead-man beat: a sign of life every minute, which stays out where pages would."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import NoReturn

from alertgraph.core.channel import Channel
from alertgraph.core.delivery import Purpose
from alertgraph.core.errors import AlertGraphError
from alertgraph.core.health import health_of
from alertgraph.core.ids import ChannelId, DeliveryId, TenantId, uuid7
from alertgraph.core.message import Message
from alertgraph.services.ports import Clock, DeadManTurns, Dice, Notifier, SnapshotSource, WatchObserver

EVERY = timedelta(minutes=1)
LOOK_EVERY = timedelta(seconds=1)
SEND_TIMEOUT = timedelta(seconds=15)


class DeadMan:
    """Beats for every tenant that has set up a channel for it, only while the engine keeps its promises there.

    Any number of processes may run it: one of them takes a tenant's turn. A beat that fails is not tried again,
    since the next one is near, and goes over no fallback, since there it would tell the wrong listener.

    Args:
        secrets: Returns a channel's secrets in plain text.
        works: Whether this process's own engine works; while it does not, the turns are left to others.
        gone: Called where a provider says that nobody lives at a channel any more.
        width: How many beats are under way at once.
    """

    def __init__(
        self,
        turns: DeadManTurns,
        snapshots: SnapshotSource,
        notifier: Notifier,
        secrets: Callable[[TenantId, Channel], Awaitable[Mapping[str, str]]],
        clock: Clock,
        dice: Dice,
        observer: WatchObserver,
        works: Callable[[], bool],
        gone: Callable[[TenantId, ChannelId], Awaitable[None]],
        *,
        width: int = 100,
    ) -> None:
        self._turns = turns
        self._snapshots = snapshots
        self._notifier = notifier
        self._secrets = secrets
        self._clock = clock
        self._dice = dice
        self._observer = observer
        self._works = works
        self._gone = gone
        self._width = width
        self._beats: set[asyncio.Task[None]] = set()

    async def run(self) -> NoReturn:
        """Beat, for as long as it runs."""
        while True:
            try:
                await self.turn()
            except Exception as error:  # noqa: BLE001  (the loop outlives any failure)
                self._observer.failed("dead man", error)
            await self._clock.sleep(LOOK_EVERY)

    async def turn(self) -> None:
        """Give every tenant its turn whose time has come, as many as there is room for."""
        room = self._width - len(self._beats)
        if room <= 0 or not self._works():
            return
        for tenant_id in await self._turns.due(self._clock.now(), room):
            try:
                if await self._turns.claim(tenant_id, self._clock.now(), EVERY):
                    await self._turn_of(tenant_id)
            except AlertGraphError as error:
                # One tenant's trouble takes nobody else's beat away.
                self._observer.failed("dead man", error)

    async def settle(self) -> None:
        """Return once no beat is under way any more."""
        while self._beats:
            await asyncio.gather(*self._beats, return_exceptions=True)

    async def _turn_of(self, tenant_id: TenantId) -> None:
        now = self._clock.now()
        async with self._snapshots.snapshot(tenant_id) as snapshot:
            config = await snapshot.config()
            tenant = await snapshot.tenant()
            health = health_of(await snapshot.engine_figures(now), now)
        channel_id = config.settings.dead_man_channel_id
        channel = config.catalog.channels.get(channel_id) if channel_id is not None else None
        if channel is None:
            return
        if not channel.enabled:
            self._observer.beaten(tenant_id, outcome="withheld", why="the channel is disabled")
            return
        if not health.keeps_paging:
            broken = ", ".join(violation.invariant for violation in health.violations)
            self._observer.beaten(tenant_id, outcome="withheld", why=broken)
            return
        message = Message(
            DeliveryId(uuid7(now, self._dice.bits(74))), tenant.name, Purpose.ALIVE, alerts=(), at=now
        )
        beat = asyncio.create_task(self._send(tenant_id, channel, message))
        self._beats.add(beat)
        beat.add_done_callback(self._beats.discard)

    async def _send(self, tenant_id: TenantId, channel: Channel, message: Message) -> None:
        try:
            secrets = await self._secrets(tenant_id, channel)
            async with asyncio.timeout(SEND_TIMEOUT.total_seconds()):
                # The channel's template is made for alerts, and there is none to tell of.
                result = await self._notifier.send(replace(channel, template=None), secrets, None, message)
            if result.delivered:
                self._observer.beaten(tenant_id, outcome="sent")
                return
            self._observer.beaten(tenant_id, outcome="failed", why=result.error)
            if result.gone:
                await self._gone(tenant_id, channel.id)
        except TimeoutError:
            why = f"no answer within {SEND_TIMEOUT.total_seconds():g} s"
            self._observer.beaten(tenant_id, outcome="failed", why=why)
        except Exception as error:  # noqa: BLE001  (one beat's failure is no other's)
            self._observer.failed("dead man", error)
