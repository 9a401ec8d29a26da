"""A whole alertgraph, running: the real application on a real server over a real database."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Self

import httpx2
import uvicorn

from alertgraph.core.tenant import Role
from alertgraph.core.tier import Tier
from alertgraph.edge import operator
from alertgraph.edge.app import Application
from alertgraph.edge.graphql.uvicorn_socket import CleanWebSocketProtocol
from alertgraph.edge.installation import master_key, operator_of
from alertgraph.edge.installation import new_tenant as make_tenant
from alertgraph.settings import read_settings
from tests.servers import Background, free_port

MASTER_KEY = base64.b64encode(b"tests only: 32 bytes of a secret").decode()
# A start takes two seconds; beside others on a busy machine many more. Who ends instead is noticed at once.
START_SECONDS = 90.0
# What is kept of logs outside of their databases would outlive these.
_CHECKPOINTS = tempfile.TemporaryDirectory(prefix="ag-checkpoints-")


@dataclass(frozen=True)
class RunningService:
    """A tenant of its own on a running service."""

    url: str
    tenant: str
    admin_key: str
    ingest_key: str
    database_url: str
    environment: Mapping[str, str] = field(repr=False)

    def headers(self, key: str | None = None) -> dict[str, str]:
        """Return the headers of a request with the tenant's ADMIN key, or another."""
        return {"Authorization": f"Bearer {key or self.admin_key}"}

    def client(self, key: str | None = None) -> httpx2.Client:
        """Return an HTTP client that is logged in."""
        # It speaks plain HTTP; reading the machine's certificates would take longer than most requests.
        return httpx2.Client(base_url=self.url, headers=self.headers(key), timeout=30.0, verify=False)

    def graphql(self, query: str, variables: Any = None, *, key: str | None = None) -> dict[str, Any]:
        """Return the whole answer to an operation."""
        body = {"query": query, "variables": variables}
        with self.client(key) as client:
            return dict(client.post("/graphql", json=body).json())

    def data(self, query: str, variables: Any = None, *, key: str | None = None) -> dict[str, Any]:
        """Return the data of an operation that has no errors."""
        answer = self.graphql(query, variables, key=key)
        assert "errors" not in answer, answer["errors"]
        return dict(answer["data"])

    @property
    def websocket_url(self) -> str:
        """Where websockets connect."""
        return self.url.replace("http", "ws", 1) + "/graphql"


def environment_of(database_url: str, **more: str) -> dict[str, str]:
    """Return the variables of a service on this database, and nothing of our own service's."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("CRITICAL_ALERT_")}
    return {
        **own,
        "CRITICAL_ALERT_DATABASE_URL": database_url,
        "CRITICAL_ALERT_MASTER_KEY": MASTER_KEY,
        "CRITICAL_ALERT_LOG_FORMAT": "json",
        # A process more, with seconds of imports: where it is what a test is about, the test switches it on.
        "CRITICAL_ALERT_ML_ENABLED": "false",
        "CRITICAL_ALERT_CHECKPOINT_DIR": _CHECKPOINTS.name,
        **more,
    }


@contextmanager
def served_in_thread(database_url: str, *, role: str = "all", **more: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Run the application in a thread of this process; yield its URL and its variables."""
    environment = environment_of(database_url, **more)
    port = free_port()
    application = Application(read_settings(environment), role=role, announce=lambda _: None)
    config = uvicorn.Config(
        application,
        host="127.0.0.1",
        port=port,
        http="httptools",
        ws=CleanWebSocketProtocol,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    deadline = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError(f"the service did not start: {application.start_error}")
        time.sleep(0.01)
    url = f"http://127.0.0.1:{port}"
    try:
        with _Reception(environment) as reception:
            _RECEPTIONS[url] = reception
            yield url, environment
    finally:
        _RECEPTIONS.pop(url, None)
        server.should_exit = True
        thread.join(START_SECONDS)
        assert not thread.is_alive(), "the service did not stop"


def new_tenant(url: str, environment: Mapping[str, str], slug: str) -> RunningService:
    """Make a tenant with an ADMIN and an INGEST key on a running service."""
    if url in _RECEPTIONS:
        admin, ingest = _RECEPTIONS[url].furnish(slug)
    else:
        with _Reception(environment) as reception:
            admin, ingest = reception.furnish(slug)
    return RunningService(url, slug, admin, ingest, environment["CRITICAL_ALERT_DATABASE_URL"], dict(environment))


class _Reception:
    """An operator's desk that stays open, since opening it takes ten times as long as making a tenant there."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._url = environment["CRITICAL_ALERT_DATABASE_URL"]
        self._settings = read_settings(environment)
        self._background = Background("test-reception")
        self._open = AsyncExitStack()
        self._desk: operator.Desk | None = None

    def furnish(self, slug: str) -> tuple[str, str]:
        """Return an ADMIN's and an INGEST key of a tenant just made."""
        return self._background.call(self._furnish(slug))

    async def _furnish(self, slug: str) -> tuple[str, str]:
        if self._desk is None:
            desk = operator.desk_at(self._settings, self._url, master_key(self._settings))
            self._desk = await self._open.enter_async_context(desk)
        tenant = operator_of(await make_tenant(self._desk.registry, slug, slug, Tier.STANDARD))
        admin, ingest = [
            (await self._desk.configuration.create_api_key(tenant, name=role.name.lower(), role=role))[1]
            for role in (Role.ADMIN, Role.INGEST)
        ]
        assert admin is not None
        assert ingest is not None
        return admin, ingest

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._background.call(self._open.aclose())
        self._background.close()


# Of the services that run in this process, by their URL.
_RECEPTIONS: dict[str, _Reception] = {}


class ServiceProcess:
    """`alertgraph serve` as a process of its own, to be killed and started again on the same port."""

    def __init__(
        self,
        environment: Mapping[str, str],
        port: int | None = None,
        *arguments: str,
        python: str = sys.executable,
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = dict(environment)
        self._arguments = arguments
        self._python = python
        self._process: subprocess.Popen[bytes] | None = None
        self._log: Path | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process; it must have been started."""
        assert self._process is not None, "the process was not started"
        return self._process

    def start(self, log: Path, timeout: float = START_SECONDS) -> ServiceProcess:
        """Return once it is ready; raise with what it said where it ends instead."""
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [self._python, "-m", "alertgraph", "serve", "--port", str(self.port), *self._arguments],
                env=self._environment,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the service ended with {self._process.returncode}: {log.read_text()}")
            if self._is_ready():
                return self
            time.sleep(0.02)
        self.kill()
        raise RuntimeError(f"the service was not ready within {timeout} s: {log.read_text()}")

    def _is_ready(self) -> bool:
        """Return whether it says so: its port is taken long before, so that the answer is waited for."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=1.0)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def kill(self) -> None:
        """End it as a power cut would: no handler of its own runs."""
        self.process.kill()
        self.process.wait(10)

    def stop(self, timeout: float = 30.0) -> int:
        """Ask it to end, as an operator would; return its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout)
