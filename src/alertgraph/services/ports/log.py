"""A tenant's log and what is derived from it: the write side."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from alertgraph.core.alert import Alert
from alertgraph.core.cursor import LogCursor
from alertgraph.core.event import StoredEvent
from alertgraph.core.flush import Appended, Flush, Head, IdempotencyKey, Incidents, Loaded, TenantConfig
from alertgraph.core.ids import AlertId, DeliveryId, IncidentId, TenantId


class LostCommitError(Exception):
    """The connection broke while a commit was awaited: it may have happened or not."""


class PoisonError(Exception):
    """The store refuses a flush for what is in it; the message says what, without values."""


class TenantLog(Protocol):
    """The write side: a tenant's log and what is derived from it.

    Every method raises DependencyError where the store is away.
    """

    async def config(self, tenant_id: TenantId) -> TenantConfig | None:
        """Return the tenant's configuration; None where there is no such tenant."""
        ...

    async def open_alerts(self, tenant_id: TenantId, limit: int) -> tuple[Sequence[Alert], bool]:
        """Return open alerts, newest first, and whether these are all."""
        ...

    async def load(
        self,
        tenant_id: TenantId,
        keys: Collection[str],
        alert_ids: Collection[AlertId],
        idempotency_keys: Collection[IdempotencyKey],
        delivery_ids: Collection[DeliveryId] = (),
    ) -> Loaded:
        """Return the state that some commands are about, in one round trip and without a lock."""
        ...

    async def load_incidents(
        self, tenant_id: TenantId, ids: Collection[IncidentId], group_keys: Collection[bytes]
    ) -> Incidents:
        """Return incidents that decisions turned out to be about, in one round trip and without a lock."""
        ...

    async def append(self, tenant_id: TenantId, flush: Flush) -> Appended:
        """Write a flush: all of it or nothing, in one call.

        Args:
            tenant_id: Whose log.
            flush: What was decided.

        Raises:
            StaleDecisionError: Something the flush relied on has changed; nothing was written.
            LostCommitError: The connection broke while the answer was awaited: see `find_flush`.
            PoisonError: The store refuses these very rows, whatever the state; nothing was written.
            DependencyError: The store is away; nothing was written.
        """
        ...

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
        """Load, decide and write while the head's lock is held: the slow way, after repeated refusals.

        Raises:
            The same as `append`; StaleDecisionError only where `decide` relied on what it had not asked for.
        """
        ...

    async def find_flush(self, tenant_id: TenantId, flush: Flush) -> Appended | None:
        """Return what became of a flush whose answer was lost, once it can't be under way any more.

        Takes the head's lock, so that a commit still in progress is waited for. None: it was not written.
        """
        ...

    async def head(self, tenant_id: TenantId) -> Head | None:
        """Return where the tenant's log ends; None where there is no such tenant."""
        ...

    async def heads(self, tenant_ids: Collection[TenantId]) -> Mapping[TenantId, int]:
        """Return the number of the last event of each tenant: what the sweep for lost hints reads."""
        ...

    async def events_after(self, tenant_id: TenantId, after: LogCursor, limit: int) -> Sequence[StoredEvent]:
        """Return the events behind a position, in order and without a gap."""
        ...

    async def check_cursor(self, tenant_id: TenantId, cursor: LogCursor) -> None:
        """Return where one can read on from the cursor.

        Raises:
            CursorExpiredError: What is behind it is gone, or it is of another log.
        """
        ...


class Observer(Protocol):
    """Where services report what an operator watches; never raises and never waits."""

    def flushed(self, *, commands: int, events: int, seconds: float, outcome: str) -> None:
        """One flush ended: `outcome` is committed, touched, refused or failed."""
        ...

    def queued(self, seconds: float) -> None:
        """A command waited that long for its flush."""
        ...

    def streamed(self, *, events: int, source: str) -> None:
        """Events reached streams from `memory` or from the `table`."""
        ...

    def failed(self, part: str, error: BaseException) -> None:
        """A loop of ours caught an error and goes on."""
        ...
