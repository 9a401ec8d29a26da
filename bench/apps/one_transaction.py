"""One transaction per request: the same bodies, decisions and storage as alertgraph, with nothing coalesced.

Each request loads what it needs, decides, and appends by itself, as any service would that has no lanes; where
another request was faster it starts over. The tenant's configuration is kept in memory, as alertgraph does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from uuid import UUID

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from alertgraph.core.action import Fire
from alertgraph.core.actor import ActorKind
from alertgraph.core.alert import Alert, Draft
from alertgraph.core.batch import Batch, Request
from alertgraph.core.errors import StaleDecisionError
from alertgraph.core.flush import TenantConfig
from alertgraph.core.ids import AlertId, FlushId, TenantId, uuid7
from alertgraph.core.tenant import Principal
from alertgraph.edge.bodies import json_response, read_body, read_json
from alertgraph.edge.rest import alert_json, draft_of
from alertgraph.storage.log import PostgresLog
from bench.apps.common import Ground, ready

TRY_COUNT_MAX = 20


class _Creates:
    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._configs: dict[TenantId, TenantConfig] = {}
        self.log: PostgresLog

    async def create(self, request: HttpRequest) -> Response:
        """Take one alert as REST does."""
        principal = await self._ground.principal(request)
        draft, _ = draft_of(read_json(await read_body(request)), principal.actor.name)
        for _ in range(TRY_COUNT_MAX):
            try:
                alert, created = await self._written(principal, draft)
            except StaleDecisionError:
                continue
            return json_response(
                alert_json(alert, self._ground.clock.now()), HTTPStatus.CREATED if created else HTTPStatus.OK
            )
        return PlainTextResponse("too much at once", 503)

    async def _written(self, principal: Principal, draft: Draft) -> tuple[Alert, bool]:
        tenant_id = principal.tenant.id
        config = self._configs.get(tenant_id)
        if config is None:
            config = await self.log.config(tenant_id)
            assert config is not None, "whoever has a key has a tenant"
            self._configs[tenant_id] = config
        loaded = await self.log.load(tenant_id, [draft.key], (), ())
        now, bits = self._ground.clock.now(), self._ground.dice.bits
        batch = Batch(loaded, config, now, level_max=5)
        sender = replace(principal.actor, kind=ActorKind.SENDER)
        outcome = batch.apply(Request((Fire(draft),), (AlertId(uuid7(now, bits(74))),), sender, principal.scope))[
            0
        ]
        assert outcome.alert is not None, outcome.problem
        appended = await self.log.append(tenant_id, batch.flush(FlushId(UUID(int=bits(128)))))
        version = appended.first_number if outcome.created else outcome.alert.version
        return replace(outcome.alert, version=version), outcome.created


def build() -> Starlette:
    """Return the application."""
    ground = Ground()
    creates = _Creates(ground)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await ground.open()
        creates.log = PostgresLog(ground.database)
        yield
        await ground.close()

    routes = [Route("/ready", ready), Route("/api/v1/critical-alerts", creates.create, methods=["POST"])]
    return Starlette(routes=routes, lifespan=lifespan)
