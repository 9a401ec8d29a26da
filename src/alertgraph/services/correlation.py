"""Reads which alerts belong together from each tenant's log: links are kept, and incidents opened where it may."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import orjson

from alertgraph.core.actor import CORRELATION
from alertgraph.core.alert_link import AlertLink
from alertgraph.core.batch import Outcome, Request
from alertgraph.core.companionship import Companionship, Wish
from alertgraph.core.errors import NotFoundError
from alertgraph.core.event import StoredEvent
from alertgraph.core.flush import IdempotencyKey
from alertgraph.core.ids import TenantId
from alertgraph.core.incident_action import IncidentAction, MergeIncidents
from alertgraph.core.learning import ForeignStateError
from alertgraph.services.following import StateMismatch
from alertgraph.services.incidents import STEP_COUNT_MAX, merge_step
from alertgraph.services.lanes import Lanes
from alertgraph.services.ports import AlertLinks, Clock, Configuration, PairScorers, SnapshotSource, TenantLog

NAME: Final = "correlation"
# Of an alert that came longer ago nobody is told any more that it belongs elsewhere: who reads a log anew, or has
# been away, does not put the past in order.
ACT_WITHIN: Final = timedelta(minutes=15)
_OPERATION: Final = "correlate"


class CorrelationReader:
    """Opens readings of which alerts belong together. Fulfils `services.following.Reader`.

    Args:
        lanes: Through which incidents are acted on.
        scorers: Fits scorers of pairs; None where nobody can, and the table says all there is to say.
    """

    name = NAME

    def __init__(
        self,
        lanes: Lanes,
        log: TenantLog,
        configuration: Configuration,
        snapshots: SnapshotSource,
        links: AlertLinks,
        clock: Clock,
        scorers: PairScorers | None = None,
    ) -> None:
        self._lanes = lanes
        self._log = log
        self._configuration = configuration
        self._snapshots = snapshots
        self._links = links
        self._clock = clock
        self._scorers = scorers

    async def open(
        self,
        tenant_id: TenantId,
        state: bytes | None,
        now: datetime,  # noqa: ARG002  (the protocol's)
    ) -> CorrelationReading:
        """Return a tenant's reading as its state says; None begins anew, with what is set up at present.

        Raises:
            StateMismatch: Another release wrote it, or nobody did.
            DependencyError: The store is away.
        """
        if state is not None:
            recalled = _recalled(tenant_id, state)
            await self._adopt(recalled, recalled.fitted)
            return CorrelationReading(self, tenant_id, recalled)
        config = await self._log.config(tenant_id)
        if config is None:
            raise NotFoundError("There is no such tenant.")
        dependencies = await self._configuration.dependencies(tenant_id)
        is_enabled = config.settings.correlation_enabled
        return CorrelationReading(self, tenant_id, Companionship(tenant_id, dependencies, is_enabled=is_enabled))

    def may_act_on(self, stored: StoredEvent) -> bool:
        """Say whether an event is recent enough that incidents may change because of it."""
        return self._clock.now() - stored.recorded_at <= ACT_WITHIN

    async def fit(self, companionship: Companionship) -> None:
        """Have a scorer fitted on what people have said of pairs, where there is who can.

        It takes seconds, a few times in a tenant's life; the events wait, so that it comes at the same place of
        the log however often that is read.
        """
        examples = companionship.begin_fit()
        if self._scorers is not None:
            await self._adopt(companionship, await asyncio.to_thread(self._scorers.fit, examples))

    async def _adopt(self, companionship: Companionship, fitted: str | None) -> None:
        scorer = None
        if fitted is not None and self._scorers is not None:
            try:
                scorer = await asyncio.to_thread(self._scorers.load, fitted)
            except ForeignStateError:
                # Another release made it. The table does without, and the next one is fitted in its time.
                fitted = None
        companionship.adopt(scorer, fitted)

    async def keep(self, tenant_id: TenantId, links: Sequence[AlertLink], until: datetime) -> None:
        """Keep links, and that alerts were looked at up to an instant."""
        await self._links.keep(tenant_id, links, until)

    async def carry_out(self, tenant_id: TenantId, wish: Wish) -> bool:
        """Do what the model wants; return False where it was refused.

        Done again after a crash it comes to the same: what was answered once is answered again.

        Raises:
            DependencyError: The store is away.
        """
        outcome = await self._decided(tenant_id, wish.action, wish.number)
        if outcome.problem is not None:
            return False
        for _ in range(STEP_COUNT_MAX if wish.merges else 0):
            step, more = await merge_step(self._snapshots, tenant_id, wish.into, wish.merges)
            # Each step is whole, and finds what is left: it needs no key to be done once.
            merged = await self._decided(tenant_id, _grounded(step, wish), None)
            if merged.problem is not None or not more:
                break
        return True

    async def _decided(self, tenant_id: TenantId, action: IncidentAction, number: int | None) -> Outcome:
        key = None
        if number is not None:
            contents = hashlib.sha256(f"{tenant_id} {number}".encode()).digest()
            key = IdempotencyKey(_OPERATION, NAME, str(number), contents)
        request = Request((), (), CORRELATION, idempotency=key, incident=action)
        (outcome,) = await self._lanes.submit(tenant_id, request)
        return outcome


class CorrelationReading:
    """One tenant's. Fulfils `services.following.Reading`."""

    def __init__(self, reader: CorrelationReader, tenant_id: TenantId, companionship: Companionship) -> None:
        self._reader = reader
        self._tenant_id = tenant_id
        self._companionship = companionship

    @property
    def companionship(self) -> Companionship:
        """What is known of the tenant's alerts."""
        return self._companionship

    async def take(self, events: Sequence[StoredEvent]) -> None:
        """Take the next events: keep their links, and act on incidents where that is wanted."""
        links: list[AlertLink] = []
        for stored in events:
            taken = self._companionship.take(stored, may_act=self._reader.may_act_on(stored))
            if self._companionship.labels.is_fit_due:
                await self._reader.fit(self._companionship)
            links += taken.links
            if taken.wish is not None:
                is_done = await self._reader.carry_out(self._tenant_id, taken.wish)
                self._companionship.settle(taken.wish, is_done=is_done)
        await self._reader.keep(self._tenant_id, links, events[-1].recorded_at)

    async def tick(self, now: datetime) -> None:
        """Do nothing: groups that nothing can join any more are closed as alerts come."""

    def state(self) -> bytes:
        """Return all that is needed to go on from here, as JSON."""
        return orjson.dumps(self._companionship.told())


def _recalled(tenant_id: TenantId, state: bytes) -> Companionship:
    try:
        return Companionship.recalled(tenant_id, orjson.loads(state))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise StateMismatch(f"correlation was kept in another form: {error}") from error


def _grounded(step: MergeIncidents, wish: Wish) -> MergeIncidents:
    return MergeIncidents(step.into_id, step.incident_ids, step.alert_ids, step.complete, step.note, wish.grounds)
