"""Who follows the logs, from where, and how that does."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from alertgraph.core.cursor import LogCursor
from alertgraph.core.ids import TenantId


class LeaseLostError(Exception):
    """Another process has the tenant now, or nobody will: nothing was saved."""


@dataclass(frozen=True, slots=True)
class SavedState:
    """What a reading was when it had taken all events up to a position.

    Attributes:
        cursor: The position.
        content: Of a form that only the reader knows.
    """

    cursor: LogCursor
    content: bytes


class LearningStates(Protocol):
    """What is kept of readings, and whose turn it is to read: one process has a tenant at a time.

    Leases run by the store's own clock. Every method raises DependencyError where the store is away.
    """

    async def claim(self, lease: timedelta) -> tuple[Sequence[TenantId], int]:
        """Take tenants that nobody has, and return them and how many this process should have in all.

        Those that it had, unless their lease has run out, are not among them.
        """
        ...

    async def renew(self, lease: timedelta) -> Collection[TenantId]:
        """Hold what this process has for that long from now, and return it."""
        ...

    async def release(self, tenant_ids: Collection[TenantId]) -> None:
        """Let other processes have these tenants at once."""
        ...

    async def load(self, tenant_id: TenantId) -> Mapping[str, SavedState]:
        """Return a tenant's states by their readers' names."""
        ...

    async def save(self, tenant_id: TenantId, states: Mapping[str, SavedState]) -> None:
        """Keep states in place of those of the same names: all of them or none.

        Raises:
            LeaseLostError: Another process has the tenant; nothing was kept.
        """
        ...

    async def start_of(self, tenant_id: TenantId, since: datetime, length_max: int) -> LogCursor:
        """Return where to begin in a log: with what was recorded since then, and no more events than that."""
        ...


class LearningObserver(Protocol):
    """Where those who follow logs report what an operator watches; never raises and never waits."""

    def took(self, reader: str, *, events: int, seconds: float) -> None:
        """A reader took a batch."""
        ...

    def put_off(self, tenant_id: TenantId, reader: str, error: BaseException, pause: timedelta) -> None:
        """A tenant's reading failed, and is opened again after that long."""
        ...

    def begun_anew(self, tenant_id: TenantId, reader: str, why: str) -> None:
        """A tenant's reading forgot what it was, for the reason given."""
        ...

    def failed(self, part: str, error: BaseException) -> None:
        """A loop of ours caught an error and goes on."""
        ...


@dataclass(frozen=True, slots=True)
class LearningReport:
    """How a learning process does, as it says itself every few seconds.

    Attributes:
        host: What the operator calls its machine.
        pid: On that machine.
        why_not: Why it makes no predictions; None where it does.
        tenant_count: How many tenants it follows.
        behind: Events that wait for it, of the tenant that is furthest behind.
        behind_seconds: How long the tenant has waited that waits longest.
    """

    host: str
    pid: int
    why_not: str | None
    tenant_count: int
    behind: int
    behind_seconds: float


class LearningReports(Protocol):
    """What learning processes say of themselves, for every other process. Raises DependencyError."""

    async def report(self, report: LearningReport) -> None:
        """Say how this process does."""
        ...

    async def withdraw(self) -> None:
        """Say that this process ends."""
        ...

    async def alive(self) -> Sequence[LearningReport]:
        """Return what those say that have said something in the last 15 seconds, by the store's clock."""
        ...


@dataclass(frozen=True, slots=True)
class LearningHealth:
    """Whether predictions are made at present, for whatever tenant.

    Attributes:
        is_enabled: Whether the operator wants them at all.
        why_not: Why there are none, in words; None where they are made.
    """

    is_enabled: bool
    why_not: str | None


class LearningWatch(Protocol):
    """Knows how learning stands; asks the store once every few seconds at most, and never raises."""

    async def health(self) -> LearningHealth:
        """Return how it stands."""
        ...
