"""Calendar feeds at /calendars/{token}.ics: the token is good for the feed and for nothing else."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from alertgraph.core.errors import AlertGraphError, NotFoundError
from alertgraph.edge.bodies import METHODS, BodyError, problem_response
from alertgraph.services.calendars import PATH, CalendarFeeds

MAX_AGE = timedelta(minutes=5)
MEDIA_TYPE = "text/calendar; charset=utf-8"


def routes(feeds: CalendarFeeds) -> list[BaseRoute]:
    """Return the route of all feeds."""

    async def feed(request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            refusal = BodyError(
                f"{request.method} is not possible here; GET is.", status=HTTPStatus.METHOD_NOT_ALLOWED
            )
            response = problem_response(request, refusal)
            response.headers["Allow"] = "GET, HEAD"
            return response
        try:
            body = await feeds.read(request.path_params["token"])
            if body is None:
                raise NotFoundError("There is no such calendar.")
        except AlertGraphError as error:
            return problem_response(request, error)
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {
            "ETag": tag,
            # The address is a secret: nobody in between keeps what it leads to.
            "Cache-Control": f"private, max-age={MAX_AGE.total_seconds():.0f}",
            "Referrer-Policy": "no-referrer",
        }
        if _is_known(request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=headers)
        return Response(body, headers={**headers, "Content-Type": MEDIA_TYPE})

    return [Route(f"{PATH}/{{token}}.ics", feed, methods=METHODS)]


def _is_known(if_none_match: str, tag: str) -> bool:
    """Say whether the caller has this very text already."""
    tags = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return tag in tags or "*" in tags
