"""Debian's Prometheus for tests, and something that it can watch."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tests.servers import free_port

PROMETHEUS = shutil.which("prometheus")


class Exporter:
    """Something watched, over HTTP.

    Args:
        shown: Returns its metrics as they are at that moment, in Prometheus's text format.
    """

    def __init__(self, shown: Callable[[], str]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = shown().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"

    @contextmanager
    def serving(self) -> Iterator[Self]:
        """Serve, on a thread, until the end."""
        thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.server.shutdown()
            self.server.server_close()
            thread.join(5)


@contextmanager
def running(directory: Path, configuration: str, *options: str) -> Iterator[str]:
    """Run Prometheus in a folder with a configuration; yield its URL."""
    assert PROMETHEUS is not None
    (directory / "prometheus.yml").write_text(configuration)
    port = free_port()
    command = [
        PROMETHEUS,
        f"--config.file={directory}/prometheus.yml",
        f"--storage.tsdb.path={directory}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        *options,
    ]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)
