"""A bridge: takes what Sentry, clients of PagerDuty and Opsgenie, CloudEvents and webhooks send, and hands it on.

    BRIDGE_SECRET=… SENTRY_SECRET=… bridge.py --listen 127.0.0.1:9200

    POST /sentry                        an internal integration's webhook, signed with SENTRY_SECRET
    POST /v2/enqueue                    PagerDuty Events v2; the routing key is BRIDGE_SECRET
    POST /v2/alerts …/{alias}/close     Opsgenie's alert API; `Authorization: GenieKey BRIDGE_SECRET`
    POST /alertmanager                  Alertmanager's webhook; `Authorization: Bearer BRIDGE_SECRET`
    POST /cloudevents                   CloudEvents 1.0: structured, binary or batched; `Authorization: Bearer …`
    POST /webhook                       any JSON with a title; `Authorization: Bearer BRIDGE_SECRET`

It answers once alertgraph has the alert: who gets a 503 sends it again, and nothing is lost on the way. A key of
the role INGEST is enough; for acknowledging it needs RESPONDER.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from alertgraph_client import (
    AcknowledgeAlertsInput,
    AlertgraphClient,
    AlertsActionInput,
    AlertSelector,
    CreateAlertInput,
    LinkInput,
    Severity,
)
from alertgraph_client.base_client import AlertgraphError
from connection import client_of, fail, parser, run

BODY_BYTES_MAX = 1 << 20
# What senders call them; what nobody knows is HIGH, so that a new word pages rather than hides.
SEVERITIES = {
    **dict.fromkeys(("critical", "fatal", "emergency", "p1", "page"), Severity.CRITICAL),
    **dict.fromkeys(("error", "high", "major", "p2"), Severity.HIGH),
    **dict.fromkeys(("warning", "warn", "medium", "minor", "p3"), Severity.MEDIUM),
    **dict.fromkeys(("low", "p4"), Severity.LOW),
    **dict.fromkeys(("info", "debug", "notice", "p5"), Severity.INFO),
}
OVER = {"resolved", "resolve", "ok", "close", "closed", "recovered", "recovery"}


class RefusedError(Exception):
    """What came can't be handed on, or from somebody unknown."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Told:
    """What a sender said of one alert: that it is there, that somebody has it, or that it is over."""

    key: str
    what: str = "trigger"
    title: str = ""
    severity: Severity = Severity.HIGH
    source: str = "bridge"
    service: str | None = None
    description: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    links: tuple[tuple[str, str], ...] = ()
    once: str | None = None


Reader = Callable[[Request, bytes], list[Told]]
Answer = Callable[[list[Told]], Response]


async def main(options: argparse.Namespace) -> int:
    """Serve until somebody ends it; return the exit status."""
    async with client_of(options) as client:
        host, _, port = options.listen.rpartition(":")
        await uvicorn.Server(uvicorn.Config(application(client), host, int(port), log_level="warning")).serve()
    return 0


def application(client: AlertgraphClient) -> Starlette:
    """Return the bridge as an application."""
    secret, sentry = os.environ.get("BRIDGE_SECRET", ""), os.environ.get("SENTRY_SECRET", "")
    if not (secret or sentry):
        fail("set BRIDGE_SECRET, SENTRY_SECRET or both: else anybody could raise alerts", 2)

    def route(path: str, read: Reader, answer: Answer = taken) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                body = await request.body()
                if len(body) > BODY_BYTES_MAX:
                    raise RefusedError(413, "The body is too long.")
                told = read(request, body)
                for each in told:
                    await hand_on(client, each)
                return answer(told)
            except RefusedError as error:
                return JSONResponse({"status": "invalid event", "message": str(error)}, error.status)
            except AlertgraphError as error:
                status = 400 if error.is_final else 503
                return JSONResponse({"status": "error", "message": str(error)}, status, {"Retry-After": "5"})

        return Route(path, endpoint, methods=["POST"])

    return Starlette(
        routes=[
            route("/sentry", lambda request, body: from_sentry(request, body, sentry)),
            route("/v2/enqueue", lambda request, body: from_pagerduty(request, body, secret), pagerduty_answer),
            route("/v2/alerts", lambda request, body: from_opsgenie(request, body, secret), opsgenie_answer),
            route(
                "/v2/alerts/{alias}/{action}",
                lambda request, body: from_opsgenie(request, body, secret),
                opsgenie_answer,
            ),
            route("/alertmanager", lambda request, body: from_alertmanager(request, body, secret)),
            route("/cloudevents", lambda request, body: from_cloudevents(request, body, secret)),
            route("/webhook", lambda request, body: from_webhook(request, body, secret)),
        ]
    )


async def hand_on(client: AlertgraphClient, told: Told) -> None:
    """Tell alertgraph; returns once it is kept.

    Raises:
        AlertgraphError: It was refused, or nobody is there.
    """
    if told.what != "trigger":
        selected = AlertSelector(dedup_keys=[told.key])
        if told.what == "resolve":
            await client.resolve_alerts(AlertsActionInput(select=selected))
        else:
            await client.acknowledge_alerts(AcknowledgeAlertsInput(select=selected))
        return
    more: dict[str, Any] = {"description": told.description, "monitored_service": told.service}
    more["idempotency_key"] = told.once
    wanted = CreateAlertInput(
        title=told.title[:1024],
        severity=told.severity,
        source=told.source,
        dedup_key=told.key,
        labels={name: str(value)[:1024] for name, value in told.labels.items() if value not in (None, "")},
        annotations=dict(told.details),
        links=[LinkInput(href=href, text=text) for href, text in told.links if href.startswith("http")][:10],
        **{name: value for name, value in more.items() if value},
    )
    payload = (await client.create_alert(wanted)).create_alert
    if payload.errors:
        raise RefusedError(400, payload.errors[0].message)


# ------------------------------------------------------------------------------------------- Sentry


def from_sentry(request: Request, body: bytes, secret: str) -> list[Told]:
    """Return what a webhook of an internal integration says; its signature is over the body as it came."""
    signed = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if not secret or not hmac.compare_digest(signed, request.headers.get("sentry-hook-signature", "")):
        raise RefusedError(401, "The signature is wrong.")
    value = object_of(body)
    data, action = value.get("data", {}), str(value.get("action", ""))
    match request.headers.get("sentry-hook-resource"):
        case "event_alert":
            event = data.get("event", {})
            return [
                Told(
                    f"sentry:{event.get('issue_id')}",
                    title=str(event.get("title") or data.get("triggered_rule") or "Sentry"),
                    severity=severity_of(event.get("level")),
                    source="sentry",
                    service=str(event.get("project_slug") or event.get("project") or "") or None,
                    labels={"rule": data.get("triggered_rule", ""), "environment": tag(event, "environment")},
                    links=((str(event.get("web_url", "")), "Sentry"),),
                )
            ]
        case "metric_alert":
            alert = data.get("metric_alert", {})
            return [
                Told(
                    f"sentry:metric:{alert.get('id')}",
                    "resolve" if action == "resolved" else "trigger",
                    title=str(data.get("description_title") or "Metric alert"),
                    description=str(data.get("description_text") or "") or None,
                    severity=severity_of(action),
                    source="sentry",
                    links=((str(data.get("web_url", "")), "Sentry"),),
                )
            ]
        case "issue" if action == "resolved":
            return [Told(f"sentry:{data.get('issue', {}).get('id')}", "resolve")]
        case _:
            # Installations, comments and the like are no alerts; Sentry wants to hear that they came.
            return []


def tag(event: Mapping[str, Any], name: str) -> str:
    """Return a tag of an event, which has them as pairs; empty where it has none."""
    return next((str(pair[1]) for pair in event.get("tags") or () if len(pair) == 2 and pair[0] == name), "")


# -------------------------------------------------------------------------------- PagerDuty, Opsgenie


def from_pagerduty(_: Request, body: bytes, secret: str) -> list[Told]:
    """Return what an event of PagerDuty's Events API v2 says; whoever has the routing key may send."""
    value = object_of(body)
    allow(str(value.get("routing_key", "")), secret)
    what, key = str(value.get("event_action", "")), str(value.get("dedup_key") or uuid.uuid4().hex)
    if what in ("acknowledge", "resolve"):
        return [Told(key, what)]
    payload = value.get("payload")
    if what != "trigger" or not isinstance(payload, dict) or not payload.get("summary"):
        raise RefusedError(400, "event_action is trigger, acknowledge or resolve; trigger has payload.summary.")
    names = ("source", "component", "group", "class")
    links = tuple(
        (str(link.get("href", "")), str(link.get("text") or "Link")) for link in value.get("links") or ()
    )
    details = payload.get("custom_details")
    return [
        Told(
            key,
            title=str(payload["summary"]),
            severity=severity_of(payload.get("severity")),
            source=str(value.get("client") or "pagerduty"),
            service=str(payload.get("component") or payload.get("source") or "") or None,
            labels={name: payload.get(name, "") for name in names},
            details=details if isinstance(details, dict) else {},
            links=links,
        )
    ]


def pagerduty_answer(told: list[Told]) -> Response:
    """Answer as PagerDuty does."""
    return JSONResponse({"status": "success", "message": "Event processed", "dedup_key": told[0].key}, 202)


def from_opsgenie(request: Request, body: bytes, secret: str) -> list[Told]:
    """Return what a call of Opsgenie's alert API says."""
    allow(request.headers.get("authorization", "").removeprefix("GenieKey "), secret)
    if "alias" in request.path_params:
        what = {"close": "resolve", "acknowledge": "acknowledge"}.get(request.path_params["action"])
        if what is None:
            raise RefusedError(404, "Only close and acknowledge are known here.")
        return [Told(request.path_params["alias"], what)]
    value = object_of(body)
    if not value.get("message"):
        raise RefusedError(422, "message is missing.")
    labels = {"entity": value.get("entity", ""), "tags": ",".join(value.get("tags") or ())}
    details = value.get("details")
    return [
        Told(
            str(value.get("alias") or uuid.uuid4()),
            title=str(value["message"]),
            description=str(value.get("description") or "") or None,
            severity=severity_of(value.get("priority") or "P3"),
            source=str(value.get("source") or "opsgenie"),
            service=str(value.get("entity") or "") or None,
            labels=labels,
            details=details if isinstance(details, dict) else {},
        )
    ]


def opsgenie_answer(_: list[Told]) -> Response:
    """Answer as Opsgenie does."""
    return JSONResponse({"result": "Request will be processed", "took": 0.0, "requestId": str(uuid.uuid4())}, 202)


# ---------------------------------------------------------------- Alertmanager, CloudEvents, webhooks


def from_alertmanager(request: Request, body: bytes, secret: str) -> list[Told]:
    """Return what each alert of a notification says, whatever group it came in."""
    allow(request.headers.get("authorization", "").removeprefix("Bearer "), secret)
    alerts = object_of(body).get("alerts")
    if not isinstance(alerts, list) or not all(isinstance(alert, dict) for alert in alerts):
        raise RefusedError(400, "alerts is a list of objects.")
    return [from_notified(alert) for alert in alerts]


def from_notified(alert: Mapping[str, Any]) -> Told:
    """Return what one alert of a notification says; its fingerprint tells its labels apart from all others."""
    labels, annotations = alert.get("labels") or {}, alert.get("annotations") or {}
    name = str(labels.get("alertname") or "Alert")
    return Told(
        f"alertmanager:{alert.get('fingerprint') or name}",
        "resolve" if alert.get("status") == "resolved" else "trigger",
        title=str(annotations.get("summary") or name),
        severity=severity_of(labels.get("severity") or "warning"),
        source="alertmanager",
        service=str(labels.get("service") or labels.get("job") or "") or None,
        description=str(annotations.get("description") or annotations.get("message") or "") or None,
        labels=labels,
        details=annotations,
        links=(
            (str(alert.get("generatorURL", "")), "Source"),
            (str(annotations.get("runbook_url", "")), "Runbook"),
        ),
    )


def from_cloudevents(request: Request, body: bytes, secret: str) -> list[Told]:
    """Return what one event says, or each of a batch."""
    allow(request.headers.get("authorization", "").removeprefix("Bearer "), secret)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "application/cloudevents-batch+json":
        return [from_cloudevent(event) for event in json_of(body)]
    if media_type == "application/cloudevents+json":
        return [from_cloudevent(object_of(body))]
    attributes: dict[str, Any] = {
        name.removeprefix("ce-"): unquote(value)
        for name, value in request.headers.items()
        if name.startswith("ce-")
    }
    return [from_cloudevent({**attributes, "data": object_of(body) if body else {}})]


def from_cloudevent(event: Any) -> Told:
    """Return what one event says: source and subject are the thing, its type what is wrong with it."""
    if not isinstance(event, dict) or event.get("specversion") != "1.0":
        raise RefusedError(400, "specversion is 1.0.")
    missing = [name for name in ("id", "source", "type") if not event.get(name)]
    if missing:
        raise RefusedError(400, f"{missing[0]} is missing.")
    data = event["data"] if isinstance(event.get("data"), dict) else {}
    told = from_object(data, str(event["type"]))
    return Told(
        f"{event['source']}|{event.get('subject', '')}|{told.key}",
        told.what,
        title=told.title,
        severity=told.severity,
        source=str(event["source"])[:255],
        service=told.service,
        description=told.description,
        labels={**told.labels, "type": str(event["type"]), "subject": str(event.get("subject", ""))},
        details=told.details,
        # The same source and id are the same event, sent again.
        once=hashlib.sha256(f"{event['source']}\0{event['id']}".encode()).hexdigest(),
    )


def from_webhook(request: Request, body: bytes, secret: str) -> list[Told]:
    """Return what any JSON object says by the names that most senders use."""
    allow(request.headers.get("authorization", "").removeprefix("Bearer "), secret)
    told = from_object(object_of(body), "")
    if not told.title:
        raise RefusedError(400, "title, summary, subject or message is missing.")
    return [told]


def from_object(value: Mapping[str, Any], kind: str) -> Told:
    """Return what an object says; its key is what it gives as one, else its kind, else its title."""

    def first(*names: str) -> str:
        return next((str(value[name]) for name in names if value.get(name) not in (None, "")), "")

    title = first("title", "summary", "subject", "name", "message") or kind
    labels = value.get("labels")
    return Told(
        first("dedupKey", "dedup_key", "key", "alias", "fingerprint", "incident_key") or kind or title,
        "resolve" if first("status", "state", "action").lower() in OVER else "trigger",
        title=title,
        description=first("description", "details", "text") or None,
        severity=severity_of(first("severity", "level", "priority")),
        source=first("source") or "webhook",
        service=first("service", "monitoredService", "component") or None,
        labels=labels if isinstance(labels, dict) else {},
        details={name: each for name, each in value.items() if name != "labels"},
        links=((first("url", "link"), "Source"),),
    )


# --------------------------------------------------------------------------------------------- common


def taken(told: list[Told]) -> Response:
    """Answer that all of it was taken."""
    return JSONResponse({"status": "ok", "count": len(told)}, 202)


def allow(given: str, secret: str) -> None:
    """Let pass who knows the secret."""
    if not secret or not hmac.compare_digest(given.encode(), secret.encode()):
        raise RefusedError(401, "The key is wrong.")


def severity_of(name: Any) -> Severity:
    """Return how bad a sender's word is."""
    return SEVERITIES.get(str(name or "").lower(), Severity.HIGH)


def json_of(body: bytes) -> Any:
    """Return what a body says."""
    try:
        return json.loads(body)
    except ValueError as error:
        raise RefusedError(400, "The body is no JSON.") from error


def object_of(body: bytes) -> dict[str, Any]:
    """Return the object that a body is."""
    value = json_of(body)
    if not isinstance(value, dict):
        raise RefusedError(400, "The body is no JSON object.")
    return value


if __name__ == "__main__":
    asked = parser(__doc__ or "")
    asked.add_argument("--listen", metavar="HOST:PORT", default="127.0.0.1:9200", help="[127.0.0.1:9200]")
    run(main(asked.parse_args()))
