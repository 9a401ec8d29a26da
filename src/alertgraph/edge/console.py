"""The console as it was built: files whose names tell their contents, and one page for every address in it.

`make web` builds it into this package. Where it was not built, its address says so in one sentence, and the API
is served all the same.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

FOLDER: Final = Path(__file__).parent.parent / "console"
INDEX: Final = "index.html"
ASSETS: Final = "assets"
DOCUMENTS: Final = "documents.json"
# Read by the browser only from its own host, with nothing written into the page itself.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "object-src 'none'",
    )
)
IMMUTABLE: Final = "public, max-age=31536000, immutable"
MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}
# The better one first.
ENCODINGS: Final = {"br": ".br", "gzip": ".gz"}
NOT_BUILT: Final = "The console is not built: run `make web`. The API is at /graphql.\n"
# Under these an address that is not known is a mistake in a program, which is told so, and not a page.
MACHINES: Final = frozenset(
    {"act", "alertmanager", "api", "assets", "calendars", "graphql", "ingest", "integrations", "v2"}
)

_BASE: Final = b'<base href="./" />'
_QUALITY: Final = re.compile(r"\s*;\s*q\s*=\s*(?P<value>[0-9.]+)\s*")


@dataclass(frozen=True, slots=True)
class _Asset:
    """A file and what of it was compressed.

    Attributes:
        paths: By encoding; the empty text is for the file as it is.
        etag: Of its name, since that tells its contents.
    """

    paths: Mapping[str, Path]
    media_type: str
    etag: str


@dataclass(frozen=True, slots=True)
class _Build:
    """A console as it was found in its folder."""

    stamp: int
    index: bytes
    assets: Mapping[str, _Asset]
    documents: Mapping[str, str]


class Console:
    """Serves what was built, and knows the documents that it asks with.

    Args:
        folder: Where it was built to; it may be missing, and may be built anew while we serve.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._build: _Build | None = None
        self._contents: dict[Path, bytes] = {}
        self._page = Route("/{page:path}", self.page)
        self._read()

    @property
    def is_built(self) -> bool:
        """Whether there is anything to serve."""
        return self._build is not None

    def document(self, sha256: str) -> str | None:
        """Return the text of a document of the console by its hash, in hex; None where it has no such."""
        return None if self._build is None else self._build.documents.get(sha256)

    def routes(self) -> list[BaseRoute]:
        """Return the front page and what it is made of. The other pages are for whoever answers the rest."""
        return [
            Route("/", self.page, methods=["GET"]),
            Route("/assets/{name}", self._asset, methods=["GET"]),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what nothing else answers: with the page, where somebody looks at it in a browser."""
        if scope["type"] != "http":
            # As Starlette refuses a websocket at an address that it does not know.
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
            return
        request = Request(scope, receive)
        path = _path_of(request)
        is_page = (
            request.method in ("GET", "HEAD")
            and "text/html" in request.headers.get("accept", "")
            and path.partition("/")[0] not in MACHINES
            and "." not in path.rpartition("/")[2]
        )
        if is_page:
            scope["route"] = self._page
            response = await self.page(request)
        else:
            response = PlainTextResponse("Not Found", status_code=404)
        await response(scope, receive, send)

    async def page(self, request: Request) -> Response:
        """Return the page, which reads from the address what to show."""
        self._read()
        build = self._build
        headers = {
            "Cache-Control": "no-cache",
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            "Cross-Origin-Opener-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        if build is None:
            return PlainTextResponse(NOT_BUILT, status_code=404, headers=headers)
        # The way up to where we are mounted is as long outside of a proxy that takes a prefix away as inside.
        up = "../" * _path_of(request).count("/") or "./"
        body = build.index.replace(_BASE, f'<base href="{up}" />'.encode(), 1)
        etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        headers["ETag"] = etag
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=MEDIA_TYPES[".html"], headers=headers)

    async def _asset(self, request: Request) -> Response:
        build = self._build
        asset = None if build is None else build.assets.get(request.path_params["name"])
        if asset is None:
            return PlainTextResponse("Not Found", status_code=404, headers={"X-Content-Type-Options": "nosniff"})
        headers = {
            "Cache-Control": IMMUTABLE,
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            "ETag": asset.etag,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        if len(asset.paths) > 1:
            headers["Vary"] = "Accept-Encoding"
        if asset.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        encoding = chosen_encoding(request.headers, asset.paths)
        if encoding:
            headers["Content-Encoding"] = encoding
        content = await self._content(asset.paths[encoding])
        if content is None:
            return PlainTextResponse("Not Found", status_code=404, headers={"X-Content-Type-Options": "nosniff"})
        return Response(content, media_type=asset.media_type, headers=headers)

    async def _content(self, path: Path) -> bytes | None:
        content = self._contents.get(path)
        if content is None:
            try:
                content = await asyncio.to_thread(path.read_bytes)
            except OSError:
                # It was built anew this moment; the page that names this file is gone, too.
                return None
            self._contents[path] = content
        return content

    def _read(self) -> None:
        """Look at what was built, unless it is what was built when we looked last."""
        try:
            stamp = (self._folder / INDEX).stat().st_mtime_ns
            if self._build is not None and self._build.stamp == stamp:
                return
            self._build = _built(self._folder, stamp)
        except OSError:
            self._build = None
        self._contents.clear()


def chosen_encoding(headers: Headers, available: Mapping[str, object]) -> str:
    """Return the best encoding that a client takes of those there are; the empty text for none."""
    weights: dict[str, float] = {}
    for part in headers.get("accept-encoding", "").lower().split(","):
        name, _, parameters = part.strip().partition(";")
        match = _QUALITY.fullmatch(f";{parameters}") if parameters else None
        try:
            weights[name.strip()] = float(match["value"]) if match is not None else 1.0
        except ValueError:
            weights[name.strip()] = 0.0
    anything = weights.get("*", 0.0)
    return next(
        (name for name in ENCODINGS if name in available and weights.get(name, anything) > 0.0),
        "",
    )


def _path_of(request: Request) -> str:
    """Return the address below where we are mounted, without the slash that it begins with."""
    path: str = request.scope["path"]
    root: str = request.scope.get("root_path", "")
    return path.removeprefix(root).removeprefix("/")


def _built(folder: Path, stamp: int) -> _Build:
    files = {path.name: path for path in (folder / ASSETS).iterdir() if path.is_file()}
    assets = {}
    for name, path in files.items():
        media_type = MEDIA_TYPES.get(path.suffix)
        if media_type is None:
            continue
        paths = {"": path} | {
            encoding: files[name + suffix] for encoding, suffix in ENCODINGS.items() if name + suffix in files
        }
        assets[name] = _Asset(paths, media_type, f'"{hashlib.sha256(name.encode()).hexdigest()[:20]}"')
    documents: dict[str, str] = orjson.loads((folder / DOCUMENTS).read_bytes())
    # Nobody but us has written them; still, a name that is not its text's would be asked for in vain.
    known = {
        hash_: text for hash_, text in documents.items() if hashlib.sha256(text.encode()).hexdigest() == hash_
    }
    return _Build(stamp, (folder / INDEX).read_bytes(), assets, known)
