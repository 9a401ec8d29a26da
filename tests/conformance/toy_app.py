"""The toy schema behind our own transports, in process or on a real server."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Hashable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute

from alertgraph.edge.graphql import (
    GraphQLEventStream,
    GraphQLHttp,
    GraphQLService,
    GraphQLWebSocket,
    HttpLimits,
    OperationInfo,
    OperationReport,
    SocketLimits,
    Validity,
)
from alertgraph.edge.graphql.uvicorn_reply import LendingHttpProtocol
from alertgraph.edge.graphql.uvicorn_socket import CleanWebSocketProtocol
from tests.conformance import toy

GOOD = "Bearer good"


@dataclass
class ToyOperations:
    """Lets `Bearer good` in; other words after Bearer bring about the failure they name."""

    world: toy.ToyWorld = field(default_factory=toy.ToyWorld)
    validity: Validity = Validity.VALID
    admitted: list[int] = field(default_factory=list)
    opened: list[OperationInfo] = field(default_factory=list)
    is_limited: bool = False

    async def authenticate(self, authorization: str | None) -> str:
        match authorization:
            case "Bearer good":
                return "good"
            case "Bearer away":
                raise toy.ToyError("UNAVAILABLE", "The store is away.", timedelta(seconds=3))
            case "Bearer forbidden":
                raise toy.ToyError("FORBIDDEN", "Not you.")
            case "Bearer crash":
                raise RuntimeError("secret of authenticate")
            case None:
                raise toy.ToyError("UNAUTHENTICATED", "Send an Authorization header.")
            case _:
                raise toy.ToyError("UNAUTHENTICATED", "No such key.")

    async def admit(self, viewer: str, cost: int) -> Mapping[str, object]:
        if self.is_limited:
            raise toy.ToyError("RATE_LIMITED", "Too much in too short a time.", timedelta(seconds=7))
        self.admitted.append(cost)
        return {"remaining": 1_000_000 - sum(self.admitted)}

    def open_context(self, viewer: str, info: OperationInfo) -> AbstractAsyncContextManager[object]:
        self.opened.append(info)
        return toy.toy_context(self.world, request_id=info.request_id, cost=info.cost, subject=viewer)

    def visibility(self, viewer: str, *, personal: bool) -> Hashable:
        return ("visible", viewer if personal else None)

    def impersonal(self, viewer: str) -> str:
        return "anybody"

    async def still_valid(self, viewer: str) -> Validity:
        return self.validity


@dataclass
class ToyObserver:
    reports: list[OperationReport] = field(default_factory=list)
    closes: list[int] = field(default_factory=list)

    def operation_finished(self, report: OperationReport) -> None:
        self.reports.append(report)

    def socket_closed(self, code: int) -> None:
        self.closes.append(code)


@dataclass
class ToyApp:
    """One application and everything behind it.

    Attributes:
        asgi: To be called or served.
        reported: Exceptions whose text was kept from the callers.
    """

    operations: ToyOperations
    observer: ToyObserver
    reported: list[tuple[BaseException, str]]
    service: GraphQLService
    asgi: Starlette

    @property
    def world(self) -> toy.ToyWorld:
        return self.operations.world


def toy_app(
    *,
    http_limits: HttpLimits | None = None,
    socket_limits: SocketLimits | None = None,
    allowed_origins: frozenset[str] = frozenset(),
    events: Mapping[str, timedelta] | None = None,
    **options: Any,
) -> ToyApp:
    operations, observer = ToyOperations(), ToyObserver()
    reported: list[tuple[BaseException, str]] = []
    options.setdefault("introspection", True)
    service = GraphQLService(toy.executor(reported, **options), operations, observer=observer)
    event_stream = GraphQLEventStream(service, http_limits, **(events or {}))
    socket_app = GraphQLWebSocket(service, socket_limits, allowed_origins=allowed_origins)
    asgi = Starlette(
        routes=[
            Route("/graphql", GraphQLHttp(service, event_stream, http_limits)),
            Route("/graphql/stream", event_stream),
            WebSocketRoute("/graphql", socket_app),
        ]
    )
    return ToyApp(operations, observer, reported, service, asgi)


@dataclass(frozen=True)
class Running:
    """A toy application on a real server.

    Attributes:
        loop: The server's, in a thread of its own.
    """

    app: ToyApp
    port: int
    loop: asyncio.AbstractEventLoop
    server: uvicorn.Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/graphql"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/graphql"

    async def on_server(self, coroutine: Any) -> Any:
        """Run something on the server's loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self.loop))


@contextmanager
def served(
    app: ToyApp, *, http: Any = LendingHttpProtocol, ws: Any = CleanWebSocketProtocol, ws_max_size: int = 16 << 20
) -> Iterator[Running]:
    """Serve an application on a port of its own until the block is left."""
    # Without the protocol's name asyncio does not switch Nagle's delay off, and small frames wait 40 ms.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app.asgi,
        http=http,
        ws=ws,
        ws_max_size=ws_max_size,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=3,
    )
    server = uvicorn.Server(config)
    loops: list[asyncio.AbstractEventLoop] = []

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        await server.serve(sockets=[listening])

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.005)
    assert server.started, "the server did not start"
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    try:
        yield Running(app, listening.getsockname()[1], loops[0], server)
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()
