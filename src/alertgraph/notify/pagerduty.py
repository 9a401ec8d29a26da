"""PagerDuty, Events API v2: each alert is one PagerDuty alert, under our id as its key.

The events are posted by our own poster rather than by the `pagerduty` client, which the tests hold them against.
That client sleeps in its thread between retries of its own, on 429 without a limit, can't be interrupted, and
connects by a client of its own, past the guard and whatever `eventsUrl` names.

A bundle sends one event for each of its alerts, worst first, since PagerDuty groups by itself, and only so an
acknowledgement or an end finds its alert there again. Beyond the number that PagerDuty takes in a minute, the rest
is named in one further event. An attempt that breaks off half-way may be repeated as a whole: the same key is the
same alert.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson

from alertgraph.core.alert import Alert
from alertgraph.core.channel import Channel, PagerDutyConfig
from alertgraph.core.delivery import Purpose
from alertgraph.core.ids import NodeKind, encode_id
from alertgraph.core.message import Message, Rendered, SendResult
from alertgraph.core.severity import Severity
from alertgraph.notify.http import HttpPoster, failed
from alertgraph.notify.templates import cut, headline, instant, public_id, render_text, send_text

EVENTS_URL = "https://events.pagerduty.com"
ENQUEUE_PATH = "/v2/enqueue"
EVENT_BYTES_MAX = 512 * 1024
SUMMARY_LENGTH_MAX = 1024
TITLE_LENGTH_MAX = 200
LINK_COUNT_MAX = 20
EVENT_COUNT_MAX = 100
CONCURRENCY_MAX = 5
# For all events of a bundle together; short of a delivery's lease.
ATTEMPT_TIMEOUT = timedelta(seconds=15)

_SEVERITIES = {
    Severity.CRITICAL: "critical",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "info",
    Severity.INFO: "info",
}
_ACTIONS = {
    "ACKNOWLEDGED": "acknowledge",
    "RESOLVED": "resolve",
    "REOPENED": "trigger",
    "UNACKNOWLEDGED": "trigger",
}


class PagerDutyAdapter:
    """Triggers, acknowledges and resolves at PagerDuty."""

    def __init__(self, poster: HttpPoster, *, timeout: timedelta = ATTEMPT_TIMEOUT) -> None:
        self._poster = poster
        self._timeout = timeout.total_seconds()

    async def send(
        self,
        channel: Channel,
        secrets: Mapping[str, str],
        address: str | None,  # noqa: ARG002 # whom PagerDuty wakes is PagerDuty's to know
        message: Message,
    ) -> SendResult:
        """Make one attempt and return what came of it."""
        routing_key = secrets.get("routingKey")
        if not routing_key:
            return failed("The channel has no routing key.")
        if message.purpose is Purpose.ALIVE:
            return failed("PagerDuty knows no beats: it would wake somebody with each of them.")
        url = _enqueue_url(channel)
        summary = send_text(channel.template, message, headline(message))
        events = list(_events(message, summary))
        if not events:
            # PagerDuty knows no other changes of an alert.
            return SendResult(delivered=True)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._post_all(url, routing_key, events)
        except TimeoutError:
            return failed(f"PagerDuty did not take all events within {self._timeout:g} s.", retryable=True)

    def render(self, channel: Channel, message: Message) -> Rendered:
        """Return what would be sent, the routing key left out; of a bundle, the first event."""
        summary = render_text(channel.template, message, headline(message))
        event = next(_events(message, summary), None)
        return Rendered(None, cut(summary, SUMMARY_LENGTH_MAX), event)

    async def _post_all(self, url: str, routing_key: str, events: Sequence[dict[str, Any]]) -> SendResult:
        # The worst alert goes alone: its answer says whether PagerDuty is there at all.
        result = await self._post(url, routing_key, events[0])
        for start in range(1, len(events), CONCURRENCY_MAX):
            if not result.delivered:
                break
            batch = events[start : start + CONCURRENCY_MAX]
            results = await asyncio.gather(*(self._post(url, routing_key, event) for event in batch))
            result = next((result for result in results if not result.delivered), result)
        return result

    async def _post(self, url: str, routing_key: str, event: dict[str, Any]) -> SendResult:
        body = orjson.dumps(fitted({"routing_key": routing_key, **event}))
        answer = await self._poster.post(url, headers={"Content-Type": "application/json"}, content=body)
        if answer.result.delivered:
            return replace(answer.result, receipt=orjson.dumps({"dedupKey": event["dedup_key"]}).decode())
        said = answer.text("errors", "message", secrets=[routing_key])
        return replace(answer.result, error=f"{answer.result.error} It says: {said}") if said else answer.result


def fitted(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event that PagerDuty takes: the details go first, then the links."""
    if len(orjson.dumps(event)) > EVENT_BYTES_MAX and "payload" in event:
        details = "The details were left out, since they are longer than PagerDuty takes."
        event = {**event, "payload": {**event["payload"], "custom_details": {"omitted": details}}}
    if len(orjson.dumps(event)) > EVENT_BYTES_MAX:
        event = {name: value for name, value in event.items() if name != "links"}
    return event


def _events(message: Message, summary: str) -> Iterator[dict[str, Any]]:
    """Yield the events of a message without the routing key, in the order in which they are to be sent."""
    match message.purpose:
        case Purpose.TEST:
            yield from _test_events(message, summary)
        case Purpose.UPDATE:
            action = _ACTIONS.get(message.change or "")
            for alert in message.alerts if action is not None else ():
                if action == "trigger":
                    yield _trigger(message, alert, summary)
                else:
                    yield {"event_action": action, "dedup_key": public_id(alert)}
        case Purpose.ALIVE:
            return
        case Purpose.PAGE | Purpose.ASSIGNMENT:
            own, others = message.alerts[:EVENT_COUNT_MAX], message.alerts[EVENT_COUNT_MAX:]
            for alert in own:
                alone = len(message.alerts) == 1
                yield _trigger(message, alert, summary if alone else headline(replace(message, alerts=(alert,))))
            if others:
                yield _rest(message, others)


def _trigger(message: Message, alert: Alert, summary: str) -> dict[str, Any]:
    links = [{"href": link.href, "text": link.text} for link in alert.links]
    if message.link is not None:
        links.insert(0, {"href": message.link, "text": "The alert in alertgraph"})
    event: dict[str, Any] = {
        "event_action": "trigger",
        "dedup_key": public_id(alert),
        "client": "alertgraph",
        "payload": {
            "summary": cut(summary, SUMMARY_LENGTH_MAX),
            "source": alert.monitored_service or alert.source,
            "severity": _SEVERITIES[alert.severity],
            "timestamp": instant(alert.triggered_at),
            "custom_details": {
                "title": alert.title,
                "description": alert.description,
                "severity": alert.severity.name,
                "source": alert.source,
                "labels": dict(alert.labels),
                "annotations": dict(alert.annotations),
                "occurrenceCount": alert.occurrence_count,
                "responder": message.responder,
                "level": message.level,
            },
        },
    }
    if alert.monitored_service:
        event["payload"]["component"] = alert.monitored_service
    if "alertname" in alert.labels:
        event["payload"]["class"] = alert.labels["alertname"]
    if message.link is not None:
        event["client_url"] = message.link
    if links:
        event["links"] = links[:LINK_COUNT_MAX]
    return event


def _rest(message: Message, others: Sequence[Alert]) -> dict[str, Any]:
    """Return the event that names the alerts beyond those with an event of their own."""
    return {
        "event_action": "trigger",
        "dedup_key": encode_id(NodeKind.DELIVERY, message.id),
        "client": "alertgraph",
        "payload": {
            "summary": f"[{others[0].severity.name}] {len(others):,} further alerts of {message.tenant}",
            "source": "alertgraph",
            "severity": _SEVERITIES[others[0].severity],
            "timestamp": instant(message.at),
            "custom_details": {
                public_id(alert): f"[{alert.severity.name}] {cut(alert.title, TITLE_LENGTH_MAX)}"
                for alert in others
            },
        },
    }


def _test_events(message: Message, summary: str) -> Iterator[dict[str, Any]]:
    """Yield an alert of its own and its end, so that nobody has to clear up after a test."""
    key = encode_id(NodeKind.DELIVERY, message.id)
    yield {
        "event_action": "trigger",
        "dedup_key": key,
        "client": "alertgraph",
        "payload": {
            "summary": cut(summary, SUMMARY_LENGTH_MAX),
            "source": "alertgraph",
            "severity": "info",
            "timestamp": instant(message.at),
        },
    }
    yield {"event_action": "resolve", "dedup_key": key}


def _enqueue_url(channel: Channel) -> str:
    assert isinstance(channel.config, PagerDutyConfig), "the adapter is chosen by the kind of the channel"
    url = (channel.config.events_url or EVENTS_URL).rstrip("/")
    return url if url.endswith(ENQUEUE_PATH) else url + ENQUEUE_PATH
