"""GraphQL over server-sent events, each operation on a connection of its own ("distinct connections")."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from datetime import timedelta
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from alertgraph.edge.graphql.connections import ReplyWriter
from alertgraph.edge.graphql.exchange import (
    ClientGoneError,
    Exchange,
    HttpLimits,
    HttpRefusalError,
    MediaType,
    accepts_events,
)
from alertgraph.edge.graphql.operations import Call, GraphQLService, ReadyOperation, Validity
from alertgraph.execution.errors import Code, FailedStreamError, RefusedError
from alertgraph.execution.groups import Letterbox, Mailbox, Parcel, Subscriber

KEEP_ALIVE: Final = timedelta(seconds=12)
SEND_TIMEOUT: Final = timedelta(seconds=10)
CHECK_INTERVAL: Final = timedelta(seconds=5)

_COMMENT: Final = b":\n\n"
_COMPLETE: Final = b"event: complete\ndata: \n\n"
_TOLD_IN_THE_STREAM: Final = frozenset(
    {
        Code.PARSE_FAILED,
        Code.VALIDATION_FAILED,
        Code.COST_EXCEEDED,
        Code.DOCUMENT_NOT_FOUND,
        Code.PERSISTED_QUERY_NOT_FOUND,
        Code.PERSISTED_QUERY_NOT_SUPPORTED,
    }
)


class _CredentialsEndedError(Exception):
    code = "UNAUTHENTICATED"
    message = "The credentials are no longer valid; connect again with new ones."


class GraphQLEventStream:
    """The endpoint /graphql/stream: an ASGI application.

    Args:
        service: Runs operations.
        limits: Bounds of a request.
        keep_alive: After so long without an answer a comment is sent, which keeps proxies from hanging up.
        send_timeout: A client that has not read for so long is given up.
        check_interval: How often the viewer's credentials are looked at again.
    """

    def __init__(
        self,
        service: GraphQLService,
        limits: HttpLimits | None = None,
        *,
        keep_alive: timedelta = KEEP_ALIVE,
        send_timeout: timedelta = SEND_TIMEOUT,
        check_interval: timedelta = CHECK_INTERVAL,
    ) -> None:
        self._service = service
        self._limits = limits or HttpLimits()
        self._keep_alive_s = keep_alive.total_seconds()
        self._send_timeout_s = send_timeout.total_seconds()
        self._check_interval_s = check_interval.total_seconds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request with a stream of events."""
        exchange = Exchange(self._service, scope, receive, send, self._limits, transport="sse")
        try:
            await self._answer(exchange)
        except ClientGoneError:
            return
        except HttpRefusalError as refused:
            await exchange.reply_refusal(refused)

    async def _answer(self, exchange: Exchange) -> None:
        if exchange.method not in ("GET", "POST"):
            raise HttpRefusalError(405, "Send operations by POST or GET.", {"allow": "GET, POST"})
        if not accepts_events(exchange.accept):
            raise HttpRefusalError(406, "Answers come as events here: send `Accept: text/event-stream`.")
        if self._service.connections.is_draining:
            raise HttpRefusalError(503, "The server is restarting; connect again.", {"retry-after": "1"})
        call = exchange.anonymous_call()
        try:
            call = await exchange.authenticated_call()
            request = await exchange.read_request()
            ready = await self._service.ready(call, request)
            if ready.is_mutation and exchange.method == "GET":
                raise HttpRefusalError(405, "Send mutations by POST.", {"allow": "POST"})
        except (HttpRefusalError, ClientGoneError):
            raise
        except Exception as error:  # noqa: BLE001 - the request boundary: masked and reported
            answer = self._service.failed(call, error)
            if isinstance(error, RefusedError) and error.code in _TOLD_IN_THE_STREAM:
                # What a client's GraphQL library can explain goes where that library looks for it.
                body = self._service.encoded(answer, call.request_id).body
                await self._stream(exchange, call, _just(body), must_finish=False)
            else:
                await exchange.reply_answer(answer, MediaType.EVENTS)
            return
        writer = exchange.reply_writer() if ready.is_subscription else None
        share = _Share(writer, self._send_timeout_s) if writer is not None else None
        answers = self._answers(call, ready, share or Mailbox())
        await self._stream(exchange, call, answers, share, must_finish=ready.is_mutation)

    async def _answers(self, call: Call, ready: ReadyOperation, mailbox: Letterbox) -> AsyncGenerator[bytes, None]:
        if ready.is_subscription:
            async with aclosing(self._service.answers(call, ready, mailbox)) as answers:
                async for answer in answers:
                    yield answer.body
        else:
            yield self._service.encoded(await self._service.answer(call, ready), call.request_id).body

    async def _stream(
        self,
        exchange: Exchange,
        call: Call,
        answers: AsyncGenerator[bytes, None],
        share: _Share | None = None,
        *,
        must_finish: bool,
    ) -> None:
        stream = _EventStream(exchange, self._send_timeout_s, must_finish=must_finish)
        connections = self._service.connections
        connections.streams.add(stream)
        gone = asyncio.create_task(stream.until_over())
        coming: asyncio.Task[bytes | None] | None = None
        checked_at = said_at = asyncio.get_running_loop().time()
        try:
            await stream.begin()
            while True:
                coming = coming or asyncio.create_task(_next(answers))
                wait_s = min(self._keep_alive_s, self._check_interval_s)
                await asyncio.wait((coming, gone), timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    await stream.hang_up()
                    return
                now = asyncio.get_running_loop().time()
                if share is not None:
                    said_at = max(said_at, share.written_at)
                if call.viewer is not None and now - checked_at >= self._check_interval_s:
                    checked_at = now
                    if await self._service.operations.still_valid(call.viewer) is not Validity.VALID:
                        raise _CredentialsEndedError
                if coming.done():
                    body, coming = coming.result(), None
                    if body is None:
                        break
                    said_at = now
                    await stream.say(body)
                elif now - said_at >= self._keep_alive_s:
                    said_at = now
                    await stream.write(_COMMENT)
            await stream.end()
        except (FailedStreamError, _CredentialsEndedError) as error:
            answer = self._service.executor.failure(error, call.request_id)
            with suppress(TimeoutError, OSError):
                await stream.say(self._service.encoded(answer, call.request_id).body)
                await stream.end()
        except (TimeoutError, OSError):
            # A client that does not read, or is gone: there is no way to tell it anything.
            if share is not None:
                share.abort()
        finally:
            gone.cancel()
            if coming is not None:
                if not must_finish:
                    coming.cancel()
                # Whatever it raised, there is nobody left to tell.
                await asyncio.gather(coming, return_exceptions=True)
            await answers.aclose()
            connections.streams.discard(stream)
            stream.is_finished.set()


class _Share:
    """Writes what a subscription shares with others straight to its reply. Fulfils `groups.Letterbox`.

    Args:
        writer: Of the reply.
        patience_s: How long a client may take to read.

    Attributes:
        written_at: When something was written last, by the loop's clock.
    """

    __slots__ = ("_parting", "_patience_s", "_subscriber", "_timer", "_writer", "written_at")

    def __init__(self, writer: ReplyWriter, patience_s: float) -> None:
        self._writer = writer
        self._patience_s = patience_s
        self._parting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._subscriber: Subscriber | None = None
        self.written_at = 0.0

    def offer(self, parcel: Parcel) -> bool:
        """Write all answers in one go, unless the client has too much to read already."""
        kind = type(self._writer)
        frames = parcel.frames.get(kind)
        if frames is None:
            frames = self._writer.framed(b"".join(_event(answer.body) for answer in parcel.answers))
            parcel.frames[kind] = frames
        loop = asyncio.get_running_loop()
        if self._writer.write(frames):
            self.written_at = loop.time()
            return True
        if self._timer is None:
            self._timer = loop.call_later(self._patience_s, self._give_up)
            self._writer.call_with_room(self._go_on)
        return False

    def parted(self) -> None:
        """Go on without the group."""
        if not self._parting.done():
            self._parting.set_result(None)

    async def fetch(self, subscriber: Subscriber) -> None:
        """Return once the subscriber has to go on alone; what the group has for it is written already.

        Raises:
            TimeoutError: The client has not read for too long.
        """
        self._subscriber = subscriber
        try:
            await self._parting
        finally:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._parting = asyncio.get_running_loop().create_future()

    def abort(self) -> None:
        """Drop the connection of a client that does not read."""
        self._writer.abort()

    def _go_on(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._subscriber is not None:
            self._subscriber.catch_up()

    def _give_up(self) -> None:
        # Whoever has left the group meanwhile is nobody who reads too slowly.
        if self._subscriber is not None and self._subscriber.is_behind and not self._parting.done():
            self._parting.set_exception(TimeoutError())


class _EventStream:
    """The events of one reply."""

    def __init__(self, exchange: Exchange, send_timeout_s: float, *, must_finish: bool) -> None:
        self._exchange = exchange
        self._send_timeout_s = send_timeout_s
        self._must_finish = must_finish
        self._is_over = asyncio.Event()
        self.is_finished = asyncio.Event()

    async def begin(self) -> None:
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
            (b"x-request-id", self._exchange.request_id.encode("latin-1")),
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        # Some browsers and proxies show the reply only once there is something in it.
        await self.write(_COMMENT)

    async def say(self, payload: bytes) -> None:
        await self.write(_event(payload))

    async def write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": _COMPLETE, "more_body": False})

    async def hang_up(self) -> None:
        """Finish the reply without `complete`; where the client has gone, nothing is sent."""
        if self._is_over.is_set():
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def until_over(self) -> None:
        """Return when the client has gone, or the server goes."""
        draining = asyncio.create_task(self._is_over.wait())
        leaving = asyncio.create_task(self._until_disconnected())
        try:
            await asyncio.wait((draining, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            draining.cancel()
            leaving.cancel()

    async def drain(self, patience: timedelta) -> None:
        """Hang up, so that the client connects again; a mutation in flight is answered first, if it can be."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience.total_seconds() if self._must_finish else 0):
                await self.is_finished.wait()
        self._is_over.set()

    async def _until_disconnected(self) -> None:
        while (await self._exchange.receive())["type"] != "http.disconnect":
            pass

    async def _send(self, message: dict[str, Any]) -> None:
        async with asyncio.timeout(self._send_timeout_s):
            await self._exchange.send(message)


def _event(payload: bytes) -> bytes:
    return b"event: next\ndata: %b\n\n" % payload


async def _next(answers: AsyncGenerator[bytes, None]) -> bytes | None:
    return await anext(answers, None)


async def _just(answer: bytes) -> AsyncGenerator[bytes, None]:
    yield answer
