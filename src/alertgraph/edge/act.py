"""Signed links at /act/{token}: a page that names the alert and asks; only its button acts.

Mail scanners and link previews fetch every link they see, so that a GET may never do anything. The page is for
somebody who was woken by a phone: no script, nothing to load, one large button, dark where the phone is dark.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from http import HTTPStatus
from urllib.parse import parse_qs

from jinja2 import Environment, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from alertgraph.core.action_token import ChatAction, TokenExpiredError, TokenForgedError, read
from alertgraph.core.alert import Alert, AlertStatus
from alertgraph.core.errors import (
    AccessDeniedError,
    AlertGraphError,
    DependencyError,
    NotFoundError,
    RateLimitedError,
)
from alertgraph.core.tenant import Tenant
from alertgraph.edge.bodies import METHODS, BodyError, error_headers, read_body
from alertgraph.edge.gate import Gate
from alertgraph.services.chat_actions import Asked, ChatActionService
from alertgraph.services.ports import Dice

ACT_PATH = "/act/{token}"
FORM_BYTES_MAX = 4096
DESCRIPTION_SHOWN_MAX = 600
_ONCE = re.compile(r"[0-9a-f]{32}")
_NAME_OF: Mapping[ChatAction, str] = {
    ChatAction.ACKNOWLEDGE: "Acknowledge",
    ChatAction.ESCALATE: "Escalate",
    ChatAction.RESOLVE: "Resolve",
    ChatAction.SILENCE_1H: "Silence for 1 hour",
}
_MEANING_OF: Mapping[ChatAction, str] = {
    ChatAction.ACKNOWLEDGE: "You take it, and nobody else is woken for it.",
    ChatAction.ESCALATE: "The next level is woken now.",
    ChatAction.RESOLVE: "It is over; nobody is woken for it any more.",
    ChatAction.SILENCE_1H: "Nobody is woken for it during the next hour.",
}

STYLE = """
:root{color-scheme:light dark;--ground:#f4f5f7;--card:#fff;--text:#15181d;--dim:#565e6b;--line:#d9dde3;
--go:#1456c4;--go-text:#fff;--critical:#b3141f;--high:#a84300;--medium:#7a5c00;--low:#1456c4;--info:#565e6b;
--good:#17693a;--bad:#b3141f}
@media (prefers-color-scheme:dark){:root{--ground:#0d0f12;--card:#171a1f;--text:#e9ebee;--dim:#a2abb8;
--line:#2c323b;--go:#8ab4ff;--go-text:#0b1220;--critical:#ff8a8f;--high:#ffab70;--medium:#e8c74a;--low:#8ab4ff;
--info:#a2abb8;--good:#6fd598;--bad:#ff8a8f}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1rem;background:var(--ground);
color:var(--text);font:1.0625rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{width:100%;max-width:32rem;background:var(--card);border:1px solid var(--line);border-radius:.75rem;
padding:1.5rem}
h1{margin:.25rem 0 1rem;font-size:1.4rem;line-height:1.3;overflow-wrap:anywhere}
p{margin:.75rem 0;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:auto 1fr;gap:.35rem 1rem;margin:1rem 0}
dt{color:var(--dim)}
dd{margin:0;overflow-wrap:anywhere}
.mark{font-weight:700;letter-spacing:.04em}
.critical{color:var(--critical)}.high{color:var(--high)}.medium{color:var(--medium)}.low{color:var(--low)}
.info{color:var(--info)}.good{color:var(--good)}.bad{color:var(--bad)}
.dim{color:var(--dim);font-size:.9375rem}
.text{white-space:pre-line}
button{width:100%;min-height:3.5rem;margin-top:.5rem;border:0;border-radius:.6rem;background:var(--go);
color:var(--go-text);font:inherit;font-size:1.2rem;font-weight:650;cursor:pointer}
button:focus-visible{outline:3px solid var(--text);outline-offset:3px}
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{{ heading }}</title>
<style>{{ style|safe }}</style>
</head>
<body>
<main>
{%- if mark %}
<div class="mark {{ mark_class }}">{{ mark }}</div>
{%- endif %}
<h1><bdi>{{ heading }}</bdi></h1>
{%- for line in lines %}
<p><bdi>{{ line }}</bdi></p>
{%- endfor %}
{%- if facts %}
<dl>
{%- for name, value in facts %}
<dt>{{ name }}</dt><dd><bdi>{{ value }}</bdi></dd>
{%- endfor %}
</dl>
{%- endif %}
{%- if text %}
<p class="text dim"><bdi>{{ text }}</bdi></p>
{%- endif %}
{%- if button %}
<form method="post">
<input type="hidden" name="once" value="{{ once }}">
<button type="submit">{{ button }}</button>
</form>
{%- endif %}
{%- if foot %}
<p class="dim"><bdi>{{ foot }}</bdi></p>
{%- endif %}
</main>
</body>
</html>
"""

_TEMPLATE = Environment(autoescape=True, undefined=StrictUndefined).from_string(_PAGE)
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    # The address is the credential: it is neither kept nor passed on.
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
}


def act_routes(gate: Gate, actions: ChatActionService, key: bytes, dice: Dice) -> list[BaseRoute]:
    """Return the route of signed links.

    Args:
        gate: For its clock and its budgets.
        actions: Carries them out.
        key: What tokens are signed with.
        dice: Tells one page from another, so that sending a page's form twice acts once.
    """
    return [Route(ACT_PATH, _Links(gate, actions, key, dice).answer, methods=METHODS)]


@dataclass(frozen=True, slots=True)
class _Page:
    """What a page shows, in this order."""

    heading: str
    mark: str = ""
    mark_class: str = ""
    lines: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    text: str = ""
    button: str = ""
    once: str = ""
    foot: str = ""

    def response(self, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
        """Return it as an answer."""
        shown = {item.name: getattr(self, item.name) for item in fields(self)}
        html = _TEMPLATE.render(style=STYLE, **shown)
        return Response(html, status, {**HEADERS, **(headers or {})}, "text/html")


class _Links:
    """Answers signed links."""

    def __init__(self, gate: Gate, actions: ChatActionService, key: bytes, dice: Dice) -> None:
        self._gate = gate
        self._actions = actions
        self._key = key
        self._dice = dice

    async def answer(self, request: Request) -> Response:
        """Answer a link: GET asks, POST acts, everything else is refused; errors are pages as well."""
        if request.method not in ("GET", "HEAD", "POST"):
            page = _Page("This can't be done here", lines=("Open the link in a browser.",))
            return page.response(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "GET, HEAD, POST"})
        try:
            claim = read(request.path_params["token"], self._key, self._gate.clock.now())
            asked = await self._actions.look(claim)
            await self._gate.admit(asked.principal, 1)
            if request.method == "POST":
                return await self._act(request, asked)
        except AlertGraphError as error:
            return _error_page(error)
        return self._ask(asked).response()

    def _ask(self, asked: Asked) -> _Page:
        alert, action = asked.alert, asked.claim.action
        page = _Page(
            alert.title,
            mark=alert.severity.name,
            mark_class=alert.severity.name.lower(),
            facts=_facts(asked.tenant, alert),
            text=_cut(alert.description, DESCRIPTION_SHOWN_MAX),
        )
        already = _already(alert, action)
        if already is not None:
            return replace(page, lines=(already,))
        return replace(
            page,
            lines=(_MEANING_OF[action],),
            button=_NAME_OF[action],
            once=f"{self._dice.bits(128):032x}",
            foot=f"As {asked.principal.actor.name}. Nothing was done so far.",
        )

    async def _act(self, request: Request, asked: Asked) -> Response:
        form = parse_qs((await read_body(request, FORM_BYTES_MAX)).decode("utf-8", "replace"))
        once = form.get("once", [""])[0]
        # A form that is sent twice, by a nervous thumb or a reload, acts once.
        told = await self._actions.carry_out(asked, f"act:{once}" if _ONCE.fullmatch(once) else None)
        page = _Page(
            told.sentence,
            mark="DONE" if told.done else "NOT DONE",
            mark_class="good" if told.done else "bad",
            facts=_facts(asked.tenant, told.alert),
            foot=f"As {asked.principal.actor.name}. You can close this page.",
        )
        return page.response(HTTPStatus.OK if told.done else HTTPStatus.CONFLICT)


def _already(alert: Alert, action: ChatAction) -> str | None:
    """Return why there is nothing left to do; None where there is."""
    if not alert.is_open:
        by = f", by {alert.resolved_by.name}" if alert.resolved_by is not None else ""
        return f"It is resolved already{by}: there is nothing to do."
    if action is ChatAction.ACKNOWLEDGE and alert.status is AlertStatus.ACKNOWLEDGED:
        by = f", by {alert.acknowledged_by.name}" if alert.acknowledged_by is not None else ""
        return f"It is acknowledged already{by}: there is nothing to do."
    return None


def _facts(tenant: Tenant, alert: Alert) -> tuple[tuple[str, str], ...]:
    facts = [
        ("Status", alert.status.name.capitalize()),
        ("Since", f"{alert.triggered_at:%Y-%m-%d %H:%M} UTC"),
    ]
    if alert.monitored_service is not None:
        facts.insert(0, ("Service", alert.monitored_service))
    if alert.escalation_level:
        facts.append(("Level", str(alert.escalation_level)))
    facts.append(("Tenant", tenant.name))
    return tuple(facts)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _error_page(error: AlertGraphError) -> Response:
    """Return what to tell somebody whose link does nothing, and what HTTP calls it."""
    match error:
        case TokenExpiredError():
            status, heading = HTTPStatus.GONE, "This link has expired"
        case TokenForgedError():
            status, heading = HTTPStatus.NOT_FOUND, "This link is not valid"
        case NotFoundError():
            status, heading = HTTPStatus.NOT_FOUND, "There is no such alert any more"
        case AccessDeniedError():
            status, heading = HTTPStatus.FORBIDDEN, "This link may not do that any more"
        case RateLimitedError():
            status, heading = HTTPStatus.TOO_MANY_REQUESTS, "Too many requests"
        case DependencyError():
            status, heading = HTTPStatus.SERVICE_UNAVAILABLE, "Not available at the moment"
        case BodyError():
            status, heading = error.status, "This request can't be read"
        case _:
            status, heading = HTTPStatus.CONFLICT, "This can't be done"
    lines: tuple[str, ...] = (error.message,)
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        # The page of an error has no button: what was pressed may have been done, and a reload is safe.
        lines = (error.message, "Reload this page to try again.")
    headers = {name: value for name, value in error_headers(error).items() if name != "WWW-Authenticate"}
    return _Page(heading, mark="ERROR", mark_class="bad", lines=lines).response(status, headers)
