"""What happens by itself: alerts that climb, are held, end or are given back when their time has come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NoReturn

from alertgraph.core.action import ById, Judge
from alertgraph.core.actor import ENGINE
from alertgraph.core.alert import Alert, AlertStatus, HoldReason, alert_match_values
from alertgraph.core.batch import Outcome, Request
from alertgraph.core.escalation import JUDGED_AGAIN
from alertgraph.core.ids import AlertId, TenantId, uuid7
from alertgraph.core.inhibition import InhibitionRule, source_keys, target_keys
from alertgraph.core.noise import JUDGED_WITHIN, NO_EVIDENCE, NoiseEvidence, may_be_held, waits_until
from alertgraph.services.lanes import Lanes
from alertgraph.services.open_alerts import OpenAlerts
from alertgraph.services.ports import Clock, Dice, DueWork, NoiseBook, PagerObserver, Wakeups

TENANT_COUNT_MAX = 50
ALERT_COUNT_MAX = 100
SOURCE_COUNT_MAX = 1000
POLL_EVERY = timedelta(seconds=5)
HEED_EVERY = timedelta(seconds=1)
"""How often hints of other processes make the engine look before its time."""
UNJUDGED_EVERY = timedelta(seconds=1)
"""How often tenants are looked for whose configuration has changed."""
AGAIN_AFTER = timedelta(seconds=5)
"""When an alert is looked at again that was due and came to nothing: never at once."""


class Engine:
    """Carries out what has fallen due, tenant by tenant, oldest first.

    Any number of engines may run: each tenant's turn is claimed, and what was decided on stale ground is refused.

    Args:
        worked: Called after each time the store answered: whoever watches over it learns that it is there.
        noise: What holding likely noise goes by; None where nothing is held.
        poll_every: A net beneath the hints.
    """

    def __init__(
        self,
        due: DueWork,
        lanes: Lanes,
        memory: OpenAlerts,
        clock: Clock,
        dice: Dice,
        observer: PagerObserver,
        worked: Callable[[], None] = lambda: None,
        *,
        noise: NoiseBook | None = None,
        poll_every: timedelta = POLL_EVERY,
    ) -> None:
        self._due = due
        self._lanes = lanes
        self._memory = memory
        self._clock = clock
        self._dice = dice
        self._observer = observer
        self._worked = worked
        self._noise = noise
        self._poll_every = poll_every
        self._woken = asyncio.Event()
        self._wakes_at: datetime | None = None
        self._judges_at: datetime | None = None
        self._freed: set[TenantId] = set()
        # The inhibition rules under which this process found what is a source, by tenant.
        self._sourced: dict[TenantId, tuple[InhibitionRule, ...]] = {}

    def schedule(self, at: datetime) -> None:
        """Learn of a due time; wakes the engine where it would have slept past it."""
        if self._wakes_at is None or at < self._wakes_at:
            self._woken.set()

    def configured(self) -> None:
        """Learn that somebody's configuration has changed."""
        self._judges_at = None
        self._woken.set()

    def freed(self, tenant_id: TenantId) -> None:
        """Learn that an alert has ended which may have covered others."""
        self._freed.add(tenant_id)
        self._woken.set()

    async def run(self) -> NoReturn:
        """Work, for as long as it runs."""
        while True:
            try:
                # From here on, whoever schedules something ends the next sleep.
                self._woken.clear()
                moved = await self.turn()
                moved += await self.judge_anew()
                self._worked()
                if moved:
                    continue
                wakes_at = self._clock.now() + self._poll_every
                next_due_at = await self._due.next_due_at()
                self._wakes_at = min(wakes_at, next_due_at) if next_due_at is not None else wakes_at
                await self._sleep(self._wakes_at - self._clock.now())
            except Exception as error:  # noqa: BLE001  (the loop outlives any failure)
                self._observer.failed("engine", error)
                await self._clock.sleep(timedelta(seconds=1))

    async def heed(self, wakeups: Wakeups) -> NoReturn:
        """Look at once for what has fallen due by what other processes wrote, as long as it runs."""
        while True:
            try:
                told = wakeups.listen()
                while True:
                    await anext(told)
                    # What is told meanwhile, of whatever tenant, comes to one look more.
                    told = wakeups.listen()
                    self.schedule(self._clock.now())
                    await self._clock.sleep(HEED_EVERY)
            except StopAsyncIteration:
                # The wake-ups are closed, or begin anew.
                pass
            except Exception as error:  # noqa: BLE001  (the loop outlives any failure; the poll finds what is due)
                self._observer.failed("engine hints", error)
            await self._clock.sleep(POLL_EVERY)

    async def turn(self) -> int:
        """Give every tenant that has something due one turn; return how many alerts were acted on."""
        acted = 0
        for tenant_id in await self._due.due_tenants(self._clock.now(), TENANT_COUNT_MAX):
            try:
                async with self._due.claim(tenant_id) as is_mine:
                    if is_mine:
                        acted += await self._turn_of(tenant_id)
            except Exception as error:  # noqa: BLE001
                # A busy or broken tenant goes to the back of the queue, and keeps nobody else waiting.
                self._observer.failed("engine", error)
        return acted

    async def judge_anew(self) -> int:
        """Look at held alerts that a changed configuration, or the end of a bigger alert, may set free.

        Returns:
            How many tenants had such.
        """
        now = self._clock.now()
        if self._judges_at is not None and now < self._judges_at:
            return 0
        self._judges_at = now + UNJUDGED_EVERY
        freed, self._freed = self._freed, set()
        tenant_ids = {*await self._due.unjudged_tenants(TENANT_COUNT_MAX), *freed}
        for tenant_id in tenant_ids:
            try:
                async with self._due.claim(tenant_id) as is_mine:
                    if is_mine:
                        await self._judge_anew_of(tenant_id)
            except Exception as error:  # noqa: BLE001  (as above)
                self._observer.failed("engine", error)
        return len(tenant_ids)

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
        evidence = await self._evidence(tenant_id, due)
        waiting = await self._waiting(tenant_id, due, evidence, now)
        if waiting:
            due = [alert for alert in due if alert.id not in waiting]
            if not due:
                return len(found)
        covered = await self._inhibited(tenant_id, due)
        request = Request(
            tuple(
                Judge(ById(alert.id), covered.get(alert.id, ()), evidence.get(alert.id, NO_EVIDENCE))
                for alert in due
            ),
            tuple(AlertId(uuid7(now, self._dice.bits(74))) for _ in due),
            ENGINE,
        )
        outcomes = await self._lanes.submit(tenant_id, request)
        held_count = sum(
            before.held is not HoldReason.PREDICTED_NOISE
            and outcome.alert is not None
            and outcome.alert.held is HoldReason.PREDICTED_NOISE
            for before, outcome in zip(due, outcomes, strict=True)
        )
        if held_count:
            self._observer.held_as_noise(alerts=held_count)
        await self._rearm_unchanged(tenant_id, outcomes)
        oldest = min(alert.due_at or now for alert in due)
        self._observer.judged(alerts=len(due), late_seconds=max(0.0, (now - oldest).total_seconds()))
        return len(found)

    async def _evidence(self, tenant_id: TenantId, alerts: Sequence[Alert]) -> Mapping[AlertId, NoiseEvidence]:
        """Return what is known of alerts whose pages may be held as noise; nothing where it can't be read."""
        rules = (await self._lanes.config(tenant_id)).settings.noise
        if self._noise is None or not rules.is_armed:
            return {}
        asked = [alert for alert in alerts if may_be_held(alert) and alert.held is not HoldReason.PREDICTED_NOISE]
        if not asked:
            return {}
        try:
            async with asyncio.timeout(JUDGED_WITHIN.total_seconds()):
                return await self._noise.evidence(tenant_id, asked)
        except Exception as error:  # noqa: BLE001  (whatever ails it, no page waits for it)
            self._observer.failed("noise", error)
            return {}

    async def _waiting(
        self,
        tenant_id: TenantId,
        alerts: Sequence[Alert],
        evidence: Mapping[AlertId, NoiseEvidence],
        now: datetime,
    ) -> Mapping[AlertId, datetime]:
        """Put off alerts whose prediction is on its way, and return until when: a second at most."""
        if not evidence:
            return {}
        rules = (await self._lanes.config(tenant_id)).settings.noise
        waiting = {
            alert.id: until
            for alert in alerts
            if alert.id in evidence
            and (until := waits_until(alert, evidence[alert.id].policy, rules, now)) is not None
        }
        if waiting:
            await self._due.rearm(tenant_id, [one for one in alerts if one.id in waiting], min(waiting.values()))
        return waiting

    async def _rearm_unchanged(self, tenant_id: TenantId, outcomes: Sequence[Outcome]) -> None:
        """Put off alerts on which nothing was decided: still silenced, or somebody was faster."""
        now = self._clock.now()
        unchanged = [
            outcome.alert
            for outcome in outcomes
            if outcome.alert is not None and not outcome.changed and outcome.alert.is_open
        ]
        later = [alert for alert in unchanged if alert.due_at is not None and alert.due_at > now]
        if later:
            await self._due.rearm(tenant_id, later)
            memory = self._memory.get(tenant_id)
            if memory is not None:
                for alert in later:
                    memory.keep(alert)
        stuck = [alert for alert in unchanged if alert.due_at is None or alert.due_at <= now]
        if stuck:
            await self._due.rearm(tenant_id, stuck, now + AGAIN_AFTER)

    async def _inhibited(self, tenant_id: TenantId, alerts: Sequence[Alert]) -> dict[AlertId, tuple[AlertId, ...]]:
        """Return the bigger alerts that cover these, where any do."""
        rules = (await self._lanes.config(tenant_id)).catalog.inhibitions
        if not rules:
            return {}
        keys = {
            alert.id: target_keys(rules, alert_match_values(alert))
            for alert in alerts
            if alert.status is AlertStatus.TRIGGERED
        }
        asked = frozenset(key for of_one in keys.values() for key in of_one)
        if not asked:
            return {}
        sources = await self._due.inhibitors(tenant_id, asked)
        return {
            alert_id: tuple(
                dict.fromkeys(source for key in of_one for source in sources.get(key, ()) if source != alert_id)
            )
            for alert_id, of_one in keys.items()
        }

    async def _judge_anew_of(self, tenant_id: TenantId) -> None:
        rules = (await self._lanes.config(tenant_id, anew=True)).catalog.inhibitions
        if rules and self._sourced.get(tenant_id) != rules:
            after: AlertId | None = None
            while alerts := await self._due.sources(tenant_id, after, SOURCE_COUNT_MAX):
                await self._due.keep_sources(
                    tenant_id,
                    {alert.id: source_keys(rules, alert_match_values(alert)) for alert in alerts},
                    {alert.id: alert.version for alert in alerts},
                )
                after = alerts[-1].id
        self._sourced[tenant_id] = rules
        looked_at = await self._due.judge_anew(tenant_id, self._clock.now(), None)
        while looked_at is not None:
            looked_at = await self._due.judge_anew(tenant_id, self._clock.now(), looked_at)

    async def _sleep(self, duration: timedelta) -> None:
        sleeper = asyncio.ensure_future(self._clock.sleep(max(timedelta(0), duration)))
        waker = asyncio.ensure_future(self._woken.wait())
        try:
            await asyncio.wait((sleeper, waker), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sleeper, waker):
                task.cancel()
            self._wakes_at = None


def _split(alerts: Sequence[Alert], now: datetime) -> tuple[list[Alert], list[Alert]]:
    """Tell those that are due from those that were put off since they were queued.

    What a change of configuration may set free is due whatever its own clock says: it was made due for that.
    """
    due: list[Alert] = []
    early: list[Alert] = []
    for alert in alerts:
        is_due = (alert.due_at is not None and alert.due_at <= now) or alert.held in JUDGED_AGAIN
        (due if is_due else early).append(alert)
    return due, early
