"""Bodies of HTTP: read within bounds, as strict JSON, and answered with RFC 9457 problems."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from alertgraph.core.errors import (
    AlertGraphError,
    DependencyError,
    ErrorCode,
    Problem,
    RateLimitedError,
    RefusedError,
    UnauthenticatedError,
)

BODY_BYTES_MAX = 5 * 1024 * 1024
JSON_MEDIA_TYPE = "application/json"
PROBLEM_MEDIA_TYPE = "application/problem+json"
# How much of what a caller sent is said back to it.
SHOWN_LENGTH_MAX = 64
# A dependency that is away does not say for how long.
UNAVAILABLE_RETRY_AFTER = timedelta(seconds=2)

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
"""For routes that answer a wrong method themselves, in their own dialect."""

_STATUS: Mapping[ErrorCode, HTTPStatus] = {
    ErrorCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    ErrorCode.CONFLICT: HTTPStatus.CONFLICT,
    ErrorCode.VERSION_CONFLICT: HTTPStatus.CONFLICT,
    ErrorCode.IN_USE: HTTPStatus.CONFLICT,
    ErrorCode.IDEMPOTENCY_KEY_REUSED: HTTPStatus.CONFLICT,
    ErrorCode.LIMIT_REACHED: HTTPStatus.CONFLICT,
    ErrorCode.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    ErrorCode.FORBIDDEN: HTTPStatus.FORBIDDEN,
    ErrorCode.RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.COST_EXCEEDED: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.CURSOR_EXPIRED: HTTPStatus.GONE,
    ErrorCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}


class BodyError(AlertGraphError):
    """A request that can't be read as what it should be.

    Attributes:
        status: What HTTP calls it.
        path: The way to the member at fault; empty where it is the body as a whole.
    """

    code = ErrorCode.BAD_REQUEST

    def __init__(self, message: str, *path: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status
        self.path = path


# ----------------------------------------------------------------------------------------- reading


async def read_body(request: Request, limit: int = BODY_BYTES_MAX) -> bytes:
    """Return the whole body of a request.

    Args:
        request: Its body is not read yet.
        limit: In bytes; reading stops there, whatever the sender announced.

    Raises:
        BodyError: It is longer (413), compressed (415), or ended before it was complete.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise BodyError(
            f"The body is encoded as {shown(encoding)}; send it as it is.",
            status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        )
    return await read_encoded(request, limit)


async def read_encoded(request: Request, limit: int = BODY_BYTES_MAX) -> bytes:
    """Return the whole body of a request as it was sent, compressed or not.

    Args:
        request: Its body is not read yet.
        limit: In bytes; reading stops there, whatever the sender announced.

    Raises:
        BodyError: It is longer (413), or ended before it was complete.
    """
    too_long = BodyError(f"The body is longer than {limit:,} bytes.", status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > limit:
        raise too_long
    chunks: list[bytes] = []
    length = 0
    try:
        async for chunk in request.stream():
            length += len(chunk)
            if length > limit:
                raise too_long
            chunks.append(chunk)
    except ClientDisconnect:
        raise BodyError("The connection ended in the middle of the body.") from None
    return b"".join(chunks)


def media_type_of(request: Request) -> str:
    """Return the media type of a request's body, without parameters; empty where none is named."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def require_json(request: Request) -> None:
    """Let requests pass whose body is said to be JSON.

    Raises:
        BodyError: It is said to be something else (415).
    """
    media_type = media_type_of(request)
    if media_type != JSON_MEDIA_TYPE and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        named = f"is {shown(media_type)}" if media_type else "is missing"
        raise BodyError(
            f"The Content-Type {named}; send {JSON_MEDIA_TYPE}.", status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        )


def read_json(raw: bytes) -> Any:
    """Return the value of a JSON text (RFC 8259, in UTF-8, without NaN).

    Raises:
        BodyError: It is no JSON, is nested too deeply, or names a member of an object twice.
    """
    if not raw:
        raise BodyError("The body is empty; send JSON.")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if error.msg.startswith("str is not valid UTF-8"):
            raise BodyError("The body is not UTF-8 throughout.") from None
        raise BodyError(f"The body is no JSON: {error.msg}: line {error.lineno} column {error.colno}.") from None
    try:
        again = orjson.dumps(value)
    except TypeError:
        raise BodyError("The body is nested too deeply.") from None
    # orjson keeps the last of two equal names. Written again, the text has lost the other one's colon; colons
    # inside texts stay, unless they were escaped. Half the price of the parsing: a hook on each object is thrice.
    if again.count(b":") != raw.count(b":") or b"\\u003" in raw:
        json.loads(raw, object_pairs_hook=_unique)
    return value


def _unique(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise BodyError(f"The member {shown(name)} occurs twice in one object.", name[:SHOWN_LENGTH_MAX])
            seen.add(name)
    return members


def shown(text: str) -> str:
    """Return what a caller sent, cut and quoted for a message."""
    cut = text if len(text) <= SHOWN_LENGTH_MAX else f"{text[: SHOWN_LENGTH_MAX - 1]}…"
    return json.dumps(cut, ensure_ascii=False)


# --------------------------------------------------------------------------------------- answering


def json_response(
    value: object, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """Return an answer of JSON."""
    return Response(orjson.dumps(value), status, headers, JSON_MEDIA_TYPE)


def request_id_of(request: Request) -> str | None:
    """Return the id that the outermost layer gave a request; None where there is no such layer."""
    request_id = request.scope.get("state", {}).get("request_id")
    return request_id if isinstance(request_id, str) else None


def status_of(code: ErrorCode) -> HTTPStatus:
    """Return the HTTP status that says an error's code."""
    return _STATUS.get(code, HTTPStatus.BAD_REQUEST)


def retry_after_of(error: AlertGraphError) -> timedelta | None:
    """Return how long to wait before the next try; None where trying again won't help."""
    match error:
        case RateLimitedError():
            return error.retry_after
        case DependencyError(retryable=True):
            return UNAVAILABLE_RETRY_AFTER
        case _:
            return None


def error_headers(error: AlertGraphError) -> dict[str, str]:
    """Return the headers that belong to an error, other than what it is told in."""
    headers = {}
    wait = retry_after_of(error)
    if wait is not None:
        headers["Retry-After"] = str(max(1, math.ceil(wait.total_seconds())))
    if isinstance(error, UnauthenticatedError):
        headers["WWW-Authenticate"] = 'Bearer realm="alertgraph"'
    return headers


def problems_of(error: AlertGraphError) -> list[Problem]:
    """Return what is wrong, piece by piece, each with the way to the input at fault."""
    match error:
        case RefusedError():
            return list(error.problems)
        case BodyError():
            return [Problem(error.code, error.message, error.path)]
        case _:
            return [Problem(error.code, error.message)]


def problem_json(problem: Problem) -> dict[str, object]:
    """Return a problem as the API tells it, with the field names of GraphQL's MutationError."""
    told: dict[str, object] = {
        "code": problem.code.value,
        "message": problem.message,
        "path": list(problem.path) if problem.path else None,
    }
    if problem.current_version is not None:
        told["currentVersion"] = problem.current_version
    return told


def problem_response(request: Request, error: AlertGraphError) -> Response:
    """Return an error as application/problem+json (RFC 9457)."""
    status = error.status if isinstance(error, BodyError) else status_of(error.code)
    told: dict[str, object] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": error.message,
        "code": error.code.value,
        "errors": [problem_json(problem) for problem in problems_of(error)],
    }
    request_id = request_id_of(request)
    if request_id is not None:
        told["requestId"] = request_id
    return Response(orjson.dumps(told), status, error_headers(error), PROBLEM_MEDIA_TYPE)
