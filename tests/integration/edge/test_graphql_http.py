"""GraphQL over HTTP: every answer is GraphQL JSON with a code, a request id and the status that fits."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx2
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alertgraph.edge.graphql import HttpLimits
from tests.conformance.toy_app import GOOD, ToyApp, served, toy_app
from tests.thoroughness import examples

JSON = "application/json"
RESPONSE = "application/graphql-response+json"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def payload(self) -> Any:
        return orjson.loads(self.body)

    @property
    def code(self) -> str | None:
        errors = self.payload.get("errors")
        return errors[0]["extensions"]["code"] if errors else None

    @property
    def message(self) -> str:
        return str(self.payload["errors"][0]["message"])


async def call(
    app: ToyApp,
    method: str = "POST",
    body: bytes | Iterable[bytes] = b"",
    *,
    path: str = "/graphql",
    query: bytes = b"",
    headers: dict[str, str] | list[tuple[str, str]] | None = None,
    authorization: str | None = GOOD,
    content_type: str | None = JSON,
) -> Reply:
    """Call the application in process, as a server would."""
    given_headers = list(headers.items() if isinstance(headers, dict) else headers or [])
    if authorization is not None:
        given_headers.append(("authorization", authorization))
    if content_type is not None:
        given_headers.append(("content-type", content_type))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query,
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in given_headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    chunks = [body] if isinstance(body, bytes) else list(body)
    incoming = [
        {"type": "http.request", "body": chunk, "more_body": index < len(chunks) - 1}
        for index, chunk in enumerate(chunks)
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if incoming:
            return incoming.pop(0)
        await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app.asgi(scope, receive, send)
    start = sent[0]
    answered = {name.decode(): value.decode() for name, value in start["headers"]}
    return Reply(start["status"], answered, b"".join(message.get("body", b"") for message in sent[1:]))


def op(query: str, **more: object) -> bytes:
    return orjson.dumps({"query": query, **more})


async def test_a_query_is_answered_with_its_cost_and_request_id() -> None:
    app = toy_app()

    reply = await call(app, body=op("query A($n:String){hello(name:$n)}", variables={"n": "x"}, operationName="A"))

    assert reply.status == 200
    assert reply.payload == {
        "data": {"hello": "hi x"},
        "extensions": {"cost": {"requestedQueryCost": 1, "remaining": 999_999}},
    }
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    assert reply.headers["cache-control"] == "no-store"
    assert len(reply.headers["x-request-id"]) == 32
    [info] = app.operations.opened
    assert (info.type, info.name, info.cost, info.request_id) == ("query", "A", 1, reply.headers["x-request-id"])
    [report] = app.observer.reports
    assert (report.transport, report.type, report.name, report.code, report.cost) == (
        "http",
        "query",
        "A",
        None,
        1,
    )


@pytest.mark.parametrize(
    ("given", "taken"),
    [("abc-1.2_3:4", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("", False), ("é", False)],
)
async def test_a_sane_request_id_of_the_client_is_taken_over(given: str, taken: bool) -> None:
    reply = await call(toy_app(), body=op("{boom}"), headers={"x-request-id": given})

    assert (reply.headers["x-request-id"] == given) is taken
    assert reply.payload["errors"][0]["extensions"]["requestId"] == reply.headers["x-request-id"]


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (RESPONSE, RESPONSE),
        (f"{RESPONSE}, {JSON}", RESPONSE),
        (f"{RESPONSE};q=0.5, {JSON}", JSON),
        (f"{JSON};q=0.5, {RESPONSE}", RESPONSE),
        (f"{RESPONSE};q=0, {JSON}", JSON),
        (f"{RESPONSE.upper()}; charset=utf-8", RESPONSE),
        (f"{RESPONSE};q=nonsense", RESPONSE),
        ("text/html", JSON),
        (",,;;q=,", JSON),
        ("text/event-stream;q=0.1, */*", JSON),
    ],
)
async def test_the_media_type_is_what_the_client_prefers(accept: str | None, content_type: str) -> None:
    reply = await call(toy_app(), body=op("{hello}"), headers={"accept": accept} if accept else None)

    assert reply.headers["content-type"] == f"{content_type}; charset=utf-8"
    assert reply.payload["data"] == {"hello": "hi world"}


@pytest.mark.parametrize(
    ("query", "code", "status_json", "status_response"),
    [
        ("{", "PARSE_FAILED", 200, 400),
        ("", "PARSE_FAILED", 200, 400),
        ("{nope}", "VALIDATION_FAILED", 200, 400),
        ("query($n:Int!){span(count:$n)}", "VALIDATION_FAILED", 200, 400),
        ("{items(first:100){nodes{items(first:100){nodes{number}}}}}", "COST_EXCEEDED", 200, 400),
        ("query A{hello} query B{hello}", "BAD_REQUEST", 400, 400),
        ("subscription{count}", "BAD_REQUEST", 400, 400),
        ("{boom}", "INTERNAL", 200, 200),
        ("{coded}", "NOT_FOUND", 200, 200),
        ("{codedRequired}", "NOT_FOUND", 200, 200),
        ('{coded(code:"UNAVAILABLE")}', "UNAVAILABLE", 200, 200),
        ('{codedRequired(code:"UNAVAILABLE")}', "UNAVAILABLE", 503, 503),
        ("{unwritable}", "INTERNAL", 500, 500),
    ],
)
async def test_statuses(query: str, code: str, status_json: int, status_response: int) -> None:
    app = toy_app()

    plain = await call(app, body=op(query), headers={"accept": JSON})
    response = await call(app, body=op(query), headers={"accept": RESPONSE})

    assert (plain.status, plain.code) == (status_json, code)
    assert (response.status, response.code) == (status_response, code)
    if status_response == 400:
        assert "data" not in response.payload
    if status_response == 503:
        assert response.headers["retry-after"] == "2"
    assert all(report.code == code for report in app.observer.reports) or query == "{unwritable}"


@pytest.mark.parametrize(
    ("authorization", "status", "code", "header"),
    [
        (None, 401, "UNAUTHENTICATED", ("www-authenticate", "Bearer")),
        ("Bearer bad", 401, "UNAUTHENTICATED", ("www-authenticate", "Bearer")),
        ("Bearer forbidden", 403, "FORBIDDEN", None),
        ("Bearer away", 503, "UNAVAILABLE", ("retry-after", "3")),
        ("Bearer crash", 500, "INTERNAL", None),
    ],
)
async def test_who_is_not_let_in(
    authorization: str | None, status: int, code: str, header: tuple[str, str] | None
) -> None:
    app = toy_app()

    for body in (op("{hello}"), b"\xff", b"x" * 300_000):
        reply = await call(app, body=body, authorization=authorization)

        assert (reply.status, reply.code) == (status, code)
        assert "secret" not in reply.body.decode()
        if header is not None:
            assert reply.headers[header[0]] == header[1]
    assert app.operations.admitted == []


async def test_two_authorizations_are_one_too_many() -> None:
    reply = await call(toy_app(), body=op("{hello}"), headers=[("authorization", "Bearer bad")])

    assert (reply.status, reply.code) == (400, "BAD_REQUEST")


async def test_a_spent_budget_is_429_with_the_time_to_wait() -> None:
    app = toy_app()
    app.operations.is_limited = True

    for body in (op("{hello}"), op("{nope}"), op("{")):
        reply = await call(app, body=body)

        assert (reply.status, reply.code) == (429, "RATE_LIMITED")
        assert reply.headers["retry-after"] == "7"
        assert reply.payload["errors"][0]["extensions"]["retryAfter"] == 7


async def test_a_refused_document_costs_a_point_and_a_malformed_request_none() -> None:
    app = toy_app()

    await call(app, body=op("{nope}"))
    await call(app, body=b"5")
    await call(app, body=op("{items(first:9){nodes{number}}}"))

    assert app.operations.admitted == [1, 10]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"5", "not a number"),
        (b"null", "not null"),
        (b"[]", "batches"),
        (b"", "empty"),
        (b"[" * 100_000, "not valid JSON"),
        (b"\xff", "not valid UTF-8"),
        (b'{"query":5}', "`query`"),
        (b'{"query":"{hello}","variables":"x"}', "`variables`"),
        (b'{"query":"{hello}","operationName":[1]}', "`operationName`"),
    ],
)
async def test_a_malformed_body_is_400_and_says_what_is_wrong(body: bytes, named: str) -> None:
    for accept in (JSON, RESPONSE):
        reply = await call(toy_app(), body=body, headers={"accept": accept})

        assert (reply.status, reply.code) == (400, "BAD_REQUEST")
        assert named in reply.message
        assert reply.headers["content-type"].startswith(accept)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (JSON, 200),
        ("Application/JSON; charset=UTF-8", 200),
        ('application/json; charset="utf-8"', 200),
        ("application/json;", 200),
        ("application/json; charset=latin-1", 415),
        (None, 415),
        ("", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/graphql", 415),
        ("application/json, text/plain", 415),
    ],
)
async def test_only_json_is_taken(content_type: str | None, status: int) -> None:
    reply = await call(toy_app(), body=op("{hello}"), content_type=content_type)

    assert reply.status == status
    assert (reply.code is None) is (status == 200)


async def test_a_compressed_body_is_refused() -> None:
    body = gzip.compress(op("{hello}"))

    reply = await call(toy_app(), body=body, headers={"content-encoding": "gzip"})

    assert (reply.status, reply.code) == (415, "BAD_REQUEST")


@pytest.mark.parametrize("announced", [True, False])
async def test_the_size_of_a_body_is_exact(announced: bool) -> None:
    async def sized(size: int) -> Reply:
        body = op("{hello}")
        body += b" " * (size - len(body))
        chunks = [body[at : at + 10_000] for at in range(0, size, 10_000)]
        return await call(toy_app(), body=chunks, headers={"content-length": str(size)} if announced else None)

    assert (await sized(256 * 1024)).status == 200
    refused = await sized(256 * 1024 + 1)
    assert (refused.status, refused.code) == (413, "BAD_REQUEST")


async def test_an_absurd_content_length_is_refused() -> None:
    reply = await call(toy_app(), body=op("{hello}"), headers={"content-length": "9" * 400})

    assert reply.status == 413


async def test_a_body_that_drips_is_given_up() -> None:
    app = toy_app(http_limits=HttpLimits(body_timeout=timedelta(milliseconds=50)))

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b" ", "more_body": True}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/graphql",
        "query_string": b"",
        "headers": [(b"authorization", b"Bearer good"), (b"content-type", b"application/json")],
    }
    await app.asgi(scope, receive, send)

    assert sent[0]["status"] == 408
    assert orjson.loads(sent[1]["body"])["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_a_client_that_goes_while_it_sends_is_no_error() -> None:
    app = toy_app()
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/graphql",
        "query_string": b"",
        "headers": [(b"authorization", b"Bearer good"), (b"content-type", b"application/json")],
    }
    await app.asgi(scope, receive, send)

    assert sent == []
    assert app.reported == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"])
async def test_other_methods_are_405(method: str) -> None:
    reply = await call(toy_app(), method)

    assert reply.status == 405
    assert reply.headers["allow"] == "GET, POST"
    assert method == "HEAD" or reply.code == "BAD_REQUEST"


async def test_get_runs_queries_only() -> None:
    app = toy_app()

    query = await call(app, "GET", query=b"query=query($n:String){hello(name:$n)}&variables=%7B%22n%22:%22x%22%7D")
    mutation = await call(app, "GET", query=b"query=mutation{bump}")
    bare = await call(app, "GET")
    bad = await call(app, "GET", query=b"query=%ff")
    long = await call(app, "GET", query=b"query=" + b"%20" * 6_000)

    assert (query.status, query.payload["data"]) == (200, {"hello": "hi x"})
    assert (mutation.status, mutation.headers["allow"], mutation.code) == (405, "POST", "BAD_REQUEST")
    assert app.world.bumps == 0
    assert (bare.status, bare.headers["allow"]) == (405, "POST")
    assert (bad.status, bad.code) == (400, "BAD_REQUEST")
    assert (long.status, long.code) == (414, "BAD_REQUEST")


async def test_a_get_needs_credentials_too() -> None:
    assert (await call(toy_app(), "GET", query=b"query={hello}", authorization=None)).status == 401


async def test_a_mutation_runs_once() -> None:
    app = toy_app()

    assert (await call(app, body=op("mutation{bump}"))).payload["data"] == {"bump": 1}
    assert app.world.bumps == 1


async def test_each_operation_has_a_context_of_its_own() -> None:
    app = toy_app()

    numbers = [(await call(app, body=op("{contextNumber}"))).payload["data"]["contextNumber"] for _ in range(3)]

    assert len(set(numbers)) == 3
    assert (app.world.opened, app.world.closed) == (3, 3)


async def test_the_deadline_is_503() -> None:
    app = toy_app(deadline=timedelta(milliseconds=50))

    reply = await call(app, body=op("{slow}"))

    assert (reply.status, reply.code) == (503, "UNAVAILABLE")
    assert reply.headers["retry-after"] == "5"
    assert app.service.connections.operation_count == 0


BODIES = st.binary(max_size=60) | st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(
        ["{hello}", "{item{kids{number}}}", "query A{hello}", "mutation{bump}", "subscription{count}"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["query", "operationName", "variables", "extensions", "n"]) | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
).map(orjson.dumps)


@given(
    method=st.sampled_from(["POST", "POST", "POST", "GET"]),
    body=BODIES,
    accept=st.sampled_from([JSON, RESPONSE, "*/*"]) | st.text(st.characters(codec="latin-1"), max_size=20),
    content_type=st.sampled_from([JSON, JSON, JSON, "text/plain", ""]),
)
@settings(max_examples=examples(150))
def test_whatever_is_sent_is_answered_by_graphql_json(
    method: str, body: bytes, accept: str, content_type: str
) -> None:
    app = toy_app()
    headers = {"accept": accept.replace("event-stream", "")}

    reply = asyncio.run(call(app, method, body, query=body, headers=headers, content_type=content_type))

    assert reply.status in (200, 400, 405, 414, 415)
    assert "data" in reply.payload or reply.code
    assert app.reported == []


WORDS = [
    "{",
    "}",
    "(",
    ")",
    ":",
    "...",
    "$n",
    "[",
    "]",
    "a:",
    "1",
    "null",
    '"x"',
    "#",
    "@include(if:true)",
    "on",
    "F",
]
NAMES = ["hello", "item", "kids", "number", "first", "items", "nodes", "query", "mutation", "bump", "subscription"]
GRAPHQL = st.lists(st.sampled_from([*WORDS, *NAMES, "fragment F on Item"]), max_size=25).map(" ".join)


@given(
    query=GRAPHQL | st.text(max_size=40),
    variables=st.dictionaries(st.just("n"), st.none() | st.integers(-9, 2**60)),
)
@settings(max_examples=examples(150))
def test_whatever_document_is_sent_is_answered(query: str, variables: dict[str, object]) -> None:
    app = toy_app()

    reply = asyncio.run(call(app, body=op(query, variables=variables)))

    assert reply.status in (200, 400)
    assert "data" in reply.payload or reply.code in ("PARSE_FAILED", "VALIDATION_FAILED", "BAD_REQUEST")
    assert app.reported == []


async def test_a_real_server_answers_hostile_requests_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = toy_app()
    bodies = [
        b"5",
        b"null",
        b"[" * 100_000,
        b"\xff\x00",
        b"",
        b"x" * 300_000,
        op("{"),
        op("{boom}"),
        op("{hello}"),
    ]
    with served(app) as running:
        async with httpx2.AsyncClient(headers={"authorization": GOOD, "content-type": JSON}) as client:
            for body in bodies:
                reply = await client.post(running.url, content=body)
                assert reply.status_code in (200, 400, 413)
                assert reply.json()["errors" if body != bodies[-1] else "data"]

            async def endless() -> Any:
                for _ in range(400):
                    yield b" " * 1_000

            reply = await client.post(running.url, content=endless())
            assert reply.status_code == 413
            reply = await client.get(running.url, params={"query": "{hello}"}, headers={"x-long": "x" * 30_000})
            assert reply.json()["data"] == {"hello": "hi world"}

    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []
