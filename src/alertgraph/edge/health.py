"""Whether we live, whether we are ready, and the figures: what an operator's machines ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import orjson
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from alertgraph.edge.telemetry import Telemetry

# By name: None where it is well, else what is wrong in a sentence.
Checks = Callable[[], Awaitable[Mapping[str, str | None]]]


def routes(telemetry: Telemetry, checks: Checks, refresh: Callable[[], Awaitable[bytes]]) -> list[BaseRoute]:
    """Return /livez, /readyz and /metrics.

    Args:
        telemetry: Where the figures are.
        checks: What readiness depends on.
        refresh: Reads the figures that have to be asked for before they are shown; returns those of others.
    """

    async def livez(_: Request) -> Response:
        return Response("ok\n", media_type="text/plain")

    async def readyz(_: Request) -> Response:
        found = await checks()
        is_ready = all(fault is None for fault in found.values())
        body = {
            "ready": is_ready,
            "checks": {name: "ok" if fault is None else fault for name, fault in found.items()},
        }
        return Response(
            orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE),
            status_code=200 if is_ready else 503,
            media_type="application/json",
            headers={} if is_ready else {"Retry-After": "1"},
        )

    async def metrics(_: Request) -> Response:
        more = await refresh()
        return Response(merged(telemetry.page(), more), media_type=CONTENT_TYPE_LATEST)

    return [
        Route("/livez", livez, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
    ]


def merged(own: bytes, others: bytes) -> bytes:
    """Return a page of figures with those of another process that are not on it, whole or by their labels.

    A figure stands on a page once, with all its lines together. What both have with the same labels is the page's,
    but where it has counted nothing: then it is about what only the other one does.
    """
    if not others:
        return own
    figures = _figures_of(own)
    for name, (head, lines) in _figures_of(others).items():
        if not name.startswith("alertgraph_"):
            continue
        mine = figures.setdefault(name, (head, {}))[1]
        counts = head[-1].endswith((b" counter", b" histogram"))
        for key, line in lines.items():
            if key not in mine or (counts and mine[key].endswith(b" 0.0")):
                mine[key] = line
    return b"".join(line + b"\n" for head, lines in figures.values() for line in (*head, *lines.values()))


def _figures_of(page: bytes) -> dict[str, tuple[list[bytes], dict[bytes, bytes]]]:
    """Return each figure's head and its lines by what stands before the value, by the figure's name."""
    found: dict[str, tuple[list[bytes], dict[bytes, bytes]]] = {}
    head: list[bytes] = []
    lines: dict[bytes, bytes] = {}
    for line in page.splitlines():
        if line.startswith(b"# HELP "):
            head, lines = found.setdefault(line.split(b" ", 3)[2].decode(), ([], {}))
            if not head:
                head.append(line)
        elif line.startswith(b"# TYPE "):
            if len(head) == 1:
                head.append(line)
        elif line:
            lines[line.rpartition(b" ")[0]] = line
    return found
