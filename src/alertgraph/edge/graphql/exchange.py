"""One HTTP request and its reply, as GraphQL over HTTP wants them: everything answered is GraphQL JSON."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

import orjson
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from alertgraph.edge.graphql.connections import REPLY_WRITER, ReplyWriter
from alertgraph.edge.graphql.operations import Call, GraphQLService
from alertgraph.execution.errors import Code, code_of
from alertgraph.execution.executor import Answer
from alertgraph.execution.request import GraphQLRequest, read_body, read_query_string

BODY_SIZE_MAX: Final = 256 * 1024
QUERY_STRING_SIZE_MAX: Final = 16 * 1024
BODY_TIMEOUT: Final = timedelta(seconds=30)
RETRY_AFTER_S: Final = 5
"""Told where a store is away and nobody knows for how long."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_STATUS_BY_CODE: Final[Mapping[str, int]] = {
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "RATE_LIMITED": 429,
    "UNAVAILABLE": 503,
    "INTERNAL": 500,
    "BAD_REQUEST": 400,
}


class MediaType(StrEnum):
    """What an answer may look like."""

    JSON = "application/json"
    RESPONSE = "application/graphql-response+json"
    EVENTS = "text/event-stream"


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds of one request.

    Attributes:
        body_size_max: Bytes.
        query_string_size_max: Bytes.
        body_timeout: How long a client may take to send its body.
    """

    body_size_max: int = BODY_SIZE_MAX
    query_string_size_max: int = QUERY_STRING_SIZE_MAX
    body_timeout: timedelta = BODY_TIMEOUT


class HttpRefusalError(Exception):
    """The request is refused for a reason of HTTP, before anything of it is read as GraphQL.

    Attributes:
        status: Of the reply.
        code: For `extensions.code`.
        message: For the caller.
        headers: More headers of the reply.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = Code.BAD_REQUEST
        self.message = message
        self.headers = dict(headers or {})


class ClientGoneError(Exception):
    """The client closed the connection; there is nobody to answer."""


def request_id_of(scope: Scope, service: GraphQLService) -> str:
    """Return the id under which a request is logged.

    The one that a middleware has put into the scope's state goes before the client's X-Request-Id, and a client's
    goes before a new one if it is fit to be written into a log.
    """
    state: Any = scope.get("state") or {}
    known = state.get("request_id") if isinstance(state, dict) else None
    if isinstance(known, str):
        return known
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else service.make_request_id()


def preferred(accept: str | None) -> MediaType:
    """Return the form of answer that an Accept header prefers; plain JSON where it names none that we have."""
    weights: dict[str, float] = {}
    for part in (accept or "*/*").split(","):
        media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weights[media_type] = max(weights.get(media_type, 0.0), _weight(parameters))
    json = max(weights.get(name, 0.0) for name in (MediaType.JSON, "application/*", "*/*"))
    response = weights.get(MediaType.RESPONSE, 0.0)
    events = weights.get(MediaType.EVENTS, 0.0)
    if events > max(json, response):
        return MediaType.EVENTS
    if response > 0 and response >= json:
        return MediaType.RESPONSE
    return MediaType.JSON


def accepts_events(accept: str | None) -> bool:
    """Return whether an Accept header allows an event stream; a missing one does."""
    names = {part.split(";")[0].strip().lower() for part in (accept or "*/*").split(",")}
    return bool(names & {MediaType.EVENTS, "text/*", "*/*"})


def status_of(answer: Answer, media_type: MediaType) -> int:
    """Return the HTTP status of a response.

    As soon as an operation has been run the status is 200, but for one case: all of it failed because a store is
    away, so proxies and clients that know nothing of GraphQL should try again. What was refused before is 4xx;
    clients that only know plain JSON get 200 for a document that is wrong, as the specification still allows.
    """
    if answer.code is None:
        return 200
    payload = answer.payload
    if "data" in payload:
        errors: Any = payload.get("errors") or ()
        is_away = payload["data"] is None and errors and all(code_of(error) == "UNAVAILABLE" for error in errors)
        return 503 if is_away else 200
    status = _STATUS_BY_CODE.get(answer.code or "")
    if status is not None:
        return status
    return 400 if media_type is MediaType.RESPONSE else 200


class Exchange:
    """One HTTP request, and the only reply to it.

    Args:
        service: Runs operations.
        scope: Of ASGI.
        receive: Of ASGI.
        send: Of ASGI.
        limits: Bounds of the request.
        transport: For reports, http or sse.
    """

    def __init__(
        self,
        service: GraphQLService,
        scope: Scope,
        receive: Receive,
        send: Send,
        limits: HttpLimits,
        *,
        transport: str,
    ) -> None:
        self.receive = receive
        self.send = send
        self.request_id = request_id_of(scope, service)
        self.method: str = scope["method"]
        self.headers = Headers(scope=scope)
        self._service = service
        self._scope = scope
        self._limits = limits
        self._transport = transport

    @property
    def accept(self) -> str | None:
        """All Accept headers as one; None where there is none."""
        return ", ".join(self.headers.getlist("accept")) or None

    @property
    def query_string(self) -> bytes:
        """The raw parameters of the URL."""
        return bytes(self._scope.get("query_string", b""))

    def anonymous_call(self) -> Call:
        """Return the call of somebody who is not known yet, to answer failures."""
        return Call(None, self._transport, self.request_id)

    def reply_writer(self) -> ReplyWriter | None:
        """Return a way to write to the reply without waiting, once it has begun; None where there is none."""
        lent = (self._scope.get("extensions") or {}).get(REPLY_WRITER)
        return lent["open"](self._scope) if lent is not None else None

    async def authenticated_call(self) -> Call:
        """Return the call of the viewer whose credentials the request carries.

        Raises:
            Exception: What `authenticate` raises.
        """
        authorizations = self.headers.getlist("authorization")
        if len(authorizations) > 1:
            raise HttpRefusalError(400, "The request has more than one Authorization header.")
        viewer = await self._service.operations.authenticate(authorizations[0] if authorizations else None)
        return Call(viewer, self._transport, self.request_id)

    async def read_request(self) -> GraphQLRequest:
        """Return the GraphQL request, from the URL of a GET or the body of a POST.

        Raises:
            RefusedError: It is malformed.
            HttpRefusalError: Its media type or its size is refused.
            ClientGoneError: The client went away.
        """
        if self.method == "GET":
            if len(self.query_string) > self._limits.query_string_size_max:
                raise HttpRefusalError(
                    414,
                    f"The parameters of the URL have more than {self._limits.query_string_size_max} bytes; "
                    "send the operation in the body of a POST.",
                )
            return read_query_string(self.query_string)
        self._check_content()
        return read_body(await self._read_body())

    async def reply(
        self,
        status: int,
        body: bytes,
        media_type: MediaType = MediaType.JSON,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send the whole reply."""
        fields = {
            "content-type": f"{media_type}; charset=utf-8",
            "content-length": str(len(body)),
            "cache-control": "no-store",
            "vary": "Accept",
            "x-request-id": self.request_id,
            **(headers or {}),
        }
        await self.send({"type": "http.response.start", "status": status, "headers": _raw(fields.items())})
        await self.send({"type": "http.response.body", "body": b"" if self.method == "HEAD" else body})

    async def reply_answer(self, answer: Answer, media_type: MediaType) -> None:
        """Send a response with the status and the headers that follow from it."""
        if media_type is MediaType.EVENTS:
            media_type = MediaType.JSON
        encoded = self._service.encoded(answer, self.request_id)
        status = status_of(encoded.answer, media_type)
        headers: dict[str, str] = {}
        if status == 401:
            headers["www-authenticate"] = "Bearer"
        if status in (429, 503):
            headers["retry-after"] = str(_retry_after_s(answer))
        await self.reply(status, encoded.body, media_type, headers)

    async def reply_refusal(self, refusal: HttpRefusalError) -> None:
        """Send why HTTP refuses the request, as GraphQL JSON."""
        error = {
            "message": refusal.message,
            "extensions": {"code": str(refusal.code), "requestId": self.request_id},
        }
        await self.reply(refusal.status, orjson.dumps({"errors": [error]}), headers=refusal.headers)

    def _check_content(self) -> None:
        types = self.headers.getlist("content-type")
        media_type, *parameters = (piece.strip().lower() for piece in (types[0] if types else "").split(";"))
        if len(types) != 1 or media_type != MediaType.JSON:
            raise HttpRefusalError(
                415,
                "The body must be JSON: send `Content-Type: application/json`.",
                {"accept": str(MediaType.JSON)},
            )
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "charset" and value.strip().strip('"') not in ("utf-8", "utf8"):
                raise HttpRefusalError(415, "The body must be UTF-8, which needs no charset to be named.")
        if self.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise HttpRefusalError(
                415,
                "The body must not be compressed: leave Content-Encoding out.",
                {"accept-encoding": "identity"},
            )

    async def _read_body(self) -> bytes:
        size_max = self._limits.body_size_max
        # The connection stays open: closed on a client that is still sending, it would never read the reply.
        too_large = HttpRefusalError(413, f"The body has more than {size_max} bytes.")
        announced = self.headers.get("content-length", "")
        if announced.isdecimal() and int(announced[:20]) > size_max:
            raise too_large
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._limits.body_timeout.total_seconds()):
                while True:
                    message = await self.receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGoneError
                    chunk: bytes = message.get("body", b"")
                    size += len(chunk)
                    if size > size_max:
                        raise too_large
                    chunks.append(chunk)
                    if not message.get("more_body", False):
                        return b"".join(chunks)
        except TimeoutError:
            seconds = self._limits.body_timeout.total_seconds()
            raise HttpRefusalError(
                408, f"The body did not arrive within {seconds:g} s.", {"connection": "close"}
            ) from None


def _weight(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                return 1.0
            return weight if 0.0 <= weight <= 1.0 else 1.0
    return 1.0


def _retry_after_s(answer: Answer) -> int:
    errors: Any = answer.payload.get("errors") or ()
    waits = [error["extensions"].get("retryAfter") for error in errors]
    return max((wait for wait in waits if isinstance(wait, int)), default=RETRY_AFTER_S)


def _raw(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
