"""Metrics in: Prometheus remote write, 1.0 and 2.0, and JSON, all at one address.

What Prometheus makes of an answer: after a 5xx it sends the same again for as long as it keeps it, after a 4xx
never. So a 5xx means that nothing was kept, and a 4xx that all that is good was.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Any, Final, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from alertgraph.core.errors import AlertGraphError, ErrorCode, Problem, RefusedError
from alertgraph.core.ids import EPOCH
from alertgraph.core.tenant import Principal
from alertgraph.edge.bodies import (
    BODY_BYTES_MAX,
    JSON_MEDIA_TYPE,
    METHODS,
    BodyError,
    error_headers,
    json_response,
    media_type_of,
    problem_json,
    problem_response,
    problems_of,
    read_encoded,
    read_json,
    shown,
    status_of,
)
from alertgraph.edge.gate import Gate
from alertgraph.edge.intake.remote_write import FormError, Written, decompressed, read_v1, read_v2
from alertgraph.services.metric_intake import (
    POINT_COUNT_MAX,
    KnownSeries,
    MetricIntake,
    SentSeries,
    SeriesMemory,
    Taken,
)
from resolvers.scalars import parse_instant

T = TypeVar("T")

PATH: Final = "/ingest/metrics"
POINTS_PER_POINT: Final = 1000
"""Points of metrics that one point of a key's budget buys."""
ASIDE_SIZE: Final = 1024 * 1024
"""Bytes from which on a body is read in a thread."""
PROTOBUF: Final = "application/x-protobuf"
V1: Final = "prometheus.WriteRequest"
V2: Final = "io.prometheus.write.v2.Request"
_ACCEPTED: Final = f"{PROTOBUF} (proto={V1} or proto={V2}) or {JSON_MEDIA_TYPE}"
_MILLISECOND: Final = timedelta(milliseconds=1)
_NAN: Final = float("nan")
# Later than any time in seconds that is meant: who sends milliseconds is told so.
_SECONDS_MAX: Final = 1e11


def routes(gate: Gate, intake: MetricIntake) -> list[BaseRoute]:
    """Return the route of metrics."""
    return [Route(PATH, _Metrics(gate, intake).answer, methods=METHODS)]


class _Metrics:
    """The handler, over one gate."""

    def __init__(self, gate: Gate, intake: MetricIntake) -> None:
        self._gate = gate
        self._intake = intake

    async def answer(self, request: Request) -> Response:
        """Take in what is sent, whatever it is written in."""
        # Prometheus logs an answer's first line: it gets plain text, everybody else a problem.
        is_written = media_type_of(request) == PROTOBUF
        refused = _text_of if is_written else problem_response
        if request.method != "POST":
            response = refused(
                request,
                BodyError(
                    f"{request.method} is not possible here; POST is.", status=HTTPStatus.METHOD_NOT_ALLOWED
                ),
            )
            response.headers["Allow"] = "POST"
            return response
        try:
            principal = await self._gate.authenticate(request.headers.get("authorization"))
            await self._gate.admit(principal, 1)
            take = self._take_written if is_written else self._take_json
            return await take(request, principal)
        except AlertGraphError as error:
            return refused(request, error)

    # ------------------------------------------------------------------------------ remote write

    async def _take_written(self, request: Request, principal: Principal) -> Response:
        form = _form_of(request)
        memory = await self._intake.memory(principal)
        raw = await _body_of(request, {"snappy": _unsnapped}, "snappy")
        try:
            written = await _aside(len(raw), partial(_read, form, raw, memory))
        except FormError as error:
            raise BodyError(str(error)) from error
        sent = [
            SentSeries(known, points, ("timeseries", str(index)))
            for index, (known, points) in enumerate(written.series)
        ]
        taken = await self._take(principal, sent, written.point_count)
        headers = _written_headers(written, taken) if form == V2 else {}
        if taken.refused:
            return PlainTextResponse(_summary(taken), HTTPStatus.BAD_REQUEST, headers)
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)

    # -------------------------------------------------------------------------------------- json

    async def _take_json(self, request: Request, principal: Principal) -> Response:
        media_type = media_type_of(request)
        if media_type != JSON_MEDIA_TYPE:
            named = f"is {shown(media_type)}" if media_type else "is missing"
            raise BodyError(
                f"The Content-Type {named}; send {_ACCEPTED}.", status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE
            )
        memory = await self._intake.memory(principal)
        raw = await _body_of(request, {"gzip": _unzipped}, None)
        taken = Taken()
        sent, count = await _aside(len(raw), lambda: _series_of(read_json(raw), memory, taken))
        taken = await self._take(principal, sent, count, taken)
        if taken.refused and not (taken.accepted or taken.ignored):
            raise RefusedError(taken.problems)
        return json_response(
            {
                "acceptedCount": taken.accepted,
                "watchedCount": taken.watched,
                "ignoredCount": taken.ignored,
                "refusedCount": taken.refused,
                "errors": [problem_json(problem) for problem in taken.problems],
            }
        )

    async def _take(
        self, principal: Principal, sent: Sequence[SentSeries], count: int, before: Taken | None = None
    ) -> Taken:
        if count > POINTS_PER_POINT:
            await self._gate.admit(principal, (count - 1) // POINTS_PER_POINT)
        return await self._intake.take(principal, sent, before)


def _read(form: str, raw: bytes, memory: SeriesMemory) -> Written[KnownSeries]:
    if form == V1:
        return read_v1(raw, memory.known, memory.learn, POINT_COUNT_MAX)
    return read_v2(raw, memory.learn, POINT_COUNT_MAX)


async def _aside(size: int, work: Callable[[], T]) -> T:
    """Return what comes of reading a body: of a large one in a thread, so that nobody waits for all of it."""
    return work() if size <= ASIDE_SIZE else await asyncio.to_thread(work)


# ------------------------------------------------------------------------------------------ bodies


def _form_of(request: Request) -> str:
    """Return which message a body is said to be; the first version where nothing more is said.

    Raises:
        BodyError: It is another one (415).
    """
    _, _, parameters = request.headers.get("content-type", "").partition(";")
    named = (part.partition("=") for part in parameters.split(";"))
    given = {name.strip().lower(): value.strip().strip('"') for name, _, value in named}
    form = given.get("proto", V1)
    if form not in (V1, V2):
        raise BodyError(
            f"The message {shown(form)} is unknown; send {_ACCEPTED}.", status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        )
    return form


async def _body_of(
    request: Request, decoders: Mapping[str, Callable[[bytes], bytes]], default: str | None
) -> bytes:
    """Return a body as it was before it was compressed.

    Raises:
        BodyError: It is too long, before or after (413), or compressed in another way (415).
    """
    encoding = request.headers.get("content-encoding", "").strip().lower() or default or "identity"
    if encoding == "identity" and default is None:
        return await read_encoded(request)
    decode = decoders.get(encoding)
    if decode is None:
        wanted = " or ".join(decoders)
        raise BodyError(
            f"The body is encoded as {shown(encoding)}; send it compressed with {wanted}"
            + (", or as it is." if default is None else "."),
            status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        )
    return decode(await read_encoded(request))


def _too_long() -> BodyError:
    return BodyError(
        f"The body is longer than {BODY_BYTES_MAX:,} bytes when it is not compressed.",
        status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    )


def _unsnapped(raw: bytes) -> bytes:
    try:
        whole = decompressed(raw, BODY_BYTES_MAX)
    except FormError as error:
        raise BodyError(str(error)) from error
    if whole is None:
        raise _too_long()
    return whole


def _unzipped(raw: bytes) -> bytes:
    decoder = zlib.decompressobj(wbits=31)
    try:
        whole = decoder.decompress(raw, BODY_BYTES_MAX + 1)
    except zlib.error as error:
        raise BodyError("The body is not compressed with gzip.") from error
    if len(whole) > BODY_BYTES_MAX:
        raise _too_long()
    if not decoder.eof or decoder.unused_data:
        raise BodyError("The body is not one whole stream of gzip.")
    return whole


# ------------------------------------------------------------------------------------------- JSON


def _series_of(value: object, memory: SeriesMemory, taken: Taken) -> tuple[list[SentSeries], int]:
    """Return the series of a JSON body, and how many points they have; counts what can't be read.

    Raises:
        RefusedError: The body as a whole is none.
    """
    if not isinstance(value, dict):
        raise RefusedError([_invalid("An object with `series` is wanted.")])
    unknown = [name for name in value if name != "series"]
    if unknown:
        raise RefusedError(
            [_invalid(f"There is no field {shown(unknown[0])} here; there is series.", unknown[0][:64])]
        )
    items = value.get("series")
    if not isinstance(items, list):
        raise RefusedError([_invalid("series is a list.", "series")])
    sent: list[SentSeries] = []
    count = 0
    for index, item in enumerate(items):
        place = ("series", str(index))
        if not isinstance(item, dict):
            taken.refuse(1, _invalid("A series is an object with labels and points."), *place)
            continue
        unknown = [name for name in item if name not in ("labels", "points")]
        labels, points = item.get("labels"), item.get("points")
        if unknown:
            problem = _invalid(
                f"There is no field {shown(unknown[0])} here; there are labels, points.", unknown[0][:64]
            )
            taken.refuse(max(1, len(points) if isinstance(points, list) else 1), problem, *place)
            continue
        if not isinstance(points, list):
            taken.refuse(1, _invalid("points is a list of [time, value].", "points"), *place)
            continue
        count += len(points)
        if count > POINT_COUNT_MAX:
            raise RefusedError([_invalid(f"A request has at most {POINT_COUNT_MAX:,} points.", "series")])
        if not isinstance(labels, dict):
            taken.refuse(max(1, len(points)), _invalid("labels is an object of texts.", "labels"), *place)
            continue
        key = orjson.dumps(labels, option=orjson.OPT_SORT_KEYS)
        known = memory.known.get(key)
        if known is None:
            known = memory.known[key] = _learned(labels, memory)
        sent.append(SentSeries(known, _points_of(points, place, taken), place))
    return sent, count


def _learned(labels: dict[str, Any], memory: SeriesMemory) -> KnownSeries:
    for name, text in labels.items():
        if not isinstance(text, str):
            return KnownSeries(problem=_invalid(f"The label {shown(name)} is a text.", "labels", name[:64]))
    # As Prometheus has it, a label without a value is none.
    return memory.learn({name: text for name, text in labels.items() if text})


def _points_of(points: list[Any], place: tuple[str, ...], taken: Taken) -> list[tuple[int, float]]:
    """Return points in milliseconds and values; null is a value that is missing."""
    read: list[tuple[int, float]] = []
    for index, point in enumerate(points):
        at, value, problem = _point_of(point)
        if problem is None:
            read.append((at, value))
        else:
            taken.refuse(1, problem, *place, "points", str(index))
    return read


def _point_of(point: object) -> tuple[int, float, Problem | None]:
    if not isinstance(point, list) or len(point) != 2:
        return 0, 0.0, _invalid("A point is [time, value].")
    at, value = point
    if value is None:
        value = _NAN
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return 0, 0.0, _invalid("A value is a number, or null where there is none.", "1")
    if isinstance(at, str):
        try:
            return (parse_instant(at) - EPOCH) // _MILLISECOND, float(value), None
        except ValueError as error:
            return 0, 0.0, _invalid(f"time: {error}", "0")
    if isinstance(at, bool) or not isinstance(at, int | float):
        return 0, 0.0, _invalid("A time is RFC 3339, or seconds since 1970.", "0")
    if not -_SECONDS_MAX < at < _SECONDS_MAX:
        return 0, 0.0, _invalid("A time as a number is seconds since 1970; these look like milliseconds.", "0")
    return round(at * 1000), float(value), None


def _invalid(message: str, *path: str) -> Problem:
    return Problem(ErrorCode.INVALID_INPUT, message, path)


# ----------------------------------------------------------------------------------------- answers


def _written_headers(written: Written[KnownSeries], taken: Taken) -> dict[str, str]:
    """Return what version 2.0 wants to be told; what is left out on purpose counts as written."""
    return {
        "X-Prometheus-Remote-Write-Samples-Written": str(taken.accepted + taken.ignored),
        "X-Prometheus-Remote-Write-Histograms-Written": str(written.histogram_count),
        "X-Prometheus-Remote-Write-Exemplars-Written": str(written.exemplar_count),
    }


def _summary(taken: Taken) -> str:
    """Return what was refused, on the one line that Prometheus logs."""
    told = [f"{'.'.join(problem.path)}: {problem.message}" for problem in taken.problems[:3]]
    rest = f"; {taken.accepted} were taken" if taken.accepted else ""
    return f"{taken.refused} points were refused{rest}. {' '.join(told)}\n"


def _text_of(request: Request, error: AlertGraphError) -> Response:  # noqa: ARG001  (as problem_response)
    status = error.status if isinstance(error, BodyError) else status_of(error.code)
    text = " ".join(problem.message for problem in problems_of(error)[:3])
    return PlainTextResponse(f"{text}\n", status, error_headers(error))
