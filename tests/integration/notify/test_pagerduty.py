"""PagerDuty events, held against the documented form and against PagerDuty's own client."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from pagerduty import EventsApiV2Client

from alertgraph.core.alert import Link
from alertgraph.core.channel import Channel, ChannelKind, PagerDutyConfig
from alertgraph.core.delivery import Purpose
from alertgraph.core.ids import NodeKind, encode_id
from alertgraph.core.message import Message, SendResult
from alertgraph.core.severity import Severity
from alertgraph.notify.guard import Guard
from alertgraph.notify.http import HttpPoster
from alertgraph.notify.pagerduty import EVENT_BYTES_MAX, EVENT_COUNT_MAX, PagerDutyAdapter
from tests.factories import an_alert, an_id
from tests.integration.notify.messages import (
    LINK,
    a_bundle,
    a_channel,
    a_huge_alert,
    a_message,
    a_test_message,
    an_update,
)
from tests.integration.notify.provider import (
    Play,
    Provider,
    Received,
    Reply,
    answers,
    certificate,
    checks,
    hangs,
    provider,
    resets,
)
from tests.virtual import VirtualClock

ROUTING_KEY = "R0UT1NGKEY" + "0" * 22
SECRETS = {"routingKey": ROUTING_KEY}


class PagerDuty:
    """Answers as the Events API v2 does, and keeps which alerts are open in which state."""

    def __init__(self) -> None:
        self.alerts: dict[str, str] = {}
        self.events: list[dict[str, Any]] = []

    def __call__(self, received: Received) -> Reply:
        problems = self._problems(received)
        if problems:
            return Reply.of_json(
                400, {"status": "invalid event", "message": "Event object is invalid", "errors": problems}
            )
        event = received.json
        self.events.append(event)
        key = event["dedup_key"]
        if event["event_action"] == "trigger":
            self.alerts.setdefault(key, "triggered")
        elif key in self.alerts:
            self.alerts[key] = event["event_action"] + "d"
            if event["event_action"] == "resolve":
                del self.alerts[key]
        return Reply.of_json(202, {"status": "success", "message": "Event processed", "dedup_key": key})

    def _problems(self, received: Received) -> list[str]:
        if (received.method, received.target) != ("POST", "/v2/enqueue"):
            return [f"there is no {received.target}"]
        if received.headers.get("content-type") != "application/json":
            return ["content type"]
        if len(received.body) > 512 * 1024:
            return ["length of the event is larger than 512 KB"]
        event = received.json
        problems = []
        if not re.fullmatch(r"[A-Za-z0-9]{32}", event.get("routing_key", "")):
            problems.append(f"'routing_key' {event.get('routing_key')} is invalid")
        if event.get("event_action") not in ("trigger", "acknowledge", "resolve"):
            problems.append("'event_action' is missing or invalid")
        if not 0 < len(event.get("dedup_key", "")) <= 255:
            problems.append("'dedup_key' is too long or missing")
        known = {"routing_key", "event_action", "dedup_key", "payload", "client", "client_url", "links", "images"}
        problems += [f"unknown field {name}" for name in set(event) - known]
        if event.get("event_action") == "trigger":
            problems += self._problems_of_payload(event.get("payload", {}))
        problems += [f"link without href: {link}" for link in event.get("links", []) if not link.get("href")]
        return problems

    def _problems_of_payload(self, payload: dict[str, Any]) -> list[str]:
        problems = []
        if not 0 < len(payload.get("summary", "")) <= 1024:
            problems.append("'payload.summary' is missing or too long")
        if not payload.get("source"):
            problems.append("'payload.source' is missing or blank")
        if payload.get("severity") not in ("critical", "error", "warning", "info"):
            problems.append("'payload.severity' is invalid")
        try:
            datetime.fromisoformat(payload.get("timestamp", "2026-01-01T00:00:00Z"))
        except ValueError:
            problems.append("'payload.timestamp' is invalid")
        if not isinstance(payload.get("custom_details", {}), dict):
            problems.append("'payload.custom_details' is no object")
        known = {"summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details"}
        return problems + [f"unknown field payload.{name}" for name in set(payload) - known]


@pytest.fixture
async def poster() -> AsyncIterator[HttpPoster]:
    poster = HttpPoster(Guard(allow_private=True), VirtualClock(), timeout=timedelta(seconds=5))
    yield poster
    await poster.aclose()


@pytest.fixture
def adapter(poster: HttpPoster) -> PagerDutyAdapter:
    return PagerDutyAdapter(poster)


def _channel(url: str, **fields: Any) -> Channel:
    return a_channel(ChannelKind.PAGERDUTY, PagerDutyConfig("0000", url), **fields)


async def _send(
    adapter: PagerDutyAdapter, *messages: Message, **fields: Any
) -> tuple[PagerDuty, list[SendResult]]:
    """Send messages one after the other to a PagerDuty of their own."""
    pagerduty = PagerDuty()
    async with provider(checks(pagerduty)) as server:
        return pagerduty, [
            await adapter.send(_channel(server.url, **fields), SECRETS, None, message) for message in messages
        ]


def _key(number: int = 1) -> str:
    return encode_id(NodeKind.ALERT, an_id(number))


async def test_a_page_triggers_an_alert_under_our_id(adapter: PagerDutyAdapter) -> None:
    alert = an_alert(links=(Link("https://r.example.com/", "Runbook"),), annotations={"value": 2.4})

    pagerduty, results = await _send(adapter, a_message(alert))

    assert results == [
        SendResult(delivered=True, status_code=202, receipt=orjson.dumps({"dedupKey": _key()}).decode())
    ]
    assert pagerduty.alerts == {_key(): "triggered"}
    event = pagerduty.events[0]
    assert event["routing_key"] == ROUTING_KEY
    assert event["client_url"] == LINK
    assert event["links"] == [
        {"href": LINK, "text": "The alert in alertgraph"},
        {"href": "https://r.example.com/", "text": "Runbook"},
    ]
    payload = event["payload"]
    assert payload["summary"] == "[HIGH] High latency (checkout)"
    assert payload["source"] == payload["component"] == "checkout"
    assert payload["class"] == "HighLatency"
    assert payload["timestamp"] == "2026-11-23T12:00:00Z"
    assert payload["custom_details"]["labels"] == dict(alert.labels)
    assert payload["custom_details"]["annotations"] == {"value": 2.4}


async def test_what_our_client_sends_is_what_theirs_sends(adapter: PagerDutyAdapter, tmp_path: Path) -> None:
    """The `pagerduty` client builds the same events from the same facts, over real TLS."""
    server_tls, client_tls = certificate(tmp_path, "localhost")
    pagerduty = PagerDuty()
    ours = [a_message(), an_update("ACKNOWLEDGED"), an_update("RESOLVED")]
    async with Provider(checks(pagerduty), tls=server_tls) as server:
        poster = HttpPoster(Guard(allow_private=True), VirtualClock(), ssl_context=client_tls)
        for message in ours:
            result = await PagerDutyAdapter(poster).send(_channel(server.url), SECRETS, None, message)
            assert result.delivered
        await poster.aclose()
        sent = list(pagerduty.events)

        def theirs() -> list[str]:
            with EventsApiV2Client(ROUTING_KEY, base_url=server.url, verify=client_tls) as client:
                trigger = {name: sent[0][name] for name in ("payload", "links", "client", "client_url")}
                return [
                    client.send_event("trigger", dedup_key=_key(), **trigger),
                    client.acknowledge(_key()),
                    client.resolve(_key()),
                ]

        keys = await asyncio.to_thread(theirs)

    assert keys == [_key()] * 3
    assert pagerduty.events[3:] == sent


async def test_their_client_and_ours_meet_at_the_same_alert(adapter: PagerDutyAdapter, tmp_path: Path) -> None:
    """An alert that somebody else triggers by our key is acknowledged by our update."""
    server_tls, client_tls = certificate(tmp_path, "localhost")
    pagerduty = PagerDuty()
    async with Provider(checks(pagerduty), tls=server_tls) as server:

        def trigger() -> str:
            with EventsApiV2Client(ROUTING_KEY, base_url=server.url, verify=client_tls) as client:
                return client.trigger("by hand", "checkout", dedup_key=_key(), severity="error")

        await asyncio.to_thread(trigger)
        poster = HttpPoster(Guard(allow_private=True), VirtualClock(), ssl_context=client_tls)
        await PagerDutyAdapter(poster).send(_channel(server.url), SECRETS, None, an_update("ACKNOWLEDGED"))
        await poster.aclose()

    assert pagerduty.alerts == {_key(): "acknowledged"}


@pytest.mark.parametrize(
    ("severity", "theirs"),
    [
        (Severity.CRITICAL, "critical"),
        (Severity.HIGH, "error"),
        (Severity.MEDIUM, "warning"),
        (Severity.LOW, "info"),
        (Severity.INFO, "info"),
    ],
)
async def test_each_severity_has_one_of_theirs(adapter: PagerDutyAdapter, severity: Severity, theirs: str) -> None:
    pagerduty, _ = await _send(adapter, a_message(an_alert(severity=severity)))

    assert pagerduty.events[0]["payload"]["severity"] == theirs


async def test_an_alert_s_life_is_followed(adapter: PagerDutyAdapter) -> None:
    changes = ("ACKNOWLEDGED", "UNACKNOWLEDGED", "ESCALATED", "UPDATED", "RESOLVED", "REOPENED")

    pagerduty, results = await _send(adapter, a_message(), *map(an_update, changes))

    assert all(result.delivered for result in results)
    actions = [event["event_action"] for event in pagerduty.events]
    assert actions == ["trigger", "acknowledge", "trigger", "resolve", "trigger"]
    assert {event["dedup_key"] for event in pagerduty.events} == {_key()}
    assert pagerduty.alerts == {_key(): "triggered"}


async def test_an_assignment_is_a_trigger_too(adapter: PagerDutyAdapter) -> None:
    pagerduty, _ = await _send(adapter, a_message(purpose=Purpose.ASSIGNMENT))

    assert pagerduty.alerts == {_key(): "triggered"}


async def test_a_bundle_is_one_alert_each(adapter: PagerDutyAdapter) -> None:
    message = a_bundle(12)

    pagerduty, (result,) = await _send(adapter, message)

    assert result.delivered
    assert pagerduty.alerts == {_key(number): "triggered" for number in range(1, 13)}
    assert pagerduty.events[0]["dedup_key"] == _key(1)
    assert [event["payload"]["summary"] for event in pagerduty.events][:2] == [
        "[HIGH] Disk 0 is full (checkout)",
        "[HIGH] Disk 1 is full (checkout)",
    ]


async def test_a_storm_beyond_their_rate_ends_in_one_event_that_names_the_rest(adapter: PagerDutyAdapter) -> None:
    message = a_bundle(EVENT_COUNT_MAX + 900)

    pagerduty, (result,) = await _send(adapter, message)

    assert result.delivered
    assert len(pagerduty.events) == EVENT_COUNT_MAX + 1
    rest = next(event for event in pagerduty.events if event["dedup_key"].startswith("dlv_"))
    assert rest["payload"]["summary"] == "[HIGH] 900 further alerts of acme"
    named = {event["dedup_key"] for event in pagerduty.events} | set(rest["payload"]["custom_details"])
    assert {_key(number) for number in range(1, EVENT_COUNT_MAX + 901)} <= named


async def test_a_bundle_that_breaks_off_is_repeated_and_no_alert_is_doubled(adapter: PagerDutyAdapter) -> None:
    pagerduty = PagerDuty()
    good = checks(pagerduty)
    async with provider(good, good, good, answers(429, Retry_After="2"), good) as server:
        first = await adapter.send(_channel(server.url), SECRETS, None, a_bundle(12))
        taken = len(server.received)
        second = await adapter.send(_channel(server.url), SECRETS, None, a_bundle(12))

    assert not first.delivered
    assert first.retryable
    assert first.retry_after == timedelta(seconds=2)
    assert taken < 12
    assert second.delivered
    assert len(pagerduty.alerts) == 12


async def test_a_test_leaves_nothing_open(adapter: PagerDutyAdapter) -> None:
    pagerduty, (result,) = await _send(adapter, a_test_message())

    assert result.delivered
    assert [event["event_action"] for event in pagerduty.events] == ["trigger", "resolve"]
    assert pagerduty.events[0]["payload"]["severity"] == "info"
    assert pagerduty.alerts == {}


@pytest.mark.parametrize(
    "alert",
    [
        a_huge_alert(),
        a_huge_alert(links=tuple(Link("https://r.example.com/" + "a" * 2_000, "t" * 200) for _ in range(20))),
    ],
)
async def test_details_go_first_where_an_event_is_too_long(adapter: PagerDutyAdapter, alert: Any) -> None:
    pagerduty, (result,) = await _send(adapter, a_message(alert))

    assert result.delivered
    event = pagerduty.events[0]
    assert len(orjson.dumps(event)) <= EVENT_BYTES_MAX
    assert list(event["payload"]["custom_details"]) == ["omitted"]
    assert event["links"][0]["href"] == LINK
    assert event["payload"]["summary"].endswith("…")


async def test_the_template_makes_the_summary(adapter: PagerDutyAdapter) -> None:
    pagerduty, _ = await _send(adapter, a_message(), template="{{ service }}: {{ title }}{{ description * 1 }}")
    good, _ = await _send(adapter, a_message(), template="{{ service }}: {{ title }}")

    assert good.events[0]["payload"]["summary"] == "checkout: High latency"
    # The other one fails, and does not hold the page up.
    assert pagerduty.events[0]["payload"]["summary"] == "[HIGH] High latency (checkout)"


async def test_a_refused_key_is_told_without_naming_it(adapter: PagerDutyAdapter) -> None:
    async with provider(checks(PagerDuty())) as server:
        result = await adapter.send(_channel(server.url), {"routingKey": "wr0ngSECRET"}, None, a_message())

    assert result.status_code == 400
    assert not result.retryable
    assert "'routing_key' … is invalid" in (result.error or "")


async def test_without_a_key_nothing_is_sent(adapter: PagerDutyAdapter) -> None:
    async with provider() as server:
        result = await adapter.send(_channel(server.url), {}, None, a_message())

    assert result.error == "The channel has no routing key."
    assert server.received == []


@pytest.mark.parametrize(
    ("play", "retryable"), [(answers(429), True), (answers(500), True), (resets, True), (answers(403), False)]
)
async def test_one_attempt_is_one_request(adapter: PagerDutyAdapter, play: Play, retryable: bool) -> None:
    """Their client would try again by itself, after 429 without an end."""
    async with provider(play) as server:
        result = await adapter.send(_channel(server.url), SECRETS, None, a_message())

    assert result.retryable is retryable
    assert len(server.received) == 1


async def test_a_bundle_has_one_time_limit_for_all_of_it(poster: HttpPoster) -> None:
    pagerduty = PagerDuty()
    async with provider(checks(pagerduty), hangs) as server:
        adapter = PagerDutyAdapter(poster, timeout=timedelta(milliseconds=300))
        result = await adapter.send(_channel(server.url), SECRETS, None, a_bundle(12))

    assert result.retryable
    assert result.error == "PagerDuty did not take all events within 0.3 s."


@pytest.mark.parametrize("tail", ["", "/", "/v2/enqueue", "/v2/enqueue/"])
async def test_the_address_may_name_the_server_or_the_door(adapter: PagerDutyAdapter, tail: str) -> None:
    pagerduty = PagerDuty()
    async with provider(checks(pagerduty)) as server:
        assert (await adapter.send(_channel(server.url + tail), SECRETS, None, a_message())).delivered


def test_the_preview_shows_the_event_without_the_key(adapter: PagerDutyAdapter) -> None:
    rendered = adapter.render(_channel("https://events.example.com"), a_message())

    assert isinstance(rendered.payload, dict)
    assert rendered.payload["dedup_key"] == _key()
    assert "routing_key" not in rendered.payload
    assert rendered.text == "[HIGH] High latency (checkout)"
