"""What comes of a request, whatever the provider does."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from email.utils import format_datetime

import pytest

from alertgraph.core.message import SendResult
from alertgraph.notify.guard import Guard
from alertgraph.notify.http import BODY_BYTES_MAX, Answer, HttpPoster, without_secrets
from tests.factories import T0
from tests.integration.notify.provider import (
    Play,
    Reply,
    answers,
    babbles,
    checks,
    closes,
    drips,
    giant,
    hangs,
    provider,
    resets,
)
from tests.virtual import VirtualClock

SECRET_URL = "/hook/T0SECRET?sig=S1GSECRET"
REFUSED = SendResult(delivered=False)
SECRET_HEADERS = {"Authorization": "Bearer t0k3nSECRET"}


async def _post(play: Play, patience: timedelta = timedelta(seconds=5)) -> Answer:
    async with provider(play) as server:
        poster = HttpPoster(Guard(allow_private=True), VirtualClock(), timeout=patience)
        try:
            return await poster.post(server.url + SECRET_URL, headers=SECRET_HEADERS, content=b"{}")
        finally:
            await poster.aclose()


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_what_is_taken_is_delivered(status: int) -> None:
    answer = await _post(answers(status))

    assert answer.result.delivered
    assert answer.result.status_code == status
    assert answer.result.error is None


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        *((status, False) for status in (301, 304, 307, 308, 400, 401, 403, 404, 410, 413, 499)),
        *((status, True) for status in (408, 425, 429, 500, 502, 503, 599)),
    ],
)
async def test_a_refusal_says_whether_to_try_again(status: int, retryable: bool) -> None:
    result = (await _post(answers(status, b"T0SECRET"))).result

    assert not result.delivered
    assert result.status_code == status
    assert result.retryable is retryable
    assert result.gone is (status == 410)
    assert str(status) in (result.error or "")
    assert "SECRET" not in (result.error or "")


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("0", timedelta(0)),
        ("17", timedelta(seconds=17)),
        (" 30 ", timedelta(seconds=30)),
        ("86400", timedelta(hours=1)),
        ("9" * 400, timedelta(hours=1)),
        (format_datetime(T0 + timedelta(seconds=90), usegmt=True), timedelta(seconds=90)),
        (format_datetime(T0 - timedelta(days=3), usegmt=True), timedelta(0)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", timedelta(hours=1)),
        ("Monday, 23-Nov-26 12:00:05 GMT", timedelta(seconds=5)),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("²", None),
    ],
)
async def test_retry_after_is_obeyed_in_both_forms_and_within_an_hour(value: str, wait: timedelta | None) -> None:
    result = (await _post(answers(429, Retry_After=value))).result

    assert result.retry_after == wait


async def test_retry_after_of_a_final_refusal_means_nothing() -> None:
    assert (await _post(answers(400, Retry_After="5"))).result.retry_after is None


@pytest.mark.parametrize(
    ("play", "error"),
    [
        (hangs, "127.0.0.1 did not answer within 0.3 s."),
        (drips(), "127.0.0.1 did not answer within 0.3 s."),
        (drips(b"HTTP/1.1 "), None),
        (resets, "The connection to 127.0.0.1 broke."),
        (closes, "The connection to 127.0.0.1 broke."),
        (babbles, "The connection to 127.0.0.1 broke."),
    ],
)
async def test_a_provider_that_does_not_answer_may_be_tried_again_later(play: Play, error: str | None) -> None:
    began = time.monotonic()

    result = (await _post(play, timedelta(milliseconds=300))).result

    assert time.monotonic() - began < 3
    assert not result.delivered
    assert result.retryable
    assert result.status_code is None
    assert result.error == error or (error is None and result.error)
    assert "SECRET" not in (result.error or "")


async def test_nobody_listens() -> None:
    async with provider() as server:
        url = server.url
    poster = HttpPoster(Guard(allow_private=True), VirtualClock())

    result = (await poster.post(url + SECRET_URL, headers={}, content=b"")).result
    await poster.aclose()

    assert result.error == "No connection to 127.0.0.1."
    assert result.retryable


async def test_a_body_without_an_end_is_not_read_to_its_end() -> None:
    answer = await _post(giant())

    assert answer.result.delivered
    assert len(answer.body) == BODY_BYTES_MAX


async def test_what_was_taken_counts_even_where_the_rest_of_the_answer_drips() -> None:
    """A page that arrived is not sent again."""
    play = drips(b"HTTP/1.1 202 Accepted\r\nContent-Length: 100000\r\n\r\n")

    answer = await _post(play, timedelta(milliseconds=300))

    assert answer.result.delivered
    assert answer.body.strip(b"a") == b""


@pytest.mark.parametrize("headers", [{"X-Bad": "a\r\nX-Smuggled: 1"}, {"X Bad": "a"}, {"X-Bad": "a\x00"}])
async def test_a_header_that_can_not_be_sent_is_not_tried_again(headers: dict[str, str]) -> None:
    poster = HttpPoster(Guard(allow_private=True), VirtualClock())
    async with provider() as server:
        result = (await poster.post(server.url, headers=headers, content=b"")).result
    await poster.aclose()

    assert not result.delivered
    assert not result.retryable
    assert server.received == []


async def test_cookies_of_one_tenant_are_not_told_in_the_name_of_another() -> None:
    poster = HttpPoster(Guard(allow_private=True), VirtualClock())
    async with provider(answers(200, Set_Cookie="session=ada; Path=/")) as server:
        await poster.post(server.url, headers={}, content=b"")
        await poster.post(server.url, headers={}, content=b"")
    await poster.aclose()

    assert [received.headers.get("cookie") for received in server.received] == [None, None]


async def test_connections_are_kept_and_answers_are_not_asked_to_be_packed() -> None:
    poster = HttpPoster(Guard(allow_private=True), VirtualClock())
    async with provider(answers(200, b"{}")) as server:
        for _ in range(3):
            assert (await poster.post(server.url, headers={}, content=b"")).result.delivered
    await poster.aclose()

    assert server.connection_count == 1
    assert server.last.headers["accept-encoding"] == "identity"


async def test_many_at_once_are_all_served() -> None:
    poster = HttpPoster(Guard(allow_private=True), VirtualClock())
    async with provider(checks(lambda received: Reply(200, body=received.body))) as server:
        sent = [poster.post(server.url, headers={}, content=b"%d" % number) for number in range(50)]
        got = await asyncio.gather(*sent)
    await poster.aclose()

    assert [answer.body for answer in got] == [b"%d" % number for number in range(50)]


async def test_cancelling_goes_through() -> None:
    poster = HttpPoster(Guard(allow_private=True), VirtualClock())
    async with provider(hangs) as server:
        task = asyncio.create_task(poster.post(server.url, headers={}, content=b""))
        await server.wait_for(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await poster.aclose()


def test_a_provider_is_quoted_without_secrets_and_in_one_line() -> None:
    answer = Answer(REFUSED, b'{"errors": ["bad token t0k3nSECRET", "line\\nbreak"], "status": 0}')

    assert answer.text("message", "errors", secrets=["t0k3nSECRET", "a"]) == "bad token …; line break"
    assert answer.text("status") is None
    assert Answer(REFUSED, b"[]").text("message") is None
    assert Answer(REFUSED, b"<html>").text("message") is None
    assert without_secrets("key abcdefgh and abcdef", ["abcdef", "abcdefgh"]) == "key … and …"
