"""The ASGI application: starts and ends the service, measures requests, and hands them to its routes."""

from __future__ import annotations

import asyncio
import logging
import re
import resource
import secrets
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any

import orjson
import structlog
from prometheus_client import Counter, Histogram
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alertgraph.core.errors import AlertGraphError
from alertgraph.edge import rest
from alertgraph.edge.installation import StartError
from alertgraph.edge.intake import alertmanager
from alertgraph.edge.service import SOCKETS_PATH, Service
from alertgraph.edge.telemetry import Telemetry, configure_logging, request_id
from alertgraph.edge.wiring import open_service
from alertgraph.settings import Settings, SettingsError, read_settings

# A caller's own request id is taken over where it can stand in a log line as it is.
SANE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")

# From the end of a request to the begin of its answer. Nothing takes so long but a store that hangs, and who
# waits for one is better told to come again; what was accepted is written all the same.
ANSWER_WITHIN_SECONDS = 14.0
# For a client to send its body.
BODY_WITHIN_SECONDS = 60.0
FILE_COUNT_MAX = 65_536


# What comes by the thousand goes past the router, to routes that answer every method and error themselves.
DIRECT_PATHS = frozenset((rest.ROOT, rest.BULK, alertmanager.ALERTS))
# Whether anything is told of a request at all: asked of the logger itself, since structlog first makes it ready.
_LOGGER = logging.getLogger("alertgraph")


class _Patience:
    """How long a request may take until its answer begins; the time that its body takes to come is the client's.

    A context in which the request is answered, which raises TimeoutError. One timer is enough: it is set for the
    earliest end there can be, and where that has moved by then, once more.

    Attributes:
        expired: Whether the time was up.
        is_waiting: Whether the client has not sent what was asked of it.
    """

    __slots__ = (
        "_cancelling",
        "_is_over",
        "_loop",
        "_receive",
        "_started_at",
        "_task",
        "_timer",
        "_until",
        "_waited",
        "expired",
        "is_waiting",
    )

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._started_at = self._loop.time()
        self._waited = 0.0
        self._until = self._started_at + ANSWER_WITHIN_SECONDS
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False
        self.expired = False
        self.is_waiting = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "a request is answered by a task"
        self._task = task
        self._cancelling = task.cancelling()
        first = self._started_at + min(BODY_WITHIN_SECONDS, ANSWER_WITHIN_SECONDS)
        self._timer = self._loop.call_at(first, self._strike)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self.end()
        # Where somebody else has cancelled the task, too, that goes on.
        if self.expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    async def receive(self) -> Message:
        """Return the next message of the client."""
        if self._is_over:
            return await self._receive()
        waiting_since, self.is_waiting = self._loop.time(), True
        self._until = self._started_at + BODY_WITHIN_SECONDS
        message = await self._receive()
        self._waited += self._loop.time() - waiting_since
        self.is_waiting = False
        self._until = self._started_at + self._waited + ANSWER_WITHIN_SECONDS
        return message

    def end(self) -> None:
        """Let what has begun take as long as it takes: it may be a stream."""
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()

    def _strike(self) -> None:
        if self._is_over:
            return
        if self._loop.time() < self._until:
            self._timer = self._loop.call_at(self._until, self._strike)
            return
        self.expired = True
        self._task.cancel()


class Application:
    """alertgraph as an ASGI application.

    Args:
        settings: None to read them from the environment when the application starts.
        role: all, api or engine.
        announce: Called once the service is up, with lines for the person who started it.

    Attributes:
        start_error: Why it could not start; None while it could.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        role: str = "all",
        announce: Callable[[list[str]], None] | None = None,
    ) -> None:
        self._settings = settings
        self._role = role
        self._announce = announce
        self._telemetry = Telemetry()
        self._log = structlog.get_logger("alertgraph")
        self._service: Service | None = None
        self._router: ASGIApp | None = None
        self._sockets: ASGIApp | None = None
        self._direct: Mapping[str, Route] = {}
        self._graphql: Route | None = None
        self._figures: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self.start_error: StartError | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, carry a websocket, or live through the server's begin and end."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif self._sockets is not None and scope["path"] == SOCKETS_PATH:
            # Past the router, whose layers would stay in memory for as long as the socket is open.
            await self._sockets(scope, receive, send)
        elif self._router is not None:
            await self._router(scope, receive, send)

    async def drain(self) -> None:
        """Tell sockets that the service goes down, and finish what they have under way."""
        if self._service is not None:
            await self._service.drain()

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._start()
        except (StartError, SettingsError) as error:
            self.start_error = error if isinstance(error, StartError) else StartError(str(error))
        except AlertGraphError as error:
            self.start_error = StartError(error.message)
        except Exception as error:  # noqa: BLE001  (the log has it all; whoever started us gets a sentence)
            self._log.error("start failed", error=type(error).__name__, exc_info=error)
            self.start_error = StartError(f"The service can't start: {type(error).__name__}: {error}.")
        if self.start_error is not None:
            await self._stop()
            # The server prints the message and ends; whoever runs us by `alertgraph serve` prints it itself.
            if self._settings is None:
                self._log.error(str(self.start_error))
            await send({"type": "lifespan.startup.failed", "message": ""})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self) -> None:
        _open_many_files()
        settings = self._settings
        if settings is None:
            settings = read_settings()
            configure_logging(settings.log_format, settings.log_level)
        self._service = await open_service(settings, self._role, self._telemetry)
        routes = self._service.routes()
        router = Starlette(routes=routes)
        if self._role != "engine":
            # Only what no route knows by its path: a wrong method is still told as one.
            router.router.default = self._service.console
        self._router = router
        self._sockets = self._service.sockets
        self._direct = {
            route.path: route for route in routes if isinstance(route, Route) and route.path in DIRECT_PATHS
        }
        self._graphql = next(
            (each for each in routes if isinstance(each, Route) and each.path == SOCKETS_PATH), None
        )
        (self._announce or _print)(self._service.greeting)

    async def _stop(self) -> None:
        service, self._service = self._service, None
        if service is not None:
            # Also when the server is in a hurry: what was accepted is written.
            with suppress(asyncio.CancelledError):
                await service.close()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with an id of its own, and count how it ended."""
        started = time.perf_counter()
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        current = given.decode() if SANE_REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        token = request_id.set(current)
        scope.setdefault("state", {})["request_id"] = current
        status = 500
        answered = False
        patience = _Patience(receive)

        async def sent(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], True
                patience.end()
                headers = [pair for pair in message.get("headers", ()) if pair[0].lower() != b"x-request-id"]
                message = {**message, "headers": [*headers, (b"x-request-id", current.encode())]}
            await send(message)

        try:
            with patience:
                direct = self._direct.get(scope["path"])
                if scope["path"] == SOCKETS_PATH and self._graphql is not None and not scope.get("root_path"):
                    # It answers every method and error itself, too, and is an application of its own.
                    scope["route"] = self._graphql
                    await self._graphql.app(scope, patience.receive, sent)
                elif self._router is None:
                    await _refuse(sent, scope, 503, "UNAVAILABLE", "The service is not up; try again.", current)
                elif direct is None or scope.get("root_path"):
                    await self._router(scope, patience.receive, sent)
                else:
                    scope["route"] = direct
                    response = await direct.endpoint(Request(scope, patience.receive))
                    await response(scope, patience.receive, sent)
        except Exception as error:  # noqa: BLE001  (the request boundary: what is said outside is an id to quote)
            if isinstance(error, TimeoutError) and patience.expired and not answered:
                await self._give_up(sent, scope, current, is_waiting=patience.is_waiting)
            else:
                self._log.error("request failed", path=_path_of(scope), error=type(error).__name__, exc_info=error)
            if not answered:
                text = f"Internal error; quote the request id {current}."
                await _refuse(sent, scope, 500, "INTERNAL", text, current)
        finally:
            route = _route_of(scope)
            seconds = time.perf_counter() - started
            self._count(route, scope["method"], status, seconds)
            # What was refused can be found by the id that its answer quotes; the rest is for --log-level debug.
            if status >= 400 or _LOGGER.isEnabledFor(logging.DEBUG):
                tell = self._log.debug if status < 400 else self._log.info
                tell("answered", route=route, method=scope["method"], status=status, ms=round(seconds * 1000, 1))
            request_id.reset(token)

    def _count(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request; the figures of its kind are looked up once, and there are few kinds."""
        figures = self._figures.get((route, method, status))
        if figures is None:
            telemetry = self._telemetry
            figures = self._figures[route, method, status] = (
                telemetry.requests.labels(route, method, str(status)),
                telemetry.request_seconds.labels(route),
            )
        figures[0].inc()
        figures[1].observe(seconds)

    async def _give_up(self, send: Send, scope: Scope, quoted: str, *, is_waiting: bool) -> None:
        """Tell somebody who has waited long enough."""
        if is_waiting:
            text = f"The body did not arrive within {BODY_WITHIN_SECONDS:g} s."
            await _refuse(send, scope, 408, "BAD_REQUEST", text, quoted)
            return
        self._log.warning("request given up", path=_path_of(scope), seconds=ANSWER_WITHIN_SECONDS)
        text = (
            f"There was no answer within {ANSWER_WITHIN_SECONDS:g} s. What was asked for may have been done all "
            "the same: send it again with the same idempotency key."
        )
        await _refuse(send, scope, 503, "UNAVAILABLE", text, quoted)


def _open_many_files() -> None:
    """Have as many files open as the system lets us: each reader is one, and so is each page under way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILE_COUNT_MAX if hard == resource.RLIM_INFINITY else min(hard, FILE_COUNT_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _print(lines: list[str]) -> None:
    """Say what the person who started us must know: never by the log, for there may be a secret in it."""
    sys.stdout.write("".join(f"  {line}\n" for line in lines))
    sys.stdout.flush()


async def _refuse(send: Send, scope: Scope, status: int, code: str, text: str, quoted: str) -> None:
    """Answer with a problem document (RFC 9457) shaped as those of the REST routes; GraphQL in its own way."""
    if scope["path"].startswith("/graphql"):
        media_type = b"application/json; charset=utf-8"
        error = {"message": text, "extensions": {"code": code, "requestId": quoted}}
        body = orjson.dumps({"errors": [error]})
    else:
        media_type = b"application/problem+json"
        problem = {
            "type": "about:blank",
            "title": text,
            "status": status,
            "code": code,
            "errors": [{"code": code, "message": text, "path": []}],
            "requestId": quoted,
        }
        body = orjson.dumps(problem)
    headers = [(b"content-type", media_type), (b"content-length", str(len(body)).encode())]
    if status == 503:
        headers.append((b"retry-after", b"1"))
    if status == 408:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _route_of(scope: MutableMapping[str, Any]) -> str:
    """Return the route's pattern, never the path as sent: a metric's labels must stay few, and tell no secret."""
    route = scope.get("route")
    return route.path if isinstance(route, Route) else "unmatched"


def _path_of(scope: MutableMapping[str, Any]) -> str:
    """Return a path as it can stand in a log: a token in it is a credential."""
    route = _route_of(scope)
    return route if "{token}" in route else str(scope["path"])
