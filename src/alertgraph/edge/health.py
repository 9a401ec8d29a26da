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


def routes(
    telemetry: Telemetry, checks: Checks, refresh: Callable[[], Awaitable[bytes | None]]
) -> list[BaseRoute]:
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
        return Response(telemetry.page() + (more or b""), media_type=CONTENT_TYPE_LATEST)

    return [
        Route("/livez", livez, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
    ]
