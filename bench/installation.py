"""A whole installation to be measured: a durable PostgreSQL of its own, tenants with keys, and servers over it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from alertgraph.core.ids import TenantId
from alertgraph.core.tenant import Role, Tenant
from alertgraph.core.tier import Tier
from alertgraph.edge.clock import SystemDice
from alertgraph.edge.installation import configuration_service, new_tenant, operator_of
from alertgraph.storage.configuration import PostgresConfiguration
from alertgraph.storage.database import Database
from alertgraph.storage.embedded import EmbeddedPostgres, find_binaries, tethered
from alertgraph.storage.migrate import upgrade
from alertgraph.storage.secrets import MasterKey
from alertgraph.storage.tenants import TenantRegistry
from bench.load import Job, Load
from bench.machine import busy_seconds, cpu_seconds

MASTER_KEY = b"bench only: 32 bytes of a secret"
# Budgets are not what is measured here.
COST_BUDGET = 10_000_000
START_SECONDS = 60.0
# What a Python process of ours uses before and after its work.
LOAD_START_CPU_S = 0.15
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class TenantWithKey:
    """A tenant, and a key to act in it.

    Attributes:
        secret: Of the key.
    """

    id: TenantId
    slug: str
    secret: str

    @property
    def headers(self) -> dict[str, str]:
        """What a request of the tenant's carries."""
        return {"authorization": f"Bearer {self.secret}"}


class Installation:
    """A migrated, durable PostgreSQL in a directory of its own, as `alertgraph serve` would start it."""

    def __init__(self, data_dir: Path) -> None:
        self._postgres = EmbeddedPostgres(data_dir)
        self._data_dir = data_dir

    def __enter__(self) -> Installation:
        self._postgres.start()
        upgrade(self.url)
        return self

    def __exit__(self, *_: object) -> None:
        self._postgres.stop()

    def restart(self) -> None:
        """Begin with everything on the disk and no checkpoint under way, as after a quiet hour."""
        self._postgres.stop()
        self._postgres.start()

    @property
    def url(self) -> str:
        """Of the database."""
        return self._postgres.url

    @property
    def pid(self) -> int:
        """Of the server; its backends are its children."""
        assert self._postgres.pid is not None, "the server is a child of ours"
        return self._postgres.pid

    def facts(self) -> dict[str, object]:
        """Return which PostgreSQL this is and how durable it was set up."""
        origin = next(
            one.origin for one in find_binaries(None, self._data_dir) if one.version == self._postgres.version
        )
        return {
            "postgresql": self._postgres.version,
            "origin": origin,
            "settings": asyncio.run(self._settings()),
        }

    async def _settings(self) -> dict[str, str]:
        names = ("fsync", "synchronous_commit", "full_page_writes", "wal_level", "shared_buffers", "autovacuum")
        database = await Database.connect(self.url, pool_size=1)
        try:
            async with database.connection() as connection:
                return {name: await connection.fetchval("SELECT current_setting($1)", name) for name in names}
        finally:
            await database.close()

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables of a service over this database."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("CRITICAL_ALERT_")}
        return {
            **own,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
            "CRITICAL_ALERT_DATABASE_URL": self.url,
            "CRITICAL_ALERT_MASTER_KEY": base64.b64encode(MASTER_KEY).decode(),
            "CRITICAL_ALERT_LOG_FORMAT": "json",
            "CRITICAL_ALERT_LOG_LEVEL": "warning",
            "CRITICAL_ALERT_COST_BUDGET": str(COST_BUDGET),
            # What it costs has a measurement of its own.
            "CRITICAL_ALERT_ML_ENABLED": "false",
            # The providers of pages are ours, on this machine.
            "CRITICAL_ALERT_ALLOW_PRIVATE_TARGETS": "true",
        }

    def tenants(self, prefix: str, count: int, role: Role = Role.INGEST) -> list[TenantWithKey]:
        """Return that many new tenants, each with a key of the role."""
        return asyncio.run(_new_tenants(self.url, [f"{prefix}-{n}" for n in range(count)], role))

    def keys(self, slugs: Sequence[str], role: Role) -> list[TenantWithKey]:
        """Return tenants that exist, with a new key of the role each."""
        return asyncio.run(_new_keys(self.url, slugs, role))


async def _new_tenants(url: str, slugs: Sequence[str], role: Role) -> list[TenantWithKey]:
    registry = TenantRegistry(url, MasterKey(MASTER_KEY))
    made = [await new_tenant(registry, slug, slug, Tier.STANDARD) for slug in slugs]
    return await _keyed(url, made, role)


async def _new_keys(url: str, slugs: Sequence[str], role: Role) -> list[TenantWithKey]:
    registry = TenantRegistry(url, MasterKey(MASTER_KEY))
    found = {tenant.slug: tenant for tenant in await registry.all()}
    return await _keyed(url, [found[slug] for slug in slugs], role)


async def _keyed(url: str, tenants: Sequence[Tenant], role: Role) -> list[TenantWithKey]:
    database = await Database.connect(url, pool_size=4)
    try:
        dice = SystemDice()
        store = PostgresConfiguration(database, lambda: UUID(int=dice.bits(128)))
        service = configuration_service(store, MasterKey(MASTER_KEY))
        keyed: list[TenantWithKey] = []
        for tenant in tenants:
            _, secret = await service.create_api_key(operator_of(tenant), name="bench", role=role)
            assert secret is not None, "a new key has a secret"
            keyed.append(TenantWithKey(tenant.id, tenant.slug, secret))
        return keyed
    finally:
        await database.close()


class Server:
    """A server as a process of its own, which dies with us.

    Args:
        name: For people.
        command: The program by its absolute path, and its arguments; `{port}` in them becomes the port.
        environment: All of its variables.
        ready_path: What is asked for until it answers with `ready_status`.
        log: What it writes goes here.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: dict[str, str],
        ready_path: str,
        log: Path,
        *,
        ready_status: int = 200,
    ) -> None:
        self.name = name
        self.port = free_port()
        self._log = log
        self._ready_status = str(ready_status).encode()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                tethered([part.replace("{port}", str(self.port)) for part in command]),
                env=environment,
                cwd=ROOT,
                stdout=output,
                stderr=output,
            )
        self._await(ready_path)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def complaints(self) -> str:
        """Return the end of what it has written, for people."""
        return self._log.read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        """Ask it to end, and see to it."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _await(self, path: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                probe.settimeout(5)
                probe.sendall(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".encode())
                if probe.recv(12).endswith(self._ready_status):
                    return
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"{self.name} did not start: {self.complaints()}")


def alertgraph_server(
    installation: Installation, directory: Path, variables: Mapping[str, str] | None = None
) -> Server:
    """Return the service itself, as an operator runs it, but for some variables."""
    command = [sys.executable, "-m", "alertgraph", "serve", "--port", "{port}"]
    environment = {**installation.environment, **(variables or {})}
    return Server("alertgraph", command, environment, "/readyz", directory / "alertgraph.log")


def bench_server(installation: Installation, app: str, directory: Path) -> Server:
    """Return one of `bench.apps` on the same HTTP server with the same settings."""
    command = [sys.executable, "-m", "bench.apps.serve", app, "{port}"]
    return Server(app, command, installation.environment, "/ready", directory / f"{app}.log")


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def short_directory() -> Iterator[Path]:
    """Yield an empty directory that the database's account may pass through; its path is short, for sockets."""
    directory = Path(tempfile.mkdtemp(prefix="agb", dir="/tmp"))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def allow_many_files() -> None:
    """Let this process and its children open as many sockets as the machine allows at all."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@dataclass(frozen=True)
class Measured:
    """A load, and what the servers used for it.

    Attributes:
        server_cpu_us: For each request, of the process that answered it.
        postgres_cpu_us: For each request, of all of PostgreSQL.
        others_share: How much of all cores somebody else used meanwhile, 0 to 1: a disturbed figure says so.
        client_share: How much of one core the load generator used, 0 to 1: near 1 it was itself the limit.
    """

    load: Load
    server_cpu_us: float
    postgres_cpu_us: float
    others_share: float
    client_share: float


def measure(job: Job, server: Server, installation: Installation) -> Measured:
    """Have a load generator of its own process carry out a job."""
    watch = Watch(installation, server)
    load = Load(**json.loads(run_module("bench.load", job.as_json(), job.seconds + 90)))
    if load.failed:
        raise RuntimeError(
            f"{server.name} answered {load.failed} requests otherwise than expected: {load.sample}\n"
            f"{server.complaints()}"
        )
    return watch.measured(load)


class Watch:
    """Counts the processor time that a measurement takes, from when it is made."""

    def __init__(self, installation: Installation, server: Server | None) -> None:
        self._installation = installation
        self._server = server
        self._before = self._now()

    def measured(self, load: Load) -> Measured:
        """Return a load with what was used for it since."""
        at, busy, postgres, server = (now - then for now, then in zip(self._now(), self._before, strict=True))
        # Without a server, the client is what does the work.
        server = server if self._server is not None else load.client_cpu_s
        ours = postgres + server + (load.client_cpu_s if self._server is not None else 0.0)
        share = 1e6 / max(1, load.count)
        # The load generator's own start is nobody's measurement, and nobody else's work.
        others = max(0.0, busy - ours - LOAD_START_CPU_S) / (at * (os.cpu_count() or 1))
        client = load.client_cpu_s / load.seconds if load.seconds else 0.0
        return Measured(load, server * share, postgres * share, others, client)

    def _now(self) -> tuple[float, float, float, float]:
        # Some have workers of their own.
        server = cpu_seconds(self._server.pid, children=True) if self._server is not None else 0.0
        return time.monotonic(), busy_seconds(), cpu_seconds(self._installation.pid, children=True), server


def run_module(module: str, job: str, timeout: float) -> str:
    """Return what a module of ours prints when it is run as a process of its own with a job on standard input."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    done = subprocess.run(
        tethered([sys.executable, "-m", module]),
        input=job,
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=ROOT,
        env=environment,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{module} failed: {done.stderr[-2000:]}")
    return done.stdout
