"""What services need to work, as an ADMIN says it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from alertgraph.core.event import EventKind, SealedEvent
from alertgraph.core.ids import NodeKind, TenantId, encode_id
from alertgraph.core.monitored_service import (
    SUBJECT_TYPE,
    Dependencies,
    changed_dependencies,
    check_dependencies,
    dependency_count,
    told_dependencies,
    with_changes,
)
from alertgraph.core.tenant import Principal, Role
from alertgraph.services.catalog_changes import config_event, require_unscoped
from alertgraph.services.ports import Clock, Configuration


class DependencyService:
    """Changes what services need of one another.

    Args:
        changed: Called after each commit with the tenant and the number its log now ends at.
    """

    def __init__(self, store: Configuration, clock: Clock, changed: Callable[[TenantId, int], None]) -> None:
        self._store = store
        self._clock = clock
        self._changed = changed

    async def set(
        self, principal: Principal, named: Sequence[tuple[str, Sequence[str]]], *, replace_all: bool
    ) -> int:
        """Return how many dependencies there are after some were replaced. ADMIN.

        Args:
            principal: Who says so.
            named: Services, and all that each of them needs; nothing where it is empty.
            replace_all: Whether services that are not named need nothing any more.

        Raises:
            RefusedError: A name can't be used, or there are too many; paths are relative to the input.
        """
        principal.require(Role.ADMIN)
        require_unscoped(principal)
        said = check_dependencies(named)
        subject = encode_id(NodeKind.TENANT, principal.tenant.id)

        def decide(before: Dependencies) -> tuple[Dependencies, SealedEvent] | None:
            changed = changed_dependencies(before, said, replace_all=replace_all)
            if not changed:
                return None
            event = config_event(
                EventKind.CONFIG_UPDATED,
                principal,
                self._clock.now(),
                SUBJECT_TYPE,
                subject,
                told_dependencies(before, changed),
                told_dependencies(with_changes(before, changed), changed),
            )
            return changed, event

        after, appended = await self._store.change_dependencies(principal.tenant.id, decide)
        if appended is not None:
            self._changed(principal.tenant.id, appended.first_number)
        return dependency_count(after)

    async def count(self, principal: Principal) -> int:
        """Return how many dependencies there are. ADMIN."""
        principal.require(Role.ADMIN)
        return dependency_count(await self._store.dependencies(principal.tenant.id))
