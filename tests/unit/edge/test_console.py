"""The console's page and its files: where they are found, how they travel, and what a browser may do with them."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from alertgraph.edge.console import NOT_BUILT, Console, chosen_encoding

INDEX = '<html><head><base href="./" /><script type="module" src="./assets/index-abc.js"></script></head></html>'
CODE = b"console.log('here')" * 100
DOCUMENT = "query Viewer { viewer { role } }"
DOCUMENT_HASH = hashlib.sha256(DOCUMENT.encode()).hexdigest()
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assets = tmp_path / "assets"
    assets.mkdir()
    (tmp_path / "index.html").write_text(INDEX)
    (tmp_path / "secret.js").write_text("no")
    (tmp_path / "documents.json").write_text(json.dumps({DOCUMENT_HASH: DOCUMENT, "0" * 64: DOCUMENT}))
    (assets / "index-abc.js").write_bytes(CODE)
    (assets / "index-abc.js.gz").write_bytes(gzip.compress(CODE))
    (assets / "index-abc.js.br").write_bytes(b"as if")
    (assets / "mark-abc.svg").write_bytes(b"<svg/>")
    (assets / "notes-abc.txt").write_bytes(b"no")
    return tmp_path


def client_of(console: Console, root_path: str = "") -> TestClient:
    async def sent(_: Request) -> PlainTextResponse:
        return PlainTextResponse("sent")

    application = Starlette(routes=[Route("/api/v1/things", sent, methods=["POST"]), *console.routes()])
    application.router.default = console
    return TestClient(application, root_path=root_path, follow_redirects=False)


@pytest.fixture
def client(folder: Path) -> TestClient:
    return client_of(Console(folder))


def test_the_page_lets_nothing_in_that_is_not_ours(client: TestClient) -> None:
    page = client.get("/", headers=BROWSER)

    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "script-src" not in policy
    assert "unsafe" not in page.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("path", "base"), [("/", "./"), ("/silences", "./"), ("/alerts/alt_1", "../"), ("/a/b/c", "../../")]
)
def test_every_page_finds_its_files_at_any_depth(client: TestClient, path: str, base: str) -> None:
    page = client.get(path, headers=BROWSER)

    assert page.status_code == 200
    assert f'<base href="{base}" />' in page.text


@pytest.mark.parametrize(("path", "base"), [("/ops/", "./"), ("/ops/alerts/alt_1", "../")])
def test_a_proxy_may_put_a_prefix_before_it_and_leave_it(folder: Path, path: str, base: str) -> None:
    page = client_of(Console(folder), root_path="/ops").get(path.removeprefix("/ops"), headers=BROWSER)

    assert page.status_code == 200
    assert f'<base href="{base}" />' in page.text


def test_a_page_that_is_known_is_not_sent_again(client: TestClient) -> None:
    etag = client.get("/", headers=BROWSER).headers["etag"]

    again = client.get("/", headers=BROWSER | {"if-none-match": etag})

    assert again.status_code == 304
    assert again.content == b""
    assert client.get("/a/b", headers=BROWSER | {"if-none-match": etag}).status_code == 200


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/silences", "application/json"),
        ("/silences", "*/*"),
        ("/api/v1/nothing", BROWSER["accept"]),
        ("/graphql/nothing", BROWSER["accept"]),
        ("/v2/nothing", BROWSER["accept"]),
        ("/favicon.ico", BROWSER["accept"]),
        ("/alerts/../secret.js", BROWSER["accept"]),
    ],
)
def test_what_is_no_page_is_not_answered_by_one(client: TestClient, path: str, accept: str) -> None:
    assert client.get(path, headers={"accept": accept}).status_code == 404


def test_a_wrong_method_is_still_told_as_one(client: TestClient) -> None:
    assert client.get("/api/v1/things", headers=BROWSER).status_code == 405
    assert client.post("/silences", headers=BROWSER).status_code == 404


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("gzip, deflate, br", "br"), ("gzip", "gzip"), ("", None), ("br;q=0, gzip", "gzip"), ("identity", None)],
)
def test_a_file_travels_in_the_best_form_that_is_taken(
    client: TestClient, accepted: str, encoding: str | None
) -> None:
    with client.stream("GET", "/assets/index-abc.js", headers={"accept-encoding": accepted}) as answer:
        body = b"".join(answer.iter_raw())

    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert body == {"br": b"as if", "gzip": gzip.compress(CODE), None: CODE}[encoding] or encoding == "gzip"


def test_a_file_that_is_known_is_not_sent_again(client: TestClient) -> None:
    etag = client.get("/assets/mark-abc.svg").headers["etag"]

    assert client.get("/assets/mark-abc.svg", headers={"if-none-match": etag}).status_code == 304
    assert client.head("/assets/mark-abc.svg").headers["content-length"] == "6"


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../secret.js",
        "/assets/%2e%2e/secret.js",
        "/assets/..%2fsecret.js",
        "/assets/..%5csecret.js",
        "/assets/notes-abc.txt",
        "/assets/index-abc.js.gz",
        "/assets/",
        "/secret.js",
        "/documents.json",
    ],
)
def test_only_what_was_built_to_be_read_is_read(client: TestClient, path: str) -> None:
    assert client.get(path, headers=BROWSER).status_code == 404


def test_its_documents_are_known_by_their_hashes_alone(folder: Path) -> None:
    console = Console(folder)

    assert console.document(DOCUMENT_HASH) == DOCUMENT
    assert console.document("0" * 64) is None, "not the hash of that text"
    assert console.document("f" * 64) is None


def test_without_a_build_it_says_what_to_do(tmp_path: Path) -> None:
    console = Console(tmp_path / "missing")
    answer = client_of(console).get("/", headers=BROWSER)

    assert not console.is_built
    assert (answer.status_code, answer.text) == (404, NOT_BUILT)
    assert console.document(DOCUMENT_HASH) is None


def test_what_is_built_anew_is_served_from_then_on(folder: Path) -> None:
    client = client_of(Console(folder))
    assert client.get("/assets/index-def.js").status_code == 404
    (folder / "assets" / "index-def.js").write_bytes(b"new")
    index = folder / "index.html"
    index.write_text(INDEX.replace("abc", "def"))
    os.utime(index, ns=(1, 1))

    assert "index-def.js" in client.get("/", headers=BROWSER).text
    assert client.get("/assets/index-def.js").content == b"new"


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("*", "br"),
        ("*;q=0", ""),
        ("gzip;q=0.1", "gzip"),
        ("br;q=x, gzip;q=1", "br"),
        ("GZIP", "gzip"),
        ("zstd", ""),
    ],
)
def test_how_encodings_are_chosen(accepted: str, chosen: str) -> None:
    headers = Headers({"accept-encoding": accepted})

    assert chosen_encoding(headers, {"": 0, "br": 0, "gzip": 0}) == chosen
