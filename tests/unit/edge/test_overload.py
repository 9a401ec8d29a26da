"""What each dialect says when the service can't take more, or can't take anything."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

import httpx2
import pytest
from starlette.applications import Starlette

from alertgraph.core.errors import AlertGraphError, DependencyError, RateLimitedError
from alertgraph.core.tenant import Principal
from alertgraph.edge import rest
from alertgraph.edge.gate import Gate
from alertgraph.edge.intake import alertmanager

LIMITED = RateLimitedError("The budget is used up.", timedelta(seconds=7.5))
AWAY = DependencyError("postgresql", retryable=True)


class ShutGate:
    """A gate that nobody passes."""

    version = "1.2.3"

    def __init__(self, error: AlertGraphError) -> None:
        self._error = error

    async def authenticate(self, authorization: str | None) -> Principal:
        raise self._error

    async def ready(self) -> bool:
        return False


@pytest.fixture(params=[LIMITED, AWAY], ids=["limited", "away"])
def error(request: pytest.FixtureRequest) -> AlertGraphError:
    error: AlertGraphError = request.param
    return error


def client(error: AlertGraphError) -> httpx2.AsyncClient:
    gate = cast("Gate", ShutGate(error))
    application = Starlette(routes=[*rest.routes(gate), *alertmanager.routes(gate)])
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(application), base_url="http://test")


async def test_rest_says_whether_it_is_the_caller_or_us(error: AlertGraphError) -> None:
    async with client(error) as http:
        got = await http.post("/api/v1/critical-alerts", json={})

    assert got.status_code == (429 if error is LIMITED else 503)
    assert got.headers["retry-after"] == ("8" if error is LIMITED else "2")
    assert got.json()["detail"] == error.message


async def test_alertmanagers_senders_are_always_told_503(error: AlertGraphError) -> None:
    async with client(error) as http:
        got = await http.post("/api/v2/alerts", json=[])

    assert got.status_code == 503
    assert got.headers["retry-after"] == ("8" if error is LIMITED else "2")
    assert got.json() == error.message


async def test_who_is_not_ready_says_so_but_is_healthy() -> None:
    async with client(AWAY) as http:
        ready = await http.get("/-/ready")
        healthy = await http.get("/alertmanager/x/-/healthy")

    assert (ready.status_code, healthy.status_code) == (503, 200)
