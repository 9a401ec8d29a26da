"""How whoever answers requests asks the learning process: HTTP over a private socket, bounded in time and size.

What can't be had in time is absent from the answer, and nobody waits for it longer than a deadline. A process that
fails again and again is left alone for a while.
"""

from __future__ import annotations

import asyncio
import hmac
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import httpx2
import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from alertgraph.core.ids import AlertId, TenantId
from alertgraph.core.prediction import DurationEstimate, FeatureContribution, Prediction
from alertgraph.services.ports import Predictor

EXPLAIN_PATH = "/explain"
SCORE_PATH = "/score"
FIGURES_PATH = "/metrics/learning"

EXPLAIN_WITHIN = timedelta(milliseconds=500)
SCORE_WITHIN = timedelta(milliseconds=100)
FIGURES_WITHIN = timedelta(milliseconds=500)
ALERT_COUNT_MAX = 1024
# So many are scored by one question; as many as one page, so that most ask only once.
PART_LENGTH = 128
BODY_BYTES_MAX = 64 * 1024
ANSWER_BYTES_MAX = 8 * 1024 * 1024
# More questions at once than this are not asked at all.
UNDER_WAY_MAX = 32
# So many failures in a row, and it is left alone: the shortest pause first, then ever longer ones.
FAILURE_COUNT_MAX = 3
PAUSE_MIN = timedelta(seconds=1)
PAUSE_MAX = timedelta(seconds=30)

T = TypeVar("T")


class RemotePredictor:
    """The learning process, from afar. Fulfils `services.ports.Predictor`: raises nothing, and is soon done.

    Args:
        url: `unix:///` and the path of a socket, or `http://`.
        token: Which both sides derive from the master key.
        asked: Told of each question, by what and how it ended: ok, late, failed, or refused, which is unasked.
    """

    def __init__(self, url: str, token: str, asked: Callable[[str, str], None]) -> None:
        path = socket_path(url)
        self._client = httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(
                uds=path, trust_env=False, verify=False, limits=httpx2.Limits(max_connections=UNDER_WAY_MAX)
            ),
            base_url="http://predictor" if path is not None else url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx2.Timeout(5.0),
            trust_env=False,
        )
        self._asked = asked
        self._under_way_count = 0
        self._failure_count = 0
        self._closed_until = 0.0
        self._well_at = -math.inf

    async def aclose(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def explain(
        self, tenant_id: TenantId, alert_ids: Sequence[AlertId]
    ) -> Mapping[AlertId, Sequence[FeatureContribution]]:
        """Return what speaks for and against in stored predictions; what can't be had in time is absent."""
        answer = await self._ask(EXPLAIN_PATH, tenant_id, alert_ids, EXPLAIN_WITHIN, _contributions)
        return answer or {}

    async def score(self, tenant_id: TenantId, alert_ids: Sequence[AlertId]) -> Mapping[AlertId, Prediction]:
        """Return what is to be expected of alerts; what can't be had in time is absent.

        Many are asked for in parts, so that of those asked first something is there when the time is up.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + SCORE_WITHIN.total_seconds()
        found: dict[AlertId, Prediction] = {}
        for start in range(0, len(alert_ids), PART_LENGTH):
            left = timedelta(seconds=until - loop.time())
            if left <= timedelta(0):
                break
            part = alert_ids[start : start + PART_LENGTH]
            answer = await self._ask(SCORE_PATH, tenant_id, part, left, _predictions)
            if answer is None:
                break
            found |= answer
        return found

    async def figures(self) -> bytes:
        """Return the figures of the learning process in Prometheus' text format; empty where it is away."""
        try:
            async with asyncio.timeout(FIGURES_WITHIN.total_seconds()):
                answer = await self._client.get(FIGURES_PATH)
        except (httpx2.HTTPError, OSError, TimeoutError):
            return b""
        return answer.content if answer.status_code == 200 else b""

    async def _ask(
        self,
        path: str,
        tenant_id: TenantId,
        alert_ids: Sequence[AlertId],
        within: timedelta,
        read: Callable[[Mapping[str, Any]], T],
    ) -> T | None:
        now = asyncio.get_running_loop().time()
        if not alert_ids:
            return None
        if now < self._closed_until or self._under_way_count >= UNDER_WAY_MAX:
            self._asked(path, "refused")
            return None
        if self._failure_count >= FAILURE_COUNT_MAX:
            # One may try; the others wait for how it goes.
            self._closed_until = now + within.total_seconds()
        body = orjson.dumps(
            {"tenant": str(tenant_id), "alerts": [str(alert_id) for alert_id in alert_ids[:ALERT_COUNT_MAX]]}
        )
        self._under_way_count += 1
        outcome = "failed"
        try:
            async with asyncio.timeout(within.total_seconds()):
                response = await self._client.post(path, content=body)
            if response.status_code == 200 and len(response.content) <= ANSWER_BYTES_MAX:
                answer = read(orjson.loads(response.content)["answers"])
                outcome = "ok"
                return answer
        except TimeoutError:
            outcome = "late"
        except (httpx2.HTTPError, OSError):
            pass
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            # Another release may answer otherwise.
            pass
        finally:
            self._under_way_count -= 1
            self._asked(path, outcome)
            self._learn(began_at=now, is_well=outcome == "ok")
        return None

    def _learn(self, *, began_at: float, is_well: bool) -> None:
        if is_well:
            self._failure_count, self._closed_until = 0, 0.0
            self._well_at = asyncio.get_running_loop().time()
            return
        if self._well_at >= began_at:
            # Others were answered meanwhile: it was asked for too much at once, and is well.
            return
        self._failure_count += 1
        excess = self._failure_count - FAILURE_COUNT_MAX
        if excess >= 0:
            pause = min(PAUSE_MAX, PAUSE_MIN * (1 << min(excess, 10)))
            self._closed_until = asyncio.get_running_loop().time() + pause.total_seconds()


class NoPredictor:
    """Where learning is switched off. Fulfils `services.ports.Predictor`."""

    async def explain(
        self,
        tenant_id: TenantId,  # noqa: ARG002  (the port's)
        alert_ids: Sequence[AlertId],  # noqa: ARG002  (likewise)
    ) -> Mapping[AlertId, Sequence[FeatureContribution]]:
        """Return nothing."""
        return {}

    async def score(
        self,
        tenant_id: TenantId,  # noqa: ARG002  (the port's)
        alert_ids: Sequence[AlertId],  # noqa: ARG002  (likewise)
    ) -> Mapping[AlertId, Prediction]:
        """Return nothing."""
        return {}


def socket_path(url: str) -> str | None:
    """Return the path of a `unix:///` URL; None where it is another."""
    parts = urlsplit(url)
    return parts.path if parts.scheme == "unix" else None


def routes(predictor: Predictor, token: str, figures: Callable[[], bytes]) -> list[BaseRoute]:
    """Return what a learning process answers.

    Args:
        predictor: Who knows.
        token: What a caller has to show; who may open the socket may not ask yet.
        figures: Of this process, in Prometheus' text format.
    """

    async def explain(tenant_id: TenantId, alert_ids: Sequence[AlertId]) -> Mapping[str, Any]:
        explained = await predictor.explain(tenant_id, alert_ids)
        return {
            str(alert_id): [[one.feature, one.contribution, one.text] for one in contributions]
            for alert_id, contributions in explained.items()
        }

    async def score(tenant_id: TenantId, alert_ids: Sequence[AlertId]) -> Mapping[str, Any]:
        scored = await predictor.score(tenant_id, alert_ids)
        return {str(alert_id): _told(prediction) for alert_id, prediction in scored.items()}

    def answering(
        answer: Callable[[TenantId, Sequence[AlertId]], Awaitable[Mapping[str, Any]]],
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            if not _may_ask(request, token):
                return Response("ask with the installation's token\n", 401)
            question = await _question_of(request)
            if isinstance(question, str):
                return Response(question + "\n", 400)
            answers = await answer(*question)
            return Response(orjson.dumps({"answers": answers}), media_type="application/json")

        return endpoint

    async def shown(request: Request) -> Response:
        if not _may_ask(request, token):
            return Response("ask with the installation's token\n", 401)
        return Response(figures(), media_type="text/plain")

    return [
        Route(EXPLAIN_PATH, answering(explain), methods=["POST"]),
        Route(SCORE_PATH, answering(score), methods=["POST"]),
        Route(FIGURES_PATH, shown, methods=["GET"]),
    ]


def _may_ask(request: Request, token: str) -> bool:
    given = request.headers.get("authorization", "")
    return hmac.compare_digest(given.encode(), f"Bearer {token}".encode())


async def _question_of(request: Request) -> tuple[TenantId, Sequence[AlertId]] | str:
    """Return whom and what is asked about, or what is wrong with the question."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_BYTES_MAX:
                return f"a question has at most {BODY_BYTES_MAX} bytes"
    except ClientDisconnect:
        return "the question did not arrive"
    try:
        told = orjson.loads(bytes(body))
        tenant_id = TenantId(UUID(told["tenant"]))
        alert_ids = [AlertId(UUID(one)) for one in told["alerts"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return "a question is an object of a tenant's id and a list of alerts' ids"
    if len(alert_ids) > ALERT_COUNT_MAX:
        return f"a question is about at most {ALERT_COUNT_MAX} alerts"
    return tenant_id, alert_ids


def _told(prediction: Prediction) -> dict[str, Any]:
    return {
        "version": prediction.model_version,
        "at": prediction.predicted_at.isoformat(),
        "chances": [
            prediction.incident_probability,
            prediction.sla_breach_probability,
            prediction.self_resolve_probability,
        ],
        "acknowledge": _seconds_of(prediction.time_to_acknowledge),
        "resolve": _seconds_of(prediction.time_to_resolve),
        "abstained": prediction.abstained,
    }


def _seconds_of(estimate: DurationEstimate | None) -> list[float] | None:
    if estimate is None:
        return None
    return [each.total_seconds() for each in (estimate.median, estimate.low, estimate.high)]


def _contributions(answers: Mapping[str, Any]) -> dict[AlertId, Sequence[FeatureContribution]]:
    return {
        AlertId(UUID(alert_id)): [
            FeatureContribution(str(feature), float(contribution), str(text))
            for feature, contribution, text in contributions
        ]
        for alert_id, contributions in answers.items()
    }


def _predictions(answers: Mapping[str, Any]) -> dict[AlertId, Prediction]:
    return {AlertId(UUID(alert_id)): _prediction_of(told) for alert_id, told in answers.items()}


def _prediction_of(told: Mapping[str, Any]) -> Prediction:
    incident, breach, self_resolve = map(float, told["chances"])
    return Prediction(
        str(told["version"]),
        datetime.fromisoformat(told["at"]),
        incident,
        breach,
        self_resolve,
        _estimate_of(told["acknowledge"]),
        _estimate_of(told["resolve"]),
        bool(told["abstained"]),
    )


def _estimate_of(seconds: Sequence[float] | None) -> DurationEstimate | None:
    if seconds is None:
        return None
    median, low, high = (timedelta(seconds=each) for each in seconds)
    return DurationEstimate(median, low, high)
