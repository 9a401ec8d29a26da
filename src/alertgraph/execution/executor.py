"""Runs operations of a Strawberry schema, by plans or on graphql-core itself, each in a context of its own."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Hashable,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, NamedTuple, TypeGuard, cast

import strawberry
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    OperationType,
    create_source_event_stream,
    execute_root_selection_set,
    execute_subscription_event,
)
from graphql.execution import Executor
from strawberry.execution import optimized_is_awaitable

from alertgraph.execution.answers import Answer
from alertgraph.execution.compile import Reason
from alertgraph.execution.cost import Prices
from alertgraph.execution.documents import Document, DocumentStore, input_error
from alertgraph.execution.errors import (
    Code,
    FailedStreamError,
    FormattedError,
    RefusedError,
    Report,
    code_of,
    format_exception,
    format_graphql_error,
    refusal,
    shortened,
)
from alertgraph.execution.inputs import StrictInputs
from alertgraph.execution.limits import DocumentLimits
from alertgraph.execution.plan import Plan
from alertgraph.execution.plans import PlanCache, PlanObserver, SilentPlanObserver
from alertgraph.execution.request import GraphQLRequest
from alertgraph.execution.sharing import Shareable, Sharing, Standstill

__all__ = [
    "COST_MAX_DEFAULT",
    "DEADLINE_DEFAULT",
    "Answer",
    "GraphQLExecutor",
    "OpenContext",
    "PreparedOperation",
]

OpenContext = Callable[[], AbstractAsyncContextManager[object]]
"""Makes a new context for resolvers; leaving it gives back what it holds."""

COST_MAX_DEFAULT: Final = 5_000
DEADLINE_DEFAULT: Final = timedelta(seconds=10)

_VARIABLE_ERROR_COUNT_MAX: Final = 20

# Strawberry's own, several times faster than graphql-core's; it only lacks the type.
_is_awaitable = cast("Callable[[Any], TypeGuard[Awaitable[Any]]]", optimized_is_awaitable)


@dataclass(frozen=True, slots=True)
class PreparedOperation:
    """An operation that is valid, priced, and has its variables; nothing of it has run.

    Attributes:
        type: Query, mutation or subscription.
        name: As the document names it; None where it has no name.
        document_id: SHA-256 of the document's text, in hex.
        cost: Points, at least 1.
        executor: Graphql-core's own state of this one execution.
        plan: How it is carried out; None where graphql-core has to do it.
        shareable: What a subscription has in common with equal ones; None where its source can't be shared.
    """

    type: OperationType
    name: str | None
    document_id: str
    cost: int
    executor: Executor[Any]
    shareable: Shareable | None = None
    plan: Plan | None = None


class GraphQLExecutor:
    """Prepares and runs operations of one schema.

    Strawberry's own Schema.execute is passed by: it runs the first of several unnamed operations, logs documents
    that fail, and keeps one context for the life of a subscription. Its resolvers, permissions and conversions are
    part of the schema, and work as ever.

    Args:
        schema: The only schema.
        report: Gets each exception whose text was kept from the caller.
        limits: How large a document may be.
        prices: What its parts cost where the schema does not say.
        cost_max: Points that one operation may cost.
        introspection: Whether clients may read the schema; if not, errors suggest no names either.
        deadline: How long a query, a mutation or one event of a subscription may take.
        compiled_plans: Whether operations are compiled; if not, graphql-core runs them all.
        plan_observer: Is told what becomes of them.
    """

    def __init__(
        self,
        schema: strawberry.Schema,
        *,
        report: Report,
        limits: DocumentLimits | None = None,
        prices: Prices | None = None,
        cost_max: int = COST_MAX_DEFAULT,
        introspection: bool = False,
        deadline: timedelta = DEADLINE_DEFAULT,
        compiled_plans: bool = True,
        plan_observer: PlanObserver | None = None,
    ) -> None:
        # Semi-private names of Strawberry, for which its version is pinned.
        self._schema = schema._schema
        self._executor_class = cast("type[Executor[Any]]", schema.execution_context_class)
        self._report = report
        self._cost_max = cost_max
        self._introspection = introspection
        self._deadline = deadline
        self._inputs = StrictInputs(self._schema)
        self._sharing = Sharing(self._schema)
        self._compiles = compiled_plans
        self.documents = DocumentStore(
            self._schema, limits or DocumentLimits(), prices or Prices(), introspection=introspection
        )
        self.plans = PlanCache(native=True, observer=plan_observer or SilentPlanObserver())

    def prepare(self, request: GraphQLRequest, document: Document | None = None) -> PreparedOperation:
        """Return the operation of a request, ready to run.

        Args:
            request: As a client sent it.
            document: What it names; None where it brings its text.

        Raises:
            RefusedError: It is malformed, does not fit the schema, or would cost too much.
        """
        if document is None:
            assert request.query is not None, "what is named is found before it is prepared"
            document = self.documents.get(request.query)
        operation = document.operation(request.operation_name)
        name = operation.name.value if operation.name else None
        problems = self._inputs.problems(operation, document.uses.get(name, ()), request.variables)
        if problems:
            raise RefusedError(problems[:_VARIABLE_ERROR_COUNT_MAX])
        executor = self._built(document.node, request.variables, request.operation_name)
        cost = document.costs[name].points(executor.variable_values.coerced)
        if cost > self._cost_max:
            raise refusal(
                Code.COST_EXCEEDED,
                f"The operation would cost {cost} points; at most {self._cost_max} are allowed. "
                "Ask for shorter lists, or for less inside them.",
            )
        common = None
        if operation.operation is OperationType.SUBSCRIPTION:
            common = self._sharing.of(document.id, document.node, operation, request.variables, document.facts)
        plan = self._plan((document.id, name), executor, document.weight)
        return PreparedOperation(operation.operation, name, document.id, cost, executor, common, plan)

    def resumed(self, prepared: PreparedOperation, cursor: str | None) -> PreparedOperation:
        """Return a shareable subscription, ready to run again from where an answer or a Standstill said it stood.

        Args:
            prepared: May have run.
            cursor: Takes the place of what the caller gave; None where that is nothing.
        """
        common = prepared.shareable
        assert common is not None
        executor = self._built(common.resumed_at(cursor), common.variables, prepared.name)
        return replace(prepared, executor=executor)

    def _plan(self, key: Hashable, executor: Executor[Any], document_weight: int) -> Plan | None:
        if self._compiles:
            return self.plans.get(key, executor, document_weight)
        self.plans.observer.plan_missing(Reason.SWITCHED_OFF)
        return None

    def _built(
        self, document: DocumentNode, variables: Mapping[str, object], operation_name: str | None
    ) -> Executor[Any]:
        executor = self._executor_class.build(
            self._schema,
            document,
            raw_variable_values=dict(variables),
            operation_name=operation_name,
            max_coercion_errors=_VARIABLE_ERROR_COUNT_MAX,
            is_awaitable=_is_awaitable,
            hide_suggestions=not self._introspection,
        )
        if isinstance(executor, list):
            raise RefusedError([_variable_error(error) for error in executor])
        return executor

    async def execute(
        self,
        prepared: PreparedOperation,
        context: object,
        request_id: str,
        extensions: Mapping[str, object] | None = None,
    ) -> Answer:
        """Return the response of a query or mutation; whatever fails is inside of it.

        Args:
            prepared: Run at most once.
            context: What resolvers see as `info.context`.
            request_id: Put into each error.
            extensions: Put into the response.
        """
        assert prepared.type is not OperationType.SUBSCRIPTION
        executor = prepared.executor
        executor.context_value = context
        try:
            result = await self._in_time(prepared, executor, execute_root_selection_set)
            return self._answer(result, request_id, extensions)
        except TimeoutError:
            return self._late(prepared, request_id, extensions)
        except Exception as error:  # noqa: BLE001 - the request boundary: the error is masked and reported
            return self.failure(error, request_id)

    async def subscribe(
        self,
        prepared: PreparedOperation,
        open_context: OpenContext,
        request_id: str,
        extensions: Mapping[str, object] | None = None,
    ) -> AsyncGenerator[Answer, None]:
        """Yield the responses of a subscription.

        The source has a context of its own for as long as it yields, and each event a new one, closed before its
        answer is handed out: loaders never serve one event with what they fetched for another. Where an event has
        an attribute `resume_cursor`, the answer carries it.

        Args:
            prepared: Run at most once.
            open_context: Makes the contexts.
            request_id: Put into each error.
            extensions: Put into each response.

        Raises:
            FailedStreamError: The source could not be opened, or ended in an error.
        """
        try:
            async with self.source(prepared, open_context, request_id) as events:
                async for event in events:
                    if not isinstance(event, Standstill):
                        yield await self.event_answer(prepared, event, open_context, request_id, extensions)
        except Exception as error:
            raise self.stream_failure(prepared, error, request_id) from error

    @asynccontextmanager
    async def source(
        self, prepared: PreparedOperation, open_context: OpenContext, request_id: str
    ) -> AsyncIterator[AsyncGenerator[object, None]]:
        """Lend the source of a subscription: its events, and a Standstill wherever it tells of one.

        It has a context of its own for as long as it is lent.

        Args:
            prepared: Its source is opened at most once.
            open_context: Makes that context.
            request_id: Put into each error.

        Raises:
            Exception: It could not be opened; `stream_failure` tells what the caller may know.
        """
        assert prepared.type is OperationType.SUBSCRIPTION
        async with open_context() as source_context:
            prepared.executor.context_value = source_context
            source = await self._source(prepared.executor, request_id)
            async with aclosing(cast("AsyncGenerator[object, None]", source)) as events:
                yield events

    def stream_failure(self, prepared: PreparedOperation, error: Exception, request_id: str) -> FailedStreamError:
        """Return what a subscription ends in whose source, or an event of it, raised an error."""
        if isinstance(error, FailedStreamError):
            return error
        if isinstance(error, TimeoutError):
            return FailedStreamError(self._errors_of(self._late(prepared, request_id, None)))
        return FailedStreamError(self._errors_of(self.failure(error, request_id)))

    def failure(self, error: Exception, request_id: str) -> Answer:
        """Return the response to a request that failed outside of its resolvers, with no data.

        Args:
            error: A refusal or a coded error is told; anything else is masked and reported.
            request_id: Put into each error.
        """
        if isinstance(error, FailedStreamError):
            errors = error.errors
        elif isinstance(error, RefusedError):
            errors = [format_graphql_error(each, request_id, self._report) for each in error.errors]
        elif isinstance(error, GraphQLError):
            errors = [format_graphql_error(error, request_id, self._report)]
        else:
            errors = [format_exception(error, request_id, self._report)]
        return Answer({"errors": errors}, code_of(errors[0]))

    async def _source(self, executor: Executor[Any], request_id: str) -> AsyncIterable[object]:
        async with asyncio.timeout(self._deadline.total_seconds()):
            source = create_source_event_stream(executor)
            if executor.is_awaitable(source):
                source = await source
        if isinstance(source, ExecutionResult):
            raise FailedStreamError(
                [format_graphql_error(error, request_id, self._report) for error in source.errors or ()]
            )
        return cast("AsyncIterable[object]", source)

    async def event_answer(
        self,
        prepared: PreparedOperation,
        event: object,
        open_context: OpenContext,
        request_id: str,
        extensions: Mapping[str, object] | None = None,
    ) -> Answer:
        """Return the response to one event of a subscription's source, made in a context of its own.

        Args:
            prepared: The operation that the source was opened for.
            event: What the source yielded.
            open_context: Makes the context.
            request_id: Put into each error.
            extensions: Put into the response.

        Raises:
            TimeoutError: It took too long.
        """
        async with open_context() as context:
            executor = prepared.executor.build_per_event_executor(event)
            executor.context_value = context
            result = await self._in_time(prepared, executor, execute_subscription_event)
        cursor = getattr(event, "resume_cursor", None)
        return self._answer(result, request_id, extensions, cursor if isinstance(cursor, str) else None)

    async def _in_time(
        self,
        prepared: PreparedOperation,
        executor: Executor[Any],
        run: Callable[[Executor[Any]], ExecutionResult | Awaitable[ExecutionResult]],
    ) -> _Result:
        """Return the result of an operation.

        Args:
            prepared: The operation.
            executor: Of this execution of it.
            run: Graphql-core's way, for an operation without a plan.

        Raises:
            TimeoutError: It took too long.
        """
        async with asyncio.timeout(self._deadline.total_seconds()):
            if prepared.plan is not None:
                return _Result(*await prepared.plan.execute(executor), is_native=True)
            result = run(executor)
            if not isinstance(result, ExecutionResult):
                result = await result
            return _Result(result.data, result.errors or (), is_native=False)

    def _answer(
        self,
        result: _Result,
        request_id: str,
        extensions: Mapping[str, object] | None,
        cursor: str | None = None,
    ) -> Answer:
        payload: dict[str, object] = {}
        code: str | None = None
        if result.errors:
            errors = [format_graphql_error(error, request_id, self._report) for error in result.errors]
            payload["errors"] = errors
            code = code_of(errors[0])
        payload["data"] = result.data
        if extensions:
            payload["extensions"] = dict(extensions)
        if not result.is_native:
            return Answer(payload, code, cursor)
        try:
            return Answer.written(payload, code, cursor)
        except TypeError as error:
            failed = self.failure(error, request_id)
            failed.cursor = cursor
            return failed

    def _late(
        self, prepared: PreparedOperation, request_id: str, extensions: Mapping[str, object] | None
    ) -> Answer:
        message = f"The operation took longer than {self._deadline.total_seconds():g} s and was given up."
        if prepared.type is OperationType.MUTATION:
            message = (
                f"The operation took longer than {self._deadline.total_seconds():g} s. "
                "It may have been carried out all the same: look before you send it again."
            )
        told = {"code": str(Code.UNAVAILABLE), "requestId": request_id}
        payload: dict[str, object] = {"errors": [{"message": message, "extensions": told}], "data": None}
        if extensions:
            payload["extensions"] = dict(extensions)
        return Answer(payload, str(Code.UNAVAILABLE))

    @staticmethod
    def _errors_of(answer: Answer) -> list[FormattedError]:
        return list(cast("Sequence[FormattedError]", answer.payload["errors"]))


class _Result(NamedTuple):
    data: object
    errors: Sequence[GraphQLError]
    is_native: bool


def _variable_error(error: GraphQLError) -> GraphQLError:
    clean = input_error(error)
    return GraphQLError(shortened(clean.message), nodes=clean.nodes, extensions={"code": Code.VALIDATION_FAILED})
