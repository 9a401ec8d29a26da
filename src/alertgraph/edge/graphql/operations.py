"""What every GraphQL transport does with an operation: admit it, run it in a context of its own, count it."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Callable, Hashable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any, Final, Protocol

from alertgraph.edge.graphql.connections import Connections
from alertgraph.execution.errors import FailedStreamError, RefusedError
from alertgraph.execution.executor import Answer, GraphQLExecutor, PreparedOperation
from alertgraph.execution.groups import Asker, EncodedAnswer, Groups, Letterbox, Outlet, Subscriber, followed
from alertgraph.execution.registry import EmptyRegistry, Registry, remember, requested
from alertgraph.execution.request import GraphQLRequest

REFUSED_COST: Final = 1
"""Points that a document costs which never runs: reading it is work, too."""


class Validity(Enum):
    """Whether credentials that were good when a connection began still are."""

    VALID = "VALID"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class OperationInfo:
    """What a context may want to know of the operation that it is opened for.

    Attributes:
        request_id: Quoted by the caller when something fails.
        type: query, mutation or subscription.
        name: As the document names it; None where it has no name.
        document_id: SHA-256 of the document's text, in hex.
        cost: Points of this operation.
        budget: What `admit` said of the caller's budget.
    """

    request_id: str
    type: str
    name: str | None
    document_id: str
    cost: int
    budget: Mapping[str, object] = field(default_factory=dict)


class Operations(Protocol):
    """What the transports need of the application. A viewer is whatever `authenticate` returns.

    Errors with a `code` and a `message` are told to the caller, any other is masked and reported.
    """

    async def authenticate(self, authorization: str | None) -> Any:
        """Return the viewer that this Authorization header stands for.

        Raises:
            Exception: Coded UNAUTHENTICATED; UNAVAILABLE where it cannot be known now.
        """

    async def admit(self, viewer: Any, cost: int) -> Mapping[str, object]:
        """Take the points from the viewer's budget and return what is left of it, for `extensions.cost`.

        Raises:
            Exception: Coded RATE_LIMITED, with `retry_after`.
        """

    def open_context(self, viewer: Any, info: OperationInfo) -> AbstractAsyncContextManager[object]:
        """Return a new context for the resolvers of one operation, or of one event of a subscription.

        The source of a subscription has one, too, for as long as it lives: nothing scarce may be taken before a
        resolver asks for it.
        """

    def visibility(self, viewer: Any, *, personal: bool) -> Hashable:
        """Return what of a viewer may alter an answer: those for whom it is equal are told the same.

        Args:
            viewer: Who subscribes.
            personal: Whether fields are asked for whose value depends on who asks, beyond what they may do.
        """

    def impersonal(self, viewer: Any) -> Any:
        """Return a viewer with the same visibility and no identity, for what is told to all who have it."""

    async def still_valid(self, viewer: Any) -> Validity:
        """Return whether a viewer with an open connection may still use it; asked often, so it must be cheap."""


@dataclass(frozen=True, slots=True)
class OperationReport:
    """One finished operation, for metrics and logs.

    Attributes:
        transport: http, websocket or sse.
        request_id: As told to the caller.
        type: query, mutation or subscription; None where the request was refused before that was known.
        name: Chosen by the client: no label of a metric; None where there is none.
        document_id: SHA-256 of the document's text; None where the request was refused.
        code: Of the first error; None where all went well.
        cost: Points; 0 where the request was refused.
        duration_s: From the request to the answer, or to the end of a stream.
        answer_count: How many answers were made: one, or those of a subscription.
    """

    transport: str
    request_id: str
    type: str | None
    name: str | None
    document_id: str | None
    code: str | None
    cost: int
    duration_s: float
    answer_count: int


class Observer(Protocol):
    """Is told what happened; it must neither block nor raise."""

    def operation_finished(self, report: OperationReport) -> None:
        """Note a finished operation."""

    def socket_closed(self, code: int) -> None:
        """Note that a websocket ended with this code; 1006 where the peer went without a word."""


class SilentObserver:
    """Notes nothing."""

    def operation_finished(self, report: OperationReport) -> None:
        """Note nothing."""

    def socket_closed(self, code: int) -> None:
        """Note nothing."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request for an operation, from somebody who is known.

    Attributes:
        viewer: What `authenticate` returned.
        transport: http, websocket or sse.
        request_id: Its own, also where many share a socket.
        begun_at: Of a monotonic clock.
    """

    viewer: Any
    transport: str
    request_id: str
    begun_at: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True, slots=True)
class ReadyOperation:
    """A prepared operation that was admitted.

    Attributes:
        prepared: Runs once.
        info: For its contexts.
    """

    prepared: PreparedOperation
    info: OperationInfo

    @property
    def is_subscription(self) -> bool:
        """Whether it yields a stream of answers."""
        return self.info.type == "subscription"

    @property
    def is_mutation(self) -> bool:
        """Whether it changes something, so that it must not be broken off."""
        return self.info.type == "mutation"

    @property
    def extensions(self) -> Mapping[str, object]:
        """What is put into the response."""
        return {"cost": {"requestedQueryCost": self.info.cost, **self.info.budget}}


@dataclass(frozen=True, slots=True)
class Encoded:
    """A response and its JSON, UTF-8."""

    answer: Answer
    body: bytes


class Following:
    """A subscription under way, as a transport carries it.

    Attributes:
        subscriber: Gives its answers.
    """

    __slots__ = ("_call", "_info", "_is_ended", "_service", "subscriber")

    def __init__(self, service: GraphQLService, call: Call, info: OperationInfo, subscriber: Subscriber) -> None:
        self._service = service
        self._call = call
        self._info = info
        self._is_ended = False
        self.subscriber = subscriber

    def end(self, code: str | None = None) -> None:
        """Want no more of it, and have it counted; only the first time makes a difference.

        Args:
            code: Of the error that it ended in.
        """
        if not self._is_ended:
            self._is_ended = True
            self.subscriber.leave()
            self._service.ended(self._call, self._info, code, self.subscriber.answer_count)


def new_request_id() -> str:
    """Return a request id that nobody else has."""
    return uuid.uuid4().hex


class GraphQLService:
    """Runs operations for the transports.

    Args:
        executor: Knows the schema.
        operations: The application.
        connections: Those that are open, for metrics and for a clean shutdown.
        observer: Is told of each finished operation.
        make_request_id: For requests that bring none.
        registry: Knows documents by their hash; without one, requests bring their documents.
    """

    def __init__(
        self,
        executor: GraphQLExecutor,
        operations: Operations,
        *,
        connections: Connections | None = None,
        observer: Observer | None = None,
        make_request_id: Callable[[], str] = new_request_id,
        registry: Registry | None = None,
    ) -> None:
        self.executor = executor
        self.registry: Registry = registry if registry is not None else EmptyRegistry()
        self.operations = operations
        self.connections = connections if connections is not None else Connections()
        self.observer: Observer = observer if observer is not None else SilentObserver()
        self.make_request_id = make_request_id
        self.groups = Groups(executor, lambda answer, quoted: self.encoded(answer, quoted).body, make_request_id)

    async def ready(self, call: Call, request: GraphQLRequest) -> ReadyOperation:
        """Return the operation of a request, priced and admitted.

        Raises:
            RefusedError: It cannot be run.
            Exception: What `admit` and the registry raise.
        """
        try:
            register = await self.registry.register(call.viewer)
            document = await requested(register, self.executor.documents, request)
            prepared = self.executor.prepare(request, document)
        except RefusedError:
            await self.operations.admit(call.viewer, REFUSED_COST)
            raise
        budget = await self.operations.admit(call.viewer, prepared.cost)
        await remember(register, request, document)
        info = OperationInfo(
            call.request_id, prepared.type.value, prepared.name, prepared.document_id, prepared.cost, budget
        )
        return ReadyOperation(prepared, info)

    async def answer(self, call: Call, ready: ReadyOperation) -> Answer:
        """Return the response of a query or mutation; whatever fails is inside of it."""
        self.connections.operation_count += 1
        try:
            async with self.operations.open_context(call.viewer, ready.info) as context:
                answer = await self.executor.execute(ready.prepared, context, call.request_id, ready.extensions)
        except Exception as error:  # noqa: BLE001 - the request boundary: masked and reported
            answer = self.executor.failure(error, call.request_id)
        finally:
            self.connections.operation_count -= 1
        self._observe(call, ready.info, answer.code, 1)
        return answer

    def follow(self, call: Call, ready: ReadyOperation, outlet: Outlet) -> Following:
        """Return a subscription that has not begun; it is counted until it is ended.

        Args:
            call: Whose it is.
            ready: A subscription.
            outlet: Where answers go that it shares with others.
        """
        self.connections.operation_count += 1
        self.connections.subscription_count += 1
        viewer, info, common = call.viewer, ready.info, ready.prepared.shareable
        open_context = partial(self.operations.open_context, viewer, info)
        if common is None:
            asker = Asker(open_context, call.request_id, ready.extensions)
        else:
            visibility = self.operations.visibility(viewer, personal=common.is_personal)
            open_shared = open_context if common.is_personal else partial(self._open_impersonal, viewer, info)
            asker = Asker(open_context, call.request_id, ready.extensions, visibility, open_shared)
        return Following(self, call, info, self.groups.subscriber(ready.prepared, asker, outlet))

    async def answers(
        self, call: Call, ready: ReadyOperation, mailbox: Letterbox
    ) -> AsyncGenerator[EncodedAnswer, None]:
        """Yield the responses of a subscription.

        Args:
            call: Whose it is.
            ready: A subscription.
            mailbox: For answers that it shares with others; what it does not hand out is not yielded.

        Raises:
            FailedStreamError: It could not begin, or its source ended in an error.
        """
        following = self.follow(call, ready, mailbox)
        try:
            async with aclosing(followed(following.subscriber, mailbox)) as answers:
                async for answer in answers:
                    yield answer
        except FailedStreamError as failed:
            following.end(failed.code)
            raise
        finally:
            following.end()

    def _open_impersonal(self, viewer: Any, info: OperationInfo) -> AbstractAsyncContextManager[object]:
        return self.operations.open_context(self.operations.impersonal(viewer), info)

    def ended(self, call: Call, info: OperationInfo, code: str | None, answer_count: int) -> None:
        """Note the end of a subscription."""
        self.connections.operation_count -= 1
        self.connections.subscription_count -= 1
        self._observe(call, info, code, answer_count)

    def failed(self, call: Call, error: Exception) -> Answer:
        """Return the response to a request that was not run, and count it."""
        answer = self.executor.failure(error, call.request_id)
        self._observe(call, None, answer.code, 1)
        return answer

    def encoded(self, answer: Answer, request_id: str) -> Encoded:
        """Return the response with its JSON; one that JSON cannot hold becomes an error, masked and reported."""
        try:
            return Encoded(answer, answer.encode())
        except TypeError as error:
            failure = self.executor.failure(error, request_id)
            return Encoded(failure, failure.encode())

    def _observe(self, call: Call, info: OperationInfo | None, code: str | None, answer_count: int) -> None:
        self.observer.operation_finished(
            OperationReport(
                transport=call.transport,
                request_id=call.request_id,
                type=info.type if info else None,
                name=info.name if info else None,
                document_id=info.document_id if info else None,
                code=code,
                cost=info.cost if info else 0,
                duration_s=time.perf_counter() - call.begun_at,
                answer_count=answer_count,
            )
        )
