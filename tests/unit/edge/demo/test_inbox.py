"""The demo's inbox answers as providers do, and shows what came without running any of it."""

from __future__ import annotations

from datetime import timedelta
from http.client import HTTPConnection
from typing import Any

import httpx2
import pytest

from alertgraph.edge.demo.inbox import KEPT_COUNT_MAX, Inbox


def post(inbox: Inbox, path: str, body: Any) -> httpx2.Response:
    return httpx2.post(f"{inbox.url}/{path}", json=body, trust_env=False, verify=False)


@pytest.mark.parametrize(
    ("path", "body", "status", "to", "text"),
    [
        ("acme/chat/chat.postMessage", {"channel": "U1", "text": "Down"}, 200, "U1", "Down"),
        ("acme/phone", {"type": "alert.page", "data": {"address": "+1", "text": "Down"}}, 200, "+1", "Down"),
        (
            "acme/duty-manager/v2/enqueue",
            {"event_action": "trigger", "payload": {"summary": "Down"}},
            202,
            "",
            "trigger: Down",
        ),
    ],
)
def test_each_provider_is_answered_in_its_form(
    path: str, body: dict[str, Any], status: int, to: str, text: str
) -> None:
    with Inbox() as inbox:
        answer = post(inbox, path, body)
        (letter,) = httpx2.get(f"{inbox.url}/letters", trust_env=False, verify=False).json()

    assert answer.status_code == status
    assert answer.json().get("ok") is True or answer.json().get("status") == "success"
    assert (letter["to"], letter["text"], letter["company"], letter["is_refused"]) == (to, text, "acme", False)


def test_a_broken_channel_refuses_until_it_is_mended_and_others_do_not() -> None:
    with Inbox() as inbox:
        inbox.break_channel("acme", "chat", timedelta(minutes=1))
        refused = post(inbox, "acme/chat/chat.postMessage", {"text": "a"}).status_code
        others = [post(inbox, path, {"text": "b"}).status_code for path in ("acme/phone", "globex/chat")]
        inbox.break_channel("acme", "chat", timedelta(0))
        taken = post(inbox, "acme/chat/chat.postMessage", {"text": "c"}).status_code

    assert (refused, others, taken) == (503, [200, 200], 200)


def test_the_page_shows_text_as_text() -> None:
    with Inbox() as inbox:
        post(inbox, "acme/phone", {"data": {"text": "<script>alert(1)</script>", "address": None}})
        page = httpx2.get(f"{inbox.url}/", trust_env=False, verify=False)

    assert "&lt;script&gt;" in page.text
    assert "<script" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


def test_nonsense_is_refused_or_kept_as_nothing() -> None:
    with Inbox() as inbox:
        assert post(inbox, "acme", {}).status_code == 400
        assert post(inbox, "acme/phone", [1]).status_code == 200
        connection = HTTPConnection(inbox.url.removeprefix("http://"), timeout=10)
        connection.request("POST", "/acme/phone", headers={"Content-Length": "9999999"})
        assert connection.getresponse().status == 400
        connection.close()
        assert httpx2.get(f"{inbox.url}/etc/passwd", trust_env=False, verify=False).status_code == 404


def test_it_remembers_the_last_only() -> None:
    inbox = Inbox()
    for number in range(KEPT_COUNT_MAX + 5):
        inbox.take("acme", "phone", "phone", {"data": {"text": str(number)}})
    with inbox:
        letters = httpx2.get(f"{inbox.url}/letters", trust_env=False, verify=False).json()

    assert len(letters) == KEPT_COUNT_MAX
    assert letters[0]["text"] == str(KEPT_COUNT_MAX + 4)
