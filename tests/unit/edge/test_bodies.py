from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from http import HTTPStatus

import orjson
import pytest
from starlette.requests import Request

from alertgraph.core.errors import (
    AlertGraphError,
    ConflictError,
    DependencyError,
    InputError,
    NotFoundError,
    RateLimitedError,
    UnauthenticatedError,
)
from alertgraph.edge.bodies import BodyError, problem_response, read_body, read_json, require_json


def a_request(chunks: Iterable[bytes] = (), headers: dict[str, str] | None = None, **state: str) -> Request:
    pieces = list(chunks)

    async def receive() -> dict[str, object]:
        if not pieces:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    raw_headers = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": raw_headers, "state": state}
    return Request(scope, receive)


async def test_a_body_comes_in_pieces() -> None:
    assert await read_body(a_request([b"ab", b"", b"cd"])) == b"abcd"


async def test_a_body_that_is_announced_too_long_is_not_waited_for() -> None:
    with pytest.raises(BodyError) as caught:
        await read_body(a_request([], {"Content-Length": "99999999999999999999999"}), limit=10)
    assert caught.value.status == 413


async def test_a_body_that_grows_too_long_is_refused_whatever_was_announced() -> None:
    def endless() -> Iterable[bytes]:
        return [b"x" * 6] * 3

    with pytest.raises(BodyError) as caught:
        await read_body(a_request(endless(), {"Content-Length": "5"}), limit=10)
    assert caught.value.status == 413
    assert "10 bytes" in caught.value.message


async def test_a_body_of_exactly_the_limit_is_read() -> None:
    assert await read_body(a_request([b"x" * 10], {"Content-Length": "10"}), limit=10) == b"x" * 10


async def test_a_connection_that_ends_early_is_no_body() -> None:
    request = a_request([b"ab"])
    await request.receive()
    with pytest.raises(BodyError, match="ended in the middle"):
        await read_body(request)


async def test_a_compressed_body_is_refused() -> None:
    with pytest.raises(BodyError) as caught:
        await read_body(a_request([b"x"], {"Content-Encoding": "gzip"}))
    assert caught.value.status == 415


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON; charset=utf-8", "application/x+json"]
)
def test_json_is_json_by_any_of_its_names(media_type: str) -> None:
    require_json(a_request(headers={"Content-Type": media_type}))


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/x-www-form-urlencoded", "text/json"])
def test_anything_else_is_415(media_type: str) -> None:
    with pytest.raises(BodyError) as caught:
        require_json(a_request(headers={"Content-Type": media_type}))
    assert caught.value.status == 415


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "empty"),
        (b"{", "no JSON: .*line 1"),
        (b"[1,]", "no JSON"),
        (b"[NaN]", "no JSON"),
        (b"[Infinity]", "no JSON"),
        (b"[1e999]", "no JSON"),
        (b"{} x", "no JSON"),
        (b"\xef\xbb\xbf{}", "no JSON"),
        (b'"\xff"', "not UTF-8"),
        (b'"\\ud800"', "no JSON"),
        (b'"\x00"', "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[" * 300 + b"]" * 300, "nested too deeply"),
    ],
)
def test_what_is_no_json_is_refused_in_a_sentence(raw: bytes, says: str) -> None:
    with pytest.raises(BodyError, match=says) as caught:
        read_json(raw)
    assert caught.value.status == 400
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":1}',
        b'{"a" : 1 , "a" : 2}',
        b'{"x":[{"b":{"a":":","a":"::"}}]}',
        b'{"a":1,"\\u0061":2}',
        # The escaped colon makes up for the lost one.
        b'{"a":1,"a":"\\u003a"}',
        b'{"a":"\\u003A","a":1}',
        b'{"":{"a":1},"a":2,"a":{"q":"\\":"}}',
    ],
)
def test_a_member_that_occurs_twice_is_named(raw: bytes) -> None:
    with pytest.raises(BodyError, match='The member "a" occurs twice') as caught:
        read_json(raw)
    assert caught.value.path == ("a",)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":{"a":{"a":1}}}',
        b'[{"a":":"},{"a":"\\u003a"}]',
        b'{"a":"\\":\\":","b":"http://x:1/"}',
        b'{ "a" :\n1 , "b":\t[ ] }',
        b'{"a":1e2,"b":-0,"c":1.50,"d":18446744073709551615}',
        b'{"\\u003a":":","::":1}',
    ],
)
def test_equal_names_in_different_objects_are_no_fault(raw: bytes) -> None:
    assert read_json(raw) == json.loads(raw)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InputError("No.", "title"), 400, "INVALID_INPUT"),
        (BodyError("No."), 400, "BAD_REQUEST"),
        (BodyError("No.", status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE), 413, "BAD_REQUEST"),
        (UnauthenticatedError("No."), 401, "UNAUTHENTICATED"),
        (NotFoundError("No."), 404, "NOT_FOUND"),
        (ConflictError("No."), 409, "CONFLICT"),
        (RateLimitedError("No.", timedelta(seconds=2.1)), 429, "RATE_LIMITED"),
        (DependencyError("postgresql", retryable=True, message="No."), 503, "UNAVAILABLE"),
    ],
)
def test_every_error_has_its_status(error: AlertGraphError, status: int, code: str) -> None:
    response = problem_response(a_request(request_id="r1"), error)

    told = orjson.loads(bytes(response.body))
    assert response.status_code == told["status"] == status
    assert response.headers["content-type"] == "application/problem+json"
    assert (told["code"], told["detail"], told["requestId"]) == (code, "No.", "r1")
    assert told["errors"][0]["code"] == code


def test_a_problem_names_the_way_to_the_input() -> None:
    told = orjson.loads(bytes(problem_response(a_request(), InputError("No.", "labels", "host")).body))

    assert told["errors"] == [{"code": "INVALID_INPUT", "message": "No.", "path": ["labels", "host"]}]
    assert "requestId" not in told


def test_who_is_to_wait_is_told_how_long() -> None:
    limited = problem_response(a_request(), RateLimitedError("No.", timedelta(seconds=2.1)))
    away = problem_response(a_request(), DependencyError("postgresql", retryable=True))
    poison = problem_response(a_request(), DependencyError("postgresql", retryable=False))

    assert limited.headers["retry-after"] == "3"
    assert int(away.headers["retry-after"]) >= 1
    assert "retry-after" not in poison.headers


def test_who_is_unknown_is_told_how_to_say_who_they_are() -> None:
    response = problem_response(a_request(), UnauthenticatedError("No."))

    assert response.headers["www-authenticate"].startswith("Bearer")
