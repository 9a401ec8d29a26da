"""Where the demo's channels deliver to, in place of Slack, PagerDuty and telephones: nothing leaves the machine.

It answers as those do, remembers what came last, and shows it on a page.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import orjson
from jinja2 import Environment, StrictUndefined

KEPT_COUNT_MAX = 500
SHOWN_COUNT_MAX = 100
BODY_BYTES_MAX = 1 << 20

_PAGE = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="3"><title>Inbox of the demo</title>
<style>:root{color-scheme:light dark}body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;
padding:0 1rem}h1{font-size:1.3rem}ol{list-style:none;padding:0}li{border-top:1px solid #8886;padding:.6rem 0}
small{opacity:.75}p{margin:.2rem 0;white-space:pre-wrap;overflow-wrap:anywhere}</style></head><body>
<h1>What the demo's people were told</h1>
<p>In place of Slack, PagerDuty and telephones. Nothing leaves this machine. {{ count }} so far.</p>
<ol>{% for each in letters %}
<li><small>{{ each.at.strftime("%H:%M:%S") }} · {{ each.company }} · {{ each.channel }}
{%- if each.to %} · {{ each.to }}{% endif %}{% if each.is_refused %} · refused: it is out of order{% endif %}
</small><p>{{ each.text }}</p></li>
{% endfor %}</ol></body></html>
""")


@dataclass(frozen=True, slots=True)
class Letter:
    """Something that a channel delivered, or tried to.

    Attributes:
        company: Slug of the tenant.
        channel: The channel's name.
        to: The address on it; empty for the channel's own.
        text: What a person would read.
        is_refused: Whether the channel was out of order.
    """

    at: datetime
    company: str
    channel: str
    to: str
    text: str
    is_refused: bool


class Inbox:
    """An HTTP server on loopback that stands for everybody's providers. A context."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._letters: deque[Letter] = deque(maxlen=KEPT_COUNT_MAX)
        self._count = 0
        self._broken_until: dict[tuple[str, str], float] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="demo inbox", daemon=True)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def break_channel(self, company: str, channel: str, length: timedelta) -> None:
        """Have a channel take nothing for so long."""
        with self._lock:
            self._broken_until[company, channel] = time.monotonic() + length.total_seconds()

    def take(self, company: str, channel: str, method: str, body: Any) -> tuple[int, dict[str, Any]]:
        """Return the status and the answer of the provider that a channel speaks to."""
        letter_to, text = _read(body)
        with self._lock:
            is_refused = time.monotonic() < self._broken_until.get((company, channel), 0.0)
            # A message that is changed is one message.
            if method != "chat.update":
                self._count += 1
                at = datetime.now(UTC).astimezone()
                self._letters.appendleft(Letter(at, company, channel, letter_to, text, is_refused))
            number = self._count
        if is_refused:
            return HTTPStatus.SERVICE_UNAVAILABLE, {"ok": False, "error": "service_unavailable"}
        if method == "enqueue":
            return HTTPStatus.ACCEPTED, {"status": "success", "message": "Event processed", "dedup_key": "demo"}
        return HTTPStatus.OK, {"ok": True, "channel": "D0DEMO", "ts": f"{number}.000100"}

    def page(self) -> bytes:
        """Return what came last, for people."""
        with self._lock:
            letters, count = list(self._letters)[:SHOWN_COUNT_MAX], self._count
        return _PAGE.render(letters=letters, count=count).encode()

    def letters(self) -> bytes:
        """Return what came last, newest first, as JSON."""
        with self._lock:
            letters = list(self._letters)
        return orjson.dumps([asdict(letter) for letter in letters])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _read(body: Any) -> tuple[str, str]:
    """Return to whom a message goes, and what it says, in whichever of the providers' forms."""
    if not isinstance(body, dict):
        return "", ""
    data = body.get("data")
    if isinstance(data, dict):
        return str(data.get("address") or ""), str(data.get("text") or "")
    payload = body.get("payload")
    if isinstance(payload, dict):
        return "", f"{body.get('event_action')}: {payload.get('summary')}"
    return str(body.get("channel") or ""), str(body.get("text") or body.get("event_action") or "")


def _handler_of(inbox: Inbox) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/":
                self._answer(HTTPStatus.OK, "text/html; charset=utf-8", inbox.page())
            elif self.path == "/letters":
                self._answer(HTTPStatus.OK, "application/json", inbox.letters())
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"There is nothing here.\n")

        def do_POST(self) -> None:
            parts = self.path.strip("/").split("/")
            length = self.headers.get("content-length", "")
            if len(parts) < 2 or not length.isdecimal() or int(length) > BODY_BYTES_MAX:
                self.close_connection = True
                self._answer(HTTPStatus.BAD_REQUEST, "text/plain", b"This is no message of a channel.\n")
                return
            try:
                body = orjson.loads(self.rfile.read(int(length)))
            except orjson.JSONDecodeError:
                body = None
            status, answer = inbox.take(parts[0], parts[1], parts[-1], body)
            self._answer(status, "application/json", orjson.dumps(answer))

        def _answer(self, status: int, media_type: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing: the page shows it."""

    return Handler
