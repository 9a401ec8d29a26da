"""Webhooks, held against the verifier that receivers use."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import orjson
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from alertgraph.core.channel import Channel
from alertgraph.core.delivery import Purpose
from alertgraph.core.ids import DeliveryId, NodeKind, decode_id, encode_id
from alertgraph.core.message import Message
from alertgraph.edge.clock import SystemClock
from alertgraph.notify.guard import Guard
from alertgraph.notify.http import HttpPoster
from alertgraph.notify.webhook import PAYLOAD_BYTES_MAX, WebhookAdapter
from tests.factories import T0, an_alert, an_id
from tests.integration.notify.messages import (
    ACTIONS,
    LINK,
    a_bundle,
    a_huge_alert,
    a_message,
    a_test_message,
    a_webhook,
    an_update,
)
from tests.integration.notify.provider import Play, Provider, answers, hangs, provider, resets

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
SECRETS = {"secret": SECRET}


@pytest.fixture
async def poster() -> AsyncIterator[HttpPoster]:
    poster = HttpPoster(Guard(allow_private=True), SystemClock(), timeout=timedelta(seconds=5))
    yield poster
    await poster.aclose()


@pytest.fixture
def adapter(poster: HttpPoster) -> WebhookAdapter:
    return WebhookAdapter(poster)


async def _sent(adapter: WebhookAdapter, message: Message, address: str | None = None) -> Any:
    """Return what a receiver reads of a message, after it has verified it."""
    async with provider() as server:
        result = await adapter.send(a_webhook(server.url), SECRETS, address, message)
    assert result.delivered
    return Webhook(SECRET).verify(server.last.body, dict(server.last.headers))


async def test_a_receiver_verifies_a_page_and_knows_what_it_is_about(adapter: WebhookAdapter) -> None:
    alert = an_alert(description="p99 above 2 s", annotations={"runbook": ["https://r.example.com"]})

    got = await _sent(adapter, a_message(alert))

    assert got["type"] == "alert.page"
    assert got["timestamp"] == "2026-11-23T12:00:00Z"
    data = got["data"]
    assert data["tenant"] == "acme"
    assert data["level"] == 1
    assert data["responder"] == "Ada"
    assert data["actions"] == ACTIONS
    assert data["url"] == LINK
    assert data["alertCount"] == 1
    assert data["omitted"] == []
    assert data["alerts"][0]["id"] == encode_id(NodeKind.ALERT, alert.id)
    assert data["alerts"][0]["labels"] == dict(alert.labels)
    assert data["alerts"][0]["annotations"] == {"runbook": ["https://r.example.com"]}
    assert data["alerts"][0]["monitoredService"] == "checkout"
    assert data["text"].startswith("[HIGH] High latency (checkout)\np99 above 2 s\n")


async def test_every_try_has_the_same_id_and_its_own_time(adapter: WebhookAdapter) -> None:
    message = a_message()
    async with provider(answers(503), answers(200)) as server:
        for _ in range(2):
            await adapter.send(a_webhook(server.url), SECRETS, None, message)

    ids = {received.headers["webhook-id"] for received in server.received}
    assert ids == {encode_id(NodeKind.DELIVERY, message.id)}
    assert decode_id(ids.pop()) == (NodeKind.DELIVERY, message.id)
    for received in server.received:
        Webhook(SECRET).verify(received.body, dict(received.headers))
    assert server.received[0].body == server.received[1].body


async def test_a_changed_body_or_another_secret_does_not_verify(adapter: WebhookAdapter) -> None:
    async with provider() as server:
        await adapter.send(a_webhook(server.url), SECRETS, None, a_message())

    headers = dict(server.last.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(server.last.body.replace(b"HIGH", b"INFO"), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + base64.b64encode(bytes(32)).decode()).verify(server.last.body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(server.last.body, headers | {"webhook-id": "dlv_other"})


async def test_a_clock_in_another_zone_signs_the_same_instant() -> None:
    """The library takes a wall clock for UTC's; one that is hours off would be refused by every receiver."""

    class TokyoClock(SystemClock):
        def now(self) -> datetime:
            return super().now().astimezone(timezone(timedelta(hours=9)))

    poster = HttpPoster(Guard(allow_private=True), TokyoClock())
    await _sent(WebhookAdapter(poster), a_message())
    await poster.aclose()


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (a_message(), "alert.page"),
        (a_message(purpose=Purpose.ASSIGNMENT), "alert.assigned"),
        (an_update("ACKNOWLEDGED"), "alert.acknowledged"),
        (an_update("RESOLVED"), "alert.resolved"),
        (an_update("ESCALATED"), "alert.updated"),
        (a_test_message(), "alert.test"),
        (a_message(purpose=Purpose.TEST), "alert.test"),
    ],
)
async def test_the_type_says_what_happened(adapter: WebhookAdapter, message: Message, kind: str) -> None:
    assert (await _sent(adapter, message))["type"] == kind


async def test_a_person_s_address_is_told(adapter: WebhookAdapter) -> None:
    assert (await _sent(adapter, a_message(), "+49 30 1234"))["data"]["address"] == "+49 30 1234"


async def test_the_channel_s_template_makes_the_text(adapter: WebhookAdapter) -> None:
    async with provider() as server:
        channel = a_webhook(server.url, template="{{ severity }} in {{ service }}: {{ title|upper }}")
        await adapter.send(channel, SECRETS, None, a_message())

    assert server.last.json["data"]["text"] == "HIGH in checkout: HIGH LATENCY"


async def test_a_template_that_fails_after_all_does_not_hold_a_page_up(adapter: WebhookAdapter) -> None:
    async with provider() as server:
        channel = a_webhook(server.url, template="{{ labels.alertname }} {{ labels.gone }}")
        result = await adapter.send(channel, SECRETS, None, a_message())

    assert result.delivered
    assert server.last.json["data"]["text"].startswith("[HIGH] High latency")


@pytest.mark.parametrize("name", ["Authorization", "X-Team"])
async def test_extra_headers_are_sent(adapter: WebhookAdapter, name: str) -> None:
    async with provider() as server:
        secrets = SECRETS | {"headers": orjson.dumps({name: "Bearer 123"}).decode()}
        await adapter.send(a_webhook(server.url), secrets, None, a_message())

    assert server.last.headers[name.lower()] == "Bearer 123"


@pytest.mark.parametrize(
    "name", ["webhook-id", "Webhook-Signature", "HOST", "Content-Length", "Transfer-Encoding", "content-type"]
)
async def test_extra_headers_do_not_replace_the_protocol_s(adapter: WebhookAdapter, name: str) -> None:
    async with provider() as server:
        secrets = SECRETS | {"headers": orjson.dumps({name: "1"}).decode()}
        result = await adapter.send(a_webhook(server.url), secrets, None, a_message())

    assert result.delivered
    Webhook(SECRET).verify(server.last.body, dict(server.last.headers))
    assert server.last.headers[name.lower()] != "1" if name.lower() in server.last.headers else True


@pytest.mark.parametrize(
    "secrets",
    [
        {},
        {"secret": ""},
        {"secret": "whsec_"},
        {"secret": "whsec_a"},
        SECRETS | {"headers": "not json"},
        SECRETS | {"headers": "[]"},
        SECRETS | {"headers": '{"X-Number": 1}'},
    ],
)
async def test_secrets_that_can_not_be_used_are_told_as_such(
    adapter: WebhookAdapter, secrets: dict[str, str]
) -> None:
    async with provider() as server:
        result = await adapter.send(a_webhook(server.url), secrets, None, a_message())

    assert not result.delivered
    assert not result.retryable
    assert result.error
    assert server.received == []


@pytest.mark.parametrize(
    ("play", "retryable", "gone"),
    [
        (answers(400), False, False),
        (answers(404), False, False),
        (answers(410), False, True),
        (answers(408), True, False),
        (answers(425), True, False),
        (answers(429, Retry_After="7"), True, False),
        (answers(500), True, False),
        (answers(503), True, False),
        (answers(302, Location="https://elsewhere.example.com/"), False, False),
        (resets, True, False),
    ],
)
async def test_what_comes_of_a_refusal(adapter: WebhookAdapter, play: Play, retryable: bool, gone: bool) -> None:
    async with provider(play) as server:
        result = await adapter.send(a_webhook(f"{server.url}/T0KEN?key=K3Y"), SECRETS, None, a_message())

    assert not result.delivered
    assert (result.retryable, result.gone) == (retryable, gone)
    assert result.retry_after == (timedelta(seconds=7) if result.status_code == 429 else None)
    assert "T0KEN" not in (result.error or "")
    assert "K3Y" not in (result.error or "")
    assert SECRET not in (result.error or "")


async def test_a_receiver_that_hangs_is_given_up() -> None:
    poster = HttpPoster(Guard(allow_private=True), SystemClock(), timeout=timedelta(milliseconds=200))
    async with provider(hangs) as server:
        result = await WebhookAdapter(poster).send(a_webhook(server.url), SECRETS, None, a_message())
    await poster.aclose()

    assert result.retryable
    assert result.error == "127.0.0.1 did not answer within 0.2 s."


async def test_annotations_and_descriptions_are_the_first_to_go(adapter: WebhookAdapter) -> None:
    alert = an_alert(annotations={"notes": "a" * 60_000}, description="kept")

    data = (await _sent(adapter, a_message(alert)))["data"]

    assert data["omitted"] == ["annotations"]
    assert data["alerts"][0]["description"] == "kept"
    assert "annotations" not in data["alerts"][0]

    data = (await _sent(adapter, a_message(an_alert(description="d" * 24_000))))["data"]

    assert data["omitted"] == ["annotations", "description"]
    assert data["alerts"][0]["labels"] == {"alertname": "HighLatency", "job": "api"}


@pytest.mark.parametrize(
    "message",
    [
        a_message(a_huge_alert()),
        a_message(a_huge_alert(), timeline=("x" * 500,) * 200),
        a_bundle(60),
        a_bundle(2_000, labels={}),
        a_message(*(a_huge_alert(id=an_id(index + 1)) for index in range(5))),
    ],
)
async def test_no_payload_is_longer_than_receivers_take(adapter: WebhookAdapter, message: Message) -> None:
    async with provider() as server:
        result = await adapter.send(a_webhook(server.url), SECRETS, None, message)

    assert result.delivered
    assert len(server.last.body) < PAYLOAD_BYTES_MAX
    data = server.last.json["data"]
    assert data["alertCount"] == len(message.alerts)
    assert data["alerts"][0]["id"] == encode_id(NodeKind.ALERT, message.alerts[0].id)


async def test_a_storm_names_as_many_alerts_as_fit(adapter: WebhookAdapter) -> None:
    data = (await _sent(adapter, a_bundle(2_000)))["data"]

    assert data["alertCount"] == 2_000
    assert 80 < len(data["alerts"]) < 2_000
    assert data["alerts"][0]["title"] == "Disk 0 is full"
    assert "details" in data["omitted"]


async def test_a_template_s_long_text_is_cut(adapter: WebhookAdapter) -> None:
    async with provider() as server:
        channel = a_webhook(server.url, template="{{ description }}")
        message = a_message(an_alert(description="d" * 19_990))
        result = await adapter.send(channel, SECRETS, None, message)

    assert result.delivered
    assert len(server.last.body) < PAYLOAD_BYTES_MAX
    assert server.last.json["data"]["text"].endswith("d…")


def test_the_preview_is_what_would_be_sent_but_for_address_and_signature(adapter: WebhookAdapter) -> None:
    channel: Channel = a_webhook("https://hooks.example.com/", template="{{ title }}")

    rendered = adapter.render(channel, a_message())

    assert rendered.subject is None
    assert rendered.text == "High latency"
    assert isinstance(rendered.payload, dict)
    assert rendered.payload["type"] == "alert.page"
    assert rendered.payload["data"]["address"] is None


async def test_requests_of_several_messages_share_connections(adapter: WebhookAdapter) -> None:
    async with Provider() as server:
        for index in range(3):
            message = a_message(id=DeliveryId(UUID(int=index + 1)), at=T0)
            assert (await adapter.send(a_webhook(server.url), SECRETS, None, message)).delivered

    assert server.connection_count == 1
