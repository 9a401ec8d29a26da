"""Plans within Strawberry: an execution context class with which a schema's own execute runs them.

    plans = PlanCache(native=False)
    schema = strawberry.Schema(Query, execution_context_class=planned(plans))

Everything around it goes on working: extensions, permissions, masking, subscriptions.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from graphql import ExecutionResult, OperationDefinitionNode
from graphql.execution.execute import assume_not_awaitable
from graphql.pyutils import AwaitableOrValue
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from alertgraph.execution.compile import Reason
from alertgraph.execution.plan import Plan
from alertgraph.execution.plans import PlanCache


def planned(plans: PlanCache) -> type[StrawberryGraphQLCoreExecutionContext]:
    """Return an execution context class for one schema.

    Args:
        plans: Of that schema only, and not native: what it gives is data, not JSON.
    """
    assert not plans.native, "Strawberry wants data"

    class PlannedExecutionContext(StrawberryGraphQLCoreExecutionContext):
        """Runs an operation's plan, or graphql-core's way where there is none."""

        def execute_operation(self, serially: bool | None = None) -> AwaitableOrValue[Any]:  # noqa: FBT001 - as above
            """Return the result of the operation."""
            plan = self._plan()
            return super().execute_operation(serially) if plan is None else self._planned_result(plan)

        def _plan(self) -> Plan | None:
            if self.is_awaitable is assume_not_awaitable:
                plans.observer.plan_missing(Reason.SYNCHRONOUS)
                return None
            if (
                (self.middleware_manager is not None and self.middleware_manager.middlewares)
                or self.abort_signal is not None
                or self.hooks is not None
            ):
                plans.observer.plan_missing(Reason.EXECUTOR)
                return None
            return plans.get(self._key(), self)

        def _key(self) -> Hashable:
            place = self.operation.loc
            source = place.source if place is not None else None
            definitions = self.fragment_definitions.values()
            if source is None or any(each.loc is None or each.loc.source is not source for each in definitions):
                return _Same(self.operation)
            # Equal texts have equal trees.
            return source.body, self.operation.name.value if self.operation.name else None

        async def _planned_result(self, plan: Plan) -> ExecutionResult:
            data, errors = await plan.execute(self)
            return ExecutionResult(data, errors or None)

    return PlannedExecutionContext


class _Same:
    """A tree that is put together of several texts, or of none: it is only equal to itself."""

    def __init__(self, operation: OperationDefinitionNode) -> None:
        self._operation = operation

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other._operation is self._operation

    def __hash__(self) -> int:
        return id(self._operation)
