"""How events reach streams: of this process, and of others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from alertgraph.core.event import StoredEvent
from alertgraph.core.ids import FlushId, TenantId


class Wakeups(Protocol):
    """Hints between processes that a tenant's log has grown, sent after the commit. Any may be lost."""

    async def announce(self, tenant_id: TenantId, number: int) -> None:
        """Tell every process that the tenant's log now ends at `number`; never raises, may be batched."""
        ...

    def listen(self) -> AsyncIterator[tuple[TenantId, int]]:
        """Yield what other processes announce, for as long as it is iterated; reconnects by itself."""
        ...

    @property
    def healthy(self) -> bool:
        """Whether hints arrive at present; while not, the sweep alone finds events."""
        ...


@dataclass(frozen=True, slots=True)
class CommittedEvents:
    """Events that this process has just appended, for its own streams."""

    tenant_id: TenantId
    flush_id: FlushId
    events: Sequence[StoredEvent]
