"""Calendar feeds over HTTP: found, known already, or none of ours."""

from __future__ import annotations

import httpx2
import pytest
from starlette.applications import Starlette

from alertgraph.core.errors import DependencyError
from alertgraph.edge import calendars


class FakeFeeds:
    """Has one feed, under the token `good`."""

    body = b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"

    async def read(self, token: str) -> bytes | None:
        if token == "away":
            raise DependencyError("postgresql", retryable=True)
        return self.body if token == "good" else None


@pytest.fixture
def client() -> httpx2.AsyncClient:
    app = Starlette(routes=calendars.routes(FakeFeeds()))  # type: ignore[arg-type]  # all that the route reads
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://test")


async def test_a_feed_is_a_calendar_that_may_be_kept_for_a_while(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/calendars/good.ics")

    assert (answer.status_code, answer.content) == (200, FakeFeeds.body)
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert answer.headers["cache-control"] == "private, max-age=300"
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("shape", ["{}", "W/{}", '"x", {}', '"x",W/{}', "*"])
async def test_who_has_it_already_is_told_so(client: httpx2.AsyncClient, shape: str) -> None:
    tag = (await client.get("/calendars/good.ics")).headers["etag"]

    answer = await client.get("/calendars/good.ics", headers={"If-None-Match": shape.format(tag)})

    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    assert "content-type" not in answer.headers


async def test_who_has_another_one_gets_this(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/calendars/good.ics", headers={"If-None-Match": '"other"'})

    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["bad.ics", ".ics", "good", "good.ics/", "a/good.ics", "%00.ics", "%C3%A4.ics"])
async def test_any_other_address_is_no_calendar(client: httpx2.AsyncClient, path: str) -> None:
    answer = await client.get(f"/calendars/{path}")

    assert answer.status_code in (404, 307)


async def test_an_unknown_token_is_a_problem_in_words(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/calendars/bad.ics")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "bad" not in answer.text


async def test_a_store_that_is_away_is_said_to_be(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/calendars/away.ics")).status_code == 503


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_feed_is_only_read(client: httpx2.AsyncClient, method: str) -> None:
    answer = await client.request(method, "/calendars/good.ics")

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_a_head_is_answered(client: httpx2.AsyncClient) -> None:
    assert (await client.head("/calendars/good.ics")).status_code == 200
