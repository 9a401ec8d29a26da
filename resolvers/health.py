"""How the engine does for the caller's tenant."""

from datetime import timedelta
from operator import attrgetter
from typing import Self

import strawberry

from alertgraph.core import health as core
from alertgraph.core.ids import AlertId
from resolvers.alert import CriticalAlert, alerts_by_id, shown_alert
from resolvers.context import Info
from resolvers.fields import computed
from resolvers.permissions import reads
from resolvers.relations import relation
from resolvers.words import Role


@strawberry.type(description="One broken invariant.")
class EngineViolation:
    """One broken invariant; its alert is read together with those of its siblings."""

    alert_id: strawberry.Private[AlertId | None]
    invariant: str = strawberry.field(description="Stable name.")
    text: str = strawberry.field(description="In words.")
    count: int = strawberry.field(description="How many alerts.")

    @computed("One of them.", batch=relation(attrgetter("alert_id"), alerts_by_id, shown_alert))
    @reads(Role.VIEWER)
    async def alert(self, info: Info) -> CriticalAlert | None:
        """Return one of the alerts."""
        if self.alert_id is None:
            return None
        found = await info.context.loaders.alert.load(self.alert_id)
        return CriticalAlert.of(found, info.context.reading.now) if found is not None else None

    @classmethod
    def of(cls, violation: core.Violation) -> Self:
        """Return a violation as the API shows it."""
        return cls(
            alert_id=violation.alert_id,
            invariant=violation.invariant.value,
            text=violation.text,
            count=violation.count,
        )


@strawberry.type(description="What must always hold of the engine for this tenant, checked now.")
class EngineHealth:
    """What must always hold of the engine for one tenant."""

    healthy: bool = strawberry.field(description="No invariant is broken.")
    oldest_due_escalation: timedelta | None = strawberry.field(
        description="How late the oldest due escalation is; null where none is due."
    )
    oldest_pending_delivery: timedelta | None = strawberry.field(
        description="How long the oldest delivery waits; null where none does."
    )
    pending_delivery_count: int = strawberry.field(description="How many deliveries wait.")
    violations: list[EngineViolation] = strawberry.field(
        description="Broken invariants, at most 100.", metadata={"page_size_default": len(core.Invariant)}
    )

    @classmethod
    def of(cls, health: core.Health) -> Self:
        """Return the engine's health as the API shows it."""
        return cls(
            healthy=health.healthy,
            oldest_due_escalation=health.oldest_due,
            oldest_pending_delivery=health.oldest_pending,
            pending_delivery_count=health.pending_count,
            violations=[EngineViolation.of(violation) for violation in health.violations],
        )


@reads(Role.VIEWER)
async def engine_health(info: Info) -> EngineHealth:
    """Return whether the engine keeps its promises for the caller's tenant."""
    return EngineHealth.of(await info.context.reading.engine_health())
