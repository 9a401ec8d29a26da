"""The write path: commands of one tenant that arrive together become one flush.

No timer is needed: while a flush is on its way, what arrives waits, and the next flush takes all of it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from alertgraph.core.action import ById, Report, target_of
from alertgraph.core.alert import Alert, check_dedup_key
from alertgraph.core.batch import Batch, Outcome, Request
from alertgraph.core.errors import AlertGraphError, DependencyError, NotFoundError, StaleDecisionError
from alertgraph.core.event import StoredEvent
from alertgraph.core.flush import (
    COMMAND_COUNT_MAX,
    EVENT_COUNT_MAX,
    Appended,
    Flush,
    IdempotencyKey,
    Loaded,
    Reliance,
    TenantConfig,
)
from alertgraph.core.ids import AlertId, DeliveryId, FlushId, IncidentId, TenantId
from alertgraph.core.incident import Incident
from alertgraph.core.incident_action import alerts_named
from alertgraph.core.value import replace
from alertgraph.services.open_alerts import TENANT_ALERT_COUNT_MAX, OpenAlerts, TenantMemory
from alertgraph.services.ports import (
    Clock,
    CommittedEvents,
    Dice,
    LostCommitError,
    Observer,
    PoisonError,
    TenantLog,
)

REFUSAL_COUNT_MAX = 3
LOCKED_TRY_COUNT_MAX = 5
# Waiting actions of one tenant; more is answered with UNAVAILABLE at once instead of after a time-out.
QUEUE_LENGTH_MAX = 20_000
# Configuration that was not proved by an append for this long is read again.
CONFIG_AGE_MAX = timedelta(seconds=30)


@dataclass(slots=True)
class _Pending:
    request: Request
    answered: asyncio.Future[tuple[Outcome, ...]]
    queued_at: datetime


class _Lane:
    """One tenant's queue; at most one flush of it is under way in this process."""

    __slots__ = ("busy", "length", "queue", "tenant_id")

    def __init__(self, tenant_id: TenantId) -> None:
        self.tenant_id = tenant_id
        self.queue: deque[_Pending] = deque()
        self.length = 0
        self.busy = False

    def take(self) -> list[_Pending]:
        """Return what the next flush is made of, in order."""
        taken: list[_Pending] = []
        room = EVENT_COUNT_MAX
        while self.queue and len(taken) < COMMAND_COUNT_MAX:
            size = self.queue[0].request.size
            if taken and size > room:
                break
            taken.append(self.queue.popleft())
            room -= size
            self.length -= size
        return taken


class Lanes:
    """Takes requests of all tenants and answers each once it is committed.

    Args:
        log: Where flushes go.
        committed: Called with the events of each flush right after its commit; must not wait.
        scheduled: Called with the earliest due time of the alerts that a flush wrote.
        posted: Called with the earliest due time of the deliveries that a flush wrote or made due.
        width: How many flushes may be under way at once, each of another tenant.
        level_max: The highest level that can be climbed to.
    """

    def __init__(
        self,
        log: TenantLog,
        memory: OpenAlerts,
        clock: Clock,
        dice: Dice,
        observer: Observer,
        committed: Callable[[CommittedEvents], None],
        scheduled: Callable[[datetime], None],
        *,
        posted: Callable[[datetime], None] = lambda _: None,
        width: int = 4,
        level_max: int = 5,
    ) -> None:
        self._log = log
        self._memory = memory
        self._clock = clock
        self._dice = dice
        self._observer = observer
        self._committed = committed
        self._scheduled = scheduled
        self._posted = posted
        self._level_max = level_max
        self._lanes: dict[TenantId, _Lane] = {}
        self._ready: deque[_Lane] = deque()
        self._idle_width = width
        self._flushes: set[asyncio.Task[None]] = set()
        self._closed = False

    async def submit(self, tenant_id: TenantId, request: Request) -> tuple[Outcome, ...]:
        """Have a request carried out; return once it is committed, one outcome for each action.

        Raises:
            DependencyError: The store is away, too much is waiting, or the process is going down.
            NotFoundError: There is no such tenant.
        """
        return await self.enqueue(tenant_id, request)

    def enqueue(self, tenant_id: TenantId, request: Request) -> asyncio.Future[tuple[Outcome, ...]]:
        """Queue a request at once, keeping the order of calls; await the result for its outcomes."""
        if self._closed:
            raise DependencyError("alertgraph", retryable=True, message="The service is going down; try again.")
        lane = self._lanes.get(tenant_id)
        if lane is None:
            lane = self._lanes[tenant_id] = _Lane(tenant_id)
        size = request.size
        if lane.length + size > QUEUE_LENGTH_MAX:
            raise DependencyError(
                "alertgraph", retryable=True, message="Too many commands of this tenant are waiting; try again."
            )
        answered: asyncio.Future[tuple[Outcome, ...]] = asyncio.get_running_loop().create_future()
        lane.queue.append(_Pending(request, answered, self._clock.now()))
        lane.length += size
        if not lane.busy:
            lane.busy = True
            self._ready.append(lane)
            self._start()
        return answered

    async def config(self, tenant_id: TenantId, *, anew: bool = False) -> TenantConfig:
        """Return a tenant's configuration as this process knows it, at most half a minute old; `anew`, as it is.

        Raises:
            DependencyError: The store is away.
            NotFoundError: There is no such tenant.
        """
        return (await self._remembered(tenant_id, doubted=anew)).config

    async def drain(self) -> None:
        """Take no more and return once everything queued is answered."""
        self._closed = True
        while self._flushes:
            await asyncio.gather(*self._flushes, return_exceptions=True)

    @property
    def queue_length(self) -> int:
        """How many actions wait for a flush."""
        return sum(lane.length for lane in self._lanes.values())

    def oldest_wait(self) -> timedelta:
        """Return how long the command that waits longest has waited."""
        heads = [lane.queue[0].queued_at for lane in self._lanes.values() if lane.queue]
        return self._clock.now() - min(heads) if heads else timedelta(0)

    def _start(self) -> None:
        while self._ready and self._idle_width > 0:
            self._idle_width -= 1
            task = asyncio.create_task(self._run())
            self._flushes.add(task)
            task.add_done_callback(self._flushes.discard)

    async def _run(self) -> None:
        """Flush lane after lane, round robin, until none has anything."""
        try:
            while self._ready:
                lane = self._ready.popleft()
                await self._flush_lane(lane)
                if lane.queue:
                    self._ready.append(lane)
                else:
                    lane.busy = False
                    del self._lanes[lane.tenant_id]
        finally:
            self._idle_width += 1

    async def _flush_lane(self, lane: _Lane) -> None:
        taken = lane.take()
        started = self._clock.now()
        for pending in taken:
            self._observer.queued((started - pending.queued_at).total_seconds())
        await self._attempt(lane.tenant_id, taken)

    async def _attempt(self, tenant_id: TenantId, taken: Sequence[_Pending]) -> None:
        """Write these commands; where that fails, tell those who wait for them and nobody else."""
        started = self._clock.now()
        try:
            await self._write(tenant_id, taken, started)
            return
        except AlertGraphError as error:
            _fail(taken, error)
        except Exception as error:  # noqa: BLE001  (the lane outlives any failure; who waits is told)
            self._observer.failed("lanes", error)
            _fail(taken, error)
        seconds = (self._clock.now() - started).total_seconds()
        self._observer.flushed(commands=len(taken), events=0, seconds=seconds, outcome="failed")

    async def _write(self, tenant_id: TenantId, taken: Sequence[_Pending], started: datetime) -> None:
        """Write these commands, splitting them where they stand in one another's way."""
        asked = _Asked.of(taken)
        for refusals in range(REFUSAL_COUNT_MAX):
            try:
                decided = await self._decided(tenant_id, taken, asked, doubted=refusals > 0)
                if decided.batch.is_empty:
                    _answer(taken, decided.outcomes)
                    return
                appended = await self._append(tenant_id, decided.flush)
            except StaleDecisionError:
                self._observer.flushed(commands=len(taken), events=0, seconds=0.0, outcome="refused")
                asked.add(decided)
                continue
            except (PoisonError, UndecidableError) as error:
                if len(taken) > 1:
                    await self._write_halves(tenant_id, taken)
                    return
                if isinstance(error, UndecidableError):
                    raise
                self._observer.failed("lanes", error)
                raise _refused() from error
            if appended is not None:
                self._settle(tenant_id, taken, decided, appended, started)
                return
        if len(taken) > 1:
            await self._write_halves(tenant_id, taken)
        else:
            await self._write_locked(tenant_id, taken, asked, started)

    async def _write_halves(self, tenant_id: TenantId, taken: Sequence[_Pending]) -> None:
        middle = len(taken) // 2
        for half in (taken[:middle], taken[middle:]):
            await self._attempt(tenant_id, half)

    async def _write_locked(
        self, tenant_id: TenantId, taken: Sequence[_Pending], asked: _Asked, started: datetime
    ) -> None:
        """The slow way: load and decide while the head's lock is held, so that nobody can be faster."""
        tries: list[_Decided] = []

        def decide(config: TenantConfig, loaded: Loaded) -> Flush:
            tries.append(self._decide(config, loaded, taken))
            if not tries[-1].batch.is_decided:
                raise StaleDecisionError("It came to incidents that were not asked for.")
            return tries[-1].flush

        for _ in range(LOCKED_TRY_COUNT_MAX):
            tries.clear()
            appended: Appended | None
            try:
                _, appended = await self._log.append_locked(
                    tenant_id,
                    asked.keys,
                    asked.alert_ids,
                    asked.idempotency_keys,
                    decide,
                    asked.delivery_ids,
                    asked.incident_ids,
                    asked.group_keys,
                )
            except StaleDecisionError:
                asked.add(tries[-1])
                continue
            except PoisonError as error:
                self._observer.failed("lanes", error)
                raise _refused() from error
            except LostCommitError as error:
                self._observer.failed("lanes", error)
                appended = await self._log.find_flush(tenant_id, tries[-1].flush) if tries else None
            if appended is not None:
                self._settle(tenant_id, taken, tries[-1], appended, started)
                return
        raise DependencyError(
            "postgresql", retryable=True, message="The alert changes too quickly to be written; try again."
        )

    async def _append(self, tenant_id: TenantId, flush: Flush) -> Appended | None:
        """Append; None where the answer was lost and it turned out that nothing was written."""
        try:
            return await self._log.append(tenant_id, flush)
        except LostCommitError as error:
            # A commit is never taken for failed because its answer was late: ask the log itself.
            self._observer.failed("lanes", error)
            return await self._log.find_flush(tenant_id, flush)

    async def _decided(
        self, tenant_id: TenantId, taken: Sequence[_Pending], asked: _Asked, *, doubted: bool
    ) -> _Decided:
        """Decide on what is remembered; with `doubted`, on what is loaded anew."""
        memory = await self._remembered(tenant_id, doubted=doubted)
        loaded, is_remembered = await self._load(tenant_id, memory, asked, trusted=not doubted)
        decided = await self._decided_on(tenant_id, memory, loaded, taken, trusted=not doubted)
        if decided.batch.is_empty and not doubted:
            # No append will check what was remembered: look before anybody is told that nothing is to be done.
            reliance, known = decided.flush.reliance, memory.config
            memory = await self._remembered(tenant_id, doubted=True)
            relied = is_remembered and (reliance.keys or reliance.alerts)
            if memory.config.version != known.version or relied or reliance.incidents:
                loaded, _ = await self._load(tenant_id, memory, asked, trusted=False)
                decided = await self._decided_on(tenant_id, memory, loaded, taken, trusted=False)
        return decided

    async def _decided_on(
        self,
        tenant_id: TenantId,
        memory: TenantMemory,
        loaded: Loaded,
        taken: Sequence[_Pending],
        *,
        trusted: bool,
    ) -> _Decided:
        """Decide, and where that comes to incidents, decide anew with them: alerts tell which these are."""
        decided = self._decide(memory.config, loaded, taken)
        if decided.batch.is_decided:
            return decided
        if not trusted:
            memory.forget_incidents()
        incidents: dict[IncidentId, Incident | None] = {}
        groups: dict[bytes, Incident | None] = {}
        while not decided.batch.is_decided:
            ids, keys = decided.batch.missing_incidents, decided.batch.missing_groups
            incidents |= {each: memory.incidents[each] for each in ids if each in memory.incidents}
            groups |= {key: memory.incidents[memory.groups[key]] for key in keys if key in memory.groups}
            unknown_ids, unknown_keys = ids - incidents.keys(), keys - groups.keys()
            if unknown_ids or unknown_keys:
                found = await self._log.load_incidents(tenant_id, unknown_ids, unknown_keys)
                incidents |= found.by_id
                groups |= found.by_key
                for incident in (*found.by_id.values(), *found.by_key.values()):
                    if incident is not None:
                        memory.keep_incident(incident)
            decided = self._decide(memory.config, replace(loaded, incidents=incidents, groups=groups), taken)
        return decided

    async def _load(
        self, tenant_id: TenantId, memory: TenantMemory, asked: _Asked, *, trusted: bool
    ) -> tuple[Loaded, bool]:
        """Return what the commands are about, and whether any of it was only remembered."""
        if not trusted:
            memory.doubt(asked.keys, asked.alert_ids)
        by_key = {key: memory.by_key[key] for key in asked.keys if key in memory.by_key}
        by_id = {alert_id: memory.by_id[alert_id] for alert_id in asked.alert_ids if alert_id in memory.by_id}
        # Where every open alert is remembered, a key that is not has none.
        missing_keys = [key for key in asked.keys if (memory.lacks(key) if trusted else key not in by_key)]
        missing_ids = [alert_id for alert_id in asked.alert_ids if alert_id not in by_id]
        is_remembered = len(missing_keys) < len(asked.keys) or bool(by_id)
        if not (missing_keys or missing_ids or asked.idempotency_keys or asked.delivery_ids):
            return Loaded(by_key, by_id, {}), is_remembered
        loaded = await self._log.load(
            tenant_id, missing_keys, missing_ids, asked.idempotency_keys, asked.delivery_ids
        )
        memory.changed.difference_update(missing_keys)
        for alert in (*loaded.by_key.values(), *loaded.by_id.values()):
            memory.keep(alert)
        both = Loaded({**by_key, **loaded.by_key}, {**by_id, **loaded.by_id}, loaded.answers, loaded.deliveries)
        return both, is_remembered

    async def _remembered(self, tenant_id: TenantId, *, doubted: bool) -> TenantMemory:
        """Return what is remembered of a tenant, with a configuration that was proved or read lately."""
        memory = self._memory.get(tenant_id)
        if memory is None:
            return await self._remember(tenant_id)
        if doubted or self._clock.now() - memory.read_at > CONFIG_AGE_MAX:
            config = await self._log.config(tenant_id)
            if config is None:
                self._memory.drop(tenant_id)
                raise NotFoundError("There is no such tenant.")
            memory.config, memory.read_at = config, self._clock.now()
        return memory

    async def _remember(self, tenant_id: TenantId) -> TenantMemory:
        config = await self._log.config(tenant_id)
        if config is None:
            raise NotFoundError("There is no such tenant.")
        alerts, complete = await self._log.open_alerts(tenant_id, TENANT_ALERT_COUNT_MAX // 2)
        memory = TenantMemory(config, self._clock.now(), complete)
        for alert in reversed(alerts):
            # The oldest first, since the one remembered longest is forgotten first.
            memory.keep(alert)
        self._memory.put(tenant_id, memory)
        return memory

    def _decide(self, config: TenantConfig, loaded: Loaded, taken: Sequence[_Pending]) -> _Decided:
        batch = Batch(loaded, config, self._clock.now(), self._level_max)
        try:
            outcomes = [batch.apply(pending.request) for pending in taken]
            flush = batch.flush(FlushId(UUID(int=self._dice.bits(128)))) if batch.is_decided else _NOTHING
        except Exception as error:
            # A fault of ours; but a command that can't be decided must not take its neighbours along.
            raise UndecidableError(f"{type(error).__name__} while deciding") from error
        return _Decided(batch, outcomes, flush)

    def _settle(
        self,
        tenant_id: TenantId,
        taken: Sequence[_Pending],
        decided: _Decided,
        appended: Appended,
        started: datetime,
    ) -> None:
        """After the commit: remember, answer, and pass the events on."""
        final: dict[AlertId, Alert] = {}
        flush, counts = decided.flush, appended.occurrence_counts
        memory = self._memory.get(tenant_id)
        if memory is not None and flush.reliance.config_version == memory.config.version:
            memory.read_at = self._clock.now()
        incidents: dict[IncidentId, Incident] = {}
        for incident_id, (incident, last) in decided.batch.incidents().items():
            version = incident.version if last is None else appended.first_number + last
            incidents[incident_id] = replace(incident, version=version)
            if memory is not None:
                memory.keep_incident(incidents[incident_id])
        due: list[datetime] = []
        for alert_id, (alert, event_index) in decided.batch.alerts().items():
            if event_index is None and alert_id not in counts:
                continue  # looked at, and left as it is
            after = final[alert_id] = replace(
                alert,
                version=alert.version if event_index is None else appended.first_number + event_index,
                occurrence_count=counts.get(alert_id, alert.occurrence_count),
            )
            if memory is not None:
                memory.keep(after)
            # A repeat that changes nothing else moves no timer but this one.
            due_at = after.resolve_at if event_index is None else after.due_at
            if due_at is not None:
                due.append(due_at)
        _answer(
            taken,
            [
                tuple(
                    replace(outcome, alert=final[outcome.alert.id])
                    if outcome.alert is not None and outcome.alert.id in final
                    else outcome
                    for outcome in group
                )
                for group in (_with_incidents(decided.outcomes, incidents) if incidents else decided.outcomes)
            ],
        )
        if due:
            self._scheduled(min(due))
        posts = [delivery.due_at for delivery in flush.deliveries]
        if any(write.skips_pages for write in flush.writes):
            posts.append(appended.recorded_at)
        if posts:
            self._posted(min(posts))
        seconds = (self._clock.now() - started).total_seconds()
        self._observer.flushed(
            commands=len(taken),
            events=len(flush.events),
            seconds=seconds,
            outcome="committed" if flush.events else "touched",
        )
        if flush.events:
            self._committed(CommittedEvents(tenant_id, flush.id, stored_events(flush, appended)))


# Stands for the flush of what has to be decided anew; it is never appended.
_NOTHING = Flush(FlushId(UUID(int=0)), Reliance())


class UndecidableError(Exception):
    """A decision failed where it should have refused: a fault of ours, told by its cause."""


@dataclass(frozen=True, slots=True)
class _Decided:
    """What some commands come to."""

    batch: Batch
    outcomes: list[tuple[Outcome, ...]]
    flush: Flush


class _Asked:
    """Which state some commands are about."""

    def __init__(
        self,
        keys: set[str],
        alert_ids: set[AlertId],
        idempotency_keys: Collection[IdempotencyKey],
        delivery_ids: Collection[DeliveryId],
    ) -> None:
        self.keys = keys
        self.alert_ids = alert_ids
        self.idempotency_keys = idempotency_keys
        self.delivery_ids = delivery_ids
        # What deciding turns out to be about: no command names all of it.
        self.incident_ids: set[IncidentId] = set()
        self.group_keys: set[bytes] = set()

    @classmethod
    def of(cls, taken: Sequence[_Pending]) -> _Asked:
        """Return what the commands name."""
        actions = [action for pending in taken for action in pending.request.actions]
        targets = [target_of(action) for action in actions]
        named = [
            alert_id
            for pending in taken
            if pending.request.incident is not None
            for alert_id in alerts_named(pending.request.incident)
        ]
        return cls(
            # A key that no store can take is refused without being looked up.
            {
                target.dedup_key
                for target in targets
                if not isinstance(target, ById) and not check_dedup_key(target.dedup_key)
            },
            {*named, *(target.alert_id for target in targets if isinstance(target, ById))},
            [pending.request.idempotency for pending in taken if pending.request.idempotency is not None],
            [action.finish.delivery_id for action in actions if isinstance(action, Report)],
        )

    def add(self, decided: _Decided) -> None:
        """Also ask for what deciding turned out to rely on, and for what was missing."""
        reliance, batch = decided.flush.reliance, decided.batch
        self.keys |= reliance.keys.keys()
        self.alert_ids |= reliance.alerts.keys()
        self.incident_ids |= reliance.incidents.keys() | batch.missing_incidents
        self.group_keys |= reliance.group_keys.keys() | batch.missing_groups


def stored_events(flush: Flush, appended: Appended) -> list[StoredEvent]:
    """Return a flush's events in their place in the log."""
    last = len(flush.events) - 1
    return [
        StoredEvent(
            number=appended.first_number + index,
            recorded_at=appended.recorded_at,
            flush_id=flush.id,
            event=sealed.event,
            content=sealed.content,
            leaf=sealed.leaf,
            link=appended.link if index == last else None,
        )
        for index, sealed in enumerate(flush.events)
    ]


def _with_incidents(
    outcomes: Sequence[tuple[Outcome, ...]], incidents: Mapping[IncidentId, Incident]
) -> list[tuple[Outcome, ...]]:
    """Return outcomes with the incidents as they were written."""
    return [
        tuple(
            replace(outcome, incident=incidents[outcome.incident.id])
            if outcome.incident is not None and outcome.incident.id in incidents
            else outcome
            for outcome in group
        )
        for group in outcomes
    ]


def _refused() -> DependencyError:
    return DependencyError("postgresql", retryable=False, message="The store refuses this command.")


def _answer(taken: Sequence[_Pending], outcomes: Sequence[tuple[Outcome, ...]]) -> None:
    for pending, outcome in zip(taken, outcomes, strict=True):
        if not pending.answered.done():
            pending.answered.set_result(outcome)


def _fail(taken: Sequence[_Pending], error: Exception) -> None:
    for pending in taken:
        if not pending.answered.done():
            pending.answered.set_exception(error)
