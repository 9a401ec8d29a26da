"""The README's lines, run as they are printed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.running import ServiceProcess, environment_of

README = Path(__file__).parents[2] / "README.md"
BIN = Path(sys.executable).parent


def printed_blocks() -> list[str]:
    """Return the shell blocks between the mark and the part that installs."""
    text = README.read_text(encoding="utf-8")
    part = text[text.index("<!-- tested:") : text.index("## Run it for real")]
    return re.findall(r"```sh\n(.*?)```", part, re.DOTALL)


@contextmanager
def push_service() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Play ntfy on loopback; yield its URL and what was published."""
    published: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            published.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", published
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.timeout(180)
def test_every_printed_line_works(data_dir: Path, tmp_path: Path) -> None:
    environment = environment_of("", HOME=str(data_dir), CRITICAL_ALERT_ALLOW_PRIVATE_TARGETS="true")
    for name in ("CRITICAL_ALERT_DATABASE_URL", "CRITICAL_ALERT_MASTER_KEY"):
        del environment[name]
    service = ServiceProcess(environment).start(tmp_path / "log")
    try:
        with push_service() as (push_url, published):
            said = []
            # One shell for one terminal: what a line sets, later ones use.
            for block in printed_blocks()[1:]:
                script = (
                    (printed_blocks()[0] + block)
                    .replace("http://127.0.0.1:8000", service.url)
                    .replace("https://ntfy.sh", push_url)
                    .replace(".venv/bin/", f"{BIN}/")
                    # On a machine busy with other tests a page may be later than a reader sees it.
                    .replace("sleep 2", "sleep 6")
                )
                run = subprocess.run(
                    ["bash", "-euc", script],
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=60,
                    check=False,
                )
                assert run.returncode == 0, run.stderr
                said.append(run.stdout)
    finally:
        assert service.stop() == 0

    created, folded, listed, taken, command_line, metrics, key, paged = said
    assert '"title":"Disk full on db-1"' in created
    assert '"created":false' in folded
    assert '"occurrenceCount":2' in folded
    assert '"totalCount":1' in listed
    assert '"changedCount":1' in taken
    assert "every leaf and link holds" in command_line
    assert "event: next" in metrics
    assert key.startswith("ag_")
    assert '"delivered":true' in paged
    assert "Level 1 is reached: Ada is told over phones." in paged
    assert '"healthy":true' in paged
    titles = [page["title"] for page in published]
    assert titles[0].startswith("Test message")
    # Whatever was open and paged nobody is told of as well, now that there is a rule.
    assert any("Disk full on db-2" in title for title in titles)
