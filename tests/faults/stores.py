"""A PostgreSQL that goes away and comes back, and services that live on it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from alertgraph.storage.embedded import EmbeddedPostgres
from tests.faults.processes import descendants
from tests.running import RunningService, ServiceProcess, environment_of, new_tenant


@dataclass
class Postgres:
    """A PostgreSQL that is killed, held back and made to hang."""

    embedded: EmbeddedPostgres

    @property
    def url(self) -> str:
        """Where it is."""
        return self.embedded.url

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Kill it, and let it stay away for as long as the context lasts."""
        server = self.embedded._server
        assert server is not None
        # Whoever would start it again has to wait for this.
        with server._fork_or_stop:
            self._signal(signal.SIGKILL)
            yield

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Keep its connections open, and answer nothing."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def _signal(self, signum: signal.Signals) -> None:
        pid = self.embedded.pid
        assert pid is not None
        for each in (pid, *descendants(pid)):
            os.kill(each, signum)


@contextmanager
def running(postgres: Postgres, log: Path, **more: str) -> Iterator[tuple[ServiceProcess, RunningService]]:
    """Run a service on it, and yield a tenant of its own."""
    environment = environment_of(postgres.url, CRITICAL_ALERT_COST_BUDGET="100000000", **more)
    service = ServiceProcess(environment).start(log)
    try:
        # In a thread: it runs a loop of its own.
        with ThreadPoolExecutor(1) as thread:
            tenant = thread.submit(new_tenant, service.url, environment, f"t-{uuid4().hex[:12]}").result()
        yield service, tenant
        assert service.stop() == 0
    finally:
        service.kill()
    assert "Traceback" not in log.read_text()
