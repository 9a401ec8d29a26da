"""Alertmanager's API v2: Prometheus and its tools take us for an Alertmanager.

Answers are those of Alertmanager itself, which has two kinds of errors: what its framework refuses is an
object with code and message, what its handlers refuse is a bare JSON text.
"""

from __future__ import annotations

import asyncio
import platform
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import orjson
import re2
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from alertgraph.core.action import Clear, Fire
from alertgraph.core.alert import (
    ANNOTATIONS_BYTES_MAX,
    DESCRIPTION_LENGTH_MAX,
    HREF_LENGTH_MAX,
    NAME_LENGTH_MAX,
    TITLE_LENGTH_MAX,
    Alert,
    AlertStatus,
    Draft,
    Link,
    check_instant,
)
from alertgraph.core.dedup import dedup_key_of
from alertgraph.core.errors import AlertGraphError, InputError, RateLimitedError, UnauthenticatedError
from alertgraph.core.labels import Matcher, MatchOperator, check_matcher
from alertgraph.core.query import PAGE_SIZE_MAX, AlertFilter, AlertOrder, AlertOrderField, PageRequest
from alertgraph.core.severity import Severity
from alertgraph.core.tenant import Principal, Role
from alertgraph.edge.bodies import (
    JSON_MEDIA_TYPE,
    METHODS,
    BodyError,
    error_headers,
    media_type_of,
    read_body,
    read_json,
    shown,
    status_of,
)
from alertgraph.edge.gate import Gate
from alertgraph.services.alerts import Wanted

RECEIVER = "alertgraph"
ALERTS = "/api/v2/alerts"
RESOLVE_TIMEOUT = timedelta(minutes=5)
# One flush's worth, so that the largest body neither blocks the loop nor fills the tenant's queue at once.
CHUNK_LENGTH = 1000
ALERTS_PER_POINT = 100
FAULT_COUNT_MAX = 20
FILTER_COUNT_MAX = 50
# Far beyond what a person or a dashboard reads; the newest are answered.
ANSWER_COUNT_MAX = 10_000

GENERATOR_TEXT = "Source"
_LINK_ANNOTATIONS = (("runbook_url", "Runbook"), ("dashboard_url", "Dashboard"))
_ZERO_TIME = "0001-01-01T00:00:00.000Z"

_SEVERITIES: Mapping[str, Severity] = {
    **dict.fromkeys(("critical", "page", "fatal", "emergency", "disaster"), Severity.CRITICAL),
    **dict.fromkeys(("error", "major", "high"), Severity.HIGH),
    **dict.fromkeys(("warning", "minor", "medium"), Severity.MEDIUM),
    "low": Severity.LOW,
    **dict.fromkeys(("info", "notice", "none", "debug"), Severity.INFO),
}

Handler = Callable[[Request, Principal], Awaitable[Response]]


def routes(gate: Gate) -> list[BaseRoute]:
    """Return the routes of the API, at the root and under /alertmanager/{anything}."""
    dialect = _Alertmanager(gate)
    return [
        Route(ALERTS, dialect.alerts, methods=METHODS),
        *(
            route
            for prefix in ("", "/alertmanager/{prefix}")
            for route in (
                Route(f"{prefix}/api/v2/{{path:path}}", dialect.api, methods=METHODS),
                Route(f"{prefix}/-/healthy", dialect.healthy, methods=METHODS),
                Route(f"{prefix}/-/ready", dialect.ready, methods=METHODS),
            )
        ),
    ]


class _Alertmanager:
    """The handlers, over one gate."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._handlers: Mapping[str, Mapping[str, Handler]] = {
            "alerts": {"POST": self._post_alerts, "GET": self._get_alerts},
            "status": {"GET": self._get_status},
        }

    async def healthy(self, request: Request) -> Response:
        """Say that the process is up."""
        return _check_answer(request, well=True)

    async def ready(self, request: Request) -> Response:
        """Say whether alerts can be taken in."""
        return _check_answer(request, well=await self._gate.ready())

    async def api(self, request: Request) -> Response:
        """Answer whatever is asked under /api/v2."""
        return await self._answered(request, request.path_params["path"].rstrip("/"))

    async def alerts(self, request: Request) -> Response:
        """Answer what is asked of alerts, by the path that Prometheus sends to."""
        return await self._answered(request, "alerts")

    async def _answered(self, request: Request, path: str) -> Response:
        handlers = self._handlers.get(path)
        if handlers is None:
            return _framework_error(HTTPStatus.NOT_FOUND, f"path {request.url.path} was not found")
        handler = handlers.get(request.method)
        if handler is None:
            allowed = ",".join(handlers)
            return _framework_error(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"method {request.method} is not allowed, but [{allowed}] are",
                headers={"Allow": allowed},
            )
        try:
            principal = await self._gate.authenticate(request.headers.get("authorization"))
            await self._gate.admit(principal, 1)
            return await handler(request, principal)
        except _FrameworkError as error:
            return _framework_error(error.status, error.message, code=error.number)
        except BodyError as error:
            return _framework_error(error.status, f'parsing alerts body from "" failed, because {error.message}')
        except AlertGraphError as error:
            return _handler_error(error)

    async def _post_alerts(self, request: Request, principal: Principal) -> Response:
        media_type = media_type_of(request) or "application/octet-stream"
        if media_type != JSON_MEDIA_TYPE:
            raise _FrameworkError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"unsupported media type {shown(media_type)}, only [{JSON_MEDIA_TYPE}] are allowed",
            )
        raw = await read_body(request)
        if not raw:
            raise _FrameworkError(HTTPStatus.UNPROCESSABLE_ENTITY, "alerts in body is required", number=602)
        posted = read_json(raw)
        if posted is None:
            posted = []
        if not isinstance(posted, list):
            raise BodyError(f"alerts is a list, and this is {_kind(posted)}")
        if len(posted) > ALERTS_PER_POINT:
            await self._gate.admit(principal, (len(posted) - 1) // ALERTS_PER_POINT)
        for start in range(0, len(posted), CHUNK_LENGTH):
            check_posted(posted[start : start + CHUNK_LENGTH], start)
            await asyncio.sleep(0)
        user_agent = request.headers.get("user-agent", "")
        source = "prometheus" if user_agent.startswith("Prometheus/") else "alertmanager"
        faults: list[str] = []
        for start in range(0, len(posted), CHUNK_LENGTH):
            faults += await self._send(principal, posted[start : start + CHUNK_LENGTH], start, source)
        if faults:
            told = faults[:FAULT_COUNT_MAX]
            if len(faults) > len(told):
                told.append(f"and {len(faults) - len(told)} more")
            return _json(HTTPStatus.BAD_REQUEST, "; ".join(told))
        return Response(status_code=HTTPStatus.OK)

    async def _send(
        self, principal: Principal, posted: Sequence[Mapping[str, Any]], start: int, source: str
    ) -> list[str]:
        """Send those that are valid, and return what is wrong with the others."""
        now = self._gate.clock.now()
        faults: list[str] = []
        wanted: list[Wanted] = []
        indexes: list[int] = []
        for index, alert in enumerate(posted, start):
            action = action_of(alert, now, source)
            if isinstance(action, str):
                faults.append(f"alerts[{index}]: {action}")
            else:
                wanted.append(Wanted(action))
                indexes.append(index)
        outcomes = await self._gate.alerts.send(principal, wanted) if wanted else ()
        faults += [
            f"alerts[{index}]: {outcome.problem.message}"
            for index, outcome in zip(indexes, outcomes, strict=True)
            if outcome.problem is not None
        ]
        return faults

    async def _get_alerts(self, request: Request, principal: Principal) -> Response:
        principal.require(Role.VIEWER)
        query = request.query_params
        matchers = _filter_of(query.getlist("filter"))
        # No alert is silenced or inhibited before there are silences, and none waits to be processed: of the four
        # switches only `active` has anything to leave out.
        if not (_receiver_matches(query.get("receiver", "")) and _flag(query.get("active"))):
            return _json(HTTPStatus.OK, [])
        told: list[dict[str, object]] = []
        async with self._gate.open_reading(principal) as reading:
            after: str | None = None
            while len(told) < ANSWER_COUNT_MAX:
                page = await reading.alert_page(
                    AlertFilter(status=(AlertStatus.TRIGGERED, AlertStatus.ACKNOWLEDGED), matchers=matchers),
                    AlertOrder(AlertOrderField.TRIGGERED_AT),
                    PageRequest(PAGE_SIZE_MAX, after),
                    with_total=False,
                )
                now = reading.now
                told += [alert_json(alert) for _, alert in page.items if not _is_over(alert, now)]
                if not (page.has_next and page.items):
                    break
                after = page.items[-1][0]
        told.sort(key=lambda alert: str(alert["fingerprint"]))
        return _json(HTTPStatus.OK, told)

    async def _get_status(self, request: Request, principal: Principal) -> Response:  # noqa: ARG002  (a Handler)
        return _json(
            HTTPStatus.OK,
            {
                "cluster": {"peers": [], "status": "disabled"},
                "config": {"original": _CONFIG},
                "uptime": _instant_text(self._gate.started_at),
                "versionInfo": {
                    "branch": "alertgraph",
                    "buildDate": "",
                    "buildUser": "",
                    "goVersion": f"python{platform.python_version()}",
                    "revision": "",
                    "version": self._gate.version,
                },
            },
        )


# amtool reads this as Alertmanager's configuration: it has to be valid, with a receiver.
_CONFIG = f"""\
global:
  resolve_timeout: {RESOLVE_TIMEOUT // timedelta(minutes=1)}m
route:
  receiver: {RECEIVER}
receivers:
- name: {RECEIVER}
"""


# --------------------------------------------------------------------------------------- answering


class _FrameworkError(AlertGraphError):
    """What Alertmanager's framework refuses before a handler sees it; `number` where it is not the status."""

    def __init__(self, status: HTTPStatus, message: str, *, number: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.number = number


def _json(status: HTTPStatus, value: object, headers: Mapping[str, str] | None = None) -> Response:
    raw = orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
    return Response(raw, status, {"Cache-Control": "no-store", **(headers or {})}, JSON_MEDIA_TYPE)


def _framework_error(
    status: HTTPStatus, message: str, *, code: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    return _json(status, {"code": code or status.value, "message": message}, headers)


def _handler_error(error: AlertGraphError) -> Response:
    headers = error_headers(error)
    status = status_of(error.code)
    if isinstance(error, RateLimitedError):
        # Senders of Alertmanager's protocol drop what is answered with a 4xx.
        status = HTTPStatus.SERVICE_UNAVAILABLE
    if isinstance(error, UnauthenticatedError):
        headers["WWW-Authenticate"] = 'Basic realm="alertgraph"'
    return _json(status, error.message, headers)


def _check_answer(request: Request, *, well: bool) -> Response:
    if request.method not in ("GET", "HEAD"):
        return PlainTextResponse(
            "Method Not Allowed\n", HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "GET, HEAD, OPTIONS"}
        )
    if not well:
        return PlainTextResponse("Service Unavailable", HTTPStatus.SERVICE_UNAVAILABLE)
    return PlainTextResponse("OK")


def alert_json(alert: Alert) -> dict[str, object]:
    """Return an open alert as Alertmanager tells it."""
    # One that came without labels is told by its title: an Alertmanager has none without.
    labels = dict(alert.labels) or {"alertname": alert.title}
    annotations = {
        name: value if isinstance(value, str) else orjson.dumps(value).decode()
        for name, value in alert.annotations.items()
    }
    if "alertname" not in labels:
        # Alertmanager's clients show the name, else the summary; ours may come from somebody who knows neither.
        annotations.setdefault("summary", alert.title)
    told: dict[str, object] = {
        "annotations": annotations,
        "endsAt": _instant_text(alert.resolve_at) if alert.resolve_at is not None else _ZERO_TIME,
        "fingerprint": fingerprint_of(labels),
        "receivers": [{"name": RECEIVER}],
        "startsAt": _instant_text(alert.triggered_at),
        "status": {"inhibitedBy": [], "mutedBy": [], "silencedBy": [], "state": "active"},
        "updatedAt": _instant_text(alert.last_seen_at),
        "labels": labels,
    }
    generator = next((link.href for link in alert.links if link.text == GENERATOR_TEXT), None)
    if generator is not None:
        told["generatorURL"] = generator
    return told


def fingerprint_of(labels: Mapping[str, str]) -> str:
    """Return what Alertmanager calls a label set by: FNV-1a, 64 bits, as 16 hexadecimal digits.

    References:
        prometheus/common, model/signature.go: each name and value in the order of the names, each followed by a
        byte 0xff, which no UTF-8 text contains.
    """
    digest = 0xCBF29CE484222325
    for name in sorted(labels):
        for byte in b"%s\xff%s\xff" % (name.encode(), labels[name].encode()):
            digest = ((digest ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{digest:016x}"


def _instant_text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _is_over(alert: Alert, now: datetime) -> bool:
    """Whether the sender's end has passed, though it is not resolved yet."""
    return alert.resolve_at is not None and alert.resolve_at < now


# --------------------------------------------------------------------------------- what was posted

# Alertmanager's times: RFC 3339, or without seconds or offset, or with a space; never only a day.
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?"
    r"| [0-9]{2}:[0-9]{2}:[0-9]{2})"
)
# What Go reads as a request's URI, before its query: a path, or behind a scheme a host and a path or anything.
_PATH = r"(?:[^%]|%[0-9A-Fa-f]{2})*"
_HOST = r"""(?:[^@/]*@)?(?:\[[0-9A-Fa-f:.]*\]|[^/:\[\]\s<>"^`{}|\\]*)(?::[0-9]*)?"""
_URI = re.compile(rf"/{_PATH}|[A-Za-z][A-Za-z0-9+.-]*:(?://{_HOST}(?:/{_PATH})?|(?!//)/{_PATH}|[^/].*)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_CONTROL_IN_LINES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def check_posted(posted: Sequence[Any], start: int) -> None:
    """Let posted alerts pass that are of the right types throughout, and read their times in place.

    Args:
        posted: As read from JSON.
        start: Index of the first in the whole body.

    Raises:
        BodyError: A value is of the wrong type, which refuses the whole body.
        _FrameworkError: A member that has to be there is missing, or is no URI.
    """
    for index, alert in enumerate(posted, start):
        if not isinstance(alert, dict):
            raise BodyError(f"alerts[{index}] is an object, and this is {_kind(alert)}", str(index))
        labels = alert.get("labels")
        if labels is None:
            raise _FrameworkError(
                HTTPStatus.UNPROCESSABLE_ENTITY, f"{index}.labels in body is required", number=602
            )
        _check_texts(labels, index, "labels")
        annotations = alert.get("annotations")
        if annotations is not None:
            _check_texts(annotations, index, "annotations")
        for name in ("startsAt", "endsAt"):
            text = alert.get(name)
            if text is not None:
                alert[name] = _instant(text, index, name)
        generator = alert.get("generatorURL")
        if generator:
            if not isinstance(generator, str):
                raise BodyError(
                    f"alerts[{index}].generatorURL is a text, and this is {_kind(generator)}", str(index)
                )
            if _CONTROL.search(generator) or not _URI.fullmatch(generator.partition("?")[0]):
                raise _FrameworkError(
                    HTTPStatus.UNPROCESSABLE_ENTITY,
                    f"{index}.generatorURL in body must be of type uri: {shown(generator)}",
                    number=601,
                )


def _check_texts(texts: object, index: int, name: str) -> None:
    if not isinstance(texts, dict):
        raise BodyError(f"alerts[{index}].{name} is an object, and this is {_kind(texts)}", str(index), name)
    for key, text in texts.items():
        if text is not None and not isinstance(text, str):
            raise BodyError(
                f"alerts[{index}].{name}.{key[:64]} is a text, and this is {_kind(text)}", str(index), name, key
            )


def _instant(text: object, index: int, name: str) -> datetime | None:
    """A posted time in UTC; None for Go's zero time, which stands for no time at all."""
    if text == "":
        return None
    if isinstance(text, str) and _TIME.fullmatch(text):
        # amtool says year 1 for unset; the year 0 is nobody's time either, and Python's calendar has none.
        if text.startswith(("0000", "0001")):
            return None
        try:
            at = datetime.fromisoformat(text)
            return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    what = shown(text) if isinstance(text, str) else _kind(text)
    raise BodyError(
        f"alerts[{index}].{name} is a time such as 2026-11-23T03:50:12.345Z, and this is {what}", str(index), name
    )


def action_of(alert: Mapping[str, Any], now: datetime, source: str) -> Fire | Clear | str:
    """Return what a posted alert comes to, or what is wrong with it.

    Args:
        alert: Of the right types, times read; None stands for a member that is not there.
        now: When it was posted.
        source: What sent it.
    """
    labels = {name: value for name, value in alert["labels"].items() if value}
    if not labels:
        return "at least one label pair required"
    starts_at: datetime | None = alert.get("startsAt")
    ends_at: datetime | None = alert.get("endsAt")
    if starts_at is None:
        # Alertmanager lets an alert of which only a future end is known begin at that end; it began by now.
        starts_at = now if ends_at is None else min(ends_at, now)
    elif ends_at is not None and ends_at < starts_at:
        return "start time must be before end time"
    if ends_at is not None and ends_at <= now:
        return Clear(dedup_key_of(labels, title="", source=source, monitored_service=None), ends_at)
    problems = check_instant(starts_at, "startsAt", now)
    if problems:
        return problems[0].message
    annotations = {name: value or "" for name, value in (alert.get("annotations") or {}).items()}
    return Fire(
        Draft(
            title=_title(labels, annotations),
            severity=_SEVERITIES.get(labels.get("severity", "").strip().lower(), Severity.MEDIUM),
            source=source,
            description=_CONTROL_IN_LINES.sub(
                "�",
                _cut(annotations.get("description") or annotations.get("message") or "", DESCRIPTION_LENGTH_MAX),
            ),
            monitored_service=(
                _line(labels.get("service", ""), NAME_LENGTH_MAX)
                or _line(labels.get("job", ""), NAME_LENGTH_MAX)
                or None
            ),
            labels=labels,
            annotations=_kept(annotations),
            links=_links(alert.get("generatorURL") or "", annotations),
            triggered_at=starts_at,
            ends_at=ends_at,
            timeout=RESOLVE_TIMEOUT,
        )
    )


def _title(labels: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    """The first of what names an alert that says something; its labels where nothing does."""
    for text in (annotations.get("summary"), annotations.get("title"), labels.get("alertname")):
        if text:
            line = _line(text, TITLE_LENGTH_MAX)
            if line:
                return line
    named = ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))
    return _line(named, TITLE_LENGTH_MAX) or "alert"


def _line(text: str, length_max: int) -> str:
    """One line of at most that length."""
    if not text.isprintable():
        text = _CONTROL.sub(" ", text)
    return _cut(text.strip(), length_max)


def _cut(text: str, length_max: int) -> str:
    if len(text) <= length_max:
        return text
    return f"{text[: length_max - 1]}…" if length_max > 0 else ""


def _kept(annotations: dict[str, str]) -> dict[str, str]:
    """Annotations that can be kept: Alertmanager has no limit, and a long text is no reason to lose a page."""
    # A NUL can't be stored; six bytes are the most that one character takes in JSON.
    annotations = {name.replace("\0", "�"): value.replace("\0", "�") for name, value in annotations.items()}
    if 6 * sum(len(name) + len(value) + 1 for name, value in annotations.items()) < ANNOTATIONS_BYTES_MAX:
        return annotations
    room = ANNOTATIONS_BYTES_MAX - 2
    kept: dict[str, str] = {}
    for name, value in sorted(annotations.items(), key=lambda item: len(item[1])):
        text = value
        if _length(name, text) > room:
            text = _cut(value, max(0, room - _length(name, "")) // 6)
        if _length(name, text) <= room and (text or not value):
            kept[name] = text
            room -= _length(name, text)
    return {name: kept[name] for name in annotations if name in kept}


def _length(name: str, value: str) -> int:
    """How many bytes an annotation takes, with what stands between it and the next."""
    return len(orjson.dumps({name: value}))


def _links(generator: str, annotations: Mapping[str, str]) -> tuple[Link, ...]:
    """The links that can be followed; one that is cut would lead elsewhere, so it is left out."""
    named = [(generator, GENERATOR_TEXT)]
    named += [(annotations.get(name, ""), text) for name, text in _LINK_ANNOTATIONS]
    links = [_link(href, text) for href, text in named if 0 < len(href) <= HREF_LENGTH_MAX]
    return tuple(link for link in links if link is not None)


# The same few links come with each repeat.
@lru_cache(maxsize=4096)
def _link(href: str, text: str) -> Link | None:
    sound = href.lower().startswith(("http://", "https://")) and not _CONTROL.search(href)
    return Link(href, text) if sound else None


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


# ----------------------------------------------------------------------------------- what is asked

_TRUE_WORDS = frozenset(("true", "1", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled"))


def _flag(text: str | None) -> bool:
    """A switch of the query, on where it is left out or empty; any word that is none of these is off."""
    return not text or text.lower() in _TRUE_WORDS


def _receiver_matches(pattern: str) -> bool:
    """Whether the one receiver there is matches a pattern; an empty one is none."""
    if not pattern:
        return True
    matcher = Matcher("receiver", MatchOperator.REGEX, pattern)
    try:
        return check_matcher(matcher).matches({"receiver": RECEIVER})
    except InputError as error:
        raise InputError(f"failed to parse receiver param: {error.message}", "receiver") from None


def _filter_of(texts: Sequence[str]) -> tuple[Matcher, ...]:
    if len(texts) > FILTER_COUNT_MAX:
        raise InputError(f"There are at most {FILTER_COUNT_MAX} filters; these are {len(texts):,}.", "filter")
    return tuple(check_matcher(matcher_of(text), "filter", str(index)) for index, text in enumerate(texts))


_OPERATORS: Mapping[str, MatchOperator] = {
    "=": MatchOperator.EQUAL,
    "!=": MatchOperator.NOT_EQUAL,
    "=~": MatchOperator.REGEX,
    "!~": MatchOperator.NOT_REGEX,
}
# Before UTF-8: a Prometheus label name, an operator, and anything.
_CLASSIC = re2.compile(r"(?s)\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|=|!=|!~)\s*(.*?)\s*")
# Since: name and value are in quotes, or hold none of the reserved characters.
_WORD = r"""(?:"(?:[^"\\]|\\.)*"|[^\s{}!=~,"'`]+)"""
_QUOTED = re.compile(rf"\s*({_WORD})\s*(=~|=|!=|!~)\s*({_WORD})\s*(?:,\s*)?", re.DOTALL)


def matcher_of(text: str) -> Matcher:
    r"""Return the matcher that a text says, such as `severity=~"crit.*"`.

    Both of Alertmanager's grammars are read, as Alertmanager does: the classic one, and where it can't be that,
    the one with UTF-8 names (`"é t"="\u00e9"`).

    Raises:
        InputError: It is neither, or holds several matchers.
    """
    fault = f"bad matcher format: {text}"
    classic = _CLASSIC.fullmatch(text)
    if classic is not None:
        name, operator, raw = classic.groups()
        value = _classic_value(raw)
        if value is not None:
            return Matcher(name, _OPERATORS[operator], value)
        fault = f"matcher value contains unescaped double quote: {raw}"
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None:
        name, value = _unquoted(quoted[1]), _unquoted(quoted[3])
        if name and value is not None:
            return Matcher(name, _OPERATORS[quoted[2]], value)
    raise InputError(fault[:500], "filter")


def _classic_value(raw: str) -> str | None:
    """A value by OpenMetrics' escapes, perhaps in quotes; None where a quote stands inside unescaped."""
    in_quotes = raw.startswith('"')
    value: list[str] = []
    characters = iter(raw[1:] if in_quotes else raw)
    for character in characters:
        if character == '"':
            # Only the last one may stand so.
            return "".join(value) if in_quotes and next(characters, None) is None else None
        if character == "\\":
            escaped = next(characters, "")
            value.append({"n": "\n", '"': '"', "\\": "\\"}.get(escaped, f"\\{escaped}"))
        else:
            value.append(character)
    return None if in_quotes else "".join(value)


_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\\"])|x([0-9A-Fa-f]{2})|([0-7]{3})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8}))|\\|[^\\]+", re.DOTALL
)
_ESCAPED: Mapping[str, bytes] = {
    "a": b"\a",
    "b": b"\b",
    "f": b"\f",
    "n": b"\n",
    "r": b"\r",
    "t": b"\t",
    "v": b"\v",
    "\\": b"\\",
    '"': b'"',
}


def _unquoted(word: str) -> str | None:
    """A word without its quotes and with Go's escapes read; None where it is no text of Go."""
    if not word.startswith('"'):
        return word
    try:
        return b"".join(_pieces(word[1:-1])).decode()
    except ValueError:
        return None


def _pieces(text: str) -> Iterator[bytes]:
    """The pieces of a quoted text, escapes read; raises ValueError for what is no escape of Go."""
    for piece in _ESCAPE.finditer(text):
        word, hexadecimal, octal, short, long = piece.groups()
        if word is not None:
            yield _ESCAPED[word]
        elif hexadecimal is not None:
            yield bytes([int(hexadecimal, 16)])
        elif octal is not None:
            yield bytes([int(octal, 8)])
        elif short is not None or long is not None:
            yield chr(int(short or long, 16)).encode()
        elif piece[0] == "\\" or "\n" in piece[0]:
            raise ValueError("no escape of Go")
        else:
            yield piece[0].encode()
