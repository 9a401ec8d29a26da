"""Plans within Strawberry: an execution context class with which a schema's own execute runs them.

    plans = PlanCache(native=False)
    schema = strawberry.Schema(Query, execution_context_class=planned(plans))

Everything around it goes on working: extensions, permissions, masking, subscriptions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Generator, Hashable
from typing import Any, Final, TypeVar

from graphql import ExecutionResult, OperationDefinitionNode
from graphql.pyutils import AwaitableOrValue
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from alertgraph.execution.compile import Reason
from alertgraph.execution.plan import Plan
from alertgraph.execution.plans import PlanCache

_BYTES_PER_CHARACTER: Final = 100
"""What a character of a text takes in memory once it is parsed, about."""

T = TypeVar("T")


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
            return super().execute_operation(serially) if plan is None else begun(self._planned_result(plan))

        def _plan(self) -> Plan | None:
            if not _is_loop_running():
                plans.observer.plan_missing(Reason.SYNCHRONOUS)
                return None
            if (
                (self.middleware_manager is not None and self.middleware_manager.middlewares)
                or self.abort_signal is not None
                or self.hooks is not None
            ):
                plans.observer.plan_missing(Reason.EXECUTOR)
                return None
            place = self.operation.loc
            length = len(place.source.body) if place is not None else 0
            return plans.get(self._key(), self, length * _BYTES_PER_CHARACTER)

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


def begun(coroutine: Coroutine[Any, Any, T]) -> AwaitableOrValue[T]:
    """Return what a coroutine returns if it never waits, as `execute_sync` needs it; else what is left to await.

    The rest has to be awaited by the task that asked, as Strawberry does.
    """
    try:
        waits_for = coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    return _Rest(coroutine, waits_for)


class _Rest(Awaitable[T]):
    def __init__(self, coroutine: Coroutine[Any, Any, T], waits_for: object) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, T]:
        coroutine, waits_for = self._coroutine, self._waits_for
        while True:
            try:
                try:
                    sent = yield waits_for
                except BaseException as error:  # noqa: BLE001 - a cancellation, above all: the coroutine's own to see
                    waits_for = coroutine.throw(error)
                else:
                    waits_for = coroutine.send(sent)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]


def _is_loop_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Same:
    """A tree that is put together of several texts, or of none: it is only equal to itself."""

    def __init__(self, operation: OperationDefinitionNode) -> None:
        self._operation = operation

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other._operation is self._operation

    def __hash__(self) -> int:
        return id(self._operation)
