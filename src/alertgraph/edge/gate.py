"""What every way in needs of the service: who is asking, whether they may go on, and what they can have done."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from alertgraph.core.tenant import Principal
from alertgraph.services.alerts import AlertService
from alertgraph.services.monitors import MonitorService
from alertgraph.services.ports import Clock
from alertgraph.services.reading import Reading


class Gate(Protocol):
    """The service as dialects see it; the wiring builds the one there is."""

    @property
    def alerts(self) -> AlertService:
        """What callers do with alerts."""
        ...

    @property
    def monitors(self) -> MonitorService:
        """Where senders show that they are alive."""
        ...

    @property
    def clock(self) -> Clock:
        """The one clock."""
        ...

    @property
    def version(self) -> str:
        """Which alertgraph this is, such as 0.1.0."""
        ...

    @property
    def started_at(self) -> datetime:
        """When this process began."""
        ...

    async def authenticate(self, authorization: str | None) -> Principal:
        """Return who is asking.

        Args:
            authorization: The header as it came: Bearer, or Basic with the key as password; None for none.

        Raises:
            UnauthenticatedError: No valid credentials.
            DependencyError: They can't be checked at present.
        """
        ...

    async def admit(self, principal: Principal, cost: int) -> None:
        """Let the caller spend that many points of its budget.

        Raises:
            RateLimitedError: They are used up; nothing was spent.
        """
        ...

    def open_reading(self, principal: Principal) -> AbstractAsyncContextManager[Reading]:
        """Return one operation's reads, all of one moment."""
        ...

    async def ready(self) -> bool:
        """Say whether requests can be served at present."""
        ...
