"""The OpenAPI document of the REST surface: what rest.py reads and answers, for clients and their generators."""

from __future__ import annotations

from typing import Any

from alertgraph.core.actor import ActorKind
from alertgraph.core.alert import (
    DEDUP_KEY_LENGTH_MAX,
    DESCRIPTION_LENGTH_MAX,
    HREF_LENGTH_MAX,
    LABEL_COUNT_MAX,
    LABEL_NAME_LENGTH_MAX,
    LABEL_VALUE_LENGTH_MAX,
    LINK_COUNT_MAX,
    NAME_LENGTH_MAX,
    NOTE_LENGTH_MAX,
    TITLE_LENGTH_MAX,
    AlertStatus,
    AlertVerdict,
    HoldReason,
)
from alertgraph.core.errors import ErrorCode
from alertgraph.core.severity import Severity
from alertgraph.services.alerts import BULK_COUNT_MAX, IDEMPOTENCY_KEY_LENGTH_MAX
from alertgraph.services.metric_intake import POINT_COUNT_MAX, PROBLEM_COUNT_MAX

Schema = dict[str, Any]


def openapi_document(version: str) -> Schema:
    """Return the document, OpenAPI 3.1.

    Args:
        version: Of alertgraph.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "alertgraph",
            "version": version,
            "description": (
                "Sends critical alerts and acts on them. The same services as the GraphQL API at /graphql, which "
                "can do more; names, formats and error codes are the same."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"basic": []}],
        "tags": [
            {"name": "alerts", "description": "Open and closed conditions."},
            {"name": "heartbeats", "description": "Signs of life that are missed when they stay out."},
            {"name": "metrics", "description": "Time series that anomaly rules watch."},
        ],
        "paths": {
            "/api/v1/critical-alerts": {"post": _create()},
            "/api/v1/critical-alerts/bulk": {"post": _create_many()},
            "/api/v1/critical-alerts/{id}": {"get": _read()},
            "/api/v1/critical-alerts/{id}/escalate": {"put": _escalate()},
            "/api/v1/heartbeats/{name}": {"post": _beat()},
            "/ingest/metrics": {"post": _metrics()},
            "/api/v1/openapi.json": {"get": _openapi()},
        },
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, such as ag_…"},
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "The API key as password, with any user name.",
                },
            },
            "parameters": {
                "AlertId": {
                    "name": "id",
                    "in": "path",
                    "required": True,
                    "description": "Opaque, as the alert's `id` says it.",
                    "schema": {"type": "string"},
                },
                "MonitorName": {
                    "name": "name",
                    "in": "path",
                    "required": True,
                    "description": "The monitor's, percent-encoded; one with a slash is beaten by GraphQL.",
                    "schema": {"type": "string", "minLength": 1, "maxLength": NAME_LENGTH_MAX},
                },
                "IdempotencyKey": {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "description": (
                        "The same as the field `idempotencyKey`: sent again within 24 hours it gets the first "
                        "answer again, with other contents IDEMPOTENCY_KEY_REUSED."
                    ),
                    "schema": {"type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_LENGTH_MAX},
                },
            },
            "headers": {
                "RetryAfter": {
                    "description": "Seconds to wait before the next try.",
                    "schema": {"type": "integer"},
                },
                "Location": {"description": "Where the alert can be read.", "schema": {"type": "string"}},
            },
            "responses": _refusals(),
            "schemas": _schemas(),
        },
    }


# -------------------------------------------------------------------------------------- operations


def _create() -> Schema:
    return {
        "operationId": "createAlert",
        "tags": ["alerts"],
        "summary": "Send an alert; repeats of an open one are folded into it.",
        "description": "Needs the role INGEST. An answer of success means committed.",
        "parameters": [_ref("parameters", "IdempotencyKey")],
        "requestBody": _body("CreateAlertInput"),
        "responses": {
            "201": _answer("The alert is new.", "CriticalAlert", {"Location": _ref("headers", "Location")}),
            "200": _answer(
                "It was folded into an open alert.", "CriticalAlert", {"Location": _ref("headers", "Location")}
            ),
            **_refused("400", "401", "403", "409", "413", "415", "429", "503"),
        },
    }


def _create_many() -> Schema:
    return {
        "operationId": "createAlerts",
        "tags": ["alerts"],
        "summary": f"Send up to {BULK_COUNT_MAX:,} alerts.",
        "description": (
            "Needs the role INGEST. Each alert is kept or refused by itself: the answer is 200 also where some "
            "were refused, see `errors`. A body that can't be read refuses the whole request, and nothing is "
            "stored. A header Idempotency-Key stands for a key of each alert that names none."
        ),
        "parameters": [_ref("parameters", "IdempotencyKey")],
        "requestBody": _body("CreateAlertsInput"),
        "responses": {
            "200": _answer("What became of each.", "CreateAlertsPayload"),
            **_refused("400", "401", "403", "413", "415", "429", "503"),
        },
    }


def _read() -> Schema:
    return {
        "operationId": "alert",
        "tags": ["alerts"],
        "summary": "Read an alert, open or closed.",
        "description": "Needs the role VIEWER. What the key may not see is as unknown as what does not exist.",
        "parameters": [_ref("parameters", "AlertId")],
        "responses": {
            "200": _answer("The alert.", "CriticalAlert"),
            **_refused("401", "403", "404", "429", "503"),
        },
    }


def _escalate() -> Schema:
    return {
        "operationId": "escalateAlert",
        "tags": ["alerts"],
        "summary": "Climb now, also when acknowledged.",
        "description": "Needs the role RESPONDER.",
        "parameters": [_ref("parameters", "AlertId"), _ref("parameters", "IdempotencyKey")],
        "requestBody": _body("EscalateAlertInput", required=False),
        "responses": {
            "200": _answer("The alert as it is now.", "CriticalAlert"),
            **_refused("400", "401", "403", "404", "409", "413", "415", "429", "503"),
        },
    }


def _beat() -> Schema:
    return {
        "operationId": "beat",
        "tags": ["heartbeats"],
        "summary": "Show that a sender is alive.",
        "description": (
            "Needs the role INGEST. Where the next beat stays out for longer than the monitor's interval, its "
            "alert is raised; the first beat after that resolves it. A body is not read."
        ),
        "parameters": [_ref("parameters", "MonitorName")],
        "responses": {
            "200": _answer("The beat is kept.", "HeartbeatMonitor"),
            **_refused("401", "403", "404", "429", "503"),
        },
    }


def _metrics() -> Schema:
    protobuf = "application/x-protobuf"
    body: Schema = {
        "required": True,
        "content": {
            "application/json": {"schema": _ref("schemas", "MetricsInput")},
            # Binary: what it holds is said by Prometheus' own specification.
            protobuf: {"schema": {"type": "string", "format": "binary"}},
        },
    }
    refused = _refused("400", "401", "403", "413", "415", "429", "503")
    return {
        "operationId": "sendMetrics",
        "tags": ["metrics"],
        "summary": "Send points of time series; anomaly rules watch them.",
        "description": (
            "Needs the role INGEST and a key without matchers. Prometheus remote write 1.0 and 2.0 "
            "(application/x-protobuf, compressed with snappy, answered with 204 and with errors as plain text) or "
            "JSON (perhaps compressed with gzip). At most 5 MiB before and after it is decompressed, and "
            f"{POINT_COUNT_MAX:,} points. Every point is kept or refused by itself; where remote write answers "
            "400, all that is good was kept, and where anything answers 429 or 503, nothing was."
        ),
        "requestBody": body,
        "responses": {
            "200": _answer("What became of the points of JSON.", "MetricsPayload"),
            "204": {"description": "All points of a remote write were taken."},
            **refused,
        },
    }


def _openapi() -> Schema:
    return {
        "operationId": "openapi",
        "summary": "This document.",
        "security": [],
        "responses": {
            "200": {
                "description": "OpenAPI 3.1.",
                "content": {"application/json": {"schema": {"type": "object"}}},
            }
        },
    }


def _body(schema: str, *, required: bool = True) -> Schema:
    return {"required": required, "content": {"application/json": {"schema": _ref("schemas", schema)}}}


def _answer(description: str, schema: str, headers: Schema | None = None) -> Schema:
    return {
        "description": description,
        **({"headers": headers} if headers else {}),
        "content": {"application/json": {"schema": _ref("schemas", schema)}},
    }


def _ref(kind: str, name: str) -> Schema:
    return {"$ref": f"#/components/{kind}/{name}"}


_REFUSAL_NAMES = {
    "400": "Invalid",
    "401": "Unauthenticated",
    "403": "Forbidden",
    "404": "NotFound",
    "409": "Conflict",
    "413": "TooLong",
    "415": "WrongMediaType",
    "429": "RateLimited",
    "503": "Unavailable",
}


def _refused(*statuses: str) -> Schema:
    return {status: _ref("responses", _REFUSAL_NAMES[status]) for status in statuses}


def _refusals() -> Schema:
    told = {
        "Invalid": "A value is refused, or the body is no JSON; `errors` names the fields.",
        "Unauthenticated": "No valid credentials.",
        "Forbidden": "The role or the key's scope does not allow it.",
        "NotFound": "No such alert or monitor for this caller.",
        "Conflict": "The alert's state does not allow that, or the idempotency key was used with other contents.",
        "TooLong": "The body is longer than 5 MiB.",
        "WrongMediaType": "The body is not said to be application/json.",
        "RateLimited": "The key's budget is used up.",
        "Unavailable": "A store is away; try again.",
    }
    waits = {"RateLimited", "Unavailable"}
    return {
        name: {
            "description": description,
            **({"headers": {"Retry-After": _ref("headers", "RetryAfter")}} if name in waits else {}),
            "content": {"application/problem+json": {"schema": _ref("schemas", "Problem")}},
        }
        for name, description in told.items()
    }


# ----------------------------------------------------------------------------------------- schemas


def _schemas() -> Schema:
    return {
        "Severity": _words(sorted(Severity, reverse=True), "How bad it is, worst first."),
        "AlertStatus": _words(AlertStatus, "Where an alert stands."),
        "AlertVerdict": _words(AlertVerdict, "A person's judgement of an alert."),
        "HoldReason": _words(HoldReason, "Why an open alert has no next escalation."),
        "ActorKind": _words(ActorKind, "What sort of actor."),
        "ErrorCode": _words(ErrorCode, "A stable name for what went wrong."),
        "DateTime": {
            "type": "string",
            "format": "date-time",
            "description": "An instant, RFC 3339 with an offset; always answered in UTC with Z.",
        },
        "Link": _object(
            "A link to look at.",
            {
                "href": _text("Where to; http or https.", 1, HREF_LENGTH_MAX),
                "text": _text("What to call it.", 0, TITLE_LENGTH_MAX),
            },
            required=["href", "text"],
        ),
        "Labels": {
            "type": "object",
            "description": "What matchers look at.",
            "maxProperties": LABEL_COUNT_MAX,
            "propertyNames": {"minLength": 1, "maxLength": LABEL_NAME_LENGTH_MAX},
            "additionalProperties": {"type": "string", "maxLength": LABEL_VALUE_LENGTH_MAX},
        },
        "Actor": _object(
            "Who did something.",
            {
                "kind": _ref("schemas", "ActorKind"),
                "name": {"type": "string", "description": "Name as it was then."},
            },
            required=["kind", "name"],
        ),
        "AlertSla": _object(
            "An alert's SLA clocks.",
            {
                "acknowledgeBy": _described("To be acknowledged by.", _ref("schemas", "DateTime")),
                "resolveBy": _described("To be resolved by.", _ref("schemas", "DateTime")),
                "acknowledgeBreached": {"type": "boolean", "description": "Was not acknowledged in time."},
                "resolveBreached": {"type": "boolean", "description": "Was not resolved in time."},
            },
            required=["acknowledgeBy", "resolveBy", "acknowledgeBreached", "resolveBreached"],
        ),
        "CriticalAlert": _critical_alert(),
        "CreateAlertInput": _create_alert_input(),
        "CreateAlertsInput": {
            "description": "The alerts, in order; the list may also stand alone.",
            "oneOf": [
                _object("In an object.", {"alerts": _alert_list()}, required=["alerts"], closed=True),
                _alert_list(),
            ],
        },
        "CreateAlertOutcome": _object(
            "What became of one alert.",
            {
                "alert": _described("Null where it was refused; see errors.", _or_null("CriticalAlert")),
                "created": {"type": "boolean", "description": "False where folded or refused."},
            },
            required=["alert", "created"],
        ),
        "CreateAlertsPayload": _object(
            "What became of a bulk.",
            {
                "outcomes": {
                    "type": "array",
                    "description": "One per alert, in order.",
                    "items": _ref("schemas", "CreateAlertOutcome"),
                },
                "createdCount": {"type": "integer", "description": "How many are new."},
                "foldedCount": {"type": "integer", "description": "How many were folded into open ones."},
                "errors": {
                    "type": "array",
                    "description": "Of the alerts refused; path is alerts, index, field.",
                    "items": {
                        "allOf": [
                            _ref("schemas", "Error"),
                            _object("Which.", {"index": {"type": "integer"}}, required=["index"]),
                        ]
                    },
                },
            },
            required=["outcomes", "createdCount", "foldedCount", "errors"],
        ),
        "HeartbeatMonitor": _object(
            "Raises an alert when an expected beat stays out, and resolves it when beats return.",
            {
                "id": {"type": "string", "description": "Opaque."},
                "name": {"type": "string", "description": "The sender beats by it."},
                "interval": {"type": "string", "format": "duration", "description": "Between two beats, at most."},
                "severity": _ref("schemas", "Severity"),
                "labels": _ref("schemas", "Labels"),
                "version": {"type": "integer", "description": "Number of the last event that changed it."},
            },
            required=["id", "name", "interval", "severity", "labels", "version"],
        ),
        "MetricsInput": _object(
            "Points of time series.",
            {
                "series": {
                    "type": "array",
                    "items": _object(
                        "Points of one series.",
                        {
                            "labels": _described("What it is; its name is the label __name__.", _series_labels()),
                            "points": {
                                "type": "array",
                                "description": "In any order; of one second the first counts.",
                                "items": {
                                    "type": "array",
                                    "minItems": 2,
                                    "maxItems": 2,
                                    "description": "Time, RFC 3339 or seconds since 1970, and value or null.",
                                    "items": {"type": ["string", "number", "null"]},
                                },
                            },
                        },
                        required=["labels", "points"],
                        closed=True,
                    ),
                }
            },
            required=["series"],
            closed=True,
        ),
        "MetricsPayload": _object(
            "What became of points.",
            {
                "acceptedCount": {"type": "integer", "description": "In order, watched or not."},
                "watchedCount": {"type": "integer", "description": "Those among them that a rule watches."},
                "ignoredCount": {"type": "integer", "description": "Without a value."},
                "refusedCount": {"type": "integer", "description": "Wrong; see errors."},
                "errors": {
                    "type": "array",
                    "description": f"The first {PROBLEM_COUNT_MAX}; path is series, index, field.",
                    "items": _ref("schemas", "Error"),
                },
            },
            required=["acceptedCount", "watchedCount", "ignoredCount", "refusedCount", "errors"],
        ),
        "EscalateAlertInput": _object(
            "To climb.",
            {
                "level": {
                    "type": ["integer", "null"],
                    "minimum": 1,
                    "description": "To this level; the next one where left out.",
                },
                "note": _text("Kept on the timeline.", 0, NOTE_LENGTH_MAX, nullable=True),
                "idempotencyKey": _text("See the header.", 1, IDEMPOTENCY_KEY_LENGTH_MAX, nullable=True),
            },
            closed=True,
        ),
        "Error": _object(
            "Something the caller can mend.",
            {
                "code": _ref("schemas", "ErrorCode"),
                "message": {"type": "string", "description": "A sentence for a person."},
                "path": {
                    "type": ["array", "null"],
                    "items": {"type": "string"},
                    "description": "The way to the input at fault; null where no one value is.",
                },
                "currentVersion": {
                    "type": "integer",
                    "description": "For VERSION_CONFLICT: the version it has now.",
                },
            },
            required=["code", "message", "path"],
        ),
        "Problem": _object(
            "An error (RFC 9457).",
            {
                "type": {"type": "string", "format": "uri-reference"},
                "title": {"type": "string", "description": "What HTTP calls the status."},
                "status": {"type": "integer"},
                "detail": {"type": "string", "description": "A sentence for a person."},
                "code": _ref("schemas", "ErrorCode"),
                "errors": {"type": "array", "items": _ref("schemas", "Error")},
                "requestId": {"type": "string", "description": "Quote it when asking for help."},
            },
            required=["type", "title", "status", "detail", "code", "errors"],
        ),
    }


def _critical_alert() -> Schema:
    instant, instant_or_null = _ref("schemas", "DateTime"), _or_null("DateTime")
    fields: Schema = {
        "id": {"type": "string", "description": "Opaque."},
        "version": {
            "type": "integer",
            "description": "Number of the last event that changed it; the higher of two is newer.",
        },
        "dedupKey": {"type": "string", "description": "What makes repeats one alert while it is open."},
        "title": {"type": "string", "description": "One line."},
        "description": {"type": "string", "description": "More text, may be empty."},
        "severity": _ref("schemas", "Severity"),
        "status": _ref("schemas", "AlertStatus"),
        "source": {"type": "string", "description": "What sent it, such as prometheus."},
        "monitoredService": {"type": ["string", "null"], "description": "Name of the thing watched."},
        "labels": _ref("schemas", "Labels"),
        "annotations": {"type": "object", "description": "Free text and the sender's unknown fields."},
        "links": {"type": "array", "items": _ref("schemas", "Link")},
        "occurrenceCount": {"type": "integer", "minimum": 1, "description": "How often it fired while open."},
        "triggeredAt": _described("When it began.", instant),
        "lastSeenAt": _described("When it fired last.", instant),
        "acknowledgedAt": _described("When somebody took it; null while nobody has it.", instant_or_null),
        "acknowledgedUntil": _described("When the acknowledgement runs out; null for never.", instant_or_null),
        "acknowledgedBy": _described("Who took it.", _or_null("Actor")),
        "resolvedAt": _described("When it ended.", instant_or_null),
        "resolvedBy": _described("Who or what ended it.", _or_null("Actor")),
        "escalationLevel": {"type": "integer", "description": "0 until the first level is notified."},
        "holdReason": _described("Null while there is a next level and after the end.", _or_null("HoldReason")),
        "sla": _ref("schemas", "AlertSla"),
        "verdict": _described("Null where nobody judged it.", _or_null("AlertVerdict")),
    }
    return _object("One open or closed condition: one per dedup key while open.", fields, required=list(fields))


def _create_alert_input() -> Schema:
    return _object(
        "A new alert, or a repeat of an open one.",
        {
            "title": _text("One line.", 1, TITLE_LENGTH_MAX),
            "description": _text("More text.", 0, DESCRIPTION_LENGTH_MAX, nullable=True),
            "severity": _ref("schemas", "Severity"),
            "source": _text("What sends it; the key's name where left out.", 1, NAME_LENGTH_MAX, nullable=True),
            "monitoredService": _text("Name of the thing watched.", 1, NAME_LENGTH_MAX, nullable=True),
            "dedupKey": _text(
                "Alerts with the same key are one alert while it is open; derived from the labels where left out.",
                1,
                DEDUP_KEY_LENGTH_MAX,
                nullable=True,
            ),
            "labels": _or_null("Labels"),
            "annotations": {"type": ["object", "null"], "description": "At most 64 KiB as JSON."},
            "links": {
                "type": ["array", "null"],
                "maxItems": LINK_COUNT_MAX,
                "items": _ref("schemas", "Link"),
                "description": "Runbooks, graphs.",
            },
            "triggeredAt": _described("When it began; now where left out.", _or_null("DateTime")),
            "idempotencyKey": _text(
                "Within 24 hours it gets the first answer again.", 1, IDEMPOTENCY_KEY_LENGTH_MAX, nullable=True
            ),
        },
        required=["title", "severity"],
        closed=True,
    )


def _series_labels() -> Schema:
    return {
        "type": "object",
        "maxProperties": LABEL_COUNT_MAX - 2,
        "propertyNames": {"minLength": 1, "maxLength": LABEL_NAME_LENGTH_MAX},
        "additionalProperties": {"type": "string", "maxLength": LABEL_VALUE_LENGTH_MAX},
    }


def _alert_list() -> Schema:
    return {
        "type": "array",
        "minItems": 1,
        "maxItems": BULK_COUNT_MAX,
        "items": _ref("schemas", "CreateAlertInput"),
    }


def _object(
    description: str, properties: Schema, *, required: list[str] | None = None, closed: bool = False
) -> Schema:
    """An object; `closed` where an unknown member is refused, since answers may grow."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        **({"required": required} if required else {}),
        **({"additionalProperties": False} if closed else {}),
    }


def _text(description: str, length_min: int, length_max: int, *, nullable: bool = False) -> Schema:
    return {
        "type": ["string", "null"] if nullable else "string",
        "minLength": length_min,
        "maxLength": length_max,
        "description": description,
    }


def _words(values: Any, description: str) -> Schema:
    return {"type": "string", "description": description, "enum": [value.name for value in values]}


def _or_null(schema: str) -> Schema:
    return {"anyOf": [_ref("schemas", schema), {"type": "null"}]}


def _described(description: str, schema: Schema) -> Schema:
    return {**schema, "description": description}
