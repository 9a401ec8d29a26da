"""What happens by itself: alerts that end or are given back when their time has come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from alertgraph.core.actor import ENGINE
from alertgraph.core.alert import Alert
from alertgraph.core.batch import Request
from alertgraph.core.errors import AlertGraphError
from alertgraph.core.ids import AlertId, TenantId, uuid7
from alertgraph.core.lifecycle import ById, Judge
from alertgraph.services.lanes import Lanes
from alertgraph.services.open_alerts import OpenAlerts
from alertgraph.services.ports import Clock, Dice, DueWork, Observer

TENANT_COUNT_MAX = 50
ALERT_COUNT_MAX = 100
POLL_EVERY = timedelta(seconds=5)


class Engine:
    """Carries out what has fallen due, tenant by tenant, oldest first.

    Any number of engines may run: each tenant's turn is claimed, and what was decided on stale ground is refused.
    """

    def __init__(
        self,
        due: DueWork,
        lanes: Lanes,
        memory: OpenAlerts,
        clock: Clock,
        dice: Dice,
        observer: Observer,
    ) -> None:
        self._due = due
        self._lanes = lanes
        self._memory = memory
        self._clock = clock
        self._dice = dice
        self._observer = observer
        self._woken = asyncio.Event()
        self._wakes_at: datetime | None = None

    def schedule(self, at: datetime) -> None:
        """Learn of a due time; wakes the engine where it would have slept past it."""
        if self._wakes_at is not None and at < self._wakes_at:
            self._woken.set()

    async def run(self) -> None:
        """Work, for as long as it runs."""
        while True:
            try:
                if await self.turn():
                    continue
                wakes_at = self._clock.now() + POLL_EVERY
                next_due_at = await self._due.next_due_at()
                self._wakes_at = min(wakes_at, next_due_at) if next_due_at is not None else wakes_at
                await self._sleep(self._wakes_at - self._clock.now())
            except AlertGraphError as error:
                self._observer.failed("engine", error)
                await self._clock.sleep(timedelta(seconds=1))
            except Exception as error:  # noqa: BLE001  (the loop outlives any failure)
                self._observer.failed("engine", error)
                await self._clock.sleep(timedelta(seconds=1))

    async def turn(self) -> int:
        """Give every tenant that has something due one turn; return how many alerts were acted on."""
        acted = 0
        for tenant_id in await self._due.due_tenants(self._clock.now(), TENANT_COUNT_MAX):
            async with self._due.claim(tenant_id) as is_mine:
                if is_mine:
                    acted += await self._turn_of(tenant_id)
        return acted

    async def _turn_of(self, tenant_id: TenantId) -> int:
        now = self._clock.now()
        found = await self._due.due_alerts(tenant_id, now, ALERT_COUNT_MAX)
        due, early = _split(found, now)
        if early:
            # A repeat moves the end of an alert without moving its place in the queue: that is done here, once
            # per time-out instead of once per repeat.
            await self._due.rearm(tenant_id, early)
        if not due:
            return len(early)
        memory = self._memory.get(tenant_id)
        if memory is not None:
            for alert in due:
                memory.keep(alert)
        request = Request(
            tuple(Judge(ById(alert.id)) for alert in due),
            tuple(AlertId(uuid7(now, self._dice.bits(74))) for _ in due),
            ENGINE,
        )
        await self._lanes.submit(tenant_id, request)
        return len(found)

    async def _sleep(self, duration: timedelta) -> None:
        self._woken.clear()
        sleeper = asyncio.ensure_future(self._clock.sleep(max(timedelta(0), duration)))
        waker = asyncio.ensure_future(self._woken.wait())
        try:
            await asyncio.wait((sleeper, waker), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sleeper, waker):
                task.cancel()
            self._wakes_at = None


def _split(alerts: Sequence[Alert], now: datetime) -> tuple[list[Alert], list[Alert]]:
    """Tell those that are due from those that were put off since they were queued."""
    due = [alert for alert in alerts if alert.due_at is not None and alert.due_at <= now]
    early = [alert for alert in alerts if alert.due_at is None or alert.due_at > now]
    return due, early
