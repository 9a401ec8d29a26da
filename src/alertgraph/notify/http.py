"""Posts to providers: one client for a process, bounded in time and size; whatever breaks is a result."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx2
import orjson

from alertgraph.core.message import SendResult
from alertgraph.notify.guard import BlockedError, Guard, GuardedTransport
from alertgraph.services.ports import Clock

ATTEMPT_TIMEOUT = timedelta(seconds=10)
CONNECT_TIMEOUT_SECONDS = 5.0
BODY_BYTES_MAX = 65_536
RETRY_AFTER_MAX = timedelta(hours=1)
SAID_LENGTH_MAX = 200
SECRET_LENGTH_MIN = 6

_RETRYABLE = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request.

    Attributes:
        result: What it means by its status alone.
        body: As far as it was read; empty where there was no answer.
    """

    result: SendResult
    body: bytes = b""

    def fields(self) -> dict[str, object]:
        """Return the body where it is a JSON object; empty where it is not."""
        try:
            fields = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}
        return fields if isinstance(fields, dict) else {}

    def text(self, *names: str, secrets: Iterable[str] = ()) -> str | None:
        """Return the first of these fields of a JSON object that is a text, made short, secrets left out."""
        fields = self.fields()
        for name in names:
            value = fields.get(name)
            if isinstance(value, list):
                value = "; ".join(item for item in value if isinstance(item, str))
            if isinstance(value, str) and value:
                return without_secrets(value, secrets)[:SAID_LENGTH_MAX]
        return None


class HttpPoster:
    """Makes single attempts to post something."""

    def __init__(
        self,
        guard: Guard,
        clock: Clock,
        *,
        timeout: timedelta = ATTEMPT_TIMEOUT,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """Set up the client; it connects at the first request.

        Args:
            guard: Where it may connect to.
            clock: Against which a provider's dates are held.
            timeout: For a whole attempt, however slowly bytes drip.
            ssl_context: Which certificates count; see `GuardedTransport`.
        """
        self._clock = clock
        self._timeout = timeout.total_seconds()
        self._client = httpx2.AsyncClient(
            transport=GuardedTransport(guard, ssl_context),
            follow_redirects=False,
            trust_env=False,
            timeout=httpx2.Timeout(self._timeout, connect=min(CONNECT_TIMEOUT_SECONDS, self._timeout)),
            headers={"User-Agent": "alertgraph", "Accept-Encoding": "identity"},
            # What a provider sets for one tenant is not to be told in the name of another.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    def now(self) -> datetime:
        """Return the present instant: what signatures are dated with."""
        return self._clock.now()

    async def post(self, url: str, *, headers: Mapping[str, str], content: bytes) -> Answer:
        """Make one attempt; whatever breaks on the way is an answer too.

        An answer that begins in time counts even where its rest does not come: it was taken or refused by then.
        """
        try:
            request = self._client.build_request("POST", url, headers=dict(headers), content=content)
            host = request.url.host
        except (httpx2.InvalidURL, UnicodeError, ValueError):
            return Answer(failed("The request can't be made: the URL or a header has a forbidden character."))
        response: httpx2.Response | None = None
        body = bytearray()
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._client.send(request, stream=True)
                async for part in response.aiter_raw():
                    body += part
                    if len(body) >= BODY_BYTES_MAX:
                        break
        except (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            if response is None:
                return Answer(self._not_answered(error, host))
        finally:
            if response is not None:
                await response.aclose()
        return Answer(self._answered(response), bytes(body[:BODY_BYTES_MAX]))

    def _answered(self, response: httpx2.Response) -> SendResult:
        status = response.status_code
        if response.is_success:
            return SendResult(delivered=True, status_code=status)
        text = f"The provider answered {status}{_phrase(status)}."
        if 300 <= status < 400:
            text = f"The provider answered {status}{_phrase(status)}: redirects are not followed."
        retryable = status >= 500 or status in _RETRYABLE
        return SendResult(
            delivered=False,
            status_code=status,
            error=text,
            retryable=retryable,
            retry_after=self._retry_after(response.headers.get("Retry-After")) if retryable else None,
            gone=status == HTTPStatus.GONE,
        )

    def _retry_after(self, value: str | None) -> timedelta | None:
        """Return how long to wait, of a number of seconds or a date; None where it is neither."""
        if value is None:
            return None
        value = value.strip()
        if value.isascii() and value.isdigit():
            # Longer numbers are beyond the bound anyway.
            wait = timedelta(seconds=int(value)) if len(value) < 8 else RETRY_AFTER_MAX
        else:
            try:
                at = parsedate_to_datetime(value)
            except ValueError:
                return None
            wait = (at if at.tzinfo else at.replace(tzinfo=UTC)) - self._clock.now()
        return min(max(wait, timedelta(0)), RETRY_AFTER_MAX)

    def _not_answered(self, error: Exception, host: str) -> SendResult:
        match error:
            case httpx2.ConnectTimeout():
                return failed(f"No connection to {host} in time.", retryable=True)
            case TimeoutError() | httpx2.TimeoutException():
                return failed(f"{host} did not answer within {self._timeout:g} s.", retryable=True)
            case httpx2.ConnectError():
                blocked = error.__cause__
                if isinstance(blocked, BlockedError):
                    return failed(str(blocked))
                if _is_about_certificate(error):
                    return failed(f"The certificate of {host} is not valid.", retryable=True)
                return failed(f"No connection to {host}.", retryable=True)
            case httpx2.TransportError() if not isinstance(
                error, httpx2.LocalProtocolError | httpx2.UnsupportedProtocol
            ):
                return failed(f"The connection to {host} broke.", retryable=True)
            case _:
                return failed("The request can't be made: the URL or a header can't be sent.")


def failed(error: str, *, status_code: int | None = None, retryable: bool = False) -> SendResult:
    """Return the result of an attempt that failed."""
    return SendResult(delivered=False, status_code=status_code, error=error, retryable=retryable)


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return a provider's words in one line, and without anything that is to stay secret."""
    for secret in sorted(secrets, key=len, reverse=True):
        # Shorter ones are no secrets, and would make holes into every word.
        if len(secret) >= SECRET_LENGTH_MIN:
            text = text.replace(secret, "…")
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _phrase(status: int) -> str:
    try:
        return f" {HTTPStatus(status).phrase}"
    except ValueError:
        return ""


def _is_about_certificate(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
