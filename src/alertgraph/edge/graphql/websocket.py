"""GraphQL over websockets, by the protocol graphql-transport-ws only.

An operation that is wrong is answered by an `error` message, and the socket lives on. A client that breaks the
protocol is closed, with these codes:

    4400  a message that the protocol does not know         4401  subscribe before connection_ack
    4403  bad or revoked credentials                        4406  another protocol
    4408  no connection_init in time                        4409  an id that is in use
    4410  the client reads too slowly; the reason says      4411  the credentials ran out
          where to resume                                   4412  the server restarts; connect again
    4413  no sign of life                                   4429  a second connection_init
    1009  a message that is too big                         1013  nobody can be let in now; try again
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from alertgraph.edge.graphql.connections import WRITER, FrameWriter
from alertgraph.edge.graphql.exchange import request_id_of
from alertgraph.edge.graphql.operations import Call, Following, GraphQLService, ReadyOperation, Validity
from alertgraph.execution.errors import Code, FailedStreamError, refusal
from alertgraph.execution.executor import Answer
from alertgraph.execution.groups import EncodedAnswer, Mailbox, Parcel, followed
from alertgraph.execution.request import (
    VARIABLES_DEPTH_MAX,
    is_nested_deeper,
    read_payload,
    repeated_member,
    twice,
)

PROTOCOL: Final = "graphql-transport-ws"

_REASON_SIZE_MAX: Final = 123
_ID_LENGTH_MAX: Final = 128
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """Bounds of one websocket.

    Attributes:
        message_size_max: Bytes of one message from the client.
        operation_count_max: Operations at a time.
        init_timeout: For connection_init.
        send_timeout: A client that has not read for so long is too slow.
        check_interval: How often the viewer's credentials are looked at again.
        ping_interval: How often the client is asked for a sign of life; it has as long to give one.
        close_timeout: How long a close may take to be sent to somebody who does not read.
        mutation_timeout: How long a mutation may go on after its socket has closed.
    """

    message_size_max: int = 64 * 1024
    operation_count_max: int = 100
    init_timeout: timedelta = timedelta(seconds=5)
    send_timeout: timedelta = timedelta(seconds=10)
    check_interval: timedelta = timedelta(seconds=5)
    ping_interval: timedelta = timedelta(seconds=25)
    close_timeout: timedelta = timedelta(seconds=10)
    mutation_timeout: timedelta = timedelta(seconds=15)


class CloseSocket(Exception):  # noqa: N818 - not an error: the way to leave from any depth
    """The socket is to be closed.

    Attributes:
        code: Of the close frame.
        reason: Cut to what a close frame can hold.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason.encode()[:_REASON_SIZE_MAX].decode(errors="ignore")


class _ClientGoneError(Exception):
    """Nothing can be sent any more; the reader hears of it, too."""


class GraphQLWebSocket:
    """The endpoint /graphql for websockets: an ASGI application.

    Args:
        service: Runs operations.
        limits: Bounds of one socket.
        allowed_origins: Web pages that may connect beside those of our own host, such as `https://ops.example.com`.
    """

    def __init__(
        self,
        service: GraphQLService,
        limits: SocketLimits | None = None,
        *,
        allowed_origins: frozenset[str] = frozenset(),
    ) -> None:
        self._service = service
        self._limits = limits or SocketLimits()
        self._allowed_origins = frozenset(origin.lower().rstrip("/") for origin in allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one websocket until it ends."""
        if (await receive())["type"] != "websocket.connect":
            return
        headers = Headers(scope=scope)
        if not self._is_origin_allowed(headers):
            # Before the handshake is accepted, this is answered by 403.
            await send({"type": "websocket.close", "code": 4403})
            return
        offered: list[str] = list(scope.get("subprotocols", ()))
        chosen = PROTOCOL if PROTOCOL in offered else next(iter(offered), None)
        try:
            # A client shows a close code only after a handshake in which one of its protocols was chosen.
            await send({"type": "websocket.accept", "subprotocol": chosen})
        except OSError:
            return
        socket = _Socket(self._service, self._limits, scope, headers, receive, send)
        if chosen != PROTOCOL:
            await socket.close(CloseSocket(4406, f"Subprotocol not acceptable; use {PROTOCOL}"))
        elif self._service.connections.is_draining:
            await socket.close(_RESTARTING)
        else:
            await socket.serve()

    def _is_origin_allowed(self, headers: Headers) -> bool:
        origins = headers.getlist("origin")
        if not origins:
            # Only browsers send it, and only pages in browsers act for somebody who is not asked.
            return True
        origin = origins[0].lower().rstrip("/")
        if len(origins) > 1:
            return False
        return origin in self._allowed_origins or _is_same_host(origin, headers.get("host", ""))


_RESTARTING: Final = CloseSocket(4412, "server is restarting; reconnect")


@dataclass(slots=True)
class _Running:
    """An operation in flight on a socket.

    Attributes:
        is_mutation: Known once it is prepared; then it is not broken off any more.
        is_silenced: Whether the client wants no more of it.
        cursor: Of the last answer that was sent to this client alone.
        following: A subscription; with its group it goes on without a task.
    """

    is_mutation: bool = False
    is_silenced: bool = False
    cursor: str | None = None
    following: Following | None = None


class _Socket:
    """One websocket that speaks the protocol."""

    def __init__(
        self,
        service: GraphQLService,
        limits: SocketLimits,
        scope: Scope,
        headers: Headers,
        receive: Receive,
        send: Send,
    ) -> None:
        self._service = service
        self._limits = limits
        self._handshake_authorization = headers.get("authorization")
        self._writer: FrameWriter | None = ((scope.get("extensions") or {}).get(WRITER) or {}).get("writer")
        self._receive_message = receive
        self._send_message = send
        self._request_id = request_id_of(scope, service)
        self._request_count = 0
        self._viewer: Any = None
        self._is_acknowledged = False
        self._is_closed = False
        self._is_draining = False
        self._running: dict[str, _Running] = {}
        # A mutation whose id the client has given up, or used again, runs on without an entry above.
        self._tasks: dict[asyncio.Task[None], _Running] = {}
        loop = asyncio.get_running_loop()
        self._leaving: asyncio.Future[CloseSocket] = loop.create_future()
        self._listening: asyncio.Timeout | None = None
        self._over: asyncio.Future[None] = loop.create_future()
        self._opened_at = self._heard_at = loop.time()
        # Looking after the socket is a task only while it takes place: most sockets are idle most of the time.
        self._look_timer: asyncio.TimerHandle | None = None
        self._look_task: asyncio.Task[None] | None = None
        self._pinged_at: float | None = None
        self._ping_due_at = self._opened_at + limits.ping_interval.total_seconds()

    async def serve(self) -> None:
        """Read messages until the client leaves or the socket is to be closed."""
        self._service.connections.sockets.add(self)
        self._look_later()
        code = 1006
        try:
            code = await self._read()
        except CloseSocket as closing:
            code = closing.code
            self._break_off()
            await self.close(closing)
        finally:
            self._is_closed = True
            self._service.connections.sockets.discard(self)
            self._break_off()
            self._look_no_more()
            self._over.set_result(None)
            await self._finish(self._tasks, self._limits.mutation_timeout)
            self._service.observer.socket_closed(code)

    async def close(self, closing: CloseSocket) -> None:
        """Send a close frame, unless the client has gone or does not read it."""
        self._is_closed = True
        message = {"type": "websocket.close", "code": closing.code, "reason": closing.reason}
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._limits.close_timeout.total_seconds()):
                await self._send_message(message)

    async def drain(self, patience: timedelta) -> None:
        """Begin no operation any more, let mutations finish, then close."""
        self._is_draining = True
        await self._finish([task for task, running in self._tasks.items() if running.is_mutation], patience)
        self._leave(_RESTARTING)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.close_timeout.total_seconds()):
                await asyncio.shield(self._over)

    # ------------------------------------------------------------- reading

    async def _read(self) -> int:
        """Return the code with which the client closed."""
        while True:
            await self._until_there_is_room()
            message = await self._received()
            self._heard_at = asyncio.get_running_loop().time()
            if message["type"] == "websocket.disconnect":
                return int(message.get("code") or 1005)
            await self._handle(*self._decoded(message))

    async def _received(self) -> Message:
        """Return the next message, without a task that waits for it beside the one that the socket has."""
        if not self._leaving.done():
            try:
                async with asyncio.timeout(self._init_time_left()) as self._listening:
                    return await self._receive_message()
            except TimeoutError:
                if not self._leaving.done():
                    raise CloseSocket(4408, "Connection initialisation timeout") from None
            finally:
                self._listening = None
        raise self._leaving.result()

    def _init_time_left(self) -> float | None:
        if self._is_acknowledged:
            return None
        deadline = self._opened_at + self._limits.init_timeout.total_seconds()
        return max(0.0, deadline - asyncio.get_running_loop().time())

    async def _until_there_is_room(self) -> None:
        # A client that asks and does not read the answers is not listened to, or what it asks would pile up here.
        while len(self._tasks) >= 2 * self._limits.operation_count_max and not self._leaving.done():
            waiting: list[asyncio.Future[Any]] = [*self._tasks, self._leaving]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)

    def _decoded(self, message: Message) -> tuple[dict[str, Any], str | None]:
        """Return what the client said, and the name of a member that it said twice."""
        text = message.get("text")
        if text is None:
            raise CloseSocket(4400, "Messages must be text, not binary")
        size_max = self._limits.message_size_max
        data = text.encode()
        if len(data) > size_max:
            raise CloseSocket(1009, f"Messages must not have more than {size_max} bytes")
        try:
            decoded: object = orjson.loads(data)
        except orjson.JSONDecodeError:
            raise CloseSocket(4400, "Messages must be JSON") from None
        if not isinstance(decoded, dict):
            raise CloseSocket(4400, "Messages must be JSON objects")
        try:
            return decoded, repeated_member(data, decoded)
        except TypeError:
            # Nested so deeply that it is refused, or left out, wherever it is used.
            return decoded, None

    async def _handle(self, message: Mapping[str, Any], repeated: str | None) -> None:
        if repeated is not None and message.get("type") != "subscribe":
            raise CloseSocket(4400, twice("The message", repeated))
        match message.get("type"):
            case "connection_init":
                await self._initialise(_payload(message))
            case "ping":
                payload = _payload(message)
                # Something deeper could not be written again.
                is_echoed = payload is not None and not is_nested_deeper(payload, VARIABLES_DEPTH_MAX)
                await self._send(
                    orjson.dumps({"type": "pong"} | ({"payload": payload} if is_echoed else {})), None
                )
            case "pong":
                _payload(message)
            case "subscribe":
                self._subscribe(_id(message), message, repeated)
            case "complete":
                self._complete(_id(message))
            case str(unknown):
                raise CloseSocket(4400, f"Unknown message type '{unknown[:60]}'")
            case _:
                raise CloseSocket(4400, "The type of a message must be text")

    async def _initialise(self, payload: Mapping[str, Any] | None) -> None:
        if self._is_acknowledged:
            raise CloseSocket(4429, "Too many initialisation requests")
        authorization = self._handshake_authorization
        for name, value in (payload or {}).items():
            if name.lower() == "authorization":
                if not isinstance(value, str):
                    raise CloseSocket(4400, "authorization must be text")
                authorization = value
        call = Call(None, "websocket", self._request_id)
        try:
            self._viewer = await self._service.operations.authenticate(authorization)
        except Exception as error:  # noqa: BLE001 - the boundary of a connection: masked and reported
            answer = self._service.failed(call, error)
            if answer.code in ("UNAUTHENTICATED", "FORBIDDEN"):
                raise CloseSocket(4403, "Forbidden") from None
            raise CloseSocket(1013, f"{answer.code}; try again; request id {self._request_id}") from None
        self._is_acknowledged = True
        await self._send(b'{"type":"connection_ack"}', None)

    # ---------------------------------------------------------- operations

    def _subscribe(self, id_: str, message: Mapping[str, Any], repeated: str | None) -> None:
        if not self._is_acknowledged:
            raise CloseSocket(4401, "Unauthorized")
        if not isinstance(message.get("payload"), dict):
            raise CloseSocket(4400, "A subscribe message needs a payload, an object")
        if id_ in self._running:
            raise CloseSocket(4409, f"Subscriber for {id_} already exists")
        running = _Running()
        self._running[id_] = running
        self._request_count += 1
        call = Call(self._viewer, "websocket", f"{self._request_id}-{self._request_count}")
        # Now, not when its turn has come: by then others may be there.
        is_one_too_many = len(self._running) > self._limits.operation_count_max
        payload = None if is_one_too_many else message["payload"]
        self._spawn(running, self._run(id_, running, call, payload, repeated))

    def _spawn(self, running: _Running, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks[task] = running
        task.add_done_callback(self._tasks.pop)

    def _complete(self, id_: str) -> None:
        running = self._running.pop(id_, None)
        if running is None:
            # It may have completed by itself while this message was on its way.
            return
        running.is_silenced = True
        if running.following is not None:
            running.following.end()
        for task, each in self._tasks.items():
            if each is running and not each.is_mutation:
                task.cancel()

    async def _run(
        self, id_: str, running: _Running, call: Call, payload: Mapping[str, Any] | None, repeated: str | None
    ) -> None:
        async with self._failing_alone(id_, running, call):
            if payload is None:
                raise _TooManyOperationsError(self._limits.operation_count_max)
            if repeated is not None:
                raise refusal(Code.BAD_REQUEST, twice("The message", repeated))
            ready = await self._ready(running, call, payload)
            if ready.is_subscription:
                await self._begin(id_, running, call, ready)
            else:
                answer = await self._service.answer(call, ready)
                await self._next(id_, running, self._service.encoded(answer, call.request_id).body)
                await self._end(id_, running, _complete(id_))

    async def _begin(self, id_: str, running: _Running, call: Call, ready: ReadyOperation) -> None:
        if self._writer is not None:
            following = self._service.follow(call, ready, _Share(self, self._writer, id_, running, call))
            answers = following.subscriber.alone
        else:
            mailbox = Mailbox()
            following = self._service.follow(call, ready, mailbox)
            answers = partial(followed, following.subscriber, mailbox)
        running.following = following
        await self._tell(id_, running, following, answers())

    def go_alone(self, id_: str, running: _Running, call: Call) -> None:
        """Go on with a subscription whose group has ended, or has forgotten what was not sent yet."""
        self._spawn(running, self._go_on(id_, running, call))

    def give_up(self, cursor: str | None) -> None:
        """Close on a client that has not read for too long."""
        self._leave(_too_slow(cursor))

    @property
    def patience_s(self) -> float:
        """How long a client may take to read."""
        return self._limits.send_timeout.total_seconds()

    async def _go_on(self, id_: str, running: _Running, call: Call) -> None:
        following = running.following
        if following is None or running.is_silenced:
            return
        running.cursor = following.subscriber.cursor
        async with self._failing_alone(id_, running, call):
            await self._tell(id_, running, following, following.subscriber.alone())

    async def _tell(
        self, id_: str, running: _Running, following: Following, answers: AsyncGenerator[EncodedAnswer, None]
    ) -> None:
        async with aclosing(answers):
            async for answer in answers:
                await self._next(id_, running, answer.body)
                running.cursor = answer.cursor or running.cursor
        if following.subscriber.is_over:
            following.end()
            await self._end(id_, running, _complete(id_))

    @asynccontextmanager
    async def _failing_alone(self, id_: str, running: _Running, call: Call) -> AsyncIterator[None]:
        """Tell the client of whatever an operation ends in; the socket lives on where it can."""
        try:
            yield
        except CloseSocket as closing:
            self._leave(closing)
        except _ClientGoneError:
            return
        except FailedStreamError as failed:
            if running.following is not None:
                running.following.end(failed.code)
            if failed.code == "SLOW_CONSUMER":
                self._leave(_too_slow(running.cursor))
            else:
                await self._fail(id_, running, self._service.executor.failure(failed, call.request_id))
        except Exception as error:  # noqa: BLE001 - the boundary of an operation: masked and reported
            await self._fail(id_, running, self._service.failed(call, error))

    async def _ready(self, running: _Running, call: Call, payload: Mapping[str, Any]) -> ReadyOperation:
        await self._check_viewer()
        request = read_payload(dict(payload), "The payload")
        ready = await self._service.ready(call, request)
        if self._is_draining:
            raise refusal(Code.UNAVAILABLE, "The server is restarting; connect again.")
        running.is_mutation = ready.is_mutation
        return ready

    async def _next(self, id_: str, running: _Running, body: bytes) -> None:
        await self._say(running, _before(id_) + body + b"}")

    async def _fail(self, id_: str, running: _Running, answer: Answer) -> None:
        errors = orjson.dumps(answer.payload["errors"])
        message = b'{"id":' + orjson.dumps(id_) + b',"type":"error","payload":' + errors + b"}"
        try:
            await self._end(id_, running, message)
        except CloseSocket as closing:
            self._leave(closing)
        except _ClientGoneError:
            return

    async def _end(self, id_: str, running: _Running, message: bytes) -> None:
        # The id is free before the client can hear that it is.
        if self._running.get(id_) is running:
            del self._running[id_]
        await self._say(running, message)

    async def _say(self, running: _Running, message: bytes) -> None:
        if not running.is_silenced:
            await self._send(message, running)

    # -------------------------------------------------------------- sending

    async def _send(self, message: bytes, running: _Running | None) -> None:
        """Send a message.

        Raises:
            CloseSocket: The client reads too slowly.
            _ClientGoneError: It does not read at all any more.
        """
        if self._is_closed:
            return
        try:
            async with asyncio.timeout(self._limits.send_timeout.total_seconds()):
                await self._send_message({"type": "websocket.send", "text": message.decode()})
        except TimeoutError:
            raise _too_slow(running.cursor if running is not None else None) from None
        except OSError:
            raise _ClientGoneError from None

    def _leave(self, closing: CloseSocket) -> None:
        if not self._leaving.done():
            self._leaving.set_result(closing)
            if self._listening is not None and not self._listening.expired():
                self._listening.reschedule(asyncio.get_running_loop().time())

    # ------------------------------------------------------------- watching

    def _look_later(self) -> None:
        interval_s = min(self._limits.check_interval, self._limits.ping_interval).total_seconds()
        self._look_timer = asyncio.get_running_loop().call_later(interval_s, self._look_now)

    def _look_now(self) -> None:
        self._look_timer = None
        self._look_task = asyncio.create_task(self._look())

    def _look_no_more(self) -> None:
        if self._look_timer is not None:
            self._look_timer.cancel()
        if self._look_task is not None:
            self._look_task.cancel()

    async def _look(self) -> None:
        """Look after the viewer's credentials and the client's life."""
        loop = asyncio.get_running_loop()
        try:
            if self._is_acknowledged:
                await self._check_viewer()
                if loop.time() >= self._ping_due_at:
                    if self._pinged_at is not None and self._heard_at < self._pinged_at:
                        raise CloseSocket(4413, "no sign of life")
                    self._pinged_at = loop.time()
                    self._ping_due_at = self._pinged_at + self._limits.ping_interval.total_seconds()
                    await self._send(b'{"type":"ping"}', None)
        except CloseSocket as closing:
            self._leave(closing)
        except _ClientGoneError:
            return
        else:
            self._look_task = None
            self._look_later()

    async def _check_viewer(self) -> None:
        try:
            validity = await self._service.operations.still_valid(self._viewer)
        except Exception as error:  # noqa: BLE001 - not knowing is no reason to close; the next check may know
            self._service.executor.failure(error, self._request_id)
            return
        if validity is Validity.REVOKED:
            raise CloseSocket(4403, "Forbidden")
        if validity is Validity.EXPIRED:
            raise CloseSocket(4411, "token expired")

    # --------------------------------------------------------------- ending

    def _break_off(self) -> None:
        """Let nothing more be sent, and end what only reads; a mutation goes on."""
        for running in self._running.values():
            if running.following is not None:
                running.following.end()
        for task, running in self._tasks.items():
            running.is_silenced = True
            if not running.is_mutation:
                task.cancel()

    async def _finish(self, tasks: Iterable[asyncio.Task[None]], patience: timedelta) -> None:
        waiting = tuple(tasks)
        if waiting:
            await asyncio.wait(waiting, timeout=patience.total_seconds())


class _TooManyOperationsError(Exception):
    code = "RATE_LIMITED"

    def __init__(self, operation_count_max: int) -> None:
        self.message = f"A socket carries at most {operation_count_max} operations at a time."
        super().__init__(self.message)


class _Share:
    """Writes what a subscription shares with others straight to its socket. Fulfils `groups.Outlet`."""

    __slots__ = ("_before", "_call", "_id", "_running", "_socket", "_timer", "_writer")

    def __init__(self, socket: _Socket, writer: FrameWriter, id_: str, running: _Running, call: Call) -> None:
        self._socket = socket
        self._writer = writer
        self._id = id_
        self._running = running
        self._call = call
        self._before = _before(id_)
        self._timer: asyncio.TimerHandle | None = None

    def offer(self, parcel: Parcel) -> bool:
        """Write all answers in one go, unless the client has too much to read already."""
        frames = parcel.frames.get(self._before)
        if frames is None:
            frames = b"".join(_text_frame(self._before + answer.body + b"}") for answer in parcel.answers)
            parcel.frames[self._before] = frames
        if self._writer.write(frames):
            return True
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._socket.patience_s, self._give_up)
            self._writer.call_with_room(self._go_on)
        return False

    def parted(self) -> None:
        """Go on without the group."""
        self._socket.go_alone(self._id, self._running, self._call)

    def _go_on(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._running.following is not None:
            self._running.following.subscriber.catch_up()

    def _give_up(self) -> None:
        following = self._running.following
        # Whoever has left the group meanwhile is nobody who reads too slowly.
        if following is not None and following.subscriber.is_behind:
            self._socket.give_up(following.subscriber.cursor)


def _text_frame(payload: bytes) -> bytes:
    """Return an unmasked text frame of RFC 6455, as servers send them."""
    size = len(payload)
    if size < 126:
        return b"\x81%c%b" % (size, payload)
    if size < 1 << 16:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), payload)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), payload)


def _before(id_: str) -> bytes:
    """Return what stands before the payload of a `next` message; a brace closes it."""
    return f'{{"id":{orjson.dumps(id_).decode()},"type":"next","payload":'.encode()


def _complete(id_: str) -> bytes:
    return b'{"id":%b,"type":"complete"}' % orjson.dumps(id_)


def _too_slow(cursor: str | None) -> CloseSocket:
    reason = f"slow consumer; resume after {cursor}"
    if cursor is None or len(reason.encode()) > _REASON_SIZE_MAX:
        # A cursor that is cut off would be worse than none.
        reason = "slow consumer"
    return CloseSocket(4410, reason)


def _id(message: Mapping[str, Any]) -> str:
    id_ = message.get("id")
    if not isinstance(id_, str) or not id_:
        raise CloseSocket(4400, "The id of a message must be text, and not empty")
    if len(id_) > _ID_LENGTH_MAX:
        raise CloseSocket(4400, f"The id of a message must not have more than {_ID_LENGTH_MAX} characters")
    return id_


def _payload(message: Mapping[str, Any]) -> Mapping[str, Any] | None:
    payload = message.get("payload")
    if payload is not None and not isinstance(payload, dict):
        raise CloseSocket(4400, "The payload of a message must be an object")
    return payload


def _is_same_host(origin: str, host: str) -> bool:
    """Return whether a page of this origin came from the host that the socket is opened to."""
    try:
        page = urlsplit(origin)
        port = page.port or _DEFAULT_PORTS.get(page.scheme)
        here = urlsplit(f"//{host.lower()}")
        # A host without a port has the one of the page's scheme; ours may differ, behind a proxy that ends TLS.
        here_port = here.port or _DEFAULT_PORTS.get(page.scheme)
    except ValueError:
        return False
    is_page = page.scheme in _DEFAULT_PORTS and page.hostname is not None
    return is_page and (page.hostname, port) == (here.hostname, here_port)
