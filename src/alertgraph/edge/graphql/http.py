"""GraphQL over HTTP: operations by POST, queries also by GET, event streams for those who ask for them."""

from __future__ import annotations

from typing import Final

from starlette.types import Receive, Scope, Send

from alertgraph.edge.graphql.exchange import (
    ClientGoneError,
    Exchange,
    HttpLimits,
    HttpRefusalError,
    MediaType,
    preferred,
)
from alertgraph.edge.graphql.operations import GraphQLService
from alertgraph.edge.graphql.sse import GraphQLEventStream
from alertgraph.execution.errors import Code, refusal

_NEEDS_A_STREAM: Final = (
    "A subscription needs a stream of answers: connect to this address with the websocket protocol "
    "graphql-transport-ws, or send `Accept: text/event-stream`."
)


class GraphQLHttp:
    """The endpoint /graphql for HTTP: an ASGI application.

    A foreign web page cannot make a browser send what we would run: there are no cookies, a POST must be JSON,
    which a browser sends elsewhere only with permission, and a GET changes nothing.

    Args:
        service: Runs operations.
        events: Answers those who accept nothing but an event stream.
        limits: Bounds of a request.
    """

    def __init__(
        self, service: GraphQLService, events: GraphQLEventStream, limits: HttpLimits | None = None
    ) -> None:
        self._service = service
        self._events = events
        self._limits = limits or HttpLimits()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = Exchange(self._service, scope, receive, send, self._limits, transport="http")
        media_type = preferred(exchange.accept)
        if media_type is MediaType.EVENTS and exchange.method in ("GET", "POST"):
            await self._events(scope, receive, send)
            return
        try:
            await self._answer(exchange, media_type)
        except ClientGoneError:
            return
        except HttpRefusalError as refused:
            await exchange.reply_refusal(refused)

    async def _answer(self, exchange: Exchange, media_type: MediaType) -> None:
        if exchange.method not in ("GET", "POST"):
            raise HttpRefusalError(
                405, "Send GraphQL operations by POST, or queries by GET.", {"allow": "GET, POST"}
            )
        if exchange.method == "GET" and not exchange.query_string:
            raise HttpRefusalError(
                405,
                "A GET needs the parameter `query` or `documentId`; send other operations by POST.",
                {"allow": "POST"},
            )
        call = exchange.anonymous_call()
        try:
            call = await exchange.authenticated_call()
            request = await exchange.read_request()
            ready = await self._service.ready(call, request)
            if ready.is_subscription:
                raise refusal(Code.BAD_REQUEST, _NEEDS_A_STREAM)
            if ready.is_mutation and exchange.method == "GET":
                raise HttpRefusalError(405, "Send mutations by POST.", {"allow": "POST"})
        except (HttpRefusalError, ClientGoneError):
            raise
        except Exception as error:  # noqa: BLE001 - the request boundary: masked and reported
            await exchange.reply_answer(self._service.failed(call, error), media_type)
            return
        await exchange.reply_answer(await self._service.answer(call, ready), media_type)
