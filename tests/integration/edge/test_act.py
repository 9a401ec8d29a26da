"""Signed links: a GET shows a page and does nothing, a POST acts, and whatever is wrong is a page that says so."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from uuid import UUID

import httpx2
import pytest

from alertgraph.core.action import Acknowledge, Resolve
from alertgraph.core.action_token import ChatAction, sign
from alertgraph.core.alert import AlertStatus
from alertgraph.core.errors import DependencyError, RateLimitedError
from alertgraph.core.event import EventKind
from alertgraph.core.ids import AlertId, ChannelId, TenantId
from alertgraph.edge.act import act_routes
from tests.acting import KEY, Acting, client
from tests.factories import DAY, MINUTE, SECOND

BAD = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


@pytest.fixture
async def acting() -> Acting:
    return await Acting().set_up()


@pytest.fixture
async def http(acting: Acting) -> AsyncIterator[httpx2.AsyncClient]:
    async with client(act_routes(acting.gate, acting.actions, KEY, acting.dice)) as http:
        yield http


class Page(HTMLParser):
    """What a browser finds in a page: its text, its tags, and the fields of its form."""

    VOID = frozenset({"meta", "input", "br"})

    def __init__(self, got: httpx2.Response) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.style = ""
        self._open: list[str] = []
        self.feed(got.text)
        self.close()
        assert self._open == [], "every tag is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            self.style += data
        else:
            self.text += f" {data.strip()}" if data.strip() else ""

    @property
    def form(self) -> dict[str, str]:
        """The fields that its button sends."""
        return {str(attrs["name"]): str(attrs["value"]) for tag, attrs in self.tags if tag == "input"}

    @property
    def has_button(self) -> bool:
        return any(tag == "button" for tag, _ in self.tags)


# ---------------------------------------------------------------------------------------------- asks


@pytest.mark.parametrize(
    ("action", "name"),
    [
        (ChatAction.ACKNOWLEDGE, "Acknowledge"),
        (ChatAction.ESCALATE, "Escalate"),
        (ChatAction.RESOLVE, "Resolve"),
        (ChatAction.SILENCE_1H, "Silence for 1 hour"),
    ],
)
async def test_a_link_names_the_alert_and_asks(
    http: httpx2.AsyncClient, acting: Acting, action: ChatAction, name: str
) -> None:
    got = await http.get(f"/act/{acting.token(action, responder_id=acting.ada_id)}")

    page = Page(got)
    assert got.status_code == 200
    assert got.headers["content-type"] == "text/html; charset=utf-8"
    for wanted in ("High latency", "HIGH", "checkout", "Acme", name, "As Ada."):
        assert wanted in page.text
    assert page.has_button


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("action", ChatAction)
async def test_to_fetch_a_link_never_acts(
    http: httpx2.AsyncClient, acting: Acting, method: str, action: ChatAction
) -> None:
    # As mail scanners and previews do it, several at once and with whatever they make up.
    for suffix in ("", "?once=00000000000000000000000000000000", "?confirm=1"):
        got = await http.request(method, f"/act/{acting.token(action)}{suffix}")
        assert got.status_code == 200
        assert bool(got.content) is (method == "GET")

    assert acting.events == []
    assert acting.alert.status is AlertStatus.TRIGGERED


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_do_nothing_at_all(http: httpx2.AsyncClient, acting: Acting, method: str) -> None:
    got = await http.request(method, f"/act/{acting.token()}")

    assert got.status_code == 405
    assert got.headers["allow"] == "GET, HEAD, POST"
    assert acting.events == []


async def test_a_page_runs_and_loads_nothing_and_is_kept_nowhere(http: httpx2.AsyncClient, acting: Acting) -> None:
    for got in (
        await http.get(f"/act/{acting.token()}"),
        await http.post(f"/act/{acting.token()}"),
        await http.get("/act/forged"),
    ):
        page = Page(got)
        policy = dict(part.strip().split(" ", 1) for part in got.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["frame-ancestors"] == "'none'"
        assert policy["form-action"] == "'self'"
        hashed = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
        assert policy["style-src"] == f"'sha256-{hashed}'"
        assert got.headers["cache-control"] == "no-store"
        assert got.headers["referrer-policy"] == "no-referrer"
        assert got.headers["x-frame-options"] == "DENY"
        assert got.headers["x-content-type-options"] == "nosniff"
        assert "noindex" in got.headers["x-robots-tag"]
        assert not {"script", "img", "link", "iframe", "a"} & {tag for tag, _ in page.tags}
        assert not any(name == "style" or name.startswith("on") for _, attrs in page.tags for name in attrs)
        assert "url(" not in page.style
        # Readable on a phone in the dark.
        assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags
        assert "prefers-color-scheme:dark" in page.style


async def test_an_alert_is_shown_and_not_run(http: httpx2.AsyncClient) -> None:
    acting = await Acting().set_up(title=BAD, description=BAD, monitored_service=BAD)
    async with client(act_routes(acting.gate, acting.actions, KEY, acting.dice)) as http:
        asked = await http.get(f"/act/{acting.token()}")
        done = await http.post(f"/act/{acting.token()}")

    for got in (asked, done):
        assert BAD in Page(got).text
        assert "<img" not in got.text


@pytest.mark.parametrize(
    ("meanwhile", "action", "shown", "asks"),
    [
        (Acknowledge, ChatAction.ACKNOWLEDGE, "acknowledged already, by admin key", False),
        (Acknowledge, ChatAction.RESOLVE, "Acknowledged", True),
        (Resolve, ChatAction.ACKNOWLEDGE, "resolved already, by admin key", False),
        (Resolve, ChatAction.SILENCE_1H, "resolved already, by admin key", False),
    ],
)
async def test_what_is_done_already_is_not_asked(
    http: httpx2.AsyncClient,
    acting: Acting,
    meanwhile: type[Acknowledge | Resolve],
    action: ChatAction,
    shown: str,
    asks: bool,
) -> None:
    await acting.act(meanwhile)

    page = Page(await http.get(f"/act/{acting.token(action)}"))

    assert shown in page.text
    assert page.has_button is asks


# ---------------------------------------------------------------------------------------------- acts


async def test_the_button_acts_in_the_persons_name(http: httpx2.AsyncClient, acting: Acting) -> None:
    path = f"/act/{acting.token(responder_id=acting.ada_id)}"
    asked = Page(await http.get(path))

    got = await http.post(path, data=asked.form)

    assert got.status_code == 200
    assert "Acknowledged: High latency" in Page(got).text
    (event,) = acting.events
    assert (event.kind, event.actor.name) == (EventKind.ACKNOWLEDGED, "Ada")
    assert acting.spent[-1].tenant.slug == "acme"


async def test_a_form_sent_twice_acts_once_and_a_new_page_acts_again(
    http: httpx2.AsyncClient, acting: Acting
) -> None:
    path = f"/act/{acting.token(ChatAction.ESCALATE)}"
    first, second = Page(await http.get(path)), Page(await http.get(path))
    assert re.fullmatch(r"[0-9a-f]{32}", first.form["once"])

    for page in (first, first, second):
        assert (await http.post(path, data=page.form)).status_code == 200

    assert acting.alert.escalation_level == 2


async def test_a_form_without_its_field_acts_too(http: httpx2.AsyncClient, acting: Acting) -> None:
    for content in (b"", b"once=%00", b"once=" + b"x" * 200, b"\xff\xfe", b"&&=&once"):
        got = await http.post(f"/act/{acting.token()}", content=content)
        assert got.status_code == 200

    assert [event.kind for event in acting.events] == [EventKind.ACKNOWLEDGED]


async def test_what_can_not_be_done_is_said(http: httpx2.AsyncClient, acting: Acting) -> None:
    page = Page(await http.get(f"/act/{acting.token()}"))
    await acting.act(Resolve)

    got = await http.post(f"/act/{acting.token()}", data=page.form)

    assert got.status_code == 409
    assert "NOT DONE" in Page(got).text
    assert "Resolved already, by admin key" in Page(got).text


async def test_a_body_that_is_too_long_is_refused(http: httpx2.AsyncClient, acting: Acting) -> None:
    got = await http.post(f"/act/{acting.token()}", content=b"x" * 5000)

    assert got.status_code == 413
    assert Page(got).text
    assert acting.events == []


# -------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_link_expires(http: httpx2.AsyncClient, acting: Acting, method: str) -> None:
    token = acting.token()
    acting.clock.advance(DAY - SECOND)
    assert (await http.get(f"/act/{token}")).status_code == 200
    acting.clock.advance(SECOND)

    got = await http.request(method, f"/act/{token}")

    assert got.status_code == 410
    assert "expired" in Page(got).text
    # Whose it was is not told to whoever finds it later.
    assert "High latency" not in got.text
    assert acting.events == []


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_forged_link_is_not_found(http: httpx2.AsyncClient, acting: Acting, method: str) -> None:
    token = acting.token()
    for forged in (
        "x",
        "%00",
        "%ff%fe",
        token[:-1],
        token[:20] + ("A" if token[20] != "A" else "B") + token[21:],
        token + "A",
        "A" * 5000,
        sign(acting.claim(), bytes(32)),
    ):
        got = await http.request(method, f"/act/{forged}")
        assert got.status_code == 404
        assert "not valid" in Page(got).text
    assert acting.events == []


async def test_another_tenants_link_finds_nothing_here(http: httpx2.AsyncClient, acting: Acting) -> None:
    other = TenantId(UUID(int=2))
    acting.log.tenants[other] = replace(acting.log.tenants[next(iter(acting.log.tenants))], open={}, closed={})

    # Signed by us, of a tenant that has neither this alert nor this channel.
    got = await http.post(f"/act/{acting.token(tenant_id=other)}")

    assert got.status_code == 404
    assert "High latency" not in got.text
    assert acting.events == []


async def test_a_link_to_what_is_gone_says_so(http: httpx2.AsyncClient, acting: Acting) -> None:
    gone = await http.get(f"/act/{acting.token(alert_id=AlertId(UUID(int=9)))}")
    unset = await http.post(f"/act/{acting.token(channel_id=ChannelId(UUID(int=9)))}")

    assert (gone.status_code, unset.status_code) == (404, 403)
    assert "not kept any more" in Page(gone).text
    assert "not set up any more" in Page(unset).text
    assert acting.events == []


async def test_a_store_that_is_away_and_too_many_requests_are_pages_too(
    http: httpx2.AsyncClient, acting: Acting
) -> None:
    acting.away = DependencyError("postgresql", retryable=True)
    away = await http.get(f"/act/{acting.token()}")
    acting.away, acting.refusal = None, RateLimitedError("Too many.", timedelta(seconds=7.5))
    limited = await http.post(f"/act/{acting.token()}")

    assert (away.status_code, away.headers["retry-after"]) == (503, "2")
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "8")
    for got in (away, limited):
        assert "try again" in Page(got).text
    assert acting.events == []


async def test_time_goes_on_between_the_page_and_the_button(http: httpx2.AsyncClient, acting: Acting) -> None:
    path = f"/act/{acting.token(ChatAction.SILENCE_1H)}"
    page = Page(await http.get(path))
    acting.clock.advance(5 * MINUTE)

    first = Page(await http.post(path, data=page.form))
    acting.clock.advance(MINUTE)
    second = Page(await http.post(path, data=page.form))

    assert "Silenced until 13:05 UTC" in first.text
    assert "Silenced already" in second.text
    assert len(acting.events) == 1
