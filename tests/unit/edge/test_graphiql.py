"""GraphiQL's page and its files: where they are found, how they travel, and what a browser may do with them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from alertgraph.edge.graphiql import GraphiQL

INDEX = '<html><head><base href="./" /><script type="module" src="./assets/index-abc.js"></script></head></html>'
CODE = b"console.log('here')" * 100


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assets = tmp_path / "assets"
    assets.mkdir()
    (tmp_path / "index.html").write_text(INDEX)
    (tmp_path / "secret.js").write_text("no")
    (assets / "index-abc.js.gz").write_bytes(gzip.compress(CODE))
    (assets / "codicon-abc.ttf").write_bytes(b"font")
    (assets / "notes-abc.txt").write_bytes(b"no")
    return tmp_path


@pytest.fixture
def client(folder: Path) -> TestClient:
    return TestClient(Starlette(routes=GraphiQL(folder).routes()), follow_redirects=False)


@pytest.mark.parametrize(
    ("path", "base"), [("/graphiql", '<base href="./graphiql/" />'), ("/graphiql/", '<base href="./" />')]
)
def test_the_page_finds_its_files_with_and_without_a_slash(client: TestClient, path: str, base: str) -> None:
    page = client.get(path)

    assert page.status_code == 200
    assert base in page.text
    assert page.headers["cache-control"] == "no-cache"
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src" not in policy, "scripts come from our own files only"
    assert client.get(path, headers={"if-none-match": page.headers["etag"]}).status_code == 304


def test_files_travel_packed_where_a_browser_takes_it_so(client: TestClient) -> None:
    packed = client.get("/graphiql/assets/index-abc.js", headers={"accept-encoding": "br, gzip"})
    plain = client.get("/graphiql/assets/index-abc.js", headers={"accept-encoding": "identity"})

    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content == CODE
    assert packed.headers["content-type"].startswith("text/javascript")
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert "immutable" in packed.headers["cache-control"]


def test_what_is_not_packed_is_served_as_it_is(client: TestClient) -> None:
    font = client.get("/graphiql/assets/codicon-abc.ttf", headers={"accept-encoding": "gzip"})

    assert font.content == b"font"
    assert font.headers["content-type"] == "font/ttf"
    assert "content-encoding" not in font.headers


@pytest.mark.parametrize(
    "path",
    [
        "/graphiql/assets/index-abc.js.gz",
        "/graphiql/assets/notes-abc.txt",
        "/graphiql/assets/..%2fsecret.js",
        "/graphiql/assets/%2e%2e/secret.js",
        "/graphiql/assets/nothing.js",
        "/graphiql/secret.js",
    ],
)
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_where_it_was_not_built_it_says_so(tmp_path: Path) -> None:
    client = TestClient(Starlette(routes=GraphiQL(tmp_path / "nowhere").routes()))

    page = client.get("/graphiql")

    assert page.status_code == 404
    assert "make web" in page.text
    assert client.get("/graphiql/assets/index-abc.js").status_code == 404
