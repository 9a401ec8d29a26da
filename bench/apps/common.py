"""What these applications have in common: the database and who is asking, both by the service's own code."""

from __future__ import annotations

import base64
from uuid import UUID

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from alertgraph.core.tenant import Principal
from alertgraph.edge.clock import SystemClock, SystemDice
from alertgraph.edge.doors import secret_of
from alertgraph.edge.telemetry import Telemetry
from alertgraph.services.authentication import Authenticator
from alertgraph.settings import read_settings
from alertgraph.storage.configuration import PostgresConfiguration
from alertgraph.storage.database import Database
from alertgraph.storage.secrets import MasterKey


class Ground:
    """A database, its keys, a clock and dice, as the service builds them."""

    def __init__(self) -> None:
        settings = read_settings()
        assert settings.database_url is not None, "the bench names a database"
        assert settings.master_key is not None, "the bench names a master key"
        self.url = settings.database_url.get_secret_value()
        self.pool_size = settings.database_pool_size
        self.key = MasterKey(base64.b64decode(settings.master_key.get_secret_value()))
        self.clock, self.dice, self.telemetry = SystemClock(), SystemDice(), Telemetry()
        self._database: Database | None = None
        self._authenticator: Authenticator | None = None

    @property
    def database(self) -> Database:
        """Connected once the application has started."""
        assert self._database is not None, "the application has not started"
        return self._database

    async def open(self) -> None:
        """Connect, with as many connections as the service has."""
        self._database = await Database.connect(self.url, pool_size=self.pool_size, application_name="bench")
        store = PostgresConfiguration(self._database, lambda: UUID(int=self.dice.bits(128)))
        self._authenticator = Authenticator(store, self.clock, self.key.digest, self.telemetry)

    async def close(self) -> None:
        """Let go of the database."""
        await self.database.close()

    async def principal(self, request: Request) -> Principal:
        """Return who is asking, from memory but every two seconds."""
        assert self._authenticator is not None, "the application has not started"
        return await self._authenticator.authenticate(secret_of(request.headers.get("authorization")))


async def ready(_: Request) -> Response:
    """Say that the server is up."""
    return PlainTextResponse("ready")
