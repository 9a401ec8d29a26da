"""Stock Strawberry: the same schema, resolvers and snapshot, run by `schema.execute`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import cast

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from alertgraph.services.reading import Reading
from alertgraph.storage.secrets import PostgresVault
from alertgraph.storage.snapshot import PostgresSnapshotSource
from bench.apps.common import Ground, ready
from resolvers.context import Context, Services
from resolvers.schema import schema


class _Queries:
    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self.snapshots: PostgresSnapshotSource
        self.vault: PostgresVault

    async def answer(self, request: Request) -> Response:
        """Run one query."""
        principal = await self._ground.principal(request)
        asked = orjson.loads(await request.body())
        async with self.snapshots.snapshot(principal.tenant.id) as snapshot:
            reading = Reading(snapshot, principal, self._ground.clock, self.vault)
            context = Context(principal, "bench", reading, _NO_SERVICES)
            result = await schema.execute(
                asked["query"], variable_values=asked.get("variables"), context_value=context
            )
        answer: dict[str, object] = {"data": result.data}
        if result.errors:
            answer["errors"] = [error.formatted for error in result.errors]
        return Response(orjson.dumps(answer), media_type="application/json")


# What resolvers ask for besides reading; the queries that are measured use none of it.
_NO_SERVICES = cast("Services", SimpleNamespace(advice=None))


def build() -> Starlette:
    """Return the application."""
    ground = Ground()
    queries = _Queries(ground)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await ground.open()
        queries.snapshots = PostgresSnapshotSource(ground.database)
        queries.vault = PostgresVault(ground.database, ground.key)
        yield
        await ground.close()

    routes = [Route("/ready", ready), Route("/graphql", queries.answer, methods=["POST"])]
    return Starlette(routes=routes, lifespan=lifespan)
