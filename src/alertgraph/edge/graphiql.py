"""GraphiQL as it was built, at /graphiql: to try the API from a browser, with nothing asked of another host.

`make web` builds it into this package, compressed: what a browser does not take so is unpacked for it.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from alertgraph.edge.console import ASSETS, IMMUTABLE, INDEX, MEDIA_TYPES, chosen_encoding

FOLDER: Final = Path(__file__).parent.parent / "graphiql"
ADDRESS: Final = "/graphiql"
PACKED: Final = ".gz"
NOT_BUILT: Final = "GraphiQL is not built: run `make web`. The API is at /graphql.\n"
# Its editor writes styles as it goes, has its letters in its styles, and works in threads of its own.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "font-src 'self' data:",
        "img-src 'self' data:",
        "worker-src 'self' blob:",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "object-src 'none'",
    )
)
_BASE: Final = b'<base href="./" />'
_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class GraphiQL:
    """Serves what was built.

    Args:
        folder: Where it was built to; it may be missing, and may be built anew while we serve.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder

    def routes(self) -> list[BaseRoute]:
        """Return the page, with and without a slash behind it, and what it is made of."""
        return [
            Route(ADDRESS, self._page, methods=["GET"]),
            Route(f"{ADDRESS}/", self._page, methods=["GET"]),
            Route(f"{ADDRESS}/{ASSETS}/{{name}}", self._asset, methods=["GET"]),
        ]

    async def _page(self, request: Request) -> Response:
        headers = {
            **_HEADERS,
            "Cache-Control": "no-cache",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        }
        try:
            index = await asyncio.to_thread((self._folder / INDEX).read_bytes)
        except OSError:
            return PlainTextResponse(NOT_BUILT, status_code=404, headers=headers)
        if not request.scope["path"].endswith("/"):
            # What it is made of lies below it, as a browser sees it only where the address says so.
            index = index.replace(_BASE, b'<base href=".%b/" />' % ADDRESS.encode(), 1)
        headers["ETag"] = f'"{hashlib.sha256(index).hexdigest()[:20]}"'
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(index, media_type=MEDIA_TYPES[".html"], headers=headers)

    async def _asset(self, request: Request) -> Response:
        # Looked up among those that are there, so that a name is no way out of the folder.
        path = (await asyncio.to_thread(self._assets)).get(request.path_params["name"])
        media_type = None if path is None else MEDIA_TYPES.get(Path(request.path_params["name"]).suffix)
        if path is None or media_type is None:
            return _missing()
        headers = {
            **_HEADERS,
            "Cache-Control": IMMUTABLE,
            "ETag": f'"{hashlib.sha256(path.name.encode()).hexdigest()[:20]}"',
        }
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        try:
            content = await asyncio.to_thread(path.read_bytes)
        except OSError:
            # It was built anew this moment; the page that names this file is gone, too.
            return _missing()
        if path.suffix == PACKED:
            headers["Vary"] = "Accept-Encoding"
            if chosen_encoding(request.headers, {"gzip": path}):
                headers["Content-Encoding"] = "gzip"
            else:
                content = await asyncio.to_thread(gzip.decompress, content)
        return Response(content, media_type=media_type, headers=headers)

    def _assets(self) -> Mapping[str, Path]:
        """Return the files there are, by the names that pages know them by."""
        try:
            return {path.name.removesuffix(PACKED): path for path in (self._folder / ASSETS).iterdir()}
        except OSError:
            return {}


def _missing() -> Response:
    return PlainTextResponse("Not Found", status_code=404, headers={"X-Content-Type-Options": "nosniff"})
