"""REST under /api/v1: the same services and errors as GraphQL, for scripts and webhooks."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from alertgraph.core.action import ById, Escalate, Fire
from alertgraph.core.actor import Actor
from alertgraph.core.alert import Alert, Draft, Link
from alertgraph.core.batch import Outcome
from alertgraph.core.duration import duration_text
from alertgraph.core.errors import AlertGraphError, ErrorCode, NotFoundError, Problem, RefusedError
from alertgraph.core.ids import NodeKind, decode_alert_id, encode_id
from alertgraph.core.monitor import HeartbeatMonitor
from alertgraph.core.severity import Severity
from alertgraph.core.slo import acknowledge_breached, resolve_breached
from alertgraph.core.tenant import Principal, Role
from alertgraph.edge.bodies import (
    METHODS,
    BodyError,
    json_response,
    problem_json,
    problem_response,
    read_body,
    read_json,
    require_json,
    shown,
)
from alertgraph.edge.gate import Gate
from alertgraph.edge.openapi import openapi_document
from alertgraph.services.alerts import BULK_COUNT_MAX, Wanted, check_idempotency_key
from resolvers.scalars import instant_text, parse_instant

ROOT = "/api/v1/critical-alerts"
BULK = f"{ROOT}/bulk"
HEARTBEATS = "/api/v1/heartbeats"
OPENAPI_PATH = "/api/v1/openapi.json"
# What one point of a key's budget buys in a bulk.
ALERTS_PER_POINT = 10
# Of one object; who sends more nonsense than that gets no full account of it.
PROBLEM_COUNT_MAX = 20

Handler = Callable[[Request, Principal], Awaitable[Response]]


def routes(gate: Gate) -> list[BaseRoute]:
    """Return the REST routes; each answers wrong methods and errors as problems."""
    rest = _Rest(gate)
    document = json_response(openapi_document(gate.version))

    async def openapi(request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return _wrong_method(request, ["GET", "HEAD"])
        return document

    return [
        Route(OPENAPI_PATH, openapi, methods=METHODS),
        Route(ROOT, rest.endpoint({"POST": rest.create}), methods=METHODS),
        Route(BULK, rest.endpoint({"POST": rest.create_many}), methods=METHODS),
        Route(f"{ROOT}/{{id}}", rest.endpoint({"GET": rest.read, "HEAD": rest.read}), methods=METHODS),
        Route(f"{ROOT}/{{id}}/escalate", rest.endpoint({"PUT": rest.escalate}), methods=METHODS),
        Route(f"{HEARTBEATS}/{{name}}", rest.endpoint({"POST": rest.beat}), methods=METHODS),
    ]


class _Rest:
    """The handlers, over one gate."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def endpoint(self, handlers: Mapping[str, Handler]) -> Callable[[Request], Awaitable[Response]]:
        """Return what answers a path: who is asking comes first, then the method's handler."""
        allowed = list(handlers)

        async def answer(request: Request) -> Response:
            handler = handlers.get(request.method)
            if handler is None:
                return _wrong_method(request, allowed)
            try:
                principal = await self._gate.authenticate(request.headers.get("authorization"))
                await self._gate.admit(principal, 1)
                return await handler(request, principal)
            except AlertGraphError as error:
                return problem_response(request, error)

        return answer

    async def create(self, request: Request, principal: Principal) -> Response:
        """Send one alert: 201 where it is new, 200 where it was folded into an open one."""
        value = await _json_of(request)
        draft, own_key = draft_of(value, principal.actor.name)
        key = _idempotency_key(request, own_key)
        outcome = (await self._gate.alerts.send(principal, [Wanted(Fire(draft), key)]))[0]
        alert = _alert_of(outcome)
        path = f"{ROOT}/{encode_id(NodeKind.ALERT, alert.id)}"
        return json_response(
            alert_json(alert, self._gate.clock.now()),
            HTTPStatus.CREATED if outcome.created else HTTPStatus.OK,
            {"Location": path},
        )

    async def create_many(self, request: Request, principal: Principal) -> Response:
        """Send up to 1,000 alerts; those that are refused are named, the others are kept."""
        value = await _json_of(request)
        items, prefix = _items_of(value)
        if len(items) > ALERTS_PER_POINT:
            await self._gate.admit(principal, (len(items) - 1) // ALERTS_PER_POINT)
        shared_key = _idempotency_key(request, None)
        refused: dict[int, Sequence[Problem]] = {}
        wanted: list[Wanted] = []
        for index, item in enumerate(items):
            try:
                draft, own_key = draft_of(item, principal.actor.name)
            except RefusedError as error:
                refused[index] = error.problems
                continue
            key = own_key if own_key is not None else _item_key(shared_key, index)
            wanted.append(Wanted(Fire(draft), key))
        answered = iter(await self._gate.alerts.send(principal, wanted) if wanted else ())
        now = self._gate.clock.now()
        outcomes: list[dict[str, object]] = []
        errors: list[dict[str, object]] = []
        created_count = folded_count = 0
        for index in range(len(items)):
            outcome = Outcome(None) if index in refused else next(answered)
            problems = refused.get(index, (outcome.problem,) if outcome.problem is not None else ())
            errors += [
                {**problem_json(problem.below(*prefix, str(index))), "index": index} for problem in problems
            ]
            alert = None if problems else outcome.alert
            created_count += outcome.created
            folded_count += not (problems or outcome.created)
            outcomes.append(
                {
                    "alert": (alert_json(alert, now) if alert is not None else None),
                    "created": outcome.created,
                }
            )
        return json_response(
            {
                "outcomes": outcomes,
                "createdCount": created_count,
                "foldedCount": folded_count,
                "errors": errors,
            }
        )

    async def read(self, request: Request, principal: Principal) -> Response:
        """Answer with one alert, open or closed."""
        # A caller that may not read is told so whether or not the alert exists.
        principal.require(Role.VIEWER)
        alert_id = decode_alert_id(request.path_params["id"])
        if alert_id is None:
            raise NotFoundError("There is no such alert.", "id")
        async with self._gate.open_reading(principal) as reading:
            alert = (await reading.alerts([alert_id])).get(alert_id)
        if alert is None:
            raise NotFoundError("There is no such alert.", "id")
        return json_response(alert_json(alert, self._gate.clock.now()))

    async def escalate(self, request: Request, principal: Principal) -> Response:
        """Climb to a level, the next one where none is named."""
        principal.require(Role.RESPONDER)
        value: object = {}
        raw = await read_body(request)
        if raw:
            require_json(request)
            value = read_json(raw)
        fields = _Fields(value, ("level", "note", "idempotencyKey"))
        level = fields.whole("level")
        note = fields.text("note")
        own_key = fields.text("idempotencyKey")
        fields.check()
        key = _idempotency_key(request, own_key)
        alert_id = decode_alert_id(request.path_params["id"])
        if alert_id is None:
            raise NotFoundError("There is no such alert.", "id")
        outcome = await self._gate.alerts.act(
            principal, Escalate(ById(alert_id), level, note), "escalateAlert", key
        )
        return json_response(alert_json(_alert_of(outcome), self._gate.clock.now()))

    async def beat(self, request: Request, principal: Principal) -> Response:
        """Keep a sign of life; whatever comes with it is left unread."""
        monitor = await self._gate.monitors.beat(principal, request.path_params["name"])
        return json_response(monitor_json(monitor))


# ----------------------------------------------------------------------------------------- reading


class _Fields:
    """The members of a JSON object, read one by one; what is wrong with them is gathered.

    Raises:
        RefusedError: The value is no object.
    """

    def __init__(self, value: object, names: Sequence[str]) -> None:
        if not isinstance(value, dict):
            raise RefusedError([_invalid(f"An object is wanted here; this is {_kind(value)}.")])
        self._members: dict[str, Any] = value
        self.problems = [
            _invalid(f"There is no field {shown(name)} here; there are {', '.join(names)}.", name[:64])
            for name in value.keys() - set(names)
        ]

    def text(self, name: str, *, required: bool = False) -> str | None:
        """Return a text; None where it was left out."""
        value = self._members.get(name)
        if value is None:
            if required:
                self.problems.append(_invalid(f"{name} is required.", name))
            return None
        if not isinstance(value, str):
            self.problems.append(_invalid(f"{name} is a text; this is {_kind(value)}.", name))
            return None
        return value

    def whole(self, name: str) -> int | None:
        """Return a whole number; None where it was left out."""
        value = self._members.get(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        self.problems.append(_invalid(f"{name} is a whole number; this is {_kind(value)}.", name))
        return None

    def members(self, name: str) -> dict[str, Any] | None:
        """Return an object; None where it was left out."""
        value = self._members.get(name)
        if value is None or isinstance(value, dict):
            return value
        self.problems.append(_invalid(f"{name} is an object; this is {_kind(value)}.", name))
        return None

    def items(self, name: str) -> list[Any] | None:
        """Return a list; None where it was left out."""
        value = self._members.get(name)
        if value is None or isinstance(value, list):
            return value
        self.problems.append(_invalid(f"{name} is a list; this is {_kind(value)}.", name))
        return None

    def check(self) -> None:
        """Let pass what has no problem.

        Raises:
            RefusedError: With everything that is wrong, up to 20.
        """
        if self.problems:
            raise RefusedError(self.problems[:PROBLEM_COUNT_MAX])


_DRAFT_FIELDS = (
    "title",
    "description",
    "severity",
    "source",
    "monitoredService",
    "dedupKey",
    "labels",
    "annotations",
    "links",
    "triggeredAt",
    "idempotencyKey",
)


def draft_of(value: object, sender: str) -> tuple[Draft, str | None]:
    """Return what a JSON object shaped as CreateAlertInput says, and its idempotency key.

    Types are checked here, contents where the alert is decided.

    Args:
        value: As read from JSON.
        sender: The source where the object names none.

    Raises:
        RefusedError: A field is unknown, missing or of the wrong type; each problem's path names it.
    """
    fields = _Fields(value, _DRAFT_FIELDS)
    title = fields.text("title", required=True)
    severity = _severity(fields)
    labels = fields.members("labels")
    if labels is not None:
        fields.problems += [
            _invalid(f"The label {shown(name)} is a text; this is {_kind(text)}.", "labels", name[:64])
            for name, text in labels.items()
            if not isinstance(text, str)
        ]
    triggered_at = _instant(fields, "triggeredAt")
    links = _links(fields)
    description = fields.text("description")
    source = fields.text("source")
    monitored_service = fields.text("monitoredService")
    dedup_key = fields.text("dedupKey")
    annotations = fields.members("annotations")
    idempotency_key = fields.text("idempotencyKey")
    fields.check()
    assert title is not None, "required"
    assert severity is not None, "required"
    return (
        Draft(
            title=title,
            severity=severity,
            source=sender if source is None else source,
            description=description,
            monitored_service=monitored_service,
            dedup_key=dedup_key,
            labels=labels,
            annotations=annotations,
            links=links,
            triggered_at=triggered_at,
        ),
        idempotency_key,
    )


def _severity(fields: _Fields) -> Severity | None:
    name = fields.text("severity", required=True)
    if name is None:
        return None
    if name not in Severity.__members__:
        known = ", ".join(severity.name for severity in sorted(Severity, reverse=True))
        fields.problems.append(_invalid(f"severity is one of {known}; this is {shown(name)}.", "severity"))
        return None
    return Severity[name]


def _instant(fields: _Fields, name: str) -> datetime | None:
    text = fields.text(name)
    if text is None:
        return None
    try:
        return parse_instant(text)
    except ValueError as error:
        fields.problems.append(_invalid(f"{name}: {error}", name))
        return None


def _links(fields: _Fields) -> tuple[Link, ...] | None:
    items = fields.items("links")
    if items is None:
        return None
    links: list[Link] = []
    for index, item in enumerate(items):
        try:
            link = _Fields(item, ("href", "text"))
        except RefusedError as error:
            fields.problems += [problem.below("links", str(index)) for problem in error.problems]
            continue
        href, text = link.text("href", required=True), link.text("text", required=True)
        fields.problems += [problem.below("links", str(index)) for problem in link.problems]
        if href is not None and text is not None:
            links.append(Link(href, text))
    return tuple(links)


def _items_of(value: object) -> tuple[list[Any], tuple[str, ...]]:
    """The alerts of a bulk, given as a list or in an object's `alerts`, and the way to them."""
    prefix: tuple[str, ...] = ()
    items = value
    if not isinstance(value, list):
        fields = _Fields(value, ("alerts",))
        items = fields.items("alerts")
        if items is None and not fields.problems:
            fields.problems.append(_invalid("alerts is required.", "alerts"))
        fields.check()
        prefix = ("alerts",)
    assert isinstance(items, list), "anything else was refused"
    if not 1 <= len(items) <= BULK_COUNT_MAX:
        raise RefusedError(
            [_invalid(f"A bulk has 1 to {BULK_COUNT_MAX:,} alerts; this has {len(items):,}.", *prefix)]
        )
    return items, prefix


async def _json_of(request: Request) -> object:
    require_json(request)
    return read_json(await read_body(request))


def _idempotency_key(request: Request, own: str | None) -> str | None:
    """The key in the header, which stands for the field; both may be given where they are the same."""
    given = {*request.headers.getlist("idempotency-key"), *([own] if own is not None else [])}
    if len(given) > 1:
        raise RefusedError(
            [
                _invalid(
                    "The header Idempotency-Key and the field idempotencyKey name different keys.",
                    "idempotencyKey",
                )
            ]
        )
    key = next(iter(given), None)
    problem = check_idempotency_key(key) if key is not None else None
    if problem is not None:
        raise RefusedError([problem])
    return key


def _item_key(shared: str | None, index: int) -> str | None:
    """A key of its own for each alert of a bulk, whatever the length of the one it came with."""
    if shared is None:
        return None
    return f"bulk:{hashlib.sha256(shared.encode()).hexdigest()}:{index}"


def _invalid(message: str, *path: str) -> Problem:
    return Problem(ErrorCode.INVALID_INPUT, message, path)


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an object"


# --------------------------------------------------------------------------------------- answering


def alert_json(alert: Alert, now: datetime) -> dict[str, object]:
    """Return an alert with the plain fields of GraphQL's CriticalAlert, by the same names and formats.

    Args:
        alert: As it is.
        now: What the SLA clocks are judged by.
    """
    return {
        "id": encode_id(NodeKind.ALERT, alert.id),
        "version": alert.version,
        "dedupKey": alert.dedup_key,
        "title": alert.title,
        "description": alert.description,
        "severity": alert.severity.name,
        "status": alert.status.name,
        "source": alert.source,
        "monitoredService": alert.monitored_service,
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "links": [{"href": link.href, "text": link.text} for link in alert.links],
        "occurrenceCount": alert.occurrence_count,
        "triggeredAt": instant_text(alert.triggered_at),
        "lastSeenAt": instant_text(alert.last_seen_at),
        "acknowledgedAt": _instant_json(alert.acknowledged_at),
        "acknowledgedUntil": _instant_json(alert.acknowledged_until),
        "acknowledgedBy": _actor_json(alert.acknowledged_by),
        "resolvedAt": _instant_json(alert.resolved_at),
        "resolvedBy": _actor_json(alert.resolved_by),
        "escalationLevel": alert.escalation_level,
        "holdReason": alert.held.name if alert.held is not None else None,
        "sla": {
            "acknowledgeBy": instant_text(alert.sla.acknowledge_by),
            "resolveBy": instant_text(alert.sla.resolve_by),
            "acknowledgeBreached": acknowledge_breached(
                alert.sla, alert.first_acknowledged_at, alert.resolved_at, now
            ),
            "resolveBreached": resolve_breached(alert.sla, alert.resolved_at, now),
        },
        "verdict": alert.verdict.name if alert.verdict is not None else None,
    }


def monitor_json(monitor: HeartbeatMonitor) -> dict[str, object]:
    """Return a monitor with the plain fields of GraphQL's HeartbeatMonitor, by the same names and formats."""
    return {
        "id": encode_id(NodeKind.MONITOR, monitor.id),
        "name": monitor.name,
        "interval": duration_text(monitor.interval),
        "severity": monitor.severity.name,
        "labels": dict(monitor.labels),
        "version": monitor.version,
    }


def _instant_json(at: datetime | None) -> str | None:
    return instant_text(at) if at is not None else None


def _actor_json(actor: Actor | None) -> dict[str, object] | None:
    return {"kind": actor.kind.name, "name": actor.name} if actor is not None else None


def _alert_of(outcome: Outcome) -> Alert:
    """The alert of an outcome that is no refusal."""
    problem = outcome.problem
    if problem is not None:
        # The id stands in the URL here.
        path = ("id",) if problem.path == ("alertId",) else problem.path
        raise RefusedError([Problem(problem.code, problem.message, path, problem.current_version)])
    if outcome.alert is None:
        # The first answer to an idempotency key outlived its alert.
        raise NotFoundError("The alert is no longer kept.")
    return outcome.alert


def _wrong_method(request: Request, allowed: Sequence[str]) -> Response:
    names = ", ".join(allowed)
    response = problem_response(
        request,
        BodyError(f"{request.method} is not possible here; {names} is.", status=HTTPStatus.METHOD_NOT_ALLOWED),
    )
    response.headers["Allow"] = names
    return response
