"""Stock Strawberry's websocket view with a trivial subscription: every socket gets whatever is published.

Nothing is read from a store and nothing is filtered; the view, the executor and the protocol are what it measures.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime

import strawberry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from strawberry.asgi import GraphQL
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from bench.apps.common import ready
from resolvers.words import ActorKind, EventKind

_QUEUES: set[asyncio.Queue[LogEvent]] = set()


@strawberry.type
class Actor:
    """Who did something."""

    kind: ActorKind
    name: str


@strawberry.type
class LogEvent:
    """The fields of an event that the bench asks for."""

    cursor: str
    number: int
    kind: EventKind
    occurred_at: datetime
    summary: str
    actor: Actor


@strawberry.type
class Query:
    """There must be one."""

    up: bool = True


@strawberry.type
class Subscription:
    """What can be followed."""

    @strawberry.subscription
    async def alert_events(self) -> AsyncGenerator[LogEvent, None]:
        """Yield what is published."""
        queue: asyncio.Queue[LogEvent] = asyncio.Queue()
        _QUEUES.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            _QUEUES.discard(queue)


async def _publish(request: Request) -> Response:
    """Give every socket as many events as are asked for."""
    event = LogEvent(
        cursor="AAAAAQAAAAAAAAABAAZD9k2g8wCSx1kW",
        number=1,
        kind=EventKind.TRIGGERED,
        occurred_at=datetime.now(UTC),
        summary="Triggered by bench: CPU above 95 % on web-17 for 5 minutes.",
        actor=Actor(kind=ActorKind.SENDER, name="bench"),
    )
    for number in range(int(request.query_params["count"])):
        for queue in _QUEUES:
            queue.put_nowait(replace(event, number=number))
    return PlainTextResponse("published")


def build() -> Starlette:
    """Return the application."""
    schema = strawberry.Schema(query=Query, subscription=Subscription)
    view: GraphQL[None, None] = GraphQL(schema, subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL])
    return Starlette(
        routes=[
            Route("/ready", ready),
            Route("/publish", _publish, methods=["POST"]),
            WebSocketRoute("/graphql", view),
        ]
    )
